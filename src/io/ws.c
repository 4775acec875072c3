#include "io/ws.h"

#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/utf8.h"
#include "io/handle.h"
#include "io/handshake.h"
#include "io/head.h"

#define DEFAULT_TIMEOUT_MS  30000
#define DEFAULT_MAX_MESSAGE (4u << 20)
#define DEFAULT_WRITE_LIMIT (1u << 20)
#define CONTROL_ROOM        4096 /* bytes kept free for pongs and the close frame */
#define CLOSE_MS            5000 /* how long the answer to a close frame may take */
#define REFUSAL_MS          1000 /* how long the body of a refusal may take */
#define HANDSHAKE_LIMIT     (MW_HEAD_LIMIT + 65536) /* bytes read before frames are looked at */
#define IDLE_BUFFER         65536 /* a buffer that is larger gives its memory back when empty */
#define NEVER               INT64_MAX

enum state {
    W_CONNECT,
    W_HANDSHAKE,
    W_OPEN,
    W_CLOSING, /* our close frame is out, the peer's is awaited */
    W_ENDING,  /* the stream is being ended, the reason is noted */
    W_DEAD,
};

struct mw_ws {
    uv_loop_t *loop;
    const struct mw_ws_ops *ops;
    void *userdata;
    enum state state;
    unsigned depth; /* functions that still use the object after a callback */
    bool freed, paused, kicked, server;
    struct mw_stream *stream;
    struct mw_timer *timer;
    /* Loop times; NEVER = not set. One timer serves the nearest. */
    int64_t handshake_at, ping_at, close_at;
    int64_t last_read, handshake_deadline;
    int64_t ping_interval_ms, read_timeout_ms, handshake_timeout_ms;
    size_t max_message, write_limit;
    char *name; /* the other side, for sentences */
    char key[MW_WS_KEY_SIZE];
    struct mw_buf request; /* holds secrets */
    struct mw_buf in;      /* read and not looked at: the handshake, or while paused */
    struct wslay_frame_context *frames;
    const char *cur; /* what wslay reads from */
    size_t cur_len;
    /* The frame and the message at hand. */
    bool in_frame, in_message, text;
    uint64_t frame_done;
    struct mw_buf message;
    uint8_t control[125];
    size_t control_len;
    struct mw_buf out; /* one frame */
    struct mw_ws_close how;
    struct mw_error err;
};

static void destroy(struct mw_ws *ws)
{
    if (ws->request.data)
        explicit_bzero(ws->request.data, ws->request.len);
    mw_buf_deinit(&ws->request);
    mw_buf_deinit(&ws->in);
    mw_buf_deinit(&ws->message);
    mw_buf_deinit(&ws->out);
    wslay_frame_context_free(ws->frames);
    mw_error_reset(&ws->err);
    free(ws->name);
    free(ws);
}

static void enter(struct mw_ws *ws)
{
    ws->depth++;
}

static void leave(struct mw_ws *ws)
{
    if (--ws->depth == 0 && ws->freed)
        destroy(ws);
}

void mw_ws_free(struct mw_ws *ws)
{
    if (!ws || ws->freed)
        return;
    ws->state = W_DEAD;
    ws->freed = true;
    mw_stream_free(take_ptr(ws->stream));
    mw_timer_free(take_ptr(ws->timer));
    if (ws->depth == 0)
        destroy(ws);
}

static int64_t now_of(const struct mw_ws *ws)
{
    return (int64_t)uv_now(ws->loop);
}

static bool reading(const struct mw_ws *ws)
{
    return (ws->state == W_OPEN || ws->state == W_CLOSING) && !ws->paused;
}

static int64_t read_deadline(const struct mw_ws *ws)
{
    return ws->read_timeout_ms > 0 && reading(ws) ? ws->last_read + ws->read_timeout_ms : NEVER;
}

