#include "mattermost/client.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "mattermost/client_impl.h"
#include "mattermost/endpoint.h"
#include "mattermost/frame.h"

enum {
    DEFAULT_CONCURRENT = 8,
    DEFAULT_PENDING = 1024,
    CACHE_LIMIT = 50000,
    DEFAULT_MAX_POST = 4000,    /* what the oldest servers take */
    LOGIN_RETRY_MS = 30 * 1000, /* after the server refused login and password */
    UPLOAD_TIMEOUT_MS = 10 * 60 * 1000,
};

struct mm_call {
    struct mm_call *prev, *next;
    struct mm_call_list *list;
    struct mm_client *c;
    char *method, *path; /* path with /api/v4 */
    char *body;
    size_t body_len;
    char *upload_path;
    char *range; /* header: the answer is a part of a file, not JSON; NULL = none */
    bool bytes;  /* the body is no JSON */
    mm_cb cb;    /* NULL = canceled by mm_cancel */
    void *userdata;
    enum mm_class class;
    int64_t since;   /* monotonic: when it was made */
    uint64_t number; /* given by the budget */
    struct mw_http_call *http;
    unsigned token_generation; /* of the token it was sent with */
    bool is_login, renewed;
    struct mm_result result; /* in the list of the answered */
};

static const char *const outcome_names[] = {
    [MM_OK] = "ok",
    [MM_UNREACHABLE] = "unreachable",
    [MM_AMBIGUOUS] = "ambiguous",
    [MM_UNAUTHORIZED] = "unauthorized",
    [MM_FORBIDDEN] = "forbidden",
    [MM_NOT_FOUND] = "not_found",
    [MM_REFUSED] = "refused",
    [MM_UNAVAILABLE] = "unavailable",
    [MM_BAD_ANSWER] = "bad_answer",
    [MM_CANCELED] = "canceled",
};

const char *mm_outcome_name(enum mm_outcome o)
{
    return (size_t)o < MW_ARRAY_LEN(outcome_names) ? outcome_names[o] : "unknown";
}

/* ---- Lists of calls ---- */

static void unlink_call(struct mm_call *call)
{
    struct mm_call_list *l = call->list;

    if (!l)
        return;
    *(call->prev ? &call->prev->next : &l->first) = call->next;
    *(call->next ? &call->next->prev : &l->last) = call->prev;
    call->prev = call->next = NULL;
    call->list = NULL;
    l->n--;
}

static void append_call(struct mm_call_list *l, struct mm_call *call)
{
    unlink_call(call);
    call->list = l;
    call->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = call;
    l->last = call;
    l->n++;
}

static void prepend_call(struct mm_call_list *l, struct mm_call *call)
{
    unlink_call(call);
    call->list = l;
    call->next = l->first;
    *(l->first ? &l->first->prev : &l->last) = call;
    l->first = call;
    l->n++;
}

static void free_call(struct mm_call *call)
{
    if (!call)
        return;
    unlink_call(call);
    free(call->method);
    free(call->path);
    /* The body of a sign-in holds the password. */
    if (call->is_login)
        mw_secret_free(call->body);
    else
        free(call->body);
    free(call->upload_path);
    free(call->range);
    cJSON_Delete(call->result.body);
    mw_error_reset(&call->result.err);
    free(call);
}
MW_DEFINE_CLEANUP(struct mm_call *, free_call, free_call_p)

static void send_pending(struct mm_client *c);
static void tell_answered(struct mm_client *c);
static void on_http(const struct mw_http_response *r, void *userdata);

static void on_timer(uv_timer_t *timer)
{
    struct mm_client *c = timer->data;

    send_pending(c);
    tell_answered(c);
}

/* Runs the queue from the loop in `ms`. */
static void wake(struct mm_client *c, int64_t ms)
{
    if (!c->dead)
        uv_timer_start(&c->timer, on_timer, (uint64_t)MW_MAX(ms, 0), 0);
}

