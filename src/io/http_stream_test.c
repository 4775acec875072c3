/* Answers in pieces, and bodies that are files. */
#include "io/test_http.h"

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
    static const char *const more[] = {"3\r\ntwo\r\n", "5\r\nthree\r\n0\r\n\r\n", NULL};
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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_streamed_answer),
        T(test_streamed_answer_with_another_status),
        T(test_streamed_answer_is_cut),
        T(test_streamed_answer_limit),
        T(test_streamed_answer_is_refused),
        T(test_streamed_answer_is_canceled),
        T(test_streamed_answer_and_the_client_goes),
        T(test_upload_file),
        T(test_download_to_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
