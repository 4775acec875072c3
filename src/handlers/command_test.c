/* Every way in which a command can end. */
#include "base/str.h"
#include "base/test.h"
#include "handlers/handlers.h"
#include "io/handle.h"

struct fixture {
    uv_loop_t loop;
    struct mw_timer *alarm;
    struct gw_handler_config config;
    struct mw_event ev;
    int done;
    enum gw_handler_end end;
    char text[2048], error[1024];
};

static void on_alarm(void *userdata)
{
    fail_msg("the command does not end");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    uv_loop_init(&f->loop);
    assert_int_equal(mw_timer_new(&f->loop, on_alarm, f, &f->alarm), 0);
    f->ev = (struct mw_event){
        .id = 42,
        .bot = "b",
        .kind = MW_EVENT_POST,
        .flags = MW_EVENT_MENTION,
        .object = "p1",
        .post_id = "p1",
        .root_id = "r1",
        .channel_id = "c1",
        .channel_name = "town",
        .channel_type = "O",
        .team_id = "",
        .team_name = "",
        .user_id = "u1",
        .user_name = "ada",
        .text = "it's \"$HOME\" `id`",
        .files = "",
        .detail = "",
        .raw = "",
    };
    f->config = (struct gw_handler_config){
        .name = (char *)"h", .type = (char *)"command", .workdir = (char *)"/"};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mw_timer_free(f->alarm);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static void on_answer(void *turn, const struct gw_handler_answer *a)
{
    struct fixture *f = turn;

    f->done++;
    f->end = a->end;
    snprintf(f->text, sizeof(f->text), "%s", a->text);
    snprintf(f->error, sizeof(f->error), "%s",
             mw_error_is_set(&a->err) ? mw_error_text(&a->err) : "");
}

static const struct gw_turn_ops ops = {.end = on_answer};

static int start_command(struct fixture *f, struct gw_strings command, struct gw_handler_run **ret)
{
    struct gw_handler_host host = {.loop = &f->loop, .config = &f->config};
    struct gw_turn turn = {.ev = &f->ev, .text = f->ev.text, .timeout_ms = f->config.timeout_ms};
    struct gw_handler_instance *in = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int rc;

    f->done = 0;
    f->config.command = command;
    assert_int_equal(gw_command_handler.open(&host, &in, &err), 0);
    rc = gw_command_handler.start(in, &turn, &ops, f, ret, &err);
    if (rc)
        snprintf(f->error, sizeof(f->error), "%s", mw_error_text(&err));
    assert_int_equal(f->done, 0);
    return rc;
}

static int start(struct fixture *f, const char *script, struct gw_handler_run **ret)
{
    char *argv[] = {(char *)"/bin/sh", (char *)"-c", (char *)script};

    return start_command(f, (struct gw_strings){.items = argv, .n = 3}, ret);
}

static void wait_end(struct fixture *f)
{
    mw_timer_start(f->alarm, 20000);
    while (!f->done)
        uv_run(&f->loop, UV_RUN_ONCE);
    mw_timer_stop(f->alarm);
}

static void run(struct fixture *f, const char *script)
{
    struct gw_handler_run *r = NULL;

    assert_int_equal(start(f, script, &r), 0);
    wait_end(f);
}

static void ends(void **state)
{
    static const struct {
        const char *script;
        enum gw_handler_end end;
        const char *text, *error;
    } rows[] = {
        {"echo hello", GW_HANDLER_ANSWERED, "hello\n", ""},
        {"true", GW_HANDLER_EMPTY, "", ""},
        {"printf ' \\n\\t'", GW_HANDLER_EMPTY, "", ""},
        {"echo no; exit 3", GW_HANDLER_FAILED, "", "exit status 3"},
        {"for i in 1 2 3 4 5; do echo line $i >&2; done; exit 1", GW_HANDLER_FAILED, "",
         "exit status 1: line 3 / line 4 / line 5"},
        {"kill -9 $$", GW_HANDLER_FAILED, "", "ended by signal 9 (Killed)"},
        {"printf 'a\\377b\\000c'", GW_HANDLER_ANSWERED,
         "a\xef\xbf\xbd"
         "b\xef\xbf\xbd"
         "c",
         ""},
        {"yes", GW_HANDLER_FAILED, "", "more than 1048576 bytes of output"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        run(f, rows[i].script);
        assert_int_equal(f->end, rows[i].end);
        assert_string_equal(f->text, rows[i].text);
        assert_string_equal(f->error, rows[i].error);
    }
}

static void gets_the_event(void **state)
{
    struct fixture *f = *state;
    MW_AUTOJSON *json = NULL;

    run(f, "cat");
    assert_int_equal(mw_json_parse(f->text, strlen(f->text), &json, NULL), 0);
    assert_string_equal(mw_json_str(json, "text"), f->ev.text);
    assert_string_equal(mw_json_str(json, "kind"), "post");
    run(f, "echo \"$MATTERWIRE_EVENT_ID $MATTERWIRE_BOT $MATTERWIRE_KIND $MATTERWIRE_CHANNEL_ID"
           " $MATTERWIRE_CHANNEL_NAME $MATTERWIRE_USER_NAME $MATTERWIRE_POST_ID"
           " $MATTERWIRE_ROOT_ID $MATTERWIRE_MENTION $MATTERWIRE_DIRECT\"");
    assert_string_equal(f->text, "42 b post c1 town ada p1 r1 1 0\n");
    /* Nobody's words are code. */
    run(f, "printf %s \"$MATTERWIRE_TEXT\"");
    assert_string_equal(f->text, f->ev.text);
}

static void knows_only_the_named_environment(void **state)
{
    struct fixture *f = *state;
    char *inherit[] = {(char *)"TEST_SHOWN", (char *)"TEST_ABSENT"};
    char *env[] = {(char *)"COLOUR=blue", (char *)"PATH=/bin"};

    setenv("TEST_SECRET", "1", 1);
    setenv("TEST_SHOWN", "2", 1);
    unsetenv("TEST_ABSENT");
    f->config.env_inherit = (struct gw_strings){.items = inherit, .n = 2};
    f->config.env = (struct gw_strings){.items = env, .n = 2};
    run(f, "echo \"${TEST_SECRET-none} $TEST_SHOWN ${TEST_ABSENT-none} $COLOUR $PATH\"; pwd");
    assert_string_equal(f->text, "none 2 none blue /bin\n/\n");
}

static void is_stopped_at_its_limit(void **state)
{
    struct fixture *f = *state;

    f->config.timeout_ms = 50;
    run(f, "echo half; sleep 1000");
    assert_int_equal(f->end, GW_HANDLER_TIMEOUT);
    assert_string_equal(f->text, "");
    assert_non_null(strstr(f->error, "it was stopped"));
}

static void can_be_canceled(void **state)
{
    struct fixture *f = *state;
    struct gw_handler_run *r = NULL;

    assert_int_equal(start(f, "sleep 1000", &r), 0);
    gw_command_handler.cancel(r);
    wait_end(f);
    assert_int_equal(f->end, GW_HANDLER_CANCELED);
}

static void tells_what_cannot_start(void **state)
{
    struct fixture *f = *state;
    struct gw_handler_run *r = NULL;
    char *argv[] = {(char *)"/does/not/exist"};

    assert_true(start_command(f, (struct gw_strings){.items = argv, .n = 1}, &r) < 0);
    assert_non_null(strstr(f->error, "/does/not/exist"));
    assert_int_equal(f->done, 0);
}

static void leaves_out_a_text_that_no_variable_can_hold(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text = calloc(1, 200001);

    memset(text, 'x', 200000);
    f->ev.text = text;
    run(f, "echo ${MATTERWIRE_TEXT-none}; wc -c");
    assert_int_equal(f->end, GW_HANDLER_ANSWERED);
    assert_true(mw_starts_with(f->text, "none\n"));
    assert_true(strtol(f->text + 5, NULL, 10) > 200000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ends),
        TEST(gets_the_event),
        TEST(knows_only_the_named_environment),
        TEST(is_stopped_at_its_limit),
        TEST(can_be_canceled),
        TEST(tells_what_cannot_start),
        TEST(leaves_out_a_text_that_no_variable_can_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
