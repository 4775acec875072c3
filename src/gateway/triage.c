/*
 * What to do with one event of the journal: a task for a handler, a word to the person, a decision
 * that somebody waits for, or nothing. What it leads to is in the transaction of the batch,
 * together with the cursor.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/dispatch_internal.h"
#include "gateway/effect.h"
#include "gateway/pair.h"

#define DAY_MS    ((int64_t)24 * 3600 * 1000)
#define FOLLOW_MS (7 * DAY_MS)
#define LATE_MS   (30 * DAY_MS) /* what was said while it was followed may be seen later */
#define MINUTE_MS 60000

#define TOO_FAST_TEXT                                                                              \
    "You write faster than I can answer. What you said just now I leave out; "                     \
    "please go on in a minute."
#define REFUSED_TEXT "I may not answer you. Whoever operates me can allow it."

/* ---- Threads that the bot follows ---- */

static char *follow_scope(const struct gw_bot *bot)
{
    return mw_asprintf("follow:%s", bot->name);
}

static int find_followed(struct gw_bot *bot, const struct mw_event *ev, bool *ret)
{
    MW_AUTOFREE char *scope = NULL, *until = NULL;
    int rc;

    if (!bot->follows || !ev->root_id[0])
        return 0;
    scope = follow_scope(bot);
    rc = scope ? gw_state_get(bot->gw, scope, ev->root_id, &until) : -ENOMEM;
    *ret = rc == 0 && strtoll(until, NULL, 10) > ev->at;
    return MW_MIN(rc, 0);
}

static int follow(struct gw_bot *bot, const struct gw_policy *p, const struct mw_event *ev)
{
    MW_AUTOFREE char *scope = NULL, *until = NULL;
    int64_t end = ev->at + FOLLOW_MS;
    const char *root = ev->root_id[0] ? ev->root_id : gw_answer_root(p, ev);

    if (!p->follow_threads || !root[0] || ev->flags & MW_EVENT_DIRECT)
        return 0;
    scope = follow_scope(bot);
    until = mw_asprintf("%lld", (long long)end);
    return scope && until ? gw_state_set_until(bot->gw, scope, root, until, end + LATE_MS)
                          : -ENOMEM;
}

/* ---- Words to the person ---- */

/* In the place where it was said, in the same transaction. */
static int say(struct gw_dispatch *d, struct gw_triage *t, const struct mw_event *ev,
               const char *what, const char *text)
{
    MW_AUTOFREE char *key = mw_asprintf("%s.%s", ev->object, what);
    const struct gw_post post = {
        .bot = d->bot->name,
        .key = key,
        .channel_id = ev->channel_id,
        .root_id = ev->root_id[0] || ev->flags & MW_EVENT_DIRECT ? ev->root_id : ev->post_id,
        .conversation = ev->channel_id,
        .text = text,
        .event_id = ev->id,
        .max_chars = 4000,
    };

    if (!key || gw_post_add(t->tx, &post, NULL))
        return -ENOMEM;
    t->rows++;
    return 0;
}

static void on_told(struct gw_reply *reply, void *userdata)
{
    if (reply->code != GW_OK)
        mw_log_debug("a person could not be told of a refusal",
                     MW_F_STR("reason", mw_error_text(&reply->err)));
}

/* In private. The key makes it once, however often the event is looked at. */
static int tell_privately(struct gw_dispatch *d, const struct mw_event *ev, const char *text)
{
    MW_AUTOFREE char *key = mw_asprintf("%s.refused", ev->object);
    const char *users[] = {ev->user_id, NULL};
    const struct gw_send req = {.users = users, .text = text, .key = key};

    if (!key)
        return -ENOMEM;
    gw_send(d->bot->gw, d->bot, &req, on_told, NULL);
    return 0;
}

static int refuse(struct gw_dispatch *d, struct gw_triage *t, const struct mw_event *ev,
                  const struct gw_policy *p)
{
    struct gw_bot *bot = d->bot;
    MW_AUTOFREE char *text = NULL;
    int rc;

    if (ev->kind != MW_EVENT_POST || ev->flags & (MW_EVENT_FROM_BOT | MW_EVENT_FROM_WEBHOOK))
        return 0;
    if (ev->flags & MW_EVENT_DIRECT && bot->config->pairing) {
        rc = gw_pair_request(bot->gw, bot->name, ev->user_id, ev->user_name, &text);
        return rc < 0 ? rc : text ? say(d, t, ev, "pair", text) : 0;
    }
    if (p->refuse != GW_REFUSE_TELL)
        return 0;
    /* Once in ten minutes is enough. */
    if (gw_limits_take(&bot->refusals, ev->user_id, 1, 10 * (int64_t)MINUTE_MS, ev->at) !=
        GW_LIMIT_FREE)
        return 0;
    return ev->flags & MW_EVENT_DIRECT ? say(d, t, ev, "refused", REFUSED_TEXT)
                                       : tell_privately(d, ev, REFUSED_TEXT);
}

