// Handlers of type process: the example of the handbook, and programs that die.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { within } from '../lib/client.mjs';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { gone } from '../lib/machine.mjs';
import { Server, World } from '../lib/server.mjs';

const example = fileURLToPath(new URL('../../examples/process.py', import.meta.url));
let server, world, ann, bot;

before(async () => {
  server = await Server.open();
  world = await World.open(server, { people: ['ann'] });
  ({ ann, bot } = world);
  await ann.listen();
});

after(async () => {
  await world?.close();
  await server?.close();
});

// A program in Python whose body is run for each message `m`; `tell(**answer)` answers it, `note(text)` writes to notes.
const python = (body) => `#!/usr/bin/env python3
import json, os, sys, time
def note(text):
    with open("notes", "a") as f: f.write(text + "\\n")
note("start")
for line in sys.stdin:
    m = json.loads(line)
    def tell(**answer): print(json.dumps({"id": m["id"], **answer}), flush=True)
${body.replace(/^/gm, '    ')}
`;

async function start(t, script, more = {}) {
  const command = script ? ['./program'] : [example];
  const daemon = await Daemon.start(
    { bots: [botConfig(world, bot, { handler: 'program' })], handlers: { program: { type: 'process', command, concurrency: 20, ...more } } },
    { scripts: script ? { program: python(script) } : {} });
  t.after(() => daemon.close());
  daemon.noted = (text, n = 1) => {
    const look = async () => {
      for (;;) {
        const notes = (await readFile(path.join(daemon.folder, 'notes'), 'utf8').catch(() => '')).split('\n');
        if (notes.filter((line) => line === text).length >= n) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    return within(look(), `the program to note '${text}' ${n} times`);
  };
  return daemon;
}

const answers = (post) => ann.events.items
  .filter((e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.root_id === (post.root_id || post.id))
  .map((e) => e.data.post.message);
async function answered(text, expected, more) {
  const post = await ann.post(world.channel, text, more);
  await ann.hears((p) => p.user_id === bot.id && p.root_id === (post.root_id || post.id) && p.message.trim() === expected, `'${expected}'`);
  return post;
}

test('the example: one program for all events, with a memory', async (t) => {
  const daemon = await start(t);
  const first = await answered('buy milk', `I shall remember that, @${ann.user.username}.`);
  await answered('list', `- ${ann.user.username}: buy milk`, { root_id: first.id });
  await answered('list', 'Nothing yet.');
  const { handlers } = (await daemon.cli('status', '--json')).json;
  assert.equal(handlers[0].answered, 3);
});

test('the example: an answer in pieces', async (t) => {
  await start(t);
  await ann.post(world.channel, 'count 3');
  await ann.events.find((e) => ['posted', 'post_edited'].includes(e.event) && e.data.post.user_id === bot.id
    && e.data.post.message.trim() === '1 2 3', 'all of it');
});

test('what it is given: the event, the words, the conversation', async (t) => {
  await start(t, 'tell(text=" ".join([m["event"]["kind"], m["event"]["user_name"], m["text"], str(sorted(m))]))');
  await answered('to be "quoted"', `post ${ann.user.username} to be "quoted" ['conversation', 'event', 'files', 'id', 'text']`);
});

test('many at once, in one program', async (t) => {
  const daemon = await start(t, `
note("got " + m["text"])
waiting = globals().setdefault("waiting", [])
waiting.append(m["id"])
if len(waiting) == 10:
    for id in reversed(waiting): print(json.dumps({"id": id, "text": f"number {id}"}), flush=True)
`);
  const posts = [];
  for (let i = 0; i < 10; i++) posts.push(await ann.post(world.channel, 'go'));
  await ann.events.count(10, (e) => e.event === 'posted' && posts.some((p) => p.id === e.data.post.root_id), 'ten answers');
  for (const post of posts) assert.equal(answers(post).length, 1);
  await daemon.noted('start');
});

test('it dies in the middle: started again, the same events are given again, each is answered once', async (t) => {
  const daemon = await start(t, `
note("got " + m["text"])
if m["text"] == "die" and not os.path.exists("died"):
    open("died", "w").close()
    sys.exit(3)
if m["text"] != "hold" or os.path.exists("died"): tell(text="done " + m["text"])
`);
  const held = await ann.post(world.channel, 'hold');
  await daemon.noted('got hold');
  const post = await answered('die', 'done die');
  await ann.hears((p) => p.root_id === held.id && p.message === 'done hold');
  await answered('on', 'done on');
  assert.deepEqual(answers(post), ['done die']);
  assert.deepEqual(answers(held), ['done hold']);
  await daemon.noted('got hold', 2);
  await daemon.noted('start', 2);
});

test('it dies over the same event again and again: that event fails, others are served', async (t) => {
  const daemon = await start(t, `
if m["text"] == "poison":
    print("cannot swallow that", file=sys.stderr)
    sys.exit(3)
tell(text="fine")
`);
  await ann.post(world.channel, 'poison');
  await daemon.logged('the handler failed',
    (e) => e.reason === 'the program ended 3 times over this event; at last: exit status 3: cannot swallow that');
  await answered('bread', 'fine');
});

test('noise, an error and no answer', async (t) => {
  const daemon = await start(t, `
print("listening...", flush=True)
if m["text"] == "fail": tell(error="no idea")
elif m["text"] == "none": tell(none=True)
else: tell(text="heard")
`);
  await ann.post(world.channel, 'fail');
  await daemon.logged('the handler failed', (e) => e.reason === 'no idea');
  await ann.post(world.channel, 'none');
  await daemon.logged('the handler had no answer');
  await answered('some', 'heard');
  await daemon.logged("a handler's program prints what is no answer; its log belongs to standard error");
});

test('kill -9 of the daemon in the middle: exactly one answer', async (t) => {
  const daemon = await start(t, `
note("got " + m["text"])
while m["text"] == "wait" and not os.path.exists("open"): time.sleep(0.02)
tell(text="done " + m["text"])
`);
  const post = await ann.post(world.channel, 'wait');
  await daemon.noted('got wait');
  await daemon.program.kill('SIGKILL');
  await daemon.start();
  await daemon.noted('got wait', 2);
  await writeFile(path.join(daemon.folder, 'open'), '');
  await ann.hears((p) => p.root_id === post.id && p.message === 'done wait');
  await answered('next', 'done next');
  assert.deepEqual(answers(post), ['done wait']);
});

test('a stop leaves no program behind, whatever it ignores', async (t) => {
  const daemon = await start(t, `
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("pid", "w").write(str(os.getpid()))
note("got " + m["text"])
while True: time.sleep(0.1)
`);
  await ann.post(world.channel, 'sleep');
  await daemon.noted('got sleep');
  const pid = Number(await readFile(path.join(daemon.folder, 'pid'), 'utf8'));
  await daemon.stop();
  await gone(pid);
});
