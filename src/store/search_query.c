#include "store/search_query.h"

#include <locale.h>
#include <string.h>
#include <wctype.h>

#include "base/utf8.h"

/* More make a question no sharper, only dearer. */
#define MAX_TRIGRAMS 64
#define MAX_PLACES   5 /* of a term that count */

struct span {
    size_t from, n; /* characters */
};

struct term {
    struct span chars; /* in query.folded */
    const char *at;    /* in query.source */
    size_t len;
    bool negative;
};

struct text {
    uint32_t *folded; /* one a character */
    uint32_t *offset; /* of its first byte, and at the end the text's length */
    size_t n, cap;
};

struct mw_search_query {
    char *source;
    struct text pattern; /* of `source` */
    struct term terms[MW_SEARCH_TERMS];
    size_t n_terms;
    locale_t locale; /* 0 = only ASCII folds */

    const char *last; /* text of the last match */
    struct text text;
};

/* ---- Characters ---- */

static uint32_t decode(const char *s, size_t len, size_t *ret_bytes)
{
    const unsigned char *u = (const unsigned char *)s;
    size_t n = mw_utf8_char_len(s, len);
    uint32_t c;

    *ret_bytes = n ? n : 1;
    if (n <= 1)
        return n ? u[0] : 0xfffd;
    c = u[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (u[i] & 0x3f);
    return c;
}

static uint32_t fold(const struct mw_search_query *q, uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return q->locale ? (uint32_t)towlower_l((wint_t)c, q->locale) : c;
}

static bool of_word(const struct mw_search_query *q, uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '_';
    return !q->locale || iswalnum_l((wint_t)c, q->locale);
}

static int read_text(const struct mw_search_query *q, const char *s, struct text *t)
{
    size_t len = strlen(s), at = 0, bytes;

    if (len >= UINT32_MAX / 2)
        return -ENOMEM;
    if (len + 1 > t->cap) {
        uint32_t *both = realloc(t->folded, 2 * (len + 1) * sizeof(*both));

        if (!both)
            return -ENOMEM;
        t->folded = both;
        t->cap = len + 1;
    }
    t->offset = t->folded + t->cap;
    for (t->n = 0; at < len; at += bytes) {
        t->folded[t->n] = fold(q, decode(s + at, len - at, &bytes));
        t->offset[t->n++] = (uint32_t)at;
    }
    t->offset[t->n] = (uint32_t)len;
    return 0;
}

/* ---- Parsing ---- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next term from *at on; false at the end. */
static bool next_term(const char **at, struct term *ret)
{
    const char *s = *at, *end;
    bool quoted;

    while (is_space(*s))
        s++;
    *ret = (struct term){.negative = *s == '-' && s[1] && !is_space(s[1])};
    s += ret->negative;
    quoted = *s == '"';
    s += quoted;
    for (end = s; *end && (quoted ? *end != '"' : !is_space(*end)); end++)
        ;
    ret->at = s;
    ret->len = (size_t)(end - s);
    *at = end + (quoted && *end);
    return ret->len > 0 || **at || quoted;
}

static size_t char_at(const struct text *t, size_t offset)
{
    size_t i = 0;

    while (i < t->n && t->offset[i] < offset)
        i++;
    return i;
}

static int parse(struct mw_search_query *q, struct mw_error *err)
{
    const char *at = q->source;
    bool positive = false;
    struct term t;

    while (next_term(&at, &t)) {
        size_t from = char_at(&q->pattern, (size_t)(t.at - q->source));

        if (!t.len)
            continue;
        if (q->n_terms == MW_ARRAY_LEN(q->terms))
            return mw_error_set(err, -E2BIG, "a search takes at most %d words", MW_SEARCH_TERMS);
        t.chars.from = from;
        t.chars.n = char_at(&q->pattern, (size_t)(t.at - q->source) + t.len) - from;
        positive |= !t.negative;
        q->terms[q->n_terms++] = t;
    }
    if (!positive)
        return mw_error_set(err, -EINVAL, "there is no word to search for");
    return 0;
}

int mw_search_query_new(const char *text, struct mw_search_query **ret, struct mw_error *err)
{
    MW_AUTOQUERY *q = calloc(1, sizeof(*q));
    int r;

    if (!q || !(q->source = strdup(text)))
        return mw_error_set(err, -ENOMEM, "out of memory");
    if (strlen(text) > MW_SEARCH_QUERY_BYTES)
        return mw_error_set(err, -E2BIG, "a search takes at most %d bytes", MW_SEARCH_QUERY_BYTES);
    q->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (read_text(q, q->source, &q->pattern) < 0)
        return mw_error_set(err, -ENOMEM, "out of memory");
    r = parse(q, err);
    if (r == 0)
        *ret = take_ptr(q);
    return r;
}

void mw_search_query_free(struct mw_search_query *q)
{
    if (!q)
        return;
    if (q->locale)
        freelocale(q->locale);
    free(q->pattern.folded);
    free(q->text.folded);
    free(q->source);
    free(q);
}

/* ---- The index's question ---- */

static void put_trigram(struct mw_buf *b, const char *s, size_t len)
{
    mw_buf_puts(b, b->len ? " \"" : "\"");
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"')
            mw_buf_putc(b, '"');
        mw_buf_putc(b, s[i]);
    }
    mw_buf_putc(b, '"');
}

