#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/fetch.h"
#include "gateway/internal.h"
#include "gateway/schedule.h"

#define SYNC_MS 60000 /* how often the time of the last catch-up is noted */

/* ---- Events of one round of the loop are one transaction ---- */

/* Events come from the poll phase (sockets) and from timers: what is open is committed before and
 * after the loop waits. */
struct gw_flush {
    uv_prepare_t prepare;
    uv_check_t check;
    unsigned open; /* handles not closed yet */
};

static void flush(struct gw *gw)
{
    uv_prepare_stop(&gw->flush->prepare);
    uv_check_stop(&gw->flush->check);
    for (size_t i = 0; i < gw->n_bots; i++)
        gw_bot_flush(gw->bots[i]);
    for (size_t i = 0; i < gw->n_gone; i++)
        gw_bot_flush(gw->gone[i]);
    for (size_t i = 0; i < gw->n_bots; i++) {
        struct gw_bot *bot = gw->bots[i];

        if (!bot->waits_for_store && mw_store_full(gw->store)) {
            bot->waits_for_store = true;
            gw_bot_pause(bot);
        }
    }
}

static void on_prepare(uv_prepare_t *h)
{
    flush(h->data);
}

static void on_check(uv_check_t *h)
{
    flush(h->data);
}

void gw_flush_later(struct gw *gw)
{
    uv_prepare_start(&gw->flush->prepare, on_prepare);
    uv_check_start(&gw->flush->check, on_check);
}

static void flush_closed(struct gw_flush *f)
{
    if (--f->open == 0)
        free(f);
}

static void prepare_closed(uv_handle_t *h)
{
    flush_closed(MW_CONTAINER_OF((uv_prepare_t *)h, struct gw_flush, prepare));
}

static void check_closed(uv_handle_t *h)
{
    flush_closed(MW_CONTAINER_OF((uv_check_t *)h, struct gw_flush, check));
}

static struct gw_flush *flush_new(struct gw *gw)
{
    struct gw_flush *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->open = 2;
    uv_prepare_init(gw->loop, &f->prepare);
    uv_check_init(gw->loop, &f->check);
    f->prepare.data = f->check.data = gw;
    return f;
}

static void flush_free(struct gw_flush *f)
{
    if (!f)
        return;
    uv_close((uv_handle_t *)&f->prepare, prepare_closed);
    uv_close((uv_handle_t *)&f->check, check_closed);
}

/* ---- The store ---- */

static void on_commit(int64_t last_id, void *userdata)
{
    struct gw *gw = userdata;

    gw->committed_id = last_id;
    for (size_t i = 0; i < gw->n_bots; i++)
        gw_dispatch_wake(gw->bots[i]->dispatch);
    gw_consumers_commit(gw);
}

static void on_drain(void *userdata)
{
    struct gw *gw = userdata;

    for (size_t i = 0; i < gw->n_bots; i++) {
        gw->bots[i]->waits_for_store = false;
        gw_bot_unpause(gw->bots[i]);
    }
}

static void on_condition(enum mw_store_condition c, const char *reason, void *userdata)
{
    if (c == MW_STORE_STALLED)
        mw_log_error("the database cannot be written, trying again until it can",
                     MW_F_STR("reason", reason));
    else
        mw_log_info("the database can be written again");
}

static const struct mw_store_ops store_ops = {
    .on_commit = on_commit,
    .on_drain = on_drain,
    .on_condition = on_condition,
};

/* ---- Ends ---- */

static void check_stopped(struct gw *gw)
{
    if (!gw->stopping || gw->stopped || gw->n_gone)
        return;
    for (size_t i = 0; i < gw->n_bots; i++) {
        if (gw_bot_busy(gw->bots[i]))
            return;
    }
    gw->stopped = true;
    mw_timer_stop(gw->stop_timer);
    for (size_t i = 0; i < gw->n_bots; i++)
        gw_bot_disconnect(gw->bots[i]);
    gw_send_abandon(gw, NULL, "the daemon is stopping", "after its next start");
    gw->stop_done(gw->stop_userdata);
}

