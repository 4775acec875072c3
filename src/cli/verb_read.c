/* The verbs that read what was said, as data. */
#include "cli/cli.h"

#define KIND_DOC "only this kind of event (see docs/events.md); may be given several times"

#define SERVER_DOC                                                                                 \
    "ask the server instead of the journal: posts as they are now, 1000 at the most, also those "  \
    "from before the bot came"

/* Rows that several verbs share; `type` is the struct of the verb's options. */
#define CHANNEL(type)                                                                              \
    MW_OPTION("channel", 'C', MW_OPT_STRING, "NAME", "only this channel, by any of its names",     \
              type, channel)
#define THREAD(type)                                                                               \
    MW_OPTION("thread", 'r', MW_OPT_STRING, "POST", "only the thread of this post", type, thread)
#define SINCE(type)                                                                                \
    MW_OPTION("since", 's', MW_OPT_STRING, "TIME",                                                 \
              "only from then on: 2h (ago), 7d, or 2026-11-21T10:00:00Z", type, since)
#define UNTIL(type)  MW_OPTION("until", 'u', MW_OPT_STRING, "TIME", "only before then", type, until)
#define KIND(type)   MW_OPTION("kind", 'k', MW_OPT_LIST, "KIND", KIND_DOC, type, kinds)
#define SERVER(type) MW_OPTION("server", 'S', MW_OPT_FLAG, NULL, SERVER_DOC, type, server)
#define BOT(type, help)                                                                            \
    MW_OPTION("bot", 'b', MW_OPT_STRING, "NAME", help, type, bot, .complete = MW_COMPLETE_BOT)
#define SEEN_BY "only what this bot saw"
#define THE_BOT "the bot; not needed when there is only one"
/* The last rows of all that show events. */
#define SHOWN(type)                                                                                \
    MW_OPTION("raw", 0, MW_OPT_FLAG, NULL, "with the objects as the server sent them (JSON only)", \
              type, raw),                                                                          \
        MW_OPTION("ids", 0, MW_OPT_FLAG, NULL, "on a terminal: with the id of each post", type,    \
                  ids)

