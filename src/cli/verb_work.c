/* `events` and `outbox`: what waits, what was given up, and what a person does about it; `metrics`.
 */
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

#define PAGE 1000

struct work_options {
    struct cli_common common;
    const char *bot;
    int64_t limit;
    bool failed, all;
};

/* What differs between the two verbs. */
struct work {
    const char *verb, *list, *retry, *drop; /* methods */
    const char *failed;                     /* the option for what was given up */
    const char *names;                      /* of arguments in sentences */
    const char *nothing[3];                 /* waiting, failed, all */
    int (*print)(const struct cli *cli, const cJSON *items);
};

static const char *span_since(int64_t at, char *buf, size_t size)
{
    return at ? cli_span(mw_clock_now() - at, buf, size) : "";
}

static const char *where(const cJSON *item)
{
    const char *name = mw_json_str_or(item, "channel_name", "");

    return name[0] ? name : mw_json_str_or(item, "channel_id", "");
}

static enum cli_color color_of(const char *state)
{
    return strcmp(state, "failed") == 0                                     ? CLI_RED
           : strcmp(state, "dropped") == 0                                  ? CLI_DIM
           : strcmp(state, "waiting") == 0 || strcmp(state, "sending") == 0 ? CLI_YELLOW
                                                                            : CLI_GREEN;
}

static int print_events(const struct cli *cli, const cJSON *items)
{
    static const struct cli_column columns[] = {{.name = "EVENT", .right = true},
                                                {.name = "BOT"},
                                                {.name = "HANDLER"},
                                                {.name = "STATE"},
                                                {.name = "CHANNEL"},
                                                {.name = "WHO"},
                                                {.name = "ATTEMPTS", .right = true},
                                                {.name = "LAST", .right = true},
                                                {.name = "ERROR", .wide = true}};
    MW_CLEANUP(cli_table_free_p)
    struct cli_table *t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    const cJSON *item;

    if (!t)
        return -ENOMEM;
    cJSON_ArrayForEach(item, items)
    {
        char id[24], attempts[24], last[48];
        const char *state = mw_json_str_or(item, "state", "?");
        const char *cells[] = {
            id,
            mw_json_str(item, "bot"),
            mw_json_str(item, "handler"),
            state,
            where(item),
            mw_json_str(item, "user_name"),
            attempts,
            span_since(mw_json_i64(item, "updated_at", 0), last, sizeof(last)),
            mw_json_str(item, "error"),
        };
        const enum cli_color colors[MW_ARRAY_LEN(cells)] = {[3] = color_of(state)};

        snprintf(id, sizeof(id), "%lld", (long long)mw_json_i64(item, "id", 0));
        snprintf(attempts, sizeof(attempts), "%lld", (long long)mw_json_i64(item, "attempts", 0));
        if (cli_table_add(t, cells, colors) < 0)
            return -ENOMEM;
    }
    return cli_table_print(t);
}

static int print_outbox(const struct cli *cli, const cJSON *items)
{
    static const struct cli_column columns[] = {{.name = "NUMBER", .right = true},
                                                {.name = "KEY"},
                                                {.name = "BOT"},
                                                {.name = "KIND"},
                                                {.name = "STATE"},
                                                {.name = "CHANNEL"},
                                                {.name = "AGE", .right = true},
                                                {.name = "TRIES", .right = true},
                                                {.name = "ERROR", .wide = true}};
    MW_CLEANUP(cli_table_free_p)
    struct cli_table *t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    const cJSON *item;

    if (!t)
        return -ENOMEM;
    cJSON_ArrayForEach(item, items)
    {
        char id[24], attempts[24], age[48];
        const char *state = mw_json_str_or(item, "state", "?");
        const char *cells[] = {
            id,
            mw_json_str(item, "key"),
            mw_json_str(item, "bot"),
            mw_json_str(item, "kind"),
            state,
            where(item),
            span_since(mw_json_i64(item, "created_at", 0), age, sizeof(age)),
            attempts,
            mw_json_str(item, "error"),
        };
        const enum cli_color colors[MW_ARRAY_LEN(cells)] = {[4] = color_of(state)};

        snprintf(id, sizeof(id), "%lld", (long long)mw_json_i64(item, "id", 0));
        snprintf(attempts, sizeof(attempts), "%lld", (long long)mw_json_i64(item, "attempts", 0));
        if (cli_table_add(t, cells, colors) < 0)
            return -ENOMEM;
    }
    return cli_table_print(t);
}

