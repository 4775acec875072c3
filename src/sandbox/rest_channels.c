/* Channels: making, finding, changing, archiving. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "base/utf8.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

static int reply_channel(struct sb_req *q, int status, const struct sb_channel *c)
{
    sb_put_channel(q->sv, &q->out, c);
    return sb_reply(q, status);
}

/* model/channel.go, IsValid. Returns the id of the first fault, or NULL. */
static const char *channel_fault(const char *name, const char *display_name, const char *header,
                                 const char *purpose)
{
    if (name && (strlen(name) > 64 || !*name ||
                 name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] || *name == '-'))
        return "model.channel.is_valid.2_or_more.app_error";
    if (display_name && mw_utf8_count(display_name) > 64)
        return "model.channel.is_valid.display_name.app_error";
    if (header && mw_utf8_count(header) > 1024)
        return "model.channel.is_valid.header.app_error";
    if (purpose && mw_utf8_count(purpose) > 250)
        return "model.channel.is_valid.purpose.app_error";
    return NULL;
}

int sb_h_channel_create(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "channel");
    struct sb_new_channel in;
    struct sb_refusal refusal;
    struct sb_channel *c;
    struct sb_team *t;
    const char *fault;
    int r;

    if (!body)
        return 0;
    in = (struct sb_new_channel){
        .team_id = mw_json_str_or(body, "team_id", ""),
        .type = mw_json_str_or(body, "type", ""),
        .name = mw_json_str_or(body, "name", ""),
        .display_name = mw_json_str_or(body, "display_name", ""),
        .header = mw_json_str(body, "header"),
        .purpose = mw_json_str(body, "purpose"),
        .creator = q->user,
    };
    t = mw_map_get(&q->sv->state.teams, in.team_id);
    if (!t)
        return sb_fail_param(q, "team_id");
    if (!sb_is_admin(q->user) && !sb_team_member_of(t, q->user->id))
        return sb_fail_permission(q);
    if (!mw_streq(in.type, "O") && !mw_streq(in.type, "P"))
        return sb_fail(q, 400, "api.channel.create_channel.direct_channel.app_error",
                       "Must use createDirectChannel API service for direct message channel "
                       "creation.");
    fault = channel_fault(in.name, in.display_name, in.header, in.purpose);
    if (fault)
        return sb_fail(q, 400, fault, "Invalid channel.");
    r = sb_make_channel(q->sv, &in, &c, &refusal);
    if (r < 0)
        return r;
    return r ? sb_fail_refusal(q, &refusal) : reply_channel(q, 201, c);
}

int sb_h_channel_direct(struct sb_req *q)
{
    const cJSON *ids = sb_body_strings(q);
    struct sb_user *a, *b;
    struct sb_channel *c;
    int r;

    if (!ids)
        return 0;
    if (cJSON_GetArraySize(ids) > 2)
        return sb_fail_param(q, "user_ids");
    a = sb_user_by_id(&q->sv->state, ids->child->valuestring);
    b = ids->child->next ? sb_user_by_id(&q->sv->state, ids->child->next->valuestring) : a;
    if (!a || !b)
        return sb_fail_param(q, "user_ids");
    if (a != q->user && b != q->user && !sb_is_admin(q->user))
        return sb_fail_permission(q);
    r = sb_direct_channel(q->sv, a, b, &c);
    return r < 0 ? r : reply_channel(q, 201, c);
}

int sb_h_channel_group(struct sb_req *q)
{
    const cJSON *ids = sb_body_strings(q), *id;
    struct sb_user *users[8];
    struct sb_channel *c;
    size_t n = 1;
    int r;

    if (!ids)
        return 0;
    users[0] = q->user;
    cJSON_ArrayForEach(id, ids)
    {
        struct sb_user *u = sb_user_by_id(&q->sv->state, id->valuestring);
        bool seen = false;

        if (!u)
            return sb_fail_param(q, "user_ids");
        for (size_t i = 0; i < n; i++)
            seen = seen || users[i] == u;
        if (seen)
            continue;
        if (n == MW_ARRAY_LEN(users))
            return sb_fail(q, 400, "api.channel.create_group.bad_size.app_error",
                           "Group message channels must contain at least 3 and no more than 8 "
                           "users.");
        users[n++] = u;
    }
    if (n < 3)
        return sb_fail(q, 400, "api.channel.create_group.bad_size.app_error",
                       "Group message channels must contain at least 3 and no more than 8 users.");
    r = sb_group_channel(q->sv, users, n, q->user, &c);
    return r < 0 ? r : reply_channel(q, 201, c);
}

