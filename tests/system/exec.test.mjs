// `stream --exec`: a program for each event, which counts as taken once the program exits with 0.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { within } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World } from '../lib/server.mjs';

let server, world, ann;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann } = world);
});

after(async () => {
  await world?.close();
  await server?.close();
});

const args = (...more) => ['stream', '--consumer', 'work', '--since', '0', '--kind', 'post', ...more];

describe('stream --exec', () => {
  test('gives each event once, also after a restart; arguments go as they are', async (t) => {
    const daemon = await Daemon.start({ bots: [botConfig(world)] }, {
      scripts: { work: 'printf "%s|" "$@"; cat' },
    });
    t.after(() => daemon.close());
    const command = ['--exec', path.join(daemon.folder, 'work'), '--', '--odd $HOME', 'b;c'];
    const first = daemon.spawn(...args(...command));
    const one = await ann.post(world.channel, 'exec one');
    const line = await first.line((l) => l.includes(one.id), 'the first event');
    assert.ok(line.includes('--odd $HOME|b;c|'), line);
    const two = await ann.post(world.channel, 'exec two');
    await first.line((l) => l.includes(two.id), 'the second event');
    await first.stop('SIGTERM');
    assert.equal(first.code, 0);
    const three = await ann.post(world.channel, 'exec three');
    const second = daemon.spawn(...args(...command).filter((a) => a !== '--since' && a !== '0'));
    t.after(() => second.stop());
    await second.line((l) => l.includes(three.id), 'the third event');
    assert.ok(!second.text.stdout.includes(one.id), 'what was taken does not come again');
  });

  test('a program that fails is tried again, then the stream stops before the event', async (t) => {
    const daemon = await Daemon.start({ bots: [botConfig(world)] }, {
      scripts: {
        flaky: 'echo x >>flaky.log; test "$(wc -l <flaky.log)" -ge 2 || exit 3; cat',
        broken: 'cat >/dev/null; exit 7',
      },
    });
    t.after(() => daemon.close());
    const post = await ann.post(world.channel, 'exec flaky');
    const flaky = daemon.spawn(...args('--exec', path.join(daemon.folder, 'flaky')));
    await flaky.line((l) => l.includes(post.id), 'the event at the second try');
    await flaky.stop();
    assert.match(flaky.text.stderr, /exit status 3/);
    assert.ok((await readFile(path.join(daemon.folder, 'flaky.log'), 'utf8')).length >= 4);

    const next = await ann.post(world.channel, 'exec broken');
    const broken = daemon.spawn('stream', '--consumer', 'work', '--kind', 'post', '--tries', '2', '--exec', path.join(daemon.folder, 'broken'));
    await within(broken.ended, 'the stream to stop');
    assert.equal(broken.code, 1);
    assert.match(broken.text.stderr, /failed 2 times.*exit status 7/);
    const after = daemon.spawn('stream', '--consumer', 'work', '--kind', 'post');
    t.after(() => after.stop('SIGINT'));
    await after.line((l) => l.includes(next.id), 'the event that failed');
  });

  test('what cannot be run is said at once', async (t) => {
    const daemon = await Daemon.start({ bots: [botConfig(world)] });
    t.after(() => daemon.close());
    await ann.post(world.channel, 'exec nothing');
    const result = await daemon.cli(...args('--exec', './no-such-program'));
    assert.equal(result.code, 1);
    assert.match(result.stderr, /no-such-program/);
    const usage = await daemon.cli('stream', 'word');
    assert.equal(usage.code, 2);
    assert.match(usage.stderr, /--exec/);
  });
});
