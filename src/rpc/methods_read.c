/* The methods that read what was said. */
#include "base/str.h"
#include "gateway/read.h"
#include "rpc/internal.h"

/* ---- search ---- */

struct searching {
    struct rpc_call *call;
    struct gw_bot *bot; /* NULL = any */
    char *query, *name;
    int64_t since, until, before;
    unsigned limit;
    bool raw, server, best;
};

static void searching_free(struct searching *s)
{
    free(s->query);
    free(s->name);
    free(s);
}

static void search_server(struct searching *s, const cJSON *scope)
{
    gw_server_posts(rpc_call_gw(s->call), s->bot,
                    &(struct gw_server_posts){
                        .query = s->query,
                        .channel_id = mw_json_str(scope, "channel_id"),
                        .user_id = mw_json_str(scope, "user_id"),
                        .since = s->since,
                        .until = s->until,
                        .limit = s->limit,
                        .raw = s->raw,
                    },
                    rpc_call_on_reply, s->call);
}

static void search_journal(struct searching *s, const cJSON *scope)
{
    const struct mw_search search = {
        .query = s->query,
        .filter = {.bot = s->name,
                   .channel_id = mw_json_str(scope, "channel_id"),
                   .user_id = mw_json_str(scope, "user_id"),
                   .root_id = mw_json_str(scope, "root_id"),
                   .since = s->since,
                   .until = s->until,
                   .before_id = s->before,
                   .limit = s->limit},
        .order = s->best ? MW_SEARCH_BEST : MW_SEARCH_NEWEST,
    };
    MW_AUTOERROR err = MW_ERROR_INIT;
    enum gw_code code;
    cJSON *result = gw_search_json(rpc_call_gw(s->call), &search, s->raw, &code, &err);

    if (result)
        rpc_call_json(s->call, result);
    else
        rpc_call_error(s->call, code, mw_error_text(&err), NULL);
}

static void on_scope(struct gw_reply *reply, void *userdata)
{
    struct searching *s = userdata;

    if (reply->code != GW_OK || !s->call->conn)
        rpc_call_reply(s->call, reply);
    else if (s->server)
        search_server(s, reply->result);
    else
        search_journal(s, reply->result);
    searching_free(s);
}

static void run_search(struct rpc_call *call, const cJSON *params)
{
    const struct gw_scope scope = {
        .channel = mw_json_str(params, "channel"),
        .author = mw_json_str(params, "author"),
        .thread = mw_json_str(params, "thread"),
    };
    const char *order = mw_json_str_or(params, "order", "newest");
    struct searching *s;
    struct gw_bot *bot;

    if (!mw_streq(order, "newest") && !mw_streq(order, "best")) {
        rpc_call_param_error(call, "order", "`order` is `newest` or `best`");
        return;
    }
    if (scope.thread && mw_json_bool(params, "server")) {
        rpc_call_param_error(call, "server", "the server's search cannot be kept to a thread");
        return;
    }
    if (!rpc_scope_bot(call, params, &scope, &bot))
        return;
    s = calloc(1, sizeof(*s));
    if (!s || mw_str_set(&s->query, mw_json_str_or(params, "query", "")) ||
        (bot && mw_str_set(&s->name, gw_bot_name(bot)))) {
        if (s)
            searching_free(s);
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    s->call = call;
    s->bot = bot;
    s->since = rpc_param_time(params, "since", 0);
    s->until = rpc_param_time(params, "until", 0);
    s->before = mw_json_i64(params, "before", 0);
    s->limit = (unsigned)mw_json_i64(params, "limit", 50);
    s->raw = mw_json_bool(params, "raw");
    s->server = mw_json_bool(params, "server");
    s->best = mw_streq(order, "best");
    gw_resolve_scope(rpc_call_gw(call), bot, &scope, on_scope, s);
}

/* ---- inbox and missed ---- */

/* Returns false when the call was answered. */
static bool read_reasons(struct rpc_call *call, const cJSON *params, unsigned *ret)
{
    static const struct {
        const char *name;
        unsigned flag;
    } reasons[] = {
        {"direct", MW_EVENT_DIRECT},
        {"mention", MW_EVENT_MENTION},
        {"thread", MW_EVENT_THREAD},
    };
    const cJSON *item;

    cJSON_ArrayForEach(item, mw_json_arr(params, "reasons"))
    {
        unsigned flag = 0;

        for (size_t i = 0; i < MW_ARRAY_LEN(reasons); i++)
            flag |= mw_streq(reasons[i].name, item->valuestring) ? reasons[i].flag : 0;
        if (!flag) {
            rpc_call_param_error(call, "reasons", "a reason is `direct`, `mention` or `thread`");
            return false;
        }
        *ret |= flag;
    }
    return true;
}

static void run_inbox(struct rpc_call *call, const cJSON *params)
{
    unsigned reasons = 0;
    struct gw_bot *bot;

    if (!read_reasons(call, params, &reasons))
        return;
    bot = rpc_call_bot(call, params);
    if (!bot)
        return;
    gw_inbox(rpc_call_gw(call), bot,
             &(struct gw_inbox){
                 .reader = mw_json_str(params, "reader"),
                 .unseen = mw_json_bool(params, "unseen"),
                 .reasons = reasons,
                 .since = rpc_param_time(params, "since", 0),
                 .limit = (unsigned)mw_json_i64(params, "limit", 50),
                 .mark_seen = mw_json_bool(params, "mark_seen"),
                 .mark_read = mw_json_bool(params, "mark_read"),
                 .raw = mw_json_bool(params, "raw"),
             },
             rpc_call_on_reply, call);
}

static void run_missed(struct rpc_call *call, const cJSON *params)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_bot *bot = rpc_call_bot(call, params);
    cJSON *result;

    if (!bot)
        return;
    result = gw_missed_json(rpc_call_gw(call), bot, rpc_param_time(params, "since", 0),
                            rpc_param_time(params, "until", 0), &err);
    if (result)
        rpc_call_json(call, result);
    else
        rpc_call_error(call, GW_INTERNAL, mw_error_text(&err), NULL);
}

