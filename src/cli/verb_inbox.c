/* `search`, `inbox` and `missed`. */
#include "base/str.h"
#include "cli/cli.h"

const char *cli_count(int64_t n, const char *one, const char *many, char *buf, size_t size)
{
    snprintf(buf, size, "%lld %s", (long long)n, n == 1 ? one : many);
    return buf;
}

static int add_flag(cJSON *params, const char *key, bool value)
{
    return value ? mw_json_add_bool(params, key, true) : 0;
}

/* ---- search ---- */

/* For a person the snippet stands for the text. */
static int show_snippets(cJSON *events)
{
    cJSON *event;

    cJSON_ArrayForEach(event, events)
    {
        cJSON *snippet = cJSON_DetachItemFromObjectCaseSensitive(event, "snippet");

        if (!snippet)
            continue;
        cJSON_DeleteItemFromObjectCaseSensitive(event, "text");
        if (mw_json_add(event, "text", snippet))
            return cli_no_memory();
    }
    return CLI_DONE;
}

static int print_search(struct cli *cli, cJSON *result)
{
    cJSON *events = cJSON_GetObjectItemCaseSensitive(result, "events");
    const cJSON *complete = mw_json_get(result, "complete");
    int r = show_snippets(events);

    if (r == CLI_DONE)
        r = cli_print_events(cli, events);
    if (r == CLI_DONE && cJSON_IsFalse(complete))
        cli_error(
            r,
            "there may be older ones: go on with --before %lld, or narrow it down with --since "
            "or --channel",
            (long long)mw_json_i64(result, "looked_to", 0));
    return r;
}

int cli_run_search(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_search_options *o = options;
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    MW_AUTOBUF query = {0};
    int r = cli_check_time("since", o->since);

    mw_buf_init(&query, 0);
    for (int i = 0; i < argc; i++)
        mw_buf_printf(&query, "%s%s", i ? " " : "", argv[i]);
    if (r == CLI_DONE)
        r = cli_check_time("until", o->until);
    if (r)
        return r;
    if (!params || mw_buf_error(&query) || mw_json_add_str(params, "query", mw_buf_str(&query)) ||
        cli_add_text(params, "bot", o->bot) || cli_add_text(params, "channel", o->channel) ||
        cli_add_text(params, "author", o->author) || cli_add_text(params, "thread", o->thread) ||
        cli_add_text(params, "since", o->since) || cli_add_text(params, "until", o->until) ||
        mw_json_add_i64(params, "limit", o->limit) ||
        (o->before && mw_json_add_i64(params, "before", o->before)) ||
        cli_add_text(params, "order", o->best ? "best" : NULL) ||
        add_flag(params, "server", o->server) || add_flag(params, "raw", o->raw))
        return cli_no_memory();
    r = cli_call_once(cli, "search", take_ptr(params), &result);
    if (r)
        return r;
    cli->ids = o->ids;
    return cli->json ? cli_print_json(cli, take_ptr(result)) : print_search(cli, result);
}

/* ---- inbox ---- */

