// Each kind of fault by itself, a few times while people post: nothing lost, nothing doubled, all in order.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { faults } from './faults.mjs';
import { Run, tableFor } from './run.mjs';

const here = new Set(tableFor({ disk: process.getuid() === 0 }));

for (const group of new Set(faults.map((row) => row.group))) {
  describe(`${group} faults`, { concurrency: 4 }, () => {
    for (const row of faults.filter((r) => r.group === group)) {
      test(row.name, { skip: !here.has(row) && 'only root can make a file system' }, async () => {
        const times = row.share === undefined ? 3 : 1; // as often as its share lets it be
        const run = new Run({ seed: 1, faults: times, posts: 90, only: row.name });
        const { books, problems } = await run.run();
        assert.deepEqual(problems, [], run.notes.join('\n'));
        assert.equal(run.counts[group], times);
        assert.deepEqual([books.posted, books.journaled, books.answered], [90, 90, 90]);
      });
    }
  });
}
