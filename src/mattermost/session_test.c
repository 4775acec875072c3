#include "mattermost/session.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/map.h"
#include "base/str.h"
#include "base/test.h"
#include "mattermost/test_server.h"

/* An owner that keeps what the store would keep. */
struct owner {
    struct fake *f;
    struct mm_session *s;
    struct mm_session_params p;
    struct mw_map positions, seen;
    char log[65536];   /* "kind:author/text " of what is new, in order */
    char states[1024]; /* names of the states */
    unsigned events, doubles, covered, waits;
    /* Frees the session in the n-th call of a callback; 0 = not. */
    unsigned free_at_event, free_at_covered, free_at_state, n_states;
};

static void free_session(struct owner *o)
{
    mm_session_free(take_ptr(o->s));
}

static void note(struct owner *o, char what, const struct mw_event *ev, int64_t revision)
{
    MW_AUTOFREE char *key = mw_asprintf("%c/%s/%lld", what, ev->object, (long long)revision);
    size_t n = strlen(o->log);

    if (*ev->object && mw_map_get(&o->seen, key)) {
        o->doubles++;
        return;
    }
    assert_int_equal(mw_map_put(&o->seen, key, o), 0);
    snprintf(o->log + n, sizeof(o->log) - n, "%c:%s/%s ", what, ev->user_name, ev->text);
}

static struct mw_position *position_of(struct owner *o, const char *channel_id)
{
    struct mw_position *p = mw_map_get(&o->positions, channel_id);

    if (!p) {
        p = calloc(1, sizeof(*p));
        assert_int_equal(mw_map_put(&o->positions, channel_id, p), 0);
    }
    return p;
}

static void advance(struct owner *o, const char *channel_id, int64_t seen_at, const char *post_id,
                    int64_t post_at, bool confirmed)
{
    struct mw_position *p = position_of(o, channel_id);

    if (!p->seen_at)
        p->from_at = confirmed ? post_at + 1 : post_at ? post_at : seen_at;
    p->confirmed =
        confirmed ? p->confirmed || seen_at >= p->seen_at : p->confirmed && seen_at <= p->seen_at;
    p->seen_at = MW_MAX(p->seen_at, seen_at);
    if (post_at > p->post_at) {
        p->post_at = post_at;
        snprintf(p->post_id, sizeof(p->post_id), "%s", post_id);
    }
}

static void on_event(struct mm_session *s, const struct mw_event *ev, bool observed,
                     int64_t deleted_at, void *userdata)
{
    static const char letters[] = "?pedrxcudUAR+-st";
    struct owner *o = userdata;

    o->events++;
    assert_string_equal(ev->bot, "test");
    if (ev->kind == MW_EVENT_POST) {
        note(o, 'p', ev, 0);
        if (observed && ev->revision)
            note(o, 'e', ev, ev->revision);
        if (observed && deleted_at)
            note(o, 'd', ev, 0);
    } else if (ev->kind != MW_EVENT_TYPING) {
        note(o, letters[ev->kind], ev, ev->kind == MW_EVENT_POST_DELETED ? 0 : ev->revision);
    }
    if (*ev->post_id)
        advance(o, ev->channel_id, ev->at, ev->post_id, ev->kind == MW_EVENT_POST ? ev->at : 0,
                false);
    if (o->free_at_event && --o->free_at_event == 0)
        free_session(o);
}

static int on_position(struct mm_session *s, const char *channel_id, struct mw_position *ret,
                       void *userdata)
{
    struct owner *o = userdata;
    const struct mw_position *p = mw_map_get(&o->positions, channel_id);

    if (!p)
        return 1;
    *ret = *p;
    return 0;
}

static void on_covered(struct mm_session *s, const char *channel_id, int64_t seen_at,
                       const char *post_id, int64_t post_at, void *userdata)
{
    struct owner *o = userdata;

    o->covered++;
    advance(o, channel_id, seen_at, post_id, post_at, true);
    if (o->free_at_covered && --o->free_at_covered == 0)
        free_session(o);
}

