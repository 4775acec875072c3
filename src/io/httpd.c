#include "io/httpd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "io/handle.h"

#define DEFAULT_MAX_BODY        (1024 * 1024)
#define DEFAULT_MAX_CONNECTIONS 1024
/* A connection on which nothing moves is closed. It does not count while a request is worked on. */
#define IDLE_SECONDS 75
#define BACKLOG      1024
#define ACCEPTS      64  /* in one turn of the loop */
#define RETRY_MS     200 /* when the system has no descriptor left */

struct header {
    char *name;
    char *value;
};

enum request_state {
    REQUEST_READING,  /* headers seen, body still comes */
    REQUEST_HANDLING, /* on_request was called; no answer yet */
    REQUEST_ANSWERED, /* `response` is ready for MHD */
    REQUEST_ABORTED,  /* cut it */
};

struct mw_httpd_request {
    struct mw_httpd *httpd;
    struct mw_httpd_request *prev, *next;
    struct MHD_Connection *connection;
    enum request_state state;
    bool suspended;
    bool too_large; /* the body is being thrown away; 413 at its end */
    char *method;
    char *path;
    struct mw_buf body;
    size_t dropped;
    char peer[INET6_ADDRSTRLEN];
    struct header *headers;
    size_t n_headers;
    struct MHD_Response *response;
    unsigned status;
    mw_httpd_upgrade_cb upgrade_cb;
    void *upgrade_data;
    void *data;
    void (*free_data)(void *data);
};

struct mw_httpd {
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    int handles; /* libuv handles that are not closed yet */
    bool kicked; /* MHD_run is due, whatever MHD says: asked for while it ran */
    bool running;
    bool freeing;
    /* Connections are accepted here: MHD would try without a pause while there is no descriptor. */
    int listen_fd;
    struct mw_watch *accepting; /* stands still at the limit, and until `retry` */
    struct mw_timer *retry;
    unsigned max_connections;
    bool at_limit;
    uint16_t port;
    size_t max_body;
    void (*on_request)(struct mw_httpd_request *req, void *userdata);
    void *userdata;
    struct mw_httpd_request *requests;
};

static void request_forget_data(struct mw_httpd_request *req)
{
    void *data = take_ptr(req->data);

    if (data && req->free_data)
        req->free_data(data);
}

static void request_free(struct mw_httpd_request *req)
{
    request_forget_data(req);
    if (req->prev)
        req->prev->next = req->next;
    else
        req->httpd->requests = req->next;
    if (req->next)
        req->next->prev = req->prev;
    for (size_t i = 0; i < req->n_headers; i++) {
        free(req->headers[i].name);
        free(req->headers[i].value);
    }
    free(req->headers);
    if (req->response)
        MHD_destroy_response(req->response);
    mw_buf_deinit(&req->body);
    free(req->method);
    free(req->path);
    free(req);
}

static void request_set_peer(struct mw_httpd_request *req)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *sa = info ? info->client_addr : NULL;

    if (sa && sa->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, req->peer,
                  sizeof(req->peer));
    else if (sa && sa->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, req->peer,
                  sizeof(req->peer));
}

static struct mw_httpd_request *request_new(struct mw_httpd *httpd,
                                            struct MHD_Connection *connection, const char *method,
                                            const char *path)
{
    struct mw_httpd_request *req = calloc(1, sizeof(*req));

    if (!req)
        return NULL;
    req->httpd = httpd;
    req->connection = connection;
    mw_buf_init(&req->body, httpd->max_body);
    req->next = httpd->requests;
    if (req->next)
        req->next->prev = req;
    httpd->requests = req;
    req->method = strdup(method);
    req->path = strdup(path);
    if (!req->method || !req->path) {
        request_free(req);
        return NULL;
    }
    request_set_peer(req);
    return req;
}

/* --- framing checks ----------------------------------------------------------------------------
 */

struct framing {
    unsigned lengths;
    unsigned encodings;
    bool chunked;
    const char *length;
};

