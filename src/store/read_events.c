/* Queries of the journal. */
#include "base/str.h"
#include "store/db.h"
#include "store/store_internal.h"

#define COMMA_COLUMN(n) ", e." #n
/* clang-format off */
#define SELECT_EVENT                                                                               \
    "SELECT e.id, e.kind, e.flags, e.at, e.received_at, e.revision, b.name"                        \
    MW_EVENT_TEXTS(COMMA_COLUMN) " FROM event e JOIN bot b ON b.id = e.bot_id"
/* clang-format on */

static void read_event(sqlite3_stmt *st, struct mw_event *ret)
{
    int column = 0;

    mw_event_init(ret);
    ret->id = sqlite3_column_int64(st, column++);
    ret->kind = (enum mw_event_kind)sqlite3_column_int(st, column++);
    ret->flags = (unsigned)sqlite3_column_int64(st, column++);
    ret->at = sqlite3_column_int64(st, column++);
    ret->received_at = sqlite3_column_int64(st, column++);
    ret->revision = sqlite3_column_int64(st, column++);
    ret->bot = mw_db_text(st, column++);
#define X(name) ret->name = mw_db_text(st, column++);
    MW_EVENT_TEXTS(X)
#undef X
}

static void conditions(struct mw_buf *b, const struct mw_event_filter *f)
{
    bool small = f->root_id || f->post_id;
    const struct {
        bool wanted;
        const char *sql;
    } parts[] = {
        {f->after_id, " AND e.id > :after"},
        {f->before_id, " AND e.id < :before"},
        {f->bot, " AND e.bot_id = (SELECT id FROM bot WHERE name = :bot)"},
        /* A thread or a post is far smaller than its channel: the plus keeps that index out. */
        {f->channel_id && small, " AND +e.channel_id = :channel"},
        {f->channel_id && !small, " AND e.channel_id = :channel AND e.channel_id != ''"},
        {f->user_id, " AND e.user_id = :user"},
        {f->root_id, " AND ((e.root_id = :root AND e.root_id != '')"
                     " OR (e.object >= :root AND e.object < :root || '0' AND e.object != ''"
                     " AND e.post_id = :root))"},
        {f->post_id, " AND e.object >= :post AND e.object < :post || '0' AND e.object != ''"
                     " AND e.post_id = :post"},
        {f->kinds, " AND (1 << e.kind) & :kinds"},
        {f->flags_any, " AND e.flags & :flags"},
        {f->since, " AND e.at >= :since"},
        {f->until, " AND e.at < :until"},
    };

    mw_buf_puts(b, " WHERE 1");
    for (size_t i = 0; i < MW_ARRAY_LEN(parts); i++)
        if (parts[i].wanted)
            mw_buf_puts(b, parts[i].sql);
    mw_buf_puts(b, f->newest_first ? " ORDER BY e.id DESC" : " ORDER BY e.id");
    mw_buf_puts(b, " LIMIT :limit");
}

static void bind_filter(struct mw_query *q, const struct mw_event_filter *f)
{
    const struct {
        const char *name, *text;
        int64_t number;
    } values[] = {
        {":after", NULL, f->after_id},
        {":before", NULL, f->before_id},
        {":bot", f->bot, 0},
        {":channel", f->channel_id, 0},
        {":user", f->user_id, 0},
        {":root", f->root_id, 0},
        {":post", f->post_id, 0},
        {":kinds", NULL, f->kinds},
        {":flags", NULL, f->flags_any},
        {":since", NULL, f->since},
        {":until", NULL, f->until},
        {":limit", NULL, f->limit ? f->limit : 1000},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(values); i++) {
        if (values[i].text)
            mw_query_text(q, values[i].name, values[i].text);
        else if (values[i].number)
            mw_query_int(q, values[i].name, values[i].number);
    }
}

int mw_store_events(struct mw_store *s, const struct mw_event_filter *f, mw_event_row_cb cb,
                    void *userdata, struct mw_error *err)
{
    struct mw_event ev;
    struct mw_query q;
    MW_AUTOBUF sql = {0};
    int r;

    mw_buf_init(&sql, 0);
    mw_buf_puts(&sql, SELECT_EVENT);
    conditions(&sql, f);
    if (mw_buf_error(&sql))
        return mw_error_set(err, mw_buf_error(&sql), "out of memory");
    r = mw_query_begin(&q, &s->reader, mw_buf_str(&sql), err);
    if (r < 0)
        return r;
    bind_filter(&q, f);
    while (mw_query_next(&q)) {
        read_event(q.st, &ev);
        if (!cb(&ev, userdata))
            break;
    }
    return mw_query_end(&q, err);
}

int mw_store_event(struct mw_store *s, int64_t id, mw_event_row_cb cb, void *userdata)
{
    struct mw_event ev;
    struct mw_query q;
    bool found;
    int r = mw_query_begin(&q, &s->reader, SELECT_EVENT " WHERE e.id = :id", NULL);

    if (r < 0)
        return r;
    mw_query_int(&q, ":id", id);
    found = mw_query_next(&q);
    if (found) {
        read_event(q.st, &ev);
        cb(&ev, userdata);
    }
    r = mw_query_end(&q, NULL);
    return r < 0 ? r : !found;
}
