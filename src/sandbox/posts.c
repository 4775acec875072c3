/* Posts: what happens when one is made or deleted. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/utf8.h"
#include "sandbox/domain.h"
#include "sandbox/mention.h"

/* --- mentions ----------------------------------------------------------------------------------
 */

struct mention_search {
    struct sb_server *sv;
    const struct sb_channel *channel;
    const struct sb_user *author;
    struct mw_map *found;
    int error;
};

static void mention(struct mention_search *m, const char *user_id)
{
    if (mw_streq(user_id, m->author->id) || m->error)
        return;
    m->error = mw_map_put(m->found, user_id, m->sv);
}

static void mention_everybody(struct mention_search *m, bool online_only)
{
    size_t it = 0;
    const char *id;

    while (mw_map_next(&m->channel->members, &it, &id, NULL)) {
        const struct sb_user *u = sb_user_by_id(&m->sv->state, id);

        if (u && (!online_only || mw_streq(u->status, "online")))
            mention(m, id);
    }
}

static bool on_word(const char *word, void *arg)
{
    struct mention_search *m = arg;
    const struct sb_user *u;

    if (word[0] != '@')
        return false;
    word++;
    if (mw_streq(word, "all") || mw_streq(word, "channel") || mw_streq(word, "here")) {
        mention_everybody(m, mw_streq(word, "here"));
        return true;
    }
    u = sb_user_by_name(&m->sv->state, word);
    if (!u || u->delete_at)
        return false;
    if (sb_member_of(m->channel, u->id))
        mention(m, u->id);
    return true;
}

/* Attachments count as text too. */
static int search_attachments(struct mention_search *m, const cJSON *props)
{
    const cJSON *attachments = mw_json_arr(props, "attachments"), *a, *f;
    static const char *const parts[] = {"pretext", "text"};
    int r = 0;

    cJSON_ArrayForEach(a, attachments)
    {
        for (size_t i = 0; i < MW_ARRAY_LEN(parts) && r == 0; i++)
            r = sb_mentions(mw_json_str_or(a, parts[i], ""), on_word, m);
        cJSON_ArrayForEach(f, mw_json_arr(a, "fields"))
        {
            if (r == 0)
                r = sb_mentions(mw_json_str_or(f, "value", ""), on_word, m);
        }
    }
    return r;
}

static int find_mentions(struct sb_server *sv, const struct sb_post *p, const cJSON *props,
                         struct mw_map *found)
{
    struct mention_search m = {sv, p->channel, p->author, found, 0};
    int r = 0;

    if (p->type && mw_starts_with(p->type, "system_")) {
        /* The added person is told; nobody else is mentioned. */
        const char *added = mw_json_str(props, "addedUserId");

        if (added)
            mention(&m, added);
    } else if (sb_is_direct(p->channel)) {
        mention_everybody(&m, false);
    } else {
        r = sb_mentions(p->message ? p->message : "", on_word, &m);
        if (r == 0)
            r = search_attachments(&m, props);
    }
    return r < 0 ? r : m.error;
}

/* --- threads -----------------------------------------------------------------------------------
 */

int sb_follow_thread(struct sb_server *sv, struct sb_post *root, const struct sb_user *u, bool on)
{
    struct sb_thread_state *t = sb_thread_state_of(&sv->state, u->id, root->id);

    if (t) {
        t->following = on;
        sb_save_thread_state(&sv->state, t);
        return 0;
    }
    t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    memcpy(t->user_id, u->id, sizeof(t->user_id));
    memcpy(t->post_id, root->id, sizeof(t->post_id));
    t->following = on;
    t->last_viewed_at = sb_now(&sv->state);
    return sb_add_thread_state(&sv->state, t);
}

static int auto_follow(struct sb_server *sv, struct sb_post *p, const struct mw_map *mentioned)
{
    size_t it = 0;
    const char *id;
    int r = sb_follow_thread(sv, p->root, p->author, true);

    if (r == 0 && !sb_thread_state_of(&sv->state, p->root->user_id, p->root->id))
        r = sb_follow_thread(sv, p->root, p->root->author, true);
    while (r == 0 && mw_map_next(mentioned, &it, &id, NULL))
        r = sb_follow_thread(sv, p->root, sb_user_by_id(&sv->state, id), true);
    return r;
}

/* --- making ------------------------------------------------------------------------------------
 */

void sb_mark_viewed(struct sb_server *sv, struct sb_channel *c, struct sb_user *u)
{
    struct sb_member *m = sb_member_of(c, u->id);

    if (!m)
        return;
    m->msg_count = c->total_msg_count;
    m->msg_count_root = c->total_msg_count_root;
    m->mention_count = m->mention_count_root = 0;
    m->last_viewed_at = MW_MAX(c->last_post_at, m->last_viewed_at);
    m->last_update_at = sb_now(&sv->state);
    sb_save_member(&sv->state, m);
}

