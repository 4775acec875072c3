/* The schema of `routes` and `groups`: who may trigger what. */
#include "base/id.h"
#include "base/str.h"
#include "gateway/config_internal.h"
#include "gateway/cron.h"
#include "gateway/when.h"
#include "store/event.h"

/* ---- People ---- */

void gw_check_users(struct gw_binder *b, const struct gw_slot *slot, const struct gw_strings *users)
{
    for (size_t i = 0; slot->node && i < users->n; i++) {
        const char *u = users->items[i];

        if (!u[0] || strcmp(u, "*") == 0 || (u[0] == '@' && u[1]) || mw_id_valid(u) ||
            mw_streq(u, "channel-admins") || (mw_starts_with(u, "group:") && u[6]) ||
            (mw_starts_with(u, "team:") && u[5]))
            continue;
        if (strchr(u, ':'))
            gw_problem_add(b, gw_item_mark(slot, i),
                           "\"%s\" is nobody: write \"@name\", a user id, group:NAME, team:NAME, "
                           "channel-admins, or \"*\" for everyone",
                           u);
        else
            gw_problem_add(b, gw_item_mark(slot, i),
                           "\"%s\" is no user: did you mean \"@%s\"? (a user id or \"*\" for "
                           "everyone is fine too)",
                           u, u);
    }
}

static void check_group(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_group_config *g = target;

    gw_check_name(b, b->section, "group", g->name);
    for (size_t i = 0; i < g->members.n; i++) {
        const char *u = g->members.items[i];

        if (u[0] && !(u[0] == '@' && u[1]) && !mw_id_valid(u))
            gw_problem_add(b, gw_item_mark(&slots[0], i),
                           "\"%s\" cannot be in a group: write \"@name\" or a user id", u);
    }
}

static const struct gw_key group_keys[] = {
    GW_KEY(gw_group_config, members, GW_KEY_WORDS, .required = true,
           .doc = "The people: `\"@name\"` or user ids.", .example = "[\"@alice\", \"@bob\"]"),
};

const struct gw_section gw_group_section = {
    .name = "group",
    .doc = "A mapping from names, which `allowed_users` refers to as `group:NAME`, to lists of "
           "people.",
    .keys = group_keys,
    .n = MW_ARRAY_LEN(group_keys),
    .size = sizeof(struct gw_group_config),
    .check = check_group,
};

/* ---- Routes ---- */

static const struct gw_slot *route_slot(const struct gw_slot *slots, const char *name)
{
    return gw_slot_of(&gw_route_section, slots, name);
}

/* Typing is not stored; a schedule's event knows its route. */
static bool can_be_routed(enum mw_event_kind kind)
{
    return kind != MW_EVENT_TYPING && kind != MW_EVENT_SCHEDULE;
}

static void check_kinds(struct gw_binder *b, const struct gw_slot *slot,
                        const struct gw_strings *kinds)
{
    for (size_t i = 0; i < kinds->n; i++) {
        const char *word = kinds->items[i], *name;
        struct mw_nearest nearest = {.name = word};
        enum mw_event_kind kind;

        if (!word[0] || (!mw_event_kind_parse(word, &kind) && can_be_routed(kind)))
            continue;
        for (int k = 1; (name = mw_event_kind_doc(k) ? mw_event_kind_name(k) : NULL); k++)
            if (can_be_routed((enum mw_event_kind)k))
                mw_nearest_offer(&nearest, name);
        if (mw_nearest_get(&nearest))
            gw_problem_add(b, gw_item_mark(slot, i),
                           "there is no kind of event \"%s\"; did you mean \"%s\"?", word,
                           mw_nearest_get(&nearest));
        else
            gw_problem_add(b, gw_item_mark(slot, i),
                           "there is no kind of event \"%s\"; docs/events.md lists them", word);
    }
}

static void check_when(struct gw_binder *b, const struct gw_slot *slot, const char *when)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_when *w = NULL;
    int rc = gw_when_compile(when, &w, &err);

    if (rc == -ENOMEM)
        b->error = rc;
    else if (rc)
        gw_problem_add(b, slot->value, "`when`: %s", mw_error_text(&err));
    gw_when_free(w);
}

static void check_times(struct gw_binder *b, const struct gw_slot *slots,
                        const struct gw_route_config *r)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_zone *zone = NULL;
    struct gw_cron cron;
    int rc = gw_cron_parse(r->schedule, &cron, &err);

    if (rc)
        gw_problem_add(b, route_slot(slots, "schedule")->value, "`schedule`: %s",
                       mw_error_text(&err));
    mw_error_reset(&err);
    rc = gw_zone_load(r->timezone, &zone, &err);
    if (rc == -ENOMEM)
        b->error = rc;
    else if (rc)
        gw_problem_add(b, route_slot(slots, r->timezone ? "timezone" : "schedule")->value,
                       "`timezone`: %s", mw_error_text(&err));
    gw_zone_free(zone);
}

