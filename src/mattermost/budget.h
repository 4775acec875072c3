/*
 * How many calls one server takes: one budget for all clients of an endpoint, because the server
 * counts by the address that we call from.
 *
 * Learns from every answer: X-Ratelimit-Limit (the burst), -Remaining, -Reset (seconds until it is
 * full again, from which the rate follows) and Retry-After. While calls are few they go at once; a
 * server that sends no such headers is not held back at all. When they get scarce, the classes
 * below the first leave a part of the rest to those before them, so that a person's answer finds
 * something left; whatever waited for 10 s takes its turn all the same. After a 429 nothing goes
 * before the time that the server named.
 *
 * No queue of its own: the clients hold their calls, and what is to be sent waits in the outbox.
 * All calls on the loop's thread; no callback of a call comes from here. Facts: the wire reference,
 * section 1.
 */
#ifndef MW_MATTERMOST_BUDGET_H
#define MW_MATTERMOST_BUDGET_H

#include <stdint.h>
#include <uv.h>

#include "io/http.h"

struct mm_budget;

/* The first goes first. */
enum mm_class {
    MM_CLASS_ANSWER, /* posts, and the files that belong to them */
    MM_CLASS_CHANGE, /* edits, deletions, whatever else changes something */
    MM_CLASS_READ,   /* catch-up, names, lists */
    MM_CLASS_SIGN,   /* reactions, typing */
    MM_CLASSES,
};
const char *mm_class_name(enum mm_class c);
/* By method and path (without /api/v4), from one table. */
enum mm_class mm_class_of(const char *method, const char *path);

/* A client, to its budget. Embedded in the client. */
struct mm_budget_member {
    struct mm_budget *budget;
    struct mm_budget_member *prev, *next;
    const struct mm_budget_ops *ops;
};
struct mm_budget_ops {
    /* May it send anything now, as far as it is concerned? */
    bool (*ready)(struct mm_budget_member *m);
    /* How many calls of the class it holds; *ret_since = since when the first of them (monotonic).
     */
    unsigned (*waiting)(struct mm_budget_member *m, enum mm_class c, int64_t *ret_since);
    /* Puts the first one on the wire, under this number. Calls nobody back. False: that failed,
     * nothing was sent. */
    bool (*send)(struct mm_budget_member *m, enum mm_class c, uint64_t number);
};

/* Returns 0 or -ENOMEM. */
int mm_budget_new(uv_loop_t *loop, struct mm_budget **ret);
void mm_budget_free(struct mm_budget *b); /* after its members */

void mm_budget_join(struct mm_budget *b, struct mm_budget_member *m,
                    const struct mm_budget_ops *ops);
void mm_budget_leave(struct mm_budget_member *m);

/* A member has something to send, or a free place: sends what may go now. */
void mm_budget_pump(struct mm_budget *b);
/* The call with this number is over. Does not pump. */
void mm_budget_ended(struct mm_budget *b, uint64_t number, const struct mw_http_response *r);

struct mm_budget_stats {
    int64_t limit, remaining; /* as the server said last; -1 = it names none */
    double per_second;        /* as far as it is known; 0 = not */
    int64_t refused;          /* 429 answers since the start */
    int64_t held_until;       /* wall clock ms; 0 = not held */
    unsigned members, in_flight;
    unsigned waiting[MM_CLASSES];
};
void mm_budget_get_stats(const struct mm_budget *b, struct mm_budget_stats *ret);

#endif
