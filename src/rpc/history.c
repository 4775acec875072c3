/* `history` and `thread`: what the journal has, newest first until the limit, given in order; or
 * what the server has. */
#include "base/id.h"
#include "base/str.h"
#include "gateway/read.h"
#include "rpc/internal.h"

#define HISTORY_BYTES (4 * 1024 * 1024) /* of events in one answer */

struct history {
    struct rpc_call *call;
    struct mw_event_filter filter;
    struct gw_bot *on; /* whose names and server count; NULL = none */
    char *bot, *channel_id, *user_id, *root_id;
    bool raw, server;
    char **events; /* JSON texts, newest first */
    size_t n;
    size_t bytes;
    bool more, no_memory;
};

static void history_free(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->events[i]);
    free(h->events);
    free(h->bot);
    free(h->channel_id);
    free(h->user_id);
    free(h->root_id);
    free(h);
}

int rpc_kinds(const cJSON *params, const char *name, unsigned *ret, struct mw_error *err)
{
    const cJSON *item;
    unsigned kinds = 0;

    cJSON_ArrayForEach(item, mw_json_arr(params, name))
    {
        struct mw_nearest nearest = {.name = item->valuestring};
        enum mw_event_kind kind;

        if (mw_event_kind_parse(item->valuestring, &kind) == 0) {
            kinds |= 1u << kind;
            continue;
        }
        for (int k = 1; mw_event_kind_doc(k); k++)
            mw_nearest_offer(&nearest, mw_event_kind_name(k));
        if (mw_nearest_get(&nearest))
            return mw_error_set(err, 1, "there is no kind \"%.64s\"; did you mean \"%s\"?",
                                item->valuestring, mw_nearest_get(&nearest));
        return mw_error_set(err, 1, "there is no kind \"%.64s\"", item->valuestring);
    }
    *ret = kinds;
    return 0;
}

static bool on_row(const struct mw_event *ev, void *userdata)
{
    struct history *h = userdata;
    MW_AUTOBUF b = {0};
    char *text;

    if (h->bytes > HISTORY_BYTES || h->n + 1 == h->filter.limit) {
        h->more = true;
        return false;
    }
    (void)mw_event_write_json(&b, ev, h->raw);
    h->bytes += b.len;
    text = mw_buf_take(&b);
    if (!text) {
        h->no_memory = true;
        return false;
    }
    h->events[h->n++] = text;
    return true;
}

/* Ends the call and frees h. */
static void history_answer(struct history *h)
{
    struct rpc_call *call = h->call;
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOBUF b = {0};
    int r;

    mw_buf_init(&b, 0);
    if (!call->conn) {
        rpc_call_done(call);
        history_free(h);
        return;
    }
    /* One row more than asked for tells whether there is more. */
    h->events = calloc(h->filter.limit, sizeof(*h->events));
    r = h->events
            ? mw_store_events(gw_store(call->conn->server->params.gw), &h->filter, on_row, h, &err)
            : -ENOMEM;
    if (r == 0 && h->no_memory)
        r = -ENOMEM;
    mw_buf_puts(&b, "{\"events\":[");
    for (size_t i = h->n; r == 0 && i-- > 0;)
        mw_buf_printf(&b, "%s%s", h->events[i], i ? "," : "");
    mw_buf_printf(&b, "],\"more\":%s}", h->more ? "true" : "false");
    if (r == 0)
        r = mw_buf_error(&b);
    history_free(h);
    if (r < 0)
        rpc_call_error(call, GW_INTERNAL,
                       mw_error_is_set(&err) ? mw_error_text(&err) : strerror(-r), NULL);
    else
        rpc_call_text(call, mw_buf_str(&b));
}

