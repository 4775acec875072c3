/*
 * One turn: what was said goes to a handler, and its answer with the end of the tasks to the store,
 * in one transaction.
 *
 *   start recorded -> handler runs -> end -> (last edit of the preview) -> end recorded -> over
 */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/dispatch_internal.h"

#define AGAIN_MS     1000 /* the shortest wait after a failed attempt, and the longest */
#define AGAIN_MAX_MS 300000
#define TYPING_MS    4000
#define PATIENCE_MS  10000 /* with a handler that was told to stop */

#define EYES  "eyes"
#define CHECK "white_check_mark"
#define CROSS "x"

static void record(struct gw_turn_run *t);

/* ---- The end ---- */

static void turn_free(struct gw_turn_run *t)
{
    gw_asks_free(t);
    gw_preview_deinit(t);
    gw_answer_deinit(&t->answer);
    mw_timer_free(t->timer);
    mw_timer_free(t->limit);
    gw_event_files_free(t->files);
    gw_config_free(t->config);
    free(t->ev);
    free(t->text);
    free(t->key);
    free(t->root_id);
    free(t->conversation);
    free(t->error);
    free(t);
}

/* `done`: the tasks are over; otherwise they stay pending, for another attempt, for the next start
 * of the daemon or, unless we stop, for a try a little later. */
static void turn_over(struct gw_turn_run *t, bool done)
{
    struct gw_dispatch *d = t->d;
    struct gw_conversation *c = t->c;
    struct gw_bot *bot = d->bot;
    struct gw_task *task = c->head;
    unsigned n = t->n_tasks;

    c->turn = NULL;
    d->turns--;
    if (t->h) {
        t->h->running--;
        bot->gw->running--;
    }
    if (t->route)
        t->route->running--;
    for (unsigned i = 0; t->h && i < n; i++, task = task->next) {
        task->failures += t->again;
        task->attempts -= !done && !t->again; /* only a death of ours counts */
    }
    if (t->slot)
        gw_handler_ended(t->slot);
    if (t->reset && t->h)
        gw_handler_reset(bot->gw, t->h, t->conversation);
    if (done) {
        turn_free(t);
        gw_conversation_next(c, n);
        gw_sender_wake(bot->sender);
    } else if (t->again) {
        turn_free(t);
        gw_sender_wake(bot->sender);
        gw_conversation_try(c);
    } else {
        turn_free(t);
        if (!d->stopped)
            gw_dispatch_retry(d);
    }
    gw_conversations_kick(bot->gw);
    gw_dispatch_go_on(d);
    gw_reap_later(bot->gw);
}

static bool is_done(const struct gw_turn_run *t)
{
    return !t->again && t->end != GW_HANDLER_CANCELED;
}

/* Nobody wants more of it, whatever else the handler came to. */
static void end_by_wish(struct gw_turn_run *t)
{
    if ((t->why == GW_WHY_STOPPED || t->why == GW_WHY_SUPERSEDED) && t->end != GW_HANDLER_ANSWERED)
        t->end = GW_HANDLER_EMPTY;
}

static void on_end_recorded(const struct mw_tx_result *res, void *userdata)
{
    struct gw_turn_run *t = userdata;

    t->d->commits--;
    t->recording = false;
    if (res->error) {
        mw_log_error("the end of an answer could not be stored", MW_F_STR("bot", t->d->bot->name),
                     MW_F_STR("reason", res->message));
        if (t->d->stopped) {
            t->again = false;
            turn_over(t, false);
            return;
        }
        /* The answer is still here: record it again. */
        mw_timer_start(t->timer, GW_RETRY_MS);
        return;
    }
    /* Stopped while it was recorded that it is tried again. */
    if (!is_done(t) && t->why == GW_WHY_STOPPED && !t->d->stopped)
        record(t);
    else
        turn_over(t, is_done(t));
}

