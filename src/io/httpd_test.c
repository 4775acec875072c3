#include "io/httpd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"

#define MAX_BODY 1000

struct fixture {
    uv_loop_t loop;
    struct mw_httpd *httpd;
    struct mw_httpd_request *held; /* of "/hold" */
    unsigned requests;
    unsigned freed;
    size_t body_len;
    int upgraded_fd;
    char early[64];
};

static void count_free(void *data)
{
    (*(unsigned *)data)++;
}

static void on_upgrade(uv_loop_t *loop, int fd, const char *early, size_t early_len, void *userdata)
{
    struct fixture *f = userdata;

    assert_ptr_equal(loop, &f->loop);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    f->upgraded_fd = fd;
    snprintf(f->early, sizeof(f->early), "%.*s", (int)early_len, early ? early : "");
}

static void on_request(struct mw_httpd_request *req, void *userdata)
{
    struct fixture *f = userdata;
    const char *path = mw_httpd_path(req);
    const char *body = mw_httpd_body(req, &f->body_len);

    f->requests++;
    mw_httpd_set_data(req, &f->freed, count_free);
    assert_ptr_equal(mw_httpd_get_data(req), &f->freed);
    if (mw_streq(path, "/hold")) {
        f->held = req;
    } else if (mw_streq(path, "/abort")) {
        mw_httpd_abort(req);
    } else if (mw_streq(path, "/free")) {
        mw_httpd_free(take_ptr(f->httpd));
    } else if (mw_streq(path, "/ws")) {
        assert_int_equal(mw_httpd_add_header(req, "X-Mine", "yes"), 0);
        mw_httpd_upgrade(req, on_upgrade, f);
    } else {
        MW_AUTOFREE char *text = NULL;
        const char *q = mw_httpd_query(req, "q");
        const char *h = mw_httpd_header(req, "x-test");

        text = mw_asprintf("%s %s q=%s h=%s peer=%s body=%s", mw_httpd_method(req), path,
                           q ? q : "-", h ? h : "-", mw_httpd_peer(req), body);
        assert_non_null(text);
        assert_int_equal(mw_httpd_add_header(req, "X-Bad", "1\r\nX-Smuggled: 1"), -EINVAL);
        assert_int_equal(mw_httpd_add_header(req, "X-Bad: y", "1"), -EINVAL);
        assert_int_equal(mw_httpd_add_header(req, "X-Answer", "42"), 0);
        mw_httpd_respond(req, 200, "text/plain", text, strlen(text));
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct mw_httpd_params params = {
        .address = "127.0.0.1", .max_body = MAX_BODY, .on_request = on_request, .userdata = f};

    assert_non_null(f);
    f->upgraded_fd = -1;
    uv_loop_init(&f->loop);
    assert_int_equal(mw_httpd_new(&f->loop, &params, &f->httpd, NULL), 0);
    assert_int_not_equal(mw_httpd_port(f->httpd), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mw_httpd_free(f->httpd);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(f->freed, f->requests);
    if (f->upgraded_fd >= 0)
        close(f->upgraded_fd);
    free(f);
    return 0;
}

struct reader {
    uv_poll_t poll;
    int fd;
    const char *until;
    struct mw_buf got;
    bool done;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct reader *r = poll->data;
    char chunk[4096];
    ssize_t n = recv(r->fd, chunk, sizeof(chunk), 0);

    if (n > 0)
        mw_buf_append(&r->got, chunk, (size_t)n);
    if (n <= 0 || (r->until && strstr(mw_buf_str(&r->got), r->until)))
        r->done = true;
}

static int dial(struct fixture *f)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(mw_httpd_port(f->httpd)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Runs the loop until the peer sent `until` (NULL: until it closed) and returns all it sent. */
static char *hear(struct fixture *f, int fd, const char *until)
{
    struct reader r = {.fd = fd, .until = until};
    char *text;

    mw_buf_init(&r.got, 0);
    r.poll.data = &r;
    assert_int_equal(uv_poll_init(&f->loop, &r.poll, fd), 0);
    uv_poll_start(&r.poll, UV_READABLE, on_readable);
    while (!r.done)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&r.poll, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    text = strdup(mw_buf_str(&r.got));
    assert_non_null(text);
    mw_buf_deinit(&r.got);
    return text;
}

static char *exchange(struct fixture *f, const char *request)
{
    int fd = dial(f);
    char *text;

    say(fd, request);
    text = hear(f, fd, NULL);
    close(fd);
    return text;
}

static void expect_in(const char *text, const char *needle)
{
    if (!strstr(text, needle))
        fail_msg("no \"%s\" in: %s", needle, text);
}

static void test_answers(void **state)
{
    MW_AUTOFREE char *text =
        exchange(*state, "GET /a%20b?x=1&q=c%26d HTTP/1.1\r\nHost: x\r\nX-Test: hi\r\n"
                         "Connection: close\r\n\r\n");

    expect_in(text, "HTTP/1.1 200");
    expect_in(text, "X-Answer: 42");
    expect_in(text, "Content-Type: text/plain");
    expect_in(text, "\r\n\r\nGET /a b q=c&d h=hi peer=127.0.0.1 body=");
}

static void test_keeps_the_connection(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);

    for (int i = 0; i < 3; i++) {
        MW_AUTOFREE char *text = NULL;
        say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        text = hear(f, fd, "body=hello");
        expect_in(text, "HTTP/1.1 200");
    }
    close(fd);
    assert_int_equal(f->requests, 3);
}

static void test_pipelined(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text =
        exchange(f, "GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\n"
                    "Connection: close\r\n\r\n");

    expect_in(text, "GET /one");
    expect_in(text, "GET /two");
}

static void test_answers_later(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text = NULL;
    int fd = dial(f);

    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    while (!f->held)
        uv_run(&f->loop, UV_RUN_ONCE);
    /* Others are served meanwhile. */
    free(exchange(f, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    mw_httpd_respond(f->held, 201, NULL, "{}", 2);
    text = hear(f, fd, NULL);
    close(fd);
    expect_in(text, "HTTP/1.1 201");
    expect_in(text, "Content-Type: application/json");
}

static void test_peer_leaves_before_the_answer(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);

    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    while (!f->held)
        uv_run(&f->loop, UV_RUN_ONCE);
    close(fd);
    free(exchange(f, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    mw_httpd_respond(f->held, 200, NULL, "{}", 2);
    free(exchange(f, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    assert_int_equal(f->freed, 3);
}

static void test_abort(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text = exchange(f, "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n");
    MW_AUTOFREE char *later = NULL;
    int fd = dial(f);

    assert_string_equal(text, "");
    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    while (!f->held)
        uv_run(&f->loop, UV_RUN_ONCE);
    mw_httpd_abort(f->held);
    later = hear(f, fd, NULL);
    close(fd);
    assert_string_equal(later, "");
}

static void test_free_with_a_request_held(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text = NULL;
    int fd = dial(f);

    say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    while (!f->held)
        uv_run(&f->loop, UV_RUN_ONCE);
    mw_httpd_free(take_ptr(f->httpd));
    assert_int_equal(f->freed, 1);
    text = hear(f, fd, NULL);
    close(fd);
    assert_string_equal(text, "");
}

static void test_free_in_the_callback(void **state)
{
    MW_AUTOFREE char *text = exchange(*state, "GET /free HTTP/1.1\r\nHost: x\r\n\r\n");

    assert_string_equal(text, "");
}

static void test_chunked_body(void **state)
{
    MW_AUTOFREE char *text =
        exchange(*state, "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                         "Connection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");

    expect_in(text, "body=abcde");
}

static void test_refuses_ambiguous_framing(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: 3x\r\n",
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++) {
        MW_AUTOFREE char *text = NULL;
        MW_AUTOFREE char *request = mw_asprintf(
            "POST /p HTTP/1.1\r\nHost: x\r\n%s\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: "
            "x\r\n\r\n",
            bad[i]);
        text = exchange(f, request);
        if (!strstr(text, "HTTP/1.1 400"))
            fail_msg("%s was answered: %s", bad[i], text);
        assert_int_equal(f->requests, 0);
    }
}

static char *post_of(size_t len, bool chunked, const char *extra)
{
    MW_AUTOBUF b = {.limit = 0};

    mw_buf_printf(&b, "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s", extra);
    if (chunked)
        mw_buf_printf(&b, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", len);
    else
        mw_buf_printf(&b, "Content-Length: %zu\r\n\r\n", len);
    for (size_t i = 0; i < len; i++)
        mw_buf_putc(&b, 'x');
    if (chunked)
        mw_buf_puts(&b, "\r\n0\r\n\r\n");
    return mw_buf_take(&b);
}

static void test_body_limit(void **state)
{
    struct fixture *f = *state;

    for (int chunked = 0; chunked < 2; chunked++) {
        MW_AUTOFREE char *fits = post_of(MAX_BODY, chunked, "");
        MW_AUTOFREE char *over = post_of(MAX_BODY + 1, chunked, "");
        MW_AUTOFREE char *ok = exchange(f, fits);
        MW_AUTOFREE char *refused = exchange(f, over);

        expect_in(ok, "HTTP/1.1 200");
        assert_int_equal(f->body_len, MAX_BODY);
        expect_in(refused, "HTTP/1.1 413");
    }
    assert_int_equal(f->requests, 2);
}

static void test_body_far_over_the_limit(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *chunked = post_of(MAX_BODY * 10, true, "");
    MW_AUTOFREE char *cut = exchange(f, chunked);
    MW_AUTOFREE char *at_once = exchange(
        f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n");
    MW_AUTOFREE char *asked = exchange(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1500\r\n"
                                          "Expect: 100-continue\r\n\r\n");

    assert_string_equal(cut, "");
    expect_in(at_once, "HTTP/1.1 4");
    expect_in(asked, "HTTP/1.1 413");
    assert_int_equal(f->requests, 0);
}

static void test_body_in_slow_pieces(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text = NULL;
    int fd = dial(f);

    say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Le");
    uv_run(&f->loop, UV_RUN_ONCE);
    say(fd, "ngth: 6\r\n\r\nab");
    uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->requests, 0);
    say(fd, "cdef");
    text = hear(f, fd, NULL);
    close(fd);
    expect_in(text, "body=abcdef");
}

static void test_cut_body_is_no_request(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text = NULL;
    int fd = dial(f);

    say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab");
    /* One turn accepts and reads. */
    uv_run(&f->loop, UV_RUN_ONCE);
    shutdown(fd, SHUT_WR);
    text = hear(f, fd, NULL);
    close(fd);
    assert_string_equal(text, "");
    assert_int_equal(f->requests, 0);
}

static void test_upgrade(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *text = NULL;
    char got[8] = {0};
    int fd = dial(f);

    say(fd,
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly");
    text = hear(f, fd, "\r\n\r\n");
    expect_in(text, "HTTP/1.1 101");
    expect_in(text, "X-Mine: yes");
    expect_in(text, "Upgrade: websocket");
    while (f->freed == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_string_equal(f->early, "early");

    /* The socket lives on without the server's own descriptor, in both directions. */
    free(exchange(f, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    mw_httpd_free(take_ptr(f->httpd));
    say(f->upgraded_fd, "ping");
    assert_int_equal(recv(fd, got, sizeof(got), 0), 4);
    assert_string_equal(got, "ping");
    say(fd, "pong");
    assert_int_equal(recv(f->upgraded_fd, got, sizeof(got), 0), 4);
    assert_string_equal(got, "pong");
    close(fd);
}

static void test_upgrade_not_asked_for(void **state)
{
    MW_AUTOFREE char *text =
        exchange(*state, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

    expect_in(text, "HTTP/1.1 400");
}

static void test_port_in_use(void **state)
{
    struct fixture *f = *state;
    struct mw_httpd_params params = {.address = "127.0.0.1",
                                     .port = mw_httpd_port(f->httpd),
                                     .on_request = on_request,
                                     .userdata = f};
    struct mw_httpd *other = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;

    assert_int_equal(mw_httpd_new(&f->loop, &params, &other, &err), -EADDRINUSE);
    assert_null(other);
    expect_in(mw_error_text(&err), "Address already in use");
    mw_error_reset(&err);
    params.address = "example.com";
    assert_int_equal(mw_httpd_new(&f->loop, &params, &other, &err), -EINVAL);
    expect_in(mw_error_text(&err), "example.com");
}

/* ---- Out of descriptors ---- */

static void on_turn(uv_prepare_t *h)
{
    ++*(unsigned *)h->data;
}

static void on_alarm(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

/* How often the loop turns in half a second. */
static unsigned turns(struct fixture *f)
{
    uv_prepare_t prepare;
    uv_timer_t alarm;
    unsigned n = 0;
    bool over = false;

    uv_prepare_init(&f->loop, &prepare);
    uv_timer_init(&f->loop, &alarm);
    prepare.data = &n;
    alarm.data = &over;
    uv_prepare_start(&prepare, on_turn);
    uv_timer_start(&alarm, on_alarm, 500, 0);
    while (!over)
        uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&alarm, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    return n;
}

/* Lets the process open nothing more; returns the old limit. */
static struct rlimit no_descriptors(void)
{
    int next = open("/dev/null", O_RDONLY);
    struct rlimit old, none;

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return old;
}

/* With connections, and with none at all. */
static void waits_for_a_descriptor(struct fixture *f, bool connected)
{
    MW_AUTOFREE char *text = NULL;
    struct rlimit old;
    int first = -1, fd;

    if (connected) {
        first = dial(f);
        say(first, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        while (!f->held)
            uv_run(&f->loop, UV_RUN_ONCE);
    }
    fd = dial(f);
    old = no_descriptors();
    say(fd, "GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_in_range(turns(f), 0, 100); /* one that spins comes to some 100,000 */
    assert_int_equal(f->requests, connected);
    setrlimit(RLIMIT_NOFILE, &old);
    text = hear(f, fd, NULL);
    expect_in(text, "GET /late");
    close(fd);
    if (connected) {
        mw_httpd_respond(f->held, 200, "text/plain", "", 0);
        close(first);
    }
}

static void test_no_descriptor_left(void **state)
{
    waits_for_a_descriptor(*state, true);
}

static void test_no_descriptor_from_the_start(void **state)
{
    waits_for_a_descriptor(*state, false);
}

/* More than may connect wait until one goes. */
static void test_connection_limit(void **state)
{
    struct fixture *f = *state;
    struct mw_httpd_params params = {
        .address = "127.0.0.1", .max_connections = 2, .on_request = on_request, .userdata = f};
    MW_AUTOFREE char *text = NULL;
    int fd[3];

    mw_httpd_free(take_ptr(f->httpd));
    assert_int_equal(mw_httpd_new(&f->loop, &params, &f->httpd, NULL), 0);
    for (int i = 0; i < 3; i++)
        fd[i] = dial(f);
    assert_in_range(turns(f), 0, 100);
    say(fd[2], "GET /third HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_in_range(turns(f), 0, 100);
    assert_int_equal(f->requests, 0);
    close(fd[0]);
    text = hear(f, fd[2], NULL);
    expect_in(text, "GET /third");
    close(fd[1]);
    close(fd[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keeps_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_peer_leaves_before_the_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_with_a_request_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_in_the_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunked_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses_ambiguous_framing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_far_over_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_in_slow_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_body_is_no_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upgrade, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upgrade_not_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_port_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptor_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_descriptor_from_the_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_limit, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
