#!/usr/bin/env node
// The smallest useful agent of the Agent Client Protocol, version 1, without any package (docs/handlers-acp.md): it plays
// an agent with a plan, a tool that needs permission, and words that come one by one. Put a real agent in its place.
//   "deploy ..."   asks for permission first
//   anything else  is said back, word by word
import readline from 'node:readline';

let last = 0;
const sessions = new Map(); // id -> { turns, cancel }
const waiting = new Map(); // id of a request of ours -> what goes on with its result

const write = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const update = (sessionId, u) => write({ method: 'session/update', params: { sessionId, update: u } });
const say = (sessionId, text) =>
  update(sessionId, { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } });
const request = (method, params) => new Promise((resolve) => {
  const id = `mine-${++last}`;
  waiting.set(id, resolve);
  write({ id, method, params });
});
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function deploy(sessionId, what) {
  const toolCall = { toolCallId: `deploy-${++last}`, title: `Deploy ${what}`, kind: 'execute', rawInput: { target: what } };
  update(sessionId, { sessionUpdate: 'tool_call', status: 'pending', ...toolCall });
  const { outcome } = await request('session/request_permission', {
    sessionId,
    toolCall,
    options: [
      { optionId: 'go', name: 'Deploy', kind: 'allow_once' },
      { optionId: 'no', name: 'Do not', kind: 'reject_once' },
    ],
  });
  const allowed = outcome.outcome === 'selected' && outcome.optionId === 'go';
  update(sessionId, {
    sessionUpdate: 'tool_call_update', toolCallId: toolCall.toolCallId, status: allowed ? 'completed' : 'failed',
  });
  say(sessionId, allowed ? `Deployed **${what}** (not really: this is an example).` : `Then **${what}** stays as it is.`);
}

async function prompt({ sessionId, prompt: blocks }) {
  const session = sessions.get(sessionId);
  const text = blocks.filter((b) => b.type === 'text').map((b) => b.text).join(' ').trim();
  session.cancel = false;
  session.turns++;
  const [first, ...rest] = text.split(/\s+/);
  if (first === 'deploy') {
    await deploy(sessionId, rest.join(' ') || 'everything');
  } else {
    for (const word of `In turn ${session.turns} you said: ${text}`.split(' ')) {
      if (session.cancel) break;
      say(sessionId, `${word} `);
      await pause(100);
    }
  }
  return { stopReason: session.cancel ? 'cancelled' : 'end_turn' };
}

const methods = {
  initialize: () => ({
    protocolVersion: 1,
    agentInfo: { name: 'example', version: '1' },
    agentCapabilities: { loadSession: false, sessionCapabilities: { close: {} } },
    authMethods: [],
  }),
  'session/new': () => {
    const sessionId = `session-${process.pid}-${++last}`;
    sessions.set(sessionId, { turns: 0, cancel: false });
    return { sessionId };
  },
  'session/close': ({ sessionId }) => {
    sessions.delete(sessionId);
    return {};
  },
  'session/prompt': prompt,
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { id, method, params, result } = JSON.parse(line);
  if (!method) {
    waiting.get(id)?.(result ?? { outcome: { outcome: 'cancelled' } });
    waiting.delete(id);
  } else if (method === 'session/cancel') {
    const session = sessions.get(params.sessionId);
    if (session) session.cancel = true;
  } else if (!methods[method]) {
    if (id !== undefined) write({ id, error: { code: -32601, message: `no method ${method}` } });
  } else {
    // Not awaited: prompts of several sessions run side by side.
    Promise.resolve(params)
      .then(methods[method])
      .then((value) => write({ id, result: value }), (error) => write({ id, error: { code: -32603, message: error.message } }));
  }
}