static void on_state(struct mm_session *s, enum mm_session_state state, const char *reason,
                     void *userdata)
{
    struct owner *o = userdata;
    size_t n = strlen(o->states);
    struct mm_session_stats st;

    mm_session_get_stats(s, &st);
    snprintf(o->states + n, sizeof(o->states) - n, "%s ", mm_session_state_name(state));
    o->n_states++;
    if (state == MM_SESSION_WAITING || state == MM_SESSION_UNAUTHORIZED) {
        /* Nothing is tried again before its time. */
        o->waits++;
        assert_true(st.next_try_at > 0);
        assert_non_null(reason);
    } else {
        assert_int_equal(st.next_try_at, 0);
    }
    if (o->free_at_state && o->n_states == o->free_at_state)
        free_session(o);
}

static const struct mm_session_ops ops = {
    .on_event = on_event, .position = on_position, .covered = on_covered, .on_state = on_state};

static int setup(void **state)
{
    struct owner *o = calloc(1, sizeof(*o));

    fake_setup((void **)&o->f);
    mw_map_init(&o->positions, free);
    mw_map_init(&o->seen, NULL);
    o->p = (struct mm_session_params){
        .client = o->f->client,
        .bot = "test",
        .poll_interval_ms = 1,
        .audit_interval_ms = -1,
        .reconnect_min_ms = 1,
        .refused_min_ms = 1,
        .ops = &ops,
        .userdata = o,
    };
    *state = o;
    return 0;
}

static int teardown(void **state)
{
    struct owner *o = *state;

    free_session(o);
    fake_teardown((void **)&o->f);
    mw_map_deinit(&o->positions);
    mw_map_deinit(&o->seen);
    free(o);
    return 0;
}

static struct mm_session_stats stats(const struct owner *o)
{
    struct mm_session_stats st;

    mm_session_get_stats(o->s, &st);
    return st;
}

static void begin(struct owner *o)
{
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (mm_session_new(&o->f->loop, &o->p, &o->s, &err))
        fail_msg("%s", mw_error_text(&err));
    mm_session_start(o->s);
}

static bool is(const struct owner *o, enum mm_session_state state)
{
    return stats(o).state == state;
}

/* Online and the catch-up behind it over. */
static void go_online(struct owner *o)
{
    begin(o);
    FAKE_UNTIL(o->f, is(o, MM_SESSION_ONLINE) && stats(o).synced_at);
}

static void expect(struct owner *o, const char *log)
{
    FAKE_UNTIL(o->f, strlen(o->log) >= strlen(log));
    assert_string_equal(o->log, log);
}

/* ---- Connections ---- */

static void test_fresh_start(void **state)
{
    struct owner *o = *state;

    fake_add(o->f, OPS, ADA, "long ago", fake_now(o->f) - 1000000);
    go_online(o);
    assert_string_equal(o->states, "connecting catching_up online ");
    fake_say(o->f, OPS, ADA, "one", fake_now(o->f));
    fake_say(o->f, DEV, BOB, "two", fake_now(o->f));
    expect(o, "p:ada/one p:bob/two ");
    assert_int_equal(o->covered, 2);
    assert_int_equal(o->f->users_asked, 2);
    assert_int_equal(stats(o).channels, 2);
    assert_int_equal(o->f->pages, 0);
}

static void test_resume(void **state)
{
    struct owner *o = *state;

    go_online(o);
    fake_say(o->f, OPS, ADA, "one", fake_now(o->f));
    expect(o, "p:ada/one ");
    /* With nothing missed the server says nothing. */
    fake_cut(o->f);
    FAKE_UNTIL(o->f, stats(o).resumes == 1);
    assert_true(is(o, MM_SESSION_ONLINE));
    fake_cut(o->f);
    fake_say(o->f, OPS, ADA, "two", fake_now(o->f));
    fake_say(o->f, OPS, BOB, "three", fake_now(o->f));
    expect(o, "p:ada/one p:ada/two p:bob/three ");
    FAKE_UNTIL(o->f, stats(o).resumes == 2);
    fake_say(o->f, OPS, BOB, "four", fake_now(o->f));
    expect(o, "p:ada/one p:ada/two p:bob/three p:bob/four ");
    assert_int_equal(o->doubles, 0);
    assert_int_equal(stats(o).catch_ups, 1);
    assert_int_equal(stats(o).sequence_gaps, 0);
}

