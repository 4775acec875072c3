#include "mattermost/test_server.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "base/test.h"

/* ---- REST ---- */

static void respond_tree(struct mw_httpd_request *req, int status, cJSON *tree)
{
    MW_AUTOFREE char *text = mw_json_print(tree);

    cJSON_Delete(tree);
    mw_httpd_respond(req, status, NULL, text, strlen(text));
}

static void respond_error(struct mw_httpd_request *req, int status)
{
    cJSON *o = cJSON_CreateObject();

    mw_json_add_str(o, "id",
                    status == 401 ? "api.context.session_expired.app_error" : "test.error");
    mw_json_add_str(o, "message", "the server says no");
    mw_json_add_i64(o, "status_code", status);
    respond_tree(req, status, o);
}

static cJSON *post_json(const struct fake_post *p)
{
    cJSON *o = cJSON_CreateObject();

    mw_json_add_str(o, "id", p->id);
    mw_json_add_i64(o, "create_at", p->create_at);
    mw_json_add_i64(o, "update_at", p->update_at);
    mw_json_add_i64(o, "edit_at", p->edit_at);
    mw_json_add_i64(o, "delete_at", p->delete_at);
    mw_json_add_str(o, "user_id", p->user);
    mw_json_add_str(o, "channel_id", p->channel);
    mw_json_add_str(o, "root_id", "");
    mw_json_add_str(o, "original_id", p->original ? p->original : "");
    mw_json_add_str(o, "message", p->text);
    mw_json_add_str(o, "type", "");
    return o;
}

static int64_t query_number(struct mw_httpd_request *req, const char *name, int64_t fallback)
{
    const char *s = mw_httpd_query(req, name);

    return s ? strtoll(s, NULL, 10) : fallback;
}

static const struct fake_post *find_post(const struct fake *f, const char *id)
{
    for (size_t i = 0; i < f->n_posts; i++)
        if (mw_streq(f->posts[i].id, id))
            return &f->posts[i];
    return NULL;
}

static int oldest_first(const void *a, const void *b)
{
    const struct fake_post *x = *(const struct fake_post *const *)a,
                           *y = *(const struct fake_post *const *)b;

    if (x->create_at != y->create_at)
        return x->create_at < y->create_at ? -1 : 1;
    return strcmp(x->id, y->id);
}

/* As the server: `since` takes everything that was touched, the oldest 1000 of it; the others take
 * what is not deleted, `before` and `after` strictly by create_at; an unknown anchor gives
 * nothing. */
static void answer_posts(struct fake *f, struct mw_httpd_request *req, const char *channel)
{
    static const struct fake_post *found[FAKE_POSTS];
    int64_t since = query_number(req, "since", 0), size = query_number(req, "per_page", 60),
            page = query_number(req, "page", 0);
    const char *before = mw_httpd_query(req, "before"), *after = mw_httpd_query(req, "after");
    const struct fake_post *anchor = find_post(f, before ? before : after);
    cJSON *list = cJSON_CreateObject(), *order = cJSON_CreateArray(), *posts = cJSON_CreateObject();
    size_t n = 0, first, last;

    for (size_t i = 0; i < f->n_posts; i++) {
        const struct fake_post *p = &f->posts[i];

        if (!mw_streq(p->channel, channel) || (since ? p->update_at < since : p->delete_at > 0))
            continue;
        if ((before || after) && !f->stuck &&
            (!anchor || (before && p->create_at >= anchor->create_at) ||
             (after && p->create_at <= anchor->create_at)))
            continue;
        found[n++] = p;
    }
    if (n)
        qsort(found, n, sizeof(*found), oldest_first);
    if (since) {
        first = 0;
        last = MW_MIN(n, 1000);
    } else if (after) {
        first = MW_MIN((size_t)(f->stuck ? 0 : page * size), n);
        last = MW_MIN(first + (size_t)size, n);
    } else {
        last = n - MW_MIN((size_t)(page * size), n);
        first = last - MW_MIN((size_t)size, last);
    }
    for (size_t i = last; i-- > first;) {
        mw_json_push(order, cJSON_CreateString(found[i]->id));
        mw_json_add(posts, found[i]->id, post_json(found[i]));
    }
    mw_json_add(list, "order", order);
    mw_json_add(list, "posts", posts);
    respond_tree(req, 200, list);
}

static void on_posts(struct fake *f, struct mw_httpd_request *req, const char *channel)
{
    struct fake_channel *ch = fake_channel(f, channel, NULL, NULL);

    f->pages++;
    if (mw_httpd_query(req, "since"))
        f->sinces++;
    if (f->fail_posts > 0 && (!f->fail_in || mw_streq(f->fail_in, channel))) {
        f->fail_posts--;
        mw_httpd_respond(req, 503, "text/html", "<p>busy", 7);
        return;
    }
    if (!ch || ch->refuse)
        respond_error(req, ch ? ch->refuse : 404);
    else
        answer_posts(f, req, channel);
}

