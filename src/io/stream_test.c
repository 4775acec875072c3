/* Streams over loopback: plain, through a proxy, over Unix sockets. TLS is in tls_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "io/handle.h"
#include "io/loopback.h"
#include "io/stream.h"

struct fixture {
    struct test_loop loop;
    struct test_server server;
    struct mw_stream_params params;
    struct mw_stream *stream;
    unsigned opened, drained, ended, closed;
    struct mw_buf data;
    enum mw_stream_stage stage;
    int code;
    char sentence[512];
    bool free_in_open, free_in_data, pause_in_data;
    const char *greeting;
    size_t stop_at; /* bytes read after which the loop stops */
};

static void on_open(struct mw_stream *s, void *userdata)
{
    struct fixture *f = userdata;

    f->opened++;
    if (f->free_in_open) {
        mw_stream_free(take_ptr(f->stream));
        uv_stop(&f->loop.uv);
    } else if (f->greeting) {
        assert_int_equal(mw_stream_write(s, f->greeting, strlen(f->greeting)), 0);
    }
}

static void on_data(struct mw_stream *s, const char *data, size_t len, void *userdata)
{
    struct fixture *f = userdata;

    assert_int_equal(mw_buf_append(&f->data, data, len), 0);
    if (f->pause_in_data)
        mw_stream_pause(s);
    if (f->free_in_data)
        mw_stream_free(take_ptr(f->stream));
    if (f->free_in_data || f->pause_in_data || (f->stop_at && f->data.len >= f->stop_at))
        uv_stop(&f->loop.uv);
}

static void on_drain(struct mw_stream *s, void *userdata)
{
    struct fixture *f = userdata;

    f->drained++;
    uv_stop(&f->loop.uv);
}

static void on_close(struct mw_stream *s, enum mw_stream_stage stage, const struct mw_error *err,
                     void *userdata)
{
    struct fixture *f = userdata;

    f->closed++;
    f->stage = stage;
    f->code = err->code;
    snprintf(f->sentence, sizeof(f->sentence), "%s", mw_error_text(err));
    mw_stream_free(take_ptr(f->stream));
    uv_stop(&f->loop.uv);
}

static const struct mw_stream_ops ops = {
    .on_open = on_open, .on_data = on_data, .on_drain = on_drain, .on_close = on_close};

static void on_end(struct mw_stream *s, void *userdata)
{
    struct fixture *f = userdata;

    f->ended++;
    uv_stop(&f->loop.uv);
}

static const struct mw_stream_ops half_ops = {
    .on_data = on_data, .on_end = on_end, .on_close = on_close};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    test_loop_init(&f->loop);
    f->params = (struct mw_stream_params){.host = "127.0.0.1", .ops = &ops, .userdata = f};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mw_stream_free(f->stream);
    test_server_stop(&f->server);
    test_loop_deinit(&f->loop);
    mw_buf_deinit(&f->data);
    free(f);
    return 0;
}

static void dial(struct fixture *f)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (!f->params.port)
        f->params.port = f->server.port;
    if (mw_stream_connect(&f->loop.uv, &f->params, &f->stream, &err) < 0)
        fail_msg("%s", mw_error_text(&err));
    assert_int_equal(f->opened + f->closed, 0);
}

static void assert_closed(const struct fixture *f, enum mw_stream_stage stage, int code,
                          const char *part)
{
    assert_int_equal(f->closed, 1);
    assert_int_equal(f->stage, stage);
    assert_int_equal(f->code, code);
    if (!strstr(f->sentence, part))
        fail_msg("\"%s\" is not in \"%s\"", part, f->sentence);
}

static void echo_and_close(struct test_conn *conn, const char *data, void *userdata)
{
    if (strcmp(data, "ping") == 0) {
        test_conn_send(conn, "pong", 4);
        test_conn_close(conn, false);
    }
}

static void reset_it(struct test_conn *conn, const char *data, void *userdata)
{
    test_conn_close(conn, true);
}

static void ignore(struct test_conn *conn, const char *data, void *userdata)
{
}

static void test_exchange(void **state)
{
    struct fixture *f = *state;
    struct mw_stream_info info;

    f->greeting = "ping";
    f->stop_at = 4;
    test_server_start(&f->server, &f->loop, echo_and_close, f);
    dial(f);
    test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(&f->data), "pong");
    assert_int_equal(f->opened, 1);
    if (!f->closed) {
        mw_stream_get_info(f->stream, &info);
        assert_true(mw_starts_with(info.peer, "127.0.0.1:"));
        assert_null(info.tls_version);
        test_loop_run(&f->loop);
    }
    assert_closed(f, MW_STAGE_OPEN, 0, "no error");
}

