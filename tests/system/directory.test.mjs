// What is on the server, by the command line: channels, people, teams, groups, and the changes to channels.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

let server, world, ann, bot, daemon;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bot } = world);
  daemon = await Daemon.start({ bots: [botConfig(world)] });
});

after(async () => {
  await daemon?.close();
  await world?.close();
  await server?.close();
});

async function ok(...args) {
  const result = await daemon.cli(...args);
  assert.equal(result.code, 0, result.stderr);
  return result.json;
}

// One sentence on standard error, exit code 1 (or `code`).
async function fails(pattern, code, ...args) {
  const result = await daemon.cli(...args);
  assert.equal(result.code, code, `${result.stdout}${result.stderr}`);
  assert.match(result.stderr, pattern);
  assert.equal(result.stderr.trim().split('\n').length, 1, result.stderr);
  assert.ok(!/\(null\)|undefined/.test(result.stderr), result.stderr);
}

describe('channels', () => {
  test("lists the bot's channels, direct messages by the other one's name", async () => {
    await ok('send', '--channel', `@${ann.user.username}`, '--text', 'hello');
    const list = await ok('channels');
    const own = list.find((c) => c.id === world.channel.id);
    assert.deepEqual(
      { ...own, last_post_at: 0, id: '' },
      {
        id: '', name: world.channel.name, display_name: world.channel.display_name, type: 'public',
        team: world.team.name, topic: '', purpose: '', member: true, last_post_at: 0,
      },
    );
    const direct = list.find((c) => c.type === 'direct' && c.name === `@${ann.user.username}`);
    assert.equal(direct.team, null);
    const ofTeam = await ok('channels', '--team', world.team.name);
    assert.ok(ofTeam.every((c) => c.team === world.team.name));
    assert.ok(ofTeam.some((c) => c.id === world.channel.id));
  });

  test('--all lists public channels that it is not in, and no private ones', async () => {
    const { rest } = server.admin;
    const open = await rest.createChannel({ team_id: world.team.id, name: 'all-open', display_name: 'Open', type: 'O' });
    const closed = await rest.createChannel({ team_id: world.team.id, name: 'all-closed', display_name: 'Closed', type: 'P' });
    const list = await ok('channels', '--team', world.team.name, '--all');
    assert.equal(list.find((c) => c.id === open.id).member, false);
    assert.equal(list.find((c) => c.id === world.channel.id).member, true);
    assert.ok(!list.some((c) => c.id === closed.id));
  });

  test('an unknown team lists those that there are', async () => {
    await fails(new RegExp(`"nowhere-at-all".*${world.team.name}`), 1, 'channels', '--team', 'nowhere-at-all');
    await fails(new RegExp(`did you mean "${world.team.name}"`), 1, 'channels', '--team', `${world.team.name}x`);
  });
});

