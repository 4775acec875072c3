// Buttons and menus in answers: the server calls the program's own address when somebody presses them.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Daemon, botConfig } from '../lib/daemon.mjs';
import { Server, World, live } from '../lib/server.mjs';
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

async function answer(t, json) {
  const daemon = await Daemon.start({
    bots: [botConfig(world, bot, { handler: 'panel' })],
    handlers: { panel: { type: 'command', command: ['./panel'], output: 'json' } },
  }, { scripts: { panel: `#!/bin/sh\ncat >/dev/null; cat <<'END'\n${JSON.stringify(json)}\nEND\n` } });
  t.after(() => daemon.close());
  return daemon;
}

// A server does not call the machine that it runs on unless it is told that it may.
async function callsLocalAddresses() {
  if (!live) return true;
  const config = await server.admin.rest.getConfig();
  return /127\.0\.0\.1/.test(config.ServiceSettings.AllowedUntrustedInternalConnections);
}

const press = (post, action, body = {}) => ann.call('POST', `/posts/${post.id}/actions/${action.id}`, body);

test('a button leads to the program, which changes the post; a menu tells what was chosen', async (t) => {
  const web = await Web.open(t, (request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(request.path === '/go' ? JSON.stringify({ update: { message: 'gone' } }) : '{}'); // 5.37 takes no empty answer
  });
  await answer(t, {
    text: 'May I?',
    buttons: [{ text: 'Go', url: `${web.url}/go`, style: 'primary', context: { secret: 'x1', n: 7 } }],
    attachments: [{
      text: 'Where to?',
      actions: [{ id: 'where1', type: 'select', name: 'Pick', options: [{ text: 'Up', value: 'up' }], integration: { url: `${web.url}/where` } }],
    }],
  });
  const asked = await ann.post(world.channel, 'panel');
  const post = await ann.hears((p) => p.user_id === bot.id && p.root_id === asked.id, 'the answer with buttons');
  const [menu, button] = post.props.attachments.map((card) => card.actions[0]);
  assert.equal(post.message, 'May I?');
  assert.deepEqual([menu.id, menu.type, menu.name], ['where1', 'select', 'Pick']);
  assert.deepEqual([button.type, button.name, button.style], ['button', 'Go', 'primary']);
  assert.match(button.id, /^[a-z0-9]+$/);
  assert.equal(button.integration, undefined, 'where it leads is not for clients');

  if (!(await callsLocalAddresses())) {
    t.diagnostic('the server may not call local addresses: nothing was pressed');
    return;
  }
  const chosen = await press(post, menu, { selected_option: 'up' });
  assert.equal(chosen.status, 200);
  const where = JSON.parse((await web.requests.find((r) => r.path === '/where', 'the menu to be told')).text);
  assert.deepEqual(where.context, { selected_option: 'up' });
  assert.equal(where.user_id, ann.user.id);
  assert.equal(where.post_id, post.id);
  const pressed = await press(post, button);
  assert.equal(pressed.status, 200);
  assert.equal(pressed.json.status, 'OK');
  const go = JSON.parse((await web.requests.find((r) => r.path === '/go', 'the button to be told')).text);
  assert.deepEqual(go.context, { secret: 'x1', n: 7 });
  await ann.events.find((e) => e.event === 'post_edited' && e.data.post.id === post.id && e.data.post.message === 'gone', 'the post to change');
  assert.equal((await press(post, { id: 'nosuch' })).status, 404);
});

test('a program that does not answer 200 is a failed press', async (t) => {
  const web = await Web.open(t, (request, response) => {
    response.statusCode = 503;
    response.end();
  });
  await answer(t, { text: 'May I?', buttons: [{ text: 'Go', url: web.url }] });
  const asked = await ann.post(world.channel, 'panel');
  const post = await ann.hears((p) => p.user_id === bot.id && p.root_id === asked.id, 'the answer with a button');
  const pressed = await press(post, post.props.attachments[0].actions[0]);
  assert.equal(pressed.status, 400);
});

test('a button without an address is refused with a sentence', async (t) => {
  const daemon = await answer(t, { text: 'May I?', buttons: [{ text: 'Go' }] });
  await ann.post(world.channel, 'panel');
  await daemon.logged('the handler failed');
  const { handlers } = (await daemon.cli('status', '--json')).json;
  assert.match(handlers[0].last_error, /button 1 of the answer needs the `url` of your program.*needs an HTTP address of the daemon/);
});
