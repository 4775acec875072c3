/* Lists: channels, people, teams, groups. What they need in common is in directory_internal.h. */
#include "base/id.h"
#include "base/str.h"
#include "gateway/directory_internal.h"

#define PAGE 200 /* the most that the server gives at a time */

void gw_directory_free(struct gw_query *q)
{
    struct gw_directory *d = (struct gw_directory *)q;

    free(d->team);
    free(d->channel);
    free(d->search);
    cJSON_Delete(d->users);
    cJSON_Delete(d->body);
    cJSON_Delete(d->list);
    mw_map_deinit(&d->members);
    free(d);
}

struct gw_directory *gw_directory_new(struct gw_bot *bot, gw_cb cb, void *userdata)
{
    struct gw_directory *d = calloc(1, sizeof(*d));

    if (!d) {
        gw_query_no_memory(cb, userdata);
        return NULL;
    }
    mw_map_init(&d->members, NULL);
    if (!gw_query_start(&d->q, bot, cb, userdata, gw_directory_free))
        return NULL;
    d->list = cJSON_CreateArray();
    if (!d->list) {
        gw_query_done(&d->q, NULL);
        return NULL;
    }
    return d;
}

bool gw_directory_set(struct gw_directory *d, char **slot, const char *value)
{
    if (mw_str_set(slot, value) == 0)
        return true;
    gw_query_done(&d->q, NULL);
    return false;
}

/* ---- The team that is meant ---- */

static void write_names(struct mw_buf *b, const cJSON *teams)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, teams)
    {
        mw_buf_printf(b, "%s%s", b->len ? ", " : "", mw_json_str_or(item, "name", "?"));
    }
}

static void on_teams(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    const char *wanted = d->team;
    struct mw_nearest near = {.name = wanted ? wanted : ""};
    const cJSON *item, *found = NULL;
    MW_AUTOBUF names = {0};

    mw_buf_init(&names, 0);
    if (r->outcome != MM_OK || !cJSON_IsArray(r->body)) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    write_names(&names, r->body);
    cJSON_ArrayForEach(item, r->body)
    {
        struct mm_team team;

        if (mm_team_read(item, &team, NULL) < 0)
            continue;
        if (mm_learn_team(d->q.client, &team) < 0) {
            gw_query_done(&d->q, NULL);
            return;
        }
        mw_nearest_offer(&near, team.name);
        if (wanted ? strcasecmp(wanted, team.name) == 0 || strcmp(wanted, team.id) == 0
                   : cJSON_GetArraySize(r->body) == 1)
            found = item;
    }
    if (found) {
        snprintf(d->team_id, sizeof(d->team_id), "%s", mw_json_str_or(found, "id", ""));
        d->with_team(d);
    } else if (cJSON_GetArraySize(r->body) == 0) {
        gw_query_fail(&d->q, GW_NOT_FOUND,
                      "%s is in no team: a system or team administrator can add it to one",
                      mm_client_user_name(d->q.client));
    } else if (!wanted) {
        gw_query_fail(&d->q, GW_BAD_PARAMS, "name the team: one of %s", mw_buf_str(&names));
    } else {
        gw_query_fail(&d->q, GW_NOT_FOUND, "%s is in no team \"%s\"%s%s%s; its teams: %s",
                      mm_client_user_name(d->q.client), wanted,
                      mw_nearest_get(&near) ? "; did you mean \"" : "",
                      mw_nearest_get(&near) ? mw_nearest_get(&near) : "",
                      mw_nearest_get(&near) ? "\"?" : "", mw_buf_str(&names));
    }
}

void gw_directory_team(struct gw_directory *d, void (*with_team)(struct gw_directory *d))
{
    d->with_team = with_team;
    gw_query_call(&d->q, "GET", strdup("/users/me/teams"), NULL, on_teams);
}

/* ---- Channels ---- */

static const char *channel_type(const char *letter)
{
    switch (*letter) {
    case 'O':
        return "public";
    case 'P':
        return "private";
    case 'D':
        return "direct";
    case 'G':
        return "group";
    default:
        return "other";
    }
}

/* The other one of a direct channel, whose name is "ID__ID"; our own id when we talk to
 * ourselves. */
static bool other_of(const struct gw_directory *d, const char *name, char *id)
{
    const char *own = mm_client_user_id(d->q.client), *sep = strstr(name, "__");
    const char *other;

    if (!sep)
        return false;
    other = strncmp(name, own, strlen(own)) == 0 ? sep + 2 : name;
    snprintf(id, MW_ID_SIZE, "%.26s", other);
    return mw_id_valid(id);
}

