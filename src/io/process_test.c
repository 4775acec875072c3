/* Children of every kind, run for real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "io/loopback.h"
#include "io/process.h"

static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "COLOUR=blue", NULL};

struct run {
    struct test_loop loop;
    struct mw_process_params params;
    unsigned ended;
    struct mw_process_result result;
    char *out, *err;
    size_t out_len, err_len;
    /* For a child that is talked to. */
    struct mw_buf told;
    unsigned told_end;
    const char *drop_at; /* output that makes it drop the child */
};

static int setup(void **state)
{
    struct run *run = calloc(1, sizeof(*run));

    test_loop_init(&run->loop);
    run->params.env = env;
    *state = run;
    return 0;
}

static int teardown(void **state)
{
    struct run *run = *state;

    test_loop_deinit(&run->loop);
    mw_buf_deinit(&run->told);
    free(run->out);
    free(run->err);
    free(run);
    return 0;
}

static void on_end(struct mw_process *p, const struct mw_process_result *r, void *userdata)
{
    struct run *run = userdata;

    run->ended++;
    run->result = *r;
    run->out_len = r->out->len;
    run->err_len = r->err->len;
    run->out = strdup(mw_buf_str(r->out));
    run->err = strdup(mw_buf_str(r->err));
    uv_stop(&run->loop.uv);
}

static struct mw_process *begin(struct run *run, const char *script)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_process *p = NULL;

    run->params.argv = argv;
    if (mw_process_start(&run->loop.uv, &run->params, on_end, run, &p, &err) < 0)
        fail_msg("%s", mw_error_text(&err));
    return p;
}

static void shell(struct run *run, const char *script)
{
    begin(run, script);
    test_loop_run(&run->loop);
    assert_int_equal(run->ended, 1);
}

static void test_exit_code_and_output(void **state)
{
    struct run *run = *state;

    run->params.input = "a line\n";
    run->params.input_len = 7;
    shell(run, "cat; echo $COLOUR; echo oops >/dev/stderr; exit 3");
    assert_int_equal(run->result.end, MW_PROCESS_EXITED);
    assert_int_equal(run->result.exit_code, 3);
    assert_string_equal(run->out, "a line\nblue\n");
    assert_string_equal(run->err, "oops\n");
}

static void test_environment_is_what_is_given(void **state)
{
    struct run *run = *state;

    setenv("MW_TEST_LEAK", "1", 1);
    shell(run, "env | grep -c MW_TEST_LEAK");
    assert_string_equal(run->out, "0\n");
}

static void test_workdir(void **state)
{
    struct run *run = *state;

    run->params.workdir = "/usr";
    shell(run, "pwd");
    assert_string_equal(run->out, "/usr\n");
}

