// The command line as people and scripts use it: tables and JSON, exit codes, sentences.
import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { Feed } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { matterwire, matterwired, run } from '../lib/program.mjs';
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

async function daemonFor(t, bots = [botConfig(world)], more = {}) {
  const daemon = await Daemon.start({ bots, ...more });
  t.after(() => daemon.close());
  return daemon;
}

function assertSentence(text) {
  assert.match(text.trim(), /^\S.*\S$/m);
  assert.ok(!/undefined|\(null\)|%[sd]/.test(text), text);
}

describe("a newcomer's path", () => {
  test('works word for word', async (t) => {
    const daemon = await Daemon.prepare({ bots: [] }, { env: { MATTERMOST_BOT_TOKEN: bot.token } });
    t.after(() => daemon.close());
    await writeFile(daemon.configPath, [
      'bots:',
      '  - name: my-mattermost-bot',
      '    type: mattermost',
      '    bot_token: $MATTERMOST_BOT_TOKEN',
      `    endpoint: ${server.url}`,
      '    channels:',
      `      - ${world.channel.id}`,
      '',
    ].join('\n'));
    daemon.config.bots = [{ name: 'my-mattermost-bot' }];
    // The defaults decide where socket and database are.
    Object.assign(daemon.env, {
      XDG_RUNTIME_DIR: daemon.folder, XDG_STATE_HOME: daemon.folder, HOME: daemon.folder,
    });
    await daemon.start();
    const bots = await daemon.cli('bots');
    assert.equal(bots.code, 0, bots.stderr);
    assert.equal(bots.json[0].name, 'my-mattermost-bot');
    assert.equal(bots.json[0].state, 'online');
    const sent = await daemon.cli('send', '--bot', 'my-mattermost-bot', '--channel', world.channel.id, '--text', 'Hello');
    assert.equal(sent.code, 0, sent.stderr);
    const post = await ann.hears((p) => p.message === 'Hello');
    assert.equal(post.user_id, bot.id);
    assert.equal(sent.json.post_id, post.id);
    assert.ok(sent.json.permalink.endsWith(`/pl/${post.id}`));
    assert.equal((await stat(path.join(daemon.folder, 'matterwire.sock'))).mode & 0o777, 0o600);
  });
});

