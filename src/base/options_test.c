#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/options.h"
#include "base/str.h"

struct values {
    bool json, quiet;
    const char *config;
    const char *mode;
    struct mw_option_list kinds;
    int64_t limit;
    int64_t since;
};

#define ROW(name, letter, type, arg, help, member, ...)                                            \
    MW_OPTION(name, letter, type, arg, help, struct values, member, ##__VA_ARGS__)

static const struct mw_option table[] = {
    ROW("config", 'c', MW_OPT_STRING, "FILE", "read this file instead of the usual one", config,
        .complete = MW_COMPLETE_FILE),
    ROW("json", 'j', MW_OPT_FLAG, NULL, "print JSON", json),
    ROW("quiet", 'q', MW_OPT_FLAG, NULL, "say nothing", quiet),
    ROW("mode", 0, MW_OPT_STRING, "MODE", "how", mode, .choices = "auto always never"),
    ROW("kind", 'k', MW_OPT_LIST, "KIND", "only these", kinds),
    ROW("limit", 'n', MW_OPT_INT, "N", "at most so many", limit, .min = 1, .max = 1000),
    ROW("since", 0, MW_OPT_DURATION, "TIME",
        "a long sentence that does not fit into what is left of one line of a terminal of 80 "
        "columns",
        since),
    MW_OPTIONS_END,
};

static int parse(struct values *v, int *n, char **rest, struct mw_error *err,
                 enum mw_options_mode mode, const char *line)
{
    static char copy[512];
    int argc = 0;

    *v = (struct values){.limit = 50};
    strcpy(copy, line);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        rest[argc++] = p;
    return mw_options_parse(table, argc, rest, mode, v, n, err);
}

#define RUN(line)                                                                                  \
    struct values v;                                                                               \
    char *args[32];                                                                                \
    int n = -1;                                                                                    \
    MW_AUTOERROR err = MW_ERROR_INIT;                                                              \
    int r = parse(&v, &n, args, &err, MW_OPTIONS_PERMUTE, line)

static void test_forms(void **state)
{
    RUN("one --config=a -j two --kind post -k edit --limit 7 --since=90s -q - -- --json x");

    assert_int_equal(r, 0);
    assert_string_equal(v.config, "a");
    assert_true(v.json);
    assert_true(v.quiet);
    assert_int_equal(v.kinds.n, 2);
    assert_string_equal(v.kinds.items[0], "post");
    assert_string_equal(v.kinds.items[1], "edit");
    assert_int_equal(v.limit, 7);
    assert_int_equal(v.since, 90000);
    assert_int_equal(n, 5);
    assert_string_equal(args[0], "one");
    assert_string_equal(args[1], "two");
    assert_string_equal(args[2], "-");
    assert_string_equal(args[3], "--json");
    assert_string_equal(args[4], "x");
    mw_option_list_deinit(&v.kinds);
}

static void test_letters(void **state)
{
    RUN("-jqcfile -n5");

    assert_int_equal(r, 0);
    assert_true(v.json);
    assert_true(v.quiet);
    assert_string_equal(v.config, "file");
    assert_int_equal(v.limit, 5);
    assert_int_equal(n, 0);
}

static void test_empty_value(void **state)
{
    RUN("--config= --mode=never");

    assert_int_equal(r, 0);
    assert_string_equal(v.config, "");
    assert_string_equal(v.mode, "never");
}

static void test_stop(void **state)
{
    struct values v;
    char *args[32];
    int n = -1;
    MW_AUTOERROR err = MW_ERROR_INIT;

    assert_int_equal(parse(&v, &n, args, &err, MW_OPTIONS_STOP, "-j verb --whatever -q"), 0);
    assert_true(v.json);
    assert_false(v.quiet);
    assert_int_equal(n, 3);
    assert_string_equal(args[0], "verb");
    assert_string_equal(args[1], "--whatever");
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *line, *sentence;
    } rows[] = {
        {"--confg x", "unknown option --confg; did you mean --config?"},
        {"--lim=1", "unknown option --lim; did you mean --limit?"},
        {"--zzz", "unknown option --zzz"},
        {"-json", "unknown option -json; did you mean --json?"},
        {"-x", "unknown option -x"},
        {"--config", "--config needs a value: --config FILE"},
        {"-c", "-c needs a value: -c FILE"},
        {"--json=1", "--json takes no value"},
        {"--limit many", "--limit wants a whole number, not \"many\""},
        {"--limit 0", "--limit must be between 1 and 1000"},
        {"--limit 99999999999999999999", "--limit wants a whole number, not "
                                         "\"99999999999999999999\""},
        {"--since soon", "--since wants a duration such as 30s, 5m or 2h, not \"soon\""},
        {"--mode often", "--mode cannot be \"often\"; it is one of: auto always never"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        RUN(rows[i].line);

        assert_int_equal(r, 1);
        assert_string_equal(mw_error_text(&err), rows[i].sentence);
    }
}

static void test_help(void **state)
{
    MW_AUTOBUF b = {0};
    size_t longest = 0;

    mw_buf_init(&b, 0);
    assert_int_equal(mw_options_write_help(&b, table, 80), 0);
    assert_non_null(strstr(mw_buf_str(&b), "  -c, --config FILE         read this file instead"));
    assert_non_null(strstr(mw_buf_str(&b), "      --mode MODE           how\n"));
    for (const char *p = mw_buf_str(&b); *p;) {
        size_t len = strcspn(p, "\n");

        longest = MW_MAX(longest, len);
        p += len + 1;
    }
    assert_in_range(longest, 60, 80);
}

static void test_wrap(void **state)
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(mw_buf_wrap(&b, "aaa bbb ccc\nddd \xc3\xa4\xc3\xa4\xc3\xa4 eee", 0, 2, 9), 0);
    assert_string_equal(mw_buf_str(&b), "aaa bbb\n  ccc\n  ddd \xc3\xa4\xc3\xa4\xc3\xa4\n  eee\n");
}

static void test_nearest(void **state)
{
    struct mw_nearest n = {.name = "chanels"};

    mw_nearest_offer(&n, "transport");
    assert_null(mw_nearest_get(&n));
    mw_nearest_offer(&n, "channel");
    mw_nearest_offer(&n, "channels");
    assert_string_equal(mw_nearest_get(&n), "channels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),       cmocka_unit_test(test_letters),
        cmocka_unit_test(test_empty_value), cmocka_unit_test(test_stop),
        cmocka_unit_test(test_mistakes),    cmocka_unit_test(test_help),
        cmocka_unit_test(test_wrap),        cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
