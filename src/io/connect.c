#include "io/connect.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/handle.h"

/* Lives on its own, because a look-up in the thread pool cannot always be cancelled. */
struct lookup {
    uv_getaddrinfo_t req;
    struct mw_connector *owner; /* NULL = nobody waits any more */
};

struct mw_connector {
    uv_loop_t *loop;
    char *host;
    uint16_t port;
    struct sockaddr_un path; /* for a Unix socket */
    struct lookup *lookup;
    struct addrinfo *found, *next;
    struct mw_watch *watch;
    struct mw_timer *timer;
    uint64_t deadline; /* loop time */
    int64_t timeout_ms;
    int fd;
    char address[128]; /* of the attempt at hand */
    struct mw_error last;
    mw_connector_cb cb;
    void *userdata;
};

void mw_address_text(const struct sockaddr *sa, socklen_t len, char *buf, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";

    buf[0] = '\0';
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(buf, size, "%s:%u", host, ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(buf, size, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (sa->sa_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path)) {
        snprintf(buf, size, "%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path)),
                 ((const struct sockaddr_un *)sa)->sun_path);
    }
}

static void drop_attempt(struct mw_connector *c)
{
    mw_watch_free(take_ptr(c->watch));
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

void mw_connector_free(struct mw_connector *c)
{
    if (!c)
        return;
    drop_attempt(c);
    mw_timer_free(c->timer);
    if (c->lookup) {
        c->lookup->owner = NULL;
        uv_cancel((uv_req_t *)&c->lookup->req);
    }
    uv_freeaddrinfo(c->found);
    mw_error_reset(&c->last);
    free(c->host);
    free(c);
}

/* The callback frees the connector: nothing of it may be touched after these two. */
static void fail(struct mw_connector *c, enum mw_stream_stage stage)
{
    struct mw_error err = MW_ERROR_INIT;

    mw_error_move(&err, &c->last);
    c->cb(-1, stage, &err, c->userdata);
    mw_error_reset(&err);
}

static void succeed(struct mw_connector *c)
{
    int fd = c->fd;

    mw_watch_free(take_ptr(c->watch));
    c->fd = -1;
    c->cb(fd, MW_STAGE_CONNECT, NULL, c->userdata);
}

static void note_failure(struct mw_connector *c, int code)
{
    mw_error_reset(&c->last);
    if (!c->host)
        mw_error_set(&c->last, code, "cannot connect to %s: %s", c->address, strerror(-code));
    else
        mw_error_set(&c->last, code, "cannot connect to %s port %u (%s): %s", c->host, c->port,
                     c->address, strerror(-code));
    drop_attempt(c);
}

static void on_watch(int status, int events, void *userdata);

static int attempt(struct mw_connector *c, int family, const struct sockaddr *sa, socklen_t len)
{
    int one = 1, r;

    mw_address_text(sa, len, c->address, sizeof(c->address));
    c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -errno;
    if (family != AF_UNIX)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, sa, len) < 0 && errno != EINPROGRESS)
        return -errno;
    r = mw_watch_new(c->loop, c->fd, on_watch, c, &c->watch);
    return r < 0 ? r : mw_watch_set(c->watch, UV_WRITABLE);
}

static void try_next(struct mw_connector *c)
{
    while (c->next) {
        struct addrinfo *ai = c->next;
        uint64_t now = uv_now(c->loop), left = now < c->deadline ? c->deadline - now : 0;
        int64_t remaining = 1;
        int r;

        for (struct addrinfo *p = ai->ai_next; p; p = p->ai_next)
            remaining++;
        c->next = ai->ai_next;
        r = attempt(c, ai->ai_family, ai->ai_addr, ai->ai_addrlen);
        if (r == 0) {
            mw_timer_start(c->timer, (int64_t)left / remaining);
            return;
        }
        note_failure(c, r);
    }
    fail(c, MW_STAGE_CONNECT);
}

