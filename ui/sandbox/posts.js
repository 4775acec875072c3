// Draws posts: in a channel with the last reply of their thread, and in a thread.
import { avatar, announce, dayText, displayName, h, icon, iconButton, reconcile, sizeText, timeElement } from './dom.js';
import { COMMON, emojiFor, emojiNames } from './emoji.js';
import { markdown } from './markdown.js';

const GROUP_MS = 5 * 60 * 1000;

export class PostView {
  #cache = new Map(); // key -> {post, signature, element}
  #images = new Map(); // file id -> promise of an object URL
  editing = null; // {id, where}

  // actions: {openThread(rootId), tell(sentence)}
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
  }

  // --- lists --------------------------------------------------------------------------------------

  // Draws `posts` into `list`. where: 'channel' or 'thread'. newSince: time of the "new" line, 0 = none.
  list(list, posts, where, newSince = 0) {
    const nodes = [];
    let before = null; // the post that the next one may continue
    let lastDay = '';
    let newShown = false;
    for (const post of posts) {
      const day = dayText(post.create_at);
      if (day !== lastDay) {
        if (where === 'channel') nodes.push(this.#separator(`day ${day}`, 'day-line', day));
        lastDay = day;
        before = null;
      }
      if (newSince && !newShown && post.create_at > newSince && post.user_id !== this.store.me.id) {
        newShown = true;
        nodes.push(this.#separator('new', 'day-line new-line', 'New'));
        before = null;
      }
      nodes.push(this.#post(post, where, this.#continues(before, post)));
      before = post;
      if (where === 'thread' && !post.root_id && posts.length > 1) {
        nodes.push(this.#separator('replies', 'day-line', posts.length === 2 ? '1 reply' : `${posts.length - 1} replies`));
        before = null;
      }
      if (where === 'channel' && this.store.replies(post.id).length + (post.reply_count || 0) > 0) {
        nodes.push(this.#threadSummary(post));
        before = null;
      }
    }
    reconcile(list, nodes);
  }

  #continues(before, post) {
    return before && before.user_id === post.user_id && !isSystem(before) && !isSystem(post)
      && post.create_at - before.create_at < GROUP_MS
      && override(before) === override(post);
  }

  #separator(key, cssClass, text) {
    return this.#cached(`separator ${key}`, null, text, () =>
      h('div', { class: cssClass, role: 'separator', 'aria-label': text }, h('span', null, text)));
  }

  // Elements are kept as long as what they show stays the same.
  #cached(key, post, signature, make) {
    const old = this.#cache.get(key);
    if (old && old.post === post && old.signature === signature) return old.element;
    const element = make();
    if (old?.element.contains(document.activeElement)) queueMicrotask(() => refocus(element));
    this.#cache.set(key, { post, signature, element });
    return element;
  }

  forget() {
    this.#cache.clear();
  }

  #threadSummary(root) {
    const replies = this.store.replies(root.id);
    const last = replies.at(-1);
    const count = Math.max(root.reply_count || 0, replies.length);
    const author = last && this.store.users.get(last.user_id);
    const signature = `${count} ${this.store.thread === root.id} ${author?.username} ${last?.failed}`;
    return this.#cached(`thread ${root.id}`, last ?? root, signature, () => {
      const open = () => this.actions.openThread(root.id);
      return h('div', { class: `thread-summary ${this.store.thread === root.id ? 'is-open' : ''}` },
        last && h('div', { class: 'reply-preview', onclick: (e) => !e.target.closest('a, button') && open() },
          avatar(author, 'avatar-small'),
          h('div', { class: 'reply-content' }, this.#head(last, author), this.#body(last))),
        h('button', { type: 'button', class: 'thread-link', onclick: open },
          icon('reply'), count === 1 ? '1 reply' : `${count} replies`,
          h('span', { class: 'quiet' }, 'Open the thread')));
    });
  }

  // --- one post -----------------------------------------------------------------------------------

  #post(post, where, continued) {
    const author = this.store.users.get(post.user_id);
    const editing = this.editing?.id === post.id && this.editing.where === where;
    const signature = [continued, editing, author?.username, author?.first_name,
      where === 'channel' && this.store.thread === post.id].join();
    return this.#cached(`${where} ${post.id}`, post, signature, () => {
      if (isSystem(post)) return this.#systemPost(post);
      const element = h('article', {
        class: ['post', continued && 'is-continued', post.pending && 'is-pending', post.failed && 'is-failed',
          where === 'channel' && this.store.thread === post.id && 'is-open'].filter(Boolean).join(' '),
        tabindex: '-1', dataset: { id: post.id }, 'aria-label': `${displayName(author)}: ${post.message.slice(0, 120)}`,
        onkeydown: (e) => this.#onKey(e, post, where),
      },
      h('div', { class: 'post-side' }, continued ? timeElement(post.create_at) : avatar(author)),
      h('div', { class: 'post-main' },
        continued ? null : this.#head(post, author),
        editing ? this.#editor(post) : this.#body(post),
        this.#reactions(post),
        post.failed && this.#failure(post)),
      post.pending || editing ? null : this.#toolbar(post, where));
      return element;
    });
  }

  #head(post, author) {
    const name = override(post) || displayName(author);
    return h('div', { class: 'post-head' },
      h('span', { class: 'post-author', title: author && `@${author.username}` }, name),
      author?.is_bot && h('span', { class: 'badge' }, 'bot'),
      post.props?.from_webhook === 'true' && !author?.is_bot && h('span', { class: 'badge' }, 'webhook'),
      timeElement(post.create_at),
      post.type === 'system_ephemeral' && h('span', { class: 'quiet' }, 'only visible to you'),
      post.is_pinned && h('span', { class: 'quiet' }, 'pinned'));
  }

  #systemPost(post) {
    return h('div', { class: 'system-post', dataset: { id: post.id } },
      h('span', null, markdown(post.message, this.#options())), timeElement(post.create_at));
  }

  #options() {
    const { store } = this;
    return {
      mention: (name) => {
        if (name === 'all' || name === 'channel' || name === 'here') return { label: 'everybody here', self: true };
        const user = store.userByName(name);
        return user && { label: displayName(user), self: user.id === store.me.id };
      },
      channel: (name) => {
        const found = [...store.channels.values()].find((c) => c.name === name && 'OP'.includes(c.type));
        return found && { label: store.channelTitle(found), href: `#${store.me.username}/${found.name}` };
      },
    };
  }

  #body(post) {
    const text = h('div', { class: 'markdown' }, markdown(post.message, this.#options()));
    if (post.edit_at) {
      const mark = h('span', { class: 'edited' }, '(edited)');
      const last = text.lastElementChild;
      (last?.tagName === 'P' ? last : text).append(' ', mark);
    }
    // One emoji alone may be large.
    if (/^(\s*:[a-z0-9_+-]+:\s*){1,3}$/i.test(post.message)) text.classList.add('is-jumbo');
    return [post.message && text,
      attachmentsOf(post).map((a) => this.#attachment(a)),
      this.#files(post)];
  }

  // --- attachments and files ----------------------------------------------------------------------

  #attachment(a) {
    const options = this.#options();
    const named = { good: 'var(--good)', warning: 'var(--warning)', danger: 'var(--danger)' };
    const colour = named[a.color] ?? (/^#[0-9a-f]{3,8}$/i.test(a.color ?? '') ? a.color : 'var(--line-strong)');
    const titleUrl = /^https?:\/\//i.test(a.title_link ?? '') ? a.title_link : null;
    const text = (value) => markdown(String(value ?? ''), options);
    const fields = Array.isArray(a.fields) ? a.fields.filter((f) => f && typeof f === 'object') : [];
    return h('div', { class: 'attachment-outer' },
      a.pretext && h('div', { class: 'markdown' }, text(a.pretext)),
      h('div', { class: 'attachment', vars: { '--bar': colour } },
        a.author_name && h('div', { class: 'attachment-author' }, String(a.author_name)),
        a.title && h('div', { class: 'attachment-title' }, titleUrl
          ? h('a', { href: titleUrl, target: '_blank', rel: 'noopener noreferrer nofollow' }, String(a.title))
          : text(a.title)),
        a.text && h('div', { class: 'markdown' }, text(a.text)),
        fields.length > 0 && h('dl', { class: 'attachment-fields' }, fields.map((f) =>
          h('div', { class: f.short === true || f.short === 'true' ? 'is-short' : null },
            h('dt', null, text(f.title)), h('dd', { class: 'markdown' }, text(f.value))))),
        a.footer && h('div', { class: 'attachment-footer' }, String(a.footer))));
  }

  #files(post) {
    const files = post.metadata?.files ?? [];
    if (!files.length) return null;
    return h('div', { class: 'files' }, files.map((file) => {
      if (/^image\/(png|jpe?g|gif|webp|bmp)$/.test(file.mime_type)) return this.#image(file);
      return h('button', {
        type: 'button', class: 'file', onclick: () => this.#download(file), title: 'Download',
      }, icon('file'), h('span', { class: 'file-name' }, file.name), h('span', { class: 'quiet' }, sizeText(file.size)));
    }));
  }

  #image(file) {
    const image = h('img', { alt: file.name, loading: 'lazy' });
    if (file.width && file.height) {
      image.width = file.width;
      image.height = file.height;
    }
    this.#objectUrl(file).then((url) => { image.src = url; }, () => { image.replaceWith(file.name); });
    return h('button', {
      type: 'button', class: 'image', 'aria-label': `Show ${file.name}`, onclick: () => this.#lightbox(file),
    }, image);
  }

  // Files need the token in a header, so they are fetched here and shown from memory.
  #objectUrl(file) {
    if (!this.#images.has(file.id)) {
      const url = this.store.api.blob(`/files/${file.id}`).then((blob) => URL.createObjectURL(blob));
      url.catch(() => this.#images.delete(file.id));
      this.#images.set(file.id, url);
    }
    return this.#images.get(file.id);
  }

  async #download(file) {
    try {
      const url = await this.#objectUrl(file);
      h('a', { href: url, download: file.name }).click();
    } catch (error) {
      this.actions.tell(error.message);
    }
  }

  async #lightbox(file) {
    const dialog = h('dialog', { class: 'lightbox', 'aria-label': file.name, onclose: () => dialog.remove(),
      onclick: () => dialog.close() },
    h('img', { src: await this.#objectUrl(file), alt: file.name }),
    h('div', { class: 'lightbox-bar' }, h('span', null, file.name),
      iconButton('down', 'Download', (e) => { e.stopPropagation(); this.#download(file); }),
      iconButton('close', 'Close', () => dialog.close())));
    document.body.append(dialog);
    dialog.showModal();
  }

  // --- reactions ----------------------------------------------------------------------------------

  #reactions(post) {
    const groups = new Map();
    for (const r of post.metadata?.reactions ?? []) {
      groups.set(r.emoji_name, [...(groups.get(r.emoji_name) ?? []), r.user_id]);
    }
    if (!groups.size) return null;
    const { me, users } = this.store;
    return h('div', { class: 'reactions' },
      [...groups].map(([name, ids]) => {
        const mine = ids.includes(me.id);
        const who = ids.map((id) => (id === me.id ? 'you' : displayName(users.get(id)))).join(', ');
        return h('button', {
          type: 'button', class: `reaction ${mine ? 'is-mine' : ''}`, 'aria-pressed': String(mine),
          title: `${who}: :${name}:`, 'aria-label': `${name}, ${ids.length}, ${who}`, onclick: () => this.#react(post, name),
        }, h('span', { class: 'emoji' }, emojiFor(name) ?? `:${name}:`), h('span', null, String(ids.length)));
      }),
      h('button', { type: 'button', class: 'reaction reaction-add', 'aria-label': 'Add a reaction',
        onclick: (e) => this.#pickReaction(e.currentTarget, post) }, icon('smile')));
  }

  async #react(post, name) {
    try {
      await this.store.react(this.store.posts.get(post.id) ?? post, name);
    } catch (error) {
      this.actions.tell(error.message);
    }
  }

  #pickReaction(anchor, post) {
    pickEmoji(anchor, (name) => this.#react(post, name));
  }

  // --- acting on a post ---------------------------------------------------------------------------

  #toolbar(post, where) {
    const own = post.user_id === this.store.me.id;
    // Out of the way of Tab: the arrow keys lead here from the focused post.
    const button = (name, label, action) => iconButton(name, label, action, { tabindex: '-1' });
    return h('div', { class: 'toolbar', role: 'toolbar', 'aria-label': 'Message actions' },
      button('smile', 'Add a reaction', (e) => this.#pickReaction(e.currentTarget, post)),
      where === 'channel' && button('reply', 'Reply in a thread', () => this.actions.openThread(post.root_id || post.id)),
      own && button('pencil', 'Edit', () => this.edit(post, where)),
      own && button('trash', 'Delete', () => this.#confirmDelete(post)));
  }

  #onKey(event, post, where) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const buttons = [...event.currentTarget.querySelectorAll('.toolbar button')];
    const at = buttons.indexOf(event.target);
    if (step && buttons.length && (at >= 0 || event.target === event.currentTarget)) {
      (buttons[at + step] ?? event.currentTarget).focus();
      event.preventDefault();
      return;
    }
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const own = post.user_id === this.store.me.id;
    const move = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (move) {
      const all = [...event.currentTarget.parentElement.querySelectorAll('.post')];
      all[all.indexOf(event.currentTarget) + move]?.focus();
    } else if (event.key === 'Enter' || event.key === 'r') {
      this.actions.openThread(post.root_id || post.id);
    } else if (event.key === 'e' && own) {
      this.edit(post, where);
    } else if (event.key === 'Delete' && own) {
      this.#confirmDelete(post);
    } else if (event.key === '+') {
      this.#pickReaction(event.currentTarget, post);
    } else {
      return;
    }
    event.preventDefault();
  }

  edit(post, where) {
    this.editing = { id: post.id, where };
    this.store.touch();
  }

  #stopEditing() {
    this.editing = null;
    this.store.touch();
    this.actions.focusComposer();
  }

  #editor(post) {
    const area = h('textarea', { 'aria-label': 'Edit the message', rows: '2' });
    area.value = post.message;
    const save = async () => {
      const text = area.value.trim();
      if (!text) return;
      try {
        if (text !== post.message) await this.store.edit(post, text);
        this.#stopEditing();
      } catch (error) {
        this.actions.tell(error.message);
      }
    };
    area.addEventListener('keydown', (e) => {
      if (e.key === 'Escape') this.#stopEditing();
      else if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) save();
      else return;
      e.preventDefault();
      e.stopPropagation();
    });
    queueMicrotask(() => {
      area.style.height = `${Math.min(area.scrollHeight + 2, 400)}px`;
      area.focus();
      area.setSelectionRange(area.value.length, area.value.length);
    });
    return h('div', { class: 'editor' }, area,
      h('div', { class: 'editor-bar' },
        h('button', { type: 'button', class: 'button primary', onclick: save }, 'Save'),
        h('button', { type: 'button', class: 'button', onclick: () => this.#stopEditing() }, 'Cancel'),
        h('span', { class: 'quiet' }, 'Enter saves, Escape cancels')));
  }

  #confirmDelete(post) {
    const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'delete-title', onclose: () => dialog.remove() },
      h('h2', { id: 'delete-title' }, 'Delete this message?'),
      h('p', null, post.root_id || !post.reply_count ? 'It goes for everybody.' : 'It goes for everybody, with its replies.'),
      h('div', { class: 'dialog-bar' },
        h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel'),
        h('button', { type: 'button', class: 'button danger', autofocus: true, onclick: async () => {
          dialog.close();
          try {
            await this.store.remove(post);
            announce('Message deleted');
          } catch (error) {
            this.actions.tell(error.message);
          }
        } }, 'Delete')));
    document.body.append(dialog);
    dialog.showModal();
  }

  #failure(post) {
    return h('div', { class: 'failure', role: 'alert' }, `Not sent. ${post.failed}`,
      h('button', { type: 'button', class: 'button', onclick: () => this.store.resend(post) }, 'Send again'),
      h('button', { type: 'button', class: 'button', onclick: () => this.store.discard(post) }, 'Throw away'));
  }
}