/* Ends a call. Frees it first: the callback may free the client. */
static void finish_call(struct mm_call *call, struct mm_result *r)
{
    struct mm_client *c = call->c;
    mm_cb cb = call->cb;
    void *userdata = call->userdata;

    c->stats.calls++;
    if (r->outcome != MM_OK)
        c->stats.failures++;
    free_call(call);
    if (cb)
        cb(r, userdata);
    cJSON_Delete(r->body);
    r->body = NULL;
    mw_error_reset(&r->err);
}

/* Keeps the result until the timer tells it. */
static void answer_call(struct mm_call *call, enum mm_outcome outcome, struct mw_error *err)
{
    mm_result_init(&call->result, outcome);
    if (err)
        mw_error_move(&call->result.err, err);
    append_call(&call->c->answered, call);
    wake(call->c, 0);
}

static struct mm_call *new_call(struct mm_client *c, const char *method, const char *path, mm_cb cb,
                                void *userdata)
{
    MW_CLEANUP(free_call_p) struct mm_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->c = c;
    call->cb = cb;
    call->userdata = userdata;
    call->class = mm_class_of(method, path);
    call->since = mw_clock_mono();
    call->method = strdup(method);
    call->path = mw_asprintf("/api/v4%s", path);
    if (!call->method || !call->path)
        return NULL;
    return take_ptr(call);
}

/* ---- Sending ---- */

static int set_token(struct mm_client *c, const char *token)
{
    MW_AUTOFREE char *header = token ? mw_asprintf("Authorization: Bearer %s", token) : NULL;
    char *copy = token ? strdup(token) : NULL;

    if (token && (!header || !copy)) {
        mw_secret_free(take_ptr(header));
        mw_secret_free(copy);
        return -ENOMEM;
    }
    mw_secret_free(c->token);
    mw_secret_free(c->auth_header);
    c->token = copy;
    c->auth_header = take_ptr(header);
    return 0;
}

static int send_call(struct mm_call *call, struct mw_error *err)
{
    struct mm_client *c = call->c;
    MW_AUTOFREE char *url = mw_asprintf("%s%s", c->endpoint, call->path);
    const char *headers[] = {call->range ? call->range : "Accept: application/json",
                             call->is_login ? NULL : c->auth_header, NULL};
    struct mw_http_request req = {
        .method = call->method,
        .url = url,
        .headers = headers,
        .body = call->body,
        .body_len = call->bytes  ? call->body_len
                    : call->body ? strlen(call->body)
                                 : 0,
        .content_type = call->upload_path || call->bytes ? "application/octet-stream" : NULL,
        .upload_path = call->upload_path,
        .timeout_ms = call->upload_path || call->bytes || call->range
                          ? MW_MAX(c->timeout_ms, UPLOAD_TIMEOUT_MS)
                          : 0,
        .cb = on_http,
        .userdata = call,
    };
    int r;

    if (!url)
        return mw_error_set(err, -ENOMEM, "out of memory");
    r = mw_http_start(c->http, &req, &call->http, err);
    if (r < 0)
        return r;
    call->token_generation = c->token_generation;
    append_call(&c->running, call);
    return 0;
}

static unsigned pending(const struct mm_client *c)
{
    unsigned n = 0;

    for (enum mm_class k = 0; k < MM_CLASSES; k++)
        n += c->pending[k].n;
    return n;
}

static void fail_pending(struct mm_client *c, enum mm_outcome outcome, const struct mw_error *why)
{
    for (enum mm_class k = 0; k < MM_CLASSES; k++) {
        while (c->pending[k].first) {
            struct mw_error err = MW_ERROR_INIT;

            mw_error_set(&err, why->code ? why->code : -EIO, "%s", mw_error_text(why));
            answer_call(c->pending[k].first, outcome, &err);
        }
    }
}

