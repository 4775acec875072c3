/* Between outbox.c (rows, lanes, when) and attempt.c (one row's way to the server). */
#ifndef MW_GATEWAY_OUTBOX_INTERNAL_H
#define MW_GATEWAY_OUTBOX_INTERNAL_H

#include "base/backoff.h"
#include "base/id.h"
#include "base/map.h"
#include "gateway/effect.h"
#include "gateway/outbox.h"
#include "io/handle.h"

struct gw_lane;

struct gw_row {
    struct gw_row *next; /* in its lane */
    struct gw_lane *lane;
    int64_t id, event_id;
    char *key, *kind_name, *channel_id;
    const struct gw_effect_kind *kind;
    cJSON *payload;
    bool payload_changed; /* differs from what the store has */
    enum mw_outbox_state state;
    int attempts;
    int64_t first_tried_at; /* server clock */
    int64_t not_before;     /* wall clock */
    int64_t due;            /* monotonic: not tried before */
    bool busy;              /* a call or a commit is under way */
    bool dropping;          /* somebody is about to drop it */
    bool unrecorded;        /* state, result and error are not in the store yet */
    bool unsure;            /* the server may have it: look before sending */
    char *result_id, *error;
    struct mw_backoff backoff;
    unsigned look_page;           /* behind the anchor */
    char look_anchor[MW_ID_SIZE]; /* a post; "" = the newest */
    int64_t look_since;
    int upload_fd;
};

struct gw_lane {
    struct gw_lane *prev, *next;
    struct gw_sender *s;
    char *key;
    struct gw_row *head, *tail;
    unsigned n;          /* rows */
    int64_t loaded_id;   /* of its rows in the store, those up to here were loaded */
    int64_t parked_from; /* ... and those from here on are passed over; 0 = none */
};

struct gw_sender {
    uv_loop_t *loop;
    struct mw_store *store;
    char *bot;
    unsigned parallel, window;
    int64_t retry_min_ms, retry_max_ms;
    void (*on_delivery)(const struct gw_delivery *d, void *userdata);
    void (*on_progress)(void *userdata);
    void *userdata;

    struct mm_client *client;
    struct mw_timer *timer;
    struct mw_map lanes;
    struct gw_lane *first, *last;
    unsigned rows, active;
    unsigned
        lane_rows;     /* in memory of one lane: those of one that is stuck leave room for others */
    int64_t loaded_id; /* rows up to here are in memory, parked or done */
    bool more;         /* the store has rows beyond it */
    bool load_failed;
    bool stopped;
    unsigned drops; /* that have begun: nothing is loaded meanwhile */
    /* The server as a whole is in trouble: nothing is tried before. */
    int64_t hold_until; /* monotonic */
    struct mw_backoff hold;
    struct gw_sender_stats stats;
};

/* ---- outbox.c ---- */
void gw_row_free(struct gw_row *r);
/* Tells whoever waits how the row ended. */
void gw_row_tell(const struct gw_sender *s, const struct gw_row *r);
/* Takes the head row out of its lane; the lane goes behind the others, or away. */
void gw_lane_pop(struct gw_lane *l);
/* Starts what can go now, and the timer for the rest. */
void gw_sender_pump(struct gw_sender *s);
/* Fills the window from the store. */
void gw_sender_load(struct gw_sender *s);
/* There is something to load, and room that is worth it. */
bool gw_sender_may_load(const struct gw_sender *s);

/* ---- attempt.c ---- */
/* Does with a row what has to be done next: look for it, upload, send, record. */
void gw_row_try(struct gw_row *r);

#endif
