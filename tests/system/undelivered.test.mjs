// What the sender is told when a message does not arrive at once: why, and what becomes of it.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Rpc } from '../lib/rpc.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

const file = fileURLToPath(import.meta.url);
let server, world, ann;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

async function start(t) {
  const daemon = await Daemon.start({ bots: [botConfig(world)], daemon: { attach_roots: [path.dirname(file)] } });
  t.after(() => daemon.close());
  return daemon;
}

// A call of the daemon that is known to be at the server when this returns.
async function hung(t, daemon, method, prefix, ...args) {
  const rule = await server.control('/rules', { action: 'hang', method, path: `/api/v4${prefix}`, count: 1 });
  t.after(() => server.control('/rules/clear', {}));
  const program = daemon.spawn(...args);
  await server.control(`/wait?rule=${rule.id}&hits=1`);
  return program;
}

describe('a 403', () => {
  test('has the code forbidden, also when the key is given again', async (t) => {
    const daemon = await start(t);
    const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
    t.after(() => rpc.close());
    const post = await ann.post(world.channel, 'not the bot\'s');
    for (let i = 0; i < 2; i++) {
      await assert.rejects(rpc.call('edit', { post: post.id, text: 'mine', key: 'forbidden-edit' }), (error) => {
        assert.equal(error.data.reason, 'forbidden');
        assert.match(error.message, /edit_others_posts.*system admin/s);
        return true;
      });
    }
  });

  test('for a file names the right to upload', sandboxOnly, async (t) => {
    const daemon = await start(t);
    const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
    t.after(() => rpc.close());
    await server.control('/rules', {
      action: 'fail', method: 'POST', path: '/api/v4/files', status: 403, count: 1,
      body: JSON.stringify({ id: 'api.context.permissions.app_error', message: 'No.', status_code: 403 }),
    });
    t.after(() => server.control('/rules/clear', {}));
    await assert.rejects(rpc.call('send', { channel: world.channel.id, text: 'x', files: [file] }), (error) => {
      assert.equal(error.data.reason, 'forbidden');
      assert.match(error.message, /uploaded.*upload_file/s);
      return true;
    });
  });
});

describe('a daemon that stops meanwhile', () => {
  test('a recorded message is sent after the next start, and the sentence has its key', sandboxOnly, async (t) => {
    const daemon = await start(t);
    const sender = await hung(t, daemon, 'POST', '/posts', 'send', '--channel', world.channel.id, '--text', 'kept over the stop');
    await daemon.stop();
    await sender.ended;
    assert.equal(sender.code, 1, sender.text.stderr);
    assert.match(sender.text.stderr, /recorded, but not delivered yet: the daemon is stopping.*after its next start/);
    const key = sender.text.stderr.match(/with the key (\w+) does/)[1];
    await daemon.start();
    const post = await ann.hears((p) => p.message === 'kept over the stop');
    const again = await daemon.cli('send', '--channel', world.channel.id, '--text', 'kept over the stop', '--key', key);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual([again.json.post_id, again.json.existed], [post.id, true]);
  });

  test('a message without its channel yet is not recorded, and the sentence says so', sandboxOnly, async (t) => {
    const daemon = await start(t);
    const sender = await hung(t, daemon, 'GET', '/teams/name/', 'send', '--channel', world.channel.name, '--text', 'never recorded');
    await daemon.stop();
    await sender.ended;
    assert.equal(sender.code, 1, sender.text.stderr);
    assert.match(sender.text.stderr, /the daemon is stopping; nothing was recorded/);
  });

  test('one that is killed cannot tell: the sentence has a key that makes a repeat safe', sandboxOnly, async (t) => {
    const daemon = await start(t);
    const sender = await hung(t, daemon, 'POST', '/posts', 'send', '--channel', world.channel.id, '--text', 'killed meanwhile');
    await daemon.program.stop('SIGKILL');
    await sender.ended;
    assert.equal(sender.code, 3, sender.text.stderr);
    const key = sender.text.stderr.match(/not known; the same command with --key (\w+) /)[1];
    await daemon.start();
    const again = await daemon.cli('send', '--channel', world.channel.id, '--text', 'killed meanwhile', '--key', key);
    assert.equal(again.code, 0, again.stderr);
    const marker = await daemon.cli('send', '--channel', world.channel.id, '--text', 'behind it');
    await ann.hears((p) => p.id === marker.json.post_id);
    assert.equal(ann.events.items.filter((e) => e.data?.post?.message === 'killed meanwhile').length, 1);
  });
});

test('standard input over the limit is refused, and a file is offered', async (t) => {
  const daemon = await start(t);
  const sent = await daemon.cli('send', '--channel', world.channel.id, { input: 'x'.repeat(600_000) });
  assert.equal(sent.code, 1);
  assert.match(sent.stderr, /longer than 524288 bytes.*--file/);
});
