// Agents of the Agent Client Protocol: an agent on the official SDK, well behaved and not.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { run } from '../lib/program.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

const agentPath = fileURLToPath(new URL('../lib/agent.mjs', import.meta.url));
let server, world, ann, bob, bot;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bob, bot } = world);
  await Promise.all([ann.listen(), bob.listen()]);
});

after(async () => {
  await world?.close();
  await server?.close();
});

// A daemon with such an agent. `options` are the agent's, `more` the handler's, `others` the bot's.
async function start(t, options = {}, more = {}, others = {}) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-agent-'));
  const handler = {
    type: 'acp', command: [process.execPath, agentPath], approval: 'reject',
    env: { AGENT_FOLDER: folder, AGENT_OPTIONS: JSON.stringify(options) }, concurrency: 20, ...more,
  };
  const daemon = await Daemon.start({ bots: [botConfig(world, bot, { handler: 'agent', ...others })], handlers: { agent: handler }, daemon: { files: { download: 'all' } } });
  t.after(async () => {
    await daemon.close();
    await rm(folder, { recursive: true, force: true });
  });
  const notes = async () => (await readFile(path.join(folder, 'notes'), 'utf8').catch(() => '')).split('\n').slice(0, -1);
  // What the agent wrote down, once it did so `n` times.
  const noted = async (test, n = 1) => {
    return eventually(async () => {
      const found = (await notes()).filter(test);
      assert.ok(found.length >= n, `the agent has not noted ${test}`);
      return found;
    });
  };
  return { daemon, folder, notes, noted, touch: (name) => writeFile(path.join(folder, name), '') };
}

