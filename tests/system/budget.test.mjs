// A server that limits calls: bots share what it takes, and people's answers go first.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Rpc } from '../lib/rpc.mjs';
import { Server, World, live } from '../lib/server.mjs';

let server, world, ann;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { bots: ['one', 'two'] });
  ({ ann } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

// On a real server somebody has to switch rate limiting on (10 a second, bursts of 10); ours is switched here.
const limited = { skip: live && !process.env.MATTERMOST_RATE_LIMITED && 'needs a server with a rate limit' };
const emojis = ['smile', 'tada', 'heart', 'rocket', 'eyes', 'fire', 'wave', 'star', 'cat', 'dog', 'sunny', 'cloud'];

test('two bots share it, nothing is refused, answers go before reactions', limited, async (t) => {
  const target = await ann.post(world.channel, 'react to this');
  const bots = world.bots.map((bot, i) => botConfig(world, bot, { name: `b${i}` }));
  const daemon = await Daemon.start({ bots });
  t.after(() => daemon.close());
  const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
  t.after(() => rpc.close());
  // No call of the catch-up may meet the limit before the daemon knows of it.
  await eventually(async () => {
    const status = await rpc.call('status');
    for (const { session } of status.bots) assert.ok(session.member_of > 0, JSON.stringify(session));
    const [{ in_flight, waiting }] = status.servers;
    assert.deepEqual([in_flight, waiting], [0, { answers: 0, changes: 0, reads: 0, signs: 0 }]);
  });
  if (!live) {
    await server.control('/rate', { per_second: 10, burst: 9 });
    t.after(() => server.control('/rate', { per_second: 0 }));
  }
  await rpc.call('teams', { bot: 'b0' }); // it learns of the limit
  const learned = (await rpc.call('status')).servers;
  assert.equal(learned.length, 1);
  assert.ok(learned[0].rate_limit > 0);
  const refused = learned[0].rate_limited;

  const done = [];
  const calls = [];
  for (let i = 0; i < emojis.length; i++) {
    const bot = `b${i % 2}`;
    calls.push(rpc.call('react', { bot, post: target.id, emoji: emojis[i], wait: '120s' }).then(() => done.push('sign')));
    calls.push(rpc.call('send', { bot, channel: world.channel.id, text: `answer ${i}`, wait: '120s' }).then(() => done.push('answer')));
  }
  await Promise.all(calls);
  assert.equal(done.length, 2 * emojis.length);
  assert.ok(done.lastIndexOf('answer') < done.lastIndexOf('sign'), done.join(' '));
  const [after] = (await rpc.call('status')).servers;
  assert.equal(after.rate_limited, refused);
  assert.deepEqual(after.waiting, { answers: 0, changes: 0, reads: 0, signs: 0 });
  if (!live) assert.equal((await server.control('/state')).rate_refused, 0);
});
