#include "store/search.h"

#include "base/str.h"
#include "store/db.h"
#include "store/store_internal.h"

#define LIMIT         50
#define LIMIT_MAX     1000
#define SCAN_LIMIT    5000
#define SNIPPET_CHARS 120
#define SEARCHABLE    (1u << MW_EVENT_POST | 1u << MW_EVENT_POST_EDITED)

struct hit {
    int64_t id;
    int score;
};

struct search {
    struct mw_store *store;
    const struct mw_search *p;
    struct mw_search_query *query;
    struct mw_search_result result;
    unsigned kinds, scan_limit, limit;
    struct hit *hits; /* in the order asked for; `limit` of them */
    unsigned n_hits;
    bool full; /* enough was found or compared */
    int error;

    mw_search_cb cb; /* for giving out */
    void *userdata;
    struct mw_buf snippet;
    bool stopped;
};

static bool same(const char *want, const char *have)
{
    return !want || strcmp(want, have) == 0;
}

/* What mw_store_events does with a filter, for a row that came by its id. */
static bool wanted(const struct search *s, const struct mw_event *ev)
{
    const struct mw_event_filter *f = &s->p->filter;

    return (s->kinds & 1u << ev->kind) && same(f->bot, ev->bot) &&
           same(f->channel_id, ev->channel_id) && same(f->user_id, ev->user_id) &&
           (same(f->root_id, ev->root_id) || same(f->root_id, ev->post_id)) &&
           same(f->post_id, ev->post_id) && (!f->flags_any || (ev->flags & f->flags_any)) &&
           !(ev->flags & s->p->flags_none) && (!f->since || ev->at >= f->since) &&
           (!f->until || ev->at < f->until);
}

static bool deleted(struct search *s, const struct mw_event *ev)
{
    struct mw_query q;
    bool found;

    if (s->p->with_deleted || !*ev->object)
        return false;
    s->error = mw_query_begin(&q, &s->store->reader,
                              "SELECT 1 FROM event WHERE object = :object AND object != ''"
                              " AND bot_id = (SELECT id FROM bot WHERE name = :bot) AND kind = 3",
                              NULL);
    if (s->error < 0)
        return false;
    mw_query_text(&q, ":object", ev->object);
    mw_query_text(&q, ":bot", ev->bot);
    found = mw_query_next(&q);
    s->error = mw_query_end(&q, NULL);
    return found;
}

/* Events come newest first, so an equal score goes behind. */
static void keep(struct search *s, int64_t id, int score)
{
    bool newest = s->p->order == MW_SEARCH_NEWEST;
    unsigned at = s->n_hits;

    while (!newest && at > 0 && s->hits[at - 1].score < score)
        at--;
    if (at == s->limit)
        return;
    if (s->n_hits < s->limit)
        s->n_hits++;
    memmove(s->hits + at + 1, s->hits + at, (s->n_hits - 1 - at) * sizeof(*s->hits));
    s->hits[at] = (struct hit){id, score};
    s->full = newest && s->n_hits == s->limit;
}

static bool compare(const struct mw_event *ev, void *userdata)
{
    struct search *s = userdata;
    int score = 0;

    if (s->result.compared == s->scan_limit) {
        s->full = true;
        return false;
    }
    s->result.compared++;
    s->result.looked_to = ev->id;
    if (wanted(s, ev))
        score = mw_search_query_match(s->query, ev->text);
    if (score < 0)
        s->error = score;
    if (score > 0 && !deleted(s, ev) && s->error == 0)
        keep(s, ev->id, score);
    return !s->full && s->error == 0;
}

/* Compares all events from after_id on, the newest first. */
static int scan(struct search *s, int64_t after_id, struct mw_error *err)
{
    const struct mw_event_filter *f = &s->p->filter;
    struct mw_event_filter all = {
        .after_id = MW_MAX(after_id, f->after_id),
        .before_id = f->before_id,
        .channel_id = f->channel_id,
        .root_id = f->root_id,
        .post_id = f->post_id,
        .newest_first = true,
        .limit = s->scan_limit + 1,
    };

    return mw_store_events(s->store, &all, compare, s, err);
}

