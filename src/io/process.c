#include "io/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/handle.h"

#define DEFAULT_KILL_AFTER_MS 2000
#define DEFAULT_MAX_STDOUT    (1u << 20)
#define DEFAULT_MAX_STDERR    (16u << 10)
#define DEFAULT_MAX_INPUT     (1u << 20)
#define DRAIN_MS              250 /* for whoever holds the pipes after the child's exit */
#define CHUNK                 65536
#define EXIT_ROUNDS           16 /* chunks read at the exit: as much as a pipe holds at the most */

struct mw_process {
    uv_process_t uv; /* first: the structure is freed when this handle is closed */
    mw_process_cb cb;
    void *userdata;
    struct mw_timer *timer;
    int64_t kill_after_ms;
    size_t max_stdout, max_stderr;
    struct mw_buf input; /* what the child has not read yet begins at input_done */
    size_t input_done;
    bool input_open; /* more may be written */
    mw_process_output_cb on_output;
    /* Our ends; -1 and NULL once closed. */
    int fds[3];
    struct mw_watch *watches[3];
    struct mw_buf out, err;
    struct mw_process_result result;
    bool stopping; /* result.end is decided: it was told to end */
    bool killed;   /* SIGKILL went to the group */
    bool exited;
    bool finished; /* no callback any more */
};

static void close_fd(struct mw_process *p, int i)
{
    mw_watch_free(take_ptr(p->watches[i]));
    if (p->fds[i] >= 0)
        close(p->fds[i]);
    p->fds[i] = -1;
}

static void on_closed(uv_handle_t *handle)
{
    struct mw_process *p = (struct mw_process *)handle;

    mw_buf_deinit(&p->out);
    mw_buf_deinit(&p->err);
    mw_buf_deinit(&p->input);
    free(p);
}

static void release(struct mw_process *p)
{
    for (int i = 0; i < 3; i++)
        close_fd(p, i);
    mw_timer_free(take_ptr(p->timer));
}

static void kill_group(struct mw_process *p, int sig)
{
    kill(-p->uv.pid, sig);
    p->killed |= sig == SIGKILL;
}

static void finish(struct mw_process *p)
{
    if (p->finished)
        return;
    p->finished = true;
    if (p->stopping && !p->killed)
        kill_group(p, SIGKILL); /* what closed its output but did not heed SIGTERM */
    release(p);
    if (p->err.len > p->max_stderr)
        mw_buf_consume(&p->err, p->err.len - p->max_stderr);
    p->result.out = &p->out;
    p->result.err = &p->err;
    p->cb(p, &p->result, p->userdata);
    uv_close((uv_handle_t *)&p->uv, on_closed);
}

static void finish_if_done(struct mw_process *p)
{
    if (p->exited && p->fds[STDOUT_FILENO] < 0 && p->fds[STDERR_FILENO] < 0)
        finish(p);
}

/* Tells it to end, for the reason `end`; the first reason counts. */
static void stop(struct mw_process *p, enum mw_process_end end, int sig)
{
    if (p->stopping || p->finished)
        return;
    p->stopping = true;
    p->result.end = end;
    if (p->exited)
        sig = SIGKILL; /* only leftovers of it are there */
    kill_group(p, sig);
    mw_timer_start(p->timer, p->exited ? DRAIN_MS : p->kill_after_ms);
}

static void on_timer(void *userdata)
{
    struct mw_process *p = userdata;

    if (!p->exited && !p->stopping) {
        stop(p, MW_PROCESS_TIMEOUT, SIGTERM);
    } else if (!p->killed) {
        kill_group(p, SIGKILL);
        if (p->exited)
            mw_timer_start(p->timer, DRAIN_MS);
    } else if (p->exited) {
        finish(p); /* somebody left the group and took the pipes along: not waited for */
    }
}

