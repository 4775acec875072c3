// A TCP proxy between the daemon and its server that does what networks do. With a certificate the daemon speaks TLS to it.
import net from 'node:net';
import tls from 'node:tls';

export class Proxy {
  #pairs = new Set();
  #next = []; // what happens to the connections to come, one each
  #frozen = false;

  // target: the server's URL; certificate: {key, cert} for TLS.
  static async open(target, certificate) {
    const proxy = new Proxy();
    const { hostname, port } = new URL(target);
    proxy.target = { host: hostname, port: Number(port || 80) };
    proxy.server = net.createServer((socket) => proxy.#accept(socket));
    if (certificate) {
      proxy.tls = tls.createServer(certificate, (socket) => proxy.#join(socket));
      proxy.tls.on('tlsClientError', () => {});
    }
    await new Promise((resolve, reject) => proxy.server.once('error', reject).listen(0, '127.0.0.1', resolve));
    proxy.url = `${certificate ? 'https' : 'http'}://localhost:${proxy.server.address().port}`;
    return proxy;
  }

  #accept(socket) {
    socket.on('error', () => {});
    const fate = this.#next.shift();
    if (fate) fate(socket);
    else if (this.tls) this.tls.emit('connection', socket);
    else this.#join(socket);
  }

  #join(client) {
    const server = net.connect(this.target);
    const pair = { client, server };
    this.#pairs.add(pair);
    const end = () => {
      client.destroy();
      server.destroy();
      this.#pairs.delete(pair);
    };
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', end).on('close', end);
    }
    if (!this.#frozen) this.#flow(pair);
  }

  // What the server says goes through `take` once the pair is to be cut.
  #flow({ client, server, take }) {
    client.pipe(server);
    if (take) server.on('data', take).resume();
    else server.pipe(client);
  }

  #hold({ client, server, take }) {
    client.unpipe(server);
    server.unpipe(client);
    if (take) server.off('data', take);
    client.pause();
    server.pause();
  }

  get state() {
    const pairs = [...this.#pairs].map(({ client, server, silent }) => ({
      silent, paused: client.isPaused(), waiting: client.writableLength, toServer: server.writableLength, connecting: server.connecting,
    }));
    return { frozen: this.#frozen, refusing: this.#next.length, pairs };
  }

  reset() {
    for (const { client, server } of this.#pairs) {
      (client._parent ?? client).resetAndDestroy?.();
      client.destroy();
      server.destroy();
    }
  }

  close() {
    for (const { client } of this.#pairs) client.end();
  }

  // Nothing comes through, and nobody is told.
  freeze() {
    this.#frozen = true;
    for (const pair of this.#pairs) this.#hold(pair);
  }

  thaw() {
    this.#frozen = false;
    for (const pair of this.#pairs) if (!pair.silent) this.#flow(pair);
  }

  // The connections that are there now fall silent for good, and what is on its way in them is lost; new ones work.
  silence() {
    for (const pair of this.#pairs) {
      pair.silent = true;
      this.#hold(pair);
    }
  }

  // The next `count` bytes to the daemon come through, then the connection ends: of whichever sends first.
  cutAfter(count) {
    for (const pair of this.#pairs) {
      const { client, server } = pair;
      let left = count;
      this.#hold(pair);
      pair.take = (chunk) => {
        client.write(chunk.subarray(0, left));
        left -= chunk.length;
        if (left > 0) return;
        server.off('data', pair.take);
        client.destroySoon();
        server.destroy();
      };
      if (!this.#frozen && !pair.silent) this.#flow(pair);
    }
  }

  // The next `count` connections are accepted and ended, at once or within the handshake.
  refuse(count, { handshake = false } = {}) {
    for (let i = 0; i < count; i++) {
      this.#next.push(handshake ? (socket) => socket.once('data', () => socket.destroy()) : (socket) => socket.resetAndDestroy());
    }
  }

  accept() {
    this.#next = [];
  }

  async shut() {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    await new Promise((resolve) => this.server.close(resolve));
  }
}
