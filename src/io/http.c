#include "io/http.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/handle.h"

#define DEFAULT_TIMEOUT_MS      30000
#define DEFAULT_MAX_CONNECTIONS 8
#define DEFAULT_MAX_BODY        (16 * 1024 * 1024)
#define MAX_HEADERS             (64 * 1024)
/* Mattermost closes a connection that was idle for 60 s (ServiceSettings.IdleTimeout). Using one
 * just before that races with the server, and a lost race leaves a call ambiguous. */
#define MAX_IDLE_SECONDS 45

struct mw_http {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    int handles; /* libuv handles that are not closed yet */
    bool freeing;
    int64_t timeout_ms;
    char *ca_file, *cert_file, *key_file, *proxy, *user_agent;
    bool insecure;
    struct mw_http_call *calls;
};

/* One socket of curl's that the loop watches. */
struct watch {
    uv_poll_t poll;
    struct mw_http *http;
    curl_socket_t fd;
};

struct mw_http_call {
    struct mw_http *http;
    struct mw_http_call *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    char *where; /* host:port, for people */
    bool safe;   /* GET, HEAD, OPTIONS: may be sent twice */
    bool tls;
    bool started;       /* a request was about to be sent */
    bool headers_done;  /* the empty line behind the answer's headers was seen */
    bool retry_refused; /* curl wanted to send it again, on another connection */
    int64_t timeout_ms;

    int upload_fd;
    curl_off_t upload_left;

    char *download_path;
    char *download_temp;
    int download_fd;

    struct mw_buf got_headers; /* name NUL value NUL ... */
    struct mw_buf body;
    int local_error; /* why one of our callbacks stopped the transfer */
    char curl_error[CURL_ERROR_SIZE];

    mw_http_cb cb;
    void *userdata;
};

/* --- a call's memory ---------------------------------------------------------------------------
 */

/* Headers hold tokens. */
static void wipe_headers(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static void call_free(struct mw_http_call *call)
{
    if (!call)
        return;
    curl_easy_cleanup(call->easy);
    wipe_headers(call->headers);
    free(call->where);
    if (call->upload_fd >= 0)
        close(call->upload_fd);
    if (call->download_fd >= 0)
        close(call->download_fd);
    if (call->download_temp)
        unlink(call->download_temp);
    free(call->download_temp);
    free(call->download_path);
    mw_buf_deinit(&call->got_headers);
    mw_buf_deinit(&call->body);
    free(call);
}

MW_DEFINE_CLEANUP(struct mw_http_call *, call_free, call_free_p)

static void call_unlink(struct mw_http_call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->http->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
}

/* --- what curl asks for ------------------------------------------------------------------------
 */

static bool bytes_were_sent(const struct mw_http_call *call)
{
    long sent = 0;

    if (!call->started)
        return false;
    /* OpenSSL may have sent a first record of a write that it then reports as failed. */
    if (call->tls)
        return true;
    return curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent) != CURLE_OK || sent > 0;
}

/* Comes before every attempt to send the request. When a kept connection turns out to be dead, curl
 * sends the request again on a new one, whatever its method. The server may have acted on the first
 * one, so only what is safe to repeat may go that way. */
