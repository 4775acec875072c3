#include "handlers/chat_history.h"

#include "base/map.h"
#include "base/str.h"
#include "gateway/read.h"
#include "handlers/chat_prompt.h"

#define MAX_POSTS 200
#define MAX_ROWS  1000

struct gw_chat_history {
    struct gw *gw;
    const struct gw_turn *turn; /* NULL = forgotten */
    gw_chat_history_cb cb;
    void *userdata;
};

/* ---- The journal ---- */

struct journal {
    cJSON *events;
    struct mw_map latest; /* post id -> its text after the last edit, "" = deleted */
    int rc;
};

static bool take_row(const struct mw_event *ev, void *userdata)
{
    struct journal *j = userdata;
    const char *text = mw_map_get(&j->latest, ev->post_id);
    struct mw_event post = *ev;
    MW_AUTOJSON *event = NULL;
    MW_AUTOBUF b = {0};

    if (ev->kind != MW_EVENT_POST) { /* newer rows come first */
        char *copy = text ? NULL : strdup(ev->kind == MW_EVENT_POST_EDITED ? ev->text : "");

        if (!text && (!copy || mw_map_put(&j->latest, ev->post_id, copy))) {
            free(copy);
            j->rc = -ENOMEM;
        }
        return !j->rc;
    }
    if (text && !text[0])
        return true;
    if (text)
        post.text = text;
    j->rc = mw_event_write_json(&b, &post, true);
    if (!j->rc)
        j->rc = mw_json_parse(mw_buf_str(&b), b.len, &event, NULL);
    if (!j->rc && cJSON_InsertItemInArray(j->events, 0, event))
        event = NULL;
    else if (!j->rc)
        j->rc = -ENOMEM;
    return !j->rc && cJSON_GetArraySize(j->events) < MAX_POSTS;
}

/* NULL when it cannot be read. */
static cJSON *from_journal(struct gw *gw, const struct gw_turn *turn)
{
    struct gw_chat_place place = gw_chat_place(turn);
    struct journal j = {.events = cJSON_CreateArray()};
    const struct mw_event_filter f = {
        .bot = turn->ev->bot,
        .channel_id = place.channel_id,
        .root_id = place.root_id,
        .kinds = 1u << MW_EVENT_POST | 1u << MW_EVENT_POST_EDITED | 1u << MW_EVENT_POST_DELETED,
        .newest_first = true,
        .limit = MAX_ROWS,
    };

    mw_map_init(&j.latest, free);
    if (!j.events || mw_store_events(gw_store(gw), &f, take_row, &j, NULL) < 0 || j.rc)
        cJSON_Delete(take_ptr(j.events));
    mw_map_deinit(&j.latest);
    return j.events;
}

/* ---- The server ---- */

/* The gateway gives each event as text. NULL when memory ran out. */
static cJSON *parsed(const cJSON *raw)
{
    MW_AUTOJSON *events = cJSON_CreateArray();
    const cJSON *item;

    cJSON_ArrayForEach(item, raw)
    {
        cJSON *event = NULL;

        if (cJSON_IsRaw(item) &&
            mw_json_parse(item->valuestring, strlen(item->valuestring), &event, NULL))
            return NULL;
        if (event && (!events || mw_json_push(events, event)))
            return NULL;
    }
    return take_ptr(events);
}

static void on_posts(struct gw_reply *reply, void *userdata)
{
    struct gw_chat_history *h = userdata;
    MW_AUTOJSON *events = NULL;

    if (h->turn) {
        if (reply->code == GW_OK)
            events = parsed(mw_json_arr(reply->result, "events"));
        if (!events)
            events = from_journal(h->gw, h->turn);
        h->cb(events, h->userdata);
    }
    free(h);
}

int gw_chat_history_start(struct gw *gw, const struct gw_turn *turn, gw_chat_history_cb cb,
                          void *userdata, struct gw_chat_history **ret)
{
    struct gw_chat_place place = gw_chat_place(turn);
    struct gw_bot *bot = gw_find_bot(gw, turn->ev->bot, NULL);
    const struct gw_server_posts req = {
        .channel_id = place.channel_id, .root_id = place.root_id, .limit = MAX_POSTS, .raw = true};
    struct gw_chat_history *h;

    if (!bot || (!place.channel_id && !place.root_id)) {
        cb(NULL, userdata);
        return 0;
    }
    h = calloc(1, sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->gw = gw;
    h->turn = turn;
    h->cb = cb;
    h->userdata = userdata;
    *ret = h;
    gw_server_posts(gw, bot, &req, on_posts, h);
    return 0;
}

void gw_chat_history_forget(struct gw_chat_history *h)
{
    if (h)
        h->turn = NULL;
}
