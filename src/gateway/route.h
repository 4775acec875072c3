/*
 * Which events make a handler run, and where the answer belongs. Pure functions: no I/O, no state.
 */
#ifndef MW_GATEWAY_ROUTE_H
#define MW_GATEWAY_ROUTE_H

#include "base/map.h"
#include "store/event.h"

enum gw_verdict {
    GW_RUN,
    GW_SKIP_KIND,
    GW_SKIP_OWN,
    GW_SKIP_SYSTEM,
    GW_SKIP_WEBHOOK,
    GW_SKIP_BOT,
    GW_SKIP_NO_HANDLER,
    GW_SKIP_NOT_ADDRESSED,
    GW_SKIP_NOT_ALLOWED,
    GW_VERDICTS,
};

/* A short name for counters and logs ("not_allowed"); never NULL. */
const char *gw_verdict_name(enum gw_verdict v);

/* What the decision needs of a bot. */
struct gw_route {
    const char *handler; /* NULL = none; belongs to the config */
    bool mention_only;
    bool thread_replies;
    bool everyone;         /* allowed_users holds "*" */
    struct mw_map allowed; /* ids of the users who may trigger a handler; values are not used */
};

enum gw_verdict gw_decide(const struct gw_route *r, const struct mw_event *ev);

/* The root of the thread that the answer goes to; "" = the channel itself. */
const char *gw_answer_root(const struct gw_route *r, const struct mw_event *ev);

/* Events with the same key are handled in order. Allocated; NULL when memory ran out. */
char *gw_conversation_key(const struct gw_route *r, const struct mw_event *ev);

#endif
