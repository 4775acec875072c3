#include "io/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/httpd.h"

/* A server that answers each request by the next line of a script. */
struct step {
    const char *reply; /* NULL: none */
    enum { KEEP, CLOSE, RESET } then;
};

struct peer {
    uv_tcp_t tcp;
    struct fixture *f;
    struct mw_buf in;
};

struct fixture {
    uv_loop_t loop;
    uv_tcp_t listener;
    uint16_t port;
    const struct step *script;
    size_t at, n_steps;
    unsigned connections;
    unsigned requests;
    struct mw_buf seen; /* all requests */
    struct mw_http *http;
    struct mw_httpd *httpd;
    char *dir;

    unsigned done; /* callbacks that came */
    int error, status;
    enum mw_http_phase phase;
    char text[256];
    char type[64];
    char custom[64];
    char *body;
    size_t body_len;
    int64_t retry_after_ms, date_ms;
    bool free_in_callback;

    /* A streamed answer. */
    uv_stream_t *last_peer;
    const char *const *more; /* what the server sends after each piece; NULL = it closes */
    char streamed[256];
    unsigned pieces;
    struct mw_http_call *cancel_in_data;
    bool free_in_data;
    int data_result;
};

static void on_peer_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;

    mw_buf_deinit(&p->in);
    free(p);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char room[65536];

    *buf = uv_buf_init(room, sizeof(room));
}

/* Bytes of the first whole request in `in`, or 0. */
static size_t whole_request(const struct mw_buf *in)
{
    const char *text = mw_buf_str(in), *end = strstr(text, "\r\n\r\n"), *length;
    size_t need;

    if (!end)
        return 0;
    need = (size_t)(end - text) + 4;
    length = strcasestr(text, "Content-Length: ");
    if (length && length < end)
        need += (size_t)atol(length + 16);
    return in->len >= need ? need : 0;
}

static void on_peer_data(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = stream->data;
    struct fixture *f = p->f;
    size_t len;

    if (n < 0) {
        uv_close((uv_handle_t *)stream, on_peer_closed);
        return;
    }
    mw_buf_append(&p->in, buf->base, (size_t)n);
    while ((len = whole_request(&p->in))) {
        const struct step *step = &f->script[f->at];
        uv_buf_t out;

        assert_true(f->at < f->n_steps);
        f->at++;
        f->requests++;
        mw_buf_append(&f->seen, p->in.data, len);
        mw_buf_consume(&p->in, len);
        if (step->reply) {
            out = uv_buf_init((char *)(uintptr_t)step->reply, (unsigned)strlen(step->reply));
            assert_int_equal(uv_try_write(stream, &out, 1), (int)out.len);
        }
        if (step->then == CLOSE) {
            uv_close((uv_handle_t *)stream, on_peer_closed);
            return;
        }
        if (step->then == RESET) {
            uv_tcp_close_reset(&p->tcp, on_peer_closed);
            return;
        }
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct fixture *f = listener->data;
    struct peer *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->f = f;
    p->tcp.data = p;
    f->last_peer = (uv_stream_t *)&p->tcp;
    f->connections++;
    uv_tcp_init(&f->loop, &p->tcp);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&p->tcp), 0);
    uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_peer_data);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct mw_http_params params = {.user_agent = "test/1"};
    struct sockaddr_in sa;
    int len = sizeof(sa);
    char dir[] = "/tmp/http_test.XXXXXX";

    assert_non_null(f);
    assert_non_null(mkdtemp(dir));
    f->dir = strdup(dir);
    uv_loop_init(&f->loop);
    uv_ip4_addr("127.0.0.1", 0, &sa);
    uv_tcp_init(&f->loop, &f->listener);
    f->listener.data = f;
    assert_int_equal(uv_tcp_bind(&f->listener, (struct sockaddr *)&sa, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&f->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&f->listener, (struct sockaddr *)&sa, &len);
    f->port = ntohs(sa.sin_port);
    assert_int_equal(mw_http_new(&f->loop, &params, &f->http, NULL), 0);
    *state = f;
    return 0;
}

