/* The database's schema: a table of steps, each applied once, in order. Any thread, one connection.
 */
#ifndef MW_STORE_MIGRATIONS_H
#define MW_STORE_MIGRATIONS_H

#include <sqlite3.h>

#include "base/error.h"

/* Written into the file's header ("MWir"), so that another program's database is not taken for
 * ours. */
#define MW_STORE_APPLICATION_ID 0x4d576972

/* Brings the database to the newest schema, each step in a transaction of its own. Returns 0, or
 * -EINVAL when the file is not a database of ours or is newer than this program, or what
 * mw_db_errno says. */
int mw_migrate(sqlite3 *db, const char *path, struct mw_error *err);

/* The newest schema that this program knows. */
int mw_migrate_newest(void);

#endif