/* ---- The table ---- */

#define RAW_PARAM                                                                                  \
    {                                                                                              \
        .name = "raw", .type = RPC_BOOL, .doc = "With the object as the server sent it."           \
    }
#define SERVER_PARAM                                                                               \
    {                                                                                              \
        .name = "server", .type = RPC_BOOL,                                                        \
        .doc = "Ask the server instead of the journal, also for what was said before the bot "     \
               "came: posts as they are now, as events without an `id`, 1000 at the most."         \
    }

static const struct rpc_param history_params[] = {
    {.name = "bot", .type = RPC_STRING, .doc = "Only events of this bot."},
    {.name = "channel",
     .type = RPC_STRING,
     .doc = "Only events of this channel, by any of its names."},
    {.name = "author",
     .type = RPC_STRING,
     .doc = "Only what this person did: `@name`, name or id."},
    {.name = "thread",
     .type = RPC_STRING,
     .doc = "Only the thread of this post (id or permalink)."},
    {.name = "kinds", .type = RPC_STRINGS, .doc = "Only these kinds; see docs/events.md."},
    {.name = "since", .type = RPC_TIME, .doc = "Only what happened at this time or later."},
    {.name = "until", .type = RPC_TIME, .doc = "Only what happened before."},
    {.name = "after",
     .type = RPC_INT,
     .min = 0,
     .max = INT64_MAX,
     .doc = "Only events with a greater id."},
    {.name = "before",
     .type = RPC_INT,
     .min = 0,
     .max = INT64_MAX,
     .doc = "Only events with a smaller id; for paging back."},
    {.name = "limit",
     .type = RPC_INT,
     .min = 1,
     .max = 10000,
     .doc = "How many at the most, the newest; 50 unless given."},
    SERVER_PARAM,
    RAW_PARAM,
};

static const struct rpc_param thread_params[] = {
    RPC_BOT_PARAM,
    {.name = "post",
     .type = RPC_STRING,
     .required = true,
     .doc = "Id or permalink of any post of the thread."},
    {.name = "kinds", .type = RPC_STRINGS, .doc = "Only these kinds; see docs/events.md."},
    {.name = "limit",
     .type = RPC_INT,
     .min = 1,
     .max = 10000,
     .doc = "How many at the most, the newest; 1000 unless given."},
    {.name = "before",
     .type = RPC_INT,
     .min = 0,
     .max = INT64_MAX,
     .doc = "Only events with a smaller id; for paging back."},
    SERVER_PARAM,
    RAW_PARAM,
};