static void close_any(uv_handle_t *handle, void *arg)
{
    struct fixture *f = arg;

    if (uv_is_closing(handle))
        return;
    if (handle == (uv_handle_t *)&f->listener)
        uv_close(handle, NULL);
    else if (handle->type == UV_TCP)
        uv_close(handle, on_peer_closed);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[256];

    mw_http_free(f->http);
    mw_httpd_free(f->httpd);
    uv_walk(&f->loop, close_any, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    mw_buf_deinit(&f->seen);
    snprintf(cmd, sizeof(cmd), "rm -r %s", f->dir);
    assert_int_equal(system(cmd), 0);
    free(f->dir);
    free(f->body);
    free(f);
    return 0;
}

static void on_done(const struct mw_http_response *r, void *userdata)
{
    struct fixture *f = userdata;
    const char *custom = r->header(r, "x-custom");

    f->done++;
    f->error = r->error;
    f->status = r->status;
    f->phase = r->phase;
    f->retry_after_ms = r->retry_after_ms;
    f->date_ms = r->date_ms;
    snprintf(f->text, sizeof(f->text), "%s", r->error ? mw_error_text(&r->err) : "");
    snprintf(f->type, sizeof(f->type), "%s", r->content_type);
    snprintf(f->custom, sizeof(f->custom), "%s", custom ? custom : "(none)");
    free(f->body);
    f->body = strdup(mw_buf_str(&r->body));
    f->body_len = r->body.len;
    assert_int_equal(r->error, r->err.code);
    if (f->free_in_callback)
        mw_http_free(take_ptr(f->http));
}

static char *url(struct fixture *f, const char *path)
{
    static char room[256];

    snprintf(room, sizeof(room), "http://127.0.0.1:%u%s", f->port, path);
    return room;
}

static void start(struct fixture *f, const struct mw_http_request *req)
{
    struct mw_http_request copy = *req;
    unsigned before = f->done;

    copy.cb = on_done;
    copy.userdata = f;
    if (!copy.url)
        copy.url = url(f, "/p?secret=tooth");
    assert_int_equal(mw_http_start(f->http, &copy, NULL, NULL), 0);
    assert_int_equal(f->done, before);
}

static void call(struct fixture *f, const struct mw_http_request *req)
{
    unsigned before = f->done;

    start(f, req);
    while (f->done == before)
        uv_run(&f->loop, UV_RUN_ONCE);
}

#define SCRIPT(f, ...)                                                                             \
    static const struct step script_[] = {__VA_ARGS__};                                            \
    (f)->script = script_;                                                                         \
    (f)->at = 0;                                                                                   \
    (f)->n_steps = MW_ARRAY_LEN(script_)

#define OK_REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const char *const secret_headers[] = {"Authorization: Bearer hunter2", NULL};
static const struct mw_http_request get = {.method = "GET", .headers = secret_headers};
static const struct mw_http_request post = {
    .method = "POST", .headers = secret_headers, .body = "{\"a\":1}", .body_len = 7};

static void expect_sentence(struct fixture *f, const char *needle)
{
    if (!strstr(f->text, needle))
        fail_msg("no \"%s\" in: %s", needle, f->text);
    assert_null(strstr(f->text, "hunter2"));
    assert_null(strstr(f->text, "tooth"));
}

static void expect_failure(struct fixture *f, int error, enum mw_http_phase phase,
                           const char *sentence)
{
    if (f->error != error || f->phase != phase)
        fail_msg("error %d, phase %d: %s", f->error, (int)f->phase, f->text);
    expect_sentence(f, sentence);
}

static void test_get(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nX-Custom:  a b \r\n"
               "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 4\r\n\r\nnone",
               KEEP});
    call(f, &get);
    assert_int_equal(f->error, 0);
    assert_int_equal(f->phase, MW_HTTP_ANSWERED);
    assert_int_equal(f->status, 404);
    assert_string_equal(f->body, "none");
    assert_string_equal(f->type, "text/plain");
    assert_string_equal(f->custom, "a b");
    assert_int_equal(f->date_ms, INT64_C(784111777000));
    assert_int_equal(f->retry_after_ms, -1);
    assert_non_null(strstr(mw_buf_str(&f->seen), "GET /p?secret=tooth HTTP/1.1\r\n"));
    assert_non_null(strstr(mw_buf_str(&f->seen), "User-Agent: test/1\r\n"));
    assert_non_null(strstr(mw_buf_str(&f->seen), "Authorization: Bearer hunter2\r\n"));
    assert_null(strstr(mw_buf_str(&f->seen), "Content-Type"));
    assert_null(strstr(mw_buf_str(&f->seen), "Cookie"));
}

