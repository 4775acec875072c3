/* `send` and `reply`; texts. */
#include <unistd.h>

#include "base/id.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli/cli.h"

#define TEXT_MAX (512 * 1024) /* bytes; the daemon takes lines of 1 MiB */

int cli_read_text(const char *given, bool needed, struct mw_buf *b)
{
    int r = CLI_DONE;

    if (given && strcmp(given, "-") != 0) {
        if (mw_buf_puts(b, given) < 0)
            return cli_no_memory();
    } else if (given || (needed && !isatty(STDIN_FILENO))) {
        r = cli_read_input(b, TEXT_MAX, ": send it as a file, with `send --file`");
    }
    if (r)
        return r;
    if (memchr(mw_buf_str(b), 0, b->len) || !mw_utf8_valid(mw_buf_str(b), b->len))
        return cli_error(CLI_FAILED, "the text is not UTF-8: send it as a file, with --file");
    return CLI_DONE;
}

static int get_text(const struct cli_send_options *o, struct mw_buf *b)
{
    int r = cli_read_text(o->text, o->files.n == 0, b);

    if (r)
        return r;
    if (b->len == 0 && o->files.n == 0)
        return cli_error(CLI_USAGE,
                         "there is nothing to send: give --text TEXT, or text on standard input");
    return CLI_DONE;
}

/* The daemon reads the files, so it needs absolute paths. */
static int add_files(cJSON *params, const struct mw_option_list *files)
{
    MW_AUTOJSON *list = cJSON_CreateArray();

    for (size_t i = 0; list && i < files->n; i++) {
        MW_AUTOFREE char *path = realpath(files->items[i], NULL);

        if (!path || access(path, R_OK) < 0)
            return cli_error(CLI_FAILED, "cannot read the file %s: %s", files->items[i],
                             strerror(errno));
        if (mw_json_push(list, cJSON_CreateString(path)))
            return cli_no_memory();
    }
    if (files->n && mw_json_add(params, "files", take_ptr(list)))
        return cli_no_memory();
    return CLI_DONE;
}

static int add_props(cJSON *params, const char *text)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    cJSON *props = NULL;

    if (mw_json_parse(text, strlen(text), &props, &err) < 0)
        return cli_error(CLI_USAGE, "--props is not JSON: %s", mw_error_text(&err));
    if (!cJSON_IsObject(props)) {
        cJSON_Delete(props);
        return cli_error(CLI_USAGE, "--props must be a JSON object");
    }
    return mw_json_add(params, "props", props) ? cli_no_memory() : CLI_DONE;
}

int cli_add_text(cJSON *params, const char *key, const char *value)
{
    return value ? mw_json_add_str(params, key, value) : 0;
}

int cli_add_list(cJSON *params, const char *key, const struct mw_option_list *list)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    for (size_t i = 0; array && i < list->n; i++)
        if (mw_json_push(array, cJSON_CreateString(list->items[i])))
            return -ENOMEM;
    return list->n ? mw_json_add(params, key, take_ptr(array)) : 0;
}

/* A daemon that is gone in between may have recorded the message, or not. */
static int deliver(struct cli *cli, const char *method, cJSON *params, const char *key,
                   cJSON **ret_result)
{
    MW_AUTOJSON *owned = params;
    struct cli_conn c = {.fd = -1};
    int r = cli_connect(cli, &c);

    if (r)
        return r;
    r = cli_call(&c, method, take_ptr(owned), ret_result);
    cli_conn_deinit(&c);
    if (r == CLI_UNREACHABLE)
        cli_error(r,
                  "whether the message was recorded is not known; the same command with --key %s "
                  "posts it once in any case",
                  key);
    return r;
}

static int post(struct cli *cli, const struct cli_send_options *o, const char *method,
                const char *post_id)
{
    char id[MW_ID_SIZE];
    const char *key = o->key ? o->key : id;
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    MW_AUTOBUF text = {0};
    int r;

    mw_buf_init(&text, 0);
    r = get_text(o, &text);
    if (!params)
        r = cli_no_memory();
    if (!o->key && mw_id_new(id) < 0)
        return cli_error(CLI_FAILED, "the system gives no random numbers");
    if (r == CLI_DONE && o->files.n)
        r = add_files(params, &o->files);
    if (r == CLI_DONE && o->props)
        r = add_props(params, o->props);
    if (r)
        return r;
    if (cli_add_text(params, "bot", o->bot) | cli_add_text(params, "channel", o->channel) |
        cli_add_text(params, "root", o->root) | cli_add_text(params, "post", post_id) |
        cli_add_text(params, "key", key) | cli_add_text(params, "text", mw_buf_str(&text)) |
        (o->wait_ms ? mw_json_add_i64(params, "wait", o->wait_ms) : 0))
        return cli_no_memory();
    if (cli_add_list(params, "users", &o->users))
        return cli_no_memory();
    r = deliver(cli, method, take_ptr(params), key, &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    printf("%s %s\n", mw_json_bool(result, "existed") ? "posted before" : "posted",
           mw_json_str_or(result, "permalink", mw_json_str_or(result, "post_id", "")));
    return cli_flush(CLI_DONE);
}

int cli_run_send(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_send_options *o = options;

    if (!o->channel && !o->root && !o->users.n)
        return cli_error(CLI_USAGE,
                         "send needs --channel NAME (or --user NAME, or --root POST): where to?");
    if (o->users.n && (o->channel || o->root))
        return cli_error(CLI_USAGE, "give either --user, or --channel, or --root");
    return post(cli, o, "send", NULL);
}

int cli_run_reply(struct cli *cli, const void *options, int argc, char **argv)
{
    return post(cli, options, "reply", argv[0]);
}
