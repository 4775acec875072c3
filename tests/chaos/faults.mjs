/*
 * The kinds of faults, one row each:
 *   name, group
 *   weight  how often, against the others
 *   share   at most this part of all faults: for those that take long
 *   draw    (dice) => arguments
 *   holds   what it needs for itself while it lasts: two faults with the same word do not overlap
 *   frail   meanwhile the daemon may refuse to start, or end
 *   inject  (x, a) => what `until` and `heal` get as their third argument
 *   until   when to heal: 'posts' = once `a.span` more posts are made; or (x, a, token) => promise
 *   heal    (x, a, token)
 *   exclusive  nothing else is going on meanwhile but posts
 *   live    works with any server, through the proxy and the daemon alone
 *   extra   posts that it makes
 * x: {server, keeper, proxy, people, bot, plan}; see run.mjs.
 */
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { call } from './people.mjs';

const span = (low = 5, high = 40) => (dice) => ({ span: dice.int(low, high) });
const control = (path, body) => (x) => x.server.control(path, body);
const sockets = (action, more = {}) => (x, a) => x.server.control('/sockets', { action, user: x.bot.id, ...more, ...a.order });
// What a connection needs to be made anew.
const lose = (x) => x.server.control('/sockets', { action: 'lose', user: x.bot.id });

/* ---- The socket ---- */

const socketFaults = [
  { name: 'socket reset', weight: 3, live: true, inject: (x) => x.proxy.reset() },
  { name: 'socket closed', weight: 2, live: true, inject: (x) => x.proxy.close() },
  { name: 'close frame', weight: 2, draw: (d) => ({ order: { at: d.pick([1000, 1001, 1006, 1011, 1012]) } }), inject: sockets('close') },
  { name: 'TCP reset of the event socket', weight: 3, inject: sockets('reset') },
  { name: 'end without a close frame', weight: 2, inject: sockets('drop') },
  // Noticed by the absence of pongs, which takes the better part of a minute.
  { name: 'half-open: silence', weight: 1, share: 0.002, live: true, inject: (x) => x.proxy.silence() },
  { name: 'frozen, then thawed', weight: 3, live: true, holds: 'proxy', draw: span(), inject: (x) => x.proxy.freeze(), until: 'posts', heal: (x) => x.proxy.thaw() },
  { name: 'event socket frozen, then thawed', weight: 3, holds: 'freeze', draw: span(), inject: sockets('freeze'), until: 'posts', heal: sockets('thaw') },
  { name: 'a frame cut in the middle', weight: 3, draw: (d) => ({ order: { at: d.int(1, 600) } }), inject: sockets('cut') },
  { name: 'the stream cut after some bytes', weight: 2, live: true, draw: (d) => ({ bytes: d.int(1, 3000) }), inject: (x, a) => x.proxy.cutAfter(a.bytes) },
  { name: 'wrong seq', weight: 3, draw: (d) => ({ order: { count: d.pick([1, 2, 5, 100, -1]) } }), inject: sockets('skip') },
  { name: 'hello with another id', weight: 2, inject: sockets('hello') },
  {
    name: 'resume refused', weight: 3,
    async inject(x) {
      await sockets('drop')(x, {});
      await sockets('forget')(x, {});
    },
  },
  { name: 'connection and what it had are lost', weight: 2, inject: lose },
  {
    name: 'accepted and hung up on', weight: 2, draw: (d) => ({ count: d.int(1, 3) }),
    async inject(x, a) {
      await x.server.control('/upgrades', { action: 'hang_up', count: a.count });
      await lose(x);
    },
  },
  { name: 'the server forgets all in a restart', weight: 3, inject: control('/restart', {}) },
  {
    name: 'upgrade refused by a proxy', weight: 2, draw: (d) => ({ count: d.int(1, 2), status: d.pick([502, 503, 504, 403]) }),
    async inject(x, a) {
      await x.server.control('/upgrades', { action: 'refuse', status: a.status, body: '<html>bad gateway</html>', count: a.count });
      await lose(x);
    },
  },
  {
    name: 'TLS handshake cut', weight: 2, live: true, holds: 'proxy', draw: (d) => ({ count: d.int(1, 3), span: d.int(5, 30) }),
    inject(x, a) {
      x.proxy.refuse(a.count, { handshake: true });
      x.proxy.reset();
    },
    until: 'posts',
    heal: (x) => x.proxy.accept(),
  },
  {
    name: 'connections refused', weight: 2, live: true, holds: 'proxy', draw: (d) => ({ count: d.int(1, 4), span: d.int(5, 30) }),
    inject(x, a) {
      x.proxy.refuse(a.count);
      x.proxy.reset();
    },
    until: 'posts',
    heal: (x) => x.proxy.accept(),
  },
];

