#include "gateway/outbox_internal.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

void gw_row_free(struct gw_row *r)
{
    if (!r)
        return;
    if (r->upload_fd >= 0)
        close(r->upload_fd);
    free(r->key);
    free(r->kind_name);
    free(r->channel_id);
    free(r->result_id);
    free(r->error);
    cJSON_Delete(r->payload);
    free(r);
}

void gw_row_tell(const struct gw_sender *s, const struct gw_row *r)
{
    const struct gw_delivery d = {
        .key = r->key,
        .kind = r->kind_name,
        .channel_id = r->channel_id,
        .event_id = r->event_id,
        .sent = r->state == MW_OUTBOX_SENT,
        .post_id = r->result_id ? r->result_id : "",
        .error = r->error ? r->error : "",
        .forbidden = mw_json_bool(r->payload, GW_FORBIDDEN_MARK),
    };

    s->on_delivery(&d, s->userdata);
}

/* ---- Lanes ---- */

static void lane_unlink(struct gw_lane *l)
{
    struct gw_sender *s = l->s;

    *(l->prev ? &l->prev->next : &s->first) = l->next;
    *(l->next ? &l->next->prev : &s->last) = l->prev;
    l->prev = l->next = NULL;
}

static void lane_append(struct gw_lane *l)
{
    struct gw_sender *s = l->s;

    l->prev = s->last;
    *(s->last ? &s->last->next : &s->first) = l;
    s->last = l;
}

static void lane_free(struct gw_lane *l)
{
    mw_map_steal(&l->s->lanes, l->key);
    lane_unlink(l);
    free(l->key);
    free(l);
}

static struct gw_lane *lane_get(struct gw_sender *s, const char *key)
{
    struct gw_lane *l = mw_map_get(&s->lanes, key);

    if (l)
        return l;
    l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    l->s = s;
    l->key = strdup(key);
    if (!l->key || mw_map_put(&s->lanes, key, l)) {
        free(l->key);
        free(l);
        return NULL;
    }
    lane_append(l);
    return l;
}

/* A row went out of the lane. Before it runs dry, its parked rows are read again, and with them
 * what is behind: that is known to be loaded, parked or done. */
static void shrink(struct gw_lane *l)
{
    struct gw_sender *s = l->s;

    s->rows--;
    l->n--;
    if (!l->parked_from || l->n > s->lane_rows / 2)
        return;
    s->loaded_id = MW_MIN(s->loaded_id, l->parked_from - 1);
    s->more = true;
    l->parked_from = 0;
}

void gw_lane_pop(struct gw_lane *l)
{
    l->head = l->head->next;
    shrink(l);
    lane_unlink(l);
    lane_append(l);
    if (!l->head)
        lane_free(l);
}

/* ---- The pump ---- */

static bool ready(const struct gw_sender *s, const struct gw_row *r, int64_t now)
{
    if (!r || r->busy || r->dropping || r->due > now)
        return false;
    if (r->unrecorded)
        return true;
    return !s->stopped && s->client && mm_client_user_id(s->client)[0] && s->hold_until <= now;
}

/* A row of a kind that we do not know ends at once. */
static enum mm_class class_of(const struct gw_row *r)
{
    return r->kind ? r->kind->class : MM_CLASS_ANSWER;
}

/* How many may be under way so that one of this class may start: reactions never take the place of
 * an answer that comes next. */
static unsigned places(const struct gw_sender *s, enum mm_class c)
{
    unsigned kept = c == MM_CLASS_ANSWER ? 0 : c == MM_CLASS_CHANGE ? 1 : 2;

    return s->parallel > kept ? s->parallel - kept : 1;
}

void gw_sender_pump(struct gw_sender *s)
{
    int64_t now = mw_clock_mono(), next = INT64_MAX;
    struct gw_lane *l, *following;

    for (enum mm_class c = 0; c < MM_CLASSES; c++) {
        for (l = s->first; l && s->active < places(s, c); l = following) {
            following = l->next;
            if (class_of(l->head) == c && ready(s, l->head, now))
                gw_row_try(l->head);
        }
    }
    if (s->stopped)
        return;
    for (l = s->first; l; l = l->next) {
        const struct gw_row *r = l->head;

        if (!r->busy && !r->dropping)
            next = MW_MIN(next, r->unrecorded ? r->due : MW_MAX(r->due, s->hold_until));
    }
    if (gw_sender_may_load(s))
        next = MW_MIN(next, now + (s->load_failed ? 1000 : 1));
    if (next == INT64_MAX || s->active >= s->parallel)
        mw_timer_stop(s->timer);
    else if (next > now)
        mw_timer_start(s->timer, next - now);
    else
        mw_timer_start(s->timer, 1000); /* no account yet: gw_sender_retry comes sooner */
}

