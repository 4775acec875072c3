/*
 * An event: what one bot saw on its server, in the one normalised form that the journal keeps,
 * handlers get and `matterwire stream` prints.
 *
 * Plain data. Strings are UTF-8, never NULL in an event that came from the store ("" = not
 * applicable), and belong to whoever made the event; see each producer. Times are wall clock
 * milliseconds.
 */
#ifndef MW_STORE_EVENT_H
#define MW_STORE_EVENT_H

#include "base/json.h"

enum mw_event_kind {
    MW_EVENT_POST = 1,
    MW_EVENT_POST_EDITED,
    MW_EVENT_POST_DELETED,
    MW_EVENT_REACTION_ADDED,
    MW_EVENT_REACTION_REMOVED,
    MW_EVENT_CHANNEL_CREATED,
    MW_EVENT_CHANNEL_UPDATED,
    MW_EVENT_CHANNEL_DELETED,
    MW_EVENT_CHANNEL_RESTORED,
    MW_EVENT_USER_ADDED, /* somebody (also the bot itself) was added to a channel */
    MW_EVENT_USER_REMOVED,
    MW_EVENT_TEAM_ADDED, /* the bot was added to a team */
    MW_EVENT_TEAM_REMOVED,
    MW_EVENT_CONNECTION, /* the bot's connection changed its state; see detail */
    MW_EVENT_TYPING,     /* passed on live, never stored (id 0) */
    /* A time of a route's schedule has come: object is "ROUTE/TIME", `at` that time. */
    MW_EVENT_SCHEDULE,
};
/* The numbers are in databases: never renumber, only append. */

enum mw_event_flag {
    MW_EVENT_DIRECT = 1 << 0,       /* in a direct message with the bot */
    MW_EVENT_MENTION = 1 << 1,      /* mentions the bot by @name */
    MW_EVENT_OWN = 1 << 2,          /* written by the bot itself */
    MW_EVENT_FROM_BOT = 1 << 3,     /* the author is a bot account */
    MW_EVENT_FROM_WEBHOOK = 1 << 4, /* props.from_webhook; can be forged by clients */
    MW_EVENT_SYSTEM = 1 << 5,       /* a post type that begins with system_ and its like */
    MW_EVENT_CAUGHT_UP = 1 << 6,    /* found by catch-up or polling, not on the socket */
    MW_EVENT_GROUP = 1 << 7,        /* in a group message */
    /* In a thread in which the bot has posted or was mentioned before. Set by the store on posts
     * and edits, not by their producer. */
    MW_EVENT_THREAD = 1 << 8,
};

struct mw_event {
    int64_t id;      /* local, monotonic, never used twice; 0 = not stored */
    const char *bot; /* the bot's name in the config */
    enum mw_event_kind kind;
    unsigned flags;      /* enum mw_event_flag */
    int64_t at;          /* server time of what happened; local time for connection states */
    int64_t received_at; /* local time */
    /* What the event is about and which state of it: (bot, kind, object, revision) is unique where
     * object is not "". object is the post id for posts and "POST/USER/EMOJI" for reactions;
     * revision is 0 for posts, edit_at for edits, create_at for reactions and 0 for deletions. */
    const char *object;
    int64_t revision;
    const char *post_id;
    const char *root_id; /* of the thread; "" for a root post */
    const char *channel_id;
    const char *channel_name;
    const char *channel_type; /* O, P, D, G */
    const char *team_id;
    const char *team_name;
    const char *user_id;   /* author, or who did it */
    const char *user_name; /* without @ */
    const char *text;      /* the message; the emoji's name for reactions */
    const char *files;     /* JSON array of file ids, "" = none */
    const char *detail;    /* JSON object with what only this kind has, "" = none */
    const char *raw; /* the JSON document as the server sent it (post, reaction ...), "" = none */
};

/* Every string "", every number 0. Here in the header because the protocol's layer needs nothing
 * else of the store. */
static inline void mw_event_init(struct mw_event *ev)
{
    *ev = (struct mw_event){
        .bot = "",
        .object = "",
        .post_id = "",
        .root_id = "",
        .channel_id = "",
        .channel_name = "",
        .channel_type = "",
        .team_id = "",
        .team_name = "",
        .user_id = "",
        .user_name = "",
        .text = "",
        .files = "",
        .detail = "",
        .raw = "",
    };
}

/* "post", "reaction_added" ...; never NULL for a valid kind. */
const char *mw_event_kind_name(enum mw_event_kind kind);
/* Returns 0 or -EINVAL. */
int mw_event_kind_parse(const char *name, enum mw_event_kind *ret);
/* One sentence for the reference; iterate kinds from 1 until NULL. */
const char *mw_event_kind_doc(enum mw_event_kind kind);

/* The JSON form of docs/events.md, the same on every front end (`stream`, `history`, a handler's
 * standard input): one object on one line, without a newline. Leaves out what is empty. `files`,
 * `detail` and `raw` must hold JSON, they are not parsed again. Appends to b; returns 0, -ENOMEM or
 * -E2BIG. */
int mw_event_write_json(struct mw_buf *b, const struct mw_event *ev, bool with_raw);

/* A deep copy, one allocation; freed by free(). NULL when memory ran out. */
struct mw_event *mw_event_dup(const struct mw_event *ev);

/* Bytes that a copy takes: what queues charge. */
size_t mw_event_size(const struct mw_event *ev);

/* ---- The JSON form as data: docs/events.md and front ends are made from it. ---- */

enum mw_event_field_type {
    MW_FIELD_INT,  /* int64_t at `offset`; 0 is left out */
    MW_FIELD_KIND, /* the kind's name */
    MW_FIELD_TEXT, /* const char * at `offset`; "" is left out */
    MW_FIELD_JSON, /* const char * at `offset` that holds JSON; "" is left out */
    MW_FIELD_FLAG, /* true when `flag` is set, else left out */
};

struct mw_event_field {
    const char *name; /* member of the JSON object */
    enum mw_event_field_type type;
    size_t offset; /* in struct mw_event */
    unsigned flag; /* enum mw_event_flag */
    const char *doc;
};

/* The members in the order in which they are written; static. */
const struct mw_event_field *mw_event_fields(size_t *ret_count);

#endif
