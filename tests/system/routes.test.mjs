// Who may trigger what, where answers go, and what shows while they are made.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

let server, world, ann, bob, bot, other;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { bots: ['bot', 'other'] });
  ({ ann, bob, bot, other } = world);
  await Promise.all([ann.listen(), bob.listen()]);
});

after(async () => {
  await world?.close();
  await server?.close();
});

// A program that runs on and does what the text tells it: one JSON object a line, both ways.
const talker = `#!/usr/bin/python3
import json, sys, threading
def say(**o):
    sys.stdout.write(json.dumps(o) + "\\n"); sys.stdout.flush()
waiting = {}
for line in sys.stdin:
    m = json.loads(line)
    if "cancel" in m or "text" not in m:
        i = m.get("id")
        if i in waiting: say(id=i, none=True)
        continue
    i, text = m["id"], m["text"]
    if text.startswith("stream "):
        say(id=i, delta="first words"); waiting[i] = text
    elif text.startswith("wait"):
        waiting[i] = text
    elif text == "go":
        for j, t in list(waiting.items()):
            say(id=j, text="done: " + t)
        waiting.clear(); say(id=i, none=True)
    elif text.startswith("json "):
        say(id=i, **json.loads(text[5:]))
    elif text.startswith("fail"):
        say(id=i, error="it was told to fail")
    else:
        say(id=i, text="re: " + text)
`;

async function daemonFor(t, bots, handlers, more = {}) {
  const daemon = await Daemon.start(
    { bots, handlers: handlers ?? { talk: { type: 'process', command: ['./talk'], concurrency: 8 } }, ...more },
    { scripts: { talk: talker, one: 'echo one', two: 'echo two', echo: 'printf "re: %s" "$MATTERWIRE_TEXT"' } },
  );
  t.after(() => daemon.close());
  return daemon;
}

const command = (name) => ({ type: 'command', command: [`./${name}`] });
const mention = () => `@${bot.username}`;
const say = (person, text, more) => person.post(world.channel, text, more);
const edited = (person, id, text) =>
  person.events.find((e) => e.event === 'post_edited' && e.data.post.id === id && text.test(e.data.post.message), `the edit ${text}`);
const reacted = (person, id, emoji, event = 'reaction_added') =>
  person.events.find((e) => e.event === event && e.data.reaction.post_id === id && e.data.reaction.emoji_name === emoji, `${event} ${emoji}`);
// What the bot said in the thread of `post`, once the answer to `marker` has come.
async function repliesTo(post, marker, by = ann) {
  await by.hearsAnswer(bot, marker);
  const thread = await by.rest.getPostThread(post.id);
  return Object.values(thread.posts).filter((p) => p.user_id === bot.id).map((p) => p.message);
}

