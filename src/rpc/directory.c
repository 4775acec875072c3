/* Methods about what is on the server: channels, people, teams, groups. */
#include "gateway/directory.h"
#include "rpc/internal.h"

static void run_channels(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_channels(rpc_call_gw(call), bot, mw_json_str(params, "team"),
                    mw_json_bool(params, "all"), rpc_call_on_reply, call);
}

static void run_users(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_users(rpc_call_gw(call), bot,
                 &(struct gw_users_query){
                     .search = mw_json_str(params, "search"),
                     .team = mw_json_str(params, "team"),
                     .channel = mw_json_str(params, "channel"),
                     .limit = (unsigned)mw_json_i64(params, "limit", 0),
                 },
                 rpc_call_on_reply, call);
}

static void run_user(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_user(rpc_call_gw(call), bot, mw_json_str(params, "name"), rpc_call_on_reply, call);
}

static void run_teams(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_teams(rpc_call_gw(call), bot, rpc_call_on_reply, call);
}

static void run_groups(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_groups(rpc_call_gw(call), bot, rpc_call_on_reply, call);
}

static void change(struct rpc_call *call, const cJSON *params, enum gw_channel_action action)
{
    const cJSON *users = mw_json_arr(params, "users");
    const char *name = mw_json_str_or(params, "channel", "");
    struct gw_bot *bot;

    if (!*name) {
        rpc_call_param_error(call, "channel", "`channel` is empty");
        return;
    }
    if (users && !users->child) {
        rpc_call_param_error(call, "users", "`users` is empty");
        return;
    }
    bot = rpc_call_bot(call, params);
    if (bot)
        gw_channel_change(rpc_call_gw(call), bot,
                          &(struct gw_channel_change){
                              .action = action,
                              .channel = name,
                              .team = mw_json_str(params, "team"),
                              .users = users,
                              .text = mw_json_str(params, "text"),
                              .display_name = mw_json_str(params, "display_name"),
                              .topic = mw_json_str(params, "topic"),
                              .purpose = mw_json_str(params, "purpose"),
                              .is_private = mw_json_bool(params, "private"),
                          },
                          rpc_call_on_reply, call);
}

#define CHANGE(name, action)                                                                       \
    static void name(struct rpc_call *call, const cJSON *params)                                   \
    {                                                                                              \
        change(call, params, action);                                                              \
    }
CHANGE(run_create, GW_CHANNEL_CREATE)
CHANGE(run_join, GW_CHANNEL_JOIN)
CHANGE(run_leave, GW_CHANNEL_LEAVE)
CHANGE(run_invite, GW_CHANNEL_INVITE)
CHANGE(run_kick, GW_CHANNEL_KICK)
CHANGE(run_topic, GW_CHANNEL_TOPIC)
CHANGE(run_purpose, GW_CHANNEL_PURPOSE)
CHANGE(run_archive, GW_CHANNEL_ARCHIVE)

/* ---- The table ---- */

#define CHANNEL                                                                                    \
    {                                                                                              \
        .name = "channel", .type = RPC_STRING, .required = true,                                   \
        .doc = "The channel: its id, name, `~name` or `team/name`."                                \
    }
#define TEAM                                                                                       \
    {                                                                                              \
        .name = "team", .type = RPC_STRING,                                                        \
        .doc = "The team, by its name in addresses. Unless given: the one of the configuration, "  \
               "or the only one of the bot."                                                       \
    }

static const struct rpc_param channels_params[] = {
    RPC_BOT_PARAM,
    {.name = "team",
     .type = RPC_STRING,
     .doc = "Only this team, by its name in addresses. With `all` the configured or the only team "
            "unless given."},
    {.name = "all", .type = RPC_BOOL, .doc = "All public channels of the team."},
};
static const struct rpc_param bot_params[] = {RPC_BOT_PARAM};
static const struct rpc_param channel_params[] = {RPC_BOT_PARAM, CHANNEL, TEAM};
static const struct rpc_param create_params[] = {
    RPC_BOT_PARAM,
    {.name = "channel",
     .type = RPC_STRING,
     .required = true,
     .doc = "Name of the new channel, or `team/name`: lower case letters, digits and hyphens."},
    TEAM,
    {.name = "private", .type = RPC_BOOL, .doc = "Only for those who are invited."},
    {.name = "display_name",
     .type = RPC_STRING,
     .doc = "The name that people see; the same unless given."},
    {.name = "topic", .type = RPC_STRING, .doc = "Its topic (header), Markdown."},
    {.name = "purpose", .type = RPC_STRING, .doc = "What it is for."},
};
static const struct rpc_param member_params[] = {
    RPC_BOT_PARAM,
    CHANNEL,
    TEAM,
    {.name = "users", .type = RPC_STRINGS, .required = true, .doc = "Names (`@name`) or ids."},
};
static const struct rpc_param text_params[] = {
    RPC_BOT_PARAM,
    CHANNEL,
    TEAM,
    {.name = "text", .type = RPC_STRING, .required = true, .doc = "The new one; empty = none."},
};
static const struct rpc_param users_params[] = {
    RPC_BOT_PARAM,
    {.name = "search", .type = RPC_STRING, .doc = "Only those whose name begins with this."},
    {.name = "team", .type = RPC_STRING, .doc = "Only members of this team."},
    {.name = "channel", .type = RPC_STRING, .doc = "Only members of this channel."},
    {.name = "limit",
     .type = RPC_INT,
     .min = 1,
     .max = GW_LIST_MAX,
     .doc = "How many at the most; 100 unless given."},
};
static const struct rpc_param user_params[] = {
    RPC_BOT_PARAM,
    {.name = "name", .type = RPC_STRING, .required = true, .doc = "`@name`, name or id."},
};

