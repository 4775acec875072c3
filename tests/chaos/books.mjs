// The three books: what people posted, what the journal holds, what the server shows as answers.
import { call } from './people.mjs';

// The posts of the journal: post id -> its events, in the order of the journal.
export async function readJournal(keeper) {
  const byPost = new Map(), list = [];
  for (let before; ; ) {
    const { events, more } = await keeper.ask('history', { kinds: ['post'], limit: 1000, before });
    list.unshift(...events);
    before = events[0]?.id;
    if (!more || before === undefined) break;
  }
  for (const event of list) {
    if (!byPost.has(event.post_id)) byPost.set(event.post_id, []);
    byPost.get(event.post_id).push(event);
  }
  return { byPost, list };
}

// What the bot has said on the server: number of the question -> its answers; and what answers nothing.
export async function readAnswers(people) {
  const byNumber = new Map(), stray = [];
  for (const place of people.places) {
    for (let page = 0; ; page++) {
      const { status, json } = await call(people.url, place.reader.token, 'GET',
        `/channels/${place.channel.id}/posts?page=${page}&per_page=200`);
      if (status !== 200) throw new Error(`the posts of ${place.channel.name} could not be read: ${status}`);
      for (const id of json.order) {
        const post = json.posts[id];
        if (post.user_id !== people.bot.id || post.type) continue;
        const number = post.message.match(/^#(\w+) /)?.[1];
        if (number === undefined) {
          stray.push(post);
          continue;
        }
        if (!byNumber.has(number)) byNumber.set(number, []);
        byNumber.get(number).push(post);
      }
      if (json.order.length < 200) break;
    }
  }
  return { byNumber, stray };
}

// Of a list that should ascend: those that come too late, behind something that began when they were over.
function late(list, end, begin = end) {
  let highest = -Infinity;
  return list.filter((item) => {
    const ok = end(item) > highest;
    highest = Math.max(highest, begin(item));
    return !ok;
  });
}

function groupBy(list, key) {
  const groups = new Map();
  for (const item of list) {
    if (!groups.has(key(item))) groups.set(key(item), []);
    groups.get(key(item)).push(item);
  }
  return groups;
}

/*
 * Compares them: {posted, journaled, answered, lost, doubled, disordered}, the last three as lists of sentences.
 * Order: the journal has each channel's posts in the order of the server (of `at`; or, where a server tells of posts that
 * are made side by side in any order, each post behind those that were over when it began: `from`, `until`); the answers of one conversation (a thread; what
 * is said to the bot directly, outside of threads) come in the order of the questions, but for what was set aside and
 * tried again by hand (`byHand`: ids of events).
 */
export function reconcile({ posted, doomed, journal, answers, byHand = new Set() }) {
  const lost = [], doubled = [], disordered = [];
  const name = (p) => `#${p.n} (post ${p.id}, channel ${p.channel}${p.root ? `, thread ${p.root}` : ''})`;
  let journaled = 0, answered = 0;
  const number = (p) => String(p.n);
  const events = (p) => journal.byPost.get(p.id) ?? [];
  const replies = (p) => answers.byNumber.get(number(p)) ?? [];

  for (const post of posted) {
    if (events(post).length) journaled++;
    else lost.push(`${name(post)} is not in the journal`);
    if (replies(post).length) answered++;
    else lost.push(`${name(post)} has no answer`);
    const [answer] = replies(post);
    if (answer && (answer.channel_id !== post.channel || answer.root_id !== (post.root || post.id)))
      lost.push(`${name(post)} is answered in another place: ${answer.id}`);
  }
  for (const post of [...posted, ...doomed]) {
    if (events(post).length > 1) doubled.push(`${name(post)} is ${events(post).length} times in the journal`);
    if (replies(post).length > 1) doubled.push(`${name(post)} has ${replies(post).length} answers: ${replies(post).map((p) => p.id)}`);
  }
  const known = new Set([...posted, ...doomed].map(number));
  for (const [n, list] of answers.byNumber) if (!known.has(n)) answers.stray.push(...list);
  for (const post of answers.stray) doubled.push(`post ${post.id} of the bot answers nothing: ${post.message.slice(0, 60)}`);

  const inJournal = posted.filter((p) => events(p).length).sort((a, b) => events(a)[0].id - events(b)[0].id);
  for (const list of groupBy(inJournal, (p) => p.channel).values())
    for (const post of late(list, (p) => p.until ?? p.at, (p) => p.from ?? p.at)) disordered.push(`${name(post)} is in the journal behind a later post of its channel`);
  const inOrder = inJournal.filter((p) => replies(p).length && !byHand.has(events(p)[0].id));
  const conversation = (p) => `${p.channel}/${p.direct ? p.root : p.root || p.id}`;
  for (const list of groupBy(inOrder, conversation).values())
    for (const post of late(list, (p) => replies(p)[0].create_at)) disordered.push(`${name(post)} is answered before an earlier post of its conversation`);

  return { posted: posted.length, journaled, answered, lost, doubled, disordered };
}