/* Sets the timer for what comes next. */
static void update(struct mw_ws *ws)
{
    int64_t at;

    if (ws->state == W_DEAD)
        return;
    at = MW_MIN(MW_MIN(ws->handshake_at, ws->ping_at), MW_MIN(ws->close_at, read_deadline(ws)));
    if (ws->kicked)
        mw_timer_start(ws->timer, 0);
    else if (at != NEVER)
        mw_timer_start(ws->timer, at - now_of(ws));
    else
        mw_timer_stop(ws->timer);
}

/* Tells the end; the stream is gone before. What is noted in how and err first wins. */
static void finish(struct mw_ws *ws, enum mw_ws_end end, const struct mw_error *why)
{
    if (ws->state == W_DEAD)
        return;
    if (ws->state != W_ENDING) {
        ws->how.end = end;
        if (why->code)
            mw_error_set(&ws->err, why->code, "%s", mw_error_text(why));
        else
            mw_error_set(&ws->err, -ECONNRESET,
                         "%s ended the connection without a WebSocket close frame", ws->name);
    }
    ws->state = W_DEAD;
    mw_stream_abort(ws->stream, false);
    mw_timer_stop(ws->timer);
    ws->how.err = &ws->err;
    ws->ops->on_close(ws, &ws->how, ws->userdata);
}

/* Notes the end and lets the stream go once all is written; on_close comes when it is gone. */
static void end(struct mw_ws *ws, enum mw_ws_end how)
{
    if (ws->state >= W_ENDING)
        return;
    ws->how.end = how;
    ws->state = W_ENDING;
    ws->handshake_at = ws->ping_at = NEVER;
    ws->close_at = now_of(ws) + CLOSE_MS;
    mw_stream_shutdown(ws->stream);
    mw_stream_resume(ws->stream);
}

static void lose(struct mw_ws *ws)
{
    mw_error_set(&ws->err, -ENOMEM, "the WebSocket to %s ends: out of memory", ws->name);
    end(ws, MW_WS_END_LOST);
}

static ssize_t take_bytes(uint8_t *buf, size_t len, int flags, void *userdata)
{
    struct mw_ws *ws = userdata;
    size_t n = MW_MIN(len, ws->cur_len);

    if (n == 0)
        return -1; /* wants more */
    memcpy(buf, ws->cur, n);
    ws->cur += n;
    ws->cur_len -= n;
    return (ssize_t)n;
}

static ssize_t put_bytes(const uint8_t *data, size_t len, int flags, void *userdata)
{
    struct mw_ws *ws = userdata;

    return mw_buf_append(&ws->out, data, len) < 0 ? -1 : (ssize_t)len;
}

static int make_mask(uint8_t *buf, size_t len, void *userdata)
{
    return RAND_bytes(buf, (int)len) == 1 ? 0 : -1;
}

static int init_frames(struct mw_ws *ws)
{
    static const struct wslay_frame_callbacks callbacks = {put_bytes, take_bytes, make_mask};

    return wslay_frame_context_init(&ws->frames, &callbacks, ws) == 0 ? 0 : -ENOMEM;
}

static int send_frame(struct mw_ws *ws, uint8_t opcode, const void *data, size_t len, size_t limit)
{
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = opcode,
                                     .payload_length = len,
                                     .mask = !ws->server,
                                     .data = data,
                                     .data_length = len};
    int r;

    if (ws->state != W_OPEN)
        return -EPIPE;
    if (len > limit || mw_stream_queued(ws->stream) + 14 > limit - len)
        return -ENOBUFS;
    mw_buf_clear(&ws->out);
    do {
        ssize_t n = wslay_frame_send(ws->frames, &frame);

        if (n < 0) {
            lose(ws); /* wslay is in the middle of a frame: nothing more can be sent */
            return -ENOMEM;
        }
        frame.data += n;
        frame.data_length -= (size_t)n;
    } while (frame.data_length);
    r = mw_stream_write(ws->stream, ws->out.data, ws->out.len);
    if (ws->out.cap > IDLE_BUFFER)
        mw_buf_deinit(&ws->out);
    return r;
}

