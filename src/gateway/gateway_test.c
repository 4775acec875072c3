/* Bots, names, sends, consumers, reload: what front ends use. */
#include "base/str.h"
#include "base/test.h"
#include "gateway/effect.h"
#include "gateway/internal.h"
#include "gateway/test_gateway.h"

static const cJSON *accepted(struct fixture *f, int i)
{
    return cJSON_GetArrayItem(f->s->posts, i);
}

/* ---- Names ---- */

#define CONFIG(bot)                                                                                \
    "bots:\n"                                                                                      \
    "  - name: b\n"                                                                                \
    "    endpoint: http://127.0.0.1:%d\n"                                                          \
    "    bot_token: t\n"                                                                           \
    "    handler: h\n"                                                                             \
    "    mention_only: false\n" bot "handlers:\n"                                                  \
    "  h: {type: command, command: [/bin/true]}\n"                                                 \
    "daemon: {database: %s/state.db, socket: %s/socket}\n"

static const cJSON *name_of(const cJSON *bots, const char *list, int i)
{
    return cJSON_GetArrayItem(mw_json_arr(cJSON_GetArrayItem(bots, 0), list), i);
}

static void resolves_names_before_it_decides(void **state)
{
    struct fixture *f = *state;
    struct mw_event ev = a_post("p1", "", "say yes");

    f->config = CONFIG("    allowed_users: ['@ada', '@nobody']\n");
    gateway_start(f);
    WAIT_FOR(f, session_of("b") && session_paused(session_of("b")));
    session_event(session_of("b"), &ev); /* as if it had been on its way */
    WAIT_FOR(f, !session_paused(session_of("b")));
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    {
        MW_AUTOJSON *bots = gw_bots_json(f->gw);

        assert_string_equal(mw_json_str(name_of(bots, "allowed_users", 0), "state"), "ok");
        assert_string_equal(mw_json_str(name_of(bots, "allowed_users", 0), "id"),
                            "adaadaadaadaadaadaadaadaad");
        assert_string_equal(mw_json_str(name_of(bots, "allowed_users", 1), "state"), "not_found");
        assert_non_null(mw_json_str(name_of(bots, "allowed_users", 1), "problem"));
        assert_string_equal(mw_json_str(cJSON_GetArrayItem(bots, 0), "state"), "online");
    }
}

static bool count_event(const struct mw_event *ev, void *userdata)
{
    (*(int *)userdata)++;
    return true;
}

static int events(struct fixture *f, const char *channel_id)
{
    const struct mw_event_filter filter = {.channel_id = channel_id, .kinds = 1u << MW_EVENT_POST};
    int n = 0;

    assert_int_equal(mw_store_events(gw_store(f->gw), &filter, count_event, &n, NULL), 0);
    return n;
}

static void follows_only_its_channels(void **state)
{
    struct fixture *f = *state;
    struct mw_event ev = a_post("p1", "", "one");

    f->config = CONFIG("    channels: [" CHANNEL ", outsideoutsideoutsideouts0]\n"
                       "    allowed_users: []\n");
    gateway_start(f);
    say(f, "p0", "", "zero");
    ev.channel_id = "otherotherotherotherothero";
    session_event(session_of("b"), &ev);
    ev.channel_id = "directdirectdirectdirectdi";
    ev.channel_type = "D";
    ev.object = ev.post_id = "p2";
    session_event(session_of("b"), &ev);
    settle(f);
    assert_int_equal(events(f, CHANNEL), 1);
    assert_int_equal(events(f, "otherotherotherotherothero"), 0);
    assert_int_equal(events(f, "directdirectdirectdirectdi"), 1);
    {
        MW_AUTOJSON *bots = gw_bots_json(f->gw);

        assert_string_equal(mw_json_str(name_of(bots, "channels", 0), "state"), "ok");
        assert_string_equal(mw_json_str(name_of(bots, "channels", 1), "state"), "not_a_member");
    }
}

/* A catch-up that begins before the names are ids must not take a channel for one that is not
 * followed: what was said while we were away would be lost. */
