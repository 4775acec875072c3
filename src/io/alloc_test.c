/*
 * Every allocation of io fails once: no crash, no leak (under AddressSanitizer), no wait for a time
 * limit, no lost callback. libcurl's own allocations fail too; libuv's, OpenSSL's, libmicrohttpd's
 * and wslay's do not (see base/alloc_fail.h).
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc_fail.h"
#include "base/str.h"
#include "base/test.h"
#include "io/http.h"
#include "io/httpd.h"
#include "io/process.h"
#include "io/ws.h"

/* A clean failure of another name than -ENOMEM: the other side met the lack of memory. */
#define OTHER (-ECONNABORTED)

struct world {
    uv_loop_t loop;
    uv_timer_t guard;
    struct mw_httpd *httpd;
    struct mw_http *http;
    struct mw_ws *client, *server;
    unsigned opened, messages, ended; /* of the client, or of whatever else runs */
    int result;
    bool stopped;
};

static void on_guard(uv_timer_t *timer)
{
    fail_msg("it hangs");
}

static void begin(struct world *w)
{
    *w = (struct world){0};
    assert_int_equal(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->guard);
    uv_timer_start(&w->guard, on_guard, 10000, 0);
}

/* Frees all and returns the result. */
static int end(struct world *w, int r)
{
    mw_ws_free(w->client);
    mw_ws_free(w->server);
    mw_http_free(w->http);
    mw_httpd_free(w->httpd);
    uv_close((uv_handle_t *)&w->guard, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    if (r == 0 || r == -ENOMEM || !mw_alloc_fail_hit())
        return r;
    assert_int_not_equal(r, -ETIMEDOUT);
    return OTHER;
}

static void run(struct world *w)
{
    while (!w->stopped)
        uv_run(&w->loop, UV_RUN_DEFAULT);
}

static void stop(struct world *w, int result)
{
    w->ended++;
    w->result = result;
    w->stopped = true;
    uv_stop(&w->loop);
}

/* ---- A WebSocket from the upgrade to the close frame, both sides ours. ---- */

static void on_server_message(struct mw_ws *ws, bool text, const char *data, size_t len,
                              void *userdata)
{
    struct world *w = userdata;

    if (mw_ws_send_text(ws, data, len) < 0)
        mw_ws_free(take_ptr(w->server));
}

static void on_server_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct world *w = userdata;

    mw_ws_free(take_ptr(w->server));
}

static const struct mw_ws_ops server_ops = {
    .on_message = on_server_message,
    .on_close = on_server_close,
};

static void on_upgrade(uv_loop_t *loop, int fd, const char *early, size_t early_len, void *userdata)
{
    struct world *w = userdata;
    const struct mw_ws_params params = {.ops = &server_ops, .userdata = w};

    /* A failure closes the socket, which the client sees. */
    if (mw_ws_accept(loop, fd, early, early_len, &params, &w->server) < 0)
        assert_null(w->server);
}

static void on_ws_request(struct mw_httpd_request *req, void *userdata)
{
    const char *key = mw_httpd_header(req, "Sec-WebSocket-Key");
    char accept[32];

    if (!key || mw_ws_accept_key(key, accept) < 0 ||
        mw_httpd_add_header(req, "Sec-WebSocket-Accept", accept) < 0) {
        mw_httpd_abort(req);
        return;
    }
    mw_httpd_upgrade(req, on_upgrade, userdata);
}

static char message[100000]; /* more than one frame's buffer */

static void on_client_open(struct mw_ws *ws, void *userdata)
{
    struct world *w = userdata;

    w->opened++;
    if (mw_ws_ping(ws) < 0 || mw_ws_send_text(ws, message, sizeof(message)) < 0) {
        mw_ws_free(take_ptr(w->client));
        stop(w, -ENOMEM);
    }
}

