/* Fault switches, counters, waiting and floods, over HTTP on an address of their own; the handbook
 * chapter docs/sandbox.md describes each. */
#ifndef SB_CONTROL_H
#define SB_CONTROL_H

#include <uv.h>

#include "base/error.h"
#include "base/id.h"
#include "base/map.h"
#include "io/httpd.h"

struct sb_server;
struct sb_req;

enum sb_rule_action {
    SB_RULE_FAIL,       /* answer with `status` instead of working */
    SB_RULE_STORE_FAIL, /* work, then answer with `status` */
    SB_RULE_CUT,        /* work, then cut the answer after `at` bytes of its body */
    SB_RULE_ABORT,      /* work, then close the connection without an answer */
    SB_RULE_DELAY,      /* wait `delay_ms`, then work */
    SB_RULE_HTML,       /* a web page, as a proxy's error page */
    SB_RULE_REDIRECT,   /* 302 to `location` */
    SB_RULE_HANG,       /* never answer */
    SB_RULE_TWICE,      /* work twice, as a proxy that delivers again; the second answer counts */
};

struct sb_rule {
    struct sb_rule *next;
    char id[8];
    char *method;             /* NULL = any */
    char *prefix;             /* of the path, with /api/v4 */
    char user_id[MW_ID_SIZE]; /* only calls of this user; "" = any */
    char *body, *content_type, *location;
    enum sb_rule_action action;
    int status;
    int64_t count;       /* calls that it still applies to; -1 = no end */
    int64_t skip;        /* calls to let pass first */
    int64_t retry_after; /* seconds; -1 = no header */
    int64_t delay_ms;
    size_t at;
    uint64_t hits;
};

struct sb_waiter;
struct sb_flood;

struct sb_control {
    struct sb_server *sv;
    struct mw_httpd *httpd;
    struct sb_rule *rules;
    unsigned next_rule;
    unsigned restarts;
    struct mw_map calls; /* "METHOD /pattern" -> uint64_t * */
    uint64_t n_calls;
    struct sb_waiter *waiters;
    struct sb_flood *floods;
    struct mw_map groups; /* name -> struct sb_group; owned. None = the server has no licence */
    bool gone;            /* being torn down */

    /* Upgrades of the event socket. */
    int64_t refuse_upgrades; /* so many more; -1 = all */
    int refuse_status;
    char *refuse_body;
    int64_t refuse_retry_after;
    int64_t hang_up; /* accept so many more upgrades and close at once */

    /* Rate limit: tokens as the real server's throttle counts them. */
    bool rate_on;
    char rate_user_id[MW_ID_SIZE]; /* only calls of this user; "" = any */
    double rate_per_sec, rate_burst;
    double rate_tokens;
    int64_t rate_at;
    uint64_t rate_refused;
};

void sb_group_free(void *group); /* groups.c */

int sb_control_init(struct sb_control *c, struct sb_server *sv);
void sb_control_deinit(struct sb_control *c);
void sb_control_request(struct mw_httpd_request *http, void *userdata);

/* Counts a call of `key`; wakes who waits for it. */
void sb_control_count(struct sb_control *c, const char *key);
/* Something that a waiter may wait for has changed. */
void sb_control_kick(struct sb_control *c);

/* The rule that applies to this call of this user ("" = nobody), used up by one; NULL = none. */
struct sb_rule *sb_control_rule(struct sb_control *c, const char *method, const char *path,
                                const char *user_id);

/* Takes one token; false = refuse with the 429 whose header values these are. */
struct sb_rate {
    long limit, remaining, reset, retry_after;
};
bool sb_control_rate(struct sb_control *c, struct sb_rate *ret);

#endif
