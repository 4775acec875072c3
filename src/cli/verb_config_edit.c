/* `config`: shows and changes the configuration file. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "gateway/config.h"
#include "gateway/config_edit.h"

#define FILE_MAX     (1024 * 1024) /* bytes of a configuration */
#define DIFF_CONTEXT 2             /* lines */

struct config_options {
    struct cli_common common;
    const char *endpoint, *token_file, *token_env, *team;
    bool dry_run;
};

/* A file that does not exist is empty when `may_miss`. */
static int read_file(const char *path, bool may_miss, struct mw_buf *b, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = CLI_DONE;

    *st = (struct stat){.st_uid = (uid_t)-1, .st_gid = (gid_t)-1};
    if (fd < 0 && errno == ENOENT && may_miss)
        return CLI_DONE;
    if (fd < 0 || fstat(fd, st) < 0) {
        r = cli_error(CLI_USAGE, "cannot read %s: %s", path, strerror(errno));
    } else {
        for (;;) {
            char *to = mw_buf_reserve(b, 4096);
            ssize_t n = to ? read(fd, to, 4096) : 0;

            if (n <= 0) {
                if (!to || n < 0)
                    r = cli_error(CLI_FAILED, "cannot read %s", path);
                break;
            }
            mw_buf_commit(b, (size_t)n);
        }
        if (r == CLI_DONE && memchr(mw_buf_str(b), 0, b->len))
            r = cli_error(CLI_USAGE, "%s is no text", path);
    }
    if (fd >= 0)
        close(fd);
    return r;
}

