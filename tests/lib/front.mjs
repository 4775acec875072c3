// What stands between a bot and its server: reverse proxies, TLS, HTTP proxies, certificates.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const openssl = (...args) => promisify(execFile)('openssl', args);

// Listens on a free port of 127.0.0.1; `close` ends all its connections too. `t` = the test that it lives in.
async function listen(t, server) {
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return server.address().port;
}

function joinSockets(a, b) {
  a.pipe(b).pipe(a);
  for (const [one, other] of [[a, b], [b, a]]) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}

// The end of an HTTP head: its bytes, and those behind it.
function readHead(socket, then) {
  let head = Buffer.alloc(0);
  const take = (chunk) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    socket.off('data', take);
    socket.pause();
    then(head.subarray(0, end + 4), head.subarray(end + 4));
    socket.resume();
  };
  socket.on('data', take);
}

// How a reverse proxy may treat an upgraded connection; `client` and `server` are its two sides.
const upgrades = {
  pass: joinSockets,
  // Nothing behind the hello comes through.
  deaf(client, server) {
    client.pipe(server);
    readHead(server, (head, rest) => {
      client.write(head);
      let text = rest.toString('latin1');
      const hello = (chunk) => {
        text += chunk.toString('latin1');
        if (!text.includes('"hello"')) return;
        server.off('data', hello);
        client.write(Buffer.from(text, 'latin1'));
        server.resume();
      };
      server.on('data', hello);
      hello('');
    });
  },
  // No frame at all comes through.
  mute(client, server) {
    client.pipe(server);
    readHead(server, (head) => client.write(head));
  },
  // Cut as soon as the client was told hello.
  cut(client, server) {
    readHead(server, (head, rest) => {
      client.write(head);
      let text = '';
      const frame = (chunk) => {
        text += chunk.toString('latin1');
        client.write(chunk);
        if (text.includes('"hello"')) {
          client.end();
          server.destroy();
        }
      };
      server.on('data', frame);
      if (rest.length) frame(rest);
    });
  },
};

// A reverse proxy before `target` (http://127.0.0.1:PORT). Options:
//   tls: {key, cert}      it speaks TLS
//   prefix: '/chat'       the server is below this path; elsewhere is an HTML page
//   upgrade: 'pass', 'deaf', 'mute', 'cut', or 'block' = it drops the Upgrade header
//   answer(req, res)      may answer by itself: returns true then
export async function reverseProxy(t, target, { tls, prefix = '', upgrade = 'pass', answer } = {}) {
  const { hostname, port } = new URL(target);
  const forward = (req, res) => {
    if (answer?.(req, res)) return;
    if (!req.url.startsWith(`${prefix}/`)) {
      res.writeHead(200, { 'Content-Type': 'text/html' }).end('<html><body>Welcome to the intranet</body></html>');
      return;
    }
    const headers = { ...req.headers };
    delete headers.upgrade;
    delete headers.connection;
    const onward = http.request({ hostname, port, method: req.method, path: req.url.slice(prefix.length), headers }, (from) => {
      res.writeHead(from.statusCode, from.headers);
      from.pipe(res);
    });
    onward.on('error', () => res.destroy());
    req.pipe(onward);
  };
  const server = tls ? https.createServer(tls, forward) : http.createServer(forward);
  if (upgrade !== 'block') {
    server.on('upgrade', (req, socket, early) => {
      const to = net.connect(port, hostname, () => {
        const headers = [];
        for (let i = 0; i < req.rawHeaders.length; i += 2) headers.push(`${req.rawHeaders[i]}: ${req.rawHeaders[i + 1]}`);
        to.write(`GET ${req.url.slice(prefix.length)} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`);
        if (early.length) to.write(early);
      });
      to.on('error', () => socket.destroy());
      socket.on('error', () => to.destroy());
      socket.on('close', () => to.destroy());
      upgrades[upgrade](socket, to);
    });
  }
  const own = await listen(t, server);
  return { port: own, url: `${tls ? 'https' : 'http'}://localhost:${own}${prefix}` };
}

