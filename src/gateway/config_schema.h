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

/* ---- Its parts: config_schema.c, config_handlers.c ---- */

extern const struct gw_section gw_tls_section, gw_handler_section;

#define GW_KEY(struct_, member_, type_, ...)                                                       \
    {                                                                                              \
        .name = #member_, .type = (type_), .offset = offsetof(struct struct_, member_),            \
        ##__VA_ARGS__                                                                              \
    }
/* A duration: the member is called NAME_ms. */
#define GW_KEY_MS(struct_, name_, ...)                                                             \
    {                                                                                              \
        .name = #name_, .type = GW_KEY_DURATION, .offset = offsetof(struct struct_, name_##_ms),   \
        ##__VA_ARGS__                                                                              \
    }

struct gw_mark;
/* The slot of a key in `slots`, which go with `s`. */
const struct gw_slot *gw_slot_of(const struct gw_section *s, const struct gw_slot *slots,
                                 const char *name);
/* Names of bots and handlers show up in file names, logs and on command lines. */
void gw_check_name(struct gw_binder *b, struct gw_mark at, const char *what, const char *name);

#endif
