/*
 * The one store: journal, cursors, tasks, outbox and key-value state, in one SQLite file.
 *
 * Writing: a transaction (mw_tx) is a list of operations that are committed together. mw_tx_commit
 * hands it to the writer thread, which commits many of them with one fsync (group commit, WAL,
 * synchronous=FULL) in the order of their submission; then its callback comes on the loop's thread.
 * When the disk is full or the file locked, the writer keeps what it has, reports the state
 * (mw_store_state) and tries again: an accepted transaction is never dropped. The queue has a byte
 * limit: at the limit mw_store_full() is true and sources must pause until on_drain; mw_tx_commit
 * still takes what is given, so nothing has to be dropped.
 *
 * Reading: on the loop's thread, from a connection of its own that sees only committed rows. Every
 * query is bounded by its caller. Rows are valid during the callback; a callback that returns false
 * ends the query.
 *
 * Errors: negative errno, the sentence in err. All calls on the loop's thread.
 */
#ifndef MW_STORE_STORE_H
#define MW_STORE_STORE_H

#include <uv.h>

#include "base/error.h"
#include "store/event.h"
#include "store/position.h"

struct mw_store;
struct mw_tx;

enum mw_store_condition { MW_STORE_OK, MW_STORE_STALLED };

struct mw_store_ops {
    /* Events up to last_id are committed (also called for commits without events, with the same
     * id). */
    void (*on_commit)(int64_t last_id, void *userdata);
    void (*on_drain)(void *userdata);
    /* The writer stalled (reason: one sentence) or works again (reason NULL). */
    void (*on_condition)(enum mw_store_condition c, const char *reason, void *userdata);
};

struct mw_store_params {
    const char *path;     /* a file; its folder must exist. Created 0600 */
    size_t queue_limit;   /* bytes; 0 = 32 MiB */
    int synchronous_full; /* -1 or 1 = FULL (default), 0 = NORMAL: for measurements */
    /* Retention, in the background; off by default. An event goes when it was received that long
     * ago, or when its bot has more than that many (the oldest first). It stays in any case while a
     * consumer's cursor has not passed it, while a task of it is not done or an answer to it is not
     * sent, and for keep_at_least_ms. See mw_tx_observed_post for what is remembered of it. */
    int64_t keep_events_ms;    /* 0 = for ever */
    int64_t keep_events;       /* of each bot; 0 = all */
    int64_t keep_at_least_ms;  /* 0 = 1 hour, -1 = nothing: only for tests */
    int64_t keep_done_ms;      /* tasks done and outbox rows sent; 0 = 30 days, -1 = for ever. The
                                * key of an outbox row is forgotten with it */
    int64_t prune_interval_ms; /* 0 = 1 min */
    const struct mw_store_ops *ops; /* static, any member may be NULL */
    void *userdata;
};

/* Opens or creates, takes the lock, migrates. -EBUSY when another process holds it (err says
 * which). */
int mw_store_open(uv_loop_t *loop, const struct mw_store_params *params, struct mw_store **ret,
                  struct mw_error *err);
/* Not from within a callback of the store. Waits for what was submitted (at most 4 s while
 * stalled), calls the callbacks, closes. What could not be written ends with -ECANCELED, as does
 * what a callback submits now. The loop must run once more after this to free the store. */
void mw_store_close(struct mw_store *s);

bool mw_store_full(const struct mw_store *s);

struct mw_store_stats {
    enum mw_store_condition condition;
    const char *reason; /* while stalled; valid until the loop runs again */
    size_t queued_bytes;
    size_t queued_tx;
    int64_t last_event_id;  /* committed */
    int64_t commits;        /* group commits since the start */
    int64_t events_written; /* since the start */
    int64_t events_duplicate;
    int64_t file_bytes; /* database and WAL; deleting makes room inside, not a smaller file */
    /* Background work; 0 until it has begun. */
    int64_t indexed_id;    /* search knows the events up to here by its index; the rest it reads */
    int64_t pruned_events; /* since the start */
    int64_t pruned_work;   /* tasks, outbox rows and state that expired, since the start */
    bool prune_held;       /* events that should go stay for a consumer that has not read them */
    const char *background_trouble; /* why it does not get on, NULL = it does; as `reason` */
};
void mw_store_get_stats(const struct mw_store *s, struct mw_store_stats *ret);

