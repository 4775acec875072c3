/*
 * An answer is shown while it is being written (`stream`).
 *
 * The first text becomes a post by the outbox, under the key of the answer (`edit`) or one beside
 * it
 * (`final`). From then on the post is edited: at once or not at all, no closer than a second. What
 * counts is the last state, which goes through the outbox with the end of the turn. When the daemon
 * dies in between, the next run of the event finds the row of the post and goes on with it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/utf8.h"
#include "gateway/dispatch_internal.h"

#define FIRST_MS 300  /* to gather the first words */
#define EDIT_MS  1000 /* between edits */
#define CALM_MS  5000 /* after an edit that did not get through */
#define TEXT_MAX (1024 * 1024)
#define MORE     "…"

static void show(struct gw_turn_run *t);

static void on_timer(void *userdata)
{
    show(userdata);
}

int gw_preview_init(struct gw_turn_run *t)
{
    struct gw_preview *p = &t->preview;

    mw_map_init(&p->states, free);
    p->text.limit = TEXT_MAX;
    p->activity.limit = 1024;
    if (t->policy->stream == GW_STREAM_OFF)
        return 0;
    p->key =
        t->policy->stream == GW_STREAM_FINAL ? mw_asprintf("%s.preview", t->key) : strdup(t->key);
    return p->key ? mw_timer_new(t->d->bot->gw->loop, on_timer, t, &p->timer) : -ENOMEM;
}

void gw_preview_deinit(struct gw_turn_run *t)
{
    struct gw_preview *p = &t->preview;

    mw_timer_free(p->timer);
    mw_map_deinit(&p->states);
    mw_buf_deinit(&p->text);
    mw_buf_deinit(&p->activity);
    free(p->key);
    free(p->post_id);
}

/* ---- Showing ---- */

static void schedule(struct gw_turn_run *t)
{
    struct gw_preview *p = &t->preview;
    int64_t now = mw_clock_mono();

    p->changed = true;
    if (!p->timer || t->ended || p->editing || mw_timer_active(p->timer))
        return;
    mw_timer_start(p->timer, p->shown_at ? MW_MAX(p->shown_at + EDIT_MS - now, 1) : FIRST_MS);
}

void gw_preview_text(struct gw_turn_run *t, const char *text, size_t len)
{
    if (t->ended || !t->preview.timer)
        return;
    /* What is beyond the limit is in the final answer, if anywhere. */
    (void)!mw_buf_append(&t->preview.text, text, len);
    schedule(t);
}

static const char *state_icon(enum gw_activity_state s)
{
    static const char *const icons[] = {
        [GW_ACTIVITY_PENDING] = "…",
        [GW_ACTIVITY_RUNNING] = "⚙",
        [GW_ACTIVITY_DONE] = "✓",
        [GW_ACTIVITY_FAILED] = "✗",
    };

    return icons[s];
}

void gw_preview_activity(struct gw_turn_run *t, const struct gw_activity *a)
{
    struct gw_preview *p = &t->preview;
    enum gw_activity_state *s;
    char title[160];
    size_t n = 0;

    if (t->ended || !p->timer || p->states.count > 1000)
        return;
    s = mw_map_get(&p->states, a->id);
    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s || mw_map_put(&p->states, a->id, s)) {
            free(s);
            return;
        }
        p->all++;
    }
    p->done += a->state == GW_ACTIVITY_DONE && *s != GW_ACTIVITY_DONE;
    p->failed += a->state == GW_ACTIVITY_FAILED && *s != GW_ACTIVITY_FAILED;
    *s = a->state;
    /* One line, without what would end the emphasis. */
    for (const char *q = a->title; *q;) {
        size_t len = mw_utf8_char_len(q, strlen(q));

        len = len ? len : 1;
        if (n + len >= sizeof(title))
            break;
        if ((unsigned char)*q >= ' ' && !strchr("*_`", *q)) {
            memcpy(title + n, q, len);
            n += len;
        }
        q += len;
    }
    title[n] = 0;
    mw_buf_clear(&p->activity);
    mw_buf_printf(&p->activity, "*%s %s*", state_icon(a->state), title);
    if (p->all > 1)
        mw_buf_printf(&p->activity, " *(%u of %u done)*", p->done + p->failed, p->all);
    schedule(t);
}

/* What the server allows; until it told, what every server does. */
static struct mm_server_info server_of(const struct gw_turn_run *t)
{
    struct mm_server_info info = {.max_post_chars = 4000, .file_attachments = true, .version = ""};

    if (t->d->bot->client)
        mm_client_server(t->d->bot->client, &info);
    return info;
}

/* What stands in the post: the end of the text when it is longer than a post, and what is being
 * done. Returns 0 or an error of the buffer. */
