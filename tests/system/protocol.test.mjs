// What a Mattermost client relies on, through the official client. The same tests pass against the sandbox and against
// a real server: that is how the sandbox is held to the real thing.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Feed, Person, openSocket } from '../lib/client.mjs';
import { Server, World } from '../lib/server.mjs';

let server, world, ann, bob, bot;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { people: ['ann', 'bob', 'cat'], bots: ['bot'] });
  ({ ann, bob } = world);
  bot = await Person.withToken(server.url, world.bot.token);
  await Promise.all([ann.listen(), bob.listen(), bot.listen()]);
});

after(async () => {
  bot?.close();
  await world?.close();
  await server?.close();
});

const isId = (s) => /^[a-z0-9]{26}$/.test(s);

function assertError(answer, status, id) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.json.id, id);
  assert.equal(answer.json.status_code, status);
  assert.equal(typeof answer.json.message, 'string');
}

describe('accounts', () => {
  test('ping needs no session', async () => {
    const response = await fetch(`${server.url}/api/v4/system/ping`);
    assert.equal(response.status, 200);
    assert.equal((await response.json()).status, 'OK');
  });

  test('a bot is marked as one, and a person is not', async () => {
    assert.equal(bot.user.is_bot, true);
    assert.equal(ann.user.is_bot, undefined);
    assert.equal(bot.user.username, world.bot.username);
    assert.ok(isId(bot.user.id));
  });

  test('a wrong token is 401, a wrong password is 401 with its own id', async () => {
    const stranger = new Person(server.url, null, 'y'.repeat(26));
    assertError(await stranger.call('GET', '/users/me'), 401, 'api.context.session_expired.app_error');
    const login = await fetch(`${server.url}/api/v4/users/login`, {
      method: 'POST', body: JSON.stringify({ login_id: ann.user.username, password: 'wrong' }),
    });
    assert.equal(login.status, 401);
  });

  test('users by id, by name and in bulk', async () => {
    assert.equal((await ann.rest.getUser(bob.user.id)).username, bob.user.username);
    assert.equal((await ann.rest.getUserByUsername(bob.user.username)).id, bob.user.id);
    const many = await ann.rest.getProfilesByIds([ann.user.id, bob.user.id, 'z'.repeat(26)]);
    assert.deepEqual(new Set(many.map((u) => u.id)), new Set([ann.user.id, bob.user.id]));
    assertError(await ann.call('GET', `/users/username/nobody-${bob.user.username}`), 404,
      (await ann.call('GET', `/users/username/nobody-${bob.user.username}`)).json.id);
  });

  test('an unknown route is a JSON 404', async () => {
    assertError(await ann.call('GET', '/no/such/route'), 404, 'api.context.404.app_error');
  });

  test('the client configuration holds strings', async () => {
    const config = (await ann.call('GET', '/config/client?format=old')).json;
    assert.equal(config.MaxPostSize, '16383');
    assert.match(config.Version, /^\d+\.\d+\.\d+/);
  });

  test('groups need a licence', async () => {
    const answer = await ann.call('GET', '/groups?page=0&per_page=10');
    assert.ok([501, 403].includes(answer.status), answer.text);
  });

  test('preferences come back as they were put, and as an event', async () => {
    const item = { user_id: bot.user.id, category: 'matterwire', name: 'probe', value: String(Math.random()) };
    await bot.rest.savePreferences(bot.user.id, [item]);
    const mine = await bot.rest.getMyPreferences();
    assert.ok(mine.some((p) => p.category === 'matterwire' && p.value === item.value));
    await bot.events.find((e) => e.event === 'preferences_changed' && e.data.preferences.includes(item.value),
      'the preference as an event');
  });
});