/* ---- REST ---- */

// A rule for the bot's calls: mostly for its posts, behind some that pass, so that the backoff begins anew each time.
const rest = (name, weight, rule, more = {}) => ({
  name, weight,
  draw: (d) => ({ skip: d.int(1, 8), count: d.chance(0.8) ? 1 : 2, what: d.chance(0.75) ? 'posts' : 'reading', at: d.int(0, 400) }),
  async inject(x, a) {
    const target = a.what === 'posts' ? { method: 'POST', path: '/api/v4/posts' } : { method: 'GET', skip: 0 };
    const given = typeof rule === 'function' ? rule(a, x) : rule;
    const { id } = await x.server.control('/rules', { user: x.bot.id, skip: a.skip, count: a.count, ...target, ...given });
    if (a.what === 'reading') await lose(x); // to give it something to read
    return id;
  },
  // Met, or not within a while: something else keeps the bot from calling.
  until: (x, a, id) => x.server.control(`/wait?rule=${id}&hits=1&timeout_ms=5000`).catch(() => x.unmet++),
  ...more,
});

const restFaults = [
  rest('429 with Retry-After', 3, { action: 'fail', status: 429, retry_after: 1, content_type: 'text/plain', body: 'limit exceeded' }),
  rest('429 without Retry-After', 3, { action: 'fail', status: 429, content_type: 'text/plain', body: 'limit exceeded' }),
  rest('500 before it is stored', 3, { action: 'fail', status: 500 }),
  rest('502 of a proxy', 2, { action: 'html', status: 502 }),
  rest('503 before it is stored', 2, { action: 'fail', status: 503 }),
  rest('504 before it is stored', 2, { action: 'html', status: 504 }),
  rest('500 after it was stored', 4, { action: 'store_fail', status: 500 }),
  rest('502 after it was stored', 3, { action: 'store_fail', status: 502, content_type: 'text/html', body: '<html>' }),
  rest('503 after it was stored', 2, { action: 'store_fail', status: 503, retry_after: 1 }),
  rest('504 after it was stored', 3, { action: 'store_fail', status: 504, content_type: 'text/html', body: '<html>' }),
  rest('answer cut', 4, (a) => ({ action: 'cut', at: a.at })),
  rest('no answer', 4, { action: 'abort' }),
  rest('answer after the time limit', 2, { action: 'delay', delay_ms: 2500 }, { share: 0.03 }),
  rest('never an answer', 1, { action: 'hang' }, { share: 0.02 }),
  rest('delivered twice', 3, { action: 'twice' }),
  rest('wrong content type', 3, (a) => ({ action: a.skip % 2 ? 'store_fail' : 'fail', status: 200, content_type: 'text/html', body: '<html>Welcome to the hotel</html>' })),
  rest('body over the limit', 2, { action: 'fail', status: 413, content_type: 'text/html', body: '<html>too large</html>', method: 'POST', path: '/api/v4/posts' }),
  rest('redirect', 2, (a, x) => ({ action: 'redirect', status: a.skip % 2 ? 302 : 301, location: `${x.proxy.url}/login` })),
  {
    name: 'rate limit', weight: 2, holds: 'rate', draw: span(10, 40),
    inject: (x) => x.server.control('/rate', { per_second: 200, burst: 20, user: x.bot.id }),
    until: 'posts',
    heal: (x) => x.server.control('/rate', { per_second: 0 }),
  },
  {
    name: 'token revoked and given back', weight: 3, holds: 'token', draw: span(),
    inject: (x) => x.server.control('/tokens', { action: 'revoke', user: x.bot.id }),
    until: 'posts',
    async heal(x) {
      await x.server.control('/tokens', { action: 'restore', user: x.bot.id });
      await x.keeper.nudge();
    },
  },
];

