/*
 * What each operation of a transaction does to the database. Runs on the writer's thread, inside an
 * open database transaction; knows nothing of threads and queues.
 */
#ifndef MW_STORE_APPLY_H
#define MW_STORE_APPLY_H

#include <sqlite3.h>

#include "base/map.h"
#include "store/tx.h"

enum mw_apply_statement {
    MW_ST_BEGIN,
    MW_ST_COMMIT,
    MW_ST_SAVEPOINT,
    MW_ST_RELEASE,
    MW_ST_ROLLBACK_TO,
    MW_ST_BOT_FIND,
    MW_ST_BOT_ADD,
    MW_ST_EVENT_ADD,
    MW_ST_POST_KNOWN,
    MW_ST_POSITION,
    MW_ST_HORIZON,
    MW_ST_THREAD_FIND,
    MW_ST_THREAD_ADD,
    MW_ST_CURSOR,
    MW_ST_CURSOR_DELETE,
    MW_ST_TASK_ADD,
    MW_ST_TASK_START,
    MW_ST_TASK_END,
    MW_ST_TASK_AGAIN,
    MW_ST_TASK_RETRY,
    MW_ST_TASK_DELETE,
    MW_ST_TASK_DROP,
    MW_ST_OUTBOX_ADD,
    MW_ST_OUTBOX_FIND,
    MW_ST_OUTBOX_UPDATE,
    MW_ST_OUTBOX_RETRY,
    MW_ST_OUTBOX_SEQUENCE,
    MW_ST_OUTBOX_DROP,
    MW_ST_SET,
    MW_ST_UNSET,
    MW_ST_FILE_PUT,
    MW_ST_FILE_USED,
    MW_ST_FILE_FORGET,
    MW_ST_COUNT,
};

struct mw_apply {
    sqlite3 *db;
    sqlite3_stmt *statements[MW_ST_COUNT];
    struct mw_map bots; /* name -> number; forgotten when something is rolled back */
    /* Of the batch at hand. */
    int64_t last_event_id; /* 0 = none was added */
    int64_t events, duplicates;
    char message[160]; /* for a refusal of our own */
};

/* Takes over db, also on failure. */
int mw_apply_init(struct mw_apply *a, sqlite3 *db, struct mw_error *err);
void mw_apply_deinit(struct mw_apply *a);

/* Runs one of the statements without parameters; returns an SQLite code. */
int mw_apply_exec(struct mw_apply *a, enum mw_apply_statement st);

void mw_apply_begin_batch(struct mw_apply *a);

/*
 * Applies one transaction and sets its result. Returns SQLITE_OK, also when the transaction was
 * refused (its result says why, and nothing of it is left); otherwise the code of a failure of the
 * database itself: the whole batch must be rolled back (mw_apply_rollback) and run again.
 */
int mw_apply_tx(struct mw_apply *a, struct mw_tx *tx);

void mw_apply_rollback(struct mw_apply *a);

#endif
