/* `channels` and `channel`. */
#include "base/str.h"
#include "cli/cli.h"

struct channels_options {
    struct cli_common common;
    const char *bot, *team;
    bool all;
};

struct channel_options {
    struct cli_common common;
    const char *bot, *team, *display_name, *topic, *purpose;
    bool is_private;
};

static int add_text(cJSON *params, const char *key, const char *value)
{
    return value ? mw_json_add_str(params, key, value) : 0;
}

static int print_channels(const struct cli *cli, const cJSON *channels)
{
    static const struct cli_column columns[] = {{.name = "NAME"}, {.name = "TEAM"},
                                                {.name = "TYPE"}, {.name = "MEMBER"},
                                                {.name = "ID"},   {.name = "TITLE", .wide = true}};
    MW_CLEANUP(cli_table_free_p)
    struct cli_table *t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    const cJSON *item;

    if (!t)
        return -ENOMEM;
    cJSON_ArrayForEach(item, channels)
    {
        /* The name of a group message is a hash that tells nobody anything. */
        bool group = strcmp(mw_json_str_or(item, "type", ""), "group") == 0;
        const char *cells[] = {
            group ? "-" : mw_json_str(item, "name"),
            mw_json_str_or(item, "team", "-"),
            mw_json_str(item, "type"),
            mw_json_bool(item, "member") ? "yes" : "no",
            mw_json_str(item, "id"),
            mw_json_str(item, "display_name"),
        };

        if (cli_table_add(t, cells, NULL) < 0)
            return -ENOMEM;
    }
    return cli_table_print(t);
}

