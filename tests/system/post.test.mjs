// The verbs that act on posts: what people then see, by the real programs and the official client.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World } from '../lib/server.mjs';

let server, world, ann, bob, bot, daemon;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bob, bot } = world);
  await ann.listen();
  daemon = await Daemon.start({ bots: [botConfig(world)] });
});

after(async () => {
  await daemon?.close();
  await world?.close();
  await server?.close();
});

// A verb that must succeed.
async function cli(...args) {
  const result = await daemon.cli(...args);
  assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`);
  return result.json;
}

async function refused(code, pattern, ...args) {
  const result = await daemon.cli(...args);
  assert.equal(result.code, code, `${args.join(' ')}: ${result.stdout}${result.stderr}`);
  assert.match(result.stderr, pattern);
  return result;
}

const permalink = (post) => `${server.url}/${world.team.name}/pl/${post.id ?? post.post_id}`;
const send = (text) => cli('send', '--channel', world.channel.id, '--text', text);

describe('send', () => {
  test('--user: one person in a direct message, several in a group message', async () => {
    const direct = await cli('send', '--user', `@${ann.user.username}`, '--text', 'direct by --user');
    const heard = await ann.hears((p) => p.message === 'direct by --user');
    assert.equal(heard.id, direct.post_id);
    assert.equal((await ann.rest.getChannel(direct.channel_id)).type, 'D');
    const byId = await cli('send', '--user', ann.user.id, '--text', 'direct by id', '--key', 'by-id');
    assert.equal(byId.channel_id, direct.channel_id);
    assert.equal((await cli('send', '--user', ann.user.id, '--text', 'direct by id', '--key', 'by-id')).post_id, byId.post_id);
    const group = await cli('send', '--user', ann.user.username, '--user', bob.user.username, '--text', 'to both', '--props', '{"note":"kept"}');
    const both = await ann.hears((p) => p.message === 'to both');
    assert.equal(both.id, group.post_id);
    assert.equal(both.props.note, 'kept');
    assert.equal((await ann.rest.getChannel(group.channel_id)).type, 'G');
    assert.ok(group.permalink.endsWith(`/pl/${group.post_id}`));
    await refused(1, /nobody-of-that-name/, 'send', '--user', '@nobody-of-that-name', '--text', 'x');
    await refused(2, /--user/, 'send', '--user', ann.user.username, '--channel', world.channel.id, '--text', 'x');
  });

  test('a text of more than ten posts says by how much and offers a file', async () => {
    const { stderr } = await refused(1, /--file/, 'send', '--channel', world.channel.id, { input: 'y '.repeat(90_000) });
    assert.match(stderr, /180000|179999/);
    assert.match(stderr, /16383/);
  });

  test('where the bot is not a member the sentence says who can change it', async () => {
    const channel = await server.admin.rest.createChannel({
      team_id: world.team.id, name: `closed-${world.channel.name}`, display_name: 'closed', type: 'P',
    });
    await refused(1, /\/invite/, 'send', '--channel', channel.id, '--text', 'let me in');
  });
});

describe('edit and delete', () => {
  test('edit by id and by permalink; the text from standard input', async () => {
    const post = await send('first');
    const edited = await cli('edit', post.post_id, '--text', 'second');
    assert.equal(edited.post_id, post.post_id);
    assert.equal(edited.channel_id, world.channel.id);
    assert.ok(edited.permalink.endsWith(`/pl/${post.post_id}`));
    assert.equal((await ann.rest.getPost(post.post_id)).message, 'second');
    await cli('edit', permalink(post), { input: 'third\nline' });
    assert.equal((await ann.rest.getPost(post.post_id)).message, 'third\nline');
  });

  test('the same key edits once; a key of something else is refused', async () => {
    const post = await send('keyed');
    await cli('edit', post.post_id, '--text', 'one', '--key', `edit-${post.post_id}`);
    const again = await cli('edit', post.post_id, '--text', 'two', '--key', `edit-${post.post_id}`);
    assert.equal(again.existed, true);
    assert.equal(again.post_id, post.post_id);
    assert.equal((await ann.rest.getPost(post.post_id)).message, 'one');
    await refused(1, /edit/, 'pin', post.post_id, '--key', `edit-${post.post_id}`);
  });

  test('a text over the limit says by how much and offers a file', async () => {
    const post = await send('short');
    const { stderr } = await refused(1, /--file/, 'edit', post.post_id, { input: 'x'.repeat(16383 + 17) });
    assert.match(stderr, /\b17\b/);
    assert.match(stderr, /16383/);
    await refused(2, /text/, 'edit', post.post_id, { input: '' });
  });

  test('delete, also twice', async () => {
    const post = await send('short-lived');
    await cli('delete', post.post_id);
    await assert.rejects(ann.rest.getPost(post.post_id));
    const stream = daemon.spawn('stream', '--since', '0', '--kind', 'post_deleted');
    await stream.line((l) => l.includes(post.post_id), 'the deletion');
    await stream.stop('SIGINT');
    await cli('delete', post.post_id);
  });

  test('a 403 says which right is missing and who can give it', async () => {
    const post = await ann.post(world.channel, "ann's own");
    await refused(1, /edit_others_posts.*system admin/s, 'edit', post.id, '--text', 'not mine');
    await refused(1, /delete_others_posts.*system admin/s, 'delete', post.id);
    assert.equal((await ann.rest.getPost(post.id)).message, "ann's own");
  });

  test('what is no post is said in a sentence', async () => {
    await refused(1, /id or its permalink|permalink/, 'delete', 'town-square');
    await refused(1, /\S+ \S+/, 'pin', 'y'.repeat(26));
    await refused(2, /POST/, 'pin');
  });
});

describe('reactions and pins', () => {
  test('react and unreact, with and without colons', async () => {
    const post = await ann.post(world.channel, 'react to me');
    await cli('react', post.id, ':thumbsup:');
    const seen = await ann.events.find(
      (e) => e.event === 'reaction_added' && e.data.reaction.post_id === post.id, 'the reaction');
    assert.equal(seen.data.reaction.emoji_name, 'thumbsup');
    assert.equal(seen.data.reaction.user_id, bot.id);
    await cli('unreact', permalink(post), 'thumbsup');
    await ann.events.find((e) => e.event === 'reaction_removed' && e.data.reaction.post_id === post.id, 'its end');
    await cli('unreact', post.id, 'thumbsup');
    await refused(1, /emoji/, 'react', post.id, 'no such name');
  });

  test('pin and unpin', async () => {
    const post = await ann.post(world.channel, 'pin me');
    const pinned = await cli('pin', post.id);
    assert.equal(pinned.post_id, post.id);
    assert.equal((await ann.rest.getPost(post.id)).is_pinned, true);
    await cli('unpin', permalink(post));
    assert.equal((await ann.rest.getPost(post.id)).is_pinned, false);
  });

  test('a daemon that was stopped in between does it after the start, once', async (t) => {
    const own = await Daemon.start({ bots: [botConfig(world)] });
    t.after(() => own.close());
    const post = await ann.post(world.channel, 'react later');
    const stream = own.spawn('stream', '--since', '0');
    await stream.line((l) => l.includes(post.id), 'the post');
    await stream.stop('SIGINT');
    const done = await own.cli('react', post.id, 'eyes', '--key', 'later');
    assert.equal(done.code, 0, done.stderr);
    await own.stop();
    await own.start();
    const again = await own.cli('react', post.id, 'eyes', '--key', 'later');
    assert.equal(again.code, 0, again.stderr);
    assert.equal(again.json.existed, true);
    assert.equal(again.json.post_id, post.id);
    assert.equal((await ann.rest.getReactionsForPost(post.id)).length, 1);
  });
});

describe('typing and ephemeral posts', () => {
  test('typing is seen, in a thread too', async () => {
    await cli('typing', world.channel.name);
    await ann.events.find((e) => e.event === 'typing' && e.data.user_id === bot.id && !e.data.parent_id, 'typing');
    const root = await ann.post(world.channel, 'a thread to type in');
    await cli('typing', world.channel.id, '--root', root.id);
    await ann.events.find((e) => e.event === 'typing' && e.data.parent_id === root.id, 'typing in the thread');
    await refused(1, /channel|no /i, 'typing', 'no-such-channel-here');
  });

  test('an ephemeral post needs a right, which the sentence names', async () => {
    const args = ['ephemeral', '--user', ann.user.username, '--channel', world.channel.id, '--text', 'for ann only'];
    await refused(1, /create_post_ephemeral.*system_admin/s, ...args);
    await server.admin.rest.updateUserRoles(bot.id, 'system_user system_admin');
    const shown = await cli(...args);
    assert.equal(shown.user_id, ann.user.id);
    const seen = await ann.events.find((e) => e.event === 'ephemeral_message' && e.data.post.message === 'for ann only', 'it');
    assert.equal(seen.data.post.channel_id, world.channel.id);
    await server.admin.rest.updateUserRoles(bot.id, 'system_user');
    await refused(2, /--user/, 'ephemeral', '--channel', world.channel.id, '--text', 'x');
    await refused(1, /nobody-of-that-name/, 'ephemeral', '--user', '@nobody-of-that-name', '--channel', world.channel.id, '--text', 'x');
  });
});
