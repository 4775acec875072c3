// The figures of bench/RESULTS.md: each beside the raw limit of the same machine in the same run.
//   script/bench [--quick] [--write]
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSocket } from '../tests/lib/client.mjs';
import { Daemon, botConfig } from '../tests/lib/daemon.mjs';
import { matterwired } from '../tests/lib/program.mjs';
import { Rpc } from '../tests/lib/rpc.mjs';
import { Server, World } from '../tests/lib/server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const quick = process.argv.includes('--quick');
const rows = [];

const now = () => Number(process.hrtime.bigint()) / 1e6; // ms
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
const ms = (n) => `${n.toFixed(2)} ms`;
const perSecond = (n) => `${Math.round(n).toLocaleString('en')}/s`;

function report(what, target, measured, raw, met) {
  rows.push({ what, target, measured, raw, met });
  console.log(`${met ? 'ok  ' : 'MISS'} ${what}: ${measured} (target ${target}; raw limit: ${raw})`);
}

// What the disk itself takes for one small durable write.
function measureFsync(folder) {
  const fd = openSync(path.join(folder, 'fsync'), 'w');
  const times = [];
  for (let i = 0; i < 300; i++) {
    writeSync(fd, Buffer.alloc(4096));
    const start = now();
    fsyncSync(fd);
    times.push(now() - start);
  }
  closeSync(fd);
  return times;
}

async function journaled(rpc, n) {
  for (;;) {
    const { store } = await rpc.call('status');
    if (store.last_event_id >= n) return;
    await pause(10);
  }
}

async function journalRate(server) {
  const world = await World.open(server, { people: ['ann'] });
  const daemon = await Daemon.start({ bots: [botConfig(world)], daemon: { log_level: 'info' } });
  const rpc = await Rpc.connect(daemon.config.daemon.socket);
  const count = quick ? 20_000 : 200_000;
  const flood = { channel_id: world.channel.id, user_id: world.ann.user.id, count, size: 120 };
  const before = (await rpc.call('status')).store.last_event_id;
  const start = now();
  const flooding = server.control('/flood', flood);
  await journaled(rpc, before + count);
  const rate = count / ((now() - start) / 1000);
  await flooding;
  rpc.close();
  await daemon.close();

  // The raw limits: the same frames to a reader that drops them, and the same rows to the store alone.
  const socket = await openSocket(server.url, world.bot.token);
  let got = 0;
  const all = new Promise((resolve) => socket.on('message', () => ++got === count && resolve()));
  const rawStart = now();
  await server.control('/flood', flood);
  await all;
  const rawRate = count / ((now() - rawStart) / 1000);
  socket.close();
  const store = execFileSync(path.join(process.env.MATTERWIRE_BUILD, 'src/store/store_bench'), { encoding: 'utf8' });
  report('frame to committed journal row, full durability, sustained', '20,000/s', perSecond(rate),
    `frames to a reader that drops them ${perSecond(rawRate)}; the store alone: ${store.trim().split('\n').join('; ')}`, rate >= 20_000);
}

async function streamLatency(server, fsync) {
  const world = await World.open(server, { people: ['ann'] });
  const daemon = await Daemon.start({ bots: [botConfig(world)], daemon: { log_level: 'info' } });
  const rpc = await Rpc.connect(daemon.config.daemon.socket);
  const socket = await openSocket(server.url, world.ann.token);
  const sent = new Map(), taken = new Map();
  socket.on('message', (data) => {
    const t = now();
    const frame = JSON.parse(data);
    if (frame.event === 'posted') sent.set(JSON.parse(frame.data.post).id, t);
  });
  const count = quick ? 200 : 2000;
  const finished = new Promise((resolve) => {
    rpc.onNotification = (n) => {
      if (n.method !== 'event') return;
      taken.set(n.params.event.post_id, now());
      if (taken.size === count) resolve();
    };
  });
  await rpc.call('stream', { kinds: ['post'], credit: count + 100 });
  await server.control('/flood', { channel_id: world.channel.id, user_id: world.ann.user.id, count, rate: 100, size: 120 });
  await finished;
  await pause(100);
  const times = [...taken].filter(([id]) => sent.has(id)).map(([id, t]) => t - sent.get(id));
  socket.close();
  rpc.close();
  await daemon.close();
  const disk = [quantile(fsync, 0.5), quantile(fsync, 0.99)];
  const whole = [quantile(times, 0.5), quantile(times, 0.99)];
  const over = [whole[0] - disk[0], whole[1] - disk[1]];
  report("frame to a stream subscriber at 100/s, p50 / p99, over the disk's fsync", '0.5 / 1.5 ms',
    `${ms(over[0])} / ${ms(over[1])}`, `fsync ${ms(disk[0])} / ${ms(disk[1])}; in all ${ms(whole[0])} / ${ms(whole[1])}`,
    over[0] <= 0.5 && over[1] <= 1.5);
}

