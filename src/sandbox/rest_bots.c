/* Bots and access tokens. */
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

static int reply_bot(struct sb_req *q, int status, const struct sb_user *u)
{
    sb_put_bot(q->sv, &q->out, u);
    return sb_reply(q, status);
}

/* app/bot.go: the owner hears of it in a direct message from the bot. */
static int greet_owner(struct sb_req *q, struct sb_user *bot)
{
    struct sb_channel *c;
    int r = sb_direct_channel(q->sv, bot, q->user, &c);

    if (r < 0)
        return r;
    return sb_system_post(q->sv, c, bot, "add_bot_teams_channels", cJSON_CreateObject(),
                          "Please add me to teams and channels you want me to interact in. To do "
                          "this, use the browser or Mattermost Desktop App.");
}

int sb_h_bot_create(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "bot");
    struct sb_refusal refusal;
    struct sb_user *u;
    int r;

    if (!body)
        return 0;
    r = sb_make_user(q->sv,
                     &(struct sb_new_user){
                         .username = mw_json_str_or(body, "username", ""),
                         .first_name = mw_json_str(body, "display_name"),
                         .bot_description = mw_json_str(body, "description"),
                         .bot_owner = q->user,
                     },
                     &u, &refusal);
    if (r > 0)
        return sb_fail_refusal(q, &refusal);
    if (r == 0)
        r = greet_owner(q, u);
    return r < 0 ? r : reply_bot(q, 201, u);
}

