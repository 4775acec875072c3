// People who post, a bot that echoes ("re: ..."), and that each post has one answer in the end.
import assert from 'node:assert/strict';

export const echo = 'printf "re: %s" "$MATTERWIRE_TEXT"';

export async function say(person, channel, n, tag) {
  const posts = [];
  for (let i = 0; i < n; i++) posts.push(await person.post(channel, `${tag} ${i}`));
  return posts;
}

// Waits until each of these posts has its answer; a post behind them flushes what might come twice.
export async function answeredOnce(person, bot, posts, ms) {
  for (const post of posts) {
    await person.hears((p) => p.user_id === bot.id && p.message === `re: ${post.message}`, `the answer to ${post.message}`, ms);
  }
  const marker = await person.post(posts.at(-1).channel_id, `marker ${Math.random()}`);
  await person.hears((p) => p.message === `re: ${marker.message}`, 'the answer to the marker', ms);
  for (const post of posts) {
    const answers = person.events.items.filter(
      (e) => e.event === 'posted' && e.data.post.user_id === bot.id && e.data.post.message === `re: ${post.message}`);
    assert.equal(answers.length, 1, `${post.message} has ${answers.length} answers`);
  }
}
