/* Changes of channels: create, join, leave, invite, kick, topic, purpose, archive. */
#include "base/str.h"
#include "gateway/directory_internal.h"

/* What each takes on the server; the %s of a right is "public" or "private". */
static const struct {
    const char *phrase; /* in front of the channel's name */
    const char *public_right, *private_right;
    const char *holder;
} actions[] = {
    [GW_CHANNEL_CREATE] = {"create the channel", "create_public_channel", "create_private_channel",
                           "Every member of the team usually"},
    [GW_CHANNEL_JOIN] = {"join", "join_public_channels", "manage_private_channel_members",
                         "Every member of the team usually (into a private channel a member "
                         "invites)"},
    [GW_CHANNEL_LEAVE] = {"leave", "manage_public_channel_members",
                          "manage_private_channel_members", "Every member of the channel usually"},
    [GW_CHANNEL_INVITE] = {"invite people to", "manage_public_channel_members",
                           "manage_private_channel_members", "Every member of the channel usually"},
    [GW_CHANNEL_KICK] = {"remove people from", "manage_public_channel_members",
                         "manage_private_channel_members", "Every member of the channel usually"},
    [GW_CHANNEL_TOPIC] = {"change the topic of", "manage_public_channel_properties",
                          "manage_private_channel_properties",
                          "Every member of the channel usually"},
    [GW_CHANNEL_PURPOSE] = {"change the purpose of", "manage_public_channel_properties",
                            "manage_private_channel_properties",
                            "Every member of the channel usually"},
    [GW_CHANNEL_ARCHIVE] = {"archive", "delete_public_channel", "delete_private_channel",
                            "An administrator of the channel or the team usually"},
};

/* For the sentence of a 403. False without memory: that ended the query. */
static bool say_what(struct gw_directory *d, const char *name, bool is_private)
{
    MW_AUTOFREE char *doing = mw_asprintf("%s ~%s", actions[d->action].phrase, name);

    d->q.right = is_private ? actions[d->action].private_right : actions[d->action].public_right;
    d->q.holder = actions[d->action].holder;
    if (doing) {
        free(d->q.doing);
        d->q.doing = take_ptr(doing);
        return true;
    }
    gw_query_done(&d->q, NULL);
    return false;
}

/* ---- Ends ---- */

/* The channel as it is now, and whom it was about. */
static void finish(struct gw_directory *d)
{
    const struct mm_channel_info *ch = mm_cached_channel(d->q.client, d->channel_id);
    const struct mm_team_info *team = ch ? mm_cached_team(d->q.client, ch->team_id) : NULL;
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || mw_json_add_str(o, "channel_id", d->channel_id) ||
        mw_json_add_str(o, "channel", ch ? ch->name : NULL) ||
        mw_json_add_str(o, "team", team ? team->name : NULL) ||
        (d->users && mw_json_add(o, "users", take_ptr(d->list)))) {
        gw_query_done(&d->q, NULL);
        return;
    }
    if (d->action == GW_CHANNEL_ARCHIVE)
        mm_forget_channel(d->q.client, d->channel_id);
    gw_query_done(&d->q, take_ptr(o));
}

static void on_changed(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    struct mm_channel ch;

    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    /* Creating and patching answer with the channel, the others with something else. */
    if ((d->action == GW_CHANNEL_CREATE || d->action == GW_CHANNEL_TOPIC ||
         d->action == GW_CHANNEL_PURPOSE) &&
        mm_channel_read(r->body, &ch, NULL) == 0) {
        snprintf(d->channel_id, sizeof(d->channel_id), "%s", ch.id);
        if (mm_learn_channel(d->q.client, &ch) < 0) {
            gw_query_done(&d->q, NULL);
            return;
        }
    }
    finish(d);
}

/* ---- Members ---- */

static cJSON *member_body(const char *user_id)
{
    cJSON *body = cJSON_CreateObject();

    if (body && mw_json_add_str(body, "user_id", user_id)) {
        cJSON_Delete(body);
        return NULL;
    }
    return body;
}

static void add_member(struct gw_directory *d, const char *user_id, mm_cb cb)
{
    cJSON *body = member_body(user_id);

    if (!body)
        gw_query_done(&d->q, NULL);
    else
        gw_query_call(&d->q, "POST", mw_asprintf("/channels/%s/members", d->channel_id), body, cb);
}

static void remove_member(struct gw_directory *d, const char *user_id, mm_cb cb)
{
    gw_query_call(&d->q, "DELETE", mw_asprintf("/channels/%s/members/%s", d->channel_id, user_id),
                  NULL, cb);
}

static void next_user(struct gw_directory *d);

static void on_member(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;

    if (r->outcome != MM_OK) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    cJSON_DeleteItemFromArray(d->users, 0);
    next_user(d);
}

