#include "base/str.h"
#include "gateway/internal.h"

#define DEFAULT_LIMIT 1000

struct gw_consumer {
    struct gw *gw;
    struct gw_consumer *next;
    char *name;   /* NULL = not durable */
    char *cursor; /* its name in the store */
    char *bot;
    unsigned kinds;
    int64_t position; /* read up to here */
    int64_t acked;
    bool armed; /* on_ready may come */
    bool ready; /* on_ready is to come */
    bool live;  /* gets a live event in this round */
    void (*on_ready)(struct gw_consumer *c, void *userdata);
    void (*on_live)(struct gw_consumer *c, const struct mw_event *ev, void *userdata);
    void *userdata;
};

/* The callbacks may free any consumer, so every round starts from the head again. */
static void call_ready(struct gw *gw)
{
    struct gw_consumer *c = gw->consumers;

    while (c) {
        if (c->ready) {
            c->ready = false;
            c->on_ready(c, c->userdata);
            c = gw->consumers;
        } else {
            c = c->next;
        }
    }
}

static void arm(struct gw_consumer *c, bool now)
{
    c->armed = true;
    if (!now)
        return;
    c->armed = false;
    c->ready = true;
    mw_timer_start(c->gw->consumer_timer, 0);
}

void gw_consumers_commit(struct gw *gw)
{
    int64_t last = mw_store_last_event_id(gw->store);

    for (struct gw_consumer *c = gw->consumers; c; c = c->next) {
        if (c->armed && last > c->position) {
            c->armed = false;
            c->ready = true;
        }
    }
    call_ready(gw);
}

void gw_consumers_live(struct gw *gw, const struct mw_event *ev)
{
    struct gw_consumer *c;

    for (c = gw->consumers; c; c = c->next)
        c->live = c->on_live && (!c->bot || mw_streq(c->bot, ev->bot)) &&
                  (!c->kinds || c->kinds & 1u << ev->kind);
    for (c = gw->consumers; c;) {
        if (c->live) {
            c->live = false;
            c->on_live(c, ev, c->userdata);
            c = gw->consumers;
        } else {
            c = c->next;
        }
    }
}

