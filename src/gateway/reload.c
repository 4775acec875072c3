/*
 * Puts a config into force, the first one as well. Everything that can fail is made before anything
 * is changed.
 */
#include "base/str.h"
#include "gateway/internal.h"
#include "gateway/schedule.h"

struct change {
    struct gw_bot **bots; /* of the new config, in its order; those that are new were made here */
    bool *fresh;
    struct gw_handler **handlers;
    bool *fresh_handler;
    struct gw_bot **gone; /* room for all that may go */
};

static struct gw_bot *find(const struct gw *gw, const char *name)
{
    for (size_t i = 0; i < gw->n_bots; i++) {
        if (mw_streq(gw->bots[i]->name, name))
            return gw->bots[i];
    }
    return NULL;
}

static const struct gw_handler_type *find_type(const struct gw *gw, const char *name)
{
    for (size_t i = 0; gw->types[i]; i++) {
        if (mw_streq(gw->types[i]->name, name))
            return gw->types[i];
    }
    return NULL;
}

/* A bot whose name is still busy with an earlier life cannot come back yet. */
static int check_gone(const struct gw *gw, const char *name, struct mw_error *err)
{
    for (size_t i = 0; i < gw->n_gone; i++) {
        if (mw_streq(gw->gone[i]->name, name))
            return mw_error_set(err, 1,
                                "bot \"%s\" was removed and its last work is not over; reload "
                                "again in a moment",
                                name);
    }
    return 0;
}

static int prepare(struct gw *gw, const struct gw_config *config, struct change *ch,
                   struct mw_error *err)
{
    ch->bots = calloc(config->n_bots + 1, sizeof(*ch->bots));
    ch->fresh = calloc(config->n_bots + 1, sizeof(*ch->fresh));
    ch->handlers = calloc(config->n_handlers + 1, sizeof(struct gw_handler *));
    ch->fresh_handler = calloc(config->n_handlers + 1, sizeof(*ch->fresh_handler));
    ch->gone = calloc(gw->n_gone + gw->n_bots + 1, sizeof(struct gw_bot *));
    if (!ch->bots || !ch->fresh || !ch->handlers || !ch->fresh_handler || !ch->gone)
        return mw_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < config->n_handlers; i++) {
        const char *name = config->handlers[i].name;

        if (!find_type(gw, config->handlers[i].type))
            return mw_error_set(err, 1, "handler \"%s\": there is no handler type \"%s\"", name,
                                config->handlers[i].type);
        ch->handlers[i] = mw_map_get(&gw->handlers, name);
        if (ch->handlers[i])
            continue;
        ch->handlers[i] = gw_handler_new(name);
        ch->fresh_handler[i] = true;
        if (!ch->handlers[i])
            return mw_error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < config->n_bots; i++) {
        const char *name = config->bots[i].name;
        int rc = check_gone(gw, name, err);

        ch->bots[i] = rc ? NULL : find(gw, name);
        if (!rc && !ch->bots[i]) {
            rc = gw_bot_new(gw, name, &ch->bots[i], err);
            ch->fresh[i] = true;
        }
        if (rc)
            return rc;
    }
    return 0;
}

static void change_deinit(struct change *ch)
{
    free(ch->bots);
    free(ch->fresh);
    free(ch->handlers);
    free(ch->fresh_handler);
    free(ch->gone);
}

static void undo(const struct gw_config *config, struct change *ch)
{
    for (size_t i = 0; ch->handlers && ch->fresh_handler && i < config->n_handlers; i++) {
        if (ch->fresh_handler[i])
            gw_handler_free(ch->handlers[i]);
    }
    for (size_t i = 0; ch->bots && ch->fresh && i < config->n_bots; i++) {
        if (ch->fresh[i])
            gw_bot_free(ch->bots[i]);
    }
    change_deinit(ch);
}

static int put_handlers(struct gw *gw, const struct gw_config *config, struct change *ch)
{
    for (size_t i = 0; i < config->n_handlers; i++) {
        if (!ch->fresh_handler[i])
            continue;
        if (mw_map_put(&gw->handlers, ch->handlers[i]->name, ch->handlers[i]))
            return -ENOMEM;
        ch->fresh_handler[i] = false; /* the map's from now on; harmless without a config */
    }
    return 0;
}

