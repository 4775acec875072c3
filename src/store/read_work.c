/* Queries of everything but the journal: positions, consumers, tasks, outbox, state. */
#include <stdio.h>

#include "base/str.h"
#include "store/db.h"
#include "store/store_internal.h"

int mw_store_position(struct mw_store *s, const char *bot, const char *channel_id,
                      struct mw_position *ret)
{
    struct mw_query q;
    bool found;
    int r = mw_query_begin(&q, &s->reader,
                           "SELECT seen_at, post_id, post_at, confirmed, first_at FROM position"
                           " WHERE bot_id = (SELECT id FROM bot WHERE name = :bot)"
                           " AND channel_id = :channel",
                           NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":bot", bot);
    mw_query_text(&q, ":channel", channel_id);
    found = mw_query_next(&q);
    if (found) {
        *ret = (struct mw_position){
            .seen_at = sqlite3_column_int64(q.st, 0),
            .post_at = sqlite3_column_int64(q.st, 2),
            .confirmed = sqlite3_column_int(q.st, 3),
            .from_at = sqlite3_column_int64(q.st, 4),
        };
        snprintf(ret->post_id, sizeof(ret->post_id), "%s", mw_db_text(q.st, 1));
    }
    r = mw_query_end(&q, NULL);
    return r < 0 ? r : !found;
}

int mw_store_cursor(struct mw_store *s, const char *consumer, int64_t *ret)
{
    struct mw_query q;
    bool found;
    int r =
        mw_query_begin(&q, &s->reader, "SELECT position FROM cursor WHERE consumer = :name", NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":name", consumer);
    found = mw_query_next(&q);
    if (found)
        *ret = sqlite3_column_int64(q.st, 0);
    r = mw_query_end(&q, NULL);
    return r < 0 ? r : !found;
}

int mw_store_cursors(struct mw_store *s, mw_cursor_row_cb cb, void *userdata)
{
    struct mw_query q;
    int r =
        mw_query_begin(&q, &s->reader,
                       "SELECT consumer, position, updated_at FROM cursor ORDER BY consumer", NULL);

    if (r < 0)
        return r;
    while (mw_query_next(&q))
        if (!cb(mw_db_text(q.st, 0), sqlite3_column_int64(q.st, 1), sqlite3_column_int64(q.st, 2),
                userdata))
            break;
    return mw_query_end(&q, NULL);
}

int mw_store_get(struct mw_store *s, const char *scope, const char *key, char **ret)
{
    char *value = NULL;
    struct mw_query q;
    bool found;
    int r = mw_query_begin(&q, &s->reader,
                           "SELECT value FROM kv WHERE scope = :scope AND key = :key", NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":scope", scope);
    mw_query_text(&q, ":key", key);
    found = mw_query_next(&q);
    if (found)
        value = strdup(mw_db_text(q.st, 0));
    r = mw_query_end(&q, NULL);
    if (r == 0 && found && !value)
        r = -ENOMEM;
    if (r < 0) {
        free(value);
        return r;
    }
    if (!found)
        return 1;
    *ret = value;
    return 0;
}

int mw_store_usage(struct mw_store *s, const char *scope, int64_t *ret_keys, int64_t *ret_bytes)
{
    struct mw_query q;
    int r = mw_query_begin(&q, &s->reader,
                           "SELECT count(*), coalesce(sum(length(CAST(key AS BLOB)) +"
                           " length(CAST(value AS BLOB))), 0) FROM kv WHERE scope = :scope",
                           NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":scope", scope);
    if (mw_query_next(&q)) {
        *ret_keys = sqlite3_column_int64(q.st, 0);
        *ret_bytes = sqlite3_column_int64(q.st, 1);
    }
    return mw_query_end(&q, NULL);
}

/* ---- Tasks and outbox. A partial index is only used when its condition stands in the query. ----
 */

#define TASK_OVER   (1u << MW_TASK_DONE | 1u << MW_TASK_DROPPED)
#define TASK_OPEN   " AND state IN (1, 3)"
#define OUTBOX_OVER (1u << MW_OUTBOX_SENT | 1u << MW_OUTBOX_DROPPED)
#define OUTBOX_OPEN " AND state IN (1, 2, 4)"

struct list {
    const char *sql; /* SELECT ... FROM ... */
    const char *bot; /* NULL = any */
    unsigned states; /* bit set, 0 = all */
    unsigned over;   /* the states that the index leaves out, a bit set */
    const char *open;
    int64_t after_id;
    int64_t event_id; /* 0 = any */
    unsigned limit;   /* 0 = 1000 */
};