static int send_control(struct mw_ws *ws, uint8_t opcode, const void *data, size_t len)
{
    return send_frame(ws, opcode, data, len, ws->write_limit + CONTROL_ROOM);
}

static void send_close(struct mw_ws *ws, int code, const char *reason)
{
    uint8_t payload[125] = {(uint8_t)(code >> 8), (uint8_t)code};
    size_t len = reason ? MW_MIN(strlen(reason), sizeof(payload) - 2) : 0;

    if (len)
        memcpy(payload + 2, reason, len);
    /* A failure shows as the end of the stream. */
    if (send_control(ws, WSLAY_CONNECTION_CLOSE, payload, code ? len + 2 : 0) < 0)
        mw_stream_shutdown(ws->stream);
}

/* The peer broke the protocol or a limit: says so and ends. */
static void fail(struct mw_ws *ws, int code, const char *what)
{
    if (ws->state >= W_ENDING)
        return;
    mw_error_set(&ws->err, code == WSLAY_CODE_MESSAGE_TOO_BIG ? -E2BIG : -EPROTO,
                 "%s broke the WebSocket protocol: %s", ws->name, what);
    ws->how.close_code = code;
    send_close(ws, code, what);
    end(ws, MW_WS_END_PROTOCOL);
}

static bool valid_close_code(int code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static void got_close(struct mw_ws *ws)
{
    const char *reason = (const char *)ws->control + 2;
    size_t len = ws->control_len > 2 ? ws->control_len - 2 : 0;
    int code = ws->control_len < 2 ? 1005 : ws->control[0] << 8 | ws->control[1];

    if (ws->control_len == 1 || (code != 1005 && !valid_close_code(code)) ||
        (ws->control_len >= 2 && code == 1005)) {
        fail(ws, 1002, "an invalid close frame");
        return;
    }
    if (!mw_utf8_valid(reason, len)) {
        fail(ws, 1007, "a close reason that is not UTF-8");
        return;
    }
    ws->how.close_code = code;
    mw_error_set(&ws->err, -ECONNRESET, "%s closed the WebSocket with code %d%s%.*s", ws->name,
                 code, len ? ": " : "", (int)len, reason);
    if (ws->state == W_OPEN)
        send_close(ws, code == 1005 ? 0 : code, NULL);
    end(ws, MW_WS_END_CLOSED);
}

static void got_control(struct mw_ws *ws, uint8_t opcode)
{
    switch (opcode) {
    case WSLAY_CONNECTION_CLOSE:
        got_close(ws);
        break;
    case WSLAY_PING:
        /* A peer that asks and does not read gets no answer beyond the limit (the queue is full of
         * what it has not read). */
        if (send_control(ws, WSLAY_PONG, ws->control, ws->control_len) == -ENOMEM)
            lose(ws);
        break;
    default:
        break;
    }
}

static void deliver(struct mw_ws *ws, const char *data, size_t len)
{
    ws->in_message = false;
    if (ws->text && !mw_utf8_valid(data, len))
        fail(ws, 1007, "a text message that is not UTF-8");
    else
        ws->ops->on_message(ws, ws->text, data, len, ws->userdata);
}

/* The rules for the start of a frame; false = the connection ends. */
static bool check_frame(struct mw_ws *ws, const struct wslay_frame_iocb *f)
{
    const char *fault = NULL;

    if (f->rsv)
        fault = "a reserved bit is set";
    else if (f->mask != ws->server)
        fault = ws->server ? "a frame without a mask" : "a frame with a mask";
    else if (f->opcode > WSLAY_PONG || (f->opcode > WSLAY_BINARY_FRAME && f->opcode < 8))
        fault = "an unknown kind of frame";
    else if (f->opcode == WSLAY_CONTINUATION_FRAME && !ws->in_message)
        fault = "a continuation of nothing";
    else if ((f->opcode == WSLAY_TEXT_FRAME || f->opcode == WSLAY_BINARY_FRAME) && ws->in_message)
        fault = "a new message inside another";
    if (fault) {
        fail(ws, 1002, fault);
        return false;
    }
    if (!wslay_is_ctrl_frame(f->opcode) && f->payload_length > ws->max_message - ws->message.len) {
        fail(ws, 1009, "a message over the limit");
        return false;
    }
    if (f->opcode == WSLAY_TEXT_FRAME || f->opcode == WSLAY_BINARY_FRAME) {
        ws->in_message = true;
        ws->text = f->opcode == WSLAY_TEXT_FRAME;
    }
    return true;
}

static void got_data(struct mw_ws *ws, const struct wslay_frame_iocb *f, bool whole, bool last)
{
    /* A message that lies whole in wslay's buffer is handed out from there. */
    if (whole && f->fin && ws->message.len == 0) {
        deliver(ws, (const char *)f->data, f->data_length);
        return;
    }
    if (mw_buf_append(&ws->message, f->data, f->data_length) < 0) {
        lose(ws);
        return;
    }
    if (!last || !f->fin)
        return;
    deliver(ws, mw_buf_str(&ws->message), ws->message.len);
    if (ws->message.cap > IDLE_BUFFER)
        mw_buf_deinit(&ws->message);
    mw_buf_clear(&ws->message);
}

/* A piece of a frame, as wslay hands it out. */
static void got_piece(struct mw_ws *ws, const struct wslay_frame_iocb *f)
{
    bool first = !ws->in_frame, last;

    if (first) {
        ws->frame_done = 0;
        ws->control_len = 0;
        if (!check_frame(ws, f))
            return;
    }
    ws->frame_done += f->data_length;
    last = ws->frame_done == f->payload_length;
    ws->in_frame = !last;
    if (!wslay_is_ctrl_frame(f->opcode)) {
        got_data(ws, f, first && last, last);
        return;
    }
    memcpy(ws->control + ws->control_len, f->data, f->data_length);
    ws->control_len += f->data_length;
    if (last)
        got_control(ws, f->opcode);
}

/* Reads frames from cur until it is empty or the owner pauses, frees or ends. */
static void consume(struct mw_ws *ws)
{
    while (reading(ws)) {
        struct wslay_frame_iocb frame = {0};
        ssize_t n = wslay_frame_recv(ws->frames, &frame);

        if (n == WSLAY_ERR_WANT_READ)
            return;
        if (n < 0) {
            fail(ws, 1002, "a malformed frame");
            return;
        }
        got_piece(ws, &frame);
    }
}

/* New bytes, behind those that are kept. */
static void feed(struct mw_ws *ws, const char *data, size_t len)
{
    MW_AUTOBUF kept = ws->in; /* taken over */

    mw_buf_init(&ws->in, 0);
    if (kept.len) {
        if (mw_buf_append(&kept, data, len) < 0) {
            lose(ws);
            return;
        }
        data = kept.data;
        len = kept.len;
    }
    ws->cur = data;
    ws->cur_len = len;
    consume(ws);
    if (ws->state <= W_CLOSING && ws->cur_len && mw_buf_append(&ws->in, ws->cur, ws->cur_len) < 0)
        lose(ws);
    ws->cur_len = 0;
}

static void become_open(struct mw_ws *ws)
{
    int64_t now = now_of(ws);

    ws->state = W_OPEN;
    ws->handshake_at = NEVER;
    ws->last_read = now;
    ws->ping_at = ws->ping_interval_ms > 0 ? now + ws->ping_interval_ms : NEVER;
    if (ws->paused)
        mw_stream_pause(ws->stream);
}

static void judge(struct mw_ws *ws, bool whole)
{
    struct mw_handshake_answer answer = {0};
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOBUF rest = {0};

    switch (mw_handshake_judge(mw_buf_str(&ws->in), ws->in.len, ws->key, ws->name, mw_clock_now(),
                               &answer, &err)) {
    case MW_HANDSHAKE_MORE:
        if (whole) {
            mw_error_set(&err, -ECONNRESET,
                         "%s ended the connection before it answered the WebSocket upgrade",
                         ws->name);
            finish(ws, MW_WS_END_HANDSHAKE, &err);
        }
        return;
    case MW_HANDSHAKE_REFUSED:
        ws->how.end = MW_WS_END_REFUSED;
        ws->handshake_at = MW_MIN(ws->handshake_at, now_of(ws) + REFUSAL_MS);
        if (answer.body_wanted && !whole)
            return;
        ws->how.http_status = answer.status;
        ws->how.retry_after_ms = answer.retry_after_ms;
        finish(ws, MW_WS_END_REFUSED, &err);
        return;
    case MW_HANDSHAKE_BAD:
        finish(ws, MW_WS_END_HANDSHAKE, &err);
        return;
    case MW_HANDSHAKE_OK:
        break;
    }
    mw_buf_consume(&ws->in, answer.size);
    become_open(ws);
    ws->ops->on_open(ws, ws->userdata);
    if (ws->state > W_CLOSING)
        return;
    rest = ws->in;
    mw_buf_init(&ws->in, 0);
    feed(ws, mw_buf_str(&rest), rest.len);
}

static void on_stream_open(struct mw_stream *s, void *userdata)
{
    struct mw_ws *ws = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r;

    if (ws->state != W_CONNECT)
        return;
    enter(ws);
    ws->state = W_HANDSHAKE;
    ws->handshake_at = ws->handshake_deadline;
    r = mw_stream_write(s, ws->request.data, ws->request.len);
    explicit_bzero(ws->request.data, ws->request.len);
    mw_buf_deinit(&ws->request);
    if (r < 0 && r != -EPIPE) { /* a broken connection tells its end itself */
        mw_error_set(&err, r, "cannot ask %s for a WebSocket: %s", ws->name, strerror(-r));
        finish(ws, MW_WS_END_HANDSHAKE, &err);
    }
    update(ws);
    leave(ws);
}

static void on_stream_data(struct mw_stream *s, const char *data, size_t len, void *userdata)
{
    struct mw_ws *ws = userdata;

    enter(ws);
    ws->last_read = now_of(ws);
    if (ws->state == W_HANDSHAKE) {
        MW_AUTOERROR err = MW_ERROR_INIT;

        if (mw_buf_append(&ws->in, data, len) < 0) {
            mw_error_set(&err, mw_buf_error(&ws->in), "%s answered the upgrade with too much",
                         ws->name);
            finish(ws, MW_WS_END_HANDSHAKE, &err);
        } else {
            judge(ws, false);
        }
    } else {
        feed(ws, data, len);
    }
    update(ws);
    leave(ws);
}

static void on_stream_drain(struct mw_stream *s, void *userdata)
{
    struct mw_ws *ws = userdata;

    enter(ws);
    if (ws->state == W_OPEN && ws->ops->on_drain)
        ws->ops->on_drain(ws, ws->userdata);
    update(ws);
    leave(ws);
}

static void on_stream_close(struct mw_stream *s, enum mw_stream_stage stage,
                            const struct mw_error *err, void *userdata)
{
    struct mw_ws *ws = userdata;

    enter(ws);
    ws->how.stage = stage;
    if (ws->state == W_CONNECT)
        finish(ws, MW_WS_END_CONNECT, err);
    else if (ws->state == W_HANDSHAKE && (err->code == 0 || ws->how.end == MW_WS_END_REFUSED))
        judge(ws, true);
    else if (ws->state == W_HANDSHAKE)
        finish(ws, MW_WS_END_HANDSHAKE, err);
    else
        finish(ws, MW_WS_END_LOST, err);
    leave(ws);
}

static const struct mw_stream_ops stream_ops = {
    .on_open = on_stream_open,
    .on_data = on_stream_data,
    .on_drain = on_stream_drain,
    .on_close = on_stream_close,
};

static void time_out(struct mw_ws *ws, const char *what, int64_t after_ms)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    mw_error_set(&err, -ETIMEDOUT, "%s %s within %.1f s", ws->name, what, (double)after_ms / 1000);
    finish(ws, MW_WS_END_TIMEOUT, &err);
}

