/* Lists of posts: a channel's pages, threads, pinned ones, search, unread. */
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "sandbox/domain.h"
#include "sandbox/handlers.h"
#include "sandbox/postlist.h"
#include "sandbox/searchterms.h"

/* Builds a PostList: first the order, then the posts, each once. */
struct list {
    struct sb_req *q;
    struct mw_map seen; /* id -> post */
    struct mw_buf order, posts;
    bool crt;
};

static void list_deinit(struct list *l)
{
    mw_map_deinit(&l->seen);
    mw_buf_deinit(&l->order);
    mw_buf_deinit(&l->posts);
}

static void list_init(struct list *l, struct sb_req *q, bool crt)
{
    *l = (struct list){.q = q, .crt = crt};
    mw_map_init(&l->seen, NULL);
}

static int list_post(struct list *l, struct sb_post *p)
{
    int r;

    if (mw_map_get(&l->seen, p->id))
        return 0;
    r = mw_map_put(&l->seen, p->id, p);
    if (r < 0)
        return r;
    sb_comma(&l->posts, 0);
    mw_buf_printf(&l->posts, "\"%s\":", p->id);
    sb_put_post(l->q->sv, &l->posts, p, l->crt, l->q->user);
    return 0;
}

static int list_ordered(struct list *l, struct sb_post *p)
{
    sb_comma(&l->order, 0);
    mw_buf_printf(&l->order, "\"%s\"", p->id);
    return list_post(l, p);
}

/* Threads of what is listed: the roots, and their replies unless those are skipped. */
static int list_threads(struct list *l, struct sb_post *const *posts, size_t n, bool skip)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        struct sb_post *root = posts[i]->root ? posts[i]->root : posts[i];

        if (!root->delete_at)
            r = list_post(l, root);
        for (size_t j = 0; j < root->n_replies && r == 0 && !skip; j++)
            if (!root->replies[j]->delete_at)
                r = list_post(l, root->replies[j]);
    }
    return r;
}

static int list_reply(struct list *l, const char *next_id, const char *prev_id, const char *more)
{
    struct sb_req *q = l->q;

    if (mw_buf_error(&l->order) || mw_buf_error(&l->posts))
        return -ENOMEM;
    mw_buf_puts(&q->out, "{\"order\":[");
    mw_buf_append(&q->out, mw_buf_str(&l->order), l->order.len);
    mw_buf_puts(&q->out, "],\"posts\":{");
    mw_buf_append(&q->out, mw_buf_str(&l->posts), l->posts.len);
    mw_buf_printf(&q->out, "},\"next_post_id\":\"%s\",\"prev_post_id\":\"%s\"%s", next_id, prev_id,
                  more);
    if (!q->sv->old)
        mw_buf_puts(&q->out, ",\"first_inaccessible_post_time\":0");
    mw_buf_putc(&q->out, '}');
    return sb_reply(q, 200);
}

static int list_page(struct sb_req *q, const struct sb_channel *c, const struct sb_page_query *pq)
{
    MW_CLEANUP(list_deinit) struct list l = {0};
    MW_CLEANUP(sb_page_result_deinit) struct sb_page_result page = {0};
    int r;

    list_init(&l, q, pq->crt);
    r = sb_post_page(c, pq, &page);
    for (size_t i = 0; i < page.n && r == 0; i++)
        r = list_ordered(&l, page.posts[i]);
    if (r == 0 && !pq->crt)
        r = list_threads(&l, page.posts, page.n, sb_query_true(q, "skipFetchThreads"));
    return r < 0 ? r : list_reply(&l, page.next_id, page.prev_id, "");
}

/* Anchors that are not there: an empty page. */
static const struct sb_post *anchor(struct sb_req *q, const char *name, bool *ret_missing)
{
    const char *id = sb_query(q, name);
    const struct sb_post *p;

    if (!id || !*id)
        return NULL;
    p = mw_map_get(&q->sv->state.posts, id);
    *ret_missing = *ret_missing || !p;
    return p;
}

int sb_h_channel_posts(struct sb_req *q)
{
    struct sb_channel *c = sb_path_readable(q, 0);
    struct sb_page_query pq = {0};
    MW_CLEANUP(list_deinit) struct list empty = {0};
    bool missing = false;

    list_init(&empty, q, false);
    if (!c)
        return 0;
    pq.since = sb_query_int(q, "since", 0);
    pq.after = anchor(q, "after", &missing);
    pq.before = anchor(q, "before", &missing);
    pq.crt = sb_query_true(q, "collapsedThreads");
    pq.include_deleted = sb_query_true(q, "include_deleted") && sb_is_admin(q->user);
    sb_paging(q, &pq.page, &pq.per_page);
    if (q->sv->old && !sb_member_of(c, q->user->id) && !sb_is_admin(q->user))
        return sb_fail_permission(q); /* open channels are no exception there */
    if (missing && !pq.since) {
        const char *after = sb_query(q, "after");

        return list_reply(&empty, "", after && mw_id_valid(after) ? after : "", "");
    }
    return list_page(q, c, &pq);
}

