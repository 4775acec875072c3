#include "store/apply.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "store/db.h"

#define COMMA_NAME(n) ", " #n
#define COMMA_MARK(n) ", ?"

static const char *const sql[MW_ST_COUNT] = {
    [MW_ST_BEGIN] = "BEGIN IMMEDIATE",
    [MW_ST_COMMIT] = "COMMIT",
    [MW_ST_SAVEPOINT] = "SAVEPOINT tx",
    [MW_ST_RELEASE] = "RELEASE tx",
    [MW_ST_ROLLBACK_TO] = "ROLLBACK TO tx",
    [MW_ST_BOT_FIND] = "SELECT id FROM bot WHERE name = ?",
    [MW_ST_BOT_ADD] = "INSERT INTO bot (name) VALUES (?)",
    /* clang-format off */
    [MW_ST_EVENT_ADD] = "INSERT INTO event (bot_id, kind, flags, at, received_at, revision,"
                        " known_edit" MW_EVENT_TEXTS(COMMA_NAME) ")"
                        " VALUES (?, ?, ?, ?, ?, ?, ?" MW_EVENT_TEXTS(COMMA_MARK) ")"
                        " ON CONFLICT DO NOTHING",
    /* clang-format on */
    [MW_ST_POST_KNOWN] = "SELECT kind, known_edit FROM event"
                         " WHERE object = ? AND object != '' AND bot_id = ? AND kind <= 3",
    /* Forward only. A row that is older in both respects changes nothing. What a fetch has covered
     * stays so until something newer is seen live. */
    [MW_ST_POSITION] =
        "INSERT INTO position (bot_id, channel_id, seen_at, post_id, post_at, confirmed, first_at)"
        /* Whoever covers a channel the first time has what it had to have of the past. */
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6,"
        "  CASE WHEN ?6 THEN ?5 + 1 WHEN ?5 > 0 THEN ?5 ELSE ?3 END)"
        " ON CONFLICT DO UPDATE SET"
        " confirmed = CASE WHEN excluded.confirmed"
        "  THEN confirmed OR excluded.seen_at >= seen_at"
        "  ELSE confirmed AND excluded.seen_at <= seen_at END,"
        " seen_at = max(seen_at, excluded.seen_at),"
        " post_id = CASE WHEN excluded.post_at > post_at THEN excluded.post_id ELSE post_id END,"
        " post_at = max(post_at, excluded.post_at)"
        " WHERE excluded.confirmed OR excluded.seen_at > seen_at OR excluded.post_at > post_at",
    [MW_ST_HORIZON] = "SELECT at FROM pruned WHERE bot_id = ? AND channel_id = ?",
    [MW_ST_THREAD_FIND] = "SELECT 1 FROM thread WHERE bot_id = ? AND root_id = ?",
    [MW_ST_THREAD_ADD] = "INSERT OR IGNORE INTO thread (bot_id, root_id) VALUES (?, ?)",
    [MW_ST_CURSOR] = "INSERT INTO cursor (position, updated_at, consumer) VALUES (?, ?, ?)"
                     " ON CONFLICT DO UPDATE SET position = excluded.position,"
                     " updated_at = excluded.updated_at",
    [MW_ST_CURSOR_DELETE] = "DELETE FROM cursor WHERE consumer = ?",
    [MW_ST_TASK_ADD] = "INSERT INTO task (event_id, state, attempts, created_at, updated_at, bot,"
                       " handler, conversation, error, failures, not_before)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
    [MW_ST_TASK_START] = "UPDATE task SET attempts = attempts + 1, updated_at = ? WHERE id = ?",
    [MW_ST_TASK_END] = "UPDATE task SET state = ?1, updated_at = ?2, error = ?4,"
                       " attempts = attempts - (?1 = 1 AND attempts > 0) WHERE id = ?3",
    [MW_ST_TASK_AGAIN] = "UPDATE task SET not_before = ?1, updated_at = ?2, error = ?4,"
                         " failures = failures + 1 WHERE id = ?3 AND state = 1",
    /* By hand. What is tried anew goes behind what waits: it gets a new id. */
    [MW_ST_TASK_RETRY] =
        "INSERT INTO task (event_id, bot, handler, conversation, state, attempts, failures,"
        " not_before, error, created_at, updated_at) SELECT event_id, bot, handler, conversation,"
        " 1, 0, 0, 0, error, created_at, ?2 FROM task WHERE id = ?1 AND state IN (3, 4)",
    [MW_ST_TASK_DELETE] = "DELETE FROM task WHERE id = ?1 AND state IN (3, 4)",
    [MW_ST_TASK_DROP] =
        "UPDATE task SET state = 4, updated_at = ?2 WHERE id = ?1 AND state IN (1, 3)",
    [MW_ST_OUTBOX_ADD] =
        "INSERT INTO outbox (event_id, not_before, created_at, updated_at, bot, key, kind,"
        " conversation, channel_id, payload, state, attempts, first_tried_at, result_id, error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, '', '')"
        " ON CONFLICT (bot, key) DO NOTHING",
    [MW_ST_OUTBOX_FIND] = "SELECT id FROM outbox WHERE bot = ? AND key = ?",
    [MW_ST_OUTBOX_UPDATE] =
        "UPDATE outbox SET state = ?1, attempts = ?2, not_before = ?3, first_tried_at = ?4,"
        " updated_at = ?5, result_id = ?7, error = ?8, payload = coalesce(?9, payload)"
        " WHERE id = ?6",
    /* The key is unique, so the row moves. What was tried once is looked for before it is sent. */
    [MW_ST_OUTBOX_RETRY] =
        "UPDATE outbox SET id = 1 + max((SELECT max(id) FROM outbox),"
        " (SELECT seq FROM sqlite_sequence WHERE name = 'outbox')),"
        " state = iif(first_tried_at > 0, 2, 1), attempts = 0, not_before = 0, result_id = '',"
        " updated_at = ?2 WHERE id = ?1 AND state IN (4, 5)",
    [MW_ST_OUTBOX_SEQUENCE] =
        "UPDATE sqlite_sequence SET seq = max(seq, (SELECT max(id) FROM outbox))"
        " WHERE name = 'outbox'",
    [MW_ST_OUTBOX_DROP] = "UPDATE outbox SET state = 5, updated_at = ?2"
                          " WHERE id = ?1 AND state IN (1, 2, 4)",
    [MW_ST_SET] = "INSERT INTO kv (expires_at, scope, key, value) VALUES (?, ?, ?, ?)"
                  " ON CONFLICT DO UPDATE SET value = excluded.value,"
                  " expires_at = excluded.expires_at",
    [MW_ST_UNSET] = "DELETE FROM kv WHERE scope = ? AND key = ?",
    [MW_ST_FILE_PUT] = "INSERT OR REPLACE INTO file (size, used_at, id, hash, name, type)"
                       " VALUES (?, ?, ?, ?, ?, ?)",
    [MW_ST_FILE_USED] = "UPDATE file SET used_at = ? WHERE id = ?",
    [MW_ST_FILE_FORGET] = "DELETE FROM file WHERE hash = ?",
};

