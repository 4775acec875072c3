/* The trees of `bots` and `status`. */
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "gateway/fetch.h"
#include "gateway/internal.h"
#include "gateway/schedule.h"

static const char *const name_states[] = {
    [GW_NAME_UNKNOWN] = "unknown",
    [GW_NAME_OK] = "ok",
    [GW_NAME_OUTSIDE] = "not_a_member",
    [GW_NAME_MISSING] = "not_found",
};

/* The names of one kind: {"name", "id"?, "state", "problem"?}. */
static cJSON *names_json(const struct gw_bot *bot, bool users)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    for (size_t i = 0; array && i < bot->names.n; i++) {
        const struct gw_name *n = &bot->names.items[i];
        MW_AUTOJSON *o = NULL;

        if (n->is_user != users)
            continue;
        o = cJSON_CreateObject();
        if (!o || mw_json_add_str(o, "name", n->given) ||
            (n->id && mw_json_add_str(o, "id", n->id)) ||
            mw_json_add_str(o, "state", name_states[n->state]) ||
            (n->problem && mw_json_add_str(o, "problem", n->problem)) ||
            mw_json_push(array, take_ptr(o)))
            return NULL;
    }
    return take_ptr(array);
}

static cJSON *user_json(const struct gw_bot *bot)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || (mw_json_add_str(o, "id", mm_client_user_id(bot->client)) |
               mw_json_add_str(o, "name", mm_client_user_name(bot->client)) |
               mw_json_add_bool(o, "bot", mm_client_is_bot(bot->client))))
        return NULL;
    return take_ptr(o);
}

static cJSON *session_json(const struct gw_bot *bot)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    struct mm_session_stats st;

    if (!o)
        return NULL;
    mm_session_get_stats(bot->session, &st);
    if (mw_json_add_i64(o, "connects", st.connects) | mw_json_add_i64(o, "resumes", st.resumes) |
        mw_json_add_i64(o, "resume_misses", st.resume_misses) |
        mw_json_add_i64(o, "sequence_gaps", st.sequence_gaps) |
        mw_json_add_i64(o, "catch_ups", st.catch_ups) | mw_json_add_i64(o, "frames", st.frames) |
        mw_json_add_i64(o, "events", st.events) | mw_json_add_i64(o, "member_of", st.channels) |
        mw_json_add_i64(o, "skipped_channels", st.skipped) |
        mw_json_add_i64(o, "skipped_posts", st.malformed) |
        mw_json_add_i64(o, "synced_at", st.synced_at) |
        mw_json_add_i64(o, "next_try_at", st.next_try_at))
        return NULL;
    return take_ptr(o);
}

static cJSON *decisions_json(const struct gw_bot *bot)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    for (int v = 0; o && v < GW_VERDICTS; v++) {
        if (mw_json_add_i64(o, gw_verdict_name(v), bot->verdicts[v]))
            return NULL;
    }
    return take_ptr(o);
}

static cJSON *outbox_json(struct gw *gw, const struct gw_bot *bot)
{
    static const struct {
        const char *name;
        enum mw_outbox_state state;
    } counts[] = {
        {"pending", MW_OUTBOX_PENDING},
        {"sending", MW_OUTBOX_SENDING},
        {"failed", MW_OUTBOX_FAILED},
    };
    MW_AUTOJSON *o = cJSON_CreateObject();
    struct gw_sender_stats st = {0};
    struct gw_overdue overdue = {0};

    for (size_t i = 0; o && i < MW_ARRAY_LEN(counts); i++) {
        int64_t n = 0;

        if (mw_store_outbox_count(gw->store, bot ? bot->name : NULL, counts[i].state, &n) < 0 ||
            mw_json_add_i64(o, counts[i].name, n))
            return NULL;
    }
    if (!o || !bot)
        return take_ptr(o);
    gw_sender_get_stats(bot->sender, &st);
    if (mw_json_add_i64(o, "sent", st.sent) | mw_json_add_i64(o, "found", st.found) |
        mw_json_add_i64(o, "retries", st.retries))
        return NULL;
    if (gw_overdue(gw, bot, &overdue) < 0 || mw_json_add_i64(o, "overdue", overdue.count) ||
        (overdue.count && mw_json_add_i64(o, "overdue_since", overdue.oldest_at)))
        return NULL;
    if (st.last_error && mw_json_add_str(o, "waiting_for", st.last_error))
        return NULL;
    return take_ptr(o);
}

