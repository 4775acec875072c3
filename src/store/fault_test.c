/* Full disks, locks of others, a second daemon, files of others, kill -9. */
#include "store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/str.h"
#include "store/test_store.h"

/* ---- Stalls ---- */

static sqlite3 *lock_database(struct fixture *f)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void count_done(const struct mw_tx_result *r, void *userdata)
{
    int *n = userdata;

    if (r->error == 0)
        n[0]++;
    else if (r->error == -ECANCELED)
        n[1]++;
    else
        fail_msg("%s", r->message);
}

static void submit_post(struct fixture *f, const char *id, int *done)
{
    struct mw_event ev = test_post(id, 100);
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_event(tx, &ev), 0);
    mw_tx_commit(tx, count_done, done);
}

static void run_until(struct fixture *f, const int *what)
{
    while (*what == 0)
        if (!uv_run(&f->loop, UV_RUN_ONCE) && *what == 0)
            fail_msg("nothing is left to wait for");
}

static void stalls_while_locked_and_recovers(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other = lock_database(f);
    struct mw_store_stats stats;
    int done[2] = {0};

    submit_post(f, "p1", done);
    run_until(f, &f->stalls);
    assert_string_equal(f->reason + strlen(f->path),
                        " cannot be written: another process has locked the database");
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.condition, MW_STORE_STALLED);
    assert_non_null(stats.reason);
    assert_int_equal(stats.queued_tx, 1);
    assert_true(stats.queued_bytes > 0);
    submit_post(f, "p2", done);
    assert_int_equal(done[0], 0);
    assert_string_equal(test_events(f, NULL), "");

    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(done[0], 2);
    assert_int_equal(f->recoveries, 1);
    assert_string_equal(test_events(f, NULL), "post:p1:0 post:p2:0");
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.condition, MW_STORE_OK);
    assert_null(stats.reason);
    assert_int_equal(stats.queued_tx, 0);
    assert_int_equal(stats.queued_bytes, 0);
}

static void close_gives_up_a_stall(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other = lock_database(f);
    int done[2] = {0};

    submit_post(f, "p1", done);
    run_until(f, &f->stalls);
    submit_post(f, "p2", done);
    mw_store_close(take_ptr(f->store));
    assert_int_equal(done[0], 0);
    assert_int_equal(done[1], 2);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    test_open(f);
    assert_string_equal(test_events(f, NULL), "");
}

/* A file system that is full, as far as one process can play it for itself. */
static void stalls_when_full_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small;
    char id[16];
    int done[2] = {0};

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 100 * 1024, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "p%d", i);
        submit_post(f, id, done);
    }
    run_until(f, &f->stalls);
    assert_int_equal(f->recoveries, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(done[0], 2000);
    assert_int_equal(f->recoveries, f->stalls);
    test_reopen(f);
    assert_int_equal(mw_store_last_event_id(f->store) >= 2000, true);
    for (int i = 0; i < 2000; i += 199) {
        snprintf(id, sizeof(id), "p%d", i);
        assert_true(strlen(test_events(f, &(struct mw_event_filter){.post_id = id})) > 0);
    }
}

static void full_queue_drains(void **state)
{
    struct fixture *f = *state;
    sqlite3 *other;
    char id[16];
    int done[2] = {0}, n = 0;

    test_close(f);
    f->params.queue_limit = 16 * 1024;
    test_open(f);
    other = lock_database(f);
    assert_false(mw_store_full(f->store));
    while (!mw_store_full(f->store)) {
        snprintf(id, sizeof(id), "p%d", n++);
        submit_post(f, id, done);
    }
    /* Still taken, so that nothing has to be dropped. */
    submit_post(f, "last", done);
    assert_int_equal(f->drains, 0);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->drains, 1);
    assert_false(mw_store_full(f->store));
    assert_int_equal(done[0], n + 1);
}

/* ---- Other processes and other files ---- */

static void second_process_is_refused(void **state)
{
    struct fixture *f = *state;
    char expected[160], got[256] = "";
    int pipes[2], status;
    ssize_t n;
    pid_t pid;

    snprintf(expected, sizeof(expected), "%s is in use by matterwired, process %ld", f->path,
             (long)getpid());
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct mw_store *s;
        uv_loop_t loop;
        int r;

        uv_loop_init(&loop);
        r = mw_store_open(&loop, &f->params, &s, &err);
        dprintf(pipes[1], "%s", mw_error_text(&err));
        _exit(r == -EBUSY ? 0 : 1);
    }
    close(pipes[1]);
    n = read(pipes[0], got, sizeof(got) - 1);
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(n > 0);
    assert_string_equal(got, expected);
}

/* What a daemon that was killed between fork and exec leaves: a child that still has the lock. It
 * lets go once somebody opens the lock file. */
