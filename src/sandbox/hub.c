#include "sandbox/hub.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "sandbox/rest.h"

#define TICK_MS 500

/* --- frames ------------------------------------------------------------------------------------
 */

static void frame_unref(struct sb_frame *f)
{
    if (f && --f->refs == 0)
        free(f);
}

static struct sb_frame *frame_ref(struct sb_frame *f)
{
    f->refs++;
    return f;
}

static struct sb_frame *frame_new(const struct mw_buf *b)
{
    struct sb_frame *f = mw_buf_error(b) ? NULL : malloc(sizeof(*f) + b->len);

    if (!f)
        return NULL;
    *f = (struct sb_frame){.refs = 1, .len = b->len};
    memcpy(f->data, mw_buf_str(b), b->len);
    return f;
}

static void put_broadcast(struct sb_hub *hub, struct mw_buf *b, const struct sb_broadcast *to)
{
    if (to->omit_user)
        mw_buf_printf(b, "{\"omit_users\":{\"%s\":true}", to->omit_user);
    else
        mw_buf_puts(b, "{\"omit_users\":null");
    mw_buf_printf(b, ",\"user_id\":\"%s\",\"channel_id\":\"%s\",\"team_id\":\"%s\"",
                  to->user_id ? to->user_id : "", to->channel_id ? to->channel_id : "",
                  to->team_id ? to->team_id : "");
    if (!hub->sv->old)
        mw_buf_printf(b, ",\"connection_id\":\"\",\"omit_connection_id\":\"%s\"",
                      to->omit_connection ? to->omit_connection : "");
    mw_buf_putc(b, '}');
}

static struct sb_frame *encode(struct sb_hub *hub, const char *name, const char *members,
                               const char *more, const struct sb_broadcast *to)
{
    struct mw_buf *b = &hub->scratch;

    mw_buf_clear(b);
    mw_buf_append(b, "{\"event\":\"", 10);
    mw_buf_puts(b, name);
    mw_buf_append(b, "\",\"data\":{", 10);
    mw_buf_puts(b, members);
    mw_buf_puts(b, *members || *more != ',' ? more : more + 1);
    mw_buf_append(b, "},\"broadcast\":", 14);
    put_broadcast(hub, b, to);
    if (sb_escape_html(b) < 0)
        return NULL;
    return frame_new(b);
}

/* --- connections -------------------------------------------------------------------------------
 */

static struct sb_conn *conn_new(struct sb_hub *hub)
{
    struct sb_conn *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->hub = hub;
    c->cut_at = -1;
    c->next = hub->conns;
    if (c->next)
        c->next->prev = c;
    hub->conns = c;
    hub->n_conns++;
    return c;
}

static void clear_dead(struct sb_conn *c)
{
    for (size_t i = 0; i < SB_DEAD_QUEUE; i++)
        frame_unref(take_ptr(c->dead[i].frame));
    c->dead_next = c->dead_len = 0;
}

void sb_conn_free(struct sb_conn *c)
{
    struct sb_hub *hub;

    if (!c)
        return;
    hub = c->hub;
    mw_ws_free(take_ptr(c->ws));
    if (c->busy) {
        c->doomed = true;
        return;
    }
    if (c->prev)
        c->prev->next = c->next;
    else
        hub->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    hub->n_conns--;
    for (; c->active_len; c->active_len--) {
        frame_unref(c->active[c->active_head]);
        c->active_head = (c->active_head + 1) % SB_ACTIVE_QUEUE;
    }
    clear_dead(c);
    free(c);
    sb_control_kick(&hub->sv->control);
}

static void leave(struct sb_conn *c)
{
    c->busy--;
    if (c->doomed && !c->busy)
        sb_conn_free(c);
}

size_t sb_hub_count(const struct sb_hub *hub, const struct sb_user *user)
{
    size_t n = 0;

    for (const struct sb_conn *c = hub->conns; c; c = c->next)
        n += c->ws && !c->doomed && c->user && (!user || c->user == user);
    return n;
}

/* The last socket of a person went, or the first came. */
static void set_presence(struct sb_hub *hub, struct sb_user *u, const char *status)
{
    MW_AUTOBUF b = {0};

    if (mw_streq(u->status, status) || (u->manual && !mw_streq(u->status, "offline")))
        return;
    if (mw_str_set(&u->status, status) < 0)
        return;
    u->manual = false;
    u->last_activity_at = sb_now(&hub->sv->state);
    mw_buf_printf(&b, "\"status\":\"%s\",\"user_id\":\"%s\"", status, u->id);
    if (!mw_buf_error(&b))
        sb_publish(hub, "status_change", mw_buf_str(&b), &(struct sb_broadcast){.user_id = u->id});
}

