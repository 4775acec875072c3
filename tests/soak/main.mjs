// script/soak: see there. Ends with one line of figures, and exit status 1 when something grows, is lost or is said twice.
import { parseArgs } from 'node:util';
import { echo } from '../lib/answers.mjs';
import { Feed, within } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { memory, openFiles } from '../lib/machine.mjs';
import { Server, World } from '../lib/server.mjs';

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '5' },
    'leaks-only': { type: 'boolean', default: false },
  },
});
const minutes = Number(options.minutes), rate = Number(options.rate);
if (!(minutes > 0 && rate > 0)) {
  console.error('usage: script/soak [--minutes N] [--rate POSTS_A_SECOND] [--leaks-only]');
  process.exit(2);
}

// A cycle: talk, then quiet, in which what was said is answered and what was kept for speed is given back. Then a sample.
const TALK_MS = 7000, QUIET_MS = 2500;
// What may grow from the middle to the end.
const MAX_GROWTH = { memory: 1.5 * 1024 * 1024, files: 2 };
const MAX_BYTES_AN_EVENT = 8 * 1024;
const MIB = 1024 * 1024;

const print = console.log;
console.log = () => {}; // the official client talks there
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const problems = [];
const handlers = { echo: { type: 'command', command: ['./echo'] } };

const server = await Server.open();
const world = await World.open(server);
const { ann, bob, bot } = world;
await ann.listen();
const channels = [world.channel, await world.newChannel(), await world.newChannel(), await bob.rest.createDirectChannel([bob.user.id, bot.id])];
const config = { bots: [botConfig(world, bot, { handler: 'echo', channels: [] })], handlers, daemon: { log_level: 'info' } };
const daemon = await Daemon.start(config, { scripts: { echo } });
const { pid } = daemon.program.child;

// A reader that stays: it must get each post once.
const reader = daemon.spawn('stream', '--consumer', 'soak', '--since', '0', '--kind', 'post');

const breaks = [
  () => server.control('/sockets', { action: 'reset', user: bot.id }),
  () => server.control('/sockets', { action: 'drop', user: bot.id }),
  () => server.control('/sockets', { action: 'lose', user: bot.id }),
  () => server.control('/sockets', { action: 'skip', user: bot.id, count: 2 }),
  () => server.control('/rules', { method: 'POST', path: '/api/v4/posts', user: bot.id, action: 'fail', status: 503, retry_after: 1 }),
  () => server.control('/rules', { method: 'POST', path: '/api/v4/posts', user: bot.id, action: 'abort' }),
];

// What else happens in a cycle, each with a period of its own.
const visitors = [
  [2, async (n) => {
    const stream = daemon.spawn('stream', '--since', '0', '--kind', 'post');
    await stream.line((l) => l.includes('"kind"'), 'an event');
    await (n % 4 ? stream.stop('SIGINT') : stream.kill('SIGKILL'));
  }],
  [3, (n) => breaks[(n / 3) % breaks.length]()],
  [5, () => daemon.cli('status', '--json')],
  [6, (n) => daemon.cli('send', '--channel', world.channel.id, '--text', `sent ${n}`)],
  [7, () => daemon.cli('search', 'soak')],
  [11, () => daemon.cli('reload')],
];

const texts = new Set();
// A restart of the bot's socket is told to nobody else, so ann hears all answers; those to bob in the direct channel are asked for.
const answers = new Feed();
const counted = new Map();
const count = (post) => {
  if (post.user_id !== bot.id || !texts.has(post.message.replace(/^re: /, ''))) return;
  counted.set(post.message, (counted.get(post.message) ?? 0) + 1);
  answers.push(post.message);
};
ann.socket.addMessageListener((m) => m.event === 'posted' && count(JSON.parse(m.data.post)));
await bob.listen();
bob.socket.addMessageListener((m) => {
  const post = m.event === 'posted' ? JSON.parse(m.data.post) : undefined;
  if (post?.channel_id === channels[3].id) count(post);
});
for (const person of [ann, bob]) person.events.push = () => {}; // they keep nothing

async function talk(cycle) {
  const until = performance.now() + TALK_MS;
  for (let i = 0; performance.now() < until; i++) {
    const text = `soak ${cycle} ${i}`;
    texts.add(text);
    await (i % 2 ? bob : i % 3 ? ann : bob).post(channels[i % 2 ? i % channels.length : i % 3], text);
    await sleep(1000 / rate);
  }
}

