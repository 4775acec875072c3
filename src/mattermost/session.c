#include "mattermost/session.h"

#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/str.h"
#include "io/handle.h"
#include "io/ws.h"
#include "mattermost/catchup.h"
#include "mattermost/feed.h"

enum {
    RECONNECT_MIN_MS = 500,
    RECONNECT_MAX_MS = 30 * 1000,
    HEALTHY_MS = 60 * 1000,
    UNAUTHORIZED_MIN_MS = 60 * 1000,
    UNAUTHORIZED_MAX_MS = 5 * 60 * 1000,
    TYPING_MS = 4000,
    TYPING_PLACES = 1000, /* remembered; then all are forgotten */
    ADDED_OVERLAP_MS = 5000,
    CLOCK_ERROR_MS = 1000, /* a Date header is good to a second */
    HOT_CHANNELS = 4, /* looked at for edits in every poll */
};

/* What the coming or present connection is for. */
enum link {
    LINK_FRESH,
    LINK_RESUME, /* hoping to go on at `expected` */
};

/* A channel that we were added to: what was said there before its events reached us. */
struct added {
    struct added *next;
    char id[MW_ID_SIZE];
    int64_t since; /* 0 = its creation */
};

struct mm_session {
    uv_loop_t *loop;
    struct mm_session_params p;
    char *bot, *proxy, *url;
    struct mw_tls *tls;

    enum mm_session_state state;
    char *reason;
    int64_t state_since;
    bool started;

    struct mw_timer *retry;   /* the next try, or the next poll */
    struct mw_timer *hello;   /* limit for hello, or for the answer that confirms a resume */
    struct mw_timer *audit;
    struct mw_backoff backoff, refused;
    int64_t next_try_at;

    bool signed_in; /* the account is known to be good, as far as we know */
    struct mw_ws *ws;
    enum link link;
    bool live;        /* hello came, or the resume is confirmed */
    char *connection_id;
    int64_t expected; /* seq of the next event */
    int64_t action_seq;
    int64_t online_since; /* server time: from then on the socket should bring everything */

    struct mm_normaliser normaliser;
    struct mm_feed feed;
    struct mw_map fetched; /* see mm_catchup_params */
    struct mw_map typed;   /* place -> a heap int64_t: when typing was last shown there */

    struct mm_catchup *run;
    bool run_is_audit, run_is_single, run_sweeps;
    bool run_spoiled; /* something that it found was lost for lack of memory: nothing is covered */
    int64_t run_id; /* tells the marks of this run from those of one that was given up */
    int64_t run_started_at;
    unsigned run_overdue;
    struct added *added, **added_end;
    int64_t floor, swept_at;
    struct mm_session_stats stats;
};

static void connect_now(struct mm_session *s);
static void start_run(struct mm_session *s, bool audit);
static void start_added(struct mm_session *s);
static void lose(struct mm_session *s, int64_t at_least, const char *fmt, ...) MW_PRINTF(3, 4);

const char *mm_session_state_name(enum mm_session_state state)
{
    static const char *const names[] = {
        [MM_SESSION_STOPPED] = "stopped",         [MM_SESSION_CONNECTING] = "connecting",
        [MM_SESSION_CATCHING_UP] = "catching_up", [MM_SESSION_ONLINE] = "online",
        [MM_SESSION_WAITING] = "waiting",         [MM_SESSION_UNAUTHORIZED] = "unauthorized",
    };

    return names[state];
}

static int64_t server_now(const struct mm_session *s)
{
    struct mm_server_info info;

    mm_client_server(s->p.client, &info);
    return mw_clock_now() + info.clock_skew_ms;
}

static void set_state(struct mm_session *s, enum mm_session_state state, const char *reason)
{
    bool same = s->state == state && mw_streq(s->reason, reason);

    if (s->state != state)
        s->state_since = mw_clock_now();
    s->state = state;
    if (same)
        return;
    /* Without memory the sentence is lost, the state is not. */
    if (mw_str_set(&s->reason, reason) < 0) {
        free(s->reason);
        s->reason = NULL;
    }
    s->p.ops->on_state(s, state, s->reason, s->p.userdata);
}

/* ---- Ends of a connection ---- */

