/* `upload` and `download`. */
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

#define BAR_AFTER_MS 1000
#define BAR_WIDTH    30

struct file_options {
    struct cli_common common;
    const char *bot, *channel, *name, *to;
    bool force;
};

/* ---- The bar, on a terminal's standard error ---- */

struct bar {
    const char *label;
    int64_t since;
    bool on, drawn;
};

static void bar_draw(const cJSON *notification, void *userdata)
{
    struct bar *bar = userdata;
    const cJSON *p = mw_json_obj(notification, "params");
    int64_t done = mw_json_i64(p, "done", 0), total = mw_json_i64(p, "total", 1);
    int full = (int)(done * BAR_WIDTH / MW_MAX(total, 1));

    if (!bar->on || strcmp(mw_json_str_or(notification, "method", ""), "progress") != 0 ||
        mw_clock_mono() - bar->since < BAR_AFTER_MS)
        return;
    bar->drawn = true;
    fprintf(stderr, "\r[%.*s%*s] %3d %%  %.1f of %.1f MB  %.30s\033[K", full,
            "##############################", BAR_WIDTH - full, "",
            (int)(done * 100 / MW_MAX(total, 1)), (double)done / 1e6, (double)total / 1e6,
            bar->label);
    fflush(stderr);
}

static int call_with_bar(struct cli_conn *c, const char *method, cJSON *params, const char *label,
                         cJSON **ret_result)
{
    struct bar bar = {.label = label, .since = mw_clock_mono(), .on = isatty(STDERR_FILENO)};
    MW_AUTOJSON *owned = params;
    int r;

    if (bar.on && mw_json_add_bool(owned, "progress", true))
        return cli_no_memory();
    c->on_notification = bar_draw;
    c->userdata = &bar;
    r = cli_call(c, method, take_ptr(owned), ret_result);
    c->on_notification = NULL;
    c->userdata = NULL;
    if (bar.drawn)
        fputs("\r\033[K", stderr);
    return r;
}

/* ---- upload ---- */

static int upload_one(struct cli_conn *c, const struct file_options *o, const char *file,
                      cJSON *results)
{
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    MW_AUTOFREE char *path = realpath(file, NULL), *clean = NULL;
    const char *slash = strrchr(file, '/');
    MW_AUTOBUF label = {0};
    int r;

    /* The daemon has another working folder. */
    if (!path)
        return cli_error(CLI_FAILED, "cannot read the file %s: %s", file, strerror(errno));
    if (!params || (o->bot && mw_json_add_str(params, "bot", o->bot)) ||
        mw_json_add_str(params, "channel", o->channel) || mw_json_add_str(params, "file", path) ||
        mw_json_add_str(params, "name",
                        o->name ? o->name
                        : slash ? slash + 1
                                : file) ||
        cli_write_clean(&label, slash ? slash + 1 : file, false) < 0)
        return cli_no_memory();
    r = call_with_bar(c, "upload", take_ptr(params), mw_buf_str(&label), &result);
    if (r)
        return r;
    return mw_json_push(results, take_ptr(result)) ? cli_no_memory() : CLI_DONE;
}

static int run_upload(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct file_options *o = options;
    MW_AUTOJSON *results = cJSON_CreateArray();
    const cJSON *item;
    struct cli_conn c;
    int r;

    if (!results)
        return cli_no_memory();
    if (!o->channel)
        return cli_error(CLI_USAGE, "upload needs --channel NAME: a file belongs to a channel");
    if (o->name && argc > 1)
        return cli_error(CLI_USAGE, "--name is for one file");
    r = cli_connect(cli, &c);
    if (r)
        return r;
    for (int i = 0; i < argc && r == CLI_DONE; i++)
        r = upload_one(&c, o, argv[i], results);
    cli_conn_deinit(&c);
    /* What did go up is told, whatever became of the rest. */
    if (cli->json) {
        if (r == CLI_DONE || results->child)
            cli_print_json(cli, take_ptr(results));
        return r;
    }
    cJSON_ArrayForEach(item, results)
    {
        MW_AUTOBUF b = {0};

        mw_buf_init(&b, 0);
        mw_buf_printf(&b, "%s  ", mw_json_str_or(item, "file_id", ""));
        if (cli_write_clean(&b, mw_json_str_or(item, "name", ""), false) < 0)
            return cli_no_memory();
        puts(mw_buf_str(&b));
    }
    return cli_flush(r);
}

