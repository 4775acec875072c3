#include <libsmartcols.h>
#include <stdarg.h>
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

int cli_print_wrapped(const char *fmt, ...)
{
    MW_AUTOBUF b = {0}, wrapped = {0};
    va_list ap;

    mw_buf_init(&b, 0);
    mw_buf_init(&wrapped, 0);
    va_start(ap, fmt);
    mw_buf_vprintf(&b, fmt, ap);
    va_end(ap);
    if (mw_buf_error(&b) ||
        mw_buf_wrap(&wrapped, mw_buf_str(&b), 0, 0, mw_terminal_width(STDOUT_FILENO)) < 0)
        return cli_no_memory();
    fputs(mw_buf_str(&wrapped), stdout);
    return CLI_DONE;
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
