/*
 * Splits a stream of bytes into lines with a limit. Bytes in, lines out; no I/O. A line ends with
 * "\n" or "\r\n", which do not belong to it. Not thread safe.
 */
#ifndef MW_BASE_LINES_H
#define MW_BASE_LINES_H

#include "base/buf.h"

struct mw_lines {
    struct mw_buf in; /* what was fed and not taken begins at `taken` */
    size_t taken;
    size_t seen;   /* behind `taken`: searched for the end of a line */
    size_t max;    /* bytes of a line */
    bool skipping; /* the rest of a line that was too long */
};

void mw_lines_init(struct mw_lines *l, size_t max);
void mw_lines_deinit(struct mw_lines *l);
/* Forgets what was fed. */
void mw_lines_clear(struct mw_lines *l);

/* Feeds bytes; take all lines before the next feed, then at most max + 2 + len bytes are held.
 * Returns 0 or -ENOMEM. */
int mw_lines_feed(struct mw_lines *l, const char *data, size_t len) MW_MUST_CHECK;

/* Takes the next line: returns 1 (valid until the next call), 0 when no whole line is there, or
 * -E2BIG once for each line longer than max, which is skipped. */
int mw_lines_next(struct mw_lines *l, const char **ret_line, size_t *ret_len) MW_MUST_CHECK;

#endif
