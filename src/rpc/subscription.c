/*
 * `stream`: events as notifications, as many as the client has granted. A client that grants
 * nothing, or does not read, costs nothing: its events stay in the journal.
 */
#include <inttypes.h>

#include "base/str.h"
#include "rpc/internal.h"

#define ROUND_EVENTS 256          /* read from the journal at once */
#define ROUND_BYTES  (256 * 1024) /* written at once */
#define CREDIT_MAX   100000

struct rpc_subscription {
    struct rpc_conn *conn;
    struct rpc_subscription *next;
    int64_t id;
    struct gw_consumer *consumer;
    int64_t credit;
    bool named, raw;
    bool ready; /* there may be something to read */
    bool open;  /* the client knows its number */
    bool over;  /* the client was told that nothing more comes */
    bool pumping;
};

static int write_event(struct rpc_subscription *sub, const struct mw_event *ev)
{
    struct mw_buf *out = &sub->conn->server->out;

    mw_buf_printf(out,
                  "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"subscription\":%" PRId64
                  ",\"event\":",
                  sub->id);
    mw_event_write_json(out, ev, sub->raw);
    return mw_buf_puts(out, "}}\n");
}

static bool on_event(const struct mw_event *ev, void *userdata)
{
    struct rpc_subscription *sub = userdata;

    if (sub->conn->server->out.len > ROUND_BYTES)
        return false;
    return write_event(sub, ev) == 0;
}

static void flush(struct rpc_conn *conn)
{
    struct mw_buf *out = &conn->server->out;

    if (mw_buf_error(out))
        rpc_conn_kill(conn);
    else if (out->len)
        rpc_conn_write(conn, out->data, out->len);
    mw_buf_clear(out);
}

/* Nothing more comes. The subscription stays for acknowledgements, until the client closes it. */
static void tell_end(struct rpc_subscription *sub)
{
    struct mw_buf *out = &sub->conn->server->out;

    mw_buf_printf(
        out,
        "{\"jsonrpc\":\"2.0\",\"method\":\"stream.end\",\"params\":{\"subscription\":%" PRId64
        ",\"reason\":\"bot_removed\",\"message\":\"the bot was removed from the "
        "configuration: nothing more comes\"}}\n",
        sub->id);
    sub->over = true;
}

static void pump(struct rpc_subscription *sub)
{
    struct rpc_conn *conn = sub->conn;

    if (sub->pumping || sub->over)
        return;
    sub->pumping = true;
    while (sub->open && sub->ready && sub->credit > 0 && !rpc_conn_full(conn)) {
        unsigned limit = (unsigned)MW_MIN(sub->credit, ROUND_EVENTS);
        int n;

        /* It may become ready again from inside. */
        sub->ready = false;
        n = gw_consumer_read(sub->consumer, limit, on_event, sub);
        if (n < 0) {
            rpc_conn_kill(conn);
            mw_buf_clear(&conn->server->out);
            break;
        }
        sub->credit -= n;
        if ((unsigned)n == limit || conn->server->out.len > ROUND_BYTES)
            sub->ready = true;
        else if (gw_consumer_gone(sub->consumer))
            tell_end(sub);
        flush(conn);
        if (sub->over)
            break;
    }
    sub->pumping = false;
}

static void on_ready(struct gw_consumer *c, void *userdata)
{
    struct rpc_subscription *sub = userdata;

    sub->ready = true;
    pump(sub);
}

/* Typing: worth nothing a moment later, so it is not kept for a client that is not ready for it. */
static void on_live(struct gw_consumer *c, const struct mw_event *ev, void *userdata)
{
    struct rpc_subscription *sub = userdata;

    if (!sub->open || sub->over || sub->credit <= 0 || rpc_conn_full(sub->conn))
        return;
    sub->credit--;
    (void)write_event(sub, ev);
    flush(sub->conn);
}

void rpc_subscriptions_pump(struct rpc_conn *conn)
{
    for (struct rpc_subscription *sub = conn->subs; sub && !conn->dead; sub = sub->next)
        pump(sub);
}

static void subscription_free(struct rpc_subscription *sub)
{
    gw_consumer_free(sub->consumer);
    free(sub);
}

void rpc_subscriptions_free(struct rpc_conn *conn)
{
    while (conn->subs) {
        struct rpc_subscription *sub = conn->subs;

        conn->subs = sub->next;
        subscription_free(sub);
    }
    conn->n_subs = 0;
}

static struct rpc_subscription *find(struct rpc_call *call, const cJSON *params)
{
    int64_t id = mw_json_i64(params, "subscription", 0);

