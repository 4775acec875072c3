/* The verbs of matterwire-extra, as `matterwire` has them: it runs that program in its place. */
#include <limits.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"

static int run_extra(struct cli *cli)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    MW_AUTOFREE char *beside = NULL;
    char *slash;

    fflush(stdout);
    if (n > 0) {
        self[n] = 0;
        slash = strrchr(self, '/');
        beside = mw_asprintf("%.*s/matterwire-extra", (int)(slash - self), self);
        if (!beside)
            return cli_no_memory();
        /* In the build folder, and where a package puts all in one place. */
        if (access(beside, X_OK) == 0)
            execv(beside, cli->argv);
    }
    execv(CLI_LIBEXECDIR "/matterwire-extra", cli->argv);
    return cli_error(CLI_FAILED, "cannot run %s/matterwire-extra: %s", CLI_LIBEXECDIR,
                     strerror(errno));
}

int cli_run_doctor(struct cli *cli, const void *options, int argc, char **argv)
{
    return run_extra(cli);
}

int cli_run_sandbox(struct cli *cli, const void *options, int argc, char **argv)
{
    return run_extra(cli);
}

int cli_run_docs(struct cli *cli, const void *options, int argc, char **argv)
{
    return run_extra(cli);
}
