#include "mattermost/normalise.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/str.h"

enum {
    COPIES_WITHIN_MS = 10 * 1000, /* both copies of a membership event come in this time */
    ITEM_COST = 1024,             /* bytes of a small item with its trees */
};

void mm_normaliser_init(struct mm_normaliser *n, struct mm_client *client, const char *bot)
{
    *n = (struct mm_normaliser){.client = client, .bot = bot};
}

static void init_item(const struct mm_normaliser *n, struct mm_item *item, enum mw_event_kind kind,
                      int64_t at)
{
    *item = (struct mm_item){.cost = ITEM_COST};
    mw_event_init(&item->ev);
    item->ev.bot = n->bot;
    item->ev.kind = kind;
    item->ev.at = at;
    item->ev.received_at = mw_clock_now();
}

void mm_item_deinit(struct mm_item *item)
{
    cJSON_Delete(item->tree);
    cJSON_Delete(item->inner);
    free(item->object);
    free(item->files);
    free(item->detail);
    free(item->raw);
    item->tree = item->inner = NULL;
    item->object = item->files = item->detail = item->raw = NULL;
}

void mm_item_free(struct mm_item *item)
{
    if (!item)
        return;
    mm_item_deinit(item);
    free(item);
}

/* ---- Posts ---- */

static bool is_ephemeral(const struct mm_post *p)
{
    return strcmp(p->type, "system_ephemeral") == 0;
}

/* What only posts have: their type and the name that a webhook gave itself. */
static int post_detail(const struct mm_post *p, const cJSON *frame_data, char **ret)
{
    const char *override = mw_json_str(p->props, "override_username");
    const char *delete_by = mw_json_str(frame_data, "delete_by");
    MW_AUTOBUF b = {0};
    const struct {
        const char *key, *value;
    } members[] = {{"type", *p->type ? p->type : NULL},
                   {"override_username", override},
                   {"delete_by", delete_by}};

    for (size_t i = 0; i < MW_ARRAY_LEN(members); i++) {
        if (!members[i].value)
            continue;
        mw_buf_printf(&b, "%s\"%s\":", b.len ? "," : "{", members[i].key);
        mw_buf_put_json_string(&b, members[i].value);
    }
    if (b.len == 0)
        return 0;
    mw_buf_putc(&b, '}');
    *ret = mw_buf_take(&b);
    return *ret ? 0 : -ENOMEM;
}

/* Fills in what a post says of itself. The item's trees must be in place already. */
static int put_post(struct mm_item *item, const struct mm_post *p, const cJSON *frame_data)
{
    struct mw_event *ev = &item->ev;

    ev->object = ev->post_id = p->id;
    ev->root_id = p->root_id;
    ev->channel_id = p->channel_id;
    ev->user_id = p->user_id;
    ev->text = p->message;
    if (mm_post_is_system(p))
        ev->flags |= MW_EVENT_SYSTEM;
    if (mm_post_from_webhook(p))
        ev->flags |= MW_EVENT_FROM_WEBHOOK;
    item->cost += 2 * strlen(p->message);
    if (p->file_ids && p->file_ids->child) {
        item->files = mw_json_print(p->file_ids);
        if (!item->files)
            return -ENOMEM;
        ev->files = item->files;
    }
    if (post_detail(p, frame_data, &item->detail) < 0)
        return -ENOMEM;
    if (item->detail)
        ev->detail = item->detail;
    return 0;
}

/* The channel as the event describes it; for direct messages the display name is the sender's. */
static int learn_from_posted(struct mm_normaliser *n, const struct mm_post *p, const cJSON *data)
{
    const char *type = mw_json_str_or(data, "channel_type", "");
    struct mm_channel ch = {
        .id = p->channel_id,
        .type = type,
        .name = mw_json_str_or(data, "channel_name", ""),
        .display_name =
            strcmp(type, "D") == 0 ? "" : mw_json_str_or(data, "channel_display_name", ""),
        .team_id = mw_json_str_or(data, "team_id", ""),
    };

    return *ch.id && *ch.type && *ch.name ? mm_learn_channel(n->client, &ch) : 0;
}

/* The document that a frame carries as a string in data[key]. */
static int parse_inner(const struct mm_frame *f, const char *key, cJSON **ret, struct mw_error *err)
{
    const char *text = mw_json_str(f->data, key);

    if (!text)
        return mw_error_set(err, -EINVAL, "the server sent an event without its %s", key);
    return mm_json_parse(text, strlen(text), ret, err);
}

