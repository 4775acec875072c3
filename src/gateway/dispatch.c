/*
 * The route consumer of one bot.
 *
 *   journal --triage--> tasks + cursor (one transaction) --> conversations --> turns
 *
 * Tasks always come from the store, also new ones: a restart is the same path. Those in memory are
 * limited; when there are more the journal waits, and the cursor with it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/dispatch_internal.h"

#define BATCH        256  /* events a transaction */
#define MAX_TASKS    1000 /* in memory */
#define AGAIN_MAX_MS 300000
#define CURSOR_MS    1000 /* how long a cursor that only skipped may lag */

static void read_journal(struct gw_dispatch *d);
static void load_tasks(struct gw_dispatch *d);

void gw_dispatch_retry(struct gw_dispatch *d)
{
    mw_timer_start(d->timer, GW_RETRY_MS);
}

static void on_committed(const struct mw_tx_result *res, void *userdata)
{
    struct gw_dispatch *d = userdata;

    d->commits--;
    if (res->error && !d->stopped)
        mw_log_error("what belongs to an answer could not be stored", MW_F_STR("bot", d->bot->name),
                     MW_F_STR("reason", res->message));
    gw_sender_wake(d->bot->sender);
    gw_reap_later(d->bot->gw);
}

void gw_dispatch_commit(struct gw_dispatch *d, struct mw_tx *tx)
{
    d->commits++;
    mw_tx_commit(tx, on_committed, d);
}

void gw_dispatch_go_on(struct gw_dispatch *d)
{
    if (d->more_tasks && d->tasks < MAX_TASKS / 2)
        load_tasks(d);
    read_journal(d);
}

/* ---- Tasks from the store ---- */

struct loading {
    struct gw_dispatch *d;
    unsigned n;
    bool failed;
};

static bool load_task(const struct mw_task *row, void *userdata)
{
    struct loading *ld = userdata;
    struct gw_dispatch *d = ld->d;
    struct gw_conversation *c = gw_conversation_get(d, row->conversation);
    struct gw_task *t = c ? calloc(1, sizeof(*t)) : NULL;

    if (t)
        t->handler = strdup(row->handler);
    if (!t || !t->handler)
        goto failed;
    t->id = row->id;
    t->event_id = row->event_id;
    t->created_at = row->created_at;
    t->attempts = row->attempts;
    t->failures = row->failures;
    t->known_at = mw_clock_mono();
    /* Somebody may have set the clock since: never longer than the longest wait. */
    if (row->not_before > mw_clock_now())
        t->due = mw_clock_mono() + MW_MIN(row->not_before - mw_clock_now(), AGAIN_MAX_MS);
    if (gw_conversation_add(c, t)) /* the oldest first */
        goto failed;
    d->last_task = row->id;
    ld->n++;
    return true;
failed:
    /* It stays in the store, and those behind it. */
    gw_task_free(t);
    if (c && !c->head && !c->turn)
        mw_map_remove(&d->conversations, c->key);
    ld->failed = true;
    return false;
}

static void load_tasks(struct gw_dispatch *d)
{
    struct loading ld = {.d = d};
    unsigned room = d->tasks < MAX_TASKS ? MAX_TASKS - d->tasks : 0;
    int rc;

    d->more_tasks = true;
    if (!room || d->stopped)
        return;
    rc = mw_store_tasks(d->bot->gw->store, d->bot->name, MW_TASK_PENDING, d->last_task, room,
                        load_task, &ld);
    d->more_tasks = rc < 0 || ld.failed || ld.n == room;
    if (rc < 0 || ld.failed)
        mw_timer_start(d->timer, GW_RETRY_MS);
}

/* ---- Journal ---- */

struct batch {
    struct gw_dispatch *d;
    struct gw_triage triage;
    unsigned events;
    int64_t last;
    bool failed, undecided;
    bool steered; /* by the last event: it is stored before anything else can go wrong */
};

static bool batch_event(const struct mw_event *ev, void *userdata)
{
    struct batch *b = userdata;
    int rc = gw_triage(b->d, ev, &b->triage);

    b->failed = rc < 0;
    b->undecided = rc == 1;
    if (rc)
        return false;
    b->last = ev->id;
    b->events++;
    b->steered = b->triage.steered;
    return !b->steered;
}

