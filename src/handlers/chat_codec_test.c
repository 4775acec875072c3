/* Replies in the dialects of several servers, each fed whole and cut in two at every byte. */
#include "handlers/chat_codec.h"

#include "base/str.h"
#include "base/test.h"

static void on_text(const char *text, size_t len, void *userdata)
{
    mw_buf_append(userdata, text, len);
}

/* "0 stop 5/7 text | name(args)#id ...": all that came out. */
static char *outcome(struct gw_chat_reply *r, int rc, const struct mw_buf *heard)
{
    static const char *const finishes[] = {"open", "stop", "tools", "length", "filtered"};
    struct mw_buf b = {0};

    assert_string_equal(mw_buf_str(heard), mw_buf_str(&r->text));
    mw_buf_printf(&b, "%d %s %d/%d %s", rc, finishes[r->finish], (int)r->tokens_in,
                  (int)r->tokens_out, mw_buf_str(&r->text));
    for (size_t i = 0; i < r->n_calls; i++)
        mw_buf_printf(&b, " | %s(%s)#%s", r->calls[i].name ? r->calls[i].name : "?",
                      mw_buf_str(&r->calls[i].args), r->calls[i].id ? r->calls[i].id : "?");
    return mw_buf_take(&b);
}

static char *feed(const char *body, size_t len, size_t cut, struct gw_chat_reply *r)
{
    MW_AUTOBUF heard = {0};
    int rc;

    gw_chat_reply_init(r, 10000, on_text, &heard);
    rc = gw_chat_reply_feed(r, body, cut);
    if (!rc)
        rc = gw_chat_reply_feed(r, body + cut, len - cut);
    if (!rc)
        rc = gw_chat_reply_end(r);
    assert_int_equal(rc < 0, mw_error_is_set(&r->err));
    return outcome(r, rc, &heard);
}

#define TEXT(t)   "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" t "\"}}]}\n\n"
#define FINISH(f) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" f "\"}]}\n\n"
#define CALL(c)   "data: {\"choices\":[{\"delta\":{\"tool_calls\":[" c "]}}]}\n\n"
#define DONE      "data: [DONE]\n\n"

