#include "store/db.h"

#include "base/str.h"

static const struct {
    int code;
    int error;
    const char *text; /* NULL = SQLite's own words */
} errors[] = {
    {SQLITE_FULL, -ENOSPC, "the disk is full"},
    {SQLITE_BUSY, -EBUSY, "another process has locked the database"},
    {SQLITE_LOCKED, -EBUSY, "the database is locked"},
    {SQLITE_READONLY, -EROFS, "the database is read-only"},
    {SQLITE_NOMEM, -ENOMEM, "out of memory"},
    {SQLITE_CORRUPT, -EUCLEAN, "the database is damaged"},
    {SQLITE_NOTADB, -EINVAL, "the file is not a database"},
    {SQLITE_CONSTRAINT, -EINVAL, NULL},
    {SQLITE_MISMATCH, -EINVAL, NULL},
    {SQLITE_TOOBIG, -E2BIG, "a value is too large for the database"},
    {SQLITE_PERM, -EACCES, NULL},
    {SQLITE_CANTOPEN, -EIO, "the database files cannot be opened"},
};

int mw_db_errno(int code)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(errors); i++)
        if (errors[i].code == (code & 0xff))
            return errors[i].error;
    return -EIO;
}

const char *mw_db_reason(sqlite3 *db, int code)
{
    int os = db ? sqlite3_system_errno(db) : 0;

    /* Disk errors: the system's words say more than SQLite's. */
    if ((code & 0xff) == SQLITE_IOERR && os > 0)
        return strerror(os);
    for (size_t i = 0; i < MW_ARRAY_LEN(errors); i++)
        if (errors[i].code == (code & 0xff) && errors[i].text)
            return errors[i].text;
    return db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
}

int mw_db_fail(sqlite3 *db, int code, struct mw_error *err)
{
    return mw_error_set(err, mw_db_errno(code), "%s", mw_db_reason(db, code));
}

int mw_db_exec(sqlite3 *db, const char *sql, struct mw_error *err)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? 0 : mw_db_fail(db, code, err);
}

int mw_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct mw_error *err)
{
    int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);

    return code == SQLITE_OK ? 0 : mw_db_fail(db, code, err);
}

int mw_db_int(sqlite3 *db, const char *sql, int64_t *ret, struct mw_error *err)
{
    sqlite3_stmt *st;
    int code, r = mw_db_prepare(db, sql, &st, err);

    if (r < 0)
        return r;
    code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    else if (code != SQLITE_DONE)
        r = mw_db_fail(db, code, err);
    sqlite3_finalize(st);
    return r;
}

int mw_db_open(const char *path, bool read_only, sqlite3 **ret, struct mw_error *err)
{
    MW_AUTODB *db = NULL;
    int code, r;

    /* SQLite gives names such as ":memory:" a meaning of their own, but no path with a slash. */
    MW_AUTOFREE char *local = strchr(path, '/') ? strdup(path) : mw_asprintf("./%s", path);

    if (!local)
        return mw_error_set(err, -ENOMEM, "out of memory");
    code = sqlite3_open_v2(local, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return mw_db_fail(db, code, err);
    sqlite3_extended_result_codes(db, 1);
    /* Short locks of others (a backup, a look with another tool) are waited out, not reported. */
    sqlite3_busy_timeout(db, 250);
    r = mw_db_exec(db, read_only ? "PRAGMA query_only = 1" : "PRAGMA temp_store = memory", err);
    if (r < 0)
        return r;
    *ret = take_ptr(db);
    return 0;
}
