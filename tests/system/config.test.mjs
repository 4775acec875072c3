// `config`: changes of a file that a person wrote leave everything else as it is.
import assert from 'node:assert/strict';
import { lstat, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { matterwire, run } from '../lib/program.mjs';

const text = `# Our bots. Ask Alice before you change anything.
bots:
  # the first one
  - name: support   # its name
    endpoint: "https://chat.example.com"
    bot_token_file: token
    channels:          # where it listens
      - town-square
      - help   # people ask here

    mention_only: true
  # the second one
  - name: dev.ops
    endpoint: https://chat.example.com
    bot_token: $PATH
    channels: [ops/alerts, "a # b"]  # two

# how it answers
handlers:
  echo:
    type: command
    command: [cat]
    env: { API_KEY: secret-value }
`;
let folder, file;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-config-'));
  file = path.join(folder, 'config.yaml');
  await writeFile(path.join(folder, 'token'), 'secret-token\n', { mode: 0o600 });
});

after(() => rm(folder, { recursive: true, force: true }));

const config = (...args) => run(matterwire, ['--config', file, 'config', ...args], { cwd: folder });

// Runs `config ...args` on the file above (or `from`) and compares the outcome line by line.
async function changes(args, edit, from = text) {
  await writeFile(file, from);
  const result = await config(...args);
  assert.equal(result.code, 0, result.stderr);
  const to = await readFile(file, 'utf8');
  assert.equal(to, edit(from));
  assert.notEqual(to, from);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
}

async function refuses(args, pattern, from = text) {
  await writeFile(file, from);
  const result = await config(...args);
  assert.equal(result.code, 2, result.stdout + result.stderr);
  assert.match(result.stderr, pattern);
  assert.equal(await readFile(file, 'utf8'), from);
}

describe('config set', () => {
  test('replaces a value and keeps what is around it', async () => {
    await changes(['set', 'bots.support.endpoint', 'https://other.example.com'],
      (t) => t.replace('"https://chat.example.com"', 'https://other.example.com'));
    await changes(['set', 'bots.support.mention_only', 'false'], (t) => t.replace('mention_only: true', 'mention_only: false'));
    await changes(['set', 'bots.dev.ops.channels', '[one, two]'], (t) => t.replace('[ops/alerts, "a # b"]', '[one, two]'));
    await changes(['set', 'bots.support.name', 'help-desk'], (t) => t.replace('name: support ', 'name: help-desk '));
    await changes(['set', 'handlers.echo.type', 'command'], (t) => t.replace("'command'", 'command'),
      text.replace('type: command', "type: 'command'"));
  });

  test('JSON is YAML: values are replaced, new keys are left to an editor', async () => {
    const json = JSON.stringify({
      bots: [{ name: 'a', endpoint: 'https://x.example.com', bot_token_file: 'token' }], daemon: { log_level: 'info' },
    });
    await changes(['set', 'daemon.log_level', 'debug'], (t) => t.replace('"log_level":"info"', '"log_level": debug'), json);
    await refuses(['set', 'bots.a.team', 'x'], /written in braces: add `team`/, json);
    await refuses(['remove-bot', 'a'], /not written in lines/, json);
  });

  test('a list in lines becomes the new value', async () => {
    await changes(['set', 'bots.support.channels', '[a]'],
      (t) => t.replace('      - town-square\n      - help   # people ask here\n', '      - a\n'));
    await changes(['set', 'bots.support.channels', '[help, ops/alerts]'],
      (t) => t.replace('      - town-square\n', '').replace('ask here\n', 'ask here\n      - ops/alerts\n'));
  });

  test('adds a key behind the last one of its section', async () => {
    await changes(['set', 'bots.support.team', 'ops'], (t) => t.replace('mention_only: true\n', 'mention_only: true\n    team: ops\n'));
    await changes(['set', 'handlers.echo.timeout', '10s'], (t) => `${t}    timeout: 10s\n`);
    await changes(['set', 'daemon.log_level', 'debug'], (t) => `${t}\ndaemon:\n  log_level: debug\n`);
    await changes(['set', 'daemon.log_level', 'debug'], (t) => `${t}\n\ndaemon:\n  log_level: debug\n`, text.trimEnd());
  });

  test('text that YAML would take for something else is quoted', async () => {
    await changes(['set', 'bots.support.allowed_users', '@alice'], (t) => t.replace('mention_only: true\n', 'mention_only: true\n    allowed_users: "@alice"\n'));
    await changes(['set', 'bots.support.allowed_users', '*'], (t) => t.replace('mention_only: true\n', 'mention_only: true\n    allowed_users: "*"\n'));
  });

  test('a change that would lose a comment is refused', async () => {
    await refuses(['set', 'bots.support.channels', '[other, help]'], /comments that would be lost/);
  });

  test('what would be a mistake is refused, and the file stays', async () => {
    await refuses(['set', 'bots.support.mention_only', 'perhaps'], /:11:19: .*mention_only.*\n.*nothing was changed: the file would have 1 mistake/);
    await refuses(['set', 'bots.support.chanels', '[x]'], /did you mean/);
    await refuses(['set', 'bots.nobody.team', 'x'], /no bot "nobody.team"; it has support, dev\.ops/);
    await refuses(['set', 'log_level', 'debug'], /daemon\.KEY, bots\.NAME\.KEY/);
    await refuses(['set', 'bots.support'], /use it so: matterwire config set KEY VALUE/);
    await refuses(['sett', 'a', 'b'], /did you mean "set"/);
  });

  test('--dry-run shows the lines and changes nothing', async () => {
    await writeFile(file, text);
    const result = await config('set', 'bots.support.mention_only', 'false', '--dry-run');
    assert.equal(result.code, 0, result.stderr);
    assert.match(result.stdout, /^-    mention_only: true\n\+    mention_only: false\n/m);
    assert.equal(await readFile(file, 'utf8'), text);
  });

  test('a link stays a link, and nothing is left beside the file', async () => {
    await writeFile(file, text);
    const link = path.join(folder, 'link.yaml');
    await symlink(file, link);
    const result = await run(matterwire, ['--config', link, 'config', 'set', 'daemon.log_level', 'debug'], { cwd: folder });
    assert.equal(result.code, 0, result.stderr);
    assert.ok((await lstat(link)).isSymbolicLink());
    assert.match(await readFile(file, 'utf8'), /log_level: debug/);
    assert.deepEqual((await readdir(folder)).sort(), ['config.yaml', 'link.yaml', 'token']);
  });
});

