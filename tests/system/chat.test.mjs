// Handlers of type `chat`: an OpenAI-compatible server answers.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { within } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { example } from '../lib/program.mjs';
import { Model, calls, done, finish, lastOf, says, text, usage } from '../lib/model.mjs';
import { gone } from '../lib/machine.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

let server, world, ann, bob, bot;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bob, bot } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

async function daemonFor(t, model, more = {}, { daemon: settings, ...options } = {}) {
  const daemon = await Daemon.start({
    bots: [botConfig(world, bot, { handler: 'brain', channels: [] })],
    handlers: { brain: { type: 'chat', url: model.url, model: 'tiny', ...more } },
    daemon: settings,
  }, options);
  t.after(() => daemon.close());
  return daemon;
}

const statusOf = async (daemon) => (await daemon.cli('status', '--json')).json.handlers.find((h) => h.name === 'brain');

describe('a request', () => {
  test('has what is configured; the streamed text is the answer', async (t) => {
    const model = await Model.open(t, () => text('Hello ') + text('**there**') + finish() + usage(11, 7) + done);
    const daemon = await daemonFor(t, model, {
      system: 'You are kind.', api_key: 'sk-hidden', max_tokens: 50, headers: { 'X-Org': 'us' },
    });
    const answer = await ann.hearsAnswer(bot, await ann.post(world.channel, 'hi model'));
    assert.equal(answer.message, 'Hello **there**');
    const [request] = model.requests.items;
    assert.equal(request.path, '/v1/chat/completions');
    assert.equal(request.headers.authorization, 'Bearer sk-hidden');
    assert.equal(request.headers['x-org'], 'us');
    const { messages, ...rest } = request.body;
    assert.deepEqual(rest, { model: 'tiny', stream: true, stream_options: { include_usage: true }, max_tokens: 50 });
    assert.equal(messages.length, 2);
    assert.equal(messages[0].role, 'system');
    assert.ok(messages[0].content.startsWith('You are kind.\n\n'));
    assert.ok(messages[0].content.includes(`@${bot.username}`) && messages[0].content.includes(world.channel.name));
    assert.deepEqual(messages[1], { role: 'user', content: `${ann.user.username}: hi model` });
    const status = await statusOf(daemon);
    assert.deepEqual([status.requests, status.tokens_in, status.tokens_out], [1, 11, 7]);
    assert.ok(!daemon.program.text.stderr.includes('sk-hidden'));
  });

  test('history: the thread by name, newest first within its limit; a direct channel', async (t) => {
    const model = await Model.open(t, (r) => says(`answer ${r.n}`));
    const daemon = await daemonFor(t, model);
    const root = await ann.post(world.channel, 'my cat is called Tom');
    await ann.hearsAnswer(bot, root);
    const second = await bob.post(world.channel, 'and mine Jerry', { root_id: root.id });
    await ann.hears((p) => p.root_id === root.id && p.message === 'answer 2');
    await ann.post(world.channel, 'who is who?', { root_id: root.id });
    await ann.hears((p) => p.root_id === root.id && p.message === 'answer 3');
    const names = [ann, bob].map((p) => p.user.username);
    assert.deepEqual(model.requests.items[2].body.messages.slice(1), [
      { role: 'user', content: `${names[0]}: my cat is called Tom` },
      { role: 'assistant', content: 'answer 1' },
      { role: 'user', content: `${names[1]}: and mine Jerry` },
      { role: 'assistant', content: 'answer 2' },
      { role: 'user', content: `${names[0]}: who is who?` },
    ]);
    assert.ok(second.id);

    // A thread of its own knows nothing of it.
    await ann.hearsAnswer(bot, await ann.post(world.channel, 'something else'));
    assert.equal(model.requests.items[3].body.messages.length, 2);

    const direct = await ann.rest.createDirectChannel([ann.user.id, bot.id]);
    await ann.post(direct, 'psst one');
    await ann.hears((p) => p.channel_id === direct.id && p.message === 'answer 5');
    await ann.post(direct, 'psst two');
    await ann.hears((p) => p.channel_id === direct.id && p.message === 'answer 6');
    assert.deepEqual(model.requests.items[5].body.messages.slice(1).map((m) => m.content),
      [`${names[0]}: psst one`, 'answer 5', `${names[0]}: psst two`]);
    assert.match(model.requests.items[5].body.messages[0].content, /direct message/);

    await daemon.configure({ ...daemon.config, handlers: { brain: { ...daemon.config.handlers.brain, history_tokens: 3 } } });
    assert.equal((await daemon.cli('reload')).code, 0);
    await ann.post(world.channel, 'short of memory', { root_id: root.id });
    await ann.hears((p) => p.root_id === root.id && p.message === 'answer 7');
    assert.deepEqual(model.requests.items[6].body.messages.slice(1).map((m) => m.role), ['user']);
  });

  test('reset: what was said before is not sent any more, over a restart too', async (t) => {
    const model = await Model.open(t, (r) => says(`answer ${r.n}`));
    const daemon = await daemonFor(t, model);
    const name = ann.user.username;
    const ask = async (text, n, root) => {
      const post = await ann.post(world.channel, text, root && { root_id: root.id });
      await ann.hears((p) => p.root_id === (root ?? post).id && p.message === `answer ${n}`);
      return post;
    };
    const asked = (n) => model.requests.items[n - 1].body.messages.slice(1).map((m) => m.content);
    const root = await ask('my cat is called Tom', 1);
    const other = await ask('my dog is called Rex', 2);
    await ann.post(world.channel, `@${bot.username} reset`, { root_id: root.id });
    await ann.hears((p) => p.root_id === root.id && p.message === 'This conversation starts anew.');
    await ask('who is it?', 3, root);
    assert.deepEqual(asked(3), [`${name}: who is it?`]);
    await daemon.restart();
    await ask('and now?', 4, root);
    assert.deepEqual(asked(4), [`${name}: who is it?`, 'answer 3', `${name}: and now?`]);
    // It was about one conversation.
    await ask('and the dog?', 5, other);
    assert.deepEqual(asked(5), [`${name}: my dog is called Rex`, 'answer 2', `${name}: and the dog?`]);

    const direct = await ann.rest.createDirectChannel([ann.user.id, bot.id]);
    const tell = async (text, answer) => {
      const post = await ann.post(direct, text);
      await ann.hears((p) => p.channel_id === direct.id && p.message === answer && p.create_at >= post.create_at);
    };
    await tell('psst', 'answer 6');
    await tell('reset', 'This conversation starts anew.');
    await tell('what did I say?', 'answer 7');
    assert.deepEqual(asked(7), [`${name}: what did I say?`]);
  });

  test('images and texts that are attached, and a sentence about the rest', async (t) => {
    const model = await Model.open(t, (r) => says(`answer ${r.n}`));
    await daemonFor(t, model, {}, { daemon: { files: { download: 'all' } } });
    const png = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
    const file_ids = [];
    for (const [name, content] of [['dot.png', png], ['note.txt', 'a note'], ['blob.bin', Buffer.from([0, 1])]]) {
      file_ids.push(await ann.upload(world.channel, name, content));
    }
    await ann.hearsAnswer(bot, await ann.post(world.channel, 'look', { file_ids }));
    const [words, image, ...rest] = lastOf(model.requests.items[0]);
    assert.equal(rest.length, 0);
    assert.deepEqual(image, { type: 'image_url', image_url: { url: `data:image/png;base64,${png.toString('base64')}` } });
    assert.equal(words.type, 'text');
    assert.ok(words.text.startsWith(`${ann.user.username}: look\n\n[file note.txt]\na note\n[end of file note.txt]\n\n[file blob.bin, `), words.text);
    assert.match(words.text, /, 2 bytes: its content is not shown here\]$/);
  });

  test('history from the journal when the server cannot be asked: the last edit, nothing deleted', sandboxOnly, async (t) => {
    const model = await Model.open(t, (r) => says(`answer ${r.n}`));
    const daemon = await daemonFor(t, model);
    const root = await ann.post(world.channel, 'first draft');
    await ann.hearsAnswer(bot, root);
    const gone = await bob.post(world.channel, 'a secret', { root_id: root.id });
    await ann.hears((p) => p.root_id === root.id && p.message === 'answer 2');
    await ann.rest.patchPost({ id: root.id, message: 'last draft' });
    await bob.rest.deletePost(gone.id);
    const stream = daemon.spawn('stream', '--since', '0', '--kind', 'post_deleted');
    await stream.line((l) => l.includes(gone.id), 'the deletion');
    await stream.stop('SIGINT');
    await server.control('/rules', { action: 'fail', status: 403, method: 'GET', path: `/api/v4/posts/${root.id}/thread`, count: -1 });
    t.after(() => server.control('/rules/clear', {}));
    await ann.post(world.channel, 'well?', { root_id: root.id });
    await ann.hears((p) => p.root_id === root.id && p.message === 'answer 3');
    assert.deepEqual(model.requests.items[2].body.messages.slice(1).map((m) => m.content),
      [`${ann.user.username}: last draft`, 'answer 1\n\nanswer 2', `${ann.user.username}: well?`]);
  });

  test('a server that does not know stream_options is asked again, once and for all', async (t) => {
    const model = await Model.open(t, (r) => (r.body.stream_options
      ? { status: 400, body: JSON.stringify({ error: { message: 'unknown field: stream_options' } }) } : says('plain')));
    await daemonFor(t, model);
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'one'))).message, 'plain');
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'two'))).message, 'plain');
    assert.equal(model.requests.items.length, 3);
  });

  test('429 with Retry-After: one wait', async (t) => {
    const model = await Model.open(t, (r) => (r.n === 1
      ? { status: 429, headers: { 'Retry-After': '1' }, body: '{"error":{"message":"slow down"}}' } : says('patience')));
    await daemonFor(t, model);
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'hurry'))).message, 'patience');
  });
});

