#include "mattermost/catchup.h"

#include <string.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/str.h"
#include "mattermost/page.h"

enum {
    OVERLAP_MS = 5000,
    SINCE_CAP = 1000,
    PAGE = 200,
    CALL_TRIES = 5,
    RETRY_MIN_MS = 500,
    RETRY_MAX_MS = 8000,
    CONCURRENT = 4,
    MERGE_BYTES = 8 * 1024 * 1024,
    CLOCK_ERROR_MS = 1000,   /* a Date header is good to a second */
    OVERDUE_MS = 10000,      /* a live post takes less than this to arrive */
    HOT_MS = 10 * 60 * 1000, /* a channel is hot for so long after a post */
    MAX_SAME_TIME_PAGES = 1000,
    MAX_RETRY_AFTER_MS = 60 * 1000, /* what a server may ask for before a call is tried again */
};

enum stage {
    STAGE_SINCE,   /* ask with `since` */
    STAGE_BACK,    /* page back for a place to start from */
    STAGE_FORWARD, /* page on from there */
    STAGE_DONE,
};

struct channel {
    struct mm_catchup *cu;
    char id[MW_ID_SIZE];
    int64_t last_post_at, create_at;
    struct mw_position pos;
    bool known; /* the owner has a position */
    bool sweep; /* only for edits and deletions */
    unsigned per_page;
    bool merging; /* its items are in the merge buffer */
    int64_t since, new_from;
    enum stage stage;
    char anchor[MW_ID_SIZE];
    unsigned page; /* of the anchor: only when one millisecond fills a whole page */
    unsigned tries;
    struct mw_backoff backoff;
    int64_t not_before; /* monotonic */
    bool running;
    /* For on_covered. */
    int64_t seen_at, newest_at;
    char newest_id[MW_ID_SIZE];
    bool found;
};

struct merge_item {
    struct mm_item *item;
    size_t order;
};

struct mm_catchup {
    uv_timer_t timer;
    struct mm_catchup_params p;
    char *only_channel;
    int64_t started_at;
    struct channel *channels; /* all that need a call: first the posts phase, then the sweep */
    size_t n_channels, n_posts_phase, next_channel, done_channels;
    unsigned running;
    unsigned list_tries;
    struct mw_backoff list_backoff;
    bool listed, paused, posts_done, dead;
    struct merge_item *merge;
    size_t n_merge, cap_merge, merge_bytes;
    struct mm_catchup_result result;
    char *note;
};

static void step(struct mm_catchup *cu);
static void list(struct mm_catchup *cu);

/* "" when it is no id. */
static void copy_id(char *ret, const char *id)
{
    ret[0] = '\0';
    if (mw_id_valid(id))
        memcpy(ret, id, MW_ID_SIZE);
}

static void on_timer(uv_timer_t *timer)
{
    struct mm_catchup *cu = timer->data;

    if (cu->listed)
        step(cu);
    else if (cu->running == 0) /* also woken by the end of a pause */
        list(cu);
}

static void wake(struct mm_catchup *cu, int64_t ms)
{
    if (!cu->dead)
        uv_timer_start(&cu->timer, on_timer, (uint64_t)MW_MAX(ms, 0), 0);
}

/* Ends the run. The owner may free it in here: nothing may follow. */
static void end(struct mm_catchup *cu, enum mm_outcome outcome, const struct mw_error *err,
                int64_t retry_after_ms)
{
    if (cu->dead)
        return;
    cu->dead = true;
    uv_timer_stop(&cu->timer);
    mm_cancel(cu->p.client, cu);
    for (size_t i = 0; i < cu->n_channels; i++)
        mm_cancel(cu->p.client, &cu->channels[i]);
    cu->result.outcome = outcome;
    cu->result.err = err;
    cu->result.started_at = cu->started_at;
    cu->result.note = cu->note;
    cu->result.retry_after_ms = retry_after_ms;
    cu->p.ops->on_end(&cu->result, cu->p.userdata);
}

static void end_nomem(struct mm_catchup *cu)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    mw_error_set(&err, -ENOMEM, "out of memory");
    end(cu, MM_UNREACHABLE, &err, -1);
}

static bool may_retry(enum mm_outcome o)
{
    return o == MM_UNREACHABLE || o == MM_AMBIGUOUS || o == MM_BAD_ANSWER;
}

/* ---- Giving items ---- */

