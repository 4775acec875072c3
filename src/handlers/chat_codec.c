#include "handlers/chat_codec.h"

#include "base/str.h"
#include "handlers/program.h"

void gw_chat_reply_init(struct gw_chat_reply *r, size_t max,
                        void (*on_text)(const char *text, size_t len, void *userdata),
                        void *userdata)
{
    *r = (struct gw_chat_reply){.max = max, .on_text = on_text, .userdata = userdata};
    mw_buf_init(&r->text, max);
    mw_buf_init(&r->whole, 4 * max);
    mw_sse_init(&r->sse, 4 * max);
}

void gw_chat_reply_deinit(struct gw_chat_reply *r)
{
    for (size_t i = 0; i < r->n_calls; i++) {
        free(r->calls[i].id);
        free(r->calls[i].name);
        mw_buf_deinit(&r->calls[i].args);
    }
    free(r->calls);
    mw_buf_deinit(&r->text);
    mw_buf_deinit(&r->whole);
    mw_sse_deinit(&r->sse);
    mw_error_reset(&r->err);
    *r = (struct gw_chat_reply){0};
}

/* ---- Errors ---- */

const char *gw_chat_error_text(const cJSON *body)
{
    static const char *const members[] = {"message", "detail", "msg", "code", "type"};
    const cJSON *error = mw_json_get(body, "error");

    if (cJSON_IsString(error))
        return error->valuestring;
    if (!cJSON_IsObject(error))
        error = body;
    for (size_t i = 0; i < MW_ARRAY_LEN(members); i++) {
        const char *text = mw_json_str(error, members[i]);

        if (text && text[0])
            return text;
    }
    return NULL;
}

static int out_of_memory(struct gw_chat_reply *r)
{
    return mw_error_set(&r->err, -ENOMEM, "out of memory");
}

/* rc of an append. */
static int check(struct gw_chat_reply *r, int rc)
{
    if (rc == -E2BIG)
        return mw_error_set(&r->err, rc, "the model's answer is longer than %zu bytes", r->max);
    return rc ? out_of_memory(r) : 0;
}

static int server_error(struct gw_chat_reply *r, const cJSON *chunk)
{
    const char *text = gw_chat_error_text(chunk);

    return mw_error_set(&r->err, -EREMOTEIO, "the model's server reports an error%s%.300s",
                        text ? ": " : "", text ? text : "");
}

/* ---- Text ---- */

static int take_text(struct gw_chat_reply *r, const char *text)
{
    size_t len = strlen(text);
    int rc = len ? mw_buf_append(&r->text, text, len) : 0;

    if (rc)
        return check(r, rc);
    if (len && r->on_text)
        r->on_text(text, len, r->userdata);
    return 0;
}

/* A string, or a list of parts of which those with text count. */
static int take_content(struct gw_chat_reply *r, const cJSON *content)
{
    const cJSON *part;
    int rc = 0;

    if (cJSON_IsString(content))
        return take_text(r, content->valuestring);
    if (!cJSON_IsArray(content))
        return 0;
    cJSON_ArrayForEach(part, content)
    {
        const char *text = mw_json_str(part, "text");

        if (text && !rc)
            rc = take_text(r, text);
    }
    return rc;
}

/* ---- Tool calls ---- */

static bool is_whole_object(const struct mw_buf *args)
{
    MW_AUTOJSON *tree = NULL;

    return args->len && !mw_json_parse(args->data, args->len, &tree, NULL) && cJSON_IsObject(tree);
}

static struct gw_chat_call *new_call(struct gw_chat_reply *r, int64_t index)
{
    struct gw_chat_call *calls = reallocarray(r->calls, r->n_calls + 1, sizeof(*calls));

    if (!calls)
        return NULL;
    r->calls = calls;
    calls[r->n_calls] = (struct gw_chat_call){.index = index};
    mw_buf_init(&calls[r->n_calls].args, r->max);
    return &calls[r->n_calls++];
}

/* Which call a piece belongs to; NULL = it begins a new one. By index. But there are servers that
 * count nothing or give every call the index 0: another id, or a name after complete arguments,
 * begins a new call, too, and so does another name. */
