/* Sign-in, people, their pictures. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

static int reply_user(struct sb_req *q, int status, const struct sb_user *u)
{
    sb_put_user(q->sv, &q->out, u, q->user);
    return sb_reply(q, status);
}

static struct sb_user *find_login(struct sb_state *s, const cJSON *body)
{
    const char *login = mw_json_str_or(body, "login_id", "");
    struct sb_user *u = sb_user_by_id(s, mw_json_str_or(body, "id", ""));

    if (!u)
        u = sb_user_by_name(s, login);
    return u ? u : sb_user_by_email(s, login);
}

int sb_h_login(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "login");
    struct sb_user *u;
    struct sb_session *x;
    char cookie[96];
    int r;

    if (!body)
        return 0;
    u = find_login(&q->sv->state, body);
    if (u && u->is_bot)
        return sb_fail(q, 401, "api.user.login.bot_login_forbidden.app_error",
                       "Bot login is forbidden.");
    if (!u || !sb_password_matches(u->password, mw_json_str(body, "password")))
        return sb_fail(q, 401, "api.user.login.invalid_credentials_email_username",
                       "Enter a valid email or username and/or password.");
    if (u->delete_at)
        return sb_fail(q, 401, "api.user.login.inactive.app_error",
                       "Login failed because your account has been deactivated. Please contact an "
                       "administrator.");
    r = sb_make_session(q->sv, u, NULL, &x);
    if (r == 0)
        r = mw_httpd_add_header(q->http, "Token", x->token);
    if (r == 0 && mw_streq(mw_httpd_header(q->http, "X-Requested-With"), "XMLHttpRequest")) {
        snprintf(cookie, sizeof(cookie), "MMAUTHTOKEN=%s; Path=/; HttpOnly", x->token);
        r = mw_httpd_add_header(q->http, "Set-Cookie", cookie);
        if (r == 0) {
            snprintf(cookie, sizeof(cookie), "MMUSERID=%s; Path=/", u->id);
            r = mw_httpd_add_header(q->http, "Set-Cookie", cookie);
        }
    }
    if (r < 0)
        return r;
    q->user = u;
    return reply_user(q, 200, u);
}

int sb_h_logout(struct sb_req *q)
{
    if (q->session) {
        sb_hub_kick(&q->sv->hub, q->user->id, q->session->id);
        sb_remove_session(&q->sv->state, q->session->token);
        q->session = NULL;
    }
    return sb_reply_ok(q);
}

int sb_h_user_create(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "user");
    struct sb_refusal refusal;
    struct sb_user *u;
    int r;

    if (!body)
        return 0;
    r = sb_make_user(q->sv,
                     &(struct sb_new_user){
                         .username = mw_json_str_or(body, "username", ""),
                         .email = mw_json_str(body, "email"),
                         .password = mw_json_str(body, "password"),
                         .first_name = mw_json_str(body, "first_name"),
                         .last_name = mw_json_str(body, "last_name"),
                         .nickname = mw_json_str(body, "nickname"),
                         .position = mw_json_str(body, "position"),
                     },
                     &u, &refusal);
    if (r < 0)
        return r;
    return r ? sb_fail_refusal(q, &refusal) : reply_user(q, 201, u);
}

int sb_h_user_get(struct sb_req *q)
{
    struct sb_user *u = sb_path_user(q, 0);

    return u ? reply_user(q, 200, u) : 0;
}

int sb_h_user_by_name(struct sb_req *q)
{
    struct sb_user *u = sb_user_by_name(&q->sv->state, q->p[0]);

    if (!u)
        return sb_fail(q, 404, "app.user.get_by_username.app_error",
                       "Unable to find an existing account matching your username for this team.");
    return reply_user(q, 200, u);
}

int sb_h_user_by_email(struct sb_req *q)
{
    struct sb_user *u = sb_user_by_email(&q->sv->state, q->p[0]);

    if (!u)
        return sb_fail(q, 404, "app.user.missing_account.const", "Unable to find the user.");
    return reply_user(q, 200, u);
}

static int reply_users(struct sb_req *q, bool by_name)
{
    const cJSON *list = sb_body_strings(q), *item;

    if (!list)
        return 0;
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(item, list)
    {
        struct sb_user *u = by_name ? sb_user_by_name(&q->sv->state, item->valuestring)
                                    : sb_user_by_id(&q->sv->state, item->valuestring);

        if (!u)
            continue;
        sb_comma(&q->out, 1);
        sb_put_user(q->sv, &q->out, u, q->user);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_users_by_ids(struct sb_req *q)
{
    return reply_users(q, false);
}

int sb_h_users_by_names(struct sb_req *q)
{
    return reply_users(q, true);
}

/* --- lists and searches ------------------------------------------------------------------------
 */