static void test_resume_miss(void **state)
{
    struct owner *o = *state;

    go_online(o);
    fake_say(o->f, OPS, ADA, "one", fake_now(o->f));
    expect(o, "p:ada/one ");
    fake_forget(o->f);
    fake_say(o->f, OPS, ADA, "two", fake_now(o->f) + 1);
    fake_say(o->f, DEV, BOB, "three", fake_now(o->f) + 2);
    FAKE_UNTIL(o->f, stats(o).catch_ups == 2 && is(o, MM_SESSION_ONLINE));
    fake_say(o->f, OPS, BOB, "four", fake_now(o->f) + 3);
    expect(o, "p:ada/one p:ada/two p:bob/three p:bob/four ");
    assert_int_equal(stats(o).resume_misses, 1);
    assert_int_equal(o->f->resumes, 1);
    assert_int_equal(o->f->upgrades, 3);
}

static void test_no_connection_id(void **state)
{
    struct owner *o = *state;

    o->f->script = "ee";
    go_online(o);
    fake_cut(o->f);
    fake_say(o->f, OPS, ADA, "one", fake_now(o->f));
    expect(o, "p:ada/one ");
    assert_int_equal(o->f->resumes, 0);
    FAKE_UNTIL(o->f, is(o, MM_SESSION_ONLINE));
    assert_int_equal(stats(o).catch_ups, 2);
}

static void test_gap(void **state)
{
    struct owner *o = *state;

    go_online(o);
    fake_add(o->f, OPS, ADA, "lost", fake_now(o->f));
    o->f->seq += 3;
    fake_say(o->f, OPS, ADA, "after", fake_now(o->f) + 1);
    expect(o, "p:ada/lost p:ada/after ");
    assert_int_equal(stats(o).sequence_gaps, 1);
    assert_int_equal(o->f->resumes, 0);
}

static void test_malformed_frame(void **state)
{
    struct owner *o = *state;

    go_online(o);
    fake_add(o->f, OPS, ADA, "one", fake_now(o->f));
    fake_event(o->f, "posted", "{\"post\":\"{\"}", OPS, "");
    expect(o, "p:ada/one ");
    assert_int_equal(o->waits, 1);
}

/* Whatever the server does, each new try was waited for. */
static void storm(struct owner *o, const char *script, unsigned waits)
{
    o->f->script = script;
    go_online(o);
    assert_int_equal(o->waits, waits);
    assert_int_equal(o->f->upgrades, waits + 1);
}

static void test_hang_up_at_once(void **state)
{
    storm(*state, "xxxxxxxx", 8);
}

static void test_doubled_hello(void **state)
{
    storm(*state, "dddd", 4);
}

static void test_event_before_hello(void **state)
{
    storm(*state, "nn", 2);
}

static void test_proxy_refuses(void **state)
{
    storm(*state, "22h2", 4);
}

static void test_no_hello(void **state)
{
    struct owner *o = *state;

    o->p.hello_timeout_ms = 50;
    storm(o, "ss", 2);
    /* The token may be the cause: it is looked at. */
    assert_int_equal(o->f->me, 3);
}

static void test_upgrade_401(void **state)
{
    struct owner *o = *state;

    /* A session that ended is renewed by signing in; after that it is a refusal. */
    storm(o, "11", 2);
    assert_int_equal(o->f->me, 3);
    assert_string_equal(o->states, "connecting waiting connecting unauthorized connecting "
                                   "catching_up online ");
}

static void test_upgrade_403(void **state)
{
    struct owner *o = *state;

    storm(o, "3", 1);
    assert_non_null(strstr(o->states, "unauthorized"));
}

static void test_retry_after_has_a_bound(void **state)
{
    struct owner *o = *state;

    o->f->script = "l";
    begin(o);
    FAKE_UNTIL(o->f, is(o, MM_SESSION_WAITING));
    assert_in_range(stats(o).next_try_at, 1, mw_clock_now() + 600 * 1000);
}

static void test_sign_in_401(void **state)
{
    struct owner *o = *state;

    o->f->me_status = 401;
    begin(o);
    FAKE_UNTIL(o->f, o->f->me == 3);
    assert_int_equal(o->f->upgrades, 0);
    assert_non_null(strstr(o->states, "unauthorized"));
    o->f->me_status = 0;
    FAKE_UNTIL(o->f, is(o, MM_SESSION_ONLINE));
}