static void drop_run(struct mm_session *s)
{
    mm_catchup_free(take_ptr(s->run));
    s->run_id++;
}

static void drop_socket(struct mm_session *s)
{
    mw_ws_free(take_ptr(s->ws));
    s->live = false;
    mw_timer_stop(s->hello);
    mw_timer_stop(s->audit);
}

static void forget_connection(struct mm_session *s)
{
    free(take_ptr(s->connection_id));
}

static void wait_until(struct mm_session *s, int64_t ms)
{
    s->next_try_at = mw_clock_now() + ms;
    mw_timer_start(s->retry, ms);
}

/* The connection is over: wait, then try again. What a run did not finish is done again by the next
 * one, so a resume is only worth trying when no run was under way. */
static void lose_with(struct mm_session *s, int64_t at_least, const char *reason)
{
    int64_t wait = mw_backoff_next(&s->backoff, mw_clock_mono());

    drop_socket(s);
    if (s->run) {
        drop_run(s);
        forget_connection(s);
    }
    wait_until(s, MW_MAX(wait, at_least));
    set_state(s, MM_SESSION_WAITING, reason);
}

static void lose(struct mm_session *s, int64_t at_least, const char *fmt, ...)
{
    MW_AUTOFREE char *reason = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&reason, fmt, ap) < 0)
        reason = NULL;
    va_end(ap);
    lose_with(s, at_least, reason);
}

/* The server knows us no more. It is asked again, slowly: a token can be given back. */
static void refuse(struct mm_session *s, const char *reason)
{
    drop_socket(s);
    if (s->run)
        drop_run(s);
    forget_connection(s);
    s->signed_in = false;
    wait_until(s, mw_backoff_next(&s->refused, mw_clock_mono()));
    set_state(s, MM_SESSION_UNAUTHORIZED, reason);
}

/* A call failed in a way that ends the connection. */
static void lose_by_call(struct mm_session *s, enum mm_outcome outcome, const struct mw_error *err,
                         int64_t retry_after_ms)
{
    if (outcome == MM_UNAUTHORIZED || outcome == MM_FORBIDDEN)
        refuse(s, mw_error_text(err));
    else
        lose_with(s, retry_after_ms, mw_error_text(err));
}

/* ---- Catch-up ---- */

static void pause_sources(struct mm_session *s)
{
    if (s->ws)
        mw_ws_pause(s->ws);
    if (s->run)
        mm_catchup_pause(s->run, true);
}

static void no_memory(struct mm_session *s)
{
    forget_connection(s);
    lose(s, 0, "out of memory");
}

static int on_position(const char *channel_id, struct mw_position *ret, void *userdata)
{
    struct mm_session *s = userdata;

    return s->p.ops->position(s, channel_id, ret, s->p.userdata);
}

static void on_found(struct mm_item *item, void *userdata)
{
    struct mm_session *s = userdata;

    if (mm_feed_found(&s->feed, item) < 0)
        s->run_spoiled = true;
    if (mm_feed_full(&s->feed))
        pause_sources(s);
}

static void on_run_covered(const char *channel_id, int64_t seen_at, const char *post_id,
                           int64_t post_at, void *userdata)
{
    struct mm_session *s = userdata;

    if (s->run_spoiled)
        return;
    if (mm_feed_mark(&s->feed, MM_MARK_COVERED, channel_id, seen_at, post_id, post_at) < 0)
        s->run_spoiled = true;
}

/* Marks of the run itself carry its number in place of a time. */
static void mark_run(struct mm_session *s, enum mm_mark mark)
{
    if (mm_feed_mark(&s->feed, mark, "", s->run_id, "", 0) < 0)
        no_memory(s);
}

static void on_posts_done(void *userdata)
{
    mark_run(userdata, MM_MARK_POSTS_DONE);
}

