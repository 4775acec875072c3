/* WebSockets over loopback: a client of ours against a server of ours, and against scripted bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
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

static void stop_loop(void *userdata)
{
    uv_stop(userdata);
}

static void run_for(struct fixture *f, int64_t ms)
{
    struct mw_timer *timer;

    assert_int_equal(mw_timer_new(&f->loop.uv, stop_loop, &f->loop.uv, &timer), 0);
    mw_timer_start(timer, ms);
    test_loop_run(&f->loop);
    mw_timer_free(timer);
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

/* A server of bytes: answers the upgrade, sends what it is told to, and may cut the connection. */
struct script {
    struct fixture *f;
    const char *answer; /* NULL = the right one */
    const char *bytes;  /* behind the answer, in the same write */
    size_t len;
    size_t cut_at; /* bytes of all that are sent before the cut; 0 = all */
    enum { HOLD, CLOSE, RESET } then;
    bool done;
};

static void play(struct test_conn *conn, const char *request, void *userdata)
{
    struct script *s = userdata;
    MW_AUTOBUF all = {0};
    char answer[512];

    if (s->done || !strstr(request, "\r\n\r\n"))
        return;
    s->done = true;
    answer_for(request, answer, sizeof(answer));
    mw_buf_puts(&all, s->answer ? s->answer : answer);
    assert_int_equal(mw_buf_append(&all, s->bytes, s->len), 0);
    test_conn_send(conn, all.data, s->cut_at ? MW_MIN(s->cut_at, all.len) : all.len);
    if (s->then != HOLD)
        test_conn_close(conn, s->then == RESET);
}

/* Plays the script and runs until the client has seen its end (or stops otherwise). */
static void run_script(struct fixture *f, struct script *s)
{
    s->f = f;
    test_server_start(&f->server, &f->loop, play, s);
    dial(f);
    test_loop_run(&f->loop);
}

static void assert_end(const struct seen *s, enum mw_ws_end end, const char *part_of_sentence)
{
    assert_int_equal(s->closed, 1);
    assert_int_equal(s->end, end);
    if (!strstr(s->sentence, part_of_sentence))
        fail_msg("\"%s\" is not in \"%s\"", part_of_sentence, s->sentence);
}

#define BYTES(text) .bytes = text, .len = sizeof(text) - 1

