#include "mattermost/feed.h"

#include "base/test.h"
#include "mattermost/test_server.h"

struct taker {
    struct fake *f;
    struct mm_normaliser n;
    struct mm_feed feed;
    char log[1024];
    unsigned rooms;
    bool free_next;
};

static void on_item(struct mm_item *item, void *userdata)
{
    struct taker *t = userdata;
    size_t len = strlen(t->log);

    snprintf(t->log + len, sizeof(t->log) - len, "%s/%s ", item->ev.user_name, item->ev.text);
    if (t->free_next)
        mm_feed_deinit(&t->feed);
}

static void on_mark(const struct mm_feed_node *node, void *userdata)
{
    struct taker *t = userdata;
    size_t len = strlen(t->log);

    snprintf(t->log + len, sizeof(t->log) - len, "#%d ", (int)node->seen_at);
    if (t->free_next)
        mm_feed_deinit(&t->feed);
}

static void on_room(void *userdata)
{
    ((struct taker *)userdata)->rooms++;
}

static const struct mm_feed_ops ops = {.on_item = on_item, .on_mark = on_mark, .on_room = on_room};

static void make_item(struct taker *t, const char *user, const char *text, struct mm_item *ret)
{
    cJSON *post = cJSON_CreateObject();

    mw_json_add_str(post, "id", "postpostpostpostpostpostpo");
    mw_json_add_str(post, "user_id", user);
    mw_json_add_str(post, "channel_id", OPS);
    mw_json_add_str(post, "message", text);
    mw_json_add_i64(post, "create_at", 5);
    assert_int_equal(mm_item_from_post(&t->n, post, 1, 1, ret, NULL), 0);
}

static int live(struct taker *t, const char *user, const char *text)
{
    struct mm_item item;

    make_item(t, user, text, &item);
    return mm_feed_live(&t->feed, &item);
}

static void found(struct taker *t, const char *user, const char *text)
{
    struct mm_item *item = malloc(sizeof(*item));

    make_item(t, user, text, item);
    assert_int_equal(mm_feed_found(&t->feed, item), 0);
}

static void mark(struct taker *t, int n)
{
    assert_int_equal(mm_feed_mark(&t->feed, MM_MARK_COVERED, OPS, n, "", 0), 0);
}

static void on_started(struct mm_result *r, void *userdata)
{
    assert_int_equal(r->outcome, MM_OK);
    *(bool *)userdata = true;
}

static int setup(void **state)
{
    struct taker *t = calloc(1, sizeof(*t));
    bool started = false;

    fake_setup((void **)&t->f);
    mm_normaliser_init(&t->n, t->f->client, "test");
    assert_int_equal(mm_client_start(t->f->client, on_started, &started), 0);
    FAKE_UNTIL(t->f, started);
    assert_int_equal(mm_feed_init(&t->feed, &t->f->loop, t->f->client, &t->n, 10000, &ops, t), 0);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct taker *t = *state;

    mm_feed_deinit(&t->feed);
    fake_teardown((void **)&t->f);
    free(t);
    return 0;
}

static void expect(struct taker *t, const char *log)
{
    FAKE_UNTIL(t->f, strlen(t->log) >= strlen(log));
    assert_string_equal(t->log, log);
}

static void test_held_behind_found(void **state)
{
    struct taker *t = *state;

    assert_int_equal(live(t, ADA, "live"), 0);
    found(t, BOB, "found");
    mark(t, 1);
    expect(t, "bob/found #1 ");
    mm_feed_hold(&t->feed, false);
    expect(t, "bob/found #1 ada/live ");
    /* All is known and nothing waits: at once. */
    assert_int_equal(live(t, ADA, "now"), 0);
    assert_string_equal(t->log, "bob/found #1 ada/live ada/now ");
    assert_int_equal(t->f->users_asked, 2);
}

/* Held items that fill their side leave room for those that they wait for. */
static void test_full(void **state)
{
    struct taker *t = *state;

    while (!mm_feed_live_full(&t->feed))
        assert_int_equal(live(t, ADA, "l"), 0);
    assert_false(mm_feed_found_full(&t->feed));
    found(t, ADA, "f");
    FAKE_UNTIL(t->f, *t->log);
    assert_string_equal(t->log, "ada/f ");
    t->rooms = 0;
    mm_feed_hold(&t->feed, false);
    FAKE_UNTIL(t->f, mm_feed_empty(&t->feed));
    assert_true(t->rooms > 0);
    assert_false(mm_feed_live_full(&t->feed));
}

static void test_marks_alone_fill_it_too(void **state)
{
    struct taker *t = *state;

    for (int i = 0; !mm_feed_found_full(&t->feed); i++)
        mark(t, i % 10);
    FAKE_UNTIL(t->f, mm_feed_empty(&t->feed));
    assert_true(t->rooms > 0);
}

static void test_pause(void **state)
{
    struct taker *t = *state;

    mm_feed_hold(&t->feed, false);
    mm_feed_pause(&t->feed, true);
    assert_int_equal(live(t, ADA, "one"), 0);
    assert_string_equal(t->log, "");
    mm_feed_pause(&t->feed, false);
    expect(t, "ada/one ");
}

static void test_author_that_came_while_asking(void **state)
{
    struct taker *t = *state;

    mm_feed_hold(&t->feed, false);
    assert_int_equal(live(t, ADA, "one"), 0);
    FAKE_UNTIL(t->f, t->feed.asking);
    assert_int_equal(live(t, BOB, "two"), 0);
    assert_int_equal(live(t, "zedzedzedzedzedzedzedzedze", "three"), 0);
    expect(t, "ada/one bob/two /three ");
    assert_int_equal(t->f->users_asked, 3);
}

static void test_free_in_callbacks(void **state)
{
    struct taker *t = *state;

    t->free_next = true;
    found(t, ADA, "one");
    found(t, ADA, "two");
    expect(t, "ada/one ");
    assert_int_equal(mm_feed_init(&t->feed, &t->f->loop, t->f->client, &t->n, 10000, &ops, t), 0);
    mark(t, 1);
    mark(t, 2);
    expect(t, "ada/one #1 ");
    assert_int_equal(mm_feed_init(&t->feed, &t->f->loop, t->f->client, &t->n, 10000, &ops, t), 0);
    mm_feed_hold(&t->feed, false);
    assert_int_equal(live(t, ADA, "three"), -ECANCELED);
    assert_string_equal(t->log, "ada/one #1 ada/three ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_held_behind_found),
        TEST(test_full),
        TEST(test_marks_alone_fill_it_too),
        TEST(test_pause),
        TEST(test_author_that_came_while_asking),
        TEST(test_free_in_callbacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
