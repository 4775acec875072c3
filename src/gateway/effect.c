#include "gateway/effect.h"

#include "base/str.h"

static uint64_t hash(uint64_t h, const char *s) /* FNV-1a */
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ull;
    return h;
}

/* For 30 s the server answers a second post of the account that has the same pending_post_id with
 * the first one, in whichever channel that is. Channel and key make it the same for every try of a
 * row, and another one for a key that somebody else uses elsewhere. */
static char *pending_post_id(const char *user_id, const struct gw_effect *e)
{
    uint64_t h = hash(hash(14695981039346656037ull, e->channel_id), e->key);

    return mw_asprintf("%s:%016llx", user_id, (unsigned long long)h);
}

/* The payload's props with our key among them. */
static cJSON *keyed_props(const struct gw_effect *e)
{
    const cJSON *given = mw_json_obj(e->payload, "props");
    MW_AUTOJSON *props = given ? cJSON_Duplicate(given, true) : cJSON_CreateObject();

    if (!props)
        return NULL;
    cJSON_DeleteItemFromObjectCaseSensitive(props, GW_KEY_PROP);
    if (mw_json_add_str(props, GW_KEY_PROP, e->key))
        return NULL;
    return take_ptr(props);
}

static int call_post(struct mm_client *c, const struct gw_effect *e, mm_cb cb, void *userdata)
{
    MW_AUTOJSON *body = cJSON_CreateObject();
    MW_AUTOFREE char *pending = pending_post_id(mm_client_user_id(c), e);
    const cJSON *file_ids = mw_json_arr(e->payload, "file_ids");

    if (!body || !pending)
        return -ENOMEM;
    if (mw_json_add_str(body, "channel_id", e->channel_id) |
        mw_json_add_str(body, "root_id", mw_json_str_or(e->payload, "root_id", "")) |
        mw_json_add_str(body, "message", mw_json_str_or(e->payload, "message", "")) |
        mw_json_add(body, "props", keyed_props(e)) |
        mw_json_add_str(body, "pending_post_id", pending))
        return -ENOMEM;
    if (file_ids && mw_json_add(body, "file_ids", cJSON_Duplicate(file_ids, true)))
        return -ENOMEM;
    return mm_call(c, "POST", "/posts", take_ptr(body), cb, userdata);
}

/* Calls on a post that exists: METHOD format(post_id ...). */
static int call_path(struct mm_client *c, const char *method, char *path, cJSON *body, mm_cb cb,
                     void *userdata)
{
    MW_AUTOFREE char *owned = path;

    if (!owned) {
        cJSON_Delete(body);
        return -ENOMEM;
    }
    return mm_call(c, method, owned, body, cb, userdata);
}

static int call_edit(struct mm_client *c, const struct gw_effect *e, mm_cb cb, void *userdata)
{
    const char *post_id = mw_json_str(e->payload, "post_id");
    const char *message = mw_json_str(e->payload, "message");
    const cJSON *props = mw_json_obj(e->payload, "props");
    MW_AUTOJSON *body = cJSON_CreateObject();

    if (!post_id)
        return -EINVAL;
    if (!body || (message && mw_json_add_str(body, "message", message)) ||
        (props && mw_json_add(body, "props", cJSON_Duplicate(props, true))))
        return -ENOMEM;
    return call_path(c, "PUT", mw_asprintf("/posts/%s/patch", post_id), take_ptr(body), cb,
                     userdata);
}

static int call_delete(struct mm_client *c, const struct gw_effect *e, mm_cb cb, void *userdata)
{
    const char *post_id = mw_json_str(e->payload, "post_id");

    if (!post_id)
        return -EINVAL;
    return call_path(c, "DELETE", mw_asprintf("/posts/%s", post_id), NULL, cb, userdata);
}

static int call_reaction_add(struct mm_client *c, const struct gw_effect *e, mm_cb cb,
                             void *userdata)
{
    const char *post_id = mw_json_str(e->payload, "post_id");
    const char *emoji = mw_json_str(e->payload, "emoji_name");
    MW_AUTOJSON *body = cJSON_CreateObject();

    if (!post_id || !emoji)
        return -EINVAL;
    if (!body ||
        (mw_json_add_str(body, "user_id", mm_client_user_id(c)) |
         mw_json_add_str(body, "post_id", post_id) | mw_json_add_str(body, "emoji_name", emoji)))
        return -ENOMEM;
    return mm_call(c, "POST", "/reactions", take_ptr(body), cb, userdata);
}

static int call_reaction_remove(struct mm_client *c, const struct gw_effect *e, mm_cb cb,
                                void *userdata)
{
    const char *post_id = mw_json_str(e->payload, "post_id");
    const char *emoji = mw_json_str(e->payload, "emoji_name");

    if (!post_id || !emoji || strchr(emoji, '/'))
        return -EINVAL;
    return call_path(
        c, "DELETE",
        mw_asprintf("/users/%s/posts/%s/reactions/%s", mm_client_user_id(c), post_id, emoji), NULL,
        cb, userdata);
}