/* The socket is gone. */
static void conn_inactive(struct sb_conn *c)
{
    struct sb_hub *hub = c->hub;

    if (!c->user) {
        sb_conn_free(c);
        return;
    }
    c->frozen = false;
    c->cut_at = -1;
    c->deadline = mw_clock_mono() + SB_INACTIVE_MS;
    if (sb_hub_count(hub, c->user) == 0)
        set_presence(hub, c->user, "offline");
    sb_control_kick(&hub->sv->control);
}

void sb_conn_drop(struct sb_conn *c, bool reset)
{
    struct mw_ws *ws = take_ptr(c->ws);

    if (!ws)
        return;
    if (reset)
        mw_stream_abort(mw_ws_stream(ws), true);
    mw_ws_free(ws);
    conn_inactive(c);
}

/* Fault: a WebSocket frame of which only the first bytes come. */
static int send_cut(struct sb_conn *c, const char *data, size_t len, size_t at)
{
    MW_AUTOBUF b = {0};
    struct mw_stream *stream = mw_ws_stream(c->ws);
    int r;

    mw_buf_putc(&b, (char)0x81);
    if (len < 126) {
        mw_buf_putc(&b, (char)len);
    } else if (len < 65536) {
        mw_buf_putc(&b, 126);
        mw_buf_putc(&b, (char)(len >> 8));
        mw_buf_putc(&b, (char)len);
    } else {
        mw_buf_putc(&b, 127);
        for (int shift = 56; shift >= 0; shift -= 8)
            mw_buf_putc(&b, (char)((uint64_t)len >> shift));
    }
    mw_buf_append(&b, data, len);
    if (mw_buf_error(&b))
        return mw_buf_error(&b);
    r = mw_stream_write(stream, b.data, MW_MIN(at, b.len));
    mw_stream_shutdown(stream);
    return r;
}

static int send_frame(struct sb_conn *c, struct sb_frame *f, int64_t seq)
{
    struct mw_buf *b = &c->hub->scratch;
    char tail[32];
    int n = snprintf(tail, sizeof(tail), ",\"seq\":%" PRId64 "}\n", seq);

    mw_buf_clear(b);
    mw_buf_append(b, f->data, f->len);
    mw_buf_append(b, tail, (size_t)n);
    if (mw_buf_error(b))
        return mw_buf_error(b);
    c->hub->frames++;
    if (c->cut_at >= 0) {
        size_t at = (size_t)c->cut_at;

        c->cut_at = -1;
        return send_cut(c, b->data, b->len, at);
    }
    return mw_ws_send_text(c->ws, b->data, b->len);
}

static void remember(struct sb_conn *c, struct sb_frame *f, int64_t seq)
{
    struct sb_queued *slot = &c->dead[c->dead_next];

    frame_unref(slot->frame);
    *slot = (struct sb_queued){f, seq};
    c->dead_next = (c->dead_next + 1) % SB_DEAD_QUEUE;
    if (c->dead_len < SB_DEAD_QUEUE)
        c->dead_len++;
}

void sb_conn_pump(struct sb_conn *c)
{
    while (c->active_len && c->ws && !c->frozen && !c->doomed &&
           mw_ws_queued(c->ws) < SB_SOCKET_HIGH) {
        struct sb_frame *f = c->active[c->active_head];
        int r = send_frame(c, f, c->seq);

        if (r == -ENOBUFS)
            return;
        if (r < 0) {
            sb_conn_drop(c, false);
            return;
        }
        c->active_head = (c->active_head + 1) % SB_ACTIVE_QUEUE;
        c->active_len--;
        remember(c, f, c->seq++);
    }
}

static void enqueue_once(struct sb_conn *c, struct sb_frame *f)
{
    if (f->droppable && c->active_len >= SB_SLOW_QUEUE) {
        c->hub->dropped++;
        return;
    }
    if (c->active_len == SB_ACTIVE_QUEUE) {
        /* Too slow, or away for too long: the real server forgets it too. */
        c->hub->overflowed++;
        sb_conn_free(c);
        return;
    }
    c->active[(c->active_head + c->active_len) % SB_ACTIVE_QUEUE] = frame_ref(f);
    c->active_len++;
    sb_conn_pump(c);
}

static void enqueue(struct sb_conn *c, struct sb_frame *f)
{
    bool twice = c->twice;

    c->busy++;
    enqueue_once(c, f);
    if (twice && !c->doomed)
        enqueue_once(c, f);
    leave(c);
}