const ask = async (text, more) => {
  const post = await ann.post(world.channel, text, more);
  return { post, root: post.root_id || post.id };
};
// Everything of the bot's in the thread of `post`.
const answers = (post) => ann.events.items
  .filter((e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.root_id === (post.root_id || post.id))
  .map((e) => e.data.post.message);
const says = (post, text, ms) =>
  ann.hears((p) => p.user_id === bot.id && p.root_id === (post.root_id || post.id) && p.message === text, `'${text}'`, ms);
const stop = (post) => ann.post(world.channel, `@${bot.username} stop`, { root_id: post.id });
async function answered(text, expected, more) {
  const { post } = await ask(text, more);
  await says(post, expected);
  return post;
}

describe('a turn', () => {
  test('text in pieces, tools and plans, thoughts unsaid; a second turn in the same session', async (t) => {
    const { notes, daemon } = await start(t);
    const first = await answered('words one two three', 'one two three');
    await answered('remember', 'I heard: words one two three, remember', { root_id: first.id });
    await answered('tools', 'Let me look.\n\nIt says 42.');
    assert.equal((await notes()).filter((n) => n.startsWith('new ')).length, 2);
    assert.equal((await notes()).filter((n) => n.startsWith('start ')).length, 1);
    const { handlers } = (await daemon.cli('status', '--json')).json;
    assert.equal(handlers[0].answered, 3);
  });

  test('what the agent does not get is refused, and noise is not fatal', async (t) => {
    const { daemon } = await start(t);
    await answered('file', 'reading is -32601');
    await answered('noise', 'through the noise');
    await daemon.logged('an agent prints what is no message; its log belongs to standard error');
  });

  test('why an agent ended is said in words; an error is a failure', async (t) => {
    const { daemon } = await start(t);
    const said = [
      ['ends refusal', '*The agent refused to answer.*'],
      ['ends refusal not that', 'not that\n\n*The agent refused to go on.*'],
      ['ends max_tokens', '*The agent reached its limit of tokens before it said anything.*'],
      ['ends max_tokens so far', 'so far\n\n*The agent stopped here: its limit of tokens is reached.*'],
      ['ends max_turn_requests', '*The agent reached its limit of steps before it said anything.*'],
      ['ends max_turn_requests so far', 'so far\n\n*The agent stopped here: its limit of steps is reached.*'],
      ['ends cancelled so far', 'so far\n\n*The agent stopped here by itself.*'],
    ];
    for (const [text, expected] of said) await answered(text, expected);
    await ask('ends cancelled');
    await daemon.logged('the handler failed', (e) => e.reason === 'the agent stopped by itself');
    await ask('fail');
    await daemon.logged('the handler failed', (e) => /the model is on strike/.test(e.reason));
  });

  test('ten conversations side by side', async (t) => {
    const { touch, noted } = await start(t);
    const asked = [];
    for (let i = 0; i < 10; i++) asked.push(await ask(`wait gate ${i}`));
    await noted((n) => n.startsWith('waits gate'), 10); // all of them are under way at once
    await touch('gate');
    await Promise.all(asked.map(({ post }) => says(post, 'seen gate')));
    for (const { post } of asked) assert.deepEqual(answers(post), ['seen gate']);
  });

  test('two in one thread, in order', async (t) => {
    const { touch, noted, notes } = await start(t);
    const { post } = await ask('wait door');
    await noted((n) => n === 'waits door');
    const { post: second } = await ask('remember', { root_id: post.id });
    await touch('door');
    await says(second, 'I heard: wait door, remember');
    assert.deepEqual(answers(post), ['seen door', 'I heard: wait door, remember']);
    assert.equal((await notes()).filter((n) => n.startsWith('new ')).length, 1);
  });

  test('MCP servers go to the agent as it can take them', async (t) => {
    const mcp_servers = [
      { name: 'wiki', command: ['wiki-mcp', '-v'], env: { TOKEN: 'x' } },
      { name: 'far', url: 'http://127.0.0.1:9/mcp', headers: { Authorization: 'Bearer y' } },
    ];
    const first = await start(t, { http: true }, { mcp_servers });
    await answered('words a', 'a');
    const [line] = await first.noted((n) => n.startsWith('new '));
    assert.deepEqual(JSON.parse(line.slice(line.indexOf('['))), [
      { name: 'wiki', command: 'wiki-mcp', args: ['-v'], env: [{ name: 'TOKEN', value: 'x' }] },
      { type: 'http', name: 'far', url: 'http://127.0.0.1:9/mcp', headers: [{ name: 'Authorization', value: 'Bearer y' }] },
    ]);
    await first.daemon.stop();
    const second = await start(t, {}, { mcp_servers });
    await answered('words b', 'b');
    await second.daemon.logged('the agent cannot use MCP servers over HTTP, so it is not told of them');
  });
});

describe('files go to the agent as it can take them', () => {
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
  const files = [
    ['dot.png', png],
    ['huge.png', Buffer.concat([png, Buffer.alloc(5 * 1024 * 1024)])],
    ['note.txt', 'a note: \u00e4\n'],
    ['long.txt', 'x'.repeat(256 * 1024 + 1)],
    ['latin.txt', Buffer.from([0x61, 0xe4, 0x0a])], // not UTF-8
    ['blob.bin', Buffer.from([1, 2, 3])],
  ];
  const cases = [
    ['images and texts', { image: true, embedded: true }, { 'dot.png': 'image', 'note.txt': 'resource' }],
    ['images', { image: true }, { 'dot.png': 'image' }],
    ['texts', { embedded: true }, { 'note.txt': 'resource' }],
    ['neither', {}, {}],
  ];
  for (const [what, options, special] of cases) {
    test(what, async (t) => {
      const { noted } = await start(t, options);
      const file_ids = [];
      for (const [name, content] of files.slice(0, 5)) file_ids.push(await ann.upload(world.channel, name, content));
      const links = files.slice(0, 5).filter(([name]) => !special[name]);
      const { post } = await ask('read', { file_ids });
      await says(post, [...links.map(([name, content]) => `${name}: ${Buffer.byteLength(content)}`), 'read'].join('\n'));
      const [line] = await noted((n) => n.startsWith('blocks '));
      const blocks = JSON.parse(line.slice('blocks '.length));
      assert.deepEqual(blocks.map((b) => b.type), files.slice(0, 5).map(([name]) => special[name] ?? 'resource_link'));
      if (options.image) assert.deepEqual(blocks[0], { type: 'image', mimeType: 'image/png', data: png.toString('base64') });
      if (options.embedded) {
        assert.equal(blocks[2].resource.text, 'a note: \u00e4\n');
        assert.match(blocks[2].resource.mimeType, /^text\/plain/);
        assert.match(blocks[2].resource.uri, /^file:.*#note\.txt$/);
      }

      const { post: bare } = await ask('words ok', { file_ids: [await ann.upload(world.channel, ...files[5])] });
      await says(bare, 'ok');
      const [, second] = await noted((n) => n.startsWith('blocks '), 2);
      const [blob] = JSON.parse(second.slice('blocks '.length));
      assert.deepEqual([blob.type, blob.name], ['resource_link', 'blob.bin']);
    });
  }

  test('a file that cannot be fetched is told of', sandboxOnly, async (t) => {
    const { noted } = await start(t, { image: true, embedded: true });
    const id = await ann.upload(world.channel, 'gone.txt', 'soon gone');
    await server.control('/rules', { action: 'fail', status: 403, method: 'GET', path: `/api/v4/files/${id}`, count: -1 });
    t.after(() => server.control('/rules/clear', {}));
    await answered('read', 'read', { file_ids: [id] });
    const [line] = await noted((n) => n.startsWith('blocks '));
    assert.match(JSON.parse(line.slice('blocks '.length))[0].text, /^\(A file is attached, but could not be fetched: .+\)$/);
  });
});

describe('greetings', () => {
  test('a slow start is waited for', async (t) => {
    await start(t, { slow: 3000 });
    await answered('words at last', 'at last');
  });

  test('another version of the protocol is a clear failure', async (t) => {
    const { daemon } = await start(t, { version: 2 });
    await ask('words a');
    await daemon.logged('the handler failed',
      (e) => e.reason === 'the agent speaks version 2 of the Agent Client Protocol, and Matterwire speaks version 1');
  });

  test('one way to sign in is taken, several need a person', async (t) => {
    const first = await start(t, { auth: [{ id: 'key', name: 'A key' }] });
    await answered('words in', 'in');
    assert.equal((await first.notes()).filter((n) => n === 'signed in by key').length, 1);
    await first.daemon.stop();
    const second = await start(t, { auth: [{ id: 'a', name: 'By browser' }, { id: 'b', name: 'By card' }] });
    await ask('words out');
    await second.daemon.logged('the handler failed', (e) => /signed in by a person.*By browser, By card/.test(e.reason));
  });

  test('a program that is not there, and one that is no agent', async (t) => {
    const { daemon } = await start(t, {}, { command: ['/no/such/agent'] });
    await ask('hello');
    await daemon.logged('the handler failed', (e) => /there is no program \/no\/such\/agent/.test(e.reason));
    await daemon.stop();
    const other = await start(t, {}, { command: ['/bin/sh', '-c', 'echo no key >&2; exit 4'] });
    await ask('hello');
    await other.daemon.logged('the handler failed', (e) => /exit status 4: no key/.test(e.reason));
  });
});

describe('ends of the agent', () => {
  test('it dies before it said anything: once more in the loaded session, without its past', async (t) => {
    const { notes } = await start(t);
    const first = await answered('words one', 'one');
    await answered('crash', 'survived', { root_id: first.id });
    await answered('remember', 'I heard: words one, crash, remember', { root_id: first.id });
    assert.equal((await notes()).filter((n) => n.startsWith('start ')).length, 2);
    assert.equal((await notes()).filter((n) => n.startsWith('load ')).length, 1);
    assert.equal((await notes()).filter((n) => n.startsWith('new ')).length, 1);
  });

  test('it dies in the middle of an answer: a failure; the next turn works', async (t) => {
    const { daemon } = await start(t);
    const { post } = await ask('crash late');
    await daemon.logged('the handler failed',
      (e) => e.reason === 'the agent ended in the middle of the answer: exit status 9: out of luck');
    await answered('words on', 'on', { root_id: post.id });
  });

  test('it dies again and again: a failure after the second time', async (t) => {
    const { daemon, notes } = await start(t);
    await ask('crash always');
    await daemon.logged('the handler failed', (e) => /ended in the middle of the answer: exit status 9/.test(e.reason));
    assert.equal((await notes()).filter((n) => n === 'prompt crash always').length, 2);
  });

  test('an agent that cannot load gets a new session, and that is said', async (t) => {
    const { daemon } = await start(t, { load: false });
    const first = await answered('words one', 'one');
    await answered('crash', 'survived', { root_id: first.id });
    await daemon.logged('an agent\'s session could not be continued, so a new one begins',
      (e) => e.reason === 'the agent cannot load sessions');
    await answered('remember', 'I heard: crash, remember', { root_id: first.id });
  });

  test('a session that is gone is replaced', async (t) => {
    const { daemon, folder } = await start(t);
    const first = await answered('words one', 'one');
    await daemon.stop();
    await rm(path.join(folder, 'sessions'), { recursive: true });
    await daemon.start();
    await answered('remember', 'I heard: remember', { root_id: first.id });
    await daemon.logged('an agent\'s session could not be continued, so a new one begins');
  });
});

describe('restarts of the daemon', () => {
  test('a session that was not used for 30 days is forgotten', async (t) => {
    const { daemon, notes } = await start(t);
    const old = await answered('words old', 'old');
    const young = await answered('words young', 'young');
    await daemon.stop();
    const script = `import sqlite3,sys
c=sqlite3.connect(sys.argv[1])
q="SELECT count(*) FROM kv WHERE scope='acp:agent' AND abs(expires_at/86400000.0 - strftime('%s','now')/86400.0 - 30) < 0.1"
print(c.execute(q).fetchone()[0])
c.execute("UPDATE kv SET expires_at = 1 WHERE key LIKE ?", ('%'+sys.argv[2],))
c.commit()`;
    const { stdout } = await run('python3', ['-c', script, path.join(daemon.folder, 'state.db'), old.id]);
    assert.equal(stdout, '2\n');
    await daemon.start();
    const status = async () => (await daemon.cli('status', '--json')).json;
    await eventually(async () => assert.equal((await status()).store.pruned_work, 1));
    await answered('remember', 'I heard: remember', { root_id: old.id });
    await answered('remember', 'I heard: words young, remember', { root_id: young.id });
    assert.equal((await notes()).filter((n) => n.startsWith('new ')).length, 3);
    assert.equal((await notes()).filter((n) => n.startsWith('load ')).length, 1);
  });

  for (const way of ['load', 'resume']) {
    test(`sessions go on: ${way}`, async (t) => {
      const { daemon, notes } = await start(t, { load: way });
      const first = await answered('words one', 'one');
      await daemon.stop();
      await daemon.start();
      await answered('remember', 'I heard: words one, remember', { root_id: first.id });
      assert.equal((await notes()).filter((n) => n.startsWith(`${way} `)).length, 1);
      assert.deepEqual(answers(first), ['one', 'I heard: words one, remember']);
    });
  }

  test('kill -9 in the middle of a turn: exactly one answer', async (t) => {
    const { daemon, touch, noted } = await start(t);
    const first = await answered('words one', 'one');
    const { post } = await ask('wait key', { root_id: first.id });
    await noted((n) => n === 'waits key');
    await daemon.program.kill('SIGKILL');
    await daemon.start();
    await noted((n) => n === 'waits key', 2);
    await touch('key');
    await says(post, 'seen key');
    await answered('words two', 'two', { root_id: first.id });
    assert.deepEqual(answers(first), ['one', 'seen key', 'two']);
  });

  test('a stop in the middle of a turn: the turn is given again', async (t) => {
    const { daemon, touch, noted } = await start(t);
    const { post } = await ask('wait bell');
    await noted((n) => n === 'waits bell');
    await daemon.stop();
    await noted((n) => n === 'cancel');
    await daemon.start();
    await noted((n) => n === 'waits bell', 2);
    await touch('bell');
    await says(post, 'seen bell');
    assert.deepEqual(answers(post), ['seen bell']);
  });
});

describe('limits and permissions', () => {
  for (const [approval, outcome] of [['reject', 'selected no'], ['approve', 'selected yes']]) {
    test(`approval: ${approval}`, async (t) => {
      await start(t, {}, { approval });
      await answered('permission', `outcome: ${outcome}`);
    });
  }
  test('a turn that takes too long is cancelled, and the session goes on', async (t) => {
    const { daemon, noted } = await start(t, {}, { timeout: '10s' });
    await answered('words up', 'up'); // the agent runs
    const { post } = await ask('wait for-ever');
    await noted((n) => n === 'waits for-ever');
    await noted((n) => n === 'cancel');
    await daemon.logged('the handler took too long');
    await answered('words on', 'on', { root_id: post.id });
  });

  // The post that asks, and what becomes of it.
  const question = (post) => ann.hears((p) => p.user_id === bot.id && p.root_id === post.id && /Permission needed/.test(p.message), 'the question');
  const edited = (post, test) => ann.events.find((e) => e.event === 'post_edited' && e.data.post.id === post.id && test.test(e.data.post.message), `${test}`);

  test('approval: ask, answered by a reaction and by a reply; the outcome is written into the post', async (t) => {
    await start(t, {}, { approval: 'ask' });
    const { post } = await ask('permission');
    const asked = await question(post);
    assert.match(asked.message, /Delete the build folder[^]*rm -r build/);
    await ann.rest.addReaction(ann.user.id, asked.id, 'white_check_mark');
    await says(post, 'outcome: selected yes');
    await edited(asked, /Allow\*\* by @/);

    const { post: second } = await ask('permission');
    const again = await question(second);
    await ann.post(world.channel, 'reject', { root_id: second.id });
    await says(second, 'outcome: selected no');
    await edited(again, /Reject\*\* by @/);
  });

  test('approval: ask, decided before the server has told the bot of its own post', sandboxOnly, async (t) => {
    await start(t, {}, { approval: 'ask' });
    await server.control('/rules', { method: 'POST', path: '/api/v4/posts', skip: 1, action: 'store_fail', status: 503, retry_after: 3 });
    const { post } = await ask('permission');
    const asked = await question(post);
    await ann.rest.addReaction(ann.user.id, asked.id, 'white_check_mark');
    await says(post, 'outcome: selected yes');
    await edited(asked, /Allow\*\* by @/);
  });

  test('approval: ask, and only those who may trigger the agent decide', async (t) => {
    const { notes } = await start(t, {}, { approval: 'ask' }, { allowed_users: [`@${ann.user.username}`] });
    const { post } = await ask('permission');
    const asked = await question(post);
    await bob.rest.addReaction(bob.user.id, asked.id, 'white_check_mark');
    await bob.post(world.channel, 'allow', { root_id: post.id });
    await ann.post(world.channel, 'reject', { root_id: post.id });
    await says(post, 'outcome: selected no');
    await edited(asked, new RegExp(`Reject\\*\\* by @${ann.user.username}`));
    assert.deepEqual((await notes()).filter((n) => n.startsWith('outcome')), ['outcome selected no']);
  });

  test('approval: ask, and nobody decides: rejected', async (t) => {
    await start(t, {}, { approval: 'ask', approval_timeout: '1s' });
    const { post } = await ask('permission');
    const asked = await question(post);
    await says(post, 'outcome: selected no');
    await edited(asked, /Rejected/);
  });

  test('stop: the open permissions and the turn are cancelled, one asked afterwards at once', async (t) => {
    const { daemon, noted, notes } = await start(t, {}, { approval: 'ask' });
    const { post } = await ask('permissions');
    const questions = () => ann.events.items.filter((e) => e.event === 'posted' && e.data.post.root_id === post.id && /Permission/.test(e.data.post.message));
    await ann.events.count(2, (e) => questions().includes(e), 'two questions');
    await stop(post);
    await noted((n) => n === 'cancel');
    await noted((n) => n === 'asked all');
    await daemon.logged('the answer was stopped by a person');
    const asked = questions().map((e) => e.data.post);
    for (const q of asked) await edited(q, /Not decided/);
    // Too late.
    for (const q of asked) await ann.rest.addReaction(ann.user.id, q.id, 'white_check_mark');
    await answered('words on', 'on', { root_id: post.id });
    assert.deepEqual((await notes()).filter((n) => n.startsWith('outcome')), Array(3).fill('outcome cancelled '));
    assert.equal(questions().length, 2);
  });
});

describe('agents that do not heed a cancel', () => {
  test('the turn ends, the next one gets the agent started again with its session', async (t) => {
    const { daemon, noted, notes } = await start(t);
    const first = await answered('words one', 'one');
    await ask('deaf ear', { root_id: first.id });
    await noted((n) => n === 'deaf ear');
    await stop(first);
    await daemon.logged('the answer was stopped by a person');
    await ask('remember', { root_id: first.id });
    await says(first, 'I heard: words one, remember');
    assert.equal((await notes()).filter((n) => n.startsWith('start ')).length, 2);
    assert.equal((await notes()).filter((n) => n.startsWith('load ')).length, 1);
    assert.deepEqual(answers(first), ['one', 'Stopped.', 'I heard: words one, remember']);
  });

  test('... or a new session, when others are being answered; what the old one says then is not shown', async (t) => {
    const { daemon, noted, notes, touch } = await start(t);
    const { post: other } = await ask('wait lock');
    await noted((n) => n === 'waits lock');
    const { post } = await ask('deaf bat');
    await noted((n) => n === 'deaf bat');
    await stop(post);
    await daemon.logged('the answer was stopped by a person');
    await ask('remember', { root_id: post.id });
    await says(post, 'I heard: remember');
    await daemon.logged('an agent\'s session could not be continued, so a new one begins',
      (e) => e.reason === 'the agent did not heed session/cancel');
    await touch('bat');
    await noted((n) => n === 'spoke bat');
    await touch('lock');
    await says(other, 'seen lock');
    await answered('words on', 'on', { root_id: post.id });
    assert.deepEqual(answers(post), ['Stopped.', 'I heard: remember', 'on']);
    assert.deepEqual(answers(other), ['seen lock']);
    assert.equal((await notes()).filter((n) => n.startsWith('start ')).length, 1);
  });

  test('an answer to a stopped turn is not posted', async (t) => {
    const { daemon, noted } = await start(t, {}, { attempts: 3 });
    const { post } = await ask('stubborn');
    await noted((n) => n === 'stubborn');
    await stop(post);
    await daemon.logged('the answer was stopped by a person');
    await answered('words on', 'on', { root_id: post.id });
    assert.deepEqual(answers(post), ['Stopped.', 'on']);
  });

  test('an answer just behind the time-out counts, once', async (t) => {
    const { noted } = await start(t, {}, { timeout: '10s' });
    await answered('words up', 'up'); // the agent runs
    const { post } = await ask('stubborn');
    await noted((n) => n === 'stubborn');
    await says(post, 'done anyway');
    await answered('words on', 'on', { root_id: post.id });
    assert.deepEqual(answers(post), ['done anyway', 'on']);
  });
});
