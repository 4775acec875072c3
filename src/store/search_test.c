/* Search: the query language, what is found before and after it is indexed, bounds. */
#include "store/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/str.h"
#include "store/test_store.h"

/* ---- Query ---- */

static void words_phrases_and_exclusions(void **state)
{
    static const struct {
        const char *query, *text;
        bool matches;
    } rows[] = {
        {"deploy", "the Deployment failed", true},
        {"deploy failed", "the Deployment failed", true},
        {"failed deploy", "the Deployment failed", true},
        {"deploy worked", "the Deployment failed", false},
        {"\"deployment failed\"", "the Deployment failed", true},
        {"\"failed the\"", "the Deployment failed", false},
        {"deploy -failed", "the Deployment failed", false},
        {"deploy -\"it failed\"", "the Deployment failed", true},
        {"\xc3\x84RGER", "viel \xc3\xa4rger", true},
        {"\xd0\xa1\xd0\x95\xd0\xa0", "\xd1\x81\xd0\xb5\xd1\x80\xd0\xb2\xd0\xb5\xd1\x80", true},
        {"\xe9\x83\xa8\xe7\xbd\xb2", "\xe6\x96\xb0\xe9\x83\xa8\xe7\xbd\xb2", true},
        {"a AND b", "a b", false},
        {"a AND b", "a and b", true},
        {"text:x*", "text:x* NEAR(", true},
        {"\"open", "an open quote", true},
        {"- x", "x", false},
        {"- x", "- x", true},
        {"it\"s", "it\"s", true},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOQUERY *q = NULL;

        assert_int_equal(mw_search_query_new(rows[i].query, &q, NULL), 0);
        if ((mw_search_query_match(q, rows[i].text) > 0) != rows[i].matches)
            fail_msg("row %zu: %s", i, rows[i].query);
    }
}

static void refuses_with_a_sentence(void **state)
{
    static const char *const none[] = {"", "  ", "\"\"", "-old", "-\"a b\" -c"};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mw_search_query *q = NULL;
    char many[64] = "", long_one[1100];

    for (size_t i = 0; i < MW_ARRAY_LEN(none); i++) {
        mw_error_reset(&err);
        assert_int_equal(mw_search_query_new(none[i], &q, &err), -EINVAL);
        assert_non_null(strstr(mw_error_text(&err), "no word"));
    }
    for (int i = 0; i < 17; i++)
        strcat(many, "a ");
    mw_error_reset(&err);
    assert_int_equal(mw_search_query_new(many, &q, &err), -E2BIG);
    assert_non_null(strstr(mw_error_text(&err), "16"));
    memset(long_one, 'a', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    assert_int_equal(mw_search_query_new(long_one, &q, NULL), -E2BIG);
    assert_null(q);
}

static void asks_the_index_in_quotes(void **state)
{
    static const struct {
        const char *query, *fts;
    } rows[] = {
        {"abcd", "\"abc\" \"bcd\""},           {"ab cd", NULL},        {"ab -cdef", NULL},
        {"a\"bc OR", "\"a\"\"b\" \"\"\"bc\""}, {"\"a b\"", "\"a b\""},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOQUERY *q = NULL;
        MW_AUTOBUF b = {0};

        mw_buf_init(&b, 0);
        assert_int_equal(mw_search_query_new(rows[i].query, &q, NULL), 0);
        assert_int_equal(mw_search_query_fts(q, &b), !rows[i].fts);
        assert_string_equal(mw_buf_str(&b), rows[i].fts ? rows[i].fts : "");
    }
}

static void snippets(void **state)
{
    static const struct {
        const char *query, *text, *snippet;
    } rows[] = {
        {"b", "a b c", "a <b> c"},
        {"b c", "a b\nc", "a <b> <c>"},
        {"world", "hello world, and then a lot of more text",
         "\xe2\x80\xa6"
         "lo <world>, and th\xe2\x80\xa6"},
        {"end", "a lot of text before the end",
         "\xe2\x80\xa6"
         "t before the <end>"},
        {"abc abcd", "xabcdx", "x<abcd>x"},
        {"\xc3\xa4", "\xc3\x84", "<\xc3\x84>"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOQUERY *q = NULL;
        MW_AUTOBUF b = {0};

        mw_buf_init(&b, 0);
        assert_int_equal(mw_search_query_new(rows[i].query, &q, NULL), 0);
        assert_true(mw_search_query_match(q, rows[i].text) > 0);
        assert_int_equal(mw_search_query_snippet(q, 16, "<", ">", &b), 0);
        assert_string_equal(mw_buf_str(&b), rows[i].snippet);
    }
}

/* ---- Store ---- */

static char found[1024];
static struct mw_search_result result;

static bool add(const struct mw_event *ev, const char *snippet, void *userdata)
{
    size_t len = strlen(found);

    snprintf(found + len, sizeof(found) - len, "%s%s", len ? " " : "", ev->object);
    assert_non_null(strchr(snippet, '['));
    return true;
}

static const char *search(struct fixture *f, const struct mw_search *s)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    found[0] = '\0';
    if (mw_store_search(f->store, s, add, NULL, &result, &err) < 0)
        fail_msg("%s", mw_error_text(&err));
    return found;
}

static void put(struct fixture *f, const char *id, const char *text, const char *channel,
                unsigned flags)
{
    struct mw_event ev = test_post(id, 100);

    ev.text = text;
    ev.channel_id = channel;
    ev.flags = flags;
    assert_true(test_event(f, &ev) > 0);
}

static void finds_before_and_after_indexing(void **state)
{
    struct fixture *f = *state;
    struct mw_event gone = test_post("p3", 200), reaction = test_post("p1/u/deploy", 300);

    put(f, "p1", "Deploy of the new version", "c1", 0);
    put(f, "p2", "redeployed, deploy again", "c2", MW_EVENT_OWN);
    put(f, "p3", "deploy that was a mistake", "c1", 0);
    gone.kind = MW_EVENT_POST_DELETED;
    gone.text = "deploy";
    assert_true(test_event(f, &gone) > 0);
    reaction.kind = MW_EVENT_REACTION_ADDED;
    reaction.text = "deploy";
    assert_true(test_event(f, &reaction) > 0);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(search(f, &(struct mw_search){.query = "deploy"}), "p2 p1");
        assert_true(result.complete);
        assert_int_equal(result.found, 2);
        assert_string_equal(search(f, &(struct mw_search){.query = "deploy", .with_deleted = true}),
                            "p3 p2 p1");
        assert_string_equal(
            search(f, &(struct mw_search){.query = "deploy", .flags_none = MW_EVENT_OWN}), "p1");
        assert_string_equal(
            search(f, &(struct mw_search){.query = "deploy", .filter = {.channel_id = "c2"}}),
            "p2");
        assert_string_equal(search(f, &(struct mw_search){.query = "de re"}), "p2");
        assert_string_equal(search(f, &(struct mw_search){.query = "new -deploy"}), "");
        assert_string_equal(search(f, &(struct mw_search){.query = "deploy -again"}), "p1");
        assert_string_equal(
            search(f, &(struct mw_search){.query = "deploy", .filter = {.kinds = 1u << 4}}), "");
        if (i == 0)
            test_indexed(f);
        else
            test_reopen(f);
    }
    assert_int_equal(result.indexed_id, 5);
    /* The index did the work: a row that it does not offer was not compared. */
    search(f, &(struct mw_search){.query = "version"});
    assert_int_equal(result.compared, 1);
}

