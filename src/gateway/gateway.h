/*
 * The gateway: bots, routing, access, conversation order and delivery, on top of one store. Front
 * ends (JSON-RPC today; web page and MCP later) call this and nothing below it.
 *
 * All calls on the loop's thread. Results are JSON trees so that every front end shows the same;
 * their members are listed in docs/rpc.md.
 */
#ifndef MW_GATEWAY_GATEWAY_H
#define MW_GATEWAY_GATEWAY_H

#include <uv.h>

#include "base/json.h"
#include "gateway/config.h"
#include "gateway/handler.h"
#include "store/store.h"

struct gw;

/* Opens the store named in the config, creates the bots and starts them. `config` is taken over on
 * success. */
int gw_new(uv_loop_t *loop, struct gw_config *config, const struct gw_handler_type *const *types,
           struct gw **ret, struct mw_error *err);
/* Stops taking new work, lets running handlers and calls end for up to drain_ms, then calls done
 * once. */
void gw_stop(struct gw *gw, int64_t drain_ms, void (*done)(void *userdata), void *userdata);
void gw_free(struct gw *gw);

/* Puts a new config into force without touching bots and handlers that did not change. Taken over
 * on success. Returns 0, or 1 when a part cannot change while running (database, socket): err names
 * it and nothing changed. */
int gw_reload(struct gw *gw, struct gw_config *config, struct mw_error *err);

const struct gw_config *gw_get_config(const struct gw *gw);
struct mw_store *gw_store(struct gw *gw);

/* ---- Answers to a front end ---- */

enum gw_code { /* also the JSON-RPC error codes; see docs/rpc.md */
               GW_OK = 0,
               GW_BAD_PARAMS = -32602,
               GW_NOT_FOUND = -32001, /* bot, channel, post ... */
               GW_FORBIDDEN = -32002,
               GW_OFFLINE = -32003, /* the bot is not connected; reason in the sentence */
               GW_REFUSED = -32004, /* the server said no */
               GW_PENDING = -32005, /* accepted and committed, but not delivered within the wait */
               GW_INTERNAL = -32603,
};
struct gw_reply {
    enum gw_code code;
    struct mw_error err; /* sentence, when code != GW_OK */
    cJSON *result;       /* may be taken with take_ptr */
};
typedef void (*gw_cb)(struct gw_reply *reply, void *userdata);

/* The bot by name; NULL name = the only one. NULL with a sentence (which lists the names) when that
 * is no bot. */
struct gw_bot;
struct gw_bot *gw_find_bot(struct gw *gw, const char *name, struct mw_error *err);
const char *gw_bot_name(const struct gw_bot *bot);
/* Its user on the server, without @; "" = not known yet. */
const char *gw_bot_user_name(const struct gw_bot *bot);

/* gw_stop was called: nothing new is taken. */
bool gw_is_stopping(const struct gw *gw);

/* New trees, NULL when memory ran out. */
cJSON *gw_bots_json(struct gw *gw); /* array: name, endpoint, user, state, reason, channels, ... */
cJSON *gw_status_json(
    struct gw *gw); /* object: version, uptime, store, bots, handlers, outbox, consumers */

/* Array: bot, route, schedule, timezone?, channel, next?, last?, waiting?, problem? */
cJSON *gw_schedules_json(struct gw *gw);

struct gw_send {
    const char *channel; /* any name that mm_resolve_channel takes; NULL when root is given */
    const char *root;    /* post id or permalink: reply in its thread; NULL = none */
    /* Instead of a channel: one = a direct message, several = a group message; NULL-terminated
     * names (@name, name or id), NULL = none. */
    const char *const *users;
    const char *text;
    const char *const *files; /* local paths, NULL-terminated; may be NULL */
    const char *props;        /* JSON object; NULL = none */
    const char *key;          /* idempotence key; NULL = a new one */
    int64_t wait_ms;          /* how long to wait for delivery; 0 = 15 s */
    /* It is on its way to the store, in front of whatever is committed from here on. Before cb,
     * which also tells when nothing could be recorded. NULL = not wanted. */
    void (*recorded)(void *userdata);
};
/* Commits to the outbox, waits for delivery. result:
 * {"post_id","channel_id","permalink","key","existed"?}. Long text becomes several posts
 * ("post_ids"). Strings are copied. cb comes exactly once, maybe before this returns. */
