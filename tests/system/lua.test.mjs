// Handlers of type lua: what a script answers and does, its new versions, its limits, and a daemon that dies.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startScript } from '../lib/lua.mjs';
import { Server, World } from '../lib/server.mjs';

const greeter = fileURLToPath(new URL('../../examples/greeter.lua', import.meta.url));
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

const start = (t, script, more) => startScript(t, world, script, more);
const says = (text) => `function on_event(event) return ${JSON.stringify(text)} end\n`;
const posted = (test) => ann.events.items.filter((e) => e.event === 'posted' && e.data.post.user_id === bot.id && test(e.data.post));
async function ask(text) {
  const post = await ann.post(world.channel, text);
  return (await ann.hearsAnswer(bot, post)).message;
}

test('the example of the handbook', async (t) => {
  await start(t, undefined, { script: greeter });
  assert.equal(await ask('hello'), `Hello @${ann.user.username}, nice to meet you!`);
  assert.equal(await ask('Hello again'), `Hello @${ann.user.username}, welcome back! This is time 2.`);
  assert.equal(await ask(`@${bot.username} sum 1 2 -5`), 'That makes **-2**.');
  const post = await ann.post(world.channel, 'card');
  const answer = await ann.hearsAnswer(bot, post);
  assert.equal(answer.props.attachments[0].title, ann.user.username);
  const other = await ann.post(world.channel, 'whatever');
  const { data } = await ann.events.find((e) => e.event === 'reaction_added' && e.data.reaction.post_id === other.id, 'the reaction');
  assert.equal(data.reaction.emoji_name, 'wave');
});

describe('what it answers and does', () => {
  test('a text, a table, nothing, what cannot be posted', async (t) => {
    const daemon = await start(t, `
function on_event(event)
  local what = event.prompt
  if what == "text" then return "**" .. event.user_name .. "** in " .. event.channel_name end
  if what == "table" then return { text = "both", reactions = { "rocket" } } end
  if what == "none" then return nil end
  if what == "number" then return 7 end
  if what == "member" then return { txet = "x" } end
  log("asked for", what, { 1 } ~= nil)
  return event.nobody.name
end`);
    assert.equal(await ask('text'), `**${ann.user.username}** in ${world.channel.name}`);
    const post = await ann.post(world.channel, 'table');
    assert.equal((await ann.hearsAnswer(bot, post)).message, 'both');
    await ann.events.find((e) => e.event === 'reaction_added' && e.data.reaction.post_id === post.id && e.data.reaction.emoji_name === 'rocket', 'the rocket');
    const none = await ann.post(world.channel, 'none');
    await daemon.logged('the handler had no answer');
    await ann.post(world.channel, 'number');
    await daemon.logged('the handler failed', (e) => e.reason === 'on_event must return a text, a table or nil');
    await ann.post(world.channel, 'member');
    await daemon.logged('the handler failed', (e) => /txet/.test(e.reason));
    await ann.post(world.channel, 'error');
    await daemon.logged('a script says', (e) => e.text === 'asked for error true' && e.handler === 'rules');
    await daemon.logged('the handler failed', (e) => /^rules\.lua:10: attempt to index a nil value/.test(e.reason));
    assert.equal(posted((p) => p.root_id === none.id).length, 0);
    assert.equal((await daemon.rules()).errors, 2);
  });

  test('reply, post and react; a channel that there is not is told', async (t) => {
    const other = await world.newChannel();
    const daemon = await start(t, `
function on_event(event)
  reply("first")
  post(${JSON.stringify(other.name)}, "elsewhere: " .. event.prompt)
  react("eyes")
  post("no-such-channel-at-all", "lost")
  return "last"
end`);
    const post = await ann.post(world.channel, 'go');
    for (const text of ['first', 'last']) await ann.hears((p) => p.root_id === post.id && p.message === text, text);
    await ann.hears((p) => p.channel_id === other.id && p.message === 'elsewhere: go', 'the post elsewhere');
    await ann.events.find((e) => e.event === 'reaction_added' && e.data.reaction.post_id === post.id && e.data.reaction.emoji_name === 'eyes', 'the eyes');
    await daemon.logged('what a script posts could not be sent', (e) => /no-such-channel-at-all/.test(e.reason));
  });

  test('state outlives the daemon, globals do not', async (t) => {
    const daemon = await start(t, `
n = 0
function on_event(event)
  n = n + 1
  local kept = state.get("kept") or { times = 0 }
  kept.times = kept.times + 1
  state.set("kept", kept)
  return kept.times .. " " .. n
end`);
    assert.equal(await ask('one'), '1 1');
    assert.equal(await ask('two'), '2 2');
    await daemon.restart();
    assert.equal(await ask('three'), '3 1');
  });
});

test('state has a limit, which outlives the daemon', async (t) => {
  const daemon = await start(t, `
function on_event(event)
  if event.prompt == "free" then state.set("a", nil) return "freed" end
  state.set(event.prompt, ("x"):rep(2000000))
  return "kept"
end`);
  for (const key of ['a', 'b', 'c', 'd', 'a']) assert.equal(await ask(key), 'kept');
  for (const attempt of [1, 2]) {
    const post = await ann.post(world.channel, `e${attempt}`);
    await daemon.logged('the handler failed', (e) => /state may have 8 MiB at most: delete some of it, with nil$/.test(e.reason));
    assert.equal(posted((p) => p.root_id === post.id).length, 0);
    if (attempt === 1) await daemon.restart();
  }
  assert.equal(await ask('free'), 'freed');
  assert.equal(await ask('e'), 'kept');
});

