#include "base/fuzz.h"
#include "mattermost/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOJSON *json = NULL;
    char anchor[MW_ID_SIZE] = "";
    struct mm_page page;
    unsigned n = 0;

    if (mw_json_parse((const char *)data, size, &json, NULL) < 0 || mm_page_read(json, &page) < 0)
        return 0;
    mm_page_anchor_back(&page, anchor, &n);
    mm_page_anchor_forward(&page, anchor, &n);
    mm_page_anchor_start(&page, anchor);
    for (size_t i = 0; i < page.n; i++)
        cJSON_Delete(mm_page_take(&page, i));
    mm_page_deinit(&page);
    return 0;
}