static void on_watch(int status, int events, void *userdata)
{
    struct mw_connector *c = userdata;
    int code = 0;
    socklen_t len = sizeof(code);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
        code = errno;
    if (code == 0 && status < 0)
        code = EIO;
    if (code == 0) {
        succeed(c);
        return;
    }
    note_failure(c, -code);
    try_next(c);
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lookup *l = (struct lookup *)req;
    struct mw_connector *c = l->owner;

    free(l);
    if (!c) {
        uv_freeaddrinfo(found);
        return;
    }
    c->lookup = NULL;
    if (status == 0) {
        c->found = c->next = found;
        try_next(c);
        return;
    }
    if (status == UV_EAI_NONAME || status == UV_EAI_NODATA)
        mw_error_set(&c->last, -ENOENT, "cannot resolve %s: there is no such host", c->host);
    else if (status == UV_EAI_AGAIN)
        mw_error_set(&c->last, -EAGAIN, "cannot resolve %s: the name server did not answer",
                     c->host);
    else
        mw_error_set(&c->last, status == UV_EAI_MEMORY ? -ENOMEM : -EIO, "cannot resolve %s: %s",
                     c->host, uv_strerror(status));
    fail(c, MW_STAGE_RESOLVE);
}

static void on_timer(void *userdata)
{
    struct mw_connector *c = userdata;

    if (!c->host) { /* a Unix socket: connected or failed at once, told now */
        if (c->last.code)
            fail(c, MW_STAGE_CONNECT);
        else
            succeed(c);
        return;
    }
    if (c->lookup) {
        mw_error_set(&c->last, -ETIMEDOUT, "cannot resolve %s: no answer within %.1f s", c->host,
                     (double)c->timeout_ms / 1000);
        fail(c, MW_STAGE_RESOLVE);
        return;
    }
    note_failure(c, -ETIMEDOUT);
    try_next(c);
}

static int start_unix(struct mw_connector *c, const char *path)
{
    size_t len = strlen(path);
    int r;

    if (len >= sizeof(c->path.sun_path))
        return -EINVAL;
    c->path.sun_family = AF_UNIX;
    memcpy(c->path.sun_path, path, len + 1);
    r = attempt(c, AF_UNIX, (struct sockaddr *)&c->path, sizeof(c->path));
    if (r < 0)
        note_failure(c, r);
    mw_watch_free(take_ptr(c->watch));
    mw_timer_start(c->timer, 0);
    return 0;
}

static int start_lookup(struct mw_connector *c, const char *host)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    const struct addrinfo literal = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    unsigned char address[sizeof(struct in6_addr)];
    bool numeric =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    char port[8];
    int r;

    c->host = strdup(host);
    c->lookup = calloc(1, sizeof(*c->lookup));
    if (!c->host || !c->lookup) {
        free(take_ptr(c->lookup));
        return -ENOMEM;
    }
    snprintf(port, sizeof(port), "%u", c->port);
    c->lookup->owner = c;
    r = uv_getaddrinfo(c->loop, &c->lookup->req, on_lookup, host, port,
                       numeric ? &literal : &hints);
    if (r < 0) {
        free(take_ptr(c->lookup));
        return r == UV_ENOMEM ? -ENOMEM : -EINVAL;
    }
    mw_timer_start(c->timer, c->timeout_ms);
    return 0;
}

int mw_connector_start(uv_loop_t *loop, const char *host, uint16_t port, const char *unix_path,
                       int64_t timeout_ms, mw_connector_cb cb, void *userdata,
                       struct mw_connector **ret)
{
    struct mw_connector *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    *c = (struct mw_connector){.loop = loop,
                               .port = port,
                               .timeout_ms = timeout_ms,
                               .deadline = uv_now(loop) + (uint64_t)timeout_ms,
                               .fd = -1,
                               .cb = cb,
                               .userdata = userdata};
    r = mw_timer_new(loop, on_timer, c, &c->timer);
    if (r == 0)
        r = unix_path ? start_unix(c, unix_path) : start_lookup(c, host);
    if (r < 0) {
        mw_connector_free(c);
        return r;
    }
    *ret = c;
    return 0;
}
