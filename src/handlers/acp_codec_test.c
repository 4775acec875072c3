/* The protocol's messages, read and written. */
#include "base/str.h"
#include "base/test.h"
#include "handlers/acp_codec.h"

static cJSON *parse(const char *text)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    cJSON *tree = NULL;

    if (mw_json_parse(text, strlen(text), &tree, &err))
        fail_msg("%s: %s", text, mw_error_text(&err));
    return tree;
}

/* Prints and frees. */
static void expect(cJSON *value, const char *text)
{
    MW_AUTOJSON *tree = value;
    MW_AUTOFREE char *got = tree ? mw_json_print(tree) : NULL;

    assert_non_null(got);
    assert_string_equal(got, text);
}

static void messages(void **state)
{
    static const struct {
        const char *text;
        int rc;
        enum acp_kind kind;
        int64_t id;
        const char *method, *message;
        int code;
        bool params, result;
    } rows[] = {
        {"{\"id\":7,\"result\":{}}", 0, ACP_RESULT, 7, NULL, "", 0, false, true},
        {"{\"id\":7,\"result\":null}", 0, ACP_RESULT, 7, NULL, "", 0, false, false},
        {"{\"id\":7,\"error\":{\"code\":-32000,\"message\":\"no\"}}", 0, ACP_ERROR, 7, NULL, "no",
         -32000, false, false},
        {"{\"id\":null,\"error\":{\"code\":1e99}}", 0, ACP_ERROR, 0, NULL, "", INT32_MAX, false,
         false},
        {"{\"id\":\"x\",\"method\":\"m\",\"params\":{}}", 0, ACP_REQUEST, 0, "m", "", 0, true,
         false},
        {"{\"id\":null,\"method\":\"m\"}", 0, ACP_REQUEST, 0, "m", "", 0, false, false},
        {"{\"method\":\"m\",\"params\":[1]}", 0, ACP_NOTIFICATION, 0, "m", "", 0, false, false},
        {"{\"id\":{},\"method\":\"m\"}", 1, 0, 0, NULL, NULL, 0, false, false},
        {"{\"id\":7}", 1, 0, 0, NULL, NULL, 0, false, false},
        {"{\"result\":{}}", 1, 0, 0, NULL, NULL, 0, false, false},
        {"{}", 1, 0, 0, NULL, NULL, 0, false, false},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOJSON *tree = parse(rows[i].text);
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct acp_msg m;

        assert_int_equal(acp_read(tree, &m, &err), rows[i].rc);
        assert_int_equal(mw_error_is_set(&err), rows[i].rc);
        if (rows[i].rc)
            continue;
        assert_int_equal(m.kind, rows[i].kind);
        assert_int_equal(m.id, rows[i].id);
        assert_int_equal(m.code, rows[i].code);
        assert_true(mw_streq(m.method, rows[i].method));
        assert_string_equal(m.message, rows[i].message);
        assert_int_equal(m.params != NULL, rows[i].params);
        assert_int_equal(m.result != NULL, rows[i].result);
    }
}

static void greetings(void **state)
{
    MW_AUTOJSON *full = parse(
        "{\"protocolVersion\":1,\"agentInfo\":{\"name\":\"a\",\"version\":\"2.0\"},"
        "\"agentCapabilities\":{\"loadSession\":true,\"promptCapabilities\":{\"image\":true},"
        "\"mcpCapabilities\":{\"http\":true},\"sessionCapabilities\":{\"resume\":{},\"close\":null,"
        "\"delete\":{}}},\"authMethods\":[]}");
    MW_AUTOJSON *bare = parse("{\"protocolVersion\":\"1\"}");
    struct acp_agent_info info;

    acp_read_initialize(full, &info);
    assert_int_equal(info.version, 1);
    assert_string_equal(info.name, "a");
    assert_string_equal(info.release, "2.0");
    assert_true(info.load && info.resume && info.remove && info.image && info.mcp_http);
    assert_false(info.close || info.embedded);
    acp_read_initialize(bare, &info);
    assert_int_equal(info.version, 0);
    assert_string_equal(info.name, "");
    assert_false(info.load || info.resume || info.close || info.remove || info.image);
    assert_null(info.auth);
    acp_read_initialize(NULL, &info);
    assert_int_equal(info.version, 0);
}

