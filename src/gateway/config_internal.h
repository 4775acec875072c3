/* Between the files config*.c: the state of one binding. */
#ifndef MW_GATEWAY_CONFIG_INTERNAL_H
#define MW_GATEWAY_CONFIG_INTERNAL_H

#include <libfyaml.h>

#include "gateway/config.h"
#include "gateway/config_schema.h"

struct gw_mark {
    unsigned line, column; /* from 1; 0 = unknown */
};

/* What a section of the file says about one key. */
struct gw_slot {
    struct gw_mark key, value;
    bool present;
    struct fy_node *node; /* the value; NULL also for `key:` with nothing behind it */
    bool from_file;       /* given as NAME_file */
    bool misspelt;        /* absent, but an unknown key comes close: that is problem enough */
};

struct gw_binder {
    const char *path;
    char *dir; /* folder of the config file, absolute */
    struct gw_problems *problems;
    size_t limit;           /* of problems */
    size_t dropped;         /* problems over it */
    struct gw_mark section; /* where the section that is being bound begins */
    int error;              /* 0 or -ENOMEM */
};

/* Records a problem; sets b->error when memory ran out. */
void gw_problem_add(struct gw_binder *b, struct gw_mark at, const char *fmt, ...) MW_PRINTF(3, 4);

/* Binds a mapping (NULL = an absent one: defaults only) to a struct that is all zero. */
void gw_bind_section(struct gw_binder *b, const struct gw_section *s, struct fy_node *node,
                     struct gw_mark at, void *target);

/* Frees what the rows of a section own; compares the values of two structs. */
void gw_section_deinit(const struct gw_section *s, void *target);
bool gw_section_equal(const struct gw_section *s, const void *a, const void *b);

/* Where the item `i` of a sequence begins. */
struct gw_mark gw_item_mark(const struct gw_slot *slot, size_t i);
/* Where a node begins: a scalar itself, else the first scalar in it. */
struct gw_mark gw_node_mark(struct fy_node *node, struct gw_mark fallback);

/* Replaces $NAME, ${NAME} and $$. Returns the text, or NULL: then a problem or b->error is set. */
char *gw_expand(struct gw_binder *b, struct gw_mark at, const char *text, size_t len);
/* Makes a path absolute ("~/x" too). Returns it, or NULL with b->error. */
char *gw_absolute_path(struct gw_binder *b, const char *path);
/* Reads a secret from its file. NULL: a problem or b->error is set. */
char *gw_secret_read(struct gw_binder *b, struct gw_mark at, const char *path);
/* Checks that a file is readable and, if `private`, that others cannot read it. */
bool gw_file_check(struct gw_binder *b, struct gw_mark at, const char *path, bool private_file);
/* Checks an http(s) address. Problems are recorded. */
void gw_url_check(struct gw_binder *b, struct gw_mark at, const char *key, const char *url);

/* NULL when memory ran out or there is no home folder. */
char *gw_default_database(void);

#endif
