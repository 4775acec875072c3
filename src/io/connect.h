/*
 * From a name to a connected socket: resolves, then tries the addresses in the order that
 * getaddrinfo gives (RFC 6724) until one answers. Each address gets an equal share of the time that
 * is left. Internal to io/. All calls on the loop's thread.
 */
#ifndef MW_IO_CONNECT_H
#define MW_IO_CONNECT_H

#include "io/stream.h"

struct mw_connector;

/* Comes once, never before mw_connector_start returns: fd >= 0 is the connected socket, handed
 * over; otherwise err says why not (the callee may move it out). The callee frees the connector. */
typedef void (*mw_connector_cb)(int fd, enum mw_stream_stage stage, struct mw_error *err,
                                void *userdata);

/* host and port, or unix_path. Returns 0, -ENOMEM or -EINVAL (a path that is too long). */
int mw_connector_start(uv_loop_t *loop, const char *host, uint16_t port, const char *unix_path,
                       int64_t timeout_ms, mw_connector_cb cb, void *userdata,
                       struct mw_connector **ret);
void mw_connector_free(struct mw_connector *c);

/* "address:port" of a socket address, "[address]:port" for IPv6, a path for a Unix socket. */
void mw_address_text(const struct sockaddr *sa, socklen_t len, char *buf, size_t size);

#endif
