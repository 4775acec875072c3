/* What people see of a turn, and how they steer it: previews, permissions, stop; also when the
 * daemon ends in between. */
#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"
#include "gateway/test_gateway.h"

#define CONFIG(bot, handler)                                                                       \
    "bots:\n"                                                                                      \
    "  - name: b\n"                                                                                \
    "    endpoint: http://127.0.0.1:%d\n"                                                          \
    "    bot_token: t\n"                                                                           \
    "    allowed_users: '*'\n"                                                                     \
    "    mention_only: false\n"                                                                    \
    "    handler: h\n" bot "handlers:\n"                                                           \
    "  h: {type: command, command: [/bin/true]" handler "}\n"                                      \
    "daemon:\n"                                                                                    \
    "  database: %s/state.db\n"                                                                    \
    "  socket: %s/socket\n"

/* Of the first task, which answers the post "p1". */
#define ANSWER "p1.1.0"
#define FIRST  ANSWER ".1"

static bool take_state(const struct mw_outbox *o, void *userdata)
{
    *(enum mw_outbox_state *)userdata = o->state;
    return false;
}

/* Of the row with this key; 0 = there is none. */
static enum mw_outbox_state row(struct fixture *f, const char *key)
{
    enum mw_outbox_state state = 0;

    assert_in_range(mw_store_outbox_key(gw_store(f->gw), "b", key, take_state, &state), 0, 1);
    return state;
}

static bool take_message(const struct mw_outbox *o, void *userdata)
{
    MW_AUTOJSON *payload = NULL;

    assert_int_equal(mw_json_parse(o->payload, strlen(o->payload), &payload, NULL), 0);
    snprintf(userdata, 200, "%s", mw_json_str_or(payload, "message", ""));
    return false;
}

static const char *row_message(struct fixture *f, const char *key)
{
    static char text[200];

    text[0] = '\0';
    assert_int_equal(mw_store_outbox_key(gw_store(f->gw), "b", key, take_message, text), 0);
    return text;
}

/* As if the daemon had died while the first task was handled. */
static void die(struct fixture *f, int times)
{
    struct mw_tx *tx = mw_tx_new(gw_store(f->gw));

    for (int i = 0; i < times; i++)
        assert_int_equal(mw_tx_task_start(tx, 1), 0);
    server_commit(f->s, tx);
}

/* ---- Stopping ---- */