static void on_login(struct mm_client *c, struct mm_result *r, const char *token)
{
    c->signing_in = false;
    if (r->outcome == MM_OK && token && set_token(c, token) == 0) {
        c->token_generation++;
        c->login_refused_until = 0;
        mw_error_reset(&c->login_error);
        if (c->token_generation > 1 && c->on_renewal)
            c->on_renewal(c->renewal_userdata);
        return;
    }
    if (r->outcome == MM_OK) {
        r->outcome = MM_BAD_ANSWER;
        mw_error_set(&r->err, -EPROTO, "the server took the login but gave no session token");
    }
    mw_error_prefix(&r->err, "cannot sign in as %s", c->login);
    /* Refused logins lock accounts: do not knock again at once. */
    if (r->outcome != MM_UNREACHABLE && r->outcome != MM_AMBIGUOUS) {
        c->login_refused_until = mw_clock_mono() + LOGIN_RETRY_MS;
        mw_error_reset(&c->login_error);
        mw_error_set(&c->login_error, -EACCES, "%s", mw_error_text(&r->err));
        c->login_outcome = r->outcome;
    }
    fail_pending(c, r->outcome, &r->err);
}

/* Returns 0 when the call is on the wire. */
static int start_login(struct mm_client *c, uint64_t number)
{
    MW_CLEANUP(free_call_p) struct mm_call *call = new_call(c, "POST", "/users/login", NULL, NULL);
    MW_AUTOJSON *body = cJSON_CreateObject();
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r = -ENOMEM;

    if (call && body && !mw_json_add_str(body, "login_id", c->login) &&
        !mw_json_add_str(body, "password", c->password)) {
        call->is_login = true;
        call->number = number;
        call->body = mw_json_print(body);
        r = call->body ? send_call(call, &err) : -ENOMEM;
    }
    if (r < 0) {
        if (!mw_error_is_set(&err))
            mw_error_set(&err, r, "out of memory");
        fail_pending(c, MM_UNREACHABLE, &err);
        return r;
    }
    call = NULL;
    c->signing_in = true;
    return 0;
}

static struct mm_client *client_of(struct mm_budget_member *m)
{
    return MW_CONTAINER_OF(m, struct mm_client, member);
}

static bool can_send(struct mm_budget_member *m)
{
    const struct mm_client *c = client_of(m);

    return !c->dead && c->running.n < c->max_concurrent && !c->signing_in;
}

static unsigned calls_waiting(struct mm_budget_member *m, enum mm_class class, int64_t *ret_since)
{
    const struct mm_call_list *l = &client_of(m)->pending[class];

    *ret_since = l->first ? l->first->since : 0;
    return l->n;
}

static bool send_first(struct mm_budget_member *m, enum mm_class class, uint64_t number)
{
    struct mm_client *c = client_of(m);
    struct mm_call *call = c->pending[class].first;
    struct mw_error err = MW_ERROR_INIT;

    if (!c->token)
        return start_login(c, number) == 0;
    call->number = number;
    if (send_call(call, &err) == 0)
        return true;
    answer_call(call, MM_UNREACHABLE, &err);
    return false;
}

static const struct mm_budget_ops budget_ops = {
    .ready = can_send,
    .waiting = calls_waiting,
    .send = send_first,
};

/* Sends as far as it goes. Calls nobody back. */
static void send_pending(struct mm_client *c)
{
    if (!c->token && !c->signing_in && mw_clock_mono() < c->login_refused_until)
        fail_pending(c, c->login_outcome, &c->login_error);
    mm_budget_pump(c->member.budget);
}

/* Gives one answer that did not come by wire. One a turn, because the callback may free the
 * client. */
static void tell_answered(struct mm_client *c)
{
    struct mm_call *call = c->answered.first;
    struct mm_result r;

    if (!call)
        return;
    r = call->result;
    call->result = (struct mm_result){0};
    if (call->next)
        wake(c, 0);
    finish_call(call, &r);
}

/* ---- Answers ---- */

/* The call was not carried out: it is sent again when the budget lets it. */
static void on_rate_limit(struct mm_call *call)
{
    struct mm_client *c = call->c;

    if (call->is_login) {
        /* The calls that wait for it begin anew. */
        c->signing_in = false;
        free_call(call);
    } else {
        prepend_call(&c->pending[call->class], call);
    }
    wake(c, 0);
}