describe('send and reply', () => {
  test('channels by name, ~name, team/name and @user; text from standard input', async (t) => {
    const daemon = await daemonFor(t);
    for (const name of [world.channel.name, `~${world.channel.name}`, `${world.team.name}/${world.channel.name}`]) {
      const sent = await daemon.cli('send', '--channel', name, '--text', `to ${name}`);
      assert.equal(sent.code, 0, sent.stderr);
      await ann.hears((p) => p.message === `to ${name}` && p.channel_id === world.channel.id);
    }
    const direct = await daemon.cli('send', '--channel', `@${ann.user.username}`, '--text', '-', { input: 'line one\nline two\n' });
    assert.equal(direct.code, 0, direct.stderr);
    const post = await ann.hears((p) => p.message.startsWith('line one'));
    assert.equal(post.message.trimEnd(), 'line one\nline two');
    assert.notEqual(post.channel_id, world.channel.id);
  });

  test('the same key posts once', async (t) => {
    const daemon = await daemonFor(t);
    const args = ['send', '--channel', world.channel.id, '--text', 'only once', '--key', 'deploy-42'];
    const first = await daemon.cli(...args);
    const second = await daemon.cli(...args);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(second.code, 0, second.stderr);
    assert.equal(second.json.post_id, first.json.post_id);
    const marker = await daemon.cli('send', '--channel', world.channel.id, '--text', 'marker after once');
    await ann.hears((p) => p.id === marker.json.post_id);
    assert.equal(ann.events.items.filter((e) => e.data?.post?.message === 'only once').length, 1);
  });

  test('reply to a post, to a reply and to a permalink', async (t) => {
    const daemon = await daemonFor(t);
    const root = await ann.post(world.channel, 'a root');
    const inner = await ann.post(world.channel, 'a reply', { root_id: root.id });
    const refs = [root.id, inner.id, `${server.url}/${world.team.name}/pl/${inner.id}`];
    for (const [i, ref] of refs.entries()) {
      const sent = await daemon.cli('reply', ref, '--text', `answer ${i}`);
      assert.equal(sent.code, 0, sent.stderr);
      assert.equal((await ann.hears((p) => p.message === `answer ${i}`)).root_id, root.id);
    }
  });

  test('what does not exist is said in a sentence, with exit code 1', async (t) => {
    const daemon = await daemonFor(t);
    const near = `${world.channel.name.slice(0, -1)}`;
    const channel = await daemon.cli('send', '--channel', near, '--text', 'x');
    assert.equal(channel.code, 1);
    assertSentence(channel.stderr);
    assert.ok(channel.stderr.includes(near) && channel.stderr.includes(world.channel.name), channel.stderr);
    const post = await daemon.cli('reply', 'y'.repeat(26), '--text', 'x');
    assert.equal(post.code, 1);
    assertSentence(post.stderr);
    const wrongBot = await daemon.cli('send', '--bot', 'helpr', '--channel', world.channel.id, '--text', 'x');
    assert.notEqual(wrongBot.code, 0);
    assert.match(wrongBot.stderr, /helper/);
  });

  test('a name in two teams is refused with both', async (t) => {
    const second = await World.open(server, { people: [], bots: [] });
    t.after(() => second.close());
    const name = world.channel.name;
    const twin = await server.admin.rest.createChannel({ team_id: second.team.id, name, display_name: name, type: 'O' });
    await server.admin.rest.addToTeam(second.team.id, bot.id);
    await server.admin.rest.addToChannel(bot.id, twin.id);
    const config = botConfig(world);
    delete config.team;
    const daemon = await daemonFor(t, [{ ...config, channels: [] }]);
    const sent = await daemon.cli('send', '--channel', name, '--text', 'which one?');
    assert.equal(sent.code, 1);
    assert.ok(sent.stderr.includes(`${world.team.name}/${name}`) && sent.stderr.includes(`${second.team.name}/${name}`), sent.stderr);
  });
});

