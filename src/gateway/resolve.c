#include "base/id.h"
#include "base/str.h"
#include "gateway/internal.h"

struct resolving {
    gw_cb cb;
    void *userdata;
};

static void answer(gw_cb cb, void *userdata, enum gw_code code, const char *sentence,
                   const char *channel_id)
{
    struct gw_reply reply = {.code = code};

    if (code == GW_OK) {
        reply.result = cJSON_CreateObject();
        if (!reply.result || mw_json_add_str(reply.result, "channel_id", channel_id)) {
            reply.code = GW_INTERNAL;
            sentence = "out of memory";
        }
    }
    if (reply.code != GW_OK)
        mw_error_set(&reply.err, (int)reply.code, "%s", sentence);
    cb(&reply, userdata);
    mw_error_reset(&reply.err);
    cJSON_Delete(reply.result);
}

enum gw_code gw_code_of(enum mm_outcome outcome)
{
    switch (outcome) {
    case MM_OK:
        return GW_OK;
    case MM_NOT_FOUND:
        return GW_NOT_FOUND;
    case MM_FORBIDDEN:
        return GW_FORBIDDEN;
    case MM_REFUSED:
        return GW_BAD_PARAMS;
    case MM_UNAVAILABLE:
        return GW_REFUSED;
    case MM_UNREACHABLE:
    case MM_AMBIGUOUS:
    case MM_UNAUTHORIZED:
    case MM_BAD_ANSWER:
    case MM_CANCELED:
        break;
    }
    return GW_OFFLINE;
}

static void on_resolved(struct mm_result *r, void *userdata)
{
    struct resolving *w = userdata;
    const struct resolving copy = *w;
    const char *id = mw_json_str(r->body, "channel_id");

    free(w);
    if (r->outcome == MM_OK && id)
        answer(copy.cb, copy.userdata, GW_OK, NULL, id);
    else if (r->outcome == MM_CANCELED)
        answer(copy.cb, copy.userdata, GW_OFFLINE, "the bot's connection was closed", NULL);
    else
        answer(copy.cb, copy.userdata, r->outcome == MM_OK ? GW_INTERNAL : gw_code_of(r->outcome),
               r->outcome == MM_OK ? "the server did not name the channel" : mw_error_text(&r->err),
               NULL);
}

void gw_resolve_channel(struct gw *gw, struct gw_bot *bot, const char *name, gw_cb cb,
                        void *userdata)
{
    struct resolving *w;

    if (mw_id_valid(name)) {
        answer(cb, userdata, GW_OK, NULL, name);
        return;
    }
    if (!bot->client) {
        answer(cb, userdata, GW_OFFLINE, gw_bot_trouble(bot), NULL);
        return;
    }
    w = calloc(1, sizeof(*w));
    if (!w) {
        answer(cb, userdata, GW_INTERNAL, "out of memory", NULL);
        return;
    }
    w->cb = cb;
    w->userdata = userdata;
    if (mm_resolve_channel(bot->client, name, bot->config->team, on_resolved, w)) {
        free(w);
        answer(cb, userdata, GW_OFFLINE, "too many calls are waiting", NULL);
    }
}
