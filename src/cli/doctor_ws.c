/* `doctor`: the WebSocket, whether events come back over it, and how long it lasts. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"
#include "cli/doctor.h"
#include "io/ws.h"

#define EVENT_MS   5000 /* an event that takes longer is late */
#define CATEGORY   "matterwire"
#define NAME       "doctor"
#define HOUR_MS    (3600 * 1000LL)
#define LOST_WARN  3 /* times in the last hour */
#define LOST_LIMIT 1000

struct doctor_socket {
    struct mw_ws *ws;
    uv_timer_t timer; /* of a wait */
    int64_t started_at, opened_at, hello_at;
    char wanted[64]; /* what an event has to hold */
    bool timed_out, seen, closed;
    unsigned other_events;
    enum mw_ws_end end;
    int http_status, close_code;
    char *error;
};

static void on_ws_open(struct mw_ws *ws, void *userdata)
{
    struct doctor_socket *s = userdata;

    s->opened_at = mw_clock_mono();
}

/* Whatever the event is called: 5.37 says preferences_changed, others preference_changed. */
static void on_ws_message(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata)
{
    struct doctor_socket *s = userdata;
    MW_AUTOJSON *message = NULL;
    const char *event;

    if (mw_json_parse(data, len, &message, NULL) < 0)
        return;
    event = mw_json_str_or(message, "event", "");
    if (strcmp(event, "hello") == 0) {
        s->hello_at = mw_clock_mono();
        doctor_wake(s->timer.loop);
        return;
    }
    s->other_events += *event != '\0';
    if (s->wanted[0] && memmem(data, len, s->wanted, strlen(s->wanted)))
        s->seen = true;
    if (s->seen)
        doctor_wake(s->timer.loop);
}

static void on_ws_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct doctor_socket *s = userdata;

    s->closed = true;
    doctor_wake(s->timer.loop);
    s->end = how->end;
    s->http_status = how->http_status;
    s->close_code = how->close_code;
    s->error = strdup(how->err ? mw_error_text(how->err) : "it was closed");
}

static const struct mw_ws_ops ws_ops = {
    .on_open = on_ws_open,
    .on_message = on_ws_message,
    .on_close = on_ws_close,
};

static void on_timer(uv_timer_t *timer)
{
    struct doctor_socket *s = timer->data;

    s->timed_out = true;
    doctor_wake(timer->loop);
}

static void on_timer_closed(uv_handle_t *timer)
{
    struct doctor_socket *s = timer->data;

    free(s->error);
    free(s);
}

void doctor_socket_close(struct doctor *d)
{
    struct doctor_socket *s = take_ptr(d->socket);

    if (!s)
        return;
    mw_ws_free(take_ptr(s->ws));
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

/* Until the flag is set, the socket ends or the time is up. */
static void wait_for(struct doctor *d, struct doctor_socket *s, const int64_t *since,
                     const bool *flag, int64_t ms)
{
    s->timed_out = false;
    uv_timer_start(&s->timer, on_timer, (uint64_t)ms, 0);
    while (!(since && *since) && !(flag && *flag) && !s->closed && !s->timed_out)
        uv_run(&d->loop, UV_RUN_ONCE);
    uv_timer_stop(&s->timer);
}

/* ---- Upgrade and hello ---- */

#define PASS_UPGRADES                                                                              \
    "a proxy in front of the server does not pass the upgrade on: it must send `Upgrade` and "     \
    "`Connection` for /api/v4/websocket. Until then `transport: poll` works"

static const char *socket_fix(const struct doctor_socket *s)
{
    if (s->end == MW_WS_END_REFUSED && (s->http_status == 401 || s->http_status == 403))
        return "the server does not let this account open a WebSocket: is the token still valid, "
               "and does a proxy pass the Authorization header on?";
    if (!s->opened_at)
        return PASS_UPGRADES;
    if (s->closed)
        return "the upgrade works, but something ends the connection at once: a proxy's time "
               "limit, or a server that is shutting down. Until then `transport: poll` works";
    return "the upgrade works, but no hello came: a proxy may hold the frames back, or the server "
           "is overloaded. Until then `transport: poll` works";
}

static void report_hello(struct doctor *d, const struct doctor_socket *s)
{
    if (s->hello_at)
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("open after %" PRId64 " ms, hello after %" PRId64 " ms",
                                  s->opened_at - s->started_at, s->hello_at - s->started_at),
                      NULL);
    else if (s->closed)
        doctor_report(d, DOCTOR_BAD,
                      s->error
                          ? mw_asprintf(s->opened_at ? "cut before the hello: %s" : "%s", s->error)
                          : NULL,
                      strdup(socket_fix(s)));
    else
        doctor_report(
            d, DOCTOR_BAD,
            mw_asprintf("%s after %" PRId64 " s",
                        s->opened_at ? "it is open, but no hello came" : "no answer to the upgrade",
                        (mw_clock_mono() - s->started_at + 500) / 1000),
            strdup(socket_fix(s)));
}

static struct doctor_socket *new_socket(struct doctor *d)
{
    struct doctor_socket *s = calloc(1, sizeof(*s));

