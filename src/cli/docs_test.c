/* The pages in docs/ are what the tables say; the others are well formed. */
#include "base/test.h"

#include "base/str.h"
#include "cli/cli.h"
#include "cli/docs.h"
#include "gateway/when.h"

static void read_page(const char *name, struct mw_buf *ret)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/%s.md", DOCS_DIR, name);
    FILE *f = fopen(path, "r");
    char chunk[4096];
    size_t n;

    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
        assert_int_equal(mw_buf_append(ret, chunk, n), 0);
    fclose(f);
}

static void check_page(const char *name, int (*write)(struct mw_buf *b))
{
    MW_AUTOBUF made = {0}, file = {0};

    read_page(name, &file);
    assert_int_equal(write(&made), 0);
    if (strcmp(mw_buf_str(&made), mw_buf_str(&file)) != 0)
        fail_msg("docs/%s.md is not what the code says: script/check-docs --write", name);
}

static void test_pages(void **state)
{
    check_page("commands", docs_commands);
    check_page("config", docs_config);
    check_page("events", docs_events);
}

/* A table in a page that is written by hand otherwise. */
static void test_variables(void **state)
{
    MW_AUTOBUF made = {0}, file = {0};
    const char *name, *doc;

    mw_buf_puts(&made, "| variable | |\n| --- | --- |\n");
    for (size_t i = 0; (name = gw_when_variable(i, &doc)); i++)
        mw_buf_printf(&made, "| `%s` | %s |\n", name, doc);
    assert_int_equal(mw_buf_putc(&made, '\n'), 0);
    read_page("routes", &file);
    if (!strstr(mw_buf_str(&file), mw_buf_str(&made)))
        fail_msg("docs/routes.md should have the table:\n%s", mw_buf_str(&made));
}

/* Pipes a page into a program that judges it. */
static void check_by(const char *command, int (*write)(struct mw_buf *b))
{
    MW_AUTOBUF b = {0};
    FILE *p;

    mw_buf_init(&b, 0);
    assert_int_equal(write(&b), 0);
    p = popen(command, "w");
    assert_non_null(p);
    assert_int_equal(fwrite(b.data, 1, b.len, p), b.len);
    assert_int_equal(pclose(p), 0);
}

static int bash(struct mw_buf *b)
{
    return cli_write_completion(b, "bash");
}

static int zsh(struct mw_buf *b)
{
    return cli_write_completion(b, "zsh");
}

static int fish(struct mw_buf *b)
{
    return cli_write_completion(b, "fish");
}

static void test_shell(void **state)
{
    check_by("bash -n", bash);
}

static void check_names_every_verb(int (*write)(struct mw_buf *b))
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(write(&b), 0);
    for (size_t i = 0; i < cli_verb_count(); i++)
        if (!cli_verb_at(i)->hidden)
            assert_non_null(strstr(mw_buf_str(&b), cli_verb_at(i)->name));
}

static void test_complete(void **state)
{
    check_names_every_verb(docs_man_matterwire);
    check_names_every_verb(bash);
    check_names_every_verb(zsh);
    check_names_every_verb(fish);
}

/* No line of a man page begins with a dot but for requests. */
static void check_man(int (*write)(struct mw_buf *b))
{
    static const char *const requests[] = {".TH ",  ".SH ",  ".SS ", ".TP\n", ".PP\n",
                                           ".nf\n", ".fi\n", ".B ",  ".BR "};
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    assert_int_equal(write(&b), 0);
    for (const char *p = mw_buf_str(&b); *p; p += strcspn(p, "\n") + 1) {
        bool known = *p != '.';

        for (size_t i = 0; i < MW_ARRAY_LEN(requests); i++)
            known = known || mw_starts_with(p, requests[i]);
        assert_true(known);
    }
}

static void test_man(void **state)
{
    check_man(docs_man_matterwire);
    check_man(docs_man_config);
    check_man(docs_man_matterwired);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages), cmocka_unit_test(test_variables),
        cmocka_unit_test(test_shell), cmocka_unit_test(test_complete),
        cmocka_unit_test(test_man),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
