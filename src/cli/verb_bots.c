/* `bots` and `status`. */
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

static enum cli_color state_color(const char *state)
{
    if (strcmp(state, "online") == 0 || strcmp(state, "ok") == 0)
        return CLI_GREEN;
    if (strcmp(state, "unauthorized") == 0 || strcmp(state, "stalled") == 0)
        return CLI_RED;
    return CLI_YELLOW;
}

static void print_trouble(const struct cli *cli, const char *bot, const char *what,
                          const char *sentence)
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    mw_buf_printf(&b, "%s%s%s: ", cli_color(cli, CLI_YELLOW), bot, cli_color(cli, CLI_PLAIN));
    if (what) {
        cli_write_clean(&b, what, false);
        mw_buf_puts(&b, ": ");
    }
    if (cli_write_clean(&b, sentence, false) == 0)
        puts(mw_buf_str(&b));
}

/* What the session had to leave out. */
static void print_skipped(const struct cli *cli, const char *name, const cJSON *session)
{
    static const struct {
        const char *member, *one, *many, *why;
    } rows[] = {
        {"skipped_channels", "channel", "channels", "the server does not let the bot read there"},
        {"skipped_posts", "post or reaction", "posts or reactions",
         "the server's answer was malformed"},
    };
    char count[64];

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        int64_t n = mw_json_i64(session, rows[i].member, 0);
        MW_AUTOFREE char *what = NULL;

        if (n == 0)
            continue;
        what = mw_asprintf("%s left out",
                           cli_count(n, rows[i].one, rows[i].many, count, sizeof(count)));
        print_trouble(cli, name, what, rows[i].why);
    }
}

/* What is wrong with a bot, and which of its names are. */
static void print_troubles(const struct cli *cli, const cJSON *bot)
{
    static const char *const lists[] = {"channels", "allowed_users"};
    const char *name = mw_json_str_or(bot, "name", "?"), *reason = mw_json_str(bot, "reason");
    const cJSON *item;

    if (reason)
        print_trouble(cli, name, NULL, reason);
    print_skipped(cli, name, mw_json_obj(bot, "session"));
    for (size_t i = 0; i < MW_ARRAY_LEN(lists); i++) {
        cJSON_ArrayForEach(item, mw_json_arr(bot, lists[i]))
        {
            if (mw_json_str(item, "problem"))
                print_trouble(cli, name, mw_json_str_or(item, "name", "?"),
                              mw_json_str(item, "problem"));
        }
    }
}

static int add_bot(struct cli_table *t, const cJSON *bot)
{
    const cJSON *channels = mw_json_arr(bot, "channels"), *session = mw_json_obj(bot, "session");
    const char *state = mw_json_str_or(bot, "state", "?");
    char span[48], count[32];
    const char *cells[] = {
        mw_json_str(bot, "name"),
        state,
        cli_span(mw_clock_now() - mw_json_i64(bot, "since", mw_clock_now()), span, sizeof(span)),
        mw_json_str(mw_json_obj(bot, "user"), "name"),
        count,
        mw_json_str_or(bot, "handler", "-"),
        mw_json_str(bot, "endpoint"),
    };
    const enum cli_color colors[] = {CLI_BOLD,  state_color(state), CLI_PLAIN, CLI_PLAIN,
                                     CLI_PLAIN, CLI_PLAIN,          CLI_PLAIN};

    if (mw_json_bool(bot, "all_channels"))
        snprintf(count, sizeof(count), "all %lld", (long long)mw_json_i64(session, "member_of", 0));
    else
        snprintf(count, sizeof(count), "%d", cJSON_GetArraySize(channels));
    return cli_table_add(t, cells, colors);
}

static int print_bots(const struct cli *cli, const cJSON *bots)
{
    static const struct cli_column columns[] = {{.name = "NAME"},
                                                {.name = "STATE"},
                                                {.name = "SINCE", .right = true},
                                                {.name = "USER"},
                                                {.name = "CHANNELS", .right = true},
                                                {.name = "HANDLER"},
                                                {.name = "ENDPOINT", .wide = true}};
    MW_CLEANUP(cli_table_free_p)
    struct cli_table *t = cli_table_new(cli, stdout, columns, MW_ARRAY_LEN(columns));
    const cJSON *bot;

    if (!t)
        return -ENOMEM;
    cJSON_ArrayForEach(bot, bots)
    {
        if (add_bot(t, bot) < 0)
            return -ENOMEM;
    }
    if (cli_table_print(t) < 0)
        return -ENOMEM;
    cJSON_ArrayForEach(bot, bots)
    {
        print_troubles(cli, bot);
    }
    return 0;
}

