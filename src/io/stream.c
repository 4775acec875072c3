#include "io/stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/connect.h"
#include "io/handle.h"
#include "io/proxy.h"
#include "io/tls.h"

#define DEFAULT_TIMEOUT_MS  30000
#define DEFAULT_WRITE_LIMIT (1 << 20)
#define LINGER_MS           1000  /* how long a stream that ended waits for the peer's end */
#define READ_SIZE           65536 /* bytes of one read */
#define READ_ROUNDS         4     /* reads before other handles of the loop get their turn */
#define IDLE_BUFFER         16384 /* an empty write queue that is larger gives its memory back */

enum state {
    S_CONNECT,
    S_PROXY,
    S_TLS,
    S_OPEN,
    S_LINGER, /* all is written and the end is told; what comes is dropped until the peer's end */
    S_DEAD,
};

struct mw_stream {
    uv_loop_t *loop;
    const struct mw_stream_ops *ops;
    void *userdata;
    enum state state;
    unsigned depth; /* functions that still use the stream after a callback */
    bool freed;
    bool paused;
    bool stopping;             /* mw_stream_shutdown was called */
    bool ended;                /* the peer ended its side, and the owner goes on */
    bool kicked;               /* serve in the next round of the loop, whatever the socket says */
    int read_wait, write_wait; /* events that the last read and the last write wait for */
    int fd;
    struct mw_connector *connector;
    struct mw_watch *watch;
    struct mw_timer *timer;
    uint64_t deadline;  /* loop time: of the opening, later of the lingering */
    int64_t timeout_ms; /* of the opening */
    struct mw_tls *tls;
    SSL *ssl;
    struct mw_tls_facts facts;
    char *host; /* NULL for a Unix socket and for a socket that was given */
    uint16_t port;
    char *name; /* the other side, for sentences */
    char peer[128];
    struct mw_proxy *proxy;
    struct mw_buf out; /* from out_pos on: not taken by the kernel yet */
    size_t out_pos, write_limit;
    struct mw_error broken; /* a write failed; told in the next round */
};

static void destroy(struct mw_stream *s)
{
    mw_proxy_free(s->proxy);
    mw_tls_facts_deinit(&s->facts);
    mw_buf_deinit(&s->out);
    mw_error_reset(&s->broken);
    free(s->host);
    free(s->name);
    free(s);
}

/* Closes all that touches the outside; the object stays. */
static void teardown(struct mw_stream *s, bool reset)
{
    const struct linger hard = {.l_onoff = 1, .l_linger = 0};

    s->state = S_DEAD;
    mw_connector_free(take_ptr(s->connector));
    mw_watch_free(take_ptr(s->watch));
    mw_timer_free(take_ptr(s->timer));
    SSL_free(take_ptr(s->ssl));
    if (s->fd >= 0) {
        if (reset)
            setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        close(s->fd);
    }
    s->fd = -1;
}

/* Around everything that calls back: the stream lives until the outermost leave. */
static void enter(struct mw_stream *s)
{
    s->depth++;
}

static void leave(struct mw_stream *s)
{
    if (--s->depth == 0 && s->freed)
        destroy(s);
}

void mw_stream_free(struct mw_stream *s)
{
    if (!s || s->freed)
        return;
    teardown(s, false);
    s->freed = true;
    if (s->depth == 0)
        destroy(s);
}

void mw_stream_abort(struct mw_stream *s, bool reset)
{
    if (s->state != S_DEAD)
        teardown(s, reset);
}

static enum mw_stream_stage stage_of(const struct mw_stream *s)
{
    switch (s->state) {
    case S_CONNECT:
        return MW_STAGE_CONNECT;
    case S_PROXY:
        return MW_STAGE_PROXY;
    case S_TLS:
        return MW_STAGE_TLS;
    default:
        return MW_STAGE_OPEN;
    }
}

/* Ends the stream and tells it; takes what is in err. */
static void finish(struct mw_stream *s, enum mw_stream_stage stage, struct mw_error *err)
{
    MW_AUTOERROR own = MW_ERROR_INIT;

    if (s->state == S_DEAD)
        return;
    if (s->broken.code) /* the reason that came first */
        mw_error_move(&own, &s->broken);
    mw_error_move(&own, err);
    teardown(s, false);
    s->ops->on_close(s, stage, &own, s->userdata);
}