static void ways_to_sign_in(void **state)
{
    static const struct {
        const char *methods, *id, *names;
    } rows[] = {
        {"[]", NULL, ""},
        {"[{\"id\":\"key\",\"name\":\"A key\"}]", "key", ""},
        {"[{\"id\":\"key\",\"type\":\"agent\"},{\"id\":\"t\",\"type\":\"terminal\"}]", "key", ""},
        {"[{\"id\":\"t\",\"name\":\"Terminal\",\"type\":\"terminal\"}]", NULL, "Terminal"},
        {"[{\"id\":\"a\",\"name\":\"A\"},{\"id\":\"b\"},{\"name\":7}]", NULL, "A, b"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOJSON *methods = parse(rows[i].methods);
        MW_AUTOBUF names = {0};

        assert_true(mw_streq(acp_auth_method(methods, &names), rows[i].id));
        assert_string_equal(mw_buf_str(&names), rows[i].names);
    }
}

static void updates(void **state)
{
    static const struct {
        const char *update;
        enum acp_update_kind kind;
        const char *text, *tool, *title;
        int state;
    } rows[] = {
        {"{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\",\"text\":\"a\"}"
         "}",
         ACP_UPDATE_TEXT, "a", NULL, NULL, -1},
        {"{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"image\",\"text\":\"a\""
         "}}",
         ACP_UPDATE_TEXT, "", NULL, NULL, -1},
        {"{\"sessionUpdate\":\"agent_message_chunk\"}", ACP_UPDATE_TEXT, "", NULL, NULL, -1},
        {"{\"sessionUpdate\":\"agent_thought_chunk\",\"content\":{\"type\":\"text\",\"text\":\"a\"}"
         "}",
         ACP_UPDATE_THOUGHT, "", NULL, NULL, -1},
        {"{\"sessionUpdate\":\"user_message_chunk\"}", ACP_UPDATE_OTHER, "", NULL, NULL, -1},
        {"{\"sessionUpdate\":\"tool_call\",\"toolCallId\":\"t\",\"title\":\"T\"}", ACP_UPDATE_TOOL,
         "", "t", "T", GW_ACTIVITY_PENDING},
        {"{\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"t\",\"status\":\"completed\"}",
         ACP_UPDATE_TOOL, "", "t", NULL, GW_ACTIVITY_DONE},
        {"{\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"t\",\"status\":\"new\"}",
         ACP_UPDATE_TOOL, "", "t", NULL, -1},
        {"{\"sessionUpdate\":\"tool_call\"}", ACP_UPDATE_OTHER, "", NULL, NULL, -1},
        {"{\"sessionUpdate\":\"plan\",\"entries\":[]}", ACP_UPDATE_PLAN, "", NULL, NULL, -1},
        {"{\"sessionUpdate\":\"of_next_year\"}", ACP_UPDATE_OTHER, "", NULL, NULL, -1},
        {"7", ACP_UPDATE_OTHER, "", NULL, NULL, -1},
    };
    struct acp_update u;

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOFREE char *text = mw_asprintf("{\"sessionId\":\"s\",\"update\":%s}", rows[i].update);
        MW_AUTOJSON *params = parse(text);

        assert_int_equal(acp_read_update(params, &u), 0);
        assert_int_equal(u.kind, rows[i].kind);
        assert_string_equal(u.session, "s");
        assert_string_equal(u.text, rows[i].text);
        assert_true(mw_streq(u.tool_id, rows[i].tool));
        assert_true(mw_streq(u.title, rows[i].title));
        assert_int_equal(u.state, rows[i].state);
    }
    assert_int_equal(acp_read_update(NULL, &u), 1);
}