int cli_run_bots(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOJSON *bots = NULL;
    int r = cli_call_once(cli, "bots", NULL, &bots);

    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(bots));
    if (print_bots(cli, bots) < 0)
        return cli_no_memory();
    return cli_flush(CLI_DONE);
}

/* ---- status ---- */

static const char *number(const cJSON *o, const char *key, char *buf, size_t size)
{
    snprintf(buf, size, "%lld", (long long)mw_json_i64(o, key, 0));
    return buf;
}

/* Which member of which object a column shows. */
struct field {
    struct cli_column column;
    const char *object; /* NULL = the row itself */
    const char *member;
    bool text;
    bool bad; /* red when it is not 0 */
};

static int print_rows(const struct cli *cli, const cJSON *rows, const struct field *fields,
                      size_t n)
{
    struct cli_column columns[12];
    MW_CLEANUP(cli_table_free_p) struct cli_table *t = NULL;
    const cJSON *row;

    for (size_t i = 0; i < n; i++)
        columns[i] = fields[i].column;
    t = cli_table_new(cli, stdout, columns, n);
    if (!t)
        return -ENOMEM;
    cJSON_ArrayForEach(row, rows)
    {
        const char *cells[12];
        enum cli_color colors[12] = {CLI_PLAIN};
        char numbers[12][24];

        for (size_t i = 0; i < n; i++) {
            const cJSON *o = fields[i].object ? mw_json_obj(row, fields[i].object) : row;

            if (fields[i].text)
                cells[i] = mw_json_str_or(o, fields[i].member, "");
            else
                cells[i] = number(o, fields[i].member, numbers[i], sizeof(numbers[i]));
            if (strcmp(fields[i].member, "state") == 0)
                colors[i] = state_color(cells[i]);
            if (fields[i].bad && mw_json_i64(o, fields[i].member, 0) != 0)
                colors[i] = CLI_RED;
        }
        if (cli_table_add(t, cells, colors) < 0)
            return -ENOMEM;
    }
    if (cJSON_GetArraySize(rows) > 0)
        putchar('\n');
    return cli_table_print(t);
}

#define TEXT(title, member_)                                                                       \
    {                                                                                              \
        .column = {.name = (title)}, .member = (member_), .text = true                             \
    }
#define COUNT(title, object_, member_, bad_)                                                       \
    {                                                                                              \
        .column = {.name = (title), .right = true}, .object = (object_), .member = (member_),      \
        .bad = (bad_)                                                                              \
    }

static const struct field bot_fields[] = {
    TEXT("BOT", "name"),
    TEXT("STATE", "state"),
    COUNT("EVENTS", "session", "events", false),
    COUNT("TASKS", "tasks", "pending", false),
    COUNT("FAILED", "tasks", "failed", true),
    COUNT("OUTBOX", "outbox", "pending", false),
    COUNT("SENT", "outbox", "sent", false),
    COUNT("OVERDUE", "outbox", "overdue", true),
    COUNT("UNSENT", "outbox", "failed", true),
};

static const struct field handler_fields[] = {
    TEXT("HANDLER", "name"),
    TEXT("TYPE", "type"),
    COUNT("RUNNING", NULL, "running", false),
    COUNT("WAITING", NULL, "waiting", false),
    COUNT("ANSWERED", NULL, "answered", false),
    COUNT("EMPTY", NULL, "empty", false),
    COUNT("FAILED", NULL, "failed", true),
    COUNT("TIMEOUT", NULL, "timeout", true),
};

static const struct field consumer_fields[] = {
    TEXT("CONSUMER", "name"),
    TEXT("TYPE", "type"),
    COUNT("POSITION", NULL, "position", false),
    COUNT("BEHIND", NULL, "lag", false),
};

/* What the store does in the background, as far as there is something to tell. */
static void print_background(const struct cli *cli, const cJSON *store)
{
    int64_t behind = mw_json_i64(store, "last_event_id", 0) - mw_json_i64(store, "indexed_id", 0);
    int64_t pruned = mw_json_i64(store, "pruned_events", 0);
    const char *trouble = mw_json_str(store, "background_trouble");
    char n[48];

    if (behind > 1000)
        printf("        search index: %s to go\n",
               cli_count(behind, "event", "events", n, sizeof(n)));
    if (pruned)
        printf("        retention deleted %s since the start\n",
               cli_count(pruned, "event", "events", n, sizeof(n)));
    if (mw_json_bool(store, "prune_held"))
        printf("        %sretention waits for a consumer that has not read what should go; "
               "`matterwire consumers` lists them%s\n",
               cli_color(cli, CLI_YELLOW), cli_color(cli, CLI_PLAIN));
    if (trouble)
        printf("        %s%s%s\n", cli_color(cli, CLI_RED), trouble, cli_color(cli, CLI_PLAIN));
}

