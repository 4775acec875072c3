#include "base/fuzz.h"
#include "base/str.h"
#include "rpc/message.h"
#include "rpc/methods.h"

/* What is no request is refused with a sentence; what is answered can be parsed again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_request request;
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOERROR params_err = MW_ERROR_INIT;
    const struct rpc_method *method;
    const char *param = NULL;
    MW_AUTOBUF b = {0};
    cJSON *tree = NULL;
    int code = 0;
    int r = rpc_request_parse((const char *)data, size, &request, &code, &err);

    mw_buf_init(&b, 0);
    if (r == 1 && (!code || !err.message))
        abort();
    if (r == 0) {
        method = rpc_method_find(request.method);
        if (method && rpc_params_check(method, request.params, &param, &params_err) == 1 &&
            !params_err.message)
            abort();
    }
    if (rpc_write_error(&b, request.id, code, mw_error_text(&err), NULL) == 0 &&
        mw_json_parse(mw_buf_str(&b), b.len, &tree, NULL) < 0)
        abort();
    cJSON_Delete(tree);
    rpc_request_deinit(&request);
    return 0;
}