static int on_before_request(void *data, char *remote_ip, char *local_ip, int remote_port,
                             int local_port)
{
    struct mw_http_call *call = data;

    if (!call->safe && bytes_were_sent(call)) {
        call->retry_refused = true;
        return CURL_PREREQFUNC_ABORT;
    }
    call->started = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_upload(char *buffer, size_t size, size_t nitems, void *data)
{
    struct mw_http_call *call = data;
    size_t want = MW_MIN(size * nitems, (size_t)call->upload_left);
    ssize_t n;

    if (!want)
        return 0;
    do {
        n = read(call->upload_fd, buffer, want);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        /* The file became shorter than what was announced. */
        call->local_error = n < 0 ? -errno : -ESTALE;
        return CURL_READFUNC_ABORT;
    }
    call->upload_left -= n;
    return (size_t)n;
}

static size_t on_header(char *line, size_t size, size_t nitems, void *data)
{
    struct mw_http_call *call = data;
    size_t len = size * nitems, end = len;
    const char *colon;
    char *value;

    if (len >= 5 && strncmp(line, "HTTP/", 5) == 0) {
        /* A new answer begins; what came before was an interim one. */
        mw_buf_clear(&call->got_headers);
        call->headers_done = false;
        return len;
    }
    if (line[0] == '\r' || line[0] == '\n')
        call->headers_done = true;
    colon = memchr(line, ':', len);
    if (!colon)
        return len;
    value = line + (colon - line) + 1;
    while (end && (line[end - 1] == '\r' || line[end - 1] == '\n' || line[end - 1] == ' '))
        end--;
    while (value < line + end && (*value == ' ' || *value == '\t'))
        value++;
    mw_buf_append(&call->got_headers, line, (size_t)(colon - line));
    mw_buf_putc(&call->got_headers, '\0');
    if (value < line + end)
        mw_buf_append(&call->got_headers, value, (size_t)(line + end - value));
    mw_buf_putc(&call->got_headers, '\0');
    call->local_error = mw_buf_error(&call->got_headers);
    return call->local_error ? 0 : len;
}

static int download_open(struct mw_http_call *call)
{
    char *temp = mw_asprintf("%s.XXXXXX", call->download_path);
    int fd;

    if (!temp)
        return -ENOMEM;
    fd = mkostemp(temp, O_CLOEXEC); /* 0600 from birth */
    if (fd < 0) {
        free(temp);
        return -errno;
    }
    call->download_temp = temp;
    call->download_fd = fd;
    return 0;
}

static int download_write(struct mw_http_call *call, const char *data, size_t len)
{
    ssize_t n;
    int r;

    if (call->download_fd < 0) {
        r = download_open(call);
        if (r < 0)
            return r;
    }
    while (len) {
        n = write(call->download_fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static bool goes_to_file(const struct mw_http_call *call)
{
    long status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return call->download_path && status >= 200 && status < 300;
}

static size_t on_body(char *data, size_t size, size_t nmemb, void *userdata)
{
    struct mw_http_call *call = userdata;
    size_t len = size * nmemb;

    if (goes_to_file(call))
        call->local_error = download_write(call, data, len);
    else
        call->local_error = mw_buf_append(&call->body, data, len);
    return call->local_error ? 0 : len;
}

/* The file takes its name only when it is whole. */
static int download_finish(struct mw_http_call *call)
{
    int r;

    if (!goes_to_file(call))
        return 0;
    if (call->download_fd < 0) { /* an empty body */
        r = download_open(call);
        if (r < 0)
            return r;
    }
    r = close(call->download_fd);
    call->download_fd = -1;
    if (r < 0 || rename(call->download_temp, call->download_path) < 0)
        return -errno;
    free(take_ptr(call->download_temp));
    return 0;
}

/* --- the outcome -------------------------------------------------------------------------------
 */

static const char *find_header(const struct mw_http_call *call, const char *name)
{
    const char *p = call->got_headers.data, *end = p + call->got_headers.len;

    while (p && p < end) {
        const char *value = p + strlen(p) + 1;
        if (strcasecmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

static const char *response_header(const struct mw_http_response *r, const char *name)
{
    return find_header(r->impl, name);
}

/* "120" or an HTTP date (RFC 9110 section 10.2.3). A date is read by the server's own clock where
 * the answer tells it. */
static int64_t parse_retry_after(const char *value, int64_t date_ms)
{
    char *end;
    int64_t at;

    if (!value || !*value)
        return -1;
    if (*value >= '0' && *value <= '9') {
        long long seconds;
        errno = 0;
        seconds = strtoll(value, &end, 10);
        if (!*end)
            return errno || seconds > INT32_MAX ? INT32_MAX * INT64_C(1000) : seconds * 1000;
    }
    at = curl_getdate(value, NULL);
    if (at < 0)
        return -1;
    return MW_MAX(at * 1000 - (date_ms ? date_ms : mw_clock_now()), 0);
}

static int outcome_code(const struct mw_http_call *call, CURLcode code)
{
    long os_errno = 0;

    if (call->local_error)
        return call->local_error;
    if (call->retry_refused)
        return -ECONNRESET;
    switch (code) {
    case CURLE_OK:
        /* curl is content with an answer that ends amid its headers. */
        return call->headers_done ? 0 : -ECONNRESET;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os_errno);
        return os_errno > 0 ? (int)-os_errno : -EHOSTUNREACH;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_PARTIAL_FILE:
        return call->started ? -ECONNRESET : -EPROTO;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EPROTO;
    default:
        return -EIO;
    }
}

/* A sentence that names the host and the reason. Nothing of the request's headers, body, path or
 * query may show up in it. */
static void describe(const struct mw_http_call *call, CURLcode code, int error,
                     struct mw_error *err)
{
    const char *detail = call->curl_error[0] ? call->curl_error : curl_easy_strerror(code);
    const char *via = call->http->proxy ? " through the proxy" : "";
    long connect_status = 0, status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->local_error == -E2BIG) {
        mw_error_set(err, error, "the answer of %s is longer than %zu bytes", call->where,
                     call->body.limit);
    } else if (call->local_error && call->upload_fd >= 0 && !status) {
        mw_error_set(err, error, "the file to send to %s cannot be read: %s", call->where,
                     call->local_error == -ESTALE ? "it became shorter"
                                                  : strerror(-call->local_error));
    } else if (call->local_error) {
        mw_error_set(err, error, "the answer of %s cannot be kept: %s", call->where,
                     strerror(-call->local_error));
    } else if (code == CURLE_COULDNT_RESOLVE_HOST) {
        mw_error_set(err, error, "the address of %s cannot be found", call->where);
    } else if (code == CURLE_COULDNT_RESOLVE_PROXY) {
        mw_error_set(err, error, "the address of the proxy on the way to %s cannot be found",
                     call->where);
    } else if (code == CURLE_OPERATION_TIMEDOUT && call->started) {
        mw_error_set(err, error, "%s did not answer within %g s", call->where,
                     (double)call->timeout_ms / 1000);
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        mw_error_set(err, error, "no connection to %s%s within %g s", call->where, via,
                     (double)call->timeout_ms / 1000);
    } else if (code == CURLE_COULDNT_CONNECT) {
        mw_error_set(err, error, "cannot connect to %s%s: %s", call->where, via, strerror(-error));
    } else if (connect_status >= 300 && !call->started) {
        mw_error_set(err, error, "the proxy refused to connect to %s: HTTP status %ld", call->where,
                     connect_status);
    } else if (error == -ECONNRESET && status) {
        mw_error_set(err, error, "%s cut its answer short", call->where);
    } else if (error == -ECONNRESET) {
        mw_error_set(err, error, "%s closed the connection without an answer", call->where);
    } else if (call->tls && !call->started) {
        mw_error_set(err, error, "no TLS connection to %s: %s", call->where, detail);
    } else {
        mw_error_set(err, error, "the call to %s failed: %s", call->where, detail);
    }
}

/* Takes the call out of everything, tells its owner, frees it. */
static void complete(struct mw_http_call *call, CURLcode code, int canceled)
{
    struct mw_http_response r = {.header = response_header, .impl = call};
    const char *date = NULL;
    long status = 0;

    r.error = canceled ? canceled : outcome_code(call, code);
    if (!r.error) {
        call->local_error = download_finish(call);
        r.error = call->local_error;
    }
    if (!r.error)
        r.phase = MW_HTTP_ANSWERED;
    else
        r.phase = bytes_were_sent(call) ? MW_HTTP_AMBIGUOUS : MW_HTTP_NOT_SENT;
    if (canceled)
        mw_error_set(&r.err, canceled, "the call to %s was given up", call->where);
    else if (r.error)
        describe(call, code, r.error, &r.err);

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    r.status = call->started ? (int)status : 0;
    r.content_type = find_header(call, "Content-Type");
    if (!r.content_type)
        r.content_type = "";
    date = find_header(call, "Date");
    if (date) {
        int64_t at = curl_getdate(date, NULL);
        r.date_ms = at > 0 ? at * 1000 : 0;
    }
    r.retry_after_ms = parse_retry_after(find_header(call, "Retry-After"), r.date_ms);
    r.body = call->body;
    mw_buf_init(&call->body, 0);

    curl_multi_remove_handle(call->http->multi, call->easy);
    call_unlink(call);
    call->cb(&r, call->userdata);
    mw_buf_deinit(&r.body);
    mw_error_reset(&r.err);
    call_free(call);
}

/* --- the loop ----------------------------------------------------------------------------------
 */

static void finish_calls(struct mw_http *http)
{
    CURLMsg *msg;
    int left;

    /* A callback may free `http`; its memory stays until the loop closed its handles. */
    while (!http->freeing && (msg = curl_multi_info_read(http->multi, &left))) {
        struct mw_http_call *call = NULL;
        CURLcode code = msg->data.result;

        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        complete(call, code, 0);
    }
}

static void act(struct mw_http *http, curl_socket_t fd, int events)
{
    int running;

    if (curl_multi_socket_action(http->multi, fd, events, &running) != CURLM_OK) {
        /* Memory ran out inside curl or in on_socket: curl takes no more events until all its
         * calls are gone. */
        finish_calls(http);
        while (!http->freeing && http->calls)
            complete(http->calls, CURLE_OUT_OF_MEMORY, 0);
        return;
    }
    finish_calls(http);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    int flags = 0;

    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    act(w->http, w->fd, flags);
}

static void on_timer(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_set_timer(CURLM *multi, long timeout_ms, void *data)
{
    struct mw_http *http = data;

    if (http->freeing || timeout_ms < 0)
        uv_timer_stop(&http->timer);
    else
        uv_timer_start(&http->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static void put_handle(struct mw_http *http)
{
    if (--http->handles == 0)
        free(http);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *w = handle->data;

    put_handle(w->http);
    free(w);
}

static void on_timer_closed(uv_handle_t *handle)
{
    put_handle(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
    struct mw_http *http = data;
    struct watch *w = socket_data;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (w) {
            curl_multi_assign(http->multi, fd, NULL);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof(*w));
        if (!w)
            return -1;
        if (uv_poll_init_socket(http->loop, &w->poll, fd) < 0) {
            free(w);
            return -1;
        }
        w->poll.data = w;
        w->http = http;
        w->fd = fd;
        http->handles++;
        curl_multi_assign(http->multi, fd, w);
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&w->poll, events, on_poll) < 0 ? -1 : 0;
}

/* --- client ------------------------------------------------------------------------------------
 */

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void http_free_strings(struct mw_http *http)
{
    free(http->ca_file);
    free(http->cert_file);
    free(http->key_file);
    mw_secret_free(http->proxy);
    free(http->user_agent);
}

int mw_http_new(uv_loop_t *loop, const struct mw_http_params *params, struct mw_http **ret,
                struct mw_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    unsigned max = params->max_connections ? params->max_connections : DEFAULT_MAX_CONNECTIONS;
    struct mw_http *http;

    pthread_once(&once, init_curl);
    mw_ignore_sigpipe(); /* curl's own care for it is off with CURLOPT_NOSIGNAL */
    http = calloc(1, sizeof(*http));
    if (!http)
        return mw_error_set(err, -ENOMEM, "out of memory");
    http->loop = loop;
    http->timeout_ms = params->timeout_ms ? params->timeout_ms : DEFAULT_TIMEOUT_MS;
    http->insecure = params->tls.insecure;
    http->multi = curl_multi_init();
    if (!http->multi || mw_str_set(&http->ca_file, params->tls.ca_file) < 0 ||
        mw_str_set(&http->cert_file, params->tls.cert_file) < 0 ||
        mw_str_set(&http->key_file, params->tls.key_file) < 0 ||
        mw_str_set(&http->proxy, params->proxy) < 0 ||
        mw_str_set(&http->user_agent, params->user_agent) < 0) {
        curl_multi_cleanup(http->multi);
        http_free_strings(http);
        free(http);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_set_timer);
    curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
    curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)max);
    curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)max);
    curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    uv_timer_init(loop, &http->timer);
    http->timer.data = http;
    http->handles = 1;
    *ret = http;
    return 0;
}

void mw_http_free(struct mw_http *http)
{
    if (!http || http->freeing)
        return;
    http->freeing = true;
    while (http->calls)
        complete(http->calls, CURLE_OK, -ECANCELED);
    curl_multi_cleanup(http->multi);
    http_free_strings(http);
    uv_close((uv_handle_t *)&http->timer, on_timer_closed);
}

void mw_http_cancel(struct mw_http_call *call)
{
    complete(call, CURLE_OK, -ECANCELED);
}

/* --- start -------------------------------------------------------------------------------------
 */

static int parse_url(struct mw_http_call *call, const char *url, struct mw_error *err)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    int r = 0;

    if (!u)
        return -ENOMEM;
    if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)) {
        /* The URL itself may hold a secret. */
        r = mw_error_set(err, -EINVAL, "not an http:// or https:// address");
    } else {
        call->tls = strcmp(scheme, "https") == 0;
        call->where = mw_asprintf("%s:%s", host, port);
        if (!call->where)
            r = -ENOMEM;
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return r;
}

static int add_header(struct mw_http_call *call, const char *line)
{
    struct curl_slist *list = curl_slist_append(call->headers, line);

    if (!list)
        return -ENOMEM;
    call->headers = list;
    return 0;
}

static int set_headers(struct mw_http_call *call, const struct mw_http_request *req,
                       struct mw_error *err)
{
    bool has_body = req->body || req->upload_path;
    MW_AUTOFREE char *type = NULL;

    for (const char *const *h = req->headers; h && *h; h++) {
        if (strpbrk(*h, "\r\n"))
            return mw_error_set(err, -EINVAL, "a header of the request has a line break");
        if (add_header(call, *h) < 0)
            return -ENOMEM;
    }
    /* An empty value keeps curl from adding the header by itself. Waiting for "100 Continue" would
     * cost a second where the server does not send it. */
    if (has_body)
        type = mw_asprintf("Content-Type: %s",
                           req->content_type ? req->content_type : "application/json");
    else
        type = strdup("Content-Type:");
    if (!type || add_header(call, type) < 0 || add_header(call, "Expect:") < 0)
        return -ENOMEM;
    return 0;
}

static int set_upload(struct mw_http_call *call, const char *path, struct mw_error *err)
{
    struct stat st;

    call->upload_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (call->upload_fd < 0)
        return mw_error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
    if (fstat(call->upload_fd, &st) < 0)
        return mw_error_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return mw_error_set(err, -EINVAL, "%s is not a file", path);
    call->upload_left = st.st_size;
    return 0;
}

#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(call->easy, option, value) != CURLE_OK)                               \
            return -ENOMEM;                                                                        \
    } while (0)

static int set_method(struct mw_http_call *call, const struct mw_http_request *req,
                      struct mw_error *err)
{
    const char *m = req->method;
    bool needs_length = mw_streq(m, "POST") || mw_streq(m, "PUT") || mw_streq(m, "PATCH");
    int r;

    call->safe = mw_streq(m, "GET") || mw_streq(m, "HEAD") || mw_streq(m, "OPTIONS");
    if (req->upload_path) {
        r = set_upload(call, req->upload_path, err);
        if (r < 0)
            return r;
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_READFUNCTION, on_upload);
        SET(CURLOPT_READDATA, call);
        SET(CURLOPT_INFILESIZE_LARGE, call->upload_left);
    } else if (req->body || needs_length) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body ? req->body_len : 0));
        SET(CURLOPT_COPYPOSTFIELDS, req->body ? req->body : "");
    } else if (mw_streq(m, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    if (!mw_streq(m, "HEAD"))
        SET(CURLOPT_CUSTOMREQUEST, m);
    return 0;
}

static int set_tls(struct mw_http_call *call)
{
    struct mw_http *http = call->http;

    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (http->ca_file)
        SET(CURLOPT_CAINFO, http->ca_file);
    if (http->cert_file)
        SET(CURLOPT_SSLCERT, http->cert_file);
    if (http->cert_file)
        SET(CURLOPT_SSLKEY, http->key_file ? http->key_file : http->cert_file);
    SET(CURLOPT_SSL_VERIFYPEER, http->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, http->insecure ? 0L : 2L);
    return 0;
}

static int set_options(struct mw_http_call *call, const struct mw_http_request *req)
{
    struct mw_http *http = call->http;

    SET(CURLOPT_URL, req->url);
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_ERRORBUFFER, call->curl_error);
    SET(CURLOPT_HTTPHEADER, call->headers);
    /* Before a redirect is followed, its target would have to be judged. The caller does that. */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROXY, http->proxy ? http->proxy : ""); /* "" keeps the environment out */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)call->timeout_ms);
    SET(CURLOPT_MAXAGE_CONN, (long)MAX_IDLE_SECONDS);
    SET(CURLOPT_PREREQFUNCTION, on_before_request);
    SET(CURLOPT_PREREQDATA, call);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A call that is given up must not wait for a name server. */
    SET(CURLOPT_QUICK_EXIT, 1L);
