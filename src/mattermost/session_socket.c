/* The session's socket: hello, resume, frames in, actions out. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "mattermost/session_impl.h"

enum {
    TYPING_MS = 4000,
    TYPING_PLACES = 1000, /* remembered; then all are forgotten */
    ADDED_OVERLAP_MS = 5000,
};

/* ---- The socket ---- */

static int send_action(struct mm_session *s, const char *action, const char *channel_id,
                       const char *root_id)
{
    MW_AUTOBUF b = {.limit = 1024};

    mw_buf_printf(&b, "{\"seq\":%lld,\"action\":\"%s\"", (long long)++s->action_seq, action);
    if (channel_id) {
        mw_buf_puts(&b, ",\"data\":{\"channel_id\":");
        mw_buf_put_json_string(&b, channel_id);
        mw_buf_puts(&b, ",\"parent_id\":");
        mw_buf_put_json_string(&b, root_id);
        mw_buf_putc(&b, '}');
    }
    mw_buf_putc(&b, '}');
    if (mw_buf_error(&b))
        return mw_buf_error(&b);
    return mw_ws_send_text(s->ws, b.data, b.len);
}

static void on_open(struct mw_ws *ws, void *userdata)
{
    struct mm_session *s = userdata;

    s->stats.connects++;
    s->action_seq = 0;
    mw_timer_start(s->hello, s->p.hello_timeout_ms);
    /* A resume that missed nothing brings no frame: the answer to this one tells that it worked. */
    if (s->link == LINK_RESUME && send_action(s, "ping", NULL, NULL) < 0)
        mm_session_no_memory(s);
}

static void resumed(struct mm_session *s)
{
    s->stats.resumes++;
    s->live = true;
    s->doubted = false;
    mw_timer_stop(s->hello);
    mw_backoff_healthy(&s->backoff, mw_clock_mono());
    if (s->p.audit_interval_ms > 0)
        mw_timer_start(s->audit, s->p.audit_interval_ms);
    mm_session_set_state(s, MM_SESSION_ONLINE, NULL);
}

/* Returns false when the connection was given up. */
static bool take_hello(struct mm_session *s, const struct mm_frame *f)
{
    const char *id = mw_json_str_or(f->data, "connection_id", "");

    if (s->live) {
        mm_session_forget_connection(s);
        mm_session_lose(s, 0, "the server began anew on an open connection: connecting again");
        return false;
    }
    if (s->link == LINK_RESUME) {
        /* The server did not know the connection any more, or not what we missed. 5.37 then sends
         * every event twice on this socket, with numbers of their own: a new one is cleaner. */
        s->stats.resume_misses++;
        mm_session_forget_connection(s);
        mm_session_drop_socket(s);
        mm_session_connect(s);
        return false;
    }
    /* Without reliable WebSockets (5.x default) the id is empty: nothing can be resumed. */
    if (mw_str_set(&s->connection_id, *id ? id : NULL) < 0) {
        mm_session_no_memory(s);
        return false;
    }
    s->live = true;
    s->doubted = false;
    s->expected = f->seq + 1;
    mw_timer_stop(s->hello);
    mm_session_accepted(s);
    mm_feed_hold(&s->feed, true);
    mm_session_clear_added(s); /* the run sees those channels */
    mm_session_start_run(s, false);
    if (s->run)
        mm_session_set_state(s, MM_SESSION_CATCHING_UP, NULL);
    return s->live; /* false when the owner has just freed the session */
}

/* Returns false when the connection was given up, or the session. */
static bool take_event(struct mm_session *s, struct mm_frame *f)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_item item;
    bool mine;
    int r;

    r = mm_item_from_frame(&s->normaliser, f, mm_client_server_now(s->p.client), &item, &err);
    if (r == 1)
        return true;
    if (r == -EINVAL) {
        /* The server's own list of posts may tell what the frame did not. */
        mm_session_forget_connection(s);
        mm_session_lose(s, 0, "%s", mw_error_text(&err));
        return false;
    }
    if (r < 0) {
        mm_session_no_memory(s);
        return false;
    }
    mine = mw_streq(item.ev.user_id, mm_client_user_id(s->p.client));
    if (item.ev.kind == MW_EVENT_CHANNEL_CREATED)
        mm_session_note_added(s, item.ev.channel_id, 0);
    else if (item.ev.kind == MW_EVENT_USER_ADDED && mine)
        mm_session_note_added(s, item.ev.channel_id,
                              mm_client_server_now(s->p.client) - ADDED_OVERLAP_MS);
    if (s->dead) {
        mm_item_deinit(&item);
        return false;
    }
    r = mm_feed_live(&s->feed, &item);
    if (r == -ECANCELED)
        return false;
    if (r < 0) {
        mm_session_no_memory(s);
        return false;
    }
    if (mm_feed_live_full(&s->feed) && s->ws)
        mw_ws_pause(s->ws);
    mm_session_start_added(s);
    return true;
}

static void take_frame(struct mm_session *s, struct mm_frame *f)
{
    if (f->event == MM_FRAME_REPLY) {
        if (s->live || s->link != LINK_RESUME)
            return;
        if (!f->failed) {
            resumed(s);
            return;
        }
        /* It let us in and does not know who we are: ask whether the token is still good. */
        s->signed_in = false;
        s->stats.resume_misses++;
        mm_session_forget_connection(s);
        mm_session_lose(s, 0, "the server let the connection in but does not accept actions on it");
        return;
    }
    if (f->event == MM_FRAME_HELLO) {
        take_hello(s, f);
        return;
    }
    if (!s->live && s->link == LINK_FRESH) {
        mm_session_lose(s, 0, "the server sent an event before its hello");
        return;
    }
    if (f->seq != s->expected) {
        s->stats.sequence_gaps++;
        mm_session_forget_connection(s);
        mm_session_lose(s, 0, "event %lld came where %lld was due: connecting again",
                        (long long)f->seq, (long long)s->expected);
        return;
    }
    s->expected++;
    if (!s->live)
        resumed(s);
    if (s->live && f->event != MM_FRAME_OTHER)
        take_event(s, f);
}

