#include "gateway/metrics.h"

#include <math.h>
#include <stdio.h>

#include "base/str.h"

#define PREFIX "matterwire_"

enum type { GAUGE, COUNTER, INFO };

enum how {
    NUMBER,
    MILLISECONDS, /* given in seconds */
    IS,           /* 1 when the text is `value`, else 0 */
    THERE,        /* 1 when there is such a member, else 0 */
    MEMBERS,      /* an object of numbers: a sample each, `label` is the member's name */
    TEXT,         /* of INFO: the label's value */
};

struct metric {
    const char *name; /* without PREFIX and the suffix of its type */
    enum type type;
    const char *unit; /* also the end of the name; NULL = none */
    const char *help;
    const char *each; /* list in the tree: a sample for each item; NULL = the tree itself */
    const char *path; /* of the member, "outbox.sent" */
    enum how how;
    const char *value;               /* of IS */
    const char *label, *label_value; /* one more label; NULL = none */
};

/* The label that names an item of a list. */
static const struct {
    const char *each, *label, *member;
} lists[] = {
    {"bots", "bot", "name"},
    {"servers", "server", "endpoint"},
    {"handlers", "handler", "name"},
    {"consumers", "consumer", "name"},
};

#define ROW(name_, type_, unit_, help_, each_, path_, ...)                                         \
    {                                                                                              \
        .name = (name_), .type = (type_), .unit = (unit_), .help = (help_), .each = (each_),       \
        .path = (path_), ##__VA_ARGS__                                                             \
    }

