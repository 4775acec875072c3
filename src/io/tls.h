/* The TLS side of a stream: contexts, and OpenSSL's errors as sentences. Internal to io/. */
#ifndef MW_IO_TLS_H
#define MW_IO_TLS_H

#include <openssl/ssl.h>

#include "io/stream.h"

/* What a handshake told of the other side; strings are owned. */
struct mw_tls_facts {
    const char *version; /* static, of OpenSSL */
    char *subject, *issuer;
    int64_t not_after; /* wall clock ms */
};

void mw_tls_facts_deinit(struct mw_tls_facts *facts);

/* A client's SSL object on fd that verifies `host` (a name or an address) and is ready for
 * SSL_connect. `facts` must outlive it: the certificate is noted there, also when it is refused.
 * Returns 0 or -ENOMEM. */
int mw_tls_open(struct mw_tls *tls, int fd, const char *host, struct mw_tls_facts *facts,
                SSL **ret);

/* Judges the result `r` <= 0 of an SSL call: 0 = orderly end, -EAGAIN = waits for the socket
 * (*ret_event = UV_READABLE or UV_WRITABLE), otherwise an error with a sentence in err. `name` is
 * the other side for the sentence. */
int mw_tls_result(SSL *ssl, int r, const char *name, const struct mw_tls_facts *facts,
                  int *ret_event, struct mw_error *err);

#endif
