/* Every allocation of base fails once: an error comes back, nothing leaks, what was there stays. */
#include "base/alloc_fail.h"
#include "base/error.h"
#include "base/json.h"
#include "base/lua.h"
#include "base/map.h"
#include "base/options.h"
#include "base/str.h"
#include "base/test.h"

static int use_buf(void *userdata)
{
    MW_AUTOBUF b = {.limit = 100000};
    char *text;

    for (int i = 0; i < 200 && !mw_buf_error(&b); i++) {
        mw_buf_printf(&b, "%d,", i);
        mw_buf_put_json_string(&b, "a\nb");
    }
    assert_int_equal(b.data ? b.data[b.len] : 0, 0);
    if (mw_buf_error(&b))
        return mw_buf_error(&b);
    assert_int_equal(b.len, 690 + 200 * 6);
    text = mw_buf_take(&b);
    assert_non_null(text);
    free(text);
    text = mw_buf_take(&b); /* an empty one allocates */
    free(text);
    return text ? 0 : -ENOMEM;
}

static int use_map(void *userdata)
{
    static char values[100];
    struct mw_map m;
    char key[16];
    int r = 0, n = 0;

    mw_map_init(&m, NULL);
    for (; n < 100 && r == 0; n++) {
        snprintf(key, sizeof(key), "key%d", n);
        r = mw_map_put(&m, key, &values[n]);
    }
    /* What was put before is still there, what failed is not. */
    assert_int_equal(m.count, r ? n - 1 : n);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        assert_ptr_equal(mw_map_get(&m, key), r && i == n - 1 ? NULL : &values[i]);
    }
    mw_map_deinit(&m);
    return r;
}

static int run_lua(lua_State *L)
{
    static const char script[] =
        "local t = {} for i = 1, 20 do t[i] = ('x'):rep(i * 10):gsub('x', 'yy') end "
        "local ok = pcall(string.rep, 'x', 1000) return {list = t, text = ('a b'):match('%w')}";
    cJSON *json = NULL;
    int r;

    mw_lua_push_env(L);
    mw_lua_load(L, -1, "test", script, strlen(script));
    *mw_lua_box(L, free) = malloc(10);
    lua_rotate(L, -2, 1);
    lua_call(L, 0, 1);
    r = mw_lua_to_json(L, -1, &json, NULL);
    cJSON_Delete(json);
    *(int *)lua_touserdata(L, 1) = r;
    return 0;
}

static int use_lua(void *userdata)
{
    static const struct mw_lua_limits limits = {
        .memory = (size_t)1024 * 1024, .steps = 100000, .time_ms = 60000};
    struct mw_lua *lua = NULL;
    int result = 0, r = mw_lua_new(&limits, &lua, NULL);

    if (r)
        return r;
    r = mw_lua_call(lua, run_lua, &result, NULL);
    mw_lua_free(lua);
    return r ? r : result;
}

static int use_json(void *userdata)
{
    static const char text[] =
        "{\"name\":\"ada\",\"list\":[1,2.5,true,null,{\"deep\":\"\\u00e9\"}]}";
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOJSON *tree = NULL;
    MW_AUTOBUF b = {0};
    int r = mw_json_parse(text, strlen(text), &tree, &err);

    if (r < 0) {
        assert_null(tree);
        assert_int_equal(err.code, r);
        return r;
    }
    if (mw_json_add_str(tree, "more", "text") | mw_json_add_i64(tree, "at", 1700000000123) |
        mw_json_add_bool(tree, "yes", true) | mw_json_add_str(tree, "none", NULL) |
        mw_json_push(cJSON_GetObjectItem(tree, "list"), cJSON_CreateNumber(3)) |
        mw_json_add(tree, "sub", cJSON_CreateObject()))
        return -ENOMEM;
    r = mw_json_write(&b, tree);
    if (r == 0)
        assert_string_equal(
            mw_buf_str(&b),
            "{\"name\":\"ada\",\"list\":[1,2.5,true,null,{\"deep\":\"\xc3\xa9\"},3],"
            "\"more\":\"text\",\"at\":1700000000123,\"yes\":true,\"none\":null,"
            "\"sub\":{}}");
    return r;
}

static int bad_json(void *userdata)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    cJSON *tree = NULL;

    return mw_json_parse("{\"a\":[1,2}", 10, &tree, &err) == -ENOMEM ? -ENOMEM : 0;
}