static enum MHD_Result note_framing(void *cls, enum MHD_ValueKind kind, const char *key,
                                    const char *value)
{
    struct framing *f = cls;

    if (strcasecmp(key, "Content-Length") == 0) {
        f->lengths++;
        f->length = value ? value : "";
    } else if (strcasecmp(key, "Transfer-Encoding") == 0) {
        f->encodings++;
        f->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

/* Where two readers could disagree on where a body ends, a request could be smuggled past a proxy
 * (RFC 9112 section 6.3): such requests are refused. Returns 0 or the status to answer. */
static int check_framing(struct mw_httpd_request *req)
{
    struct framing f = {0};
    unsigned long long length;
    char *end;

    MHD_get_connection_values(req->connection, MHD_HEADER_KIND, note_framing, &f);
    if (f.lengths + f.encodings > 1 || (f.encodings && !f.chunked))
        return MHD_HTTP_BAD_REQUEST;
    if (!f.lengths)
        return 0;
    if (f.length[0] < '0' || f.length[0] > '9')
        return MHD_HTTP_BAD_REQUEST;
    errno = 0;
    length = strtoull(f.length, &end, 10);
    if (*end)
        return MHD_HTTP_BAD_REQUEST;
    if (errno || length > req->httpd->max_body) {
        /* A client that waits for "100 Continue", or wants to send very much, hears it at once.
         * Others hear it when they are done: closing on them now could lose them the answer. */
        if (errno || length / 2 > req->httpd->max_body ||
            MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, "Expect"))
            return MHD_HTTP_CONTENT_TOO_LARGE;
        req->too_large = true;
    }
    return 0;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void kick(struct mw_httpd *httpd);

static void wake(struct mw_httpd_request *req)
{
    if (!req->suspended)
        return;
    req->suspended = false;
    MHD_resume_connection(req->connection);
    kick(req->httpd);
}

/* False when memory ran out: an answer that lacks a header would mislead. */
static bool add_headers(struct mw_httpd_request *req, struct MHD_Response *response)
{
    for (size_t i = 0; i < req->n_headers; i++)
        if (MHD_add_response_header(response, req->headers[i].name, req->headers[i].value) !=
            MHD_YES)
            return false;
    return true;
}

static bool has_header(const struct mw_httpd_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_headers; i++) {
        if (strcasecmp(req->headers[i].name, name) == 0)
            return true;
    }
    return false;
}

/* Takes over `response` (NULL: memory ran out). */
static void answer(struct mw_httpd_request *req, int status, const char *content_type, size_t len,
                   struct MHD_Response *response)
{
    bool ok = response && add_headers(req, response);

    if (ok && len && !has_header(req, "Content-Type"))
        ok = MHD_add_response_header(response, "Content-Type",
                                     content_type ? content_type : "application/json") == MHD_YES;
    if (!ok) {
        if (response)
            MHD_destroy_response(response);
        mw_httpd_abort(req);
        return;
    }
    req->response = response;
    req->status = (unsigned)status;
    req->state = REQUEST_ANSWERED;
    request_forget_data(req);
    wake(req);
}

void mw_httpd_respond(struct mw_httpd_request *req, int status, const char *content_type,
                      const void *body, size_t len)
{
    /* MHD copies the body; its signature lacks a const. */
    answer(req, status, content_type, len,
           MHD_create_response_from_buffer(len, len ? (void *)(uintptr_t)body : (void *)"",
                                           MHD_RESPMEM_MUST_COPY));
}

struct cut_body {
    size_t len;
    char data[];
};

static ssize_t read_cut(void *cls, uint64_t pos, char *buf, size_t max)
{
    const struct cut_body *cut = cls;
    size_t n = MW_MIN(cut->len - (size_t)pos, max);

    if (n == 0)
        return MHD_CONTENT_READER_END_WITH_ERROR; /* closes the connection */
    memcpy(buf, cut->data + pos, n);
    return (ssize_t)n;
}

void mw_httpd_respond_cut(struct mw_httpd_request *req, int status, const char *content_type,
                          const void *body, size_t len, size_t keep)
{
    struct cut_body *cut;
    struct MHD_Response *response;

    keep = MW_MIN(keep, len);
    cut = malloc(sizeof(*cut) + keep);
    if (!cut) {
        mw_httpd_abort(req);
        return;
    }
    cut->len = keep;
    if (keep)
        memcpy(cut->data, body, keep);
    /* The promised length is one more at least, or a cut at the end would not show. */
    response = MHD_create_response_from_callback(MW_MAX(len, keep + 1), 4096, read_cut, cut, free);
    if (!response)
        free(cut);
    answer(req, status, content_type, len, response);
}

void mw_httpd_abort(struct mw_httpd_request *req)
{
    req->state = REQUEST_ABORTED;
    request_forget_data(req);
    wake(req);
}

static void on_upgraded(void *cls, struct MHD_Connection *connection, void *con_cls,
                        const char *extra_in, size_t extra_in_size, MHD_socket sock,
                        struct MHD_UpgradeResponseHandle *urh)
{
    struct mw_httpd_request *req = cls;
    struct mw_httpd *httpd = req->httpd;
    mw_httpd_upgrade_cb cb = req->upgrade_cb;
    void *userdata = req->upgrade_data;
    /* MHD wants to close its own descriptor, so the callee gets another one for the socket. */
    int fd = httpd->freeing ? -1 : fcntl(sock, F_DUPFD_CLOEXEC, 0);

    if (fd >= 0) {
        int flags = fcntl(fd, F_GETFL);
        int off = 0, on = 1;

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
            close(fd);
            fd = -1;
        } else {
            setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        }
    }
    if (fd >= 0)
        cb(httpd->loop, fd, extra_in, extra_in_size, userdata);
    MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
    /* A failure above leaves nobody with the socket: the peer sees it closed. */
    request_forget_data(req);
    kick(httpd);
}

