#include "gateway/work.h"

#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "gateway/internal.h"

#define TEXT_MAX 200 /* bytes of a text in a list */

static const char *const task_states[] = {
    [MW_TASK_PENDING] = "waiting",
    [MW_TASK_DONE] = "done",
    [MW_TASK_FAILED] = "failed",
    [MW_TASK_DROPPED] = "dropped",
};
static const char *const outbox_states[] = {
    [MW_OUTBOX_PENDING] = "waiting", [MW_OUTBOX_SENDING] = "sending", [MW_OUTBOX_SENT] = "sent",
    [MW_OUTBOX_FAILED] = "failed",   [MW_OUTBOX_DROPPED] = "dropped",
};

/* ---- Lists ---- */

struct listing {
    struct gw *gw;
    cJSON *items;
    unsigned n, limit;
    int64_t last;
    bool more, failed;
};

static int add_text(cJSON *o, const char *text)
{
    char part[TEXT_MAX + 4];
    size_t len = strlen(text);

    if (len <= TEXT_MAX)
        return mw_json_add_str(o, "text", text);
    for (len = TEXT_MAX; len && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    snprintf(part, sizeof(part), "%.*s…", (int)len, text);
    return mw_json_add_str(o, "text", part);
}

static bool add_event(const struct mw_event *ev, void *userdata)
{
    cJSON *o = userdata;

    /* What is missing is seen by the caller. */
    (void)(mw_json_add_str(o, "kind", mw_event_kind_name(ev->kind)) |
           mw_json_add_str(o, "channel_id", ev->channel_id) |
           mw_json_add_str(o, "channel_name", ev->channel_name) |
           mw_json_add_str(o, "user_id", ev->user_id) |
           mw_json_add_str(o, "user_name", ev->user_name) | add_text(o, ev->text) |
           mw_json_add_i64(o, "at", ev->at));
    return false;
}

/* True: there is room for one more. */
static bool room(struct listing *l, int64_t row)
{
    l->more = l->n == l->limit;
    if (!l->more) {
        l->n++;
        l->last = row;
    }
    return !l->more;
}

static bool list_task(const struct mw_task *t, void *userdata)
{
    struct listing *l = userdata;
    cJSON *o;

    if (!room(l, t->id))
        return false;
    o = cJSON_CreateObject();
    if (!o ||
        (mw_json_add_i64(o, "id", t->event_id) | mw_json_add_str(o, "bot", t->bot) |
         mw_json_add_str(o, "handler", t->handler) |
         mw_json_add_str(o, "state", task_states[t->state]) |
         mw_json_add_i64(o, "attempts", t->attempts) | mw_json_add_str(o, "error", t->error) |
         mw_json_add_i64(o, "created_at", t->created_at) |
         mw_json_add_i64(o, "updated_at", t->updated_at)) ||
        (t->not_before > 0 && t->state == MW_TASK_PENDING &&
         mw_json_add_i64(o, "next_at", t->not_before)) ||
        mw_store_event(l->gw->store, t->event_id, add_event, o) < 0) {
        cJSON_Delete(o);
        l->failed = true;
        return false;
    }
    l->failed = mw_json_push(l->items, o) < 0;
    return !l->failed;
}

static bool list_row(const struct mw_outbox *r, void *userdata)
{
    struct listing *l = userdata;
    MW_AUTOJSON *payload = NULL;
    MW_AUTOJSON *o = NULL;

    if (!room(l, r->id))
        return false;
    l->failed = true;
    o = cJSON_CreateObject();
    (void)!mw_json_parse(r->payload, strlen(r->payload), &payload, NULL);
    if (!o || (mw_json_add_i64(o, "id", r->id) | mw_json_add_str(o, "key", r->key) |
               mw_json_add_str(o, "bot", r->bot) | mw_json_add_str(o, "kind", r->kind) |
               mw_json_add_str(o, "state", outbox_states[r->state]) |
               mw_json_add_str(o, "channel_id", r->channel_id) |
               add_text(o, mw_json_str_or(payload, "message", "")) |
               mw_json_add_i64(o, "attempts", r->attempts) | mw_json_add_str(o, "error", r->error) |
               mw_json_add_i64(o, "created_at", r->created_at) |
               mw_json_add_i64(o, "updated_at", r->updated_at)))
        return false;
    if ((r->event_id && mw_json_add_i64(o, "event_id", r->event_id)) ||
        (r->result_id[0] && mw_json_add_str(o, "post_id", r->result_id)) ||
        (r->not_before > 0 && r->state <= MW_OUTBOX_SENDING &&
         mw_json_add_i64(o, "next_at", r->not_before)))
        return false;
    l->failed = mw_json_push(l->items, take_ptr(o)) < 0;
    return !l->failed;
}

cJSON *gw_work_json(struct gw *gw, enum gw_work work, const struct gw_work_filter *f)
{
    static const enum mw_task_state tasks[] = {
        [GW_WORK_WAITING] = MW_TASK_PENDING, [GW_WORK_FAILED] = MW_TASK_FAILED, [GW_WORK_ALL] = 0};
    static const unsigned rows[] = {
        [GW_WORK_WAITING] = 1u << MW_OUTBOX_PENDING | 1u << MW_OUTBOX_SENDING,
        [GW_WORK_FAILED] = 1u << MW_OUTBOX_FAILED,
        [GW_WORK_ALL] = 0,
    };
    struct listing l = {.gw = gw, .limit = f->limit ? f->limit : 100};
    MW_AUTOJSON *result = cJSON_CreateObject();
    int rc;

    l.items = result ? cJSON_CreateArray() : NULL;
    if (!l.items)
        return NULL;
    rc = work == GW_WORK_EVENTS ? mw_store_tasks(gw->store, f->bot, tasks[f->which], f->after,
                                                 l.limit + 1, list_task, &l)
                                : mw_store_outbox(gw->store, f->bot, rows[f->which], f->after,
                                                  l.limit + 1, list_row, &l);
    if ((mw_json_add(result, "items", l.items) | mw_json_add_bool(result, "more", l.more) |
         mw_json_add_i64(result, "last", l.last)) ||
        rc < 0 || l.failed)
        return NULL;
    return take_ptr(result);
}

/* ---- By hand ---- */

struct item {
    int64_t row; /* number of the task or of the outbox row */
    int64_t id;  /* what a person calls it */
    char *key, *bot;
    unsigned state;    /* before */
    unsigned states;   /* of how many: 0 = none was found */
    const char *after; /* name of the state */
    const char *message;
    bool changed; /* by our transaction */
    bool hurry;
    bool begun; /* gw_sender_drop_begin */
};

struct by_hand {
    struct gw *gw;
    enum gw_work work;
    enum gw_by_hand what;
    gw_cb cb;
    void *userdata;
    struct item *items;
    size_t n;
};

static void by_hand_free(struct by_hand *h)
{
    for (size_t i = 0; h->items && i < h->n; i++) {
        free(h->items[i].key);
        free(h->items[i].bot);
    }
    free(h->items);
    free(h);
}

static struct gw_bot *bot_of(struct gw *gw, const char *name)
{
    for (size_t i = 0; i < gw->n_bots; i++) {
        if (mw_streq(gw->bots[i]->name, name))
            return gw->bots[i];
    }
    return NULL;
}

/* A removed bot that still has something under way. */
static bool is_leaving(const struct gw *gw, const char *name)
{
    for (size_t i = 0; i < gw->n_gone; i++) {
        if (mw_streq(gw->gone[i]->name, name))
            return true;
    }
    return false;
}

/* What was begun ends; then the caller is told, and `h` is freed. */
static void finish(struct by_hand *h, bool committed, enum gw_code code, const char *fmt, ...)
    MW_PRINTF(4, 5);

static cJSON *result_json(const struct by_hand *h)
{
    MW_AUTOJSON *result = cJSON_CreateObject();
    cJSON *items = result ? cJSON_AddArrayToObject(result, "items") : NULL;

    for (size_t i = 0; items && i < h->n; i++) {
        const struct item *t = &h->items[i];
        cJSON *o = cJSON_CreateObject();

        if (mw_json_push(items, o) || mw_json_add_i64(o, "id", t->id) ||
            (t->key && mw_json_add_str(o, "key", t->key)) || mw_json_add_str(o, "bot", t->bot) ||
            mw_json_add_str(o, "state", t->after) || mw_json_add_bool(o, "changed", t->changed) ||
            mw_json_add_str(o, "message", t->message))
            return NULL;
    }
    return items ? take_ptr(result) : NULL;
}

static void wake(const struct by_hand *h, const struct item *t, bool committed)
{
    struct gw_bot *bot = bot_of(h->gw, t->bot);

    if (!bot)
        return;
    if (t->begun)
        gw_sender_drop_end(bot->sender, t->row, committed);
    else if (committed && t->hurry)
        gw_sender_hurry(bot->sender, t->row);
    else if (committed && t->changed && h->work == GW_WORK_OUTBOX)
        gw_sender_wake(bot->sender);
    else if (committed && t->changed)
        gw_dispatch_added(bot->dispatch);
}

static void finish(struct by_hand *h, bool committed, enum gw_code code, const char *fmt, ...)
{
    struct gw_reply reply = {.code = code};
    gw_cb cb = h->cb;
    void *userdata = h->userdata;
    MW_AUTOFREE char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    for (size_t i = 0; i < h->n; i++)
        wake(h, &h->items[i], committed);
    if (code == GW_OK) {
        reply.result = result_json(h);
        reply.code = reply.result ? GW_OK : GW_INTERNAL;
    }
    if (reply.code != GW_OK)
        mw_error_set(&reply.err, (int)reply.code, "%s", text ? text : "out of memory");
    by_hand_free(h);
    cb(&reply, userdata);
    mw_error_reset(&reply.err);
    cJSON_Delete(reply.result);
}

static void done(struct by_hand *h)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct item *t = &h->items[i];

        if (t->changed)
            mw_log_info(h->what == GW_RETRY ? "tried again by hand" : "dropped by hand",
                        MW_F_STR("bot", t->bot),
                        MW_F_STR("what", h->work == GW_WORK_EVENTS ? "event" : "message"),
                        MW_F_INT("id", t->id), MW_F_STR("key", t->key));
    }
    finish(h, true, GW_OK, "out of memory");
}

