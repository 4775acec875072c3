/* What the store needs of SQLite: connections, statements, errors. One connection belongs to one
 * thread. */
#ifndef MW_STORE_DB_H
#define MW_STORE_DB_H

#include <sqlite3.h>

#include "base/error.h"

MW_DEFINE_CLEANUP(sqlite3 *, sqlite3_close, mw_db_close_p)
#define MW_AUTODB MW_CLEANUP(mw_db_close_p) sqlite3

/* Opens an existing file. */
int mw_db_open(const char *path, bool read_only, sqlite3 **ret, struct mw_error *err);

/* The negative errno for an SQLite result code. */
int mw_db_errno(int code);

/* What went wrong last, in a few words for a person; static or valid until the next call on db. */
const char *mw_db_reason(sqlite3 *db, int code);

/* Sets err from the connection's last failure and returns the negative errno. */
int mw_db_fail(sqlite3 *db, int code, struct mw_error *err);

/* Runs statements that give no rows, or whose rows are of no interest. */
int mw_db_exec(sqlite3 *db, const char *sql, struct mw_error *err);

/* The first column of the first row. */
int mw_db_int(sqlite3 *db, const char *sql, int64_t *ret, struct mw_error *err);

int mw_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct mw_error *err);

/* A text column, never NULL. */
static inline const char *mw_db_text(sqlite3_stmt *st, int column)
{
    const char *s = (const char *)sqlite3_column_text(st, column);

    return s ? s : "";
}

#endif