static void permissions(void **state)
{
    MW_AUTOJSON *params =
        parse("{\"sessionId\":\"s\",\"toolCall\":{\"toolCallId\":\"t\",\"rawInput\":{\"a\":1}},"
              "\"options\":[{\"optionId\":\"always\",\"name\":\"A\",\"kind\":\"allow_always\"},"
              "{\"optionId\":\"once\",\"name\":\"O\",\"kind\":\"allow_once\"},"
              "{\"optionId\":\"x\",\"kind\":\"something\"},"
              "{\"optionId\":\"never\",\"kind\":\"reject_always\"}]}");
    MW_AUTOJSON *bad = parse("{\"sessionId\":\"s\"}");
    MW_AUTOBUF details = {0};
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct acp_permission p;

    assert_int_equal(acp_read_permission(params, &p, &err), 0);
    assert_int_equal(p.n_options, 3);
    assert_string_equal(p.options[2].name, "never");
    assert_int_equal(p.options[2].kind, GW_REJECT_ALWAYS);
    assert_string_equal(acp_choose(&p, true), "once");
    assert_string_equal(acp_choose(&p, false), "never");
    p.n_options = 1;
    assert_string_equal(acp_choose(&p, true), "always");
    assert_null(acp_choose(&p, false));
    assert_null(p.title);
    assert_int_equal(acp_permission_details(p.tool, &details), 0);
    assert_string_equal(mw_buf_str(&details), "{\"a\":1}");
    assert_int_equal(acp_read_permission(bad, &p, &err), 1);
}

