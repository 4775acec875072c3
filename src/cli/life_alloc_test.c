/*
 * A whole life of the daemon, in this process, against the sandbox in another one: every allocation
 * of it fails once. The configuration is read, the gateway comes up, the bot signs in and listens,
 * a person posts, a handler answers, then a script, which asks a service first; a client of the
 * socket streams and sends, all goes down. Once with each type of handler that needs nothing but a
 * shell or a small server.
 *
 * Whatever allocation fails: no crash, no leak (under AddressSanitizer), nothing hangs, and unless
 * the start itself was refused for want of memory, the person has one answer and what the client
 * sent is there once.
 *
 * Of thousands of allocations a run of the tests takes each n-th; ALLOC_EVERY=1 takes all.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc_fail.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/test.h"
#include "handlers/handlers.h"
#include "io/handle.h"
#include "rpc/rpc.h"
#include "sandbox/sandbox.h"

#define FASTER   20 /* waits of the daemon, so that a run with a retry does not take seconds */
#define LIMIT_MS 60000

/* Timers of ours run faster. The linker's --wrap leads here. */
void __real_mw_timer_start(struct mw_timer *t, int64_t ms);
void __wrap_mw_timer_start(struct mw_timer *t, int64_t ms);

void __wrap_mw_timer_start(struct mw_timer *t, int64_t ms)
{
    __real_mw_timer_start(t, ms > FASTER ? ms / FASTER : ms);
}

/* ---- The server, and people on it: plain calls without an allocation of ours ---- */

static struct {
    pid_t pid;
    int port;
    char folder[64];
    char anna[64];   /* her token */
    char token[64];  /* the bot's */
    char bot_id[32]; /* and its user */
    char team_id[32];
} sandbox;

static char answer[1 << 16];

