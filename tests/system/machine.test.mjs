// What the machine does to a daemon: kill at any instant, a full disk, a locked database, no descriptors left, a clock that is
// set. Nothing is lost, nothing is said twice, nothing spins, and what does not work is a state that people see.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually, within } from '../lib/client.mjs';
import { answeredOnce, echo, say } from '../lib/answers.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { appears, cpuShare, isRoot, openFiles, setLimit, sh, smallDisk } from '../lib/machine.mjs';
import { Program, matterwired, run } from '../lib/program.mjs';
import { Rpc } from '../lib/rpc.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

let server, world, ann, bot;
// Tells that it runs, and waits until it may go on.
const turn = 'echo run >>runs; : >begun; while [ ! -e go ]; do sleep 0.02; done; printf "re: %s" "$MATTERWIRE_TEXT"';

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

const configOf = (more = {}, daemon = {}) => ({
  bots: [botConfig(world, bot, { handler: 'echo', channels: [], ...more })],
  handlers: { echo: { type: 'command', command: ['./echo'] } },
  daemon,
});

async function daemonFor(t, { script = echo, bots, settings, env } = {}) {
  const daemon = await Daemon.start(configOf(bots, settings), { scripts: { echo: script }, env });
  t.after(() => daemon.close());
  return daemon;
}

const answered = (posts, ms) => answeredOnce(ann, bot, posts, ms);
// How often the log has it, apart from debugging.
const logLines = (daemon, message) =>
  daemon.program.stderr.items.filter((l) => l.includes(`"${message}"`) && !l.includes('"level":"debug"')).length;
const status = async (daemon) => (await daemon.cli('status', '--json')).json;

describe('killed', () => {
  test('in the middle of a turn: the event is given again, one answer', async (t) => {
    const daemon = await daemonFor(t, { script: turn });
    const [post] = await say(ann, world.channel, 1, 'killed in a turn');
    await appears(path.join(daemon.folder, 'begun'));
    await daemon.program.kill('SIGKILL');
    await rm(path.join(daemon.folder, 'begun'));
    await daemon.start();
    await appears(path.join(daemon.folder, 'begun'));
    await writeFile(path.join(daemon.folder, 'go'), '');
    await answered([post]);
    // The post, its second run, and the marker.
    assert.equal((await readFile(path.join(daemon.folder, 'runs'), 'utf8')).split('\n').length - 1, 3);
  });

  // Each round dies a little later, so that all of it dies once: the start, the catch-up, a turn, an answer on its way.
  test('at many instants of its life: nothing lost, nothing twice', async (t) => {
    const daemon = await daemonFor(t);
    const posts = await say(ann, world.channel, 2, 'instant first');
    for (let round = 0; round < 16; round++) {
      posts.push(...(await say(ann, world.channel, 1, `instant ${round}`)));
      await new Promise((resolve) => setTimeout(resolve, round * 6));
      await daemon.program.kill('SIGKILL');
      posts.push(...(await say(ann, world.channel, 1, `instant ${round} away`)));
      await daemon.start({ online: round % 2 === 0 });
    }
    await daemon.program.kill('SIGKILL');
    await daemon.start();
    // On a slow machine one may have been at work in three lives that were ended: it is set aside, and seen.
    await eventually(async () => {
      const dead = (await daemon.cli('events', '--dead', '--json')).json;
      if (dead.length) assert.equal((await daemon.cli('events', 'retry', ...dead.map((e) => String(e.id)))).code, 0);
      const { tasks } = (await daemon.cli('status', '--json')).json.bots[0];
      assert.deepEqual([tasks.pending, tasks.failed, dead.length], [0, 0, 0]);
    });
    await answered(posts);
  });

  const sending = {
    'while its answer is on its way, not stored yet': { action: 'hang' },
    'while its answer is stored, but it was not told': { action: 'abort' },
  };
  for (const [name, rule] of Object.entries(sending)) {
    test(name, sandboxOnly, async (t) => {
      const daemon = await daemonFor(t);
      await answered(await say(ann, world.channel, 1, `${name}, before`));
      const { id } = await server.control('/rules', { method: 'POST', path: '/api/v4/posts', skip: 1, ...rule });
      const [post] = await say(ann, world.channel, 1, name);
      await server.control(`/wait?rule=${id}&hits=1`);
      await daemon.program.kill('SIGKILL');
      await daemon.start();
      await answered([post]);
    });
  }
});

