#include "mattermost/feed.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

enum {
    DEFAULT_LIMIT = 32 * 1024 * 1024,
    ITEMS_PER_TURN = 256, /* then the loop has its turn */
    USERS_PER_QUESTION = 200,
    ASK_TRIES = 5,
    ASK_MIN_MS = 500,
    ASK_MAX_MS = 8000,
    UNKNOWN_LIMIT = 1000,
    MAX_RETRY_AFTER_MS = 60 * 1000,
};

static void pump(struct mm_feed *f);

static void on_timer(uv_timer_t *timer)
{
    pump(timer->data);
}

static void wake(struct mm_feed *f, int64_t ms)
{
    uv_timer_start(f->timer, on_timer, (uint64_t)MW_MAX(ms, 0), 0);
}

int mm_feed_init(struct mm_feed *f, uv_loop_t *loop, struct mm_client *client,
                 struct mm_normaliser *normaliser, size_t limit, const struct mm_feed_ops *ops,
                 void *userdata)
{
    *f = (struct mm_feed){.client = client,
                          .normaliser = normaliser,
                          .limit = limit ? limit : DEFAULT_LIMIT,
                          .holding = true,
                          .ops = ops,
                          .userdata = userdata};
    f->timer = malloc(sizeof(*f->timer));
    f->asked = calloc(USERS_PER_QUESTION, sizeof(*f->asked));
    if (!f->timer || !f->asked) {
        free(take_ptr(f->timer));
        free(take_ptr(f->asked));
        return -ENOMEM;
    }
    uv_timer_init(loop, f->timer);
    f->timer->data = f;
    mw_backoff_init(&f->backoff, ASK_MIN_MS, ASK_MAX_MS, INT64_MAX);
    mw_map_init(&f->unknown, NULL);
    return 0;
}