static void test_post(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request form = post, bare = {.method = "DELETE"}, empty = {.method = "POST"};
    MW_AUTOBUF big = {.limit = 0};
    struct mw_http_request large = post;

    SCRIPT(f, {OK_REPLY, KEEP}, {OK_REPLY, KEEP}, {OK_REPLY, KEEP}, {OK_REPLY, KEEP},
           {OK_REPLY, KEEP});
    call(f, &post);
    assert_int_equal(f->status, 200);
    assert_non_null(strstr(mw_buf_str(&f->seen), "Content-Type: application/json\r\n"));
    assert_non_null(strstr(mw_buf_str(&f->seen), "\r\n\r\n{\"a\":1}"));

    mw_buf_clear(&f->seen);
    form.content_type = "application/x-www-form-urlencoded";
    call(f, &form);
    assert_non_null(strstr(mw_buf_str(&f->seen), "Content-Type: application/x-www-form-urlen"));

    mw_buf_clear(&f->seen);
    call(f, &bare);
    assert_true(mw_starts_with(mw_buf_str(&f->seen), "DELETE "));
    call(f, &empty);
    assert_non_null(strstr(mw_buf_str(&f->seen), "Content-Length: 0\r\n"));

    /* No wait for "100 Continue" before a large body. */
    for (size_t i = 0; i < 3 * 1024 * 1024; i++)
        mw_buf_putc(&big, 'x');
    large.body = big.data;
    large.body_len = big.len;
    mw_buf_clear(&f->seen);
    call(f, &large);
    assert_int_equal(f->status, 200);
    assert_null(strcasestr(mw_buf_str(&f->seen), "Expect"));
    assert_true(f->seen.len > big.len);
    assert_int_equal(f->connections, 1);
}

static void test_no_redirect_no_cookie(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f,
           {"HTTP/1.1 302 Found\r\nLocation: /other\r\nSet-Cookie: MMAUTHTOKEN=x; Path=/\r\n"
            "Content-Length: 0\r\n\r\n",
            KEEP},
           {OK_REPLY, KEEP});
    call(f, &get);
    assert_int_equal(f->status, 302);
    call(f, &get);
    assert_int_equal(f->requests, 2);
    assert_null(strcasestr(mw_buf_str(&f->seen), "\r\nCookie:"));
}