/* ---- The machine ---- */

// A run of the handler takes such a file away and does what is in it.
const handler = (name, weight, act, more = {}) => ({
  name: `handler: ${name}`, weight, live: true, holds: 'trouble',
  inject: (x) => x.keeper.writeFile('trouble', `${act}\n`),
  until: 'posts',
  draw: span(5, 20),
  heal: (x) => x.keeper.removeFile('trouble'),
  ...more,
});

const machineFaults = [
  {
    name: 'kill -9', weight: 12, live: true, holds: 'daemon', draw: (d) => ({ span: d.chance(0.3) ? d.int(1, 30) : 0 }),
    inject: (x) => x.keeper.kill(),
    until: 'posts',
    heal: (x) => x.keeper.start(),
  },
  {
    name: 'SIGTERM in the middle of a turn', weight: 6, live: true, holds: 'daemon', draw: (d) => ({ span: d.chance(0.3) ? d.int(1, 30) : 0 }),
    inject: (x) => x.keeper.terminate(),
    until: 'posts',
    heal: (x) => x.keeper.start(),
  },
  {
    name: 'kill -9 while it starts', weight: 3, live: true, holds: 'daemon',
    async inject(x) {
      await x.keeper.kill();
      await x.keeper.start();
      await x.keeper.kill();
    },
    heal: (x) => x.keeper.start(),
  },
  {
    name: 'SIGSTOP, then SIGCONT', weight: 4, live: true, holds: 'daemon', draw: span(),
    inject: (x) => x.keeper.signal('SIGSTOP'),
    until: 'posts',
    heal: (x) => x.keeper.signal('SIGCONT'),
  },
  {
    name: 'disk full, then free', weight: 4, needs: 'disk', live: true, holds: 'disk', frail: true, draw: span(10, 40),
    inject: (x) => x.keeper.fillDisk(),
    until: 'posts',
    heal: (x) => x.keeper.freeDisk(),
  },
  {
    name: 'database locked by another process', weight: 4, live: true, holds: 'disk', frail: true, draw: span(10, 40),
    async inject(x) {
      const other = spawn('sqlite3', ['-cmd', '.timeout 5000', x.keeper.database], { stdio: ['pipe', 'pipe', 'ignore'] });
      const locked = new Promise((resolve) => other.stdout.once('data', resolve).once('end', resolve));
      other.stdin.on('error', () => {});
      other.stdin.write("BEGIN IMMEDIATE; SELECT 'locked';\n");
      await locked;
      return other;
    },
    until: 'posts',
    async heal(x, a, other) {
      const ended = new Promise((resolve) => other.once('close', resolve));
      other.stdin.end('ROLLBACK;\n');
      await ended;
    },
  },
  {
    name: 'out of file descriptors', weight: 2, live: true, holds: 'daemon', draw: span(5, 20),
    inject: (x) => limitFiles(x, 3),
    until: 'posts',
    heal: (x) => limitFiles(x, 1024),
  },
  handler('fails', 2, 'exit 3'),
  handler('killed, as for lack of memory', 2, 'kill -9 $$'),
  handler('hangs and ignores SIGTERM', 1, "trap '' TERM; sleep 60 & wait; sleep 60", { share: 0.01 }),
  handler('floods its output', 1, 'exec head -c 30000000 /dev/zero', { share: 0.02 }),
  handler('leaves a child behind', 1, 'sleep 60 &', { share: 0.02 }),
];

function limitFiles(x, soft) {
  if (!x.keeper.running) return;
  const hard = readFileSync(`/proc/${x.keeper.pid}/limits`, 'utf8').match(/Max open files\s+\S+\s+(\S+)/)[1];
  execFileSync('prlimit', ['--pid', String(x.keeper.pid), `--nofile=${soft}:${hard}`]);
}

/* ---- The world ---- */

async function must(x, token, method, path, body) {
  const { status, json } = await call(x.people.url, token, method, path, body);
  if (status >= 300) throw new Error(`${method} ${path}: ${status} ${json?.message}`);
  return json;
}

// One of the channels but the first, which stays open.
const somewhere = (d) => ({ place: d.int(1, 5), span: d.int(5, 40) });
const placeOf = (x, a) => x.people.places[1 + (a.place - 1) % (x.people.channels - 1)];