static void on_run_end(const struct mm_catchup_result *r, void *userdata)
{
    struct mm_session *s = userdata;

    if (r->outcome != MM_OK) {
        if (s->run_is_single && (r->outcome == MM_FORBIDDEN || r->outcome == MM_NOT_FOUND)) {
            /* Removed again before we looked. */
            drop_run(s);
            start_added(s);
            return;
        }
        lose_by_call(s, r->outcome, r->err, r->retry_after_ms);
        return;
    }
    if (s->run_spoiled) {
        no_memory(s);
        return;
    }
    s->run_started_at = r->started_at;
    s->run_overdue = r->overdue;
    if (!s->run_is_single)
        s->stats.channels = r->channels;
    mark_run(s, MM_MARK_END);
}

static const struct mm_catchup_ops run_ops = {
    .position = on_position,
    .on_item = on_found,
    .on_covered = on_run_covered,
    .on_posts_done = on_posts_done,
    .on_end = on_run_end,
};

static bool begin_run(struct mm_session *s, struct mm_catchup_params *cp)
{
    cp->client = s->p.client;
    cp->normaliser = &s->normaliser;
    cp->fetched = &s->fetched;
    cp->ops = &run_ops;
    cp->userdata = s;
    s->run_id++;
    s->run_spoiled = false;
    if (mm_catchup_new(s->loop, cp, &s->run) < 0) {
        no_memory(s);
        return false;
    }
    s->stats.catch_ups++;
    if (mm_feed_full(&s->feed))
        mm_catchup_pause(s->run, true);
    return true;
}

/* `audit`: the socket is (or polling has been) at work, and this only compares. */
static void start_run(struct mm_session *s, bool audit)
{
    bool sweep_due = server_now(s) - s->swept_at >= s->p.audit_interval_ms;
    struct mm_catchup_params cp = {
        .floor = s->floor,
        .sweep_floor = s->swept_at,
        .compare_only = audit,
        .overdue_since = audit && !s->p.poll ? s->online_since : 0,
        .hot = audit && s->p.poll ? HOT_CHANNELS : 0,
    };

    cp.sweep = s->floor && (!audit || (s->p.poll && sweep_due));
    s->run_is_audit = audit;
    s->run_is_single = false;
    s->run_sweeps = cp.sweep || s->floor == 0;
    begin_run(s, &cp);
}

/* The first of the channels that we were added to. */
static void start_added(struct mm_session *s)
{
    struct added *a = s->added;
    struct mm_catchup_params cp = {0};

    if (!a || s->run || !s->live)
        return;
    s->added = a->next;
    if (!s->added)
        s->added_end = &s->added;
    cp.only_channel = a->id;
    cp.only_since = a->since;
    s->run_is_audit = true;
    s->run_is_single = true;
    begin_run(s, &cp);
    free(a);
}

static void clear_added(struct mm_session *s)
{
    while (s->added) {
        struct added *a = s->added;

        s->added = a->next;
        free(a);
    }
    s->added_end = &s->added;
}

static void note_added(struct mm_session *s, const char *channel_id, int64_t since)
{
    struct added *a;

    if (!mw_id_valid(channel_id))
        return;
    for (a = s->added; a; a = a->next)
        if (strcmp(a->id, channel_id) == 0)
            return;
    a = calloc(1, sizeof(*a));
    if (!a) {
        no_memory(s);
        return;
    }
    memcpy(a->id, channel_id, MW_ID_SIZE);
    a->since = since;
    *s->added_end = a;
    s->added_end = &a->next;
}

/* ---- The feed ---- */

static void on_item(struct mm_item *item, void *userdata)
{
    struct mm_session *s = userdata;

    s->stats.events++;
    s->p.ops->on_event(s, &item->ev, item->observed, item->deleted_at, s->p.userdata);
}

static void run_complete(struct mm_session *s)
{
    bool deaf = s->run_overdue > 0;

    drop_run(s);
    if (!s->run_is_single) {
        s->floor = s->run_started_at - CLOCK_ERROR_MS;
        if (s->run_sweeps)
            s->swept_at = s->run_started_at;
    }
    if (s->p.poll) {
        mw_timer_start(s->retry, s->p.poll_interval_ms);
        set_state(s, MM_SESSION_ONLINE, NULL);
        return;
    }
    if (deaf) {
        forget_connection(s);
        lose(s, 0, "the socket was silent while %u posts were made: connecting again",
             s->run_overdue);
        return;
    }
    if (s->p.audit_interval_ms > 0)
        mw_timer_start(s->audit, s->p.audit_interval_ms);
    start_added(s);
}