describe('routes', () => {
  test('the first route that fits decides; expressions over text, channel and person', async (t) => {
    await daemonFor(t, [botConfig(world, bot, {
      handler: 'echo',
      routes: [
        { when: `text:match("^deploy") and user_name == "${ann.user.username}"`, handler: 'one' },
        { when: `channel_name == "${world.channel.name}" and text == "two"`, handler: 'two' },
      ],
    })], { echo: command('echo'), one: command('one'), two: command('two') });
    const [a, b, c, d] = [await say(ann, 'deploy it'), await say(bob, 'deploy it'), await say(bob, 'two'), await say(ann, 'else')];
    assert.equal((await ann.hearsAnswer(bot, a)).message, 'one');
    assert.equal((await ann.hearsAnswer(bot, b)).message, 're: deploy it');
    assert.equal((await ann.hearsAnswer(bot, c)).message, 'two');
    assert.equal((await ann.hearsAnswer(bot, d)).message, 're: else');
  });

  test('other kinds of events have routes, too', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { routes: [{ kinds: ['reaction_added'], when: 'text == "rocket"', handler: 'one' }] })],
      { one: command('one') });
    const post = await say(ann, 'launch?');
    await ann.rest.addReaction(ann.user.id, post.id, 'tada');
    await ann.rest.addReaction(ann.user.id, post.id, 'rocket');
    assert.equal((await ann.hearsAnswer(bot, post)).message, 'one');
  });

  test('a route has its own people and place; groups, denied people, team members, channel admins', async (t) => {
    const daemon = await daemonFor(t, [botConfig(world, bot, {
      allowed_users: [],
      routes: [
        { when: 'text == "group"', handler: 'one', allowed_users: ['group:friends'] },
        { when: 'text == "team"', handler: 'one', allowed_users: [`team:${world.team.name}`] },
        { when: 'text == "denied"', handler: 'one', allowed_users: ['*'], denied_users: [`@${bob.user.username}`] },
        { when: 'text == "admins"', handler: 'one', allowed_users: ['channel-admins'] },
        { when: 'text == "flat"', handler: 'two', allowed_users: ['*'], thread_replies: 'channel' },
        { when: 'true', handler: 'one' },
      ],
    })], { one: command('one'), two: command('two') }, { groups: { friends: [`@${ann.user.username}`] } });
    const no = [await say(bob, 'group'), await say(bob, 'denied'), await say(bob, 'admins'), await say(ann, 'nobody may')];
    const yes = [await say(ann, 'group'), await say(ann, 'denied'), await say(bob, 'team')];
    for (const post of yes) assert.equal((await ann.hearsAnswer(bot, post)).message, 'one');
    for (const post of no) assert.deepEqual(await repliesTo(post, yes[2]), []);
    const flat = await say(ann, 'flat');
    const answer = await ann.hears((p) => p.user_id === bot.id && p.message === 'two' && p.create_at >= flat.create_at);
    assert.equal(answer.root_id, '');
    const status = JSON.parse((await daemon.cli('status', '--json')).stdout);
    assert.equal(status.bots[0].decisions.not_allowed, no.length);
  });

  describe('groups of the server', () => {
    const daemonWith = (t, more) => daemonFor(t, [botConfig(world, bot, { handler: 'one', ...more })], { one: command('one') });
    const untold = 'the server does not tell who may trigger a handler: nobody is let in by that, and nobody past a list of denied people';
    const devs = async (t) => {
      await server.control('/groups', { name: 'devs', display_name: 'Developers', members: [ann.user.username] });
      t.after(() => server.control('/reset', {}));
    };
    const administer = async (t) => {
      await server.admin.rest.updateUserRoles(bot.id, 'system_user system_admin');
      t.after(() => server.admin.rest.updateUserRoles(bot.id, 'system_user'));
    };

    test('a bot that may ask lets their members in, by both names', sandboxOnly, async (t) => {
      await devs(t);
      await administer(t);
      const daemon = await daemonWith(t, {
        allowed_users: [],
        routes: [
          { when: 'text == "by name"', handler: 'one', allowed_users: ['group:devs'] },
          { when: 'text == "shown"', handler: 'one', allowed_users: ['group:Developers'] },
          { when: 'text == "others"', handler: 'one', allowed_users: ['group:ops'] },
          { when: 'text == "not they"', handler: 'one', allowed_users: ['*'], denied_users: ['group:devs'] },
        ],
      });
      const no = [await say(bob, 'by name'), await say(ann, 'others'), await say(ann, 'not they')];
      const yes = [await say(ann, 'by name'), await say(ann, 'shown'), await say(bob, 'not they')];
      for (const post of yes) assert.equal((await ann.hearsAnswer(bot, post)).message, 'one');
      for (const post of no) assert.deepEqual(await repliesTo(post, yes[2]), []);
      // What it was told is good for a while.
      const before = (await server.control('/state')).routes['GET /api/v4/users/{user_id}/groups'];
      const again = await say(ann, 'by name');
      await ann.hearsAnswer(bot, again);
      assert.equal((await server.control('/state')).routes['GET /api/v4/users/{user_id}/groups'], before);
      assert.equal((await daemon.cli('status', '--json')).json.bots[0].decisions.not_allowed, no.length);
    });

    // Live: a server without a licence, and a bot that is no administrator.
    for (const [what, prepare] of [['a bot that may not ask', devs], ['a server without a licence', () => {}]]) {
      test(`${what}: nobody is let in, nobody passes a deny list, and it is said`, what === 'a bot that may not ask' ? sandboxOnly : {}, async (t) => {
        await prepare(t);
        const daemon = await daemonWith(t, {
          routes: [
            { when: 'text == "allowed?"', handler: 'one', allowed_users: ['group:devs'] },
            { when: 'text == "denied?"', handler: 'one', allowed_users: ['*'], denied_users: ['group:devs'] },
          ],
        });
        const no = [await say(ann, 'allowed?'), await say(bob, 'denied?')];
        const marker = await say(ann, 'marker');
        for (const post of no) assert.deepEqual(await repliesTo(post, marker), []);
        await daemon.logged(untold, (l) => l.level === 'warning' && / 403| 501/.test(l.reason));
        assert.equal((await daemon.cli('status', '--json')).json.bots[0].decisions.not_allowed, no.length);
      });
    }
  });

  test('a wrong expression is told with its line', async (t) => {
    const daemon = await Daemon.prepare({
      bots: [botConfig(world, bot, { routes: [{ when: 'chanel_name == "x"', handler: 'one' }] })], handlers: { one: command('one') },
    });
    t.after(() => daemon.close());
    const checked = await daemon.cli('check');
    assert.notEqual(checked.code, 0);
    assert.match(checked.stderr + checked.stdout, /channel_name/);
  });
});

