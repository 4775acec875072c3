/* An answer of a handler in JSON: whatever it holds, it is taken or refused with a sentence. */
#include "gateway/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gw_config config; /* no rules for files */
    struct gw_answer a = {0};
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOJSON *json = NULL;
    int rc;

    if (mw_json_parse((const char *)data, size, &json, NULL))
        return 0;
    rc = gw_answer_parse(json, &config, "/usr/share", &a, &err);
    if (rc == 1 ? !mw_error_is_set(&err) : rc != 0)
        __builtin_trap();
    if (rc == 0)
        (void)gw_answer_has_post(&a);
    gw_answer_deinit(&a);
    return 0;
}
