#include "gateway/when.h"

#include <time.h>

#include "base/alloc_fail.h"
#include "base/str.h"
#include "base/test.h"

static const struct mw_event event = {
    .kind = MW_EVENT_POST,
    .flags = MW_EVENT_MENTION,
    .at = 1763719200000, /* Friday, 21 November 2025, 10:00 UTC */
    .channel_id = "c1a2b3c4d5e6f7g8h9i0jklmno",
    .channel_name = "ops",
    .team_id = "t1",
    .team_name = "engineering",
    .user_id = "u1",
    .user_name = "ada",
    .text = "deploy web now",
};

static void test_values(void **state)
{
    static const struct {
        const char *when;
        int result; /* -1 = fails on this event */
    } rows[] = {
        {"true", 1},
        {" false ", 0},
        {"direct", 0},
        {"mentioned", 1},
        {"mentioned\n", 1},
        {"not direct", 1},
        {"direct or mentioned", 1},
        {"thread", 0},
        {"reply_to_me", 1},
        {"from_bot or from_webhook", 0},
        {"channel_name == \"ops\" and text:match(\"^deploy\")", 1},
        {"channel_name == 'dev' and text:match('^deploy')", 0},
        {"channel == 'c1a2b3c4d5e6f7g8h9i0jklmno'", 1},
        {"team == 'engineering' and team_id == 't1'", 1},
        {"user == 'u1' and user_name == 'ada'", 1},
        {"kind == 'post'", 1},
        {"({ada = true, bob = true})[user_name]", 1},
        {"({bob = true; eve = true})[user_name]", 0},
        {"hour >= 10 and hour < 18", 1},
        {"weekday == 'fri' and wday == 5", 1},
        {"wday <= 5", 1},
        {"text:match('^%a+ (%w+)') == 'web'", 1},
        {"#text == 14 and text:upper() == 'DEPLOY WEB NOW'", 1},
        {"string.len(text) > 3 and math.max(1, hour) == 10", 1},
        {"text .. kind == 'deploy web nowpost'", 1},
        {"text == [[deploy web now]] -- a comment, direct", 1},
        {"--[[ long\ncomment ]] mentioned -- end", 1},
        {"0", 1},
        {"nil", 0},
        {"text:find('\\z\n  web', 1, true)", 1},
        {"1..2 == '12' or 1 .. 2 == '12'", 2},
        {"tonumber('0x1p4') == 16.0 and 3e-1 < 1", 1},
        {"text == 'deploy web now' and text < nil", -1},
        {"text == 'deploy web now' and ('a'):rep(5000):match('.-.-.-.-b')", -1},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_when *w = NULL;
        struct gw_when_input in = {.ev = &event, .reply_to_me = true};
        bool result = false;
        int r = gw_when_compile(rows[i].when, &w, &err);

        if (rows[i].result == 2) { /* Lua reads 1..2 as a malformed number */
            assert_int_equal(r, 1);
            continue;
        }
        if (r)
            fail_msg("%s: %s", rows[i].when, mw_error_text(&err));
        /* The second time as the first. */
        for (int k = 0; k < 2; k++) {
            MW_AUTOERROR why = MW_ERROR_INIT;

            r = gw_when_eval(w, &in, &result, &why);
            if (r != (rows[i].result < 0) || (!r && result != rows[i].result))
                fail_msg("%s: %d, %d, %s", rows[i].when, r, result, mw_error_text(&why));
        }
        gw_when_free(w);
    }
}

static void test_input(void **state)
{
    struct gw_when *w = NULL;
    struct mw_event ev = event;
    struct gw_when_input in = {.ev = &ev, .text = "status"};
    bool result = false;

    assert_int_equal(gw_when_compile("thread and text == 'status'", &w, NULL), 0);
    assert_int_equal(gw_when_eval(w, &in, &result, NULL), 0);
    assert_false(result);
    in.thread = true;
    assert_int_equal(gw_when_eval(w, &in, &result, NULL), 0);
    assert_true(result);
    in.thread = false;
    ev.flags |= MW_EVENT_THREAD;
    assert_int_equal(gw_when_eval(w, &in, &result, NULL), 0);
    assert_true(result);
    in.text = NULL;
    assert_int_equal(gw_when_eval(w, &in, &result, NULL), 0);
    assert_false(result);
    gw_when_free(w);
}