/* ---- Limits ---- */

static int limit(struct gw_dispatch *d, struct gw_triage *t, const struct mw_event *ev,
                 const struct gw_policy *p, enum gw_verdict *v)
{
    struct gw_bot *bot = d->bot;
    enum gw_limit l = GW_LIMIT_FREE;
    bool robot = ev->flags & (MW_EVENT_FROM_BOT | MW_EVENT_FROM_WEBHOOK);

    if (robot)
        l = gw_limits_take(&bot->robots, ev->user_id, p->bot_turns, p->bot_cooldown_ms, ev->at);
    else if (p->rate_limit)
        l = gw_limits_take(&bot->people, ev->user_id, p->rate_limit, MINUTE_MS, ev->at);
    if (l == GW_LIMIT_FREE)
        return 0;
    *v = GW_SKIP_TOO_FAST;
    if (l == GW_LIMIT_FIRST && robot)
        mw_log_info("another bot is not answered any more for a while", MW_F_STR("bot", bot->name),
                    MW_F_STR("other", ev->user_name));
    /* A word to a bot would be one more turn. */
    return l == GW_LIMIT_FIRST && !robot && ev->kind == MW_EVENT_POST
               ? say(d, t, ev, "fast", TOO_FAST_TEXT)
               : 0;
}

/* ---- Tasks ---- */

static int add_task(struct gw_dispatch *d, struct gw_triage *t, const struct mw_event *ev,
                    const struct gw_route *r, const char *handler)
{
    MW_AUTOFREE char *key = gw_conversation_key(&r->config->policy, ev);
    const struct mw_task task = {
        .event_id = ev->id,
        .bot = d->bot->name,
        .handler = handler,
        .conversation = key,
        .state = MW_TASK_PENDING,
        .error = "",
    };

    if (!key || mw_tx_task_add(t->tx, &task))
        return -ENOMEM;
    t->rows++;
    return 0;
}

/* Steers a turn that is under way: a decision about a permission, a stop by reaction. Returns 1
 * undecided, 0; *ret_done = it was that. */
static int steer(struct gw_dispatch *d, struct gw_triage *t, const struct gw_facts *facts,
                 const struct mw_event *ev, bool *ret_done)
{
    struct gw_turn_run *turn = NULL;
    struct gw_ask_choice choice = {0};
    struct gw_facts about;
    const struct gw_route *r;
    int asked, found;

    /* It did so already, and was not stored. */
    *ret_done = ev->id == d->steered;
    if (*ret_done)
        return 0;
    asked = gw_ask_find(d, ev, facts->said, &turn, &choice);
    found = asked ? asked : gw_control_reaction(d, ev, &turn);
    if (found <= 0)
        return found;
    if (gw_facts_of(d->bot, turn->ev, &about))
        return -ENOMEM;
    r = gw_route_of(&d->bot->routes, &about, turn->ev);
    switch (r ? gw_may(r, facts, ev, &t->question) : GW_NO) {
    case GW_ASK:
        return 1;
    case GW_NO:
    case GW_UNKNOWN:
        return 0;
    case GW_YES:
        break;
    }
    if (!asked && gw_turn_add_stop(turn, t->tx))
        return -ENOMEM;
    *ret_done = true;
    d->steered = ev->id;
    if (asked)
        gw_ask_decide(turn, &choice, ev->user_name);
    else
        gw_turn_cancel(turn, GW_WHY_STOPPED);
    return 0;
}

static int act(struct gw_dispatch *d, struct gw_triage *t, const struct gw_facts *facts,
               const struct mw_event *ev, struct gw_decision *decision)
{
    struct gw_bot *bot = d->bot;
    const struct gw_route *r = decision->route;
    int rc = 0;

    if (decision->verdict == GW_SKIP_NOT_ALLOWED)
        return refuse(d, t, ev, &r->config->policy);
    if (decision->verdict != GW_RUN)
        return 0;
    if (ev->kind == MW_EVENT_POST && gw_addressed(facts, ev) &&
        gw_control_word(bot->config, facts->said) != GW_CONTROL_NONE)
        return add_task(d, t, ev, r, GW_CONTROL_HANDLER);
    rc = limit(d, t, ev, &r->config->policy, &decision->verdict);
    if (rc || decision->verdict != GW_RUN)
        return rc;
    if (ev->kind == MW_EVENT_POST && gw_addressed(facts, ev))
        rc = follow(bot, &r->config->policy, ev);
    return rc ? rc : add_task(d, t, ev, r, r->config->handler);
}

