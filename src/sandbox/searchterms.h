/* The search box's language: words, "phrases", -excluded, from:, in:, before:, after:, on:, and a
 * star at a word's end (model/search_params.go). Pure. */
#ifndef SB_SEARCHTERMS_H
#define SB_SEARCHTERMS_H

#include "base/macros.h"

struct sb_words {
    char **words;
    size_t n;
};

struct sb_terms {
    struct sb_words words;   /* lower case; a phrase is one; "ab*" is a prefix */
    struct sb_words without; /* -word */
    struct sb_words from, not_from, in, not_in;
    int64_t after, before; /* ms; posts from `after` on and before `before`; 0 = none */
    bool any;              /* one word is enough */
};

/* `offset` = seconds east of UTC for dates. Returns 0 or -ENOMEM. */
int sb_terms_parse(const char *text, bool any, int64_t offset, struct sb_terms *ret);
void sb_terms_deinit(struct sb_terms *t);
bool sb_terms_match(const struct sb_terms *t, const char *message);

#endif