static void on_timer(void *userdata)
{
    struct mw_ws *ws = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int64_t now = now_of(ws);

    enter(ws);
    if (ws->kicked) {
        ws->kicked = false;
        if (ws->state >= W_OPEN) {
            feed(ws, NULL, 0);
        } else {
            mw_error_set(&err, -ECANCELED, "the WebSocket to %s was closed before it was open",
                         ws->name);
            finish(ws, MW_WS_END_LOST, &err);
        }
    } else if (now >= ws->close_at) {
        time_out(ws, "did not answer the close frame", CLOSE_MS);
    } else if (now >= ws->handshake_at && ws->how.end == MW_WS_END_REFUSED) {
        judge(ws, true);
    } else if (now >= ws->handshake_at) {
        time_out(ws, "did not answer the WebSocket upgrade", ws->handshake_timeout_ms);
    } else if (now >= read_deadline(ws)) {
        time_out(ws, "sent nothing", ws->read_timeout_ms);
    } else if (now >= ws->ping_at) {
        ws->ping_at = now + ws->ping_interval_ms;
        if (ws->state == W_OPEN && mw_ws_ping(ws) == -ENOMEM)
            lose(ws);
    }
    update(ws);
    leave(ws);
}

static int create(uv_loop_t *loop, const struct mw_ws_params *p, bool server, struct mw_ws **ret)
{
    struct mw_ws *ws = calloc(1, sizeof(*ws));
    int r;

    if (!ws)
        return -ENOMEM;
    *ws = (struct mw_ws){
        .loop = loop,
        .ops = p->ops,
        .userdata = p->userdata,
        .server = server,
        .handshake_at = NEVER,
        .ping_at = NEVER,
        .close_at = NEVER,
        .ping_interval_ms = p->ping_interval_ms,
        .read_timeout_ms = p->read_timeout_ms,
        .handshake_timeout_ms =
            p->handshake_timeout_ms > 0 ? p->handshake_timeout_ms : DEFAULT_TIMEOUT_MS,
        .max_message = p->max_message ? p->max_message : DEFAULT_MAX_MESSAGE,
        .write_limit = p->write_limit ? p->write_limit : DEFAULT_WRITE_LIMIT,
        .how = {.retry_after_ms = -1},
    };
    r = mw_timer_new(loop, on_timer, ws, &ws->timer);
    if (r == 0)
        r = init_frames(ws);
    if (r < 0) {
        mw_ws_free(ws);
        return r;
    }
    *ret = ws;
    return 0;
}

