#include "io/test_relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/test.h"

#define CHUNK 65536

struct pair {
    struct test_relay *r;
    uv_tcp_t client, server; /* data: the pair */
    uv_connect_t connect;
    unsigned open; /* handles */
    bool begun, counts, over;
};

static char chunk[CHUNK]; /* what is read is passed on at once */

static void on_closed(uv_handle_t *h)
{
    struct pair *p = h->data;

    if (--p->open == 0)
        free(p);
}

static void end_pair(struct pair *p, bool reset)
{
    if (p->over)
        return;
    p->over = true;
    if (!reset || uv_tcp_close_reset(&p->client, on_closed))
        uv_close((uv_handle_t *)&p->client, on_closed);
    uv_close((uv_handle_t *)&p->server, on_closed);
}

static void on_alloc(uv_handle_t *h, size_t size, uv_buf_t *ret)
{
    *ret = uv_buf_init(chunk, sizeof(chunk));
}

/* How many of `len` bytes pass. */
static size_t may_pass(struct pair *p, bool up, size_t len)
{
    struct test_relay *r = p->r;
    size_t room;

    if (!p->counts || r->cut || up != r->upstream)
        return len;
    room = r->cut_at - r->passed;
    r->passed += MW_MIN(len, room);
    if (len <= room)
        return len;
    r->cut = true;
    return room;
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct pair *p = s->data;
    bool up = s == (uv_stream_t *)&p->client;
    uv_buf_t out = uv_buf_init(chunk, 0);

    if (n < 0) {
        end_pair(p, false);
        return;
    }
    if (up && !p->begun) {
        p->begun = true;
        p->counts = !p->r->only || memmem(chunk, (size_t)n, p->r->only, strlen(p->r->only)) != NULL;
    }
    out.len = may_pass(p, up, (size_t)n);
    /* So little is under way that the kernel takes all of it. */
    if (out.len && uv_try_write((uv_stream_t *)(up ? &p->server : &p->client), &out, 1) < 0)
        end_pair(p, false);
    else if (out.len < (size_t)n)
        end_pair(p, p->r->reset);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct pair *p = req->data;

    if (p->over)
        return;
    if (status < 0) {
        end_pair(p, false);
        return;
    }
    uv_read_start((uv_stream_t *)&p->client, on_alloc, on_read);
    uv_read_start((uv_stream_t *)&p->server, on_alloc, on_read);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct test_relay *r = listener->data;
    struct pair *p = calloc(1, sizeof(*p));
    struct sockaddr_in to;

    assert_int_equal(status, 0);
    assert_non_null(p);
    p->r = r;
    p->open = 2;
    uv_tcp_init(listener->loop, &p->client);
    uv_tcp_init(listener->loop, &p->server);
    p->client.data = p->server.data = p->connect.data = p;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&p->client), 0);
    uv_ip4_addr("127.0.0.1", r->target, &to);
    if (uv_tcp_connect(&p->connect, &p->server, (struct sockaddr *)&to, on_connected))
        end_pair(p, false);
}

void test_relay_open(struct test_relay *r, uv_loop_t *loop, uint16_t target)
{
    struct sockaddr_in at;
    int len = sizeof(at);

    r->target = target;
    uv_tcp_init(loop, &r->listener);
    r->listener.data = r;
    uv_ip4_addr("127.0.0.1", 0, &at);
    assert_int_equal(uv_tcp_bind(&r->listener, (struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&r->listener, 64, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&r->listener, (struct sockaddr *)&at, &len), 0);
    r->port = ntohs(at.sin_port);
}

void test_relay_close(struct test_relay *r)
{
    uv_close((uv_handle_t *)&r->listener, NULL);
}
