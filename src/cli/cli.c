#include "cli/cli.h"

#include <locale.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/str.h"

int cli_error(int code, const char *fmt, ...)
{
    MW_AUTOBUF b = {0}, wrapped = {0};
    va_list ap;

    mw_buf_init(&b, 0);
    mw_buf_init(&wrapped, 0);
    va_start(ap, fmt);
    mw_buf_puts(&b, "matterwire: ");
    mw_buf_vprintf(&b, fmt, ap);
    va_end(ap);
    /* In a file or a pipe an error is one line. */
    if (isatty(STDERR_FILENO))
        mw_buf_wrap(&wrapped, mw_buf_str(&b), 0, 0, mw_terminal_width(STDERR_FILENO));
    else
        mw_buf_printf(&wrapped, "%s\n", mw_buf_str(&b));
    fputs(mw_buf_error(&wrapped) ? "matterwire: there is no memory left\n" : mw_buf_str(&wrapped),
          stderr);
    return code;
}

int cli_no_memory(void)
{
    return cli_error(CLI_FAILED, "there is no memory left");
}

int cli_read_input(struct mw_buf *b, size_t limit, const char *instead)
{
    for (;;) {
        char *to = mw_buf_reserve(b, 16384);
        ssize_t n;

        if (!to)
            return cli_no_memory();
        n = read(STDIN_FILENO, to, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cli_error(CLI_FAILED, "cannot read standard input: %s", strerror(errno));
        if (n == 0)
            return CLI_DONE;
        mw_buf_commit(b, (size_t)n);
        if (b->len > limit)
            return cli_error(CLI_FAILED, "standard input is longer than %zu bytes%s", limit,
                             instead);
    }
}

const struct cli_verb *cli_verb_find(const char *name)
{
    for (size_t i = 0; i < cli_verb_count(); i++)
        if (strcmp(cli_verb_at(i)->name, name) == 0)
            return cli_verb_at(i);
    return NULL;
}

static size_t count_options(const struct mw_option *table)
{
    size_t n = 0;

    while (table && table[n].name)
        n++;
    return n;
}

struct mw_option *cli_merge_options(const struct cli_verb *v)
{
    size_t own = count_options(v->options), common = count_options(cli_common_options);
    struct mw_option *all = calloc(own + common + 1, sizeof(*all));

    if (!all)
        return NULL;
    if (own)
        memcpy(all, v->options, own * sizeof(*all));
    memcpy(all + own, cli_common_options, common * sizeof(*all));
    return all;
}

/* ---- Help ---- */

static void write_verbs(struct mw_buf *b, unsigned width)
{
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *v = cli_verb_at(i);
        size_t start = b->len;

        if (v->hidden)
            continue;
        mw_buf_printf(b, "  %s%s%s", v->name, v->args ? " " : "", v->args ? v->args : "");
        /* What is too long stands alone. */
        if (b->len - start > 22) {
            mw_buf_putc(b, '\n');
            start = b->len;
        }
        mw_buf_printf(b, "%*s", 24 - (int)(b->len - start), "");
        mw_buf_wrap(b, v->summary, 24, 24, width);
    }
}

int cli_write_help(struct mw_buf *b, const struct cli_verb *v, unsigned width)
{
    if (!v) {
        mw_buf_puts(b, "usage: matterwire [options] VERB [options] [arguments]\n\n");
        mw_buf_wrap(b, "Drives the bots of a running matterwired, and helps to set them up.", 0, 0,
                    width);
        mw_buf_puts(b, "\nverbs:\n");
        write_verbs(b, width);
        mw_buf_puts(b, "\noptions of all verbs:\n");
        mw_options_write_help(b, cli_common_options, width);
        mw_buf_putc(b, '\n');
        return mw_buf_wrap(b,
                           "Prints tables on a terminal and JSON elsewhere. Exit status: 0 done, 1 "
                           "failed, 2 wrong usage or configuration, 3 the daemon cannot be "
                           "reached. `matterwire help VERB` tells more.",
                           0, 0, width);
    }
    mw_buf_printf(b, "usage: matterwire %s%s%s%s\n\n", v->name, v->options ? " [options]" : "",
                  v->args ? " " : "", v->args ? v->args : "");
    mw_buf_wrap(b, v->doc, 0, 0, width);
    if (v->options) {
        mw_buf_puts(b, "\noptions:\n");
        mw_options_write_help(b, v->options, width);
    }
    mw_buf_puts(b, "\noptions of all verbs:\n");
    mw_options_write_help(b, cli_common_options, width);
    if (v->examples)
        mw_buf_printf(b, "\nexamples:\n%s", v->examples);
    return mw_buf_error(b);
}

static int print_help(const struct cli_verb *v, FILE *to)
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    if (cli_write_help(&b, v, MW_MIN(mw_terminal_width(fileno(to)), 100)) < 0)
        return cli_no_memory();
    fputs(mw_buf_str(&b), to);
    return CLI_DONE;
}

