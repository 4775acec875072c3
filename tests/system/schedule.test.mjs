// Routes that act by time. The daemon's clock is set by libfaketime; it runs on from there.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { eventually } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World } from '../lib/server.mjs';

const library = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
const options = {
  skip: process.env.TSAN_OPTIONS ? 'ThreadSanitizer does not see the locks behind libfaketime'
    : !existsSync(library) && 'needs the package libfaketime',
  timeout: 400_000,
};
const hour = 3_600_000;

let server, world, ann, bot;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { bots: ['bot'] });
  ({ ann, bot } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

// A full hour near the present, as a schedule of every day, and a clock that can be set around it.
async function clockFor(t) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-clock-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'clock');
  const slot = Math.floor(Date.now() / hour) * hour;
  // In one step: an empty file would be the present.
  const set = async (at) => {
    await writeFile(`${file}.new`, `${at < Date.now() ? '-' : '+'}${Math.abs(at - Date.now()) / 1000}`);
    await rename(`${file}.new`, file);
  };
  await set(slot - hour / 2);
  return {
    slot, set,
    schedule: `0 ${new Date(slot).getUTCHours()} * * *`,
    env: {
      LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1', ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
    },
  };
}

async function daemonFor(t, clock, routes) {
  const common = { schedule: clock.schedule, timezone: 'UTC', channel: `${world.team.name}/${world.channel.name}` };
  const daemon = await Daemon.start({
    bots: [botConfig(world, bot, { handler: 'echo', routes: routes.map((route) => ({ ...common, ...route })) })],
    handlers: { echo: { type: 'command', command: ['./echo'] } },
  }, { scripts: { echo: 'printf "re: %s" "$MATTERWIRE_TEXT"' }, env: clock.env });
  t.after(() => daemon.close());
  return daemon;
}

// Sets the clock of a daemon that runs, and has it looked at: that is done when the next call is answered.
async function setClock(daemon, clock, at) {
  await clock.set(at);
  assert.equal((await daemon.cli('reload')).code, 0);
  return schedules(daemon);
}

const hears = (text) => ann.hears((p) => p.user_id === bot.id && p.message === text, `'${text}'`);

// A channel under another name until `appears`, so that everybody is in it before the daemon can find it.
async function hiddenChannel() {
  const channel = await world.newChannel();
  const name = `c${Math.random().toString(36).slice(2, 10)}`;
  return { id: channel.id, name, appears: () => server.admin.rest.patchChannel(channel.id, { name }) };
}

