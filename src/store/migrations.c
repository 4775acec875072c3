#include "store/migrations.h"

#include "base/str.h"
#include "store/db.h"

struct migration {
    int version; /* PRAGMA user_version after this step: 1, 2, 3 ... */
    const char *what;
    const char *sql;
};

/*
 * Never change a step that was released: add one.
 *
 * Indexes are what makes an append dear, so there are few:
 *  - event_identity refuses duplicates and finds everything that is known of a post; with the range
 *    [post, post + '0') also the reactions to it, whose object begins with "POST/".
 *  - event_channel gives a channel's history in the order of id; `at` and `bot_id` are in it so
 * that rows that do not match are skipped without being read.
 *  - event_root finds the replies of a thread.
 * Nothing refers to event.id by a foreign key, so that old rows can be deleted.
 */
static const struct migration migrations[] = {
    {1, "journal, positions, consumers, tasks, outbox, state",
     "CREATE TABLE bot (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"

     "CREATE TABLE event ("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " bot_id INTEGER NOT NULL, kind INTEGER NOT NULL, flags INTEGER NOT NULL,"
     " at INTEGER NOT NULL, received_at INTEGER NOT NULL, revision INTEGER NOT NULL,"
     /* Of a post: the edit that it had when it was first seen; of an edit: its revision. */
     " known_edit INTEGER NOT NULL,"
     " object TEXT NOT NULL, post_id TEXT NOT NULL, root_id TEXT NOT NULL,"
     " channel_id TEXT NOT NULL, channel_name TEXT NOT NULL, channel_type TEXT NOT NULL,"
     " team_id TEXT NOT NULL, team_name TEXT NOT NULL,"
     " user_id TEXT NOT NULL, user_name TEXT NOT NULL,"
     " text TEXT NOT NULL, files TEXT NOT NULL, detail TEXT NOT NULL, raw TEXT NOT NULL) STRICT;"
     "CREATE UNIQUE INDEX event_identity ON event (object, bot_id, kind, revision)"
     " WHERE object != '';"
     "CREATE INDEX event_channel ON event (channel_id, id, at, bot_id) WHERE channel_id != '';"
     "CREATE INDEX event_root ON event (root_id) WHERE root_id != '';"

     "CREATE TABLE position ("
     " bot_id INTEGER NOT NULL, channel_id TEXT NOT NULL,"
     " seen_at INTEGER NOT NULL, post_id TEXT NOT NULL, post_at INTEGER NOT NULL,"
     " confirmed INTEGER NOT NULL,"
     " PRIMARY KEY (bot_id, channel_id)) STRICT, WITHOUT ROWID;"

     "CREATE TABLE cursor ("
     " consumer TEXT NOT NULL PRIMARY KEY,"
     " position INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"

     "CREATE TABLE task ("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " event_id INTEGER NOT NULL, bot TEXT NOT NULL, handler TEXT NOT NULL,"
     " conversation TEXT NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),"
     " attempts INTEGER NOT NULL, error TEXT NOT NULL,"
     " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;"
     "CREATE INDEX task_open ON task (state, bot) WHERE state != 2;"

     "CREATE TABLE outbox ("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " bot TEXT NOT NULL, key TEXT NOT NULL CHECK (key != ''), kind TEXT NOT NULL,"
     " conversation TEXT NOT NULL, channel_id TEXT NOT NULL, payload TEXT NOT NULL,"
     " event_id INTEGER NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),"
     " attempts INTEGER NOT NULL, not_before INTEGER NOT NULL, first_tried_at INTEGER NOT NULL,"
     " result_id TEXT NOT NULL, error TEXT NOT NULL,"
     " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,"
     " UNIQUE (bot, key)) STRICT;"
     "CREATE INDEX outbox_open ON outbox (state, bot) WHERE state != 3;"

     "CREATE TABLE kv ("
     " scope TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
     " PRIMARY KEY (scope, key)) STRICT, WITHOUT ROWID;"},

    /*
     * The search index holds no text and no positions: it names candidates, which are compared
     * with their text (decision 0006). Its content, and bot.kept, are filled in the background
     * from event 1 on, so this step is short however long the journal is.
     *  - event_inbox finds what is for a bot: direct messages, mentions, threads it is in.
     *  - pruned says up to which time a channel's rows were deleted: nothing as old can be new.
     *  - position.first_at says since when a channel is followed; of old rows it is not known.
     */
    {2, "search, threads, retention",
     "CREATE VIRTUAL TABLE search USING fts5"
     " (text, content='', columnsize=0, detail=none, tokenize='trigram');"
     "CREATE TABLE background (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL)"
     " STRICT, WITHOUT ROWID;"
     "ALTER TABLE bot ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;"
     "CREATE TABLE pruned ("
     " bot_id INTEGER NOT NULL, channel_id TEXT NOT NULL, at INTEGER NOT NULL,"
     " PRIMARY KEY (bot_id, channel_id)) STRICT, WITHOUT ROWID;"
     "ALTER TABLE position ADD COLUMN first_at INTEGER NOT NULL DEFAULT 0;"
     "UPDATE position SET first_at = seen_at;"

     "CREATE TABLE thread ("
     " bot_id INTEGER NOT NULL, root_id TEXT NOT NULL, PRIMARY KEY (bot_id, root_id))"
     " STRICT, WITHOUT ROWID;"
     "INSERT OR IGNORE INTO thread SELECT bot_id, iif(root_id = '', object, root_id) FROM event"
     " WHERE kind IN (1, 2) AND flags & 6 AND object != '';"
     "UPDATE event SET flags = flags | 256 WHERE kind <= 2 AND root_id != ''"
     " AND EXISTS (SELECT 1 FROM thread t WHERE t.bot_id = event.bot_id"
     "  AND t.root_id = event.root_id);"
     "CREATE INDEX event_inbox ON event (bot_id, id) WHERE kind = 1 AND flags & 259;"

     "CREATE INDEX task_done ON task (updated_at) WHERE state = 2;"
     "CREATE INDEX outbox_sent ON outbox (updated_at) WHERE state = 3;"},

    /*
     * SQLite cannot change a CHECK, so both tables are made anew. The ids go on where they were.
     *  - task.failures counts the attempts that ended badly; not_before is for the next one.
     *  - the last state of each table: dropped by hand.
     */
    {3, "attempts of a handler, work that is dropped by hand",
     "CREATE TABLE task_new ("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " event_id INTEGER NOT NULL, bot TEXT NOT NULL, handler TEXT NOT NULL,"
     " conversation TEXT NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),"
     " attempts INTEGER NOT NULL, failures INTEGER NOT NULL, not_before INTEGER NOT NULL,"
     " error TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;"
     "INSERT INTO task_new SELECT id, event_id, bot, handler, conversation, state, attempts, 0, 0,"
     " error, created_at, updated_at FROM task;"
     "DELETE FROM sqlite_sequence WHERE name = 'task_new';"
     "INSERT INTO sqlite_sequence SELECT 'task_new', seq FROM sqlite_sequence WHERE name = 'task';"
     "DROP TABLE task;"
     "ALTER TABLE task_new RENAME TO task;"
     "CREATE INDEX task_open ON task (state, bot) WHERE state IN (1, 3);"
     "CREATE INDEX task_done ON task (updated_at) WHERE state IN (2, 4);"

     "CREATE TABLE outbox_new ("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " bot TEXT NOT NULL, key TEXT NOT NULL CHECK (key != ''), kind TEXT NOT NULL,"
     " conversation TEXT NOT NULL, channel_id TEXT NOT NULL, payload TEXT NOT NULL,"
     " event_id INTEGER NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),"
     " attempts INTEGER NOT NULL, not_before INTEGER NOT NULL, first_tried_at INTEGER NOT NULL,"
     " result_id TEXT NOT NULL, error TEXT NOT NULL,"
     " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,"
     " UNIQUE (bot, key)) STRICT;"
     "INSERT INTO outbox_new SELECT id, bot, key, kind, conversation, channel_id, payload,"
     " event_id, state, attempts, not_before, first_tried_at, result_id, error, created_at,"
     " updated_at FROM outbox;"
     "DELETE FROM sqlite_sequence WHERE name = 'outbox_new';"
     "INSERT INTO sqlite_sequence SELECT 'outbox_new', seq FROM sqlite_sequence"
     " WHERE name = 'outbox';"
     "DROP TABLE outbox;"
     "ALTER TABLE outbox_new RENAME TO outbox;"
     "CREATE INDEX outbox_open ON outbox (state, bot) WHERE state IN (1, 2, 4);"
     "CREATE INDEX outbox_sent ON outbox (updated_at) WHERE state IN (3, 5);"},

    /* The index has all that the choice of what to evict reads. */
    {4, "files",
     "CREATE TABLE file ("
     " id TEXT NOT NULL PRIMARY KEY, hash TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL,"
     " size INTEGER NOT NULL, used_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
     "CREATE INDEX file_hash ON file (hash, used_at, size);"},

    /* Until now nothing of this went away: threads that a bot follows have their end as the value,
     * sessions of agents get a month from now. */
    {5, "state with an end",
     "ALTER TABLE kv ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;"
     "CREATE INDEX kv_expires ON kv (expires_at) WHERE expires_at != 0;"
     "UPDATE kv SET expires_at = CAST(value AS INTEGER) + 30 * 86400000 WHERE scope LIKE "
     "'follow:%';"
     "UPDATE kv SET expires_at = 1000 * (CAST(strftime('%s', 'now') AS INTEGER) + 30 * 86400)"
     " WHERE scope LIKE 'acp:%';"},
};