static void on_mark(const struct mm_feed_node *node, void *userdata)
{
    struct mm_session *s = userdata;

    switch (node->mark) {
    case MM_MARK_COVERED:
        s->p.ops->covered(s, node->channel_id, node->seen_at, node->post_id, node->post_at,
                          s->p.userdata);
        break;
    case MM_MARK_POSTS_DONE:
        if (node->seen_at != s->run_id || s->run_is_audit || s->p.poll)
            break;
        mm_feed_hold(&s->feed, false);
        mw_backoff_healthy(&s->backoff, mw_clock_mono());
        s->online_since = server_now(s);
        set_state(s, MM_SESSION_ONLINE, NULL);
        break;
    case MM_MARK_END:
        if (node->seen_at == s->run_id)
            run_complete(s);
        break;
    default:
        break;
    }
}

static void on_room(void *userdata)
{
    struct mm_session *s = userdata;

    if (s->ws)
        mw_ws_resume(s->ws);
    if (s->run)
        mm_catchup_pause(s->run, false);
}

static const struct mm_feed_ops feed_ops = {
    .on_item = on_item,
    .on_mark = on_mark,
    .on_room = on_room,
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
        no_memory(s);
}

static void resumed(struct mm_session *s)
{
    s->stats.resumes++;
    s->live = true;
    mw_timer_stop(s->hello);
    mw_backoff_healthy(&s->backoff, mw_clock_mono());
    if (s->p.audit_interval_ms > 0)
        mw_timer_start(s->audit, s->p.audit_interval_ms);
    set_state(s, MM_SESSION_ONLINE, NULL);
}

/* Returns false when the connection was given up. */
static bool take_hello(struct mm_session *s, const struct mm_frame *f)
{
    const char *id = mw_json_str_or(f->data, "connection_id", "");

    if (s->link == LINK_RESUME || s->live) {
        /* The server did not know the connection any more, or not what we missed. 5.37 then sends
         * every event twice on this socket, with numbers of their own: a new one is cleaner. */
        s->stats.resume_misses++;
        forget_connection(s);
        drop_socket(s);
        connect_now(s);
        return false;
    }
    /* Without reliable WebSockets (5.x default) the id is empty: nothing can be resumed. */
    if (mw_str_set(&s->connection_id, *id ? id : NULL) < 0) {
        no_memory(s);
        return false;
    }
    s->live = true;
    s->expected = f->seq + 1;
    mw_timer_stop(s->hello);
    mw_backoff_init(&s->refused, UNAUTHORIZED_MIN_MS, UNAUTHORIZED_MAX_MS, 0);
    mm_feed_hold(&s->feed, true);
    clear_added(s); /* the run sees those channels */
    start_run(s, false);
    if (s->run)
        set_state(s, MM_SESSION_CATCHING_UP, NULL);
    return s->live;
}

/* Returns false when the connection was given up, or the session. */
static bool take_event(struct mm_session *s, struct mm_frame *f)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_item item;
    bool mine;
    int r;

    r = mm_item_from_frame(&s->normaliser, f, server_now(s), &item, &err);
    if (r == 1)
        return true;
    if (r == -EINVAL) {
        /* The server's own list of posts may tell what the frame did not. */
        forget_connection(s);
        lose(s, 0, "%s", mw_error_text(&err));
        return false;
    }
    if (r < 0) {
        no_memory(s);
        return false;
    }
    mine = mw_streq(item.ev.user_id, mm_client_user_id(s->p.client));
    if (item.ev.kind == MW_EVENT_CHANNEL_CREATED)
        note_added(s, item.ev.channel_id, 0);
    else if (item.ev.kind == MW_EVENT_USER_ADDED && mine)
        note_added(s, item.ev.channel_id, server_now(s) - ADDED_OVERLAP_MS);
    r = mm_feed_live(&s->feed, &item);
    if (r == -ECANCELED)
        return false;
    if (r < 0) {
        no_memory(s);
        return false;
    }
    if (mm_feed_full(&s->feed))
        pause_sources(s);
    start_added(s);
    return true;
}