static void on_client_message(struct mw_ws *ws, bool text, const char *data, size_t len,
                              void *userdata)
{
    struct world *w = userdata;

    w->messages++;
    assert_int_equal(len, sizeof(message));
    assert_memory_equal(data, message, len);
    mw_ws_close(ws, 1000);
}

static void on_client_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct world *w = userdata;

    assert_true(mw_error_is_set(how->err));
    stop(w, how->end == MW_WS_END_CLOSED && how->close_code == 1000 ? 0 : how->err->code);
}

static const struct mw_ws_ops client_ops = {
    .on_open = on_client_open,
    .on_message = on_client_message,
    .on_close = on_client_close,
};

static int serve(struct world *w, void (*on_request)(struct mw_httpd_request *, void *))
{
    const struct mw_httpd_params params = {
        .address = "127.0.0.1", .on_request = on_request, .userdata = w};

    return mw_httpd_new(&w->loop, &params, &w->httpd, NULL);
}

static int websocket(void *userdata)
{
    static const char *const headers[] = {"Authorization: Bearer token", NULL};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct world w;
    char url[64];
    struct mw_ws_params params = {
        .url = url, .headers = headers, .ops = &client_ops, .userdata = &w};
    int r;

    begin(&w);
    r = serve(&w, on_ws_request);
    if (r < 0)
        return end(&w, r);
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/api", mw_httpd_port(w.httpd));
    r = mw_ws_connect(&w.loop, &params, &w.client, &err);
    if (r < 0) {
        assert_null(w.client);
        assert_int_equal(err.code, r);
        return end(&w, r);
    }
    run(&w);
    assert_int_equal(w.ended, 1);
    if (w.result == 0)
        assert_int_equal(w.opened + w.messages, 2);
    return end(&w, w.result);
}

/* ---- HTTP, both sides ours. ---- */

static void on_http_request(struct mw_httpd_request *req, void *userdata)
{
    size_t len;
    const char *body = mw_httpd_body(req, &len);

    if (mw_httpd_add_header(req, "X-Mine", "yes") < 0)
        mw_httpd_abort(req);
    else
        mw_httpd_respond(req, 200, "text/plain", body, len);
}

static void on_response(const struct mw_http_response *r, void *userdata)
{
    struct world *w = userdata;

    assert_int_equal(r->error != 0, mw_error_is_set(&r->err));
    if (r->error == 0 && r->status == 200) {
        assert_string_equal(mw_buf_str(&r->body), "{\"a\":1}");
        assert_string_equal(r->header(r, "x-mine"), "yes");
    }
    stop(w, r->error ? r->error : r->status == 200 ? 0 : -EIO);
}

static int call(struct world *w)
{
    static const char *const headers[] = {"X-One: 1", "X-Two: 2", NULL};
    char url[64];
    struct mw_http_request req = {.method = "POST",
                                  .url = url,
                                  .headers = headers,
                                  .body = "{\"a\":1}",
                                  .body_len = 7,
                                  .cb = on_response,
                                  .userdata = w};
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u/x?y=z", mw_httpd_port(w->httpd));
    w->stopped = false;
    w->ended = 0;
    r = mw_http_start(w->http, &req, NULL, &err);
    if (r < 0) {
        assert_int_equal(err.code, r);
        return r;
    }
    run(w);
    assert_int_equal(w->ended, 1);
    return w->result;
}

static int http(void *userdata)
{
    const struct mw_http_params params = {.user_agent = "test", .timeout_ms = 5000};
    struct world w;
    int r;

    begin(&w);
    r = serve(&w, on_http_request);
    if (r == 0)
        r = mw_http_new(&w.loop, &params, &w.http, NULL);
    if (r == 0)
        r = call(&w);
    if (r == 0)
        r = call(&w); /* on the connection that was kept */
    return end(&w, r);
}

static void on_download(const struct mw_http_response *r, void *userdata)
{
    stop(userdata, r->error);
}

