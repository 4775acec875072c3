// REST calls and the event socket. Relative addresses, so that the page also works below a path.

const root = new URL('.', document.baseURI);

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, body, token) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined && !(body instanceof FormData)) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(new URL(path, root), {
      method, headers, credentials: 'omit', cache: 'no-store',
      body: body === undefined || body instanceof FormData ? body : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'The sandbox cannot be reached.');
  }
  if (response.ok) return response;
  let message = `The sandbox answered ${response.status}.`;
  try {
    message = (await response.json()).message || message;
  } catch {
    // not JSON (a rate limit, for instance): the status says it
  }
  throw new ApiError(response.status, message);
}

export const people = async () => (await request('GET', 'sandbox/people')).json();
export const signIn = async (username) => (await request('POST', 'sandbox/session', { username })).json();

export class Api {
  constructor(token) {
    this.token = token;
  }

  async call(method, path, body) {
    return (await request(method, `api/v4${path}`, body, this.token)).json();
  }

  get(path) {
    return this.call('GET', path);
  }

  post(path, body) {
    return this.call('POST', path, body);
  }

  async blob(path) {
    return (await request('GET', `api/v4${path}`, undefined, this.token)).blob();
  }
}

// The event socket. Browsers cannot set headers on it, so it signs in by a challenge, and such a socket cannot be
// resumed: `onopen` comes after every connection, and whoever listens catches up by REST.
export class Socket {
  #token;
  #socket = null;
  #seq = 0;
  #expected = 0;
  #failures = 0;
  #timer = null;
  #closed = false;
  #trying = false;
  #hope = () => {
    if (!document.hidden) this.#wake();
  };

  constructor(token, { onopen, onevent, onlost, onexpired }) {
    this.#token = token;
    Object.assign(this, { onopen, onevent, onlost, onexpired });
    addEventListener('online', this.#hope);
    document.addEventListener('visibilitychange', this.#hope);
    this.#connect();
  }

  #connect() {
    const url = new URL('api/v4/websocket', root);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#seq = 0;
    this.#expected = 0;
    socket.onopen = () => this.send('authentication_challenge', { token: this.#token });
    socket.onmessage = ({ data }) => this.#take(socket, data);
    socket.onclose = () => this.#lost(socket);
  }

  #take(socket, text) {
    if (socket !== this.#socket) return;
    const message = JSON.parse(text);
    if (!message.event) return;
    // A gap means that an event was lost: begin anew and catch up.
    if (message.seq !== this.#expected) {
      socket.close(4001);
      return;
    }
    this.#expected++;
    if (message.event === 'hello') {
      this.#failures = 0;
      this.onopen();
    } else {
      this.onevent(message);
    }
  }

  #lost(socket) {
    if (socket !== this.#socket || this.#closed) return;
    this.#socket = null;
    this.onlost();
    this.#retry();
  }

  #retry() {
    this.#failures++;
    const ceiling = Math.min(15_000, 500 * 2 ** Math.min(this.#failures, 6));
    this.#timer = setTimeout(() => this.#wake(), ceiling * (0.3 + 0.7 * Math.random()));
  }

  // When the wait is over, or at once when there is reason to hope. A refused challenge says nothing, so the token is
  // tried by REST first: a sandbox that was restarted has forgotten it.
  async #wake() {
    if (this.#closed || this.#socket || this.#trying) return;
    clearTimeout(this.#timer);
    this.#trying = true;
    try {
      await request('GET', 'api/v4/users/me', undefined, this.#token);
      if (!this.#closed) this.#connect();
    } catch (error) {
      if (this.#closed) return;
      if (error.status === 401) this.onexpired();
      else this.#retry();
    } finally {
      this.#trying = false;
    }
  }

  send(action, data) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#seq++;
    this.#socket.send(JSON.stringify({ seq: this.#seq, action, data }));
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    removeEventListener('online', this.#hope);
    document.removeEventListener('visibilitychange', this.#hope);
    this.#socket?.close();
  }
}