static struct gw_chat_call *call_of(struct gw_chat_reply *r, int64_t index, const char *id,
                                    const char *name)
{
    struct gw_chat_call *call = NULL;

    for (size_t i = r->n_calls; i-- > 0 && !call;) {
        if (index < 0 || r->calls[i].index == index)
            call = &r->calls[i];
    }
    if (!call)
        return NULL;
    if (id && call->id && !mw_streq(id, call->id))
        return NULL;
    if (name && call->name && !(id && call->id) &&
        (!mw_streq(name, call->name) || is_whole_object(&call->args)))
        return NULL;
    return call;
}

static const char *not_empty(const char *s)
{
    return s && s[0] ? s : NULL;
}

static int take_call(struct gw_chat_reply *r, const cJSON *piece)
{
    const cJSON *function = mw_json_obj(piece, "function");
    const cJSON *args = mw_json_get(function, "arguments");
    const char *id = not_empty(mw_json_str(piece, "id"));
    const char *name = not_empty(mw_json_str(function, "name"));
    struct gw_chat_call *call = call_of(r, mw_json_i64(piece, "index", -1), id, name);
    int rc = 0;

    if (!call && r->n_calls == GW_CHAT_MAX_CALLS)
        return mw_error_set(&r->err, -EPROTO, "the model calls more than %d tools at once",
                            GW_CHAT_MAX_CALLS);
    if (!call)
        call = new_call(r, mw_json_i64(piece, "index", -1));
    if (!call || (id && mw_str_set(&call->id, id)) || (name && mw_str_set(&call->name, name)))
        return out_of_memory(r);
    if (cJSON_IsString(args))
        rc = mw_buf_puts(&call->args, args->valuestring);
    else if (cJSON_IsObject(args) && !is_whole_object(&call->args))
        rc = mw_json_write(&call->args, args);
    return check(r, rc);
}

/* ---- Chunks ---- */

static void take_finish(struct gw_chat_reply *r, const char *reason)
{
    static const struct {
        const char *name;
        enum gw_chat_finish finish;
    } reasons[] = {
        {"length", GW_CHAT_LENGTH},           {"max_tokens", GW_CHAT_LENGTH},
        {"content_filter", GW_CHAT_FILTERED}, {"safety", GW_CHAT_FILTERED},
        {"tool_calls", GW_CHAT_TOOLS},        {"function_call", GW_CHAT_TOOLS},
    };

    if (!reason || !reason[0])
        return;
    r->finish = GW_CHAT_STOP;
    for (size_t i = 0; i < MW_ARRAY_LEN(reasons); i++) {
        if (!strcasecmp(reason, reasons[i].name))
            r->finish = reasons[i].finish;
    }
}

static int take_choice(struct gw_chat_reply *r, const cJSON *choice)
{
    const cJSON *part = mw_json_obj(choice, "delta"), *piece;
    int rc;

    if (mw_json_i64(choice, "index", 0) != 0)
        return 0; /* one was asked for */
    if (!part)
        part = mw_json_obj(choice, "message");
    rc = take_content(r, mw_json_get(part, "content"));
    if (!rc)
        rc = take_content(r, mw_json_get(part, "refusal"));
    cJSON_ArrayForEach(piece, mw_json_arr(part, "tool_calls"))
    {
        if (!rc)
            rc = take_call(r, piece);
    }
    take_finish(r, mw_json_str(choice, "finish_reason"));
    return rc;
}

static int take_chunk(struct gw_chat_reply *r, const char *data, size_t len)
{
    MW_AUTOJSON *chunk = NULL;
    const cJSON *choices, *usage, *choice, *error;
    int rc = mw_json_parse(data, len, &chunk, NULL);
    MW_AUTOBUF clean = {0};

    if (rc == -EINVAL) { /* half a character: the model's tokens are not the server's concern */
        rc = gw_clean_text(data, len, &clean);
        rc = rc ? rc : mw_json_parse(mw_buf_str(&clean), clean.len, &chunk, NULL);
    }
    if (rc == -ENOMEM)
        return out_of_memory(r);
    if (rc || !cJSON_IsObject(chunk))
        return mw_error_set(&r->err, -EPROTO, "the model's server sends what is no JSON object");
    choices = mw_json_arr(chunk, "choices");
    error = mw_json_get(chunk, "error");
    if ((error && !cJSON_IsNull(error)) || mw_streq(mw_json_str(chunk, "object"), "error"))
        return server_error(r, chunk);
    usage = mw_json_obj(chunk, "usage");
    if (usage) {
        r->tokens_in = mw_json_i64(usage, "prompt_tokens", 0);
        r->tokens_out = mw_json_i64(usage, "completion_tokens", 0);
    }
    r->understood |= choices || usage;
    if (usage && !cJSON_GetArraySize(choices))
        r->done = true;
    cJSON_ArrayForEach(choice, choices)
    {
        if (!rc)
            rc = take_choice(r, choice);
    }
    return rc;
}