static cJSON *channel_json(const struct gw_directory *d, const cJSON *from)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    MW_AUTOFREE char *at = NULL;
    const struct mm_team_info *team;
    const struct mm_user_info *other = NULL;
    struct mm_channel ch;
    char id[MW_ID_SIZE];

    if (!o || mm_channel_read(from, &ch, NULL) < 0)
        return NULL;
    team = mm_cached_team(d->q.client, ch.team_id);
    if (*ch.type == 'D' && other_of(d, ch.name, id))
        other = mm_cached_user(d->q.client, id);
    if (other) {
        at = mw_asprintf("@%s", other->username);
        if (!at)
            return NULL;
    }
    if (mw_json_add_str(o, "id", ch.id) | mw_json_add_str(o, "name", at ? at : ch.name) |
        mw_json_add_str(o, "display_name", ch.display_name) |
        mw_json_add_str(o, "type", channel_type(ch.type)) |
        mw_json_add_str(o, "team",
                        team          ? team->name
                        : *ch.team_id ? ch.team_id
                                      : NULL) |
        mw_json_add_str(o, "topic", mw_json_str_or(from, "header", "")) |
        mw_json_add_str(o, "purpose", mw_json_str_or(from, "purpose", "")) |
        mw_json_add_bool(o, "member", mw_map_get(&d->members, ch.id) != NULL) |
        mw_json_add_i64(o, "last_post_at", ch.last_post_at))
        return NULL;
    return take_ptr(o);
}

static void render_channels(struct gw_directory *d)
{
    MW_AUTOJSON *out = cJSON_CreateArray();
    const cJSON *item;

    cJSON_ArrayForEach(item, d->list)
    {
        const char *team_id = mw_json_str_or(item, "team_id", "");

        /* Direct and group messages belong to no team. */
        if (*d->team_id && strcmp(team_id, d->team_id) != 0)
            continue;
        if (!out || mw_json_push(out, channel_json(d, item))) {
            gw_query_done(&d->q, NULL);
            return;
        }
    }
    gw_query_done(&d->q, take_ptr(out));
}

static void on_others(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;

    if (r->outcome == MM_OK)
        render_channels(d);
    else
        gw_query_fail_result(&d->q, r);
}

static void fetch_others(struct gw_directory *d)
{
    size_t size = (size_t)cJSON_GetArraySize(d->list), n = 0;
    MW_AUTOFREE char *text = calloc(size + 1, MW_ID_SIZE);
    MW_AUTOFREE const char **ids = calloc(size + 1, sizeof(*ids));
    const cJSON *item;

    if (!text || !ids) {
        gw_query_done(&d->q, NULL);
        return;
    }
    cJSON_ArrayForEach(item, d->list)
    {
        char *id = text + n * MW_ID_SIZE;

        if (*mw_json_str_or(item, "type", "") == 'D' &&
            other_of(d, mw_json_str_or(item, "name", ""), id))
            ids[n++] = id;
    }
    gw_query_started(&d->q, mm_fetch_users(d->q.client, ids, n, on_others, d));
}

/* Moves an answer's items to the list. Returns how many there were; -1: it ended the query. */
static int take_page(struct gw_directory *d, cJSON *page)
{
    int n = 0;

    while (cJSON_IsArray(page) && page->child) {
        if (mw_json_push(d->list, cJSON_DetachItemViaPointer(page, page->child))) {
            gw_query_done(&d->q, NULL);
            return -1;
        }
        n++;
    }
    if (cJSON_GetArraySize(d->list) > GW_LIST_MAX) {
        gw_query_fail(&d->q, GW_REFUSED, "there are more than %d: search by a part of the name",
                      GW_LIST_MAX);
        return -1;
    }
    return n;
}

static void ask_public(struct gw_directory *d);

static void on_public(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    int n;

    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    n = take_page(d, r->body);
    if (n < 0)
        return;
    if (n < PAGE) {
        render_channels(d);
        return;
    }
    d->page++;
    ask_public(d);
}

static void ask_public(struct gw_directory *d)
{
    gw_query_call(&d->q, "GET",
                  mw_asprintf("/teams/%s/channels?page=%u&per_page=%d", d->team_id, d->page, PAGE),
                  NULL, on_public);
}

static void on_own_channels(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    const cJSON *item;

    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    cJSON_ArrayForEach(item, r->body)
    {
        if (mw_map_put(&d->members, mw_json_str_or(item, "id", ""), d) < 0) {
            gw_query_done(&d->q, NULL);
            return;
        }
    }
    if (d->all)
        ask_public(d);
    else if (take_page(d, r->body) >= 0)
        fetch_others(d);
}

static void list_channels(struct gw_directory *d)
{
    gw_query_started(&d->q, mm_list_channels(d->q.client, on_own_channels, d));
}

