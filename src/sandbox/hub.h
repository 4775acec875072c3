/*
 * WebSocket connections: authentication, sequence numbers, resume, queues and fan-out, as
 * Mattermost's web_conn.go and web_hub.go do it.
 *
 * A connection outlives its socket: while it is inactive its queue goes on filling (up to
 * SB_ACTIVE_QUEUE, then it is forgotten), so that a client that comes back with its connection_id
 * and the next sequence number misses nothing.
 */
#ifndef SB_HUB_H
#define SB_HUB_H

#include <uv.h>

#include "base/id.h"
#include "base/json.h"
#include "io/ws.h"

#define SB_ACTIVE_QUEUE 256 /* frames that wait; the connection goes at the limit */
#define SB_SLOW_QUEUE   128 /* from here on typing and such are dropped */
#define SB_DEAD_QUEUE   128 /* sent frames kept for a resume */
#define SB_CLIENT_MAX   8192
#define SB_AUTH_MS      5000
#define SB_PING_MS      60000
#define SB_PONG_MS      100000
#define SB_INACTIVE_MS  300000
#define SB_SOCKET_HIGH  (256 * 1024) /* bytes handed to a socket before its queue backs up */

struct sb_server;
struct sb_user;
struct sb_channel;
struct sb_team;
struct sb_req;

/* An event, encoded once: all but its sequence number. */
struct sb_frame {
    unsigned refs;
    bool droppable; /* typing and such: a slow connection does without */
    size_t len;
    char data[];
};

struct sb_queued {
    struct sb_frame *frame;
    int64_t seq;
};

struct sb_conn {
    struct sb_hub *hub;
    struct sb_conn *prev, *next;
    struct mw_ws *ws;     /* NULL while inactive */
    struct sb_user *user; /* NULL before authentication */
    char session_id[MW_ID_SIZE];
    char id[MW_ID_SIZE];
    int64_t seq; /* of the next event */
    struct sb_frame *active[SB_ACTIVE_QUEUE];
    size_t active_head, active_len;
    struct sb_queued dead[SB_DEAD_QUEUE]; /* ring of what was sent */
    size_t dead_next, dead_len;
    int64_t deadline; /* mono ms: for the authentication, or of an inactive connection */
    int64_t next_ping;
    bool frozen;    /* fault: neither reads nor writes */
    int64_t cut_at; /* fault: the next frame is cut at this byte; -1 = no */
    unsigned busy;  /* inside a callback: must not be freed */
    bool doomed;    /* to be freed when that is over */
    bool twice;     /* 5.37 after a lossy resume: every event comes two times */
};

struct sb_hub {
    struct sb_server *sv;
    struct sb_conn *conns;
    size_t n_conns;
    uv_timer_t timer;
    struct mw_buf scratch;
    uint64_t events, frames, dropped, overflowed;
    bool flood; /* one is under way; see control_wait.c */
};

struct sb_broadcast { /* "" or NULL = not set */
    const char *user_id, *channel_id, *team_id;
    const char *omit_user;
    const char *omit_connection;
    const struct sb_channel *channel; /* of channel_id */
    const struct sb_team *team;       /* of team_id */
    /* Appends more members of `data` for this reader (",\"mentions\":..."); NULL = the same for
     * all. Most readers should get nothing: each other one costs an encoding of its own. */
    void (*personal)(struct mw_buf *b, const struct sb_user *reader, void *arg);
    void *arg;
};

int sb_hub_init(struct sb_hub *hub, struct sb_server *sv);
/* Before the loop's last turn. */
void sb_hub_deinit(struct sb_hub *hub);

/* Answers GET /api/v4/websocket: upgrades, or refuses. */
int sb_hub_upgrade(struct sb_req *q);

/* Sends {"event":name,"data":{<members>},"broadcast":...} to whom it concerns. `members` is JSON
 * without the braces. Failures (memory) close the connections that would have missed it. */
void sb_publish(struct sb_hub *hub, const char *name, const char *members,
                const struct sb_broadcast *to);

/* A session ended: its sockets are closed. NULL = all of the user. */
void sb_hub_kick(struct sb_hub *hub, const char *user_id, const char *session_id);

/* Frames that wait in the fullest queue of a connection that would get this channel's events. */
size_t sb_hub_backlog(const struct sb_hub *hub, const struct sb_channel *c);

/* Sockets that are open and authenticated as this user (NULL = anybody). */
size_t sb_hub_count(const struct sb_hub *hub, const struct sb_user *user);

/* Takes the connection out of the table and frees it; its socket is closed without a goodbye. */
void sb_conn_free(struct sb_conn *c);
/* Sends what waits, as far as the socket takes it. */
void sb_conn_pump(struct sb_conn *c);
/* Closes the socket (with a TCP reset when `reset`); the connection stays for a resume, or goes
 * when nobody ever signed in on it. */
void sb_conn_drop(struct sb_conn *c, bool reset);
/* Signs in: hello is queued. Returns 0 or -ENOMEM. */
int sb_conn_login(struct sb_conn *c, struct sb_user *user, const char *session_id);
/* Queues a hello; with `new_id` the connection gets another id and starts at 0. */
int sb_conn_hello(struct sb_conn *c, bool new_id);
/* Fault: stops and restarts all traffic of the socket. */
void sb_conn_freeze(struct sb_conn *c, bool on);

/* One action from a client (ws_actions.c). Returns false when the socket must be closed. */
bool sb_action(struct sb_conn *c, const cJSON *request);
/* Sends a reply. */
void sb_conn_reply(struct sb_conn *c, const struct mw_buf *json);

#endif
