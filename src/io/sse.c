#include "io/sse.h"

#include "base/str.h"

#define BOM "\xef\xbb\xbf"

void mw_sse_init(struct mw_sse *s, size_t max_event)
{
    *s = (struct mw_sse){0};
    mw_buf_init(&s->line, max_event);
    mw_buf_init(&s->data, max_event);
    mw_buf_init(&s->event, max_event);
}

void mw_sse_deinit(struct mw_sse *s)
{
    mw_buf_deinit(&s->line);
    mw_buf_deinit(&s->data);
    mw_buf_deinit(&s->event);
}

static int dispatch(struct mw_sse *s, mw_sse_cb cb, void *userdata)
{
    int r = 0;

    if (s->has_data) {
        const struct mw_sse_event e = {
            .event = mw_buf_str(&s->event), .data = mw_buf_str(&s->data), .len = s->data.len};

        r = cb(&e, userdata);
    }
    s->has_data = false;
    mw_buf_clear(&s->data);
    mw_buf_clear(&s->event);
    return r;
}

/* The value of the line if it is of this field: what stands behind the colon and one space. */
static const char *value_of(const char *line, size_t len, const char *field, size_t *ret_len)
{
    size_t n = strlen(field);

    if (len < n || memcmp(line, field, n) != 0 || (len > n && line[n] != ':'))
        return NULL;
    n += len > n;
    n += len > n && line[n] == ' ';
    *ret_len = len - n;
    return line + n;
}

static int take_line(struct mw_sse *s, mw_sse_cb cb, void *userdata)
{
    const char *line = mw_buf_str(&s->line), *value;
    size_t len = s->line.len, n = 0;
    int r = 0;

    if (!s->begun && len >= 3 && !memcmp(line, BOM, 3)) {
        line += 3;
        len -= 3;
    }
    s->begun = true;
    if (!len) {
        r = dispatch(s, cb, userdata);
    } else if ((value = value_of(line, len, "data", &n))) {
        if (s->has_data)
            mw_buf_putc(&s->data, '\n');
        s->has_data = true;
        r = mw_buf_append(&s->data, value, n);
    } else if ((value = value_of(line, len, "event", &n))) {
        mw_buf_clear(&s->event);
        r = mw_buf_append(&s->event, value, n);
    }
    mw_buf_clear(&s->line);
    return r;
}

int mw_sse_feed(struct mw_sse *s, const char *data, size_t len, mw_sse_cb cb, void *userdata)
{
    size_t from = 0;
    int r;

    for (size_t i = 0; i < len; i++) {
        bool lf_of_cr = s->after_cr && data[i] == '\n';

        s->after_cr = data[i] == '\r';
        if (lf_of_cr) {
            from = i + 1;
            continue;
        }
        if (data[i] != '\r' && data[i] != '\n')
            continue;
        r = mw_buf_append(&s->line, data + from, i - from);
        from = i + 1;
        if (!r)
            r = take_line(s, cb, userdata);
        if (r)
            return r;
    }
    return mw_buf_append(&s->line, data + from, len - from);
}

int mw_sse_end(struct mw_sse *s, mw_sse_cb cb, void *userdata)
{
    int r = s->line.len ? take_line(s, cb, userdata) : 0;

    return r ? r : dispatch(s, cb, userdata);
}
