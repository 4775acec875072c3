/*
 * WebSocket (RFC 6455) over a mw_stream, frames by wslay. Client and server role.
 *
 * Answers pings by itself. Limits: max_message bytes for a whole incoming message (close 1009
 * beyond), write_limit bytes queued outward (pongs and the close frame have 4 KiB of their own), 16
 * KiB for the head of the handshake's answer. No extensions, no compression. All calls on the
 * loop's thread; mw_ws_free may be called at any time, also inside a callback, and nothing is
 * called after it.
 */
#ifndef MW_IO_WS_H
#define MW_IO_WS_H

#include "base/buf.h"
#include "io/stream.h"

struct mw_ws;

enum mw_ws_end {
    MW_WS_END_CONNECT,   /* resolve, TCP, proxy or TLS failed; err names it */
    MW_WS_END_REFUSED,   /* the upgrade was answered with another status; see http_status. The
                            sentence has the first 200 bytes of the answer's text */
    MW_WS_END_HANDSHAKE, /* the answer to the upgrade was not a valid one, or the connection ended
                            before it came */
    MW_WS_END_CLOSED,    /* close frame; see close_code (1005 = none given) */
    MW_WS_END_LOST,      /* reset or end of stream without a close frame */
    MW_WS_END_TIMEOUT,   /* nothing was read for read_timeout_ms, or the answer to the upgrade or to
                            our close frame took too long */
    MW_WS_END_PROTOCOL,  /* the peer broke the protocol or a limit; see close_code, which we sent */
};

struct mw_ws_close {
    enum mw_ws_end end;
    int http_status;            /* MW_WS_END_REFUSED */
    int64_t retry_after_ms;     /* from a Retry-After header of a refused upgrade; -1 = none */
    int close_code;             /* MW_WS_END_CLOSED, MW_WS_END_PROTOCOL */
    enum mw_stream_stage stage; /* MW_WS_END_CONNECT */
    const struct mw_error *err; /* sentence for a person; valid during the call */
};

struct mw_ws_ops {
    void (*on_open)(struct mw_ws *ws, void *userdata); /* not for accepted ones */
    /* One whole message; data is valid during the call only. */
    void (*on_message)(struct mw_ws *ws, bool text, const char *data, size_t len, void *userdata);
    void (*on_drain)(struct mw_ws *ws, void *userdata); /* write queue empty; may be NULL */
    /* Comes once; the owner still has to free. */
    void (*on_close)(struct mw_ws *ws, const struct mw_ws_close *how, void *userdata);
};

struct mw_ws_params {
    const char *url;              /* ws:// or wss:// (http:// and https:// are read as those) */
    const char *const *headers;   /* "Name: value" lines, NULL-terminated; may hold a secret */
    struct mw_tls *tls;           /* for wss */
    const char *proxy;            /* NULL = none */
    int64_t handshake_timeout_ms; /* connect and upgrade; 0 = 30 s */
    int64_t ping_interval_ms;     /* own pings; 0 = none */
    int64_t read_timeout_ms;      /* nothing read for so long = dead; 0 = never */
    size_t max_message;           /* bytes; 0 = 4 MiB */
    size_t write_limit;           /* bytes; 0 = 1 MiB */
    const struct mw_ws_ops *ops;
    void *userdata;
};

/* The outcome comes by on_open or on_close, never before this returns. The strings are copied.
 * Returns 0, -EINVAL (URL, header, proxy, no TLS context for wss), -E2BIG (headers) or -ENOMEM. */
int mw_ws_connect(uv_loop_t *loop, const struct mw_ws_params *params, struct mw_ws **ret,
                  struct mw_error *err);

/* Server role on a socket whose upgrade (the 101 answer) is already done; `fd` is taken over.
 * `early` holds bytes that were read behind the request, if any. Of params, url, headers, tls and
 * proxy are ignored; on_open does not come. The client's frames must be masked. Returns 0 or a
 * negative errno. */
int mw_ws_accept(uv_loop_t *loop, int fd, const char *early, size_t early_len,
                 const struct mw_ws_params *params, struct mw_ws **ret);

/* The Sec-WebSocket-Accept value for a Sec-WebSocket-Key; buf has 29 bytes. Returns 0 or -EINVAL.
 */
int mw_ws_accept_key(const char *key, char *buf);

/* Returns 0, -ENOBUFS (over write_limit; nothing taken), -EPIPE (not open) or -ENOMEM. Never calls
 * back. */
int mw_ws_send_text(struct mw_ws *ws, const char *data, size_t len) MW_MUST_CHECK;
int mw_ws_ping(struct mw_ws *ws) MW_MUST_CHECK;

/* Sends a close frame; messages still come; on_close comes when the peer answers, or after 5 s with
 * MW_WS_END_TIMEOUT. Before on_open: ends the attempt (MW_WS_END_LOST). */
void mw_ws_close(struct mw_ws *ws, int code);
void mw_ws_free(struct mw_ws *ws);

/* Stops and restarts reading (back pressure); the read timeout rests while paused. */
void mw_ws_pause(struct mw_ws *ws);
void mw_ws_resume(struct mw_ws *ws);

size_t mw_ws_queued(const struct mw_ws *ws);

/* The stream below, for faults (freeze, reset) and diagnosis. */
struct mw_stream *mw_ws_stream(struct mw_ws *ws);

#endif