static void catches_up_while_it_resolves(void **state)
{
    struct fixture *f = *state;
    struct mw_position pos;

    f->config = CONFIG("    channels: ['@ada', " CHANNEL "]\n"
                       "    allowed_users: ['@ada']\n");
    gateway_start(f);
    WAIT_FOR(f, session_of("b") && session_paused(session_of("b")));
    assert_int_equal(session_position(session_of("b"), &pos), 1);
    gateway_stop(f, 0);
    f->config = CONFIG("    channels: [otherotherotherotherothero]\n"
                       "    allowed_users: ['@ada']\n");
    gateway_start(f);
    WAIT_FOR(f, session_of("b") && session_paused(session_of("b")));
    assert_int_equal(session_position(session_of("b"), &pos), 1);
    WAIT_FOR(f, !session_paused(session_of("b")));
    assert_int_equal(session_position(session_of("b"), &pos), 0); /* now it is known: not ours */
    assert_true(pos.confirmed);
}

/* ---- Sending ---- */

struct reply {
    int done;
    enum gw_code code;
    cJSON *result;
    char error[512];
};

static void on_reply(struct gw_reply *r, void *userdata)
{
    struct reply *reply = userdata;

    reply->done++;
    reply->code = r->code;
    reply->result = take_ptr(r->result);
    snprintf(reply->error, sizeof(reply->error), "%s",
             mw_error_is_set(&r->err) ? mw_error_text(&r->err) : "");
}

static enum gw_code send_it(struct fixture *f, const struct gw_send *req, struct reply *reply)
{
    cJSON_Delete(reply->result);
    *reply = (struct reply){0};
    gw_send(f->gw, gw_find_bot(f->gw, NULL, NULL), req, on_reply, reply);
    server_wait(f->s, &reply->done);
    assert_int_equal(reply->done, 1);
    return reply->code;
}

static void sends(void **state)
{
    struct fixture *f = *state;
    struct reply r = {0};
    MW_AUTOBUF text = {0};

    gateway_start(f);
    say(f, "rootrootrootrootrootrootro", "", "empty");
    say(f, "replyreplyreplyreplyreplyr", "rootrootrootrootrootrootro", "empty");
    settle(f);

    assert_int_equal(send_it(f, &(struct gw_send){.channel = CHANNEL, .text = "hello"}, &r), GW_OK);
    assert_string_equal(mw_json_str(r.result, "channel_id"), CHANNEL);
    assert_string_equal(mw_json_str(r.result, "post_id"), mw_json_str(accepted(f, 0), "id"));
    assert_non_null(mw_json_str(r.result, "permalink"));
    assert_string_equal(mw_json_str(r.result, "key"),
                        mw_json_str(mw_json_obj(accepted(f, 0), "props"), GW_KEY_PROP));

    /* A reply's id stands for its thread. */
    assert_int_equal(
        send_it(f, &(struct gw_send){.root = "replyreplyreplyreplyreplyr", .text = "there"}, &r),
        GW_OK);
    assert_string_equal(mw_json_str(accepted(f, 1), "root_id"), "rootrootrootrootrootrootro");

    /* The same key twice is one post. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            send_it(f,
                    &(struct gw_send){
                        .channel = CHANNEL, .text = "once", .key = "my-key", .props = "{\"a\":1}"},
                    &r),
            GW_OK);
        assert_int_equal(mw_json_bool(r.result, "existed"), i == 1);
        assert_string_equal(mw_json_str(r.result, "post_id"), mw_json_str(accepted(f, 2), "id"));
    }
    assert_int_equal(mw_json_i64(mw_json_obj(accepted(f, 2), "props"), "a", 0), 1);

    /* Long text is several posts, whatever their number, and a key stands for all. */
    for (int i = 0; i < 2000; i++)
        mw_buf_puts(&text, "twelve chars ");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            send_it(f,
                    &(struct gw_send){.channel = CHANNEL, .text = mw_buf_str(&text), .key = "long"},
                    &r),
            GW_OK);
        assert_int_equal(cJSON_GetArraySize(mw_json_arr(r.result, "post_ids")), 7);
    }
    assert_int_equal(cJSON_GetArraySize(f->s->posts), 10);
    cJSON_Delete(r.result);
}