static void test_write_before_open(void **state)
{
    struct fixture *f = *state;

    test_server_start(&f->server, &f->loop, echo_and_close, f);
    dial(f);
    assert_int_equal(mw_stream_write(f->stream, "ping", 4), 0);
    assert_int_equal(mw_stream_queued(f->stream), 4);
    while (!f->closed)
        test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(&f->data), "pong");
    assert_int_equal(f->drained, 1);
}

static void test_reset(void **state)
{
    struct fixture *f = *state;

    f->greeting = "x";
    test_server_start(&f->server, &f->loop, reset_it, f);
    dial(f);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_OPEN, -ECONNRESET, "reset");
}

static void test_connection_refused(void **state)
{
    struct fixture *f = *state;

    test_server_start(&f->server, &f->loop, ignore, f);
    dial(f);
    test_server_stop(&f->server);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_CONNECT, -ECONNREFUSED, "Connection refused");
}

/* "localhost" may have an IPv6 address first, where nobody listens. */
static void test_tries_all_addresses(void **state)
{
    struct fixture *f = *state;

    f->params.host = "localhost";
    f->greeting = "ping";
    test_server_start(&f->server, &f->loop, echo_and_close, f);
    dial(f);
    while (!f->closed)
        test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(&f->data), "pong");
}

static void test_no_such_host(void **state)
{
    struct fixture *f = *state;

    f->params.host = "no-such-host.invalid";
    f->params.port = 80;
    f->params.connect_timeout_ms = 10000;
    dial(f);
    test_loop_run(&f->loop);
    assert_int_equal(f->closed, 1);
    assert_int_equal(f->stage, MW_STAGE_RESOLVE);
    assert_non_null(strstr(f->sentence, "cannot resolve no-such-host.invalid"));
}

/* A listener whose queue is full does not answer. */
static void test_connect_timeout(void **state)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct fixture *f = *state;
    int fill[4];

    test_server_start(&f->server, &f->loop, ignore, f);
    mw_watch_set(f->server.watch, 0);
    assert_int_equal(listen(f->server.fd, 0), 0);
    sa.sin_port = htons(f->server.port);
    for (size_t i = 0; i < MW_ARRAY_LEN(fill); i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fill[i] >= 0);
        connect(fill[i], (struct sockaddr *)&sa, sizeof(sa));
    }
    f->params.connect_timeout_ms = 100;
    dial(f);
    test_loop_run(&f->loop);
    for (size_t i = 0; i < MW_ARRAY_LEN(fill); i++)
        close(fill[i]);
    assert_closed(f, MW_STAGE_CONNECT, -ETIMEDOUT, "Connection timed out");
}

static void test_bad_parameters(void **state)
{
    struct fixture *f = *state;
    char path[200];

    f->params.host = "";
    assert_int_equal(mw_stream_connect(&f->loop.uv, &f->params, &f->stream, NULL), -EINVAL);
    f->params.host = "127.0.0.1";
    f->params.port = 0;
    assert_int_equal(mw_stream_connect(&f->loop.uv, &f->params, &f->stream, NULL), -EINVAL);
    f->params.port = 80;
    f->params.proxy = "ftp://127.0.0.1";
    assert_int_equal(mw_stream_connect(&f->loop.uv, &f->params, &f->stream, NULL), -EINVAL);
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    f->params.unix_path = path;
    assert_int_equal(mw_stream_connect(&f->loop.uv, &f->params, &f->stream, NULL), -EINVAL);
    assert_null(f->stream);
}

static void test_unix_socket_missing(void **state)
{
    struct fixture *f = *state;

    f->params.host = NULL;
    f->params.unix_path = "/no/such/socket";
    f->params.port = 1;
    dial(f);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_CONNECT, -ENOENT,
                  "cannot connect to /no/such/socket: No such file or directory");
}

static void test_free_in_open(void **state)
{
    struct fixture *f = *state;

    f->free_in_open = true;
    test_server_start(&f->server, &f->loop, ignore, f);
    dial(f);
    test_loop_run(&f->loop);
    assert_int_equal(f->opened, 1);
    assert_int_equal(f->closed, 0);
}

