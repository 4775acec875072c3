#include "handlers/acp_codec.h"

#include <ctype.h>
#include <openssl/evp.h>

#include "base/str.h"

#define MAX_DIFF 8000 /* bytes of it that a person is shown */

/* ---- Reading ---- */

int acp_read(const cJSON *tree, struct acp_msg *ret, struct mw_error *err)
{
    const cJSON *id = mw_json_get(tree, "id"), *error = mw_json_obj(tree, "error");
    struct acp_msg m = {
        .method = mw_json_str(tree, "method"),
        .params = mw_json_obj(tree, "params"),
        .message = "",
    };

    if (m.method) {
        m.kind = id ? ACP_REQUEST : ACP_NOTIFICATION;
        m.rpc_id = id;
        if (id && !cJSON_IsNumber(id) && !cJSON_IsString(id) && !cJSON_IsNull(id)) {
            mw_error_set(err, 1, "a request whose id is neither a number nor a string");
            return 1;
        }
    } else if (error) {
        m.kind = ACP_ERROR;
        m.id = mw_json_i64(tree, "id", 0);
        m.code = (int)MW_MAX(INT32_MIN, MW_MIN(INT32_MAX, mw_json_i64(error, "code", 0)));
        m.message = mw_json_str_or(error, "message", "");
    } else if (id && mw_json_get(tree, "result")) {
        m.kind = ACP_RESULT;
        m.id = mw_json_i64(tree, "id", 0);
        m.result = mw_json_obj(tree, "result");
    } else {
        mw_error_set(err, 1, "JSON, but no message of the protocol");
        return 1;
    }
    *ret = m;
    return 0;
}

/* Capabilities are told by an object, some older ones by true. */
static bool has(const cJSON *caps, const char *name)
{
    const cJSON *o = mw_json_get(caps, name);

    return cJSON_IsTrue(o) || cJSON_IsObject(o);
}

void acp_read_initialize(const cJSON *result, struct acp_agent_info *ret)
{
    const cJSON *caps = mw_json_obj(result, "agentCapabilities");
    const cJSON *session = mw_json_obj(caps, "sessionCapabilities");
    const cJSON *prompt = mw_json_obj(caps, "promptCapabilities");
    const cJSON *info = mw_json_obj(result, "agentInfo");

    *ret = (struct acp_agent_info){
        .version = mw_json_i64(result, "protocolVersion", 0),
        .name = mw_json_str_or(info, "name", ""),
        .release = mw_json_str_or(info, "version", ""),
        .load = has(caps, "loadSession"),
        .resume = has(session, "resume"),
        .close = has(session, "close"),
        .remove = has(session, "delete"),
        .image = has(prompt, "image"),
        .embedded = has(prompt, "embeddedContext"),
        .mcp_http = has(mw_json_obj(caps, "mcpCapabilities"), "http"),
        .auth = mw_json_arr(result, "authMethods"),
    };
}

const char *acp_auth_method(const cJSON *auth, struct mw_buf *names)
{
    const char *only = NULL;
    unsigned usable = 0;
    const cJSON *m;

    cJSON_ArrayForEach(m, auth)
    {
        const char *id = mw_json_str(m, "id"), *type = mw_json_str_or(m, "type", "agent");

        if (!id || !mw_streq(type, "agent"))
            continue;
        only = id;
        usable++;
    }
    if (usable == 1)
        return only;
    cJSON_ArrayForEach(m, auth)
    {
        const char *name = mw_json_str_or(m, "name", mw_json_str(m, "id"));

        if (name)
            mw_buf_printf(names, "%s%s", names->len ? ", " : "", name);
    }
    return NULL;
}

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; name && i < n; i++) {
        if (mw_streq(names[i], name))
            return (int)i;
    }
    return -1;
}

static int read_state(const char *status)
{
    static const char *const names[] = {
        [GW_ACTIVITY_PENDING] = "pending",
        [GW_ACTIVITY_RUNNING] = "in_progress",
        [GW_ACTIVITY_DONE] = "completed",
        [GW_ACTIVITY_FAILED] = "failed",
    };

    return index_of(names, MW_ARRAY_LEN(names), status);
}

static const char *block_text(const cJSON *block)
{
    return mw_streq(mw_json_str(block, "type"), "text") ? mw_json_str_or(block, "text", "") : "";
}

