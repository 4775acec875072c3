/* Status, typing, preferences. */
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

#define MAX_PREFERENCES 100

int sb_h_typing(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? sb_body(q, "channel_id") : NULL;
    struct sb_channel *c;

    if (!body)
        return 0;
    c = mw_map_get(&q->sv->state.channels, mw_json_str_or(body, "channel_id", ""));
    if (!c || !sb_member_of(c, u->id))
        return sb_fail_permission(q);
    sb_event_typing(q->sv, u, c, mw_json_str_or(body, "parent_id", ""));
    return sb_reply_ok(q);
}

int sb_h_status_get(struct sb_req *q)
{
    struct sb_user *u = sb_path_user(q, 0);

    if (!u)
        return 0;
    sb_put_status(q->sv, &q->out, u);
    return sb_reply(q, 200);
}

int sb_h_status_ids(struct sb_req *q)
{
    const cJSON *ids = sb_body_strings(q), *id;

    if (!ids)
        return 0;
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(id, ids)
    {
        struct sb_user *u = sb_user_by_id(&q->sv->state, id->valuestring);

        if (!u)
            continue;
        sb_comma(&q->out, 1);
        sb_put_status(q->sv, &q->out, u);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_status_put(struct sb_req *q)
{
    static const char *const known[] = {"online", "away", "offline", "dnd"};
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? sb_body(q, "status") : NULL;
    const char *status = body ? mw_json_str_or(body, "status", "") : "";
    bool fine = false;

    if (!body)
        return 0;
    if (!mw_streq(mw_json_str(body, "user_id"), u->id))
        return sb_fail_param(q, "user_id");
    for (size_t i = 0; i < MW_ARRAY_LEN(known); i++)
        fine = fine || mw_streq(status, known[i]);
    if (!fine)
        return sb_fail_param(q, "status");
    u->dnd_end_time = mw_streq(status, "dnd") ? mw_json_i64(body, "dnd_end_time", 0) : 0;
    sb_set_status(q->sv, u, status, true);
    sb_save_user(&q->sv->state, u);
    sb_put_status(q->sv, &q->out, u);
    return sb_reply(q, 200);
}

/* --- preferences -------------------------------------------------------------------------------
 */

static int put_prefs(struct sb_req *q, const struct sb_user *u, const char *category, size_t *ret_n)
{
    size_t it = 0;
    void *v;

    *ret_n = 0;
    mw_buf_putc(&q->out, '[');
    while (mw_map_next(&q->sv->state.prefs, &it, NULL, &v)) {
        const struct sb_pref *p = v;

        if (!mw_streq(p->user_id, u->id) || (category && !mw_streq(p->category, category)))
            continue;
        sb_comma(&q->out, 1);
        sb_write_object(&q->out, sb_pref_fields, p, 0);
        (*ret_n)++;
    }
    mw_buf_putc(&q->out, ']');
    return 0;
}

int sb_h_prefs_get(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    size_t n;

    if (!u)
        return 0;
    put_prefs(q, u, NULL, &n);
    return sb_reply(q, 200);
}

static int pref_missing(struct sb_req *q)
{
    return sb_fail(q, 404, "api.preference.preferences_category.get.app_error",
                   "Unable to get the user preferences.");
}

int sb_h_prefs_category(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    size_t n;

    if (!u)
        return 0;
    put_prefs(q, u, q->p[1], &n);
    return n ? sb_reply(q, 200) : pref_missing(q);
}

int sb_h_pref_get(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_pref *p = u ? sb_pref_of(&q->sv->state, u->id, q->p[1], q->p[2]) : NULL;

    if (!u)
        return 0;
    if (!p)
        return pref_missing(q);
    sb_write_object(&q->out, sb_pref_fields, p, 0);
    return sb_reply(q, 200);
}

/* Checks every item of the body. NULL after a 400 or 403. */
static const cJSON *prefs_body(struct sb_req *q, const struct sb_user *u)
{
    const cJSON *body = sb_body(q, "preferences"), *item;

    if (!body)
        return NULL;
    if (!cJSON_IsArray(body) || !body->child || cJSON_GetArraySize(body) > MAX_PREFERENCES) {
        sb_fail_param(q, "preferences");
        return NULL;
    }
    cJSON_ArrayForEach(item, body)
    {
        const char *category = mw_json_str_or(item, "category", "");
        const char *name = mw_json_str_or(item, "name", "");

        if (!mw_streq(mw_json_str(item, "user_id"), u->id)) {
            sb_fail(q, 403, "api.preference.update_preferences.set.app_error",
                    "Unable to set user preferences.");
            return NULL;
        }
        if (!*category || mw_utf8_count(category) > 32 || mw_utf8_count(name) > 32 ||
            mw_utf8_count(mw_json_str_or(item, "value", "")) > 20000) {
            sb_fail(q, 400, "model.preference.is_valid.category.app_error", "Invalid category.");
            return NULL;
        }
    }
    return body;
}

static void announce_prefs(struct sb_req *q, const char *event, const struct sb_user *u,
                           const cJSON *body)
{
    struct sb_broadcast to = {.user_id = u->id};
    MW_AUTOBUF b = {0};
    MW_AUTOBUF list = {0};

    if (mw_json_write(&list, body) < 0)
        return;
    sb_put_document(&b, "preferences", &list);
    if (!mw_buf_error(&b))
        sb_publish(&q->sv->hub, event, mw_buf_str(&b), &to);
}

static int store_pref(struct sb_state *s, const struct sb_user *u, const cJSON *item)
{
    struct sb_pref *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    memcpy(p->user_id, u->id, sizeof(p->user_id));
    if (mw_str_set(&p->category, mw_json_str_or(item, "category", "")) < 0 ||
        mw_str_set(&p->name, mw_json_str_or(item, "name", "")) < 0 ||
        mw_str_set(&p->value, mw_json_str_or(item, "value", "")) < 0) {
        sb_free_fields(sb_pref_fields, p);
        free(p);
        return -ENOMEM;
    }
    return sb_add_pref(s, p);
}

int sb_h_prefs_put(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? prefs_body(q, u) : NULL, *item;

    if (!body)
        return 0;
    cJSON_ArrayForEach(item, body)
    {
        int r = store_pref(&q->sv->state, u, item);

        if (r < 0)
            return r;
    }
    announce_prefs(q, "preferences_changed", u, body);
    return sb_reply_ok(q);
}

int sb_h_prefs_delete(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    const cJSON *body = u ? prefs_body(q, u) : NULL, *item;

    if (!body)
        return 0;
    cJSON_ArrayForEach(item, body)
    {
        sb_remove_pref(&q->sv->state, u->id, mw_json_str_or(item, "category", ""),
                       mw_json_str_or(item, "name", ""));
    }
    announce_prefs(q, "preferences_deleted", u, body);
    return sb_reply_ok(q);
}