struct user_filter {
    const char *term; /* prefix of a name; NULL = any */
    const struct sb_team *team, *not_team;
    const struct sb_channel *channel, *not_channel;
    bool without_team, allow_inactive, inactive_only;
    const char *role;
};

static bool prefix_of(const char *name, const char *term)
{
    return name && strncasecmp(name, term, strlen(term)) == 0;
}

static bool in_any_team(const struct sb_state *s, const struct sb_user *u)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&s->teams, &it, NULL, &v))
        if (sb_team_member_of(v, u->id))
            return true;
    return false;
}

static bool matches(const struct sb_state *s, const struct user_filter *f, const struct sb_user *u)
{
    const char *term = f->term;

    if (u->delete_at ? !f->allow_inactive : f->inactive_only)
        return false;
    if (term && *term == '@')
        term++;
    if (term && *term && !prefix_of(u->username, term) && !prefix_of(u->first_name, term) &&
        !prefix_of(u->last_name, term) && !prefix_of(u->nickname, term) &&
        !prefix_of(u->email, term))
        return false;
    if (f->role && *f->role && !sb_has_role(u->roles, f->role))
        return false;
    return (!f->team || sb_team_member_of(f->team, u->id)) &&
           (!f->not_team || !sb_team_member_of(f->not_team, u->id)) &&
           (!f->channel || sb_member_of(f->channel, u->id)) &&
           (!f->not_channel || !sb_member_of(f->not_channel, u->id)) &&
           (!f->without_team || !in_any_team(s, u));
}

static int by_username(const void *a, const void *b)
{
    return strcmp((*(struct sb_user *const *)a)->username, (*(struct sb_user *const *)b)->username);
}

/* Appends the matching users, by name, as JSON objects with commas. */
static int put_users(struct sb_req *q, const struct user_filter *f, size_t skip, size_t limit)
{
    MW_AUTOFREE void **list = NULL;
    size_t start = q->out.len;
    int n = sb_sorted(&q->sv->state.users, offsetof(struct sb_user, create_at), &list);

    if (n < 0)
        return n;
    qsort(list, (size_t)n, sizeof(*list), by_username);
    for (int i = 0; i < n && limit; i++) {
        if (!matches(&q->sv->state, f, list[i]))
            continue;
        if (skip) {
            skip--;
            continue;
        }
        limit--;
        sb_comma(&q->out, start);
        sb_put_user(q->sv, &q->out, list[i], q->user);
    }
    return 0;
}

static struct sb_team *team_named(struct sb_req *q, const char *id)
{
    return id && *id ? mw_map_get(&q->sv->state.teams, id) : NULL;
}

static struct sb_channel *channel_named(struct sb_req *q, const char *id)
{
    return id && *id ? mw_map_get(&q->sv->state.channels, id) : NULL;
}

int sb_h_users_list(struct sb_req *q)
{
    struct user_filter f = {
        .team = team_named(q, sb_query(q, "in_team")),
        .not_team = team_named(q, sb_query(q, "not_in_team")),
        .channel = channel_named(q, sb_query(q, "in_channel")),
        .not_channel = channel_named(q, sb_query(q, "not_in_channel")),
        .without_team = sb_query_true(q, "without_team"),
        .allow_inactive = !sb_query_true(q, "active"),
        .inactive_only = sb_query_true(q, "inactive"),
        .role = sb_query(q, "role"),
    };
    size_t page, per_page;
    int r;

    if (f.channel && !sb_can_read(q->sv, q->user, f.channel))
        return sb_fail_permission(q);
    sb_paging(q, &page, &per_page);
    mw_buf_putc(&q->out, '[');
    r = put_users(q, &f, page * per_page, per_page);
    mw_buf_putc(&q->out, ']');
    return r < 0 ? r : sb_reply(q, 200);
}

