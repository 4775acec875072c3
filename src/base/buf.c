#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void mw_buf_deinit(struct mw_buf *b)
{
    if (!b)
        return;
    free(b->data);
    *b = (struct mw_buf){.limit = b->limit};
}

static int grow(struct mw_buf *b, size_t extra)
{
    size_t need, cap;
    char *data;

    if (b->error)
        return b->error;
    if (extra >= SIZE_MAX - b->len - 1 || (b->limit && extra > b->limit - b->len))
        return b->error = -E2BIG;
    need = b->len + extra + 1;
    if (need <= b->cap)
        return 0;
    cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    data = realloc(b->data, cap);
    if (!data)
        return b->error = -ENOMEM;
    if (!b->data)
        data[0] = '\0';
    b->data = data;
    b->cap = cap;
    return 0;
}

int mw_buf_append(struct mw_buf *b, const void *data, size_t len)
{
    int r = grow(b, len);

    if (r < 0)
        return r;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int mw_buf_puts(struct mw_buf *b, const char *s)
{
    return mw_buf_append(b, s, strlen(s));
}

int mw_buf_putc(struct mw_buf *b, char c)
{
    return mw_buf_append(b, &c, 1);
}

int mw_buf_vprintf(struct mw_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n, r;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return b->error = -EINVAL;
    r = grow(b, (size_t)n);
    if (r < 0)
        return r;
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    b->len += (size_t)n;
    return 0;
}

int mw_buf_printf(struct mw_buf *b, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = mw_buf_vprintf(b, fmt, ap);
    va_end(ap);
    return r;
}

int mw_buf_put_json_string(struct mw_buf *b, const char *s)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const char *run = s, *p = s;

    mw_buf_putc(b, '"');
    while (*p) {
        unsigned char c = (unsigned char)*p;
        size_t n = 1;

        if (c >= 0x80) {
            n = mw_utf8_char_len(p, strnlen(p, 4));
            if (n) {
                p += n;
                continue;
            }
        } else if (c >= 0x20 && c != '"' && c != '\\') {
            p++;
            continue;
        }
        mw_buf_append(b, run, (size_t)(p - run));
        if (c >= 0x80)
            mw_buf_puts(b, replacement);
        else if (c == '"' || c == '\\')
            mw_buf_append(b, (char[]){'\\', (char)c}, 2);
        else if (c == '\n')
            mw_buf_puts(b, "\\n");
        else if (c == '\r')
            mw_buf_puts(b, "\\r");
        else if (c == '\t')
            mw_buf_puts(b, "\\t");
        else
            mw_buf_printf(b, "\\u%04x", c);
        run = ++p;
    }
    mw_buf_append(b, run, (size_t)(p - run));
    return mw_buf_putc(b, '"');
}

char *mw_buf_reserve(struct mw_buf *b, size_t len)
{
    return grow(b, len) < 0 ? NULL : b->data + b->len;
}

void mw_buf_commit(struct mw_buf *b, size_t len)
{
    b->len += len;
    if (b->data)
        b->data[b->len] = '\0'; /* also after 0 bytes: the caller may have written over it */
}

void mw_buf_consume(struct mw_buf *b, size_t len)
{
    if (len == 0)
        return;
    memmove(b->data, b->data + len, b->len - len + 1);
    b->len -= len;
}

void mw_buf_clear(struct mw_buf *b)
{
    b->len = 0;
    b->error = 0;
    if (b->data)
        b->data[0] = '\0';
}

const char *mw_buf_str(const struct mw_buf *b)
{
    return b->data ? b->data : "";
}

char *mw_buf_take(struct mw_buf *b)
{
    char *data;

    if (b->error || grow(b, 0) < 0)
        return NULL;
    data = b->data;
    data[b->len] = '\0';
    *b = (struct mw_buf){.limit = b->limit};
    return data;
}
