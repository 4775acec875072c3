#include "base/test.h"

#include <locale.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/kinds.h"

/* The verbs themselves need a daemon: tests/system/cli.test.mjs drives them. */

static const struct cli_column columns[] = {
    {.name = "NAME"},
    {.name = "COUNT", .right = true},
    {.name = "WHERE", .wide = true},
};

static char *table_text(bool color, const char *where)
{
    struct cli cli = {.color = color};
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    struct cli_table *t = cli_table_new(&cli, f, columns, MW_ARRAY_LEN(columns));
    const char *one[] = {"first", "7", where}, *two[] = {"b\033[2J\n", NULL, ""};
    const enum cli_color colors[] = {CLI_GREEN, CLI_PLAIN, CLI_PLAIN};

    assert_non_null(t);
    assert_int_equal(cli_table_print(t), 0);
    assert_int_equal(cli_table_add(t, one, colors), 0);
    assert_int_equal(cli_table_add(t, two, NULL), 0);
    assert_int_equal(cli_table_print(t), 0);
    cli_table_free(t);
    fclose(f);
    return text;
}

static void test_table(void **state)
{
    MW_AUTOFREE char *text = table_text(false, "here");

    /* Another's control characters do not reach the terminal. */
    assert_string_equal(text, "NAME    COUNT  WHERE\n"
                              "first       7  here\n"
                              "b?[2J          \n");
}

static void test_table_color(void **state)
{
    MW_AUTOFREE char *text = table_text(true, "here");

    assert_non_null(strstr(text, "\033[32mfirst"));
}

static void test_table_width(void **state)
{
    char where[200];
    MW_AUTOFREE char *text = NULL;

    memset(where, 'w', sizeof(where));
    where[sizeof(where) - 1] = 0;
    text = table_text(false, where);
    for (const char *p = text; *p; p += strcspn(p, "\n") + 1)
        assert_true(strcspn(p, "\n") <= 80);
}

static void test_clean(void **state)
{
    static const struct {
        const char *text, *one_line, *lines;
    } rows[] = {
        {"plain \xc3\xa4", "plain \xc3\xa4", "plain \xc3\xa4"},
        {"a\nb\tc", "a b c", "a\nb\tc"},
        {"\033]0;x\007", "?]0;x?", "?]0;x?"},
        {"\xc2\x9b"
         "31m",
         "?31m", "?31m"},
        {"\xff\x7f", "??", "??"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOBUF a = {0}, b = {0};

        mw_buf_init(&a, 0);
        mw_buf_init(&b, 0);
        assert_int_equal(cli_write_clean(&a, rows[i].text, false), 0);
        assert_int_equal(cli_write_clean(&b, rows[i].text, true), 0);
        assert_string_equal(mw_buf_str(&a), rows[i].one_line);
        assert_string_equal(mw_buf_str(&b), rows[i].lines);
    }
}

static void test_span(void **state)
{
    char buf[48];

    assert_string_equal(cli_span(-5, buf, sizeof(buf)), "0 s");
    assert_string_equal(cli_span(59999, buf, sizeof(buf)), "59 s");
    assert_string_equal(cli_span(3 * 60000, buf, sizeof(buf)), "3 min");
    assert_string_equal(cli_span(7500000, buf, sizeof(buf)), "2 h 5 min");
    assert_string_equal(cli_span(90000000, buf, sizeof(buf)), "1 d 1 h");
}

static void check_event(const char *json, const char *want)
{
    struct cli cli = {0};
    MW_AUTOJSON *event = cJSON_Parse(json);
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_non_null(event);
    assert_int_equal(cli_write_event(&b, &cli, event), 0);
    assert_string_equal(mw_buf_str(&b), want);
}

static void test_event(void **state)
{
    check_event("{\"kind\":\"post\",\"at\":1000,\"team_name\":\"t\",\"channel_name\":\"town\","
                "\"user_name\":\"ann\",\"text\":\"two\\nlines\",\"files\":[\"f\"]}",
                "1970-01-01 00:00:01  t/town  @ann: two lines [1 file]\n");
    check_event("{\"kind\":\"post\",\"at\":0,\"channel_type\":\"D\",\"root_id\":\"r\","
                "\"user_name\":\"ann\",\"text\":\"hi\"}",
                "1970-01-01 00:00:00  direct (thread)  @ann: hi\n");
    check_event("{\"kind\":\"reaction_added\",\"at\":0,\"channel_name\":\"town\",\"user_name\":"
                "\"ann\",\"text\":\"eyes\"}",
                "1970-01-01 00:00:00  town  @ann reacted with :eyes:\n");
    check_event("{\"kind\":\"connection\",\"at\":0,\"bot\":\"b\",\"detail\":{\"state\":\"waiting\","
                "\"reason\":\"refused\"}}",
                "1970-01-01 00:00:00  * b is waiting: refused\n");
    /* What a later version adds is shown somehow. */
    check_event("{\"kind\":\"new_kind\"}", "1970-01-01 00:00:00    (somebody) \n");
}

/* Every verb is documented, and no option of its own hides a common one. */
static void test_event_with_id(void **state)
{
    struct cli cli = {.ids = true};
    MW_AUTOJSON *event =
        cJSON_Parse("{\"kind\":\"post\",\"at\":0,\"post_id\":\"abcdefghijklmnopqrstuvwxyz\","
                    "\"channel_name\":\"town\",\"user_name\":\"ann\",\"text\":\"hi\"}");
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_non_null(event);
    assert_int_equal(cli_write_event(&b, &cli, event), 0);
    assert_string_equal(mw_buf_str(&b),
                        "1970-01-01 00:00:00  abcdefghijklmnopqrstuvwxyz  town  @ann: hi\n");
}

/* What two bots saw is one post; an edit of it is something else. */
static void test_repeated(void **state)
{
    static const struct {
        const char *json;
        bool repeated;
    } rows[] = {
        {"{\"kind\":\"post\",\"bot\":\"a\",\"at\":1,\"post_id\":\"p\",\"text\":\"x\"}", false},
        {"{\"kind\":\"post\",\"bot\":\"b\",\"at\":1,\"post_id\":\"p\",\"text\":\"x\"}", true},
        {"{\"kind\":\"post\",\"bot\":\"a\",\"at\":1,\"post_id\":\"q\",\"text\":\"x\"}", false},
        {"{\"kind\":\"post_edited\",\"bot\":\"a\",\"at\":1,\"post_id\":\"p\",\"text\":\"x\"}",
         false},
        {"{\"kind\":\"connection\",\"bot\":\"a\",\"at\":1}", false},
        {"{\"kind\":\"connection\",\"bot\":\"b\",\"at\":1}", false},
    };
    struct cli_repeats repeats = {0};

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOJSON *event = cJSON_Parse(rows[i].json);

        assert_non_null(event);
        assert_int_equal(cli_repeated(&repeats, event), rows[i].repeated);
    }
}

