/*
 * What one bot's way from the journal to the outbox is made of.
 *
 *   dispatch.c      journal --triage--> tasks + cursor (one transaction); tasks from the store
 *   triage.c        what to do with one event: a task, a refusal, a decision ...
 *   conversation.c  tasks of a conversation in order, free places, quick messages together
 *   turn.c          one turn: handler run --> outbox rows + end of its tasks (one transaction)
 *   preview.c       an answer is shown while it is written
 *   ask.c           permissions that a handler asks people for
 *   control.c       stop, reset, status
 */
#ifndef MW_GATEWAY_DISPATCH_INTERNAL_H
#define MW_GATEWAY_DISPATCH_INTERNAL_H

#include "gateway/answer.h"
#include "gateway/fetch.h"
#include "gateway/internal.h"

#define GW_RETRY_MS 1000

struct gw_turn_run;

struct gw_task {
    struct gw_task *next;
    int64_t id, event_id, created_at;
    int attempts, failures;
    int64_t known_at; /* monotonic: it came into memory */
    int64_t due;      /* monotonic: not tried before; 0 = at once */
    char *handler;
    /* Once it was the head of its conversation: */
    struct mw_event *ev;    /* NULL = not loaded */
    struct gw_route *route; /* valid while `generation` is the bot's */
    unsigned generation;
};

/* Tasks in order, one turn at a time. */
struct gw_conversation {
    struct gw_dispatch *d;
    char *key;
    struct gw_task *head, *tail;
    struct gw_turn_run *turn;
    struct mw_timer *timer;       /* until the head is due; NULL before it is needed */
    struct gw_handler *waits_for; /* in line for a free place; NULL = not */
    struct gw_conversation *wait_prev, *wait_next;
};

struct gw_dispatch {
    struct gw_bot *bot;
    char *consumer;    /* "route:BOT" */
    int64_t cursor;    /* decided up to here */
    int64_t stored;    /* of which the store knows */
    int64_t steered;   /* the last event that steered a turn */
    int64_t last_task; /* loaded up to this id */
    bool more_tasks;   /* in the store */
    bool committing;   /* a batch or the cursor */
    bool unread;       /* the journal may have events of the bot behind the cursor */
    bool asking;       /* the server, who somebody is: the journal waits */
    bool stopped;
    unsigned commits, turns, tasks;
    struct mw_map conversations;
    struct mw_timer *timer;
};

/* ---- dispatch.c ---- */
/* There is room for more tasks, or time to look at the journal again. */
void gw_dispatch_go_on(struct gw_dispatch *d);
/* Something could not be done for lack of memory or by the store: try again in a moment. */
void gw_dispatch_retry(struct gw_dispatch *d);
/* Commits rows of the outbox, takes the transaction over, and wakes the sender when they are there.
 */
void gw_dispatch_commit(struct gw_dispatch *d, struct mw_tx *tx);

/* ---- triage.c ---- */
/* What is known of an event besides itself; it points into the event and the bot. Returns 0, or
 * -ENOMEM when the store could not be asked. */
int gw_facts_of(struct gw_bot *bot, const struct mw_event *ev, struct gw_facts *ret);
/* Is this the post that a row of ours with this key became? Its echo tells, and that may come
 * before the answer to our call. Returns 1, 0, or -ENOMEM when the store could not be asked. */
int gw_wrote(struct gw_bot *bot, const char *post_id, const char *key);
struct gw_triage {
    struct mw_tx *tx;            /* of the batch */
    unsigned rows;               /* that were added, or changed */
    bool steered;                /* the last event was for a turn that is under way */
    struct gw_question question; /* for 1 */
};
/* Returns 0; 1 = a question has to be answered first, nothing was added; or -ENOMEM. */
int gw_triage(struct gw_dispatch *d, const struct mw_event *ev, struct gw_triage *t);

/* ---- conversation.c ---- */
struct gw_conversation *gw_conversation_get(struct gw_dispatch *d, const char *key);
void gw_conversation_free(void *conversation);
void gw_task_free(struct gw_task *t);
/* Takes the task over. Returns 0; or -ENOMEM, and the task is still the caller's. May free the
 * conversation. */
int gw_conversation_add(struct gw_conversation *c, struct gw_task *t);
/* Starts the next turn if it can start now. */
void gw_conversation_try(struct gw_conversation *c);
/* The turn is over, and so are its first n tasks. May free the conversation. */
void gw_conversation_next(struct gw_conversation *c, unsigned n);
void gw_conversation_stop_waiting(struct gw_conversation *c);
/* A place became free somewhere. */
void gw_conversations_kick(struct gw *gw);
/* How many tasks from the head on are answered together now. */
unsigned gw_conversation_together(struct gw_conversation *c);
/* Loads the event of a task and finds its route. Returns 0; 1: the event is gone; or a negative
 * errno. */
int gw_task_load(struct gw_conversation *c, struct gw_task *t);

/* ---- turn.c ---- */

enum gw_why { /* a turn was cancelled */
              GW_WHY_NOT,
              GW_WHY_SHUTDOWN, /* its tasks stay and are run again */
              GW_WHY_TIMEOUT,
              GW_WHY_STOPPED,    /* by a person */
              GW_WHY_SUPERSEDED, /* by the next message */
};

struct gw_preview {
    struct mw_buf text;     /* of the answer, so far */
    struct mw_buf activity; /* what is being done, one line */
    struct mw_map states;   /* id of an activity -> its state */
    unsigned done, failed, all;
    struct mw_timer *timer;
    char *key, *post_id; /* of the post; NULL = there is none yet, or it is not delivered */
    bool begun;          /* a row of the post is in the outbox, or was once */
    bool changed;        /* since it was shown last */
    bool editing;        /* an edit is under way */
    int64_t shown_at;    /* monotonic */
};

