/* How questions of several calls end, and names of files as others wrote them. */
#include "gateway/query.h"

#include "base/str.h"
#include "base/test.h"
#include "gateway/files.h"
#include "gateway/test_server.h"

struct answer {
    int came, freed;
    enum gw_code code;
    char sentence[512];
    char *result;
};

static struct answer answer; /* of the query under way */

static void on_answer(struct gw_reply *reply, void *userdata)
{
    struct answer *a = userdata;

    assert_int_equal(a->freed, 1); /* before the front end hears of it */
    a->came++;
    a->code = reply->code;
    snprintf(a->sentence, sizeof(a->sentence), "%s", mw_error_text(&reply->err));
    if (reply->result)
        a->result = mw_json_print(reply->result);
}

static void free_query(struct gw_query *q)
{
    answer.freed++;
    free(q);
}

/* A query of a bot that is connected. */
static struct gw_query *start(struct server *s)
{
    struct gw_bot bot = {.client = s->client};
    struct gw_query *q = calloc(1, sizeof(*q));

    free(answer.result);
    answer = (struct answer){0};
    assert_non_null(q);
    assert_true(gw_query_start(q, &bot, on_answer, &answer, free_query));
    return q;
}

static void test_offline(void **state)
{
    struct gw_bot bot = {.state = MM_SESSION_WAITING};
    struct gw_query *q = calloc(1, sizeof(*q));

    answer = (struct answer){0};
    assert_non_null(q);
    assert_false(gw_query_start(q, &bot, on_answer, &answer, free_query));
    assert_int_equal(answer.came, 1);
    assert_int_equal(answer.code, GW_OFFLINE);
    assert_string_equal(answer.sentence, "the bot is not connected yet");
}

static void test_done(void **state)
{
    gw_query_done(start(*state), cJSON_CreateString("x"));
    assert_int_equal(answer.came, 1);
    assert_int_equal(answer.code, GW_OK);
    assert_string_equal(answer.result, "\"x\"");
    gw_query_done(start(*state), NULL);
    assert_int_equal(answer.code, GW_INTERNAL);
    assert_string_equal(answer.sentence, "out of memory");
}

static void test_outcomes(void **state)
{
    static const struct {
        enum mm_outcome outcome;
        int status;
        const char *doing, *right;
        enum gw_code code;
        const char *sentence;
    } rows[] = {
        {MM_NOT_FOUND, 404, NULL, NULL, GW_NOT_FOUND, "as the server says"},
        {MM_CANCELED, 0, NULL, NULL, GW_OFFLINE, "the bot's connection was closed"},
        {MM_UNREACHABLE, 0, NULL, NULL, GW_OFFLINE, "as the server says"},
        {MM_OK, 200, NULL, NULL, GW_OFFLINE, "the server's answer is not what was asked for"},
        {MM_FORBIDDEN, 403, NULL, NULL, GW_FORBIDDEN, "as the server says"},
        {MM_FORBIDDEN, 403, "archive ~town", "delete_channel", GW_FORBIDDEN,
         "bot may not archive ~town: it lacks the right delete_channel. An admin has it; a system "
         "administrator gives it to others in the System Console under Permissions"},
        {MM_REFUSED, 400, "make ~town", NULL, GW_REFUSED, "cannot make ~town: as the server says"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct gw_query *q = start(*state);
        struct mm_result r = {.outcome = rows[i].outcome, .status = rows[i].status};

        if (rows[i].doing)
            assert_int_equal(mw_str_set(&q->doing, rows[i].doing), 0);
        q->right = rows[i].right;
        q->holder = "An admin";
        mw_error_set(&r.err, -1, "as the server says");
        gw_query_fail_result(q, &r);
        assert_int_equal(answer.came, 1);
        assert_int_equal(answer.code, rows[i].code);
        assert_string_equal(answer.sentence, rows[i].sentence);
        mw_error_reset(&r.err);
    }
}

static void on_called(struct mm_result *r, void *userdata)
{
    gw_query_done(userdata, cJSON_CreateNumber(r->status));
}

static void test_call(void **state)
{
    struct server *s = *state;

    gw_query_call(start(s), "GET", strdup("/users/me"), NULL, on_called);
    server_wait(s, &answer.came);
    assert_string_equal(answer.result, "200");
    /* Without memory for the path. */
    gw_query_call(start(s), "GET", NULL, NULL, on_called);
    assert_int_equal(answer.code, GW_INTERNAL);
    assert_false(gw_query_started(start(s), -EBUSY));
    assert_int_equal(answer.code, GW_OFFLINE);
    assert_string_equal(answer.sentence, "too many calls are waiting");
}

static void test_file_names(void **state)
{
    static const struct {
        const char *name, *want;
    } rows[] = {
        {"report.pdf", "report.pdf"},
        {"Größe 日本.txt", "Größe 日本.txt"},
        {"../../etc/passwd", "passwd"},
        {"C:\\Users\\x\\y.doc", "y.doc"},
        {"a/", "id"},
        {"", "id"},
        {"..", "id"},
        {" .bashrc", "bashrc"},
        {"a\nb\x1b[31m\x7f.txt", "a_b_[31m_.txt"},
        {"c1\xc2\x9b.txt", "c1_.txt"},
        {"bad\xff\xfe.txt", "bad__.txt"},
        {"a b.txt", "a b.txt"},
    };
    char longer[600];
    MW_AUTOFREE char *cut = NULL;

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOFREE char *got = gw_safe_file_name(rows[i].name, "id");

        assert_non_null(got);
        assert_string_equal(got, rows[i].want);
    }
    /* Never in the middle of a character. */
    for (size_t i = 0; i + 2 < sizeof(longer); i += 2)
        memcpy(longer + i, "ü", 3);
    cut = gw_safe_file_name(longer, "id");
    assert_non_null(cut);
    assert_true(strlen(cut) <= 200 && strlen(cut) > 190);
    assert_int_equal(strlen(cut) % 2, 0);
}

static int teardown(void **state)
{
    free(answer.result);
    answer.result = NULL;
    return server_teardown(state);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, server_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offline),    TEST(test_done), TEST(test_outcomes), TEST(test_call),
        cmocka_unit_test(test_file_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