void gw_channels(struct gw *gw, struct gw_bot *bot, const char *team, bool all, gw_cb cb,
                 void *userdata)
{
    struct gw_directory *d = gw_directory_new(bot, cb, userdata);

    if (!d)
        return;
    d->all = all;
    d->q.right = "list_team_channels";
    d->q.holder = "Every member of the team usually";
    if (!gw_directory_set(d, &d->q.doing, "list the public channels") ||
        !gw_directory_set(d, &d->team, team || !all ? team : bot->config->team))
        return;
    if (team || all)
        gw_directory_team(d, list_channels);
    else
        list_channels(d);
}

/* ---- People ---- */

static cJSON *user_json(const cJSON *from)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    MW_AUTOFREE char *full = NULL;
    struct mm_user u;

    if (!o || mm_user_read(from, &u, NULL) < 0)
        return NULL;
    full =
        mw_asprintf("%s%s%s", u.first_name, *u.first_name && *u.last_name ? " " : "", u.last_name);
    if (!full ||
        mw_json_add_str(o, "id", u.id) | mw_json_add_str(o, "username", u.username) |
            mw_json_add_str(o, "name", full) | mw_json_add_str(o, "nickname", u.nickname) |
            mw_json_add_str(o, "position", mw_json_str_or(from, "position", "")) |
            mw_json_add_str(o, "email", u.email) | mw_json_add_bool(o, "is_bot", u.is_bot) |
            mw_json_add_bool(o, "active", u.delete_at == 0) | mw_json_add_str(o, "roles", u.roles))
        return NULL;
    return take_ptr(o);
}

static void render_users(struct gw_directory *d)
{
    MW_AUTOJSON *out = cJSON_CreateArray();
    const cJSON *item;
    unsigned n = 0;

    cJSON_ArrayForEach(item, d->list)
    {
        if (n++ == d->limit)
            break;
        if (!out || mw_json_push(out, user_json(item))) {
            gw_query_done(&d->q, NULL);
            return;
        }
    }
    gw_query_done(&d->q, take_ptr(out));
}

static void ask_users(struct gw_directory *d);

static void on_users(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    int n;

    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    n = take_page(d, r->body);
    if (n < 0)
        return;
    if (d->search || n < PAGE || (unsigned)cJSON_GetArraySize(d->list) >= d->limit) {
        render_users(d);
        return;
    }
    d->page++;
    ask_users(d);
}

static void search_users(struct gw_directory *d)
{
    MW_AUTOJSON *body = cJSON_CreateObject();

    if (!body || mw_json_add_str(body, "term", d->search) ||
        mw_json_add_bool(body, "allow_inactive", true) ||
        mw_json_add_i64(body, "limit", MW_MIN(d->limit, 1000)) ||
        (*d->channel_id ? mw_json_add_str(body, "in_channel_id", d->channel_id)
         : *d->team_id  ? mw_json_add_str(body, "team_id", d->team_id)
                        : 0)) {
        gw_query_done(&d->q, NULL);
        return;
    }
    gw_query_call(&d->q, "POST", strdup("/users/search"), take_ptr(body), on_users);
}

static void ask_users(struct gw_directory *d)
{
    const char *key = *d->channel_id ? "&in_channel=" : *d->team_id ? "&in_team=" : "";
    const char *id = *d->channel_id ? d->channel_id : d->team_id;

    if (d->search)
        search_users(d);
    else
        gw_query_call(
            &d->q, "GET",
            mw_asprintf("/users?page=%u&per_page=%d%s%s", d->page, PAGE, key, *key ? id : ""), NULL,
            on_users);
}

static void on_users_channel(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    const char *id = mw_json_str(r->body, "channel_id");

    if (r->outcome != MM_OK || !id) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    snprintf(d->channel_id, sizeof(d->channel_id), "%s", id);
    ask_users(d);
}

void gw_users(struct gw *gw, struct gw_bot *bot, const struct gw_users_query *query, gw_cb cb,
              void *userdata)
{
    struct gw_directory *d = gw_directory_new(bot, cb, userdata);

    if (!d)
        return;
    d->limit = query->limit ? query->limit : 100;
    d->q.right = "view_members";
    d->q.holder = "Every member of the team usually";
    if (!gw_directory_set(d, &d->q.doing, "list people") ||
        !gw_directory_set(d, &d->team, query->team) ||
        !gw_directory_set(d, &d->search, query->search && *query->search ? query->search : NULL))
        return;
    if (query->channel)
        gw_query_started(&d->q, mm_resolve_channel(d->q.client, query->channel,
                                                   query->team ? query->team : bot->config->team,
                                                   on_users_channel, d));
    else if (query->team)
        gw_directory_team(d, ask_users);
    else
        ask_users(d);
}