describe('history and stream', () => {
  test('history filters by thread and time and is stable JSON', async (t) => {
    const daemon = await daemonFor(t);
    const root = await ann.post(world.channel, 'history root');
    await ann.post(world.channel, 'history reply', { root_id: root.id });
    const last = await ann.post(world.channel, 'history other');
    const stream = daemon.spawn('stream', '--since', '0');
    t.after(() => stream.stop());
    await stream.line((l) => l.includes(last.id), 'the last post');
    const thread = (await daemon.cli('history', '--thread', root.id)).json.events;
    assert.deepEqual(thread.map((e) => e.text), ['history root', 'history reply']);
    const recent = (await daemon.cli('history', '--channel', world.channel.name, '--since', '1h', '--limit', '2')).json.events;
    assert.deepEqual(recent.map((e) => e.text), ['history reply', 'history other']);
    for (const event of recent) {
      assert.equal(event.kind, 'post');
      assert.equal(event.user_name, ann.user.username);
      assert.ok(Number.isInteger(event.id) && Number.isInteger(event.at));
    }
  });

  test('a named consumer continues where it stopped, also over a restart of the daemon', async (t) => {
    const daemon = await daemonFor(t);
    const first = daemon.spawn('stream', '--consumer', 'log', '--since', '0', '--kind', 'post');
    const one = await ann.post(world.channel, 'consumer one');
    await first.line((l) => l.includes(one.id), 'the first post');
    await first.stop('SIGINT');
    const two = await ann.post(world.channel, 'consumer two');
    await daemon.stop();
    const three = await ann.post(world.channel, 'consumer three');
    await daemon.start();
    const second = daemon.spawn('stream', '--consumer', 'log', '--kind', 'post');
    t.after(() => second.stop('SIGINT'));
    await second.line((l) => l.includes(three.id), 'the third post');
    const seen = second.stdout.items.map((l) => JSON.parse(l).post_id);
    assert.deepEqual(seen.filter((id) => [two.id, three.id].includes(id)), [two.id, three.id]);
    assert.ok(!seen.includes(one.id), 'what was acknowledged does not come again');
  });

  test('a stream goes on when the daemon is restarted, and misses nothing', async (t) => {
    const daemon = await daemonFor(t);
    const args = ['stream', '--kind', 'post', '--since', '0'];
    const streams = [daemon.spawn(...args), daemon.spawn(...args, '--consumer', 'goes-on')];
    t.after(() => Promise.all(streams.map((s) => s.stop())));
    const one = await ann.post(world.channel, 'stream one');
    for (const stream of streams) await stream.line((l) => l.includes(one.id), 'the first post');
    await daemon.stop();
    for (const stream of streams) await stream.stderr.find((l) => l.includes('waiting'), 'the stream to say that it waits');
    const two = await ann.post(world.channel, 'stream two');
    await daemon.start();
    for (const stream of streams) {
      await stream.line((l) => l.includes(two.id), 'the second post');
      const seen = stream.stdout.items.map((l) => JSON.parse(l).post_id).filter((id) => [one.id, two.id].includes(id));
      assert.deepEqual(seen, [one.id, two.id]);
    }
  });

  test('typing is streamed live and not stored', async (t) => {
    const daemon = await daemonFor(t);
    const stream = daemon.spawn('stream', '--kind', 'typing');
    t.after(() => stream.stop('SIGINT'));
    const other = daemon.spawn('stream', '--since', '0');
    t.after(() => other.stop('SIGINT'));
    await other.line((l) => l.includes('"connection"'), 'the stream to run');
    // The subscription is live once the daemon has answered a call made behind it.
    let heard = null;
    const line = stream.line((l) => l.includes('"typing"'), 'typing').then((l) => (heard = JSON.parse(l)));
    while (!heard) {
      ann.socket.userTyping(world.channel.id, '');
      await Promise.race([line, ann.rest.getMe()]);
    }
    assert.equal(heard.user_id, ann.user.id);
    assert.equal(heard.channel_id, world.channel.id);
    const stored = (await daemon.cli('history', '--channel', world.channel.id)).json.events;
    assert.ok(!stored.some((e) => e.kind === 'typing'));
  });
});

