#include "gateway/access.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define KNOWN_MS  (5 * 60 * 1000)
#define KNOWN_MAX 10000

/* ---- Membership ---- */

struct answer {
    enum gw_has has; /* never GW_ASK */
    int64_t until;   /* monotonic */
};

void gw_members_init(struct gw_members *m)
{
    *m = (struct gw_members){0};
    mw_map_init(&m->known, free);
}

void gw_members_deinit(struct gw_members *m)
{
    mw_map_deinit(&m->known);
}

void gw_members_clear(struct gw_members *m)
{
    mw_map_clear(&m->known);
    m->busy = false;
    m->told = false;
}

static void finish(struct gw_members *m, bool answered)
{
    m->busy = false;
    m->done(answered, m->userdata);
}

static void settle(struct gw_members *m, enum gw_has has)
{
    struct answer *a = calloc(1, sizeof(*a));

    if (m->known.count >= KNOWN_MAX)
        mw_map_clear(&m->known);
    if (!a || mw_map_put(&m->known, m->asked.text, a)) {
        free(a);
        finish(m, false);
        return;
    }
    *a = (struct answer){.has = has, .until = mw_clock_mono() + KNOWN_MS};
    finish(m, true);
}

/* It says so once, and goes on when the server will not tell: asking again changes nothing. */
static void not_told(struct gw_members *m, const struct mm_result *res)
{
    mw_log(
        m->told ? MW_LOG_DEBUG : MW_LOG_WARNING,
        "the server does not tell who may trigger a handler: nobody is let in by that, and nobody "
        "past a list of denied people",
        MW_F_STR("question", m->asked.text), MW_F_STR("reason", mw_error_text(&res->err)));
    m->told = true;
    settle(m, GW_UNKNOWN);
}

/* A clear answer of the server is one, trouble on the way is none. True: it was dealt with. */
static bool failed(struct gw_members *m, const struct mm_result *res)
{
    switch (res->outcome) {
    case MM_OK:
        return false;
    case MM_NOT_FOUND:
        settle(m, GW_NO);
        return true;
    case MM_FORBIDDEN:
    case MM_REFUSED:
    case MM_UNAVAILABLE:
        not_told(m, res);
        return true;
    default:
        finish(m, false);
        return true;
    }
}

static void on_team_member(struct mm_result *res, void *userdata)
{
    struct gw_members *m = userdata;

    if (!failed(m, res)) /* who left is still told of, with the time */
        settle(m, mw_json_i64(res->body, "delete_at", 0) == 0 ? GW_YES : GW_NO);
}

static void on_channel_member(struct mm_result *res, void *userdata)
{
    struct gw_members *m = userdata;

    if (failed(m, res))
        return;
    settle(m, mw_json_bool(res->body, "scheme_admin") ||
                      strstr(mw_json_str_or(res->body, "roles", ""), "channel_admin")
                  ? GW_YES
                  : GW_NO);
}

static void on_groups(struct mm_result *res, void *userdata)
{
    struct gw_members *m = userdata;
    char name[GW_QUESTION_MAX] = "";
    const cJSON *group;
    bool yes = false;

    if (failed(m, res))
        return;
    (void)!sscanf(m->asked.text, "group %255s", name);
    cJSON_ArrayForEach(group, res->body)
    {
        yes |= mw_streq(mw_json_str(group, "name"), name) ||
               mw_streq(mw_json_str(group, "display_name"), name);
    }
    settle(m, yes ? GW_YES : GW_NO);
}

static void call(struct gw_members *m, char *path, mm_cb cb)
{
    MW_AUTOFREE char *owned = path;

    if (!owned || mm_call(m->client, "GET", owned, NULL, cb, m))
        finish(m, false);
}

static void on_team(struct mm_result *res, void *userdata)
{
    struct gw_members *m = userdata;
    char name[GW_QUESTION_MAX] = "", user[GW_QUESTION_MAX] = "";

    if (failed(m, res))
        return;
    (void)!sscanf(m->asked.text, "team %255s %255s", name, user);
    call(m, mw_asprintf("/teams/%s/members/%s", mw_json_str_or(res->body, "id", "-"), user),
         on_team_member);
}

