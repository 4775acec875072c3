/*
 * gw_send and gw_act: resolve where to, commit to the outbox, wait for the delivery.
 *
 *   root given?  -> the journal knows the post, or ask the server -> channel and thread root
 *   channel name -> ask the server (an id is taken as it is)
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/str.h"
#include "base/utf8.h"
#include "gateway/effect.h"
#include "gateway/files.h"
#include "gateway/internal.h"

#define DEFAULT_WAIT_MS 15000
#define MAX_PARTS       10 /* posts of one message; nobody reads more */

enum stage { RESOLVING, COMMITTING, WAITING };

struct gw_pending_send {
    struct gw_pending_send *next;
    struct gw *gw;
    struct gw_bot *bot;
    enum stage stage;
    bool dropped;       /* answered; only a callback is still to come */
    const char *effect; /* of gw_act, on the post `root`; NULL = a message */
    cJSON *payload;     /* of the effect */
    char *channel, *root, *text, *key;
    char **users;
    char **files;
    cJSON *props;
    int64_t wait_ms;
    struct mw_timer *timer;
    gw_cb cb;
    void (*recorded)(void *userdata);
    void *userdata;

    char channel_id[64], root_id[64];
    char post_id[64]; /* that an effect is on */
    size_t parts, left;
    char **post_ids; /* by part; NULL until delivered */
    bool existed;
};

static void send_free(struct gw_pending_send *p)
{
    if (!p)
        return;
    mw_timer_free(p->timer);
    for (size_t i = 0; p->files && p->files[i]; i++)
        free(p->files[i]);
    for (size_t i = 0; p->users && p->users[i]; i++)
        free(p->users[i]);
    for (size_t i = 0; p->post_ids && i < p->parts; i++)
        free(p->post_ids[i]);
    free(p->users);
    free(p->files);
    free(p->post_ids);
    free(p->channel);
    free(p->root);
    free(p->text);
    free(p->key);
    cJSON_Delete(p->props);
    cJSON_Delete(p->payload);
    free(p);
}

static void unlink_send(struct gw_pending_send *p)
{
    struct gw_pending_send **at;

    for (at = &p->gw->sends; *at != p; at = &(*at)->next)
        ;
    *at = p->next;
    p->gw->n_sends--;
}

/* Answers the caller. When a callback from below is still to come, the rest waits for it. */
static void answer(struct gw_pending_send *p, struct gw_reply *reply)
{
    gw_cb cb = p->cb;
    void *userdata = p->userdata;

    unlink_send(p);
    mw_timer_stop(p->timer);
    if (p->stage == WAITING)
        send_free(p);
    else
        p->dropped = true;
    cb(reply, userdata);
    mw_error_reset(&reply->err);
    cJSON_Delete(reply->result);
}

static void answer_error(struct gw_pending_send *p, enum gw_code code, const char *sentence)
{
    struct gw_reply reply = {.code = code};

    mw_error_set(&reply.err, (int)code, "%s", sentence);
    answer(p, &reply);
}

static void answer_no_memory(struct gw_pending_send *p)
{
    answer_error(p, GW_INTERNAL, "out of memory");
}

/* ---- Delivered ---- */

/* The post that came of it, or that it is about; NULL = not known yet. */
static const char *result_post(const struct gw_pending_send *p)
{
    if (p->effect)
        return p->post_id[0] ? p->post_id : NULL;
    return p->post_ids ? p->post_ids[0] : NULL;
}

static char *permalink(const struct gw_pending_send *p)
{
    const struct mm_client *c = p->bot->client;
    const struct mm_channel_info *ch = c ? mm_cached_channel(c, p->channel_id) : NULL;
    const struct mm_team_info *team = ch && ch->team_id[0] ? mm_cached_team(c, ch->team_id) : NULL;

    return c && result_post(p) ? mm_permalink(c, team ? team->name : "", result_post(p)) : NULL;
}

