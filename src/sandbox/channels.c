/* Channels and their members. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/domain.h"

static int fill_channel(struct sb_server *sv, struct sb_channel *c, const struct sb_new_channel *in)
{
    if (mw_id_new(c->id) < 0)
        return -EIO;
    c->create_at = c->update_at = sb_now(&sv->state);
    snprintf(c->team_id, sizeof(c->team_id), "%s", in->team_id ? in->team_id : "");
    if (in->creator)
        memcpy(c->creator_id, in->creator->id, sizeof(c->creator_id));
    if (mw_str_set(&c->type, in->type) < 0 || mw_str_set(&c->name, in->name) < 0 ||
        mw_str_set(&c->display_name, in->display_name) < 0 ||
        mw_str_set(&c->header, in->header) < 0 || mw_str_set(&c->purpose, in->purpose) < 0)
        return -ENOMEM;
    return 0;
}

static int file_channel(struct sb_server *sv, const struct sb_new_channel *in,
                        struct sb_channel **ret)
{
    struct sb_channel *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    r = fill_channel(sv, c, in);
    if (r < 0) {
        sb_free_fields(sb_channel_fields, c);
        free(c);
        return r;
    }
    r = sb_add_channel(&sv->state, c);
    if (r == 0)
        *ret = c;
    return r;
}

static int file_member(struct sb_server *sv, struct sb_channel *c, const struct sb_user *u,
                       bool admin)
{
    struct sb_member *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    memcpy(m->channel_id, c->id, sizeof(m->channel_id));
    memcpy(m->user_id, u->id, sizeof(m->user_id));
    m->scheme_admin = admin;
    m->last_update_at = sb_now(&sv->state);
    m->msg_count = c->total_msg_count;
    m->msg_count_root = c->total_msg_count_root;
    return sb_add_member(&sv->state, m);
}

int sb_make_channel(struct sb_server *sv, const struct sb_new_channel *in, struct sb_channel **ret,
                    struct sb_refusal *refusal)
{
    struct sb_channel *c;
    int r;

    if (sb_channel_by_name(&sv->state, in->team_id, in->name))
        return sb_refuse(refusal, 400, "store.sql_channel.save_channel.exists.app_error",
                         "A channel with that name already exists on the same team.");
    r = file_channel(sv, in, &c);
    if (r < 0)
        return r;
    if (in->creator) {
        struct sb_broadcast to = {.user_id = in->creator->id};

        r = file_member(sv, c, in->creator, true);
        if (r < 0)
            return r;
        sb_event(sv, "channel_created", &to, "\"channel_id\":\"%s\",\"team_id\":\"%s\"", c->id,
                 c->team_id);
    }
    *ret = c;
    return 0;
}

int sb_direct_channel(struct sb_server *sv, struct sb_user *a, struct sb_user *b,
                      struct sb_channel **ret)
{
    bool a_first = strcmp(a->id, b->id) < 0;
    char name[2 * MW_ID_SIZE + 2];
    struct sb_new_channel in = {.team_id = "", .type = "D", .name = name, .display_name = ""};
    struct sb_channel *c;
    struct sb_broadcast to;
    int r;

    snprintf(name, sizeof(name), "%s__%s", a_first ? a->id : b->id, a_first ? b->id : a->id);
    c = sb_channel_by_name(&sv->state, "", name);
    if (c) {
        *ret = c;
        return 0;
    }
    r = file_channel(sv, &in, &c);
    if (r == 0)
        r = file_member(sv, c, a, false);
    if (r == 0 && a != b)
        r = file_member(sv, c, b, false);
    if (r < 0)
        return r;
    to = (struct sb_broadcast){.channel_id = c->id, .channel = c};
    sb_event(sv, "direct_added", &to, "\"creator_id\":\"%s\",\"teammate_id\":\"%s\"", a->id, b->id);
    *ret = c;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp((*(struct sb_user *const *)a)->id, (*(struct sb_user *const *)b)->id);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(struct sb_user *const *)a)->username, (*(struct sb_user *const *)b)->username);
}

/* model/channel.go, GetGroupNameFromUserIds: the SHA-1 of the sorted ids. */
static int group_name(struct sb_user **users, size_t n, char *name)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char hash[EVP_MAX_MD_SIZE];
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1;

    qsort(users, n, sizeof(struct sb_user *), compare_ids);
    for (size_t i = 0; i < n && ok; i++)
        ok = EVP_DigestUpdate(ctx, users[i]->id, MW_ID_LEN) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, hash, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return -ENOMEM;
    for (size_t i = 0; i < 20; i++)
        snprintf(name + 2 * i, 3, "%02x", hash[i]);
    return 0;
}

