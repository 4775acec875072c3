#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/internal.h"
#include "gateway/schedule.h"

#define NAMES_RETRY_MS 5000
#define RESTART_MS     1000
#define SYNCED_KEY     "synced_at"

/* ---- Journal ---- */

static bool wants(const struct gw_bot *bot, const char *channel_id, const char *type)
{
    if (!bot->config->channels.n || !channel_id[0])
        return true;
    return mw_map_get(&bot->channels, channel_id) || mw_streq(type, "D");
}

/* What was given to us is not in the journal: have the session give it again. */
static void start_again(struct gw_bot *bot, const char *why)
{
    gw_schedule_again(bot->schedule);
    if (bot->broken)
        return;
    bot->broken = true;
    bot->reported = 0; /* that may be lost, too */
    mw_log(bot->unrecorded ? MW_LOG_DEBUG : MW_LOG_ERROR,
           "events could not be recorded, connecting again to fetch them",
           MW_F_STR("bot", bot->name), MW_F_STR("reason", why));
    bot->unrecorded = true;
    mw_timer_start(bot->timer, RESTART_MS);
}

static void on_committed(const struct mw_tx_result *r, void *userdata)
{
    struct gw_bot *bot = userdata;

    bot->commits--;
    if (r->error) {
        start_again(bot, r->message);
    } else if (bot->unrecorded) {
        bot->unrecorded = false;
        mw_log_info("events are recorded again", MW_F_STR("bot", bot->name));
    }
    gw_dispatch_journaled(bot->dispatch);
    gw_reap_later(bot->gw);
}

/* The transaction that this round of the loop fills; NULL when memory ran out. */
static struct mw_tx *round_tx(struct gw_bot *bot)
{
    if (!bot->tx) {
        bot->tx = mw_tx_new(bot->gw->store);
        gw_flush_later(bot->gw);
    }
    return bot->tx;
}

/* rc: what adding to the round's transaction gave. */
static void added(struct gw_bot *bot, int rc)
{
    if (!rc)
        return;
    mw_tx_free(bot->tx);
    bot->tx = NULL;
    start_again(bot, "out of memory");
}

void gw_bot_flush(struct gw_bot *bot)
{
    if (!bot->tx)
        return;
    bot->commits++;
    mw_tx_commit(take_ptr(bot->tx), on_committed, bot);
}

void gw_bot_record(struct gw_bot *bot, const struct mw_event *ev, const char *scope,
                   const char *key, const char *value)
{
    struct mw_tx *tx = round_tx(bot);
    int rc = tx ? mw_tx_set(tx, scope, key, value) : -ENOMEM;

    added(bot, rc || !ev ? rc : mw_tx_event(tx, ev));
}

static void on_names(void *userdata);

static void resolve_names(struct gw_bot *bot)
{
    if (!bot->client)
        return;
    if (!gw_names_good(&bot->names))
        gw_names_resolve(&bot->names, bot->client, on_names, bot);
    else if (!bot->names_known) /* there was no memory to make use of them */
        on_names(bot);
}

static void on_event(struct mm_session *s, const struct mw_event *ev, bool observed,
                     int64_t deleted_at, void *userdata)
{
    struct gw_bot *bot = userdata;
    struct mw_tx *tx;

    if (bot->broken || !wants(bot, ev->channel_id, ev->channel_type))
        return;
    if (ev->kind == MW_EVENT_TYPING) {
        gw_consumers_live(bot->gw, ev);
        return;
    }
    /* A channel that the bot was outside of may be one of ours. */
    if (ev->kind == MW_EVENT_USER_ADDED && mw_streq(ev->user_id, mm_client_user_id(bot->client)))
        resolve_names(bot);
    tx = round_tx(bot);
    added(bot, !tx        ? -ENOMEM
               : observed ? mw_tx_observed_post(tx, ev, deleted_at)
                          : mw_tx_event(tx, ev));
}

static int on_position(struct mm_session *s, const char *channel_id, struct mw_position *ret,
                       void *userdata)
{
    struct gw_bot *bot = userdata;
    const struct mm_channel_info *ch = mm_cached_channel(bot->client, channel_id);

    /* Not followed: there is never anything to fetch. While names have no ids yet, nobody knows. */
    if (ch && bot->names_known && !wants(bot, channel_id, ch->type)) {
        *ret = (struct mw_position){
            .seen_at = INT64_MAX / 2, .post_at = INT64_MAX / 2, .confirmed = true};
        return 0;
    }
    return mw_store_position(bot->gw->store, bot->name, channel_id, ret);
}

