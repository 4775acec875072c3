/*
 * `stream`: events as they come. A line is acknowledged only once it was written, and credit for
 * more is granted then, so a slow reader of ours slows the stream and loses nothing. When the
 * daemon is restarted the stream goes on behind the last line that was written.
 */
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/kinds.h"
#include "cli/stream_exec.h"

#define CREDIT 256 /* events under way at a time */

/* How often a daemon that went away is looked for. */
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 5000
#define HEALTHY_MS   10000

static volatile sig_atomic_t stop;
static volatile sig_atomic_t idle; /* nothing is under way: a signal may end us where we are */

static void on_signal(int signum)
{
    stop = 1;
    if (idle)
        _exit(CLI_DONE);
}

struct stream {
    struct cli *cli;
    const struct cli_stream_options *options;
    struct cli_exec exec; /* argv NULL = events are printed */
    struct cli_conn conn;
    struct mw_backoff backoff;
    int64_t subscription;
    bool named;
    int64_t position;  /* written up to this event; -1 = where the daemon begins */
    int64_t last_id;   /* printed and not yet acknowledged; 0 = none */
    int64_t printed;   /* events since credit was granted */
    struct mw_buf out; /* lines to write */
    bool over;         /* nothing more comes */
    struct cli_repeats repeats;
    sigset_t while_waiting, while_working;
};

/* Signals come only while we wait, for input or for whoever reads our output; so what was written
 * is acknowledged. */
