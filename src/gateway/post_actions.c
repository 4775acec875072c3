/* What gw_act does to a post, as a table; and what has no place in the outbox because it is of use
 * only at once: typing, ephemeral posts. */
#include <ctype.h>

#include "base/id.h"
#include "base/str.h"
#include "base/utf8.h"
#include "gateway/internal.h"

static const struct {
    const char *effect;
    bool text, emoji;
} actions[] = {
    [GW_EDIT] = {.effect = "edit", .text = true},
    [GW_DELETE] = {.effect = "delete"},
    [GW_REACT] = {.effect = "reaction_add", .emoji = true},
    [GW_UNREACT] = {.effect = "reaction_remove", .emoji = true},
    [GW_PIN] = {.effect = "pin"},
    [GW_UNPIN] = {.effect = "unpin"},
};

/* Does a text fit into one post? Returns 0 or 1. Where the bot has not been online yet, the server
 * tells later. */
static int check_length(const struct gw_bot *bot, const char *text, struct mw_error *err)
{
    size_t chars = mw_utf8_count(text);
    struct mm_server_info info = {.version = ""};

    if (bot->client)
        mm_client_server(bot->client, &info);
    if (!info.version[0] || chars <= info.max_post_chars)
        return 0;
    return mw_error_set(err, 1,
                        "the text has %zu characters, %zu more than the server takes in a post "
                        "(%zu); put it into a file: `matterwire send --file FILE`, or `reply`",
                        chars, chars - info.max_post_chars, info.max_post_chars);
}

/* "name" or ":name:" -> the name. Returns 0, 1 or -ENOMEM. */
static int emoji_name(const char *given, char **ret, struct mw_error *err)
{
    size_t len = strlen(given), from = given[0] == ':';
    size_t n = len - from - (len > 1 && given[len - 1] == ':');
    bool good = len > from && n > 0 && n <= 64;

    for (size_t i = from; good && i < from + n; i++)
        good = isalnum((unsigned char)given[i]) || strchr("_+-", given[i]);
    if (!good)
        return mw_error_set(err, 1,
                            "\"%.64s\" is no name of an emoji: write it as :thumbsup: or "
                            "thumbsup",
                            given);
    *ret = strndup(given + from, n);
    return *ret ? 0 : -ENOMEM;
}

int gw_act_payload(const struct gw_bot *bot, const struct gw_act *req, const char **ret_kind,
                   cJSON **ret_payload, struct mw_error *err)
{
    MW_AUTOJSON *payload = cJSON_CreateObject();
    MW_AUTOFREE char *emoji = NULL;
    int rc = payload ? 0 : -ENOMEM;

    if (!req->post || !req->post[0])
        return mw_error_set(err, 1, "name a post: its id or its permalink");
    if (!rc && actions[req->action].text) {
        if (!req->text || !req->text[0])
            return mw_error_set(err, 1, "there is no new text; to remove a post, delete it");
        rc = check_length(bot, req->text, err);
        if (!rc)
            rc = mw_json_add_str(payload, "message", req->text);
    }
    if (!rc && actions[req->action].emoji) {
        rc = emoji_name(req->emoji ? req->emoji : "", &emoji, err);
        if (!rc)
            rc = mw_json_add_str(payload, "emoji_name", emoji);
    }
    if (rc)
        return rc;
    *ret_kind = actions[req->action].effect;
    *ret_payload = take_ptr(payload);
    return 0;
}

/* ---- At once or not at all: a chain of calls ---- */

struct direct {
    struct mm_client *client; /* its calls end, as canceled, before it goes */
    gw_cb cb;
    void *userdata;
    char *channel, *user, *root, *text, *team;
    char channel_id[64], user_id[64], root_id[64];
    const char *forbidden;
    int (*call)(struct direct *d);
    cJSON *(*result)(const struct direct *d, const cJSON *body);
};

static void next_step(struct direct *d);

static void direct_free(struct direct *d)
{
    if (!d)
        return;
    free(d->channel);
    free(d->user);
    free(d->root);
    free(d->text);
    free(d->team);
    free(d);
}

/* Answers and frees. */
static void end_error(struct direct *d, enum gw_code code, const char *sentence)
{
    gw_cb cb = d->cb;
    void *userdata = d->userdata;

    direct_free(d);
    gw_reply_error(cb, userdata, code, sentence);
}

static void end_result(struct direct *d, cJSON *result)
{
    struct gw_reply reply = {.code = GW_OK, .result = result};
    gw_cb cb = d->cb;
    void *userdata = d->userdata;

    direct_free(d);
    if (!result) {
        gw_reply_error(cb, userdata, GW_INTERNAL, "out of memory");
        return;
    }
    cb(&reply, userdata);
    cJSON_Delete(reply.result);
}

/* True when the call went well; otherwise the caller was told. */
static bool went_well(struct direct *d, const struct mm_result *r, const char *forbidden)
{
    MW_AUTOFREE char *sentence = NULL;

    if (r->outcome == MM_OK)
        return true;
    if (r->outcome == MM_CANCELED) {
        end_error(d, GW_OFFLINE, "the bot's connection was closed");
        return false;
    }
    sentence = r->outcome == MM_FORBIDDEN && forbidden
                   ? mw_asprintf("%s: %s", mw_error_text(&r->err), forbidden)
                   : strdup(mw_error_text(&r->err));
    end_error(d, gw_code_of(r->outcome), sentence ? sentence : "out of memory");
    return false;
}

static void on_called(struct mm_result *r, void *userdata)
{
    struct direct *d = userdata;

    if (went_well(d, r, d->forbidden))
        end_result(d, d->result(d, r->body));
}

