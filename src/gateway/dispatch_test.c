/* From an event to its answer: order, side by side, failures, restarts. */
#include "base/str.h"
#include "base/test.h"
#include "gateway/effect.h"
#include "gateway/test_gateway.h"

static const cJSON *accepted(struct fixture *f, int i)
{
    return cJSON_GetArrayItem(f->s->posts, i);
}

static void answers_in_the_thread(void **state)
{
    struct fixture *f = *state;

    gateway_start(f);
    say(f, "p1", "", "say hello");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(server_messages(f->s), "hello");
    assert_string_equal(mw_json_str(accepted(f, 0), "root_id"), "p1");
    assert_string_equal(mw_json_str(accepted(f, 0), "channel_id"), CHANNEL);
    assert_int_equal(task_count(f, MW_TASK_DONE), 1);
    /* Seen again, by a resume that came too late: nothing happens. */
    say(f, "p1", "", "say hello");
    settle(f);
    assert_int_equal(f->starts, 1);
    assert_int_equal(f->s->tries, 1);
}

static void keeps_conversations_in_order(void **state)
{
    struct fixture *f = *state;

    gateway_start(f);
    say(f, "a1", "", "a1");
    say(f, "a2", "a1", "a2");
    say(f, "b1", "", "b1");
    say(f, "c1", "", "c1");
    say(f, "c2", "c1", "c2");
    WAIT_FOR(f, f->starts == 2);
    settle(f);
    /* Two places; a2 waits for a1, c1 for a place. */
    assert_string_equal(f->started, "a1 b1");
    handler_end(f, "a1", GW_HANDLER_ANSWERED, "answer a1");
    WAIT_FOR(f, f->starts == 3);
    settle(f);
    assert_string_equal(f->started, "a1 b1 c1");
    handler_end(f, "b1", GW_HANDLER_ANSWERED, "answer b1");
    WAIT_FOR(f, f->starts == 4);
    assert_string_equal(f->started, "a1 b1 c1 a2");
    handler_end(f, "a2", GW_HANDLER_ANSWERED, "answer a2");
    handler_end(f, "c1", GW_HANDLER_ANSWERED, "answer c1");
    WAIT_FOR(f, f->starts == 5);
    handler_end(f, "c2", GW_HANDLER_ANSWERED, "answer c2");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 5);
    assert_true(strstr(server_messages(f->s), "answer a1") <
                strstr(server_messages(f->s), "answer a2"));
}

static void ends(void **state)
{
    struct fixture *f = *state;

    gateway_start(f);
    say(f, "p1", "", "empty");
    say(f, "p2", "", "fail");
    say(f, "p3", "", "late");
    say(f, "p4", "", "refuse");
    say(f, "p5", "", "say ok");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    WAIT_FOR(f, task_count(f, MW_TASK_PENDING) == 0);
    assert_int_equal(task_count(f, MW_TASK_DONE), 2);
    assert_int_equal(task_count(f, MW_TASK_FAILED), 3);
    assert_string_equal(server_messages(f->s), "ok");
    {
        MW_AUTOJSON *status = gw_status_json(f->gw);
        const cJSON *h = cJSON_GetArrayItem(mw_json_arr(status, "handlers"), 0);

        assert_int_equal(mw_json_i64(h, "answered", -1), 1);
        assert_int_equal(mw_json_i64(h, "empty", -1), 1);
        assert_int_equal(mw_json_i64(h, "failed", -1), 2);
        assert_int_equal(mw_json_i64(h, "timeout", -1), 1);
        assert_non_null(mw_json_str(h, "last_error"));
    }
}

static void long_answers_become_a_file(void **state)
{
    struct fixture *f = *state;
    MW_AUTOBUF text = {0};

    gateway_start(f);
    say(f, "p1", "", "long");
    say(f, "p2", "", "longer");
    WAIT_FOR(f, f->starts == 2);
    for (int i = 0; i < 1200; i++)
        mw_buf_puts(&text, "twelve chars ");
    handler_end(f, "long", GW_HANDLER_ANSWERED, mw_buf_str(&text));
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 4);
    assert_int_equal(f->s->uploads, 0);
    for (int i = 0; i < 1200; i++)
        mw_buf_puts(&text, "twelve chars ");
    handler_end(f, "longer", GW_HANDLER_ANSWERED, mw_buf_str(&text));
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 5);
    assert_int_equal(f->s->uploads, 1);
    assert_true(mw_starts_with(f->s->upload, "twelve chars twelve"));
    assert_string_equal(cJSON_GetArrayItem(mw_json_arr(accepted(f, 4), "file_ids"), 0)->valuestring,
                        "file1");
}

static void skips_what_is_not_for_it(void **state)
{
    struct fixture *f = *state;
    struct mw_event ev = a_post("p1", "", "say no");

    f->config = "bots:\n"
                "  - name: b\n"
                "    endpoint: http://127.0.0.1:%d\n"
                "    bot_token: t\n"
                "    allowed_users: [adaadaadaadaadaadaadaadaad]\n"
                "    mention_only: true\n"
                "    handler: h\n"
                "handlers:\n"
                "  h: {type: command, command: [/bin/true]}\n"
                "daemon: {database: %s/state.db, socket: %s/socket}\n";
    gateway_start(f);
    say(f, "p0", "", "say no");
    ev.flags = MW_EVENT_OWN;
    session_event(session_of("b"), &ev);
    ev = a_post("p2", "", "say no");
    ev.flags = MW_EVENT_MENTION;
    ev.user_id = "bobbobbobbobbobbobbobbobbo";
    session_event(session_of("b"), &ev);
    ev = a_post("p3", "", "say yes");
    ev.flags = MW_EVENT_MENTION;
    session_event(session_of("b"), &ev);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(f->started, "say yes");
    assert_int_equal(bot_number(f, "decisions", "own"), 1);
    assert_int_equal(bot_number(f, "decisions", "not_allowed"), 1);
    assert_int_equal(bot_number(f, "decisions", "not_addressed"), 1);
    assert_int_equal(bot_number(f, "decisions", "run"), 1);
}