static bool is_join_or_leave(const struct sb_post *p)
{
    static const char *const types[] = {"system_join_leave",          "system_add_remove",
                                        "system_join_channel",        "system_leave_channel",
                                        "system_join_team",           "system_leave_team",
                                        "system_add_to_channel",      "system_add_to_team",
                                        "system_remove_from_channel", "system_remove_from_team"};

    for (size_t i = 0; i < MW_ARRAY_LEN(types); i++)
        if (mw_streq(p->type, types[i]))
            return true;
    return false;
}

static void count_post(struct sb_server *sv, struct sb_post *p, const struct mw_map *mentioned)
{
    struct sb_channel *c = p->channel;
    size_t it = 0;
    const char *id;

    c->last_post_at = MW_MAX(c->last_post_at, p->create_at);
    if (!is_join_or_leave(p)) {
        c->total_msg_count++;
        if (!p->root) {
            c->total_msg_count_root++;
            c->last_root_post_at = MW_MAX(c->last_root_post_at, p->create_at);
        }
    }
    sb_save_channel(&sv->state, c);
    while (mw_map_next(mentioned, &it, &id, NULL)) {
        struct sb_member *m = sb_member_of(c, id);

        if (!m)
            continue;
        m->mention_count++;
        m->mention_count_root += !p->root;
        sb_save_member(&sv->state, m);
    }
    /* A bot's own posts leave its channel unread, as on the real server. */
    if (!p->author->is_bot && !(p->type && mw_starts_with(p->type, "system_")))
        sb_mark_viewed(sv, c, p->author);
}

static int check_root(struct sb_server *sv, const struct sb_new_post *in, struct sb_post **ret,
                      struct sb_refusal *refusal)
{
    struct sb_post *root;

    if (!in->root_id || !*in->root_id)
        return 0;
    root = mw_map_get(&sv->state.posts, in->root_id);
    if (!root || root->delete_at || root->root)
        return sb_refuse(refusal, 400, "api.post.create_post.root_id.app_error",
                         "Invalid RootId parameter.");
    if (root->channel != in->channel)
        return sb_refuse(refusal, 400, "api.post.create_post.channel_root_id.app_error",
                         "Invalid ChannelId for RootId parameter.");
    *ret = root;
    return 0;
}

/* The files that the author may attach; others are dropped without a word. */
static int take_files(struct sb_server *sv, struct sb_post *p, const cJSON *file_ids)
{
    MW_AUTOBUF b = {0};
    const cJSON *id;

    if (!file_ids || !file_ids->child)
        return 0;
    mw_buf_putc(&b, '[');
    cJSON_ArrayForEach(id, file_ids)
    {
        const char *s = cJSON_GetStringValue(id);
        struct sb_file *f = s ? mw_map_get(&sv->state.files, s) : NULL;

        if (!f || f->delete_at || *f->post_id || strcmp(f->user_id, p->user_id) != 0)
            continue;
        memcpy(f->post_id, p->id, sizeof(f->post_id));
        sb_save_file(&sv->state, f);
        sb_comma(&b, 1);
        mw_buf_printf(&b, "\"%s\"", f->id);
    }
    mw_buf_putc(&b, ']');
    p->file_ids = mw_buf_take(&b);
    return p->file_ids ? 0 : -ENOMEM;
}

static int fill_props(struct sb_post *p, const struct sb_new_post *in, cJSON **ret)
{
    MW_AUTOJSON *props =
        cJSON_IsObject(in->props) ? cJSON_Duplicate(in->props, true) : cJSON_CreateObject();

    if (!props)
        return -ENOMEM;
    cJSON_DeleteItemFromObjectCaseSensitive(props, "add_channel_member");
    cJSON_DeleteItemFromObjectCaseSensitive(props, "force_notification");
    if (in->author->is_bot) {
        cJSON_DeleteItemFromObjectCaseSensitive(props, "from_bot");
        if (mw_json_add_str(props, "from_bot", "true") < 0)
            return -ENOMEM;
    }
    if (sb_take_actions(p, props) < 0)
        return -ENOMEM;
    if (props->child) {
        p->props = mw_json_print(props);
        if (!p->props)
            return -ENOMEM;
    }
    *ret = take_ptr(props);
    return 0;
}

/* A real server needs milliseconds for a post, so one client's posts have times of their own. Here
 * they would often share one, and pages by `after` would leave posts out. */
