/*
 * What a person types into a search box, as data: parsing, the index's question, comparing with a
 * text, and the snippet. Pure; no database.
 *
 * The language: words are all to be found, in any order and also as parts of words; "several words"
 * as they stand; -word or -"words" must not be there. Upper and lower case are the same, in every
 * alphabet. Nothing else has a meaning, so no text is an error of syntax.
 */
#ifndef MW_STORE_SEARCH_QUERY_H
#define MW_STORE_SEARCH_QUERY_H

#include "base/buf.h"
#include "base/error.h"

enum { MW_SEARCH_TERMS = 16, MW_SEARCH_QUERY_BYTES = 1024 };

struct mw_search_query;

/* -EINVAL when there is nothing to look for, -E2BIG beyond the limits above. */
int mw_search_query_new(const char *text, struct mw_search_query **ret, struct mw_error *err);
void mw_search_query_free(struct mw_search_query *q);
MW_DEFINE_CLEANUP(struct mw_search_query *, mw_search_query_free, mw_search_query_free_p)
#define MW_AUTOQUERY MW_CLEANUP(mw_search_query_free_p) struct mw_search_query

/* Appends an FTS5 expression that every match fulfils (others may, too): trigrams, each in quotes.
 * Returns 0, 1 when no term has three characters (nothing is appended, the index cannot help), or
 * -ENOMEM. */
int mw_search_query_fts(const struct mw_search_query *q, struct mw_buf *b);

/* Compares. Returns 0 when the text does not match, else a score above 0 (whole words count more
 * than parts, several places more than one), or -ENOMEM. */
int mw_search_query_match(struct mw_search_query *q, const char *text);

/* Appends about `chars` characters of the text of the last match, around its first place, on one
 * line; every place found within is put between `begin` and `end`. Returns 0 or -ENOMEM. */
int mw_search_query_snippet(const struct mw_search_query *q, size_t chars, const char *begin,
                            const char *end, struct mw_buf *b);

#endif