int gw_turn_add_stop(const struct gw_turn_run *t, struct mw_tx *tx)
{
    const struct gw_task *task = t->c->head;
    int rc = 0;

    if (t->ended && (t->end == GW_HANDLER_ANSWERED || (t->recording && is_done(t))))
        return 0;
    for (unsigned i = 0; i < t->n_tasks && !rc; i++, task = task->next)
        rc = mw_tx_task_end(tx, task->id, MW_TASK_DONE, "stopped by a person");
    return rc;
}

int gw_turn_add_effect(const struct gw_turn_run *t, struct mw_tx *tx, const char *kind,
                       const char *key, const cJSON *payload)
{
    return gw_effect_add(tx, &(struct gw_new_effect){.bot = t->d->bot->name,
                                                     .key = key,
                                                     .kind = kind,
                                                     .conversation = t->c->key,
                                                     .channel_id = t->ev->channel_id,
                                                     .event_id = t->ev->id,
                                                     .payload = payload});
}

/* A reaction to what is answered. */
static int add_reaction(struct mw_tx *tx, const struct gw_turn_run *t, const char *kind,
                        const char *emoji)
{
    MW_AUTOFREE char *key =
        mw_asprintf("%s.%lld.%s.%s", t->key, (long long)t->c->head->id, kind, emoji);
    MW_AUTOJSON *payload = cJSON_CreateObject();

    if (!t->ev->post_id[0])
        return 0;
    if (!key || !payload || mw_json_add_str(payload, "post_id", t->ev->post_id) ||
        mw_json_add_str(payload, "emoji_name", emoji))
        return -ENOMEM;
    return gw_turn_add_effect(t, tx, kind, key, payload);
}

static int add_receipt(struct mw_tx *tx, const struct gw_turn_run *t, const char *mark)
{
    if (!t->policy || !t->policy->receipt || !t->ev)
        return 0;
    if (add_reaction(tx, t, "reaction_remove", EYES))
        return -ENOMEM;
    return mark ? add_reaction(tx, t, "reaction_add", mark) : 0;
}

/* A failure that is not the last one that the config allows: the same tasks, later. */
static int add_again(struct gw_turn_run *t, struct mw_tx *tx)
{
    struct gw_task *task = t->c->head;
    struct mw_backoff b;
    int64_t wait;
    int rc = 0;

    mw_backoff_init(&b, AGAIN_MS, AGAIN_MAX_MS, 1);
    b.failures = (unsigned)task->failures;
    wait = mw_backoff_next(&b, mw_clock_mono());
    for (unsigned i = 0; i < t->n_tasks && !rc; i++, task = task->next) {
        task->due = mw_clock_mono() + wait;
        rc = mw_tx_task_again(tx, task->id, mw_clock_now() + wait, t->error ? t->error : "");
    }
    return rc;
}

static int add_answer(struct gw_turn_run *t, struct mw_tx *tx)
{
    int rc = gw_preview_add_answer(t, tx);

    for (char **r = t->answer.reactions; r && *r && !rc; r++)
        rc = add_reaction(tx, t, "reaction_add", *r);
    return rc;
}

/* How each end shows: the word that stands behind what was written so far, the mark on what was
 * asked. */
static int add_outcome(struct gw_turn_run *t, struct mw_tx *tx)
{
    switch (t->end) {
    case GW_HANDLER_ANSWERED:
        return add_answer(t, tx) ? -ENOMEM : add_receipt(tx, t, CHECK);
    case GW_HANDLER_EMPTY:
        if (t->why == GW_WHY_STOPPED || t->why == GW_WHY_SUPERSEDED)
            return gw_preview_add_end(t, tx, "*Stopped.*") ? -ENOMEM : add_receipt(tx, t, NULL);
        return gw_preview_add_end(t, tx, NULL) ? -ENOMEM : add_receipt(tx, t, CHECK);
    case GW_HANDLER_FAILED:
    case GW_HANDLER_TIMEOUT:
        return gw_preview_add_end(t, tx, "*The answer broke off.*") ? -ENOMEM
                                                                    : add_receipt(tx, t, CROSS);
    case GW_HANDLER_CANCELED:
        return 0;
    }
    return 0;
}