static void test_free_while_connecting(void **state)
{
    struct fixture *f = *state;

    f->params.host = "localhost";
    test_server_start(&f->server, &f->loop, ignore, f);
    dial(f);
    mw_stream_free(take_ptr(f->stream));
    for (int i = 0; i < 10; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f->opened + f->closed, 0);
}

/* Both ends of a pair as streams would do; the test holds the other end as a descriptor. */
static int pair_up_with(struct fixture *f, const struct mw_stream_ops *with, size_t write_limit)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(mw_stream_from_fd(&f->loop.uv, fds[0], with, f, write_limit, &f->stream), 0);
    return fds[1];
}

static int pair_up(struct fixture *f, size_t write_limit)
{
    return pair_up_with(f, &ops, write_limit);
}

static void test_free_in_data(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up(f, 0);

    f->free_in_data = true;
    assert_int_equal(write(peer, "abc", 3), 3);
    test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(&f->data), "abc");
    close(peer);
}

static void test_write_limit_and_drain(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up(f, 100000);
    char chunk[10000] = {0};
    size_t sent = 0, got = 0;
    int r;

    while ((r = mw_stream_write(f->stream, chunk, sizeof(chunk))) == 0)
        sent += sizeof(chunk);
    assert_int_equal(r, -ENOBUFS);
    assert_true(mw_stream_queued(f->stream) <= 100000);
    assert_true(mw_stream_queued(f->stream) > 100000 - sizeof(chunk));
    while (got < sent) {
        ssize_t n = recv(peer, chunk, sizeof(chunk), MSG_DONTWAIT);

        if (n > 0)
            got += (size_t)n;
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
    assert_int_equal(f->drained, 1);
    assert_int_equal(mw_stream_queued(f->stream), 0);
    close(peer);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_OPEN, 0, "");
}

static void test_write_to_a_closed_peer(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up(f, 0);

    close(peer);
    assert_int_equal(mw_stream_write(f->stream, "x", 1), -EPIPE);
    assert_int_equal(f->closed, 0); /* told by the loop, not from within the write */
    assert_int_equal(mw_stream_write(f->stream, "x", 1), -EPIPE);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_OPEN, -EPIPE, "Broken pipe");
}

static void test_shutdown_flushes(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up(f, 4 << 20);
    size_t len = 2 << 20, got = 0;
    char *data = malloc(len), chunk[65536];
    ssize_t n = 1;

    assert_non_null(data);
    memset(data, 'x', len);
    assert_int_equal(mw_stream_write(f->stream, data, len), 0);
    free(data);
    mw_stream_shutdown(f->stream);
    assert_int_equal(mw_stream_write(f->stream, "x", 1), -EPIPE);
    while (n != 0) {
        n = recv(peer, chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n > 0)
            got += (size_t)n;
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
    assert_int_equal(got, len);
    close(peer);
    if (!f->closed)
        test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_OPEN, 0, "");
}

/* The peer ends its side, reads what comes, and then goes. */
static void test_half_closed(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up_with(f, &half_ops, 0);
    char got[8] = {0};

    assert_int_equal(write(peer, "ask", 3), 3);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    test_loop_run(&f->loop);
    assert_int_equal(f->ended, 1);
    assert_string_equal(mw_buf_str(&f->data), "ask");
    /* Nothing is asked of the socket meanwhile. */
    for (int i = 0; i < 5; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f->ended + f->closed, 1);
    assert_int_equal(mw_stream_write(f->stream, "answer", 6), 0);
    assert_int_equal(recv(peer, got, sizeof(got), 0), 6);
    assert_string_equal(got, "answer");
    close(peer);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_OPEN, 0, "");
}

static void test_half_closed_then_shutdown(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up_with(f, &half_ops, 0);
    char c;

    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    test_loop_run(&f->loop);
    mw_stream_shutdown(f->stream);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_OPEN, 0, "");
    assert_int_equal(recv(peer, &c, 1, 0), 0);
    close(peer);
}

/* A peer that does not end its side is waited for only so long. */
static void test_shutdown_with_a_silent_peer(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up(f, 0);

    mw_stream_shutdown(f->stream);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_OPEN, 0, "");
    close(peer);
}

static void test_abort(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up(f, 0);
    char c;

    mw_stream_abort(f->stream, true);
    assert_int_equal(mw_stream_write(f->stream, "x", 1), -EPIPE);
    mw_stream_pause(f->stream);
    mw_stream_resume(f->stream);
    mw_stream_shutdown(f->stream);
    for (int i = 0; i < 5; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f->closed, 0);
    assert_int_equal(read(peer, &c, 1), 0);
    close(peer);
}