describe('SIGTERM in the middle of a turn', () => {
  test('a handler that ends soon answers in the same turn', async (t) => {
    const daemon = await daemonFor(t, { script: turn });
    const [post] = await say(ann, world.channel, 1, 'stopped, quick');
    await appears(path.join(daemon.folder, 'begun'));
    daemon.program.child.kill('SIGTERM');
    await daemon.logged('stopping');
    await writeFile(path.join(daemon.folder, 'go'), '');
    await within(daemon.program.ended, 'the end'); // a second signal would not wait for the handler
    assert.equal(daemon.program.code, 0);
    await daemon.start();
    await answered([post]);
    assert.equal((await readFile(path.join(daemon.folder, 'runs'), 'utf8')).split('\n').length - 1, 2);
  });

  test('a handler that goes on is stopped and given the event again, as often as it takes', async (t) => {
    const daemon = await daemonFor(t, { script: `trap '' TERM\n${turn}` });
    const [post] = await say(ann, world.channel, 1, 'stopped, slow');
    for (let i = 0; i < 4; i++) {
      await appears(path.join(daemon.folder, 'begun'));
      await rm(path.join(daemon.folder, 'begun'));
      await daemon.stop();
      // On a slow machine its 5 s may be over before the handler is gone.
      if (daemon.program.code !== 0) assert.match(daemon.program.text.stderr, /what was recorded is safe/);
      await daemon.start();
    }
    await writeFile(path.join(daemon.folder, 'go'), '');
    await answered([post]);
  });
});

// The database cannot be written: a state, told once, nothing spins; then it can, and everything is there.
async function stalled(daemon, posts, cure) {
  await daemon.logged('the database cannot be written, trying again until it can');
  const { store } = await status(daemon);
  assert.equal(store.state, 'stalled');
  assert.match(store.reason, /\S+ \S+/);
  posts.push(...(await say(ann, world.channel, 3, `stalled ${Math.random()}`)));
  assert.ok((await cpuShare(daemon.program.child.pid)) < 0.5, 'it waits');
  assert.equal(logLines(daemon, 'the database cannot be written, trying again until it can'), 1);
  await cure();
  await daemon.logged('the database can be written again');
  await answered(posts);
  assert.equal((await status(daemon)).store.state, 'ok');
  return store;
}

