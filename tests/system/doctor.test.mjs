// Each symptom of the handbook's troubleshooting table, provoked; the doctor has to name it in words.
import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Authority, closedPort, httpProxy, reverseProxy, tcpServer } from '../lib/front.mjs';
import { rootOnly } from '../lib/machine.mjs';
import { Program, matterwire, matterwired, run } from '../lib/program.mjs';
import { Server, World, live, password, sandboxOnly } from '../lib/server.mjs';

let server, world, bot, ann;
// All that was said, for the last test.
const said = [];

before(async () => {
  server = await Server.open();
  world = await World.open(server, { bots: ['bot', 'other'] });
  ({ bot, ann } = world);
});

after(async () => {
  await world?.close();
  await server?.close();
});

// Runs the doctor over one bot with these settings: {code, good, checks, of(name), stdout}.
async function examine(t, more = {}, { args = [], daemon: prepared, handlers } = {}) {
  const daemon = prepared ?? await Daemon.prepare({ bots: [botConfig(world, bot, { timeout: '3s', ...more })], handlers });
  if (!prepared) t.after(() => daemon.close());
  const result = await daemon.cli('doctor', '--json', ...args);
  const { good, checks } = result.json;
  said.push(...checks.flatMap((c) => [c.message, c.fix ?? '']));
  for (const check of checks) {
    assert.ok(['good', 'warning', 'bad', 'skipped'].includes(check.verdict), JSON.stringify(check));
    assert.ok(check.message && !/\(null\)|undefined|%[sd]/.test(check.message), JSON.stringify(check));
    if (check.verdict === 'bad') assert.ok(check.fix || check.check === 'config', `no fix: ${JSON.stringify(check)}`);
  }
  assert.equal(good, !checks.some((c) => c.verdict === 'bad'));
  assert.ok(!result.stdout.includes(bot.token), 'no secret in the report');
  return { code: result.code, good, checks, stdout: result.stdout, daemon, of: (name) => checks.filter((c) => c.check === name) };
}

// The one report of `check`, with this verdict and words in its sentence and its fix.
function assertReport(report, check, verdict, words, fix) {
  const found = report.of(check).find((c) => c.verdict === verdict && words.test(c.message));
  assert.ok(found, `no ${verdict} ${check} like ${words} in ${JSON.stringify(report.checks, null, 1)}`);
  if (fix) assert.match(found.fix ?? '', fix);
  if (verdict === 'bad') assert.equal(report.code, 1);
  return found;
}

const assertSkipped = (report, check, because) => {
  const [found] = report.of(check);
  assert.equal(found?.verdict, 'skipped', JSON.stringify(report.of(check)));
  assert.match(found.message, because);
};