int acp_read_update(const cJSON *params, struct acp_update *ret)
{
    const cJSON *o = mw_json_obj(params, "update");
    const char *kind = mw_json_str_or(o, "sessionUpdate", "");
    struct acp_update u = {.session = mw_json_str(params, "sessionId"), .text = "", .state = -1};
    bool call = mw_streq(kind, "tool_call");

    if (!u.session)
        return 1;
    if (mw_streq(kind, "agent_message_chunk")) {
        u.kind = ACP_UPDATE_TEXT;
        u.text = block_text(mw_json_obj(o, "content"));
        u.message_id = mw_json_str(o, "messageId");
    } else if (mw_streq(kind, "agent_thought_chunk")) {
        u.kind = ACP_UPDATE_THOUGHT;
    } else if ((call || mw_streq(kind, "tool_call_update")) && mw_json_str(o, "toolCallId")) {
        u.kind = ACP_UPDATE_TOOL;
        u.tool_id = mw_json_str(o, "toolCallId");
        u.title = mw_json_str(o, "title");
        u.state = read_state(mw_json_str(o, "status"));
        if (call && u.state < 0)
            u.state = GW_ACTIVITY_PENDING; /* the schema's default */
    } else if (mw_streq(kind, "plan")) {
        u.kind = ACP_UPDATE_PLAN;
        u.entries = mw_json_arr(o, "entries");
    }
    *ret = u;
    return 0;
}

const char *acp_plan_entry(const cJSON *entry, enum gw_activity_state *ret)
{
    int state = read_state(mw_json_str(entry, "status"));

    *ret = state < 0 ? GW_ACTIVITY_PENDING : (enum gw_activity_state)state;
    return mw_json_str(entry, "content");
}

int acp_read_permission(const cJSON *params, struct acp_permission *ret, struct mw_error *err)
{
    static const char *const kinds[] = {
        [GW_ALLOW_ONCE] = "allow_once",
        [GW_ALLOW_ALWAYS] = "allow_always",
        [GW_REJECT_ONCE] = "reject_once",
        [GW_REJECT_ALWAYS] = "reject_always",
    };
    const cJSON *o;
    struct acp_permission p = {
        .session = mw_json_str(params, "sessionId"),
        .tool = mw_json_obj(params, "toolCall"),
    };

    if (!p.session || !p.tool || !mw_json_arr(params, "options")) {
        mw_error_set(err, 1, "sessionId, toolCall and options are needed");
        return 1;
    }
    p.tool_id = mw_json_str_or(p.tool, "toolCallId", "");
    p.title = mw_json_str(p.tool, "title");
    cJSON_ArrayForEach(o, mw_json_arr(params, "options"))
    {
        int kind = index_of(kinds, MW_ARRAY_LEN(kinds), mw_json_str(o, "kind"));
        const char *id = mw_json_str(o, "optionId");

        if (kind < 0 || !id || p.n_options == ACP_MAX_OPTIONS)
            continue;
        p.options[p.n_options++] = (struct gw_permission_option){
            .id = id,
            .name = mw_json_str_or(o, "name", id),
            .kind = (enum gw_permission_kind)kind,
        };
    }
    *ret = p;
    return 0;
}

static void add_lines(struct mw_buf *out, char sign, const char *text)
{
    while (text && *text && out->len < MAX_DIFF) {
        size_t n = strcspn(text, "\n");

        mw_buf_putc(out, sign);
        mw_buf_append(out, text, n);
        mw_buf_putc(out, '\n');
        text += n + (text[n] == '\n');
    }
}

int acp_permission_details(const cJSON *tool, struct mw_buf *out)
{
    const cJSON *input = mw_json_get(tool, "rawInput"), *item;

    if (input && !cJSON_IsNull(input) && cJSON_GetArraySize(input))
        return mw_json_write(out, input);
    cJSON_ArrayForEach(item, mw_json_arr(tool, "content"))
    {
        if (out->len && out->data[out->len - 1] != '\n')
            mw_buf_putc(out, '\n');
        if (mw_streq(mw_json_str(item, "type"), "diff")) {
            mw_buf_printf(out, "%s\n", mw_json_str_or(item, "path", ""));
            add_lines(out, '-', mw_json_str(item, "oldText"));
            add_lines(out, '+', mw_json_str(item, "newText"));
        } else {
            mw_buf_puts(out, block_text(mw_json_obj(item, "content")));
        }
    }
    cJSON_ArrayForEach(item, mw_json_arr(tool, "locations"))
    {
        if (!out->len || out->data[out->len - 1] == '\n' || !mw_json_arr(tool, "content"))
            mw_buf_printf(out, "%s%s", out->len ? " " : "", mw_json_str_or(item, "path", ""));
    }
    return mw_buf_error(out);
}

