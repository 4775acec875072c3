#include "store/store.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "store/db.h"
#include "store/migrations.h"
#include "store/store_internal.h"

#define QUEUE_LIMIT       (32u << 20)
#define STALL_LIMIT_MS    4000
#define LOCK_WAIT_MS      2000
#define LOCK_STEP_MS      10
#define KEEP_AT_LEAST_MS  (3600 * 1000ll)
#define KEEP_DONE_MS      (30 * 24 * 3600 * 1000ll)
#define PRUNE_INTERVAL_MS (60 * 1000ll)

/* ---- Lock: a file beside the database, locked while the process lives, with its number inside.
 * ---- */

/* The process that wrote its number into the lock file; 0 = none. */
static long lock_holder(int fd)
{
    char text[24] = "";
    long pid = pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;

    return pid > 0 ? pid : 0;
}

static int say_who_holds(int fd, const char *path, struct mw_error *err)
{
    long pid = lock_holder(fd);

    if (pid)
        return mw_error_set(err, -EBUSY, "%s is in use by matterwired, process %ld", path, pid);
    return mw_error_set(err, -EBUSY, "%s is in use by another matterwired", path);
}

/* Takes the lock. A daemon that was killed while it started a program leaves the lock to that child
 * for a moment, until it becomes the program: so a holder that is gone is waited for. */
static bool lock_file(int fd)
{
    const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};

    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += LOCK_STEP_MS) {
        long pid = lock_holder(fd);
        bool alive = pid && (kill((pid_t)pid, 0) == 0 || errno == EPERM);

        if (alive || waited >= LOCK_WAIT_MS) {
            errno = EWOULDBLOCK;
            return false;
        }
        nanosleep(&step, NULL);
    }
    return true;
}

static int take_lock(const char *path, int *ret, struct mw_error *err)
{
    MW_AUTOFREE char *name = mw_asprintf("%s.lock", path);
    int fd, r;

    if (!name)
        return mw_error_set(err, -ENOMEM, "out of memory");
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return mw_error_set(err, -errno, "cannot open %s: %s", name, strerror(errno));
    if (!lock_file(fd)) {
        r = errno == EWOULDBLOCK
                ? say_who_holds(fd, path, err)
                : mw_error_set(err, -errno, "cannot lock %s: %s", name, strerror(errno));
        close(fd);
        return r;
    }
    /* The number is for people; the lock holds without it, so a full disk does no harm here. */
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
        errno = 0;
    *ret = fd;
    return 0;
}

static void drop_lock(int fd)
{
    if (fd < 0)
        return;
    if (ftruncate(fd, 0) < 0)
        errno = 0;
    close(fd);
}

/* ---- Opening ---- */

/* The file is there, readable by us alone, before SQLite sees it; SQLite gives its -wal and -shm
 * the same mode. */
static int create_file(const char *path, struct mw_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0)
        return mw_error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        close(fd);
        return mw_error_set(err, -EINVAL, "%s is not a regular file", path);
    }
    close(fd);
    return 0;
}

/* Some network file systems cannot share the WAL's index: SQLite then stays in another mode. */
static int set_wal(sqlite3 *db, struct mw_error *err)
{
    sqlite3_stmt *st;
    int code, r = mw_db_prepare(db, "PRAGMA journal_mode = wal", &st, err);

    if (r < 0)
        return r;
    code = sqlite3_step(st);
    if (code != SQLITE_ROW)
        r = mw_db_fail(db, code, err);
    else if (!mw_streq(mw_db_text(st, 0), "wal"))
        r = mw_error_set(err, -ENOTSUP, "its file system cannot hold a write-ahead log");
    sqlite3_finalize(st);
    return r;
}

