/*
 * The route consumer of one bot.
 *
 *   journal --decide--> tasks + cursor (one transaction) --> conversations --> handler runs
 *   run ended --> outbox rows + end of the task (one transaction) --> sender
 *
 * Tasks always come from the store, also new ones: a restart is the same path. Those in memory are
 * limited; when there are more the journal waits, and the cursor with it.
 */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/fetch.h"
#include "gateway/internal.h"

#define BATCH        256  /* events a transaction */
#define MAX_TASKS    1000 /* in memory */
#define MAX_ATTEMPTS 3    /* starts of a task that our own death ended */
#define RETRY_MS     1000
#define AGAIN_MS     1000 /* the shortest wait after a failed attempt, and the longest */
#define AGAIN_MAX_MS 300000
#define CURSOR_MS    1000 /* how long a cursor that only skipped may lag */
#define TYPING_MS    4000

struct task {
    struct task *next;
    int64_t id, event_id;
    int attempts, failures;
    int64_t due; /* monotonic: not tried before; 0 = at once */
    char *handler;
};

struct run;

/* gw_conversation: tasks in order, one at a time. */
struct gw_conversation {
    struct gw_dispatch *d;
    char *key;
    struct task *head, *tail;
    struct run *run;
    struct mw_timer *timer;       /* until the head is due; NULL before it is needed */
    struct gw_handler *waits_for; /* a free place of this handler */
    struct gw_conversation *wait_next;
};

struct run {
    struct gw_dispatch *d;
    struct gw_conversation *c;
    struct gw_handler *h;
    struct gw_handler_run *under_way; /* NULL before the start and after the end */
    struct gw_handler_slot *slot;     /* NULL before the start */
    struct gw_event_files *files;     /* NULL = there are none */
    struct mw_event *ev;
    struct mw_timer *timer; /* typing; later: recording again */
    bool canceled;
    bool final; /* its failure is: another attempt would change nothing */
    bool again; /* it failed and will be tried again; known when the end is recorded */
    bool recording;
    enum gw_handler_end end;
    char *text, *error;
};

struct gw_dispatch {
    struct gw_bot *bot;
    char *consumer;    /* "route:BOT" */
    int64_t cursor;    /* decided up to here */
    int64_t stored;    /* of which the store knows */
    int64_t last_task; /* loaded up to this id */
    bool more_tasks;   /* in the store */
    bool committing;   /* a batch or the cursor */
    bool unread;       /* the journal may have events of the bot behind the cursor */
    bool stopped;
    unsigned commits, runs, tasks;
    struct mw_map conversations;
    struct mw_timer *timer;
};

static void read_journal(struct gw_dispatch *d);
static void load_tasks(struct gw_dispatch *d);
static void try_conversation(struct gw_conversation *c);
static int start_run(struct gw_conversation *c, struct gw_handler *h);
static void record_end(struct run *r);

/* ---- Conversations ---- */

static void task_free(struct task *t)
{
    if (t)
        free(t->handler);
    free(t);
}

static void conversation_free(void *value)
{
    struct gw_conversation *c = value;

    if (!c)
        return;
    while (c->head) {
        struct task *t = c->head;

        c->head = t->next;
        task_free(t);
    }
    mw_timer_free(c->timer);
    free(c->key);
    free(c);
}

static struct gw_conversation *conversation(struct gw_dispatch *d, const char *key)
{
    struct gw_conversation *c = mw_map_get(&d->conversations, key);

    if (c)
        return c;
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->d = d;
    c->key = strdup(key);
    if (!c->key || mw_map_put(&d->conversations, key, c)) {
        conversation_free(c);
        return NULL;
    }
    return c;
}

static void wait_for(struct gw_conversation *c, struct gw_handler *h)
{
    c->waits_for = h;
    c->wait_next = NULL;
    *(h->wait_tail ? &h->wait_tail->wait_next : &h->wait_head) = c;
    h->wait_tail = c;
    h->waiting++;
}

