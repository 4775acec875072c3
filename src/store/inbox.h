/*
 * What is for a bot, and what it missed. Loop's thread; every query is bounded.
 */
#ifndef MW_STORE_INBOX_H
#define MW_STORE_INBOX_H

#include "store/store.h"

/* ---- Inbox: direct messages, mentions, and replies in threads that the bot is in (it has posted
 * there or was mentioned before). Posts of others only, without system posts and what was deleted
 * since. An edit does not bring a post into the inbox. ---- */

struct mw_inbox_filter {
    const char *bot;    /* required */
    const char *reader; /* whose mark counts, see mw_tx_inbox_seen; NULL = "" */
    bool unseen;        /* only behind the mark */
    unsigned reasons;   /* MW_EVENT_DIRECT, _MENTION, _THREAD, any of them; 0 = all */
    int64_t before_id;  /* exclusive; 0 = from the newest on */
    int64_t since;      /* `at`; 0 = no bound */
    unsigned limit;     /* rows; 0 = 50, at most 1000 */
};
/* Newest first. Negative errno; -EINVAL without a bot. */
int mw_store_inbox(struct mw_store *s, const struct mw_inbox_filter *f, mw_event_row_cb cb,
                   void *userdata, struct mw_error *err);
/* The newest event that the reader has seen; 0 = none. */
int mw_store_inbox_mark(struct mw_store *s, const char *bot, const char *reader, int64_t *ret);
/* Sets the mark, forwards or back. */
int mw_tx_inbox_seen(struct mw_tx *tx, const char *bot, const char *reader, int64_t event_id);

/* ---- Missed: what happened since a time, a row for each channel. ---- */

struct mw_missed_filter {
    const char *bot; /* required */
    int64_t since;   /* `at`, inclusive */
    int64_t until;   /* exclusive; 0 = now */
    bool online;     /* the bot is connected and has caught up, at this moment: the store can only
                        know what was, its caller what is */
    unsigned scan_limit;   /* events looked at; 0 = 50000 */
    unsigned max_channels; /* 0 = 500 */
};

struct mw_missed_channel {
    const char *channel_id, *channel_name, *channel_type, *team_name;
    unsigned posts;    /* new posts of others, without system posts */
    unsigned mentions; /* of these, as are the next two */
    unsigned direct;
    unsigned threads; /* in threads that the bot is in */
    int64_t first_id, first_at;
    int64_t last_id, last_at;
    /* The journal has everything that was said there between these (server's clock); 0 = it is not
     * known to have anything. The channel is complete when they hold the time asked for. */
    int64_t covered_from, covered_until;
    bool complete;
};

struct mw_missed {
    unsigned channels, posts, mentions;
    /* Up to when the bot was certainly there and caught up: now when online; else when it lost its
     * connection, or, after a crash, when it last received something. 0 = it never was. */
    int64_t covered_until;
    bool truncated;    /* a limit was reached: counts are too small, `first` is too late */
    int64_t looked_to; /* then: the oldest event that was looked at */
    bool complete;     /* every channel listed is, and nothing was truncated. A channel without new
                          posts is not listed; it is quiet up to covered_until */
};

typedef bool (*mw_missed_cb)(const struct mw_missed_channel *ch, void *userdata);
/* The channel with the newest post first. */
int mw_store_missed(struct mw_store *s, const struct mw_missed_filter *f, mw_missed_cb cb,
                    void *userdata, struct mw_missed *ret, struct mw_error *err);

#endif
