/*
 * Type `http`: one POST for each event, the answer in the body. See docs/handlers-http.md.
 */
#include "base/clock.h"
#include "base/str.h"
#include "handlers/handlers.h"
#include "handlers/http_codec.h"
#include "handlers/turn.h"
#include "handlers/web.h"
#include "io/handle.h"

#define MAX_ANSWER (1024 * 1024)

struct gw_handler_instance {
    const struct gw_handler_host *host;
    struct mw_http *http;
    int64_t requests, refused; /* sent; answered with an error or not at all */
};

struct gw_handler_run {
    struct gw_handler_instance *in;
    struct mw_http_call *call;
    struct mw_timer *canceled; /* the end of a cancel comes by itself, not within it */
    const struct gw_turn_ops *ops;
    void *turn;
};

static void run_free(struct gw_handler_run *run)
{
    if (run)
        mw_timer_free(run->canceled);
    free(run);
}

static void end(struct gw_handler_run *run, struct gw_handler_answer *a)
{
    run->ops->end(run->turn, a);
    mw_error_reset(&a->err);
    run_free(run);
}

static void on_canceled(void *userdata)
{
    struct gw_handler_answer a = {.end = GW_HANDLER_CANCELED, .text = ""};

    end(userdata, &a);
}

static void on_answer(const struct mw_http_response *r, void *userdata)
{
    struct gw_handler_run *run = userdata;
    struct gw_handler_instance *in = run->in;
    const struct gw_handler_config *c = in->host->config;
    struct gw_handler_answer a = {.end = GW_HANDLER_FAILED, .text = ""};
    struct gw_http_answer answer = {0};

    run->call = NULL;
    if (r->error == -ECANCELED) {
        mw_timer_start(run->canceled, 0);
        return;
    }
    if (r->error) {
        a.end = r->error == -ETIMEDOUT ? GW_HANDLER_TIMEOUT : GW_HANDLER_FAILED;
        mw_error_set(&a.err, r->error, "%s", mw_error_text(&r->err));
    } else if (r->status < 200 || r->status >= 300) {
        gw_web_refusal(r, NULL, c->secret, &a.err);
    } else {
        gw_http_read((enum gw_http_format)c->format, r->content_type, r->body.data, r->body.len,
                     &answer, &a.err);
        a.end = answer.end;
        a.json = answer.json;
        a.text = answer.json ? mw_json_str_or(answer.json, "text", "") : mw_buf_str(&answer.text);
    }
    in->refused += a.end == GW_HANDLER_FAILED || a.end == GW_HANDLER_TIMEOUT;
    end(run, &a);
    gw_http_answer_deinit(&answer);
}

static int open_http(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                     struct mw_error *err)
{
    struct gw_handler_instance *in = calloc(1, sizeof(*in));
    int rc = in ? gw_web_client(host, &in->http, err) : -ENOMEM;

    if (rc) {
        free(in);
        return mw_error_set(err, rc, "out of memory");
    }
    in->host = host;
    *ret = in;
    return 0;
}

static void close_http(struct gw_handler_instance *in)
{
    mw_http_free(in->http);
    free(in);
}

static int make_headers(const struct gw_handler_config *c, const struct gw_turn *turn,
                        const struct mw_buf *body, struct gw_headers *h)
{
    int64_t now_s = mw_clock_now() / 1000;
    MW_AUTOFREE char *key = gw_http_event_key(turn->ev);
    char signature[GW_SIGNATURE_SIZE];
    bool form = c->format == GW_HTTP_OUTGOING_WEBHOOK;

    if (!key || gw_headers_add_config(h, &c->headers) ||
        gw_header_add(h, "Idempotency-Key: %s", key) ||
        gw_header_add(h, "Accept: %s",
                      form ? "application/json" : "text/markdown, text/plain, application/json"))
        return -ENOMEM;
    if (form)
        return 0;
    if (gw_header_add(h, "X-Matterwire-Timestamp: %lld", (long long)now_s))
        return -ENOMEM;
    if (!c->secret)
        return 0;
    if (gw_http_sign(c->secret, now_s, body->data, body->len, signature))
        return -ENOMEM;
    return gw_header_add(h, "X-Matterwire-Signature: %s", signature);
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    const struct gw_handler_config *c = in->host->config;
    struct gw_handler_run *run = calloc(1, sizeof(*run));
    bool form = c->format == GW_HTTP_OUTGOING_WEBHOOK;
    struct gw_headers headers = {0};
    MW_AUTOBUF body = {0};
    int rc = -ENOMEM;

    if (!run || mw_timer_new(in->host->loop, on_canceled, run, &run->canceled) ||
        (form ? gw_http_form(&body, turn, c->secret) : gw_turn_write_json(&body, turn, false)) ||
        make_headers(c, turn, &body, &headers)) {
        mw_error_set(err, rc, "out of memory");
        goto out;
    }
    run->in = in;
    run->ops = ops;
    run->turn = userdata;
    const struct mw_http_request req = {
        .method = "POST",
        .url = c->url,
        .headers = (const char *const *)headers.lines,
        .body = mw_buf_str(&body),
        .body_len = body.len,
        .content_type = form ? "application/x-www-form-urlencoded" : "application/json",
        .max_body = MAX_ANSWER,
        .timeout_ms = gw_web_timeout(turn),
        .cb = on_answer,
        .userdata = run,
    };
    rc = mw_http_start(in->http, &req, &run->call, err);
    if (!rc) {
        in->requests++;
        *ret = take_ptr(run);
    }
out:
    if (form && body.data)
        explicit_bzero(body.data, body.len); /* the token */
    gw_headers_deinit(&headers);
    run_free(run);
    return rc;
}

static void cancel(struct gw_handler_run *run)
{
    if (run->call)
        mw_http_cancel(run->call);
}

static void status(const struct gw_handler_instance *in, cJSON *object)
{
    (void)!(mw_json_add_i64(object, "requests", in->requests) |
            mw_json_add_i64(object, "requests_failed", in->refused));
}

const struct gw_handler_type gw_http_handler = {
    .name = "http",
    .open = open_http,
    .close = close_http,
    .start = start,
    .cancel = cancel,
    .status = status,
};