static void on_covered(struct mm_session *s, const char *channel_id, int64_t seen_at,
                       const char *post_id, int64_t post_at, void *userdata)
{
    struct gw_bot *bot = userdata;
    struct mw_tx *tx;

    if (bot->broken || seen_at >= INT64_MAX / 2)
        return;
    tx = round_tx(bot);
    added(bot, tx ? mw_tx_position(tx, bot->name, channel_id, seen_at, post_id, post_at) : -ENOMEM);
}

/* ---- State ---- */

/* One event when the bot goes online or offline; the tries in between are not worth a row each. */
static void report_connection(struct gw_bot *bot, int state)
{
    const char *name = state > 0 ? "online" : gw_bot_state(bot);
    MW_AUTOFREE char *detail = NULL;
    MW_AUTOJSON *json = NULL;
    struct mw_tx *tx;
    struct mw_event ev;

    if (bot->reported == state)
        return;
    bot->reported = state;
    mw_event_init(&ev);
    ev.bot = bot->name;
    ev.kind = MW_EVENT_CONNECTION;
    ev.at = ev.received_at = mw_clock_now();
    if (state > 0)
        mw_log_info("online", MW_F_STR("bot", bot->name),
                    MW_F_STR("user", mm_client_user_name(bot->client)));
    else
        mw_log_warning("not connected", MW_F_STR("bot", bot->name), MW_F_STR("state", name),
                       MW_F_STR("reason", bot->reason));
    json = cJSON_CreateObject();
    if (json && !mw_json_add_str(json, "state", name) &&
        (!bot->reason || !mw_json_add_str(json, "reason", bot->reason)))
        detail = mw_json_print(json);
    if (detail)
        ev.detail = detail;
    tx = round_tx(bot);
    added(bot, detail && tx ? mw_tx_event(tx, &ev) : -ENOMEM);
}

void gw_bot_pause(struct gw_bot *bot)
{
    if (bot->session && (bot->waits_for_names || bot->waits_for_store))
        mm_session_pause(bot->session);
}

void gw_bot_unpause(struct gw_bot *bot)
{
    if (bot->session && !bot->waits_for_names && !bot->waits_for_store)
        mm_session_resume(bot->session);
}

static void forget_routes(struct gw_bot *bot)
{
    gw_dispatch_forget_routes(bot->dispatch);
    gw_routes_deinit(&bot->routes);
    bot->generation++;
    bot->follows = false;
}

static int make_routes(struct gw_bot *bot)
{
    struct gw_routes routes = {0};
    int rc = gw_routes_init(&routes, bot->gw->config, bot->config, &bot->names);

    if (rc)
        return rc;
    forget_routes(bot);
    bot->routes = routes;
    for (size_t i = 0; i < routes.n; i++)
        bot->follows |= routes.items[i].config->policy.follow_threads;
    return 0;
}

/* Ids that the config gives are known at once, those of names when the server has told them. */
static int put_ids(struct gw_bot *bot)
{
    for (size_t i = 0; i < bot->names.n; i++) {
        const struct gw_name *n = &bot->names.items[i];

        if (n->id && !n->is_user && mw_map_put(&bot->channels, n->id, bot))
            return -ENOMEM;
    }
    return make_routes(bot);
}

static void on_names(void *userdata)
{
    struct gw_bot *bot = userdata;

    if (put_ids(bot) || !gw_names_settled(&bot->names)) {
        mw_timer_start(bot->timer, NAMES_RETRY_MS);
        return;
    }
    bot->names_known = true;
    if (bot->waits_for_names) {
        for (size_t i = 0; i < bot->names.n; i++) {
            const struct gw_name *n = &bot->names.items[i];

            if (n->state != GW_NAME_OK && !bot->names_said)
                mw_log_warning("a name in the config does not work", MW_F_STR("bot", bot->name),
                               MW_F_STR("name", n->given), MW_F_STR("reason", n->problem));
        }
        bot->names_said = true;
        bot->waits_for_names = false;
        gw_bot_unpause(bot);
    }
    gw_dispatch_wake(bot->dispatch);
}

static void on_state(struct mm_session *s, enum mm_session_state state, const char *reason,
                     void *userdata)
{
    struct gw_bot *bot = userdata;

    if (state != bot->state)
        bot->since = mw_clock_now();
    bot->state = state;
    (void)!mw_str_set(&bot->reason, reason);
    switch (state) {
    case MM_SESSION_CATCHING_UP:
        /* From here on events come; without ids nobody can say which of them are wanted. */
        if (!bot->names_known) {
            bot->waits_for_names = true;
            gw_bot_pause(bot);
        }
        resolve_names(bot);
        gw_sender_retry(bot->sender);
        break;
    case MM_SESSION_ONLINE:
        report_connection(bot, 1);
        gw_bot_store_synced(bot);
        resolve_names(bot);
        gw_sender_retry(bot->sender);
        gw_schedule_wake(bot->schedule);
        break;
    case MM_SESSION_WAITING:
        report_connection(bot, -1);
        break;
    case MM_SESSION_UNAUTHORIZED:
        report_connection(bot, -2);
        break;
    case MM_SESSION_CONNECTING:
    case MM_SESSION_STOPPED:
        break;
    }
}

