// A bot that answers: what triggers it, where the answer goes, what it looks like.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World } from '../lib/server.mjs';

let server, world, ann, bob, bot;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { bots: ['bot', 'other'] });
  ({ ann, bob, bot } = world);
  await Promise.all([ann.listen(), bob.listen()]);
});

after(async () => {
  await world?.close();
  await server?.close();
});

const handler = (name, more = {}) => ({ [name]: { type: 'command', command: [`./${name}`], ...more } });

// Starts a daemon for the test that calls this, and stops it when the test is over.
async function daemonFor(t, bots, handlers, options) {
  const daemon = await Daemon.start({ bots, handlers }, options);
  t.after(() => daemon.close());
  return daemon;
}

// Everything of the bot's that answers `post`; `marker` is posted and answered afterwards, so that what would have come has come.
async function answersTo(post, marker) {
  await ann.hearsAnswer(bot, marker);
  return ann.events.items
    .filter((e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.root_id === (post.root_id || post.id))
    .map((e) => e.data.post);
}

describe('what triggers', () => {
  test('a post is answered in its thread, a reply in the same thread, a direct message too', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'echo', channels: [] })], handler('echo'), {
      scripts: { echo: 'printf "you said: %s" "$MATTERWIRE_TEXT"' },
    });
    const post = await ann.post(world.channel, 'hello bot');
    const answer = await ann.hearsAnswer(bot, post);
    assert.equal(answer.message, 'you said: hello bot');
    assert.equal(answer.root_id, post.id);
    assert.equal(answer.props.from_bot, 'true');

    const reply = await bob.post(world.channel, 'and again', { root_id: post.id });
    assert.equal((await ann.hears((p) => p.message === 'you said: and again')).root_id, reply.root_id);

    const direct = await ann.rest.createDirectChannel([ann.user.id, bot.id]);
    const whisper = await ann.post(direct, 'psst');
    const whispered = await ann.hears((p) => p.channel_id === direct.id && p.message === 'you said: psst');
    assert.ok(whispered.root_id === whisper.id || whispered.root_id === '');
  });

  test('mention_only: mentions and direct messages, nothing else', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'yes', mention_only: true, channels: [] })], handler('yes'), {
      scripts: { yes: 'echo yes' },
    });
    const plain = await ann.post(world.channel, 'nobody asked you');
    const coded = await ann.post(world.channel, `in code: \`@${bot.username}\``);
    const other = await ann.post(world.channel, `@${bot.username}x is somebody else`);
    const mention = await ann.post(world.channel, `Well, @${bot.username.toUpperCase()}: you there?`);
    for (const post of [plain, coded, other]) assert.deepEqual(await answersTo(post, mention), []);
    const direct = await ann.rest.createDirectChannel([ann.user.id, bot.id]);
    await ann.post(direct, 'no mention needed here');
    await ann.hears((p) => p.channel_id === direct.id && p.user_id === bot.id && p.message === 'yes');
  });

  test('allowed_users: by @name and by id; others trigger nothing; an empty list is nobody', async (t) => {
    const daemon = await daemonFor(t,
      [botConfig(world, bot, { handler: 'yes', allowed_users: [`@${ann.user.username}`] })], handler('yes'),
      { scripts: { yes: 'echo yes' } });
    const refused = await bob.post(world.channel, 'may I?');
    const granted = await ann.post(world.channel, 'I may');
    assert.deepEqual(await answersTo(refused, granted), []);

    await daemon.configure({
      bots: [botConfig(world, bot, { handler: 'yes', allowed_users: [bob.user.id] })], handlers: handler('yes'),
    });
    assert.equal((await daemon.cli('reload')).code, 0);
    const now = await bob.post(world.channel, 'and now?');
    await bob.hearsAnswer(bot, now);
  });

  test('other bots, system posts and webhooks-by-props trigger nothing', async (t) => {
    const daemon = await daemonFor(t, [botConfig(world, bot, { handler: 'yes' })], handler('yes'), {
      scripts: { yes: 'echo yes' },
    });
    const { Person } = await import('../lib/client.mjs');
    const other = await Person.withToken(server.url, world.other.token);
    const fromBot = await other.post(world.channel, 'I am a bot');
    const fromHook = await ann.post(world.channel, 'I am a hook', { props: { from_webhook: 'true' } });
    await ann.rest.patchChannel(world.channel.id, { header: `header ${Date.now()}` });
    const system = await ann.hears((p) => p.type === 'system_header_change' && p.channel_id === world.channel.id);
    const marker = await ann.post(world.channel, 'I am a person');
    for (const post of [fromBot, fromHook, system]) assert.deepEqual(await answersTo(post, marker), []);
    // They are journaled and marked all the same.
    const history = (await daemon.cli('history', '--channel', world.channel.id, '--json')).json.events;
    const byId = Object.fromEntries(history.map((e) => [e.post_id, e]));
    assert.equal(byId[fromBot.id].from_bot, true);
    assert.equal(byId[fromHook.id].from_webhook, true);
    assert.equal(byId[system.id].system, true);
  });

  test('only the configured channels, by name', async (t) => {
    const quiet = await world.newChannel();
    await daemonFor(t, [botConfig(world, bot, { handler: 'yes', channels: [`${world.team.name}/${world.channel.name}`] })],
      handler('yes'), { scripts: { yes: 'echo yes' } });
    const unheard = await ann.post(quiet, 'not here');
    const heard = await ann.post(world.channel, 'but here');
    assert.deepEqual(await answersTo(unheard, heard), []);
  });
});

