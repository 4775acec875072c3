// Nothing that is said while nobody listens is lost, and nothing is answered twice. Works on a real server too.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answeredOnce, echo as echoScript, say as sayAs } from '../lib/answers.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

let server, world, ann, bot;
const echo = { scripts: { echo: echoScript } };
const handlers = { echo: { type: 'command', command: ['./echo'] } };

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bot } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

async function daemonFor(t, more = {}) {
  const daemon = await Daemon.start({ bots: [botConfig(world, bot, { handler: 'echo', channels: [], ...more })], handlers }, echo);
  t.after(() => daemon.close());
  return daemon;
}

const assertAnsweredOnce = (posts) => answeredOnce(ann, bot, posts);
const say = (channel, n, tag) => sayAs(ann, channel, n, tag);

test('what was said while the daemon was down is answered once it is up, in order', async (t) => {
  const daemon = await daemonFor(t);
  await assertAnsweredOnce(await say(world.channel, 3, 'before'));
  await daemon.stop();
  const missed = await say(world.channel, 30, 'missed');
  const direct = await ann.rest.createDirectChannel([ann.user.id, bot.id]);
  const whispers = await say(direct, 2, 'whispered');
  await daemon.start();
  await assertAnsweredOnce([...missed, ...whispers]);
});

test('kill -9 loses nothing and doubles nothing', async (t) => {
  const daemon = await daemonFor(t);
  const posts = await say(world.channel, 10, 'killed');
  await ann.hears((p) => p.message === 're: killed 0');
  await daemon.program.kill('SIGKILL');
  posts.push(...(await say(world.channel, 5, 'dead')));
  await daemon.start();
  await assertAnsweredOnce(posts);
});

test('a first start does not answer what was said before it', async (t) => {
  const old = await say(world.channel, 3, 'ancient');
  await daemonFor(t);
  await assertAnsweredOnce(await say(world.channel, 1, 'modern'));
  for (const post of old) assert.ok(!ann.events.items.some((e) => e.data?.post?.message === `re: ${post.message}`));
});

test('edits and deletes of the gap are in the journal', async (t) => {
  const daemon = await daemonFor(t);
  const [kept, doomed] = await say(world.channel, 2, 'gap');
  await assertAnsweredOnce([kept, doomed]);
  await daemon.stop();
  await ann.rest.patchPost({ id: kept.id, message: 'gap, edited' });
  await ann.rest.deletePost(doomed.id);
  await daemon.start();
  const stream = daemon.spawn('stream', '--since', '0', '--kind', 'post_edited', '--kind', 'post_deleted');
  t.after(() => stream.stop());
  const edited = JSON.parse(await stream.line((l) => l.includes(kept.id), 'the edit'));
  assert.equal(edited.kind, 'post_edited');
  assert.equal(edited.text, 'gap, edited');
  const deleted = JSON.parse(await stream.line((l) => l.includes(doomed.id), 'the deletion'));
  assert.equal(deleted.kind, 'post_deleted');
});

test('a channel that the bot was added to while away is heard', async (t) => {
  const daemon = await daemonFor(t);
  await assertAnsweredOnce(await say(world.channel, 1, 'here'));
  await daemon.stop();
  const channel = await ann.rest.createChannel({ team_id: world.team.id, name: `n${Date.now()}`, display_name: 'new', type: 'O' });
  await ann.rest.addToChannel(bot.id, channel.id);
  const posts = await say(channel, 3, 'new channel');
  await daemon.start();
  await assertAnsweredOnce(posts);
});

test('a reload right after the first start loses nothing, in a channel that is new to the bot either', async (t) => {
  const daemon = await daemonFor(t, { channels: [world.channel.id] });
  const channel = await world.newChannel();
  await daemon.configure({ bots: [botConfig(world, bot, { handler: 'echo', channels: [] })], handlers });
  assert.equal((await daemon.cli('reload')).code, 0);
  await assertAnsweredOnce(await say(channel, 3, 'behind the reload'));
});

test('the poll transport hears the same', async (t) => {
  await daemonFor(t, { transport: 'poll', poll_interval: '500ms' });
  await assertAnsweredOnce(await say(world.channel, 5, 'polled'));
});

