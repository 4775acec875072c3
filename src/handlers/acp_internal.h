/*
 * What the files of type `acp` share. Nothing else includes this.
 *
 *   acp.c          the type: turns, and what becomes of them
 *   acp_session.c  sessions: made, loaded, kept, forgotten
 *   acp_ask.c      permissions
 */
#ifndef MW_HANDLERS_ACP_INTERNAL_H
#define MW_HANDLERS_ACP_INTERNAL_H

#include "base/map.h"
#include "handlers/acp_agent.h"
#include "io/handle.h"

enum acp_session_state { ACP_CLOSED, ACP_OPENING, ACP_OPEN };

/* A conversation as the agent knows it. */
struct acp_session {
    struct acp_session *next;
    char *conversation;
    char *id; /* NULL = it has to be made */
    enum acp_session_state state;
    struct gw_handler_run *run; /* of the conversation; NULL = none under way */
    /* A prompt is not answered yet; its run may have ended without waiting for that. */
    bool prompting;
    struct gw_handler_run *prompt_run;
    int64_t used; /* monotonic: last prompt */
    int64_t kept; /* wall clock: when its id was stored last; 0 = not by this process */
};

/* A permission that the agent waits for. */
struct acp_ask {
    struct acp_ask *next;
    struct gw_handler_run *run;
    struct mw_timer *timer;
    int id; /* the gateway's */
    cJSON *rpc_id;
    char *reject; /* option; NULL = there is none */
};

struct gw_handler_run {
    struct gw_handler_run *next;
    struct gw_handler_instance *in;
    struct acp_session *session;
    const struct gw_turn_ops *ops;
    void *userdata;
    struct gw_turn turn;
    struct mw_timer *timer; /* the end of a canceled run; the patience with an old prompt */
    struct mw_buf text;
    struct mw_map titles; /* of tool calls, by id */
    char *message_id;     /* of the last piece of text */
    size_t plan;          /* entries that were told */
    struct acp_ask *asks;
    unsigned tries; /* agents that ended before they were asked */
    bool prompted;  /* the prompt was sent */
    bool paragraph; /* something came between: the next text begins a new paragraph */
    bool shown;     /* people have seen something of it */
    bool again;     /* it was tried a second time */
    bool patient;   /* it waits for the end of an old prompt */
    bool canceled;
};

struct gw_handler_instance {
    struct gw_handler_host host;
    struct acp_agent *agent;
    struct acp_session *sessions;
    struct gw_handler_run *runs;
    char *scope; /* of what is kept in the store */
};

/* ---- acp.c ---- */
void acp_run_fail(struct gw_handler_run *run, const char *fmt, ...) MW_PRINTF(2, 3);
/* Goes on with a run that waits for its session. */
void acp_run_advance(struct gw_handler_run *run);

/* ---- acp_session.c ---- */
/* Finds or makes it; NULL when memory ran out. */
struct acp_session *acp_session_get(struct gw_handler_instance *in, const char *conversation);
struct acp_session *acp_session_by_id(struct gw_handler_instance *in, const char *id);
/* Begins to open it; the run of the session goes on or fails. */
void acp_session_open(struct gw_handler_instance *in, struct acp_session *s);
/* A prompt of it begins: its id is kept for another while. */
void acp_session_used(struct gw_handler_instance *in, struct acp_session *s);
/* The agent does not have it any more; the next one is a new one. */
void acp_session_lose(struct gw_handler_instance *in, struct acp_session *s, const char *why);
/* The agent has ended. */
void acp_session_closed(struct acp_session *s);
/* People want it forgotten. */
void acp_session_reset(struct gw_handler_instance *in, const char *conversation);
void acp_sessions_free(struct gw_handler_instance *in);
/* Closes those that were idle longest, when there are very many. */
void acp_sessions_trim(struct gw_handler_instance *in);

/* ---- acp_ask.c ---- */
void acp_ask(struct gw_handler_instance *in, const struct acp_msg *m);
/* The decision; option NULL = none was made. */
void acp_ask_decided(struct gw_handler_run *run, int id, const char *option);
/* Answers all that is open with "cancelled". */
void acp_ask_cancel_all(struct gw_handler_run *run);

#endif
