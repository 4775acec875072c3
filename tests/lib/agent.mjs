// An agent of the Agent Client Protocol on the official SDK, which does what the prompt says. Its sessions are files in
// AGENT_FOLDER, so that another process can load them. AGENT_OPTIONS is JSON: see `options`.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import * as acp from '@agentclientprotocol/sdk';

const folder = process.env.AGENT_FOLDER;
const options = {
  version: 1, // what it answers to the greeting
  load: 'load', // or 'resume', or false
  image: false,
  embedded: false,
  http: false,
  slow: 0, // ms before the greeting is answered
  auth: null, // [{id, name}], and then sessions need it
  ...JSON.parse(process.env.AGENT_OPTIONS ?? '{}'),
};
const file = (...name) => path.join(folder, ...name);
const note = (text) => appendFileSync(file('notes'), `${text}\n`);
mkdirSync(file('sessions'), { recursive: true });
note(`start ${process.pid}`);

let signedIn = false;
const prompts = new Map(); // session id -> AbortController of its prompt
const load = (id) => {
  if (!existsSync(file('sessions', id))) throw acp.RequestError.resourceNotFound(id);
  return JSON.parse(readFileSync(file('sessions', id), 'utf8'));
};
const save = (id, said) => writeFileSync(file('sessions', id), JSON.stringify(said));
const appears = async (name, signal) => {
  while (!existsSync(file(name)) && !signal?.aborted) await new Promise((resolve) => setTimeout(resolve, 20));
};

async function permission(client, session, id) {
  const { outcome } = await client.request('session/request_permission', {
    sessionId: session,
    toolCall: { toolCallId: id, title: 'Delete the build folder', kind: 'execute', rawInput: { command: 'rm -r build' } },
    options: [
      { optionId: 'yes', name: 'Allow', kind: 'allow_once' },
      { optionId: 'ever', name: 'Always allow', kind: 'allow_always' },
      { optionId: 'no', name: 'Reject', kind: 'reject_once' },
    ],
  });
  note(`outcome ${outcome.outcome} ${outcome.optionId ?? ''}`);
  return `${outcome.outcome} ${outcome.optionId ?? ''}`;
}

// What a prompt may ask for; the rest of the words are its arguments.
const deeds = {
  async remember({ said, say }) {
    await say(`I heard: ${said.join(', ')}`);
  },
  async words({ say, args }) {
    for (const word of args) await say(`${word} `);
  },
  async tools({ say, update }) {
    await update({ sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text: 'secret thoughts' } });
    await update({ sessionUpdate: 'plan', entries: [
      { content: 'look', priority: 'high', status: 'in_progress' }, { content: 'tell', priority: 'low', status: 'pending' }] });
    await say('Let me look.');
    await update({ sessionUpdate: 'tool_call', toolCallId: 't1', title: 'Read notes.txt', kind: 'read', status: 'in_progress' });
    await update({ sessionUpdate: 'tool_call_update', toolCallId: 't1', status: 'completed' });
    await update({ sessionUpdate: 'plan', entries: [{ content: 'look', priority: 'high', status: 'completed' }] });
    await say('It says 42.');
  },
  async crash({ say, args }) {
    if (args[0] === 'late') await say('half of it ');
    if (!existsSync(file('crashed')) || args[0] === 'always') {
      writeFileSync(file('crashed'), '');
      process.stderr.write('out of luck\n', () => process.exit(9));
      await new Promise(() => {});
    }
    await say('survived');
  },
  async wait({ say, signal, args }) {
    note(`waits ${args[0]}`);
    await appears(args[0], signal);
    if (!signal.aborted) await say(`seen ${args[0]}`);
  },
  // Does not heed session/cancel.
  async deaf({ say, args }) {
    note(`deaf ${args[0]}`);
    await appears(args[0]);
    await say(`too late ${args[0]}`);
    note(`spoke ${args[0]}`);
    return 'end_turn';
  },
  // Heeds it by answering nevertheless.
  async stubborn({ say, signal }) {
    note('stubborn');
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await say('done anyway');
    return 'end_turn';
  },
  async permission({ say, session, client }) {
    await say(`outcome: ${await permission(client, session, 'p1')}`);
  },
  // Two questions at once, and one more when they are decided.
  async permissions({ session, client }) {
    await Promise.all(['p1', 'p2'].map((id) => permission(client, session, id)));
    await permission(client, session, 'p3');
    note('asked all');
  },
  async file({ say, client, session }) {
    const code = await client.request('fs/read_text_file', { sessionId: session, path: '/etc/passwd' }).then(() => 0, (e) => e.code);
    await say(`reading is ${code}`);
  },
  async ends({ say, args: [reason, ...words] }) {
    if (words.length) await say(words.join(' '));
    return reason;
  },
  // Says what the links of its prompt lead to; they are good during the turn only.
  async read({ say, blocks }) {
    for (const { uri, name } of blocks.filter((b) => b.type === 'resource_link')) {
      await say(`${name}: ${readFileSync(fileURLToPath(uri)).length}\n`);
    }
    await say('read');
  },
  async fail() {
    throw acp.RequestError.internalError(undefined, 'the model is on strike');
  },
  async noise({ say }) {
    process.stdout.write('a line of a log\n');
    await say('through the noise');
  },
};