static void on_committed(const struct mw_tx_result *r, void *userdata)
{
    struct by_hand *h = userdata;

    if (r->error == -ENOENT)
        finish(h, false, GW_REFUSED, "it changed at this moment, nothing was done: try again");
    else if (r->error)
        finish(h, false, GW_INTERNAL, "%s", r->message ? r->message : "the store refused it");
    else
        done(h);
}

/* What is done with something in this state; `add` NULL = nothing, it is so already. */
struct step {
    const char *after;
    int (*add)(struct mw_tx *tx, int64_t row);
    const char *message;
};

static const struct step event_steps[2][MW_TASK_DROPPED + 1] =
    {
        [GW_RETRY] =
            {
                [MW_TASK_PENDING] = {"waiting", NULL, "waits already"},
                [MW_TASK_DONE] = {"done", NULL, "is done: there is nothing to retry"},
                [MW_TASK_FAILED] = {"waiting", mw_tx_task_retry, "is tried again"},
                [MW_TASK_DROPPED] = {"waiting", mw_tx_task_retry, "was dropped and is tried again"},
            },
        [GW_DROP] =
            {
                [MW_TASK_PENDING] = {"dropped", mw_tx_task_drop, "is dropped"}, /* see refuses() */
                [MW_TASK_DONE] = {"done", NULL, "is done: there is nothing to drop"},
                [MW_TASK_FAILED] = {"dropped", mw_tx_task_drop, "is dropped"},
                [MW_TASK_DROPPED] = {"dropped", NULL, "was dropped already"},
            },
};

