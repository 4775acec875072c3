#include "mattermost/split.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

/* An open code fence: what opens it again and what closes it. */
struct fence {
    const char *line; /* the opening line, NULL = no fence is open */
    size_t len;       /* bytes of it to repeat */
    size_t indent;    /* bytes of white space in front of the marks */
    size_t marks;
};

static const char *line_end(const char *s, const char *end)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));

    return nl ? nl : end;
}

/* Characters of s..end, but no more than `max` are counted. Returns where the counting stopped. */
static const char *skip_chars(const char *s, const char *end, size_t max)
{
    while (s < end && max-- > 0) {
        size_t n = mw_utf8_char_len(s, (size_t)(end - s));

        s += n ? n : 1;
    }
    return s;
}

static size_t count_chars(const char *s, size_t len)
{
    const char *end = s + len;
    size_t n = 0;

    for (; s < end; n++)
        s = skip_chars(s, end, 1);
    return n;
}

/* What the line does to the fence state. */
static bool read_fence(const char *s, const char *end, const struct fence *open, size_t max_chars,
                       struct fence *ret)
{
    const char *p = s, *marks;
    char c;

    while (p < end && *p == ' ' && p - s < 4)
        p++;
    if (p == end || p - s > 3 || (*p != '`' && *p != '~'))
        return false;
    c = *p;
    marks = p;
    while (p < end && *p == c)
        p++;
    if (open->line) {
        size_t n = (size_t)(p - marks);

        if (c != open->line[open->indent] || n < open->marks)
            return false;
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
            p++;
        if (p < end)
            return false;
        *ret = (struct fence){0};
        return true;
    }
    if (p - marks < 3 || (c == '`' && memchr(p, '`', (size_t)(end - p))))
        return false;
    *ret = (struct fence){.line = s,
                          .len = (size_t)(end - s),
                          .indent = (size_t)(marks - s),
                          .marks = (size_t)(p - marks)};
    while (ret->len > 0 && (s[ret->len - 1] == '\r' || s[ret->len - 1] == ' '))
        ret->len--;
    /* A monster of an info string is not repeated; a monster of a fence is no fence for us. */
    if (count_chars(s, ret->len) > max_chars / 4)
        ret->len = ret->indent + ret->marks;
    return ret->len <= max_chars / 4;
}

/* The fence state behind the text s..cut, which began in state *f. A fence line that the cut goes
 * through moves the cut to its start; so does an opening line that would stand alone at the end. */
static const char *scan_fences(const char *s, const char *cut, const char *end, size_t max_chars,
                               struct fence *f)
{
    const char *start = s;

    while (s < cut) {
        const char *e = line_end(s, end);
        struct fence next;

        if (read_fence(s, e, f, max_chars, &next)) {
            bool opens = next.line != NULL;

            if (s > start && (e > cut || (opens && e + 1 >= cut)))
                return s;
            *f = next;
        }
        s = e + 1;
    }
    return cut;
}

/* Characters that belong to the one before them: no cut in front of these. */
static bool joins_previous(const char *s, const char *end)
{
    static const char *const joiners[] = {
        "\xe2\x80\x8d",     "\xef\xb8\x8e",     "\xef\xb8\x8f",     "\xf0\x9f\x8f\xbb",
        "\xf0\x9f\x8f\xbc", "\xf0\x9f\x8f\xbd", "\xf0\x9f\x8f\xbe", "\xf0\x9f\x8f\xbf"};
    size_t left = (size_t)(end - s);

    for (size_t i = 0; i < MW_ARRAY_LEN(joiners); i++) {
        size_t n = strlen(joiners[i]);

        if (left >= n && memcmp(s, joiners[i], n) == 0)
            return true;
    }
    /* U+0300 to U+036F: accents */
    return left >= 2 && ((unsigned char)s[0] == 0xcc ||
                         ((unsigned char)s[0] == 0xcd && (unsigned char)s[1] <= 0xaf));
}

static const char *hard_cut(const char *s, const char *cut, const char *end)
{
    const char *p = cut;

    for (int i = 0; i < 8 && p > s; i++) {
        bool after_joiner = p - s >= 3 && memcmp(p - 3, "\xe2\x80\x8d", 3) == 0;

        if (!after_joiner && !joins_previous(p, end))
            return p;
        do
            p--;
        while (p > s && ((unsigned char)*p & 0xc0) == 0x80);
    }
    return p > s ? p : cut;
}