static int fill_end_tx(struct gw_turn_run *t, struct mw_tx *tx)
{
    static const enum mw_task_state states[] = {
        [GW_HANDLER_ANSWERED] = MW_TASK_DONE,    [GW_HANDLER_EMPTY] = MW_TASK_DONE,
        [GW_HANDLER_FAILED] = MW_TASK_FAILED,    [GW_HANDLER_TIMEOUT] = MW_TASK_FAILED,
        [GW_HANDLER_CANCELED] = MW_TASK_PENDING,
    };
    struct gw_task *task = t->c->head;
    int rc;

    if (!tx || gw_asks_add_end(t, tx) || (t->ev && !t->h && gw_asks_add_left(t, tx)))
        return -ENOMEM;
    t->again = states[t->end] == MW_TASK_FAILED && !t->final && t->h && t->h->config &&
               task->failures + 1 < (int)t->h->config->attempts;
    if (t->again)
        return add_again(t, tx);
    rc = t->ev ? add_outcome(t, tx) : 0;
    for (unsigned i = 0; i < t->n_tasks && !rc; i++, task = task->next)
        rc = mw_tx_task_end(tx, task->id, states[t->end], t->error ? t->error : "");
    return rc;
}

/* The answer and the end of the tasks, in one transaction. */
static void record(struct gw_turn_run *t)
{
    struct mw_tx *tx = mw_tx_new(t->d->bot->gw->store);

    end_by_wish(t);
    if (fill_end_tx(t, tx)) {
        mw_tx_free(tx);
        mw_timer_start(t->timer, GW_RETRY_MS);
        return;
    }
    t->recording = true;
    t->d->commits++;
    mw_tx_commit(tx, on_end_recorded, t);
}

void gw_turn_record(struct gw_turn_run *t)
{
    if (t->ended && !t->recording)
        record(t);
}

static void log_end(const struct gw_turn_run *t)
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
    const struct gw_task *task = t->c->head;

    mw_log(logged[t->end].level,
           t->why == GW_WHY_STOPPED      ? "the answer was stopped by a person"
           : t->why == GW_WHY_SUPERSEDED ? "the answer was given up for the next message"
                                         : logged[t->end].what,
           MW_F_STR("bot", t->d->bot->name), MW_F_STR("handler", task->handler),
           MW_F_INT("event", task->event_id), MW_F_INT("attempt", task->attempts),
           MW_F_STR("reason", t->error));
}

static void ended(struct gw_turn_run *t, enum gw_handler_end end, const char *error)
{
    struct gw_handler *h = t->h;

    t->under_way = NULL;
    t->ended = true;
    t->end = end;
    end_by_wish(t);
    mw_timer_stop(t->limit);
    mw_timer_stop(t->timer);
    (void)!mw_str_set(&t->error, error && error[0] ? error : NULL);
    log_end(t);
    if (h) {
        h->ended[t->end]++;
        if (t->error) {
            (void)!mw_str_set(&h->last_error, t->error);
            h->last_error_at = mw_clock_now();
        }
    }
    if (!gw_preview_finish(t))
        record(t);
}

/* ---- What the handler tells ---- */

static void on_text(void *turn, const char *text, size_t len)
{
    gw_preview_text(turn, text, len);
}

static void on_activity(void *turn, const struct gw_activity *a)
{
    gw_preview_activity(turn, a);
}

static int on_ask(void *turn, const struct gw_permission *p)
{
    return gw_ask(turn, p);
}

/* An end by our wish is what we wished it for. */
static enum gw_handler_end judge_cancel(struct gw_turn_run *t, const char *said,
                                        struct mw_error *err)
{
    switch (t->why) {
    case GW_WHY_TIMEOUT:
        mw_error_set(err, -ETIMEDOUT, "not done after %lld s, so it was stopped%s%s",
                     (long long)(t->timeout_ms + 999) / 1000, said ? ": " : "", said ? said : "");
        return GW_HANDLER_TIMEOUT;
    case GW_WHY_STOPPED:
    case GW_WHY_SUPERSEDED:
        return GW_HANDLER_EMPTY;
    case GW_WHY_NOT:
    case GW_WHY_SHUTDOWN:
        break;
    }
    return GW_HANDLER_CANCELED;
}