describe('channel', () => {
  test('create, describe, invite, kick, leave, join and archive', async () => {
    const made = await ok('channel', 'create', 'plans', '--title', 'Plans', '--purpose', 'What comes', '--topic', 'Now');
    assert.equal(made.channel, 'plans');
    assert.equal(made.team, world.team.name);
    const id = made.channel_id;
    const { rest } = server.admin;
    let there = await rest.getChannel(id);
    assert.deepEqual([there.display_name, there.purpose, there.header, there.type], ['Plans', 'What comes', 'Now', 'O']);

    await ok('channel', 'topic', 'plans', 'Next: 1.3');
    await ok('channel', 'purpose', `~plans`, '');
    there = await rest.getChannel(id);
    assert.deepEqual([there.header, there.purpose], ['Next: 1.3', '']);

    const invited = await ok('channel', 'invite', `${world.team.name}/plans`, `@${ann.user.username}`, world.bob.user.username);
    assert.deepEqual(invited.users, [ann.user.username, world.bob.user.username]);
    const members = async () => (await ok('users', '--channel', 'plans')).map((u) => u.username).sort();
    assert.deepEqual(await members(), [ann.user.username, world.bob.user.username, bot.username].sort());
    await ok('channel', 'kick', 'plans', `@${world.bob.user.username}`);
    assert.deepEqual(await members(), [ann.user.username, bot.username].sort());

    await ok('channel', 'leave', 'plans');
    assert.ok(!(await ok('channels')).some((c) => c.id === id));
    assert.equal((await ok('channel', 'join', 'plans')).channel_id, id);
    assert.ok((await ok('channels')).some((c) => c.id === id));
    const archive = await daemon.cli('channel', 'archive', 'plans');
    if (archive.code === 0) assert.ok((await rest.getChannel(id)).delete_at > 0);
    else assert.match(archive.stderr, /delete_public_channel/);
  });

  test('create --private makes one that nobody else sees', async () => {
    const made = await ok('channel', 'create', `${world.team.name}/hidden`, '--private');
    assert.equal((await server.admin.rest.getChannel(made.channel_id)).type, 'P');
  });

  test('a 403 names the right that is missing and who has it', sandboxOnly, async () => {
    await server.control('/rules', {
      action: 'fail', method: 'DELETE', path: `/api/v4/channels/${world.channel.id}`, status: 403,
      body: JSON.stringify({ id: 'api.context.permissions.app_error', message: 'You do not have the appropriate permissions.', status_code: 403 }),
    });
    await fails(/may not archive ~\S+: it lacks the right delete_public_channel\. .*administrator/, 1, 'channel', 'archive', world.channel.id);
  });

  test('what the server refuses is said in its words', async () => {
    await fails(/cannot create the channel ~/, 1, 'channel', 'create', world.channel.name);
  });

  test('misses list near names', async () => {
    await fails(new RegExp(`no channel.*${world.channel.name}`), 1, 'channel', 'leave', world.channel.name.slice(0, -1));
    await fails(new RegExp(`no user.*${ann.user.username}`), 1, 'channel', 'invite', world.channel.id, `@${ann.user.username}x`);
    // Also of public channels that the bot is not in.
    const name = `near-${world.channel.name}`;
    await server.admin.rest.createChannel({ team_id: world.team.id, name, display_name: 'Near', type: 'O' });
    await fails(new RegExp(`no channel.*near names: .*${world.team.name}/${name}`), 1, 'channel', 'join', `${name}x`);
    await fails(new RegExp(`no channel.*near names: .*${name}`), 1, 'channel', 'join', `${world.team.name}/${name}x`);
  });

  test('wrong usage is exit code 2 with a sentence', async () => {
    await fails(/did you mean "join"/, 2, 'channel', 'jion', 'x');
    await fails(/at least one @user/, 2, 'channel', 'invite', 'x');
    await fails(/the text in quotes/, 2, 'channel', 'topic', 'x', 'two', 'words');
    await fails(/too much/, 2, 'channel', 'archive', 'x', 'y');
    await fails(/channel create/, 2, 'channel', 'join', 'x', '--private');
  });
});

describe('people', () => {
  test('users by search, team and channel', async () => {
    const found = await ok('users', '--search', ann.user.username);
    assert.deepEqual(found.map((u) => u.id), [ann.user.id]);
    assert.deepEqual(
      [found[0].username, found[0].is_bot, found[0].active], [ann.user.username, false, true],
    );
    const members = await ok('users', '--team', world.team.name);
    assert.equal(members.find((u) => u.id === bot.id).is_bot, true);
    assert.equal((await ok('users', '--limit', '1')).length, 1);
  });

  test('user tells who somebody is, by any name', async () => {
    for (const name of [ann.user.username, `@${ann.user.username}`, ann.user.id]) {
      const user = await ok('user', name);
      assert.equal(user.id, ann.user.id);
      assert.ok(['online', 'away', 'dnd', 'offline'].includes(user.status), user.status);
    }
    await fails(new RegExp(`no user @.*near names: .*@${ann.user.username}`), 1, 'user', `@${ann.user.username}x`);
  });

  test('teams', async () => {
    const teams = await ok('teams');
    assert.equal(teams.find((t) => t.id === world.team.id).name, world.team.name);
  });

  test('groups need a licence: one sentence', async () => {
    await fails(/has no licence for groups/, 1, 'groups');
  });
});