static int start(struct mw_ws *ws, const struct mw_ws_params *p, struct mw_url *url,
                 struct mw_error *err)
{
    struct mw_stream_params sp = {.proxy = p->proxy,
                                  .connect_timeout_ms = ws->handshake_timeout_ms,
                                  .write_limit = ws->write_limit + 2 * CONTROL_ROOM,
                                  .ops = &stream_ops,
                                  .userdata = ws};
    bool secure;
    int r = mw_url_parse(p->url, 0, url);

    if (r == -EINVAL)
        return mw_error_set(err, r, "not a URL: %s", p->url);
    if (r < 0)
        return r;
    secure = mw_streq(url->scheme, "wss") || mw_streq(url->scheme, "https");
    if (!secure && !mw_streq(url->scheme, "ws") && !mw_streq(url->scheme, "http"))
        return mw_error_set(err, -EINVAL, "not the URL of a WebSocket: %s", p->url);
    if (secure && !p->tls)
        return mw_error_set(err, -EINVAL, "no TLS context for %s", p->url);
    if (!url->port_given)
        url->port = secure ? 443 : 80;
    ws->name =
        url->port_given ? mw_asprintf("%s port %u", url->host, url->port) : strdup(url->host);
    if (!ws->name)
        return -ENOMEM;
    r = mw_handshake_key(ws->key);
    if (r == 0)
        r = mw_handshake_request(&ws->request, url, ws->key, p->headers, err);
    if (r < 0)
        return r;
    if (ws->request.len > sp.write_limit)
        return mw_error_set(err, -E2BIG, "the headers of the WebSocket are too large");
    mw_buf_init(&ws->in, HANDSHAKE_LIMIT);
    sp.host = url->host;
    sp.port = url->port;
    sp.tls = secure ? p->tls : NULL;
    r = mw_stream_connect(ws->loop, &sp, &ws->stream, err);
    ws->handshake_deadline = now_of(ws) + ws->handshake_timeout_ms;
    return r;
}

