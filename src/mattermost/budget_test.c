/* Which class goes when, told by answers that a test makes up. */
#include "mattermost/budget.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"

struct client {
    struct mm_budget_member m;
    const char *name;
    unsigned waiting[MM_CLASSES];
    int64_t since;
    bool busy, broken;
};

static uv_loop_t loop;
static struct mm_budget *budget;
static uint64_t last, ended; /* numbers of calls */
static char sent[256];       /* "a:answers b:reads" */

static struct client *client_of(struct mm_budget_member *m)
{
    return MW_CONTAINER_OF(m, struct client, m);
}

static bool ready(struct mm_budget_member *m)
{
    return !client_of(m)->busy;
}

static unsigned waiting(struct mm_budget_member *m, enum mm_class c, int64_t *ret_since)
{
    *ret_since = client_of(m)->since;
    return client_of(m)->waiting[c];
}

static bool send_one(struct mm_budget_member *m, enum mm_class c, uint64_t number)
{
    size_t len = strlen(sent);

    client_of(m)->waiting[c]--;
    if (client_of(m)->broken)
        return false;
    last = number;
    snprintf(sent + len, sizeof(sent) - len, "%s%s:%s", len ? " " : "", client_of(m)->name,
             mm_class_name(c));
    return true;
}

static const struct mm_budget_ops ops = {.ready = ready, .waiting = waiting, .send = send_one};

static struct client a, b;

static int setup(void **state)
{
    uv_loop_init(&loop);
    assert_int_equal(mm_budget_new(&loop, &budget), 0);
    a = (struct client){.name = "a", .since = mw_clock_mono()};
    b = (struct client){.name = "b", .since = mw_clock_mono()};
    mm_budget_join(budget, &a.m, &ops);
    mm_budget_join(budget, &b.m, &ops);
    sent[0] = '\0';
    last = ended = 0;
    return 0;
}