void mw_httpd_upgrade(struct mw_httpd_request *req, mw_httpd_upgrade_cb cb, void *userdata)
{
    const char *version = MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, "Upgrade");
    struct MHD_Response *response;
    bool ok;

    if (!version) {
        static const char text[] = "this address wants an upgrade\n";
        mw_httpd_respond(req, MHD_HTTP_BAD_REQUEST, "text/plain", text, sizeof(text) - 1);
        return;
    }
    response = MHD_create_response_for_upgrade(on_upgraded, req);
    ok = response && add_headers(req, response);
    if (ok && !has_header(req, "Upgrade"))
        ok = MHD_add_response_header(response, "Upgrade", version) == MHD_YES;
    if (!ok) {
        if (response)
            MHD_destroy_response(response);
        mw_httpd_abort(req);
        return;
    }
    req->upgrade_cb = cb;
    req->upgrade_data = userdata;
    req->response = response;
    req->status = MHD_HTTP_SWITCHING_PROTOCOLS;
    req->state = REQUEST_ANSWERED;
    wake(req);
}

/* Hands the ready answer to MHD. */
static enum MHD_Result deliver(struct mw_httpd_request *req)
{
    struct MHD_Response *response = take_ptr(req->response);
    enum MHD_Result r;

    r = MHD_queue_response(req->connection, req->status, response);
    MHD_destroy_response(response);
    return r; /* MHD_NO cuts the connection */
}

static enum MHD_Result refuse(struct mw_httpd_request *req, unsigned status)
{
    const char *text = status == MHD_HTTP_CONTENT_TOO_LARGE ? "the request body is too large\n"
                                                            : "the request is malformed\n";

    mw_httpd_respond(req, (int)status, "text/plain", text, strlen(text));
    if (req->state != REQUEST_ANSWERED)
        return MHD_NO;
    MHD_add_response_header(req->response, "Connection", "close");
    return deliver(req);
}

/* --- MHD's callbacks ---------------------------------------------------------------------------
 */

/* Returns whether the connection may go on. */
static bool take_body(struct mw_httpd_request *req, const char *data, size_t len)
{
    int r;

    if (!req->too_large) {
        r = mw_buf_append(&req->body, data, len);
        if (r == -E2BIG) {
            req->too_large = true;
            req->dropped = req->body.len;
            mw_buf_deinit(&req->body);
            mw_buf_init(&req->body, req->httpd->max_body);
        } else {
            return r == 0;
        }
    }
    req->dropped += len;
    return req->dropped / 2 <= req->httpd->max_body;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload_data,
                                 size_t *upload_data_size, void **con_cls)
{
    struct mw_httpd *httpd = cls;
    struct mw_httpd_request *req = *con_cls;
    int status;

    if (httpd->freeing)
        return MHD_NO;
    if (!req) {
        req = request_new(httpd, connection, method, url);
        if (!req)
            return MHD_NO;
        *con_cls = req;
        status = check_framing(req);
        return status ? refuse(req, (unsigned)status) : MHD_YES;
    }
    if (*upload_data_size) {
        if (!take_body(req, upload_data, *upload_data_size))
            return MHD_NO;
        *upload_data_size = 0;
        return MHD_YES;
    }
    if (req->state == REQUEST_READING) {
        if (req->too_large)
            return refuse(req, MHD_HTTP_CONTENT_TOO_LARGE);
        req->state = REQUEST_HANDLING;
        httpd->on_request(req, httpd->userdata);
    }
    switch (req->state) {
    case REQUEST_ANSWERED:
        return deliver(req);
    case REQUEST_HANDLING:
        req->suspended = true;
        MHD_suspend_connection(connection);
        return MHD_YES;
    case REQUEST_READING:
    case REQUEST_ABORTED:
        break;
    }
    return MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode toe)
{
    struct mw_httpd_request *req = *con_cls;

    *con_cls = NULL;
    if (req)
        request_free(req);
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static void finish_free(struct mw_httpd *httpd);

static void on_timer(uv_timer_t *timer);

/* MHD_run soon, not now: the caller may be inside it. */
static void kick(struct mw_httpd *httpd)
{
    httpd->kicked = true;
    if (!httpd->freeing)
        uv_timer_start(&httpd->timer, on_timer, 0, 0);
}

static unsigned connections(struct mw_httpd *httpd)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info ? info->num_connections : 0;
}

