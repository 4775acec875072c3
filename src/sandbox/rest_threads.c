/* A user's threads: following, unread replies; and setting a post unread. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

struct counts {
    int64_t replies, unread, last_reply_at;
};

static struct counts count(const struct sb_post *root, const struct sb_thread_state *t)
{
    struct counts n = {0};

    for (size_t i = 0; i < root->n_replies; i++) {
        const struct sb_post *p = root->replies[i];

        if (p->delete_at)
            continue;
        n.replies++;
        n.last_reply_at = p->create_at;
        n.unread += p->create_at > t->last_viewed_at && !mw_streq(p->user_id, t->user_id);
    }
    return n;
}

static void put_participants(struct sb_req *q, const struct sb_post *root)
{
    const struct sb_user *seen[16];
    size_t n = 0;

    for (size_t i = 0; i <= root->n_replies && n < MW_ARRAY_LEN(seen); i++) {
        const struct sb_user *u = i ? root->replies[i - 1]->author : root->author;
        bool known = false;

        for (size_t j = 0; j < n && !known; j++)
            known = seen[j] == u; // cppcheck-suppress uninitvar
        if (known)
            continue;
        if (n)
            mw_buf_putc(&q->out, ',');
        seen[n++] = u;
        sb_put_user(q->sv, &q->out, u, NULL);
    }
}

static void put_thread(struct sb_req *q, const struct sb_post *root,
                       const struct sb_thread_state *t)
{
    struct counts n = count(root, t);

    mw_buf_printf(&q->out,
                  "{\"id\":\"%s\",\"reply_count\":%" PRId64 ",\"last_reply_at\":%" PRId64
                  ",\"last_viewed_at\":%" PRId64 ",\"participants\":[",
                  root->id, n.replies, n.last_reply_at, t->last_viewed_at);
    put_participants(q, root);
    mw_buf_puts(&q->out, "],\"post\":");
    sb_put_post(q->sv, &q->out, root, false, q->user);
    mw_buf_printf(&q->out, ",\"unread_replies\":%" PRId64 ",\"unread_mentions\":0", n.unread);
    if (!q->sv->old)
        mw_buf_puts(&q->out, ",\"is_urgent\":false,\"delete_at\":0");
    mw_buf_putc(&q->out, '}');
}

/* The root of a followed thread in this team (direct messages belong to all), or NULL. */
static struct sb_post *thread_root(struct sb_req *q, const struct sb_thread_state *t,
                                   const struct sb_user *u, const struct sb_team *team)
{
    struct sb_post *root = mw_map_get(&q->sv->state.posts, t->post_id);

    if (!root || root->delete_at || !t->following || !mw_streq(t->user_id, u->id) ||
        !sb_member_of(root->channel, u->id))
        return NULL;
    return !*root->channel->team_id || mw_streq(root->channel->team_id, team->id) ? root : NULL;
}

int sb_h_threads(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_team *team = u ? sb_path_team(q, 1) : NULL;
    bool unread_only = sb_query_true(q, "unread"), totals = sb_query_true(q, "totalsOnly");
    int64_t per_page = sb_query_int(q, "per_page", 30), since = sb_query_int(q, "since", 0);
    int64_t total = 0, unread = 0;
    size_t it = 0, start;
    void *v;

    if (!team)
        return 0;
    mw_buf_puts(&q->out, "{\"threads\":[");
    start = q->out.len;
    while (mw_map_next(&q->sv->state.threads, &it, NULL, &v)) {
        struct sb_post *root = thread_root(q, v, u, team);
        struct counts n;

        if (!root)
            continue;
        n = count(root, v);
        total++;
        unread += n.unread > 0;
        if (totals || (unread_only && !n.unread) || n.last_reply_at < since || per_page-- <= 0)
            continue;
        sb_comma(&q->out, start);
        put_thread(q, root, v);
    }
    mw_buf_printf(&q->out,
                  "],\"total\":%" PRId64 ",\"total_unread_threads\":%" PRId64
                  ",\"total_unread_mentions\":0}",
                  total, unread);
    return sb_reply(q, 200);
}

static struct sb_thread_state *path_thread(struct sb_req *q, struct sb_user **ret_u,
                                           struct sb_post **ret_root)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_post *root = u ? mw_map_get(&q->sv->state.posts, q->p[2]) : NULL;
    struct sb_thread_state *t;

    if (!u)
        return NULL;
    if (!root || root->delete_at || !sb_can_read(q->sv, u, root->channel)) {
        sb_fail_permission(q);
        return NULL;
    }
    t = sb_thread_state_of(&q->sv->state, u->id, root->id);
    if (!t && sb_follow_thread(q->sv, root, u, false) == 0)
        t = sb_thread_state_of(&q->sv->state, u->id, root->id);
    if (!t)
        sb_fail(q, 500, "app.thread.get.app_error", "Unable to get the thread.");
    *ret_u = u;
    *ret_root = root;
    return t;
}

