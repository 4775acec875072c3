// The order of the world: what people and administrators do at awkward moments. Nothing is lost or answered twice, and an answer that
// has no place any more is a failure that people see.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lib/client.mjs';
import { answeredOnce, echo, say } from '../lib/answers.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { appears, memory } from '../lib/machine.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

let server, world, ann, bob, bot;
const turn = ': >"begun-$MATTERWIRE_CHANNEL_ID"; while [ ! -e go ]; do sleep 0.02; done; printf "re: %s" "$MATTERWIRE_TEXT"';

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bob, bot } = world);
  await Promise.all([ann.listen(), bob.listen()]);
});

after(async () => {
  await world?.close();
  await server?.close();
});

async function daemonFor(t, more = {}, script = echo) {
  const daemon = await Daemon.start({
    bots: [botConfig(world, bot, { handler: 'echo', channels: [], ...more })],
    handlers: { echo: { type: 'command', command: ['./echo'] } },
  }, { scripts: { echo: script } });
  t.after(() => daemon.close());
  return daemon;
}

const answered = (posts, ms) => answeredOnce(ann, bot, posts, ms);
const status = async (daemon) => (await daemon.cli('status', '--json')).json;

// The journal of one channel, once it has the post `last`.
async function journal(t, daemon, channel, last, ...kinds) {
  const stream = daemon.spawn('stream', '--since', '0', ...kinds.flatMap((k) => ['--kind', k]));
  t.after(() => stream.stop('SIGINT'));
  await stream.line((l) => l.includes(last), `the event of ${last}`);
  return stream.stdout.items.map((l) => JSON.parse(l)).filter((e) => e.channel_id === channel.id && e.user_id !== server.admin.user.id);
}

describe('posts', () => {
  test('many in one millisecond, with a cut among them: each is in the journal once', sandboxOnly, async (t) => {
    const daemon = await daemonFor(t, { handler: undefined });
    const channel = await world.newChannel();
    const flood = (count) => server.control('/flood', { channel_id: channel.id, user_id: ann.user.id, count });
    await flood(300); // while it listens
    await server.control('/sockets', { action: 'reset', user: bot.id });
    await flood(700); // while it comes back
    await daemon.stop();
    await flood(300); // while it is away
    const last = await ann.post(channel, 'behind the floods');
    await daemon.start();
    const events = await journal(t, daemon, channel, last.id, 'post');
    assert.equal(events.length, 1301);
    assert.equal(new Set(events.map((e) => e.post_id)).size, 1301);
    const times = new Set(events.map((e) => e.at));
    assert.ok(times.size < 1301, 'some share their millisecond');
  });

  test('written, edited and deleted while nobody listens: the last word counts, once', async (t) => {
    const daemon = await daemonFor(t);
    const channel = await world.newChannel();
    const [known] = await say(ann, channel, 1, 'known');
    await answered([known]);
    await daemon.stop();
    const [one, two, three] = await say(ann, channel, 3, 'away');
    await ann.rest.patchPost({ id: three.id, message: 'away 2, edited' });
    // Paging by time of change gives these edits before the posts of the same gap.
    await ann.rest.patchPost({ id: one.id, message: 'away 0, edited' });
    await ann.rest.patchPost({ id: one.id, message: 'away 0, edited twice' });
    await ann.rest.patchPost({ id: known.id, message: 'known, edited' });
    await ann.rest.deletePost(two.id);
    await daemon.start();
    await answered([{ ...one, message: 'away 0, edited twice' }, { ...three, message: 'away 2, edited' }]);
    const events = await journal(t, daemon, channel, known.id, 'post', 'post_edited', 'post_deleted');
    const of = (post) => events.filter((e) => e.post_id === post.id).map((e) => e.kind);
    assert.equal(of(one).filter((k) => k === 'post').length, 1);
    assert.equal(of(three).filter((k) => k === 'post').length, 1);
    for (const old of ['re: away 0', 're: away 1', 're: away 2']) {
      assert.ok(!ann.events.items.some((e) => e.data?.post?.message === old && e.data.post.channel_id === channel.id), old);
    }
  });

  test('5,000 missed in one channel: all are there, in order, and the one for the bot is answered', sandboxOnly, async (t) => {
    const daemon = await daemonFor(t, { mention_only: true });
    const channel = await world.newChannel();
    await daemon.stop();
    await server.control('/flood', { channel_id: channel.id, user_id: ann.user.id, count: 2500 });
    const asked = await ann.post(channel, `@${bot.username} in the flood`);
    await server.control('/flood', { channel_id: channel.id, user_id: ann.user.id, count: 2500 });
    const last = await ann.post(channel, 'behind the flood');
    await daemon.start({ online: false });
    const answer = await ann.hears((p) => p.root_id === asked.id && p.user_id === bot.id, 'the answer');
    assert.match(answer.message, /in the flood/);
    const events = (await journal(t, daemon, channel, last.id, 'post')).filter((e) => e.user_id !== bot.id);
    assert.equal(events.length, 5002);
    assert.equal(new Set(events.map((e) => e.post_id)).size, 5002);
    for (let i = 1; i < events.length; i++) assert.ok(events[i - 1].at <= events[i].at, 'in the order of the channel');
  });
});