static void on_end(void *turn, const struct gw_handler_answer *a)
{
    struct gw_turn_run *t = turn;
    const char *said = mw_error_is_set(&a->err) ? mw_error_text(&a->err) : NULL;
    const struct gw_handler_config *c = gw_handler_slot_config(t->slot);
    MW_AUTOERROR err = MW_ERROR_INIT;
    enum gw_handler_end end = a->end;
    int rc = 0;

    /* Whoever was told to stop says no more, whatever it makes of that: who stopped it wants no
     * answer, and no second attempt. */
    if (end == GW_HANDLER_CANCELED || t->why == GW_WHY_STOPPED || t->why == GW_WHY_SUPERSEDED)
        end = judge_cancel(t, said, &err);
    if (end == GW_HANDLER_ANSWERED) {
        rc = a->json ? gw_answer_parse(a->json, t->config, c->workdir, &t->answer, &err)
                     : mw_str_set(&t->answer.text, a->text);
        if (rc == 1)
            end = GW_HANDLER_FAILED;
        else if (rc) /* no memory for the answer: the event is given again */
            end = GW_HANDLER_CANCELED;
        else if (!gw_answer_has_post(&t->answer) && !t->answer.reactions)
            end = GW_HANDLER_EMPTY;
    }
    ended(t, end, mw_error_is_set(&err) ? mw_error_text(&err) : said);
}

static const struct gw_turn_ops turn_ops = {
    .text = on_text,
    .activity = on_activity,
    .ask = on_ask,
    .end = on_end,
};

/* ---- Time ---- */

static void typing(struct gw_turn_run *t)
{
    struct gw_bot *bot = t->d->bot;

    if (bot->session && t->ev->channel_id[0])
        mm_session_typing(bot->session, t->ev->channel_id, t->root_id);
    mw_timer_start(t->timer, TYPING_MS);
}

static void on_timer(void *userdata)
{
    struct gw_turn_run *t = userdata;

    if (t->under_way)
        typing(t);
    else if (t->ended)
        record(t);
}

static void on_limit(void *userdata)
{
    struct gw_turn_run *t = userdata;

    gw_turn_cancel(t, t->why == GW_WHY_NOT ? GW_WHY_TIMEOUT : t->why);
}

void gw_turn_cancel(struct gw_turn_run *t, enum gw_why why)
{
    if (why == GW_WHY_STOPPED || (t->why == GW_WHY_NOT && !t->ended))
        t->why = why;
    if (t->ended)
        return;
    if (!t->under_way && gw_event_files_waiting(t->files)) {
        MW_AUTOERROR err = MW_ERROR_INIT;

        gw_event_files_free(take_ptr(t->files));
        ended(t, judge_cancel(t, NULL, &err), NULL);
        return;
    }
    if (!t->under_way)
        return; /* it ends when its start is recorded */
    /* Asked a second time a handler ends at once. */
    mw_timer_start(t->limit, PATIENCE_MS);
    gw_handler_slot_type(t->slot)->cancel(t->under_way);
    /* Behind it: the handler knows by now that this is no decision of anybody. */
    gw_asks_cancel(t);
}

void gw_turn_interrupt(struct gw_turn_run *t)
{
    if (t->started && t->policy && t->policy->interrupt == GW_INTERRUPT_CANCEL)
        gw_turn_cancel(t, GW_WHY_SUPERSEDED);
}

void gw_turn_forget_route(struct gw_turn_run *t)
{
    t->route = NULL;
}

/* ---- The start ---- */

/* Nothing of it reached the handler, so it was no attempt. */
static void give_back(struct gw_turn_run *t)
{
    t->ended = true;
    t->end = GW_HANDLER_CANCELED;
    record(t);
}

/* The machine has no room for the handler now. The event waits; told once, not at every try. */
static void held_up(struct gw_turn_run *t, const char *reason)
{
    struct gw_handler *h = t->h;

    mw_log(h->held_up ? MW_LOG_DEBUG : MW_LOG_WARNING, "the handler cannot start now",
           MW_F_STR("bot", t->d->bot->name), MW_F_STR("handler", h->name),
           MW_F_STR("reason", reason));
    h->held_up = true;
    (void)!mw_str_set(&h->last_error, reason);
    h->last_error_at = mw_clock_now();
    give_back(t);
}

