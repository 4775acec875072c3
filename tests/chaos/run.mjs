// One run: people, a daemon, a server, faults; then the books. See script/chaos.
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { within } from '../lib/client.mjs';
import { botConfig } from '../lib/daemon.mjs';
import { Authority } from '../lib/front.mjs';
import { Server, World, live } from '../lib/server.mjs';
import { readAnswers, readJournal, reconcile } from './books.mjs';
import { faults, serverFaults } from './faults.mjs';
import { Keeper } from './keeper.mjs';
import { People, call } from './people.mjs';
import { Proxy } from './proxy.mjs';
import { makePlan, makeSchedule } from './schedule.mjs';

const CHANNELS = 6;
const PEOPLE = ['ann', 'bob', 'cat', 'dan'];
const IDLE_S = 75; // a socket that fell silent is noticed within 45 s
const LAG = 500; // questions without an answer: then the people wait

// Nothing of it takes a process of its own while there is no trouble.
const script = `#!/bin/sh
if [ -e trouble ] && mv trouble "trouble.$$" 2>/dev/null; then . "./trouble.$$"; fi
printf '%s' "$MATTERWIRE_TEXT"
`;

// The table for this run: what can be injected here; `only`: one kind.
export function tableFor({ isLive, disk, restartCommand, only }) {
  const rows = restartCommand ? [...faults, ...serverFaults] : faults;
  return rows.filter((row) => (!isLive || row.live) && (row.needs !== 'disk' || disk) && (!only || row.name === only));
}

// Things to undo at the end, in reverse; it has the one method of a test context that tests/lib/front.mjs uses.
class Cleanup {
  #steps = [];

  after(step) {
    this.#steps.push(step);
  }

