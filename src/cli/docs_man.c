/* Man pages, in man(7). */
#include <ctype.h>
#include <time.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/docs.h"
#include "daemon/options.h"
#include "gateway/config_schema.h"

/* Text for roff: backslashes and hyphens are escaped, a line never begins with a control character,
 * and `x` is set bold. */
static void write_text(struct mw_buf *b, const char *text)
{
    bool bold = false, line_start = true;

    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            mw_buf_puts(b, "\\&");
        line_start = *text == '\n';
        if (*text == '`') {
            bold = !bold;
            mw_buf_puts(b, bold ? "\\fB" : "\\fR");
        } else if (*text == '\\') {
            mw_buf_puts(b, "\\e");
        } else if (*text == '-') {
            mw_buf_puts(b, "\\-");
        } else {
            mw_buf_putc(b, *text);
        }
    }
    mw_buf_putc(b, '\n');
}

static void write_sentence(struct mw_buf *b, const char *half)
{
    MW_AUTOFREE char *text = mw_asprintf("%s.", half);

    if (!text)
        return;
    text[0] = (char)toupper((unsigned char)text[0]);
    write_text(b, text);
}

static void write_head(struct mw_buf *b, const char *name, int section, const char *summary)
{
    mw_buf_printf(b, ".TH %s %d \"\" \"Matterwire %s\" \"Matterwire\"\n.SH NAME\n", name, section,
                  MW_VERSION);
    mw_buf_printf(b, "%s \\- %s\n", name, summary);
}

static void write_options(struct mw_buf *b, const struct mw_option *table)
{
    for (const struct mw_option *o = table; o->name; o++) {
        mw_buf_puts(b, ".TP\n");
        if (o->letter)
            mw_buf_printf(b, "\\fB\\-%c\\fR, ", o->letter);
        mw_buf_puts(b, "\\fB\\-\\-");
        for (const char *p = o->name; *p; p++)
            mw_buf_puts(b, *p == '-' ? "\\-" : (const char[]){*p, 0});
        mw_buf_puts(b, "\\fR");
        if (o->arg)
            mw_buf_printf(b, " \\fI%s\\fR", o->arg);
        mw_buf_putc(b, '\n');
        write_sentence(b, o->help);
        if (o->choices)
            mw_buf_printf(b, "One of: %s.\n", o->choices);
    }
}

int docs_man_matterwire(struct mw_buf *b)
{
    write_head(b, "matterwire", 1, "drive the bots of a running matterwired");
    mw_buf_puts(b, ".SH SYNOPSIS\n.B matterwire\n[\\fIoptions\\fR] \\fIVERB\\fR [\\fIoptions\\fR] "
                   "[\\fIarguments\\fR]\n.SH DESCRIPTION\n");
    write_text(b, "Matterwire wires Mattermost to programs. `matterwired` is the daemon that is "
                  "connected; `matterwire` lists its bots, posts, shows what was said, and helps "
                  "to set up and to find out what is wrong.");
    mw_buf_puts(b, ".PP\n");
    write_text(b, "On a terminal it prints tables and colour (unless NO_COLOR is set), elsewhere "
                  "JSON. Options may stand before or behind the verb.");
    mw_buf_puts(b, ".SH OPTIONS\n");
    write_options(b, cli_common_options);
    mw_buf_puts(b, ".SH VERBS\n");
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *v = cli_verb_at(i);

        if (v->hidden)
            continue;
        mw_buf_printf(b, ".SS matterwire %s%s%s\n", v->name, v->args ? " " : "",
                      v->args ? v->args : "");
        write_text(b, v->doc);
        if (v->options)
            write_options(b, v->options);
        if (v->examples) {
            mw_buf_puts(b, ".PP\n.nf\n");
            write_text(b, v->examples);
            mw_buf_puts(b, ".fi\n");
        }
    }
    mw_buf_puts(b, ".SH EXIT STATUS\n"
                   ".TP\n0\nDone.\n"
                   ".TP\n1\nThe operation failed; the sentence on standard error says why.\n"
                   ".TP\n2\nWrong usage or configuration.\n"
                   ".TP\n3\nThe daemon cannot be reached.\n"
                   ".SH ENVIRONMENT\n"
                   ".TP\n.B MATTERWIRE_CONFIG\nThe configuration file.\n"
                   ".TP\n.B MATTERWIRE_SOCKET\nThe daemon's socket.\n"
                   ".TP\n.B NO_COLOR\nNo colour when it is set.\n"
                   ".SH SEE ALSO\n.BR matterwired (8),\n.BR matterwire.yaml (5)\n");
    return mw_buf_error(b);
}

