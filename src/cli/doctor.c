#include "cli/cli.h"
int cli_run_doctor(struct cli *cli, const void *options, int argc, char **argv)
{
    return cli_error(CLI_FAILED, "not yet");
}