/* Compares what the index offers, the newest first. */
static int ask_index(struct search *s, const char *match, struct mw_error *err)
{
    const struct mw_event_filter *f = &s->p->filter;
    int64_t top = s->result.indexed_id;
    struct mw_query q;
    int r = mw_query_begin(&q, &s->store->reader,
                           "SELECT rowid FROM search WHERE search MATCH :match AND rowid > :after"
                           " AND rowid <= :top ORDER BY rowid DESC",
                           err);

    if (r < 0)
        return r;
    if (f->before_id)
        top = MW_MIN(top, f->before_id - 1);
    mw_query_text(&q, ":match", match);
    mw_query_int(&q, ":after", f->after_id);
    mw_query_int(&q, ":top", top);
    while (!s->full && s->error == 0 && mw_query_next(&q)) {
        r = mw_store_event(s->store, sqlite3_column_int64(q.st, 0), compare, s);
        if (r < 0)
            s->error = r;
    }
    r = mw_query_end(&q, err);
    return r < 0 ? r : s->error;
}

static bool give(const struct mw_event *ev, void *userdata)
{
    struct search *s = userdata;
    size_t chars = s->p->snippet_chars ? s->p->snippet_chars : SNIPPET_CHARS;
    int r = mw_search_query_match(s->query, ev->text);

    mw_buf_clear(&s->snippet);
    if (r >= 0)
        r = mw_search_query_snippet(s->query, chars, s->p->mark_begin ? s->p->mark_begin : "[",
                                    s->p->mark_end ? s->p->mark_end : "]", &s->snippet);
    s->error = r;
    if (r == 0)
        s->stopped = !s->cb(ev, mw_buf_str(&s->snippet), s->userdata);
    return true;
}

static int look(struct search *s, struct mw_error *err)
{
    struct mw_query q;
    MW_AUTOBUF match = {0};
    int r, no_index;

    mw_buf_init(&match, 0);
    no_index = mw_search_query_fts(s->query, &match);
    if (no_index < 0)
        return no_index;
    r = mw_query_begin(&q, &s->store->reader, "SELECT value FROM background WHERE name = 'indexed'",
                       err);
    if (r < 0)
        return r;
    if (mw_query_next(&q))
        s->result.indexed_id = sqlite3_column_int64(q.st, 0);
    r = mw_query_end(&q, err);
    if (r == 0)
        r = scan(s, no_index ? 0 : s->result.indexed_id, err);
    if (r == 0 && s->error == 0 && !s->full && !no_index)
        r = ask_index(s, mw_buf_str(&match), err);
    return r < 0 ? r : s->error;
}

int mw_store_search(struct mw_store *store, const struct mw_search *search, mw_search_cb cb,
                    void *userdata, struct mw_search_result *ret, struct mw_error *err)
{
    const struct mw_event_filter *f = &search->filter;
    MW_AUTOQUERY *query = NULL;
    MW_AUTOFREE struct hit *hits = NULL;
    struct search s = {
        .store = store,
        .p = search,
        .kinds = f->kinds ? f->kinds & SEARCHABLE : SEARCHABLE,
        .scan_limit = search->scan_limit ? search->scan_limit : SCAN_LIMIT,
        .limit = f->limit ? MW_MIN(f->limit, LIMIT_MAX) : LIMIT,
        .cb = cb,
        .userdata = userdata,
    };
    int r = mw_search_query_new(search->query, &query, err);

    if (r < 0)
        return r;
    /* One more: room to move the last one out. */
    hits = s.hits = calloc(s.limit + 1, sizeof(*hits));
    if (!hits)
        return mw_error_set(err, -ENOMEM, "out of memory");
    s.query = query;
    mw_buf_init(&s.snippet, 0);
    r = look(&s, err);
    for (unsigned i = 0; i < s.n_hits && r == 0 && !s.stopped; i++) {
        r = mw_store_event(store, s.hits[i].id, give, &s);
        r = r < 0 ? r : s.error; /* 1: deleted just now */
        s.result.found++;
    }
    mw_buf_deinit(&s.snippet);
    if (r < 0)
        return mw_error_is_set(err) ? r : mw_error_set(err, r, "the search failed");
    s.result.complete = !s.full;
    if (ret)
        *ret = s.result;
    return 0;
}
