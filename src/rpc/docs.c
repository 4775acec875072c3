/* docs/rpc.md, from the tables. */
#include "rpc/internal.h"

static void write_method(struct mw_buf *b, const struct rpc_method *m)
{
    mw_buf_printf(b, "\n### `%s`\n\n%s\n\n", m->name, m->doc);
    if (m->n_params)
        mw_buf_puts(b, "| parameter | type | |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < m->n_params; i++)
        mw_buf_printf(b, "| `%s` | %s | %s%s |\n", m->params[i].name,
                      rpc_type_name(m->params[i].type), m->params[i].required ? "Needed. " : "",
                      m->params[i].doc);
    mw_buf_printf(b, "%sResult: %s\n", m->n_params ? "\n" : "", m->result);
}

int rpc_write_markdown(struct mw_buf *b)
{
    const char *name, *doc;
    int code;

    mw_buf_puts(
        b,
        "# JSON-RPC over the local socket\n\n"
        "<!-- Made from the table in src/rpc/methods.c: script/check-docs --write -->\n\n"
        "The daemon listens on a Unix socket (`daemon.socket` in the [configuration](config.md)), "
        "open to its own user\nand to root. It speaks [JSON-RPC 2.0](https://www.jsonrpc.org/"
        "specification), one object a line in either\ndirection. Parameters go by name; there are "
        "no batches. Several requests may be under way; answers come as\nthey are ready, so tell "
        "them apart by `id`. A line has 1 MiB at the most.\n\n"
        "```console\n"
        "$ matterwire rpc send '{\"channel\":\"town-square\",\"text\":\"Hello\"}'\n"
        "$ echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bots\"}' | socat -t 30 - "
        "UNIX-CONNECT:$XDG_RUNTIME_DIR/matterwire.sock\n"
        "```\n\n"
        "A client that ends its side (as `echo` does) still gets its answers; then the daemon ends "
        "the connection.\n[examples/rpc.py](../examples/rpc.py) follows the events and answers, "
        "with "
        "Python's standard library;\n[examples/rpc.sh](../examples/rpc.sh) posts from a shell, "
        "with "
        "`socat` or `nc -U`.\n\n"
        "Types: a *duration* is a number of milliseconds or text such as `\"15s\"`; a *time* is "
        "milliseconds since 1970,\nRFC 3339 text, or text such as `\"2h\"`: that long ago.\n\n"
        "## Methods\n");
    for (size_t i = 0; i < rpc_method_count(); i++)
        write_method(b, rpc_method_at(i));
    mw_buf_puts(b, "\n## Errors\n\n"
                   "An error has a `code`, a `message` (one sentence for a person) and `data` with "
                   "`reason`, the name of the\ncode, and sometimes more.\n\n"
                   "| code | reason | |\n| --- | --- | --- |\n");
    for (size_t i = 0; rpc_code_doc(i, &code, &name, &doc); i++)
        mw_buf_printf(b, "| %d | `%s` | %s |\n", code, name, doc);
    return mw_buf_error(b);
}
