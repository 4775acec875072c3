/*
 * Every allocation of the store fails once, those that SQLite makes too (by itself it asks for a
 * page cache and lookaside memory early, so that few fall into the work). What a caller was told to
 * be committed is there, what was refused is not, nothing is there twice, and the writer gets over
 * it: lack of memory inside the database is a stall, not the end.
 */
#include "base/alloc_fail.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "base/test.h"
#include "store/store.h"
#include "store/test_store.h"

#define TRANSACTIONS 3

/* When SQLite's allocations count: opening makes thousands, so they have a test of their own. */
static enum { SQLITE_NEVER, SQLITE_OPENING, SQLITE_WORKING } sqlite_counts;
static atomic_bool sqlite_now;

struct work {
    uv_loop_t loop;
    struct mw_store *store;
    char path[96];
    unsigned came;
    int errors[TRANSACTIONS];
};

static void on_done(const struct mw_tx_result *r, void *userdata)
{
    struct work *w = userdata;

    assert_true(w->came < TRANSACTIONS);
    w->errors[w->came++] = r->error;
    if (r->error)
        assert_non_null(r->message);
    if (w->came == TRANSACTIONS)
        uv_stop(&w->loop);
}

static bool count_event(const struct mw_event *ev, void *userdata)
{
    (*(unsigned *)userdata)++;
    return true;
}

static bool count_task(const struct mw_task *t, void *userdata)
{
    (*(unsigned *)userdata)++;
    return true;
}

static bool count_outbox(const struct mw_outbox *o, void *userdata)
{
    (*(unsigned *)userdata)++;
    return true;
}

static int open_store(struct work *w)
{
    const struct mw_store_params params = {.path = w->path, .synchronous_full = 0};
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r;

    atomic_store(&sqlite_now, sqlite_counts == SQLITE_OPENING);
    r = mw_store_open(&w->loop, &params, &w->store, &err);
    atomic_store(&sqlite_now, sqlite_counts == SQLITE_WORKING);
    if (r < 0) {
        assert_null(w->store);
        assert_int_equal(err.code, r);
    }
    return r;
}

static void close_store(struct work *w)
{
    mw_store_close(take_ptr(w->store));
    atomic_store(&sqlite_now, false);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

/* Hands over transaction number i; false when there was no memory for it at all. */
static bool submit(struct work *w, unsigned i)
{
    struct mw_tx *tx = mw_tx_new(w->store);
    char id[16];
    struct mw_event ev;
    const struct mw_outbox out = {
        .bot = "b1", .key = id, .kind = "post", .conversation = "c", .payload = "{}"};

    if (!tx)
        return false;
    snprintf(id, sizeof(id), "p%u", i);
    ev = test_post(id, 1000 + i);
    (void)(mw_tx_event(tx, &ev) | mw_tx_cursor(tx, "consumer", i + 1) |
           mw_tx_task_add(tx, &(struct mw_task){.bot = "b1", .handler = "h", .event_id = 1}) |
           mw_tx_outbox_add(tx, &out) | mw_tx_set(tx, "scope", id, "value") |
           mw_tx_position(tx, "b1", "c1", 1000 + i, id, 1000 + i));
    mw_tx_commit(tx, on_done, w);
    return true;
}

/* The first lack of memory that a query meets, 0 when none did. */
static int query(struct work *w, unsigned *events, unsigned *tasks, unsigned *outbox)
{
    const struct mw_event_filter filter = {.bot = "b1", .channel_id = "c1"};
    MW_AUTOFREE char *value = NULL;
    struct mw_position position;
    int64_t n;
    int r = mw_store_events(w->store, &filter, count_event, events, NULL);

    if (r >= 0)
        r = mw_store_tasks(w->store, "b1", MW_TASK_PENDING, 0, 0, count_task, tasks);
    if (r >= 0)
        r = mw_store_outbox(w->store, "b1", 0, 0, 0, count_outbox, outbox);
    if (r >= 0)
        r = mw_store_position(w->store, "b1", "c1", &position);
    if (r >= 0)
        r = mw_store_cursor(w->store, "consumer", &n);
    if (r >= 0)
        r = mw_store_outbox_count(w->store, "b1", MW_OUTBOX_PENDING, &n);
    if (r >= 0)
        r = mw_store_get(w->store, "scope", "p0", &value);
    return r < 0 ? r : 0;
}

static void remove_files(const struct work *w)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    char name[128];

    for (size_t i = 0; i < MW_ARRAY_LEN(suffixes); i++) {
        snprintf(name, sizeof(name), "%s%s", w->path, suffixes[i]);
        unlink(name);
    }
}

