#include <string.h>

#include "base/fuzz.h"
#include "base/utf8.h"
#include "mattermost/split.h"

/* The first byte chooses the limit. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOFREE char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;
    size_t max = size ? 64 + data[0] : 64;
    struct mm_parts parts;

    if (!text || mm_split(text, max, &parts) < 0)
        return 0;
    for (size_t i = 0; i < parts.n; i++) {
        size_t n = mw_utf8_count(parts.text[i]);

        if (n == 0 || n > max)
            abort();
        if (mw_utf8_valid(text, strlen(text)) &&
            !mw_utf8_valid(parts.text[i], strlen(parts.text[i])))
            abort();
    }
    mm_parts_deinit(&parts);
    return 0;
}