/* Waits for what the state needs. */
static void update(struct mw_stream *s)
{
    int events = 0, r = 0;

    if (s->state == S_DEAD)
        return;
    if (!s->broken.code && (s->state != S_OPEN || mw_stream_queued(s)))
        events |= s->write_wait;
    /* Of a peer that ended its side only the hang-up is awaited, which comes with any event. */
    if (s->state == S_OPEN && s->ended)
        events |= UV_PRIORITIZED;
    else if (!s->broken.code && (s->state != S_OPEN || !s->paused))
        events |= s->read_wait;
    if (s->watch)
        r = mw_watch_set(s->watch, events);
    if (r < 0) {
        mw_error_set(&s->broken, r, "cannot watch the connection to %s: %s", s->name, strerror(-r));
        s->kicked = true;
    }
    if (s->kicked)
        mw_timer_start(s->timer, 0);
    else if (s->state != S_OPEN && s->state != S_CONNECT) /* the connector has its own limit */
        mw_timer_start(s->timer, (int64_t)(s->deadline - MW_MIN(uv_now(s->loop), s->deadline)));
    else
        mw_timer_stop(s->timer);
}

static void kick(struct mw_stream *s)
{
    s->kicked = true;
    if (s->depth == 0)
        update(s);
}

/* Returns bytes, -EAGAIN, or an error with its sentence. */
static ssize_t send_some(struct mw_stream *s, const void *data, size_t len, struct mw_error *err)
{
    ssize_t n;

    s->write_wait = 0;
    if (s->ssl) {
        int r;

        ERR_clear_error();
        errno = 0;
        n = SSL_write(s->ssl, data, (int)MW_MIN(len, INT32_MAX));
        if (n > 0)
            return n;
        r = mw_tls_result(s->ssl, (int)n, s->name, &s->facts, &s->write_wait, err);
        return r == 0 ? mw_error_set(err, -EPIPE, "%s ended the connection", s->name) : r;
    }
    n = send(s->fd, data, len, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR) {
        s->write_wait = UV_WRITABLE;
        return -EAGAIN;
    }
    return mw_error_set(err, -errno, "the connection to %s failed: %s", s->name, strerror(errno));
}

/* Returns bytes, 0 at the end, -EAGAIN, or an error with its sentence. */
static ssize_t recv_some(struct mw_stream *s, char *data, size_t len, struct mw_error *err)
{
    ssize_t n;

    s->read_wait = UV_READABLE;
    if (s->ssl) {
        ERR_clear_error();
        errno = 0;
        n = SSL_read(s->ssl, data, (int)len);
        return n > 0 ? n : mw_tls_result(s->ssl, (int)n, s->name, &s->facts, &s->read_wait, err);
    }
    n = recv(s->fd, data, len, 0);
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EINTR)
        return -EAGAIN;
    return mw_error_set(err, -errno, "the connection to %s failed: %s", s->name, strerror(errno));
}

/* All is written: says so to the peer and waits for its end, because closing with unread bytes
 * would reset the connection and may take from the peer what it has not read yet. */
static void linger(struct mw_stream *s)
{
    if (s->ssl) {
        ERR_clear_error();
        SSL_shutdown(s->ssl);
        SSL_free(take_ptr(s->ssl)); /* what still comes is not looked at */
    }
    shutdown(s->fd, SHUT_WR);
    s->state = S_LINGER;
    s->read_wait = UV_READABLE;
    s->write_wait = 0;
    s->deadline = uv_now(s->loop) + LINGER_MS;
    s->kicked = false;
}

static void flush(struct mw_stream *s)
{
    bool had = mw_stream_queued(s) > 0;

    while (s->out_pos < s->out.len) {
        ssize_t n = send_some(s, s->out.data + s->out_pos, s->out.len - s->out_pos, &s->broken);

        if (n == -EAGAIN)
            return;
        if (n < 0) {
            s->kicked = true;
            return;
        }
        s->out_pos += (size_t)n;
    }
    s->out_pos = 0;
    if (s->out.cap > IDLE_BUFFER)
        mw_buf_deinit(&s->out);
    mw_buf_clear(&s->out);
    if (s->stopping)
        linger(s);
    else if (had && s->ops->on_drain)
        s->ops->on_drain(s, s->userdata);
}