/* Rows with the same name stand together; the first one documents them. */
static const struct metric metrics[] = {
    ROW("build", INFO, NULL, "Version of the daemon.", NULL, "version", .how = TEXT,
        .label = "version"),
    ROW("uptime_seconds", GAUGE, "seconds", "Time since the daemon started.", NULL, "uptime_ms",
        .how = MILLISECONDS),

    ROW("store_stalled", GAUGE, NULL, "1 while the database cannot be written.", NULL,
        "store.state", .how = IS, .value = "stalled"),
    ROW("store_background_trouble", GAUGE, NULL,
        "1 while search index, retention or checkpoints do not get on.", NULL,
        "store.background_trouble", .how = THERE),
    ROW("store_queue_bytes", GAUGE, "bytes", "What waits to be written.", NULL,
        "store.queued_bytes"),
    ROW("store_queue_transactions", GAUGE, NULL, "Transactions that wait to be written.", NULL,
        "store.queued_transactions"),
    ROW("store_file_bytes", GAUGE, "bytes", "Size of the database with its write-ahead log.", NULL,
        "store.file_bytes"),
    ROW("store_commits", COUNTER, NULL, "Group commits.", NULL, "store.commits"),
    ROW("store_events", COUNTER, NULL, "Events written to the journal.", NULL,
        "store.events_written"),
    ROW("store_duplicates", COUNTER, NULL, "Events that the journal had already.", NULL,
        "store.events_duplicate"),
    ROW("store_last_event", GAUGE, NULL, "Id of the newest event.", NULL, "store.last_event_id"),
    ROW("store_indexed_event", GAUGE, NULL, "Id up to which the search index is made.", NULL,
        "store.indexed_id"),
    ROW("store_pruned_events", COUNTER, NULL, "Events that retention deleted.", NULL,
        "store.pruned_events"),

    ROW("bot_online", GAUGE, NULL, "1 while the bot is connected and has caught up.", "bots",
        "state", .how = IS, .value = "online"),
    ROW("bot_connects", COUNTER, NULL, "Connections that were made.", "bots", "session.connects"),
    ROW("bot_resumes", COUNTER, NULL, "Connections that went on where the last one ended.", "bots",
        "session.resumes"),
    ROW("bot_sequence_gaps", COUNTER, NULL, "Gaps in the server's numbering, each caught up.",
        "bots", "session.sequence_gaps"),
    ROW("bot_catch_ups", COUNTER, NULL, "Completed catch-ups.", "bots", "session.catch_ups"),
    ROW("bot_events", COUNTER, NULL, "Events that were received.", "bots", "session.events"),
    ROW("bot_channels", GAUGE, NULL, "Channels that the bot is a member of.", "bots",
        "session.member_of"),
    ROW("bot_skipped_channels", GAUGE, NULL, "Channels that the server refused to tell about.",
        "bots", "session.skipped_channels"),
    ROW("bot_decisions", COUNTER, NULL, "What was decided about events, by outcome.", "bots",
        "decisions", .how = MEMBERS, .label = "decision"),

    ROW("tasks", GAUGE, NULL,
        "Events on their way through a handler: pending, or failed and set aside.", "bots",
        "tasks.pending", .label = "state", .label_value = "pending"),
    ROW("tasks", GAUGE, NULL, NULL, "bots", "tasks.failed", .label = "state",
        .label_value = "failed"),
    ROW("tasks_running", GAUGE, NULL, "Events that a handler works on.", "bots", "tasks.running"),

    ROW("outbox_messages", GAUGE, NULL,
        "Messages to be sent: pending, sending (begun, outcome not known), or failed and given up.",
        "bots", "outbox.pending", .label = "state", .label_value = "pending"),
    ROW("outbox_messages", GAUGE, NULL, NULL, "bots", "outbox.sending", .label = "state",
        .label_value = "sending"),
    ROW("outbox_messages", GAUGE, NULL, NULL, "bots", "outbox.failed", .label = "state",
        .label_value = "failed"),
    ROW("outbox_overdue", GAUGE, NULL, "Messages that wait for longer than `report_after`.", "bots",
        "outbox.overdue"),
    ROW("outbox_sent", COUNTER, NULL, "Messages that were sent.", "bots", "outbox.sent"),
    ROW("outbox_found", COUNTER, NULL,
        "Messages of an unclear try that were found on the server, and not sent again.", "bots",
        "outbox.found"),
    ROW("outbox_retries", COUNTER, NULL, "Tries that have to be made again.", "bots",
        "outbox.retries"),

    ROW("server_rate_limit", GAUGE, NULL, "Calls that the server takes at once; absent = no limit.",
        "servers", "rate_limit"),
    ROW("server_rate_remaining", GAUGE, NULL, "Calls that are left, as the server said last.",
        "servers", "rate_remaining"),
    ROW("server_rate_limited", COUNTER, NULL, "Calls that the server refused for its limit (429).",
        "servers", "rate_limited"),
    ROW("server_held", GAUGE, NULL, "1 while no call is made because of a 429.", "servers",
        "held_until", .how = THERE),
    ROW("server_calls_waiting", GAUGE, NULL, "Calls that wait for their turn, by class.", "servers",
        "waiting", .how = MEMBERS, .label = "class"),
    ROW("server_calls_in_flight", GAUGE, NULL, "Calls under way.", "servers", "in_flight"),

    ROW("handler_running", GAUGE, NULL, "Runs under way.", "handlers", "running"),
    ROW("handler_waiting", GAUGE, NULL, "Conversations that wait for a free place.", "handlers",
        "waiting"),
    ROW("handler_runs", COUNTER, NULL, "Runs that ended, by how.", "handlers", "answered",
        .label = "end", .label_value = "answered"),
    ROW("handler_runs", COUNTER, NULL, NULL, "handlers", "empty", .label = "end",
        .label_value = "empty"),
    ROW("handler_runs", COUNTER, NULL, NULL, "handlers", "failed", .label = "end",
        .label_value = "failed"),
    ROW("handler_runs", COUNTER, NULL, NULL, "handlers", "timeout", .label = "end",
        .label_value = "timeout"),
    ROW("handler_runs", COUNTER, NULL, NULL, "handlers", "canceled", .label = "end",
        .label_value = "canceled"),

    ROW("consumer_lag", GAUGE, NULL, "How far a consumer is behind the journal, in event ids.",
        "consumers", "lag"),

    ROW("files", GAUGE, NULL, "Files that were fetched for handlers and are kept.", NULL,
        "files.files"),
    ROW("files_bytes", GAUGE, "bytes", "Their size.", NULL, "files.bytes"),
    ROW("files_failed", COUNTER, NULL, "Files that could not be fetched.", NULL, "files.failed"),
};

static const char *const type_names[] = {[GAUGE] = "gauge", [COUNTER] = "counter", [INFO] = "info"};
static const char *const suffixes[] = {[GAUGE] = "", [COUNTER] = "_total", [INFO] = "_info"};

/* ---- Reading ---- */

static const cJSON *at(const cJSON *o, const char *path)
{
    char name[64];

    while (o && *path) {
        size_t n = strcspn(path, ".");

        snprintf(name, sizeof(name), "%.*s", (int)n, path);
        o = mw_json_get(o, name);
        path += n + (path[n] == '.');
    }
    return o;
}

static void write_label(struct mw_buf *b, const char *name, const char *value, bool first)
{
    mw_buf_printf(b, "%s%s=\"", first ? "" : ",", name);
    for (; *value; value++) {
        if (*value == '\n') {
            mw_buf_puts(b, "\\n");
            continue;
        }
        if (*value == '\\' || *value == '"')
            mw_buf_putc(b, '\\');
        mw_buf_putc(b, *value);
    }
    mw_buf_putc(b, '"');
}

