/* The journal's search and what was missed, as trees. */
#include "base/clock.h"
#include "base/str.h"
#include "gateway/internal.h"
#include "gateway/read.h"
#include "store/inbox.h"

struct found {
    cJSON *events;
    bool raw, no_memory;
};

/* An event with one member more. */
static char *event_with(const struct mw_event *ev, bool raw, const char *key, const char *value)
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    if (mw_event_write_json(&b, ev, raw) || !b.len)
        return NULL;
    b.len--; /* the closing brace */
    mw_buf_printf(&b, ",\"%s\":", key);
    mw_buf_put_json_string(&b, value);
    mw_buf_putc(&b, '}');
    return mw_buf_take(&b);
}

static bool on_found(const struct mw_event *ev, const char *snippet, void *userdata)
{
    struct found *f = userdata;
    MW_AUTOFREE char *text = event_with(ev, f->raw, "snippet", snippet);

    f->no_memory = !text || mw_json_push(f->events, cJSON_CreateRaw(text));
    return !f->no_memory;
}

cJSON *gw_search_json(struct gw *gw, const struct mw_search *search, bool raw,
                      enum gw_code *ret_code, struct mw_error *err)
{
    MW_AUTOJSON *events = cJSON_CreateArray(), *o = cJSON_CreateObject();
    struct found found = {.events = events, .raw = raw};
    struct mw_search_result res;
    int rc = -ENOMEM;

    if (events && o)
        rc = mw_store_search(gw->store, search, on_found, &found, &res, err);
    if (rc || found.no_memory) {
        *ret_code = rc == -EINVAL || rc == -E2BIG ? GW_BAD_PARAMS : GW_INTERNAL;
        if (!mw_error_is_set(err))
            mw_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if (mw_json_add(o, "events", take_ptr(events)) ||
        mw_json_add_bool(o, "complete", res.complete) ||
        (!res.complete && mw_json_add_i64(o, "looked_to", res.looked_to))) {
        *ret_code = GW_INTERNAL;
        mw_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return take_ptr(o);
}

/* ---- Missed ---- */

struct missed {
    cJSON *channels;
    bool no_memory;
};

static int add_time(cJSON *o, const char *key, int64_t at)
{
    return at ? mw_json_add_i64(o, key, at) : 0;
}

static bool on_channel(const struct mw_missed_channel *ch, void *userdata)
{
    struct missed *m = userdata;
    MW_AUTOJSON *o = cJSON_CreateObject();

    m->no_memory =
        !o || mw_json_add_str(o, "channel_id", ch->channel_id) ||
        mw_json_add_str(o, "channel_name", ch->channel_name) ||
        mw_json_add_str(o, "channel_type", ch->channel_type) ||
        mw_json_add_str(o, "team_name", ch->team_name) || mw_json_add_i64(o, "posts", ch->posts) ||
        mw_json_add_i64(o, "mentions", ch->mentions) || mw_json_add_i64(o, "direct", ch->direct) ||
        mw_json_add_i64(o, "threads", ch->threads) ||
        mw_json_add_i64(o, "first_id", ch->first_id) ||
        mw_json_add_i64(o, "first_at", ch->first_at) ||
        mw_json_add_i64(o, "last_id", ch->last_id) || mw_json_add_i64(o, "last_at", ch->last_at) ||
        add_time(o, "covered_from", ch->covered_from) ||
        add_time(o, "covered_until", ch->covered_until) ||
        mw_json_add_bool(o, "complete", ch->complete) || mw_json_push(m->channels, take_ptr(o));
    return !m->no_memory;
}

cJSON *gw_missed_json(struct gw *gw, struct gw_bot *bot, int64_t since, int64_t until,
                      struct mw_error *err)
{
    MW_AUTOJSON *channels = cJSON_CreateArray(), *o = cJSON_CreateObject();
    struct missed m = {.channels = channels};
    const struct mw_missed_filter f = {
        .bot = bot->name,
        .since = since,
        .until = until,
        .online = bot->state == MM_SESSION_ONLINE,
    };
    struct mw_missed all = {0};
    int rc = -ENOMEM;

    if (channels && o)
        rc = mw_store_missed(gw->store, &f, on_channel, &m, &all, err);
    if (rc == 0 && m.no_memory)
        rc = -ENOMEM;
    if (rc == 0 &&
        (mw_json_add_str(o, "bot", bot->name) || mw_json_add_i64(o, "since", since) ||
         mw_json_add_i64(o, "until", until ? until : mw_clock_now()) ||
         mw_json_add_i64(o, "posts", all.posts) || mw_json_add_i64(o, "mentions", all.mentions) ||
         mw_json_add_bool(o, "complete", all.complete) ||
         add_time(o, "covered_until", all.covered_until) ||
         mw_json_add_bool(o, "truncated", all.truncated) ||
         add_time(o, "looked_to", all.truncated ? all.looked_to : 0) ||
         mw_json_add(o, "channels", take_ptr(channels))))
        rc = -ENOMEM;
    if (rc && !mw_error_is_set(err))
        mw_error_set(err, rc, "%s", strerror(-rc));
    return rc ? NULL : take_ptr(o);
}
