#include "store/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/str.h"

static const struct mw_event full = {
    .id = 7,
    .bot = "support",
    .kind = MW_EVENT_POST_EDITED,
    .flags = MW_EVENT_DIRECT | MW_EVENT_MENTION | MW_EVENT_OWN | MW_EVENT_FROM_BOT |
             MW_EVENT_THREAD | MW_EVENT_FROM_WEBHOOK | MW_EVENT_SYSTEM | MW_EVENT_CAUGHT_UP |
             MW_EVENT_GROUP,
    .at = 1700000000123,
    .received_at = 1700000000124,
    .object = "p",
    .revision = 1700000000122,
    .post_id = "p",
    .root_id = "r",
    .channel_id = "c",
    .channel_name = "cn",
    .channel_type = "O",
    .team_id = "t",
    .team_name = "tn",
    .user_id = "u",
    .user_name = "un",
    .text = "a \"b\"\n\xff",
    .files = "[\"f1\"]",
    .detail = "{\"a\":\r\n1}",
    .raw = "{}",
};

static void kinds_have_names_and_docs(void **state)
{
    enum mw_event_kind kind;
    int n = 0;

    for (int k = 1; mw_event_kind_name((enum mw_event_kind)k); k++, n++) {
        assert_true(strlen(mw_event_kind_doc((enum mw_event_kind)k)) > 10);
        assert_int_equal(mw_event_kind_parse(mw_event_kind_name((enum mw_event_kind)k), &kind), 0);
        assert_int_equal(kind, k);
    }
    assert_int_equal(n, MW_EVENT_SCHEDULE);
    assert_null(mw_event_kind_name((enum mw_event_kind)0));
    assert_null(mw_event_kind_doc((enum mw_event_kind)(n + 1)));
    assert_null(mw_event_kind_name((enum mw_event_kind) - 1));
    kind = MW_EVENT_POST;
    assert_int_equal(mw_event_kind_parse("nonsense", &kind), -EINVAL);
    assert_int_equal(mw_event_kind_parse("", &kind), -EINVAL);
    assert_int_equal(kind, MW_EVENT_POST);
}

static void an_empty_event_has_every_string(void **state)
{
    MW_AUTOFREE struct mw_event *copy = NULL;
    const struct mw_event_field *fields;
    struct mw_event ev;
    size_t n;

    memset(&ev, 0xff, sizeof(ev));
    mw_event_init(&ev);
    fields = mw_event_fields(&n);
    for (size_t i = 0; i < n; i++) {
        const void *at = (const char *)&ev + fields[i].offset;

        if (fields[i].type == MW_FIELD_TEXT || fields[i].type == MW_FIELD_JSON)
            assert_string_equal(*(const char *const *)at, "");
        else if (fields[i].type == MW_FIELD_INT)
            assert_int_equal(*(const int64_t *)at, 0);
    }
    assert_string_equal(ev.object, "");
    assert_int_equal(ev.flags, 0);
    copy = mw_event_dup(&ev);
    assert_non_null(copy);
}

static void json_has_every_field(void **state)
{
    const struct mw_event_field *fields;
    MW_AUTOJSON *json = NULL;
    MW_AUTOBUF b = {0};
    size_t n;

    mw_buf_init(&b, 0);
    assert_int_equal(mw_event_write_json(&b, &full, true), 0);
    assert_null(strchr(mw_buf_str(&b), '\n'));
    assert_int_equal(mw_json_parse(b.data, b.len, &json, NULL), 0);
    fields = mw_event_fields(&n);
    assert_int_equal(cJSON_GetArraySize(json), n);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(mw_json_get(json, fields[i].name));
        assert_true(strlen(fields[i].doc) > 10);
        if (fields[i].type == MW_FIELD_FLAG)
            assert_true(mw_json_bool(json, fields[i].name));
    }
    assert_int_equal(mw_json_i64(json, "id", 0), 7);
    assert_int_equal(mw_json_i64(json, "at", 0), 1700000000123);
    assert_string_equal(mw_json_str(json, "kind"), "post_edited");
    assert_string_equal(mw_json_str(json, "text"), "a \"b\"\n\xef\xbf\xbd");
    assert_int_equal(cJSON_GetArraySize(mw_json_arr(json, "files")), 1);
    assert_int_equal(mw_json_i64(mw_json_obj(json, "detail"), "a", 0), 1);
}

static void json_leaves_out_what_is_empty(void **state)
{
    const struct mw_event ev = {.kind = MW_EVENT_TYPING, .bot = "b", .text = "", .raw = "{}"};
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(mw_event_write_json(&b, &ev, false), 0);
    assert_string_equal(mw_buf_str(&b), "{\"kind\":\"typing\",\"bot\":\"b\"}");
}

static void json_respects_the_limit(void **state)
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 40);
    assert_int_equal(mw_event_write_json(&b, &full, false), -E2BIG);
}

static void dup_is_deep_and_of_the_size_told(void **state)
{
    MW_AUTOFREE struct mw_event *copy = mw_event_dup(&full);
    MW_AUTOFREE struct mw_event *empty = mw_event_dup(&(struct mw_event){.id = 3});
    MW_AUTOBUF a = {0}, b = {0};

    assert_non_null(copy);
    mw_buf_init(&a, 0);
    mw_buf_init(&b, 0);
    assert_int_equal(mw_event_write_json(&a, &full, true), 0);
    assert_int_equal(mw_event_write_json(&b, copy, true), 0);
    assert_string_equal(mw_buf_str(&a), mw_buf_str(&b));
    assert_string_equal(copy->object, "p");
    assert_ptr_not_equal(copy->object, full.object);
    /* The last string ends where the block does. */
    assert_ptr_equal(copy->raw + strlen(copy->raw) + 1, (char *)copy + mw_event_size(&full));
    assert_non_null(empty);
    assert_string_equal(empty->bot, "");
    assert_string_equal(empty->raw, "");
    assert_int_equal(empty->id, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_names_and_docs),
        cmocka_unit_test(an_empty_event_has_every_string),
        cmocka_unit_test(json_has_every_field),
        cmocka_unit_test(json_leaves_out_what_is_empty),
        cmocka_unit_test(json_respects_the_limit),
        cmocka_unit_test(dup_is_deep_and_of_the_size_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
