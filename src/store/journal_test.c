/* What counts as known, filters, and positions. */
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/str.h"
#include "store/test_store.h"

static struct mw_event edit_of(const char *id, int64_t revision)
{
    struct mw_event ev = test_post(id, revision);

    ev.kind = MW_EVENT_POST_EDITED;
    ev.revision = revision;
    return ev;
}

static struct mw_event deletion_of(const char *id, int64_t at)
{
    struct mw_event ev = test_post(id, at);

    ev.kind = MW_EVENT_POST_DELETED;
    return ev;
}

static void duplicates_are_refused(void **state)
{
    struct fixture *f = *state;
    struct mw_event ev = test_post("p1", 100), other = test_post("p1", 100);
    struct mw_store_stats stats;

    assert_true(test_event(f, &ev) > 0);
    assert_int_equal(test_event(f, &ev), 0);
    test_reopen(f);
    assert_int_equal(test_event(f, &ev), 0);
    other.bot = "b2";
    assert_true(test_event(f, &other) > 0);
    mw_store_get_stats(f->store, &stats);
    assert_int_equal(stats.events_written, 1);
    assert_int_equal(stats.events_duplicate, 1);
    assert_string_equal(test_events(f, NULL), "post:p1:0 post:p1:0");
}

static void events_without_object_are_always_new(void **state)
{
    struct fixture *f = *state;
    const struct mw_event ev = {.bot = "b1", .kind = MW_EVENT_CONNECTION, .at = 5};
    int64_t first = test_event(f, &ev);

    assert_true(first > 0);
    assert_true(test_event(f, &ev) > first);
    assert_string_equal(test_events(f, NULL), "connection::0 connection::0");
}

static void typing_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct mw_event typing = {.bot = "b1", .kind = MW_EVENT_TYPING};
    const struct mw_event unknown = {.bot = "b1", .kind = (enum mw_event_kind)99};
    struct mw_event ev = test_post("p1", 100);
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_event(tx, &typing), -EINVAL);
    /* The failure sticks: nothing of this transaction may happen. */
    assert_int_equal(mw_tx_event(tx, &ev), -EINVAL);
    assert_int_equal(test_commit(f, tx), -EINVAL);
    tx = test_tx(f);
    assert_int_equal(mw_tx_event(tx, &unknown), -EINVAL);
    mw_tx_free(tx);
    tx = test_tx(f);
    assert_int_equal(mw_tx_observed_post(tx, &typing, 0), -EINVAL);
    mw_tx_free(tx);
    assert_string_equal(test_events(f, NULL), "");
}

static void ids_are_never_used_twice(void **state)
{
    struct fixture *f = *state;
    struct mw_event a = test_post("p1", 1), b = test_post("p2", 2);
    int64_t first = test_event(f, &a);

    test_reopen(f);
    assert_true(test_event(f, &b) > first);
    assert_true(f->committed > first);
    assert_int_equal(f->committed, mw_store_last_event_id(f->store));
}

/* One step of a story about post p1. */
struct step {
    enum { LIVE_POST, LIVE_EDIT, LIVE_DELETE, SEEN, SEEN_DELETED } what;
    int64_t revision;
    bool adds;
};

static void tell(struct fixture *f, const struct step *s)
{
    struct mw_event post = test_post("p1", 100), edit = edit_of("p1", s->revision),
                    deletion = deletion_of("p1", 900);
    int64_t id = 0;

    post.revision = s->revision;
    if (s->what == LIVE_POST)
        id = test_event(f, &post);
    else if (s->what == LIVE_EDIT)
        id = test_event(f, &edit);
    else if (s->what == LIVE_DELETE)
        id = test_event(f, &deletion);
    else
        id = test_observed(f, &post, s->what == SEEN_DELETED ? 900 : 0);
    assert_int_equal(id > 0, s->adds);
}

