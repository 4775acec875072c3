// Files that people post, on the daemon's disk: before a handler starts, on demand, within the quota.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, readdir, stat, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Rpc } from '../lib/rpc.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

const MiB = 1024 * 1024;
let server, world, ann;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

async function upload(channel, name, content) {
  const response = await fetch(`${server.url}/api/v4/files?channel_id=${channel.id}&filename=${encodeURIComponent(name)}`, {
    method: 'POST', body: content, headers: { Authorization: `Bearer ${ann.rest.getToken()}` },
  });
  assert.ok(response.ok, await response.clone().text());
  return (await response.json()).file_infos[0].id;
}

async function postWith(channel, text, files) {
  const ids = [];
  for (const [name, content] of files) ids.push(await upload(channel, name, content));
  return ann.post(channel, text, { file_ids: ids });
}

const scripts = {
  // The event, and the sizes of what MATTERWIRE_LOCAL_FILES names.
  show: 'cat >event.json; printf "%s" "$MATTERWIRE_LOCAL_FILES" | while read -r f || [ -n "$f" ]; do wc -c <"$f"; done; echo end',
};

async function start(t, files, more = {}) {
  const daemon = await Daemon.start({
    bots: [botConfig(world, world.bots[0], { handler: 'show', channels: [], ...more })],
    handlers: { show: { type: 'command', command: ['./show'] } },
    daemon: { files },
  }, { scripts });
  t.after(() => daemon.close());
  return daemon;
}

const event = async (daemon) => JSON.parse(await readFile(path.join(daemon.folder, 'event.json'), 'utf8'));
const status = async (daemon) => (await daemon.cli('status', '--json')).json.files;
const sha256 = (content) => createHash('sha256').update(content).digest('hex');
const place = (daemon, content) => path.join(daemon.folder, 'files', sha256(content).slice(0, 2), sha256(content).slice(2));
const answered = (post) => ann.hearsAnswer(world.bots[0], post);

describe('before a handler starts', () => {
  test('its files are there, each content once, for the owner only', async (t) => {
    const daemon = await start(t, { download: 'all' });
    const big = randomBytes(6 * MiB);
    const post = await postWith(world.channel, 'two and one', [['a.txt', 'one'], ['b c.txt', 'one'], ['big.bin', big]]);
    const answer = await answered(post);
    assert.ok(answer);
    const { files, local_files: local } = await event(daemon);
    assert.deepEqual(local.map((d) => d.id), files);
    assert.deepEqual(local.map((d) => [d.name, d.size]), [['a.txt', 3], ['b c.txt', 3], ['big.bin', big.length]]);
    assert.deepEqual(local.map((d) => d.path), [place(daemon, 'one'), place(daemon, 'one'), place(daemon, big)]);
    assert.match(local[0].mime, /^text\/plain/);
    assert.ok(big.equals(await readFile(local[2].path)));
    assert.equal((await stat(local[2].path)).mode & 0o777, 0o600);
    assert.equal((await stat(path.dirname(local[2].path))).mode & 0o777, 0o700);
    const now = await status(daemon);
    assert.deepEqual([now.files, now.bytes, now.fetched, now.failed], [2, 3 + big.length, 3, 0]);
    // What is there is not fetched again, not after a restart either.
    await daemon.stop();
    await daemon.start();
    await answered(await ann.post(world.channel, 'again', { file_ids: [] }));
    const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
    t.after(() => rpc.close());
    const got = await rpc.call('fetch', { file: files[2] });
    assert.deepEqual([got.path, got.name, got.size], [place(daemon, big), 'big.bin', big.length]);
    const later = await status(daemon);
    assert.deepEqual([later.files, later.bytes, later.fetched, later.hits], [2, 3 + big.length, 0, 1]);
  });

  test('the rule: mentioned means mentions and direct messages; none means none', async (t) => {
    const daemon = await start(t, { download: 'mentioned' });
    await answered(await postWith(world.channel, 'by the way', [['a.txt', 'not wanted']]));
    assert.equal((await event(daemon)).local_files, undefined);
    await answered(await postWith(world.channel, `@${world.bots[0].username} look`, [['a.txt', 'wanted']]));
    assert.equal((await event(daemon)).local_files[0].path, place(daemon, 'wanted'));
    const direct = await ann.rest.createDirectChannel([ann.user.id, world.bots[0].id]);
    const post = await postWith(direct, 'psst', [['a.txt', 'whispered']]);
    await ann.hears((p) => p.channel_id === direct.id && p.user_id === world.bots[0].id);
    assert.equal((await event(daemon)).post_id, post.id);
    assert.equal((await event(daemon)).local_files[0].path, place(daemon, 'whispered'));

    await daemon.configure({ ...daemon.config, daemon: { ...daemon.config.daemon, files: { download: 'none' } } });
    assert.equal((await daemon.cli('reload')).code, 0);
    await answered(await postWith(world.channel, `@${world.bots[0].username} look`, [['a.txt', 'not this time']]));
    assert.equal((await event(daemon)).local_files, undefined);
  });

  test('what is too large, of another type or does not come is told, and the handler runs', async (t) => {
    const daemon = await start(t, { download: 'all', max_size: '1 KiB', types: ['text/*', '.md'] });
    await answered(await postWith(world.channel, 'three', [['a.txt', 'fine'], ['big.txt', 'x'.repeat(2000)], ['p.png', 'no image']]));
    const { local_files: local } = await event(daemon);
    assert.equal(local[0].path, place(daemon, 'fine'));
    assert.match(local[1].problem, /2000 bytes.*max_size is 1024/);
    assert.match(local[2].problem, /image\/png is not among daemon\.files\.types/);
    const now = await status(daemon);
    assert.equal(now.failed, 2);
    assert.match(now.last_error, /max_size|types/);
  });

  test('a server that does not answer for a moment is asked again', sandboxOnly, async (t) => {
    const daemon = await start(t, { download: 'all' });
    t.after(() => server.control('/rules/clear', {}));
    const id = await upload(world.channel, 'late.txt', 'late');
    await server.control('/rules', { action: 'fail', method: 'GET', path: `/api/v4/files/${id}`, status: 503, count: 2 });
    await answered(await ann.post(world.channel, 'wait for it', { file_ids: [id] }));
    assert.equal((await event(daemon)).local_files[0].path, place(daemon, 'late'));
    assert.ok((await status(daemon)).failed >= 1);
  });

  test('killed while it downloads: the handler gets the whole file after the restart', sandboxOnly, async (t) => {
    const daemon = await start(t, { download: 'all' });
    t.after(() => server.control('/rules/clear', {}));
    const content = randomBytes(7 * MiB);
    const id = await upload(world.channel, 'kill.bin', content);
    // Its info and the first piece get through.
    const rule = await server.control('/rules', { action: 'hang', method: 'GET', path: `/api/v4/files/${id}`, count: 1, skip: 2 });
    const post = await ann.post(world.channel, 'kill', { file_ids: [id] });
    await server.control(`/wait?rule=${rule.id}&hits=1`);
    assert.notEqual((await readdir(path.join(daemon.folder, 'files/parts'))).length, 0);
    await daemon.program.stop('SIGKILL');
    await server.control('/rules/clear', {});
    await daemon.start();
    await answered(post);
    const [file] = (await event(daemon)).local_files;
    assert.equal(file.path, place(daemon, content));
    assert.ok(content.equals(await readFile(file.path)));
    assert.deepEqual(await readdir(path.join(daemon.folder, 'files/parts')), []);
  });
});

