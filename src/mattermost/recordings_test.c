/* Recordings of a real server through our parsers; see tests/recordings/README.md. */
#include "base/str.h"
#include "base/test.h"
#include "mattermost/normalise.h"
#include "mattermost/page.h"

struct counts {
    unsigned kinds[MW_EVENT_TYPING + 1], replies, failed, others, nothing, edits, system, webhook;
    int64_t seq;
};

static FILE *open_recording(const char *name)
{
    MW_AUTOFREE char *path = mw_asprintf("%s/%s", RECORDINGS, name);
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    return f;
}

static void take(struct mm_normaliser *n, const char *line, struct counts *c)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct mm_frame f;
    struct mm_item item;
    int r;

    if (mm_frame_parse(line, strlen(line), &f, &err))
        fail_msg("%s: %s", mw_error_text(&err), line);
    if (f.event == MM_FRAME_REPLY) {
        c->replies++;
        c->failed += f.failed;
    } else {
        assert_int_equal(f.seq, c->seq++);
        c->others += f.event == MM_FRAME_OTHER;
        r = mm_item_from_frame(n, &f, 1, &item, &err);
        if (r < 0)
            fail_msg("%s: %s", mw_error_text(&err), line);
        if (r == 1) {
            c->nothing++;
        } else {
            assert_int_equal(mm_item_fill(n, &item), 0);
            c->kinds[item.ev.kind]++;
            c->system += (item.ev.flags & MW_EVENT_SYSTEM) != 0;
            c->webhook += (item.ev.flags & MW_EVENT_FROM_WEBHOOK) != 0;
            if (item.ev.kind == MW_EVENT_POST) {
                assert_true(mw_id_valid(item.ev.post_id) && mw_id_valid(item.ev.user_id));
                assert_true(*item.ev.channel_name && *item.ev.channel_type);
                assert_true(item.ev.at > 1795000000000);
                assert_int_equal(item.ev.revision, 0);
            }
            mm_item_deinit(&item);
        }
    }
    mm_frame_deinit(&f);
}

static void with_client(void (*fn)(struct mm_normaliser *n))
{
    const struct mm_client_params p = {.endpoint = "http://127.0.0.1:1", .token = "t"};
    struct mm_client *client = NULL;
    struct mm_normaliser n;
    uv_loop_t loop;

    uv_loop_init(&loop);
    assert_int_equal(mm_client_new(&loop, &p, &client, NULL), 0);
    mm_normaliser_init(&n, client, "test");
    fn(&n);
    mm_client_free(client);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void websocket(struct mm_normaliser *n)
{
    FILE *file = open_recording("5.37-websocket.ndjson");
    MW_AUTOFREE char *line = NULL;
    size_t cap = 0;
    struct counts c = {0};

    while (getline(&line, &cap, file) > 0)
        take(n, line, &c);
    fclose(file);
    assert_int_equal(c.kinds[MW_EVENT_POST], 31);
    assert_int_equal(c.kinds[MW_EVENT_POST_EDITED], 2); /* two of four were pins */
    assert_int_equal(c.kinds[MW_EVENT_POST_DELETED], 2);
    assert_int_equal(c.kinds[MW_EVENT_REACTION_ADDED], 2);
    assert_int_equal(c.kinds[MW_EVENT_REACTION_REMOVED], 1);
    assert_int_equal(c.kinds[MW_EVENT_CHANNEL_CREATED], 3);
    assert_int_equal(c.kinds[MW_EVENT_CHANNEL_UPDATED], 3);
    assert_int_equal(c.kinds[MW_EVENT_CHANNEL_DELETED], 1);
    assert_int_equal(c.kinds[MW_EVENT_CHANNEL_RESTORED], 1);
    assert_int_equal(c.kinds[MW_EVENT_TYPING], 2);
    assert_int_equal(c.replies, 5);
    assert_int_equal(c.failed, 2);
    assert_true(c.system > 0 && c.webhook > 0);
}

static void test_websocket(void **state)
{
    with_client(websocket);
}

static void test_rest(void **state)
{
    FILE *file = open_recording("5.37-rest.ndjson");
    MW_AUTOFREE char *line = NULL;
    size_t cap = 0, lists = 0, posts = 0;

    while (getline(&line, &cap, file) > 0) {
        MW_AUTOJSON *json = NULL;
        const char *path;
        cJSON *body;
        struct mm_page page;
        struct mm_post post;

        assert_int_equal(mw_json_parse(line, strlen(line), &json, NULL), 0);
        path = mw_json_str_or(json, "path", "");
        body = cJSON_GetObjectItemCaseSensitive(json, "body");
        if (mw_json_i64(json, "status", 0) != 200 || !mw_json_arr(body, "order") ||
            !strstr(path, "/posts?"))
            continue;
        assert_int_equal(mm_page_read(body, &page), 0);
        assert_int_equal(page.n, page.listed);
        lists++;
        for (size_t i = 0; i < page.n; i++, posts++) {
            assert_int_equal(mm_post_read(page.posts[i].json, &post, NULL), 0);
            assert_true(i == 0 || page.posts[i - 1].create_at <= page.posts[i].create_at);
        }
        mm_page_deinit(&page);
    }
    fclose(file);
    assert_true(lists >= 6);
    assert_true(posts > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_websocket),
        cmocka_unit_test(test_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
