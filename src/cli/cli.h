/*
 * The command line: what its verbs share. Verbs are rows of one table (verbs.c), which parses,
 * helps, and makes the man page and the shell completion.
 *
 * Two programs are made of it. `matterwire` links little, because every start pays for each
 * library; verbs that need the network (doctor, sandbox) or all tables (docs) are in
 * `matterwire-extra`, which `matterwire` runs in its place.
 *
 * One thread, blocking. A verb prints its own errors and returns an exit status.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "base/json.h"
#include "base/options.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,       /* wrong usage or configuration */
    CLI_UNREACHABLE = 3, /* no daemon */
};

/* Options of every verb; the options struct of a verb begins with it. */
struct cli_common {
    const char *config, *socket;
    bool json, help, version;
};

struct cli {
    struct cli_common options;
    const struct cli_verb *verb;
    bool json;   /* print JSON: asked for, or standard output is no terminal */
    bool color;  /* on standard output */
    bool ids;    /* lines of events begin with the post's id */
    char **argv; /* the whole command line, for matterwire-extra */
};

struct cli_verb {
    const char *name;
    const char *args;  /* "POST"; NULL = none */
    const char *words; /* for completion: what the first argument may be; NULL = anything */
    bool files;        /* for completion: the arguments are files */
    int min_args, max_args;
    const char *summary;             /* half a sentence for the list of verbs */
    const char *doc;                 /* paragraphs for its own help */
    const char *examples;            /* lines; NULL = none */
    const struct mw_option *options; /* its own ones; NULL = none */
    const void *initial;             /* its options struct before the parse; NULL = all zero */
    size_t size;                     /* of that struct; 0 = struct cli_common only */
    bool hidden;
    int (*run)(struct cli *cli, const void *options, int argc, char **argv);
};

/* The verbs are several tables, one for each area; verbs.c lists them. */
struct cli_verb_table {
    const struct cli_verb *verbs;
    size_t n;
};
#define CLI_VERB_TABLE(array)                                                                      \
    {                                                                                              \
        .verbs = (array), .n = MW_ARRAY_LEN(array)                                                 \
    }
extern const struct cli_verb_table cli_verbs_work;
extern const struct cli_verb_table cli_verbs_post;
extern const struct cli_verb_table cli_verbs_read;
extern const struct cli_verb_table cli_verbs_consumer;
extern const struct cli_verb_table cli_verbs_pair;
extern const struct cli_verb_table cli_verbs_schedules;
extern const struct cli_verb_table cli_verbs_channel;
extern const struct cli_verb_table cli_verbs_people;
extern const struct cli_verb_table cli_verbs_file;
extern const struct cli_verb_table cli_verbs_config;
/* All verbs in the order of the help. */
size_t cli_verb_count(void);
const struct cli_verb *cli_verb_at(size_t i);
extern const struct mw_option cli_common_options[];
const struct cli_verb *cli_verb_find(const char *name);

/* The program: parses, runs a verb, returns its exit status. */
int cli_main(int argc, char **argv);
/* The verb's own options and the common ones, allocated; NULL when memory ran out. */
struct mw_option *cli_merge_options(const struct cli_verb *v);
int cli_write_help(struct mw_buf *b, const struct cli_verb *v, unsigned width); /* NULL = all */

/* What completes command lines in a shell, from the tables. Returns 0, 1 (unknown shell) or
 * -ENOMEM.
 */
int cli_write_completion(struct mw_buf *b, const char *shell);

/* Prints "matterwire: sentence" to standard error and returns `code`. */
int cli_error(int code, const char *fmt, ...) MW_PRINTF(2, 3);
int cli_no_memory(void);
/* Appends standard input up to its end. Returns an exit status: more than `limit` bytes fail, and
 * the sentence ends with `instead`. */
int cli_read_input(struct mw_buf *b, size_t limit, const char *instead);
/* The text of a message: what --text says; standard input for "-", and for NULL when it is no
 * terminal and `needed`. Returns an exit status; nothing at all is no failure. */
int cli_read_text(const char *given, bool needed, struct mw_buf *b);
/* Adds an array unless the list is empty. Returns 0 or -ENOMEM. */
int cli_add_list(cJSON *params, const char *key, const struct mw_option_list *list);
/* Adds a member unless the value is NULL. Returns 0 or -ENOMEM. */
int cli_add_text(cJSON *params, const char *key, const char *value);