int sb_h_channel_get(struct sb_req *q)
{
    struct sb_channel *c = sb_path_readable(q, 0);

    return c ? reply_channel(q, 200, c) : 0;
}

static int channel_by_name(struct sb_req *q, const struct sb_team *t, const char *name)
{
    struct sb_channel *c = t ? sb_channel_by_name(&q->sv->state, t->id, name) : NULL;

    if (!c && t) /* direct channels go by name in any team */
        c = sb_channel_by_name(&q->sv->state, "", name);
    if (!c || (c->delete_at && !sb_query_true(q, "include_deleted")) ||
        (!sb_can_read(q->sv, q->user, c) && !sb_is_type(c, 'O')))
        return sb_fail(q, 404, "app.channel.get_by_name.missing.app_error",
                       "Channel does not exist.");
    if (!sb_can_read(q->sv, q->user, c))
        return sb_fail_permission(q);
    return reply_channel(q, 200, c);
}

int sb_h_channel_by_name(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);

    return t ? channel_by_name(q, t, q->p[1]) : 0;
}

int sb_h_channel_by_names(struct sb_req *q)
{
    return channel_by_name(q, sb_team_by_name(&q->sv->state, q->p[0]), q->p[1]);
}

/* --- lists -------------------------------------------------------------------------------------
 */

struct channel_filter {
    const struct sb_team *team; /* NULL = any */
    bool direct_too;            /* direct and group messages belong to every team's list */
    const struct sb_user *member;
    char type; /* 0 = any */
    bool deleted, deleted_only;
    int64_t last_delete_at;
    const char *term;
};

static bool channel_matches(const struct channel_filter *f, const struct sb_channel *c)
{
    if (c->delete_at ? !(f->deleted || f->deleted_only) || c->delete_at < f->last_delete_at
                     : f->deleted_only)
        return false;
    if (f->type && !sb_is_type(c, f->type))
        return false;
    if (f->team && !mw_streq(c->team_id, f->team->id) && !(f->direct_too && sb_is_direct(c)))
        return false;
    if (f->member && !sb_member_of(c, f->member->id))
        return false;
    return !f->term || strcasestr(c->name, f->term) ||
           (c->display_name && strcasestr(c->display_name, f->term)) ||
           (c->purpose && strcasestr(c->purpose, f->term));
}

/* Returns how many were put, or -ENOMEM. */
static int put_channels(struct sb_req *q, const struct channel_filter *f, size_t skip, size_t limit)
{
    MW_AUTOFREE void **list = NULL;
    int n = sb_sorted(&q->sv->state.channels, offsetof(struct sb_channel, create_at), &list);
    int put = 0;

    if (n < 0)
        return n;
    mw_buf_putc(&q->out, '[');
    for (int i = 0; i < n && limit; i++) {
        if (!channel_matches(f, list[i]))
            continue;
        if (skip) {
            skip--;
            continue;
        }
        limit--;
        sb_comma(&q->out, 1);
        sb_put_channel(q->sv, &q->out, list[i]);
        put++;
    }
    mw_buf_putc(&q->out, ']');
    return put;
}

static int reply_channels(struct sb_req *q, const struct channel_filter *f)
{
    size_t page, per_page;
    int r;

    sb_paging(q, &page, &per_page);
    r = put_channels(q, f, page * per_page, per_page);
    return r < 0 ? r : sb_reply(q, 200);
}

static int reply_member_channels(struct sb_req *q, const struct channel_filter *f)
{
    int r = put_channels(q, f, 0, SIZE_MAX);

    if (r == 0 && f->team)
        return sb_fail(q, 404, "app.channel.get_channels.not_found.app_error",
                       "No channels were found.");
    return r < 0 ? r : sb_reply(q, 200);
}

int sb_h_user_team_channels(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_team *t = u ? sb_path_team(q, 1) : NULL;

    if (!t)
        return 0;
    if (!sb_is_admin(q->user) && !sb_team_member_of(t, q->user->id))
        return sb_fail_permission(q);
    return reply_member_channels(
        q, &(struct channel_filter){.team = t,
                                    .direct_too = true,
                                    .member = u,
                                    .deleted = sb_query_true(q, "include_deleted"),
                                    .last_delete_at = sb_query_int(q, "last_delete_at", 0)});
}

