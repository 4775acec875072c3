/*
 * Between the files of src/rpc: the server, its connections, their calls and subscriptions.
 *
 * A connection lives until its peer goes, it breaks a limit, or the server ends. What is under way
 * for it (calls) may outlive it: then call->conn is NULL and the answer is dropped.
 */
#ifndef RPC_INTERNAL_H
#define RPC_INTERNAL_H

#include "io/handle.h"
#include "io/stream.h"
#include "rpc/message.h"
#include "rpc/methods.h"
#include "rpc/rpc.h"

#define RPC_QUEUE_HIGH                                                                             \
    (1024 * 1024) /* bytes unsent: take no more requests, give no more events                      \
                   */
#define RPC_WRITE_LIMIT       (32 * 1024 * 1024) /* bytes unsent: beyond it the client is cut off */
#define RPC_RESULT_MAX        (8 * 1024 * 1024)  /* bytes of one answer */
#define RPC_MAX_SUBSCRIPTIONS 16                 /* of one client */

struct rpc_server {
    uv_loop_t *loop;
    struct rpc_params params;
    char *path;
    int fd;
    struct mw_watch *watch;
    struct mw_timer *reap;  /* frees connections that are dead */
    struct mw_timer *retry; /* accepts again after the system ran out of descriptors */
    struct rpc_conn *conns;
    unsigned n_conns;
    struct mw_buf out; /* scratch */
};

struct rpc_conn {
    struct rpc_server *server;
    struct rpc_conn *next, *prev;
    struct mw_stream *stream;
    struct mw_buf in;
    struct rpc_call *calls;
    unsigned n_calls;
    struct rpc_subscription *subs;
    unsigned n_subs;
    int64_t last_sub; /* number of the newest subscription */
    bool paused;      /* the stream is not read */
    bool ended;       /* the client sends no more; ends once it has all its answers */
    bool last_line;   /* what follows is not read any more; ends once all is written */
    bool dead;        /* freed in the next round of the loop, never from within a call */
    bool working;     /* its lines are being handled */
};

struct rpc_call {
    struct rpc_conn *conn; /* NULL = the client is gone */
    struct rpc_call *next, *prev;
    cJSON *id; /* NULL = a notification: no answer */
};

/* While the client is there: in a method's `run`. */
struct gw *rpc_call_gw(const struct rpc_call *call);
/* Answers; each ends the call. */
void rpc_call_text(struct rpc_call *call, const char *result); /* JSON text */
void rpc_call_json(struct rpc_call *call, cJSON *result);      /* taken over; NULL = no memory */
void rpc_call_done(struct rpc_call *call);                     /* {} */
/* data is taken over, may be NULL; `reason` is put into it. */
void rpc_call_error(struct rpc_call *call, int code, const char *message, cJSON *data);
void rpc_call_param_error(struct rpc_call *call, const char *param, const char *message);
void rpc_call_reply(struct rpc_call *call, struct gw_reply *reply);

/* Queues bytes; a client over the limit is cut off. */
void rpc_conn_write(struct rpc_conn *conn, const void *data, size_t len);
/* Cuts the client off. The connection is still there until the loop's next round. */
void rpc_conn_kill(struct rpc_conn *conn);
bool rpc_conn_full(const struct rpc_conn *conn);

/* ---- The tables of methods, by area ---- */

#define RPC_BOT_PARAM                                                                              \
    {                                                                                              \
        .name = "bot", .type = RPC_STRING,                                                         \
        .doc = "Name of the bot. May be left out when there is only one."                          \
    }
extern const struct rpc_method_table rpc_methods_post;
extern const struct rpc_method_table rpc_methods_read;
extern const struct rpc_method_table rpc_methods_work;
extern const struct rpc_method_table rpc_methods_pair;

/* The bot that the parameters name; NULL when the call was answered. */
struct gw_bot *rpc_call_bot(struct rpc_call *call, const cJSON *params);
/* A gw_cb that answers the call given as userdata. */
void rpc_call_on_reply(struct gw_reply *reply, void *call);

/* ---- history.c ---- */
void rpc_history(struct rpc_call *call, const cJSON *params);
void rpc_thread(struct rpc_call *call, const cJSON *params);
/* The bot that is needed to look the names up or to ask the server, or that is named; *ret NULL =
 * none is. False when the call was answered. */
struct gw_scope;
bool rpc_scope_bot(struct rpc_call *call, const cJSON *params, const struct gw_scope *scope,
                   struct gw_bot **ret);
/* Reads an array of kinds into a bit set. Returns 0, or 1 with a sentence. */
int rpc_kinds(const cJSON *params, const char *name, unsigned *ret, struct mw_error *err);

/* ---- subscription.c ---- */
void rpc_stream(struct rpc_call *call, const cJSON *params);
void rpc_stream_credit(struct rpc_call *call, const cJSON *params);
void rpc_stream_ack(struct rpc_call *call, const cJSON *params);
void rpc_stream_close(struct rpc_call *call, const cJSON *params);
void rpc_consumers(struct rpc_call *call, const cJSON *params);
void rpc_consumer_delete(struct rpc_call *call, const cJSON *params);
/* The client reads again. */
void rpc_subscriptions_pump(struct rpc_conn *conn);
void rpc_subscriptions_free(struct rpc_conn *conn);

#endif