int sb_h_users_search(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "props");
    struct user_filter f;
    int64_t limit;
    int r;

    if (!body)
        return 0;
    f = (struct user_filter){
        .term = mw_json_str(body, "term"),
        .team = team_named(q, mw_json_str(body, "team_id")),
        .not_team = team_named(q, mw_json_str(body, "not_in_team_id")),
        .channel = channel_named(q, mw_json_str(body, "in_channel_id")),
        .not_channel = channel_named(q, mw_json_str(body, "not_in_channel_id")),
        .without_team = mw_json_bool(body, "without_team"),
        .allow_inactive = mw_json_bool(body, "allow_inactive"),
        .role = mw_json_str(body, "role"),
    };
    if (!f.term || !*f.term)
        return sb_fail_param(q, "term");
    if (f.not_channel && !f.team)
        return sb_fail_param(q, "team_id");
    limit = mw_json_i64(body, "limit", 100);
    if (limit <= 0 || limit > 1000)
        return sb_fail_param(q, "limit");
    mw_buf_putc(&q->out, '[');
    r = put_users(q, &f, 0, (size_t)limit);
    mw_buf_putc(&q->out, ']');
    return r < 0 ? r : sb_reply(q, 200);
}

int sb_h_users_autocomplete(struct sb_req *q)
{
    struct user_filter f = {
        .term = sb_query(q, "name"),
        .team = team_named(q, sb_query(q, "in_team")),
        .channel = channel_named(q, sb_query(q, "in_channel")),
    };
    struct user_filter rest = {.term = f.term, .team = f.team, .not_channel = f.channel};
    size_t limit = (size_t)MW_MAX(1, MW_MIN(sb_query_int(q, "limit", 100), 1000));
    int r;

    if (f.channel && !sb_can_read(q->sv, q->user, f.channel))
        return sb_fail_permission(q);
    mw_buf_puts(&q->out, "{\"users\":[");
    r = put_users(q, &f, 0, limit);
    mw_buf_putc(&q->out, ']');
    if (r == 0 && f.channel) {
        mw_buf_puts(&q->out, ",\"out_of_channel\":[");
        r = put_users(q, &rest, 0, limit);
        mw_buf_putc(&q->out, ']');
    }
    mw_buf_putc(&q->out, '}');
    return r < 0 ? r : sb_reply(q, 200);
}

static bool share_channel(const struct sb_state *s, const struct sb_user *a,
                          const struct sb_user *b)
{
    size_t it = 0;
    void *v;

    while (mw_map_next(&s->channels, &it, NULL, &v))
        if (sb_member_of(v, a->id) && sb_member_of(v, b->id))
            return true;
    return false;
}

int sb_h_users_known(struct sb_req *q)
{
    size_t it = 0;
    void *v;

    mw_buf_putc(&q->out, '[');
    while (mw_map_next(&q->sv->state.users, &it, NULL, &v)) {
        const struct sb_user *u = v;

        if (u == q->user || !share_channel(&q->sv->state, q->user, u))
            continue;
        sb_comma(&q->out, 1);
        mw_buf_printf(&q->out, "\"%s\"", u->id);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_users_stats(struct sb_req *q)
{
    mw_buf_printf(&q->out, "{\"total_users_count\":%zu}", q->sv->state.users.count);
    return sb_reply(q, 200);
}

/* --- changes -----------------------------------------------------------------------------------
 */

static const struct {
    const char *key;
    size_t offset;
} patchable[] = {
    {"nickname", offsetof(struct sb_user, nickname)},
    {"first_name", offsetof(struct sb_user, first_name)},
    {"last_name", offsetof(struct sb_user, last_name)},
    {"position", offsetof(struct sb_user, position)},
    {"email", offsetof(struct sb_user, email)},
    {"locale", offsetof(struct sb_user, locale)},
};

static const struct {
    const char *key;
    size_t offset;
} patchable_json[] = {
    {"props", offsetof(struct sb_user, props)},
    {"notify_props", offsetof(struct sb_user, notify_props)},
    {"timezone", offsetof(struct sb_user, timezone)},
};

static int patch_user(struct sb_user *u, const cJSON *body)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(patchable); i++) {
        const char *v = mw_json_str(body, patchable[i].key);
        char **slot = (char **)((char *)u + patchable[i].offset);

        if (v && mw_str_set(slot, v) < 0)
            return -ENOMEM;
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(patchable_json); i++) {
        const cJSON *v = mw_json_obj(body, patchable_json[i].key);
        char **slot = (char **)((char *)u + patchable_json[i].offset), *text;

        if (!v)
            continue;
        text = mw_json_print(v);
        if (!text)
            return -ENOMEM;
        free(*slot);
        *slot = text;
    }
    return 0;
}

static void user_changed(struct sb_req *q, struct sb_user *u)
{
    u->update_at = sb_now(&q->sv->state);
    sb_save_user(&q->sv->state, u);
    sb_event_user_updated(q->sv, u);
}