int sb_h_user_channels(struct sb_req *q)
{
    struct sb_user *u;

    if (q->sv->old) /* came later */
        return sb_fail(q, 404, "api.context.404.app_error", "Sorry, we could not find the page.");
    u = sb_path_self(q, 0);
    if (!u)
        return 0;
    return reply_member_channels(
        q, &(struct channel_filter){.member = u,
                                    .deleted = sb_query_true(q, "include_deleted"),
                                    .last_delete_at = sb_query_int(q, "last_delete_at", 0)});
}

static struct sb_team *own_team(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);

    if (t && !sb_is_admin(q->user) && !sb_team_member_of(t, q->user->id)) {
        sb_fail_permission(q);
        return NULL;
    }
    return t;
}

int sb_h_team_channels(struct sb_req *q)
{
    struct sb_team *t = own_team(q);

    return t ? reply_channels(q, &(struct channel_filter){.team = t, .type = 'O'}) : 0;
}

int sb_h_team_channels_private(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);

    if (!t)
        return 0;
    if (!sb_is_admin(q->user))
        return sb_fail_permission(q);
    return reply_channels(q, &(struct channel_filter){.team = t, .type = 'P'});
}

int sb_h_team_channels_deleted(struct sb_req *q)
{
    struct sb_team *t = own_team(q);
    bool admin = sb_is_admin(q->user);

    if (!t)
        return 0;
    return reply_channels(q, &(struct channel_filter){.team = t,
                                                      .deleted_only = true,
                                                      .member = admin ? NULL : q->user});
}

int sb_h_team_channels_ids(struct sb_req *q)
{
    struct sb_team *t = own_team(q);
    const cJSON *ids = t ? sb_body_strings(q) : NULL, *id;

    if (!ids)
        return 0;
    mw_buf_putc(&q->out, '[');
    cJSON_ArrayForEach(id, ids)
    {
        const struct sb_channel *c = mw_map_get(&q->sv->state.channels, id->valuestring);

        if (!c || !mw_streq(c->team_id, t->id) || !sb_is_type(c, 'O'))
            continue;
        sb_comma(&q->out, 1);
        sb_put_channel(q->sv, &q->out, c);
    }
    mw_buf_putc(&q->out, ']');
    return sb_reply(q, 200);
}

int sb_h_team_channels_search(struct sb_req *q)
{
    struct sb_team *t = own_team(q);
    const cJSON *body = t ? sb_body(q, "channel_search") : NULL;
    int r;

    if (!body)
        return 0;
    r = put_channels(
        q,
        &(struct channel_filter){.team = t, .type = 'O', .term = mw_json_str_or(body, "term", "")},
        0, 100);
    return r < 0 ? r : sb_reply(q, 200);
}

int sb_h_team_channels_autocomplete(struct sb_req *q)
{
    struct sb_team *t = own_team(q);
    const char *name = sb_query(q, "name");
    int r;

    if (!t)
        return 0;
    r = put_channels(q, &(struct channel_filter){.team = t, .type = 'O', .term = name}, 0, 50);
    return r < 0 ? r : sb_reply(q, 200);
}

int sb_h_channels_search(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "channel_search");
    bool admin = sb_is_admin(q->user);
    int r;

    if (!body)
        return 0;
    r = put_channels(q,
                     &(struct channel_filter){.term = mw_json_str_or(body, "term", ""),
                                              .member = admin ? NULL : q->user},
                     0, 100);
    return r < 0 ? r : sb_reply(q, 200);
}

int sb_h_channels_all(struct sb_req *q)
{
    return reply_channels(q,
                          &(struct channel_filter){.deleted = sb_query_true(q, "include_deleted")});
}

/* --- changes -----------------------------------------------------------------------------------
 */

/* A channel that the caller may change: a member, or an admin. */
static struct sb_channel *path_managed(struct sb_req *q)
{
    struct sb_channel *c = sb_path_channel(q, 0);

    if (c && !sb_member_of(c, q->user->id) && !sb_is_admin(q->user)) {
        sb_fail_permission(q);
        return NULL;
    }
    return c;
}

