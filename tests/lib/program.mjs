// Our programs as child processes: their lines as a feed, an orderly end, and no end without its exit code.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Feed, within } from './client.mjs';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const build = process.env.MATTERWIRE_BUILD ?? path.join(root, 'build');
export const matterwire = path.join(build, 'src/cli/matterwire');
export const matterwired = path.join(build, 'src/daemon/matterwired');

export class Program {
  stdout = new Feed();
  stderr = new Feed();
  code = null;
  signal = null;

  constructor(file, args, { env = {}, cwd, input } = {}) {
    this.name = [path.basename(file), ...args].join(' ');
    this.child = spawn(file, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    if (input !== undefined) {
      this.child.stdin.on('error', () => {}); // it may end before it has read all
      this.child.stdin.end(input);
    }
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => {
        this.code = code;
        this.signal = signal;
        resolve(this);
      });
    });
    this.ended.catch(() => {});
    this.text = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr']) {
      let rest = '';
      this.child[stream].setEncoding('utf8');
      this.child[stream].on('data', (chunk) => {
        this.text[stream] += chunk;
        const lines = (rest + chunk).split('\n');
        rest = lines.pop();
        for (const line of lines) this[stream].push(line);
      });
    }
  }

  // The first line of standard output that satisfies `test`; fails when the program ends before.
  line(test, what = 'a line', ms) {
    const gone = this.ended.then(() => {
      throw new Error(`${this.name} ended (${this.code ?? this.signal}) before ${what}: ${this.text.stderr}`);
    });
    const found = this.stdout.find(test, `${what} from ${this.name}`, ms);
    gone.catch(() => {});
    found.catch(() => {});
    // What was printed before the end counts.
    return Promise.race([found, gone.catch((e) => (this.stdout.items.some(test) ? found : Promise.reject(e)))]);
  }

  kill(signal) {
    this.child.kill(signal);
    return this.ended;
  }

  // Ends it in order and says how; a program that has to be killed is a failure of its own.
  async stop(signal = 'SIGTERM') {
    if (this.code === null && this.signal === null) this.child.kill(signal);
    await within(this.ended, `${this.name} to stop`).catch((error) => {
      this.child.kill('SIGKILL');
      throw error;
    });
    return this;
  }
}

// Runs a program to its end: {code, stdout, stderr, json}.
export async function run(file, args, options = {}) {
  const program = new Program(file, args, options);
  await within(program.ended, `${program.name} to end`, options.ms).catch((error) => {
    program.child.kill('SIGKILL');
    throw error;
  });
  return {
    code: program.code,
    signal: program.signal,
    stdout: program.text.stdout,
    stderr: program.text.stderr,
    get json() {
      if (program.text.stdout === '') throw new Error(`${program.name} printed no JSON: ${program.text.stderr}`);
      return JSON.parse(program.text.stdout);
    },
  };
}

// Starts a server of examples/ for the test `t`; the address that it prints.
export async function example(t, name, env = {}) {
  const program = new Program(path.join(root, 'examples', name), [], { env });
  t.after(() => program.stop('SIGTERM'));
  return (await program.line((l) => l.startsWith('ready '), 'its address')).slice('ready '.length);
}