describe('the disk', () => {
  test('full while it runs, then free again', async (t) => {
    const disk = await smallDisk(t, '8m');
    if (!disk) return t.skip('a small file system cannot be mounted here (needs root)');
    const daemon = await daemonFor(t, { settings: { database: path.join(disk, 'state.db') } });
    await answered(await say(ann, world.channel, 2, 'before it was full'));
    const filler = path.join(disk, 'filler');
    await sh('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k']).catch(() => {});
    const posts = await say(ann, world.channel, 3, 'on a full disk');
    const store = await stalled(daemon, posts, () => rm(filler));
    assert.match(store.reason, /the disk is full/);
  });

  test('full while it runs, killed there: nothing is lost', async (t) => {
    const disk = await smallDisk(t, '8m');
    if (!disk) return t.skip('a small file system cannot be mounted here (needs root)');
    const daemon = await daemonFor(t, { settings: { database: path.join(disk, 'state.db') } });
    await answered(await say(ann, world.channel, 2, 'before it was full and killed'));
    const filler = path.join(disk, 'filler');
    await sh('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k']).catch(() => {});
    const posts = await say(ann, world.channel, 3, 'on a full disk, killed');
    await daemon.logged('the database cannot be written, trying again until it can');
    await daemon.stop();
    assert.equal(daemon.program.code, 1, 'not all could be recorded');
    assert.match(daemon.program.text.stderr, /what was recorded is safe/);
    await daemon.start({ online: false });
    posts.push(...(await say(ann, world.channel, 1, 'on a full disk, again')));
    await daemon.program.kill('SIGKILL');
    await rm(filler);
    await daemon.start();
    await answered(posts);
  });

  test('a limit for the size of files is like a full disk', async (t) => {
    const daemon = await daemonFor(t);
    await answered(await say(ann, world.channel, 2, 'below the limit'));
    const { pid } = daemon.program.child;
    const free = await setLimit(pid, 'fsize', 4096);
    const posts = await say(ann, world.channel, 1, 'over the limit');
    await stalled(daemon, posts, free);
  });

  test('full at the first start: a sentence and exit status 1', async (t) => {
    const disk = await smallDisk(t, '64k');
    if (!disk) return t.skip('a small file system cannot be mounted here (needs root)');
    const daemon = await Daemon.prepare(configOf({}, { database: path.join(disk, 'state.db') }));
    t.after(() => daemon.close());
    const { code, stderr } = await run(matterwired, ['--config', daemon.configPath]);
    assert.equal(code, 1);
    assert.match(stderr, /cannot open .*state\.db: .*full/);
  });

  test('read-only: a sentence and exit status 1', async (t) => {
    const disk = await smallDisk(t, '8m');
    if (!disk) return t.skip('a small file system cannot be mounted here (needs root)');
    const daemon = await daemonFor(t, { settings: { database: path.join(disk, 'state.db') } });
    await answered(await say(ann, world.channel, 1, 'before it was read-only'));
    await daemon.stop();
    await sh('mount', ['-o', 'remount,ro', disk]);
    const posts = await say(ann, world.channel, 2, 'read-only');
    const { code, stderr } = await run(matterwired, ['--config', daemon.configPath]);
    assert.equal(code, 1);
    assert.match(stderr, /state\.db.*[Rr]ead-only/);
    await sh('mount', ['-o', 'remount,rw', disk]);
    await daemon.start();
    await answered(posts);
  });

  test('a database file that cannot be written: a sentence and exit status 1', { skip: isRoot && 'root may write every file' }, async (t) => {
    const daemon = await daemonFor(t);
    await daemon.stop();
    const file = path.join(daemon.folder, 'state.db');
    await sh('chmod', ['400', file]);
    const { code, stderr } = await run(matterwired, ['--config', daemon.configPath]);
    assert.equal(code, 1);
    assert.match(stderr, /state\.db.*Permission denied/);
  });
});

describe('the database locked by another process', () => {
  const lock = async (t, daemon) => {
    const text = 'import signal,sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\nc.execute("BEGIN IMMEDIATE")\nprint("locked",flush=True)\nsignal.pause()';
    const holder = new Program('python3', ['-c', text, path.join(daemon.folder, 'state.db')]);
    t.after(() => holder.kill('SIGKILL'));
    await holder.line((l) => l === 'locked', 'the lock');
    return holder;
  };

  test('while it runs: a state, and all of it is there afterwards', async (t) => {
    const daemon = await daemonFor(t);
    await answered(await say(ann, world.channel, 2, 'before the lock'));
    const holder = await lock(t, daemon);
    const posts = await say(ann, world.channel, 3, 'locked');
    const store = await stalled(daemon, posts, () => holder.kill('SIGKILL'));
    assert.match(store.reason, /another process/);
  });

  test('at the start: it waits, or says who cannot be waited for', async (t) => {
    const daemon = await daemonFor(t);
    await answered(await say(ann, world.channel, 1, 'before the locked start'));
    await daemon.stop();
    const holder = await lock(t, daemon);
    const posts = await say(ann, world.channel, 2, 'locked at the start');
    await daemon.start({ online: false });
    await daemon.logged('the database cannot be written, trying again until it can');
    await holder.kill('SIGKILL');
    await answered(posts);
  });
});

