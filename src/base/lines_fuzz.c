#include <string.h>

#include "base/fuzz.h"
#include "base/lines.h"

#define MAX 16

/* Against the plain way: fed in pieces, the lines are those of the whole. The first byte says how
 * long the pieces are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mw_lines l;
    size_t step, at = 0, fed = 0;
    const char *in;

    if (!size)
        return 0;
    step = data[0] % 40 + 1;
    in = (const char *)data + 1;
    size--;
    mw_lines_init(&l, MAX);
    while (fed < size) {
        size_t n = MW_MIN(step, size - fed), len = 0;
        const char *line = NULL;
        int r;

        if (mw_lines_feed(&l, in + fed, n))
            abort();
        fed += n;
        while ((r = mw_lines_next(&l, &line, &len))) {
            const char *nl = memchr(in + at, '\n', size - at);
            size_t want = nl ? (size_t)(nl - (in + at)) : size - at;

            want -= nl && want && in[at + want - 1] == '\r';
            if (r < 0 ? want <= MAX : !nl || len != want || memcmp(line, in + at, len) != 0)
                abort();
            at = nl ? (size_t)(nl - in) + 1 : size;
        }
        if (l.in.len - l.taken > MAX + 2)
            abort();
    }
    mw_lines_deinit(&l);
    return 0;
}
