/*
 * A front end's question that takes several calls to a bot's server: the state, and how it ends.
 * Inside of src/gateway. One thread.
 *
 * A query is freed by what ends it. When the client goes, its callbacks end the query too.
 */
#ifndef MW_GATEWAY_QUERY_H
#define MW_GATEWAY_QUERY_H

#include "gateway/internal.h"

struct gw_query {
    struct mm_client *client;
    gw_cb cb;
    void *userdata;
    /* For the sentence of a 403: "archive ~town-square", the right that it takes, who has it. NULL
     * = the server's own sentence. */
    char *doing;
    const char *right, *holder;
    void (*free_fn)(struct gw_query *q);
};

/* Returns true; or false when the bot has no connection: then cb was told, and q was freed. */
bool gw_query_start(struct gw_query *q, struct gw_bot *bot, gw_cb cb, void *userdata,
                    void (*free_fn)(struct gw_query *q));
/* No memory for a query at all. */
void gw_query_no_memory(gw_cb cb, void *userdata);

/* Each ends the query. */
void gw_query_done(struct gw_query *q, cJSON *result); /* taken over; NULL = no memory */
void gw_query_fail(struct gw_query *q, enum gw_code code, const char *fmt, ...) MW_PRINTF(3, 4);
void gw_query_fail_result(struct gw_query *q, struct mm_result *r);

/* The next call; `path` (allocated, NULL = no memory) and `body` are taken over. A call that cannot
 * start ends the query. */
void gw_query_call(struct gw_query *q, const char *method, char *path, cJSON *body, mm_cb cb);
/* For the functions of the client: what a start returned. False: it ended the query. */
bool gw_query_started(struct gw_query *q, int rc);

#endif