static int unknown_verb(const char *name)
{
    struct mw_nearest nearest = {.name = name};

    for (size_t i = 0; i < cli_verb_count(); i++)
        if (!cli_verb_at(i)->hidden)
            mw_nearest_offer(&nearest, cli_verb_at(i)->name);
    if (mw_nearest_get(&nearest))
        return cli_error(CLI_USAGE, "there is no verb \"%s\"; did you mean \"%s\"?", name,
                         mw_nearest_get(&nearest));
    return cli_error(CLI_USAGE, "there is no verb \"%s\"; `matterwire help` lists them", name);
}

int cli_run_help(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_verb *v = NULL;

    if (argc && !(v = cli_verb_find(argv[0])))
        return unknown_verb(argv[0]);
    return cli_flush(print_help(v, stdout));
}

int cli_run_version(struct cli *cli, const void *options, int argc, char **argv)
{
    if (cli->json)
        printf("{\"version\":\"%s\"}\n", MW_VERSION);
    else
        printf("matterwire %s\n", MW_VERSION);
    return cli_flush(CLI_DONE);
}

/* ---- The start ---- */

static void setup_output(struct cli *cli)
{
    bool terminal = isatty(STDOUT_FILENO);
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    cli->json = cli->options.json || !terminal;
    cli->color = terminal && !cli->options.json && !(no_color && *no_color) && term &&
                 strcmp(term, "dumb") != 0;
}

static int usage_error(const struct cli_verb *v, const struct mw_error *err)
{
    if (v)
        return cli_error(CLI_USAGE, "%s: %s (`matterwire help %s` shows how)", v->name,
                         mw_error_text(err), v->name);
    return cli_error(CLI_USAGE, "%s", mw_error_text(err));
}

static int count_error(const struct cli_verb *v, int n)
{
    if (n < v->min_args)
        return cli_error(CLI_USAGE, "%s needs %s: matterwire %s %s", v->name,
                         v->min_args == 1 ? "an argument" : "arguments", v->name, v->args);
    if (v->max_args == 0)
        return cli_error(CLI_USAGE,
                         "%s takes no arguments (`matterwire help %s` shows its options)", v->name,
                         v->name);
    return cli_error(CLI_USAGE, "%s takes %d argument%s at the most: matterwire %s %s", v->name,
                     v->max_args, v->max_args == 1 ? "" : "s", v->name, v->args);
}

/* Frees the lists that the options of a verb collected. */
static void free_lists(const struct mw_option *table, void *target)
{
    for (const struct mw_option *o = table; o->name; o++)
        if (o->type == MW_OPT_LIST)
            mw_option_list_deinit((struct mw_option_list *)((char *)target + o->offset));
}

static int run_verb(struct cli *cli, const struct cli_verb *v, int argc, char **argv)
{
    MW_AUTOFREE struct mw_option *table = cli_merge_options(v);
    size_t size = MW_MAX(v->size, sizeof(struct cli_common));
    MW_AUTOFREE void *target = calloc(1, size);
    MW_AUTOERROR err = MW_ERROR_INIT;
    int n = 0, r;

    if (!table || !target)
        return cli_no_memory();
    if (v->initial)
        memcpy(target, v->initial, size);
    /* What was said before the verb holds, unless it is said again. */
    memcpy(target, &cli->options, sizeof(cli->options));
    r = mw_options_parse(table, argc, argv, MW_OPTIONS_PERMUTE, target, &n, &err);
    cli->options = *(struct cli_common *)target;
    cli->verb = v;
    setup_output(cli);
    if (r < 0)
        r = cli_no_memory();
    else if (r)
        r = usage_error(v, &err);
    else if (cli->options.help)
        r = cli_flush(print_help(v, stdout));
    else if (n < v->min_args || n > v->max_args)
        r = count_error(v, n);
    else
        r = v->run(cli, target, n, argv);
    free_lists(table, target);
    return r;
}

/* The parse moves words about, and matterwire-extra gets them as they were. */
static char **copy_words(int argc, char **argv)
{
    char **words = calloc((size_t)argc + 1, sizeof(*words));

    if (words)
        memcpy(words, argv, (size_t)argc * sizeof(*words));
    return words;
}

int cli_main(int argc, char **argv)
{
    MW_AUTOFREE char **words = copy_words(argc, argv);
    struct cli cli = {.argv = argv};
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct cli_verb *v;
    int n = 0, r;

    if (!words)
        return cli_no_memory();
    setlocale(LC_CTYPE, "");
    r = mw_options_parse(cli_common_options, argc - 1, words + 1, MW_OPTIONS_STOP, &cli.options, &n,
                         &err);
    setup_output(&cli);
    if (r)
        return r < 0 ? cli_no_memory() : usage_error(NULL, &err);
    if (cli.options.version)
        return cli_run_version(&cli, NULL, 0, NULL);
    if (cli.options.help && n == 0)
        return cli_flush(print_help(NULL, stdout));
    if (n == 0) {
        print_help(NULL, stderr);
        return CLI_USAGE;
    }
    v = cli_verb_find(words[1]);
    return v ? run_verb(&cli, v, n - 1, words + 2) : unknown_verb(words[1]);
}
