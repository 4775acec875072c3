/* The verbs that read what was said, as data. */
#include "cli/cli.h"

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

static const struct cli_verb verbs[] = {
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
};
const struct cli_verb_table cli_verbs_read = CLI_VERB_TABLE(verbs);