static int apply(sqlite3 *db, const struct migration *m, struct mw_error *err)
{
    MW_AUTOFREE char *header =
        mw_asprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
                    MW_STORE_APPLICATION_ID, m->version);
    int r;

    if (!header)
        return mw_error_set(err, -ENOMEM, "out of memory");
    r = mw_db_exec(db, "BEGIN IMMEDIATE", err);
    if (r < 0)
        return r;
    if ((r = mw_db_exec(db, m->sql, err)) < 0 || (r = mw_db_exec(db, header, err)) < 0) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        mw_error_prefix(err, "migration %d (%s)", m->version, m->what);
        return r;
    }
    return 0;
}

int mw_migrate_newest(void)
{
    return migrations[MW_ARRAY_LEN(migrations) - 1].version;
}

int mw_migrate(sqlite3 *db, const char *path, struct mw_error *err)
{
    const int newest = mw_migrate_newest();
    int64_t application = 0, version = 0, tables = 0;
    int r;

    r = mw_db_int(db, "PRAGMA application_id", &application, err);
    if (r == 0)
        r = mw_db_int(db, "PRAGMA user_version", &version, err);
    if (r == 0)
        r = mw_db_int(db, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (r < 0)
        return r;
    if (application != MW_STORE_APPLICATION_ID && (application || version || tables))
        return mw_error_set(err, -EINVAL, "%s is the database of another program", path);
    if (version > newest)
        return mw_error_set(err, -EINVAL,
                            "%s was written by a newer version of Matterwire (its schema is %d, "
                            "this program knows %d): use that version",
                            path, (int)version, newest);
    for (size_t i = 0; i < MW_ARRAY_LEN(migrations); i++)
        if (migrations[i].version > version && (r = apply(db, &migrations[i], err)) < 0)
            return r;
    return 0;
}
