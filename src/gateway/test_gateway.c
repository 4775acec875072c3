#include "gateway/test_gateway.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"

/* ---- The session ---- */

struct mm_session {
    struct mm_session_params p;
    char *bot;
    struct mm_session *next;
    enum mm_session_state state;
    int paused;
    int typings;
};

static struct mm_session *sessions;
int sessions_made, session_spoils;

const char *mm_session_state_name(enum mm_session_state s)
{
    static const char *const names[] = {"stopped", "connecting", "catching_up",
                                        "online",  "waiting",    "unauthorized"};

    return names[s];
}

int mm_session_new(uv_loop_t *loop, const struct mm_session_params *params, struct mm_session **ret,
                   struct mw_error *err)
{
    struct mm_session *s = calloc(1, sizeof(*s));

    s->p = *params;
    s->bot = strdup(params->bot);
    s->next = sessions;
    sessions = s;
    sessions_made++;
    *ret = s;
    return 0;
}

void session_state(struct mm_session *s, enum mm_session_state state, const char *reason)
{
    s->state = state;
    s->p.ops->on_state(s, state, reason, s->p.userdata);
}

static void on_started(struct mm_result *r, void *userdata)
{
    struct mm_session *s = userdata;

    if (r->outcome == MM_CANCELED)
        return;
    if (r->outcome != MM_OK) {
        session_state(s, MM_SESSION_WAITING, mw_error_text(&r->err));
        return;
    }
    session_state(s, MM_SESSION_CATCHING_UP, NULL);
    if (session_spoils > 0) {
        const struct mw_event ev = {.bot = s->bot, .kind = -1, .channel_id = "", .user_id = ""};

        session_spoils--;
        s->p.ops->on_event(s, &ev, false, 0, s->p.userdata);
    }
    session_state(s, MM_SESSION_ONLINE, NULL);
}

void mm_session_start(struct mm_session *s)
{
    assert_int_equal(mm_client_start(s->p.client, on_started, s), 0);
}

void mm_session_free(struct mm_session *s)
{
    struct mm_session **at = &sessions;

    if (!s)
        return;
    mm_cancel(s->p.client, s);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    free(s->bot);
    free(s);
}

void mm_session_pause(struct mm_session *s)
{
    s->paused = 1;
}

void mm_session_resume(struct mm_session *s)
{
    s->paused = 0;
}

void mm_session_retry(struct mm_session *s)
{
}

void mm_session_typing(struct mm_session *s, const char *channel_id, const char *root_id)
{
    s->typings++;
}

void mm_session_get_stats(const struct mm_session *s, struct mm_session_stats *ret)
{
    *ret = (struct mm_session_stats){.state = s->state, .synced_at = 1234567};
}

struct mm_session *session_of(const char *bot)
{
    struct mm_session *s = sessions;

    while (s && !mw_streq(s->bot, bot))
        s = s->next;
    return s;
}

int64_t session_baseline(const struct mm_session *s)
{
    return s->p.baseline_ms;
}

int session_position(struct mm_session *s, struct mw_position *ret)
{
    const struct mm_channel ch = {
        .id = CHANNEL, .name = "town", .display_name = "", .type = "O", .team_id = ""};

    assert_int_equal(mm_learn_channel(s->p.client, &ch), 0);
    return s->p.ops->position(s, CHANNEL, ret, s->p.userdata);
}

bool session_paused(const struct mm_session *s)
{
    return s->paused;
}

void session_event(struct mm_session *s, const struct mw_event *ev)
{
    struct mw_event copy = *ev;

    copy.bot = s->bot;
    s->p.ops->on_event(s, &copy, false, 0, s->p.userdata);
}

/* ---- The handler ---- */

struct gw_handler_run {
    struct gw_handler_run *next;
    struct mw_event *ev;
    const struct gw_turn_ops *ops;
    void *turn;
    struct mw_timer *timer;
    bool canceled;
};

static struct fixture *current;
static struct gw_handler_run *runs;

static void run_end(struct gw_handler_run *run, enum gw_handler_end end, const char *answer)
{
    struct gw_handler_answer a = {.end = end, .text = end == GW_HANDLER_ANSWERED ? answer : ""};
    struct gw_handler_run **at = &runs;
    MW_AUTOJSON *json = NULL;

    if (answer && *answer == '{')
        assert_int_equal(mw_json_parse(answer, strlen(answer), &json, NULL), 0);
    a.json = json;
    while (*at && *at != run)
        at = &(*at)->next;
    assert_ptr_equal(*at, run);
    *at = run->next;
    current->running--;
    if (end == GW_HANDLER_FAILED)
        mw_error_set(&a.err, -EIO, "it failed");
    run->ops->end(run->turn, &a);
    mw_error_reset(&a.err);
    mw_timer_free(run->timer);
    free(run->ev);
    free(run);
}