/* Who we are is what keeps the bot from answering itself. */
static void test_another_account(void **state)
{
    struct owner *o = *state;

    go_online(o);
    o->f->me_id = ADA;
    fake_forget(o->f);
    FAKE_UNTIL(o->f, o->f->me >= 3);
    assert_false(is(o, MM_SESSION_ONLINE));
    assert_string_equal(mm_client_user_id(o->f->client), BOT);
    fake_say(o->f, OPS, BOB, "one", fake_now(o->f));
    o->f->me_id = NULL;
    expect(o, "p:bob/one ");
}

static void test_token_revoked(void **state)
{
    struct owner *o = *state;

    o->p.audit_interval_ms = 1;
    go_online(o);
    o->f->list_status = o->f->me_status = 401;
    FAKE_UNTIL(o->f, is(o, MM_SESSION_UNAUTHORIZED));
    fake_forget(o->f);
    fake_say(o->f, OPS, ADA, "one", fake_now(o->f));
    o->f->list_status = o->f->me_status = 0;
    expect(o, "p:ada/one ");
}

/* The real server lets a bad token in and ends the connection after 5 s without a word. */
static void test_token_revoked_between_connections(void **state)
{
    struct owner *o = *state;

    go_online(o);
    o->f->script = "xxxx";
    o->f->me_status = 401;
    fake_forget(o->f);
    fake_cut(o->f);
    FAKE_UNTIL(o->f, is(o, MM_SESSION_UNAUTHORIZED));
    o->f->me_status = 0;
    FAKE_UNTIL(o->f, is(o, MM_SESSION_ONLINE));
}

static void test_resume_without_rights(void **state)
{
    struct owner *o = *state;

    go_online(o);
    o->f->refuse_actions = true;
    fake_cut(o->f);
    FAKE_UNTIL(o->f, stats(o).catch_ups == 2);
    assert_int_equal(stats(o).resumes, 0);
    assert_int_equal(stats(o).resume_misses, 1);
    assert_int_equal(o->f->me, 2);
}

/* ---- What is given ---- */

static void test_edits_and_deletes_in_the_gap(void **state)
{
    struct owner *o = *state;
    struct fake_post *a, *b;
    int64_t now = fake_now(o->f);

    go_online(o);
    a = fake_say(o->f, OPS, ADA, "a", now);
    b = fake_say(o->f, OPS, ADA, "b", now + 1);
    expect(o, "p:ada/a p:ada/b ");
    fake_forget(o->f);
    fake_edit(o->f, a, "A", now + 2);
    b->delete_at = b->update_at = now + 3;
    expect(o, "p:ada/a p:ada/b e:ada/A d:ada/b ");
    FAKE_UNTIL(o->f, is(o, MM_SESSION_ONLINE) && stats(o).synced_at > 0);
    fake_say(o->f, OPS, ADA, "c", now + 4);
    /* The row of the edit's history is no post. */
    expect(o, "p:ada/a p:ada/b e:ada/A d:ada/b p:ada/c ");
}

static void test_restart(void **state)
{
    struct owner *o = *state;
    int64_t now = fake_now(o->f);

    go_online(o);
    fake_say(o->f, OPS, ADA, "a", now);
    expect(o, "p:ada/a ");
    o->p.baseline_ms = stats(o).synced_at;
    free_session(o);
    fake_forget(o->f);
    fake_say(o->f, OPS, BOB, "b", now + 2);
    fake_say(o->f, DEV, ADA, "c", now + 1);
    fake_channel(o->f, "dmdmdmdmdmdmdmdmdmdmdmdmdm", "x__y", "D");
    fake_say(o->f, "dmdmdmdmdmdmdmdmdmdmdmdmdm", ADA, "d", now + 3);
    go_online(o);
    /* Merged over channels, and the new direct message is seen. */
    expect(o, "p:ada/a p:ada/c p:bob/b p:ada/d ");
}

static void test_unknown_author(void **state)
{
    struct owner *o = *state;

    go_online(o);
    o->f->say_first = "three";
    fake_say(o->f, OPS, "zedzedzedzedzedzedzedzedze", "one", fake_now(o->f));
    fake_say(o->f, OPS, ADA, "two", fake_now(o->f));
    expect(o, "p:/one p:ada/two p:bob/three ");
    fake_say(o->f, OPS, "zedzedzedzedzedzedzedzedze", "four", fake_now(o->f));
    expect(o, "p:/one p:ada/two p:bob/three p:/four ");
    assert_int_equal(o->f->users_asked, 3);
}

