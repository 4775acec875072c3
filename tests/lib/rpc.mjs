// A JSON-RPC connection to the daemon's socket.
import net from 'node:net';
import { Feed } from './client.mjs';

export class Rpc {
  notifications = new Feed();
  #answers = new Map();
  #next = 1;

  static connect(path) {
    const rpc = new Rpc();
    rpc.socket = net.connect(path);
    let rest = '';
    rpc.socket.setEncoding('utf8').on('data', (chunk) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop();
      for (const line of lines) rpc.#take(JSON.parse(line));
    });
    const failAll = (error) => {
      for (const { reject } of rpc.#answers.values()) reject(error);
      rpc.#answers.clear();
    };
    rpc.socket.on('close', () => failAll(new Error('the daemon closed the connection')));
    return new Promise((resolve, reject) => {
      rpc.socket.once('connect', () => {
        rpc.socket.on('error', failAll);
        resolve(rpc);
      });
      rpc.socket.once('error', reject);
    });
  }

  #take(message) {
    const waiting = this.#answers.get(message.id);
    if (!waiting) {
      this.notifications.push(message);
      this.onNotification?.(message);
      return;
    }
    this.#answers.delete(message.id);
    if (message.error) waiting.reject(Object.assign(new Error(message.error.message), message.error));
    else waiting.resolve(message.result);
  }

  call(method, params) {
    const id = this.#next++;
    this.socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    return new Promise((resolve, reject) => this.#answers.set(id, { resolve, reject }));
  }

  close() {
    this.socket.destroy();
  }
}
