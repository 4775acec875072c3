// That the books see what is wrong, that a seed is a schedule, and short runs with all kinds of faults.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { reconcile } from './books.mjs';
import { faults } from './faults.mjs';
import { Dice, makePlan, makeSchedule } from './schedule.mjs';

const folder = path.dirname(fileURLToPath(import.meta.url));

// Three questions in one channel, the third in the thread of the first; all in the journal, all answered.
function books() {
  const question = (n, at, root = '') => ({ n, id: `q${n}`, channel: 'c', root, at });
  const answer = (n, at, root) => [String(n), [{ id: `a${n}`, channel_id: 'c', root_id: root, create_at: at, message: `#${n} says` }]];
  const event = (n, id) => [`q${n}`, [{ id, post_id: `q${n}` }]];
  return {
    posted: [question(1, 10), question(2, 20), question(3, 30, 'q1')],
    doomed: [{ n: 'd1', id: 'qd1', channel: 'c', root: '', at: 15 }],
    journal: { byPost: new Map([event(1, 1), event(2, 2), event(3, 3)]) },
    answers: { byNumber: new Map([answer(1, 40, 'q1'), answer(2, 41, 'q2'), answer(3, 42, 'q1')]), stray: [] },
  };
}

const outcome = ({ journaled, answered, lost, doubled, disordered }) => [journaled, answered, lost.length, doubled.length, disordered.length];

describe('the books', () => {
  const cases = {
    'all is well': [() => {}, [3, 3, 0, 0, 0]],
    'a post is not in the journal': [(b) => b.journal.byPost.delete('q2'), [2, 3, 1, 0, 0]],
    'a post is twice in the journal': [(b) => b.journal.byPost.get('q2').push({ id: 9, post_id: 'q2' }), [3, 3, 0, 1, 0]],
    'a post has no answer': [(b) => b.answers.byNumber.delete('2'), [3, 2, 1, 0, 0]],
    'a post has two answers': [(b) => b.answers.byNumber.get('2').push({ id: 'x' }), [3, 3, 0, 1, 0]],
    'an answer in another thread': [(b) => (b.answers.byNumber.get('2')[0].root_id = 'q1'), [3, 3, 1, 0, 0]],
    'an answer to nothing': [(b) => b.answers.byNumber.set('99', [{ id: 'x', message: '#99 says' }]), [3, 3, 0, 1, 0]],
    'an answer that is something else': [(b) => b.answers.stray.push({ id: 'x', message: 'hello' }), [3, 3, 0, 1, 0]],
    'two answers to a post that went away': [(b) => b.answers.byNumber.set('d1', [{ id: 'x' }, { id: 'y' }]), [3, 3, 0, 1, 0]],
    'the journal in another order': [(b) => (b.journal.byPost.get('q1')[0].id = 7), [3, 3, 0, 0, 2]],
    'a thread answered in another order': [(b) => (b.answers.byNumber.get('3')[0].create_at = 39), [3, 3, 0, 0, 1]],
    'a thread in another order by hand': [(b) => {
      b.answers.byNumber.get('3')[0].create_at = 39;
      b.byHand = new Set([1]);
    }, [3, 3, 0, 0, 0]],
  };
  for (const [name, [change, expected]] of Object.entries(cases)) {
    test(name, () => {
      const given = books();
      change(given);
      assert.deepEqual(outcome(reconcile(given)), expected);
    });
  }
});

describe('a seed', () => {
  const bare = ({ entries }) => entries.map(({ row, ...rest }) => rest);
  const options = { seed: 7, faults: 200, posts: 5000 };

  test('is a schedule of faults', () => {
    assert.deepEqual(bare(makeSchedule(faults, options)), bare(makeSchedule(faults, options)));
    assert.notDeepEqual(bare(makeSchedule(faults, options)), bare(makeSchedule(faults, { ...options, seed: 8 })));
  });

  test('spreads the faults over the posts, and meets every kind', () => {
    const { entries } = makeSchedule(faults, { ...options, faults: 2000 });
    for (let i = 1; i < entries.length; i++) assert.ok(entries[i - 1].at <= entries[i].at);
    assert.ok(entries.at(-1).at < options.posts);
    assert.deepEqual(new Set(entries.map((e) => e.name)), new Set(faults.map((row) => row.name)));
  });

  test('is a plan of posts: replies go to earlier posts of their place', () => {
    const plan = makePlan({ ...options, people: 4, channels: 6 });
    assert.deepEqual(plan, makePlan({ ...options, people: 4, channels: 6 }));
    for (const { n, reply, place } of plan) assert.ok(!reply || (reply < n && plan[reply - 1].place === place));
  });

  test('gives numbers that are spread evenly', () => {
    const dice = new Dice(3);
    const buckets = Array(10).fill(0);
    for (let i = 0; i < 10_000; i++) buckets[dice.int(0, 9)]++;
    for (const n of buckets) assert.ok(n > 800 && n < 1200, `${buckets}`);
  });
});

// A new seed each time: what they find is in their output, with the seed.
describe('a short run', () => {
  for (const seed of [1, Math.floor(Math.random() * 2 ** 31)]) {
    test(`with seed ${seed} loses nothing, doubles nothing, keeps the order`, async () => {
      const args = [path.join(folder, 'main.mjs'), '--seed', String(seed), '--faults', '60', '--posts', '1500'];
      const { code, output } = await new Promise((resolve) => {
        execFile(process.execPath, args, { timeout: 600_000, maxBuffer: 2 ** 24, env: { ...process.env, NODE_TEST_CONTEXT: undefined } },
          (error, stdout, stderr) => resolve({ code: error ? error.code : 0, output: stdout + stderr }));
      });
      assert.equal(code, 0, output);
      assert.match(output, /^posted 1500, journaled 1500, answered 1500, lost 0, doubled 0, out of order 0$/m);
    });
  }
});
