/* The methods that post and act on posts. */
#include "base/str.h"
#include "rpc/internal.h"

#define FILES_MAX 10 /* what Mattermost takes with one post */
#define USERS_MAX 7  /* what it takes in a group message, beside the bot */

/* What `send` and `reply` have in common. */
static void send_post(struct rpc_call *call, const cJSON *params, const char *channel,
                      const char *root, const char *root_param)
{
    const char *files[FILES_MAX + 1] = {NULL}, *users[USERS_MAX + 1] = {NULL};
    const cJSON *item, *props = mw_json_obj(params, "props");
    MW_AUTOFREE char *props_text = props ? mw_json_print(props) : NULL;
    const char *text = mw_json_str(params, "text");
    struct gw_bot *bot;
    size_t n = 0, n_users = 0;

    cJSON_ArrayForEach(item, mw_json_arr(params, "users"))
    {
        if (n_users == USERS_MAX) {
            rpc_call_param_error(call, "users",
                                 "a group message goes to 7 people at the most; more need a "
                                 "channel");
            return;
        }
        users[n_users++] = item->valuestring;
    }
    if (!channel && !root && !n_users) {
        rpc_call_param_error(call, "channel", "`send` needs `channel` (or `users`, or `root`)");
        return;
    }
    if (channel && !*channel) {
        rpc_call_param_error(call, "channel", "`channel` is empty");
        return;
    }
    if (root && !*root) {
        rpc_call_param_error(call, root_param, "the post to answer is empty");
        return;
    }
    cJSON_ArrayForEach(item, mw_json_arr(params, "files"))
    {
        if (n == FILES_MAX) {
            rpc_call_param_error(call, "files", "a post takes 10 files at the most");
            return;
        }
        if (item->valuestring[0] != '/') {
            rpc_call_param_error(call, "files", "`files` must be absolute paths");
            return;
        }
        files[n++] = item->valuestring;
    }
    if ((!text || !*text) && n == 0) {
        rpc_call_param_error(call, "text", "there is nothing to send: `text` is empty");
        return;
    }
    if (props && !props_text) {
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
        return;
    }
    bot = rpc_call_bot(call, params);
    if (!bot)
        return;
    gw_send(rpc_call_gw(call), bot,
            &(struct gw_send){
                .channel = channel,
                .root = root,
                .users = n_users ? users : NULL,
                .text = text ? text : "",
                .files = n ? files : NULL,
                .props = props_text,
                .key = mw_json_str(params, "key"),
                .wait_ms = rpc_param_duration(params, "wait", 0),
            },
            rpc_call_on_reply, call);
}

static void run_send(struct rpc_call *call, const cJSON *params)
{
    send_post(call, params, mw_json_str(params, "channel"), mw_json_str(params, "root"), "root");
}

static void run_reply(struct rpc_call *call, const cJSON *params)
{
    send_post(call, params, NULL, mw_json_str(params, "post"), "post");
}

static void act(struct rpc_call *call, const cJSON *params, enum gw_action action)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (!bot)
        return;
    gw_act(rpc_call_gw(call), bot,
           &(struct gw_act){
               .action = action,
               .post = mw_json_str(params, "post"),
               .text = mw_json_str(params, "text"),
               .emoji = mw_json_str(params, "emoji"),
               .key = mw_json_str(params, "key"),
               .wait_ms = rpc_param_duration(params, "wait", 0),
           },
           rpc_call_on_reply, call);
}

static void run_edit(struct rpc_call *call, const cJSON *params)
{
    act(call, params, GW_EDIT);
}

static void run_delete(struct rpc_call *call, const cJSON *params)
{
    act(call, params, GW_DELETE);
}

static void run_react(struct rpc_call *call, const cJSON *params)
{
    act(call, params, GW_REACT);
}

static void run_unreact(struct rpc_call *call, const cJSON *params)
{
    act(call, params, GW_UNREACT);
}

static void run_pin(struct rpc_call *call, const cJSON *params)
{
    act(call, params, GW_PIN);
}

static void run_unpin(struct rpc_call *call, const cJSON *params)
{
    act(call, params, GW_UNPIN);
}

static void run_typing(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_typing(rpc_call_gw(call), bot, mw_json_str(params, "channel"),
                  mw_json_str(params, "root"), rpc_call_on_reply, call);
}

static void run_ephemeral(struct rpc_call *call, const cJSON *params)
{
    struct gw_bot *bot = rpc_call_bot(call, params);

    if (bot)
        gw_ephemeral(rpc_call_gw(call), bot,
                     &(struct gw_ephemeral){
                         .channel = mw_json_str(params, "channel"),
                         .user = mw_json_str(params, "user"),
                         .root = mw_json_str(params, "root"),
                         .text = mw_json_str(params, "text"),
                     },
                     rpc_call_on_reply, call);
}

/* ---- The table ---- */

#define KEY_PARAM                                                                                  \
    {                                                                                              \
        .name = "key", .type = RPC_STRING,                                                         \
        .doc = "Idempotence key of your choice: a second call with the same key posts nothing "    \
               "and returns the first one's result."                                               \
    }
#define WAIT_PARAM                                                                                 \
    {                                                                                              \
        .name = "wait", .type = RPC_DURATION,                                                      \
        .doc = "How long to wait for the delivery, 15 s unless given. When it takes longer the "   \
               "error `pending` comes and the message is delivered later."                         \
    }
#define TARGET_PARAM                                                                               \
    {                                                                                              \
        .name = "post", .type = RPC_STRING, .required = true,                                      \
        .doc = "Id or permalink of the post."                                                      \
    }