/* What matterwire-extra does; in `matterwire` it is run in our place. */
int cli_run_doctor(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_sandbox(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_docs(struct cli *cli, const void *options, int argc, char **argv);

/* The other verbs. */
int cli_run_bots(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_status(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_send(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_reply(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_edit(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_delete(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_react(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_unreact(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_pin(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_unpin(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_typing(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_ephemeral(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_thread(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_search(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_inbox(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_missed(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_history(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_stream(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_check(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_reload(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_rpc(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_completion(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_version(struct cli *cli, const void *options, int argc, char **argv);
int cli_run_help(struct cli *cli, const void *options, int argc, char **argv);

/* ---- Options of verbs ---- */

struct cli_send_options {
    struct cli_common common;
    const char *bot, *channel, *root, *text, *props, *key;
    struct mw_option_list files, users;
    int64_t wait_ms;
};
struct cli_act_options {
    struct cli_common common;
    const char *bot, *key, *text;
    int64_t wait_ms;
};
struct cli_typing_options {
    struct cli_common common;
    const char *bot, *root;
};
struct cli_ephemeral_options {
    struct cli_common common;
    const char *bot, *user, *channel, *root, *text;
};
struct cli_history_options {
    struct cli_common common;
    const char *bot, *channel, *author, *thread, *since, *until;
    struct mw_option_list kinds;
    int64_t limit;
    bool raw, server, ids;
};
struct cli_search_options {
    struct cli_common common;
    const char *bot, *channel, *author, *thread, *since, *until;
    int64_t limit, before;
    bool raw, server, best, ids;
};
struct cli_inbox_options {
    struct cli_common common;
    const char *bot, *reader, *since;
    struct mw_option_list reasons;
    int64_t limit;
    bool unseen, mark_seen, mark_read, raw, ids;
};
struct cli_missed_options {
    struct cli_common common;
    const char *bot, *since, *until;
};
struct cli_stream_options {
    struct cli_common common;
    const char *bot, *consumer, *exec;
    struct mw_option_list kinds;
    int64_t since, tries;
    bool raw, ids;
};
struct cli_doctor_options {
    struct cli_common common;
    const char *bot;
    bool post;
};
struct cli_sandbox_options {
    struct cli_common common;
    const char *listen, *control, *database, *seed, *server_version;
    struct mw_option_list bots;
    bool quiet;
};

/* ---- connection.c: the daemon ---- */

struct cli_conn {
    int fd;
    int64_t last_id;
    struct mw_buf in;
    size_t used; /* bytes of `in` that were given out as a line */
    /* What comes while a call waits for its answer; NULL = it is dropped. */
    void (*on_notification)(const cJSON *notification, void *userdata);
    void *userdata;
};

/* Prints nothing: returns 0 or a negative errno; *ret_path = where it tried, freed by the caller,
 * untouched when memory ran out. */
int cli_try_connect(const struct cli *cli, struct cli_conn *ret, char **ret_path);
/* Returns CLI_DONE, or another exit status after it said why. */
int cli_connect(struct cli *cli, struct cli_conn *ret);
void cli_conn_deinit(struct cli_conn *c);
/* One call; `params` is taken over (NULL = none). on_notification hears the
 * notifications that come meanwhile. */
int cli_call(struct cli_conn *c, const char *method, cJSON *params, cJSON **ret_result);
/* Connects, calls once. */
int cli_call_once(struct cli *cli, const char *method, cJSON *params, cJSON **ret_result);
/* Sends a request without waiting; id 0 = a notification. `params` is taken over. */
int cli_request(struct cli_conn *c, int64_t id, const char *method, cJSON *params);
/* The next line without its end, valid until the next call. *ret_line NULL: nothing whole is there
 * and `wait` is false. */
int cli_read_line(struct cli_conn *c, bool wait, char **ret_line, size_t *ret_len);
/* Reads once what is there; returns 0, or a negative errno (-EPIPE = the end). */
int cli_read_some(struct cli_conn *c);
/* Prints an error object of an answer. */
int cli_print_rpc_error(const cJSON *error);

/* ---- print.c ---- */

enum cli_color { CLI_PLAIN, CLI_BOLD, CLI_GREEN, CLI_YELLOW, CLI_RED, CLI_DIM };

/* Prints JSON and a newline to standard output: indented on a terminal. Takes it over. */
int cli_print_json(struct cli *cli, cJSON *value);
/* Text for a person: colour codes where the terminal takes them, "" elsewhere. */
const char *cli_color(const struct cli *cli, enum cli_color color);
/* Text from others: control characters (but newlines, when `lines`) become `?`, so that nobody's
 * post steers the terminal. Appends. */
int cli_write_clean(struct mw_buf *b, const char *text, bool lines);
/* "3 min", "2 h 5 min", "4 d". */
const char *cli_span(int64_t ms, char *buf, size_t size);
/* Local time "2026-11-21 10:00:00". */
const char *cli_time(int64_t ms, char *buf, size_t size);
/* "5 posts", "1 post". */
const char *cli_count(int64_t n, const char *one, const char *many, char *buf, size_t size);
/* Prints events as lines for a person; what several bots saw only once. Returns an exit status. */
int cli_print_events(const struct cli *cli, const cJSON *events);
/* Checks a time of the command line; NULL is fine. Returns an exit status. */
int cli_check_time(const char *option, const char *value);
/* What was shown lately, so that what several bots saw is shown once. All zero = nothing. */
struct cli_repeats {
    uint64_t hashes[64];
    unsigned next;
};
bool cli_repeated(struct cli_repeats *r, const cJSON *event);
/* Prints a sentence to standard output, wrapped for the terminal. */
int cli_print_wrapped(const char *fmt, ...) MW_PRINTF(1, 2);
/* Appends an event as a line for a person. */
int cli_write_event(struct mw_buf *b, const struct cli *cli, const cJSON *event);

/* A table on a stream. Cells are copied. */
struct cli_table;
struct cli_column {
    const char *name;
    bool right; /* numbers */
    bool wide;  /* may be cut when the terminal is narrow */
};
struct cli_table *cli_table_new(const struct cli *cli, FILE *stream,
                                const struct cli_column *columns, size_t n);
/* Returns 0 or -ENOMEM. NULL = an empty cell. colors may be NULL. */
int cli_table_add(struct cli_table *t, const char *const *cells, const enum cli_color *colors);
int cli_table_print(struct cli_table *t); /* nothing when it has no row */
void cli_table_free(struct cli_table *t);
MW_DEFINE_CLEANUP(struct cli_table *, cli_table_free, cli_table_free_p)

/* Flushes standard output; a full disk is a failure. */
int cli_flush(int code);

#endif
