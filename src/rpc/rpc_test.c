/* The server over a real socket, on a gateway that is played here. */
#include "base/test.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "rpc/message.h"
#include "rpc/methods.h"
#include "rpc/rpc.h"
#include "rpc/rpc_test_gateway.h"

/* ---- The client of the test ---- */

struct fixture {
    uv_loop_t loop;
    struct gw gw;
    struct rpc_server *server;
    char dir[64], path[128];
    int fd;
    struct mw_buf in;
    struct gw_problems *problems;
};

static int reload(struct gw_problems *problems, struct mw_error *err, void *userdata)
{
    static struct gw_problem bad = {3, 5, NULL};

    bad.message = strdup("unknown key `x`");
    problems->items = malloc(sizeof(bad));
    assert_non_null(problems->items);
    problems->items[0] = bad;
    problems->n = 1;
    return 1;
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static int start(struct fixture *f, struct rpc_server **ret, struct mw_error *err)
{
    return rpc_server_new(&f->loop,
                          &(struct rpc_params){.path = f->path,
                                               .gw = &f->gw,
                                               .max_line = 4096,
                                               .max_clients = 3,
                                               .max_requests = 2,
                                               .reload = reload},
                          ret, err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/matterwire-rpc-XXXXXX");
    if (!mkdtemp(f->dir) || uv_loop_init(&f->loop) < 0)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/run/socket", f->dir);
    f->gw.config.path = strdup("/etc/x.yaml");
    if (start(f, &f->server, NULL) < 0)
        return -1;
    f->fd = connect_to(f->path);
    mw_buf_init(&f->in, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char folder[128];

    close(f->fd);
    rpc_server_free(f->server);
    /* Calls may end after the server. */
    while (f->gw.n_waiting)
        send_ends(&f->gw, GW_OK, "{}");
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    assert_int_equal(access(f->path, F_OK), -1);
    snprintf(folder, sizeof(folder), "%s/run", f->dir);
    rmdir(folder);
    rmdir(f->dir);
    mw_buf_deinit(&f->in);
    free(f->gw.sent_text);
    free(f->gw.sent_channel);
    free(f->gw.sent_root);
    free(f->gw.config.path);
    free(f);
    return 0;
}

static void say_to(struct fixture *f, int fd, const char *text)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static void say(struct fixture *f, const char *text)
{
    say_to(f, f->fd, text);
    say_to(f, f->fd, "\n");
}

/* The next line from the server; NULL at the end of the connection. Freed by the caller. */
static char *hear(struct fixture *f)
{
    for (;;) {
        char *end = f->in.len ? memchr(f->in.data, '\n', f->in.len) : NULL;
        char chunk[65536];
        ssize_t n;

        if (end) {
            char *line = strndup(f->in.data, (size_t)(end - f->in.data));

            mw_buf_consume(&f->in, (size_t)(end - f->in.data) + 1);
            return line;
        }
        n = recv(f->fd, chunk, sizeof(chunk), 0);
        if (n == 0)
            return NULL;
        if (n > 0)
            assert_int_equal(mw_buf_append(&f->in, chunk, (size_t)n), 0);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
}

static void expect(struct fixture *f, const char *want)
{
    MW_AUTOFREE char *line = hear(f);

    assert_non_null(line);
    assert_string_equal(line, want);
}

static void expect_part(struct fixture *f, const char *want)
{
    MW_AUTOFREE char *line = hear(f);

    assert_non_null(line);
    if (!strstr(line, want))
        fail_msg("%s\nlacks %s", line, want);
}

/* Lets the server do all it can. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 20; i++)
        uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* ---- Tests ---- */

static void test_answers(void **state)
{
    struct fixture *f = *state;

    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bots\"}");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[{\"name\":\"helper\"}]}");
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":\"two\",\"method\":\"ping\",\"params\":null}\r");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":\"two\",\"result\":{}}");
    /* A notification has no answer, also when it is wrong; an empty line is nothing. */
    say(f, "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}\n\n{\"jsonrpc\":\"2.0\",\"method\":\"x\"}");
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"status\"}");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"version\":\"x\"}}");
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"rpc.methods\"}");
    expect_part(f, "\"name\":\"stream.credit\"");
}

