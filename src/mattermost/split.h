/*
 * Splits a Markdown message into posts of at most `max_chars` characters (code points, the server's
 * measure) without breaking a character, a word where it can be helped, or a code fence: a fence
 * that is cut is closed at the end of its part and opened again with its info string in the next.
 * Sans-I/O.
 */
#ifndef MW_MATTERMOST_SPLIT_H
#define MW_MATTERMOST_SPLIT_H

#include "base/macros.h"

struct mm_parts {
    char **text;
    size_t n;
};

/* max_chars >= 64. Trailing white space of the whole is dropped; an empty message gives 0 parts.
 * Returns 0 or -ENOMEM. */
int mm_split(const char *message, size_t max_chars, struct mm_parts *ret);
void mm_parts_deinit(struct mm_parts *p);

#endif
