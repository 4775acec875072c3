/*
 * One answer of GET /channels/{id}/posts: the posts that it lists, oldest first. Sans-I/O.
 * Facts: wire reference, section 1.5 (PostList).
 */
#ifndef MW_MATTERMOST_PAGE_H
#define MW_MATTERMOST_PAGE_H

#include "base/id.h"
#include "base/json.h"

struct mm_page_post {
    const char *id;
    int64_t create_at;
    cJSON *json; /* NULL once taken */
    size_t order;
};
struct mm_page {
    struct mm_page_post *posts; /* by create_at; of one time in the server's order */
    size_t n;
    size_t listed; /* rows that the server gave, also those without a usable post */
    cJSON *map;    /* owner of the posts: part of the answer */
};

/* Reads the answer, which must outlive the page. Posts that come along without being listed (roots
 * of listed replies) are left out. Returns 0, -EINVAL or -ENOMEM. */
int mm_page_read(cJSON *answer, struct mm_page *ret);
void mm_page_deinit(struct mm_page *p);

/* Detaches a post: the caller's from now on. */
cJSON *mm_page_take(struct mm_page *p, size_t i);

/* Where to go on with `after` once paging back has come far enough: nothing that the page has is
 * skipped but posts of one time that are all in it. "" when the page is empty. */
void mm_page_anchor_start(const struct mm_page *p, char *anchor);

/* The post to name in `before` (`after`) so that the next page has all posts of the page's oldest
 * (newest) time again, since the server compares strictly. When the whole page is of one time,
 * the anchor stays and *page counts up. Call before posts are taken. */
void mm_page_anchor_back(const struct mm_page *p, char *anchor, unsigned *page);
void mm_page_anchor_forward(const struct mm_page *p, char *anchor, unsigned *page);

#endif
