/*
 * The order in which a session gives events to its owner.
 *
 * Two sources: live items from the socket, and items found by catch-up with marks between them.
 * Live items that come while they are held wait until what catch-up finds was given. An item whose
 * author, channel or team is not cached waits until the server was asked for them, and so does
 * everything behind it. Bounded in bytes: a source that is full has to pause, on_room says that one
 * may go on. All on the loop's thread.
 */
#ifndef MW_MATTERMOST_FEED_H
#define MW_MATTERMOST_FEED_H

#include "base/backoff.h"
#include "base/map.h"
#include "mattermost/normalise.h"

enum mm_mark {
    MM_MARK_NONE,
    MM_MARK_COVERED,
    MM_MARK_POSTS_DONE,
    MM_MARK_END,
};

struct mm_feed_node {
    struct mm_feed_node *next;
    bool held;
    enum mm_mark mark; /* not NONE: no item */
    char channel_id[MW_ID_SIZE], post_id[MW_ID_SIZE];
    int64_t seen_at, post_at;
    struct mm_item item;
};

struct mm_feed_ops {
    /* Names are filled in. The owner may free the feed in any of these. */
    void (*on_item)(struct mm_item *item, void *userdata);
    void (*on_mark)(const struct mm_feed_node *node, void *userdata);
    void (*on_room)(void *userdata);
};

struct mm_feed_queue {
    struct mm_feed_node *first, *last;
    size_t bytes;
};

struct mm_feed {
    uv_timer_t *timer; /* of its own, as it outlives the feed until the loop has closed it */
    struct mm_client *client;
    struct mm_normaliser *normaliser;
    const struct mm_feed_ops *ops;
    void *userdata;
    struct mm_feed_queue live, found;
    size_t limit;
    bool paused;    /* by the owner */
    bool holding;   /* live items are held from now on */
    bool was_full;  /* on_room is due */
    bool asking;    /* for a name */
    bool skip_head; /* the server could not be asked for the names of the first item */
    unsigned tries;
    int64_t ask_after; /* monotonic: not before, whatever comes in meanwhile */
    struct mw_backoff backoff;
    char (*asked)[MW_ID_SIZE]; /* users, or a channel or a team */
    size_t n_asked;
    struct mw_map unknown; /* ids that the server does not tell anything about */
    bool *freed;
};

/* `limit` bytes for each of the two sources, 0 = 32 MiB. Returns 0 or -ENOMEM. */
int mm_feed_init(struct mm_feed *f, uv_loop_t *loop, struct mm_client *client,
                 struct mm_normaliser *normaliser, size_t limit, const struct mm_feed_ops *ops,
                 void *userdata);
void mm_feed_deinit(struct mm_feed *f);

/* A live item; what it holds is taken over in every case. Returns 0, -ENOMEM, or -ECANCELED when
 * the feed was freed in a callback. */
int mm_feed_live(struct mm_feed *f, struct mm_item *item);
/* What catch-up found; taken over. Given from the loop. Return 0 or -ENOMEM. */
int mm_feed_found(struct mm_feed *f, struct mm_item *item);
int mm_feed_mark(struct mm_feed *f, enum mm_mark mark, const char *channel_id, int64_t seen_at,
                 const char *post_id, int64_t post_at);

/* From now on live items are held, or all of them are let go. */
void mm_feed_hold(struct mm_feed *f, bool hold);
void mm_feed_pause(struct mm_feed *f, bool paused);
/* Each source for itself: while live items are held, catch-up must be able to go on. */
bool mm_feed_live_full(const struct mm_feed *f);
bool mm_feed_found_full(const struct mm_feed *f);
bool mm_feed_empty(const struct mm_feed *f);

#endif