static int from_post_frame(struct mm_normaliser *n, struct mm_frame *f, int64_t now,
                           struct mm_item *item, struct mw_error *err)
{
    MW_AUTOJSON *inner = NULL;
    struct mm_post p;
    int r = parse_inner(f, "post", &inner, err);

    if (r == 0)
        r = mm_post_read(inner, &p, err);
    if (r < 0)
        return r;
    if (is_ephemeral(&p))
        return 1;
    switch (f->event) {
    case MM_FRAME_POSTED:
        init_item(n, item, MW_EVENT_POST, p.create_at);
        /* Known edits of a post are told apart by it; a fresh one has none. */
        item->ev.revision = 0;
        r = learn_from_posted(n, &p, f->data);
        break;
    case MM_FRAME_POST_EDITED:
        if (p.edit_at <= 0)
            return 1;
        init_item(n, item, MW_EVENT_POST_EDITED, p.edit_at);
        item->ev.revision = p.edit_at;
        break;
    default:
        init_item(n, item, MW_EVENT_POST_DELETED, p.delete_at > 0 ? p.delete_at : now);
        break;
    }
    if (r == 0)
        r = put_post(item, &p, f->data);
    if (r < 0) {
        mm_item_deinit(item);
        return r;
    }
    item->ev.raw = mw_json_str(f->data, "post");
    item->cost += 3 * strlen(item->ev.raw);
    if (f->event == MM_FRAME_POSTED && !mm_post_from_webhook(&p) &&
        !mw_json_get(p.props, "override_username")) {
        const char *sender = mw_json_str_or(f->data, "sender_name", "");

        item->sender = *sender == '@' ? sender + 1 : NULL;
    }
    item->post = inner;
    item->inner = take_ptr(inner);
    item->tree = take_ptr(f->tree);
    return 0;
}

int mm_item_from_post(struct mm_normaliser *n, cJSON *json, int64_t since, int64_t new_from,
                      struct mm_item *ret, struct mw_error *err)
{
    MW_AUTOJSON *owned = json;
    struct mm_item item;
    struct mm_post p;
    int r = mm_post_read(owned, &p, err);

    if (r < 0)
        return r;
    /* Every edit leaves a row with what the post was before: deleted, with an id of its own. */
    if (is_ephemeral(&p) || *p.original_id)
        return 1;
    if (p.create_at >= since && p.create_at >= new_from) {
        init_item(n, &item, MW_EVENT_POST, p.create_at);
        item.observed = true;
        item.ev.revision = p.edit_at;
        item.deleted_at = p.delete_at;
    } else if (p.delete_at >= since && p.delete_at > 0) {
        init_item(n, &item, MW_EVENT_POST_DELETED, p.delete_at);
    } else if (p.edit_at >= since && p.edit_at > 0) {
        init_item(n, &item, MW_EVENT_POST_EDITED, p.edit_at);
        item.ev.revision = p.edit_at;
    } else {
        return 1;
    }
    item.ev.flags |= MW_EVENT_CAUGHT_UP;
    r = put_post(&item, &p, NULL);
    if (r < 0) {
        mm_item_deinit(&item);
        return r;
    }
    item.cost += 2048;
    item.post = owned;
    item.tree = take_ptr(owned);
    *ret = item;
    return 0;
}

/* ---- Reactions ---- */

static int put_reaction(struct mm_item *item, const struct mm_reaction *r)
{
    item->object = mw_asprintf("%s/%s/%s", r->post_id, r->user_id, r->emoji_name);
    if (!item->object)
        return -ENOMEM;
    item->ev.object = item->object;
    item->ev.post_id = r->post_id;
    item->ev.user_id = r->user_id;
    item->ev.text = r->emoji_name;
    return 0;
}

static int from_reaction_frame(struct mm_normaliser *n, struct mm_frame *f, int64_t now,
                               struct mm_item *item, struct mw_error *err)
{
    bool added = f->event == MM_FRAME_REACTION_ADDED;
    MW_AUTOJSON *inner = NULL;
    struct mm_reaction reaction;
    int64_t at;
    int r = parse_inner(f, "reaction", &inner, err);

    if (r == 0)
        r = mm_reaction_read(inner, &reaction, err);
    if (r < 0)
        return r;
    /* A removed one has create_at 0 and the time in update_at or delete_at. */
    at = reaction.create_at;
    if (!added)
        at = MW_MAX(at,
                    MW_MAX(mw_json_i64(inner, "update_at", 0), mw_json_i64(inner, "delete_at", 0)));
    init_item(n, item, added ? MW_EVENT_REACTION_ADDED : MW_EVENT_REACTION_REMOVED,
              at > 0 ? at : now);
    item->ev.revision = item->ev.at;
    if (put_reaction(item, &reaction) < 0)
        return -ENOMEM;
    item->ev.channel_id =
        *reaction.channel_id ? reaction.channel_id : mw_json_str_or(f->broadcast, "channel_id", "");
    item->ev.raw = mw_json_str(f->data, "reaction");
    item->inner = take_ptr(inner);
    item->tree = take_ptr(f->tree);
    return 0;
}