#define EMOJI_PARAM                                                                                \
    {                                                                                              \
        .name = "emoji", .type = RPC_STRING, .required = true,                                     \
        .doc = "Name of the emoji, `thumbsup` or `:thumbsup:`."                                    \
    }
#define POST_PARAMS                                                                                \
    {.name = "text",                                                                               \
     .type = RPC_STRING,                                                                           \
     .doc = "The message, Markdown. Needed unless there are files. A text that is longer than "    \
            "the server takes becomes several posts, ten at the most."},                           \
        {.name = "files",                                                                          \
         .type = RPC_STRINGS,                                                                      \
         .doc = "Absolute paths of files, which the daemon reads; 10 at the most."},               \
        {.name = "props", .type = RPC_OBJECT, .doc = "The post's props, such as attachments."},    \
        KEY_PARAM, WAIT_PARAM

static const struct rpc_param send_params[] = {
    RPC_BOT_PARAM,
    {.name = "channel",
     .type = RPC_STRING,
     .doc = "Where to: a channel's id, name, `~name` or `team/name`, or `@user` for a direct "
            "message. Needed unless `users` or `root` is given."},
    {.name = "users",
     .type = RPC_STRINGS,
     .doc = "Instead of a channel: one person for a direct message, several for a group message "
            "(7 at the most); `@name`, name or id."},
    {.name = "root",
     .type = RPC_STRING,
     .doc = "Id or permalink of a post: the message goes into its thread."},
    POST_PARAMS,
};

static const struct rpc_param reply_params[] = {
    RPC_BOT_PARAM,
    {.name = "post",
     .type = RPC_STRING,
     .required = true,
     .doc = "Id or permalink of the post to answer, in its thread."},
    POST_PARAMS,
};

static const struct rpc_param edit_params[] = {
    RPC_BOT_PARAM,
    TARGET_PARAM,
    {.name = "text", .type = RPC_STRING, .required = true, .doc = "The new text, Markdown."},
    KEY_PARAM,
    WAIT_PARAM,
};

static const struct rpc_param target_params[] = {
    RPC_BOT_PARAM,
    TARGET_PARAM,
    KEY_PARAM,
    WAIT_PARAM,
};

static const struct rpc_param emoji_params[] = {
    RPC_BOT_PARAM, TARGET_PARAM, EMOJI_PARAM, KEY_PARAM, WAIT_PARAM,
};

static const struct rpc_param typing_params[] = {
    RPC_BOT_PARAM,
    {.name = "channel",
     .type = RPC_STRING,
     .required = true,
     .doc = "Where: any name that `send` takes."},
    {.name = "root", .type = RPC_STRING, .doc = "Id or permalink of a post: in its thread."},
};

static const struct rpc_param ephemeral_params[] = {
    RPC_BOT_PARAM,
    {.name = "user",
     .type = RPC_STRING,
     .required = true,
     .doc = "Who is to see it: `@name`, name or id."},
    {.name = "channel",
     .type = RPC_STRING,
     .required = true,
     .doc = "Where: any name that `send` takes."},
    {.name = "text", .type = RPC_STRING, .required = true, .doc = "The message, Markdown."},
    {.name = "root", .type = RPC_STRING, .doc = "Id or permalink of a post: in its thread."},
};

#define ACT_RESULT                                                                                 \
    "An object: `post_id`, `channel_id`, `permalink`, `key`; `existed` when the key was known."

static const struct rpc_method methods[] = {
    {.name = "send",
     .doc = "Posts a message. It is written to the outbox first, so it survives a crash and is "
            "posted once.",
     RPC_PARAMS(send_params),
     .result = "An object: `post_id`, `channel_id`, `permalink`, `key`; `existed` when the key was "
               "known; `post_ids` when the text became several posts.",
     .run = run_send},
    {.name = "reply",
     .doc = "Answers a post in its thread.",
     RPC_PARAMS(reply_params),
     .result = "As for `send`.",
     .run = run_reply},
    {.name = "edit",
     .doc = "Gives a post a new text. By the outbox, as `send`, as are the next five.",
     RPC_PARAMS(edit_params),
     .result = ACT_RESULT,
     .run = run_edit},
    {.name = "delete",
     .doc = "Deletes a post. One that is deleted already is no error.",
     RPC_PARAMS(target_params),
     .result = ACT_RESULT,
     .run = run_delete},
    {.name = "react",
     .doc = "Reacts to a post with an emoji.",
     RPC_PARAMS(emoji_params),
     .result = ACT_RESULT,
     .run = run_react},
    {.name = "unreact",
     .doc = "Takes a reaction back.",
     RPC_PARAMS(emoji_params),
     .result = ACT_RESULT,
     .run = run_unreact},
    {.name = "pin",
     .doc = "Pins a post to its channel.",
     RPC_PARAMS(target_params),
     .result = ACT_RESULT,
     .run = run_pin},
    {.name = "unpin",
     .doc = "Takes the pin from a post.",
     RPC_PARAMS(target_params),
     .result = ACT_RESULT,
     .run = run_unpin},
    {.name = "typing",
     .doc = "Shows that the bot is typing, for some seconds. At once or not at all.",
     RPC_PARAMS(typing_params),
     .result = "An object: `channel_id`; `root_id` in a thread.",
     .run = run_typing},
    {.name = "ephemeral",
     .doc = "Shows a message to one person, who sees it until he loads the page again. At once or "
            "not at all. The server asks for the right create_post_ephemeral, which the role "
            "system_admin has.",
     RPC_PARAMS(ephemeral_params),
     .result = "An object: `post_id`, `channel_id`, `user_id`.",
     .run = run_ephemeral},
};
const struct rpc_method_table rpc_methods_post = RPC_METHOD_TABLE(methods);
