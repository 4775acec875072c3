// A person or a bot, through the official client: REST (Client4) and WebSocket.
import mattermost from '@mattermost/client';
import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket;
// Browsers have it, Node before 23 does not; the official client makes one when a ping of its own gets no answer in time.
globalThis.CloseEvent ??= class CloseEvent extends Event {
  constructor(type, { code = 0, reason = '', wasClean = false } = {}) {
    super(type);
    Object.assign(this, { code, reason, wasClean });
  }
};
const { Client4, WebSocketClient } = mattermost;

// How long a test waits for what must come, in ms. Generous: it costs only when something is broken, and a machine may be slow.
export const patience = 120_000;

// A promise that fails with `what` when it takes too long: every wait in the tests has a bound.
export function within(promise, what, ms = patience) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

// For a state that nothing announces: `look` reads it and asserts, again and again until it holds. What it gave then; or, when it
// takes too long, its last failure.
export async function eventually(look, ms = patience) {
  const end = performance.now() + ms;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (error.code !== 'ERR_ASSERTION' || performance.now() > end) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Things that arrive one by one, and waiting for one of them. Nothing that came before the wait is missed.
export class Feed {
  items = [];
  #waiting = new Set();

  push(item) {
    this.items.push(item);
    for (const check of [...this.#waiting]) check();
  }

  // The first item that satisfies `test`, now or later.
  find(test, what = 'an item', ms = patience) {
    return this.count(1, test, what, ms).then((found) => found[0]);
  }

  // The first `n` items that satisfy `test`.
  count(n, test, what = `${n} items`, ms = patience) {
    let check;
    const promise = new Promise((resolve) => {
      check = () => {
        const found = this.items.filter(test);
        if (found.length >= n) resolve(found.slice(0, n));
      };
      this.#waiting.add(check);
      check();
    });
    return within(promise, what, ms).finally(() => this.#waiting.delete(check));
  }
}

// A bare event socket, signed in by header; resolves once it is open.
export async function openSocket(url, token, query = '', onMessage = () => {}) {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v4/websocket${query}`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  socket.on('message', onMessage);
  await within(new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)), 'the socket to open');
  socket.on('error', () => {}); // what breaks it off is told by its close
  return socket;
}

export class Person {
  constructor(url, user, token) {
    this.url = url;
    this.user = user;
    this.token = token;
    this.rest = new Client4();
    this.rest.setUrl(url);
    this.rest.setToken(token);
    this.events = new Feed();
  }

  static async login(url, username, password) {
    const rest = new Client4();
    rest.setUrl(url);
    const user = await rest.login(username, password);
    return new Person(url, user, rest.getToken());
  }

  static async withToken(url, token) {
    const person = new Person(url, null, token);
    person.user = await person.rest.getMe();
    return person;
  }

  // A plain call, for what the official client has no method for. `path` begins behind /api/v4.
  async call(method, path, body, headers = {}) {
    const response = await fetch(`${this.url}/api/v4${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, 'Content-Type': 'application/json', ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, text, json };
  }

  // Opens the event socket; events arrive in `this.events` with their posts and reactions parsed.
  async listen() {
    this.socket = new WebSocketClient({
      newWebSocketFn: (url) => new WebSocket(url),
      clientPingInterval: 600_000, // it gives a connection up that did not answer by the next ping, and Node has no CloseEvent
    });
    const connected = new Promise((resolve) => this.socket.addFirstConnectListener(resolve));
    this.socket.addMessageListener((message) => {
      const data = { ...message.data };
      for (const key of ['post', 'reaction', 'channel']) {
        if (typeof data[key] === 'string') data[key] = JSON.parse(data[key]);
      }
      this.events.push({ ...message, data });
    });
    const quiet = console.log;
    console.log = () => {}; // the official client reports its connection there
    this.socket.initialize(`${this.url.replace(/^http/, 'ws')}/api/v4/websocket`, this.token);
    await within(connected, `${this.user.username}'s hello`).finally(() => {
      console.log = quiet;
    });
    return this;
  }

  close() {
    this.socket?.close();
  }

  post(channel, message, more = {}) {
    return this.rest.createPost({ channel_id: channel.id ?? channel, message, ...more });
  }

  // A file for a post of this person in the channel; its id goes to `file_ids`.
  async upload(channel, name, content) {
    const response = await fetch(`${this.url}/api/v4/files?channel_id=${channel.id ?? channel}&filename=${encodeURIComponent(name)}`, {
      method: 'POST', body: content, headers: { Authorization: `Bearer ${this.token}` },
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`upload of ${name}: ${response.status} ${text}`);
    return JSON.parse(text).file_infos[0].id;
  }

  // The next `posted` event that satisfies `test`.
  hears(test, what = 'a post', ms) {
    return this.events
      .find((e) => e.event === 'posted' && test(e.data.post, e), `${this.user.username} to hear ${what}`, ms)
      .then((e) => e.data.post);
  }

  // The answer of `author` in the thread of `post`.
  hearsAnswer(author, post, ms) {
    const root = post.root_id || post.id;
    return this.hears(
      (p) => p.user_id === author.id && p.root_id === root && p.create_at >= post.create_at,
      `the answer to '${post.message.slice(0, 40)}'`,
      ms,
    );
  }
}
