/*
 * The configuration: one YAML file, bound by a schema table (config_schema.c) that also makes
 * docs/config.md. All errors of a file are found in one pass, each with line, column and the
 * nearest valid name.
 *
 * A config is immutable once loaded; strings belong to it. Secrets are wiped when it is freed.
 */
#ifndef MW_GATEWAY_CONFIG_H
#define MW_GATEWAY_CONFIG_H

#include "base/error.h"
#include "base/log.h"
#include "io/stream.h"

struct gw_strings {
    char **items;
    size_t n;
};

enum gw_transport { GW_TRANSPORT_WEBSOCKET, GW_TRANSPORT_POLL };

enum gw_thread_place {
    GW_THREAD,         /* answer in the thread of the post */
    GW_THREAD_SAME,    /* where the post was: its thread, or the channel */
    GW_THREAD_CHANNEL, /* always in the channel */
};
enum gw_allow_bots { GW_BOTS_NONE, GW_BOTS_MENTIONS, GW_BOTS_ALL };
enum gw_refusal { GW_REFUSE_SILENT, GW_REFUSE_TELL };
enum gw_interrupt { GW_INTERRUPT_QUEUE, GW_INTERRUPT_CANCEL };
enum gw_stream { GW_STREAM_OFF, GW_STREAM_EDIT, GW_STREAM_FINAL };

/* What a bot says for all of its routes, and a route may say otherwise. */
struct gw_policy {
    uint64_t given;                  /* of a route: which rows it says itself */
    bool allowed_own;                /* of a route: it has its own allowed_users */
    struct gw_strings allowed_users; /* empty = nobody; see access.h for the words */
    struct gw_strings denied_users;
    bool mention_only;
    int thread_replies; /* enum gw_thread_place */
    bool follow_threads;
    int allow_bots; /* enum gw_allow_bots */
    unsigned bot_turns;
    int64_t bot_cooldown_ms;
    int refuse;    /* enum gw_refusal */
    int interrupt; /* enum gw_interrupt */
    int64_t debounce_ms;
    unsigned rate_limit; /* messages a minute and person; 0 = no limit */
    int stream;          /* enum gw_stream */
    bool receipt;
};

enum gw_missed { GW_MISSED_SKIP, GW_MISSED_ONCE };

struct gw_route_config {
    char *name; /* for logs and schedules; made from the place in the list when not given */
    char *when;
    struct gw_strings kinds;
    char *handler;
    unsigned concurrency; /* 0 = the handler's */
    int64_t timeout_ms;   /* 0 = the handler's */
    struct gw_policy policy;
    /* A route with a schedule takes no posts. */
    char *schedule, *timezone, *prompt, *text, *channel;
    int missed; /* enum gw_missed */
};

struct gw_group_config {
    char *name;
    struct gw_strings members;
};

struct gw_bot_config {
    char *name;
    char *type; /* "mattermost" */
    char *endpoint;
    char *bot_token; /* resolved from bot_token, $NAME or bot_token_file */
    char *login, *password;
    char *team;
    enum gw_transport transport;
    int64_t poll_interval_ms;
    struct gw_strings channels; /* empty = every channel the bot is in */
    struct gw_policy policy;
    char *handler;                  /* shorthand for one route; NULL = none */
    struct gw_route_config *routes; /* with their whole policy; `handler` is the last of them */
    size_t n_routes;
    bool pairing;
    char *control_prefix; /* NULL = none */
    struct mw_tls_params tls;
    char *proxy;
    int64_t timeout_ms;
    int64_t report_after_ms; /* a message that waits for longer is reported */
};

enum gw_output { GW_OUTPUT_MARKDOWN, GW_OUTPUT_JSON };
enum gw_http_format { GW_HTTP_EVENT, GW_HTTP_OUTGOING_WEBHOOK };
enum gw_approval { GW_APPROVAL_ASK, GW_APPROVAL_REJECT, GW_APPROVAL_APPROVE };

/* A command that a model may call. */
struct gw_tool_config {
    char *name, *description;
    char *parameters; /* JSON Schema, checked to be a JSON object; NULL = no parameters */
    struct gw_strings command;
    int64_t timeout_ms;
};

/* An MCP server that is handed to an agent. */
struct gw_mcp_server_config {
    char *name;
    struct gw_strings command; /* either this ... */
    struct gw_strings env;
    char *url;                 /* ... or this */
    struct gw_strings headers; /* "Name=value" */
};