static int teardown(void **state)
{
    mm_budget_leave(&a.m);
    mm_budget_leave(&b.m);
    mm_budget_free(budget);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

/* ---- Answers ---- */

static const char *headers[3]; /* limit, remaining, reset; NULL = absent */

static const char *header(const struct mw_http_response *r, const char *name)
{
    static const char *const names[] = {"X-Ratelimit-Limit", "X-Ratelimit-Remaining",
                                        "X-Ratelimit-Reset"};

    for (size_t i = 0; i < MW_ARRAY_LEN(names); i++) {
        if (mw_streq(names[i], name))
            return headers[i];
    }
    return NULL;
}

static void answer(int status, int64_t retry_after_ms, const char *limit, const char *remaining,
                   const char *reset)
{
    const struct mw_http_response r = {
        .status = status, .retry_after_ms = retry_after_ms, .header = header};

    headers[0] = limit;
    headers[1] = remaining;
    headers[2] = reset;
    mm_budget_ended(budget, ++ended, &r);
}

/* One call goes out, and its answer says this. */
static void learn(const char *limit, const char *remaining, const char *reset)
{
    a.waiting[MM_CLASS_READ] = 1;
    mm_budget_pump(budget);
    answer(200, -1, limit, remaining, reset);
    sent[0] = '\0';
}

static struct mm_budget_stats stats(void)
{
    struct mm_budget_stats st;

    mm_budget_get_stats(budget, &st);
    return st;
}

/* ---- Tests ---- */

static void calls_have_classes(void **state)
{
    static const struct {
        const char *method, *path;
        enum mm_class class;
    } rows[] = {
        {"POST", "/posts", MM_CLASS_ANSWER},
        {"POST", "/posts/ephemeral", MM_CLASS_ANSWER},
        {"POST", "/files?channel_id=c&filename=f", MM_CLASS_ANSWER},
        {"POST", "/uploads/u", MM_CLASS_ANSWER},
        {"POST", "/channels/direct", MM_CLASS_ANSWER},
        {"PUT", "/posts/p/patch", MM_CLASS_CHANGE},
        {"DELETE", "/posts/p", MM_CLASS_CHANGE},
        {"POST", "/posts/p/pin", MM_CLASS_CHANGE},
        {"POST", "/channels", MM_CLASS_CHANGE},
        {"GET", "/channels/c/posts?after=p", MM_CLASS_READ},
        {"POST", "/users/ids", MM_CLASS_READ},
        {"POST", "/teams/t/posts/search", MM_CLASS_READ},
        {"POST", "/reactions", MM_CLASS_SIGN},
        {"DELETE", "/users/u/posts/p/reactions/tada", MM_CLASS_SIGN},
        {"POST", "/users/me/typing", MM_CLASS_SIGN},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        if (mm_class_of(rows[i].method, rows[i].path) != rows[i].class)
            fail_msg("%s %s is %s", rows[i].method, rows[i].path,
                     mm_class_name(mm_class_of(rows[i].method, rows[i].path)));
    }
}

static void without_a_limit_all_goes_in_order(void **state)
{
    a.waiting[MM_CLASS_SIGN] = 1;
    a.waiting[MM_CLASS_READ] = 2;
    b.waiting[MM_CLASS_READ] = 1;
    b.waiting[MM_CLASS_CHANGE] = 1;
    b.waiting[MM_CLASS_ANSWER] = 1;
    mm_budget_pump(budget);
    assert_string_equal(sent, "b:answers b:changes a:reads b:reads a:reads a:signs");
    assert_int_equal(stats().in_flight, 6);
    assert_int_equal(stats().limit, -1);
    for (int i = 0; i < 6; i++)
        answer(200, -1, NULL, NULL, NULL);
    assert_int_equal(stats().in_flight, 0);
}

static void two_clients_share_what_there_is(void **state)
{
    learn("101", "3", NULL);
    a.waiting[MM_CLASS_ANSWER] = b.waiting[MM_CLASS_ANSWER] = 5;
    mm_budget_pump(budget);
    /* One is kept while calls are side by side. */
    assert_string_equal(sent, "b:answers a:answers");
    assert_int_equal(stats().waiting[MM_CLASS_ANSWER], 8);
    assert_int_equal(stats().remaining, 3);
    /* The answer tells of more. */
    answer(200, -1, "101", "4", NULL);
    mm_budget_pump(budget);
    assert_string_equal(sent, "b:answers a:answers b:answers a:answers");
}

static void lower_classes_leave_something(void **state)
{
    learn("100", "24", NULL);
    a.waiting[MM_CLASS_SIGN] = 1;
    mm_budget_pump(budget);
    assert_string_equal(sent, "");
    a.waiting[MM_CLASS_READ] = 100;
    mm_budget_pump(budget);
    assert_int_equal(stats().in_flight, 13); /* 10 are left for others */
    a.waiting[MM_CLASS_CHANGE] = 100;
    mm_budget_pump(budget);
    assert_int_equal(stats().in_flight, 18);
    a.waiting[MM_CLASS_ANSWER] = 100;
    mm_budget_pump(budget);
    assert_int_equal(stats().in_flight, 23);
    assert_null(strstr(sent, "signs"));
}

static void a_tiny_limit_lets_everything_through(void **state)
{
    learn("1", "1", "0");
    a.waiting[MM_CLASS_SIGN] = 1;
    mm_budget_pump(budget);
    assert_string_equal(sent, "a:signs");
}

static void who_waited_for_long_takes_turns(void **state)
{
    learn("100", "6", NULL);
    a.waiting[MM_CLASS_SIGN] = 3;
    a.since = mw_clock_mono() - 11000;
    b.waiting[MM_CLASS_ANSWER] = 9;
    mm_budget_pump(budget);
    assert_string_equal(sent, "a:signs b:answers a:signs b:answers a:signs");
}

static void nothing_goes_before_the_time_of_a_429(void **state)
{
    struct mm_budget_stats st;

    a.waiting[MM_CLASS_READ] = 1;
    mm_budget_pump(budget);
    sent[0] = '\0';
    answer(429, 1000, "101", "0", "11");
    a.waiting[MM_CLASS_ANSWER] = b.waiting[MM_CLASS_ANSWER] = 1;
    mm_budget_pump(budget);
    assert_string_equal(sent, "");
    st = stats();
    assert_int_equal(st.refused, 1);
    assert_int_equal(st.limit, 101);
    assert_true(st.held_until > 0);
    assert_true(st.per_second > 9 && st.per_second < 10);
    /* The timer lets them go. */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(strlen(sent) == strlen("a:answers b:answers"));
    assert_int_equal(stats().held_until, 0);
}

static void what_grows_is_waited_for(void **state)
{
    learn("101", "0", "1");
    a.waiting[MM_CLASS_ANSWER] = 5;
    mm_budget_pump(budget);
    /* 101 a second: a timer for each, and no loop that does not wait. */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.waiting[MM_CLASS_ANSWER], 0);
    assert_int_equal(stats().in_flight, 5);
}