struct target {
    bool all;
    int64_t limit;
    const char *name;
    struct mw_option_list list;
};

static int use_options(void *userdata)
{
    static const struct mw_option table[] = {
        MW_OPTION("all", 'a', MW_OPT_FLAG, NULL, "everything", struct target, all),
        MW_OPTION("limit", 'n', MW_OPT_INT, "N", "so many", struct target, limit, .max = 9),
        MW_OPTION("name", 0, MW_OPT_STRING, "NAME", "a name", struct target, name),
        MW_OPTION("each", 'e', MW_OPT_LIST, "X", "several", struct target, list),
        MW_OPTIONS_END,
    };
    const char *good[] = {"-a", "one", "--limit=3", "-e", "x", "-ey", "--name", "ada", "two"};
    const char *wrong[] = {"--limt=3"};
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOBUF help = {0};
    struct target t = {0};
    int n = 0;
    int r = mw_options_parse(table, MW_ARRAY_LEN(good), (char **)good, MW_OPTIONS_PERMUTE, &t, &n,
                             &err);

    mw_option_list_deinit(&t.list);
    if (r < 0)
        return r;
    assert_int_equal(n, 2);
    r = mw_options_parse(table, 1, (char **)wrong, MW_OPTIONS_PERMUTE, &t, &n, &err);
    if (r < 0)
        return r;
    assert_int_equal(r, 1);
    assert_int_equal(err.code, 1);
    return mw_options_write_help(&help, table, 80);
}

static int use_errors(void *userdata)
{
    MW_AUTOERROR a = MW_ERROR_INIT, b = MW_ERROR_INIT;

    /* The code stays, whatever becomes of the text. */
    assert_int_equal(mw_error_set(&a, -EIO, "disk %d", 3), -EIO);
    mw_error_prefix(&a, "store %s", "x");
    assert_true(strlen(mw_error_text(&a)) > 0);
    mw_error_move(&b, &a);
    assert_int_equal(b.code, -EIO);
    assert_int_equal(a.code, 0);
    return 0;
}

static int use_strings(void *userdata)
{
    MW_AUTOFREE char *slot = NULL, *text = NULL;

    if (mw_str_set(&slot, "one") < 0)
        return -ENOMEM;
    if (mw_str_set(&slot, "two") < 0) {
        assert_string_equal(slot, "one");
        return -ENOMEM;
    }
    text = mw_asprintf("%s-%d", slot, 5);
    return text ? 0 : -ENOMEM;
}

/* The most that a scenario is known to need is not the point; that it allocates at all is. */
static void each(mw_alloc_fail_scenario scenario)
{
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, scenario, NULL, 0) > 0);
    assert_true(mw_alloc_fail_each(MW_ALLOC_FAIL_REST, scenario, NULL, 0) > 0);
}

static void test_buf(void **state)
{
    each(use_buf);
}

static void test_map(void **state)
{
    each(use_map);
}

static void test_json(void **state)
{
    each(use_json);
    each(bad_json);
}

static void test_lua(void **state)
{
    each(use_lua);
}

static void test_options(void **state)
{
    each(use_options);
}

static void test_errors_and_strings(void **state)
{
    each(use_errors);
    each(use_strings);
}

static uint64_t order_seen;

static int three(void *userdata)
{
    void *p[3];
    unsigned missing = 0;

    for (int i = 0; i < 3; i++) {
        p[i] = malloc(1);
        missing = missing * 10 + !p[i];
    }
    mw_alloc_fail_suspend();
    free(strdup("does not count"));
    mw_alloc_fail_resume();
    for (int i = 0; i < 3; i++)
        free(p[i]);
    order_seen = order_seen * 1000 + missing;
    return missing ? -EIO : 0;
}

/* The harness itself. */
static void test_each_fails_in_its_turn(void **state)
{
    order_seen = 0;
    assert_int_equal(mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, three, NULL, -EIO), 3);
    assert_int_equal(order_seen, 100010001000);
    assert_false(mw_alloc_fail_hit());
    order_seen = 0;
    assert_int_equal(mw_alloc_fail_each(MW_ALLOC_FAIL_REST, three, NULL, -EIO), 3);
    assert_int_equal(order_seen, 111011001000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_fails_in_its_turn),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_lua),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_errors_and_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
