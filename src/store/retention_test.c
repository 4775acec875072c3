/* Retention: what goes, what stays, and that what went does not come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/search.h"
#include "store/test_store.h"

#define DAY (24 * 3600 * 1000ll)

static int64_t put(struct fixture *f, const char *bot, const char *id, int64_t at, int64_t age)
{
    struct mw_event ev = test_post(id, at);

    ev.bot = bot;
    ev.received_at = mw_clock_now() - age;
    return test_event(f, &ev);
}

/* Closes, sets what is kept, opens, and waits for as many deletions. */
static void prune(struct fixture *f, int64_t keep_ms, int64_t keep_events, int64_t pruned)
{
    struct mw_store_stats stats;

    f->params.keep_events_ms = keep_ms;
    f->params.keep_events = keep_events;
    f->params.keep_at_least_ms = -1;
    f->params.prune_interval_ms = 5;
    test_reopen(f);
    do {
        test_turn(f);
        mw_store_get_stats(f->store, &stats);
    } while (stats.pruned_events < pruned);
    /* Some more rounds, which must find nothing. */
    for (int i = 0; i < 10; i++)
        test_turn(f);
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.pruned_events, pruned);
    assert_null(stats.background_trouble);
}

static void off_by_default(void **state)
{
    struct fixture *f = *state;

    put(f, "b1", "p1", 1, 10000 * DAY);
    prune(f, 0, 0, 0);
    assert_string_equal(test_events(f, NULL), "post:p1:0");
}

static void by_age(void **state)
{
    struct fixture *f = *state;

    put(f, "b1", "p1", 1, 3 * DAY);
    put(f, "b2", "p2", 2, 3 * DAY);
    put(f, "b1", "p3", 3, DAY);
    prune(f, 2 * DAY, 0, 2);
    assert_string_equal(test_events(f, NULL), "post:p3:0");
    assert_int_equal(mw_store_last_event_id(f->store), 3);
    assert_int_equal(put(f, "b1", "p4", 4, 0), 4);
}

static void by_count_of_each_bot(void **state)
{
    struct fixture *f = *state;
    char id[8];

    for (int i = 0; i < 6; i++) {
        snprintf(id, sizeof(id), "a%d", i);
        put(f, "b1", id, i + 1, DAY);
    }
    put(f, "b2", "x1", 7, DAY);
    put(f, "b2", "x2", 8, DAY);
    put(f, "b1", "a6", 9, DAY);
    prune(f, 0, 2, 5);
    assert_string_equal(test_events(f, NULL), "post:a5:0 post:x1:0 post:x2:0 post:a6:0");
    prune(f, 0, 1, 2);
    assert_string_equal(test_events(f, NULL), "post:x2:0 post:a6:0");
}

static void keeps_the_last_hour(void **state)
{
    struct fixture *f = *state;

    put(f, "b1", "p1", 1, 1000);
    put(f, "b1", "p2", 2, 0);
    f->params.keep_events = 1;
    f->params.prune_interval_ms = 5;
    test_reopen(f);
    test_indexed(f);
    for (int i = 0; i < 10; i++)
        test_turn(f);
    assert_string_equal(test_events(f, NULL), "post:p1:0 post:p2:0");
}

static void keeps_what_is_needed(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx = test_tx(f);
    struct mw_store_stats stats;
    int64_t pending, unsent, task, outbox;

    put(f, "b1", "p1", 1, DAY);
    pending = put(f, "b1", "p2", 2, DAY);
    unsent = put(f, "b1", "p3", 3, DAY);
    put(f, "b1", "p4", 4, DAY);
    put(f, "b1", "p5", 5, DAY);
    assert_int_equal(
        mw_tx_cursor(tx, "slow", 4) | mw_tx_cursor(tx, "fast", 5) |
            mw_tx_task_add(tx, &(struct mw_task){.event_id = pending, .bot = "b1"}) |
            mw_tx_outbox_add(
                tx,
                &(struct mw_outbox){.bot = "b1", .key = "k", .kind = "post", .event_id = unsent}),
        0);
    assert_int_equal(test_commit(f, tx), 0);
    task = f->result.task_id;
    outbox = f->result.outbox_id;
    prune(f, 1000, 0, 2);
    assert_string_equal(test_events(f, NULL), "post:p2:0 post:p3:0 post:p5:0");
    mw_store_get_stats(f->store, &stats);
    assert_true(stats.prune_held);
    tx = test_tx(f);
    assert_int_equal(mw_tx_cursor(tx, "slow", 5) | mw_tx_task_end(tx, task, MW_TASK_DONE, NULL) |
                         mw_tx_outbox_update(tx, outbox, MW_OUTBOX_SENT, 1, 0, 0, "r", NULL, NULL),
                     0);
    assert_int_equal(test_commit(f, tx), 0);
    do {
        test_turn(f);
        mw_store_get_stats(f->store, &stats);
    } while (stats.pruned_events < 5);
    assert_string_equal(test_events(f, NULL), "");
    assert_false(stats.prune_held);
}