static void tells_why_it_does_not_send(void **state)
{
    static const char *const absent[] = {"/does/not/exist", NULL};
    static const char *const relative[] = {"relative", NULL};
    static const struct {
        struct gw_send req;
        enum gw_code code;
        const char *part;
    } rows[] = {
        {{.text = "x"}, GW_BAD_PARAMS, "name a channel"},
        {{.channel = CHANNEL, .text = ""}, GW_BAD_PARAMS, "nothing to send"},
        {{.channel = CHANNEL, .text = " \n"}, GW_BAD_PARAMS, "empty"},
        {{.channel = CHANNEL, .text = "x", .props = "[]"}, GW_BAD_PARAMS, "JSON object"},
        {{.channel = CHANNEL, .text = "x", .props = "{"}, GW_BAD_PARAMS, "JSON"},
        {{.channel = CHANNEL, .files = absent}, GW_BAD_PARAMS, "/does/not/exist"},
        {{.channel = CHANNEL, .files = relative}, GW_BAD_PARAMS, "absolute"},
        {{.root = "missingmissingmissingmissi", .text = "x"}, GW_NOT_FOUND, ""},
    };
    struct fixture *f = *state;
    struct reply r = {0};

    gateway_start(f);
    say(f, "p0", "", "empty");
    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        assert_int_equal(send_it(f, &rows[i].req, &r), rows[i].code);
        if (!strstr(r.error, rows[i].part))
            fail_msg("row %zu: %s", i, r.error);
    }
    f->s->script = "f";
    assert_int_equal(send_it(f, &(struct gw_send){.channel = CHANNEL, .text = "x"}, &r),
                     GW_FORBIDDEN);
    assert_non_null(strstr(r.error, "the server says no"));
    assert_int_equal(outbox_count(f, MW_OUTBOX_FAILED), 1);
    /* A server that is away: accepted, and sent when it is there again. */
    server_close(f->s);
    assert_int_equal(
        send_it(f, &(struct gw_send){.channel = CHANNEL, .text = "later", .wait_ms = 1}, &r),
        GW_PENDING);
    assert_non_null(mw_json_str(r.result, "key"));
    server_listen(f->s);
    session_state(session_of("b"), MM_SESSION_ONLINE, NULL);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(server_messages(f->s), "later");
    cJSON_Delete(r.result);
}

/* The parts of a long message have keys, too: nobody else's message goes for one of them. */
static void keys_of_parts_are_taken(void **state)
{
    struct fixture *f = *state;
    struct reply r = {0};
    MW_AUTOBUF text = {0};

    gateway_start(f);
    for (int i = 0; i < 900; i++)
        mw_buf_puts(&text, "words ");
    assert_int_equal(
        send_it(f, &(struct gw_send){.channel = CHANNEL, .text = mw_buf_str(&text), .key = "v1"},
                &r),
        GW_OK);
    assert_int_equal(cJSON_GetArraySize(mw_json_arr(r.result, "post_ids")), 2);
    assert_int_equal(
        send_it(f, &(struct gw_send){.channel = CHANNEL, .text = "other", .key = "v1.1"}, &r),
        GW_BAD_PARAMS);

    /* The other way round: nothing of the long one is taken for sent. */
    assert_int_equal(
        send_it(f, &(struct gw_send){.channel = CHANNEL, .text = "one", .key = "v2.1"}, &r), GW_OK);
    assert_int_equal(
        send_it(f, &(struct gw_send){.channel = CHANNEL, .text = mw_buf_str(&text), .key = "v2"},
                &r),
        GW_BAD_PARAMS);
    assert_int_equal(cJSON_GetArraySize(f->s->posts), 3);
    assert_int_equal(
        send_it(f, &(struct gw_send){.channel = CHANNEL, .text = mw_buf_str(&text), .key = "v1"},
                &r),
        GW_OK);
    assert_true(mw_json_bool(r.result, "existed"));
    cJSON_Delete(r.result);
}

static void answers_every_send_when_it_stops(void **state)
{
    struct fixture *f = *state;
    struct reply r = {0};

    gateway_start(f);
    WAIT_FOR(f, session_of("b"));
    server_close(f->s);
    gw_send(f->gw, gw_find_bot(f->gw, "b", NULL),
            &(struct gw_send){.channel = "town-square", .text = "x"}, on_reply, &r);
    gateway_stop(f, 0);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.code, GW_OFFLINE);
    gateway_start(f);
    r = (struct reply){0};
    gw_send(f->gw, gw_find_bot(f->gw, "b", NULL),
            &(struct gw_send){.channel = CHANNEL, .text = "x"}, on_reply, &r);
    settle(f);
    gateway_stop(f, 0);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.code, GW_PENDING);
    cJSON_Delete(r.result);
    /* What was accepted goes out after the next start. */
    server_listen(f->s);
    gateway_start(f);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
}

