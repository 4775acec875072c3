#include "mattermost/frame.h"

#include "base/test.h"

static int parse(const char *text, struct mm_frame *ret)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r = mm_frame_parse(text, strlen(text), ret, &err);

    assert_true(r == 0 || mw_error_is_set(&err));
    return r;
}

static void test_event(void **state)
{
    struct mm_frame f;

    assert_int_equal(
        parse("{\"event\":\"posted\",\"data\":{\"a\":1},\"broadcast\":{},\"seq\":7}", &f), 0);
    assert_int_equal(f.event, MM_FRAME_POSTED);
    assert_int_equal(f.seq, 7);
    assert_int_equal(mw_json_i64(f.data, "a", 0), 1);
    assert_non_null(f.broadcast);
    mm_frame_deinit(&f);
}

static void test_reply(void **state)
{
    struct mm_frame f;

    assert_int_equal(parse("{\"status\":\"OK\",\"seq_reply\":3}", &f), 0);
    assert_int_equal(f.event, MM_FRAME_REPLY);
    assert_int_equal(f.seq_reply, 3);
    assert_false(f.failed);
    mm_frame_deinit(&f);
    assert_int_equal(parse("{\"status\":\"FAIL\",\"seq_reply\":3,\"error\":{}}", &f), 0);
    assert_true(f.failed);
    mm_frame_deinit(&f);
}

/* Without a parse where that is safe, with one where it is not. */
static void test_others_give_their_seq(void **state)
{
    static const struct {
        const char *text;
        int64_t seq;
        bool parsed;
    } rows[] = {
        {"{\"event\":\"status_change\",\"data\":{\"seq\":5},\"seq\":9}", 9, false},
        {"{\"event\": \"status_change\", \"data\": {}, \"seq\": 10}\n", 10, false},
        {"{\"seq\":11,\"event\":\"status_change\",\"data\":{\"x\":1,\"seq\":5}}", 11, true},
        {"{\"event\":\"status_change\",\"seq\":12,\"data\":{\"x\":1,\"seq\":5}}", 12, true},
        {"{\"event\":\"st\\u0061tus\",\"seq\":13}", 13, true},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct mm_frame f;

        assert_int_equal(parse(rows[i].text, &f), 0);
        assert_int_equal(f.event, MM_FRAME_OTHER);
        assert_int_equal(f.seq, rows[i].seq);
        assert_int_equal(f.tree != NULL, rows[i].parsed);
        mm_frame_deinit(&f);
    }
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "7",
                                      "{\"event\":\"posted\"}",
                                      "{\"event\":7,\"seq\":1}",
                                      "{\"event\":\"posted\",\"seq\":\"1\"}",
                                      "{\"event\":\"posted\",\"seq\":-2}"};
    struct mm_frame f;

    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], &f), -EINVAL);
}

static void test_nul_is_replaced(void **state)
{
    MW_AUTOJSON *json = NULL;
    const char *text = "{\"a\":\"x\\u0000y\",\"b\":\"\\\\u0000\"}";

    assert_int_equal(mm_json_parse(text, strlen(text), &json, NULL), 0);
    assert_string_equal(mw_json_str(json, "a"), "x\xef\xbf\xbdy");
    assert_string_equal(mw_json_str(json, "b"), "\\u0000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_others_give_their_seq),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_nul_is_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
