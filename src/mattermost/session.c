#include "mattermost/session.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "mattermost/session_impl.h"

enum {
    RECONNECT_MIN_MS = 500,
    RECONNECT_MAX_FACTOR = 60,
    HEALTHY_MS = 60 * 1000,
    UNAUTHORIZED_MIN_MS = 60 * 1000,
    UNAUTHORIZED_MAX_FACTOR = 5,
    MAX_RETRY_AFTER_MS = 10 * 60 * 1000, /* what a server may ask for */
    ADDED_LIMIT = 1000,                  /* channels that wait for a look */
    CLOCK_ERROR_MS = 1000,               /* a Date header is good to a second */
    HOT_CHANNELS = 4,                    /* looked at for edits in every poll */
};

const char *mm_session_state_name(enum mm_session_state state)
{
    static const char *const names[] = {
        [MM_SESSION_STOPPED] = "stopped",         [MM_SESSION_CONNECTING] = "connecting",
        [MM_SESSION_CATCHING_UP] = "catching_up", [MM_SESSION_ONLINE] = "online",
        [MM_SESSION_WAITING] = "waiting",         [MM_SESSION_UNAUTHORIZED] = "unauthorized",
    };

    return names[state];
}

void mm_session_set_state(struct mm_session *s, enum mm_session_state state, const char *reason)
{
    bool same = s->state == state && mw_streq(s->reason, reason);

    if (s->dead)
        return;
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

void mm_session_drop_socket(struct mm_session *s)
{
    mw_ws_free(take_ptr(s->ws));
    s->live = false;
    mw_timer_stop(s->hello);
    mw_timer_stop(s->audit);
}

void mm_session_forget_connection(struct mm_session *s)
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
void mm_session_lose_with(struct mm_session *s, int64_t at_least, const char *reason)
{
    int64_t wait = mw_backoff_next(&s->backoff, mw_clock_mono());

    if (s->dead)
        return;
    mm_session_drop_socket(s);
    if (s->run) {
        drop_run(s);
        mm_session_forget_connection(s);
    }
    wait_until(s, MW_MAX(wait, MW_MIN(at_least, MAX_RETRY_AFTER_MS)));
    mm_session_set_state(s, MM_SESSION_WAITING, reason);
}

void mm_session_lose(struct mm_session *s, int64_t at_least, const char *fmt, ...)
{
    MW_AUTOFREE char *reason = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&reason, fmt, ap) < 0)
        reason = NULL;
    va_end(ap);
    mm_session_lose_with(s, at_least, reason);
}

/* The server knows us no more. It is asked again, slowly: a token can be given back. */
void mm_session_refuse(struct mm_session *s, const char *reason)
{
    mm_session_drop_socket(s);
    if (s->run)
        drop_run(s);
    mm_session_forget_connection(s);
    s->signed_in = false;
    wait_until(s, mw_backoff_next(&s->refused, mw_clock_mono()));
    mm_session_set_state(s, MM_SESSION_UNAUTHORIZED, reason);
}

/* A call failed in a way that ends the connection. */
static void lose_by_call(struct mm_session *s, enum mm_outcome outcome, const struct mw_error *err,
                         int64_t retry_after_ms)
{
    if (outcome == MM_UNAUTHORIZED || outcome == MM_FORBIDDEN)
        mm_session_refuse(s, mw_error_text(err));
    else
        mm_session_lose_with(s, retry_after_ms, mw_error_text(err));
}

/* ---- Catch-up ---- */

/* What was lost for lack of memory is fetched again. */
void mm_session_no_memory(struct mm_session *s)
{
    mw_map_clear(&s->fetched);
    mm_session_forget_connection(s);
    mm_session_lose(s, 0, "out of memory");
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
    if (mm_feed_found_full(&s->feed) && s->run)
        mm_catchup_pause(s->run, true);
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
        mm_session_no_memory(s);
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
            mm_session_start_added(s);
            return;
        }
        lose_by_call(s, r->outcome, r->err, r->retry_after_ms);
        return;
    }
    if (s->run_spoiled) {
        mm_session_no_memory(s);
        return;
    }
    s->run_started_at = r->started_at;
    s->run_overdue = r->overdue;
    s->stats.malformed += r->malformed;
    if (!s->run_is_single) {
        s->stats.channels = r->channels;
        s->stats.skipped = r->skipped;
    }
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
        mm_session_no_memory(s);
        return false;
    }
    s->stats.catch_ups++;
    if (mm_feed_found_full(&s->feed))
        mm_catchup_pause(s->run, true);
    return true;
}

