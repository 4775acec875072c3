#include <pthread.h>

#include "base/str.h"
#include "io/handle.h"
#include "io/http_internal.h"

#define DEFAULT_TIMEOUT_MS      30000
#define DEFAULT_MAX_CONNECTIONS 8

/* One socket of curl's that the loop watches. */
struct watch {
    uv_poll_t poll;
    struct mw_http *http;
    curl_socket_t fd;
};

static void call_unlink(struct mw_http_call *call)
{
    if (call->prev)
        call->prev->next = call->next;
    else
        call->http->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    if (call->http->delivering == call)
        call->http->delivering = NULL;
}

/* Takes the call out of everything, tells its owner, frees it. */
static void complete(struct mw_http_call *call, CURLcode code, int canceled)
{
    struct mw_http_response r;

    mw_http_answer_judge(call, code, canceled, &r);
    curl_multi_remove_handle(call->http->multi, call->easy);
    call_unlink(call);
    call->cb(&r, call->userdata);
    mw_buf_deinit(&r.body);
    mw_error_reset(&r.err);
    mw_http_call_free(call);
}

/* Hands over what curl's callbacks took; inside of them a call cannot be canceled. */
static void deliver(struct mw_http *http)
{
    struct mw_http_call *call;

    for (call = http->calls; call; call = call->next)
        call->fresh = mw_http_answer_streams(call);
    while (!http->freeing) {
        MW_AUTOBUF data = {0};
        long status = 0;
        int r;

        for (call = http->calls; call && !call->fresh;)
            call = call->next;
        if (!call)
            return;
        call->fresh = false;
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        data = call->body;
        mw_buf_init(&call->body, data.limit);
        call->streamed += data.len;
        http->delivering = call;
        r = call->on_data((int)status, data.data, data.len, call->userdata);
        if (r < 0 && http->delivering) {
            call->data_error = r;
            complete(call, CURLE_OK, 0);
        }
        http->delivering = NULL;
    }
}

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

/* Ends the calls that are there now; those that a callback starts have a new chance. */
static void give_up(struct mw_http *http)
{
    struct mw_http_call *call;

    for (call = http->calls; call; call = call->next)
        call->lost = true;
    while (!http->freeing) {
        for (call = http->calls; call && !call->lost;)
            call = call->next;
        if (!call)
            return;
        complete(call, CURLE_OUT_OF_MEMORY, 0);
    }
}

static void act(struct mw_http *http, curl_socket_t fd, int events)
{
    int running;

    if (curl_multi_socket_action(http->multi, fd, events, &running) != CURLM_OK || http->starved) {
        /* Memory ran out inside curl, which then takes no more events until all its calls are gone;
         * or in on_socket, and nobody watches a socket of theirs. */
        http->starved = false;
        deliver(http);
        finish_calls(http);
        give_up(http);
        return;
    }
    deliver(http);
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

/* For curl all is well: after a callback that fails it keeps pointers to calls that are gone. */
static int starve(struct mw_http *http)
{
    http->starved = true;
    return 0;
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
            return starve(http);
        if (uv_poll_init_socket(http->loop, &w->poll, fd) < 0) {
            free(w);
            return starve(http);
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
    return uv_poll_start(&w->poll, events, on_poll) < 0 ? starve(http) : 0;
}

/* libcurl may load GnuTLS for protocols that we never speak (RTMP, LDAP), and GnuTLS would set
 * itself up in every start of the program: 0.8 MB and page faults for nothing. It asks for this
 * function, see GNUTLS_SKIP_GLOBAL_INIT in its header; who needs it all the same calls
 * gnutls_global_init. */
int _gnutls_global_init_skip(void);
int _gnutls_global_init_skip(void)
{
    return 1;
}

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

int mw_http_start(struct mw_http *http, const struct mw_http_request *req,
                  struct mw_http_call **ret_call, struct mw_error *err)
{
    struct mw_http_call *call;
    int r;

    if (http->freeing)
        return mw_error_set(err, -ECANCELED, "the HTTP client is going away");
    r = mw_http_call_new(http, req, &call, err);
    if (r < 0)
        return r;
    if (curl_multi_add_handle(http->multi, call->easy) != CURLM_OK) {
        mw_http_call_free(call);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    call->next = http->calls;
    if (call->next)
        call->next->prev = call;
    http->calls = call;
    if (ret_call)
        *ret_call = call;
    return 0;
}
