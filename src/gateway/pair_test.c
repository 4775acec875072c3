/* Codes by which people are let in: their form, their end, their number, and wrong ones. */
#include "gateway/pair.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"
#include "gateway/handler.h"
#include "gateway/test_gateway.h"

#define HOUR 3600000

/* What the person is shown; NULL = nothing. */
static char *request(struct fixture *f, const char *user)
{
    MW_AUTOFREE char *id = mw_asprintf("%s-id", user);
    char *text = NULL;

    assert_int_equal(gw_pair_request(f->gw, "b", id, user, &text), 0);
    return text;
}

/* The code between the asterisks of what is shown. */
static void request_code(struct fixture *f, const char *user, char code[16])
{
    MW_AUTOFREE char *text = request(f, user);
    const char *at = text ? strstr(text, "**") : NULL;

    assert_non_null(at);
    assert_int_equal(sscanf(at, "**%15[^*]**", code), 1);
}

static int waiting(struct fixture *f)
{
    MW_AUTOJSON *o = gw_pair_json(f->gw, "b");

    return cJSON_GetArraySize(mw_json_arr(o, "pending"));
}

/* Returns what gw_pair_approve does; on success the name must be `user`. */
static int approve(struct fixture *f, const char *code, const char *user)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOJSON *person = NULL;
    int rc = gw_pair_approve(f->gw, "b", code, &person, &err);

    if (!rc)
        assert_string_equal(mw_json_str(person, "user_name"), user);
    else
        assert_true(mw_error_is_set(&err));
    return rc;
}

static void codes(void **state)
{
    struct fixture *f = *state;
    MW_AUTOJSON *o = NULL;
    const cJSON *entry;
    char code[16];
    int64_t left;

    gateway_start(f);
    request_code(f, "ada", code);
    assert_int_equal(strlen(code), 9);
    for (int i = 0; i < 9; i++)
        assert_true(i == 4 ? code[i] == '-'
                           : strchr("23456789ABCDEFGHJKLMNPQRSTUVWXYZ", code[i]) != NULL);
    o = gw_pair_json(f->gw, "b");
    entry = cJSON_GetArrayItem(mw_json_arr(o, "pending"), 0);
    assert_string_equal(mw_json_str(entry, "code"), code);
    assert_string_equal(mw_json_str(entry, "user_id"), "ada-id");
    left = mw_json_i64(entry, "expires_at", 0) - mw_clock_now();
    assert_true(left > 0 && left <= HOUR);
    assert_null(mw_json_get(o, "tries"));
}

static void three_wait_and_nobody_twice(void **state)
{
    static const char *const people[] = {"ada", "ada", "bob", "eve", "ada", "dan"};
    static const bool shown[] = {true, false, true, true, false, false};
    struct fixture *f = *state;
    char code[16];

    gateway_start(f);
    for (size_t i = 0; i < MW_ARRAY_LEN(people); i++) {
        MW_AUTOFREE char *text = request(f, people[i]);

        assert_int_equal(text != NULL, shown[i]);
        if (i == 2)
            assert_int_equal(sscanf(strstr(text, "**"), "**%15[^*]**", code), 1);
    }
    assert_int_equal(waiting(f), 3);
    /* Who is let in leaves a place. */
    assert_int_equal(approve(f, code, "bob"), 0);
    request_code(f, "dan", code);
    assert_int_equal(waiting(f), 3);
}

static void are_read_as_people_write_them(void **state)
{
    static const char *const between[] = {"-", "", " ", "--", "- "};
    struct fixture *f = *state;

    gateway_start(f);
    for (size_t i = 0; i < 2 * MW_ARRAY_LEN(between); i++) {
        MW_AUTOFREE char *user = mw_asprintf("user%zu", i), *id = mw_asprintf("user%zu-id", i);
        char code[16], typed[32];

        request_code(f, user, code);
        snprintf(typed, sizeof(typed), "%.4s%s%s ", code, between[i / 2], code + 5);
        for (char *p = typed; i % 2 && *p; p++)
            *p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
        assert_int_equal(gw_paired(f->gw, "b", id), 0);
        assert_int_equal(approve(f, typed, user), 0);
        assert_int_equal(gw_paired(f->gw, "b", id), 1);
        assert_int_equal(gw_paired(f->gw, "other", id), 0);
        assert_int_equal(approve(f, typed, user), 1); /* once */
    }
}

