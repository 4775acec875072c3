#include "base/test.h"
#include "mattermost/model.h"

static cJSON *parse(const char *text)
{
    cJSON *json = NULL;

    assert_int_equal(mw_json_parse(text, strlen(text), &json, NULL), 0);
    return json;
}

static void test_post(void **state)
{
    MW_AUTOJSON *json = parse("{\"id\":\"P\",\"create_at\":1795223043671,\"edit_at\":2,"
                              "\"user_id\":\"U\",\"channel_id\":\"C\",\"root_id\":\"R\","
                              "\"message\":\"hi\",\"props\":{\"from_webhook\":\"true\"},"
                              "\"file_ids\":[\"F\"],\"metadata\":{},\"unknown\":[{}]}");
    struct mm_post p;

    assert_int_equal(mm_post_read(json, &p, NULL), 0);
    assert_string_equal(p.id, "P");
    assert_string_equal(p.user_id, "U");
    assert_string_equal(p.root_id, "R");
    assert_string_equal(p.message, "hi");
    assert_string_equal(p.type, "");
    assert_true(p.create_at == 1795223043671);
    assert_int_equal(p.edit_at, 2);
    assert_int_equal(p.delete_at, 0);
    assert_int_equal(cJSON_GetArraySize(p.file_ids), 1);
    assert_non_null(p.metadata);
    assert_true(mm_post_from_webhook(&p));
    assert_false(mm_post_is_system(&p));
}

static void test_wrong_types_are_missing_ones(void **state)
{
    MW_AUTOJSON *json = parse("{\"id\":\"P\",\"create_at\":\"x\",\"message\":7,\"props\":[],"
                              "\"file_ids\":null,\"type\":\"system_join_channel\"}");
    struct mm_post p;

    assert_int_equal(mm_post_read(json, &p, NULL), 0);
    assert_string_equal(p.message, "");
    assert_int_equal(p.create_at, 0);
    assert_null(p.props);
    assert_null(p.file_ids);
    assert_true(mm_post_is_system(&p));
    assert_false(mm_post_from_webhook(&p));
}

static void test_id_is_needed(void **state)
{
    static const char *const bad[] = {"{}", "[]", "1", "null", "{\"id\":\"\"}", "{\"id\":3}"};

    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++) {
        MW_AUTOJSON *json = parse(bad[i]);
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct mm_post p = {.id = "untouched"};
        struct mm_channel ch;
        struct mm_user u;
        struct mm_team t;
        struct mm_reaction r;

        assert_int_equal(mm_post_read(json, &p, &err), -EINVAL);
        assert_string_equal(p.id, "untouched");
        assert_true(mw_error_is_set(&err));
        assert_int_equal(mm_channel_read(json, &ch, NULL), -EINVAL);
        assert_int_equal(mm_user_read(json, &u, NULL), -EINVAL);
        assert_int_equal(mm_team_read(json, &t, NULL), -EINVAL);
        assert_int_equal(mm_reaction_read(json, &r, NULL), -EINVAL);
    }
}

static void test_others(void **state)
{
    MW_AUTOJSON *json = parse("{\"id\":\"I\",\"name\":\"n\",\"username\":\"u\",\"is_bot\":true,"
                              "\"team_id\":\"T\",\"type\":\"D\",\"last_post_at\":5}");
    MW_AUTOJSON *reaction = parse("{\"user_id\":\"U\",\"post_id\":\"P\",\"emoji_name\":\"+1\","
                                  "\"create_at\":9}");
    struct mm_channel ch;
    struct mm_user u;
    struct mm_team t;
    struct mm_reaction r;

    assert_int_equal(mm_channel_read(json, &ch, NULL), 0);
    assert_string_equal(ch.type, "D");
    assert_int_equal(ch.last_post_at, 5);
    assert_int_equal(mm_user_read(json, &u, NULL), 0);
    assert_true(u.is_bot);
    assert_string_equal(u.username, "u");
    assert_int_equal(mm_team_read(json, &t, NULL), 0);
    assert_string_equal(t.name, "n");
    assert_int_equal(mm_reaction_read(reaction, &r, NULL), 0);
    assert_string_equal(r.emoji_name, "+1");
    assert_string_equal(r.channel_id, "");
    assert_int_equal(r.create_at, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_wrong_types_are_missing_ones),
        cmocka_unit_test(test_id_is_needed),
        cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
