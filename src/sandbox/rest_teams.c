/* Teams and their members. */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

static int reply_team(struct sb_req *q, int status, const struct sb_team *t)
{
    sb_put_team(q->sv, &q->out, t, q->user);
    return sb_reply(q, status);
}

static bool may_see(struct sb_req *q, const struct sb_team *t)
{
    return sb_is_admin(q->user) || sb_team_member_of(t, q->user->id) || t->allow_open_invite ||
           mw_streq(t->type, "O");
}

static bool may_manage(struct sb_req *q, const struct sb_team *t)
{
    const struct sb_team_member *m = sb_team_member_of(t, q->user->id);

    return sb_is_admin(q->user) || (m && m->scheme_admin);
}

/* A team that the caller belongs to (or an admin asks). */
static struct sb_team *path_member_team(struct sb_req *q, int i)
{
    struct sb_team *t = sb_path_team(q, i);

    if (t && !sb_is_admin(q->user) && !sb_team_member_of(t, q->user->id)) {
        sb_fail_permission(q);
        return NULL;
    }
    return t;
}

static struct sb_team *path_managed_team(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);

    if (t && !may_manage(q, t)) {
        sb_fail_permission(q);
        return NULL;
    }
    return t;
}

static bool name_is_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return n >= 2 && n <= 64 && !name[n] && *name != '-';
}

int sb_h_team_create(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "team");
    struct sb_refusal refusal;
    struct sb_team *t;
    const char *name, *type;
    int r;

    if (!body)
        return 0;
    name = mw_json_str_or(body, "name", "");
    type = mw_json_str_or(body, "type", "");
    if (!name_is_valid(name))
        return sb_fail(q, 400, "model.team.is_valid.characters.app_error",
                       "Name must be 2 or more lowercase alphanumeric characters.");
    if (!mw_streq(type, "O") && !mw_streq(type, "I"))
        return sb_fail(q, 400, "model.team.is_valid.type.app_error", "Invalid type.");
    if (!*mw_json_str_or(body, "display_name", ""))
        return sb_fail(q, 400, "model.team.is_valid.name.app_error", "Invalid name.");
    r = sb_make_team(q->sv, q->user, name, mw_json_str(body, "display_name"), type, &t, &refusal);
    if (r < 0)
        return r;
    return r ? sb_fail_refusal(q, &refusal) : reply_team(q, 201, t);
}

int sb_h_team_get(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);

    if (!t)
        return 0;
    return may_see(q, t) ? reply_team(q, 200, t) : sb_fail_permission(q);
}

int sb_h_team_by_name(struct sb_req *q)
{
    struct sb_team *t = sb_team_by_name(&q->sv->state, q->p[0]);

    if (!t || !may_see(q, t))
        return sb_fail(q, 404, "app.team.get_by_name.missing.app_error",
                       "Unable to find the existing team.");
    return reply_team(q, 200, t);
}

/* Teams as JSON objects; `member` NULL = all that the caller may see. */
static int list_teams(struct sb_req *q, const struct sb_user *member, const char *term, size_t skip,
                      size_t limit)
{
    MW_AUTOFREE void **list = NULL;
    int n = sb_sorted(&q->sv->state.teams, offsetof(struct sb_team, create_at), &list);

    if (n < 0)
        return n;
    mw_buf_putc(&q->out, '[');
    for (int i = 0; i < n && limit; i++) {
        const struct sb_team *t = list[i];

        if (t->delete_at || (member ? !sb_team_member_of(t, member->id) : !may_see(q, t)))
            continue;
        if (term && !strcasestr(t->name, term) && !strcasestr(t->display_name, term))
            continue;
        if (skip) {
            skip--;
            continue;
        }
        limit--;
        sb_comma(&q->out, 1);
        sb_put_team(q->sv, &q->out, t, q->user);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_teams_list(struct sb_req *q)
{
    size_t page, per_page;

    sb_paging(q, &page, &per_page);
    return list_teams(q, NULL, NULL, page * per_page, per_page);
}

int sb_h_teams_search(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "team_search");

    if (!body)
        return 0;
    return list_teams(q, NULL, mw_json_str_or(body, "term", ""), 0, SIZE_MAX);
}

int sb_h_user_teams(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);

    return u ? list_teams(q, u, NULL, 0, SIZE_MAX) : 0;
}

