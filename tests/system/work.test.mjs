// What waits and what was given up: lists, retry and drop by hand.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';

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

// A handler that fails for what has "poison" in its text, unless the file `mended` is there.
const moody = 'case "$MATTERWIRE_TEXT" in *poison*) [ -e mended ] || { echo "cannot digest it" >&2; exit 3; };; esac; echo "ate $MATTERWIRE_TEXT"';

async function start(t, more) {
  const daemon = await Daemon.start(
    { bots: [botConfig(world, bot, { handler: 'moody' })], handlers: { moody: { type: 'command', command: ['./moody'], ...more } } },
    { scripts: { moody } });
  t.after(() => daemon.close());
  return daemon;
}

const list = async (daemon, ...args) => {
  const { code, json, stderr } = await daemon.cli(...args, '--json');
  assert.equal(code, 0, stderr);
  return json;
};

describe('a poisoned event', () => {
  test('is tried as often as configured, set aside, listed, retried and dropped', async (t) => {
    const daemon = await start(t, { attempts: 4 });
    const poison = await ann.post(world.channel, 'poison 1');
    const next = await ann.post(world.channel, 'bread 1', { root_id: poison.id });
    await daemon.logged('the handler failed', (e) => e.attempt === 1);
    // Between two attempts, of which the pauses get longer.
    await eventually(async () => {
      const [waiting] = await list(daemon, 'events');
      assert.deepEqual([waiting?.text, waiting?.state], ['poison 1', 'waiting']);
    });
    // What follows in the thread waits for it.
    assert.equal((await ann.hears((p) => p.message === 'ate bread 1')).root_id, next.root_id);

    const [dead, ...others] = await list(daemon, 'events', '--dead');
    assert.deepEqual(others, []);
    assert.equal(dead.attempts, 4);
    assert.equal(dead.state, 'failed');
    assert.deepEqual([dead.bot, dead.handler, dead.user_name, dead.channel_id], ['helper', 'moody', ann.user.username, world.channel.id]);
    assert.match(dead.error, /cannot digest it/);
    assert.ok(Math.abs(Date.now() - dead.updated_at) < 600_000);
    const id = String(dead.id);
    assert.match((await daemon.cli('metrics')).stdout, /^matterwire_tasks\{bot="helper",state="failed"\} 1$/m);

    // Names that are unknown change nothing at all.
    const unknown = await daemon.cli('events', 'drop', id, '999999999');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no handler was given an event "999999999"; nothing was changed/);
    assert.equal((await list(daemon, 'events', '--dead')).length, 1);
    assert.equal((await daemon.cli('events', 'forget', id)).code, 2);

    const items = async (...args) => (await list(daemon, 'events', ...args)).items[0];
    assert.equal((await items('drop', id)).changed, true);
    assert.deepEqual(await list(daemon, 'events', '--dead'), []);
    const again = await items('drop', id);
    assert.deepEqual([again.changed, again.state, again.message], [false, 'dropped', 'was dropped already']);
    await daemon.stop();
    await daemon.start();
    assert.equal((await list(daemon, 'events', '--all')).find((e) => e.id === dead.id).state, 'dropped');

    await writeFile(path.join(daemon.folder, 'mended'), '');
    assert.equal((await items('retry', id)).message, 'was dropped and is tried again');
    const answer = await ann.hears((p) => p.message === 'ate poison 1');
    assert.equal(answer.root_id, poison.id);
    const done = await items('retry', id);
    assert.deepEqual([done.changed, done.state], [false, 'done']);
    await rm(path.join(daemon.folder, 'mended'));
  });

  test('keeps its place in the queue of attempts over a kill -9', async (t) => {
    const daemon = await start(t, { attempts: 6 });
    await ann.post(world.channel, 'poison 2');
    await daemon.logged('the handler failed', (e) => e.attempt === 1);
    // The failure is committed when the next list tells of it.
    await eventually(async () => assert.ok((await list(daemon, 'events'))[0].next_at));
    await daemon.program.stop('SIGKILL');
    await writeFile(path.join(daemon.folder, 'mended'), '');
    await daemon.start();
    await ann.hears((p) => p.message === 'ate poison 2');
    assert.deepEqual(await list(daemon, 'events', '--dead'), []);
  });

  test('with one attempt is set aside at once', async (t) => {
    const daemon = await start(t);
    await ann.post(world.channel, 'poison 3');
    await daemon.logged('the handler failed');
    const marker = await ann.post(world.channel, 'bread 3');
    await ann.hearsAnswer(bot, marker);
    const [dead] = await list(daemon, 'events', '--dead');
    assert.equal(dead.attempts, 1);
  });
});