int mm_item_from_reaction(struct mm_normaliser *n, const cJSON *json, const char *channel_id,
                          const char *root_id, struct mm_item *ret, struct mw_error *err)
{
    MW_AUTOJSON *copy = NULL;
    struct mm_reaction reaction;
    struct mm_item item;
    int r = mm_reaction_read(json, &reaction, err);

    if (r < 0)
        return r;
    copy = cJSON_Duplicate(json, true);
    if (!copy || mw_json_add_str(copy, " channel", channel_id) < 0 ||
        mw_json_add_str(copy, " root", root_id) < 0 || mm_reaction_read(copy, &reaction, err) < 0)
        return -ENOMEM;
    init_item(n, &item, MW_EVENT_REACTION_ADDED, reaction.create_at);
    item.ev.flags |= MW_EVENT_CAUGHT_UP;
    item.ev.revision = reaction.create_at;
    item.ev.channel_id = mw_json_str(copy, " channel");
    item.ev.root_id = mw_json_str(copy, " root");
    item.raw = mw_json_print(json);
    if (!item.raw || put_reaction(&item, &reaction) < 0) {
        mm_item_deinit(&item);
        return -ENOMEM;
    }
    item.ev.raw = item.raw;
    item.tree = take_ptr(copy);
    *ret = item;
    return 0;
}

/* ---- Channels and members ---- */

/* A member of the event's data, else of its broadcast. */
static const char *place(const struct mm_frame *f, const char *key)
{
    const char *s = mw_json_str_or(f->data, key, "");

    return *s ? s : mw_json_str_or(f->broadcast, key, "");
}

/* True for the second copy of what was told just now. */
static bool is_copy(struct mm_normaliser *n, enum mw_event_kind kind, const char *where,
                    const char *user)
{
    int64_t now = mw_clock_mono();
    bool copy = false;

    for (size_t i = 0; i < MM_RECENT_MEMBERSHIPS; i++) {
        if (strcmp(n->recent[i].place, where) != 0 || strcmp(n->recent[i].user, user) != 0)
            continue;
        if (n->recent[i].kind == kind && now - n->recent[i].mono < COPIES_WITHIN_MS)
            copy = true;
        else
            n->recent[i].place[0] = '\0';
    }
    if (copy || strlen(where) >= MW_ID_SIZE || strlen(user) >= MW_ID_SIZE)
        return copy;
    n->recent[n->recent_next].kind = kind;
    n->recent[n->recent_next].mono = now;
    memcpy(n->recent[n->recent_next].place, where, strlen(where) + 1);
    memcpy(n->recent[n->recent_next].user, user, strlen(user) + 1);
    n->recent_next = (n->recent_next + 1) % MM_RECENT_MEMBERSHIPS;
    return false;
}

static int from_channel_frame(struct mm_normaliser *n, struct mm_frame *f, int64_t now,
                              struct mm_item *item, struct mw_error *err)
{
    const char *me = mm_client_user_id(n->client);
    struct mw_event *ev = &item->ev;

    switch (f->event) {
    case MM_FRAME_CHANNEL_DELETED:
        now = mw_json_i64(f->data, "delete_at", now);
        init_item(n, item, MW_EVENT_CHANNEL_DELETED, now);
        ev->revision = now;
        break;
    case MM_FRAME_CHANNEL_RESTORED:
        init_item(n, item, MW_EVENT_CHANNEL_RESTORED, now);
        break;
    default:
        init_item(n, item, MW_EVENT_CHANNEL_CREATED, now);
        ev->user_id = mw_json_str_or(f->data, "creator_id", "");
        if (f->event == MM_FRAME_CHANNEL_CREATED)
            ev->user_id = me;
    }
    ev->channel_id = place(f, "channel_id");
    ev->team_id = place(f, "team_id");
    /* Servers from 6 on tell each member of a new group, but not which channel it is: the first
     * post there does. */
    if (f->event == MM_FRAME_GROUP_ADDED && !*ev->channel_id)
        return 1;
    if (!mw_id_valid(ev->channel_id))
        return mw_error_set(err, -EINVAL, "the server sent a channel event without a channel");
    /* A restored channel has no time of its own that would tell a copy from a second time. */
    if (ev->kind == MW_EVENT_CHANNEL_RESTORED)
        return is_copy(n, ev->kind, ev->channel_id, "") ? 1 : 0;
    ev->object = ev->channel_id;
    return 0;
}