static cJSON *channel_json(const struct fake *f, const struct fake_channel *ch)
{
    int64_t last = ch->last_post_at;
    cJSON *o = cJSON_CreateObject();

    for (size_t i = 0; !ch->last_post_at && i < f->n_posts; i++)
        if (mw_streq(f->posts[i].channel, ch->id) && !f->posts[i].original)
            last = MW_MAX(last, f->posts[i].create_at);
    mw_json_add_str(o, "id", ch->id);
    mw_json_add_str(o, "name", ch->name);
    mw_json_add_str(o, "display_name", ch->name);
    mw_json_add_str(o, "type", ch->type);
    mw_json_add_str(o, "team_id", *ch->type == 'D' ? "" : TEAM);
    mw_json_add_i64(o, "create_at", ch->create_at);
    mw_json_add_i64(o, "last_post_at", last);
    return o;
}

static void answer_channels(struct fake *f, struct mw_httpd_request *req)
{
    cJSON *a = cJSON_CreateArray();

    f->lists++;
    if (f->list_status) {
        cJSON_Delete(a);
        respond_error(req, f->list_status);
        return;
    }
    for (size_t i = 0; i < f->n_channels; i++)
        mw_json_push(a, channel_json(f, &f->channels[i]));
    respond_tree(req, 200, a);
}

static cJSON *user_json(const char *id)
{
    cJSON *o = cJSON_CreateObject();
    char name[4] = "";

    snprintf(name, sizeof(name), "%.3s", id);
    mw_json_add_str(o, "id", id);
    mw_json_add_str(o, "username", name);
    if (mw_streq(id, BOT))
        mw_json_add_bool(o, "is_bot", true);
    return o;
}

static void answer_users(struct fake *f, struct mw_httpd_request *req)
{
    size_t len;
    const char *text = mw_httpd_body(req, &len);
    MW_AUTOJSON *ids = NULL;
    const cJSON *id;
    cJSON *a = cJSON_CreateArray();

    assert_int_equal(mw_json_parse(text, len, &ids, NULL), 0);
    cJSON_ArrayForEach(id, ids)
    {
        f->users_asked++;
        if (mw_streq(id->valuestring, ADA) || mw_streq(id->valuestring, BOB))
            mw_json_push(a, user_json(id->valuestring));
    }
    if (f->say_first)
        fake_say(f, OPS, BOB, take_ptr(f->say_first), fake_now(f));
    respond_tree(req, 200, a);
}

static void answer_teams(struct mw_httpd_request *req)
{
    static const char teams[] = "[{\"id\":\"" TEAM "\",\"name\":\"team\"}]";

    mw_httpd_respond(req, 200, NULL, teams, strlen(teams));
}

/* ---- WebSocket ---- */

static void send_now(struct fake *f, const char *text)
{
    if (f->ws && !f->mute)
        (void)!mw_ws_send_text(f->ws, text, strlen(text));
}

void fake_event(struct fake *f, const char *event, const char *data, const char *channel,
                const char *user)
{
    char **slot = &f->ring[f->seq % FAKE_RING];

    free(*slot);
    *slot = mw_asprintf("{\"event\":\"%s\",\"data\":%s,\"broadcast\":{\"omit_users\":null,"
                        "\"user_id\":\"%s\",\"channel_id\":\"%s\",\"team_id\":\"\"},\"seq\":%lld}",
                        event, data, user, channel, (long long)f->seq);
    f->seq++;
    send_now(f, *slot);
}

static void say_hello(struct fake *f)
{
    MW_AUTOFREE char *data =
        mw_asprintf("{\"connection_id\":\"%s\",\"server_version\":\"5.37.0\"}", f->connection_id);

    fake_event(f, "hello", data, "", BOT);
}

static void on_action(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata)
{
    struct fake *f = userdata;
    MW_AUTOJSON *json = NULL;
    MW_AUTOFREE char *reply = NULL;

    assert_true(text);
    assert_int_equal(mw_json_parse(data, len, &json, NULL), 0);
    snprintf(f->last_action, sizeof(f->last_action), "%.*s", (int)len, data);
    reply = mw_asprintf("{\"status\":\"%s\",\"seq_reply\":%lld}", f->refuse_actions ? "FAIL" : "OK",
                        (long long)mw_json_i64(json, "seq", 0));
    send_now(f, reply);
}

static void on_gone(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct fake *f = userdata;

    if (f->ws == ws)
        f->ws = NULL;
    mw_ws_free(ws);
}

static const struct mw_ws_ops ws_ops = {.on_message = on_action, .on_close = on_gone};

