#include "rpc/rpc_test_gateway.h"

#include "base/str.h"
#include "base/test.h"

static struct gw_bot helper = {"helper"};

struct gw_bot *gw_find_bot(struct gw *gw, const char *name, struct mw_error *err)
{
    if (!name || strcmp(name, helper.name) == 0)
        return &helper;
    mw_error_set(err, -ENOENT, "there is no bot \"%s\"; there is helper", name);
    return NULL;
}

const char *gw_bot_name(const struct gw_bot *bot)
{
    return bot->name;
}

const struct gw_config *gw_get_config(const struct gw *gw)
{
    return &gw->config;
}

struct mw_store *gw_store(struct gw *gw)
{
    return (struct mw_store *)gw;
}

void gw_resolve_scope(struct gw *gw, struct gw_bot *bot, const struct gw_scope *scope, gw_cb cb,
                      void *userdata)
{
    struct gw_reply reply = {.code = GW_OK, .result = cJSON_CreateObject()};

    assert_non_null(reply.result);
    if (scope->channel) {
        reply.code = GW_NOT_FOUND;
        mw_error_set(&reply.err, 1, "there is no channel \"%s\"", scope->channel);
    }
    if (scope->thread)
        assert_int_equal(mw_json_add_str(reply.result, "root_id", scope->thread), 0);
    cb(&reply, userdata);
    mw_error_reset(&reply.err);
    cJSON_Delete(reply.result);
}

void gw_server_posts(struct gw *gw, struct gw_bot *bot, const struct gw_server_posts *req, gw_cb cb,
                     void *userdata)
{
    fail_msg("no test calls this");
}

cJSON *gw_search_json(struct gw *gw, const struct mw_search *search, bool raw,
                      enum gw_code *ret_code, struct mw_error *err)
{
    fail_msg("no test calls this");
    return NULL;
}

void gw_inbox(struct gw *gw, struct gw_bot *bot, const struct gw_inbox *req, gw_cb cb,
              void *userdata)
{
    fail_msg("no test calls this");
}

cJSON *gw_missed_json(struct gw *gw, struct gw_bot *bot, int64_t since, int64_t until,
                      struct mw_error *err)
{
    fail_msg("no test calls this");
    return NULL;
}

cJSON *gw_bots_json(struct gw *gw)
{
    return cJSON_Parse("[{\"name\":\"helper\"}]");
}

cJSON *gw_status_json(struct gw *gw)
{
    return cJSON_Parse("{\"version\":\"x\"}");
}

void gw_send(struct gw *gw, struct gw_bot *bot, const struct gw_send *req, gw_cb cb, void *userdata)
{
    gw->sends++;
    assert_int_equal(mw_str_set(&gw->sent_text, req->text), 0);
    assert_int_equal(mw_str_set(&gw->sent_channel, req->channel), 0);
    assert_int_equal(mw_str_set(&gw->sent_root, req->root), 0);
    gw->waiting[gw->n_waiting].cb = cb;
    gw->waiting[gw->n_waiting++].userdata = userdata;
}

void gw_act(struct gw *gw, struct gw_bot *bot, const struct gw_act *req, gw_cb cb, void *userdata)
{
    fail_msg("no test calls this");
}

void gw_typing(struct gw *gw, struct gw_bot *bot, const char *channel, const char *root, gw_cb cb,
               void *userdata)
{
    fail_msg("no test calls this");
}

void gw_ephemeral(struct gw *gw, struct gw_bot *bot, const struct gw_ephemeral *req, gw_cb cb,
                  void *userdata)
{
    fail_msg("no test calls this");
}

void send_ends(struct gw *gw, enum gw_code code, const char *text)
{
    struct gw_reply reply = {.code = code};
    gw_cb cb;
    void *userdata;

    if (code == GW_OK)
        reply.result = cJSON_Parse(text);
    else
        mw_error_set(&reply.err, 1, "%s", text);
    gw->n_waiting--;
    cb = gw->waiting[0].cb;
    userdata = gw->waiting[0].userdata;
    memmove(gw->waiting, gw->waiting + 1, gw->n_waiting * sizeof(gw->waiting[0]));
    cb(&reply, userdata);
    mw_error_reset(&reply.err);
    cJSON_Delete(reply.result);
}

struct mw_event make_event(int64_t id)
{
    return (struct mw_event){
        .id = id,
        .bot = "helper",
        .kind = MW_EVENT_POST,
        .at = id,
        .object = "",
        .post_id = "p",
        .root_id = "",
        .channel_id = "c",
        .channel_name = "town",
        .channel_type = "O",
        .team_id = "",
        .team_name = "",
        .user_id = "u",
        .user_name = "ann",
        .text = "0123456789012345678901234567890123456789",
        .files = "",
        .detail = "",
        .raw = "",
    };
}

int gw_consumer_new(struct gw *gw, const struct gw_consumer_params *params,
                    struct gw_consumer **ret, struct mw_error *err)
{
    struct gw_consumer *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    c->gw = gw;
    c->params = *params;
    if (params->name)
        snprintf(c->name, sizeof(c->name), "%s", params->name);
    c->at = params->after_id < 0 ? gw->n_events : params->after_id;
    gw->consumer = c;
    *ret = c;
    return 0;
}

int gw_consumer_read(struct gw_consumer *c, unsigned limit, mw_event_row_cb cb, void *userdata)
{
    int n = 0;

    while (c->at < c->gw->n_events && (unsigned)n < limit) {
        struct mw_event ev = make_event(c->at + 1);

        if (!cb(&ev, userdata))
            break;
        c->at++;
        c->gw->reads++;
        n++;
    }
    c->idle = c->at == c->gw->n_events;
    return n;
}

int64_t gw_consumer_position(const struct gw_consumer *c)
{
    return 0;
}

bool gw_consumer_gone(const struct gw_consumer *c)
{
    return c->gw->bot_gone;
}

cJSON *gw_schedules_json(struct gw *gw)
{
    return cJSON_Parse("[{\"route\":\"daily\"}]");
}

cJSON *gw_consumers_json(struct gw *gw)
{
    return cJSON_Parse("[{\"name\":\"log\"}]");
}

int gw_consumer_ack(struct gw_consumer *c, int64_t id)
{
    c->acked = id;
    return 0;
}

void gw_consumer_free(struct gw_consumer *c)
{
    if (c)
        c->gw->consumer = NULL;
    free(c);
}

/* The journal: what `history` asks the store for. */
int mw_store_events(struct mw_store *s, const struct mw_event_filter *f, mw_event_row_cb cb,
                    void *userdata, struct mw_error *err)
{
    struct gw *gw = (struct gw *)s;
    int64_t last = f->before_id ? MW_MIN(gw->n_events, f->before_id - 1) : gw->n_events;

    assert_true(f->newest_first || f->limit == 1);
    for (int64_t id = last; id > f->after_id && last - id < f->limit; id--) {
        struct mw_event ev = make_event(id);

        if (!cb(&ev, userdata))
            break;
    }
    return 0;
}