static const struct gw_task *last_task(const struct gw_turn_run *t)
{
    const struct gw_task *task = t->c->head;

    for (unsigned i = 1; i < t->n_tasks; i++)
        task = task->next;
    return task;
}

static void run(struct gw_turn_run *t)
{
    struct gw_handler *h = t->h;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_turn turn = {
        .ev = t->ev,
        .text = t->text,
        .conversation = t->conversation,
        .key = t->key,
        .root_id = t->root_id,
        .timeout_ms = t->timeout_ms,
    };
    int rc;

    if (t->d->stopped && t->why == GW_WHY_NOT)
        t->why = GW_WHY_SHUTDOWN;
    if (t->why != GW_WHY_NOT) {
        ended(t, judge_cancel(t, NULL, &err), NULL);
        return;
    }
    if (!h->config) {
        give_back(t);
        return;
    }
    gw_event_files_get(t->files, &turn);
    rc = gw_handler_start(t->d->bot->gw, h, &turn, &turn_ops, t, &t->slot, &t->under_way, &err);
    if (rc == -ENOMEM || rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE) {
        held_up(t, mw_error_text(&err));
        return;
    }
    if (rc) {
        ended(t, GW_HANDLER_FAILED, mw_error_text(&err));
        return;
    }
    if (h->held_up)
        mw_log_info("the handler can start again", MW_F_STR("handler", h->name));
    h->held_up = false;
    t->started = true;
    t->started_at = mw_clock_now();
    mw_timer_start(t->limit, t->timeout_ms);
    typing(t);
    if (t->c->tail != last_task(t))
        gw_turn_interrupt(t); /* the next message came while it was prepared */
}

static void on_files(int error, void *userdata)
{
    struct gw_turn_run *t = userdata;

    if (error)
        ended(t, GW_HANDLER_CANCELED, NULL);
    else
        run(t);
}

/* The attempt is counted; now the handler may see the event. */
static void on_start_recorded(const struct mw_tx_result *res, void *userdata)
{
    struct gw_turn_run *t = userdata;
    int rc;

    t->d->commits--;
    if (res->error && t->why != GW_WHY_STOPPED) {
        if (!t->d->stopped)
            mw_log_error("the start of a handler could not be stored",
                         MW_F_STR("bot", t->d->bot->name), MW_F_STR("reason", res->message));
        turn_over(t, false);
        return;
    }
    gw_sender_wake(t->d->bot->sender); /* the receipt */
    rc = t->d->stopped || t->why != GW_WHY_NOT
             ? 0
             : gw_event_files_start(t->d->bot, t->ev, on_files, t, &t->files);
    if (rc < 0)
        held_up(t, "out of memory");
    else if (rc == 0)
        run(t);
}

/* "[1,2]" and "[3]" become "[1,2,3"; the caller closes it. */
static int add_files(struct mw_buf *b, const char *files)
{
    size_t n = strlen(files);

    if (n <= 2)
        return 0;
    mw_buf_putc(b, b->len ? ',' : '[');
    return mw_buf_append(b, files + 1, n - 2);
}

