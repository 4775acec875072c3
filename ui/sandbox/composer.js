// Where a message is written: text, files, names that complete themselves.
import { append, avatar, displayName, h, icon, iconButton, reconcile, sizeText } from './dom.js';
import { emojiFor, emojiNames } from './emoji.js';
import { pickEmoji } from './posts.js';

const drafts = new Map(); // "channel/root" -> text
const MAX_FILES = 10;

export class Composer {
  #files = []; // {name, size, info | null, failed}
  #choices = [];
  #chosen = 0;
  #range = null;

  // options: {channelId, rootId, label, editLast(), tell(sentence)}
  constructor(store, options) {
    this.store = store;
    Object.assign(this, options);
    this.key = `${this.channelId}/${this.rootId}`;
    this.#build();
  }

  #build() {
    const picker = h('input', { type: 'file', multiple: true, hidden: true, tabindex: '-1', 'aria-hidden': 'true',
      onchange: () => {
        this.addFiles(picker.files);
        picker.value = '';
      } });
    this.area = h('textarea', {
      rows: '1', placeholder: this.label, 'aria-label': this.label, enterkeyhint: 'send', autocomplete: 'off',
      'aria-autocomplete': 'list',
      oninput: () => this.#onInput(), onkeydown: (e) => this.#onKey(e), onpaste: (e) => this.#onPaste(e),
      onblur: () => setTimeout(() => this.#closeChoices(), 150),
    });
    this.area.value = drafts.get(this.key) ?? '';
    this.chips = h('div', { class: 'chips' });
    this.list = h('div', { class: 'choices', role: 'listbox', 'aria-label': 'Suggestions', hidden: true });
    this.sendButton = iconButton('send', 'Send', () => this.send(), { class: 'icon-button send' });
    this.element = h('form', { class: 'composer', onsubmit: (e) => { e.preventDefault(); this.send(); } },
      this.list, this.chips,
      h('div', { class: 'composer-row' },
        iconButton('clip', 'Attach files', () => picker.click()), picker, this.area,
        iconButton('smile', 'Add an emoji', (e) => pickEmoji(e.currentTarget, (name) => this.insert(`:${name}: `))),
        this.sendButton));
    queueMicrotask(() => this.#grow());
  }

  // Called when it is on the screen.
  focus() {
    this.#grow();
    this.area.focus({ preventScroll: true });
  }

  insert(text) {
    this.focus();
    this.area.setRangeText(text, this.area.selectionStart, this.area.selectionEnd, 'end');
    this.#onInput();
  }

  #grow() {
    this.area.style.height = 'auto';
    // Nothing has a height while it is hidden; one row is right then.
    const height = Math.min(this.area.scrollHeight, innerHeight * 0.4);
    if (height) this.area.style.height = `${height}px`;
    this.sendButton.disabled = !this.area.value.trim() && !this.#files.length;
  }

