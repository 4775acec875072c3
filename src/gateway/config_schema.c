#include "gateway/config_schema.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/id.h"
#include "base/str.h"
#include "gateway/config_internal.h"

/* ---- Rules that span keys ---- */

const struct gw_slot *gw_slot_of(const struct gw_section *s, const struct gw_slot *slots,
                                 const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->keys[i].name, name) == 0)
            return &slots[i];
    return NULL;
}

void gw_check_name(struct gw_binder *b, struct gw_mark at, const char *what, const char *name)
{
    bool good = name[0] && strlen(name) <= 64 && name[0] != '-' && name[0] != '.';

    for (const char *p = name; *p; p++)
        good = good && (isalnum((unsigned char)*p) || strchr("._-", *p));
    if (!good)
        gw_problem_add(b, at,
                       "\"%s\" cannot be the name of a %s: use up to 64 letters, digits, dots, "
                       "hyphens and underscores",
                       name, what);
}

static const struct gw_section bot_section, daemon_section;

static void check_bot(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_bot_config *bot = target;
    const struct gw_slot *name = gw_slot_of(&bot_section, slots, "name");
    const struct gw_slot *token = gw_slot_of(&bot_section, slots, "bot_token");
    const struct gw_slot *login = gw_slot_of(&bot_section, slots, "login");
    const struct gw_slot *password = gw_slot_of(&bot_section, slots, "password");

    if (bot->name)
        gw_check_name(b, name->value, "bot", bot->name);
    if (token->present && (login->present || password->present))
        gw_problem_add(b, login->present ? login->key : password->key,
                       "a bot signs in either by bot_token or by login and password, not by both");
    else if (login->present && !password->present && !password->misspelt)
        gw_problem_add(b, login->key, "login needs a password (or password_file) beside it");
    else if (password->present && !login->present && !login->misspelt)
        gw_problem_add(b, password->key, "password needs a login beside it");
    else if (!token->present && !login->present && !token->misspelt && !login->misspelt)
        gw_problem_add(b, b->section,
                       "the bot has no bot_token (or bot_token_file, or login and password)");
    gw_check_users(b, gw_slot_of(&bot_section, slots, "allowed_users"), &bot->policy.allowed_users);
    gw_check_users(b, gw_slot_of(&bot_section, slots, "denied_users"), &bot->policy.denied_users);
    gw_routes_complete(b, gw_slot_of(&bot_section, slots, "routes"), bot);
    if (bot->tls.key_file && !bot->tls.cert_file)
        gw_problem_add(b, gw_slot_of(&bot_section, slots, "tls")->key,
                       "tls.key_file needs a tls.cert_file beside it");
}

/* Beside the database. */
static void set_files_folder(struct gw_binder *b, struct gw_daemon_config *d)
{
    const char *slash = d->database ? strrchr(d->database, '/') : NULL;

    if (d->files.folder || !slash)
        return;
    d->files.folder = mw_asprintf("%.*s/files", (int)(slash - d->database), d->database);
    if (!d->files.folder)
        b->error = -ENOMEM;
}

