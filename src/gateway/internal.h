/*
 * What the gateway's own files share. Nothing outside src/gateway includes this.
 *
 *   gateway.c   life: new, stop, free; the store's callbacks
 *   reload.c    puts a config into force (also the first one)
 *   budgets.c   how many calls each server takes
 *   bot.c       one bot: client, session, names; events into the journal
 *   handler.c   instances of handlers, over reloads; state.c what they keep
 *   route.c     which events run a handler; schedule.c makes events when times have come
 *   dispatch.c  the route consumer: journal -> tasks -> turns -> outbox rows; see
 *               dispatch_internal.h for its parts
 *   access.c    who may trigger what; rates.c how often; pair.c who was let in by a code
 *   answer.c    an answer as outbox rows; answer_json.c an answer in JSON
 *   outbox.c    the sender; attempt.c one row's way; effect.c the table of kinds
 *   post_actions.c  what gw_act does, typing, ephemeral posts
 *   directory.c lists of channels, people ...; channel.c changes channels; query.c what they share
 *   scope.c search.c inbox.c server_posts.c  reading: see read.h
 *   content.c   the folder of fetched files; fetch.c brings them; event_files.c a handler's wait
 *   send.c      gw_send, gw_act        consumer.c  gw_consumer_*        status.c  the JSON trees
 */
#ifndef MW_GATEWAY_INTERNAL_H
#define MW_GATEWAY_INTERNAL_H

#include "base/map.h"
#include "gateway/gateway.h"
#include "gateway/names.h"
#include "gateway/outbox.h"
#include "gateway/rates.h"
#include "gateway/route.h"
#include "io/handle.h"
#include "mattermost/session.h"

#define GW_MAX_CONSUMERS 256  /* readers at a time */
#define GW_MAX_SENDS     1024 /* gw_send calls that wait at a time */

struct gw_dispatch;
struct gw_schedule;
struct gw_conversation;
struct gw_pending_send;

/* A handler of the config at run time, by name; lives until the gateway ends, so that runs and
 * counters survive a reload. */
struct gw_handler {
    char *name;
    const struct gw_handler_config *config; /* NULL = no longer in the config */
    const struct gw_handler_type *type;
    unsigned running, waiting;              /* turns; conversations in line for it */
    int64_t ended[GW_HANDLER_CANCELED + 1]; /* by enum gw_handler_end */
    char *last_error;
    int64_t last_error_at;
    struct gw_handler_slot *slots; /* the newest first: of the config in force, if it was opened */
    bool held_up; /* could not start for want of memory or descriptors: see last_error */
};

struct gw_bot {
    struct gw *gw;
    char *name;
    const struct gw_bot_config *config; /* NULL once it is removed */
    bool removed;
    bool configured; /* names and routes are those of the config */
    /* `channels` and `routes` hold the ids of all names: nothing is decided before. */
    bool names_known;

    struct mm_client *client;
    struct mm_session *session;
    enum mm_session_state state;
    char *reason; /* why it is not online; NULL = none */
    int64_t since;
    int reported; /* last CONNECTION event: 0 none yet, 1 online, -1 offline, -2 unauthorized */
    int64_t synced_stored;
    int64_t first_at; /* server time: a bot that was never online before is awake from then on, also
                       * when nothing of its first session could be recorded; 0 = not yet */
    bool waits_for_names, waits_for_store; /* the session is paused */

    struct gw_names names;
    struct mw_map channels; /* ids to follow; not used when the config names none */
    struct gw_routes routes;
    unsigned generation; /* of the routes */
    bool follows;        /* one of them follows threads */
    struct gw_members members;
    struct gw_limits people, robots, refusals;
    int64_t verdicts[GW_VERDICTS];

    struct mw_tx *tx; /* events of this round of the loop */
    unsigned commits; /* under way */
    int64_t overdue;  /* messages, as far as was said */
    bool unrecorded;  /* events could not be recorded: was said */
    bool names_said;  /* what is wrong with names and TLS options of this config was said */
    bool broken;      /* events could not be recorded: the session starts again */
    struct mw_timer *timer;
    struct gw_sender *sender;
    struct gw_dispatch *dispatch;
    struct gw_schedule *schedule;
};

struct gw_flush;

struct gw {
    uv_loop_t *loop;
    struct gw_config *config;
    const struct gw_handler_type *const *types;
    struct mw_store *store;
    /* Events up to here are committed, and every bot was told of its own among them. (The store's
     * own number is ahead of the callbacks of the transactions.) */
    int64_t committed_id;
    int64_t started_at;