int sb_h_channel_pinned(struct sb_req *q)
{
    struct sb_channel *c = sb_path_readable(q, 0);
    MW_CLEANUP(list_deinit) struct list l = {0};
    int r = 0;

    list_init(&l, q, false);
    if (!c)
        return 0;
    for (size_t i = c->n_posts; i > 0 && r == 0; i--)
        if (c->posts[i - 1]->is_pinned && !c->posts[i - 1]->delete_at)
            r = list_ordered(&l, c->posts[i - 1]);
    return r < 0 ? r : list_reply(&l, "", "", "");
}

/* --- a thread ----------------------------------------------------------------------------------
 */

struct thread_query {
    size_t per_page; /* 0 = the whole thread */
    const char *from_post;
    int64_t from_create_at, from_update_at;
    bool up, updates_only;
};

/* Answers and returns false when the parameters contradict each other (api4/post.go). */
static bool thread_query(struct sb_req *q, struct thread_query *t)
{
    int64_t per_page = sb_query_int(q, "perPage", 0);

    *t = (struct thread_query){
        .from_post = sb_query(q, "fromPost"),
        .from_create_at = sb_query_int(q, "fromCreateAt", 0),
        .from_update_at = sb_query_int(q, "fromUpdateAt", 0),
        .up = mw_streq(sb_query(q, "direction"), "up"),
        .updates_only = sb_query_true(q, "updatesOnly"),
    };
    if (per_page < 0 || per_page > 200) {
        sb_fail_url(q, "perPage");
        return false;
    }
    t->per_page = (size_t)per_page;
    if ((t->from_post && *t->from_post && !t->from_create_at) ||
        (t->from_create_at && t->from_update_at)) {
        sb_fail_url(q, "fromCreateAt");
        return false;
    }
    if (t->updates_only && !t->from_update_at) {
        sb_fail_url(q, "fromUpdateAt");
        return false;
    }
    return true;
}

/* Is `p` on the asked side of where the page begins? */
static bool beyond(const struct thread_query *t, const struct sb_post *p)
{
    int64_t at = t->from_update_at ? p->update_at : p->create_at;
    int64_t from = t->from_update_at ? t->from_update_at : t->from_create_at;

    if (!from)
        return true;
    if (at == from && t->from_post && *t->from_post) {
        int order = strcmp(p->id, t->from_post);

        return t->up ? order < 0 : order > 0;
    }
    return t->up ? at < from : at > from;
}

int sb_h_thread(struct sb_req *q)
{
    struct sb_post *p = sb_path_post(q, 0), *root;
    MW_CLEANUP(list_deinit) struct list l = {0};
    struct thread_query t;
    size_t n = 0;
    bool more = false;
    int r = 0;

    list_init(&l, q, sb_query_true(q, "collapsedThreads"));
    if (!p || !thread_query(q, &t))
        return 0;
    root = p->root ? p->root : p;
    r = list_ordered(&l, root);
    if (r == 0 && q->sv->old) /* 5.37 names it twice */
        r = list_ordered(&l, root);
    for (size_t i = 0; i < root->n_replies && r == 0; i++) {
        struct sb_post *reply = root->replies[t.up ? root->n_replies - 1 - i : i];

        if (reply->delete_at || !beyond(&t, reply))
            continue;
        if (t.per_page && n == t.per_page) {
            more = true;
            break;
        }
        n++;
        r = list_ordered(&l, reply);
    }
    if (r < 0)
        return r;
    return list_reply(&l, "", "",
                      !t.per_page ? ""
                      : more      ? ",\"has_next\":true"
                                  : ",\"has_next\":false");
}

/* --- unread ------------------------------------------------------------------------------------
 */

int sb_h_posts_unread(struct sb_req *q)
{
    struct sb_user *u = sb_path_self(q, 0);
    struct sb_channel *c = u ? sb_path_channel(q, 1) : NULL;
    MW_CLEANUP(list_deinit) struct list l = {0};
    const struct sb_member *m = c ? sb_member_of(c, u->id) : NULL;
    int64_t before = sb_query_int(q, "limit_before", 60),
            after = sb_query_int(q, "limit_after", 60);
    size_t first, from, to;
    int r = 0;

    list_init(&l, q, sb_query_true(q, "collapsedThreads"));
    if (!c)
        return 0;
    if (!m)
        return sb_fail_permission(q);
    if (after < 1)
        return sb_fail_url(q, "limit_after");
    for (first = c->n_posts; first > 0 && c->posts[first - 1]->create_at > m->last_viewed_at;
         first--)
        ;
    from = first > (size_t)MW_MIN(before, 200) ? first - (size_t)MW_MIN(before, 200) : 0;
    to = MW_MIN(c->n_posts, first + (size_t)MW_MIN(after, 200));
    for (size_t i = to; i > from && r == 0; i--)
        if (!c->posts[i - 1]->delete_at && !(l.crt && c->posts[i - 1]->root))
            r = list_ordered(&l, c->posts[i - 1]);
    if (r < 0)
        return r;
    return list_reply(&l, to < c->n_posts ? c->posts[to]->id : "",
                      from > 0 ? c->posts[from - 1]->id : "", "");
}

