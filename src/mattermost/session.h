/*
 * A bot's ear: everything that is said where the account is a member, once each and in order,
 * through lost sockets, restarts and gaps.
 *
 *  start -> sign in -> WebSocket (or not, for polling) -> hello -> catch-up -> live events
 *
 * Catch-up is one routine (DESIGN section 1): list the account's channels, compare with the
 * positions that the owner keeps, fetch what is new, edited or deleted since. A new connection that
 * is not a successful resume runs it while live events wait; the poll transport runs it on a timer;
 * a slow audit repeats it while connected. Every `seq` is checked; a gap means a new connection and
 * a catch-up. Reconnects by backoff with full jitter. Makes no decisions about meaning and stores
 * nothing itself. All calls on the loop's thread.
 */
#ifndef MW_MATTERMOST_SESSION_H
#define MW_MATTERMOST_SESSION_H

#include "mattermost/client.h"
#include "store/event.h"
#include "store/position.h"

struct mm_session;

enum mm_session_state {
    MM_SESSION_STOPPED,
    MM_SESSION_CONNECTING,
    MM_SESSION_CATCHING_UP,
    MM_SESSION_ONLINE,
    MM_SESSION_WAITING,      /* for the next try; see reason */
    MM_SESSION_UNAUTHORIZED, /* 401 or 403: retried slowly */
};
const char *mm_session_state_name(enum mm_session_state s);

struct mm_session_ops {
    /* An event, names filled in. For posts found by catch-up `observed` is true: ev->kind is
     * MW_EVENT_POST, ev->revision its edit_at and deleted_at its delete_at, and the owner derives
     * what is new (mw_tx_observed_post). Events are valid during the call. */
    void (*on_event)(struct mm_session *s, const struct mw_event *ev, bool observed,
                     int64_t deleted_at, void *userdata);
    /* Returns 0, 1 when the owner has never seen the channel, or a negative errno: then the session
     * connects anew. */
    int (*position)(struct mm_session *s, const char *channel_id, struct mw_position *ret,
                    void *userdata);
    /* Everything in the channel up to seen_at has been given to on_event by paging. */
    void (*covered)(struct mm_session *s, const char *channel_id, int64_t seen_at,
                    const char *post_id, int64_t post_at, void *userdata);
    /* State changed; reason is one sentence or NULL. */
    void (*on_state)(struct mm_session *s, enum mm_session_state state, const char *reason,
                     void *userdata);
};

struct mm_session_params {
    struct mm_client *client; /* must outlive the session */
    const char *bot;          /* put into events */
    bool poll;
    int64_t poll_interval_ms;  /* 0 = 3 s */
    int64_t hello_timeout_ms;  /* 0 = 10 s */
    int64_t ping_interval_ms;  /* 0 = 15 s */
    int64_t read_timeout_ms;   /* 0 = 40 s: a half-open socket is noticed within 45 s */
    int64_t audit_interval_ms; /* 0 = 5 min, -1 = never */
    /* A channel that the owner has never seen is followed from this time on (server clock, ms): the
     * time of the last catch-up, so that nothing said after the bot was added is missed; 0 = from
     * now (a first start). */
    int64_t baseline_ms;
    /* Shortest wait before a new connection, the longest is 60 times that; 0 = 500 ms. */
    int64_t reconnect_min_ms;
    /* The same for an account that was refused, the longest is 5 times that; 0 = 60 s. */
    int64_t refused_min_ms;
    /* A post that is older than this and that the socket has not brought is overdue; 0 = 10 s. */
    int64_t overdue_ms;
    struct mw_tls_params tls; /* as the client's */
    const char *proxy;
    const struct mm_session_ops *ops;
    void *userdata;
};

int mm_session_new(uv_loop_t *loop, const struct mm_session_params *params, struct mm_session **ret,
                   struct mw_error *err);
void mm_session_start(struct mm_session *s);
/* May be called in any callback but `position`; none comes after it. The memory goes when the loop
 * has turned. */
void mm_session_free(struct mm_session *s);

/* Somebody mended what was wrong: when it waits for its next try, that is now. */
void mm_session_retry(struct mm_session *s);

/* Back pressure: stop and go on giving events. Nothing but typing is dropped; what comes meanwhile
 * is kept up to the feed's limit, then the socket is not read. */
void mm_session_pause(struct mm_session *s);
void mm_session_resume(struct mm_session *s);

/* Typing over the socket (REST when there is none); root_id "" = channel. At most one per 4 s and
 * place is sent. */
void mm_session_typing(struct mm_session *s, const char *channel_id, const char *root_id);

struct mm_session_stats {
    enum mm_session_state state;
    const char *reason; /* why it is not online; NULL = none. Valid until the loop runs again */
    int64_t since;      /* wall clock ms of the last state change */
    int64_t connects, resumes, resume_misses, sequence_gaps, catch_ups, frames, events;
    int64_t next_try_at; /* wall clock ms while waiting, 0 = none */
    unsigned channels;   /* that it is a member of, at the last catch-up */
    unsigned skipped;    /* of these, those that the server refused to tell about */
    int64_t malformed;   /* posts and reactions that catch-up could not read, and left out */
    int64_t synced_at;   /* server time of the last completed catch-up, 0 = never */
};
void mm_session_get_stats(const struct mm_session *s, struct mm_session_stats *ret);

#endif
