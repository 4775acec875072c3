/* Reactions. */
#include <string.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"

static void put_reactions(struct sb_req *q, const struct sb_post *p)
{
    size_t start;

    mw_buf_putc(&q->out, '[');
    start = q->out.len;
    for (size_t i = 0; i < p->n_reactions; i++) {
        sb_comma(&q->out, start);
        sb_put_reaction(q->sv, &q->out, p->reactions[i], p);
    }
    mw_buf_putc(&q->out, ']');
}

int sb_h_reactions_get(struct sb_req *q)
{
    struct sb_post *p = sb_path_post(q, 0);

    if (!p)
        return 0;
    if (p->n_reactions)
        put_reactions(q, p);
    else
        mw_buf_puts(&q->out, "null"); /* as a nil slice of Go becomes JSON */
    return sb_reply(q, 200);
}

int sb_h_reactions_ids(struct sb_req *q)
{
    const cJSON *ids = sb_body_strings(q), *id;

    if (!ids)
        return 0;
    mw_buf_putc(&q->out, '{');
    cJSON_ArrayForEach(id, ids)
    {
        const struct sb_post *p = mw_map_get(&q->sv->state.posts, id->valuestring);

        if (!p || !sb_can_read(q->sv, q->user, p->channel))
            return sb_fail_permission(q);
        sb_comma(&q->out, 1);
        mw_buf_printf(&q->out, "\"%s\":", p->id);
        put_reactions(q, p);
    }
    mw_buf_putc(&q->out, '}');
    return sb_reply(q, 200);
}

static size_t distinct(const struct sb_post *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_reactions; i++) {
        bool seen = false;

        for (size_t j = 0; j < i && !seen; j++)
            seen = mw_streq(p->reactions[i]->emoji_name, p->reactions[j]->emoji_name);
        n += !seen;
    }
    return n;
}

static bool used_already(const struct sb_post *p, const char *emoji)
{
    for (size_t i = 0; i < p->n_reactions; i++)
        if (mw_streq(p->reactions[i]->emoji_name, emoji))
            return true;
    return false;
}

/* The sandbox knows no list of emoji: any name of the right form exists. */
static bool emoji_is_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-");

    return len > 0 && len <= 64 && !name[len];
}

static int store_reaction(struct sb_req *q, struct sb_post *p, const char *emoji,
                          struct sb_reaction **ret)
{
    struct sb_reaction *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return -ENOMEM;
    memcpy(r->user_id, q->user->id, sizeof(r->user_id));
    memcpy(r->post_id, p->id, sizeof(r->post_id));
    r->create_at = r->update_at = sb_now(&q->sv->state);
    if (mw_str_set(&r->emoji_name, emoji) < 0) {
        free(r);
        return -ENOMEM;
    }
    rc = sb_add_reaction(&q->sv->state, r);
    if (rc == 0)
        *ret = r;
    return rc;
}

static void touch(struct sb_req *q, struct sb_post *p)
{
    p->update_at = sb_now(&q->sv->state);
    sb_save_post(&q->sv->state, p);
}

int sb_h_reaction_add(struct sb_req *q)
{
    const cJSON *body = sb_body(q, "reaction");
    const char *emoji;
    struct sb_reaction *r;
    struct sb_post *p;
    int rc;

    if (!body)
        return 0;
    emoji = mw_json_str_or(body, "emoji_name", "");
    if (!mw_id_valid(mw_json_str_or(body, "user_id", "")) ||
        !mw_id_valid(mw_json_str_or(body, "post_id", "")) || !*emoji || strlen(emoji) > 64)
        return sb_fail(q, 400, "api.reaction.save_reaction.invalid.app_error",
                       "Reaction is not valid.");
    if (!mw_streq(mw_json_str(body, "user_id"), q->user->id))
        return sb_fail(q, 403, "api.reaction.save_reaction.user_id.app_error",
                       "You cannot save reaction for the other user.");
    p = mw_map_get(&q->sv->state.posts, mw_json_str(body, "post_id"));
    if (!p || p->delete_at || !sb_can_read(q->sv, q->user, p->channel))
        return sb_fail_permission(q);
    if (!emoji_is_valid(emoji))
        return sb_h_emoji_missing(q);
    if (p->channel->delete_at)
        return sb_fail(q, 403, "api.reaction.save.archived_channel.app_error",
                       "You cannot react in an archived channel.");
    r = sb_reaction_of(p, q->user->id, emoji);
    if (!r) {
        if (!used_already(p, emoji) && distinct(p) >= SB_MAX_EMOJI_PER_POST)
            return sb_fail(q, 400, "app.reaction.save.save.too_many_reactions",
                           "Reaction limit has been reached for this post.");
        rc = store_reaction(q, p, emoji, &r);
        if (rc < 0)
            return rc;
    }
    touch(q, p);
    sb_event_reaction(q->sv, "reaction_added", p, r);
    sb_put_reaction(q->sv, &q->out, r, p);
    return sb_reply(q, 200);
}

int sb_h_reaction_delete(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_reaction *r, copy;
    struct sb_post *p;
    MW_AUTOFREE char *emoji = NULL;

    if (!u)
        return 0;
    p = mw_map_get(&q->sv->state.posts, q->p[1]);
    if (!p || p->delete_at || !sb_can_read(q->sv, q->user, p->channel))
        return sb_fail_permission(q);
    r = sb_reaction_of(p, u->id, q->p[2]);
    if (!r)
        return sb_reply_ok(q);
    copy = *r;
    copy.create_at = 0; /* as the real server has it */
    copy.update_at = sb_now(&q->sv->state);
    emoji = strdup(r->emoji_name);
    if (!emoji)
        return -ENOMEM;
    copy.emoji_name = emoji;
    sb_remove_reaction(&q->sv->state, p, u->id, emoji);
    touch(q, p);
    sb_event_reaction(q->sv, "reaction_removed", p, &copy);
    return sb_reply_ok(q);
}
