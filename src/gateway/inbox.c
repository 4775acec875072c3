/* gw_inbox: what is for a bot, and the marks: ours in the store, the server's where it is wanted.
 */
#include "store/inbox.h"
#include "base/str.h"
#include "gateway/internal.h"
#include "gateway/read.h"

#define PAGE  1000
#define PAGES 10

struct inbox {
    struct gw_bot *bot;
    gw_cb cb;
    void *userdata;
    cJSON *events;   /* newest first while they are collected */
    cJSON *channels; /* ids, to be marked as read */
    int at;          /* of the channels */
    bool from_oldest, more, no_memory, raw;
    unsigned limit;
    char *reader;
    int64_t mark; /* the newest event given */
    int64_t *ids; /* of the events */
    char (*in)[64];
    unsigned n;
    int64_t last_id;
    unsigned got; /* in this page */
};

static void inbox_free(struct inbox *x)
{
    if (!x)
        return;
    cJSON_Delete(x->events);
    cJSON_Delete(x->channels);
    free(x->reader);
    free(x->ids);
    free(x->in);
    free(x);
}

static void end_error(struct inbox *x, enum gw_code code, const char *sentence)
{
    struct gw_reply reply = {.code = code};
    gw_cb cb = x->cb;
    void *userdata = x->userdata;

    mw_error_set(&reply.err, (int)code, "%s", sentence);
    inbox_free(x);
    cb(&reply, userdata);
    mw_error_reset(&reply.err);
}

static void end(struct inbox *x)
{
    struct gw_reply reply = {.code = GW_OK, .result = cJSON_CreateObject()};
    gw_cb cb = x->cb;
    void *userdata = x->userdata;

    if (!reply.result || mw_json_add(reply.result, "events", take_ptr(x->events)) ||
        mw_json_add_bool(reply.result, "more", x->more) ||
        mw_json_add_i64(reply.result, "mark", x->mark) ||
        (x->channels && mw_json_add_i64(reply.result, "read", x->at))) {
        cJSON_Delete(reply.result);
        end_error(x, GW_INTERNAL, "out of memory");
        return;
    }
    inbox_free(x);
    cb(&reply, userdata);
    cJSON_Delete(reply.result);
}

/* ---- The server's mark ---- */

static void mark_next(struct inbox *x);

static void on_read(struct mm_result *r, void *userdata)
{
    struct inbox *x = userdata;

    if (r->outcome == MM_OK) {
        x->at++;
        mark_next(x);
    } else if (r->outcome == MM_CANCELED) {
        end_error(x, GW_OFFLINE, "the bot's connection was closed");
    } else {
        MW_AUTOFREE char *sentence = strdup(mw_error_text(&r->err));

        end_error(x, gw_code_of(r->outcome), sentence ? sentence : "out of memory");
    }
}

static void mark_next(struct inbox *x)
{
    const cJSON *id = cJSON_GetArrayItem(x->channels, x->at);
    MW_AUTOJSON *body = NULL;

    if (!id) {
        end(x);
        return;
    }
    if (!x->bot->client) {
        end_error(x, GW_OFFLINE, gw_bot_trouble(x->bot));
        return;
    }
    body = cJSON_CreateObject();
    if (!body || mw_json_add_str(body, "channel_id", id->valuestring) ||
        mm_call(x->bot->client, "POST", "/channels/members/me/view", take_ptr(body), on_read, x))
        end_error(x, GW_OFFLINE, "too many calls are waiting");
}

static void on_marked(const struct mw_tx_result *r, void *userdata)
{
    struct inbox *x = userdata;
    struct gw *gw = x->bot->gw;

    x->bot->commits--;
    if (r->error)
        end_error(x, GW_INTERNAL, r->message ? r->message : "the store refused it");
    else
        mark_next(x);
    gw_reap_later(gw);
}

/* ---- Collecting ---- */