static int call_ephemeral(struct mm_client *c, const struct gw_effect *e, mm_cb cb, void *userdata)
{
    const char *user_id = mw_json_str(e->payload, "user_id");
    const cJSON *props = mw_json_obj(e->payload, "props");
    MW_AUTOJSON *body = cJSON_CreateObject(), *post = cJSON_CreateObject();

    if (!user_id)
        return -EINVAL;
    if (!body || !post ||
        (mw_json_add_str(post, "channel_id", e->channel_id) |
         mw_json_add_str(post, "root_id", mw_json_str_or(e->payload, "root_id", "")) |
         mw_json_add_str(post, "message", mw_json_str_or(e->payload, "message", ""))) ||
        (props && mw_json_add(post, "props", cJSON_Duplicate(props, true))) ||
        mw_json_add_str(body, "user_id", user_id) || mw_json_add(body, "post", take_ptr(post)))
        return -ENOMEM;
    return mm_call(c, "POST", "/posts/ephemeral", take_ptr(body), cb, userdata);
}

static int call_pin(struct mm_client *c, const struct gw_effect *e, mm_cb cb, void *userdata)
{
    const char *post_id = mw_json_str(e->payload, "post_id");

    if (!post_id)
        return -EINVAL;
    return call_path(c, "POST", mw_asprintf("/posts/%s/pin", post_id), NULL, cb, userdata);
}

static int call_unpin(struct mm_client *c, const struct gw_effect *e, mm_cb cb, void *userdata)
{
    const char *post_id = mw_json_str(e->payload, "post_id");

    if (!post_id)
        return -EINVAL;
    return call_path(c, "POST", mw_asprintf("/posts/%s/unpin", post_id), NULL, cb, userdata);
}

#define MEMBER "the bot must be a member of the channel (any member can add it by /invite)"
#define GIVES  "a system admin gives rights to roles, in the System Console under Permissions"

const char gw_upload_rights[] = MEMBER " and have the right upload_file; " GIVES;

static const struct gw_effect_kind kinds[] = {
    {.name = "post",
     .class = MM_CLASS_ANSWER,
     .look = true,
     .forbidden = MEMBER " and have the right create_post; " GIVES,
     .call = call_post},
    {.name = "edit",
     .class = MM_CLASS_CHANGE,
     .forbidden = "for its own posts the bot needs the right edit_post, for those of others "
                  "edit_others_posts; " GIVES,
     .call = call_edit},
    {.name = "delete",
     .class = MM_CLASS_CHANGE,
     .gone_is_done = true,
     .forbidden = "for its own posts the bot needs the right delete_post, for those of others "
                  "delete_others_posts; " GIVES,
     .call = call_delete},
    {.name = "reaction_add",
     .class = MM_CLASS_SIGN,
     .forbidden = MEMBER " and have the right add_reaction; " GIVES,
     .call = call_reaction_add},
    {.name = "reaction_remove",
     .class = MM_CLASS_SIGN,
     .gone_is_done = true,
     .forbidden = MEMBER " and have the right remove_reaction; " GIVES,
     .call = call_reaction_remove},
    {.name = "ephemeral",
     .class = MM_CLASS_ANSWER,
     .forbidden = "ephemeral posts take the right create_post_ephemeral, which only system admins "
                  "have by default; " GIVES,
     .call = call_ephemeral},
    {.name = "pin", .class = MM_CLASS_CHANGE, .forbidden = MEMBER, .call = call_pin},
    {.name = "unpin",
     .class = MM_CLASS_CHANGE,
     .gone_is_done = true,
     .forbidden = MEMBER,
     .call = call_unpin},
};

const struct gw_effect_kind *gw_effect_kind_find(const char *name)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(kinds); i++) {
        if (mw_streq(kinds[i].name, name))
            return &kinds[i];
    }
    return NULL;
}

bool gw_effect_is_post(const cJSON *post, const char *user_id, const char *key)
{
    /* Anybody can write props; only a post of our own account counts. */
    return mw_streq(mw_json_str(post, "user_id"), user_id) &&
           mw_streq(mw_json_str(mw_json_obj(post, "props"), GW_KEY_PROP), key);
}

bool gw_effect_next_file(const struct gw_effect *e, const char **ret_name, const char **ret_path,
                         const char **ret_inline)
{
    const cJSON *files = mw_json_arr(e->payload, "files");
    const cJSON *done = mw_json_arr(e->payload, "file_ids");
    const cJSON *file =
        files ? cJSON_GetArrayItem(files, done ? cJSON_GetArraySize(done) : 0) : NULL;

    if (!file)
        return false;
    *ret_name = mw_json_str_or(file, "name", "file");
    *ret_path = mw_json_str(file, "path");
    *ret_inline = mw_json_str(file, "inline");
    return true;
}

int gw_effect_file_done(struct gw_effect *e, const char *file_id)
{
    cJSON *done = cJSON_GetObjectItemCaseSensitive(e->payload, "file_ids");

    if (!done) {
        MW_AUTOJSON *list = cJSON_CreateArray();

        if (!list || mw_json_push(list, cJSON_CreateString(file_id)))
            return -ENOMEM;
        return mw_json_add(e->payload, "file_ids", take_ptr(list));
    }
    return mw_json_push(done, cJSON_CreateString(file_id));
}
