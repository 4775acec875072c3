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

static const struct cli_verb verbs[] = {
    {.name = "send",
     .summary = "post a message",
     .doc = "Posts a message as a bot and waits until the server has it. The message is written "
            "to the daemon's outbox first: it is posted once, also when the network or the daemon "
            "fails in between. A long text becomes several posts.",
     .examples = "  matterwire send --channel town-square --text \"Good morning\"\n"
                 "  matterwire send --channel @alice --text \"Only for you\"\n"
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
                 "a1b2c3d4e5f6g7h8i9j0klmnop --text Done\n",
     .options = reply_options,
     .size = sizeof(struct cli_send_options),
     .run = cli_run_reply},
};
const struct cli_verb_table cli_verbs_post = CLI_VERB_TABLE(verbs);