static int fill_result(const struct gw_pending_send *p, cJSON *o)
{
    MW_AUTOFREE char *link = permalink(p);

    if (result_post(p) && mw_json_add_str(o, "post_id", result_post(p)))
        return -ENOMEM;
    if (p->post_ids && p->parts > 1) {
        MW_AUTOJSON *ids = cJSON_CreateArray();

        for (size_t i = 0; ids && i < p->parts; i++) {
            if (p->post_ids[i] && mw_json_push(ids, cJSON_CreateString(p->post_ids[i])))
                return -ENOMEM;
        }
        if (mw_json_add(o, "post_ids", take_ptr(ids)))
            return -ENOMEM;
    }
    if (mw_json_add_str(o, "channel_id", p->channel_id) || mw_json_add_str(o, "key", p->key) ||
        (link && mw_json_add_str(o, "permalink", link)) ||
        (p->existed && mw_json_add_bool(o, "existed", true)))
        return -ENOMEM;
    return 0;
}

static void answer_result(struct gw_pending_send *p, enum gw_code code, const char *sentence)
{
    struct gw_reply reply = {.code = code, .result = cJSON_CreateObject()};

    if (!reply.result || fill_result(p, reply.result)) {
        cJSON_Delete(reply.result);
        answer_no_memory(p);
        return;
    }
    if (sentence)
        mw_error_set(&reply.err, (int)code, "%s", sentence);
    answer(p, &reply);
}

static void part_sent(struct gw_pending_send *p, size_t n, const char *post_id)
{
    if (p->post_ids[n])
        return;
    p->post_ids[n] = strdup(post_id);
    if (!p->post_ids[n])
        answer_no_memory(p);
    else if (--p->left == 0)
        answer_result(p, GW_OK, NULL);
}

/* Which part of the message has this key; -1 = none. */
static int part_of(const struct gw_pending_send *p, const char *key)
{
    size_t len = strlen(p->key);
    unsigned long n;
    char *end;

    if (strncmp(key, p->key, len) != 0)
        return -1;
    if (!key[len])
        return 0;
    if (key[len] != '.' || key[len + 1] < '1' || key[len + 1] > '9')
        return -1;
    n = strtoul(key + len + 1, &end, 10);
    return *end || n >= p->parts ? -1 : (int)n;
}

static void part_failed(struct gw_pending_send *p, bool forbidden, const char *error)
{
    answer_error(p, forbidden ? GW_FORBIDDEN : GW_REFUSED,
                 error[0] ? error : "the server refused it");
}

void gw_send_delivered(struct gw_bot *bot, const struct gw_delivery *d)
{
    struct gw_pending_send *p = bot->gw->sends;

    /* An answer may start or end other sends, so begin again after each. */
    while (p) {
        int n = p->bot == bot && p->stage == WAITING ? part_of(p, d->key) : -1;

        if (n >= 0 && !p->post_ids[n]) {
            if (d->sent)
                part_sent(p, (size_t)n, d->post_id);
            else
                part_failed(p, d->forbidden, d->error);
            p = bot->gw->sends;
        } else {
            p = p->next;
        }
    }
}

/* It is in the outbox and will be delivered, but nobody waits for that any more. */
static void answer_pending(struct gw_pending_send *p, const char *why, const char *when)
{
    MW_AUTOFREE char *sentence =
        mw_asprintf("accepted and recorded, but not delivered yet: %s. It is delivered %s; the "
                    "same again with the key %s does it only once",
                    why, when, p->key);

    answer_result(p, GW_PENDING, sentence ? sentence : "accepted, but not delivered yet");
}

static void on_timer(void *userdata)
{
    struct gw_pending_send *p = userdata;
    struct gw_sender_stats st;

    if (p->stage == RESOLVING) {
        answer_error(p, GW_OFFLINE, gw_bot_trouble(p->bot));
        return;
    }
    gw_sender_get_stats(p->bot->sender, &st);
    answer_pending(p, st.last_error ? st.last_error : gw_bot_trouble(p->bot), "later in any case");
}

/* ---- Committed ---- */

struct part_state {
    bool found, ended, sent, forbidden;
    char *post_id, *error;
    size_t parts;
    bool is_part; /* of another key's message, not its first */
    char kind[32], channel_id[64], on_post[64];
};

static bool read_part(const struct mw_outbox *o, void *userdata)
{
    struct part_state *st = userdata;
    MW_AUTOJSON *payload = NULL;

    st->found = true;
    st->sent = o->state == MW_OUTBOX_SENT;
    st->ended = st->sent || o->state == MW_OUTBOX_FAILED || o->state == MW_OUTBOX_DROPPED;
    st->post_id = strdup(o->result_id);
    st->error = strdup(o->error);
    st->parts = 1;
    snprintf(st->kind, sizeof(st->kind), "%s", o->kind);
    snprintf(st->channel_id, sizeof(st->channel_id), "%s", o->channel_id);
    if (!mw_json_parse(o->payload, strlen(o->payload), &payload, NULL)) {
        st->parts = (size_t)MW_MAX(mw_json_i64(payload, "parts", 1), 1);
        st->is_part = mw_json_i64(payload, "part", 0) > 0;
        st->forbidden = mw_json_bool(payload, GW_FORBIDDEN_MARK);
        snprintf(st->on_post, sizeof(st->on_post), "%s", mw_json_str_or(payload, "post_id", ""));
    }
    return false;
}

