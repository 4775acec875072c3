/*
 * The sender of one bot: brings outbox rows to the server, each exactly once as far as the server
 * lets us know.
 *
 *   pending -> (marked sending, committed) -> call -> sent | failed | pending again | not known
 *
 * Rows of one conversation go out in order of their ids, conversations side by side. A row whose
 * try had no clear outcome (also: the process died during it) is looked for by its key before it is
 * sent again: first in the journal, where the echo of our own post carries the key, then on the
 * server. Transport problems are retried for ever with backoff; only a clear "no" of the server
 * ends a row, and then it stays visible as failed. All calls on the loop's thread.
 */
#ifndef MW_GATEWAY_OUTBOX_H
#define MW_GATEWAY_OUTBOX_H

#include "mattermost/client.h"
#include "store/store.h"

struct gw_sender;

/* How a row ended: sent as soon as the server said so, failed once that is committed. Strings are
 * valid during the call. */
struct gw_delivery {
    const char *key;
    const char *kind;
    const char *channel_id;
    int64_t event_id;
    bool sent;
    const char *post_id; /* "" unless sent */
    const char *error;   /* sentence unless sent */
    bool forbidden;      /* not sent because the account lacks a right */
};

struct gw_sender_params {
    struct mw_store *store; /* must outlive the sender */
    const char *bot;        /* copied */
    unsigned parallel;      /* calls under way at a time; 0 = 4 */
    unsigned window;        /* rows in memory; 0 = 500. The rest waits in the store, also what is
                             * behind the first 25th of it in one conversation */
    int64_t retry_min_ms;   /* 0 = 500 */
    int64_t retry_max_ms;   /* 0 = 30 s; a longer Retry-After is kept, up to 10 min */
    void (*on_delivery)(const struct gw_delivery *d, void *userdata);
    /* Something ended; gw_sender_busy may be false now. May be NULL. */
    void (*on_progress)(void *userdata);
    void *userdata;
};

int gw_sender_new(uv_loop_t *loop, const struct gw_sender_params *params, struct gw_sender **ret);
/* Only when it is not busy. */
void gw_sender_free(struct gw_sender *s);

/* The account to send by; NULL = none now. Take it away before it is freed: calls that are under
 * way then end as canceled, and their rows are looked for. */
void gw_sender_set_client(struct gw_sender *s, struct mm_client *client);
/* Rows may have been added to the store. */
void gw_sender_wake(struct gw_sender *s);
/* The server is there again: try at once what waits for it. */
void gw_sender_retry(struct gw_sender *s);
/* The post of a row that was delivered, while its record is still on its way to the store; NULL =
 * it was not, or the store knows it. Valid until the loop runs again. */
const char *gw_sender_delivered(const struct gw_sender *s, const char *key);
/* Try a row now, if it waits. */
void gw_sender_hurry(struct gw_sender *s, int64_t id);
/* A person drops a row: between the two it is not tried, while the caller writes that to the store.
 * Returns 0, or 1 when the row is under way: then there is nothing to end. */
int gw_sender_drop_begin(struct gw_sender *s, int64_t id);
void gw_sender_drop_end(struct gw_sender *s, int64_t id, bool dropped);
/* Start nothing more. */
void gw_sender_stop(struct gw_sender *s);
/* A call or a commit is under way, or a row is about to be tried. */
bool gw_sender_busy(const struct gw_sender *s);

struct gw_sender_stats {
    int64_t sent, failed, retries, found; /* since the start; found = was there already */
    unsigned waiting;                     /* rows in memory */
    const char *last_error;               /* why the oldest row waits; NULL = none */
};
void gw_sender_get_stats(const struct gw_sender *s, struct gw_sender_stats *ret);

#endif
