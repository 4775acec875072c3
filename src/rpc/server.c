#include "rpc/rpc.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "rpc/internal.h"

#define BACKLOG  64
#define ACCEPTS  16 /* in one round of the loop */
#define RETRY_MS 1000

/* ---- Calls and their answers ---- */

static void conn_work(struct rpc_conn *conn);

static struct rpc_call *call_new(struct rpc_conn *conn, const struct rpc_request *request)
{
    struct rpc_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    if (request->id && !(call->id = cJSON_Duplicate(request->id, true))) {
        free(call);
        return NULL;
    }
    call->conn = conn;
    call->next = conn->calls;
    if (call->next)
        call->next->prev = call;
    conn->calls = call;
    conn->n_calls++;
    return call;
}

static void call_free(struct rpc_call *call)
{
    struct rpc_conn *conn = call->conn;

    if (conn) {
        if (call->prev)
            call->prev->next = call->next;
        else
            conn->calls = call->next;
        if (call->next)
            call->next->prev = call->prev;
        conn->n_calls--;
    }
    cJSON_Delete(call->id);
    free(call);
    /* There is room for another request, which may be waiting already. */
    if (conn && !conn->working)
        conn_work(conn);
}

/* Sends what is in server->out and ends the call. */
static void call_send(struct rpc_call *call, int r)
{
    struct rpc_conn *conn = call->conn;
    struct mw_buf *out = &conn->server->out;

    if (r < 0) {
        mw_buf_clear(out);
        r = rpc_write_error(out, call->id, GW_INTERNAL,
                            r == -E2BIG ? "the answer is too long" : "there is no memory left",
                            NULL);
    }
    if (r < 0)
        rpc_conn_kill(conn);
    else
        rpc_conn_write(conn, out->data, out->len);
    mw_buf_clear(out);
    call_free(call);
}

struct gw_bot *rpc_call_bot(struct rpc_call *call, const cJSON *params)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_bot *bot = gw_find_bot(rpc_call_gw(call), mw_json_str(params, "bot"), &err);

    if (!bot)
        rpc_call_error(call, GW_NOT_FOUND, mw_error_text(&err), NULL);
    return bot;
}

void rpc_call_on_reply(struct gw_reply *reply, void *call)
{
    rpc_call_reply(call, reply);
}

struct gw *rpc_call_gw(const struct rpc_call *call)
{
    return call->conn->server->params.gw;
}

void rpc_call_text(struct rpc_call *call, const char *result)
{
    if (!call->conn || !call->id)
        call_free(call);
    else
        call_send(call, rpc_write_result(&call->conn->server->out, call->id, result));
}

void rpc_call_json(struct rpc_call *call, cJSON *result)
{
    MW_AUTOJSON *owned = result;
    MW_AUTOFREE char *text = NULL;

    if (call->conn && call->id && owned)
        text = mw_json_print(owned);
    if (call->conn && call->id && !text)
        rpc_call_error(call, GW_INTERNAL, "there is no memory left", NULL);
    else
        rpc_call_text(call, text);
}

void rpc_call_done(struct rpc_call *call)
{
    rpc_call_text(call, "{}");
}

void rpc_call_error(struct rpc_call *call, int code, const char *message, cJSON *data)
{
    MW_AUTOJSON *owned = data ? data : cJSON_CreateObject();

    if (!call->conn || !call->id) {
        call_free(call);
        return;
    }
    /* Without memory for it the answer is still right. */
    if (owned)
        (void)mw_json_add_str(owned, "reason", rpc_code_name(code));
    call_send(call, rpc_write_error(&call->conn->server->out, call->id, code, message, owned));
}

void rpc_call_param_error(struct rpc_call *call, const char *param, const char *message)
{
    cJSON *data = cJSON_CreateObject();

    if (data && param)
        (void)mw_json_add_str(data, "param", param);
    rpc_call_error(call, GW_BAD_PARAMS, message, data);
}

