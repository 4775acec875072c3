/* `users`, `user`, `teams` and `groups`. */
#include "base/str.h"
#include "cli/cli.h"

struct people_options {
    struct cli_common common;
    const char *bot, *search, *team, *channel;
    int64_t limit;
};

/* Which members of the items are shown. */
struct field {
    struct cli_column column;
    const char *member;
};

static const char *cell(const cJSON *item, const char *member, char *number, size_t size)
{
    const cJSON *v = mw_json_get(item, member);

    if (cJSON_IsBool(v))
        return cJSON_IsTrue(v) ? "yes" : "no";
    if (!cJSON_IsNumber(v))
        return mw_json_str_or(item, member, "-");
    snprintf(number, size, "%lld", (long long)mw_json_i64(item, member, 0));
    return number;
}

static int print_list(const struct cli *cli, const cJSON *list, const struct field *fields,
                      size_t n)
{
    struct cli_column columns[8];
    MW_CLEANUP(cli_table_free_p) struct cli_table *t = NULL;
    const cJSON *item;

    for (size_t i = 0; i < n; i++)
        columns[i] = fields[i].column;
    t = cli_table_new(cli, stdout, columns, n);
    if (!t)
        return -ENOMEM;
    cJSON_ArrayForEach(item, list)
    {
        const char *cells[8];
        char numbers[8][24];

        for (size_t i = 0; i < n; i++)
            cells[i] = cell(item, fields[i].member, numbers[i], sizeof(numbers[i]));
        if (cli_table_add(t, cells, NULL) < 0)
            return -ENOMEM;
    }
    return cli_table_print(t);
}

static cJSON *params_of(const struct people_options *o)
{
    const char *const members[][2] = {
        {"bot", o->bot},
        {"search", o->search},
        {"team", o->team},
        {"channel", o->channel},
    };
    cJSON *params = cJSON_CreateObject();
    int r = params ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < MW_ARRAY_LEN(members); i++)
        if (members[i][1])
            r = mw_json_add_str(params, members[i][0], members[i][1]);
    if (r == 0 && o->limit)
        r = mw_json_add_i64(params, "limit", o->limit);
    if (r == 0)
        return params;
    cJSON_Delete(params);
    return NULL;
}

static int list(struct cli *cli, const char *method, const struct people_options *o,
                const struct field *fields, size_t n)
{
    MW_AUTOJSON *params = params_of(o), *result = NULL;
    int r;

    if (!params)
        return cli_no_memory();
    r = cli_call_once(cli, method, take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    if (print_list(cli, result, fields, n) < 0)
        return cli_no_memory();
    return cli_flush(CLI_DONE);
}

static int run_users(struct cli *cli, const void *options, int argc, char **argv)
{
    static const struct field fields[] = {
        {{.name = "USERNAME"}, "username"},       {{.name = "BOT"}, "is_bot"},
        {{.name = "ACTIVE"}, "active"},           {{.name = "ID"}, "id"},
        {{.name = "NAME", .wide = true}, "name"},
    };

    return list(cli, "users", options, fields, MW_ARRAY_LEN(fields));
}

static int run_teams(struct cli *cli, const void *options, int argc, char **argv)
{
    static const struct field fields[] = {
        {{.name = "NAME"}, "name"},
        {{.name = "TYPE"}, "type"},
        {{.name = "ID"}, "id"},
        {{.name = "TITLE", .wide = true}, "display_name"},
    };

    return list(cli, "teams", options, fields, MW_ARRAY_LEN(fields));
}

static int run_groups(struct cli *cli, const void *options, int argc, char **argv)
{
    static const struct field fields[] = {
        {{.name = "NAME"}, "name"},
        {{.name = "MEMBERS", .right = true}, "members"},
        {{.name = "ID"}, "id"},
        {{.name = "TITLE", .wide = true}, "display_name"},
    };

    return list(cli, "groups", options, fields, MW_ARRAY_LEN(fields));
}

static int run_user(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct people_options *o = options;
    MW_AUTOJSON *params = params_of(o), *result = NULL;
    const cJSON *item;
    int r;

    if (!params || mw_json_add_str(params, "name", argv[0]))
        return cli_no_memory();
    r = cli_call_once(cli, "user", take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    cJSON_ArrayForEach(item, result)
    {
        char number[24];
        const char *value = cell(result, item->string, number, sizeof(number));
        MW_AUTOBUF b = {0};

        mw_buf_init(&b, 0);
        mw_buf_printf(&b, "%-12s", item->string);
        if (cli_write_clean(&b, *value ? value : "-", false) < 0)
            return cli_no_memory();
        puts(mw_buf_str(&b));
    }
    return cli_flush(CLI_DONE);
}

/* ---- The table ---- */

#define OPTION(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct people_options, member, ##__VA_ARGS__)
#define BOT                                                                                        \
    OPTION("bot", 'b', MW_OPT_STRING, "NAME", "the bot; not needed when there is only one", bot,   \
           .complete = MW_COMPLETE_BOT)

static const struct mw_option users_options[] = {
    BOT,
    OPTION("search", 's', MW_OPT_STRING, "TEXT", "only those whose name begins with this", search),
    OPTION("team", 'T', MW_OPT_STRING, "NAME", "only members of this team", team),
    OPTION("channel", 'C', MW_OPT_STRING, "NAME", "only members of this channel", channel),
    OPTION("limit", 'n', MW_OPT_INT, "N", "at most so many (100)", limit, .min = 1, .max = 10000),
    MW_OPTIONS_END,
};

static const struct mw_option bot_options[] = {
    BOT,
    MW_OPTIONS_END,
};

static const struct cli_verb verbs[] = {
    {.name = "users",
     .summary = "list people and bots of the server",
     .doc = "Lists people and bots that the server shows to the bot. --search looks at user name, "
            "full name and nickname, and finds those who were deactivated, too.",
     .examples = "  matterwire users --search ali\n"
                 "  matterwire users --channel ops/alerts --json\n",
     .options = users_options,
     .size = sizeof(struct people_options),
     .run = run_users},
    {.name = "user",
     .args = "NAME",
     .min_args = 1,
     .max_args = 1,
     .summary = "tell who somebody is",
     .doc = "Tells who somebody is, and whether they are online. NAME is @name, name or an id. "
            "For a name that does not exist near ones are listed.",
     .examples = "  matterwire user @alice\n",
     .options = bot_options,
     .size = sizeof(struct people_options),
     .run = run_user},
    {.name = "teams",
     .summary = "list the teams that the bot is in",
     .doc = "Lists the teams that the bot is in.",
     .options = bot_options,
     .size = sizeof(struct people_options),
     .run = run_teams},
    {.name = "groups",
     .summary = "list the server's groups",
     .doc = "Lists the groups of people on the server. Groups need a licence; a server without "
            "one says so, and the exit status is 1.",
     .options = bot_options,
     .size = sizeof(struct people_options),
     .run = run_groups},
};
const struct cli_verb_table cli_verbs_people = CLI_VERB_TABLE(verbs);
