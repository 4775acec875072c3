/*
 * Permissions that a handler asks people for: a post in the thread, decided by a reaction to it or
 * a reply, only by those who may trigger the handler. Whatever is not decided is a no; the outcome
 * is written into the post.
 */
#include <ctype.h>
#include <strings.h>

#include "base/log.h"
#include "base/str.h"
#include "gateway/dispatch_internal.h"

#define DETAILS_MAX 1500
#define OPTIONS_MAX 8
#define LEFT_TEXT   "**Not decided**, I was interrupted. What is still needed I ask again."

struct option {
    char *id, *name;
    enum gw_permission_kind kind;
};

struct gw_ask {
    struct gw_ask *next;
    struct gw_turn_run *t;
    int id;
    char *title, *key;
    char *post_id; /* NULL until it is delivered */
    struct option options[OPTIONS_MAX];
    size_t n_options;
    struct mw_timer *timer;
    bool decided;
    char *outcome; /* the post's text from now on */
};

/* What each kind is called, in words and in reactions; the first of each is shown. */
static const struct {
    const char *emoji, *emoji_too, *word, *word_too;
    bool allows;
} kinds[] = {
    [GW_ALLOW_ONCE] = {"white_check_mark", "+1", "allow", "yes", true},
    [GW_ALLOW_ALWAYS] = {"repeat", NULL, "always", NULL, true},
    [GW_REJECT_ONCE] = {"x", "-1", "reject", "no", false},
    [GW_REJECT_ALWAYS] = {"no_entry_sign", NULL, "never", NULL, false},
};

static void ask_free(struct gw_ask *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_options; i++) {
        free(a->options[i].id);
        free(a->options[i].name);
    }
    mw_timer_free(a->timer);
    free(a->title);
    free(a->key);
    free(a->post_id);
    free(a->outcome);
    free(a);
}

void gw_asks_free(struct gw_turn_run *t)
{
    while (t->asks) {
        struct gw_ask *a = t->asks;

        t->asks = a->next;
        ask_free(a);
    }
}

/* ---- Asking ---- */

/* The first option of its kind is the one that the kind's reaction and word stand for. */
static bool leads(const struct gw_ask *a, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (a->options[j].kind == a->options[i].kind)
            return false;
    }
    return true;
}

static void write_details(struct mw_buf *b, const char *details)
{
    size_t len = strlen(details), n = MW_MIN(len, DETAILS_MAX);

    if (!len)
        return;
    while (n < len && n && ((unsigned char)details[n] & 0xc0) == 0x80)
        n--;
    mw_buf_puts(b, "\n```\n");
    for (size_t i = 0; i < n; i++) {
        mw_buf_putc(b, details[i]);
        if (i >= 2 && !strncmp(details + i - 2, "```", 3))
            mw_buf_putc(b, ' '); /* it must not end the block */
    }
    mw_buf_puts(b, n < len ? "\n… (shortened)\n```" : "\n```");
}

static int write_question(struct mw_buf *b, const struct gw_ask *a, const char *details)
{
    mw_buf_printf(b, "**Permission needed:** %s", a->title);
    write_details(b, details);
    for (size_t i = 0; i < a->n_options; i++) {
        const struct option *o = &a->options[i];

        if (leads(a, i))
            mw_buf_printf(b, "\n:%s: %s (or reply `%s`)", kinds[o->kind].emoji, o->name,
                          kinds[o->kind].word);
        else
            mw_buf_printf(b, "\n%s (reply `%zu`)", o->name, i + 1);
    }
    return mw_buf_error(b);
}

/* Takes the payload over. */
static int add_effect(struct mw_tx *tx, const struct gw_ask *a, const char *kind, const char *what,
                      cJSON *payload)
{
    MW_AUTOJSON *owned = payload;
    MW_AUTOFREE char *key = what ? mw_asprintf("%s.%s", a->key, what) : strdup(a->key);

    if (!owned || !key)
        return -ENOMEM;
    return gw_turn_add_effect(a->t, tx, kind, key, owned);
}

static int add_question(struct mw_tx *tx, const struct gw_ask *a, const char *details)
{
    MW_AUTOBUF text = {0};
    cJSON *payload = cJSON_CreateObject();

    if (write_question(&text, a, details) ||
        mw_json_add_str(payload, "message", mw_buf_str(&text)) ||
        mw_json_add_str(payload, "root_id", a->t->root_id)) {
        cJSON_Delete(payload);
        return -ENOMEM;
    }
    return add_effect(tx, a, "post", NULL, payload);
}

/* The bot sets the reactions itself, so that people need only press them. */
static int add_reactions(struct mw_tx *tx, const struct gw_ask *a)
{
    for (size_t i = 0; i < a->n_options; i++) {
        const char *emoji = kinds[a->options[i].kind].emoji;
        cJSON *payload;

        if (!leads(a, i))
            continue;
        payload = cJSON_CreateObject();
        if (mw_json_add_str(payload, "post_key", a->key) ||
            mw_json_add_str(payload, "emoji_name", emoji)) {
            cJSON_Delete(payload);
            return -ENOMEM;
        }
        if (add_effect(tx, a, "reaction_add", emoji, payload))
            return -ENOMEM;
    }
    return 0;
}

