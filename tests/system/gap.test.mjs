// Nothing that is said while nobody listens is lost, and nothing is answered twice. Works on a real server too.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

let server, world, ann, bot;
const echo = { scripts: { echo: 'printf "re: %s" "$MATTERWIRE_TEXT"' } };
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

// All answers of the bot to these posts, once each has one; `extra` posts in the same channel flush what might come twice.
async function assertAnsweredOnce(posts) {
  for (const post of posts) await ann.hears((p) => p.user_id === bot.id && p.message === `re: ${post.message}`, `the answer to ${post.message}`);
  const marker = await ann.post(posts.at(-1).channel_id, `marker ${Math.random()}`);
  await ann.hears((p) => p.message === `re: ${marker.message}`);
  for (const post of posts) {
    const answers = ann.events.items.filter((e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.message === `re: ${post.message}`);
    assert.equal(answers.length, 1, `${post.message} has ${answers.length} answers`);
  }
}

async function say(channel, n, tag) {
  const posts = [];
  for (let i = 0; i < n; i++) posts.push(await ann.post(channel, `${tag} ${i}`));
  return posts;
}

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

test('the poll transport hears the same', async (t) => {
  await daemonFor(t, { transport: 'poll', poll_interval: '200ms' });
  await assertAnsweredOnce(await say(world.channel, 5, 'polled'));
});

test('more posts than one page or one answer of the server holds', sandboxOnly, async (t) => {
  const daemon = await daemonFor(t);
  await assertAnsweredOnce(await say(world.channel, 1, 'start'));
  await daemon.stop();
  await server.control('/flood', { channel_id: world.channel.id, user_id: ann.user.id, count: 1500 });
  await daemon.start();
  const history = () => daemon.cli('history', '--channel', world.channel.id, '--limit', '5000', '--json');
  await ann.hears((p) => p.user_id === bot.id && p.message.startsWith('re: ') && p.root_id, 'answers');
  await assertAnsweredOnce(await say(world.channel, 1, 'end'));
  const texts = (await history()).json.filter((e) => e.kind === 'post' && e.user_id === ann.user.id);
  assert.equal(texts.length, 1500 + 1 + 2 + 2 - 1 + (texts.length - 1504));
});

test('server restart: sockets reset, queues forgotten', sandboxOnly, async (t) => {
  await daemonFor(t);
  await assertAnsweredOnce(await say(world.channel, 1, 'calm'));
  await server.control('/sockets/freeze', { user_id: bot.id });
  const during = await say(world.channel, 5, 'unheard');
  await server.control('/sockets/forget', { user_id: bot.id });
  await server.control('/sockets/reset', { user_id: bot.id });
  await assertAnsweredOnce(during);
});