struct upgrade {
    struct fake *f;
    char what;
    char id[MW_ID_SIZE];
    int64_t seq;
};

static void begin_anew(struct fake *f, char what)
{
    f->seq = 0;
    snprintf(f->connection_id, sizeof(f->connection_id), "conn%022u", ++f->n_connections);
    if (what == 'e')
        f->connection_id[0] = '\0';
    if (what == 'n')
        fake_event(f, "status_change", "{}", "", BOT);
    if (what != 's')
        say_hello(f);
    if (what == 'd')
        say_hello(f);
}

static void on_upgraded(uv_loop_t *loop, int fd, const char *early, size_t early_len,
                        void *userdata)
{
    struct upgrade *u = userdata;
    struct fake *f = u->f;
    struct mw_ws_params p = {.ops = &ws_ops, .userdata = f};
    struct mw_ws *ws;

    if (u->what == 'x') {
        close(fd);
        return;
    }
    assert_int_equal(mw_ws_accept(loop, fd, early, early_len, &p, &ws), 0);
    fake_cut(f);
    f->ws = ws;
    if (f->on_socket && f->on_socket(f, u->id, u->seq))
        return;
    if (!*u->id) {
        begin_anew(f, u->what);
        return;
    }
    f->resumes++;
    if (*f->connection_id && mw_streq(u->id, f->connection_id) && f->seq - u->seq < FAKE_RING) {
        for (int64_t i = u->seq; i < f->seq; i++)
            send_now(f, f->ring[i % FAKE_RING]);
        return;
    }
    /* What 5.37 does when it cannot go on: all of it twice. */
    begin_anew(f, 'd');
}

static void respond_html(struct mw_httpd_request *req, int status)
{
    mw_httpd_respond(req, status, "text/html", "<html>proxy</html>", 18);
}

static void on_upgrade(struct fake *f, struct mw_httpd_request *req)
{
    const char *key = mw_httpd_header(req, "Sec-WebSocket-Key"),
               *id = mw_httpd_query(req, "connection_id");
    struct upgrade *u;
    char accept[29], what = *f->script ? *f->script++ : 'o';

    f->upgrades++;
    switch (what) {
    case '1':
    case '3':
        respond_error(req, what == '1' ? 401 : 403);
        return;
    case '2':
        respond_html(req, 502);
        return;
    case 'h':
        respond_html(req, 200);
        return;
    case 'l':
        mw_httpd_add_header(req, "Retry-After", "100000");
        mw_httpd_respond(req, 429, "text/plain", "limit exceeded", 14);
        return;
    }
    u = calloc(1, sizeof(*u));
    u->f = f;
    u->what = what;
    snprintf(u->id, sizeof(u->id), "%s", id ? id : "");
    u->seq = query_number(req, "sequence_number", 0);
    assert_int_equal(mw_ws_accept_key(key, accept), 0);
    assert_int_equal(mw_httpd_add_header(req, "Sec-WebSocket-Accept", accept), 0);
    mw_httpd_set_data(req, u, free);
    mw_httpd_upgrade(req, on_upgraded, u);
}

static void on_request(struct mw_httpd_request *req, void *userdata)
{
    struct fake *f = userdata;
    const char *path = mw_httpd_path(req);
    static const char team[] = "{\"id\":\"" TEAM "\",\"name\":\"team\"}";
    char id[MW_ID_SIZE] = "", rest[16] = "";

    assert_true(mw_starts_with(path, "/api/v4"));
    path += strlen("/api/v4");
    if (strcmp(path, "/websocket") == 0) {
        on_upgrade(f, req);
    } else if (strcmp(path, "/users/me") == 0) {
        f->me++;
        if (f->me_status)
            respond_error(req, f->me_status);
        else
            respond_tree(req, 200, user_json(f->me_id ? f->me_id : BOT));
    } else if (strcmp(path, "/config/client") == 0) {
        mw_httpd_respond(req, 200, NULL, "{\"Version\":\"5.37.0\"}", 20);
    } else if (strcmp(path, "/users/me/teams") == 0) {
        answer_teams(req);
    } else if (strcmp(path, "/users/me/channels") == 0) {
        answer_channels(f, req);
    } else if (strcmp(path, "/users/ids") == 0) {
        answer_users(f, req);
    } else if (strcmp(path, "/users/" BOT "/typing") == 0) {
        f->typings++;
        mw_httpd_respond(req, 200, NULL, "{}", 2);
    } else if (strcmp(path, "/teams/" TEAM) == 0) {
        mw_httpd_respond(req, 200, NULL, team, strlen(team));
    } else if (sscanf(path, "/channels/%26[a-z0-9]/%15s", id, rest) == 2 &&
               strcmp(rest, "posts") == 0) {
        on_posts(f, req, id);
    } else if (*id && fake_channel(f, id, NULL, NULL)) {
        respond_tree(req, 200, channel_json(f, fake_channel(f, id, NULL, NULL)));
    } else {
        respond_error(req, 404);
    }
}

