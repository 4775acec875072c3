/* Which posts of a channel a page holds (store/post_store.go). Pure. */
#ifndef SB_POSTLIST_H
#define SB_POSTLIST_H

#include "sandbox/state.h"

#define SB_SINCE_MAX 1000

struct sb_page_query {
    int64_t since;                        /* > 0: everything that changed after it */
    const struct sb_post *before, *after; /* anchors; NULL = none. since > after > before */
    size_t page, per_page;
    bool crt; /* collapsed threads: roots only */
    bool include_deleted;
};

struct sb_page_result {
    struct sb_post **posts; /* newest first; freed by sb_page_result_deinit */
    size_t n;
    const char *next_id, *prev_id; /* "" at the ends */
};

/* Returns 0 or -ENOMEM. A page after or before a post holds only posts of another millisecond, as
 * on the real server. */
int sb_post_page(const struct sb_channel *c, const struct sb_page_query *q,
                 struct sb_page_result *ret);
void sb_page_result_deinit(struct sb_page_result *r);

#endif