void gw_send(struct gw *gw, struct gw_bot *bot, const struct gw_send *req, gw_cb cb,
             void *userdata);

/* ---- What is done to a post ---- */

enum gw_action { GW_EDIT, GW_DELETE, GW_REACT, GW_UNREACT, GW_PIN, GW_UNPIN };

struct gw_act {
    enum gw_action action;
    const char *post;  /* id or permalink */
    const char *text;  /* GW_EDIT: the new text */
    const char *emoji; /* GW_REACT, GW_UNREACT: "name" or ":name:" */
    const char *key;   /* as in struct gw_send, as are the next ones */
    int64_t wait_ms;
    void (*recorded)(void *userdata);
};
/* By the outbox, as gw_send: durable, done once for each key. result: {"post_id","channel_id",
 * "permalink","key","existed"?}. */
void gw_act(struct gw *gw, struct gw_bot *bot, const struct gw_act *req, gw_cb cb, void *userdata);

/* Shows that the bot is typing; at once or not at all. root (a post id or permalink) may be NULL.
 * result: {"channel_id","root_id"?}. */
void gw_typing(struct gw *gw, struct gw_bot *bot, const char *channel, const char *root, gw_cb cb,
               void *userdata);

struct gw_ephemeral {
    const char *channel; /* any name that mm_resolve_channel takes */
    const char *user;    /* who is to see it: @name, name or id */
    const char *root;    /* post id or permalink; NULL = none */
    const char *text;
};
/* A post that one person sees, until he loads the page again; at once or not at all. result:
 * {"post_id","channel_id","user_id"}. */
void gw_ephemeral(struct gw *gw, struct gw_bot *bot, const struct gw_ephemeral *req, gw_cb cb,
                  void *userdata);

/* ---- Consumers: what `stream` reads. Pull with a wake-up: a slow reader lags, it never loses and
 * never holds up. ---- */

struct gw_consumer;
struct gw_consumer_params {
    const char *name; /* durable; NULL = from `after_id` on, nothing stored */
    int64_t after_id; /* -1 = from now, or from where the named consumer stopped */
    const char *bot;  /* NULL = all */
    unsigned kinds;   /* bit set, 0 = all */
    bool typing;      /* also pass on typing (never stored) */
    /* There may be something to read. Comes at most once until gw_consumer_read was called. */
    void (*on_ready)(struct gw_consumer *c, void *userdata);
    void (*on_live)(struct gw_consumer *c, const struct mw_event *ev,
                    void *userdata); /* typing; may be NULL */
    void *userdata;
};
int gw_consumer_new(struct gw *gw, const struct gw_consumer_params *params,
                    struct gw_consumer **ret, struct mw_error *err);
/* Gives up to `limit` events in order to cb (which may stop by returning false: that event counts
 * as not given). Returns how many were given, or a negative errno. */
int gw_consumer_read(struct gw_consumer *c, unsigned limit, mw_event_row_cb cb, void *userdata);
/* The id behind which it reads next. */
int64_t gw_consumer_position(const struct gw_consumer *c);
/* The bot that it is about was removed from the config: nothing comes beyond what the journal has.
 * on_ready told of it. */
bool gw_consumer_gone(const struct gw_consumer *c);
/* Everything up to id has been dealt with (named consumers only; committed in the background). */
int gw_consumer_ack(struct gw_consumer *c, int64_t id);
void gw_consumer_free(struct gw_consumer *c);

/* What is stored of durable consumers, an array; see docs/rpc.md. NULL when memory ran out. */
cJSON *gw_consumers_json(struct gw *gw);
/* Forgets the position of a consumer that nobody reads: a stream's, or that of a bot which is not
 * configured any more ("route:BOT"). result: {"name","type","position"}. */
void gw_consumer_delete(struct gw *gw, const char *name, gw_cb cb, void *userdata);

#endif