static void on_timer(void *userdata)
{
    struct gw_sender *s = userdata;

    if (s->more)
        gw_sender_load(s);
    gw_sender_pump(s);
}

/* ---- Rows from the store ---- */

struct loading {
    struct gw_sender *s;
    unsigned n;
    bool full, failed;
};

static struct gw_row *row_new(const struct gw_sender *s, const struct mw_outbox *o)
{
    struct gw_row *r = calloc(1, sizeof(*r));
    int64_t wait = o->not_before - mw_clock_now();
    int rc;

    if (!r)
        return NULL;
    r->upload_fd = -1;
    r->id = o->id;
    r->event_id = o->event_id;
    r->key = strdup(o->key);
    r->kind_name = strdup(o->kind);
    r->channel_id = strdup(o->channel_id);
    r->kind = gw_effect_kind_find(o->kind);
    r->state = o->state;
    r->attempts = o->attempts;
    r->first_tried_at = o->first_tried_at;
    r->unsure = o->state == MW_OUTBOX_SENDING;
    rc = mw_json_parse(o->payload, strlen(o->payload), &r->payload, NULL);
    if (rc || !cJSON_IsObject(r->payload))
        r->kind = NULL;
    /* Somebody may have set the clock since: never wait longer than a retry does. */
    r->due = wait > 0 ? mw_clock_mono() + MW_MIN(wait, s->retry_max_ms) : 0;
    mw_backoff_init(&r->backoff, s->retry_min_ms, s->retry_max_ms, 1);
    if (r->key && r->kind_name && r->channel_id && rc != -ENOMEM)
        return r;
    gw_row_free(r);
    return NULL;
}

/* The row is in memory already, or its lane has enough to do. */
static bool passed_over(struct gw_lane *l, int64_t id)
{
    if (id <= l->loaded_id)
        return true;
    if (!l->parked_from && l->n >= l->s->lane_rows)
        l->parked_from = id;
    return l->parked_from;
}

static bool load_row(const struct mw_outbox *o, void *userdata)
{
    struct loading *ld = userdata;
    struct gw_sender *s = ld->s;
    const char *key = o->conversation[0] ? o->conversation : o->channel_id;
    struct gw_lane *l = mw_map_get(&s->lanes, key);
    struct gw_row *r;

    ld->n++;
    if (l && passed_over(l, o->id)) {
        s->loaded_id = o->id;
        return true;
    }
    ld->full = s->rows >= s->window;
    if (ld->full)
        return false;
    r = row_new(s, o);
    l = r ? lane_get(s, key) : NULL;
    if (!l) {
        gw_row_free(r);
        ld->failed = true;
        return false;
    }
    r->lane = l;
    if (l->head)
        l->tail->next = r;
    else
        l->head = r;
    l->tail = r;
    l->n++;
    s->rows++;
    s->loaded_id = l->loaded_id = o->id;
    return true;
}

bool gw_sender_may_load(const struct gw_sender *s)
{
    return s->more && !s->drops && s->rows + s->lane_rows <= s->window;
}

void gw_sender_load(struct gw_sender *s)
{
    struct loading ld = {.s = s};
    int rc;

    if (s->rows >= s->window || s->drops) {
        s->more = true;
        return;
    }
    rc = mw_store_outbox(s->store, s->bot, 1u << MW_OUTBOX_PENDING | 1u << MW_OUTBOX_SENDING,
                         s->loaded_id, s->window, load_row, &ld);
    s->load_failed = rc < 0 || ld.failed;
    s->more = s->load_failed || ld.full || ld.n == s->window;
    if (s->load_failed && !mw_timer_active(s->timer))
        mw_timer_start(s->timer, 1000);
}

/* ---- Interface ---- */