static void test_mistakes(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line, *answer;
    } rows[] = {
        {"not json", "\"id\":null,\"error\":{\"code\":-32700,"},
        {"[]", "\"code\":-32600,\"message\":\"a request is one object a line"},
        {"{\"id\":5}", "\"id\":5,\"error\":{\"code\":-32600,\"message\":\"`jsonrpc` must be"},
        {"{\"jsonrpc\":\"2.0\",\"id\":{}}", "`id` must be a string"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}", "`method` must be"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[1]}",
         "parameters go by name"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stauts\"}",
         "\"code\":-32601,\"message\":\"there is no method \\\"stauts\\\"; did you mean "
         "\\\"status\\\"?\",\"data\":{\"reason\":\"unknown_method\"}"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"chanel\":\"x\"}}",
         "\"code\":-32602,\"message\":\"unknown parameter `chanel`; did you mean "
         "`channel`?\",\"data\":{\"param\":\"chanel\",\"reason\":\"bad_params\"}"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"text\":1}}",
         "`text` must be of type string"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"text\":\"x\"}}",
         "`send` needs `channel`"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"channel\":\"x\"}}",
         "`text` is empty"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"channel\":\"x\","
         "\"files\":[\"a\"]}}",
         "absolute paths"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"channel\":\"x\","
         "\"text\":\"x\",\"bot\":\"nobody\"}}",
         "\"code\":-32001,\"message\":\"there is no bot"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"reply\",\"params\":{\"text\":\"x\"}}",
         "`reply` needs the parameter `post`"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"limit\":0}}",
         "`limit` must be between 1 and 10000"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"limit\":1.5}}",
         "`limit` must be of type integer"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"since\":\"soon\"}}",
         "`since` must be a time"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"kinds\":[\"pots\"]}}",
         "did you mean \\\"post\\\"?"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"kinds\":[1]}}",
         "array of strings"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"thread\":\"x\"}}",
         "post's id or permalink"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"channel\":\"x\"}}",
         "\"code\":-32001,\"message\":\"there is no channel"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stream.credit\",\"params\":{\"subscription\":"
         "9,"
         "\"n\":1}}",
         "no such subscription"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"reload\"}",
         "\"code\":-32006,\"message\":\"/etc/x.yaml has 1 mistake; nothing was "
         "changed\",\"data\":{\"path\":\"/etc/x.yaml\",\"problems\":[{\"line\":3,\"column\":5,"
         "\"message\":\"unknown key `x`\"}],\"reason\":\"bad_config\"}"},
    };

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        say(f, rows[i].line);
        expect_part(f, rows[i].answer);
    }
}

static void test_send(void **state)
{
    struct fixture *f = *state;

    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"channel\":\"town\","
           "\"text\":\"Hello\"}}");
    /* Another one is answered meanwhile. */
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
    assert_string_equal(f->gw.sent_text, "Hello");
    assert_string_equal(f->gw.sent_channel, "town");
    assert_null(f->gw.sent_root);
    send_ends(&f->gw, GW_OK, "{\"post_id\":\"p\"}");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"post_id\":\"p\"}}");

    say(f, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"reply\",\"params\":{\"post\":\"r\","
           "\"text\":\"Hi\"}}");
    settle(f);
    assert_string_equal(f->gw.sent_root, "r");
    send_ends(&f->gw, GW_OFFLINE, "not connected");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":-32003,\"message\":\"not "
              "connected\",\"data\":{\"reason\":\"offline\"}}}");
}

static void test_request_limit(void **state)
{
    struct fixture *f = *state;
    const char *send_line = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{"
                            "\"channel\":\"town\",\"text\":\"Hello\"}}";

    say(f, send_line);
    settle(f);
    say(f, send_line);
    say(f, send_line);
    settle(f);
    assert_int_equal(f->gw.sends, 2); /* the third one waits */
    send_ends(&f->gw, GW_OK, "{}");
    settle(f);
    assert_int_equal(f->gw.sends, 3);
    expect_part(f, "\"result\"");
}

static void test_client_goes(void **state)
{
    struct fixture *f = *state;

    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"channel\":\"town\","
           "\"text\":\"Hello\"}}");
    settle(f);
    close(f->fd);
    settle(f);
    /* Nobody is there to hear it. */
    send_ends(&f->gw, GW_OK, "{}");
    f->fd = connect_to(f->path);
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
    expect_part(f, "\"result\"");
}