int mw_ws_connect(uv_loop_t *loop, const struct mw_ws_params *params, struct mw_ws **ret,
                  struct mw_error *err)
{
    struct mw_url url = {0};
    struct mw_ws *ws = NULL;
    int r = create(loop, params, false, &ws);

    if (r == 0)
        r = start(ws, params, &url, err);
    mw_url_deinit(&url);
    if (r < 0) {
        mw_ws_free(ws);
        return mw_error_set(err, r, "cannot open a WebSocket: %s", strerror(-r));
    }
    *ret = ws;
    return 0;
}

int mw_ws_accept(uv_loop_t *loop, int fd, const char *early, size_t early_len,
                 const struct mw_ws_params *params, struct mw_ws **ret)
{
    struct mw_stream_info info;
    struct mw_ws *ws = NULL;
    int r = create(loop, params, true, &ws);

    if (r < 0) {
        close(fd);
        return r;
    }
    r = mw_stream_from_fd(loop, fd, &stream_ops, ws, ws->write_limit + 2 * CONTROL_ROOM,
                          &ws->stream);
    if (r == 0) {
        mw_stream_get_info(ws->stream, &info);
        r = mw_str_set(&ws->name, info.peer ? info.peer : "the peer");
    }
    if (r == 0)
        r = mw_buf_append(&ws->in, early, early_len);
    if (r < 0) {
        mw_ws_free(ws);
        return r;
    }
    uv_update_time(loop);
    become_open(ws);
    ws->kicked = early_len > 0;
    update(ws);
    *ret = ws;
    return 0;
}