static void block_signals(struct stream *s)
{
    struct sigaction act = {.sa_handler = on_signal};

    sigemptyset(&s->while_working);
    sigaddset(&s->while_working, SIGINT);
    sigaddset(&s->while_working, SIGTERM);
    sigprocmask(SIG_BLOCK, &s->while_working, &s->while_waiting);
    sigprocmask(SIG_BLOCK, NULL, &s->while_working);
    sigdelset(&s->while_waiting, SIGINT);
    sigdelset(&s->while_waiting, SIGTERM);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

static int print_event(struct stream *s, const cJSON *event)
{
    if (s->cli->json) {
        mw_json_write(&s->out, event);
        mw_buf_putc(&s->out, '\n');
    } else if (!cli_repeated(&s->repeats, event)) {
        cli_write_event(&s->out, s->cli, event);
    }
    if (mw_buf_error(&s->out))
        return cli_no_memory();
    s->printed++;
    s->last_id = MW_MAX(s->last_id, mw_json_i64(event, "id", 0));
    return CLI_DONE;
}

/* A signal ends it where the reader takes nothing; then stop is set, and what was not written is
 * not acknowledged. */
static int write_out(struct stream *s)
{
    int r = CLI_DONE;

    sigprocmask(SIG_SETMASK, &s->while_waiting, NULL);
    while (s->out.len && r == CLI_DONE && !stop) {
        ssize_t n = write(STDOUT_FILENO, s->out.data, s->out.len);

        if (n >= 0)
            mw_buf_consume(&s->out, (size_t)n);
        else if (errno != EINTR)
            r = cli_error(CLI_FAILED, "cannot write to standard output: %s", strerror(errno));
    }
    sigprocmask(SIG_SETMASK, &s->while_working, NULL);
    return r;
}

static int settle(struct stream *s);

/* The program took it: acknowledged at once, so that it does not get it again. */
static int exec_event(struct stream *s, const cJSON *event)
{
    MW_AUTOFREE char *text = mw_json_print(event);
    MW_AUTOFREE char *json = text ? mw_asprintf("%s\n", text) : NULL; /* for `read` of a shell */
    int64_t id = mw_json_i64(event, "id", 0);
    bool taken;
    int r;

    if (!json)
        return cli_no_memory();
    r = cli_exec_event(&s->exec, json, id, &taken);
    if (r || !taken)
        return r;
    s->printed++;
    s->last_id = MW_MAX(s->last_id, id);
    return settle(s);
}

static int handle_line(struct stream *s, const char *line, size_t len)
{
    MW_AUTOJSON *message = NULL;
    const cJSON *error, *event;

    if (mw_json_parse(line, len, &message, NULL) < 0)
        return cli_error(CLI_FAILED, "the daemon sent something that is not JSON");
    error = mw_json_obj(message, "error");
    if (error)
        return cli_print_rpc_error(error);
    if (strcmp(mw_json_str_or(message, "method", ""), "stream.end") == 0) {
        s->over = true;
        return CLI_DONE;
    }
    event = mw_json_obj(mw_json_obj(message, "params"), "event");
    if (!event)
        return CLI_DONE;
    return s->exec.argv ? exec_event(s, event) : print_event(s, event);
}

/* What was printed is written; the daemon may forget it and send as much again. */
static int settle(struct stream *s)
{
    MW_AUTOJSON *params = NULL;
    bool ack = s->named && s->last_id;
    int r;

    if (!s->printed)
        return CLI_DONE;
    r = write_out(s);
    if (!s->out.len)
        s->position = MW_MAX(s->position, s->last_id);
    /* Without a name credit can be granted in larger steps. */
    if (r || s->out.len || (!ack && s->printed < CREDIT / 4))
        return r;
    params = cJSON_CreateObject();
    if (!params || mw_json_add_i64(params, "subscription", s->subscription) ||
        (ack && mw_json_add_i64(params, "id", s->last_id)) ||
        mw_json_add_i64(params, "n", s->printed))
        return cli_no_memory();
    s->printed = 0;
    s->last_id = 0;
    return cli_request(&s->conn, 0, ack ? "stream.ack" : "stream.credit", take_ptr(params));
}

/* Until it is over, or the daemon is gone (CLI_UNREACHABLE). */
static int follow(struct stream *s)
{
    struct pollfd fds[2] = {
        {.fd = s->conn.fd, .events = POLLIN},
        {.fd = STDOUT_FILENO}, /* only whether somebody is still there */
    };
    char *line = NULL;
    size_t len = 0;
    int r;

    for (;;) {
        for (;;) {
            r = cli_read_line(&s->conn, false, &line, &len);
            if (r || !line)
                break;
            r = handle_line(s, line, len);
            if (r || (stop && s->exec.argv))
                break;
        }
        if (r == CLI_DONE)
            r = settle(s);
        if (r || stop)
            return r;
        if (s->over)
            return cli_error(
                CLI_FAILED, "the bot \"%s\" was removed from the configuration: the stream is over",
                s->options->bot);
        if (ppoll(fds, 2, NULL, &s->while_waiting) < 0 && errno != EINTR)
            return cli_error(CLI_FAILED, "cannot wait for events: %s", strerror(errno));
        if (stop || (fds[1].revents && !s->exec.argv))
            return CLI_DONE;
        if (!(fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        r = cli_read_some(&s->conn);
        if (r == -ENOMEM)
            return cli_no_memory();
        if (r < 0)
            return CLI_UNREACHABLE;
    }
}

static int subscribe(struct stream *s)
{
    const struct cli_stream_options *o = s->options;
    MW_AUTOJSON *params = cJSON_CreateObject(), *result = NULL;
    int r;

    if (!params)
        return cli_no_memory();
    r = cli_add_kinds(params, &o->kinds);
    if (r)
        return r;
    if ((o->consumer && mw_json_add_str(params, "consumer", o->consumer)) ||
        (o->bot && mw_json_add_str(params, "bot", o->bot)) ||
        (s->position >= 0 && mw_json_add_i64(params, "after", s->position)) ||
        (o->raw && mw_json_add_bool(params, "raw", true)) ||
        mw_json_add_i64(params, "credit", CREDIT))
        return cli_no_memory();
    r = cli_call(&s->conn, "stream", take_ptr(params), &result);
    if (r)
        return r;
    s->subscription = mw_json_i64(result, "subscription", 0);
    s->position = mw_json_i64(result, "after", s->position);
    s->printed = s->last_id = 0;
    mw_backoff_healthy(&s->backoff, mw_clock_mono());
    return CLI_DONE;
}

/* The daemon may not have heard what was acknowledged last. */
static int acknowledge_again(struct stream *s)
{
    cJSON *params = cJSON_CreateObject();

    if (!params || mw_json_add_i64(params, "subscription", s->subscription) ||
        mw_json_add_i64(params, "id", s->position)) {
        cJSON_Delete(params);
        return cli_no_memory();
    }
    return cli_request(&s->conn, 0, "stream.ack", params);
}

static int try_again(struct stream *s)
{
    MW_AUTOFREE char *path = NULL;
    int r = cli_try_connect(s->cli, &s->conn, &path);

    if (r < 0)
        return path ? CLI_UNREACHABLE : cli_no_memory();
    r = subscribe(s);
    if (r == CLI_DONE && s->named && s->position > 0)
        r = acknowledge_again(s);
    return r;
}

/* Waits for the daemon. Returns CLI_DONE when the stream goes on; *ret_gone: nobody reads us. */
static int reconnect(struct stream *s, bool *ret_gone)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    int r;

    cli_error(CLI_DONE, "the daemon ended the stream; waiting for it to come back");
    idle = 1;
    sigprocmask(SIG_SETMASK, &s->while_waiting, NULL);
    do {
        cli_conn_deinit(&s->conn);
        s->conn = (struct cli_conn){.fd = -1};
        if (poll(&reader, 1, (int)mw_backoff_next(&s->backoff, mw_clock_mono())) > 0 &&
            !s->exec.argv)
            *ret_gone = true;
        r = *ret_gone ? CLI_DONE : try_again(s);
    } while (r == CLI_UNREACHABLE);
    sigprocmask(SIG_SETMASK, &s->while_working, NULL);
    idle = 0;
    if (r == CLI_DONE && !*ret_gone)
        cli_error(CLI_DONE, "the daemon is back, the stream goes on");
    return r;
}

int cli_run_stream(struct cli *cli, const void *options, int argc, char **argv)
{
    const struct cli_stream_options *o = options;
    struct stream s = {
        .cli = cli,
        .options = o,
        .conn.fd = -1,
        .named = o->consumer != NULL,
        .position = o->since,
    };
    MW_AUTOFREE char **command = calloc((size_t)argc + 2, sizeof(*command));
    bool gone = false;
    int r;

    if (!command)
        return cli_no_memory();
    if (argc && !o->exec)
        return cli_error(CLI_USAGE, "stream takes arguments only for --exec");
    if (o->exec) {
        command[0] = (char *)o->exec;
        memcpy(command + 1, argv, (size_t)argc * sizeof(*command));
        s.exec = (struct cli_exec){
            .argv = command,
            .tries = o->tries,
            .while_waiting = &s.while_waiting,
            .stop = &stop,
        };
    }
    cli->ids = o->ids;
    mw_backoff_init(&s.backoff, RETRY_MIN_MS, RETRY_MAX_MS, HEALTHY_MS);
    r = cli_connect(cli, &s.conn);
    if (r == CLI_DONE)
        r = subscribe(&s);
    if (r == CLI_DONE) {
        block_signals(&s);
        r = follow(&s);
        while (r == CLI_UNREACHABLE && !stop && !gone) {
            r = reconnect(&s, &gone);
            if (r == CLI_DONE && !gone)
                r = follow(&s);
        }
    }
    cli_conn_deinit(&s.conn);
    mw_buf_deinit(&s.out);
    return r;
}