static void test_not_sent(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request req = post;
    char where[32];

    uv_close((uv_handle_t *)&f->listener, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    call(f, &post);
    expect_failure(f, -ECONNREFUSED, MW_HTTP_NOT_SENT, "Connection refused");
    snprintf(where, sizeof(where), "127.0.0.1:%u", f->port);
    expect_sentence(f, where);

    req.url = "http://nowhere.invalid/p?secret=tooth";
    call(f, &req);
    expect_failure(f, -EHOSTUNREACH, MW_HTTP_NOT_SENT, "nowhere.invalid:80");
}

static void test_tls_failure_is_not_sent(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request req = post;
    MW_AUTOFREE char *address = mw_asprintf("https://127.0.0.1:%u/p?secret=tooth", f->port);

    /* A TLS hello holds no empty line, so the peer would wait for ever: a time limit ends it. */
    req.url = address;
    req.timeout_ms = 50;
    call(f, &req);
    expect_failure(f, -ETIMEDOUT, MW_HTTP_NOT_SENT, "no connection to 127.0.0.1");
    assert_int_equal(f->requests, 0);
}

static void on_plain(struct mw_httpd_request *req, void *userdata)
{
    struct fixture *f = userdata;

    f->requests++;
    if (mw_streq(mw_httpd_path(req), "/abort")) {
        mw_httpd_abort(req);
    } else {
        const char *body;
        size_t len;
        body = mw_httpd_body(req, &len);
        mw_httpd_respond(req, 200, "text/plain", body, len);
    }
}

static void start_httpd(struct fixture *f)
{
    struct mw_httpd_params params = {
        .address = "127.0.0.1", .on_request = on_plain, .userdata = f, .max_body = 8 << 20};

    assert_int_equal(mw_httpd_new(&f->loop, &params, &f->httpd, NULL), 0);
    f->port = mw_httpd_port(f->httpd);
}

static void test_tls_to_a_plain_server(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request req = post;
    MW_AUTOFREE char *address = NULL;

    start_httpd(f);
    address = mw_asprintf("https://127.0.0.1:%u/p?secret=tooth", f->port);
    req.url = address;
    call(f, &req);
    assert_int_equal(f->phase, MW_HTTP_NOT_SENT);
    assert_int_not_equal(f->error, 0);
    expect_sentence(f, "127.0.0.1");
    assert_int_equal(f->requests, 0);
}

static void test_bad_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const split[] = {"X: a\r\nY: b", NULL};
    static const char *const urls[] = {"", "ftp://x/", "file:///etc/passwd", "http://", "x y"};
    struct mw_http_request req = get;
    MW_AUTOERROR err = MW_ERROR_INIT;

    req.cb = on_done;
    req.userdata = f;
    for (size_t i = 0; i < MW_ARRAY_LEN(urls); i++) {
        req.url = urls[i];
        assert_int_equal(mw_http_start(f->http, &req, NULL, &err), -EINVAL);
        assert_non_null(err.message);
        mw_error_reset(&err);
    }
    req.url = "http://127.0.0.1/";
    req.headers = split;
    assert_int_equal(mw_http_start(f->http, &req, NULL, &err), -EINVAL);
    mw_error_reset(&err);
    req.headers = NULL;
    req.method = "POST";
    req.upload_path = "/nonexistent";
    assert_int_equal(mw_http_start(f->http, &req, NULL, &err), -ENOENT);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(f->done, 0);
}

static void test_closed_before_the_answer(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {NULL, CLOSE}, {NULL, RESET}, {NULL, CLOSE});
    call(f, &post);
    expect_failure(f, -ECONNRESET, MW_HTTP_AMBIGUOUS, "closed the connection without an answer");
    call(f, &post);
    expect_failure(f, -ECONNRESET, MW_HTTP_AMBIGUOUS, "without an answer");
    call(f, &get);
    expect_failure(f, -ECONNRESET, MW_HTTP_AMBIGUOUS, "without an answer");
    assert_int_equal(f->status, 0);
    assert_int_equal(f->requests, 3);
}

/* The server takes the request on a kept connection and closes without a word: it may have acted.
 */
static void test_a_kept_connection_dies_under_a_post(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request without_body = {.method = "DELETE"};

    SCRIPT(f, {OK_REPLY, KEEP}, {NULL, CLOSE}, {OK_REPLY, KEEP}, {NULL, RESET}, {OK_REPLY, KEEP},
           {NULL, CLOSE});
    for (int i = 0; i < 3; i++) {
        call(f, &get);
        assert_int_equal(f->status, 200);
        call(f, i == 2 ? &without_body : &post);
        expect_failure(f, -ECONNRESET, MW_HTTP_AMBIGUOUS, "without an answer");
    }
    assert_int_equal(f->requests, 6); /* none was repeated */
    assert_int_equal(f->connections >= 3, 1);
}

