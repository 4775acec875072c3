/* `history`: what the journal has, newest first until the limit, given in order. */
#include "base/id.h"
#include "base/str.h"
#include "rpc/internal.h"

#define HISTORY_BYTES (4 * 1024 * 1024) /* of events in one answer */

struct history {
    struct rpc_call *call;
    struct mw_event_filter filter;
    char *bot, *channel_id, *root_id;
    bool raw;
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

static void on_channel(struct gw_reply *reply, void *userdata)
{
    struct history *h = userdata;
    struct rpc_call *call = h->call;
    const char *id = reply->code == GW_OK ? mw_json_str(reply->result, "channel_id") : NULL;

    if (reply->code != GW_OK || !id) {
        history_free(h);
        rpc_call_reply(call, reply);
        return;
    }
    if (mw_str_set(&h->channel_id, id) < 0) {
        history_free(h);
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    h->filter.channel_id = h->channel_id;
    history_answer(h);
}

static bool on_root(const struct mw_event *ev, void *userdata)
{
    struct history *h = userdata;

    if (ev->root_id[0])
        h->no_memory |= mw_str_set(&h->root_id, ev->root_id) < 0;
    return false;
}

/* A post id or a permalink of any post of the thread -> the root's id. Returns 0, 1 or -ENOMEM. */
static int find_thread(struct history *h, const char *ref)
{
    const char *slash = strrchr(ref, '/');
    struct mw_event_filter f = {.limit = 1};
    int r;

    ref = slash ? slash + 1 : ref;
    if (!mw_id_valid(ref))
        return 1;
    if (mw_str_set(&h->root_id, ref) < 0)
        return -ENOMEM;
    f.post_id = ref;
    r = mw_store_events(gw_store(h->call->conn->server->params.gw), &f, on_root, h, NULL);
    h->filter.root_id = h->root_id;
    return h->no_memory ? -ENOMEM : r;
}

void rpc_history(struct rpc_call *call, const cJSON *params)
{
    struct gw *gw = call->conn->server->params.gw;
    const char *channel = mw_json_str(params, "channel"), *thread = mw_json_str(params, "thread");
    const char *name = mw_json_str(params, "bot");
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct history *h = calloc(1, sizeof(*h));
    struct gw_bot *bot = NULL;
    int r = 0;

    if (!h) {
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    h->call = call;
    h->raw = mw_json_bool(params, "raw");
    h->filter = (struct mw_event_filter){
        .after_id = mw_json_i64(params, "after", 0),
        .before_id = mw_json_i64(params, "before", 0),
        .since = rpc_param_time(params, "since", 0),
        .until = rpc_param_time(params, "until", 0),
        .newest_first = true,
        .limit = (unsigned)mw_json_i64(params, "limit", 50) + 1,
    };
    if (rpc_kinds(params, "kinds", &h->filter.kinds, &err)) {
        history_free(h);
        rpc_call_param_error(call, "kinds", mw_error_text(&err));
        return;
    }
    if (name || (channel && !mw_id_valid(channel))) {
        bot = gw_find_bot(gw, name, &err);
        if (!bot) {
            history_free(h);
            rpc_call_error(call, GW_NOT_FOUND, mw_error_text(&err), NULL);
            return;
        }
        r = mw_str_set(&h->bot, gw_bot_name(bot));
        h->filter.bot = h->bot;
    }
    if (r == 0 && thread)
        r = find_thread(h, thread);
    if (r == 0 && channel && mw_id_valid(channel)) {
        r = mw_str_set(&h->channel_id, channel);
        h->filter.channel_id = h->channel_id;
    }
    if (r) {
        history_free(h);
        if (r == 1)
            rpc_call_param_error(call, "thread", "`thread` must be a post's id or permalink");
        else
            rpc_call_error(call, GW_INTERNAL, strerror(-r), NULL);
        return;
    }
    if (channel && !h->channel_id)
        gw_resolve_channel(gw, bot, channel, on_channel, h);
    else
        history_answer(h);
}
