#include "base/buf.h"
#include "base/test.h"

static void test_appends(void **state)
{
    MW_AUTOBUF b = {0};

    assert_string_equal(mw_buf_str(&b), "");
    assert_int_equal(mw_buf_puts(&b, "abc"), 0);
    assert_int_equal(mw_buf_putc(&b, '-'), 0);
    assert_int_equal(mw_buf_printf(&b, "%d/%s", 7, "x"), 0);
    assert_string_equal(mw_buf_str(&b), "abc-7/x");
    mw_buf_consume(&b, 4);
    assert_string_equal(mw_buf_str(&b), "7/x");
    assert_int_equal(b.len, 3);
}

static void test_limit_sticks(void **state)
{
    MW_AUTOBUF b = {.limit = 4};

    assert_int_equal(mw_buf_puts(&b, "abc"), 0);
    assert_int_equal(mw_buf_puts(&b, "de"), -E2BIG);
    assert_int_equal(mw_buf_puts(&b, "f"), -E2BIG);
    assert_string_equal(mw_buf_str(&b), "abc");
    assert_null(mw_buf_take(&b));
    mw_buf_clear(&b);
    assert_int_equal(mw_buf_puts(&b, "wxyz"), 0);
    assert_string_equal(mw_buf_str(&b), "wxyz");
}

static void test_take(void **state)
{
    MW_AUTOBUF b = {0};
    MW_AUTOFREE char *empty = mw_buf_take(&b);

    assert_string_equal(empty, "");
    mw_buf_puts(&b, "kept");
    MW_AUTOFREE char *s = mw_buf_take(&b);
    assert_string_equal(s, "kept");
    assert_int_equal(b.len, 0);
    assert_null(b.data);
}

static void test_reserve(void **state)
{
    MW_AUTOBUF b = {.limit = 10};
    char *room = mw_buf_reserve(&b, 5);

    assert_non_null(room);
    assert_string_equal(mw_buf_str(&b), ""); /* also before the commit */
    memcpy(room, "xx", 2);
    mw_buf_commit(&b, 0);
    assert_string_equal(mw_buf_str(&b), "");
    memcpy(room, "hello", 5);
    mw_buf_commit(&b, 5);
    assert_string_equal(mw_buf_str(&b), "hello");
    assert_null(mw_buf_reserve(&b, 6));
}

static void test_json_string(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"line\nfeed\ttab\r", "\"line\\nfeed\\ttab\\r\""},
        {"\x01\x1f", "\"\\u0001\\u001f\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"bad\xff!", "\"bad\xef\xbf\xbd!\""},
        {"cut\xe2\x82", "\"cut\xef\xbf\xbd\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOBUF b = {0};

        assert_int_equal(mw_buf_put_json_string(&b, rows[i].in), 0);
        assert_string_equal(mw_buf_str(&b), rows[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends),     cmocka_unit_test(test_limit_sticks),
        cmocka_unit_test(test_take),        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_json_string),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