/* ---- Transactions. All mw_tx_* builders copy what they get and return 0, -ENOMEM, or -EINVAL for
 * what cannot be stored. The first failure sticks: committing the transaction then changes nothing
 * and its callback gets that error, so builders can be chained with `|`. ---- */

struct mw_tx *mw_tx_new(struct mw_store *s);
void mw_tx_free(struct mw_tx *tx);

struct mw_tx_result {
    /* 0, or a negative errno: nothing of the transaction happened. -ENOENT: a row to update is not
     * there; -EINVAL, -E2BIG: the database refuses a value; -ECANCELED: the store was closed. */
    int error;
    const char *message; /* for error */
    /* Of the last mw_tx_event or mw_tx_observed_post: its new id, or 0 when it was known already.
     */
    int64_t event_id;
    int64_t task_id;   /* of the last mw_tx_task_add */
    int64_t outbox_id; /* of the last mw_tx_outbox_add: the new row, or the row that has the key
                          already */
    bool outbox_existed;
};
typedef void (*mw_tx_cb)(const struct mw_tx_result *r, void *userdata);

/* Hands the transaction over. cb may be NULL. cb comes exactly once, never before this returns, in
 * the order of submission, before the on_commit of its group; what was committed can be read then.
 * While transactions are under way the store keeps the loop alive. */
void mw_tx_commit(struct mw_tx *tx, mw_tx_cb cb, void *userdata);

/* ---- Journal ---- */

/* Appends the event unless (bot, kind, object, revision) is known; an event without an object is
 * always new. A post is the same post whatever its revision; an edit is known when the journal has
 * that edit or a newer one, also from a post that was first seen edited. -EINVAL for typing.
 *
 * A live post, edit or deletion (without MW_EVENT_CAUGHT_UP) also moves the channel's position
 * (mw_store_position) forward; see there. */
int mw_tx_event(struct mw_tx *tx, const struct mw_event *ev);

/* Appends what the observed state of a post adds to the journal: a post seen by catch-up or
 * polling, given as the event MW_EVENT_POST with `revision` = its edit_at and `deleted_at` = its
 * delete_at. Unknown post: one row of kind post (if it is not deleted), which also counts as
 * knowing this edit. Known post with a newer edit: post_edited. Known post that is now deleted:
 * post_deleted. Otherwise nothing; so too once the journal has the deletion, whatever an older
 * answer of the server still shows. A post is known when the journal has the post or an edit of it;
 * a post of which only edits are known is appended when it is first observed itself.
 *
 * Retention leaves a time behind for each channel, the newest of what it deleted there. A post that
 * is not newer than that counts as known, and an edit or a deletion is news only when it is newer:
 * an old post does not come back, its edit of today is a post_edited of a post that the journal no
 * longer has.
 *
 * `at` is the event's for a post, the time of the edit or of the deletion for the others. Does not
 * move the position: paging finds posts in no safe order, its end is told by mw_tx_position. */
int mw_tx_observed_post(struct mw_tx *tx, const struct mw_event *ev, int64_t deleted_at);

struct mw_event_filter {
    int64_t after_id, before_id; /* exclusive; 0 = no bound */
    const char *bot;             /* NULL = any; likewise below */
    const char *channel_id;
    const char *user_id;
    const char
        *root_id; /* a thread: the root post itself (with edits, reactions) and its replies */
    const char *post_id;  /* the post, its edits and deletion, and the reactions to it */
    unsigned kinds;       /* bit set of 1u << kind; 0 = all */
    unsigned flags_any;   /* at least one of these; 0 = whatever */
    int64_t since, until; /* `at`, inclusive and exclusive; 0 = no bound */
    bool newest_first;
    unsigned limit; /* rows; 0 = 1000 */
};
typedef bool (*mw_event_row_cb)(const struct mw_event *ev, void *userdata);
/* In the order of id. Cheap by id, channel, thread and post; the other conditions look at every row
 * that these leave. Ids have gaps. */