const char *gw_bot_state(const struct gw_bot *bot)
{
    return bot->session ? mm_session_state_name(bot->state) : bot->reason ? "failed" : "stopped";
}

const char *gw_bot_trouble(const struct gw_bot *bot)
{
    if (bot->reason)
        return bot->reason;
    return bot->state == MM_SESSION_ONLINE ? "the bot is online" : "the bot is not connected yet";
}

/* The time of the last catch-up: what a channel that is new to us is followed from. */
void gw_bot_store_synced(struct gw_bot *bot)
{
    struct mm_session_stats st;
    char text[32];
    struct mw_tx *tx;

    if (!bot->session || bot->state != MM_SESSION_ONLINE)
        return;
    mm_session_get_stats(bot->session, &st);
    if (!bot->first_at)
        bot->first_at = st.synced_at;
    if (bot->broken || st.synced_at <= bot->synced_stored)
        return;
    bot->synced_stored = st.synced_at;
    snprintf(text, sizeof(text), "%lld", (long long)st.synced_at);
    tx = round_tx(bot);
    added(bot, tx ? mw_tx_set(tx, bot->name, SYNCED_KEY, text) : -ENOMEM);
}

/* ---- Connection ---- */

static const struct mm_session_ops session_ops = {
    .on_event = on_event,
    .position = on_position,
    .covered = on_covered,
    .on_state = on_state,
};

static int open_session(struct gw_bot *bot, struct mw_error *err)
{
    const struct gw_bot_config *c = bot->config;
    MW_AUTOFREE char *synced = NULL;
    struct mm_session_params p = {
        .client = bot->client,
        .bot = bot->name,
        .poll = c->transport == GW_TRANSPORT_POLL,
        .poll_interval_ms = c->poll_interval_ms,
        .tls = c->tls,
        .proxy = c->proxy,
        .ops = &session_ops,
        .userdata = bot,
    };
    int rc = mw_store_get(bot->gw->store, bot->name, SYNCED_KEY, &synced);

    if (rc < 0)
        return mw_error_set(err, rc, "the last position could not be read from the store");
    if (rc == 0)
        p.baseline_ms = strtoll(synced, NULL, 10);
    /* What was stored a moment ago may not be committed yet. */
    p.baseline_ms = MW_MAX(p.baseline_ms, bot->synced_stored);
    if (!p.baseline_ms)
        p.baseline_ms = bot->first_at;
    rc = mm_session_new(bot->gw->loop, &p, &bot->session, err);
    if (rc)
        return rc;
    bot->broken = false;
    bot->waits_for_names = false;
    bot->waits_for_store = mw_store_full(bot->gw->store);
    bot->state = MM_SESSION_CONNECTING;
    bot->since = mw_clock_now();
    gw_bot_pause(bot);
    mm_session_start(bot->session);
    return 0;
}

static void connect_failed(struct gw_bot *bot, struct mw_error *err)
{
    /* It is tried again: say it when it is news. */
    mw_log(mw_streq(bot->reason, mw_error_text(err)) ? MW_LOG_DEBUG : MW_LOG_ERROR,
           "the bot could not be started", MW_F_STR("bot", bot->name),
           MW_F_STR("reason", mw_error_text(err)));
    (void)!mw_str_set(&bot->reason, mw_error_text(err));
    /* Most of it passes: no memory or descriptor left, a locked database, a certificate that is
     * just being replaced. */
    mw_timer_start(bot->timer, RESTART_MS * 5);
}

void gw_bot_connect(struct gw_bot *bot)
{
    const struct gw_bot_config *c = bot->config;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_client_params p = {
        .endpoint = c->endpoint,
        .token = c->bot_token,
        .login = c->login,
        .password = c->password,
        .tls = c->tls,
        .proxy = c->proxy,
        .timeout_ms = c->timeout_ms,
    };

    if (bot->gw->stopping || bot->removed || !bot->configured)
        return;
    gw_bot_disconnect(bot);
    if (c->tls.insecure && !bot->names_said)
        mw_log_warning("the server's certificate is not checked (tls.insecure)",
                       MW_F_STR("bot", bot->name));
    if (gw_budget(bot->gw, c->endpoint, &p.budget, &err) ||
        mm_client_new(bot->gw->loop, &p, &bot->client, &err) || open_session(bot, &err)) {
        gw_bot_disconnect(bot);
        connect_failed(bot, &err);
        return;
    }
    gw_sender_set_client(bot->sender, bot->client);
}

