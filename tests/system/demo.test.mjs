// script/demo: each type of handler answers, unattended, and nothing of it is left.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { within } from '../lib/client.mjs';
import { build, root, run } from '../lib/program.mjs';
import { sandboxOnly } from '../lib/server.mjs';

const answers = {
  command: /^helper {2}I know:$/m,
  process: /^helper {2}I know:$/m,
  acp: /^helper {2}In turn 1 you said: Hello, agent/m,
  chat: /^helper {2}The tool says: \S/m,
  http: /^helper {2}\*\*anna\*\* wrote 5 words in `town-square`\.$/m,
  lua: /^helper {2}Hello @anna, nice to meet you!$/m,
};

// Processes that were started with this folder for temporary files, or run in it.
async function processesOf(folder) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const isOurs = async (pid) => {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    return environment.split('\0').includes(`TMPDIR=${folder}`) || cwd.startsWith(folder);
  };
  const ours = await Promise.all(pids.map(isOurs));
  return pids.filter((_, i) => ours[i]);
}

async function demo(t, args, { env = {} } = {}) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-demo-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  // The demo ends its reader by a signal to the whole group, and that may come while the sanitizers look for leaks at its exit,
  // in a child of their own: then neither ever ends. Other tests look for leaks.
  const ours = { MATTERWIRE_BUILD: build, TMPDIR: folder, ASAN_OPTIONS: 'detect_leaks=0' };
  const ended = await run(path.join(root, 'script/demo'), args, { env: { ...env, ...ours } });
  assert.deepEqual(await readdir(folder), [], 'files are left');
  // What was killed last may take a moment to go.
  const gone = async () => {
    while ((await processesOf(folder)).length) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await within(gone(), 'the processes of the demo to end');
  return ended;
}

for (const [name, answer] of Object.entries(answers)) {
  test(`${name} answers`, sandboxOnly, async (t) => {
    const { code, stdout, stderr } = await demo(t, ['--once', '--with', name]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, answer);
    assert.match(stdout, /^ +\(in the thread of anna's post \w{26}\)$/m);
  });
}

test('without a name it is a command', sandboxOnly, async (t) => {
  const { code, stdout, stderr } = await demo(t, ['--once']);
  assert.equal(code, 0, stderr);
  assert.match(stdout, answers.command);
});

test('a handler or a service that fails is a failure, and nothing is left', sandboxOnly, async (t) => {
  const bin = await mkdtemp(path.join(os.tmpdir(), 'matterwire-demo-bin-'));
  t.after(() => rm(bin, { recursive: true, force: true }));
  await writeFile(path.join(bin, 'python3'), '#!/bin/sh\necho "no snakes today" >&2\nexit 1\n');
  await chmod(path.join(bin, 'python3'), 0o755);
  const env = { PATH: `${bin}:${process.env.PATH}` };
  for (const [name, sentence] of [['process', /^The handler failed; the daemon's log is above\.$/m], ['http', /^The demo did not come up/m]]) {
    const { code, stdout, stderr } = await demo(t, ['--once', '--with', name], { env });
    assert.equal(code, 1, stdout);
    assert.match(stderr, sentence);
    assert.match(stderr, /no snakes today/);
  }
});

test('what it does not know is told with what there is', async (t) => {
  for (const args of [['--with', 'pigeon'], ['--with'], ['--twice']]) {
    const { code, stderr } = await demo(t, args);
    assert.equal(code, 2);
    assert.match(stderr, /^[^\n]+command\|process\|acp\|chat\|http\|lua\]\n$/);
  }
});
