#include "mattermost/page.h"

#include "base/str.h"
#include "base/test.h"

/* "a1 b1 c2": posts in the order of time, the letter is the id's. The server lists the newest
 * first. */
static cJSON *answer(const char *spec)
{
    cJSON *a = cJSON_CreateObject(), *order = cJSON_CreateArray(), *posts = cJSON_CreateObject();

    for (const char *p = spec; *p; p += p[2] ? 3 : 2) {
        cJSON *post = cJSON_CreateObject();
        char id[MW_ID_SIZE] = "";

        memset(id, p[0], MW_ID_LEN);
        mw_json_add_str(post, "id", id);
        mw_json_add_i64(post, "create_at", p[1] - '0');
        mw_json_add(posts, id, post);
        cJSON_InsertItemInArray(order, 0, cJSON_CreateString(id));
    }
    mw_json_add(a, "order", order);
    mw_json_add(a, "posts", posts);
    return a;
}

struct anchors {
    char back, forward, start; /* letters of the anchors, '-' = it stays */
    unsigned back_page, forward_page;
};

static struct anchors anchors_of(const char *spec)
{
    MW_AUTOJSON *a = answer(spec);
    struct anchors r = {0};
    struct mm_page page;
    char anchor[MW_ID_SIZE] = "-";

    assert_int_equal(mm_page_read(a, &page), 0);
    mm_page_anchor_back(&page, anchor, &r.back_page);
    r.back = anchor[0];
    strcpy(anchor, "-");
    mm_page_anchor_forward(&page, anchor, &r.forward_page);
    r.forward = anchor[0];
    mm_page_anchor_start(&page, anchor);
    r.start = anchor[0];
    mm_page_deinit(&page);
    return r;
}

static void test_order(void **state)
{
    MW_AUTOJSON *a = answer("a1 b2 c2 d3");
    struct mm_page page;
    cJSON *post;

    assert_int_equal(mm_page_read(a, &page), 0);
    assert_int_equal(page.n, 4);
    assert_int_equal(page.posts[0].id[0], 'a');
    assert_int_equal(page.posts[1].id[0], 'b');
    assert_int_equal(page.posts[2].id[0], 'c');
    assert_int_equal(page.posts[3].id[0], 'd');
    post = mm_page_take(&page, 1);
    assert_int_equal(mw_json_i64(post, "create_at", 0), 2);
    assert_null(page.posts[1].json);
    cJSON_Delete(post);
    mm_page_deinit(&page);
}

static void test_anchors(void **state)
{
    struct anchors r = anchors_of("a1 b2 c2 d3");

    assert_int_equal(r.back, 'b');
    assert_int_equal(r.forward, 'c');
    assert_int_equal(r.start, 'c');
    /* One time: the anchor stays and the page counts; but a start is never a page further. */
    r = anchors_of("a1 b1");
    assert_int_equal(r.back, '-');
    assert_int_equal(r.back_page, 1);
    assert_int_equal(r.forward, '-');
    assert_int_equal(r.forward_page, 1);
    assert_int_equal(r.start, 'b');
    assert_int_equal(anchors_of("a1").start, 'a');
    assert_int_equal(anchors_of("").start, '\0');
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {"{}", "[]", "{\"order\":[]}", "{\"order\":{},\"posts\":{}}",
                                      "{\"order\":[],\"posts\":[]}"};
    MW_AUTOJSON *odd = NULL;
    struct mm_page page;

    for (size_t i = 0; i < MW_ARRAY_LEN(bad); i++) {
        MW_AUTOJSON *a = NULL;

        assert_int_equal(mw_json_parse(bad[i], strlen(bad[i]), &a, NULL), 0);
        assert_int_equal(mm_page_read(a, &page), -EINVAL);
    }
    /* Listed twice, without a post, no id: all are counted and one is usable. */
    odd = cJSON_Parse("{\"order\":[\"aaaaaaaaaaaaaaaaaaaaaaaaaa\",\"aaaaaaaaaaaaaaaaaaaaaaaaaa\","
                      "\"bbbbbbbbbbbbbbbbbbbbbbbbbb\",7,\"x\"],"
                      "\"posts\":{\"aaaaaaaaaaaaaaaaaaaaaaaaaa\":{},\"x\":{}}}");
    assert_int_equal(mm_page_read(odd, &page), 0);
    assert_int_equal(page.listed, 5);
    assert_int_equal(page.n, 1);
    mm_page_deinit(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_anchors),
        cmocka_unit_test(test_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
