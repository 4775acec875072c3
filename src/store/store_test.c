#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
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
    MW_AUTOBUF b;

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
    MW_AUTOBUF b;

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
    MW_AUTOBUF found;

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(event_comes_back_whole),
        TEST(cursors),
        TEST(task_life),
        TEST(outbox_life),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
