#include "store/db.h"
#include "store/file.h"
#include "store/store_internal.h"

int mw_store_file(struct mw_store *s, const char *id, mw_file_row_cb cb, void *userdata)
{
    struct mw_query q;
    bool found;
    int r =
        mw_query_begin(&q, &s->reader,
                       "SELECT id, hash, name, type, size, used_at FROM file WHERE id = :id", NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":id", id);
    found = mw_query_next(&q);
    if (found) {
        const struct mw_file f = {
            .id = mw_db_text(q.st, 0),
            .hash = mw_db_text(q.st, 1),
            .name = mw_db_text(q.st, 2),
            .type = mw_db_text(q.st, 3),
            .size = sqlite3_column_int64(q.st, 4),
            .used_at = sqlite3_column_int64(q.st, 5),
        };

        cb(&f, userdata);
    }
    r = mw_query_end(&q, NULL);
    return r < 0 ? r : !found;
}

int mw_store_file_content(struct mw_store *s, const char *hash)
{
    struct mw_query q;
    bool found;
    int r = mw_query_begin(&q, &s->reader, "SELECT 1 FROM file WHERE hash = :hash LIMIT 1", NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":hash", hash);
    found = mw_query_next(&q);
    r = mw_query_end(&q, NULL);
    return r < 0 ? r : !found;
}

int mw_store_file_totals(struct mw_store *s, int64_t *ret_count, int64_t *ret_bytes)
{
    struct mw_query q;
    int r = mw_query_begin(&q, &s->reader,
                           "SELECT count(*), coalesce(sum(size), 0) FROM"
                           " (SELECT max(size) AS size FROM file GROUP BY hash)",
                           NULL);

    if (r < 0)
        return r;
    if (mw_query_next(&q)) {
        *ret_count = sqlite3_column_int64(q.st, 0);
        *ret_bytes = sqlite3_column_int64(q.st, 1);
    }
    return mw_query_end(&q, NULL);
}

int mw_store_file_idle(struct mw_store *s, mw_file_idle_cb cb, void *userdata)
{
    struct mw_query q;
    int r = mw_query_begin(
        &q, &s->reader,
        "SELECT hash, max(size) FROM file WHERE hash NOT IN"
        " (SELECT f.hash FROM task t JOIN event e ON e.id = t.event_id"
        "  JOIN json_each(iif(json_valid(e.files), e.files, '[]')) j JOIN file f ON f.id = j.value"
        "  WHERE t.state = 1 AND t.state IN (1, 3))"
        " GROUP BY hash ORDER BY max(used_at), hash",
        NULL);

    if (r < 0)
        return r;
    while (mw_query_next(&q))
        if (!cb(mw_db_text(q.st, 0), sqlite3_column_int64(q.st, 1), userdata))
            break;
    return mw_query_end(&q, NULL);
}
