// Handlers of type `http`: what is sent and signed, what becomes of each kind of answer.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { example } from '../lib/program.mjs';
import { Server, World } from '../lib/server.mjs';
import { Web } from '../lib/web.mjs';

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

// A daemon whose bot answers by `web`.
async function daemonFor(t, web, more = {}, options) {
  const daemon = await Daemon.start({
    bots: [botConfig(world, bot, { handler: 'desk' })],
    handlers: { desk: { type: 'http', url: `${web.url}/hook`, ...more } },
  }, options);
  t.after(() => daemon.close());
  return daemon;
}

const says = (text, type = 'text/markdown') => (request, res) => res.writeHead(200, { 'Content-Type': type }).end(text);

describe('what is sent', () => {
  test('the event as JSON, signed, with a key of its own; the answer is Markdown', async (t) => {
    const secret = 'a secret of ours';
    const web = await Web.open(t, says('**done**'));
    await daemonFor(t, web, { secret, headers: { 'X-Team': 'desk' } });
    const post = await ann.post(world.channel, `@${bot.username} build "it" & ship`);
    const answer = await ann.hearsAnswer(bot, post);
    assert.equal(answer.message, '**done**');

    const [request] = web.requests.items;
    assert.equal(request.method, 'POST');
    assert.equal(request.path, '/hook');
    assert.equal(request.headers['content-type'], 'application/json');
    assert.equal(request.headers['x-team'], 'desk');
    assert.match(request.headers['idempotency-key'], new RegExp(`^helper\\.${post.id}\\.`));
    const stamp = request.headers['x-matterwire-timestamp'];
    assert.ok(Math.abs(Date.now() / 1000 - Number(stamp)) < 600);
    assert.equal(request.headers['x-matterwire-signature'],
      `v1=${createHmac('sha256', secret).update(`v1:${stamp}:${request.text}`).digest('hex')}`);
    const event = JSON.parse(request.text);
    assert.equal(event.kind, 'post');
    assert.equal(event.post_id, post.id);
    assert.equal(event.text, post.message);
    assert.equal(event.user_name, ann.user.username);
    assert.equal(event.channel_id, world.channel.id);
    assert.ok(event.prompt.endsWith('build "it" & ship'));
    assert.ok(event.conversation);
    assert.ok(!request.text.includes(secret));
  });

  test('without a secret nothing is signed', async (t) => {
    const web = await Web.open(t, says('hello'));
    await daemonFor(t, web);
    await ann.hearsAnswer(bot, await ann.post(world.channel, 'unsigned'));
    assert.equal(web.requests.items[0].headers['x-matterwire-signature'], undefined);
    assert.ok(web.requests.items[0].headers['x-matterwire-timestamp']);
  });

  test('format outgoing-webhook: the form and the answers of Mattermost', async (t) => {
    const web = await Web.open(t, (request, res) => {
      if (request.n === 1) says('{"text":"started","username":"ci","response_type":"comment"}', 'application/json')(request, res);
      else says('ok', 'text/plain')(request, res);
    });
    const daemon = await daemonFor(t, web, { format: 'outgoing-webhook', secret: 'tok en' });
    const post = await ann.post(world.channel, 'build now');
    assert.equal((await ann.hearsAnswer(bot, post)).message, 'started');
    const [request] = web.requests.items;
    assert.equal(request.headers['content-type'], 'application/x-www-form-urlencoded');
    assert.deepEqual(Object.fromEntries(new URLSearchParams(request.text)), {
      token: 'tok en', team_id: world.team.id, team_domain: world.team.name, channel_id: world.channel.id,
      channel_name: world.channel.name, timestamp: String(Math.floor(post.create_at / 1000)), user_id: ann.user.id,
      user_name: ann.user.username, post_id: post.id, text: 'build now', trigger_word: '', file_ids: '',
    });
    // What Mattermost would not post either.
    await ann.post(world.channel, 'and again');
    await daemon.logged('the handler had no answer');
  });
});

