#include "sandbox/searchterms.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

#define DAY_MS 86400000

static void words_deinit(struct sb_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->words[i]);
    free(w->words);
}

void sb_terms_deinit(struct sb_terms *t)
{
    words_deinit(&t->words);
    words_deinit(&t->without);
    words_deinit(&t->from);
    words_deinit(&t->not_from);
    words_deinit(&t->in);
    words_deinit(&t->not_in);
    *t = (struct sb_terms){0};
}

static int words_add(struct sb_words *w, const char *text, size_t len)
{
    char **bigger = realloc(w->words, (w->n + 1) * sizeof(*bigger));

    if (!bigger)
        return -ENOMEM;
    w->words = bigger;
    bigger[w->n] = strndup(text, len);
    if (!bigger[w->n])
        return -ENOMEM;
    for (char *p = bigger[w->n]; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    w->n++;
    return 0;
}

/* "2026-11-21" as the day's first millisecond; false when it is not a date. */
static bool parse_day(const char *text, size_t len, int64_t offset, int64_t *ret)
{
    char copy[sizeof("2026-11-21")];

    /* Shorter texts and those without dashes would be durations. */
    if (len != sizeof(copy) - 1 || text[4] != '-')
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (mw_time_parse(copy, 0, ret) < 0)
        return false;
    *ret -= offset * 1000;
    return true;
}

/* Takes one "key:value" of the flags; 1 = it is none. */
static int take_flag(struct sb_terms *t, bool minus, const char *s, size_t len, int64_t offset)
{
    const char *colon = memchr(s, ':', len);
    size_t key = colon ? (size_t)(colon - s) : 0;
    const char *value = colon ? colon + 1 : s;
    size_t n = colon ? len - key - 1 : 0;
    int64_t day;

    if (n == 0)
        return 1;
    if (key == 4 && strncasecmp(s, "from", 4) == 0) {
        if (*value == '@') {
            value++;
            n--;
        }
        return words_add(minus ? &t->not_from : &t->from, value, n);
    }
    if (key == 2 && strncasecmp(s, "in", 2) == 0) {
        if (*value == '~') {
            value++;
            n--;
        }
        return words_add(minus ? &t->not_in : &t->in, value, n);
    }
    if (!parse_day(value, n, offset, &day))
        return 1;
    if (key == 6 && strncasecmp(s, "before", 6) == 0)
        t->before = day;
    else if (key == 5 && strncasecmp(s, "after", 5) == 0)
        t->after = day + DAY_MS;
    else if (key == 2 && strncasecmp(s, "on", 2) == 0) {
        t->after = day;
        t->before = day + DAY_MS;
    } else {
        return 1;
    }
    return 0;
}

int sb_terms_parse(const char *text, bool any, int64_t offset, struct sb_terms *ret)
{
    struct sb_terms t = {.any = any};
    const char *p = text;
    int r = 0;

    while (r == 0) {
        bool minus;
        size_t len;

        p += strspn(p, " \t\r\n");
        if (!*p)
            break;
        minus = *p == '-' && p[1] && !isspace((unsigned char)p[1]);
        p += minus;
        if (*p == '"' && strchr(p + 1, '"')) {
            len = strcspn(p + 1, "\"");
            r = len ? words_add(minus ? &t.without : &t.words, p + 1, len) : 0;
            p += len + 2;
            continue;
        }
        len = strcspn(p, " \t\r\n");
        r = take_flag(&t, minus, p, len, offset);
        if (r == 1)
            r = words_add(minus ? &t.without : &t.words, p, len);
        p += len;
    }
    if (r < 0) {
        sb_terms_deinit(&t);
        return r;
    }
    *ret = t;
    return 0;
}

static bool word_char(unsigned char c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

/* The word, on its own, anywhere in the text; "ab*" needs only the front to fit. */
static bool contains(const char *text, const char *word)
{
    size_t len = strlen(word);
    bool prefix = len > 1 && word[len - 1] == '*';

    len -= prefix;
    for (const char *p = text; *p; p++) {
        bool front =
            p == text || !word_char((unsigned char)p[-1]) || !word_char((unsigned char)*word);

        if (front && strncasecmp(p, word, len) == 0 &&
            (prefix || !word_char((unsigned char)p[len]) ||
             !word_char((unsigned char)word[len - 1])))
            return true;
    }
    return false;
}

bool sb_terms_match(const struct sb_terms *t, const char *message)
{
    size_t hits = 0;

    for (size_t i = 0; i < t->without.n; i++)
        if (contains(message, t->without.words[i]))
            return false;
    for (size_t i = 0; i < t->words.n; i++)
        hits += contains(message, t->words.words[i]);
    return t->words.n == 0 || (t->any ? hits > 0 : hits == t->words.n);
}