// An HTTP proxy; `credentials` "user:password" are demanded if given, `refuse` answers 403 to every CONNECT.
export async function httpProxy(t, { credentials, refuse } = {}) {
  const wanted = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
  // What is not encrypted is not tunnelled either: the request line has the whole address.
  const server = http.createServer((req, res) => {
    const { 'proxy-authorization': given, 'proxy-connection': _, ...headers } = req.headers;
    if (wanted && given !== wanted) {
      res.writeHead(407, { 'Proxy-Authenticate': 'Basic realm="x"' }).end();
      return;
    }
    const onward = http.request(req.url, { method: req.method, headers }, (from) => {
      res.writeHead(from.statusCode, from.headers);
      from.pipe(res);
    });
    onward.on('error', () => res.destroy());
    req.pipe(onward);
  });
  server.on('connect', (req, socket, early) => {
    if (wanted && req.headers['proxy-authorization'] !== wanted) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n');
    } else if (refuse) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
    } else {
      const { hostname, port } = new URL(`http://${req.url}`);
      const to = net.connect(port || 80, hostname, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        if (early.length) to.write(early);
        joinSockets(socket, to);
      });
      to.on('error', () => socket.destroy());
    }
  });
  return `http://127.0.0.1:${await listen(t, server)}`;
}

// A TCP port where `onConnection` decides, and one where nobody listens.
export const tcpServer = (t, onConnection) => listen(t, net.createServer(onConnection));
export async function closedPort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// An authority of its own with server certificates. `caFile` is what a client has to trust.
export class Authority {
  static async create(t) {
    const ca = new Authority();
    ca.folder = await mkdtemp(path.join(os.tmpdir(), 'matterwire-ca-'));
    t.after(() => rm(ca.folder, { recursive: true, force: true }));
    ca.caFile = path.join(ca.folder, 'ca.pem');
    await openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '100', '-subj', '/CN=Test authority',
      '-keyout', path.join(ca.folder, 'ca.key'), '-out', ca.caFile);
    return ca;
  }

  // Signed by itself instead.
  async selfSigned(host = 'localhost') {
    const file = (name) => path.join(this.folder, name);
    await openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '60', '-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`,
      '-keyout', file('key'), '-out', file('cert'));
    return { key: await readFile(file('key')), cert: await readFile(file('cert')) };
  }

  // days may be negative: it has expired then.
  async certificate(host = 'localhost', days = 60) {
    const file = (name) => path.join(this.folder, name);
    await writeFile(file('ext'), `subjectAltName=DNS:${host}\n`);
    await openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${host}`, '-keyout', file('key'), '-out', file('csr'));
    if (days > 0) {
      await openssl('x509', '-req', '-in', file('csr'), '-CA', this.caFile, '-CAkey', file('ca.key'), '-CAcreateserial',
        '-days', String(days), '-extfile', file('ext'), '-out', file('cert'));
    } else {
      // Only `ca` takes dates of the past.
      await writeFile(file('index'), '');
      await writeFile(file('serial'), '01\n');
      await writeFile(file('conf'), [
        '[ca]', 'default_ca=d', '[d]', `dir=${this.folder}`, `database=${file('index')}`, `serial=${file('serial')}`,
        `new_certs_dir=${this.folder}`, `certificate=${this.caFile}`, `private_key=${file('ca.key')}`, 'default_md=sha256',
        'policy=p', '[p]', 'commonName=supplied', '',
      ].join('\n'));
      await openssl('ca', '-batch', '-notext', '-config', file('conf'), '-in', file('csr'), '-out', file('cert'), '-extfile', file('ext'),
        '-startdate', '20200101000000Z', '-enddate', '20210101000000Z');
    }
    return { key: await readFile(file('key')), cert: await readFile(file('cert')) };
  }
}
