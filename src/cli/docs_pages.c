/* The pages of the handbook, as Markdown. */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/docs.h"
#include "gateway/config_schema.h"
#include "handlers/handlers.h"
#include "store/event.h"

static const char *type_name(const struct gw_key *k)
{
    static const char *const names[] = {
        [GW_KEY_TEXT] = "text",
        [GW_KEY_URL] = "address",
        [GW_KEY_PATH] = "path",
        [GW_KEY_CHOICE] = "text",
        [GW_KEY_BOOL] = "true or false",
        [GW_KEY_COUNT] = "number",
        [GW_KEY_DURATION] = "duration",
        [GW_KEY_BYTES] = "bytes",
        [GW_KEY_WORDS] = "list",
        [GW_KEY_LIST] = "list",
        [GW_KEY_ENV] = "mapping",
        [GW_KEY_SECTION] = "section",
        [GW_KEY_ITEMS] = "list of sections",
        [GW_KEY_NAMED] = "mapping of sections",
    };

    return names[k->type];
}

/* In a table a bar would end the cell. */
static void write_cell(struct mw_buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            mw_buf_putc(b, '\\');
        mw_buf_putc(b, *text);
    }
}

static void write_choices(struct mw_buf *b, const char *choices)
{
    mw_buf_puts(b, " One of ");
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, " ");

        mw_buf_printf(b, "%s`%.*s`", p == choices ? "" : ", ", (int)n, p);
        p += n;
        p += strspn(p, " ");
    }
    mw_buf_putc(b, '.');
}

static void write_key(struct mw_buf *b, const struct gw_key *k)
{
    mw_buf_printf(b, "| `%s`", k->name);
    if (k->secret)
        mw_buf_printf(b, "<br>`%s_file`", k->name);
    mw_buf_printf(b, " | %s | ", type_name(k));
    if (k->required)
        mw_buf_puts(b, "needed");
    else if (k->fallback_doc)
        write_cell(b, k->fallback_doc);
    else if (k->fallback)
        mw_buf_printf(b, "`%s`", k->fallback);
    else
        mw_buf_puts(b, "none");
    mw_buf_puts(b, " | ");
    if (k->only)
        mw_buf_printf(b, "(Types: %s.) ", k->only);
    write_cell(b, k->doc);
    if (k->choices && strchr(k->choices, ' '))
        write_choices(b, k->choices);
    mw_buf_puts(b, " Example: `");
    write_cell(b, k->example);
    mw_buf_puts(b, "` |\n");
}

