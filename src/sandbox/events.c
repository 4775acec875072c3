#include "sandbox/events.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "sandbox/rest.h"

void sb_put_document(struct mw_buf *b, const char *key, struct mw_buf *document)
{
    if (sb_escape_html(document) < 0) {
        b->error = -ENOMEM;
        return;
    }
    sb_put_str(b, key, mw_buf_str(document));
}

static void publish(struct sb_server *sv, const char *event, struct mw_buf *b,
                    const struct sb_broadcast *to)
{
    if (!mw_buf_error(b))
        sb_publish(&sv->hub, event, mw_buf_str(b), to);
}

void sb_event(struct sb_server *sv, const char *event, const struct sb_broadcast *to,
              const char *fmt, ...)
{
    MW_AUTOBUF b = {0};
    va_list ap;

    va_start(ap, fmt);
    mw_buf_vprintf(&b, fmt, ap);
    va_end(ap);
    publish(sv, event, &b, to);
}

static struct sb_broadcast to_channel(const struct sb_channel *c)
{
    return (struct sb_broadcast){.channel_id = c->id, .channel = c};
}

/* --- posts -------------------------------------------------------------------------------------
 */

/* app/notification.go: how a direct or group channel is called in the event. */
static void put_channel_name(struct sb_server *sv, struct mw_buf *b, const struct sb_post *p)
{
    const struct sb_channel *c = p->channel;
    MW_AUTOFREE char *at = mw_asprintf("@%s", p->author->username);

    sb_put_str(b, "channel_display_name",
               sb_is_type(c, 'D') ? (at ? at : "")
               : c->display_name  ? c->display_name
                                  : "");
    mw_buf_putc(b, ',');
    sb_put_str(b, "channel_name", c->name);
    mw_buf_printf(b, ",\"channel_type\":\"%s\",", c->type);
}

static void put_sender(struct mw_buf *b, const struct sb_post *p)
{
    MW_AUTOFREE char *at = mw_asprintf("@%s", p->author->username);

    sb_put_str(b, "sender_name",
               p->type && mw_starts_with(p->type, "system_") ? "System"
               : at                                          ? at
                                                             : "");
}

struct personal {
    const struct mw_map *mentioned;
    const struct sb_post *post;
    struct sb_server *sv;
};

/* 11.x tells each reader only of himself. */
static void put_personal(struct mw_buf *b, const struct sb_user *reader, void *arg)
{
    const struct personal *x = arg;
    const struct sb_thread_state *t;

    if (x->mentioned && mw_map_get(x->mentioned, reader->id))
        mw_buf_printf(b, ",\"mentions\":\"[\\\"%s\\\"]\"", reader->id);
    if (!x->post->root)
        return;
    t = sb_thread_state_of(&x->sv->state, reader->id, x->post->root_id);
    if (t && t->following)
        mw_buf_printf(b, ",\"followers\":\"[\\\"%s\\\"]\"", reader->id);
}

static void put_all_mentions(struct mw_buf *b, const struct mw_map *mentioned)
{
    size_t it = 0;
    const char *id;
    bool first = true;

    mw_buf_puts(b, ",\"mentions\":\"[");
    while (mw_map_next(mentioned, &it, &id, NULL)) {
        mw_buf_printf(b, "%s\\\"%s\\\"", first ? "" : ",", id);
        first = false;
    }
    mw_buf_puts(b, "]\"");
}

static void put_file_hints(struct sb_server *sv, struct mw_buf *b, const struct sb_post *p)
{
    MW_AUTOJSON *ids = NULL;
    const cJSON *id;
    bool image = false;

    if (!p->file_ids || mw_json_parse(p->file_ids, strlen(p->file_ids), &ids, NULL) < 0 ||
        !ids->child)
        return;
    cJSON_ArrayForEach(id, ids)
    {
        const struct sb_file *f = mw_map_get(&sv->state.files, id->valuestring);

        image = image || (f && f->mime_type && mw_starts_with(f->mime_type, "image/"));
    }
    mw_buf_puts(b, ",\"otherFile\":\"true\"");
    if (image)
        mw_buf_puts(b, ",\"image\":\"true\"");
}

void sb_event_posted(struct sb_server *sv, struct sb_post *p, const struct mw_map *mentioned)
{
    struct personal personal = {mentioned, p, sv};
    struct sb_broadcast to = to_channel(p->channel);
    MW_AUTOBUF b = {0};
    MW_AUTOBUF post = {0};

    put_channel_name(sv, &b, p);
    sb_put_post(sv, &post, p, false, NULL);
    sb_put_document(&b, "post", &post);
    mw_buf_putc(&b, ',');
    put_sender(&b, p);
    mw_buf_printf(&b, ",\"set_online\":true,\"team_id\":\"%s\"", p->channel->team_id);
    put_file_hints(sv, &b, p);
    if (sv->old && mentioned && mentioned->count)
        put_all_mentions(&b, mentioned);
    if (!sv->old && ((mentioned && mentioned->count) || p->root)) {
        to.personal = put_personal;
        to.arg = &personal;
    }
    publish(sv, "posted", &b, &to);
}