static struct sb_frame *hello_frame(struct sb_conn *c)
{
    char members[256];
    struct sb_server *sv = c->hub->sv;

    snprintf(members, sizeof(members), "\"connection_id\":\"%s\",%s\"server_version\":\"%s\"",
             c->id, sv->old ? "" : "\"server_hostname\":\"sandbox\",", sb_version_id(sv));
    return encode(c->hub, "hello", members, "", &(struct sb_broadcast){.user_id = c->user->id});
}

int sb_conn_hello(struct sb_conn *c, bool new_id)
{
    struct sb_frame *f;

    if (new_id) {
        if (mw_id_new(c->id) < 0)
            return -EIO;
        clear_dead(c);
        c->seq = 0;
    }
    f = hello_frame(c);
    if (!f)
        return -ENOMEM;
    enqueue(c, f);
    frame_unref(f);
    return 0;
}

int sb_conn_login(struct sb_conn *c, struct sb_user *user, const char *session_id)
{
    int r;

    c->user = user;
    snprintf(c->session_id, sizeof(c->session_id), "%s", session_id);
    c->deadline = 0;
    r = sb_conn_hello(c, true);
    if (r == 0)
        set_presence(c->hub, user, "online");
    sb_control_kick(&c->hub->sv->control);
    return r;
}

void sb_conn_freeze(struct sb_conn *c, bool on)
{
    if (!c->ws || c->frozen == on)
        return;
    c->frozen = on;
    if (on) {
        mw_ws_pause(c->ws);
    } else {
        mw_ws_resume(c->ws);
        sb_conn_pump(c);
    }
}

void sb_conn_reply(struct sb_conn *c, const struct mw_buf *json)
{
    if (!c->ws || c->doomed)
        return;
    if (mw_buf_error(json) || mw_ws_send_text(c->ws, mw_buf_str(json), json->len) < 0)
        sb_conn_drop(c, false);
}

/* --- the socket --------------------------------------------------------------------------------
 */

static void on_message(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata)
{
    struct sb_conn *c = userdata;
    MW_AUTOJSON *json = NULL;
    bool keep;

    /* Binary frames are msgpack on the real server; no client that we know sends them. */
    if (!text || mw_json_parse(data, len, &json, NULL) < 0 || !cJSON_IsObject(json)) {
        sb_conn_drop(c, false);
        return;
    }
    c->busy++;
    keep = sb_action(c, json);
    if (!keep)
        sb_conn_free(c);
    leave(c);
}

static void on_drain(struct mw_ws *ws, void *userdata)
{
    struct sb_conn *c = userdata;

    c->busy++;
    sb_conn_pump(c);
    leave(c);
    sb_control_kick(&c->hub->sv->control);
}

static void on_close(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata)
{
    sb_conn_drop(userdata, false);
}

static const struct mw_ws_ops ws_ops = {
    .on_message = on_message,
    .on_drain = on_drain,
    .on_close = on_close,
};

/* Writes again what the client has missed. Returns 0 or a negative errno. */
static int replay(struct sb_conn *c, size_t first)
{
    size_t oldest = (c->dead_next + SB_DEAD_QUEUE - c->dead_len) % SB_DEAD_QUEUE;

    for (size_t i = first; i < c->dead_len && c->ws; i++) {
        const struct sb_queued *sent = &c->dead[(oldest + i) % SB_DEAD_QUEUE];
        int r = send_frame(c, sent->frame, sent->seq);

        if (r < 0)
            return r;
        c->seq = sent->seq + 1;
    }
    return 0;
}

/* platform/web_conn.go: what a client that comes back gets. */
static int resume(struct sb_conn *c, int64_t wanted)
{
    size_t oldest = (c->dead_next + SB_DEAD_QUEUE - c->dead_len) % SB_DEAD_QUEUE;
    struct sb_frame *f;
    int r;

    if (wanted == 0) { /* a client that does not know what it saw: the numbers start anew */
        c->seq = 0;
        return 0;
    }
    for (size_t i = 0; i < c->dead_len; i++)
        if (c->dead[(oldest + i) % SB_DEAD_QUEUE].seq == wanted)
            return replay(c, i);
    if (c->dead_len == 0 || c->seq == wanted) {
        c->seq = wanted;
        return 0;
    }
    if (mw_id_new(c->id) < 0)
        return -EIO;
    clear_dead(c);
    c->seq = 0;
    f = hello_frame(c);
    if (!f)
        return -ENOMEM;
    r = send_frame(c, f, c->seq);
    remember(c, frame_ref(f), c->seq++);
    if (r == 0 && c->hub->sv->old) {
        enqueue(c, f);
        c->twice = true;
    }
    frame_unref(f);
    return r;
}