static void test_verbs(void **state)
{
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *v = cli_verb_at(i);
        MW_AUTOFREE struct mw_option *all = cli_merge_options(v);
        MW_AUTOBUF b = {0};

        mw_buf_init(&b, 0);
        assert_non_null(all);
        assert_non_null(v->summary);
        assert_non_null(v->doc);
        assert_non_null(v->run);
        assert_true(v->max_args == 0 || v->args);
        assert_true(!v->options || v->size > sizeof(struct cli_common));
        for (const struct mw_option *o = all; o->name; o++) {
            assert_non_null(o->help);
            assert_true((o->type == MW_OPT_FLAG) == (o->arg == NULL));
            for (const struct mw_option *p = all; p < o; p++) {
                assert_string_not_equal(o->name, p->name);
                assert_true(!o->letter || o->letter != p->letter);
            }
        }
        assert_int_equal(cli_write_help(&b, v, 80), 0);
        assert_non_null(strstr(mw_buf_str(&b), "usage: matterwire "));
    }
}

static void test_kinds(void **state)
{
    MW_AUTOJSON *params = cJSON_CreateObject();
    const char *items[] = {"post", "typing"}, *wrong[] = {"pots"};

    assert_int_equal(cli_add_kinds(params, &(struct mw_option_list){items, 2}), CLI_DONE);
    assert_int_equal(cJSON_GetArraySize(mw_json_arr(params, "kinds")), 2);
    assert_int_equal(cli_add_kinds(params, &(struct mw_option_list){wrong, 1}), CLI_USAGE);
}

static int run(const char *line)
{
    char copy[256], *argv[32] = {NULL};
    int argc = 0;

    strcpy(copy, line);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    return cli_main(argc, argv);
}

static void test_usage(void **state)
{
    static const struct {
        const char *line;
        int code;
    } rows[] = {
        {"matterwire", CLI_USAGE},
        {"matterwire snd", CLI_USAGE},
        {"matterwire --jsn bots", CLI_USAGE},
        {"matterwire bots extra", CLI_USAGE},
        {"matterwire reply", CLI_USAGE},
        {"matterwire send", CLI_USAGE},
        {"matterwire send --chanel x", CLI_USAGE},
        {"matterwire send --channel x --text y --props nope", CLI_USAGE},
        {"matterwire send --channel x --text y --props []", CLI_USAGE},
        {"matterwire send --channel x --text y --file /nonexistent", CLI_FAILED},
        {"matterwire history --since soon", CLI_USAGE},
        {"matterwire history --kind pots", CLI_USAGE},
        {"matterwire stream --since -5", CLI_USAGE},
        {"matterwire rpc x nope", CLI_USAGE},
        {"matterwire rpc x []", CLI_USAGE},
        {"matterwire help nothing", CLI_USAGE},
        {"matterwire --socket /nonexistent/socket bots", CLI_UNREACHABLE},
        {"matterwire stream --socket /nonexistent/socket", CLI_UNREACHABLE},
        {"matterwire --config /nonexistent.yaml check", CLI_USAGE},
        {"matterwire help send", CLI_DONE},
        {"matterwire send --help", CLI_DONE},
        {"matterwire version", CLI_DONE},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++)
        if (run(rows[i].line) != rows[i].code)
            fail_msg("%s", rows[i].line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_table_color),
        cmocka_unit_test(test_table_width),   cmocka_unit_test(test_clean),
        cmocka_unit_test(test_span),          cmocka_unit_test(test_event),
        cmocka_unit_test(test_event_with_id), cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_verbs),         cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_usage),
    };

    setenv("TZ", "UTC", 1);
    unsetenv("MATTERWIRE_SOCKET");
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
