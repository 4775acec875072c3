/* Names in: what a person wrote -> ids, from the caches where they suffice. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "mattermost/client_impl.h"
#include "mattermost/endpoint.h"

struct resolve_op {
    struct mm_op op;
    struct mm_ref ref;
    char *team;   /* hint; NULL = none */
    cJSON *teams; /* own teams, for open channels that were not joined */
    const cJSON *team_at;
    struct mw_buf near; /* names that resemble the wanted one */
    char found_id[MW_ID_SIZE];
    struct mw_buf found; /* "team/name" of every match */
    unsigned n_found;
};

static void free_resolve(struct mm_op *op)
{
    struct resolve_op *o = (struct resolve_op *)op;

    free(o->team);
    cJSON_Delete(o->teams);
    mw_buf_deinit(&o->near);
    mw_buf_deinit(&o->found);
    free(o);
}

static struct resolve_op *new_resolve(struct mm_client *c, const struct mm_ref *ref, mm_cb cb,
                                      void *userdata)
{
    struct resolve_op *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    mm_op_init(&o->op, c, cb, userdata, free_resolve);
    o->ref = *ref;
    mw_buf_init(&o->near, 400);
    mw_buf_init(&o->found, 400);
    return o;
}

/* Starts the next call of an operation; when that fails, so does the operation. */
static void go_on(struct resolve_op *o, const char *method, const char *path, cJSON *body, mm_cb cb)
{
    int r = path ? mm_call(o->op.c, method, path, body, cb, o) : -ENOMEM;

    if (!path)
        cJSON_Delete(body);
    if (r < 0)
        mm_op_fail(&o->op, MM_UNREACHABLE, r, "cannot ask the server: %s", strerror(-r));
}

static cJSON *channel_answer(const char *channel_id, const char *post_id, const char *root_id)
{
    cJSON *body = cJSON_CreateObject();

    if (body && mw_json_add_str(body, "channel_id", channel_id) == 0 &&
        (!post_id || mw_json_add_str(body, "post_id", post_id) == 0) &&
        (!root_id || mw_json_add_str(body, "root_id", root_id) == 0))
        return body;
    cJSON_Delete(body);
    return NULL;
}

static cJSON *user_answer(const struct mm_user_info *u)
{
    cJSON *body = cJSON_CreateObject();

    if (body && mw_json_add_str(body, "user_id", u->id) == 0 &&
        mw_json_add_str(body, "username", u->username) == 0 &&
        mw_json_add_bool(body, "is_bot", u->is_bot) == 0)
        return body;
    cJSON_Delete(body);
    return NULL;
}

/* Learns the channel of an answer and ends the operation with it. */
static void finish_with_channel(struct resolve_op *o, const cJSON *json)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_channel ch;

    if (mm_channel_read(json, &ch, &err) < 0)
        mm_op_fail(&o->op, MM_BAD_ANSWER, -EPROTO, "%s", mw_error_text(&err));
    else if (mm_learn_channel(o->op.c, &ch) < 0)
        mm_op_fail(&o->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
    else
        mm_op_finish_body(&o->op, channel_answer(ch.id, NULL, NULL));
}

/* ---- A channel's name in all own teams ---- */

static void not_found(struct resolve_op *o)
{
    const char *near = mw_buf_str(&o->near);

    mm_op_fail(&o->op, MM_NOT_FOUND, -ENOENT, "there is no channel \"%s\"%s%s that %s can see%s%s",
               o->ref.name, *o->ref.team ? " in team " : "", o->ref.team,
               mm_client_user_name(o->op.c), *near ? "; near names: " : "", near);
}

static void note_near(struct resolve_op *o, const char *name, const char *team_id)
{
    const struct mm_team_info *team = mm_cached_team(o->op.c, team_id);
    MW_AUTOFREE char *full = mw_asprintf("%s/%s", team ? team->name : team_id, name);
    unsigned d = mw_str_distance(o->ref.name, name);

    if (!full || (d > 2 && (strlen(o->ref.name) <= 3 || !strstr(name, o->ref.name))))
        return;
    /* A full buffer refuses the rest, which is what its limit is for. */
    if (!strstr(mw_buf_str(&o->near), full))
        mw_buf_printf(&o->near, "%s%s", o->near.len ? ", " : "", full);
}

static void near_next_team(struct resolve_op *o);

static void on_near_channels(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;
    const cJSON *item;

    if (r->outcome == MM_CANCELED) {
        mm_op_finish(&o->op, r);
        return;
    }
    cJSON_ArrayForEach(item, r->body)
    {
        struct mm_channel ch;

        if (mm_channel_read(item, &ch, NULL) == 0)
            note_near(o, ch.name, ch.team_id);
    }
    o->team_at = o->team_at->next;
    near_next_team(o);
}