const samples = [];
async function sample(began) {
  const { json: status } = await daemon.cli('status', '--json');
  const one = {
    at: (performance.now() - began) / 60_000,
    memory: await memory(pid),
    files: await openFiles(pid),
    store: status.store.file_bytes,
    events: status.store.last_event_id,
    posts: texts.size,
  };
  samples.push(one);
  return one;
}

const line = (s) => `${s.at.toFixed(1).padStart(6)} min  ${(s.memory / MIB).toFixed(2).padStart(7)} MiB  ${String(s.files).padStart(3)} files  ` +
  `${(s.store / MIB).toFixed(1).padStart(6)} MiB store  ${String(s.events).padStart(7)} events  ${String(s.posts).padStart(7)} posts`;

// How much `what` grows from the middle to the end: the straight line that fits the samples of the second half best.
function growth(what) {
  const half = samples.slice(Math.floor(samples.length / 2));
  const n = half.length, mx = half.reduce((a, s) => a + s.at, 0) / n, my = half.reduce((a, s) => a + s[what], 0) / n;
  const above = half.reduce((a, s) => a + (s.at - mx) * (s[what] - my), 0), below = half.reduce((a, s) => a + (s.at - mx) ** 2, 0);
  return below ? (above / below) * (half.at(-1).at - half[0].at) : 0;
}

const began = performance.now();
try {
  for (let cycle = 1, told = 0; performance.now() - began < minutes * 60_000; cycle++) {
    const visits = visitors.filter(([every]) => cycle % every === 0).map(([, visit]) => visit(cycle));
    await Promise.all([talk(cycle), ...visits]);
    await sleep(QUIET_MS);
    const s = await sample(began);
    if (s.at - told >= 1 || cycle === 1) {
      told = s.at;
      print(line(s));
    }
  }
  await answers.count(texts.size, () => true, 'the last answers', 120_000);
  await reader.stdout.count(texts.size, (l) => /"text":"soak /.test(l), 'the last posts in the stream', 60_000);
  const last = await sample(began);
  print(line(last));

  const { json: status } = await daemon.cli('status', '--json');
  const [state] = status.bots;
  if (state.outbox.failed || state.tasks.failed) problems.push(`${state.outbox.failed} answers and ${state.tasks.failed} turns failed`);
} catch (error) {
  problems.push(error.message);
}
await within(reader.stop('SIGINT'), 'the reader to stop').catch((e) => problems.push(e.message));
await daemon.stop().catch((e) => problems.push(e.message));
if (daemon.program.code !== 0) problems.push(`matterwired ended with ${daemon.program.code ?? daemon.program.signal}: ${daemon.program.text.stderr.slice(-3000)}`);

const twice = [...counted].filter(([, n]) => n > 1).length;
const lost = texts.size - counted.size;
const read = reader.stdout.items.filter((l) => /"text":"soak /.test(l)).map((l) => JSON.parse(l).post_id);
const readTwice = read.length - new Set(read).size;
if (lost || twice) problems.push(`${lost} posts without an answer, ${twice} with several`);
if (readTwice) problems.push(`the stream gave ${readTwice} posts twice`);
const [first, last] = [samples[0], samples.at(-1)];
const anEvent = samples.length > 1 ? (last.store - first.store) / Math.max(last.events - first.events, 1) : 0;
if (samples.length > 4) {
  for (const [what, limit] of Object.entries(MAX_GROWTH)) {
    if (what === 'memory' && options['leaks-only']) continue;
    if (growth(what) > limit) problems.push(`${what} grew by ${Math.round(growth(what))} in the second half; ${limit} are allowed`);
  }
  if (last.events > 2000 && anEvent > MAX_BYTES_AN_EVENT) problems.push(`the store took ${Math.round(anEvent)} bytes an event; ${MAX_BYTES_AN_EVENT} are allowed`);
}
await daemon.close().catch(() => {});
await world.close();
await server.close().catch((e) => problems.push(e.message));

for (const p of problems) console.error(`FAILED: ${p}`);
print(`${minutes} min, posted ${texts.size}, answered ${counted.size}, lost ${lost}, doubled ${twice}; second half: memory ` +
  `${(growth('memory') / 1024).toFixed(0)} KiB more of ${(last.memory / MIB).toFixed(1)} MiB, files ${growth('files').toFixed(1)} more of ${last.files}; ` +
  `store ${Math.round(anEvent)} bytes an event`);
process.exit(problems.length ? 1 : 0);