describe('what comes back', () => {
  test('JSON with a text; nothing', async (t) => {
    const web = await Web.open(t, (request, res) => {
      if (request.n === 1) says('{"text":"from JSON"}', 'application/json')(request, res);
      else res.writeHead(204).end();
    });
    const daemon = await daemonFor(t, web);
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'json'))).message, 'from JSON');
    await ann.post(world.channel, 'nothing');
    await daemon.logged('the handler had no answer');
  });

  const failures = [
    ['an error status, with a piece of its body', (q, res) => res.writeHead(503).end('the queue\nis full'), /HTTP status 503: the queue is full/],
    ['a status whose body has the secret', (q, res) => res.writeHead(403).end('bad token s3cret-word'), /HTTP status 403$/],
    ['a redirect', (q, res) => res.writeHead(302, { Location: 'http://elsewhere.example/x?key=1' }).end(), /HTTP status 302 to http:\/\/elsewhere\.example\/x: redirects are not followed/],
    ['another type', (q, res) => says('<html>', 'text/html')(q, res), /text\/html/],
    ['broken JSON', (q, res) => says('{"text":', 'application/json')(q, res), /no JSON/],
    ['too much', (q, res) => says('x'.repeat(1024 * 1024 + 1))(q, res), /longer than 1048576 bytes/],
    ['a closed connection', (q, res) => res.socket.destroy(), /closed the connection/],
    ['an answer that is cut', (q, res) => { res.writeHead(200, { 'Content-Length': 100 }); res.write('half', () => res.socket.destroy()); }, /cut its answer short/],
  ];
  test('failures are told, without secrets', async (t) => {
    const web = await Web.open(t, () => {});
    const daemon = await daemonFor(t, web, { secret: 's3cret-word' });
    for (const [what, answer, sentence] of failures) {
      web.answer = answer;
      const post = await ann.post(world.channel, what);
      await web.requests.find((r) => r.text.includes(post.id), `the request about ${what}`);
      await daemon.logged('the handler failed', (e) => sentence.test(e.reason));
    }
    assert.ok(!daemon.program.text.stderr.includes('s3cret-word'));
    const { handlers } = (await daemon.cli('status', '--json')).json;
    const desk = Array.isArray(handlers) ? handlers.find((h) => h.name === 'desk') : handlers.desk;
    assert.equal(desk.requests, failures.length);
    assert.equal(desk.requests_failed, failures.length);
  });

  test('a server that does not answer in time; the next message gets its answer', async (t) => {
    const web = await Web.open(t, (request, res) => { if (request.n > 1) says('now')(request, res); });
    const daemon = await daemonFor(t, web, { timeout: '3s' });
    await ann.post(world.channel, 'slow');
    await daemon.logged('the handler took too long');
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'fast'))).message, 'now');
  });

  test('attempts: the same key again', async (t) => {
    const web = await Web.open(t, (request, res) => (request.n === 1 ? res.writeHead(500).end() : says('second')(request, res)));
    await daemonFor(t, web, { attempts: 2 });
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'try'))).message, 'second');
    const [one, two] = web.requests.items;
    assert.equal(one.headers['idempotency-key'], two.headers['idempotency-key']);
  });
});

test('the example of the handbook', async (t) => {
  const service = await example(t, 'http-service.py', { DESK_SECRET: 'tooth' });
  const daemon = await daemonFor(t, { url: service }, { secret: 'tooth' });
  const post = await ann.post(world.channel, 'three small words');
  assert.equal((await ann.hearsAnswer(bot, post)).message, `**${ann.user.username}** wrote 3 words in \`${world.channel.name}\`.`);
  await ann.post(world.channel, 'be quiet');
  await daemon.logged('the handler had no answer');
  const stranger = await fetch(service, { method: 'POST', headers: { 'Idempotency-Key': 'x' }, body: '{}' });
  assert.equal(stranger.status, 403);
});

test('kill -9 while the service works: the event is given again, one answer', async (t) => {
  const web = await Web.open(t, (request, res) => { if (request.n > 1) says('once')(request, res); });
  const daemon = await daemonFor(t, web);
  const post = await ann.post(world.channel, 'survive');
  await web.requests.find((r) => r.n === 1, 'the first request');
  await daemon.program.kill('SIGKILL');
  await daemon.start();
  assert.equal((await ann.hearsAnswer(bot, post)).message, 'once');
  const marker = await ann.post(world.channel, 'marker');
  await ann.hearsAnswer(bot, marker);
  const answers = ann.events.items.filter((e) => e.event === 'posted' && e.data.post.root_id === post.id);
  assert.equal(answers.length, 1);
  assert.equal(web.requests.items[0].headers['idempotency-key'], web.requests.items[1].headers['idempotency-key']);
});
