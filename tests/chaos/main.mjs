// script/chaos: the arguments, one run, its outcome.
import { parseArgs } from 'node:util';

const usage = `usage: script/chaos [--seed N] [--faults F] [--posts P] [--live [--restart-command CMD]] [--only KIND] [--list]
                    [--verbose]

People post, a daemon answers each post, and things break; then what was posted, what the journal holds and what the
server shows is compared. The same seed makes the same schedule. Exit status 1 when anything was lost, doubled or out of
order: the posts are listed and the folder is kept.

  --seed N              the schedule; random unless given
  --faults F            how many faults (40)
  --posts P             how many posts (1000)
  --live                on the server of MATTERMOST_URL, MATTERMOST_ADMIN, MATTERMOST_PASSWORD instead of the sandbox
  --restart-command C   with --live: kills that server and starts it again; one of the faults then
  --only KIND           only faults of this kind; --list tells their names
  --list                prints the schedule and does nothing
  --verbose             tells what happens
`;

function options() {
  try {
    const { values } = parseArgs({
      options: {
        seed: { type: 'string' }, faults: { type: 'string', default: '40' }, posts: { type: 'string', default: '1000' },
        live: { type: 'boolean' }, 'restart-command': { type: 'string' }, only: { type: 'string' },
        list: { type: 'boolean' }, verbose: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    return values;
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(2);
  }
}

const given = options();
if (given.help) {
  console.log(usage);
  process.exit(0);
}
if (!given.live) delete process.env.MATTERMOST_URL;
else if (!process.env.MATTERMOST_URL) {
  console.error('--live needs MATTERMOST_URL, MATTERMOST_ADMIN and MATTERMOST_PASSWORD');
  process.exit(2);
}
const number = (name) => {
  const value = Number(given[name]);
  if (!Number.isSafeInteger(value) || value < 0) {
    console.error(`--${name} is a whole number\n\n${usage}`);
    process.exit(2);
  }
  return value;
};
const { Run } = await import('./run.mjs'); // it looks at the environment
const seed = given.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : number('seed');
const run = new Run({
  seed, faults: number('faults'), posts: number('posts'), restartCommand: given['restart-command'], only: given.only, verbose: given.verbose,
});

if (given.list) {
  for (const { k, at, name, args, alone, patient } of run.schedule.entries)
    console.log(`${k} at post ${at}: ${name} ${JSON.stringify(args)}${alone ? '' : ', overlapping'}${patient ? ', patient' : ''}`);
  process.exit(0);
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => run.abandon().finally(() => process.exit(130)));
console.log(`seed ${seed}`);
const { books, problems, byHand, starts, seconds } = await run.run();
for (const problem of problems.slice(0, 50)) console.log(problem);
if (problems.length > 50) console.log(`and ${problems.length - 50} more`);
if (books) {
  console.log(`posted ${books.posted}, journaled ${books.journaled}, answered ${books.answered}, lost ${books.lost.length}, ` +
    `doubled ${books.doubled.length}, out of order ${books.disordered.length}`);
}
const counts = Object.entries(run.counts).map(([group, n]) => `${group} ${n}`).join(', ');
console.log(`seed ${seed}: ${given.faults} faults (${counts}), ${starts} starts of the daemon, ${byHand} retried by hand, ${run.unmet} faults not met, ${seconds.toFixed(0)} s`);
if (problems.length) {
  if (run.keeper) console.log(`kept ${run.keeper.folder}`);
  process.exit(1);
}
process.exit(0);
