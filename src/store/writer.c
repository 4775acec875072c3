#include "store/writer.h"

#include <stdio.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "store/db.h"

/* A checkpoint writes every changed page once, however often it is in the WAL, so rare ones are
 * cheaper; a large WAL costs disk space and time to open. 16 Ki pages of 4 KiB = 64 MiB. */
#define CHECKPOINT_PAGES 16384
/* Quiet time after which the WAL is emptied and the page cache given back, while nobody waits. */
#define IDLE_MS 1000

static int on_wal(void *userdata, sqlite3 *db, const char *name, int pages)
{
    struct mw_writer *w = userdata;

    if (pages < w->wal_pages) /* a finished checkpoint let it begin anew */
        w->checkpoint_at = CHECKPOINT_PAGES;
    w->wal_pages = pages;
    w->checkpoint_due = true;
    return SQLITE_OK;
}

/* Nothing is lost by a failure, but the WAL grows: it is told, and tried again. */
static void tell_checkpoint(struct mw_writer *w, int code)
{
    bool bad = code != SQLITE_OK && code != SQLITE_BUSY; /* busy: a reader, or nothing to do */

    uv_mutex_lock(&w->mutex);
    if (bad)
        snprintf(w->checkpoint_trouble, sizeof(w->checkpoint_trouble),
                 "the write-ahead log cannot be brought into the database: %s",
                 mw_db_reason(w->apply.db, code));
    else
        w->checkpoint_trouble[0] = '\0';
    uv_mutex_unlock(&w->mutex);
    w->checkpoint_failed = bad;
}