static void on_status(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    cJSON *user = user_json(d->body);

    /* A server may keep statuses to itself. */
    if (r->outcome == MM_CANCELED) {
        cJSON_Delete(user);
        gw_query_fail_result(&d->q, r);
        return;
    }
    if (user && mw_json_add_str(user, "status",
                                r->outcome == MM_OK ? mw_json_str(r->body, "status") : NULL)) {
        cJSON_Delete(user);
        user = NULL;
    }
    gw_query_done(&d->q, user);
}

static void on_user(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    const char *id = mw_json_str_or(r->body, "id", "");

    if (r->outcome != MM_OK || !mw_id_valid(id)) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    d->body = take_ptr(r->body);
    gw_query_call(&d->q, "GET", mw_asprintf("/users/%s/status", id), NULL, on_status);
}

static void on_user_id(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    const char *id = mw_json_str(r->body, "user_id");

    if (r->outcome != MM_OK || !id)
        gw_query_fail_result(&d->q, r);
    else
        gw_query_call(&d->q, "GET", mw_asprintf("/users/%s", id), NULL, on_user);
}

void gw_user(struct gw *gw, struct gw_bot *bot, const char *name, gw_cb cb, void *userdata)
{
    struct gw_directory *d = gw_directory_new(bot, cb, userdata);

    if (d)
        gw_query_started(&d->q, mm_resolve_user(d->q.client, name, on_user_id, d));
}

/* ---- Teams and groups ---- */

static cJSON *team_json(const cJSON *from)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    struct mm_team t;

    if (!o || mm_team_read(from, &t, NULL) < 0 || mw_json_add_str(o, "id", t.id) ||
        mw_json_add_str(o, "name", t.name) || mw_json_add_str(o, "display_name", t.display_name) ||
        mw_json_add_str(o, "type",
                        mw_json_bool(from, "allow_open_invite") ? "open" : "by invitation") ||
        mw_json_add_str(o, "description", mw_json_str_or(from, "description", "")))
        return NULL;
    return take_ptr(o);
}

static cJSON *group_json(const cJSON *from)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || mw_json_add_str(o, "id", mw_json_str_or(from, "id", "")) ||
        mw_json_add_str(o, "name", mw_json_str(from, "name")) ||
        mw_json_add_str(o, "display_name", mw_json_str_or(from, "display_name", "")) ||
        mw_json_add_str(o, "description", mw_json_str_or(from, "description", "")) ||
        mw_json_add_i64(o, "members", mw_json_i64(from, "member_count", 0)))
        return NULL;
    return take_ptr(o);
}

static void render(struct gw_directory *d, cJSON *(*item_json)(const cJSON *from))
{
    MW_AUTOJSON *out = cJSON_CreateArray();
    const cJSON *item;

    cJSON_ArrayForEach(item, d->list)
    {
        if (!out || mw_json_push(out, item_json(item))) {
            gw_query_done(&d->q, NULL);
            return;
        }
    }
    gw_query_done(&d->q, take_ptr(out));
}

static void on_all_teams(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;

    if (r->outcome != MM_OK)
        gw_query_fail_result(&d->q, r);
    else if (take_page(d, r->body) >= 0)
        render(d, team_json);
}

void gw_teams(struct gw *gw, struct gw_bot *bot, gw_cb cb, void *userdata)
{
    struct gw_directory *d = gw_directory_new(bot, cb, userdata);

    if (d)
        gw_query_call(&d->q, "GET", strdup("/users/me/teams"), NULL, on_all_teams);
}

static void ask_groups(struct gw_directory *d);

static void on_groups(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    int n;

    /* Servers have said it by 501 and by 403. */
    if (r->outcome == MM_UNAVAILABLE || strstr(r->error_id, "license")) {
        gw_query_fail(&d->q, GW_REFUSED, "the server at %s has no licence for groups",
                      mm_client_endpoint(d->q.client));
        return;
    }
    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    n = take_page(d, r->body);
    if (n < 0)
        return;
    if (n < PAGE) {
        render(d, group_json);
        return;
    }
    d->page++;
    ask_groups(d);
}

static void ask_groups(struct gw_directory *d)
{
    gw_query_call(
        &d->q, "GET",
        mw_asprintf("/groups?page=%u&per_page=%d&include_member_count=true", d->page, PAGE), NULL,
        on_groups);
}

void gw_groups(struct gw *gw, struct gw_bot *bot, gw_cb cb, void *userdata)
{
    struct gw_directory *d = gw_directory_new(bot, cb, userdata);

    if (d)
        ask_groups(d);
}