/* The file is there when the call succeeded, and nothing is left when it did not. */
static int download(void *userdata)
{
    const struct mw_http_params params = {.timeout_ms = 5000};
    const char *path = userdata;
    struct world w;
    char url[64];
    struct mw_http_request req = {
        .method = "GET", .url = url, .download_path = path, .cb = on_download, .userdata = &w};
    int r;

    begin(&w);
    r = serve(&w, on_http_request);
    if (r == 0)
        r = mw_http_new(&w.loop, &params, &w.http, NULL);
    if (r == 0) {
        snprintf(url, sizeof(url), "http://127.0.0.1:%u/", mw_httpd_port(w.httpd));
        r = mw_http_start(w.http, &req, NULL, NULL);
    }
    if (r == 0) {
        run(&w);
        r = w.result;
    }
    assert_int_equal(unlink(path), r == 0 ? 0 : -1);
    return end(&w, r);
}

/* ---- A child. ---- */

static void on_process(struct mw_process *p, const struct mw_process_result *r, void *userdata)
{
    struct world *w = userdata;

    if (r->end == MW_PROCESS_EXITED)
        assert_string_equal(mw_buf_str(r->out), "some input");
    stop(w, r->end == MW_PROCESS_EXITED ? 0 : -ENOMEM);
}

static int process(void *userdata)
{
    static const char *const argv[] = {"cat", NULL};
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    const struct mw_process_params params = {
        .argv = argv, .env = env, .input = "some input", .input_len = 10};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_process *p = NULL;
    struct world w;
    int r;

    begin(&w);
    r = mw_process_start(&w.loop, &params, on_process, &w, &p, &err);
    if (r < 0) {
        assert_null(p);
        assert_int_equal(err.code, r);
        return end(&w, r);
    }
    run(&w);
    assert_int_equal(w.ended, 1);
    return end(&w, w.result);
}

/* ---- A stream through a proxy that is not there. ---- */

static void on_stream_close(struct mw_stream *s, enum mw_stream_stage stage,
                            const struct mw_error *err, void *userdata)
{
    stop(userdata, err->code);
}

static int proxied(void *userdata)
{
    static const struct mw_stream_ops stream_ops = {.on_close = on_stream_close};
    struct world w;
    struct mw_stream *s = NULL;
    const struct mw_stream_params params = {.host = "server.test",
                                            .port = 443,
                                            .proxy = "http://ada:secret@127.0.0.1:1",
                                            .ops = &stream_ops,
                                            .userdata = &w};
    int r;

    begin(&w);
    r = mw_stream_connect(&w.loop, &params, &s, NULL);
    if (r == 0) {
        run(&w);
        r = w.result == -ECONNREFUSED ? 0 : w.result;
    }
    mw_stream_free(s);
    return end(&w, r);
}

static void test_websocket(void **state)
{
    memset(message, 'x', sizeof(message));
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, websocket, NULL, OTHER) > 20);
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_REST, websocket, NULL, OTHER) > 20);
}

static void test_http(void **state)
{
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, http, NULL, OTHER) > 20);
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_REST, http, NULL, OTHER) > 20);
}

static void test_download(void **state)
{
    char dir[] = "/tmp/mw-alloc-XXXXXX", path[64];

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/file", dir);
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, download, path, OTHER) > 20);
    assert_int_equal(rmdir(dir), 0); /* also no part of a file */
}

static void test_process(void **state)
{
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, process, NULL, 0) > 5);
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_REST, process, NULL, 0) > 5);
}

static void test_proxied(void **state)
{
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, proxied, NULL, OTHER) > 5);
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_REST, proxied, NULL, OTHER) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_websocket), cmocka_unit_test(test_http),
        cmocka_unit_test(test_download),  cmocka_unit_test(test_process),
        cmocka_unit_test(test_proxied),
    };
    int r;

    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, mw_alloc_fail_malloc, free, mw_alloc_fail_realloc,
                             mw_alloc_fail_strdup, mw_alloc_fail_calloc) != CURLE_OK)
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return r;
}
