#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "io/http_internal.h"

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

static bool is_success(const struct mw_http_call *call)
{
    long status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static bool goes_to_file(const struct mw_http_call *call)
{
    return call->download_path && is_success(call);
}

bool mw_http_answer_streams(const struct mw_http_call *call)
{
    return call->on_data && call->body.len && is_success(call);
}

static size_t on_body(char *data, size_t size, size_t nmemb, void *userdata)
{
    struct mw_http_call *call = userdata;
    size_t len = size * nmemb;

    if (goes_to_file(call))
        call->local_error = download_write(call, data, len);
    else if (call->streamed + call->body.len + len > call->body.limit)
        call->local_error = -E2BIG;
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

CURLcode mw_http_answer_listen(struct mw_http_call *call)
{
    CURLcode code = curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);

    if (code == CURLE_OK)
        code = curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    if (code == CURLE_OK)
        code = curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
    if (code == CURLE_OK)
        code = curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    return code;
}

static bool next_header(const struct mw_http_call *call, size_t *at, const char **ret_name,
                        const char **ret_value)
{
    const struct mw_buf *b = &call->got_headers;

    if (*at >= b->len)
        return false;
    *ret_name = b->data + *at;
    *ret_value = *ret_name + strlen(*ret_name) + 1;
    *at = (size_t)(*ret_value + strlen(*ret_value) + 1 - b->data);
    return true;
}

static const char *find_header(const struct mw_http_call *call, const char *wanted)
{
    const char *name, *value;

    for (size_t at = 0; next_header(call, &at, &name, &value);) {
        if (strcasecmp(name, wanted) == 0)
            return value;
    }
    return NULL;
}

static const char *response_header(const struct mw_http_response *r, const char *name)
{
    return find_header(r->impl, name);
}

static bool response_next_header(const struct mw_http_response *r, size_t *at,
                                 const char **ret_name, const char **ret_value)
{
    return next_header(r->impl, at, ret_name, ret_value);
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

    if (call->data_error)
        return call->data_error;
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
    if (call->data_error) {
        mw_error_set(err, error, "the answer of %s was not taken: %s", call->where,
                     strerror(-call->data_error));
    } else if (call->local_error == -E2BIG) {
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

void mw_http_answer_judge(struct mw_http_call *call, CURLcode code, int canceled,
                          struct mw_http_response *ret)
{
    const char *date;
    long status = 0;

    *ret = (struct mw_http_response){
        .header = response_header, .next_header = response_next_header, .impl = call};
    ret->error = canceled ? canceled : outcome_code(call, code);
    if (!ret->error) {
        call->local_error = download_finish(call);
        ret->error = call->local_error;
    }
    if (!ret->error)
        ret->phase = MW_HTTP_ANSWERED;
    else
        ret->phase = mw_http_call_sent(call) ? MW_HTTP_AMBIGUOUS : MW_HTTP_NOT_SENT;
    if (canceled)
        mw_error_set(&ret->err, canceled, "the call to %s was given up", call->where);
    else if (ret->error)
        describe(call, code, ret->error, &ret->err);

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    ret->status = call->started ? (int)status : 0;
    ret->content_type = find_header(call, "Content-Type");
    if (!ret->content_type)
        ret->content_type = "";
    date = find_header(call, "Date");
    if (date) {
        int64_t at = curl_getdate(date, NULL);
        ret->date_ms = at > 0 ? at * 1000 : 0;
    }
    ret->retry_after_ms = parse_retry_after(find_header(call, "Retry-After"), ret->date_ms);
    ret->body = call->body;
    mw_buf_init(&call->body, 0);
}