static cJSON *tasks_json(struct gw *gw, const struct gw_bot *bot)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    int64_t pending = 0, failed = 0;
    const char *name = bot ? bot->name : NULL;

    if (!o || mw_store_task_count(gw->store, name, MW_TASK_PENDING, &pending) < 0 ||
        mw_store_task_count(gw->store, name, MW_TASK_FAILED, &failed) < 0)
        return NULL;
    if (mw_json_add_i64(o, "pending", pending) | mw_json_add_i64(o, "failed", failed))
        return NULL;
    if (bot) {
        struct gw_dispatch_stats st;

        gw_dispatch_get_stats(bot->dispatch, &st);
        if (mw_json_add_i64(o, "running", st.running) |
            mw_json_add_i64(o, "conversations", st.conversations))
            return NULL;
    }
    return take_ptr(o);
}

static bool everyone(const struct gw_bot_config *c)
{
    for (size_t i = 0; i < c->policy.allowed_users.n; i++) {
        if (mw_streq(c->policy.allowed_users.items[i], "*"))
            return true;
    }
    return false;
}

static cJSON *routes_json(const struct gw_bot *bot)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    for (size_t i = 0; array && i < bot->routes.n; i++) {
        const struct gw_route *r = &bot->routes.items[i];
        cJSON *o = cJSON_CreateObject();

        if (mw_json_push(array, o) || mw_json_add_str(o, "name", r->config->name) ||
            mw_json_add_str(o, "when", r->config->when) ||
            (r->config->handler && mw_json_add_str(o, "handler", r->config->handler)) ||
            (r->config->schedule && mw_json_add_str(o, "schedule", r->config->schedule)) ||
            mw_json_add_i64(o, "running", r->running))
            return NULL;
    }
    return take_ptr(array);
}

static cJSON *schedules_json(const struct gw_bot *bot)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    return array && !gw_schedule_json(bot->schedule, array) ? take_ptr(array) : NULL;
}

cJSON *gw_schedules_json(struct gw *gw)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    for (size_t i = 0; array && i < gw->n_bots; i++) {
        if (gw_schedule_json(gw->bots[i]->schedule, array))
            return NULL;
    }
    return take_ptr(array);
}

static cJSON *bot_json(struct gw *gw, const struct gw_bot *bot)
{
    const struct gw_bot_config *c = bot->config;
    MW_AUTOJSON *o = cJSON_CreateObject();
    struct mm_server_info info = {.version = ""};

    if (!o)
        return NULL;
    if (bot->client)
        mm_client_server(bot->client, &info);
    if (mw_json_add_str(o, "name", bot->name) | mw_json_add_str(o, "type", c->type) |
        mw_json_add_str(o, "endpoint", c->endpoint) |
        mw_json_add_str(o, "transport", c->transport == GW_TRANSPORT_POLL ? "poll" : "websocket") |
        mw_json_add_str(o, "state", gw_bot_state(bot)) | mw_json_add_i64(o, "since", bot->since) |
        mw_json_add_bool(o, "all_channels", c->channels.n == 0) |
        mw_json_add(o, "channels", names_json(bot, false)) |
        mw_json_add(o, "allowed_users", names_json(bot, true)) |
        mw_json_add_bool(o, "everyone", everyone(c)) |
        mw_json_add_bool(o, "mention_only", c->policy.mention_only) |
        mw_json_add_bool(o, "thread_replies", c->policy.thread_replies == GW_THREAD) |
        mw_json_add(o, "routes", routes_json(bot)) |
        mw_json_add(o, "schedules", schedules_json(bot)) |
        mw_json_add(o, "decisions", decisions_json(bot)) |
        mw_json_add(o, "tasks", tasks_json(gw, bot)) |
        mw_json_add(o, "outbox", outbox_json(gw, bot)))
        return NULL;
    if ((bot->reason && mw_json_add_str(o, "reason", bot->reason)) ||
        (c->handler && mw_json_add_str(o, "handler", c->handler)) ||
        (info.version[0] && mw_json_add_str(o, "server_version", info.version)) ||
        (bot->client && mm_client_user_id(bot->client)[0] &&
         mw_json_add(o, "user", user_json(bot))) ||
        (bot->session && mw_json_add(o, "session", session_json(bot))))
        return NULL;
    return take_ptr(o);
}

