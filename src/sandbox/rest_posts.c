/* Posts: making, reading, changing, deleting, pinning. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/utf8.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"
#include "sandbox/mention.h"

#define MAX_PENDING 10000

static int reply_post(struct sb_req *q, int status, const struct sb_post *p)
{
    sb_put_post(q->sv, &q->out, p, false, q->user);
    return sb_reply(q, status);
}

/* --- making ------------------------------------------------------------------------------------
 */

/* The post that this pending_post_id made already, NULL = none that is remembered. */
static struct sb_post *find_pending(struct sb_server *sv, const char *pending)
{
    struct sb_pending *p = *pending ? mw_map_get(&sv->pending, pending) : NULL;

    if (!p || p->expires < mw_clock_mono())
        return NULL;
    return mw_map_get(&sv->state.posts, p->post_id);
}

static int remember_pending(struct sb_server *sv, const char *pending, const struct sb_post *post)
{
    struct sb_pending *p;
    int64_t now = mw_clock_mono();
    const char *key;
    void *v;
    int r;

    if (!*pending)
        return 0;
    if (sv->pending.count >= MAX_PENDING) {
        size_t it = 0;

        while (mw_map_next(&sv->pending, &it, &key, &v))
            if (((struct sb_pending *)v)->expires < now)
                mw_map_remove(&sv->pending, key);
    }
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    memcpy(p->post_id, post->id, sizeof(p->post_id));
    p->expires = now + SB_DEDUP_MS;
    r = mw_map_put(&sv->pending, pending, p);
    if (r < 0)
        free(p);
    return r;
}

static bool may_post(const struct sb_req *q, const struct sb_channel *c)
{
    const struct sb_user *u = q->user;
    const struct sb_team *t;

    if (sb_member_of(c, u->id) || sb_is_admin(u) || sb_has_role(u->roles, "system_post_all"))
        return true;
    if (!sb_is_type(c, 'O'))
        return false;
    t = mw_map_get(&q->sv->state.teams, c->team_id);
    return sb_has_role(u->roles, "system_post_all_public") && t != NULL;
}

/* model/post.go, IsValid and app/post.go. Answers and returns false when something is wrong. */
static bool check_post(struct sb_req *q, const struct sb_channel *c, const cJSON *body)
{
    static const char *const types[] = {"", "slack_attachment", "me", "reminder", "burn_on_read"};
    const char *type = mw_json_str_or(body, "type", "");
    const cJSON *files = mw_json_arr(body, "file_ids");
    const cJSON *props = mw_json_obj(body, "props");
    bool known = mw_starts_with(type, "custom_");

    for (size_t i = 0; i < MW_ARRAY_LEN(types); i++)
        known = known || mw_streq(type, types[i]);
    if (!known) {
        sb_fail(q, 400,
                mw_starts_with(type, "system_") ? "api.context.invalid_body_param.app_error"
                                                : "model.post.is_valid.type.app_error",
                "Invalid type.");
        return false;
    }
    if (c->delete_at) {
        sb_fail(q, 400, "api.post.create_post.can_not_post_to_deleted.error",
                "Can not post to deleted channel.");
        return false;
    }
    if (cJSON_GetArraySize(files) > 10) {
        sb_fail(q, 400, "model.post.is_valid.file_ids.app_error",
                "Invalid file ids. Note that uploads are limited to 10 files maximum.");
        return false;
    }
    if (props) {
        MW_AUTOFREE char *text = mw_json_print(props);

        if (!text || mw_utf8_count(text) > (q->sv->old ? 8000 : 800000)) {
            sb_fail(q, 400, "model.post.is_valid.props.app_error", "Invalid props.");
            return false;
        }
    }
    return true;
}

