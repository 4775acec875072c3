#include "io/test_http.h"

#include "base/clock.h"

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
        T(test_retry_after),
        T(test_answer_limit),
        T(test_cancel),
        T(test_free_with_calls_under_way),
        T(test_free_in_the_callback),
        T(test_more_calls_than_connections),
        T(test_server_that_aborts),
        T(test_proxy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
