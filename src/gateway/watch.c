/* Looks now and then for what lasts: what cannot be done is said once when it begins, and once when
 * it is over. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/internal.h"

#define LONGEST_MS  30000
#define SHORTEST_MS 1000

int gw_overdue(struct gw *gw, const struct gw_bot *bot, struct gw_overdue *ret)
{
    return mw_store_outbox_overdue(gw->store, bot->name,
                                   mw_clock_now() - bot->config->report_after_ms, &ret->count,
                                   &ret->oldest_at);
}

/* More of them than before are as many new ones; fewer, that some were sent. */
static void watch_outbox(struct gw *gw, struct gw_bot *bot)
{
    struct gw_overdue now = {0};
    struct gw_sender_stats st = {0};

    if (gw_overdue(gw, bot, &now) < 0)
        return; /* the store's own trouble is told elsewhere */
    if (now.count > bot->overdue) {
        gw_sender_get_stats(bot->sender, &st);
        mw_log_warning("messages could not be sent for longer than report_after",
                       MW_F_STR("bot", bot->name), MW_F_INT("messages", now.count),
                       MW_F_INT("oldest_at", now.oldest_at),
                       MW_F_STR("reason", st.last_error ? st.last_error : gw_bot_trouble(bot)));
    } else if (bot->overdue && !now.count) {
        mw_log_info("no message is overdue any more", MW_F_STR("bot", bot->name));
    }
    bot->overdue = now.count;
}

static void watch_store(struct gw *gw)
{
    struct mw_store_stats st;

    mw_store_get_stats(gw->store, &st);
    if (st.background_trouble && !gw->background_trouble)
        mw_log_warning("the database's background work does not get on",
                       MW_F_STR("reason", st.background_trouble));
    else if (!st.background_trouble && gw->background_trouble)
        mw_log_info("the database's background work goes on");
    gw->background_trouble = st.background_trouble != NULL;
    if (st.prune_held && !gw->prune_held)
        mw_log_warning("retention waits: a consumer has not read what should be deleted");
    gw->prune_held = st.prune_held;
}

void gw_watch(struct gw *gw)
{
    int64_t next = LONGEST_MS;

    watch_store(gw);
    for (size_t i = 0; i < gw->n_bots; i++) {
        struct gw_bot *bot = gw->bots[i];

        watch_outbox(gw, bot);
        next = MW_MIN(next, bot->config->report_after_ms / 4);
    }
    mw_timer_start(gw->watch_timer, MW_MAX(next, SHORTEST_MS));
}
