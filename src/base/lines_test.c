/* Lines, whole and in pieces. */
#include "base/lines.h"
#include "base/test.h"

/* What comes out when `in` is fed in pieces of `step` bytes: lines in [], ! for one too long. */
static void expect(const char *in, size_t max, const char *out)
{
    size_t len = strlen(in);

    for (size_t step = 1; step <= len + 1; step++) {
        struct mw_lines l;
        MW_AUTOBUF got = {0};

        mw_lines_init(&l, max);
        for (size_t at = 0; at < len; at += step) {
            size_t n = MW_MIN(step, len - at), line_len = 0;
            const char *line = NULL;
            int r;

            assert_int_equal(mw_lines_feed(&l, in + at, n), 0);
            while ((r = mw_lines_next(&l, &line, &line_len))) {
                if (r < 0)
                    mw_buf_puts(&got, "!");
                else
                    mw_buf_printf(&got, "[%.*s]", (int)line_len, line);
            }
            assert_true(l.in.len - l.taken <= max + 2);
        }
        assert_string_equal(mw_buf_str(&got), out);
        mw_lines_deinit(&l);
    }
}

static void splits(void **state)
{
    expect("", 10, "");
    expect("half", 10, "");
    expect("one\ntwo\n", 10, "[one][two]");
    expect("one\r\n\r\n\n x \nrest", 10, "[one][][][ x ]");
    expect("a\rb\n\r\r\n", 10, "[a\rb][\r]");
}

static void limits(void **state)
{
    expect("12345\n123456\n1\n", 5, "[12345]![1]");
    expect("12345\r\n1\n", 5, "[12345][1]");
    expect("12345x\r\n1\n", 5, "![1]");
    expect("1234567890123456789\n\n1234567890", 5, "![]!");
}

static void forgets(void **state)
{
    struct mw_lines l;
    const char *line = NULL;
    size_t len = 0;

    mw_lines_init(&l, 4);
    assert_int_equal(mw_lines_feed(&l, "too long", 8), 0);
    assert_int_equal(mw_lines_next(&l, &line, &len), -E2BIG);
    mw_lines_clear(&l);
    assert_int_equal(mw_lines_feed(&l, "a\n", 2), 0);
    assert_int_equal(mw_lines_next(&l, &line, &len), 1);
    assert_int_equal(len, 1);
    mw_lines_deinit(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits),
        cmocka_unit_test(limits),
        cmocka_unit_test(forgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
