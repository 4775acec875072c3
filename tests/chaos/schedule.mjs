// What will happen in a run, from its seed alone: which faults, when, how; who says what where. Pure.

// Numbers that look random and are the same for the same seed (splitmix32), in streams of their own by name.
export class Dice {
  #state;

  constructor(seed, stream = '') {
    let h = 0x811c9dc5;
    for (const c of `${seed}/${stream}`) h = Math.imul(h ^ c.codePointAt(0), 0x01000193);
    this.#state = h | 0;
  }

  // In [0, 1).
  next() {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  }

  // A whole number from `low` to `high`.
  int(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  pick(list) {
    return list[this.int(0, list.length - 1)];
  }

  chance(p) {
    return this.next() < p;
  }
}

function pickByWeight(dice, rows) {
  let at = dice.next() * rows.reduce((sum, row) => sum + row.weight, 0);
  for (const row of rows) {
    at -= row.weight;
    if (at < 0) return row;
  }
  return rows.at(-1);
}

/*
 * `faults` rows of the table, each due when its share of the posts is made. A row has a `weight`, may have `share`, the
 * part of all faults that it may be at the most (those that take long), `draw(dice)` for its arguments, and `extra`,
 * posts that it makes itself.
 *   alone: the next one waits until the daemon is well again
 *   patient: nobody tells the daemon to try again before it does so by itself
 */
export function makeSchedule(table, { seed, faults, posts }) {
  const dice = new Dice(seed, 'faults');
  const used = new Map();
  const entries = [];
  const slice = posts / (faults + 1);
  for (let k = 0; k < faults; k++) {
    const open = table.filter((row) => row.share === undefined || (used.get(row) ?? 0) < Math.ceil(row.share * faults));
    const row = pickByWeight(dice, open.length ? open : table);
    used.set(row, (used.get(row) ?? 0) + 1);
    entries.push({
      k,
      name: row.name,
      at: Math.floor(slice * (k + dice.next())),
      args: row.draw?.(dice) ?? {},
      alone: dice.chance(0.6),
      patient: dice.chance(0.15),
      row,
    });
  }
  return { entries, slice, extra: entries.reduce((sum, { row }) => sum + (row.extra ?? 0), 0) };
}

/*
 * Who says what where: `n` counts from 1. Places are numbered, channels first, then one direct channel for each person.
 * `reply` goes into the thread of an earlier post in the same place.
 */
export function makePlan({ seed, posts, people, channels }) {
  const dice = new Dice(seed, 'posts');
  const roots = Array.from({ length: channels + people }, () => []);
  const plan = [];
  for (let n = 1; n <= posts; n++) {
    const who = dice.int(0, people - 1);
    const place = dice.chance(0.12) ? channels + who : dice.int(0, channels - 1);
    const known = roots[place];
    const reply = known.length && dice.chance(0.35) ? known[Math.max(0, known.length - dice.int(1, 12))] : 0;
    if (!reply) known.push(n);
    plan.push({ n, who, place, reply });
  }
  return plan;
}