static void test_added_to_a_channel(void **state)
{
    struct owner *o = *state;
    int64_t now = fake_now(o->f);
    static const char new_one[] = "newnewnewnewnewnewnewnewne", dm[] = "dmdmdmdmdmdmdmdmdmdmdmdmdm";

    go_online(o);
    fake_channel(o->f, new_one, "new", "O");
    fake_add(o->f, new_one, ADA, "old", now - 100000);
    fake_add(o->f, new_one, ADA, "hi bot", now);
    fake_event(o->f, "user_added", "{\"user_id\":\"" BOT "\",\"team_id\":\"" TEAM "\"}", new_one,
               "");
    fake_event(o->f, "user_added", "{\"user_id\":\"" BOT "\",\"team_id\":\"" TEAM "\"}", new_one,
               BOT);
    FAKE_UNTIL(o->f, strstr(o->log, "hi bot"));
    assert_null(strstr(o->log, "old"));
    fake_channel(o->f, dm, "x__y", "D");
    fake_add(o->f, dm, ADA, "psst", now);
    fake_event(o->f, "direct_added", "{\"teammate_id\":\"" BOT "\"}", dm, "");
    FAKE_UNTIL(o->f, strstr(o->log, "psst"));
    assert_true(is(o, MM_SESSION_ONLINE));
    assert_int_equal(o->waits, 0);
}

static void test_pause(void **state)
{
    struct owner *o = *state;

    go_online(o);
    mm_session_pause(o->s);
    fake_say(o->f, OPS, ADA, "one", fake_now(o->f));
    fake_say(o->f, OPS, ADA, "two", fake_now(o->f));
    fake_event(o->f, "typing", "{\"user_id\":\"" ADA "\",\"parent_id\":\"\"}", OPS, "");
    FAKE_UNTIL(o->f, stats(o).frames >= 4);
    assert_string_equal(o->log, "");
    mm_session_resume(o->s);
    expect(o, "p:ada/one p:ada/two ");
    assert_int_equal(stats(o).events, 2);
}

/* Says one thing after the other: a post that an audit finds at once is not overdue. */
static bool noticed_deafness(struct owner *o)
{
    if (o->waits == 0 && strlen(o->log) >= 14 * o->f->n_posts)
        fake_add(o->f, OPS, ADA, "unheard",
                 MW_MAX(mm_client_server_now(o->f->client),
                        o->f->n_posts ? o->f->posts[o->f->n_posts - 1].create_at + 1 : 0));
    return o->waits > 0;
}

static void test_deaf_socket(void **state)
{
    struct owner *o = *state;

    o->p.audit_interval_ms = 1;
    o->p.overdue_ms = 1;
    go_online(o);
    o->f->mute = true;
    FAKE_UNTIL(o->f, noticed_deafness(o));
    assert_non_null(strstr(o->log, "p:ada/unheard "));
    assert_int_equal(o->f->resumes, 0);
    o->f->mute = false;
    FAKE_UNTIL(o->f, is(o, MM_SESSION_ONLINE));
}

static void test_free_in_callbacks(void **state)
{
    struct owner *o = *state;

    fake_add(o->f, OPS, ADA, "one", fake_now(o->f));
    o->p.baseline_ms = fake_now(o->f) - 10000;
    for (unsigned n = 1; n <= 3; n++) {
        o->n_states = 0;
        o->free_at_state = n;
        begin(o);
        FAKE_UNTIL(o->f, !o->s);
    }
    o->free_at_state = 0;
    o->free_at_covered = 1;
    begin(o);
    FAKE_UNTIL(o->f, !o->s);
    o->free_at_event = 1;
    begin(o);
    FAKE_UNTIL(o->f, !o->s);
    go_online(o);
    o->free_at_event = 1;
    fake_say(o->f, OPS, ADA, "two", fake_now(o->f));
    fake_say(o->f, OPS, ADA, "three", fake_now(o->f));
    FAKE_UNTIL(o->f, !o->s);
    assert_null(strstr(o->log, "three"));
    /* In the state that a lost connection brings, and in the one of a resume. */
    for (unsigned n = 4; n <= 6; n++) {
        o->n_states = 0;
        o->free_at_state = 0;
        go_online(o);
        o->free_at_state = n;
        fake_cut(o->f);
        fake_say(o->f, OPS, ADA, "four", fake_now(o->f));
        FAKE_UNTIL(o->f, !o->s);
    }
}

