/* An answer that is shown while it is written: what each edit holds, and the last state. (Refused
 * and private previews are in turn_test.c.) */
#include "base/str.h"
#include "base/test.h"
#include "gateway/test_gateway.h"

#define CONFIG(stream)                                                                             \
    "bots:\n"                                                                                      \
    "  - name: b\n"                                                                                \
    "    endpoint: http://127.0.0.1:%d\n"                                                          \
    "    bot_token: t\n"                                                                           \
    "    allowed_users: '*'\n"                                                                     \
    "    mention_only: false\n"                                                                    \
    "    stream: " stream "\n"                                                                     \
    "    handler: h\n"                                                                             \
    "handlers:\n"                                                                                  \
    "  h: {type: command, command: [/bin/true]}\n"                                                 \
    "daemon:\n"                                                                                    \
    "  database: %s/state.db\n"                                                                    \
    "  socket: %s/socket\n"

/* Begins an answer to "p1" and waits until its first words are posted. */
static void begin(struct fixture *f, const char *yaml, const char *words)
{
    f->config = yaml;
    gateway_start(f);
    say(f, "p1", "", "hang");
    WAIT_FOR(f, f->running == 1);
    handler_text(f, "hang", words);
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 1);
    settle(f);
    f->s->calls = 0;
}

static const char *edited(struct fixture *f)
{
    assert_string_equal(f->s->last_method, "PUT");
    assert_non_null(strstr(f->s->last_path, "/patch"));
    return mw_json_str_or(f->s->last_body, "message", "");
}

static void pieces_become_one_edit(void **state)
{
    struct fixture *f = *state;
    MW_AUTOBUF all = {0};

    begin(f, CONFIG("edit"), "0");
    assert_string_equal(server_messages(f->s), "0");
    mw_buf_puts(&all, "0");
    for (int i = 1; i <= 100; i++) {
        MW_AUTOFREE char *piece = mw_asprintf(" %d", i);

        mw_buf_puts(&all, piece);
        handler_text(f, "hang", piece);
    }
    WAIT_FOR(f, f->s->calls == 1);
    assert_string_equal(edited(f), mw_buf_str(&all));
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "all of it");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 2);
    assert_int_equal(f->s->calls, 2);
    assert_string_equal(edited(f), "all of it");
    assert_int_equal(cJSON_GetArraySize(f->s->posts), 1);
}

/* An edit that does not get through is not tried again, the last state is. */
static void a_failed_edit_costs_nothing(void **state)
{
    struct fixture *f = *state;

    begin(f, CONFIG("edit"), "one");
    f->s->fail_calls = 2;
    handler_text(f, "hang", " two");
    WAIT_FOR(f, f->s->fail_calls == 1);
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "one two three");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 2);
    assert_int_equal(f->s->fail_calls, 0);
    assert_string_equal(edited(f), "one two three");
    assert_int_equal(f->s->calls, 1);
}

static void its_end_is_shown(void **state)
{
    static const struct {
        enum gw_handler_end end;
        const char *last;
    } rows[] = {
        {GW_HANDLER_FAILED, "so far\n\n*The answer broke off.*"},
        {GW_HANDLER_TIMEOUT, "so far\n\n*The answer broke off.*"},
        {GW_HANDLER_EMPTY, NULL}, /* the post goes */
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct fixture *f;
        void *fresh = NULL;

        assert_int_equal(fixture_setup(&fresh), 0);
        f = fresh;
        begin(f, CONFIG("edit"), "so far");
        handler_end(f, "hang", rows[i].end, "");
        WAIT_FOR(f, f->s->calls == 1);
        if (rows[i].last)
            assert_string_equal(edited(f), rows[i].last);
        else
            assert_string_equal(f->s->last_method, "DELETE");
        assert_int_equal(fixture_teardown(&fresh), 0);
    }
}

static void final_is_a_post_of_its_own(void **state)
{
    struct fixture *f = *state;

    begin(f, CONFIG("final"), "so far");
    handler_end(f, "hang", GW_HANDLER_ANSWERED, "all of it");
    WAIT_FOR(f, outbox_count(f, MW_OUTBOX_SENT) == 3);
    assert_string_equal(server_messages(f->s), "so far|all of it");
    assert_string_equal(f->s->last_method, "DELETE");
}

/* Of a text that does not fit into a post the end is shown, cut between characters. */
static void the_end_of_what_is_long(void **state)
{
    struct fixture *f = *state;
    MW_AUTOBUF text = {0};
    const char *shown;

    for (int i = 0; i < 30000; i++)
        mw_buf_puts(&text, "\xc3\xa4");
    mw_buf_puts(&text, " the end");
    begin(f, CONFIG("edit"), mw_buf_str(&text));
    shown = server_messages(f->s);
    assert_true(mw_starts_with(shown, "\xe2\x80\xa6\xc3\xa4"));
    assert_string_equal(shown + strlen(shown) - strlen("\xc3\xa4 the end"), "\xc3\xa4 the end");
    assert_true(strlen(shown) < 30000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(pieces_become_one_edit),       TEST(a_failed_edit_costs_nothing),
        cmocka_unit_test(its_end_is_shown), TEST(final_is_a_post_of_its_own),
        TEST(the_end_of_what_is_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
