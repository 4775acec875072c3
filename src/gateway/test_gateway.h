/* A gateway for tests: the real one, with a server and a handler that do as they are told, and a
 * session that gives the events that a test makes up (in place of mattermost/session.c). */
#ifndef MW_GATEWAY_TEST_GATEWAY_H
#define MW_GATEWAY_TEST_GATEWAY_H

#include "gateway/gateway.h"
#include "gateway/test_server.h"
#include "mattermost/session.h"

struct fixture {
    struct server *s;
    struct gw *gw;
    const char *config; /* YAML; %d is the server's port. Of the next gateway_start */

    /* The handler. It ends at once by the text of the event: "say X", "empty", "fail", "late"
     * (time-out); anything else waits for handler_end. "stubborn" does so also when canceled. */
    char started[1024]; /* texts in the order of their starts, "a b c" */
    char permitted[64]; /* ids of options in the order of the decisions */
    int starts, running;
    int cancels;
    int64_t ask_timeout_ms; /* of handler_ask; 0 = none */
};

/* cmocka fixture functions; *state is a struct fixture without a gateway. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void gateway_start(struct fixture *f);
/* Stops and frees, letting handlers end for drain_ms. */
void gateway_stop(struct fixture *f, int64_t drain_ms);
int gateway_reload(struct fixture *f, const char *config, struct mw_error *err);
/* Turns the loop until the condition holds. */
#define WAIT_FOR(f, condition)                                                                     \
    do {                                                                                           \
        mw_timer_start((f)->s->alarm, 20000);                                                      \
        while (!(condition))                                                                       \
            uv_run(&(f)->s->loop, UV_RUN_ONCE);                                                    \
        mw_timer_stop((f)->s->alarm);                                                              \
    } while (0)
/* Turns the loop a few times: whatever could happen happened. */
void settle(struct fixture *f);

/* Ends the oldest run whose event has this text; an answer that begins with "{" is JSON. */
void handler_end(struct fixture *f, const char *text, enum gw_handler_end end, const char *answer);

/* The oldest run whose event has this text writes more of its answer; asks for permission. */
void handler_text(struct fixture *f, const char *text, const char *more);
void handler_ask(struct fixture *f, const char *text);

/* The session of a bot: NULL = none. */
struct mm_session *session_of(const char *bot);
extern int sessions_made;
/* So many of the coming sessions give an event that cannot be recorded before they are online. */
extern int session_spoils;
int64_t session_baseline(const struct mm_session *s); /* what it looks back to; 0 = now */
void session_event(struct mm_session *s, const struct mw_event *ev);
void session_state(struct mm_session *s, enum mm_session_state state, const char *reason);
/* What the owner knows of CHANNEL: as the op `position`. */
int session_position(struct mm_session *s, struct mw_position *ret);
bool session_paused(const struct mm_session *s);

/* A post by ada in CHANNEL. */
struct mw_event a_post(const char *id, const char *root, const char *text);
/* The bot sees it. */
void say(struct fixture *f, const char *id, const char *root, const char *text);
void say_directly(struct fixture *f, const char *id, const char *root, const char *text);

int64_t task_count(struct fixture *f, enum mw_task_state state);
int64_t outbox_count(struct fixture *f, enum mw_outbox_state state);
/* A member of the first bot of `status`: "decisions.not_allowed". */
int64_t bot_number(struct fixture *f, const char *group, const char *name);

#endif