describe('usage, configuration and the daemon', () => {
  test('exit codes: 2 for wrong usage, 3 for no daemon', async (t) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world)] });
    t.after(() => daemon.close());
    for (const args of [['snd'], ['send', '--chanel', 'x'], ['send'], ['history', '--since', 'soon']]) {
      const wrong = await daemon.cli(...args);
      assert.equal(wrong.code, 2, `${args}: ${wrong.stderr}`);
      assertSentence(wrong.stderr);
    }
    assert.match((await daemon.cli('snd')).stderr, /send/);
    assert.match((await daemon.cli('send', '--chanel', 'x')).stderr, /--channel/);
    const absent = await daemon.cli('bots');
    assert.equal(absent.code, 3);
    assert.match(absent.stderr, /matterwired/);
  });

  test('version and help need nothing', async () => {
    const version = await run(matterwire, ['version']);
    assert.equal(version.code, 0);
    assert.match(version.stdout, /\d+\.\d+\.\d+/);
    const help = await run(matterwire, ['help']);
    assert.equal(help.code, 0);
    for (const verb of ['bots', 'status', 'send', 'reply', 'history', 'stream', 'check', 'reload', 'doctor', 'sandbox', 'rpc']) {
      assert.ok(help.stdout.includes(verb), verb);
      const one = await run(matterwire, ['help', verb]);
      assert.equal(one.code, 0);
      assert.match(one.stdout, new RegExp(`matterwire ${verb}`));
    }
    assert.equal((await run(matterwired, ['--version'])).code, 0);
  });

  test('check reports every error with line and column and the nearest name', async (t) => {
    const daemon = await Daemon.prepare({ bots: [] });
    t.after(() => daemon.close());
    await writeFile(daemon.configPath, [
      'bots:',
      '  - name: a',
      '    endpont: http://127.0.0.1:1',
      '    endpoint: ftp://example.com',
      '    bot_token: $NOT_SET_ANYWHERE',
      '    transport: pigeon',
      '    handler: ecko',
      '    mention_only: perhaps',
      'handlers:',
      '  echo: { type: command, command: [cat], timeout: soon }',
      '',
    ].join('\n'));
    for (const [program, args] of [[matterwire, ['--config', daemon.configPath, 'check']], [matterwired, ['--config', daemon.configPath, '--check']]]) {
      const result = await run(program, args);
      assert.equal(result.code, 2);
      const text = result.stderr + result.stdout;
      for (const [line, words] of [[3, /endpoint/], [4, /ftp/], [5, /NOT_SET_ANYWHERE/], [6, /websocket/], [7, /echo/], [8, /true|false/], [10, /timeout|soon/]]) {
        const found = text.split('\n').find((l) => l.includes(`config.yaml:${line}:`));
        assert.ok(found, `nothing about line ${line} in:\n${text}`);
        assert.match(found, words);
      }
    }
    const refused = await run(matterwired, ['--config', daemon.configPath]);
    assert.equal(refused.code, 2);
    await daemon.configure({ bots: [botConfig(world)] });
    const fine = await daemon.cli('check');
    assert.equal(fine.code, 0, fine.stderr);
  });

  test('a second daemon on the same state refuses and says who holds it', async (t) => {
    const daemon = await daemonFor(t);
    const second = await run(matterwired, ['--config', daemon.configPath]);
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(String(daemon.program.child.pid)));
  });

  test('reload leaves what did not change alone and takes what did', async (t) => {
    const daemon = await daemonFor(t);
    const before = (await daemon.cli('bots', '--json')).json[0];
    await daemon.configure({ bots: [botConfig(world), botConfig(world, bot, { name: 'second' })] });
    const reload = await daemon.cli('reload');
    assert.equal(reload.code, 0, reload.stderr);
    await daemon.state('second', 'online');
    const after = (await daemon.cli('bots', '--json')).json;
    assert.deepEqual(after.map((b) => b.name), ['helper', 'second']);
    assert.equal(after[0].since, before.since, 'the connection of the first bot was not touched');

    await daemon.configure({ bots: [{ name: 'broken' }] });
    const bad = await daemon.cli('reload');
    assert.equal(bad.code, 1);
    assertSentence(bad.stderr);
    assert.equal((await daemon.cli('bots', '--json')).json?.length ?? 0, 2);
  });

  test('SIGTERM ends it in order; standard error holds no secret', async (t) => {
    const daemon = await daemonFor(t);
    await daemon.cli('send', '--channel', world.channel.id, '--text', 'last words');
    const program = await daemon.program.stop();
    assert.equal(program.code, 0);
    assert.ok(!program.text.stderr.includes(bot.token));
    assert.equal((await stat(daemon.config.daemon.database)).mode & 0o777, 0o600);
  });

  test('a wrong token is a state, not an exit, and doctor names it', async (t) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world, { token: 'w'.repeat(26) })] });
    t.after(() => daemon.close());
    await daemon.start({ online: false });
    await daemon.state('helper', 'unauthorized');
    const bots = (await daemon.cli('bots', '--json')).json;
    assert.equal(bots[0].state, 'unauthorized');
    assertSentence(bots[0].reason);
    const doctor = await daemon.cli('doctor');
    assert.equal(doctor.code, 1);
    assert.match(doctor.stdout + doctor.stderr, /token/i);
  });

  test('reload tries a refused bot again at once', async (t) => {
    const again = world.bots[0];
    await server.admin.rest.disableUserAccessToken(again.token_id);
    const daemon = await Daemon.prepare({ bots: [botConfig(world, again)] });
    t.after(() => daemon.close());
    await daemon.start({ online: false });
    await daemon.state('helper', 'unauthorized');
    await server.admin.rest.enableUserAccessToken(again.token_id);
    // By itself it would ask again after a minute or more, which is longer than this waits.
    assert.equal((await daemon.cli('reload')).code, 0);
    await daemon.state('helper', 'online');
  });

  test('a bot that could not be started is started by a reload once its file is there', async (t) => {
    const daemon = await Daemon.prepare({ bots: [] });
    t.after(() => daemon.close());
    const file = path.join(daemon.folder, 'ca.pem');
    const ca = { ca_file: file };
    await daemon.configure({ bots: [botConfig({ ...world, url: 'https://127.0.0.1:1' }, bot, { tls: ca })] });
    await writeFile(file, 'not a certificate');
    await daemon.start({ online: false });
    await daemon.logged('the bot could not be started');
    assert.equal((await daemon.cli('bots', '--json')).json[0].state, 'failed');
    await writeFile(file, tls.rootCertificates[0]);
    assert.equal((await daemon.cli('reload')).code, 0);
    await daemon.state('helper', 'waiting');
  });

  test('a bot that could not be started is tried again', async (t) => {
    const daemon = await Daemon.prepare({ bots: [] });
    t.after(() => daemon.close());
    const file = path.join(daemon.folder, 'ca.pem');
    const ca = { ca_file: file };
    await daemon.configure({ bots: [botConfig({ ...world, url: 'https://127.0.0.1:1' }, bot, { tls: ca })] });
    await writeFile(file, 'not a certificate');
    await daemon.start({ online: false });
    await daemon.logged('the bot could not be started');
    await writeFile(file, tls.rootCertificates[0]);
    await daemon.state('helper', 'waiting');
  });

  test('a server that is down is waited for, and doctor names it', async (t) => {
    const holder = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.on('listening', resolve));
    const { port } = holder.address();
    await new Promise((resolve) => holder.close(resolve));
    const daemon = await Daemon.prepare({ bots: [botConfig({ ...world, url: `http://127.0.0.1:${port}` }, bot)] });
    t.after(() => daemon.close());
    await daemon.start({ online: false });
    await daemon.state('helper', 'waiting');
    const bots = (await daemon.cli('bots', '--json')).json;
    assert.match(bots[0].reason, /refused/i);
    const doctor = await daemon.cli('doctor');
    assert.equal(doctor.code, 1);
    assert.match(doctor.stdout + doctor.stderr, /refused/i);
  });

  test('doctor finds nothing wrong where nothing is', async (t) => {
    const daemon = await Daemon.prepare({ bots: [botConfig(world)] });
    t.after(() => daemon.close());
    const doctor = await daemon.cli('doctor');
    assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
  });
});

