/* The inbox, what was missed, and that neither reads the whole journal. */
#include "store/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/db.h"
#include "store/search.h"
#include "store/store_internal.h"
#include "store/test_store.h"

static int64_t put(struct fixture *f, const char *id, const char *root, unsigned flags, int64_t at)
{
    struct mw_event ev = test_post(id, at);

    ev.root_id = root;
    ev.flags = flags;
    ev.received_at = at;
    return test_event(f, &ev);
}

static bool add(const struct mw_event *ev, void *userdata)
{
    char *text = userdata;
    size_t len = strlen(text);

    snprintf(text + len, 256 - len, "%s%s", len ? " " : "", ev->object);
    return true;
}

static const char *inbox(struct fixture *f, const struct mw_inbox_filter *filter)
{
    static char text[256];

    text[0] = '\0';
    assert_int_equal(mw_store_inbox(f->store, filter, add, text, NULL), 0);
    return text;
}

static void holds_what_is_for_the_bot(void **state)
{
    const struct mw_inbox_filter all = {.bot = "b1"};
    struct mw_event gone = test_post("gone", 900), other = test_post("other", 901);
    struct fixture *f = *state;

    put(f, "noise", "", 0, 1);
    put(f, "dm", "", MW_EVENT_DIRECT, 2);
    put(f, "sys", "", MW_EVENT_DIRECT | MW_EVENT_SYSTEM, 3);
    put(f, "at", "", MW_EVENT_MENTION, 4);
    put(f, "before", "root", 0, 5);
    put(f, "mine", "root", MW_EVENT_OWN, 6);
    put(f, "after", "root", 0, 7);
    put(f, "reply", "at", 0, 8);
    put(f, "own", "", MW_EVENT_OWN, 9);
    put(f, "to-own", "own", 0, 10);
    put(f, "elsewhere", "noise", 0, 11);
    put(f, "gone", "", MW_EVENT_DIRECT, 12);
    gone.kind = MW_EVENT_POST_DELETED;
    test_event(f, &gone);
    other.bot = "b2";
    other.flags = MW_EVENT_DIRECT;
    test_event(f, &other);
    assert_string_equal(inbox(f, &all), "to-own reply after at dm");
    assert_string_equal(
        inbox(f, &(struct mw_inbox_filter){.bot = "b1", .reasons = MW_EVENT_THREAD}),
        "to-own reply after");
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b1", .limit = 2}),
                        "to-own reply");
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b1", .before_id = 8}),
                        "after at dm");
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b1", .since = 8}),
                        "to-own reply");
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b2"}), "other");
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "unknown"}), "");
    assert_int_equal(mw_store_inbox(f->store, &(struct mw_inbox_filter){0}, add, NULL, NULL),
                     -EINVAL);
}

static void the_producer_does_not_set_the_thread(void **state)
{
    struct fixture *f = *state;

    put(f, "p1", "root", MW_EVENT_THREAD, 1);
    assert_string_equal(test_events(f, &(struct mw_event_filter){.flags_any = MW_EVENT_THREAD}),
                        "");
    put(f, "p2", "root", MW_EVENT_MENTION, 2);
    put(f, "p3", "root", 0, 3);
    test_reopen(f);
    put(f, "p4", "root", 0, 4);
    assert_string_equal(test_events(f, &(struct mw_event_filter){.flags_any = MW_EVENT_THREAD}),
                        "post:p3:0 post:p4:0");
}

