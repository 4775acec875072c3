/* `history` and `thread`: the newest events, page by page from the end. */
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/kinds.h"

#define PAGE       2000 /* events asked for at once */
#define SERVER_MAX 1000 /* posts that a server is asked for */

int cli_check_time(const char *option, const char *value)
{
    int64_t ms;

    if (!value || mw_time_parse(value, mw_clock_now(), &ms) == 0)
        return CLI_DONE;
    return cli_error(CLI_USAGE,
                     "--%s wants a time such as 2h (ago), 7d or 2026-11-21T10:00:00Z, not \"%s\"",
                     option, value);
}

static cJSON *make_params(const struct cli_history_options *o, const char *post, int64_t before,
                          int64_t limit)
{
    const struct {
        const char *key, *value;
    } texts[] = {
        {"bot", o->bot},     {"channel", o->channel}, {"author", o->author}, {"thread", o->thread},
        {"since", o->since}, {"until", o->until},     {"post", post},
    };
    MW_AUTOJSON *params = cJSON_CreateObject();

    if (!params || mw_json_add_i64(params, "limit", limit))
        return NULL;
    for (size_t i = 0; i < MW_ARRAY_LEN(texts); i++)
        if (texts[i].value && mw_json_add_str(params, texts[i].key, texts[i].value))
            return NULL;
    if ((before && mw_json_add_i64(params, "before", before)) ||
        (o->raw && mw_json_add_bool(params, "raw", true)) ||
        (o->server && mw_json_add_bool(params, "server", true)))
        return NULL;
    return take_ptr(params);
}

/* Puts a page before what is there already. */
static int prepend(cJSON **all, cJSON *page)
{
    cJSON *item;

    while ((item = cJSON_DetachItemFromArray(*all, 0)))
        if (mw_json_push(page, item)) {
            cJSON_Delete(page);
            return cli_no_memory();
        }
    cJSON_Delete(*all);
    *all = page;
    return CLI_DONE;
}

/* `post` of `thread`, NULL for `history`. *ret_more: there are older ones. */
static int fetch(struct cli_conn *c, const struct cli_history_options *o, const char *post,
                 cJSON **all, bool *ret_more)
{
    int64_t left = o->limit, before = 0;
    bool first = true;

    while (first || (*ret_more && before && left > 0)) {
        cJSON *params = make_params(o, post, before, MW_MIN(left, PAGE)), *page;
        MW_AUTOJSON *result = NULL;
        int r;

        if (!params)
            return cli_no_memory();
        r = cli_add_kinds(params, &o->kinds);
        if (r) {
            cJSON_Delete(params);
            return r;
        }
        r = cli_call(c, post ? "thread" : "history", params, &result);
        if (r)
            return r;
        page = cJSON_DetachItemFromObjectCaseSensitive(result, "events");
        if (!cJSON_IsArray(page)) {
            cJSON_Delete(page);
            return cli_error(CLI_FAILED, "the daemon's answer has no events");
        }
        left -= cJSON_GetArraySize(page);
        before = mw_json_i64(cJSON_GetArrayItem(page, 0), "id", 0);
        *ret_more = mw_json_bool(result, "more");
        first = false;
        r = prepend(all, page);
        if (r)
            return r;
    }
    return CLI_DONE;
}

static int print_all(struct cli *cli, const struct cli_history_options *o, cJSON **events,
                     bool more)
{
    MW_AUTOJSON *result = NULL;
    int r;

    if (cli->json) {
        result = cJSON_CreateObject();
        if (!result || mw_json_add(result, "events", take_ptr(*events)) ||
            mw_json_add_bool(result, "more", more))
            return cli_no_memory();
        return cli_print_json(cli, take_ptr(result));
    }
    cli->ids = o->ids;
    r = cli_print_events(cli, *events);
    if (r == CLI_DONE && more && o->server && o->limit >= SERVER_MAX)
        cli_error(
            r,
            "there are older ones; the server is asked for %d at the most: go on with --until "
            "and the time of the first one",
            SERVER_MAX);
    else if (r == CLI_DONE && more)
        cli_error(r, "there are older ones; --limit N shows more than %lld", (long long)o->limit);
    return r;
}

static int run(struct cli *cli, const struct cli_history_options *o, const char *post)
{
    MW_AUTOJSON *events = cJSON_CreateArray(), *checked = cJSON_CreateObject();
    struct cli_conn c;
    bool more = false;
    int r = cli_check_time("since", o->since);

    if (!events || !checked)
        return cli_no_memory();
    if (r == CLI_DONE)
        r = cli_check_time("until", o->until);
    if (r == CLI_DONE)
        r = cli_add_kinds(checked, &o->kinds);
    if (r == CLI_DONE && o->server && o->kinds.n)
        r = cli_error(CLI_USAGE, "--kind belongs to the journal: the server has posts only");
    if (r == CLI_DONE && o->server && !post && !o->channel && !o->thread)
        r = cli_error(CLI_USAGE, "--server needs --channel NAME or --thread POST");
    if (r == CLI_DONE)
        r = cli_connect(cli, &c);
    if (r)
        return r;
    r = fetch(&c, o, post, &events, &more);
    cli_conn_deinit(&c);
    return r ? r : print_all(cli, o, &events, more);
}

int cli_run_history(struct cli *cli, const void *options, int argc, char **argv)
{
    return run(cli, options, NULL);
}

int cli_run_thread(struct cli *cli, const void *options, int argc, char **argv)
{
    return run(cli, options, argv[0]);
}
