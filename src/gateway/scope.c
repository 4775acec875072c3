/* The names in a question about the journal, made into ids. */
#include "base/id.h"
#include "base/str.h"
#include "gateway/internal.h"
#include "gateway/read.h"

struct scoping {
    struct mm_client *client; /* its calls end, as canceled, before it goes; NULL = none */
    const char *trouble;
    gw_cb cb;
    void *userdata;
    char *channel, *author, *team;
    char channel_id[64], user_id[64], root_id[64];
};

static void next_step(struct scoping *s);

static void scoping_free(struct scoping *s)
{
    if (!s)
        return;
    free(s->channel);
    free(s->author);
    free(s->team);
    free(s);
}

static void end_error(struct scoping *s, enum gw_code code, const char *sentence)
{
    gw_cb cb = s->cb;
    void *userdata = s->userdata;

    scoping_free(s);
    gw_reply_error(cb, userdata, code, sentence);
}

static void end(struct scoping *s)
{
    struct gw_reply reply = {.code = GW_OK, .result = cJSON_CreateObject()};
    gw_cb cb = s->cb;
    void *userdata = s->userdata;
    const struct {
        const char *key, *id;
    } ids[] = {{"channel_id", s->channel_id}, {"user_id", s->user_id}, {"root_id", s->root_id}};
    bool good = reply.result;

    for (size_t i = 0; good && i < MW_ARRAY_LEN(ids); i++)
        good = !ids[i].id[0] || !mw_json_add_str(reply.result, ids[i].key, ids[i].id);
    scoping_free(s);
    if (good)
        cb(&reply, userdata);
    else
        gw_reply_error(cb, userdata, GW_INTERNAL, "out of memory");
    cJSON_Delete(reply.result);
}

static void on_step(struct scoping *s, const struct mm_result *r, const char *key, char *id,
                    size_t size)
{
    if (r->outcome == MM_CANCELED) {
        end_error(s, GW_OFFLINE, "the bot's connection was closed");
    } else if (r->outcome != MM_OK) {
        MW_AUTOFREE char *sentence = strdup(mw_error_text(&r->err));

        end_error(s, gw_code_of(r->outcome), sentence ? sentence : "out of memory");
    } else if (!mw_json_str(r->body, key)) {
        end_error(s, GW_INTERNAL, "the server did not name the id");
    } else {
        snprintf(id, size, "%s", mw_json_str(r->body, key));
        next_step(s);
    }
}

static void on_channel(struct mm_result *r, void *userdata)
{
    struct scoping *s = userdata;

    on_step(s, r, "channel_id", s->channel_id, sizeof(s->channel_id));
}

static void on_author(struct mm_result *r, void *userdata)
{
    struct scoping *s = userdata;

    on_step(s, r, "user_id", s->user_id, sizeof(s->user_id));
}

static void next_step(struct scoping *s)
{
    bool channel = s->channel && !s->channel_id[0], author = s->author && !s->user_id[0];
    int rc;

    if (!channel && !author) {
        end(s);
        return;
    }
    if (!s->client) {
        end_error(s, GW_OFFLINE, s->trouble);
        return;
    }
    rc = channel ? mm_resolve_channel(s->client, s->channel, s->team, on_channel, s)
                 : mm_resolve_user(s->client, s->author, on_author, s);
    if (rc)
        end_error(s, rc == -ENOMEM ? GW_INTERNAL : GW_OFFLINE,
                  rc == -ENOMEM ? "out of memory" : "too many calls are waiting");
}

static bool take_root(const struct mw_event *ev, void *userdata)
{
    struct scoping *s = userdata;

    if (ev->root_id[0])
        snprintf(s->root_id, sizeof(s->root_id), "%s", ev->root_id);
    return false;
}

/* A post id or a permalink of any post of the thread -> the root's id. A post that the journal does
 * not know is taken for a root. Returns false when it is neither. */
static bool find_thread(struct gw *gw, struct scoping *s, const char *ref)
{
    const char *slash = strrchr(ref, '/');
    struct mw_event_filter f = {.limit = 1, .kinds = 1u << MW_EVENT_POST};

    ref = slash ? slash + 1 : ref;
    if (!mw_id_valid(ref))
        return false;
    snprintf(s->root_id, sizeof(s->root_id), "%s", ref);
    f.post_id = ref;
    (void)!mw_store_events(gw->store, &f, take_root, s, NULL);
    return true;
}

void gw_resolve_scope(struct gw *gw, struct gw_bot *bot, const struct gw_scope *scope, gw_cb cb,
                      void *userdata)
{
    struct scoping *s = calloc(1, sizeof(*s));
    const char *author = scope->author;

    if (!s || mw_str_set(&s->channel, scope->channel) || mw_str_set(&s->author, author) ||
        mw_str_set(&s->team, bot ? bot->config->team : NULL)) {
        scoping_free(s);
        gw_reply_error(cb, userdata, GW_INTERNAL, "out of memory");
        return;
    }
    s->client = bot ? bot->client : NULL;
    s->trouble = bot ? gw_bot_trouble(bot) : "name a bot, to look the names up";
    s->cb = cb;
    s->userdata = userdata;
    if (scope->thread && !find_thread(gw, s, scope->thread)) {
        end_error(s, GW_BAD_PARAMS, "the thread is named by a post's id or permalink");
        return;
    }
    if (s->channel && mw_id_valid(s->channel))
        snprintf(s->channel_id, sizeof(s->channel_id), "%s", s->channel);
    if (author && mw_id_valid(author))
        snprintf(s->user_id, sizeof(s->user_id), "%s", author);
    next_step(s);
}