static const struct {
    const char *what, *body, *expected;
} replies[] = {
    {"OpenAI: text, usage in a chunk of its own",
     "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"model\":\"m\",\"choices\":[{"
     "\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
     "\"finish_reason\":null}],\"usage\":null}\n\n" TEXT("Hel") TEXT("lo \\u00e9") FINISH(
         "stop") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,"
                 "\"total_tokens\":12}}\n\n" DONE,
     "0 stop 5/7 Hello \xc3\xa9"},
    {"OpenAI: two tool calls, arguments in pieces",
     CALL("{\"index\":0,\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"w\","
          "\"arguments\":\"\"}}")
         CALL("{\"index\":0,\"function\":{\"arguments\":\"{\\\"town\\\":\"}}") CALL(
             "{\"index\":1,\"id\":\"call_b\",\"function\":{\"name\":\"t\",\"arguments\":\"\"}}")
             CALL("{\"index\":0,\"function\":{\"arguments\":\"\\\"Bern\\\"}\"}}") CALL(
                 "{\"index\":1,\"function\":{\"arguments\":\"{}\"}}") FINISH("tool_calls") DONE,
     "0 tools 0/0  | w({\"town\":\"Bern\"})#call_a | t({})#call_b"},
    {"OpenAI: a refusal",
     "data: {\"choices\":[{\"delta\":{\"refusal\":\"I cannot\"}}]}\n\n" FINISH("stop") DONE,
     "0 stop 0/0 I cannot"},
    {"Azure: a first chunk without choices",
     "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n" TEXT("a")
         FINISH("content_filter") DONE,
     "0 filtered 0/0 a"},
    {"vLLM: CRLF, usage with every chunk, reasoning, the name again with every piece",
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\",\"content\":null}}],"
     "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\r\n\r\n"
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ok\",\"tool_calls\":[]},"
     "\"finish_reason\":\"stop\",\"stop_reason\":null}],\"usage\":{\"prompt_tokens\":3,"
     "\"completion_tokens\":2}}\r\n\r\n"
     "data: {\"choices\":null,\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\r\n\r\n"
     "data: [DONE]\r\n\r\n",
     "0 stop 3/2 ok"},
    {"vLLM: the id and the name with every piece",
     CALL("{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"w\",\"arguments\":\"{\\\"a\\\"\"}}")
         CALL("{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"w\",\"arguments\":\":1}\"}}")
             FINISH("tool_calls") DONE,
     "0 tools 0/0  | w({\"a\":1})#x"},
    {"Ollama: every call whole and with the index 0, no ids, finish_reason stop",
     CALL("{\"index\":0,\"function\":{\"name\":\"w\",\"arguments\":{\"town\":\"Bern\"}}}")
         CALL("{\"index\":0,\"function\":{\"name\":\"w\",\"arguments\":{\"town\":\"Biel\"}}}")
             FINISH("stop") DONE,
     "0 tools 0/0  | w({\"town\":\"Bern\"})#? | w({\"town\":\"Biel\"})#?"},
    {"Ollama: the same with ids, arguments as text",
     CALL("{\"index\":0,\"id\":\"call_1\",\"function\":{\"name\":\"w\",\"arguments\":\"{}\"}}")
         CALL("{\"index\":0,\"id\":\"call_2\",\"function\":{\"name\":\"w\",\"arguments\":\"{}\"}}")
             FINISH("tool_calls") DONE,
     "0 tools 0/0  | w({})#call_1 | w({})#call_2"},
    {"no index, no id, no arguments",
     CALL("{\"function\":{\"name\":\"a\"}},{\"function\":{\"name\":\"b\"}}") FINISH("tool_calls")
         DONE,
     "0 tools 0/0  | a()#? | b()#?"},
    {"llama.cpp: no space behind the colon, CR, a comment, [DONE] is missing",
     ":ping\r\rdata:{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\r\r"
     "data:{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}],\"timings\":{\"n\":1}}\r",
     "0 length 0/0 a"},
    {"LiteLLM: usage before the end, content in parts, an empty event",
     "data:\n\ndata: {\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{"
     "\"type\":\"other\"},{\"type\":\"text\",\"text\":\"b\"}]}}]}\n\n" FINISH(
         "end_turn") "data: "
                     "{\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1}}\n\n" DONE,
     "0 stop 1/0 ab"},
    {"a second choice is not wanted",
     TEXT("a") "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"z\"}}]}\n\n" FINISH(
         "stop") DONE,
     "0 stop 0/0 a"},
    {"message in place of delta",
     "data: {\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
     "0 stop 0/0 a"},
    {"no finish_reason, but the usage or [DONE]",
     TEXT("a") "data: {\"choices\":[],\"usage\":{\"completion_tokens\":1}}\n\n", "0 stop 0/1 a"},
    {"[DONE] only", TEXT("a") DONE, "0 stop 0/0 a"},
    {"half a character in the stream",
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\xc3\"}}]}\n\n" DONE,
     "0 stop 0/0 a\xef\xbf\xbd"},
    {"whole: text and usage",
     " {\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
     "\"assistant\""
     ",\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,"
     "\"completion_tokens\":7}}\n",
     "0 stop 5/7 Hello"},
    {"whole: a tool call, arguments as an object, content null",
     "{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"q\",\"function\":{"
     "\"name\":\"w\",\"arguments\":{\"a\":[1]}}}]},\"finish_reason\":\"tool_calls\"}]}",
     "0 tools 0/0  | w({\"a\":[1]})#q"},
    {"whole: nothing at all", "{\"choices\":[{\"message\":{}}]}", "0 stop 0/0 "},
    {"an error amid the stream",
     TEXT("a") "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n" DONE,
     "-121 open 0/0 a"},
    {"an error as vLLM writes it",
     "data: {\"object\":\"error\",\"message\":\"too long\",\"code\":400}\n\n", "-121 open 0/0 "},
    {"an error as text", "event: error\ndata: broken\n\n", "-121 open 0/0 "},
    {"an error instead of an answer", "{\"error\":\"no such model\"}", "-121 open 0/0 "},
    {"a page", "<html><body>Sign in</body></html>\n", "-71 open 0/0 "},
    {"JSON of another kind", "{\"hello\":1}", "-71 open 0/0 "},
    {"JSON that is cut", "{\"choices\":[{\"mess", "-71 open 0/0 "},
    {"no JSON in the stream", "data: hello\n\n", "-71 open 0/0 "},
    {"nothing", "", "-71 open 0/0 "},
    {"cut between chunks", TEXT("Hel") TEXT("lo"), "1 open 0/0 Hello"},
    {"cut within a chunk", TEXT("Hel") "data: {\"choices\":[{\"del", "1 open 0/0 Hel"},
    {"cut in the arguments",
     CALL("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"w\","
          "\"arguments\":\"{\\\"x\"}}"),
     "1 open 0/0  | w({\"x)#a"},
};

static void dialects(void **state)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(replies); i++) {
        size_t len = strlen(replies[i].body);

        for (size_t cut = 0; cut <= len; cut++) {
            struct gw_chat_reply r;
            MW_AUTOFREE char *got = feed(replies[i].body, len, cut, &r);

            if (!mw_streq(got, replies[i].expected))
                fail_msg("%s, cut at %zu: %s, expected %s", replies[i].what, cut, got,
                         replies[i].expected);
            gw_chat_reply_deinit(&r);
        }
    }
}

