/* Files to and from a small server that breaks off where a test wants it. */
#include "mattermost/transfer.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "base/test.h"
#include "io/handle.h"
#include "io/httpd.h"

#define CHANNEL "chanchanchanchanchanchanch"
#define FILE_ID "filefilefilefilefilefilefi"
#define SESSION "sesssesssesssesssesssesss1"
#define SIZE    (MM_PIECE * 2 + 1234)

struct fixture {
    uv_loop_t loop;
    struct mw_timer *alarm;
    struct mw_httpd *httpd;
    struct mm_client *client;
    char dir[64];
    char *content; /* SIZE bytes */
    char *stored;  /* what an upload session has */
    size_t n_stored;
    /* What to do with the coming pieces, one letter each; then all are taken:
     * o take   x cut, nothing taken   h take half, cut   5 answer 503   w (download) the wrong part
     * n (upload) say nothing of the file at its end
     * d (upload) take, cut, and forget the session when the file is whole */
    const char *script;
    int pieces, offsets, plain; /* requests seen */
    bool forgotten;             /* the session */
    int progress;
    int64_t told;
    /* The end. */
    int came;
    enum mm_outcome outcome;
    char sentence[256], *body;
};

static void respond(struct mw_httpd_request *req, int status, const char *text)
{
    mw_httpd_respond(req, status, NULL, text, strlen(text));
}

static char next_action(struct fixture *f)
{
    return *f->script ? *f->script++ : 'o';
}

static void answer_offset(struct fixture *f, struct mw_httpd_request *req)
{
    MW_AUTOFREE char *text = mw_asprintf("{\"file_offset\":%zu}", f->n_stored);

    f->offsets++;
    if (f->forgotten)
        respond(req, 404, "{\"id\":\"app.upload.get.app_error\",\"message\":\"gone\"}");
    else
        respond(req, 200, text);
}

static void answer_piece(struct fixture *f, struct mw_httpd_request *req)
{
    char action = next_action(f);
    size_t len, take;
    const char *body = mw_httpd_body(req, &len);

    f->pieces++;
    take = strchr("ond", action) ? len : action == 'h' ? len / 2 : 0;
    assert_true(f->n_stored + take <= SIZE);
    memcpy(f->stored + f->n_stored, body, take);
    f->n_stored += take;
    f->forgotten = action == 'd' && f->n_stored == SIZE;
    if (strchr("xhd", action))
        mw_httpd_abort(req);
    else if (action == '5')
        respond(req, 503, "{\"id\":\"busy\",\"message\":\"busy\",\"status_code\":503}");
    else if (f->n_stored == SIZE && action != 'n')
        respond(req, 201, "{\"id\":\"" FILE_ID "\",\"name\":\"big\"}");
    else
        mw_httpd_respond(req, 204, NULL, "", 0);
}

static void answer_range(struct fixture *f, struct mw_httpd_request *req)
{
    const char *range = mw_httpd_header(req, "Range");
    char action = next_action(f), *end;
    long from, to;

    f->pieces++;
    assert_true(mw_starts_with(range, "bytes="));
    from = strtol(range + strlen("bytes="), &end, 10);
    assert_int_equal(*end, '-');
    to = strtol(end + 1, NULL, 10);
    assert_true(from >= 0 && from <= to && to < SIZE && to - from < MM_PIECE);
    if (action == 'x')
        mw_httpd_abort(req);
    else if (action == 'w')
        mw_httpd_respond(req, 200, "application/octet-stream", f->content, 10);
    else
        mw_httpd_respond(req, 206, "application/octet-stream", f->content + from,
                         (size_t)(to - from + 1));
}

static void on_request(struct mw_httpd_request *req, void *userdata)
{
    struct fixture *f = userdata;
    const char *path = mw_httpd_path(req);
    bool get = mw_streq(mw_httpd_method(req), "GET");

    if (mw_streq(path, "/api/v4/users/me")) {
        respond(req, 200, "{\"id\":\"botbotbotbotbotbotbotbotbo\",\"username\":\"bot\"}");
    } else if (mw_streq(path, "/api/v4/files")) {
        f->plain++;
        respond(req, 201, "{\"file_infos\":[{\"id\":\"" FILE_ID "\"}]}");
    } else if (mw_streq(path, "/api/v4/uploads")) {
        respond(req, 201, "{\"id\":\"" SESSION "\"}");
    } else if (mw_streq(path, "/api/v4/uploads/" SESSION)) {
        if (get)
            answer_offset(f, req);
        else
            answer_piece(f, req);
    } else if (mw_streq(path, "/api/v4/files/" FILE_ID)) {
        answer_range(f, req);
    } else {
        respond(req, 200, "{}");
    }
}