describe('channels', () => {
  test('the lists hold what one is a member of', async () => {
    const mine = await bot.rest.getMyChannels(world.team.id);
    assert.ok(mine.some((c) => c.id === world.channel.id));
    assert.ok(mine.some((c) => c.name === 'town-square'));
    const members = await bot.rest.getMyChannelMembers(world.team.id);
    assert.ok(members.every((m) => m.user_id === bot.user.id));
  });

  test('by name, and what is unknown is 404', async () => {
    const found = await ann.rest.getChannelByName(world.team.id, world.channel.name);
    assert.equal(found.id, world.channel.id);
    const missing = await ann.call('GET', `/teams/${world.team.id}/channels/name/no-such-channel`);
    assert.equal(missing.status, 404);
    assert.equal(missing.json.status_code, 404);
  });

  test('a name can be used once in a team', async () => {
    const answer = await ann.call('POST', '/channels', {
      team_id: world.team.id, name: world.channel.name, display_name: 'again', type: 'O',
    });
    assertError(answer, 400, 'store.sql_channel.save_channel.exists.app_error');
  });

  test('joining and leaving make events and system posts', async () => {
    const channel = await ann.rest.createChannel({
      team_id: world.team.id, name: `j${Date.now()}`, display_name: 'join', type: 'O',
    });
    await ann.rest.addToChannel(bot.user.id, channel.id);
    const added = await bot.events.find(
      (e) => e.event === 'user_added' && e.broadcast.channel_id === channel.id && e.data.user_id === bot.user.id,
      'user_added');
    assert.equal(added.data.team_id, world.team.id);
    const post = await ann.hears((p) => p.channel_id === channel.id && p.type === 'system_add_to_channel', 'the join post');
    assert.equal(post.props.addedUsername, bot.user.username);
    await ann.rest.removeFromChannel(bot.user.id, channel.id);
    const removed = await bot.events.find(
      (e) => e.event === 'user_removed' && e.data.channel_id === channel.id, 'user_removed');
    assert.equal(removed.data.remover_id, ann.user.id);
  });

  test('a direct message belongs to no team and counts as a mention', async () => {
    const channel = await ann.rest.createDirectChannel([ann.user.id, bot.user.id]);
    assert.equal(channel.type, 'D');
    assert.equal(channel.team_id, '');
    assert.equal(channel.name, [ann.user.id, bot.user.id].sort().join('__'));
    const again = await ann.rest.createDirectChannel([ann.user.id, bot.user.id]);
    assert.equal(again.id, channel.id);
    const post = await ann.post(channel, 'a word in private');
    const event = await bot.events.find((e) => e.event === 'posted' && e.data.post.id === post.id, 'the direct message');
    assert.equal(event.data.channel_type, 'D');
    assert.equal(event.data.team_id, '');
    assert.ok(JSON.parse(event.data.mentions).includes(bot.user.id));
  });

  test('a group message has three members or more', async () => {
    const channel = await ann.rest.createGroupChannel([ann.user.id, bob.user.id, bot.user.id]);
    assert.equal(channel.type, 'G');
    const post = await bob.post(channel, 'for the three of us');
    const event = await bot.events.find((e) => e.event === 'posted' && e.data.post.id === post.id, 'the group message');
    assert.equal(event.data.channel_type, 'G');
  });

  test('what is said in a channel reaches its members only', async () => {
    const channel = await ann.rest.createChannel({
      team_id: world.team.id, name: `p${Date.now()}`, display_name: 'private', type: 'P',
    });
    const secret = await ann.post(channel, 'not for bob');
    await ann.hears((p) => p.id === secret.id, 'the echo');
    const marker = await ann.post(world.channel, 'for everybody');
    await bob.hears((p) => p.id === marker.id, 'the marker');
    assert.ok(!bob.events.items.some((e) => e.event === 'posted' && e.data.post.id === secret.id));
    assert.equal((await bob.call('GET', `/channels/${channel.id}/posts`)).status, 403);
    assert.equal((await bob.call('POST', '/posts', { channel_id: channel.id, message: 'x' })).status, 403);
  });

  test('header and archive are seen', async () => {
    const channel = await ann.rest.createChannel({
      team_id: world.team.id, name: `a${Date.now()}`, display_name: 'to archive', type: 'O',
    });
    await ann.rest.patchChannel(channel.id, { header: 'new header' });
    await ann.events.find((e) => e.event === 'channel_updated' && e.data.channel?.header === 'new header', 'the header');
    await ann.rest.deleteChannel(channel.id);
    await ann.events.find((e) => e.event === 'channel_deleted' && e.data.channel_id === channel.id, 'channel_deleted');
    const answer = await ann.call('POST', '/posts', { channel_id: channel.id, message: 'too late' });
    assert.ok([400, 403].includes(answer.status), answer.text);
  });
});

