/*
 * Work as a person sees it: events on their way through a handler, rows of the outbox; what waits,
 * what was given up, and what he does about it by hand.
 *
 * All calls on the loop's thread; strings are copied. The members of results are listed in
 * docs/rpc.md.
 */
#ifndef MW_GATEWAY_WORK_H
#define MW_GATEWAY_WORK_H

#include "gateway/gateway.h"

enum gw_work {
    GW_WORK_EVENTS, /* named by the event's id */
    GW_WORK_OUTBOX, /* named by key or number */
};

enum gw_work_which {
    GW_WORK_WAITING,
    GW_WORK_FAILED, /* given up, and nobody has dropped it */
    GW_WORK_ALL,
};

struct gw_work_filter {
    const char *bot; /* NULL = any */
    enum gw_work_which which;
    int64_t after; /* number of the row behind which to begin; 0 = from the oldest on */
    unsigned limit;
};
/* {"items", "more"}, oldest first; blocking, bounded by the limit. A new tree, NULL when memory ran
 * out or the database cannot be read. */
cJSON *gw_work_json(struct gw *gw, enum gw_work work, const struct gw_work_filter *f);

enum gw_by_hand { GW_RETRY, GW_DROP };

/* What was given up (or dropped) is tried again, or what was given up is dropped; rows of the
 * outbox that wait are tried at once, or dropped, too. Committed before it is answered, all or
 * nothing; safe to repeat: what is so already is told as not changed. A name that is unknown
 * changes nothing at all. result: {"items": [{"id", "key"?, "bot", "state", "changed",
 * "message"}]}. bot NULL = any. cb comes exactly once, maybe before this returns. */
void gw_work_by_hand(struct gw *gw, enum gw_work work, enum gw_by_hand what, const char *bot,
                     const char *const *names, size_t n, gw_cb cb, void *userdata);

#endif
