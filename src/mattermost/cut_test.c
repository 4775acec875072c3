/*
 * A session whose bytes are cut at each place in its turn: those of the WebSocket, in both
 * directions, and those of the REST answers. The owner gets every post all the same, in order.
 */
#include <sys/resource.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/test.h"
#include "io/test_relay.h"
#include "mattermost/session.h"
#include "mattermost/test_server.h"

#define POSTS 3

/* An owner behind a relay of its own. */
struct owner {
    struct test_relay relay;
    struct mm_client *client;
    struct mm_session *s;
    unsigned got; /* posts, in the order in which they were made */
    unsigned events;
};

static const char *const texts[POSTS] = {"one", "two", "three"};

static void on_event(struct mm_session *s, const struct mw_event *ev, bool observed,
                     int64_t deleted_at, void *userdata)
{
    struct owner *o = userdata;

    o->events++;
    if (ev->kind != MW_EVENT_POST || o->got >= POSTS)
        return;
    assert_string_equal(ev->user_name, "ada");
    if (mw_streq(ev->text, texts[o->got])) {
        o->got++;
        return;
    }
    /* The store refuses what it has; but nothing may be left out. */
    for (unsigned i = 0; i < o->got; i++) {
        if (mw_streq(ev->text, texts[i]))
            return;
    }
    fail_msg("'%s' came before '%s'", ev->text, texts[o->got]);
}

/* No memory of what it had: each catch-up looks behind the baseline. */
static int on_position(struct mm_session *s, const char *channel_id, struct mw_position *ret,
                       void *userdata)
{
    return 1;
}

static void on_covered(struct mm_session *s, const char *channel_id, int64_t seen_at,
                       const char *post_id, int64_t post_at, void *userdata)
{
}

static void on_state(struct mm_session *s, enum mm_session_state state, const char *reason,
                     void *userdata)
{
    /* Whatever is cut, it is no reason to believe that the token is bad. */
    assert_int_not_equal(state, MM_SESSION_UNAUTHORIZED);
}

static const struct mm_session_ops ops = {
    .on_event = on_event,
    .position = on_position,
    .covered = on_covered,
    .on_state = on_state,
};

static void open_owner(struct fake *f, struct owner *o, bool poll)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    MW_AUTOFREE char *endpoint = NULL;
    struct mm_client_params cp = {.token = "t"};
    struct mm_session_params p = {
        .bot = "test",
        .poll = poll,
        .poll_interval_ms = 20,
        .audit_interval_ms = -1,
        .reconnect_min_ms = 1,
        .refused_min_ms = 1,
        .baseline_ms = fake_now(f) - 100000,
        .ops = &ops,
        .userdata = o,
    };

    test_relay_open(&o->relay, &f->loop, f->port);
    endpoint = mw_asprintf("http://127.0.0.1:%d", o->relay.port);
    cp.endpoint = endpoint;
    if (mm_client_new(&f->loop, &cp, &o->client, &err))
        fail_msg("%s", mw_error_text(&err));
    p.client = o->client;
    if (mm_session_new(&f->loop, &p, &o->s, &err))
        fail_msg("%s", mw_error_text(&err));
    mm_session_start(o->s);
}

static void close_owner(struct fake *f, struct owner *o)
{
    mm_session_free(take_ptr(o->s));
    mm_client_free(take_ptr(o->client));
    test_relay_close(&o->relay);
    for (int i = 0; i < 10; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* One session over a WebSocket that is cut after n bytes; returns whether it was so long. */
static bool cut_socket(struct fake *f, size_t n, bool upstream)
{
    static struct owner o;
    unsigned connections = f->n_connections;

    o = (struct owner){
        .relay = {.only = "/api/v4/websocket", .upstream = upstream, .reset = n & 1, .cut_at = n}};
    fake_forget(f);
    f->n_posts = 0;
    fake_add(f, OPS, ADA, texts[0], fake_now(f) - 2000);
    open_owner(f, &o, false);
    /* The other two are said as soon as anybody listens. */
    FAKE_UNTIL(f, f->n_connections > connections || o.relay.cut);
    fake_say(f, OPS, ADA, texts[1], fake_now(f) - 1);
    fake_say(f, DEV, ADA, texts[2], fake_now(f));
    FAKE_UNTIL(f, o.got == POSTS);
    close_owner(f, &o);
    return o.relay.cut;
}

static void test_socket_down(void **state)
{
    size_t n = 0;

    while (cut_socket(*state, n, false))
        n++;
    print_message("cut at each of %zu bytes\n", n);
    assert_true(n > 500);
}

static void test_socket_up(void **state)
{
    size_t n = 0;

    while (cut_socket(*state, n, true))
        n++;
    print_message("cut at each of %zu bytes\n", n);
    assert_true(n > 100);
}

/* REST answers, of a session that polls. A call is tried again after a while, so many sessions wait
 * side by side. */
static void test_answers(void **state)
{
    enum { SIDE_BY_SIDE = 128 };
    static struct owner owners[SIDE_BY_SIDE];
    struct fake *f = *state;
    bool longer = true;
    size_t n = 0;

    fake_add(f, OPS, ADA, texts[0], fake_now(f) - 3000);
    fake_add(f, OPS, ADA, texts[1], fake_now(f) - 2000);
    fake_add(f, DEV, ADA, texts[2], fake_now(f) - 1000);
    while (longer) {
        unsigned missing = SIDE_BY_SIDE;

        for (size_t i = 0; i < SIDE_BY_SIDE; i++) {
            owners[i] = (struct owner){.relay = {.reset = n & 1, .cut_at = n}};
            open_owner(f, &owners[i], true);
            n++;
        }
        FAKE_UNTIL(f, ({
                       missing = 0;
                       for (size_t i = 0; i < SIDE_BY_SIDE; i++)
                           missing += owners[i].got < POSTS;
                       missing == 0;
                   }));
        for (size_t i = 0; i < SIDE_BY_SIDE; i++) {
            longer &= owners[i].relay.cut;
            close_owner(f, &owners[i]);
        }
    }
    print_message("cut at each of some %zu bytes\n", n);
    assert_true(n > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_socket_down, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_socket_up, fake_setup, fake_teardown),
        cmocka_unit_test_setup_teardown(test_answers, fake_setup, fake_teardown),
    };
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