/* What was stopped while it waited for a free place does not keep the place from others. */
static void stop_leaves_the_line(void **state)
{
    struct fixture *f = *state;

    f->config = CONFIG("", ", concurrency: 1");
    gateway_start(f);
    say_directly(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    say_directly(f, "p2", "other", "second");
    settle(f);
    say_directly(f, "p3", "", "stop");
    WAIT_FOR(f, f->running == 0 && task_count(f, MW_TASK_PENDING) == 0);
    settle(f);
    assert_int_equal(task_count(f, MW_TASK_DROPPED), 1);
    say_directly(f, "p4", "", "say hello");
    WAIT_FOR(f, f->starts == 2);
    assert_string_equal(f->started, "hang say hello");
    WAIT_FOR(f, bot_number(f, "tasks", "conversations") == 0);
}

/* A handler that calls its stop a failure, or takes its time: the event is not tried again. */
static void stop_is_final(void **state)
{
    struct fixture *f = *state;

    f->config = CONFIG("", ", attempts: 3");
    gateway_start(f);
    say_directly(f, "p1", "", "stubborn");
    WAIT_FOR(f, f->running == 1);
    say_directly(f, "p2", "", "stop");
    WAIT_FOR(f, f->cancels == 1);
    /* From here on a death of the daemon changes nothing: it is over. */
    WAIT_FOR(f, task_count(f, MW_TASK_DONE) == 2);
    assert_int_equal(task_count(f, MW_TASK_PENDING), 0);
    handler_end(f, "stubborn", GW_HANDLER_FAILED, NULL);
    settle(f);
    assert_int_equal(task_count(f, MW_TASK_DONE), 2);
    assert_int_equal(task_count(f, MW_TASK_PENDING), 0);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(server_messages(f->s), "Stopped.");
}

/* It failed, and waits for its next attempt. */
static void stop_between_attempts(void **state)
{
    struct fixture *f = *state;

    f->config = CONFIG("    stream: edit\n    receipt: true\n", ", attempts: 3");
    gateway_start(f);
    say_directly(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_text(f, "hang", "so far");
    WAIT_FOR(f, row(f, ANSWER) == MW_OUTBOX_SENT);
    handler_end(f, "hang", GW_HANDLER_FAILED, NULL);
    say_directly(f, "p2", "", "stop");
    WAIT_FOR(f, task_count(f, MW_TASK_PENDING) == 0);
    WAIT_FOR(f, row(f, FIRST ".reaction_remove.eyes") == MW_OUTBOX_SENT);
    assert_string_equal(row_message(f, FIRST ".edit"), "*Stopped.*");
    assert_int_equal(task_count(f, MW_TASK_DROPPED) + task_count(f, MW_TASK_DONE), 2);
}

/* The next message comes before the handler was started, or while it calls its stop a failure. */
static void the_next_message_interrupts(void **state)
{
    struct fixture *f = *state;

    f->config = CONFIG("    interrupt: cancel\n", ", attempts: 3");
    gateway_start(f);
    say_directly(f, "p1", "", "hang");
    say_directly(f, "p2", "", "stubborn");
    say_directly(f, "p3", "", "say hello");
    WAIT_FOR(f, f->cancels == 2);
    assert_string_equal(f->started, "hang stubborn");
    handler_end(f, "stubborn", GW_HANDLER_FAILED, NULL);
    WAIT_FOR(f, task_count(f, MW_TASK_DONE) == 3);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(server_messages(f->s), "hello");
    assert_string_equal(f->started, "hang stubborn say hello");
}

/* ---- Previews ---- */

static void given_up_is_seen(void **state)
{
    struct fixture *f = *state;

    f->config = CONFIG("    stream: edit\n    receipt: true\n", "");
    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_text(f, "hang", "so far");
    WAIT_FOR(f, row(f, ANSWER) == MW_OUTBOX_SENT);
    die(f, 3);
    gateway_stop(f, 0);
    gateway_start(f);
    WAIT_FOR(f, task_count(f, MW_TASK_FAILED) == 1);
    WAIT_FOR(f, row(f, FIRST ".reaction_add.x") == MW_OUTBOX_SENT);
    assert_int_equal(row(f, FIRST ".edit"), MW_OUTBOX_SENT);
    assert_string_equal(row_message(f, FIRST ".edit"), "*The answer broke off.*");
}

/* The post that should have shown it never came to be: the answer is a post of its own. */
static void preview_refused(void **state)
{
    struct fixture *f = *state;

    f->config = CONFIG("    stream: edit\n", "");
    f->s->script = "r";
    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_text(f, "hang", "so far");
    WAIT_FOR(f, row(f, ANSWER) == MW_OUTBOX_FAILED);
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "all of it");
    WAIT_FOR(f, task_count(f, MW_TASK_DONE) == 1);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(server_messages(f->s), "all of it");
    assert_int_equal(outbox_count(f, MW_OUTBOX_FAILED), 1);
}

/* ... and what only one person may see does not take the preview's key. */
static void preview_of_an_ephemeral_answer(void **state)
{
    struct fixture *f = *state;

    f->config = CONFIG("    stream: edit\n", "");
    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_text(f, "hang", "so far");
    WAIT_FOR(f, row(f, ANSWER) == MW_OUTBOX_SENT);
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "{\"text\":\"for you\",\"ephemeral\":true}");
    WAIT_FOR(f, row(f, FIRST) == MW_OUTBOX_SENT);
    WAIT_FOR(f, row(f, FIRST ".delete") == MW_OUTBOX_SENT);
    assert_string_equal(row_message(f, FIRST), "for you");
}

/* ---- Permissions ---- */

