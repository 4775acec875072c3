#include "rpc/methods.h"

#include <unistd.h>

#include "base/str.h"
#include "rpc/internal.h"

static void run_schedules(struct rpc_call *call, const cJSON *params)
{
    rpc_call_json(call, gw_schedules_json(rpc_call_gw(call)));
}

static void run_ping(struct rpc_call *call, const cJSON *params)
{
    rpc_call_done(call);
}

static void run_version(struct rpc_call *call, const cJSON *params)
{
    char text[128];

    snprintf(text, sizeof(text), "{\"version\":\"%s\",\"pid\":%d}", MW_VERSION, (int)getpid());
    rpc_call_text(call, text);
}

static void run_bots(struct rpc_call *call, const cJSON *params)
{
    rpc_call_json(call, gw_bots_json(rpc_call_gw(call)));
}

static void run_status(struct rpc_call *call, const cJSON *params)
{
    rpc_call_json(call, gw_status_json(rpc_call_gw(call)));
}

static void run_methods(struct rpc_call *call, const cJSON *params)
{
    rpc_call_json(call, rpc_methods_json());
}

static cJSON *problems_json(const struct gw_problems *problems)
{
    MW_AUTOJSON *all = cJSON_CreateArray();

    for (size_t i = 0; all && i < problems->n; i++) {
        cJSON *p = cJSON_CreateObject();

        if (!p || mw_json_add_i64(p, "line", problems->items[i].line) |
                      mw_json_add_i64(p, "column", problems->items[i].column) |
                      mw_json_add_str(p, "message", problems->items[i].message)) {
            cJSON_Delete(p);
            return NULL;
        }
        if (mw_json_push(all, p))
            return NULL;
    }
    return take_ptr(all);
}

static void run_reload(struct rpc_call *call, const cJSON *params)
{
    const struct rpc_params *server = &call->conn->server->params;
    const char *path = gw_get_config(server->gw)->path;
    struct gw_problems problems = {0};
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *sentence = NULL;
    cJSON *data;
    int r = server->reload(&problems, &err, server->userdata);

    if (r == 0) {
        gw_problems_deinit(&problems);
        rpc_call_done(call);
        return;
    }
    data = cJSON_CreateObject();
    if (data && problems.n)
        (void)(mw_json_add_str(data, "path", path) |
               mw_json_add(data, "problems", problems_json(&problems)));
    if (problems.n)
        sentence = mw_asprintf("%s has %zu %s; nothing was changed", path, problems.n,
                               problems.n == 1 ? "mistake" : "mistakes");
    else if (mw_error_is_set(&err))
        sentence = strdup(mw_error_text(&err));
    rpc_call_error(call, r < 0 ? GW_INTERNAL : RPC_BAD_CONFIG,
                   sentence ? sentence : "there is no memory left", data);
    gw_problems_deinit(&problems);
}

/* ---- The table ---- */

static const struct rpc_param stream_params[] = {
    {.name = "consumer",
     .type = RPC_STRING,
     .doc = "Name of a durable position in the journal. The stream goes on behind what was last "
            "acknowledged under this name."},
    {.name = "after",
     .type = RPC_INT,
     .min = -1,
     .max = INT64_MAX,
     .doc = "Begin behind the event with this id; 0 = from the beginning. Unless given: where the "
            "consumer stopped, or from now on."},
    {.name = "bot", .type = RPC_STRING, .doc = "Only events of this bot."},
    {.name = "kinds", .type = RPC_STRINGS, .doc = "Only these kinds; see docs/events.md."},
    {.name = "typing",
     .type = RPC_BOOL,
     .doc = "Also pass on who is typing. That is never stored: while there is no credit it is left "
            "out."},
    {.name = "raw", .type = RPC_BOOL, .doc = "With the object as the server sent it."},
    {.name = "credit",
     .type = RPC_INT,
     .min = 0,
     .max = 100000,
     .doc = "How many events may come before more is granted; 100 unless given."},
};

#define SUBSCRIPTION_PARAM                                                                         \
    {                                                                                              \
        .name = "subscription", .type = RPC_INT, .required = true,                                 \
        .doc = "Its number, from the answer to `stream`."                                          \
    }

static const struct rpc_param credit_params[] = {
    SUBSCRIPTION_PARAM,
    {.name = "n",
     .type = RPC_INT,
     .required = true,
     .min = 1,
     .max = 100000,
     .doc = "How many events more may come."},
};

static const struct rpc_param ack_params[] = {
    SUBSCRIPTION_PARAM,
    {.name = "id",
     .type = RPC_INT,
     .required = true,
     .min = 1,
     .max = INT64_MAX,
     .doc = "Everything up to the event with this id has been dealt with."},
    {.name = "n",
     .type = RPC_INT,
     .min = 0,
     .max = 100000,
     .doc = "Grants credit at the same time."},
};

