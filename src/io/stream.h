/*
 * A byte stream over TCP, TLS or a Unix socket, on one libuv loop.
 *
 * Owner: whoever called the constructor; mw_stream_free may be called at any time, also inside a
 * callback, and no callback comes after it. All calls on the loop's thread.
 * Reading is push: on_data gets bytes as they come, until mw_stream_pause. Writing is queued up to
 * write_limit bytes; beyond that mw_stream_write refuses with -ENOBUFS and takes nothing.
 * TLS (1.2 and up) is OpenSSL's SSL object on the socket's descriptor, driven by uv_poll.
 *
 * SIGPIPE is ignored in the whole process from the first mw_tls_new on, because OpenSSL writes to
 * the descriptor by itself (see io/handle.h). The codes of a failure are those of errno; for
 * certificates -EKEYEXPIRED and -EKEYREJECTED, for a peer or proxy that wants other credentials
 * -EACCES, for a host that does not exist -ENOENT with MW_STAGE_RESOLVE.
 */
#ifndef MW_IO_STREAM_H
#define MW_IO_STREAM_H

#include <uv.h>

#include "base/error.h"

struct mw_stream;
struct mw_tls; /* a client context: trust store, client certificate, verification; see below */

struct mw_tls_params {
    const char *ca_file;   /* PEM; NULL = the system's trust store */
    const char *cert_file; /* client certificate chain, PEM; NULL = none */
    const char *key_file;  /* its key, without a passphrase; NULL = in cert_file */
    bool insecure;         /* accept any certificate */
};

/* Returns 0, -EINVAL (a file that cannot be used; err names it) or -ENOMEM. */
int mw_tls_new(const struct mw_tls_params *params, struct mw_tls **ret, struct mw_error *err);
void mw_tls_free(struct mw_tls *tls);

/* Stages of a connection attempt, so that a failure can name where it happened. */
enum mw_stream_stage {
    MW_STAGE_RESOLVE,
    MW_STAGE_CONNECT,
    MW_STAGE_PROXY,
    MW_STAGE_TLS,
    MW_STAGE_OPEN,
};

struct mw_stream_ops {
    /* The stream is ready for use (after TLS and the proxy, if any). Not called for accepted
     * streams. */
    void (*on_open)(struct mw_stream *s, void *userdata);
    /* data is valid during the call only. */
    void (*on_data)(struct mw_stream *s, const char *data, size_t len, void *userdata);
    /* The write queue ran empty after it held something. May be NULL. */
    void (*on_drain)(struct mw_stream *s, void *userdata);
    /* The peer ended its side and may still read: the owner writes what is left and ends with
     * mw_stream_shutdown; on_close comes when the peer is gone altogether. Never with TLS. NULL =
     * an end by the peer is the end of the stream. */
    void (*on_end)(struct mw_stream *s, void *userdata);
    /* The stream ended: err->code == 0 is an orderly end by the peer. Comes once, nothing comes
     * after it; the owner still has to free the stream. `stage` tells how far it had come. */
    void (*on_close)(struct mw_stream *s, enum mw_stream_stage stage, const struct mw_error *err,
                     void *userdata);
};

struct mw_stream_params {
    const char *host; /* name or address; for a Unix socket NULL */
    uint16_t port;
    const char *unix_path;
    struct mw_tls *tls; /* NULL = plain; must outlive the stream */
    const char *proxy;  /* "http://[user:password@]host:port", tunnelled by CONNECT; NULL = none */
    int64_t connect_timeout_ms;      /* for everything up to on_open; 0 = 30 s */
    size_t write_limit;              /* bytes; 0 = 1 MiB */
    const struct mw_stream_ops *ops; /* static */
    void *userdata;
};

/* Starts to connect; the outcome comes by on_open or on_close, never before this returns. The
 * addresses of a name are tried in turn, each with an equal share of the time that is left. The
 * strings are copied. Returns 0, -ENOMEM or -EINVAL. */
int mw_stream_connect(uv_loop_t *loop, const struct mw_stream_params *params,
                      struct mw_stream **ret, struct mw_error *err);

/* Wraps a connected socket (taken over, also on failure; made non-blocking). Reading starts with
 * the next round of the loop. Returns 0 or a negative errno. */
int mw_stream_from_fd(uv_loop_t *loop, int fd, const struct mw_stream_ops *ops, void *userdata,
                      size_t write_limit, struct mw_stream **ret);

void mw_stream_free(struct mw_stream *s);

/* Writes what the kernel takes at once and queues a copy of the rest; before on_open all is queued.
 * Never calls back. Returns 0, -ENOBUFS (over write_limit), -EPIPE (closed) or -ENOMEM. */
int mw_stream_write(struct mw_stream *s, const void *data, size_t len) MW_MUST_CHECK;

/* Ends the stream once the write queue is empty (which a peer that does not read can put off for
 * ever: the owner that cannot wait frees the stream): on_close comes with code 0 when the peer has
 * ended its side too, or after 1 s. What the peer still sends meanwhile is dropped. */
void mw_stream_shutdown(struct mw_stream *s);

/* Closes at once without flushing: TCP reset when `reset`. on_close does not come. The owner still
 * has to free the stream. */
void mw_stream_abort(struct mw_stream *s, bool reset);

/* While paused nothing is read, so an orderly end of the peer is not noticed either. */
void mw_stream_pause(struct mw_stream *s);
void mw_stream_resume(struct mw_stream *s);

/* Bytes queued and not yet taken by the kernel. */
size_t mw_stream_queued(const struct mw_stream *s);

/* Facts for a diagnosis: the peer's address, and for TLS the protocol version, the certificate's
 * subject, issuer and its end in wall clock ms. NULL/0 where unknown. Valid until the stream is
 * freed. */
struct mw_stream_info {
    const char *peer;
    const char *tls_version;
    const char *cert_subject;
    const char *cert_issuer;
    int64_t cert_not_after;
};
void mw_stream_get_info(const struct mw_stream *s, struct mw_stream_info *ret);

#endif
