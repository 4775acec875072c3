/*
 * Catch-up: finds over REST what was said, edited, deleted and reacted while nobody listened. One
 * run at a time and object; the session makes one per run.
 *
 * 1. The account's channels are listed. A channel needs a look when its last_post_at is newer than
 *    the owner's position, or when the position comes from live events only (two posts may share a
 *    millisecond). A channel that the owner never saw is followed from the floor on; at a first
 *    start (no floor) it is reported as covered as of now and nothing is fetched.
 * 2. Each such channel is asked with `since` = the older of its position and the floor, less some
 *    seconds, because commits may become visible out of order: one answer has the new posts, edits,
 *    deletions and reactions. It is capped at 1000 rows without order or marker, so at the cap new
 *    posts are paged instead: back from the known post until a page reaches behind `since`, then on
 *    with `after`. `before` and `after` compare create_at strictly, so the next page always begins
 *    at a post older (newer) than the page's edge and posts of one millisecond are not split. An
 *    anchor that the server does not know any more gives an empty page: then paging starts from the
 *    newest post. Of more than 1000 edits or deletions of posts older than that, those beyond the
 *    cap are not seen: no call of the server would tell them.
 * 3. Edits and deletions do not move last_post_at. After a real gap (`sweep`) every other channel
 *    is asked with `since` = the floor as well, one at a time, when on_posts_done was called
 * already.
 *
 * Items come in order of time within a channel; over channels they are merged as far as MERGE_BYTES
 * reach. on_covered comes behind the items of its channel, and only when all of them were fetched.
 * Duplicates are left to the owner. A call that fails is tried again CALL_TRIES times with backoff
 * (Retry-After honoured); a refusal for one channel (403, 404 or another 4xx)
 * skips it with a note; other failures end the run. All on the loop's thread. Facts: wire
 * reference, sections 1.4 and 1.5.
 */
#ifndef MW_MATTERMOST_CATCHUP_H
#define MW_MATTERMOST_CATCHUP_H

#include "mattermost/normalise.h"
#include "store/position.h"

struct mm_catchup;

struct mm_catchup_result {
    enum mm_outcome outcome; /* MM_OK, or why the run ended early */
    const struct mw_error *err;
    int64_t started_at; /* server time of the beginning: what happened before is covered */
    unsigned channels;  /* that the account is a member of */
    unsigned skipped;   /* channels that the server refused */
    unsigned malformed; /* posts and reactions that could not be read, and were left out */
    const char *note;   /* why the last one was skipped, NULL = none */
    unsigned overdue;   /* posts that a working socket would have brought long ago */
    int64_t retry_after_ms;
};

struct mm_catchup_ops {
    /* Returns 0, 1 when the owner has never seen the channel, or a negative errno. */
    int (*position)(const char *channel_id, struct mw_position *ret, void *userdata);
    /* Takes the item over. */
    void (*on_item)(struct mm_item *item, void *userdata);
    void (*on_covered)(const char *channel_id, int64_t seen_at, const char *post_id,
                       int64_t post_at, void *userdata);
    /* All new posts were given; the sweep follows, if any. */
    void (*on_posts_done)(void *userdata);
    /* The end. The run must be freed by its owner, which may happen in here. */
    void (*on_end)(const struct mm_catchup_result *r, void *userdata);
};

struct mm_catchup_params {
    struct mm_client *client;
    struct mm_normaliser *normaliser;
    /* What happened up to then (server ms) was given to the owner or lies in its past; 0 = a first
     * start. */
    int64_t floor;
    bool sweep;          /* also look for edits and deletions in channels without new posts */
    int64_t sweep_floor; /* 0 = floor */
    bool compare_only;   /* an audit or a poll: unconfirmed positions are no reason to fetch */
    int64_t
        overdue_since;  /* count posts made after this that the owner does not have; 0 = do not */
    int64_t overdue_ms; /* that are older than this; 0 = 10 s */
    unsigned hot;       /* look for edits in so many channels with the newest posts, too */
    const char *only_channel; /* just this one, from only_since on (0 = its creation) */
    int64_t only_since;
    /* channel id -> a heap int64_t: the last_post_at that was fetched already. Kept by the owner
     * over runs, so that a last_post_at without a post to it is not fetched for ever. */
    struct mw_map *fetched;
    const struct mm_catchup_ops *ops;
    void *userdata;
};

/* Starts; nothing is called before this returns. Returns 0 or -ENOMEM, -ENOBUFS ... */
int mm_catchup_new(uv_loop_t *loop, const struct mm_catchup_params *params,
                   struct mm_catchup **ret);
/* Ends it without on_end. May be called in a callback. */
void mm_catchup_free(struct mm_catchup *cu);

/* While paused no new call is begun: the owner has enough items for now. */
void mm_catchup_pause(struct mm_catchup *cu, bool paused);

#endif
