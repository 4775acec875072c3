/* `check` and `reload`, and `rpc`. */
#include "base/str.h"
#include "cli/cli.h"
#include "gateway/config.h"

#define PARAMS_MAX (1024 * 1024) /* bytes; what the daemon takes in a line */

static int print_check_json(struct cli *cli, const char *path, const struct gw_problems *problems)
{
    MW_AUTOJSON *o = cJSON_CreateObject(), *list = cJSON_CreateArray();

    if (!o || !list || mw_json_add_str(o, "path", path) ||
        mw_json_add_bool(o, "valid", problems->n == 0))
        return cli_no_memory();
    for (size_t i = 0; i < problems->n; i++) {
        MW_AUTOJSON *p = cJSON_CreateObject();

        if (!p || mw_json_add_i64(p, "line", problems->items[i].line) ||
            mw_json_add_i64(p, "column", problems->items[i].column) ||
            mw_json_add_str(p, "message", problems->items[i].message) ||
            mw_json_push(list, take_ptr(p)))
            return cli_no_memory();
    }
    if (mw_json_add(o, "problems", take_ptr(list)))
        return cli_no_memory();
    return cli_print_json(cli, take_ptr(o));
}

int cli_run_check(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOFREE char *path = gw_config_path(cli->options.config);
    struct gw_problems problems = {0};
    struct gw_config *config = NULL;
    int r = path ? gw_config_load(path, &config, &problems) : -ENOMEM;
    int code = r == 0 ? CLI_DONE : CLI_USAGE;

    if (r == -ENOMEM)
        return cli_no_memory();
    if (r < 0)
        return cli_error(CLI_FAILED, "cannot check %s: %s", path, strerror(-r));
    for (size_t i = 0; i < problems.n; i++) {
        const struct gw_problem *p = &problems.items[i];

        if (p->line)
            fprintf(stderr, "%s:%u:%u: %s\n", path, p->line, p->column, p->message);
        else
            fprintf(stderr, "%s: %s\n", path, p->message);
    }
    if (cli->options.json && print_check_json(cli, path, &problems) != CLI_DONE)
        code = CLI_FAILED;
    else if (!cli->options.json && r == 0)
        printf("%s: no mistakes found (%zu %s, %zu %s)\n", path, config->n_bots,
               config->n_bots == 1 ? "bot" : "bots", config->n_handlers,
               config->n_handlers == 1 ? "handler" : "handlers");
    gw_config_free(config);
    gw_problems_deinit(&problems);
    return cli_flush(code);
}

int cli_run_reload(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOJSON *result = NULL;
    int r = cli_call_once(cli, "reload", NULL, &result);

    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(result));
    puts("the configuration is in force");
    return cli_flush(CLI_DONE);
}

int cli_run_rpc(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOJSON *params = NULL, *result = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOBUF text = {0};
    int r = CLI_DONE;

    mw_buf_init(&text, 0);
    if (argc > 1 && strcmp(argv[1], "-") == 0)
        r = cli_read_input(&text, PARAMS_MAX, "");
    else if (argc > 1 && mw_buf_puts(&text, argv[1]) < 0)
        r = cli_no_memory();
    if (r)
        return r;
    if (argc > 1 && mw_json_parse(mw_buf_str(&text), text.len, &params, &err) < 0)
        return cli_error(CLI_USAGE, "PARAMS is not JSON: %s", mw_error_text(&err));
    if (params && !cJSON_IsObject(params))
        return cli_error(CLI_USAGE, "PARAMS must be a JSON object: parameters go by name");
    r = cli_call_once(cli, argv[0], take_ptr(params), &result);
    return r ? r : cli_print_json(cli, take_ptr(result));
}