static void keep(struct mw_process *p, int i, const char *data, size_t len)
{
    struct mw_buf *b = i == STDOUT_FILENO ? &p->out : &p->err;
    size_t take = len;
    int r;

    if (i == STDOUT_FILENO)
        take = MW_MIN(len, p->max_stdout - b->len);
    else if (b->len > p->max_stderr)
        mw_buf_consume(b, b->len - p->max_stderr); /* the last bytes are those that tell */
    r = mw_buf_append(b, data, take);
    if (r == 0 && take == len)
        return;
    /* No memory for its output counts as too much output. */
    stop(p, MW_PROCESS_FLOODED, SIGKILL);
    close_fd(p, i);
}

static void take_output(struct mw_process *p, int i, const char *data, size_t len)
{
    if (i == STDOUT_FILENO && p->on_output)
        p->on_output(p, data, len, p->userdata);
    else
        keep(p, i, data, len);
}

static void end_output(struct mw_process *p, int i)
{
    bool was_open = p->fds[i] >= 0;

    close_fd(p, i);
    if (was_open && i == STDOUT_FILENO && p->on_output)
        p->on_output(p, "", 0, p->userdata);
}

/* Reads what is there, `rounds` chunks at the most, so that others of the loop get their turn. */
static void read_output(struct mw_process *p, int i, unsigned rounds)
{
    char chunk[CHUNK];

    while (rounds--) {
        ssize_t n = p->fds[i] < 0 ? 0 : read(p->fds[i], chunk, sizeof(chunk));

        if (n > 0) {
            take_output(p, i, chunk, (size_t)n);
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            end_output(p, i);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

static void on_stdout(int status, int events, void *userdata)
{
    struct mw_process *p = userdata;

    read_output(p, STDOUT_FILENO, 1);
    finish_if_done(p);
}

static void on_stderr(int status, int events, void *userdata)
{
    struct mw_process *p = userdata;

    read_output(p, STDERR_FILENO, 1);
    finish_if_done(p);
}

/* What was written is forgotten when it is more than what is left, so that no byte moves twice. */
static void forget_written(struct mw_process *p)
{
    if (p->input_done * 2 < p->input.len)
        return;
    mw_buf_consume(&p->input, p->input_done);
    p->input_done = 0;
}

/* A child that does not want its input is no failure. */
static void on_stdin(int status, int events, void *userdata)
{
    struct mw_process *p = userdata;

    while (status == 0 && p->input_done < p->input.len) {
        ssize_t n = write(p->fds[STDIN_FILENO], p->input.data + p->input_done,
                          p->input.len - p->input_done);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            forget_written(p);
            return;
        }
        if (n < 0) {
            status = -errno;
            break;
        }
        p->input_done += (size_t)n;
    }
    mw_buf_clear(&p->input);
    p->input_done = 0;
    if (status < 0 || !p->input_open || mw_watch_set(p->watches[STDIN_FILENO], 0))
        close_fd(p, STDIN_FILENO);
}

int mw_process_write(struct mw_process *p, const char *data, size_t len)
{
    int r;

    if (p->fds[STDIN_FILENO] < 0 || !p->input_open)
        return -EPIPE;
    /* The buffer's limit is for what the child has not read. */
    mw_buf_consume(&p->input, p->input_done);
    p->input_done = 0;
    r = mw_buf_append(&p->input, data, len);
    p->input.error = 0;
    if (r < 0)
        return r == -E2BIG ? -ENOBUFS : r;
    return mw_watch_set(p->watches[STDIN_FILENO], UV_WRITABLE);
}

void mw_process_close_input(struct mw_process *p)
{
    p->input_open = false;
    if (!p->input.len)
        close_fd(p, STDIN_FILENO);
}

static void on_exit_status(uv_process_t *uv, int64_t status, int sig)
{
    struct mw_process *p = (struct mw_process *)uv;

    p->exited = true;
    if (p->finished) { /* dropped */
        uv_close((uv_handle_t *)uv, on_closed);
        return;
    }
    if (!p->stopping)
        p->result.end = sig ? MW_PROCESS_SIGNALED : MW_PROCESS_EXITED;
    p->result.exit_code = (int)status;
    p->result.signal = sig;
    close_fd(p, STDIN_FILENO);
    /* Its own output is in the pipes by now. What holds them open is a child of the child. */
    read_output(p, STDOUT_FILENO, EXIT_ROUNDS);
    read_output(p, STDERR_FILENO, EXIT_ROUNDS);
    if (p->finished) /* dropped by on_output */
        return;
    if (!p->stopping || p->killed)
        mw_timer_start(p->timer, DRAIN_MS);
    finish_if_done(p);
}

static const char *env_get(const char *const *env, const char *name)
{
    size_t len = strlen(name);

    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

/* Where the program is: names without a slash are looked up in PATH, because execvp would use
 * another one when the child's environment has none. Returns 0, -ENOENT or -ENOMEM. */
static int find_program(const char *name, const char *const *env, char **ret)
{
    const char *path = env_get(env, "PATH");
    struct stat st;

    if (strchr(name, '/'))
        return mw_str_set(ret, name);
    if (!path)
        path = getenv("PATH");
    for (; path && *path; path += strspn(path, ":")) {
        size_t len = strcspn(path, ":");
        MW_AUTOFREE char *candidate = mw_asprintf("%.*s/%s", (int)len, path, name);

        if (!candidate)
            return -ENOMEM;
        path += len;
        if (stat(candidate, &st) == 0 && S_ISREG(st.st_mode) && access(candidate, X_OK) == 0) {
            *ret = take_ptr(candidate);
            return 0;
        }
    }
    return -ENOENT;
}

/* Real pipes: libuv would make sockets, and then a script cannot open /dev/stderr. */
static int make_pipes(struct mw_process *p, int child_ends[3])
{
    for (int i = 0; i < 3; i++) {
        int fds[2], ours = i == STDIN_FILENO ? 1 : 0;

        if (pipe2(fds, O_CLOEXEC) < 0)
            return -errno;
        p->fds[i] = fds[ours];
        child_ends[i] = fds[!ours];
        if (fcntl(fds[ours], F_SETFL, O_NONBLOCK) < 0)
            return -errno;
    }
    return 0;
}

static int watch_pipes(struct mw_process *p, uv_loop_t *loop)
{
    static const mw_watch_cb cbs[] = {on_stdin, on_stdout, on_stderr};

    for (int i = 0; i < 3; i++) {
        int r = mw_watch_new(loop, p->fds[i], cbs[i], p, &p->watches[i]);

        if (r == 0)
            r = mw_watch_set(p->watches[i], i == STDIN_FILENO ? UV_WRITABLE : UV_READABLE);
        if (r < 0)
            return r;
    }
    return 0;
}

static int explain(int r, const struct mw_process_params *params, const char *file,
                   struct mw_error *err)
{
    struct stat st;

    if (params->workdir && (stat(params->workdir, &st) < 0 || !S_ISDIR(st.st_mode)))
        return mw_error_set(err, r, "cannot run %s: there is no folder %s to run it in",
                            params->argv[0], params->workdir);
    if (r == -ENOENT && file && file[0] == '/' && access(file, F_OK) == 0)
        return mw_error_set(err, r, "cannot run %s: the interpreter in its first line is missing",
                            file);
    if (r == -ENOENT)
        return mw_error_set(err, r, "there is no program %s", params->argv[0]);
    return mw_error_set(err, r, "cannot run %s: %s", params->argv[0], strerror(-r));
}

static int spawn(struct mw_process *p, uv_loop_t *loop, const struct mw_process_params *params,
                 int child_ends[3], const char *file)
{
    static char *no_env[] = {NULL};
    uv_stdio_container_t stdio[3];
    uv_process_options_t options = {
        .exit_cb = on_exit_status,
        .file = file,
        .args = (char **)params->argv,
        .env = params->env ? (char **)params->env : no_env,
        .cwd = params->workdir,
        .flags = UV_PROCESS_DETACHED, /* setsid: a group of its own, no terminal */
        .stdio_count = 3,
        .stdio = stdio,
    };

    for (int i = 0; i < 3; i++) {
        stdio[i].flags = UV_INHERIT_FD;
        stdio[i].data.fd = child_ends[i];
    }
    /* Descriptors of libraries that forgot it do not leak into the child either. */
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    return uv_spawn(loop, &p->uv, &options);
}

static int start(struct mw_process *p, uv_loop_t *loop, const struct mw_process_params *params,
                 bool *ret_tried, struct mw_error *err)
{
    MW_AUTOFREE char *file = NULL;
    int child_ends[3] = {-1, -1, -1}, r;

    r = mw_buf_append(&p->input, params->input, params->input_len);
    if (r < 0)
        return mw_error_set(err, r, "out of memory");
    r = mw_timer_new(loop, on_timer, p, &p->timer);
    if (r == 0)
        r = find_program(params->argv[0], params->env, &file);
    if (r == 0)
        r = make_pipes(p, child_ends);
    if (r == 0)
        r = watch_pipes(p, loop);
    if (r == 0) {
        *ret_tried = true;
        r = spawn(p, loop, params, child_ends, file);
    }
    for (int i = 0; i < 3; i++)
        if (child_ends[i] >= 0)
            close(child_ends[i]);
    return r < 0 ? explain(r, params, file, err) : 0;
}

int mw_process_start(uv_loop_t *loop, const struct mw_process_params *params, mw_process_cb cb,
                     void *userdata, struct mw_process **ret, struct mw_error *err)
{
    struct mw_process *p;
    bool tried = false;
    int r;

    if (!params->argv || !params->argv[0] || !params->argv[0][0])
        return mw_error_set(err, -EINVAL, "no program to run");
    p = calloc(1, sizeof(*p));
    if (!p)
        return mw_error_set(err, -ENOMEM, "out of memory");
    *p = (struct mw_process){
        .cb = cb,
        .userdata = userdata,
        .kill_after_ms = params->kill_after_ms > 0 ? params->kill_after_ms : DEFAULT_KILL_AFTER_MS,
        .max_stdout = params->max_stdout ? params->max_stdout : DEFAULT_MAX_STDOUT,
        .max_stderr = params->max_stderr ? params->max_stderr : DEFAULT_MAX_STDERR,
        .input_open = params->keep_input,
        .on_output = params->on_output,
        .fds = {-1, -1, -1},
    };
    if (params->keep_input)
        p->input.limit = params->max_input ? params->max_input : DEFAULT_MAX_INPUT;
    mw_ignore_sigpipe();
    r = start(p, loop, params, &tried, err);
    if (r < 0) {
        release(p);
        if (tried)
            uv_close((uv_handle_t *)&p->uv, on_closed);
        else
            on_closed((uv_handle_t *)&p->uv);
        return r;
    }
    uv_update_time(loop); /* a spawn takes a while */
    if (params->timeout_ms > 0)
        mw_timer_start(p->timer, params->timeout_ms);
    *ret = p;
    return 0;
}

void mw_process_cancel(struct mw_process *p)
{
    stop(p, MW_PROCESS_CANCELED, SIGTERM);
}

void mw_process_drop(struct mw_process *p)
{
    if (p->finished)
        return;
    p->finished = true;
    kill_group(p, SIGKILL);
    release(p);
    if (p->exited)
        uv_close((uv_handle_t *)&p->uv, on_closed);
    /* Otherwise its exit is awaited, so that no zombie stays. */
}

int mw_process_pid(const struct mw_process *p)
{
    return p->uv.pid;
}