static void a_busy_or_broken_client_holds_up_nobody(void **state)
{
    a.busy = true;
    a.waiting[MM_CLASS_ANSWER] = 1;
    b.waiting[MM_CLASS_SIGN] = 1;
    mm_budget_pump(budget);
    assert_string_equal(sent, "b:signs");
    a.busy = false;
    a.broken = true;
    b.waiting[MM_CLASS_SIGN] = 1;
    mm_budget_pump(budget);
    assert_string_equal(sent, "b:signs b:signs");
    assert_int_equal(stats().in_flight, 2);
}

static void a_limit_that_is_switched_off_is_forgotten(void **state)
{
    learn("100", "0", "9");
    a.waiting[MM_CLASS_READ] = 2;
    mm_budget_pump(budget);
    assert_string_equal(sent, "");
    b.waiting[MM_CLASS_ANSWER] = 1;
    b.since = 1;
    uv_run(&loop, UV_RUN_ONCE); /* it grew by one */
    assert_string_equal(sent, "b:answers");
    answer(502, -1, NULL, NULL, NULL); /* a proxy's: says nothing */
    assert_int_equal(stats().limit, 100);
    b.waiting[MM_CLASS_ANSWER] = 1;
    mm_budget_pump(budget);
    assert_string_equal(sent, "b:answers b:answers");
    answer(200, -1, NULL, NULL, NULL);
    assert_int_equal(stats().limit, -1);
    assert_int_equal(stats().remaining, -1);
    mm_budget_pump(budget);
    assert_string_equal(sent, "b:answers b:answers a:reads a:reads");
}

static void an_answer_that_was_overtaken_says_nothing(void **state)
{
    const struct mw_http_response lost = {.error = -ECONNRESET, .retry_after_ms = -1};

    learn("101", "50", NULL);
    a.waiting[MM_CLASS_ANSWER] = 3;
    mm_budget_pump(budget);
    assert_int_equal(stats().in_flight, 3);
    ended = last - 2;
    answer(200, -1, "101", "2", NULL); /* of the second one */
    ended = last - 3;
    answer(200, -1, "101", "40", NULL); /* of the first one */
    assert_int_equal(stats().remaining, 2);
    /* The third has no answer: it counts. */
    mm_budget_ended(budget, last, &lost);
    assert_int_equal(stats().remaining, 1);
    assert_int_equal(stats().in_flight, 0);
}

static void an_answer_does_not_speak_for_calls_that_it_overtook(void **state)
{
    learn("101", "50", NULL);
    a.waiting[MM_CLASS_ANSWER] = 3;
    mm_budget_pump(budget);
    ended = last - 1;
    answer(200, -1, "101", "3", NULL); /* of the third one */
    a.waiting[MM_CLASS_ANSWER] = 2;
    mm_budget_pump(budget);
    /* The other two may not be counted in the 3 that are left, and one is kept. */
    assert_int_equal(stats().in_flight, 2);
    ended = last - 3;
    answer(200, -1, "101", "4", NULL);
    mm_budget_pump(budget);
    assert_int_equal(stats().in_flight, 2);
    assert_int_equal(stats().waiting[MM_CLASS_ANSWER], 1);
}

static void a_lost_call_stops_nobody(void **state)
{
    const struct mw_http_response lost = {.error = -ETIMEDOUT, .retry_after_ms = -1};

    learn("1", "1", NULL);
    a.waiting[MM_CLASS_ANSWER] = 2;
    mm_budget_pump(budget);
    assert_string_equal(sent, "a:answers");
    mm_budget_ended(budget, last, &lost);
    mm_budget_pump(budget);
    uv_run(&loop, UV_RUN_DEFAULT); /* a second for the next one */
    assert_string_equal(sent, "a:answers a:answers");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_have_classes),
        TEST(without_a_limit_all_goes_in_order),
        TEST(two_clients_share_what_there_is),
        TEST(lower_classes_leave_something),
        TEST(a_tiny_limit_lets_everything_through),
        TEST(who_waited_for_long_takes_turns),
        TEST(nothing_goes_before_the_time_of_a_429),
        TEST(what_grows_is_waited_for),
        TEST(a_busy_or_broken_client_holds_up_nobody),
        TEST(a_limit_that_is_switched_off_is_forgotten),
        TEST(an_answer_that_was_overtaken_says_nothing),
        TEST(an_answer_does_not_speak_for_calls_that_it_overtook),
        TEST(a_lost_call_stops_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