/* A part that ended before we came (its key was given again) counts at once. True when that
 * answered the caller. */
static bool part_known(struct gw_pending_send *p, size_t n)
{
    struct part_state st = {0};
    MW_AUTOFREE char *key = gw_part_key(p->key, n);
    const char *post_id = key ? gw_sender_delivered(p->bot->sender, key) : NULL;
    int rc = key ? mw_store_outbox_key(p->gw->store, p->bot->name, key, read_part, &st) : -ENOMEM;
    bool answered = false;

    if (rc < 0 || (st.found && (!st.post_id || !st.error))) {
        answer_no_memory(p);
        answered = true;
    } else if (post_id || st.sent) {
        answered = p->left == 1;
        part_sent(p, n, post_id ? post_id : st.post_id);
    } else if (st.ended) {
        answered = true;
        part_failed(p, st.forbidden, st.error);
    }
    free(st.post_id);
    free(st.error);
    return answered;
}

/* Waits for the rows of the message. */
static void wait_for_rows(struct gw_pending_send *p)
{
    size_t parts = p->parts;

    p->stage = WAITING;
    p->left = parts;
    p->post_ids = calloc(parts, sizeof(char *));
    if (!p->post_ids) {
        p->parts = 0;
        answer_no_memory(p);
        return;
    }
    for (size_t i = 0; p->existed && i < parts; i++) {
        if (part_known(p, i))
            return;
    }
    gw_sender_wake(p->bot->sender);
}

static void on_committed(const struct mw_tx_result *r, void *userdata)
{
    struct gw_pending_send *p = userdata;
    struct gw_bot *bot = p->bot;

    bot->commits--;
    if (p->dropped) {
        gw_sender_wake(bot->sender);
        send_free(p);
    } else if (r->error) {
        p->stage = WAITING;
        answer_error(p, GW_INTERNAL, r->message ? r->message : "the store refused it");
    } else {
        p->existed |= r->outbox_existed;
        wait_for_rows(p);
    }
    gw_reap_later(bot->gw);
}

/* The one row of an effect. */
static int effect_add(struct mw_tx *tx, struct gw_pending_send *p, const char *conversation)
{
    MW_AUTOFREE char *payload = NULL;

    if (mw_json_add_str(p->payload, "post_id", p->post_id))
        return -ENOMEM;
    payload = mw_json_print(p->payload);
    if (!payload)
        return -ENOMEM;
    const struct mw_outbox row = {
        .bot = p->bot->name,
        .key = p->key,
        .kind = p->effect,
        .conversation = conversation,
        .channel_id = p->channel_id,
        .payload = payload,
        .state = MW_OUTBOX_PENDING,
        .result_id = "",
        .error = "",
    };
    p->parts = 1;
    return mw_tx_outbox_add(tx, &row);
}

static bool note_row(const struct mw_outbox *o, void *userdata)
{
    return false;
}

/* Has another message the key of a part of this one? Then that part would be taken for sent. */
static bool parts_taken(const struct gw_pending_send *p)
{
    struct mw_store *store = p->gw->store;

    if (p->parts < 2 || mw_store_outbox_key(store, p->bot->name, p->key, note_row, NULL) != 1)
        return false;
    for (size_t i = 1; i < p->parts; i++) {
        MW_AUTOFREE char *key = gw_part_key(p->key, i);

        if (key && mw_store_outbox_key(store, p->bot->name, key, note_row, NULL) == 0)
            return true;
    }
    return false;
}