static const struct step outbox_steps[2][MW_OUTBOX_DROPPED + 1] = {
    [GW_RETRY] =
        {
            [MW_OUTBOX_PENDING] = {"waiting", NULL, "waits already and is tried now"},
            [MW_OUTBOX_SENDING] = {"sending", NULL, "waits already and is tried now"},
            [MW_OUTBOX_SENT] = {"sent", NULL, "was sent: there is nothing to retry"},
            [MW_OUTBOX_FAILED] = {"waiting", mw_tx_outbox_retry, "is tried again"},
            [MW_OUTBOX_DROPPED] = {"waiting", mw_tx_outbox_retry, "was dropped and is tried again"},
        },
    [GW_DROP] =
        {
            [MW_OUTBOX_PENDING] = {"dropped", mw_tx_outbox_drop, "is dropped, it was not sent"},
            [MW_OUTBOX_SENDING] = {"dropped", mw_tx_outbox_drop,
                                   "is dropped; whether a try of it got through is not known"},
            [MW_OUTBOX_SENT] = {"sent", NULL, "was sent: there is nothing to drop"},
            [MW_OUTBOX_FAILED] = {"dropped", mw_tx_outbox_drop, "is dropped"},
            [MW_OUTBOX_DROPPED] = {"dropped", NULL, "was dropped already"},
        },
};

