/* Inside of the session: shared by session.c (states, runs, the feed) and session_socket.c. */
#ifndef MW_MATTERMOST_SESSION_IMPL_H
#define MW_MATTERMOST_SESSION_IMPL_H

#include "base/backoff.h"
#include "io/handle.h"
#include "io/ws.h"
#include "mattermost/catchup.h"
#include "mattermost/feed.h"
#include "mattermost/session.h"

/* What the coming or present connection is for. */
enum link {
    LINK_FRESH,
    LINK_RESUME, /* hoping to go on at `expected` */
};

/* A channel that we were added to: what was said there before its events reached us. */
struct added {
    struct added *next;
    char id[MW_ID_SIZE];
    int64_t since; /* 0 = its creation */
};

struct mm_session {
    uv_loop_t *loop;
    struct mm_session_params p;
    char *bot, *proxy, *url;
    struct mw_tls *tls;

    enum mm_session_state state;
    char *reason;
    int64_t state_since;
    bool started;
    bool dead; /* freed; the memory goes with the handle */
    uv_idle_t handle;

    struct mw_timer *retry; /* the next try, or the next poll */
    struct mw_timer *hello; /* limit for hello, or for the answer that confirms a resume */
    struct mw_timer *audit;
    struct mw_backoff backoff, refused;
    int64_t next_try_at;

    bool outlived;        /* the server has ended the session that the socket was opened with */
    bool doubted;         /* the upgrade was refused although it is */
    bool signed_in;       /* the account is known to be good, as far as we know */
    int64_t signed_in_at; /* monotonic */
    struct mw_ws *ws;
    enum link link;
    bool live; /* hello came, or the resume is confirmed */
    char *connection_id;
    int64_t expected; /* seq of the next event */
    int64_t action_seq;
    int64_t online_since; /* server time: from then on the socket should bring everything */

    struct mm_normaliser normaliser;
    struct mm_feed feed;
    struct mw_map fetched; /* see mm_catchup_params */
    struct mw_map typed;   /* place -> a heap int64_t: when typing was last shown there */

    struct mm_catchup *run;
    bool run_is_audit, run_is_single, run_sweeps;
    bool run_spoiled; /* something that it found was lost for lack of memory: nothing is covered */
    int64_t run_id;   /* tells the marks of this run from those of one that was given up */
    int64_t run_started_at;
    unsigned run_overdue;
    struct added *added, **added_end;
    unsigned n_added;
    int64_t floor, swept_at, first_at;
    struct mm_session_stats stats;
};

void mm_session_set_state(struct mm_session *s, enum mm_session_state state, const char *reason);

/* The connection is over: wait (at_least: what the server asked for, -1 = nothing), try again. */
void mm_session_lose(struct mm_session *s, int64_t at_least, const char *fmt, ...) MW_PRINTF(3, 4);
void mm_session_lose_with(struct mm_session *s, int64_t at_least, const char *reason);
/* The server knows us no more: the same, slowly. */
void mm_session_refuse(struct mm_session *s, const char *reason);
/* The server took us after all: the next refusal is waited for from the start. */
void mm_session_accepted(struct mm_session *s);
/* Something was lost for lack of memory: connect anew and fetch it. */
void mm_session_no_memory(struct mm_session *s);
void mm_session_forget_connection(struct mm_session *s);
void mm_session_drop_socket(struct mm_session *s);
void mm_session_connect(struct mm_session *s);

/* Catch-up; `audit`: the socket is (or polling has been) at work, and this only compares. */
void mm_session_start_run(struct mm_session *s, bool audit);
/* Channels that we were added to, looked at one by one from `since` on (0 = from creation). */
void mm_session_note_added(struct mm_session *s, const char *channel_id, int64_t since);
void mm_session_start_added(struct mm_session *s);
void mm_session_clear_added(struct mm_session *s);

/* session_socket.c */
void mm_session_open_socket(struct mm_session *s);
void mm_session_no_hello(void *userdata); /* its time is up */

#endif
