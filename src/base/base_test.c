/* The small modules of base: text, time, ids, map, errors, backoff. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "base/test.h"
#include "base/utf8.h"

static void test_utf8(void **state)
{
    static const struct {
        const char *s;
        size_t len, chars;
        bool valid;
    } rows[] = {
        {"", 0, 0, true},
        {"abc", 3, 3, true},
        {"\xc3\xa9", 2, 1, true},
        {"\xe2\x82\xac", 3, 1, true},
        {"\xf0\x9f\x98\x80", 4, 1, true},
        {"\xc0\x80", 2, 2, false},         /* overlong */
        {"\xe0\x80\x80", 3, 3, false},     /* overlong */
        {"\xed\xa0\x80", 3, 3, false},     /* surrogate */
        {"\xf4\x90\x80\x80", 4, 4, false}, /* beyond U+10FFFF */
        {"\xe2\x82", 2, 2, false},         /* cut */
        {"\x80", 1, 1, false},
        {"\xff", 1, 1, false},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        assert_int_equal(mw_utf8_valid(rows[i].s, rows[i].len), rows[i].valid);
        assert_int_equal(mw_utf8_count(rows[i].s), rows[i].chars);
    }
    assert_int_equal(mw_utf8_offset("a\xc3\xa9z", 2), 3);
    assert_int_equal(mw_utf8_offset("ab", 9), 2);
}