describe('posts', () => {
  test('a post comes back whole, with 201, and as an event to its author too', async () => {
    const answer = await ann.call('POST', '/posts', { channel_id: world.channel.id, message: 'hello <all> & "you"' });
    assert.equal(answer.status, 201);
    const post = answer.json;
    assert.ok(isId(post.id));
    assert.equal(post.user_id, ann.user.id);
    assert.equal(post.root_id, '');
    assert.equal(post.edit_at, 0);
    assert.equal(post.delete_at, 0);
    assert.equal(post.type, '');
    assert.equal(post.is_pinned, false);
    assert.equal(post.message, 'hello <all> & "you"');
    assert.ok(!answer.text.includes('<all>'), 'angle brackets are escaped on the wire');
    for (const reader of [ann, bob, bot]) {
      const event = await reader.events.find((e) => e.event === 'posted' && e.data.post.id === post.id, 'posted');
      assert.equal(event.data.channel_name, world.channel.name);
      assert.equal(event.data.channel_type, 'O');
      assert.equal(event.data.sender_name, `@${ann.user.username}`);
      assert.equal(event.data.team_id, world.team.id);
      assert.equal(event.broadcast.channel_id, world.channel.id);
    }
  });

  test('a mention names the mentioned', async () => {
    const post = await ann.post(world.channel, `well, @${bot.user.username}: what now?`);
    const event = await bot.events.find((e) => e.event === 'posted' && e.data.post.id === post.id, 'posted');
    assert.ok(JSON.parse(event.data.mentions).includes(bot.user.id));
    const plain = await ann.post(world.channel, 'nobody in particular');
    const quiet = await bot.events.find((e) => e.event === 'posted' && e.data.post.id === plain.id, 'posted');
    assert.ok(!(quiet.data.mentions ?? '').includes(bot.user.id));
  });

  test('a bot is marked in its posts by the server', async () => {
    const post = await bot.post(world.channel, 'beep');
    assert.equal(post.props.from_bot, 'true');
  });

  test('replies go to the root; a reply is no root; another channel has other roots', async () => {
    const root = await ann.post(world.channel, 'root');
    const reply = await bob.post(world.channel, 'reply', { root_id: root.id });
    assert.equal(reply.root_id, root.id);
    const nested = await ann.call('POST', '/posts', { channel_id: world.channel.id, message: 'x', root_id: reply.id });
    assertError(nested, 400, 'api.post.create_post.root_id.app_error');
    const elsewhere = await world.newChannel();
    const crossed = await ann.call('POST', '/posts', { channel_id: elsewhere.id, message: 'x', root_id: root.id });
    assertError(crossed, 400, 'api.post.create_post.channel_root_id.app_error');
    const thread = await ann.rest.getPostThread(root.id);
    assert.deepEqual(new Set(thread.order), new Set([root.id, reply.id]));
  });

  test('the same pending_post_id posts once', async () => {
    const pending_post_id = `${ann.user.id}:${Date.now()}`;
    const first = await ann.post(world.channel, 'once', { pending_post_id });
    const second = await ann.post(world.channel, 'once', { pending_post_id });
    assert.equal(second.id, first.id);
  });

  test('an edit keeps what it does not name and is announced', async () => {
    const post = await ann.post(world.channel, 'befor', { props: { kept: 'yes' } });
    const edited = await ann.rest.patchPost({ id: post.id, message: 'before' });
    assert.equal(edited.message, 'before');
    assert.ok(edited.edit_at > 0);
    assert.equal(edited.props.kept, 'yes');
    const event = await bob.events.find((e) => e.event === 'post_edited' && e.data.post.id === post.id, 'post_edited');
    assert.equal(event.data.post.message, 'before');
    assert.equal(event.data.post.edit_at, edited.edit_at);
  });

  test("another's post cannot be edited or deleted", async () => {
    const post = await ann.post(world.channel, 'mine');
    assert.equal((await bob.call('PUT', `/posts/${post.id}/patch`, { message: 'yours' })).status, 403);
    assert.equal((await bob.call('DELETE', `/posts/${post.id}`)).status, 403);
  });

  test('a deleted root takes its thread along', async () => {
    const root = await ann.post(world.channel, 'doomed');
    const reply = await bob.post(world.channel, 'me too', { root_id: root.id });
    await ann.rest.deletePost(root.id);
    await bot.events.find((e) => e.event === 'post_deleted' && e.data.post.id === root.id, 'post_deleted');
    for (const id of [root.id, reply.id]) assert.equal((await ann.call('GET', `/posts/${id}`)).status, 404);
    const late = await bob.call('POST', '/posts', { channel_id: world.channel.id, message: 'late', root_id: root.id });
    assertError(late, 400, 'api.post.create_post.root_id.app_error');
  });

  test('a message over the limit is refused', async () => {
    const answer = await ann.call('POST', '/posts', { channel_id: world.channel.id, message: 'x'.repeat(16384) });
    assert.equal(answer.status, 400);
    // 5.37 has the shorter id.
    assert.match(answer.json.id, /^model\.post\.is_valid\.(message_length|msg)\.app_error$/);
    assert.equal((await ann.call('POST', '/posts', { channel_id: world.channel.id, message: 'ä'.repeat(16383) })).status, 201);
  });

  test('a post to an unknown channel is 403', async () => {
    const answer = await ann.call('POST', '/posts', { channel_id: 'q'.repeat(26), message: 'x' });
    assertError(answer, 403, 'api.context.permissions.app_error');
  });

  test('reactions: added, repeated, listed, removed', async () => {
    const post = await ann.post(world.channel, 'react to this');
    const none = await ann.call('GET', `/posts/${post.id}/reactions`);
    assert.ok(none.json === null || none.json.length === 0);
    const made = await bob.call('POST', '/reactions', { user_id: bob.user.id, post_id: post.id, emoji_name: 'eyes' });
    assert.ok([200, 201].includes(made.status), made.text);
    await bob.rest.addReaction(bob.user.id, post.id, 'eyes');
    const listed = await ann.rest.getReactionsForPost(post.id);
    assert.deepEqual(listed.map((r) => [r.user_id, r.emoji_name]), [[bob.user.id, 'eyes']]);
    const event = await bot.events.find(
      (e) => e.event === 'reaction_added' && e.data.reaction.post_id === post.id, 'reaction_added');
    assert.equal(event.data.reaction.user_id, bob.user.id);
    await bob.rest.removeReaction(bob.user.id, post.id, 'eyes');
    await bot.events.find((e) => e.event === 'reaction_removed' && e.data.reaction.post_id === post.id, 'reaction_removed');
    const forged = await bob.call('POST', '/reactions', { user_id: ann.user.id, post_id: post.id, emoji_name: 'eyes' });
    assert.equal(forged.status, 403);
  });

  test('pins', async () => {
    const post = await ann.post(world.channel, 'pin me');
    await ann.rest.pinPost(post.id);
    const pinned = await ann.rest.getPinnedPosts(world.channel.id);
    assert.ok(pinned.order.includes(post.id));
    await ann.rest.unpinPost(post.id);
    assert.ok(!(await ann.rest.getPinnedPosts(world.channel.id)).order.includes(post.id));
  });

  test('search finds words in channels that one is in', async () => {
    const word = `needle${Date.now()}`;
    const post = await ann.post(world.channel, `a ${word} in the hay`);
    const found = await ann.rest.searchPosts(world.team.id, word, false);
    assert.deepEqual(found.order, [post.id]);
  });
});