static void run(struct mw_httpd *httpd)
{
    MHD_UNSIGNED_LONG_LONG timeout;

    httpd->running = true;
    httpd->kicked = false;
    MHD_run(httpd->daemon);
    httpd->running = false;
    if (httpd->freeing) {
        finish_free(httpd);
        return;
    }
    if (httpd->at_limit && connections(httpd) < httpd->max_connections) {
        httpd->at_limit = false;
        (void)mw_watch_set(httpd->accepting, UV_READABLE);
    }
    if (MHD_get_timeout(httpd->daemon, &timeout) == MHD_YES)
        uv_timer_start(&httpd->timer, on_timer, httpd->kicked ? 0 : timeout, 0);
    else if (!httpd->kicked)
        uv_timer_stop(&httpd->timer);
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    run(poll->data);
}

/* Takes what waits, up to the limit. More waits in the kernel until a connection ends, or until
 * there is a descriptor again. */
static void on_listen(int status, int events, void *userdata)
{
    struct mw_httpd *httpd = userdata;
    unsigned n = connections(httpd), added = 0;
    struct sockaddr_storage ss;

    errno = 0;
    while (n + added < httpd->max_connections && added < ACCEPTS) {
        socklen_t len = sizeof(ss);
        int fd =
            accept4(httpd->listen_fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            break;
        /* It closes the descriptor when it fails, too. */
        added += MHD_add_connection(httpd->daemon, fd, (struct sockaddr *)&ss, len) == MHD_YES;
        errno = 0;
    }
    if (n + added >= httpd->max_connections) {
        httpd->at_limit = true;
        (void)mw_watch_set(httpd->accepting, 0);
    } else if (errno && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        (void)mw_watch_set(httpd->accepting, 0);
        mw_timer_start(httpd->retry, RETRY_MS);
    }
    if (added)
        run(httpd);
}

static void on_retry(void *userdata)
{
    struct mw_httpd *httpd = userdata;

    (void)mw_watch_set(httpd->accepting, UV_READABLE);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mw_httpd *httpd = handle->data;

    if (--httpd->handles == 0)
        free(httpd);
}

static void close_handles(struct mw_httpd *httpd)
{
    uv_close((uv_handle_t *)&httpd->poll, on_handle_closed);
    uv_close((uv_handle_t *)&httpd->timer, on_handle_closed);
}

static void stop_listening(struct mw_httpd *httpd)
{
    mw_watch_free(take_ptr(httpd->accepting));
    mw_timer_free(take_ptr(httpd->retry));
    if (httpd->listen_fd >= 0)
        close(httpd->listen_fd);
    httpd->listen_fd = -1;
}

static void finish_free(struct mw_httpd *httpd)
{
    close_handles(httpd);
    stop_listening(httpd);
    /* MHD refuses to stop while connections are suspended. */
    for (struct mw_httpd_request *req = httpd->requests; req; req = req->next) {
        if (req->suspended) {
            req->suspended = false;
            req->state = REQUEST_ABORTED;
            MHD_resume_connection(req->connection);
        }
    }
    MHD_stop_daemon(httpd->daemon);
    httpd->daemon = NULL;
}

void mw_httpd_free(struct mw_httpd *httpd)
{
    if (!httpd || httpd->freeing)
        return;
    httpd->freeing = true;
    if (!httpd->running)
        finish_free(httpd);
}

/* --- start -------------------------------------------------------------------------------------
 */

static int listen_on(const char *address, uint16_t port, int *ret_fd, uint16_t *ret_port,
                     struct mw_error *err)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
    socklen_t len;
    int fd, r, on = 1;

    if (mw_streq(address, "localhost"))
        address = "127.0.0.1";
    if (uv_ip4_addr(address, port, in4) == 0)
        len = sizeof(*in4);
    else if (uv_ip6_addr(address, port, in6) == 0)
        len = sizeof(*in6);
    else
        return mw_error_set(err, -EINVAL, "%s is not an IP address to listen on", address);
    fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return mw_error_set(err, -errno, "cannot open a socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
        r = -errno;
        close(fd);
        return mw_error_set(err, r, "cannot listen on %s port %u: %s", address, port, strerror(-r));
    }
    *ret_port = ntohs(ss.ss_family == AF_INET ? in4->sin_port : in6->sin6_port);
    *ret_fd = fd;
    return 0;
}