static void test_durations(void **state)
{
    static const struct {
        const char *s;
        int64_t ms;
    } good[] = {{"0", 0},       {"5", 5000},     {"250ms", 250},   {"30s", 30000},
                {"2m", 120000}, {"1h", 3600000}, {"7d", 604800000}};
    static const char *const bad[] = {
        "", "s", "-1", "1.5s", "5 s", "3w", "99999999999999999999", "9999999999999999d"};
    int64_t ms;

    for (size_t i = 0; i < MW_ARRAY_LEN(good); i++) {
        assert_int_equal(mw_duration_parse(good[i].s, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++)
        assert_int_equal(mw_duration_parse(bad[i], &ms), -EINVAL);
}

static void test_times(void **state)
{
    static const struct {
        const char *s;
        int64_t ms;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T10:00:00.123Z", 1795255200123},
        {"2026-11-21T12:00:00+02:00", 1795255200000},
        {"2026-11-21", 1795219200000},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"10s", 90000},
    };
    static const char *const bad[] = {"2026-02-30T00:00:00Z",
                                      "2026-13-01",
                                      "2026-1-1",
                                      "now",
                                      "2026-11-21T10:00:00",
                                      "2026-11-21T25:00:00Z",
                                      "2026-11-21T10:00:00Zx",
                                      "2026-11-21T10:00:00+2"};
    char text[MW_RFC3339_SIZE];
    int64_t ms;

    for (size_t i = 0; i < MW_ARRAY_LEN(good); i++) {
        assert_int_equal(mw_time_parse(good[i].s, 100000, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++)
        assert_int_equal(mw_time_parse(bad[i], 0, &ms), -EINVAL);
    assert_string_equal(mw_clock_rfc3339(1795255200123, text), "2026-11-21T10:00:00.123Z");
    assert_string_equal(mw_clock_rfc3339(-1, text), "1969-12-31T23:59:59.999Z");
}

static void test_ids(void **state)
{
    char a[MW_ID_SIZE], b[MW_ID_SIZE];

    assert_int_equal(mw_id_new(a), 0);
    assert_int_equal(mw_id_new(b), 0);
    assert_true(mw_id_valid(a));
    assert_string_not_equal(a, b);
    assert_true(mw_id_valid("a1b2c3d4e5f6g7h8i9j0klmnop"));
    assert_false(mw_id_valid("a1b2c3d4e5f6g7h8i9j0klmno"));
    assert_false(mw_id_valid("a1b2c3d4e5f6g7h8i9j0klmnopq"));
    assert_false(mw_id_valid("a1b2c3d4e5f6g7h8i9j0klmno-"));
    assert_false(mw_id_valid(""));
}

static int freed;
static void count_free(void *value)
{
    freed++;
    free(value);
}

static void test_map(void **state)
{
    struct mw_map m;
    char key[16];
    size_t it = 0, seen = 0;
    void *value;

    freed = 0;
    mw_map_init(&m, count_free);
    assert_null(mw_map_get(&m, "none"));
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        assert_int_equal(mw_map_put(&m, key, strdup(key)), 0);
    }
    assert_int_equal(mw_map_put(&m, "key7", strdup("replaced")), 0);
    assert_int_equal(freed, 1);
    assert_string_equal(mw_map_get(&m, "key7"), "replaced");
    for (int i = 0; i < 1000; i += 2) {
        snprintf(key, sizeof(key), "key%d", i);
        assert_true(mw_map_remove(&m, key));
        assert_false(mw_map_remove(&m, key));
    }
    value = mw_map_steal(&m, "key1");
    assert_string_equal(value, "key1");
    free(value);
    while (mw_map_next(&m, &it, NULL, &value))
        seen++;
    assert_int_equal(seen, 499);
    assert_int_equal(m.count, 499);
    assert_int_equal(freed, 501);
    /* Adding and removing for ever must not fill the table with tombstones. */
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(mw_map_put(&m, "again", strdup("x")), 0);
        assert_true(mw_map_remove(&m, "again"));
    }
    assert_true(m.cap <= 4096);
    mw_map_deinit(&m);
    assert_int_equal(freed, 501 + 100000 + 499);
}

static void test_errors(void **state)
{
    MW_AUTOERROR e = MW_ERROR_INIT, other = MW_ERROR_INIT;

    assert_string_equal(mw_error_text(&e), "no error");
    assert_int_equal(mw_error_set(NULL, -EIO, "nobody reads this"), -EIO);
    assert_int_equal(mw_error_set(&e, -ENOENT, "no file %s", "x"), -ENOENT);
    assert_int_equal(mw_error_set(&e, -EIO, "later"), -EIO);
    assert_string_equal(mw_error_text(&e), "no file x");
    mw_error_prefix(&e, "line %d", 3);
    assert_string_equal(mw_error_text(&e), "line 3: no file x");
    mw_error_move(&other, &e);
    assert_false(mw_error_is_set(&e));
    assert_string_equal(mw_error_text(&other), "line 3: no file x");
    mw_error_reset(&other);
    mw_error_set(&other, -ENOMEM, "%s", "");
    free(take_ptr(other.message));
    assert_string_equal(mw_error_text(&other), strerror(ENOMEM));
}

static void test_backoff(void **state)
{
    struct mw_backoff b;
    int64_t top = 1000;

    mw_backoff_init(&b, 500, 30000, 60000);
    for (int i = 0; i < 50; i++) {
        int64_t wait = mw_backoff_next(&b, 1000 + i);

        assert_in_range(wait, 500, (uintmax_t)top);
        top = MW_MIN(top * 2, 30000);
    }
    /* A short spell of health does not start it afresh, a long one does. */
    mw_backoff_healthy(&b, 100000);
    mw_backoff_next(&b, 100000 + 59999);
    assert_true(b.failures > 2);
    mw_backoff_healthy(&b, 200000);
    assert_in_range(mw_backoff_next(&b, 200000 + 60000), 500, 1000);
    assert_int_equal(b.failures, 1);
}

static void test_strings(void **state)
{
    char *slot = NULL;

    assert_int_equal(mw_str_set(&slot, "a"), 0);
    assert_int_equal(mw_str_set(&slot, slot), 0);
    assert_string_equal(slot, "a");
    assert_int_equal(mw_str_set(&slot, NULL), 0);
    assert_null(slot);
    assert_true(mw_streq(NULL, NULL));
    assert_false(mw_streq("a", NULL));
    assert_true(mw_secret_equal("token", "token"));
    assert_false(mw_secret_equal("token", "tokeN"));
    assert_false(mw_secret_equal("token", "toke"));
    assert_false(mw_secret_equal("", "t"));
    assert_false(mw_secret_equal("tt", "t"));
    assert_int_equal(mw_str_distance("channels", "channels"), 0);
    assert_int_equal(mw_str_distance("chanels", "channels"), 1);
    assert_int_equal(mw_str_distance("hcannels", "channels"), 1);
    assert_int_equal(mw_str_distance("", "abc"), 3);
}

static void test_bytes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {
        {"0", 0},         {"2048", 2048},       {"500 KiB", 500 * 1024},       {"1M", 1 << 20},
        {"1MB", 1000000}, {"2 GiB", 2ll << 30}, {"8388607T", 8388607ll << 40},
    };
    static const char *const bad[] = {
        "", "-1", "M", "1 Mib", "1.5G", "1X", "8388608 T", " 1 M", "99999999999999999999"};
    int64_t n = -1;

    for (size_t i = 0; i < MW_ARRAY_LEN(good); i++) {
        assert_int_equal(mw_bytes_parse(good[i].text, &n), 0);
        assert_int_equal(n, good[i].bytes);
    }
    n = 7;
    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++)
        assert_int_equal(mw_bytes_parse(bad[i], &n), -EINVAL);
    assert_int_equal(n, 7);
}

