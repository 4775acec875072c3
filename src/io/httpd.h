/*
 * HTTP server: libmicrohttpd with its external epoll inside the libuv loop.
 *
 * Bodies are collected whole up to max_body (413 beyond). A request with both Content-Length and
 * Transfer-Encoding, with one of them twice, or with another encoding than "chunked" is refused
 * with 400 (request smuggling). A connection on which nothing moves for 75 s is closed, unless its
 * request waits for an answer of ours. Everything on the loop's thread.
 */
#ifndef MW_IO_HTTPD_H
#define MW_IO_HTTPD_H

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"

struct mw_httpd;
struct mw_httpd_request;

struct mw_httpd_params {
    const char *address;      /* an IP address, or "localhost" for 127.0.0.1 */
    uint16_t port;            /* 0 = any free one; see mw_httpd_port */
    size_t max_body;          /* bytes; 0 = 1 MiB */
    unsigned max_connections; /* 0 = 1024 */
    /* Called once a request is whole. Must lead to exactly one mw_httpd_respond or
     * mw_httpd_upgrade, now or later; the request lives until then. */
    void (*on_request)(struct mw_httpd_request *req, void *userdata);
    void *userdata;
};

int mw_httpd_new(uv_loop_t *loop, const struct mw_httpd_params *params, struct mw_httpd **ret,
                 struct mw_error *err);
/* Ends all requests without an answer (their data is freed, they must not be touched afterwards)
 * and closes all connections but those that were upgraded. May be called inside on_request. The
 * memory goes when the loop has closed the handles. */
void mw_httpd_free(struct mw_httpd *httpd);
uint16_t mw_httpd_port(const struct mw_httpd *httpd);

/* The request. Strings are valid until it is answered. */
const char *mw_httpd_method(const struct mw_httpd_request *req);
const char *mw_httpd_path(const struct mw_httpd_request *req); /* decoded, without the query */
const char *mw_httpd_query(const struct mw_httpd_request *req,
                           const char *name); /* NULL = absent */
const char *mw_httpd_header(const struct mw_httpd_request *req,
                            const char *name); /* NULL = absent */
const char *mw_httpd_body(const struct mw_httpd_request *req, size_t *ret_len);
const char *mw_httpd_peer(const struct mw_httpd_request *req); /* address of the other end */

/* A free pointer for the caller, freed with `free_fn` (may be NULL) when the request ends: when it
 * is answered, after the upgrade's callback, or by mw_httpd_free. */
void mw_httpd_set_data(struct mw_httpd_request *req, void *data, void (*free_fn)(void *));
void *mw_httpd_get_data(const struct mw_httpd_request *req);

/* Adds a header to the coming answer; returns 0, -EINVAL (not a name, or a line break) or -ENOMEM.
 */
int mw_httpd_add_header(struct mw_httpd_request *req, const char *name, const char *value);

/* Answers and ends the request. body is copied. content_type NULL = application/json. */
void mw_httpd_respond(struct mw_httpd_request *req, int status, const char *content_type,
                      const void *body, size_t len);

/* The same, but the connection is cut after `keep` bytes of the body (for fault injection). */
void mw_httpd_respond_cut(struct mw_httpd_request *req, int status, const char *content_type,
                          const void *body, size_t len, size_t keep);

/* Cuts the connection without an answer (for fault injection); ends the request. */
void mw_httpd_abort(struct mw_httpd_request *req);

/* Answers 101 with the headers added so far and hands the socket over (a dup of it, owned by the
 * callee, non-blocking, TCP_NODELAY on; MHD's own is closed). `early` is what the peer sent behind
 * its request. The request ends. When the peer goes away before the 101 is out, cb never comes; the
 * free function of mw_httpd_set_data tells. A request without an Upgrade header is answered with
 * 400. */
typedef void (*mw_httpd_upgrade_cb)(uv_loop_t *loop, int fd, const char *early, size_t early_len,
                                    void *userdata);
void mw_httpd_upgrade(struct mw_httpd_request *req, mw_httpd_upgrade_cb cb, void *userdata);

#endif