/* The time of a schedule has come; nobody said anything, so there is nobody to be allowed. */
static int act_by_time(struct gw_dispatch *d, struct gw_triage *t, const struct mw_event *ev)
{
    struct gw_bot *bot = d->bot;
    const struct gw_facts facts = {.members = &bot->members};
    const struct gw_route *r = gw_route_of(&bot->routes, &facts, ev);
    MW_AUTOFREE char *key = mw_asprintf("schedule.%s", ev->object);
    const struct gw_post post = {
        .bot = bot->name,
        .key = key,
        .channel_id = ev->channel_id,
        .root_id = "",
        .conversation = ev->channel_id,
        .text = ev->text,
        .event_id = ev->id,
        .max_chars = 4000,
    };

    if (!key)
        return -ENOMEM;
    bot->verdicts[r ? GW_RUN : GW_SKIP_NO_ROUTE]++;
    if (!r) {
        mw_log_warning("a time of a schedule is left out: it is no longer in the config",
                       MW_F_STR("bot", bot->name), MW_F_STR("object", ev->object));
        return 0;
    }
    if (r->config->handler)
        return add_task(d, t, ev, r, r->config->handler);
    *strchr(key, '/') = '.';
    if (gw_post_add(t->tx, &post, NULL))
        return -ENOMEM;
    t->rows++;
    return 0;
}

static bool is_own(const struct mw_event *ev, void *userdata)
{
    *(bool *)userdata = ev->flags & MW_EVENT_OWN;
    return false;
}

/* Was the thread of the event begun by the bot? */
static int find_replies_to_bot(struct gw_bot *bot, const struct mw_event *ev, bool *ret)
{
    const struct mw_event_filter f = {
        .bot = bot->name, .post_id = ev->root_id, .kinds = 1u << MW_EVENT_POST, .limit = 1};

    return ev->root_id[0] ? MW_MIN(mw_store_events(bot->gw->store, &f, is_own, ret, NULL), 0) : 0;
}

struct echo {
    const char *user_id, *key;
    int ours; /* 1, 0 or -ENOMEM */
};

static bool is_echo(const struct mw_event *ev, void *userdata)
{
    struct echo *e = userdata;
    MW_AUTOJSON *post = NULL;
    int rc = mw_json_parse(ev->raw, strlen(ev->raw), &post, NULL);

    e->ours = rc == -ENOMEM ? rc : !rc && gw_effect_is_post(post, e->user_id, e->key);
    return false;
}

int gw_wrote(struct gw_bot *bot, const char *post_id, const char *key)
{
    const struct mw_event_filter f = {
        .bot = bot->name, .post_id = post_id, .kinds = 1u << MW_EVENT_POST, .limit = 1};
    struct echo e = {.user_id = bot->client ? mm_client_user_id(bot->client) : "", .key = key};

    return mw_store_events(bot->gw->store, &f, is_echo, &e, NULL) < 0 ? -ENOMEM : e.ours;
}

int gw_facts_of(struct gw_bot *bot, const struct mw_event *ev, struct gw_facts *ret)
{
    int paired =
        bot->config && bot->config->pairing ? gw_paired(bot->gw, bot->name, ev->user_id) : 0;

    *ret = (struct gw_facts){
        .members = &bot->members,
        .said = ev->kind == MW_EVENT_POST
                    ? gw_said(ev, bot->client ? mm_client_user_name(bot->client) : "")
                    : ev->text,
        .paired = paired > 0,
    };
    /* A guess could leave out what is for us. */
    return paired < 0 || find_followed(bot, ev, &ret->followed) ||
                   find_replies_to_bot(bot, ev, &ret->reply_to_me)
               ? -ENOMEM
               : 0;
}

int gw_triage(struct gw_dispatch *d, const struct mw_event *ev, struct gw_triage *t)
{
    struct gw_bot *bot = d->bot;
    struct gw_decision decision = {.verdict = GW_SKIP_CONSUMED, .err = MW_ERROR_INIT};
    struct gw_facts facts;
    bool done = false;
    int rc;

    if (ev->kind == MW_EVENT_SCHEDULE)
        return act_by_time(d, t, ev);
    rc = gw_facts_of(bot, ev, &facts);
    if (!rc)
        rc = steer(d, t, &facts, ev, &done);
    if (rc)
        return rc;
    if (done) {
        t->steered = true;
        t->rows++;
    } else {
        gw_decide(&bot->routes, &facts, ev, &decision);
        if (decision.verdict == GW_UNDECIDED) {
            t->question = decision.question;
            return 1;
        }
        rc = act(d, t, &facts, ev, &decision);
    }
    if (decision.verdict == GW_SKIP_ROUTE_FAILED) {
        mw_log(decision.route->told_failure ? MW_LOG_DEBUG : MW_LOG_WARNING,
               "the expression of a route broke off", MW_F_STR("bot", bot->name),
               MW_F_STR("route", decision.route->config->name), MW_F_INT("event", ev->id),
               MW_F_STR("reason", mw_error_text(&decision.err)));
        decision.route->told_failure = true;
    } else if (decision.verdict != GW_RUN)
        mw_log_debug("no handler runs", MW_F_STR("bot", bot->name), MW_F_INT("event", ev->id),
                     MW_F_STR("reason", gw_verdict_name(decision.verdict)));
    mw_error_reset(&decision.err);
    if (!rc)
        bot->verdicts[decision.verdict]++;
    return rc;
}