static void read_some(struct mw_stream *s)
{
    char data[READ_SIZE];

    for (int i = 0; i < READ_ROUNDS; i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        ssize_t n = recv_some(s, data, sizeof(data), &err);

        if (n == -EAGAIN)
            return;
        if (n == 0 && !s->ssl && s->ops->on_end) {
            s->ended = true;
            s->ops->on_end(s, s->userdata);
            return;
        }
        if (n <= 0) {
            finish(s, MW_STAGE_OPEN, &err);
            return;
        }
        s->ops->on_data(s, data, (size_t)n, s->userdata);
        if (s->state != S_OPEN || s->paused)
            return;
        if (!s->ssl && (size_t)n < sizeof(data))
            return; /* empty; the watch tells of more */
    }
    s->kicked = s->ssl != NULL; /* TLS may hold more that the socket does not tell of */
}

static void discard(struct mw_stream *s)
{
    struct mw_error err = MW_ERROR_INIT;
    char data[READ_SIZE];
    ssize_t n = recv(s->fd, data, sizeof(data), 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        finish(s, MW_STAGE_OPEN, &err);
}

static void opened(struct mw_stream *s)
{
    s->state = S_OPEN;
    s->read_wait = UV_READABLE;
    s->write_wait = 0;
    s->kicked = s->ssl || mw_stream_queued(s) || s->stopping;
    s->ops->on_open(s, s->userdata);
}

static void start_tls(struct mw_stream *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r = mw_tls_open(s->tls, s->fd, s->host, &s->facts, &s->ssl);

    s->state = S_TLS;
    if (r == 0) {
        s->kicked = true;
        return;
    }
    mw_error_set(&err, r, "out of memory");
    finish(s, MW_STAGE_TLS, &err);
}

static void step_tls(struct mw_stream *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r, event = 0;

    ERR_clear_error();
    errno = 0;
    r = SSL_do_handshake(s->ssl);
    if (r == 1) {
        s->facts.version = SSL_get_version(s->ssl);
        opened(s);
        return;
    }
    r = mw_tls_result(s->ssl, r, s->name, &s->facts, &event, &err);
    s->read_wait = event;
    s->write_wait = 0;
    if (r == -EAGAIN)
        return;
    mw_error_set(&err, -ECONNRESET, "%s ended the connection during the TLS handshake", s->name);
    finish(s, MW_STAGE_TLS, &err);
}

static void after_proxy(struct mw_stream *s)
{
    if (s->tls)
        start_tls(s);
    else
        opened(s);
}

static void step_proxy(struct mw_stream *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r = mw_proxy_step(s->proxy, s->fd, &s->read_wait, &err);

    s->write_wait = 0;
    if (r == -EAGAIN)
        return;
    if (r < 0) {
        finish(s, MW_STAGE_PROXY, &err);
        return;
    }
    mw_proxy_free(take_ptr(s->proxy));
    after_proxy(s);
}

static void serve(struct mw_stream *s)
{
    MW_AUTOERROR none = MW_ERROR_INIT;

    s->kicked = false;
    switch (s->state) {
    case S_PROXY:
        step_proxy(s);
        break;
    case S_TLS:
        step_tls(s);
        break;
    case S_OPEN:
        if (!s->broken.code)
            flush(s);
        if (s->state == S_OPEN && !s->paused && !s->ended)
            read_some(s); /* also when writing failed: the peer may have said why */
        if (s->state == S_OPEN && s->broken.code)
            finish(s, MW_STAGE_OPEN, &none);
        break;
    case S_LINGER:
        discard(s);
        break;
    default:
        break;
    }
}

static void on_watch(int status, int events, void *userdata)
{
    struct mw_stream *s = userdata;
    struct mw_error err = MW_ERROR_INIT;

    enter(s);
    if (status < 0 && s->state == S_OPEN && s->paused) {
        int code = 0;
        socklen_t len = sizeof(code);

        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &code, &len);
        code = code ? code : ECONNRESET;
        mw_error_set(&err, -code, "the connection to %s failed: %s", s->name, strerror(code));
        finish(s, MW_STAGE_OPEN, &err);
    } else if (s->state == S_OPEN && s->ended && events & UV_PRIORITIZED) {
        finish(s, MW_STAGE_OPEN, &err);
    } else {
        serve(s);
    }
    update(s);
    leave(s);
}