int cli_run_inbox(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_inbox_options *o = options;
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    int r = cli_check_time("since", o->since);

    if (r)
        return r;
    if (!params || cli_add_text(params, "bot", o->bot) ||
        cli_add_text(params, "reader", o->reader) || cli_add_text(params, "since", o->since) ||
        mw_json_add_i64(params, "limit", o->limit) ||
        cli_add_list(params, "reasons", &o->reasons) || add_flag(params, "unseen", o->unseen) ||
        add_flag(params, "mark_seen", o->mark_seen) ||
        add_flag(params, "mark_read", o->mark_read) || add_flag(params, "raw", o->raw))
        return cli_no_memory();
    r = cli_call_once(cli, "inbox", take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    cli->ids = o->ids;
    r = cli_print_events(cli, mw_json_arr(result, "events"));
    if (r == CLI_DONE && mw_json_bool(result, "more"))
        cli_error(r, "there are more; --limit N shows up to 999");
    return r;
}

/* ---- missed ---- */

/* Without the seconds: the table has to fit. */
static const char *minute(int64_t ms, char *buf, size_t size)
{
    cli_time(ms, buf, size);
    if (strrchr(buf, ':'))
        *strrchr(buf, ':') = 0;
    return buf;
}

static int add_channel(struct cli_table *t, const cJSON *ch)
{
    const char *type = mw_json_str_or(ch, "channel_type", "");
    const char *team = mw_json_str_or(ch, "team_name", "");
    bool complete = mw_json_bool(ch, "complete");
    MW_AUTOFREE char *name = NULL;
    char posts[24], mentions[24], first[32], last[32];

    if (strcmp(type, "D") == 0 || strcmp(type, "G") == 0)
        name = strdup(*type == 'D' ? "direct" : "group");
    else
        name =
            mw_asprintf("%s%s%s", team, *team ? "/" : "", mw_json_str_or(ch, "channel_name", ""));
    if (!name)
        return -ENOMEM;
    snprintf(posts, sizeof(posts), "%lld", (long long)mw_json_i64(ch, "posts", 0));
    snprintf(mentions, sizeof(mentions), "%lld", (long long)mw_json_i64(ch, "mentions", 0));
    const char *cells[] = {
        name,
        posts,
        mentions,
        minute(mw_json_i64(ch, "first_at", 0), first, sizeof(first)),
        minute(mw_json_i64(ch, "last_at", 0), last, sizeof(last)),
        complete ? "yes" : "no",
    };
    const enum cli_color colors[] = {CLI_BOLD,  CLI_PLAIN, CLI_PLAIN,
                                     CLI_PLAIN, CLI_PLAIN, complete ? CLI_PLAIN : CLI_YELLOW};

    return cli_table_add(t, cells, colors);
}

static int print_missed(struct cli *cli, const cJSON *result)
{
    static const struct cli_column columns[] = {{.name = "CHANNEL", .wide = true},
                                                {.name = "POSTS", .right = true},
                                                {.name = "MENTIONS", .right = true},
                                                {.name = "FIRST"},
                                                {.name = "LAST"},
                                                {.name = "COMPLETE"}};
    MW_CLEANUP(cli_table_free_p)
    struct cli_table *t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    int64_t until = mw_json_i64(result, "covered_until", 0), from = 0;
    const cJSON *ch;
    char a[32], b[32], when[32];

    if (!t)
        return cli_no_memory();
    cJSON_ArrayForEach(ch, mw_json_arr(result, "channels"))
    {
        if (add_channel(t, ch) < 0)
            return cli_no_memory();
        if (!mw_json_bool(ch, "complete"))
            from = MW_MAX(from, mw_json_i64(ch, "covered_from", 0));
    }
    printf("%s, %s since %s\n",
           cli_count(mw_json_i64(result, "posts", 0), "post", "posts", a, sizeof(a)),
           cli_count(mw_json_i64(result, "mentions", 0), "mention", "mentions", b, sizeof(b)),
           cli_time(mw_json_i64(result, "since", 0), when, sizeof(when)));
    if (cli_table_print(t) < 0)
        return cli_no_memory();
    if (mw_json_bool(result, "truncated"))
        cli_print_wrapped("There was more than can be counted: the numbers are too small.");
    if (!mw_json_bool(result, "complete") && from > mw_json_i64(result, "since", 0))
        cli_print_wrapped("Some of these channels are followed only since later: the journal has "
                          "everything from %s on. `matterwire history --server` asks the server.",
                          cli_time(from, when, sizeof(when)));
    else if (!mw_json_bool(result, "complete") && until)
        cli_print_wrapped("The journal is not complete for this time: the bot was certainly there "
                          "until %s. `matterwire history --server` asks the server.",
                          cli_time(until, when, sizeof(when)));
    else if (!mw_json_bool(result, "complete"))
        cli_print_wrapped("The journal has nothing of this time for certain. `matterwire history "
                          "--server` asks the server.");
    return cli_flush(CLI_DONE);
}

int cli_run_missed(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_missed_options *o = options;
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    int r = cli_check_time("since", o->since);

    if (r == CLI_DONE)
        r = cli_check_time("until", o->until);
    if (r)
        return r;
    if (!o->since)
        return cli_error(CLI_USAGE, "missed needs --since TIME, such as 2h or "
                                    "2026-11-21T10:00:00Z");
    if (!params || cli_add_text(params, "bot", o->bot) || cli_add_text(params, "since", o->since) ||
        cli_add_text(params, "until", o->until))
        return cli_no_memory();
    r = cli_call_once(cli, "missed", take_ptr(params), &result);
    if (r)
        return r;
    return cli->json ? cli_print_json(cli, take_ptr(result)) : print_missed(cli, result);
}