static void test_a_kept_connection_dies_under_a_get(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {OK_REPLY, KEEP}, {NULL, CLOSE}, {OK_REPLY, KEEP});
    call(f, &get);
    call(f, &get);
    assert_int_equal(f->error, 0);
    assert_int_equal(f->status, 200);
    assert_int_equal(f->requests, 3);
    assert_int_equal(f->connections, 2);
}

/* The server closed while the connection was idle: a new one is taken and nothing is in doubt. */
static void test_a_kept_connection_was_closed(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {OK_REPLY, CLOSE}, {OK_REPLY, CLOSE}, {OK_REPLY, CLOSE});
    for (int i = 0; i < 3; i++) {
        call(f, &post);
        assert_int_equal(f->error, 0);
        assert_int_equal(f->status, 200);
    }
    assert_int_equal(f->connections, 3);
}

static void test_keep_alive(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {OK_REPLY, KEEP}, {OK_REPLY, KEEP}, {OK_REPLY, KEEP});
    for (int i = 0; i < 3; i++)
        call(f, &post);
    assert_int_equal(f->connections, 1);
}

static void test_cut_answers(void **state)
{
    struct fixture *f = *state;
    static const char *const cut[] = {
        "HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "HTTP/1.1 201 Created\r\nContent-Le",
        "HTTP/1.1 100 Continue\r\n\r\n",
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(cut); i++) {
        struct step step = {cut[i], CLOSE};
        f->script = &step;
        f->at = 0;
        f->n_steps = 1;
        call(f, &post);
        if (f->phase != MW_HTTP_AMBIGUOUS || f->error != -ECONNRESET)
            fail_msg("%s: phase %d, error %d, %s", cut[i], (int)f->phase, f->error, f->text);
    }
}

static void test_no_http(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {"220 smtp.example.com ESMTP\r\n", CLOSE},
           {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", CLOSE});
    call(f, &post);
    assert_int_equal(f->phase, MW_HTTP_AMBIGUOUS);
    assert_int_not_equal(f->error, 0);
    expect_sentence(f, "127.0.0.1");
    call(f, &post);
    assert_int_equal(f->phase, MW_HTTP_AMBIGUOUS);
    assert_int_not_equal(f->error, 0);
}

static void test_longer_than_announced(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Bad\r\n\r\n", KEEP},
           {OK_REPLY, KEEP});
    call(f, &get);
    assert_string_equal(f->body, "ok");
    call(f, &get);
    assert_int_equal(f->status, 200);
    assert_string_equal(f->body, "ok");
}

