/* What the handlers share that speak HTTP: headers, and sentences about answers that are none. */
#ifndef MW_HANDLERS_WEB_H
#define MW_HANDLERS_WEB_H

#include "gateway/handler.h"
#include "io/http.h"

/* Wiped when freed: one of them may hold a secret. */
struct gw_headers {
    char **lines; /* "Name: value", NULL-terminated; NULL = none */
    size_t n, cap;
};

/* Both return 0 or -ENOMEM. */
int gw_header_add(struct gw_headers *h, const char *fmt, ...) MW_PRINTF(2, 3);
int gw_headers_add_config(struct gw_headers *h, const struct gw_strings *headers);
void gw_headers_deinit(struct gw_headers *h);

/* A client by the handler's `tls`, `proxy` and `concurrency`. Returns 0 or a negative errno. */
int gw_web_client(const struct gw_handler_host *host, struct mw_http **ret, struct mw_error *err);

/* How long a call may take: a little more than the gateway waits, so that it is the gateway that
 * ends it. */
int64_t gw_web_timeout(const struct gw_turn *turn);

/* The beginning of a body on one line, for a sentence; nothing when the secret (NULL = none) occurs
 * in the body. */
void gw_web_excerpt(const char *body, size_t len, const char *secret, struct mw_buf *out);

/* Why an answer with a status other than 2xx is none; `detail` NULL = an excerpt of the body. */
void gw_web_refusal(const struct mw_http_response *r, const char *detail, const char *secret,
                    struct mw_error *err);

#endif