    if (!s || uv_timer_init(&d->loop, &s->timer) < 0) {
        free(s);
        d->no_memory = true;
        return NULL;
    }
    s->timer.data = s;
    s->started_at = mw_clock_mono();
    return s;
}

void doctor_websocket(struct doctor *d)
{
    MW_AUTOFREE char *url = mw_asprintf("%s/api/v4/websocket", mm_client_endpoint(d->client));
    MW_AUTOFREE char *header = mw_asprintf("Authorization: Bearer %s", mm_client_token(d->client));
    const char *headers[] = {header, NULL};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct doctor_socket *s;

    if (d->bot->transport == GW_TRANSPORT_POLL) {
        doctor_report(d, DOCTOR_GOOD, strdup("not used: transport is poll"), NULL);
        return;
    }
    s = d->socket = url && header ? new_socket(d) : NULL;
    if (s) {
        const struct mw_ws_params params = {
            .url = url,
            .headers = headers,
            .tls = d->tls,
            .proxy = d->bot->proxy,
            .handshake_timeout_ms = d->timeout_ms,
            .ops = &ws_ops,
            .userdata = s,
        };

        if (mw_ws_connect(&d->loop, &params, &s->ws, &err) < 0) {
            doctor_report(d, DOCTOR_BAD, strdup(mw_error_text(&err)), NULL);
        } else {
            wait_for(d, s, &s->hello_at, NULL, d->timeout_ms);
            report_hello(d, s);
        }
    } else {
        d->no_memory = true;
    }
    if (header)
        explicit_bzero(header, strlen(header));
}

/* ---- Round trips ---- */

static cJSON *preference(struct doctor *d, const char *value)
{
    MW_AUTOJSON *list = cJSON_CreateArray();
    cJSON *o = cJSON_CreateObject();

    if (!list || mw_json_push(list, o) ||
        mw_json_add_str(o, "user_id", mm_client_user_id(d->client)) ||
        mw_json_add_str(o, "category", CATEGORY) || mw_json_add_str(o, "name", NAME) ||
        mw_json_add_str(o, "value", value)) {
        d->no_memory = true;
        return NULL;
    }
    return take_ptr(list);
}

#define DEAF_FIX                                                                                   \
    "the WebSocket is deaf: a proxy holds frames back (switch its buffering off for "              \
    "/api/v4/websocket), or the nodes of a cluster do not talk to each other. Until then "         \
    "`transport: poll` works"

static void report_silence(struct doctor *d, const struct doctor_socket *s, const char *what)
{
    if (s->closed)
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("the connection was cut while %s was awaited: %s", what,
                                  s->error ? s->error : "?"),
                      strdup("frequent disconnects come from a proxy's or load balancer's time "
                             "limit: raise it above 100 s for /api/v4/websocket"));
    else
        doctor_report(d, DOCTOR_BAD,
                      mw_asprintf("connected, but no events come: %s did not come back within %d s",
                                  what, EVENT_MS / 1000),
                      strdup(DEAF_FIX));
}

/* A preference of the bot's own: no other client of anybody is told about it. */
void doctor_events(struct doctor *d)
{
    struct doctor_socket *s = d->socket;
    AUTOANSWER put = {0};
    AUTOANSWER removed = {0};
    char nonce[MW_ID_SIZE];
    int64_t start = mw_clock_mono();

    if (!s)
        return; /* poll */
    if (mw_id_new(nonce) < 0)
        return;
    snprintf(s->wanted, sizeof(s->wanted), "%s", nonce);
    if (!doctor_call(d, "PUT", mw_asprintf("/users/%s/preferences", mm_client_user_id(d->client)),
                     preference(d, nonce), &put)) {
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("not tried, the server does not take a preference: %s",
                                  put.error ? put.error : "?"),
                      strdup("try --post"));
        return;
    }
    wait_for(d, s, NULL, &s->seen, EVENT_MS);
    if (s->seen)
        doctor_report(d, DOCTOR_GOOD,
                      mw_asprintf("one of the bot's own came back after %" PRId64 " ms",
                                  mw_clock_mono() - start),
                      NULL);
    else
        report_silence(d, s, "an event of the bot's own");
    s->wanted[0] = '\0';
    (void)doctor_call(d, "POST",
                      mw_asprintf("/users/%s/preferences/delete", mm_client_user_id(d->client)),
                      preference(d, nonce), &removed);
}

/* The channel of the bot with itself, when none is named. */
static bool own_channel(struct doctor *d)
{
    const char *id = mm_client_user_id(d->client);
    MW_AUTOJSON *ids = cJSON_CreateArray();
    AUTOANSWER a = {0};

    if (!ids || mw_json_push(ids, cJSON_CreateString(id)) ||
        mw_json_push(ids, cJSON_CreateString(id))) {
        d->no_memory = true;
        return false;
    }
    if (doctor_call(d, "POST", strdup("/channels/direct"), take_ptr(ids), &a))
        snprintf(d->channel_id, sizeof(d->channel_id), "%s", mw_json_str_or(a.body, "id", ""));
    else
        doctor_report(d, DOCTOR_BAD, doctor_error_of(&a), NULL);
    return d->channel_id[0] != '\0';
}