static void test_time_limit(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request req = post;

    SCRIPT(f, {NULL, KEEP}, {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", KEEP});
    req.timeout_ms = 50;
    call(f, &req);
    expect_failure(f, -ETIMEDOUT, MW_HTTP_AMBIGUOUS, "did not answer within 0.05 s");
    call(f, &req);
    expect_failure(f, -ETIMEDOUT, MW_HTTP_AMBIGUOUS, "did not answer within 0.05 s");
}

static int on_data(int status, const char *data, size_t len, void *userdata)
{
    struct fixture *f = userdata;
    size_t at = strlen(f->streamed);
    uv_buf_t out;

    assert_int_equal(status, 200);
    assert_true(len && at + len < sizeof(f->streamed));
    memcpy(f->streamed + at, data, len);
    f->pieces++;
    if (f->cancel_in_data)
        mw_http_cancel(f->cancel_in_data);
    if (f->free_in_data)
        mw_http_free(take_ptr(f->http));
    if (f->cancel_in_data || f->free_in_data || f->data_result)
        return f->data_result;
    if (f->more && *f->more) {
        out = uv_buf_init((char *)(uintptr_t)*f->more, (unsigned)strlen(*f->more));
        assert_int_equal(uv_try_write(f->last_peer, &out, 1), (int)out.len);
        f->more++;
    } else if (f->more) {
        uv_close((uv_handle_t *)f->last_peer, on_peer_closed);
        f->more = NULL;
    }
    return 0;
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct mw_http_request streamed = {
    .method = "POST", .body = "{}", .body_len = 2, .on_data = on_data};

static void test_streamed_answer(void **state)
{
    static const char *const more[] = {"3\r\ntwo\r\n", "5\r\nthree\r\n0\r\n\r\n"};
    struct fixture *f = *state;

    SCRIPT(f, {CHUNKED "3\r\none\r\n", KEEP});
    f->more = more;
    call(f, &streamed);
    assert_int_equal(f->error, 0);
    assert_int_equal(f->status, 200);
    assert_string_equal(f->streamed, "onetwothree");
    assert_int_equal(f->pieces, 3);
    assert_int_equal(f->body_len, 0);
}

/* What is said of a failure goes to memory, as ever. */
static void test_streamed_answer_with_another_status(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nwrong", KEEP});
    call(f, &streamed);
    assert_int_equal(f->status, 400);
    assert_string_equal(f->body, "wrong");
    assert_int_equal(f->pieces, 0);
}

static void test_streamed_answer_is_cut(void **state)
{
    static const char *const more[] = {NULL};
    struct fixture *f = *state;

    SCRIPT(f, {CHUNKED "3\r\none\r\n", KEEP});
    f->more = more;
    call(f, &streamed);
    expect_failure(f, -ECONNRESET, MW_HTTP_AMBIGUOUS, "cut its answer short");
    assert_string_equal(f->streamed, "one");
}

static void test_streamed_answer_limit(void **state)
{
    static const char *const more[] = {"3\r\ntwo\r\n"};
    struct mw_http_request small = streamed;
    struct fixture *f = *state;

    SCRIPT(f, {CHUNKED "3\r\none\r\n", KEEP});
    f->more = more;
    small.max_body = 5;
    call(f, &small);
    expect_failure(f, -E2BIG, MW_HTTP_AMBIGUOUS, "longer than 5 bytes");
    assert_string_equal(f->streamed, "one");
}

static void test_streamed_answer_is_refused(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {CHUNKED "3\r\none\r\n", KEEP});
    f->data_result = -EBADMSG;
    call(f, &streamed);
    expect_failure(f, -EBADMSG, MW_HTTP_AMBIGUOUS, "was not taken");
}

static void test_streamed_answer_is_canceled(void **state)
{
    struct mw_http_request req = streamed;
    struct fixture *f = *state;

    SCRIPT(f, {CHUNKED "3\r\none\r\n", KEEP});
    req.url = url(f, "/");
    req.cb = on_done;
    req.userdata = f;
    f->data_result = -EIO; /* too late: the call is gone */
    assert_int_equal(mw_http_start(f->http, &req, &f->cancel_in_data, NULL), 0);
    while (!f->done)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->error, -ECANCELED);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->pieces, 1);
}

static void test_streamed_answer_and_the_client_goes(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {CHUNKED "3\r\none\r\n", KEEP});
    f->free_in_data = true;
    call(f, &streamed);
    assert_int_equal(f->error, -ECANCELED);
    assert_int_equal(f->done, 1);
}

static void test_retry_after(void **state)
{
    struct fixture *f = *state;

#define TOO_MANY "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n"
    SCRIPT(f, {TOO_MANY "Retry-After: 7\r\n\r\n", KEEP},
           {TOO_MANY "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                     "Retry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\n\r\n",
            KEEP},
           {TOO_MANY "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", KEEP},
           {TOO_MANY "Retry-After: soon\r\n\r\n", KEEP},
           {TOO_MANY "Retry-After: 99999999999999999999\r\n\r\n", KEEP}, {TOO_MANY "\r\n", KEEP},
           {TOO_MANY "Retry-After: 0\r\n\r\n", KEEP});
    static const int64_t expected[] = {7000, 120000, 0, -1, INT32_MAX * INT64_C(1000), -1, 0};

    for (size_t i = 0; i < MW_ARRAY_LEN(expected); i++) {
        call(f, &get);
        assert_int_equal(f->status, 429);
        assert_int_equal(f->retry_after_ms, expected[i]);
    }
}