static void lock_of_a_dead_process_is_waited_for(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *name = mw_asprintf("%s.lock", f->path);
    int pipes[2], status;
    pid_t pid;
    char c;

    assert_non_null(name);
    test_close(f);
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open(name, O_RDWR | O_CREAT, 0600), watch = inotify_init();
        char event[512];

        if (flock(fd, LOCK_EX) || ftruncate(fd, 0) || dprintf(fd, "%ld\n", (long)getpid()) < 0)
            _exit(1);
        if (fork() == 0) {
            if (inotify_add_watch(watch, name, IN_OPEN) >= 0 && write(pipes[1], "x", 1) == 1)
                (void)!read(watch, event, sizeof(event));
            _exit(0);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(read(pipes[0], &c, 1), 1);
    close(pipes[0]);
    close(pipes[1]);
    test_open(f);
}

static void files_are_private(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    struct fixture *f = *state;
    struct mw_event ev = test_post("p1", 100);
    mode_t mask;

    test_close(f);
    assert_int_equal(unlink(f->path), 0);
    mask = umask(0);
    test_open(f);
    umask(mask);
    test_event(f, &ev);
    for (size_t i = 0; i < MW_ARRAY_LEN(suffixes); i++) {
        MW_AUTOFREE char *name = mw_asprintf("%s%s", f->path, suffixes[i]);
        struct stat st;

        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void expect_refusal(struct fixture *f, int code, const char *words)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_store *s = NULL;

    assert_int_equal(mw_store_open(&f->loop, &f->params, &s, &err), code);
    assert_null(s);
    if (!strstr(mw_error_text(&err), words))
        fail_msg("%s", mw_error_text(&err));
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void sql(struct fixture *f, const char *text)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void other_files_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *path = f->params.path;

    test_close(f);
    sql(f, "PRAGMA user_version = 1000");
    expect_refusal(f, -EINVAL, "was written by a newer version of Matterwire (its schema is 1000");
    assert_int_equal(unlink(path), 0);
    sql(f, "CREATE TABLE t (a)");
    expect_refusal(f, -EINVAL, "is the database of another program");
    write_file(path, "This is some text that is not a database at all, and longer than a header of "
                     "an SQLite file, which is 100 bytes.\n");
    expect_refusal(f, -EINVAL, "the file is not a database");
    f->params.path = f->dir;
    expect_refusal(f, -EISDIR, "cannot open");
    {
        MW_AUTOFREE char *lock = mw_asprintf("%s.lock", f->dir);

        assert_int_equal(unlink(lock), 0);
    }
    f->params.path = "/nonexistent/folder/state.db";
    expect_refusal(f, -ENOENT, "cannot open /nonexistent/folder/state.db.lock");
    f->params.path = path;
    assert_int_equal(unlink(path), 0);
    test_open(f);
}

/* ---- kill -9 ---- */

static void tell_parent(const struct mw_tx_result *r, void *userdata)
{
    int64_t pair[2] = {(intptr_t)userdata, r->event_id};

    if (r->error || r->event_id == 0 || write(STDOUT_FILENO, pair, sizeof(pair)) != sizeof(pair))
        _exit(1);
}

/* Writes until it is killed; tells on its standard output what was acknowledged. */
static void write_for_ever(struct fixture *f, int64_t from)
{
    struct mw_store_stats stats;
    uv_loop_t loop;
    struct mw_store *s;
    char id[24];

    uv_loop_init(&loop);
    if (mw_store_open(&loop, &f->params, &s, NULL) < 0)
        _exit(1);
    for (int64_t n = from;; n++) {
        struct mw_event ev;
        struct mw_tx *tx = mw_tx_new(s);

        snprintf(id, sizeof(id), "p%lld", (long long)n);
        ev = test_post(id, n);
        if (!tx || mw_tx_event(tx, &ev) < 0 || mw_tx_cursor(tx, "c", n) < 0)
            _exit(1);
        mw_tx_commit(tx, tell_parent, (void *)(intptr_t)n);
        do {
            mw_store_get_stats(s, &stats);
            uv_run(&loop, stats.queued_tx > 50 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
        } while (stats.queued_tx > 50);
    }
}

struct acknowledged {
    char object[24];
    bool found;
};

static bool same_object(const struct mw_event *ev, void *userdata)
{
    struct acknowledged *a = userdata;

    a->found = strcmp(ev->object, a->object) == 0;
    return true;
}

static void acknowledged_survives_kill(void **state)
{
    struct fixture *f = *state;
    int64_t pairs[4096][2], last = 0, cursor = 0;
    unsigned seed = 12345;

    f->params.ops = NULL;
    for (int round = 0; round < 12; round++) {
        size_t want = 1 + (size_t)rand_r(&seed) % 400, got = 0;
        int pipes[2], status;
        ssize_t n = 1;
        pid_t pid;

        test_close(f);
        assert_int_equal(pipe(pipes), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            dup2(pipes[1], STDOUT_FILENO);
            write_for_ever(f, last + 1);
        }
        close(pipes[1]);
        /* Killed while more is under way; what it had told by then still waits in the pipe. */
        while (n > 0 && got < MW_ARRAY_LEN(pairs)) {
            n = read(pipes[0], pairs[got], sizeof(pairs[0]));
            assert_true(n == 0 || n == (ssize_t)sizeof(pairs[0]));
            got += n > 0;
            if (got == want)
                kill(pid, SIGKILL);
        }
        kill(pid, SIGKILL);
        close(pipes[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_true(got >= want);

        test_open(f);
        for (size_t i = 0; i < got; i++) {
            struct acknowledged a = {0};

            snprintf(a.object, sizeof(a.object), "p%lld", (long long)pairs[i][0]);
            assert_int_equal(mw_store_event(f->store, pairs[i][1], same_object, &a), 0);
            assert_true(a.found);
        }
        /* The cursor moved in the same transactions: it is where the journal ends. */
        assert_int_equal(mw_store_cursor(f->store, "c", &cursor), 0);
        assert_true(cursor >= pairs[got - 1][0]);
        {
            struct acknowledged a = {0};

            snprintf(a.object, sizeof(a.object), "p%lld", (long long)cursor);
            assert_int_equal(
                mw_store_event(f->store, mw_store_last_event_id(f->store), same_object, &a), 0);
            assert_true(a.found);
        }
        last = cursor;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stalls_while_locked_and_recovers),
        TEST(close_gives_up_a_stall),
        TEST(stalls_when_full_and_recovers),
        TEST(full_queue_drains),
        TEST(second_process_is_refused),
        TEST(lock_of_a_dead_process_is_waited_for),
        TEST(files_are_private),
        TEST(other_files_are_refused),
        TEST(acknowledged_survives_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