int docs_man_matterwired(struct mw_buf *b)
{
    write_head(b, "matterwired", 8, "wire Mattermost to programs");
    mw_buf_puts(b, ".SH SYNOPSIS\n.B matterwired\n[\\fIoptions\\fR]\n.SH DESCRIPTION\n");
    write_text(b, daemon_summary);
    mw_buf_puts(b, ".PP\n");
    write_text(b,
               "It stays in the foreground and logs to standard error: text on a terminal, lines "
               "with a priority under systemd, JSON elsewhere. `matterwire bots` shows how its "
               "bots are.");
    mw_buf_puts(b, ".SH OPTIONS\n");
    write_options(b, daemon_option_table);
    mw_buf_puts(b, ".SH SIGNALS\n.TP\n.BR SIGTERM \", \" SIGINT\n");
    write_text(b, "What is under way ends, for a few seconds at the most; then it stops. A second "
                  "one stops it now. What had to be stopped goes on at the next start.");
    mw_buf_puts(b, ".TP\n.B SIGHUP\n");
    write_text(b,
               "Reads the configuration again, as `matterwire reload` does. A file with mistakes "
               "changes nothing.");
    mw_buf_puts(b,
                ".SH EXIT STATUS\n"
                ".TP\n0\nStopped as asked.\n"
                ".TP\n1\nIt could not start, for example because another one uses the database.\n"
                ".TP\n2\nWrong usage or configuration.\n"
                ".SH ENVIRONMENT\n"
                ".TP\n.B MATTERWIRE_CONFIG\nThe configuration file.\n"
                ".TP\n.B XDG_RUNTIME_DIR\nWhere the socket is, unless the file says.\n"
                ".TP\n.B XDG_STATE_HOME\nWhere the database is, unless the file says.\n"
                ".SH SEE ALSO\n.BR matterwire (1),\n.BR matterwire.yaml (5)\n");
    return mw_buf_error(b);
}

static void write_key(struct mw_buf *b, const struct gw_key *k)
{
    mw_buf_printf(b, ".TP\n\\fB%s\\fR", k->name);
    if (k->secret)
        mw_buf_printf(b, ", \\fB%s_file\\fR", k->name);
    mw_buf_putc(b, '\n');
    write_text(b, k->doc);
    if (k->only)
        mw_buf_printf(b, "For the types: %s.\n", k->only);
    if (k->choices && strchr(k->choices, ' '))
        mw_buf_printf(b, "One of: %s.\n", k->choices);
    if (k->required) {
        mw_buf_puts(b, "Needed.\n");
    } else if (k->fallback || k->fallback_doc) {
        mw_buf_puts(b, "Default: ");
        write_text(b, k->fallback_doc ? k->fallback_doc : k->fallback);
    }
    mw_buf_puts(b, "Example: ");
    write_text(b, k->example);
}

static void write_section(struct mw_buf *b, const char *path, const struct gw_section *s)
{
    mw_buf_printf(b, ".SS %s\n", path);
    write_text(b, s->doc);
    for (size_t i = 0; i < s->n; i++)
        write_key(b, &s->keys[i]);
    for (size_t i = 0; i < s->n; i++) {
        MW_AUTOFREE char *inner = NULL;

        if (!s->keys[i].section)
            continue;
        inner = mw_asprintf("%s.%s", path, s->keys[i].name);
        if (inner)
            write_section(b, inner, s->keys[i].section);
    }
}

int docs_man_config(struct mw_buf *b)
{
    write_head(b, "matterwire.yaml", 5, "configuration of matterwired");
    mw_buf_puts(b, ".SH DESCRIPTION\n");
    write_text(b, "One YAML file: what --config names, else $MATTERWIRE_CONFIG, else "
                  "$XDG_CONFIG_HOME/matterwire/config.yaml, else /etc/matterwire/config.yaml. "
                  "`matterwire check` finds all mistakes in it at once.");
    mw_buf_puts(b, ".PP\n");
    write_text(b, "$NAME and ${NAME} in any value are taken from the environment; $$ is a dollar "
                  "sign. A secret X can be given by the file that X_file names, which others must "
                  "not be able to read. Relative paths begin at the folder of the configuration "
                  "file. A duration is a number with ms, s, m, h or d.");
    mw_buf_puts(b, ".SH KEYS\n");
    for (size_t i = 0; i < gw_config_schema.n; i++)
        write_section(b, gw_config_schema.keys[i].name, gw_config_schema.keys[i].section);
    mw_buf_puts(b, ".SH EXAMPLE\n.nf\n");
    write_text(b, "bots:\n"
                  "  - name: support\n"
                  "    endpoint: https://mattermost.example.com\n"
                  "    bot_token: $MATTERMOST_BOT_TOKEN\n"
                  "    channels: [town-square]\n"
                  "    allowed_users: [\"@alice\"]\n"
                  "    handler: deploy\n"
                  "handlers:\n"
                  "  deploy: { type: command, command: [./deploy.sh] }");
    mw_buf_puts(b, ".fi\n.SH SEE ALSO\n.BR matterwire (1),\n.BR matterwired (8)\n");
    return mw_buf_error(b);
}