static void print_files(const struct cli *cli, const cJSON *files)
{
    int64_t n = mw_json_i64(files, "files", 0);
    char count[48];

    if (n)
        printf("files   %s, %.1f of %.1f MB, in %s\n",
               cli_count(n, "file", "files", count, sizeof(count)),
               (double)mw_json_i64(files, "bytes", 0) / 1e6,
               (double)mw_json_i64(files, "quota", 0) / 1e6, mw_json_str_or(files, "folder", "?"));
    if (mw_json_str(files, "last_error"))
        print_trouble(cli, "files", "could not be fetched, the last one",
                      mw_json_str_or(files, "last_error", "?"));
}

/* A server that limits us, as far as there is something to tell. */
static void print_server(const struct cli *cli, const cJSON *server)
{
    int64_t limit = mw_json_i64(server, "rate_limit", -1), waiting = 0;
    int64_t held = mw_json_i64(server, "held_until", 0) - mw_clock_now();
    const cJSON *item;
    char span[48], n[48];

    cJSON_ArrayForEach(item, mw_json_obj(server, "waiting"))
    {
        waiting += (int64_t)item->valuedouble;
    }
    if (limit < 0 && held <= 0)
        return;
    printf("server  %s", mw_json_str_or(server, "endpoint", "?"));
    if (limit >= 0)
        printf(", takes bursts of %s, %lld left", cli_count(limit, "call", "calls", n, sizeof(n)),
               (long long)mw_json_i64(server, "rate_remaining", 0));
    if (waiting)
        printf(", %s%s%s", cli_color(cli, CLI_YELLOW),
               cli_count(waiting, "call waits", "calls wait", n, sizeof(n)),
               cli_color(cli, CLI_PLAIN));
    if (held > 0)
        printf(", %stakes none for %s%s", cli_color(cli, CLI_YELLOW),
               cli_span(held, span, sizeof(span)), cli_color(cli, CLI_PLAIN));
    putchar('\n');
}

static int print_status(const struct cli *cli, const cJSON *status)
{
    const cJSON *store = mw_json_obj(status, "store"), *item;
    const char *state = mw_json_str_or(store, "state", "?"), *reason = mw_json_str(store, "reason");
    char span[48];

    printf("daemon  matterwired %s, process %lld, running for %s\n",
           mw_json_str_or(status, "version", "?"), (long long)mw_json_i64(status, "pid", 0),
           cli_span(mw_json_i64(status, "uptime_ms", 0), span, sizeof(span)));
    printf("config  %s\n", mw_json_str_or(status, "config", "?"));
    printf("store   %s%s%s, %.1f MB, newest event %lld, %s\n", cli_color(cli, state_color(state)),
           state, cli_color(cli, CLI_PLAIN), (double)mw_json_i64(store, "file_bytes", 0) / 1e6,
           (long long)mw_json_i64(store, "last_event_id", 0), mw_json_str_or(store, "path", "?"));
    if (reason)
        printf("        %s\n", reason);
    print_background(cli, store);
    print_files(cli, mw_json_obj(status, "files"));
    cJSON_ArrayForEach(item, mw_json_arr(status, "servers"))
    {
        print_server(cli, item);
    }
    if (print_rows(cli, mw_json_arr(status, "bots"), bot_fields, MW_ARRAY_LEN(bot_fields)) < 0)
        return -ENOMEM;
    cJSON_ArrayForEach(item, mw_json_arr(status, "bots"))
    {
        print_troubles(cli, item);
    }
    if (print_rows(cli, mw_json_arr(status, "handlers"), handler_fields,
                   MW_ARRAY_LEN(handler_fields)) < 0)
        return -ENOMEM;
    cJSON_ArrayForEach(item, mw_json_arr(status, "handlers"))
    {
        if (mw_json_str(item, "last_error"))
            print_trouble(cli, mw_json_str_or(item, "name", "?"), "last failure",
                          mw_json_str(item, "last_error"));
    }
    return print_rows(cli, mw_json_arr(status, "consumers"), consumer_fields,
                      MW_ARRAY_LEN(consumer_fields));
}

int cli_run_status(struct cli *cli, const void *options, int argc, char **argv)
{
    MW_AUTOJSON *status = NULL;
    int r = cli_call_once(cli, "status", NULL, &status);

    if (r)
        return r;
    if (cli->json)
        return cli_print_json(cli, take_ptr(status));
    if (print_status(cli, status) < 0)
        return cli_no_memory();
    return cli_flush(CLI_DONE);
}