static void orders_and_bounds(void **state)
{
    struct fixture *f = *state;
    int64_t to;

    put(f, "p1", "alert", "c1", 0);
    put(f, "p2", "alerts and alerting and alerted", "c1", 0);
    put(f, "p3", "alerting", "c1", 0);
    put(f, "p4", "alert", "c1", 0);
    test_indexed(f);
    assert_string_equal(search(f, &(struct mw_search){.query = "alert"}), "p4 p3 p2 p1");
    assert_string_equal(search(f, &(struct mw_search){.query = "alert", .order = MW_SEARCH_BEST}),
                        "p4 p1 p2 p3");
    assert_string_equal(search(f, &(struct mw_search){.query = "alert",
                                                      .order = MW_SEARCH_BEST,
                                                      .filter = {.limit = 2}}),
                        "p4 p1");
    assert_true(result.complete);
    assert_string_equal(search(f, &(struct mw_search){.query = "alert", .filter = {.limit = 3}}),
                        "p4 p3 p2");
    assert_false(result.complete);
    to = result.looked_to;
    assert_string_equal(
        search(f, &(struct mw_search){.query = "alert", .filter = {.before_id = to}}), "p1");
    assert_true(result.complete);
    assert_string_equal(search(f, &(struct mw_search){.query = "al", .scan_limit = 2}), "p4 p3");
    assert_false(result.complete);
    assert_int_equal(result.compared, 2);
}

static void no_text_is_an_error(void **state)
{
    static const char *const nasty[] = {"NEAR(abc def, 2)", "abc*", "^abc",  "text:abc",
                                        "abc\"def",         "(abc", "{abc}", "'abc",
                                        "a\"\"\"b",         "+abc+"};
    struct fixture *f = *state;

    put(f, "p1", "something else", "c1", 0);
    test_indexed(f);
    for (size_t i = 0; i < MW_ARRAY_LEN(nasty); i++)
        assert_string_equal(search(f, &(struct mw_search){.query = nasty[i]}), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_phrases_and_exclusions),
        cmocka_unit_test(refuses_with_a_sentence),
        cmocka_unit_test(asks_the_index_in_quotes),
        cmocka_unit_test(snippets),
        TEST(finds_before_and_after_indexing),
        TEST(orders_and_bounds),
        TEST(no_text_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