/* Where to cut s..end so that at most `limit` characters stay: at a newline, else at white space,
 * else between characters; behind `floor`, if it can be. */
static const char *find_cut(const char *s, const char *floor, const char *end, size_t limit)
{
    const char *max = skip_chars(s, end, limit), *p;
    const char *low = skip_chars(s, end, limit / 4);

    if (max == end)
        return end;
    for (p = max; p > low && p > floor; p--)
        if (*p == '\n')
            return p;
    for (p = max; p > floor; p--)
        if (*p == ' ' || *p == '\t' || *p == '\n')
            return p;
    return hard_cut(s, max, end);
}

static int add_part(struct mm_parts *parts, struct mw_buf *text)
{
    char **grown, *copy = mw_buf_take(text);

    if (!copy)
        return -ENOMEM;
    grown = realloc(parts->text, (parts->n + 1) * sizeof(*grown));
    if (!grown) {
        free(copy);
        return -ENOMEM;
    }
    parts->text = grown;
    parts->text[parts->n++] = copy;
    return 0;
}

static bool only_space(const char *s, const char *end)
{
    while (s < end && strchr(" \t\r\n", *s))
        s++;
    return s == end;
}

/* Takes one part from s; returns where the next one begins. */
static const char *take_part(const char *s, const char *end, size_t max_chars, struct fence *fence,
                             struct mw_buf *out)
{
    size_t head = fence->line ? count_chars(fence->line, fence->len) + 1 : 0, tail = 0;
    const char *cut, *next, *floor = s;
    struct fence f;

    /* An opening line does not stand alone. */
    if (!fence->line && read_fence(s, line_end(s, end), fence, max_chars, &f))
        floor = MW_MIN(line_end(s, end) + 1, end);
    /* Closing the fence takes room, which may move the cut, which may change the fence. */
    for (;;) {
        size_t need = 0;

        f = *fence;
        cut = find_cut(s, floor, end, max_chars - head - tail);
        if (cut < end)
            cut = scan_fences(s, cut, end, max_chars, &f);
        if (cut < end && f.line)
            need = 1 + f.indent + f.marks;
        if (need <= tail)
            break;
        tail = need;
    }
    if (head) {
        mw_buf_append(out, fence->line, fence->len);
        mw_buf_putc(out, '\n');
    }
    next = cut;
    while (cut > s && (cut[-1] == '\r' || cut[-1] == '\n'))
        cut--;
    mw_buf_append(out, s, (size_t)(cut - s));
    if (next == end)
        return end;
    if (f.line) {
        const char *e;
        struct fence closed;

        mw_buf_putc(out, '\n');
        mw_buf_append(out, f.line, f.indent + f.marks);
        if (*next == '\n' || *next == ' ' || *next == '\t')
            next++;
        /* The author's own closing line comes right behind: ours stands for it. */
        e = line_end(next, end);
        if (read_fence(next, e, &f, max_chars, &closed)) {
            f = closed;
            next = e < end ? e + 1 : end;
        }
    } else if (*next == ' ' || *next == '\t') {
        next++;
    }
    if (!f.line)
        while (next < end && (*next == '\n' || *next == '\r'))
            next++;
    *fence = f;
    return next;
}

int mm_split(const char *message, size_t max_chars, struct mm_parts *ret)
{
    const char *s = message, *end = message + strlen(message);
    struct mm_parts parts = {0};
    struct fence fence = {0};
    int r = 0;

    while (end > s && strchr(" \t\r\n", end[-1]))
        end--;
    while (s < end && r == 0) {
        MW_AUTOBUF out = {0};
        const char *from = s;

        s = take_part(s, end, max_chars, &fence, &out);
        if (mw_buf_error(&out))
            r = -ENOMEM;
        else if (!only_space(from, s))
            r = add_part(&parts, &out);
    }
    if (r < 0) {
        mm_parts_deinit(&parts);
        return r;
    }
    *ret = parts;
    return 0;
}

void mm_parts_deinit(struct mm_parts *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        free(p->text[i]);
    free(p->text);
    *p = (struct mm_parts){0};
}
