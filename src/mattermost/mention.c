/*
 * Finds `@username` as the server does, so that a bot answers where a person would be notified.
 *
 * Two levels, as in Markdown: lines tell fenced and indented code from text, then the text of a
 * paragraph is searched between its code spans. Works on the message in place and allocates
 * nothing. Lists and quotes are known just well enough to find the code inside them.
 */
#include <ctype.h>
#include <locale.h>
#include <string.h>
#include <strings.h>
#include <wctype.h>

#include "base/str.h"
#include "base/utf8.h"
#include "mattermost/model.h"

/* ---- Words ---- */

/* Go's unicode.IsLetter and IsNumber, from the C library's tables. */
static bool wide_alnum(const char *s, size_t n)
{
    static locale_t utf8;
    wint_t c = (unsigned char)s[0] & (0x7fU >> n);

    if (!utf8)
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        return true;
    for (size_t i = 1; i < n; i++)
        c = (c << 6) | ((unsigned char)s[i] & 0x3fU);
    return iswalnum_l(c, utf8);
}

/* Bytes of the character at s when it may be part of a word, else 0. */
static size_t word_char(const char *s, const char *end)
{
    unsigned char c = (unsigned char)*s;
    size_t n;

    if (c < 0x80)
        return isalnum(c) || strchr(":.-_@", c) ? 1 : 0;
    n = mw_utf8_char_len(s, (size_t)(end - s));
    return n && wide_alnum(s, n) ? n : 0;
}

static bool is_mention(const char *w, size_t len, const char *name, size_t name_len)
{
    return len == name_len + 1 && w[0] == '@' && strncasecmp(w + 1, name, name_len) == 0;
}

static bool word_mentions(const char *w, const char *end, const char *name, size_t name_len)
{
    const char *cut;

    /* `:word:` is an emoji. */
    if (*w == ':' && end[-1] == ':')
        return false;
    while (w < end && strchr(":.-_", *w))
        w++;
    if (w == end)
        return false;
    /* A name may itself end in these, so every shorter form is tried. */
    for (cut = end;; cut--) {
        if (is_mention(w, (size_t)(cut - w), name, name_len))
            return true;
        if (cut == w || !strchr(".-:_", cut[-1]))
            break;
    }
    if (*w == '@')
        return false;
    /* "done.@bot": punctuation without a space. */
    while (w < end) {
        cut = w;
        while (cut < end && !strchr(".-:", *cut))
            cut++;
        if (is_mention(w, (size_t)(cut - w), name, name_len))
            return true;
        w = cut + 1;
    }
    return false;
}

static bool text_mentions(const char *s, const char *end, const char *name, size_t name_len)
{
    while (s < end) {
        const char *word = s;
        size_t n;

        while (s < end && (n = word_char(s, end)) > 0)
            s += n;
        if (s == word) {
            s++;
            continue;
        }
        if (word_mentions(word, s, name, name_len))
            return true;
    }
    return false;
}

/* ---- Code spans ---- */

static size_t run_len(const char *s, const char *end, char c)
{
    const char *p = s;

    while (p < end && *p == c)
        p++;
    return (size_t)(p - s);
}

static const char *find_span_end(const char *s, const char *end, size_t ticks)
{
    while (s < end && (s = memchr(s, '`', (size_t)(end - s)))) {
        size_t n = run_len(s, end, '`');

        if (n == ticks)
            return s;
        s += n;
    }
    return NULL;
}

static bool paragraph_mentions(const char *s, const char *end, const char *name, size_t name_len)
{
    const char *text = s;

    while (s < end) {
        const char *close;
        size_t ticks;

        if (*s == '\\' && end - s > 1) {
            s += 2;
            continue;
        }
        if (*s != '`') {
            s++;
            continue;
        }
        ticks = run_len(s, end, '`');
        close = find_span_end(s + ticks, end, ticks);
        if (!close) {
            s += ticks;
            continue;
        }
        if (text_mentions(text, s, name, name_len))
            return true;
        text = s = close + ticks;
    }
    return text_mentions(text, end, name, name_len);
}

