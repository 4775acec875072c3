#include <libsmartcols.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "base/utf8.h"
#include "cli/cli.h"

int cli_flush(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    return cli_error(CLI_FAILED, "cannot write to standard output: %s", strerror(errno));
}

int cli_print_json(struct cli *cli, cJSON *value)
{
    MW_AUTOJSON *owned = value;
    MW_AUTOFREE char *text = NULL;

    if (owned)
        text = isatty(STDOUT_FILENO) ? cJSON_Print(owned) : mw_json_print(owned);
    if (!text)
        return cli_no_memory();
    puts(text);
    return cli_flush(CLI_DONE);
}

static const char *const color_codes[] = {
    [CLI_PLAIN] = "\033[0m",   [CLI_BOLD] = "\033[1m", [CLI_GREEN] = "\033[32m",
    [CLI_YELLOW] = "\033[33m", [CLI_RED] = "\033[31m", [CLI_DIM] = "\033[2m",
};

const char *cli_color(const struct cli *cli, enum cli_color color)
{
    return cli->color ? color_codes[color] : "";
}

int cli_write_clean(struct mw_buf *b, const char *text, bool lines)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len;) {
        size_t n = mw_utf8_char_len(text + i, len - i);
        unsigned char c = (unsigned char)text[i];
        /* C0, DEL, C1 (in UTF-8: C2 80 to C2 9F), and what is no UTF-8. */
        bool control =
            n == 0 || c < 0x20 || c == 0x7F || (c == 0xC2 && (unsigned char)text[i + 1] < 0xA0);

        if (c == '\n' || c == '\t')
            mw_buf_putc(b, lines ? (char)c : ' ');
        else if (control)
            mw_buf_putc(b, '?');
        else
            mw_buf_append(b, text + i, n);
        i += n ? n : 1;
    }
    return mw_buf_error(b);
}

const char *cli_span(int64_t ms, char *buf, size_t size)
{
    long long s = ms > 0 ? (long long)(ms / 1000) : 0;

    if (s < 60)
        snprintf(buf, size, "%lld s", s);
    else if (s < 3600)
        snprintf(buf, size, "%lld min", s / 60);
    else if (s < 86400)
        snprintf(buf, size, "%lld h %lld min", s / 3600, s / 60 % 60);
    else
        snprintf(buf, size, "%lld d %lld h", s / 86400, s / 3600 % 24);
    return buf;
}

const char *cli_time(int64_t ms, char *buf, size_t size)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;

    if (!localtime_r(&t, &tm) || strftime(buf, size, "%F %T", &tm) == 0)
        snprintf(buf, size, "?");
    return buf;
}

/* What happened, where it is not somebody saying something. */
static const char *phrase(const char *kind)
{
    static const struct {
        const char *kind, *phrase;
    } rows[] = {
        {"post_edited", "edited: "},
        {"post_deleted", "deleted a post: "},
        {"reaction_added", "reacted with :"},
        {"reaction_removed", "took back :"},
        {"channel_created", "created the channel"},
        {"channel_updated", "changed the channel"},
        {"channel_deleted", "archived the channel"},
        {"channel_restored", "restored the channel"},
        {"user_added", "was added"},
        {"user_removed", "left"},
        {"team_added", "joined the team"},
        {"team_removed", "left the team"},
        {"typing", "is typing"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].kind, kind) == 0)
            return rows[i].phrase;
    return "";
}

static void write_place(struct mw_buf *b, const cJSON *event)
{
    const char *type = mw_json_str_or(event, "channel_type", "");
    const char *name = mw_json_str_or(event, "channel_name", "");
    const char *team = mw_json_str_or(event, "team_name", "");

    if (strcmp(type, "D") == 0) {
        mw_buf_puts(b, "direct");
        return;
    }
    if (strcmp(type, "G") == 0) {
        mw_buf_puts(b, "group");
        return;
    }
    if (*team) {
        cli_write_clean(b, team, false);
        mw_buf_putc(b, '/');
    }
    cli_write_clean(b, *name ? name : mw_json_str_or(event, "channel_id", ""), false);
}