/* Outside of a callback nobody else sets the timer. */
static void changed(struct mw_ws *ws)
{
    if (ws->depth == 0)
        update(ws);
}

int mw_ws_send_text(struct mw_ws *ws, const char *data, size_t len)
{
    int r = send_frame(ws, WSLAY_TEXT_FRAME, data, len, ws->write_limit);

    changed(ws);
    return r;
}

int mw_ws_ping(struct mw_ws *ws)
{
    int r = send_control(ws, WSLAY_PING, NULL, 0);

    changed(ws);
    return r;
}

void mw_ws_close(struct mw_ws *ws, int code)
{
    if (ws->state < W_OPEN) {
        mw_stream_abort(ws->stream, false); /* an answer that is on its way must not open it */
        ws->kicked = true;
    } else if (ws->state == W_OPEN) {
        send_close(ws, code, NULL);
        if (ws->state == W_OPEN)
            ws->state = W_CLOSING;
        ws->close_at = now_of(ws) + CLOSE_MS;
    }
    changed(ws);
}

void mw_ws_pause(struct mw_ws *ws)
{
    ws->paused = true;
    if (ws->state >= W_OPEN) /* the handshake goes on */
        mw_stream_pause(ws->stream);
    changed(ws);
}

void mw_ws_resume(struct mw_ws *ws)
{
    if (!ws->paused || ws->state == W_DEAD)
        return;
    ws->paused = false;
    ws->last_read = now_of(ws);
    ws->kicked = ws->state >= W_OPEN; /* frames that were read before the pause */
    mw_stream_resume(ws->stream);
    changed(ws);
}

size_t mw_ws_queued(const struct mw_ws *ws)
{
    return mw_stream_queued(ws->stream);
}

struct mw_stream *mw_ws_stream(struct mw_ws *ws)
{
    return ws->stream;
}