static struct sb_conn *find_inactive(struct sb_hub *hub, const char *id, const struct sb_user *u)
{
    for (struct sb_conn *c = hub->conns; c; c = c->next)
        if (!c->ws && !c->doomed && c->user == u && mw_streq(c->id, id))
            return c;
    return NULL;
}

static int attach(struct sb_conn *c, int fd, const char *early, size_t early_len)
{
    const struct mw_ws_params params = {
        .read_timeout_ms = SB_PONG_MS,
        .max_message = SB_CLIENT_MAX,
        .write_limit = 4 * SB_SOCKET_HIGH,
        .ops = &ws_ops,
        .userdata = c,
    };

    c->next_ping = mw_clock_mono() + SB_PING_MS;
    return mw_ws_accept(&c->hub->sv->loop, fd, early, early_len, &params, &c->ws);
}

static void on_upgraded(uv_loop_t *loop, int fd, const char *early, size_t early_len,
                        void *userdata)
{
    struct sb_req *q = userdata;
    struct sb_hub *hub = &q->sv->hub;
    const char *id = q->p[0];
    struct sb_conn *c = q->user && id ? find_inactive(hub, id, q->user) : NULL;
    bool back = c != NULL;
    int r;

    if (!c)
        c = conn_new(hub);
    if (!c)
        return;
    c->busy++;
    r = attach(c, fd, early, early_len);
    if (r == 0 && back) {
        snprintf(c->session_id, sizeof(c->session_id), "%s", q->session->id);
        r = resume(c, q->sequence);
        if (r == 0) {
            sb_conn_pump(c);
            set_presence(hub, c->user, "online");
        }
        sb_control_kick(&hub->sv->control);
    } else if (r == 0 && q->user) {
        r = sb_conn_login(c, q->user, q->session->id);
    } else if (r == 0) {
        c->deadline = mw_clock_mono() + SB_AUTH_MS;
    }
    if (r < 0)
        sb_conn_free(c);
    leave(c);
}

/* Accepts the upgrade and hangs up: a fault, and what a bad resume gets. */
static void on_upgraded_hang_up(uv_loop_t *loop, int fd, const char *early, size_t early_len,
                                void *userdata)
{
    struct sb_req *q = userdata;
    struct sb_conn *c = conn_new(&q->sv->hub);

    if (!c)
        return;
    if (attach(c, fd, early, early_len) == 0)
        sb_conn_drop(c, false);
    else
        sb_conn_free(c);
}

static bool origin_is_fine(struct sb_req *q)
{
    const char *origin = mw_httpd_header(q->http, "Origin");
    const char *host = mw_httpd_header(q->http, "Host");
    const char *name = origin ? strstr(origin, "://") : NULL;

    return !origin || (name && mw_streq(name + 3, host));
}

static int refuse_upgrade(struct sb_req *q)
{
    struct sb_control *control = &q->sv->control;
    char text[24];

    if (control->refuse_upgrades > 0)
        control->refuse_upgrades--;
    if (control->refuse_retry_after >= 0) {
        snprintf(text, sizeof(text), "%" PRId64, control->refuse_retry_after);
        if (mw_httpd_add_header(q->http, "Retry-After", text) < 0)
            return -ENOMEM;
    }
    return sb_reply_raw(q, control->refuse_status, "text/plain",
                        control->refuse_body ? control->refuse_body : "",
                        control->refuse_body ? strlen(control->refuse_body) : 0);
}

int sb_hub_upgrade(struct sb_req *q)
{
    struct sb_control *control = &q->sv->control;
    const char *key = mw_httpd_header(q->http, "Sec-WebSocket-Key");
    const char *id = sb_query(q, "connection_id");
    const char *seq = sb_query(q, "sequence_number");
    char accept[29], *end = NULL;
    mw_httpd_upgrade_cb cb = on_upgraded;

    if (control->refuse_upgrades)
        return refuse_upgrade(q);
    if (!key || mw_ws_accept_key(key, accept) < 0 || !origin_is_fine(q) ||
        mw_httpd_add_header(q->http, "Sec-WebSocket-Accept", accept) < 0)
        return sb_fail(q, 400, "api.web_socket.connect.upgrade.app_error",
                       "URL Blocked because of CORS.");
    if (control->hang_up > 0) {
        control->hang_up--;
        cb = on_upgraded_hang_up;
    } else if (id && *id && q->user) {
        long long n = seq && *seq ? strtoll(seq, &end, 10) : -1;

        if (!mw_id_valid(id) || n < 0 || (end && *end))
            cb = on_upgraded_hang_up;
        q->sequence = n;
    }
    q->p[0] = id;
    mw_httpd_upgrade(q->http, cb, q);
    return 0;
}