static const struct rpc_param search_params[] = {
    {.name = "query",
     .type = RPC_STRING,
     .required = true,
     .doc = "Words, all to be found, in any order and also as parts of words; `\"several words\"` "
            "as they stand; `-word` must not be there. Upper and lower case are the same."},
    {.name = "bot", .type = RPC_STRING, .doc = "Only events of this bot."},
    {.name = "channel", .type = RPC_STRING, .doc = "Only this channel, by any of its names."},
    {.name = "author",
     .type = RPC_STRING,
     .doc = "Only what this person wrote: `@name`, name or id."},
    {.name = "thread",
     .type = RPC_STRING,
     .doc = "Only the thread of this post (id or permalink)."},
    {.name = "since", .type = RPC_TIME, .doc = "Only what was written at this time or later."},
    {.name = "until", .type = RPC_TIME, .doc = "Only what was written before."},
    {.name = "before",
     .type = RPC_INT,
     .min = 0,
     .max = INT64_MAX,
     .doc = "Only events with a smaller id; to go on at `looked_to`."},
    {.name = "order",
     .type = RPC_STRING,
     .doc = "`newest` first, or `best`: whole words before parts. `newest` unless given."},
    {.name = "limit",
     .type = RPC_INT,
     .min = 1,
     .max = 1000,
     .doc = "How many at the most; 50 unless given."},
    SERVER_PARAM,
    RAW_PARAM,
};

static const struct rpc_param inbox_params[] = {
    RPC_BOT_PARAM,
    {.name = "unseen", .type = RPC_BOOL, .doc = "Only what came after the mark."},
    {.name = "reader",
     .type = RPC_STRING,
     .doc = "Whose mark: each name has its own. The empty name unless given."},
    {.name = "reasons",
     .type = RPC_STRINGS,
     .doc = "Only `direct`, `mention`, `thread`: any of them."},
    {.name = "since", .type = RPC_TIME, .doc = "Only what was written at this time or later."},
    {.name = "limit",
     .type = RPC_INT,
     .min = 1,
     .max = 999,
     .doc = "How many at the most; 50 unless given."},
    {.name = "mark_seen",
     .type = RPC_BOOL,
     .doc = "Sets the mark behind what is given. With `unseen` the oldest come, so that calling "
            "again gives the rest."},
    {.name = "mark_read",
     .type = RPC_BOOL,
     .doc = "Also tells the server that the bot has read these channels. Else the server's count "
            "is never touched."},
    RAW_PARAM,
};

static const struct rpc_param missed_params[] = {
    RPC_BOT_PARAM,
    {.name = "since", .type = RPC_TIME, .required = true, .doc = "From then on."},
    {.name = "until", .type = RPC_TIME, .doc = "Up to then; now unless given."},
};

#define EVENTS_RESULT                                                                              \
    "An object: `events`, an array of events as in docs/events.md; `more`, true when there are "   \
    "older ones"

static const struct rpc_method methods[] = {
    {.name = "history",
     .doc = "Lists events of the journal, the newest ones that fit, oldest first.",
     RPC_PARAMS(history_params),
     .result = "An object: `events`, an array of events as in docs/events.md; `more`, true when "
               "there are older ones (ask again with `before` = the id of the first one).",
     .run = rpc_history},
    {.name = "thread",
     .doc = "Lists the events of a thread: its root, the replies, and what was done to them.",
     RPC_PARAMS(thread_params),
     .result = EVENTS_RESULT ".",
     .run = rpc_thread},
    {.name = "search",
     .doc = "Searches the text of posts and edits in the journal.",
     RPC_PARAMS(search_params),
     .result = "An object: `events`, as in docs/events.md, each with a `snippet`, in which `[` and "
               "`]` stand around what was found; `complete`, false when not everything was looked "
               "at, then `looked_to`: go on with `before` = that. With `server`: `events` without "
               "snippets, and `more`.",
     .run = run_search},
    {.name = "inbox",
     .doc = "Lists what is for a bot: direct messages, mentions, and replies in threads that it is "
            "in. Not its own posts, and not what was deleted.",
     RPC_PARAMS(inbox_params),
     .result = "An object: `events`, oldest first; `more`, true when the limit left some out; "
               "`mark`, the id of the newest event that counts as seen; `read`, with `mark_read`: "
               "how many channels the server was told.",
     .run = run_inbox},
    {.name = "missed",
     .doc = "Tells what happened since a time, channel by channel.",
     RPC_PARAMS(missed_params),
     .result = "An object: `bot`, `since`, `until`, `posts`, `mentions`, `complete`, "
               "`covered_until` (up to when the bot was certainly there), `truncated`, "
               "`looked_to`, `channels`: an array, newest first, of objects with `channel_id`, "
               "`channel_name`, `channel_type`, `team_name`, `posts` (of others), `mentions`, "
               "`direct`, `threads`, `first_id`, `first_at`, `last_id`, `last_at`, "
               "`covered_from`, `covered_until`, `complete` (the journal has everything of that "
               "time).",
     .run = run_missed},
};
const struct rpc_method_table rpc_methods_read = RPC_METHOD_TABLE(methods);