int sb_h_user_patch(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? sb_body(q, "user") : NULL;
    const char *name;
    int r;

    if (!body)
        return 0;
    name = mw_json_str(body, "username");
    if (name && !sb_username_valid(name))
        return sb_fail(q, 400, "model.user.is_valid.username.app_error", "Invalid username.");
    r = name ? sb_rename_user(&q->sv->state, u, name) : 0;
    if (r == -EEXIST)
        return sb_fail(q, 400, "app.user.save.username_exists.app_error",
                       "An account with that username already exists.");
    if (r == 0)
        r = patch_user(u, body);
    if (r < 0)
        return r;
    user_changed(q, u);
    return reply_user(q, 200, u);
}

static void deactivate(struct sb_req *q, struct sb_user *u)
{
    u->delete_at = sb_now(&q->sv->state);
    sb_hub_kick(&q->sv->hub, u->id, NULL);
    user_changed(q, u);
}

int sb_h_user_active(struct sb_req *q)
{
    struct sb_user *u = sb_path_user(q, 0);
    const cJSON *body = u ? sb_body(q, "active") : NULL;

    if (!body)
        return 0;
    if (!sb_is_admin(q->user) && (u != q->user || mw_json_bool(body, "active")))
        return sb_fail_permission(q);
    if (mw_json_bool(body, "active")) {
        u->delete_at = 0;
        user_changed(q, u);
    } else {
        deactivate(q, u);
    }
    return sb_reply_ok(q);
}

int sb_h_user_delete(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);

    if (!u)
        return 0;
    deactivate(q, u);
    return sb_reply_ok(q);
}

int sb_h_user_roles(struct sb_req *q)
{
    struct sb_user *u = sb_path_user(q, 0);
    const cJSON *body = u ? sb_body(q, "roles") : NULL;
    const char *roles = body ? mw_json_str(body, "roles") : NULL;
    struct sb_broadcast to;

    if (!body)
        return 0;
    if (!roles)
        return sb_fail_param(q, "roles");
    if (mw_str_set(&u->roles, roles) < 0)
        return -ENOMEM;
    user_changed(q, u);
    to = (struct sb_broadcast){.user_id = u->id};
    sb_event(q->sv, "user_role_updated", &to, "\"roles\":\"%s\",\"user_id\":\"%s\"", u->roles,
             u->id);
    return sb_reply_ok(q);
}

int sb_h_user_password(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? sb_body(q, "password") : NULL;
    const char *fresh;
    char *kept;

    if (!body)
        return 0;
    fresh = mw_json_str(body, "new_password");
    if (!fresh || strlen(fresh) < 5)
        return sb_fail_param(q, "new_password");
    if (u == q->user && !sb_password_matches(u->password, mw_json_str(body, "current_password")))
        return sb_fail(q, 400, "api.user.update_password.incorrect.app_error",
                       "The \\\"Current Password\\\" you entered is incorrect.");
    kept = sb_password_make(fresh);
    if (!kept)
        return -ENOMEM;
    free(u->password);
    u->password = kept;
    user_changed(q, u);
    return sb_reply_ok(q);
}

/* --- pictures ----------------------------------------------------------------------------------
 */

/* One grey pixel: the page draws initials itself. */
static const unsigned char default_png[] = {
    0x89, 'P',  'N',  'G',  0x0d, 0x0a, 0x1a, 0x0a, 0,    0,    0,    0x0d, 'I',  'H',
    'D',  'R',  0,    0,    0,    1,    0,    0,    0,    1,    8,    0,    0,    0,
    0,    0x3a, 0x7e, 0x9b, 0x55, 0,    0,    0,    0x0a, 'I',  'D',  'A',  'T',  0x78,
    0x9c, 0x63, 0x68, 0,    0,    0,    0x82, 0,    0x81, 0x77, 0xcd, 0x72, 0xb6, 0,
    0,    0,    0,    'I',  'E',  'N',  'D',  0xae, 0x42, 0x60, 0x82};

int sb_h_user_image(struct sb_req *q)
{
    struct sb_user *u = sb_path_user(q, 0);

    if (!u)
        return 0;
    return sb_reply_raw(q, 200, "image/png", default_png, sizeof(default_png));
}

/* The picture itself is thrown away: only its time shows. */
int sb_h_user_set_image(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);

    if (!u)
        return 0;
    u->last_picture_update = mw_streq(q->method, "DELETE") ? 0 : sb_now(&q->sv->state);
    user_changed(q, u);
    return sb_reply_ok(q);
}