#define CHANGE_RESULT "An object: `channel_id`, `channel`, `team`."
#define MEMBER_RESULT                                                                              \
    "An object: `channel_id`, `channel`, `team`, `users` (their names). They are dealt with one "  \
    "after the other; an error is about the first one that fails."
#define USER_MEMBERS                                                                               \
    "`id`, `username`, `name`, `nickname`, `position`, `email` (empty where the server hides "     \
    "it), "                                                                                        \
    "`is_bot`, `active`, `roles`"

static const struct rpc_method methods[] = {
    {.name = "channels",
     .doc = "Lists channels: those that the bot is in, direct and group messages too, or all "
            "public ones of a team. Asks the server.",
     RPC_PARAMS(channels_params),
     .result = "An array of objects: `id`, `name` (of a direct message `@user`), `display_name`, "
               "`type` (`public`, `private`, `direct`, `group`), `team` (null for messages), "
               "`topic`, `purpose`, `member`, `last_post_at`.",
     .run = run_channels},
    {.name = "channel.create",
     .doc = "Makes a channel; the bot is its first member.",
     RPC_PARAMS(create_params),
     .result = CHANGE_RESULT,
     .run = run_create},
    {.name = "channel.join",
     .doc = "Makes the bot a member of a public channel.",
     RPC_PARAMS(channel_params),
     .result = CHANGE_RESULT,
     .run = run_join},
    {.name = "channel.leave",
     .doc = "Ends the bot's membership.",
     RPC_PARAMS(channel_params),
     .result = CHANGE_RESULT,
     .run = run_leave},
    {.name = "channel.invite",
     .doc = "Adds people to a channel.",
     RPC_PARAMS(member_params),
     .result = MEMBER_RESULT,
     .run = run_invite},
    {.name = "channel.kick",
     .doc = "Removes people from a channel.",
     RPC_PARAMS(member_params),
     .result = MEMBER_RESULT,
     .run = run_kick},
    {.name = "channel.topic",
     .doc = "Changes a channel's topic (header).",
     RPC_PARAMS(text_params),
     .result = CHANGE_RESULT,
     .run = run_topic},
    {.name = "channel.purpose",
     .doc = "Changes a channel's purpose.",
     RPC_PARAMS(text_params),
     .result = CHANGE_RESULT,
     .run = run_purpose},
    {.name = "channel.archive",
     .doc = "Archives a channel.",
     RPC_PARAMS(channel_params),
     .result = CHANGE_RESULT,
     .run = run_archive},
    {.name = "users",
     .doc = "Lists people and bots that the server shows. A search finds inactive ones too.",
     RPC_PARAMS(users_params),
     .result = "An array of objects: " USER_MEMBERS ".",
     .run = run_users},
    {.name = "user",
     .doc = "Tells who somebody is.",
     RPC_PARAMS(user_params),
     .result = "An object: " USER_MEMBERS ", `status` (null when the server does not tell).",
     .run = run_user},
    {.name = "teams",
     .doc = "Lists the teams that the bot is in.",
     RPC_PARAMS(bot_params),
     .result = "An array of objects: `id`, `name`, `display_name`, `type` (`open`, `by "
               "invitation`), `description`.",
     .run = run_teams},
    {.name = "groups",
     .doc = "Lists the server's groups. Without a licence for them the error `refused` comes.",
     RPC_PARAMS(bot_params),
     .result = "An array of objects: `id`, `name` (for mentions; null = none), `display_name`, "
               "`description`, `members`.",
     .run = run_groups},
};
const struct rpc_method_table rpc_directory_methods = RPC_METHOD_TABLE(methods);