static void checkpoint(struct mw_writer *w, bool idle)
{
    int code;

    if (!w->checkpoint_due || (!idle && w->wal_pages < w->checkpoint_at))
        return;
    w->checkpoint_due = false;
    code = sqlite3_wal_checkpoint_v2(w->apply.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (code != SQLITE_OK || w->checkpoint_failed) {
        tell_checkpoint(w, code);
        uv_async_send(w->wake_loop);
    }
    /* When a reader kept it from ending, wait for as many pages again. */
    w->checkpoint_at = w->wal_pages + CHECKPOINT_PAGES;
}

/* One attempt at the whole batch; returns an SQLite code. */
static int try_batch(struct mw_writer *w, struct mw_tx *batch)
{
    int code;

    mw_apply_begin_batch(&w->apply);
    code = mw_apply_exec(&w->apply, MW_ST_BEGIN);
    for (struct mw_tx *tx = batch; tx && code == SQLITE_OK; tx = tx->next)
        code = mw_apply_tx(&w->apply, tx);
    if (code == SQLITE_OK)
        code = mw_apply_exec(&w->apply, MW_ST_COMMIT);
    return code;
}

static void set_reason(struct mw_writer *w, int code)
{
    uv_mutex_lock(&w->mutex);
    snprintf(w->reason, sizeof(w->reason), "%s cannot be written: %s", w->path,
             mw_db_reason(w->apply.db, code));
    w->stalls += !w->stalled;
    w->stalled = true;
    uv_async_send(w->wake_loop);
    uv_mutex_unlock(&w->mutex);
}

/* Waits before the next attempt; returns false when the time to stop has come. */
static bool wait_stalled(struct mw_writer *w, int64_t ms)
{
    int64_t end = mw_clock_mono() + ms, now;
    bool go_on;

    uv_mutex_lock(&w->mutex);
    while ((now = mw_clock_mono()) < (w->stopping ? MW_MIN(end, w->stop_by) : end)) {
        bool was_stopping = w->stopping;

        uv_cond_timedwait(&w->wake, &w->mutex,
                          (uint64_t)((was_stopping ? MW_MIN(end, w->stop_by) : end) - now) *
                              1000000);
        if (w->stopping && !was_stopping)
            break; /* try once more right away */
    }
    go_on = !w->stopping || mw_clock_mono() < w->stop_by;
    uv_mutex_unlock(&w->mutex);
    return go_on;
}

static bool write_batch(struct mw_writer *w, struct mw_tx *batch)
{
    struct mw_backoff backoff;
    int code;

    mw_backoff_init(&backoff, 50, 2000, 0);
    while ((code = try_batch(w, batch)) != SQLITE_OK) {
        set_reason(w, code);
        mw_apply_rollback(&w->apply);
        if (!wait_stalled(w, mw_backoff_next(&backoff, mw_clock_mono())))
            return false;
    }
    return true;
}

/* The results of what could not be written before the store closed. */
static void cancel(struct mw_tx *batch)
{
    for (struct mw_tx *tx = batch; tx; tx = tx->next)
        mw_tx_fail(tx, -ECANCELED, "the store was closed before this could be written");
}

/* Called with the mutex held; w->queue is not empty or the writer is to stop. */
static struct mw_tx *take_queue(struct mw_writer *w)
{
    struct mw_tx *batch = w->queue;

    w->queue = NULL;
    w->queue_end = &w->queue;
    return batch;
}

static void do_chore(struct mw_writer *w)
{
    mw_chores_step(&w->chores, mw_clock_mono());
    uv_mutex_lock(&w->mutex);
    w->chores_done = w->chores.report;
    uv_async_send(w->wake_loop);
    uv_mutex_unlock(&w->mutex);
}

/* Waits for something to do, with the mutex held; after a while of quiet does what can wait. */
static void wait_idle(struct mw_writer *w, int64_t *quiet_since)
{
    int64_t tidy_at = w->checkpoint_due ? *quiet_since + IDLE_MS : INT64_MAX;
    int64_t until = MW_MIN(tidy_at, w->chores.next_at), now = mw_clock_mono();
    bool tidy = tidy_at <= w->chores.next_at;

    w->waiting = true;
    if (until == INT64_MAX)
        uv_cond_wait(&w->wake, &w->mutex);
    else if (until <= now || uv_cond_timedwait(&w->wake, &w->mutex,
                                               (uint64_t)(until - now) * 1000000) == UV_ETIMEDOUT) {
        uv_mutex_unlock(&w->mutex);
        if (tidy) {
            checkpoint(w, true);
            sqlite3_db_release_memory(w->apply.db);
        } else {
            do_chore(w);
            *quiet_since = mw_clock_mono();
        }
        uv_mutex_lock(&w->mutex);
    }
}

static struct mw_tx *next_batch(struct mw_writer *w)
{
    int64_t quiet_since = mw_clock_mono();
    struct mw_tx *batch;

    uv_mutex_lock(&w->mutex);
    while (!w->queue && !w->stopping)
        wait_idle(w, &quiet_since);
    w->waiting = false;
    batch = take_queue(w);
    uv_mutex_unlock(&w->mutex);
    return batch;
}

static void hand_back(struct mw_writer *w, struct mw_tx *batch, bool written)
{
    struct mw_tx *last = batch;

    while (last->next)
        last = last->next;
    uv_mutex_lock(&w->mutex);
    *w->done_end = batch;
    w->done_end = &last->next;
    if (written) {
        w->stalled = false;
        w->commits++;
        w->events += w->apply.events;
        w->duplicates += w->apply.duplicates;
        if (w->apply.last_event_id)
            w->last_event_id = w->apply.last_event_id;
    }
    uv_async_send(w->wake_loop);
    uv_mutex_unlock(&w->mutex);
}

static void run(void *userdata)
{
    struct mw_writer *w = userdata;
    struct mw_tx *batch;
    bool gave_up = false;
    int64_t now;

    while ((batch = next_batch(w))) {
        if (!gave_up && !write_batch(w, batch))
            gave_up = true;
        if (gave_up)
            cancel(batch);
        hand_back(w, batch, !gave_up);
        checkpoint(w, false);
        now = mw_clock_mono();
        mw_chores_committed(&w->chores, gave_up ? 0 : w->apply.last_event_id, now);
        if (now >= w->chores.overdue_at && !gave_up)
            do_chore(w);
    }
}

int mw_writer_start(struct mw_writer *w, sqlite3 *db, const char *path, int64_t last_event_id,
                    bool full, const struct mw_retention *keep, uv_async_t *wake_loop,
                    struct mw_error *err)
{
    int r;

    *w = (struct mw_writer){
        .path = path,
        .checkpoint_at = CHECKPOINT_PAGES,
        .wake_loop = wake_loop,
        .last_event_id = last_event_id,
    };
    w->queue_end = &w->queue;
    w->done_end = &w->done;
    if ((r = mw_apply_init(&w->apply, db, err)) < 0)
        return r;
    if ((r = mw_chores_init(&w->chores, db, keep, full, last_event_id, err)) < 0) {
        mw_apply_deinit(&w->apply);
        return r;
    }
    sqlite3_wal_hook(db, on_wal, w);
    if ((r = uv_mutex_init(&w->mutex)) < 0)
        goto no_mutex;
    if ((r = uv_cond_init(&w->wake)) < 0)
        goto no_cond;
    if ((r = uv_thread_create(&w->thread, run, w)) < 0)
        goto no_thread;
    return 0;

no_thread:
    uv_cond_destroy(&w->wake);
no_cond:
    uv_mutex_destroy(&w->mutex);
no_mutex:
    mw_chores_deinit(&w->chores);
    mw_apply_deinit(&w->apply);
    return mw_error_set(err, r, "cannot start the writer's thread: %s", uv_strerror(r));
}

void mw_writer_submit(struct mw_writer *w, struct mw_tx *tx)
{
    tx->next = NULL;
    uv_mutex_lock(&w->mutex);
    *w->queue_end = tx;
    w->queue_end = &tx->next;
    if (w->waiting) {
        w->waiting = false;
        uv_cond_signal(&w->wake);
    }
    uv_mutex_unlock(&w->mutex);
}

void mw_writer_collect(struct mw_writer *w, struct mw_writer_report *ret)
{
    uv_mutex_lock(&w->mutex);
    ret->done = w->done;
    w->done = NULL;
    w->done_end = &w->done;
    ret->stalled = w->stalled;
    ret->stalls = w->stalls;
    snprintf(ret->reason, sizeof(ret->reason), "%s", w->reason);
    ret->last_event_id = w->last_event_id;
    ret->commits = w->commits;
    ret->events = w->events;
    ret->duplicates = w->duplicates;
    ret->chores = w->chores_done;
    snprintf(ret->checkpoint_trouble, sizeof(ret->checkpoint_trouble), "%s", w->checkpoint_trouble);
    uv_mutex_unlock(&w->mutex);
}

void mw_writer_stop(struct mw_writer *w, int64_t stall_limit)
{
    uv_mutex_lock(&w->mutex);
    w->stopping = true;
    w->stop_by = mw_clock_mono() + stall_limit;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->mutex);
    uv_thread_join(&w->thread);
    mw_chores_deinit(&w->chores);
    mw_apply_deinit(&w->apply);
}

void mw_writer_deinit(struct mw_writer *w)
{
    uv_cond_destroy(&w->wake);
    uv_mutex_destroy(&w->mutex);
}
