// The durable positions that named streams leave, and streams that lose their bot.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World } from '../lib/server.mjs';

let server, world, ann;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { bots: ['bot', 'other'] });
  ({ ann } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

const both = () => [botConfig(world), botConfig(world, world.bots[1], { name: 'other' })];

async function start(t) {
  const daemon = await Daemon.start({ bots: both() });
  t.after(() => daemon.close());
  return daemon;
}

test('a named consumer is listed, kept while it is read, and deleted', async (t) => {
  const daemon = await start(t);
  const post = await ann.post(world.channel, 'for the log');
  const stream = daemon.spawn('stream', '--consumer', 'log', '--since', '0');
  await stream.line((l) => l.includes(post.id));
  const listed = (await daemon.cli('consumers')).json;
  const log = listed.find((c) => c.name === 'log');
  assert.deepEqual([log.type, log.connected], ['stream', true]);
  assert.ok(listed.some((c) => c.name === 'route:helper' && c.type === 'route' && c.connected));
  const busy = await daemon.cli('consumer', 'delete', 'log');
  assert.equal(busy.code, 1);
  assert.match(busy.stderr, /"log" is being read: end that stream first/);

  await stream.stop('SIGINT');
  const left = await eventually(async () => {
    const log = (await daemon.cli('consumers')).json.find((c) => c.name === 'log');
    assert.equal(log.connected, false);
    return log;
  });
  assert.ok(left.position > 0 && left.updated_at > 0 && left.lag >= 0);
  const near = await daemon.cli('consumer', 'delete', 'lok');
  assert.equal(near.code, 1);
  assert.match(near.stderr, /no consumer "lok"; did you mean "log"/);
  const deleted = await daemon.cli('consumer', 'delete', 'log');
  assert.equal(deleted.code, 0, deleted.stderr);
  assert.deepEqual(deleted.json, { name: 'log', type: 'stream', position: left.position });
  assert.ok(!(await daemon.cli('consumers')).json.some((c) => c.name === 'log'));
  assert.equal((await daemon.cli('consumer', 'delete', 'log')).code, 1);
  assert.equal((await daemon.cli('consumer', 'remove', 'log')).code, 2);
});

test("a bot's own position goes only when the bot is gone; a stream of that bot ends", async (t) => {
  const daemon = await start(t);
  const refused = await daemon.cli('consumer', 'delete', 'route:other');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /a bot that is configured/);

  const post = await ann.post(world.channel, 'heard by both');
  const stream = daemon.spawn('stream', '--bot', 'other', '--consumer', 'of-other', '--since', '0');
  const kept = daemon.spawn('stream', '--bot', 'helper', '--since', '0');
  await stream.line((l) => l.includes(post.id));
  await kept.line((l) => l.includes(post.id));
  const position = async () => (await daemon.cli('consumers')).json.find((c) => c.name === 'of-other').position;
  // What it has printed it acknowledges next.
  await eventually(async () => assert.equal(await position(), JSON.parse(stream.stdout.items.at(-1)).id));
  await daemon.configure({ bots: [botConfig(world)] });
  assert.equal((await daemon.cli('reload')).code, 0);
  await stream.ended;
  assert.equal(stream.code, 1);
  assert.match(stream.text.stderr, /the bot "other" was removed from the configuration/);
  // The other one goes on, and what was acknowledged last is kept.
  const later = await ann.post(world.channel, 'heard by one');
  await kept.line((l) => l.includes(later.id));
  await kept.stop('SIGINT');
  const seen = JSON.parse(stream.text.stdout.trim().split('\n').at(-1));
  assert.equal(await position(), seen.id);

  const deleted = await daemon.cli('consumer', 'delete', 'route:other');
  assert.equal(deleted.code, 0, deleted.stderr);
  assert.equal(deleted.json.type, 'route');
});