/* Returns the status; the whole answer is in `answer`. */
static int call(const char *method, const char *path, const char *body)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)sandbox.port)};
    char head[4096];
    size_t len = 0;
    ssize_t n;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    snprintf(head, sizeof(head),
             "%s /api/v4%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, path, sandbox.anna, strlen(body), body);
    assert_int_equal(write(fd, head, strlen(head)), strlen(head));
    while (len < sizeof(answer) - 1 && (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
        len += (size_t)n;
    answer[len] = '\0';
    close(fd);
    assert_int_equal(sscanf(answer, "HTTP/1.1 %d", &status), 1);
    return status;
}

/* The text behind `name` in the last answer, up to `end`. */
static void take(const char *name, const char *end, char *ret, size_t size)
{
    const char *at = strstr(answer, name);
    size_t len;

    assert_non_null(at);
    at += strlen(name);
    len = strcspn(at, end);
    assert_true(len < size);
    memcpy(ret, at, len);
    ret[len] = '\0';
}

static unsigned count_in_answer(const char *text)
{
    unsigned n = 0;

    for (const char *at = answer; (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void write_script(void)
{
    char name[96];
    FILE *f;

    snprintf(name, sizeof(name), "%s/s.lua", sandbox.folder);
    f = fopen(name, "we");
    assert_non_null(f);
    fprintf(f,
            "function on_event(event)\n"
            "  local r = assert(http.get('http://127.0.0.1:%d/api/v4/system/ping', {headers ="
            " {['X-A'] = 'b'}}))\n"
            "  assert(r.status == 200 and r.headers['content-type'])\n"
            "  state.set('n', {n = ((state.get('n') or {}).n or 0) + 1})\n"
            "  reply('by a script')\n"
            "  post(event.channel_name, 'by name')\n"
            "  react('eyes')\n"
            "  log('said', json.encode(json.decode('[1]')))\n"
            "  return {text = 'end of ' .. event.prompt}\n"
            "end\n",
            sandbox.port);
    assert_int_equal(fclose(f), 0);
}

static int start_sandbox(void **state)
{
    char bot[96], line[512] = "";
    const char *bots[] = {bot, NULL};
    struct sb_options o = {.listen = "127.0.0.1:0", .bots = bots, .quiet = true};
    size_t len = 0;
    int fds[2], fd;
    ssize_t n;

    snprintf(sandbox.folder, sizeof(sandbox.folder), "/tmp/mw-life-XXXXXX");
    assert_non_null(mkdtemp(sandbox.folder));
    snprintf(bot, sizeof(bot), "helper:%s/token", sandbox.folder);
    assert_int_equal(pipe(fds), 0);
    sandbox.pid = fork();
    assert_true(sandbox.pid >= 0);
    if (sandbox.pid == 0) {
        o.ready_fd = fds[1];
        close(fds[0]);
        _exit(sb_main(&o));
    }
    close(fds[1]);
    while (!strchr(line, '\n') && (n = read(fds[0], line + len, sizeof(line) - 1 - len)) > 0)
        len += (size_t)n;
    close(fds[0]);
    assert_int_equal(sscanf(line, "sandbox ready http://127.0.0.1:%d", &sandbox.port), 1);
    snprintf(line, sizeof(line), "%s/token", sandbox.folder);
    fd = open(line, O_RDONLY | O_CLOEXEC);
    n = read(fd, sandbox.token, sizeof(sandbox.token) - 1);
    close(fd);
    assert_true(n > 0);
    sandbox.token[strcspn(sandbox.token, "\n")] = '\0';

    assert_int_equal(
        call("POST", "/users/login", "{\"login_id\":\"anna\",\"password\":\"Password-1\"}"), 200);
    take("Token: ", "\r\n", sandbox.anna, sizeof(sandbox.anna));
    assert_int_equal(call("GET", "/users/username/helper", ""), 200);
    take("\"id\":\"", "\"", sandbox.bot_id, sizeof(sandbox.bot_id));
    assert_int_equal(call("GET", "/teams/name/demo", ""), 200);
    take("\"id\":\"", "\"", sandbox.team_id, sizeof(sandbox.team_id));
    write_script();
    return 0;
}

static int stop_sandbox(void **state)
{
    char name[96];

    kill(sandbox.pid, SIGTERM);
    waitpid(sandbox.pid, NULL, 0);
    snprintf(name, sizeof(name), "%s/token", sandbox.folder);
    unlink(name);
    snprintf(name, sizeof(name), "%s/s.lua", sandbox.folder);
    unlink(name);
    assert_int_equal(rmdir(sandbox.folder), 0);
    return 0;
}

/* ---- The handlers' other ends ---- */

static const struct kind {
    const char *name;
    const char *config; /* of the handler; %s is the folder, %d the port of the small server */
    const char *script; /* FOLDER/NAME, for a program; "" = none */
    const char *every;  /* unless ALLOC_EVERY says otherwise */
} kinds[] = {
    {"command",
     "type: command, attempts: 3, command: [/bin/sh, -c, 'echo \"re: $MATTERWIRE_TEXT\"'], env: "
     "{A: b},"
     " env_inherit: [HOME]",
     "", "89"},
    {"process", "type: process, command: [/bin/sh, %s/process], attempts: 3",
     "while read -r line; do id=${line#*'\"id\":'}; id=${id%%[!0-9]*}\n"
     "echo \"{\\\"id\\\":$id,\\\"text\\\":\\\"re: hello\\\"}\"; done\n",
     "307"},
    {"acp", "type: acp, command: [/bin/sh, %s/acp], attempts: 3",
     "say() { echo \"{\\\"jsonrpc\\\":\\\"2.0\\\",$1}\"; }\n"
     "while read -r line; do id=${line#*'\"id\":'}; id=${id%%[!0-9]*}; case $line in\n"
     "*'\"initialize\"'*) say \"\\\"id\\\":$id,\\\"result\\\":{\\\"protocolVersion\\\":1}\";;\n"
     "*'\"session/new\"'*) say \"\\\"id\\\":$id,\\\"result\\\":{\\\"sessionId\\\":\\\"s1\\\"}\";;\n"
     "*'\"session/prompt\"'*) say '\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\","
     "\"update\":{\"sessionUpdate\":\"agent_message_chunk\",\"content\":{\"type\":\"text\","
     "\"text\":\"re: hello\"}}}'\n"
     "say \"\\\"id\\\":$id,\\\"result\\\":{\\\"stopReason\\\":\\\"end_turn\\\"}\";;\n"
     "esac; done\n",
     "307"},
    {"http", "type: http, url: 'http://127.0.0.1:%d/', attempts: 3", "", "307"},
    {"chat", "type: chat, url: 'http://127.0.0.1:%d/v1', model: m, attempts: 3", "", "307"},
};

static struct {
    pid_t pid;
    int port;
} web;

/* One request a connection; the answer is by the path. */
static void serve(int fd)
{
    static const char chat[] = "{\"choices\":[{\"message\":{\"role\":\"assistant\","
                               "\"content\":\"re: hello\"},\"finish_reason\":\"stop\"}]}",
                      plain[] = "{\"text\":\"re: hello\"}";
    static char in[1 << 17];
    const char *body = NULL, *length, *text;
    char head[256];
    size_t len = 0;
    ssize_t n;

    while (len < sizeof(in) - 1 && (n = read(fd, in + len, sizeof(in) - 1 - len)) > 0) {
        len += (size_t)n;
        in[len] = '\0';
        body = strstr(in, "\r\n\r\n");
        length = strstr(in, "Content-Length: ");
        if (body && length && in + len - body - 4 >= strtol(length + 16, NULL, 10))
            break;
    }
    text = body && strstr(in, "/chat/completions") ? chat : plain;
    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n",
             strlen(text));
    (void)!write(fd, head, strlen(head));
    (void)!write(fd, text, strlen(text));
    close(fd);
}

static void start_web(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    web.port = ntohs(at.sin_port);
    web.pid = fork();
    assert_true(web.pid >= 0);
    for (int peer; web.pid == 0;) {
        peer = accept(fd, NULL, NULL);
        if (peer >= 0)
            serve(peer);
    }
    close(fd);
}

static void write_scripts(void)
{
    for (size_t i = 0; i < MW_ARRAY_LEN(kinds); i++) {
        char name[96];
        FILE *f;

        snprintf(name, sizeof(name), "%s/%s", sandbox.folder, kinds[i].name);
        f = fopen(name, "w");
        assert_non_null(f);
        fputs(kinds[i].script, f);
        assert_int_equal(fclose(f), 0);
    }
}

static int start_all(void **state)
{
    start_web();
    start_sandbox(state);
    write_scripts();
    return 0;
}

static int stop_all(void **state)
{
    kill(web.pid, SIGTERM);
    waitpid(web.pid, NULL, 0);
    for (size_t i = 0; i < MW_ARRAY_LEN(kinds); i++) {
        char name[96];

        snprintf(name, sizeof(name), "%s/%s", sandbox.folder, kinds[i].name);
        unlink(name);
    }
    return stop_sandbox(state);
}

/* ---- One life ---- */

struct life {
    uv_loop_t loop;
    struct gw *gw;
    struct rpc_server *rpc;
    char config[2048], socket[96], channel[32];
    int64_t until;
    int client; /* of the socket; -1 = none */
    char in[1 << 18];
    size_t in_len;
    bool streams; /* this connection has the stream */
    bool stopped;
};

static int reload(struct gw_problems *problems, struct mw_error *err, void *userdata)
{
    return 0;
}

static void turn(struct life *w)
{
    assert_true(mw_clock_mono() < w->until); /* it hangs */
    uv_run(&w->loop, UV_RUN_NOWAIT);
    usleep(200);
}

static void hang_up(struct life *w)
{
    if (w->client >= 0)
        close(w->client);
    w->client = -1;
    w->in_len = 0;
    w->streams = false;
}

/* Reads what is there. Returns false when the daemon has closed the connection. */
static bool receive(struct life *w)
{
    ssize_t n;

    while (w->in_len < sizeof(w->in) - 1 &&
           (n = read(w->client, w->in + w->in_len, sizeof(w->in) - 1 - w->in_len)) != 0) {
        if (n < 0)
            return errno == EAGAIN;
        w->in_len += (size_t)n;
    }
    return false;
}

static void dial(struct life *w)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", w->socket);
    w->client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(w->client, (struct sockaddr *)&to, sizeof(to)), 0);
}

/* Asks until there is a result: a connection that ends, an error for want of memory, and a delivery
 * that takes long for it, are asked again. The line is behind everything that came before, at `in`.
 */
static const char *ask(struct life *w, const char *request)
{
    for (;;) {
        const char *line = NULL;
        bool pending;
        size_t from;

        if (w->client < 0)
            dial(w);
        from = w->in_len;
        if (write(w->client, request, strlen(request)) == (ssize_t)strlen(request)) {
            bool open = true;

            while (open && !line) {
                turn(w);
                open = receive(w);
                w->in[w->in_len] = '\0';
                line = strstr(w->in + from, "\"id\":7");
                if (line && !strchr(line, '\n'))
                    line = NULL;
            }
        }
        if (line && strstr(line, "\"result\""))
            return line;
        pending = line && strstr(line, "\"reason\":\"pending\"");
        if (!line)
            hang_up(w);
        else if (!strstr(line, "memory") && !pending && !strstr(line, "read by another client"))
            fail_msg("%s", line);
        /* The connection that ended may still be in the daemon's hands for a moment, with what it
         * read. On a busy machine something is pending also without a failure. */
        assert_true(pending || mw_alloc_fail_hit());
        turn(w);
    }
}

static void write_handler(const struct kind *k, char *ret, size_t size)
{
    const char *at = strchr(k->config, '%');

    if (!at)
        snprintf(ret, size, "%s", k->config);
    else if (at[1] == 's')
        snprintf(ret, size, "%.*s%s%s", (int)(at - k->config), k->config, sandbox.folder, at + 2);
    else
        snprintf(ret, size, "%.*s%d%s", (int)(at - k->config), k->config, web.port, at + 2);
}

static void prepare(struct life *w, const struct kind *k)
{
    static unsigned lives;
    char path[96], body[256], handler[512];

    snprintf(body, sizeof(body),
             "{\"team_id\":\"%s\",\"name\":\"life-%u\",\"display_name\":\"x\",\"type\":\"O\"}",
             sandbox.team_id, ++lives);
    assert_int_equal(call("POST", "/channels", body), 201);
    take("\"id\":\"", "\"", w->channel, sizeof(w->channel));
    snprintf(path, sizeof(path), "/channels/%s/members", w->channel);
    snprintf(body, sizeof(body), "{\"user_id\":\"%s\"}", sandbox.bot_id);
    assert_int_equal(call("POST", path, body), 201);
    snprintf(w->socket, sizeof(w->socket), "%s/socket", sandbox.folder);
    write_handler(k, handler, sizeof(handler));
    snprintf(w->config, sizeof(w->config),
             "bots:\n"
             "  - name: b\n"
             "    endpoint: http://127.0.0.1:%d\n"
             "    bot_token: %s\n"
             "    team: demo\n"
             "    channels: [%s, town-square]\n"
             "    allowed_users: ['@anna']\n"
             "    mention_only: false\n"
             "    handler: echo\n"
             "    routes:\n"
             "      - {when: text == 'to the script', handler: script}\n"
             "handlers:\n"
             "  echo: {%s}\n"
             "  script: {type: lua, script: %s/s.lua, attempts: 3, http_hosts: ['127.0.0.1:%d']}\n"
             "daemon:\n"
             "  database: %s/state.db\n"
             "  socket: %s\n",
             sandbox.port, sandbox.token, w->channel, handler, sandbox.folder, sandbox.port,
             sandbox.folder, w->socket);
}

static int come_up(struct life *w)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_problems problems = {0};
    struct gw_config *config = NULL;
    struct rpc_params p = {.path = w->socket, .reload = reload};
    int r = gw_config_parse("/tmp/config.yaml", w->config, strlen(w->config), &config, &problems);

    if (r == 1)
        fail_msg("%s", problems.items[0].message);
    gw_problems_deinit(&problems);
    if (r)
        return r;
    r = gw_new(&w->loop, config, gw_handler_types, &w->gw, &err);
    if (r) {
        gw_config_free(config);
        return r;
    }
    p.gw = w->gw;
    return rpc_server_new(&w->loop, &p, &w->rpc, &err);
}

/* All posts of the channel, in `answer`. */
static void look(struct life *w)
{
    char path[96];

    snprintf(path, sizeof(path), "/channels/%s/posts", w->channel);
    assert_int_equal(call("GET", path, ""), 200);
}

static void live(struct life *w)
{
    char body[256];
    int turns = 0;

    while (!strstr(ask(w, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"status\"}\n"),
                   "\"state\":\"online\""))
        turn(w);
    ask(w, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"stream\",\"params\":{\"consumer\":\"c\","
           "\"after\":0,\"credit\":1000}}\n");
    w->streams = true;
    snprintf(body, sizeof(body), "{\"channel_id\":\"%s\",\"message\":\"hello\"}", w->channel);
    assert_int_equal(call("POST", "/posts", body), 201);
    snprintf(body, sizeof(body),
             "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"send\",\"params\":{\"channel\":\"%s\","
             "\"text\":\"sent by a client\",\"key\":\"of %s\"}}\n",
             w->channel, w->channel);
    ask(w, body);
    do {
        for (int i = 0; i < 20; i++)
            turn(w);
        look(w);
    } while (!strstr(answer, "\"message\":\"re: hello"));
    snprintf(body, sizeof(body), "{\"channel_id\":\"%s\",\"message\":\"to the script\"}",
             w->channel);
    assert_int_equal(call("POST", "/posts", body), 201);
    do {
        for (int i = 0; i < 20; i++)
            turn(w);
        look(w);
    } while (!strstr(answer, "\"message\":\"end of to the script\"") ||
             !strstr(answer, "\"message\":\"by name\"") ||
             !strstr(answer, "\"message\":\"by a script\""));
    /* The stream has it too, or was closed; then a new one has it from the beginning. */
    while (!strstr(w->in, "\"text\":\"re: hello")) {
        turn(w);
        if (w->streams && receive(w)) {
            w->in[w->in_len] = '\0';
            continue;
        }
        hang_up(w);
        assert_true(mw_alloc_fail_hit() && ++turns < 10);
        ask(w, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"stream\",\"params\":{\"after\":0,"
               "\"credit\":1000}}\n");
        w->streams = true;
    }
}

static void on_stopped(void *userdata)
{
    struct life *w = userdata;

    w->stopped = true;
}

static void go_down(struct life *w)
{
    if (w->gw) {
        gw_stop(w->gw, 0, on_stopped, w);
        while (!w->stopped)
            turn(w);
    }
    hang_up(w);
    rpc_server_free(w->rpc);
    gw_free(w->gw);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void clean_up(struct life *w)
{
    static const char *const files[] = {"state.db", "state.db-wal", "state.db-shm",
                                        "state.db.lock"};
    char name[128];

    for (size_t i = 0; i < MW_ARRAY_LEN(files); i++) {
        snprintf(name, sizeof(name), "%s/%s", sandbox.folder, files[i]);
        unlink(name);
    }
    snprintf(name, sizeof(name), "/channels/%s/members/%s", w->channel, sandbox.bot_id);
    assert_int_equal(call("DELETE", name, ""), 200);
}

static int life(void *userdata)
{
    static struct life w;
    int r;

    w = (struct life){.client = -1, .until = mw_clock_mono() + LIMIT_MS};
    prepare(&w, userdata);
    assert_int_equal(uv_loop_init(&w.loop), 0);
    r = come_up(&w);
    if (r == 0)
        live(&w);
    go_down(&w);
    look(&w);
    /* A message and its props in the list of posts: each text once. */
    assert_int_equal(count_in_answer("\"message\":\"re: hello"), r == 0);
    assert_int_equal(count_in_answer("\"message\":\"sent by a client\""), r == 0);
    assert_int_equal(count_in_answer("\"message\":\"end of to the script\""), r == 0);
    assert_int_equal(count_in_answer("\"message\":\"by a script\""), r == 0);
    assert_int_equal(count_in_answer("\"message\":\"by name\""), r == 0);
    clean_up(&w);
    return r;
}

static void test_life(void **state)
{
    const struct kind *k = *state;
    const char *every = getenv("ALLOC_EVERY");
    unsigned n;

    mw_log_setup(every ? MW_LOG_DEBUG : MW_LOG_ERROR, MW_LOG_AUTO);
    mw_alloc_fail_every((unsigned)atoi(every ? every : k->every));
    n = mw_alloc_fail_each(MW_ALLOC_FAIL_ONCE, life, (void *)k, 0);
    print_message("%s: %u allocations failed\n", k->name, n);
    assert_true(n > 5);
}

int main(void)
{
    struct CMUnitTest tests[MW_ARRAY_LEN(kinds)];

    for (size_t i = 0; i < MW_ARRAY_LEN(kinds); i++)
        tests[i] = (struct CMUnitTest){
            .name = kinds[i].name, .test_func = test_life, .initial_state = (void *)&kinds[i]};
    mw_ignore_sigpipe();
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
