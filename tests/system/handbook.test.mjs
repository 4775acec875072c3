// Every example of the chapter about the command line, run as it stands there.
import assert from 'node:assert/strict';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Daemon } from '../lib/daemon.mjs';
import { matterwire, run } from '../lib/program.mjs';
import { Server, sandboxOnly } from '../lib/server.mjs';

const page = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../docs/command-line.md');
let server, daemon, blocks;

before(async () => {
  const text = await readFile(page, 'utf8');
  blocks = [...text.matchAll(/^```sh ?(\w*)\n(.*?)^```$/gms)].map(([, how, code]) => ({ how, code }));
  if (sandboxOnly.skip) return;
  daemon = await Daemon.prepare({ bots: [] });
  server = await Server.open('--seed', 'demo', '--bot', `helper:${path.join(daemon.folder, 'token')}`);
  await daemon.configure({ bots: [{ name: 'helper', endpoint: server.url, bot_token_file: 'token' }] });
  // As a person writes it: the page changes it by lines.
  await writeFile(daemon.configPath, `bots:
  - name: helper
    endpoint: ${server.url}
    bot_token_file: token
daemon:
  socket: socket
  database: state.db
`);
  await daemon.start();
  await writeFile(path.join(daemon.folder, 'numbers.csv'), 'a,b\n1,2\n');
  await symlink(path.dirname(matterwire), path.join(daemon.folder, 'bin'));
});

after(async () => {
  await daemon?.close();
  await server?.close();
});

// Endless ones are ended as Ctrl-C does it, and run once more to get what was said meanwhile; of failing ones each line has
// to fail.
function script({ how, code }) {
  const once = `timeout --preserve-status -s INT 3 bash -c ${quote(code)} || [ $? = 130 ]`;
  if (how === 'endless') return `${once}\nmatterwire send --channel town-square --text "said meanwhile"\n${once}`;
  if (how === 'fails') return code.trim().split('\n').map((line) => `if ${line}; then echo 'no failure: ${line}' >&2; exit 9; fi`).join('\n');
  return code;
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

test('every example runs', sandboxOnly, async () => {
  assert.ok(blocks.length > 15);
  const lines = ['set -euo pipefail', ...blocks.map(script), 'echo ran to the end'];
  const { code, stdout, stderr } = await run('bash', ['-c', lines.join('\n')], {
    cwd: daemon.folder,
    env: { MATTERWIRE_CONFIG: daemon.configPath, PATH: `${path.join(daemon.folder, 'bin')}:${process.env.PATH}` },
  });
  assert.equal(code, 0, `${stdout.slice(-2000)}\n${stderr}`);
  assert.match(stdout, /ran to the end\n$/);
  assert.match(await readFile(path.join(daemon.folder, 'week.csv'), 'utf8'), /"helper","Good morning"/);
  assert.match(await readFile(path.join(daemon.folder, 'posts.log'), 'utf8'), /helper said meanwhile/);
});

test('the chapter names every verb', async () => {
  const { stdout } = await run(matterwire, ['completion', 'bash']);
  const verbs = stdout.match(/help\) words="([^"]*)"/)[1].trim().split(' ');
  const text = await readFile(page, 'utf8');
  const known = ['ephemeral', 'events', 'version', 'rpc', 'help', 'sandbox', 'completion'];
  const missing = verbs.filter((verb) => !known.includes(verb) && !new RegExp(`\\b${verb}\\b`).test(text));
  assert.deepEqual(missing, []);
});
