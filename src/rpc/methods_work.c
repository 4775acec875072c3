/* The methods about work that waits or was given up, and the metrics. */
#include "base/str.h"
#include "gateway/metrics.h"
#include "gateway/work.h"
#include "rpc/internal.h"

#define MAX_NAMES 1000

static void list(struct rpc_call *call, const cJSON *params, enum gw_work work)
{
    static const char *const names[] = {"waiting", "failed", "all"};
    const char *state = mw_json_str_or(params, "state", "waiting");
    struct gw_work_filter f = {
        .bot = mw_json_str(params, "bot"),
        .after = mw_json_i64(params, "after", 0),
        .limit = (unsigned)mw_json_i64(params, "limit", 100),
    };
    cJSON *result;
    size_t i = 0;

    while (i < MW_ARRAY_LEN(names) && !mw_streq(names[i], state))
        i++;
    if (i == MW_ARRAY_LEN(names)) {
        rpc_call_param_error(call, "state", "`state` is `waiting`, `failed` or `all`");
        return;
    }
    f.which = (enum gw_work_which)i;
    result = gw_work_json(rpc_call_gw(call), work, &f);
    if (result)
        rpc_call_json(call, result);
    else
        rpc_call_error(call, GW_INTERNAL, "the list cannot be read", NULL);
}

static void run_events_list(struct rpc_call *call, const cJSON *params)
{
    list(call, params, GW_WORK_EVENTS);
}

static void run_outbox_list(struct rpc_call *call, const cJSON *params)
{
    list(call, params, GW_WORK_OUTBOX);
}

static void by_hand(struct rpc_call *call, const cJSON *params, enum gw_work work,
                    enum gw_by_hand what)
{
    const cJSON *ids = mw_json_arr(params, "ids"), *item;
    const char *names[MAX_NAMES];
    size_t n = 0;

    if (cJSON_GetArraySize(ids) > MAX_NAMES) {
        rpc_call_param_error(call, "ids", "not more than 1000 at a time");
        return;
    }
    cJSON_ArrayForEach(item, ids) names[n++] = item->valuestring;
    gw_work_by_hand(rpc_call_gw(call), work, what, mw_json_str(params, "bot"), names, n,
                    rpc_call_on_reply, call);
}

static void run_events_retry(struct rpc_call *call, const cJSON *params)
{
    by_hand(call, params, GW_WORK_EVENTS, GW_RETRY);
}

static void run_events_drop(struct rpc_call *call, const cJSON *params)
{
    by_hand(call, params, GW_WORK_EVENTS, GW_DROP);
}

static void run_outbox_retry(struct rpc_call *call, const cJSON *params)
{
    by_hand(call, params, GW_WORK_OUTBOX, GW_RETRY);
}

static void run_outbox_drop(struct rpc_call *call, const cJSON *params)
{
    by_hand(call, params, GW_WORK_OUTBOX, GW_DROP);
}

