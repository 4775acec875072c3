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

static const struct mw_option doctor_options[] = {
    MW_OPTION("bot", 'b', MW_OPT_STRING, "NAME", "only this bot", struct cli_doctor_options, bot,
              .complete = MW_COMPLETE_BOT),
    MW_OPTION("post", 0, MW_OPT_FLAG, NULL,
              "also make a real post, see it come back, and delete it: in the first channel of "
              "`channels`, else in the bot's own direct channel",
              struct cli_doctor_options, post),
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

static const struct cli_verb daemon_verbs[] = {
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
};

static const struct cli_verb setup_verbs[] = {
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
            "configuration, secrets, handlers, limits, database and daemon on this machine; then "
            "for each bot the way to its server, the server, the token, the channels, the people, "
            "and whether events come back over the WebSocket. What cannot be checked because an "
            "earlier check failed is shown as skipped. Nobody on the server sees anything of it, "
            "unless --post is given. Works without a running daemon. Exit status 1 when something "
            "is wrong. The checks and the JSON are described in docs/troubleshooting.md.",
     .examples = "  matterwire doctor\n"
                 "  matterwire doctor --bot support --json |\n"
                 "      jq '.checks[] | select(.verdict == \"bad\")'\n",
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
    {.name = "completion",
     .args = "bash|zsh|fish",
     .words = "bash zsh fish",
     .min_args = 1,
     .max_args = 1,
     .summary = "print what completes command lines in a shell",
     .doc = "Prints the completion of verbs, options, values and bots' names for a shell. Packages "
            "install it; without one, read it in the shell's start file.",
     .examples = "  source <(matterwire completion bash)\n"
                 "  matterwire completion zsh > ~/.zfunc/_matterwire\n"
                 "  matterwire completion fish > ~/.config/fish/completions/matterwire.fish\n",
     .run = cli_run_completion},
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
            "matterwire.yaml.5`.",
     .hidden = true,
     .run = cli_run_docs},
};

static const struct cli_verb_table daemon_table = CLI_VERB_TABLE(daemon_verbs);
static const struct cli_verb_table setup_table = CLI_VERB_TABLE(setup_verbs);

/* In the order of the help. */
static const struct cli_verb_table *const tables[] = {
    &daemon_table,       &cli_verbs_work,      &cli_verbs_post,   &cli_verbs_read,
    &cli_verbs_consumer, &cli_verbs_schedules, &cli_verbs_pair,   &cli_verbs_channel,
    &cli_verbs_people,   &cli_verbs_file,      &cli_verbs_config, &setup_table,
};

size_t cli_verb_count(void)
{
    size_t n = 0;

    for (size_t i = 0; i < MW_ARRAY_LEN(tables); i++)
        n += tables[i]->n;
    return n;
}

const struct cli_verb *cli_verb_at(size_t i)
{
    size_t t = 0;

    while (i >= tables[t]->n)
        i -= tables[t++]->n;
    return &tables[t]->verbs[i];
}