void gw_bot_close_session(struct gw_bot *bot)
{
    mm_session_free(take_ptr(bot->session));
    bot->state = MM_SESSION_STOPPED;
}

void gw_bot_disconnect(struct gw_bot *bot)
{
    gw_bot_close_session(bot);
    gw_sender_set_client(bot->sender, NULL);
    mm_client_free(take_ptr(bot->client));
}

/* Waits that a bot has: for its next try to resolve names, and for a new session after events could
 * not be recorded. */
static void on_timer(void *userdata)
{
    struct gw_bot *bot = userdata;

    if (bot->gw->stopping || bot->removed)
        return;
    if (!bot->configured)
        gw_bot_configure(bot, bot->config);
    if (bot->broken || !bot->session)
        gw_bot_connect(bot);
    else if (bot->state != MM_SESSION_CONNECTING)
        resolve_names(bot);
}

/* ---- Life ---- */

static void on_delivery(const struct gw_delivery *d, void *userdata)
{
    struct gw_bot *bot = userdata;

    if (!d->sent)
        mw_log_error("not delivered", MW_F_STR("bot", bot->name), MW_F_STR("kind", d->kind),
                     MW_F_STR("key", d->key), MW_F_STR("channel", d->channel_id),
                     MW_F_INT("event", d->event_id), MW_F_STR("reason", d->error));
    gw_dispatch_delivered(bot->dispatch, d);
    gw_send_delivered(bot, d);
}

static void on_progress(void *userdata)
{
    struct gw_bot *bot = userdata;

    gw_reap_later(bot->gw);
}

void gw_bot_configure(struct gw_bot *bot, const struct gw_bot_config *config)
{
    gw_bot_disconnect(bot);
    gw_names_deinit(&bot->names);
    gw_members_clear(&bot->members);
    mw_map_clear(&bot->channels);
    forget_routes(bot); /* they are of the old config */
    bot->config = config;
    bot->names_said = false;
    bot->configured = !gw_names_init(&bot->names, bot->gw->config, config) && !put_ids(bot) &&
                      !gw_schedule_configure(bot->schedule);
    bot->names_known = bot->configured && gw_names_settled(&bot->names);
    (void)!mw_str_set(&bot->reason, bot->configured ? NULL : "out of memory");
    if (!bot->configured)
        mw_timer_start(bot->timer, RESTART_MS);
}

int gw_bot_new(struct gw *gw, const char *name, struct gw_bot **ret, struct mw_error *err)
{
    struct gw_bot *bot = calloc(1, sizeof(*bot));
    struct gw_sender_params p = {
        .store = gw->store,
        .bot = name,
        .on_delivery = on_delivery,
        .on_progress = on_progress,
        .userdata = bot,
    };
    int rc = -ENOMEM;

    if (!bot)
        return mw_error_set(err, rc, "out of memory");
    bot->gw = gw;
    bot->since = mw_clock_now();
    mw_map_init(&bot->channels, NULL);
    gw_members_init(&bot->members);
    gw_limits_init(&bot->people);
    gw_limits_init(&bot->robots);
    gw_limits_init(&bot->refusals);
    bot->name = strdup(name);
    if (!bot->name || mw_timer_new(gw->loop, on_timer, bot, &bot->timer) ||
        gw_sender_new(gw->loop, &p, &bot->sender) || gw_schedule_new(bot, &bot->schedule))
        mw_error_set(err, rc, "out of memory");
    else
        rc = gw_dispatch_new(bot, &bot->dispatch, err);
    if (rc) {
        gw_bot_free(bot);
        return rc;
    }
    *ret = bot;
    return 0;
}

void gw_bot_free(struct gw_bot *bot)
{
    if (!bot)
        return;
    if (bot->sender)
        gw_bot_disconnect(bot);
    gw_schedule_free(bot->schedule);
    gw_dispatch_free(bot->dispatch);
    gw_sender_free(bot->sender);
    mw_timer_free(bot->timer);
    mw_tx_free(bot->tx);
    gw_names_deinit(&bot->names);
    mw_map_deinit(&bot->channels);
    gw_routes_deinit(&bot->routes);
    gw_members_deinit(&bot->members);
    gw_limits_deinit(&bot->people);
    gw_limits_deinit(&bot->robots);
    gw_limits_deinit(&bot->refusals);
    free(bot->reason);
    free(bot->name);
    free(bot);
}

bool gw_bot_busy(const struct gw_bot *bot)
{
    return bot->tx || bot->commits || gw_dispatch_busy(bot->dispatch) ||
           gw_sender_busy(bot->sender);
}

const char *gw_bot_name(const struct gw_bot *bot)
{
    return bot->name;
}

const char *gw_bot_user_name(const struct gw_bot *bot)
{
    return bot->client ? mm_client_user_name(bot->client) : "";
}
