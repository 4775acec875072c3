/*
 * Server-sent events (the text/event-stream format of the HTML standard), sans I/O: bytes in,
 * events out.
 *
 * Lines may end with CR LF, CR or LF, also mixed. Comments and fields other than `data` and `event`
 * are left out, a byte order mark at the beginning as well. Not thread safe.
 */
#ifndef MW_IO_SSE_H
#define MW_IO_SSE_H

#include "base/buf.h"

struct mw_sse {
    struct mw_buf line, data, event;
    bool begun;    /* the first line is behind us */
    bool after_cr; /* a LF that comes now belongs to the line before */
    bool has_data;
};

struct mw_sse_event {
    const char *event; /* "" = a plain message */
    const char *data;  /* lines joined by LF, NUL behind it */
    size_t len;
};

/* Valid during the call. Anything but 0 ends the feeding and comes back from it. */
typedef int (*mw_sse_cb)(const struct mw_sse_event *e, void *userdata);

/* max_event: bytes of a line and of the data of an event. */
void mw_sse_init(struct mw_sse *s, size_t max_event);
void mw_sse_deinit(struct mw_sse *s);

/* Returns 0, -ENOMEM, -E2BIG (over max_event), or what cb returned; it cannot be fed after that. */
int mw_sse_feed(struct mw_sse *s, const char *data, size_t len, mw_sse_cb cb, void *userdata);
/* No more bytes come. A last event without its empty line counts, although the standard drops it:
 * not every server writes that line. */
int mw_sse_end(struct mw_sse *s, mw_sse_cb cb, void *userdata);

#endif
