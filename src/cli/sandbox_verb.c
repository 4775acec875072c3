/* `sandbox`: the options as src/sandbox takes them. */
#include "cli/cli.h"
#include "sandbox/sandbox.h"

int cli_run_sandbox(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_sandbox_options *o = options;
    MW_AUTOFREE const char **bots = calloc(o->bots.n + 1, sizeof(*bots));

    if (!bots)
        return cli_no_memory();
    for (size_t i = 0; i < o->bots.n; i++)
        bots[i] = o->bots.items[i];
    return sb_main(&(struct sb_options){
        .listen = o->listen,
        .control = o->control,
        .database = o->database,
        .seed = o->seed,
        .version = o->server_version,
        .bots = bots,
        .quiet = o->quiet,
        .ready_fd = -1,
    });
}