/* The file is never half written and never readable by others; a link to it stays a link. */
static int write_file(const char *given, const char *text, const struct stat *old)
{
    MW_AUTOFREE char *real = realpath(given, NULL);
    const char *path = real ? real : given;
    MW_AUTOFREE char *temp = mw_asprintf("%s.XXXXXX", path);
    size_t len = strlen(text), done = 0;
    int fd, r = 0;

    if (!temp)
        return cli_no_memory();
    fd = mkostemp(temp, O_CLOEXEC); /* 0600 from birth */
    if (fd < 0)
        return cli_error(CLI_FAILED, "cannot write beside %s: %s", path, strerror(errno));
    while (r == 0 && done < len) {
        ssize_t n = write(fd, text + done, len - done);

        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            r = -1;
    }
    /* Root keeps the file readable for the daemon's user. */
    if (r == 0 && old->st_uid != (uid_t)-1 && old->st_uid != geteuid())
        r = fchown(fd, old->st_uid, old->st_gid);
    if (r == 0)
        r = fsync(fd);
    if (close(fd) < 0)
        r = -1;
    if (r == 0)
        r = rename(temp, path);
    if (r == 0)
        return CLI_DONE;
    r = cli_error(CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
    unlink(temp);
    return r;
}

/* ---- Differences: one change is one stretch of lines ---- */

static const char *after_line(const char *p)
{
    p += strcspn(p, "\n");
    return *p ? p + 1 : p;
}

static void print_lines(struct cli *cli, char sign, const char *from, const char *to)
{
    const char *color = sign == '+'   ? cli_color(cli, CLI_GREEN)
                        : sign == '-' ? cli_color(cli, CLI_RED)
                                      : "";

    while (from < to) {
        const char *end = after_line(from);

        printf("%s%c%.*s%s\n", color, sign, (int)strcspn(from, "\n"), from,
               *color ? cli_color(cli, CLI_PLAIN) : "");
        from = end;
    }
}

static void print_diff(struct cli *cli, const char *path, const char *a, const char *b)
{
    const char *pa = a, *pb = b, *ea = a + strlen(a), *eb = b + strlen(b), *before;
    size_t line = 1, n;

    while (*pa && *pb) {
        n = (size_t)(after_line(pa) - pa);
        if (n != (size_t)(after_line(pb) - pb) || strncmp(pa, pb, n) != 0)
            break;
        pa += n;
        pb += n;
        line++;
    }
    while (ea > pa && eb > pb && ea[-1] == eb[-1]) {
        ea--;
        eb--;
    }
    /* Whole lines only. */
    while (ea > a && (ea[-1] != '\n' || eb[-1] != '\n') && *ea) {
        ea++;
        eb++;
    }
    for (n = 0, before = pa; n < DIFF_CONTEXT && before > a; n++)
        for (before--; before > a && before[-1] != '\n'; before--)
            ;
    printf("--- %s\n+++ %s\n@@ line %zu @@\n", path, path, line);
    print_lines(cli, ' ', before, pa);
    print_lines(cli, '-', pa, ea);
    print_lines(cli, '+', pb, eb);
    for (n = 0, pa = ea; n < DIFF_CONTEXT && *pa; n++)
        pa = after_line(pa);
    print_lines(cli, ' ', ea, pa);
}

/* ---- Actions ---- */

/* A change that would leave mistakes is refused with all of them. */
static int check(const char *path, const char *text)
{
    struct gw_problems problems = {0};
    struct gw_config *config = NULL;
    int r = gw_config_parse(path, text, strlen(text), &config, &problems);

    for (size_t i = 0; i < problems.n; i++) {
        if (problems.items[i].line)
            fprintf(stderr, "%s:%u:%u: %s\n", path, problems.items[i].line,
                    problems.items[i].column, problems.items[i].message);
        else
            fprintf(stderr, "%s: %s\n", path, problems.items[i].message);
    }
    if (r < 0)
        r = cli_no_memory();
    else if (r > 0)
        r = cli_error(CLI_USAGE, "nothing was changed: the file would have %zu %s", problems.n,
                      problems.n == 1 ? "mistake" : "mistakes");
    gw_config_free(config);
    gw_problems_deinit(&problems);
    return r;
}

static int run_list(struct cli *cli, const char *text)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOJSON *list = NULL;
    const cJSON *item;
    int r = gw_config_list(text, &list, &err);

    if (r < 0)
        return cli_no_memory();
    if (r > 0)
        return cli_error(CLI_USAGE, "%s", mw_error_text(&err));
    if (cli->json)
        return cli_print_json(cli, take_ptr(list));
    cJSON_ArrayForEach(item, list)
    {
        MW_AUTOBUF b = {0};

        cli_write_clean(&b, mw_json_str_or(item, "key", ""), false);
        mw_buf_puts(&b, " = ");
        if (cli_write_clean(&b, mw_json_str_or(item, "value", "(hidden)"), false) < 0)
            return cli_no_memory();
        puts(mw_buf_str(&b));
    }
    return cli_flush(CLI_DONE);
}

static int edit(const struct config_options *o, const char *text, int argc, char **argv, char **ret,
                struct mw_error *err)
{
    if (strcmp(argv[0], "set") == 0)
        return gw_config_set(text, argv[1], argv[2], ret, err);
    if (strcmp(argv[0], "remove-bot") == 0)
        return gw_config_remove_bot(text, argv[1], ret, err);
    return gw_config_add_bot(text,
                             &(struct gw_new_bot){
                                 .name = argv[1],
                                 .endpoint = o->endpoint,
                                 .token_file = o->token_file,
                                 .token_env = o->token_env,
                                 .team = o->team,
                             },
                             ret, err);
}

static int change(struct cli *cli, const struct config_options *o, const char *path,
                  const char *text, const struct stat *old, int argc, char **argv)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *changed = NULL;
    int r = edit(o, text, argc, argv, &changed, &err);

    if (r < 0)
        return cli_no_memory();
    if (r > 0)
        return cli_error(CLI_USAGE, "%s", mw_error_text(&err));
    r = check(path, changed);
    if (r)
        return r;
    if (strcmp(changed, text) == 0) {
        printf("%s has that already\n", path);
        return cli_flush(CLI_DONE);
    }
    if (o->dry_run) {
        print_diff(cli, path, text, changed);
        return cli_flush(CLI_DONE);
    }
    r = write_file(path, changed, old);
    if (r)
        return r;
    printf("%s was changed; `matterwire reload` puts it into force\n", path);
    return cli_flush(CLI_DONE);
}