static void test_errors(void **state)
{
    static const struct {
        const char *when, *error;
    } rows[] = {
        {"", "the expression is empty; use `true` for every event"},
        {" \n", "the expression is empty; use `true` for every event"},
        {"mentionned", "line 1, column 1: there is no variable `mentionned`; did you mean "
                       "`mentioned`?"},
        {"direct and chanel == 'x'",
         "line 1, column 12: there is no variable `chanel`; did you mean `channel`?"},
        {"direct and\n  nothing_like_it",
         "line 2, column 3: there is no variable `nothing_like_it`"},
        {"text:mach('x')", "line 1, column 6: there is no method `mach`; did you mean `match`?"},
        {"direct and string.lowr(text)",
         "line 1, column 19: there is no function `lowr`; did you mean `lower`?"},
        {"direct = true", "line 1, column 8: nothing can be set here; to compare, use =="},
        {"(function() return true end)()", "line 1, column 2: functions cannot be defined here"},
        {"'\xc3\xa9' == chanel",
         "line 1, column 8: there is no variable `chanel`; did you mean `channel`?"},
        {"direct and", "line 1, column 11: unexpected symbol near <eof>: the expression ends too "
                       "early"},
        {"(direct", "line 1, column 8: ')' expected near <eof>: the expression ends too early"},
        {"direct and or mentioned", "line 1, column 12: unexpected symbol near 'or'"},
        {"direct\nand (mentioned]", "line 2, column 15: ')' expected near ']'"},
        {"direct mentioned", "line 1, column 8: <eof> expected near 'mentioned'"},
        {"direct, mentioned", "line 1, column 1: this must be one expression"},
        {"direct) or (mentioned", "line 1, column 7: <eof> expected near ')'"},
        {"text < 1", "when:1: attempt to compare string with number"},
        {"text:match('(')", "when:1: a ( in the pattern has no ) behind it"},
        {"io", "line 1, column 1: there is no variable `io`; did you mean `ipairs`?"},
        {"_ENV", "line 1, column 1: there is no variable `_ENV`"},
        {"load('x')", "line 1, column 1: there is no variable `load`"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_when *w = NULL;

        assert_int_equal(gw_when_compile(rows[i].when, &w, &err), 1);
        assert_null(w);
        if (strcmp(rows[i].when, "io") != 0)
            assert_string_equal(mw_error_text(&err), rows[i].error);
    }
}

static void test_long(void **state)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *text = malloc(GW_WHEN_MAX + 2);
    struct gw_when *w = NULL;

    assert_non_null(text);
    memset(text, '(', GW_WHEN_MAX);
    text[GW_WHEN_MAX] = 0;
    assert_int_equal(gw_when_compile(text, &w, &err), 1);
    text[GW_WHEN_MAX] = ' ';
    text[GW_WHEN_MAX + 1] = 0;
    mw_error_reset(&err);
    assert_int_equal(gw_when_compile(text, &w, &err), 1);
    assert_string_equal(mw_error_text(&err), "the expression is longer than 2000 bytes");
}

static void test_reference(void **state)
{
    const char *doc = NULL;
    size_t n = 0;

    for (; gw_when_variable(n, &doc); n++)
        assert_true(strlen(doc) > 10);
    assert_int_equal(n, 17);
}

static int compile_and_ask(void *userdata)
{
    struct gw_when_input in = {.ev = &event};
    struct gw_when *w = NULL;
    bool result = false;
    int r = gw_when_compile("channel_name == 'ops' and text:match('^deploy')", &w, NULL);

    if (r)
        return r;
    r = gw_when_eval(w, &in, &result, NULL);
    gw_when_free(w);
    if (!r)
        assert_true(result);
    return r;
}

static void test_allocations(void **state)
{
    mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, compile_and_ask, NULL, 0);
    mw_alloc_fail_each(MW_ALLOC_FAIL_REST, compile_and_ask, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_input),
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_long),
        cmocka_unit_test(test_reference), cmocka_unit_test(test_allocations),
    };

    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