static void on_timeout(struct mw_stream *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (s->state == S_PROXY)
        mw_error_set(&err, -ETIMEDOUT, "the proxy %s did not answer within %.1f s",
                     mw_proxy_name(s->proxy), (double)s->timeout_ms / 1000);
    else if (s->state == S_TLS)
        mw_error_set(&err, -ETIMEDOUT, "the TLS handshake with %s did not end within %.1f s",
                     s->name, (double)s->timeout_ms / 1000);
    finish(s, stage_of(s), &err); /* lingering ends in order */
}

static void on_timer(void *userdata)
{
    struct mw_stream *s = userdata;
    MW_AUTOERROR none = MW_ERROR_INIT;

    enter(s);
    if (!s->kicked) {
        on_timeout(s);
    } else if (s->state < S_OPEN && (s->broken.code || (s->stopping && !mw_stream_queued(s)))) {
        finish(s, stage_of(s), &none); /* shut down before it was open */
    } else {
        serve(s);
    }
    update(s);
    leave(s);
}

static void note_peer(struct mw_stream *s)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    if (getpeername(s->fd, (struct sockaddr *)&sa, &len) == 0)
        mw_address_text((struct sockaddr *)&sa, len, s->peer, sizeof(s->peer));
}

static void on_connected(int fd, enum mw_stream_stage stage, struct mw_error *err, void *userdata)
{
    struct mw_stream *s = userdata;
    int r;

    enter(s);
    mw_connector_free(take_ptr(s->connector));
    if (fd < 0) {
        if (s->proxy)
            mw_error_prefix(err, "proxy");
        finish(s, stage, err);
        leave(s);
        return;
    }
    s->fd = fd;
    note_peer(s);
    r = mw_watch_new(s->loop, fd, on_watch, s, &s->watch);
    if (r < 0) {
        MW_AUTOERROR own = MW_ERROR_INIT;

        mw_error_set(&own, r, "cannot watch the connection to %s: %s", s->name, strerror(-r));
        finish(s, MW_STAGE_CONNECT, &own);
    } else if (s->proxy) {
        s->state = S_PROXY;
        step_proxy(s);
    } else {
        after_proxy(s);
    }
    update(s);
    leave(s);
}

