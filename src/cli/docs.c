/* `docs`: prints what is made from the tables. */
#include "cli/docs.h"

#include "base/str.h"
#include "cli/cli.h"
#include "gateway/metrics.h"
#include "rpc/rpc.h"

static const struct page {
    const char *group; /* NULL = a page of the handbook, docs/NAME.md */
    const char *name;
    int (*write)(struct mw_buf *b);
} pages[] = {
    {NULL, "commands", docs_commands},
    {NULL, "config", docs_config},
    {NULL, "events", docs_events},
    {NULL, "metrics", gw_metrics_document},
    {NULL, "rpc", rpc_write_markdown},
    {"man", "matterwire.1", docs_man_matterwire},
    {"man", "matterwired.8", docs_man_matterwired},
    {"man", "matterwire.yaml.5", docs_man_config},
};

int cli_run_docs(struct cli *cli, const void *options, int argc, char **argv)
{
    const char *group = argc == 2 ? argv[0] : NULL;
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    if (argc == 0) {
        for (size_t i = 0; i < MW_ARRAY_LEN(pages); i++)
            if (!pages[i].group)
                puts(pages[i].name);
        return cli_flush(CLI_DONE);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(pages); i++) {
        if (!mw_streq(pages[i].group, group) || strcmp(pages[i].name, argv[argc - 1]) != 0)
            continue;
        if (pages[i].write(&b) < 0)
            return cli_no_memory();
        fputs(mw_buf_str(&b), stdout);
        return cli_flush(CLI_DONE);
    }
    return cli_error(CLI_USAGE, "there is no page %s%s%s", group ? group : "", group ? " " : "",
                     argv[argc - 1]);
}
