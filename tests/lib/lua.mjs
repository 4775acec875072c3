// A daemon whose bot answers by a script.
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Daemon, botConfig } from './daemon.mjs';

// Ends with the test. daemon.rewrite(text) puts a new version in its place; daemon.rules() is what status says.
export async function startScript(t, world, script, more = {}) {
  const config = { bots: [botConfig(world, world.bot, { handler: 'rules' })], handlers: { rules: { type: 'lua', script: './rules.lua', ...more } } };
  const daemon = await Daemon.prepare(config);
  t.after(() => daemon.close());
  daemon.rewrite = async (text) => {
    await writeFile(path.join(daemon.folder, 'new'), text);
    await rename(path.join(daemon.folder, 'new'), path.join(daemon.folder, 'rules.lua'));
  };
  if (script) await daemon.rewrite(script);
  await daemon.start();
  daemon.rules = async () => (await daemon.cli('status', '--json')).json.handlers.find((h) => h.name === 'rules');
  return daemon;
}
