#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/http_internal.h"
#include "io/url.h"

#define DEFAULT_MAX_BODY (16 * 1024 * 1024)
#define MAX_HEADERS      (64 * 1024)
/* Mattermost closes a connection that was idle for 60 s (ServiceSettings.IdleTimeout). Using one
 * just before that races with the server, and a lost race leaves a call ambiguous. */
#define MAX_IDLE_SECONDS 45

/* Headers hold tokens. */
static void wipe_headers(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

void mw_http_call_free(struct mw_http_call *call)
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

MW_DEFINE_CLEANUP(struct mw_http_call *, mw_http_call_free, call_free_p)

bool mw_http_call_sent(const struct mw_http_call *call)
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

    if (!call->safe && mw_http_call_sent(call)) {
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

static int parse_url(struct mw_http_call *call, const char *text, struct mw_error *err)
{
    struct mw_url url = {0};
    int r = mw_url_parse(text, 0, &url);
    bool ipv6;

    if (r == -ENOMEM)
        return r;
    call->tls = r == 0 && strcmp(url.scheme, "https") == 0;
    if (r < 0 || (!call->tls && strcmp(url.scheme, "http") != 0)) {
        mw_url_deinit(&url);
        /* The URL itself may hold a secret. */
        return mw_error_set(err, -EINVAL, "not an http:// or https:// address");
    }
    if (!url.port_given)
        url.port = call->tls ? 443 : 80;
    ipv6 = strchr(url.host, ':') != NULL;
    call->where = mw_asprintf("%s%s%s:%u", ipv6 ? "[" : "", url.host, ipv6 ? "]" : "", url.port);
    mw_url_deinit(&url);
    return call->where ? 0 : -ENOMEM;
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
        SET(CURLOPT_KEYPASSWD, ""); /* else OpenSSL would ask for it on the terminal */
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
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A call that is given up must not wait for a name server. */
    SET(CURLOPT_QUICK_EXIT, 1L);
#endif
    if (mw_http_answer_listen(call) != CURLE_OK)
        return -ENOMEM;
    if (http->user_agent)
        SET(CURLOPT_USERAGENT, http->user_agent);
    return set_tls(call);
}

int mw_http_call_new(struct mw_http *http, const struct mw_http_request *req,
                     struct mw_http_call **ret, struct mw_error *err)
{
    MW_CLEANUP(call_free_p) struct mw_http_call *call = NULL;
    int r;

    call = calloc(1, sizeof(*call));
    if (!call)
        return mw_error_set(err, -ENOMEM, "out of memory");
    call->upload_fd = -1;
    call->download_fd = -1;
    call->http = http;
    call->cb = req->cb;
    call->on_data = req->on_data;
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
    *ret = take_ptr(call);
    return 0;
}