static int from_channel_updated(struct mm_normaliser *n, struct mm_frame *f, struct mm_item *item,
                                struct mw_error *err)
{
    MW_AUTOJSON *inner = NULL;
    struct mm_channel ch;
    int64_t at;
    int r = parse_inner(f, "channel", &inner, err);

    if (r == 0)
        r = mm_channel_read(inner, &ch, err);
    if (r == 0)
        r = mm_learn_channel(n->client, &ch);
    if (r < 0)
        return r;
    at = mw_json_i64(inner, "update_at", 0);
    init_item(n, item, MW_EVENT_CHANNEL_UPDATED, at);
    item->ev.object = item->ev.channel_id = ch.id;
    item->ev.revision = at;
    item->ev.text = ch.display_name;
    item->ev.raw = mw_json_str(f->data, "channel");
    item->inner = take_ptr(inner);
    return 0;
}

static int from_member_frame(struct mm_normaliser *n, struct mm_frame *f, int64_t now,
                             struct mm_item *item, struct mw_error *err)
{
    bool team = f->event == MM_FRAME_ADDED_TO_TEAM || f->event == MM_FRAME_LEAVE_TEAM;
    const char *where, *user = place(f, "user_id");
    enum mw_event_kind kind;

    switch (f->event) {
    case MM_FRAME_USER_ADDED:
        kind = MW_EVENT_USER_ADDED;
        break;
    case MM_FRAME_USER_REMOVED:
        kind = MW_EVENT_USER_REMOVED;
        break;
    case MM_FRAME_ADDED_TO_TEAM:
        kind = MW_EVENT_TEAM_ADDED;
        break;
    default:
        kind = MW_EVENT_TEAM_REMOVED;
    }
    /* Who else joins or leaves a team is not our business. */
    if (team && strcmp(user, mm_client_user_id(n->client)) != 0)
        return 1;
    init_item(n, item, kind, now);
    item->ev.user_id = user;
    item->ev.team_id = place(f, "team_id");
    if (!team)
        item->ev.channel_id = place(f, "channel_id");
    where = team ? item->ev.team_id : item->ev.channel_id;
    if (!mw_id_valid(where) || !mw_id_valid(user))
        return mw_error_set(err, -EINVAL, "the server sent a member event without its ids");
    return is_copy(n, kind, where, user) ? 1 : 0;
}

/* Events that only feed the caches. */
static int learn_from_frame(struct mm_normaliser *n, const struct mm_frame *f)
{
    MW_AUTOJSON *inner = NULL;
    struct mm_user user;
    struct mm_team team;

    switch (f->event) {
    case MM_FRAME_USER_UPDATED:
        if (mm_user_read(mw_json_obj(f->data, "user"), &user, NULL) == 0 && *user.username)
            return mm_learn_user(n->client, &user);
        break;
    case MM_FRAME_UPDATE_TEAM:
        if (parse_inner(f, "team", &inner, NULL) == 0 && mm_team_read(inner, &team, NULL) == 0)
            return mm_learn_team(n->client, &team);
        break;
    case MM_FRAME_CHANNEL_CONVERTED:
        mm_forget_channel(n->client, place(f, "channel_id"));
        break;
    default:
        break;
    }
    return 0;
}

int mm_item_from_frame(struct mm_normaliser *n, struct mm_frame *f, int64_t now,
                       struct mm_item *ret, struct mw_error *err)
{
    struct mm_item item = {0};
    int r;

