/* A reply fed whole and byte by byte comes to the same. */
#include <string.h>

#include "base/fuzz.h"
#include "handlers/chat_codec.h"

static int run(const uint8_t *data, size_t size, size_t step, struct gw_chat_reply *r)
{
    int rc = 0;

    gw_chat_reply_init(r, 300, NULL, NULL);
    for (size_t at = 0; !rc && at < size; at += step)
        rc = gw_chat_reply_feed(r, (const char *)data + at, MW_MIN(step, size - at));
    return rc ? rc : gw_chat_reply_end(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_chat_reply whole, bytes;
    int rc = run(data, size, size + 1, &whole);
    unsigned id = 0;

    if (run(data, size, 1, &bytes) != rc || whole.text.len != bytes.text.len ||
        whole.n_calls != bytes.n_calls || whole.finish != bytes.finish)
        abort();
    if ((rc < 0) != mw_error_is_set(&whole.err) || whole.text.len > 300)
        abort();
    cJSON_Delete(gw_chat_reply_message(&whole, &id));
    gw_chat_reply_deinit(&whole);
    gw_chat_reply_deinit(&bytes);
    return 0;
}