/* ---- Lines ---- */

struct line {
    const char *start, *end; /* without the newline */
    const char *content;     /* behind quote marks and indentation */
    unsigned quotes;         /* `>` marks */
    unsigned indent;         /* columns in front of the content */
};

static void read_line(const char *s, const char *end, struct line *ret)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));
    const char *p = s;

    *ret = (struct line){.start = s, .end = nl ? nl : end};
    for (;;) {
        unsigned indent = 0;

        for (; p < ret->end && (*p == ' ' || *p == '\t'); p++)
            indent += *p == '\t' ? 4 - indent % 4 : 1;
        ret->indent = indent;
        ret->content = p;
        if (p == ret->end || *p != '>' || indent > 3)
            return;
        ret->quotes++;
        p++;
        if (p < ret->end && *p == ' ')
            p++;
    }
}

static bool is_blank(const struct line *l)
{
    return l->content == l->end || (l->end - l->content == 1 && *l->content == '\r');
}

static bool is_list_item(const struct line *l)
{
    const char *p = l->content;

    while (p < l->end && isdigit((unsigned char)*p))
        p++;
    if (p == l->end || !(p == l->content ? strchr("-+*", *p) : strchr(".)", *p)))
        return false;
    return p + 1 == l->end || p[1] == ' ' || p[1] == '\t';
}

/* Length of the fence that opens at p, 0 = none. */
static size_t fence_at(const char *p, const char *end)
{
    size_t n;

    if (p == end || (*p != '`' && *p != '~'))
        return 0;
    n = run_len(p, end, *p);
    if (n < 3 || (*p == '`' && memchr(p + n, '`', (size_t)(end - p) - n)))
        return 0;
    return n;
}

static bool closes_fence(const struct line *l, char c, size_t len)
{
    size_t n = run_len(l->content, l->end, c);
    const char *p = l->content + n;

    if (n < len)
        return false;
    while (p < l->end && (*p == ' ' || *p == '\t' || *p == '\r'))
        p++;
    return p == l->end;
}

static bool message_mentions(const char *s, const char *name, size_t name_len)
{
    const char *end = s + strlen(s), *paragraph = NULL;
    bool in_list = false, found = false;
    size_t fence = 0;
    char fence_char = 0;
    unsigned fence_quotes = 0;
    struct line l;

    for (; s < end && !found; s = l.end + 1) {
        const char *item;
        bool code;

        read_line(s, end, &l);
        if (fence && l.quotes >= fence_quotes) {
            if (l.indent < 4 || in_list)
                fence = closes_fence(&l, fence_char, fence) ? 0 : fence;
            continue;
        }
        fence = 0;
        if (!is_blank(&l) && l.indent == 0 && !is_list_item(&l) && !paragraph)
            in_list = false;
        /* A fence may stand right behind a list marker. */
        item = l.content;
        if (is_list_item(&l)) {
            in_list = true;
            while (item < l.end && *item != ' ' && *item != '\t')
                item++;
            while (item < l.end && (*item == ' ' || *item == '\t'))
                item++;
        }
        if (l.indent < 4 || in_list)
            fence = fence_at(item, l.end);
        if (fence) {
            fence_char = *item;
            fence_quotes = l.quotes;
        }
        /* Indented code cannot interrupt a paragraph. */
        code = fence || is_blank(&l) || (l.indent >= 4 && !in_list && !paragraph);
        if (!code && !paragraph) {
            paragraph = l.start;
        } else if (code && paragraph) {
            found = paragraph_mentions(paragraph, l.start, name, name_len);
            paragraph = NULL;
        }
    }
    return found || (paragraph && paragraph_mentions(paragraph, end, name, name_len));
}

bool mm_mentions(const char *message, const char *username)
{
    size_t len = strlen(username);
    const char *p = message;

    if (len == 0)
        return false;
    /* Nearly every message ends here. */
    while ((p = strchr(p, '@')) && strncasecmp(p + 1, username, len) != 0)
        p++;
    return p && message_mentions(message, username, len);
}
