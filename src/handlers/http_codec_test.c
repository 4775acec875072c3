#include "handlers/http_codec.h"

#include "base/str.h"
#include "base/test.h"

static const struct mw_event event = {
    .id = 42,
    .bot = "desk",
    .kind = MW_EVENT_POST,
    .flags = MW_EVENT_MENTION,
    .at = 1795258800123,
    .object = "post1",
    .post_id = "post1",
    .root_id = "",
    .channel_id = "chan1",
    .channel_name = "town-square",
    .channel_type = "O",
    .team_id = "team1",
    .team_name = "dev",
    .user_id = "user1",
    .user_name = "anna",
    .text = "@desk  build & ship: 50% \xc3\xa9~\n",
    .files = "[\"f1\",\"f2\"]",
    .detail = "",
    .raw = "",
};

static void signature(void **state)
{
    char got[GW_SIGNATURE_SIZE];

    /* printf 'v1:1795258800:{"a":1}' | openssl dgst -sha256 -hmac tooth */
    assert_int_equal(gw_http_sign("tooth", 1795258800, "{\"a\":1}", 7, got), 0);
    assert_string_equal(got, "v1=524a9fd742c71cb70ed1e02e85ece2c2de7589e327c8bc6cd324dcd1baf1e46c");
}

static void key_of_an_event(void **state)
{
    struct mw_event other = event;
    MW_AUTOFREE char *key = gw_http_event_key(&event), *bare = NULL;

    assert_string_equal(key, "desk.post1.1.0");
    other.object = "";
    bare = gw_http_event_key(&other);
    assert_string_equal(bare, "desk.event.42");
}

static void form(void **state)
{
    struct gw_turn turn = {.ev = &event, .text = "build"};
    struct mw_event bare = event;
    MW_AUTOBUF b = {0}, small = {.limit = 20};

    assert_int_equal(gw_http_form(&b, &turn, "to ken"), 0);
    assert_string_equal(
        mw_buf_str(&b),
        "channel_id=chan1&channel_name=town-square&file_ids=f1%2Cf2&post_id=post1&team_domain=dev&"
        "team_id=team1&text=%40desk++build+%26+ship%3A+50%25+%C3%A9~%0A&timestamp=1795258800&"
        "token=to+ken&trigger_word=%40desk&user_id=user1&user_name=anna");

    mw_buf_clear(&b);
    bare.files = "";
    bare.flags = 0;
    turn.ev = &bare;
    assert_int_equal(gw_http_form(&b, &turn, NULL), 0);
    assert_non_null(strstr(mw_buf_str(&b), "&file_ids=&"));
    assert_non_null(strstr(mw_buf_str(&b), "&token=&trigger_word=&"));
    assert_int_equal(gw_http_form(&small, &turn, NULL), -E2BIG);
}

#define EMPTY    GW_HANDLER_EMPTY, NULL, NULL, NULL
#define SAYS(t)  GW_HANDLER_ANSWERED, t, NULL, NULL
#define GIVES(j) GW_HANDLER_ANSWERED, NULL, j, NULL
#define FAILS(e) GW_HANDLER_FAILED, NULL, NULL, e

static void answers(void **state)
{
    static const struct {
        enum gw_http_format format;
        const char *type, *body;
        enum gw_handler_end end;
        const char *text, *json, *error;
    } rows[] = {
        {GW_HTTP_EVENT, "text/markdown; charset=utf-8", "**hi**", SAYS("**hi**")},
        {GW_HTTP_EVENT, "Text/Plain", " hi\n", SAYS("hi\n")},
        {GW_HTTP_EVENT, "", "hi \xff", SAYS("hi \xef\xbf\xbd")},
        {GW_HTTP_EVENT, "text/plain", " \r\n", EMPTY},
        {GW_HTTP_EVENT, "application/json", "", EMPTY},
        {GW_HTTP_EVENT, "application/json", "null", EMPTY},
        {GW_HTTP_EVENT, "application/json", "{}", EMPTY},
        {GW_HTTP_EVENT, "application/json", "{\"text\":\"\"}", EMPTY},
        {GW_HTTP_EVENT, "application/json", "{\"none\":true}", GIVES("{\"none\":true}")},
        {GW_HTTP_EVENT, "application/json;charset=utf-8", "{\"text\":\"a\",\"thread\":\"same\"}",
         GIVES("{\"text\":\"a\",\"thread\":\"same\"}")},
        {GW_HTTP_EVENT, "application/json",
         "{\"text\":\"a\",\"response_type\":\"comment\",\"username\":\"x\",\"icon_url\":\"y\"}",
         GIVES("{\"text\":\"a\",\"thread\":\"thread\"}")},
        {GW_HTTP_EVENT, "application/json", "[1]", FAILS("no object")},
        {GW_HTTP_EVENT, "application/json", "{\"text\":", FAILS("no JSON")},
        {GW_HTTP_EVENT, "text/html", "<html>", FAILS("text/html")},
        {GW_HTTP_EVENT, "text/plainer", "x", FAILS("text/plainer")},
        {GW_HTTP_OUTGOING_WEBHOOK, "text/plain", "ok", EMPTY},
        {GW_HTTP_OUTGOING_WEBHOOK, "text/plain", "{\"text\":\"hi\"}", GIVES("{\"text\":\"hi\"}")},
        {GW_HTTP_OUTGOING_WEBHOOK, "application/json",
         "{\"text\":\"hi\",\"response_type\":\"post\",\"priority\":{},\"type\":\"\"}",
         GIVES("{\"text\":\"hi\",\"thread\":\"channel\"}")},
        {GW_HTTP_OUTGOING_WEBHOOK, "application/json",
         "{\"props\":{\"attachments\":[{\"text\":\"card\"}],\"x\":1}}",
         GIVES("{\"attachments\":[{\"text\":\"card\"}]}")},
        {GW_HTTP_OUTGOING_WEBHOOK, "application/json", "{\"response_type\":\"comment\"}", EMPTY},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        struct gw_http_answer a;
        MW_AUTOERROR err = MW_ERROR_INIT;
        MW_AUTOFREE char *json = NULL;

        gw_http_read(rows[i].format, rows[i].type, rows[i].body, strlen(rows[i].body), &a, &err);
        assert_int_equal(a.end, rows[i].end);
        assert_int_equal(mw_error_is_set(&err), rows[i].error != NULL);
        if (rows[i].error && !strstr(mw_error_text(&err), rows[i].error))
            fail_msg("no \"%s\" in: %s", rows[i].error, mw_error_text(&err));
        if (rows[i].text)
            assert_string_equal(mw_buf_str(&a.text), rows[i].text);
        json = a.json && rows[i].json ? mw_json_print(a.json) : NULL;
        if (rows[i].json)
            assert_string_equal(json, rows[i].json);
        gw_http_answer_deinit(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature),
        cmocka_unit_test(key_of_an_event),
        cmocka_unit_test(form),
        cmocka_unit_test(answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
