/*
 * The opening handshake of WebSocket (RFC 6455 section 4), the client's side. Sans-I/O: it makes
 * the request and judges the answer. Internal to io/. Thread safe.
 */
#ifndef MW_IO_HANDSHAKE_H
#define MW_IO_HANDSHAKE_H

#include "base/buf.h"
#include "base/error.h"
#include "io/url.h"

#define MW_WS_KEY_SIZE 25 /* of a Sec-WebSocket-Key with its NUL */

/* Makes a random key. Returns 0 or -EIO. */
int mw_handshake_key(char *key);

/* Appends the request for `url`. headers: "Name: value", NULL-terminated, may be NULL; they may
 * hold a secret, so out does too. Returns 0, -EINVAL (a header that is not one) or -ENOMEM. */
int mw_handshake_request(struct mw_buf *out, const struct mw_url *url, const char *key,
                         const char *const *headers, struct mw_error *err);

enum mw_handshake_result {
    MW_HANDSHAKE_OK,
    MW_HANDSHAKE_MORE,
    MW_HANDSHAKE_REFUSED, /* another status; with as much of the body as there is */
    MW_HANDSHAKE_BAD,
};

struct mw_handshake_answer {
    size_t size;        /* bytes of the head; what follows are frames or the body */
    size_t body_wanted; /* MORE bytes of a refusal's body that are worth waiting for; 0 = none */
    int status;
    int64_t retry_after_ms; /* -1 = none */
};

/* Judges the bytes read so far. `server` is the other side for the sentence; for BAD and REFUSED
 * err is set. */
enum mw_handshake_result mw_handshake_judge(const char *data, size_t len, const char *key,
                                            const char *server, int64_t now,
                                            struct mw_handshake_answer *ret, struct mw_error *err);

#endif
