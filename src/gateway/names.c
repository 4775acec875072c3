#include "gateway/names.h"

#include "base/id.h"
#include "base/str.h"

static void ask(struct gw_names *names);

static int name_init(struct gw_name *n, const char *given, bool is_user)
{
    n->is_user = is_user;
    n->given = strdup(given);
    if (!n->given)
        return -ENOMEM;
    if (mw_id_valid(given)) {
        n->id = strdup(given);
        if (!n->id)
            return -ENOMEM;
        if (is_user)
            n->state = GW_NAME_OK;
    }
    return 0;
}

static int add(struct gw_names *names, const char *given, bool is_user)
{
    struct gw_name *items;

    for (size_t i = 0; i < names->n; i++) {
        if (names->items[i].is_user == is_user && mw_streq(names->items[i].given, given))
            return 0;
    }
    items = reallocarray(names->items, names->n + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    names->items = items;
    items[names->n] = (struct gw_name){0};
    return name_init(&items[names->n++], given, is_user);
}

/* Of the words of a list those that name one person, and the people of groups. */
static int add_people(struct gw_names *names, const struct gw_config *config,
                      const struct gw_strings *words)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *w = words->items[i];
        const struct gw_group_config *g =
            mw_starts_with(w, "group:") ? gw_config_group(config, w + 6) : NULL;

        if ((w[0] == '@' || mw_id_valid(w)) && add(names, w, true))
            return -ENOMEM;
        if (g && add_people(names, config, &g->members))
            return -ENOMEM;
    }
    return 0;
}

int gw_names_init(struct gw_names *names, const struct gw_config *config,
                  const struct gw_bot_config *bot)
{
    int rc;

    *names = (struct gw_names){0};
    rc = mw_str_set(&names->team, bot->team);
    for (size_t i = 0; i < bot->channels.n && !rc; i++)
        rc = add(names, bot->channels.items[i], false);
    if (!rc) /* also without a route: `status` tells whether they exist */
        rc = add_people(names, config, &bot->policy.allowed_users);
    for (size_t i = 0; i < bot->n_routes && !rc; i++) {
        const struct gw_policy *p = &bot->routes[i].policy;

        rc = add_people(names, config, &p->allowed_users);
        if (!rc)
            rc = add_people(names, config, &p->denied_users);
    }
    if (rc)
        gw_names_deinit(names);
    return rc;
}

void gw_names_deinit(struct gw_names *names)
{
    for (size_t i = 0; names->items && i < names->n; i++) {
        free(names->items[i].given);
        free(names->items[i].id);
        free(names->items[i].problem);
    }
    free(names->items);
    free(names->team);
    *names = (struct gw_names){0};
}

bool gw_names_settled(const struct gw_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->items[i].state == GW_NAME_UNKNOWN && !names->items[i].id)
            return false;
    }
    return true;
}

bool gw_names_good(const struct gw_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        if (names->items[i].state != GW_NAME_OK)
            return false;
    }
    return true;
}

static void next(struct gw_names *names)
{
    names->at++;
    ask(names);
}

static void finish(struct gw_names *names)
{
    names->busy = false;
    names->done(names->userdata);
}

/* A clear "no" is kept as the name's state; trouble on the way ends the pass. */
static void refused(struct gw_names *names, const struct mm_result *res, enum gw_name_state state)
{
    struct gw_name *n = &names->items[names->at];
    bool clear =
        res->outcome == MM_NOT_FOUND || res->outcome == MM_FORBIDDEN || res->outcome == MM_REFUSED;

    if (res->outcome == MM_CANCELED) {
        names->busy = false; /* the client goes away: nobody waits for done */
        return;
    }
    (void)!mw_str_set(&n->problem, mw_error_text(&res->err));
    if (clear) {
        n->state = state;
        next(names);
    } else {
        finish(names);
    }
}

static void on_member(struct mm_result *res, void *userdata)
{
    struct gw_names *names = userdata;
    struct gw_name *n = &names->items[names->at];

    if (res->outcome != MM_OK) {
        if (res->outcome == MM_NOT_FOUND || res->outcome == MM_FORBIDDEN) {
            mw_error_reset(&res->err);
            mw_error_set(&res->err, -EACCES,
                         "the bot is not in this channel, or it does not exist; a member can add "
                         "it with /invite");
        }
        refused(names, res, GW_NAME_OUTSIDE);
        return;
    }
    n->state = GW_NAME_OK;
    (void)!mw_str_set(&n->problem, NULL);
    next(names);
}

static int ask_member(struct gw_names *names)
{
    MW_AUTOFREE char *path = mw_asprintf("/channels/%s/members/me", names->items[names->at].id);

    return path ? mm_call(names->client, "GET", path, NULL, on_member, names) : -ENOMEM;
}

static void on_resolved(struct mm_result *res, void *userdata)
{
    struct gw_names *names = userdata;
    struct gw_name *n = &names->items[names->at];
    const char *id = mw_json_str(res->body, n->is_user ? "user_id" : "channel_id");

    if (res->outcome != MM_OK) {
        refused(names, res, GW_NAME_MISSING);
        return;
    }
    if (!id || mw_str_set(&n->id, id)) {
        finish(names);
        return;
    }
    if (n->is_user) {
        n->state = GW_NAME_OK;
        (void)!mw_str_set(&n->problem, NULL);
        next(names);
    } else if (ask_member(names)) {
        finish(names);
    }
}

static void ask(struct gw_names *names)
{
    const struct gw_name *n;
    int rc;

    while (names->at < names->n && names->items[names->at].state == GW_NAME_OK)
        names->at++;
    if (names->at == names->n) {
        finish(names);
        return;
    }
    n = &names->items[names->at];
    if (n->is_user)
        rc = mm_resolve_user(names->client, n->given, on_resolved, names);
    else if (n->id)
        rc = ask_member(names);
    else
        rc = mm_resolve_channel(names->client, n->given, names->team, on_resolved, names);
    if (rc)
        finish(names);
}

void gw_names_resolve(struct gw_names *names, struct mm_client *client,
                      void (*done)(void *userdata), void *userdata)
{
    if (names->busy)
        return;
    names->busy = true;
    names->client = client;
    names->done = done;
    names->userdata = userdata;
    names->at = 0;
    ask(names);
}
