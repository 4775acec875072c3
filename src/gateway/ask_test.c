/* Permissions: what counts as a decision, by whom, and what becomes of a question without one.
 * (What a restart makes of them is in turn_test.c.) */
#include "base/str.h"
#include "base/test.h"
#include "gateway/test_gateway.h"

static const char config[] = "bots:\n"
                             "  - name: b\n"
                             "    endpoint: http://127.0.0.1:%d\n"
                             "    bot_token: t\n"
                             "    allowed_users: [adaadaadaadaadaadaadaadaad]\n"
                             "    mention_only: false\n"
                             "    handler: h\n"
                             "handlers:\n"
                             "  h: {type: command, command: [/bin/true]}\n"
                             "daemon:\n"
                             "  database: %s/state.db\n"
                             "  socket: %s/socket\n";

struct question {
    enum mw_outbox_state state;
    char post_id[32], message[200];
};

static bool take_row(const struct mw_outbox *o, void *userdata)
{
    struct question *q = userdata;
    MW_AUTOJSON *payload = NULL;

    assert_int_equal(mw_json_parse(o->payload, strlen(o->payload), &payload, NULL), 0);
    q->state = o->state;
    snprintf(q->post_id, sizeof(q->post_id), "%s", o->result_id);
    snprintf(q->message, sizeof(q->message), "%s", mw_json_str_or(payload, "message", ""));
    return false;
}

/* The question n of the task that answers the post, or its outcome. */
static struct question find(struct fixture *f, const char *post, int task, int n, const char *what)
{
    MW_AUTOFREE char *key = mw_asprintf("%s.1.0.%d.ask%d%s", post, task, n, what);
    struct question q = {0};

    assert_in_range(mw_store_outbox_key(gw_store(f->gw), "b", key, take_row, &q), 0, 1);
    return q;
}

static bool sent(struct fixture *f, const char *post, int task, int n, const char *what)
{
    return find(f, post, task, n, what).state == MW_OUTBOX_SENT;
}

static void what_decides(void **state)
{
    static const struct {
        const char *text; /* of a reply in the thread; NULL = a reaction */
        const char *emoji;
        const char *user; /* NULL = ada */
        const char *root; /* NULL = the thread */
        unsigned flags;
        const char *option; /* NULL = it is no decision */
    } rows[] = {
        {.text = "allow", .option = "yes"},
        {.text = " Yes\n", .option = "yes"},
        {.text = "@bot allow", .option = "yes"},
        {.text = "1", .option = "yes"},
        {.text = "2", .option = "no"},
        {.text = "NO", .option = "no"},
        {.text = "reject", .option = "no"},
        {.emoji = "white_check_mark", .option = "yes"},
        {.emoji = "+1", .option = "yes"},
        {.emoji = "-1", .option = "no"},
        {.emoji = "x", .option = "no"},
        /* None: */
        {.text = "allow it"},
        {.text = "3"},
        {.text = "always"}, /* is no option here */
        {.text = ""},
        {.emoji = "tada"},
        {.emoji = "repeat"},
        {.text = "allow", .root = ""},
        {.text = "allow", .root = "elsewhere"},
        {.text = "allow", .user = "eveeveeveeveeveeveeveeveev"},
        {.emoji = "white_check_mark", .user = "eveeveeveeveeveeveeveeveev"},
        {.text = "allow", .flags = MW_EVENT_OWN},
        {.emoji = "white_check_mark", .flags = MW_EVENT_OWN}, /* its own, for people to press */
    };
    struct fixture *f = *state;
    int task = 1;

    f->config = config;
    gateway_start(f);
    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOFREE char *post = mw_asprintf("p%zu", i), *id = mw_asprintf("said%zu", i);
        MW_AUTOFREE char *reaction = mw_asprintf("said%zu/r", i);
        struct question q;
        struct mw_event ev;
        int64_t done = task_count(f, MW_TASK_DONE), waits;

        f->permitted[0] = '\0';
        say(f, post, "", "hang");
        WAIT_FOR(f, f->running == 1);
        handler_ask(f, "hang");
        WAIT_FOR(f, sent(f, post, task, 1, ""));
        ev = a_post(id, rows[i].root ? rows[i].root : post, rows[i].text);
        if (rows[i].emoji) {
            q = find(f, post, task, 1, "");
            ev = a_post(reaction, "", rows[i].emoji);
            ev.kind = MW_EVENT_REACTION_ADDED;
            ev.post_id = q.post_id;
        }
        ev.flags = rows[i].flags;
        if (rows[i].user)
            ev.user_id = rows[i].user;
        session_event(session_of("b"), &ev);
        settle(f);
        if (!mw_streq(f->permitted, rows[i].option ? rows[i].option : ""))
            fail_msg("row %zu: \"%s\"", i, f->permitted);
        /* What was no decision may be a message of its own. */
        waits = task_count(f, MW_TASK_PENDING);
        handler_end(f, "hang", GW_HANDLER_EMPTY, "");
        for (; waits > 1; waits--) {
            WAIT_FOR(f, f->running == 1);
            handler_end(f, rows[i].text, GW_HANDLER_EMPTY, "");
            task++;
            done++;
        }
        WAIT_FOR(f, task_count(f, MW_TASK_DONE) == done + 1);
        task++;
    }
}

static void nobody_decides_in_time(void **state)
{
    struct fixture *f = *state;

    f->config = config;
    f->ask_timeout_ms = 1;
    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_ask(f, "hang");
    WAIT_FOR(f, sent(f, "p1", 1, 1, ".outcome"));
    assert_string_equal(f->permitted, "nobody");
    assert_string_equal(find(f, "p1", 1, 1, ".outcome").message,
                        "**Rejected**, because nobody decided in time: Do it");
    /* Too late. */
    say(f, "p2", "p1", "allow");
    settle(f);
    assert_string_equal(f->permitted, "nobody");
    assert_int_equal(task_count(f, MW_TASK_PENDING), 2);
}

static void a_stop_answers_all(void **state)
{
    struct fixture *f = *state;
    struct mw_event stop = a_post("p3", "p1", "@bot stop");

    f->config = config;
    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    for (int i = 0; i < 3; i++)
        handler_ask(f, "hang");
    WAIT_FOR(f, sent(f, "p1", 1, 3, ""));
    /* The first one that fits; the others stay open. */
    say(f, "p2", "p1", "allow");
    WAIT_FOR(f, f->permitted[0]);
    stop.flags = MW_EVENT_MENTION;
    session_event(session_of("b"), &stop);
    WAIT_FOR(f, sent(f, "p1", 1, 3, ".outcome"));
    assert_string_equal(f->permitted, "yes nobody nobody");
    assert_string_equal(find(f, "p1", 1, 1, ".outcome").message,
                        ":white_check_mark: **Allow** by @ada: Do it");
    for (int n = 2; n <= 3; n++)
        assert_string_equal(find(f, "p1", 1, n, ".outcome").message,
                            "**Not decided**, the answer was stopped: Do it");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_decides),
        TEST(nobody_decides_in_time),
        TEST(a_stop_answers_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
