/* What is known of fetched files: rows, totals, and what may go. */
#include "store/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/test_store.h"

static void put(struct fixture *f, const char *id, const char *hash, int64_t size, int64_t used_at)
{
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_file_put(tx, &(struct mw_file){.id = id,
                                                          .hash = hash,
                                                          .name = "a b.txt",
                                                          .type = "text/plain",
                                                          .size = size,
                                                          .used_at = used_at}),
                     0);
    assert_int_equal(test_commit(f, tx), 0);
}

static void look(const struct mw_file *file, void *userdata)
{
    snprintf(userdata, 256, "%s %s %s %s %d %d", file->id, file->hash, file->name, file->type,
             (int)file->size, (int)file->used_at);
}

static const char *known(struct fixture *f, const char *id)
{
    static char text[256];
    int r = mw_store_file(f->store, id, look, text);

    assert_true(r >= 0);
    return r == 0 ? text : "none";
}

static bool add(const char *hash, int64_t size, void *userdata)
{
    char *text = userdata;
    size_t len = strlen(text);

    snprintf(text + len, 256 - len, "%s%s:%d", len ? " " : "", hash, (int)size);
    return true;
}

static const char *idle(struct fixture *f)
{
    static char text[256];

    text[0] = '\0';
    assert_int_equal(mw_store_file_idle(f->store, add, text), 0);
    return text;
}

static void totals_are(struct fixture *f, int64_t count, int64_t bytes)
{
    int64_t n = -1, sum = -1;

    assert_int_equal(mw_store_file_totals(f->store, &n, &sum), 0);
    assert_int_equal(n, count);
    assert_int_equal(sum, bytes);
}

static void rows_survive_and_content_counts_once(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx;

    totals_are(f, 0, 0);
    assert_string_equal(known(f, "f1"), "none");
    put(f, "f1", "aa", 10, 1);
    put(f, "f2", "bb", 20, 2);
    put(f, "f3", "aa", 10, 3);
    test_reopen(f);
    assert_string_equal(known(f, "f1"), "f1 aa a b.txt text/plain 10 1");
    totals_are(f, 2, 30);
    assert_int_equal(mw_store_file_content(f->store, "aa"), 0);
    assert_int_equal(mw_store_file_content(f->store, "cc"), 1);

    tx = test_tx(f);
    assert_int_equal(mw_tx_file_used(tx, "f1", 9) | mw_tx_file_used(tx, "unknown", 9), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(known(f, "f1"), "f1 aa a b.txt text/plain 10 9");

    tx = test_tx(f);
    assert_int_equal(mw_tx_file_forget(tx, "aa"), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(known(f, "f1"), "none");
    assert_string_equal(known(f, "f3"), "none");
    assert_int_equal(mw_store_file_content(f->store, "aa"), 1);
    totals_are(f, 1, 20);
}

/* The last use of any of its ids counts for a content. */
static void the_least_recently_used_comes_first(void **state)
{
    struct fixture *f = *state;

    put(f, "f1", "aa", 10, 1);
    put(f, "f2", "bb", 20, 2);
    put(f, "f3", "aa", 10, 3);
    put(f, "f4", "cc", 30, 2);
    assert_string_equal(idle(f), "bb:20 cc:30 aa:10");
}

static void what_a_pending_task_needs_is_not_idle(void **state)
{
    struct mw_event with = test_post("p1", 1), without = test_post("p2", 2);
    struct fixture *f = *state;
    struct mw_tx *tx = test_tx(f);
    int64_t task;

    with.files = "[\"f1\",\"f9\"]";
    put(f, "f1", "aa", 10, 1);
    put(f, "f2", "bb", 20, 2);
    put(f, "f3", "aa", 10, 3);
    assert_int_equal(
        mw_tx_task_add(tx, &(struct mw_task){.event_id = test_event(f, &without), .bot = "b1"}) |
            mw_tx_task_add(tx, &(struct mw_task){.event_id = test_event(f, &with), .bot = "b1"}),
        0);
    assert_int_equal(test_commit(f, tx), 0);
    task = f->result.task_id;
    assert_string_equal(idle(f), "bb:20");

    tx = test_tx(f);
    assert_int_equal(mw_tx_task_end(tx, task, MW_TASK_FAILED, "no"), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(idle(f), "bb:20 aa:10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_survive_and_content_counts_once, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(the_least_recently_used_comes_first, test_setup,
                                        test_teardown),
        cmocka_unit_test_setup_teardown(what_a_pending_task_needs_is_not_idle, test_setup,
                                        test_teardown),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
