/*
 * Full-text search of the journal: the text of posts and edits. Loop's thread.
 *
 * The index (trigrams) is made in the background and can lag behind the journal: events that are
 * not in it yet are read and compared one by one, so the newest post is found at once. So are all
 * when no word has three characters. Reading is bounded by scan_limit; the result says whether
 * that was enough.
 */
#ifndef MW_STORE_SEARCH_H
#define MW_STORE_SEARCH_H

#include "store/search_query.h"
#include "store/store.h"

enum mw_search_order {
    MW_SEARCH_NEWEST, /* by id, newest first */
    MW_SEARCH_BEST,   /* whole words before parts, many places before one, then the newest */
};

struct mw_search {
    const char *query; /* see search_query.h */
    /* Every member works but newest_first; limit 0 = 50, at most 1000. kinds 0 = posts and edits,
     * no other kind is ever found. */
    struct mw_event_filter filter;
    unsigned flags_none; /* leaves out events with any of these: own, system ... */
    bool with_deleted;   /* also posts that were deleted since */
    enum mw_search_order order;
    unsigned scan_limit;               /* events compared one by one, about 10 us each; 0 = 5000 */
    unsigned snippet_chars;            /* 0 = 120 */
    const char *mark_begin, *mark_end; /* around each place in the snippet; NULL = "[" and "]" */
};

struct mw_search_result {
    unsigned found;
    unsigned compared;  /* events */
    bool complete;      /* everything that the filter leaves was looked at */
    int64_t looked_to;  /* if not: all events with this id or a newer one were; go on with
                           before_id = looked_to */
    int64_t indexed_id; /* see mw_store_stats */
};

/* The snippet is one line. Both are valid during the call; false ends the search. */
typedef bool (*mw_search_cb)(const struct mw_event *ev, const char *snippet, void *userdata);

/* Negative errno; -EINVAL and -E2BIG say in err what is wrong with the query. */
int mw_store_search(struct mw_store *s, const struct mw_search *search, mw_search_cb cb,
                    void *userdata, struct mw_search_result *ret, struct mw_error *err);

#endif