static bool on_row(const struct mw_event *ev, void *userdata)
{
    struct inbox *x = userdata;
    MW_AUTOFREE char *text = NULL;
    MW_AUTOBUF b = {0};

    x->got++;
    x->last_id = ev->id;
    if (x->n == x->limit) {
        x->more = true;
        if (!x->from_oldest)
            return false;
        /* The oldest ones count: the newest one kept goes. */
        cJSON_DeleteItemFromArray(x->events, 0);
        memmove(x->ids, x->ids + 1, (x->n - 1) * sizeof(*x->ids));
        memmove(x->in, x->in + 1, (x->n - 1) * sizeof(*x->in));
        x->n--;
    }
    mw_buf_init(&b, 0);
    if (!mw_event_write_json(&b, ev, x->raw))
        text = mw_buf_take(&b);
    x->no_memory = !text || mw_json_push(x->events, cJSON_CreateRaw(text));
    if (x->no_memory)
        return false;
    x->ids[x->n] = ev->id;
    snprintf(x->in[x->n++], sizeof(*x->in), "%s", ev->channel_id);
    return true;
}

static int collect(struct inbox *x, const struct gw_inbox *req, struct mw_error *err)
{
    struct mw_inbox_filter f = {
        .bot = x->bot->name,
        .reader = x->reader,
        .unseen = req->unseen,
        .reasons = req->reasons,
        .since = req->since,
        .limit = x->from_oldest ? PAGE : MW_MIN(x->limit + 1, PAGE),
    };
    unsigned pages = x->from_oldest ? PAGES : 1;
    int rc;

    do {
        x->got = 0;
        rc = mw_store_inbox(x->bot->gw->store, &f, on_row, x, err);
        f.before_id = x->last_id;
    } while (rc == 0 && !x->no_memory && x->got == f.limit && --pages);
    return rc ? rc : x->no_memory ? -ENOMEM : 0;
}

/* Oldest first. */
static int turn(cJSON **events)
{
    MW_AUTOJSON *turned = cJSON_CreateArray();
    cJSON *item;

    while (turned && (item = cJSON_DetachItemFromArray(*events, 0)))
        cJSON_InsertItemInArray(turned, 0, item);
    if (!turned)
        return -ENOMEM;
    cJSON_Delete(*events);
    *events = take_ptr(turned);
    return 0;
}

static int list_channels(struct inbox *x)
{
    x->channels = cJSON_CreateArray();
    if (!x->channels)
        return -ENOMEM;
    for (unsigned i = 0; i < x->n; i++) {
        bool known = false;

        for (unsigned j = 0; j < i; j++)
            known |= strcmp(x->in[i], x->in[j]) == 0;
        if (!known && mw_json_push(x->channels, cJSON_CreateString(x->in[i])))
            return -ENOMEM;
    }
    return 0;
}

void gw_inbox(struct gw *gw, struct gw_bot *bot, const struct gw_inbox *req, gw_cb cb,
              void *userdata)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct inbox *x = calloc(1, sizeof(*x));
    struct gw_reply none = {.code = GW_INTERNAL};
    struct mw_tx *tx;
    int rc = -ENOMEM;

    if (!x) {
        mw_error_set(&none.err, -ENOMEM, "out of memory");
        cb(&none, userdata);
        mw_error_reset(&none.err);
        return;
    }
    x->bot = bot;
    x->cb = cb;
    x->userdata = userdata;
    x->raw = req->raw;
    x->limit = req->limit ? MW_MIN(req->limit, PAGE - 1) : 50;
    x->from_oldest = req->unseen && req->mark_seen;
    x->events = cJSON_CreateArray();
    x->ids = calloc(x->limit + 1, sizeof(*x->ids));
    x->in = calloc(x->limit + 1, sizeof(*x->in));
    if (x->events && x->ids && x->in && !mw_str_set(&x->reader, req->reader ? req->reader : ""))
        rc = collect(x, req, &err);
    if (rc == 0)
        rc = turn(&x->events);
    if (rc == 0 && req->mark_read)
        rc = list_channels(x);
    if (rc == 0)
        rc = mw_store_inbox_mark(gw->store, bot->name, x->reader, &x->mark);
    if (rc < 0) {
        end_error(x, GW_INTERNAL, mw_error_is_set(&err) ? mw_error_text(&err) : strerror(-rc));
        return;
    }
    if (!req->mark_seen || !x->n || x->ids[0] <= x->mark) {
        mark_next(x);
        return;
    }
    x->mark = x->ids[0];
    tx = mw_tx_new(gw->store);
    if (!tx || mw_tx_inbox_seen(tx, bot->name, x->reader, x->mark)) {
        mw_tx_free(tx);
        end_error(x, GW_INTERNAL, "out of memory");
        return;
    }
    bot->commits++;
    mw_tx_commit(tx, on_marked, x);
}