    struct gw_bot **bots; /* in the config's order */
    size_t n_bots;
    struct gw_bot **gone; /* removed, but something of theirs is under way */
    size_t n_gone;
    struct mw_map budgets;  /* endpoint -> struct mm_budget; they stay until the gateway ends */
    struct mw_map handlers; /* name -> struct gw_handler */
    struct mw_map state, state_usage; /* see state.c */
    unsigned running;                 /* turns, of all bots */
    /* Conversations that wait for a free place, in order. */
    struct gw_conversation *wait_head, *wait_tail;

    struct gw_flush *flush;
    struct mw_timer *start_timer;
    struct mw_timer *reap_timer;
    struct mw_timer *sync_timer;

    struct gw_consumer *consumers;
    unsigned n_consumers;
    struct mw_timer *consumer_timer;
    struct gw_files *files;
    struct gw_pending_send *sends;
    unsigned n_sends;

    struct mw_timer *watch_timer;
    bool background_trouble, prune_held; /* was said */

    bool stopping, stopped;
    struct mw_timer *stop_timer;
    void (*stop_done)(void *userdata);
    void *stop_userdata;
};

/* ---- gateway.c ---- */
/* Something ended: look whether removed bots can go and whether the stop is complete. */
void gw_reap_later(struct gw *gw);
/* The transaction of this round has events of a bot: commit it when the round ends. */
void gw_flush_later(struct gw *gw);

/* ---- handler.c ---- */
struct gw_handler_slot; /* an instance */
struct gw_handler *gw_handler_new(const char *name);
void gw_handler_free(void *handler);
/* The config changed: its instance takes no new runs. */
void gw_handler_retire(struct gw_handler *h);
/* Starts a run by the instance of the config in force. Errors as gw_handler_type.start. */
int gw_handler_start(struct gw *gw, struct gw_handler *h, const struct gw_turn *turn,
                     const struct gw_turn_ops *ops, void *userdata, struct gw_handler_slot **ret,
                     struct gw_handler_run **ret_run, struct mw_error *err);
/* The run told its end; call it when the run's own code is no longer on the stack. */
void gw_handler_ended(struct gw_handler_slot *s);
const struct gw_handler_type *gw_handler_slot_type(const struct gw_handler_slot *s);
const struct gw_handler_config *gw_handler_slot_config(const struct gw_handler_slot *s);
/* Forgets a conversation, also what the store keeps of it. */
void gw_handler_reset(struct gw *gw, struct gw_handler *h, const char *conversation);
void gw_handler_status(const struct gw_handler *h, cJSON *object);

/* ---- state.c ---- */
void gw_state_init(struct gw *gw);
void gw_state_deinit(struct gw *gw);

/* ---- reload.c ---- */
int gw_apply_config(struct gw *gw, struct gw_config *config, struct mw_error *err);

/* ---- watch.c ---- */
struct gw_overdue {
    int64_t count;     /* messages that wait for longer than report_after */
    int64_t oldest_at; /* 0 = none */
};
/* Returns 0 or a negative errno. */
int gw_overdue(struct gw *gw, const struct gw_bot *bot, struct gw_overdue *ret);
/* Reports what changed, and starts the timer for the next look. */
void gw_watch(struct gw *gw);

/* ---- budgets.c ---- */
struct mm_budget;
/* The one of this endpoint, made if needed. Returns 0 or a negative errno. */
int gw_budget(struct gw *gw, const char *endpoint, struct mm_budget **ret, struct mw_error *err);
void gw_budget_free(void *budget);
cJSON *gw_servers_json(struct gw *gw);

/* ---- bot.c ---- */
int gw_bot_new(struct gw *gw, const char *name, struct gw_bot **ret, struct mw_error *err);
void gw_bot_free(struct gw_bot *bot);
/* (Re)connects under bot->config. */
void gw_bot_connect(struct gw_bot *bot);
void gw_bot_close_session(struct gw_bot *bot);
void gw_bot_disconnect(struct gw_bot *bot); /* the session, then the client with its calls */
/* Puts a config into force, disconnected. Without memory it says so and tries again. */
void gw_bot_configure(struct gw_bot *bot, const struct gw_bot_config *config);
void gw_bot_flush(struct gw_bot *bot);
/* Puts an event of our own (NULL = none) and a value into this round's transaction, both or none.
 * What fails leads to gw_schedule_again. */