/* ---- download ---- */

static int run_download(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct file_options *o = options;
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    MW_AUTOFREE char *folder = realpath(o->to ? o->to : ".", NULL);
    const cJSON *item;
    struct cli_conn c;
    int r;

    if (!folder)
        return cli_error(CLI_FAILED, "cannot use the folder %s: %s", o->to ? o->to : ".",
                         strerror(errno));
    if (!params || (o->bot && mw_json_add_str(params, "bot", o->bot)) ||
        mw_json_add_str(params, "what", argv[0]) || mw_json_add_str(params, "folder", folder) ||
        (o->force && mw_json_add_bool(params, "replace", true)))
        return cli_no_memory();
    r = cli_connect(cli, &c);
    if (r)
        return r;
    r = call_with_bar(&c, "download", take_ptr(params), "", &result);
    cli_conn_deinit(&c);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    cJSON_ArrayForEach(item, result)
    {
        MW_AUTOBUF b = {0};

        mw_buf_init(&b, 0);
        if (cli_write_clean(&b, mw_json_str_or(item, "path", ""), false) < 0)
            return cli_no_memory();
        puts(mw_buf_str(&b));
    }
    return cli_flush(CLI_DONE);
}

/* ---- The table ---- */

#define OPTION(name, letter, type, arg, help, member, ...)                                         \
    MW_OPTION(name, letter, type, arg, help, struct file_options, member, ##__VA_ARGS__)
#define BOT                                                                                        \
    OPTION("bot", 'b', MW_OPT_STRING, "NAME", "the bot; not needed when there is only one", bot,   \
           .complete = MW_COMPLETE_BOT)

static const struct mw_option upload_options[] = {
    BOT,
    OPTION("channel", 'C', MW_OPT_STRING, "NAME", "the channel that the files are for", channel),
    OPTION("name", 'n', MW_OPT_STRING, "NAME", "what it is called there, for one file", name),
    MW_OPTIONS_END,
};

static const struct mw_option download_options[] = {
    BOT,
    OPTION("to", 'd', MW_OPT_STRING, "DIR", "the folder, instead of the current one", to,
           .complete = MW_COMPLETE_DIR),
    OPTION("force", 0, MW_OPT_FLAG, NULL, "replace files that are there", force),
    MW_OPTIONS_END,
};

static const struct cli_verb verbs[] = {
    {.name = "upload",
     .args = "FILE...",
     .files = true,
     .min_args = 1,
     .max_args = 100,
     .summary = "upload files without posting them, and print their ids",
     .doc = "Uploads files for a channel and prints their ids, for programs that post by "
            "themselves; `send --file` does both. Size and kind are checked first. More than 5 MiB "
            "go in pieces: after a broken connection the upload goes on where it was. The daemon "
            "reads the files, so its user has to be allowed to, and `attach_roots` of the "
            "configuration applies.",
     .examples = "  matterwire upload --channel releases build.tar.gz\n",
     .options = upload_options,
     .size = sizeof(struct file_options),
     .run = run_upload},
    {.name = "download",
     .args = "POST|FILE",
     .min_args = 1,
     .max_args = 1,
     .summary = "download the files of a post, or one file",
     .doc = "Downloads all files of a post (id or permalink), or one file by its id, and prints "
            "their paths. What is there is never replaced unless --force is given. A download that "
            "broke goes on where it was when it is started again. The daemon writes the files, for "
            "its user only (0600).",
     .examples = "  matterwire download a1b2c3d4e5f6g7h8i9j0klmnop --to ~/Downloads\n",
     .options = download_options,
     .size = sizeof(struct file_options),
     .run = run_download},
};
const struct cli_verb_table cli_verbs_file = CLI_VERB_TABLE(verbs);