int mw_store_events(struct mw_store *s, const struct mw_event_filter *f, mw_event_row_cb cb,
                    void *userdata, struct mw_error *err);
/* One event by id; returns 1 when there is none. */
int mw_store_event(struct mw_store *s, int64_t id, mw_event_row_cb cb, void *userdata);
int64_t mw_store_last_event_id(const struct mw_store *s);

/* ---- Positions: how far a bot has seen each channel. ----
 *
 * A live event moves seen_at to its `at`, and a live post also post_id and post_at; when seen_at
 * grows by it, `confirmed` is cleared. Nothing moves back. */

/* Returns 0, or 1 when the channel is unknown. Tells what is committed, not what is under way. */
int mw_store_position(struct mw_store *s, const char *bot, const char *channel_id,
                      struct mw_position *ret);
/* Marks a channel as covered by paging up to `seen_at` (never moves back): sets `confirmed`, unless
 * something newer was seen live meanwhile. */
int mw_tx_position(struct mw_tx *tx, const char *bot, const char *channel_id, int64_t seen_at,
                   const char *post_id, int64_t post_at);

/* ---- Consumers: durable cursors into the journal. ---- */

/* Position of a consumer; returns 1 when it does not exist. */
int mw_store_cursor(struct mw_store *s, const char *consumer, int64_t *ret);
int mw_tx_cursor(struct mw_tx *tx, const char *consumer, int64_t position);
int mw_tx_cursor_delete(struct mw_tx *tx, const char *consumer);
typedef bool (*mw_cursor_row_cb)(const char *consumer, int64_t position, int64_t updated_at,
                                 void *userdata);
int mw_store_cursors(struct mw_store *s, mw_cursor_row_cb cb, void *userdata);

/* ---- Tasks: an event on its way through a handler. ---- */

enum mw_task_state {
    MW_TASK_PENDING = 1,
    MW_TASK_DONE,
    MW_TASK_FAILED,  /* set aside: nobody tries it again unless told to */
    MW_TASK_DROPPED, /* was set aside and then dropped by hand */
};

struct mw_task {
    int64_t id;
    int64_t event_id;
    const char *bot;
    const char *handler;
    const char *conversation; /* tasks of one conversation run in order */
    enum mw_task_state state;
    int attempts;       /* starts so far */
    int failures;       /* those of them whose run ended badly; the others ended with the daemon */
    int64_t not_before; /* wall clock ms: the next attempt; 0 = at once */
    const char *error;  /* of the last attempt */
    int64_t created_at, updated_at;
};
/* state 0 = pending, created_at 0 = now. */
int mw_tx_task_add(struct mw_tx *tx, const struct mw_task *t);
/* Counts one more attempt. */
int mw_tx_task_start(struct mw_tx *tx, int64_t task_id);
/* MW_TASK_PENDING gives the attempt back: it was stopped, not lost, and does not count. */
int mw_tx_task_end(struct mw_tx *tx, int64_t task_id, enum mw_task_state state, const char *error);
/* The attempt failed, the task stays pending for another one. */
int mw_tx_task_again(struct mw_tx *tx, int64_t task_id, int64_t not_before, const char *error);
/* By hand: retry for what failed or was dropped, drop for what failed or is pending (nobody may
 * have it in memory then). A task that is tried again is a new one (task_id of the result), behind
 * what waits. -ENOENT when the row is not in such a state. */
int mw_tx_task_retry(struct mw_tx *tx, int64_t task_id);
int mw_tx_task_drop(struct mw_tx *tx, int64_t task_id);
typedef bool (*mw_task_row_cb)(const struct mw_task *t, void *userdata);
/* Oldest first; state 0 = all. */
int mw_store_tasks(struct mw_store *s, const char *bot, enum mw_task_state state, int64_t after_id,
                   unsigned limit, mw_task_row_cb cb, void *userdata);
/* The tasks of one event, oldest first: pending and failed ones, which is cheap, or all. */
int mw_store_event_tasks(struct mw_store *s, int64_t event_id, bool all, mw_task_row_cb cb,
                         void *userdata);
/* Cheap for pending and failed; the others and 0 (all) look at every row. */
int mw_store_task_count(struct mw_store *s, const char *bot, enum mw_task_state state,
                        int64_t *ret);