/* `echo ... | socat` ends its side at once, with or without a newline. */
static void test_client_says_no_more(void **state)
{
    struct fixture *f = *state;

    say_to(f, f->fd,
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"send\",\"params\":{\"channel\":\"town\","
           "\"text\":\"Hello\"}}");
    assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
    settle(f);
    assert_int_equal(f->gw.sends, 1);
    send_ends(&f->gw, GW_OK, "{\"post_id\":\"p\"}");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"post_id\":\"p\"}}");
    assert_null(hear(f));
}

/* A subscription goes on until the client is gone. */
static void test_subscriber_says_no_more(void **state)
{
    struct fixture *f = *state;

    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stream\",\"params\":{\"credit\":5}}");
    expect_part(f, "\"subscription\":1");
    assert_int_equal(shutdown(f->fd, SHUT_WR), 0);
    settle(f);
    assert_non_null(f->gw.consumer);
    close(f->fd);
    settle(f);
    assert_null(f->gw.consumer);
    f->fd = connect_to(f->path);
}

/* What a client says that uses most of the protocol; {} are the answers that it gets. */
static const char session_text[] =
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"bots\"}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"send\",\"params\":{\"channel\":\"town\","
    "\"text\":\"Hi\"}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"stream\",\"params\":{\"consumer\":\"c\","
    "\"after\":0,\"credit\":3}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"stream.ack\",\"params\":{\"subscription\":1,"
    "\"id\":1}}\n";

/* The client is gone, by a reset or in order; the server forgot it, and serves others. */
static void leave_and_check(struct fixture *f, int fd, bool reset)
{
    const struct linger hard = {.l_onoff = 1};

    if (reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
    settle(f);
    while (f->gw.n_waiting)
        send_ends(&f->gw, GW_OK, "{}");
    settle(f);
    assert_null(f->gw.consumer);
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{}}");
}

/* Clients that die at each byte of what they say. A whole request is done once, half a one never.
 */
static void test_cut_requests(void **state)
{
    struct fixture *f = *state;
    const char *send_end = strstr(session_text, "\"Hi\"}}\n") + strlen("\"Hi\"}}");

    f->gw.n_events = 3;
    for (size_t n = 0; n < sizeof(session_text); n++) {
        unsigned before = f->gw.sends;
        int fd = connect_to(f->path);

        assert_int_equal(send(fd, session_text, n, MSG_NOSIGNAL), n);
        settle(f);
        leave_and_check(f, fd, n & 1);
        /* A last line without its end counts when the client ended its side in order. */
        if (session_text + n > send_end)
            assert_int_equal(f->gw.sends, before + 1);
        else if (session_text + n < send_end)
            assert_int_equal(f->gw.sends, before);
    }
}

/* Clients that die after each byte of what they are told. */
static void test_cut_answers(void **state)
{
    struct fixture *f = *state;
    bool more = true;
    size_t n = 0;

    f->gw.n_events = 3;
    for (; more; n++) {
        int fd = connect_to(f->path), quiet = 0;
        size_t got = 0;
        char chunk[4096];

        assert_true(n < sizeof(chunk));
        say_to(f, fd, session_text);
        while (got < n && quiet < 50) {
            ssize_t k = recv(fd, chunk, n - got, 0);

            quiet = k > 0 ? 0 : quiet + 1;
            got += k > 0 ? (size_t)k : 0;
            uv_run(&f->loop, UV_RUN_NOWAIT);
            if (f->gw.n_waiting && got > 20)
                send_ends(&f->gw, GW_OK, "{}");
        }
        more = got == n;
        leave_and_check(f, fd, n & 1);
    }
    assert_true(n > 500);
}

static void test_line_limit(void **state)
{
    struct fixture *f = *state;
    char line[5000];

    memset(line, ' ', sizeof(line));
    line[sizeof(line) - 1] = 0;
    say_to(f, f->fd, line);
    expect_part(f, "a line may have 4096 bytes at the most");
    assert_null(hear(f));
}