static void finds_bots(void **state)
{
    struct fixture *f = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;

    gateway_start(f);
    assert_string_equal(gw_bot_name(gw_find_bot(f->gw, NULL, &err)), "b");
    assert_string_equal(gw_bot_name(gw_find_bot(f->gw, "b", &err)), "b");
    assert_null(gw_find_bot(f->gw, "c", &err));
    assert_string_equal(mw_error_text(&err), "there is no bot \"c\"; configured: b");
}

/* ---- Consumers ---- */

struct reader {
    struct gw_consumer *c;
    int ready, live, take;
    char text[256];
};

static void on_ready(struct gw_consumer *c, void *userdata)
{
    ((struct reader *)userdata)->ready++;
}

static void on_live(struct gw_consumer *c, const struct mw_event *ev, void *userdata)
{
    ((struct reader *)userdata)->live++;
}

static bool read_one(const struct mw_event *ev, void *userdata)
{
    struct reader *r = userdata;
    size_t len = strlen(r->text);

    if (r->take == 0)
        return false;
    r->take--;
    snprintf(r->text + len, sizeof(r->text) - len, "%s ", ev->text);
    return true;
}

static void open_reader(struct fixture *f, struct reader *r, const char *name, int64_t after_id)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct gw_consumer_params p = {
        .name = name,
        .after_id = after_id,
        .kinds = 1u << MW_EVENT_POST | 1u << MW_EVENT_TYPING,
        .typing = true,
        .on_ready = on_ready,
        .on_live = on_live,
        .userdata = r,
    };

    *r = (struct reader){.take = 100};
    if (gw_consumer_new(f->gw, &p, &r->c, &err))
        fail_msg("%s", mw_error_text(&err));
}

static bool take_id(const struct mw_event *ev, void *userdata)
{
    *(int64_t *)userdata = ev->id;
    return true;
}

static int64_t id_of(struct fixture *f, const char *post_id)
{
    const struct mw_event_filter filter = {.post_id = post_id};
    int64_t id = 0;

    assert_int_equal(mw_store_events(gw_store(f->gw), &filter, take_id, &id, NULL), 0);
    return id;
}

static void reads_and_acknowledges(void **state)
{
    struct fixture *f = *state;
    struct reader r;
    struct mw_event typing = a_post("", "", "");
    MW_AUTOERROR err = MW_ERROR_INIT;

    f->config = CONFIG("    allowed_users: []\n");
    gateway_start(f);
    say(f, "p1", "", "one");
    settle(f);
    open_reader(f, &r, "mine", -1);
    settle(f);
    assert_int_equal(r.ready, 0); /* from now on */
    say(f, "p2", "", "two");
    say(f, "p3", "", "three");
    WAIT_FOR(f, r.ready == 1);
    say(f, "p4", "", "four");
    settle(f);
    assert_int_equal(r.ready, 1); /* not again before it was read */
    r.take = 1;
    assert_int_equal(gw_consumer_read(r.c, 10, read_one, &r), 1);
    r.take = 100;
    assert_int_equal(gw_consumer_read(r.c, 1, read_one, &r), 1);
    WAIT_FOR(f, r.ready == 2); /* there is more */
    assert_int_equal(gw_consumer_read(r.c, 10, read_one, &r), 1);
    assert_string_equal(r.text, "two three four ");
    assert_int_equal(gw_consumer_ack(r.c, id_of(f, "p2")), 0);
    assert_int_equal(gw_consumer_ack(r.c, 1000000), -EINVAL);

    typing.kind = MW_EVENT_TYPING;
    session_event(session_of("b"), &typing);
    assert_int_equal(r.live, 1);

    assert_int_equal(gw_consumer_new(f->gw,
                                     &(struct gw_consumer_params){
                                         .name = "mine", .after_id = -1, .on_ready = on_ready},
                                     &r.c, &err),
                     -EBUSY);
    gw_consumer_free(r.c);
    gateway_stop(f, 0);

    /* What was not acknowledged comes again. */
    gateway_start(f);
    open_reader(f, &r, "mine", -1);
    WAIT_FOR(f, r.ready == 1);
    gw_consumer_read(r.c, 10, read_one, &r);
    assert_string_equal(r.text, "three four ");
    gw_consumer_free(r.c);
    /* Without a name: from anywhere, and nothing is kept. */
    open_reader(f, &r, NULL, 0);
    WAIT_FOR(f, r.ready == 1);
    gw_consumer_read(r.c, 10, read_one, &r);
    assert_string_equal(r.text, "one two three four ");
    assert_int_equal(gw_consumer_ack(r.c, 1), -EINVAL);
    gw_consumer_free(r.c);
}