static void on_channel(struct mm_result *r, void *userdata)
{
    struct direct *d = userdata;

    if (!went_well(d, r, NULL))
        return;
    snprintf(d->channel_id, sizeof(d->channel_id), "%s", mw_json_str_or(r->body, "channel_id", ""));
    next_step(d);
}

static void on_user(struct mm_result *r, void *userdata)
{
    struct direct *d = userdata;

    if (!went_well(d, r, NULL))
        return;
    snprintf(d->user_id, sizeof(d->user_id), "%s", mw_json_str_or(r->body, "user_id", ""));
    next_step(d);
}

static void on_root(struct mm_result *r, void *userdata)
{
    struct direct *d = userdata;
    const char *root = mw_json_str_or(r->body, "root_id", "");

    if (!went_well(d, r, NULL))
        return;
    if (!mw_streq(mw_json_str(r->body, "channel_id"), d->channel_id)) {
        end_error(d, GW_BAD_PARAMS, "the post is not in this channel");
        return;
    }
    snprintf(d->root_id, sizeof(d->root_id), "%s",
             root[0] ? root : mw_json_str_or(r->body, "id", ""));
    next_step(d);
}

static void next_step(struct direct *d)
{
    int rc;

    if (!d->channel_id[0])
        rc = mm_resolve_channel(d->client, d->channel, d->team, on_channel, d);
    else if (d->user && !d->user_id[0])
        rc = mm_resolve_user(d->client, d->user, on_user, d);
    else if (d->root && !d->root_id[0])
        rc = mm_resolve_post(d->client, d->root, on_root, d);
    else
        rc = d->call(d);
    if (rc)
        end_error(d, rc == -ENOMEM ? GW_INTERNAL : GW_OFFLINE,
                  rc == -ENOMEM ? "out of memory" : "too many calls are waiting");
}

/* Copies what all have in common; NULL when the caller was told why not. */
static struct direct *direct_new(struct gw_bot *bot, const char *channel, const char *root,
                                 gw_cb cb, void *userdata)
{
    struct direct *d;

    if (bot->gw->stopping || !bot->client) {
        gw_reply_error(cb, userdata, GW_OFFLINE,
                       bot->gw->stopping ? "the daemon is stopping" : gw_bot_trouble(bot));
        return NULL;
    }
    d = calloc(1, sizeof(*d));
    if (!d || mw_str_set(&d->channel, channel) || mw_str_set(&d->root, root) ||
        mw_str_set(&d->team, bot->config->team)) {
        direct_free(d);
        gw_reply_error(cb, userdata, GW_INTERNAL, "out of memory");
        return NULL;
    }
    d->client = bot->client;
    d->cb = cb;
    d->userdata = userdata;
    return d;
}

/* ---- Typing ---- */

static int call_typing(struct direct *d)
{
    MW_AUTOJSON *body = cJSON_CreateObject();

    if (!body || mw_json_add_str(body, "channel_id", d->channel_id) ||
        mw_json_add_str(body, "parent_id", d->root_id))
        return -ENOMEM;
    return mm_call(d->client, "POST", "/users/me/typing", take_ptr(body), on_called, d);
}

static cJSON *typing_result(const struct direct *d, const cJSON *body)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || mw_json_add_str(o, "channel_id", d->channel_id) ||
        (d->root_id[0] && mw_json_add_str(o, "root_id", d->root_id)))
        return NULL;
    return take_ptr(o);
}

void gw_typing(struct gw *gw, struct gw_bot *bot, const char *channel, const char *root, gw_cb cb,
               void *userdata)
{
    struct direct *d = direct_new(bot, channel, root, cb, userdata);

    if (!d)
        return;
    d->forbidden = "the bot must be a member of the channel (any member can add it by /invite)";
    d->call = call_typing;
    d->result = typing_result;
    next_step(d);
}

/* ---- Ephemeral posts ---- */

static int call_ephemeral(struct direct *d)
{
    MW_AUTOJSON *body = cJSON_CreateObject(), *post = cJSON_CreateObject();

    if (!body || !post || mw_json_add_str(body, "user_id", d->user_id) ||
        mw_json_add_str(post, "channel_id", d->channel_id) ||
        mw_json_add_str(post, "root_id", d->root_id) || mw_json_add_str(post, "message", d->text) ||
        mw_json_add(body, "post", take_ptr(post)))
        return -ENOMEM;
    return mm_call(d->client, "POST", "/posts/ephemeral", take_ptr(body), on_called, d);
}

static cJSON *ephemeral_result(const struct direct *d, const cJSON *body)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || mw_json_add_str(o, "post_id", mw_json_str_or(body, "id", "")) ||
        mw_json_add_str(o, "channel_id", d->channel_id) ||
        mw_json_add_str(o, "user_id", d->user_id))
        return NULL;
    return take_ptr(o);
}

void gw_ephemeral(struct gw *gw, struct gw_bot *bot, const struct gw_ephemeral *req, gw_cb cb,
                  void *userdata)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct direct *d;

    if (!req->text || !req->text[0]) {
        gw_reply_error(cb, userdata, GW_BAD_PARAMS, "there is nothing to show: the text is empty");
        return;
    }
    if (check_length(bot, req->text, &err)) {
        gw_reply_error(cb, userdata, GW_BAD_PARAMS, mw_error_text(&err));
        return;
    }
    d = direct_new(bot, req->channel, req->root, cb, userdata);
    if (!d)
        return;
    if (mw_str_set(&d->user, req->user) || mw_str_set(&d->text, req->text)) {
        end_error(d, GW_INTERNAL, "out of memory");
        return;
    }
    d->forbidden = "the bot needs the right create_post_ephemeral, which the role system_admin "
                   "has; a system admin can give it that role, or the right to another role";
    d->call = call_ephemeral;
    d->result = ephemeral_result;
    next_step(d);
}