static void free_node(struct mm_feed_node *node)
{
    mm_item_deinit(&node->item);
    free(node);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

void mm_feed_deinit(struct mm_feed *f)
{
    struct mm_feed_queue *queues[] = {&f->live, &f->found};

    if (!f->timer)
        return;
    for (size_t i = 0; i < MW_ARRAY_LEN(queues); i++) {
        while (queues[i]->first) {
            struct mm_feed_node *node = queues[i]->first;

            queues[i]->first = node->next;
            free_node(node);
        }
    }
    mm_cancel(f->client, f);
    mw_map_deinit(&f->unknown);
    free(take_ptr(f->asked));
    uv_close((uv_handle_t *)f->timer, on_timer_closed);
    f->timer = NULL;
    if (f->freed)
        *f->freed = true;
}

static void append(struct mm_feed *f, struct mm_feed_queue *q, struct mm_feed_node *node)
{
    *(q->last ? &q->last->next : &q->first) = node;
    q->last = node;
    q->bytes += node->item.cost + sizeof(*node);
    f->was_full |= q->bytes > f->limit;
}

static void remove_first(struct mm_feed_queue *q)
{
    struct mm_feed_node *node = q->first;

    q->first = node->next;
    if (!q->first)
        q->last = NULL;
    node->next = NULL;
    q->bytes -= node->item.cost + sizeof(*node);
}

bool mm_feed_live_full(const struct mm_feed *f)
{
    return f->live.bytes > f->limit;
}

bool mm_feed_found_full(const struct mm_feed *f)
{
    return f->found.bytes > f->limit;
}

bool mm_feed_empty(const struct mm_feed *f)
{
    return !f->live.first && !f->found.first;
}

/* ---- Missing names ---- */

static bool is_missing(const struct mm_feed *f, const struct mm_item *item, struct mm_missing *ret)
{
    if (!mm_item_missing(f->normaliser, item, ret))
        return false;
    if (ret->user_id && mw_map_get(&f->unknown, ret->user_id))
        ret->user_id = NULL;
    if (ret->channel_id && mw_map_get(&f->unknown, ret->channel_id))
        ret->channel_id = NULL;
    if (ret->team_id && mw_map_get(&f->unknown, ret->team_id))
        ret->team_id = NULL;
    return ret->user_id || ret->channel_id || ret->team_id;
}

/* The server told nothing about what it was asked for: do not ask again. */
static int note_unknown(struct mm_feed *f, const char *id)
{
    if (f->unknown.count >= UNKNOWN_LIMIT)
        mw_map_clear(&f->unknown);
    return mw_map_put(&f->unknown, id, f);
}

/* An answer came: on with it, or once more later, or without the names. */
static void asked(struct mm_feed *f, const struct mm_result *r,
                  bool (*is_known)(const struct mm_feed *f, const char *id))
{
    bool answered = r->outcome == MM_OK || r->outcome == MM_NOT_FOUND ||
                    r->outcome == MM_FORBIDDEN || r->outcome == MM_REFUSED;

    f->asking = false;
    for (size_t i = 0; answered && i < f->n_asked; i++)
        if (!is_known(f, f->asked[i]) && note_unknown(f, f->asked[i]) < 0)
            f->skip_head = true;
    if (answered) {
        f->tries = 0;
        wake(f, 0);
        return;
    }
    if (++f->tries < ASK_TRIES) {
        int64_t wait = mw_backoff_next(&f->backoff, mw_clock_mono());

        f->ask_after =
            mw_clock_mono() + MW_MAX(wait, MW_MIN(r->retry_after_ms, MAX_RETRY_AFTER_MS));
        wake(f, 0);
        return;
    }
    f->tries = 0;
    f->skip_head = true;
    wake(f, 0);
}

static bool knows_user(const struct mm_feed *f, const char *id)
{
    return mm_cached_user(f->client, id);
}

static bool knows_channel(const struct mm_feed *f, const char *id)
{
    return mm_cached_channel(f->client, id);
}

static bool knows_team(const struct mm_feed *f, const char *id)
{
    return mm_cached_team(f->client, id);
}

static void on_users(struct mm_result *r, void *userdata)
{
    asked(userdata, r, knows_user);
}

static void on_channel(struct mm_result *r, void *userdata)
{
    struct mm_feed *f = userdata;
    struct mm_channel ch;

    if (r->outcome == MM_OK && mm_channel_read(r->body, &ch, NULL) == 0 &&
        mm_learn_channel(f->client, &ch) < 0)
        f->skip_head = true;
    asked(f, r, knows_channel);
}

static void on_team(struct mm_result *r, void *userdata)
{
    struct mm_feed *f = userdata;
    struct mm_team team;

    if (r->outcome == MM_OK && mm_team_read(r->body, &team, NULL) == 0 &&
        mm_learn_team(f->client, &team) < 0)
        f->skip_head = true;
    asked(f, r, knows_team);
}

static bool was_noted(const struct mm_feed *f, const char *id)
{
    for (size_t i = 0; i < f->n_asked; i++)
        if (strcmp(f->asked[i], id) == 0)
            return true;
    return false;
}

/* Users of the items from `head` on that are not known. */
static int ask_users(struct mm_feed *f, const struct mm_feed_node *head)
{
    const char *ids[USERS_PER_QUESTION];
    struct mm_missing missing;

    f->n_asked = 0;
    for (int i = 0; head && i < USERS_PER_QUESTION; head = head->next, i++) {
        if (head->mark != MM_MARK_NONE || !is_missing(f, &head->item, &missing) ||
            !missing.user_id || was_noted(f, missing.user_id))
            continue;
        memcpy(f->asked[f->n_asked], missing.user_id, MW_ID_SIZE);
        ids[f->n_asked] = f->asked[f->n_asked];
        f->n_asked++;
    }
    return mm_fetch_users(f->client, ids, f->n_asked, on_users, f);
}

/* Asks for what the first item lacks; for users also what those behind it lack. */
static void ask(struct mm_feed *f, const struct mm_feed_node *head,
                const struct mm_missing *missing)
{
    const char *id = missing->channel_id ? missing->channel_id : missing->team_id;
    MW_AUTOFREE char *path = NULL;
    int r;

    if (missing->user_id) {
        r = ask_users(f, head);
    } else {
        memcpy(f->asked[0], id, MW_ID_SIZE);
        f->n_asked = 1;
        path = mw_asprintf("/%s/%s", missing->channel_id ? "channels" : "teams", id);
        r = path ? mm_call(f->client, "GET", path, NULL, missing->channel_id ? on_channel : on_team,
                           f)
                 : -ENOMEM;
    }
    if (r < 0)
        wake(f, ASK_MIN_MS);
    else
        f->asking = true;
}

/* ---- Giving ---- */

/* Returns false when the feed is gone. */
static bool give(struct mm_feed *f, struct mm_item *item)
{
    bool freed = false;

    f->freed = &freed;
    /* Without memory the event goes without the copy of its raw form. */
    (void)mm_item_fill(f->normaliser, item);
    f->ops->on_item(item, f->userdata);
    if (!freed)
        f->freed = NULL;
    return !freed;
}

static bool give_node(struct mm_feed *f, struct mm_feed_node *node)
{
    bool freed = false, alive;

    if (node->mark == MM_MARK_NONE) {
        alive = give(f, &node->item);
    } else {
        f->freed = &freed;
        f->ops->on_mark(node, f->userdata);
        alive = !freed;
        if (alive)
            f->freed = NULL;
    }
    free_node(node);
    return alive;
}

static void pump(struct mm_feed *f)
{
    if (f->asking)
        return;
    for (int i = 0; !f->paused && i < ITEMS_PER_TURN; i++) {
        struct mm_feed_queue *q = f->live.first && !f->live.first->held ? &f->live : &f->found;
        struct mm_feed_node *node = q->first;
        struct mm_missing missing;

        if (!node)
            break;
        if (node->mark == MM_MARK_NONE && !f->skip_head && is_missing(f, &node->item, &missing)) {
            int64_t wait = f->ask_after - mw_clock_mono();

            if (wait > 0)
                wake(f, wait);
            else
                ask(f, node, &missing);
            break;
        }
        f->skip_head = false;
        remove_first(q);
        if (!give_node(f, node))
            return;
        /* Not 0: a timer that is due at once runs again before the loop looks at anything else. */
        if (i == ITEMS_PER_TURN - 1)
            wake(f, 1);
    }
    if (f->was_full && (f->live.bytes <= f->limit / 2 || f->found.bytes <= f->limit / 2)) {
        f->was_full = f->live.bytes > f->limit || f->found.bytes > f->limit;
        f->ops->on_room(f->userdata);
    }
}

static struct mm_feed_node *new_node(struct mm_item *item)
{
    struct mm_feed_node *node = calloc(1, sizeof(*node));

    if (node && item)
        node->item = *item;
    else if (item)
        mm_item_deinit(item);
    return node;
}

int mm_feed_live(struct mm_feed *f, struct mm_item *item)
{
    struct mm_missing missing;
    struct mm_feed_node *node;

    /* The common case: nothing waits and everything is known. */
    if (mm_feed_empty(f) && !f->paused && !f->holding && !is_missing(f, item, &missing)) {
        bool alive = give(f, item);

        mm_item_deinit(item);
        return alive ? 0 : -ECANCELED;
    }
    /* Nobody wants to know later that somebody was typing. */
    if (item->ev.kind == MW_EVENT_TYPING) {
        mm_item_deinit(item);
        return 0;
    }
    node = new_node(item);
    if (!node)
        return -ENOMEM;
    node->held = f->holding;
    append(f, &f->live, node);
    if (!f->asking)
        wake(f, 0);
    return 0;
}

int mm_feed_found(struct mm_feed *f, struct mm_item *item)
{
    struct mm_feed_node *node = new_node(item);

    free(item);
    if (!node)
        return -ENOMEM;
    append(f, &f->found, node);
    if (!f->asking)
        wake(f, 0);
    return 0;
}

int mm_feed_mark(struct mm_feed *f, enum mm_mark mark, const char *channel_id, int64_t seen_at,
                 const char *post_id, int64_t post_at)
{
    struct mm_feed_node *node = new_node(NULL);

    if (!node)
        return -ENOMEM;
    node->mark = mark;
    if (mw_id_valid(channel_id))
        memcpy(node->channel_id, channel_id, MW_ID_SIZE);
    if (mw_id_valid(post_id))
        memcpy(node->post_id, post_id, MW_ID_SIZE);
    node->seen_at = seen_at;
    node->post_at = post_at;
    append(f, &f->found, node);
    if (!f->asking)
        wake(f, 0);
    return 0;
}

void mm_feed_hold(struct mm_feed *f, bool hold)
{
    f->holding = hold;
    if (hold)
        return;
    for (struct mm_feed_node *node = f->live.first; node; node = node->next)
        node->held = false;
    if (f->live.first && !f->asking)
        wake(f, 0);
}

void mm_feed_pause(struct mm_feed *f, bool paused)
{
    f->paused = paused;
    if (!paused && !f->asking)
        wake(f, 0);
}