/* The server said who somebody is, or could not be asked: then later. */
static void on_answered(bool answered, void *userdata)
{
    struct gw_dispatch *d = userdata;

    d->asking = false;
    d->unread = true;
    if (answered)
        read_journal(d);
    else
        gw_dispatch_retry(d);
}

static void ask(struct gw_dispatch *d, const struct gw_question *q)
{
    struct gw_bot *bot = d->bot;

    d->unread = true;
    if (!bot->client) {
        gw_dispatch_retry(d);
        return;
    }
    d->asking = true;
    gw_members_ask(&bot->members, bot->client, q, on_answered, d);
}

static void on_cursor_stored(const struct mw_tx_result *res, void *userdata)
{
    struct gw_dispatch *d = userdata;

    d->commits--;
    d->committing = false;
    if (res->error) {
        /* Nothing of it happened: decide again from where the store is. */
        d->cursor = d->stored;
        d->unread = true;
        mw_timer_start(d->timer, GW_RETRY_MS);
    } else {
        d->stored = d->cursor;
        gw_sender_wake(d->bot->sender); /* a word to somebody may be among it */
        load_tasks(d);
        read_journal(d);
    }
    gw_reap_later(d->bot->gw);
}

static int store_cursor(struct gw_dispatch *d, struct mw_tx *tx, int64_t cursor)
{
    if (mw_tx_cursor(tx, d->consumer, cursor))
        return -ENOMEM;
    d->cursor = cursor;
    d->committing = true;
    d->commits++;
    mw_tx_commit(tx, on_cursor_stored, d);
    return 0;
}

/* Moves the stored cursor over events that nobody handles. */
static void store_skips(struct gw_dispatch *d)
{
    struct mw_tx *tx;

    if (d->committing || d->cursor == d->stored)
        return;
    tx = mw_tx_new(d->bot->gw->store);
    if (!tx || store_cursor(d, tx, d->cursor)) {
        mw_tx_free(tx);
        mw_timer_start(d->timer, GW_RETRY_MS);
    }
}

static void read_journal(struct gw_dispatch *d)
{
    struct gw_bot *bot = d->bot;
    struct mw_store *store = bot->gw->store;

    while (!d->committing && !d->asking && !d->stopped && !d->more_tasks && !bot->removed &&
           bot->names_known) {
        int64_t end = bot->gw->committed_id;
        struct batch b = {.d = d, .last = d->cursor};
        const struct mw_event_filter f = {
            .after_id = d->cursor,
            .bot = bot->name,
            .limit = BATCH,
        };

        if (end <= d->cursor)
            return;
        if (!d->unread) {
            /* All of it belongs to other bots. */
            d->cursor = end;
            if (d->cursor - d->stored >= BATCH * 16)
                store_skips(d);
            return;
        }
        b.triage.tx = mw_tx_new(store);
        if (!b.triage.tx || mw_store_events(store, &f, batch_event, &b, NULL) < 0 || b.failed) {
            mw_tx_free(b.triage.tx);
            gw_dispatch_retry(d);
            return;
        }
        if (b.events < BATCH && !b.undecided && !b.steered) {
            b.last = MW_MAX(b.last, end); /* what is between belongs to other bots */
            d->unread = false;
        }
        if (b.triage.rows && store_cursor(d, b.triage.tx, b.last)) {
            mw_tx_free(b.triage.tx);
            d->unread = true;
            gw_dispatch_retry(d);
            return;
        }
        if (!b.triage.rows) {
            mw_tx_free(b.triage.tx);
            d->cursor = b.last;
        }
        if (b.undecided)
            ask(d, &b.triage.question);
        if (b.triage.rows || b.undecided)
            return;
        if (d->cursor - d->stored >= BATCH * 4)
            store_skips(d);
        else if (!mw_timer_active(d->timer))
            mw_timer_start(d->timer, CURSOR_MS);
    }
}

/* What could not go on for lack of memory, or because the store said no. */
static void on_timer(void *userdata)
{
    struct gw_dispatch *d = userdata;
    size_t it = 0;
    void *value;

    store_skips(d);
    if (d->stopped)
        return;
    /* A try ends nothing at once, so the map does not change under us. */
    while (mw_map_next(&d->conversations, &it, NULL, &value))
        gw_conversation_try(value);
    if (d->more_tasks)
        load_tasks(d);
    read_journal(d);
}

/* ---- Interface ---- */