test('a new version is used; a broken one is told once and the old one goes on', async (t) => {
  const daemon = await start(t, says('one'));
  assert.equal(await ask('a'), 'one');
  await daemon.rewrite(says('two'));
  assert.equal(await ask('b'), 'two');
  await daemon.rewrite('function on_event(event)\n  retrun 3\nend\n');
  assert.equal(await ask('c'), 'two');
  assert.equal(await ask('d'), 'two');
  const told = 'a new version of a script is broken, the one before goes on';
  await daemon.logged(told, (e) => e.handler === 'rules' && /^rules\.lua:2: syntax error/.test(e.reason));
  assert.equal(daemon.program.stderr.items.filter((line) => line.includes(told)).length, 1);
  assert.match((await daemon.rules()).problem, /^rules\.lua:2: syntax error/);
  await daemon.rewrite(says('four'));
  assert.equal(await ask('e'), 'four');
  const { problem, loads } = await daemon.rules();
  assert.equal(problem, undefined);
  assert.equal(loads, 3);
});

test('a first version that is broken: each event fails with the sentence until it is mended', async (t) => {
  const daemon = await start(t, 'function on_evnet(event) end\n');
  await ann.post(world.channel, 'a');
  await daemon.logged('the handler failed', (e) => e.reason === 'rules.lua: it has no function on_event(event)');
  await daemon.rewrite(says('mended'));
  assert.equal(await ask('b'), 'mended');
});

test('an endless loop and too much memory are failures with a sentence; the next event is answered', async (t) => {
  const daemon = await start(t, `
kept = "here"
function on_event(event)
  if event.prompt == "loop" then while true do pcall(function() while true do end end) end end
  if event.prompt == "bomb" then local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(100000) .. i end end
  if event.prompt == "one bomb" then return ("x"):rep(1e9) end
  return kept
end`, { memory_mb: 4 });
  for (const [text, sentence] of [['loop', /it ran for more/], ['bomb', /memory/], ['one bomb', /memory/]]) {
    const post = await ann.post(world.channel, text);
    const { event } = await daemon.logged('the handler failed', (e) => sentence.test(e.reason));
    assert.ok(event > 0);
    assert.equal(await ask(`after ${text}`), 'here');
    assert.equal(posted((p) => p.root_id === post.id).length, 0);
  }
});

test('how much one event may do, whatever the script catches', async (t) => {
  await start(t, `
function on_event(event)
  local done = 0
  for i = 1, 30 do if pcall(react, "eyes") then done = done + 1 end end
  local ok, why = pcall(react, "eyes")
  return done .. " " .. why
end`);
  assert.match(await ask('go'), /^20 .*a turn may post and react 20 times at most$/);
});

test('an event that is given again: the same posts, reactions and answer, once', async (t) => {
  const daemon = await start(t, `
function on_event(event)
  if event.prompt ~= "work" then return "marker" end
  local run = (state.get("run") or 0) + 1
  state.set("run", run)
  reply("step one")
  react("eyes")
  if run == 1 then error("not yet") end
  reply("step two")
  return "done in run " .. run
end`, { attempts: 3 });
  const post = await ann.post(world.channel, 'work');
  await ann.hears((p) => p.root_id === post.id && p.message === 'done in run 2', 'the answer');
  assert.equal(await ask('and then'), 'marker');
  await daemon.logged('the handler failed', (e) => /not yet/.test(e.reason));
  assert.deepEqual(posted((p) => p.root_id === post.id).map((e) => e.data.post.message).sort(),
    ['done in run 2', 'step one', 'step two']);
});

test('kill -9 between the attempts: each post once, one answer', async (t) => {
  const daemon = await start(t, `
function on_event(event)
  if event.prompt ~= "work" then return "marker" end
  reply("step one")
  error("not yet")
end`, { attempts: 5 });
  const post = await ann.post(world.channel, 'work');
  await ann.hears((p) => p.root_id === post.id && p.message === 'step one', 'the first step');
  await daemon.kill();
  await daemon.rewrite(`
function on_event(event)
  if event.prompt ~= "work" then return "marker" end
  reply("step one")
  reply("step two")
  return "done"
end`);
  await daemon.start();
  await ann.hears((p) => p.root_id === post.id && p.message === 'done', 'the answer');
  await ann.hears((p) => p.root_id === post.id && p.message === 'step two', 'the second step');
  assert.equal(await ask('and then'), 'marker');
  assert.deepEqual(posted((p) => p.root_id === post.id).map((e) => e.data.post.message).sort(), ['done', 'step one', 'step two']);
});

test('kill -9 while the script runs: the event is given again, each post once, one answer', async (t) => {
  const daemon = await start(t, `
function on_event(event)
  if event.prompt ~= "work" then return "marker" end
  reply("step")
  log("at work")
  for i = 1, 1e6 do end
  return "done"
end`);
  const post = await ann.post(world.channel, 'work');
  await daemon.logged('a script says', (e) => e.text === 'at work');
  await daemon.kill();
  await daemon.start();
  await ann.hears((p) => p.root_id === post.id && p.message === 'done', 'the answer');
  await ann.hears((p) => p.root_id === post.id && p.message === 'step', 'the step');
  assert.equal(await ask('and then'), 'marker');
  assert.deepEqual(posted((p) => p.root_id === post.id).map((e) => e.data.post.message).sort(), ['done', 'step']);
});
