#include "store/tx.h"

#include <limits.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/file.h"

/* Packed form: head, ints, text lengths (ABSENT for NULL), texts with their NUL. Parts are copied
 * in and out, so nothing needs to be aligned. */
struct head {
    uint8_t type, n_ints, n_texts;
};
#define ABSENT UINT32_MAX

struct mw_tx *mw_tx_new(struct mw_store *s)
{
    struct mw_tx *tx = calloc(1, sizeof(*tx));

    if (!tx)
        return NULL;
    tx->store = s;
    mw_buf_init(&tx->ops, 0);
    return tx;
}

void mw_tx_free(struct mw_tx *tx)
{
    if (!tx)
        return;
    mw_buf_deinit(&tx->ops);
    free(tx->message);
    free(tx);
}

void mw_tx_fail(struct mw_tx *tx, int error, const char *message)
{
    mw_tx_reset_result(tx);
    tx->message = strdup(message);
    tx->result.error = error;
    tx->result.message = tx->message ? tx->message : "out of memory";
}

void mw_tx_reset_result(struct mw_tx *tx)
{
    free(take_ptr(tx->message));
    tx->result = (struct mw_tx_result){0};
}

static int refuse(struct mw_tx *tx, int error)
{
    if (tx->error == 0)
        tx->error = error;
    return error;
}

static int put(struct mw_tx *tx, enum mw_op_type type, unsigned n_ints, const int64_t *ints,
               unsigned n_texts, const char *const *texts)
{
    struct head head = {(uint8_t)type, (uint8_t)n_ints, (uint8_t)n_texts};
    uint32_t lens[MW_OP_TEXTS];
    size_t total = sizeof(head) + n_ints * sizeof(*ints) + n_texts * sizeof(lens[0]);
    char *to;

    if (tx->error)
        return tx->error;
    for (unsigned i = 0; i < n_texts; i++) {
        size_t len = texts[i] ? strlen(texts[i]) : 0;

        if (len >= INT_MAX)
            return refuse(tx, -E2BIG);
        lens[i] = texts[i] ? (uint32_t)len : ABSENT;
        total += texts[i] ? len + 1 : 0;
    }
    to = mw_buf_reserve(&tx->ops, total);
    if (!to)
        return refuse(tx, -ENOMEM);
    memcpy(to, &head, sizeof(head));
    to += sizeof(head);
    if (n_ints)
        memcpy(to, ints, n_ints * sizeof(*ints));
    to += n_ints * sizeof(*ints);
    if (n_texts)
        memcpy(to, lens, n_texts * sizeof(lens[0]));
    to += n_texts * sizeof(lens[0]);
    for (unsigned i = 0; i < n_texts; i++)
        if (lens[i] != ABSENT) {
            memcpy(to, texts[i], lens[i] + 1);
            to += lens[i] + 1;
        }
    mw_buf_commit(&tx->ops, total);
    tx->n_ops++;
    return 0;
}

#define PUT(tx, type, ints, texts)                                                                 \
    put((tx), (type), MW_ARRAY_LEN(ints), (ints), MW_ARRAY_LEN(texts), (texts))