/* ---- Typing ---- */

static void test_typing(void **state)
{
    struct owner *o = *state;

    go_online(o);
    mm_session_typing(o->s, OPS, "root\"");
    FAKE_UNTIL(o->f, *o->f->last_action);
    assert_string_equal(o->f->last_action,
                        "{\"seq\":1,\"action\":\"user_typing\",\"data\":{"
                        "\"channel_id\":\"" OPS "\",\"parent_id\":\"root\\\"\"}}");
    mm_session_typing(o->s, OPS, "root\""); /* too soon */
    mm_session_typing(o->s, OPS, "");
    FAKE_UNTIL(o->f, strstr(o->f->last_action, "\"parent_id\":\"\""));
    assert_non_null(strstr(o->f->last_action, "\"seq\":2,"));
}

/* ---- Polling ---- */

static void test_poll(void **state)
{
    struct owner *o = *state;
    int64_t now = fake_now(o->f);

    o->p.poll = true;
    go_online(o);
    fake_add(o->f, OPS, ADA, "one", now + 5);
    fake_add(o->f, OPS, BOB, "two", now + 5);
    expect(o, "p:ada/one p:bob/two ");
    /* In the same millisecond as the newest one that is known. */
    fake_add(o->f, OPS, BOB, "three", now + 5);
    expect(o, "p:ada/one p:bob/two p:bob/three ");
    o->f->posts[0].delete_at = o->f->posts[0].update_at = now + 6;
    expect(o, "p:ada/one p:bob/two p:bob/three d:ada/one ");
    assert_int_equal(o->f->upgrades, 0);
    mm_session_typing(o->s, OPS, "");
    FAKE_UNTIL(o->f, o->f->typings == 1);
    free_session(o);
}

static void test_poll_does_not_refetch(void **state)
{
    struct owner *o = *state;
    int64_t hour_ago = fake_now(o->f) - 3600 * 1000;
    unsigned pages, lists;

    /* The server's last_post_at stays above the newest post for good. */
    fake_add(o->f, OPS, ADA, "one", hour_ago);
    fake_channel(o->f, OPS, NULL, NULL)->last_post_at = hour_ago + 1000;
    advance(o, OPS, hour_ago, o->f->posts[0].id, hour_ago, true);
    o->p.poll = true;
    o->p.baseline_ms = hour_ago + 2000;
    go_online(o);
    pages = o->f->pages;
    lists = o->f->lists;
    FAKE_UNTIL(o->f, o->f->lists >= lists + 5);
    assert_int_equal(o->f->pages, pages);
}

static void test_poll_recovers(void **state)
{
    struct owner *o = *state;

    o->p.poll = true;
    go_online(o);
    o->f->list_status = 401;
    FAKE_UNTIL(o->f, is(o, MM_SESSION_UNAUTHORIZED));
    fake_add(o->f, OPS, ADA, "one", fake_now(o->f));
    o->f->list_status = 0;
    expect(o, "p:ada/one ");
    FAKE_UNTIL(o->f, is(o, MM_SESSION_ONLINE));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_fresh_start),
        TEST(test_resume),
        TEST(test_resume_miss),
        TEST(test_no_connection_id),
        TEST(test_gap),
        TEST(test_malformed_frame),
        TEST(test_hang_up_at_once),
        TEST(test_doubled_hello),
        TEST(test_event_before_hello),
        TEST(test_proxy_refuses),
        TEST(test_no_hello),
        TEST(test_upgrade_401),
        TEST(test_upgrade_403),
        TEST(test_retry_after_has_a_bound),
        TEST(test_sign_in_401),
        TEST(test_another_account),
        TEST(test_token_revoked),
        TEST(test_token_revoked_between_connections),
        TEST(test_resume_without_rights),
        TEST(test_edits_and_deletes_in_the_gap),
        TEST(test_restart),
        TEST(test_unknown_author),
        TEST(test_added_to_a_channel),
        TEST(test_pause),
        TEST(test_deaf_socket),
        TEST(test_free_in_callbacks),
        TEST(test_typing),
        TEST(test_poll),
        TEST(test_poll_does_not_refetch),
        TEST(test_poll_recovers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