static void write_connection(struct mw_buf *b, const struct cli *cli, const cJSON *event)
{
    const cJSON *detail = mw_json_obj(event, "detail");
    const char *state = mw_json_str_or(detail, "state", "changed");
    const char *reason = mw_json_str(detail, "reason");
    bool good = strcmp(state, "online") == 0;

    mw_buf_printf(b, "%s* %s is %s%s%s", cli_color(cli, good ? CLI_GREEN : CLI_YELLOW),
                  mw_json_str_or(event, "bot", ""), state, reason ? ": " : "",
                  cli_color(cli, CLI_PLAIN));
    if (reason)
        cli_write_clean(b, reason, false);
    mw_buf_putc(b, '\n');
}

int cli_write_event(struct mw_buf *b, const struct cli *cli, const cJSON *event)
{
    const char *kind = mw_json_str_or(event, "kind", "");
    const char *text = mw_json_str_or(event, "text", "");
    bool reaction = mw_starts_with(kind, "reaction_");
    char when[32];

    mw_buf_printf(b, "%s%s%s  ", cli_color(cli, CLI_DIM),
                  cli_time(mw_json_i64(event, "at", 0), when, sizeof(when)),
                  cli_color(cli, CLI_PLAIN));
    if (strcmp(kind, "connection") == 0) {
        write_connection(b, cli, event);
        return mw_buf_error(b);
    }
    write_place(b, event);
    mw_buf_printf(b, "%s  %s@", mw_json_str(event, "root_id") ? " (thread)" : "",
                  cli_color(cli, CLI_BOLD));
    cli_write_clean(b, mw_json_str_or(event, "user_name", "?"), false);
    mw_buf_puts(b, cli_color(cli, CLI_PLAIN));
    if (strcmp(kind, "post") == 0)
        mw_buf_puts(b, ": ");
    else
        mw_buf_printf(b, " %s", phrase(kind));
    cli_write_clean(b, text, false);
    if (reaction)
        mw_buf_putc(b, ':');
    if (cJSON_GetArraySize(mw_json_arr(event, "files")) > 0)
        mw_buf_printf(b, " [%d files]", cJSON_GetArraySize(mw_json_arr(event, "files")));
    return mw_buf_putc(b, '\n');
}

/* ---- Tables ---- */

struct cli_table {
    struct libscols_table *table;
    size_t columns;
};

struct cli_table *cli_table_new(const struct cli *cli, FILE *stream,
                                const struct cli_column *columns, size_t n)
{
    struct cli_table *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->columns = n;
    t->table = scols_new_table();
    if (!t->table)
        goto fail;
    scols_table_enable_colors(t->table, cli->color);
    scols_table_set_stream(t->table, stream);
    scols_table_set_termwidth(t->table, mw_terminal_width(fileno(stream)));
    scols_table_set_termforce(t->table, SCOLS_TERMFORCE_ALWAYS);
    if (scols_table_set_column_separator(t->table, "  ") < 0)
        goto fail;
    for (size_t i = 0; i < n; i++) {
        int flags =
            (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].wide ? SCOLS_FL_TRUNC : 0);

        if (!scols_table_new_column(t->table, columns[i].name, 0, flags))
            goto fail;
    }
    return t;
fail:
    cli_table_free(t);
    return NULL;
}

int cli_table_add(struct cli_table *t, const char *const *cells, const enum cli_color *colors)
{
    struct libscols_line *line = scols_table_new_line(t->table, NULL);

    if (!line)
        return -ENOMEM;
    for (size_t i = 0; i < t->columns; i++) {
        MW_AUTOBUF b = {0};

        mw_buf_init(&b, 0);
        if (cli_write_clean(&b, cells[i] ? cells[i] : "", false) < 0 ||
            scols_line_set_data(line, i, mw_buf_str(&b)) < 0)
            return -ENOMEM;
        if (colors && colors[i] != CLI_PLAIN &&
            scols_cell_set_color(scols_line_get_cell(line, i), color_codes[colors[i]]) < 0)
            return -ENOMEM;
    }
    return 0;
}

int cli_table_print(struct cli_table *t)
{
    if (scols_table_is_empty(t->table))
        return 0;
    return scols_print_table(t->table) < 0 ? -EIO : 0;
}

void cli_table_free(struct cli_table *t)
{
    if (!t)
        return;
    scols_unref_table(t->table);
    free(t);
}