describe('pages of posts', () => {
  let channel, posts;

  before(async () => {
    channel = await world.newChannel();
    posts = [];
    for (let i = 0; i < 12; i++) posts.push(await ann.post(channel, `number ${i}`));
  });

  test('newest first, by page', async () => {
    const page = await ann.rest.getPosts(channel.id, 0, 5);
    assert.deepEqual(page.order, posts.slice(-5).reverse().map((p) => p.id));
    assert.equal(page.posts[posts[11].id].message, 'number 11');
    const next = await ann.rest.getPosts(channel.id, 1, 5);
    assert.deepEqual(next.order, posts.slice(2, 7).reverse().map((p) => p.id));
  });

  test('before and after a post', async () => {
    const before = await ann.rest.getPostsBefore(channel.id, posts[6].id, 0, 3);
    assert.deepEqual(before.order, [posts[5], posts[4], posts[3]].map((p) => p.id));
    const after = await ann.rest.getPostsAfter(channel.id, posts[6].id, 0, 3);
    assert.deepEqual(after.order, [posts[9], posts[8], posts[7]].map((p) => p.id));
    const end = await ann.rest.getPostsAfter(channel.id, posts[11].id, 0, 60);
    assert.deepEqual(end.order, []);
  });

  test('since a time: new, edited and deleted ones', async () => {
    const mark = await ann.post(channel, 'the mark');
    await ann.rest.patchPost({ id: posts[2].id, message: 'number two' });
    await ann.rest.deletePost(posts[3].id);
    const fresh = await ann.post(channel, 'fresh');
    const list = await ann.rest.getPostsSince(channel.id, mark.create_at);
    assert.equal(list.posts[posts[2].id].message, 'number two');
    assert.ok(list.posts[posts[3].id].delete_at > 0);
    assert.ok(list.posts[fresh.id]);
    assert.ok(!list.posts[posts[5].id]);
  });
});

