/* Members of channels, and what they have read. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

#define MAX_ADD 1000

static int member_missing(struct sb_req *q)
{
    return sb_fail(q, 404, "app.channel.get_member.missing.app_error",
                   "No channel member found for that user ID and channel ID.");
}

/* May the caller bring `u` in? Open channels may be joined; members may add others. */
static bool may_add(struct sb_req *q, const struct sb_channel *c, const struct sb_user *u)
{
    const struct sb_team *t = mw_map_get(&q->sv->state.teams, c->team_id);

    if (sb_is_admin(q->user) || sb_member_of(c, q->user->id))
        return true;
    return u == q->user && sb_is_type(c, 'O') && t && sb_team_member_of(t, u->id);
}

/* Adds one; 1 after an error was answered. */
static int add_one(struct sb_req *q, struct sb_channel *c, const char *user_id,
                   struct sb_member **ret)
{
    struct sb_user *u = sb_user_by_id(&q->sv->state, user_id);
    const struct sb_team *t = mw_map_get(&q->sv->state.teams, c->team_id);
    int r;

    if (!u) {
        sb_fail(q, 404, "app.user.missing_account.const", "Unable to find the user.");
        return 1;
    }
    if (!may_add(q, c, u)) {
        sb_fail_permission(q);
        return 1;
    }
    if (!t || !sb_team_member_of(t, u->id)) {
        sb_fail(q, 404, "app.team.get_member.missing.app_error",
                "No team member found for that user ID and team ID.");
        return 1;
    }
    r = sb_join_channel(q->sv, c, u, u == q->user ? NULL : q->user);
    if (r < 0)
        return r;
    *ret = sb_member_of(c, u->id);
    return 0;
}

static int add_many(struct sb_req *q, struct sb_channel *c, const cJSON *ids)
{
    const cJSON *id;

    if (cJSON_GetArraySize(ids) > MAX_ADD)
        return sb_fail_param(q, "user_ids");
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(id, ids)
    {
        struct sb_member *m;
        int r = add_one(q, c, cJSON_GetStringValue(id), &m);

        if (r != 0)
            return r < 0 ? r : 0;
        sb_comma(&q->out, 1);
        sb_put_member(q->sv, &q->out, m, q->user);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 201);
}

int sb_h_member_add(struct sb_req *q)
{
    struct sb_channel *c = sb_path_channel(q, 0);
    const cJSON *body = c ? sb_body(q, "member") : NULL;
    struct sb_member *m;
    int r;

    if (!body)
        return 0;
    if (sb_is_direct(c))
        return sb_fail(q, 400, "api.channel.add_user_to_channel.type.app_error",
                       "Can not add user to this channel type.");
    if (c->delete_at)
        return sb_fail(q, 400, "api.channel.add_user.to.channel.failed.deleted.app_error",
                       "Failed to add user to channel because the channel has been deleted.");
    if (mw_json_arr(body, "user_ids"))
        return add_many(q, c, mw_json_arr(body, "user_ids"));
    if (!mw_id_valid(mw_json_str_or(body, "user_id", "")))
        return sb_fail_param(q, "user_id");
    r = add_one(q, c, mw_json_str(body, "user_id"), &m);
    if (r != 0)
        return r < 0 ? r : 0;
    sb_put_member(q->sv, &q->out, m, q->user);
    return sb_reply(q, 201);
}

