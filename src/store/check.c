#include "store/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "store/db.h"
#include "store/migrations.h"

#define BUDGET_MS     5000
#define PROGRESS_STEP 10000 /* of SQLite's virtual machine: some milliseconds at the most */

static bool locked(const char *path)
{
    MW_AUTOFREE char *name = mw_asprintf("%s.lock", path);
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    bool held;

    if (fd < 0)
        return false;
    /* Shared, so that two looks do not see each other; and given back at once. */
    held = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

static int64_t size_of(const char *path, const char *suffix)
{
    MW_AUTOFREE char *name = mw_asprintf("%s%s", path, suffix);
    struct stat st;

    return name && stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

static int64_t disk_free(const char *path)
{
    MW_AUTOFREE char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    struct statvfs v;

    if (!folder)
        return 0;
    if (slash)
        slash[slash == folder] = '\0';
    if (statvfs(slash ? folder : ".", &v) < 0)
        return 0;
    return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

/* Without a daemon and a WAL nothing changes the file; opened so, SQLite leaves no files beside it,
 * and needs no right to. */
static int open_db(const char *path, bool immutable, sqlite3 **ret, struct mw_error *err)
{
    MW_AUTODB *db = NULL;
    MW_AUTOBUF uri = {0};
    int code;

    mw_buf_init(&uri, 0);
    mw_buf_puts(&uri, strchr(path, '/') ? "file:" : "file:./");
    if (path[0] == '/')
        mw_buf_puts(&uri, "//"); /* an empty host, should the path begin with two slashes */
    for (const char *c = path; *c; c++)
        mw_buf_printf(&uri, strchr("%?#", *c) ? "%%%02X" : "%c", (unsigned char)*c);
    mw_buf_puts(&uri, immutable ? "?immutable=1" : "?mode=ro");
    if (mw_buf_error(&uri))
        return mw_error_set(err, -ENOMEM, "out of memory");
    code = sqlite3_open_v2(mw_buf_str(&uri), &db,
                           SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
    if (code != SQLITE_OK)
        return mw_db_fail(db, code, err);
    sqlite3_busy_timeout(db, 250);
    *ret = take_ptr(db);
    return 0;
}

static int out_of_time(void *userdata)
{
    return mw_clock_mono() >= *(int64_t *)userdata;
}

/* SQLITE_OK, or the code of what went wrong. */
static int check_pages(sqlite3 *db, bool deep, int64_t budget, struct mw_store_check *ret)
{
    int64_t end = mw_clock_mono() + budget;
    sqlite3_stmt *st = NULL;
    int code;

    sqlite3_progress_handler(db, PROGRESS_STEP, out_of_time, &end);
    code = sqlite3_prepare_v2(db, deep ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)", -1,
                              &st, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(st);
    if (code == SQLITE_ROW && !mw_streq(mw_db_text(st, 0), "ok")) {
        ret->integrity = MW_INTEGRITY_DAMAGED;
        snprintf(ret->problem, sizeof(ret->problem), "%s", mw_db_text(st, 0));
    }
    sqlite3_finalize(st);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int64_t value(sqlite3 *db, const char *sql)
{
    int64_t n = 0;

    mw_db_int(db, sql, &n, NULL);
    return n;
}

static int look(sqlite3 *db, const struct mw_store_check_params *p, struct mw_store_check *ret,
                struct mw_error *err)
{
    int64_t application = 0, version = 0;
    int code, r = mw_db_int(db, "PRAGMA application_id", &application, err);

    if (r == 0)
        r = mw_db_int(db, "PRAGMA user_version", &version, err);
    if (r < 0)
        return r;
    if (application != MW_STORE_APPLICATION_ID)
        return mw_error_set(err, -EINVAL, "it is the database of another program");
    ret->schema = (int)version;
    ret->newest_schema = mw_migrate_newest();
    ret->unused_bytes = value(db, "PRAGMA freelist_count") * value(db, "PRAGMA page_size");
    ret->last_event_id = value(db, "SELECT seq FROM sqlite_sequence WHERE name = 'event'");
    ret->indexed_id = value(db, "SELECT value FROM background WHERE name = 'indexed'");
    code = check_pages(db, p->deep, p->budget_ms ? p->budget_ms : BUDGET_MS, ret);
    if ((code & 0xff) == SQLITE_INTERRUPT)
        ret->integrity = MW_INTEGRITY_UNFINISHED;
    else if (code != SQLITE_OK)
        return mw_db_fail(db, code, err);
    return 0;
}

int mw_store_check(const char *path, const struct mw_store_check_params *params,
                   struct mw_store_check *ret, struct mw_error *err)
{
    static const struct mw_store_check_params none;
    struct mw_store_check c = {.in_use = locked(path)};
    MW_AUTOERROR problem = MW_ERROR_INIT;
    MW_AUTODB *db = NULL;
    struct stat st;
    int r;

    if (stat(path, &st) < 0)
        return mw_error_set(err, -errno, "%s: %s", path, strerror(errno));
    c.file_bytes = (int64_t)st.st_size;
    c.wal_bytes = size_of(path, "-wal");
    c.mode = st.st_mode & 0777;
    c.disk_free = disk_free(path);
    r = open_db(path, !c.in_use && c.wal_bytes == 0, &db, &problem);
    if (r == 0)
        r = look(db, params ? params : &none, &c, &problem);
    if (r == -EUCLEAN) {
        c.integrity = MW_INTEGRITY_DAMAGED;
        snprintf(c.problem, sizeof(c.problem), "%s", mw_error_text(&problem));
        r = 0;
    }
    if (r < 0) {
        mw_error_move(err, &problem);
        mw_error_prefix(err, "%s", path);
        return r;
    }
    *ret = c;
    return 0;
}