/* Of channels that were not joined, what the server finds for the first letters. */
static void near_next_team(struct resolve_op *o)
{
    MW_AUTOFREE char *path = NULL;
    MW_AUTOJSON *body = NULL;
    char first[4];

    while (o->team_at &&
           (!mw_id_valid(mw_json_str_or(o->team_at, "id", "")) ||
            (*o->ref.team && !mw_streq(mw_json_str(o->team_at, "name"), o->ref.team))))
        o->team_at = o->team_at->next;
    if (!o->team_at) {
        not_found(o);
        return;
    }
    snprintf(first, sizeof(first), "%.3s", o->ref.name);
    body = cJSON_CreateObject();
    path = mw_asprintf("/teams/%s/channels/search", mw_json_str(o->team_at, "id"));
    if (!path || !body || mw_json_add_str(body, "term", first)) {
        mm_op_fail(&o->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
        return;
    }
    go_on(o, "POST", path, take_ptr(body), on_near_channels);
}

static void finish_search(struct resolve_op *o)
{
    if (o->n_found == 0) {
        o->team_at = cJSON_IsArray(o->teams) ? o->teams->child : NULL;
        near_next_team(o);
    } else if (o->n_found == 1) {
        mm_op_finish_body(&o->op, channel_answer(o->found_id, NULL, NULL));
    } else {
        mm_op_fail(&o->op, MM_REFUSED, -EEXIST,
                   "the channel name \"%s\" exists in several teams: write one of %s", o->ref.name,
                   mw_buf_str(&o->found));
    }
}

static void add_found(struct resolve_op *o, const char *id, const char *team_id)
{
    const struct mm_team_info *team = mm_cached_team(o->op.c, team_id);

    if (o->n_found++ == 0)
        snprintf(o->found_id, sizeof(o->found_id), "%s", id);
    else
        mw_buf_puts(&o->found, ", ");
    mw_buf_printf(&o->found, "%s/%s", team ? team->name : team_id, o->ref.name);
}

static void search_next_team(struct resolve_op *o);

static void on_team_channel(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;
    struct mm_channel ch;

    switch (r->outcome) {
    case MM_OK:
        if (mm_channel_read(r->body, &ch, NULL) == 0) {
            if (mm_learn_channel(o->op.c, &ch) < 0) {
                mm_op_fail(&o->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
                return;
            }
            add_found(o, ch.id, ch.team_id);
        }
        break;
    case MM_NOT_FOUND:
    case MM_FORBIDDEN:
        break;
    default:
        mm_op_finish(&o->op, r);
        return;
    }
    o->team_at = o->team_at->next;
    search_next_team(o);
}

static void search_next_team(struct resolve_op *o)
{
    MW_AUTOFREE char *path = NULL;

    while (o->team_at && !mw_id_valid(mw_json_str_or(o->team_at, "id", "")))
        o->team_at = o->team_at->next;
    if (!o->team_at) {
        finish_search(o);
        return;
    }
    path = mw_asprintf("/teams/%s/channels/name/%s", mw_json_str(o->team_at, "id"), o->ref.name);
    go_on(o, "GET", path, NULL, on_team_channel);
}

static void on_own_teams(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;

    if (r->outcome != MM_OK) {
        mm_op_finish(&o->op, r);
        return;
    }
    o->teams = take_ptr(r->body);
    o->team_at = cJSON_IsArray(o->teams) ? o->teams->child : NULL;
    /* With a team the name was asked for already. */
    if (*o->ref.team)
        finish_search(o);
    else
        search_next_team(o);
}

static void on_own_channels(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;
    const cJSON *item;

    if (r->outcome != MM_OK) {
        mm_op_finish(&o->op, r);
        return;
    }
    cJSON_ArrayForEach(item, r->body)
    {
        struct mm_channel ch;

        if (mm_channel_read(item, &ch, NULL) < 0 || !*ch.team_id)
            continue;
        if (!*o->ref.team && strcmp(ch.name, o->ref.name) == 0)
            add_found(o, ch.id, ch.team_id);
        else
            note_near(o, ch.name, ch.team_id);
    }
    if (o->n_found && !*o->ref.team)
        finish_search(o);
    else
        go_on(o, "GET", "/users/me/teams", NULL, on_own_teams);
}

static void search_everywhere(struct resolve_op *o)
{
    int r = mm_list_channels(o->op.c, on_own_channels, o);

    if (r < 0)
        mm_op_fail(&o->op, MM_UNREACHABLE, r, "cannot ask for the channels");
}

/* ---- The single steps ---- */

static void on_named_channel(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;

    if (r->outcome == MM_OK)
        finish_with_channel(o, r->body);
    else if (r->outcome == MM_NOT_FOUND || r->outcome == MM_FORBIDDEN)
        search_everywhere(o);
    else
        mm_op_finish(&o->op, r);
}

static void on_channel_by_id(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;

    if (r->outcome == MM_OK) {
        finish_with_channel(o, r->body);
    } else if (r->outcome == MM_NOT_FOUND) {
        /* 26 letters and digits may also be a name. */
        o->ref.kind = MM_REF_NAME;
        snprintf(o->ref.name, sizeof(o->ref.name), "%s", o->ref.id);
        search_everywhere(o);
    } else {
        mm_op_finish(&o->op, r);
    }
}

static void on_permalink_post(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_post post;

    if (r->outcome != MM_OK)
        mm_op_finish(&o->op, r);
    else if (mm_post_read(r->body, &post, &err) < 0)
        mm_op_fail(&o->op, MM_BAD_ANSWER, -EPROTO, "%s", mw_error_text(&err));
    else
        mm_op_finish_body(&o->op, channel_answer(post.channel_id, post.id,
                                                 *post.root_id ? post.root_id : post.id));
}

static void on_direct_channel(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;

    if (r->outcome == MM_OK)
        finish_with_channel(o, r->body);
    else
        mm_op_finish(&o->op, r);
}

static void on_direct_user(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;
    const char *ids[] = {mm_client_user_id(o->op.c), mw_json_str_or(r->body, "user_id", "")};

    if (r->outcome == MM_OK)
        go_on(o, "POST", "/channels/direct", cJSON_CreateStringArray(ids, 2), on_direct_channel);
    else
        mm_op_finish(&o->op, r);
}

static int start_channel(struct resolve_op *o)
{
    struct mm_client *c = o->op.c;
    MW_AUTOFREE char *path = NULL, *user = NULL;

    switch (o->ref.kind) {
    case MM_REF_ID:
        path = mw_asprintf("/channels/%s", o->ref.id);
        return path ? mm_call(c, "GET", path, NULL, on_channel_by_id, o) : -ENOMEM;
    case MM_REF_PERMALINK:
        path = mw_asprintf("/posts/%s", o->ref.id);
        return path ? mm_call(c, "GET", path, NULL, on_permalink_post, o) : -ENOMEM;
    case MM_REF_USER:
        user = mw_asprintf("@%s", o->ref.name);
        return user ? mm_resolve_user(c, user, on_direct_user, o) : -ENOMEM;
    case MM_REF_TEAM_NAME:
        path = mw_asprintf("/teams/name/%s/channels/name/%s", o->ref.team, o->ref.name);
        return path ? mm_call(c, "GET", path, NULL, on_named_channel, o) : -ENOMEM;
    case MM_REF_NAME:
        break;
    }
    if (!o->team)
        return mm_list_channels(c, on_own_channels, o);
    path = mw_asprintf("/teams/name/%s/channels/name/%s", o->team, o->ref.name);
    return path ? mm_call(c, "GET", path, NULL, on_named_channel, o) : -ENOMEM;
}

/* The sentence of a malformed name, given as every other answer. */
static int refuse_later(struct mm_client *c, const struct mw_error *why, mm_cb cb, void *userdata);

int mm_resolve_channel(struct mm_client *c, const char *name, const char *team, mm_cb cb,
                       void *userdata)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_ref ref;
    struct resolve_op *o;
    int r = mm_ref_parse(mm_client_endpoint(c), name, &ref, &err);

    if (r < 0)
        return refuse_later(c, &err, cb, userdata);
    if (ref.kind == MM_REF_ID && mm_cached_channel(c, ref.id)) {
        cJSON *body = channel_answer(ref.id, NULL, NULL);

        return body ? mm_answer_later(c, body, cb, userdata) : -ENOMEM;
    }
    o = new_resolve(c, &ref, cb, userdata);
    if (!o)
        return -ENOMEM;
    r = 0;
    if (team && *team) {
        o->team = mm_url_escape(team);
        r = o->team ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = start_channel(o);
    if (r < 0)
        mm_op_drop(&o->op);
    return r;
}

/* ---- Users ---- */

static void finish_with_user(struct resolve_op *o, const cJSON *json)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_user user;

    if (mm_user_read(json, &user, &err) < 0) {
        mm_op_fail(&o->op, MM_BAD_ANSWER, -EPROTO, "%s", mw_error_text(&err));
        return;
    }
    if (mm_learn_user(o->op.c, &user) < 0 || !mm_cached_user(o->op.c, user.id)) {
        mm_op_fail(&o->op, MM_UNREACHABLE, -ENOMEM, "out of memory");
        return;
    }
    mm_op_finish_body(&o->op, user_answer(mm_cached_user(o->op.c, user.id)));
}

/* The names that the server offers for the first letters. */
static void on_near_users(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;
    const cJSON *item;
    const char *near;

    if (r->outcome == MM_CANCELED) {
        mm_op_finish(&o->op, r);
        return;
    }
    cJSON_ArrayForEach(item, mw_json_arr(r->body, "users"))
    {
        const char *name = mw_json_str_or(item, "username", "");

        if (*name && (mw_str_distance(o->ref.name, name) <= 2 || strstr(name, o->ref.name)))
            mw_buf_printf(&o->near, "%s@%s", o->near.len ? ", " : "", name);
    }
    near = mw_buf_str(&o->near);
    mm_op_fail(&o->op, MM_NOT_FOUND, -ENOENT, "there is no user @%s%s%s", o->ref.name,
               *near ? "; near names: " : "", near);
}

static void on_user_by_name(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;
    char first[3];
    MW_AUTOFREE char *escaped = NULL, *path = NULL;

    if (r->outcome == MM_OK) {
        finish_with_user(o, r->body);
        return;
    }
    if (r->outcome != MM_NOT_FOUND) {
        mm_op_finish(&o->op, r);
        return;
    }
    snprintf(first, sizeof(first), "%.2s", o->ref.name);
    escaped = mm_url_escape(first);
    if (escaped)
        path = mw_asprintf("/users/autocomplete?name=%s&limit=100", escaped);
    go_on(o, "GET", path, NULL, on_near_users);
}

static void ask_user_by_name(struct resolve_op *o)
{
    MW_AUTOFREE char *path = mw_asprintf("/users/username/%s", o->ref.name);

    go_on(o, "GET", path, NULL, on_user_by_name);
}

static void on_user_by_id(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;

    if (r->outcome == MM_OK) {
        finish_with_user(o, r->body);
    } else if (r->outcome == MM_NOT_FOUND) {
        snprintf(o->ref.name, sizeof(o->ref.name), "%s", o->ref.id);
        ask_user_by_name(o);
    } else {
        mm_op_finish(&o->op, r);
    }
}

static void on_refused(struct mm_result *r, void *userdata)
{
    struct resolve_op *o = userdata;

    if (r->outcome == MM_OK)
        mm_op_fail(&o->op, MM_REFUSED, -EINVAL, "%s", mw_buf_str(&o->near));
    else
        mm_op_finish(&o->op, r);
}

static int refuse_later(struct mm_client *c, const struct mw_error *why, mm_cb cb, void *userdata)
{
    struct resolve_op *o = new_resolve(c, &(struct mm_ref){0}, cb, userdata);
    int r;

    if (!o)
        return -ENOMEM;
    mw_buf_puts(&o->near, mw_error_text(why));
    r = mm_answer_later(c, NULL, on_refused, o);
    if (r < 0)
        mm_op_drop(&o->op);
    return r;
}

int mm_resolve_user(struct mm_client *c, const char *name, mm_cb cb, void *userdata)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *path = NULL;
    const struct mm_user_info *known;
    struct mm_ref ref;
    struct resolve_op *o;
    int r = mm_ref_parse(mm_client_endpoint(c), name, &ref, &err);

    if (r < 0)
        return refuse_later(c, &err, cb, userdata);
    if (ref.kind != MM_REF_ID && ref.kind != MM_REF_USER && ref.kind != MM_REF_NAME) {
        mw_error_set(&err, -EINVAL, "\"%.80s\" is no user: write @name or an id", name);
        return refuse_later(c, &err, cb, userdata);
    }
    known = ref.kind == MM_REF_ID ? mm_cached_user(c, ref.id)
                                  : mw_map_get(&c->cache.user_ids, ref.name);
    if (known) {
        cJSON *body = user_answer(known);

        return body ? mm_answer_later(c, body, cb, userdata) : -ENOMEM;
    }
    o = new_resolve(c, &ref, cb, userdata);
    if (!o)
        return -ENOMEM;
    path = ref.kind == MM_REF_ID ? mw_asprintf("/users/%s", ref.id)
                                 : mw_asprintf("/users/username/%s", ref.name);
    r = path ? mm_call(c, "GET", path, NULL,
                       ref.kind == MM_REF_ID ? on_user_by_id : on_user_by_name, o)
             : -ENOMEM;
    if (r < 0)
        mm_op_drop(&o->op);
    return r;
}

/* ---- Posts ---- */

int mm_resolve_post(struct mm_client *c, const char *ref, mm_cb cb, void *userdata)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *path = NULL;
    struct mm_ref parsed;
    int r = mm_ref_parse(mm_client_endpoint(c), ref, &parsed, &err);

    if (r == 0 && parsed.kind != MM_REF_ID && parsed.kind != MM_REF_PERMALINK)
        r = mw_error_set(&err, -EINVAL, "\"%.80s\" is no post: write its id or its permalink", ref);
    if (r < 0)
        return refuse_later(c, &err, cb, userdata);
    path = mw_asprintf("/posts/%s", parsed.id);
    return path ? mm_call(c, "GET", path, NULL, cb, userdata) : -ENOMEM;
}
