/*
 * Type `command`: one process for each event, without a shell.
 *
 *   standard input    the event as one JSON object (docs/events.md), then the end of file
 *   environment       PATH, what `env_inherit` and `env` name, and the MATTERWIRE_* variables
 * (program.c) working folder    `workdir` standard output   the answer, Markdown exit status 0 =
 * well; anything else is a failure, told with the last lines of standard error
 */
#include <string.h>

#include "handlers/handlers.h"
#include "handlers/program.h"
#include "handlers/turn.h"

#define DEFAULT_TIMEOUT_MS (120 * 1000)
#define MAX_ANSWER         (1024 * 1024)

struct gw_handler_run {
    struct mw_process *process;
    const struct gw_turn_ops *ops;
    void *turn;
    int64_t timeout_ms;
    bool json;
};

static void on_end(struct mw_process *p, const struct mw_process_result *r, void *userdata)
{
    struct gw_handler_run *run = userdata;
    struct gw_handler_answer a = {.text = ""};
    MW_AUTOBUF text = {0};
    MW_AUTOJSON *json = NULL;

    a.end = gw_program_end(r, run->timeout_ms, MAX_ANSWER, &a.err);
    if (a.end == GW_HANDLER_ANSWERED && gw_clean_text(r->out->data, r->out->len, &text)) {
        a.end = GW_HANDLER_FAILED;
        mw_error_set(&a.err, -ENOMEM, "out of memory");
    } else if (a.end == GW_HANDLER_ANSWERED) {
        a.text = mw_buf_str(&text);
    }
    if (a.end == GW_HANDLER_ANSWERED && run->json &&
        mw_json_parse(a.text, strlen(a.text), &json, &a.err)) {
        a.end = GW_HANDLER_FAILED;
        mw_error_prefix(&a.err, "the output is no JSON (output: json)");
    }
    a.json = json;
    run->ops->end(run->turn, &a);
    mw_error_reset(&a.err);
    free(run);
}

static int open_command(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                        struct mw_error *err)
{
    /* Nothing is kept between runs. */
    *ret = (struct gw_handler_instance *)host;
    return 0;
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    const struct gw_handler_host *host = (const struct gw_handler_host *)in;
    const struct gw_handler_config *config = host->config;
    struct gw_handler_run *run = calloc(1, sizeof(*run));
    MW_AUTOFREE const char **argv = gw_argv(&config->command);
    struct gw_env env = {0};
    MW_AUTOBUF input = {0};
    int rc = -ENOMEM;

    if (!run || !argv || gw_env_make(&env, config, turn) ||
        gw_turn_write_json(&input, turn, true) || mw_buf_putc(&input, '\n')) {
        mw_error_set(err, rc, "out of memory");
        goto out;
    }
    run->ops = ops;
    run->turn = userdata;
    run->timeout_ms = turn->timeout_ms ? turn->timeout_ms : DEFAULT_TIMEOUT_MS;
    run->json = config->output == GW_OUTPUT_JSON;
    const struct mw_process_params p = {
        .argv = argv,
        .env = (const char *const *)env.items,
        .workdir = config->workdir,
        .input = input.data,
        .input_len = input.len,
        .timeout_ms = run->timeout_ms,
        .max_stdout = MAX_ANSWER,
    };
    rc = mw_process_start(host->loop, &p, on_end, run, &run->process, err);
    if (!rc)
        *ret = take_ptr(run);
out:
    gw_env_deinit(&env);
    free(run);
    return rc;
}

static void cancel(struct gw_handler_run *run)
{
    mw_process_cancel(run->process);
}

const struct gw_handler_type gw_command_handler = {
    .name = "command",
    .open = open_command,
    .start = start,
    .cancel = cancel,
};