const char *acp_choose(const struct acp_permission *p, bool allow)
{
    const char *found = NULL;

    for (size_t i = 0; i < p->n_options; i++) {
        const struct gw_permission_option *o = &p->options[i];

        if (o->kind == (allow ? GW_ALLOW_ONCE : GW_REJECT_ONCE))
            return o->id;
        if (o->kind == (allow ? GW_ALLOW_ALWAYS : GW_REJECT_ALWAYS) && !found)
            found = o->id;
    }
    return found;
}

/* ---- Writing ---- */

int acp_write_call(struct mw_buf *b, int64_t id, const char *method, cJSON *params)
{
    MW_AUTOJSON *p = params;

    if (!p)
        return -ENOMEM;
    mw_buf_puts(b, "{\"jsonrpc\":\"2.0\",");
    if (id)
        mw_buf_printf(b, "\"id\":%lld,", (long long)id);
    mw_buf_printf(b, "\"method\":\"%s\",\"params\":", method);
    if (mw_json_write(b, p))
        return b->error ? b->error : -ENOMEM;
    return mw_buf_putc(b, '}');
}

static int write_head(struct mw_buf *b, const cJSON *rpc_id)
{
    mw_buf_puts(b, "{\"jsonrpc\":\"2.0\",\"id\":");
    return mw_json_write(b, rpc_id);
}

int acp_write_result(struct mw_buf *b, const cJSON *rpc_id, cJSON *result)
{
    MW_AUTOJSON *r = result;

    if (!r || write_head(b, rpc_id) || mw_buf_puts(b, ",\"result\":") || mw_json_write(b, r))
        return b->error ? b->error : -ENOMEM;
    return mw_buf_putc(b, '}');
}

int acp_write_error(struct mw_buf *b, const cJSON *rpc_id, int code, const char *message)
{
    if (write_head(b, rpc_id))
        return b->error ? b->error : -ENOMEM;
    mw_buf_printf(b, ",\"error\":{\"code\":%d,\"message\":", code);
    mw_buf_put_json_string(b, message);
    return mw_buf_puts(b, "}}");
}

cJSON *acp_initialize_params(const char *release)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    cJSON *caps = o ? cJSON_AddObjectToObject(o, "clientCapabilities") : NULL;
    cJSON *fs = caps ? cJSON_AddObjectToObject(caps, "fs") : NULL;
    cJSON *info = o ? cJSON_AddObjectToObject(o, "clientInfo") : NULL;

    if (!fs || !info || mw_json_add_i64(o, "protocolVersion", ACP_VERSION) ||
        mw_json_add_bool(fs, "readTextFile", false) ||
        mw_json_add_bool(fs, "writeTextFile", false) || mw_json_add_bool(caps, "terminal", false) ||
        mw_json_add_str(info, "name", "matterwire") ||
        mw_json_add_str(info, "title", "Matterwire") || mw_json_add_str(info, "version", release))
        return NULL;
    return take_ptr(o);
}

/* "NAME=value" strings as [{"name","value"}]. */
static int add_pairs(cJSON *o, const char *key, const struct gw_strings *pairs)
{
    cJSON *list = cJSON_AddArrayToObject(o, key);

    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < pairs->n; i++) {
        const char *pair = pairs->items[i], *eq = strchr(pair, '=');
        MW_AUTOJSON *item = cJSON_CreateObject();
        MW_AUTOFREE char *name = eq ? strndup(pair, (size_t)(eq - pair)) : strdup(pair);

        if (!item || !name || mw_json_add_str(item, "name", name) ||
            mw_json_add_str(item, "value", eq ? eq + 1 : "") || mw_json_push(list, take_ptr(item)))
            return -ENOMEM;
    }
    return 0;
}

static int add_mcp_server(cJSON *list, const struct gw_mcp_server_config *m)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || mw_json_add_str(o, "name", m->name))
        return -ENOMEM;
    if (m->url) {
        if (mw_json_add_str(o, "type", "http") || mw_json_add_str(o, "url", m->url) ||
            add_pairs(o, "headers", &m->headers))
            return -ENOMEM;
    } else {
        cJSON *args = cJSON_AddArrayToObject(o, "args");

        if (!args || mw_json_add_str(o, "command", m->command.n ? m->command.items[0] : "") ||
            add_pairs(o, "env", &m->env))
            return -ENOMEM;
        for (size_t i = 1; i < m->command.n; i++) {
            if (mw_json_push(args, cJSON_CreateString(m->command.items[i])))
                return -ENOMEM;
        }
    }
    return mw_json_push(list, take_ptr(o));
}