/* Where it begins to read. */
static int begin(struct gw_consumer *c, int64_t after_id, struct mw_error *err)
{
    struct mw_store *store = c->gw->store;
    struct mw_tx *tx;
    int rc = 1;

    if (c->name) {
        rc = mw_store_cursor(store, c->cursor, &c->acked);
        if (rc < 0)
            return mw_error_set(err, rc, "the position of consumer \"%s\" could not be read",
                                c->name);
    }
    c->position = rc == 0 ? c->acked : mw_store_last_event_id(store);
    /* An id that was never given out is of another database: wait for no such event. */
    if (after_id >= 0)
        c->position = MW_MIN(after_id, mw_store_last_event_id(store));
    if (!c->name || rc == 0)
        return 0;
    /* A new durable consumer exists from now on, also when it never acknowledges anything. */
    c->acked = c->position;
    tx = mw_tx_new(store);
    if (!tx || mw_tx_cursor(tx, c->cursor, c->position)) {
        mw_tx_free(tx);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    mw_tx_commit(tx, NULL, NULL);
    return 0;
}

static bool in_use(const struct gw *gw, const char *name)
{
    for (const struct gw_consumer *c = gw->consumers; c; c = c->next) {
        if (mw_streq(c->name, name))
            return true;
    }
    return false;
}

static void consumer_destroy(struct gw_consumer *c)
{
    free(c->name);
    free(c->cursor);
    free(c->bot);
    free(c);
}

int gw_consumer_new(struct gw *gw, const struct gw_consumer_params *params,
                    struct gw_consumer **ret, struct mw_error *err)
{
    struct gw_consumer *c;
    int rc = 0;

    if (gw->n_consumers >= GW_MAX_CONSUMERS)
        return mw_error_set(err, -EMFILE, "too many readers: at most %d at a time",
                            GW_MAX_CONSUMERS);
    if (params->name && in_use(gw, params->name))
        return mw_error_set(err, -EBUSY, "consumer \"%s\" is being read by another client",
                            params->name);
    c = calloc(1, sizeof(*c));
    if (!c)
        return mw_error_set(err, -ENOMEM, "out of memory");
    c->gw = gw;
    c->kinds = params->kinds;
    c->on_ready = params->on_ready;
    c->on_live = params->typing ? params->on_live : NULL;
    c->userdata = params->userdata;
    if (params->name) {
        rc = mw_str_set(&c->name, params->name);
        c->cursor = mw_asprintf("stream:%s", params->name);
        if (!c->cursor)
            rc = -ENOMEM;
    }
    if (rc || mw_str_set(&c->bot, params->bot)) {
        consumer_destroy(c);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    rc = begin(c, params->after_id, err);
    if (rc) {
        consumer_destroy(c);
        return rc;
    }
    c->next = gw->consumers;
    gw->consumers = c;
    gw->n_consumers++;
    arm(c, mw_store_last_event_id(gw->store) > c->position);
    *ret = c;
    return 0;
}

struct reading {
    struct gw_consumer *c;
    mw_event_row_cb cb;
    void *userdata;
    unsigned n;
    bool stopped;
};

static bool read_event(const struct mw_event *ev, void *userdata)
{
    struct reading *r = userdata;

    if (!r->cb(ev, r->userdata)) {
        r->stopped = true;
        return false;
    }
    r->c->position = ev->id;
    r->n++;
    return true;
}

int gw_consumer_read(struct gw_consumer *c, unsigned limit, mw_event_row_cb cb, void *userdata)
{
    struct reading r = {.c = c, .cb = cb, .userdata = userdata};
    int64_t end = mw_store_last_event_id(c->gw->store);
    const struct mw_event_filter f = {
        .after_id = c->position,
        .bot = c->bot,
        .kinds = c->kinds,
        .limit = limit ? limit : DEFAULT_LIMIT,
    };
    int rc;

    c->ready = false;
    rc = end > c->position ? mw_store_events(c->gw->store, &f, read_event, &r, NULL) : 0;
    if (rc < 0) {
        arm(c, false);
        return rc;
    }
    /* What is between the last match and the end is not for this reader. */
    if (!r.stopped && r.n < f.limit)
        c->position = MW_MAX(c->position, end);
    arm(c, !r.stopped && r.n == f.limit);
    return (int)r.n;
}

int64_t gw_consumer_position(const struct gw_consumer *c)
{
    return c->position;
}

int gw_consumer_ack(struct gw_consumer *c, int64_t id)
{
    struct mw_tx *tx;

    if (!c->name || id > c->position)
        return -EINVAL;
    if (id <= c->acked)
        return 0;
    tx = mw_tx_new(c->gw->store);
    if (!tx || mw_tx_cursor(tx, c->cursor, id)) {
        mw_tx_free(tx);
        return -ENOMEM;
    }
    c->acked = id;
    mw_tx_commit(tx, NULL, NULL);
    return 0;
}

void gw_consumer_free(struct gw_consumer *c)
{
    struct gw_consumer **at;

    if (!c)
        return;
    for (at = &c->gw->consumers; *at != c; at = &(*at)->next)
        ;
    *at = c->next;
    c->gw->n_consumers--;
    consumer_destroy(c);
}

/* ---- For `status` ---- */

struct listing {
    struct gw *gw;
    cJSON *array;
    bool failed;
};

static bool list_cursor(const char *cursor, int64_t position, int64_t updated_at, void *userdata)
{
    struct listing *l = userdata;
    MW_AUTOJSON *o = cJSON_CreateObject();
    bool stream = mw_starts_with(cursor, "stream:");
    const char *name = stream ? cursor + strlen("stream:") : cursor;
    int64_t last = mw_store_last_event_id(l->gw->store);

    if (!o ||
        (mw_json_add_str(o, "name", name) |
         mw_json_add_str(o, "type", stream ? "stream" : "route") |
         mw_json_add_i64(o, "position", position) |
         mw_json_add_i64(o, "lag", last > position ? last - position : 0) |
         mw_json_add_bool(o, "connected", !stream || in_use(l->gw, name)) |
         mw_json_add_i64(o, "updated_at", updated_at)) ||
        mw_json_push(l->array, take_ptr(o)))
        l->failed = true;
    return !l->failed;
}

int gw_consumers_json(struct gw *gw, cJSON *array)
{
    struct listing l = {.gw = gw, .array = array};
    int rc = mw_store_cursors(gw->store, list_cursor, &l);

    return l.failed ? -ENOMEM : rc;
}