int sb_h_user_thread(struct sb_req *q)
{
    struct sb_user *u;
    struct sb_post *root;
    struct sb_thread_state *t = path_thread(q, &u, &root);

    if (!t)
        return 0;
    put_thread(q, root, t);
    return sb_reply(q, 200);
}

int sb_h_thread_follow(struct sb_req *q)
{
    struct sb_user *u;
    struct sb_post *root;
    struct sb_thread_state *t = path_thread(q, &u, &root);
    bool on = mw_streq(q->method, "PUT");
    struct sb_broadcast to;

    if (!t)
        return 0;
    t->following = on;
    sb_save_thread_state(&q->sv->state, t);
    to = (struct sb_broadcast){.user_id = u->id, .team_id = root->channel->team_id};
    sb_event(q->sv, "thread_follow_changed", &to,
             "\"reply_count\":%" PRId64 ",\"state\":%s,\"thread_id\":\"%s\"",
             count(root, t).replies, on ? "true" : "false", root->id);
    return sb_reply_ok(q);
}

int sb_h_thread_read(struct sb_req *q)
{
    struct sb_user *u;
    struct sb_post *root;
    struct sb_thread_state *t = path_thread(q, &u, &root);
    struct sb_broadcast to;

    if (!t)
        return 0;
    t->last_viewed_at = strtoll(q->p[3], NULL, 10);
    sb_save_thread_state(&q->sv->state, t);
    to = (struct sb_broadcast){.user_id = u->id, .team_id = root->channel->team_id};
    sb_event(q->sv, "thread_read_changed", &to,
             "\"channel_id\":\"%s\",\"thread_id\":\"%s\",\"timestamp\":%" PRId64
             ",\"unread_mentions\":0,\"unread_replies\":%" PRId64,
             root->channel_id, root->id, t->last_viewed_at, count(root, t).unread);
    put_thread(q, root, t);
    return sb_reply(q, 200);
}

int sb_h_threads_read(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_team *team = u ? sb_path_team(q, 1) : NULL;
    struct sb_broadcast to;
    size_t it = 0;
    void *v;

    if (!team)
        return 0;
    while (mw_map_next(&q->sv->state.threads, &it, NULL, &v)) {
        struct sb_thread_state *t = v;

        if (!thread_root(q, t, u, team))
            continue;
        t->last_viewed_at = sb_now(&q->sv->state);
        sb_save_thread_state(&q->sv->state, t);
    }
    to = (struct sb_broadcast){.user_id = u->id, .team_id = team->id};
    sb_event(q->sv, "thread_read_changed", &to, "%s", "");
    return sb_reply_ok(q);
}

/* Everything from this post on is unread again. */
int sb_h_set_unread(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_post *p = u ? sb_path_post(q, 1) : NULL;
    struct sb_member *m = p ? sb_member_of(p->channel, u->id) : NULL;
    int64_t below = 0, below_root = 0;
    struct sb_broadcast to;
    MW_AUTOBUF b = {0};

    if (!p)
        return 0;
    if (!m)
        return sb_fail_permission(q);
    for (size_t i = 0; i < p->channel->n_posts; i++) {
        const struct sb_post *other = p->channel->posts[i];

        if (other->create_at >= p->create_at && !other->delete_at) {
            below++;
            below_root += !other->root;
        }
    }
    m->msg_count = MW_MAX(0, p->channel->total_msg_count - below);
    m->msg_count_root = MW_MAX(0, p->channel->total_msg_count_root - below_root);
    m->last_viewed_at = p->create_at - 1;
    m->last_update_at = sb_now(&q->sv->state);
    sb_save_member(&q->sv->state, m);
    mw_buf_printf(&b,
                  "\"last_viewed_at\":%" PRId64 ",\"mention_count\":%" PRId64
                  ",\"mention_count_root\":%" PRId64 ",\"msg_count\":%" PRId64
                  ",\"msg_count_root\":%" PRId64 ",\"post_id\":\"%s\"",
                  m->last_viewed_at, m->mention_count, m->mention_count_root, m->msg_count,
                  m->msg_count_root, p->id);
    if (mw_buf_error(&b))
        return mw_buf_error(&b);
    to = (struct sb_broadcast){
        .user_id = u->id, .channel_id = p->channel_id, .team_id = p->channel->team_id};
    sb_publish(&q->sv->hub, "post_unread", mw_buf_str(&b), &to);
    mw_buf_printf(&q->out, "{\"channel_id\":\"%s\",\"team_id\":\"%s\",\"user_id\":\"%s\",%s}",
                  p->channel_id, p->channel->team_id, u->id, mw_buf_str(&b));
    return sb_reply(q, 200);
}
