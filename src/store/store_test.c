#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/str.h"
#include "store/test_store.h"

static struct mw_event got;
static char got_text[16][64];

static bool keep_event(const struct mw_event *ev, void *userdata)
{
    int i = 0;

    got = *ev;
#define KEEP(m) got.m = strcpy(got_text[i++], ev->m)
    KEEP(bot);
    KEEP(object);
    KEEP(post_id);
    KEEP(root_id);
    KEEP(channel_id);
    KEEP(channel_name);
    KEEP(channel_type);
    KEEP(team_id);
    KEEP(team_name);
    KEEP(user_id);
    KEEP(user_name);
    KEEP(text);
    KEEP(files);
    KEEP(detail);
    KEEP(raw);
#undef KEEP
    return true;
}

static void event_comes_back_whole(void **state)
{
    struct fixture *f = *state;
    struct mw_event ev = {
        .bot = "b1",
        .kind = MW_EVENT_REACTION_ADDED,
        .flags = MW_EVENT_DIRECT | MW_EVENT_GROUP,
        .at = 10,
        .received_at = 11,
        .object = "p/u/smile",
        .revision = 10,
        .post_id = "p",
        .root_id = "r",
        .channel_id = "c",
        .channel_name = "cn",
        .channel_type = "D",
        .team_id = "t",
        .team_name = "tn",
        .user_id = "u",
        .user_name = "un",
        .text = "smile",
        .files = "[\"f\"]",
        .detail = "{\"a\":1}",
        .raw = "{\"raw\":true}",
    };
    int64_t id = test_event(f, &ev);

    assert_int_equal(id, 1);
    assert_int_equal(f->committed, 1);
    assert_int_equal(mw_store_last_event_id(f->store), 1);
    test_reopen(f);
    assert_int_equal(mw_store_last_event_id(f->store), 1);
    assert_int_equal(mw_store_event(f->store, id, keep_event, NULL), 0);
    assert_int_equal(got.id, id);
    assert_int_equal(got.kind, ev.kind);
    assert_int_equal(got.flags, ev.flags);
    assert_int_equal(got.at, 10);
    assert_int_equal(got.received_at, 11);
    assert_int_equal(got.revision, 10);
#define SAME(m) assert_string_equal(got.m, ev.m)
    SAME(bot);
    SAME(object);
    SAME(post_id);
    SAME(root_id);
    SAME(channel_id);
    SAME(channel_name);
    SAME(channel_type);
    SAME(team_id);
    SAME(team_name);
    SAME(user_id);
    SAME(user_name);
    SAME(text);
    SAME(files);
    SAME(detail);
    SAME(raw);
#undef SAME
    assert_int_equal(mw_store_event(f->store, 99, keep_event, NULL), 1);
}