void mm_session_start_run(struct mm_session *s, bool audit)
{
    bool sweep_due = s->p.audit_interval_ms > 0 &&
                     mm_client_server_now(s->p.client) - s->swept_at >= s->p.audit_interval_ms;
    struct mm_catchup_params cp = {
        .floor = s->floor,
        .sweep_floor = s->swept_at,
        .compare_only = audit,
        .overdue_ms = s->p.overdue_ms,
        .overdue_since = audit && !s->p.poll ? s->online_since : 0,
        .hot = audit && s->p.poll ? HOT_CHANNELS : 0,
    };

    cp.sweep = s->floor && (!audit || (s->p.poll && sweep_due));
    s->run_is_audit = audit;
    s->run_is_single = false;
    s->run_sweeps = cp.sweep || s->floor == 0;
    s->first_at = mm_client_server_now(s->p.client) - CLOCK_ERROR_MS;
    begin_run(s, &cp);
}

/* The first of the channels that we were added to. */
void mm_session_start_added(struct mm_session *s)
{
    struct added *a = s->added;
    struct mm_catchup_params cp = {0};

    if (!a || s->run || !s->live)
        return;
    s->added = a->next;
    s->n_added--;
    if (!s->added)
        s->added_end = &s->added;
    cp.only_channel = a->id;
    cp.only_since = a->since;
    s->run_is_audit = true;
    s->run_is_single = true;
    begin_run(s, &cp);
    free(a);
}

void mm_session_clear_added(struct mm_session *s)
{
    while (s->added) {
        struct added *a = s->added;

        s->added = a->next;
        free(a);
    }
    s->added_end = &s->added;
    s->n_added = 0;
}