static void stop_waiting(struct gw_conversation *c)
{
    struct gw_handler *h = c->waits_for;
    struct gw_conversation **at, *before = NULL;

    if (!h)
        return;
    for (at = &h->wait_head; *at != c; at = &(*at)->wait_next)
        before = *at;
    *at = c->wait_next;
    if (h->wait_tail == c)
        h->wait_tail = before;
    h->waiting--;
    c->waits_for = NULL;
}

static bool has_place(const struct gw_handler *h)
{
    return h->running < (h->config->concurrency ? h->config->concurrency : 1);
}

/* The first in line takes the place that became free. */
static void next_in_line(struct gw_handler *h)
{
    while (h->wait_head && (!h->config || has_place(h))) {
        struct gw_conversation *c = h->wait_head;

        stop_waiting(c);
        if (start_run(c, h))
            mw_timer_start(c->d->timer, RETRY_MS);
    }
}

/* The head task is over. */
static void next_task(struct gw_conversation *c)
{
    struct gw_dispatch *d = c->d;
    struct task *t = c->head;

    c->head = t->next;
    if (!c->head)
        c->tail = NULL;
    task_free(t);
    d->tasks--;
    if (c->head)
        try_conversation(c);
    else
        mw_map_remove(&d->conversations, c->key);
}

/* ---- Runs ---- */

static void run_free(struct run *r)
{
    mw_timer_free(r->timer);
    gw_event_files_free(r->files);
    free(r->ev);
    free(r->text);
    free(r->error);
    free(r);
}

/* Ends the run. `done`: the task is over; otherwise it stays pending, for the next start of the
 * daemon or, unless we stop, for a try a little later. */
static void run_over(struct run *r, bool done)
{
    struct gw_dispatch *d = r->d;
    struct gw_conversation *c = r->c;
    struct gw_handler *h = r->h;

    c->run = NULL;
    d->runs--;
    if (h) {
        h->running--;
        c->head->attempts -= !done; /* only a death of ours counts */
    }
    if (r->slot)
        gw_handler_ended(r->slot);
    run_free(r);
    if (done) {
        next_task(c);
        gw_sender_wake(d->bot->sender);
    } else if (!d->stopped) {
        mw_timer_start(d->timer, RETRY_MS);
    }
    if (h)
        next_in_line(h);
    if (d->more_tasks && d->tasks < MAX_TASKS / 2)
        load_tasks(d);
    read_journal(d);
    gw_reap_later(d->bot->gw);
}

static void on_end_recorded(const struct mw_tx_result *res, void *userdata)
{
    struct run *r = userdata;

    r->d->commits--;
    r->recording = false;
    if (res->error) {
        if (r->d->stopped) {
            run_over(r, false);
            return;
        }
        /* The answer is still here: record it again. */
        mw_timer_start(r->timer, RETRY_MS);
        return;
    }
    if (r->again) {
        r->c->head->failures++;
        r->c->head->attempts++; /* run_over takes it back: this one counts */
    }
    run_over(r, !r->again && r->end != GW_HANDLER_CANCELED);
}

/* The place and the key of an answer. The key is made of the server's ids, so that it is the same
 * in every run of this event and in no other database. */
static int add_answer(struct mw_tx *tx, const struct run *r)
{
    const struct gw_bot *bot = r->d->bot;
    const struct mw_event *ev = r->ev;
    struct mm_server_info info = {.max_post_chars = 4000, .file_attachments = true};
    MW_AUTOFREE char *key =
        mw_asprintf("%s.%d.%lld", ev->object, (int)ev->kind, (long long)ev->revision);

    if (!key)
        return -ENOMEM;
    if (bot->client)
        mm_client_server(bot->client, &info);
    const struct gw_post post = {
        .bot = bot->name,
        .key = key,
        .channel_id = ev->channel_id,
        .root_id = gw_answer_root(&bot->route, ev),
        .conversation = r->c->key,
        .text = r->text,
        .event_id = ev->id,
        .max_chars = info.max_post_chars,
        .long_as_file = info.file_attachments || !info.version[0],
    };
    return gw_post_add(tx, &post, NULL);
}