static void orders_of_arrival(void **state)
{
    static const struct {
        struct step steps[6];
        int n;
        const char *journal;
    } stories[] = {
        {{{SEEN, 0, true}, {SEEN, 0, false}, {LIVE_POST, 0, false}}, 3, "post:p1:0"},
        {{{LIVE_POST, 0, true}, {SEEN, 0, false}, {SEEN, 7, true}, {SEEN, 7, false}},
         4,
         "post:p1:0 post_edited:p1:7"},
        /* First seen edited: knows that edit, whoever tells it again. */
        {{{SEEN, 7, true}, {SEEN, 7, false}, {LIVE_EDIT, 7, false}, {SEEN, 9, true}},
         4,
         "post:p1:0 post_edited:p1:9"},
        {{{SEEN, 7, true}, {LIVE_POST, 0, false}, {LIVE_EDIT, 5, false}, {LIVE_EDIT, 8, true}},
         4,
         "post:p1:0 post_edited:p1:8"},
        /* The same edit live and observed, both ways. */
        {{{LIVE_POST, 0, true}, {LIVE_EDIT, 7, true}, {SEEN, 7, false}, {LIVE_EDIT, 7, false}},
         4,
         "post:p1:0 post_edited:p1:7"},
        {{{LIVE_POST, 0, true}, {SEEN, 7, true}, {LIVE_EDIT, 7, false}},
         3,
         "post:p1:0 post_edited:p1:7"},
        /* An edit of an unknown post, then the post. */
        {{{LIVE_EDIT, 7, true},
          {SEEN, 7, true},
          {SEEN, 7, false},
          {LIVE_EDIT, 7, false},
          {SEEN, 8, true}},
         5,
         "post_edited:p1:7 post:p1:0 post_edited:p1:8"},
        {{{LIVE_EDIT, 9, true}, {LIVE_POST, 0, true}, {SEEN, 7, false}},
         3,
         "post_edited:p1:9 post:p1:0"},
        /* A change that is not an edit (a pin) of a known post. */
        {{{LIVE_POST, 0, true}, {LIVE_EDIT, 0, false}}, 2, "post:p1:0"},
        /* Deletions. */
        {{{SEEN_DELETED, 0, false}, {SEEN_DELETED, 7, false}}, 2, ""},
        {{{SEEN, 0, true},
          {SEEN_DELETED, 7, true},
          {SEEN_DELETED, 7, false},
          {LIVE_DELETE, 0, false}},
         4,
         "post:p1:0 post_deleted:p1:0"},
        {{{LIVE_POST, 0, true}, {LIVE_DELETE, 0, true}, {SEEN_DELETED, 0, false}, {SEEN, 7, false}},
         4,
         "post:p1:0 post_deleted:p1:0"},
        {{{LIVE_EDIT, 7, true}, {SEEN_DELETED, 7, true}}, 2, "post_edited:p1:7 post_deleted:p1:0"},
        {{{LIVE_DELETE, 0, true},
          {SEEN, 0, false},
          {SEEN_DELETED, 0, false},
          {LIVE_DELETE, 0, false}},
         4,
         "post_deleted:p1:0"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(stories); i++) {
        for (int j = 0; j < stories[i].n; j++)
            tell(*state, &stories[i].steps[j]);
        assert_string_equal(test_events(*state, NULL), stories[i].journal);
        test_teardown(state);
        test_setup(state);
    }
}

static bool keep_at(const struct mw_event *ev, void *userdata)
{
    *(int64_t *)userdata = ev->at;
    return true;
}

static void observed_changes_bear_their_own_time(void **state)
{
    struct fixture *f = *state;
    struct mw_event ev = test_post("p1", 100);
    int64_t at = 0;

    test_observed(f, &ev, 0);
    ev.revision = 700;
    assert_int_equal(mw_store_event(f->store, test_observed(f, &ev, 0), keep_at, &at), 0);
    assert_int_equal(at, 700);
    assert_int_equal(mw_store_event(f->store, test_observed(f, &ev, 900), keep_at, &at), 0);
    assert_int_equal(at, 900);
}

static void filters(void **state)
{
    struct fixture *f = *state;
    struct mw_event root = test_post("r1", 100), reply = test_post("p2", 200),
                    other = test_post("p3", 300), edit = edit_of("r1", 400),
                    reaction = test_post("r1/u1/smile", 500), far = test_post("r1x", 600);

    reply.root_id = "r1";
    reply.user_id = "u2";
    reply.flags = MW_EVENT_MENTION;
    other.channel_id = "c2";
    other.bot = "b2";
    reaction.kind = MW_EVENT_REACTION_ADDED;
    reaction.post_id = "r1";
    reaction.revision = 500;
    test_event(f, &root);
    test_event(f, &reply);
    test_event(f, &other);
    test_event(f, &edit);
    test_event(f, &reaction);
    test_event(f, &far);

    const struct {
        struct mw_event_filter filter;
        const char *rows;
    } cases[] = {
        {{.limit = 2}, "post:r1:0 post:p2:0"},
        {{.limit = 2, .newest_first = true}, "post:r1x:0 reaction_added:r1/u1/smile:500"},
        {{.after_id = 1, .before_id = 4}, "post:p2:0 post:p3:0"},
        {{.bot = "b2"}, "post:p3:0"},
        {{.bot = "nobody"}, ""},
        {{.channel_id = "c2"}, "post:p3:0"},
        {{.channel_id = "c1", .newest_first = true, .limit = 1}, "post:r1x:0"},
        {{.channel_id = "c1", .bot = "b2"}, ""},
        {{.user_id = "u2"}, "post:p2:0"},
        {{.root_id = "r1"},
         "post:r1:0 post:p2:0 post_edited:r1:400 reaction_added:r1/u1/smile:500"},
        {{.root_id = "r1", .channel_id = "c1", .limit = 2}, "post:r1:0 post:p2:0"},
        {{.root_id = "r1", .channel_id = "c2"}, ""},
        {{.root_id = "r1", .kinds = 1u << MW_EVENT_POST}, "post:r1:0 post:p2:0"},
        {{.post_id = "r1"}, "post:r1:0 post_edited:r1:400 reaction_added:r1/u1/smile:500"},
        {{.kinds = 1u << MW_EVENT_POST_EDITED | 1u << MW_EVENT_REACTION_ADDED},
         "post_edited:r1:400 reaction_added:r1/u1/smile:500"},
        {{.flags_any = MW_EVENT_MENTION | MW_EVENT_OWN}, "post:p2:0"},
        {{.since = 200, .until = 400}, "post:p2:0 post:p3:0"},
        {{.channel_id = "c1", .since = 200, .until = 401}, "post:p2:0 post_edited:r1:400"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(cases); i++)
        assert_string_equal(test_events(f, &cases[i].filter), cases[i].rows);
}

struct nested {
    struct fixture *f;
    int rows, inner;
};

static bool count_inner(const struct mw_event *ev, void *userdata)
{
    ((struct nested *)userdata)->inner++;
    return true;
}

static bool read_again(const struct mw_event *ev, void *userdata)
{
    struct nested *n = userdata;
    const struct mw_event_filter all = {0};

    assert_int_equal(mw_store_events(n->f->store, &all, count_inner, n, NULL), 0);
    n->rows++;
    return n->rows < 2;
}

static void queries_nest_and_stop(void **state)
{
    struct fixture *f = *state;
    const struct mw_event_filter all = {0};
    struct nested n = {.f = f};
    struct mw_event ev[] = {test_post("p1", 1), test_post("p2", 2), test_post("p3", 3)};

    for (size_t i = 0; i < MW_ARRAY_LEN(ev); i++)
        test_event(f, &ev[i]);
    assert_int_equal(mw_store_events(f->store, &all, read_again, &n, NULL), 0);
    assert_int_equal(n.rows, 2);
    assert_int_equal(n.inner, 6);
}

/* ---- Positions ---- */

static void expect_position(struct fixture *f, int64_t seen_at, const char *post_id,
                            int64_t post_at, bool confirmed)
{
    struct mw_position p;

    assert_int_equal(mw_store_position(f->store, "b1", "c1", &p), 0);
    assert_int_equal(p.seen_at, seen_at);
    assert_string_equal(p.post_id, post_id);
    assert_int_equal(p.post_at, post_at);
    assert_int_equal(p.confirmed, confirmed);
}

static void cover(struct fixture *f, int64_t seen_at, const char *post_id, int64_t post_at)
{
    struct mw_tx *tx = test_tx(f);

    assert_int_equal(mw_tx_position(tx, "b1", "c1", seen_at, post_id, post_at), 0);
    assert_int_equal(test_commit(f, tx), 0);
}

static void live_events_move_the_position(void **state)
{
    struct fixture *f = *state;
    struct mw_event post = test_post("p1", 100), older = test_post("p0", 90),
                    edit = edit_of("p1", 200), deletion = deletion_of("p1", 300),
                    reaction = test_post("p1/u/smile", 400), late = test_post("p2", 250);
    struct mw_position p = {.seen_at = -3};

    assert_int_equal(mw_store_position(f->store, "b1", "c1", &p), 1);
    assert_int_equal(p.seen_at, -3);
    test_event(f, &post);
    expect_position(f, 100, "p1", 100, false);
    test_event(f, &older);
    expect_position(f, 100, "p1", 100, false);
    test_event(f, &edit);
    expect_position(f, 200, "p1", 100, false);
    test_event(f, &deletion);
    expect_position(f, 300, "p1", 100, false);
    reaction.kind = MW_EVENT_REACTION_ADDED;
    reaction.post_id = "p1";
    test_event(f, &reaction);
    expect_position(f, 300, "p1", 100, false);
    test_event(f, &late);
    expect_position(f, 300, "p2", 250, false);
    test_reopen(f);
    expect_position(f, 300, "p2", 250, false);
    assert_int_equal(mw_store_position(f->store, "b1", "c1", &p), 0);
    assert_int_equal(p.from_at, 100);
    assert_int_equal(mw_store_position(f->store, "b2", "c1", &p), 1);
}

/* What was posted before a channel was first covered is not new later on. */
static void first_cover_sets_the_beginning(void **state)
{
    struct fixture *f = *state;
    struct mw_position p;

    cover(f, 200, "", 150);
    cover(f, 300, "p9", 250);
    assert_int_equal(mw_store_position(f->store, "b1", "c1", &p), 0);
    assert_int_equal(p.from_at, 151);
    expect_position(f, 300, "p9", 250, true);
}

static void covering_confirms(void **state)
{
    struct fixture *f = *state;
    struct mw_event live = test_post("p2", 200), late = test_post("p0", 150),
                    caught_up = test_post("p3", 900), observed = test_post("p4", 950);

    cover(f, 100, "p1", 90);
    expect_position(f, 100, "p1", 90, true);
    cover(f, 100, "p1", 90);
    expect_position(f, 100, "p1", 90, true);
    test_event(f, &live);
    expect_position(f, 200, "p2", 200, false);
    /* Covers less than was seen live: does not confirm, does not move back. */
    cover(f, 150, "p1", 90);
    expect_position(f, 200, "p2", 200, false);
    cover(f, 200, "p2", 200);
    expect_position(f, 200, "p2", 200, true);
    /* Nothing newer: stays confirmed. */
    test_event(f, &late);
    expect_position(f, 200, "p2", 200, true);
    /* What catch-up finds moves nothing by itself. */
    caught_up.flags = MW_EVENT_CAUGHT_UP;
    test_event(f, &caught_up);
    test_observed(f, &observed, 0);
    expect_position(f, 200, "p2", 200, true);
    cover(f, 150, "", 0);
    expect_position(f, 200, "p2", 200, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_setup, test_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(duplicates_are_refused),
        TEST(events_without_object_are_always_new),
        TEST(typing_is_refused),
        TEST(ids_are_never_used_twice),
        TEST(orders_of_arrival),
        TEST(observed_changes_bear_their_own_time),
        TEST(filters),
        TEST(queries_nest_and_stop),
        TEST(live_events_move_the_position),
        TEST(first_cover_sets_the_beginning),
        TEST(covering_confirms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