static void test_answer_limit(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request req = get;

    SCRIPT(f, {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", KEEP},
           {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", KEEP});
    req.max_body = 4;
    call(f, &req);
    assert_string_equal(f->body, "abcd");
    call(f, &req);
    expect_failure(f, -E2BIG, MW_HTTP_AMBIGUOUS, "longer than 4 bytes");
    assert_int_equal(f->status, 200);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request req = post;
    struct mw_http_call *c = NULL;

    SCRIPT(f, {NULL, KEEP});
    req.cb = on_done;
    req.userdata = f;
    req.url = url(f, "/");
    assert_int_equal(mw_http_start(f->http, &req, &c, NULL), 0);
    mw_http_cancel(c);
    assert_int_equal(f->done, 1);
    expect_failure(f, -ECANCELED, MW_HTTP_NOT_SENT, "given up");
    assert_int_equal(mw_http_start(f->http, &req, &c, NULL), 0);
    while (f->requests == 0)
        uv_run(&f->loop, UV_RUN_ONCE);
    mw_http_cancel(c);
    assert_int_equal(f->done, 2);
    expect_failure(f, -ECANCELED, MW_HTTP_AMBIGUOUS, "given up");
}

static void test_free_with_calls_under_way(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {NULL, KEEP}, {NULL, KEEP}, {NULL, KEEP});
    for (int i = 0; i < 3; i++)
        start(f, &post);
    while (f->requests < 3)
        uv_run(&f->loop, UV_RUN_ONCE);
    mw_http_free(take_ptr(f->http));
    assert_int_equal(f->done, 3);
    assert_int_equal(f->error, -ECANCELED);
}

static void test_free_in_the_callback(void **state)
{
    struct fixture *f = *state;

    SCRIPT(f, {OK_REPLY, KEEP}, {OK_REPLY, KEEP}, {OK_REPLY, KEEP});
    f->free_in_callback = true;
    for (int i = 0; i < 3; i++)
        start(f, &post);
    while (f->done < 3)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_null(f->http);
}

static void test_more_calls_than_connections(void **state)
{
    struct fixture *f = *state;

    start_httpd(f);
    for (int i = 0; i < 100; i++)
        start(f, &post);
    while (f->done < 100)
        uv_run(&f->loop, UV_RUN_ONCE);
    assert_int_equal(f->requests, 100);
    assert_string_equal(f->body, "{\"a\":1}");
}

static void test_server_that_aborts(void **state)
{
    struct fixture *f = *state;
    struct mw_http_request req = post;

    start_httpd(f);
    call(f, &post);
    assert_int_equal(f->status, 200);
    req.url = url(f, "/abort");
    call(f, &req);
    expect_failure(f, -ECONNRESET, MW_HTTP_AMBIGUOUS, "without an answer");
    assert_int_equal(f->requests, 2);
}

static char *path_in(struct fixture *f, const char *name)
{
    char *path = mw_asprintf("%s/%s", f->dir, name);

    assert_non_null(path);
    return path;
}

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "r");
    char *text = calloc(1, 65);

    assert_non_null(file);
    assert_non_null(text);
    text[fread(text, 1, 64, file)] = '\0';
    fclose(file);
    return text;
}

