/* The recorded resumes of a real server, given to a session: the sockets come in the order in which
 * they were recorded, each with its frames. See tests/recordings/README.md. */
#include "base/str.h"
#include "base/test.h"
#include "mattermost/session.h"
#include "mattermost/test_server.h"

enum { SOCKETS = 5, FRAMES = 16 };

struct replay {
    struct fake *f;
    struct mm_session *s;
    struct {
        cJSON *lines[FRAMES]; /* owned */
        const char *texts[FRAMES];
        unsigned n;
        bool closed; /* by the server, without a frame */
    } sockets[SOCKETS];
    unsigned at; /* the next socket */
    char asked[SOCKETS][64];
    char log[2048]; /* texts of the posts, "a|b|" */
    unsigned online;
};

static void on_event(struct mm_session *s, const struct mw_event *ev, bool observed,
                     int64_t deleted_at, void *userdata)
{
    struct replay *r = userdata;
    size_t n = strlen(r->log);

    if (ev->kind == MW_EVENT_POST && !(ev->flags & MW_EVENT_SYSTEM))
        snprintf(r->log + n, sizeof(r->log) - n, "%s|", ev->text);
}

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
    ((struct replay *)userdata)->online += state == MM_SESSION_ONLINE;
}

static const struct mm_session_ops ops = {
    .on_event = on_event, .position = on_position, .covered = on_covered, .on_state = on_state};

/* The server's side of the next recorded socket; when there are no more, the usual one. */
static bool play(struct fake *f, const char *connection_id, int64_t sequence_number)
{
    struct replay *r = f->userdata;
    unsigned at = r->at;

    if (at == SOCKETS)
        return false;
    r->at++;
    snprintf(r->asked[at], sizeof(r->asked[at]), "%s %lld", connection_id,
             (long long)sequence_number);
    for (unsigned i = 0; i < r->sockets[at].n; i++) {
        const char *text = r->sockets[at].texts[i];

        assert_true(mw_ws_send_text(f->ws, text, strlen(text)) >= 0);
    }
    if (r->sockets[at].closed)
        fake_cut(f);
    return true;
}

static void load(struct replay *r)
{
    FILE *file = fopen(RECORDINGS "/5.37-websocket-resume.ndjson", "r");
    MW_AUTOFREE char *line = NULL;
    size_t cap = 0;

    assert_non_null(file);
    while (getline(&line, &cap, file) > 0) {
        cJSON *json = NULL;
        unsigned socket;
        const char *text;

        assert_int_equal(mw_json_parse(line, strlen(line), &json, NULL), 0);
        socket = (unsigned)mw_json_i64(json, "socket", 0) - 1;
        assert_true(socket < SOCKETS);
        text = mw_json_str(json, "text");
        r->sockets[socket].closed |= mw_json_bool(json, "tcp_closed");
        if (!text || !mw_streq(mw_json_str(json, "dir"), "S")) {
            cJSON_Delete(json);
            continue;
        }
        assert_true(r->sockets[socket].n < FRAMES);
        r->sockets[socket].lines[r->sockets[socket].n] = json;
        r->sockets[socket].texts[r->sockets[socket].n++] = text;
    }
    fclose(file);
}

static int setup(void **state)
{
    struct replay *r = calloc(1, sizeof(*r));

    load(r);
    fake_setup((void **)&r->f);
    r->f->on_socket = play;
    r->f->userdata = r;
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct replay *r = *state;

    mm_session_free(r->s);
    fake_teardown((void **)&r->f);
    for (unsigned i = 0; i < SOCKETS; i++)
        for (unsigned j = 0; j < r->sockets[i].n; j++)
            cJSON_Delete(r->sockets[i].lines[j]);
    free(r);
    return 0;
}

static struct mm_session_stats stats(const struct replay *r)
{
    struct mm_session_stats st;

    mm_session_get_stats(r->s, &st);
    return st;
}

static unsigned times(const char *log, const char *text)
{
    unsigned n = 0;

    for (const char *p = log; (p = strstr(p, text)); p += strlen(text))
        n++;
    return n;
}

static void test_resume(void **state)
{
    struct replay *r = *state;
    const struct mm_session_params p = {
        .client = r->f->client,
        .bot = "test",
        .audit_interval_ms = -1,
        .reconnect_min_ms = 1,
        .refused_min_ms = 1,
        .ops = &ops,
        .userdata = r,
    };

    assert_int_equal(mm_session_new(&r->f->loop, &p, &r->s, NULL), 0);
    mm_session_start(r->s);
    FAKE_UNTIL(r->f, r->online == 1 && strstr(r->log, "m1|"));
    assert_string_equal(r->asked[0], " 0");

    /* Asked for as it was then; all that was missed comes, once, and what came later. */
    fake_cut(r->f);
    FAKE_UNTIL(r->f, strstr(r->log, "after|"));
    assert_string_equal(r->asked[1], "dsppnof5tibxxryotf9mq3383h 4");
    assert_string_equal(r->log, "m1|missed 1|missed 2|after|");
    assert_int_equal(stats(r).resumes, 1);
    assert_int_equal(stats(r).catch_ups, 1);

    /* Two hellos: it cannot go on. The session begins anew and catches up instead of believing
     * a stream that says everything twice. */
    fake_cut(r->f);
    FAKE_UNTIL(r->f, r->at >= 4 && stats(r).catch_ups == 2 && stats(r).state == MM_SESSION_ONLINE);
    assert_string_equal(r->asked[2], "dsppnof5tibxxryotf9mq3383h 9");
    assert_string_equal(r->asked[3], " 0");
    assert_int_equal(stats(r).resume_misses, 1);
    assert_true(times(r->log, "seen twice|") <= 2); /* two posts have this text */
    assert_int_equal(stats(r).sequence_gaps, 0);

    /* Taken, then closed without a word: tried again until there is a hello. */
    fake_cut(r->f);
    FAKE_UNTIL(r->f,
               r->at == SOCKETS && stats(r).state == MM_SESSION_ONLINE && r->f->n_connections > 0);
    assert_string_equal(r->asked[4], "7k74xkwwbi8f8c3unbmeo3dnjc 2");
    fake_say(r->f, OPS, ADA, "at last", fake_now(r->f));
    FAKE_UNTIL(r->f, strstr(r->log, "at last|"));
    assert_int_equal(times(r->log, "missed 1|"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
    };

    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
