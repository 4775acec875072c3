#include "base/fuzz.h"
#include "base/json.h"
#include "base/str.h"

/* Whatever parses must print, and the print must parse to the same print. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOJSON *tree = NULL, *again = NULL;
    MW_AUTOFREE char *first = NULL, *second = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (mw_json_parse((const char *)data, size, &tree, &err) < 0)
        return 0;
    first = mw_json_print(tree);
    if (!first || mw_json_parse(first, strlen(first), &again, NULL) < 0)
        abort();
    second = mw_json_print(again);
    if (!second || strcmp(first, second) != 0)
        abort();
    return 0;
}
