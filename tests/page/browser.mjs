// Debian's Chromium, with one window per person. What a page reports as an error fails the test that opened it.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { patience } from '../lib/client.mjs';

const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export class Browser {
  static async open() {
    const browser = new Browser();
    browser.chromium = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags,
    });
    return browser;
  }

  // A window of its own (own storage). `prepare(page)` may set up routes before the page loads.
  async window(url, { hash = '', prepare, ...options } = {}) {
    const context = await this.chromium.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    context.setDefaultTimeout(patience);
    const page = await context.newPage();
    const win = { context, page, errors: [], foreign: [] };
    const own = new URL(url).host;
    page.on('pageerror', (error) => win.errors.push(error.stack));
    page.on('console', (message) => {
      if (/Content Security Policy|Uncaught/.test(message.text())) win.errors.push(message.text());
    });
    page.on('request', (request) => {
      const { protocol, host } = new URL(request.url());
      if (/^(http|ws)/.test(protocol) && host !== own) win.foreign.push(request.url());
    });
    await prepare?.(page);
    await page.goto(`${url}/${hash}`);
    win.close = async () => {
      await context.close();
      assert.deepEqual(win.errors, [], 'the page reported errors');
      assert.deepEqual(win.foreign, [], 'the page asked for foreign addresses');
    };
    return win;
  }

  close() {
    return this.chromium.close();
  }
}

// A post in the channel's list whose text holds `text`.
export const postWith = (page, text) => page.locator('.main .post', { hasText: text });
export const composer = (page) => page.locator('.main .composer textarea');
export const threadComposer = (page) => page.locator('.thread .composer textarea');

export async function say(page, text) {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

// Waits until the server has what was said last: a page shows it before.
export async function sent(page, text) {
  await postWith(page, text).waitFor();
  await page.locator('.main .post.is-pending').waitFor({ state: 'detached' });
}

// Waits until the event socket of the page is up, so that what follows reaches it live.
export async function ready(page) {
  await page.getByRole('log', { name: 'Messages' }).waitFor();
  await page.locator('.composer').first().waitFor();
  await page.locator('.chat.is-online').waitFor();
}