/* A failure that is not the last one that the config allows: the same task, later. */
static int try_again(struct run *r, struct mw_tx *tx)
{
    struct task *t = r->c->head;
    int64_t wait;
    struct mw_backoff b;

    mw_backoff_init(&b, AGAIN_MS, AGAIN_MAX_MS, 1);
    b.failures = (unsigned)t->failures;
    wait = mw_backoff_next(&b, mw_clock_mono());
    t->due = mw_clock_mono() + wait;
    return mw_tx_task_again(tx, t->id, mw_clock_now() + wait, r->error);
}

static int end_tx(struct run *r, struct mw_tx *tx)
{
    static const enum mw_task_state states[] = {
        [GW_HANDLER_ANSWERED] = MW_TASK_DONE,    [GW_HANDLER_EMPTY] = MW_TASK_DONE,
        [GW_HANDLER_FAILED] = MW_TASK_FAILED,    [GW_HANDLER_TIMEOUT] = MW_TASK_FAILED,
        [GW_HANDLER_CANCELED] = MW_TASK_PENDING,
    };

    if (!tx || (r->end == GW_HANDLER_ANSWERED && add_answer(tx, r)))
        return -ENOMEM;
    r->again = states[r->end] == MW_TASK_FAILED && !r->final && r->h && r->h->config &&
               r->c->head->failures + 1 < (int)r->h->config->attempts;
    if (r->again)
        return try_again(r, tx);
    return mw_tx_task_end(tx, r->c->head->id, states[r->end], r->error ? r->error : "");
}

/* The answer and the end of the task, in one transaction. */
static void record_end(struct run *r)
{
    struct mw_tx *tx = mw_tx_new(r->d->bot->gw->store);

    if (end_tx(r, tx)) {
        mw_tx_free(tx);
        mw_timer_start(r->timer, RETRY_MS);
        return;
    }
    r->recording = true;
    r->d->commits++;
    mw_tx_commit(tx, on_end_recorded, r);
}

static void run_ended(struct run *r, enum gw_handler_end end, const char *text, const char *error)
{
    static const struct {
        enum mw_log_level level;
        const char *what;
    } logged[] = {
        [GW_HANDLER_ANSWERED] = {MW_LOG_DEBUG, "the handler answered"},
        [GW_HANDLER_EMPTY] = {MW_LOG_INFO, "the handler had no answer"},
        [GW_HANDLER_FAILED] = {MW_LOG_WARNING, "the handler failed"},
        [GW_HANDLER_TIMEOUT] = {MW_LOG_WARNING, "the handler took too long"},
        [GW_HANDLER_CANCELED] = {MW_LOG_INFO,
                                 "the handler was stopped, its event will be given again"},
    };
    struct gw_handler *h = r->h;

    r->under_way = NULL;
    r->end = end;
    if (mw_str_set(&r->text, text) && end == GW_HANDLER_ANSWERED) {
        /* No memory for the answer: the event is given again. */
        r->end = GW_HANDLER_CANCELED;
    }
    (void)!mw_str_set(&r->error, error);
    mw_log(logged[end].level, logged[end].what, MW_F_STR("bot", r->d->bot->name),
           MW_F_STR("handler", r->c->head->handler), MW_F_INT("event", r->c->head->event_id),
           MW_F_INT("attempt", r->c->head->attempts), MW_F_STR("reason", error));
    if (h) {
        h->ended[r->end]++;
        if (error && error[0]) {
            (void)!mw_str_set(&h->last_error, error);
            h->last_error_at = mw_clock_now();
        }
    }
    record_end(r);
}

static void on_text(void *turn, const char *text, size_t len)
{
}

static void on_activity(void *turn, const struct gw_activity *a)
{
}

static int on_ask(void *turn, const struct gw_permission *p)
{
    return -ENOSYS;
}

static void on_end(void *turn, const struct gw_handler_answer *a)
{
    struct run *r = turn;

    mw_timer_stop(r->timer);
    run_ended(r, a->end, a->end == GW_HANDLER_ANSWERED ? a->text : NULL,
              mw_error_is_set(&a->err) ? mw_error_text(&a->err) : NULL);
}

