#include "mattermost/catchup.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/map.h"
#include "base/test.h"
#include "mattermost/test_server.h"

struct run {
    struct fake *f;
    struct mm_normaliser normaliser;
    struct mw_map fetched, given;
    struct mw_position ops, dev;
    bool known, unreadable;
    struct mm_catchup *cu;
    struct mm_catchup_params p;
    unsigned items, news, covered, posts_done, ended, skipped, malformed;
    enum mm_outcome outcome;
    int64_t last_at;
    bool free_at_item, out_of_order;
};

static int on_position(const char *channel_id, struct mw_position *ret, void *userdata)
{
    struct run *r = userdata;

    *ret = strcmp(channel_id, OPS) == 0 ? r->ops : r->dev;
    if (r->unreadable)
        return -EIO;
    return r->known ? 0 : 1;
}

static void on_item(struct mm_item *item, void *userdata)
{
    struct run *r = userdata;

    r->items++;
    if (!mw_map_get(&r->given, item->ev.post_id)) {
        r->news++;
        r->out_of_order |= item->ev.kind == MW_EVENT_POST && item->ev.at < r->last_at;
        r->last_at = item->ev.at;
        assert_int_equal(mw_map_put(&r->given, item->ev.post_id, r), 0);
    }
    mm_item_free(item);
    if (r->free_at_item) {
        mm_catchup_free(r->cu);
        r->cu = NULL;
    }
}

static void on_covered(const char *channel_id, int64_t seen_at, const char *post_id,
                       int64_t post_at, void *userdata)
{
    ((struct run *)userdata)->covered++;
}

static void on_posts_done(void *userdata)
{
    ((struct run *)userdata)->posts_done++;
}

static void on_end(const struct mm_catchup_result *res, void *userdata)
{
    struct run *r = userdata;

    r->ended++;
    r->outcome = res->outcome;
    r->skipped = res->skipped;
    r->malformed = res->malformed;
    mm_catchup_free(r->cu);
    r->cu = NULL;
}

static const struct mm_catchup_ops ops = {.position = on_position,
                                          .on_item = on_item,
                                          .on_covered = on_covered,
                                          .on_posts_done = on_posts_done,
                                          .on_end = on_end};

static int setup(void **state)
{
    struct run *r = calloc(1, sizeof(*r));

    fake_setup((void **)&r->f);
    mm_normaliser_init(&r->normaliser, r->f->client, "test");
    mw_map_init(&r->fetched, free);
    mw_map_init(&r->given, NULL);
    r->known = true;
    r->dev.confirmed = true;
    r->p = (struct mm_catchup_params){.client = r->f->client,
                                      .normaliser = &r->normaliser,
                                      .fetched = &r->fetched,
                                      .ops = &ops,
                                      .userdata = r};
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct run *r = *state;

    mm_catchup_free(r->cu);
    fake_teardown((void **)&r->f);
    mw_map_deinit(&r->fetched);
    mw_map_deinit(&r->given);
    free(r);
    return 0;
}

static void run(struct run *r)
{
    r->ended = 0;
    assert_int_equal(mm_catchup_new(&r->f->loop, &r->p, &r->cu), 0);
    FAKE_UNTIL(r->f, r->ended || !r->cu);
}

static struct mw_position at(const struct fake_post *p)
{
    struct mw_position pos = {
        .seen_at = p->create_at, .post_at = p->create_at, .from_at = 1, .confirmed = true};

    memcpy(pos.post_id, p->id, MW_ID_SIZE);
    return pos;
}

/* n posts from `from` on, `together` of them in each millisecond. */
static void flood(struct fake *f, size_t n, int64_t from, size_t together)
{
    for (size_t i = 0; i < n; i++)
        fake_add(f, OPS, ADA, "x", from + (int64_t)(i / together));
}

static void missed(struct run *r, size_t before, size_t n, size_t together)
{
    int64_t start = fake_now(r->f) - 10000000;

    flood(r->f, before, start, 1);
    r->ops = at(&r->f->posts[before - 1]);
    flood(r->f, n, start + 1000000, together);
    run(r);
    assert_int_equal(r->outcome, MM_OK);
    assert_true(r->news >= n && r->news <= n + before);
    for (size_t i = before; i < before + n; i++)
        assert_non_null(mw_map_get(&r->given, r->f->posts[i].id));
    assert_false(r->out_of_order);
    assert_int_equal(r->covered, 1);
}

static void test_a_few(void **state)
{
    struct run *r = *state;

    missed(r, 10, 300, 3);
    assert_int_equal(r->f->pages, 1);
}

static void test_over_the_cap(void **state)
{
    missed(*state, 10, 2500, 1);
}

static void test_over_the_cap_behind_two_posts(void **state)
{
    missed(*state, 2, 1300, 1);
}

static void test_over_the_cap_behind_one_post(void **state)
{
    missed(*state, 1, 1300, 1);
}

static void test_one_millisecond_over_pages(void **state)
{
    missed(*state, 5, 1500, 450);
}

/* A position that cannot be read is not one that is not there: that would pass over the gap. */
static void test_unreadable_position(void **state)
{
    struct run *r = *state;

    flood(r->f, 10, fake_now(r->f) - 10000000, 1);
    r->ops = at(&r->f->posts[2]);
    r->unreadable = true;
    run(r);
    assert_int_equal(r->ended, 1);
    assert_int_not_equal(r->outcome, MM_OK);
    assert_int_equal(r->covered, 0);
    r->unreadable = false;
    run(r);
    assert_int_equal(r->outcome, MM_OK);
    for (size_t i = 3; i < 10; i++)
        assert_non_null(mw_map_get(&r->given, r->f->posts[i].id));
}

