/* WebSockets over loopback: a client of ours against a server of ours, and against scripted bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/handle.h"
#include "io/loopback.h"
#include "io/ws.h"

/* What one end has seen. */
struct seen {
    struct mw_ws *ws;
    struct test_loop *loop;
    unsigned opened, drained, closed;
    unsigned messages;
    struct mw_buf text; /* all messages, each followed by '|' */
    enum mw_ws_end end;
    int status, code;
    int64_t retry_after_ms;
    enum mw_stream_stage stage;
    char sentence[512];
    unsigned stop_at;  /* messages after which the loop stops; 0 = only at the end */
    unsigned pause_at; /* messages after which it pauses; 0 = never */
    bool free_in_message, free_in_open, echo;
    const char *greeting; /* sent on open */
};

static void on_open(struct mw_ws *ws, void *userdata)
{
    struct seen *s = userdata;

    s->opened++;
    if (s->free_in_open) {
        mw_ws_free(take_ptr(s->ws));
        uv_stop(&s->loop->uv);
        return;
    }
    if (s->greeting)
        assert_int_equal(mw_ws_send_text(ws, s->greeting, strlen(s->greeting)), 0);
}

static void on_message(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata)
{
    struct seen *s = userdata;

    s->messages++;
    mw_buf_append(&s->text, data, len);
    mw_buf_putc(&s->text, '|');
    if (s->echo)
        assert_int_equal(mw_ws_send_text(ws, data, len), 0);
    if (s->messages == s->pause_at)
        mw_ws_pause(ws);
    if (s->free_in_message) {
        mw_ws_free(take_ptr(s->ws));
        uv_stop(&s->loop->uv);
    } else if (s->messages == s->stop_at) {
        uv_stop(&s->loop->uv);
    }
}

static void on_drain(struct mw_ws *ws, void *userdata)
{
    struct seen *s = userdata;

    s->drained++;
}

static void on_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct seen *s = userdata;

    s->closed++;
    s->end = how->end;
    s->status = how->http_status;
    s->code = how->close_code;
    s->retry_after_ms = how->retry_after_ms;
    s->stage = how->stage;
    snprintf(s->sentence, sizeof(s->sentence), "%s", mw_error_text(how->err));
    mw_ws_free(take_ptr(s->ws));
    uv_stop(&s->loop->uv);
}

static const struct mw_ws_ops ops = {on_open, on_message, on_drain, on_close};

struct fixture {
    struct test_loop loop;
    struct test_server server;
    struct seen client, peer;
    struct mw_ws_params params;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    test_loop_init(&f->loop);
    f->client.loop = f->peer.loop = &f->loop;
    f->params = (struct mw_ws_params){.ops = &ops, .userdata = &f->client};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mw_ws_free(f->client.ws);
    mw_ws_free(f->peer.ws);
    test_server_stop(&f->server);
    test_loop_deinit(&f->loop);
    mw_buf_deinit(&f->client.text);
    mw_buf_deinit(&f->peer.text);
    free(f);
    return 0;
}

static void dial(struct fixture *f)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    char url[64];

    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/api?x=1", f->server.port);
    f->params.url = url;
    if (mw_ws_connect(&f->loop.uv, &f->params, &f->client.ws, &err) < 0)
        fail_msg("%s", mw_error_text(&err));
}

/* The 101 answer for a request. */
static void answer_for(const char *request, char *buf, size_t size)
{
    const char *key = strstr(request, "Sec-WebSocket-Key: ");
    char copy[32], accept[32];

    assert_non_null(key);
    snprintf(copy, sizeof(copy), "%.24s", key + 19);
    assert_int_equal(mw_ws_accept_key(copy, accept), 0);
    snprintf(buf, size,
             "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\n"
             "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             accept);
}

/* A server of ours: upgrades, then mw_ws_accept. */
static void upgrade(struct test_conn *conn, const char *request, void *userdata)
{
    struct fixture *f = userdata;
    struct mw_ws_params params = f->params;
    char answer[512];

    if (!strstr(request, "\r\n\r\n"))
        return;
    answer_for(request, answer, sizeof(answer));
    test_conn_send(conn, answer, strlen(answer));
    params.userdata = &f->peer;
    assert_int_equal(mw_ws_accept(&f->loop.uv, test_conn_take(conn), "", 0, &params, &f->peer.ws),
                     0);
}

static void serve_ws(struct fixture *f)
{
    test_server_start(&f->server, &f->loop, upgrade, f);
    dial(f);
}

static void test_echo(void **state)
{
    struct fixture *f = *state;

    f->client.greeting = "hello \xe2\x9c\x93";
    f->peer.echo = true;
    f->client.stop_at = 1;
    serve_ws(f);
    test_loop_run(&f->loop);
    assert_int_equal(f->client.opened, 1);
    assert_string_equal(mw_buf_str(&f->client.text), "hello \xe2\x9c\x93|");
    assert_string_equal(mw_buf_str(&f->peer.text), "hello \xe2\x9c\x93|");

    mw_ws_close(f->client.ws, 4001);
    while (!f->client.closed || !f->peer.closed)
        test_loop_run(&f->loop);
    assert_int_equal(f->client.end, MW_WS_END_CLOSED);
    assert_int_equal(f->client.code, 4001);
    assert_int_equal(f->peer.end, MW_WS_END_CLOSED);
    assert_int_equal(f->peer.code, 4001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
