/*
 * One table a struct says how it becomes JSON and back: on the wire (with the differences between
 * server versions and readers) and in the database. Strings in a struct are owned by it.
 */
#ifndef SB_FIELDS_H
#define SB_FIELDS_H

#include "base/json.h"

enum sb_type {
    SB_STR,   /* char *, NULL = "" */
    SB_CHARS, /* char[MW_ID_SIZE] */
    SB_I64,   /* int64_t */
    SB_BOOL,  /* bool */
    SB_RAW,   /* char * holding JSON text; `text` when NULL */
    SB_CONST, /* always `text`; not read */
};

enum sb_field_flags {
    SB_OMIT = 1,  /* left out when empty, 0 or false */
    SB_NEW = 2,   /* not in the 5.37 shapes */
    SB_OLD = 4,   /* only in the 5.37 shapes */
    SB_KEEP = 8,  /* only in the database */
    SB_OWN = 16,  /* only for the person itself and admins */
    SB_WIRE = 32, /* not in the database */
};

enum sb_view { /* what a piece of JSON is for; a set */
               SB_VIEW_OLD = 1,
               SB_VIEW_OWN = 2,
               SB_VIEW_STORE = 4,
};

struct sb_field {
    const char *key;
    enum sb_type type;
    unsigned flags;
    size_t offset;
    const char *text;
};

#define SB_FIELD(strct, member, kind, opts)                                                        \
    {                                                                                              \
#member, kind, opts, offsetof(struct strct, member), NULL                                  \
    }
#define SB_FIELD_RAW(strct, member, opts, fallback)                                                \
    {                                                                                              \
#member, SB_RAW, opts, offsetof(struct strct, member), fallback                            \
    }
#define SB_FIELD_CONST(key, opts, value)                                                           \
    {                                                                                              \
        key, SB_CONST, opts, 0, value                                                              \
    }
#define SB_FIELD_END                                                                               \
    {                                                                                              \
        NULL, SB_CONST, 0, 0, NULL                                                                 \
    }

/* Appends `"a":1,"b":2` without braces. Errors stick in the buffer. */
void sb_write_fields(struct mw_buf *b, const struct sb_field *fields, const void *obj,
                     unsigned view);
/* The same with braces. */
void sb_write_object(struct mw_buf *b, const struct sb_field *fields, const void *obj,
                     unsigned view);
/* Sets every member that `json` has with the right type. Returns 0 or -ENOMEM. */
int sb_read_fields(const struct sb_field *fields, void *obj, const cJSON *json);
/* Frees every string of the struct. */
void sb_free_fields(const struct sb_field *fields, void *obj);

/* Appends `"key":` and a JSON string. */
void sb_put_str(struct mw_buf *b, const char *key, const char *value);

#endif