static const struct work events = {
    .verb = "events",
    .list = "events.list",
    .retry = "events.retry",
    .drop = "events.drop",
    .failed = "--dead",
    .names = "an event's number",
    .nothing = {"no event waits for a handler", "no event was set aside",
                "no event was given to a handler"},
    .print = print_events,
};
static const struct work outbox = {
    .verb = "outbox",
    .list = "outbox.list",
    .retry = "outbox.retry",
    .drop = "outbox.drop",
    .failed = "--failed",
    .names = "a message's key or number",
    .nothing = {"nothing waits to be sent", "nothing was given up", "nothing was ever sent"},
    .print = print_outbox,
};

static cJSON *list_params(const struct work_options *o, int64_t after, int64_t limit)
{
    MW_AUTOJSON *params = cJSON_CreateObject();

    if (!params || cli_add_text(params, "bot", o->bot) ||
        mw_json_add_str(params, "state",
                        o->all      ? "all"
                        : o->failed ? "failed"
                                    : "waiting") ||
        mw_json_add_i64(params, "after", after) || mw_json_add_i64(params, "limit", limit))
        return NULL;
    return take_ptr(params);
}

static int fetch(struct cli_conn *c, const struct work *w, const struct work_options *o,
                 cJSON *items)
{
    int64_t left = o->limit, after = 0;
    bool more = true;

    while (more && left > 0) {
        cJSON *params = list_params(o, after, MW_MIN(left, PAGE)), *page, *item;
        MW_AUTOJSON *result = NULL;
        int r;

        if (!params)
            return cli_no_memory();
        r = cli_call(c, w->list, params, &result);
        if (r)
            return r;
        page = cJSON_GetObjectItemCaseSensitive(result, "items");
        left -= cJSON_GetArraySize(page);
        while ((item = cJSON_DetachItemFromArray(page, 0)))
            if (mw_json_push(items, item))
                return cli_no_memory();
        after = mw_json_i64(result, "last", 0);
        more = mw_json_bool(result, "more") && after;
    }
    return CLI_DONE;
}

static int list(struct cli *cli, const struct work *w, const struct work_options *o)
{
    MW_AUTOJSON *items = cJSON_CreateArray();
    struct cli_conn c;
    int r = items ? cli_connect(cli, &c) : cli_no_memory();

    if (r)
        return r;
    r = fetch(&c, w, o, items);
    cli_conn_deinit(&c);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(items));
    if (!cJSON_GetArraySize(items))
        puts(w->nothing[o->all ? 2 : o->failed ? 1 : 0]);
    else if (w->print(cli, items) < 0)
        return cli_no_memory();
    return cli_flush(CLI_DONE);
}