static void on_run(void *userdata)
{
    struct gw_handler_run *run = userdata;
    const char *text = run->ev->text;

    if (mw_streq(text, "stubborn"))
        return;
    if (run->canceled)
        run_end(run, GW_HANDLER_CANCELED, NULL);
    else if (mw_starts_with(text, "say "))
        run_end(run, GW_HANDLER_ANSWERED, text + 4);
    else if (mw_streq(text, "empty"))
        run_end(run, GW_HANDLER_EMPTY, NULL);
    else if (mw_streq(text, "fail"))
        run_end(run, GW_HANDLER_FAILED, NULL);
    else if (mw_streq(text, "late"))
        run_end(run, GW_HANDLER_TIMEOUT, NULL);
}

static int open_handler(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                        struct mw_error *err)
{
    *ret = (struct gw_handler_instance *)host;
    return 0;
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    const struct gw_handler_host *host = (const struct gw_handler_host *)in;
    const struct mw_event *ev = turn->ev;
    struct gw_handler_run *run, **at = &runs;
    size_t len = strlen(current->started);

    if (mw_streq(ev->text, "refuse"))
        return mw_error_set(err, -ENOENT, "no such program");
    run = calloc(1, sizeof(*run));
    run->ev = mw_event_dup(ev);
    run->ops = ops;
    run->turn = userdata;
    assert_int_equal(mw_timer_new(host->loop, on_run, run, &run->timer), 0);
    mw_timer_start(run->timer, 0);
    while (*at)
        at = &(*at)->next;
    *at = run;
    current->starts++;
    current->running++;
    snprintf(current->started + len, sizeof(current->started) - len, "%s%s", len ? " " : "",
             ev->text);
    *ret = run;
    return 0;
}

static void cancel(struct gw_handler_run *run)
{
    current->cancels++;
    run->canceled = true;
    if (!mw_streq(run->ev->text, "stubborn"))
        mw_timer_start(run->timer, 0);
}

static void permitted(struct gw_handler_run *run, int ask, const char *option)
{
    size_t len = strlen(current->permitted);

    snprintf(current->permitted + len, sizeof(current->permitted) - len, "%s%s", len ? " " : "",
             option ? option : "nobody");
}

static const struct gw_handler_type type = {
    .name = "command",
    .open = open_handler,
    .start = start,
    .cancel = cancel,
    .permitted = permitted,
};
static const struct gw_handler_type *const types[] = {&type, NULL};

static struct gw_handler_run *find_run(const char *text)
{
    struct gw_handler_run *run = runs;

    while (run && !mw_streq(run->ev->text, text))
        run = run->next;
    if (!run)
        fail_msg("nothing runs with the text %s", text);
    return run;
}

void handler_end(struct fixture *f, const char *text, enum gw_handler_end end, const char *answer)
{
    struct gw_handler_run *run = find_run(text);

    if (run)
        run_end(run, end, answer);
}

void handler_text(struct fixture *f, const char *text, const char *more)
{
    const struct gw_handler_run *run = find_run(text);

    if (run)
        run->ops->text(run->turn, more, strlen(more));
}

void handler_ask(struct fixture *f, const char *text)
{
    static const struct gw_permission_option options[] = {
        {"yes", "Allow", GW_ALLOW_ONCE},
        {"no", "Reject", GW_REJECT_ONCE},
    };
    const struct gw_permission p = {.title = "Do it",
                                    .details = "",
                                    .options = options,
                                    .n_options = MW_ARRAY_LEN(options),
                                    .timeout_ms = f->ask_timeout_ms};
    const struct gw_handler_run *run = find_run(text);

    if (run)
        assert_in_range(run->ops->ask(run->turn, &p), 1, 100);
}

/* ---- The gateway ---- */

static struct gw_config *make_config(struct fixture *f, const char *yaml)
{
    MW_AUTOBUF text = {0};
    struct gw_config *config = NULL;
    struct gw_problems problems = {0};
    const char *at;

