#include <string.h>

#include "base/fuzz.h"
#include "mattermost/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOFREE char *text = strndup((const char *)data, size);

    if (text) {
        mm_mentions(text, "bot");
        mm_mentions(text, "a.b-");
    }
    return 0;
}