/* Something is in the way; the caller was told. */
static bool refuses(struct by_hand *h, struct item *t)
{
    struct gw_bot *bot = bot_of(h->gw, t->bot);

    if (is_leaving(h->gw, t->bot)) {
        finish(h, false, GW_REFUSED,
               "bot \"%s\" is being removed and has work under way: try again in a moment", t->bot);
        return true;
    }
    if (h->work == GW_WORK_EVENTS) {
        if (h->what == GW_RETRY || t->state != MW_TASK_PENDING || !bot)
            return false;
        finish(h, false, GW_REFUSED,
               "event %lld runs, or waits for its turn: only one that was set aside can be dropped",
               (long long)t->id);
        return true;
    }
    if (h->what == GW_DROP && t->state <= MW_OUTBOX_SENDING && bot) {
        t->begun = gw_sender_drop_begin(bot->sender, t->row) == 0;
        if (!t->begun)
            finish(h, false, GW_REFUSED, "\"%s\" is being sent at this moment: look again", t->key);
        return !t->begun;
    }
    return false;
}

static bool same_before(const struct by_hand *h, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (h->items[k].row == h->items[i].row)
            return true;
    }
    return false;
}

static void carry_out(struct by_hand *h)
{
    struct mw_tx *tx = mw_tx_new(h->gw->store);
    unsigned added = 0;

    if (!tx) {
        finish(h, false, GW_INTERNAL, "out of memory");
        return;
    }
    for (size_t i = 0; i < h->n; i++) {
        struct item *t = &h->items[i];
        const struct step *step = h->work == GW_WORK_EVENTS ? &event_steps[h->what][t->state]
                                                            : &outbox_steps[h->what][t->state];

        t->after = step->after;
        t->message = step->message;
        t->hurry = h->work == GW_WORK_OUTBOX && h->what == GW_RETRY && !step->add &&
                   t->state <= MW_OUTBOX_SENDING;
        if (!step->add || same_before(h, i))
            continue;
        if (refuses(h, t)) {
            mw_tx_free(tx);
            return;
        }
        t->changed = true;
        added++;
        if (step->add(tx, t->row)) {
            mw_tx_free(tx);
            finish(h, false, GW_INTERNAL, "out of memory");
            return;
        }
    }
    if (added) {
        mw_tx_commit(tx, on_committed, h);
        return;
    }
    mw_tx_free(tx);
    finish(h, true, GW_OK, "out of memory");
}

/* ---- Names ---- */

struct finding {
    struct item *item;
    const char *bot; /* NULL = any */
    unsigned found;
    bool no_memory;
};

