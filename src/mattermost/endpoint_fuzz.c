#include <string.h>

#include "base/fuzz.h"
#include "mattermost/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOFREE char *text = strndup((const char *)data, size), *endpoint = NULL;
    char id[MW_ID_SIZE];
    struct mm_ref ref;

    if (!text)
        return 0;
    if (mm_endpoint_parse(text, &endpoint, NULL) == 0)
        mm_permalink_parse(endpoint, text, id);
    mm_permalink_parse("https://mm.example.com/sub", text, id);
    mm_ref_parse("https://mm.example.com", text, &ref, NULL);
    return 0;
}
