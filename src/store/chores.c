#include "store/chores.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/macros.h"
#include "store/db.h"
#include "store/event.h"

/* Indexing costs about 0.3 us a byte, so a step takes some milliseconds. */
#define STEP_ROWS      500
#define STEP_TEXT      (8u << 10)
#define DELETE_COST    100 /* of a row, in bytes of text */
#define QUIET_MS       50  /* without a commit before a step is taken */
#define LAG_MS         250 /* at the most, while commits keep coming */
#define BUSY_SHARE     20
#define RETRY_MS       1000
#define RETRY_LIMIT_MS 60000

static const char *const sql[MW_CH_COUNT] = {
    [MW_CH_BEGIN] = "BEGIN IMMEDIATE",
    [MW_CH_COMMIT] = "COMMIT",
    [MW_CH_INDEXED] = "SELECT value FROM background WHERE name = 'indexed'",
    [MW_CH_SET_INDEXED] = "INSERT INTO background (name, value) VALUES ('indexed', ?)"
                          " ON CONFLICT DO UPDATE SET value = excluded.value",
    [MW_CH_READ] = "SELECT id, bot_id, kind, text FROM event WHERE id > ? ORDER BY id LIMIT ?",
    [MW_CH_INDEX] = "INSERT INTO search (rowid, text) VALUES (?, ?)",
    [MW_CH_UNINDEX] = "INSERT INTO search (search, rowid, text) VALUES ('delete', ?, ?)",
    [MW_CH_COUNTED] = "SELECT id, kept FROM bot",
    [MW_CH_KEPT] = "UPDATE bot SET kept = ? WHERE id = ?",
    [MW_CH_WALK] = "SELECT id, bot_id, kind, at, received_at, known_edit, channel_id, text"
                   " FROM event WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
    /* Both lists are short: what is under way, and what failed and waits for a person. */
    [MW_CH_HELD] = "SELECT 1 WHERE ?1 IN (SELECT event_id FROM task WHERE state IN (1, 3))"
                   " OR ?1 IN (SELECT event_id FROM outbox WHERE state IN (1, 2, 4))",
    [MW_CH_DELETE] = "DELETE FROM event WHERE id = ?",
    [MW_CH_HORIZON] = "INSERT INTO pruned (bot_id, channel_id, at) VALUES (?, ?, ?)"
                      " ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
    [MW_CH_LOWEST_CURSOR] = "SELECT coalesce(min(position), 9223372036854775807) FROM cursor",
    [MW_CH_NEXT] = "SELECT received_at FROM event WHERE id > ? ORDER BY id LIMIT 1",
    [MW_CH_OLD_TASKS] = "DELETE FROM task WHERE id IN (SELECT id FROM task"
                        " WHERE state IN (2, 4) AND updated_at < ?1 ORDER BY updated_at LIMIT ?2)",
    [MW_CH_OLD_OUTBOX] = "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
                         " WHERE state IN (3, 5) AND updated_at < ?1 ORDER BY updated_at LIMIT ?2)",
    [MW_CH_EXPIRED] = "DELETE FROM kv WHERE (scope, key) IN (SELECT scope, key FROM kv"
                      " WHERE expires_at != 0 AND expires_at < ?1 LIMIT ?2)",
};

int mw_chores_init(struct mw_chores *c, sqlite3 *db, const struct mw_retention *keep, bool full,
                   int64_t newest, struct mw_error *err)
{
    int r;

    *c = (struct mw_chores){
        .db = db,
        .keep = *keep,
        .full = full,
        .newest = newest,
        .next_at = mw_clock_mono() + QUIET_MS,
        .overdue_at = INT64_MAX,
    };
    for (size_t i = 0; i < MW_CH_COUNT; i++)
        if ((r = mw_db_prepare(db, sql[i], &c->statements[i], err)) < 0) {
            mw_chores_deinit(c);
            return r;
        }
    return 0;
}

void mw_chores_deinit(struct mw_chores *c)
{
    for (size_t i = 0; i < MW_CH_COUNT; i++)
        sqlite3_finalize(c->statements[i]);
    free(c->bots);
    *c = (struct mw_chores){0};
}

