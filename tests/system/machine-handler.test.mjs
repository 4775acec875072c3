// What a handler may do wrong: hang, ignore signals, flood, fork away, close its output, not read its input, run out of memory.
// Each is a failure that people see, and the next message is answered.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { answeredOnce } from '../lib/answers.mjs';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { appears, cpuShare, openFiles } from '../lib/machine.mjs';
import { Server, World } from '../lib/server.mjs';

let server, world, ann, bot;

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

// The script does `what` for the message "bad", and answers every other one.
async function daemonFor(t, what, more = {}) {
  const script = `#!/bin/sh\nif [ "$MATTERWIRE_TEXT" = bad ]; then\n${what}\nfi\nprintf "re: %s" "$MATTERWIRE_TEXT"\n`;
  const daemon = await Daemon.start({
    bots: [botConfig(world, bot, { handler: 'echo', channels: [] })],
    handlers: { echo: { type: 'command', command: ['./echo'], timeout: '60s', attempts: 1, ...more } },
  }, { scripts: { echo: script } });
  t.after(() => daemon.close());
  return daemon;
}

const next = async (text) => answeredOnce(ann, bot, [await ann.post(world.channel, text)]);
const handler = async (daemon) => (await daemon.cli('status', '--json')).json.handlers[0];

const gone = async (pid) => {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').then((s) => s.replace(/^.*\) /, '')[0], () => 'gone');
  return state === 'gone' || state === 'Z' || state === 'X';
};
const pidOf = async (daemon, file) => Number(await readFile(path.join(daemon.folder, file), 'utf8'));

// What fails, how the log tells it, and what `status` counts.
const failures = {
  'hangs: it is stopped at its time limit': ['sleep 1000', { timeout: '3s' }, 'the handler took too long', /not done after 3 s/, 'timeout'],
  'hangs and ignores SIGTERM: it is killed': [
    `trap '' TERM; while :; do sleep 0.1; done`, { timeout: '3s' }, 'the handler took too long', /not done after 3 s/, 'timeout'],
  'floods its output': ['exec yes', {}, 'the handler failed', /more than \d+ bytes of output/, 'failed'],
  'floods standard error and fails: the last lines tell': [
    'yes x | head -c 3000000 >&2; echo the reason >&2; exit 3', {}, 'the handler failed', /exit status 3: .*the reason/, 'failed'],
  'runs out of memory': [
    // The limit is for what it starts, as a careful script has it.
    `ulimit -v 200000; exec python3 -c 'x = bytearray(1 << 30)'`, {}, 'the handler failed', /MemoryError/, 'failed'],
  'closes its output early and hangs': ['exec >&- 2>&-; sleep 1000', { timeout: '3s' }, 'the handler took too long', /not done after/, 'timeout'],
  'is killed by somebody': ['kill -KILL $$', {}, 'the handler failed', /signal 9/, 'failed'],
};
for (const [name, [what, more, message, reason, count]] of Object.entries(failures)) {
  test(`a handler that ${name}`, async (t) => {
    const daemon = await daemonFor(t, `echo $$ >pid\n${what}`, more);
    const post = await ann.post(world.channel, 'bad');
    await next(`meanwhile: ${name}`); // others are not held up
    const entry = await daemon.logged(message);
    assert.match(entry.reason, reason);
    const pid = await pidOf(daemon, 'pid');
    await eventually(async () => assert.ok(await gone(pid), 'its process is gone'));
    await next(`afterwards: ${name}`);
    const state = await handler(daemon);
    assert.match(state.last_error, reason);
    assert.equal(state[count], 1);
    assert.equal(state.running, 0);
    assert.ok(!ann.events.items.some((e) => e.data?.post?.root_id === post.id && /^re: /.test(e.data.post.message)), 'no answer');
  });
}

test('a handler that leaves a child behind, which holds its output open: the answer comes, the child does not stay', async (t) => {
  const daemon = await daemonFor(t, `sleep 1000 & echo $! >child`);
  const files = await openFiles(daemon.program.child.pid);
  const post = await ann.post(world.channel, 'bad');
  const answer = await ann.hearsAnswer(bot, post);
  assert.equal(answer.message, 're: bad');
  const child = await pidOf(daemon, 'child');
  await eventually(async () => assert.ok(await gone(child), 'the child is gone')); // it was killed, and dies when it is its turn
  await next('after the child');
  await eventually(async () => assert.ok((await openFiles(daemon.program.child.pid)) <= files + 2, 'no pipe stays open'));
});

test('a handler that forks away into a session of its own: the answer comes, nobody waits for the rest', async (t) => {
  const daemon = await daemonFor(t, `setsid sh -c 'echo $$ >child; while [ ! -e go ]; do sleep 0.1; done' & while [ ! -s child ]; do sleep 0.02; done`);
  const post = await ann.post(world.channel, 'bad');
  const answer = await ann.hearsAnswer(bot, post);
  assert.equal(answer.message, 're: bad');
  assert.ok(!(await gone(await pidOf(daemon, 'child'))), 'it left the group, so it is its own master');
  await next('after the fork');
  assert.equal((await handler(daemon)).running, 0);
  assert.ok((await cpuShare(daemon.program.child.pid)) < 0.5, 'it waits');
  await writeFile(path.join(daemon.folder, 'go'), '');
});

test('a handler that closes its output early, works on and ends well: what it had printed is the answer', async (t) => {
  const daemon = await daemonFor(t, `printf 'early bird'; exec >&- 2>&-; : >closed; while [ ! -e go ]; do sleep 0.02; done; exit 0`);
  const post = await ann.post(world.channel, 'bad');
  await appears(path.join(daemon.folder, 'closed'));
  await writeFile(path.join(daemon.folder, 'go'), '');
  assert.equal((await ann.hearsAnswer(bot, post)).message, 'early bird');
  await next('after the early bird');
});

test('a handler that ends before it reads its input: its answer counts', async (t) => {
  await daemonFor(t, `exec <&-; printf 'did not listen'; exit 0`);
  // The event is larger than a pipe holds.
  const long = `x${'y '.repeat(7_000)}`;
  const first = await ann.post(world.channel, 'bad', { props: { note: long.repeat(5) } });
  assert.equal((await ann.hearsAnswer(bot, first)).message, 'did not listen');
  await next('after the deaf one');
});

test('a handler that cannot be run: a failure with the reason, each time', async (t) => {
  const daemon = await daemonFor(t, 'true', { command: ['./not-there'] });
  await ann.post(world.channel, 'nobody');
  const entry = await daemon.logged('the handler failed');
  assert.match(entry.reason, /not-there/);
  assert.match((await handler(daemon)).last_error, /not-there/);
});