void gw_members_ask(struct gw_members *m, struct mm_client *client, const struct gw_question *q,
                    void (*done)(bool answered, void *userdata), void *userdata)
{
    char kind[GW_QUESTION_MAX] = "", name[GW_QUESTION_MAX] = "", user[GW_QUESTION_MAX] = "";

    if (m->busy)
        return;
    m->busy = true;
    m->client = client;
    m->asked = *q;
    m->done = done;
    m->userdata = userdata;
    (void)!sscanf(q->text, "%255s %255s %255s", kind, name, user);
    if (mw_streq(kind, "team"))
        call(m, mw_asprintf("/teams/name/%s", name), on_team);
    else if (mw_streq(kind, "admin"))
        call(m, mw_asprintf("/channels/%s/members/%s", name, user), on_channel_member);
    else
        call(m, mw_asprintf("/users/%s/groups", user), on_groups);
}

static enum gw_has look_up(const struct gw_members *m, const char *kind, const char *name,
                           const char *user, struct gw_question *ret)
{
    struct gw_question q;
    const struct answer *a;

    /* Names of teams and groups have no spaces; one that does fits nobody. */
    if (strchr(name, ' ') || strchr(name, '/') ||
        snprintf(q.text, sizeof(q.text), "%s %s %s", kind, name, user) >= (int)sizeof(q.text))
        return GW_NO;
    a = mw_map_get(&m->known, q.text);
    if (a && a->until > mw_clock_mono())
        return a->has;
    *ret = q;
    return GW_ASK;
}

/* ---- Lists ---- */

static int add_user(struct gw_access *a, const struct gw_names *names, const char *word)
{
    for (size_t i = 0; i < names->n; i++) {
        const struct gw_name *n = &names->items[i];

        if (n->is_user && n->id && mw_streq(n->given, word))
            return mw_map_put(&a->users, n->id, a);
    }
    return 0;
}

int gw_access_init(struct gw_access *a, const struct gw_config *config,
                   const struct gw_strings *words, const struct gw_names *names)
{
    *a = (struct gw_access){.words = words, .config = config};
    mw_map_init(&a->users, NULL);
    for (size_t i = 0; i < words->n; i++) {
        const char *w = words->items[i];
        const struct gw_group_config *g =
            mw_starts_with(w, "group:") ? gw_config_group(config, w + 6) : NULL;

        a->everyone |= mw_streq(w, "*");
        a->channel_admins |= mw_streq(w, "channel-admins");
        if (add_user(a, names, w))
            return -ENOMEM;
        for (size_t j = 0; g && j < g->members.n; j++) {
            if (add_user(a, names, g->members.items[j]))
                return -ENOMEM;
        }
    }
    return 0;
}

void gw_access_deinit(struct gw_access *a)
{
    mw_map_deinit(&a->users);
}

enum gw_has gw_access_has(const struct gw_access *a, const struct gw_members *m,
                          const struct mw_event *ev, struct gw_question *ret)
{
    enum gw_has has = GW_NO;
    bool unknown = false;

    if (a->everyone || mw_map_get(&a->users, ev->user_id))
        return GW_YES;
    if (!ev->user_id[0])
        return GW_NO;
    if (a->channel_admins && !(ev->flags & (MW_EVENT_DIRECT | MW_EVENT_GROUP)))
        has = look_up(m, "admin", ev->channel_id, ev->user_id, ret);
    for (size_t i = 0; (has == GW_NO || has == GW_UNKNOWN) && i < a->words->n; i++) {
        const char *w = a->words->items[i];

        unknown |= has == GW_UNKNOWN;
        if (mw_starts_with(w, "team:"))
            has = look_up(m, "team", w + 5, ev->user_id, ret);
        else if (mw_starts_with(w, "group:") && !gw_config_group(a->config, w + 6))
            has = look_up(m, "group", w + 6, ev->user_id, ret);
        else
            has = GW_NO;
    }
    return has == GW_NO && unknown ? GW_UNKNOWN : has;
}
