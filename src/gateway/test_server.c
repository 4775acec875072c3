#include "gateway/test_server.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"

/* ---- Answers ---- */

static void respond_json(struct mw_httpd_request *req, int status, cJSON *tree)
{
    char *text = mw_json_print(tree);

    mw_httpd_respond(req, status, NULL, text, strlen(text));
    free(text);
    cJSON_Delete(tree);
}

static void respond_error(struct mw_httpd_request *req, int status, const char *id)
{
    cJSON *o = cJSON_CreateObject();

    mw_json_add_str(o, "id", id);
    mw_json_add_str(o, "message", "the server says no");
    mw_json_add_i64(o, "status_code", status);
    respond_json(req, status, o);
}

static cJSON *accept_post(struct server *s, const cJSON *body)
{
    cJSON *post = cJSON_Duplicate(body, true);
    MW_AUTOFREE char *id = mw_asprintf("post%022d", cJSON_GetArraySize(s->posts));

    mw_json_add_str(post, "id", id);
    mw_json_add_str(post, "user_id", BOT_ID);
    mw_json_add_i64(post, "create_at", mw_clock_now());
    cJSON_AddItemToArray(s->posts, post);
    return cJSON_Duplicate(post, true);
}

static void answer_post(struct server *s, struct mw_httpd_request *req, const cJSON *body)
{
    bool unwanted = s->unwanted && mw_starts_with(mw_json_str_or(body, "message", ""), s->unwanted);
    char what = unwanted ? 'p' : *s->script ? *s->script++ : 'o';

    s->tries++;
    switch (what) {
    case 'o':
        respond_json(req, 201, accept_post(s, body));
        return;
    case 'd':
        cJSON_Delete(accept_post(s, body));
        mw_httpd_abort(req);
        return;
    case 'x':
        mw_httpd_abort(req);
        return;
    case '5':
        mw_httpd_respond(req, 503, "text/html", "<p>busy", 7);
        return;
    case '6':
        cJSON_Delete(accept_post(s, body));
        respond_error(req, 500, "app.post.save.app_error");
        return;
    case 'e':
        cJSON_Delete(accept_post(s, body));
        respond_json(req, 200, cJSON_CreateObject());
        return;
    case '1':
        mw_httpd_respond(req, 501, "text/html", "<p>not here", 11);
        return;
    case 'w':
        mw_httpd_add_header(req, "Retry-After", "31536000");
        mw_httpd_respond(req, 503, "text/html", "<p>busy", 7);
        return;
    case 'r':
        respond_error(req, 400, "api.post.create_post.root_id.app_error");
        return;
    case 'f':
        respond_error(req, 403, "api.context.permissions.app_error");
        return;
    case 'p':
        mw_httpd_respond(req, 403, "text/html", "<p>no", 5);
        return;
    case 'u':
        respond_error(req, 401, "api.context.session_expired.app_error");
        return;
    case 'l':
        mw_httpd_add_header(req, "Retry-After", "0");
        mw_httpd_respond(req, 429, "text/plain", "limit exceeded", 14);
        return;
    }
    fail_msg("unknown action %c", what);
}

/* Newest first, as the server does. */
static void answer_posts(struct server *s, struct mw_httpd_request *req)
{
    cJSON *list = cJSON_CreateObject(), *order = cJSON_CreateArray(), *posts = cJSON_CreateObject();
    const char *page_text = mw_httpd_query(req, "page"),
               *size_text = mw_httpd_query(req, "per_page"),
               *before = mw_httpd_query(req, "before");
    int size = (int)strtol(size_text, NULL, 10), first = (int)strtol(page_text, NULL, 10) * size,
        n = cJSON_GetArraySize(s->posts), i = 0;

    s->looks++;
    while (before && i < n &&
           !mw_streq(mw_json_str(cJSON_GetArrayItem(s->posts, n - 1 - i), "id"), before))
        i++;
    first += before ? i + 1 : 0; /* before a post that is not there is nothing */
    for (i = first; i < first + size && i < n; i++) {
        const cJSON *post = cJSON_GetArrayItem(s->posts, n - 1 - i);
        const char *id = mw_json_str(post, "id");

        mw_json_push(order, cJSON_CreateString(id));
        mw_json_add(posts, id, cJSON_Duplicate(post, true));
    }
    mw_json_add(list, "order", order);
    mw_json_add(list, "posts", posts);
    respond_json(req, 200, list);
    for (; s->remove_after_look; s->remove_after_look--)
        cJSON_DeleteItemFromArray(s->posts, --n);
    if (s->lose_anchor)
        cJSON_DeleteItemFromArray(s->posts, n - first - size + 1);
    s->lose_anchor = false;
}

static void answer_user(struct mw_httpd_request *req, const char *id, const char *name)
{
    cJSON *o = cJSON_CreateObject();

    mw_json_add_str(o, "id", id);
    mw_json_add_str(o, "username", name);
    respond_json(req, 200, o);
}

static void answer_upload(struct server *s, struct mw_httpd_request *req)
{
    cJSON *o = cJSON_CreateObject(), *infos = cJSON_CreateArray(), *info = cJSON_CreateObject();
    MW_AUTOFREE char *id = mw_asprintf("file%d", ++s->uploads);
    size_t len;
    const char *body = mw_httpd_body(req, &len);

    if (len)
        snprintf(s->upload, sizeof(s->upload), "%.*s", (int)len, body);
    mw_json_add_str(info, "id", id);
    mw_json_push(infos, info);
    mw_json_add(o, "file_infos", infos);
    respond_json(req, 201, o);
}