test('more posts than one answer of the server holds', sandboxOnly, async (t) => {
  const daemon = await daemonFor(t, { handler: undefined });
  await daemon.stop();
  await server.control('/flood', { channel_id: world.channel.id, user_id: ann.user.id, count: 2500 });
  const last = await ann.post(world.channel, 'behind the flood');
  await daemon.start();
  const stream = daemon.spawn('stream', '--since', '0', '--kind', 'post');
  t.after(() => stream.stop('SIGINT'));
  await stream.line((l) => l.includes(last.id), 'the last post');
  const events = stream.stdout.items.map((l) => JSON.parse(l)).filter((e) => e.channel_id === world.channel.id);
  assert.equal(events.length, 2501);
  assert.equal(new Set(events.map((e) => e.post_id)).size, 2501);
  for (let i = 1; i < events.length; i++) assert.ok(events[i - 1].at <= events[i].at, 'in the order of the channel');
});

// What breaks a connection, and that nothing is lost by it.
const breaks = {
  'a TCP reset': () => server.control('/sockets', { action: 'reset', user: bot.id }),
  'an end without a close frame': () => server.control('/sockets', { action: 'drop', user: bot.id }),
  'a close frame': () => server.control('/sockets', { action: 'close', user: bot.id, at: 1001 }),
  'a frame that is cut in the middle': async () => {
    await server.control('/sockets', { action: 'cut', user: bot.id, at: 100 });
    await ann.post(world.channel, 'cut');
  },
  'a gap in the sequence': () => server.control('/sockets', { action: 'skip', user: bot.id, count: 3 }),
  'a hello with another id': () => server.control('/sockets', { action: 'hello', user: bot.id }),
  'a connection that the server forgot': () => server.control('/sockets', { action: 'lose', user: bot.id }),
  'a restart of the server': async () => {
    // She loses her connection, too.
    const gone = new Promise((resolve) => ann.socket.addCloseListener(resolve));
    await server.control('/restart', {});
    await gone;
    ann.close();
    await ann.listen();
  },
};
for (const [name, breakIt] of Object.entries(breaks)) {
  test(`${name} loses nothing`, sandboxOnly, async (t) => {
    await daemonFor(t);
    await assertAnsweredOnce(await say(world.channel, 2, `${name}, before`));
    await breakIt();
    await assertAnsweredOnce(await say(world.channel, 5, `${name}, after`));
  });
}

test('upgrades that are refused by a proxy are waited out', sandboxOnly, async (t) => {
  const daemon = await daemonFor(t);
  await server.control('/upgrades', { action: 'refuse', status: 502, body: '<html>bad gateway</html>', count: 2 });
  await server.control('/sockets', { action: 'lose', user: bot.id });
  await daemon.state('helper', 'waiting');
  await assertAnsweredOnce(await say(world.channel, 3, 'behind the proxy'));
});

test('a server that hangs up at once is not stormed', sandboxOnly, async (t) => {
  await daemonFor(t);
  await server.control('/upgrades', { action: 'hang_up', count: 3 });
  await server.control('/sockets', { action: 'lose', user: bot.id });
  await assertAnsweredOnce(await say(world.channel, 3, 'hung up on'));
});

// What may happen to the post of an answer, and that it is there once in the end.
const answers = {
  'a 500 before it was stored': { action: 'fail', status: 500 },
  'a 503 with Retry-After': { action: 'fail', status: 503, retry_after: 1 },
  'a 429': { action: 'fail', status: 429, retry_after: 1, content_type: 'text/plain', body: 'limit exceeded' },
  'stored, then a 500': { action: 'store_fail', status: 500 },
  'stored, then a 504 with HTML': { action: 'store_fail', status: 504, content_type: 'text/html', body: '<html>' },
  'stored, the answer cut': { action: 'cut', at: 20 },
  'stored, no answer': { action: 'abort' },
};
for (const [name, rule] of Object.entries(answers)) {
  test(`an answer is posted once: ${name}`, sandboxOnly, async (t) => {
    await daemonFor(t);
    await assertAnsweredOnce(await say(world.channel, 1, `${name}, before`));
    const { id } = await server.control('/rules', { method: 'POST', path: '/api/v4/posts', skip: 1, ...rule });
    // The rule lets this post of a person pass (skip) and meets the answer to it.
    const [post] = await say(world.channel, 1, name);
    await server.control(`/wait?rule=${id}&hits=1`);
    await assertAnsweredOnce([post]);
  });
}

test('a revoked token is a state; given back, what was missed is answered', sandboxOnly, async (t) => {
  const daemon = await daemonFor(t);
  await server.control('/tokens', { action: 'revoke', user: bot.id });
  await daemon.state('helper', 'unauthorized');
  const missed = await say(world.channel, 2, 'while locked out');
  await server.control('/tokens', { action: 'restore', user: bot.id });
  // The daemon asks again slowly by itself; a person who gave the token back says so.
  assert.equal((await daemon.cli('reload')).code, 0);
  await assertAnsweredOnce(missed);
});