#endif
    if (http->user_agent)
        SET(CURLOPT_USERAGENT, http->user_agent);
    return set_tls(call);
}

int mw_http_start(struct mw_http *http, const struct mw_http_request *req,
                  struct mw_http_call **ret_call, struct mw_error *err)
{
    MW_CLEANUP(call_free_p) struct mw_http_call *call = NULL;
    int r;

    if (http->freeing)
        return mw_error_set(err, -ECANCELED, "the HTTP client is going away");
    call = calloc(1, sizeof(*call));
    if (!call)
        return mw_error_set(err, -ENOMEM, "out of memory");
    call->upload_fd = -1;
    call->download_fd = -1;
    call->http = http;
    call->cb = req->cb;
    call->userdata = req->userdata;
    call->timeout_ms = req->timeout_ms ? req->timeout_ms : http->timeout_ms;
    mw_buf_init(&call->body, req->max_body ? req->max_body : DEFAULT_MAX_BODY);
    mw_buf_init(&call->got_headers, MAX_HEADERS);
    call->easy = curl_easy_init();
    if (!call->easy || mw_str_set(&call->download_path, req->download_path) < 0)
        return mw_error_set(err, -ENOMEM, "out of memory");
    r = parse_url(call, req->url, err);
    if (r == 0)
        r = set_headers(call, req, err);
    if (r == 0)
        r = set_method(call, req, err);
    if (r == 0)
        r = set_options(call, req);
    if (r < 0)
        return mw_error_set(err, r, "out of memory"); /* unless a sentence is there already */
    if (curl_multi_add_handle(http->multi, call->easy) != CURLM_OK)
        return mw_error_set(err, -ENOMEM, "out of memory");
    call->next = http->calls;
    if (call->next)
        call->next->prev = call;
    http->calls = call;
    if (ret_call)
        *ret_call = call;
    call = NULL; /* it is the client's now */
    return 0;
}
