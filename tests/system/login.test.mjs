// A bot that signs in by login and password: the server may end its session at any time, and nobody notices.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { answeredOnce, echo } from '../lib/answers.mjs';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { appears } from '../lib/machine.mjs';
import { Server, World, live, password } from '../lib/server.mjs';

let server, world, ann, helper;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { people: ['ann', 'helper'], bots: [] });
  ({ ann, helper } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

async function daemonFor(t, script = echo) {
  const account = { token: undefined, id: helper.user.id };
  const daemon = await Daemon.start({
    bots: [botConfig(world, account, { login: helper.user.username, password, handler: 'echo' })],
    handlers: { echo: { type: 'command', command: ['./echo'] } },
  }, { scripts: { echo: script } });
  t.after(() => daemon.close());
  return daemon;
}

const endSessions = () => (live
  ? server.admin.call('POST', `/users/${helper.user.id}/sessions/revoke/all`, {})
  : server.control('/tokens', { action: 'revoke', user: helper.user.id }));
const answered = (...posts) => answeredOnce(ann, { id: helper.user.id, username: helper.user.username }, posts);
const bot = async (daemon) => (await daemon.cli('bots', '--json')).json[0];

describe('the session ends', () => {
  test('while nothing goes on: what is said next is answered, once', async (t) => {
    const daemon = await daemonFor(t);
    await answered(await ann.post(world.channel, 'before'));
    for (const text of ['after the first end', 'after the second end']) {
      await endSessions();
      await answered(await ann.post(world.channel, text));
    }
    await eventually(async () => assert.equal((await bot(daemon)).state, 'online'));
  });

  test('while a handler runs: its answer is posted, once', async (t) => {
    const daemon = await daemonFor(t, ': >begun; while [ ! -e go ]; do sleep 0.02; done; printf "re: %s" "$MATTERWIRE_TEXT"');
    const post = await ann.post(world.channel, 'take your time');
    await appears(path.join(daemon.folder, 'begun'));
    await endSessions();
    await writeFile(path.join(daemon.folder, 'go'), '');
    await answered(post);
  });

  test('and the password is another one: a state that says so; with the new one it goes on where it was', async (t) => {
    const daemon = await daemonFor(t);
    await answered(await ann.post(world.channel, 'before the change'));
    const set = (newPassword) => server.admin.call('PUT', `/users/${helper.user.id}/password`, { new_password: newPassword });
    await set('Another-password-2');
    t.after(() => set(password));
    await endSessions();
    const missed = await ann.post(world.channel, 'nobody hears this now');
    await daemon.state('helper', 'unauthorized');
    // It may be asking once more just now.
    await eventually(async () => assert.match((await bot(daemon)).reason ?? '', /password/));
    assert.ok(!JSON.stringify(await bot(daemon)).includes(password));
    await daemon.configure({ ...daemon.config, bots: [{ ...daemon.config.bots[0], password: 'Another-password-2' }] });
    assert.equal((await daemon.cli('reload')).code, 0);
    await answered(missed);
  });
});