static int open_writer_db(const struct mw_store_params *p, sqlite3 **ret, struct mw_error *err)
{
    static const char settings[] = "PRAGMA wal_autocheckpoint = 0;"
                                   "PRAGMA journal_size_limit = 67108864;"
                                   "PRAGMA cache_size = -16384;";
    MW_AUTODB *db = NULL;
    int r = mw_db_open(p->path, false, &db, err);

    if (r == 0)
        r = mw_migrate(db, p->path, err);
    if (r == 0)
        r = set_wal(db, err);
    if (r == 0)
        r = mw_db_exec(db, settings, err);
    if (r == 0)
        r = mw_db_exec(db,
                       p->synchronous_full == 0 ? "PRAGMA synchronous = NORMAL"
                                                : "PRAGMA synchronous = FULL",
                       err);
    if (r < 0)
        return r;
    *ret = take_ptr(db);
    return 0;
}

/* Also when its rows were deleted since. */
static int last_id(sqlite3 *db, int64_t *ret, struct mw_error *err)
{
    *ret = 0;
    return mw_db_int(db, "SELECT seq FROM sqlite_sequence WHERE name = 'event'", ret, err);
}

static void on_wake(uv_async_t *handle);

static void on_closed(uv_handle_t *handle)
{
    struct mw_store *s = handle->data;

    free(s->path);
    free(s);
}

static int64_t or_default(int64_t value, int64_t if_zero)
{
    return value ? value : if_zero;
}

static struct mw_retention retention(const struct mw_store_params *p)
{
    return (struct mw_retention){
        .keep_ms = p->keep_events_ms,
        .keep_events = p->keep_events,
        .keep_at_least = MW_MAX(or_default(p->keep_at_least_ms, KEEP_AT_LEAST_MS), 0),
        .keep_done_ms = or_default(p->keep_done_ms, KEEP_DONE_MS),
        .interval_ms = or_default(p->prune_interval_ms, PRUNE_INTERVAL_MS),
    };
}

int mw_store_open(uv_loop_t *loop, const struct mw_store_params *params, struct mw_store **ret,
                  struct mw_error *err)
{
    static const struct mw_store_ops no_ops;
    struct mw_store *s = calloc(1, sizeof(*s));
    struct mw_retention keep;
    sqlite3 *db = NULL;
    int64_t last = 0;
    int r;

