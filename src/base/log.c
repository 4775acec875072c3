#include "base/log.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define LINE_LIMIT 65536 /* bytes */

static enum mw_log_level max_level = MW_LOG_INFO;
static enum mw_log_format chosen_format = MW_LOG_AUTO;

static const struct {
    const char *name;
    const char *colour;
    int syslog;
} levels[] = {
    [MW_LOG_ERROR] = {"error", "\033[31m", 3},
    [MW_LOG_WARNING] = {"warning", "\033[33m", 4},
    [MW_LOG_INFO] = {"info", "\033[32m", 6},
    [MW_LOG_DEBUG] = {"debug", "\033[2m", 7},
};

void mw_log_setup(enum mw_log_level level, enum mw_log_format format)
{
    max_level = level;
    chosen_format = format;
}

int mw_log_level_parse(const char *s, enum mw_log_level *ret)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(levels); i++) {
        if (strcmp(s, levels[i].name) == 0) {
            *ret = (enum mw_log_level)i;
            return 0;
        }
    }
    return -EINVAL;
}

static enum mw_log_format effective_format(void)
{
    if (chosen_format != MW_LOG_AUTO)
        return chosen_format;
    if (isatty(STDERR_FILENO))
        return MW_LOG_TEXT;
    return getenv("JOURNAL_STREAM") ? MW_LOG_JOURNAL : MW_LOG_JSON;
}

static bool needs_quotes(const char *s)
{
    if (!*s)
        return true;
    for (; *s; s++)
        if (isspace((unsigned char)*s) || iscntrl((unsigned char)*s) || *s == '"' || *s == '=')
            return true;
    return false;
}

static void put_text_fields(struct mw_buf *b, const struct mw_log_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mw_buf_printf(b, " %s=", fields[i].key);
        if (!fields[i].str)
            mw_buf_printf(b, "%" PRId64, fields[i].num);
        else if (needs_quotes(fields[i].str))
            mw_buf_put_json_string(b, fields[i].str);
        else
            mw_buf_puts(b, fields[i].str);
    }
    mw_buf_putc(b, '\n');
}

static void put_json(struct mw_buf *b, enum mw_log_level level, const char *msg,
                     const struct mw_log_field *fields, size_t n)
{
    char when[MW_RFC3339_SIZE];

    mw_buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":",
                  mw_clock_rfc3339(mw_clock_now(), when), levels[level].name);
    mw_buf_put_json_string(b, msg);
    for (size_t i = 0; i < n; i++) {
        mw_buf_putc(b, ',');
        mw_buf_put_json_string(b, fields[i].key);
        mw_buf_putc(b, ':');
        if (fields[i].str)
            mw_buf_put_json_string(b, fields[i].str);
        else
            mw_buf_printf(b, "%" PRId64, fields[i].num);
    }
    mw_buf_puts(b, "}\n");
}

static void put_text(struct mw_buf *b, enum mw_log_level level, const char *msg,
                     const struct mw_log_field *fields, size_t n)
{
    bool colour = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
    int64_t now = mw_clock_now();
    time_t secs = (time_t)(now / 1000);
    struct tm tm;

    localtime_r(&secs, &tm);
    mw_buf_printf(b, "%02d:%02d:%02d.%03d %s%-7s%s %s", tm.tm_hour, tm.tm_min, tm.tm_sec,
                  (int)(now % 1000), colour ? levels[level].colour : "", levels[level].name,
                  colour ? "\033[0m" : "", msg);
    put_text_fields(b, fields, n);
}

static void put_line(struct mw_buf *b, enum mw_log_level level, const char *msg,
                     const struct mw_log_field *fields, size_t n)
{
    switch (effective_format()) {
    case MW_LOG_JOURNAL:
        mw_buf_printf(b, "<%d>%s", levels[level].syslog, msg);
        put_text_fields(b, fields, n);
        break;
    case MW_LOG_TEXT:
        put_text(b, level, msg, fields, n);
        break;
    default:
        put_json(b, level, msg, fields, n);
        break;
    }
}

/* One write a line keeps lines of several threads apart. There is nobody to tell when it fails. */
static void write_all(const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(STDERR_FILENO, data, len);

        if (n == 0 || (n < 0 && errno != EINTR))
            return;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
}

void mw_log_write(enum mw_log_level level, const char *msg, const struct mw_log_field *fields,
                  size_t n)
{
    static const struct mw_log_field cut = {.key = "cut", .str = "the fields of this line"};
    MW_AUTOBUF line = {.limit = LINE_LIMIT};

    if (level > max_level)
        return;
    put_line(&line, level, msg, fields, n);
    if (mw_buf_error(&line)) {
        /* Too long, or no memory for it: the message is worth more than its fields, and half a line
         * would spoil the next one too. */
        mw_buf_clear(&line);
        put_line(&line, level, msg, &cut, 1);
    }
    if (mw_buf_error(&line)) {
        write_all(msg, strlen(msg));
        write_all("\n", 1);
    } else {
        write_all(line.data, line.len);
    }
}