    switch (f->event) {
    case MM_FRAME_POSTED:
    case MM_FRAME_POST_EDITED:
    case MM_FRAME_POST_DELETED:
        r = from_post_frame(n, f, now, &item, err);
        break;
    case MM_FRAME_REACTION_ADDED:
    case MM_FRAME_REACTION_REMOVED:
        r = from_reaction_frame(n, f, now, &item, err);
        break;
    case MM_FRAME_TYPING:
        init_item(n, &item, MW_EVENT_TYPING, now);
        item.ev.user_id = mw_json_str_or(f->data, "user_id", "");
        item.ev.root_id = mw_json_str_or(f->data, "parent_id", "");
        item.ev.channel_id = place(f, "channel_id");
        r = 0;
        break;
    case MM_FRAME_CHANNEL_UPDATED:
        r = from_channel_updated(n, f, &item, err);
        break;
    case MM_FRAME_CHANNEL_CREATED:
    case MM_FRAME_CHANNEL_DELETED:
    case MM_FRAME_CHANNEL_RESTORED:
    case MM_FRAME_DIRECT_ADDED:
    case MM_FRAME_GROUP_ADDED:
        r = from_channel_frame(n, f, now, &item, err);
        break;
    case MM_FRAME_USER_ADDED:
    case MM_FRAME_USER_REMOVED:
    case MM_FRAME_ADDED_TO_TEAM:
    case MM_FRAME_LEAVE_TEAM:
        r = from_member_frame(n, f, now, &item, err);
        break;
    default:
        r = learn_from_frame(n, f);
        return r < 0 ? r : 1;
    }
    if (r != 0)
        return r;
    if (f->tree) {
        /* What else these events say; posts and reactions took the tree already. */
        if (item.ev.kind != MW_EVENT_TYPING && !*item.ev.raw && f->data && f->data->child) {
            item.detail = mw_json_print(f->data);
            if (!item.detail) {
                mm_item_deinit(&item);
                return -ENOMEM;
            }
            item.ev.detail = item.detail;
        }
        item.tree = take_ptr(f->tree);
    }
    *ret = item;
    return 0;
}

/* ---- Names ---- */

bool mm_item_missing(const struct mm_normaliser *n, const struct mm_item *item,
                     struct mm_missing *ret)
{
    const struct mw_event *ev = &item->ev;
    const struct mm_channel_info *ch;
    const char *team = ev->team_id;

    *ret = (struct mm_missing){0};
    if (ev->kind == MW_EVENT_TYPING)
        return false;
    if (mw_id_valid(ev->user_id) && !mm_cached_user(n->client, ev->user_id))
        ret->user_id = ev->user_id;
    if (*ev->channel_id) {
        ch = mm_cached_channel(n->client, ev->channel_id);
        if (ch)
            team = ch->team_id;
        else if (mw_id_valid(ev->channel_id))
            ret->channel_id = ev->channel_id;
    }
    if (mw_id_valid(team) && !mm_cached_team(n->client, team))
        ret->team_id = team;
    return ret->user_id || ret->channel_id || ret->team_id;
}

/* A mention may stand in a webhook's attachments too. */
static bool attachments_mention(const cJSON *post, const char *name)
{
    const cJSON *attachment, *field;

    cJSON_ArrayForEach(attachment, mw_json_arr(mw_json_obj(post, "props"), "attachments"))
    {
        if (mm_mentions(mw_json_str_or(attachment, "pretext", ""), name) ||
            mm_mentions(mw_json_str_or(attachment, "text", ""), name))
            return true;
        cJSON_ArrayForEach(field, mw_json_arr(attachment, "fields"))
        {
            if (mm_mentions(mw_json_str_or(field, "value", ""), name))
                return true;
        }
    }
    return false;
}

int mm_item_fill(const struct mm_normaliser *n, struct mm_item *item)
{
    struct mw_event *ev = &item->ev;
    const struct mm_channel_info *ch = mm_cached_channel(n->client, ev->channel_id);
    const struct mm_user_info *user = mm_cached_user(n->client, ev->user_id);
    const struct mm_team_info *team;
    const char *me = mm_client_user_name(n->client);

    if (ch) {
        ev->channel_name = ch->name;
        ev->channel_type = ch->type;
        ev->team_id = ch->team_id;
        if (strcmp(ch->type, "D") == 0)
            ev->flags |= MW_EVENT_DIRECT;
        else if (strcmp(ch->type, "G") == 0)
            ev->flags |= MW_EVENT_GROUP;
    }
    team = mm_cached_team(n->client, ev->team_id);
    if (team)
        ev->team_name = team->name;
    if (user) {
        ev->user_name = user->username;
        if (user->is_bot)
            ev->flags |= MW_EVENT_FROM_BOT;
    } else {
        /* The server does not tell: better to take a bot's word than to talk to bots. */
        const cJSON *props = mw_json_obj(item->post, "props");

        if (item->sender)
            ev->user_name = item->sender;
        if (mw_streq(mw_json_str(props, "from_bot"), "true"))
            ev->flags |= MW_EVENT_FROM_BOT;
    }
    if (*ev->user_id && strcmp(ev->user_id, mm_client_user_id(n->client)) == 0)
        ev->flags |= MW_EVENT_OWN;
    else if (item->post && (mm_mentions(ev->text, me) || attachments_mention(item->post, me)))
        ev->flags |= MW_EVENT_MENTION;
    if (item->post && !*ev->raw) {
        item->raw = mw_json_print(item->post);
        if (!item->raw)
            return -ENOMEM;
        ev->raw = item->raw;
    }
    return 0;
}
