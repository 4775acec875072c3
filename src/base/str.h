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

/* Overwrites a secret before it is freed; accepts NULL. */
void mw_secret_free(char *secret);

/* Compares in time that depends on the lengths only. */
bool mw_secret_equal(const char *a, const char *b);

/* Edit distance (Damerau-Levenshtein, adjacent swaps) for "did you mean"; strings over 64 bytes
 * give a large number. */
unsigned mw_str_distance(const char *a, const char *b);

#endif