    for (struct rpc_subscription *sub = call->conn->subs; sub; sub = sub->next)
        if (sub->id == id)
            return sub;
    rpc_call_error(call, GW_NOT_FOUND, "there is no such subscription on this connection", NULL);
    return NULL;
}

void rpc_consumers(struct rpc_call *call, const cJSON *params)
{
    rpc_call_json(call, gw_consumers_json(rpc_call_gw(call)));
}

void rpc_consumer_delete(struct rpc_call *call, const cJSON *params)
{
    gw_consumer_delete(rpc_call_gw(call), mw_json_str(params, "name"), rpc_call_on_reply, call);
}

void rpc_stream(struct rpc_call *call, const cJSON *params)
{
    struct rpc_conn *conn = call->conn;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_consumer_params p = {
        .name = mw_json_str(params, "consumer"),
        .after_id = mw_json_i64(params, "after", -1),
        .bot = mw_json_str(params, "bot"),
        .on_ready = on_ready,
        .on_live = on_live,
    };
    struct rpc_subscription *sub;
    char text[96];
    int r;

    if (rpc_kinds(params, "kinds", &p.kinds, &err)) {
        rpc_call_param_error(call, "kinds", mw_error_text(&err));
        return;
    }
    p.typing = mw_json_bool(params, "typing") || (p.kinds & (1u << MW_EVENT_TYPING));
    if (p.bot && !gw_find_bot(conn->server->params.gw, p.bot, &err)) {
        rpc_call_error(call, GW_NOT_FOUND, mw_error_text(&err), NULL);
        return;
    }
    if (conn->n_subs >= RPC_MAX_SUBSCRIPTIONS) {
        rpc_call_error(call, GW_REFUSED, "this connection has too many subscriptions", NULL);
        return;
    }
    sub = calloc(1, sizeof(*sub));
    if (!sub) {
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    sub->conn = conn;
    sub->credit = mw_json_i64(params, "credit", 100);
    sub->named = p.name != NULL;
    sub->raw = mw_json_bool(params, "raw");
    sub->ready = true;
    p.userdata = sub;
    r = gw_consumer_new(conn->server->params.gw, &p, &sub->consumer, &err);
    if (r) {
        free(sub);
        rpc_call_error(call, r == -EINVAL ? GW_BAD_PARAMS : GW_REFUSED,
                       mw_error_is_set(&err) ? mw_error_text(&err) : strerror(-r), NULL);
        return;
    }
    sub->id = ++conn->last_sub;
    sub->next = conn->subs;
    conn->subs = sub;
    conn->n_subs++;
    snprintf(text, sizeof(text), "{\"subscription\":%" PRId64 ",\"after\":%" PRId64 "}", sub->id,
             gw_consumer_position(sub->consumer));
    rpc_call_text(call, text);
    /* Events come behind the answer. */
    sub->open = true;
    pump(sub);
}

static void add_credit(struct rpc_subscription *sub, int64_t n)
{
    sub->credit = MW_MIN(sub->credit + n, CREDIT_MAX);
}

void rpc_stream_credit(struct rpc_call *call, const cJSON *params)
{
    struct rpc_subscription *sub = find(call, params);

    if (!sub)
        return;
    add_credit(sub, mw_json_i64(params, "n", 0));
    pump(sub);
    rpc_call_done(call);
}

void rpc_stream_ack(struct rpc_call *call, const cJSON *params)
{
    struct rpc_subscription *sub = find(call, params);
    int r;

    if (!sub)
        return;
    if (!sub->named) {
        rpc_call_error(call, GW_BAD_PARAMS,
                       "only a subscription with a consumer's name can be acknowledged", NULL);
        return;
    }
    r = gw_consumer_ack(sub->consumer, mw_json_i64(params, "id", 0));
    if (r == -EINVAL) {
        rpc_call_param_error(call, "id", "`id` is of an event that this subscription did not give");
        return;
    }
    if (r < 0) {
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    add_credit(sub, mw_json_i64(params, "n", 0));
    pump(sub);
    rpc_call_done(call);
}

void rpc_stream_close(struct rpc_call *call, const cJSON *params)
{
    struct rpc_conn *conn = call->conn;
    struct rpc_subscription *sub = find(call, params);

    if (!sub)
        return;
    for (struct rpc_subscription **at = &conn->subs; *at; at = &(*at)->next) {
        if (*at == sub) {
            *at = sub->next;
            break;
        }
    }
    conn->n_subs--;
    subscription_free(sub);
    rpc_call_done(call);
}