static const struct {
    const char *key, *name, *type, *old_key, *new_key;
    size_t offset;
} announced[] = {
    {"display_name", "display name", "system_displayname_change", "old_displayname",
     "new_displayname", offsetof(struct sb_channel, display_name)},
    {"header", "header", "system_header_change", "old_header", "new_header",
     offsetof(struct sb_channel, header)},
    {"purpose", "purpose", "system_purpose_change", "old_purpose", "new_purpose",
     offsetof(struct sb_channel, purpose)},
};

/* Changes one text and says so in the channel. */
static int change_text(struct sb_req *q, struct sb_channel *c, size_t i, const char *value)
{
    char **slot = (char **)((char *)c + announced[i].offset);
    MW_AUTOFREE char *before = strdup(*slot ? *slot : "");
    cJSON *props;

    if (!before)
        return -ENOMEM;
    if (mw_streq(before, value))
        return 0;
    if (mw_str_set(slot, value) < 0)
        return -ENOMEM;
    props = cJSON_CreateObject();
    if (!props || (mw_json_add_str(props, "username", q->user->username) |
                   mw_json_add_str(props, announced[i].old_key, before) |
                   mw_json_add_str(props, announced[i].new_key, value))) {
        cJSON_Delete(props);
        return -ENOMEM;
    }
    if (!*value || !*before)
        return sb_system_post(q->sv, c, q->user, announced[i].type, props,
                              *value ? "%s updated the channel %s to: %s"
                                     : "%s removed the channel %s (was: %s)",
                              q->user->username, announced[i].name, *value ? value : before);
    return sb_system_post(q->sv, c, q->user, announced[i].type, props,
                          "%s updated the channel %s from: %s to: %s", q->user->username,
                          announced[i].name, before, value);
}

static int rename_channel(struct sb_req *q, struct sb_channel *c, const char *name)
{
    struct sb_channel *other = sb_channel_by_name(&q->sv->state, c->team_id, name);

    if (other && other != c) {
        sb_fail(q, 400, "store.sql_channel.update.exists.app_error",
                "A channel with that handle already exists.");
        return 1;
    }
    return mw_str_set(&c->name, name);
}

static int update_channel(struct sb_req *q, struct sb_channel *c, const cJSON *body)
{
    const char *name = mw_json_str(body, "name");
    const char *fault =
        channel_fault(sb_is_direct(c) ? NULL : name, mw_json_str(body, "display_name"),
                      mw_json_str(body, "header"), mw_json_str(body, "purpose"));
    int r = 0;

    if (fault)
        return sb_fail(q, 400, fault, "Invalid channel.");
    if (sb_is_direct(c) &&
        (name || mw_json_str(body, "display_name") || mw_json_str(body, "purpose")))
        return sb_fail(q, 400,
                       "api.channel.patch_update_channel.update_direct_or_group_messages_not_"
                       "allowed.app_error",
                       "You are not allowed to update the name, display name or purpose of direct "
                       "or group messages.");
    if (name)
        r = rename_channel(q, c, name);
    if (r != 0)
        return r < 0 ? r : 0;
    c->update_at = sb_now(&q->sv->state);
    for (size_t i = 0; i < MW_ARRAY_LEN(announced) && r == 0; i++) {
        const char *value = mw_json_str(body, announced[i].key);

        r = value ? change_text(q, c, i, value) : 0;
    }
    if (r < 0)
        return r;
    sb_save_channel(&q->sv->state, c);
    sb_event_channel(q->sv, "channel_updated", c);
    return reply_channel(q, 200, c);
}

int sb_h_channel_patch(struct sb_req *q)
{
    struct sb_channel *c = path_managed(q);
    const cJSON *body = c ? sb_body(q, "channel") : NULL;

    if (!body)
        return 0;
    if (c->delete_at)
        return sb_fail(q, 400, "api.channel.update_channel.deleted.app_error",
                       "The channel has been archived or deleted.");
    return update_channel(q, c, body);
}