/* ---- Reload ---- */

#define TWO_BOTS(users, second)                                                                    \
    "bots:\n"                                                                                      \
    "  - {name: b, endpoint: 'http://127.0.0.1:%d', bot_token: t, handler: h,\n"                   \
    "     mention_only: false, allowed_users: " users "}\n" second "handlers:\n"                   \
    "  h: {type: command, command: [/bin/true]}\n"                                                 \
    "daemon: {database: %s/state.db, socket: %s/socket}\n"
#define SECOND "  - {name: c, endpoint: 'http://127.0.0.1:%d', bot_token: t}\n"

static void reloads(void **state)
{
    struct fixture *f = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_session *first;

    f->config = TWO_BOTS("[]", "");
    gateway_start(f);
    say(f, "p1", "", "say no");
    settle(f);
    first = session_of("b");
    assert_int_equal(sessions_made, 1);

    /* A bot more: the first is not touched. */
    assert_int_equal(gateway_reload(f, TWO_BOTS("[]", SECOND), &err), 0);
    WAIT_FOR(f, session_of("c"));
    assert_ptr_equal(session_of("b"), first);
    assert_int_equal(sessions_made, 2);

    /* Changed: connected again, and the new rules hold. */
    assert_int_equal(gateway_reload(f, TWO_BOTS("['*']", SECOND), &err), 0);
    WAIT_FOR(f, sessions_made == 3);
    say(f, "p2", "", "say yes");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    assert_string_equal(server_messages(f->s), "yes");

    /* Removed in the middle of a run: the run ends, its task stays. */
    say(f, "p3", "", "hang");
    WAIT_FOR(f, f->running == 1);
    assert_int_equal(
        gateway_reload(f, "bots:\n" SECOND "daemon: {database: %s/state.db, socket: %s/socket}\n",
                       &err),
        0);
    assert_null(gw_find_bot(f->gw, "b", NULL));
    WAIT_FOR(f, f->running == 0);
    settle(f);
    assert_int_equal(task_count(f, MW_TASK_PENDING), 1);
    assert_null(session_of("b"));

    /* And it goes on when the bot is back. */
    assert_int_equal(gateway_reload(f, TWO_BOTS("['*']", ""), &err), 0);
    WAIT_FOR(f, f->running == 1);
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "back");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 2);

    assert_int_equal(
        gateway_reload(f, "bots:\n" SECOND "daemon: {database: %s/other.db, socket: %s/socket}\n",
                       &err),
        1);
    assert_non_null(strstr(mw_error_text(&err), "daemon.database"));
    assert_non_null(gw_find_bot(f->gw, "b", NULL));
}

static bool last_detail(const struct mw_event *ev, void *userdata)
{
    snprintf(userdata, 256, "%s", ev->detail);
    return true;
}

/* The way to the server is lost: one event, not one for each try; one more when the account itself
 * is refused. */
/* Nothing of the first session was recorded, but people saw the bot online: what they said since
 * counts. */
static void first_session_is_lost(void **state)
{
    const struct mw_event_filter filter = {.kinds = 1u << MW_EVENT_CONNECTION};
    struct fixture *f = *state;
    int n = 0, made = sessions_made;

    session_spoils = 1;
    gateway_start(f);
    WAIT_FOR(f, sessions_made == made + 2);
    assert_int_equal(session_baseline(session_of("b")), 1234567);
    WAIT_FOR(f, (n = 0, mw_store_events(gw_store(f->gw), &filter, count_event, &n, NULL), n > 0));
}