/* Which keys go with which type: config_handlers.c. */
struct gw_handler_config {
    char *name;
    char *type;
    struct gw_strings command;
    int64_t timeout_ms;
    struct gw_strings env;         /* "NAME=value" */
    struct gw_strings env_inherit; /* names */
    char *workdir;                 /* absolute */
    unsigned concurrency;
    unsigned attempts; /* of an event; 1 = a failure is final */
    int output;        /* enum gw_output */

    char *url;
    int format; /* enum gw_http_format */
    char *secret;
    char *api_key;
    struct gw_strings headers; /* "Name=value" */
    struct mw_tls_params tls;
    char *proxy;

    char *model, *system;
    unsigned history_tokens, max_tokens;
    struct gw_tool_config *tools;
    size_t n_tools;

    struct gw_mcp_server_config *mcp_servers;
    size_t n_mcp_servers;
    int approval; /* enum gw_approval */
    int64_t approval_timeout_ms;

    char *script; /* absolute */
    unsigned memory_mb;
    struct gw_strings http_hosts; /* "host" or "host:port" */
};

/* What the journal keeps; 0 = see the schema. */
struct gw_retention_config {
    int64_t age_ms;
    unsigned count;
    int64_t done_age_ms;
};

/* Which events have their files before a handler sees them; each row includes those above it. */
enum gw_download_rule {
    GW_DOWNLOAD_NONE,
    GW_DOWNLOAD_DIRECT,
    GW_DOWNLOAD_MENTIONED,
    GW_DOWNLOAD_ALL,
};

/* Files that were fetched from servers. */
struct gw_files_config {
    char *folder; /* absolute */
    int64_t quota, max_size;
    enum gw_download_rule download;
    struct gw_strings types; /* "image/png", "image/" + "*", ".pdf"; empty = every one */
};

struct gw_daemon_config {
    char *socket;   /* path of the Unix socket */
    char *database; /* path of the SQLite file (from sqlite:///path or a plain path) */
    enum mw_log_level log_level;
    unsigned concurrency;           /* turns at once, of all bots and handlers */
    struct gw_strings attach_roots; /* absolute; empty = anywhere but our own files */
    struct gw_retention_config retention;
    struct gw_files_config files;
};

struct gw_config {
    unsigned refs; /* see gw_config_ref */
    char *path;    /* of the file, absolute */
    struct gw_bot_config *bots;
    size_t n_bots;
    struct gw_handler_config *handlers;
    size_t n_handlers;
    struct gw_group_config *groups;
    size_t n_groups;
    struct gw_daemon_config daemon;
};

struct gw_problem {
    unsigned line, column; /* from 1; 0 = the file as a whole */
    char *message;         /* what is wrong, where, what to do */
};
struct gw_problems {
    struct gw_problem *items;
    size_t n;
};
void gw_problems_deinit(struct gw_problems *p);

/* --config, $MATTERWIRE_CONFIG, $XDG_CONFIG_HOME/matterwire/config.yaml (~/.config/...),
 * /etc/matterwire/config.yaml: the first that is given or exists; when none does, the user's own.
 * Freed by the caller; NULL = no memory. */
char *gw_config_path(const char *explicit_path);

/* Returns 0 and a config; or 1 with at least one problem; or -ENOMEM. */
int gw_config_load(const char *path, struct gw_config **ret, struct gw_problems *problems);
/* The same for text in memory (tests, fuzzing); `path` is only named and used for relative paths.
 */
int gw_config_parse(const char *path, const char *text, size_t len, struct gw_config **ret,
                    struct gw_problems *problems);
/* What refers to a part of a config keeps the whole: one more gw_config_free is needed. */
struct gw_config *gw_config_ref(struct gw_config *c);
void gw_config_free(struct gw_config *c);

/* Only where the daemon's socket is, whatever else may be wrong with the file: the command line has
 * no need of the tokens that it names. Freed by the caller; NULL = no memory. */
char *gw_config_socket(const char *path);
/* Where it is when no file says so. Allocated, NULL = no memory. */
char *gw_default_socket(void);
#define GW_SYSTEM_SOCKET "/run/matterwire/matterwire.sock"

const struct gw_bot_config *gw_config_bot(const struct gw_config *c, const char *name);
const struct gw_group_config *gw_config_group(const struct gw_config *c, const char *name);
const struct gw_handler_config *gw_config_handler(const struct gw_config *c, const char *name);
/* What reload may leave alone: same values throughout. */
bool gw_bot_config_equal(const struct gw_bot_config *a, const struct gw_bot_config *b);
bool gw_groups_equal(const struct gw_config *a, const struct gw_config *b);
bool gw_handler_config_equal(const struct gw_handler_config *a, const struct gw_handler_config *b);

#endif