describe('replies', () => {
  const whole = (message, reason = 'stop') => ({
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ object: 'chat.completion', choices: [{ index: 0, message, finish_reason: reason }] }),
  });
  const answered = [
    ['CRLF and comments', () => `: ping\r\n\r\n${says('crlf').replaceAll('\n', '\r\n')}`, 'crlf'],
    ['no [DONE]', () => text('no end') + finish(), 'no end'],
    ['one JSON object', () => whole({ role: 'assistant', content: 'whole' }), 'whole'],
    ['reasoning is not shown', () => 'data: {"choices":[{"delta":{"reasoning_content":"hmm","content":null}}]}\n\n' + says('shown'), 'shown'],
    ['a limit of tokens', () => text('long') + finish('length') + done, 'long\n\n*(The answer ends here: the limit of tokens is reached.)*'],
    ['a content filter', () => text('bad') + finish('content_filter') + done, "bad\n\n*(The answer ends here: the server's content filter stopped it.)*"],
    ['an error amid the stream', () => text('half') + 'data: {"error":{"message":"overloaded"}}\n\n', 'half\n\n*(The answer was cut off.)*'],
    ['a stream that ends too early', () => text('half'), 'half\n\n*(The answer was cut off.)*'],
    ['a connection that is cut', () => ({ body: text('half') + 'data: {"choi', cut: true }), 'half\n\n*(The answer was cut off.)*'],
    ['a connection that is cut behind the end', () => ({ body: text('all') + finish(), cut: true }), 'all'],
  ];
  const failed = [
    ['an error status', () => ({ status: 404, body: '{"error":{"message":"no model tiny"}}' }), /HTTP status 404: no model tiny/],
    ['too many requests, no word on when', () => ({ status: 429, body: '{"error":"later"}' }), /HTTP status 429: later/],
    ['a wait that is too long', () => ({ status: 429, headers: { 'Retry-After': '9999' }, body: '' }), /asks to wait 9999 s.*429/],
    ['an error before any text', () => 'data: {"error":{"message":"out of memory"}}\n\n', /reports an error: out of memory/],
    ['cut before any text', () => ({ body: '', cut: true }), /cut its answer short/],
    ['ended before any text', () => ': ping\n\n' + text(''), /ended the stream/],
    ['a page', () => '<html>Sign in</html>', /no chat completion/],
    ['all tokens spent on reasoning', () => finish('length') + done, /limit of tokens/],
    ['a key in the error', () => ({ status: 401, body: '{"error":{"message":"wrong key sk-hidden"}}' }), /HTTP status 401$/],
  ];

  test('dialects, limits, cuts', async (t) => {
    const model = await Model.open(t, () => '');
    const daemon = await daemonFor(t, model, { api_key: 'sk-hidden', timeout: '60s' });
    for (const [what, reply, expected] of answered) {
      model.reply = reply;
      assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, what))).message, expected, what);
    }
    for (const [what, reply, sentence] of failed) {
      model.reply = reply;
      const before = model.requests.items.length;
      await ann.post(world.channel, what);
      await model.requests.find((r) => r.n > before);
      await daemon.logged('the handler failed', (e) => sentence.test(e.reason));
    }
    model.reply = () => finish() + done;
    await ann.post(world.channel, 'say nothing');
    await daemon.logged('the handler had no answer');
    assert.ok(!daemon.program.text.stderr.includes('sk-hidden'));
  });

  test('a model that takes too long; the next turn is answered', async (t) => {
    const model = await Model.open(t, (r) => (r.n === 1 ? new Promise(() => {}) : says('back')));
    const daemon = await daemonFor(t, model, { timeout: '3s' });
    await ann.post(world.channel, 'think hard');
    await daemon.logged('the handler took too long');
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'again'))).message, 'back');
  });
});

