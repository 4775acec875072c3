/* Every stream is fed whole, byte by byte, and cut in two at every place: the events are the same.
 */
#include "base/test.h"
#include "io/sse.h"

static int note(const struct mw_sse_event *e, void *userdata)
{
    return mw_buf_printf(userdata, "[%s|%s]", e->event, e->data);
}

static int feed(struct mw_sse *s, const char *text, size_t len, struct mw_buf *seen)
{
    return len ? mw_sse_feed(s, text, len, note, seen) : 0;
}

static void expect(const char *text, size_t first, size_t step, const char *events)
{
    size_t len = strlen(text), at = first;
    MW_AUTOBUF seen = {0};
    struct mw_sse s;

    mw_sse_init(&s, 1000);
    assert_int_equal(feed(&s, text, first, &seen), 0);
    for (; at < len; at += step)
        assert_int_equal(feed(&s, text + at, MW_MIN(step, len - at), &seen), 0);
    assert_int_equal(mw_sse_end(&s, note, &seen), 0);
    assert_string_equal(mw_buf_str(&seen), events);
    mw_sse_deinit(&s);
}

static void streams(void **state)
{
    static const struct {
        const char *text, *events;
    } rows[] = {
        {"", ""},
        {"data: a\n\n", "[|a]"},
        {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", "[|a][|b][|c]"},
        {"data: a\r\ndata: b\r\n\r\n", "[|a\nb]"},
        {"data:a\ndata:  b\ndata\ndata:\n\n", "[|a\n b\n\n]"},
        {": ping\n\n\n\ndata: a\n: pong\n\n", "[|a]"},
        {"event: error\ndata: {}\nid: 7\nretry: 10\n\ndata: x\n\n", "[error|{}][|x]"},
        {"event: lonely\n\ndata: x\n\n", "[|x]"},
        {"data: a\n\ndata: last", "[|a][|last]"},
        {"data: a\n\ndata: last\r", "[|a][|last]"},
        {"\xef\xbb\xbf"
         "data: a\n\ndatum: b\n\nda: c\n\n",
         "[|a]"},
        {"data: a:b: c\n\n", "[|a:b: c]"},
        {"data\n\n", "[|]"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].text);

        expect(rows[i].text, 0, 1, rows[i].events);
        for (size_t cut = 0; cut <= len; cut++)
            expect(rows[i].text, cut, len + 1, rows[i].events);
    }
}

static void limits(void **state)
{
    MW_AUTOBUF seen = {0};
    struct mw_sse s;

    mw_sse_init(&s, 10);
    assert_int_equal(mw_sse_feed(&s, "data: 1234567890", 16, note, &seen), -E2BIG);
    mw_sse_deinit(&s);

    mw_sse_init(&s, 10);
    for (int i = 0; i < 5; i++)
        assert_int_equal(mw_sse_feed(&s, "data:12\n", 8, note, &seen), i < 3 ? 0 : -E2BIG);
    mw_sse_deinit(&s);
    assert_int_equal(seen.len, 0);
}

static int refuse(const struct mw_sse_event *e, void *userdata)
{
    ++*(int *)userdata;
    return -EPROTO;
}

static void the_reader_stops(void **state)
{
    struct mw_sse s;
    int seen = 0;

    mw_sse_init(&s, 100);
    assert_int_equal(mw_sse_feed(&s, "data: a\n\ndata: b\n\n", 18, refuse, &seen), -EPROTO);
    assert_int_equal(seen, 1);
    mw_sse_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_reader_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