/* ---- The fixture ---- */

static void on_alarm(void *userdata)
{
    fail_msg("the test waits for something that does not come");
}

static void on_end(struct mm_result *r, void *userdata)
{
    struct fixture *f = userdata;

    f->came = 1;
    f->outcome = r->outcome;
    snprintf(f->sentence, sizeof(f->sentence), "%s", mw_error_text(&r->err));
    free(f->body);
    f->body = r->body ? mw_json_print(r->body) : NULL;
    uv_stop(&f->loop); /* it may be a timer that came: do not wait for the next event */
}

static void on_progress(int64_t done, int64_t total, void *userdata)
{
    struct fixture *f = userdata;

    assert_true(done > f->told && done <= total);
    assert_int_equal(total, SIZE);
    f->told = done;
    f->progress++;
}

static void wait_end(struct fixture *f)
{
    mw_timer_start(f->alarm, 20000);
    while (!f->came)
        uv_run(&f->loop, UV_RUN_ONCE);
    mw_timer_stop(f->alarm);
}

static char *in_dir(const struct fixture *f, const char *name)
{
    return mw_asprintf("%s/%s", f->dir, name);
}

static char *write_file(const struct fixture *f, const char *name, size_t len)
{
    char *path = in_dir(f, name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(f->content, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* The file is the content, readable for its owner only. */
static void assert_whole(const struct fixture *f, const char *path)
{
    MW_AUTOFREE char *got = malloc(SIZE + 1);
    FILE *file = fopen(path, "r");
    struct stat st;

    assert_non_null(file);
    assert_int_equal(fread(got, 1, SIZE + 1, file), SIZE);
    fclose(file);
    assert_memory_equal(got, f->content, SIZE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    MW_AUTOFREE char *endpoint = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;

    mw_ignore_sigpipe();
    strcpy(f->dir, "/tmp/matterwire-transfer-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->script = "";
    f->content = malloc(SIZE);
    f->stored = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        f->content[i] = (char)(i * 7 + i / 4096);
    uv_loop_init(&f->loop);
    assert_int_equal(mw_timer_new(&f->loop, on_alarm, f, &f->alarm), 0);
    assert_int_equal(mw_httpd_new(&f->loop,
                                  &(struct mw_httpd_params){.address = "127.0.0.1",
                                                            .max_body = 2 * MM_PIECE,
                                                            .on_request = on_request,
                                                            .userdata = f},
                                  &f->httpd, &err),
                     0);
    endpoint = mw_asprintf("http://127.0.0.1:%d", mw_httpd_port(f->httpd));
    assert_int_equal(mm_client_new(&f->loop,
                                   &(struct mm_client_params){.endpoint = endpoint, .token = "t"},
                                   &f->client, &err),
                     0);
    assert_int_equal(mm_client_start(f->client, on_end, f), 0);
    wait_end(f);
    f->came = 0;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *command = mw_asprintf("rm -r %s", f->dir);

    mm_client_free(f->client);
    mw_httpd_free(f->httpd);
    mw_timer_free(f->alarm);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(system(command), 0);
    free(f->content);
    free(f->stored);
    free(f->body);
    free(f);
    return 0;
}

/* ---- Uploads ---- */

static void upload(struct fixture *f, const char *script)
{
    MW_AUTOFREE char *path = write_file(f, "big", SIZE);

    f->script = script;
    assert_int_equal(mm_upload_file(f->client, CHANNEL, path, "big", on_progress, on_end, f), 0);
    wait_end(f);
}

static void test_small_upload(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *path = write_file(f, "small", MM_PIECE);

    assert_int_equal(mm_upload_file(f->client, CHANNEL, path, "small", on_progress, on_end, f), 0);
    wait_end(f);
    assert_int_equal(f->outcome, MM_OK);
    assert_int_equal(f->plain, 1);
    assert_int_equal(f->pieces + f->progress, 0);
}

static void test_upload_in_pieces(void **state)
{
    struct fixture *f = *state;

    upload(f, "");
    assert_int_equal(f->outcome, MM_OK);
    assert_string_equal(f->body, "{\"file_infos\":[{\"id\":\"" FILE_ID "\",\"name\":\"big\"}]}");
    assert_int_equal(f->pieces, 3);
    assert_int_equal(f->progress, 3);
    assert_int_equal(f->told, SIZE);
    assert_memory_equal(f->stored, f->content, SIZE);
}

/* The server is asked how far it came, whatever it took of the piece that broke. */
static void test_upload_goes_on(void **state)
{
    struct fixture *f = *state;

    upload(f, "oxhx");
    assert_int_equal(f->outcome, MM_OK);
    assert_int_equal(f->n_stored, SIZE);
    assert_memory_equal(f->stored, f->content, SIZE);
    assert_true(f->offsets >= 2);
}

static void test_upload_gives_up(void **state)
{
    struct fixture *f = *state;

    upload(f, "oxxxxxxxx");
    assert_true(f->outcome == MM_UNREACHABLE || f->outcome == MM_AMBIGUOUS);
    assert_int_equal(f->offsets, 2);
}

/* The file is whole, but the answer that tells it was cut: that is no refusal. */
static void test_upload_whole_unseen(void **state)
{
    struct fixture *f = *state;

    upload(f, "ood");
    assert_int_equal(f->outcome, MM_AMBIGUOUS);
    assert_int_equal(f->offsets, 1);
}

static void test_upload_without_an_end(void **state)
{
    struct fixture *f = *state;

    upload(f, "nnn");
    assert_int_equal(f->outcome, MM_BAD_ANSWER);
    assert_string_equal(f->sentence, "the server did not say that the file is whole");
}

static void test_no_file(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *missing = in_dir(f, "missing");

    assert_int_equal(mm_upload_file(f->client, CHANNEL, missing, "x", NULL, on_end, f), -ENOENT);
    assert_int_equal(mm_upload_file(f->client, CHANNEL, f->dir, "x", NULL, on_end, f), -EINVAL);
    assert_int_equal(f->came, 0);
}

/* ---- Downloads ---- */

static int start_download(struct fixture *f, const char *path, bool replace, const char *script)
{
    f->came = 0;
    f->pieces = 0;
    f->told = 0;
    f->script = script;
    return mm_download_file(f->client,
                            &(struct mm_download){.file_id = FILE_ID,
                                                  .size = SIZE,
                                                  .path = path,
                                                  .replace = replace,
                                                  .progress = on_progress},
                            on_end, f);
}

static void download(struct fixture *f, const char *path, bool replace, const char *script)
{
    assert_int_equal(start_download(f, path, replace, script), 0);
    wait_end(f);
}

static void test_download(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *path = in_dir(f, "got"), *part = in_dir(f, "." FILE_ID ".part");

    download(f, path, false, "oxo");
    assert_int_equal(f->outcome, MM_OK);
    assert_int_equal(f->told, SIZE);
    assert_whole(f, path);
    assert_int_equal(access(part, F_OK), -1);
    /* What is there stays, unless it may be replaced. */
    download(f, path, false, "");
    assert_int_equal(f->outcome, MM_REFUSED);
    assert_non_null(strstr(f->sentence, "File exists"));
    assert_int_equal(truncate(path, 3), 0);
    download(f, path, true, "");
    assert_int_equal(f->outcome, MM_OK);
    assert_whole(f, path);
}

/* What a broken download has is not asked for again. */
static void test_download_goes_on(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *path = in_dir(f, "got");

    download(f, path, false, "oxxxxxxx");
    assert_true(f->outcome == MM_UNREACHABLE || f->outcome == MM_AMBIGUOUS);
    assert_int_equal(access(path, F_OK), -1);
    download(f, path, false, "");
    assert_int_equal(f->outcome, MM_OK);
    assert_int_equal(f->pieces, 2);
    assert_whole(f, path);
}

static void test_download_of_another_part(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *path = in_dir(f, "got");

    download(f, path, false, "ow");
    assert_int_equal(f->outcome, MM_BAD_ANSWER);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_download_twice_at_a_time(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *path = in_dir(f, "got");

    assert_int_equal(start_download(f, path, false, ""), 0);
    assert_int_equal(start_download(f, path, false, ""), -EWOULDBLOCK);
    wait_end(f);
    assert_int_equal(f->outcome, MM_OK);
    assert_whole(f, path);
    assert_int_equal(
        mm_download_file(f->client, &(struct mm_download){.file_id = "../x"}, on_end, f), -EINVAL);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_small_upload),
        TEST(test_upload_in_pieces),
        TEST(test_upload_goes_on),
        TEST(test_upload_gives_up),
        TEST(test_upload_whole_unseen),
        TEST(test_upload_without_an_end),
        TEST(test_no_file),
        TEST(test_download),
        TEST(test_download_goes_on),
        TEST(test_download_of_another_part),
        TEST(test_download_twice_at_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