describe('tools', () => {
  const tool = (name, more = {}) => ({ name, description: `the tool ${name}`, command: [`./${name}`], ...more });
  const scripts = {
    weather: 'printf "%s in %s: " "$SEASON" "$PWD"; cat',
    broken: 'echo "no map" >&2; exit 3',
    slow: 'sleep 60',
  };

  test('run side by side, their results and errors go to the model', async (t) => {
    const model = await Model.open(t, (r) => (r.n === 1
      ? text('Let me see.') + calls(['weather', { town: 'Bern' }], ['broken', {}], ['slow', {}], ['unknown', {}])
      : says('It rains.')));
    const daemon = await daemonFor(t, model, {
      env: { SEASON: 'summer' },
      tools: [tool('weather', { parameters: '{"type":"object","properties":{"town":{"type":"string"}}}' }), tool('broken'), tool('slow', { timeout: '200ms' })],
    }, { scripts });
    const answer = await ann.hearsAnswer(bot, await ann.post(world.channel, 'weather?'));
    assert.equal(answer.message, 'Let me see.\n\nIt rains.');
    const [first, second] = model.requests.items;
    assert.deepEqual(first.body.tools.map((x) => x.function.name), ['weather', 'broken', 'slow']);
    assert.deepEqual(first.body.tools[0].function.parameters.properties, { town: { type: 'string' } });
    const [assistant, ...results] = second.body.messages.slice(2);
    assert.equal(assistant.role, 'assistant');
    assert.equal(assistant.content, 'Let me see.');
    assert.equal(assistant.tool_calls.length, 4);
    assert.deepEqual(results.map((m) => m.role), ['tool', 'tool', 'tool', 'tool']);
    assert.deepEqual(results.map((m) => m.tool_call_id), assistant.tool_calls.map((c) => c.id));
    assert.equal(results[0].content, `summer in ${daemon.folder}: {"town":"Bern"}`);
    assert.match(results[1].content, /^error: exit status 3: no map/);
    assert.match(results[2].content, /^error: not done/);
    assert.match(results[3].content, /^error: there is no tool "unknown"/);
  });

  test('at most eight rounds, then it has to answer', async (t) => {
    const model = await Model.open(t, (r) => (r.body.tool_choice === 'none' ? says('enough') : calls(['weather', { n: r.n }])));
    await daemonFor(t, model, { tools: [tool('weather')] }, { scripts });
    assert.equal((await ann.hearsAnswer(bot, await ann.post(world.channel, 'on and on'))).message, 'enough');
    assert.equal(model.requests.items.length, 9);
  });
});