static void write_sample(struct mw_buf *b, const struct metric *m, const char *item_label,
                         const char *item, const char *label_value, double value)
{
    bool second = m->label && label_value;

    mw_buf_printf(b, PREFIX "%s%s", m->name, suffixes[m->type]);
    if (item || second) {
        mw_buf_putc(b, '{');
        if (item)
            write_label(b, item_label, item, true);
        if (second)
            write_label(b, m->label, label_value, !item);
        mw_buf_putc(b, '}');
    }
    if (value == floor(value) && fabs(value) < 1e15)
        mw_buf_printf(b, " %lld\n", (long long)value);
    else
        mw_buf_printf(b, " %.3f\n", value);
}

/* The samples of one object. */
static void write_object(struct mw_buf *b, const struct metric *m, const cJSON *o,
                         const char *item_label, const char *item)
{
    const cJSON *v = at(o, m->path), *member;

    switch (m->how) {
    case NUMBER:
    case MILLISECONDS:
        if (cJSON_IsNumber(v))
            write_sample(b, m, item_label, item, m->label_value,
                         m->how == NUMBER ? v->valuedouble : v->valuedouble / 1000);
        break;
    case IS:
        if (cJSON_IsString(v))
            write_sample(b, m, item_label, item, m->label_value,
                         mw_streq(v->valuestring, m->value));
        break;
    case THERE:
        write_sample(b, m, item_label, item, m->label_value, v != NULL);
        break;
    case MEMBERS:
        cJSON_ArrayForEach(member, v)
        {
            if (cJSON_IsNumber(member))
                write_sample(b, m, item_label, item, member->string, member->valuedouble);
        }
        break;
    case TEXT:
        if (cJSON_IsString(v))
            write_sample(b, m, item_label, item, v->valuestring, 1);
        break;
    }
}

static void write_head(struct mw_buf *b, const struct metric *m)
{
    mw_buf_printf(b, "# TYPE " PREFIX "%s %s\n", m->name, type_names[m->type]);
    if (m->unit)
        mw_buf_printf(b, "# UNIT " PREFIX "%s %s\n", m->name, m->unit);
    mw_buf_printf(b, "# HELP " PREFIX "%s %s\n", m->name, m->help);
}

static size_t list_of(const struct metric *m)
{
    size_t i = 0;

    while (!mw_streq(lists[i].each, m->each))
        i++;
    return i;
}

static void write_metric(struct mw_buf *b, const struct metric *m, const cJSON *status)
{
    const cJSON *item;
    size_t i;

    if (m->help)
        write_head(b, m);
    if (!m->each) {
        write_object(b, m, status, NULL, NULL);
        return;
    }
    i = list_of(m);
    cJSON_ArrayForEach(item, mw_json_arr(status, m->each))
    {
        write_object(b, m, item, lists[i].label, mw_json_str_or(item, lists[i].member, ""));
    }
}

int gw_metrics_write(const cJSON *status, struct mw_buf *b)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(metrics); i++)
        write_metric(b, &metrics[i], status);
    mw_buf_puts(b, "# EOF\n");
    return mw_buf_error(b);
}

/* ---- The page ---- */

static void document(struct mw_buf *b, const struct metric *m)
{
    const char *separator = "";

    mw_buf_printf(b, "| `" PREFIX "%s%s` | %s | ", m->name, suffixes[m->type], type_names[m->type]);
    if (m->each) {
        mw_buf_printf(b, "`%s`", lists[list_of(m)].label);
        separator = ", ";
    }
    if (m->label)
        mw_buf_printf(b, "%s`%s`", separator, m->label);
    mw_buf_printf(b, " | %s |\n", m->help);
}

int gw_metrics_document(struct mw_buf *b)
{
    mw_buf_puts(
        b, "# Metrics\n\n"
           "<!-- Made from the table in src/gateway/metrics.c: script/check-docs --write -->\n\n"
           "`matterwire metrics` prints what the daemon counts, as "
           "[OpenMetrics](https://openmetrics.io) text; the method `metrics`\n"
           "([rpc.md](rpc.md)) gives the same. All of it is also in `matterwire status --json`.\n\n"
           "Counters count from the daemon's start. Worth an alert: `matterwire_bot_online` 0 for "
           "minutes, `matterwire_store_stalled` 1,\nand `matterwire_tasks{state=\"failed\"}`, "
           "`matterwire_outbox_messages{state=\"failed\"}` or `matterwire_outbox_overdue` above "
           "0;\nwhat to do about these is told by `matterwire events --dead` and `matterwire "
           "outbox` ([commands.md](commands.md)).\n\n"
           "| metric | type | labels | |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < MW_ARRAY_LEN(metrics); i++) {
        if (metrics[i].help)
            document(b, &metrics[i]);
    }
    return mw_buf_error(b);
}