describe('files', () => {
  test('an upload is attached to a post and can be fetched', async () => {
    const form = new FormData();
    form.append('channel_id', world.channel.id);
    form.append('files', new Blob(['the content']), 'note.txt');
    const answer = await fetch(`${server.url}/api/v4/files`, {
      method: 'POST', headers: { Authorization: `Bearer ${bot.token}` }, body: form,
    });
    assert.equal(answer.status, 201);
    const [info] = (await answer.json()).file_infos;
    assert.equal(info.name, 'note.txt');
    assert.equal(info.extension, 'txt');
    assert.equal(info.size, 11);
    const post = await bot.post(world.channel, 'see the file', { file_ids: [info.id] });
    assert.deepEqual(post.file_ids, [info.id]);
    const listed = await ann.rest.getFileInfosForPost(post.id);
    assert.equal(listed[0].id, info.id);
    const content = await fetch(`${server.url}/api/v4/files/${info.id}`, { headers: { Authorization: `Bearer ${ann.token}` } });
    assert.equal(await content.text(), 'the content');
  });
});

describe('the event socket', () => {
  test('typing reaches the others, by socket and by REST', async () => {
    ann.socket.userTyping(world.channel.id, '');
    const event = await bob.events.find((e) => e.event === 'typing' && e.data.user_id === ann.user.id, 'typing');
    assert.equal(event.broadcast.channel_id, world.channel.id);
    const answer = await bot.call('POST', '/users/me/typing', { channel_id: world.channel.id });
    assert.equal(answer.status, 200);
    await bob.events.find((e) => e.event === 'typing' && e.data.user_id === bot.user.id, "the bot's typing");
  });

  test('sequence numbers have no gaps', async () => {
    await ann.post(world.channel, 'one more');
    const numbers = bot.events.items.map((e) => e.seq).filter((n) => n !== undefined);
    assert.ok(numbers.length > 5);
    for (let i = 1; i < numbers.length; i++) assert.equal(numbers[i], numbers[i - 1] + 1);
  });

  test('a socket that breaks off resumes where it was', async () => {
    const open = async (query) => {
      const frames = new Feed();
      const socket = await openSocket(server.url, bot.token, query, (data) => frames.push(JSON.parse(data)));
      return { socket, frames };
    };
    const first = await open('');
    const hello = await first.frames.find((f) => f.event === 'hello', 'hello');
    assert.equal(hello.seq, 0);
    assert.ok(isId(hello.data.connection_id));
    const seen = await ann.post(world.channel, 'before the break');
    const last = await first.frames.find((f) => f.event === 'posted' && f.data.post.includes(seen.id), 'the first post');
    first.socket.terminate();
    await new Promise((resolve) => first.socket.on('close', resolve));
    const missed = await ann.post(world.channel, 'during the break');
    const again = await open(`?connection_id=${hello.data.connection_id}&sequence_number=${last.seq + 1}`);
    const found = await again.frames.find((f) => f.event === 'posted' || f.event === 'hello', 'a frame after resuming');
    if (found.event === 'posted') {
      assert.equal(found.seq, last.seq + 1);
      assert.ok(found.data.post.includes(missed.id));
    } else {
      // The server did not know the connection any more: a new one, from the start.
      assert.notEqual(found.data.connection_id, hello.data.connection_id);
      assert.equal(found.seq, 0);
    }
    again.socket.terminate();
  });
});