/* A new bot handles what comes from now on, not what a journal may hold already. Committed in front
 * of all that; nobody waits for it, because the bot may be given up before it is put into force. */
static int begin_here(struct gw_dispatch *d)
{
    struct gw *gw = d->bot->gw;
    struct mw_tx *tx = mw_tx_new(gw->store);

    d->cursor = mw_store_last_event_id(gw->store);
    if (!tx || mw_tx_cursor(tx, d->consumer, d->cursor)) {
        mw_tx_free(tx);
        return -ENOMEM;
    }
    mw_tx_commit(tx, NULL, NULL);
    return 0;
}

int gw_dispatch_new(struct gw_bot *bot, struct gw_dispatch **ret, struct mw_error *err)
{
    struct gw_dispatch *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        return mw_error_set(err, -ENOMEM, "out of memory");
    d->bot = bot;
    d->more_tasks = true;
    d->unread = true;
    mw_map_init(&d->conversations, gw_conversation_free);
    d->consumer = mw_asprintf("route:%s", bot->name);
    if (!d->consumer || mw_timer_new(bot->gw->loop, on_timer, d, &d->timer)) {
        gw_dispatch_free(d);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    rc = mw_store_cursor(bot->gw->store, d->consumer, &d->cursor);
    if (rc == 1)
        rc = begin_here(d);
    d->stored = d->cursor;
    if (rc) {
        gw_dispatch_free(d);
        return mw_error_set(err, rc, "the position of bot \"%s\" could not be read", bot->name);
    }
    *ret = d;
    return 0;
}

void gw_dispatch_free(struct gw_dispatch *d)
{
    size_t it = 0;
    void *value;

    if (!d)
        return;
    while (mw_map_next(&d->conversations, &it, NULL, &value))
        gw_conversation_stop_waiting(value);
    mw_map_deinit(&d->conversations);
    mw_timer_free(d->timer);
    free(d->consumer);
    free(d);
}

void gw_dispatch_journaled(struct gw_dispatch *d)
{
    d->unread = true;
}

void gw_dispatch_wake(struct gw_dispatch *d)
{
    if (d->more_tasks)
        load_tasks(d);
    read_journal(d);
}

void gw_dispatch_added(struct gw_dispatch *d)
{
    d->more_tasks = true;
    gw_dispatch_wake(d);
}

void gw_dispatch_stop(struct gw_dispatch *d)
{
    size_t it = 0;
    void *value;

    d->stopped = true;
    mw_timer_stop(d->timer);
    while (mw_map_next(&d->conversations, &it, NULL, &value)) {
        struct gw_conversation *c = value;

        gw_conversation_stop_waiting(c);
        mw_timer_free(take_ptr(c->timer));
    }
    store_skips(d);
}

void gw_dispatch_cancel(struct gw_dispatch *d)
{
    size_t it = 0;
    void *value;

    while (mw_map_next(&d->conversations, &it, NULL, &value)) {
        struct gw_turn_run *t = ((struct gw_conversation *)value)->turn;

        if (t && t->why == GW_WHY_NOT)
            gw_turn_cancel(t, GW_WHY_SHUTDOWN);
    }
}

void gw_dispatch_delivered(struct gw_dispatch *d, const struct gw_delivery *delivery)
{
    size_t it = 0;
    void *value;

    while (mw_map_next(&d->conversations, &it, NULL, &value)) {
        struct gw_turn_run *t = ((struct gw_conversation *)value)->turn;

        if (t && !t->ended) {
            gw_preview_delivered(t, delivery);
            gw_asks_delivered(t, delivery);
        }
    }
}

void gw_dispatch_forget_routes(struct gw_dispatch *d)
{
    size_t it = 0;
    void *value;

    while (mw_map_next(&d->conversations, &it, NULL, &value)) {
        struct gw_turn_run *t = ((struct gw_conversation *)value)->turn;

        if (t)
            gw_turn_forget_route(t);
    }
}

bool gw_dispatch_busy(const struct gw_dispatch *d)
{
    return d->commits || d->turns;
}

void gw_dispatch_get_stats(const struct gw_dispatch *d, struct gw_dispatch_stats *ret)
{
    *ret = (struct gw_dispatch_stats){
        .cursor = d->cursor,
        .conversations = (unsigned)d->conversations.count,
        .running = d->turns,
        .tasks = d->tasks,
    };
}
