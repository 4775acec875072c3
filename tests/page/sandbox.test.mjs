// The sandbox's chat page, as a person uses it.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Person, eventually } from '../lib/client.mjs';
import { Server, World, sandboxOnly } from '../lib/server.mjs';
import { Browser, composer, postWith, ready, say, sent, threadComposer } from './browser.mjs';

let server, world, browser, bot, open;
const windows = [];

describe('the chat page', sandboxOnly, () => {
  before(async () => {
    server = await Server.open();
    world = await World.open(server, { people: ['ann', 'bob', 'cat'], bots: ['bot'] });
    bot = await Person.withToken(server.url, world.bot.token);
    browser = await Browser.open();
    open = async (person, { channel = world.channel, hash, wait = true, ...options } = {}) => {
      const where = hash ?? `#${person.user.username}/${channel.name}`;
      const win = await browser.window(server.url, { hash: where, ...options });
      windows.push(win);
      if (wait) await ready(win.page);
      return win.page;
    };
  });

  afterEach(async () => {
    for (const win of windows.splice(0)) await win.close();
  });

  after(async () => {
    await browser?.close();
    await world?.close();
    await server?.close();
  });

  test('a tab is a person, and stays that person', async () => {
    const page = await open(null, { hash: '', wait: false });
    const me = world.ann.user.username;
    await page.getByRole('heading', { name: 'Who are you in this tab?' }).waitFor();
    assert.equal(await page.locator(`.person-card[data-username="${world.bot.username}"]`).count(), 0);
    await page.getByText(`@${world.bot.username}`).waitFor();
    await page.locator(`.person-card[data-username="${me}"]`).click();
    await ready(page);
    assert.match(new URL(page.url()).hash, new RegExp(`^#${me}/`));
    await page.goto(`${server.url}/`);
    await page.reload();
    await ready(page);
    assert.equal(await page.locator('.person-text span').textContent(), `@${me}`);
    await page.getByRole('link', { name: 'Be somebody else' }).click();
    await page.getByRole('heading', { name: 'Who are you in this tab?' }).waitFor();
  });

  test('an unknown person is told so', async () => {
    const page = await open(null, { hash: '#nobody-here/town-square', wait: false });
    await page.getByText('Cannot be nobody-here here.').waitFor();
    await page.getByRole('heading', { name: 'Who are you in this tab?' }).waitFor();
  });

  test('what one writes the other sees at once', async () => {
    const [a, b] = await Promise.all([open(world.ann), open(world.bob)]);
    await say(a, 'good morning from ann');
    await postWith(b, 'good morning from ann').waitFor();
    assert.equal(await composer(a).inputValue(), '');
    await postWith(a, 'good morning from ann').waitFor();
    assert.equal(await postWith(a, 'good morning from ann').count(), 1);

    await composer(b).fill('first line');
    await composer(b).press('Shift+Enter');
    await composer(b).pressSequentially('second line');
    await composer(b).press('Enter');
    await postWith(a, 'second line').waitFor();
    assert.equal(await postWith(a, 'first line').locator('.markdown br').count(), 1);
    const posts = (await world.ann.rest.getPosts(world.channel.id)).posts;
    assert.ok(Object.values(posts).some((p) => p.message === 'first line\nsecond line'));
  });

  test("a bot's answer shows in the channel, and its thread opens beside it", async () => {
    const [a, b] = await Promise.all([open(world.ann), open(world.bob)]);
    await say(a, 'question for the bot');
    await sent(a, 'question for the bot');
    const root = Object.values((await bot.rest.getPosts(world.channel.id)).posts).find((p) => p.message === 'question for the bot');
    await bot.post(world.channel, 'the **bold** answer', { root_id: root.id });
    const preview = a.locator('.thread-summary', { hasText: 'the bold answer' });
    await preview.waitFor();
    assert.equal(await preview.locator('strong', { hasText: 'bold' }).count(), 1);
    assert.equal(await preview.locator('.badge').textContent(), 'bot');
    await preview.getByRole('button', { name: '1 reply' }).click();

    const panel = a.getByRole('complementary', { name: 'Thread' });
    await panel.getByText('the bold answer').waitFor();
    await threadComposer(a).fill('thanks, bot');
    await threadComposer(a).press('Enter');
    await panel.locator('.post', { hasText: 'thanks, bot' }).waitFor();
    await b.locator('.thread-summary', { hasText: 'thanks, bot' }).getByRole('button', { name: '2 replies' }).waitFor();
    const thread = await bot.rest.getPostThread(root.id);
    assert.deepEqual(Object.values(thread.posts).filter((p) => p.root_id).map((p) => p.message).sort(),
      ['thanks, bot', 'the **bold** answer']);

    assert.match(a.url(), new RegExp(`/${root.id}$`));
    await a.reload();
    await panel.getByText('thanks, bot').waitFor();
    await a.keyboard.press('Escape');
    await panel.waitFor({ state: 'hidden' });
  });

  test('typing shows on the other side', async () => {
    const [a, b] = await Promise.all([open(world.ann), open(world.bob)]);
    await composer(a).pressSequentially('I am');
    await b.locator('.main .typing', { hasText: 'is typing' }).waitFor();
    await composer(a).press('Enter');
    await postWith(b, 'I am').waitFor();
    await b.locator('.main .typing', { hasText: 'is typing' }).waitFor({ state: 'hidden' });
  });

  test('Markdown is shown, and nothing of a message is read as HTML', async () => {
    const page = await open(world.bob);
    await world.ann.post(world.channel, [
      'rich *em* **strong** ~~gone~~ `code` :rocket: [site](https://example.com/a?b=1) https://example.org/x.',
      '', '# Title', '', '- one', '- two', '  1. deep', '', '> quoted', '', '```js', 'let x = "<b>";', '```', '',
      '| a | b |', '|---|--:|', '| 1 | 2 |', '', `@${world.bob.user.username} and ~${world.channel.name}`,
    ].join('\n'));
    const text = postWith(page, 'rich em').locator('.markdown').first();
    await text.waitFor();
    const count = (css) => text.locator(css).count();
    for (const css of ['em', 'strong', 'del', 'h1', 'ul > li ol > li', 'blockquote', 'table td.align-right', '.mention-self']) {
      assert.equal(await count(css), 1, css);
    }
    assert.equal(await text.locator('.code-language').textContent(), 'js');
    assert.equal(await text.locator('pre').textContent(), 'let x = "<b>";');
    assert.equal(await text.locator('.emoji').textContent(), '🚀');
    const links = await text.locator('a[target]').evaluateAll((all) => all.map((a) => [a.href, a.rel]));
    assert.deepEqual(links, [['https://example.com/a?b=1', 'noopener noreferrer nofollow'],
      ['https://example.org/x', 'noopener noreferrer nofollow']]);

    const hostile = [
      'hostile <img src=x onerror="window.broken=1"><script>window.broken=1</script>',
      '[a](javascript:window.broken=1) [b](data:text/html,x) [c]( javascript:alert`1`) <javascript:alert(1)>',
      '![pixel](https://example.com/pixel.png)', '`<i>`', '```"><b onclick=1', '<u>x</u>', '```',
      '@<b>x</b> ~<b>y</b> :<b>: | <a href="javascript:1">z</a>',
    ].join('\n');
    await world.ann.post(world.channel, hostile, {
      props: { attachments: [{ color: 'red;background:url(https://example.com/c)', title: '<b>t</b>',
        title_link: 'javascript:window.broken=1', text: '<script>window.broken=1</script>',
        fields: [{ title: '<i>f</i>', value: '<i>v</i>' }, null, 3] }, null, 'x'] },
    });
    const bad = postWith(page, 'hostile');
    await bad.waitFor();
    assert.equal(await bad.locator('script, img, u, i, b, [onclick], [onerror]').count(), 0);
    const hrefs = await bad.locator('a').evaluateAll((all) => all.map((a) => a.href));
    assert.deepEqual(hrefs, ['https://example.com/pixel.png']);
    assert.equal(await page.evaluate(() => window.broken), undefined);
  });

  test('attachments are cards', async () => {
    const page = await open(world.ann);
    await bot.post(world.channel, '', { props: { attachments: [{ color: '#ff0000', pretext: 'before', title: 'Deployed',
      title_link: 'https://example.com/d', text: 'all **green**', fields: [{ title: 'Env', value: 'prod', short: true }] }] } });
    const card = page.locator('.attachment', { hasText: 'Deployed' });
    await card.waitFor();
    assert.equal(await card.locator('dt').textContent(), 'Env');
    assert.equal(await card.locator('dd').textContent(), 'prod');
    assert.equal(await card.locator('a').getAttribute('href'), 'https://example.com/d');
    assert.equal(await card.evaluate((e) => getComputedStyle(e, '::before').backgroundColor), 'rgb(255, 0, 0)');
  });

  test('reactions come and go on both sides', async () => {
    const [a, b] = await Promise.all([open(world.ann), open(world.bob)]);
    await say(a, 'react to this');
    const [mine, theirs] = [postWith(a, 'react to this'), postWith(b, 'react to this')];
    await theirs.hover();
    await theirs.getByRole('button', { name: 'Add a reaction' }).first().click();
    await b.getByRole('option', { name: 'tada' }).click();
    const chip = mine.locator('.reaction', { hasText: '🎉' });
    await chip.waitFor();
    assert.equal(await chip.getAttribute('aria-pressed'), 'false');
    await chip.click();
    await theirs.locator('.reaction', { hasText: '2' }).waitFor();
    await theirs.locator('.reaction', { hasText: '🎉' }).click();
    await mine.locator('.reaction.is-mine', { hasText: '1' }).waitFor();
    await mine.locator('.reaction', { hasText: '🎉' }).click();
    await theirs.locator('.reaction', { hasText: '🎉' }).waitFor({ state: 'detached' });
  });

  test('own posts can be edited and deleted, those of others not', async () => {
    const [a, b] = await Promise.all([open(world.ann), open(world.bob)]);
    await say(a, 'a tpyo of mine');
    await postWith(b, 'a tpyo of mine').hover();
    assert.equal(await postWith(b, 'a tpyo of mine').getByRole('button', { name: 'Edit' }).count(), 0);
    assert.equal(await postWith(b, 'a tpyo of mine').getByRole('button', { name: 'Delete' }).count(), 0);
    await postWith(a, 'a tpyo of mine').getByRole('button', { name: 'Edit' }).waitFor({ state: 'attached' });

    await composer(a).press('ArrowUp');
    const editor = a.getByRole('textbox', { name: 'Edit the message' });
    await editor.fill('a typo of mine');
    await editor.press('Enter');
    await postWith(b, 'a typo of mine').getByText('(edited)').waitFor();

    await postWith(a, 'a typo of mine').hover();
    await postWith(a, 'a typo of mine').getByRole('button', { name: 'Delete' }).click();
    await a.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await postWith(b, 'a typo of mine').waitFor({ state: 'detached' });
    await postWith(a, 'a typo of mine').waitFor({ state: 'detached' });
  });

  test('files go up and are shown', async () => {
    const [a, b] = await Promise.all([open(world.ann), open(world.bob)]);
    const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC', 'base64');
    await a.locator('.main input[type=file]').setInputFiles([
      { name: 'dot.png', mimeType: 'image/png', buffer: png },
      { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('remember the milk') },
    ]);
    await a.locator('.main .chip', { hasText: 'notes.txt' }).getByText('17 B').waitFor();
    await a.locator('.main .chip', { hasText: 'dot.png' }).getByText(`${png.length} B`).waitFor();
    await say(a, 'two files');
    const post = postWith(b, 'two files');
    await post.locator('img[alt="dot.png"]').waitFor();
    await b.waitForFunction(() => document.querySelector('img[alt="dot.png"]').naturalWidth === 10);
    const download = b.waitForEvent('download');
    await post.getByRole('button', { name: 'notes.txt' }).click();
    const stream = await (await download).createReadStream();
    let content = '';
    for await (const chunk of stream) content += chunk;
    assert.equal(content, 'remember the milk');
    await post.getByRole('button', { name: 'Show dot.png' }).click();
    await b.getByRole('dialog', { name: 'dot.png' }).waitFor();
    await b.keyboard.press('Escape');
  });

  test('unread marks, and a direct message from nowhere', async () => {
    const other = await world.newChannel();
    // To have been added counts as a mention, so it is looked at first.
    const page = await open(world.bob, { channel: other });
    await page.locator('.main .intro').waitFor();
    const link = page.locator('.channel', { hasText: other.display_name });
    await page.locator('.channel', { hasText: world.channel.display_name }).click();
    await page.getByRole('heading', { level: 1, name: world.channel.display_name }).waitFor();
    await link.locator('.count').waitFor({ state: 'detached' });
    await world.ann.post(other, 'something new');
    await link.getByRole('img', { name: 'unread' }).waitFor();
    await world.ann.post(other, `hey @${world.bob.user.username}`);
    await link.getByLabel('1 unread for you').waitFor();
    assert.match(await page.title(), /^\(\d+\) /);
    await link.click();
    await postWith(page, 'something new').waitFor();
    await page.getByRole('separator', { name: 'New' }).waitFor();
    await link.locator('.count').waitFor({ state: 'detached' });
    // The page tells the server when it has shown it.
    await eventually(async () => assert.equal((await world.bob.rest.getChannelMember(other.id, 'me')).mention_count, 0));

    const direct = await world.cat.rest.createDirectChannel([world.cat.user.id, world.bob.user.id]);
    await world.cat.post(direct, 'psst');
    const dm = page.locator('.channel', { hasText: world.cat.user.username });
    await dm.getByLabel('1 unread for you').waitFor();
    await dm.click();
    await postWith(page, 'psst').waitFor();
  });

  test('a new direct message to a bot, by keyboard alone', async () => {
    const page = await open(world.ann);
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox').fill(`@${world.bot.username}`);
    await page.getByRole('option', { name: world.bot.username }).waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('textbox', { name: 'Write to bot', exact: true }).waitFor();
    await page.waitForURL(new RegExp(`#${world.ann.user.username}/@${world.bot.username}$`));
    await page.keyboard.type('hello bot');
    await page.keyboard.press('Enter');
    await sent(page, 'hello bot');
    const channel = await bot.rest.createDirectChannel([bot.user.id, world.ann.user.id]);
    assert.ok(Object.values((await bot.rest.getPosts(channel.id)).posts).some((p) => p.message === 'hello bot'));
    await bot.post(channel, 'hello ann');
    await postWith(page, 'hello ann').locator('.badge').waitFor();
  });

  test('channels are created and joined', async () => {
    const title = `Plans ${world.team.name}`;
    const a = await open(world.ann);
    await a.getByRole('button', { name: 'Find or create a channel' }).click();
    await a.getByRole('combobox').fill(title);
    await a.getByRole('option', { name: `Create the channel “${title}”` }).click();
    await a.getByRole('heading', { level: 1, name: title }).waitFor();
    await say(a, 'the plan');
    await postWith(a, 'the plan').waitFor();

    const b = await open(world.bob);
    await b.getByRole('button', { name: 'Find or create a channel' }).click();
    await b.getByRole('combobox').fill(title);
    await b.getByRole('option', { name: `${title} join` }).click();
    await b.getByRole('heading', { level: 1, name: title }).waitFor();
    await postWith(b, 'the plan').waitFor();
  });

  test('names complete themselves', async () => {
    const page = await open(world.ann);
    await composer(page).pressSequentially(`hi @${world.bot.username.slice(0, -1)}`);
    await page.getByRole('option', { name: `@${world.bot.username}` }).waitFor();
    await composer(page).press('Tab');
    assert.equal(await composer(page).inputValue(), `hi @${world.bot.username} `);
  });

  test('older posts come when one scrolls up', async () => {
    const channel = await world.newChannel();
    for (let i = 1; i <= 130; i++) await world.ann.post(channel, `number ${i} of many`);
    const page = await open(world.bob, { channel });
    await postWith(page, 'number 130 of many').waitFor();
    assert.equal(await postWith(page, 'number 1 of many').count(), 0);
    const scroller = page.locator('.main .scroller');
    const atTop = postWith(page, 'number 1 of many');
    while (!(await atTop.count())) {
      const before = await page.locator('.main .post').count();
      await scroller.evaluate((e) => { e.scrollTop = 0; });
      await page.waitForFunction((n) => document.querySelectorAll('.main .post').length > n, before);
    }
    assert.equal(await page.locator('.main .post').count(), 130);
    await page.getByRole('heading', { level: 2, name: channel.display_name }).waitFor({ state: 'attached' });
  });

  test('a lost connection is shown, and what was missed is caught up', async () => {
    let cut, blocked = false;
    const page = await open(world.bob, { prepare: (p) => p.routeWebSocket(/\/api\/v4\/websocket/, (ws) => {
      if (blocked) {
        ws.close({ code: 1001 });
        return;
      }
      ws.connectToServer();
      cut = () => ws.close({ code: 1001 });
    }) });
    const kept = await world.ann.post(world.channel, 'said before');
    const doomed = await world.ann.post(world.channel, 'to be deleted');
    await postWith(page, 'to be deleted').waitFor();
    blocked = true;
    await cut();
    await page.getByText('The connection is lost.').waitFor();
    await world.ann.post(world.channel, 'said in the gap');
    await world.ann.rest.patchPost({ id: kept.id, message: 'changed in the gap' });
    await world.ann.rest.deletePost(doomed.id);
    assert.equal(await postWith(page, 'said in the gap').count(), 0);
    blocked = false;
    await page.getByText('The connection is lost.').waitFor({ state: 'hidden' });
    await postWith(page, 'said in the gap').waitFor();
    await postWith(page, 'changed in the gap').waitFor();
    await postWith(page, 'to be deleted').waitFor({ state: 'detached' });
    await world.ann.post(world.channel, 'live again');
    await postWith(page, 'live again').waitFor();
  });

  test('a sandbox that forgot the session is signed in to again', async () => {
    let cut, forgotten = false, sessions = 0;
    const page = await open(world.bob, { prepare: async (p) => {
      await p.routeWebSocket(/\/api\/v4\/websocket/, (ws) => {
        ws.connectToServer();
        cut = () => ws.close({ code: 1001 });
      });
      await p.route('**/api/v4/users/me', (route) => (forgotten ? route.fulfill({ status: 401, body: '{}' }) : route.continue()));
      await p.route('**/sandbox/session', (route) => {
        sessions++;
        forgotten = false;
        return route.continue();
      });
    } });
    forgotten = true;
    await Promise.all([page.waitForEvent('load'), cut()]);
    await ready(page);
    assert.equal(sessions, 2);
    await world.ann.post(world.channel, 'after the restart');
    await postWith(page, 'after the restart').waitFor();
  });

  test('messages are reached and acted on by keyboard', async () => {
    const page = await open(world.ann);
    await say(page, 'by keyboard');
    await sent(page, 'by keyboard');
    await page.getByRole('log', { name: 'Messages' }).focus();
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const panel = page.getByRole('complementary', { name: 'Thread' });
    await panel.getByText('by keyboard').waitFor();
    await page.keyboard.type('a reply');
    await page.keyboard.press('Enter');
    await panel.locator('.post', { hasText: 'a reply' }).waitFor();
  });

  test('any mix of marks is shown as text', async () => {
    const page = await open(world.ann);
    const wrong = await page.evaluate(async () => {
      const { markdown } = await import('/sandbox/page/markdown.js');
      const parts = ['*', '_', '**a', ' *a', '[', '[a](', '![', '`', '``a', '~', '~~a', '> ', '- ', '  - a\n', '|', '|-', ':', '@a',
        'https://', '(', '\\', ' ', '#', '# a #', '\n', '\t', '<http://a', '1. ', '***a', ':a:', '[](http://a)', '_a *b '];
      const allowed = new Set(['P', 'BR', 'EM', 'STRONG', 'DEL', 'CODE', 'PRE', 'DIV', 'SPAN', 'BUTTON', 'UL', 'OL', 'LI', 'BLOCKQUOTE',
        'H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'HR', 'TABLE', 'THEAD', 'TBODY', 'TR', 'TH', 'TD', 'A']);
      const found = [];
      for (const a of parts) {
        for (const b of ['', ...parts]) {
          const text = `word\n|x\n${(a + b).repeat(2000 / (a + b).length)}`;
          const box = document.createElement('div');
          box.append(markdown(text, { mention: () => null, channel: () => null }));
          const strange = [...box.querySelectorAll('*')].filter((e) => !allowed.has(e.tagName)
            || (e.tagName === 'A' && !/^https?:$/.test(e.protocol)));
          if (!box.textContent.startsWith('word') || strange.length) found.push(a + b);
        }
      }
      return found;
    });
    assert.deepEqual(wrong, []);
  });

  test('a post that was not sent stays, and goes out once', async () => {
    let broken = true;
    const page = await open(world.ann, { prepare: (p) => p.route('**/api/v4/posts', (route) =>
      (broken ? route.abort() : route.continue())) });
    await say(page, 'in bad weather');
    const post = postWith(page, 'in bad weather');
    await post.getByText('Not sent.').waitFor();
    broken = false;
    await post.getByRole('button', { name: 'Send again' }).click();
    await post.getByText('Not sent.').waitFor({ state: 'detached' });
    await sent(page, 'in bad weather');
    const all = Object.values((await world.ann.rest.getPosts(world.channel.id)).posts);
    assert.equal(all.filter((p) => p.message === 'in bad weather').length, 1);
    assert.equal(await post.count(), 1);
  });

  test('light and dark, by the system and by choice', async () => {
    const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const page = await open(world.ann, { colorScheme: 'dark' });
    const dark = await background(page);
    await page.emulateMedia({ colorScheme: 'light' });
    const light = await background(page);
    assert.notEqual(dark, light);
    await page.getByRole('button', { name: 'Switch between light and dark' }).click();
    assert.equal(await background(page), dark);
    await page.reload();
    await ready(page);
    assert.equal(await background(page), dark);
  });

  test('a phone has room for it', async () => {
    const page = await open(world.ann, { viewport: { width: 360, height: 720 }, hasTouch: true, isMobile: true });
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    await world.bob.post(world.channel, `wide ${'x'.repeat(300)}\n\`\`\`\n${'y '.repeat(300)}\n\`\`\``);
    await postWith(page, 'wide').waitFor();
    assert.ok(await fits());
    assert.equal(await page.locator('.sidebar').isVisible(), false);
    await page.getByRole('button', { name: 'Open the menu' }).tap();
    await page.locator('.sidebar .channel', { hasText: 'Off-Topic' }).or(page.locator('.sidebar .channel.is-current')).first().waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.sidebar').waitFor({ state: 'hidden' });
    const root = await world.bob.post(world.channel, 'small thread');
    await world.ann.post(world.channel, 'small reply', { root_id: root.id });
    await page.locator('.thread-summary', { hasText: 'small reply' }).getByRole('button', { name: '1 reply' }).tap();
    await page.getByRole('complementary', { name: 'Thread' }).getByText('small reply').waitFor();
    assert.ok(await fits());
  });
});