  async run() {
    for (let step; (step = this.#steps.pop()); ) await step();
  }
}

export class Run {
  holders = new Map(); // what a fault needs for itself -> its end
  pending = new Set();
  counts = {};
  unmet = 0; // rules of the server that the daemon did not run into
  #serial = 0;

  constructor(options) {
    Object.assign(this, options);
    this.disk = process.getuid() === 0 && options.disk !== false;
    this.table = tableFor({ ...options, isLive: live, disk: this.disk });
    if (!this.table.length) throw new Error(`there is no fault '${options.only}' here`);
    this.schedule = makeSchedule(this.table, options);
    this.plan = makePlan({ ...options, posts: options.posts - this.schedule.extra, people: PEOPLE.length, channels: CHANNELS });
  }

  serial() {
    return ++this.#serial;
  }

  note(text) {
    const seconds = ((Date.now() - this.startedAt) / 1000).toFixed(1);
    this.notes.push(`${seconds} ${text}`);
    if (this.verbose) console.error(`${seconds} ${text}`);
  }

  async #open(cleanup) {
    this.server = await Server.open('--quiet');
    cleanup.after(() => this.server.close());
    this.server.program?.ended.then(({ code, signal, text }) => {
      if (!this.over) this.failure ??= new Error(`the sandbox ended (${code ?? signal}): ${text.stderr}`);
    });
    this.world = await World.open(this.server, { people: PEOPLE });
    cleanup.after(() => this.world.close());
    this.bot = this.world.bots[0];
    this.people = await People.gather(this.world, {
      channels: CHANNELS, newcomers: this.schedule.extra / 2, down: () => this.serverUp(),
    });
    this.people.channels = CHANNELS;
    const authority = live ? null : await Authority.create(cleanup);
    this.proxy = await Proxy.open(this.server.url, await authority?.certificate());
    cleanup.after(() => this.proxy.shut());
    const bot = botConfig(this.world, this.bot, {
      endpoint: this.proxy.url, channels: [], handler: 'echo', timeout: '2s', ...(authority && { tls: { ca_file: authority.caFile } }),
    });
    const handlers = { echo: { type: 'command', command: ['./echo'], concurrency: 8, timeout: '2s', attempts: 5 } };
    this.keeper = await Keeper.prepare({ bots: [bot], handlers }, { scripts: { echo: script }, disk: this.disk });
    cleanup.after(() => this.keeper.close({ keep: !this.passed }));
    await this.keeper.start();
    await this.keeper.well();
    if (!live) this.base = (await this.server.control('/state')).posts;
  }

  // The server answers again.
  async serverUp() {
    for (;;) {
      const ok = await call(this.server.url, this.server.admin.token, 'GET', '/system/ping').then((r) => r.status === 200, () => false);
      if (ok) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async restartServer() {
    await promisify(execFile)('sh', ['-c', this.restartCommand], { timeout: 120_000 });
    await this.serverUp();
  }

  // Not too many questions without an answer.
  async #keepUp() {
    if (live) {
      for (;;) {
        const waiting = await this.keeper.ask('status').then((s) => s.tasks.pending + s.outbox.pending, () => 0);
        if (waiting < LAG) return;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    const owed = this.people.posted.length - LAG - this.people.doomed.length - this.keeper.byHand.size;
    if (owed <= 0) return;
    const total = this.base + this.people.posted.length + owed;
    for (let i = 0; i < 60; i++) {
      const ok = await this.server.control(`/wait?posts=${total}&timeout_ms=2000`).then(() => true, () => false);
      if (ok) return;
      await this.#lookAfter().catch(() => {});
    }
    await this.#examine();
    throw new Error(`the answers do not come: ${JSON.stringify(await this.#left())}`);
  }

  async #lookAfter() {
    if (!this.keeper.running) return 0;
    const doomed = new Set(this.people.doomed.map((p) => p.id));
    return this.keeper.lookAfter(async (event) => {
      const { events } = await this.keeper.ask('history', { after: Number(event) - 1, before: Number(event) + 1, limit: 1 });
      return doomed.has(events[0]?.post_id);
    });
  }

  async #inject(entry) {
    const { row, args, k } = entry;
    const started = Date.now();
    while (row.holds && this.holders.has(row.holds)) await this.holders.get(row.holds);
    let release;
    if (row.holds) this.holders.set(row.holds, new Promise((resolve) => (release = resolve)));
    this.note(`fault ${k}: ${row.name} ${JSON.stringify(args)}`);
    this.counts[row.group] = (this.counts[row.group] ?? 0) + 1;
    if (row.frail) this.keeper.frail++;
    let ended;
    const token = await row.inject(this, args);
    const end = async () => {
      if (row.until === 'posts') await this.people.until(Math.min(this.people.made.value + (args.span ?? 0), this.people.allowed.value, this.plan.length));
      else if (row.until) await within(Promise.resolve(row.until(this, args, token)), `fault ${k} (${row.name}) to be met`, 60_000);
      await row.heal?.(this, args, token);
      if (row.frail && !this.keeper.running && !this.holders.has('daemon')) await this.keeper.start();
    };
    ended = end().finally(() => {
      if (row.frail) this.keeper.frail--;
      if (row.holds) this.holders.delete(row.holds);
      release?.();
    });
    if (!entry.alone) return ended;
    await ended;
    await this.keeper.well({ patient: entry.patient });
    const ms = Date.now() - started;
    this.slow.push({ ms, name: row.name });
    if (ms > 3000) this.note(`fault ${k} (${row.name}) took ${ms} ms`);
    return undefined;
  }

  async #torment() {
    for (const entry of this.schedule.entries) {
      const ahead = Math.ceil(this.schedule.slice * 2) + 50;
      this.people.allowed.move(Math.min(this.plan.length, entry.at + ahead));
      await this.people.until(Math.min(entry.at, this.plan.length));
      if (!this.failure) await this.#keepUp();
      if (this.failure) throw this.failure;
      if (this.keeper.problems.length) return;
      if (entry.row.exclusive) await Promise.all(this.pending);
      const done = this.#inject(entry).catch((error) => {
        this.failure ??= new Error(`fault ${entry.k} (${entry.name}): ${error.message}`, { cause: error });
      });
      if (entry.alone || entry.row.exclusive) {
        await done;
        await Promise.all(this.pending);
      } else {
        this.pending.add(done);
        done.finally(() => this.pending.delete(done));
        if (this.pending.size >= 3) await Promise.race(this.pending);
      }
    }
    await Promise.all(this.pending);
    if (this.failure) throw this.failure;
  }

  async #calm() {
    this.note('calm');
    if (!live) await this.server.control('/reset', {});
    this.proxy.accept();
    if (!this.keeper.running && !this.keeper.problems.length) await this.keeper.start();
    await this.keeper.well();
  }

  async #left() {
    const status = await this.keeper.ask('status').catch(() => ({}));
    const { store, tasks, outbox, bots } = status;
    return { state: this.keeper.state, store: store?.state, last: store?.last_event_id, tasks, outbox, reason: bots?.[0].reason };
  }

  // All that may tell why nothing goes on.
  async #examine() {
    const ask = async (what, question) => this.note(`${what}: ${JSON.stringify(await question().catch((error) => error.message))}`);
    await ask('status', () => this.keeper.ask('status'));
    if (!live) await ask('sandbox', () => this.server.control('/state'));
    if (!live) await ask('rules', () => this.server.control('/rules').then((rules) => rules.filter((rule) => rule.count)));
    this.note(`proxy: ${JSON.stringify(this.proxy.state)}`);
  }

  // Until nothing is owed any more, or nothing happens any more.
  async #settle() {
    let idle = 0, before = '';
    for (;;) {
      const byHand = await this.#lookAfter();
      const left = await this.#left();
      const open = left.tasks.pending + left.outbox.pending + (left.outbox.sending ?? 0) + byHand;
      if (!open) {
        const books = await this.#books();
        if (!books.lost.length) return books;
      }
      idle = JSON.stringify(left) === before ? idle + 1 : 0;
      before = JSON.stringify(left);
      if (idle > IDLE_S) {
        await this.#examine();
        return this.#books();
      }
      if (live) await new Promise((resolve) => setTimeout(resolve, 1000));
      else {
        const { posts } = await this.server.control('/state');
        await this.server.control(`/wait?posts=${posts + 100}&timeout_ms=1000`).catch(() => {});
      }
    }
  }

  async #books() {
    const journal = await readJournal(this.keeper);
    const answers = await readAnswers(this.people);
    return reconcile({ posted: this.people.posted, doomed: this.people.doomed, journal, answers, byHand: this.keeper.byHand });
  }

  // Somebody pressed Ctrl-C: nothing that was started or mounted stays behind.
  async abandon() {
    this.over = true;
    await this.cleanup?.run().catch((error) => console.error(`cleaning up: ${error.message}`));
  }

  // {books, problems, ...}; the folder is kept unless all is well.
  async run() {
    const cleanup = (this.cleanup = new Cleanup());
    this.startedAt = Date.now();
    this.notes = [];
    this.slow = [];
    try {
      await this.#open(cleanup);
      this.note(`${this.plan.length} posts, ${this.schedule.entries.length} faults`);
      const saying = this.people.say(this.plan);
      saying.catch((error) => (this.failure ??= error));
      await this.#torment();
      this.people.allowed.move(this.plan.length);
      await saying;
      await this.#calm();
      const books = await this.#settle();
      const problems = [...this.keeper.problems, ...books.lost, ...books.doubled, ...books.disordered];
      this.passed = problems.length === 0;
      return { books, problems, byHand: this.keeper.byHand.size, starts: this.keeper.starts, seconds: (Date.now() - this.startedAt) / 1000 };
    } catch (error) {
      this.passed = false;
      this.note(`failed: ${error.stack}`);
      return { books: await this.#books().catch(() => null), problems: [...(this.keeper?.problems ?? []), error.message], seconds: (Date.now() - this.startedAt) / 1000 };
    } finally {
      this.over = true;
      if (!this.passed && this.keeper) {
        mkdirSync(this.keeper.folder, { recursive: true });
        writeFileSync(path.join(this.keeper.folder, 'faults.log'), `${this.notes.join('\n')}\n`);
      }
      await cleanup.run().catch((error) => console.error(`cleaning up: ${error.message}`));
    }
  }
}