static void remove_bot(struct gw *gw, struct gw_bot *bot, struct change *ch)
{
    bot->removed = true;
    gw_schedule_stop(bot->schedule);
    gw_bot_flush(bot);
    gw_bot_disconnect(bot);
    gw_sender_stop(bot->sender);
    gw_dispatch_stop(bot->dispatch);
    gw_dispatch_cancel(bot->dispatch);
    gw_send_abandon(gw, bot, "the bot was removed from the config", "when it is there again");
    gw_dispatch_forget_routes(bot->dispatch);
    gw_routes_deinit(&bot->routes);
    bot->generation++;
    bot->config = NULL;
    ch->gone[gw->n_gone++] = bot;
}

static bool kept(const struct gw_config *config, const struct change *ch, const struct gw_bot *bot)
{
    for (size_t i = 0; i < config->n_bots; i++) {
        if (ch->bots[i] == bot)
            return true;
    }
    return false;
}

/* The part that changes things; it does not fail. */
static void swap(struct gw *gw, struct gw_config *config, struct change *ch)
{
    struct gw_config *old = gw->config;
    bool same_groups = old && gw_groups_equal(old, config);
    size_t it = 0, n_gone = gw->n_gone;
    void *value;

    for (size_t i = 0; i < n_gone; i++)
        ch->gone[i] = gw->gone[i];
    for (size_t i = 0; i < gw->n_bots; i++) {
        if (!kept(config, ch, gw->bots[i]))
            remove_bot(gw, gw->bots[i], ch);
    }
    while (mw_map_next(&gw->handlers, &it, NULL, &value)) {
        struct gw_handler *h = value;
        const struct gw_handler_config *now = gw_config_handler(config, h->name);

        if (h->config && (!now || !gw_handler_config_equal(h->config, now)))
            gw_handler_retire(h);
        h->config = NULL;
    }
    for (size_t i = 0; i < config->n_handlers; i++) {
        ch->handlers[i]->config = &config->handlers[i];
        ch->handlers[i]->type = find_type(gw, config->handlers[i].type);
    }
    free(gw->bots);
    free(gw->gone);
    gw->bots = take_ptr(ch->bots);
    gw->n_bots = config->n_bots;
    gw->gone = take_ptr(ch->gone);
    gw->config = config;
    for (size_t i = 0; i < gw->n_bots; i++) {
        struct gw_bot *bot = gw->bots[i];
        const struct gw_bot_config *was = bot->config;

        if (was && same_groups && gw_bot_config_equal(was, &config->bots[i])) {
            bot->config = &config->bots[i];
            gw_routes_move(&bot->routes, config, bot->config);
            continue;
        }
        gw_bot_configure(bot, &config->bots[i]);
    }
    gw_config_free(old);
    gw_consumers_reloaded(gw);
}

int gw_apply_config(struct gw *gw, struct gw_config *config, struct mw_error *err)
{
    struct change ch = {0};
    int rc = prepare(gw, config, &ch, err);

    if (!rc && put_handlers(gw, config, &ch))
        rc = mw_error_set(err, -ENOMEM, "out of memory");
    if (rc) {
        undo(config, &ch);
        return rc;
    }
    swap(gw, config, &ch);
    change_deinit(&ch);
    gw_reap_later(gw);
    mw_timer_start(gw->start_timer, 0);
    return 0;
}

int gw_reload(struct gw *gw, struct gw_config *config, struct mw_error *err)
{
    if (gw->stopping)
        return mw_error_set(err, 1, "the daemon is stopping");
    if (!mw_streq(gw->config->daemon.database, config->daemon.database))
        return mw_error_set(err, 1, "daemon.database cannot change while the daemon runs");
    if (gw->config->daemon.retention.age_ms != config->daemon.retention.age_ms ||
        gw->config->daemon.retention.count != config->daemon.retention.count ||
        gw->config->daemon.retention.done_age_ms != config->daemon.retention.done_age_ms)
        return mw_error_set(err, 1, "daemon.retention cannot change while the daemon runs");
    if (!mw_streq(gw->config->daemon.files.folder, config->daemon.files.folder))
        return mw_error_set(err, 1, "daemon.files.folder cannot change while the daemon runs");
    if (!mw_streq(gw->config->daemon.socket, config->daemon.socket))
        return mw_error_set(err, 1, "daemon.socket cannot change while the daemon runs");
    return gw_apply_config(gw, config, err);
}