static void on_expired(void *userdata);

/* Of the nth question for the turn's first task, whichever of its attempts asks. */
static char *key_of(const struct gw_turn_run *t, unsigned n)
{
    return mw_asprintf("%s.%lld.ask%u", t->key, (long long)t->c->head->id, n);
}

static bool there_is(const struct mw_outbox *o, void *userdata)
{
    return false;
}

/* Returns 0; 1 = there is none; or a negative errno. */
static int find_row(const struct gw_turn_run *t, const char *key)
{
    return mw_store_outbox_key(t->d->bot->gw->store, t->d->bot->name, key, there_is, NULL);
}

/* An earlier attempt may have asked, too, and its posts have their keys. */
static int take_key(struct gw_ask *a)
{
    int rc;

    do {
        free(a->key);
        a->id = (int)++a->t->n_asks;
        a->key = key_of(a->t, (unsigned)a->id);
        rc = a->key ? find_row(a->t, a->key) : -ENOMEM;
    } while (rc == 0);
    return MW_MIN(rc, 0);
}

static struct gw_ask *ask_new(struct gw_turn_run *t, const struct gw_permission *p)
{
    struct gw_ask *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->t = t;
    a->title = strdup(p->title);
    if (!a->title || take_key(a))
        goto fail;
    for (size_t i = 0; i < MW_MIN(p->n_options, OPTIONS_MAX); i++) {
        struct option *o = &a->options[a->n_options++];

        o->id = strdup(p->options[i].id);
        o->name = strdup(p->options[i].name);
        o->kind = p->options[i].kind;
        if (!o->id || !o->name)
            goto fail;
    }
    if (!mw_timer_new(t->d->bot->gw->loop, on_expired, a, &a->timer))
        return a;
fail:
    ask_free(a);
    return NULL;
}

int gw_ask(struct gw_turn_run *t, const struct gw_permission *p)
{
    struct gw_ask *a, **at = &t->asks;
    struct mw_tx *tx;

    if (t->ended || t->why != GW_WHY_NOT)
        return -ECANCELED;
    if (!p->n_options)
        return -EINVAL;
    a = ask_new(t, p);
    tx = a ? mw_tx_new(t->d->bot->gw->store) : NULL;
    if (!tx || add_question(tx, a, p->details) || add_reactions(tx, a)) {
        mw_tx_free(tx);
        ask_free(a);
        return -ENOMEM;
    }
    while (*at)
        at = &(*at)->next;
    *at = a;
    if (p->timeout_ms > 0)
        mw_timer_start(a->timer, p->timeout_ms);
    gw_dispatch_commit(t->d, tx);
    return a->id;
}

void gw_asks_delivered(struct gw_turn_run *t, const struct gw_delivery *d)
{
    for (struct gw_ask *a = t->asks; a; a = a->next) {
        if (d->sent && mw_streq(a->key, d->key))
            (void)!mw_str_set(&a->post_id, d->post_id);
    }
}

/* ---- Deciding ---- */

/* The row that writes the outcome into the post. */
static int add_outcome_of(const struct gw_turn_run *t, struct mw_tx *tx, const char *post_key,
                          const char *outcome)
{
    MW_AUTOFREE char *key = mw_asprintf("%s.outcome", post_key);
    MW_AUTOJSON *payload = cJSON_CreateObject();

    if (!key || mw_json_add_str(payload, "post_key", post_key) ||
        mw_json_add_str(payload, "message", outcome))
        return -ENOMEM;
    return gw_turn_add_effect(t, tx, "edit", key, payload);
}

static int add_outcome(struct mw_tx *tx, const struct gw_ask *a)
{
    return add_outcome_of(a->t, tx, a->key, a->outcome);
}

int gw_asks_add_left(struct gw_turn_run *t, struct mw_tx *tx)
{
    int rc = 0;

    /* Where there is an outcome already it stays. */
    for (unsigned n = 1; !rc; n++) {
        MW_AUTOFREE char *key = key_of(t, n);

        rc = key ? find_row(t, key) : -ENOMEM;
        if (!rc)
            rc = add_outcome_of(t, tx, key, LEFT_TEXT);
    }
    return MW_MIN(rc, 0);
}

static void set_outcome(struct gw_ask *a, const char *fmt, ...) MW_PRINTF(2, 3);
static void set_outcome(struct gw_ask *a, const char *fmt, ...)
{
    struct mw_tx *tx = mw_tx_new(a->t->d->bot->gw->store);
    va_list ap;

    a->decided = true;
    mw_timer_stop(a->timer);
    va_start(ap, fmt);
    if (vasprintf(&a->outcome, fmt, ap) < 0)
        a->outcome = NULL;
    va_end(ap);
    /* Without memory now it is written with the end of the turn. */
    if (!tx || !a->outcome || add_outcome(tx, a))
        mw_tx_free(tx);
    else
        gw_dispatch_commit(a->t->d, tx);
}