// The answer has no place any more. It is a failure that is told, and the bot goes on.
describe('an answer without a place', () => {
  const causes = {
    'its post was deleted': async (channel, post) => {
      await ann.rest.deletePost(post.id);
    },
    'the root of its thread was deleted': async (channel, post) => {
      await ann.rest.deletePost(post.root_id);
    },
    'the bot was removed from the channel': async (channel) => {
      await server.admin.rest.removeFromChannel(bot.id, channel.id);
    },
    'the channel was archived': async (channel) => {
      await server.admin.rest.deleteChannel(channel.id);
    },
  };
  for (const [name, spoil] of Object.entries(causes)) {
    test(`${name} while the handler worked`, async (t) => {
      const daemon = await daemonFor(t, {}, turn);
      const channel = await world.newChannel();
      const root = await bob.post(world.channel, 'unrelated').then(() => ann.rest.createPost({ channel_id: channel.id, message: 'a root' }));
      await appears(path.join(daemon.folder, `begun-${channel.id}`));
      const post = name.includes('thread') ? await ann.post(channel, 'a reply', { root_id: root.id }) : root;
      await spoil(channel, post);
      await writeFile(path.join(daemon.folder, 'go'), '');
      const entry = await daemon.logged('not delivered', (e) => e.channel === channel.id);
      assert.match(entry.reason, /\S+ \S+/);
      await answered(await say(ann, world.channel, 2, `elsewhere: ${name}`));
      // The others end when they end: what is unrelated, and a reply behind its root.
      await eventually(async () => {
        const [{ outbox, tasks }] = (await status(daemon)).bots;
        assert.ok(outbox.failed >= 1, 'it is counted');
        assert.equal(outbox.pending + outbox.sending, 0, `nothing hangs: ${JSON.stringify(outbox)}`);
        assert.equal(tasks.pending, 0, JSON.stringify(tasks));
      });
    });
  }
});

describe('channels', () => {
  test('the bot is removed and added again: it hears on, and nothing is answered twice', async (t) => {
    const daemon = await daemonFor(t);
    const channel = await world.newChannel();
    const before = await say(ann, channel, 2, 'inside');
    await answered(before);
    await server.admin.rest.removeFromChannel(bot.id, channel.id);
    await say(ann, channel, 1, 'outside');
    await server.admin.rest.addToChannel(bot.id, channel.id);
    await answered(await say(ann, channel, 2, 'inside again'));
    // The same while it is away.
    await daemon.stop();
    await server.admin.rest.removeFromChannel(bot.id, channel.id);
    await server.admin.rest.addToChannel(bot.id, channel.id);
    const posts = await say(ann, channel, 2, 'inside, away');
    await daemon.start();
    await answered([...before, ...posts]);
  });

  test('archived and brought back: what is said then is answered', async (t) => {
    const daemon = await daemonFor(t);
    const channel = await world.newChannel();
    await answered(await say(ann, channel, 1, 'open'));
    await server.admin.rest.deleteChannel(channel.id);
    await answered(await say(ann, world.channel, 1, 'elsewhere, archived'));
    await server.admin.rest.unarchiveChannel(channel.id);
    await answered(await say(ann, channel, 1, 'open again'));
    await server.admin.rest.deleteChannel(channel.id);
    await daemon.stop();
    await daemon.start();
    await answered(await say(ann, world.channel, 1, 'elsewhere, archived and started'));
  });

  test('a direct message channel that is opened while the socket is down', sandboxOnly, async (t) => {
    const daemon = await daemonFor(t, { mention_only: true });
    await server.control('/upgrades', { action: 'refuse', status: 502, body: 'x', count: 2 });
    await server.control('/sockets', { action: 'lose', user: bot.id });
    await daemon.state('helper', 'waiting');
    const direct = await bob.rest.createDirectChannel([bob.user.id, bot.id]);
    const posts = await say(bob, direct, 2, 'opened while away');
    await answeredOnce(bob, bot, posts);
    assert.equal((await status(daemon)).bots[0].tasks.failed, 0);
  });

  test('2,000 of them: a catch-up asks those with news first, and each of the others once', { ...sandboxOnly, timeout: 400_000 }, async (t) => {
    const own = await World.open(server, { people: ['ada'], bots: ['wide'] });
    t.after(() => own.close());
    const { ada, wide } = own;
    await ada.listen();
    const channels = [];
    for (let at = 0; at < 2000; at += 50) {
      channels.push(...(await Promise.all(Array.from({ length: 50 }, async (_, i) => {
        const channel = await ada.rest.createChannel({ team_id: own.team.id, name: `wide-${at + i}`, display_name: 'x', type: 'O' });
        await ada.rest.addToChannel(wide.id, channel.id);
        return channel;
      }))));
    }
    const calls = async () => (await server.control('/state')).calls;
    const daemon = await Daemon.start({
      bots: [botConfig(own, wide, { handler: 'echo', channels: [] })],
      handlers: { echo: { type: 'command', command: ['./echo'] } },
    }, { scripts: { echo } });
    t.after(() => daemon.close());
    await answeredOnce(ada, wide, await say(ada, channels[7], 1, 'wide, first'));
    await daemon.stop();
    const posts = [];
    for (let i = 0; i < 40; i++) posts.push(...(await say(ada, channels[i * 50], 1, `wide ${i}`)));
    const before = await calls();
    await daemon.start();
    for (const post of posts) {
      await ada.hears((p) => p.user_id === wide.id && p.message === `re: ${post.message}`, post.message);
    }
    const members = await eventually(async () => {
      const [{ session }] = (await status(daemon)).bots;
      assert.ok(session.member_of, 'the end of the catch-up');
      return session.member_of;
    });
    assert.ok(members >= 2000, `member of ${members}`);
    // For each channel with news a page or two and the answer, then one look at every other for edits and deletions.
    const made = (await calls()) - before;
    assert.ok(made < members + 40 * 6 + 100, `${made} calls`);
    assert.ok((await memory(daemon.program.child.pid)) < 200 * 1024 * 1024);
    await answeredOnce(ada, wide, posts);
  });
});

