/*
 * The head of an HTTP/1.1 answer (RFC 9112), for the two places that speak HTTP on a bare stream:
 * the upgrade to WebSocket and a proxy's CONNECT. Sans-I/O: bytes in, fields out; nothing is
 * copied, so the result points into the bytes given. Thread safe.
 */
#ifndef MW_IO_HEAD_H
#define MW_IO_HEAD_H

#include "base/macros.h"

#define MW_HEAD_LIMIT 16384 /* bytes of a whole head */

struct mw_head {
    int status;
    const char *reason; /* not terminated */
    size_t reason_len;
    const char *fields; /* the header lines */
    size_t fields_len;
    size_t size; /* bytes up to and with the empty line */
};

enum mw_head_result {
    MW_HEAD_OK,
    MW_HEAD_MORE, /* not whole yet */
    MW_HEAD_BAD,  /* not HTTP, or over MW_HEAD_LIMIT */
};

enum mw_head_result mw_head_parse(const char *data, size_t len, struct mw_head *ret);

/* The value of the first field of that name, without white space around it; NULL when absent. */
const char *mw_head_get(const struct mw_head *head, const char *name, size_t *ret_len);

/* True when any field of that name lists `token` (comma separated, letter case ignored). */
bool mw_head_has_token(const struct mw_head *head, const char *name, const char *token);

/* Retry-After as milliseconds from `now` (wall clock ms): seconds or an HTTP date; -1 = absent or
 * unreadable. */
int64_t mw_head_retry_after(const struct mw_head *head, int64_t now);

#endif