static void on_request(struct mw_httpd_request *req, void *userdata)
{
    struct server *s = userdata;
    const char *path = mw_httpd_path(req), *method = mw_httpd_method(req);
    size_t len;
    const char *text = mw_httpd_body(req, &len);
    cJSON *body = NULL;

    if (mw_streq(path, "/api/v4/users/me")) {
        answer_user(req, BOT_ID, "bot");
        return;
    }
    if (mw_streq(path, "/api/v4/users/username/ada")) {
        answer_user(req, "adaadaadaadaadaadaadaadaad", "ada");
        return;
    }
    if (mw_streq(path, "/api/v4/users/username/nobody") ||
        mw_streq(path, "/api/v4/posts/missingmissingmissingmissi")) {
        respond_error(req, 404, "app.user.missing_account.const");
        return;
    }
    if (mw_streq(path, "/api/v4/channels/outsideoutsideoutsideouts0/members/me")) {
        respond_error(req, 403, "api.context.permissions.app_error");
        return;
    }
    if (mw_streq(path, "/api/v4/config/client")) {
        respond_json(req, 200, cJSON_CreateObject());
        return;
    }
    snprintf(s->last_method, sizeof(s->last_method), "%s", method);
    snprintf(s->last_path, sizeof(s->last_path), "%s", path ? path : "");
    if (mw_streq(path, "/api/v4/files")) {
        answer_upload(s, req);
        return;
    }
    if (len)
        assert_int_equal(mw_json_parse(text, len, &body, NULL), 0);
    cJSON_Delete(s->last_body);
    s->last_body = body;
    if (mw_streq(path, "/api/v4/posts"))
        answer_post(s, req, body);
    else if (mw_streq(path, "/api/v4/channels/" CHANNEL "/posts"))
        answer_posts(s, req);
    else if (mw_streq(path, "/api/v4/posts/gone"))
        respond_error(req, 404, "app.post.get.app_error");
    else if (s->fail_calls) {
        s->fail_calls--;
        respond_error(req, 503, "api.context.unavailable.app_error");
    } else {
        s->calls++;
        respond_json(req, 200, cJSON_CreateObject());
    }
}

/* ---- Life ---- */

static void on_alarm(void *userdata)
{
    fail_msg("the test waits for something that does not come");
}

void server_wait(struct server *s, const int *flag)
{
    mw_timer_start(s->alarm, 20000);
    while (!*flag)
        uv_run(&s->loop, UV_RUN_ONCE);
    mw_timer_stop(s->alarm);
}

void server_listen(struct server *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct mw_httpd_params p = {
        .address = "127.0.0.1", .port = s->port, .on_request = on_request, .userdata = s};

    if (mw_httpd_new(&s->loop, &p, &s->httpd, &err))
        fail_msg("%s", mw_error_text(&err));
    s->port = mw_httpd_port(s->httpd);
}

void server_close(struct server *s)
{
    mw_httpd_free(take_ptr(s->httpd));
}

static void on_started(struct mm_result *r, void *userdata)
{
    assert_int_equal(r->outcome, MM_OK);
    *(int *)userdata = 1;
}

void server_connect(struct server *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *endpoint = mw_asprintf("http://127.0.0.1:%d", s->port);
    const struct mm_client_params p = {.endpoint = endpoint, .token = "t"};
    int started = 0;

    if (mm_client_new(&s->loop, &p, &s->client, &err))
        fail_msg("%s", mw_error_text(&err));
    assert_int_equal(mm_client_start(s->client, on_started, &started), 0);
    server_wait(s, &started);
}

static void on_tx(const struct mw_tx_result *r, void *userdata)
{
    assert_int_equal(r->error, 0);
    *(int *)userdata = 1;
}

void server_commit(struct server *s, struct mw_tx *tx)
{
    int done = 0;

    mw_tx_commit(tx, on_tx, &done);
    server_wait(s, &done);
}

const char *server_messages(struct server *s)
{
    static char text[4096];
    const cJSON *post;

    text[0] = '\0';
    cJSON_ArrayForEach(post, s->posts)
    {
        size_t len = strlen(text);

        snprintf(text + len, sizeof(text) - len, "%s%s", len ? "|" : "",
                 mw_json_str_or(post, "message", ""));
    }
    return text;
}

int server_setup(void **state)
{
    struct server *s = calloc(1, sizeof(*s));
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_store_params p = {0};

    mw_ignore_sigpipe();
    snprintf(s->dir, sizeof(s->dir), "/tmp/matterwire-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof(s->path), "%s/state.db", s->dir);
    s->script = "";
    s->posts = cJSON_CreateArray();
    uv_loop_init(&s->loop);
    assert_int_equal(mw_timer_new(&s->loop, on_alarm, s, &s->alarm), 0);
    p.path = s->path;
    if (mw_store_open(&s->loop, &p, &s->store, &err))
        fail_msg("%s", mw_error_text(&err));
    server_listen(s);
    server_connect(s);
    *state = s;
    return 0;
}

int server_teardown(void **state)
{
    struct server *s = *state;
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};

    mm_client_free(s->client);
    server_close(s);
    mw_store_close(s->store);
    mw_timer_free(s->alarm);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    for (size_t i = 0; i < MW_ARRAY_LEN(suffixes); i++) {
        MW_AUTOFREE char *name = mw_asprintf("%s%s", s->path, suffixes[i]);

        unlink(name);
    }
    rmdir(s->dir);
    cJSON_Delete(s->posts);
    cJSON_Delete(s->last_body);
    free(s);
    return 0;
}
