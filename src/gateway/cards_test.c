/* Cards, buttons and menus of an answer: what is taken, and the sentence for what is not. */
#include "base/str.h"
#include "base/test.h"
#include "gateway/answer.h"

#define URL           "'integration':{'url':'https://example.com/press'}"
#define ACTIONS(text) "{'attachments':[{'actions':[" text "]}]}"

static const struct gw_config config;

/* ' stands for a quote. */
static cJSON *parse(const char *text)
{
    MW_AUTOFREE char *copy = strdup(text);
    cJSON *json = NULL;

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    assert_int_equal(mw_json_parse(copy, strlen(copy), &json, NULL), 0);
    return json;
}

static const struct {
    const char *answer;
    const char *props; /* NULL = refused */
    const char *error; /* part of the sentence */
} rows[] = {
    {ACTIONS("{'type':'button','name':'Go'," URL "}"),
     "{'attachments':[{'actions':[{'type':'button','name':'Go'," URL "}]}]}", NULL},
    {ACTIONS("{'id':'a1','type':'button','name':'Go','style':'#2e7d32'," URL "},"
             "{'id':'a2','type':'select','name':'Pick','data_source':'users'," URL "},"
             "{'id':'a3','type':'select','name':'Pick','options':[{'text':'x','value':'y'}]," URL
             "}"),
     "", NULL},
    {"{'props':{'attachments':[{'actions':[{'type':'button','name':'Go'," URL "}]}]}}", "", NULL},
    {"{'attachments':[{'text':'x','actions':null},{'actions':[]}]}", "", NULL},
    {"{'buttons':[{'text':'Go','url':'http://127.0.0.1:9/x?y','context':{'n':1},'style':'good'}]}",
     "{'attachments':[{'actions':[{'type':'button','name':'Go','style':'good','integration':"
     "{'url':'http://127.0.0.1:9/x?y','context':{'n':1}}}]}]}",
     NULL},
    {"{'buttons':[{'text':'Go','url':'https://e.org'}],'attachments':[{'text':'x'}],"
     "'props':{'a':1}}",
     "{'attachments':[{'text':'x'},{'actions':[{'type':'button','name':'Go','integration':"
     "{'url':'https://e.org'}}]}],'a':1}",
     NULL},
    {"{'buttons':[]}", "null", NULL},

    {"{'buttons':[{'text':'Go'}]}", NULL,
     "button 1 of the answer needs the `url` of your program: the server calls it when somebody "
     "presses the button. A button that comes back to the handler itself needs an HTTP address of "
     "the daemon, which this version does not have"},
    {"{'buttons':{}}", NULL, "a list of 1 to 20 buttons"},
    {"{'buttons':[1]}", NULL, "button 1 of the answer must be an object"},
    {"{'buttons':[{'text':'Go','url':'https://e.org'},{'url':'https://e.org'}]}", NULL,
     "the `text` of button 2 must be text of 1 to 100 bytes"},
    {"{'buttons':[{'text':' ','url':'https://e.org'}]}", NULL, "the `text` of button 1"},
    {"{'buttons':[{'text':'Go','url':'https://e.org','name':'x'}]}", NULL, "has no `name`"},
    {"{'buttons':[{'text':'Go','url':'https://e.org','context':'x'}]}", NULL,
     "the `context` of button 1 must be an object"},
    {"{'buttons':[{'text':'Go','url':'https://e.org','style':'blue'}]}", NULL,
     "the `style` of button 1 must be"},
    {"{'buttons':[{'text':'Go','url':'ftp://e.org'}]}", NULL, "an http or https address"},
    {"{'buttons':[{'text':'Go','url':'/plugins/x'}]}", NULL, "an http or https address"},
    {"{'buttons':[{'text':'Go','url':'javascript:alert(1)'}]}", NULL, "an http or https address"},
    {"{'attachments':7}", NULL, "must be a list of at most 20 cards"},
    {"{'attachments':['x']}", NULL, "a list of cards (objects)"},
    {"{'props':{'attachments':[{'actions':[{'type':'button','name':'Go'}]}]}}", NULL,
     "action 1 of card 1 needs `integration` with the `url` of your program"},
    {"{'attachments':[{},{'actions':{}}]}", NULL, "the `actions` of card 2 must be a list"},
    {ACTIONS("7"), NULL, "action 1 of card 1 must be an object"},
    {ACTIONS("{'name':'Go'," URL "}"), NULL, "must be button or select"},
    {ACTIONS("{'type':'button','name':'Go','id':'a-b'," URL "}"), NULL,
     "the `id` of action 1 of card 1 must be 1 to 64 letters and digits"},
    {ACTIONS("{'type':'button','name':'Go','id':''," URL "}"), NULL, "letters and digits"},
    {ACTIONS("{'type':'button','id':'a'," URL "}"), NULL, "the `name` of action 1"},
    {ACTIONS("{'type':'select','name':'Go'," URL "}"), NULL, "is a select: it needs"},
    {ACTIONS("{'type':'select','name':'Go','options':[{'text':'x'}]," URL "}"), NULL,
     "needs `text` and `value`"},
    {"{'attachments':[{'actions':[{'type':'button','name':'Go','id':'a'," URL "}]},"
     "{'actions':[{'type':'button','name':'Go','id':'a'," URL "}]}]}",
     NULL, "two actions of the answer have the `id` a"},
};