static void tell_handler(struct gw_ask *a, const char *option)
{
    struct gw_turn_run *t = a->t;
    const struct gw_handler_type *type = gw_handler_slot_type(t->slot);

    if (t->under_way && type->permitted)
        type->permitted(t->under_way, a->id, option);
}

static void on_expired(void *userdata)
{
    struct gw_ask *a = userdata;

    set_outcome(a, "**Rejected**, because nobody decided in time: %s", a->title);
    tell_handler(a, NULL);
}

void gw_ask_decide(struct gw_turn_run *t, const struct gw_ask_choice *choice, const char *user_name)
{
    struct gw_ask *a = choice->ask;
    const struct option *o = &a->options[choice->option];

    mw_log_info("a permission was decided", MW_F_STR("bot", t->d->bot->name),
                MW_F_STR("by", user_name), MW_F_STR("option", o->name),
                MW_F_STR("title", a->title));
    set_outcome(a, ":%s: **%s** by @%s: %s", kinds[o->kind].emoji, o->name, user_name, a->title);
    tell_handler(a, o->id);
}

void gw_asks_cancel(struct gw_turn_run *t)
{
    for (struct gw_ask *a = t->asks; a; a = a->next) {
        if (a->decided)
            continue;
        set_outcome(a, "**Not decided**, the answer was stopped: %s", a->title);
        tell_handler(a, NULL);
    }
}

int gw_asks_add_end(struct gw_turn_run *t, struct mw_tx *tx)
{
    for (struct gw_ask *a = t->asks; a; a = a->next) {
        mw_timer_stop(a->timer);
        a->decided = true;
        if (!a->outcome)
            a->outcome = mw_asprintf("**Not decided**, the answer ended: %s", a->title);
        if (!a->outcome || add_outcome(tx, a))
            return -ENOMEM;
    }
    return 0;
}

/* ---- Finding what an event decides ---- */

static bool emoji_means(enum gw_permission_kind kind, const char *emoji)
{
    return mw_streq(emoji, kinds[kind].emoji) ||
           (kinds[kind].emoji_too && mw_streq(emoji, kinds[kind].emoji_too));
}

static bool choose(const struct gw_ask *a, const char *said, bool is_emoji, size_t *ret)
{
    for (size_t i = 0; i < a->n_options; i++) {
        enum gw_permission_kind kind = a->options[i].kind;
        char number[24];

        snprintf(number, sizeof(number), "%zu", i + 1);
        if (is_emoji ? leads(a, i) && emoji_means(kind, said)
                     : mw_streq(said, number) || !strcasecmp(said, a->options[i].name) ||
                           (leads(a, i) &&
                            (!strcasecmp(said, kinds[kind].word) ||
                             (kinds[kind].word_too && !strcasecmp(said, kinds[kind].word_too))))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static int is_question(const struct gw_ask *a, const char *post_id)
{
    return a->post_id ? mw_streq(a->post_id, post_id) : gw_wrote(a->t->d->bot, post_id, a->key);
}

/* Is the post said where the turn's questions stand? */
static bool same_place(const struct gw_turn_run *t, const struct mw_event *ev)
{
    if (!mw_streq(ev->channel_id, t->ev->channel_id))
        return false;
    return ev->flags & MW_EVENT_DIRECT || mw_streq(ev->root_id, t->root_id);
}

int gw_ask_find(struct gw_dispatch *d, const struct mw_event *ev, const char *said,
                struct gw_turn_run **ret, struct gw_ask_choice *ret_choice)
{
    bool reaction = ev->kind == MW_EVENT_REACTION_ADDED;
    MW_AUTOFREE char *word = NULL;
    size_t it = 0, n;
    void *value;

    if (ev->flags & MW_EVENT_OWN || (!reaction && ev->kind != MW_EVENT_POST))
        return 0;
    said += strspn(said, " \t\r\n");
    n = strlen(said);
    while (n && isspace((unsigned char)said[n - 1]))
        n--;
    if (n > 64)
        return 0;
    word = strndup(said, n);
    if (!word)
        return -ENOMEM;
    while (mw_map_next(&d->conversations, &it, NULL, &value)) {
        struct gw_turn_run *t = ((struct gw_conversation *)value)->turn;

        for (struct gw_ask *a = t && !t->ended ? t->asks : NULL; a; a = a->next) {
            int here;

            if (a->decided || !choose(a, word, reaction, &ret_choice->option))
                continue;
            here = reaction ? is_question(a, ev->post_id) : same_place(t, ev);
            if (!here)
                continue;
            ret_choice->ask = a;
            *ret = t;
            return here;
        }
    }
    return 0;
}
