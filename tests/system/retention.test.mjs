// Retention as somebody who runs the daemon sees it: what goes, what waits for a consumer, and that nothing comes back.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { within } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Program } from '../lib/program.mjs';
import { Rpc } from '../lib/rpc.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

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

async function daemonFor(t, channel) {
  const daemon = await Daemon.start({ bots: [botConfig(world, world.bots[0], { channels: [channel.id] })] });
  t.after(() => daemon.close());
  daemon.retention = async (retention) => {
    await daemon.configure({ bots: daemon.config.bots, daemon: { retention } });
    await daemon.start();
  };
  return daemon;
}

// Retention leaves the last hour alone: as if what the journal of a stopped daemon has had been received three hours earlier.
async function age(daemon) {
  const text = 'import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nc.execute("UPDATE event SET received_at = received_at - 3*3600*1000")\nc.commit()';
  const program = new Program('python3', ['-c', text, path.join(daemon.folder, 'state.db')]);
  await program.ended;
  assert.equal(program.code, 0, program.text.stderr);
}

// Nothing tells when the background work is done: it is asked for, a process each time.
async function until(check, what) {
  let over = false;
  const asked = (async () => {
    while (!over && !(await check()));
  })();
  await within(asked, what).finally(() => {
    over = true;
  });
}

const store = async (daemon) => (await daemon.cli('status', '--json')).json.store;
const history = async (daemon, channel) => (await daemon.cli('history', '--channel', channel.id, '--limit', '1000', '--json')).json.events
  .filter((e) => e.kind === 'post' && !e.system).map((e) => e.text);
const found = async (daemon, text) => (await daemon.cli('search', `"${text}"`, '--json')).json.events.map((e) => e.text);

async function says(channel, ...texts) {
  const posts = [];
  for (const text of texts) posts.push(await ann.post(channel, text));
  return posts;
}

async function journaled(daemon, channel, text) {
  await until(async () => (await history(daemon, channel)).includes(text), `'${text}' in the journal`);
}

const pruned = (daemon, n) => until(async () => (await store(daemon)).pruned_events >= n, `${n} events to be deleted`);

// The events that a named consumer gets, acknowledged up to the one with this text.
async function consume(t, daemon, text) {
  const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
  const stream = await rpc.call('stream', { consumer: 'slow' });
  const event = await rpc.notifications.find((n) => n.method === 'event' && n.params.event.text === text, `the event '${text}'`);
  await rpc.call('stream.ack', { subscription: stream.subscription, id: event.params.event.id });
  const got = rpc.notifications.items.filter((n) => n.method === 'event').map((n) => n.params.event.text);
  rpc.close();
  await until(async () => {
    const consumer = (await daemon.cli('status', '--json')).json.consumers.find((c) => c.name === 'slow');
    return consumer.position >= event.params.event.id;
  }, 'the position to be stored');
  return got;
}

describe('by age', () => {
  test('what is old goes, from history and search; a named consumer holds what it has not read; nothing comes back', async (t) => {
    const channel = await world.newChannel();
    const daemon = await daemonFor(t, channel);
    const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
    await rpc.call('stream', { consumer: 'slow' });
    rpc.close();
    const [first, second] = await says(channel, 'old first', 'old second', 'old third');
    await journaled(daemon, channel, 'old third');
    await consume(t, daemon, 'old first');
    await daemon.stop();
    await age(daemon);

    await daemon.retention({ age: '1h' });
    await pruned(daemon, 1);
    await until(async () => (await store(daemon)).prune_held, 'the store to say that a consumer holds it up');
    assert.deepEqual(await history(daemon, channel), ['old second', 'old third']);
    assert.deepEqual(await found(daemon, 'old first'), []);
    assert.deepEqual(await found(daemon, 'old second'), ['old second']);

    // It gets what was held for it, and then that goes, too.
    assert.ok((await consume(t, daemon, 'old third')).includes('old second'));
    await daemon.stop();
    await daemon.start();
    await until(async () => (await history(daemon, channel)).length === 0, 'the old posts to be deleted');
    await until(async () => !(await store(daemon)).prune_held, 'nothing to be held');
    assert.deepEqual(await found(daemon, 'old'), []);
    assert.equal((await daemon.cli('history', '--channel', channel.id, '--server', '--json')).json.events.filter((e) => e.text?.startsWith('old')).length, 3);

    // The server still has them all: catching up brings what is new, and of the old only what happens to it now.
    await daemon.stop();
    await says(channel, 'new while it was down');
    await ann.rest.patchPost({ id: first.id, message: 'old first, edited' });
    await daemon.start();
    await journaled(daemon, channel, 'new while it was down');
    await says(channel, 'new live');
    await journaled(daemon, channel, 'new live');
    assert.deepEqual((await history(daemon, channel)).sort(), ['new live', 'new while it was down']);
    const thread = (await daemon.cli('history', '--channel', channel.id, '--kind', 'post_edited', '--json')).json.events;
    assert.deepEqual(thread.map((e) => e.text), ['old first, edited']);

    // A reply to a post that is gone is a reply all the same.
    const reply = await ann.post(channel, 'to a post that is gone', { root_id: second.id });
    await journaled(daemon, channel, 'to a post that is gone');
    const [event] = (await daemon.cli('history', '--channel', channel.id, '--thread', second.id, '--json')).json.events;
    assert.equal(event.post_id, reply.id);
  });
});

describe('by count', () => {
  test('the newest stay', sandboxOnly, async (t) => {
    const channel = await world.newChannel();
    const daemon = await daemonFor(t, channel);
    await says(channel, 'the first of all');
    await server.control('/flood', { channel_id: channel.id, user_id: ann.user.id, count: 1200 });
    await says(channel, 'the last of all');
    await journaled(daemon, channel, 'the last of all');
    await daemon.stop();
    await age(daemon);
    await daemon.retention({ count: 1000 });
    await pruned(daemon, 200);
    const { last_event_id: last } = await store(daemon);
    const left = (await history(daemon, channel)).length;
    assert.ok(left > 900 && left <= 1000, `${left} of ${last}`);
    assert.deepEqual(await found(daemon, 'the first of all'), []);
    assert.deepEqual(await found(daemon, 'the last of all'), ['the last of all']);
  });
});
