/* The objects as they look on the wire. */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/rest.h"

void sb_put_user(struct sb_server *sv, struct mw_buf *b, const struct sb_user *u,
                 const struct sb_user *reader)
{
    bool own = reader && (u == reader || sb_is_admin(reader));

    sb_write_object(b, sb_user_fields, u, sb_view(sv) | (own ? SB_VIEW_OWN : 0));
}

void sb_put_bot(struct sb_server *sv, struct mw_buf *b, const struct sb_user *u)
{
    mw_buf_printf(b, "{\"user_id\":\"%s\",", u->id);
    sb_put_str(b, "username", u->username);
    if (u->first_name && *u->first_name) {
        mw_buf_putc(b, ',');
        sb_put_str(b, "display_name", u->first_name);
    }
    if (u->bot_description && *u->bot_description) {
        mw_buf_putc(b, ',');
        sb_put_str(b, "description", u->bot_description);
    }
    mw_buf_printf(b,
                  ",\"owner_id\":\"%s\",\"create_at\":%" PRId64 ",\"update_at\":%" PRId64
                  ",\"delete_at\":%" PRId64 "}",
                  u->owner_id, u->create_at, u->update_at, u->delete_at);
}

void sb_put_team(struct sb_server *sv, struct mw_buf *b, const struct sb_team *t,
                 const struct sb_user *reader)
{
    struct sb_team copy = *t;
    static char empty[] = "";

    if (!reader || !sb_is_admin(reader))
        copy.email = empty;
    if (reader && !sb_is_admin(reader) && !sb_team_member_of(t, reader->id))
        copy.invite_id[0] = '\0';
    sb_write_object(b, sb_team_fields, &copy, sb_view(sv));
}

void sb_put_team_member(struct sb_server *sv, struct mw_buf *b, const struct sb_team_member *m)
{
    mw_buf_putc(b, '{');
    sb_write_fields(b, sb_team_member_fields, m, sb_view(sv));
    mw_buf_printf(b,
                  ",\"roles\":\"%s\",\"scheme_guest\":false,\"scheme_user\":true,"
                  "\"scheme_admin\":%s,\"explicit_roles\":\"\"}",
                  m->scheme_admin ? "team_user team_admin" : "team_user",
                  m->scheme_admin ? "true" : "false");
}

void sb_put_channel(struct sb_server *sv, struct mw_buf *b, const struct sb_channel *c)
{
    mw_buf_putc(b, '{');
    sb_write_fields(b, sb_channel_fields, c, sb_view(sv));
    mw_buf_putc(b, ',');
    sb_put_str(b, "display_name", c->display_name);
    mw_buf_putc(b, '}');
}

void sb_put_member(struct sb_server *sv, struct mw_buf *b, const struct sb_member *m,
                   const struct sb_user *reader)
{
    /* 11.x hides from others when somebody was last here. */
    bool hidden = !sv->old && reader && !mw_streq(reader->id, m->user_id);

    mw_buf_putc(b, '{');
    sb_write_fields(b, sb_member_fields, m, sb_view(sv));
    mw_buf_printf(b,
                  ",\"last_viewed_at\":%" PRId64 ",\"last_update_at\":%" PRId64
                  ",\"roles\":\"%s\",\"scheme_guest\":false,\"scheme_user\":true,"
                  "\"scheme_admin\":%s,\"explicit_roles\":\"\"}",
                  hidden ? -1 : m->last_viewed_at, hidden ? -1 : m->last_update_at,
                  m->scheme_admin ? "channel_user channel_admin" : "channel_user",
                  m->scheme_admin ? "true" : "false");
}

void sb_put_reaction(struct sb_server *sv, struct mw_buf *b, const struct sb_reaction *r,
                     const struct sb_post *p)
{
    mw_buf_putc(b, '{');
    sb_write_fields(b, sb_reaction_fields, r, sb_view(sv));
    if (!sv->old)
        mw_buf_printf(b, ",\"channel_id\":\"%s\"", p->channel_id);
    mw_buf_putc(b, '}');
}

void sb_put_file(struct sb_server *sv, struct mw_buf *b, const struct sb_file *f)
{
    sb_write_object(b, sb_file_fields, f, sb_view(sv));
}

