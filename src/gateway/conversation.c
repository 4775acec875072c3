/*
 * Conversations: tasks in order, one turn at a time; what came quickly is answered together.
 *
 * A turn needs a free place of its handler, of its route and of the daemon. Conversations that wait
 * for one stand in one line; whenever a place becomes free the first that fits goes.
 */
#include "base/clock.h"
#include "base/str.h"
#include "gateway/dispatch_internal.h"

#define MAX_ATTEMPTS    3 /* starts of a task that our own death ended */
#define MAX_TOGETHER    20
#define MAX_TOGETHER_MS 30000 /* however often somebody goes on typing */

void gw_task_free(struct gw_task *t)
{
    if (!t)
        return;
    free(t->handler);
    free(t->ev);
    free(t);
}

void gw_conversation_free(void *value)
{
    struct gw_conversation *c = value;

    if (!c)
        return;
    gw_conversation_stop_waiting(c);
    while (c->head) {
        struct gw_task *t = c->head;

        c->head = t->next;
        gw_task_free(t);
    }
    mw_timer_free(c->timer);
    free(c->key);
    free(c);
}

struct gw_conversation *gw_conversation_get(struct gw_dispatch *d, const char *key)
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
        gw_conversation_free(c);
        return NULL;
    }
    return c;
}

/* ---- The line ---- */

static void wait_in_line(struct gw_conversation *c, struct gw_handler *h)
{
    struct gw *gw = c->d->bot->gw;

    if (c->waits_for)
        return;
    c->waits_for = h;
    h->waiting++;
    c->wait_prev = gw->wait_tail;
    c->wait_next = NULL;
    *(gw->wait_tail ? &gw->wait_tail->wait_next : &gw->wait_head) = c;
    gw->wait_tail = c;
}

void gw_conversation_stop_waiting(struct gw_conversation *c)
{
    struct gw *gw = c->d->bot->gw;

    if (!c->waits_for)
        return;
    take_ptr(c->waits_for)->waiting--;
    *(c->wait_prev ? &c->wait_prev->wait_next : &gw->wait_head) = c->wait_next;
    *(c->wait_next ? &c->wait_next->wait_prev : &gw->wait_tail) = c->wait_prev;
    c->wait_prev = c->wait_next = NULL;
}

static bool has_place(const struct gw *gw, const struct gw_handler *h, const struct gw_task *t)
{
    const struct gw_route *r = t->route;

    return gw->running < gw->config->daemon.concurrency &&
           h->running < MW_MAX(h->config->concurrency, 1) &&
           !(r && r->config->concurrency && r->running >= r->config->concurrency);
}

void gw_conversations_kick(struct gw *gw)
{
    struct gw_conversation *c = gw->wait_head;

    while (c && !gw->stopping) {
        struct gw_conversation *next = c->wait_next;

        gw_conversation_try(c); /* leaves the line when it can go; frees nothing */
        c = next;
    }
}

/* ---- What is at the head ---- */

static bool take_event(const struct mw_event *ev, void *userdata)
{
    struct gw_task *t = userdata;

    t->ev = mw_event_dup(ev);
    return false;
}

/* The route that this task was made by, in the config that is in force now. */
static int find_route(struct gw_bot *bot, struct gw_task *t)
{
    struct gw_facts facts;
    struct gw_route *r;

    if (gw_facts_of(bot, t->ev, &facts))
        return -ENOMEM;
    r = gw_route_of(&bot->routes, &facts, t->ev);
    for (size_t i = 0; !(r && mw_streq(r->config->handler, t->handler)); i++) {
        if (i == bot->routes.n) {
            r = NULL;
            break;
        }
        r = &bot->routes.items[i];
    }
    t->route = r;
    t->generation = bot->generation;
    return 0;
}

int gw_task_load(struct gw_conversation *c, struct gw_task *t)
{
    struct gw_bot *bot = c->d->bot;

    if (!t->ev) {
        int rc = mw_store_event(bot->gw->store, t->event_id, take_event, t);

        if (rc)
            return rc;
        if (!t->ev)
            return -ENOMEM;
        t->generation = bot->generation - 1;
    }
    return t->generation == bot->generation ? 0 : find_route(bot, t);
}

static int64_t debounce_of(const struct gw_task *t)
{
    return t->route ? t->route->config->policy.debounce_ms : 0;
}

