/*
 * Which events make a handler run, and where the answer belongs. No I/O: what has to be asked of
 * the server comes back as a question (access.h).
 */
#ifndef MW_GATEWAY_ROUTE_H
#define MW_GATEWAY_ROUTE_H

#include "gateway/access.h"
#include "gateway/when.h"

enum gw_verdict {
    GW_RUN,
    GW_SKIP_KIND,
    GW_SKIP_OWN,
    GW_SKIP_SYSTEM,
    GW_SKIP_WEBHOOK,
    GW_SKIP_BOT,
    GW_SKIP_NO_HANDLER,
    GW_SKIP_NO_ROUTE,
    GW_SKIP_NOT_ADDRESSED,
    GW_SKIP_NOT_ALLOWED,
    GW_SKIP_ROUTE_FAILED, /* the expression of a route broke off */
    GW_SKIP_TOO_FAST,     /* over the rate limit of a person, or the turns of another bot */
    GW_SKIP_CONSUMED,     /* a decision about a permission, or a stop by reaction */
    GW_VERDICTS,
    GW_UNDECIDED = GW_VERDICTS, /* a question has to be answered first */
};

/* A short name for counters and logs ("not_allowed"); never NULL. */
const char *gw_verdict_name(enum gw_verdict v);

/* A route of a bot at run time. */
struct gw_route {
    const struct gw_route_config *config;
    struct gw_when *when;
    unsigned kinds; /* bit set of 1u << kind */
    struct gw_access allowed, denied;
    unsigned running;
    bool told_failure; /* of its expression, in the log: once is enough */
};

struct gw_routes {
    struct gw_route *items;
    size_t n;
};

/* Ids of people come from `names`, as far as they are known; expressions that do not compile were
 * refused with the config. `config` must live on; see gw_routes_move. Returns 0 or -ENOMEM. */
int gw_routes_init(struct gw_routes *r, const struct gw_config *config,
                   const struct gw_bot_config *bot, const struct gw_names *names);
void gw_routes_deinit(struct gw_routes *r);
/* The same bot in a newer config, where nothing of it changed. */
void gw_routes_move(struct gw_routes *r, const struct gw_config *config,
                    const struct gw_bot_config *bot);

/* What is known besides the event. */
struct gw_facts {
    const struct gw_members *members;
    const char *said; /* see gw_said; NULL = as in the event */
    bool followed;    /* the event is in a thread that the bot follows */
    bool reply_to_me; /* the thread was begun by the bot */
    bool paired;      /* the person was let in by a code */
};

struct gw_decision {
    enum gw_verdict verdict;
    struct gw_route *route;      /* that fits; NULL = none */
    struct gw_question question; /* for GW_UNDECIDED */
    struct mw_error err;         /* for GW_SKIP_ROUTE_FAILED */
};

void gw_decide(const struct gw_routes *r, const struct gw_facts *facts, const struct mw_event *ev,
               struct gw_decision *ret);

/* The route of an event that was decided before, by kind and expression alone, and of a schedule's
 * event by its name; NULL = none now. */
struct gw_route *gw_route_of(const struct gw_routes *r, const struct gw_facts *facts,
                             const struct mw_event *ev);
/* May the person of the event trigger this route? */
enum gw_has gw_may(const struct gw_route *r, const struct gw_facts *facts,
                   const struct mw_event *ev, struct gw_question *ret);

/* Was this said to the bot: directly, by a mention, or in a thread that it follows? */
bool gw_addressed(const struct gw_facts *facts, const struct mw_event *ev);

/* The root of the thread that the answer goes to; "" = the channel itself. */
const char *gw_answer_root(const struct gw_policy *p, const struct mw_event *ev);

/* Events with the same key are handled in order. Allocated; NULL when memory ran out. */
char *gw_conversation_key(const struct gw_policy *p, const struct mw_event *ev);

/* What was said without the mention of the bot, and the space and punctuation around it, at the
 * beginning. Points into ev->text. */
const char *gw_said(const struct mw_event *ev, const char *bot_user_name);

#endif