int mw_apply_init(struct mw_apply *a, sqlite3 *db, struct mw_error *err)
{
    int r;

    *a = (struct mw_apply){.db = db};
    mw_map_init(&a->bots, NULL);
    for (size_t i = 0; i < MW_ST_COUNT; i++)
        if ((r = mw_db_prepare(db, sql[i], &a->statements[i], err)) < 0) {
            mw_apply_deinit(a);
            return r;
        }
    return 0;
}

void mw_apply_deinit(struct mw_apply *a)
{
    for (size_t i = 0; i < MW_ST_COUNT; i++)
        sqlite3_finalize(a->statements[i]);
    sqlite3_close(a->db);
    mw_map_deinit(&a->bots);
    *a = (struct mw_apply){0};
}

/* Runs a statement to its end; it may give one row, whose columns are gone then. */
static int finish(sqlite3_stmt *st)
{
    int code = sqlite3_step(st);

    sqlite3_reset(st);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int mw_apply_exec(struct mw_apply *a, enum mw_apply_statement st)
{
    return finish(a->statements[st]);
}

void mw_apply_begin_batch(struct mw_apply *a)
{
    a->last_event_id = 0;
    a->events = a->duplicates = 0;
}

void mw_apply_rollback(struct mw_apply *a)
{
    mw_map_clear(&a->bots);
    /* Some failures have rolled back already. */
    if (!sqlite3_get_autocommit(a->db))
        sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
}

static int bind_text(sqlite3_stmt *st, int place, const struct mw_op *op, unsigned i)
{
    /* The transaction outlives the statement's run. */
    return op->texts[i].s
               ? sqlite3_bind_text(st, place, op->texts[i].s, op->texts[i].len, SQLITE_STATIC)
               : sqlite3_bind_null(st, place);
}

/* Binds all ints, then all texts, from the first place on. */
static int bind_op(sqlite3_stmt *st, const struct mw_op *op)
{
    int code = SQLITE_OK, place = 1;

    for (unsigned i = 0; i < op->n_ints && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(st, place++, op->ints[i]);
    for (unsigned i = 0; i < op->n_texts && code == SQLITE_OK; i++)
        code = bind_text(st, place++, op, i);
    return code;
}

/* The bot's number; names are long and few. */
static int bot_number(struct mw_apply *a, const struct mw_op *op, int64_t *ret)
{
    sqlite3_stmt *st = a->statements[MW_ST_BOT_FIND];
    int64_t id = (intptr_t)mw_map_get(&a->bots, op->texts[0].s);
    int code;

    if (id) {
        *ret = id;
        return SQLITE_OK;
    }
    bind_text(st, 1, op, 0);
    code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        id = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    if (code == SQLITE_DONE) {
        bind_text(a->statements[MW_ST_BOT_ADD], 1, op, 0);
        code = finish(a->statements[MW_ST_BOT_ADD]);
        id = sqlite3_last_insert_rowid(a->db);
        if (code != SQLITE_OK)
            return code;
    } else if (code != SQLITE_ROW) {
        return code;
    }
    if (mw_map_put(&a->bots, op->texts[0].s, (void *)(intptr_t)id) < 0)
        return SQLITE_NOMEM;
    *ret = id;
    return SQLITE_OK;
}

struct knowledge {
    bool post, edit, deletion; /* which kinds of rows the journal has of the post */
    int64_t newest_edit;       /* -1 when neither post nor edits are known */
};

static int post_known(struct mw_apply *a, const struct mw_op *op, int64_t bot,
                      struct knowledge *ret)
{
    sqlite3_stmt *st = a->statements[MW_ST_POST_KNOWN];
    int code;

    *ret = (struct knowledge){.newest_edit = -1};
    bind_text(st, 1, op, MW_EV_object);
    sqlite3_bind_int64(st, 2, bot);
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        int kind = sqlite3_column_int(st, 0);

        if (kind == MW_EVENT_POST_DELETED) {
            ret->deletion = true;
            continue;
        }
        ret->post = ret->post || kind == MW_EVENT_POST;
        ret->edit = ret->edit || kind == MW_EVENT_POST_EDITED;
        ret->newest_edit = MW_MAX(ret->newest_edit, sqlite3_column_int64(st, 1));
    }
    sqlite3_reset(st);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static unsigned root_of(const struct mw_op *op)
{
    return op->texts[MW_EV_root_id].len > 0 ? MW_EV_root_id : MW_EV_object;
}

/* Runs a statement about the thread of a post; SQLITE_ROW when it gives one. */
static int thread(struct mw_apply *a, enum mw_apply_statement which, const struct mw_op *op,
                  int64_t bot)
{
    sqlite3_stmt *st = a->statements[which];
    int code;

    sqlite3_bind_int64(st, 1, bot);
    bind_text(st, 2, op, root_of(op));
    code = sqlite3_step(st);
    sqlite3_reset(st);
    return code;
}

static int add_event(struct mw_apply *a, struct mw_tx *tx, const struct mw_op *op, int64_t bot,
                     enum mw_event_kind kind, int64_t at)
{
    sqlite3_stmt *st = a->statements[MW_ST_EVENT_ADD];
    int64_t edit = op->ints[MW_EV_REVISION];
    bool is_edit = kind == MW_EVENT_POST_EDITED, is_post = kind == MW_EVENT_POST || is_edit;
    /* A post is the same post whatever edit it was first seen with. */
    bool is_reply = is_post && op->texts[MW_EV_root_id].len > 0;
    int code = is_reply ? thread(a, MW_ST_THREAD_FIND, op, bot) : SQLITE_DONE, place = 1;
    int64_t flags = (op->ints[MW_EV_FLAGS] & ~(int64_t)MW_EVENT_THREAD) |
                    (code == SQLITE_ROW ? MW_EVENT_THREAD : 0);
    const int64_t values[] = {
        bot,
        kind,
        flags,
        at,
        op->ints[MW_EV_RECEIVED_AT],
        kind == MW_EVENT_POST || kind == MW_EVENT_POST_DELETED ? 0 : edit,
        is_post ? edit : 0,
    };

    code = code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
    for (size_t i = 0; i < MW_ARRAY_LEN(values) && code == SQLITE_OK; i++)
        code = sqlite3_bind_int64(st, place++, values[i]);
    for (unsigned i = MW_EV_BOT + 1; i < MW_EV_TEXTS && code == SQLITE_OK; i++)
        code = bind_text(st, place++, op, i);
    if (code == SQLITE_OK)
        code = finish(st);
    if (code != SQLITE_OK)
        return code;
    if (sqlite3_changes(a->db) == 0) {
        a->duplicates++;
        return SQLITE_OK;
    }
    a->events++;
    tx->result.event_id = a->last_event_id = sqlite3_last_insert_rowid(a->db);
    if (!is_post || !(flags & (MW_EVENT_OWN | MW_EVENT_MENTION)) || op->texts[root_of(op)].len == 0)
        return SQLITE_OK;
    code = thread(a, MW_ST_THREAD_ADD, op, bot);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int move_position(struct mw_apply *a, const struct mw_op *op, int64_t bot)
{
    sqlite3_stmt *st = a->statements[MW_ST_POSITION];
    bool post = op->ints[MW_EV_KIND] == MW_EVENT_POST;
    int64_t at = op->ints[MW_EV_AT];

    sqlite3_bind_int64(st, 1, bot);
    bind_text(st, 2, op, MW_EV_channel_id);
    sqlite3_bind_int64(st, 3, at);
    if (post)
        bind_text(st, 4, op, MW_EV_post_id);
    else
        sqlite3_bind_text(st, 4, "", 0, SQLITE_STATIC);
    sqlite3_bind_int64(st, 5, post ? at : 0);
    sqlite3_bind_int64(st, 6, 0);
    return finish(st);
}

static int apply_event(struct mw_apply *a, struct mw_tx *tx, const struct mw_op *op)
{
    enum mw_event_kind kind = (enum mw_event_kind)op->ints[MW_EV_KIND];
    int64_t bot = 0;
    int code = bot_number(a, op, &bot);

    tx->result.event_id = 0;
    if (code == SQLITE_OK && kind == MW_EVENT_POST_EDITED && op->texts[MW_EV_object].len > 0) {
        struct knowledge known;

        code = post_known(a, op, bot, &known);
        if (code == SQLITE_OK && op->ints[MW_EV_REVISION] <= known.newest_edit)
            a->duplicates++;
        else if (code == SQLITE_OK)
            code = add_event(a, tx, op, bot, kind, op->ints[MW_EV_AT]);
    } else if (code == SQLITE_OK) {
        code = add_event(a, tx, op, bot, kind, op->ints[MW_EV_AT]);
    }
    /* What paging finds comes in no safe order: only its end (mw_tx_position) moves the mark. */
    if (code == SQLITE_OK && kind <= MW_EVENT_POST_DELETED &&
        !(op->ints[MW_EV_FLAGS] & MW_EVENT_CAUGHT_UP) && op->texts[MW_EV_channel_id].len > 0)
        code = move_position(a, op, bot);
    return code;
}

/* Rows as old as this may have been deleted; 0 = none were. */
static int horizon(struct mw_apply *a, const struct mw_op *op, int64_t bot, int64_t *ret)
{
    sqlite3_stmt *st = a->statements[MW_ST_HORIZON];
    int code;

    sqlite3_bind_int64(st, 1, bot);
    bind_text(st, 2, op, MW_EV_channel_id);
    code = sqlite3_step(st);
    *ret = code == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int apply_observed_post(struct mw_apply *a, struct mw_tx *tx, const struct mw_op *op)
{
    int64_t edit = op->ints[MW_EV_REVISION], deleted_at = op->ints[MW_EV_DELETED_AT];
    int64_t at = op->ints[MW_EV_AT], bot = 0, pruned = 0;
    struct knowledge known;
    int code = bot_number(a, op, &bot);

    tx->result.event_id = 0;
    if (code == SQLITE_OK)
        code = post_known(a, op, bot, &known);
    if (code == SQLITE_OK)
        code = horizon(a, op, bot, &pruned);
    if (code != SQLITE_OK)
        return code;
    /* What retention deleted was known; and no row that it could have deleted is news. */
    known.post = known.post || (pruned > 0 && at <= pruned);
    /* A deletion ends the story, whatever an older answer of the server still shows. */
    if (!known.deletion && deleted_at > pruned && (known.post || known.edit))
        return add_event(a, tx, op, bot, MW_EVENT_POST_DELETED, deleted_at);
    if (!known.deletion && deleted_at <= 0 && !known.post)
        return add_event(a, tx, op, bot, MW_EVENT_POST, at);
    if (!known.deletion && deleted_at <= 0 && edit > known.newest_edit && edit > pruned)
        return add_event(a, tx, op, bot, MW_EVENT_POST_EDITED, edit);
    a->duplicates++;
    return SQLITE_OK;
}

static int apply_position(struct mw_apply *a, struct mw_tx *tx, const struct mw_op *op)
{
    sqlite3_stmt *st = a->statements[MW_ST_POSITION];
    int64_t bot = 0;
    int code = bot_number(a, op, &bot);

    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_int64(st, 1, bot);
    bind_text(st, 2, op, 1);
    sqlite3_bind_int64(st, 3, op->ints[0]);
    bind_text(st, 4, op, 2);
    sqlite3_bind_int64(st, 5, op->ints[1]);
    sqlite3_bind_int64(st, 6, op->ints[2]);
    return finish(st);
}

static int run(struct mw_apply *a, enum mw_apply_statement which, const struct mw_op *op)
{
    int code = bind_op(a->statements[which], op);

    return code == SQLITE_OK ? finish(a->statements[which]) : code;
}

/* An update of a row that must be there. */
static int update(struct mw_apply *a, enum mw_apply_statement which, const struct mw_op *op,
                  const char *what, int64_t id)
{
    int code = run(a, which, op);

    if (code == SQLITE_OK && sqlite3_changes(a->db) == 0) {
        snprintf(a->message, sizeof(a->message), "there is no %s %" PRId64, what, id);
        return SQLITE_NOTFOUND;
    }
    return code;
}

static int apply_task_retry(struct mw_apply *a, struct mw_tx *tx, const struct mw_op *op)
{
    int code = update(a, MW_ST_TASK_RETRY, op, "failed task", op->ints[0]);

    if (code != SQLITE_OK)
        return code;
    tx->result.task_id = sqlite3_last_insert_rowid(a->db);
    sqlite3_bind_int64(a->statements[MW_ST_TASK_DELETE], 1, op->ints[0]);
    return finish(a->statements[MW_ST_TASK_DELETE]);
}

static int apply_outbox_add(struct mw_apply *a, struct mw_tx *tx, const struct mw_op *op)
{
    sqlite3_stmt *find = a->statements[MW_ST_OUTBOX_FIND];
    int code = run(a, MW_ST_OUTBOX_ADD, op);

    if (code != SQLITE_OK)
        return code;
    tx->result.outbox_existed = sqlite3_changes(a->db) == 0;
    if (!tx->result.outbox_existed) {
        tx->result.outbox_id = sqlite3_last_insert_rowid(a->db);
        return SQLITE_OK;
    }
    bind_text(find, 1, op, 0);
    bind_text(find, 2, op, 1);
    code = sqlite3_step(find);
    if (code == SQLITE_ROW)
        tx->result.outbox_id = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int apply_op(struct mw_apply *a, struct mw_tx *tx, const struct mw_op *op)
{
    int code;

    switch (op->type) {
    case MW_OP_EVENT:
        return apply_event(a, tx, op);
    case MW_OP_OBSERVED_POST:
        return apply_observed_post(a, tx, op);
    case MW_OP_POSITION:
        return apply_position(a, tx, op);
    case MW_OP_CURSOR:
        return run(a, MW_ST_CURSOR, op);
    case MW_OP_CURSOR_DELETE:
        return run(a, MW_ST_CURSOR_DELETE, op);
    case MW_OP_TASK_ADD:
        code = run(a, MW_ST_TASK_ADD, op);
        tx->result.task_id = sqlite3_last_insert_rowid(a->db);
        return code;
    case MW_OP_TASK_START:
        return update(a, MW_ST_TASK_START, op, "task", op->ints[1]);
    case MW_OP_TASK_END:
        return update(a, MW_ST_TASK_END, op, "task", op->ints[2]);
    case MW_OP_TASK_AGAIN:
        return update(a, MW_ST_TASK_AGAIN, op, "pending task", op->ints[2]);
    case MW_OP_TASK_RETRY:
        return apply_task_retry(a, tx, op);
    case MW_OP_TASK_DROP:
        return update(a, MW_ST_TASK_DROP, op, "open task", op->ints[0]);
    case MW_OP_OUTBOX_ADD:
        return apply_outbox_add(a, tx, op);
    case MW_OP_OUTBOX_UPDATE:
        return update(a, MW_ST_OUTBOX_UPDATE, op, "outbox row", op->ints[5]);
    case MW_OP_OUTBOX_RETRY:
        code = update(a, MW_ST_OUTBOX_RETRY, op, "failed outbox row", op->ints[0]);
        return code == SQLITE_OK ? mw_apply_exec(a, MW_ST_OUTBOX_SEQUENCE) : code;
    case MW_OP_OUTBOX_DROP:
        return update(a, MW_ST_OUTBOX_DROP, op, "open outbox row", op->ints[0]);
    case MW_OP_SET:
        if (op->texts[2].s)
            return run(a, MW_ST_SET, op);
        bind_text(a->statements[MW_ST_UNSET], 1, op, 0);
        bind_text(a->statements[MW_ST_UNSET], 2, op, 1);
        return finish(a->statements[MW_ST_UNSET]);
    case MW_OP_FILE_PUT:
        return run(a, MW_ST_FILE_PUT, op);
    case MW_OP_FILE_USED:
        return run(a, MW_ST_FILE_USED, op);
    case MW_OP_FILE_FORGET:
        return run(a, MW_ST_FILE_FORGET, op);
    case MW_OP_COUNT:
        break;
    }
    return SQLITE_MISUSE;
}

/* Codes that blame the transaction, not the database: trying again would not help. */
static bool refusal(int code)
{
    switch (code & 0xff) {
    case SQLITE_NOTFOUND: /* ours, see update() */
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_MISUSE:
        return true;
    default:
        return false;
    }
}

static void fail(struct mw_apply *a, struct mw_tx *tx, int code)
{
    if (code == SQLITE_NOTFOUND)
        mw_tx_fail(tx, -ENOENT, a->message);
    else
        mw_tx_fail(tx, mw_db_errno(code), mw_db_reason(a->db, code));
}

int mw_apply_tx(struct mw_apply *a, struct mw_tx *tx)
{
    /* The first statement of an operation is the only one that can be refused, and statements are
     * atomic: only several operations need a savepoint. */
    bool savepoint = tx->n_ops > 1;
    struct mw_apply before = *a;
    int code = SQLITE_OK;
    struct mw_op op;
    size_t at = 0;

    mw_tx_reset_result(tx);
    if (tx->error) {
        mw_tx_fail(tx, tx->error,
                   tx->error == -ENOMEM ? "out of memory" : "the transaction is not valid");
        return SQLITE_OK;
    }
    if (savepoint)
        code = mw_apply_exec(a, MW_ST_SAVEPOINT);
    while (code == SQLITE_OK && mw_tx_next(tx, &at, &op))
        code = apply_op(a, tx, &op);
    if (code == SQLITE_OK)
        return savepoint ? mw_apply_exec(a, MW_ST_RELEASE) : SQLITE_OK;
    if (!refusal(code) || sqlite3_get_autocommit(a->db))
        return code;
    fail(a, tx, code);
    a->last_event_id = before.last_event_id;
    a->events = before.events;
    a->duplicates = before.duplicates;
    if (!savepoint)
        return SQLITE_OK;
    mw_map_clear(&a->bots);
    code = mw_apply_exec(a, MW_ST_ROLLBACK_TO);
    return code == SQLITE_OK ? mw_apply_exec(a, MW_ST_RELEASE) : code;
}
