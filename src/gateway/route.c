#include "gateway/route.h"

#include <ctype.h>

#include "base/str.h"

static const char *const verdict_names[] = {
    [GW_RUN] = "run",
    [GW_SKIP_KIND] = "not_a_post",
    [GW_SKIP_OWN] = "own",
    [GW_SKIP_SYSTEM] = "system",
    [GW_SKIP_WEBHOOK] = "webhook",
    [GW_SKIP_BOT] = "bot",
    [GW_SKIP_NO_HANDLER] = "no_handler",
    [GW_SKIP_NO_ROUTE] = "no_route",
    [GW_SKIP_NOT_ADDRESSED] = "not_addressed",
    [GW_SKIP_NOT_ALLOWED] = "not_allowed",
    [GW_SKIP_ROUTE_FAILED] = "route_failed",
    [GW_SKIP_TOO_FAST] = "too_fast",
    [GW_SKIP_CONSUMED] = "consumed",
};

const char *gw_verdict_name(enum gw_verdict v)
{
    return (unsigned)v < MW_ARRAY_LEN(verdict_names) ? verdict_names[v] : "unknown";
}

/* ---- Routes at run time ---- */

static int init_route(struct gw_route *r, const struct gw_config *config,
                      const struct gw_route_config *c, const struct gw_names *names)
{
    enum mw_event_kind kind;

    r->config = c;
    for (size_t i = 0; i < c->kinds.n; i++) {
        if (!mw_event_kind_parse(c->kinds.items[i], &kind))
            r->kinds |= 1u << kind;
    }
    if (!c->kinds.n)
        r->kinds = 1u << MW_EVENT_POST;
    if (c->schedule)
        r->kinds = 0;
    if (gw_access_init(&r->allowed, config, &c->policy.allowed_users, names) ||
        gw_access_init(&r->denied, config, &c->policy.denied_users, names))
        return -ENOMEM;
    return gw_when_compile(c->when, &r->when, NULL);
}

int gw_routes_init(struct gw_routes *r, const struct gw_config *config,
                   const struct gw_bot_config *bot, const struct gw_names *names)
{
    *r = (struct gw_routes){.items = calloc(bot->n_routes + 1, sizeof(*r->items))};
    if (!r->items)
        return -ENOMEM;
    for (; r->n < bot->n_routes; r->n++) {
        if (init_route(&r->items[r->n], config, &bot->routes[r->n], names)) {
            r->n++;
            gw_routes_deinit(r);
            return -ENOMEM;
        }
    }
    return 0;
}

void gw_routes_deinit(struct gw_routes *r)
{
    for (size_t i = 0; i < r->n; i++) {
        gw_when_free(r->items[i].when);
        gw_access_deinit(&r->items[i].allowed);
        gw_access_deinit(&r->items[i].denied);
    }
    free(r->items);
    *r = (struct gw_routes){0};
}

void gw_routes_move(struct gw_routes *r, const struct gw_config *config,
                    const struct gw_bot_config *bot)
{
    for (size_t i = 0; i < r->n; i++) {
        struct gw_route *route = &r->items[i];

        route->config = &bot->routes[i];
        route->allowed.words = &bot->routes[i].policy.allowed_users;
        route->denied.words = &bot->routes[i].policy.denied_users;
        route->allowed.config = route->denied.config = config;
    }
}

/* ---- The decision ---- */

bool gw_addressed(const struct gw_facts *facts, const struct mw_event *ev)
{
    return ev->flags & (MW_EVENT_DIRECT | MW_EVENT_MENTION) || facts->followed;
}

/* What never triggers a handler, whoever is allowed. */
static const struct {
    unsigned flag;
    enum gw_verdict verdict;
} never[] = {
    {MW_EVENT_OWN, GW_SKIP_OWN},
    {MW_EVENT_SYSTEM, GW_SKIP_SYSTEM},
};

/* Other bots, and what says that it comes from a webhook. */
static enum gw_verdict judge_bot(const struct gw_policy *p, const struct mw_event *ev)
{
    if (!(ev->flags & (MW_EVENT_FROM_BOT | MW_EVENT_FROM_WEBHOOK)) ||
        p->allow_bots == GW_BOTS_ALL ||
        (p->allow_bots == GW_BOTS_MENTIONS && ev->flags & (MW_EVENT_DIRECT | MW_EVENT_MENTION)))
        return GW_RUN;
    return ev->flags & MW_EVENT_FROM_WEBHOOK ? GW_SKIP_WEBHOOK : GW_SKIP_BOT;
}

enum gw_has gw_may(const struct gw_route *r, const struct gw_facts *facts,
                   const struct mw_event *ev, struct gw_question *ret)
{
    enum gw_has has = gw_access_has(&r->denied, facts->members, ev, ret);

    if (has != GW_NO)
        return has == GW_ASK ? GW_ASK : GW_NO;
    /* A code lets somebody in where the bot's own list counts, not past a route's. */
    if (facts->paired && !r->config->policy.allowed_own)
        return GW_YES;
    has = gw_access_has(&r->allowed, facts->members, ev, ret);
    return has == GW_UNKNOWN ? GW_NO : has;
}