void sb_put_status(struct sb_server *sv, struct mw_buf *b, const struct sb_user *u)
{
    mw_buf_printf(
        b,
        "{\"user_id\":\"%s\",\"status\":\"%s\",\"manual\":%s,\"last_activity_at\":%" PRId64
        ",\"dnd_end_time\":%" PRId64 "}",
        u->id, u->status ? u->status : "offline", u->manual ? "true" : "false", u->last_activity_at,
        u->dnd_end_time);
}

static size_t live_replies(const struct sb_post *root, int64_t *ret_last)
{
    size_t n = 0;

    for (size_t i = 0; i < root->n_replies; i++) {
        if (root->replies[i]->delete_at)
            continue;
        n++;
        *ret_last = root->replies[i]->create_at;
    }
    return n;
}

/* The authors of the replies, latest first, each once. */
static void put_participants(struct sb_server *sv, struct mw_buf *b, const struct sb_post *root)
{
    size_t start;

    mw_buf_putc(b, '[');
    start = b->len;
    for (size_t i = root->n_replies; i > 0; i--) {
        const struct sb_post *p = root->replies[i - 1];
        bool seen = p->delete_at != 0;

        for (size_t j = root->n_replies; j > i && !seen; j--)
            seen = !root->replies[j - 1]->delete_at && root->replies[j - 1]->author == p->author;
        if (seen)
            continue;
        sb_comma(b, start);
        sb_put_user(sv, b, p->author, NULL);
    }
    mw_buf_putc(b, ']');
}

static void put_metadata(struct sb_server *sv, struct mw_buf *b, const struct sb_post *p,
                         const cJSON *file_ids)
{
    size_t start, list;
    const cJSON *id;

    mw_buf_puts(b, ",\"metadata\":{");
    start = b->len;
    if (file_ids && file_ids->child && !p->delete_at) {
        mw_buf_puts(b, "\"files\":[");
        list = b->len;
        cJSON_ArrayForEach(id, file_ids)
        {
            const struct sb_file *f = mw_map_get(&sv->state.files, id->valuestring);

            if (!f)
                continue;
            sb_comma(b, list);
            sb_put_file(sv, b, f);
        }
        mw_buf_putc(b, ']');
    }
    if (p->n_reactions) {
        sb_comma(b, start);
        mw_buf_puts(b, "\"reactions\":[");
        for (size_t i = 0; i < p->n_reactions; i++) {
            if (i)
                mw_buf_putc(b, ',');
            sb_put_reaction(sv, b, p->reactions[i], p);
        }
        mw_buf_putc(b, ']');
    }
    mw_buf_putc(b, '}');
}

void sb_put_post(struct sb_server *sv, struct mw_buf *b, const struct sb_post *p, bool crt,
                 const struct sb_user *reader)
{
    const struct sb_post *root = p->root ? p->root : p;
    MW_AUTOJSON *file_ids = NULL;
    const struct sb_thread_state *t;
    int64_t last = 0;
    size_t replies = root->n_replies ? live_replies(root, &last) : 0;

    struct sb_post gone;

    if (p->delete_at) { /* only its id and times are told */
        gone = *p;
        gone.message = gone.props = gone.file_ids = gone.hashtags = NULL;
        p = &gone;
    }
    mw_buf_putc(b, '{');
    sb_write_fields(b, sb_post_fields, p, sb_view(sv));
    if (p->file_ids && mw_json_parse(p->file_ids, strlen(p->file_ids), &file_ids, NULL) < 0)
        file_ids = NULL;
    if (sv->old) {
        mw_buf_printf(b, ",\"parent_id\":\"%s\"", p->root_id);
        if (file_ids && file_ids->child)
            mw_buf_printf(b, ",\"file_ids\":%s", p->file_ids);
    } else {
        mw_buf_printf(b, ",\"file_ids\":%s", p->file_ids ? p->file_ids : "[]");
    }
    if (p->n_reactions)
        mw_buf_puts(b, ",\"has_reactions\":true");
    mw_buf_printf(b, ",\"reply_count\":%zu", replies);
    if (crt && !p->root) {
        mw_buf_printf(b, ",\"last_reply_at\":%" PRId64 ",\"participants\":", last);
        put_participants(sv, b, p);
        t = reader ? sb_thread_state_of(&sv->state, reader->id, p->id) : NULL;
        if (replies)
            mw_buf_printf(b, ",\"is_following\":%s", t && t->following ? "true" : "false");
    } else {
        mw_buf_puts(b, ",\"last_reply_at\":0,\"participants\":null");
    }
    put_metadata(sv, b, p, file_ids);
    mw_buf_putc(b, '}');
}