static void run_metrics(struct rpc_call *call, const cJSON *params)
{
    MW_AUTOJSON *status = gw_status_json(rpc_call_gw(call));
    MW_AUTOJSON *result = cJSON_CreateObject();
    MW_AUTOBUF text = {0};

    mw_buf_init(&text, 0);
    if (!status || !result || gw_metrics_write(status, &text) ||
        mw_json_add_str(result, "text", mw_buf_str(&text))) {
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    rpc_call_json(call, take_ptr(result));
}

/* ---- The table ---- */

#define BOT_FILTER                                                                                 \
    {                                                                                              \
        .name = "bot", .type = RPC_STRING, .doc = "Only of this bot."                              \
    }
#define LIST_PARAMS                                                                                \
    {.name = "after",                                                                              \
     .type = RPC_INT,                                                                              \
     .min = 0,                                                                                     \
     .max = INT64_MAX,                                                                             \
     .doc = "Go on behind a list that had `more`: its `last`."},                                   \
    {                                                                                              \
        .name = "limit", .type = RPC_INT, .min = 1, .max = 1000,                                   \
        .doc = "How many at the most; 100 unless given."                                           \
    }

static const struct rpc_param events_params[] = {
    BOT_FILTER,
    {.name = "state",
     .type = RPC_STRING,
     .doc = "`waiting` for their handler (or running), unless given; `failed`: set aside after the "
            "last attempt; or `all`, also what is done or was dropped."},
    LIST_PARAMS,
};

static const struct rpc_param outbox_params[] = {
    BOT_FILTER,
    {.name = "state",
     .type = RPC_STRING,
     .doc = "`waiting` to be sent, unless given; `failed`: given up after a clear no of the "
            "server; or `all`, also what was sent or dropped."},
    LIST_PARAMS,
};

static const struct rpc_param event_ids_params[] = {
    {.name = "ids", .type = RPC_STRINGS, .required = true, .doc = "The events' ids, as text."},
    BOT_FILTER,
};

static const struct rpc_param outbox_ids_params[] = {
    {.name = "ids",
     .type = RPC_STRINGS,
     .required = true,
     .doc = "Keys or numbers from `outbox.list`, as text. A key counts first."},
    BOT_FILTER,
};

#define BY_HAND_RESULT                                                                             \
    "An object: `items`, for each name an object with `id`, `bot`, `state` (afterwards), "         \
    "`changed`, `message` (the end of a sentence); for the outbox also `key`. All or nothing: an " \
    "unknown name changes nothing."

static const struct rpc_method methods[] = {
    {.name = "events.list",
     .doc = "Lists events on their way through a handler, oldest first.",
     RPC_PARAMS(events_params),
     .result =
         "An object: `items`, `more`, `last`. An item has `id` (of the event), `bot`, `handler`, "
         "`state` (`waiting`, `failed`, `done`, `dropped`), `attempts`, `error` (of the last "
         "attempt), `created_at`, `updated_at`, `next_at` (of an attempt that waits for its time), "
         "and of the event `kind`, `channel_id`, `channel_name`, `user_id`, `user_name`, `text` "
         "(its beginning), `at`.",
     .run = run_events_list},
    {.name = "events.retry",
     .doc = "Gives events that were set aside to their handler again, behind what waits in their "
            "conversation. Safe to repeat.",
     RPC_PARAMS(event_ids_params),
     .result = BY_HAND_RESULT,
     .run = run_events_retry},
    {.name = "events.drop",
     .doc = "Drops events that were set aside. They stay visible with `state` = `all`, and "
            "`events.retry` takes them back. Safe to repeat.",
     RPC_PARAMS(event_ids_params),
     .result = BY_HAND_RESULT,
     .run = run_events_drop},
    {.name = "outbox.list",
     .doc = "Lists what the bots have to send, oldest first.",
     RPC_PARAMS(outbox_params),
     .result =
         "An object: `items`, `more`, `last`. An item has `id`, `key`, `bot`, `kind` (`post`, "
         "`edit` ...), `state` (`waiting`; `sending`: a try was begun whose outcome is not "
         "known; `sent`, `failed`, `dropped`), `channel_id`, `text` (its beginning), "
         "`attempts`, `error` (of the last try), `created_at`, `updated_at`; maybe `event_id` "
         "(that it answers), `post_id`, `next_at`.",
     .run = run_outbox_list},
    {.name = "outbox.retry",
     .doc = "Tries again what was given up or dropped, under its key: should it be on the server "
            "after all, it is found there. What waits is tried at once. Safe to repeat.",
     RPC_PARAMS(outbox_ids_params),
     .result = BY_HAND_RESULT,
     .run = run_outbox_retry},
    {.name = "outbox.drop",
     .doc = "Drops what was given up or waits, but nothing that is being sent at this moment. It "
            "stays visible with `state` = `all`. Safe to repeat.",
     RPC_PARAMS(outbox_ids_params),
     .result = BY_HAND_RESULT,
     .run = run_outbox_drop},
    {.name = "metrics",
     .doc = "Gives the metrics (docs/metrics.md) as OpenMetrics text.",
     .result = "An object: `text`.",
     .run = run_metrics},
};
const struct rpc_method_table rpc_methods_work = RPC_METHOD_TABLE(methods);