/* --- fan-out -----------------------------------------------------------------------------------
 */

static bool concerns(const struct sb_conn *c, const struct sb_broadcast *to)
{
    if (!c->user || c->doomed)
        return false;
    if (to->omit_user && mw_streq(c->user->id, to->omit_user))
        return false;
    if (to->omit_connection && mw_streq(c->id, to->omit_connection))
        return false;
    if (to->user_id)
        return mw_streq(c->user->id, to->user_id);
    if (to->channel)
        return sb_member_of(to->channel, c->user->id) != NULL;
    if (to->team)
        return sb_team_member_of(to->team, c->user->id) != NULL;
    return true;
}

static bool is_droppable(const char *name)
{
    return mw_streq(name, "typing") || mw_streq(name, "status_change") ||
           mw_streq(name, "multiple_channels_viewed") || mw_streq(name, "channel_viewed");
}

/* The frame for one reader, with a reference; NULL when memory ran out. */
static struct sb_frame *frame_for(struct sb_conn *c, const char *name, const char *members,
                                  const struct sb_broadcast *to, struct sb_frame **shared)
{
    MW_AUTOBUF more = {0};

    if (to->personal)
        to->personal(&more, c->user, to->arg);
    if (mw_buf_error(&more))
        return NULL;
    if (more.len)
        return encode(c->hub, name, members, mw_buf_str(&more), to);
    if (!*shared)
        *shared = encode(c->hub, name, members, "", to);
    return *shared ? frame_ref(*shared) : NULL;
}

void sb_publish(struct sb_hub *hub, const char *name, const char *members,
                const struct sb_broadcast *to)
{
    struct sb_frame *shared = NULL;
    bool droppable = is_droppable(name);
    struct sb_conn *next;

    hub->events++;
    for (struct sb_conn *c = hub->conns; c; c = next) {
        struct sb_frame *f;

        next = c->next;
        if (!concerns(c, to))
            continue;
        f = frame_for(c, name, members, to, &shared);
        if (!f) { /* it would miss an event without knowing */
            sb_conn_free(c);
            continue;
        }
        f->droppable = droppable;
        enqueue(c, f);
        frame_unref(f);
    }
    frame_unref(shared);
}

void sb_hub_kick(struct sb_hub *hub, const char *user_id, const char *session_id)
{
    struct sb_conn *next;

    for (struct sb_conn *c = hub->conns; c; c = next) {
        next = c->next;
        if (c->user && mw_streq(c->user->id, user_id) &&
            (!session_id || mw_streq(c->session_id, session_id)))
            sb_conn_free(c);
    }
}

size_t sb_hub_backlog(const struct sb_hub *hub, const struct sb_channel *channel)
{
    size_t most = 0;

    for (const struct sb_conn *c = hub->conns; c; c = c->next)
        if (c->ws && c->user && sb_member_of(channel, c->user->id))
            most = MW_MAX(most, c->active_len);
    return most;
}

static void on_tick(uv_timer_t *timer)
{
    struct sb_hub *hub = timer->data;
    int64_t now = mw_clock_mono();
    struct sb_conn *next;

    for (struct sb_conn *c = hub->conns; c; c = next) {
        next = c->next;
        if (c->deadline && now >= c->deadline && (!c->ws || !c->user)) {
            sb_conn_free(c);
        } else if (c->ws && !c->frozen && now >= c->next_ping) {
            c->next_ping = now + SB_PING_MS;
            if (mw_ws_ping(c->ws) < 0)
                sb_conn_drop(c, false);
        }
    }
}

int sb_hub_init(struct sb_hub *hub, struct sb_server *sv)
{
    *hub = (struct sb_hub){.sv = sv};
    uv_timer_init(&sv->loop, &hub->timer);
    hub->timer.data = hub;
    return uv_timer_start(&hub->timer, on_tick, TICK_MS, TICK_MS);
}

void sb_hub_deinit(struct sb_hub *hub)
{
    if (!hub->sv)
        return;
    while (hub->conns)
        sb_conn_free(hub->conns);
    mw_buf_deinit(&hub->scratch);
    uv_close((uv_handle_t *)&hub->timer, NULL);
}
