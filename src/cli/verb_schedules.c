/* `schedules`: the routes that act by time. */
#include "base/str.h"
#include "cli/cli.h"

static int add_schedule(struct cli_table *t, const cJSON *o)
{
    int64_t next = mw_json_i64(o, "next", 0), last = mw_json_i64(o, "last", 0);
    const char *problem = mw_json_str(o, "problem");
    bool waits = mw_json_i64(o, "waiting", 0) > 0;
    char next_text[32], last_text[32];
    const char *cells[] = {
        mw_json_str(o, "bot"),
        mw_json_str(o, "route"),
        mw_json_str(o, "schedule"),
        mw_json_str(o, "timezone"),
        next ? cli_time(next, next_text, sizeof(next_text)) : "never",
        last ? cli_time(last, last_text, sizeof(last_text)) : NULL,
        problem ? problem
        : waits ? "waits for the server"
                : NULL,
    };
    const enum cli_color colors[] = {CLI_PLAIN, CLI_BOLD,  CLI_PLAIN, CLI_PLAIN,
                                     CLI_PLAIN, CLI_PLAIN, CLI_YELLOW};

    return cli_table_add(t, cells, colors);
}

static int run_schedules(struct cli *cli, const void *options, int argc, char **argv)
{
    static const struct cli_column columns[] = {
        {.name = "BOT"},
        {.name = "ROUTE"},
        {.name = "SCHEDULE"},
        {.name = "ZONE"},
        {.name = "NEXT"},
        {.name = "LAST"},
        {.name = "PROBLEM", .wide = true},
    };
    MW_CLEANUP(cli_table_free_p) struct cli_table *t = NULL;
    MW_AUTOJSON *list = NULL;
    const cJSON *item;
    int r = cli_call_once(cli, "schedules", NULL, &list);

    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(list));
    if (!cJSON_GetArraySize(list)) {
        puts("no route has a schedule");
        return cli_flush(CLI_DONE);
    }
    t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    if (!t)
        return cli_no_memory();
    cJSON_ArrayForEach(item, list)
    {
        if (add_schedule(t, item) < 0)
            return cli_no_memory();
    }
    return cli_table_print(t) < 0 ? cli_no_memory() : cli_flush(CLI_DONE);
}

/* ---- The table ---- */

static const struct cli_verb verbs[] = {
    {.name = "schedules",
     .summary = "list the routes that act by time",
     .doc = "Lists the routes with a `schedule`: when each acts next and when it did last, in the "
            "time of this machine. ZONE is the one that the schedule is in; empty, the daemon's "
            "own.",
     .examples = "  matterwire schedules\n"
                 "  matterwire schedules --json | jq '.[] | select(.problem)'\n",
     .run = run_schedules},
};
const struct cli_verb_table cli_verbs_schedules = CLI_VERB_TABLE(verbs);
