/* For the tests of io/: a loop with a limit, and a TCP server of raw bytes on it. */
#ifndef MW_IO_LOOPBACK_H
#define MW_IO_LOOPBACK_H

#include <uv.h>

#include "base/buf.h"

struct mw_timer;
struct mw_watch;

struct test_loop {
    uv_loop_t uv;
    struct mw_timer *guard; /* a test that hangs fails */
};

void test_loop_init(struct test_loop *loop);
/* Runs until uv_stop. */
void test_loop_run(struct test_loop *loop);
/* Runs what is left to run and fails when a handle stays open. */
void test_loop_deinit(struct test_loop *loop);

struct test_conn;

/* `data` is all that the connection has received so far, as a string. */
typedef void (*test_conn_cb)(struct test_conn *conn, const char *data, void *userdata);

struct test_server {
    struct test_loop *loop;
    struct mw_watch *watch;
    int fd;
    uint16_t port;
    test_conn_cb cb;
    void *userdata;
    struct test_conn *conns[16];
    unsigned accepted;
};

void test_server_start(struct test_server *server, struct test_loop *loop, test_conn_cb cb,
                       void *userdata);
void test_server_stop(struct test_server *server);

/* Writes at once; what the socket does not take fails the test. */
void test_conn_send(struct test_conn *conn, const void *data, size_t len);
const struct mw_buf *test_conn_data(const struct test_conn *conn);
bool test_conn_ended(const struct test_conn *conn); /* the other side closed or reset it */
int test_conn_take(struct test_conn *conn);         /* its socket; the connection is forgotten */
void test_conn_close(struct test_conn *conn, bool reset);

#endif