test('ten conversations side by side, two messages of one thread in order', async (t) => {
  let most = 0, now = 0, open;
  const gate = new Promise((resolve) => { open = resolve; });
  const model = await Model.open(t, async (r) => {
    most = Math.max(most, ++now);
    if (most === 10) open();
    await gate;
    now--;
    return says(`to ${lastOf(r)}`);
  });
  await daemonFor(t, model, { concurrency: 10, history_tokens: 0 });
  const posts = await Promise.all(Array.from({ length: 10 }, (_, i) => ann.post(world.channel, `question ${i}`)));
  const more = await ann.post(world.channel, 'one more', { root_id: posts[0].id });
  for (const post of posts) {
    const answer = await ann.hears((p) => p.root_id === post.id && p.message.endsWith(post.message));
    assert.equal(answer.message, `to ${ann.user.username}: ${post.message}`);
  }
  await ann.hears((p) => p.root_id === posts[0].id && p.message.endsWith(more.message) && p.user_id === bot.id);
  assert.equal(most, 10);
  const asked = model.requests.items.map(lastOf);
  assert.ok(asked.findIndex((x) => x.endsWith('question 0')) < asked.findIndex((x) => x.endsWith('one more')));
});

test('the example of the handbook', async (t) => {
  const url = await example(t, 'chat-model.py');
  const tools = [{ name: 'uptime', description: 'How long', command: ['sh', '-c', 'echo up for ever'] }];
  await daemonFor(t, { url: `${url}/v1` }, { tools });
  const name = ann.user.username;
  const post = await ann.post(world.channel, 'hello you');
  assert.equal((await ann.hearsAnswer(bot, post)).message, `You said: ${name}: hello you`);
  await ann.post(world.channel, 'uptime please', { root_id: post.id });
  await ann.hears((p) => p.root_id === post.id && p.message === 'The tool says: up for ever');
});