static void test_log_levels(void **state)
{
    enum mw_log_level level = MW_LOG_INFO;

    assert_int_equal(mw_log_level_parse("debug", &level), 0);
    assert_int_equal(level, MW_LOG_DEBUG);
    assert_int_equal(mw_log_level_parse("loud", &level), -EINVAL);
}

static struct mw_map *watched;
static unsigned looked;

/* A destructor that looks into its map finds a map in order, without the value. */
static void free_and_look(void *value)
{
    looked++;
    assert_ptr_not_equal(mw_map_get(watched, "a"), value);
    assert_false(mw_map_remove(watched, "gone"));
    free(value);
}

static void test_map_destructor_may_look(void **state)
{
    struct mw_map m;

    mw_map_init(&m, free_and_look);
    watched = &m;
    assert_int_equal(mw_map_put(&m, "a", strdup("1")), 0);
    assert_int_equal(mw_map_put(&m, "a", strdup("2")), 0);
    assert_true(mw_map_remove(&m, "a"));
    assert_int_equal(mw_map_put(&m, "a", strdup("3")), 0);
    mw_map_deinit(&m);
    assert_int_equal(looked, 3);
}

static void test_backoff_never_waits_0(void **state)
{
    struct mw_backoff b;

    mw_backoff_init(&b, 0, -5, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mw_backoff_next(&b, i), 1);
}

/* Writes one line to a file instead of standard error and reads it back. */
static void logged(const char *field, char *line, size_t size)
{
    int saved = dup(STDERR_FILENO), fd = memfd_create("log", 0);
    ssize_t n;

    assert_true(saved >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    mw_log_setup(MW_LOG_INFO, MW_LOG_JSON);
    mw_log_info("hello", MW_F_STR("field", field));
    mw_log_debug("not this");
    dup2(saved, STDERR_FILENO);
    n = pread(fd, line, size - 1, 0);
    assert_true(n >= 0);
    line[n] = '\0';
    close(saved);
    close(fd);
}

static void test_log_line_is_whole(void **state)
{
    MW_AUTOFREE char *huge = malloc(70000);
    char line[512];

    logged("x\ny", line, sizeof(line));
    assert_non_null(strstr(line, "\"message\":\"hello\",\"field\":\"x\\ny\"}\n"));
    assert_non_null(huge);
    memset(huge, 'x', 69999);
    huge[69999] = '\0';
    logged(huge, line, sizeof(line));
    assert_non_null(strstr(line, "\"message\":\"hello\",\"cut\":\"the fields of this line\"}\n"));
    assert_null(strstr(line, "xxx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_backoff),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_log_levels),
        cmocka_unit_test(test_map_destructor_may_look),
        cmocka_unit_test(test_backoff_never_waits_0),
        cmocka_unit_test(test_log_line_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