static void test_unknown_anchor(void **state)
{
    struct run *r = *state;
    int64_t start = fake_now(r->f) - 10000000;

    flood(r->f, 1700, start, 1);
    r->ops = (struct mw_position){.seen_at = start - 100000,
                                  .post_at = start - 100000,
                                  .post_id = "gonegonegonegonegonegonego",
                                  .from_at = 1,
                                  .confirmed = true};
    run(r);
    assert_int_equal(r->outcome, MM_OK);
    assert_int_equal(r->news, 1700);
    assert_false(r->out_of_order);
}

static void test_server_that_stands_still(void **state)
{
    struct run *r = *state;
    int64_t start = fake_now(r->f) - 10000000;

    flood(r->f, 1700, start, 1);
    r->ops = at(&r->f->posts[0]);
    r->f->stuck = true;
    run(r);
    assert_int_equal(r->outcome, MM_BAD_ANSWER);
    assert_int_equal(r->covered, 0);
}

static void test_refused_channel_is_skipped(void **state)
{
    struct run *r = *state;
    int64_t now = fake_now(r->f);

    r->ops = r->dev = (struct mw_position){.seen_at = now - 1000, .from_at = 1, .confirmed = true};
    fake_add(r->f, OPS, ADA, "x", now);
    fake_add(r->f, DEV, ADA, "y", now);
    fake_channel(r->f, DEV, NULL, NULL)->refuse = 400;
    run(r);
    assert_int_equal(r->outcome, MM_OK);
    assert_int_equal(r->skipped, 1);
    assert_int_equal(r->news, 1);
    assert_int_equal(r->covered, 1);
}

static void test_malformed_post_is_counted(void **state)
{
    struct run *r = *state;
    int64_t now = fake_now(r->f);

    r->ops = (struct mw_position){.seen_at = now - 1000, .from_at = 1, .confirmed = true};
    fake_add(r->f, OPS, ADA, "x", now)->id[0] = 0;
    fake_add(r->f, OPS, ADA, "y", now);
    run(r);
    assert_int_equal(r->outcome, MM_OK);
    assert_int_equal(r->malformed, 1);
    assert_int_equal(r->news, 1);
}

/* What a run that ended early had fetched but not given is fetched by the next. */
static void test_given_or_fetched_again(void **state)
{
    struct run *r = *state;
    int64_t now = fake_now(r->f);

    r->ops = r->dev = (struct mw_position){.seen_at = now - 1000, .from_at = 1, .confirmed = true};
    r->p.compare_only = true;
    fake_add(r->f, OPS, ADA, "x", now);
    fake_add(r->f, DEV, ADA, "y", now);
    fake_channel(r->f, DEV, NULL, NULL)->refuse = 401;
    run(r);
    assert_int_equal(r->outcome, MM_UNAUTHORIZED);
    fake_channel(r->f, DEV, NULL, NULL)->refuse = 0;
    run(r);
    assert_int_equal(r->outcome, MM_OK);
    assert_int_equal(r->news, 2);
    /* And not for ever. */
    r->f->pages = 0;
    run(r);
    assert_int_equal(r->f->pages, 0);
}

static void test_busy_server(void **state)
{
    struct run *r = *state;
    int64_t now = fake_now(r->f);

    r->ops = r->dev = (struct mw_position){.seen_at = now - 1000, .from_at = 1, .confirmed = true};
    fake_add(r->f, OPS, ADA, "x", now);
    r->f->fail_posts = 1;
    run(r);
    assert_int_equal(r->outcome, MM_OK);
    assert_int_equal(r->news, 1);
    assert_int_equal(r->f->pages, 2);
}

static void test_history_rows(void **state)
{
    struct run *r = *state;
    int64_t now = fake_now(r->f);
    struct fake_post *p = fake_add(r->f, OPS, ADA, "x", now - 100000);

    r->ops = at(p);
    r->p.floor = now - 50000;
    r->p.sweep = true;
    fake_edit(r->f, p, "y", now);
    run(r);
    assert_int_equal(r->items, 1);
    assert_int_equal(r->posts_done, 1);
}

static void test_pause(void **state)
{
    struct run *r = *state;
    int64_t now = fake_now(r->f);

    r->ops = r->dev = (struct mw_position){.seen_at = now - 1000, .from_at = 1, .confirmed = true};
    fake_add(r->f, OPS, ADA, "x", now);
    assert_int_equal(mm_catchup_new(&r->f->loop, &r->p, &r->cu), 0);
    mm_catchup_pause(r->cu, true);
    FAKE_UNTIL(r->f, r->f->lists == 1);
    assert_int_equal(r->f->pages, 0);
    mm_catchup_pause(r->cu, false);
    FAKE_UNTIL(r->f, r->ended);
    assert_int_equal(r->news, 1);
}

static void test_free_in_item(void **state)
{
    struct run *r = *state;
    int64_t now = fake_now(r->f);

    r->ops = r->dev = (struct mw_position){.seen_at = now - 1000, .from_at = 1, .confirmed = true};
    fake_add(r->f, OPS, ADA, "x", now);
    fake_add(r->f, OPS, ADA, "y", now);
    r->free_at_item = true;
    run(r);
    assert_int_equal(r->ended, 0);
    assert_int_equal(r->items, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_few),
        TEST(test_over_the_cap),
        TEST(test_over_the_cap_behind_two_posts),
        TEST(test_over_the_cap_behind_one_post),
        TEST(test_one_millisecond_over_pages),
        TEST(test_unreadable_position),
        TEST(test_unknown_anchor),
        TEST(test_server_that_stands_still),
        TEST(test_refused_channel_is_skipped),
        TEST(test_malformed_post_is_counted),
        TEST(test_given_or_fetched_again),
        TEST(test_busy_server),
        TEST(test_history_rows),
        TEST(test_pause),
        TEST(test_free_in_item),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