static void test_no_descriptors_and_default_signals(void **state)
{
    struct run *run = *state;
    int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

    assert_true(leak > 2);
    /* The 3 is the folder that ls reads. */
    shell(run, "ls /proc/self/fd | tr '\\n' ' '; exec grep -E '^Sig(Ign|Blk)' /proc/self/status");
    close(leak);
    assert_string_equal(run->out, "0 1 2 3 SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_own_group(void **state)
{
    struct run *run = *state;
    struct mw_process *p = begin(run, "ps -o pgid= -p $$ | tr -d ' '");
    char pid[16];

    snprintf(pid, sizeof(pid), "%d\n", mw_process_pid(p));
    test_loop_run(&run->loop);
    assert_string_equal(run->out, pid);
}

static void test_signal(void **state)
{
    struct run *run = *state;

    shell(run, "kill -9 $$");
    assert_int_equal(run->result.end, MW_PROCESS_SIGNALED);
    assert_int_equal(run->result.signal, SIGKILL);
}

static void test_timeout_with_term(void **state)
{
    struct run *run = *state;

    run->params.timeout_ms = 50;
    shell(run, "trap 'echo bye; exit 0' TERM; while :; do sleep 0.01; done");
    assert_int_equal(run->result.end, MW_PROCESS_TIMEOUT);
    assert_string_equal(run->out, "bye\n");
}

static void test_timeout_with_kill(void **state)
{
    struct run *run = *state;

    run->params.timeout_ms = 50;
    run->params.kill_after_ms = 50;
    shell(run, "trap '' TERM; while :; do sleep 0.01; done");
    assert_int_equal(run->result.end, MW_PROCESS_TIMEOUT);
    assert_int_equal(run->result.signal, SIGKILL);
}

static void test_timeout_takes_the_whole_group(void **state)
{
    struct run *run = *state;
    struct pollfd wait = {.events = POLLIN};
    int pid = 0;

    run->params.timeout_ms = 200;
    run->params.kill_after_ms = 50;
    shell(run, "sh -c 'trap \"\" TERM; while :; do sleep 0.01; done' & echo $!; wait");
    assert_int_equal(run->result.end, MW_PROCESS_TIMEOUT);
    assert_int_equal(sscanf(run->out, "%d", &pid), 1);
    wait.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (wait.fd < 0)
        return;                                 /* gone and looked at */
    assert_int_equal(poll(&wait, 1, 30000), 1); /* readable once it is dead */
    close(wait.fd);
}

static void test_flood(void **state)
{
    struct run *run = *state;

    run->params.max_stdout = 100000;
    shell(run, "yes");
    assert_int_equal(run->result.end, MW_PROCESS_FLOODED);
    assert_int_equal(run->out_len, 100000);
}

static void test_exactly_the_limit(void **state)
{
    struct run *run = *state;

    run->params.max_stdout = 5;
    shell(run, "printf 12345");
    assert_int_equal(run->result.end, MW_PROCESS_EXITED);
    assert_string_equal(run->out, "12345");
}

static void test_last_bytes_of_stderr(void **state)
{
    struct run *run = *state;

    run->params.max_stderr = 10;
    shell(run, "yes | head -c 300000 >&2; printf 'the end' >&2");
    assert_int_equal(run->result.end, MW_PROCESS_EXITED);
    assert_int_equal(run->err_len, 10);
    assert_string_equal(run->err + 3, "the end");
}

static void test_input_that_nobody_reads(void **state)
{
    struct run *run = *state;
    size_t len = 1 << 20;
    char *input = malloc(len);

    assert_non_null(input);
    memset(input, 'x', len);
    run->params.input = input;
    run->params.input_len = len;
    shell(run, "exec 0<&-; sleep 0.05; echo done");
    free(input);
    assert_int_equal(run->result.end, MW_PROCESS_EXITED);
    assert_string_equal(run->out, "done\n");
}

static void test_large_input_and_output(void **state)
{
    struct run *run = *state;
    size_t len = 900000;
    char *input = malloc(len);

    assert_non_null(input);
    for (size_t i = 0; i < len; i++)
        input[i] = (char)('a' + i % 26);
    run->params.input = input;
    run->params.input_len = len;
    shell(run, "cat");
    assert_int_equal(run->out_len, len);
    assert_memory_equal(run->out, input, len);
    free(input);
}

/* A grandchild that keeps the output open must not hold up the end. */
static void test_grandchild_holds_pipes(void **state)
{
    struct run *run = *state;

    shell(run, "echo out; sleep 1000 & exit 0");
    assert_int_equal(run->result.end, MW_PROCESS_EXITED);
    assert_int_equal(run->result.exit_code, 0);
    assert_string_equal(run->out, "out\n");
}

static void test_grandchild_left_the_group(void **state)
{
    struct run *run = *state;
    int pid = 0;

    shell(run, "setsid sleep 1000 & echo $!; sleep 0.05; exit 0");
    assert_int_equal(run->result.end, MW_PROCESS_EXITED);
    assert_int_equal(sscanf(run->out, "%d", &pid), 1);
    kill(pid, SIGKILL);
}

static void test_cancel(void **state)
{
    struct run *run = *state;
    struct mw_process *p = begin(run, "sleep 1000");

    mw_process_cancel(p);
    test_loop_run(&run->loop);
    assert_int_equal(run->ended, 1);
    assert_int_equal(run->result.end, MW_PROCESS_CANCELED);
}

static void test_drop(void **state)
{
    struct run *run = *state;

    mw_process_drop(begin(run, "sleep 1000"));
    uv_run(&run->loop.uv, UV_RUN_DEFAULT); /* ends by itself once the child is reaped */
    assert_int_equal(run->ended, 0);
}

/* ---- A child that is talked to ---- */

static void on_output(struct mw_process *p, const char *data, size_t len, void *userdata)
{
    struct run *run = userdata;

    assert_int_equal(run->told_end, 0);
    run->told_end += len == 0;
    assert_int_equal(mw_buf_append(&run->told, data, len), 0);
    if (run->drop_at && strstr(mw_buf_str(&run->told), run->drop_at))
        mw_process_drop(p);
}

static struct mw_process *talk(struct run *run, const char *script)
{
    run->params.keep_input = true;
    run->params.on_output = on_output;
    return begin(run, script);
}

static void hear(struct run *run, const char *words)
{
    while (!strstr(mw_buf_str(&run->told), words))
        uv_run(&run->loop.uv, UV_RUN_ONCE);
}

static void test_questions_and_answers(void **state)
{
    struct run *run = *state;
    struct mw_process *p = talk(run, "while read -r x; do echo \"<$x>\"; done; echo over; exit 4");

    assert_int_equal(mw_process_write(p, "one\n", 4), 0);
    hear(run, "<one>\n");
    assert_int_equal(mw_process_write(p, "two\nth", 6), 0);
    hear(run, "<two>\n");
    assert_int_equal(mw_process_write(p, "ree\n", 4), 0);
    mw_process_close_input(p);
    assert_int_equal(mw_process_write(p, "four\n", 5), -EPIPE);
    test_loop_run(&run->loop);
    assert_string_equal(mw_buf_str(&run->told), "<one>\n<two>\n<three>\nover\n");
    assert_int_equal(run->told_end, 1);
    assert_int_equal(run->result.end, MW_PROCESS_EXITED);
    assert_int_equal(run->result.exit_code, 4);
    assert_int_equal(run->out_len, 0);
}

static void test_a_child_that_does_not_read(void **state)
{
    struct run *run = *state;
    static char chunk[65536];
    struct mw_process *p;
    int r = 0, taken = 0;

    memset(chunk, 'x', sizeof(chunk));
    run->params.max_input = 300000;
    p = talk(run, "read -r x; echo started; sleep 1000");
    assert_int_equal(mw_process_write(p, "go\n", 3), 0);
    hear(run, "started");
    for (; taken < 100 && r == 0; taken++) {
        r = mw_process_write(p, chunk, sizeof(chunk));
        uv_run(&run->loop.uv, UV_RUN_NOWAIT);
    }
    assert_int_equal(r, -ENOBUFS);
    assert_in_range(taken, 4, 8); /* what the limit and the pipe hold */
    mw_process_cancel(p);
    test_loop_run(&run->loop);
    assert_int_equal(run->result.end, MW_PROCESS_CANCELED);
}

static void test_input_closed_by_the_child(void **state)
{
    struct run *run = *state;
    struct mw_process *p = talk(run, "exec 0<&-; echo deaf; sleep 1000");

    hear(run, "deaf");
    while (mw_process_write(p, "x\n", 2) == 0)
        uv_run(&run->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(mw_process_write(p, "x\n", 2), -EPIPE);
    mw_process_cancel(p);
    test_loop_run(&run->loop);
}

static void test_much_in_both_directions(void **state)
{
    struct run *run = *state;
    size_t len = 900000;
    char *input = malloc(len);
    struct mw_process *p = talk(run, "cat");

    assert_non_null(input);
    for (size_t i = 0; i < len; i++)
        input[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < len; i += 30000)
        assert_int_equal(mw_process_write(p, input + i, 30000), 0);
    mw_process_close_input(p);
    test_loop_run(&run->loop);
    assert_int_equal(run->told.len, len);
    assert_memory_equal(run->told.data, input, len);
    free(input);
}

static void test_output_that_ends_before_the_child(void **state)
{
    struct run *run = *state;
    struct mw_process *p = talk(run, "echo a; exec 1>&-; sleep 1000");

    while (!run->told_end)
        uv_run(&run->loop.uv, UV_RUN_ONCE);
    assert_int_equal(run->ended, 0);
    mw_process_cancel(p);
    test_loop_run(&run->loop);
    assert_int_equal(run->result.end, MW_PROCESS_CANCELED);
}

static void test_drop_while_it_talks(void **state)
{
    struct run *run = *state;

    run->drop_at = "y\n";
    talk(run, "yes");
    uv_run(&run->loop.uv, UV_RUN_DEFAULT);
    assert_int_equal(run->ended, 0);
}

static void test_drop_at_its_last_words(void **state)
{
    struct run *run = *state;

    run->drop_at = "bye";
    talk(run, "printf bye");
    uv_run(&run->loop.uv, UV_RUN_DEFAULT);
    assert_int_equal(run->ended, 0);
}

static void refuse(struct run *run, const char *const *argv, int code, const char *sentence)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_process *p = NULL;

    run->params.argv = argv;
    assert_int_equal(mw_process_start(&run->loop.uv, &run->params, on_end, run, &p, &err), code);
    assert_string_equal(mw_error_text(&err), sentence);
    assert_null(p);
}

static void test_start_failures(void **state)
{
    struct run *run = *state;

    refuse(run, (const char *const[]){NULL}, -EINVAL, "no program to run");
    refuse(run, (const char *const[]){"no-such-program", NULL}, -ENOENT,
           "there is no program no-such-program");
    refuse(run, (const char *const[]){"./no-such-program", NULL}, -ENOENT,
           "there is no program ./no-such-program");
    refuse(run, (const char *const[]){"/etc/passwd", NULL}, -EACCES,
           "cannot run /etc/passwd: Permission denied");
    run->params.workdir = "/no/such/folder";
    refuse(run, (const char *const[]){"true", NULL}, -ENOENT,
           "cannot run true: there is no folder /no/such/folder to run it in");
    uv_run(&run->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(run->ended, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exit_code_and_output),
        TEST(test_environment_is_what_is_given),
        TEST(test_workdir),
        TEST(test_no_descriptors_and_default_signals),
        TEST(test_own_group),
        TEST(test_signal),
        TEST(test_timeout_with_term),
        TEST(test_timeout_with_kill),
        TEST(test_timeout_takes_the_whole_group),
        TEST(test_flood),
        TEST(test_exactly_the_limit),
        TEST(test_last_bytes_of_stderr),
        TEST(test_input_that_nobody_reads),
        TEST(test_large_input_and_output),
        TEST(test_grandchild_holds_pipes),
        TEST(test_grandchild_left_the_group),
        TEST(test_cancel),
        TEST(test_drop),
        TEST(test_questions_and_answers),
        TEST(test_a_child_that_does_not_read),
        TEST(test_input_closed_by_the_child),
        TEST(test_much_in_both_directions),
        TEST(test_output_that_ends_before_the_child),
        TEST(test_drop_while_it_talks),
        TEST(test_drop_at_its_last_words),
        TEST(test_start_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