static void take_frame(struct mm_session *s, struct mm_frame *f)
{
    if (f->event == MM_FRAME_REPLY) {
        if (!s->live && s->link == LINK_RESUME)
            resumed(s);
        return;
    }
    if (f->event == MM_FRAME_HELLO) {
        take_hello(s, f);
        return;
    }
    if (!s->live && s->link == LINK_FRESH) {
        lose(s, 0, "the server sent an event before its hello");
        return;
    }
    if (f->seq != s->expected) {
        s->stats.sequence_gaps++;
        forget_connection(s);
        lose(s, 0, "event %lld came where %lld was due: connecting again", (long long)f->seq,
             (long long)s->expected);
        return;
    }
    s->expected++;
    if (!s->live)
        resumed(s);
    if (f->event != MM_FRAME_OTHER)
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
        forget_connection(s);
        lose(s, 0, "%s", mw_error_text(&err));
        return;
    }
    take_frame(s, &f);
    mm_frame_deinit(&f);
}

static void on_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    struct mm_session *s = userdata;

    if (how->end == MW_WS_END_REFUSED && (how->http_status == 401 || how->http_status == 403)) {
        refuse(s, mw_error_text(how->err));
        return;
    }
    /* A connection that could not be resumed at all is not tried again as it is. */
    if (s->link == LINK_RESUME && !s->live && how->end != MW_WS_END_CONNECT) {
        s->stats.resume_misses++;
        forget_connection(s);
    }
    lose_with(s, how->retry_after_ms, mw_error_text(how->err));
}

static const struct mw_ws_ops ws_ops = {
    .on_open = on_open,
    .on_message = on_message,
    .on_close = on_close,
};

/* No hello: a wrong token is let in by the upgrade and then met with silence. */
static void on_hello_timer(void *userdata)
{
    struct mm_session *s = userdata;

    s->signed_in = false;
    if (s->link == LINK_RESUME)
        s->stats.resume_misses++;
    forget_connection(s);
    lose(s, 0, "the server let the connection in but sent no hello within %lld s",
         (long long)s->p.hello_timeout_ms / 1000);
}

static void open_socket(struct mm_session *s)
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

    s->link = s->connection_id ? LINK_RESUME : LINK_FRESH;
    if (s->connection_id)
        url = mw_asprintf("%s?connection_id=%s&sequence_number=%lld", s->url, s->connection_id,
                          (long long)s->expected);
    else
        url = strdup(s->url);
    auth = mw_asprintf("Authorization: Bearer %s", mm_client_token(s->p.client));
    if (!url || !auth) {
        mw_secret_free(take_ptr(auth));
        no_memory(s);
        return;
    }
    headers[0] = auth;
    wp.url = url;
    r = mw_ws_connect(s->loop, &wp, &s->ws, &err);
    mw_secret_free(take_ptr(auth));
    if (r < 0) {
        s->ws = NULL;
        lose(s, 0, "%s", mw_error_text(&err));
        return;
    }
    set_state(s, MM_SESSION_CONNECTING, NULL);
}

/* ---- The way in ---- */

static void go_on(struct mm_session *s)
{
    if (!s->p.poll) {
        open_socket(s);
        return;
    }
    s->live = true;
    mm_feed_hold(&s->feed, false);
    mw_backoff_healthy(&s->backoff, mw_clock_mono());
    if (s->run)
        return;
    start_run(s, s->state == MM_SESSION_ONLINE);
    if (s->run && s->state != MM_SESSION_ONLINE)
        set_state(s, MM_SESSION_CATCHING_UP, NULL);
}

static void on_signed_in(struct mm_result *r, void *userdata)
{
    struct mm_session *s = userdata;

    if (r->outcome == MM_CANCELED)
        return;
    if (r->outcome != MM_OK) {
        lose_by_call(s, r->outcome, &r->err, r->retry_after_ms);
        return;
    }
    s->signed_in = true;
    go_on(s);
}

static void connect_now(struct mm_session *s)
{
    s->next_try_at = 0;
    if (s->signed_in) {
        go_on(s);
        return;
    }
    if (mm_client_start(s->p.client, on_signed_in, s) < 0) {
        no_memory(s);
        return;
    }
    set_state(s, MM_SESSION_CONNECTING, NULL);
}