/* Wherever a whole stream ends too early, that is noticed, and no text is lost or made up. */
static void cut_streams(void **state)
{
    static const char body[] = TEXT("one ") TEXT("two ") TEXT("three") FINISH("stop") DONE;
    size_t finish = strstr(body, "stop\"}") - body;

    for (size_t len = 0; len < sizeof(body); len++) {
        struct gw_chat_reply r;
        MW_AUTOFREE char *got = feed(body, len, len / 2, &r);
        int rc = atoi(got);

        if (len <= finish)
            assert_true(rc == 1 || (rc == -EPROTO && r.text.len == 0));
        if (len >= finish + 10)
            assert_int_equal(rc, 0);
        assert_int_equal(strncmp("one two three", mw_buf_str(&r.text), r.text.len), 0);
        gw_chat_reply_deinit(&r);
    }
}

static void sentences(void **state)
{
    static const struct {
        const char *body, *sentence;
    } rows[] = {
        {"{\"error\":{\"message\":\"no credit\",\"code\":429}}", "reports an error: no credit"},
        {"{\"error\":\"no such model\"}", "reports an error: no such model"},
        {"{\"object\":\"error\",\"message\":\"too long\"}", "reports an error: too long"},
        {"{\"error\":{}}", "reports an error"},
        {"data: {\"error\":{\"code\":\"overloaded\"}}\n\n", "reports an error: overloaded"},
        {"<html>", "is no chat completion"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct gw_chat_reply r;
        MW_AUTOFREE char *got = feed(rows[i].body, strlen(rows[i].body), 0, &r);

        assert_non_null(got);
        if (!strstr(mw_error_text(&r.err), rows[i].sentence))
            fail_msg("no \"%s\" in: %s", rows[i].sentence, mw_error_text(&r.err));
        gw_chat_reply_deinit(&r);
    }
}

static void limits(void **state)
{
    MW_AUTOBUF body = {0};
    struct gw_chat_reply r;

    for (int i = 0; i <= GW_CHAT_MAX_CALLS; i++)
        mw_buf_printf(&body, CALL("{\"index\":%d,\"function\":{\"name\":\"w\"}}"), i);
    gw_chat_reply_init(&r, 1000, NULL, NULL);
    assert_int_equal(gw_chat_reply_feed(&r, body.data, body.len), -EPROTO);
    assert_int_equal(r.n_calls, GW_CHAT_MAX_CALLS);
    gw_chat_reply_deinit(&r);

    gw_chat_reply_init(&r, 5, NULL, NULL);
    assert_int_equal(gw_chat_reply_feed(&r, "{\"choices\":[{\"message\":{}", 25), -E2BIG);
    gw_chat_reply_deinit(&r);

    gw_chat_reply_init(&r, 100, NULL, NULL);
    for (int i = 0; i < 30; i++) {
        int rc = gw_chat_reply_feed(&r, TEXT("12345"), sizeof(TEXT("12345")) - 1);

        assert_int_equal(rc, i < 20 ? 0 : -E2BIG);
        if (rc)
            break;
    }
    assert_int_equal(r.text.len, 100);
    assert_true(mw_error_is_set(&r.err));
    gw_chat_reply_deinit(&r);
}

static void as_a_message(void **state)
{
    static const char body[] =
        TEXT("I look") CALL("{\"index\":0,\"id\":\"q\",\"function\":{\"name\":\"a\"}}")
            CALL("{\"index\":1,\"function\":{\"name\":\"b\",\"arguments\":\"{\\\"x\\\":1}\"}}")
                DONE;
    MW_AUTOJSON *message = NULL;
    MW_AUTOFREE char *got = NULL, *text = NULL;
    struct gw_chat_reply r;
    unsigned next_id = 6;

    got = feed(body, sizeof(body) - 1, 0, &r);
    assert_int_equal(r.finish, GW_CHAT_TOOLS);
    message = gw_chat_reply_message(&r, &next_id);
    text = mw_json_print(message);
    assert_string_equal(
        text,
        "{\"role\":\"assistant\",\"content\":\"I look\",\"tool_calls\":["
        "{\"id\":\"q\",\"type\":\"function\",\"function\":{\"name\":\"a\",\"arguments\":\"{}\"}},"
        "{\"id\":\"call_7\",\"type\":\"function\",\"function\":{\"name\":\"b\","
        "\"arguments\":\"{\\\"x\\\":1}\"}}]}");
    gw_chat_reply_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialects), cmocka_unit_test(cut_streams),  cmocka_unit_test(sentences),
        cmocka_unit_test(limits),   cmocka_unit_test(as_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