static int body(const struct gw_turn_run *t, struct mw_buf *b)
{
    const struct gw_preview *p = &t->preview;
    const struct mm_server_info info = server_of(t);
    const char *text = mw_buf_str(&p->text);
    size_t room, len = strlen(text);

    room = info.max_post_chars - MW_MIN(info.max_post_chars, p->activity.len + 64);
    if (len > room) {
        text += len - room;
        while (((unsigned char)*text & 0xc0) == 0x80)
            text++;
        mw_buf_puts(b, MORE);
    }
    mw_buf_puts(b, text);
    if (p->activity.len)
        mw_buf_printf(b, "%s%s", len ? "\n\n" : "", mw_buf_str(&p->activity));
    return mw_buf_error(b);
}

static void on_edited(struct mm_result *res, void *userdata)
{
    struct gw_turn_run *t = userdata;
    struct gw_preview *p = &t->preview;

    p->editing = false;
    if (t->ended) {
        gw_turn_record(t);
        return;
    }
    if (res->outcome != MM_OK)
        p->shown_at += CALM_MS;
    if (p->changed)
        schedule(t);
}

static void edit(struct gw_turn_run *t, const char *text)
{
    struct gw_preview *p = &t->preview;
    MW_AUTOFREE char *path = mw_asprintf("/posts/%s/patch", p->post_id);
    MW_AUTOJSON *json = cJSON_CreateObject();
    struct mm_client *client = t->d->bot->client;

    if (!client || !path || !json || mw_json_add_str(json, "message", text))
        return;
    p->editing = !mm_call(client, "PUT", path, take_ptr(json), on_edited, t);
}

static int take_row(const struct gw_turn_run *t, const char *key, mw_outbox_row_cb cb,
                    void *userdata)
{
    return mw_store_outbox_key(t->d->bot->gw->store, t->d->bot->name, key, cb, userdata);
}

static bool take_post_id(const struct mw_outbox *o, void *userdata)
{
    struct gw_turn_run *t = userdata;

    if (o->state == MW_OUTBOX_SENT)
        (void)!mw_str_set(&t->preview.post_id, o->result_id);
    return false;
}

static void begin(struct gw_turn_run *t, const char *text)
{
    struct gw_preview *p = &t->preview;
    struct gw_dispatch *d = t->d;
    const struct gw_post post = {
        .bot = d->bot->name,
        .key = p->key,
        .channel_id = t->ev->channel_id,
        .root_id = t->root_id,
        .conversation = t->c->key,
        .text = text,
        .event_id = t->ev->id,
        .max_chars = strlen(text) + 1,
    };
    struct mw_tx *tx;

    /* A life before this one may have begun it. */
    if (take_row(t, p->key, take_post_id, t) == 0) {
        p->begun = true;
        return;
    }
    tx = mw_tx_new(d->bot->gw->store);
    if (!tx || gw_post_add(tx, &post, NULL)) {
        mw_tx_free(tx);
        return;
    }
    p->begun = true;
    gw_dispatch_commit(d, tx);
}

static void show(struct gw_turn_run *t)
{
    struct gw_preview *p = &t->preview;
    MW_AUTOBUF text = {0};

    if (t->ended || p->editing || !p->changed || body(t, &text) || !text.len)
        return;
    p->shown_at = mw_clock_mono();
    p->changed = false;
    if (!p->begun)
        begin(t, mw_buf_str(&text));
    if (p->post_id)
        edit(t, mw_buf_str(&text));
}

void gw_preview_delivered(struct gw_turn_run *t, const struct gw_delivery *d)
{
    struct gw_preview *p = &t->preview;

    if (!p->key || !mw_streq(d->key, p->key) || !d->sent)
        return;
    (void)!mw_str_set(&p->post_id, d->post_id);
    if (p->changed)
        schedule(t);
}

bool gw_preview_finish(struct gw_turn_run *t)
{
    if (t->preview.timer)
        mw_timer_stop(t->preview.timer);
    return t->preview.editing;
}

/* ---- The last state ---- */

enum shown {
    NOT_SHOWN,
    SHOWN,     /* a post, or a row that becomes one */
    SHOWN_NOT, /* the row has ended without a post; its key is taken all the same */
};

static bool take_shown(const struct mw_outbox *o, void *userdata)
{
    bool lost = o->state == MW_OUTBOX_FAILED || o->state == MW_OUTBOX_DROPPED;

    *(int *)userdata = lost ? SHOWN_NOT : SHOWN;
    return false;
}

/* What became of a key. Returns an enum shown or a negative errno: on a guess an answer could be
 * taken for one that is there. */
static int find_shown(const struct gw_turn_run *t, const char *key)
{
    bool begun = t->preview.begun && mw_streq(t->preview.key, key); /* or on its way */
    int shown = begun ? SHOWN : NOT_SHOWN;
    int rc = take_row(t, key, take_shown, &shown);

    return rc < 0 ? rc : shown;
}

