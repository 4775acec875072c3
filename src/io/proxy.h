/*
 * A tunnel through an HTTP proxy (RFC 9110, CONNECT). Internal to io/.
 *
 * It works on a connected, non-blocking socket and reads exactly the proxy's answer from it, so
 * that whoever goes on with the socket gets the first byte behind.
 */
#ifndef MW_IO_PROXY_H
#define MW_IO_PROXY_H

#include "base/error.h"

struct mw_proxy;

/* url: "http://[user:password@]host[:port]" (the scheme may be left out; port 1080 as curl has it
 * unless given). Returns 0, -EINVAL or -ENOMEM. */
int mw_proxy_new(const char *url, const char *host, uint16_t port, struct mw_proxy **ret,
                 struct mw_error *err);
void mw_proxy_free(struct mw_proxy *p);

const char *mw_proxy_host(const struct mw_proxy *p, uint16_t *ret_port);
const char *mw_proxy_name(const struct mw_proxy *p); /* "host port N" */

/* Goes on. Returns 0 when the tunnel stands, -EAGAIN (*ret_event = UV_READABLE or UV_WRITABLE: call
 * again then), or an error with its sentence: -EACCES (it wants other credentials), -ECONNREFUSED
 * (any other refusal), -EPROTO, -ECONNRESET ... */
int mw_proxy_step(struct mw_proxy *p, int fd, int *ret_event, struct mw_error *err);

#endif