static void put_states(struct mw_buf *b, const struct list *l)
{
    const char *separator = "";

    if (!l->states)
        return;
    mw_buf_puts(b, " AND state IN (");
    for (unsigned i = 0; i < 8; i++)
        if (l->states & 1u << i) {
            mw_buf_printf(b, "%s%u", separator, i);
            separator = ", ";
        }
    mw_buf_puts(b, ")");
    if (!(l->states & l->over))
        mw_buf_puts(b, l->open);
}

static int list_begin(struct mw_query *q, struct mw_store *s, const struct list *l)
{
    MW_AUTOBUF sql = {0};
    int r;

    mw_buf_init(&sql, 0);
    mw_buf_puts(&sql, l->sql);
    mw_buf_puts(&sql, " WHERE id > :after");
    put_states(&sql, l);
    if (l->bot)
        mw_buf_puts(&sql, " AND bot = :bot");
    if (l->event_id)
        mw_buf_puts(&sql, " AND event_id = :event");
    mw_buf_puts(&sql, " ORDER BY id LIMIT :limit");
    if (mw_buf_error(&sql))
        return mw_buf_error(&sql);
    r = mw_query_begin(q, &s->reader, mw_buf_str(&sql), NULL);
    if (r < 0)
        return r;
    mw_query_int(q, ":after", l->after_id);
    mw_query_int(q, ":limit", l->limit ? l->limit : 1000);
    if (l->bot)
        mw_query_text(q, ":bot", l->bot);
    if (l->event_id)
        mw_query_int(q, ":event", l->event_id);
    return 0;
}

static int count(struct mw_store *s, const struct list *l, int64_t *ret)
{
    struct mw_query q;
    MW_AUTOBUF sql = {0};
    int r;

    mw_buf_init(&sql, 0);
    mw_buf_puts(&sql, l->sql);
    mw_buf_puts(&sql, " WHERE 1");
    put_states(&sql, l);
    if (l->bot)
        mw_buf_puts(&sql, " AND bot = :bot");
    if (mw_buf_error(&sql))
        return mw_buf_error(&sql);
    r = mw_query_begin(&q, &s->reader, mw_buf_str(&sql), NULL);
    if (r < 0)
        return r;
    if (l->bot)
        mw_query_text(&q, ":bot", l->bot);
    if (mw_query_next(&q))
        *ret = sqlite3_column_int64(q.st, 0);
    return mw_query_end(&q, NULL);
}

#define SELECT_TASK                                                                                \
    "SELECT id, event_id, bot, handler, conversation, state, attempts, failures, not_before,"      \
    " error, created_at, updated_at FROM task"

static int list_tasks(struct mw_store *s, const struct list *l, mw_task_row_cb cb, void *userdata)
{
    struct mw_query q;
    int r = list_begin(&q, s, l);

    if (r < 0)
        return r;
    while (mw_query_next(&q)) {
        const struct mw_task t = {
            .id = sqlite3_column_int64(q.st, 0),
            .event_id = sqlite3_column_int64(q.st, 1),
            .bot = mw_db_text(q.st, 2),
            .handler = mw_db_text(q.st, 3),
            .conversation = mw_db_text(q.st, 4),
            .state = (enum mw_task_state)sqlite3_column_int(q.st, 5),
            .attempts = sqlite3_column_int(q.st, 6),
            .failures = sqlite3_column_int(q.st, 7),
            .not_before = sqlite3_column_int64(q.st, 8),
            .error = mw_db_text(q.st, 9),
            .created_at = sqlite3_column_int64(q.st, 10),
            .updated_at = sqlite3_column_int64(q.st, 11),
        };

        if (!cb(&t, userdata))
            break;
    }
    return mw_query_end(&q, NULL);
}

int mw_store_tasks(struct mw_store *s, const char *bot, enum mw_task_state state, int64_t after_id,
                   unsigned limit, mw_task_row_cb cb, void *userdata)
{
    const struct list l = {
        .sql = SELECT_TASK,
        .bot = bot,
        .states = state ? 1u << state : 0,
        .over = TASK_OVER,
        .open = TASK_OPEN,
        .after_id = after_id,
        .limit = limit,
    };

    return list_tasks(s, &l, cb, userdata);
}

int mw_store_event_tasks(struct mw_store *s, int64_t event_id, bool all, mw_task_row_cb cb,
                         void *userdata)
{
    const struct list l = {
        .sql = SELECT_TASK,
        .states = all ? 0 : 1u << MW_TASK_PENDING | 1u << MW_TASK_FAILED,
        .over = TASK_OVER,
        .open = TASK_OPEN,
        .event_id = event_id,
    };

    return list_tasks(s, &l, cb, userdata);
}

