/*
 * What the gateway knows of a handler: give it a turn (something was said, an answer is wanted),
 * hear what it does meanwhile, get back what to answer, once.
 *
 * A handler type is a row in handlers.c; types know nothing of each other, nor of delivery. For
 * each handler of the config there is one instance at most, which holds what outlives a turn: a
 * program that runs on, sessions, a script. It is opened before its first turn and closed when the
 * config of the handler changes (after its last turn) or the daemon stops. All calls on the loop's
 * thread.
 */
#ifndef MW_GATEWAY_HANDLER_H
#define MW_GATEWAY_HANDLER_H

#include <uv.h>

#include "base/json.h"
#include "gateway/config.h"
#include "store/event.h"

struct gw;

struct gw_handler_host {
    uv_loop_t *loop;
    struct gw *gw; /* for gw_state_*, gw_server_posts ... */
    const struct gw_handler_config *config;
};

/* A file of the event, on this machine. Valid as long as the run. */
struct gw_turn_file {
    const char *id, *name, *mime;
    const char *path; /* NULL = it could not be fetched; see `problem` */
    const char *problem;
    int64_t size; /* bytes */
};

/* The struct itself is valid during `start` only: copy it. What it points to lives until the end.
 */
struct gw_turn {
    const struct mw_event *ev; /* what is answered; of several messages the last one */
    /* What was said, without the mention of the bot at its beginning; messages that came quickly
     * one after the other are joined by empty lines. For other kinds of events as ev->text. */
    const char *text;
    /* Server, channel and thread or person: the same for all turns of a conversation, also after a
     * restart. */
    const char *conversation;
    /* Of the answer in the outbox. Posts that have it, or it and more, in their props show an
     * earlier attempt at this turn. */
    const char *key;
    const char *root_id; /* of the thread that the answer goes to; "" = the channel */
    const struct gw_turn_file *files;
    size_t n_files;
    int64_t timeout_ms; /* the gateway cancels the run then, with GW_HANDLER_TIMEOUT as its end */
};

enum gw_handler_end {
    GW_HANDLER_ANSWERED,
    GW_HANDLER_EMPTY,  /* ended well, said nothing */
    GW_HANDLER_FAILED, /* could not start, non-zero exit, signal, flood */
    GW_HANDLER_TIMEOUT,
    GW_HANDLER_CANCELED, /* by gw_handler_type.cancel */
};

struct gw_handler_answer {
    enum gw_handler_end end;
    const char *text;    /* Markdown, all of it; valid during the call; "" unless answered */
    const cJSON *json;   /* instead of text: an answer as in docs/answers.md; NULL = none */
    struct mw_error err; /* sentence for the log and `status` */
};

/* What a handler is doing besides writing: a tool call, a step of a plan. */
enum gw_activity_state {
    GW_ACTIVITY_PENDING,
    GW_ACTIVITY_RUNNING,
    GW_ACTIVITY_DONE,
    GW_ACTIVITY_FAILED
};

struct gw_activity {
    const char *id; /* the same id again = an update */
    const char *title;
    enum gw_activity_state state;
};

enum gw_permission_kind { GW_ALLOW_ONCE, GW_ALLOW_ALWAYS, GW_REJECT_ONCE, GW_REJECT_ALWAYS };

struct gw_permission_option {
    const char *id, *name;
    enum gw_permission_kind kind;
};

struct gw_permission {
    const char *title;   /* "Run rm -r build" */
    const char *details; /* arguments as JSON or text; may be long; "" = none */
    const struct gw_permission_option *options;
    size_t n_options;
    int64_t timeout_ms; /* nobody decided for so long: the decision is NULL; 0 = no limit */
};

/* A run tells the gateway. Strings are valid during the call. `turn` is the gateway's. */
struct gw_turn_ops {
    /* More of the answer. The final answer is told whole at the end all the same. */
    void (*text)(void *turn, const char *text, size_t len);
    void (*activity)(void *turn, const struct gw_activity *a);
    /* Asks people. The decision comes by gw_handler_type.permitted, with the id that is returned
     * here (> 0), never before this returns. Negative errno: cannot be asked. */
    int (*ask)(void *turn, const struct gw_permission *p);
    /* The end, exactly once, never before `start` returned. The run is over when this returns; with
     * all that was asked. */
    void (*end)(void *turn, const struct gw_handler_answer *a);
};

struct gw_handler_instance;
struct gw_handler_run;

struct gw_handler_type {
    const char *name; /* `type:` in the config */
    /* Cheap: programs are started by the first turn that needs them. What `host` points to lives
     * until close. Returns 0 or a negative errno with a sentence. */
    int (*open)(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                struct mw_error *err);
    /* No run is under way. */
    void (*close)(struct gw_handler_instance *in);
    /* What `turn` holds is valid until its end. Negative errno: could not start, `end` never comes;
     * -ENOMEM, -EAGAIN, -EMFILE, -ENFILE: try again later. */
    int (*start)(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err);
    /* Asks the run to end; `end` comes with GW_HANDLER_CANCELED, or with what it came to meanwhile.
     * Twice: at once, whatever it takes. */
    void (*cancel)(struct gw_handler_run *run);
    /* The decision for a permission: the id of an option, NULL = nobody decided, or the turn was
     * stopped. NULL when the type never asks. */
    void (*permitted)(struct gw_handler_run *run, int ask, const char *option);
    /* Forget what was said in a conversation, also in the state; no run of it is under way. NULL =
     * nothing is kept. */
    void (*reset)(struct gw_handler_instance *in, const char *conversation);
    /* For `status`: members of an object ("pid", "restarts", "sessions" ...). May be NULL. */
    void (*status)(const struct gw_handler_instance *in, cJSON *object);
};

/* ---- What a handler keeps between turns and restarts: small texts, in the store. ---- */

/* The value (freed by the caller); 1 = there is none; what was set a moment ago counts. */
int gw_state_get(struct gw *gw, const char *scope, const char *key, char **ret);
/* Committed in the background, in order; NULL deletes. Returns 0 or -ENOMEM. */
int gw_state_set(struct gw *gw, const char *scope, const char *key, const char *value);
/* For a value that has an end: see mw_tx_set_until. */
int gw_state_set_until(struct gw *gw, const char *scope, const char *key, const char *value,
                       int64_t expires_at);

/* For a scope that is never set without its quota: where the keys are not the daemon's own choice.
 * Less than there was is always taken. */
struct gw_state_quota {
    int64_t keys, bytes; /* of keys and values together */
};
/* As gw_state_set; 1: it would be too many keys, 2: too many bytes; another negative errno: what is
 * kept cannot be read. */
int gw_state_set_within(struct gw *gw, const char *scope, const char *key, const char *value,
                        const struct gw_state_quota *quota);

#endif