const session = (id) => ({ sessionId: id });
const needSignIn = () => {
  if (options.auth && !signedIn) throw acp.RequestError.authRequired();
};
const app = acp
  .agent({ name: 'test-agent' })
  .onRequest('initialize', async () => {
    if (options.slow) await new Promise((resolve) => setTimeout(resolve, options.slow));
    return {
      protocolVersion: options.version,
      agentInfo: { name: 'test-agent', version: '1.2.3' },
      authMethods: options.auth ?? [],
      agentCapabilities: {
        loadSession: options.load === 'load',
        promptCapabilities: { image: options.image, embeddedContext: options.embedded },
        mcpCapabilities: { http: options.http },
        sessionCapabilities: { close: {}, ...(options.load === 'resume' && { resume: {} }) },
      },
    };
  })
  .onRequest('authenticate', ({ params }) => {
    note(`signed in by ${params.methodId}`);
    signedIn = true;
    return {};
  })
  .onRequest('session/new', ({ params }) => {
    needSignIn();
    const id = randomUUID();
    note(`new ${params.cwd} ${JSON.stringify(params.mcpServers)}`);
    save(id, []);
    return session(id);
  })
  .onRequest('session/load', async ({ params, client }) => {
    needSignIn();
    note(`load ${params.sessionId}`);
    for (const text of load(params.sessionId)) {
      for (const kind of ['user_message_chunk', 'agent_message_chunk']) {
        await client.notify('session/update', {
          sessionId: params.sessionId, update: { sessionUpdate: kind, content: { type: 'text', text: `OLD ${text}` } } });
      }
    }
    return {};
  })
  .onRequest('session/resume', ({ params }) => {
    note(`resume ${params.sessionId}`);
    load(params.sessionId);
    return {};
  })
  .onRequest('session/close', ({ params }) => {
    note(`close ${params.sessionId}`);
    return {};
  })
  .onRequest('session/prompt', async ({ params, client }) => {
    const abort = new AbortController();
    prompts.set(params.sessionId, abort);
    const text = params.prompt[0].text;
    const said = [...load(params.sessionId), text];
    const update = (u) => client.notify('session/update', { sessionId: params.sessionId, update: u });
    const say = (t) => update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: t } });
    const [word, ...args] = text.trim().split(/\s+/);
    const blocks = params.prompt.slice(1);
    if (blocks.length) note(`blocks ${JSON.stringify(blocks)}`);
    note(`prompt ${text}`);
    const reason = await (deeds[word] ?? deeds.remember)({
      said, say, update, client, args, blocks, session: params.sessionId, signal: abort.signal });
    save(params.sessionId, said);
    prompts.delete(params.sessionId);
    return { stopReason: reason ?? (abort.signal.aborted ? 'cancelled' : 'end_turn') };
  })
  .onNotification('session/cancel', ({ params }) => {
    note('cancel');
    prompts.get(params.sessionId)?.abort();
  });

app.connect(acp.ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)));