static const struct gw_turn_ops turn_ops = {
    .text = on_text,
    .activity = on_activity,
    .ask = on_ask,
    .end = on_end,
};

static void typing(struct run *r)
{
    struct gw_bot *bot = r->d->bot;

    if (bot->session)
        mm_session_typing(bot->session, r->ev->channel_id, gw_answer_root(&bot->route, r->ev));
    mw_timer_start(r->timer, TYPING_MS);
}

static void on_run_timer(void *userdata)
{
    struct run *r = userdata;

    if (r->under_way)
        typing(r);
    else
        record_end(r);
}

static bool take_event(const struct mw_event *ev, void *userdata)
{
    struct run *r = userdata;

    r->ev = mw_event_dup(ev);
    return false;
}

/* The machine has no room for the handler now. The event waits; told once, not at every try. */
static void held_up(struct run *r, const char *reason)
{
    struct gw_handler *h = r->h;

    mw_log(h->held_up ? MW_LOG_DEBUG : MW_LOG_WARNING, "the handler cannot start now",
           MW_F_STR("bot", r->d->bot->name), MW_F_STR("handler", h->name),
           MW_F_STR("reason", reason));
    h->held_up = true;
    (void)!mw_str_set(&h->last_error, reason);
    h->last_error_at = mw_clock_now();
    r->end = GW_HANDLER_CANCELED;
    record_end(r);
}

/* The event has all that it should have. */
static void start_handler(struct run *r)
{
    struct gw_dispatch *d = r->d;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int rc;

    if (!r->h->config) {
        run_over(r, false);
        return;
    }
    if (d->stopped || r->canceled) {
        run_ended(r, GW_HANDLER_CANCELED, NULL, NULL);
        return;
    }
    struct gw_turn turn = {
        .ev = r->ev,
        .text = r->ev->text,
        .conversation = r->c->key,
        .root_id = gw_answer_root(&d->bot->route, r->ev),
        .timeout_ms = r->h->config->timeout_ms,
    };
    gw_event_files_get(r->files, &turn);
    rc = gw_handler_start(d->bot->gw, r->h, &turn, &turn_ops, r, &r->slot, &r->under_way, &err);
    if (rc == -ENOMEM || rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE) {
        held_up(r, mw_error_text(&err));
    } else if (rc) {
        run_ended(r, GW_HANDLER_FAILED, NULL, mw_error_text(&err));
    } else {
        if (r->h->held_up)
            mw_log_info("the handler can start again", MW_F_STR("handler", r->h->name));
        r->h->held_up = false;
        typing(r);
    }
}

static void on_files(int error, void *userdata)
{
    struct run *r = userdata;

    if (error)
        run_ended(r, GW_HANDLER_CANCELED, NULL, NULL);
    else
        start_handler(r);
}

/* The attempt is counted; now the handler may see the event. */
static void on_start_recorded(const struct mw_tx_result *res, void *userdata)
{
    struct run *r = userdata;
    struct gw_dispatch *d = r->d;
    int rc;

    d->commits--;
    if (res->error || !r->h->config) {
        run_over(r, false);
        return;
    }
    if (d->stopped || r->canceled) {
        run_ended(r, GW_HANDLER_CANCELED, NULL, NULL);
        return;
    }
    rc = mw_store_event(d->bot->gw->store, r->c->head->event_id, take_event, r);
    if (rc == 1) {
        r->final = true;
        run_ended(r, GW_HANDLER_FAILED, NULL, "the event is no longer in the journal");
        return;
    }
    if (rc >= 0 && r->ev)
        rc = gw_event_files_start(d->bot, r->ev, on_files, r, &r->files);
    if (rc < 0 || !r->ev)
        run_over(r, false);
    else if (rc == 0)
        start_handler(r);
}

/* Ends the head task without a run: it cannot be run. */
static bool refuse(struct run *r, const char *why)
{
    run_ended(r, GW_HANDLER_FAILED, NULL, why);
    return true;
}