static void on_message(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata)
{
    struct mm_session *s = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_frame f;
    int r;

    if (!text)
        return; /* the server answers in the kind it was asked in, and we ask in text */
    s->stats.frames++;
    r = mm_frame_parse(data, len, &f, &err);
    if (r < 0) {
        mm_session_forget_connection(s);
        mm_session_lose(s, 0, "%s", mw_error_text(&err));
        return;
    }
    take_frame(s, &f);
    mm_frame_deinit(&f);
}

static void on_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct mm_session *s = userdata;

    if (how->end == MW_WS_END_REFUSED && how->http_status == 401 && !s->doubted) {
        /* Perhaps just a session that ended: sign in, which renews it or tells for certain. */
        s->doubted = true;
        s->signed_in = false;
        mm_session_forget_connection(s);
        mm_session_lose_with(s, how->retry_after_ms, mw_error_text(how->err));
        return;
    }
    if (how->end == MW_WS_END_REFUSED && (how->http_status == 401 || how->http_status == 403)) {
        mm_session_refuse(s, mw_error_text(how->err));
        return;
    }
    /* A token that is good no more is let in, and the connection is ended after 5 s without a word:
     * ask by REST before the next try. */
    if (!s->live && (how->end == MW_WS_END_CLOSED || how->end == MW_WS_END_LOST))
        s->signed_in = false;
    /* A connection that could not be resumed at all is not tried again as it is. */
    if (s->link == LINK_RESUME && !s->live && how->end != MW_WS_END_CONNECT) {
        s->stats.resume_misses++;
        mm_session_forget_connection(s);
    }
    mm_session_lose_with(s, how->retry_after_ms, mw_error_text(how->err));
}

static const struct mw_ws_ops ws_ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_close = on_close,
};

/* No hello: a wrong token is let in by the upgrade and then met with silence. */
void mm_session_no_hello(void *userdata)
{
    struct mm_session *s = userdata;

    s->signed_in = false;
    if (s->link == LINK_RESUME)
        s->stats.resume_misses++;
    mm_session_forget_connection(s);
    mm_session_lose(s, 0, "the server let the connection in but sent no hello within %lld s",
                    (long long)s->p.hello_timeout_ms / 1000);
}

void mm_session_open_socket(struct mm_session *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *url = NULL, *auth = NULL;
    const char *headers[2] = {NULL, NULL};
    struct mw_ws_params wp = {
        .headers = headers,
        .tls = s->tls,
        .proxy = s->proxy,
        .handshake_timeout_ms = s->p.hello_timeout_ms * 3,
        .ping_interval_ms = s->p.ping_interval_ms,
        .read_timeout_ms = s->p.read_timeout_ms,
        .max_message = 16 * 1024 * 1024,
        .ops = &ws_ops,
        .userdata = s,
    };
    int r;

    s->outlived = false;
    s->link = s->connection_id ? LINK_RESUME : LINK_FRESH;
    if (s->connection_id)
        url = mw_asprintf("%s?connection_id=%s&sequence_number=%lld", s->url, s->connection_id,
                          (long long)s->expected);
    else
        url = strdup(s->url);
    auth = mw_asprintf("Authorization: Bearer %s", mm_client_token(s->p.client));
    if (!url || !auth) {
        mw_secret_free(take_ptr(auth));
        mm_session_no_memory(s);
        return;
    }
    headers[0] = auth;
    wp.url = url;
    r = mw_ws_connect(s->loop, &wp, &s->ws, &err);
    mw_secret_free(take_ptr(auth));
    if (r < 0) {
        s->ws = NULL;
        mm_session_lose(s, 0, "%s", mw_error_text(&err));
        return;
    }
    mm_session_set_state(s, MM_SESSION_CONNECTING, NULL);
}

/* ---- Typing ---- */

/* Typing is a courtesy: what fails is not tried again. */
static void on_typing(struct mm_result *r, void *userdata)
{
}

/* Whether it may be shown there now; notes that it was. */
static bool typing_due(struct mm_session *s, const char *channel_id, const char *root_id)
{
    MW_AUTOFREE char *place = mw_asprintf("%s/%s", channel_id, root_id);
    int64_t now = mw_clock_mono(), *last = place ? mw_map_get(&s->typed, place) : NULL;

    if (!place || (last && now - *last < TYPING_MS))
        return false;
    if (!last) {
        if (s->typed.count >= TYPING_PLACES)
            mw_map_clear(&s->typed);
        last = malloc(sizeof(*last));
        if (!last || mw_map_put(&s->typed, place, last) < 0) {
            free(last);
            return false;
        }
    }
    *last = now;
    return true;
}

void mm_session_typing(struct mm_session *s, const char *channel_id, const char *root_id)
{
    MW_AUTOFREE char *path = NULL;
    MW_AUTOJSON *body = NULL;

    if (s->state != MM_SESSION_ONLINE || !typing_due(s, channel_id, root_id))
        return;
    if (s->ws) {
        (void)!send_action(s, "user_typing", channel_id, root_id);
        return;
    }
    path = mw_asprintf("/users/%s/typing", mm_client_user_id(s->p.client));
    body = cJSON_CreateObject();
    if (!path || !body || mw_json_add_str(body, "channel_id", channel_id) < 0 ||
        mw_json_add_str(body, "parent_id", root_id) < 0)
        return;
    (void)!mm_call(s->p.client, "POST", path, take_ptr(body), on_typing, NULL);
}