/* With login and password a 401 means that the session ended: sign in again, once a call. */
static bool renew_token(struct mm_call *call)
{
    struct mm_client *c = call->c;

    if (!c->login || call->is_login || call->renewed)
        return false;
    if (call->token_generation == c->token_generation && c->token && set_token(c, NULL) < 0)
        return false;
    call->renewed = true;
    prepend_call(&c->pending[call->class], call);
    wake(c, 0);
    return true;
}

static void learn_from_headers(struct mm_client *c, const struct mw_http_response *r)
{
    const char *version;

    if (r->date_ms > 0) {
        /* The header has whole seconds: half of one is the first guess, and every answer takes away
         * what cannot be. */
        int64_t guess = c->server_ms ? mm_client_server_now(c) : r->date_ms + 500;

        c->server_ms = MW_MIN(MW_MAX(guess, r->date_ms), r->date_ms + 999);
        c->server_mono = mw_clock_mono();
    }
    version = c->version ? NULL : r->header(r, "X-Version-Id");
    if (version) {
        /* "5.37.0.5.37.0.<hash>.false": the version is the first three numbers. Not knowing it for
         * lack of memory is no harm. */
        size_t n = 0;
        int dots = 0;

        while (version[n] && (version[n] != '.' || ++dots < 3))
            n++;
        c->version = strndup(version, n);
    }
}

static void on_http(const struct mw_http_response *r, void *userdata)
{
    struct mm_call *call = userdata;
    struct mm_client *c = call->c;
    /* The contract lets the callback move the body out. */
    MW_AUTOBUF body = r->body;
    struct mm_result res;
    MW_AUTOFREE char *request_id = NULL;

    ((struct mw_http_response *)r)->body = (struct mw_buf){0};
    call->http = NULL;
    unlink_call(call);
    mm_budget_ended(c->member.budget, call->number, r);
    mm_result_init(&res, MM_CANCELED);
    if (r->error == 0) {
        const char *id = r->header(r, "X-Request-Id");

        learn_from_headers(c, r);
        if (r->status == 429) {
            on_rate_limit(call);
            return;
        }
        if (r->status == 401 && renew_token(call))
            return;
        request_id = id ? strdup(id) : NULL;
        res.request_id = request_id ? request_id : "";
        res.status = r->status;
        res.retry_after_ms = r->retry_after_ms;
        res.date_ms = r->date_ms;
        mm_read_answer(&(struct mm_question){.endpoint = c->endpoint,
                                             .method = call->method,
                                             .path = call->path,
                                             .bytes = call->range},
                       r, &body, &res);
    } else {
        if (r->error == -ECANCELED)
            res.outcome = MM_CANCELED;
        else if (r->error == -E2BIG)
            res.outcome = MM_BAD_ANSWER;
        else
            res.outcome = r->phase == MW_HTTP_NOT_SENT ? MM_UNREACHABLE : MM_AMBIGUOUS;
        mw_error_set(&res.err, r->error, "%s %s: %s", call->method, call->path,
                     mw_error_text(&r->err));
    }
    if (call->is_login) {
        const char *token = r->error == 0 ? r->header(r, "Token") : NULL;

        call->cb = NULL;
        on_login(c, &res, token && *token ? token : NULL);
    }
    wake(c, 0);
    finish_call(call, &res);
}

/* ---- Calls ---- */

static void enqueue(struct mm_call *call)
{
    append_call(&call->c->pending[call->class], call);
}