static void what_went_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    struct mw_event old = test_post("p1", 100), newer = test_post("p9", 102);
    struct mw_event unknown = test_post("p0", 50), other = test_post("p8", 50);

    put(f, "b1", "p1", 100, DAY);
    put(f, "b1", "p2", 101, DAY);
    prune(f, 1000, 0, 2);
    f->params.keep_events_ms = 0;
    test_reopen(f);
    old.flags = newer.flags = unknown.flags = other.flags = MW_EVENT_CAUGHT_UP;
    /* As a sweep by `since` or a second reading of the channel shows it. */
    assert_int_equal(test_observed(f, &old, 0), 0);
    assert_int_equal(test_observed(f, &unknown, 0), 0);
    /* An edit that was made before the deletion of the row was known, too. */
    old.revision = 101;
    assert_int_equal(test_observed(f, &old, 0), 0);
    /* An edit of today is news, once; so is the deletion. */
    old.revision = 200;
    assert_true(test_observed(f, &old, 0) > 0);
    assert_int_equal(test_observed(f, &old, 0), 0);
    assert_true(test_observed(f, &old, 300) > 0);
    assert_int_equal(test_observed(f, &old, 300), 0);
    /* New posts, and other channels, are as ever. */
    assert_true(test_observed(f, &newer, 0) > 0);
    other.channel_id = "c2";
    assert_true(test_observed(f, &other, 0) > 0);
    assert_string_equal(test_events(f, NULL),
                        "post_edited:p1:200 post_deleted:p1:0 post:p9:0 post:p8:0");
}

static bool count(const struct mw_event *ev, const char *snippet, void *userdata)
{
    ++*(int *)userdata;
    return true;
}

static void search_forgets_with_it(void **state)
{
    const struct mw_search s = {.query = "hello"};
    struct mw_search_result result;
    struct fixture *f = *state;
    int n = 0;

    put(f, "b1", "p1", 1, DAY);
    put(f, "b1", "p2", 2, 0);
    test_indexed(f);
    prune(f, 3600 * 1000, 0, 1);
    assert_int_equal(mw_store_search(f->store, &s, count, &n, &result, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(result.compared, 1);
}

static bool count_task(const struct mw_task *t, void *userdata)
{
    ++*(int *)userdata;
    return true;
}

static void finished_work_goes(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx = test_tx(f);
    struct mw_store_stats stats;
    int64_t task, outbox;
    int n = 0;

    assert_int_equal(
        mw_tx_task_add(tx, &(struct mw_task){.event_id = 1, .bot = "b1"}) |
            mw_tx_outbox_add(tx, &(struct mw_outbox){.bot = "b1", .key = "k", .kind = "post"}),
        0);
    assert_int_equal(test_commit(f, tx), 0);
    task = f->result.task_id;
    outbox = f->result.outbox_id;
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_add(tx, &(struct mw_task){.event_id = 2, .bot = "b1"}) |
                         mw_tx_task_end(tx, task, MW_TASK_DONE, NULL) |
                         mw_tx_outbox_update(tx, outbox, MW_OUTBOX_SENT, 1, 0, 0, "r", NULL, NULL),
                     0);
    assert_int_equal(test_commit(f, tx), 0);
    prune(f, 0, 0, 0);
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.pruned_work, 0);
    f->params.keep_done_ms = 1;
    test_reopen(f);
    do {
        test_turn(f);
        mw_store_get_stats(f->store, &stats);
    } while (stats.pruned_work < 2);
    assert_int_equal(mw_store_tasks(f->store, NULL, 0, 0, 0, count_task, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(mw_store_outbox_key(f->store, "b1", "k", NULL, NULL), 1);
}

static char *state_keys(struct fixture *f)
{
    static const char *const keys[] = {"never", "over", "anew", "unset", "later"};
    MW_AUTOBUF b = {0};

    for (size_t i = 0; i < MW_ARRAY_LEN(keys); i++) {
        MW_AUTOFREE char *value = NULL;

        if (mw_store_get(f->store, "s", keys[i], &value) == 0)
            mw_buf_printf(&b, "%s=%s ", keys[i], value);
    }
    return mw_buf_take(&b);
}

static void state_expires(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx = test_tx(f);
    MW_AUTOFREE char *keys = NULL;
    struct mw_store_stats stats;

    /* The last that was set counts. */
    assert_int_equal(mw_tx_set(tx, "s", "never", "1") | mw_tx_set_until(tx, "s", "over", "2", 1) |
                         mw_tx_set_until(tx, "s", "anew", "3", 1) |
                         mw_tx_set_until(tx, "s", "anew", "4", mw_clock_now() + DAY) |
                         mw_tx_set_until(tx, "s", "unset", "5", 1) |
                         mw_tx_set(tx, "s", "unset", "6") |
                         mw_tx_set_until(tx, "s", "later", "7", mw_clock_now() + DAY),
                     0);
    assert_int_equal(test_commit(f, tx), 0);
    f->params.prune_interval_ms = 5;
    f->params.keep_done_ms = -1; /* does not matter for it */
    test_reopen(f);
    do {
        test_turn(f);
        mw_store_get_stats(f->store, &stats);
    } while (stats.pruned_work < 1);
    for (int i = 0; i < 10; i++)
        test_turn(f);
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.pruned_work, 1);
    keys = state_keys(f);
    assert_string_equal(keys, "never=1 anew=4 unset=6 later=7 ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(off_by_default),
        TEST(by_age),
        TEST(state_expires),
        TEST(by_count_of_each_bot),
        TEST(keeps_the_last_hour),
        TEST(keeps_what_is_needed),
        TEST(what_went_does_not_come_back),
        TEST(search_forgets_with_it),
        TEST(finished_work_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
