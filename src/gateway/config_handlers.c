/* The schema of `handlers`: one row a key; `only` tells with which types it goes. */
#include <ctype.h>

#include "base/json.h"
#include "base/str.h"
#include "gateway/config_internal.h"
#include "io/url.h"

#define PROGRAMS "command process acp"

static bool is_word_of(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");

        if (n == len && !strncmp(p, word, n))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* A program with a slash in its name is relative to the folder of the file. */
static void absolute_program(struct gw_binder *b, struct gw_strings *command)
{
    char *path;

    if (!command->n || !strchr(command->items[0], '/'))
        return;
    path = gw_absolute_path(b, command->items[0]);
    if (!path)
        return;
    free(command->items[0]);
    command->items[0] = path;
}

static void check_tool(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_tool_config *t = target;
    MW_AUTOJSON *schema = NULL;
    bool good = t->name && t->name[0] && strlen(t->name) <= 64;

    for (const char *p = t->name; good && *p; p++)
        good = isalnum((unsigned char)*p) || *p == '_' || *p == '-';
    if (t->name && !good)
        gw_problem_add(b, b->section,
                       "\"%s\" cannot be the name of a tool: use up to 64 letters, digits, hyphens "
                       "and underscores",
                       t->name);
    if (t->parameters && (mw_json_parse(t->parameters, strlen(t->parameters), &schema, NULL) ||
                          !cJSON_IsObject(schema)))
        gw_problem_add(b, b->section,
                       "`parameters` of a tool must be a JSON Schema, written as one JSON object "
                       "in quotes or in a block (`parameters: |`)");
    absolute_program(b, &t->command);
}

static const struct gw_key tool_keys[] = {
    GW_KEY(gw_tool_config, name, GW_KEY_TEXT, .required = true,
           .doc = "What the model calls it: letters, digits, hyphens, underscores.",
           .example = "weather"),
    GW_KEY(gw_tool_config, description, GW_KEY_TEXT, .required = true,
           .doc = "For the model: what it does and when to use it.",
           .example = "Weather of a town, now"),
    GW_KEY(gw_tool_config, parameters, GW_KEY_TEXT, .fallback_doc = "none", .verbatim = true,
           .doc = "JSON Schema of its arguments, as one JSON object.",
           .example = "'{\"type\":\"object\",\"properties\":{\"town\":{\"type\":\"string\"}}}'"),
    GW_KEY(gw_tool_config, command, GW_KEY_LIST, .required = true, .verbatim = true,
           .doc = "Program and arguments. It gets the arguments of the call as JSON on standard "
                  "input; what it prints is the result. Environment and folder are the handler's.",
           .example = "[./weather.sh]"),
    GW_KEY_MS(gw_tool_config, timeout, .fallback = "30s", .min = 100, .max = 3600000,
              .doc = "Time limit of one call.", .example = "10s"),
};

static const struct gw_section tool_section = {
    .name = "tool",
    .doc = "A program that the model may call.",
    .keys = tool_keys,
    .n = MW_ARRAY_LEN(tool_keys),
    .size = sizeof(struct gw_tool_config),
    .check = check_tool,
};

static void check_mcp_server(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_mcp_server_config *m = target;

    if (!m->command.n == !m->url)
        gw_problem_add(b, b->section, "an MCP server needs either a `command` or a `url`");
    absolute_program(b, &m->command);
}

static const struct gw_key mcp_server_keys[] = {
    GW_KEY(gw_mcp_server_config, name, GW_KEY_TEXT, .required = true,
           .doc = "What the agent calls it.", .example = "wiki"),
    GW_KEY(gw_mcp_server_config, command, GW_KEY_LIST, .verbatim = true,
           .doc = "Program and arguments, which the agent starts.", .example = "[wiki-mcp]"),
    GW_KEY(gw_mcp_server_config, env, GW_KEY_ENV, .doc = "Variables for that program.",
           .example = "{ WIKI_TOKEN: $WIKI_TOKEN }"),
    GW_KEY(gw_mcp_server_config, url, GW_KEY_URL, .doc = "Address of a server that runs already.",
           .example = "http://127.0.0.1:9000/mcp"),
    GW_KEY(gw_mcp_server_config, headers, GW_KEY_ENV, .doc = "Headers to send to it.",
           .example = "{ Authorization: \"Bearer $WIKI_TOKEN\" }"),
};

static const struct gw_section mcp_server_section = {
    .name = "MCP server",
    .doc = "A tool server that is handed to the agent.",
    .keys = mcp_server_keys,
    .n = MW_ARRAY_LEN(mcp_server_keys),
    .size = sizeof(struct gw_mcp_server_config),
    .check = check_mcp_server,
};

/* What a type cannot do without. */
static const struct {
    const char *type, *key;
} needed[] = {
    {"command", "command"}, {"process", "command"}, {"acp", "command"}, {"chat", "url"},
    {"chat", "model"},      {"http", "url"},        {"lua", "script"},
};

static void check_types(struct gw_binder *b, const struct gw_slot *slots, const char *type)
{
    for (size_t i = 0; i < gw_handler_section.n; i++) {
        const struct gw_key *key = &gw_handler_section.keys[i];

        if (slots[i].present && key->only && !is_word_of(key->only, type))
            gw_problem_add(b, slots[i].key, "a handler of type %s has no `%s`; it goes with: %s",
                           type, key->name, key->only);
    }
    for (size_t i = 0; i < MW_ARRAY_LEN(needed); i++) {
        const struct gw_slot *slot = gw_slot_of(&gw_handler_section, slots, needed[i].key);

        if (mw_streq(needed[i].type, type) && !slot->present && !slot->misspelt)
            gw_problem_add(b, b->section, "a handler of type %s needs `%s`", type, needed[i].key);
    }
}

/* "host" or "host:port", as in an address. */
static void check_http_hosts(struct gw_binder *b, const struct gw_slot *slots,
                             const struct gw_strings *hosts)
{
    const struct gw_slot *slot = gw_slot_of(&gw_handler_section, slots, "http_hosts");

    for (size_t i = 0; i < hosts->n; i++) {
        MW_AUTOFREE char *text = mw_asprintf("http://%s", hosts->items[i]);
        struct mw_url url = {0};
        int r = text ? mw_url_parse(text, 0, &url) : -ENOMEM;
        bool good = !r && !strpbrk(hosts->items[i], "/?#@*") && (!url.port_given || url.port);

        mw_url_deinit(&url);
        if (r == -ENOMEM)
            b->error = r;
        else if (!good)
            gw_problem_add(b, gw_item_mark(slot, i),
                           "http_hosts takes hosts, as \"example.com\" or \"example.com:8080\", "
                           "not \"%s\"",
                           hosts->items[i]);
    }
}

static void check_handler(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_handler_config *h = target;
    const struct gw_slot *command = gw_slot_of(&gw_handler_section, slots, "command");

    gw_check_name(b, b->section, "handler", h->name);
    if (h->type)
        check_types(b, slots, h->type);
    if (command->node && fy_node_is_sequence(command->node) && !h->command.n)
        gw_problem_add(b, command->key, "`command` is empty");
    absolute_program(b, &h->command);
    if (!h->workdir)
        h->workdir = gw_absolute_path(b, ".");
    check_http_hosts(b, slots, &h->http_hosts);
    for (size_t i = 0; i < h->env_inherit.n; i++) {
        const char *name = h->env_inherit.items[i];

        if (strchr(name, '='))
            gw_problem_add(b,
                           gw_item_mark(gw_slot_of(&gw_handler_section, slots, "env_inherit"), i),
                           "env_inherit takes names of variables, not \"%s\"", name);
    }
}

static const struct gw_key handler_keys[] = {
    GW_KEY(gw_handler_config, type, GW_KEY_TEXT, .required = true,
           .choices = "command process acp chat http lua",
           .doc = "The way of answering. `command` runs a program for each event, `process` talks "
                  "to one that runs on, `acp` to an agent of the Agent Client Protocol, `chat` to "
                  "a language model behind an OpenAI-compatible address, `http` to any web "
                  "service, and `lua` runs a small script inside the daemon.",
           .example = "command"),
    GW_KEY(gw_handler_config, command, GW_KEY_LIST, .verbatim = true, .only = PROGRAMS,
           .doc = "Program and arguments. There is no shell in between. A program with a slash in "
                  "its name is looked up relative to the config file, any other one in `PATH`. "
                  "What it gets and gives depends on the type; see docs/handlers. `$NAME` is not "
                  "replaced here, so that a shell's own variables can be used: everybody on the "
                  "machine could read a secret in it. Use `env` for that.",
           .example = "[./deploy.sh, --quiet]"),
    GW_KEY_MS(gw_handler_config, timeout, .fallback = "120s", .min = 100, .max = 86400000,
              .doc = "Time limit of one answer; then the handler is told to stop (a command's "
                     "whole process group is killed).",
              .example = "10m"),
    GW_KEY(gw_handler_config, env, GW_KEY_ENV, .only = PROGRAMS " chat",
           .doc = "Variables for the program (of type `chat`: for its tools), a mapping from names "
                  "to values.",
           .example = "{ DEPLOY_TARGET: staging, API_KEY: $API_KEY }"),
    GW_KEY(gw_handler_config, env_inherit, GW_KEY_WORDS, .fallback_doc = "none",
           .only = PROGRAMS " chat",
           .doc = "Names of variables that the program inherits from the daemon. `PATH` is passed "
                  "on anyway, and no other one.",
           .example = "[SSH_AUTH_SOCK]"),
    GW_KEY(gw_handler_config, workdir, GW_KEY_PATH, .fallback_doc = "folder of the config file",
           .only = PROGRAMS " chat lua",
           .doc = "Folder that the program runs in. Files of an answer must be in it.",
           .example = "/srv/deploy"),
    GW_KEY(gw_handler_config, concurrency, GW_KEY_COUNT, .fallback = "4", .min = 1, .max = 1000,
           .doc = "How many answers may be under way at once. One conversation's messages are "
                  "answered one after the other in any case.",
           .example = "1"),
    GW_KEY(gw_handler_config, attempts, GW_KEY_COUNT, .fallback = "1", .min = 1, .max = 10,
           .doc = "How often an event is given to the handler when a run fails or takes too long. "
                  "The wait between two attempts grows from a second to five minutes, and the "
                  "conversation waits with it. After the last one the event is set aside: see "
                  "`matterwire events --dead`.",
           .example = "3"),
    GW_KEY(gw_handler_config, output, GW_KEY_CHOICE, .fallback = "markdown",
           .choices = "markdown json", .only = "command",
           .doc = "What the program prints: Markdown, or one JSON object with text, cards, files "
                  "and more (docs/answers.md).",
           .example = "json"),

    GW_KEY(gw_handler_config, url, GW_KEY_URL, .only = "chat http",
           .doc = "Type `http`: where events are sent. Type `chat`: the address before "
                  "`/chat/completions`.",
           .example = "http://127.0.0.1:11434/v1"),
    GW_KEY(gw_handler_config, format, GW_KEY_CHOICE, .fallback = "event",
           .choices = "event outgoing-webhook", .only = "http",
           .doc = "What is sent: the event as JSON (docs/events.md), or the form fields of "
                  "Mattermost's outgoing webhooks.",
           .example = "outgoing-webhook"),
    GW_KEY(gw_handler_config, secret, GW_KEY_TEXT, .secret = true, .only = "http",
           .doc = "Signs what is sent (HMAC-SHA256 over time and body). With "
                  "`format: outgoing-webhook` it is the field `token` instead.",
           .example = "$DESK_SECRET"),
    GW_KEY(gw_handler_config, api_key, GW_KEY_TEXT, .secret = true, .only = "chat",
           .doc = "Sent as a bearer token.", .example = "$LLM_API_KEY"),
    GW_KEY(gw_handler_config, headers, GW_KEY_ENV, .only = "chat http",
           .doc = "More headers to send.", .example = "{ X-Team: support }"),
    GW_KEY(gw_handler_config, tls, GW_KEY_SECTION, .section = &gw_tls_section,
           .only = "chat http lua", .doc = "TLS options, as for a bot.",
           .example = "{ ca_file: company-ca.pem }"),
    GW_KEY(gw_handler_config, proxy, GW_KEY_TEXT, .only = "chat http lua", .doc = "HTTP proxy.",
           .example = "http://proxy.example.com:3128"),

    GW_KEY(gw_handler_config, model, GW_KEY_TEXT, .only = "chat", .doc = "Name of the model.",
           .example = "llama3.1"),
    GW_KEY(gw_handler_config, system, GW_KEY_TEXT, .only = "chat",
           .doc = "What the model is told first.",
           .example = "You help the support team. Be brief."),
    GW_KEY(gw_handler_config, history_tokens, GW_KEY_COUNT, .fallback = "4000", .max = 1000000,
           .only = "chat",
           .doc = "How much of the thread the model is shown, newest first (a token is counted as "
                  "four bytes). 0: nothing.",
           .example = "8000"),
    GW_KEY(gw_handler_config, max_tokens, GW_KEY_COUNT, .fallback_doc = "the server's",
           .max = 1000000, .only = "chat", .doc = "Limit of an answer.", .example = "1000"),
    GW_KEY(gw_handler_config, tools, GW_KEY_ITEMS, .only = "chat",
           .count_offset = offsetof(struct gw_handler_config, n_tools), .section = &tool_section,
           .doc = "Programs that the model may call.", .example = "[]"),

    GW_KEY(gw_handler_config, mcp_servers, GW_KEY_ITEMS, .only = "acp",
           .count_offset = offsetof(struct gw_handler_config, n_mcp_servers),
           .section = &mcp_server_section, .doc = "MCP servers that are handed to the agent.",
           .example = "[]"),
    GW_KEY(gw_handler_config, approval, GW_KEY_CHOICE, .fallback = "ask",
           .choices = "ask reject approve", .only = "acp",
           .doc = "What happens when the agent asks for permission: people are asked in the thread "
                  "(who may trigger the agent may decide), or everything is rejected, or "
                  "everything is approved.",
           .example = "reject"),
    GW_KEY_MS(gw_handler_config, approval_timeout, .fallback = "10m", .min = 1000, .max = 86400000,
              .only = "acp", .doc = "Nobody decided for so long: rejected.", .example = "1h"),

    GW_KEY(gw_handler_config, script, GW_KEY_PATH, .must_read = true, .only = "lua",
           .doc = "The script. It is read again when it changes.", .example = "./greeter.lua"),
    GW_KEY(gw_handler_config, memory_mb, GW_KEY_COUNT, .fallback = "32", .min = 1, .max = 4096,
           .only = "lua", .doc = "Memory limit of the script, in MiB.", .example = "64"),
    GW_KEY(gw_handler_config, http_hosts, GW_KEY_WORDS, .fallback_doc = "none", .only = "lua",
           .doc = "Hosts that the script may reach by `http`: a name or address, which stands for "
                  "its ports 80 and 443, or with one port (`wiki:8080`, `\"[::1]:8080\"`). They "
                  "are compared as they are written; there is no wildcard, and no redirect is "
                  "followed.",
           .example = "[api.example.com, \"127.0.0.1:9000\"]"),
};

const struct gw_section gw_handler_section = {
    .name = "handler",
    .doc = "A mapping from names, which bots refer to, to handlers.",
    .keys = handler_keys,
    .n = MW_ARRAY_LEN(handler_keys),
    .size = sizeof(struct gw_handler_config),
    .check = check_handler,
};
