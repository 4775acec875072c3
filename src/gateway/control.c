/*
 * Plain words and reactions by which people steer an answer: stop, reset, status.
 *
 * Such a word is a task like any other, so that it is done once, but it waits for nothing.
 */
#include <ctype.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/dispatch_internal.h"

static const struct {
    enum gw_control control;
    const char *word;
} words[] = {
    {GW_CONTROL_STOP, "stop"},
    {GW_CONTROL_RESET, "reset"},
    {GW_CONTROL_STATUS, "status"},
};

static const char *const stop_emoji[] = {"octagonal_sign", "stop_sign", "no_entry", "hand"};

enum gw_control gw_control_word(const struct gw_bot_config *c, const char *said)
{
    const char *prefix = c->control_prefix ? c->control_prefix : "";
    size_t n;

    said += strspn(said, " \t\r\n");
    if (!mw_starts_with(said, prefix))
        return GW_CONTROL_NONE;
    said += strlen(prefix);
    n = strlen(said);
    while (n && (isspace((unsigned char)said[n - 1]) || strchr(".!", said[n - 1])))
        n--;
    for (size_t i = 0; i < MW_ARRAY_LEN(words); i++) {
        if (strlen(words[i].word) == n && !strncasecmp(said, words[i].word, n))
            return words[i].control;
    }
    return GW_CONTROL_NONE;
}

/* ---- Whom it is about ---- */

/* A word in a direct message is about all that is under way there, each answer being in a thread of
 * its own. */
static bool concerns(const struct gw_conversation *c, const struct mw_event *ev, const char *key)
{
    size_t n = strlen(ev->channel_id);

    if (mw_streq(c->key, key))
        return true;
    return ev->flags & MW_EVENT_DIRECT && !strncmp(c->key, ev->channel_id, n) &&
           (!c->key[n] || c->key[n] == '/');
}

/* What waits behind the turn is over, too. */
static int drop_waiting(struct gw_conversation *c, struct mw_tx *tx, unsigned *ret_n)
{
    struct gw_task *t = c->head;
    unsigned keep = c->turn ? c->turn->n_tasks : 0;

    for (unsigned i = 0; t && i < keep; i++)
        t = t->next;
    for (; t; t = t->next, ++*ret_n) {
        if (mw_tx_task_end(tx, t->id, MW_TASK_DROPPED, "stopped by a person"))
            return -ENOMEM;
    }
    return 0;
}

static void forget_waiting(struct gw_conversation *c)
{
    struct gw_task *t = c->head, **at = &c->head, *last = NULL;
    unsigned keep = c->turn ? c->turn->n_tasks : 0;

    for (unsigned i = 0; t && i < keep; i++, t = t->next) {
        last = t;
        at = &t->next;
    }
    *at = NULL;
    c->tail = last;
    if (!c->head)
        gw_conversation_stop_waiting(c);
    while (t) {
        struct gw_task *next = t->next;

        gw_task_free(t);
        c->d->tasks--;
        t = next;
    }
}

/* Conversations that nothing is left of. */
static void remove_empty(struct gw_dispatch *d)
{
    struct gw_conversation *empty;
    size_t at;
    void *value;

    do {
        at = 0;
        empty = NULL;
        while (!empty && mw_map_next(&d->conversations, &at, NULL, &value)) {
            struct gw_conversation *c = value;

            empty = c->head || c->turn ? NULL : c;
        }
        if (empty)
            mw_map_remove(&d->conversations, empty->key);
    } while (empty);
}

/* ---- What is said ---- */

static int describe(const struct gw_conversation *c, struct mw_buf *b)
{
    const struct gw_turn_run *t = c->turn;
    const struct gw_task *task = c->head;
    unsigned waiting = 0;

    for (unsigned i = t ? t->n_tasks : 0; task && i; i--)
        task = task->next;
    for (; task; task = task->next)
        waiting++;
    if (t && t->started)
        mw_buf_printf(b, "Answering for %lld s (handler `%s`).",
                      (long long)((mw_clock_now() - t->started_at) / 1000), t->h->name);
    else if (c->waits_for)
        mw_buf_puts(b, "Waiting for a free place.");
    else if (t)
        mw_buf_puts(b, "About to answer.");
    if (waiting)
        mw_buf_printf(b, " %u more message%s waiting.", waiting, waiting == 1 ? " is" : "s are");
    return mw_buf_error(b);
}

struct doing {
    enum gw_control control;
    struct mw_event *ev;
    const char *key; /* of the conversation in which it was said */
    struct mw_tx *tx;
    struct mw_buf reply;
    unsigned turns, dropped;
};

static int prepare_one(struct gw_conversation *c, struct doing *it)
{
    if (it->control == GW_CONTROL_STATUS) {
        if (it->reply.len && mw_buf_puts(&it->reply, "\n"))
            return -ENOMEM;
        return describe(c, &it->reply);
    }
    it->turns += c->turn != NULL;
    if (c->turn ? gw_turn_add_stop(c->turn, it->tx) : gw_turn_add_dropped(c, it->tx))
        return -ENOMEM;
    return drop_waiting(c, it->tx, &it->dropped);
}