static void decides(void **state)
{
    struct fixture *f = *state;
    int64_t cursor = 0, last;

    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_ask(f, "hang");
    WAIT_FOR(f, row(f, FIRST ".ask1") == MW_OUTBOX_SENT);
    say(f, "p2", "p1", "allow");
    WAIT_FOR(f, f->permitted[0]);
    assert_string_equal(f->permitted, "yes");
    settle(f);
    /* The decision is not looked at again, whatever comes. */
    last = mw_store_last_event_id(gw_store(f->gw));
    assert_int_equal(mw_store_cursor(gw_store(f->gw), "route:b", &cursor), 0);
    assert_int_equal(cursor, last);
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "done");
    WAIT_FOR(f, task_count(f, MW_TASK_DONE) == 1);
    settle(f);
    assert_int_equal(f->starts, 1);
}

/* An orderly stop gives the attempt back; the next one asks with a post of its own all the same. */
static void asks_anew_after_a_restart(void **state)
{
    struct fixture *f = *state;

    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_ask(f, "hang");
    WAIT_FOR(f, row(f, FIRST ".ask1") == MW_OUTBOX_SENT);
    gateway_stop(f, 0);
    assert_string_equal(f->permitted, "nobody");
    gateway_start(f);
    WAIT_FOR(f, f->running == 1);
    handler_ask(f, "hang");
    WAIT_FOR(f, row(f, FIRST ".ask2") == MW_OUTBOX_SENT);
    assert_string_equal(row_message(f, FIRST ".ask1.outcome"),
                        "**Not decided**, the answer was stopped: Do it");
    say(f, "p2", "p1", "allow");
    WAIT_FOR(f, strlen(f->permitted) > strlen("nobody"));
    assert_string_equal(f->permitted, "nobody yes");
}

/* What a life before this one asked is over, and says so. */
static void closes_questions_of_the_dead(void **state)
{
    struct fixture *f = *state;
    struct mw_tx *tx;
    const struct mw_outbox question = {
        .bot = "b",
        .key = FIRST ".ask1",
        .kind = "post",
        .conversation = CHANNEL "/p1",
        .channel_id = CHANNEL,
        .payload = "{\"message\":\"**Permission needed:** Do it\",\"root_id\":\"p1\"}",
    };

    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    tx = mw_tx_new(gw_store(f->gw));
    assert_int_equal(mw_tx_outbox_add(tx, &question), 0);
    server_commit(f->s, tx);
    die(f, 1);
    gateway_stop(f, 0);
    gateway_start(f);
    WAIT_FOR(f, f->running == 1);
    WAIT_FOR(f, row(f, FIRST ".ask1.outcome") == MW_OUTBOX_SENT);
    assert_string_equal(row_message(f, FIRST ".ask1.outcome"),
                        "**Not decided**, I was interrupted. What is still needed I ask again.");
}

/* ---- Quick messages ---- */

/* The clock was put back between a message and its turn: it waits no longer than it should. */
static void debounce_bears_a_clock_that_is_set(void **state)
{
    struct fixture *f = *state;
    const struct mw_task task = {
        .event_id = 1,
        .bot = "b",
        .handler = "h",
        .conversation = CHANNEL "/p1",
        .error = "",
        .created_at = mw_clock_now() + 3600000,
    };
    struct mw_tx *tx;

    f->config = CONFIG("    debounce: 1m\n", "");
    gateway_start(f);
    say(f, "p1", "", "say hello");
    settle(f);
    gateway_stop(f, 0);
    f->config = CONFIG("    debounce: 1ms\n", "");
    gateway_start(f);
    WAIT_FOR(f, f->starts == 1);
    tx = mw_tx_new(gw_store(f->gw));
    assert_int_equal(mw_tx_task_add(tx, &task), 0);
    server_commit(f->s, tx);
    say(f, "p2", "", "empty"); /* it is noticed with the next one */
    WAIT_FOR(f, f->starts == 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(stop_leaves_the_line),
        TEST(stop_is_final),
        TEST(stop_between_attempts),
        TEST(the_next_message_interrupts),
        TEST(given_up_is_seen),
        TEST(preview_refused),
        TEST(preview_of_an_ephemeral_answer),
        TEST(decides),
        TEST(asks_anew_after_a_restart),
        TEST(closes_questions_of_the_dead),
        TEST(debounce_bears_a_clock_that_is_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