static int start_run(struct gw_conversation *c, struct gw_handler *h)
{
    struct gw_dispatch *d = c->d;
    struct run *r = calloc(1, sizeof(*r));
    struct mw_tx *tx = mw_tx_new(d->bot->gw->store);

    if (!r || !tx || mw_tx_task_start(tx, c->head->id) ||
        mw_timer_new(d->bot->gw->loop, on_run_timer, r, &r->timer)) {
        mw_tx_free(tx);
        free(r);
        return -ENOMEM;
    }
    r->d = d;
    r->c = c;
    c->run = r;
    d->runs++;
    if (!h || !h->config) {
        mw_tx_free(tx);
        refuse(r, "the handler is no longer in the config");
        return 0;
    }
    if (c->head->attempts - c->head->failures >= MAX_ATTEMPTS) {
        mw_tx_free(tx);
        refuse(r, "given up: the daemon died three times while this event was handled");
        return 0;
    }
    r->h = h;
    h->running++;
    c->head->attempts++;
    d->commits++;
    mw_tx_commit(tx, on_start_recorded, r);
    return 0;
}

static void on_due(void *userdata)
{
    try_conversation(userdata);
}

/* False: the head's next attempt is later, and a timer is set. */
static bool is_due(struct gw_conversation *c)
{
    int64_t wait = c->head->due ? c->head->due - mw_clock_mono() : 0;

    if (wait <= 0)
        return true;
    if (!c->timer && mw_timer_new(c->d->bot->gw->loop, on_due, c, &c->timer))
        mw_timer_start(c->d->timer, RETRY_MS);
    else
        mw_timer_start(c->timer, wait);
    return false;
}

static void try_conversation(struct gw_conversation *c)
{
    struct gw_dispatch *d = c->d;
    struct gw_handler *h;

    if (c->run || c->waits_for || !c->head || d->stopped || !is_due(c))
        return;
    h = mw_map_get(&d->bot->gw->handlers, c->head->handler);
    if (h && h->config && (h->wait_head || !has_place(h)))
        wait_for(c, h);
    else if (start_run(c, h))
        mw_timer_start(d->timer, RETRY_MS);
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
    struct gw_conversation *c = conversation(d, row->conversation);
    struct task *t = c ? calloc(1, sizeof(*t)) : NULL;

    if (t)
        t->handler = strdup(row->handler);
    if (!t || !t->handler) {
        task_free(t);
        if (c && !c->head)
            mw_map_remove(&d->conversations, c->key);
        ld->failed = true;
        return false;
    }
    t->id = row->id;
    t->event_id = row->event_id;
    t->attempts = row->attempts;
    t->failures = row->failures;
    /* Somebody may have set the clock since: never longer than the longest wait. */
    if (row->not_before > mw_clock_now())
        t->due = mw_clock_mono() + MW_MIN(row->not_before - mw_clock_now(), AGAIN_MAX_MS);
    *(c->tail ? &c->tail->next : &c->head) = t;
    c->tail = t;
    d->tasks++;
    d->last_task = row->id;
    ld->n++;
    try_conversation(c); /* the oldest first */
    return true;
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
        mw_timer_start(d->timer, RETRY_MS);
}

/* ---- Journal ---- */

struct batch {
    struct gw_dispatch *d;
    struct mw_tx *tx;
    unsigned events, tasks;
    int64_t last;
    bool failed;
};

