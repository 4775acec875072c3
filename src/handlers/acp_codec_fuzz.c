#include "base/fuzz.h"
#include "base/str.h"
#include "handlers/acp_codec.h"

/* What an agent may send, whatever it is; and what goes back must be JSON. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MW_AUTOJSON *tree = NULL, *back = NULL;
    MW_AUTOBUF out = {0};
    struct acp_msg m;
    struct acp_agent_info info;
    struct acp_update u;
    struct acp_permission p;

    if (mw_json_parse((const char *)data, size, &tree, NULL) || acp_read(tree, &m, NULL))
        return 0;
    acp_read_initialize(m.result, &info);
    acp_auth_method(info.auth, &out);
    mw_buf_clear(&out);
    if (acp_read_update(m.params, &u) == 0) {
        const cJSON *entry;
        enum gw_activity_state state;

        cJSON_ArrayForEach(entry, u.entries) acp_plan_entry(entry, &state);
    }
    if (acp_read_permission(m.params, &p, NULL) == 0) {
        acp_permission_details(p.tool, &out);
        mw_buf_clear(&out);
        if (acp_write_result(&out, m.rpc_id ? m.rpc_id : tree, acp_outcome(acp_choose(&p, true))))
            abort();
    } else if (m.kind == ACP_REQUEST) {
        if (acp_write_error(&out, m.rpc_id, ACP_UNKNOWN_METHOD, m.method))
            abort();
    }
    if (out.len && mw_json_parse(out.data, out.len, &back, NULL))
        abort();
    return 0;
}
