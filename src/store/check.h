/*
 * A look at a database from outside, for the doctor: works with and without a running daemon,
 * changes nothing. Blocking; any thread.
 */
#ifndef MW_STORE_CHECK_H
#define MW_STORE_CHECK_H

#include "base/error.h"

struct mw_store_check_params {
    bool deep;         /* every index against its table; else only the pages' structure */
    int64_t budget_ms; /* for the integrity check; 0 = 5 s */
};

enum mw_store_integrity {
    MW_INTEGRITY_GOOD,
    MW_INTEGRITY_DAMAGED,    /* see problem */
    MW_INTEGRITY_UNFINISHED, /* no fault found before the time was up */
};

struct mw_store_check {
    enum mw_store_integrity integrity;
    char problem[256]; /* the first one, for a person */
    bool in_use;       /* a daemon holds it */
    int schema, newest_schema;
    int64_t file_bytes, wal_bytes;
    int64_t unused_bytes; /* inside the file, for what comes */
    int64_t disk_free;    /* bytes that we may still write beside it */
    int64_t last_event_id, indexed_id;
    unsigned mode; /* permission bits of the file; anything in 077 can be read by others */
};

/* Returns 0 whenever the file could be looked at, also when it is damaged. -ENOENT when there is
 * none, -EINVAL when it is another program's, else what opening it said. */
int mw_store_check(const char *path, const struct mw_store_check_params *params,
                   struct mw_store_check *ret, struct mw_error *err);

#endif
