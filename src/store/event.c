#include "store/event.h"

#include <inttypes.h>

#include "base/str.h"

static const struct {
    const char *name, *doc;
} kinds[] = {
    [MW_EVENT_POST] = {"post", "Somebody wrote a post, in a channel or in a thread."},
    [MW_EVENT_POST_EDITED] = {"post_edited", "The text of a post was changed."},
    [MW_EVENT_POST_DELETED] = {"post_deleted",
                               "A post was deleted; with a root post its whole thread."},
    [MW_EVENT_REACTION_ADDED] = {"reaction_added", "Somebody reacted to a post with an emoji."},
    [MW_EVENT_REACTION_REMOVED] = {"reaction_removed", "Somebody took a reaction back."},
    [MW_EVENT_CHANNEL_CREATED] = {"channel_created", "A channel was created."},
    [MW_EVENT_CHANNEL_UPDATED] = {"channel_updated",
                                  "A channel's name, header, purpose or type was changed."},
    [MW_EVENT_CHANNEL_DELETED] = {"channel_deleted", "A channel was archived."},
    [MW_EVENT_CHANNEL_RESTORED] = {"channel_restored", "An archived channel was restored."},
    [MW_EVENT_USER_ADDED] = {"user_added", "Somebody, maybe the bot itself, joined a channel."},
    [MW_EVENT_USER_REMOVED] = {"user_removed", "Somebody, maybe the bot itself, left a channel."},
    [MW_EVENT_TEAM_ADDED] = {"team_added", "The bot was added to a team."},
    [MW_EVENT_TEAM_REMOVED] = {"team_removed", "The bot was removed from a team."},
    [MW_EVENT_CONNECTION] = {"connection",
                             "The bot's connection to its server changed its state; see detail."},
    [MW_EVENT_TYPING] = {"typing", "Somebody is typing; passed on live, never stored."},
    [MW_EVENT_SCHEDULE] = {"schedule",
                           "The time has come for a route with a schedule; detail names it."},
};

#define FIELD(n, t, d)                                                                             \
    {                                                                                              \
        .name = #n, .type = (t), .offset = offsetof(struct mw_event, n), .doc = (d)                \
    }
#define FLAG(n, f, d)                                                                              \
    {                                                                                              \
        .name = (n), .type = MW_FIELD_FLAG, .flag = (f), .doc = (d)                                \
    }

static const struct mw_event_field fields[] = {
    FIELD(id, MW_FIELD_INT,
          "Local number of the event: it grows and is never used twice. Absent when the event is "
          "not stored."),
    FIELD(kind, MW_FIELD_KIND, "What happened; see the list of kinds."),
    FIELD(bot, MW_FIELD_TEXT, "Name of the bot in the configuration."),
    FIELD(at, MW_FIELD_INT,
          "When it happened by the server's clock, in milliseconds since 1970; the local clock for "
          "kind connection."),
    FIELD(received_at, MW_FIELD_INT, "When it was received, by the local clock."),
    FIELD(post_id, MW_FIELD_TEXT, "Id of the post that this is about."),
    FIELD(root_id, MW_FIELD_TEXT, "Id of the thread's root post; absent for a root post itself."),
    FIELD(revision, MW_FIELD_INT,
          "Which state of the post: the time of the edit, or of the reaction. Absent for new posts "
          "and deletions."),
    FIELD(channel_id, MW_FIELD_TEXT, "Id of the channel."),
    FIELD(channel_name, MW_FIELD_TEXT, "Name of the channel, as in its address."),
    FIELD(channel_type, MW_FIELD_TEXT,
          "O: public, P: private, D: direct message, G: group message."),
    FIELD(team_id, MW_FIELD_TEXT, "Id of the team; absent in direct and group messages."),
    FIELD(team_name, MW_FIELD_TEXT, "Name of the team, as in its address."),
    FIELD(user_id, MW_FIELD_TEXT, "Id of the author, or of whoever did it."),
    FIELD(user_name, MW_FIELD_TEXT, "Name of that user, without @."),
    FIELD(text, MW_FIELD_TEXT, "The message as Markdown; the emoji's name for reactions."),
    FIELD(files, MW_FIELD_JSON, "Array of the ids of the attached files."),
    FLAG("direct", MW_EVENT_DIRECT, "In a direct message with the bot."),
    FLAG("group", MW_EVENT_GROUP, "In a group message."),
    FLAG("mention", MW_EVENT_MENTION, "Mentions the bot by @name."),
    FLAG("thread", MW_EVENT_THREAD,
         "A reply in a thread in which the bot has posted or was mentioned before."),
    FLAG("own", MW_EVENT_OWN, "Written by the bot itself."),
    FLAG("from_bot", MW_EVENT_FROM_BOT, "The author is a bot account."),
    FLAG("from_webhook", MW_EVENT_FROM_WEBHOOK,
         "Posted through a webhook. Clients can forge this mark."),
    FLAG("system", MW_EVENT_SYSTEM, "A system message, such as \"joined the channel\"."),
    FLAG("caught_up", MW_EVENT_CAUGHT_UP, "Found by catching up or polling, not live."),
    FIELD(detail, MW_FIELD_JSON, "Object with what only this kind has."),
    FIELD(raw, MW_FIELD_JSON, "The object as the server sent it; only when asked for."),
};