/* Runs a statement with up to three numbers to its end; the first column, if any, goes to ret. */
static int run(struct mw_chores *c, enum mw_chore_statement which, const int64_t *values, int n,
               int64_t *ret)
{
    sqlite3_stmt *st = c->statements[which];
    int code;

    for (int i = 0; i < n; i++)
        sqlite3_bind_int64(st, i + 1, values[i]);
    code = sqlite3_step(st);
    if (code == SQLITE_ROW && ret)
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

#define RUN(c, which, ret, ...)                                                                    \
    run((c), (which), (const int64_t[]){__VA_ARGS__},                                              \
        (int)MW_ARRAY_LEN(((const int64_t[]){__VA_ARGS__})), (ret))

/* ---- Bots ---- */

static struct mw_chore_bot *bot_of(struct mw_chores *c, int64_t number)
{
    if (number < 0 || number >= INT32_MAX)
        return NULL;
    if ((size_t)number >= c->n_bots) {
        size_t n = (size_t)number + 16;
        struct mw_chore_bot *grown = realloc(c->bots, n * sizeof(*grown));

        if (!grown)
            return NULL;
        for (size_t i = c->n_bots; i < n; i++)
            grown[i] = (struct mw_chore_bot){0};
        c->bots = grown;
        c->n_bots = n;
    }
    return &c->bots[number];
}

static int load(struct mw_chores *c)
{
    sqlite3_stmt *st = c->statements[MW_CH_COUNTED];
    int code;

    c->n_bots = 0;
    c->report.indexed_id = 0;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        struct mw_chore_bot *b = bot_of(c, sqlite3_column_int64(st, 0));

        if (!b) {
            code = SQLITE_NOMEM;
            break;
        }
        b->kept = sqlite3_column_int64(st, 1);
    }
    sqlite3_reset(st);
    if (code == SQLITE_DONE)
        code = run(c, MW_CH_INDEXED, NULL, 0, &c->report.indexed_id);
    c->loaded = code == SQLITE_OK;
    return code;
}

static int store_kept(struct mw_chores *c, const int64_t *before, size_t n)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < c->n_bots && code == SQLITE_OK; i++)
        if (c->bots[i].kept != (i < n ? before[i] : 0))
            code = RUN(c, MW_CH_KEPT, NULL, c->bots[i].kept, (int64_t)i);
    return code;
}

/* ---- Index ---- */

static bool searchable(int kind)
{
    return kind == MW_EVENT_POST || kind == MW_EVENT_POST_EDITED;
}

