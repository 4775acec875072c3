#include "sandbox/searchterms.h"

#include <string.h>

#include "base/fuzz.h"

/* The first line is the query, the rest the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_CLEANUP(sb_terms_deinit) struct sb_terms terms = {0};
    MW_AUTOFREE char *text = malloc(size + 1);
    char *eol;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    eol = strchr(text, '\n');
    if (eol)
        *eol = '\0';
    if (sb_terms_parse(text, size & 1, 3600, &terms) == 0 && eol)
        sb_terms_match(&terms, eol + 1);
    return 0;
}