describe('JSON-RPC', () => {
  test('several requests in flight, errors with code and sentence, any method by `rpc`', async (t) => {
    const daemon = await daemonFor(t);
    const socket = net.connect(daemon.config.daemon.socket);
    t.after(() => socket.destroy());
    const answers = new Feed();
    let rest = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) answers.push(JSON.parse(line));
    });
    const requests = [
      { jsonrpc: '2.0', id: 1, method: 'bots' },
      { jsonrpc: '2.0', id: 'two', method: 'no.such' },
      { jsonrpc: '2.0', id: 3, method: 'send', params: { chanel: 'x', text: 'y' } },
      { jsonrpc: '2.0', id: 4, method: 'status' },
    ];
    socket.write(requests.map((r) => JSON.stringify(r)).join('\n') + '\nnot json\n');
    const answer = (id) => answers.find((a) => a.id === id, `the answer to ${id}`);
    assert.equal((await answer(1)).result[0].name, 'helper');
    assert.equal((await answer('two')).error.code, -32601);
    const wrong = await answer(3);
    assert.equal(wrong.error.code, -32602);
    assert.match(wrong.error.message, /channel/);
    assert.ok((await answer(4)).result.version);
    const broken = await answers.find((a) => a.error?.code === -32700, 'the parse error');
    assert.equal(broken.id, null);

    const viaCli = await daemon.cli('rpc', 'bots');
    assert.equal(viaCli.code, 0, viaCli.stderr);
    assert.equal(viaCli.json[0].name, 'helper');
    const refused = await daemon.cli('rpc', 'send', '{"text":1}');
    assert.equal(refused.code, 1);
    assertSentence(refused.stderr);
  });
});