/* The names are known: asks the journal, or the server. */
static void on_scope(struct gw_reply *reply, void *userdata)
{
    struct history *h = userdata;
    struct rpc_call *call = h->call;

    if (reply->code != GW_OK || !call->conn) {
        history_free(h);
        rpc_call_reply(call, reply);
        return;
    }
    if (mw_str_set(&h->channel_id, mw_json_str(reply->result, "channel_id")) ||
        mw_str_set(&h->user_id, mw_json_str(reply->result, "user_id")) ||
        mw_str_set(&h->root_id, mw_json_str(reply->result, "root_id"))) {
        history_free(h);
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    h->filter.channel_id = h->channel_id;
    h->filter.user_id = h->user_id;
    h->filter.root_id = h->root_id;
    if (!h->server) {
        history_answer(h);
        return;
    }
    gw_server_posts(rpc_call_gw(call), h->on,
                    &(struct gw_server_posts){
                        .channel_id = h->channel_id,
                        .root_id = h->root_id,
                        .user_id = h->user_id,
                        .since = h->filter.since,
                        .until = h->filter.until,
                        .limit = h->filter.limit - 1,
                        .raw = h->raw,
                    },
                    rpc_call_on_reply, call);
    history_free(h);
}

bool rpc_scope_bot(struct rpc_call *call, const cJSON *params, const struct gw_scope *scope,
                   struct gw_bot **ret)
{
    bool names = (scope->channel && !mw_id_valid(scope->channel)) ||
                 (scope->author && !mw_id_valid(scope->author));

    *ret = NULL;
    if (!mw_json_str(params, "bot") && !names && !mw_json_bool(params, "server"))
        return true;
    *ret = rpc_call_bot(call, params);
    return *ret;
}

static bool is_post_ref(const char *ref)
{
    const char *slash = strrchr(ref, '/');

    return mw_id_valid(slash ? slash + 1 : ref);
}

static void history(struct rpc_call *call, const cJSON *params, const char *thread, int64_t limit)
{
    const struct gw_scope scope = {
        .channel = mw_json_str(params, "channel"),
        .author = mw_json_str(params, "author"),
        .thread = thread,
    };
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct history *h = calloc(1, sizeof(*h));

    if (!h) {
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    h->call = call;
    h->raw = mw_json_bool(params, "raw");
    h->server = mw_json_bool(params, "server");
    h->filter = (struct mw_event_filter){
        .after_id = mw_json_i64(params, "after", 0),
        .before_id = mw_json_i64(params, "before", 0),
        .since = rpc_param_time(params, "since", 0),
        .until = rpc_param_time(params, "until", 0),
        .newest_first = true,
        .limit = (unsigned)mw_json_i64(params, "limit", limit) + 1,
    };
    if (rpc_kinds(params, "kinds", &h->filter.kinds, &err)) {
        history_free(h);
        rpc_call_param_error(call, "kinds", mw_error_text(&err));
        return;
    }
    if (h->server && (h->filter.kinds || h->filter.before_id || h->filter.after_id)) {
        history_free(h);
        rpc_call_param_error(call, "server",
                             "the server has posts only: `kinds`, `before` and `after` belong to "
                             "the journal");
        return;
    }
    if (thread && !is_post_ref(thread)) {
        history_free(h);
        rpc_call_param_error(call, mw_json_str(params, "post") ? "post" : "thread",
                             "a thread is named by a post's id or permalink");
        return;
    }
    if (!rpc_scope_bot(call, params, &scope, &h->on)) {
        history_free(h);
        return;
    }
    if (h->on && mw_str_set(&h->bot, gw_bot_name(h->on))) {
        history_free(h);
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    h->filter.bot = h->bot;
    gw_resolve_scope(rpc_call_gw(call), h->on, &scope, on_scope, h);
}

void rpc_history(struct rpc_call *call, const cJSON *params)
{
    history(call, params, mw_json_str(params, "thread"), 50);
}

void rpc_thread(struct rpc_call *call, const cJSON *params)
{
    history(call, params, mw_json_str(params, "post"), 1000);
}