describe('the folder', () => {
  test('holds no more than the quota; the least recently used goes; what is gone is fetched again', async (t) => {
    const daemon = await start(t, { quota: '1 MiB' });
    const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
    t.after(() => rpc.close());
    const contents = [1, 2, 3].map(() => randomBytes(400 * 1024));
    const ids = [];
    for (const [i, content] of contents.entries()) ids.push((await postWith(world.channel, 'a file', [[`${i}.bin`, content]])).file_ids[0]);
    await rpc.call('fetch', { file: ids[0] });
    await rpc.call('fetch', { file: ids[1] });
    const then = Date.now(); // uses are told apart by their millisecond
    await eventually(() => assert.ok(Date.now() > then));
    await rpc.call('fetch', { file: ids[0] });
    await rpc.call('fetch', { file: ids[2] });
    await eventually(() => assert.rejects(stat(place(daemon, contents[1])), { code: 'ENOENT' }));
    await stat(place(daemon, contents[0]));
    let now = await status(daemon);
    assert.deepEqual([now.files, now.bytes, now.evicted, now.fetched, now.hits], [2, 800 * 1024, 1, 3, 1]);
    const back = await rpc.call('fetch', { file: ids[1] });
    assert.ok(contents[1].equals(await readFile(back.path)));
    await unlink(back.path);
    await rpc.call('fetch', { file: ids[1] });
    assert.ok(contents[1].equals(await readFile(back.path)));
    now = await status(daemon);
    assert.deepEqual([now.files, now.bytes, now.evicted], [2, 800 * 1024, 2]);
    const large = await postWith(world.channel, 'large', [['large.bin', randomBytes(2 * MiB)]]);
    await assert.rejects(rpc.call('fetch', { file: large.file_ids[0] }), /2097152 bytes, the quota of .* is 1048576/);
    await assert.rejects(rpc.call('fetch', { file: 'y'.repeat(26) }), /404/);
    // Before it is posted a file is its owner's only.
    await assert.rejects(rpc.call('fetch', { file: await upload(world.channel, 'own.txt', 'own') }), { code: -32002 });
    await assert.rejects(rpc.call('fetch', { file: '../../etc/passwd' }), /is not the id of a file/);
  });

  test('one fetch for all who ask at once', sandboxOnly, async (t) => {
    const daemon = await start(t, {});
    const rpc = await Rpc.connect(path.join(daemon.folder, 'socket'));
    t.after(() => rpc.close());
    const [id] = (await postWith(world.channel, 'once', [['once.txt', 'once']])).file_ids;
    const count = async () => (await server.control('/state')).routes['GET /api/v4/files/{file_id}'] ?? 0;
    const before = await count();
    rpc.socket.cork(); // the daemon gets all five before it does any of them
    const all = Array.from({ length: 5 }, () => rpc.call('fetch', { file: id }));
    rpc.socket.uncork();
    const got = await Promise.all(all);
    assert.deepEqual(new Set(got.map((g) => g.path)), new Set([place(daemon, 'once')]));
    assert.equal((await count()) - before, 1);
    assert.equal((await status(daemon)).joined, 4);
  });

  test('cannot be moved by a reload', async (t) => {
    const daemon = await start(t, {});
    await daemon.configure({ ...daemon.config, daemon: { ...daemon.config.daemon, files: { folder: 'elsewhere' } } });
    const reload = await daemon.cli('reload');
    assert.notEqual(reload.code, 0);
    assert.match(reload.stderr, /daemon\.files\.folder/);
  });
});
