#include "base/lines.h"

#include <string.h>

void mw_lines_init(struct mw_lines *l, size_t max)
{
    *l = (struct mw_lines){.max = max};
}

void mw_lines_deinit(struct mw_lines *l)
{
    mw_buf_deinit(&l->in);
    *l = (struct mw_lines){.max = l->max};
}

void mw_lines_clear(struct mw_lines *l)
{
    mw_buf_clear(&l->in);
    l->taken = l->seen = 0;
    l->skipping = false;
}

int mw_lines_feed(struct mw_lines *l, const char *data, size_t len)
{
    if (l->taken) {
        mw_buf_consume(&l->in, l->taken);
        l->taken = 0;
    }
    return mw_buf_append(&l->in, data, len);
}

static void forget(struct mw_lines *l, size_t len)
{
    l->taken += len;
    l->seen = 0;
}

int mw_lines_next(struct mw_lines *l, const char **ret_line, size_t *ret_len)
{
    for (;;) {
        const char *at = l->in.data + l->taken;
        size_t left = l->in.len - l->taken, len;
        const char *nl = left > l->seen ? memchr(at + l->seen, '\n', left - l->seen) : NULL;

        if (l->skipping) {
            forget(l, nl ? (size_t)(nl - at) + 1 : left);
            if (!nl)
                return 0;
            l->skipping = false;
            continue;
        }
        if (!nl) {
            l->seen = left;
            if (left <= l->max + 1) /* the last one may be the \r of a line that just fits */
                return 0;
            forget(l, left);
            l->skipping = true;
            return -E2BIG;
        }
        len = (size_t)(nl - at);
        forget(l, len + 1);
        len -= len && at[len - 1] == '\r';
        if (len > l->max)
            return -E2BIG;
        *ret_line = at;
        *ret_len = len;
        return 1;
    }
}