int sb_h_post_create(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "post");
    struct sb_new_post in;
    struct sb_refusal refusal;
    struct sb_channel *c;
    struct sb_post *p;
    const char *pending;
    int r;

    if (!body)
        return 0;
    c = mw_map_get(&q->sv->state.channels, mw_json_str_or(body, "channel_id", ""));
    if (!c || !may_post(q, c)) /* an unknown channel looks the same */
        return sb_fail_permission(q);
    pending = mw_json_str_or(body, "pending_post_id", "");
    p = find_pending(q->sv, pending);
    if (p && p->delete_at)
        return sb_fail(q, 500, "api.post.deduplicate_create_post.failed_to_get",
                       "Failed to fetch original post after deduplicating a client repeating the "
                       "same request.");
    if (p)
        return reply_post(q, 201, p);
    if (!check_post(q, c, body))
        return 0;
    in = (struct sb_new_post){
        .channel = c,
        .author = q->user,
        .message = mw_json_str_or(body, "message", ""),
        .type = mw_json_str_or(body, "type", ""),
        .root_id = mw_json_str_or(body, "root_id", ""),
        .pending_post_id = pending,
        .props = mw_json_obj(body, "props"),
        .file_ids = mw_json_arr(body, "file_ids"),
        .create_at = sb_is_admin(q->user) ? mw_json_i64(body, "create_at", 0) : 0,
    };
    r = sb_make_post(q->sv, &in, &p, &refusal);
    if (r > 0)
        return sb_fail_refusal(q, &refusal);
    if (r == 0)
        r = remember_pending(q->sv, pending, p);
    if (r < 0)
        return r;
    if (!mw_streq(sb_query(q, "set_online"), "false"))
        sb_set_status(q->sv, q->user, "online", false);
    sb_put_post(q->sv, &q->out, p, false, q->user);
    free(take_ptr(p->pending_post_id)); /* only the event and this answer have it */
    return sb_reply(q, 201);
}

int sb_h_post_ephemeral(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "body"), *post = body ? mw_json_obj(body, "post") : NULL;
    struct sb_user *to = body ? sb_user_by_id(&q->sv->state, mw_json_str(body, "user_id")) : NULL;
    MW_AUTOBUF b = {0};
    MW_AUTOBUF document = {0};
    struct sb_post p = {0};
    struct sb_broadcast whom;
    int r;

    if (!body)
        return 0;
    if (!to)
        return sb_fail_param(q, "user_id");
    if (!post)
        return sb_fail_param(q, "post");
    p.channel = mw_map_get(&q->sv->state.channels, mw_json_str_or(post, "channel_id", ""));
    if (!p.channel)
        return sb_fail_permission(q);
    r = mw_id_new(p.id);
    if (r == 0)
        r = mw_str_set(&p.message, mw_json_str_or(post, "message", ""));
    if (r == 0)
        r = mw_str_set(&p.type, "system_ephemeral");
    if (r == 0 && mw_json_obj(post, "props") &&
        !(p.props = mw_json_print(mw_json_obj(post, "props"))))
        r = -ENOMEM;
    p.author = q->user;
    p.create_at = p.update_at = sb_now(&q->sv->state);
    memcpy(p.user_id, q->user->id, sizeof(p.user_id));
    memcpy(p.channel_id, p.channel->id, sizeof(p.channel_id));
    snprintf(p.root_id, sizeof(p.root_id), "%.26s", mw_json_str_or(post, "root_id", ""));
    if (r == 0) {
        sb_put_post(q->sv, &document, &p, false, NULL);
        sb_put_document(&b, "post", &document);
        sb_put_post(q->sv, &q->out, &p, false, NULL);
        r = mw_buf_error(&b);
    }
    sb_free_fields(sb_post_fields, &p);
    if (r < 0)
        return r;
    whom = (struct sb_broadcast){.user_id = to->id, .channel_id = p.channel_id};
    sb_publish(&q->sv->hub, "ephemeral_message", mw_buf_str(&b), &whom);
    return sb_reply(q, 201);
}

/* --- reading -----------------------------------------------------------------------------------
 */

int sb_h_post_get(struct sb_req *q)
{
    struct sb_post *p = sb_path_post(q, 0);

    return p ? reply_post(q, 200, p) : 0;
}