static void cards(void **state)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        MW_AUTOJSON *json = parse(rows[i].answer);
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_answer a = {0};
        int rc = gw_answer_parse(json, &config, "/", &a, &err);

        if (!rows[i].props) {
            assert_int_equal(rc, 1);
            if (!strstr(mw_error_text(&err), rows[i].error))
                fail_msg("%s: %s", rows[i].answer, mw_error_text(&err));
            continue;
        }
        if (rc)
            fail_msg("%s: %s", rows[i].answer, mw_error_text(&err));
        if (rows[i].props[0]) {
            MW_AUTOJSON *wanted = parse(rows[i].props);

            assert_true(a.props ? cJSON_Compare(a.props, wanted, true) : cJSON_IsNull(wanted));
        }
        assert_int_equal(gw_answer_has_post(&a), a.props != NULL);
        gw_answer_deinit(&a);
    }
}

static void too_many(void **state)
{
    static const struct {
        const char *begin, *item, *end, *error;
        int n;
    } lists[] = {
        {"{'attachments':[", "{}", "]}", "a list of at most 20 cards", 21},
        {"{'buttons':[{'text':'b','url':'https://e.org'}],'attachments':[", "{}", "]}",
         "too many cards for its `buttons`", 20},
        {"{'buttons':[", "{'text':'b','url':'https://e.org'}", "]}", "a list of 1 to 20 buttons",
         21},
        {"{'attachments':[{'actions':[", "{'type':'button','name':'b'," URL "}", "]}]}",
         "must be a list of at most 20", 21},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(lists); i++) {
        MW_AUTOBUF text = {0};
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_answer a = {0};

        mw_buf_puts(&text, lists[i].begin);
        for (int k = 0; k < lists[i].n; k++)
            mw_buf_printf(&text, "%s%s", k ? "," : "", lists[i].item);
        mw_buf_puts(&text, lists[i].end);
        MW_AUTOJSON *json = parse(mw_buf_str(&text));
        assert_int_equal(gw_answer_parse(json, &config, "/", &a, &err), 1);
        assert_non_null(strstr(mw_error_text(&err), lists[i].error));
    }
}

static void too_long(void **state)
{
    static const char *const before[] = {
        "{'buttons':[{'url':'https://e.org','text':'",
        "{'buttons':[{'text':'b','url':'https://e.org/",
        "{'buttons':[{'text':'b','url':'https://e.org','context':{'x':'",
    };
    static const char *const after[] = {"'}]}", "'}]}", "'}}]}"};
    static const int sizes[] = {101, 2048, 4096};

    for (size_t i = 0; i < MW_ARRAY_LEN(before); i++) {
        MW_AUTOBUF text = {0};
        MW_AUTOERROR err = MW_ERROR_INIT;
        struct gw_answer a = {0};

        mw_buf_puts(&text, before[i]);
        for (int k = 0; k < sizes[i]; k++)
            mw_buf_putc(&text, 'x');
        mw_buf_puts(&text, after[i]);
        MW_AUTOJSON *json = parse(mw_buf_str(&text));
        assert_int_equal(gw_answer_parse(json, &config, "/", &a, &err), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards),
        cmocka_unit_test(too_many),
        cmocka_unit_test(too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