describe('names', () => {
  test('what was renamed while the connection was down is known by its new name', sandboxOnly, async (t) => {
    const daemon = await daemonFor(t, { mention_only: true }, 'printf "%s: %s" "$MATTERWIRE_USER_NAME" "$MATTERWIRE_TEXT"');
    const names = [bot.username, bob.user.username];
    await bob.post(world.channel, `@${names[0]} one`);
    await ann.hears((p) => p.user_id === bot.id && p.message === `${names[1]}: @${names[0]} one`);
    await server.control('/upgrades', { action: 'refuse', status: 502, body: 'x', count: 2 });
    await server.control('/sockets', { action: 'lose', user: bot.id });
    await daemon.state('helper', 'waiting');
    await server.admin.rest.patchBot(bot.id, { username: `re-${names[0]}` });
    await bob.rest.patchMe({ username: `re-${names[1]}` });
    t.after(async () => {
      await server.admin.rest.patchBot(bot.id, { username: names[0] });
      await bob.rest.patchMe({ username: names[1] });
    });
    await bob.post(world.channel, `@re-${names[0]} two`);
    await ann.hears((p) => p.user_id === bot.id && p.message === `re-${names[1]}: @re-${names[0]} two`);
  });

  test('a person who is renamed is known by the new name, and stays allowed', async (t) => {
    const daemon = await daemonFor(t, { allowed_users: [`@${bob.user.username}`] }, 'printf "%s: %s" "$MATTERWIRE_USER_NAME" "$MATTERWIRE_TEXT"');
    const old = bob.user.username;
    await bob.post(world.channel, 'by the old name');
    await ann.hears((p) => p.user_id === bot.id && p.message === `${old}: by the old name`);
    const renamed = `re-${old}`;
    await bob.rest.patchMe({ username: renamed });
    t.after(() => bob.rest.patchMe({ username: old }));
    await bob.post(world.channel, 'by the new name');
    await ann.hears((p) => p.user_id === bot.id && p.message === `${renamed}: by the new name`);
    // After a restart the name in the config is nobody's: that is told, and nothing is answered by mistake.
    await daemon.stop();
    await daemon.start();
    await daemon.logged('a name in the config does not work', (e) => e.name.includes(old));
  });

  test('a bot that is renamed answers to its new name', async (t) => {
    await daemonFor(t, { mention_only: true });
    const old = bot.username;
    await ann.post(world.channel, `@${old} one`);
    await ann.hears((p) => p.user_id === bot.id && p.message === `re: @${old} one`);
    const renamed = `re-${old}`;
    await server.admin.rest.patchBot(bot.id, { username: renamed });
    t.after(() => server.admin.rest.patchBot(bot.id, { username: old }));
    await ann.post(world.channel, `@${renamed} two`);
    await ann.hears((p) => p.user_id === bot.id && p.message === `re: @${renamed} two`);
  });
});
