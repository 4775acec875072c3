// The people of a run: they post what the plan says, as fast as they are let, and remember what the server accepted.
import http from 'node:http';
import { Person, within } from '../lib/client.mjs';
import { live, password } from '../lib/server.mjs';

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

// One REST call: {status, json}. A connection that breaks is an error.
export function call(url, token, method, path, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    if (text !== undefined) headers['Content-Length'] = Buffer.byteLength(text);
    const request = http.request(`${url}/api/v4${path}`, { method, agent, headers, timeout: 60_000 }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk)).on('error', reject).on('end', () => {
        try {
          resolve({ status: response.statusCode, json: JSON.parse(Buffer.concat(chunks).toString()) });
        } catch {
          resolve({ status: response.statusCode });
        }
      });
    });
    request.on('timeout', () => request.destroy(new Error(`no answer to ${method} ${path}`)));
    request.on('error', reject).end(text);
  });
}

// A gate that numbers pass in order: waiting until it was moved to some number.
class Gate {
  value = 0;
  #waiting = [];

  move(value) {
    if (value <= this.value) return;
    this.value = value;
    const ready = this.#waiting.filter((w) => w.value <= value);
    this.#waiting = this.#waiting.filter((w) => w.value > value);
    for (const { resolve } of ready) resolve();
  }

  reached(value) {
    return value <= this.value ? Promise.resolve() : new Promise((resolve) => this.#waiting.push({ value, resolve }));
  }
}

export class People {
  posted = []; // what is owed an answer: {n, id, place, channel, root, at}
  doomed = []; // posts that go away again: an answer may be there or not, never two
  places = []; // {channel, direct, closed, busy}
  made = new Gate(); // how many of the plan are posted
  allowed = new Gate();
  #byNumber = new Map();
  #serial = 0;

  // world: of tests/lib/server.mjs with its people and bot; `down`: awaited while the server is down.
  static async gather(world, { channels, newcomers = 0, down = async () => {} }) {
    const people = new People();
    Object.assign(people, { world, url: world.url, persons: world.people, bot: world.bots[0], down });
    const open = [world.channel];
    while (open.length < channels) open.push(await world.newChannel());
    for (const channel of open) people.places.push({ channel, reader: world.people[0] });
    for (const person of world.people) {
      const channel = await person.rest.createDirectChannel([person.user.id, people.bot.id]);
      people.places.push({ channel, direct: true, reader: person });
    }
    for (const place of people.places) Object.assign(place, { closed: false, busy: new Set() });
    people.newcomers = [];
    for (let i = 0; i < newcomers; i++) people.newcomers.push(await people.#newcomer(`new${i}`));
    return people;
  }

  async #newcomer(name) {
    const { server, team } = this.world;
    const username = `${name}-${team.name}`;
    const user = await server.admin.rest.createUser({ username, email: `${username}@example.com`, password }, '', '');
    await server.admin.rest.addToTeam(team.id, user.id);
    return Person.login(this.url, username, password);
  }

  // Says everything in `plan`, `workers` at a time, each post once it is allowed.
  async say(plan, workers = 6) {
    let next = 0, done = 0;
    for (const item of plan) item.promise = new Promise((resolve) => Object.assign(item, { resolve }));
    const work = async () => {
      while (next < plan.length) {
        const item = plan[next++];
        await this.allowed.reached(item.n);
        const root = item.reply ? await plan[item.reply - 1].promise : undefined;
        item.resolve(await this.#sayOne(item, root));
        this.made.move(++done);
      }
    };
    await Promise.all(Array.from({ length: workers }, work));
  }

  async #sayOne(item, root) {
    let place = this.places[item.place];
    if (place.closed) {
      // Nobody can post there now.
      place = this.places[0];
      root = undefined;
    } else if (root && root.place !== place) {
      root = undefined;
    }
    const person = place.direct ? place.reader : this.persons[item.who];
    return this.post(place, person, `#${item.n} says ${person.user.username}`, { n: item.n, root: root?.id ?? '' });
  }

  // A post that the server accepted, exactly once. What became of a call that broke is looked up before the next try.
  async post(place, person, message, { n, root = '', doomed = false } = {}) {
    const working = this.#post(place, person, message, root);
    place.busy.add(working);
    const from = Date.now();
    const { id, create_at: at } = await working.finally(() => place.busy.delete(working));
    const post = { n, id, place, ...(live && { from, until: Date.now() }), channel: place.channel.id, direct: Boolean(place.direct), root, at, person, message };
    (doomed ? this.doomed : this.posted).push(post);
    if (n) this.#byNumber.set(n, post);
    return post;
  }

  async #post(place, person, message, root) {
    const body = { channel_id: place.channel.id, message, root_id: root, pending_post_id: `${person.user.id}:${++this.#serial}` };
    for (let doubtful = false; ; doubtful = true) {
      try {
        if (doubtful) {
          const { status, json } = await call(this.url, person.token, 'GET', `/channels/${place.channel.id}/posts?per_page=200`);
          if (status !== 200) throw new Error(`looking answered ${status}`);
          const found = Object.values(json.posts).find((p) => p.user_id === person.user.id && p.message === message);
          if (found) return found;
        }
        const { status, json } = await call(this.url, person.token, 'POST', '/posts', body);
        if (status === 201) return json;
        if (status < 500) throw Object.assign(new Error(`a person's post was refused: ${status} ${json?.message}`), { refused: true });
      } catch (error) {
        if (error.refused) throw error;
      }
      await this.down();
    }
  }

  byNumber(n) {
    return this.#byNumber.get(n);
  }

  // Nobody posts there from now on, and nothing is on its way there.
  async closePlace(place) {
    place.closed = true;
    await Promise.allSettled([...place.busy]);
  }

  openPlace(place) {
    place.closed = false;
  }

  until(n, what, ms = 120_000) {
    return within(this.made.reached(n), what ?? `post ${n} (${this.made.value} are made)`, ms);
  }
}