/* What was said, all of it, and what it is called. */
static int take_tasks(struct gw_turn_run *t)
{
    struct mw_event last = {0};
    struct gw_bot *bot = t->d->bot;
    const struct gw_task *first = t->c->head, *task = first;
    const char *name = bot->client ? mm_client_user_name(bot->client) : "";
    MW_AUTOBUF text = {0};
    MW_AUTOBUF files = {0};

    for (unsigned i = 0; i < t->n_tasks; i++, task = task->next) {
        const char *said =
            task->ev->kind == MW_EVENT_POST ? gw_said(task->ev, name) : task->ev->text;

        if (mw_buf_puts(&text, i ? "\n\n" : "") || mw_buf_puts(&text, said))
            return -ENOMEM;
        if (add_files(&files, task->ev->files))
            return -ENOMEM;
        if (i + 1 == t->n_tasks)
            last = *task->ev;
    }
    if (files.len && !mw_buf_putc(&files, ']'))
        last.files = mw_buf_str(&files);
    t->ev = mw_event_dup(&last);
    t->route = first->route;
    t->policy = t->route ? &t->route->config->policy : &bot->config->policy;
    t->text = strdup(mw_buf_str(&text));
    /* Made of the server's ids, so that it is the same in every run of this event and in no other
     * database. */
    t->key = mw_asprintf("%s.%d.%lld", first->ev->object, (int)first->ev->kind,
                         (long long)first->ev->revision);
    t->conversation = mw_asprintf("%s/%s", bot->name, t->c->key);
    if (t->ev)
        t->root_id = strdup(gw_answer_root(t->policy, t->ev));
    if (t->h)
        t->timeout_ms = t->route && t->route->config->timeout_ms ? t->route->config->timeout_ms
                                                                 : t->h->config->timeout_ms;
    return t->text && t->key && t->conversation && t->ev && t->root_id && !gw_preview_init(t)
               ? 0
               : -ENOMEM;
}

static int fill_start_tx(struct gw_turn_run *t, struct mw_tx *tx)
{
    struct gw_task *task = t->c->head;
    int rc = tx ? 0 : -ENOMEM;

    for (unsigned i = 0; i < t->n_tasks && !rc; i++, task = task->next)
        rc = mw_tx_task_start(tx, task->id);
    if (!rc && t->c->head->attempts)
        rc = gw_asks_add_left(t, tx);
    if (!rc && t->policy->receipt)
        rc = add_reaction(tx, t, "reaction_add", EYES);
    return rc;
}

int gw_turn_add_dropped(struct gw_conversation *c, struct mw_tx *tx)
{
    struct gw_task *task = c->head;
    struct gw_turn_run *t;
    int rc = task && task->attempts ? gw_task_load(c, task) : 1;

    if (rc)
        return MW_MIN(rc, 0); /* nothing was shown yet, or nobody knows where */
    t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->d = c->d;
    t->c = c;
    t->n_tasks = 1;
    rc = take_tasks(t) || gw_asks_add_left(t, tx) || gw_preview_add_end(t, tx, "*Stopped.*") ||
                 add_receipt(tx, t, NULL)
             ? -ENOMEM
             : 0;
    turn_free(t);
    return rc;
}

int gw_turn_start(struct gw_conversation *c, struct gw_handler *h, const char *problem)
{
    struct gw_dispatch *d = c->d;
    struct gw *gw = d->bot->gw;
    struct gw_turn_run *t = calloc(1, sizeof(*t));
    struct gw_task *task = c->head;
    struct mw_tx *tx = NULL;

    if (!t)
        return -ENOMEM;
    t->d = d;
    t->c = c;
    t->h = problem ? NULL : h;
    t->n_tasks = problem ? 1 : gw_conversation_together(c);
    t->config = gw_config_ref(gw->config);
    if (mw_timer_new(gw->loop, on_timer, t, &t->timer) ||
        mw_timer_new(gw->loop, on_limit, t, &t->limit))
        goto nomem;
    if (problem) {
        /* What was shown of it gets a last word. */
        if (task->ev && take_tasks(t))
            goto nomem;
        t->route = NULL; /* it takes no place */
        c->turn = t;
        d->turns++;
        t->final = true;
        ended(t, GW_HANDLER_FAILED, problem);
        return 0;
    }
    tx = mw_tx_new(gw->store);
    if (take_tasks(t) || fill_start_tx(t, tx))
        goto nomem;
    c->turn = t;
    d->turns++;
    h->running++;
    gw->running++;
    if (t->route)
        t->route->running++;
    for (unsigned i = 0; i < t->n_tasks; i++, task = task->next)
        task->attempts++;
    d->commits++;
    mw_tx_commit(tx, on_start_recorded, t);
    return 0;
nomem:
    mw_tx_free(tx);
    t->route = NULL;
    turn_free(t);
    return -ENOMEM;
}