static void commit(struct gw_pending_send *p)
{
    struct mm_server_info info = {.max_post_chars = 4000};
    MW_AUTOFREE char *conversation =
        p->root_id[0] ? mw_asprintf("%s/%s", p->channel_id, p->root_id) : strdup(p->channel_id);
    struct mw_tx *tx = mw_tx_new(p->gw->store);

    if (p->bot->client)
        mm_client_server(p->bot->client, &info);
    const struct gw_post post = {
        .bot = p->bot->name,
        .key = p->key,
        .channel_id = p->channel_id,
        .root_id = p->root_id,
        .conversation = conversation,
        .text = p->text,
        .files = (const char *const *)p->files,
        .props = p->props,
        .max_chars = info.max_post_chars,
    };

    if (!conversation || !tx ||
        (p->effect ? effect_add(tx, p, conversation) : gw_post_add(tx, &post, &p->parts))) {
        mw_tx_free(tx);
        p->stage = WAITING;
        answer_no_memory(p);
        return;
    }
    if (p->parts > MAX_PARTS) {
        size_t chars = mw_utf8_count(p->text), most = MAX_PARTS * info.max_post_chars;
        MW_AUTOFREE char *sentence =
            mw_asprintf("the text has %zu characters, %zu more than %d posts of %zu take; send it "
                        "as a file, with --file",
                        chars, chars > most ? chars - most : 0, MAX_PARTS, info.max_post_chars);

        mw_tx_free(tx);
        p->stage = WAITING;
        answer_error(p, GW_BAD_PARAMS, sentence ? sentence : "the text is too long");
        return;
    }
    if (!p->parts) {
        mw_tx_free(tx);
        p->stage = WAITING;
        answer_error(p, GW_BAD_PARAMS, "there is nothing to send: the text is empty");
        return;
    }
    if (parts_taken(p)) {
        mw_tx_free(tx);
        p->stage = WAITING;
        answer_error(p, GW_BAD_PARAMS,
                     "the message is sent in parts, and their keys (KEY.1 ...) were used before: "
                     "choose another key");
        return;
    }
    p->stage = COMMITTING;
    p->bot->commits++;
    mw_tx_commit(tx, on_committed, p);
    if (p->recorded)
        p->recorded(p->userdata);
}

/* ---- Where to ---- */

static void answer_not_taken(struct gw_pending_send *p, const char *why)
{
    MW_AUTOFREE char *sentence =
        mw_asprintf("%s; nothing was recorded and nothing is sent: try it again", why);

    answer_error(p, GW_OFFLINE, sentence ? sentence : why);
}

/* A callback from below arrived; false when the caller has his answer already. */
static bool still_wanted(struct gw_pending_send *p, const struct mm_result *r)
{
    if (p->dropped) {
        send_free(p);
        return false;
    }
    if (r->outcome == MM_OK)
        return true;
    p->stage = WAITING;
    if (r->outcome == MM_CANCELED)
        answer_not_taken(p, p->gw->stopping ? "the daemon is stopping"
                                            : "the bot's connection was closed");
    else
        answer_error(p, gw_code_of(r->outcome), mw_error_text(&r->err));
    return false;
}

static void place(struct gw_pending_send *p, const char *channel_id, const char *root_id,
                  const char *post_id)
{
    snprintf(p->post_id, sizeof(p->post_id), "%s", post_id);
    snprintf(p->channel_id, sizeof(p->channel_id), "%s", channel_id);
    snprintf(p->root_id, sizeof(p->root_id), "%s", root_id);
    if (!p->channel_id[0]) {
        p->stage = WAITING;
        answer_error(p, GW_INTERNAL, "the server did not name the channel");
        return;
    }
    commit(p);
}

static void on_channel(struct mm_result *r, void *userdata)
{
    struct gw_pending_send *p = userdata;

    /* A permalink names a post: the message goes into its thread. */
    if (still_wanted(p, r)) {
        const char *root = mw_json_str_or(r->body, "root_id", "");

        place(p, mw_json_str_or(r->body, "channel_id", ""),
              root[0] ? root : mw_json_str_or(r->body, "post_id", ""), "");
    }
}

static void on_post(struct mm_result *r, void *userdata)
{
    struct gw_pending_send *p = userdata;

    /* Replies carry the thread's root; the server refuses a reply's id as a root. */
    if (still_wanted(p, r)) {
        const char *root = mw_json_str_or(r->body, "root_id", "");
        const char *id = mw_json_str_or(r->body, "id", "");

        place(p, mw_json_str_or(r->body, "channel_id", ""), root[0] ? root : id, id);
    }
}

struct known_post {
    char channel_id[64], root_id[64];
    bool deleted;
};