static void test_accept_key(void **state)
{
    char accept[29];

    /* RFC 6455 section 1.3 */
    assert_int_equal(mw_ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", accept), 0);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(mw_ws_accept_key("", accept), -EINVAL);
}

static void test_request(void **state)
{
    struct fixture *f = *state;
    struct script s = {.f = f, .then = CLOSE};
    const char *const headers[] = {"Authorization: Bearer t", "User-Agent: x", NULL};
    const char *request;

    f->params.headers = headers;
    run_script(f, &s);
    request = mw_buf_str(test_conn_data(f->server.conns[0]));
    assert_true(mw_starts_with(request, "GET /api?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
    assert_non_null(strstr(request, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(request, "\r\nSec-WebSocket-Version: 13\r\n"));
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer t\r\nUser-Agent: x\r\n\r\n"));
    assert_end(&f->client, MW_WS_END_LOST, "without a WebSocket close frame");
}

static void test_bad_parameters(void **state)
{
    static const char *const urls[] = {"",      "127.0.0.1",     "ftp://127.0.0.1/",
                                       "ws://", "ws://h:99999/", "wss://127.0.0.1/"};
    static const char *const header[] = {"X: a\r\nEvil: b", NULL};
    struct fixture *f = *state;

    for (size_t i = 0; i < MW_ARRAY_LEN(urls); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;

        f->params.url = urls[i];
        assert_int_equal(mw_ws_connect(&f->loop.uv, &f->params, &f->client.ws, &err), -EINVAL);
        assert_true(mw_error_is_set(&err));
    }
    f->params.url = "ws://127.0.0.1/";
    f->params.headers = header;
    assert_int_equal(mw_ws_connect(&f->loop.uv, &f->params, &f->client.ws, NULL), -EINVAL);
}

static void test_frames_behind_the_handshake(void **state)
{
    struct fixture *f = *state;
    struct script s = {BYTES("\x81\x03one\x81\x03two\x88\x02\x03\xe9")};

    run_script(f, &s);
    test_conn_close(f->server.conns[0], false);
    if (!f->client.closed)
        test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(&f->client.text), "one|two|");
    assert_end(&f->client, MW_WS_END_CLOSED, "code 1001");
    assert_int_equal(f->client.code, 1001);
}

static void test_fragments_and_pings(void **state)
{
    struct fixture *f = *state;
    /* The pong that it owes must carry "hi". */
    struct script s = {BYTES("\x01\x02"
                             "ab\x89\x02hi\x00\x01"
                             "c\x80\x02"
                             "de\x81\x00"),
                       .then = HOLD};

    f->client.stop_at = 2;
    run_script(f, &s);
    assert_string_equal(mw_buf_str(&f->client.text), "abcde||");
    mw_ws_close(f->client.ws, 1000);
    test_conn_close(f->server.conns[0], false);
    test_loop_run(&f->loop);
    assert_int_equal(f->client.closed, 1);
}

struct pong_check {
    struct script script;
    bool seen;
};

static void want_pong(struct test_conn *conn, const char *request, void *userdata)
{
    struct pong_check *p = userdata;
    const struct mw_buf *data = test_conn_data(conn);
    const char *end = strstr(request, "\r\n\r\n");
    const uint8_t *frame;

    play(conn, request, &p->script);
    if (!end || (size_t)(end + 4 - data->data) + 8 > data->len || p->seen)
        return;
    frame = (const uint8_t *)end + 4;
    p->seen = true;
    assert_int_equal(frame[0], 0x8a);
    assert_int_equal(frame[1], 0x82); /* masked, 2 bytes */
    assert_int_equal(frame[6] ^ frame[2], 'h');
    assert_int_equal(frame[7] ^ frame[3], 'i');
    test_conn_close(conn, false);
}

static void test_pong(void **state)
{
    struct fixture *f = *state;
    struct pong_check p = {.script = {.f = f, BYTES("\x89\x02hi")}};

    test_server_start(&f->server, &f->loop, want_pong, &p);
    dial(f);
    test_loop_run(&f->loop);
    assert_true(p.seen);
    assert_int_equal(f->client.end, MW_WS_END_LOST);
}

static void test_broken_frames(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        int code;
        const char *sentence;
    } cases[] = {
        {"\xc1\x01x", 3, 1002, "a reserved bit"},
        {"\x83\x01x", 3, 1002, "an unknown kind of frame"},
        {"\x8b\x00", 2, 1002, "an unknown kind of frame"},
        {"\x81\x81\x00\x00\x00\x00x", 7, 1002, "a frame with a mask"},
        {"\x80\x01x", 3, 1002, "a continuation of nothing"},
        {"\x01\x01x\x81\x01x", 6, 1002, "a new message inside another"},
        {"\x09\x00", 2, 1002, "malformed"},
        {"\x89\x7e\x00\x80", 4, 1002, "malformed"},
        {"\x81\x01\xff", 3, 1007, "not UTF-8"},
        {"\x01\x01\xc3\x80\x01\x41", 6, 1007, "not UTF-8"},
        {"\x81\x7e\x00\xc9x", 5, 1009, "over the limit"},
        {"\x88\x01x", 3, 1002, "invalid close frame"},
        {"\x88\x02\x03\xed", 4, 1002, "invalid close frame"},
        {"\x88\x03\x03\xe8\xff", 5, 1007, "close reason"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++) {
        struct script s = {.bytes = cases[i].bytes, .len = cases[i].len};
        struct fixture *f;

        setup((void **)&f);
        f->params.max_message = 200;
        run_script(f, &s);
        assert_end(&f->client, MW_WS_END_PROTOCOL, cases[i].sentence);
        assert_int_equal(f->client.code, cases[i].code);
        teardown((void **)&f);
    }
}

static void test_limit_counts_all_fragments(void **state)
{
    struct fixture *f = *state;
    struct script s = {BYTES("\x01\x03"
                             "abc\x00\x03"
                             "def\x80\x01g")};

    f->params.max_message = 6;
    run_script(f, &s);
    assert_end(&f->client, MW_WS_END_PROTOCOL, "over the limit");
    assert_int_equal(f->client.code, 1009);
    assert_int_equal(f->client.messages, 0);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct script s = {.answer = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 60\r\n\r\n"
                                 "<html><h1>Back\x01 at\n noon</h1></html>"};

    /* It promises more than it sends: what is there is told after a moment. */
    run_script(f, &s);
    assert_end(&f->client, MW_WS_END_REFUSED, "refused the WebSocket: 503 Busy: Back at noon");
    assert_int_equal(f->client.status, 503);
    assert_int_equal(f->client.retry_after_ms, 7000);
    assert_int_equal(f->client.opened, 0);
}

static void test_refusal_without_body(void **state)
{
    struct fixture *f = *state;
    struct script s = {.answer = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"};

    run_script(f, &s);
    assert_end(&f->client, MW_WS_END_REFUSED, ": 401 Unauthorized");
    assert_int_equal(f->client.retry_after_ms, -1);
}

static void test_bad_handshakes(void **state)
{
    static const struct {
        const char *answer;
        const char *sentence;
    } cases[] = {
        {"SSH-2.0-OpenSSH_9.2\r\n", "as HTTP has it"},
        {"HTTP/1.1 101 Go\r\n\r\n", "not to WebSocket"},
        {"HTTP/1.1 101 Go\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "not to WebSocket"},
        {"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n", "Connection field"},
        {"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
         "Sec-WebSocket-Accept"},
        {"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
         "Sec-WebSocket-Accept"},
        {"HTTP/1.1 101 Go\r\nbroken line\r\n\r\n", "as HTTP has it"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++) {
        struct script s = {.answer = cases[i].answer};
        struct fixture *f;

        setup((void **)&f);
        run_script(f, &s);
        assert_end(&f->client, MW_WS_END_HANDSHAKE, cases[i].sentence);
        assert_int_equal(f->client.opened, 0);
        teardown((void **)&f);
    }
}

static void test_endless_head(void **state)
{
    struct fixture *f = *state;
    MW_AUTOBUF head = {0};
    struct script s = {0};

    mw_buf_puts(&head, "HTTP/1.1 101 Go\r\n");
    while (head.len < 20000)
        mw_buf_puts(&head, "X-Padding: 0123456789\r\n");
    s.answer = mw_buf_str(&head);
    run_script(f, &s);
    assert_end(&f->client, MW_WS_END_HANDSHAKE, "as HTTP has it");
}

static void test_silent_server(void **state)
{
    struct fixture *f = *state;
    struct script s = {.answer = "", .then = HOLD};

    f->params.handshake_timeout_ms = 50;
    run_script(f, &s);
    assert_end(&f->client, MW_WS_END_TIMEOUT, "did not answer the WebSocket upgrade");
}

static void test_refused_connection(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};

    test_server_start(&f->server, &f->loop, play, &s);
    dial(f);
    test_server_stop(&f->server); /* before the client connects */
    test_loop_run(&f->loop);
    assert_end(&f->client, MW_WS_END_CONNECT, "Connection refused");
    assert_int_equal(f->client.stage, MW_STAGE_CONNECT);
}

static void test_read_timeout(void **state)
{
    struct fixture *f = *state;
    struct script s = {BYTES("\x81\x01x"), .then = HOLD};

    f->params.read_timeout_ms = 60;
    f->params.ping_interval_ms = 20;
    run_script(f, &s);
    assert_end(&f->client, MW_WS_END_TIMEOUT, "sent nothing within");
    assert_int_equal(f->client.messages, 1);
}

/* Own pings keep an idle pair alive: the peer's pongs count as life. */
static void test_pings_keep_alive(void **state)
{
    struct fixture *f = *state;

    f->client.stop_at = f->peer.stop_at = 1;
    f->params.ping_interval_ms = 20;
    f->params.read_timeout_ms = 1000;
    f->client.greeting = "x";
    serve_ws(f);
    test_loop_run(&f->loop);
    run_for(f, 1500);
    assert_int_equal(f->client.closed, 0);
    assert_int_equal(f->peer.closed, 0);
}

static void test_no_answer_to_close(void **state)
{
    struct fixture *f = *state;
    struct script s = {BYTES("\x81\x01x"), .then = HOLD};

    f->client.stop_at = 1;
    run_script(f, &s);
    mw_ws_close(f->client.ws, 1000);
    assert_int_equal(mw_ws_send_text(f->client.ws, "x", 1), -EPIPE);
    test_loop_run(&f->loop);
    assert_end(&f->client, MW_WS_END_TIMEOUT, "close frame");
}

static void test_close_before_open(void **state)
{
    struct fixture *f = *state;
    struct script s = {0};

    test_server_start(&f->server, &f->loop, play, &s);
    dial(f);
    assert_int_equal(mw_ws_send_text(f->client.ws, "x", 1), -EPIPE);
    mw_ws_close(f->client.ws, 1000);
    test_loop_run(&f->loop);
    assert_end(&f->client, MW_WS_END_LOST, "before it was open");
}

/* Every possible end of a session in the middle: no crash, one on_close, only whole messages. */
static void test_cut_at_every_byte(void **state)
{
    static const char frames[] = "\x81\x03one\x01\x02tw\x89\x01p\x80\x01o\x81\x7e\x00\x80"
                                 "0123456789012345678901234567890123456789012345678901234567890123"
                                 "0123456789012345678901234567890123456789012345678901234567890123";
    size_t total = 0;

    for (int how = CLOSE; how <= RESET; how++) {
        for (size_t n = 1; n == 1 || n <= total; n++) {
            struct script s = {
                .bytes = frames, .len = sizeof(frames) - 1, .cut_at = n, .then = how};
            struct fixture *f;

            setup((void **)&f);
            run_script(f, &s);
            total = 129 + sizeof(frames) - 1 + 30;
            assert_int_equal(f->client.closed, 1);
            assert_true(f->client.messages <= 3);
            assert_true(mw_starts_with("one|two|", mw_buf_str(&f->client.text)) ||
                        f->client.messages == 3);
            assert_int_equal(f->client.end,
                             f->client.opened ? MW_WS_END_LOST : MW_WS_END_HANDSHAKE);
            teardown((void **)&f);
        }
    }
}

static void test_free_in_callbacks(void **state)
{
    struct fixture *f = *state;
    struct script s = {BYTES("\x81\x03one\x81\x03two")};

    f->client.free_in_message = true;
    run_script(f, &s);
    assert_int_equal(f->client.messages, 1);
    assert_int_equal(f->client.closed, 0);
}

static void test_free_in_open(void **state)
{
    struct fixture *f = *state;
    struct script s = {BYTES("\x81\x03one")};

    f->client.free_in_open = true;
    run_script(f, &s);
    assert_int_equal(f->client.messages, 0);
}

static void test_pause_stops_reading(void **state)
{
    struct fixture *f = *state;
    struct script s = {BYTES("\x81\x03one\x81\x03two\x81\x05three")};

    f->client.pause_at = f->client.stop_at = 1;
    f->params.read_timeout_ms = 200; /* rests while paused */
    run_script(f, &s);
    run_for(f, 300); /* time that must not count */
    assert_int_equal(f->client.messages, 1);
    assert_int_equal(f->client.closed, 0);
    f->client.stop_at = 3;
    mw_ws_resume(f->client.ws);
    test_loop_run(&f->loop);
    assert_string_equal(mw_buf_str(&f->client.text), "one|two|three|");
}

/* Back pressure reaches the sender: its queue fills, and drains once the reader goes on. */
static void test_back_pressure(void **state)
{
    struct fixture *f = *state;
    unsigned sent = 0;
    char *chunk = calloc(1, 65536);
    int r;

    assert_non_null(chunk);
    memset(chunk, 'x', 65536);
    f->client.pause_at = f->client.stop_at = 1;
    f->peer.stop_at = 1;
    f->client.greeting = "go";
    serve_ws(f);
    test_loop_run(&f->loop);
    while ((r = mw_ws_send_text(f->peer.ws, chunk, 65536)) == 0) {
        sent++;
        assert_true(mw_ws_queued(f->peer.ws) <= 1 << 20);
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
    assert_int_equal(r, -ENOBUFS);
    assert_true(f->client.messages <= 1);
    f->client.stop_at = sent;
    mw_ws_resume(f->client.ws);
    while (f->client.messages < sent)
        test_loop_run(&f->loop);
    assert_int_equal(f->client.text.len, (size_t)sent * 65537);
    while (!f->peer.drained)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(mw_ws_queued(f->peer.ws), 0);
    free(chunk);
}

static void test_server_wants_masks(void **state)
{
    struct fixture *f = *state;
    struct mw_ws_params params = f->params;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    params.userdata = &f->peer;
    assert_int_equal(mw_ws_accept(&f->loop.uv, fds[0], "\x81\x81\x00\x00\x00\x00x\x81\x01y", 10,
                                  &params, &f->peer.ws),
                     0);
    shutdown(fds[1], SHUT_WR);
    test_loop_run(&f->loop);
    close(fds[1]);
    assert_string_equal(mw_buf_str(&f->peer.text), "x|");
    assert_end(&f->peer, MW_WS_END_PROTOCOL, "a frame without a mask");
}

/* The answer to the upgrade has arrived, but the loop has not seen it yet. */
static void answer_at_once(struct test_conn *conn, const char *data, void *userdata)
{
    struct fixture *f = userdata;
    const char *key = strstr(data, "Sec-WebSocket-Key: ");
    char text[25] = "", accept[29], reply[256];

    if (test_conn_ended(conn) || !strstr(data, "\r\n\r\n"))
        return;
    assert_non_null(key);
    memcpy(text, key + 19, 24);
    assert_int_equal(mw_ws_accept_key(text, accept), 0);
    snprintf(reply, sizeof(reply),
             "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    test_conn_send(conn, reply, strlen(reply));
    uv_stop(&f->loop.uv);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct fixture *f = prepare->data;

    mw_ws_close(f->client.ws, 1000); /* behind the timers of this round, before its sockets */
    uv_prepare_stop(prepare);
    uv_close((uv_handle_t *)prepare, NULL);
}

static void test_close_overtakes_the_answer(void **state)
{
    struct fixture *f = *state;
    static uv_prepare_t prepare; /* closes when the loop does */
    char url[64];

    test_server_start(&f->server, &f->loop, answer_at_once, f);
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", f->server.port);
    f->params.url = url;
    assert_int_equal(mw_ws_connect(&f->loop.uv, &f->params, &f->client.ws, NULL), 0);
    test_loop_run(&f->loop); /* until the answer is out */
    uv_prepare_init(&f->loop.uv, &prepare);
    prepare.data = f;
    uv_prepare_start(&prepare, on_prepare);
    test_loop_run(&f->loop);
    assert_int_equal(f->client.opened, 0);
    assert_int_equal(f->client.closed, 1);
    assert_int_equal(f->client.end, MW_WS_END_LOST);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST(test_close_overtakes_the_answer),
        cmocka_unit_test(test_accept_key),
        TEST(test_request),
        TEST(test_bad_parameters),
        TEST(test_frames_behind_the_handshake),
        TEST(test_fragments_and_pings),
        TEST(test_pong),
        cmocka_unit_test(test_broken_frames),
        TEST(test_limit_counts_all_fragments),
        TEST(test_refusals),
        TEST(test_refusal_without_body),
        cmocka_unit_test(test_bad_handshakes),
        TEST(test_endless_head),
        TEST(test_silent_server),
        TEST(test_refused_connection),
        TEST(test_read_timeout),
        TEST(test_pings_keep_alive),
        TEST(test_no_answer_to_close),
        TEST(test_close_before_open),
        cmocka_unit_test(test_cut_at_every_byte),
        TEST(test_free_in_callbacks),
        TEST(test_free_in_open),
        TEST(test_pause_stops_reading),
        TEST(test_back_pressure),
        TEST(test_server_wants_masks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
