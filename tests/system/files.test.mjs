// Files by the command line: upload, download, and from where they may be sent.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

const MiB = 1024 * 1024;
let server, world, ann, daemon;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ann = world.ann;
  await ann.listen();
  daemon = await Daemon.start({ bots: [botConfig(world)] });
});

after(async () => {
  await daemon?.close();
  await world?.close();
  await server?.close();
});

async function ok(d, ...args) {
  const result = await d.cli(...args);
  assert.equal(result.code, 0, result.stderr);
  return result.json;
}

async function fails(d, pattern, ...args) {
  const result = await d.cli(...args);
  assert.equal(result.code, 1, `${result.stdout}${result.stderr}`);
  assert.match(result.stderr, pattern);
}

async function file(name, content) {
  const full = path.join(daemon.folder, name);
  await mkdir(path.dirname(full), { recursive: true });
  await writeFile(full, content);
  return full;
}

// A post of ann's with these files: {name: content}.
async function postWith(files) {
  const ids = [];
  for (const [name, content] of files) ids.push(await ann.upload(world.channel, name, content));
  return ann.post(world.channel, 'with files', { file_ids: ids });
}

describe('upload and download', () => {
  test('a small and a large file come back as they were', async () => {
    const small = randomBytes(1000), large = randomBytes(12 * MiB + 123);
    const up = await ok(
      daemon, 'upload', await file('small.bin', small), await file('large.bin', large), '--channel', world.channel.name,
    );
    assert.deepEqual(up.map((u) => [u.name, u.size]), [['small.bin', small.length], ['large.bin', large.length]]);
    const folder = path.join(daemon.folder, 'back');
    await mkdir(folder);
    for (const [i, content] of [small, large].entries()) {
      const [got] = await ok(daemon, 'download', up[i].file_id, '--to', folder);
      assert.equal(got.path, path.join(folder, up[i].name));
      assert.ok(content.equals(await readFile(got.path)));
      assert.equal((await stat(got.path)).mode & 0o777, 0o600);
    }
    assert.deepEqual((await readdir(folder)).sort(), ['large.bin', 'small.bin']);
  });

  test('send --file posts a large file, too', async () => {
    const sent = await ok(daemon, 'send', '--channel', world.channel.id, '--file', await file('big.bin', randomBytes(6 * MiB)));
    const post = await ann.hears((p) => p.id === sent.post_id);
    assert.equal(post.file_ids.length, 1);
  });

  test('a broken connection does not begin an upload anew', sandboxOnly, async () => {
    const content = randomBytes(11 * MiB);
    await server.control('/rules', { action: 'abort', method: 'POST', path: '/api/v4/uploads/', count: 1, skip: 1 });
    const before = await server.control('/state');
    const [up] = await ok(daemon, 'upload', await file('broken.bin', content), '--channel', world.channel.id);
    const routes = (await server.control('/state')).routes;
    assert.equal(routes['POST /api/v4/uploads'] - (before.routes['POST /api/v4/uploads'] ?? 0), 1);
    const [got] = await ok(daemon, 'download', up.file_id, '--to', daemon.folder, '--force');
    assert.ok(content.equals(await readFile(got.path)));
  });

  test('a download goes on behind the part that is there', sandboxOnly, async () => {
    const content = randomBytes(11 * MiB);
    const [up] = await ok(daemon, 'upload', await file('part.bin', content), '--channel', world.channel.id);
    const folder = path.join(daemon.folder, 'parts');
    await mkdir(folder);
    // Its info and the first piece get through.
    await server.control('/rules', { action: 'fail', method: 'GET', path: `/api/v4/files/${up.file_id}`, status: 400, count: 1, skip: 2 });
    await fails(daemon, /./, 'download', up.file_id, '--to', folder);
    assert.deepEqual(await readdir(folder), [`.${up.file_id}.part`]);
    await truncate(path.join(folder, `.${up.file_id}.part`), 3 * MiB);
    const count = async () => (await server.control('/state')).routes['GET /api/v4/files/{file_id}'];
    const before = await count();
    const [got] = await ok(daemon, 'download', up.file_id, '--to', folder);
    assert.ok(content.equals(await readFile(got.path)));
    assert.equal((await count()) - before, 2);
  });

  test('all files of a post, with safe and different names; nothing is overwritten without --force', async () => {
    const folder = path.join(daemon.folder, 'post');
    await mkdir(folder);
    const post = await postWith([['a.txt', 'one'], ['a.txt', 'two'], ['.hidden', 'three']]);
    const got = await ok(daemon, 'download', `${server.url}/${world.team.name}/pl/${post.id}`, '--to', folder);
    assert.deepEqual(got.map((f) => path.relative(folder, f.path)).sort(), ['a-2.txt', 'a.txt', 'hidden']);
    await writeFile(path.join(folder, 'a.txt'), 'mine');
    await fails(daemon, /a\.txt is there already: nothing was downloaded; --force/, 'download', post.id, '--to', folder);
    assert.equal(await readFile(path.join(folder, 'a.txt'), 'utf8'), 'mine');
    await ok(daemon, 'download', post.id, '--to', folder, '--force');
    assert.notEqual(await readFile(path.join(folder, 'a.txt'), 'utf8'), 'mine');
  });

  test('sentences', async () => {
    const bare = await ann.post(world.channel, 'no files');
    await fails(daemon, /has no files/, 'download', bare.id, '--to', daemon.folder);
    await fails(daemon, /no post and no file/, 'download', 'y'.repeat(26), '--to', daemon.folder);
    await fails(daemon, /cannot use the folder/, 'download', bare.id, '--to', path.join(daemon.folder, 'nowhere'));
    await fails(daemon, /not a file with content/, 'upload', await file('empty', ''), '--channel', world.channel.id);
    await fails(daemon, /not a file with content/, 'upload', daemon.folder, '--channel', world.channel.id);
    await fails(daemon, /cannot read the file/, 'upload', path.join(daemon.folder, 'missing'), '--channel', world.channel.id);
    const huge = await file('huge', 'x');
    await truncate(huge, 2 ** 40);
    await fails(daemon, /more than the \d+ that the server takes/, 'upload', huge, '--channel', world.channel.id);
  });
});

