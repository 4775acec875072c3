#include "mattermost/model.h"

#include <string.h>

#include "base/str.h"

static int check_object(const cJSON *json, const char *what, struct mw_error *err)
{
    if (!cJSON_IsObject(json))
        return mw_error_set(err, -EINVAL, "the server sent something that is no %s object", what);
    return 0;
}

/* Checks that this is an object with an id, which every user of the model relies on. */
static int read_id(const cJSON *json, const char *what, const char **ret, struct mw_error *err)
{
    const char *id;
    int r = check_object(json, what, err);

    if (r < 0)
        return r;
    id = mw_json_str(json, "id");
    if (!id || !*id)
        return mw_error_set(err, -EINVAL, "the server sent a %s without an id", what);
    *ret = id;
    return 0;
}

static int64_t to_i64(double d)
{
    return d > -9e15 && d < 9e15 ? (int64_t)d : 0;
}

/* Posts are read for every event, so their members are found in one walk instead of a search each.
 */
int mm_post_read(const cJSON *json, struct mm_post *ret, struct mw_error *err)
{
    struct mm_post p = {.user_id = "",
                        .channel_id = "",
                        .root_id = "",
                        .message = "",
                        .type = "",
                        .pending_post_id = "",
                        .original_id = ""};
    const struct {
        const char *key;
        const char **str;
        int64_t *num;
    } members[] = {
        {"id", &p.id, NULL},
        {"create_at", NULL, &p.create_at},
        {"update_at", NULL, &p.update_at},
        {"edit_at", NULL, &p.edit_at},
        {"delete_at", NULL, &p.delete_at},
        {"user_id", &p.user_id, NULL},
        {"channel_id", &p.channel_id, NULL},
        {"root_id", &p.root_id, NULL},
        {"message", &p.message, NULL},
        {"type", &p.type, NULL},
        {"pending_post_id", &p.pending_post_id, NULL},
        {"original_id", &p.original_id, NULL},
    };
    const cJSON *m;
    int r = check_object(json, "post", err);

    if (r < 0)
        return r;
    cJSON_ArrayForEach(m, json)
    {
        if (!m->string)
            continue;
        if (cJSON_IsObject(m)) {
            if (strcmp(m->string, "props") == 0)
                p.props = m;
            else if (strcmp(m->string, "metadata") == 0)
                p.metadata = m;
            continue;
        }
        if (cJSON_IsArray(m)) {
            if (strcmp(m->string, "file_ids") == 0)
                p.file_ids = m;
            continue;
        }
        for (size_t i = 0; i < MW_ARRAY_LEN(members); i++) {
            if (strcmp(m->string, members[i].key) != 0)
                continue;
            if (members[i].str && cJSON_IsString(m))
                *members[i].str = m->valuestring;
            else if (members[i].num && cJSON_IsNumber(m))
                *members[i].num = to_i64(m->valuedouble);
            break;
        }
    }
    if (!p.id || !*p.id)
        return mw_error_set(err, -EINVAL, "the server sent a post without an id");
    *ret = p;
    return 0;
}

int mm_channel_read(const cJSON *json, struct mm_channel *ret, struct mw_error *err)
{
    const char *id;
    int r = read_id(json, "channel", &id, err);

    if (r < 0)
        return r;
    *ret = (struct mm_channel){
        .id = id,
        .team_id = mw_json_str_or(json, "team_id", ""),
        .type = mw_json_str_or(json, "type", ""),
        .name = mw_json_str_or(json, "name", ""),
        .display_name = mw_json_str_or(json, "display_name", ""),
        .last_post_at = mw_json_i64(json, "last_post_at", 0),
        .delete_at = mw_json_i64(json, "delete_at", 0),
        .total_msg_count = mw_json_i64(json, "total_msg_count", 0),
        .create_at = mw_json_i64(json, "create_at", 0),
    };
    return 0;
}

int mm_user_read(const cJSON *json, struct mm_user *ret, struct mw_error *err)
{
    const char *id;
    int r = read_id(json, "user", &id, err);

    if (r < 0)
        return r;
    *ret = (struct mm_user){
        .id = id,
        .username = mw_json_str_or(json, "username", ""),
        .first_name = mw_json_str_or(json, "first_name", ""),
        .last_name = mw_json_str_or(json, "last_name", ""),
        .nickname = mw_json_str_or(json, "nickname", ""),
        .email = mw_json_str_or(json, "email", ""),
        .roles = mw_json_str_or(json, "roles", ""),
        .delete_at = mw_json_i64(json, "delete_at", 0),
        .is_bot = mw_json_bool(json, "is_bot"),
    };
    return 0;
}

int mm_team_read(const cJSON *json, struct mm_team *ret, struct mw_error *err)
{
    const char *id;
    int r = read_id(json, "team", &id, err);

    if (r < 0)
        return r;
    *ret = (struct mm_team){
        .id = id,
        .name = mw_json_str_or(json, "name", ""),
        .display_name = mw_json_str_or(json, "display_name", ""),
        .delete_at = mw_json_i64(json, "delete_at", 0),
    };
    return 0;
}

int mm_reaction_read(const cJSON *json, struct mm_reaction *ret, struct mw_error *err)
{
    struct mm_reaction reaction;
    int r = check_object(json, "reaction", err);

    if (r < 0)
        return r;
    reaction = (struct mm_reaction){
        .user_id = mw_json_str_or(json, "user_id", ""),
        .post_id = mw_json_str_or(json, "post_id", ""),
        .emoji_name = mw_json_str_or(json, "emoji_name", ""),
        .channel_id = mw_json_str_or(json, "channel_id", ""),
        .create_at = mw_json_i64(json, "create_at", 0),
    };
    if (!*reaction.user_id || !*reaction.post_id || !*reaction.emoji_name)
        return mw_error_set(err, -EINVAL,
                            "the server sent a reaction without its user, post or emoji");
    *ret = reaction;
    return 0;
}

bool mm_post_is_system(const struct mm_post *p)
{
    /* Made by the server, yet without the prefix. */
    static const char *const others[] = {"add_bot_teams_channels", "reminder"};

    if (mw_starts_with(p->type, "system_"))
        return true;
    for (size_t i = 0; i < MW_ARRAY_LEN(others); i++)
        if (strcmp(p->type, others[i]) == 0)
            return true;
    return false;
}

bool mm_post_from_webhook(const struct mm_post *p)
{
    /* The server writes the string; clients in the wild also write a boolean. */
    return mw_json_bool(p->props, "from_webhook") ||
           mw_streq(mw_json_str(p->props, "from_webhook"), "true");
}
