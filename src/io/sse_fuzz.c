/* The same events whether the bytes come at once or one by one; the first byte is the limit. */
#include <string.h>

#include "base/fuzz.h"
#include "io/sse.h"

static int note(const struct mw_sse_event *e, void *userdata)
{
    mw_buf_append(userdata, e->event, strlen(e->event) + 1);
    return mw_buf_append(userdata, e->data, e->len + 1);
}

static int run(const uint8_t *data, size_t size, size_t step, size_t limit, struct mw_buf *seen)
{
    struct mw_sse s;
    int r = 0;

    mw_sse_init(&s, limit);
    for (size_t at = 0; !r && at < size; at += step)
        r = mw_sse_feed(&s, (const char *)data + at, MW_MIN(step, size - at), note, seen);
    if (!r)
        r = mw_sse_end(&s, note, seen);
    mw_sse_deinit(&s);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOBUF whole = {0}, bytes = {0};
    size_t limit = size ? 16 + data[0] : 16;

    if (run(data, size, size + 1, limit, &whole) != run(data, size, 1, limit, &bytes) ||
        whole.len != bytes.len || (whole.len && memcmp(whole.data, bytes.data, whole.len) != 0))
        abort();
    return 0;
}