static void five_wrong_ones_void_them(void **state)
{
    struct fixture *f = *state;
    char ada[16], bob[16];

    gateway_start(f);
    /* With nothing to guess, nothing is counted. */
    for (int i = 0; i < 9; i++)
        assert_int_equal(approve(f, "AAAA-AAAA", NULL), 1);
    request_code(f, "ada", ada);
    for (int i = 0; i < 4; i++)
        assert_int_equal(approve(f, i % 2 ? "" : "1111-1111", NULL), 1);
    assert_int_equal(approve(f, ada, "ada"), 0);
    /* A right one begins the count anew. */
    request_code(f, "bob", bob);
    for (int i = 0; i < 4; i++)
        assert_int_equal(approve(f, ada, NULL), 1);
    assert_int_equal(waiting(f), 1);
    assert_int_equal(approve(f, "1111-1111", NULL), 1);
    assert_int_equal(waiting(f), 0);
    assert_int_equal(approve(f, bob, NULL), 1);
    assert_int_equal(gw_paired(f->gw, "b", "bob-id"), 0);
    assert_int_equal(gw_paired(f->gw, "b", "ada-id"), 1);
}

static void end_after_their_hour(void **state)
{
    struct fixture *f = *state;
    char code[16];
    MW_AUTOFREE char *old =
        mw_asprintf("{\"pending\":[{\"code\":\"ABCD-2345\",\"user_id\":\"ada-id\",\"user_name\":"
                    "\"ada\",\"expires_at\":%lld},{\"code\":\"EFGH-2345\",\"user_id\":\"bob-id\","
                    "\"user_name\":\"bob\",\"expires_at\":%lld}]}",
                    (long long)mw_clock_now(), (long long)mw_clock_now() + HOUR);

    gateway_start(f);
    assert_int_equal(gw_state_set(f->gw, "pair:b", "state", old), 0);
    assert_int_equal(waiting(f), 1);
    assert_int_equal(approve(f, "ABCD-2345", NULL), 1);
    assert_int_equal(gw_paired(f->gw, "b", "ada-id"), 0);
    request_code(f, "ada", code); /* a new one */
    assert_int_equal(approve(f, "EFGH-2345", "bob"), 0);
}

static void taken_back(void **state)
{
    static const char *const by[] = {"ada", "@ada", "ADA", "ada-id"};
    struct fixture *f = *state;
    MW_AUTOERROR err = MW_ERROR_INIT;
    char code[16];

    gateway_start(f);
    for (size_t i = 0; i <= MW_ARRAY_LEN(by); i++) {
        MW_AUTOJSON *person = NULL;
        bool waits = i == MW_ARRAY_LEN(by); /* by its code, before it is approved */

        request_code(f, "ada", code);
        if (!waits)
            assert_int_equal(approve(f, code, "ada"), 0);
        assert_int_equal(gw_pair_revoke(f->gw, "b", waits ? code : by[i], &person, &err), 0);
        assert_string_equal(mw_json_str(person, "user_id"), "ada-id");
        assert_int_equal(gw_paired(f->gw, "b", "ada-id"), 0);
        assert_int_equal(waiting(f), 0);
    }
    {
        MW_AUTOJSON *person = NULL;

        assert_int_equal(gw_pair_revoke(f->gw, "b", "ada", &person, &err), 1);
    }
    assert_non_null(strstr(mw_error_text(&err), "nobody called \"ada\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(codes),
        TEST(three_wait_and_nobody_twice),
        TEST(are_read_as_people_write_them),
        TEST(five_wrong_ones_void_them),
        TEST(end_after_their_hour),
        TEST(taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