describe('who is answered', () => {
  test('a thread in which the bot was mentioned is followed, over a restart too', async (t) => {
    const daemon = await daemonFor(t, [botConfig(world, bot, { handler: 'echo', mention_only: true, follow_threads: true })],
      { echo: command('echo') });
    const root = await say(ann, `${mention()} hello`);
    assert.equal((await ann.hearsAnswer(bot, root)).message, 're: @' + bot.username + ' hello');
    await say(ann, 'not in a thread');
    const more = await say(ann, 'and more', { root_id: root.id });
    assert.equal((await ann.hears((p) => p.message === 're: and more')).root_id, more.root_id);
    await daemon.restart();
    await say(bob, 'after a restart', { root_id: root.id });
    await ann.hears((p) => p.message === 're: after a restart');
    assert.equal(ann.events.items.filter((e) => e.data.post?.message === 're: not in a thread').length, 0);
  });

  test('a bot is answered so often, then no more for a while', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'echo', allow_bots: 'all', bot_turns: 2, bot_cooldown: '1h' })],
      { echo: command('echo') });
    const { Person } = await import('../lib/client.mjs');
    const robot = await Person.withToken(world.url, other.token);
    for (const n of [1, 2, 3, 4]) await robot.post(world.channel, `robot ${n}`);
    const marker = await say(ann, 'and a person');
    await ann.hearsAnswer(bot, marker);
    const heard = ann.events.items.map((e) => e.data.post?.message).filter((m) => /^re: robot/.test(m ?? ''));
    assert.deepEqual(heard, ['re: robot 1', 're: robot 2']);
  });

  test('who writes too fast is told once', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'echo', rate_limit: 2 })], { echo: command('echo') });
    const posts = [];
    for (const n of [1, 2, 3, 4]) posts.push(await say(ann, `fast ${n}`));
    assert.match((await ann.hearsAnswer(bot, posts[2])).message, /faster than I can answer/);
    const marker = await say(bob, 'somebody else');
    assert.deepEqual(await repliesTo(posts[3], marker), []);
  });

  test('who may not is told so in private, once', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'echo', allowed_users: [`@${ann.user.username}`], refuse: 'tell' })],
      { echo: command('echo') });
    await say(bob, 'let me in');
    await say(bob, 'please');
    const told = await bob.hears((p) => p.user_id === bot.id && /may not answer you/.test(p.message));
    assert.notEqual(told.channel_id, world.channel.id);
    const marker = await say(ann, 'marker');
    await ann.hearsAnswer(bot, marker);
    assert.equal(bob.events.items.filter((e) => /may not answer you/.test(e.data.post?.message ?? '')).length, 1);
  });
});