int gw_sender_new(uv_loop_t *loop, const struct gw_sender_params *params, struct gw_sender **ret)
{
    struct gw_sender *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->loop = loop;
    s->store = params->store;
    s->parallel = params->parallel ? params->parallel : 4;
    s->window = params->window ? params->window : 500;
    s->lane_rows = MW_MAX(s->window / 25, 1);
    s->retry_min_ms = params->retry_min_ms ? params->retry_min_ms : 500;
    s->retry_max_ms = params->retry_max_ms ? params->retry_max_ms : 30000;
    s->on_delivery = params->on_delivery;
    s->on_progress = params->on_progress;
    s->userdata = params->userdata;
    mw_backoff_init(&s->hold, s->retry_min_ms, s->retry_max_ms, 1);
    mw_map_init(&s->lanes, NULL);
    s->bot = strdup(params->bot);
    if (!s->bot || mw_timer_new(loop, on_timer, s, &s->timer)) {
        gw_sender_free(s);
        return -ENOMEM;
    }
    gw_sender_load(s);
    *ret = s;
    return 0;
}

void gw_sender_free(struct gw_sender *s)
{
    if (!s)
        return;
    while (s->first) {
        struct gw_lane *l = s->first;

        while (l->head) {
            struct gw_row *r = l->head;

            l->head = r->next;
            gw_row_free(r);
        }
        lane_free(l);
    }
    mw_map_deinit(&s->lanes);
    mw_timer_free(s->timer);
    free(s->bot);
    free(s);
}

void gw_sender_set_client(struct gw_sender *s, struct mm_client *client)
{
    s->client = client;
    gw_sender_pump(s);
}

void gw_sender_wake(struct gw_sender *s)
{
    gw_sender_load(s);
    gw_sender_pump(s);
}

void gw_sender_retry(struct gw_sender *s)
{
    s->hold_until = 0;
    mw_backoff_healthy(&s->hold, mw_clock_mono());
    for (struct gw_lane *l = s->first; l; l = l->next)
        l->head->due = 0;
    gw_sender_pump(s);
}

const char *gw_sender_delivered(const struct gw_sender *s, const char *key)
{
    for (const struct gw_lane *l = s->first; l; l = l->next) {
        if (l->head->state == MW_OUTBOX_SENT && mw_streq(l->head->key, key))
            return l->head->result_id;
    }
    return NULL;
}

static struct gw_row *find_row(struct gw_sender *s, int64_t id)
{
    for (const struct gw_lane *l = s->first; l; l = l->next) {
        for (struct gw_row *r = l->head; r; r = r->next) {
            if (r->id == id)
                return r;
        }
    }
    return NULL;
}

void gw_sender_hurry(struct gw_sender *s, int64_t id)
{
    struct gw_row *r = find_row(s, id);

    if (!r || r->busy)
        return;
    r->due = 0;
    s->hold_until = 0;
    gw_sender_pump(s);
}

int gw_sender_drop_begin(struct gw_sender *s, int64_t id)
{
    struct gw_row *r = find_row(s, id);

    if (r && (r->busy || r->unrecorded || r->dropping))
        return 1;
    if (r)
        r->dropping = true;
    s->drops++;
    return 0;
}

static void take_out(struct gw_row *r)
{
    struct gw_lane *l = r->lane;
    struct gw_row *before = l->head;

    if (before == r) {
        gw_lane_pop(l);
        return;
    }
    while (before->next != r)
        before = before->next;
    before->next = r->next;
    if (l->tail == r)
        l->tail = before;
    shrink(l);
}

void gw_sender_drop_end(struct gw_sender *s, int64_t id, bool dropped)
{
    struct gw_row *r = find_row(s, id);

    s->drops -= s->drops > 0; /* begun in an earlier life of the bot */
    if (r && dropped) {
        r->state = MW_OUTBOX_DROPPED;
        (void)!mw_str_set(&r->error, "somebody dropped it");
        gw_row_tell(s, r);
        take_out(r);
        gw_row_free(r);
    } else if (r) {
        r->dropping = false;
    }
    gw_sender_wake(s);
}

void gw_sender_stop(struct gw_sender *s)
{
    s->stopped = true;
    mw_timer_stop(s->timer);
}

bool gw_sender_busy(const struct gw_sender *s)
{
    int64_t now = mw_clock_mono();

    if (s->active)
        return true;
    for (const struct gw_lane *l = s->first; l; l = l->next) {
        if (ready(s, l->head, now))
            return true;
    }
    return false;
}

void gw_sender_get_stats(const struct gw_sender *s, struct gw_sender_stats *ret)
{
    *ret = s->stats;
    ret->waiting = s->rows;
    for (const struct gw_lane *l = s->first; l && !ret->last_error; l = l->next)
        ret->last_error = l->head->error;
}
