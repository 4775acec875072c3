/* The look from outside: with and without a daemon, sound and damaged. */
#include "store/check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "store/test_store.h"

static bool there(const struct fixture *f, const char *suffix)
{
    MW_AUTOFREE char *name = mw_asprintf("%s%s", f->path, suffix);

    return access(name, F_OK) == 0;
}

static void sound(void **state)
{
    const struct mw_store_check_params deep = {.deep = true, .budget_ms = 60000};
    struct fixture *f = *state;
    struct mw_event ev = test_post("p1", 1);
    struct mw_store_check c;

    test_event(f, &ev);
    test_indexed(f);
    assert_int_equal(mw_store_check(f->path, NULL, &c, NULL), 0);
    assert_int_equal(c.integrity, MW_INTEGRITY_GOOD);
    assert_true(c.in_use);
    assert_true(c.wal_bytes > 0);
    test_close(f);
    assert_int_equal(chmod(f->path, 0640), 0);
    assert_int_equal(mw_store_check(f->path, &deep, &c, NULL), 0);
    assert_int_equal(c.integrity, MW_INTEGRITY_GOOD);
    assert_false(c.in_use);
    assert_int_equal(c.wal_bytes, 0);
    assert_int_equal(c.last_event_id, 1);
    assert_int_equal(c.indexed_id, 1);
    assert_int_equal(c.schema, c.newest_schema);
    assert_true(c.schema >= 2);
    assert_true(c.file_bytes > 0);
    assert_true(c.disk_free > 0);
    assert_int_equal(c.mode, 0640);
    assert_false(there(f, "-wal") || there(f, "-shm"));
    /* The lock was given back. */
    test_open(f);
}

static void damaged(void **state)
{
    struct fixture *f = *state;
    struct mw_store_check c = {0};
    char noise[4096], id[16];
    int fd;

    for (int i = 0; i < 100; i++) {
        struct mw_event ev = test_post(id, i + 1);

        snprintf(id, sizeof(id), "p%d", i);
        ev.raw = "{\"a long text\":\"so that the table has more than one page to be hurt\"}";
        test_event(f, &ev);
    }
    test_close(f);
    memset(noise, 0xa5, sizeof(noise));
    fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    /* All but the schema's own pages. */
    for (off_t page = 20; page < 40; page++)
        assert_int_equal(pwrite(fd, noise, sizeof(noise), page * 4096), sizeof(noise));
    close(fd);
    assert_int_equal(mw_store_check(f->path, NULL, &c, NULL), 0);
    assert_int_equal(c.integrity, MW_INTEGRITY_DAMAGED);
    assert_true(c.problem[0] != '\0');
}

static void not_ours(void **state)
{
    struct fixture *f = *state;
    MW_AUTOFREE char *missing = mw_asprintf("%s/none", f->dir);
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_store_check c;
    int fd;

    assert_int_equal(mw_store_check(missing, NULL, &c, &err), -ENOENT);
    assert_non_null(strstr(mw_error_text(&err), "none"));
    mw_error_reset(&err);
    test_close(f);
    fd = open(f->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "not a database at all, but some text", 36), 36);
    close(fd);
    assert_int_equal(mw_store_check(f->path, NULL, &c, &err), -EINVAL);
    assert_non_null(strstr(mw_error_text(&err), "not a database"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)
    const struct CMUnitTest tests[] = {
        TEST(sound),
        TEST(damaged),
        TEST(not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