int sb_h_posts_by_ids(struct sb_req *q)
{
    const cJSON *ids = sb_body_strings(q), *id;

    if (!ids)
        return 0;
    if (cJSON_GetArraySize(ids) > 1000)
        return sb_fail(q, 400, "api.post.posts_by_ids.invalid_body.request_error",
                       "Number of post ids received has exceeded the limit of 1000");
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(id, ids)
    {
        const struct sb_post *p = mw_map_get(&q->sv->state.posts, id->valuestring);

        if (!p || p->delete_at || !sb_can_read(q->sv, q->user, p->channel))
            continue;
        sb_comma(&q->out, 1);
        sb_put_post(q->sv, &q->out, p, false, q->user);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_post_info(struct sb_req *q)
{
    struct sb_post *p = sb_path_post(q, 0);
    const struct sb_team *t;

    if (!p)
        return 0;
    t = mw_map_get(&q->sv->state.teams, p->channel->team_id);
    mw_buf_printf(&q->out, "{\"channel_id\":\"%s\",\"channel_type\":\"%s\",", p->channel_id,
                  p->channel->type);
    sb_put_str(&q->out, "channel_display_name", p->channel->display_name);
    mw_buf_printf(&q->out, ",\"has_joined_channel\":%s,\"team_id\":\"%s\",\"team_type\":\"%s\",",
                  sb_member_of(p->channel, q->user->id) ? "true" : "false", p->channel->team_id,
                  t && t->type ? t->type : "");
    sb_put_str(&q->out, "team_display_name", t ? t->display_name : "");
    mw_buf_printf(&q->out, ",\"has_joined_team\":%s}",
                  t && sb_team_member_of(t, q->user->id) ? "true" : "false");
    return sb_reply(q, 200);
}

/* --- changing ----------------------------------------------------------------------------------
 */

/* A post that the caller may edit. Unknown ones are 403, as on the real server. */
static struct sb_post *path_editable(struct sb_req *q)
{
    struct sb_post *p = mw_map_get(&q->sv->state.posts, q->p[0]);

    if (!p || p->delete_at || (p->author != q->user && !sb_is_admin(q->user)) ||
        !sb_can_read(q->sv, q->user, p->channel)) {
        sb_fail_permission(q);
        return NULL;
    }
    if (p->type && mw_starts_with(p->type, "system_")) {
        sb_fail(q, 400, "api.post.update_post.system_message.app_error",
                "Unable to update system message.");
        return NULL;
    }
    if (p->channel->delete_at) {
        sb_fail(q, 400, "api.post.update_post.can_not_update_post_in_deleted.error",
                "Can not update a post in a deleted channel.");
        return NULL;
    }
    return p;
}

static int set_json(char **slot, const cJSON *value)
{
    char *text = mw_json_print(value);

    if (!text)
        return -ENOMEM;
    free(*slot);
    *slot = text;
    return 0;
}

static int set_message(struct sb_req *q, struct sb_post *p, const char *message)
{
    MW_AUTOBUF tags = {0};

    if (mw_streq(p->message ? p->message : "", message))
        return 0;
    sb_hashtags(&tags, message);
    p->edit_at = sb_now(&q->sv->state);
    return mw_str_set(&p->message, message) < 0 || mw_str_set(&p->hashtags, mw_buf_str(&tags)) < 0
               ? -ENOMEM
               : 0;
}

static int set_props(struct sb_post *p, const cJSON *props)
{
    MW_AUTOJSON *copy = cJSON_Duplicate(props, true);

    if (!copy)
        return -ENOMEM;
    if (p->author->is_bot && !mw_json_str(copy, "from_bot") &&
        mw_json_add_str(copy, "from_bot", "true") < 0)
        return -ENOMEM;
    return sb_take_actions(p, copy) < 0 ? -ENOMEM : set_json(&p->props, copy);
}

static int copy_text(char **slot, const char *text)
{
    return text ? mw_str_set(slot, text) : 0;
}

/* Each edit leaves a row of its own with what was before: deleted, under another id. Lists by
 * `since` show it. */
static int keep_history(struct sb_req *q, const struct sb_post *p)
{
    struct sb_post *old = calloc(1, sizeof(*old));

    if (!old)
        return -ENOMEM;
    if (mw_id_new(old->id) < 0 || copy_text(&old->message, p->message) < 0 ||
        copy_text(&old->type, p->type) < 0 || copy_text(&old->props, p->props) < 0 ||
        copy_text(&old->file_ids, p->file_ids) < 0) {
        sb_free_fields(sb_post_fields, old);
        free(old);
        return -ENOMEM;
    }
    memcpy(old->original_id, p->id, sizeof(old->original_id));
    memcpy(old->user_id, p->user_id, sizeof(old->user_id));
    memcpy(old->channel_id, p->channel_id, sizeof(old->channel_id));
    memcpy(old->root_id, p->root_id, sizeof(old->root_id));
    old->create_at = p->create_at;
    old->edit_at = p->edit_at;
    old->update_at = old->delete_at = sb_now(&q->sv->state);
    return sb_add_post(&q->sv->state, old);
}

/* What changed at a post: its time, and (also on the real server) the channel's last_post_at. */
static void touch(struct sb_req *q, struct sb_post *p)
{
    p->update_at = sb_now(&q->sv->state);
    p->channel->last_post_at = MW_MAX(p->channel->last_post_at, p->update_at);
    sb_save_post(&q->sv->state, p);
    sb_save_channel(&q->sv->state, p->channel);
}

static int finish_edit(struct sb_req *q, struct sb_post *p)
{
    touch(q, p);
    sb_event_post_edited(q->sv, p);
    return reply_post(q, 200, p);
}

static int edit(struct sb_req *q, struct sb_post *p, const cJSON *body, bool whole)
{
    const char *message = mw_json_str(body, "message");
    const cJSON *props = mw_json_obj(body, "props");
    int r = 0;

    if (whole && !message)
        message = "";
    if (message && mw_utf8_count(message) > SB_MAX_POST_RUNES)
        return sb_fail(q, 400,
                       q->sv->old ? "model.post.is_valid.msg.app_error"
                                  : "model.post.is_valid.message_length.app_error",
                       "Post Message property is longer than the maximum permitted length of "
                       "16383 characters.");
    r = keep_history(q, p);
    if (r == 0 && message)
        r = set_message(q, p, message);
    if (r == 0 && props)
        r = set_props(p, props);
    else if (r == 0 && whole)
        free(take_ptr(p->props));
    if (r < 0)
        return r;
    if (whole || cJSON_IsBool(mw_json_get(body, "is_pinned")))
        p->is_pinned = mw_json_bool(body, "is_pinned");
    return finish_edit(q, p);
}

int sb_update_post(struct sb_req *q, struct sb_post *p, const cJSON *update)
{
    const char *message = mw_json_str(update, "message");
    const cJSON *props = mw_json_obj(update, "props");
    int r = keep_history(q, p);

    if (r == 0 && message)
        r = set_message(q, p, message);
    if (r == 0 && props)
        r = set_props(p, props);
    if (r < 0)
        return r;
    touch(q, p);
    sb_event_post_edited(q->sv, p);
    return 0;
}

int sb_h_post_patch(struct sb_req *q)
{
    struct sb_post *p = path_editable(q);
    const cJSON *body = p ? sb_body(q, "post") : NULL;

    return body ? edit(q, p, body, false) : 0;
}

int sb_h_post_put(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "post");
    struct sb_post *p;

    if (!body)
        return 0;
    if (!mw_streq(mw_json_str(body, "id"), q->p[0]))
        return sb_fail_param(q, "id");
    p = path_editable(q);
    return p ? edit(q, p, body, true) : 0;
}

int sb_h_post_delete(struct sb_req *q)
{
    struct sb_post *p = sb_path_post(q, 0);

    if (!p)
        return 0;
    if (sb_query_true(q, "permanent"))
        return sb_fail(q, 501, "api.post.delete_post.not_enabled.app_error",
                       "Permanent post deletion is not enabled.");
    if (p->author != q->user && !sb_is_admin(q->user))
        return sb_fail_permission(q);
    sb_delete_post(q->sv, p, q->user);
    return sb_reply_ok(q);
}

static int pin(struct sb_req *q, bool on)
{
    struct sb_post *p = sb_path_post(q, 0);

    if (!p)
        return 0;
    p->is_pinned = on;
    touch(q, p);
    sb_event_post_edited(q->sv, p);
    return sb_reply_ok(q);
}

int sb_h_post_pin(struct sb_req *q)
{
    return pin(q, true);
}

int sb_h_post_unpin(struct sb_req *q)
{
    return pin(q, false);
}