void sb_event_post_edited(struct sb_server *sv, struct sb_post *p)
{
    struct sb_broadcast to = to_channel(p->channel);
    MW_AUTOBUF b = {0};
    MW_AUTOBUF post = {0};

    sb_put_post(sv, &post, p, false, NULL);
    sb_put_document(&b, "post", &post);
    publish(sv, "post_edited", &b, &to);
}

void sb_event_post_deleted(struct sb_server *sv, struct sb_post *p, const struct sb_user *by)
{
    struct sb_broadcast to = to_channel(p->channel);
    MW_AUTOBUF b = {0};
    MW_AUTOBUF post = {0};

    sb_put_post(sv, &post, p, false, NULL);
    sb_put_document(&b, "post", &post);
    if (by && by != p->author) /* only admins get so far */
        mw_buf_printf(&b, ",\"delete_by\":\"%s\"", by->id);
    publish(sv, "post_deleted", &b, &to);
}

void sb_event_reaction(struct sb_server *sv, const char *event, struct sb_post *p,
                       const struct sb_reaction *r)
{
    struct sb_broadcast to = to_channel(p->channel);
    MW_AUTOBUF b = {0};
    MW_AUTOBUF reaction = {0};

    sb_put_reaction(sv, &reaction, r, p);
    sb_put_document(&b, "reaction", &reaction);
    publish(sv, event, &b, &to);
}

void sb_event_typing(struct sb_server *sv, struct sb_user *u, struct sb_channel *c,
                     const char *parent_id)
{
    struct sb_broadcast to = to_channel(c);
    MW_AUTOBUF b = {0};

    to.omit_user = u->id;
    mw_buf_putc(&b, '"');
    mw_buf_puts(&b, "parent_id\":");
    mw_buf_put_json_string(&b, parent_id ? parent_id : "");
    mw_buf_printf(&b, ",\"user_id\":\"%s\"", u->id);
    publish(sv, "typing", &b, &to);
}

/* --- channels, teams and people ----------------------------------------------------------------
 */

void sb_event_channel(struct sb_server *sv, const char *event, struct sb_channel *c)
{
    struct sb_broadcast to = to_channel(c);
    MW_AUTOBUF b = {0};
    MW_AUTOBUF channel = {0};

    sb_put_channel(sv, &channel, c);
    sb_put_document(&b, "channel", &channel);
    publish(sv, event, &b, &to);
}

void sb_event_user_added(struct sb_server *sv, struct sb_channel *c, struct sb_user *u)
{
    struct sb_broadcast to = to_channel(c);

    if (sv->old) { /* one for all, the added one too */
        sb_event(sv, "user_added", &to, "\"team_id\":\"%s\",\"user_id\":\"%s\"", c->team_id, u->id);
        return;
    }
    to.omit_user = u->id;
    sb_event(sv, "user_added", &to, "\"team_id\":\"%s\",\"user_id\":\"%s\"", c->team_id, u->id);
    to = (struct sb_broadcast){.user_id = u->id, .channel_id = c->id};
    sb_event(sv, "user_added", &to, "\"team_id\":\"%s\",\"user_id\":\"%s\"", c->team_id, u->id);
}

void sb_event_user_removed(struct sb_server *sv, struct sb_channel *c, struct sb_user *u,
                           struct sb_user *remover)
{
    struct sb_broadcast to = to_channel(c);
    const char *by = remover ? remover->id : "";

    sb_event(sv, "user_removed", &to, "\"remover_id\":\"%s\",\"user_id\":\"%s\"", by, u->id);
    to = (struct sb_broadcast){.user_id = u->id};
    sb_event(sv, "user_removed", &to, "\"channel_id\":\"%s\",\"remover_id\":\"%s\"", c->id, by);
}

void sb_event_user_updated(struct sb_server *sv, struct sb_user *u)
{
    MW_AUTOBUF b = {0};
    MW_AUTOBUF own = {0};
    struct sb_broadcast to = {.omit_user = u->id};

    mw_buf_puts(&b, "\"user\":");
    sb_put_user(sv, &b, u, NULL);
    publish(sv, "user_updated", &b, &to);
    mw_buf_puts(&own, "\"user\":");
    sb_put_user(sv, &own, u, u);
    to = (struct sb_broadcast){.user_id = u->id};
    publish(sv, "user_updated", &own, &to);
}

void sb_event_team(struct sb_server *sv, const char *event, struct sb_team *t)
{
    struct sb_broadcast to = {.team_id = t->id, .team = t};
    MW_AUTOBUF b = {0};
    MW_AUTOBUF team = {0};

    sb_put_team(sv, &team, t, NULL);
    sb_put_document(&b, "team", &team);
    publish(sv, event, &b, &to);
}

void sb_set_status(struct sb_server *sv, struct sb_user *u, const char *status, bool manual)
{
    struct sb_broadcast to = {.user_id = u->id};
    bool changed = !mw_streq(u->status ? u->status : "offline", status);

    u->last_activity_at = sb_now(&sv->state);
    if (!manual && u->manual && mw_streq(u->status, "dnd"))
        return; /* only the person ends it */
    u->manual = manual;
    if (!changed || mw_str_set(&u->status, status) < 0)
        return;
    sb_event(sv, "status_change", &to, "\"status\":\"%s\",\"user_id\":\"%s\"", status, u->id);
}
