// The machine below a daemon: its limits, its disk, its clock; and what a process costs.
import { execFile } from 'node:child_process';
import { existsSync, watch } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, rmdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { within } from './client.mjs';

export const sh = promisify(execFile);
export const isRoot = process.getuid?.() === 0;
export const rootOnly = { skip: !isRoot && 'only root can mount a small file system' };

// Resolves once the file is there.
export async function appears(file, ms) {
  const found = new Promise((resolve) => {
    const watcher = watch(path.dirname(file), () => {
      if (!existsSync(file)) return;
      watcher.close();
      resolve();
    });
    if (existsSync(file)) {
      watcher.close();
      resolve();
    }
  });
  return within(found, `${file} to appear`, ms);
}

// Resolves once there is no such process: who was killed is there until its parent, maybe init, has seen it. Nothing tells of
// that for a child of somebody else, so it is looked for.
export async function gone(pid, ms) {
  const looked = (async () => {
    for (;;) {
      try {
        process.kill(pid, 0);
      } catch {
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  return within(looked, `process ${pid} to be gone`, ms);
}

// A file system of its own with `size` (such as "4m"), or undefined where mounting is not allowed.
export async function smallDisk(t, size) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-disk-'));
  try {
    await sh('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'none', folder]);
  } catch {
    await rmdir(folder);
    return undefined;
  }
  t.after(async () => {
    await sh('umount', ['-l', folder]);
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

// Sets soft limits of a process that runs: setLimit(pid, 'nofile', 40). Returns what takes it back.
export async function setLimit(pid, name, value) {
  const { stdout } = await sh('prlimit', ['--pid', pid, `--${name}`, '--raw', '--noheadings', '--output', 'SOFT']);
  await sh('prlimit', ['--pid', pid, `--${name}=${value}:`]);
  return () => sh('prlimit', ['--pid', pid, `--${name}=${stdout.trim()}:`]);
}

export const openFiles = async (pid) => (await readdir(`/proc/${pid}/fd`)).length;

// Resident memory in bytes.
export async function memory(pid) {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(text.match(/^VmRSS:\s+(\d+) kB$/m)[1]) * 1024;
}

// Processor time of a process so far, in ms.
export async function cpuTime(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

// What share of one processor the process takes for `ms`: a program that waits takes next to nothing.
export async function cpuShare(pid, ms = 2000) {
  const [before, began] = [await cpuTime(pid), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, ms));
  return ((await cpuTime(pid)) - before) / (performance.now() - began);
}