/* ---- Outbox: outbound effects, committed before they are tried. ---- */

enum mw_outbox_state {
    MW_OUTBOX_PENDING = 1, /* not tried, or refused for now: certainly not on the server */
    MW_OUTBOX_SENDING, /* a try was begun and its outcome is not known: look for the key first */
    MW_OUTBOX_SENT,
    MW_OUTBOX_FAILED,  /* given up: see error */
    MW_OUTBOX_DROPPED, /* was given up and then dropped by hand */
};

struct mw_outbox {
    int64_t id;
    const char *bot;
    const char *key;  /* unique per bot; what the server-side copy carries */
    const char *kind; /* "post", "edit", "delete", "reaction_add", "reaction_remove", "file" ... */
    const char *conversation; /* rows of one conversation are sent in order of id */
    const char *channel_id;
    const char *payload; /* JSON, per kind */
    int64_t event_id;    /* the event that this answers, 0 = none */
    enum mw_outbox_state state;
    int attempts;
    int64_t not_before;     /* wall clock ms */
    int64_t first_tried_at; /* 0 = never */
    const char *result_id;  /* post id once sent */
    const char *error;      /* of the last attempt */
    int64_t created_at, updated_at;
};
/* Adds a row in state pending, or, when (bot, key) exists, leaves that row alone (see
 * mw_tx_result). attempts, first_tried_at, result_id and error of `o` are ignored. */
int mw_tx_outbox_add(struct mw_tx *tx, const struct mw_outbox *o);
/* Records the outcome of a try. `payload` NULL = unchanged; result_id and error NULL = "". */
int mw_tx_outbox_update(struct mw_tx *tx, int64_t id, enum mw_outbox_state state, int attempts,
                        int64_t not_before, int64_t first_tried_at, const char *result_id,
                        const char *error, const char *payload);
/* By hand, as for tasks; a row under way can be dropped, too. A row that is tried again keeps its
 * key and gets a new id; when it was tried before, its state is sending. */
int mw_tx_outbox_retry(struct mw_tx *tx, int64_t id);
int mw_tx_outbox_drop(struct mw_tx *tx, int64_t id);
typedef bool (*mw_outbox_row_cb)(const struct mw_outbox *o, void *userdata);
/* Oldest first. `states` is a bit set of 1u << state, 0 = all. bot NULL = any. */
int mw_store_outbox(struct mw_store *s, const char *bot, unsigned states, int64_t after_id,
                    unsigned limit, mw_outbox_row_cb cb, void *userdata);
int mw_store_outbox_row(struct mw_store *s, int64_t id, mw_outbox_row_cb cb, void *userdata);
/* The row that has this key; returns 1 when there is none. */
int mw_store_outbox_key(struct mw_store *s, const char *bot, const char *key, mw_outbox_row_cb cb,
                        void *userdata);
/* How many of a bot's rows that wait or are under way were made before this time; *ret_oldest =
 * when the oldest was, 0 = there is none. */
int mw_store_outbox_overdue(struct mw_store *s, const char *bot, int64_t before, int64_t *ret,
                            int64_t *ret_oldest);
/* Cheap for every state but sent and dropped; see mw_store_task_count. */
int mw_store_outbox_count(struct mw_store *s, const char *bot, enum mw_outbox_state state,
                          int64_t *ret);

/* ---- Key-value state, by scope. ---- */

/* The value, freed by the caller; returns 1 when absent. */
int mw_store_get(struct mw_store *s, const char *scope, const char *key, char **ret);
/* How many keys a scope has, and how many bytes they and their values have together. */
int mw_store_usage(struct mw_store *s, const char *scope, int64_t *ret_keys, int64_t *ret_bytes);
int mw_tx_set(struct mw_tx *tx, const char *scope, const char *key,
              const char *value); /* NULL deletes */
/* The same for a value that has an end: some time after expires_at (wall clock ms; 0 = never) it is
 * deleted in the background, and can be read until then. The last that was set counts. */
int mw_tx_set_until(struct mw_tx *tx, const char *scope, const char *key, const char *value,
                    int64_t expires_at);

#endif
