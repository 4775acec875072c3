/*
 * The schema of the configuration file as data: every key with its type, default and one sentence.
 * The same rows bind the file (config_bind.c), compare and free a config (config.c) and make the
 * reference page and the man page (`matterwire docs`). No state.
 */
#ifndef MW_GATEWAY_CONFIG_SCHEMA_H
#define MW_GATEWAY_CONFIG_SCHEMA_H

#include "base/macros.h"

enum gw_key_type {
    GW_KEY_TEXT,     /* char * */
    GW_KEY_URL,      /* char *: http or https, checked */
    GW_KEY_PATH,     /* char *: made absolute, relative to the folder of the config file */
    GW_KEY_CHOICE,   /* int (an enum): the position in `choices` */
    GW_KEY_BOOL,     /* bool */
    GW_KEY_COUNT,    /* unsigned, min..max */
    GW_KEY_DURATION, /* int64_t milliseconds, min..max */
    GW_KEY_BYTES,    /* int64_t, min..max */
    GW_KEY_WORDS,    /* struct gw_strings: a list, or one word */
    GW_KEY_LIST,     /* struct gw_strings: a list */
    GW_KEY_ENV,      /* struct gw_strings: a mapping, kept as "NAME=value" */
    GW_KEY_SECTION,  /* an embedded struct */
    GW_KEY_ITEMS,    /* pointer to structs and their count: a list of mappings */
    GW_KEY_NAMED,    /* the same: a mapping from names to mappings; the name is the struct's first
                        member */
};

struct gw_section;

struct gw_key {
    const char *name;
    enum gw_key_type type;
    size_t offset;
    size_t count_offset;      /* GW_KEY_ITEMS and GW_KEY_NAMED: of the size_t with the count */
    const char *fallback;     /* the default, as it would be written; NULL = none */
    const char *fallback_doc; /* the default where it is computed; NULL = `fallback` */
    const char *choices;      /* GW_KEY_CHOICE and GW_KEY_TEXT: "a b c" */
    int64_t min, max;
    bool required;
    bool secret;         /* has a twin NAME_file; wiped when freed; never in a message */
    bool must_read;      /* GW_KEY_PATH: the file has to be readable */
    bool private;        /* GW_KEY_PATH: nobody else may be able to read the file */
    bool verbatim;       /* $NAME stays as it is: it is meant for somebody else */
    const char *only;    /* for these values of `type` only: "acp chat"; NULL = for all */
    const char *doc;     /* what it does: sentences */
    const char *example; /* a value as it would be written */
    const struct gw_section *section;
};

struct gw_binder;
struct gw_slot;

struct gw_section {
    const char *name; /* "bot": what its items are called in messages */
    const char *doc;
    const struct gw_key *keys;
    size_t n;
    size_t size; /* of the struct */
    /* Rules that span keys; `slots` go with `keys`. May be NULL. */
    void (*check)(struct gw_binder *b, const struct gw_slot *slots, void *target);
};

#define GW_SECTION_KEYS_MAX 64

extern const struct gw_section gw_config_schema; /* of the whole file: struct gw_config */

/* ---- Its parts: config_schema.c, config_handlers.c, config_routes.c ---- */

extern const struct gw_section gw_tls_section, gw_handler_section, gw_route_section,
    gw_group_section;

#define GW_KEY(struct_, member_, type_, ...)                                                       \
    {                                                                                              \
        .name = #member_, .type = (type_), .offset = offsetof(struct struct_, member_),            \
        ##__VA_ARGS__                                                                              \
    }
/* A member with another name than the key. */
#define GW_KEY_AT(struct_, name_, member_, type_, ...)                                             \
    {                                                                                              \
        .name = #name_, .type = (type_), .offset = offsetof(struct struct_, member_),              \
        ##__VA_ARGS__                                                                              \
    }
/* A duration: the member is called NAME_ms. */
#define GW_KEY_MS(struct_, name_, ...)                                                             \
    {                                                                                              \
        .name = #name_, .type = GW_KEY_DURATION, .offset = offsetof(struct struct_, name_##_ms),   \
        ##__VA_ARGS__                                                                              \
    }

struct gw_mark;
struct gw_bot_config;
struct gw_strings;
/* The slot of a key in `slots`, which go with `s`. */
const struct gw_slot *gw_slot_of(const struct gw_section *s, const struct gw_slot *slots,
                                 const char *name);
/* Names of bots and handlers show up in file names, logs and on command lines. */
void gw_check_name(struct gw_binder *b, struct gw_mark at, const char *what, const char *name);

/* ---- The policy: the same rows in a bot, with defaults, and in a route, without. ---- */

#define GW_POLICY_DEFAULT(is_bot_, value_)                                                         \
    .fallback = (is_bot_) ? (value_) : NULL, .fallback_doc = (is_bot_) ? NULL : "the bot's"
#define GW_POLICY_DEFAULT_DOC(is_bot_, doc_) .fallback_doc = (is_bot_) ? (doc_) : "the bot's"