static enum gw_verdict judge_person(const struct gw_route *r, const struct gw_facts *facts,
                                    const struct mw_event *ev, struct gw_question *q)
{
    static const enum gw_verdict verdicts[] = {
        [GW_NO] = GW_SKIP_NOT_ALLOWED, [GW_YES] = GW_RUN, [GW_ASK] = GW_UNDECIDED};

    return verdicts[gw_may(r, facts, ev, q)];
}

static enum gw_verdict judge_route(const struct gw_route *r, const struct gw_facts *facts,
                                   const struct mw_event *ev, struct gw_question *q)
{
    const struct gw_policy *p = &r->config->policy;
    enum gw_verdict v = judge_bot(p, ev);

    if (v != GW_RUN)
        return v;
    if (ev->kind == MW_EVENT_POST && p->mention_only && !gw_addressed(facts, ev))
        return GW_SKIP_NOT_ADDRESSED;
    return judge_person(r, facts, ev, q);
}

static struct gw_when_input when_input(const struct gw_facts *facts, const struct mw_event *ev)
{
    return (struct gw_when_input){
        .ev = ev,
        .text = facts->said,
        .thread = facts->followed,
        .reply_to_me = facts->reply_to_me,
    };
}

void gw_decide(const struct gw_routes *r, const struct gw_facts *facts, const struct mw_event *ev,
               struct gw_decision *ret)
{
    const struct gw_when_input in = when_input(facts, ev);
    bool kind = false;

    *ret = (struct gw_decision){.verdict = GW_SKIP_NO_HANDLER, .err = MW_ERROR_INIT};
    for (size_t i = 0; i < MW_ARRAY_LEN(never); i++) {
        if (ev->flags & never[i].flag) {
            ret->verdict = never[i].verdict;
            return;
        }
    }
    for (size_t i = 0; i < r->n; i++) {
        struct gw_route *route = &r->items[i];
        bool fits = false;

        if (!(route->kinds & 1u << ev->kind))
            continue;
        kind = true;
        if (gw_when_eval(route->when, &in, &fits, &ret->err)) {
            ret->verdict = GW_SKIP_ROUTE_FAILED;
            ret->route = route;
            return;
        }
        if (!fits)
            continue;
        ret->route = route;
        ret->verdict = judge_route(route, facts, ev, &ret->question);
        return;
    }
    if (kind)
        ret->verdict = GW_SKIP_NO_ROUTE;
    else if (ev->kind != MW_EVENT_POST)
        ret->verdict = GW_SKIP_KIND;
}

/* "ROUTE/TIME" of a schedule. */
static struct gw_route *route_by_name(const struct gw_routes *r, const char *object)
{
    size_t len = strcspn(object, "/");

    for (size_t i = 0; i < r->n; i++) {
        const struct gw_route_config *c = r->items[i].config;

        if (c->schedule && strlen(c->name) == len && !memcmp(c->name, object, len))
            return &r->items[i];
    }
    return NULL;
}

struct gw_route *gw_route_of(const struct gw_routes *r, const struct gw_facts *facts,
                             const struct mw_event *ev)
{
    const struct gw_when_input in = when_input(facts, ev);

    if (ev->kind == MW_EVENT_SCHEDULE)
        return route_by_name(r, ev->object);
    for (size_t i = 0; i < r->n; i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        bool fits = false;

        if (r->items[i].kinds & 1u << ev->kind &&
            !gw_when_eval(r->items[i].when, &in, &fits, &err) && fits)
            return &r->items[i];
    }
    return NULL;
}

/* ---- Places ---- */

const char *gw_answer_root(const struct gw_policy *p, const struct mw_event *ev)
{
    if (p->thread_replies == GW_THREAD_CHANNEL)
        return "";
    if (ev->root_id[0])
        return ev->root_id;
    return p->thread_replies == GW_THREAD ? ev->post_id : "";
}

char *gw_conversation_key(const struct gw_policy *p, const struct mw_event *ev)
{
    const char *root = ev->root_id[0] ? ev->root_id : gw_answer_root(p, ev);

    /* Two messages of one person in a direct channel are one conversation, even when each is
     * answered in a thread of its own. */
    if (ev->kind == MW_EVENT_SCHEDULE)
        return mw_asprintf("schedule/%.*s", (int)strcspn(ev->object, "/"), ev->object);
    if (!root[0] || (!ev->root_id[0] && (ev->flags & MW_EVENT_DIRECT)))
        return strdup(ev->channel_id);
    return mw_asprintf("%s/%s", ev->channel_id, root);
}

const char *gw_said(const struct mw_event *ev, const char *bot_user_name)
{
    const char *s = ev->text + strspn(ev->text, " \t\r\n");
    size_t n = strlen(bot_user_name);

    if (!n || *s != '@' || strncasecmp(s + 1, bot_user_name, n) != 0)
        return ev->text;
    s += 1 + n;
    /* "@bot.other" and "@bot-two" are other people. */
    if (isalnum((unsigned char)*s) || *s == '_' || *s == '-' ||
        (*s == '.' && isalnum((unsigned char)s[1])))
        return ev->text;
    return s + strspn(s, " \t\r\n,:;.!");
}