static int64_t next_time(struct sb_server *sv, const struct sb_new_post *in)
{
    const struct sb_channel *c = in->channel;
    int64_t now = sb_now(&sv->state);

    if (!in->flood && c->n_posts)
        now = MW_MAX(now, c->posts[c->n_posts - 1]->create_at + 1);
    sv->state.last_time = now;
    return now;
}

static int fill_post(struct sb_server *sv, struct sb_post *p, const struct sb_new_post *in,
                     cJSON **ret_props)
{
    MW_AUTOBUF tags = {0};
    int r;

    if (mw_id_new(p->id) < 0)
        return -EIO;
    p->create_at = p->update_at = in->create_at ? in->create_at : next_time(sv, in);
    memcpy(p->user_id, in->author->id, sizeof(p->user_id));
    memcpy(p->channel_id, in->channel->id, sizeof(p->channel_id));
    snprintf(p->root_id, sizeof(p->root_id), "%s", in->root_id ? in->root_id : "");
    if (mw_str_set(&p->message, in->message) < 0 || mw_str_set(&p->type, in->type) < 0 ||
        mw_str_set(&p->pending_post_id, in->pending_post_id) < 0)
        return -ENOMEM;
    sb_hashtags(&tags, in->message ? in->message : "");
    if (tags.len && mw_str_set(&p->hashtags, mw_buf_str(&tags)) < 0)
        return -ENOMEM;
    r = fill_props(p, in, ret_props);
    return r < 0 ? r : take_files(sv, p, in->file_ids);
}

int sb_make_post(struct sb_server *sv, const struct sb_new_post *in, struct sb_post **ret,
                 struct sb_refusal *refusal)
{
    struct sb_post *root = NULL, *p;
    MW_AUTOJSON *props = NULL;
    MW_CLEANUP(mw_map_deinit) struct mw_map mentioned = {0};
    int r;

    mw_map_init(&mentioned, NULL);
    if (in->message && mw_utf8_count(in->message) > SB_MAX_POST_RUNES)
        return sb_refuse(refusal, 400,
                         sv->old ? "model.post.is_valid.msg.app_error"
                                 : "model.post.is_valid.message_length.app_error",
                         "Post Message property is longer than the maximum permitted length of "
                         "16383 characters.");
    r = check_root(sv, in, &root, refusal);
    if (r != 0)
        return r;
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    r = fill_post(sv, p, in, &props);
    if (r < 0) {
        sb_free_fields(sb_post_fields, p);
        free(p);
        return r;
    }
    r = sb_add_post(&sv->state, p);
    if (r < 0)
        return r;
    if (root) {
        root->update_at = MW_MAX(root->update_at, p->create_at);
        sb_save_post(&sv->state, root);
    }
    r = find_mentions(sv, p, props, &mentioned);
    if (r == 0 && p->root)
        r = auto_follow(sv, p, &mentioned);
    if (r < 0)
        return r;
    count_post(sv, p, &mentioned);
    sb_event_posted(sv, p, &mentioned);
    *ret = p;
    return 0;
}

int sb_system_post(struct sb_server *sv, struct sb_channel *c, struct sb_user *actor,
                   const char *type, cJSON *props, const char *fmt, ...)
{
    MW_AUTOJSON *owned = props;
    MW_AUTOBUF text = {0};
    struct sb_new_post in = {.channel = c, .author = actor, .type = type, .props = props};
    struct sb_refusal refusal;
    struct sb_post *p;
    va_list ap;

    if (!owned)
        return -ENOMEM;
    va_start(ap, fmt);
    mw_buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (mw_buf_error(&text))
        return mw_buf_error(&text);
    in.message = mw_buf_str(&text);
    return sb_make_post(sv, &in, &p, &refusal) < 0 ? -ENOMEM : 0;
}

static void mark_deleted(struct sb_server *sv, struct sb_post *p, const struct sb_user *by,
                         int64_t now)
{
    if (p->delete_at)
        return;
    p->delete_at = p->update_at = now;
    if (by)
        memcpy(p->delete_by, by->id, sizeof(p->delete_by));
    sb_save_post(&sv->state, p);
}

void sb_delete_post(struct sb_server *sv, struct sb_post *p, const struct sb_user *by)
{
    int64_t now = sb_now(&sv->state);

    /* The event still has the whole text and delete_at 0. */
    sb_event_post_deleted(sv, p, by);
    mark_deleted(sv, p, by, now);
    for (size_t i = 0; i < p->n_replies; i++)
        mark_deleted(sv, p->replies[i], by, now);
    if (p->root) {
        p->root->update_at = now;
        sb_save_post(&sv->state, p->root);
    }
}