describe('conversations', () => {
  test('quick messages are answered together', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'talk', channels: [], debounce: '3s' })]);
    const direct = await ann.rest.createDirectChannel([ann.user.id, bot.id]);
    await ann.post(direct, 'one');
    await ann.post(direct, 'two');
    const answer = await ann.hears((p) => p.channel_id === direct.id && p.user_id === bot.id);
    assert.equal(answer.message, 're: one\n\ntwo');
  });

  test('a new message interrupts, where it is told to', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'talk', interrupt: 'cancel', receipt: true })]);
    const root = await say(ann, 'wait for it');
    await reacted(ann, root.id, 'eyes');
    await say(ann, 'something else', { root_id: root.id });
    assert.equal((await ann.hearsAnswer(bot, root)).message, 're: something else');
  });

  test('ten conversations side by side, two messages of one in order', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'talk' })], { talk: { type: 'process', command: ['./talk'], concurrency: 20 } });
    const roots = [];
    for (let n = 0; n < 10; n++) roots.push(await say(ann, `wait ${n}`));
    await say(ann, 'second', { root_id: roots[0].id });
    await say(bob, 'go');
    for (const [n, root] of roots.entries()) assert.equal((await ann.hearsAnswer(bot, root)).message, `done: wait ${n}`);
    await ann.hears((p) => p.root_id === roots[0].id && p.message === 're: second');
  });

  test('stop, status and reset by a word after the mention; stop by a reaction', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'talk', receipt: true })]);
    const root = await say(ann, 'wait long');
    await reacted(ann, root.id, 'eyes');
    await say(ann, 'queued', { root_id: root.id });
    await say(ann, `${mention()} status`, { root_id: root.id });
    assert.match((await ann.hearsAnswer(bot, root)).message, /Answering for \d+ s .*1 more message is waiting/);
    await say(ann, `${mention()} stop`, { root_id: root.id });
    assert.equal((await ann.hears((p) => p.user_id === bot.id && p.message === 'Stopped.')).root_id, root.id);
    await reacted(ann, root.id, 'eyes', 'reaction_removed');
    await say(ann, `${mention()} status`, { root_id: root.id });
    await ann.hears((p) => p.root_id === root.id && p.message === 'Nothing is under way here.');
    const second = await say(ann, 'wait again');
    await reacted(ann, second.id, 'eyes');
    await ann.rest.addReaction(ann.user.id, second.id, 'octagonal_sign');
    await reacted(ann, second.id, 'eyes', 'reaction_removed');
    await say(ann, `${mention()} reset`, { root_id: second.id });
    assert.equal((await ann.hearsAnswer(bot, second)).message, 'This conversation starts anew.');
  });
});

