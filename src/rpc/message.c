#include "rpc/message.h"

#include "base/str.h"
#include "gateway/gateway.h"

static const struct {
    int code;
    const char *name, *doc;
} codes[] = {
    {RPC_PARSE_ERROR, "parse_error", "The line is not JSON."},
    {RPC_INVALID_REQUEST, "invalid_request", "The line is JSON, but not a request."},
    {RPC_UNKNOWN_METHOD, "unknown_method", "There is no such method."},
    {GW_BAD_PARAMS, "bad_params",
     "A parameter is unknown, missing or of the wrong type. `data.param` names it."},
    {GW_INTERNAL, "internal", "The daemon could not do it, for example for lack of memory."},
    {GW_NOT_FOUND, "not_found", "No such bot, channel, post or subscription."},
    {GW_FORBIDDEN, "forbidden", "The server does not allow the bot to do this."},
    {GW_OFFLINE, "offline", "The bot is not connected to its server; the sentence says why."},
    {GW_REFUSED, "refused", "The server said no, for another reason."},
    {GW_PENDING, "pending",
     "Accepted and written to the outbox, but not delivered within the wait; it will be."},
    {RPC_BAD_CONFIG, "bad_config",
     "The configuration was not put into force. `data.problems` lists the mistakes in the file."},
};

const char *rpc_code_name(int code)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(codes); i++)
        if (codes[i].code == code)
            return codes[i].name;
    return "internal";
}

bool rpc_code_doc(size_t i, int *ret_code, const char **ret_name, const char **ret_doc)
{
    if (i >= MW_ARRAY_LEN(codes))
        return false;
    *ret_code = codes[i].code;
    *ret_name = codes[i].name;
    *ret_doc = codes[i].doc;
    return true;
}

static int invalid(int *ret_code, struct mw_error *err, const char *sentence)
{
    *ret_code = RPC_INVALID_REQUEST;
    return mw_error_set(err, 1, "%s", sentence);
}

int rpc_request_parse(const char *line, size_t len, struct rpc_request *ret, int *ret_code,
                      struct mw_error *err)
{
    MW_AUTOERROR parse_error = MW_ERROR_INIT;
    const cJSON *id, *params;
    int r;

    *ret = (struct rpc_request){0};
    r = mw_json_parse(line, len, &ret->tree, &parse_error);
    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        *ret_code = RPC_PARSE_ERROR;
        return mw_error_set(err, 1, "the line is not JSON: %s", mw_error_text(&parse_error));
    }
    if (cJSON_IsArray(ret->tree))
        return invalid(ret_code, err, "a request is one object a line; there are no batches");
    if (!cJSON_IsObject(ret->tree))
        return invalid(ret_code, err, "a request is a JSON object");
    id = mw_json_get(ret->tree, "id");
    if (id && !cJSON_IsString(id) && !cJSON_IsNumber(id) && !cJSON_IsNull(id))
        return invalid(ret_code, err, "`id` must be a string, a number or null");
    ret->id = id;
    if (!mw_streq(mw_json_str(ret->tree, "jsonrpc"), "2.0"))
        return invalid(ret_code, err, "`jsonrpc` must be \"2.0\"");
    ret->method = mw_json_str(ret->tree, "method");
    if (!ret->method)
        return invalid(ret_code, err, "`method` must be the name of a method");
    params = mw_json_get(ret->tree, "params");
    if (params && !cJSON_IsObject(params) && !cJSON_IsNull(params))
        return invalid(ret_code, err, "`params` must be an object: parameters go by name");
    ret->params = cJSON_IsObject(params) ? params : NULL;
    return 0;
}

void rpc_request_deinit(struct rpc_request *r)
{
    cJSON_Delete(r->tree);
    *r = (struct rpc_request){0};
}

static void write_head(struct mw_buf *b, const cJSON *id)
{
    mw_buf_puts(b, "{\"jsonrpc\":\"2.0\",\"id\":");
    if (id)
        mw_json_write(b, id);
    else
        mw_buf_puts(b, "null");
}

int rpc_write_result(struct mw_buf *b, const cJSON *id, const char *result)
{
    write_head(b, id);
    mw_buf_puts(b, ",\"result\":");
    mw_buf_puts(b, result);
    return mw_buf_puts(b, "}\n");
}

int rpc_write_error(struct mw_buf *b, const cJSON *id, int code, const char *message,
                    const cJSON *data)
{
    write_head(b, id);
    mw_buf_printf(b, ",\"error\":{\"code\":%d,\"message\":", code);
    mw_buf_put_json_string(b, message);
    if (data) {
        mw_buf_puts(b, ",\"data\":");
        mw_json_write(b, data);
    }
    return mw_buf_puts(b, "}}\n");
}