static void report_post(struct doctor *d, const struct doctor_answer *removed, int64_t start)
{
    struct doctor_socket *s = d->socket;

    if (removed->outcome != MM_OK)
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("posted, but it cannot be deleted again: %s",
                                  removed->error ? removed->error : "?"),
                      strdup("the bot's role lacks delete_post: somebody deletes it by hand"));
    else if (!s || s->closed)
        doctor_report(d, DOCTOR_GOOD, strdup("posted and deleted"), NULL);
    else if (s->seen)
        doctor_report(
            d, DOCTOR_GOOD,
            mw_asprintf("posted, seen after %" PRId64 " ms, deleted", mw_clock_mono() - start),
            NULL);
    else
        report_silence(d, s, "a real post");
}

void doctor_post(struct doctor *d)
{
    MW_AUTOJSON *body = cJSON_CreateObject();
    AUTOANSWER post = {0};
    AUTOANSWER removed = {0};
    int64_t start = mw_clock_mono();
    struct doctor_socket *s = d->socket;

    if (!d->may_post || (!d->channel_id[0] && !own_channel(d)))
        return;
    if (!body || mw_json_add_str(body, "channel_id", d->channel_id) ||
        mw_json_add_str(body, "message", "A test by `matterwire doctor --post`.")) {
        d->no_memory = true;
        return;
    }
    if (!doctor_call(d, "POST", strdup("/posts"), take_ptr(body), &post)) {
        doctor_report(d, DOCTOR_BAD, mw_asprintf("cannot post: %s", post.error),
                      strdup("the channel is moderated, or the bot's role lacks create_post: its "
                             "administrator can change that"));
        return;
    }
    if (s) {
        /* The event may have come before the answer: ask for the one of the deletion. */
        snprintf(s->wanted, sizeof(s->wanted), "%s", mw_json_str_or(post.body, "id", "?"));
        s->seen = false;
    }
    (void)doctor_call(d, "DELETE", mw_asprintf("/posts/%s", mw_json_str_or(post.body, "id", "?")),
                      NULL, &removed);
    if (s && removed.outcome == MM_OK)
        wait_for(d, s, NULL, &s->seen, EVENT_MS);
    report_post(d, &removed, start);
}

/* ---- Disconnects ---- */

static cJSON *connection_events(struct doctor *d, int64_t since)
{
    static const char *const kinds[] = {"connection"};
    MW_AUTOJSON *params = cJSON_CreateObject();
    cJSON *result = NULL;

    if (!params || mw_json_add_str(params, "bot", d->bot->name) ||
        mw_json_add_i64(params, "since", since) || mw_json_add_i64(params, "limit", LOST_LIMIT) ||
        mw_json_add(params, "kinds", cJSON_CreateStringArray(kinds, 1))) {
        d->no_memory = true;
        return NULL;
    }
    return doctor_ask_daemon(d, "history", take_ptr(params), &result) ? result : NULL;
}

static bool daemon_has_bot(const struct doctor *d)
{
    const cJSON *bot;

    cJSON_ArrayForEach(bot, mw_json_arr(d->status, "bots"))
    {
        if (mw_streq(mw_json_str(bot, "name"), d->bot->name))
            return true;
    }
    return false;
}

void doctor_stability(struct doctor *d)
{
    MW_AUTOJSON *history = NULL;
    const cJSON *event;
    const char *reason = "";
    int lost = 0;

    if (d->status && !daemon_has_bot(d)) {
        doctor_report(d, DOCTOR_WARNING, strdup("the running daemon does not have this bot yet"),
                      strdup("put the changed configuration into force: matterwire reload"));
        return;
    }
    if (d->status)
        history = connection_events(d, mw_clock_now() - HOUR_MS);
    if (!history) {
        doctor_report(d, DOCTOR_SKIPPED,
                      strdup("how often the connection was lost is known to a running daemon only"),
                      NULL);
        return;
    }
    cJSON_ArrayForEach(event, mw_json_arr(history, "events"))
    {
        const cJSON *detail = mw_json_obj(event, "detail");

        if (mw_streq(mw_json_str(detail, "state"), "online"))
            continue;
        lost++;
        reason = mw_json_str_or(detail, "reason", reason);
    }
    if (lost < LOST_WARN)
        doctor_report(d, DOCTOR_GOOD,
                      lost ? mw_asprintf("the connection was lost %d %s in the last hour", lost,
                                         lost == 1 ? "time" : "times")
                           : strdup("the connection was not lost in the last hour"),
                      NULL);
    else
        doctor_report(d, DOCTOR_WARNING,
                      mw_asprintf("frequent disconnects: %d in the last hour, the last one: %s",
                                  lost, *reason ? reason : "no reason given"),
                      strdup("a proxy's or load balancer's time limit (raise it above 100 s for "
                             "/api/v4/websocket), a server that restarts, or a bad network. "
                             "Nothing is missed meanwhile"));
}