static bool take_post(const struct mw_event *ev, void *userdata)
{
    struct known_post *k = userdata;

    snprintf(k->channel_id, sizeof(k->channel_id), "%s", ev->channel_id);
    snprintf(k->root_id, sizeof(k->root_id), "%s", ev->root_id[0] ? ev->root_id : ev->post_id);
    k->deleted |= ev->kind == MW_EVENT_POST_DELETED;
    return true;
}

static void resolve(struct gw_pending_send *p)
{
    struct known_post known = {0};
    const struct mw_event_filter f = {
        .bot = p->bot->name,
        .post_id = p->root,
        .kinds = 1u << MW_EVENT_POST | 1u << MW_EVENT_POST_DELETED,
        .limit = 2,
    };
    size_t n_users = 0;
    int rc;

    if (p->root && mw_id_valid(p->root))
        mw_store_events(p->gw->store, &f, take_post, &known, NULL);
    if (known.deleted && mw_streq(p->effect, "delete")) {
        /* Old servers forbid to delete what is deleted. */
        snprintf(p->channel_id, sizeof(p->channel_id), "%s", known.channel_id);
        snprintf(p->post_id, sizeof(p->post_id), "%s", p->root);
        p->existed = true;
        p->stage = WAITING;
        answer_result(p, GW_OK, NULL);
        return;
    }
    if (known.channel_id[0]) {
        place(p, known.channel_id, known.root_id, p->root);
        return;
    }
    if (!p->root && p->channel && mw_id_valid(p->channel)) {
        place(p, p->channel, "", "");
        return;
    }
    if (!p->bot->client || (p->users && p->users[0] && !mm_client_user_id(p->bot->client)[0])) {
        p->stage = WAITING;
        answer_error(p, GW_OFFLINE, gw_bot_trouble(p->bot));
        return;
    }
    for (size_t n = 0; p->users && p->users[n]; n++)
        n_users = n + 1;
    rc = n_users ? gw_people_channel(p->bot->client, (const char *const *)p->users, n_users,
                                     on_channel, p)
         : p->root
             ? mm_resolve_post(p->bot->client, p->root, on_post, p)
             : mm_resolve_channel(p->bot->client, p->channel, p->bot->config->team, on_channel, p);
    if (rc) {
        p->stage = WAITING;
        answer_error(p, GW_OFFLINE, "too many calls are waiting");
    }
}

/* A key that is known already stands for the message that it was used for. */
static bool known_key(struct gw_pending_send *p)
{
    struct part_state st = {0};
    int rc = mw_store_outbox_key(p->gw->store, p->bot->name, p->key, read_part, &st);

    free(st.post_id);
    free(st.error);
    if (rc || !st.found)
        return false;
    if (st.is_part || !mw_streq(st.kind, p->effect ? p->effect : "post")) {
        MW_AUTOFREE char *sentence = mw_asprintf(
            "the key \"%s\" was used before for something else (%s): choose another one", p->key,
            st.is_part ? "a part of a message" : st.kind);

        p->stage = WAITING;
        answer_error(p, GW_BAD_PARAMS, sentence ? sentence : "the key was used before");
        return true;
    }
    p->existed = true;
    snprintf(p->post_id, sizeof(p->post_id), "%s", st.on_post);
    p->parts = st.parts;
    snprintf(p->channel_id, sizeof(p->channel_id), "%s", st.channel_id);
    if (p->recorded)
        p->recorded(p->userdata);
    wait_for_rows(p);
    return true;
}

/* ---- The request ---- */

static int copy_files(struct gw_pending_send *p, const char *const *files, struct mw_error *err)
{
    size_t n = 0;

    while (files && files[n])
        n++;
    p->files = calloc(n + 1, sizeof(char *));
    if (!p->files)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int r = gw_attach_check(gw_get_config(p->gw), files[i], &p->files[i], err);

        if (r)
            return r;
    }
    return 0;
}

static int copy_users(struct gw_pending_send *p, const char *const *users)
{
    size_t n = 0;

    while (users && users[n])
        n++;
    p->users = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; p->users && i < n; i++) {
        p->users[i] = strdup(users[i]);
        if (!p->users[i])
            return -ENOMEM;
    }
    return p->users ? 0 : -ENOMEM;
}