static void details_without_arguments(void **state)
{
    static const struct {
        const char *tool, *details;
    } rows[] = {
        {"{}", ""},
        {"{\"rawInput\":{},\"content\":[{\"type\":\"diff\",\"path\":\"/a\",\"oldText\":\"x\\ny\","
         "\"newText\":\"z\\n\"}]}",
         "/a\n-x\n-y\n+z\n"},
        {"{\"content\":[{\"type\":\"content\",\"content\":{\"type\":\"text\",\"text\":\"one\"}},"
         "{\"type\":\"content\",\"content\":{\"type\":\"text\",\"text\":\"two\"}}]}",
         "one\ntwo"},
        {"{\"locations\":[{\"path\":\"/a\"},{\"path\":\"/b\"}]}", "/a /b"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOJSON *tool = parse(rows[i].tool);
        MW_AUTOBUF details = {0};

        assert_int_equal(acp_permission_details(tool, &details), 0);
        assert_string_equal(mw_buf_str(&details), rows[i].details);
    }
}

static void writing(void **state)
{
    MW_AUTOJSON *id = cJSON_CreateString("p\"1");
    MW_AUTOBUF b = {0};

    assert_int_equal(acp_write_call(&b, 3, "m", acp_one_member("a", "b")), 0);
    assert_string_equal(mw_buf_str(&b),
                        "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"m\",\"params\":{\"a\":\"b\"}}");
    mw_buf_clear(&b);
    assert_int_equal(acp_write_call(&b, 0, "m", cJSON_CreateObject()), 0);
    assert_string_equal(mw_buf_str(&b), "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{}}");
    mw_buf_clear(&b);
    assert_int_equal(acp_write_call(&b, 0, "m", NULL), -ENOMEM);
    assert_int_equal(acp_write_result(&b, id, acp_outcome("yes")), 0);
    assert_string_equal(mw_buf_str(&b),
                        "{\"jsonrpc\":\"2.0\",\"id\":\"p\\\"1\",\"result\":{\"outcome\":"
                        "{\"outcome\":\"selected\",\"optionId\":\"yes\"}}}");
    mw_buf_clear(&b);
    assert_int_equal(acp_write_error(&b, id, -32601, "no"), 0);
    assert_string_equal(mw_buf_str(&b), "{\"jsonrpc\":\"2.0\",\"id\":\"p\\\"1\",\"error\":"
                                        "{\"code\":-32601,\"message\":\"no\"}}");
    expect(acp_outcome(NULL), "{\"outcome\":{\"outcome\":\"cancelled\"}}");
    expect(acp_initialize_params("9"),
           "{\"clientCapabilities\":{\"fs\":{\"readTextFile\":false,\"writeTextFile\":false},"
           "\"terminal\":false},\"clientInfo\":{\"name\":\"matterwire\",\"title\":\"Matterwire\","
           "\"version\":\"9\"},\"protocolVersion\":1}");
}

static void sessions(void **state)
{
    char *command[] = {(char *)"/bin/wiki", (char *)"-x"}, *env[] = {(char *)"A=b=c"};
    char *headers[] = {(char *)"X-Y=z"};
    struct gw_mcp_server_config servers[] = {
        {.name = (char *)"one", .command = {command, 2}, .env = {env, 1}},
        {.name = (char *)"two", .url = (char *)"http://h/mcp", .headers = {headers, 1}},
    };
    const struct gw_handler_config config = {
        .workdir = (char *)"/srv", .mcp_servers = servers, .n_mcp_servers = 2};
    size_t left_out = 9;

    expect(acp_session_params(NULL, &config, true, &left_out),
           "{\"mcpServers\":[{\"name\":\"one\",\"args\":[\"-x\"],\"command\":\"/bin/wiki\","
           "\"env\":[{\"name\":\"A\",\"value\":\"b=c\"}]},"
           "{\"name\":\"two\",\"type\":\"http\",\"url\":\"http://h/mcp\","
           "\"headers\":[{\"name\":\"X-Y\",\"value\":\"z\"}]}],\"cwd\":\"/srv\"}");
    assert_int_equal(left_out, 0);
    expect(acp_session_params("s1", &config, false, &left_out),
           "{\"mcpServers\":[{\"name\":\"one\",\"args\":[\"-x\"],\"command\":\"/bin/wiki\","
           "\"env\":[{\"name\":\"A\",\"value\":\"b=c\"}]}],\"sessionId\":\"s1\",\"cwd\":\"/srv\"}");
    assert_int_equal(left_out, 1);
}

static void blocks(void **state)
{
    const struct gw_turn_file file = {
        .name = "a b.pdf", .mime = "application/pdf", .path = "/t/a b\xc3\xa9.pdf", .size = 5};
    const struct gw_turn_file note = {
        .name = "x #1.txt", .mime = "text/plain", .path = "/t/5f0e", .size = 5};
    cJSON *content = cJSON_CreateArray();

    assert_int_equal(acp_add_text(content, "hi"), 0);
    assert_int_equal(acp_add_image(content, "image/png", "\x89PNG", 4), 0);
    assert_int_equal(acp_add_image(content, "image/png", "", 0), 0);
    assert_int_equal(acp_add_resource(content, &note, "words"), 0);
    assert_int_equal(acp_add_link(content, &file), 0);
    expect(acp_prompt_params("s", content),
           "{\"sessionId\":\"s\",\"prompt\":[{\"type\":\"text\",\"text\":\"hi\"},"
           "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"iVBORw==\"},"
           "{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"\"},"
           "{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///t/5f0e#x%20%231.txt\","
           "\"mimeType\":\"text/plain\",\"text\":\"words\"}},"
           "{\"type\":\"resource_link\",\"uri\":\"file:///t/a%20b%C3%A9.pdf\",\"name\":\"a b.pdf\","
           "\"mimeType\":\"application/pdf\",\"size\":5}]}");
    assert_null(acp_prompt_params("s", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),        cmocka_unit_test(greetings),
        cmocka_unit_test(ways_to_sign_in), cmocka_unit_test(updates),
        cmocka_unit_test(permissions),     cmocka_unit_test(details_without_arguments),
        cmocka_unit_test(writing),         cmocka_unit_test(sessions),
        cmocka_unit_test(blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