describe('nothing is wrong', () => {
  test('every check reports, and every name is in the handbook', async (t) => {
    const report = await examine(t, {}, { args: ['--bot', 'helper'] });
    assert.equal(report.code, 0, report.stdout);
    const names = new Set(report.checks.map((c) => c.check));
    for (const name of ['config', 'secrets', 'open files', 'database', 'daemon', 'address', 'name', 'connect', 'server', 'clock', 'token',
      'expiry', 'teams', 'channels', 'people', 'direct', 'WebSocket', 'events', 'post size', 'file size', 'edit time', 'rate limit', 'stability']) {
      assert.ok(names.has(name), `${name} is missing`);
    }
    assert.ok(!names.has('post'), 'no post without --post');
    assertReport(report, 'server', 'good', /\d+\.\d+/);
    assertReport(report, 'token', 'good', new RegExp(`@${bot.username}, a bot account`));
    assertReport(report, 'channels', 'good', /may read and post/);
    assertReport(report, 'WebSocket', 'good', /hello after \d+ ms/);
    assertReport(report, 'events', 'good', /came back after \d+ ms/);
    assertReport(report, 'post size', 'good', /\d{4,}/);
    const handbook = await readFile(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');
    for (const name of names) assert.ok(handbook.includes(`| \`${name}\` |`), `the handbook has no check ${name}`);
  });

  test('the round trip leaves nothing behind, and nobody sees it', async (t) => {
    await ann.listen();
    const before = (await server.admin.call('GET', `/channels/${world.channel.id}/posts`)).json.order.length;
    await examine(t);
    const mine = await fetch(`${world.url}/api/v4/users/me/preferences`, { headers: { Authorization: `Bearer ${bot.token}` } });
    assert.ok(!(await mine.text()).includes('doctor'));
    assert.equal((await server.admin.call('GET', `/channels/${world.channel.id}/posts`)).json.order.length, before);
    // What ann says after it is the first thing that ann hears.
    const post = await ann.post(world.channel, 'a mark');
    await ann.hears((p) => p.id === post.id);
    assert.ok(!ann.events.items.some((e) => /preference/.test(e.event) || e.data.post?.user_id === bot.id));
  });

  test('--post posts, sees it come back, and deletes it', async (t) => {
    const report = await examine(t, {}, { args: ['--post'] });
    assertReport(report, 'post', 'good', /posted, seen after \d+ ms, deleted/);
    const { json } = await server.admin.call('GET', `/channels/${world.channel.id}/posts`);
    assert.ok(!Object.values(json.posts).some((p) => p.user_id === bot.id && !p.type), 'it is gone');
  });

  test('on a terminal of text: a line each, indented fixes, skipped ones together', async (t) => {
    const port = await closedPort();
    const daemon = await Daemon.prepare({ bots: [botConfig(world, bot, { endpoint: `http://127.0.0.1:${port}` })] });
    t.after(() => daemon.close());
    const script = `stty cols 80; exec "$MW" --config "${daemon.configPath}" doctor`;
      const shown = await run('script', ['-qec', script, '/dev/null'], { env: { MW: matterwire, LC_ALL: 'C.UTF-8', NO_COLOR: '1', TERM: 'xterm' } });
    assert.equal(shown.code, 1, shown.stdout);
    const lines = shown.stdout.split(/\r?\n/);
    for (const line of lines) assert.ok([...line].length <= 80, `${line.length}: ${line}`);
    assert.ok(lines.some((l) => /^ {2}✓ config /.test(l)));
    assert.ok(lines.some((l) => /^ {2}✗ connect .*127\.0\.0\.1/.test(l)));
    assert.ok(lines.some((l) => /^ +→ nothing listens there/.test(l)));
    assert.equal(lines.filter((l) => /^ {2}· skipped /.test(l)).length, 1, shown.stdout);
    assert.match(lines.join(' ').replace(/ +/g, ' '), /server, clock, token.*not without connect/);
  });
});

describe('the way to the server', () => {
  test('refused', async (t) => {
    const port = await closedPort();
    const report = await examine(t, { endpoint: `http://127.0.0.1:${port}` });
    assertReport(report, 'connect', 'bad', /refused/i, new RegExp(`nothing listens.*port ${port}`));
    for (const name of ['server', 'token', 'channels', 'WebSocket', 'events']) assertSkipped(report, name, /without connect/);
  });

  test('timed out: nothing takes the connection', async (t) => {
    // A queue for one that is full: Linux lets further ones wait.
    const text = 'import signal,socket\ns=socket.socket()\ns.bind(("127.0.0.1",0))\ns.listen(0)\nheld=[]\n'
      + 'for i in range(4):\n c=socket.socket()\n c.setblocking(False)\n c.connect_ex(s.getsockname())\n held.append(c)\nprint(s.getsockname()[1],flush=True)\nsignal.pause()';
    const full = new Program('python3', ['-c', text]);
    t.after(() => full.kill('SIGKILL'));
    const port = await full.line((l) => /^\d+$/.test(l), 'its port');
    const report = await examine(t, { endpoint: `http://127.0.0.1:${port}`, timeout: '1s' });
    assertReport(report, 'connect', 'bad', /timed out/, /firewall/);
    assertSkipped(report, 'server', /without connect/);
  });

  test('timed out: no answer', async (t) => {
    const port = await tcpServer(t, () => {});
    const report = await examine(t, { endpoint: `http://127.0.0.1:${port}`, timeout: '1s' });
    assertReport(report, 'connect', 'good', /answers/);
    assertReport(report, 'server', 'bad', /time|answer/i, /overloaded|firewall/);
    assertSkipped(report, 'token', /without server/);
  });

  test('a name that does not exist', async (t) => {
    const report = await examine(t, { endpoint: 'http://no-such-host.invalid' });
    assertReport(report, 'name', 'bad', /cannot resolve no-such-host\.invalid/, /endpoint/);
    assertSkipped(report, 'connect', /without name/);
  });

  test('wrong scheme: http where TLS is spoken', sandboxOnly, async (t) => {
    const ca = await Authority.create(t);
    const front = await reverseProxy(t, world.url, { tls: await ca.certificate() });
    const report = await examine(t, { endpoint: front.url.replace('https', 'http') });
    assertReport(report, 'server', 'bad', /./, /wrong scheme.*https:\/\//);
  });

  test('wrong scheme: https where there is no TLS', sandboxOnly, async (t) => {
    const report = await examine(t, { endpoint: world.url.replace('http:', 'https:') });
    assertReport(report, 'TLS', 'bad', /does not speak TLS/, /wrong scheme or port.*http:\/\//);
  });

  test('wrong scheme: a redirect to https', sandboxOnly, async (t) => {
    const answer = (req, res) => res.writeHead(301, { Location: `https://chat.example.com${req.url}` }).end() && true;
    const front = await reverseProxy(t, world.url, { answer });
    assertReport(await examine(t, { endpoint: front.url }), 'server', 'bad', /redirects to https:\/\/chat\.example\.com/, /wrong scheme, host or sub-path/);
  });

  test('sub-path: missing, and right', sandboxOnly, async (t) => {
    const front = await reverseProxy(t, world.url, { prefix: '/chat' });
    const missing = await examine(t, { endpoint: front.url.replace('/chat', '') });
    assertReport(missing, 'server', 'bad', /HTML page/, /sub-path missing/);
    const right = await examine(t, { endpoint: `${front.url}/` });
    assert.equal(right.code, 0, right.stdout);
    assertReport(right, 'address', 'good', /sub-path \/chat/);
    assertReport(right, 'events', 'good', /came back/);
  });

  test('sub-path: one too many', sandboxOnly, async (t) => {
    assertReport(await examine(t, { endpoint: `${world.url}/chat` }), 'server', 'bad', /./, /sub-path missing \(or too much\)/);
  });

  test('the proxy in front says 502', sandboxOnly, async (t) => {
    const front = await reverseProxy(t, world.url, { answer: (req, res) => res.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad gateway</h1>') && true });
    assertReport(await examine(t, { endpoint: front.url }), 'server', 'bad', /502/, /down, or the proxy/);
  });

  test('an HTTP proxy: works, wants credentials, refuses, is not there', sandboxOnly, async (t) => {
    const works = await examine(t, { proxy: await httpProxy(t) });
    assert.equal(works.code, 0, works.stdout);
    assertReport(works, 'proxy', 'good', /opens the way/);
    const credentials = await httpProxy(t, { credentials: 'me:secret' });
    assertReport(await examine(t, { proxy: credentials }), 'proxy', 'bad', /./, /user:password@/);
    const given = await examine(t, { proxy: credentials.replace('//', '//me:secret@') });
    assert.equal(given.code, 0, given.stdout);
    assert.ok(!given.stdout.includes('secret@'));
    const refused = await examine(t, { proxy: await httpProxy(t, { refuse: true }) });
    assertReport(refused, 'proxy', 'bad', /403/, /CONNECT/);
    assertSkipped(refused, 'server', /without proxy/);
    assertReport(await examine(t, { proxy: `http://127.0.0.1:${await closedPort()}` }), 'connect', 'bad', /refused/i, /is the proxy running/);
  });
});

describe('certificates', sandboxOnly, () => {
  const tlsFront = async (t, host, days) => {
    const ca = await Authority.create(t);
    return { ca, front: await reverseProxy(t, world.url, { tls: await ca.certificate(host, days) }) };
  };

  test('good, and days to its end', async (t) => {
    const { ca, front } = await tlsFront(t, 'localhost', 60);
    const report = await examine(t, { endpoint: front.url, tls: { ca_file: ca.caFile } });
    assert.equal(report.code, 0, report.stdout);
    assertReport(report, 'TLS', 'good', /another (59|60) days/);
    assertReport(report, 'events', 'good', /came back/);
  });

  test('ends soon', async (t) => {
    const { ca, front } = await tlsFront(t, 'localhost', 5);
    const report = await examine(t, { endpoint: front.url, tls: { ca_file: ca.caFile } });
    assert.equal(report.code, 0, report.stdout);
    assertReport(report, 'TLS', 'warning', /ends in [45] days/, /renew/);
  });

  test('signed by itself', async (t) => {
    const ca = await Authority.create(t);
    const front = await reverseProxy(t, world.url, { tls: await ca.selfSigned() });
    assertReport(await examine(t, { endpoint: front.url }), 'TLS', 'bad', /self-signed/, /tls\.ca_file/);
  });

  test('an unknown authority', async (t) => {
    const { front } = await tlsFront(t);
    const report = await examine(t, { endpoint: front.url });
    assertReport(report, 'TLS', 'bad', /unknown authority/, /tls\.ca_file/);
    assertSkipped(report, 'server', /without TLS/);
  });

  test('expired', async (t) => {
    const { ca, front } = await tlsFront(t, 'localhost', -1);
    assertReport(await examine(t, { endpoint: front.url, tls: { ca_file: ca.caFile } }), 'TLS', 'bad', /expired/, /renew/);
  });

  test('for another host', async (t) => {
    const { ca, front } = await tlsFront(t, 'other.example.com');
    assertReport(await examine(t, { endpoint: front.url, tls: { ca_file: ca.caFile } }), 'TLS', 'bad', /another host name/, /endpoint/);
  });

  test('any is taken: a warning', async (t) => {
    const { front } = await tlsFront(t);
    const report = await examine(t, { endpoint: front.url, tls: { insecure: true } });
    assert.equal(report.code, 0, report.stdout);
    assertReport(report, 'TLS', 'warning', /insecure/, /ca_file/);
  });
});

describe('the account', () => {
  test('401: not a token at all', async (t) => {
    assertReport(await examine(t, { bot_token: 'TOO-SHORT' }), 'token', 'bad', /401.*form of a token: 9 characters/, /whole token/);
  });

  test('token expired or revoked', async (t) => {
    const { json } = await server.admin.call('POST', `/users/${world.other.id}/tokens`, { description: 'ends' });
    await server.admin.call('POST', '/users/tokens/revoke', { token_id: json.id });
    const report = await examine(t, { bot_token: json.token });
    assertReport(report, 'token', 'bad', /401.*expired.*revoked/, /new token/);
    for (const name of ['channels', 'WebSocket', 'events', 'rate limit']) assertSkipped(report, name, /without token/);
  });

  test("a session's token is known by its end", sandboxOnly, async (t) => {
    const answer = (req, res) => req.url.endsWith('/sessions')
      && res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify([
        { last_activity_at: 1, expires_at: 0, props: { type: 'UserAccessToken' } },
        { last_activity_at: 2, expires_at: Date.now() + 50 * 3_600_000, props: {} },
      ])) && true;
    const front = await reverseProxy(t, world.url, { answer });
    const report = await examine(t, { endpoint: front.url, bot_token: ann.token });
    assertReport(report, 'token', 'good', /a person's account/);
    assertReport(report, 'expiry', 'warning', /ends in 2 d/, /bot account/);
  });

  test('login and password: right and wrong', async (t) => {
    const login = { bot_token: undefined, login: ann.user.username };
    const right = await examine(t, { ...login, password });
    assert.equal(right.code, 0, right.stdout);
    const wrong = await examine(t, { ...login, password: 'something else' });
    assertReport(wrong, 'token', 'bad', /401/, /login and password/);
  });

  test('a clock that is wrong', sandboxOnly, async (t) => {
    const answer = (req, res) => req.url.endsWith('/ping')
      && res.writeHead(200, { 'Content-Type': 'application/json', Date: new Date(Date.now() + 7_200_000).toUTCString() }).end('{"status":"OK"}') && true;
    const front = await reverseProxy(t, world.url, { answer });
    assertReport(await examine(t, { endpoint: front.url }), 'clock', 'warning', /behind/, /NTP/);
  });
});

describe('channels', () => {
  test('not in the channel', async (t) => {
    const channel = await server.admin.rest.createChannel({ team_id: world.team.id, name: `empty${Date.now()}`, display_name: 'Empty', type: 'O' });
    const report = await examine(t, { channels: [channel.id, world.channel.id] });
    assertReport(report, 'channels', 'bad', /not in this channel/, new RegExp(`/invite @${bot.username}`));
    assertReport(report, 'channels', 'good', /may read/);
  });

  test('not in the team', async (t) => {
    const team = await server.admin.rest.createTeam({ name: `x${Date.now()}`, display_name: 'Elsewhere', type: 'I' });
    if (live) t.after(() => server.admin.rest.deleteTeam(team.id));
    const channel = await server.admin.rest.createChannel({ team_id: team.id, name: 'ops', display_name: 'Ops', type: 'O' });
    const report = await examine(t, { team: team.name, channels: [channel.id] });
    assertReport(report, 'teams', 'bad', new RegExp(`not in the team ${team.name}`), /Invite People/);
    assertReport(report, 'channels', 'bad', /not in its team/, /into the team/);
  });

  test('in no team and no channel: connected, but no events', async (t) => {
    const lonely = await server.admin.rest.createBot({ username: `lonely${Date.now()}`, display_name: 'x', description: '' });
    const { token } = await server.admin.rest.createUserAccessToken(lonely.user_id, 'system test');
    if (live) t.after(() => server.admin.rest.disableBot(lonely.user_id));
    const report = await examine(t, { bot_token: token, team: undefined, channels: [] });
    assertReport(report, 'teams', 'warning', /in no team/, /Invite People/);
    assertReport(report, 'channels', 'warning', /no channel: no events come but direct/, /\/invite/);
  });

  test('a name that does not exist', async (t) => {
    assertReport(await examine(t, { channels: ['no-such-channel'] }), 'channels', 'bad', /no-such-channel/, /spelled/);
  });

  test('a name that is in two teams', async (t) => {
    const team = await server.admin.rest.createTeam({ name: `y${Date.now()}`, display_name: 'Second', type: 'O' });
    if (live) t.after(() => server.admin.rest.deleteTeam(team.id));
    await server.admin.rest.addToTeam(team.id, bot.id);
    const twin = await server.admin.rest.createChannel({ team_id: team.id, name: world.channel.name, display_name: 'Twin', type: 'O' });
    await server.admin.rest.addToChannel(bot.id, twin.id);
    const report = await examine(t, { team: undefined, channels: [world.channel.name] });
    const both = assertReport(report, 'channels', 'bad', /exists in several teams/);
    for (const name of [team.name, world.team.name]) assert.ok(both.message.includes(`${name}/${world.channel.name}`), both.message);
  });

  test('cannot post', sandboxOnly, async (t) => {
    const answer = (req, res) => req.url.endsWith('/roles/names')
      && res.writeHead(200, { 'Content-Type': 'application/json' }).end('[{"permissions":["read_channel","create_direct_channel"]}]') && true;
    const front = await reverseProxy(t, world.url, { answer });
    const report = await examine(t, { endpoint: front.url });
    assertReport(report, 'channels', 'bad', /cannot post/, /moderated.*create_post/);
    await server.control('/rules', { action: 'fail', method: 'POST', path: '/api/v4/posts', status: 403,
      body: '{"id":"api.context.permissions.app_error","message":"You do not have the appropriate permissions.","status_code":403}' });
    t.after(() => server.control('/rules/clear', {}));
    assertReport(await examine(t, {}, { args: ['--post'] }), 'post', 'bad', /cannot post.*403/, /create_post/);
  });

  test('nobody may trigger the handler', async (t) => {
    const handlers = { echo: { type: 'command', command: ['cat'] } };
    const report = await examine(t, { handler: 'echo', allowed_users: [] }, { handlers });
    assertReport(report, 'people', 'warning', /nobody may trigger/, /\*/);
  });
});

describe('the WebSocket', sandboxOnly, () => {
  const behind = async (t, upgrade, more) => examine(t, { endpoint: (await reverseProxy(t, world.url, { upgrade })).url, ...more });

  test('a proxy that blocks upgrades', async (t) => {
    const report = await behind(t, 'block');
    assertReport(report, 'token', 'good', /@/);
    assertReport(report, 'WebSocket', 'bad', /./, /does not pass the upgrade on.*transport: poll/);
    assertSkipped(report, 'events', /without WebSocket/);
    assert.equal((await behind(t, 'block', { transport: 'poll' })).code, 0, 'poll does without');
  });

  test('connected but no events: a deaf socket', async (t) => {
    const report = await behind(t, 'deaf');
    assertReport(report, 'WebSocket', 'good', /hello/);
    assertReport(report, 'events', 'bad', /connected, but no events come/, /buffering|cluster/);
  });

  test('connected, but no hello', async (t) => {
    assertReport(await behind(t, 'mute', { timeout: '1s' }), 'WebSocket', 'bad', /no hello/, /hold the frames back/);
  });

  test('cut after the hello', async (t) => {
    const report = await behind(t, 'cut');
    assertReport(report, 'events', 'bad', /was cut/, /frequent disconnects.*100 s/);
  });

  test('frequent disconnects, as the daemon saw them', async (t) => {
    const daemon = await Daemon.start({ bots: [botConfig(world)] });
    t.after(() => daemon.close());
    for (let i = 0; i < 3; i++) {
      const again = daemon.program.stderr.items.filter((l) => l.includes('"online"')).length;
      await server.control('/upgrades', { action: 'refuse', status: 503, count: 1 });
      await server.control('/sockets', { action: 'drop', user: bot.username });
      // By the third time the backoff may be at its longest, twice.
      await daemon.program.stderr.count(again + 1, (l) => l.includes('"online"'), 'the bot to be back');
    }
    const report = await examine(t, {}, { daemon });
    assertReport(report, 'daemon', 'good', /has run/);
    assertReport(report, 'stability', 'warning', /frequent disconnects: [3-9] in the last hour/, /time limit/);
  });
});

describe('this machine', () => {
  test('mistakes in the configuration: exit status 2', async (t) => {
    const daemon = await Daemon.prepare({ bots: [] });
    t.after(() => daemon.close());
    await writeFile(daemon.configPath, 'bots:\n  - name: a\n    endpont: http://127.0.0.1:1\n');
    const { code, json } = await daemon.cli('doctor', '--json');
    assert.equal(code, 2);
    assert.ok(json.checks.some((c) => c.check === 'config' && /config\.yaml:3:/.test(c.message)));
    assert.deepEqual(json.checks.filter((c) => c.check === 'database').map((c) => c.verdict), ['skipped']);
  });

  test('no such bot: exit status 2', async (t) => {
    const report = await examine(t, {}, { args: ['--bot', 'nobody'] });
    assert.equal(report.code, 2);
    assert.match(report.of('config')[0].message, /no bot "nobody"/);
  });

  test('secrets that others can read', async (t) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world)] });
    t.after(() => daemon.close());
    await chmod(daemon.configPath, 0o644);
    assertReport(await examine(t, {}, { daemon }), 'secrets', 'warning', /others.*can read/, /chmod 600/);
  });

  test('a handler that cannot run', async (t) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world)], handlers: { echo: { type: 'command', command: ['./missing.sh'] }, two: { type: 'command', command: ['no-such-program-anywhere'] } } });
    t.after(() => daemon.close());
    const report = await examine(t, {}, { daemon });
    assertReport(report, 'handlers', 'bad', /echo cannot run.*missing\.sh/, /command/);
    assertReport(report, 'handlers', 'bad', /two cannot run.*PATH/, /command/);
  });

  test('a database that is damaged, or not ours', async (t) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world)] });
    t.after(() => daemon.close());
    await writeFile(path.join(daemon.folder, 'state.db'), 'this is no database at all, but long enough to look at'.repeat(100), { mode: 0o600 });
    assertReport(await examine(t, {}, { daemon }), 'database', 'bad', /state\.db/);
  });

  test('too few files may be open', async (t) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world)] });
    t.after(() => daemon.close());
      const result = await run('sh', ['-c', `ulimit -n 40; exec "${matterwire}" --config "${daemon.configPath}" doctor --json`]);
    const found = result.json.checks.find((c) => c.check === 'open files');
    assert.equal(found.verdict, 'bad');
    assert.match(found.fix, /LimitNOFILE/);
  });

  test('rate limiting is seen', sandboxOnly, async (t) => {
    await server.control('/rate', { per_second: 1000, burst: 50 });
    t.after(() => server.control('/rate', { per_second: 0 }));
    assertReport(await examine(t), 'rate limit', 'good', /bursts of 5\d calls/);
  });
});