describe('what may be sent', () => {
  test("without attach_roots: anything but the daemon's own files", async () => {
    for (const own of ['config.yaml', 'state.db']) {
      await fails(daemon, /belongs to the daemon itself/, 'upload', path.join(daemon.folder, own), '--channel', world.channel.id);
    }
    await fails(daemon, /belongs to the daemon itself/, 'send', '--channel', world.channel.id, '--file', daemon.configPath);
  });

  test('with attach_roots: only from there, links resolved', async (t) => {
    const narrow = await Daemon.prepare({ bots: [botConfig(world)], daemon: { attach_roots: ['out'] } });
    t.after(() => narrow.close());
    await mkdir(path.join(narrow.folder, 'out/deep'), { recursive: true });
    await mkdir(path.join(narrow.folder, 'outside'));
    const at = (name) => path.join(narrow.folder, name);
    await writeFile(at('out/deep/good.txt'), 'good');
    await writeFile(at('outside/secret.txt'), 'secret');
    await symlink(at('outside/secret.txt'), at('out/link.txt'));
    await symlink(at('out'), at('alias'));
    await narrow.start();
    const channel = ['--channel', world.channel.id];
    await ok(narrow, 'upload', at('out/deep/good.txt'), ...channel);
    await ok(narrow, 'upload', at('alias/deep/good.txt'), ...channel);
    await ok(narrow, 'send', ...channel, '--file', at('out/deep/good.txt'));
    for (const name of ['outside/secret.txt', 'out/link.txt', 'out/../outside/secret.txt']) {
      await fails(narrow, /none of the folders of daemon\.attach_roots/, 'upload', at(name), ...channel);
      await fails(narrow, /none of the folders of daemon\.attach_roots/, 'send', ...channel, '--file', at(name));
    }
    // Past the command line, which resolves links itself.
    await fails(narrow, /attach_roots, but at /, 'rpc', 'upload', JSON.stringify({ channel: world.channel.id, file: at('out/link.txt') }));
  });
});