void gw_bot_record(struct gw_bot *bot, const struct mw_event *ev, const char *scope,
                   const char *key, const char *value);
void gw_bot_pause(struct gw_bot *bot);
void gw_bot_unpause(struct gw_bot *bot);
void gw_bot_store_synced(struct gw_bot *bot);
bool gw_bot_busy(const struct gw_bot *bot);
const char *gw_bot_state(const struct gw_bot *bot);
/* Why the bot cannot reach its server now, as a sentence. */
const char *gw_bot_trouble(const struct gw_bot *bot);

/* ---- dispatch.c ---- */
int gw_dispatch_new(struct gw_bot *bot, struct gw_dispatch **ret, struct mw_error *err);
void gw_dispatch_free(struct gw_dispatch *d); /* only when it is not busy */
/* Events of the bot were committed; gw_dispatch_wake follows. */
void gw_dispatch_journaled(struct gw_dispatch *d);
/* The journal, the names or the config changed. */
void gw_dispatch_wake(struct gw_dispatch *d);
/* Somebody else put a task of the bot into the store. */
void gw_dispatch_added(struct gw_dispatch *d);
void gw_dispatch_stop(struct gw_dispatch *d); /* start nothing more */
void gw_dispatch_cancel(struct gw_dispatch *d);
bool gw_dispatch_busy(const struct gw_dispatch *d);
struct gw_dispatch_stats {
    int64_t cursor;
    unsigned conversations, running, tasks; /* in memory */
};
void gw_dispatch_get_stats(const struct gw_dispatch *d, struct gw_dispatch_stats *ret);

/* A row of the outbox was delivered: a turn may wait for it. */
void gw_dispatch_delivered(struct gw_dispatch *d, const struct gw_delivery *delivery);
/* The bot's routes are about to change. */
void gw_dispatch_forget_routes(struct gw_dispatch *d);

/* ---- answer.c ---- */
/* One row of the outbox; payloads are in effect.h. */
struct gw_new_effect {
    const char *bot, *key, *kind, *conversation, *channel_id;
    int64_t event_id;
    const cJSON *payload;
};
int gw_effect_add(struct mw_tx *tx, const struct gw_new_effect *e);

struct gw_post {
    const char *bot, *key, *channel_id, *root_id, *conversation, *text;
    int64_t event_id;
    size_t max_chars;
    const char *const *files; /* local paths, NULL-terminated; may be NULL */
    const cJSON *props;       /* NULL = none */
    bool long_as_file;        /* more than GW_MAX_PARTS parts go up as answer.md */
};
#define GW_MAX_PARTS 5
/* Adds the outbox rows of a message: KEY, KEY.1, KEY.2 ... Returns 0 or -ENOMEM. */
int gw_post_add(struct mw_tx *tx, const struct gw_post *post, size_t *ret_parts);
/* The key of part n. Allocated. */
char *gw_part_key(const char *key, size_t n);

/* ---- send.c ---- */
void gw_send_delivered(struct gw_bot *bot, const struct gw_delivery *d);
/* ---- people.c ---- */
/* The channel of a direct message (one user) or a group message (several), made if needed; body is
 * {"channel_id"}. The names are copied. Returns 0 or a negative errno, as mm_call. */
int gw_people_channel(struct mm_client *c, const char *const *users, size_t n, mm_cb cb,
                      void *userdata) MW_MUST_CHECK;

/* The effect's kind (static) and its payload without the post's id. Returns 0, 1 (a wrong request)
 * or -ENOMEM. In post_actions.c. */
int gw_act_payload(const struct gw_bot *bot, const struct gw_act *req, const char **ret_kind,
                   cJSON **ret_payload, struct mw_error *err);
/* Ends what waits: of one bot, or of all (NULL). What is recorded is delivered `when`. */
void gw_send_abandon(struct gw *gw, const struct gw_bot *bot, const char *why, const char *when);

/* ---- resolve.c ---- */
/* What a failed call to the server is to a front end. */
enum gw_code gw_code_of(enum mm_outcome outcome);
/* Tells a front end that it failed; sentence NULL = no memory. */
void gw_reply_error(gw_cb cb, void *userdata, enum gw_code code, const char *sentence);

/* ---- consumer.c ---- */
void gw_consumers_commit(struct gw *gw);
void gw_consumers_live(struct gw *gw, const struct mw_event *ev);
/* A config was put into force: some bots may be gone, or there again. */
void gw_consumers_reloaded(struct gw *gw);

#endif