int sb_h_bots_list(struct sb_req *q)
{
    MW_AUTOFREE void **list = NULL;
    bool deleted = sb_query_true(q, "include_deleted");
    size_t page, per_page, skip;
    int n = sb_sorted(&q->sv->state.users, offsetof(struct sb_user, create_at), &list);

    if (n < 0)
        return n;
    sb_paging(q, &page, &per_page);
    skip = page * per_page;
    mw_buf_putc(&q->out, '[');
    for (int i = 0; i < n && per_page; i++) {
        const struct sb_user *u = list[i];

        if (!u->is_bot || (u->delete_at && !deleted))
            continue;
        if (skip) {
            skip--;
            continue;
        }
        per_page--;
        sb_comma(&q->out, 1);
        sb_put_bot(q->sv, &q->out, u);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

/* A bot that is not there and one that the caller may not see look the same. */
static struct sb_user *path_bot(struct sb_req *q)
{
    struct sb_user *u = sb_path_user(q, 0);

    if (!u)
        return NULL;
    if (!u->is_bot || (!sb_is_admin(q->user) && !mw_streq(u->owner_id, q->user->id))) {
        sb_fail(q, 404, "store.sql_bot.get.missing.app_error", "Bot does not exist.");
        return NULL;
    }
    return u;
}

int sb_h_bot_get(struct sb_req *q)
{
    struct sb_user *u = path_bot(q);

    if (!u)
        return 0;
    if (u->delete_at && !sb_query_true(q, "include_deleted"))
        return sb_fail(q, 404, "store.sql_bot.get.missing.app_error", "Bot does not exist.");
    return reply_bot(q, 200, u);
}

int sb_h_bot_patch(struct sb_req *q)
{
    struct sb_user *u = path_bot(q);
    const cJSON *body = u ? sb_body(q, "bot") : NULL;
    const char *name;
    int r;

    if (!body)
        return 0;
    name = mw_json_str(body, "username");
    if (name && !sb_username_valid(name))
        return sb_fail(q, 400, "model.bot.is_valid.username.app_error", "Invalid username.");
    r = name ? sb_rename_user(&q->sv->state, u, name) : 0;
    if (r == -EEXIST)
        return sb_fail(q, 400, "app.user.save.username_exists.app_error",
                       "An account with that username already exists.");
    if (r == 0 && mw_json_str(body, "display_name"))
        r = mw_str_set(&u->first_name, mw_json_str(body, "display_name"));
    if (r == 0 && mw_json_str(body, "description"))
        r = mw_str_set(&u->bot_description, mw_json_str(body, "description"));
    if (r < 0)
        return r;
    u->update_at = sb_now(&q->sv->state);
    sb_save_user(&q->sv->state, u);
    sb_event_user_updated(q->sv, u);
    return reply_bot(q, 200, u);
}

static int bot_active(struct sb_req *q, bool active)
{
    struct sb_user *u = path_bot(q);

    if (!u)
        return 0;
    u->update_at = sb_now(&q->sv->state);
    u->delete_at = active ? 0 : u->update_at;
    sb_save_user(&q->sv->state, u);
    if (!active)
        sb_hub_kick(&q->sv->hub, u->id, NULL);
    sb_event_user_updated(q->sv, u);
    return reply_bot(q, 200, u);
}

int sb_h_bot_enable(struct sb_req *q)
{
    return bot_active(q, true);
}

int sb_h_bot_disable(struct sb_req *q)
{
    return bot_active(q, false);
}

int sb_h_bot_assign(struct sb_req *q)
{
    struct sb_user *u = path_bot(q), *owner = u ? sb_path_user(q, 1) : NULL;

    if (!owner)
        return 0;
    memcpy(u->owner_id, owner->id, sizeof(u->owner_id));
    sb_save_user(&q->sv->state, u);
    return reply_bot(q, 200, u);
}

/* --- access tokens -----------------------------------------------------------------------------
 */

int sb_h_token_create(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? sb_body(q, "user_access_token") : NULL;
    const char *description = body ? mw_json_str_or(body, "description", "") : "";
    struct sb_session *x;
    int r;

    if (!body)
        return 0;
    if (!*description || mw_utf8_count(description) > 255)
        return sb_fail(q, 400, "model.user_access_token.is_valid.description.app_error",
                       "Invalid description, must be 255 or less characters.");
    r = sb_make_session(q->sv, u, description, &x);
    if (r < 0)
        return r;
    mw_buf_putc(&q->out, '{');
    sb_write_fields(&q->out, sb_session_fields, x, sb_view(q->sv));
    mw_buf_printf(&q->out, ",\"token\":\"%s\"}", x->token);
    return sb_reply(q, 200);
}

static int list_tokens(struct sb_req *q, const struct sb_user *of)
{
    size_t it = 0;
    void *v;

    mw_buf_putc(&q->out, '[');
    while (mw_map_next(&q->sv->state.sessions, &it, NULL, &v)) {
        const struct sb_session *x = v;

        if (!x->access_token || (of && !mw_streq(x->user_id, of->id)))
            continue;
        sb_comma(&q->out, 1);
        sb_write_object(&q->out, sb_session_fields, x, sb_view(q->sv));
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_tokens_of(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);

    return u ? list_tokens(q, u) : 0;
}

int sb_h_tokens_all(struct sb_req *q)
{
    return list_tokens(q, NULL);
}

static struct sb_session *check_token(struct sb_req *q, const char *id)
{
    struct sb_session *x = sb_session_by_id(&q->sv->state, id);
    const struct sb_user *u = x ? sb_user_by_id(&q->sv->state, x->user_id) : NULL;

    if (!x || !x->access_token || !u) {
        sb_fail(q, 404, "app.user_access_token.get_by_user.app_error",
                "Unable to get the personal access token.");
        return NULL;
    }
    if (u != q->user && !sb_is_admin(q->user) && !mw_streq(u->owner_id, q->user->id)) {
        sb_fail_permission(q);
        return NULL;
    }
    return x;
}

int sb_h_token_get(struct sb_req *q)
{
    struct sb_session *x = check_token(q, q->p[0]);

    if (!x)
        return 0;
    sb_write_object(&q->out, sb_session_fields, x, sb_view(q->sv));
    return sb_reply(q, 200);
}

static struct sb_session *body_token(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "token_id");
    const char *id = body ? mw_json_str_or(body, "token_id", "") : NULL;

    if (!id)
        return NULL;
    if (!*id) {
        sb_fail_param(q, "token_id");
        return NULL;
    }
    return check_token(q, id);
}

int sb_h_token_revoke(struct sb_req *q)
{
    struct sb_session *x = body_token(q);

    if (!x)
        return 0;
    sb_hub_kick(&q->sv->hub, x->user_id, x->id);
    if (x == q->session)
        q->session = NULL;
    sb_remove_session(&q->sv->state, x->token);
    return sb_reply_ok(q);
}

static int token_active(struct sb_req *q, bool active)
{
    struct sb_session *x = body_token(q);

    if (!x)
        return 0;
    x->is_active = active;
    sb_save_session(&q->sv->state, x);
    if (!active)
        sb_hub_kick(&q->sv->hub, x->user_id, x->id);
    return sb_reply_ok(q);
}

int sb_h_token_enable(struct sb_req *q)
{
    return token_active(q, true);
}

int sb_h_token_disable(struct sb_req *q)
{
    return token_active(q, false);
}
