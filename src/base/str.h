/* Strings: the few things that libc lacks. Thread safe. */
#ifndef MW_BASE_STR_H
#define MW_BASE_STR_H

#include <string.h>

#include "base/macros.h"

static inline bool mw_streq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool mw_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* An allocated formatted string, freed by the caller; NULL when memory ran out. */
char *mw_asprintf(const char *fmt, ...) MW_PRINTF(1, 2);

/* Replaces *slot by a copy of value (NULL clears it). Returns 0 or -ENOMEM (*slot untouched). */
int mw_str_set(char **slot, const char *value) MW_MUST_CHECK;

/* Bytes: "2048", "500 KiB", "1GiB" (powers of 1024, as "K", "M", "G", "T" alone), "1MB" (powers of
 * 1000). Returns 0 or -EINVAL. */
int mw_bytes_parse(const char *s, int64_t *ret);

/* Overwrites a secret before it is freed; accepts NULL. */
void mw_secret_free(char *secret);

/* Compares in time that depends on the lengths only. */
bool mw_secret_equal(const char *a, const char *b);

/* Edit distance (Damerau-Levenshtein, adjacent swaps) for "did you mean"; strings over 64 bytes
 * give a large number. */
unsigned mw_str_distance(const char *a, const char *b);

/* Finds the candidate that a person most likely meant by `name`: start with {.name = name}, offer
 * every valid name, then ask. Candidates must outlive it. */
struct mw_nearest {
    const char *name;
    const char *best;
    unsigned distance;
};
void mw_nearest_offer(struct mw_nearest *n, const char *candidate);
/* NULL when nothing comes close: at most a third of the letters may differ (at least one), or the
 * name is the beginning of the candidate. */
const char *mw_nearest_get(const struct mw_nearest *n);

#endif
