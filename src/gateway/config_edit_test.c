#include "gateway/config_edit.h"

#include "base/str.h"
#include "base/test.h"

static const char text[] = "# ours\n"
                           "bots:\n"
                           "  - name: a   # first\n"
                           "    endpoint: \"http://x\"  # there\n"
                           "    team: ops\n"
                           "    channels:   # where\n"
                           "      # the main one\n"
                           "      - town   # all\n"
                           "      - help\n"
                           "    note:   # none yet\n"
                           "\n"
                           "  # the second one\n"
                           "  - name: b.c\n"
                           "    channels: [x, \"y # z\"]  # two\n"
                           "handlers:\n"
                           "  echo:\n"
                           "    command: [cat]\n";

/* Makes one change by replacing `from` (which is in the text once) by `to`. */
struct change {
    const char *key, *value, *from, *to;
};

static char *replaced(const char *from, const char *to)
{
    const char *at = strstr(text, from);

    assert_non_null(at);
    return mw_asprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void test_set(void **state)
{
    static const struct change rows[] = {
        {"bots.a.endpoint", "http://y", "\"http://x\"", "http://y"},
        {"bots.a.team", "dev", "team: ops", "team: dev"},
        {"bots.a.team", "yes: no", "team: ops", "team: \"yes: no\""},
        {"bots.a.note", "new", "note:   # none", "note: new   # none"},
        {"bots.b.c.channels", "[w]", "[x, \"y # z\"]", "[w]"},
        {"bots.b.c.team", "t", "# two\n", "# two\n    team: t\n"},
        {"handlers.echo.command", "[ls, -l]", "[cat]", "[ls, -l]"},
        {"handlers.echo.timeout", "5s", "[cat]\n", "[cat]\n    timeout: 5s\n"},
        {"daemon.log_level", "debug", "[cat]\n", "[cat]\n\ndaemon:\n  log_level: debug\n"},
        /* Lists in lines: what stays keeps its comments. */
        {"bots.a.channels", "[town, help, new]", "- help\n", "- help\n      - new\n"},
        {"bots.a.channels", "[town]", "      - help\n", ""},
        {"bots.a.channels", "[help, '*']",
         "      # the main one\n      - town   # all\n      - help\n",
         "      - help\n      - \"*\"\n"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        MW_AUTOFREE char *want = replaced(rows[i].from, rows[i].to), *got = NULL;
        int r = gw_config_set(text, rows[i].key, rows[i].value, &got, &err);

        if (r)
            fail_msg("row %zu: %s", i, mw_error_text(&err));
        assert_string_equal(got, want);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *key, *value, *sentence;
    } rows[] = {
        {text, "bots.a.channels", "[help, town]", "comments that would be lost"},
        {text, "bots.a.channels", "[]", "comments that would be lost"},
        {text, "bots.a.channels", "all", "comments that would be lost"},
        {text, "bots.nobody.team", "x", "no bot \"nobody.team\"; it has a, b.c"},
        {text, "bots.a", "x", "name a key of the bot"},
        {text, "log_level", "x", "is no key"},
        {text, "handlers.other.command", "x", "`other` is not in the file"},
        {"bots: [\n", "bots.a.team", "x", "no YAML"},
        {"- a\n", "bots.a.team", "x", "no mapping"},
        {"bots: [{name: a}]\n", "bots.a.team", "x", "in braces"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOERROR err = MW_ERROR_INIT;
        char *got = NULL;

        assert_int_equal(gw_config_set(rows[i].text, rows[i].key, rows[i].value, &got, &err), 1);
        assert_null(got);
        if (!strstr(mw_error_text(&err), rows[i].sentence))
            fail_msg("row %zu: %s", i, mw_error_text(&err));
    }
}

static void test_bots(void **state)
{
    const struct gw_new_bot bot = {.name = "n", .endpoint = "http://n", .token_env = "TOKEN"};
    static const char lines[] = "  - name: n\n    endpoint: http://n\n    bot_token: $TOKEN\n";
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *added = NULL, *fresh = NULL, *want_fresh = NULL, *removed = NULL,
                     *want = mw_asprintf("# two\n%s", lines),
                     *want_added = replaced("# two\n", want);
    char *none = NULL;

    assert_int_equal(gw_config_add_bot(text, &bot, &added, &err), 0);
    assert_string_equal(added, want_added);
    /* Taken out again, nothing of it is left. */
    assert_int_equal(gw_config_remove_bot(added, "n", &removed, &err), 0);
    assert_string_equal(removed, text);
    assert_int_equal(gw_config_remove_bot(text, "n", &none, &err), 1);
    assert_non_null(strstr(mw_error_text(&err), "it has a, b.c"));

    assert_int_equal(gw_config_add_bot("# nothing yet", &bot, &fresh, &err), 0);
    want_fresh = mw_asprintf("# nothing yet\n\nbots:\n%s", lines);
    assert_string_equal(fresh, want_fresh);
}

static void test_list(void **state)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOJSON *list = NULL;
    MW_AUTOFREE char *json = NULL;

    assert_int_equal(gw_config_list("bots: [{name: a, bot_token: secret}]\n"
                                    "handlers: {h: {env: {PASSWORD: hidden}}}\n"
                                    "daemon:\n  socket: s\n",
                                    &list, &err),
                     0);
    json = mw_json_print(list);
    assert_string_equal(json, "[{\"key\":\"bots.a.name\",\"value\":\"a\",\"line\":1},"
                              "{\"key\":\"bots.a.bot_token\",\"value\":null,\"line\":1},"
                              "{\"key\":\"handlers.h.env.PASSWORD\",\"value\":null,\"line\":2},"
                              "{\"key\":\"daemon.socket\",\"value\":\"s\",\"line\":4}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bots),
        cmocka_unit_test(test_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