async function sendLatency(server) {
  const world = await World.open(server, { people: ['ann'] });
  const daemon = await Daemon.start({ bots: [botConfig(world)], daemon: { log_level: 'info' } });
  const rpc = await Rpc.connect(daemon.config.daemon.socket);
  const count = quick ? 100 : 1000;
  const times = [];
  for (let i = 0; i < count; i++) {
    const start = now();
    await rpc.call('send', { channel: world.channel.id, text: `message ${i}` });
    times.push(now() - start);
  }
  // The raw limit: the same posts straight to the server over one kept connection.
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const raw = [];
  for (let i = 0; i < count; i++) {
    const start = now();
    await new Promise((resolve, reject) => {
      const body = JSON.stringify({ channel_id: world.channel.id, message: `raw ${i}` });
      const headers = { Authorization: `Bearer ${world.bot.token}`, 'Content-Length': Buffer.byteLength(body) };
      const request = http.request(`${server.url}/api/v4/posts`, { method: 'POST', agent, headers },
        (response) => response.resume().on('end', resolve));
      request.on('error', reject).end(body);
    });
    raw.push(now() - start);
  }
  agent.destroy();
  rpc.close();
  await daemon.close();
  report('send over the socket against the sandbox, p50', '1 ms', `${ms(quantile(times, 0.5))} (p99 ${ms(quantile(times, 0.99))})`,
    `the bare POST ${ms(quantile(raw, 0.5))}`, quantile(times, 0.5) <= 1);
}

async function startAndSize(server) {
  const world = await World.open(server, { people: ['ann'] });
  const daemon = await Daemon.start({ bots: [botConfig(world)], daemon: { log_level: 'info' } });
  await daemon.stop();
  const times = [], bare = [];
  for (let i = 0; i < (quick ? 5 : 20); i++) {
    const start = now();
    const child = spawn(matterwired, ['--config', daemon.configPath], { stdio: 'ignore' });
    for (;;) {
      try {
        const rpc = await Rpc.connect(daemon.config.daemon.socket);
        await rpc.call('ping');
        rpc.close();
        break;
      } catch {
        await new Promise(setImmediate);
      }
    }
    times.push(now() - start);
    child.kill();
    await new Promise((resolve) => child.on('exit', resolve));
    const bareStart = now();
    spawnSync('/bin/true');
    bare.push(now() - bareStart);
  }
  report('start to the first RPC answer, p50', '15 ms', ms(quantile(times, 0.5)), `/bin/true ${ms(quantile(bare, 0.5))}`,
    quantile(times, 0.5) <= 15);

  await daemon.start();
  await pause(2000);
  const status = readFileSync(`/proc/${daemon.program.child.pid}/status`, 'utf8');
  const field = (name) => Number(status.match(new RegExp(`${name}:\\s+(\\d+)`))[1]) / 1024;
  const rss = field('VmRSS');
  await daemon.close();
  report('resident memory, idle with one bot', '8 MB', `${rss.toFixed(1)} MB`,
    `of which its own, not pages of shared libraries: ${field('RssAnon').toFixed(1)} MB`, rss <= 8);
}

function write() {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: root }).trim();
  const section = [
    `## ${new Date().toISOString().slice(0, 10)}, ${commit}`, '',
    `${os.cpus().length} cores (${os.cpus()[0].model.trim()}), ${Math.round(os.totalmem() / 2 ** 30)} GiB, Linux ${os.release()}, Debian 12.`, '',
    '| what | target | measured | raw limit, same run | met |', '| --- | --- | --- | --- | --- |',
    ...rows.map((r) => `| ${r.what} | ${r.target} | ${r.measured} | ${r.raw} | ${r.met ? 'yes' : '**no**'} |`), '',
  ].join('\n');
  const file = path.join(root, 'bench/RESULTS.md');
  const old = readFileSync(file, 'utf8');
  const at = old.indexOf('\n## ');
  writeFileSync(file, at < 0 ? `${old.trimEnd()}\n\n${section}` : `${old.slice(0, at)}\n${section}${old.slice(at)}`);
}

const folder = mkdtempSync(path.join(os.tmpdir(), 'matterwire-bench-'));
const fsync = measureFsync(folder);
rmSync(folder, { recursive: true });
const server = await Server.open('--quiet');
try {
  await startAndSize(server);
  await sendLatency(server);
  await streamLatency(server, fsync);
  await journalRate(server);
} finally {
  await server.close();
}
if (process.argv.includes('--write')) write();