static int write_reply(struct doing *it)
{
    switch (it->control) {
    case GW_CONTROL_STOP:
        return mw_buf_puts(&it->reply, it->turns || it->dropped
                                           ? "Stopped."
                                           : "There is nothing to stop in this conversation.");
    case GW_CONTROL_RESET:
        return mw_buf_puts(&it->reply, "This conversation starts anew.");
    case GW_CONTROL_STATUS:
        return it->reply.len ? 0 : mw_buf_puts(&it->reply, "Nothing is under way here.");
    case GW_CONTROL_NONE:
        break;
    }
    return 0;
}

static void apply_one(struct gw_conversation *c, const struct doing *it)
{
    struct gw_bot *bot = c->d->bot;
    size_t at = 0;
    void *value;

    if (it->control == GW_CONTROL_STATUS)
        return;
    forget_waiting(c);
    if (c->turn) {
        c->turn->reset = it->control == GW_CONTROL_RESET;
        gw_turn_cancel(c->turn, GW_WHY_STOPPED);
    } else if (it->control == GW_CONTROL_RESET) {
        MW_AUTOFREE char *name = mw_asprintf("%s/%s", bot->name, c->key);

        while (name && mw_map_next(&bot->gw->handlers, &at, NULL, &value))
            gw_handler_reset(bot->gw, value, name);
    }
}

static int add_reply(struct gw_conversation *c, struct doing *it)
{
    MW_AUTOFREE char *key = mw_asprintf("%s.%d.0", it->ev->object, (int)it->ev->kind);
    const struct gw_policy *policy = &c->d->bot->config->policy;
    struct gw_facts facts;
    struct gw_route *r;

    if (!key || write_reply(it))
        return -ENOMEM;
    if (gw_facts_of(c->d->bot, it->ev, &facts))
        return -ENOMEM;
    r = gw_route_of(&c->d->bot->routes, &facts, it->ev);
    if (r)
        policy = &r->config->policy;
    const struct gw_post post = {
        .bot = c->d->bot->name,
        .key = key,
        .channel_id = it->ev->channel_id,
        .root_id = gw_answer_root(policy, it->ev),
        .conversation = c->key,
        .text = mw_buf_str(&it->reply),
        .event_id = it->ev->id,
        .max_chars = 4000,
    };
    return gw_post_add(it->tx, &post, NULL);
}

static int prepare(struct gw_conversation *c, struct gw_task *t, struct doing *it)
{
    struct gw_dispatch *d = c->d;
    size_t at = 0;
    void *value;
    int rc = gw_task_load(c, t);

    if (rc < 0)
        return rc;
    it->key = c->key;
    it->tx = mw_tx_new(d->bot->gw->store);
    if (!it->tx)
        return -ENOMEM;
    if (rc == 1)
        return mw_tx_task_end(it->tx, t->id, MW_TASK_FAILED,
                              "the event is no longer in the journal");
    it->ev = t->ev;
    it->control = gw_control_word(
        d->bot->config, gw_said(t->ev, d->bot->client ? mm_client_user_name(d->bot->client) : ""));
    while (mw_map_next(&d->conversations, &at, NULL, &value)) {
        if (concerns(value, t->ev, c->key) && prepare_one(value, it))
            return -ENOMEM;
    }
    return add_reply(c, it) ? -ENOMEM : mw_tx_task_end(it->tx, t->id, MW_TASK_DONE, "");
}

int gw_control_run(struct gw_conversation *c, struct gw_task *t)
{
    struct gw_dispatch *d = c->d;
    struct doing it = {.reply = {0}};
    size_t at = 0;
    void *value;

    if (prepare(c, t, &it)) {
        mw_tx_free(it.tx);
        mw_buf_deinit(&it.reply);
        return -ENOMEM;
    }
    mw_log_info("told by a person", MW_F_STR("bot", d->bot->name),
                MW_F_STR("word", it.ev ? it.ev->text : ""),
                MW_F_STR("by", it.ev ? it.ev->user_name : ""));
    while (it.ev && mw_map_next(&d->conversations, &at, NULL, &value)) {
        if (concerns(value, it.ev, c->key))
            apply_one(value, &it);
    }
    gw_dispatch_commit(d, it.tx);
    mw_buf_deinit(&it.reply);
    gw_task_free(t);
    remove_empty(d);
    return 0;
}

static int is_its_post(const struct gw_turn_run *t, const char *post_id)
{
    const struct gw_preview *p = &t->preview;

    if (mw_streq(t->ev->post_id, post_id) || (p->post_id && mw_streq(p->post_id, post_id)))
        return 1;
    return p->begun && !p->post_id ? gw_wrote(t->d->bot, post_id, p->key) : 0;
}

int gw_control_reaction(struct gw_dispatch *d, const struct mw_event *ev, struct gw_turn_run **ret)
{
    size_t at = 0;
    void *value;
    bool stop = false;

    if (ev->kind != MW_EVENT_REACTION_ADDED || ev->flags & MW_EVENT_OWN)
        return 0;
    for (size_t i = 0; i < MW_ARRAY_LEN(stop_emoji); i++)
        stop |= mw_streq(ev->text, stop_emoji[i]);
    while (stop && mw_map_next(&d->conversations, &at, NULL, &value)) {
        struct gw_turn_run *t = ((struct gw_conversation *)value)->turn;
        int its = t && !t->ended && t->ev ? is_its_post(t, ev->post_id) : 0;

        if (its) {
            *ret = t;
            return its;
        }
    }
    return 0;
}
