/*
 * HTTP client: libcurl's multi interface on the libuv loop, with keep-alive connections.
 *
 * One mw_http per server and identity (its TLS options and proxy). Keeps no cookies and follows no
 * redirects by itself (the status comes back as it is). All calls on the loop's thread.
 *
 * A request goes out once. The only exception: GET, HEAD and OPTIONS are sent again when a kept
 * connection dies under them before the first byte of an answer. Sentences in errors name host and
 * reason, never path, query, headers or body. An upload or download reads and writes its file on
 * the loop's thread. SIGPIPE is ignored in the whole process from the first mw_http_new on.
 */
#ifndef MW_IO_HTTP_H
#define MW_IO_HTTP_H

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "io/stream.h"

struct mw_http;
struct mw_http_call;

struct mw_http_params {
    struct mw_tls_params tls; /* strings are copied */
    const char *proxy;        /* NULL = none (the environment is not read) */
    int64_t timeout_ms;       /* for a whole call; 0 = 30 s */
    const char *user_agent;
    unsigned max_connections; /* 0 = 8 */
};

int mw_http_new(uv_loop_t *loop, const struct mw_http_params *params, struct mw_http **ret,
                struct mw_error *err);
/* Calls still under way end with -ECANCELED before this returns. May be called inside a callback.
 * The memory goes when the loop has closed the handles. */
void mw_http_free(struct mw_http *http);

enum mw_http_phase { /* how far a failed call came: may the server have acted on it? */
                     MW_HTTP_NOT_SENT,  /* resolve, connect, TLS: the server never saw it */
                     MW_HTTP_AMBIGUOUS, /* sent, but no complete answer came */
                     MW_HTTP_ANSWERED,
};

struct mw_http_response {
    int error;           /* 0, or a negative errno: -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET (closed
                            before the answer was whole), -EHOSTUNREACH (name not found),
                            -ECANCELED, -E2BIG (answer over max_body), -EPROTO (TLS, not HTTP),
                            -EIO ... */
    struct mw_error err; /* the sentence for `error` */
    enum mw_http_phase phase;
    int status;               /* HTTP status, 0 without an answer */
    const char *content_type; /* "" when absent */
    struct mw_buf body;       /* may be moved out by the callback (take it and leave it empty) */
    int64_t retry_after_ms;   /* from Retry-After (seconds or date); -1 = absent */
    int64_t date_ms;          /* the server's Date header, wall clock ms; 0 = absent */
    const char *(*header)(const struct mw_http_response *r,
                          const char *name); /* any other; NULL = absent */
    /* All of them, as they came: *at is 0 at first; false behind the last one. */
    bool (*next_header)(const struct mw_http_response *r, size_t *at, const char **ret_name,
                        const char **ret_value);
    const void *impl;
};

/* `r` and all it holds are valid during the call. The callback may start new calls and free `http`.
 */
typedef void (*mw_http_cb)(const struct mw_http_response *r, void *userdata);

/* More of the body of a 2xx answer, as it comes in. Nothing of the call's own code is on the stack:
 * it may be canceled here, and `http` freed. A negative errno ends the call with that error. */
typedef int (*mw_http_data_cb)(int status, const char *data, size_t len, void *userdata);

struct mw_http_request {
    const char *method; /* "GET" ... */
    const char *url;
    const char *const
        *headers;     /* "Name: value", NULL-terminated; may be NULL; may hold a secret; copied */
    const char *body; /* copied; NULL = none */
    size_t body_len;
    const char *content_type;  /* of the body; NULL = application/json */
    const char *upload_path;   /* send this file as the body instead (streamed); NULL = none */
    const char *download_path; /* write a 2xx body to this file (created 0600, replaced); NULL = to
                                  memory */
    mw_http_data_cb on_data;   /* gets a 2xx body piece by piece, instead of memory; NULL = none */
    size_t max_body;           /* bytes of an answer in memory or to on_data; 0 = 16 MiB */
    int64_t timeout_ms;        /* 0 = the client's */
    mw_http_cb cb;
    void *userdata;
};

/* Starts a call; cb comes exactly once, never before this returns (unless this fails: then never).
 */
int mw_http_start(struct mw_http *http, const struct mw_http_request *req,
                  struct mw_http_call **ret_call, struct mw_error *err) MW_MUST_CHECK;

/* Ends a call; its cb comes with -ECANCELED before this returns. */
void mw_http_cancel(struct mw_http_call *call);

#endif
