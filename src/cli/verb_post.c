/* The verbs that post and act on posts, as data. */
#include "cli/cli.h"

#define SEND(name, letter, type, arg, help, member, ...)                                           \
    MW_OPTION(name, letter, type, arg, help, struct cli_send_options, member, ##__VA_ARGS__)
#define SEND_BOT                                                                                   \
    SEND("bot", 'b', MW_OPT_STRING, "NAME", "the bot; not needed when there is only one", bot,     \
         .complete = MW_COMPLETE_BOT)
#define SEND_POST                                                                                  \
    SEND("text", 't', MW_OPT_STRING, "TEXT",                                                       \
         "the message (Markdown); - or nothing reads it from standard input", text),               \
        SEND("file", 'f', MW_OPT_LIST, "FILE", "attach a file; may be given several times", files, \
             .complete = MW_COMPLETE_FILE),                                                        \
        SEND("props", 0, MW_OPT_STRING, "JSON",                                                    \
             "props of the post, a JSON object (for example attachments)", props),                 \
        SEND("key", 'k', MW_OPT_STRING, "KEY",                                                     \
             "idempotence key: a second time with the same key posts nothing", key),               \
        SEND("wait", 0, MW_OPT_DURATION, "TIME",                                                   \
             "how long to wait for the delivery (15s); it is delivered later in any case",         \
             wait_ms)

static const struct mw_option send_options[] = {
    SEND_BOT,
    SEND("channel", 'C', MW_OPT_STRING, "NAME",
         "where to: an id, a name, ~name, team/name, or @user for a direct message", channel),
    SEND("user", 'u', MW_OPT_LIST, "NAME",
         "to this person, as a direct message; given several times (up to 7), as a group message",
         users),
    SEND("root", 'r', MW_OPT_STRING, "POST", "into the thread of this post (id or permalink)",
         root),
    SEND_POST,
    MW_OPTIONS_END,
};

static const struct mw_option reply_options[] = {
    SEND_BOT,
    SEND_POST,
    MW_OPTIONS_END,
};

#define BOT_DOC  "the bot; not needed when there is only one"
#define TEXT_DOC "the message (Markdown); - or nothing reads it from standard input"

#define ACT(name, letter, type, arg, help, member, ...)                                            \
    MW_OPTION(name, letter, type, arg, help, struct cli_act_options, member, ##__VA_ARGS__)
#define ACT_COMMON                                                                                 \
    ACT("bot", 'b', MW_OPT_STRING, "NAME", BOT_DOC, bot, .complete = MW_COMPLETE_BOT),             \
        ACT("key", 'k', MW_OPT_STRING, "KEY",                                                      \
            "idempotence key: a second time with the same key does nothing", key),                 \
        ACT("wait", 0, MW_OPT_DURATION, "TIME",                                                    \
            "how long to wait for the server (15s); it is done later in any case", wait_ms)

static const struct mw_option act_options[] = {
    ACT_COMMON,
    MW_OPTIONS_END,
};

static const struct mw_option edit_options[] = {
    ACT("text", 't', MW_OPT_STRING, "TEXT",
        "the new text (Markdown); - or nothing reads it from standard input", text),
    ACT_COMMON,
    MW_OPTIONS_END,
};

static const struct mw_option typing_options[] = {
    MW_OPTION("root", 'r', MW_OPT_STRING, "POST", "in the thread of this post (id or permalink)",
              struct cli_typing_options, root),
    MW_OPTION("bot", 'b', MW_OPT_STRING, "NAME", BOT_DOC, struct cli_typing_options, bot,
              .complete = MW_COMPLETE_BOT),
    MW_OPTIONS_END,
};

#define EPHEMERAL(name, letter, type, arg, help, member, ...)                                      \
    MW_OPTION(name, letter, type, arg, help, struct cli_ephemeral_options, member, ##__VA_ARGS__)
static const struct mw_option ephemeral_options[] = {
    EPHEMERAL("user", 'u', MW_OPT_STRING, "NAME", "who is to see it: @name, name or id", user),
    EPHEMERAL("channel", 'C', MW_OPT_STRING, "NAME", "where: an id, a name, ~name or team/name",
              channel),
    EPHEMERAL("root", 'r', MW_OPT_STRING, "POST", "in the thread of this post (id or permalink)",
              root),
    EPHEMERAL("text", 't', MW_OPT_STRING, "TEXT", TEXT_DOC, text),
    EPHEMERAL("bot", 'b', MW_OPT_STRING, "NAME", BOT_DOC, bot, .complete = MW_COMPLETE_BOT),
    MW_OPTIONS_END,
};

#define DURABLE                                                                                    \
    " It goes through the daemon's outbox, as a message does: it is done also when the network "   \
    "or the daemon fails in between."

/* What acts on one post. */
#define ACT_VERB(name_, args_, n_, summary_, doc_, examples_, options_)                            \
    {                                                                                              \
        .name = #name_, .args = (args_), .min_args = (n_), .max_args = (n_),                       \
        .summary = (summary_), .doc = doc_ DURABLE, .examples = (examples_),                       \
        .options = (options_), .size = sizeof(struct cli_act_options), .run = cli_run_##name_      \
    }

static const struct cli_verb verbs[] = {
    {.name = "send",
     .summary = "post a message",
     .doc = "Posts a message as a bot and waits until the server has it. The message is written "
            "to the daemon's outbox first: it is posted once, also when the network or the daemon "
            "fails in between. A long text becomes several posts, ten at the most.",
     .examples = "  matterwire send --channel town-square --text \"Good morning\"\n"
                 "  matterwire send --user alice --text \"Only for you\"\n"
                 "  matterwire send --user alice --user bob --text \"For the two of you\"\n"
                 "  df -h | matterwire send --channel ops/alerts --file report.pdf\n"
                 "  matterwire send --channel releases --text \"1.2 is out\" --key release-1.2\n",
     .options = send_options,
     .size = sizeof(struct cli_send_options),
     .run = cli_run_send},
    {.name = "reply",
     .args = "POST",
     .min_args = 1,
     .max_args = 1,
     .summary = "answer a post in its thread",
     .doc = "Answers a post in its thread. POST is a post's id or its permalink.",
     .examples = "  matterwire reply https://chat.example.com/team/pl/"
                 "a1b2c3d4e5f6g7h8i9j0klmnop \\\n"
                 "      --text Done\n",
     .options = reply_options,
     .size = sizeof(struct cli_send_options),
     .run = cli_run_reply},
    ACT_VERB(edit, "POST", 1, "give a post a new text",
             "Gives a post a new text. POST is a post's id or its permalink, here and below. A "
             "text that is too long for a post is refused.",
             "  matterwire edit a1b2c3d4e5f6g7h8i9j0klmnop --text \"Build 7: passed\"\n",
             edit_options),
    ACT_VERB(delete, "POST", 1, "delete a post",
             "Deletes a post, with its thread when it begins one. A post that is deleted already "
             "is no failure.",
             NULL, act_options),
    ACT_VERB(react, "POST EMOJI", 2, "react to a post with an emoji",
             "Reacts to a post. EMOJI is a name, such as thumbsup or :white_check_mark:.",
             "  matterwire react a1b2c3d4e5f6g7h8i9j0klmnop eyes\n", act_options),
    ACT_VERB(unreact, "POST EMOJI", 2, "take a reaction back",
             "Takes a reaction of the bot back. One that is not there is no failure.", NULL,
             act_options),
    ACT_VERB(pin, "POST", 1, "pin a post to its channel", "Pins a post to its channel.", NULL,
             act_options),
    ACT_VERB(unpin, "POST", 1, "take the pin from a post", "Takes the pin from a post.", NULL,
             act_options),
    {.name = "typing",
     .args = "CHANNEL",
     .min_args = 1,
     .max_args = 1,
     .summary = "show that the bot is typing",
     .doc = "Shows the people in CHANNEL that the bot is typing, for some seconds. At once or not "
            "at all: exit status 1 tells that it was not shown.",
     .examples = "  matterwire typing town-square\n",
     .options = typing_options,
     .size = sizeof(struct cli_typing_options),
     .run = cli_run_typing},
    {.name = "ephemeral",
     .summary = "show a message to one person only",
     .doc = "Shows a message to one person in a channel, until he loads the page again; the server "
            "does not keep it. At once or not at all: exit status 1 tells that it was not shown. "
            "The server allows it to accounts with the right create_post_ephemeral, which the role "
            "system_admin has.",
     .examples =
         "  matterwire ephemeral --user @alice --channel ops --text \"Only you see this\"\n",
     .options = ephemeral_options,
     .size = sizeof(struct cli_ephemeral_options),
     .run = cli_run_ephemeral},
};
const struct cli_verb_table cli_verbs_post = CLI_VERB_TABLE(verbs);