static void test_pause(void **state)
{
    struct fixture *f = *state;
    int peer = pair_up(f, 0);

    f->pause_in_data = true;
    assert_int_equal(write(peer, "abc", 3), 3);
    test_loop_run(&f->loop);
    assert_int_equal(write(peer, "def", 3), 3);
    for (int i = 0; i < 5; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_string_equal(mw_buf_str(&f->data), "abc");
    mw_stream_resume(f->stream);
    test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(&f->data), "abcdef");
    close(peer);
}

static void proxy_waits(struct test_conn *conn, const char *data, void *userdata)
{
    struct fixture *f = userdata;

    if (strstr(data, "\r\n\r\n"))
        uv_stop(&f->loop.uv);
}

static void proxy_denies(struct test_conn *conn, const char *data, void *userdata)
{
    static const char answer[] = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";

    test_conn_send(conn, answer, sizeof(answer) - 1);
}

static void proxy_babbles(struct test_conn *conn, const char *data, void *userdata)
{
    test_conn_send(conn, "220 mail.example ESMTP\r\n", 24);
}

static void via_proxy(struct fixture *f, test_conn_cb cb)
{
    static char proxy[64];

    test_server_start(&f->server, &f->loop, cb, f);
    snprintf(proxy, sizeof(proxy), "http://user:p%%40ss@127.0.0.1:%u", f->server.port);
    f->params.proxy = proxy;
    f->params.host = "far.example";
    f->params.port = 4711;
    dial(f);
}

static void test_proxy_refuses(void **state)
{
    struct fixture *f = *state;

    via_proxy(f, proxy_denies);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_PROXY, -EACCES,
                  "refused the tunnel to far.example:4711: 407 Proxy Authentication Required");
}

static void test_proxy_is_none(void **state)
{
    struct fixture *f = *state;

    via_proxy(f, proxy_babbles);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_PROXY, -EPROTO, "does not answer as an HTTP proxy");
}

static void test_proxy_is_silent(void **state)
{
    struct fixture *f = *state;

    f->params.connect_timeout_ms = 100;
    via_proxy(f, ignore);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_PROXY, -ETIMEDOUT, "the proxy 127.0.0.1 port");
}

static void test_proxy_hangs_up(void **state)
{
    struct fixture *f = *state;

    via_proxy(f, reset_it);
    test_loop_run(&f->loop);
    assert_closed(f, MW_STAGE_PROXY, -ECONNRESET, "the connection to the proxy 127.0.0.1 port");
}

/* A proxy that answers byte by byte, with the first bytes of the tunnel right behind. */
static void test_proxy_tunnel(void **state)
{
    static const char answer[] = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello";
    struct fixture *f = *state;

    via_proxy(f, proxy_waits);
    test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(test_conn_data(f->server.conns[0])),
                        "CONNECT far.example:4711 HTTP/1.1\r\nHost: far.example:4711\r\n"
                        "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n\r\n");
    for (size_t i = 0; i < sizeof(answer) - 6; i++) {
        assert_int_equal(f->opened, 0);
        test_conn_send(f->server.conns[0], answer + i, i < sizeof(answer) - 7 ? 1 : 6);
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
    f->stop_at = 5;
    if (f->data.len < 5)
        test_loop_run(&f->loop);
    assert_int_equal(f->opened, 1);
    assert_string_equal(mw_buf_str(&f->data), "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exchange),
        TEST(test_write_before_open),
        TEST(test_reset),
        TEST(test_connection_refused),
        TEST(test_tries_all_addresses),
        TEST(test_no_such_host),
        TEST(test_connect_timeout),
        TEST(test_bad_parameters),
        TEST(test_unix_socket_missing),
        TEST(test_free_in_open),
        TEST(test_free_while_connecting),
        TEST(test_free_in_data),
        TEST(test_write_limit_and_drain),
        TEST(test_write_to_a_closed_peer),
        TEST(test_shutdown_flushes),
        TEST(test_half_closed),
        TEST(test_half_closed_then_shutdown),
        TEST(test_shutdown_with_a_silent_peer),
        TEST(test_abort),
        TEST(test_pause),
        TEST(test_proxy_refuses),
        TEST(test_proxy_is_none),
        TEST(test_proxy_is_silent),
        TEST(test_proxy_hangs_up),
        TEST(test_proxy_tunnel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