/* The keys that make sense only with a schedule, and those that do not with one. */
static void check_schedule(struct gw_binder *b, const struct gw_slot *slots,
                           const struct gw_route_config *r)
{
    static const char *const only_with[] = {"timezone", "prompt", "text", "channel", "missed"};
    static const char *const never_with[] = {"when", "kinds"};

    if (!r->schedule) {
        for (size_t i = 0; i < MW_ARRAY_LEN(only_with); i++) {
            if (route_slot(slots, only_with[i])->present)
                gw_problem_add(b, route_slot(slots, only_with[i])->key,
                               "`%s` goes with a `schedule`, which this route has not",
                               only_with[i]);
        }
        return;
    }
    check_times(b, slots, r);
    for (size_t i = 0; i < MW_ARRAY_LEN(never_with); i++) {
        if (route_slot(slots, never_with[i])->present)
            gw_problem_add(b, route_slot(slots, never_with[i])->key,
                           "a route with a `schedule` answers no events: it has no `%s`",
                           never_with[i]);
    }
    if (!r->name)
        gw_problem_add(b, b->section,
                       "a route with a `schedule` needs a `name`: what was done already is "
                       "remembered by it");
    if (!r->channel)
        gw_problem_add(b, b->section, "a route with a `schedule` needs a `channel`");
    if (!r->prompt == !r->text)
        gw_problem_add(b, b->section,
                       "a route with a `schedule` needs either a `prompt` for its handler or a "
                       "`text` to post");
    else if (r->text && r->handler)
        gw_problem_add(b, route_slot(slots, "handler")->key,
                       "a schedule that posts a `text` has no handler");
}

static void check_route(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_route_config *r = target;
    const struct gw_slot *handler = route_slot(slots, "handler");

    if (r->name)
        gw_check_name(b, route_slot(slots, "name")->value, "route", r->name);
    check_kinds(b, route_slot(slots, "kinds"), &r->kinds);
    check_schedule(b, slots, r);
    if (!r->handler && !r->text && !handler->present && !handler->misspelt)
        gw_problem_add(b, b->section, "the route has no `handler`");
    gw_check_users(b, route_slot(slots, "allowed_users"), &r->policy.allowed_users);
    gw_check_users(b, route_slot(slots, "denied_users"), &r->policy.denied_users);
    for (size_t i = 0; i < gw_route_section.n; i++) {
        if (slots[i].present)
            r->policy.given |= (uint64_t)1 << i;
    }
    r->policy.allowed_own = route_slot(slots, "allowed_users")->present;
    if (r->when)
        check_when(b, route_slot(slots, "when"), r->when);
}

static const struct gw_key route_keys[] = {
    GW_KEY(gw_route_config, name, GW_KEY_TEXT, .fallback_doc = "its place in the list",
           .doc = "For logs and `matterwire schedules`.", .example = "deploys"),
    GW_KEY(gw_route_config, when, GW_KEY_TEXT, .fallback = "true", .verbatim = true,
           .doc = "Which events: `true`, `direct`, `mentioned`, or any Lua expression over the "
                  "event; docs/routes.md lists what it can use.",
           .example = "'channel_name == \"ops\" and text:match(\"^deploy\")'"),
    GW_KEY(gw_route_config, kinds, GW_KEY_WORDS, .fallback_doc = "post",
           .doc = "Kinds of events, as in docs/events.md.",
           .example = "[reaction_added, user_added]"),
    GW_KEY(gw_route_config, handler, GW_KEY_TEXT, .doc = "Name of the handler, under `handlers`.",
           .example = "deploy"),
    GW_KEY(gw_route_config, concurrency, GW_KEY_COUNT, .fallback_doc = "the handler's", .min = 1,
           .max = 1000, .doc = "How many answers of this route may be under way at once.",
           .example = "1"),
    GW_KEY_MS(gw_route_config, timeout, .fallback_doc = "the handler's", .min = 100,
              .max = 86400000, .doc = "Time limit of one answer.", .example = "30s"),
    GW_POLICY_ROWS(gw_route_config, false),
    GW_KEY(gw_route_config, schedule, GW_KEY_TEXT,
           .doc =
               "When to act by itself, as cron writes it: minute, hour, day of the month, month, "
               "day of the week.",
           .example = "\"0 9 * * mon-fri\""),
    GW_KEY(gw_route_config, timezone, GW_KEY_TEXT, .fallback_doc = "the machine's",
           .doc = "The zone that the schedule's times are in.", .example = "Europe/Berlin"),
    GW_KEY(gw_route_config, prompt, GW_KEY_TEXT,
           .doc = "What the handler is asked when the time has come; its answer is posted.",
           .example = "Summarise what happened in this channel since yesterday."),
    GW_KEY(gw_route_config, text, GW_KEY_TEXT, .doc = "What is posted as it stands, instead.",
           .example = "Stand-up in five minutes."),
    GW_KEY(gw_route_config, channel, GW_KEY_TEXT, .doc = "Where it is posted.",
           .example = "ops/town-square"),
    GW_KEY(gw_route_config, missed, GW_KEY_CHOICE, .fallback = "skip", .choices = "skip once",
           .doc = "What becomes of times that passed while the daemon was not running: nothing, or "
                  "the last of them is made up for.",
           .example = "once"),
};

