// The sandbox's chat page: who you are, where you are, and drawing it.
import { announce, append, avatar, displayName, h, icon, iconButton, reconcile } from './dom.js';
import { Composer } from './composer.js';
import { ApiError, people, signIn } from './net.js';
import { PostView } from './posts.js';
import { Store } from './store.js';

const app = document.getElementById('app');
let session = null; // what is on the screen, one at a time

// --- address: #person/channel/thread --------------------------------------------------------------

function readAddress() {
  const [username = '', slug = '', thread = ''] = location.hash.slice(1).split('/').map(decodeURIComponent);
  return { username, slug, thread };
}

function addressOf(username, slug = '', thread = '') {
  const parts = [username, slug, thread].filter(Boolean).map((p) => encodeURIComponent(p).replaceAll('%40', '@'));
  return `#${parts.join('/')}`;
}

// --- theme ----------------------------------------------------------------------------------------

function stored(area, key) {
  try {
    return area.getItem(key);
  } catch {
    return null;
  }
}

function store(area, key, value) {
  try {
    area.setItem(key, value);
  } catch {
    // private windows may refuse; then it lasts as long as the page
  }
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

function themeButton() {
  const button = iconButton('moon', 'Switch between light and dark', () => {
    document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
    store(localStorage, 'theme', document.documentElement.dataset.theme);
    draw();
  });
  const draw = () => button.replaceChildren(icon(isDark() ? 'sun' : 'moon'));
  draw();
  return button;
}

// --- small messages -------------------------------------------------------------------------------

const toasts = h('div', { class: 'toasts', role: 'alert' });
document.body.append(toasts);

function tell(sentence) {
  const toast = h('div', { class: 'toast' }, h('span', null, sentence),
    iconButton('close', 'Dismiss', () => toast.remove()));
  toasts.append(toast);
  setTimeout(() => toast.remove(), 8000);
}

async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    tell(error instanceof ApiError ? error.message : String(error));
    return undefined;
  }
}

// --- who are you ----------------------------------------------------------------------------------

function brand() {
  return h('span', { class: 'brand' }, h('span', { class: 'brand-mark', 'aria-hidden': 'true' }, 'm'),
    h('span', null, 'Matterwire', h('span', { class: 'brand-quiet' }, ' sandbox')));
}

function personCard(user, onclick) {
  return h('button', { type: 'button', class: 'person-card', onclick, dataset: { username: user.username } },
    avatar(user, 'avatar-large'), h('span', { class: 'person-name' }, displayName(user)),
    h('span', { class: 'quiet' }, `@${user.username}`));
}

async function showPicker() {
  session?.close();
  session = null;
  document.title = 'Matterwire sandbox';
  const everybody = await attempt(people);
  if (!everybody) {
    app.replaceChildren(h('main', { class: 'welcome' }, brand(), h('h1', null, 'The sandbox does not answer'),
      h('button', { type: 'button', class: 'button primary', onclick: showPicker }, 'Try again')));
    return;
  }
  const bots = everybody.filter((u) => u.is_bot);
  const humans = everybody.filter((u) => !u.is_bot);
  app.replaceChildren(h('main', { class: 'welcome' },
    h('header', { class: 'welcome-bar' }, brand(), themeButton()),
    h('h1', null, 'Who are you in this tab?'),
    h('p', { class: 'welcome-text' }, 'This is a small Mattermost for trying bots. Nobody has a password here. Open more tabs ',
      'to be several people at once.'),
    h('div', { class: 'person-grid' }, humans.map((user) => personCard(user, () => { location.hash = addressOf(user.username); }))),
    bots.length > 0 && h('p', { class: 'welcome-bots' }, 'Bots to talk to: ', bots.map((bot) =>
      h('span', { class: 'bot-chip' }, avatar(bot, 'avatar-small'), `@${bot.username}`)))));
  app.querySelector('.person-card')?.focus();
}

// --- the chat -------------------------------------------------------------------------------------

class Chat {
  #atBottom = true;
  #newSince = 0;