static void test_client_limit(void **state)
{
    struct fixture *f = *state;
    int fds[3], more;

    /* One is connected already; the fourth waits until one goes. */
    for (int i = 0; i < 3; i++)
        fds[i] = connect_to(f->path);
    settle(f);
    more = f->fd;
    f->fd = fds[2];
    say_to(f, f->fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
    settle(f);
    assert_int_equal(recv(f->fd, &(char){0}, 1, MSG_PEEK), -1);
    close(fds[0]);
    expect_part(f, "\"result\"");
    close(fds[1]);
    close(more);
}

static void test_history(void **state)
{
    struct fixture *f = *state;

    f->gw.n_events = 5;
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"limit\":2}}");
    {
        MW_AUTOFREE char *line = hear(f);
        MW_AUTOJSON *answer = cJSON_Parse(line);
        const cJSON *result = mw_json_obj(answer, "result"),
                    *events = mw_json_arr(result, "events");

        assert_int_equal(cJSON_GetArraySize(events), 2);
        assert_int_equal(mw_json_i64(cJSON_GetArrayItem(events, 0), "id", 0), 4);
        assert_int_equal(mw_json_i64(cJSON_GetArrayItem(events, 1), "id", 0), 5);
        assert_true(mw_json_bool(result, "more"));
    }
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"history\",\"params\":{\"before\":4,"
           "\"limit\":3}}");
    expect_part(f, "],\"more\":false}");
}

static void test_stream_credit(void **state)
{
    struct fixture *f = *state;

    f->gw.n_events = 5;
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stream\",\"params\":{\"after\":0,"
           "\"credit\":2}}");
    expect(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"subscription\":1,\"after\":0}}");
    expect_part(f, "\"method\":\"event\",\"params\":{\"subscription\":1,\"event\":{\"id\":1,");
    expect_part(f, "\"event\":{\"id\":2,");
    settle(f);
    assert_int_equal(f->gw.reads, 2);
    say(f, "{\"jsonrpc\":\"2.0\",\"method\":\"stream.credit\",\"params\":{\"subscription\":1,"
           "\"n\":10}}");
    expect_part(f, "\"event\":{\"id\":3,");
    expect_part(f, "\"event\":{\"id\":4,");
    expect_part(f, "\"event\":{\"id\":5,");
    /* More come when there are more. */
    f->gw.n_events = 6;
    f->gw.consumer->params.on_ready(f->gw.consumer, f->gw.consumer->params.userdata);
    expect_part(f, "\"event\":{\"id\":6,");
    /* An unnamed one has nothing to acknowledge. */
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"stream.ack\",\"params\":{\"subscription\":1,"
           "\"id\":3}}");
    expect_part(f, "only a subscription with a consumer's name");
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"stream.close\",\"params\":{\"subscription\":"
           "1}}");
    expect_part(f, "\"id\":3,\"result\":{}");
    assert_null(f->gw.consumer);
}

/* What is there comes first, then the end, once. */
static void test_stream_of_a_removed_bot(void **state)
{
    struct fixture *f = *state;

    f->gw.n_events = 2;
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stream\",\"params\":{\"consumer\":\"log\","
           "\"after\":0,\"bot\":\"helper\",\"credit\":1}}");
    expect_part(f, "\"subscription\":1");
    expect_part(f, "\"event\":{\"id\":1,");
    f->gw.bot_gone = true;
    f->gw.consumer->params.on_ready(f->gw.consumer, f->gw.consumer->params.userdata);
    say(f, "{\"jsonrpc\":\"2.0\",\"method\":\"stream.ack\",\"params\":{\"subscription\":1,"
           "\"id\":1,\"n\":5}}");
    expect_part(f, "\"event\":{\"id\":2,");
    expect_part(f, "\"method\":\"stream.end\",\"params\":{\"subscription\":1,\"reason\":\"bot_"
                   "removed\",");
    f->gw.consumer->params.on_ready(f->gw.consumer, f->gw.consumer->params.userdata);
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"stream.ack\",\"params\":{\"subscription\":1,"
           "\"id\":2}}");
    expect_part(f, "\"id\":2,\"result\":{}");
    assert_int_equal(f->gw.consumer->acked, 2);
}