static void cursors(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx = test_tx(f);
    int64_t at = -7;

    assert_int_equal(mw_store_cursor(f->store, "a", &at), 1);
    assert_int_equal(at, -7);
    assert_int_equal(mw_tx_cursor(tx, "a", 5) | mw_tx_cursor(tx, "b", 6), 0);
    assert_int_equal(test_commit(f, tx), 0);
    test_reopen(f);
    assert_int_equal(mw_store_cursor(f->store, "a", &at), 0);
    assert_int_equal(at, 5);
    tx = test_tx(f);
    assert_int_equal(mw_tx_cursor(tx, "a", 8) | mw_tx_cursor_delete(tx, "b"), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(mw_store_cursor(f->store, "a", &at), 0);
    assert_int_equal(at, 8);
    assert_int_equal(mw_store_cursor(f->store, "b", &at), 1);
}

static bool list_cursor(const char *consumer, int64_t position, int64_t updated_at, void *userdata)
{
    assert_true(updated_at > 0);
    mw_buf_printf(userdata, "%s=%lld ", consumer, (long long)position);
    return true;
}

static void cursors_are_listed(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx = test_tx(f);
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(mw_tx_cursor(tx, "b", 2) | mw_tx_cursor(tx, "a", 1), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(mw_store_cursors(f->store, list_cursor, &b), 0);
    assert_string_equal(mw_buf_str(&b), "a=1 b=2 ");
}

static bool keep_task(const struct mw_task *t, void *userdata)
{
    struct mw_buf *b = userdata;

    mw_buf_printf(b, "%lld/%lld/%s/%s/%s/%d/%d/%s ", (long long)t->id, (long long)t->event_id,
                  t->bot, t->handler, t->conversation, t->state, t->attempts, t->error);
    return true;
}

static const char *tasks(struct fixture *f, const char *bot, enum mw_task_state state)
{
    static char text[1024];
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(mw_store_tasks(f->store, bot, state, 0, 0, keep_task, &b), 0);
    snprintf(text, sizeof(text), "%s", mw_buf_str(&b));
    return text;
}

static void task_life(void **state)
{
    struct fixture *f = *state;
    struct mw_task t = {.event_id = 3, .bot = "b1", .handler = "h", .conversation = "r1"};
    struct mw_tx *tx = test_tx(f);
    int64_t n = -1;

    assert_int_equal(mw_tx_task_add(tx, &t), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(f->result.task_id, 1);
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_start(tx, 1), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(tasks(f, "b1", MW_TASK_PENDING), "1/3/b1/h/r1/1/1/ ");
    assert_string_equal(tasks(f, "b2", 0), "");
    assert_int_equal(mw_store_task_count(f->store, "b1", MW_TASK_PENDING, &n), 0);
    assert_int_equal(n, 1);
    /* Stopped, not ended: the attempt does not count. */
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_end(tx, 1, MW_TASK_PENDING, NULL), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(tasks(f, "b1", MW_TASK_PENDING), "1/3/b1/h/r1/1/0/ ");
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_start(tx, 1), 0);
    assert_int_equal(test_commit(f, tx), 0);
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_end(tx, 1, MW_TASK_FAILED, "exit code 1"), 0);
    assert_int_equal(test_commit(f, tx), 0);
    test_reopen(f);
    assert_string_equal(tasks(f, NULL, MW_TASK_PENDING), "");
    assert_string_equal(tasks(f, NULL, MW_TASK_FAILED), "1/3/b1/h/r1/3/1/exit code 1 ");
    assert_string_equal(tasks(f, NULL, 0), "1/3/b1/h/r1/3/1/exit code 1 ");
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_end(tx, 1, MW_TASK_DONE, NULL), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(tasks(f, "b1", MW_TASK_DONE), "1/3/b1/h/r1/2/1/ ");
    assert_int_equal(mw_store_task_count(f->store, NULL, MW_TASK_DONE, &n), 0);
    assert_int_equal(n, 1);
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_start(tx, 77), 0);
    assert_int_equal(test_commit(f, tx), -ENOENT);
    assert_string_equal(f->message, "there is no task 77");
}

static void tasks_by_hand(void **state)
{
    struct fixture *f = *state;
    struct mw_task t = {.event_id = 3, .bot = "b1", .handler = "h", .conversation = "r1"};
    struct mw_tx *tx = test_tx(f);
    MW_AUTOBUF b = {0};

    assert_int_equal(mw_tx_task_add(tx, &t) | mw_tx_task_start(tx, 1) |
                         mw_tx_task_again(tx, 1, 99, "late") | mw_tx_task_start(tx, 1),
                     0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(tasks(f, "b1", MW_TASK_PENDING), "1/3/b1/h/r1/1/2/late ");
    /* It waits already. */
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_retry(tx, 1), 0);
    assert_int_equal(test_commit(f, tx), -ENOENT);
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_end(tx, 1, MW_TASK_FAILED, "bad") | mw_tx_task_drop(tx, 1), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(tasks(f, "b1", MW_TASK_DROPPED), "1/3/b1/h/r1/4/2/bad ");
    assert_string_equal(tasks(f, "b1", MW_TASK_FAILED), "");
    /* A new row, behind what waits. */
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_add(tx, &t) | mw_tx_task_retry(tx, 1), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(f->result.task_id, 3);
    assert_string_equal(tasks(f, "b1", 0), "2/3/b1/h/r1/1/0/ 3/3/b1/h/r1/1/0/bad ");
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_again(tx, 1, 0, ""), 0);
    assert_int_equal(test_commit(f, tx), -ENOENT);
    tx = test_tx(f);
    assert_int_equal(mw_tx_task_end(tx, 2, MW_TASK_DONE, NULL) | mw_tx_task_drop(tx, 2), 0);
    assert_int_equal(test_commit(f, tx), -ENOENT);
    assert_string_equal(f->message, "there is no open task 2");
    mw_buf_init(&b, 0);
    assert_int_equal(mw_store_event_tasks(f->store, 3, false, keep_task, &b), 0);
    assert_int_equal(mw_store_event_tasks(f->store, 4, true, keep_task, &b), 0);
    assert_string_equal(mw_buf_str(&b), "2/3/b1/h/r1/1/0/ 3/3/b1/h/r1/1/0/bad ");
}

