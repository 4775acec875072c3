#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "store/db.h"
#include "store/inbox.h"
#include "store/store_internal.h"

#define INBOX_SCOPE    "inbox"
#define INBOX_LIMIT    50
#define INBOX_MAX      1000
#define MISSED_SCAN    50000
#define MISSED_MAX     500
#define CLOCK_SLACK_MS (5 * 60 * 1000) /* between the server's clock and ours */

/* ---- Inbox ---- */

/* Names of bots have no slash. */
static char *mark_key(const char *bot, const char *reader)
{
    return mw_asprintf("%s/%s", bot, reader ? reader : "");
}

int mw_store_inbox_mark(struct mw_store *s, const char *bot, const char *reader, int64_t *ret)
{
    MW_AUTOFREE char *key = mark_key(bot, reader);
    MW_AUTOFREE char *value = NULL;
    int r = key ? mw_store_get(s, INBOX_SCOPE, key, &value) : -ENOMEM;

    if (r < 0)
        return r;
    *ret = value ? strtoll(value, NULL, 10) : 0;
    return 0;
}

int mw_tx_inbox_seen(struct mw_tx *tx, const char *bot, const char *reader, int64_t event_id)
{
    MW_AUTOFREE char *key = mark_key(bot, reader);
    char value[24];

    snprintf(value, sizeof(value), "%" PRId64, event_id);
    return key ? mw_tx_set(tx, INBOX_SCOPE, key, value) : -ENOMEM;
}

struct give {
    mw_event_row_cb cb;
    void *userdata;
    bool stopped;
};

static bool give(const struct mw_event *ev, void *userdata)
{
    struct give *g = userdata;

    g->stopped = !g->cb(ev, g->userdata);
    return true;
}

int mw_store_inbox(struct mw_store *s, const struct mw_inbox_filter *f, mw_event_row_cb cb,
                   void *userdata, struct mw_error *err)
{
    const unsigned all = MW_EVENT_DIRECT | MW_EVENT_MENTION | MW_EVENT_THREAD;
    struct give g = {.cb = cb, .userdata = userdata};
    int64_t mark = 0;
    struct mw_query q;
    int r, found = 0;

    if (!f->bot)
        return mw_error_set(err, -EINVAL, "an inbox is of one bot");
    if (f->unseen && (r = mw_store_inbox_mark(s, f->bot, f->reader, &mark)) < 0)
        return mw_error_set(err, r, "the inbox's mark could not be read");
    /* 259 = all; a partial index is used when its condition stands in the query. */
    r = mw_query_begin(&q, &s->reader,
                       "SELECT id FROM event INDEXED BY event_inbox"
                       " WHERE bot_id = (SELECT id FROM bot WHERE name = :bot)"
                       " AND kind = 1 AND flags & 259 AND flags & :reasons"
                       " AND NOT flags & 36 AND id > :mark AND id < :before AND at >= :since"
                       " AND NOT EXISTS (SELECT 1 FROM event d WHERE d.object = event.object"
                       "  AND d.object != '' AND d.bot_id = event.bot_id AND d.kind = 3)"
                       " ORDER BY id DESC LIMIT :limit",
                       err);
    if (r < 0)
        return r;
    mw_query_text(&q, ":bot", f->bot);
    mw_query_int(&q, ":reasons", f->reasons ? f->reasons & all : all);
    mw_query_int(&q, ":mark", mark);
    mw_query_int(&q, ":before", f->before_id ? f->before_id : INT64_MAX);
    mw_query_int(&q, ":since", f->since);
    mw_query_int(&q, ":limit", f->limit ? MW_MIN(f->limit, INBOX_MAX) : INBOX_LIMIT);
    while (found >= 0 && !g.stopped && mw_query_next(&q))
        found = mw_store_event(s, sqlite3_column_int64(q.st, 0), give, &g);
    r = mw_query_end(&q, err);
    return r < 0 || found >= 0 ? r : mw_error_set(err, found, "an event could not be read");
}

/* ---- Missed ---- */

struct channel {
    struct mw_missed_channel c; /* its strings follow */
};

struct missed {
    struct mw_store *store;
    const struct mw_missed_filter *f;
    int64_t bot, until, from_id;
    struct mw_map channels; /* by id -> struct channel */
    struct channel *order[MISSED_MAX];
    size_t n, max;
    struct mw_missed sum;
};

/* One number of a query with up to two parameters; 1 when there is no row. */
static int number(struct mw_store *s, const char *sql, int64_t a, const char *b, int64_t *ret,
                  struct mw_error *err)
{
    struct mw_query q;
    bool found;
    int r = mw_query_begin(&q, &s->reader, sql, err);