int mw_search_query_fts(const struct mw_search_query *q, struct mw_buf *b)
{
    const uint32_t *offset = q->pattern.offset;
    int n = 0;

    for (size_t i = 0; i < q->n_terms; i++) {
        const struct span *c = &q->terms[i].chars;

        /* The source, not its folded form: the index folds for itself. */
        for (size_t k = c->from; !q->terms[i].negative && k + 3 <= c->from + c->n; k++) {
            const char *s = q->source + offset[k];
            size_t len = offset[k + 3] - offset[k];

            if (n < MAX_TRIGRAMS && mw_utf8_valid(s, len)) {
                put_trigram(b, s, len);
                n++;
            }
        }
    }
    if (mw_buf_error(b))
        return mw_buf_error(b);
    return n == 0;
}

/* ---- Comparing ---- */

/* The term's next place in the text from `from` on; t->n when there is none. */
static size_t find(const struct mw_search_query *q, const struct term *term, size_t from)
{
    const uint32_t *want = q->pattern.folded + term->chars.from;
    const struct text *t = &q->text;
    size_t n = term->chars.n;

    for (size_t i = from; i + n <= t->n; i++)
        if (t->folded[i] == want[0] && memcmp(t->folded + i, want, n * sizeof(*want)) == 0)
            return i;
    return t->n;
}

static bool whole_word(const struct mw_search_query *q, size_t at, size_t n)
{
    const struct text *t = &q->text;

    return (at == 0 || !of_word(q, t->folded[at - 1])) &&
           (at + n == t->n || !of_word(q, t->folded[at + n]));
}

static int score(const struct mw_search_query *q, const struct term *term)
{
    int places = 0, whole = 0;
    size_t n = term->chars.n;

    for (size_t at = find(q, term, 0); at < q->text.n && places < MAX_PLACES;
         at = find(q, term, at + n)) {
        places++;
        whole |= whole_word(q, at, n);
    }
    return places ? places + whole * 2 * MAX_PLACES : 0;
}

int mw_search_query_match(struct mw_search_query *q, const char *text)
{
    int sum = 0;

    q->last = text;
    if (read_text(q, text, &q->text) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < q->n_terms; i++) {
        const struct term *t = &q->terms[i];
        int n = score(q, t);

        if (t->negative ? n > 0 : n == 0)
            return 0;
        sum += n;
    }
    return sum;
}

/* ---- Snippet ---- */

/* The first place of any term from `from` on; the longest one there. n 0 = none. */
static struct span next_place(const struct mw_search_query *q, size_t from)
{
    struct span best = {q->text.n, 0};

    for (size_t i = 0; i < q->n_terms; i++) {
        const struct term *t = &q->terms[i];
        size_t at = t->negative ? q->text.n : find(q, t, from);

        if (at < best.from || (at == best.from && at < q->text.n && t->chars.n > best.n))
            best = (struct span){at, t->chars.n};
    }
    return best;
}

static void put_chars(const struct mw_search_query *q, struct mw_buf *b, size_t from, size_t to)
{
    size_t first = q->text.offset[from], len = q->text.offset[to] - first;

    for (size_t i = 0; i < len; i++) {
        char c = q->last[first + i];

        mw_buf_putc(b, (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c);
    }
}

int mw_search_query_snippet(const struct mw_search_query *q, size_t chars, const char *begin,
                            const char *end, struct mw_buf *b)
{
    static const char cut[] = "\xe2\x80\xa6"; /* an ellipsis */
    struct span place = next_place(q, 0);
    size_t lead = chars > place.n ? (chars - place.n) / 3 : 0;
    size_t from = place.from > lead ? place.from - lead : 0, to;

    to = MW_MIN(q->text.n, from + MW_MAX(chars, place.n));
    if (to == q->text.n) /* the end is near: show more before it */
        from = MW_MIN(from, to > chars ? to - chars : 0);
    if (from > 0)
        mw_buf_puts(b, cut);
    while (from < to) {
        place = next_place(q, from);
        if (place.n == 0 || place.from + place.n > to)
            break;
        put_chars(q, b, from, place.from);
        mw_buf_puts(b, begin);
        put_chars(q, b, place.from, place.from + place.n);
        mw_buf_puts(b, end);
        from = place.from + place.n;
    }
    put_chars(q, b, from, to);
    if (to < q->text.n)
        mw_buf_puts(b, cut);
    return mw_buf_error(b);
}
