/*
 * The local socket: JSON-RPC 2.0, one object a line, over a Unix socket. docs/rpc.md is the
 * reference, made from the table of methods.
 *
 * The socket is 0600 from its birth and every peer's credentials are checked: the daemon's own user
 * and root may connect. A socket file that a dead daemon left is replaced; a live one is an error.
 * All calls on the loop's thread. Does not log.
 *
 * Limits: bytes of a line, clients, requests under way for each client, subscriptions for each
 * client; a client that does not read is not read from until it does.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include <uv.h>

#include "gateway/gateway.h"

struct rpc_server;

struct rpc_params {
    const char *path;      /* of the socket; its folder is made (0700) when it is missing */
    struct gw *gw;         /* must outlive the server */
    size_t max_line;       /* bytes of a request; 0 = 1 MiB */
    unsigned max_clients;  /* 0 = 64 */
    unsigned max_requests; /* under way, for each client; 0 = 64 */
    /* The method `reload`: read the config again and put it into force, as SIGHUP does. Returns 0,
     * or 1 when it stays as it was: the mistakes are in `problems` (a faulty file) or the sentence
     * is in err. */
    int (*reload)(struct gw_problems *problems, struct mw_error *err, void *userdata);
    void *userdata;
};

/* Returns 0, -EADDRINUSE when another daemon listens there, or another negative errno. */
int rpc_server_new(uv_loop_t *loop, const struct rpc_params *params, struct rpc_server **ret,
                   struct mw_error *err);
/* Closes all connections and removes the socket file. */
void rpc_server_free(struct rpc_server *s);

/* Appends the reference page docs/rpc.md. Returns 0 or -ENOMEM. */
int rpc_write_markdown(struct mw_buf *b);

#endif