static bool goes_with(const struct gw_task *first, const struct gw_task *t)
{
    return first->ev->kind == MW_EVENT_POST && t->ev->kind == MW_EVENT_POST &&
           t->route == first->route && mw_streq(t->handler, first->handler) &&
           mw_streq(t->ev->user_id, first->ev->user_id) && !t->failures &&
           mw_streq(t->ev->root_id, first->ev->root_id);
}

/* How many tasks from the head on are answered together; *ret_wait: what is still to be waited for
 * more of them. */
static unsigned together(struct gw_conversation *c, int64_t *ret_wait)
{
    struct gw_task *first = c->head, *last = first;
    int64_t debounce = debounce_of(first), now = mw_clock_now(), wait, known;
    unsigned n = 1;

    *ret_wait = 0;
    if (!debounce || first->ev->kind != MW_EVENT_POST)
        return 1;
    while (last->next && n < MAX_TOGETHER && !gw_task_load(c, last->next) &&
           goes_with(first, last->next) && last->next->ev->at - last->ev->at <= debounce) {
        last = last->next;
        n++;
    }
    /* Something else is next in line, or it has been long enough. */
    if (last->next || n == MAX_TOGETHER || now - first->created_at >= MAX_TOGETHER_MS)
        return n;
    wait = last->created_at + debounce - now;
    /* Somebody may have set the clock back since. */
    known = last->known_at + debounce - mw_clock_mono();
    *ret_wait = MW_MAX(MW_MIN(wait, known), 0);
    return n;
}

static void on_due(void *userdata)
{
    gw_conversation_try(userdata);
}

static void wait_until_due(struct gw_conversation *c, int64_t wait)
{
    if (!c->timer && mw_timer_new(c->d->bot->gw->loop, on_due, c, &c->timer))
        gw_dispatch_retry(c->d);
    else
        mw_timer_start(c->timer, MW_MAX(wait, 1));
}

/* ---- Going on ---- */

static void start(struct gw_conversation *c, struct gw_handler *h, const char *problem)
{
    gw_conversation_stop_waiting(c);
    if (gw_turn_start(c, h, problem))
        gw_dispatch_retry(c->d);
}

void gw_conversation_try(struct gw_conversation *c)
{
    struct gw_dispatch *d = c->d;
    struct gw *gw = d->bot->gw;
    struct gw_task *t = c->head;
    struct gw_handler *h;
    int64_t wait;
    int rc;

    if (c->turn || !t || d->stopped)
        return;
    if (!d->bot->configured) { /* for lack of memory; that is tried again, too */
        gw_dispatch_retry(d);
        return;
    }
    wait = t->due ? t->due - mw_clock_mono() : 0;
    if (wait > 0) {
        wait_until_due(c, wait);
        return;
    }
    rc = gw_task_load(c, t);
    if (rc < 0) {
        gw_dispatch_retry(d);
        return;
    }
    h = mw_map_get(&gw->handlers, t->handler);
    if (rc == 1) {
        start(c, NULL, "the event is no longer in the journal");
    } else if (!h || !h->config) {
        start(c, NULL, "the handler is no longer in the config");
    } else if (t->attempts - t->failures >= MAX_ATTEMPTS) {
        start(c, NULL, "given up: the daemon died three times while this event was handled");
    } else {
        together(c, &wait);
        if (wait > 0)
            wait_until_due(c, wait);
        else if (!has_place(gw, h, t) || (h->waiting && !c->waits_for))
            wait_in_line(c, h);
        else
            start(c, h, NULL);
    }
}

unsigned gw_conversation_together(struct gw_conversation *c)
{
    int64_t wait;

    return together(c, &wait);
}

int gw_conversation_add(struct gw_conversation *c, struct gw_task *t)
{
    struct gw_dispatch *d = c->d;

    if (mw_streq(t->handler, GW_CONTROL_HANDLER))
        return gw_control_run(c, t);
    *(c->tail ? &c->tail->next : &c->head) = t;
    c->tail = t;
    d->tasks++;
    if (c->turn)
        gw_turn_interrupt(c->turn);
    else
        gw_conversation_try(c);
    return 0;
}

void gw_conversation_next(struct gw_conversation *c, unsigned n)
{
    struct gw_dispatch *d = c->d;

    while (n-- && c->head) {
        struct gw_task *t = c->head;

        c->head = t->next;
        if (!c->head)
            c->tail = NULL;
        gw_task_free(t);
        d->tasks--;
    }
    if (c->head)
        gw_conversation_try(c);
    else
        mw_map_remove(&d->conversations, c->key);
}
