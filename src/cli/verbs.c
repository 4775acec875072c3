/* The verbs as data. */
#include "cli/cli.h"

#define COMMON(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct cli_common, member, ##__VA_ARGS__)

const struct mw_option cli_common_options[] = {
    COMMON("config", 'c', MW_OPT_STRING, "FILE",
           "the configuration file, instead of $MATTERWIRE_CONFIG or the usual place", config,
           .complete = MW_COMPLETE_FILE),
    COMMON("socket", 0, MW_OPT_STRING, "PATH",
           "the daemon's socket, instead of $MATTERWIRE_SOCKET or what the configuration says",
           socket, .complete = MW_COMPLETE_FILE),
    COMMON("json", 'j', MW_OPT_FLAG, NULL, "print JSON on a terminal too", json),
    COMMON("help", 'h', MW_OPT_FLAG, NULL, "print help and stop", help),
    COMMON("version", 0, MW_OPT_FLAG, NULL, "print the version and stop", version),
    MW_OPTIONS_END,
};

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

#define KIND_DOC "only this kind of event (see docs/events.md); may be given several times"

#define HISTORY(name, letter, type, arg, help, member, ...)                                        \
    MW_OPTION(name, letter, type, arg, help, struct cli_history_options, member, ##__VA_ARGS__)

static const struct mw_option history_options[] = {
    HISTORY("channel", 'C', MW_OPT_STRING, "NAME", "only this channel, by any of its names",
            channel),
    HISTORY("thread", 'r', MW_OPT_STRING, "POST", "only the thread of this post", thread),
    HISTORY("since", 's', MW_OPT_STRING, "TIME",
            "only from then on: 2h (ago), 7d, or 2026-11-21T10:00:00Z", since),
    HISTORY("until", 'u', MW_OPT_STRING, "TIME", "only before then", until),
    HISTORY("limit", 'n', MW_OPT_INT, "N", "at most so many, the newest (50)", limit, .min = 1,
            .max = 10000000),
    HISTORY("kind", 'k', MW_OPT_LIST, "KIND", KIND_DOC, kinds),
    HISTORY("bot", 'b', MW_OPT_STRING, "NAME", "only what this bot saw", bot,
            .complete = MW_COMPLETE_BOT),
    HISTORY("raw", 0, MW_OPT_FLAG, NULL, "with the objects as the server sent them (JSON only)",
            raw),
    MW_OPTIONS_END,
};
static const struct cli_history_options history_initial = {.limit = 50};

#define STREAM(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct cli_stream_options, member, ##__VA_ARGS__)

static const struct mw_option stream_options[] = {
    STREAM("consumer", 'n', MW_OPT_STRING, "NAME",
           "go on where the last stream of this name stopped; nothing is missed between two runs",
           consumer),
    STREAM("since", 's', MW_OPT_INT, "ID",
           "begin behind the event with this id; 0 = from the beginning", since, .min = 0,
           .max = INT64_MAX),
    STREAM("kind", 'k', MW_OPT_LIST, "KIND", KIND_DOC, kinds),
    STREAM("bot", 'b', MW_OPT_STRING, "NAME", "only what this bot sees", bot,
           .complete = MW_COMPLETE_BOT),
    STREAM("raw", 0, MW_OPT_FLAG, NULL, "with the objects as the server sent them (JSON only)",
           raw),
    MW_OPTIONS_END,
};
static const struct cli_stream_options stream_initial = {.since = -1};

static const struct mw_option doctor_options[] = {
    MW_OPTION("bot", 'b', MW_OPT_STRING, "NAME", "only this bot", struct cli_doctor_options, bot,
              .complete = MW_COMPLETE_BOT),
    MW_OPTIONS_END,
};

#define SANDBOX(name, letter, type, arg, help, member, ...)                                        \
    MW_OPTION(name, letter, type, arg, help, struct cli_sandbox_options, member, ##__VA_ARGS__)

static const struct mw_option sandbox_options[] = {
    SANDBOX("listen", 'l', MW_OPT_STRING, "ADDRESS",
            "host:port, port or :port (127.0.0.1:8065); port 0 = any free one", listen),
    SANDBOX("control", 0, MW_OPT_STRING, "ADDRESS",
            "address of the fault switches for tests; off unless given", control),
    SANDBOX("database", 'd', MW_OPT_STRING, "FILE", "keep the state in this file", database,
            .complete = MW_COMPLETE_FILE),
    SANDBOX("seed", 0, MW_OPT_STRING, "WORLD", "what an empty start begins with", seed,
            .choices = "demo none"),
    SANDBOX("server-version", 0, MW_OPT_STRING, "VERSION", "behave like this version",
            server_version, .choices = "11.6 5.37"),
    SANDBOX("bot", 'b', MW_OPT_LIST, "NAME[:FILE]",
            "one more bot account; its token goes into FILE, readable for you only", bots),
    SANDBOX("quiet", 'q', MW_OPT_FLAG, NULL, "log nothing but errors", quiet),
    MW_OPTIONS_END,
};

const struct cli_verb cli_verbs[] = {
    {.name = "bots",
     .summary = "list the bots and how they are connected",
     .doc = "Lists the bots of the running daemon: whether they are online, since when, as whom, "
            "where, and what is wrong with them if something is.",
     .run = cli_run_bots},
    {.name = "status",
     .summary = "show how the daemon is: store, queues, handlers, consumers",
     .doc = "Shows the daemon's state: its store, for each bot what waits and what failed, for "
            "each handler how its runs ended, for each consumer how far behind it is.",
     .run = cli_run_status},
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
    {.name = "history",
     .summary = "show what was said, from the journal",
     .doc = "Shows events of the journal, the newest ones, oldest first. Asks the daemon, not the "
            "server: it knows what its bots have seen.",
     .examples = "  matterwire history --channel town-square --since 2h\n"
                 "  matterwire history --thread a1b2c3d4e5f6g7h8i9j0klmnop --json\n",
     .options = history_options,
     .initial = &history_initial,
     .size = sizeof(struct cli_history_options),
     .run = cli_run_history},
    {.name = "stream",
     .summary = "follow what the bots hear, live",
     .doc = "Prints events as they happen, until Ctrl-C: a line each on a terminal, one JSON "
            "object a line elsewhere, without delay. With --consumer the place is remembered: "
            "what happens while no stream of that name runs comes first the next time. An event "
            "counts as seen once its line was written.",
     .examples = "  matterwire stream\n"
                 "  matterwire stream --consumer log --kind post | while read -r event; do ...; "
                 "done\n",
     .options = stream_options,
     .initial = &stream_initial,
     .size = sizeof(struct cli_stream_options),
     .run = cli_run_stream},
    {.name = "check",
     .summary = "check the configuration file",
     .doc = "Checks the configuration file and prints all mistakes at once, as "
            "FILE:LINE:COLUMN: sentence. Exit status 2 when there are some. Needs no daemon.",
     .run = cli_run_check},
    {.name = "reload",
     .summary = "put the changed configuration into force",
     .doc = "Makes the daemon read its configuration again, as SIGHUP does. Bots and handlers "
            "that did not change are not disturbed; a file with mistakes changes nothing.",
     .run = cli_run_reload},
    {.name = "doctor",
     .summary = "find out what is wrong with the connection to the server",
     .doc = "Checks one thing after the other and prints a line each, with what to do: the "
            "configuration; for each bot the server's name, the connection, TLS, the server, the "
            "token, the channels, the WebSocket. Needs no daemon. Exit status 1 when something is "
            "wrong.",
     .options = doctor_options,
     .size = sizeof(struct cli_doctor_options),
     .run = cli_run_doctor},
    {.name = "sandbox",
     .summary = "run a small Mattermost-compatible server to try things with",
     .doc = "Runs a small server that speaks Mattermost's protocol, with a chat page, for trying "
            "bots without a Mattermost and for tests. Its state is in memory unless --database is "
            "given. Stops with Ctrl-C.",
     .examples = "  matterwire sandbox\n"
                 "  matterwire sandbox --listen 127.0.0.1:8065 --bot helper:helper.token\n",
     .options = sandbox_options,
     .size = sizeof(struct cli_sandbox_options),
     .run = cli_run_sandbox},
    {.name = "rpc",
     .args = "METHOD [PARAMS]",
     .min_args = 1,
     .max_args = 2,
     .summary = "call any method of the daemon",
     .doc = "Calls a method of the daemon (docs/rpc.md) and prints its result. PARAMS is a JSON "
            "object, or - to read it from standard input.",
     .examples = "  matterwire rpc rpc.methods\n"
                 "  matterwire rpc send '{\"channel\":\"town-square\",\"text\":\"Hello\"}'\n",
     .run = cli_run_rpc},
    {.name = "version",
     .summary = "print the version",
     .doc = "Prints the version of this program.",
     .run = cli_run_version},
    {.name = "help",
     .args = "[VERB]",
     .max_args = 1,
     .summary = "tell how something is used",
     .doc = "Lists the verbs, or tells how one is used.",
     .run = cli_run_help},
    {.name = "docs",
     .args = "[PAGE]",
     .max_args = 2,
     .summary = "print a generated page",
     .doc = "Prints what is made from the tables in the code: the pages of the handbook "
            "(`matterwire docs` lists them), `docs man matterwire.1`, `docs man "
            "matterwire.yaml.5`, `docs completion bash|zsh|fish`.",
     .hidden = true,
     .run = cli_run_docs},
};
const size_t cli_n_verbs = MW_ARRAY_LEN(cli_verbs);