static bool keep_outbox(const struct mw_outbox *o, void *userdata)
{
    struct mw_buf *b = userdata;

    mw_buf_printf(b, "%lld/%s/%s/%s/%s/%s/%s/%lld/%d/%d/%lld/%lld/%s/%s ", (long long)o->id, o->bot,
                  o->key, o->kind, o->conversation, o->channel_id, o->payload,
                  (long long)o->event_id, o->state, o->attempts, (long long)o->not_before,
                  (long long)o->first_tried_at, o->result_id, o->error);
    return true;
}

static const char *outbox(struct fixture *f, const char *bot, unsigned states)
{
    static char text[1024];
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(mw_store_outbox(f->store, bot, states, 0, 0, keep_outbox, &b), 0);
    snprintf(text, sizeof(text), "%s", mw_buf_str(&b));
    return text;
}

static void outbox_life(void **state)
{
    struct fixture *f = *state;
    struct mw_outbox o = {.bot = "b1",
                          .key = "k1",
                          .kind = "post",
                          .conversation = "r1",
                          .channel_id = "c1",
                          .payload = "{}",
                          .event_id = 4,
                          .not_before = 9};
    struct mw_tx *tx = test_tx(f);
    int64_t n = -1, second;
    char expected[256];
    MW_AUTOBUF found = {0};

    assert_int_equal(mw_tx_outbox_add(tx, &o), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(f->result.outbox_id, 1);
    assert_false(f->result.outbox_existed);
    /* The same key again is the same row; with another bot it is not. */
    o.payload = "{\"other\":1}";
    tx = test_tx(f);
    assert_int_equal(mw_tx_outbox_add(tx, &o), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(f->result.outbox_id, 1);
    assert_true(f->result.outbox_existed);
    o.bot = "b2";
    tx = test_tx(f);
    assert_int_equal(mw_tx_outbox_add(tx, &o), 0);
    assert_int_equal(test_commit(f, tx), 0);
    second = f->result.outbox_id;
    assert_true(second > 1);
    assert_false(f->result.outbox_existed);

    assert_string_equal(outbox(f, "b1", 1u << MW_OUTBOX_PENDING),
                        "1/b1/k1/post/r1/c1/{}/4/1/0/9/0// ");
    mw_buf_init(&found, 0);
    assert_int_equal(mw_store_outbox_key(f->store, "b1", "k1", keep_outbox, &found), 0);
    assert_string_equal(mw_buf_str(&found), "1/b1/k1/post/r1/c1/{}/4/1/0/9/0// ");
    assert_int_equal(mw_store_outbox_key(f->store, "b3", "k1", keep_outbox, &found), 1);
    tx = test_tx(f);
    assert_int_equal(
        mw_tx_outbox_update(tx, 1, MW_OUTBOX_SENDING, 1, 20, 15, NULL, "timeout", NULL), 0);
    assert_int_equal(test_commit(f, tx), 0);
    test_reopen(f);
    snprintf(expected, sizeof(expected),
             "1/b1/k1/post/r1/c1/{}/4/2/1/20/15//timeout "
             "%lld/b2/k1/post/r1/c1/{\"other\":1}/4/1/0/9/0// ",
             (long long)second);
    assert_string_equal(outbox(f, NULL, 1u << MW_OUTBOX_PENDING | 1u << MW_OUTBOX_SENDING),
                        expected);
    assert_int_equal(mw_store_outbox_count(f->store, NULL, MW_OUTBOX_SENDING, &n), 0);
    assert_int_equal(n, 1);
    tx = test_tx(f);
    assert_int_equal(
        mw_tx_outbox_update(tx, 1, MW_OUTBOX_SENT, 2, 0, 15, "p9", NULL, "{\"new\":1}"), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(outbox(f, "b1", 0), "1/b1/k1/post/r1/c1/{\"new\":1}/4/3/2/0/15/p9/ ");
    assert_string_equal(outbox(f, "b1", 1u << MW_OUTBOX_PENDING), "");
    assert_string_equal(outbox(f, "b1", 1u << MW_OUTBOX_SENT),
                        "1/b1/k1/post/r1/c1/{\"new\":1}/4/3/2/0/15/p9/ ");
    assert_int_equal(mw_store_outbox_count(f->store, "b1", MW_OUTBOX_SENT, &n), 0);
    assert_int_equal(n, 1);
    tx = test_tx(f);
    assert_int_equal(mw_tx_outbox_update(tx, 9, MW_OUTBOX_SENT, 2, 0, 15, "p9", NULL, NULL), 0);
    assert_int_equal(test_commit(f, tx), -ENOENT);
    assert_string_equal(f->message, "there is no outbox row 9");
}

static void outbox_by_hand(void **state)
{
    struct fixture *f = *state;
    struct mw_outbox o = {.bot = "b1",
                          .key = "k1",
                          .kind = "post",
                          .conversation = "r1",
                          .channel_id = "c1",
                          .payload = "{}"};
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_outbox_add(tx, &o) | mw_tx_outbox_retry(tx, 1), 0);
    assert_int_equal(test_commit(f, tx), -ENOENT);
    assert_string_equal(f->message, "there is no failed outbox row 1");
    tx = test_tx(f);
    assert_int_equal(mw_tx_outbox_add(tx, &o) |
                         mw_tx_outbox_update(tx, 1, MW_OUTBOX_FAILED, 1, 0, 15, NULL, "no", NULL) |
                         mw_tx_outbox_drop(tx, 1),
                     0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(outbox(f, "b1", 1u << MW_OUTBOX_DROPPED),
                        "1/b1/k1/post/r1/c1/{}/0/5/1/0/15//no ");
    assert_string_equal(outbox(f, "b1", 1u << MW_OUTBOX_FAILED), "");
    /* Behind what waits, under its key; it was tried, so it is looked for first. */
    o.key = "k2";
    tx = test_tx(f);
    assert_int_equal(mw_tx_outbox_add(tx, &o) | mw_tx_outbox_retry(tx, 1), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(outbox(f, "b1", 0), "2/b1/k2/post/r1/c1/{}/0/1/0/0/0// "
                                            "3/b1/k1/post/r1/c1/{}/0/2/0/0/15//no ");
    {
        int64_t n = -1, oldest = -1;

        assert_int_equal(mw_store_outbox_overdue(f->store, "b1", INT64_MAX, &n, &oldest), 0);
        assert_int_equal(n, 2);
        assert_true(oldest > 0);
        assert_int_equal(mw_store_outbox_overdue(f->store, "b1", oldest, &n, &oldest), 0);
        assert_int_equal(n, 0);
        assert_int_equal(oldest, 0);
    }
    /* The number is used up. */
    o.key = "k3";
    tx = test_tx(f);
    assert_int_equal(mw_tx_outbox_update(tx, 3, MW_OUTBOX_FAILED, 1, 0, 0, NULL, "no", NULL) |
                         mw_tx_outbox_add(tx, &o) | mw_tx_outbox_retry(tx, 3),
                     0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_string_equal(outbox(f, "b1", 1u << MW_OUTBOX_PENDING),
                        "2/b1/k2/post/r1/c1/{}/0/1/0/0/0// 4/b1/k3/post/r1/c1/{}/0/1/0/0/0// "
                        "5/b1/k1/post/r1/c1/{}/0/1/0/0/0//no ");
}

static void outbox_row_by_key(void **state)
{
    struct fixture *f = *state;
    const struct mw_outbox o = {.bot = "b1", .key = "k1", .kind = "edit", .payload = "{}"};
    struct mw_tx *tx = test_tx(f);
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(mw_tx_outbox_add(tx, &o), 0);
    assert_int_equal(test_commit(f, tx), 0);
    assert_int_equal(mw_store_outbox_key(f->store, "b2", "k1", keep_outbox, &b), 1);
    assert_int_equal(mw_store_outbox_row(f->store, 9, keep_outbox, &b), 1);
    assert_int_equal(b.len, 0);
    assert_int_equal(mw_store_outbox_key(f->store, "b1", "k1", keep_outbox, &b), 0);
    assert_string_equal(mw_buf_str(&b), "1/b1/k1/edit///{}/0/1/0/0/0// ");
    mw_buf_clear(&b);
    assert_int_equal(mw_store_outbox_row(f->store, 1, keep_outbox, &b), 0);
    assert_string_equal(mw_buf_str(&b), "1/b1/k1/edit///{}/0/1/0/0/0// ");
}

static void set(struct fixture *f, const char *scope, const char *key, const char *value)
{
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_set(tx, scope, key, value), 0);
    assert_int_equal(test_commit(f, tx), 0);
}

static void expect_usage(struct fixture *f, const char *scope, int64_t keys, int64_t bytes)
{
    int64_t n = -1, size = -1;

    assert_int_equal(mw_store_usage(f->store, scope, &n, &size), 0);
    assert_int_equal(n, keys);
    assert_int_equal(size, bytes);
}

static void expect_kv(struct fixture *f, const char *scope, const char *key, const char *value)
{
    MW_AUTOFREE char *got_value = NULL;

    assert_int_equal(mw_store_get(f->store, scope, key, &got_value), value ? 0 : 1);
    if (value)
        assert_string_equal(got_value, value);
    else
        assert_null(got_value);
}

static void key_value_state(void **state)
{
    struct fixture *f = *state;

    expect_kv(f, "s", "k", NULL);
    set(f, "s", "k", "one");
    set(f, "t", "k", "");
    expect_kv(f, "s", "k", "one");
    expect_kv(f, "t", "k", "");
    set(f, "s", "k", "two");
    set(f, "s", "\xc3\xa4", "\xc3\xb6");
    test_reopen(f);
    expect_kv(f, "s", "k", "two");
    expect_usage(f, "s", 2, 8);
    expect_usage(f, "t", 1, 1);
    expect_usage(f, "nothing", 0, 0);
    set(f, "s", "k", NULL);
    set(f, "s", "never", NULL);
    expect_kv(f, "s", "k", NULL);
    expect_kv(f, "t", "k", "");
    expect_usage(f, "s", 1, 4);
}

/* ---- Transactions of one group ---- */

struct trace {
    struct fixture *f;
    struct mw_buf b; /* "name=error " in the order of the callbacks */
};
struct entry {
    struct trace *trace;
    const char *name;
};

static void on_traced(const struct mw_tx_result *r, void *userdata)
{
    struct entry *e = userdata;

    mw_buf_printf(&e->trace->b, "%s=%d ", e->name, r->error);
}

/* Submits everything while the database is locked by somebody else, so that it becomes one group
 * (but for the first, which the writer already has in hand). */
static sqlite3 *hold(struct fixture *f)
{
    struct mw_tx *plug = test_tx(f);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(mw_tx_set(plug, "plug", "plug", "plug"), 0);
    mw_tx_commit(plug, NULL, NULL);
    while (f->stalls == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
    return db;
}

static void refused_transaction_spares_its_neighbours(void **state)
{
    struct fixture *f = *state;
    struct mw_event a = test_post("p1", 1), b = test_post("p2", 2), c = test_post("p3", 3);
    struct trace trace = {.f = f};
    struct entry entries[] = {
        {&trace, "good"}, {&trace, "bad"}, {&trace, "invalid"}, {&trace, "new"}};
    const struct mw_outbox no_key = {.bot = "b1", .key = ""};
    sqlite3 *other = hold(f);
    struct mw_store_stats stats;
    struct mw_tx *tx;
    int64_t at;

    tx = test_tx(f);
    assert_int_equal(mw_tx_event(tx, &a) | mw_tx_cursor(tx, "good", 1), 0);
    mw_tx_commit(tx, on_traced, &entries[0]);
    /* Its bot is new, too: what was remembered of it must go with it. */
    tx = test_tx(f);
    b.bot = "b2";
    assert_int_equal(
        mw_tx_event(tx, &b) | mw_tx_cursor(tx, "bad", 1) | mw_tx_outbox_add(tx, &no_key), 0);
    mw_tx_commit(tx, on_traced, &entries[1]);
    tx = test_tx(f);
    assert_int_equal(mw_tx_cursor(tx, "invalid", 1), 0);
    assert_int_equal(mw_tx_event(tx, &(struct mw_event){.kind = MW_EVENT_TYPING}), -EINVAL);
    mw_tx_commit(tx, on_traced, &entries[2]);
    tx = test_tx(f);
    c.bot = "b2";
    assert_int_equal(mw_tx_event(tx, &c), 0);
    mw_tx_commit(tx, on_traced, &entries[3]);

    sqlite3_close(other);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_string_equal(mw_buf_str(&trace.b), "good=0 bad=-22 invalid=-22 new=0 ");
    mw_buf_deinit(&trace.b);
    assert_int_equal(f->commits, 2);
    assert_string_equal(test_events(f, NULL), "post:p1:0 post:p3:0");
    assert_string_equal(test_events(f, &(struct mw_event_filter){.bot = "b2"}), "post:p3:0");
    assert_int_equal(mw_store_cursor(f->store, "good", &at), 0);
    assert_int_equal(mw_store_cursor(f->store, "bad", &at), 1);
    assert_int_equal(mw_store_cursor(f->store, "invalid", &at), 1);
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.events_written, 2);
    assert_int_equal(stats.last_event_id, f->committed);
}

static void group_is_one_commit_in_order(void **state)
{
    struct fixture *f = *state;
    struct mw_buf expected = {0};
    struct trace trace = {.f = f};
    struct entry entries[100];
    char names[100][8];
    sqlite3 *other = hold(f);
    struct mw_store_stats stats;

    for (size_t i = 0; i < MW_ARRAY_LEN(entries); i++) {
        struct mw_tx *tx = test_tx(f);

        snprintf(names[i], sizeof(names[i]), "%zu", i);
        entries[i] = (struct entry){&trace, names[i]};
        assert_int_equal(mw_tx_set(tx, "order", "last", names[i]), 0);
        mw_tx_commit(tx, on_traced, &entries[i]);
        mw_buf_printf(&expected, "%zu=0 ", i);
    }
    sqlite3_close(other);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_string_equal(mw_buf_str(&trace.b), mw_buf_str(&expected));
    mw_buf_deinit(&trace.b);
    mw_buf_deinit(&expected);
    expect_kv(f, "order", "last", "99");
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.commits, 2);
    assert_true(stats.file_bytes > 0);
}

struct chain {
    struct fixture *f;
    struct mw_store *store;
    int written, canceled;
};

static void submit_again(const struct mw_tx_result *r, void *userdata)
{
    struct chain *c = userdata;
    struct mw_tx *tx;

    if (r->error == -ECANCELED) {
        assert_string_equal(r->message, "the store is closing");
        c->canceled++;
        return;
    }
    c->written++;
    tx = mw_tx_new(c->store);
    assert_non_null(tx);
    assert_int_equal(mw_tx_set(tx, "chain", "n", "x"), 0);
    mw_tx_commit(tx, submit_again, c);
}

static void close_writes_what_was_given_and_cancels_the_rest(void **state)
{
    struct fixture *f = *state;
    struct chain c = {.f = f, .store = f->store};
    struct mw_tx *tx = test_tx(f);
    int64_t at = 0;

    assert_int_equal(mw_tx_cursor(tx, "c", 42), 0);
    mw_tx_commit(tx, submit_again, &c);
    test_close(f);
    assert_int_equal(c.written, 1);
    assert_int_equal(c.canceled, 1);
    test_open(f);
    assert_int_equal(mw_store_cursor(f->store, "c", &at), 0);
    assert_int_equal(at, 42);
}

static void old_rows_can_be_deleted(void **state)
{
    struct fixture *f = *state;
    struct mw_event a = test_post("p1", 1), b = test_post("p2", 2);
    const struct mw_task t = {.event_id = 1, .bot = "b1", .handler = "h"};
    struct mw_tx *tx = test_tx(f);
    int64_t last;
    sqlite3 *db;

    assert_int_equal(mw_tx_event(tx, &a) | mw_tx_task_add(tx, &t), 0);
    assert_int_equal(test_commit(f, tx), 0);
    last = f->result.event_id;
    test_close(f);
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA foreign_keys = 1; DELETE FROM event", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    test_open(f);
    assert_int_equal(mw_store_last_event_id(f->store), last);
    assert_string_equal(test_events(f, NULL), "");
    assert_string_equal(tasks(f, "b1", MW_TASK_PENDING), "1/1/b1/h//1/0/ ");
    assert_true(test_event(f, &b) > last);
}

static void empty_transactions_and_unused_ones(void **state)
{
    struct fixture *f = *state;
    struct mw_event ev = test_post("p1", 1);
    struct mw_tx *unused = test_tx(f);

    assert_int_equal(mw_tx_event(unused, &ev), 0);
    mw_tx_free(unused);
    mw_tx_free(NULL);
    assert_int_equal(test_commit(f, test_tx(f)), 0);
    assert_int_equal(f->result.event_id, 0);
    assert_string_equal(test_events(f, NULL), "");
    mw_store_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(event_comes_back_whole),
        TEST(cursors),
        TEST(cursors_are_listed),
        TEST(task_life),
        TEST(tasks_by_hand),
        TEST(outbox_life),
        TEST(outbox_by_hand),
        TEST(outbox_row_by_key),
        TEST(key_value_state),
        TEST(refused_transaction_spares_its_neighbours),
        TEST(group_is_one_commit_in_order),
        TEST(close_writes_what_was_given_and_cancels_the_rest),
        TEST(old_rows_can_be_deleted),
        TEST(empty_transactions_and_unused_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
