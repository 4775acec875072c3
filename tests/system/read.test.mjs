// The verbs that read: history, thread, search, inbox, missed; from the journal and from the server.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World } from '../lib/server.mjs';

let server, world, ann, bob, bot, daemon;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bob, bot } = world);
});

after(async () => {
  await world?.close();
  await server?.close();
});

async function daemonFor(t, bots = [botConfig(world)]) {
  daemon = await Daemon.start({ bots });
  t.after(() => daemon.close());
  return daemon;
}

async function cli(...args) {
  const result = await daemon.cli(...args);
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return result.json;
}

async function refused(code, pattern, ...args) {
  const result = await daemon.cli(...args);
  assert.equal(result.code, code, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
  assert.match(result.stderr, pattern);
}

// Until the journal has the post.
async function journaled(post) {
  const stream = daemon.spawn('stream', '--since', '0');
  await stream.line((l) => JSON.parse(l).post_id === post.id, `the post '${post.message}'`);
  await stream.stop('SIGINT');
}

const texts = (events) => events.map((e) => e.text);

describe('history and thread', () => {
  test('by author, by time; a thread by any of its posts', async (t) => {
    await daemonFor(t);
    const channel = await world.newChannel();
    await daemon.configure({ bots: [botConfig(world, bot, { channels: [] })] });
    assert.equal((await daemon.cli('reload')).code, 0);
    const root = await ann.post(channel, 'root by ann');
    const reply = await bob.post(channel, 'reply by bob', { root_id: root.id });
    const last = await ann.post(channel, 'last by ann');
    await journaled(last);
    assert.deepEqual(texts((await cli('history', '--channel', channel.id, '--author', `@${bob.user.username}`)).events), ['reply by bob']);
    assert.deepEqual(texts((await cli('history', '--channel', channel.name, '--author', ann.user.id)).events), ['root by ann', 'last by ann']);
    const until = new Date(last.create_at).toISOString();
    // The channel is new to the bot, so its join posts are there as well.
    const before = (await cli('history', '--channel', channel.id, '--kind', 'post', '--until', until)).events.filter((e) => !e.system);
    assert.deepEqual(texts(before), ['root by ann', 'reply by bob']);
    for (const ref of [root.id, reply.id, `${server.url}/${world.team.name}/pl/${reply.id}`]) {
      assert.deepEqual(texts((await cli('thread', ref)).events), ['root by ann', 'reply by bob']);
    }
    await refused(1, /nobody-here/, 'history', '--author', '@nobody-here');
    await refused(1, /id or permalink/, 'thread', 'town-square');
  });

  test('--server has what was said before the bot came, in the form of events', async (t) => {
    const channel = await world.newChannel();
    const root = await ann.post(channel, 'before the bot came');
    await bob.post(channel, 'a reply before', { root_id: root.id });
    const gone = await ann.post(channel, 'deleted before');
    await ann.rest.deletePost(gone.id);
    await ann.post(channel, 'the last before');
    await daemonFor(t);
    const { events, more } = await cli('history', '--channel', channel.id, '--server');
    assert.equal(more, false);
    const said = events.filter((e) => !e.system);
    assert.deepEqual(texts(said), ['before the bot came', 'a reply before', 'the last before']);
    assert.equal(said[0].user_name, ann.user.username);
    assert.equal(said[0].channel_name, channel.name);
    assert.equal(said[0].kind, 'post');
    assert.equal(said[0].id, undefined);
    assert.equal(said[1].root_id, root.id);
    assert.deepEqual(texts((await cli('history', '--channel', channel.id, '--server', '--author', bob.user.username, '--limit', '1')).events), ['a reply before']);
    assert.deepEqual(texts((await cli('history', '--channel', channel.id, '--server', '--limit', '2')).events), ['a reply before', 'the last before']);
    assert.deepEqual(texts((await cli('thread', root.id, '--server')).events), ['before the bot came', 'a reply before']);
    assert.deepEqual(await cli('history', '--channel', channel.id), { events: [], more: false });
    assert.equal((await cli('history', '--channel', channel.id, '--server', '--limit', '1')).more, true);
    await refused(2, /--channel/, 'history', '--server');
    await refused(2, /--kind/, 'history', '--server', '--channel', channel.id, '--kind', 'post');
  });
});

describe('search', () => {
  test('words, parts of words, phrases, exclusion; with snippets and filters', async (t) => {
    await daemonFor(t);
    await ann.post(world.channel, 'The deployment of zebrafish failed badly');
    await bob.post(world.channel, 'zebrafish swims; the Deployment is fine');
    const last = await ann.post(world.channel, 'nothing about fish: Füßgängerübergang');
    await journaled(last);
    const both = await cli('search', 'zebrafish', 'deploy');
    assert.equal(both.complete, true);
    assert.deepEqual(both.events.map((e) => e.user_name), [bob.user.username, ann.user.username]);
    assert.match(both.events[1].snippet, /\[deploy\]ment of \[zebrafish\]/i);
    assert.deepEqual(texts((await cli('search', '"zebrafish failed"')).events), ['The deployment of zebrafish failed badly']);
    assert.deepEqual((await cli('search', '--', 'zebrafish', '-failed')).events.map((e) => e.user_name), [bob.user.username]);
    assert.deepEqual((await cli('search', 'zebrafish', '--author', ann.user.username)).events.map((e) => e.user_name), [ann.user.username]);
    assert.equal((await cli('search', 'FÜSSGÄNGER'.replace('SS', 'ß'))).events.length, 1);
    assert.deepEqual((await cli('search', 'zebrafish', '--limit', '1')).events.length, 1);
    assert.deepEqual((await cli('search', 'no such words anywhere')).events, []);
    await refused(1, /\S+ \S+/, 'search', '');
  });

  test('--server searches what the server has', async (t) => {
    const post = await ann.post(world.channel, 'okapi was here before');
    await daemonFor(t);
    const found = await cli('search', 'okapi', '--server');
    assert.deepEqual(found.events.map((e) => e.post_id), [post.id]);
    assert.equal(found.events[0].user_name, ann.user.username);
    assert.deepEqual((await cli('search', 'okapi', '--server', '--author', bob.user.username)).events, []);
  });
});

describe('inbox and missed', () => {
  test('direct messages, mentions and threads, each seen once; the server is not told', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { channels: [] })]);
    const direct = await ann.rest.createDirectChannel([ann.user.id, bot.id]);
    await ann.post(direct, 'inbox: for you alone');
    await ann.post(world.channel, 'inbox: not for the bot');
    const mention = await bob.post(world.channel, `inbox: hello @${bot.username}`);
    const reply = await ann.post(world.channel, 'inbox: and in this thread', { root_id: mention.id });
    await journaled(reply);
    const all = await cli('inbox');
    assert.deepEqual(texts(all.events), ['inbox: for you alone', `inbox: hello @${bot.username}`, 'inbox: and in this thread']);
    assert.deepEqual(texts((await cli('inbox', '--reason', 'direct')).events), ['inbox: for you alone']);
    const first = await cli('inbox', '--unseen', '--mark-seen', '--limit', '2');
    assert.deepEqual(texts(first.events), ['inbox: for you alone', `inbox: hello @${bot.username}`]);
    assert.equal(first.more, true);
    const second = await cli('inbox', '--unseen', '--mark-seen', '--limit', '2');
    assert.deepEqual(texts(second.events), ['inbox: and in this thread']);
    assert.equal(second.more, false);
    assert.deepEqual((await cli('inbox', '--unseen')).events, []);
    assert.equal((await cli('inbox', '--unseen', '--reader', 'another')).events.length, 3);

    const unread = async (channel) => {
      const answer = await fetch(`${server.url}/api/v4/users/me/channels/${channel.id}/unread`, { headers: { Authorization: `Bearer ${bot.token}` } });
      return (await answer.json()).msg_count;
    };
    assert.equal(await unread(direct), 1);
    const read = await cli('inbox', '--mark-read');
    assert.equal(read.read, 2);
    assert.equal(await unread(direct), 0);
  });

  test('missed counts by channel and says whether the journal is complete', async (t) => {
    await daemonFor(t);
    const since = new Date(Date.now() - 3000).toISOString();
    await ann.post(world.channel, 'missed one');
    const last = await bob.post(world.channel, `missed two @${bot.username}`);
    await journaled(last);
    const missed = await cli('missed', '--since', since);
    const channel = missed.channels.find((c) => c.channel_id === world.channel.id);
    assert.ok(channel.posts >= 2);
    assert.ok(channel.mentions >= 1);
    assert.equal(channel.channel_name, world.channel.name);
    assert.equal(channel.last_at, last.create_at);
    assert.equal(typeof missed.complete, 'boolean');
    assert.ok(missed.covered_until > 0);
    assert.deepEqual((await cli('missed', '--since', '2026-01-01T00:00:00Z', '--until', '2026-01-02T00:00:00Z')).channels, []);
    await refused(2, /--since/, 'missed');
    await refused(2, /--since/, 'missed', '--since', 'soon');
  });
});

describe('what the journal keeps', () => {
  test('retention is read from the configuration; status shows what the store does', async (t) => {
    const own = await Daemon.start({ bots: [botConfig(world)], daemon: { retention: { age: '90d', count: 100000, done_age: '7d' } } });
    t.after(() => own.close());
    const { store } = (await own.cli('status')).json;
    for (const name of ['indexed_id', 'pruned_events', 'pruned_work']) assert.ok(Number.isInteger(store[name]), name);
    assert.equal(store.prune_held, false);
    await own.configure({ bots: [botConfig(world)], daemon: { retention: { age: '10d' } } });
    const reload = await own.cli('reload');
    assert.equal(reload.code, 1);
    assert.match(reload.stderr, /retention/);
    await own.configure({ bots: [botConfig(world)], daemon: { retention: { age: '1s', cont: 5 } } });
    const check = await own.cli('check');
    assert.equal(check.code, 2);
    assert.match(check.stderr, /`age`/);
    assert.match(check.stderr, /`count`/);
  });
});