#define GW_TURN_FILES_MAX 10

struct gw_ask;

struct gw_turn_run {
    struct gw_dispatch *d;
    struct gw_conversation *c;
    struct gw_handler *h;             /* NULL: it cannot be run */
    struct gw_handler_run *under_way; /* NULL before the start and after the end */
    struct gw_handler_slot *slot;     /* NULL before the start */
    struct gw_event_files *files;     /* NULL = there are none */
    struct gw_config *config;         /* what `policy` is a part of */
    const struct gw_policy *policy;
    struct gw_route *route; /* counted in; NULL = none. Cleared when the bot's routes change */
    unsigned n_tasks;       /* of the conversation, from its head on */
    struct mw_event *ev;
    char *text, *key, *root_id, *conversation;
    struct mw_timer *timer; /* typing; later: recording again */
    struct mw_timer *limit; /* of time; then of patience with a handler that does not stop */
    int64_t timeout_ms, started_at;
    enum gw_why why;
    bool started; /* the handler was */
    bool reset;   /* forget the conversation when it is over */
    bool final;   /* its failure is: another attempt would change nothing */
    bool again;   /* it failed and will be tried again; known when the end is recorded */
    bool recording, ended;
    enum gw_handler_end end;
    struct gw_answer answer;
    char *error;
    struct gw_preview preview;
    struct gw_ask *asks;
    unsigned n_asks;
};

/* Starts a turn for the head of the conversation, whose event is loaded (or gone: then `problem`
 * says so, and the task fails). Returns 0 or -ENOMEM. */
int gw_turn_start(struct gw_conversation *c, struct gw_handler *h, const char *problem);
void gw_turn_cancel(struct gw_turn_run *t, enum gw_why why);
/* The next message of its conversation is there. */
void gw_turn_interrupt(struct gw_turn_run *t);
/* The routes of the bot change: nobody counts by the old ones any more. */
void gw_turn_forget_route(struct gw_turn_run *t);
void gw_turn_record(struct gw_turn_run *t);
/* Its tasks are over as soon as this is committed; gw_turn_cancel does the rest. */
int gw_turn_add_stop(const struct gw_turn_run *t, struct mw_tx *tx);
/* The head of a conversation without a turn is dropped: what its attempts have left is tidied. */
int gw_turn_add_dropped(struct gw_conversation *c, struct mw_tx *tx);
/* A row of the outbox, in the place and order of the turn's answer. */
int gw_turn_add_effect(const struct gw_turn_run *t, struct mw_tx *tx, const char *kind,
                       const char *key, const cJSON *payload);

/* ---- preview.c ---- */
int gw_preview_init(struct gw_turn_run *t);
void gw_preview_deinit(struct gw_turn_run *t);
void gw_preview_text(struct gw_turn_run *t, const char *text, size_t len);
void gw_preview_activity(struct gw_turn_run *t, const struct gw_activity *a);
/* The post of a row was delivered. */
void gw_preview_delivered(struct gw_turn_run *t, const struct gw_delivery *d);
/* No more edits; gw_turn_record is called (again) when the last one is through. Returns whether
 * one is under way. */
bool gw_preview_finish(struct gw_turn_run *t);
/* How a turn ends in the outbox. Return 0 or -ENOMEM. */
int gw_preview_add_answer(struct gw_turn_run *t, struct mw_tx *tx);
/* ... without an answer: what stands there gets a last word. */
int gw_preview_add_end(struct gw_turn_run *t, struct mw_tx *tx, const char *word);

/* ---- ask.c ---- */
int gw_ask(struct gw_turn_run *t, const struct gw_permission *p);
/* What an earlier life asked for these tasks and nobody decided. */
int gw_asks_add_left(struct gw_turn_run *t, struct mw_tx *tx);
/* The turn is over: what nobody decided is told so. */
int gw_asks_add_end(struct gw_turn_run *t, struct mw_tx *tx);
/* All that is open is decided with NULL. */
void gw_asks_cancel(struct gw_turn_run *t);
void gw_asks_free(struct gw_turn_run *t);
void gw_asks_delivered(struct gw_turn_run *t, const struct gw_delivery *d);
/* Is the event (a reaction, a reply) about an open question of a turn? Returns 1 with the turn and
 * the option, 0, or -ENOMEM. */
struct gw_ask_choice {
    struct gw_ask *ask;
    size_t option;
};
int gw_ask_find(struct gw_dispatch *d, const struct mw_event *ev, const char *said,
                struct gw_turn_run **ret, struct gw_ask_choice *ret_choice);
void gw_ask_decide(struct gw_turn_run *t, const struct gw_ask_choice *choice,
                   const char *user_name);

/* ---- control.c ---- */
enum gw_control { GW_CONTROL_NONE, GW_CONTROL_STOP, GW_CONTROL_RESET, GW_CONTROL_STATUS };
/* The handler's name in the task of such a word. */
#define GW_CONTROL_HANDLER "(control)"
enum gw_control gw_control_word(const struct gw_bot_config *c, const char *said);
/* Does a task of GW_CONTROL_HANDLER: at once, whatever its conversation is doing. Returns 0 or
 * -ENOMEM; the task is taken over. */
int gw_control_run(struct gw_conversation *c, struct gw_task *t);
/* A reaction that stops the turn on whose post it is. Returns 1, 0 or -ENOMEM. */
int gw_control_reaction(struct gw_dispatch *d, const struct mw_event *ev, struct gw_turn_run **ret);

#endif
