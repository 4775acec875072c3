/*
 * What the server says, in a frame or in a REST answer -> struct mw_event. Sans-I/O: names come
 * from the client's caches, and what is missing there is named, so that the session can ask for it
 * before the event is passed on.
 *
 * Facts: wire reference, sections 1.5, 3.6 and 6. In particular: a post that was edited without a
 * change of its text (a pin, a preview) has no new edit_at and is no event; ephemeral posts are not
 * stored by the server and are no events; who is a bot is told by the user object, because
 * props.from_bot can be forged; membership events come in up to two copies, of which one is passed
 * on.
 */
#ifndef MW_MATTERMOST_NORMALISE_H
#define MW_MATTERMOST_NORMALISE_H

#include "base/id.h"
#include "mattermost/client.h"
#include "mattermost/frame.h"
#include "store/event.h"

enum { MM_RECENT_MEMBERSHIPS = 16 };

struct mm_normaliser {
    struct mm_client *client;
    const char *bot; /* must outlive this */
    struct {
        enum mw_event_kind kind;
        char place[MW_ID_SIZE], user[MW_ID_SIZE];
        int64_t mono;
    } recent[MM_RECENT_MEMBERSHIPS];
    unsigned recent_next;
};

/* An event with all that its strings point into. */
struct mm_item {
    struct mw_event ev;
    bool observed; /* found by catch-up: the owner derives what is new */
    int64_t deleted_at;
    struct mm_item *next;
    bool held;          /* for the session's queue */
    size_t cost;        /* bytes, for limits */
    cJSON *tree;        /* the frame, or the post from REST */
    cJSON *inner;       /* the document inside the frame */
    const cJSON *post;  /* the post in either */
    const char *sender; /* the frame's word for the author, NULL = unusable */
    char *object, *files, *detail, *raw;
};

void mm_normaliser_init(struct mm_normaliser *n, struct mm_client *client, const char *bot);

/* Reads an event frame; takes its tree over when it makes an item. Feeds the caches. Returns 0, 1
 * (nothing to tell), -EINVAL (malformed, with a sentence) or -ENOMEM. `now` = server time. */
int mm_item_from_frame(struct mm_normaliser *n, struct mm_frame *f, int64_t now,
                       struct mm_item *ret, struct mw_error *err);

/* Reads a post from REST, created, edited or deleted at or after `since` (server ms); takes `json`
 * over in every case. A post that is new since then is given as observed; an older one as its edit
 * or deletion. Returns as above. */
int mm_item_from_post(struct mm_normaliser *n, cJSON *json, int64_t since, int64_t new_from,
                      struct mm_item *ret, struct mw_error *err);

/* Reads a reaction of a post's metadata; copies what it needs. */
int mm_item_from_reaction(struct mm_normaliser *n, const cJSON *json, const char *channel_id,
                          const char *root_id, struct mm_item *ret, struct mw_error *err);

/* What the caches lack to fill the item in: ids, NULL = nothing. */
struct mm_missing {
    const char *user_id, *channel_id, *team_id;
};
/* Returns whether something is missing. Typing never waits for names. */
bool mm_item_missing(const struct mm_normaliser *n, const struct mm_item *item,
                     struct mm_missing *ret);

/* Fills in names and flags from the caches; what is not known there stays "". The event is valid
 * until the loop runs again or the item is freed. Returns 0 or -ENOMEM. */
int mm_item_fill(const struct mm_normaliser *n, struct mm_item *item);

void mm_item_deinit(struct mm_item *item);
void mm_item_free(struct mm_item *item); /* of the heap */

#endif