  #onInput() {
    drafts.set(this.key, this.area.value);
    this.#grow();
    this.#suggest();
    if (this.area.value.trim()) this.store.sendTyping(this.channelId, this.rootId);
  }

  #onKey(e) {
    if (e.isComposing) return;
    if (!this.list.hidden) {
      const step = { ArrowUp: -1, ArrowDown: 1 }[e.key];
      if (step) {
        this.#chosen = (this.#chosen + step + this.#choices.length) % this.#choices.length;
        this.#drawChoices();
        e.preventDefault();
        return;
      }
      if (e.key === 'Enter' || e.key === 'Tab') {
        this.#take(this.#choices[this.#chosen]);
        e.preventDefault();
        return;
      }
      if (e.key === 'Escape') {
        this.#closeChoices();
        e.preventDefault();
        e.stopPropagation();
        return;
      }
    }
    if (e.key === 'Enter' && !e.shiftKey && !e.altKey) {
      e.preventDefault();
      this.send();
    } else if (e.key === 'ArrowUp' && !this.area.value) {
      e.preventDefault();
      this.editLast();
    }
  }

  #onPaste(e) {
    if (!e.clipboardData.files.length) return;
    e.preventDefault();
    this.addFiles(e.clipboardData.files);
  }

  async send() {
    const message = this.area.value.replace(/\s+$/, '');
    if (this.#files.some((f) => !f.info && !f.failed)) {
      this.tell('A file is still on its way.');
      return;
    }
    const files = this.#files.filter((f) => f.info).map((f) => f.info);
    if (!message.trim() && !files.length) return;
    this.area.value = '';
    drafts.delete(this.key);
    this.#files = [];
    this.#drawChips();
    this.#closeChoices();
    this.#grow();
    await this.store.send(this.channelId, this.rootId, message, files);
  }

  // --- files --------------------------------------------------------------------------------------

  addFiles(list) {
    for (const file of list) {
      if (this.#files.length >= MAX_FILES) {
        this.tell(`A message takes ${MAX_FILES} files at the most.`);
        break;
      }
      const entry = { name: file.name || 'pasted.png', size: file.size, info: null, failed: false };
      this.#files.push(entry);
      this.store.upload(this.channelId, file).then((info) => { entry.info = info; }, (error) => {
        entry.failed = true;
        this.tell(`${entry.name} was not taken. ${error.message}`);
      }).finally(() => this.#drawChips());
    }
    this.#drawChips();
    this.focus();
  }

  #drawChips() {
    reconcile(this.chips, this.#files.map((f) => h('span', { class: `chip ${f.failed ? 'is-failed' : ''}` },
      icon('file'), h('span', { class: 'file-name' }, f.name),
      h('span', { class: 'quiet' }, f.failed ? 'failed' : f.info ? sizeText(f.size) : 'uploading…'),
      iconButton('close', `Remove ${f.name}`, () => {
        this.#files = this.#files.filter((other) => other !== f);
        this.#drawChips();
      }))));
    this.#grow();
  }

  // --- suggestions --------------------------------------------------------------------------------

  #suggest() {
    const caret = this.area.selectionStart;
    const m = /(?:^|[\s(])([@~:])([a-z0-9._+-]*)$/i.exec(this.area.value.slice(0, caret));
    this.#choices = m ? this.#candidates(m[1], m[2].toLowerCase()).slice(0, 8) : [];
    this.#range = m && [caret - m[1].length - m[2].length, caret];
    this.#chosen = 0;
    this.#drawChoices();
  }

  #candidates(kind, text) {
    const { store } = this;
    if (kind === '@') {
      return [...store.users.values()]
        .filter((u) => !u.delete_at && (u.username.startsWith(text) || displayName(u).toLowerCase().includes(text)))
        .sort((a, b) => a.username.localeCompare(b.username))
        .map((u) => ({ text: `@${u.username}`, parts: [avatar(u, 'avatar-small'), displayName(u),
          h('span', { class: 'quiet' }, `@${u.username}`), u.is_bot && h('span', { class: 'badge' }, 'bot')] }));
    }
    if (kind === '~') {
      return [...store.channels.values()].filter((c) => 'OP'.includes(c.type) && c.name.startsWith(text))
        .map((c) => ({ text: `~${c.name}`, parts: [icon('hash'), store.channelTitle(c)] }));
    }
    if (text.length < 2) return [];
    return emojiNames().filter((n) => n.startsWith(text))
      .map((n) => ({ text: `:${n}:`, parts: [h('span', { class: 'emoji' }, emojiFor(n)), `:${n}:`] }));
  }

  #drawChoices() {
    this.list.hidden = !this.#choices.length;
    this.list.replaceChildren(...this.#choices.map((c, i) => {
      const row = h('div', { class: 'choice', role: 'option', 'aria-selected': String(i === this.#chosen),
        onmousedown: (e) => { e.preventDefault(); this.#take(c); } });
      append(row, c.parts);
      return row;
    }));
  }

  #take(choice) {
    this.area.setRangeText(`${choice.text} `, ...this.#range, 'end');
    this.#closeChoices();
    this.#onInput();
    this.#closeChoices();
  }

  #closeChoices() {
    this.#choices = [];
    this.#drawChoices();
  }
}
