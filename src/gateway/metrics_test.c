/* The text, from a tree as `status` makes it. */
#include "gateway/metrics.h"

#include "base/str.h"
#include "base/test.h"

static const char status_text[] =
    "{\"version\":\"1.2\",\"uptime_ms\":1500,\"store\":{\"state\":\"stalled\",\"queued_bytes\":7},"
    "\"bots\":[{\"name\":\"a\\\"b\\\\\",\"state\":\"online\",\"tasks\":{\"pending\":3,\"failed\":1}"
    ","
    "\"decisions\":{\"run\":5,\"own\":6},\"outbox\":{\"sent\":9}},{\"name\":\"c\",\"state\":"
    "\"waiting\"}],\"servers\":[{\"endpoint\":\"http://"
    "s\",\"held_until\":5,\"waiting\":{\"answers\":"
    "2}}]}";

static const char *text_of(const char *status, struct mw_buf *b)
{
    MW_AUTOJSON *tree = NULL;

    assert_int_equal(mw_json_parse(status, strlen(status), &tree, NULL), 0);
    assert_int_equal(gw_metrics_write(tree, b), 0);
    return mw_buf_str(b);
}

static void samples(void **state)
{
    static const char *const lines[] = {
        "# TYPE matterwire_build info\n# HELP matterwire_build Version of the daemon.\n"
        "matterwire_build_info{version=\"1.2\"} 1\n",
        "# UNIT matterwire_uptime_seconds seconds\n",
        "\nmatterwire_uptime_seconds 1.500\n",
        "\nmatterwire_store_stalled 1\n",
        "\nmatterwire_store_background_trouble 0\n",
        "\nmatterwire_store_queue_bytes 7\n",
        "\nmatterwire_bot_online{bot=\"a\\\"b\\\\\"} 1\nmatterwire_bot_online{bot=\"c\"} 0\n",
        "\nmatterwire_bot_decisions_total{bot=\"a\\\"b\\\\\",decision=\"run\"} 5\n",
        "\nmatterwire_tasks{bot=\"a\\\"b\\\\\",state=\"pending\"} 3\n"
        "matterwire_tasks{bot=\"a\\\"b\\\\\",state=\"failed\"} 1\n",
        "\nmatterwire_outbox_sent_total{bot=\"a\\\"b\\\\\"} 9\n",
        "\nmatterwire_server_held{server=\"http://s\"} 1\n",
        "\nmatterwire_server_calls_waiting{server=\"http://s\",class=\"answers\"} 2\n",
    };
    MW_AUTOBUF b = {0};
    const char *text = text_of(status_text, &b);

    for (size_t i = 0; i < MW_ARRAY_LEN(lines); i++) {
        if (!strstr(text, lines[i]))
            fail_msg("no %s in\n%s", lines[i], text);
    }
    assert_string_equal(text + strlen(text) - 7, "\n# EOF\n");
    assert_null(strstr(text, "matterwire_outbox_sent_total{bot=\"c\"}"));
}

/* What OpenMetrics asks of names and of the order. */
static void form(void **state)
{
    MW_AUTOBUF b = {0};
    char family[96] = "";
    bool counter = false;

    for (const char *line = text_of(status_text, &b); *line; line += strcspn(line, "\n") + 1) {
        char name[96];
        size_t n;

        if (sscanf(line, "# TYPE %95s", name) == 1) {
            assert_true(strcmp(name, family) != 0);
            counter = strncmp(strchr(line + 7, ' '), " counter", 8) == 0;
            snprintf(family, sizeof(family), "%s", name);
            continue;
        }
        if (sscanf(line, "# UNIT %95s", name) == 1)
            assert_true(strstr(line, name) != NULL);
        if (*line == '#')
            continue;
        n = strcspn(line, "{ ");
        assert_int_equal(strncmp(line, family, strlen(family)), 0);
        if (counter)
            assert_int_equal(strncmp(line + n - 6, "_total", 6), 0);
    }
}

static void an_empty_tree_is_fine(void **state)
{
    MW_AUTOBUF b = {0};

    assert_non_null(strstr(text_of("{}", &b), "# EOF"));
    assert_null(strstr(mw_buf_str(&b), "matterwire_tasks{"));
}

static void each_family_is_documented(void **state)
{
    MW_AUTOBUF text = {0}, page = {0};
    int n = 0;

    text_of("{}", &text);
    assert_int_equal(gw_metrics_document(&page), 0);
    for (const char *p = mw_buf_str(&text); (p = strstr(p, "# TYPE ")); p++) {
        MW_AUTOFREE char *cell = mw_asprintf("| `%.*s", (int)strcspn(p + 7, " "), p + 7);

        if (!strstr(mw_buf_str(&page), cell))
            fail_msg("%s is not on the page", cell);
        n++;
    }
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples),
        cmocka_unit_test(form),
        cmocka_unit_test(an_empty_tree_is_fine),
        cmocka_unit_test(each_family_is_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