cJSON *acp_session_params(const char *session, const struct gw_handler_config *config,
                          bool mcp_http, size_t *ret_left_out)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    cJSON *servers = o ? cJSON_AddArrayToObject(o, "mcpServers") : NULL;
    size_t left_out = 0;

    if (!servers || (session && mw_json_add_str(o, "sessionId", session)) ||
        mw_json_add_str(o, "cwd", config->workdir ? config->workdir : "/"))
        return NULL;
    for (size_t i = 0; i < config->n_mcp_servers; i++) {
        const struct gw_mcp_server_config *m = &config->mcp_servers[i];

        if (m->url && !mcp_http)
            left_out++;
        else if (add_mcp_server(servers, m))
            return NULL;
    }
    *ret_left_out = left_out;
    return take_ptr(o);
}

cJSON *acp_prompt_params(const char *session, cJSON *content)
{
    MW_AUTOJSON *list = content;
    MW_AUTOJSON *o = acp_one_member("sessionId", session);

    if (!o || !list || mw_json_add(o, "prompt", take_ptr(list)))
        return NULL;
    return take_ptr(o);
}

cJSON *acp_one_member(const char *name, const char *value)
{
    MW_AUTOJSON *o = cJSON_CreateObject();

    if (!o || mw_json_add_str(o, name, value))
        return NULL;
    return take_ptr(o);
}

cJSON *acp_outcome(const char *option)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    cJSON *outcome = o ? cJSON_AddObjectToObject(o, "outcome") : NULL;

    if (!outcome || mw_json_add_str(outcome, "outcome", option ? "selected" : "cancelled") ||
        (option && mw_json_add_str(outcome, "optionId", option)))
        return NULL;
    return take_ptr(o);
}

/* ---- Blocks ---- */

static cJSON *new_block(const char *type)
{
    return acp_one_member("type", type);
}

/* file:// with all that is not plain as %XX. */
static void put_encoded(struct mw_buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x80 && (isalnum(c) || strchr("/-._~", c)))
            mw_buf_putc(b, (char)c);
        else
            mw_buf_printf(b, "%%%02X", c);
    }
}

/* name NULL = none. Allocated. */
static char *file_uri(const char *path, const char *name)
{
    MW_AUTOBUF b = {0};

    mw_buf_puts(&b, "file://");
    put_encoded(&b, path);
    if (name && name[0]) {
        mw_buf_putc(&b, '#');
        put_encoded(&b, name);
    }
    return mw_buf_take(&b);
}

int acp_add_text(cJSON *content, const char *text)
{
    MW_AUTOJSON *o = new_block("text");

    if (!o || mw_json_add_str(o, "text", text))
        return -ENOMEM;
    return mw_json_push(content, take_ptr(o));
}

int acp_add_image(cJSON *content, const char *mime, const void *data, size_t len)
{
    MW_AUTOJSON *o = new_block("image");
    MW_AUTOFREE char *text = malloc((len + 2) / 3 * 4 + 1);

    if (!o || !text)
        return -ENOMEM;
    EVP_EncodeBlock((unsigned char *)text, data, (int)len);
    if (mw_json_add_str(o, "mimeType", mime) || mw_json_add_str(o, "data", text))
        return -ENOMEM;
    return mw_json_push(content, take_ptr(o));
}

int acp_add_resource(cJSON *content, const struct gw_turn_file *file, const char *text)
{
    MW_AUTOJSON *o = new_block("resource");
    cJSON *r = o ? cJSON_AddObjectToObject(o, "resource") : NULL;
    /* A resource has no name, and the copy here is not called what people call it. */
    MW_AUTOFREE char *uri = file_uri(file->path, file->name);

    if (!r || !uri || mw_json_add_str(r, "uri", uri) ||
        mw_json_add_str(r, "mimeType", file->mime) || mw_json_add_str(r, "text", text))
        return -ENOMEM;
    return mw_json_push(content, take_ptr(o));
}

int acp_add_link(cJSON *content, const struct gw_turn_file *file)
{
    MW_AUTOJSON *o = new_block("resource_link");
    MW_AUTOFREE char *uri = file_uri(file->path, NULL);

    if (!o || !uri || mw_json_add_str(o, "uri", uri) || mw_json_add_str(o, "name", file->name) ||
        (file->mime && file->mime[0] && mw_json_add_str(o, "mimeType", file->mime)) ||
        mw_json_add_i64(o, "size", file->size))
        return -ENOMEM;
    return mw_json_push(content, take_ptr(o));
}