// What the bot has posted with this text, once everything before has been dealt with.
async function posted(text) {
  const marker = await ann.post(world.channel, `marker ${text} ${Math.random()}`);
  await ann.hearsAnswer(bot, marker);
  return ann.events.items.filter((e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.message === text);
}

const schedules = async (daemon) => Object.fromEntries((await daemon.cli('schedules', '--json')).json.map((s) => [s.route, s]));

describe('schedules', options, () => {
  test('a text is posted when the time comes, once, across restarts and clocks that are put back', async (t) => {
    const clock = await clockFor(t);
    const daemon = await daemonFor(t, clock, [{ name: 'tea', text: 'time for tea', missed: 'once' }]);
    let { tea } = await schedules(daemon);
    assert.equal(tea.next, clock.slot);
    assert.equal(tea.last, undefined);

    await setClock(daemon, clock, clock.slot - 1000);
    const post = await hears('time for tea');
    assert.equal(post.channel_id, world.channel.id);
    assert.equal(post.root_id, '');
    ({ tea } = await schedules(daemon));
    assert.equal(tea.last, clock.slot);
    assert.equal(tea.next, clock.slot + 24 * hour);

    await daemon.kill();
    await daemon.start();
    assert.equal((await posted('time for tea')).length, 1);

    // Put back by so much that it is believed: the time comes again, and the database has it already.
    assert.equal((await setClock(daemon, clock, clock.slot - 2 * hour)).tea.next, clock.slot);
    await setClock(daemon, clock, clock.slot - 1000);
    await daemon.logged('the time of a schedule has come');
    assert.equal((await posted('time for tea')).length, 1);
    const { events } = (await daemon.cli('history', '--kind', 'schedule', '--json')).json;
    assert.deepEqual(events.map((e) => [e.detail.route, e.at]), [['tea', clock.slot]]);
  });

  test('a prompt goes to the handler, and its answer into the channel', async (t) => {
    const clock = await clockFor(t);
    const daemon = await daemonFor(t, clock, [{ name: 'ask', prompt: 'what is new?', handler: 'echo' }]);
    await setClock(daemon, clock, clock.slot - 1000);
    const post = await hears('re: what is new?');
    assert.equal(post.channel_id, world.channel.id);
    assert.equal(post.root_id, '');
    await daemon.restart();
    assert.equal((await posted('re: what is new?')).length, 1);
  });

  test('what was missed while the daemon was down: the last of it once, or nothing', async (t) => {
    const clock = await clockFor(t);
    const daemon = await daemonFor(t, clock, [
      { name: 'late', text: 'better late', missed: 'once' },
      { name: 'never', text: 'than never', missed: 'skip' },
    ]);
    await daemon.stop();
    await clock.set(clock.slot + 60_000);
    await daemon.start();
    await daemon.logged('a time of a schedule was missed and is left out', (e) => e.route === 'never');
    await hears('better late');
    await daemon.restart();
    assert.equal((await posted('better late')).length, 1);
    assert.equal((await posted('than never')).length, 0);
    const { late, never } = await schedules(daemon);
    assert.equal(late.last, clock.slot);
    assert.equal(never.last, undefined);
    assert.equal(never.next, clock.slot + 24 * hour);
  });

  test('a channel that is not there is told, and tried again', async (t) => {
    const clock = await clockFor(t);
    const channel = await hiddenChannel();
    const daemon = await daemonFor(t, clock, [{ name: 'lost', text: 'found it', channel: `${world.team.name}/${channel.name}` }]);
    await setClock(daemon, clock, clock.slot - 1000);
    await daemon.logged('the channel of a schedule cannot be found, trying again each minute');
    const { lost } = await schedules(daemon);
    assert.equal(lost.waiting, clock.slot);
    assert.match(lost.problem, /\S+ \S+/);
    await channel.appears();
    assert.equal((await daemon.cli('reload')).code, 0);
    assert.equal((await hears('found it')).channel_id, channel.id);
  });

  test('a time that waits for its channel over a kill -9 was missed: made up for once, or left out', async (t) => {
    const clock = await clockFor(t);
    const hidden = await hiddenChannel();
    const channel = `${world.team.name}/${hidden.name}`;
    const daemon = await daemonFor(t, clock, [
      { name: 'late', text: 'found it at last', channel, missed: 'once' },
      { name: 'never', text: 'never found', channel, missed: 'skip' },
    ]);
    const notFound = 'the channel of a schedule cannot be found, trying again each minute';
    await setClock(daemon, clock, clock.slot - 1000);
    await daemon.logged(notFound, (e) => e.route === 'late');
    await daemon.logged(notFound, (e) => e.route === 'never');
    const before = await schedules(daemon);
    assert.deepEqual([before.late.waiting, before.never.waiting], [clock.slot, clock.slot]);
    await daemon.kill();
    await daemon.start();
    await daemon.logged('a time of a schedule was missed and is left out', (e) => e.route === 'never');
    await daemon.logged(notFound, (e) => e.route === 'late');
    await hidden.appears();
    assert.equal((await daemon.cli('reload')).code, 0);
    assert.equal((await hears('found it at last')).channel_id, hidden.id);
    const { late, never } = await schedules(daemon);
    assert.deepEqual([late.last, late.waiting, never.last, never.waiting], [clock.slot, undefined, undefined, undefined]);
    await daemon.restart();
    assert.equal((await posted('found it at last')).length, 1);
    assert.equal((await posted('never found')).length, 0);
  });

  test('a time that waits for a free place over a kill -9 is answered once', async (t) => {
    const clock = await clockFor(t);
    const common = { schedule: clock.schedule, timezone: 'UTC', channel: `${world.team.name}/${world.channel.name}`, handler: 'slow', missed: 'skip' };
    const daemon = await Daemon.start({
      bots: [botConfig(world, bot, {
        handler: 'echo',
        routes: [{ ...common, name: 'one', prompt: 'first' }, { ...common, name: 'two', prompt: 'second' }],
      })],
      handlers: { slow: { type: 'command', command: ['./slow'], concurrency: 1 }, echo: { type: 'command', command: ['./echo'] } },
    }, {
      scripts: { slow: 'while [ ! -e go ]; do sleep 0.1; done; printf "waited: %s" "$MATTERWIRE_TEXT"', echo: 'printf "re: %s" "$MATTERWIRE_TEXT"' },
      env: clock.env,
    });
    t.after(() => daemon.close());
    await setClock(daemon, clock, clock.slot - 1000);
    await eventually(async () => assert.equal((await daemon.cli('status', '--json')).json.tasks.pending, 2));
    await daemon.kill();
    await writeFile(path.join(daemon.folder, 'go'), '');
    await daemon.start();
    await hears('waited: first');
    await hears('waited: second');
    await daemon.restart();
    assert.equal((await posted('waited: first')).length, 1);
    assert.equal((await posted('waited: second')).length, 1);
  });
});
