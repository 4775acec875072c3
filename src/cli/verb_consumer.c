/* `consumers` and `consumer`: the durable positions in the journal. */
#include "base/str.h"
#include "cli/cli.h"

static int add_consumer(struct cli_table *t, const cJSON *consumer)
{
    int64_t lag = mw_json_i64(consumer, "lag", 0), at = mw_json_i64(consumer, "updated_at", 0);
    bool connected = mw_json_bool(consumer, "connected");
    char position[24], behind[24], moved[32];
    const char *cells[] = {
        mw_json_str(consumer, "name"), position, behind, cli_time(at, moved, sizeof(moved)),
        connected ? "yes" : "no",
    };
    const enum cli_color colors[] = {CLI_BOLD, CLI_PLAIN, CLI_PLAIN, CLI_PLAIN,
                                     connected || lag == 0 ? CLI_PLAIN : CLI_YELLOW};

    snprintf(position, sizeof(position), "%lld", (long long)mw_json_i64(consumer, "position", 0));
    snprintf(behind, sizeof(behind), "%lld", (long long)lag);
    return cli_table_add(t, cells, colors);
}

static int run_consumers(struct cli *cli, const void *options, int argc, char **argv)
{
    static const struct cli_column columns[] = {{.name = "NAME", .wide = true},
                                                {.name = "POSITION", .right = true},
                                                {.name = "BEHIND", .right = true},
                                                {.name = "LAST ACK"},
                                                {.name = "READ"}};
    MW_CLEANUP(cli_table_free_p) struct cli_table *t = NULL;
    MW_AUTOJSON *list = NULL;
    const cJSON *item;
    int r = cli_call_once(cli, "consumers", NULL, &list);

    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(list));
    t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    if (!t)
        return cli_no_memory();
    cJSON_ArrayForEach(item, list)
    {
        if (add_consumer(t, item) < 0)
            return cli_no_memory();
    }
    return cli_table_print(t) < 0 ? cli_no_memory() : cli_flush(CLI_DONE);
}

static int run_consumer(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    int r;

    if (strcmp(argv[0], "delete") != 0)
        return cli_error(CLI_USAGE, "consumer cannot \"%s\": it can delete", argv[0]);
    if (!params || mw_json_add_str(params, "name", argv[1]))
        return cli_no_memory();
    r = cli_call_once(cli, "consumer.delete", take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    printf("deleted %s, which stood at event %lld\n", mw_json_str_or(result, "name", argv[1]),
           (long long)mw_json_i64(result, "position", 0));
    return cli_flush(CLI_DONE);
}

/* ---- The table ---- */

static const struct cli_verb verbs[] = {
    {.name = "consumers",
     .summary = "list the named streams and how far behind they are",
     .doc =
         "Lists the positions in the journal that are remembered: those of `stream --consumer "
         "NAME`, and as route:BOT how far the handlers of a bot are. READ tells whether a stream "
         "of that name runs (or the bot is configured). Retention keeps what one of them has not "
         "passed, so delete those that nobody needs any more.",
     .run = run_consumers},
    {.name = "consumer",
     .args = "delete NAME",
     .words = "delete",
     .min_args = 2,
     .max_args = 2,
     .summary = "delete a named stream's position",
     .doc =
         "Deletes the position of a named consumer, which a stream of that name would go on from. "
         "Refused while such a stream runs, and for the handlers of a bot that is configured.",
     .examples = "  matterwire consumer delete tickets\n",
     .run = run_consumer},
};
const struct cli_verb_table cli_verbs_consumer = CLI_VERB_TABLE(verbs);