static void found_it(struct finding *f, int64_t row, int64_t id, unsigned state, const char *bot,
                     const char *key)
{
    struct item *t = f->item;

    f->found++;
    t->row = row;
    t->id = id;
    t->state = state;
    f->no_memory |= mw_str_set(&t->bot, bot) || (key && mw_str_set(&t->key, key));
}

/* The newest task of an event counts. */
static bool find_task(const struct mw_task *t, void *userdata)
{
    struct finding *f = userdata;

    if (!f->bot || mw_streq(f->bot, t->bot))
        found_it(f, t->id, t->event_id, t->state, t->bot, NULL);
    return true;
}

static bool find_row(const struct mw_outbox *o, void *userdata)
{
    struct finding *f = userdata;

    if (!f->bot || mw_streq(f->bot, o->bot))
        found_it(f, o->id, o->id, o->state, o->bot, o->key);
    return true;
}

static int64_t number(const char *name)
{
    char *end;
    long long n;

    errno = 0;
    n = strtoll(name, &end, 10);
    return name[0] >= '0' && name[0] <= '9' && !*end && !errno ? n : 0;
}

/* Returns 0, or a negative errno; f->found tells how many it could be. */
static int find(const struct by_hand *h, struct finding *f, const char *name)
{
    struct mw_store *store = h->gw->store;
    int64_t id = number(name);
    int rc = 0;

    if (h->work == GW_WORK_EVENTS) {
        if (id)
            rc = mw_store_event_tasks(store, id, false, find_task, f);
        if (id && rc >= 0 && !f->found)
            rc = mw_store_event_tasks(store, id, true, find_task, f);
        f->found = f->found > 0;
        return rc;
    }
    for (size_t i = 0; i < h->gw->n_bots && rc >= 0; i++)
        rc = mw_store_outbox_key(store, h->gw->bots[i]->name, name, find_row, f);
    if (rc >= 0 && !f->found && id)
        rc = mw_store_outbox_row(store, id, find_row, f);
    return rc;
}

/* False: the caller was told. */
static bool find_all(struct by_hand *h, const char *bot, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct finding f = {.item = &h->items[i], .bot = bot};
        int rc = find(h, &f, names[i]);

        h->n = i + 1;
        if (rc < 0 || f.no_memory) {
            finish(h, false, GW_INTERNAL, "%s",
                   f.no_memory || rc == -ENOMEM ? "out of memory" : "the store cannot be read");
            return false;
        }
        if (!f.found && h->work == GW_WORK_EVENTS)
            finish(h, false, GW_NOT_FOUND,
                   "no handler was given an event \"%s\"; nothing was changed", names[i]);
        else if (!f.found)
            finish(h, false, GW_NOT_FOUND,
                   "the outbox has nothing with the key or number \"%s\"; nothing was changed",
                   names[i]);
        else if (f.found > 1)
            finish(h, false, GW_BAD_PARAMS,
                   "several bots have a message with the key \"%s\": name the bot", names[i]);
        if (f.found != 1)
            return false;
    }
    return true;
}

void gw_work_by_hand(struct gw *gw, enum gw_work work, enum gw_by_hand what, const char *bot,
                     const char *const *names, size_t n, gw_cb cb, void *userdata)
{
    struct by_hand *h = calloc(1, sizeof(*h));

    if (h)
        h->items = calloc(n ? n : 1, sizeof(*h->items));
    if (!h || !h->items) {
        struct gw_reply reply = {.code = GW_INTERNAL};

        free(h);
        mw_error_set(&reply.err, GW_INTERNAL, "out of memory");
        cb(&reply, userdata);
        mw_error_reset(&reply.err);
        return;
    }
    h->gw = gw;
    h->work = work;
    h->what = what;
    h->cb = cb;
    h->userdata = userdata;
    if (gw->stopping)
        finish(h, false, GW_OFFLINE, "the daemon is stopping");
    else if (!n)
        finish(h, false, GW_BAD_PARAMS, "name at least one");
    else if (find_all(h, bot, names, n))
        carry_out(h);
}
