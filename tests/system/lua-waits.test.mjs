// Handlers of type lua that wait: for an HTTP answer, for their next slice, for the look-up of a channel.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startScript } from '../lib/lua.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';
import { Web } from '../lib/web.mjs';

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

const host = (web) => new URL(web.url).host;
const start = (t, web, script, more) => startScript(t, world, script, { http_hosts: [host(web)], ...more });
const texts = (root) => ann.events.items
  .filter((e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.root_id === root.id)
  .map((e) => e.data.post.message);
const says = (root, text) => ann.hears((p) => p.user_id === bot.id && p.root_id === root.id && p.message === text, text);
async function ask(text) {
  const post = await ann.post(world.channel, text);
  return (await ann.hearsAnswer(bot, post)).message;
}
const asked = (web, test, what) => web.requests.find(test, what);
const closed = (request) => (request.closed ? undefined : new Promise((resolve) => request.response.on('close', resolve)));

// A service that answers when it is told: held.get('/path').end('text')
async function holding(t) {
  const held = new Map();
  const web = await Web.open(t, (request, response) => {
    request.response = response;
    held.set(request.path, response);
  });
  return { web, held };
}

describe('http', () => {
  test('what is sent and what comes back', async (t) => {
    const web = await Web.open(t, (request, response) => response.writeHead(request.method === 'POST' ? 201 : 404, {
      'Content-Type': 'text/x-test', 'X-Two': ['a', 'b'],
    }).end(request.method === 'HEAD' ? '' : `${request.method} answered`));
    await start(t, web, `
local url = ${JSON.stringify(web.url)}
local function tell(r) return ("%d %s %s %s"):format(r.status, r.headers["content-type"], r.headers["x-two"], r.body) end
function on_event(event)
  local list = {}
  list[1] = tell(http.get(url .. "/a?b=c", { headers = { ["X-Key"] = "k", Accept = "text/plain" } }))
  list[2] = tell(http.post(url .. "/json", { text = event.prompt, list = json.array{} }))
  list[3] = tell(http.post(url .. "/text", "plain \\0 text"))
  list[4] = tell(http.post(url .. "/form", "a=b", { headers = { ["content-type"] = "application/x-www-form-urlencoded" } }))
  list[5] = tell(http.request{ method = "PUT", url = url .. "/put", body = { 1, 2 }, timeout = 5 })
  list[6] = tell(http.request{ method = "HEAD", url = url .. "/head" })
  list[7] = tell(http.request{ method = "DELETE", url = url .. "/delete" })
  return table.concat(list, "\\n")
end`);
    assert.deepEqual((await ask('hello')).split('\n'), [
      '404 text/x-test a, b GET answered', '201 text/x-test a, b POST answered', '201 text/x-test a, b POST answered',
      '201 text/x-test a, b POST answered', '404 text/x-test a, b PUT answered', '404 text/x-test a, b ', '404 text/x-test a, b DELETE answered',
    ]);
    const sent = web.requests.items;
    assert.deepEqual(sent.map((r) => `${r.method} ${r.path}`),
      ['GET /a?b=c', 'POST /json', 'POST /text', 'POST /form', 'PUT /put', 'HEAD /head', 'DELETE /delete']);
    assert.equal(sent[0].headers['x-key'], 'k');
    assert.equal(sent[0].headers.accept, 'text/plain');
    assert.match(sent[0].headers['user-agent'], /^matterwire\//);
    assert.equal(sent[1].headers['content-type'], 'application/json');
    assert.deepEqual(JSON.parse(sent[1].text), { text: 'hello', list: [] });
    assert.equal(sent[2].headers['content-type'], 'text/plain; charset=utf-8');
    assert.equal(sent[2].text, 'plain \0 text');
    assert.equal(sent[3].headers['content-type'], 'application/x-www-form-urlencoded');
    assert.equal(sent[4].text, '[1,2]');
    assert.equal(sent[6].text, '');
  });

  test('what fails is nil and a sentence; a redirect is not followed', async (t) => {
    const other = await Web.open(t, (request, response) => response.end('never'));
    const web = await Web.open(t, (request, response) => {
      if (request.path === '/long') response.end('x'.repeat(1024 * 1024 + 1));
      else if (request.path === '/redirect') response.writeHead(302, { Location: other.url }).end();
      else if (request.path === '/cut') response.socket.destroy();
    });
    await start(t, web, `
local web, other = ${JSON.stringify(web.url)}, ${JSON.stringify(other.url)}
local urls = { other = other, long = web .. "/long", cut = web .. "/cut", file = "file:///etc/passwd", name = "localhost.localdomain" }
function on_event(event)
  if event.prompt == "slow" then return select(2, http.get(web .. "/slow", { timeout = 0.2 })) end
  if event.prompt == "trick" then return select(2, http.get("http://${host(web)}@${host(other)}/")) end
  if event.prompt == "redirect" then
    local r = http.get(web .. "/redirect")
    return r.status .. " " .. r.headers.location
  end
  local r, why = http.get(urls[event.prompt])
  return tostring(r) .. ": " .. why
end`);
    const refused = `nil: ${host(other)} is not among the hosts that this handler may reach (\`http_hosts\`)`;
    assert.equal(await ask('other'), refused);
    assert.equal(`nil: ${await ask('trick')}`, refused);
    assert.equal(await ask('long'), `nil: the answer of ${host(web)} is longer than 1048576 bytes`);
    assert.equal(await ask('cut'), `nil: ${host(web)} closed the connection without an answer`);
    assert.equal(await ask('file'), 'nil: not an http:// or https:// address');
    assert.equal(await ask('name'), 'nil: not an http:// or https:// address');
    assert.equal(await ask('slow'), `${host(web)} did not answer within 0.2 s`);
    assert.equal(await ask('redirect'), `302 ${other.url}`);
    assert.equal(other.requests.items.length, 0);
  });

  test('without http_hosts nothing can be reached; too many requests are a failure', async (t) => {
    const web = await Web.open(t, (request, response) => response.end('x'));
    const daemon = await start(t, web, `
function on_event(event)
  if event.prompt == "many" then for i = 1, 100 do assert(http.get("${web.url}/" .. i)) end end
  return select(2, http.get("${web.url}/")) or "reached"
end`);
    assert.equal(await ask('once'), 'reached');
    await ann.post(world.channel, 'many');
    await daemon.logged('the handler failed', (e) => /a turn may make 20 requests at most/.test(e.reason));
    assert.equal(web.requests.items.length, 21);
    delete daemon.config.handlers.rules.http_hosts;
    await daemon.configure(daemon.config);
    await daemon.cli('reload');
    assert.match(await ask('again'), /is not among the hosts that this handler may reach/);
    assert.equal(web.requests.items.length, 21);
  });

  test('several conversations wait side by side and share the globals; the old version ends its turns', async (t) => {
    const { web, held } = await holding(t);
    const script = (version) => `
waiting = 0
function on_event(event)
  if event.prompt == "count" then return ${JSON.stringify(version)} .. waiting end
  waiting = waiting + 1
  local r = assert(http.get("${web.url}/" .. event.prompt))
  return ${JSON.stringify(version)} .. r.body .. waiting
end`;
    const daemon = await start(t, web, script('one '));
    const [a, b] = [await ann.post(world.channel, 'a'), await ann.post(world.channel, 'b')];
    await asked(web, (r) => r.path === '/a', 'the request of a');
    await asked(web, (r) => r.path === '/b', 'the request of b');
    assert.equal(await ask('count'), 'one 2');
    held.get('/b').end('for b ');
    await says(b, 'one for b 2');
    await daemon.rewrite(script('two '));
    assert.equal(await ask('count'), 'two 0');
    held.get('/a').end('for a ');
    await says(a, 'one for a 2');
    assert.equal((await daemon.rules()).loads, 2);
  });

  test('stop and the time limit end the wait and its request', async (t) => {
    const { web } = await holding(t);
    const daemon = await start(t, web, `
function on_event(event)
  if event.prompt == "marker" then return "marker" end
  reply("asking")
  local r, why = http.get("${web.url}/" .. event.prompt)
  return "not to be said"
end`, { timeout: '3s' });
    const post = await ann.post(world.channel, 'stopped');
    await says(post, 'asking');
    const first = await asked(web, (r) => r.path === '/stopped', 'the first request');
    await ann.post(world.channel, `@${bot.username} stop`, { root_id: post.id });
    await closed(first);
    const late = await ann.post(world.channel, 'late');
    await asked(web, (r) => r.path === '/late', 'the second request');
    await daemon.logged('the handler took too long', (e) => /not done after 3 s/.test(e.reason));
    await closed(web.requests.items[1]);
    assert.equal(await ask('marker'), 'marker');
    await says(late, 'asking');
    assert.deepEqual(texts(late), ['asking']);
    assert.ok(!texts(post).includes('not to be said'));
  });

  for (const [how, end] of [['kill -9', (d) => d.kill()], ['a stop of the daemon', (d) => d.stop()]]) {
    test(`${how} while it waits: the event is given again; each post and the answer once`, async (t) => {
      const { web, held } = await holding(t);
      const daemon = await start(t, web, `
function on_event(event)
  if event.prompt == "marker" then return "marker" end
  reply("before")
  local r = assert(http.get("${web.url}/run"))
  reply("after " .. r.body)
  return "done"
end`);
      const post = await ann.post(world.channel, 'work');
      await says(post, 'before');
      await asked(web, () => true, 'the request');
      await end(daemon);
      await daemon.start();
      await asked(web, (r) => r.n === 2, 'the second request');
      held.get('/run').end('it');
      await says(post, 'done');
      await says(post, 'after it');
      assert.equal(await ask('marker'), 'marker');
      assert.deepEqual(texts(post).sort(), ['after it', 'before', 'done']);
    });
  }
});

test('a long turn leaves room for the others: one loops until the other one was answered', async (t) => {
  const { web, held } = await holding(t);
  await start(t, web, `
function on_event(event)
  http.get("${web.url}/" .. event.prompt)
  if event.prompt == "tell" then told = true return "told" end
  while not told do end
  return "heard"
end`);
  const loop = await ann.post(world.channel, 'loop'), tell = await ann.post(world.channel, 'tell');
  for (const path of ['/loop', '/tell']) await asked(web, (r) => r.path === path, path);
  held.get('/loop').end();
  held.get('/tell').end();
  await says(tell, 'told');
  await says(loop, 'heard');
});

describe('a post to a channel by name', () => {
  test('kill -9 while the name is looked up: it is posted once, with the answer', sandboxOnly, async (t) => {
    const other = await world.newChannel();
    const daemon = await startScript(t, world, `
function on_event(event)
  if event.prompt == "marker" then return "marker" end
  post(${JSON.stringify(other.name)}, "elsewhere")
  return "done"
end`);
    const rule = await server.control('/rules', {
      action: 'hang', method: 'GET', path: `/api/v4/teams/name/${world.team.name}/channels/name/${other.name}`, count: -1,
    });
    t.after(() => server.control('/rules/clear', {}));
    const post = await ann.post(world.channel, 'work');
    await server.control(`/wait?rule=${rule.id}&hits=1`);
    await daemon.kill();
    assert.deepEqual(texts(post), []);
    await server.control('/rules/clear', {});
    await daemon.start();
    await says(post, 'done');
    const inOther = (p) => p.channel_id === other.id && p.message === 'elsewhere';
    await ann.hears(inOther, 'the post elsewhere');
    assert.equal(await ask('marker'), 'marker');
    assert.deepEqual(texts(post), ['done']);
    const { posts } = await ann.rest.getPosts(other.id);
    assert.equal(Object.values(posts).filter(inOther).length, 1);
  });

  test('a look-up that cannot be made now is a failure of the turn, which is tried again', sandboxOnly, async (t) => {
    const other = await world.newChannel();
    const daemon = await startScript(t, world, `
function on_event(event)
  post(${JSON.stringify(other.name)}, "elsewhere")
  return "done"
end`, { attempts: 3 });
    await server.control('/rules', {
      action: 'abort', method: 'GET', path: `/api/v4/teams/name/${world.team.name}/channels/name/${other.name}`, count: -1,
    });
    t.after(() => server.control('/rules/clear', {}));
    const post = await ann.post(world.channel, 'work');
    await daemon.logged('the handler failed', (e) => /^what it posts could not be recorded: /.test(e.reason), 40000);
    assert.deepEqual(texts(post), []);
    await server.control('/rules/clear', {});
    await says(post, 'done');
    await ann.hears((p) => p.channel_id === other.id && p.message === 'elsewhere', 'the post elsewhere');
  });
});
