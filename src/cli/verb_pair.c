/* `pair`: people who are let in by a code. */
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

struct pair_options {
    struct cli_common common;
    const char *bot;
};

static int print_list(struct cli *cli, const cJSON *result)
{
    static const struct cli_column columns[] = {
        {.name = "PERSON", .wide = true}, {.name = "STATE"}, {.name = "CODE"}, {.name = "TIME"}};
    MW_CLEANUP(cli_table_free_p)
    struct cli_table *t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    const cJSON *item;
    char time[32];
    int r = t ? 0 : -1;

    cJSON_ArrayForEach(item, mw_json_arr(result, "pending"))
    {
        const char *cells[] = {mw_json_str(item, "user_name"), "waits until",
                               mw_json_str(item, "code"),
                               cli_time(mw_json_i64(item, "expires_at", 0), time, sizeof(time))};
        const enum cli_color colors[] = {CLI_BOLD, CLI_YELLOW, CLI_PLAIN, CLI_PLAIN};

        r = r < 0 ? r : cli_table_add(t, cells, colors);
    }
    cJSON_ArrayForEach(item, mw_json_arr(result, "people"))
    {
        const char *cells[] = {mw_json_str(item, "user_name"), "let in", NULL,
                               cli_time(mw_json_i64(item, "since", 0), time, sizeof(time))};
        const enum cli_color colors[] = {CLI_BOLD, CLI_PLAIN, CLI_PLAIN, CLI_PLAIN};

        r = r < 0 ? r : cli_table_add(t, cells, colors);
    }
    if (r < 0 || cli_table_print(t) < 0)
        return cli_no_memory();
    if (!cJSON_GetArraySize(mw_json_arr(result, "pending")) &&
        !cJSON_GetArraySize(mw_json_arr(result, "people")))
        puts("nobody waits, and nobody was let in by a code");
    return cli_flush(CLI_DONE);
}

/* What stands behind `pair`, and what is said when it is done. */
static const struct {
    const char *word, *method, *param, *done;
} words[] = {
    {"list", "pair.list", NULL, NULL},
    {"approve", "pair.approve", "code", "may talk to the bot now"},
    {"revoke", "pair.revoke", "person", "may not talk to the bot any more"},
};

static int run_pair(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct pair_options *o = options;
    const char *word = argc ? argv[0] : "list";
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    size_t i = 0;
    int r;

    while (i < MW_ARRAY_LEN(words) && !mw_streq(words[i].word, word))
        i++;
    if (i == MW_ARRAY_LEN(words))
        return cli_error(CLI_USAGE, "pair cannot \"%s\": it can list, approve and revoke", word);
    if (argc > 1 && !words[i].param)
        return cli_error(CLI_USAGE, "pair %s takes no arguments", word);
    if (argc < 2 && words[i].param)
        return cli_error(CLI_USAGE, "pair %s needs a %s: `matterwire pair list` shows them", word,
                         words[i].param);
    if (!params || cli_add_text(params, "bot", o->bot) ||
        (words[i].param && mw_json_add_str(params, words[i].param, argv[1])))
        return cli_no_memory();
    r = cli_call_once(cli, words[i].method, take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    if (!words[i].param)
        return print_list(cli, result);
    printf("%s %s\n", mw_json_str_or(result, "user_name", argv[1]), words[i].done);
    return cli_flush(CLI_DONE);
}

/* ---- The table ---- */

static const struct pair_options initial;
static const struct mw_option options[] = {
    MW_OPTION("bot", 'b', MW_OPT_STRING, "NAME", "the bot; not needed when there is only one",
              struct pair_options, bot, .complete = MW_COMPLETE_BOT),
    MW_OPTIONS_END,
};

static const struct cli_verb verbs[] = {
    {.name = "pair",
     .args = "[list | approve CODE | revoke PERSON]",
     .words = "list approve revoke",
     .max_args = 2,
     .summary = "let people in who were shown a code",
     .doc =
         "With `pairing: true` a bot shows a code to somebody unknown who writes to it directly. "
         "`approve` lets that person in, as if named in the bot's `allowed_users`; `revoke` "
         "takes it back, or voids a code that waits. A code is good for an hour, three wait at "
         "the most, and five wrong ones void them all.",
     .examples = "  matterwire pair list\n"
                 "  matterwire pair approve ABCD-2345\n"
                 "  matterwire pair revoke @mallory\n",
     .options = options,
     .initial = &initial,
     .size = sizeof(struct pair_options),
     .run = run_pair},
};
const struct cli_verb_table cli_verbs_pair = CLI_VERB_TABLE(verbs);
