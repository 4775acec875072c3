#include "base/str.h"
#include "gateway/internal.h"

#define DEFAULT_LIMIT 1000

/* Cursors in the store: of a stream's consumer, and of a bot's handlers. */
#define STREAM "stream:"
#define ROUTE  "route:"

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
    bool gone;  /* its bot is not in the config */
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

static bool configured(const struct gw *gw, const char *bot)
{
    for (size_t i = 0; i < gw->n_bots; i++) {
        if (mw_streq(gw->bots[i]->name, bot))
            return true;
    }
    return false;
}

void gw_consumers_reloaded(struct gw *gw)
{
    for (struct gw_consumer *c = gw->consumers; c; c = c->next) {
        bool was = c->gone;

        c->gone = c->bot && !configured(gw, c->bot);
        if (c->gone && !was)
            arm(c, true);
    }
}

bool gw_consumer_gone(const struct gw_consumer *c)
{
    return c->gone;
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
        c->cursor = mw_asprintf(STREAM "%s", params->name);
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

/* ---- What the store has of them ---- */

struct listing {
    struct gw *gw;
    cJSON *array;
    bool failed;
};

/* A stream's consumer goes by its name, a bot's own by its name in the store. */
static const char *public_name(const char *cursor)
{
    return mw_starts_with(cursor, STREAM) ? cursor + strlen(STREAM) : cursor;
}

static bool attached(const struct gw *gw, const char *cursor)
{
    if (mw_starts_with(cursor, ROUTE))
        return configured(gw, cursor + strlen(ROUTE));
    return in_use(gw, public_name(cursor));
}

static bool list_cursor(const char *cursor, int64_t position, int64_t updated_at, void *userdata)
{
    struct listing *l = userdata;
    MW_AUTOJSON *o = cJSON_CreateObject();
    int64_t last = mw_store_last_event_id(l->gw->store);

    if (!o ||
        (mw_json_add_str(o, "name", public_name(cursor)) |
         mw_json_add_str(o, "type", mw_starts_with(cursor, STREAM) ? "stream" : "route") |
         mw_json_add_i64(o, "position", position) |
         mw_json_add_i64(o, "lag", last > position ? last - position : 0) |
         mw_json_add_bool(o, "connected", attached(l->gw, cursor)) |
         mw_json_add_i64(o, "updated_at", updated_at)) ||
        mw_json_push(l->array, take_ptr(o)))
        l->failed = true;
    return !l->failed;
}

cJSON *gw_consumers_json(struct gw *gw)
{
    MW_AUTOJSON *array = cJSON_CreateArray();
    struct listing l = {.gw = gw, .array = array};

    if (!array || mw_store_cursors(gw->store, list_cursor, &l) < 0 || l.failed)
        return NULL;
    return take_ptr(array);
}

/* ---- Deleting ---- */

struct deletion {
    struct gw_consumer *keeper; /* so long nobody can read under the name */
    int64_t position;
    gw_cb cb;
    void *userdata;
};

static void on_deleted(const struct mw_tx_result *res, void *userdata)
{
    struct deletion *d = userdata;
    const char *cursor = d->keeper->cursor;
    struct gw_reply r = {.code = GW_OK, .result = cJSON_CreateObject()};

    if (res->error) {
        gw_reply_error(d->cb, d->userdata, GW_INTERNAL, res->message);
    } else if (!r.result || (mw_json_add_str(r.result, "name", public_name(cursor)) |
                             mw_json_add_str(r.result, "type",
                                             mw_starts_with(cursor, STREAM) ? "stream" : "route") |
                             mw_json_add_i64(r.result, "position", d->position))) {
        gw_reply_error(d->cb, d->userdata, GW_INTERNAL, NULL);
    } else {
        d->cb(&r, d->userdata);
    }
    cJSON_Delete(r.result);
    gw_consumer_free(d->keeper);
    free(d);
}

static int start_deletion(struct gw *gw, const char *name, const char *cursor, int64_t position,
                          gw_cb cb, void *userdata)
{
    struct deletion *d = calloc(1, sizeof(*d));
    struct gw_consumer *c = calloc(1, sizeof(*c));
    struct mw_tx *tx = mw_tx_new(gw->store);

    if (!d || !c || !tx || mw_str_set(&c->name, name) || mw_str_set(&c->cursor, cursor) ||
        mw_tx_cursor_delete(tx, cursor)) {
        mw_tx_free(tx);
        if (c)
            consumer_destroy(c);
        free(d);
        return -ENOMEM;
    }
    c->gw = gw;
    c->next = gw->consumers;
    gw->consumers = c;
    gw->n_consumers++;
    *d = (struct deletion){.keeper = c, .position = position, .cb = cb, .userdata = userdata};
    mw_tx_commit(tx, on_deleted, d);
    return 0;
}

static void not_there(struct gw *gw, const char *name, gw_cb cb, void *userdata)
{
    MW_AUTOJSON *all = gw_consumers_json(gw);
    struct mw_nearest near = {.name = name};
    MW_AUTOFREE char *sentence = NULL;
    const cJSON *item;

    cJSON_ArrayForEach(item, all)
    {
        mw_nearest_offer(&near, mw_json_str_or(item, "name", ""));
    }
    if (mw_nearest_get(&near))
        sentence = mw_asprintf("there is no consumer \"%s\"; did you mean \"%s\"?", name,
                               mw_nearest_get(&near));
    else
        sentence = mw_asprintf("there is no consumer \"%s\"", name);
    gw_reply_error(cb, userdata, GW_NOT_FOUND, sentence);
}

void gw_consumer_delete(struct gw *gw, const char *name, gw_cb cb, void *userdata)
{
    MW_AUTOFREE char *cursor = mw_asprintf(STREAM "%s", name), *sentence = NULL;
    int64_t position = 0;
    int rc = cursor ? mw_store_cursor(gw->store, cursor, &position) : -ENOMEM;

    if (rc == 1 && mw_starts_with(name, ROUTE)) {
        rc = mw_str_set(&cursor, name);
        rc = rc ? rc : mw_store_cursor(gw->store, cursor, &position);
    }
    if (rc == 1) {
        not_there(gw, name, cb, userdata);
        return;
    }
    if (rc == 0 && attached(gw, cursor)) {
        if (mw_starts_with(cursor, ROUTE))
            sentence = mw_asprintf("\"%s\" is the position of a bot that is configured: it is what "
                                   "its handlers have done",
                                   name);
        else
            sentence = mw_asprintf("consumer \"%s\" is being read: end that stream first", name);
        gw_reply_error(cb, userdata, GW_REFUSED, sentence);
        return;
    }
    if (rc < 0 || start_deletion(gw, name, cursor, position, cb, userdata))
        gw_reply_error(cb, userdata, GW_INTERNAL, NULL);
}