const worldFaults = [
  {
    name: 'edits', weight: 4, live: true, draw: (d) => ({ back: Array.from({ length: 4 }, () => d.int(0, 30)) }),
    async inject(x, a) {
      for (const back of a.back) {
        const post = x.people.byNumber(x.people.made.value - back);
        if (post && !post.place.closed) await must(x, post.person.token, 'PUT', `/posts/${post.id}/patch`, { message: `${post.message}, edited` });
      }
    },
  },
  {
    // The posts that go away are owed nothing.
    name: 'posts deleted while they are answered', weight: 3, live: true, draw: (d) => ({ place: d.int(0, 5), delay: d.int(0, 8) }),
    async inject(x, a) {
      const place = x.people.places[a.place % x.people.channels];
      if (place.closed) return;
      const [ann, bob] = x.people.persons;
      const root = await x.people.post(place, ann, `#d${x.serial()} goes away`, { doomed: true });
      root.n = root.message.match(/#(\w+)/)[1];
      const reply = await x.people.post(place, bob, `#d${x.serial()} goes with it`, { doomed: true, root: root.id });
      reply.n = reply.message.match(/#(\w+)/)[1];
      await x.people.until(Math.min(x.people.made.value + a.delay, x.people.allowed.value));
      await must(x, ann.token, 'DELETE', `/posts/${root.id}`);
    },
  },
  {
    name: 'bot removed from a channel and added again', weight: 3, live: true, holds: 'place', draw: somewhere,
    async inject(x, a) {
      const place = placeOf(x, a);
      await x.people.closePlace(place);
      await must(x, x.server.admin.token, 'DELETE', `/channels/${place.channel.id}/members/${x.bot.id}`);
    },
    until: 'posts',
    async heal(x, a) {
      const place = placeOf(x, a);
      await must(x, x.server.admin.token, 'POST', `/channels/${place.channel.id}/members`, { user_id: x.bot.id });
      x.people.openPlace(place);
    },
  },
  {
    name: 'channel archived and brought back', weight: 3, live: true, holds: 'place', draw: somewhere,
    async inject(x, a) {
      const place = placeOf(x, a);
      await x.people.closePlace(place);
      await must(x, x.server.admin.token, 'DELETE', `/channels/${place.channel.id}`);
    },
    until: 'posts',
    async heal(x, a) {
      const place = placeOf(x, a);
      await must(x, x.server.admin.token, 'POST', `/channels/${place.channel.id}/restore`);
      x.people.openPlace(place);
    },
  },
  {
    name: 'user renamed', weight: 2, live: true, holds: 'names', draw: (d) => ({ who: d.int(0, 2), span: d.int(5, 40) }),
    inject: (x, a) => rename(x, a, (name) => `${name}-renamed`),
    until: 'posts',
    heal: (x, a) => rename(x, a, (name) => name),
  },
  {
    name: 'a direct channel opened while the daemon is away', weight: 3, live: true, holds: 'daemon', extra: 2,
    async inject(x) {
      await x.keeper.kill();
      const person = x.people.newcomers.pop();
      const channel = await must(x, person.token, 'POST', '/channels/direct', [person.user.id, x.bot.id]);
      const place = { channel, direct: true, reader: person, closed: false, busy: new Set() };
      x.people.places.push(place);
      for (let i = 0; i < 2; i++) {
        const n = `w${x.serial()}`;
        const post = await x.people.post(place, person, `#${n} says a newcomer`);
        post.n = n;
      }
    },
    heal: (x) => x.keeper.start(),
  },
];

async function rename(x, a, change) {
  const person = x.people.persons[a.who % x.people.persons.length];
  await must(x, x.server.admin.token, 'PUT', `/users/${person.user.id}/patch`, { username: change(person.user.username) });
}

const grouped = (group, rows) => rows.map((row) => ({ group, ...row }));
export const faults = [
  ...grouped('socket', socketFaults), ...grouped('rest', restFaults), ...grouped('machine', machineFaults), ...grouped('world', worldFaults),
];

// With a restart command: the server's own death.
export const serverFaults = grouped('server', [
  {
    name: 'server killed and restarted', weight: 12, live: true, exclusive: true,
    async inject(x) {
      await x.restartServer();
    },
  },
]);