static void on_reap(void *userdata)
{
    struct gw *gw = userdata;
    size_t kept = 0;

    for (size_t i = 0; i < gw->n_gone; i++) {
        if (gw_bot_busy(gw->gone[i]))
            gw->gone[kept++] = gw->gone[i];
        else
            gw_bot_free(gw->gone[i]);
    }
    gw->n_gone = kept;
    check_stopped(gw);
}

void gw_reap_later(struct gw *gw)
{
    if (gw->stopping || gw->n_gone)
        mw_timer_start(gw->reap_timer, 0);
}

/* The time to end in peace is over. */
static void on_stop_timer(void *userdata)
{
    struct gw *gw = userdata;

    for (size_t i = 0; i < gw->n_bots; i++) {
        gw_dispatch_cancel(gw->bots[i]->dispatch);
        gw_sender_stop(gw->bots[i]->sender);
        gw_bot_disconnect(gw->bots[i]);
    }
    gw_reap_later(gw);
}

void gw_stop(struct gw *gw, int64_t drain_ms, void (*done)(void *userdata), void *userdata)
{
    if (!gw->stopping) {
        gw->stopping = true;
        gw->stop_done = done;
        gw->stop_userdata = userdata;
        mw_timer_stop(gw->start_timer);
        mw_timer_stop(gw->sync_timer);
        mw_timer_stop(gw->watch_timer);
        for (size_t i = 0; i < gw->n_bots; i++) {
            gw_bot_store_synced(gw->bots[i]);
            gw_bot_close_session(gw->bots[i]);
            gw_schedule_stop(gw->bots[i]->schedule);
            gw_dispatch_stop(gw->bots[i]->dispatch);
        }
    }
    if (!gw->stopped)
        mw_timer_start(gw->stop_timer, drain_ms);
    gw_reap_later(gw);
}

bool gw_is_stopping(const struct gw *gw)
{
    return gw->stopping;
}

/* ---- Life ---- */

/* A config was put into force. Whoever did that expects a bot that waits, or that could not be
 * started, to be tried now: what was wrong may be mended outside the file. */
static void on_start(void *userdata)
{
    struct gw *gw = userdata;

    for (size_t i = 0; i < gw->n_bots; i++) {
        struct gw_bot *bot = gw->bots[i];

        if (bot->session)
            mm_session_retry(bot->session);
        else
            gw_bot_connect(bot);
        gw_schedule_wake(bot->schedule);
        gw_dispatch_wake(bot->dispatch);
        gw_sender_wake(bot->sender);
    }
}

static void on_sync(void *userdata)
{
    struct gw *gw = userdata;

    for (size_t i = 0; i < gw->n_bots; i++)
        gw_bot_store_synced(gw->bots[i]);
    mw_timer_start(gw->sync_timer, SYNC_MS);
}

static void on_watch(void *userdata)
{
    gw_watch(userdata);
}

static void on_consumer_timer(void *userdata)
{
    gw_consumers_commit(userdata);
}

int gw_new(uv_loop_t *loop, struct gw_config *config, const struct gw_handler_type *const *types,
           struct gw **ret, struct mw_error *err)
{
    struct gw *gw = calloc(1, sizeof(*gw));
    const struct mw_store_params p = {
        .path = config->daemon.database,
        .keep_events_ms = config->daemon.retention.age_ms,
        .keep_events = config->daemon.retention.count,
        .keep_done_ms = config->daemon.retention.done_age_ms,
        .ops = &store_ops,
        .userdata = gw,
    };
    int rc;

