// A small HTTP server that does what a test says, and remembers what it was asked.
import http from 'node:http';
import { Feed } from './client.mjs';

export class Web {
  requests = new Feed();

  // answer(request, response): request = {method, path, headers, text, n}, n counts from 1. Ends with the test.
  static async open(t, answer) {
    const web = new Web();
    web.answer = answer;
    web.server = http.createServer((req, res) => {
      const parts = [];
      req.on('data', (part) => parts.push(part));
      req.on('end', () => {
        const request = { method: req.method, path: req.url, headers: req.headers, text: Buffer.concat(parts).toString('utf8') };
        request.n = web.requests.items.length + 1;
        res.on('close', () => { request.closed = true; });
        web.requests.push(request);
        web.answer(request, res);
      });
    });
    await new Promise((resolve) => web.server.listen(0, '127.0.0.1', resolve));
    web.url = `http://127.0.0.1:${web.server.address().port}`;
    t.after(() => {
      web.server.closeAllConnections();
      return new Promise((resolve) => web.server.close(resolve));
    });
    return web;
  }
}
