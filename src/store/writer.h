/*
 * The writer: one thread that takes whatever transactions wait, applies them in one database
 * transaction, commits once, and hands them back. While it commits the next ones gather.
 *
 * A failure of the database (disk full, locked, read-only ...) is a stall: the batch is rolled
 * back, kept, and run again after a growing wait of at most 2 s. When the writer is told to end, it
 * finishes what it was given, but gives up a stall after a time limit: what is left then comes back
 * with -ECANCELED.
 *
 * mw_writer_submit, _collect and _stop are called by one other thread (the loop's).
 */
#ifndef MW_STORE_WRITER_H
#define MW_STORE_WRITER_H

#include <uv.h>

#include "store/apply.h"
#include "store/chores.h"

struct mw_writer {
    struct mw_chores chores; /* the thread's, like the rest up to `mutex` */
    struct mw_apply apply;
    const char *path;
    int wal_pages;
    int checkpoint_at;   /* that many */
    bool checkpoint_due; /* something was written since the last one */
    bool checkpoint_failed;
    uv_thread_t thread;
    uv_async_t *wake_loop;

    uv_mutex_t mutex; /* guards what follows */
    uv_cond_t wake;
    struct mw_tx *queue, **queue_end;
    struct mw_tx *done, **done_end;
    bool waiting, stopping;
    int64_t stop_by; /* monotonic; when stopping */
    bool stalled;
    unsigned stalls;
    char reason[256];
    int64_t last_event_id, commits, events, duplicates;
    struct mw_chores_report chores_done;
    char checkpoint_trouble[256]; /* "" = none */
};

/* Takes over db, also on failure. path must outlive the writer. wake_loop is sent whenever
 * mw_writer_collect has something new. */
int mw_writer_start(struct mw_writer *w, sqlite3 *db, const char *path, int64_t last_event_id,
                    bool full, const struct mw_retention *keep, uv_async_t *wake_loop,
                    struct mw_error *err);

void mw_writer_submit(struct mw_writer *w, struct mw_tx *tx);

struct mw_writer_report {
    struct mw_tx *done; /* a list in the order of submission; the caller's */
    bool stalled;
    unsigned stalls; /* so far: a stall that is over already can be told from none */
    char reason[256];
    int64_t last_event_id; /* committed, as are the next three, since the start */
    int64_t commits, events, duplicates;
    struct mw_chores_report chores;
    char checkpoint_trouble[256];
};
void mw_writer_collect(struct mw_writer *w, struct mw_writer_report *ret);

/* Waits until all is written, or stalled for stall_limit ms, ends the thread and closes the
 * database. The results wait for mw_writer_collect. */
void mw_writer_stop(struct mw_writer *w, int64_t stall_limit);
void mw_writer_deinit(struct mw_writer *w);

#endif