static void on_member_id(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    const char *id = mw_json_str(r->body, "user_id");

    if (r->outcome != MM_OK || !id) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    if (mw_json_push(d->list, cJSON_CreateString(mw_json_str_or(r->body, "username", id))))
        gw_query_done(&d->q, NULL);
    else if (d->action == GW_CHANNEL_INVITE)
        add_member(d, id, on_member);
    else
        remove_member(d, id, on_member);
}

static void next_user(struct gw_directory *d)
{
    if (!d->users->child)
        finish(d);
    else
        gw_query_started(
            &d->q, mm_resolve_user(d->q.client, d->users->child->valuestring, on_member_id, d));
}

/* ---- The change itself ---- */

static void change(struct gw_directory *d)
{
    const char *id = d->channel_id;

    switch (d->action) {
    case GW_CHANNEL_JOIN:
        add_member(d, mm_client_user_id(d->q.client), on_changed);
        break;
    case GW_CHANNEL_LEAVE:
        remove_member(d, mm_client_user_id(d->q.client), on_changed);
        break;
    case GW_CHANNEL_INVITE:
    case GW_CHANNEL_KICK:
        next_user(d);
        break;
    case GW_CHANNEL_TOPIC:
    case GW_CHANNEL_PURPOSE:
        gw_query_call(&d->q, "PUT", mw_asprintf("/channels/%s/patch", id), take_ptr(d->body),
                      on_changed);
        break;
    case GW_CHANNEL_ARCHIVE:
        gw_query_call(&d->q, "DELETE", mw_asprintf("/channels/%s", id), NULL, on_changed);
        break;
    case GW_CHANNEL_CREATE:
        break;
    }
}

static void on_channel(struct mm_result *r, void *userdata)
{
    struct gw_directory *d = userdata;
    const char *id = mw_json_str(r->body, "channel_id");
    const struct mm_channel_info *ch;

    if (r->outcome != MM_OK || !id) {
        gw_query_fail_result(&d->q, r);
        return;
    }
    snprintf(d->channel_id, sizeof(d->channel_id), "%s", id);
    ch = mm_cached_channel(d->q.client, id);
    if (say_what(d, ch ? ch->name : d->channel, ch && *ch->type == 'P'))
        change(d);
}

static void create(struct gw_directory *d)
{
    if (mw_json_add_str(d->body, "team_id", d->team_id))
        gw_query_done(&d->q, NULL);
    else
        gw_query_call(&d->q, "POST", strdup("/channels"), take_ptr(d->body), on_changed);
}

/* `name` may be TEAM/NAME, as everywhere. */
static void start_create(struct gw_directory *d, const struct gw_channel_change *c)
{
    const char *slash = strchr(d->channel, '/'), *name = slash ? slash + 1 : d->channel;
    cJSON *b = d->body;

    if (slash) {
        MW_AUTOFREE char *team = strndup(d->channel, (size_t)(slash - d->channel));

        if (!team) {
            gw_query_done(&d->q, NULL);
            return;
        }
        if (!gw_directory_set(d, &d->team, team))
            return;
    }
    name += *name == '~' || *name == '#';
    if (mw_json_add_str(b, "name", name) |
        mw_json_add_str(b, "display_name", c->display_name ? c->display_name : name) |
        mw_json_add_str(b, "type", c->is_private ? "P" : "O") |
        mw_json_add_str(b, "header", c->topic ? c->topic : "") |
        mw_json_add_str(b, "purpose", c->purpose ? c->purpose : "")) {
        gw_query_done(&d->q, NULL);
        return;
    }
    if (say_what(d, name, c->is_private))
        gw_directory_team(d, create);
}

void gw_channel_change(struct gw *gw, struct gw_bot *bot, const struct gw_channel_change *c,
                       gw_cb cb, void *userdata)
{
    struct gw_directory *d = gw_directory_new(bot, cb, userdata);
    const char *team = c->team ? c->team : bot->config->team;

    if (!d)
        return;
    d->action = c->action;
    if (!gw_directory_set(d, &d->channel, c->channel) || !gw_directory_set(d, &d->team, team))
        return;
    d->body = cJSON_CreateObject();
    if (c->users)
        d->users = cJSON_Duplicate(c->users, true);
    if (!d->body || (c->users && !d->users) ||
        (c->action == GW_CHANNEL_TOPIC && mw_json_add_str(d->body, "header", c->text)) ||
        (c->action == GW_CHANNEL_PURPOSE && mw_json_add_str(d->body, "purpose", c->text)))
        gw_query_done(&d->q, NULL);
    else if (c->action == GW_CHANNEL_CREATE)
        start_create(d, c);
    else
        gw_query_started(&d->q, mm_resolve_channel(d->q.client, d->channel, team, on_channel, d));
}