void rpc_call_reply(struct rpc_call *call, struct gw_reply *reply)
{
    if (reply->code != GW_OK)
        rpc_call_error(call, reply->code, mw_error_text(&reply->err), take_ptr(reply->result));
    else
        rpc_call_json(call, take_ptr(reply->result));
}

/* ---- Connections ---- */

void rpc_conn_write(struct rpc_conn *conn, const void *data, size_t len)
{
    if (!conn->dead && mw_stream_write(conn->stream, data, len) < 0)
        rpc_conn_kill(conn);
}

bool rpc_conn_full(const struct rpc_conn *conn)
{
    return conn->dead || mw_stream_queued(conn->stream) > RPC_QUEUE_HIGH;
}

static void conn_free(struct rpc_conn *conn)
{
    struct rpc_server *s = conn->server;

    rpc_subscriptions_free(conn);
    for (struct rpc_call *call = conn->calls; call; call = call->next)
        call->conn = NULL;
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        s->conns = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    s->n_conns--;
    mw_stream_free(conn->stream);
    mw_buf_deinit(&conn->in);
    free(conn);
    /* A place is free again. */
    if (s->watch && s->n_conns + 1 == s->params.max_clients)
        (void)mw_watch_set(s->watch, UV_READABLE);
}

void rpc_conn_kill(struct rpc_conn *conn)
{
    conn->dead = true;
    mw_timer_start(conn->server->reap, 0);
}

static void on_reap(void *userdata)
{
    struct rpc_server *s = userdata;

    for (struct rpc_conn *conn = s->conns, *next; conn; conn = next) {
        next = conn->next;
        if (conn->dead)
            conn_free(conn);
    }
}

static void answer_broken(struct rpc_conn *conn, const cJSON *id, int code, const char *message)
{
    struct mw_buf *out = &conn->server->out;
    MW_AUTOJSON *data = cJSON_CreateObject();

    if (data)
        (void)mw_json_add_str(data, "reason", rpc_code_name(code));
    if (rpc_write_error(out, id, code, message, data) == 0)
        rpc_conn_write(conn, out->data, out->len);
    else
        rpc_conn_kill(conn);
    mw_buf_clear(out);
}

static void unknown_method(struct rpc_call *call, const char *name)
{
    const char *nearest = rpc_method_nearest(name);
    MW_AUTOFREE char *sentence = NULL;

    if (nearest)
        sentence = mw_asprintf("there is no method \"%.64s\"; did you mean \"%s\"?", name, nearest);
    else
        sentence = mw_asprintf("there is no method \"%.64s\"; rpc.methods lists them", name);
    rpc_call_error(call, RPC_UNKNOWN_METHOD, sentence ? sentence : "there is no such method", NULL);
}

static void handle_line(struct rpc_conn *conn, const char *line, size_t len)
{
    struct rpc_request request = {0};
    MW_AUTOERROR err = MW_ERROR_INIT;
    const struct rpc_method *method;
    const char *param = NULL;
    struct rpc_call *call;
    int code = 0;
    int r = rpc_request_parse(line, len, &request, &code, &err);

    if (r == 1)
        answer_broken(conn, request.id, code, mw_error_text(&err));
    if (r < 0)
        rpc_conn_kill(conn);
    if (r != 0) {
        rpc_request_deinit(&request);
        return;
    }
    call = call_new(conn, &request);
    method = rpc_method_find(request.method);
    if (!call)
        rpc_conn_kill(conn);
    else if (!method)
        unknown_method(call, request.method);
    else if (rpc_params_check(method, request.params, &param, &err))
        rpc_call_param_error(call, param, mw_error_text(&err));
    else
        method->run(call, request.params);
    rpc_request_deinit(&request);
}