cJSON *gw_bots_json(struct gw *gw)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    for (size_t i = 0; array && i < gw->n_bots; i++) {
        if (mw_json_push(array, bot_json(gw, gw->bots[i])))
            return NULL;
    }
    return take_ptr(array);
}

static cJSON *store_json(struct gw *gw)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    struct mw_store_stats st;

    if (!o)
        return NULL;
    mw_store_get_stats(gw->store, &st);
    if (mw_json_add_str(o, "path", gw->config->daemon.database) |
        mw_json_add_str(o, "state", st.condition == MW_STORE_OK ? "ok" : "stalled") |
        mw_json_add_i64(o, "queued_bytes", (int64_t)st.queued_bytes) |
        mw_json_add_i64(o, "queued_transactions", (int64_t)st.queued_tx) |
        mw_json_add_i64(o, "last_event_id", st.last_event_id) |
        mw_json_add_i64(o, "commits", st.commits) |
        mw_json_add_i64(o, "events_written", st.events_written) |
        mw_json_add_i64(o, "events_duplicate", st.events_duplicate) |
        mw_json_add_i64(o, "file_bytes", st.file_bytes) |
        mw_json_add_i64(o, "indexed_id", st.indexed_id) |
        mw_json_add_i64(o, "pruned_events", st.pruned_events) |
        mw_json_add_i64(o, "pruned_work", st.pruned_work) |
        mw_json_add_bool(o, "prune_held", st.prune_held))
        return NULL;
    if (st.background_trouble && mw_json_add_str(o, "background_trouble", st.background_trouble))
        return NULL;
    if (st.reason && mw_json_add_str(o, "reason", st.reason))
        return NULL;
    return take_ptr(o);
}

static cJSON *handler_json(const struct gw_handler *h)
{
    static const struct {
        const char *name;
        enum gw_handler_end end;
    } ends[] = {
        {"answered", GW_HANDLER_ANSWERED}, {"empty", GW_HANDLER_EMPTY},
        {"failed", GW_HANDLER_FAILED},     {"timeout", GW_HANDLER_TIMEOUT},
        {"canceled", GW_HANDLER_CANCELED},
    };
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o ||
        (mw_json_add_str(o, "name", h->name) | mw_json_add_str(o, "type", h->config->type) |
         mw_json_add_i64(o, "concurrency", h->config->concurrency) |
         mw_json_add_i64(o, "running", h->running) | mw_json_add_i64(o, "waiting", h->waiting)))
        return NULL;
    for (size_t i = 0; i < MW_ARRAY_LEN(ends); i++) {
        if (mw_json_add_i64(o, ends[i].name, h->ended[ends[i].end]))
            return NULL;
    }
    if (h->last_error && (mw_json_add_str(o, "last_error", h->last_error) |
                          mw_json_add_i64(o, "last_error_at", h->last_error_at)))
        return NULL;
    gw_handler_status(h, o);
    return take_ptr(o);
}

static cJSON *handlers_json(struct gw *gw)
{
    MW_AUTOJSON *array = cJSON_CreateArray();

    for (size_t i = 0; array && i < gw->config->n_handlers; i++) {
        const struct gw_handler *h = mw_map_get(&gw->handlers, gw->config->handlers[i].name);

        if (h && mw_json_push(array, handler_json(h)))
            return NULL;
    }
    return take_ptr(array);
}

cJSON *gw_status_json(struct gw *gw)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o ||
        (mw_json_add_str(o, "version", MW_VERSION) | mw_json_add_i64(o, "pid", getpid()) |
         mw_json_add_i64(o, "started_at", gw->started_at) |
         mw_json_add_i64(o, "uptime_ms", mw_clock_now() - gw->started_at) |
         mw_json_add_str(o, "config", gw->config->path) | mw_json_add(o, "store", store_json(gw)) |
         mw_json_add(o, "bots", gw_bots_json(gw)) | mw_json_add(o, "servers", gw_servers_json(gw)) |
         mw_json_add(o, "handlers", handlers_json(gw)) |
         mw_json_add(o, "tasks", tasks_json(gw, NULL)) |
         mw_json_add(o, "outbox", outbox_json(gw, NULL)) |
         mw_json_add(o, "consumers", gw_consumers_json(gw)) |
         mw_json_add(o, "files", gw_files_json(gw->files, &gw->config->daemon.files))))
        return NULL;
    return take_ptr(o);
}