int mm_call(struct mm_client *c, const char *method, const char *path, cJSON *body, mm_cb cb,
            void *userdata)
{
    MW_CLEANUP(free_call_p) struct mm_call *call = NULL;
    MW_AUTOJSON *owned = body;

    if (c->dead)
        return -ECANCELED;
    if (pending(c) >= c->max_pending)
        return -ENOBUFS;
    call = new_call(c, method, path, cb, userdata);
    if (!call)
        return -ENOMEM;
    if (owned) {
        call->body = mw_json_print(owned);
        if (!call->body)
            return -ENOMEM;
    }
    enqueue(take_ptr(call));
    /* Sends at once when it can, without a turn of the loop; answers only come from the loop. */
    if (c->token)
        send_pending(c);
    else
        wake(c, 0);
    return 0;
}

int mm_upload(struct mm_client *c, const char *channel_id, const char *path, const char *filename,
              mm_cb cb, void *userdata)
{
    MW_CLEANUP(free_call_p) struct mm_call *call = NULL;
    MW_AUTOFREE char *name = mm_url_escape(filename), *id = mm_url_escape(channel_id);
    MW_AUTOFREE char *target = NULL;

    if (c->dead)
        return -ECANCELED;
    if (pending(c) >= c->max_pending)
        return -ENOBUFS;
    if (!name || !id)
        return -ENOMEM;
    target = mw_asprintf("/files?channel_id=%s&filename=%s", id, name);
    call = target ? new_call(c, "POST", target, cb, userdata) : NULL;
    if (!call || !(call->upload_path = strdup(path)))
        return -ENOMEM;
    enqueue(take_ptr(call));
    wake(c, 0);
    return 0;
}

int mm_call_bytes(struct mm_client *c, const char *path, const void *data, size_t len, mm_cb cb,
                  void *userdata)
{
    MW_CLEANUP(free_call_p) struct mm_call *call = NULL;

    if (c->dead)
        return -ECANCELED;
    if (pending(c) >= c->max_pending)
        return -ENOBUFS;
    call = new_call(c, "POST", path, cb, userdata);
    if (!call || !(call->body = malloc(len + 1)))
        return -ENOMEM;
    memcpy(call->body, data, len);
    call->body_len = len;
    call->bytes = true;
    enqueue(take_ptr(call));
    wake(c, 0);
    return 0;
}

int mm_call_range(struct mm_client *c, const char *path, int64_t from, int64_t to, mm_cb cb,
                  void *userdata)
{
    MW_CLEANUP(free_call_p) struct mm_call *call = NULL;

    if (c->dead)
        return -ECANCELED;
    if (pending(c) >= c->max_pending)
        return -ENOBUFS;
    call = new_call(c, "GET", path, cb, userdata);
    if (!call ||
        !(call->range = mw_asprintf("Range: bytes=%lld-%lld", (long long)from, (long long)to)))
        return -ENOMEM;
    enqueue(take_ptr(call));
    wake(c, 0);
    return 0;
}

int mm_answer_later(struct mm_client *c, cJSON *body, mm_cb cb, void *userdata)
{
    struct mm_call *call;

    if (c->dead || !(call = new_call(c, "", "", cb, userdata))) {
        cJSON_Delete(body);
        return c->dead ? -ECANCELED : -ENOMEM;
    }
    answer_call(call, MM_OK, NULL);
    call->result.body = body;
    return 0;
}

static void forget(struct mm_call_list *l, const void *userdata)
{
    for (struct mm_call *call = l->first; call; call = call->next)
        if (call->userdata == userdata)
            call->cb = NULL;
}

void mm_cancel(struct mm_client *c, const void *userdata)
{
    struct mm_call_list *lists[] = {&c->running, &c->answered};

    for (enum mm_class k = 0; k < MM_CLASSES; k++)
        forget(&c->pending[k], userdata);
    for (size_t i = 0; i < MW_ARRAY_LEN(lists); i++)
        forget(lists[i], userdata);
    for (struct mm_op *op = c->ops; op; op = op->next)
        if (op->userdata == userdata)
            op->cb = NULL;
}

/* ---- The client itself ---- */

void mm_client_on_renewal(struct mm_client *c, void (*cb)(void *userdata), void *userdata)
{
    c->on_renewal = cb;
    c->renewal_userdata = userdata;
}