static bool batch_event(const struct mw_event *ev, void *userdata)
{
    struct batch *b = userdata;
    struct gw_bot *bot = b->d->bot;
    enum gw_verdict v = gw_decide(&bot->route, ev);

    if (v == GW_RUN) {
        MW_AUTOFREE char *key = gw_conversation_key(&bot->route, ev);
        const struct mw_task task = {
            .event_id = ev->id,
            .bot = bot->name,
            .handler = bot->route.handler,
            .conversation = key,
            .state = MW_TASK_PENDING,
            .error = "",
        };

        if (!key || mw_tx_task_add(b->tx, &task)) {
            b->failed = true;
            return false;
        }
        b->tasks++;
    } else {
        mw_log_debug("no handler runs", MW_F_STR("bot", bot->name), MW_F_INT("event", ev->id),
                     MW_F_STR("reason", gw_verdict_name(v)));
    }
    bot->verdicts[v]++;
    b->last = ev->id;
    b->events++;
    return true;
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
        mw_timer_start(d->timer, RETRY_MS);
    } else {
        d->stored = d->cursor;
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
        mw_timer_start(d->timer, RETRY_MS);
    }
}

static void read_journal(struct gw_dispatch *d)
{
    struct gw_bot *bot = d->bot;
    struct mw_store *store = bot->gw->store;

    while (!d->committing && !d->stopped && !d->more_tasks && !bot->removed && bot->names_known) {
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
        b.tx = mw_tx_new(store);
        if (!b.tx || mw_store_events(store, &f, batch_event, &b, NULL) < 0 || b.failed) {
            mw_tx_free(b.tx);
            mw_timer_start(d->timer, RETRY_MS);
            return;
        }
        if (b.events < BATCH) {
            b.last = MW_MAX(b.last, end); /* what is between belongs to other bots */
            d->unread = false;
        }
        if (b.tasks) {
            if (store_cursor(d, b.tx, b.last)) {
                mw_tx_free(b.tx);
                d->unread = true;
                mw_timer_start(d->timer, RETRY_MS);
            }
            return;
        }
        mw_tx_free(b.tx);
        d->cursor = b.last;
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
        try_conversation(value);
    if (d->more_tasks)
        load_tasks(d);
    read_journal(d);
}

/* ---- Interface ---- */

int gw_dispatch_new(struct gw_bot *bot, struct gw_dispatch **ret, struct mw_error *err)
{
    struct gw_dispatch *d = calloc(1, sizeof(*d));
    int rc;

    if (!d)
        return mw_error_set(err, -ENOMEM, "out of memory");
    d->bot = bot;
    d->more_tasks = true;
    d->unread = true;
    mw_map_init(&d->conversations, conversation_free);
    d->consumer = mw_asprintf("route:%s", bot->name);
    if (!d->consumer || mw_timer_new(bot->gw->loop, on_timer, d, &d->timer)) {
        gw_dispatch_free(d);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    rc = mw_store_cursor(bot->gw->store, d->consumer, &d->cursor);
    d->stored = d->cursor;
    if (rc == 1) {
        /* A new bot handles what comes from now on, not what a journal may hold already. */
        struct mw_tx *tx = mw_tx_new(bot->gw->store);

        rc = tx ? store_cursor(d, tx, mw_store_last_event_id(bot->gw->store)) : -ENOMEM;
        if (rc)
            mw_tx_free(tx);
    }
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
        stop_waiting(value);
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

        stop_waiting(c);
        mw_timer_free(take_ptr(c->timer));
    }
    store_skips(d);
}

void gw_dispatch_cancel(struct gw_dispatch *d)
{
    size_t it = 0;
    void *value;

    while (mw_map_next(&d->conversations, &it, NULL, &value)) {
        struct run *r = ((struct gw_conversation *)value)->run;

        if (!r || r->canceled)
            continue;
        r->canceled = true;
        if (r->under_way) {
            gw_handler_slot_type(r->slot)->cancel(r->under_way);
        } else if (gw_event_files_waiting(r->files)) {
            gw_event_files_free(take_ptr(r->files));
            run_ended(r, GW_HANDLER_CANCELED, NULL, NULL);
        }
    }
}

bool gw_dispatch_busy(const struct gw_dispatch *d)
{
    return d->commits || d->runs;
}

void gw_dispatch_get_stats(const struct gw_dispatch *d, struct gw_dispatch_stats *ret)
{
    *ret = (struct gw_dispatch_stats){
        .cursor = d->cursor,
        .conversations = (unsigned)d->conversations.count,
        .running = d->runs,
        .tasks = d->tasks,
    };
}