static int compare_items(const void *a, const void *b)
{
    const struct merge_item *x = a, *y = b;

    if (x->item->ev.at != y->item->ev.at)
        return x->item->ev.at < y->item->ev.at ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void give(struct mm_catchup *cu, struct mm_item *item)
{
    /* The owner may have freed the run when it got the one before. */
    if (cu->dead)
        mm_item_free(item);
    else
        cu->p.ops->on_item(item, cu->p.userdata);
}

/* Only now that the owner has the items: those of a run that ends early are fetched again. */
static void note_fetched(struct mm_catchup *cu, const struct channel *ch)
{
    int64_t *mark = mw_map_get(cu->p.fetched, ch->id);

    if (mark) {
        *mark = MW_MAX(*mark, ch->last_post_at);
    } else if ((mark = malloc(sizeof(*mark)))) {
        /* Without memory for the mark the channel is merely fetched again. */
        *mark = ch->last_post_at;
        if (mw_map_put(cu->p.fetched, ch->id, mark) < 0)
            free(mark);
    }
}

static void cover(struct mm_catchup *cu, const struct channel *ch)
{
    if (cu->dead)
        return;
    note_fetched(cu, ch);
    /* A sweep that found nothing has nothing to say. */
    if (ch->sweep && !ch->found)
        return;
    cu->p.ops->on_covered(ch->id, ch->seen_at, ch->newest_id, ch->newest_at, cu->p.userdata);
}

/* Gives what the merge buffer has, in order of time, and covers the channels that are complete. */
static void flush_merge(struct mm_catchup *cu)
{
    if (cu->n_merge)
        qsort(cu->merge, cu->n_merge, sizeof(*cu->merge), compare_items);
    for (size_t i = 0; i < cu->n_merge; i++)
        give(cu, cu->merge[i].item);
    cu->n_merge = cu->merge_bytes = 0;
    for (size_t i = 0; i < cu->n_channels; i++) {
        struct channel *ch = &cu->channels[i];

        if (!ch->merging)
            continue;
        ch->merging = false;
        cover(cu, ch);
    }
}

static int put_item(struct channel *ch, struct mm_item *item, bool merge)
{
    struct mm_catchup *cu = ch->cu;
    struct mm_item *copy = malloc(sizeof(*copy));
    struct merge_item *grown;

    if (!copy) {
        mm_item_deinit(item);
        return -ENOMEM;
    }
    *copy = *item;
    if (copy->ev.kind == MW_EVENT_POST && copy->ev.at >= ch->newest_at) {
        ch->newest_at = copy->ev.at;
        copy_id(ch->newest_id, copy->ev.post_id);
    }
    ch->seen_at = MW_MAX(ch->seen_at, MW_MAX(copy->ev.at, copy->ev.revision));
    ch->seen_at = MW_MAX(ch->seen_at, copy->deleted_at);
    ch->found = true;
    if (!merge) {
        give(cu, copy);
        return 0;
    }
    if (cu->n_merge == cu->cap_merge) {
        size_t cap = cu->cap_merge ? cu->cap_merge * 2 : 256;

        grown = realloc(cu->merge, cap * sizeof(*grown));
        if (!grown) {
            mm_item_free(copy);
            return -ENOMEM;
        }
        cu->merge = grown;
        cu->cap_merge = cap;
    }
    cu->merge[cu->n_merge] = (struct merge_item){.item = copy, .order = cu->n_merge};
    cu->n_merge++;
    cu->merge_bytes += copy->cost;
    return 0;
}

static int put_reactions(struct channel *ch, const struct mm_post *post, bool merge)
{
    const cJSON *reaction;

    if (post->delete_at > 0)
        return 0;
    cJSON_ArrayForEach(reaction, mw_json_arr(post->metadata, "reactions"))
    {
        struct mm_item item;
        int r;

        if (mw_json_i64(reaction, "create_at", 0) < MW_MAX(ch->since, ch->new_from))
            continue;
        r = mm_item_from_reaction(ch->cu->p.normaliser, reaction, ch->id, post->root_id, &item,
                                  NULL);
        if (r == 0)
            r = put_item(ch, &item, merge);
        if (r == -ENOMEM)
            return r;
        ch->cu->result.malformed += r == -EINVAL;
    }
    return 0;
}

/* Turns one post into items; takes it over. */
static int put_post(struct channel *ch, cJSON *json, bool merge)
{
    struct mm_catchup *cu = ch->cu;
    MW_AUTOJSON *owned = json;
    struct mm_post post;
    struct mm_item item;
    int r;

    /* One malformed post among good ones is no reason to lose these. */
    if (mm_post_read(owned, &post, NULL) < 0) {
        cu->result.malformed++;
        return 0;
    }
    if (*post.original_id)
        return 0;
    ch->seen_at = MW_MAX(ch->seen_at, post.create_at);
    if (cu->p.overdue_since && ch->known && post.create_at > cu->p.overdue_since &&
        post.create_at > ch->pos.post_at && post.create_at < cu->started_at - cu->p.overdue_ms)
        cu->result.overdue++;
    r = put_reactions(ch, &post, merge);
    if (r < 0)
        return r;
    r = mm_item_from_post(cu->p.normaliser, take_ptr(owned), ch->since, ch->new_from, &item, NULL);
    if (r == 0)
        r = put_item(ch, &item, merge);
    cu->result.malformed += r == -EINVAL;
    return r == -ENOMEM ? r : 0;
}

/* ---- Channels ---- */

static void finish_channel(struct channel *ch)
{
    struct mm_catchup *cu = ch->cu;

    ch->stage = STAGE_DONE;
    cu->done_channels++;
    if (!ch->merging)
        cover(cu, ch);
}

static void skip_channel(struct channel *ch, const struct mm_result *r)
{
    struct mm_catchup *cu = ch->cu;

    free(cu->note);
    cu->note = mw_asprintf("channel %s was skipped: %s", ch->id, mw_error_text(&r->err));
    cu->result.skipped++;
    ch->stage = STAGE_DONE;
    cu->done_channels++;
}

/* Takes the posts of a page that are new, oldest first, and finds where the next page begins. */
static int take_page(struct channel *ch, struct mm_page *page)
{
    for (size_t i = 0; i < page->n; i++) {
        int r = put_post(ch, mm_page_take(page, i), false);

        if (r < 0)
            return r;
    }
    return 0;
}

static void start_paging(struct channel *ch)
{
    ch->stage = STAGE_BACK;
    copy_id(ch->anchor, ch->pos.post_id);
}

static int on_since(struct channel *ch, struct mm_page *page)
{
    bool capped = page->listed >= SINCE_CAP;

    for (size_t i = 0; i < page->n; i++) {
        int r;

        /* At the cap, new posts are paged for; edits and deletions of older ones come from here. */
        if (capped && page->posts[i].create_at >= ch->since)
            continue;
        r = put_post(ch, mm_page_take(page, i), !ch->sweep && !capped);
        if (r < 0)
            return r;
    }
    if (capped) {
        start_paging(ch);
    } else {
        ch->merging = !ch->sweep;
        finish_channel(ch);
    }
    return 0;
}

/* A page that was asked for. */
struct place {
    char anchor[MW_ID_SIZE];
    unsigned page;
};

static struct place place_of(const struct channel *ch)
{
    struct place p = {.page = ch->page};

    memcpy(p.anchor, ch->anchor, sizeof(p.anchor));
    return p;
}

/* A server that gives the same page again and again must not keep us for ever. */
static int check_progress(const struct channel *ch, const struct place *from)
{
    if (ch->page == 0)
        return strcmp(ch->anchor, from->anchor) == 0 ? -EINVAL : 0;
    return ch->page > MAX_SAME_TIME_PAGES ? -EINVAL : 0;
}

static int on_back(struct channel *ch, struct mm_page *page)
{
    const struct mm_page_post *oldest = page->n ? &page->posts[0] : NULL;

    if (oldest && oldest->create_at >= ch->since && page->listed >= ch->per_page) {
        struct place from = place_of(ch);

        mm_page_anchor_back(page, ch->anchor, &ch->page);
        return check_progress(ch, &from);
    }
    if (!oldest) {
        /* The anchor is gone from the server: begin at the newest post. */
        if (*ch->anchor)
            ch->anchor[0] = '\0';
        else
            finish_channel(ch);
        ch->page = 0;
        return 0;
    }
    ch->stage = STAGE_FORWARD;
    ch->page = 0;
    mm_page_anchor_start(page, ch->anchor);
    return take_page(ch, page);
}

static int on_forward(struct channel *ch, struct mm_page *page)
{
    bool last = page->listed < ch->per_page;
    struct place from = place_of(ch);

    if (!last)
        mm_page_anchor_forward(page, ch->anchor, &ch->page);
    if (!last && check_progress(ch, &from) < 0)
        return -EINVAL;
    if (take_page(ch, page) < 0)
        return -ENOMEM;
    if (last)
        finish_channel(ch);
    return 0;
}

static int take_answer(struct channel *ch, struct mm_page *page)
{
    switch (ch->stage) {
    case STAGE_SINCE:
        return on_since(ch, page);
    case STAGE_BACK:
        return on_back(ch, page);
    default:
        return on_forward(ch, page);
    }
}

static void on_posts(struct mm_result *r, void *userdata)
{
    struct channel *ch = userdata;
    struct mm_catchup *cu = ch->cu;
    struct mm_page page;
    int k;

    cu->running--;
    ch->running = false;
    /* An answer over the limit has more than a page can hold: page for it. */
    if (r->outcome == MM_BAD_ANSWER && r->err.code == -E2BIG && ch->per_page > 1) {
        if (ch->stage == STAGE_SINCE) {
            start_paging(ch);
        } else {
            ch->per_page /= 2;
            ch->page *= 2;
        }
        step(cu);
        return;
    }
    if (may_retry(r->outcome) && ++ch->tries < CALL_TRIES) {
        int64_t wait = mw_backoff_next(&ch->backoff, mw_clock_mono());

        ch->not_before =
            mw_clock_mono() + MW_MAX(wait, MW_MIN(r->retry_after_ms, MAX_RETRY_AFTER_MS));
        step(cu);
        return;
    }
    if (r->outcome == MM_FORBIDDEN || r->outcome == MM_NOT_FOUND || r->outcome == MM_REFUSED) {
        skip_channel(ch, r);
        step(cu);
        return;
    }
    if (r->outcome != MM_OK) {
        end(cu, r->outcome, &r->err, r->retry_after_ms);
        return;
    }
    ch->tries = 0;
    k = mm_page_read(r->body, &page);
    if (k == 0) {
        ch->cu->result.malformed += (unsigned)(page.listed - page.n);
        k = take_answer(ch, &page);
        mm_page_deinit(&page);
    }
    if (k == -EINVAL) {
        MW_AUTOERROR err = MW_ERROR_INIT;

        mw_error_set(&err, k,
                     "the server's list of posts of channel %s is no list or does not go on",
                     ch->id);
        end(cu, MM_BAD_ANSWER, &err, -1);
        return;
    }
    if (k < 0) {
        end_nomem(cu);
        return;
    }
    step(cu);
}

static int ask(struct channel *ch)
{
    MW_AUTOBUF path = {0};
    int r;

    mw_buf_printf(&path, "/channels/%s/posts?", ch->id);
    if (ch->stage == STAGE_SINCE) {
        mw_buf_printf(&path, "since=%lld", (long long)MW_MAX(ch->since, 1));
    } else {
        mw_buf_printf(&path, "per_page=%u&page=%u", ch->per_page, ch->page);
        if (*ch->anchor)
            mw_buf_printf(&path, "&%s=%s", ch->stage == STAGE_BACK ? "before" : "after",
                          ch->anchor);
    }
    mw_buf_puts(&path, "&skipFetchThreads=true");
    if (mw_buf_error(&path))
        return -ENOMEM;
    r = mm_call(ch->cu->p.client, "GET", mw_buf_str(&path), NULL, on_posts, ch);
    if (r < 0)
        return r;
    ch->running = true;
    ch->cu->running++;
    return 0;
}

/* Begins what may begin. Calls back at its end only, as the owner may free the run there. */
static void step(struct mm_catchup *cu)
{
    int64_t now = mw_clock_mono(), soonest = INT64_MAX;
    size_t end_at = cu->posts_done ? cu->n_channels : cu->n_posts_phase;
    unsigned limit = cu->posts_done ? 1 : CONCURRENT;

    if (cu->dead || cu->paused)
        return;
    for (size_t i = cu->next_channel; i < end_at && cu->running < limit; i++) {
        struct channel *ch = &cu->channels[i];

        if (ch->stage == STAGE_DONE && i == cu->next_channel)
            cu->next_channel++;
        if (ch->stage == STAGE_DONE || ch->running)
            continue;
        if (ch->not_before > now) {
            soonest = MW_MIN(soonest, ch->not_before);
            continue;
        }
        if (ask(ch) < 0) {
            /* The client's queue is full of others' calls. */
            ch->not_before = now + RETRY_MIN_MS;
            soonest = MW_MIN(soonest, ch->not_before);
        }
    }
    if (cu->merge_bytes > MERGE_BYTES)
        flush_merge(cu);
    if (cu->running == 0 && soonest != INT64_MAX)
        wake(cu, soonest - now);
    if (cu->done_channels < end_at || cu->running)
        return;
    if (!cu->posts_done) {
        flush_merge(cu);
        if (cu->dead)
            return;
        cu->posts_done = true;
        /* Goes on from the loop, as the owner may free the run in here. */
        wake(cu, 0);
        cu->p.ops->on_posts_done(cu->p.userdata);
        return;
    }
    end(cu, MM_OK, NULL, -1);
}

/* ---- The list ---- */

static int64_t fetched_mark(const struct mm_catchup *cu, const char *id)
{
    const int64_t *mark = mw_map_get(cu->p.fetched, id);

    return mark ? *mark : 0;
}

/* Decides what the channel needs. Returns 1 when it has to be asked for posts, 0, or a negative
 * errno: the position cannot be read. */
static int judge(struct mm_catchup *cu, struct channel *ch)
{
    int64_t floor = cu->p.floor;
    int r = cu->p.ops->position(ch->id, &ch->pos, cu->p.userdata);

    if (r < 0)
        return r;
    ch->known = r == 0;
    if (!ch->known)
        ch->pos = (struct mw_position){0};
    ch->seen_at = ch->pos.seen_at;
    ch->newest_at = ch->pos.post_at;
    copy_id(ch->newest_id, ch->pos.post_id);
    if (cu->p.only_channel) {
        ch->since = cu->p.only_since ? cu->p.only_since : ch->create_at;
        return true;
    }
    if (!ch->known) {
        bool nothing_new = floor && ch->last_post_at < floor - OVERLAP_MS;

        if (floor == 0 || nothing_new) {
            /* Our idea of the server's clock may be ahead of it. */
            ch->seen_at = MW_MAX(cu->started_at - CLOCK_ERROR_MS, ch->last_post_at + 1);
            ch->newest_at = ch->last_post_at;
            cover(cu, ch);
            return false;
        }
        ch->since = floor - OVERLAP_MS;
        ch->new_from = floor;
        return true;
    }
    ch->since = (floor && floor < ch->pos.seen_at ? floor : ch->pos.seen_at) - OVERLAP_MS;
    ch->new_from = ch->pos.from_at;
    if (ch->last_post_at > MW_MAX(ch->pos.post_at, fetched_mark(cu, ch->id)))
        return true;
    return !cu->p.compare_only && !ch->pos.confirmed;
}

static int compare_newest_first(const void *a, const void *b)
{
    const struct channel *x = a, *y = b;

    if (x->last_post_at == y->last_post_at)
        return 0;
    return x->last_post_at > y->last_post_at ? -1 : 1;
}

/* Which of the channels without new posts are asked for edits: all after a gap, some in a poll. */
static size_t choose_sweep(struct mm_catchup *cu, struct channel *rest, size_t n)
{
    int64_t floor = cu->p.sweep && cu->p.sweep_floor ? cu->p.sweep_floor : cu->p.floor;
    size_t chosen = 0;

    qsort(rest, n, sizeof(*rest), compare_newest_first);
    if (floor == 0 || (!cu->p.sweep && !cu->p.hot))
        return 0;
    for (size_t i = 0; i < n; i++) {
        struct channel *ch = &rest[i];

        if (ch->last_post_at == 0 ||
            (!cu->p.sweep && (chosen >= cu->p.hot || ch->last_post_at < cu->started_at - HOT_MS)))
            break;
        if (!ch->known)
            continue;
        ch->sweep = true;
        ch->since = floor - OVERLAP_MS;
        rest[chosen++] = *ch;
    }
    return chosen;
}

static void start_channels(struct mm_catchup *cu, const cJSON *answer)
{
    size_t n = (size_t)cJSON_GetArraySize(answer), posts = 0, rest = n;
    const cJSON *item;
    int needs;

    cu->listed = true;
    cu->channels = calloc(n + 1, sizeof(*cu->channels));
    if (!cu->channels) {
        end_nomem(cu);
        return;
    }
    cJSON_ArrayForEach(item, answer)
    {
        struct mm_channel read;
        struct channel ch = {.cu = cu, .per_page = PAGE};

        if (mm_channel_read(item, &read, NULL) < 0 || !mw_id_valid(read.id))
            continue;
        cu->result.channels++;
        copy_id(ch.id, read.id);
        ch.last_post_at = read.last_post_at;
        ch.create_at = read.create_at;
        mw_backoff_init(&ch.backoff, RETRY_MIN_MS, RETRY_MAX_MS, INT64_MAX);
        needs = judge(cu, &ch);
        if (needs < 0) {
            MW_AUTOERROR err = MW_ERROR_INIT;

            mw_error_set(&err, needs, "the position in channel %s cannot be read: %s", ch.id,
                         strerror(-needs));
            end(cu, MM_UNREACHABLE, &err, -1);
            return;
        }
        /* From the front those with new posts, from the back the others. */
        if (needs)
            cu->channels[posts++] = ch;
        else
            cu->channels[--rest] = ch;
    }
    memmove(cu->channels + posts, cu->channels + rest, (n - rest) * sizeof(*cu->channels));
    cu->n_posts_phase = posts;
    cu->n_channels = posts + choose_sweep(cu, cu->channels + posts, n - rest);
    step(cu);
}

static void on_list(struct mm_result *r, void *userdata)
{
    struct mm_catchup *cu = userdata;
    cJSON *array;

    cu->running--;
    if (may_retry(r->outcome) && ++cu->list_tries < CALL_TRIES) {
        int64_t wait = mw_backoff_next(&cu->list_backoff, mw_clock_mono());

        wake(cu, MW_MAX(wait, MW_MIN(r->retry_after_ms, MAX_RETRY_AFTER_MS)));
        return;
    }
    if (r->outcome != MM_OK) {
        end(cu, r->outcome, &r->err, r->retry_after_ms);
        return;
    }
    if (!cu->p.only_channel) {
        start_channels(cu, r->body);
        return;
    }
    array = cJSON_CreateArray();
    if (!array || !cJSON_AddItemReferenceToArray(array, r->body)) {
        cJSON_Delete(array);
        end_nomem(cu);
        return;
    }
    start_channels(cu, array);
    cJSON_Delete(array);
}

static void list(struct mm_catchup *cu)
{
    MW_AUTOFREE char *path = NULL;
    int r;

    cu->started_at = mm_client_server_now(cu->p.client);
    if (cu->p.only_channel) {
        path = mw_asprintf("/channels/%s", cu->p.only_channel);
        r = path ? mm_call(cu->p.client, "GET", path, NULL, on_list, cu) : -ENOMEM;
    } else {
        r = mm_list_channels(cu->p.client, on_list, cu);
    }
    if (r < 0)
        wake(cu, RETRY_MIN_MS);
    else
        cu->running++;
}

static void free_memory(struct mm_catchup *cu)
{
    for (size_t i = 0; i < cu->n_merge; i++)
        mm_item_free(cu->merge[i].item);
    free(cu->merge);
    free(cu->channels);
    free(cu->only_channel);
    free(cu->note);
    free(cu);
}

int mm_catchup_new(uv_loop_t *loop, const struct mm_catchup_params *params, struct mm_catchup **ret)
{
    struct mm_catchup *cu = calloc(1, sizeof(*cu));

    if (!cu)
        return -ENOMEM;
    cu->p = *params;
    if (mw_str_set(&cu->only_channel, params->only_channel) < 0) {
        free(cu);
        return -ENOMEM;
    }
    cu->p.only_channel = cu->only_channel;
    if (!cu->p.overdue_ms)
        cu->p.overdue_ms = OVERDUE_MS;
    mw_backoff_init(&cu->list_backoff, RETRY_MIN_MS, RETRY_MAX_MS, INT64_MAX);
    uv_timer_init(loop, &cu->timer);
    cu->timer.data = cu;
    wake(cu, 0);
    *ret = cu;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free_memory(handle->data);
}

void mm_catchup_free(struct mm_catchup *cu)
{
    if (!cu)
        return;
    cu->dead = true;
    mm_cancel(cu->p.client, cu);
    for (size_t i = 0; i < cu->n_channels; i++)
        mm_cancel(cu->p.client, &cu->channels[i]);
    uv_close((uv_handle_t *)&cu->timer, on_timer_closed);
}

void mm_catchup_pause(struct mm_catchup *cu, bool paused)
{
    if (cu->paused == paused)
        return;
    cu->paused = paused;
    if (!paused)
        wake(cu, 0);
}
