/* Programs that speak JSON, well and badly. */
#include <signal.h>

#include "base/str.h"
#include "base/test.h"
#include "handlers/child.h"
#include "io/handle.h"

struct fixture {
    uv_loop_t loop;
    struct mw_timer *alarm;
    struct gw_handler_config config;
    struct gw_child_params params;
    struct gw_child *child;
    char *argv[3];
    struct mw_buf heard; /* what it said, a line each */
    int started, messages, garbage, gone;
    char why[1024];
};

static void on_alarm(void *userdata)
{
    fail_msg("the program does not do what it should");
}

static void on_started(void *owner)
{
    ((struct fixture *)owner)->started++;
}

static void on_message(void *owner, const cJSON *msg)
{
    struct fixture *f = owner;

    f->messages++;
    assert_int_equal(mw_json_write(&f->heard, msg), 0);
    mw_buf_putc(&f->heard, '\n');
}

static void on_garbage(void *owner, const char *why)
{
    ((struct fixture *)owner)->garbage++;
}

static void on_gone(void *owner, const char *why)
{
    struct fixture *f = owner;

    f->gone++;
    snprintf(f->why, sizeof(f->why), "%s", why);
}

static const struct gw_child_ops ops = {
    .started = on_started,
    .message = on_message,
    .garbage = on_garbage,
    .gone = on_gone,
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    uv_loop_init(&f->loop);
    assert_int_equal(mw_timer_new(&f->loop, on_alarm, f, &f->alarm), 0);
    f->config = (struct gw_handler_config){.name = (char *)"h", .workdir = (char *)"/"};
    f->params = (struct gw_child_params){
        .loop = &f->loop,
        .config = &f->config,
        .ops = &ops,
        .owner = f,
        .max_line = 1000,
        .max_input = 10000,
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gw_child_free(f->child);
    mw_timer_free(f->alarm);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    mw_buf_deinit(&f->heard);
    free(f);
    return 0;
}

static void script(struct fixture *f, const char *text)
{
    f->argv[0] = (char *)"/bin/sh";
    f->argv[1] = (char *)"-c";
    f->argv[2] = (char *)text;
    f->config.command = (struct gw_strings){.items = f->argv, .n = 3};
    if (!f->child)
        assert_int_equal(gw_child_new(&f->params, &f->child), 0);
}

static void begin(struct fixture *f, const char *text)
{
    script(f, text);
    assert_int_equal(gw_child_start(f->child, NULL), 0);
}

#define WAIT_FOR(f, condition)                                                                     \
    do {                                                                                           \
        mw_timer_start((f)->alarm, 20000);                                                         \
        while (!(condition))                                                                       \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                       \
        mw_timer_stop((f)->alarm);                                                                 \
    } while (0)

static int say(struct fixture *f, const char *line)
{
    return gw_child_send(f->child, line, strlen(line));
}

static void talks(void **state)
{
    struct fixture *f = *state;

    begin(f, "cat");
    assert_int_equal(gw_child_start(f->child, NULL), 0);
    assert_int_equal(say(f, "{\"a\":1}"), 0);
    assert_int_equal(say(f, " {\"b\": [2]} "), 0);
    WAIT_FOR(f, f->messages == 2);
    assert_string_equal(mw_buf_str(&f->heard), "{\"a\":1}\n{\"b\":[2]}\n");
    assert_int_equal(f->gone, 0);
}

static void garbage_is_told_and_not_fatal(void **state)
{
    struct fixture *f = *state;
    MW_AUTOJSON *o = cJSON_CreateObject();

    begin(f, "echo hello; echo; echo 7; printf '{\"a\":\"\\377\"}\\n'; echo '{\"a\":1}'; cat");
    WAIT_FOR(f, f->messages == 1);
    assert_int_equal(f->garbage, 3);
    assert_int_equal(gw_child_status(f->child, o), 0);
    assert_int_equal(mw_json_i64(o, "garbage", -1), 3);
    assert_int_equal(mw_json_i64(o, "restarts", -1), 0);
    assert_true(mw_json_i64(o, "pid", 0) > 0);
}

static void bad_programs_are_stopped(void **state)
{
    static const struct {
        const char *script, *why;
    } rows[] = {
        {"yes; sleep 1000", "it prints what is no JSON, so it was stopped: ended by signal 15"},
        {"echo '{}'; head -c 2000 /dev/zero; sleep 1000",
         "it printed a line of more than 1000 bytes, so it was stopped: ended by signal 15"},
        {"exec 1>&-; sleep 1000", "it closed its standard output, so it was stopped: ended by"},
        {"echo bad luck >&2; exit 3", "exit status 3: bad luck"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        int r;

        script(f, rows[i].script);
        r = gw_child_start(f->child, NULL);
        assert_in_range(r, 0, 1);
        WAIT_FOR(f, f->gone == (int)i + 1);
        if (!mw_starts_with(f->why, rows[i].why))
            fail_msg("%s", f->why);
        assert_false(gw_child_runs(f->child));
        assert_int_equal(say(f, "{}"), -EPIPE);
    }
}

static void is_started_again_after_a_wait(void **state)
{
    struct fixture *f = *state;

    begin(f, "exit 1");
    WAIT_FOR(f, f->gone == 1);
    script(f, "cat");
    assert_int_equal(gw_child_start(f->child, NULL), 1);
    assert_int_equal(gw_child_start(f->child, NULL), 1);
    assert_int_equal(say(f, "{}"), -EPIPE);
    WAIT_FOR(f, f->started);
    assert_int_equal(gw_child_start(f->child, NULL), 0);
    assert_int_equal(say(f, "{}"), 0);
    WAIT_FOR(f, f->messages == 1);
    assert_int_equal(f->started, 1);
}

static void a_start_that_fails(void **state)
{
    struct fixture *f = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;

    script(f, "cat");
    f->argv[0] = (char *)"/no/such/program";
    assert_int_equal(gw_child_start(f->child, &err), -ENOENT);
    assert_string_equal(mw_error_text(&err), "there is no program /no/such/program");
    assert_int_equal(gw_child_start(f->child, &err), 1);
    WAIT_FOR(f, f->gone == 1);
    assert_string_equal(f->why, "there is no program /no/such/program");
    assert_int_equal(f->started, 0);
}

static void one_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    char line[2000] = "";
    int r = 0;

    memset(line, 'x', sizeof(line) - 1);
    begin(f, "echo '{}'; sleep 1000");
    WAIT_FOR(f, f->messages == 1);
    for (int i = 0; i < 1000 && r == 0; i++) {
        r = say(f, line);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(r, -ENOBUFS);
    gw_child_break(f->child, "it is deaf");
    gw_child_break(f->child, "twice");
    assert_false(gw_child_runs(f->child));
    WAIT_FOR(f, f->gone == 1);
    assert_true(mw_starts_with(f->why, "it is deaf, so it was stopped: ended by signal 15"));
}

/* teardown runs the loop to its end: the program is gone then. */
static void is_freed_in_the_middle(void **state)
{
    struct fixture *f = *state;

    begin(f, "trap '' TERM; echo '{}'; while :; do sleep 0.05; done");
    WAIT_FOR(f, f->messages == 1);
    gw_child_free(take_ptr(f->child));
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->gone, 0);
}

static void is_freed_while_it_waits(void **state)
{
    struct fixture *f = *state;

    begin(f, "exit 1");
    WAIT_FOR(f, f->gone == 1);
    assert_int_equal(gw_child_start(f->child, NULL), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(talks),
        TEST(garbage_is_told_and_not_fatal),
        TEST(bad_programs_are_stopped),
        TEST(is_started_again_after_a_wait),
        TEST(a_start_that_fails),
        TEST(one_that_does_not_read),
        TEST(is_freed_in_the_middle),
        TEST(is_freed_while_it_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
