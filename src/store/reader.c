#include "store/reader.h"

#include "store/db.h"

/* More shapes of queries than a daemon has; a limit all the same. */
#define MAX_STATEMENTS 128

static void finalize(void *st)
{
    sqlite3_finalize(st);
}

int mw_reader_open(struct mw_reader *r, const char *path, struct mw_error *err)
{
    *r = (struct mw_reader){0};
    mw_map_init(&r->statements, finalize);
    return mw_db_open(path, true, &r->db, err);
}

void mw_reader_close(struct mw_reader *r)
{
    mw_map_deinit(&r->statements);
    sqlite3_close(take_ptr(r->db));
}

int mw_query_begin(struct mw_query *q, struct mw_reader *r, const char *sql, struct mw_error *err)
{
    sqlite3_stmt *st = mw_map_get(&r->statements, sql);
    int code;

    *q = (struct mw_query){.reader = r, .st = st, .cached = true};
    if (st && !sqlite3_stmt_busy(st))
        return 0;
    code = mw_db_prepare(r->db, sql, &q->st, err);
    if (code < 0)
        return code;
    /* A busy one stays in the map; so does nothing more when it is full. */
    q->cached =
        !st && r->statements.count < MAX_STATEMENTS && mw_map_put(&r->statements, sql, q->st) == 0;
    return 0;
}

static int place(const struct mw_query *q, const char *name)
{
    return sqlite3_bind_parameter_index(q->st, name);
}

void mw_query_int(struct mw_query *q, const char *name, int64_t value)
{
    if (q->code == SQLITE_OK)
        q->code = sqlite3_bind_int64(q->st, place(q, name), value);
}

void mw_query_text(struct mw_query *q, const char *name, const char *value)
{
    /* Copied: a callback may change what the caller's filter points to. */
    if (q->code == SQLITE_OK)
        q->code = sqlite3_bind_text(q->st, place(q, name), value, -1, SQLITE_TRANSIENT);
}

bool mw_query_next(struct mw_query *q)
{
    if (q->code == SQLITE_OK || q->code == SQLITE_ROW)
        q->code = sqlite3_step(q->st);
    return q->code == SQLITE_ROW;
}

int mw_query_end(struct mw_query *q, struct mw_error *err)
{
    int r = 0;

    if (q->code != SQLITE_OK && q->code != SQLITE_ROW && q->code != SQLITE_DONE)
        r = mw_db_fail(q->reader->db, q->code, err);
    if (q->cached) {
        sqlite3_reset(q->st);
        sqlite3_clear_bindings(q->st);
    } else {
        sqlite3_finalize(q->st);
    }
    return r;
}
