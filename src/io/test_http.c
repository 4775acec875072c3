#include "io/test_http.h"

void on_peer_closed(uv_handle_t *handle)
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

int setup(void **state)
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

int teardown(void **state)
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

void on_done(const struct mw_http_response *r, void *userdata)
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

char *url(struct fixture *f, const char *path)
{
    static char room[256];

    snprintf(room, sizeof(room), "http://127.0.0.1:%u%s", f->port, path);
    return room;
}

void start(struct fixture *f, const struct mw_http_request *req)
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

void call(struct fixture *f, const struct mw_http_request *req)
{
    unsigned before = f->done;

    start(f, req);
    while (f->done == before)
        uv_run(&f->loop, UV_RUN_ONCE);
}
void expect_sentence(struct fixture *f, const char *needle)
{
    if (!strstr(f->text, needle))
        fail_msg("no \"%s\" in: %s", needle, f->text);
    assert_null(strstr(f->text, "hunter2"));
    assert_null(strstr(f->text, "tooth"));
}

void expect_failure(struct fixture *f, int error, enum mw_http_phase phase, const char *sentence)
{
    if (f->error != error || f->phase != phase)
        fail_msg("error %d, phase %d: %s", f->error, (int)f->phase, f->text);
    expect_sentence(f, sentence);
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

void start_httpd(struct fixture *f)
{
    struct mw_httpd_params params = {
        .address = "127.0.0.1", .on_request = on_plain, .userdata = f, .max_body = 8 << 20};

    assert_int_equal(mw_httpd_new(&f->loop, &params, &f->httpd, NULL), 0);
    f->port = mw_httpd_port(f->httpd);
}