/* A row about the post of another row. */
static int add_about(const struct gw_turn_run *t, struct mw_tx *tx, const char *kind,
                     const char *post_key, const char *message, const cJSON *props)
{
    MW_AUTOFREE char *key = mw_asprintf("%s.%lld.%s", post_key, (long long)t->c->head->id, kind);
    MW_AUTOJSON *payload = cJSON_CreateObject();

    if (!key || !payload || mw_json_add_str(payload, "post_key", post_key) ||
        (message && mw_json_add_str(payload, "message", message)) ||
        (props && mw_json_add(payload, "props", cJSON_Duplicate(props, true))))
        return -ENOMEM;
    return gw_turn_add_effect(t, tx, kind, key, payload);
}

static const char *place(const struct gw_turn_run *t)
{
    struct gw_policy p = *t->policy;

    if (!t->answer.has_place)
        return t->root_id;
    p.thread_replies = (int)t->answer.place;
    return gw_answer_root(&p, t->ev);
}

static int add_ephemeral(const struct gw_turn_run *t, struct mw_tx *tx, const char *key)
{
    MW_AUTOJSON *payload = cJSON_CreateObject();

    if (!payload || mw_json_add_str(payload, "user_id", t->ev->user_id) ||
        mw_json_add_str(payload, "message", t->answer.text ? t->answer.text : "") ||
        mw_json_add_str(payload, "root_id", place(t)) ||
        (t->answer.props && mw_json_add(payload, "props", cJSON_Duplicate(t->answer.props, true))))
        return -ENOMEM;
    return gw_turn_add_effect(t, tx, "ephemeral", key, payload);
}

/* The answer as posts of its own. */
static int add_posts(const struct gw_turn_run *t, struct mw_tx *tx, const char *key)
{
    const struct mm_server_info info = server_of(t);
    const struct gw_post post = {
        .bot = t->d->bot->name,
        .key = key,
        .channel_id = t->ev->channel_id,
        .root_id = place(t),
        .conversation = t->c->key,
        .text = t->answer.text ? t->answer.text : "",
        .event_id = t->ev->id,
        .max_chars = info.max_post_chars,
        .files = (const char *const *)t->answer.files,
        .props = t->answer.props,
        .long_as_file = info.file_attachments || !info.version[0],
    };
    return gw_post_add(tx, &post, NULL);
}

/* The post that showed it can become the answer: it is where the answer belongs and holds all of
 * it. */
static bool fits_preview(const struct gw_turn_run *t)
{
    const struct gw_answer *a = &t->answer;
    const struct mm_server_info info = server_of(t);

    return a->text && !a->files && !a->ephemeral && mw_streq(place(t), t->root_id) &&
           mw_utf8_count(a->text) <= info.max_post_chars;
}

int gw_preview_add_answer(struct gw_turn_run *t, struct mw_tx *tx)
{
    MW_AUTOFREE char *preview = mw_asprintf("%s.preview", t->key);
    MW_AUTOFREE char *fresh = mw_asprintf("%s.%lld", t->key, (long long)t->c->head->id);
    const char *key;
    int shown, previewed, rc = 0;

    if (!preview || !fresh)
        return -ENOMEM;
    shown = find_shown(t, t->key);
    previewed = find_shown(t, preview);
    if (shown < 0 || previewed < 0)
        return MW_MIN(shown, previewed);
    key = shown == NOT_SHOWN ? t->key : fresh;
    if (!gw_answer_has_post(&t->answer))
        rc = 0;
    else if (shown == SHOWN && fits_preview(t))
        return add_about(t, tx, "edit", t->key, t->answer.text, t->answer.props);
    else if (t->answer.ephemeral)
        rc = add_ephemeral(t, tx, key);
    else
        rc = add_posts(t, tx, key);
    if (!rc && shown == SHOWN)
        rc = add_about(t, tx, "delete", t->key, NULL, NULL);
    if (!rc && previewed == SHOWN)
        rc = add_about(t, tx, "delete", preview, NULL, NULL);
    return rc;
}

int gw_preview_add_end(struct gw_turn_run *t, struct mw_tx *tx, const char *word)
{
    MW_AUTOFREE char *preview = mw_asprintf("%s.preview", t->key);
    const char *key = t->key;
    MW_AUTOBUF text = {0};
    int shown = preview ? find_shown(t, t->key) : -ENOMEM;

    if (shown >= 0 && shown != SHOWN) {
        shown = find_shown(t, preview);
        key = preview;
    }
    if (shown < 0)
        return shown;
    if (shown != SHOWN)
        return 0;
    if (!word)
        return add_about(t, tx, "delete", key, NULL, NULL);
    mw_buf_clear(&t->preview.activity);
    if (body(t, &text) || mw_buf_printf(&text, "%s%s", text.len ? "\n\n" : "", word))
        return -ENOMEM;
    return add_about(t, tx, "edit", key, mw_buf_str(&text), NULL);
}