/* What was under way when the daemon stopped is given again; what was answered is not. */
static void goes_on_after_a_restart(void **state)
{
    struct fixture *f = *state;

    gateway_start(f);
    say(f, "p1", "", "say done");
    say(f, "p2", "", "hang");
    say(f, "p3", "p2", "say after");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1 && f->running == 1);
    gateway_stop(f, 0);
    assert_int_equal(f->cancels, 1);
    assert_int_equal(f->running, 0);
    f->started[0] = '\0';
    gateway_start(f);
    assert_int_equal(task_count(f, MW_TASK_PENDING), 2);
    WAIT_FOR(f, f->running == 1);
    settle(f);
    assert_string_equal(f->started, "hang");
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "hung");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 3);
    assert_string_equal(server_messages(f->s), "done|hung|after");
}

static void on_stopped(void *userdata)
{
    *(int *)userdata = 1;
}

static void waits_for_the_end_of_a_run(void **state)
{
    struct fixture *f = *state;
    int stopped = 0;

    gateway_start(f);
    say(f, "p1", "", "slow");
    WAIT_FOR(f, f->running == 1);
    gw_stop(f->gw, 60000, on_stopped, &stopped);
    settle(f);
    assert_false(stopped);
    handler_end(f, "slow", GW_HANDLER_ANSWERED, "in time");
    server_wait(f->s, &stopped);
    assert_int_equal(outbox_count(f, MW_OUTBOX_SENT), 1);
    gw_free(take_ptr(f->gw));
    assert_string_equal(server_messages(f->s), "in time");
}

static bool take_attempts(const struct mw_task *t, void *userdata)
{
    *(int *)userdata = t->attempts;
    return false;
}

static int attempts(struct fixture *f)
{
    int n = -1;

    assert_int_equal(mw_store_tasks(gw_store(f->gw), "b", MW_TASK_PENDING, 0, 1, take_attempts, &n),
                     0);
    return n;
}

static void gives_up_after_three_deaths(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx;

    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    assert_int_equal(attempts(f), 1);
    gateway_stop(f, 0);
    gateway_start(f);
    WAIT_FOR(f, f->running == 1);
    assert_int_equal(attempts(f), 1); /* an orderly stop does not count */
    /* As if the daemon had died twice more. */
    tx = mw_tx_new(gw_store(f->gw));
    for (int i = 0; i < 3; i++)
        assert_int_equal(mw_tx_task_start(tx, 1), 0);
    server_commit(f->s, tx);
    gateway_stop(f, 0);
    gateway_start(f);
    WAIT_FOR(f, task_count(f, MW_TASK_FAILED) == 1);
    assert_int_equal(f->starts, 2);
}

static bool take_wait(const struct mw_task *t, void *userdata)
{
    *(int64_t *)userdata = t->not_before - t->updated_at;
    assert_int_equal(t->failures, 1);
    assert_string_equal(t->error, "it failed");
    return false;
}

static void tries_again(void **state)
{
    struct fixture *f = *state;
    int64_t wait = 0;

    f->config = "bots:\n"
                "  - name: b\n"
                "    endpoint: http://127.0.0.1:%d\n"
                "    bot_token: t\n"
                "    allowed_users: '*'\n"
                "    mention_only: false\n"
                "    handler: h\n"
                "handlers:\n"
                "  h: {type: command, command: [/bin/true], attempts: 2}\n"
                "daemon:\n"
                "  database: %s/state.db\n"
                "  socket: %s/socket\n";
    gateway_start(f);
    say(f, "p1", "", "fail");
    WAIT_FOR(f, f->starts == 1);
    say(f, "p2", "p1", "say next");
    say(f, "p3", "", "say other");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(f->started, "fail say other");
    assert_string_equal(server_messages(f->s), "other");
    /* The wait is in the store, so a restart does not cut it short. */
    gateway_stop(f, 1000);
    gateway_start(f);
    assert_int_equal(mw_store_tasks(gw_store(f->gw), "b", MW_TASK_PENDING, 0, 1, take_wait, &wait),
                     0);
    assert_in_range(wait, 1, 2000);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 2);
    assert_string_equal(f->started, "fail say other fail say next");
    assert_int_equal(task_count(f, MW_TASK_FAILED), 1);
    assert_int_equal(task_count(f, MW_TASK_PENDING), 0);
}

static void deaths_and_failures_count_apart(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx;

    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    gateway_stop(f, 0);
    gateway_start(f);
    WAIT_FOR(f, f->running == 1);
    tx = mw_tx_new(gw_store(f->gw));
    for (int i = 0; i < 4; i++)
        assert_int_equal(mw_tx_task_start(tx, 1) | mw_tx_task_again(tx, 1, 0, "it failed"), 0);
    server_commit(f->s, tx);
    gateway_stop(f, 0);
    gateway_start(f);
    WAIT_FOR(f, f->starts == 3);
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "at last");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers_in_the_thread),
        TEST(keeps_conversations_in_order),
        TEST(ends),
        TEST(long_answers_become_a_file),
        TEST(skips_what_is_not_for_it),
        TEST(goes_on_after_a_restart),
        TEST(waits_for_the_end_of_a_run),
        TEST(gives_up_after_three_deaths),
        TEST(tries_again),
        TEST(deaths_and_failures_count_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