describe('what shows', () => {
  test('a receipt: eyes, then a check mark; a cross for a failure', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'talk', receipt: true })]);
    const good = await say(ann, 'hello');
    await reacted(ann, good.id, 'eyes');
    await reacted(ann, good.id, 'white_check_mark');
    await reacted(ann, good.id, 'eyes', 'reaction_removed');
    const bad = await say(ann, 'fail please');
    await reacted(ann, bad.id, 'x');
  });

  test('stream: edit shows the answer in the post that holds it in the end', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'talk', stream: 'edit' })]);
    const root = await say(ann, 'stream one');
    const shown = await ann.hearsAnswer(bot, root);
    assert.equal(shown.message, 'first words');
    await say(bob, 'go');
    assert.equal((await edited(ann, shown.id, /^done: stream one$/)).data.post.root_id, root.id);
    const marker = await say(ann, 'marker');
    assert.deepEqual(await repliesTo(root, marker), ['done: stream one']);
  });

  test('stream: final replaces the preview by a new post', async (t) => {
    await daemonFor(t, [botConfig(world, bot, { handler: 'talk', stream: 'final' })]);
    const root = await say(ann, 'stream two');
    const shown = await ann.hearsAnswer(bot, root);
    await say(bob, 'go');
    const answer = await ann.hears((p) => p.root_id === root.id && p.message === 'done: stream two');
    assert.notEqual(answer.id, shown.id);
    await ann.events.find((e) => e.event === 'post_deleted' && e.data.post.id === shown.id, 'the end of the preview');
  });

  test('kill -9 while an answer streams: exactly one answer', async (t) => {
    const daemon = await daemonFor(t, [botConfig(world, bot, { handler: 'talk', stream: 'edit' })]);
    const root = await say(ann, 'stream three');
    const shown = await ann.hearsAnswer(bot, root);
    await daemon.kill();
    await daemon.start();
    await daemon.logged('online');
    // The second life's program has the event again: it goes on when it is told to.
    await say(bob, 'go');
    await edited(ann, shown.id, /^done: stream three$/);
    const marker = await say(ann, 'marker');
    assert.deepEqual(await repliesTo(root, marker), ['done: stream three']);
  });

  test('an answer in JSON: cards, reactions, place, files of the folder, nothing', async (t) => {
    const daemon = await daemonFor(t, [botConfig(world, bot, { handler: 'talk' })]);
    await writeFile(path.join(daemon.folder, 'note.txt'), 'a note');
    const answer = (o) => say(ann, `json ${JSON.stringify(o)}`);
    const card = await answer({ text: 'see', attachments: [{ title: 'A card', text: 'with text' }], reactions: ['tada'] });
    assert.equal((await ann.hearsAnswer(bot, card)).props.attachments[0].title, 'A card');
    await reacted(ann, card.id, 'tada');
    await answer({ text: 'flat answer', thread: 'channel' });
    assert.equal((await ann.hears((p) => p.message === 'flat answer')).root_id, '');
    const file = await answer({ files: ['note.txt'] });
    assert.equal((await ann.hearsAnswer(bot, file)).file_ids.length, 1);
    const outside = await answer({ files: ['/etc/passwd'] });
    await daemon.logged('the handler failed', (l) => /not in the handler's folder/.test(l.reason));
    const typo = await answer({ txt: 'x' });
    await daemon.logged('the handler failed', (l) => /did you mean `text`/.test(l.reason));
    const none = await answer({ none: true });
    const marker = await say(ann, 'marker');
    for (const post of [outside, typo, none]) assert.deepEqual(await repliesTo(post, marker), []);
  });
});

describe('pairing', () => {
  test('somebody unknown is let in by a code', async (t) => {
    const daemon = await daemonFor(t, [botConfig(world, bot, { handler: 'echo', channels: [], allowed_users: [], pairing: true })],
      { echo: command('echo') });
    const direct = await bob.rest.createDirectChannel([bob.user.id, bot.id]);
    await bob.post(direct, 'hello?');
    const told = await bob.hears((p) => p.channel_id === direct.id && /I do not know you yet/.test(p.message));
    const code = told.message.match(/\*\*([\w-]+)\*\*/)[1];
    const list = JSON.parse((await daemon.cli('pair', 'list', '--json')).stdout);
    assert.equal(list.pending[0].user_name, bob.user.username);
    assert.notEqual((await daemon.cli('pair', 'approve', 'WRONG-1')).code, 0);
    const approved = await daemon.cli('pair', 'approve', code);
    assert.equal(approved.code, 0, approved.stderr);
    await bob.post(direct, 'now?');
    await bob.hears((p) => p.channel_id === direct.id && p.message === 're: now?');
    const revoked = await daemon.cli('pair', 'revoke', bob.user.username);
    assert.equal(revoked.code, 0, revoked.stderr);
    await bob.post(direct, 'still?');
    await bob.hears((p) => p.channel_id === direct.id && /I do not know you yet/.test(p.message) && p.create_at > told.create_at);
  });
});
