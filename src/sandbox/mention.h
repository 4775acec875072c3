/* Mentions and hashtags in a message, found as the server finds them
 * (app/mention_parser_standard.go). Pure. */
#ifndef SB_MENTION_H
#define SB_MENTION_H

#include "base/buf.h"

/* Calls `found` with each candidate (lower case, with its @) until it returns true for one of a
 * word's readings: the word, the word without trailing ". - : _", its parts. Code is skipped.
 * Returns 0 or -ENOMEM. */
int sb_mentions(const char *text, bool (*found)(const char *word, void *arg), void *arg);

/* Appends the hashtags of a message, separated by spaces. */
void sb_hashtags(struct mw_buf *b, const char *text);

#endif