describe('no descriptors left', () => {
  test('handlers and clients are refused with a reason and served later; nothing spins', async (t) => {
    const daemon = await daemonFor(t);
    await answered(await say(ann, world.channel, 2, 'before the limit'));
    const { pid } = daemon.program.child;
    const keep = await Rpc.connect(daemon.config.daemon.socket);
    t.after(() => keep.close());
    await keep.call('status', {});
    const free = await setLimit(pid, 'nofile', await openFiles(pid));
    const posts = await say(ann, world.channel, 3, 'no descriptors');
    await daemon.logged('the handler cannot start now');
    const late = daemon.cli('status', '--json');
    assert.ok((await cpuShare(pid)) < 0.5, 'it waits');
    // Once, not once a second.
    assert.equal(logLines(daemon, 'the handler cannot start now'), 1);
    await eventually(async () => {
      const now = await keep.call('status', {});
      assert.match(now.handlers[0].last_error, /[Tt]oo many open files/);
      assert.equal(now.tasks.pending, 3);
    });
    await free();
    await answered(posts);
    assert.equal((await late).code, 0);
  });

  test('a bot cannot connect: a state with the reason, and it does later', sandboxOnly, async (t) => {
    const daemon = await daemonFor(t);
    await answered(await say(ann, world.channel, 1, 'before the limit for sockets'));
    const { pid } = daemon.program.child;
    const keep = await Rpc.connect(daemon.config.daemon.socket);
    t.after(() => keep.close());
    await keep.call('status', {});
    const free = await setLimit(pid, 'nofile', 10);
    await server.control('/sockets', { action: 'lose', user: bot.id });
    const { reason } = await daemon.state('helper', 'waiting');
    assert.match(reason, /\S+ \S+/);
    const posts = await say(ann, world.channel, 3, 'no sockets');
    assert.ok((await cpuShare(pid)) < 0.5, 'it waits');
    // What it was told first is that the connection is lost.
    await eventually(async () => assert.match((await keep.call('status', {})).bots[0].reason ?? '', /[Tt]oo many open files/));
    await free();
    assert.equal((await daemon.cli('reload')).code, 0);
    await answered(posts);
  });
});

describe('somebody sets the clock', () => {
  const library = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
  const missing = {
    skip: process.env.TSAN_OPTIONS ? 'ThreadSanitizer does not see the locks behind libfaketime'
      : !existsSync(library) && 'needs the package libfaketime',
  };

  for (const offset of ['+1h', '-1h']) {
    test(`by ${offset}: turns, retries, catch-up and restarts go on as before`, { ...(missing.skip ? missing : sandboxOnly), timeout: 400_000 }, async (t) => {
      const folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-clock-'));
      t.after(() => rm(folder, { recursive: true, force: true }));
      const clock = path.join(folder, 'clock');
      await writeFile(clock, '+0');
      const daemon = await daemonFor(t, {
        script: turn,
        env: {
          LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1',
          DONT_FAKE_MONOTONIC: '1', ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
        },
      });
      const go = path.join(daemon.folder, 'go');
      // In the middle of a turn, which goes on: its time limit is not over.
      const posts = await say(ann, world.channel, 1, `clock ${offset}, in a turn`);
      await appears(path.join(daemon.folder, 'begun'));
      await writeFile(clock, offset);
      await writeFile(go, '');
      await answered(posts);
      // A time of the log shows that the clock was set.
      const entry = JSON.parse(daemon.program.stderr.items.at(-1));
      assert.ok(Math.abs(Date.parse(entry.time) - Date.now()) > 1_800_000, entry.time);
      // What is missed while away is found, by the server's times.
      await server.control('/upgrades', { action: 'refuse', status: 502, body: 'x', count: 2 });
      await server.control('/sockets', { action: 'lose', user: bot.id });
      await daemon.state('helper', 'waiting');
      await answered(await say(ann, world.channel, 3, `clock ${offset}, away`));
      // A retry waits as long as the server said, not as long as a clock says.
      const rule = { method: 'POST', path: '/api/v4/posts', skip: 1, action: 'fail', status: 503, retry_after: 1 };
      let { id } = await server.control('/rules', rule);
      const [retried] = await say(ann, world.channel, 1, `clock ${offset}, refused`);
      await server.control(`/wait?rule=${id}&hits=1`);
      await writeFile(clock, '+0');
      await answered([retried]);
      // A row that waits is not held up by the time of a clock that was wrong when it was written.
      await writeFile(clock, offset);
      ({ id } = await server.control('/rules', rule));
      const [kept] = await say(ann, world.channel, 1, `clock ${offset}, kept`);
      await server.control(`/wait?rule=${id}&hits=1`);
      await daemon.program.kill('SIGKILL');
      await writeFile(clock, '+0');
      const missed = await say(ann, world.channel, 2, `clock ${offset}, dead`);
      await daemon.start();
      await answered([kept, ...missed]);
    });
  }
});