static int on_event(const struct mw_sse_event *e, void *userdata)
{
    struct gw_chat_reply *r = userdata;
    const char *data = e->data + strspn(e->data, " \t\n");

    if (!data[0])
        return 0; /* a sign of life */
    if (!strncmp(data, "[DONE]", 6)) {
        r->done = r->understood = true;
        return 0;
    }
    if (mw_streq(e->event, "error") && data[0] != '{')
        return mw_error_set(&r->err, -EREMOTEIO, "the model's server reports an error: %.300s",
                            data);
    return take_chunk(r, data, e->len - (size_t)(data - e->data));
}

int gw_chat_reply_feed(struct gw_chat_reply *r, const char *data, size_t len)
{
    while (r->form == GW_CHAT_UNKNOWN && len && strchr(" \t\r\n", *data)) {
        data++;
        len--;
    }
    if (!len)
        return 0;
    if (r->form == GW_CHAT_UNKNOWN)
        r->form = *data == '{' ? GW_CHAT_WHOLE : GW_CHAT_STREAM;
    if (r->form == GW_CHAT_WHOLE)
        return check(r, mw_buf_append(&r->whole, data, len));
    int rc = mw_sse_feed(&r->sse, data, len, on_event, r);

    return rc && !mw_error_is_set(&r->err) ? check(r, rc) : rc;
}

int gw_chat_reply_end(struct gw_chat_reply *r)
{
    int rc = 0;

    if (r->form == GW_CHAT_WHOLE)
        rc = take_chunk(r, r->whole.data, r->whole.len);
    else if (r->form == GW_CHAT_STREAM)
        rc = mw_sse_end(&r->sse, on_event, r);
    if (r->form == GW_CHAT_STREAM && rc == -EPROTO && r->understood) {
        mw_error_reset(&r->err); /* cut within a chunk: what came before it counts */
        rc = 0;
    }
    if (rc)
        return mw_error_is_set(&r->err) ? rc : check(r, rc);
    if (!r->understood)
        return mw_error_set(&r->err, -EPROTO,
                            "the answer is no chat completion; `url` must be the address before "
                            "/chat/completions");
    if (r->form == GW_CHAT_WHOLE)
        r->done = true;
    if (r->finish == GW_CHAT_OPEN && !r->done)
        return 1;
    if (r->n_calls && (r->finish == GW_CHAT_OPEN || r->finish == GW_CHAT_STOP))
        r->finish = GW_CHAT_TOOLS; /* not every server says so */
    else if (r->finish == GW_CHAT_OPEN || (r->finish == GW_CHAT_TOOLS && !r->n_calls))
        r->finish = GW_CHAT_STOP;
    return 0;
}

/* ---- The reply as a message ---- */

static cJSON *call_json(struct gw_chat_call *call, unsigned *next_id)
{
    MW_AUTOJSON *o = cJSON_CreateObject(), *function = cJSON_CreateObject();

    if (!call->id)
        call->id = mw_asprintf("call_%u", ++*next_id);
    if (!call->args.len && mw_buf_puts(&call->args, "{}"))
        return NULL;
    if (!o || !function || !call->id || mw_json_add_str(o, "id", call->id) ||
        mw_json_add_str(o, "type", "function") ||
        mw_json_add_str(function, "name", call->name ? call->name : "") ||
        mw_json_add_str(function, "arguments", mw_buf_str(&call->args)) ||
        mw_json_add(o, "function", take_ptr(function)))
        return NULL;
    return take_ptr(o);
}

cJSON *gw_chat_reply_message(struct gw_chat_reply *r, unsigned *next_id)
{
    MW_AUTOJSON *o = cJSON_CreateObject(), *calls = cJSON_CreateArray();

    if (!o || !calls || mw_json_add_str(o, "role", "assistant") ||
        mw_json_add_str(o, "content", mw_buf_str(&r->text)))
        return NULL;
    for (size_t i = 0; i < r->n_calls; i++) {
        if (mw_json_push(calls, call_json(&r->calls[i], next_id)))
            return NULL;
    }
    if (r->n_calls && mw_json_add(o, "tool_calls", take_ptr(calls)))
        return NULL;
    return take_ptr(o);
}
