/*
 * JSON-RPC 2.0 messages, one object a line. Bytes in, messages out; no I/O. Not thread safe.
 * Source: the JSON-RPC 2.0 specification. Of it, batches and positional parameters are refused.
 */
#ifndef RPC_MESSAGE_H
#define RPC_MESSAGE_H

#include "base/json.h"

enum rpc_code { /* beside those of enum gw_code */
                RPC_PARSE_ERROR = -32700,
                RPC_INVALID_REQUEST = -32600,
                RPC_UNKNOWN_METHOD = -32601,
                RPC_BAD_CONFIG = -32006,
};

struct rpc_request {
    cJSON *tree;     /* owns the rest */
    const cJSON *id; /* NULL = a notification, or unreadable */
    const char *method;
    const cJSON *params; /* an object; NULL = none */
};

/* Returns 0 (free with rpc_request_deinit), 1 when it is no valid request (*ret_code and err say
 * why; ret->id is set when it could be read, free as well), or -ENOMEM. */
int rpc_request_parse(const char *line, size_t len, struct rpc_request *ret, int *ret_code,
                      struct mw_error *err);
void rpc_request_deinit(struct rpc_request *r);

/* Append one line. id NULL is written as null. Return 0, -ENOMEM or -E2BIG. `result` is JSON text,
 * data may be NULL. */
int rpc_write_result(struct mw_buf *b, const cJSON *id, const char *result);
int rpc_write_error(struct mw_buf *b, const cJSON *id, int code, const char *message,
                    const cJSON *data);

/* The short name of an error code, which goes into data.reason: "not_found". */
const char *rpc_code_name(int code);
/* One sentence for the reference; iterate `i` from 0 until false. */
bool rpc_code_doc(size_t i, int *ret_code, const char **ret_name, const char **ret_doc);

#endif
