/* What clients may ask over the socket (wsapi/ and platform/websocket_router.go). */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/events.h"
#include "sandbox/rest.h"

static void reply_ok(struct sb_conn *c, int64_t seq, const char *data)
{
    MW_AUTOBUF b = {0};

    mw_buf_puts(&b, "{\"status\":\"OK\",");
    if (data)
        mw_buf_printf(&b, "\"data\":%s,", data);
    mw_buf_printf(&b, "\"seq_reply\":%" PRId64 "}\n", seq);
    sb_conn_reply(c, &b);
}

static void reply_fail(struct sb_conn *c, int64_t seq, int status, const char *id,
                       const char *message)
{
    MW_AUTOBUF b = {0};

    mw_buf_puts(&b, "{\"status\":\"FAIL\",");
    if (seq > 0)
        mw_buf_printf(&b, "\"seq_reply\":%" PRId64 ",", seq);
    mw_buf_printf(&b,
                  "\"error\":{\"id\":\"%s\",\"message\":\"%s\",\"detailed_error\":\"\","
                  "\"status_code\":%d}}\n",
                  id, message, status);
    sb_conn_reply(c, &b);
}

static void act_ping(struct sb_conn *c, int64_t seq, const cJSON *data)
{
    MW_AUTOBUF b = {0};
    struct sb_server *sv = c->hub->sv;

    mw_buf_printf(
        &b, "{\"text\":\"pong\",\"version\":\"%s\",\"server_time\":%" PRId64 ",\"node_id\":\"\"}",
        sb_version(sv), sb_now(&sv->state));
    reply_ok(c, seq, mw_buf_str(&b));
}

static void act_typing(struct sb_conn *c, int64_t seq, const cJSON *data)
{
    struct sb_server *sv = c->hub->sv;
    const char *id = mw_json_str_or(data, "channel_id", "");
    struct sb_channel *channel = mw_map_get(&sv->state.channels, id);

    if (!channel || !sb_member_of(channel, c->user->id)) {
        reply_fail(c, seq, 400, "api.websocket_handler.invalid_param.app_error",
                   "Invalid channel_id parameter.");
        return;
    }
    sb_event_typing(sv, c->user, channel, mw_json_str_or(data, "parent_id", ""));
    reply_ok(c, seq, NULL);
}

static void act_active(struct sb_conn *c, int64_t seq, const cJSON *data)
{
    sb_set_status(c->hub->sv, c->user, mw_json_bool(data, "user_is_active") ? "online" : "away",
                  mw_json_bool(data, "manual"));
    reply_ok(c, seq, NULL);
}

static void put_status(struct mw_buf *b, size_t start, const struct sb_user *u)
{
    sb_comma(b, start);
    mw_buf_printf(b, "\"%s\":\"%s\"", u->id, u->status ? u->status : "offline");
}

static void act_statuses(struct sb_conn *c, int64_t seq, const cJSON *data)
{
    MW_AUTOBUF b = {0};
    size_t it = 0;
    void *v;

    mw_buf_putc(&b, '{');
    while (mw_map_next(&c->hub->sv->state.users, &it, NULL, &v)) {
        struct sb_user *u = v;

        if (u->status && !mw_streq(u->status, "offline"))
            put_status(&b, 1, u);
    }
    mw_buf_putc(&b, '}');
    reply_ok(c, seq, mw_buf_str(&b));
}

static void act_statuses_by_ids(struct sb_conn *c, int64_t seq, const cJSON *data)
{
    MW_AUTOBUF b = {0};
    const cJSON *ids = mw_json_arr(data, "user_ids"), *id;

    if (!ids) {
        reply_fail(c, seq, 400, "api.websocket_handler.invalid_param.app_error",
                   "Invalid user_ids parameter.");
        return;
    }
    mw_buf_putc(&b, '{');
    cJSON_ArrayForEach(id, ids)
    {
        struct sb_user *u = sb_user_by_id(&c->hub->sv->state, cJSON_GetStringValue(id));

        if (u)
            put_status(&b, 1, u);
    }
    mw_buf_putc(&b, '}');
    reply_ok(c, seq, mw_buf_str(&b));
}

static void act_accept(struct sb_conn *c, int64_t seq, const cJSON *data)
{
    reply_ok(c, seq, NULL);
}

static const struct {
    const char *name;
    void (*run)(struct sb_conn *c, int64_t seq, const cJSON *data);
} actions[] = {
    {"ping", act_ping},
    {"user_typing", act_typing},
    {"user_update_active_status", act_active},
    {"get_statuses", act_statuses},
    {"get_statuses_by_ids", act_statuses_by_ids},
    {"presence", act_accept},
    {"posted_notify_ack", act_accept},
};

/* The first frame of a socket without a header. A bad token: the socket just closes. */
static bool challenge(struct sb_conn *c, int64_t seq, const cJSON *data)
{
    struct sb_server *sv = c->hub->sv;
    const char *token = mw_json_str_or(data, "token", "");
    struct sb_session *x = mw_map_get(&sv->state.sessions, token);
    struct sb_user *u = x && x->is_active ? sb_user_by_id(&sv->state, x->user_id) : NULL;

    if (!u || u->delete_at || sb_conn_login(c, u, x->id) < 0)
        return false;
    reply_ok(c, seq, NULL);
    return true;
}

bool sb_action(struct sb_conn *c, const cJSON *request)
{
    const char *action = mw_json_str_or(request, "action", "");
    const cJSON *data = mw_json_obj(request, "data");
    int64_t seq = mw_json_i64(request, "seq", 0);

    if (mw_streq(action, "authentication_challenge") && seq > 0)
        return c->user ? true : challenge(c, seq, data);
    if (!c->user)
        return true; /* no answer at all */
    if (!*action) {
        reply_fail(c, seq, 400, "api.web_socket_router.no_action.app_error",
                   "No websocket action.");
        return true;
    }
    if (seq <= 0) {
        reply_fail(c, seq, 400, "api.web_socket_router.bad_seq.app_error",
                   "Invalid sequence for WebSocket message.");
        return true;
    }
    if (mw_starts_with(action, "custom_"))
        return true; /* for plugins, of which there are none */
    for (size_t i = 0; i < MW_ARRAY_LEN(actions); i++) {
        if (mw_streq(action, actions[i].name)) {
            actions[i].run(c, seq, data);
            return true;
        }
    }
    reply_fail(c, seq, 500, "api.web_socket_router.bad_action.app_error",
               "Unknown WebSocket action.");
    return true;
}