  constructor(token, me) {
    this.store = new Store(token, me, {
      changed: () => this.draw(), failed: tell, expired: () => location.reload(),
    });
    this.view = new PostView(this.store, {
      openThread: (rootId) => this.go(this.store.current, rootId),
      focusComposer: () => (this.store.thread ? this.threadComposer : this.composer)?.focus(),
      tell,
    });
    this.#build();
  }

  close() {
    this.store.stop();
  }

  async start(everybody) {
    await this.store.start(everybody);
    await this.follow();
  }

  // --- frame --------------------------------------------------------------------------------------

  #build() {
    const section = (title, label, prefix, list) => h('section', { 'aria-label': title },
      h('div', { class: 'section-head' }, h('h2', null, title), iconButton('plus', label, () => this.#switcher(prefix))), list);
    this.rooms = h('ul');
    this.direct = h('ul');
    this.items = new Map();
    this.sidebarList = h('nav', { class: 'sidebar-list', 'aria-label': 'Channels and direct messages' },
      section('Channels', 'Find or create a channel', '~', this.rooms),
      section('Direct messages', 'New direct message', '@', this.direct));
    this.personBar = h('div', { class: 'person-bar' });
    this.sidebar = h('aside', { class: 'sidebar', id: 'sidebar' },
      h('div', { class: 'sidebar-head' }, brand(),
        iconButton('close', 'Close the menu', () => this.#toggleSidebar(false), { class: 'icon-button only-narrow' })),
      h('button', { type: 'button', class: 'search-button', onclick: () => this.#switcher('') },
        icon('search'), 'Go to…', h('kbd', null, navigator.platform.startsWith('Mac') ? '⌘K' : 'Ctrl K')),
      this.sidebarList, this.personBar);
    this.menuButton = iconButton('menu', 'Open the menu', () => this.#toggleSidebar(true),
      { class: 'icon-button only-narrow', 'aria-controls': 'sidebar', 'aria-expanded': 'false' });
    this.title = h('div', { class: 'channel-title' });
    this.offline = h('div', { class: 'offline', role: 'status', hidden: true }, 'The connection is lost. Trying again…');
    this.list = h('div', { class: 'posts', role: 'log', 'aria-label': 'Messages', tabindex: '0' });
    this.scroller = h('div', { class: 'scroller' }, this.list);
    this.jump = h('button', { type: 'button', class: 'jump', hidden: true, onclick: () => this.#toBottom() },
      icon('down'), 'New messages');
    this.typing = h('div', { class: 'typing', 'aria-live': 'polite' });
    this.composerSlot = h('div', { class: 'composer-slot' });
    this.main = h('main', { class: 'main' },
      h('header', { class: 'main-head' }, this.menuButton, this.title, themeButton()),
      this.offline,
      h('div', { class: 'scroll-frame' }, this.scroller, this.jump),
      h('div', { class: 'main-foot' }, this.composerSlot, this.typing));
    this.threadList = h('div', { class: 'posts', role: 'log', 'aria-label': 'Thread', tabindex: '0' });
    this.threadScroller = h('div', { class: 'scroller' }, this.threadList);
    this.threadTyping = h('div', { class: 'typing', 'aria-live': 'polite' });
    this.threadSlot = h('div', { class: 'composer-slot' });
    this.threadTitle = h('div', { class: 'channel-title' });
    this.panel = h('aside', { class: 'thread', 'aria-label': 'Thread', hidden: true },
      h('header', { class: 'main-head' }, this.threadTitle,
        iconButton('close', 'Close the thread', () => this.go(this.store.current))),
      this.threadScroller, h('div', { class: 'main-foot' }, this.threadSlot, this.threadTyping));
    this.scrim = h('div', { class: 'scrim', onclick: () => this.#toggleSidebar(false) });
    this.frame = h('div', { class: 'chat' }, this.sidebar, this.scrim, this.main, this.panel);
    this.#listen();
    app.replaceChildren(this.frame);
  }

  #listen() {
    this.scroller.addEventListener('scroll', () => {
      const { scrollTop, clientHeight, scrollHeight } = this.scroller;
      this.#atBottom = scrollHeight - scrollTop - clientHeight < 40;
      if (this.#atBottom) {
        this.jump.hidden = true;
        this.#markRead();
      }
      if (scrollTop < 300) this.#older();
    }, { passive: true });
    // Images and the keyboard of a phone change heights after the fact.
    const sizes = new ResizeObserver(() => {
      if (this.#atBottom) this.#toBottom();
    });
    sizes.observe(this.list);
    sizes.observe(this.scroller);
    this.threadAtBottom = true;
    this.threadScroller.addEventListener('scroll', () => {
      const { scrollTop, clientHeight, scrollHeight } = this.threadScroller;
      this.threadAtBottom = scrollHeight - scrollTop - clientHeight < 40;
    }, { passive: true });
    const threadSizes = new ResizeObserver(() => {
      if (this.threadAtBottom) this.threadScroller.scrollTop = this.threadScroller.scrollHeight;
    });
    threadSizes.observe(this.threadList);
    threadSizes.observe(this.threadScroller);
    for (const list of [this.list, this.threadList]) {
      list.addEventListener('keydown', (e) => {
        if (e.target !== list || !['ArrowUp', 'ArrowDown'].includes(e.key)) return;
        e.preventDefault();
        [...list.querySelectorAll('.post')].at(-1)?.focus();
      });
    }
    this.#dropTarget(this.main, () => this.composer);
    this.#dropTarget(this.panel, () => this.threadComposer);
  }

  #dropTarget(element, composer) {
    let depth = 0;
    const has = (e) => [...e.dataTransfer.types].includes('Files');
    const over = (on) => element.classList.toggle('is-drop', on);
    element.addEventListener('dragenter', (e) => has(e) && over(++depth > 0));
    element.addEventListener('dragleave', (e) => has(e) && over(--depth > 0));
    element.addEventListener('dragover', (e) => has(e) && e.preventDefault());
    element.addEventListener('drop', (e) => {
      depth = 0;
      over(false);
      if (!has(e)) return;
      e.preventDefault();
      composer()?.addFiles(e.dataTransfer.files);
    });
  }

  #toggleSidebar(open) {
    this.frame.classList.toggle('is-menu', open);
    this.menuButton.setAttribute('aria-expanded', String(open));
    if (open) this.sidebarList.querySelector('[aria-current], a')?.focus();
  }

  onKey(e) {
    if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
      e.preventDefault();
      this.#switcher('');
    } else if (e.key.length === 1 && !e.ctrlKey && !e.metaKey && !e.altKey
        && [document.body, this.list, this.threadList].includes(document.activeElement)) {
      // Whoever just types means to write; the key goes on to the field.
      (this.store.thread && document.activeElement !== this.list ? this.threadComposer : this.composer)?.focus();
    } else if (e.key === 'Escape' && !document.querySelector('dialog[open]')) {
      if (this.frame.classList.contains('is-menu')) this.#toggleSidebar(false);
      else if (this.store.thread) this.go(this.store.current);
      else this.composer?.focus();
    }
  }

  onVisible() {
    this.#markRead();
  }

  // --- where --------------------------------------------------------------------------------------

  // Goes to a channel, and a thread in it, by way of the address.
  go(channelId, thread = '') {
    const channel = this.store.channels.get(channelId);
    if (!channel) return;
    const address = addressOf(this.store.me.username, this.store.channelSlug(channel), thread);
    location.hash = address;
    this.follow(); // at once, so that what is typed next goes there
  }

  // Shows what the address says.
  async follow() {
    const { slug, thread } = readAddress();
    let channel = slug && this.store.channelBySlug(slug);
    if (!channel && slug.startsWith('@')) {
      const user = this.store.userByName(slug.slice(1));
      const id = user && await attempt(() => this.store.direct(user));
      channel = this.store.channels.get(id);
    }
    if (!channel) {
      if (slug) tell(`There is no channel ${slug} that ${this.store.me.username} is in.`);
      channel = this.store.channelBySlug('town-square') ?? this.store.channels.values().next().value;
      if (!channel) {
        this.store.touch();
        return;
      }
      history.replaceState(null, '', addressOf(this.store.me.username, this.store.channelSlug(channel)));
    }
    if (channel.id !== this.store.current) this.#openChannel(channel);
    this.#openThread(thread || null);
    this.store.touch();
  }

  #openChannel(channel) {
    this.store.current = channel.id;
    this.view.forget();
    this.view.editing = null;
    this.#atBottom = true;
    const member = this.store.members.get(channel.id);
    this.#newSince = member?.unread ? member.last_viewed_at || 1 : 0; // never viewed: all is new
    this.composer = new Composer(this.store, {
      channelId: channel.id, rootId: '', label: `Write to ${this.store.channelTitle(channel)}`, tell,
      editLast: () => this.#editLast(this.store.roots(channel.id), 'channel'),
    });
    this.composerSlot.replaceChildren(this.composer.element);
    this.#toggleSidebar(false);
    if (matchMedia('(hover: hover)').matches) this.composer.focus();
    announce(this.store.channelTitle(channel));
    attempt(() => this.store.fetchPosts(channel.id)).then(() => this.#markRead());
  }

  #openThread(rootId) {
    if (rootId === this.store.thread && (this.threadComposer || !rootId)) return;
    this.store.thread = rootId;
    this.threadComposer = null;
    if (!rootId) {
      this.composer?.focus();
      return;
    }
    this.threadAtBottom = true;
    this.threadComposer = new Composer(this.store, {
      channelId: this.store.current, rootId, label: 'Reply', tell,
      editLast: () => this.#editLast(this.store.replies(rootId), 'thread'),
    });
    this.threadSlot.replaceChildren(this.threadComposer.element);
    this.threadIsNew = true;
    attempt(() => this.store.fetchThread(rootId)).then((root) => {
      if (root && root.channel_id === this.store.current && !root.root_id) return;
      tell('That thread is not here.');
      this.go(this.store.current);
    });
  }

  #editLast(posts, where) {
    const own = posts.filter((p) => p.user_id === this.store.me.id && !p.pending && !p.type).at(-1);
    if (own) this.view.edit(own, where);
  }

  #markRead() {
    const { current } = this.store;
    if (!current || document.hidden || !this.#atBottom) return;
    attempt(() => this.store.view(current));
  }

  #toBottom() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.jump.hidden = true;
  }

  async #older() {
    const { current } = this.store;
    const page = this.store.pages.get(current);
    if (!page || page.complete || page.loading || !page.ids.size) return;
    const height = this.scroller.scrollHeight;
    await attempt(() => this.store.fetchOlder(current));
    // Drawn in the next microtask; keep what is on the screen where it is.
    queueMicrotask(() => {
      if (this.scroller.scrollTop < 300) this.scroller.scrollTop += this.scroller.scrollHeight - height;
    });
  }

  // --- drawing ------------------------------------------------------------------------------------

  draw() {
    if (session !== this) return;
    const { store: s } = this;
    const channel = s.channels.get(s.current);
    this.#drawSidebar();
    this.#drawTitle(channel);
    this.offline.hidden = s.connected || !s.wasConnected;
    this.frame.classList.toggle('is-online', s.connected);
    if (!channel) {
      if (s.current) {
        s.current = null;
        this.follow();
      }
      return;
    }
    this.#drawPosts(channel);
    this.#drawThread(channel);
    drawTyping(this.typing, s.typingNames(s.current, ''));
  }

  #drawPosts(channel) {
    const page = this.store.pages.get(channel.id);
    if (!page) {
      reconcile(this.list, [h('div', { class: 'loading' }, 'Loading…')]);
      return;
    }
    const posts = this.store.roots(channel.id);
    const last = posts.at(-1)?.id;
    const fresh = last !== this.lastShown && this.lastChannel === channel.id;
    const mine = posts.at(-1)?.user_id === this.store.me.id;
    const stick = this.#atBottom || (fresh && mine);
    this.view.list(this.list, posts, 'channel', this.#newSince);
    if (page.complete) this.list.prepend(this.#intro(channel));
    if (stick) this.#toBottom();
    else if (fresh) this.jump.hidden = false;
    this.lastShown = last;
    this.lastChannel = channel.id;
    if (stick) this.#markRead();
  }

  #intro(channel) {
    const title = this.store.channelTitle(channel);
    if (this.introOf !== channel.id + title) {
      const mate = channel.type === 'D' && this.store.teammate(channel);
      const bot = [...this.store.users.values()].find((u) => u.is_bot && !u.delete_at);
      this.introOf = channel.id + title;
      this.introElement = h('div', { class: 'intro' },
        mate ? avatar(mate, 'avatar-large') : h('span', { class: 'intro-icon' }, icon(channelIcon(channel))),
        h('h2', null, title),
        h('p', null, mate?.is_bot ? 'Write something, and the bot answers as its handler says.'
          : mate ? `Only you and ${title} see what is written here.`
            : channel.purpose || `This is the beginning of ${title}.`),
        !mate && bot && h('p', null, 'To ask a bot, write ', h('span', { class: 'mention' }, `@${bot.username}`), ' and your question.'));
    }
    return this.introElement;
  }

  #drawThread(channel) {
    const { store: s } = this;
    const open = Boolean(s.thread);
    this.panel.hidden = !open;
    this.frame.classList.toggle('is-thread', open);
    if (!open) {
      if (readAddress().thread && this.threadComposer) this.go(s.current); // its root was deleted
      this.threadComposer = null;
      return;
    }
    if (this.threadIsNew) {
      this.threadIsNew = false;
      this.threadComposer.focus();
    }
    this.threadTitle.replaceChildren(h('h2', null, 'Thread'), h('span', { class: 'quiet' }, s.channelTitle(channel)));
    const root = s.posts.get(s.thread);
    if (!root) return;
    this.view.list(this.threadList, [root, ...s.replies(s.thread)], 'thread');
    if (this.threadAtBottom) this.threadScroller.scrollTop = this.threadScroller.scrollHeight;
    drawTyping(this.threadTyping, s.typingNames(s.current, s.thread));
  }