    if (!gw)
        return mw_error_set(err, -ENOMEM, "out of memory");
    gw->loop = loop;
    gw->types = types;
    gw->started_at = mw_clock_now();
    mw_map_init(&gw->budgets, gw_budget_free);
    mw_map_init(&gw->handlers, gw_handler_free);
    gw_state_init(gw);
    gw->flush = flush_new(gw);
    if (!gw->flush || mw_timer_new(loop, on_start, gw, &gw->start_timer) ||
        mw_timer_new(loop, on_reap, gw, &gw->reap_timer) ||
        mw_timer_new(loop, on_sync, gw, &gw->sync_timer) ||
        mw_timer_new(loop, on_watch, gw, &gw->watch_timer) ||
        mw_timer_new(loop, on_stop_timer, gw, &gw->stop_timer) ||
        mw_timer_new(loop, on_consumer_timer, gw, &gw->consumer_timer))
        rc = mw_error_set(err, -ENOMEM, "out of memory");
    else
        rc = mw_store_open(loop, &p, &gw->store, err);
    if (!rc)
        gw->committed_id = mw_store_last_event_id(gw->store);
    if (!rc)
        rc = gw_files_new(gw, config->daemon.files.folder, &gw->files, err);
    if (!rc)
        rc = gw_apply_config(gw, config, err);
    if (rc) {
        gw_free(gw);
        return rc;
    }
    mw_timer_start(gw->sync_timer, SYNC_MS);
    gw_watch(gw);
    *ret = gw;
    return 0;
}

void gw_free(struct gw *gw)
{
    size_t it = 0;
    void *value;

    if (!gw)
        return;
    gw->stopping = true;
    gw_send_abandon(gw, NULL, "the daemon is stopping", "after its next start");
    gw_files_stop(gw->files);
    for (size_t i = 0; i < gw->n_bots; i++) {
        gw_schedule_stop(gw->bots[i]->schedule);
        gw_bot_disconnect(gw->bots[i]);
        gw_sender_stop(gw->bots[i]->sender);
        gw_dispatch_stop(gw->bots[i]->dispatch);
        gw_bot_flush(gw->bots[i]);
    }
    while (mw_map_next(&gw->handlers, &it, NULL, &value))
        gw_handler_retire(value);
    /* What was submitted is waited for, so that every callback comes while its owner is there. */
    mw_store_close(gw->store);
    gw_files_free(gw->files);
    for (size_t i = 0; i < gw->n_bots; i++)
        gw_bot_free(gw->bots[i]);
    for (size_t i = 0; i < gw->n_gone; i++)
        gw_bot_free(gw->gone[i]);
    free(gw->bots);
    free(gw->gone);
    mw_map_deinit(&gw->budgets);
    mw_map_deinit(&gw->handlers);
    gw_state_deinit(gw);
    mw_timer_free(gw->start_timer);
    mw_timer_free(gw->reap_timer);
    mw_timer_free(gw->sync_timer);
    mw_timer_free(gw->watch_timer);
    mw_timer_free(gw->stop_timer);
    mw_timer_free(gw->consumer_timer);
    flush_free(gw->flush);
    gw_config_free(gw->config);
    free(gw);
}

const struct gw_config *gw_get_config(const struct gw *gw)
{
    return gw->config;
}

struct mw_store *gw_store(struct gw *gw)
{
    return gw->store;
}

static void name_bots(const struct gw *gw, struct mw_buf *b)
{
    for (size_t i = 0; i < gw->n_bots; i++)
        mw_buf_printf(b, "%s%s", i ? ", " : "", gw->bots[i]->name);
}

struct gw_bot *gw_find_bot(struct gw *gw, const char *name, struct mw_error *err)
{
    MW_AUTOBUF names = {.limit = 4096};

    if (!name && gw->n_bots == 1)
        return gw->bots[0];
    for (size_t i = 0; name && i < gw->n_bots; i++) {
        if (mw_streq(gw->bots[i]->name, name))
            return gw->bots[i];
    }
    name_bots(gw, &names);
    if (!gw->n_bots)
        mw_error_set(err, -ENOENT, "no bot is configured");
    else if (name)
        mw_error_set(err, -ENOENT, "there is no bot \"%s\"; configured: %s", name,
                     mw_buf_str(&names));
    else
        mw_error_set(err, -ENOENT, "several bots are configured, name one of them: %s",
                     mw_buf_str(&names));
    return NULL;
}
