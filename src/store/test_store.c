#include "store/test_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"

static void on_commit(int64_t last_id, void *userdata)
{
    struct fixture *f = userdata;

    f->committed = last_id;
    f->commits++;
}

static void on_drain(void *userdata)
{
    ((struct fixture *)userdata)->drains++;
}

static void on_condition(enum mw_store_condition c, const char *reason, void *userdata)
{
    struct fixture *f = userdata;

    if (c == MW_STORE_STALLED) {
        f->stalls++;
        snprintf(f->reason, sizeof(f->reason), "%s", reason);
    } else {
        assert_null(reason);
        f->recoveries++;
    }
}

static const struct mw_store_ops ops = {
    .on_commit = on_commit,
    .on_drain = on_drain,
    .on_condition = on_condition,
};

void test_open(struct fixture *f)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (mw_store_open(&f->loop, &f->params, &f->store, &err) < 0)
        fail_msg("%s", mw_error_text(&err));
}

void test_close(struct fixture *f)
{
    mw_store_close(take_ptr(f->store));
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

void test_reopen(struct fixture *f)
{
    test_close(f);
    test_open(f);
}

int test_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    snprintf(f->dir, sizeof(f->dir), "/tmp/mw-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    f->params = (struct mw_store_params){
        .path = f->path,
        .synchronous_full = 1,
        .ops = &ops,
        .userdata = f,
    };
    test_open(f);
    *state = f;
    return 0;
}

int test_teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    struct fixture *f = *state;

    if (f->store)
        test_close(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    for (size_t i = 0; i < MW_ARRAY_LEN(suffixes); i++) {
        MW_AUTOFREE char *name = mw_asprintf("%s%s", f->path, suffixes[i]);

        unlink(name);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

struct mw_tx *test_tx(struct fixture *f)
{
    struct mw_tx *tx = mw_tx_new(f->store);

    assert_non_null(tx);
    return tx;
}

struct wait {
    struct fixture *f;
    bool came;
};

static void on_done(const struct mw_tx_result *r, void *userdata)
{
    struct wait *w = userdata;

    assert_false(w->came);
    w->came = true;
    w->f->result = *r;
    w->f->result.message = NULL;
    snprintf(w->f->message, sizeof(w->f->message), "%s", r->message ? r->message : "");
    assert_int_equal(r->error != 0, r->message != NULL);
}

int test_commit(struct fixture *f, struct mw_tx *tx)
{
    struct wait w = {.f = f};

    mw_tx_commit(tx, on_done, &w);
    assert_false(w.came);
    while (!w.came)
        uv_run(&f->loop, UV_RUN_ONCE);
    return f->result.error;
}

struct mw_event test_post(const char *id, int64_t at)
{
    return (struct mw_event){
        .bot = "b1",
        .kind = MW_EVENT_POST,
        .at = at,
        .received_at = at + 5,
        .object = id,
        .post_id = id,
        .channel_id = "c1",
        .channel_name = "town-square",
        .channel_type = "O",
        .user_id = "u1",
        .user_name = "ada",
        .text = "hello",
    };
}

int64_t test_event(struct fixture *f, const struct mw_event *ev)
{
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_event(tx, ev), 0);
    assert_int_equal(test_commit(f, tx), 0);
    return f->result.event_id;
}

int64_t test_observed(struct fixture *f, const struct mw_event *ev, int64_t deleted_at)
{
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_observed_post(tx, ev, deleted_at), 0);
    assert_int_equal(test_commit(f, tx), 0);
    return f->result.event_id;
}

static void on_turn(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

void test_turn(struct fixture *f)
{
    uv_timer_t timer;

    assert_int_equal(uv_timer_init(&f->loop, &timer), 0);
    uv_timer_start(&timer, on_turn, 5, 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
}

void test_indexed(struct fixture *f)
{
    struct mw_store_stats stats;

    for (;;) {
        mw_store_get_stats(f->store, &stats);
        if (stats.indexed_id >= stats.last_event_id)
            return;
        test_turn(f);
    }
}

static bool add_row(const struct mw_event *ev, void *userdata)
{
    struct mw_buf *b = userdata;

    mw_buf_printf(b, "%s%s:%s:%lld", b->len ? " " : "", mw_event_kind_name(ev->kind), ev->object,
                  (long long)ev->revision);
    return true;
}

const char *test_events(struct fixture *f, const struct mw_event_filter *filter)
{
    static const struct mw_event_filter all;
    static char text[4096];
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(mw_store_events(f->store, filter ? filter : &all, add_row, &b, NULL), 0);
    snprintf(text, sizeof(text), "%s", mw_buf_str(&b));
    return text;
}