static void check_daemon(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_daemon_config *d = target;
    const struct gw_slot *socket = gw_slot_of(&daemon_section, slots, "socket");
    const struct gw_slot *database = gw_slot_of(&daemon_section, slots, "database");
    char *path = NULL;

    for (size_t i = 0; i < d->attach_roots.n; i++) {
        path = gw_absolute_path(b, d->attach_roots.items[i]);
        if (path) {
            free(d->attach_roots.items[i]);
            d->attach_roots.items[i] = take_ptr(path);
        }
    }
    if (!d->socket && !socket->present && !(d->socket = gw_default_socket()))
        b->error = -ENOMEM;
    if (d->socket && strlen(d->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        gw_problem_add(b, socket->value,
                       "the path of the socket is too long (%zu bytes, the system allows %zu): %s",
                       strlen(d->socket), sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1,
                       d->socket);
    if (!d->database) {
        if (!database->present && !(d->database = gw_default_database()))
            gw_problem_add(b, b->section,
                           "there is no home folder to keep the database in: set daemon.database");
        set_files_folder(b, d);
        return;
    }
    if (mw_starts_with(d->database, "sqlite://"))
        path = gw_absolute_path(b, d->database + strlen("sqlite://"));
    else if (strstr(d->database, "://"))
        gw_problem_add(b, database->value,
                       "this kind of database is not supported: write a path or "
                       "sqlite:///absolute/path");
    else
        path = gw_absolute_path(b, d->database);
    if (path) {
        free(d->database);
        d->database = path;
    }
    set_files_folder(b, d);
}

static struct gw_mark mark_in_item(const struct gw_slot *bots, size_t i, const char *key)
{
    struct fy_node *item = fy_node_sequence_get_by_index(bots->node, (int)i);
    struct fy_node *node = NULL;

    if (item && fy_node_is_alias(item))
        item = fy_node_resolve_alias(item);
    if (item && fy_node_is_mapping(item))
        node = fy_node_mapping_lookup_by_string(item, key, FY_NT);
    return gw_node_mark(node, gw_item_mark(bots, i));
}

/* Where the handler of a route is named: the last one may be the bot's own `handler`. */
static struct gw_mark mark_of_handler(const struct gw_slot *bots, size_t i, size_t route,
                                      const struct gw_bot_config *bot)
{
    struct fy_node *item = fy_node_sequence_get_by_index(bots->node, (int)i);
    struct fy_node *routes = NULL, *node = NULL;

    if (bot->handler && route + 1 == bot->n_routes)
        return mark_in_item(bots, i, "handler");
    if (item && fy_node_is_mapping(item))
        routes = fy_node_mapping_lookup_by_string(item, "routes", FY_NT);
    if (routes && fy_node_is_sequence(routes))
        item = fy_node_sequence_get_by_index(routes, (int)route);
    if (item && fy_node_is_mapping(item))
        node = fy_node_mapping_lookup_by_string(item, "handler", FY_NT);
    return gw_node_mark(node, mark_in_item(bots, i, "routes"));
}

static void unknown_handler(struct gw_binder *b, struct gw_mark at, const struct gw_config *c,
                            const char *name)
{
    struct mw_nearest nearest = {.name = name};

    for (size_t i = 0; i < c->n_handlers; i++)
        mw_nearest_offer(&nearest, c->handlers[i].name);
    if (mw_nearest_get(&nearest))
        gw_problem_add(b, at, "there is no handler \"%s\"; did you mean \"%s\"?", name,
                       mw_nearest_get(&nearest));
    else
        gw_problem_add(b, at, "there is no handler \"%s\" under `handlers`", name);
}

static void check_file(struct gw_binder *b, const struct gw_slot *slots, void *target)
{
    struct gw_config *c = target;
    const struct gw_slot *bots = gw_slot_of(&gw_config_schema, slots, "bots");

    if (bots->node && c->n_bots == 0 && fy_node_is_sequence(bots->node))
        gw_problem_add(b, bots->key, "`bots` is empty: it needs at least one bot");
    for (size_t i = 0; i < c->n_bots; i++) {
        const struct gw_bot_config *bot = &c->bots[i];

        for (size_t j = 0; j < bot->n_routes; j++) {
            const char *name = bot->routes[j].handler;

            if (name && !gw_config_handler(c, name))
                unknown_handler(b, mark_of_handler(bots, i, j, bot), c, name);
        }
        for (size_t j = 0; bot->name && j < i; j++) {
            struct gw_mark first;

            if (!mw_streq(c->bots[j].name, bot->name))
                continue;
            first = mark_in_item(bots, j, "name");
            gw_problem_add(b, mark_in_item(bots, i, "name"),
                           "two bots are called \"%s\" (the other one is on line %u)", bot->name,
                           first.line);
            break;
        }
    }
}

/* ---- The tables ---- */

static const struct gw_key tls_keys[] = {
    GW_KEY(mw_tls_params, ca_file, GW_KEY_PATH, .must_read = true, .fallback_doc = "the system's",
           .doc = "Certificates (PEM) to trust instead of the system's.",
           .example = "/etc/ssl/company-ca.pem"),
    GW_KEY(mw_tls_params, cert_file, GW_KEY_PATH, .must_read = true,
           .doc = "Client certificate chain (PEM), for servers that ask for one.",
           .example = "client.pem"),
    GW_KEY(mw_tls_params, key_file, GW_KEY_PATH, .must_read = true, .private = true,
           .fallback_doc = "in cert_file",
           .doc = "Private key (PEM) of the client certificate. The rules for secret files apply.",
           .example = "client.key"),
    GW_KEY(mw_tls_params, insecure, GW_KEY_BOOL, .fallback = "false",
           .doc = "Accept any certificate. Whoever sits between can then read the token: only for "
                  "trying things out. Every start logs a warning.",
           .example = "true"),
};

const struct gw_section gw_tls_section = {
    .name = "tls",
    .doc = "How a bot checks its server's certificate and shows its own.",
    .keys = tls_keys,
    .n = MW_ARRAY_LEN(tls_keys),
    .size = sizeof(struct mw_tls_params),
};

static const struct gw_key bot_keys[] = {
    GW_KEY(gw_bot_config, name, GW_KEY_TEXT, .required = true,
           .doc =
               "Our name of the bot, for the command line, logs and the journal. Letters, digits, "
               "dots, hyphens, underscores. It need not be its name on the server.",
           .example = "support"),
    GW_KEY(gw_bot_config, type, GW_KEY_TEXT, .fallback = "mattermost", .choices = "mattermost",
           .doc = "The kind of server.", .example = "mattermost"),
    GW_KEY(gw_bot_config, endpoint, GW_KEY_URL, .required = true,
           .doc = "Address of the server. A sub-path and a trailing slash are fine.",
           .example = "https://mattermost.example.com"),
    GW_KEY(gw_bot_config, bot_token, GW_KEY_TEXT, .secret = true,
           .doc = "Token of a bot account, or a personal access token. Either this or `login` and "
                  "`password` is needed.",
           .example = "$MATTERMOST_BOT_TOKEN"),
    GW_KEY(gw_bot_config, login, GW_KEY_TEXT,
           .doc = "User name or e-mail address, to sign in by password instead of a token.",
           .example = "helper@example.com"),
    GW_KEY(gw_bot_config, password, GW_KEY_TEXT, .secret = true,
           .doc = "Password for `login`. The session is renewed when the server ends it.",
           .example = "$MATTERMOST_PASSWORD"),
    GW_KEY(gw_bot_config, team, GW_KEY_TEXT, .fallback_doc = "all teams",
           .doc = "Team (its name in addresses) that channel names without a team are looked up in "
                  "first.",
           .example = "engineering"),
    GW_KEY(gw_bot_config, transport, GW_KEY_CHOICE, .fallback = "websocket",
           .choices = "websocket poll",
           .doc =
               "How events come: over a WebSocket, or by asking again and again where a proxy lets "
               "no WebSocket through.",
           .example = "poll"),
    {.name = "poll_interval",
     .type = GW_KEY_DURATION,
     .offset = offsetof(struct gw_bot_config, poll_interval_ms),
     .fallback = "3s",
     .min = 500,
     .max = 3600000,
     .doc = "How often `transport: poll` asks.",
     .example = "10s"},
    GW_KEY(gw_bot_config, channels, GW_KEY_WORDS, .fallback_doc = "every channel it is in",
           .doc = "Channels that the bot listens to: ids, names, `~names` or `team/name`. Direct "
                  "messages always count. Empty: every channel it is a member of.",
           .example = "[town-square, ops/alerts, a1b2c3d4e5f6g7h8i9j0klmnop]"),
    GW_POLICY_ROWS(gw_bot_config, true),
    GW_KEY(gw_bot_config, handler, GW_KEY_TEXT,
           .doc = "Name of the handler, under `handlers`, that answers what no route of `routes` "
                  "takes. Without handler and routes the bot only journals, and posts what the "
                  "command line tells it to.",
           .example = "deploy"),
    GW_KEY(gw_bot_config, routes, GW_KEY_ITEMS,
           .count_offset = offsetof(struct gw_bot_config, n_routes), .section = &gw_route_section,
           .doc = "Which handler answers what: the first route that fits, see below.",
           .example = "[]"),
    GW_KEY(gw_bot_config, pairing, GW_KEY_BOOL, .fallback = "false",
           .doc = "Somebody unknown who writes a direct message is shown a code; who operates the "
                  "daemon lets that person in by `matterwire pair approve CODE`.",
           .example = "true"),
    GW_KEY(gw_bot_config, control_prefix, GW_KEY_TEXT, .fallback_doc = "none",
           .doc = "What has to stand before the words `stop`, `reset` and `status` for the bot to "
                  "take them as commands.",
           .example = "\"!\""),
    GW_KEY(gw_bot_config, tls, GW_KEY_SECTION, .section = &gw_tls_section,
           .doc = "TLS options, see below.", .example = "{ ca_file: company-ca.pem }"),
    GW_KEY(gw_bot_config, proxy, GW_KEY_TEXT,
           .doc = "HTTP proxy for everything the bot does, `http://[user:password@]host:port`. The "
                  "environment's http_proxy is not read, but `$http_proxy` works here.",
           .example = "http://proxy.example.com:3128"),
    {.name = "timeout",
     .type = GW_KEY_DURATION,
     .offset = offsetof(struct gw_bot_config, timeout_ms),
     .fallback = "30s",
     .min = 1000,
     .max = 600000,
     .doc = "Time limit of one request to the server.",
     .example = "60s"},
    {.name = "report_after",
     .type = GW_KEY_DURATION,
     .offset = offsetof(struct gw_bot_config, report_after_ms),
     .fallback = "24h",
     .min = 1000,
     .max = (int64_t)365 * 86400000,
     .doc = "A message that could not be sent for so long is reported: in the log once, in "
            "`status` and in the metrics as long as it lasts. It is tried on.",
     .example = "1h"},
};

static const struct gw_section bot_section = {
    .name = "bot",
    .doc = "A list. Each item is one account on one server.",
    .keys = bot_keys,
    .n = MW_ARRAY_LEN(bot_keys),
    .size = sizeof(struct gw_bot_config),
    .check = check_bot,
};

#define DAY ((int64_t)24 * 3600 * 1000)

static const struct gw_key retention_keys[] = {
    {.name = "age",
     .type = GW_KEY_DURATION,
     .offset = offsetof(struct gw_retention_config, age_ms),
     .fallback_doc = "for ever",
     .min = DAY / 24,
     .max = 36500 * DAY,
     .doc = "Events that were received that long ago are deleted.",
     .example = "90d"},
    GW_KEY(gw_retention_config, count, GW_KEY_COUNT, .fallback_doc = "all", .min = 1000,
           .max = 1000000000,
           .doc = "Of each bot that many events are kept; the oldest beyond are deleted.",
           .example = "1000000"),
    {.name = "done_age",
     .type = GW_KEY_DURATION,
     .offset = offsetof(struct gw_retention_config, done_age_ms),
     .fallback_doc = "30d",
     .min = DAY / 24,
     .max = 36500 * DAY,
     .doc = "The records of finished work (handler runs, messages that were sent) are deleted "
            "after that time, and with a message its idempotence key.",
     .example = "7d"},
};

static const struct gw_section retention_section = {
    .name = "retention",
    .doc = "How much the journal keeps: everything, unless told otherwise. An event stays in any "
           "case for an hour, and until every named consumer has read it and every answer to it "
           "was sent. Deleting makes room inside the database file, which does not become "
           "smaller.",
    .keys = retention_keys,
    .n = MW_ARRAY_LEN(retention_keys),
    .size = sizeof(struct gw_retention_config),
};

#define MIB ((int64_t)1024 * 1024)

static const struct gw_key files_keys[] = {
    GW_KEY(gw_files_config, download, GW_KEY_CHOICE, .fallback = "none",
           .choices = "none direct mentioned all",
           .doc =
               "For which events the daemon downloads the attached files before it gives them to a "
               "handler: for none, for direct messages, for these and posts that mention the bot, "
               "or for all that a handler gets. The handler finds the paths in the event; where a "
               "file could not be had, the reason.",
           .example = "mentioned"),
    GW_KEY(gw_files_config, folder, GW_KEY_PATH, .fallback_doc = "`files` beside the database",
           .doc =
               "Where they are kept, each content once, under its SHA-256. Made when it is needed, "
               "for the daemon's user only. A change takes a restart.",
           .example = "/var/cache/matterwire"),
    GW_KEY(gw_files_config, quota, GW_KEY_BYTES, .fallback = "1 GiB", .min = MIB,
           .max = (int64_t)1 << 50,
           .doc = "How much the folder may hold. To make room those go that were not used for the "
                  "longest time; never one that an unfinished handler run needs.",
           .example = "10 GiB"),
    GW_KEY(gw_files_config, max_size, GW_KEY_BYTES, .fallback = "100 MiB", .min = 1,
           .max = (int64_t)1 << 50, .doc = "Larger files are not downloaded.", .example = "20 MiB"),
    GW_KEY(gw_files_config, types, GW_KEY_WORDS, .fallback_doc = "every type",
           .doc = "Only files of these types are downloaded: `image/png`, `image/*`, or the end of "
                  "the name, `.pdf`.",
           .example = "[\"image/*\", .pdf]"),
};

static const struct gw_section files_section = {
    .name = "files",
    .doc = "Files that others posted, for handlers. `matterwire download` is not bound by any of "
           "this.",
    .keys = files_keys,
    .n = MW_ARRAY_LEN(files_keys),
    .size = sizeof(struct gw_files_config),
};

static const struct gw_key daemon_keys[] = {
    GW_KEY(gw_daemon_config, socket, GW_KEY_PATH,
           .fallback_doc = "$XDG_RUNTIME_DIR/matterwire.sock",
           .doc = "Unix socket that the command line talks to. Only the daemon's own user and root "
                  "may use it. Without `XDG_RUNTIME_DIR` it is " GW_SYSTEM_SOCKET " for root and "
                  "/tmp/matterwire-UID/matterwire.sock for others.",
           .example = "/run/matterwire/matterwire.sock"),
    GW_KEY(gw_daemon_config, database, GW_KEY_TEXT,
           .fallback_doc = "$XDG_STATE_HOME/matterwire/state.db",
           .doc =
               "The one file with journal and outbox: a path, or `sqlite:///absolute/path`. The "
               "default's folder is made, for its owner only. Without `XDG_STATE_HOME` it is "
               "/var/lib/matterwire/state.db for root and ~/.local/state/matterwire/state.db for "
               "others.",
           .example = "sqlite:///var/lib/matterwire/state.db"),
    GW_KEY(gw_daemon_config, log_level, GW_KEY_CHOICE, .fallback = "info",
           .choices = "error warning info debug", .doc = "How much the daemon logs.",
           .example = "debug"),
    GW_KEY(gw_daemon_config, concurrency, GW_KEY_COUNT, .fallback = "64", .min = 1, .max = 10000,
           .doc = "How many answers may be under way at once, of all bots and handlers.",
           .example = "16"),
    GW_KEY(gw_daemon_config, attach_roots, GW_KEY_WORDS, .fallback_doc = "anywhere",
           .doc =
               "Folders that files may be sent from, by `send --file`, `reply --file` and "
               "`upload`; links are resolved first. Set it where programs that act on what others "
               "write may attach files. Empty: every file that the daemon's user may read, but not "
               "this file and the database; only that user and root can ask for it. The daemon "
               "reads the files, as its own user.",
           .example = "[/srv/reports, ~/outgoing]"),
    GW_KEY(gw_daemon_config, retention, GW_KEY_SECTION, .section = &retention_section,
           .doc = "How much the journal keeps, see below. A change takes a restart.",
           .example = "{ age: 90d }"),
    GW_KEY(gw_daemon_config, files, GW_KEY_SECTION, .section = &files_section,
           .doc = "Files that others posted, see below.", .example = "{ download: mentioned }"),
};

static const struct gw_section daemon_section = {
    .name = "daemon",
    .doc = "The daemon itself.",
    .keys = daemon_keys,
    .n = MW_ARRAY_LEN(daemon_keys),
    .size = sizeof(struct gw_daemon_config),
    .check = check_daemon,
};

static const struct gw_key file_keys[] = {
    GW_KEY(gw_config, bots, GW_KEY_ITEMS, .count_offset = offsetof(struct gw_config, n_bots),
           .required = true, .section = &bot_section, .doc = "Accounts on Mattermost servers.",
           .example = "[]"),
    GW_KEY(gw_config, handlers, GW_KEY_NAMED,
           .count_offset = offsetof(struct gw_config, n_handlers), .section = &gw_handler_section,
           .doc = "Ways of answering.", .example = "{}"),
    GW_KEY(gw_config, groups, GW_KEY_NAMED, .count_offset = offsetof(struct gw_config, n_groups),
           .section = &gw_group_section,
           .doc = "Groups of people, for `allowed_users` and its like.",
           .example = "{ oncall: [\"@alice\", \"@bob\"] }"),
    GW_KEY(gw_config, daemon, GW_KEY_SECTION, .section = &daemon_section,
           .doc = "The daemon itself.", .example = "{ log_level: debug }"),
};

const struct gw_section gw_config_schema = {
    .name = "file",
    .doc = "One YAML file.",
    .keys = file_keys,
    .n = MW_ARRAY_LEN(file_keys),
    .size = sizeof(struct gw_config),
    .check = check_file,
};
