// A server of chat completions for tests, on a `Web`: replies are lists of chunks.
import { Web } from './web.mjs';

const chunk = (value) => `data: ${JSON.stringify({ object: 'chat.completion.chunk', ...value })}\n\n`;
export const done = 'data: [DONE]\n\n';
export const text = (content) => chunk({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
export const finish = (reason = 'stop') => chunk({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
export const usage = (prompt_tokens, completion_tokens) => chunk({ choices: [], usage: { prompt_tokens, completion_tokens } });
// calls: [[name, arguments], ...]
export const calls = (...list) => list.map(([name, args], index) => chunk({
  choices: [{ index: 0, delta: { tool_calls: [{ index, id: `call_${name}_${index}`, type: 'function', function: { name, arguments: JSON.stringify(args) } }] } }],
})).join('') + finish('tool_calls') + done;
export const says = (content) => text(content) + finish() + usage(11, 7) + done;

export class Model {
  // reply(request): request.body is what was asked. Returns a stream as text, or {status, headers, body, cut}.
  static async open(t, reply) {
    const model = new Model();
    model.reply = reply;
    model.web = await Web.open(t, async (request, res) => {
      request.body = JSON.parse(request.text);
      const answer = await model.reply(request);
      const { status = 200, headers = {}, body, cut } = typeof answer === 'string' ? { body: answer } : answer ?? { body: '', cut: true };
      res.writeHead(status, { 'Content-Type': status === 200 ? 'text/event-stream' : 'application/json', ...headers });
      if (cut) res.write(body || '\n', () => res.socket.destroy());
      else res.end(body);
    });
    model.url = `${model.web.url}/v1`;
    return model;
  }

  get requests() {
    return this.web.requests;
  }
}

// What a request says last.
export const lastOf = (request) => request.body.messages.at(-1).content;
