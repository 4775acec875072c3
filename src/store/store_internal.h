/* The store's own parts, shared by store.c (open, close, delivery) and the queries. */
#ifndef MW_STORE_STORE_INTERNAL_H
#define MW_STORE_STORE_INTERNAL_H

#include "store/reader.h"
#include "store/writer.h"

struct mw_store {
    uv_loop_t *loop;
    char *path;
    int lock_fd;
    const struct mw_store_ops *ops;
    void *userdata;
    size_t queue_limit;

    uv_async_t wake;
    struct mw_writer writer;
    struct mw_reader reader;

    size_t queued_bytes, queued_tx;
    bool was_full; /* on_drain is owed */
    bool closing;
    struct mw_tx *late, **late_end; /* given while closing: canceled */

    struct mw_writer_report seen; /* what the loop has been told */
};

#endif