#undef FIELD
#undef FLAG

const struct mw_event_field *mw_event_fields(size_t *ret_count)
{
    *ret_count = MW_ARRAY_LEN(fields);
    return fields;
}

static bool valid_kind(enum mw_event_kind kind)
{
    return (size_t)kind > 0 && (size_t)kind < MW_ARRAY_LEN(kinds);
}

const char *mw_event_kind_name(enum mw_event_kind kind)
{
    return valid_kind(kind) ? kinds[kind].name : NULL;
}

const char *mw_event_kind_doc(enum mw_event_kind kind)
{
    return valid_kind(kind) ? kinds[kind].doc : NULL;
}

int mw_event_kind_parse(const char *name, enum mw_event_kind *ret)
{
    for (size_t i = 1; i < MW_ARRAY_LEN(kinds); i++)
        if (mw_streq(kinds[i].name, name)) {
            *ret = (enum mw_event_kind)i;
            return 0;
        }
    return -EINVAL;
}

/* JSON text of a producer. Control characters can only be white space there, and a line break would
 * end the line for whoever reads one object a line. */
static void put_json(struct mw_buf *b, const char *json)
{
    size_t len = strlen(json);
    char *to = mw_buf_reserve(b, len);

    if (!to)
        return;
    for (size_t i = 0; i < len; i++)
        to[i] = (unsigned char)json[i] < 0x20 ? ' ' : json[i];
    mw_buf_commit(b, len);
}

static void put_name(struct mw_buf *b, const char *name, bool *first)
{
    mw_buf_puts(b, *first ? "\"" : ",\"");
    mw_buf_puts(b, name);
    mw_buf_puts(b, "\":");
    *first = false;
}

static void put_field(struct mw_buf *b, const struct mw_event *ev, const struct mw_event_field *f,
                      bool *first)
{
    const char *at = (const char *)ev + f->offset;
    const char *s = "";
    int64_t n = 0;

    if (f->type == MW_FIELD_FLAG)
        n = ev->flags & f->flag;
    else if (f->type == MW_FIELD_INT)
        n = *(const int64_t *)at;
    else if (f->type == MW_FIELD_KIND)
        s = mw_event_kind_name(ev->kind);
    else
        s = *(const char *const *)at;
    if (!s || (n == 0 && !*s))
        return;
    put_name(b, f->name, first);
    if (f->type == MW_FIELD_FLAG)
        mw_buf_puts(b, "true");
    else if (f->type == MW_FIELD_INT)
        mw_buf_printf(b, "%" PRId64, n);
    else if (f->type == MW_FIELD_JSON)
        put_json(b, s);
    else
        mw_buf_put_json_string(b, s);
}

int mw_event_write_json(struct mw_buf *b, const struct mw_event *ev, bool with_raw)
{
    bool first = true;

    mw_buf_putc(b, '{');
    for (size_t i = 0; i < MW_ARRAY_LEN(fields); i++)
        if (with_raw || fields[i].offset != offsetof(struct mw_event, raw))
            put_field(b, ev, &fields[i], &first);
    mw_buf_putc(b, '}');
    return mw_buf_error(b);
}

/* Every string of the structure, for copies. */
static const size_t strings[] = {
#define S(n) offsetof(struct mw_event, n)
    S(bot),          S(object),       S(post_id), S(root_id),   S(channel_id),
    S(channel_name), S(channel_type), S(team_id), S(team_name), S(user_id),
    S(user_name),    S(text),         S(files),   S(detail),    S(raw),
#undef S
};

static const char **string_at(struct mw_event *ev, size_t i)
{
    return (const char **)((char *)ev + strings[i]);
}

size_t mw_event_size(const struct mw_event *ev)
{
    struct mw_event shallow = *ev;
    size_t size = sizeof(shallow);

    for (size_t i = 0; i < MW_ARRAY_LEN(strings); i++) {
        const char *s = *string_at(&shallow, i);

        size += (s ? strlen(s) : 0) + 1;
    }
    return size;
}

struct mw_event *mw_event_dup(const struct mw_event *ev)
{
    struct mw_event *copy = malloc(mw_event_size(ev));
    char *to;

    if (!copy)
        return NULL;
    *copy = *ev;
    to = (char *)(copy + 1);
    for (size_t i = 0; i < MW_ARRAY_LEN(strings); i++) {
        const char **slot = string_at(copy, i);
        size_t len = *slot ? strlen(*slot) : 0;

        if (len)
            memcpy(to, *slot, len);
        to[len] = '\0';
        *slot = to;
        to += len + 1;
    }
    return copy;
}