    if (r < 0)
        return r;
    if (strstr(sql, ":a"))
        mw_query_int(&q, ":a", a);
    if (b)
        mw_query_text(&q, ":b", b);
    found = mw_query_next(&q);
    if (found)
        *ret = sqlite3_column_int64(q.st, 0);
    r = mw_query_end(&q, err);
    return r < 0 ? r : !found;
}

/* Ids grow with the time of receipt, so the first event that can be as new as `since` is found by
 * halving. */
static int find_start(struct missed *m, struct mw_error *err)
{
    int64_t low = 0, high = mw_store_last_event_id(m->store), since = m->f->since - CLOCK_SLACK_MS;

    while (low < high) {
        int64_t middle = low + (high - low) / 2, received = INT64_MAX;
        int r = number(m->store, "SELECT received_at FROM event WHERE id > :a ORDER BY id LIMIT 1",
                       middle, NULL, &received, err);

        if (r < 0)
            return r;
        if (received >= since)
            high = middle;
        else
            low = middle + 1;
    }
    m->from_id = low;
    return 0;
}

/* Until when the bot was there, as the journal tells it. */
static int find_end(struct missed *m, struct mw_error *err)
{
    struct mw_query q;
    int r;

    if (m->f->online) {
        m->sum.covered_until = mw_clock_now();
        return 0;
    }
    /* The last word about the connection; after a crash that is "online", and what was received
     * last is the last sign. Bounded, as all else here. */
    r = mw_query_begin(&q, &m->store->reader,
                       "SELECT kind, detail, received_at FROM (SELECT * FROM event"
                       " ORDER BY id DESC LIMIT :a) WHERE bot_id = :b",
                       err);
    if (r < 0)
        return r;
    mw_query_int(&q, ":a", MISSED_SCAN);
    mw_query_int(&q, ":b", m->bot);
    while (mw_query_next(&q)) {
        bool told = sqlite3_column_int(q.st, 0) == MW_EVENT_CONNECTION;
        bool on = told && strstr(mw_db_text(q.st, 1), "\"online\"");

        if (m->sum.covered_until == 0 || (told && !on))
            m->sum.covered_until = sqlite3_column_int64(q.st, 2);
        if (told)
            break;
    }
    return mw_query_end(&q, err);
}

static struct channel *channel_of(struct missed *m, sqlite3_stmt *row)
{
    const char *texts[4];
    struct channel *ch = mw_map_get(&m->channels, mw_db_text(row, 3));
    size_t size = sizeof(*ch), lens[4];
    char *to;

    if (ch)
        return ch;
    for (int i = 0; i < 4; i++) {
        texts[i] = mw_db_text(row, 3 + i);
        lens[i] = strlen(texts[i]) + 1;
        size += lens[i];
    }
    ch = calloc(1, size);
    if (!ch)
        return NULL;
    to = (char *)(ch + 1);
    for (int i = 0; i < 4; i++) {
        memcpy(to, texts[i], lens[i]);
        texts[i] = to;
        to += lens[i];
    }
    ch->c.channel_id = texts[0];
    ch->c.channel_name = texts[1];
    ch->c.channel_type = texts[2];
    ch->c.team_name = texts[3];
    if (mw_map_put(&m->channels, texts[0], ch) < 0) {
        free(ch);
        return NULL;
    }
    m->order[m->n++] = ch;
    return ch;
}

/* Newest first. */
static int count(struct missed *m, sqlite3_stmt *row)
{
    int64_t id = sqlite3_column_int64(row, 0), at = sqlite3_column_int64(row, 2);
    unsigned flags = (unsigned)sqlite3_column_int64(row, 1);
    struct channel *ch;

    if (m->n == m->max && !mw_map_get(&m->channels, mw_db_text(row, 3))) {
        m->sum.truncated = true;
        return 0;
    }
    ch = channel_of(m, row);
    if (!ch)
        return -ENOMEM;
    if (!ch->c.posts || at > ch->c.last_at) {
        ch->c.last_id = id;
        ch->c.last_at = at;
    }
    if (!ch->c.posts || at <= ch->c.first_at) {
        ch->c.first_id = id;
        ch->c.first_at = at;
    }
    ch->c.posts++;
    ch->c.mentions += (flags & MW_EVENT_MENTION) != 0;
    ch->c.direct += (flags & MW_EVENT_DIRECT) != 0;
    ch->c.threads += (flags & MW_EVENT_THREAD) != 0;
    m->sum.posts++;
    m->sum.mentions += (flags & MW_EVENT_MENTION) != 0;
    return 0;
}