static const struct rpc_param close_params[] = {
    SUBSCRIPTION_PARAM,
};

static const struct rpc_param consumer_params[] = {
    {.name = "name",
     .type = RPC_STRING,
     .required = true,
     .doc = "Its name, as `consumers` tells it."},
};

static const struct rpc_method methods[] = {
    {.name = "bots",
     .doc = "Lists the bots and how they are connected.",
     .result = "An array of objects: `name`, `endpoint`, `user`, `state` (`online`, `connecting`, "
               "`catching_up`, `waiting`, `unauthorized`, `stopped`), `reason` (a sentence, when "
               "something is wrong), `since`, `channels`.",
     .run = run_bots},
    {.name = "status",
     .doc = "Tells how the daemon is: store, bots, handlers, outbox and consumers, with counters.",
     .result = "An object with `version`, `pid`, `uptime_ms`, `config`, `store`, `bots`, "
               "`servers` (how many calls each takes, and how many wait), `handlers`, `outbox`, "
               "`consumers`, `files` (those that were fetched for handlers).",
     .run = run_status},
    {.name = "stream",
     .doc = "Subscribes to events. Each comes as a notification `event` with `subscription` and "
            "`event`, as long as there is credit. Nothing is lost while there is none: the journal "
            "keeps it. When the bot that it is limited to is removed from the configuration, a "
            "notification `stream.end` with `subscription`, `reason` (`bot_removed`) and `message` "
            "comes behind the last event.",
     RPC_PARAMS(stream_params),
     .result =
         "An object: `subscription`, the number for the methods below; `after`, the id behind "
         "which it begins, for going on there over another connection.",
     .run = rpc_stream},
    {.name = "stream.credit",
     .doc = "Grants a subscription more events.",
     RPC_PARAMS(credit_params),
     .result = "An empty object.",
     .run = rpc_stream_credit},
    {.name = "stream.ack",
     .doc = "Moves the position of a named consumer. A stream that is opened under this name later "
            "goes on behind it.",
     RPC_PARAMS(ack_params),
     .result = "An empty object.",
     .run = rpc_stream_ack},
    {.name = "stream.close",
     .doc = "Ends a subscription.",
     RPC_PARAMS(close_params),
     .result = "An empty object.",
     .run = rpc_stream_close},
    {.name = "consumers",
     .doc = "Lists the durable positions in the journal: those of `stream`, and those of the bots' "
            "handlers. Retention keeps what one of them has not passed.",
     .result = "An array of objects: `name`, `type` (`stream`; `route` for a bot's handlers, the "
               "name is then `route:BOT`), `position` (dealt with up to this event), `lag` (events "
               "behind it), `connected` (somebody reads under this name; the bot is configured), "
               "`updated_at` (when the position last moved).",
     .run = rpc_consumers},
    {.name = "consumer.delete",
     .doc = "Forgets a position that nobody uses any more, so that retention need not wait for it. "
            "Refused while somebody reads under this name.",
     RPC_PARAMS(consumer_params),
     .result = "An object: `name`, `type`, `position`.",
     .run = rpc_consumer_delete},
    {.name = "schedules",
     .doc = "Lists the routes that have a schedule.",
     .result = "An array of objects: `bot`, `route`, `schedule`, `timezone` (absent: the "
               "machine's), `channel`, `next` (when it acts next), `last` (the last time that "
               "became an event; absent: none yet), `waiting` (a time that has come while the "
               "channel could not be found or the bot was not online), `problem` (why).",
     .run = run_schedules},
    {.name = "reload",
     .doc = "Reads the configuration file again and puts it into force, without touching what did "
            "not change. A file with mistakes changes nothing.",
     .result = "An empty object.",
     .run = run_reload},
    {.name = "ping", .doc = "Does nothing.", .result = "An empty object.", .run = run_ping},
    {.name = "version",
     .doc = "Tells the daemon's version and process id.",
     .result = "An object: `version`, `pid`.",
     .run = run_version},
    {.name = "rpc.methods",
     .doc = "Lists these methods with their parameters.",
     .result = "An array of objects: `name`, `doc`, `params`, `result`.",
     .run = run_methods},
};
static const struct rpc_method_table first_table = RPC_METHOD_TABLE(methods);

/* In the order of the reference. */
static const struct rpc_method_table *const tables[] = {
    &first_table,      &rpc_methods_post, &rpc_methods_read, &rpc_directory_methods,
    &rpc_file_methods, &rpc_methods_work, &rpc_methods_pair,
};

size_t rpc_method_count(void)
{
    size_t n = 0;

    for (size_t i = 0; i < MW_ARRAY_LEN(tables); i++)
        n += tables[i]->n;
    return n;
}

const struct rpc_method *rpc_method_at(size_t i)
{
    size_t t = 0;

    while (i >= tables[t]->n)
        i -= tables[t++]->n;
    return &tables[t]->methods[i];
}