void mm_session_note_added(struct mm_session *s, const char *channel_id, int64_t since)
{
    struct added *a;

    if (!mw_id_valid(channel_id))
        return;
    for (a = s->added; a; a = a->next)
        if (strcmp(a->id, channel_id) == 0)
            return;
    a = s->n_added < ADDED_LIMIT ? calloc(1, sizeof(*a)) : NULL;
    if (!a) {
        mm_session_no_memory(s); /* a run over all channels sees them */
        return;
    }
    s->n_added++;
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

void mm_session_accepted(struct mm_session *s)
{
    mw_backoff_init(&s->refused, s->p.refused_min_ms, s->p.refused_min_ms * UNAUTHORIZED_MAX_FACTOR,
                    0);
}

static void run_complete(struct mm_session *s)
{
    bool deaf = s->run_overdue > 0;

    drop_run(s);
    /* What a sound socket brought needs no sweep any more. */
    if (!s->run_is_single && !deaf) {
        s->floor = s->run_started_at - CLOCK_ERROR_MS;
        if (s->run_sweeps || !s->p.poll)
            s->swept_at = s->floor;
    }
    if (s->p.poll) {
        mw_backoff_healthy(&s->backoff, mw_clock_mono());
        mm_session_accepted(s);
        mw_timer_start(s->retry, s->p.poll_interval_ms);
        mm_session_set_state(s, MM_SESSION_ONLINE, NULL);
        return;
    }
    if (deaf) {
        mm_session_forget_connection(s);
        mm_session_lose(s, 0, "the socket was silent while %u posts were made: connecting again",
                        s->run_overdue);
        return;
    }
    if (s->p.audit_interval_ms > 0)
        mw_timer_start(s->audit, s->p.audit_interval_ms);
    mm_session_start_added(s);
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
        s->online_since = mm_client_server_now(s->p.client);
        /* A first start has a past from here on: whoever starts next has to look back this far. */
        if (s->floor == 0)
            s->floor = s->swept_at = s->first_at;
        mm_session_set_state(s, MM_SESSION_ONLINE, NULL);
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

    if (s->ws && !mm_feed_live_full(&s->feed))
        mw_ws_resume(s->ws);
    if (s->run && !mm_feed_found_full(&s->feed))
        mm_catchup_pause(s->run, false);
}

static const struct mm_feed_ops feed_ops = {
    .on_item = on_item,
    .on_mark = on_mark,
    .on_room = on_room,
};

/* ---- The way in ---- */

static void go_on(struct mm_session *s)
{
    if (!s->p.poll) {
        mm_session_open_socket(s);
        return;
    }
    s->live = true;
    mm_feed_hold(&s->feed, false);
    if (s->run)
        return;
    mm_session_start_run(s, s->state == MM_SESSION_ONLINE);
    if (s->run && s->state != MM_SESSION_ONLINE)
        mm_session_set_state(s, MM_SESSION_CATCHING_UP, NULL);
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
    s->signed_in_at = mw_clock_mono();
    go_on(s);
}

/* What is learnt at the sign-in (our name, limits of the server) may have changed while nobody told
 * us: behind a gap that cannot be resumed, and now and then when we only poll. */
static bool knows_itself(const struct mm_session *s)
{
    if (!s->signed_in)
        return false;
    if (!s->p.poll)
        return s->connection_id != NULL;
    return s->p.audit_interval_ms < 0 || mw_clock_mono() - s->signed_in_at < s->p.audit_interval_ms;
}

void mm_session_connect(struct mm_session *s)
{
    s->next_try_at = 0;
    if (knows_itself(s)) {
        go_on(s);
        return;
    }
    if (mm_client_start(s->p.client, on_signed_in, s) < 0)
        mm_session_no_memory(s);
    else if (s->state != MM_SESSION_ONLINE)
        mm_session_set_state(s, MM_SESSION_CONNECTING, NULL);
}

static void on_retry(void *userdata)
{
    struct mm_session *s = userdata;

    if (s->ws && s->outlived) {
        mm_session_forget_connection(s);
        mm_session_lose(s, 0, "the server ended the session that this connection was opened with");
    } else {
        mm_session_connect(s);
    }
}

/* 5.37 leaves the socket of a session that it has ended open, but says nothing on it any more, nor
 * keeps it for a resume. */
static void on_renewal(void *userdata)
{
    struct mm_session *s = userdata;

    if (!s->ws)
        return;
    s->outlived = true;
    mw_timer_start(s->retry, 0);
}

static void on_audit(void *userdata)
{
    struct mm_session *s = userdata;

    /* While the owner is slow, what it has not got yet would look like missed. */
    if (s->run || s->feed.paused || !mm_feed_empty(&s->feed)) {
        mw_timer_start(s->audit, s->p.audit_interval_ms);
        return;
    }
    mm_session_start_run(s, true);
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
    if (!p->reconnect_min_ms)
        p->reconnect_min_ms = RECONNECT_MIN_MS;
    if (!p->refused_min_ms)
        p->refused_min_ms = UNAUTHORIZED_MIN_MS;
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
    mw_backoff_init(&s->backoff, s->p.reconnect_min_ms,
                    s->p.reconnect_min_ms * RECONNECT_MAX_FACTOR, HEALTHY_MS);
    mm_session_accepted(s);
    uv_idle_init(loop, &s->handle);
    s->handle.data = s;
    s->url = mw_asprintf("%s/api/v4/websocket", endpoint);
    if (!s->url || mw_str_set(&s->bot, params->bot) < 0 ||
        mw_str_set(&s->proxy, params->proxy) < 0 ||
        mw_timer_new(loop, on_retry, s, &s->retry) < 0 ||
        mw_timer_new(loop, mm_session_no_hello, s, &s->hello) < 0 ||
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
    mm_client_on_renewal(params->client, on_renewal, s);
    *ret = s;
    return 0;
}

void mm_session_start(struct mm_session *s)
{
    if (s->started)
        return;
    s->started = true;
    mm_session_connect(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mm_session *s = handle->data;

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

/* The functions on the stack may still look at it, so its memory goes later. */
void mm_session_retry(struct mm_session *s)
{
    if (s->state != MM_SESSION_WAITING && s->state != MM_SESSION_UNAUTHORIZED)
        return;
    mw_timer_stop(s->retry);
    mm_session_connect(s);
}

void mm_session_free(struct mm_session *s)
{
    if (!s || s->dead)
        return;
    s->dead = true;
    s->live = false;
    mm_cancel(s->p.client, s);
    mm_client_on_renewal(s->p.client, NULL, NULL);
    mm_catchup_free(take_ptr(s->run));
    mw_ws_free(take_ptr(s->ws));
    mm_feed_deinit(&s->feed);
    mw_timer_free(take_ptr(s->retry));
    mw_timer_free(take_ptr(s->hello));
    mw_timer_free(take_ptr(s->audit));
    mm_session_clear_added(s);
    uv_close((uv_handle_t *)&s->handle, on_handle_closed);
}

void mm_session_pause(struct mm_session *s)
{
    mm_feed_pause(&s->feed, true);
}

void mm_session_resume(struct mm_session *s)
{
    mm_feed_pause(&s->feed, false);
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