static int create(uv_loop_t *loop, const struct mw_stream_ops *ops, void *userdata,
                  size_t write_limit, struct mw_stream **ret)
{
    struct mw_stream *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->loop = loop;
    s->ops = ops;
    s->userdata = userdata;
    s->fd = -1;
    s->write_limit = write_limit ? write_limit : DEFAULT_WRITE_LIMIT;
    s->read_wait = UV_READABLE;
    r = mw_timer_new(loop, on_timer, s, &s->timer);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

static int start(struct mw_stream *s, const struct mw_stream_params *p, struct mw_error *err)
{
    const char *host = p->host;
    uint16_t port = p->port;
    int r;

    s->tls = p->tls;
    s->port = p->port;
    s->timeout_ms = p->connect_timeout_ms > 0 ? p->connect_timeout_ms : DEFAULT_TIMEOUT_MS;
    s->name = p->unix_path ? strdup(p->unix_path) : mw_asprintf("%s port %u", p->host, p->port);
    if (!s->name || mw_str_set(&s->host, p->host) < 0)
        return -ENOMEM;
    if (p->proxy && !p->unix_path) {
        r = mw_proxy_new(p->proxy, p->host, p->port, &s->proxy, err);
        if (r < 0)
            return r;
        host = mw_proxy_host(s->proxy, &port);
    }
    uv_update_time(s->loop); /* the loop may have been busy for long */
    s->deadline = uv_now(s->loop) + (uint64_t)s->timeout_ms;
    return mw_connector_start(s->loop, host, port, p->unix_path, s->timeout_ms, on_connected, s,
                              &s->connector);
}

int mw_stream_connect(uv_loop_t *loop, const struct mw_stream_params *params,
                      struct mw_stream **ret, struct mw_error *err)
{
    struct mw_stream *s = NULL;
    int r;

    if (!params->unix_path && (!params->host || !params->host[0] || params->port == 0))
        return mw_error_set(err, -EINVAL, "no host and port to connect to");
    r = create(loop, params->ops, params->userdata, params->write_limit, &s);
    if (r == 0)
        r = start(s, params, err);
    if (r < 0) {
        mw_stream_free(s);
        return mw_error_set(err, r, "cannot connect to %s: %s",
                            params->unix_path ? params->unix_path : params->host, strerror(-r));
    }
    *ret = s;
    return 0;
}

int mw_stream_from_fd(uv_loop_t *loop, int fd, const struct mw_stream_ops *ops, void *userdata,
                      size_t write_limit, struct mw_stream **ret)
{
    struct mw_stream *s;
    int one = 1, r;

    r = create(loop, ops, userdata, write_limit, &s);
    if (r < 0) {
        close(fd);
        return r;
    }
    s->fd = fd;
    s->state = S_OPEN;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* fails for others: no harm */
    note_peer(s);
    r = mw_str_set(&s->name, s->peer[0] ? s->peer : "the peer");
    if (r == 0)
        r = mw_watch_new(loop, fd, on_watch, s, &s->watch);
    if (r == 0)
        r = mw_watch_set(s->watch, UV_READABLE);
    if (r < 0) {
        mw_stream_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

int mw_stream_write(struct mw_stream *s, const void *data, size_t len)
{
    const char *p = data;
    int r;

    if (s->state >= S_LINGER || s->stopping || s->broken.code)
        return -EPIPE;
    if (len > s->write_limit - MW_MIN(mw_stream_queued(s), s->write_limit))
        return -ENOBUFS;
    if (s->state == S_OPEN && mw_stream_queued(s) == 0) {
        while (len) {
            ssize_t n = send_some(s, p, len, &s->broken);

            if (n == -EAGAIN)
                break;
            if (n < 0) {
                kick(s);
                return -EPIPE;
            }
            p += n;
            len -= (size_t)n;
        }
        if (len == 0)
            return 0;
    }
    if (s->out_pos > s->out.len / 2) {
        mw_buf_consume(&s->out, s->out_pos);
        s->out_pos = 0;
    }
    r = mw_buf_append(&s->out, p, len);
    if (r < 0 && (p != data || (s->ssl && s->state == S_OPEN))) {
        /* A torn write cannot be taken back, and OpenSSL may hold a record of what it refused. */
        mw_error_set(&s->broken, r, "out of memory");
        kick(s);
    }
    s->out.error = 0;
    if (s->depth == 0)
        update(s);
    return r;
}

void mw_stream_shutdown(struct mw_stream *s)
{
    if (s->state >= S_LINGER || s->stopping)
        return;
    s->stopping = true;
    if (s->state == S_OPEN || mw_stream_queued(s) == 0)
        kick(s);
}

void mw_stream_pause(struct mw_stream *s)
{
    s->paused = true;
    if (s->depth == 0)
        update(s);
}

void mw_stream_resume(struct mw_stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->state == S_OPEN && s->ssl)
        s->kicked = true; /* OpenSSL may hold bytes that the socket does not tell of */
    if (s->depth == 0)
        update(s);
}

size_t mw_stream_queued(const struct mw_stream *s)
{
    return s->out.len - s->out_pos;
}

void mw_stream_get_info(const struct mw_stream *s, struct mw_stream_info *ret)
{
    *ret = (struct mw_stream_info){.peer = s->peer[0] ? s->peer : NULL,
                                   .tls_version = s->facts.version,
                                   .cert_subject = s->facts.subject,
                                   .cert_issuer = s->facts.issuer,
                                   .cert_not_after = s->facts.not_after};
}