static void notes_the_connection(void **state)
{
    const struct mw_event_filter filter = {.kinds = 1u << MW_EVENT_CONNECTION};
    struct fixture *f = *state;
    char detail[256] = "";
    int n = 0;

    gateway_start(f);
    say(f, "p1", "", "empty");
    for (int i = 0; i < 3; i++) {
        session_state(session_of("b"), MM_SESSION_WAITING, "connection refused");
        session_state(session_of("b"), MM_SESSION_CONNECTING, NULL);
    }
    settle(f);
    mw_store_events(gw_store(f->gw), &filter, count_event, &n, NULL);
    assert_int_equal(n, 2);
    mw_store_events(gw_store(f->gw), &filter, last_detail, detail, NULL);
    assert_non_null(strstr(detail, "connection refused"));
    for (int i = 0; i < 3; i++) {
        session_state(session_of("b"), MM_SESSION_UNAUTHORIZED, "401");
        session_state(session_of("b"), MM_SESSION_CONNECTING, NULL);
    }
    settle(f);
    n = 0;
    mw_store_events(gw_store(f->gw), &filter, count_event, &n, NULL);
    assert_int_equal(n, 3);
    mw_store_events(gw_store(f->gw), &filter, last_detail, detail, NULL);
    assert_non_null(strstr(detail, "unauthorized"));
    session_state(session_of("b"), MM_SESSION_ONLINE, NULL);
    settle(f);
    mw_store_events(gw_store(f->gw), &filter, last_detail, detail, NULL);
    assert_string_equal(detail, "{\"state\":\"online\"}");
}

static void keeps_within_a_quota(void **state)
{
    static const struct gw_state_quota quota = {.keys = 3, .bytes = 20}, less = {1, 5};
    static const struct {
        const char *key, *value;
        int outcome;
    } rows[] = {
        {"a", "1234", 0},        {"b", "1234", 0},
        {"c", "1234", 0},        {"d", "", 1},
        {"a", "12345678901", 2}, {"a", "123456789", 0},
        {"a", "1", 0},           {"a", NULL, 0},
        {"a", NULL, 0},          {"d", "1", 0},
        {"e", "1", 1},           {"b", NULL, 0},
        {"e", "1", 0},           {"c", "123456789012345", 0},
        {"e", "12", 2},          {"e", "2", 0},
    };
    struct fixture *f = *state;
    MW_AUTOFREE char *value = NULL;

    gateway_start(f);
    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        if (gw_state_set_within(f->gw, "s", rows[i].key, rows[i].value, &quota) != rows[i].outcome)
            fail_msg("row %zu", i);
    }
    assert_int_equal(gw_state_get(f->gw, "s", "e", &value), 0);
    assert_string_equal(value, "2");
    assert_int_equal(gw_state_get(f->gw, "s", "b", &value), 1);
    /* What is there counts after a restart; it may become less, also over the quota. */
    gateway_stop(f, 0);
    gateway_start(f);
    assert_int_equal(gw_state_set_within(f->gw, "s", "f", "", &quota), 1);
    assert_int_equal(gw_state_set_within(f->gw, "s", "c", "1234567890123456", &quota), 2);
    assert_int_equal(gw_state_set_within(f->gw, "s", "f", "", &less), 1);
    assert_int_equal(gw_state_set_within(f->gw, "s", "c", "1234567890", &less), 0);
    assert_int_equal(gw_state_set_within(f->gw, "s", "c", "12345678901", &less), 2);
    assert_int_equal(gw_state_set_within(f->gw, "t", "f", "1234", &less), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(resolves_names_before_it_decides),
        TEST(follows_only_its_channels),
        TEST(catches_up_while_it_resolves),
        TEST(sends),
        TEST(tells_why_it_does_not_send),
        TEST(keys_of_parts_are_taken),
        TEST(answers_every_send_when_it_stops),
        TEST(finds_bots),
        TEST(keeps_within_a_quota),
        TEST(reads_and_acknowledges),
        TEST(reloads),
        TEST(notes_the_connection),
        TEST(first_session_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
