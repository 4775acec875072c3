#include "base/json.h"
#include "base/test.h"

static void test_parse(void **state)
{
    static const char *const good[] = {
        "{}",   " [1,2] \n",     "\"\\u00e9\"",
        "null", "\"\\\\u0000\"", "{\"a\":{\"b\":[true,false,null,1.5e3]}}"};
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        {"", "invalid JSON at byte 0"},
        {"{\"a\":}", "invalid JSON at byte 5"},
        {"{} x", "invalid JSON at byte 3: text after the value"},
        {"\"\xff\"", "invalid JSON: the text is not valid UTF-8"},
        {"\"a\\u0000b\"", "invalid JSON at byte 2: a string holds a NUL character"},
        {"[1", "invalid JSON at byte 1"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(good); i++) {
        MW_AUTOJSON *tree = NULL;

        assert_int_equal(mw_json_parse(good[i], strlen(good[i]), &tree, NULL), 0);
        assert_non_null(tree);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        cJSON *tree = NULL;

        assert_int_equal(mw_json_parse(bad[i].text, strlen(bad[i].text), &tree, &err), -EINVAL);
        assert_null(tree);
        assert_string_equal(mw_error_text(&err), bad[i].sentence);
    }
}

static void test_deep_nesting_is_refused(void **state)
{
    char deep[4000];
    cJSON *tree = NULL;

    memset(deep, '[', sizeof(deep));
    assert_int_equal(mw_json_parse(deep, sizeof(deep), &tree, NULL), -EINVAL);
}

static void test_getters(void **state)
{
    static const char text[] =
        "{\"s\":\"x\",\"n\":1700000000123,\"t\":true,\"o\":{},\"a\":[],\"big\":1e300,\"z\":null}";
    MW_AUTOJSON *tree = NULL;

    assert_int_equal(mw_json_parse(text, strlen(text), &tree, NULL), 0);
    assert_string_equal(mw_json_str(tree, "s"), "x");
    assert_null(mw_json_str(tree, "n"));
    assert_null(mw_json_str(tree, "S"));
    assert_string_equal(mw_json_str_or(tree, "z", "-"), "-");
    assert_int_equal(mw_json_i64(tree, "n", 0), 1700000000123);
    assert_int_equal(mw_json_i64(tree, "s", 7), 7);
    assert_true(mw_json_i64(tree, "big", 0) == INT64_MAX);
    assert_true(mw_json_bool(tree, "t"));
    assert_false(mw_json_bool(tree, "n"));
    assert_non_null(mw_json_obj(tree, "o"));
    assert_null(mw_json_obj(tree, "a"));
    assert_non_null(mw_json_arr(tree, "a"));
    assert_null(mw_json_get(tree, "missing"));
}

static void test_building(void **state)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    MW_AUTOBUF b = {0};

    assert_int_equal(mw_json_add_str(o, "s", "q\"") | mw_json_add_i64(o, "n", 1700000000123) |
                         mw_json_add_bool(o, "t", true) | mw_json_add_str(o, "z", NULL) |
                         mw_json_add(o, "a", cJSON_CreateArray()),
                     0);
    assert_int_equal(mw_json_add(o, "failed", NULL), -ENOMEM);
    assert_int_equal(mw_json_write(&b, o), 0);
    assert_string_equal(mw_buf_str(&b),
                        "{\"s\":\"q\\\"\",\"n\":1700000000123,\"t\":true,\"z\":null,\"a\":[]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_building),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