/* Bound to a struct gw_policy. The bot's and the route's tables hold a copy of these rows. */
#define GW_POLICY_ROWS(struct_, is_bot_)                                                           \
    GW_KEY_AT(struct_, allowed_users, policy.allowed_users, GW_KEY_WORDS,                          \
              GW_POLICY_DEFAULT_DOC(is_bot_, "nobody"),                                            \
              .doc =                                                                               \
                  "Who may trigger a handler: `\"@name\"`, user ids, `group:NAME` (of `groups`, "  \
                  "else a group of the server), `team:NAME` (its members), `channel-admins` "      \
                  "(of the channel where it is said), or `\"*\"` for everyone. Empty: nobody.",    \
              .example = "[\"@alice\", group:oncall]"),                                            \
        GW_KEY_AT(struct_, denied_users, policy.denied_users, GW_KEY_WORDS,                        \
                  GW_POLICY_DEFAULT_DOC(is_bot_, "nobody"),                                        \
                  .doc = "Who may not, even when `allowed_users` lets them. The same words.",      \
                  .example = "[\"@mallory\"]"),                                                    \
        GW_KEY_AT(struct_, mention_only, policy.mention_only, GW_KEY_BOOL,                         \
                  GW_POLICY_DEFAULT(is_bot_, "true"),                                              \
                  .doc =                                                                           \
                      "In channels, only posts that mention the bot trigger a handler; direct "    \
                      "messages always do. Switch it off where the bot has a channel of its own.", \
                  .example = "false"),                                                             \
        GW_KEY_AT(                                                                                 \
            struct_, thread_replies, policy.thread_replies, GW_KEY_CHOICE,                         \
            GW_POLICY_DEFAULT(is_bot_, "thread"), .choices = "thread same channel true false",     \
            .doc = "Where the answer goes. `thread` (or `true`): the thread of the post. `same` "  \
                   "(or `false`): the channel, but the thread when the post was in one. "          \
                   "`channel`: always the channel.",                                               \
            .example = "same"),                                                                    \
        GW_KEY_AT(struct_, follow_threads, policy.follow_threads, GW_KEY_BOOL,                     \
                  GW_POLICY_DEFAULT(is_bot_, "false"),                                             \
                  .doc = "After the bot was addressed in a thread, what the same people who may "  \
                         "trigger it say there needs no further mention, for seven days.",         \
                  .example = "true"),                                                              \
        GW_KEY_AT(struct_, allow_bots, policy.allow_bots, GW_KEY_CHOICE,                           \
                  GW_POLICY_DEFAULT(is_bot_, "none"), .choices = "none mentions all",              \
                  .doc =                                                                           \
                      "Whether other bots and incoming webhooks may trigger a handler, at all or " \
                      "when they mention it. They must be allowed too: names and the marks of "    \
                      "webhooks can be forged, so it is the account's id that counts.",            \
                  .example = "mentions"),                                                          \
        GW_KEY_AT(                                                                                 \
            struct_, bot_turns, policy.bot_turns, GW_KEY_COUNT, GW_POLICY_DEFAULT(is_bot_, "6"),   \
            .min = 1, .max = 1000,                                                                 \
            .doc = "So often another bot is answered before `bot_cooldown` passes, so that two "   \
                   "bots cannot talk for ever.",                                                   \
            .example = "3"),                                                                       \
        GW_KEY_AT(struct_, bot_cooldown, policy.bot_cooldown_ms, GW_KEY_DURATION,                  \
                  GW_POLICY_DEFAULT(is_bot_, "10m"), .min = 1000, .max = 86400000,                 \
                  .doc = "See `bot_turns`.", .example = "1h"),                                     \
        GW_KEY_AT(                                                                                 \
            struct_, refuse, policy.refuse, GW_KEY_CHOICE, GW_POLICY_DEFAULT(is_bot_, "silent"),   \
            .choices = "silent tell",                                                              \
            .doc = "Whether a person who is not allowed is told so, in a message that only that "  \
                   "person sees.",                                                                 \
            .example = "tell"),                                                                    \
        GW_KEY_AT(                                                                                 \
            struct_, interrupt, policy.interrupt, GW_KEY_CHOICE,                                   \
            GW_POLICY_DEFAULT(is_bot_, "queue"), .choices = "queue cancel",                        \
            .doc = "What a new message in a conversation does to the answer under way: it waits "  \
                   "until that is done, or that is stopped.",                                      \
            .example = "cancel"),                                                                  \
        GW_KEY_AT(struct_, debounce, policy.debounce_ms, GW_KEY_DURATION,                          \
                  GW_POLICY_DEFAULT(is_bot_, "0s"), .min = 0, .max = 60000,                        \
                  .doc = "Messages of one person that come in such quick succession in a "         \
                         "conversation are answered together.",                                    \
                  .example = "2s"),                                                                \
        GW_KEY_AT(struct_, rate_limit, policy.rate_limit, GW_KEY_COUNT,                            \
                  GW_POLICY_DEFAULT_DOC(is_bot_, "none"), .min = 1, .max = 100000,                 \
                  .doc =                                                                           \
                      "How many messages a minute of one person are answered; who says more is "   \
                      "told, once, to wait.",                                                      \
                  .example = "20"),                                                                \
        GW_KEY_AT(                                                                                 \
            struct_, stream, policy.stream, GW_KEY_CHOICE, GW_POLICY_DEFAULT(is_bot_, "off"),      \
            .choices = "off edit final",                                                           \
            .doc = "Show an answer while it is being written, where the handler tells it in "      \
                   "parts. `edit`: in the post that holds the answer in the end. `final`: in a "   \
                   "preview that is replaced by a new post at the end, because phones announce "   \
                   "posts but not edits.",                                                         \
            .example = "edit"),                                                                    \
        GW_KEY_AT(                                                                                 \
            struct_, receipt, policy.receipt, GW_KEY_BOOL, GW_POLICY_DEFAULT(is_bot_, "false"),    \
            .doc = "Mark a message with a reaction: eyes while it is being answered, then a "      \
                   "check mark or a cross.",                                                       \
            .example = "true")

/* Each route gets from its bot what it does not say; `handler` becomes the last route. */
void gw_routes_complete(struct gw_binder *b, const struct gw_slot *routes,
                        struct gw_bot_config *bot);
/* Checks the words of allowed_users and its like. */
void gw_check_users(struct gw_binder *b, const struct gw_slot *slot,
                    const struct gw_strings *users);

#endif