bool mw_tx_next(const struct mw_tx *tx, size_t *at, struct mw_op *ret)
{
    uint32_t lens[MW_OP_TEXTS];
    struct head head;
    const char *p;

    if (*at >= tx->ops.len)
        return false;
    p = tx->ops.data + *at;
    memcpy(&head, p, sizeof(head));
    p += sizeof(head);
    ret->type = (enum mw_op_type)head.type;
    ret->n_ints = head.n_ints;
    ret->n_texts = head.n_texts;
    memcpy(ret->ints, p, head.n_ints * sizeof(ret->ints[0]));
    p += head.n_ints * sizeof(ret->ints[0]);
    memcpy(lens, p, head.n_texts * sizeof(lens[0]));
    p += head.n_texts * sizeof(lens[0]);
    for (unsigned i = 0; i < head.n_texts; i++) {
        ret->texts[i].s = lens[i] == ABSENT ? NULL : p;
        ret->texts[i].len = lens[i] == ABSENT ? 0 : (int)lens[i];
        p += lens[i] == ABSENT ? 0 : lens[i] + 1;
    }
    *at = (size_t)(p - tx->ops.data);
    return true;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static int put_event(struct mw_tx *tx, enum mw_op_type type, const struct mw_event *ev,
                     int64_t deleted_at)
{
    const int64_t ints[MW_EV_INTS] = {
        [MW_EV_KIND] = ev->kind,
        [MW_EV_FLAGS] = ev->flags,
        [MW_EV_AT] = ev->at,
        [MW_EV_RECEIVED_AT] = ev->received_at ? ev->received_at : mw_clock_now(),
        [MW_EV_REVISION] = ev->revision,
        [MW_EV_DELETED_AT] = deleted_at,
    };
    const char *texts[MW_EV_TEXTS] = {[MW_EV_BOT] = or_empty(ev->bot),
#define X(name) [MW_EV_##name] = or_empty(ev->name),
                                      MW_EVENT_TEXTS(X)
#undef X
    };

    return PUT(tx, type, ints, texts);
}

int mw_tx_event(struct mw_tx *tx, const struct mw_event *ev)
{
    if (!mw_event_kind_name(ev->kind) || ev->kind == MW_EVENT_TYPING)
        return refuse(tx, -EINVAL);
    return put_event(tx, MW_OP_EVENT, ev, 0);
}

int mw_tx_observed_post(struct mw_tx *tx, const struct mw_event *ev, int64_t deleted_at)
{
    if (ev->kind != MW_EVENT_POST || !ev->object || !*ev->object)
        return refuse(tx, -EINVAL);
    return put_event(tx, MW_OP_OBSERVED_POST, ev, deleted_at);
}

int mw_tx_position(struct mw_tx *tx, const char *bot, const char *channel_id, int64_t seen_at,
                   const char *post_id, int64_t post_at)
{
    const int64_t ints[] = {seen_at, post_at, 1};
    const char *texts[] = {or_empty(bot), or_empty(channel_id), or_empty(post_id)};

    return PUT(tx, MW_OP_POSITION, ints, texts);
}

int mw_tx_cursor(struct mw_tx *tx, const char *consumer, int64_t position)
{
    const int64_t ints[] = {position, mw_clock_now()};
    const char *texts[] = {consumer};

    return PUT(tx, MW_OP_CURSOR, ints, texts);
}

int mw_tx_cursor_delete(struct mw_tx *tx, const char *consumer)
{
    return put(tx, MW_OP_CURSOR_DELETE, 0, NULL, 1, &consumer);
}

int mw_tx_task_add(struct mw_tx *tx, const struct mw_task *t)
{
    int64_t now = mw_clock_now();
    const int64_t ints[] = {t->event_id, t->state ? t->state : MW_TASK_PENDING, t->attempts,
                            t->created_at ? t->created_at : now, now};
    const char *texts[] = {or_empty(t->bot), or_empty(t->handler), or_empty(t->conversation),
                           or_empty(t->error)};

    return PUT(tx, MW_OP_TASK_ADD, ints, texts);
}

int mw_tx_task_start(struct mw_tx *tx, int64_t task_id)
{
    const int64_t ints[] = {mw_clock_now(), task_id};

    return put(tx, MW_OP_TASK_START, MW_ARRAY_LEN(ints), ints, 0, NULL);
}

int mw_tx_task_end(struct mw_tx *tx, int64_t task_id, enum mw_task_state state, const char *error)
{
    const int64_t ints[] = {state, mw_clock_now(), task_id};
    const char *texts[] = {or_empty(error)};

    return PUT(tx, MW_OP_TASK_END, ints, texts);
}

int mw_tx_task_again(struct mw_tx *tx, int64_t task_id, int64_t not_before, const char *error)
{
    const int64_t ints[] = {not_before, mw_clock_now(), task_id};
    const char *texts[] = {or_empty(error)};

    return PUT(tx, MW_OP_TASK_AGAIN, ints, texts);
}

static int put_id(struct mw_tx *tx, enum mw_op_type type, int64_t id)
{
    const int64_t ints[] = {id, mw_clock_now()};

    return put(tx, type, MW_ARRAY_LEN(ints), ints, 0, NULL);
}

int mw_tx_task_retry(struct mw_tx *tx, int64_t task_id)
{
    return put_id(tx, MW_OP_TASK_RETRY, task_id);
}

int mw_tx_task_drop(struct mw_tx *tx, int64_t task_id)
{
    return put_id(tx, MW_OP_TASK_DROP, task_id);
}

int mw_tx_outbox_retry(struct mw_tx *tx, int64_t id)
{
    return put_id(tx, MW_OP_OUTBOX_RETRY, id);
}

int mw_tx_outbox_drop(struct mw_tx *tx, int64_t id)
{
    return put_id(tx, MW_OP_OUTBOX_DROP, id);
}

int mw_tx_outbox_add(struct mw_tx *tx, const struct mw_outbox *o)
{
    int64_t now = mw_clock_now();
    const int64_t ints[] = {o->event_id, o->not_before, o->created_at ? o->created_at : now, now};
    const char *texts[] = {or_empty(o->bot),        or_empty(o->key),
                           or_empty(o->kind),       or_empty(o->conversation),
                           or_empty(o->channel_id), or_empty(o->payload)};

    return PUT(tx, MW_OP_OUTBOX_ADD, ints, texts);
}

int mw_tx_outbox_update(struct mw_tx *tx, int64_t id, enum mw_outbox_state state, int attempts,
                        int64_t not_before, int64_t first_tried_at, const char *result_id,
                        const char *error, const char *payload)
{
    const int64_t ints[] = {state, attempts, not_before, first_tried_at, mw_clock_now(), id};
    const char *texts[] = {or_empty(result_id), or_empty(error), payload};

    return PUT(tx, MW_OP_OUTBOX_UPDATE, ints, texts);
}

int mw_tx_set(struct mw_tx *tx, const char *scope, const char *key, const char *value)
{
    return mw_tx_set_until(tx, scope, key, value, 0);
}

int mw_tx_set_until(struct mw_tx *tx, const char *scope, const char *key, const char *value,
                    int64_t expires_at)
{
    const int64_t ints[] = {expires_at};
    const char *texts[] = {scope, key, value};

    return PUT(tx, MW_OP_SET, ints, texts);
}

int mw_tx_file_put(struct mw_tx *tx, const struct mw_file *f)
{
    const int64_t ints[] = {f->size, f->used_at};
    const char *texts[] = {or_empty(f->id), or_empty(f->hash), or_empty(f->name),
                           or_empty(f->type)};

    return PUT(tx, MW_OP_FILE_PUT, ints, texts);
}

int mw_tx_file_used(struct mw_tx *tx, const char *id, int64_t used_at)
{
    return put(tx, MW_OP_FILE_USED, 1, &used_at, 1, &id);
}

int mw_tx_file_forget(struct mw_tx *tx, const char *hash)
{
    return put(tx, MW_OP_FILE_FORGET, 0, NULL, 1, &hash);
}