static bool blank(const char *line, size_t len)
{
    while (len && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    return len == 0;
}

/* Handles the lines that are whole, as far as the limits allow; then reads or pauses. */
static void conn_work(struct rpc_conn *conn)
{
    struct rpc_server *s = conn->server;
    bool pause;

    conn->working = true;
    while (!conn->dead && !conn->last_line && !rpc_conn_full(conn) &&
           conn->n_calls < s->params.max_requests) {
        char *end = conn->in.len ? memchr(conn->in.data, '\n', conn->in.len) : NULL;
        size_t len = end ? (size_t)(end - conn->in.data) : conn->in.len;

        if (len > s->params.max_line) {
            MW_AUTOFREE char *text =
                mw_asprintf("a line may have %zu bytes at the most", s->params.max_line);

            answer_broken(conn, NULL, RPC_INVALID_REQUEST, text ? text : "the line is too long");
            conn->last_line = true;
            mw_stream_shutdown(conn->stream);
            break;
        }
        if (!end)
            break;
        if (!blank(conn->in.data, len))
            handle_line(conn, conn->in.data, len);
        mw_buf_consume(&conn->in, len + 1);
    }
    if (!conn->dead) {
        pause = conn->last_line || rpc_conn_full(conn) || conn->n_calls >= s->params.max_requests;
        if (pause && !conn->paused)
            mw_stream_pause(conn->stream);
        else if (!pause && conn->paused)
            mw_stream_resume(conn->stream);
        conn->paused = pause;
        if (conn->ended && !conn->in.len && !conn->n_calls && !conn->n_subs)
            mw_stream_shutdown(conn->stream);
    }
    conn->working = false;
}

static void on_data(struct mw_stream *stream, const char *data, size_t len, void *userdata)
{
    struct rpc_conn *conn = userdata;

    if (mw_buf_append(&conn->in, data, len) < 0)
        rpc_conn_kill(conn);
    else
        conn_work(conn);
}

/* As `echo ... | socat` does: the answers are still wanted. */
static void on_end(struct mw_stream *stream, void *userdata)
{
    struct rpc_conn *conn = userdata;

    conn->ended = true;
    if (conn->in.len && mw_buf_putc(&conn->in, '\n') < 0)
        rpc_conn_kill(conn);
    else
        conn_work(conn);
}

static void on_drain(struct mw_stream *stream, void *userdata)
{
    struct rpc_conn *conn = userdata;

    rpc_subscriptions_pump(conn);
    conn_work(conn);
}

static void on_close(struct mw_stream *stream, enum mw_stream_stage stage,
                     const struct mw_error *err, void *userdata)
{
    conn_free(userdata);
}

static const struct mw_stream_ops stream_ops = {
    .on_data = on_data,
    .on_drain = on_drain,
    .on_end = on_end,
    .on_close = on_close,
};

/* Takes fd over. */
static void conn_accept(struct rpc_server *s, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    struct rpc_conn *conn;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
        (peer.uid != geteuid() && peer.uid != 0)) {
        close(fd);
        return;
    }
    conn = calloc(1, sizeof(*conn));
    if (!conn) {
        close(fd);
        return;
    }
    conn->server = s;
    mw_buf_init(&conn->in, 0);
    if (mw_stream_from_fd(s->loop, fd, &stream_ops, conn, RPC_WRITE_LIMIT, &conn->stream) < 0) {
        free(conn);
        return;
    }
    conn->next = s->conns;
    if (conn->next)
        conn->next->prev = conn;
    s->conns = conn;
    s->n_conns++;
}

static void on_listen(int status, int events, void *userdata)
{
    struct rpc_server *s = userdata;
    int fd = -1;

    for (int i = 0; i < ACCEPTS && s->n_conns < s->params.max_clients; i++) {
        fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            break;
        conn_accept(s, fd);
    }
    if (s->n_conns >= s->params.max_clients) {
        /* More clients wait in the kernel until one goes. */
        (void)mw_watch_set(s->watch, 0);
    } else if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        (void)mw_watch_set(s->watch, 0);
        mw_timer_start(s->retry, RETRY_MS);
    }
}

static void on_retry(void *userdata)
{
    struct rpc_server *s = userdata;

    if (s->n_conns < s->params.max_clients)
        (void)mw_watch_set(s->watch, UV_READABLE);
}

/* ---- The socket ---- */

