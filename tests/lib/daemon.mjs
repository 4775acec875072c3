// matterwired with a config and a state folder of its own.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Program, matterwire, matterwired, run } from './program.mjs';

// A bot of the config that listens to `world`'s channel. JSON is YAML, so configs are written as JSON.
export function botConfig(world, bot = world.bots[0], more = {}) {
  return {
    name: 'helper', endpoint: world.url, bot_token: bot.token, team: world.team.name,
    channels: [world.channel.id], allowed_users: ['*'], mention_only: false, ...more,
  };
}

export class Daemon {
  // config: {bots, handlers}; scripts: {name: shell text}, written to the folder and executable.
  static async prepare(config, { scripts = {}, env = {} } = {}) {
    const daemon = new Daemon();
    daemon.folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-test-'));
    daemon.configPath = path.join(daemon.folder, 'config.yaml');
    daemon.env = { ...env };
    for (const [name, text] of Object.entries(scripts)) {
      await writeFile(path.join(daemon.folder, name), text.startsWith('#!') ? text : `#!/bin/sh\n${text}\n`);
      await chmod(path.join(daemon.folder, name), 0o755);
    }
    await daemon.configure(config);
    return daemon;
  }

  static async start(config, options) {
    const daemon = await Daemon.prepare(config, options);
    await daemon.start();
    return daemon;
  }

  async configure(config) {
    this.config = {
      ...config,
      daemon: {
        socket: path.join(this.folder, 'socket'),
        database: path.join(this.folder, 'state.db'),
        log_level: 'debug',
        ...config.daemon,
      },
    };
    await writeFile(this.configPath, JSON.stringify(this.config, null, 2), { mode: 0o600 });
  }

  // Starts it and, unless told otherwise, waits until every bot is online.
  async start({ online = true } = {}) {
    this.program = new Program(matterwired, ['--config', this.configPath], { env: this.env, cwd: this.folder });
    await this.logged('started');
    if (online) for (const bot of this.config.bots) await this.state(bot.name, 'online');
    return this;
  }

  // A log line (JSON) of the present run with this message, and fields that satisfy `test`.
  async logged(message, test = () => true, ms) {
    const parse = (line) => {
      try {
        return JSON.parse(line);
      } catch {
        return {};
      }
    };
    const matches = (line) => {
      const entry = parse(line);
      return entry.message === message && test(entry);
    };
    const gone = this.program.ended.then(() => {
      throw new Error(`matterwired ended (${this.program.code ?? this.program.signal}): ${this.program.text.stderr}`);
    });
    gone.catch(() => {});
    const found = this.program.stderr.find(matches, `the log to say '${message}'\n${this.program.text.stderr}`, ms);
    found.catch(() => {});
    return parse(await Promise.race([found, gone]));
  }

  // The next time that a bot is in `state`, counted from the start of this run.
  state(bot, state, ms) {
    if (state === 'online') return this.logged('online', (e) => e.bot === bot, ms);
    return this.logged('not connected', (e) => e.bot === bot && e.state === state, ms);
  }

  cli(...args) {
    const options = typeof args.at(-1) === 'object' ? args.pop() : {};
    return run(matterwire, ['--config', this.configPath, ...args], { env: this.env, cwd: this.folder, ...options });
  }

  // A command that goes on, such as `stream`.
  spawn(...args) {
    return new Program(matterwire, ['--config', this.configPath, ...args], { env: this.env, cwd: this.folder });
  }

  async stop() {
    await this.program.stop();
  }

  // As a crash does; start() again afterwards.
  async kill() {
    await this.program.kill('SIGKILL');
  }

  async restart() {
    await this.stop();
    await this.start();
  }

  async close() {
    try {
      if (this.program) await this.stop();
    } finally {
      if (process.env.KEEP_FOLDERS) {
        await writeFile(path.join(this.folder, 'log'), this.program?.text.stderr ?? '');
        console.error(`kept ${this.folder}`);
      }
      else await rm(this.folder, { recursive: true, force: true });
    }
  }
}