describe('the outbox', () => {
  const refuse = (times) => server.control('/rules', {
    action: 'fail', method: 'POST', path: '/api/v4/posts', status: 403, count: times,
    body: JSON.stringify({ id: 'api.context.permissions.app_error', message: 'No.', status_code: 403 }),
  });

  test('what the server refused is listed, retried under its key, dropped', sandboxOnly, async (t) => {
    const daemon = await start(t);
    t.after(() => server.control('/rules/clear', {}));
    await refuse(2);
    for (const key of ['k1', 'k2']) {
      assert.equal((await daemon.cli('send', '--channel', world.channel.id, '--text', `text of ${key}`, '--key', key)).code, 1);
    }
    assert.deepEqual(await list(daemon, 'outbox'), []);
    const failed = await list(daemon, 'outbox', '--failed');
    assert.deepEqual(failed.map((r) => [r.key, r.kind, r.state, r.channel_id, r.attempts, r.text]), [
      ['k1', 'post', 'failed', world.channel.id, 1, 'text of k1'], ['k2', 'post', 'failed', world.channel.id, 1, 'text of k2'],
    ]);
    assert.match(failed[0].error, /403/);
    const unknown = await daemon.cli('outbox', 'retry', 'k1', 'k9');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /nothing with the key or number "k9"; nothing was changed/);

    // A key, and a number.
    const { items } = await list(daemon, 'outbox', 'retry', 'k1', 'k1');
    assert.deepEqual(items.map((i) => i.changed), [true, false]);
    await ann.hears((p) => p.message === 'text of k1');
    assert.equal((await list(daemon, 'outbox', 'drop', String(failed[1].id))).items[0].changed, true);
    assert.deepEqual(await list(daemon, 'outbox', '--failed'), []);
    const all = Object.fromEntries((await list(daemon, 'outbox', '--all')).map((r) => [r.key, r]));
    assert.equal(all.k2.state, 'dropped');
    // The key still stands for the message that was dropped.
    const same = await daemon.cli('send', '--channel', world.channel.id, '--text', 'text of k2', '--key', 'k2');
    assert.equal(same.code, 1);
    assert.equal((await list(daemon, 'outbox', 'retry', 'k2')).items[0].message, 'was dropped and is tried again');
    await ann.hears((p) => p.message === 'text of k2');
    await ann.hearsAnswer(bot, await ann.post(world.channel, 'marker'));
    assert.equal(ann.events.items.filter((e) => /^text of k/.test(e.data?.post?.message)).length, 2);
  });

  test('what waits is listed and can be dropped; the rest of its conversation goes on', sandboxOnly, async (t) => {
    const daemon = await start(t);
    t.after(() => server.control('/rules/clear', {}));
    const rule = await server.control('/rules', { action: 'fail', method: 'POST', path: '/api/v4/posts', status: 502, count: -1 });
    const sent = ['w1', 'w2', 'w3'].map((key) =>
      daemon.cli('send', '--channel', world.channel.id, '--text', `text of ${key}`, '--key', key, '--wait', '60s'));
    await server.control(`/wait?rule=${rule.id}&hits=1`);
    let rows;
    await eventually(async () => {
      rows = await list(daemon, 'outbox');
      assert.equal(rows.length, 3);
    });
    const behind = rows[2].key;
    assert.equal((await list(daemon, 'outbox', 'drop', behind)).items[0].message, 'is dropped, it was not sent');
    const dropped = await sent[Number(behind[1]) - 1];
    assert.equal(dropped.code, 1);
    assert.match(dropped.stderr, /somebody dropped it/);
    await server.control('/rules/clear', {});
    assert.equal((await list(daemon, 'outbox', 'retry', rows[0].key)).items[0].changed, false);
    for (const row of rows.slice(0, 2)) assert.equal((await sent[Number(row.key[1]) - 1]).code, 0);
    await eventually(async () => assert.deepEqual(await list(daemon, 'outbox'), []));
    await ann.hearsAnswer(bot, await ann.post(world.channel, 'marker'));
    assert.ok(!ann.events.items.some((e) => e.data?.post?.message === `text of ${behind}`));
  });

  test('what waits for longer than report_after is said once, shown while it lasts, and sent in the end', sandboxOnly, async (t) => {
    const daemon = await Daemon.start({ bots: [botConfig(world, bot, { report_after: '1s' })] });
    t.after(() => daemon.close());
    t.after(() => server.control('/rules/clear', {}));
    await server.control('/rules', { action: 'fail', method: 'POST', path: '/api/v4/posts', status: 502, count: -1 });
    const sent = daemon.cli('send', '--channel', world.channel.id, '--text', 'late', '--wait', '60s');
    const said = 'messages could not be sent for longer than report_after';
    const entry = await daemon.logged(said);
    assert.equal(entry.bot, 'helper');
    assert.equal(entry.messages, 1);
    assert.match(entry.reason, /502/);
    const { outbox } = (await list(daemon, 'status')).bots[0];
    assert.equal(outbox.overdue, 1);
    assert.equal(outbox.overdue_since, entry.oldest_at);
    const [row] = await list(daemon, 'outbox');
    await server.control('/rules/clear', {});
    await list(daemon, 'outbox', 'retry', row.key); // or it went by itself meanwhile: that is fine, too
    assert.equal((await sent).code, 0);
    await daemon.logged('no message is overdue any more');
    assert.equal(daemon.program.text.stderr.split('\n').filter((l) => l.includes(said)).length, 1);
    await ann.hears((p) => p.message === 'late');
  });
});