int sb_h_team_patch(struct sb_req *q)
{
    struct sb_team *t = path_managed_team(q);
    const cJSON *body = t ? sb_body(q, "team") : NULL;
    const char *v;

    if (!body)
        return 0;
    if ((v = mw_json_str(body, "display_name")) && mw_str_set(&t->display_name, v) < 0)
        return -ENOMEM;
    if ((v = mw_json_str(body, "description")) && mw_str_set(&t->description, v) < 0)
        return -ENOMEM;
    if (cJSON_IsBool(mw_json_get(body, "allow_open_invite")))
        t->allow_open_invite = mw_json_bool(body, "allow_open_invite");
    t->update_at = sb_now(&q->sv->state);
    sb_save_team(&q->sv->state, t);
    sb_event_team(q->sv, "update_team", t);
    return reply_team(q, 200, t);
}

int sb_h_team_delete(struct sb_req *q)
{
    struct sb_team *t = path_managed_team(q);

    if (!t)
        return 0;
    t->delete_at = t->update_at = sb_now(&q->sv->state);
    sb_save_team(&q->sv->state, t);
    sb_event_team(q->sv, "delete_team", t);
    return sb_reply_ok(q);
}

/* --- members -----------------------------------------------------------------------------------
 */

static int member_missing(struct sb_req *q)
{
    return sb_fail(q, 404, "app.team.get_member.missing.app_error",
                   "No team member found for that user ID and team ID.");
}