static void each_reader_has_a_mark(void **state)
{
    struct fixture *f = *state;
    int64_t first = put(f, "d1", "", MW_EVENT_DIRECT, 1), mark = -1;
    struct mw_tx *tx;

    put(f, "d2", "", MW_EVENT_DIRECT, 2);
    assert_int_equal(mw_store_inbox_mark(f->store, "b1", NULL, &mark), 0);
    assert_int_equal(mark, 0);
    tx = test_tx(f);
    assert_int_equal(mw_tx_inbox_seen(tx, "b1", NULL, first), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(mw_store_inbox_mark(f->store, "b1", NULL, &mark), 0);
    assert_int_equal(mark, first);
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b1", .unseen = true}), "d2");
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b1"}), "d2 d1");
    assert_string_equal(
        inbox(f, &(struct mw_inbox_filter){.bot = "b1", .unseen = true, .reader = "tab"}), "d2 d1");
}

/* ---- Missed ---- */

static bool add_channel(const struct mw_missed_channel *c, void *userdata)
{
    char *text = userdata;
    size_t len = strlen(text);

    snprintf(text + len, 512 - len, "%s%s:%u/%u/%u/%u:%lld-%lld%s", len ? " " : "", c->channel_id,
             c->posts, c->mentions, c->direct, c->threads, (long long)c->first_id,
             (long long)c->last_id, c->complete ? "" : "?");
    return true;
}

static const char *missed(struct fixture *f, const struct mw_missed_filter *filter,
                          struct mw_missed *ret)
{
    static char text[512];

    text[0] = '\0';
    assert_int_equal(mw_store_missed(f->store, filter, add_channel, text, ret, NULL), 0);
    return text;
}

static void connection(struct fixture *f, const char *detail, int64_t at)
{
    const struct mw_event ev = {
        .bot = "b1", .kind = MW_EVENT_CONNECTION, .at = at, .received_at = at, .detail = detail};

    assert_true(test_event(f, &ev) > 0);
}

static void sums_up_what_was_missed(void **state)
{
    struct fixture *f = *state;
    struct mw_event other = test_post("o", 0);
    int64_t t = mw_clock_now() - 10000;
    struct mw_missed sum;

    connection(f, "{\"state\":\"online\"}", t);
    put(f, "p1", "", 0, t + 100); /* followed from here on */
    put(f, "p2", "", MW_EVENT_MENTION, t + 200);
    put(f, "p3", "p2", 0, t + 300);
    put(f, "p4", "", MW_EVENT_OWN, t + 400);
    other.at = other.received_at = t + 500;
    other.channel_id = "c2";
    other.flags = MW_EVENT_DIRECT;
    assert_int_equal(test_event(f, &other), 6);

    assert_string_equal(
        missed(f, &(struct mw_missed_filter){.bot = "b1", .since = t + 150, .online = true}, &sum),
        "c2:1/0/1/0:6-6? c1:2/1/0/1:3-4");
    assert_int_equal(sum.channels, 2);
    assert_int_equal(sum.posts, 3);
    assert_int_equal(sum.mentions, 1);
    assert_false(sum.complete);
    assert_false(sum.truncated);
    /* Before the channel was followed nobody knows. */
    assert_string_equal(missed(f,
                               &(struct mw_missed_filter){
                                   .bot = "b1", .since = t, .until = t + 150, .online = true},
                               &sum),
                        "c1:1/0/0/0:2-2?");
    /* After a crash: up to the last sign of life. */
    assert_string_equal(
        missed(f, &(struct mw_missed_filter){.bot = "b1", .since = t + 150, .until = t + 350},
               &sum),
        "c1:2/1/0/1:3-4");
    assert_true(sum.complete);
    assert_int_equal(sum.covered_until, t + 500);
    missed(f, &(struct mw_missed_filter){.bot = "b1", .since = t + 150}, &sum);
    assert_false(sum.complete);
    /* Disconnected: up to then, whatever was received since. */
    connection(f, "{\"state\":\"waiting\"}", t + 600);
    put(f, "late", "", MW_EVENT_CAUGHT_UP, t + 700);
    assert_string_equal(missed(f, &(struct mw_missed_filter){.bot = "b1", .since = t + 150}, &sum),
                        "c1:3/1/0/1:3-8? c2:1/0/1/0:6-6?");
    assert_int_equal(sum.covered_until, t + 600);
    /* Limits are told. */
    assert_string_equal(
        missed(f,
               &(struct mw_missed_filter){.bot = "b1", .since = t, .scan_limit = 1, .online = true},
               &sum),
        "c1:1/0/0/0:8-8?");
    assert_true(sum.truncated);
    assert_int_equal(sum.looked_to, 8);
    missed(f, &(struct mw_missed_filter){.bot = "b1", .since = t, .max_channels = 1}, &sum);
    assert_true(sum.truncated);
    assert_int_equal(sum.channels, 1);
    /* Nothing for somebody who is not there. */
    assert_string_equal(missed(f, &(struct mw_missed_filter){.bot = "b9"}, &sum), "");
    assert_false(sum.complete);
}

static void finds_where_to_begin(void **state)
{
    struct fixture *f = *state;
    int64_t t = mw_clock_now() - 24 * 3600 * 1000;
    struct mw_missed sum;
    char id[16];

    for (int i = 0; i < 24; i++) {
        snprintf(id, sizeof(id), "p%d", i);
        put(f, id, "", 0, t + i * 3600 * 1000ll);
    }
    assert_string_equal(
        missed(f,
               &(struct mw_missed_filter){
                   .bot = "b1", .since = t + 22 * 3600 * 1000ll, .scan_limit = 2, .online = true},
               &sum),
        "c1:2/0/0/0:23-24");
    assert_true(sum.complete);
}

static bool ignore(const struct mw_event *ev, const char *snippet, void *userdata)
{
    return true;
}

/* Everything that was prepared for the queries above, explained. */
static void no_query_reads_the_whole_journal(void **state)
{
    static const struct mw_search search = {.query = "hello"};
    struct fixture *f = *state;
    struct mw_missed sum;
    const char *sql;
    int explained = 0;
    size_t it = 0;

    put(f, "p1", "", MW_EVENT_DIRECT, 10);
    test_indexed(f);
    inbox(f, &(struct mw_inbox_filter){.bot = "b1", .unseen = true});
    missed(f, &(struct mw_missed_filter){.bot = "b1"}, &sum);
    assert_int_equal(mw_store_search(f->store, &search, ignore, NULL, NULL, NULL), 0);
    while (mw_map_next(&f->store->reader.statements, &it, &sql, NULL)) {
        MW_AUTOFREE char *explain = mw_asprintf("EXPLAIN QUERY PLAN %s", sql);
        sqlite3_stmt *st;

        assert_int_equal(mw_db_prepare(f->store->reader.db, explain, &st, NULL), 0);
        while (sqlite3_step(st) == SQLITE_ROW) {
            const char *step = mw_db_text(st, 3);

            /* Newest rows by id up to a limit are no scan of all. */
            if ((strncmp(step, "SCAN event", 10) == 0 && !strstr(sql, "ORDER BY id DESC LIMIT")) ||
                strstr(step, "TEMP B-TREE"))
                fail_msg("%s: %s", sql, step);
            explained++;
        }
        sqlite3_finalize(st);
    }
    assert_true(explained > 8);
}

static bool count_hit(const struct mw_event *ev, const char *snippet, void *userdata)
{
    ++*(int *)userdata;
    return true;
}

/* A journal from before there were search, threads and retention. */
static void an_old_journal_gets_it_all(void **state)
{
    static const char back[] =
        "DROP TABLE file; DROP TABLE search; DROP TABLE background; DROP TABLE pruned; DROP TABLE "
        "thread;"
        "DROP INDEX event_inbox; DROP INDEX task_done; DROP INDEX outbox_sent;"
        "ALTER TABLE bot DROP COLUMN kept; ALTER TABLE position DROP COLUMN first_at;"
        "DROP INDEX kv_expires; ALTER TABLE kv DROP COLUMN expires_at;"
        "INSERT INTO kv (scope, key, value) VALUES ('follow:b', 'r1', '1'), ('acp:h', 'c', 's'),"
        " ('follow:b', 'r2', '9999999999999'), ('pair:b', 'state', '{}');"
        "UPDATE event SET flags = flags & ~256; PRAGMA user_version = 1";
    static const char *const state_left[][2] = {
        {"acp:h", "c"}, {"follow:b", "r2"}, {"pair:b", "state"}};
    struct mw_store_stats stats;
    const struct mw_search search = {.query = "hello"};
    struct mw_search_result result;
    struct fixture *f = *state;
    struct mw_missed sum;
    sqlite3 *db = NULL;
    int n = 0;

    put(f, "before", "root", 0, 1000);
    put(f, "mine", "root", MW_EVENT_OWN, 1001);
    put(f, "after", "root", 0, 1002);
    put(f, "dm", "", MW_EVENT_DIRECT, 1003);
    test_close(f);
    assert_int_equal(mw_db_open(f->path, false, &db, NULL), 0);
    assert_int_equal(mw_db_exec(db, back, NULL), 0);
    sqlite3_close(db);
    test_open(f);
    test_indexed(f);
    do {
        test_turn(f);
        mw_store_get_stats(f->store, &stats);
    } while (stats.pruned_work < 1);
    for (size_t i = 0; i < MW_ARRAY_LEN(state_left); i++) {
        MW_AUTOFREE char *value = NULL;

        assert_int_equal(mw_store_get(f->store, state_left[i][0], state_left[i][1], &value), 0);
    }
    assert_int_equal(stats.pruned_work, 1); /* a thread that was followed long ago */
    /* Which reply came first is not asked of old rows. */
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b1"}), "dm after before");
    assert_int_equal(mw_store_search(f->store, &search, count_hit, &n, &result, NULL), 0);
    assert_int_equal(n, 4);
    assert_int_equal(result.indexed_id, 4);
    assert_true(result.complete);
    assert_string_equal(
        missed(f, &(struct mw_missed_filter){.bot = "b1", .since = 1003, .online = true}, &sum),
        "c1:1/0/1/0:4-4");
    assert_true(sum.complete);
    put(f, "later", "root", 0, 1004);
    assert_string_equal(inbox(f, &(struct mw_inbox_filter){.bot = "b1", .limit = 1}), "later");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(holds_what_is_for_the_bot),
        TEST(the_producer_does_not_set_the_thread),
        TEST(each_reader_has_a_mark),
        TEST(sums_up_what_was_missed),
        TEST(finds_where_to_begin),
        TEST(an_old_journal_gets_it_all),
        TEST(no_query_reads_the_whole_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