test('the daemon stops amid a turn, at the model and at a tool: exactly one answer each', async (t) => {
  const model = await Model.open(t, (r) => {
    if (lastOf(r).endsWith('at the model') && r.n <= 2) return new Promise(() => {});
    return lastOf(r).endsWith('at a tool') && r.n <= 2 ? calls(['stay', {}]) : says('done');
  });
  const tools = [{ name: 'stay', description: 'stays', command: ['./stay'] }];
  const daemon = await daemonFor(t, model, { tools, history_tokens: 0 }, { scripts: { stay: 'echo $$ >stay.pid; exec sleep 60' } });
  const posts = [await ann.post(world.channel, 'at the model'), await ann.post(world.channel, 'at a tool')];
  await model.requests.count(2, () => true);
  await within((async () => {
    while (!await readFile(path.join(daemon.folder, 'stay.pid'), 'utf8').catch(() => '')) await new Promise(setImmediate);
  })(), 'the tool to run');
  const pid = Number(await readFile(path.join(daemon.folder, 'stay.pid'), 'utf8'));
  daemon.program.child.kill('SIGTERM');
  daemon.program.child.kill('SIGTERM');
  await within(daemon.program.ended, 'the daemon to stop');
  assert.equal(daemon.program.code, 0);
  await gone(pid);
  await daemon.start();
  for (const post of posts) assert.equal((await ann.hearsAnswer(bot, post)).message, 'done');
  await ann.hearsAnswer(bot, await ann.post(world.channel, 'marker'));
  for (const post of posts) {
    assert.equal(ann.events.items.filter((e) => e.event === 'posted' && e.data.post.root_id === post.id).length, 1);
  }
});

test('kill -9 amid a turn: exactly one answer', async (t) => {
  const model = await Model.open(t, (r) => (r.n === 1 ? new Promise(() => {}) : says('survived')));
  const daemon = await daemonFor(t, model);
  const post = await ann.post(world.channel, 'will you survive?');
  await model.requests.find((r) => r.n === 1, 'the first request');
  await daemon.program.kill('SIGKILL');
  await daemon.start();
  assert.equal((await ann.hearsAnswer(bot, post)).message, 'survived');
  await ann.hearsAnswer(bot, await ann.post(world.channel, 'marker'));
  const answers = ann.events.items.filter((e) => e.event === 'posted' && e.data.post.root_id === post.id);
  assert.equal(answers.length, 1);
});