static void announce_group(struct sb_server *sv, struct sb_channel *c, struct sb_user **users,
                           size_t n)
{
    MW_AUTOBUF ids = {0};

    mw_buf_putc(&ids, '[');
    for (size_t i = 0; i < n; i++)
        mw_buf_printf(&ids, "%s\\\"%s\\\"", i ? "," : "", users[i]->id);
    mw_buf_putc(&ids, ']');
    if (mw_buf_error(&ids))
        return;
    if (sv->old) {
        struct sb_broadcast to = {.channel_id = c->id, .channel = c};

        sb_event(sv, "group_added", &to, "\"teammate_ids\":\"%s\"", mw_buf_str(&ids));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct sb_broadcast to = {.user_id = users[i]->id};

        sb_event(sv, "group_added", &to, "\"teammate_ids\":\"%s\"", mw_buf_str(&ids));
    }
}

int sb_group_channel(struct sb_server *sv, struct sb_user **users, size_t n,
                     struct sb_user *creator, struct sb_channel **ret)
{
    char name[41];
    struct sb_new_channel in = {.team_id = "", .type = "G", .name = name, .creator = creator};
    MW_AUTOBUF display = {0};
    struct sb_channel *c;
    int r = group_name(users, n, name);

    if (r < 0)
        return r;
    c = sb_channel_by_name(&sv->state, "", name);
    if (c) {
        *ret = c;
        return 0;
    }
    qsort(users, n, sizeof(struct sb_user *), compare_names);
    for (size_t i = 0; i < n; i++)
        mw_buf_printf(&display, "%s%s", i ? ", " : "", users[i]->username);
    in.display_name = mw_buf_str(&display);
    r = mw_buf_error(&display) ? -ENOMEM : file_channel(sv, &in, &c);
    for (size_t i = 0; i < n && r == 0; i++)
        r = file_member(sv, c, users[i], false);
    if (r < 0)
        return r;
    announce_group(sv, c, users, n);
    *ret = c;
    return 0;
}

static bool is_default(const struct sb_channel *c)
{
    return mw_streq(c->name, "town-square");
}

static cJSON *props_of(struct sb_user *actor, struct sb_user *other, const char *other_prefix)
{
    cJSON *props = cJSON_CreateObject();
    char id_key[24], name_key[24];

    if (!props)
        return NULL;
    snprintf(id_key, sizeof(id_key), "%sUserId", other_prefix);
    snprintf(name_key, sizeof(name_key), "%sUsername", other_prefix);
    if ((actor && (mw_json_add_str(props, "userId", actor->id) |
                   mw_json_add_str(props, "username", actor->username))) ||
        (other && (mw_json_add_str(props, id_key, other->id) |
                   mw_json_add_str(props, name_key, other->username)))) {
        cJSON_Delete(props);
        return NULL;
    }
    return props;
}

static int say_joined(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                      struct sb_user *by)
{
    bool team = is_default(c);

    if (by && by != u)
        return sb_system_post(sv, c, by, team ? "system_add_to_team" : "system_add_to_channel",
                              props_of(by, u, "added"),
                              team ? "%s added to the team by %s."
                                   : "%s added to the channel by %s.",
                              u->username, by->username);
    return sb_system_post(sv, c, u, team ? "system_join_team" : "system_join_channel",
                          props_of(u, NULL, ""),
                          team ? "%s joined the team." : "%s joined the channel.", u->username);
}

int sb_join_channel(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                    struct sb_user *by)
{
    int r;

    if (sb_member_of(c, u->id))
        return 0;
    r = file_member(sv, c, u, false);
    if (r < 0)
        return r;
    sb_event_user_added(sv, c, u);
    return say_joined(sv, c, u, by);
}

static int say_left(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                    struct sb_user *by)
{
    if (by && by != u)
        return sb_system_post(sv, c, by, "system_remove_from_channel", props_of(NULL, u, "removed"),
                              "%s was removed from the channel.", u->username);
    return sb_system_post(sv, c, u, "system_leave_channel", props_of(u, NULL, ""),
                          "%s has left the channel.", u->username);
}

int sb_leave_channel(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                     struct sb_user *by)
{
    if (!sb_member_of(c, u->id))
        return 0;
    sb_remove_member(&sv->state, c, u->id);
    sb_event_user_removed(sv, c, u, by ? by : u);
    return say_left(sv, c, u, by);
}
