#include "sandbox/postlist.h"

static bool wanted(const struct sb_post *p, const struct sb_page_query *q)
{
    return (p->delete_at == 0 || q->include_deleted) && (!q->crt || !p->root);
}

void sb_page_result_deinit(struct sb_page_result *r)
{
    free(r->posts);
    *r = (struct sb_page_result){0};
}

static void reverse(struct sb_post **posts, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct sb_post *p = posts[i];

        posts[i] = posts[n - 1 - i];
        posts[n - 1 - i] = p;
    }
}

static void take_since(const struct sb_channel *c, const struct sb_page_query *q,
                       struct sb_page_result *r)
{
    /* Over the limit it is the newest that are missing, and nothing says so. */
    for (size_t i = 0; i < c->n_posts && r->n < SB_SINCE_MAX; i++) {
        struct sb_post *p = c->posts[i];

        if (p->update_at > q->since && (!q->crt || !p->root))
            r->posts[r->n++] = p;
    }
    reverse(r->posts, r->n);
}

/* The first index whose create_at is above `at`. */
static size_t upper(const struct sb_channel *c, int64_t at)
{
    size_t low = 0, high = c->n_posts;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->posts[middle]->create_at > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool skip_one(size_t *skip)
{
    if (!*skip)
        return false;
    (*skip)--;
    return true;
}

static void take_after(const struct sb_channel *c, const struct sb_page_query *q,
                       struct sb_page_result *r)
{
    size_t skip = q->page * q->per_page;

    for (size_t i = upper(c, q->after->create_at); i < c->n_posts && r->n < q->per_page; i++)
        if (wanted(c->posts[i], q) && !skip_one(&skip))
            r->posts[r->n++] = c->posts[i];
    reverse(r->posts, r->n);
}

static void take_down(const struct sb_channel *c, const struct sb_page_query *q, size_t from,
                      struct sb_page_result *r)
{
    size_t skip = q->page * q->per_page;

    for (size_t i = from; i > 0 && r->n < q->per_page; i--)
        if (wanted(c->posts[i - 1], q) && !skip_one(&skip))
            r->posts[r->n++] = c->posts[i - 1];
}

static const char *id_after(const struct sb_channel *c, int64_t at, bool crt)
{
    for (size_t i = upper(c, at); i < c->n_posts; i++)
        if (!c->posts[i]->delete_at && (!crt || !c->posts[i]->root))
            return c->posts[i]->id;
    return "";
}

static const char *id_before(const struct sb_channel *c, int64_t at, bool crt)
{
    for (size_t i = upper(c, at - 1); i > 0; i--)
        if (!c->posts[i - 1]->delete_at && (!crt || !c->posts[i - 1]->root))
            return c->posts[i - 1]->id;
    return "";
}

/* app/post.go, AddCursorIdsForPostList. */
static void set_cursors(const struct sb_channel *c, const struct sb_page_query *q,
                        struct sb_page_result *r)
{
    bool next_set = q->since > 0, prev_set = q->since > 0;

    r->next_id = r->prev_id = "";
    if (q->since > 0)
        return;
    if (q->after) {
        if (q->page == 0) {
            r->prev_id = q->after->id;
            prev_set = true;
        }
        next_set = r->n < q->per_page;
    } else if (q->before) {
        if (q->page == 0) {
            r->next_id = q->before->id;
            next_set = true;
        }
        prev_set = r->n < q->per_page;
    }
    if (!next_set && r->n)
        r->next_id = id_after(c, r->posts[0]->create_at, q->crt);
    if (!prev_set && r->n)
        r->prev_id = id_before(c, r->posts[r->n - 1]->create_at, q->crt);
}

int sb_post_page(const struct sb_channel *c, const struct sb_page_query *q,
                 struct sb_page_result *ret)
{
    struct sb_page_result r = {0};

    r.posts =
        calloc(MW_MAX(q->since > 0 ? SB_SINCE_MAX : q->per_page, 1), sizeof(struct sb_post *));
    if (!r.posts)
        return -ENOMEM;
    if (q->since > 0)
        take_since(c, q, &r);
    else if (q->after)
        take_after(c, q, &r);
    else if (q->before)
        take_down(c, q, upper(c, q->before->create_at - 1), &r);
    else
        take_down(c, q, c->n_posts, &r);
    set_cursors(c, q, &r);
    *ret = r;
    return 0;
}
