/*
 * How often something may happen in a span of time, by key: messages of a person, turns with
 * another bot. Pure; in memory only: a restart forgets. One thread.
 */
#ifndef MW_GATEWAY_RATES_H
#define MW_GATEWAY_RATES_H

#include "base/map.h"

struct gw_limits {
    struct mw_map windows; /* key -> struct window */
};

enum gw_limit {
    GW_LIMIT_FREE,
    GW_LIMIT_FIRST, /* over it, for the first time in this span: worth telling */
    GW_LIMIT_OVER,
};

void gw_limits_init(struct gw_limits *l);
void gw_limits_deinit(struct gw_limits *l);

/* Counts one at the time `now_ms` (of what happened; need not be the clock's, may go back). A span
 * begins with the first that is counted in it. What is over the limit is not counted. Without
 * memory: free. */
enum gw_limit gw_limits_take(struct gw_limits *l, const char *key, unsigned max, int64_t span_ms,
                             int64_t now_ms);

#endif
