/*
 * A growing byte buffer with a limit.
 *
 * Errors stick: after the first failed append every further append does nothing, and mw_buf_error()
 * tells what went wrong, so that a chain of appends needs one check at its end. The content is
 * always followed by a NUL byte that does not count (mw_buf_str), even when it is empty. Not thread
 * safe. The buffer owns its memory; mw_buf_take() hands it over.
 */
#ifndef MW_BASE_BUF_H
#define MW_BASE_BUF_H

#include <stdarg.h>

#include "base/macros.h"

struct mw_buf {
    char *data;
    size_t len;   /* bytes in use */
    size_t cap;   /* bytes allocated */
    size_t limit; /* bytes it may hold at the most; 0 = no limit */
    int error;    /* 0, -ENOMEM or -E2BIG; sticks */
};

static inline void mw_buf_init(struct mw_buf *b, size_t limit)
{
    *b = (struct mw_buf){.limit = limit};
}

void mw_buf_deinit(struct mw_buf *b);

#define MW_AUTOBUF MW_CLEANUP(mw_buf_deinit) struct mw_buf

/* All return 0, -ENOMEM or -E2BIG (over the limit; the buffer keeps what it had). */
int mw_buf_append(struct mw_buf *b, const void *data, size_t len);
int mw_buf_puts(struct mw_buf *b, const char *s);
int mw_buf_putc(struct mw_buf *b, char c);
int mw_buf_printf(struct mw_buf *b, const char *fmt, ...) MW_PRINTF(2, 3);
int mw_buf_vprintf(struct mw_buf *b, const char *fmt, va_list ap) MW_PRINTF(2, 0);
/* Appends s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
int mw_buf_put_json_string(struct mw_buf *b, const char *s);
/* Makes room for `len` more bytes and returns where they go, NULL on failure; see mw_buf_commit. */
char *mw_buf_reserve(struct mw_buf *b, size_t len);
/* Counts `len` bytes, written to what mw_buf_reserve returned, as content. */
void mw_buf_commit(struct mw_buf *b, size_t len);

/* Removes the first `len` bytes (len <= b->len). */
void mw_buf_consume(struct mw_buf *b, size_t len);

/* Empties it and forgets the error; keeps the memory. */
void mw_buf_clear(struct mw_buf *b);

static inline int mw_buf_error(const struct mw_buf *b)
{
    return b->error;
}

/* The content as a string, "" when empty; valid until the next change. */
const char *mw_buf_str(const struct mw_buf *b);

/* The content as an allocated string that the caller frees, NULL when memory ran out or an error
 * stuck. */
char *mw_buf_take(struct mw_buf *b);

#endif