static void test_stream_ack_and_typing(void **state)
{
    struct fixture *f = *state;
    struct mw_event typing = make_event(0);

    typing.kind = MW_EVENT_TYPING;
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stream\",\"params\":{\"consumer\":\"log\","
           "\"kinds\":[\"typing\",\"post\"],\"credit\":1}}");
    expect_part(f, "\"subscription\":1");
    assert_string_equal(f->gw.consumer->name, "log");
    assert_true(f->gw.consumer->params.typing);
    f->gw.consumer->params.on_live(f->gw.consumer, &typing, f->gw.consumer->params.userdata);
    expect_part(f, "\"kind\":\"typing\"");
    /* No credit is left: this one is not passed on. */
    f->gw.consumer->params.on_live(f->gw.consumer, &typing, f->gw.consumer->params.userdata);
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"stream.ack\",\"params\":{\"subscription\":1,"
           "\"id\":7,\"n\":5}}");
    expect_part(f, "\"id\":2,\"result\":{}");
    assert_int_equal(f->gw.consumer->acked, 7);
}

/* A client that has credit but does not read costs a bounded queue, and gets all of it later. */
static void test_stream_slow_reader(void **state)
{
    struct fixture *f = *state;
    int64_t given;

    f->gw.n_events = EVENTS_MAX;
    say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stream\",\"params\":{\"after\":0,"
           "\"credit\":100000}}");
    settle(f);
    given = f->gw.reads;
    assert_in_range(given, 1, EVENTS_MAX / 2);
    settle(f);
    assert_int_equal(f->gw.reads, given);
    expect_part(f, "\"subscription\":1");
    for (int i = 1; i <= EVENTS_MAX; i++) {
        MW_AUTOFREE char *line = hear(f);
        char want[64];

        snprintf(want, sizeof(want), "\"event\":{\"id\":%d,", i);
        assert_non_null(strstr(line, want));
    }
}

static void test_socket_file(void **state)
{
    struct fixture *f = *state;
    struct rpc_server *second = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct stat st;

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(start(f, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(mw_error_text(&err), "another daemon listens on"));
    assert_int_equal(access(f->path, F_OK), 0);
}

static void test_stale_socket(void **state)
{
    struct fixture *f = *state;
    struct rpc_server *other = NULL;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    MW_AUTOERROR err = MW_ERROR_INIT;
    char kept[sizeof(f->path)];
    int fd;

    strcpy(kept, f->path);
    /* A socket file that nobody listens on any more. */
    snprintf(f->path, sizeof(f->path), "%s/stale", f->dir);
    strcpy(a.sun_path, f->path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
    assert_int_equal(start(f, &other, &err), 0);
    rpc_server_free(other);
    /* Something else is left alone. */
    fd = open(f->path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(start(f, &other, &err), -EEXIST);
    unlink(f->path);
    strcpy(f->path, kept);
}

static void test_tables(void **state)
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, 0);
    for (size_t i = 0; i < rpc_method_count(); i++) {
        const struct rpc_method *m = rpc_method_at(i);

        assert_non_null(m->run);
        assert_non_null(m->doc);
        assert_non_null(m->result);
        for (size_t j = 0; j < m->n_params; j++)
            assert_non_null(m->params[j].doc);
    }
    assert_int_equal(rpc_write_markdown(&b), 0);
    assert_non_null(strstr(mw_buf_str(&b), "### `stream.ack`"));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_mistakes),
        TEST(test_send),
        TEST(test_request_limit),
        TEST(test_client_goes),
        TEST(test_client_says_no_more),
        TEST(test_subscriber_says_no_more),
        TEST(test_cut_requests),
        TEST(test_cut_answers),
        TEST(test_line_limit),
        TEST(test_client_limit),
        TEST(test_history),
        TEST(test_stream_credit),
        TEST(test_stream_of_a_removed_bot),
        TEST(test_stream_ack_and_typing),
        TEST(test_stream_slow_reader),
        TEST(test_socket_file),
        TEST(test_stale_socket),
        TEST(test_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