static void test_upload_file(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *path = path_in(f, "up");
    struct mw_http_request req = {
        .method = "POST", .upload_path = path, .content_type = "application/octet-stream"};
    FILE *file = fopen(path, "w");

    start_httpd(f);
    assert_non_null(file);
    for (int i = 0; i < 200000; i++)
        fprintf(file, "%06d\n", i);
    fclose(file);
    call(f, &req);
    assert_int_equal(f->status, 200);
    assert_int_equal(f->body_len, 200000 * 7);
    assert_memory_equal(f->body + 199999 * 7, "199999\n", 7);
    assert_int_equal(truncate(path, 0), 0);
    call(f, &req);
    assert_int_equal(f->status, 200);
    assert_int_equal(f->body_len, 0);
    req.upload_path = f->dir;
    req.url = url(f, "/");
    assert_int_equal(mw_http_start(f->http, &req, NULL, NULL), -EINVAL);
}

static void test_download_to_file(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *path = path_in(f, "down");
    MW_AUTOFREE char *missing = path_in(f, "no/such/folder");
    MW_AUTOFREE char *got = NULL, *kept = NULL;
    struct mw_http_request req = {.method = "GET", .download_path = path, .max_body = 4};
    struct stat st;
    char cmd[128];

    SCRIPT(f, {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfile 1", KEEP},
           {"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nnone", KEEP},
           {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfil", CLOSE}, {OK_REPLY, KEEP},
           {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP});
    call(f, &req);
    assert_int_equal(f->error, 0);
    got = slurp(path);
    assert_string_equal(got, "file 1");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    call(f, &req);
    assert_int_equal(f->status, 404);
    assert_string_equal(f->body, "none");
    call(f, &req);
    assert_int_equal(f->error, -ECONNRESET);
    kept = slurp(path);
    assert_string_equal(kept, "file 1");
    req.download_path = missing;
    call(f, &req);
    assert_int_equal(f->error, -ENOENT);
    req.download_path = path;
    call(f, &req);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 0);
    /* No half file is left behind. */
    snprintf(cmd, sizeof(cmd), "test \"$(ls %s)\" = down", f->dir);
    assert_int_equal(system(cmd), 0);
}

static void test_proxy(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *proxy = mw_asprintf("http://user:hunter2@127.0.0.1:%u", f->port);
    struct mw_http_params params = {.proxy = proxy};
    struct mw_http_request req = post;

    SCRIPT(f, {OK_REPLY, KEEP}, {"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", KEEP});
    mw_http_free(take_ptr(f->http));
    assert_int_equal(mw_http_new(&f->loop, &params, &f->http, NULL), 0);
    req.url = "http://chat.invalid/p?secret=tooth";
    call(f, &req);
    assert_int_equal(f->status, 200);
    assert_non_null(strstr(mw_buf_str(&f->seen), "POST http://chat.invalid/p"));
    req.url = "https://chat.invalid/p?secret=tooth";
    call(f, &req);
    assert_int_equal(f->phase, MW_HTTP_NOT_SENT);
    assert_int_equal(f->status, 0);
    expect_sentence(f, "the proxy refused to connect to chat.invalid:443: HTTP status 502");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_get),
        T(test_post),
        T(test_no_redirect_no_cookie),
        T(test_not_sent),
        T(test_tls_failure_is_not_sent),
        T(test_tls_to_a_plain_server),
        T(test_bad_requests_are_refused),
        T(test_closed_before_the_answer),
        T(test_a_kept_connection_dies_under_a_post),
        T(test_a_kept_connection_dies_under_a_get),
        T(test_a_kept_connection_was_closed),
        T(test_keep_alive),
        T(test_cut_answers),
        T(test_no_http),
        T(test_longer_than_announced),
        T(test_time_limit),
        T(test_streamed_answer),
        T(test_streamed_answer_with_another_status),
        T(test_streamed_answer_is_cut),
        T(test_streamed_answer_limit),
        T(test_streamed_answer_is_refused),
        T(test_streamed_answer_is_canceled),
        T(test_streamed_answer_and_the_client_goes),
        T(test_retry_after),
        T(test_answer_limit),
        T(test_cancel),
        T(test_free_with_calls_under_way),
        T(test_free_in_the_callback),
        T(test_more_calls_than_connections),
        T(test_server_that_aborts),
        T(test_upload_file),
        T(test_download_to_file),
        T(test_proxy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