/* The folder must exist and must not be one where others could put a socket in our place. */
static int check_folder(const char *path, struct mw_error *err)
{
    const char *slash = strrchr(path, '/');
    MW_AUTOFREE char *dir = NULL;
    struct stat st;

    if (!slash || slash == path)
        return 0;
    dir = strndup(path, (size_t)(slash - path));
    if (!dir)
        return -ENOMEM;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return mw_error_set(err, -errno, "cannot make the folder %s for the socket: %s", dir,
                            strerror(errno));
    if (stat(dir, &st) < 0)
        return mw_error_set(err, -errno, "cannot use the folder %s for the socket: %s", dir,
                            strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return mw_error_set(err, -ENOTDIR, "%s is not a folder", dir);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return mw_error_set(err, -EPERM, "the folder %s of the socket belongs to another user",
                            dir);
    return 0;
}

/* Removes a socket file that nobody listens on. */
static int remove_stale(const struct sockaddr_un *address, struct mw_error *err)
{
    const char *path = address->sun_path;
    struct stat st;
    int fd, r;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : mw_error_set(err, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return mw_error_set(err, -EEXIST, "%s is there already and is not a socket", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return mw_error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
    r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    close(fd);
    if (r != -ECONNREFUSED && r != -ENOENT)
        return mw_error_set(err, -EADDRINUSE, "another daemon listens on %s", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return mw_error_set(err, -errno, "cannot remove the old socket %s: %s", path,
                            strerror(errno));
    return 0;
}

static int open_socket(struct rpc_server *s, struct mw_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int r;

    if (strlen(s->path) >= sizeof(address.sun_path))
        return mw_error_set(err, -ENAMETOOLONG, "the path of the socket is too long: %s", s->path);
    memcpy(address.sun_path, s->path, strlen(s->path) + 1);
    r = check_folder(s->path, err);
    if (r == 0)
        r = remove_stale(&address, err);
    if (r < 0)
        return r;
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return mw_error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
    /* Linux gives the file the mode of the descriptor, so it is never open to others. */
    if (fchmod(s->fd, 0600) < 0 ||
        bind(s->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        r = mw_error_set(err, -errno, "cannot listen on %s: %s", s->path, strerror(errno));
        close(s->fd);
        s->fd = -1;
        return r;
    }
    if (chmod(s->path, 0600) < 0 || listen(s->fd, BACKLOG) < 0)
        return mw_error_set(err, -errno, "cannot listen on %s: %s", s->path, strerror(errno));
    return 0;
}

int rpc_server_new(uv_loop_t *loop, const struct rpc_params *params, struct rpc_server **ret,
                   struct mw_error *err)
{
    struct rpc_server *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->loop = loop;
    s->fd = -1;
    s->params = *params;
    s->params.max_line = params->max_line ? params->max_line : 1024 * 1024;
    s->params.max_clients = params->max_clients ? params->max_clients : 64;
    s->params.max_requests = params->max_requests ? params->max_requests : 64;
    mw_buf_init(&s->out, RPC_RESULT_MAX + 4096);
    s->path = strdup(params->path);
    r = s->path ? open_socket(s, err) : -ENOMEM;
    if (r == 0)
        r = mw_timer_new(loop, on_reap, s, &s->reap);
    if (r == 0)
        r = mw_timer_new(loop, on_retry, s, &s->retry);
    if (r == 0)
        r = mw_watch_new(loop, s->fd, on_listen, s, &s->watch);
    if (r == 0)
        r = mw_watch_set(s->watch, UV_READABLE);
    if (r < 0) {
        rpc_server_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void rpc_server_free(struct rpc_server *s)
{
    struct mw_watch *watch;

    if (!s)
        return;
    watch = take_ptr(s->watch);
    mw_watch_free(watch);
    while (s->conns)
        conn_free(s->conns);
    mw_timer_free(s->reap);
    mw_timer_free(s->retry);
    if (s->fd >= 0) {
        unlink(s->path);
        close(s->fd);
    }
    mw_buf_deinit(&s->out);
    free(s->path);
    free(s);
}