    /* %d is the port, %s the folder. */
    for (at = yaml; *at; at++) {
        if (at[0] == '%' && at[1] == 'd')
            mw_buf_printf(&text, "%d", f->s->port), at++;
        else if (at[0] == '%' && at[1] == 's')
            mw_buf_puts(&text, f->s->dir), at++;
        else
            mw_buf_putc(&text, *at);
    }
    if (gw_config_parse("/tmp/config.yaml", mw_buf_str(&text), text.len, &config, &problems))
        fail_msg("%s", problems.n ? problems.items[0].message : "?");
    gw_problems_deinit(&problems);
    return config;
}

void gateway_start(struct fixture *f)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (gw_new(&f->s->loop, make_config(f, f->config), types, &f->gw, &err))
        fail_msg("%s", mw_error_text(&err));
}

static void on_stopped(void *userdata)
{
    *(int *)userdata = 1;
}

void gateway_stop(struct fixture *f, int64_t drain_ms)
{
    int stopped = 0;

    gw_stop(f->gw, drain_ms, on_stopped, &stopped);
    server_wait(f->s, &stopped);
    gw_free(take_ptr(f->gw));
}

int gateway_reload(struct fixture *f, const char *config, struct mw_error *err)
{
    struct gw_config *c = make_config(f, config);
    int rc = gw_reload(f->gw, c, err);

    if (rc)
        gw_config_free(c);
    return rc;
}

void settle(struct fixture *f)
{
    struct mw_tx *tx;

    /* Every commit before this one is done then, and what it led to was begun. */
    for (int i = 0; i < 5; i++) {
        tx = mw_tx_new(gw_store(f->gw));
        assert_int_equal(mw_tx_set(tx, "test", "settle", "x"), 0);
        server_commit(f->s, tx);
        for (int k = 0; k < 5; k++)
            uv_run(&f->s->loop, UV_RUN_NOWAIT);
    }
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    void *server;

    assert_int_equal(server_setup(&server), 0);
    f->s = server;
    /* The gateway opens the store itself. */
    mw_store_close(take_ptr(f->s->store));
    current = f;
    sessions_made = 0;
    f->config = "bots:\n"
                "  - name: b\n"
                "    endpoint: http://127.0.0.1:%d\n"
                "    bot_token: t\n"
                "    allowed_users: '*'\n"
                "    mention_only: false\n"
                "    handler: h\n"
                "handlers:\n"
                "  h: {type: command, command: [/bin/true], concurrency: 2}\n"
                "daemon:\n"
                "  database: %s/state.db\n"
                "  socket: %s/socket\n";
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    void *server = f->s;

    if (f->gw)
        gateway_stop(f, 0);
    assert_null(runs);
    free(f);
    return server_teardown(&server);
}

/* ---- Events and counts ---- */

struct mw_event a_post(const char *id, const char *root, const char *text)
{
    return (struct mw_event){
        .kind = MW_EVENT_POST,
        .at = mw_clock_now(),
        .received_at = mw_clock_now(),
        .object = id,
        .post_id = id,
        .root_id = root,
        .channel_id = CHANNEL,
        .channel_name = "town",
        .channel_type = "O",
        .team_id = "",
        .team_name = "",
        .user_id = "adaadaadaadaadaadaadaadaad",
        .user_name = "ada",
        .text = text,
        .files = "",
        .detail = "",
        .raw = "",
    };
}

static void give(struct fixture *f, const struct mw_event *ev)
{
    WAIT_FOR(f, session_of("b") && !session_of("b")->paused &&
                    session_of("b")->state == MM_SESSION_ONLINE);
    session_event(session_of("b"), ev);
}

void say(struct fixture *f, const char *id, const char *root, const char *text)
{
    const struct mw_event ev = a_post(id, root, text);

    give(f, &ev);
}

void say_directly(struct fixture *f, const char *id, const char *root, const char *text)
{
    struct mw_event ev = a_post(id, root, text);

    ev.flags = MW_EVENT_DIRECT;
    ev.channel_type = "D";
    give(f, &ev);
}

int64_t task_count(struct fixture *f, enum mw_task_state state)
{
    int64_t n = -1;

    assert_int_equal(mw_store_task_count(gw_store(f->gw), NULL, state, &n), 0);
    return n;
}

int64_t outbox_count(struct fixture *f, enum mw_outbox_state state)
{
    int64_t n = -1;

    assert_int_equal(mw_store_outbox_count(gw_store(f->gw), NULL, state, &n), 0);
    return n;
}

int64_t bot_number(struct fixture *f, const char *group, const char *name)
{
    MW_AUTOJSON *bots = gw_bots_json(f->gw);
    int64_t n = mw_json_i64(mw_json_obj(cJSON_GetArrayItem(bots, 0), group), name, -1);

    assert_int_not_equal(n, -1);
    return n;
}
