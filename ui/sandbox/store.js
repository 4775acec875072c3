// What this tab knows: fetched once, then kept up to date by events. Nothing here touches the page.
import { Api, Socket } from './net.js';
import { displayName } from './dom.js';

const PAGE = 60;
const TYPING_SHOWN_MS = 6000;
const TYPING_SENT_EVERY_MS = 4000;

export class Store {
  users = new Map();
  teams = new Map();
  channels = new Map();
  members = new Map(); // channel id -> own membership, with `mentions` and `unread`
  posts = new Map();
  pages = new Map(); // channel id -> {ids: Set, complete: bool}, for channels whose posts were fetched
  coming = new Map(); // channel id -> Set of posts that events bring while its page is fetched
  threads = new Set(); // root ids whose whole thread was fetched
  typing = new Map(); // "channel/root" -> Map(user id -> timer)
  connected = false;
  wasConnected = false;
  current = null; // channel id
  thread = null; // root id
  #dirty = false;
  #byRoot = null; // root id -> its replies, made when asked for
  #typingSent = new Map();
  #fetching = new Map();
  #lastEvent = Date.now();
  #settle;
  #settled = new Promise((resolve) => { this.#settle = resolve; }); // the socket is open, or cannot be opened now

  // changed(): something is to be drawn anew. failed(sentence): tell the person. expired(): sign in again.
  constructor(token, me, { changed, failed, expired }) {
    this.api = new Api(token);
    this.token = token;
    this.me = me;
    this.failed = failed;
    this.expired = expired;
    this.#changed = changed;
  }

  #changed;

  // Many changes of one turn are drawn once.
  touch() {
    this.#byRoot = null;
    if (this.#dirty) return;
    this.#dirty = true;
    queueMicrotask(() => {
      this.#dirty = false;
      this.#changed();
    });
  }

  async start(everybody) {
    for (const user of everybody) this.users.set(user.id, user);
    await this.#fetchChannels();
    this.socket = new Socket(this.token, {
      onopen: () => this.#onOpen(),
      onevent: (event) => this.#onEvent(event),
      onlost: () => {
        this.connected = false;
        this.wasConnected = true; // there is something to catch up with
        this.#settle();
        this.touch();
      },
      onexpired: () => this.expired(),
    });
  }

  stop() {
    this.socket?.close();
  }

  // --- channels -----------------------------------------------------------------------------------

  async #fetchChannels() {
    const teams = await this.api.get('/users/me/teams');
    const lists = await Promise.all(teams.map(async (team) => {
      const [channels, members] = await Promise.all([
        this.api.get(`/users/me/teams/${team.id}/channels`),
        this.api.get(`/users/me/teams/${team.id}/channels/members`),
      ]);
      return { channels, members };
    }));
    this.teams = new Map(teams.map((team) => [team.id, team]));
    this.channels.clear();
    this.members.clear();
    const unknown = [];
    for (const { channels, members } of lists) {
      for (const channel of channels) {
        if (channel.delete_at) continue;
        this.channels.set(channel.id, channel);
        unknown.push(...this.#dmIds(channel));
      }
      for (const member of members) this.#takeMember(member);
    }
    await this.fetchUsers(unknown);
    this.touch();
  }

  #dmIds(channel) {
    return channel.type === 'D' ? channel.name.split('__') : [];
  }