describe('the handler', () => {
  test('gets the event as JSON and as variables, and only the named environment', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'show' })],
      handler('show', { env: { GREETING: 'good day' }, env_inherit: ['FROM_OUTSIDE'] }),
      { scripts: { show: 'cat; echo; env' }, env: { FROM_OUTSIDE: 'let in', SECRET_OUTSIDE: 'kept out' } });
    const post = await ann.post(world.channel, 'a "quoted" text');
    const answer = await ann.hearsAnswer(bot, post);
    const [first, ...lines] = answer.message.split('\n');
    const event = JSON.parse(first);
    assert.equal(event.kind, 'post');
    assert.equal(event.post_id, post.id);
    assert.equal(event.text, 'a "quoted" text');
    assert.equal(event.user_id, ann.user.id);
    assert.equal(event.user_name, ann.user.username);
    assert.equal(event.channel_id, world.channel.id);
    assert.equal(event.channel_name, world.channel.name);
    assert.equal(event.channel_type, 'O');
    assert.equal(event.bot, 'helper');
    assert.ok(Number.isInteger(event.id) && event.id > 0);
    const env = Object.fromEntries(lines.filter((l) => l.includes('=')).map((l) => [l.slice(0, l.indexOf('=')), l.slice(l.indexOf('=') + 1)]));
    assert.equal(env.GREETING, 'good day');
    assert.equal(env.FROM_OUTSIDE, 'let in');
    assert.equal(env.SECRET_OUTSIDE, undefined);
    assert.equal(env.MATTERWIRE_POST_ID, post.id);
    assert.equal(env.MATTERWIRE_TEXT, 'a "quoted" text');
  });

  test('a failure, a time-out and an empty answer are counted, and the next event is served', async (t) => {
    const daemon = await daemonFor(t, [botConfig(world, bot, { handler: 'moody' })], handler('moody', { timeout: '3s' }), {
      scripts: {
        moody: 'case "$MATTERWIRE_TEXT" in fail) echo oops >&2; exit 3;; hang) sleep 600;; empty) ;; *) echo fine;; esac',
      },
    });
    for (const word of ['fail', 'hang', 'empty', 'work']) {
      const post = await ann.post(world.channel, word);
      if (word === 'work') await ann.hearsAnswer(bot, post);
    }
    await daemon.logged('the handler failed');
    await daemon.logged('the handler took too long');
    await daemon.logged('the handler had no answer');
    const status = (await daemon.cli('status', '--json')).json;
    const counts = status.handlers.find((h) => h.name === 'moody');
    assert.equal(counts.answered, 1);
    assert.equal(counts.failed, 1);
    assert.equal(counts.timeout, 1);
    assert.equal(counts.empty, 1);
  });

  test('answers of one thread keep their order while threads run side by side', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'gate' })], handler('gate', { concurrency: 4 }), {
      // The first event waits for a file that only the handler of another thread makes.
      scripts: {
        gate: 'case "$MATTERWIRE_TEXT" in wait*) while [ ! -e open ]; do sleep 0.02; done;; open*) touch open;; esac; echo "done $MATTERWIRE_TEXT"',
      },
    });
    const first = await ann.post(world.channel, 'wait one');
    const second = await ann.post(world.channel, 'two', { root_id: first.id });
    const elsewhere = await bob.post(world.channel, 'open');
    await ann.hearsAnswer(bot, elsewhere);
    const two = await ann.hears((p) => p.message === 'done two');
    const one = await ann.hears((p) => p.message === 'done wait one');
    assert.equal(two.root_id, first.id);
    assert.ok(one.create_at <= two.create_at);
    const order = ann.events.items.filter((e) => e.event === 'posted' && [one.id, two.id].includes(e.data.post.id)).map((e) => e.data.post.id);
    assert.deepEqual(order, [one.id, two.id]);
    assert.equal(second.root_id, first.id);
  });

  test('a long answer becomes several posts, a very long one a file', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'long' })], handler('long'), {
      scripts: { long: 'seq -f "line %06g of a long answer" 1 "$MATTERWIRE_TEXT"' },
    });
    const post = await ann.post(world.channel, '2000');
    const expected = Array.from({ length: 2000 }, (_, i) => `line ${String(i + 1).padStart(6, '0')} of a long answer`).join('\n');
    const isAnswer = (e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.root_id === post.id;
    const parts = (await ann.events.count(4, isAnswer, 'four parts')).map((e) => e.data.post.message);
    assert.equal(parts.join('\n'), expected);
    assert.ok(parts.every((p) => [...p].length <= 16383));

    const big = await ann.post(world.channel, '9000');
    const answer = await ann.hearsAnswer(bot, big);
    assert.equal(answer.file_ids.length, 1);
    const file = await fetch(`${server.url}/api/v4/files/${answer.file_ids[0]}`, { headers: { Authorization: `Bearer ${ann.token}` } });
    const text = await file.text();
    assert.ok(text.startsWith('line 000001') && text.trimEnd().endsWith('line 009000 of a long answer'));
  });

  test('typing is shown while it runs', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'slow' })], handler('slow'), {
      scripts: { slow: 'while [ ! -e go ]; do sleep 0.02; done; echo done' },
    }).then(async (daemon) => {
      const post = await ann.post(world.channel, 'take your time');
      await ann.events.find((e) => e.event === 'typing' && e.data.user_id === bot.id, 'typing');
      const { writeFile } = await import('node:fs/promises');
      await writeFile(`${daemon.folder}/go`, '');
      await ann.hearsAnswer(bot, post);
    });
  });

  test('thread_replies: false answers in the channel', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'yes', thread_replies: false })], handler('yes'), {
      scripts: { yes: 'echo "in the channel: $MATTERWIRE_TEXT"' },
    });
    await ann.post(world.channel, 'hi there');
    const answer = await ann.hears((p) => p.message === 'in the channel: hi there');
    assert.equal(answer.root_id, '');
  });

  test('password sign-in works like a token', async (t) => {
    const { password } = await import('../lib/server.mjs');
    const config = botConfig(world, bot, { name: 'person', login: bob.user.username, password, handler: 'yes' });
    delete config.bot_token;
    await daemonFor(t, [config], handler('yes'), { scripts: { yes: 'echo from bob' } });
    const post = await ann.post(world.channel, 'who is there?');
    const answer = await ann.hears((p) => p.root_id === post.id && p.message === 'from bob');
    assert.equal(answer.user_id, bob.user.id);
  });
});