static int by_hand(struct cli *cli, const char *method, const struct work_options *o, int argc,
                   char **argv)
{
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    cJSON *ids = params ? cJSON_AddArrayToObject(params, "ids") : NULL;
    const cJSON *item;
    int r;

    if (!ids || cli_add_text(params, "bot", o->bot))
        return cli_no_memory();
    for (int i = 0; i < argc; i++)
        if (mw_json_push(ids, cJSON_CreateString(argv[i])))
            return cli_no_memory();
    r = cli_call_once(cli, method, take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    cJSON_ArrayForEach(item, mw_json_arr(result, "items"))
    {
        const char *key = mw_json_str(item, "key");

        if (key)
            printf("%s %s\n", key, mw_json_str_or(item, "message", ""));
        else
            printf("event %lld %s\n", (long long)mw_json_i64(item, "id", 0),
                   mw_json_str_or(item, "message", ""));
    }
    return cli_flush(CLI_DONE);
}

static int run(struct cli *cli, const struct work *w, const struct work_options *o, int argc,
               char **argv)
{
    struct mw_nearest near = {.name = argc ? argv[0] : ""};
    const char *meant;

    if (!argc)
        return list(cli, w, o);
    mw_nearest_offer(&near, "retry");
    mw_nearest_offer(&near, "drop");
    meant = mw_nearest_get(&near);
    if (strcmp(argv[0], "retry") != 0 && strcmp(argv[0], "drop") != 0)
        return cli_error(CLI_USAGE, "%s has no action \"%s\"%s%s%s: it has retry and drop", w->verb,
                         argv[0], meant ? "; did you mean \"" : "", meant ? meant : "",
                         meant ? "\"?" : "");
    if (o->failed || o->all)
        return cli_error(CLI_USAGE, "%s and --all belong to the list, not to %s", w->failed,
                         argv[0]);
    if (argc < 2)
        return cli_error(CLI_USAGE, "%s %s needs %s, or several", w->verb, argv[0], w->names);
    return by_hand(cli, strcmp(argv[0], "retry") == 0 ? w->retry : w->drop, o, argc - 1, argv + 1);
}

static int run_events(struct cli *cli, const void *options, int argc, char **argv)
{
    return run(cli, &events, options, argc, argv);
}

static int run_outbox(struct cli *cli, const void *options, int argc, char **argv)
{
    return run(cli, &outbox, options, argc, argv);
}

static int run_metrics(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOJSON *result = NULL;
    int r = cli_call_once(cli, "metrics", NULL, &result);

    if (r)
        return r;
    if (cli->options.json)
        return cli_print_json(cli, take_ptr(result));
    fputs(mw_json_str_or(result, "text", ""), stdout);
    return cli_flush(CLI_DONE);
}

/* ---- The table ---- */

#define OPTION(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct work_options, member, ##__VA_ARGS__)
#define COMMON_OPTIONS                                                                             \
    OPTION("all", 'a', MW_OPT_FLAG, NULL, "also what is done, and what was dropped by hand", all), \
        OPTION("bot", 'b', MW_OPT_STRING, "NAME", "only of this bot", bot,                         \
               .complete = MW_COMPLETE_BOT),                                                       \
        OPTION("limit", 'n', MW_OPT_INT, "N", "how many at the most (100)", limit, .min = 1,       \
               .max = 1000000)

static const struct mw_option events_options[] = {
    OPTION("dead", 'd', MW_OPT_FLAG, NULL, "what was set aside after the last attempt", failed),
    COMMON_OPTIONS,
    MW_OPTIONS_END,
};
static const struct mw_option outbox_options[] = {
    OPTION("failed", 'f', MW_OPT_FLAG, NULL, "what was given up after a clear no of the server",
           failed),
    COMMON_OPTIONS,
    MW_OPTIONS_END,
};

static const struct work_options initial = {.limit = 100};

static const struct cli_verb verbs[] = {
    {.name = "events",
     .args = "[retry EVENT... | drop EVENT...]",
     .words = "retry drop",
     .max_args = 1000,
     .summary = "list events that wait for a handler or were set aside; retry or drop them",
     .doc = "Lists the events that wait for their handler, and those that it works on, oldest "
            "first. An event whose handler failed for the last time (`attempts` in the "
            "configuration) is set aside: --dead lists those. `retry` gives them to the handler "
            "again, behind what waits in their conversation; `drop` takes them off the list. What "
            "was dropped stays visible with --all, and `retry` takes it back. Both are committed "
            "before they are confirmed, and safe to repeat; an unknown number changes nothing.",
     .examples = "  matterwire events --dead\n"
                 "  matterwire events retry 1712 1715\n"
                 "  matterwire events drop $(matterwire events --dead --json | jq '.[].id')\n",
     .options = events_options,
     .initial = &initial,
     .size = sizeof(struct work_options),
     .run = run_events},
    {.name = "outbox",
     .args = "[retry KEY... | drop KEY...]",
     .words = "retry drop",
     .max_args = 1000,
     .summary = "list messages that wait or were given up; retry or drop them",
     .doc = "Lists what the bots have to send, oldest first: posts, edits, reactions. What the "
            "server refused with a clear no is given up: --failed lists that. `retry` tries it "
            "again under its key, so that it is not posted twice should it be there after all; "
            "what waits is tried at once. `drop` takes it off the list, also what waits. What was "
            "dropped stays visible with --all. Both are committed before they are confirmed, and "
            "safe to repeat; an unknown key changes nothing. Instead of the key, the number does.",
     .examples = "  matterwire outbox\n"
                 "  matterwire outbox --failed\n"
                 "  matterwire outbox retry deploy-42\n",
     .options = outbox_options,
     .initial = &initial,
     .size = sizeof(struct work_options),
     .run = run_outbox},
    {.name = "metrics",
     .summary = "print the metrics, as OpenMetrics text",
     .doc = "Prints what the daemon counts, as OpenMetrics text for Prometheus and others; what it "
            "cannot do at the moment is among it. With --json the text is in an object. Each is "
            "described in docs/metrics.md.",
     .examples = "  matterwire metrics | grep failed\n",
     .run = run_metrics},
};
const struct cli_verb_table cli_verbs_work = CLI_VERB_TABLE(verbs);
