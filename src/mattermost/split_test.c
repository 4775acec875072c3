#include "base/buf.h"
#include "base/test.h"
#include "base/utf8.h"
#include "mattermost/split.h"

static struct mm_parts split(const char *text, size_t max)
{
    struct mm_parts p = {0};

    assert_int_equal(mm_split(text, max, &p), 0);
    for (size_t i = 0; i < p.n; i++)
        assert_in_range(mw_utf8_count(p.text[i]), 1, max);
    return p;
}

static void test_short(void **state)
{
    struct mm_parts p = split("hello\n \n", 64);

    assert_int_equal(p.n, 1);
    assert_string_equal(p.text[0], "hello");
    mm_parts_deinit(&p);
    p = split("", 64);
    assert_int_equal(p.n, 0);
    p = split(" \n\t\n", 64);
    assert_int_equal(p.n, 0);
    mm_parts_deinit(&p);
}

static void test_words(void **state)
{
    MW_AUTOBUF text = {0}, joined = {0};
    struct mm_parts p;

    for (int i = 0; i < 100; i++)
        mw_buf_printf(&text, "%sword%d", i ? " " : "", i);
    p = split(mw_buf_str(&text), 64);
    assert_true(p.n > 10);
    for (size_t i = 0; i < p.n; i++)
        mw_buf_printf(&joined, "%s%s", i ? " " : "", p.text[i]);
    assert_string_equal(mw_buf_str(&joined), mw_buf_str(&text));
    mm_parts_deinit(&p);
}

static void test_prefers_lines(void **state)
{
    struct mm_parts p = split("the first line of the text has some words\n"
                              "the second line has some as well",
                              64);

    assert_int_equal(p.n, 2);
    assert_string_equal(p.text[0], "the first line of the text has some words");
    assert_string_equal(p.text[1], "the second line has some as well");
    mm_parts_deinit(&p);
}

static void test_characters(void **state)
{
    MW_AUTOBUF text = {0}, joined = {0};
    struct mm_parts p;

    for (int i = 0; i < 200; i++)
        mw_buf_puts(&text, "\xf0\x9f\x98\x80\xc3\xa9");
    p = split(mw_buf_str(&text), 64);
    assert_int_equal(p.n, 7);
    for (size_t i = 0; i < p.n; i++) {
        assert_true(mw_utf8_valid(p.text[i], strlen(p.text[i])));
        mw_buf_puts(&joined, p.text[i]);
    }
    assert_string_equal(mw_buf_str(&joined), mw_buf_str(&text));
    mm_parts_deinit(&p);
}

static void test_accents_stay(void **state)
{
    MW_AUTOBUF text = {0};
    struct mm_parts p;

    for (int i = 0; i < 100; i++)
        mw_buf_puts(&text, "e\xcc\x81\xcc\xa3");
    p = split(mw_buf_str(&text), 64);
    for (size_t i = 0; i < p.n; i++)
        assert_int_equal(p.text[i][0], 'e');
    mm_parts_deinit(&p);
}

static void test_fence(void **state)
{
    MW_AUTOBUF text = {0};
    struct mm_parts p;

    mw_buf_puts(&text, "Here it is:\n```sh\n");
    for (int i = 0; i < 30; i++)
        mw_buf_printf(&text, "  echo line %d\n", i);
    mw_buf_puts(&text, "```\nDone.");
    p = split(mw_buf_str(&text), 100);
    assert_true(p.n > 4);
    assert_true(strncmp(p.text[0], "Here it is:\n```sh\n  echo line 0\n", 32) == 0);
    for (size_t i = 0; i + 1 < p.n; i++)
        assert_string_equal(p.text[i] + strlen(p.text[i]) - 4, "\n```");
    for (size_t i = 1; i + 1 < p.n; i++)
        assert_true(strncmp(p.text[i], "```sh\n  echo", 12) == 0);
    assert_non_null(strstr(p.text[p.n - 1], "Done."));
    mm_parts_deinit(&p);
}

/* The fence ends just where the part does: no empty block follows. */
static void test_fence_end_at_cut(void **state)
{
    for (int pad = 30; pad < 64; pad++) {
        MW_AUTOBUF text = {0};
        struct mm_parts p;

        mw_buf_puts(&text, "~~~\n");
        for (int i = 0; i < pad; i++)
            mw_buf_putc(&text, 'x');
        mw_buf_puts(&text, "\n~~~\nand then some more text follows behind the block of code");
        p = split(mw_buf_str(&text), 64);
        for (size_t i = 0; i < p.n; i++)
            assert_null(strstr(p.text[i], "~~~\n~~~"));
        assert_non_null(strstr(p.text[p.n - 1], "code"));
        mm_parts_deinit(&p);
    }
}

static void test_monstrous_fences(void **state)
{
    MW_AUTOBUF text = {0};
    struct mm_parts p;

    mw_buf_puts(&text, "```");
    for (int i = 0; i < 300; i++)
        mw_buf_puts(&text, "info ");
    mw_buf_puts(&text, "\ncode\n");
    for (int i = 0; i < 300; i++)
        mw_buf_putc(&text, '`');
    mw_buf_puts(&text, "\nend");
    p = split(mw_buf_str(&text), 64);
    assert_true(p.n > 20);
    mm_parts_deinit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_prefers_lines),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_accents_stay),
        cmocka_unit_test(test_fence),
        cmocka_unit_test(test_fence_end_at_cut),
        cmocka_unit_test(test_monstrous_fences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