static int scan(struct missed *m, struct mw_error *err)
{
    unsigned limit = m->f->scan_limit ? m->f->scan_limit : MISSED_SCAN, rows = 0;
    struct mw_query q;
    int r = mw_query_begin(&q, &m->store->reader,
                           "SELECT id, flags, at, channel_id, channel_name, channel_type,"
                           " team_name, kind, bot_id FROM event"
                           " WHERE id > :from ORDER BY id DESC LIMIT :limit",
                           err),
        failed = 0;

    if (r < 0)
        return r;
    mw_query_int(&q, ":from", m->from_id);
    mw_query_int(&q, ":limit", (int64_t)limit + 1);
    while (!failed && mw_query_next(&q)) {
        int64_t at = sqlite3_column_int64(q.st, 2);

        if (rows++ == limit) {
            m->sum.truncated = true;
            break;
        }
        m->sum.looked_to = sqlite3_column_int64(q.st, 0);
        if (sqlite3_column_int(q.st, 7) == MW_EVENT_POST &&
            sqlite3_column_int64(q.st, 8) == m->bot && at >= m->f->since && at < m->until &&
            !(sqlite3_column_int64(q.st, 1) & (MW_EVENT_OWN | MW_EVENT_SYSTEM)))
            failed = count(m, q.st);
    }
    r = mw_query_end(&q, err);
    return failed ? mw_error_set(err, failed, "out of memory") : r;
}

/* Since when the journal has everything: since the channel is followed, but for what retention
 * deleted. */
static int judge(struct missed *m, struct mw_missed_channel *c, struct mw_error *err)
{
    int64_t now = mw_clock_now(), first = 0, pruned = 0;
    int r = number(m->store, "SELECT first_at FROM position WHERE bot_id = :a AND channel_id = :b",
                   m->bot, c->channel_id, &first, err);

    if (r == 0)
        r = number(m->store, "SELECT at FROM pruned WHERE bot_id = :a AND channel_id = :b", m->bot,
                   c->channel_id, &pruned, err);
    if (r < 0)
        return r;
    if (first) {
        c->covered_from = pruned ? MW_MAX(first, pruned + 1) : first;
        c->covered_until = m->sum.covered_until;
    }
    c->complete = !m->sum.truncated && c->covered_from > 0 && c->covered_from <= m->f->since &&
                  c->covered_until >= MW_MIN(m->until, now - (m->f->online ? 1000 : 0));
    m->sum.complete = m->sum.complete && c->complete;
    return 0;
}

static int by_last(const void *a, const void *b)
{
    const struct channel *const *x = a, *const *y = b;

    return (*x)->c.last_id < (*y)->c.last_id ? 1 : -1;
}

int mw_store_missed(struct mw_store *s, const struct mw_missed_filter *f, mw_missed_cb cb,
                    void *userdata, struct mw_missed *ret, struct mw_error *err)
{
    MW_AUTOFREE struct missed *m = NULL;
    int r;

    if (!f->bot)
        return mw_error_set(err, -EINVAL, "what was missed is told for one bot");
    m = calloc(1, sizeof(*m));
    if (!m)
        return mw_error_set(err, -ENOMEM, "out of memory");
    m->store = s;
    m->f = f;
    m->until = f->until ? f->until : INT64_MAX;
    m->max = f->max_channels ? MW_MIN(f->max_channels, MISSED_MAX) : MISSED_MAX;
    mw_map_init(&m->channels, free);
    r = number(s, "SELECT id FROM bot WHERE name = :b", 0, f->bot, &m->bot, err);
    if (r == 0 && (r = find_start(m, err)) == 0 && (r = find_end(m, err)) == 0)
        r = scan(m, err);
    if (r >= 0) {
        /* Without any event there is nothing to judge by but the bot's being there. */
        m->sum.complete = !m->sum.truncated && m->sum.covered_until > 0 &&
                          m->sum.covered_until >= MW_MIN(m->until, mw_clock_now() - 1000);
        m->sum.channels = (unsigned)m->n;
        qsort(m->order, m->n, sizeof(m->order[0]), by_last);
        r = 0;
    }
    for (size_t i = 0; i < m->n && r == 0; i++)
        r = judge(m, &m->order[i]->c, err);
    for (size_t i = 0; i < m->n && r == 0 && cb(&m->order[i]->c, userdata); i++)
        ;
    if (r == 0)
        *ret = m->sum;
    mw_map_deinit(&m->channels);
    return r;
}
