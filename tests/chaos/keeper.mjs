// Whoever keeps the daemon running: starts it, kills it, asks it how it is, and does by hand what is left to people.
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { within } from '../lib/client.mjs';
import { Daemon } from '../lib/daemon.mjs';
import { Rpc } from '../lib/rpc.mjs';

const DISK_MIB = 256;

export class Keeper {
  state = 'stopped';
  problems = []; // what must never happen
  byHand = new Set(); // what was set aside and given another try: event ids
  starts = 0;
  #waiting = new Set();
  #wanted = false; // it should be running
  frail = 0; // how many faults are at work under which it may refuse to start

  // config: bots and handlers. `disk`: the database goes to a small file system of its own, for which we have to be root.
  static async prepare(config, { scripts, disk }) {
    const keeper = new Keeper();
    keeper.daemon = await Daemon.prepare(config, { scripts });
    keeper.folder = keeper.daemon.folder;
    if (disk) {
      keeper.disk = path.join(keeper.folder, 'disk');
      mkdirSync(keeper.disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m,mode=0700`, 'none', keeper.disk]);
    }
    keeper.database = path.join(keeper.disk ?? keeper.folder, 'state.db');
    await keeper.daemon.configure({ ...config, daemon: { ...config.daemon, database: keeper.database, log_level: 'info' } });
    keeper.log = path.join(keeper.folder, 'daemon.log');
    return keeper;
  }

  get pid() {
    return this.daemon.program?.child.pid;
  }

  get running() {
    return this.daemon.program && this.daemon.program.code === null && this.daemon.program.signal === null;
  }

  // Until it says that it has started, not until it is connected.
  async start() {
    this.#wanted = true;
    for (let tries = 0; ; tries++) {
      const started = this.daemon.start({ online: false });
      const { program } = this.daemon;
      this.#follow(program);
      this.starts++;
      try {
        await started;
        return;
      } catch (error) {
        await program.ended;
        // What a service manager does when the disk is full: it tries again.
        if (!this.frail || tries > 100) throw error;
        await within(this.changed(), 'time', 200).catch(() => {});
      }
    }
  }

  #follow(program) {
    this.#set('starting');
    const push = program.stderr.push.bind(program.stderr);
    program.stderr.push = (line) => {
      appendFileSync(this.log, `${line}\n`);
      if (program === this.daemon.program) this.#read(line);
      push(line);
      if (program.stderr.items.length > 500) program.stderr.items.splice(0, 250); // all of it is in the file
      program.text.stderr = '';
    };
    program.ended.then(() => {
      appendFileSync(this.log, `{"message":"ended","code":${program.code},"signal":"${program.signal}"}\n`);
      if (program !== this.daemon.program) return;
      this.#set('stopped');
      if (!this.#wanted || this.frail) return;
      this.problems.push(`the daemon ended by itself (${program.code ?? program.signal}); see ${this.log}`);
    });
  }

  #read(line) {
    const message = line.match(/"message":"([^"]*)"/)?.[1];
    if (message === 'online') this.#set('online');
    else if (message === 'not connected') this.#set(line.match(/"state":"([^"]*)"/)?.[1] ?? 'waiting');
    if (/AddressSanitizer|runtime error:|LeakSanitizer|Assertion/.test(line)) this.problems.push(line);
  }

  #set(state) {
    this.state = state;
    for (const wake of [...this.#waiting]) wake();
  }

  // The next change of the state.
  changed() {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        resolve(this.state);
      };
      this.#waiting.add(wake);
    });
  }

  async kill() {
    this.#wanted = false;
    if (this.running) await this.daemon.program.kill('SIGKILL');
  }

  async terminate() {
    this.#wanted = false;
    if (!this.running) return;
    this.daemon.program.child.kill('SIGTERM');
    await within(this.daemon.program.ended, 'the daemon to end after SIGTERM', 60_000);
    if (this.daemon.program.code !== 0) this.problems.push(`SIGTERM ended the daemon with ${this.daemon.program.code ?? this.daemon.program.signal}`);
  }

  signal(name) {
    if (this.running) process.kill(this.pid, name);
  }

  async ask(method, params = {}, ms = 30_000) {
    const rpc = await Rpc.connect(this.daemon.config.daemon.socket);
    try {
      return await within(rpc.call(method, params), `${method} of the daemon`, ms);
    } finally {
      rpc.close();
    }
  }

  // Whoever mended something says so: what waits is tried now.
  async nudge() {
    if (this.running) await this.ask('reload').catch(() => {});
  }

  // Connected again. An impatient person helps.
  async well({ patient = false, ms = 120_000 } = {}) {
    const late = Date.now() + ms;
    while (this.state !== 'online') {
      if (Date.now() > late) throw new Error(`the daemon is ${this.state} for ${ms} ms`);
      const { state } = this;
      // An account that was refused is asked about once a minute.
      if (state === 'unauthorized' || (state === 'waiting' && !patient)) await this.nudge();
      if (this.state === state) await within(this.changed(), 'a change', 500).catch(() => {});
    }
  }

  // What the daemon gave up and shows as given up: a person tries it again. `lost(postId)`: the question is gone, so the
  // answer is dropped. Returns how much there was.
  async lookAfter(lost) {
    let n = 0;
    for (const what of ['events', 'outbox']) {
      const { items } = await this.ask(`${what}.list`, { state: 'failed', limit: 1000 });
      const drop = [], retry = [];
      for (const item of items) {
        const event = what === 'events' ? item.id : item.event_id;
        if (await lost(event)) {
          drop.push(String(item.id));
        } else {
          retry.push(String(item.id));
          this.byHand.add(event);
        }
      }
      if (drop.length) await this.ask(`${what}.drop`, { ids: drop });
      if (retry.length) await this.ask(`${what}.retry`, { ids: retry });
      n += drop.length + retry.length;
    }
    return n;
  }

  // The small file system, filled to the last byte.
  fillDisk() {
    const filler = path.join(this.disk, 'filler');
    const { bavail, bsize } = statfsSync(this.disk);
    const half = String(Math.max(1, Math.floor((bavail * bsize) / 2)));
    // The rest byte by byte, because the daemon writes meanwhile.
    for (const command of [['fallocate', '-l', half, filler], ['dd', 'if=/dev/zero', `of=${filler}2`, 'bs=64K']]) {
      try {
        execFileSync(command[0], command.slice(1), { stdio: 'ignore' });
      } catch {
        // that it is full is what they were started for
      }
    }
  }

  freeDisk() {
    for (const name of ['filler', 'filler2']) rmSync(path.join(this.disk, name), { force: true });
  }

  writeFile(name, text) {
    writeFileSync(path.join(this.folder, name), text);
  }

  removeFile(name) {
    rmSync(path.join(this.folder, name), { force: true });
  }

  async close({ keep }) {
    try {
      await this.terminate();
    } finally {
      if (this.running) await this.daemon.program.kill('SIGKILL');
      if (this.disk) {
        if (keep) execFileSync('sh', ['-c', 'cp "$1"/state.db* "$2"/ 2>/dev/null || true', 'sh', this.disk, this.folder]);
        execFileSync('umount', [this.disk]);
      }
      if (!keep) rmSync(this.folder, { recursive: true, force: true });
    }
  }
}