static int start_daemon(struct mw_httpd *httpd, struct mw_error *err)
{
    const union MHD_DaemonInfo *info;
    int r;

    /* Without MHD_USE_ERROR_LOG, because libraries of ours do not log. */
    httpd->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0,
        NULL, NULL, on_access, httpd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_CONNECTION_LIMIT, httpd->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!httpd->daemon)
        return mw_error_set(err, -ENOMEM, "the HTTP server did not start");
    info = MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    r = info ? uv_poll_init(httpd->loop, &httpd->poll, info->epoll_fd) : -EIO;
    if (r < 0) {
        MHD_stop_daemon(httpd->daemon);
        return mw_error_set(err, r, "the HTTP server did not start: %s", uv_strerror(r));
    }
    return 0;
}

int mw_httpd_new(uv_loop_t *loop, const struct mw_httpd_params *params, struct mw_httpd **ret,
                 struct mw_error *err)
{
    MW_AUTOFREE struct mw_httpd *httpd = calloc(1, sizeof(*httpd));
    int fd = -1, r;

    if (!httpd)
        return mw_error_set(err, -ENOMEM, "out of memory");
    mw_ignore_sigpipe();
    httpd->loop = loop;
    httpd->max_body = params->max_body ? params->max_body : DEFAULT_MAX_BODY;
    httpd->on_request = params->on_request;
    httpd->userdata = params->userdata;
    httpd->max_connections =
        params->max_connections ? params->max_connections : DEFAULT_MAX_CONNECTIONS;
    r = listen_on(params->address, params->port, &fd, &httpd->port, err);
    if (r < 0)
        return r;
    httpd->listen_fd = fd;
    if ((r = start_daemon(httpd, err)) < 0) {
        close(fd);
        return r;
    }
    uv_timer_init(loop, &httpd->timer);
    httpd->poll.data = httpd;
    httpd->timer.data = httpd;
    httpd->handles = 2;
    r = mw_timer_new(loop, on_retry, httpd, &httpd->retry);
    if (r == 0)
        r = mw_watch_new(loop, fd, on_listen, httpd, &httpd->accepting);
    if (r == 0)
        r = mw_watch_set(httpd->accepting, UV_READABLE);
    if (r == 0)
        r = uv_poll_start(&httpd->poll, UV_READABLE, on_poll);
    if (r < 0) {
        mw_httpd_free(take_ptr(httpd));
        return mw_error_set(err, r, "the HTTP server did not start: %s", strerror(-r));
    }
    *ret = take_ptr(httpd);
    return 0;
}

uint16_t mw_httpd_port(const struct mw_httpd *httpd)
{
    return httpd->port;
}

/* --- the request -------------------------------------------------------------------------------
 */

const char *mw_httpd_method(const struct mw_httpd_request *req)
{
    return req->method;
}

const char *mw_httpd_path(const struct mw_httpd_request *req)
{
    return req->path;
}

const char *mw_httpd_query(const struct mw_httpd_request *req, const char *name)
{
    const char *value = NULL;
    size_t len;

    /* "?name" and "?name=" are both there, and empty. */
    if (MHD_lookup_connection_value_n(req->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                      &value, &len) != MHD_YES)
        return NULL;
    return value ? value : "";
}

const char *mw_httpd_header(const struct mw_httpd_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, name);
}

const char *mw_httpd_body(const struct mw_httpd_request *req, size_t *ret_len)
{
    if (ret_len)
        *ret_len = req->body.len;
    return mw_buf_str(&req->body);
}

const char *mw_httpd_peer(const struct mw_httpd_request *req)
{
    return req->peer;
}

void mw_httpd_set_data(struct mw_httpd_request *req, void *data, void (*free_fn)(void *))
{
    request_forget_data(req);
    req->data = data;
    req->free_data = free_fn;
}

void *mw_httpd_get_data(const struct mw_httpd_request *req)
{
    return req->data;
}

int mw_httpd_add_header(struct mw_httpd_request *req, const char *name, const char *value)
{
    struct header *headers, h;

    if (!*name || name[strcspn(name, "\r\n\t :")] || value[strcspn(value, "\r\n")])
        return -EINVAL;
    headers = realloc(req->headers, (req->n_headers + 1) * sizeof(*headers));
    if (!headers)
        return -ENOMEM;
    req->headers = headers;
    h = (struct header){strdup(name), strdup(value)};
    if (!h.name || !h.value) {
        free(h.name);
        free(h.value);
        return -ENOMEM;
    }
    headers[req->n_headers++] = h;
    return 0;
}