static void free_client(struct mm_client *c)
{
    mw_secret_free(c->token);
    mw_secret_free(c->auth_header);
    mw_secret_free(c->password);
    free(c->endpoint);
    free(c->login);
    free(c->user_agent);
    free(c->user_id);
    free(c->user_name);
    free(c->version);
    free(c->site_url);
    mw_error_reset(&c->login_error);
    mm_cache_deinit(&c->cache);
    mm_budget_leave(&c->member);
    mm_budget_free(c->own_budget);
    free(c);
}
MW_DEFINE_CLEANUP(struct mm_client *, free_client, free_client_p)

int mm_client_new(uv_loop_t *loop, const struct mm_client_params *params, struct mm_client **ret,
                  struct mw_error *err)
{
    MW_CLEANUP(free_client_p) struct mm_client *c = NULL;
    struct mw_http_params http;
    int r;

    if (!params->endpoint || (!params->token && !(params->login && params->password)))
        return mw_error_set(err, -EINVAL,
                            "a bot needs an endpoint, and a bot_token or login and password");
    /* It becomes a header line. */
    if (params->token &&
        (!*params->token || params->token[strcspn(params->token, " \t\r\n")] != '\0'))
        return mw_error_set(err, -EINVAL, "the token is empty or holds white space");
    c = calloc(1, sizeof(*c));
    if (!c)
        return mw_error_set(err, -ENOMEM, "out of memory");
    c->loop = loop;
    c->max_concurrent = params->max_concurrent ? params->max_concurrent : DEFAULT_CONCURRENT;
    c->max_pending = params->max_pending ? params->max_pending : DEFAULT_PENDING;
    c->timeout_ms = params->timeout_ms;
    c->max_post_chars = DEFAULT_MAX_POST;
    c->file_attachments = true;
    c->has_all_channels_route = true;
    mm_cache_init(&c->cache, CACHE_LIMIT);
    r = mm_endpoint_parse(params->endpoint, &c->endpoint, err);
    if (r < 0)
        return r;
    if ((params->token && set_token(c, params->token) < 0) ||
        (!params->token && (mw_str_set(&c->login, params->login) < 0 ||
                            mw_str_set(&c->password, params->password) < 0)))
        return mw_error_set(err, -ENOMEM, "out of memory");
    if (!params->budget && mm_budget_new(loop, &c->own_budget))
        return mw_error_set(err, -ENOMEM, "out of memory");
    mm_budget_join(params->budget ? params->budget : c->own_budget, &c->member, &budget_ops);
    http = (struct mw_http_params){
        .tls = params->tls,
        .proxy = params->proxy,
        .timeout_ms = params->timeout_ms,
        .user_agent = params->user_agent ? params->user_agent : "matterwire",
        .max_connections = c->max_concurrent,
    };
    r = mw_http_new(loop, &http, &c->http, err);
    if (r < 0)
        return r;
    uv_timer_init(loop, &c->timer);
    c->timer.data = c;
    *ret = take_ptr(c);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free_client(handle->data);
}

static void cancel_all(struct mm_call_list *l)
{
    while (l->first) {
        struct mm_result r;

        mm_result_init(&r, MM_CANCELED);
        mw_error_set(&r.err, -ECANCELED, "the client was closed");
        finish_call(l->first, &r);
    }
}

void mm_client_free(struct mm_client *c)
{
    struct mm_budget *budget;

    if (!c || c->dead)
        return;
    c->dead = true;
    uv_timer_stop(&c->timer);
    /* Calls on the wire end with -ECANCELED inside. */
    mw_http_free(take_ptr(c->http));
    budget = c->member.budget;
    mm_budget_leave(&c->member);
    for (enum mm_class k = 0; k < MM_CLASSES; k++)
        cancel_all(&c->pending[k]);
    cancel_all(&c->answered);
    if (!c->own_budget)
        mm_budget_pump(budget); /* the others */
    uv_close((uv_handle_t *)&c->timer, on_timer_closed);
}