static int run_channels(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct channels_options *o = options;
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    int r;

    if (!params || add_text(params, "bot", o->bot) || add_text(params, "team", o->team) ||
        (o->all && mw_json_add_bool(params, "all", true)))
        return cli_no_memory();
    r = cli_call_once(cli, "channels", take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    if (print_channels(cli, result) < 0)
        return cli_no_memory();
    return cli_flush(CLI_DONE);
}

/* ---- channel ---- */

enum rest { NOTHING, USERS, TEXT };

static const struct action {
    const char *name, *method;
    const char *said; /* "joined" */
    enum rest rest;   /* what comes behind the channel's name */
} actions[] = {
    {"create", "channel.create", "created", NOTHING},
    {"join", "channel.join", "joined", NOTHING},
    {"leave", "channel.leave", "left", NOTHING},
    {"invite", "channel.invite", "invited to", USERS},
    {"kick", "channel.kick", "removed from", USERS},
    {"topic", "channel.topic", "changed the topic of", TEXT},
    {"purpose", "channel.purpose", "changed the purpose of", TEXT},
    {"archive", "channel.archive", "archived", NOTHING},
};

static const struct action *find_action(const char *name)
{
    struct mw_nearest near = {.name = name};

    for (size_t i = 0; i < MW_ARRAY_LEN(actions); i++) {
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
        mw_nearest_offer(&near, actions[i].name);
    }
    if (mw_nearest_get(&near))
        cli_error(CLI_USAGE, "channel cannot \"%s\"; did you mean \"%s\"?", name,
                  mw_nearest_get(&near));
    else
        cli_error(CLI_USAGE,
                  "channel cannot \"%s\": it can create, join, leave, invite, kick, "
                  "topic, purpose and archive",
                  name);
    return NULL;
}

static int add_rest(cJSON *params, const struct action *a, int argc, char **argv)
{
    MW_AUTOJSON *users = NULL;

    if (a->rest == NOTHING && argc > 0)
        return cli_error(CLI_USAGE, "`channel %s` takes one channel; \"%s\" is too much", a->name,
                         argv[0]);
    if (a->rest == TEXT && argc != 1)
        return cli_error(CLI_USAGE,
                         "`channel %s` takes the channel and the text in quotes (\"\" for none)",
                         a->name);
    if (a->rest == TEXT)
        return mw_json_add_str(params, "text", argv[0]) ? cli_no_memory() : CLI_DONE;
    if (a->rest == NOTHING)
        return CLI_DONE;
    if (argc < 1)
        return cli_error(CLI_USAGE, "`channel %s` takes the channel and at least one @user",
                         a->name);
    users = cJSON_CreateArray();
    for (int i = 0; users && i < argc; i++)
        if (mw_json_push(users, cJSON_CreateString(argv[i])))
            return cli_no_memory();
    return !users || mw_json_add(params, "users", take_ptr(users)) ? cli_no_memory() : CLI_DONE;
}

static int add_create(cJSON *params, const struct channel_options *o, bool create)
{
    if (!create && (o->display_name || o->topic || o->purpose || o->is_private))
        return cli_error(CLI_USAGE, "--title, --topic, --purpose and --private are for `channel "
                                    "create`");
    if (add_text(params, "display_name", o->display_name) | add_text(params, "topic", o->topic) |
        add_text(params, "purpose", o->purpose) |
        (o->is_private ? mw_json_add_bool(params, "private", true) : 0))
        return cli_no_memory();
    return CLI_DONE;
}

static int run_channel(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct channel_options *o = options;
    const struct action *a = find_action(argv[0]);
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    const cJSON *user;
    int r;

    if (!a)
        return CLI_USAGE;
    if (!params || add_text(params, "bot", o->bot) || add_text(params, "team", o->team) ||
        mw_json_add_str(params, "channel", argv[1]))
        return cli_no_memory();
    r = add_rest(params, a, argc - 2, argv + 2);
    if (r == CLI_DONE)
        r = add_create(params, o, a == &actions[0]);
    if (r == CLI_DONE)
        r = cli_call_once(cli, a->method, take_ptr(params), &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    printf("%s %s%s%s %s", a->said, mw_json_str_or(result, "team", ""),
           mw_json_str(result, "team") ? "/" : "", mw_json_str_or(result, "channel", argv[1]),
           mw_json_str_or(result, "channel_id", ""));
    cJSON_ArrayForEach(user, mw_json_arr(result, "users"))
    {
        printf(" @%s", user->valuestring);
    }
    putchar('\n');
    return cli_flush(CLI_DONE);
}

/* ---- The table ---- */

#define LIST(name, letter, type, arg, help, member, ...)                                           \
    MW_OPTION(name, letter, type, arg, help, struct channels_options, member, ##__VA_ARGS__)
#define CHANNEL(name, letter, type, arg, help, member, ...)                                        \
    MW_OPTION(name, letter, type, arg, help, struct channel_options, member, ##__VA_ARGS__)

static const struct mw_option channels_options[] = {
    LIST("bot", 'b', MW_OPT_STRING, "NAME", "the bot; not needed when there is only one", bot,
         .complete = MW_COMPLETE_BOT),
    LIST("team", 'T', MW_OPT_STRING, "NAME", "only this team", team),
    LIST("all", 'a', MW_OPT_FLAG, NULL, "all public channels of the team", all),
    MW_OPTIONS_END,
};

static const struct mw_option channel_options[] = {
    CHANNEL("bot", 'b', MW_OPT_STRING, "NAME", "the bot; not needed when there is only one", bot,
            .complete = MW_COMPLETE_BOT),
    CHANNEL("team", 'T', MW_OPT_STRING, "NAME", "the team, where the channel's name has none",
            team),
    CHANNEL("private", 0, MW_OPT_FLAG, NULL, "create: only for those who are invited", is_private),
    CHANNEL("title", 't', MW_OPT_STRING, "TEXT", "create: the name that people see", display_name),
    CHANNEL("topic", 0, MW_OPT_STRING, "TEXT", "create: its topic (header)", topic),
    CHANNEL("purpose", 0, MW_OPT_STRING, "TEXT", "create: what it is for", purpose),
    MW_OPTIONS_END,
};

static const struct cli_verb verbs[] = {
    {.name = "channels",
     .summary = "list the bot's channels, or all public ones of a team",
     .doc = "Lists the channels that the bot is in, direct and group messages too. With --all the "
            "public channels of a team, whether it is in them or not.",
     .examples = "  matterwire channels\n"
                 "  matterwire channels --team ops --all\n",
     .options = channels_options,
     .size = sizeof(struct channels_options),
     .run = run_channels},
    {.name = "channel",
     .args = "ACTION CHANNEL [TEXT | USER...]",
     .words = "create join leave invite kick topic purpose archive",
     .min_args = 2,
     .max_args = 100,
     .summary = "create, join, leave, invite to, kick from, describe, archive a channel",
     .doc = "Changes a channel. ACTION is one of create, join, leave, invite (USER...), kick "
            "(USER...), topic (TEXT), purpose (TEXT), archive. CHANNEL is an id, a name, ~name or "
            "team/name. When the server refuses, the sentence says which right the bot lacks and "
            "who can give it.",
     .examples = "  matterwire channel create releases --title Releases --purpose \"What is out\"\n"
                 "  matterwire channel join ops/alerts\n"
                 "  matterwire channel invite releases @alice @bob\n"
                 "  matterwire channel topic releases \"Next: 1.3\"\n",
     .options = channel_options,
     .size = sizeof(struct channel_options),
     .run = run_channel},
};
const struct cli_verb_table cli_verbs_channel = CLI_VERB_TABLE(verbs);