int sb_h_channel_privacy(struct sb_req *q)
{
    struct sb_channel *c = path_managed(q);
    const cJSON *body = c ? sb_body(q, "privacy") : NULL;
    const char *privacy = body ? mw_json_str_or(body, "privacy", "") : "";
    struct sb_broadcast to;
    int r;

    if (!body)
        return 0;
    if ((!mw_streq(privacy, "O") && !mw_streq(privacy, "P")) || sb_is_direct(c))
        return sb_fail_param(q, "privacy");
    if (mw_streq(c->name, "town-square") && *privacy == 'P')
        return sb_fail(q, 400, "api.channel.update_channel_privacy.default_channel_error",
                       "The default channel cannot be made private.");
    if (mw_str_set(&c->type, privacy) < 0)
        return -ENOMEM;
    c->update_at = sb_now(&q->sv->state);
    sb_save_channel(&q->sv->state, c);
    r = sb_system_post(q->sv, c, q->user, "system_change_chan_privacy", cJSON_CreateObject(),
                       "This channel has been converted to a %s Channel.",
                       *privacy == 'O' ? "Public" : "Private");
    if (r < 0)
        return r;
    to = (struct sb_broadcast){.team_id = c->team_id,
                               .team = mw_map_get(&q->sv->state.teams, c->team_id)};
    sb_event(q->sv, "channel_converted", &to, "\"channel_id\":\"%s\"", c->id);
    return reply_channel(q, 200, c);
}

/* Archiving concerns the team, or a private channel's members. */
static struct sb_broadcast audience(struct sb_req *q, const struct sb_channel *c)
{
    if (sb_is_type(c, 'O'))
        return (struct sb_broadcast){.team_id = c->team_id,
                                     .team = mw_map_get(&q->sv->state.teams, c->team_id)};
    return (struct sb_broadcast){.channel_id = c->id, .channel = c};
}

int sb_h_channel_delete(struct sb_req *q)
{
    struct sb_channel *c = path_managed(q);
    struct sb_broadcast to;
    int r;

    if (!c)
        return 0;
    if (sb_is_direct(c))
        return sb_fail(q, 400, "api.channel.delete_channel.type.invalid",
                       "Cannot delete direct or group message channels.");
    if (mw_streq(c->name, "town-square"))
        return sb_fail(q, 400, "api.channel.delete_channel.cannot.app_error",
                       "Unable to delete the default channel town-square.");
    r = sb_system_post(q->sv, c, q->user, "system_channel_deleted", cJSON_CreateObject(),
                       "%s archived the channel.", q->user->username);
    if (r < 0)
        return r;
    c->delete_at = c->update_at = sb_now(&q->sv->state);
    sb_save_channel(&q->sv->state, c);
    to = audience(q, c);
    sb_event(q->sv, "channel_deleted", &to, "\"channel_id\":\"%s\",\"delete_at\":%" PRId64, c->id,
             c->delete_at);
    return sb_reply_ok(q);
}

int sb_h_channel_restore(struct sb_req *q)
{
    struct sb_channel *c = path_managed(q);
    struct sb_broadcast to;
    int r;

    if (!c)
        return 0;
    c->delete_at = 0;
    c->update_at = sb_now(&q->sv->state);
    sb_save_channel(&q->sv->state, c);
    to = audience(q, c);
    sb_event(q->sv, "channel_restored", &to, "\"channel_id\":\"%s\"", c->id);
    r = sb_system_post(q->sv, c, q->user, "system_channel_restored", cJSON_CreateObject(),
                       "%s unarchived the channel.", q->user->username);
    return r < 0 ? r : reply_channel(q, 200, c);
}

int sb_h_channel_stats(struct sb_req *q)
{
    struct sb_channel *c = sb_path_readable(q, 0);
    size_t pinned = 0, files = 0;

    if (!c)
        return 0;
    for (size_t i = 0; i < c->n_posts; i++) {
        pinned += c->posts[i]->is_pinned && !c->posts[i]->delete_at;
        files += c->posts[i]->file_ids != NULL && !c->posts[i]->delete_at;
    }
    mw_buf_printf(&q->out,
                  "{\"channel_id\":\"%s\",\"member_count\":%zu,\"guest_count\":0,"
                  "\"pinnedpost_count\":%zu",
                  c->id, c->members.count, pinned);
    if (!q->sv->old)
        mw_buf_printf(&q->out, ",\"files_count\":%lld",
                      sb_query_true(q, "exclude_files_count") ? -1LL : (long long)files);
    mw_buf_putc(&q->out, '}');
    return sb_reply(q, 200);
}