/* --- search ------------------------------------------------------------------------------------
 */

struct found {
    struct sb_post **posts;
    size_t n, cap;
};

static void found_deinit(struct found *f)
{
    free(f->posts);
}

static int newer_first(const void *a, const void *b)
{
    const struct sb_post *x = *(struct sb_post *const *)a, *y = *(struct sb_post *const *)b;

    return x->create_at < y->create_at ? 1 : x->create_at > y->create_at ? -1 : 0;
}

static bool in_list(const struct sb_words *w, const char *word)
{
    for (size_t i = 0; i < w->n; i++)
        if (mw_streq(w->words[i], word))
            return true;
    return false;
}

static bool wanted_channel(struct sb_req *q, const struct sb_terms *t, const struct sb_channel *c,
                           const struct sb_team *team)
{
    if (!sb_member_of(c, q->user->id) || c->delete_at)
        return false;
    if (team && *c->team_id && !mw_streq(c->team_id, team->id))
        return false;
    if (t->in.n && !in_list(&t->in, c->name) && !in_list(&t->in, c->id))
        return false;
    return !in_list(&t->not_in, c->name);
}

static bool wanted_post(const struct sb_terms *t, const struct sb_post *p)
{
    if (p->delete_at || (p->type && mw_starts_with(p->type, "system_")))
        return false;
    if (t->from.n && !in_list(&t->from, p->author->username) && !in_list(&t->from, p->user_id))
        return false;
    if (in_list(&t->not_from, p->author->username))
        return false;
    if ((t->after && p->create_at < t->after) || (t->before && p->create_at >= t->before))
        return false;
    return sb_terms_match(t, p->message ? p->message : "");
}

static int search_channel(const struct sb_terms *t, const struct sb_channel *c, struct found *f)
{
    for (size_t i = 0; i < c->n_posts; i++) {
        if (!wanted_post(t, c->posts[i]))
            continue;
        if (f->n == f->cap) {
            size_t cap = f->cap ? f->cap * 2 : 64;
            struct sb_post **bigger = realloc(f->posts, cap * sizeof(*bigger));

            if (!bigger)
                return -ENOMEM;
            f->posts = bigger;
            f->cap = cap;
        }
        f->posts[f->n++] = c->posts[i];
    }
    return 0;
}

static int search(struct sb_req *q, const struct sb_team *team)
{
    const cJSON *body = sb_body(q, "search");
    MW_CLEANUP(sb_terms_deinit) struct sb_terms terms = {0};
    MW_CLEANUP(found_deinit) struct found f = {0};
    MW_CLEANUP(list_deinit) struct list l = {0};
    int64_t page, per_page;
    size_t it = 0;
    void *v;
    int r;

    list_init(&l, q, false);
    if (!body)
        return 0;
    if (!*mw_json_str_or(body, "terms", ""))
        return sb_fail_param(q, "terms");
    page = mw_json_i64(body, "page", 0);
    per_page = mw_json_i64(body, "per_page", 60);
    if (page < 0 || page > INT32_MAX || per_page < 0 || per_page > 1000)
        return sb_fail_param(q, "per_page");
    r = sb_terms_parse(mw_json_str(body, "terms"), mw_json_bool(body, "is_or_search"),
                       mw_json_i64(body, "time_zone_offset", 0), &terms);
    while (r == 0 && mw_map_next(&q->sv->state.channels, &it, NULL, &v))
        if (wanted_channel(q, &terms, v, team))
            r = search_channel(&terms, v, &f);
    if (r < 0)
        return r;
    if (f.n)
        qsort(f.posts, f.n, sizeof(*f.posts), newer_first);
    for (size_t i = (size_t)(page * per_page);
         i < f.n && i < (size_t)((page + 1) * per_page) && r == 0; i++)
        r = list_ordered(&l, f.posts[i]);
    return r < 0 ? r : list_reply(&l, "", "", ",\"matches\":null");
}

int sb_h_search(struct sb_req *q)
{
    return search(q, NULL);
}

int sb_h_team_search(struct sb_req *q)
{
    struct sb_team *t = sb_path_team(q, 0);

    return t ? search(q, t) : 0;
}