static int run_config(struct cli *cli, const void *options, int argc, char **argv)
{
    static const struct {
        const char *name, *usage;
        int args;
    } actions[] = {
        {"list", "config list", 1},
        {"set", "config set KEY VALUE", 3},
        {"add-bot",
         "config add-bot NAME --endpoint URL --token-file FILE (or --token-env VARIABLE)", 2},
        {"remove-bot", "config remove-bot NAME", 2},
    };
    const struct config_options *o = options;
    MW_AUTOFREE char *path = gw_config_path(cli->options.config);
    struct mw_nearest near = {.name = argv[0]};
    MW_AUTOBUF text = {0};
    struct stat st;
    size_t i;
    int r;

    if (!path)
        return cli_no_memory();
    for (i = 0; i < MW_ARRAY_LEN(actions) && strcmp(actions[i].name, argv[0]) != 0; i++)
        mw_nearest_offer(&near, actions[i].name);
    if (i == MW_ARRAY_LEN(actions) && mw_nearest_get(&near))
        return cli_error(CLI_USAGE, "config has no action \"%s\"; did you mean \"%s\"?", argv[0],
                         mw_nearest_get(&near));
    if (i == MW_ARRAY_LEN(actions))
        return cli_error(CLI_USAGE,
                         "config has no action \"%s\": it has list, set, add-bot and remove-bot",
                         argv[0]);
    if (argc != actions[i].args || (i == 2 && (!o->endpoint || !o->token_file == !o->token_env)))
        return cli_error(CLI_USAGE, "use it so: matterwire %s", actions[i].usage);
    mw_buf_init(&text, FILE_MAX);
    r = read_file(path, i == 2, &text, &st);
    if (r)
        return r;
    return i == 0 ? run_list(cli, mw_buf_str(&text))
                  : change(cli, o, path, mw_buf_str(&text), &st, argc, argv);
}

/* ---- The table ---- */

#define OPTION(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct config_options, member, ##__VA_ARGS__)

static const struct mw_option options[] = {
    OPTION("endpoint", 'e', MW_OPT_STRING, "URL", "add-bot: address of the server", endpoint),
    OPTION("token-file", 't', MW_OPT_STRING, "FILE", "add-bot: the file with the bot's token",
           token_file, .complete = MW_COMPLETE_FILE),
    OPTION("token-env", 0, MW_OPT_STRING, "VARIABLE",
           "add-bot: the daemon's environment variable with the bot's token", token_env),
    OPTION("team", 'T', MW_OPT_STRING, "NAME", "add-bot: the team of channel names without one",
           team),
    OPTION("dry-run", 0, MW_OPT_FLAG, NULL, "show what would change, and change nothing", dry_run),
    MW_OPTIONS_END,
};

static const struct cli_verb verbs[] = {
    {.name = "config",
     .args = "ACTION [KEY VALUE | NAME]",
     .words = "list set add-bot remove-bot",
     .min_args = 1,
     .max_args = 3,
     .summary = "show and change the configuration file",
     .doc = "Shows or changes the configuration file. ACTION is list, set KEY VALUE, add-bot NAME "
            "or remove-bot NAME. KEY is daemon.KEY, bots.NAME.KEY or handlers.NAME.KEY. Comments, "
            "order and everything else stay as they are; the file becomes 0600. A change that "
            "would leave a mistake is refused (exit status 2). Tokens are never arguments: they "
            "stay in files or variables, and list does not show them. Needs no daemon; `reload` "
            "puts the file into force.",
     .examples = "  matterwire config list\n"
                 "  matterwire config set daemon.log_level debug --dry-run\n"
                 "  matterwire config set bots.support.channels \"[help, ops/alerts]\"\n"
                 "  matterwire config add-bot support --endpoint https://chat.example.com \\\n"
                 "      --token-file support.token\n",
     .options = options,
     .size = sizeof(struct config_options),
     .run = run_config},
};
const struct cli_verb_table cli_verbs_config = CLI_VERB_TABLE(verbs);