  #drawTitle(channel) {
    const { store: s } = this;
    const mentions = [...s.members.values()].reduce((sum, m) => sum + m.mentions, 0);
    const title = channel ? s.channelTitle(channel) : 'Matterwire sandbox';
    document.title = `${mentions ? `(${mentions}) ` : ''}${title} · ${s.me.username} · sandbox`;
    const bot = channel?.type === 'D' && s.teammate(channel)?.is_bot;
    this.title.replaceChildren();
    append(this.title, [
      channel && channel.type !== 'D' && icon(channelIcon(channel)),
      h('h1', null, title), bot && h('span', { class: 'badge' }, 'bot'),
      channel?.header && h('span', { class: 'quiet channel-header' }, channel.header)]);
  }

  #drawSidebar() {
    const { store: s } = this;
    const all = [...s.channels.values()];
    const named = (a, b) => s.channelTitle(a).localeCompare(s.channelTitle(b));
    const rooms = all.filter((c) => 'OP'.includes(c.type)).sort(named);
    const direct = all.filter((c) => c.type === 'G' || (c.type === 'D' && s.teammate(c)))
      .sort((a, b) => b.last_post_at - a.last_post_at || named(a, b));
    // Bots are what people come for: those that nobody wrote to yet are offered, too.
    const known = new Set(direct.map((c) => c.type === 'D' && s.teammate(c).id));
    const bots = [...s.users.values()].filter((u) => u.is_bot && !u.delete_at && !known.has(u.id))
      .sort((a, b) => a.username.localeCompare(b.username)).slice(0, 10);
    reconcile(this.rooms, rooms.map((c) => this.#sidebarItem(c)));
    reconcile(this.direct, [...direct.map((c) => this.#sidebarItem(c)), ...bots.map((u) => this.#botItem(u))]);
    if (this.personName === displayName(s.me)) return;
    this.personName = displayName(s.me);
    this.personBar.replaceChildren(avatar(s.me),
      h('div', { class: 'person-text' }, h('strong', null, displayName(s.me)), h('span', null, `@${s.me.username}`)),
      h('a', { class: 'icon-button', href: '#', 'aria-label': 'Be somebody else', title: 'Be somebody else' }, icon('swap')));
  }

  #botItem(bot) {
    return this.#item(bot.id, bot.username + displayName(bot), () => h('li', null, h('a', {
      class: 'channel', href: addressOf(this.store.me.username, `@${bot.username}`),
    }, avatar(bot, 'avatar-small'), h('span', { class: 'channel-name' }, displayName(bot)), h('span', { class: 'badge' }, 'bot'))));
  }

  // Entries are kept while they stay the same: one that was replaced between press and release takes no click.
  #item(key, signature, make) {
    const old = this.items.get(key);
    if (old?.signature === signature) return old.element;
    const element = make();
    if (old?.element.contains(document.activeElement)) queueMicrotask(() => element.querySelector('a').focus());
    this.items.set(key, { signature, element });
    return element;
  }

  #sidebarItem(channel) {
    const { store: s } = this;
    const member = s.members.get(channel.id);
    const current = channel.id === s.current;
    const mate = channel.type === 'D' && s.teammate(channel);
    const unread = member?.unread > 0 && !current;
    const title = s.channelTitle(channel) + (mate && mate.id === s.me.id ? ' (you)' : '');
    const signature = [title, channel.type, s.channelSlug(channel), current, unread, member?.mentions].join();
    return this.#item(channel.id, signature, () => h('li', null, h('a', {
      class: ['channel', current && 'is-current', unread && 'is-unread'].filter(Boolean).join(' '),
      href: addressOf(s.me.username, s.channelSlug(channel)), 'aria-current': current ? 'page' : null,
      dataset: { channel: channel.id },
    }, mate ? avatar(mate, 'avatar-small') : icon(channelIcon(channel)),
    h('span', { class: 'channel-name' }, title), mate?.is_bot && h('span', { class: 'badge' }, 'bot'),
    unread && member.mentions > 0 && h('span', { class: 'count', 'aria-label': `${member.mentions} unread for you` },
      String(member.mentions)),
    unread && !member.mentions && h('span', { class: 'dot', role: 'img', 'aria-label': 'unread' }))));
  }

  // --- going somewhere ----------------------------------------------------------------------------

  // Finds channels ("~") and people ("@"); joins, opens and creates.
  #switcher(prefix) {
    const { store: s } = this;
    let open = null; // public channels, once fetched
    let rows = [];
    let chosen = 0;
    const listElement = h('div', { class: 'switch-list', role: 'listbox', 'aria-label': 'Places' });
    const field = h('input', {
      type: 'text', autocomplete: 'off', spellcheck: 'false', role: 'combobox', 'aria-expanded': 'true',
      'aria-label': 'Go to a channel or a person',
      placeholder: { '~': 'Channel to open, join or create', '@': 'Person or bot to write to' }[prefix] ?? 'Channel or person',
    });
    const take = async (row) => {
      dialog.close();
      const id = await attempt(row.action);
      if (id) this.go(id);
    };
    const find = () => {
      const text = field.value.trim().replace(/^[@~#]/, '').toLowerCase();
      const kind = /^[@~#]/.exec(field.value)?.[0] ?? prefix;
      rows = [];
      if (kind !== '@') {
        const mine = [...s.channels.values()].filter((c) => 'OP'.includes(c.type));
        const others = (open ?? []).filter((c) => !s.channels.has(c.id));
        for (const c of [...mine, ...others]) {
          if (!`${c.name} ${c.display_name}`.toLowerCase().includes(text)) continue;
          const known = s.channels.has(c.id);
          rows.push({ parts: [icon(channelIcon(c)), c.display_name || c.name, !known && h('span', { class: 'quiet' }, 'join')],
            action: () => (known ? c.id : s.join(c)) });
        }
        if (text && kind === '~' && ![...mine, ...others].some((c) => c.name === text || c.display_name.toLowerCase() === text)) {
          const title = field.value.trim().replace(/^[~#]/, '');
          rows.push({ parts: [icon('plus'), `Create the channel “${title}”`], action: () => s.create(title) });
        }
      }
      if (kind !== '~' && kind !== '#') {
        for (const u of [...s.users.values()].sort((a, b) => a.username.localeCompare(b.username))) {
          if (u.delete_at || !`${u.username} ${displayName(u)}`.toLowerCase().includes(text)) continue;
          rows.push({ parts: [avatar(u, 'avatar-small'), displayName(u), h('span', { class: 'quiet' }, `@${u.username}`),
            u.is_bot && h('span', { class: 'badge' }, 'bot')], action: () => s.direct(u) });
        }
      }
      chosen = 0;
      draw();
    };
    const draw = () => {
      listElement.replaceChildren(...rows.map((row, i) => {
        const element = h('div', { class: 'choice', role: 'option', 'aria-selected': String(i === chosen), onclick: () => take(row) });
        append(element, row.parts);
        return element;
      }));
      if (!rows.length) listElement.append(h('p', { class: 'quiet switch-none' }, 'Nothing of that name.'));
      listElement.children[chosen]?.scrollIntoView({ block: 'nearest' });
    };
    field.addEventListener('input', find);
    field.addEventListener('keydown', (e) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[e.key];
      if (step && rows.length) {
        chosen = (chosen + step + rows.length) % rows.length;
        draw();
        e.preventDefault();
      } else if (e.key === 'Enter' && rows[chosen]) {
        e.preventDefault();
        take(rows[chosen]);
      }
    });
    const dialog = h('dialog', { class: 'switcher', 'aria-label': 'Go to', onclose: () => dialog.remove(),
      onclick: (e) => e.target === dialog && dialog.close() },
    h('div', { class: 'switch-inner' }, field, listElement));
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
    find();
    if (prefix !== '@') {
      attempt(() => s.publicChannels()).then((found) => {
        open = found;
        if (found && dialog.isConnected) find();
      });
    }
  }
}

function channelIcon(channel) {
  return { P: 'lock', G: 'people' }[channel.type] ?? 'hash';
}

function drawTyping(element, names) {
  const text = !names.length ? '' : names.length === 1 ? `${names[0]} is typing`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing` : 'Several people are typing';
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  element.replaceChildren();
  if (text) append(element, [h('span', { class: 'typing-dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), text]);
}

// --- start ----------------------------------------------------------------------------------------

let opening = null;

async function route() {
  const { username } = readAddress();
  if (!username) {
    const last = stored(sessionStorage, 'person');
    if (last && !session) {
      location.replace(addressOf(last));
      return;
    }
    sessionStorage.removeItem('person');
    await showPicker();
    return;
  }
  if (session?.store.me.username === username) {
    await session.follow();
    return;
  }
  if (opening === username) return;
  opening = username;
  session?.close();
  session = null;
  app.replaceChildren(h('div', { class: 'loading' }, 'Signing in…'));
  try {
    const [everybody, { token, user }] = await Promise.all([people(), signIn(username)]);
    store(sessionStorage, 'person', username);
    session = new Chat(token, user);
    await session.start(everybody);
  } catch (error) {
    session = null;
    tell(error.status === 0 ? error.message : `Cannot be ${username} here. ${error.message}`);
    sessionStorage.removeItem('person');
    history.replaceState(null, '', location.pathname);
    await showPicker();
  } finally {
    opening = null;
  }
}

const theme = stored(localStorage, 'theme');
if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
addEventListener('hashchange', route);
addEventListener('keydown', (e) => session?.onKey(e));
document.addEventListener('visibilitychange', () => session?.onVisible());
route();