  #takeMember(member) {
    const channel = this.channels.get(member.channel_id);
    if (!channel) return;
    member.unread = Math.max(0, channel.total_msg_count - member.msg_count);
    member.mentions = member.mention_count || (channel.type === 'D' ? member.unread : 0);
    this.members.set(member.channel_id, member);
  }

  // A channel that an event names for the first time, or that changed.
  async fetchChannel(id) {
    const once = this.#fetching.get(id) ?? (async () => {
      try {
        const [channel, member] = await Promise.all([
          this.api.get(`/channels/${id}`),
          this.api.get(`/channels/${id}/members/${this.me.id}`),
        ]);
        await this.fetchUsers(this.#dmIds(channel));
        this.channels.set(id, channel);
        this.#takeMember(member);
        this.touch();
      } finally {
        this.#fetching.delete(id);
      }
    })();
    this.#fetching.set(id, once);
    return once;
  }

  async fetchUsers(ids) {
    const missing = [...new Set(ids)].filter((id) => id && !this.users.has(id));
    if (!missing.length) return;
    for (const user of await this.api.post('/users/ids', missing)) this.users.set(user.id, user);
    this.touch();
  }

  // The other side of a direct message; oneself for notes to oneself.
  teammate(channel) {
    const [a, b] = channel.name.split('__');
    return this.users.get(a === this.me.id ? b : a);
  }

  channelTitle(channel) {
    if (channel.type === 'D') return displayName(this.teammate(channel));
    if (channel.type === 'G') {
      return channel.display_name.split(', ').filter((n) => n !== this.me.username).join(', ');
    }
    return channel.display_name || channel.name;
  }

  // The channel's part of this tab's address.
  channelSlug(channel) {
    if (channel.type === 'D') return `@${this.teammate(channel)?.username ?? channel.id}`;
    return channel.type === 'G' ? channel.id : channel.name;
  }

  channelBySlug(slug) {
    for (const channel of this.channels.values()) if (this.channelSlug(channel) === slug) return channel;
    return this.channels.get(slug);
  }

  userByName(username) {
    for (const user of this.users.values()) if (user.username === username) return user;
    return undefined;
  }

  async direct(user) {
    const channel = await this.api.post('/channels/direct', [this.me.id, user.id]);
    await this.fetchChannel(channel.id);
    return channel.id;
  }

  async publicChannels() {
    const lists = await Promise.all([...this.teams.keys()].map((id) => this.api.get(`/teams/${id}/channels?per_page=200`)));
    return lists.flat();
  }

  async join(channel) {
    await this.api.post(`/channels/${channel.id}/members`, { user_id: this.me.id });
    await this.fetchChannel(channel.id);
    return channel.id;
  }

  async create(displayTitle) {
    const name = displayTitle.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 64);
    const [team] = this.teams.keys();
    const channel = await this.api.post('/channels', { team_id: team, name, display_name: displayTitle, type: 'O' });
    await this.fetchChannel(channel.id);
    return channel.id;
  }

  async leave(id) {
    await this.api.call('DELETE', `/channels/${id}/members/${this.me.id}`);
    this.#forgetChannel(id);
  }

  #forgetChannel(id) {
    this.channels.delete(id);
    this.members.delete(id);
    this.pages.delete(id);
    this.touch();
  }

  // --- posts --------------------------------------------------------------------------------------

  takePost(post) {
    const old = this.posts.get(post.id);
    if (post.delete_at) {
      this.#dropPost(post.id);
      return;
    }
    if (!old && post.root_id) {
      // Counts of roots that were fetched already; later fetches bring their own.
      const root = this.posts.get(post.root_id);
      if (root && post.create_at > (root.counted_at ?? 0)) {
        root.reply_count = (root.reply_count ?? 0) + 1;
        root.last_reply_at = post.create_at;
      }
    }
    // Some events carry no metadata; what is known of files and reactions stays.
    if (old?.metadata && !post.metadata) post.metadata = old.metadata;
    if (!post.root_id) post.counted_at = Math.max(post.last_reply_at || 0, old?.counted_at ?? 0, post.create_at);
    this.posts.set(post.id, post);
    this.#addToPage(post);
    if (post.pending_post_id && post.pending_post_id !== post.id) this.posts.delete(post.pending_post_id);
    if (post.file_ids?.length && !post.metadata?.files) this.#fetchFiles(post.id);
    this.touch();
  }

  #addToPage(post) {
    (this.pages.get(post.channel_id)?.ids ?? this.coming.get(post.channel_id))?.add(post.id);
  }

  #takeList(list) {
    const posts = Object.values(list.posts).sort((a, b) => a.create_at - b.create_at);
    for (const post of posts) if (!post.root_id) this.takePost(post);
    for (const post of posts) if (post.root_id) this.takePost(post);
    return this.fetchUsers(posts.map((p) => p.user_id));
  }

  #dropPost(id) {
    const post = this.posts.get(id);
    if (!post) return;
    const root = this.posts.get(post.root_id);
    if (root?.reply_count) root.reply_count--;
    for (const reply of this.posts.values()) if (reply.root_id === id) this.posts.delete(reply.id);
    this.posts.delete(id);
    if (this.thread === id) this.thread = null;
    this.touch();
  }

  async #fetchFiles(id) {
    try {
      const files = await this.api.get(`/posts/${id}/files/info`);
      const post = this.posts.get(id);
      if (post) this.posts.set(id, { ...post, metadata: { ...post.metadata, files } });
      this.touch();
    } catch (error) {
      this.failed(error.message);
    }
  }

  async fetchPosts(channelId) {
    await this.#settled; // what is said behind this page comes as an event
    if (this.pages.has(channelId)) return;
    const ids = this.coming.get(channelId) ?? new Set();
    this.coming.set(channelId, ids);
    try {
      const list = await this.api.get(`/channels/${channelId}/posts?per_page=${PAGE}`);
      this.pages.set(channelId, { ids, complete: !list.prev_post_id });
      await this.#takeList(list);
    } finally {
      this.coming.delete(channelId);
    }
    this.touch();
  }

  async fetchOlder(channelId) {
    const page = this.pages.get(channelId);
    if (!page || page.complete || page.loading) return;
    page.loading = true;
    try {
      const oldest = [...page.ids].map((id) => this.posts.get(id)).filter(Boolean)
        .reduce((a, b) => (a.create_at < b.create_at ? a : b));
      const list = await this.api.get(`/channels/${channelId}/posts?before=${oldest.id}&per_page=${PAGE}`);
      page.complete = !list.prev_post_id || !list.order.length;
      await this.#takeList(list);
    } finally {
      page.loading = false;
      this.touch();
    }
  }

  async fetchThread(rootId) {
    const list = await this.api.get(`/posts/${rootId}/thread`);
    this.threads.add(rootId);
    await this.#takeList(list);
    const root = this.posts.get(rootId);
    if (root) root.reply_count = this.replies(rootId).filter((p) => !p.pending).length;
    this.touch();
    return root;
  }

  // Roots of a channel, oldest first. A reply whose root is not at hand stands for itself.
  roots(channelId) {
    const out = [];
    for (const id of this.pages.get(channelId)?.ids ?? []) {
      const post = this.posts.get(id);
      if (post && (!post.root_id || !this.posts.has(post.root_id))) out.push(post);
    }
    return out.sort(byTime);
  }

  replies(rootId) {
    if (!this.#byRoot) {
      this.#byRoot = new Map();
      for (const post of this.posts.values()) {
        if (!post.root_id) continue;
        const list = this.#byRoot.get(post.root_id);
        if (list) list.push(post);
        else this.#byRoot.set(post.root_id, [post]);
      }
      for (const list of this.#byRoot.values()) list.sort(byTime);
    }
    return this.#byRoot.get(rootId) ?? [];
  }

  // Shows the post at once and sends it. A failed one stays, to be sent again or thrown away.
  async send(channelId, rootId, message, files) {
    const pending = `${this.me.id}:${Date.now()}`;
    const post = {
      id: pending, pending: true, channel_id: channelId, root_id: rootId, user_id: this.me.id, message, type: '',
      create_at: Date.now(), edit_at: 0, props: {}, file_ids: files.map((f) => f.id), metadata: { files },
    };
    this.posts.set(pending, post);
    this.#addToPage(post);
    this.touch();
    await this.#deliver(post);
  }

  async #deliver(post) {
    try {
      const sent = await this.api.post('/posts', {
        channel_id: post.channel_id, root_id: post.root_id, message: post.message, file_ids: post.file_ids,
        pending_post_id: post.id,
      });
      this.posts.delete(post.id);
      if (!this.posts.has(sent.id)) this.takePost(sent);
    } catch (error) {
      this.posts.set(post.id, { ...post, failed: error.message });
    }
    this.touch();
  }

  // The same pending id, so that a post that did arrive is not made twice.
  resend(post) {
    const again = { ...post, failed: undefined };
    this.posts.set(post.id, again);
    this.touch();
    return this.#deliver(again);
  }

  discard(post) {
    this.posts.delete(post.id);
    this.touch();
  }

  async edit(post, message) {
    this.takePost(await this.api.call('PUT', `/posts/${post.id}/patch`, { message }));
  }

  async remove(post) {
    await this.api.call('DELETE', `/posts/${post.id}`);
    this.#dropPost(post.id);
  }

  async react(post, name) {
    const mine = post.metadata?.reactions?.some((r) => r.emoji_name === name && r.user_id === this.me.id);
    if (mine) {
      await this.api.call('DELETE', `/users/${this.me.id}/posts/${post.id}/reactions/${encodeURIComponent(name)}`);
      this.#takeReaction({ user_id: this.me.id, post_id: post.id, emoji_name: name }, false);
    } else {
      this.#takeReaction(await this.api.post('/reactions',
        { user_id: this.me.id, post_id: post.id, emoji_name: name }), true);
    }
  }

  #takeReaction(reaction, added) {
    const post = this.posts.get(reaction.post_id);
    if (!post) return;
    const others = (post.metadata?.reactions ?? []).filter((r) =>
      r.user_id !== reaction.user_id || r.emoji_name !== reaction.emoji_name);
    const reactions = added ? [...others, reaction] : others;
    // A new object tells the view that it has to draw it again.
    this.posts.set(post.id, { ...post, metadata: { ...post.metadata, reactions } });
    this.fetchUsers([reaction.user_id]).catch(() => {});
    this.touch();
  }

  async upload(channelId, file) {
    const form = new FormData();
    form.append('channel_id', channelId);
    form.append('files', file, file.name || 'pasted.png');
    return (await this.api.post('/files', form)).file_infos[0];
  }

  // --- reading and typing -------------------------------------------------------------------------

  async view(channelId) {
    const member = this.members.get(channelId);
    if (!member || !(member.unread || member.mentions)) return;
    member.unread = 0;
    member.mentions = 0;
    member.last_viewed_at = this.channels.get(channelId)?.last_post_at ?? member.last_viewed_at;
    this.touch();
    await this.api.post(`/channels/members/${this.me.id}/view`, { channel_id: channelId, prev_channel_id: '' });
  }

  sendTyping(channelId, rootId) {
    const key = `${channelId}/${rootId}`;
    const now = Date.now();
    if (now - (this.#typingSent.get(key) ?? 0) < TYPING_SENT_EVERY_MS) return;
    this.#typingSent.set(key, now);
    this.socket.send('user_typing', { channel_id: channelId, parent_id: rootId });
  }

  typingNames(channelId, rootId) {
    return [...(this.typing.get(`${channelId}/${rootId}`)?.keys() ?? [])].map((id) => displayName(this.users.get(id)));
  }

  #setTyping(channelId, rootId, userId, on) {
    const key = `${channelId}/${rootId}`;
    const who = this.typing.get(key) ?? new Map();
    clearTimeout(who.get(userId));
    who.delete(userId);
    if (on) who.set(userId, setTimeout(() => this.#setTyping(channelId, rootId, userId, false), TYPING_SHOWN_MS));
    if (who.size) this.typing.set(key, who);
    else this.typing.delete(key);
    this.touch();
  }

  // --- events -------------------------------------------------------------------------------------

  async #onOpen() {
    const again = this.wasConnected;
    const since = this.#lastEvent;
    this.#lastEvent = Date.now();
    this.connected = true;
    this.wasConnected = true;
    this.#settle();
    this.touch();
    if (!again) return;
    try {
      await this.#catchUp(since);
    } catch (error) {
      this.failed(error.message);
    }
  }

  // What was said, edited and deleted while the socket was down. Channels that are not on the screen are fetched
  // anew when somebody opens them.
  async #catchUp(since) {
    for (const id of [...this.pages.keys()]) if (id !== this.current) this.pages.delete(id);
    this.threads.clear();
    await this.#fetchChannels();
    if (this.current && this.pages.has(this.current)) {
      // Server and browser clocks may differ: go by the newest post that is here.
      const newest = Math.max(0, ...[...this.pages.get(this.current).ids].map((id) => this.posts.get(id))
        .filter((p) => p && !p.pending).map((p) => Math.max(p.update_at, p.create_at)));
      const list = await this.api.get(`/channels/${this.current}/posts?since=${Math.min(newest || since, since)}`);
      if (Object.keys(list.posts).length >= 1000) {
        this.pages.delete(this.current);
        await this.fetchPosts(this.current);
      } else {
        await this.#takeList(list);
      }
    }
    if (this.thread) await this.fetchThread(this.thread);
  }

  #onEvent({ event, data, broadcast }) {
    this.#lastEvent = Date.now();
    const handler = HANDLERS[event];
    if (handler) handler.call(this, data, broadcast);
  }

  posted(post, mentions) {
    this.#setTyping(post.channel_id, post.root_id, post.user_id, false);
    this.fetchUsers([post.user_id]).catch(() => {});
    const known = this.posts.has(post.id);
    this.takePost(post);
    const channel = this.channels.get(post.channel_id);
    if (!channel) {
      // What is being fetched may not count this post yet.
      const again = this.#fetching.has(post.channel_id);
      this.fetchChannel(post.channel_id).then(() => again && this.fetchChannel(post.channel_id))
        .catch((error) => this.failed(error.message));
      return;
    }
    channel.last_post_at = Math.max(channel.last_post_at, post.create_at);
    const member = this.members.get(post.channel_id);
    if (known || !member || post.user_id === this.me.id) return;
    member.unread++;
    if (channel.type === 'D' || mentions.includes(this.me.id)) member.mentions++;
  }

  reaction(text, added) {
    this.#takeReaction(JSON.parse(text), added);
  }

  deleted(post) {
    this.#dropPost(post.id);
  }

  showTyping(channelId, rootId, userId) {
    if (userId !== this.me.id) this.#setTyping(channelId, rootId, userId, true);
  }

  gone(channelId) {
    this.#forgetChannel(channelId);
  }

  arrive(channelId) {
    if (channelId) this.fetchChannel(channelId).catch((error) => this.failed(error.message));
  }

  viewed(channelId) {
    const member = this.members.get(channelId);
    if (member) Object.assign(member, { unread: 0, mentions: 0 });
    this.touch();
  }

  userChanged(user) {
    this.users.set(user.id, { ...this.users.get(user.id), ...user });
    if (user.id === this.me.id) this.me = this.users.get(user.id);
    this.touch();
  }
}

