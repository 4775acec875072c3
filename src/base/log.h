/*
 * Structured logging, for the programs' edges only: libraries return errors instead.
 *
 * A line has a level, a message (constant text, lower case, no final stop) and fields:
 *     mw_log_info("connected", MW_F_STR("bot", name), MW_F_INT("channels", n));
 * On a terminal: `12:00:01.123 info  connected bot=support channels=4`, with colour. Otherwise one
 * JSON object a line, or systemd's `<N>` priority prefix plus text when JOURNAL_STREAM says that
 * the journal reads it. Secrets never become fields. Writes to standard error; thread safe, but
 * for mw_log_setup. A line of more than 64 KiB is written without its fields.
 */
#ifndef MW_BASE_LOG_H
#define MW_BASE_LOG_H

#include "base/macros.h"

enum mw_log_level { MW_LOG_ERROR, MW_LOG_WARNING, MW_LOG_INFO, MW_LOG_DEBUG };
enum mw_log_format { MW_LOG_AUTO, MW_LOG_TEXT, MW_LOG_JSON, MW_LOG_JOURNAL };

struct mw_log_field {
    const char *key;
    const char *str; /* NULL = the field is the number */
    int64_t num;
};

#define MW_F_STR(k, v) ((struct mw_log_field){.key = (k), .str = (v) ? (v) : ""})
#define MW_F_INT(k, v) ((struct mw_log_field){.key = (k), .num = (int64_t)(v)})

/* Level and format for the whole process. The defaults are MW_LOG_INFO and MW_LOG_AUTO. */
void mw_log_setup(enum mw_log_level level, enum mw_log_format format);
/* "error", "warning", "info", "debug" -> level; returns 0 or -EINVAL. */
int mw_log_level_parse(const char *s, enum mw_log_level *ret);

void mw_log_write(enum mw_log_level level, const char *msg, const struct mw_log_field *fields,
                  size_t n);

#define mw_log(level, msg, ...)                                                                    \
    mw_log_write((level), (msg),                                                                   \
                 (const struct mw_log_field[]){{NULL, NULL, 0}, ##__VA_ARGS__} + 1,                \
                 sizeof((struct mw_log_field[]){{NULL, NULL, 0}, ##__VA_ARGS__}) /                 \
                         sizeof(struct mw_log_field) -                                             \
                     1)

#define mw_log_error(msg, ...)   mw_log(MW_LOG_ERROR, msg, ##__VA_ARGS__)
#define mw_log_warning(msg, ...) mw_log(MW_LOG_WARNING, msg, ##__VA_ARGS__)
#define mw_log_info(msg, ...)    mw_log(MW_LOG_INFO, msg, ##__VA_ARGS__)
#define mw_log_debug(msg, ...)   mw_log(MW_LOG_DEBUG, msg, ##__VA_ARGS__)

#endif