static void on_retry(void *userdata)
{
    connect_now(userdata);
}

static void on_audit(void *userdata)
{
    struct mm_session *s = userdata;

    /* While the owner is slow, what it has not got yet would look like missed. */
    if (s->run || s->feed.paused || !mm_feed_empty(&s->feed)) {
        mw_timer_start(s->audit, s->p.audit_interval_ms);
        return;
    }
    start_run(s, true);
}

/* ---- Interface ---- */

static void defaults(struct mm_session_params *p)
{
    if (!p->poll_interval_ms)
        p->poll_interval_ms = 3000;
    if (!p->hello_timeout_ms)
        p->hello_timeout_ms = 10000;
    if (!p->ping_interval_ms)
        p->ping_interval_ms = 15000;
    if (!p->read_timeout_ms)
        p->read_timeout_ms = 40000;
    if (!p->audit_interval_ms)
        p->audit_interval_ms = 5 * 60 * 1000;
}

int mm_session_new(uv_loop_t *loop, const struct mm_session_params *params, struct mm_session **ret,
                   struct mw_error *err)
{
    const char *endpoint = mm_client_endpoint(params->client);
    struct mm_session *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return mw_error_set(err, -ENOMEM, "out of memory");
    s->loop = loop;
    s->p = *params;
    defaults(&s->p);
    s->floor = s->swept_at = params->baseline_ms;
    s->added_end = &s->added;
    mw_map_init(&s->fetched, free);
    mw_map_init(&s->typed, free);
    mw_backoff_init(&s->backoff, RECONNECT_MIN_MS, RECONNECT_MAX_MS, HEALTHY_MS);
    mw_backoff_init(&s->refused, UNAUTHORIZED_MIN_MS, UNAUTHORIZED_MAX_MS, 0);
    s->url = mw_asprintf("%s/api/v4/websocket", endpoint);
    if (!s->url || mw_str_set(&s->bot, params->bot) < 0 ||
        mw_str_set(&s->proxy, params->proxy) < 0 ||
        mw_timer_new(loop, on_retry, s, &s->retry) < 0 ||
        mw_timer_new(loop, on_hello_timer, s, &s->hello) < 0 ||
        mw_timer_new(loop, on_audit, s, &s->audit) < 0) {
        mm_session_free(s);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    if (mw_starts_with(endpoint, "https:") && (r = mw_tls_new(&params->tls, &s->tls, err)) < 0) {
        mm_session_free(s);
        return r;
    }
    mm_normaliser_init(&s->normaliser, params->client, s->bot);
    r = mm_feed_init(&s->feed, loop, params->client, &s->normaliser, 0, &feed_ops, s);
    if (r < 0) {
        mm_session_free(s);
        return mw_error_set(err, r, "out of memory");
    }
    *ret = s;
    return 0;
}

void mm_session_start(struct mm_session *s)
{
    if (s->started)
        return;
    s->started = true;
    connect_now(s);
}

void mm_session_free(struct mm_session *s)
{
    if (!s)
        return;
    mm_cancel(s->p.client, s);
    mm_catchup_free(s->run);
    mw_ws_free(s->ws);
    mm_feed_deinit(&s->feed);
    mw_timer_free(s->retry);
    mw_timer_free(s->hello);
    mw_timer_free(s->audit);
    clear_added(s);
    mw_map_deinit(&s->fetched);
    mw_map_deinit(&s->typed);
    mw_tls_free(s->tls);
    free(s->connection_id);
    free(s->reason);
    free(s->bot);
    free(s->proxy);
    free(s->url);
    free(s);
}

void mm_session_pause(struct mm_session *s)
{
    mm_feed_pause(&s->feed, true);
}

void mm_session_resume(struct mm_session *s)
{
    mm_feed_pause(&s->feed, false);
}

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

void mm_session_get_stats(const struct mm_session *s, struct mm_session_stats *ret)
{
    *ret = s->stats;
    ret->state = s->state;
    ret->reason = s->reason;
    ret->since = s->state_since;
    ret->next_try_at = s->next_try_at;
    ret->synced_at = s->floor;
}
