/* What is done to a post: `edit`, `delete`, `react` and their like; `typing`, `ephemeral`. */
#include "base/str.h"
#include "cli/cli.h"

/* Calls and prints what was done. `params` is taken over; NULL = no memory. */
static int call(struct cli *cli, const char *method, cJSON *params, const char *done,
                const char *existed)
{
    MW_AUTOJSON *result = NULL;
    int r;

    if (!params)
        return cli_no_memory();
    r = cli_call_once(cli, method, params, &result);
    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    printf("%s %s\n", existed && mw_json_bool(result, "existed") ? existed : done,
           mw_json_str_or(result, "permalink", mw_json_str_or(result, "post_id", "")));
    return cli_flush(CLI_DONE);
}

static cJSON *act_params(const struct cli_act_options *o, const char *post, const char *text,
                         const char *emoji)
{
    MW_AUTOJSON *params = cJSON_CreateObject();

    if (!params || mw_json_add_str(params, "post", post) || cli_add_text(params, "bot", o->bot) ||
        cli_add_text(params, "key", o->key) || cli_add_text(params, "text", text) ||
        cli_add_text(params, "emoji", emoji) ||
        (o->wait_ms && mw_json_add_i64(params, "wait", o->wait_ms)))
        return NULL;
    return take_ptr(params);
}

int cli_run_edit(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_act_options *o = options;
    MW_AUTOBUF text = {0};
    int r;

    mw_buf_init(&text, 0);
    r = cli_read_text(o->text, true, &text);
    if (r)
        return r;
    if (text.len == 0)
        return cli_error(CLI_USAGE, "there is no new text: give --text TEXT, or text on standard "
                                    "input; `matterwire delete` removes a post");
    return call(cli, "edit", act_params(o, argv[0], mw_buf_str(&text), NULL), "edited",
                "edited before");
}

int cli_run_delete(struct cli *cli, const void *options, int argc, char **argv)
{
    return call(cli, "delete", act_params(options, argv[0], NULL, NULL), "deleted",
                "deleted before");
}

int cli_run_react(struct cli *cli, const void *options, int argc, char **argv)
{
    return call(cli, "react", act_params(options, argv[0], NULL, argv[1]), "reacted to",
                "reacted before to");
}

int cli_run_unreact(struct cli *cli, const void *options, int argc, char **argv)
{
    return call(cli, "unreact", act_params(options, argv[0], NULL, argv[1]),
                "took the reaction back from", "took the reaction back before from");
}

int cli_run_pin(struct cli *cli, const void *options, int argc, char **argv)
{
    return call(cli, "pin", act_params(options, argv[0], NULL, NULL), "pinned", "pinned before");
}

int cli_run_unpin(struct cli *cli, const void *options, int argc, char **argv)
{
    return call(cli, "unpin", act_params(options, argv[0], NULL, NULL), "unpinned",
                "unpinned before");
}

int cli_run_typing(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_typing_options *o = options;
    MW_AUTOJSON *params = cJSON_CreateObject();

    if (!params || mw_json_add_str(params, "channel", argv[0]) ||
        cli_add_text(params, "bot", o->bot) || cli_add_text(params, "root", o->root))
        return cli_no_memory();
    return call(cli, "typing", take_ptr(params), "typing", NULL);
}

int cli_run_ephemeral(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_ephemeral_options *o = options;
    MW_AUTOJSON *params = cJSON_CreateObject();
    MW_AUTOBUF text = {0};
    int r;

    mw_buf_init(&text, 0);
    if (!o->user || !o->channel)
        return cli_error(CLI_USAGE, "ephemeral needs --user NAME and --channel NAME: whom to show "
                                    "it, and where");
    r = cli_read_text(o->text, true, &text);
    if (r)
        return r;
    if (text.len == 0)
        return cli_error(CLI_USAGE,
                         "there is nothing to show: give --text TEXT, or text on standard input");
    if (!params || cli_add_text(params, "bot", o->bot) || cli_add_text(params, "user", o->user) ||
        cli_add_text(params, "channel", o->channel) || cli_add_text(params, "root", o->root) ||
        mw_json_add_str(params, "text", mw_buf_str(&text)))
        return cli_no_memory();
    return call(cli, "ephemeral", take_ptr(params), "shown", NULL);
}