/* Returns 0, 1 (err says what is wrong with the request) or -ENOMEM. */
static int copy_request(struct gw_pending_send *p, const struct gw_send *req, struct mw_error *err)
{
    char id[MW_ID_SIZE];

    if (!req->root && (!req->channel || !req->channel[0]) && (!req->users || !req->users[0]))
        return mw_error_set(err, 1, "name a channel, people, or a post to reply to");
    if (req->users && req->users[0] && (req->root || req->channel))
        return mw_error_set(err, 1, "name either a channel, or people, or a post to reply to");
    if ((!req->text || !req->text[0]) && (!req->files || !req->files[0]))
        return mw_error_set(err, 1, "there is nothing to send: no text and no file");
    if (req->props) {
        if (mw_json_parse(req->props, strlen(req->props), &p->props, err) ||
            !cJSON_IsObject(p->props))
            return mw_error_set(err, 1, "props must be a JSON object");
    }
    if (!req->key && mw_id_new(id))
        return -ENOMEM;
    if (mw_str_set(&p->channel, req->channel) || mw_str_set(&p->root, req->root) ||
        mw_str_set(&p->text, req->text ? req->text : "") ||
        mw_str_set(&p->key, req->key ? req->key : id) || copy_users(p, req->users))
        return -ENOMEM;
    return copy_files(p, req->files, err);
}

/* A request without its content yet; NULL when the caller was told why not. */
static struct gw_pending_send *begin(struct gw *gw, struct gw_bot *bot, int64_t wait_ms, gw_cb cb,
                                     void *userdata)
{
    struct gw_pending_send *p;

    if (gw->stopping || gw->n_sends >= GW_MAX_SENDS) {
        gw_reply_error(cb, userdata, GW_OFFLINE,
                       gw->stopping ? "the daemon is stopping" : "too many messages are waiting");
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    if (!p) {
        gw_reply_error(cb, userdata, GW_INTERNAL, "out of memory");
        return NULL;
    }
    p->gw = gw;
    p->bot = bot;
    p->cb = cb;
    p->userdata = userdata;
    p->wait_ms = wait_ms > 0 ? wait_ms : DEFAULT_WAIT_MS;
    return p;
}

/* The content is there (rc 0), or not. */
static void start(struct gw_pending_send *p, int rc, bool own_key, const struct mw_error *err)
{
    if (!rc)
        rc = mw_timer_new(p->gw->loop, on_timer, p, &p->timer);
    if (rc) {
        gw_cb cb = p->cb;
        void *userdata = p->userdata;

        send_free(p);
        gw_reply_error(cb, userdata, rc > 0 || rc == -EINVAL ? GW_BAD_PARAMS : GW_INTERNAL,
                       rc == -ENOMEM ? "out of memory" : mw_error_text(err));
        return;
    }
    p->next = p->gw->sends;
    p->gw->sends = p;
    p->gw->n_sends++;
    mw_timer_start(p->timer, p->wait_ms);
    if (!own_key || !known_key(p))
        resolve(p);
}

void gw_send(struct gw *gw, struct gw_bot *bot, const struct gw_send *req, gw_cb cb, void *userdata)
{
    struct gw_pending_send *p = begin(gw, bot, req->wait_ms, cb, userdata);
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (!p)
        return;
    p->recorded = req->recorded;
    start(p, copy_request(p, req, &err), req->key != NULL, &err);
}

void gw_act(struct gw *gw, struct gw_bot *bot, const struct gw_act *req, gw_cb cb, void *userdata)
{
    struct gw_pending_send *p = begin(gw, bot, req->wait_ms, cb, userdata);
    MW_AUTOERROR err = MW_ERROR_INIT;
    char id[MW_ID_SIZE];
    int rc;

    if (!p)
        return;
    p->recorded = req->recorded;
    rc = gw_act_payload(bot, req, &p->effect, &p->payload, &err);
    if (!rc && ((!req->key && mw_id_new(id)) || mw_str_set(&p->root, req->post) ||
                mw_str_set(&p->key, req->key ? req->key : id)))
        rc = -ENOMEM;
    start(p, rc, req->key != NULL, &err);
}

void gw_send_abandon(struct gw *gw, const struct gw_bot *bot, const char *why, const char *when)
{
    struct gw_pending_send *p = gw->sends;

    while (p) {
        if (!bot || p->bot == bot) {
            if (p->stage == RESOLVING)
                answer_not_taken(p, why);
            else
                answer_pending(p, why, when);
            p = gw->sends;
        } else {
            p = p->next;
        }
    }
}
