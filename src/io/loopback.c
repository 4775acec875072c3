#include "io/loopback.h"

#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/handle.h"

#define GUARD_MS 60000

struct test_conn {
    struct test_server *server;
    struct mw_watch *watch;
    int fd;
    struct mw_buf data;
    bool ended;
};

static void on_guard(void *userdata)
{
    fail_msg("the test hangs");
}

void test_loop_init(struct test_loop *loop)
{
    assert_int_equal(uv_loop_init(&loop->uv), 0);
    assert_int_equal(mw_timer_new(&loop->uv, on_guard, loop, &loop->guard), 0);
}

void test_loop_run(struct test_loop *loop)
{
    uv_update_time(&loop->uv);
    mw_timer_start(loop->guard, GUARD_MS);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    mw_timer_stop(loop->guard);
}

void test_loop_deinit(struct test_loop *loop)
{
    mw_timer_free(loop->guard);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop->uv), 0);
}

static void on_conn(int status, int events, void *userdata)
{
    struct test_conn *c = userdata;
    char chunk[65536];
    ssize_t n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        c->ended = true;
        mw_watch_set(c->watch, 0);
    } else {
        assert_int_equal(mw_buf_append(&c->data, chunk, (size_t)n), 0);
    }
    c->server->cb(c, mw_buf_str(&c->data), c->server->userdata);
}

static void on_listen(int status, int events, void *userdata)
{
    struct test_server *s = userdata;
    struct test_conn *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    assert_true(s->accepted < MW_ARRAY_LEN(s->conns));
    c->server = s;
    c->fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(c->fd >= 0);
    s->conns[s->accepted++] = c;
    assert_int_equal(mw_watch_new(&s->loop->uv, c->fd, on_conn, c, &c->watch), 0);
    assert_int_equal(mw_watch_set(c->watch, UV_READABLE), 0);
}

void test_server_start(struct test_server *s, struct test_loop *loop, test_conn_cb cb,
                       void *userdata)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);

    *s = (struct test_server){.loop = loop, .cb = cb, .userdata = userdata};
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(s->fd, 16), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
    s->port = ntohs(sa.sin_port);
    assert_int_equal(mw_watch_new(&loop->uv, s->fd, on_listen, s, &s->watch), 0);
    assert_int_equal(mw_watch_set(s->watch, UV_READABLE), 0);
}

void test_server_stop(struct test_server *s)
{
    if (!s->watch)
        return;
    for (unsigned i = 0; i < s->accepted; i++) {
        test_conn_close(s->conns[i], false);
        mw_buf_deinit(&s->conns[i]->data);
        free(s->conns[i]);
    }
    mw_watch_free(take_ptr(s->watch));
    close(s->fd);
}

void test_conn_send(struct test_conn *c, const void *data, size_t len)
{
    assert_int_equal(send(c->fd, data, len, MSG_NOSIGNAL), len);
}

const struct mw_buf *test_conn_data(const struct test_conn *c)
{
    return &c->data;
}

bool test_conn_ended(const struct test_conn *c)
{
    return c->ended;
}

int test_conn_take(struct test_conn *c)
{
    int fd = c->fd;

    mw_watch_free(take_ptr(c->watch));
    c->fd = -1;
    return fd;
}

void test_conn_close(struct test_conn *c, bool reset)
{
    const struct linger hard = {.l_onoff = 1, .l_linger = 0};

    mw_watch_free(take_ptr(c->watch));
    if (c->fd < 0)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(c->fd);
    c->fd = -1;
}