int sb_h_team_members(struct sb_req *q)
{
    struct sb_team *t = path_member_team(q, 0);
    MW_AUTOFREE void **list = NULL;
    size_t page, per_page, skip;
    int n;

    if (!t)
        return 0;
    n = sb_sorted(&t->members, offsetof(struct sb_team_member, create_at), &list);
    if (n < 0)
        return n;
    sb_paging(q, &page, &per_page);
    skip = page * per_page;
    mw_buf_putc(&q->out, '[');
    for (int i = 0; i < n && per_page; i++) {
        const struct sb_team_member *m = list[i];

        if (m->delete_at)
            continue;
        if (skip) {
            skip--;
            continue;
        }
        per_page--;
        sb_comma(&q->out, 1);
        sb_put_team_member(q->sv, &q->out, m);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_team_member(struct sb_req *q)
{
    struct sb_team *t = path_member_team(q, 0);
    struct sb_user *u = t ? sb_path_user(q, 1) : NULL;
    struct sb_team_member *m = u ? sb_team_member_of(t, u->id) : NULL;

    if (!u)
        return 0;
    if (!m)
        return member_missing(q);
    sb_put_team_member(q->sv, &q->out, m);
    return sb_reply(q, 200);
}

int sb_h_team_members_ids(struct sb_req *q)
{
    struct sb_team *t = path_member_team(q, 0);
    const cJSON *ids = t ? sb_body_strings(q) : NULL, *id;

    if (!ids)
        return 0;
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(id, ids)
    {
        struct sb_team_member *m = sb_team_member_of(t, id->valuestring);

        if (!m)
            continue;
        sb_comma(&q->out, 1);
        sb_put_team_member(q->sv, &q->out, m);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

/* May the caller add `u`? Everybody may join an open team; members may add others. */
static bool may_add(struct sb_req *q, const struct sb_team *t, const struct sb_user *u)
{
    if (sb_is_admin(q->user) || sb_team_member_of(t, q->user->id))
        return true;
    return u == q->user && t->allow_open_invite;
}

static int add_one(struct sb_req *q, struct sb_team *t, const cJSON *item, struct sb_user **ret)
{
    struct sb_user *u = sb_user_by_id(&q->sv->state, mw_json_str_or(item, "user_id", ""));

    if (!u) {
        sb_fail_param(q, "user_id");
        return 1;
    }
    if (!may_add(q, t, u)) {
        sb_fail_permission(q);
        return 1;
    }
    *ret = u;
    return sb_join_team(q->sv, t, u, u == q->user ? NULL : q->user, false);
}

int sb_h_team_add(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);
    const cJSON *body = t ? sb_body(q, "team_member") : NULL;
    struct sb_user *u;
    int r;

    if (!body)
        return 0;
    if (!mw_streq(mw_json_str(body, "team_id"), t->id))
        return sb_fail_param(q, "team_id");
    r = add_one(q, t, body, &u);
    if (r != 0)
        return r < 0 ? r : 0;
    sb_put_team_member(q->sv, &q->out, sb_team_member_of(t, u->id));
    return sb_reply(q, 201);
}

int sb_h_team_add_batch(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);
    const cJSON *body = t ? sb_body(q, "members") : NULL, *item;

    if (!body)
        return 0;
    if (!cJSON_IsArray(body) || !body->child)
        return sb_fail_param(q, "members");
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(item, body)
    {
        struct sb_user *u;
        int r = add_one(q, t, item, &u);

        if (r != 0)
            return r < 0 ? r : 0;
        sb_comma(&q->out, 1);
        sb_put_team_member(q->sv, &q->out, sb_team_member_of(t, u->id));
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 201);
}

int sb_h_team_remove(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);
    struct sb_user *u = t ? sb_path_user(q, 1) : NULL;
    int r;

    if (!u)
        return 0;
    if (u != q->user && !may_manage(q, t))
        return sb_fail_permission(q);
    if (!sb_team_member_of(t, u->id))
        return member_missing(q);
    r = sb_leave_team(q->sv, t, u, q->user);
    return r < 0 ? r : sb_reply_ok(q);
}

int sb_h_user_team_members(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    size_t it = 0;
    void *v;

    if (!u)
        return 0;
    mw_buf_putc(&q->out, '[');
    while (mw_map_next(&q->sv->state.teams, &it, NULL, &v)) {
        struct sb_team_member *m = sb_team_member_of(v, u->id);

        if (!m)
            continue;
        sb_comma(&q->out, 1);
        sb_put_team_member(q->sv, &q->out, m);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

static void unread_of(const struct sb_state *s, const struct sb_team *t, const struct sb_user *u,
                      int64_t *ret_messages, int64_t *ret_mentions)
{
    size_t it = 0;
    void *v;

    *ret_messages = *ret_mentions = 0;
    while (mw_map_next(&s->channels, &it, NULL, &v)) {
        const struct sb_channel *c = v;
        const struct sb_member *m = sb_member_of(c, u->id);

        if (!m || c->delete_at || !mw_streq(c->team_id, t->id))
            continue;
        *ret_messages += c->total_msg_count - m->msg_count;
        *ret_mentions += m->mention_count;
    }
}

int sb_h_user_teams_unread(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    size_t it = 0;
    void *v;

    if (!u)
        return 0;
    mw_buf_putc(&q->out, '[');
    while (mw_map_next(&q->sv->state.teams, &it, NULL, &v)) {
        const struct sb_team *t = v;
        int64_t messages, mentions;

        if (!sb_team_member_of(t, u->id))
            continue;
        unread_of(&q->sv->state, t, u, &messages, &mentions);
        sb_comma(&q->out, 1);
        mw_buf_printf(&q->out,
                      "{\"team_id\":\"%s\",\"msg_count\":%lld,\"mention_count\":%lld,"
                      "\"mention_count_root\":%lld,\"msg_count_root\":%lld,\"thread_count\":0,"
                      "\"thread_mention_count\":0}",
                      t->id, (long long)messages, (long long)mentions, (long long)mentions,
                      (long long)messages);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_team_stats(struct sb_req *q)
{
    struct sb_team *t = path_member_team(q, 0);
    size_t it = 0, total = 0, active = 0;
    const char *id;
    void *v;

    if (!t)
        return 0;
    while (mw_map_next(&t->members, &it, &id, &v)) {
        const struct sb_user *u = sb_user_by_id(&q->sv->state, id);

        if (!u || ((struct sb_team_member *)v)->delete_at)
            continue;
        total++;
        active += !u->delete_at;
    }
    mw_buf_printf(&q->out,
                  "{\"team_id\":\"%s\",\"total_member_count\":%zu,\"active_member_count\":%zu}",
                  t->id, total, active);
    return sb_reply(q, 200);
}
