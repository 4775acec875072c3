/*
 * A transaction on its way from the loop's thread to the writer: operations packed one after the
 * other in one buffer, so that an event costs two allocations. Belongs to one thread at a time.
 */
#ifndef MW_STORE_TX_H
#define MW_STORE_TX_H

#include "base/buf.h"
#include "store/store.h"

/* The text members of an event but for `bot`, in the order of the journal's columns. */
#define MW_EVENT_TEXTS(X)                                                                          \
    X(object)                                                                                      \
    X(post_id)                                                                                     \
    X(root_id)                                                                                     \
    X(channel_id)                                                                                  \
    X(channel_name)                                                                                \
    X(channel_type)                                                                                \
    X(team_id)                                                                                     \
    X(team_name)                                                                                   \
    X(user_id)                                                                                     \
    X(user_name)                                                                                   \
    X(text)                                                                                        \
    X(files)                                                                                       \
    X(detail)                                                                                      \
    X(raw)

enum mw_op_type {
    MW_OP_EVENT,
    MW_OP_OBSERVED_POST,
    MW_OP_POSITION,
    MW_OP_CURSOR,
    MW_OP_CURSOR_DELETE,
    MW_OP_TASK_ADD,
    MW_OP_TASK_START,
    MW_OP_TASK_END,
    MW_OP_TASK_AGAIN,
    MW_OP_TASK_RETRY,
    MW_OP_TASK_DROP,
    MW_OP_OUTBOX_ADD,
    MW_OP_OUTBOX_UPDATE,
    MW_OP_OUTBOX_RETRY,
    MW_OP_OUTBOX_DROP,
    MW_OP_SET,
    MW_OP_FILE_PUT,
    MW_OP_FILE_USED,
    MW_OP_FILE_FORGET,
    MW_OP_COUNT,
};

enum { MW_OP_INTS = 8, MW_OP_TEXTS = 15 };

/* Places in `ints` and `texts` of MW_OP_EVENT and MW_OP_OBSERVED_POST. */
enum {
    MW_EV_KIND,
    MW_EV_FLAGS,
    MW_EV_AT,
    MW_EV_RECEIVED_AT,
    MW_EV_REVISION,
    MW_EV_DELETED_AT,
    MW_EV_INTS
};
enum {
    MW_EV_BOT,
#define X(name) MW_EV_##name,
    MW_EVENT_TEXTS(X)
#undef X
        MW_EV_TEXTS
};

struct mw_op {
    enum mw_op_type type;
    unsigned n_ints, n_texts;
    int64_t ints[MW_OP_INTS];
    struct {
        const char *s; /* NULL = absent */
        int len;
    } texts[MW_OP_TEXTS];
};

struct mw_tx {
    struct mw_store *store;
    struct mw_tx *next; /* in a queue */
    struct mw_buf ops;
    unsigned n_ops;
    int error; /* of a builder, sticks */
    size_t charged;
    mw_tx_cb cb;
    void *userdata;
    struct mw_tx_result result;
    char *message; /* owns result.message */
};

/* Reads the operation at *at and moves on; false at the end. The texts point into the transaction.
 */
bool mw_tx_next(const struct mw_tx *tx, size_t *at, struct mw_op *ret);

/* Sets the outcome; keeps a copy of message. */
void mw_tx_fail(struct mw_tx *tx, int error, const char *message);
void mw_tx_reset_result(struct mw_tx *tx);

#endif