const struct gw_section gw_route_section = {
    .name = "route",
    .doc =
        "A list, in order: the first route that fits an event decides. What a route does not say "
        "it has from its bot.",
    .keys = route_keys,
    .n = MW_ARRAY_LEN(route_keys),
    .size = sizeof(struct gw_route_config),
    .check = check_route,
};

/* ---- What routes have from their bot ---- */

static int copy_strings(struct gw_strings *to, const struct gw_strings *from)
{
    to->items = calloc(from->n + 1, sizeof(*to->items));
    if (!to->items)
        return -ENOMEM;
    for (; to->n < from->n; to->n++) {
        to->items[to->n] = strdup(from->items[to->n]);
        if (!to->items[to->n])
            return -ENOMEM;
    }
    return 0;
}

static int inherit_key(const struct gw_key *key, void *to, const void *from)
{
    switch (key->type) {
    case GW_KEY_WORDS:
        return copy_strings(to, from);
    case GW_KEY_BOOL:
        memcpy(to, from, sizeof(bool));
        return 0;
    case GW_KEY_CHOICE:
    case GW_KEY_COUNT:
        memcpy(to, from, sizeof(int));
        return 0;
    case GW_KEY_DURATION:
        memcpy(to, from, sizeof(int64_t));
        return 0;
    default:
        return -EINVAL; /* no such row in a policy */
    }
}

/* `given` has the bits of the route's table, whose rows have the offsets of a route. */
static int inherit(struct gw_route_config *r, const struct gw_policy *from)
{
    size_t base = offsetof(struct gw_route_config, policy);

    for (size_t i = 0; i < gw_route_section.n; i++) {
        const struct gw_key *key = &gw_route_section.keys[i];
        int rc;

        if (key->offset < base || key->offset >= base + sizeof(struct gw_policy) ||
            r->policy.given & (uint64_t)1 << i)
            continue;
        rc = inherit_key(key, (char *)r + key->offset, (const char *)from + (key->offset - base));
        if (rc)
            return rc;
    }
    return 0;
}

/* true and false are older words for the same. */
static void normalise(struct gw_policy *p)
{
    enum { TRUE_WORD = GW_THREAD_CHANNEL + 1, FALSE_WORD };

    if (p->thread_replies == TRUE_WORD)
        p->thread_replies = GW_THREAD;
    else if (p->thread_replies == FALSE_WORD)
        p->thread_replies = GW_THREAD_SAME;
}

static int add_last_route(struct gw_bot_config *bot)
{
    struct gw_route_config *routes = reallocarray(bot->routes, bot->n_routes + 1, sizeof(*routes));
    struct gw_route_config *r;

    if (!routes)
        return -ENOMEM;
    bot->routes = routes;
    r = &routes[bot->n_routes++];
    *r = (struct gw_route_config){.handler = strdup(bot->handler)};
    r->when = strdup("true");
    r->name = strdup("handler");
    return r->handler && r->when && r->name ? 0 : -ENOMEM;
}

void gw_routes_complete(struct gw_binder *b, const struct gw_slot *routes,
                        struct gw_bot_config *bot)
{
    normalise(&bot->policy);
    for (size_t i = 0; i < bot->n_routes; i++) {
        for (size_t j = 0; bot->routes[i].name && j < i; j++) {
            if (mw_streq(bot->routes[j].name, bot->routes[i].name))
                gw_problem_add(b, gw_item_mark(routes, i), "two routes are called \"%s\"",
                               bot->routes[i].name);
        }
    }
    if (bot->handler && add_last_route(bot))
        b->error = -ENOMEM;
    for (size_t i = 0; i < bot->n_routes && !b->error; i++) {
        struct gw_route_config *r = &bot->routes[i];

        if (!r->name && !(r->name = mw_asprintf("%zu", i + 1)))
            b->error = -ENOMEM;
        else if (inherit(r, &bot->policy))
            b->error = -ENOMEM;
        normalise(&r->policy);
    }
}
