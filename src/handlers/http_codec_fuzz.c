/* The body of an answer; the first byte chooses format and type. What is answered can be printed.
 */
#include "base/fuzz.h"
#include "handlers/http_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"application/json", "text/plain", "", "text/html"};
    struct gw_http_answer a;
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *json = NULL;

    if (!size)
        return 0;
    gw_http_read(data[0] & 4 ? GW_HTTP_OUTGOING_WEBHOOK : GW_HTTP_EVENT, types[data[0] & 3],
                 (const char *)data + 1, size - 1, &a, &err);
    if ((a.end == GW_HANDLER_FAILED) != mw_error_is_set(&err))
        abort();
    if (a.end == GW_HANDLER_ANSWERED && !a.json == !a.text.len)
        abort();
    json = a.json ? mw_json_print(a.json) : NULL;
    gw_http_answer_deinit(&a);
    return 0;
}