#define HISTORY(name, letter, type, arg, help, member, ...)                                        \
    MW_OPTION(name, letter, type, arg, help, struct cli_history_options, member, ##__VA_ARGS__)

static const struct mw_option history_options[] = {
    CHANNEL(struct cli_history_options),
    HISTORY("author", 'a', MW_OPT_STRING, "NAME", "only what this person did: @name, name or id",
            author),
    THREAD(struct cli_history_options),
    SINCE(struct cli_history_options),
    UNTIL(struct cli_history_options),
    HISTORY("limit", 'n', MW_OPT_INT, "N", "at most so many, the newest (50)", limit, .min = 1,
            .max = 10000000),
    KIND(struct cli_history_options),
    BOT(struct cli_history_options, SEEN_BY),
    SERVER(struct cli_history_options),
    SHOWN(struct cli_history_options),
    MW_OPTIONS_END,
};

static const struct mw_option thread_options[] = {
    KIND(struct cli_history_options),
    HISTORY("limit", 'n', MW_OPT_INT, "N", "at most so many, the newest (1000)", limit, .min = 1,
            .max = 10000000),
    BOT(struct cli_history_options, SEEN_BY),
    SERVER(struct cli_history_options),
    SHOWN(struct cli_history_options),
    MW_OPTIONS_END,
};
static const struct cli_history_options thread_initial = {.limit = 1000};

#define SEARCH(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct cli_search_options, member, ##__VA_ARGS__)

static const struct mw_option search_options[] = {
    CHANNEL(struct cli_search_options),
    SEARCH("author", 'a', MW_OPT_STRING, "NAME", "only what this person wrote: @name, name or id",
           author),
    THREAD(struct cli_search_options),
    SINCE(struct cli_search_options),
    UNTIL(struct cli_search_options),
    SEARCH("limit", 'n', MW_OPT_INT, "N", "at most so many (50)", limit, .min = 1, .max = 1000),
    SEARCH("before", 0, MW_OPT_INT, "ID", "only events before this one; to go on", before, .min = 0,
           .max = INT64_MAX),
    SEARCH("best", 0, MW_OPT_FLAG, NULL, "the best matches first (whole words), not the newest",
           best),
    BOT(struct cli_search_options, SEEN_BY),
    SEARCH("server", 'S', MW_OPT_FLAG, NULL, "the server's own search, instead of the journal",
           server),
    SHOWN(struct cli_search_options),
    MW_OPTIONS_END,
};
static const struct cli_search_options search_initial = {.limit = 50};

#define INBOX(name, letter, type, arg, help, member, ...)                                          \
    MW_OPTION(name, letter, type, arg, help, struct cli_inbox_options, member, ##__VA_ARGS__)

static const struct mw_option inbox_options[] = {
    INBOX("unseen", 0, MW_OPT_FLAG, NULL, "only what came after the mark", unseen),
    INBOX("mark-seen", 0, MW_OPT_FLAG, NULL,
          "set the mark behind what is shown; with --unseen the oldest are shown first", mark_seen),
    INBOX("mark-read", 0, MW_OPT_FLAG, NULL, "also tell the server that these channels were read",
          mark_read),
    INBOX("reader", 0, MW_OPT_STRING, "NAME", "whose mark; each name has its own", reader),
    INBOX("reason", 0, MW_OPT_LIST, "REASON", "only this; may be given several times", reasons,
          .choices = "direct mention thread"),
    SINCE(struct cli_inbox_options),
    INBOX("limit", 'n', MW_OPT_INT, "N", "at most so many (50)", limit, .min = 1, .max = 999),
    BOT(struct cli_inbox_options, THE_BOT),
    SHOWN(struct cli_inbox_options),
    MW_OPTIONS_END,
};
static const struct cli_inbox_options inbox_initial = {.limit = 50};

#define MISSED(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct cli_missed_options, member, ##__VA_ARGS__)

static const struct mw_option missed_options[] = {
    MISSED("since", 's', MW_OPT_STRING, "TIME",
           "from then on: 2h (ago), 7d, or 2026-11-21T10:00:00Z", since),
    MISSED("until", 'u', MW_OPT_STRING, "TIME", "up to then; now unless given", until),
    BOT(struct cli_missed_options, THE_BOT),
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
    KIND(struct cli_stream_options),
    STREAM("bot", 'b', MW_OPT_STRING, "NAME", "only what this bot sees", bot,
           .complete = MW_COMPLETE_BOT),
    SHOWN(struct cli_stream_options),
    STREAM("exec", 'x', MW_OPT_STRING, "PROGRAM",
           "run PROGRAM ARGUMENT... for each event, with the event on standard input, instead of "
           "printing it",
           exec, .complete = MW_COMPLETE_FILE),
    STREAM("tries", 0, MW_OPT_INT, "N",
           "with --exec: how often an event is tried before the stream stops (5); 0 = for ever",
           tries, .min = 0, .max = 1000000),
    MW_OPTIONS_END,
};
static const struct cli_stream_options stream_initial = {.since = -1, .tries = 5};

static const struct cli_verb verbs[] = {
    {.name = "history",
     .summary = "show what was said, from the journal",
     .doc = "Shows events of the journal, the newest ones, oldest first: what the bots have seen, "
            "with edits, reactions and deletions. With --server it shows the posts that the server "
            "has. In JSON: an object with `events`, and `more`, true when the limit left older "
            "ones out.",
     .examples = "  matterwire history --channel town-square --since 2h\n"
                 "  matterwire history --thread a1b2c3d4e5f6g7h8i9j0klmnop --json\n",
     .options = history_options,
     .initial = &history_initial,
     .size = sizeof(struct cli_history_options),
     .run = cli_run_history},
    {.name = "thread",
     .args = "POST",
     .min_args = 1,
     .max_args = 1,
     .summary = "show a thread",
     .doc = "Shows the thread that a post is in, oldest first. POST is the id or the permalink of "
            "any post of it. In JSON as `history`.",
     .examples = "  matterwire thread a1b2c3d4e5f6g7h8i9j0klmnop\n",
     .options = thread_options,
     .initial = &thread_initial,
     .size = sizeof(struct cli_history_options),
     .run = cli_run_thread},
    {.name = "search",
     .args = "QUERY...",
     .min_args = 1,
     .max_args = 64,
     .summary = "search what was said",
     .doc = "Searches the text of posts and edits in the journal and shows each with a snippet, "
            "the newest first. All words must be there, in any order and also as parts of words; "
            "words in double quotes as they stand; a word behind -- that begins with a hyphen "
            "must not be there. Upper and lower case are the same. In JSON: an object with "
            "`events`, and `complete`, false when not everything could be looked at.",
     .examples = "  matterwire search deploy failed --since 7d\n"
                 "  matterwire search '\"release notes\"' --author @alice --channel releases\n"
                 "  matterwire search -- timeout -proxy\n",
     .options = search_options,
     .initial = &search_initial,
     .size = sizeof(struct cli_search_options),
     .run = cli_run_search},
    {.name = "inbox",
     .summary = "show what is for the bot",
     .doc = "Shows direct messages, mentions, and replies in threads that the bot is in, oldest "
            "first. --unseen --mark-seen gives each of them once. What the server counts as read "
            "is not touched, unless --mark-read is given. In JSON: an object with `events`, `more` "
            "and `mark`.",
     .examples = "  matterwire inbox\n"
                 "  matterwire inbox --unseen --mark-seen --reader me\n",
     .options = inbox_options,
     .initial = &inbox_initial,
     .size = sizeof(struct cli_inbox_options),
     .run = cli_run_inbox},
    {.name = "missed",
     .summary = "tell what was missed since a time",
     .doc = "Answers \"what did I miss?\" in one bounded answer: for each channel how many posts "
            "and mentions, the first and the last post, and whether the journal has everything of "
            "that time.",
     .examples = "  matterwire missed --since 8h\n",
     .options = missed_options,
     .size = sizeof(struct cli_missed_options),
     .run = cli_run_missed},
    {.name = "stream",
     .args = "[ARGUMENT...]",
     .max_args = 64,
     .summary = "follow what the bots hear, live",
     .doc = "Prints events as they happen, until Ctrl-C: a line each on a terminal, one JSON "
            "object a line elsewhere, without delay. With --consumer the place is remembered: "
            "what happens while no stream of that name runs comes first the next time. An event "
            "counts as seen once its line was written. When the daemon is restarted the stream "
            "waits for it and goes on; nothing is missed.\n\nWith --exec a program "
            "is run for each event, one after the other, without a shell in between; words behind "
            "the options are its arguments (-- before those with a hyphen). The event's JSON is on "
            "its standard input. An event counts as taken once the program exits with 0. Until "
            "then it is tried again, after a growing wait of up to 30 s; when all tries failed the "
            "stream stops with exit status 1, before that event: with --consumer the next run "
            "begins with it. A signal is passed on to the program, and the stream stops after "
            "it.",
     .examples = "  matterwire stream\n"
                 "  matterwire stream --consumer tickets --kind post --exec ./ticket.sh\n"
                 "  matterwire stream --consumer log --kind post |\n"
                 "      while read -r event; do ...; done\n",
     .options = stream_options,
     .initial = &stream_initial,
     .size = sizeof(struct cli_stream_options),
     .run = cli_run_stream},
};
const struct cli_verb_table cli_verbs_read = CLI_VERB_TABLE(verbs);