/* What is in the file is what was told, once each. Nothing fails here. */
static void check(struct work *w, unsigned committed)
{
    unsigned events = 0, tasks = 0, outbox = 0;

    mw_alloc_fail_suspend();
    assert_int_equal(open_store(w), 0);
    assert_int_equal(query(w, &events, &tasks, &outbox), 0);
    assert_int_equal(events, committed);
    assert_int_equal(tasks, committed);
    assert_int_equal(outbox, committed);
    close_store(w);
    mw_alloc_fail_resume();
}

static int scenario(void *userdata)
{
    struct work w = {0};
    unsigned submitted = 0, committed = 0, events = 0, tasks = 0, outbox = 0;
    int r;

    snprintf(w.path, sizeof(w.path), "%s/state.db", (const char *)userdata);
    assert_int_equal(uv_loop_init(&w.loop), 0);
    r = open_store(&w);
    if (r == 0) {
        for (unsigned i = 0; i < TRANSACTIONS; i++)
            submitted += submit(&w, i);
        r = query(&w, &events, &tasks, &outbox);
        if (submitted == TRANSACTIONS)
            uv_run(&w.loop, UV_RUN_DEFAULT);
        if (r == 0)
            r = query(&w, &events, &tasks, &outbox);
        close_store(&w);
        assert_int_equal(w.came, submitted);
        for (unsigned i = 0; i < submitted; i++) {
            committed += w.errors[i] == 0;
            if (w.errors[i])
                r = w.errors[i];
        }
        if (submitted < TRANSACTIONS)
            r = -ENOMEM;
        check(&w, committed);
    }
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    remove_files(&w);
    return r;
}

static int opening(void *userdata)
{
    struct work w = {0};
    int r;

    snprintf(w.path, sizeof(w.path), "%s/state.db", (const char *)userdata);
    assert_int_equal(uv_loop_init(&w.loop), 0);
    r = open_store(&w);
    if (r == 0)
        close_store(&w);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    remove_files(&w);
    return r;
}

static void each(mw_alloc_fail_scenario what, unsigned at_least)
{
    char dir[] = "/tmp/mw-store-alloc-XXXXXX";
    unsigned n;

    assert_non_null(mkdtemp(dir));
    n = mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, what, dir, 0);
    print_message("%u allocations failed\n", n);
    assert_true(n > at_least);
    assert_int_equal(rmdir(dir), 0);
}

static void test_store(void **state)
{
    sqlite_counts = SQLITE_NEVER;
    each(scenario, 30);
}

static void test_sqlite_opening(void **state)
{
    sqlite_counts = SQLITE_OPENING;
    mw_alloc_fail_every(61); /* of thousands: the schema is made and read */
    each(opening, 50);
}

static void test_sqlite_working(void **state)
{
    sqlite_counts = SQLITE_WORKING;
    mw_alloc_fail_every(31);
    each(scenario, 50);
}

static int event_forms(void *userdata)
{
    const struct mw_event ev = test_post("p1", 5);
    MW_AUTOFREE struct mw_event *copy = mw_event_dup(&ev);
    MW_AUTOBUF b = {0};

    if (!copy)
        return -ENOMEM;
    return mw_event_write_json(&b, copy, true);
}

static void test_event_forms(void **state)
{
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, event_forms, NULL, 0) > 1);
}

/* SQLite's own allocations count as well. The size stands before the block, because SQLite asks. */
static void *sqlite_malloc(int size)
{
    size_t whole = (size_t)size + sizeof(int64_t);
    int64_t *p =
        atomic_load(&sqlite_now) ? mw_alloc_fail_malloc(whole) : mw_alloc_fail_never(NULL, whole);

    if (!p)
        return NULL;
    *p = size;
    return p + 1;
}

static void sqlite_free(void *p)
{
    if (p)
        free((int64_t *)p - 1);
}

static void *sqlite_realloc(void *p, int size)
{
    size_t whole = (size_t)size + sizeof(int64_t);
    int64_t *old = (int64_t *)p - 1;
    int64_t *q = atomic_load(&sqlite_now) ? mw_alloc_fail_realloc(old, whole)
                                          : mw_alloc_fail_never(old, whole);

    if (!q)
        return NULL;
    *q = size;
    return q + 1;
}

static int sqlite_size(void *p)
{
    return p ? (int)((int64_t *)p)[-1] : 0;
}

static int sqlite_round(int size)
{
    return (size + 7) & ~7;
}

static int sqlite_start(void *userdata)
{
    return SQLITE_OK;
}

static void sqlite_stop(void *userdata)
{
}

int main(void)
{
    static const struct sqlite3_mem_methods methods = {
        sqlite_malloc, sqlite_free,  sqlite_realloc, sqlite_size,
        sqlite_round,  sqlite_start, sqlite_stop,    NULL,
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_forms),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_sqlite_opening),
        cmocka_unit_test(test_sqlite_working),
    };

    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
        sqlite3_initialize() != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
