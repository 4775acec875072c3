// What people put around the command line: completion in a shell, and programs of their own on the socket.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Program, matterwire, run } from '../lib/program.mjs';
import { Server, World } from '../lib/server.mjs';

const examples = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../examples');
let server, world, ann, bot, daemon;

before(async () => {
  server = await Server.open();
  world = await World.open(server);
  ({ ann, bot } = world);
  await ann.listen();
  daemon = await Daemon.start({ bots: [botConfig(world)] });
});

after(async () => {
  await daemon?.close();
  await world?.close();
  await server?.close();
});

describe('completion', () => {
  // What bash offers for the last of these words.
  async function complete(...words) {
    const script = `
      matterwire() { command "$MATTERWIRE" "$@"; }
      source <(matterwire completion bash)
      COMP_WORDS=(matterwire "$@"); COMP_CWORD=$#
      _matterwire; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { code, stdout, stderr } = await run('bash', ['-c', script, 'bash', ...words], {
      env: { MATTERWIRE: matterwire, MATTERWIRE_CONFIG: daemon.configPath }, cwd: daemon.folder,
    });
    assert.equal(code, 0, stderr);
    assert.equal(stderr, '');
    return stdout.trim().split('\n');
  }

  test('bash completes verbs, options, actions, values, files and bots', async () => {
    assert.deepEqual(await complete('hist'), ['history']);
    assert.deepEqual(await complete('help', 'unr'), ['unreact']);
    assert.deepEqual(await complete('send', '--cha'), ['--channel']);
    assert.deepEqual(await complete('--config', 'x', 'send', '--cha'), ['--channel']);
    assert.deepEqual(await complete('channel', 'to'), ['topic']);
    assert.deepEqual(await complete('completion', ''), ['bash', 'zsh', 'fish']);
    assert.deepEqual(await complete('sandbox', '--seed', 'd'), ['demo']);
    assert.deepEqual(await complete('upload', 'conf'), ['config.yaml']);
    assert.deepEqual(await complete('send', '--bot', ''), ['helper']);
  });

  test('each shell has one, another one is refused', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout } = await run(matterwire, ['completion', shell]);
      assert.equal(code, 0);
      assert.match(stdout, /channels/);
    }
    const { code, stdout, stderr } = await run(matterwire, ['completion', 'tcsh']);
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /no completion for "tcsh": there is bash, zsh and fish/);
  });
});

describe('examples on the socket', () => {
  test('rpc.py answers each ping once, also what was said while it did not run', async (t) => {
    const socket = path.join(daemon.folder, 'socket');
    let program = new Program(path.join(examples, 'rpc.py'), [socket]);
    t.after(() => program.kill('SIGKILL'));
    await program.line((l) => l === 'listening');
    const first = await ann.post(world.channel, 'ping');
    await ann.hears((p) => p.message === 'pong' && p.root_id === first.id);
    program.kill('SIGTERM');
    await program.ended;
    // What is said while it does not run is answered later.
    const second = await ann.post(world.channel, 'ping');
    await ann.post(world.channel, 'something else');
    program = new Program(path.join(examples, 'rpc.py'), [socket]);
    await ann.hears((p) => p.message === 'pong' && p.root_id === second.id);
    const third = await ann.post(world.channel, 'ping');
    await ann.hears((p) => p.message === 'pong' && p.root_id === third.id);
    const pongs = ann.events.items.filter((e) => e.data?.post?.message === 'pong' && e.data.post.user_id === bot.id);
    assert.deepEqual(pongs.map((e) => e.data.post.root_id), [first.id, second.id, third.id]);
  });

  test('rpc.sh posts any text and tells what became of it', async () => {
    const socket = path.join(daemon.folder, 'socket');
    const text = 'Say "hi"\tto C:\\temp\nand a second line';
    const sent = await run(path.join(examples, 'rpc.sh'), [world.channel.id, text, socket]);
    assert.equal(sent.code, 0, sent.stderr);
    const answer = JSON.parse(sent.stdout);
    assert.equal((await ann.hears((p) => p.message === text)).id, answer.result.post_id);
    const missing = await run(path.join(examples, 'rpc.sh'), ['no-such-channel', 'x', socket]);
    assert.equal(missing.code, 1);
    assert.equal(JSON.parse(missing.stdout).error.data.reason, 'not_found');
  });
});