static int put_text(struct mw_chores *c, enum mw_chore_statement which, int64_t id,
                    sqlite3_stmt *row, int column)
{
    sqlite3_stmt *st = c->statements[which];
    int code;

    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_text(st, 2, mw_db_text(row, column), sqlite3_column_bytes(row, column),
                      SQLITE_STATIC);
    code = sqlite3_step(st);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int index_some(struct mw_chores *c)
{
    sqlite3_stmt *st = c->statements[MW_CH_READ];
    int64_t at = c->report.indexed_id;
    size_t text = 0;
    int code;

    sqlite3_bind_int64(st, 1, at);
    sqlite3_bind_int64(st, 2, STEP_ROWS);
    while (text < STEP_TEXT && (code = sqlite3_step(st)) == SQLITE_ROW) {
        struct mw_chore_bot *b = bot_of(c, sqlite3_column_int64(st, 1));
        int len = sqlite3_column_bytes(st, 3);

        code = b ? SQLITE_OK : SQLITE_NOMEM;
        at = sqlite3_column_int64(st, 0);
        if (code == SQLITE_OK && len > 0 && searchable(sqlite3_column_int(st, 2)))
            code = put_text(c, MW_CH_INDEX, at, st, 3);
        if (code != SQLITE_OK)
            break;
        b->kept++;
        text += (size_t)len;
        code = SQLITE_DONE;
    }
    sqlite3_reset(st);
    if (code != SQLITE_DONE)
        return code;
    if (at == c->report.indexed_id) /* the newest rows are gone */
        at = c->newest;
    code = RUN(c, MW_CH_SET_INDEXED, NULL, at);
    if (code == SQLITE_OK)
        c->report.indexed_id = at;
    return code;
}

/* ---- Retention ---- */

/* Where a round begins: before it nothing can go. INT64_MAX when nothing is to be looked for. */
static int64_t round_start(struct mw_chores *c)
{
    int64_t from = INT64_MAX;

    for (size_t i = 0; i < c->n_bots; i++) {
        struct mw_chore_bot *b = &c->bots[i];

        b->stuck = false;
        b->quota = c->keep.keep_events > 0 ? MW_MAX(b->kept - c->keep.keep_events, 0) : 0;
        if (b->kept > 0 && (c->keep.keep_ms > 0 || b->quota > 0))
            from = MW_MIN(from, b->from);
    }
    return from;
}

static int begin_round(struct mw_chores *c)
{
    int64_t cursor = 0;
    int code = run(c, MW_CH_LOWEST_CURSOR, NULL, 0, &cursor);

    if (code != SQLITE_OK)
        return code;
    c->walked = round_start(c);
    c->round = c->walked < INT64_MAX ? MW_ROUND_EVENTS : MW_ROUND_WORK;
    c->barrier = MW_MIN(cursor, c->report.indexed_id);
    c->report.held = false;
    return SQLITE_OK;
}

static int drop_event(struct mw_chores *c, sqlite3_stmt *row, struct mw_chore_bot *b)
{
    const char *channel = mw_db_text(row, 6);
    int64_t id = sqlite3_column_int64(row, 0);
    int kind = sqlite3_column_int(row, 2), code = SQLITE_OK;
    int64_t horizon = MW_MAX(sqlite3_column_int64(row, 3), sqlite3_column_int64(row, 5));

    if (searchable(kind) && *mw_db_text(row, 7))
        code = put_text(c, MW_CH_UNINDEX, id, row, 7);
    if (code == SQLITE_OK && kind <= MW_EVENT_POST_DELETED && *channel) {
        sqlite3_bind_text(c->statements[MW_CH_HORIZON], 2, channel, -1, SQLITE_TRANSIENT);
        sqlite3_bind_int64(c->statements[MW_CH_HORIZON], 3, horizon);
        code = RUN(c, MW_CH_HORIZON, NULL, sqlite3_column_int64(row, 1));
    }
    if (code == SQLITE_OK)
        code = RUN(c, MW_CH_DELETE, NULL, id);
    if (code == SQLITE_OK) {
        b->kept--;
        c->report.pruned_events++;
    }
    return code;
}

static bool due(const struct mw_chores *c, const struct mw_chore_bot *b, int64_t age)
{
    return age >= c->keep.keep_at_least &&
           ((c->keep.keep_ms > 0 && age >= c->keep.keep_ms) || b->quota > 0);
}

/* One row of the walk, which may go. */
static int judge(struct mw_chores *c, sqlite3_stmt *row, struct mw_chore_bot *b, bool is_due)
{
    int64_t id = sqlite3_column_int64(row, 0), held = 0;
    int code = is_due ? RUN(c, MW_CH_HELD, &held, id) : SQLITE_OK;

    if (code == SQLITE_OK && is_due && !held) {
        b->quota -= b->quota > 0;
        code = drop_event(c, row, b);
    } else {
        b->stuck = true;
    }
    if (!b->stuck)
        b->from = id;
    return code;
}

static bool any_quota(const struct mw_chores *c)
{
    for (size_t i = 0; i < c->n_bots; i++)
        if (c->bots[i].quota > 0)
            return true;
    return false;
}

/* The walk came to what it must not pass: is there more behind it that should go? */
static int end_of_walk(struct mw_chores *c, int64_t now)
{
    struct mw_chore_bot any = {.quota = any_quota(c)};
    int64_t received = INT64_MAX;
    int code = SQLITE_OK;

    if (c->barrier < c->report.indexed_id)
        code = RUN(c, MW_CH_NEXT, &received, c->barrier);
    c->report.held = received < INT64_MAX && due(c, &any, now - received);
    c->round = MW_ROUND_WORK;
    return code;
}

static int prune_some(struct mw_chores *c)
{
    sqlite3_stmt *st = c->statements[MW_CH_WALK];
    bool any_due = false, any_old = false;
    int64_t now = mw_clock_now();
    int rows = 0, code = SQLITE_DONE;
    size_t cost = 0;

    sqlite3_bind_int64(st, 1, c->walked);
    sqlite3_bind_int64(st, 2, c->barrier);
    sqlite3_bind_int64(st, 3, STEP_ROWS);
    while (cost < STEP_TEXT && (code = sqlite3_step(st)) == SQLITE_ROW) {
        struct mw_chore_bot *b = bot_of(c, sqlite3_column_int64(st, 1));
        int64_t id = sqlite3_column_int64(st, 0), age = now - sqlite3_column_int64(st, 4);
        size_t len = (size_t)sqlite3_column_bytes(st, 7);
        bool is_due = b && due(c, b, age);

        code = b ? judge(c, st, b, is_due) : SQLITE_NOMEM;
        if (code != SQLITE_OK)
            break;
        c->walked = id;
        any_due |= is_due;
        any_old |= age >= c->keep.keep_at_least;
        rows++;
        cost += is_due ? len + DELETE_COST : 0;
        code = SQLITE_DONE;
    }
    sqlite3_reset(st);
    if (code != SQLITE_DONE)
        return code;
    if (cost < STEP_TEXT && rows < STEP_ROWS)
        return end_of_walk(c, now);
    /* Ids grow with the time of receipt: once a whole step is young, so is what follows, and only
     * what is too much for a bot can still be among it. */
    if (!any_due && !(any_old && any_quota(c)))
        c->round = MW_ROUND_WORK;
    return SQLITE_OK;
}

static int prune_work(struct mw_chores *c)
{
    int64_t now = mw_clock_now(), before = now - c->keep.keep_done_ms, gone = 0;
    int code = RUN(c, MW_CH_EXPIRED, NULL, now, STEP_ROWS);

    if (code == SQLITE_OK)
        gone = sqlite3_changes(c->db);
    if (code == SQLITE_OK && c->keep.keep_done_ms >= 0) {
        code = RUN(c, MW_CH_OLD_TASKS, NULL, before, STEP_ROWS);
        if (code == SQLITE_OK)
            gone += sqlite3_changes(c->db);
        if (code == SQLITE_OK)
            code = RUN(c, MW_CH_OLD_OUTBOX, NULL, before, STEP_ROWS);
        if (code == SQLITE_OK)
            gone += sqlite3_changes(c->db);
    }
    c->report.pruned_work += gone;
    if (code == SQLITE_OK && gone < STEP_ROWS)
        c->round = MW_ROUND_NONE;
    return code;
}

/* ---- Steps ---- */

static int work(struct mw_chores *c)
{
    if (c->report.indexed_id < c->newest)
        return index_some(c);
    if (c->round == MW_ROUND_EVENTS)
        return prune_some(c);
    return prune_work(c);
}

/* What a step of ours does to the counts is stored with it. */
static int counted_work(struct mw_chores *c)
{
    size_t n = c->n_bots;
    int64_t *before = calloc(n + 1, sizeof(*before));
    int code;

    if (!before)
        return SQLITE_NOMEM;
    for (size_t i = 0; i < n; i++)
        before[i] = c->bots[i].kept;
    code = work(c);
    if (code == SQLITE_OK)
        code = store_kept(c, before, n);
    free(before);
    return code;
}

static int step(struct mw_chores *c)
{
    struct mw_chores_report before = c->report;
    int code = c->loaded ? SQLITE_OK : load(c);

    if (code == SQLITE_OK)
        code = run(c, MW_CH_BEGIN, NULL, 0, NULL);
    if (code == SQLITE_OK)
        code = counted_work(c);
    if (code == SQLITE_OK)
        code = run(c, MW_CH_COMMIT, NULL, 0, NULL);
    if (code == SQLITE_OK) {
        c->report.trouble[0] = '\0';
        return code;
    }
    c->report = before;
    snprintf(c->report.trouble, sizeof(c->report.trouble), "%s", mw_db_reason(c->db, code));
    c->loaded = false;
    c->round = MW_ROUND_NONE;
    if (!sqlite3_get_autocommit(c->db))
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return code;
}

/* Sets when the next step is due. took: of the last one. */
static void plan(struct mw_chores *c, int64_t now, int64_t took)
{
    bool more = !c->loaded || c->report.indexed_id < c->newest || c->round != MW_ROUND_NONE;

    c->next_at = more ? now : c->next_round;
    c->overdue_at = more ? now + MW_MAX(took, 1) * BUSY_SHARE : INT64_MAX;
}

void mw_chores_committed(struct mw_chores *c, int64_t newest, int64_t now)
{
    if (newest)
        c->newest = newest;
    if (c->failures)
        return;
    if (c->report.indexed_id < c->newest || c->round != MW_ROUND_NONE)
        c->next_at = now + QUIET_MS;
    if (c->report.indexed_id < c->newest && c->overdue_at == INT64_MAX)
        c->overdue_at = now + LAG_MS;
}

void mw_chores_step(struct mw_chores *c, int64_t now)
{
    int64_t end;
    int code = SQLITE_OK;

    if (!c->loaded)
        code = load(c);
    if (code == SQLITE_OK && c->round == MW_ROUND_NONE && now >= c->next_round &&
        c->report.indexed_id >= c->newest) {
        code = begin_round(c);
        c->next_round = now + c->keep.interval_ms;
    }
    /* Not synced, see the header; the next commit of events syncs it along. */
    sqlite3_exec(c->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
    if (code == SQLITE_OK && (c->report.indexed_id < c->newest || c->round != MW_ROUND_NONE))
        code = step(c);
    if (c->full)
        sqlite3_exec(c->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    end = mw_clock_mono();
    plan(c, end, end - now);
    if (code == SQLITE_OK) {
        c->failures = 0;
        return;
    }
    c->next_at = end + MW_MIN(RETRY_MS << MW_MIN(c->failures, 6), RETRY_LIMIT_MS);
    c->overdue_at = c->next_at;
    c->failures++;
}