describe('the handbook', sandboxOnly, () => {
  const prepare = async (t, more = {}, options = {}) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world, bot, more)], ...options });
    t.after(() => daemon.close());
    return daemon;
  };

  test('a variable that is not there, a secret that others can read', async (t) => {
    const missing = await prepare(t, { bot_token: '$NO_SUCH_TOKEN' });
    const check = await missing.cli('check');
    assert.equal(check.code, 2);
    assert.match(check.stderr, /the environment has no variable NO_SUCH_TOKEN/);
    const report = await missing.cli('doctor', '--json');
    assert.equal(report.code, 2);
    assert.match(report.json.checks.find((c) => c.check === 'config').message, /has no variable/);
    said.push(check.stderr);

    const open = await prepare(t, { bot_token: undefined, bot_token_file: 'token' });
    await writeFile(path.join(open.folder, 'token'), bot.token);
    await chmod(path.join(open.folder, 'token'), 0o644);
    const secret = await open.cli('doctor', '--json');
    assert.equal(secret.code, 2);
    assert.match(secret.json.checks.find((c) => c.check === 'config').message, /other users can read the secret file/);
    said.push(...secret.json.checks.map((c) => c.message));
  });

  test('a bot that the running daemon does not have yet', async (t) => {
    const daemon = await prepare(t);
    await daemon.start();
    await daemon.configure({ bots: [botConfig(world, bot), botConfig(world, bot, { name: 'second' })] });
    const report = await examine(t, {}, { daemon, args: ['--bot', 'second'] });
    assertReport(report, 'stability', 'warning', /the running daemon does not have this bot yet/, /matterwire reload/);
    assert.equal(report.code, 0);
    const known = await examine(t, {}, { daemon, args: ['--bot', 'helper'] });
    assertReport(known, 'stability', 'good', /not lost in the last hour/);
  });

  test('no daemon, a second daemon, a daemon of somebody else', rootOnly, async (t) => {
    const daemon = await prepare(t);
    const none = await daemon.cli('status');
    assert.equal(none.code, 3);
    assert.match(none.stderr, /no daemon listens on/);
    await daemon.start();
    const second = await run(matterwired, ['--config', daemon.configPath]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, /is in use by matterwired, process \d+/);
    // The folder is open to all, the socket is not.
    await chmod(daemon.folder, 0o711);
    const other = await run('setpriv', ['--reuid', '65534', '--clear-groups', matterwire, '--socket', path.join(daemon.folder, 'socket'), 'status']);
    assert.equal(other.code, 3, other.stderr);
    assert.match(other.stderr, /belongs to another user/);
    said.push(none.stderr, second.stderr, other.stderr);
  });

  test('a clock that is ahead, a limit that strikes, a page that is no HTML', async (t) => {
    const ahead = (req, res) => req.url.endsWith('/ping')
      && res.writeHead(200, { 'Content-Type': 'application/json', Date: new Date(Date.now() - 7_200_000).toUTCString() }).end('{"status":"OK"}') && true;
    assertReport(await examine(t, { endpoint: (await reverseProxy(t, world.url, { answer: ahead })).url }), 'clock', 'warning', /ahead of the server's/, /NTP/);

    let refused = 0;
    const limit = (req, res) => req.url.includes('/channels/') && !refused++
      && res.writeHead(429, { 'Retry-After': '1' }).end('limit exceeded') && true;
    assertReport(await examine(t, { endpoint: (await reverseProxy(t, world.url, { answer: limit })).url }), 'rate limit', 'warning', /limited the rate/, /RateLimitSettings/);

    const plain = (req, res) => res.writeHead(200, { 'Content-Type': 'text/plain' }).end('It works!') && true;
    assertReport(await examine(t, { endpoint: (await reverseProxy(t, world.url, { answer: plain })).url }), 'server', 'bad', /something else than JSON/);
  });

  // A phrase in italics is what a program says; a … stands for anything.
  test('quotes nothing that was not said above', rootOnly, async () => {
    const handbook = await readFile(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');
    const table = handbook.slice(handbook.indexOf('## From symptom to fix'), handbook.indexOf('## What `doctor` checks'));
    const phrases = [...table.matchAll(/(?<![*\w])\*([^*|]+)\*(?!\*)/g)].map((m) => m[1]).filter((p) => !/^[A-Z]+$/.test(p));
    assert.ok(phrases.length > 30, `${phrases.length}`);
    const pattern = (phrase) => new RegExp(phrase.split('…').map((p) => p.trim().replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')).join('[^]*'), 'i');
    const missing = phrases.filter((p) => !said.some((s) => pattern(p).test(s)));
    assert.deepEqual(missing, []);
  });
});
