/*
 * The reading connection and its statements. A query is SQL text and what is bound to it; the same
 * text is prepared once. Loop's thread only.
 */
#ifndef MW_STORE_READER_H
#define MW_STORE_READER_H

#include <sqlite3.h>

#include "base/error.h"
#include "base/map.h"

struct mw_reader {
    sqlite3 *db;
    struct mw_map statements; /* SQL text -> sqlite3_stmt */
};

int mw_reader_open(struct mw_reader *r, const char *path, struct mw_error *err);
void mw_reader_close(struct mw_reader *r);

/* A statement at work. */
struct mw_query {
    struct mw_reader *reader;
    sqlite3_stmt *st;
    bool cached; /* else it is finalized at the end */
    int code;    /* SQLite's last one */
};

/* Returns 0 or a negative errno. Queries can be nested, also with the same text. */
int mw_query_begin(struct mw_query *q, struct mw_reader *r, const char *sql, struct mw_error *err);
void mw_query_int(struct mw_query *q, const char *name, int64_t value);
void mw_query_text(struct mw_query *q, const char *name, const char *value);
/* True while there is a row; its columns are read from q->st. */
bool mw_query_next(struct mw_query *q);
/* Returns 0, or a negative errno when reading failed. */
int mw_query_end(struct mw_query *q, struct mw_error *err);

#endif