static void write_section(struct mw_buf *b, const char *path, const struct gw_section *s)
{
    mw_buf_printf(b, "\n## `%s`\n\n%s\n\n| key | type | default | |\n| --- | --- | --- | --- |\n",
                  path, s->doc);
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

int docs_config(struct mw_buf *b)
{
    mw_buf_puts(
        b,
        "# Configuration\n\n"
        "<!-- Made from the table in src/gateway/config_schema.c: script/check-docs --write -->\n\n"
        "One YAML file: what `--config` names, else `$MATTERWIRE_CONFIG`, else "
        "`$XDG_CONFIG_HOME/matterwire/config.yaml`\n(`~/.config/matterwire/config.yaml`), else "
        "`/etc/matterwire/config.yaml`.\n"
        "`matterwire check` finds all mistakes in it at once; `matterwire reload` puts a changed "
        "file into force.\n\n"
        "```yaml\n"
        "bots:\n"
        "  - name: support\n"
        "    endpoint: https://mattermost.example.com\n"
        "    bot_token: $MATTERMOST_BOT_TOKEN\n"
        "    channels: [town-square, ops/alerts]\n"
        "    allowed_users: [\"@alice\", \"@bob\"]\n"
        "    handler: deploy\n"
        "handlers:\n"
        "  deploy:\n"
        "    type: command\n"
        "    command: [./deploy.sh]\n"
        "    timeout: 10m\n"
        "    env_inherit: [SSH_AUTH_SOCK]\n"
        "daemon:\n"
        "  log_level: info\n"
        "```\n\n"
        "## Rules for values\n\n"
        "- `$NAME` and `${NAME}` in any value are taken from the environment; a variable that is "
        "not set is an error. `$$` is\n  a dollar sign.\n"
        "- Every secret `x` has a twin `x_file`, which names a file that holds nothing but the "
        "secret. Others must not be able\n  to read that file, nor its group to change it, or "
        "it is refused: `chmod 600`. Files below `/run/secrets` and\n  "
        "`$CREDENTIALS_DIRECTORY` are exempt, because their runtimes decide the mode.\n"
        "- Relative paths begin at the folder of the configuration file; `~/` is the home "
        "folder.\n"
        "- A duration is a number with `ms`, `s`, `m`, `h` or `d`; a bare number is seconds.\n"
        "- A list of names may be a single one: `allowed_users: \"*\"`.\n"
        "- Values that begin with `@` or `*` need quotes; that is YAML's rule.\n"
        "- Anchors, aliases and `<<` work, so that bots can share what they have in common.\n");
    for (size_t i = 0; i < gw_config_schema.n; i++)
        write_section(b, gw_config_schema.keys[i].name, gw_config_schema.keys[i].section);
    return mw_buf_error(b);
}

int docs_events(struct mw_buf *b)
{
    static const char *const types[] = {
        [MW_FIELD_INT] = "integer", [MW_FIELD_KIND] = "string", [MW_FIELD_TEXT] = "string",
        [MW_FIELD_JSON] = "JSON",   [MW_FIELD_FLAG] = "true",
    };
    size_t n;
    const struct mw_event_field *fields = mw_event_fields(&n);

    mw_buf_puts(b,
                "# Events\n\n"
                "<!-- Made from the tables in src/store/event.c: script/check-docs --write -->\n\n"
                "An event is what a bot saw, in one form everywhere: `matterwire stream`, "
                "`matterwire history`, the JSON-RPC methods\nof these names, and a handler's "
                "standard input. It is one JSON object; members that are empty are left out.\n"
                "Ignore members and kinds that you do not know: there will be more.\n\n"
                "```json\n"
                "{\"id\":42,\"kind\":\"post\",\"bot\":\"support\",\"at\":1795258800000,"
                "\"received_at\":1795258800045,\n"
                " \"post_id\":\"a1b2c3d4e5f6g7h8i9j0klmnop\",\"channel_id\":"
                "\"b1b2c3d4e5f6g7h8i9j0klmnop\",\"channel_name\":\"town-square\",\n"
                " \"channel_type\":\"O\",\"team_id\":\"c1b2c3d4e5f6g7h8i9j0klmnop\",\"team_name\":"
                "\"engineering\",\n"
                " \"user_id\":\"d1b2c3d4e5f6g7h8i9j0klmnop\",\"user_name\":\"alice\",\"text\":"
                "\"@support deploy\",\"mention\":true}\n"
                "```\n\n"
                "## Members\n\n| member | type | |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < n; i++) {
        mw_buf_printf(b, "| `%s` | %s | ", fields[i].name, types[fields[i].type]);
        write_cell(b, fields[i].doc);
        mw_buf_puts(b, " |\n");
    }
    mw_buf_puts(b, "\n## Kinds\n\n| kind | |\n| --- | --- |\n");
    for (int k = 1; mw_event_kind_doc(k); k++)
        mw_buf_printf(b, "| `%s` | %s |\n", mw_event_kind_name(k), mw_event_kind_doc(k));
    mw_buf_puts(b, "\n## Variables of a command handler\n\n"
                   "A handler of type `command` gets the event on its standard input, and its most "
                   "used members as variables. One\nthat is empty is not set; DIRECT and MENTION "
                   "are 1 or 0.\n\n```\n");
    for (size_t i = 0; gw_command_variable(i); i++)
        mw_buf_printf(b, "%s\n", gw_command_variable(i));
    mw_buf_puts(b, "```\n");
    return mw_buf_error(b);
}

static void write_options(struct mw_buf *b, const struct mw_option *table)
{
    mw_buf_puts(b, "\n| option | |\n| --- | --- |\n");
    for (const struct mw_option *o = table; o->name; o++) {
        mw_buf_puts(b, "| `");
        mw_option_write_names(b, o);
        mw_buf_puts(b, "` | ");
        write_cell(b, o->help);
        if (o->choices)
            write_choices(b, o->choices);
        mw_buf_puts(b, " |\n");
    }
}

int docs_commands(struct mw_buf *b)
{
    mw_buf_puts(
        b, "# Commands\n\n"
           "<!-- Made from the table in src/cli/verbs.c: script/check-docs --write -->\n\n"
           "`matterwire VERB` drives the bots of a running `matterwired`. On a terminal it prints "
           "tables, elsewhere JSON\n(`--json` does so anywhere). `NO_COLOR` switches colour off. "
           "Options may stand before or behind the verb.\n\n"
           "| exit status | |\n| --- | --- |\n"
           "| 0 | done |\n"
           "| 1 | the operation failed; the sentence on standard error says why |\n"
           "| 2 | wrong usage or configuration |\n"
           "| 3 | the daemon cannot be reached |\n\n"
           "Options of all verbs:\n");
    write_options(b, cli_common_options);
    for (size_t i = 0; i < cli_verb_count(); i++) {
        const struct cli_verb *v = cli_verb_at(i);

        if (v->hidden)
            continue;
        mw_buf_printf(b, "\n## `matterwire %s%s%s`\n\n%s\n", v->name, v->args ? " " : "",
                      v->args ? v->args : "", v->doc);
        if (v->options)
            write_options(b, v->options);
        if (v->examples)
            mw_buf_printf(b, "\n```sh\n%s```\n", v->examples);
    }
    return mw_buf_error(b);
}
