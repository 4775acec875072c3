/* The verbs of matterwire-extra, which the unit tests do without. */
#include "cli/cli.h"

#define NOT_HERE(name)                                                                             \
    int name(struct cli *cli, const void *options, int argc, char **argv)                          \
    {                                                                                              \
        return CLI_FAILED;                                                                         \
    }
NOT_HERE(cli_run_doctor)
NOT_HERE(cli_run_sandbox)
NOT_HERE(cli_run_docs)