function refocus(element) {
  if (document.activeElement === document.body && element.isConnected && element.matches('.post')) element.focus();
}

const isSystem = (post) => post.type.startsWith('system_') && post.type !== 'system_ephemeral';

const override = (post) =>
  (post.props?.from_webhook === 'true' && typeof post.props.override_username === 'string'
    ? post.props.override_username : null);

function attachmentsOf(post) {
  const list = post.props?.attachments;
  return Array.isArray(list) ? list.filter((a) => a && typeof a === 'object') : [];
}

// A small picker below or above `anchor`; calls back with a name.
export function pickEmoji(anchor, pick) {
  const grid = h('div', { class: 'picker-grid', role: 'listbox', 'aria-label': 'Emoji' });
  const field = h('input', { type: 'search', placeholder: 'Find an emoji', 'aria-label': 'Find an emoji' });
  const choose = (name) => {
    dialog.close();
    pick(name);
  };
  const show = () => {
    const text = field.value.trim().toLowerCase();
    const names = text ? emojiNames().filter((n) => n.includes(text)).slice(0, 48) : COMMON;
    grid.replaceChildren(...names.map((name) => h('button', {
      type: 'button', role: 'option', class: 'picker-emoji', title: `:${name}:`, 'aria-label': name,
      onclick: () => choose(name),
    }, emojiFor(name))));
    if (!names.length) grid.append(h('p', { class: 'quiet' }, 'None of that name.'));
  };
  const dialog = h('dialog', {
    class: 'picker', 'aria-label': 'Pick an emoji', onclose: () => dialog.remove(),
    onclick: (e) => e.target === dialog && dialog.close(),
  }, h('div', { class: 'picker-inner' }, field, grid));
  field.addEventListener('input', show);
  field.addEventListener('keydown', (e) => {
    if (e.key === 'Enter') grid.querySelector('button')?.click();
    else if (e.key === 'ArrowDown') grid.querySelector('button')?.focus();
  });
  grid.addEventListener('keydown', (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -8, ArrowDown: 8 }[e.key];
    if (!step) return;
    e.preventDefault();
    const all = [...grid.children];
    const next = all.indexOf(document.activeElement) + step;
    (all[next] ?? field).focus();
  });
  show();
  document.body.append(dialog);
  dialog.showModal();
  const box = anchor.getBoundingClientRect();
  const inner = dialog.firstChild.getBoundingClientRect();
  const left = Math.max(8, Math.min(box.right - inner.width, innerWidth - inner.width - 8));
  const below = box.bottom + inner.height + 12 < innerHeight;
  dialog.style.left = `${left}px`;
  dialog.style.top = `${below ? box.bottom + 6 : Math.max(8, box.top - inner.height - 6)}px`;
}
