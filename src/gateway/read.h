/*
 * Reading: the journal's search, inbox and what was missed; and posts as the server has them.
 *
 * All calls on the loop's thread; strings are copied; cb comes exactly once, maybe before the
 * function returns. Events in results are as in docs/events.md. What a result holds is described in
 * docs/rpc.md.
 */
#ifndef MW_GATEWAY_READ_H
#define MW_GATEWAY_READ_H

#include "gateway/gateway.h"
#include "store/search.h"

/* Names in a question: NULL = none. */
struct gw_scope {
    const char *channel; /* any name that mm_resolve_channel takes */
    const char *author;  /* @name, name or id */
    const char *thread;  /* id or permalink of any post of it */
};
/* result: {"channel_id"?, "user_id"?, "root_id"?}. bot may be NULL when only ids are given. */
void gw_resolve_scope(struct gw *gw, struct gw_bot *bot, const struct gw_scope *scope, gw_cb cb,
                      void *userdata);

struct gw_server_posts {
    const char *channel_id; /* ids, NULL = none. One of channel, root and query is needed */
    const char *root_id;
    const char *query; /* the server's own search, in every team of the bot */
    const char *user_id;
    int64_t since, until; /* 0 = no bound */
    unsigned limit;       /* the newest; at most 1000 */
    bool raw;
};
/* What the server has, as events without an id. result: {"events", "more"}, oldest first; for a
 * query newest first. Looks at 10,000 posts at the most. */
void gw_server_posts(struct gw *gw, struct gw_bot *bot, const struct gw_server_posts *req, gw_cb cb,
                     void *userdata);

/* Blocking, bounded; new trees. NULL with a sentence: *ret_code tells what it is. */
cJSON *gw_search_json(struct gw *gw, const struct mw_search *search, bool raw,
                      enum gw_code *ret_code, struct mw_error *err);

struct gw_inbox {
    const char *reader; /* whose mark counts; NULL = "" */
    bool unseen;
    unsigned reasons; /* MW_EVENT_DIRECT, _MENTION, _THREAD; 0 = all */
    int64_t since;
    unsigned limit; /* at most 1000 */
    bool mark_seen;
    bool mark_read; /* on the server, too: every channel that is listed */
    bool raw;
};
/* result: {"events", "more", "mark", "read"?}, oldest first. What is unseen and to be marked is
 * given from the oldest on, so that nothing is marked that was not given; else the newest. */
void gw_inbox(struct gw *gw, struct gw_bot *bot, const struct gw_inbox *req, gw_cb cb,
              void *userdata);

/* NULL: as gw_search_json. until 0 = now. */
cJSON *gw_missed_json(struct gw *gw, struct gw_bot *bot, int64_t since, int64_t until,
                      struct mw_error *err);

#endif