/* ---- The world ---- */

int64_t fake_now(const struct fake *f)
{
    return mw_clock_now() + f->clock_ahead;
}

struct fake_channel *fake_channel(struct fake *f, const char *id, const char *name,
                                  const char *type)
{
    for (size_t i = 0; i < f->n_channels; i++)
        if (mw_streq(f->channels[i].id, id))
            return &f->channels[i];
    if (!name)
        return NULL;
    assert_true(f->n_channels < FAKE_CHANNELS);
    f->channels[f->n_channels] = (struct fake_channel){
        .id = id, .name = name, .type = type, .create_at = fake_now(f) - 86400000};
    return &f->channels[f->n_channels++];
}

struct fake_post *fake_add(struct fake *f, const char *channel, const char *user, const char *text,
                           int64_t at)
{
    struct fake_post *p = &f->posts[f->n_posts];

    assert_true(f->n_posts < FAKE_POSTS);
    *p = (struct fake_post){.channel = channel, .user = user, .create_at = at, .update_at = at};
    snprintf(p->id, sizeof(p->id), "post%022zu", f->n_posts);
    snprintf(p->text, sizeof(p->text), "%s", text);
    f->n_posts++;
    return p;
}

static void post_event(struct fake *f, const char *event, const struct fake_post *p)
{
    const struct fake_channel *ch = fake_channel(f, p->channel, NULL, NULL);
    MW_AUTOJSON *data = cJSON_CreateObject(), *post = post_json(p);
    MW_AUTOFREE char *inner = mw_json_print(post), *text = NULL;

    if (strcmp(event, "posted") == 0) {
        mw_json_add_str(data, "channel_type", ch->type);
        mw_json_add_str(data, "channel_name", ch->name);
        mw_json_add_str(data, "team_id", *ch->type == 'D' ? "" : TEAM);
    }
    mw_json_add_str(data, "post", inner);
    text = mw_json_print(data);
    fake_event(f, event, text, p->channel, "");
}

struct fake_post *fake_say(struct fake *f, const char *channel, const char *user, const char *text,
                           int64_t at)
{
    struct fake_post *p = fake_add(f, channel, user, text, at);

    post_event(f, "posted", p);
    return p;
}

void fake_edit(struct fake *f, struct fake_post *p, const char *text, int64_t at)
{
    /* What the post was before becomes a row of its own. */
    struct fake_post *old = fake_add(f, p->channel, p->user, "", p->create_at);

    old->original = p->id;
    old->update_at = old->delete_at = at;
    snprintf(p->text, sizeof(p->text), "%s", text);
    p->edit_at = p->update_at = at;
    post_event(f, "post_edited", p);
}

void fake_cut(struct fake *f)
{
    mw_ws_free(take_ptr(f->ws));
}

void fake_forget(struct fake *f)
{
    fake_cut(f);
    f->connection_id[0] = '\0';
}

/* ---- Life ---- */

static void on_alarm(void *userdata)
{
    struct fake *f = userdata;

    if (++f->ticks > 2000)
        fail_msg("the test waits for something that does not come");
    mw_timer_start(f->alarm, 10);
}

int fake_setup(void **state)
{
    struct fake *f = calloc(1, sizeof(*f));
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *endpoint = NULL;
    const struct mw_httpd_params p = {
        .address = "127.0.0.1", .on_request = on_request, .userdata = f};
    struct mm_client_params cp = {.token = "t"};

    mw_ignore_sigpipe();
    f->script = "";
    f->posts = calloc(FAKE_POSTS, sizeof(*f->posts));
    uv_loop_init(&f->loop);
    assert_int_equal(mw_timer_new(&f->loop, on_alarm, f, &f->alarm), 0);
    if (mw_httpd_new(&f->loop, &p, &f->httpd, &err))
        fail_msg("%s", mw_error_text(&err));
    f->port = mw_httpd_port(f->httpd);
    endpoint = mw_asprintf("http://127.0.0.1:%d", f->port);
    cp.endpoint = endpoint;
    if (mm_client_new(&f->loop, &cp, &f->client, &err))
        fail_msg("%s", mw_error_text(&err));
    fake_channel(f, OPS, "ops", "O");
    fake_channel(f, DEV, "dev", "O");
    *state = f;
    return 0;
}

int fake_teardown(void **state)
{
    struct fake *f = *state;

    fake_cut(f);
    mm_client_free(f->client);
    mw_httpd_free(f->httpd);
    mw_timer_free(f->alarm);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    for (size_t i = 0; i < FAKE_RING; i++)
        free(f->ring[i]);
    free(f->posts);
    free(f);
    return 0;
}