int mw_store_task_count(struct mw_store *s, const char *bot, enum mw_task_state state, int64_t *ret)
{
    return count(s,
                 &(const struct list){.sql = "SELECT count(*) FROM task",
                                      .bot = bot,
                                      .states = state ? 1u << state : 0,
                                      .over = TASK_OVER,
                                      .open = TASK_OPEN},
                 ret);
}

#define SELECT_OUTBOX                                                                              \
    "SELECT id, bot, key, kind, conversation, channel_id, payload, event_id, state, attempts,"     \
    " not_before, first_tried_at, result_id, error, created_at, updated_at FROM outbox"

static void read_outbox(sqlite3_stmt *st, struct mw_outbox *ret)
{
    *ret = (struct mw_outbox){
        .id = sqlite3_column_int64(st, 0),
        .bot = mw_db_text(st, 1),
        .key = mw_db_text(st, 2),
        .kind = mw_db_text(st, 3),
        .conversation = mw_db_text(st, 4),
        .channel_id = mw_db_text(st, 5),
        .payload = mw_db_text(st, 6),
        .event_id = sqlite3_column_int64(st, 7),
        .state = (enum mw_outbox_state)sqlite3_column_int(st, 8),
        .attempts = sqlite3_column_int(st, 9),
        .not_before = sqlite3_column_int64(st, 10),
        .first_tried_at = sqlite3_column_int64(st, 11),
        .result_id = mw_db_text(st, 12),
        .error = mw_db_text(st, 13),
        .created_at = sqlite3_column_int64(st, 14),
        .updated_at = sqlite3_column_int64(st, 15),
    };
}

int mw_store_outbox(struct mw_store *s, const char *bot, unsigned states, int64_t after_id,
                    unsigned limit, mw_outbox_row_cb cb, void *userdata)
{
    const struct list l = {
        .sql = SELECT_OUTBOX,
        .bot = bot,
        .states = states,
        .over = OUTBOX_OVER,
        .open = OUTBOX_OPEN,
        .after_id = after_id,
        .limit = limit,
    };
    struct mw_outbox o;
    struct mw_query q;
    int r = list_begin(&q, s, &l);

    if (r < 0)
        return r;
    while (mw_query_next(&q)) {
        read_outbox(q.st, &o);
        if (!cb(&o, userdata))
            break;
    }
    return mw_query_end(&q, NULL);
}

/* The one row of a query that is bound already. */
static int one_outbox(struct mw_query *q, mw_outbox_row_cb cb, void *userdata)
{
    struct mw_outbox o;
    bool found = mw_query_next(q);
    int r;

    if (found) {
        read_outbox(q->st, &o);
        cb(&o, userdata);
    }
    r = mw_query_end(q, NULL);
    return r < 0 ? r : !found;
}

int mw_store_outbox_row(struct mw_store *s, int64_t id, mw_outbox_row_cb cb, void *userdata)
{
    struct mw_query q;
    int r = mw_query_begin(&q, &s->reader, SELECT_OUTBOX " WHERE id = :id", NULL);

    if (r < 0)
        return r;
    mw_query_int(&q, ":id", id);
    return one_outbox(&q, cb, userdata);
}

int mw_store_outbox_key(struct mw_store *s, const char *bot, const char *key, mw_outbox_row_cb cb,
                        void *userdata)
{
    struct mw_query q;
    int r = mw_query_begin(&q, &s->reader, SELECT_OUTBOX " WHERE bot = :bot AND key = :key", NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":bot", bot);
    mw_query_text(&q, ":key", key);
    return one_outbox(&q, cb, userdata);
}

int mw_store_outbox_count(struct mw_store *s, const char *bot, enum mw_outbox_state state,
                          int64_t *ret)
{
    return count(s,
                 &(const struct list){.sql = "SELECT count(*) FROM outbox",
                                      .bot = bot,
                                      .states = state ? 1u << state : 0,
                                      .over = OUTBOX_OVER,
                                      .open = OUTBOX_OPEN},
                 ret);
}

int mw_store_outbox_overdue(struct mw_store *s, const char *bot, int64_t before, int64_t *ret,
                            int64_t *ret_oldest)
{
    struct mw_query q;
    int r = mw_query_begin(&q, &s->reader,
                           "SELECT count(*), coalesce(min(created_at), 0) FROM outbox"
                           " WHERE state IN (1, 2)" OUTBOX_OPEN
                           " AND bot = :bot AND created_at < :before",
                           NULL);

    if (r < 0)
        return r;
    mw_query_text(&q, ":bot", bot);
    mw_query_int(&q, ":before", before);
    if (mw_query_next(&q)) {
        *ret = sqlite3_column_int64(q.st, 0);
        *ret_oldest = sqlite3_column_int64(q.st, 1);
    }
    return mw_query_end(&q, NULL);
}