const byTime = (a, b) => a.create_at - b.create_at || (a.id < b.id ? -1 : 1);

// Called with the store as `this`. Unknown events are ignored: servers have many.
const HANDLERS = {
  posted(data) {
    this.posted(JSON.parse(data.post), data.mentions ? JSON.parse(data.mentions) : []);
  },
  ephemeral_message(data) {
    this.takePost(JSON.parse(data.post));
  },
  post_edited(data) {
    const post = JSON.parse(data.post);
    if (this.posts.has(post.id)) this.takePost(post);
  },
  post_deleted(data) {
    this.deleted(JSON.parse(data.post));
  },
  reaction_added(data) {
    this.reaction(data.reaction, true);
  },
  reaction_removed(data) {
    this.reaction(data.reaction, false);
  },
  typing(data, broadcast) {
    this.showTyping(broadcast.channel_id, data.parent_id, data.user_id);
  },
  direct_added(data, broadcast) {
    this.arrive(broadcast.channel_id);
  },
  group_added(data, broadcast) {
    this.arrive(broadcast.channel_id);
  },
  channel_created(data) {
    this.arrive(data.channel_id);
  },
  channel_updated(data) {
    const channel = JSON.parse(data.channel);
    if (this.channels.has(channel.id)) this.arrive(channel.id);
  },
  channel_restored(data) {
    this.arrive(data.channel_id);
  },
  channel_deleted(data) {
    this.gone(data.channel_id);
  },
  user_added(data, broadcast) {
    if (data.user_id === this.me.id) this.arrive(broadcast.channel_id);
  },
  user_removed(data) {
    if (data.channel_id) this.gone(data.channel_id);
  },
  multiple_channels_viewed(data) {
    for (const id of Object.keys(data.channel_times)) this.viewed(id);
  },
  channel_viewed(data) {
    this.viewed(data.channel_id);
  },
  user_updated(data) {
    this.userChanged(data.user);
  },
  new_user(data) {
    this.fetchUsers([data.user_id]).catch(() => {});
  },
};
