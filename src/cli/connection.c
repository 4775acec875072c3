#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/cli.h"
#include "gateway/config.h"

#define READ_SIZE (64 * 1024)

void cli_conn_deinit(struct cli_conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    mw_buf_deinit(&c->in);
}

static const char *env_or_null(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

/* Returns a descriptor or a negative errno. */
static int try_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(a.sun_path))
        return -ENAMETOOLONG;
    memcpy(a.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    close(fd);
    return -errno;
}

static int unreachable(const struct cli *cli, const char *path, int error)
{
    const char *config = cli->options.config;

    if (error == -EACCES)
        return cli_error(CLI_UNREACHABLE,
                         "the daemon at %s belongs to another user: only that user and root may "
                         "use it",
                         path);
    if (error == -ENOENT || error == -ECONNREFUSED)
        return cli_error(CLI_UNREACHABLE,
                         "no daemon listens on %s: start it with `matterwired%s%s`, or name its "
                         "socket with --socket",
                         path, config ? " --config " : "", config ? config : "");
    return cli_error(CLI_UNREACHABLE, "the daemon cannot be reached at %s: %s", path,
                     strerror(-error));
}

int cli_try_connect(const struct cli *cli, struct cli_conn *ret, char **ret_path)
{
    const char *given =
        cli->options.socket ? cli->options.socket : env_or_null("MATTERWIRE_SOCKET");
    MW_AUTOFREE char *path = NULL, *config = NULL, *fallback = NULL;
    int fd;

    if (given) {
        path = strdup(given);
    } else {
        config = gw_config_path(cli->options.config);
        path = config ? gw_config_socket(config) : NULL;
        fallback = gw_default_socket();
        if (!config || !fallback)
            return -ENOMEM;
    }
    if (!path)
        return -ENOMEM;
    fd = try_connect(path);
    /* Where no file says otherwise, it may be the system's daemon. */
    if (fd < 0 && fallback && strcmp(path, fallback) == 0 && access(GW_SYSTEM_SOCKET, F_OK) == 0) {
        int system_fd = try_connect(GW_SYSTEM_SOCKET);

        if (system_fd >= 0)
            fd = system_fd;
    }
    *ret_path = take_ptr(path);
    if (fd < 0)
        return fd;
    *ret = (struct cli_conn){.fd = fd};
    return 0;
}

int cli_connect(struct cli *cli, struct cli_conn *ret)
{
    MW_AUTOFREE char *path = NULL;
    int r = cli_try_connect(cli, ret, &path);

    if (r < 0 && !path)
        return cli_no_memory();
    return r < 0 ? unreachable(cli, path, r) : CLI_DONE;
}

int cli_request(struct cli_conn *c, int64_t id, const char *method, cJSON *params)
{
    MW_AUTOJSON *owned = params;
    MW_AUTOBUF b = {0};
    const char *p;
    size_t left;

    mw_buf_init(&b, 0);
    mw_buf_puts(&b, "{\"jsonrpc\":\"2.0\",");
    if (id)
        mw_buf_printf(&b, "\"id\":%lld,", (long long)id);
    mw_buf_puts(&b, "\"method\":");
    mw_buf_put_json_string(&b, method);
    if (owned) {
        mw_buf_puts(&b, ",\"params\":");
        mw_json_write(&b, owned);
    }
    if (mw_buf_puts(&b, "}\n") < 0)
        return cli_no_memory();
    for (p = b.data, left = b.len; left;) {
        ssize_t n = send(c->fd, p, left, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        /* The answer may tell why it does not want to hear more. */
        if (n < 0 && errno == EPIPE)
            break;
        if (n < 0)
            return cli_error(CLI_UNREACHABLE, "the daemon cannot be reached any more: %s",
                             strerror(errno));
        p += n;
        left -= (size_t)n;
    }
    return CLI_DONE;
}

int cli_read_some(struct cli_conn *c)
{
    char *to = mw_buf_reserve(&c->in, READ_SIZE);
    ssize_t n;

    if (!to)
        return -ENOMEM;
    do
        n = recv(c->fd, to, READ_SIZE, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n == 0)
        return -EPIPE;
    mw_buf_commit(&c->in, (size_t)n);
    return 0;
}

int cli_read_line(struct cli_conn *c, bool wait, char **ret_line, size_t *ret_len)
{
    size_t seen = 0;

    mw_buf_consume(&c->in, c->used);
    c->used = 0;
    for (;;) {
        char *end = c->in.len > seen ? memchr(c->in.data + seen, '\n', c->in.len - seen) : NULL;
        int r;

        if (end) {
            *end = 0;
            c->used = (size_t)(end - c->in.data) + 1;
            *ret_line = c->in.data;
            *ret_len = c->used - 1;
            return CLI_DONE;
        }
        *ret_line = NULL;
        if (!wait)
            return CLI_DONE;
        seen = c->in.len;
        r = cli_read_some(c);
        if (r == -ENOMEM)
            return cli_no_memory();
        if (r < 0)
            return cli_error(CLI_UNREACHABLE, "the daemon ended the connection%s%s",
                             r == -EPIPE ? "" : ": ", r == -EPIPE ? "" : strerror(-r));
    }
}

int cli_print_rpc_error(const cJSON *error)
{
    const cJSON *data = mw_json_obj(error, "data"), *problem;
    const char *path = mw_json_str_or(data, "path", "");

    cJSON_ArrayForEach(problem, mw_json_arr(data, "problems"))
    {
        int64_t line = mw_json_i64(problem, "line", 0);

        if (line)
            fprintf(stderr, "%s:%lld:%lld: %s\n", path, (long long)line,
                    (long long)mw_json_i64(problem, "column", 0),
                    mw_json_str_or(problem, "message", ""));
        else
            fprintf(stderr, "%s: %s\n", path, mw_json_str_or(problem, "message", ""));
    }
    return cli_error(CLI_FAILED, "%s",
                     mw_json_str_or(error, "message", "the daemon could not do it"));
}

int cli_call(struct cli_conn *c, const char *method, cJSON *params, cJSON **ret_result)
{
    int64_t id = ++c->last_id;
    int r = cli_request(c, id, method, params);

    while (r == CLI_DONE) {
        MW_AUTOJSON *answer = NULL;
        const cJSON *error;
        char *line = NULL;
        size_t len = 0;

        r = cli_read_line(c, true, &line, &len);
        if (r)
            return r;
        if (mw_json_parse(line, len, &answer, NULL) < 0)
            return cli_error(CLI_FAILED, "the daemon answered something that is not JSON");
        if (mw_json_str(answer, "method")) {
            if (c->on_notification)
                c->on_notification(answer, c->userdata);
            continue;
        }
        error = mw_json_obj(answer, "error");
        /* An error without an id is about the connection as a whole. */
        if (error && cJSON_IsNull(mw_json_get(answer, "id")))
            return cli_print_rpc_error(error);
        if (mw_json_i64(answer, "id", 0) != id)
            continue;
        if (error)
            return cli_print_rpc_error(error);
        *ret_result = cJSON_DetachItemFromObjectCaseSensitive(answer, "result");
        return *ret_result ? CLI_DONE : cli_error(CLI_FAILED, "the daemon's answer has no result");
    }
    return r;
}

int cli_call_once(struct cli *cli, const char *method, cJSON *params, cJSON **ret_result)
{
    struct cli_conn c = {.fd = -1};
    MW_AUTOJSON *owned = params;
    int r = cli_connect(cli, &c);

    if (r)
        return r;
    r = cli_call(&c, method, take_ptr(owned), ret_result);
    cli_conn_deinit(&c);
    return r;
}