describe('bots', () => {
  const bot = ['add-bot', 'third', '--endpoint', 'https://chat.example.com', '--token-file', 'token'];
  const lines = '  - name: third\n    endpoint: https://chat.example.com\n    bot_token_file: token\n';

  test('add-bot puts it behind the last one', async () => {
    await changes(bot, (t) => t.replace('"a # b"]  # two\n', `"a # b"]  # two\n${lines}`));
    await changes([...bot, '--team', 'ops'], (t) => t.replace('# two\n', `# two\n${lines}    team: ops\n`));
  });

  test('add-bot makes the file', async () => {
    await rm(file, { force: true });
    const result = await config(...bot);
    assert.equal(result.code, 0, result.stderr);
    assert.equal(await readFile(file, 'utf8'), `bots:\n${lines}`);
    await changes(bot, (t) => `${t}\nbots:\n${lines}`, '# only a comment\n');
  });

  test('add-bot twice and without a token is refused', async () => {
    await refuses(['add-bot', 'support', '--endpoint', 'https://x.example.com', '--token-file', 'token'], /two bots are called "support"/);
    await refuses(['add-bot', 'x', '--endpoint', 'https://x.example.com'], /--token-file FILE/);
  });

  test('remove-bot takes its lines and no comment of another one', async () => {
    await changes(['remove-bot', 'dev.ops'], (t) => t.replace(/ {2}- name: dev[^]*# two\n/, ''));
    await changes(['remove-bot', 'support'], (t) => t.replace(/ {2}- name: support[^]*mention_only: true\n/, ''));
    await refuses(['remove-bot', 'dev'], /no bot "dev"; it has support, dev\.ops/);
  });

  test('list shows all but secrets', async () => {
    await writeFile(file, text.replace('bot_token: $PATH', 'bot_token: very-secret'));
    const result = await config('list');
    assert.equal(result.code, 0, result.stderr);
    assert.ok(!/very-secret|secret-value/.test(result.stdout), result.stdout);
    const value = (key) => result.json.find((item) => item.key === key);
    assert.deepEqual(value('bots.support.endpoint'), { key: 'bots.support.endpoint', value: 'https://chat.example.com', line: 5 });
    assert.equal(value('bots.dev.ops.bot_token').value, null);
    assert.equal(value('handlers.echo.command').value, '[cat]');
  });
});