int sb_h_members_list(struct sb_req *q)
{
    struct sb_channel *c = sb_path_readable(q, 0);
    MW_AUTOFREE void **list = NULL;
    size_t page, per_page;
    int n;

    if (!c)
        return 0;
    n = sb_sorted(&c->members, offsetof(struct sb_member, last_update_at), &list);
    if (n < 0)
        return n;
    sb_paging(q, &page, &per_page);
    mw_buf_putc(&q->out, '[');
    for (size_t i = page * per_page; i < (size_t)n && i < (page + 1) * per_page; i++) {
        sb_comma(&q->out, 1);
        sb_put_member(q->sv, &q->out, list[i], q->user);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_member_get(struct sb_req *q)
{
    struct sb_channel *c = sb_path_readable(q, 0);
    struct sb_user *u = c ? sb_path_user(q, 1) : NULL;
    struct sb_member *m = u ? sb_member_of(c, u->id) : NULL;

    if (!u)
        return 0;
    if (!m)
        return member_missing(q);
    sb_put_member(q->sv, &q->out, m, q->user);
    return sb_reply(q, 200);
}

int sb_h_members_ids(struct sb_req *q)
{
    struct sb_channel *c = sb_path_readable(q, 0);
    const cJSON *ids = c ? sb_body_strings(q) : NULL, *id;

    if (!ids)
        return 0;
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(id, ids)
    {
        struct sb_member *m = sb_member_of(c, id->valuestring);

        if (!m)
            continue;
        sb_comma(&q->out, 1);
        sb_put_member(q->sv, &q->out, m, q->user);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_member_remove(struct sb_req *q)
{
    struct sb_channel *c = sb_path_channel(q, 0);
    struct sb_user *u = c ? sb_path_user(q, 1) : NULL;
    int r;

    if (!u)
        return 0;
    if (sb_is_direct(c))
        return sb_fail(q, 400, "api.channel.remove_channel_member.type.app_error",
                       "Unable to remove user from this channel type.");
    if (u != q->user && !sb_is_admin(q->user) && !sb_member_of(c, q->user->id))
        return sb_fail_permission(q);
    if (mw_streq(c->name, "town-square"))
        return sb_fail(q, 400, "api.channel.remove.default.app_error",
                       "Unable to remove user from the default channel town-square.");
    if (!sb_member_of(c, u->id))
        return member_missing(q);
    r = sb_leave_channel(q->sv, c, u, q->user);
    return r < 0 ? r : sb_reply_ok(q);
}

int sb_h_member_roles(struct sb_req *q)
{
    struct sb_channel *c = sb_path_channel(q, 0);
    struct sb_user *u = c ? sb_path_user(q, 1) : NULL;
    const cJSON *body = u ? sb_body(q, "roles") : NULL;
    struct sb_member *m = u ? sb_member_of(c, u->id) : NULL;
    const struct sb_member *own = sb_member_of(c ? c : &(struct sb_channel){0}, q->user->id);

    if (!body)
        return 0;
    if (!m)
        return member_missing(q);
    if (!sb_is_admin(q->user) && !(own && own->scheme_admin))
        return sb_fail_permission(q);
    m->scheme_admin = mw_json_bool(body, "scheme_admin") ||
                      sb_has_role(mw_json_str(body, "roles"), "channel_admin");
    sb_save_member(&q->sv->state, m);
    return sb_reply_ok(q);
}

int sb_h_member_notify(struct sb_req *q)
{
    struct sb_channel *c = sb_path_channel(q, 0);
    struct sb_user *u = c ? sb_path_self(q, 1) : NULL;
    const cJSON *body = u ? sb_body(q, "notify_props") : NULL;
    struct sb_member *m = u ? sb_member_of(c, u->id) : NULL;
    char *text;

    if (!body)
        return 0;
    if (!m)
        return member_missing(q);
    text = mw_json_print(body);
    if (!text)
        return -ENOMEM;
    free(m->notify_props);
    m->notify_props = text;
    sb_save_member(&q->sv->state, m);
    return sb_reply_ok(q);
}

static int put_memberships(struct sb_req *q, const struct sb_user *u, const struct sb_team *t)
{
    MW_AUTOFREE void **list = NULL;
    int n = sb_sorted(&q->sv->state.channels, offsetof(struct sb_channel, create_at), &list);

    if (n < 0)
        return n;
    mw_buf_putc(&q->out, '[');
    for (int i = 0; i < n; i++) {
        const struct sb_channel *c = list[i];
        const struct sb_member *m = sb_member_of(c, u->id);

        if (!m || c->delete_at || (t && !sb_is_direct(c) && !mw_streq(c->team_id, t->id)))
            continue;
        sb_comma(&q->out, 1);
        sb_put_member(q->sv, &q->out, m, q->user);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_user_team_memberships(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_team *t = u ? sb_path_team(q, 1) : NULL;

    return t ? put_memberships(q, u, t) : 0;
}

int sb_h_user_memberships(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);

    return u ? put_memberships(q, u, NULL) : 0;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void announce_viewed(struct sb_req *q, const struct sb_user *u, const char *times,
                            const char *one)
{
    struct sb_broadcast to = {.user_id = u->id};

    if (q->sv->old)
        sb_event(q->sv, "channel_viewed", &to, "\"channel_id\":\"%s\"", one);
    else
        sb_event(q->sv, "multiple_channels_viewed", &to, "\"channel_times\":{%s}", times);
}

static int view_channels(struct sb_req *q, struct sb_user *u, const char *const *ids, size_t n)
{
    MW_AUTOBUF times = {0};
    const char *one = "";

    for (size_t i = 0; i < n; i++) {
        struct sb_channel *c = ids[i] ? mw_map_get(&q->sv->state.channels, ids[i]) : NULL;

        if (!c || !sb_member_of(c, u->id))
            continue;
        sb_mark_viewed(q->sv, c, u);
        one = c->id;
        sb_comma(&times, 0);
        mw_buf_printf(&times, "\"%s\":%" PRId64, c->id, sb_member_of(c, u->id)->last_viewed_at);
    }
    if (mw_buf_error(&times))
        return mw_buf_error(&times);
    if (times.len)
        announce_viewed(q, u, mw_buf_str(&times), one);
    mw_buf_printf(&q->out, "{\"status\":\"OK\",\"last_viewed_at_times\":{%s}}", mw_buf_str(&times));
    return sb_reply(q, 200);
}

int sb_h_channel_view(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? sb_body(q, "channel_view") : NULL;
    const char *ids[2];

    if (!body)
        return 0;
    ids[0] = mw_json_str(body, "channel_id");
    ids[1] = mw_json_str(body, "prev_channel_id");
    if (ids[0] && *ids[0] && !mw_id_valid(ids[0]))
        return sb_fail_param(q, "channel_id");
    return view_channels(q, u, ids, 2);
}

int sb_h_channels_mark_read(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *ids = u ? sb_body_strings(q) : NULL, *id;
    const char *list[MAX_ADD];
    size_t n = 0;

    if (!ids)
        return 0;
    cJSON_ArrayForEach(id, ids)
    {
        if (n < MAX_ADD)
            list[n++] = id->valuestring;
    }
    return view_channels(q, u, list, n);
}

int sb_h_channel_unread(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_channel *c;
    struct sb_member *m;

    if (!u)
        return 0;
    c = sb_path_channel(q, 1);
    m = c ? sb_member_of(c, u->id) : NULL;
    if (!c)
        return 0;
    if (!m)
        return sb_fail_permission(q);
    mw_buf_printf(&q->out,
                  "{\"team_id\":\"%s\",\"channel_id\":\"%s\",\"msg_count\":%" PRId64
                  ",\"mention_count\":%" PRId64 ",\"mention_count_root\":%" PRId64
                  ",\"msg_count_root\":%" PRId64,
                  c->team_id, c->id, c->total_msg_count - m->msg_count, m->mention_count,
                  m->mention_count_root, c->total_msg_count_root - m->msg_count_root);
    mw_buf_puts(&q->out, q->sv->old ? "}" : ",\"urgent_mention_count\":0}");
    return sb_reply(q, 200);
}