    if (!s || !(s->path = strdup(params->path))) {
        free(s);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    s->loop = loop;
    s->lock_fd = -1;
    s->ops = params->ops ? params->ops : &no_ops;
    s->userdata = params->userdata;
    s->queue_limit = params->queue_limit ? params->queue_limit : QUEUE_LIMIT;
    s->late_end = &s->late;
    if ((r = take_lock(s->path, &s->lock_fd, err)) < 0 || (r = create_file(s->path, err)) < 0)
        goto fail;
    if ((r = open_writer_db(params, &db, err)) < 0 || (r = last_id(db, &last, err)) < 0 ||
        (r = mw_reader_open(&s->reader, s->path, err)) < 0) {
        mw_error_prefix(err, "cannot open %s", s->path);
        goto fail;
    }
    s->seen.last_event_id = last;
    if ((r = uv_async_init(loop, &s->wake, on_wake)) < 0) {
        mw_error_set(err, r, "cannot open %s: %s", s->path, uv_strerror(r));
        goto fail;
    }
    s->wake.data = s;
    uv_unref((uv_handle_t *)&s->wake);
    keep = retention(params);
    r = mw_writer_start(&s->writer, take_ptr(db), s->path, last, params->synchronous_full != 0,
                        &keep, &s->wake, err);
    if (r < 0) {
        mw_reader_close(&s->reader);
        drop_lock(s->lock_fd);
        uv_close((uv_handle_t *)&s->wake, on_closed);
        return r;
    }
    *ret = s;
    return 0;

fail:
    mw_reader_close(&s->reader);
    sqlite3_close(db);
    drop_lock(s->lock_fd);
    free(s->path);
    free(s);
    return r;
}

/* ---- Transactions: handing over and delivery ---- */

void mw_tx_commit(struct mw_tx *tx, mw_tx_cb cb, void *userdata)
{
    struct mw_store *s = tx->store;

    tx->cb = cb;
    tx->userdata = userdata;
    tx->charged = sizeof(*tx) + tx->ops.cap;
    s->queued_bytes += tx->charged;
    if (s->queued_tx++ == 0)
        uv_ref((uv_handle_t *)&s->wake);
    if (s->queued_bytes >= s->queue_limit)
        s->was_full = true;
    if (!s->closing) {
        mw_writer_submit(&s->writer, tx);
        return;
    }
    tx->next = NULL;
    *s->late_end = tx;
    s->late_end = &tx->next;
}

bool mw_store_full(const struct mw_store *s)
{
    return s->queued_bytes >= s->queue_limit;
}

static void deliver(struct mw_store *s, struct mw_tx *done)
{
    while (done) {
        struct mw_tx *tx = done;

        done = tx->next;
        s->queued_bytes -= tx->charged;
        if (--s->queued_tx == 0)
            uv_unref((uv_handle_t *)&s->wake);
        if (tx->cb)
            tx->cb(&tx->result, tx->userdata);
        mw_tx_free(tx);
    }
}

static void tell_condition(struct mw_store *s, const struct mw_writer_report *before)
{
    if (s->seen.stalls != before->stalls && s->ops->on_condition)
        s->ops->on_condition(MW_STORE_STALLED, s->seen.reason, s->userdata);
    if (!s->seen.stalled && (before->stalled || s->seen.stalls != before->stalls) &&
        s->ops->on_condition)
        s->ops->on_condition(MW_STORE_OK, NULL, s->userdata);
}

static void collect(struct mw_store *s)
{
    struct mw_writer_report before = s->seen;
    bool drained;

    mw_writer_collect(&s->writer, &s->seen);
    tell_condition(s, &before);
    deliver(s, take_ptr(s->seen.done));
    if (s->seen.commits != before.commits && s->ops->on_commit)
        s->ops->on_commit(s->seen.last_event_id, s->userdata);
    drained = s->was_full && s->queued_bytes <= s->queue_limit / 2;
    if (drained) {
        s->was_full = false;
        if (s->ops->on_drain && !s->closing)
            s->ops->on_drain(s->userdata);
    }
}

static void on_wake(uv_async_t *handle)
{
    collect(handle->data);
}

void mw_store_close(struct mw_store *s)
{
    if (!s)
        return;
    s->closing = true;
    mw_writer_stop(&s->writer, STALL_LIMIT_MS);
    collect(s);
    while (s->late) {
        struct mw_tx *late = take_ptr(s->late);

        s->late_end = &s->late;
        for (struct mw_tx *tx = late; tx; tx = tx->next)
            mw_tx_fail(tx, -ECANCELED, "the store is closing");
        deliver(s, late);
    }
    mw_writer_deinit(&s->writer);
    mw_reader_close(&s->reader);
    drop_lock(s->lock_fd);
    uv_close((uv_handle_t *)&s->wake, on_closed);
}

/* ---- Statistics ---- */

static int64_t file_size(const char *path, const char *suffix)
{
    MW_AUTOFREE char *name = mw_asprintf("%s%s", path, suffix);
    struct stat st;

    return name && stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

void mw_store_get_stats(const struct mw_store *s, struct mw_store_stats *ret)
{
    *ret = (struct mw_store_stats){
        .condition = s->seen.stalled ? MW_STORE_STALLED : MW_STORE_OK,
        .reason = s->seen.stalled ? s->seen.reason : NULL,
        .queued_bytes = s->queued_bytes,
        .queued_tx = s->queued_tx,
        .last_event_id = s->seen.last_event_id,
        .commits = s->seen.commits,
        .events_written = s->seen.events,
        .events_duplicate = s->seen.duplicates,
        .file_bytes = file_size(s->path, "") + file_size(s->path, "-wal"),
        .indexed_id = s->seen.chores.indexed_id,
        .pruned_events = s->seen.chores.pruned_events,
        .pruned_work = s->seen.chores.pruned_work,
        .prune_held = s->seen.chores.held,
        .background_trouble = s->seen.chores.trouble[0]       ? s->seen.chores.trouble
                              : s->seen.checkpoint_trouble[0] ? s->seen.checkpoint_trouble
                                                              : NULL,
    };
}

int64_t mw_store_last_event_id(const struct mw_store *s)
{
    return s->seen.last_event_id;
}
