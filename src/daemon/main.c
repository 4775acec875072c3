/*
 * matterwired: the daemon. Stays in the foreground; what it has to say goes to standard error.
 *
 * Exit status: 0 stopped as asked, 2 wrong usage or configuration, 1 anything else.
 * Signals: SIGTERM and SIGINT end what is under way and stop, within 5 s whatever hangs; a second
 * one does not wait for handlers; SIGHUP reads the configuration again.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "handlers/handlers.h"
#include "io/handle.h"
#include "rpc/rpc.h"

/* Running handlers have so long to end by themselves; then they get SIGTERM, 2 s later SIGKILL. */
#define DRAIN_MS 2000
/* A disk that does not answer can hold every thread. What is not committed by then is fetched from
 * the server, or tried, again by the next start, as after any other death. */
#define DEADLINE_MS 4800

struct daemon {
    uv_loop_t loop;
    struct daemon_options options;
    char *config_path;
    struct gw *gw;
    struct rpc_server *rpc;
    uv_signal_t term, interrupt, hup;
    struct mw_timer *watchdog;
    bool stopping;
};

/* ---- Configuration ---- */

static void print_problems(const char *path, const struct gw_problems *problems)
{
    for (size_t i = 0; i < problems->n; i++) {
        const struct gw_problem *p = &problems->items[i];

        if (p->line)
            fprintf(stderr, "%s:%u:%u: %s\n", path, p->line, p->column, p->message);
        else
            fprintf(stderr, "%s: %s\n", path, p->message);
    }
}

static void log_problems(const char *path, const struct gw_problems *problems)
{
    for (size_t i = 0; i < problems->n; i++)
        mw_log_error("the configuration is not valid", MW_F_STR("file", path),
                     MW_F_INT("line", problems->items[i].line),
                     MW_F_INT("column", problems->items[i].column),
                     MW_F_STR("reason", problems->items[i].message));
}

static void setup_log(const struct daemon *d, const struct gw_config *config)
{
    enum mw_log_level level = config->daemon.log_level;

    if (d->options.log_level)
        (void)!mw_log_level_parse(d->options.log_level, &level);
    mw_log_setup(level, MW_LOG_AUTO);
}

/* Reads the file again and puts it into force. Returns as rpc_params.reload does. */
static int reload(struct gw_problems *problems, struct mw_error *err, void *userdata)
{
    struct daemon *d = userdata;
    struct gw_config *config = NULL;
    int rc;

    notify_reloading();
    rc = gw_config_load(d->config_path, &config, problems);
    if (!rc)
        rc = gw_reload(d->gw, config, err);
    if (rc) {
        gw_config_free(config);
        log_problems(d->config_path, problems);
        mw_log_error("the configuration stays as it was",
                     MW_F_STR("reason",
                              mw_error_is_set(err) ? mw_error_text(err) : "the file has mistakes"));
    } else {
        setup_log(d, config);
        mw_log_info("the configuration was read again", MW_F_STR("file", d->config_path));
    }
    notify_ready();
    return rc;
}

static void on_hup(uv_signal_t *handle, int signum)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_problems problems = {0};
    struct daemon *d = handle->data;

    if (d->stopping)
        return;
    reload(&problems, &err, d);
    gw_problems_deinit(&problems);
}

/* ---- The end ---- */

static void close_signal(uv_signal_t *s)
{
    if (s->data && !uv_is_closing((uv_handle_t *)s))
        uv_close((uv_handle_t *)s, NULL);
}

static void on_stopped(void *userdata)
{
    struct daemon *d = userdata;

    rpc_server_free(take_ptr(d->rpc));
    gw_free(take_ptr(d->gw));
    mw_timer_free(take_ptr(d->watchdog));
    close_signal(&d->term);
    close_signal(&d->interrupt);
    close_signal(&d->hup);
}

static void on_deadline(int signum)
{
    static const char text[] = "matterwired: the end took too long (a disk that hangs?), so it was "
                               "cut short; what was recorded is safe\n";

    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(1);
}

/* By a signal, because the loop itself may be what is held up. */
static void set_deadline(void)
{
    static const struct itimerval when = {
        .it_value = {.tv_sec = DEADLINE_MS / 1000, .tv_usec = DEADLINE_MS % 1000 * 1000},
    };

    signal(SIGALRM, on_deadline);
    setitimer(ITIMER_REAL, &when, NULL);
}

static void on_stop(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;

    if (!d->gw)
        return;
    if (!d->stopping) {
        mw_log_info("stopping", MW_F_STR("signal", strsignal(signum)));
        notify_stopping();
        set_deadline();
    }
    gw_stop(d->gw, d->stopping ? 0 : DRAIN_MS, on_stopped, d);
    d->stopping = true;
}

/* ---- The start ---- */

/* The folder of the database, with those above it; 0700 for the umask. */
static int make_folders(const char *file, struct mw_error *err)
{
    MW_AUTOFREE char *path = strdup(file);

    if (!path)
        return mw_error_set(err, -ENOMEM, "out of memory");
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            return mw_error_set(err, -errno, "cannot make the folder %s for the database: %s", path,
                                strerror(errno));
        *slash = '/';
    }
    return 0;
}

/* Many bots are many sockets. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int watch_signal(struct daemon *d, uv_signal_t *s, int signum, uv_signal_cb cb)
{
    int rc = uv_signal_init(&d->loop, s);

    if (rc)
        return rc;
    s->data = d;
    return uv_signal_start(s, cb, signum);
}

static int run(struct daemon *d, struct gw_config *config, struct mw_error *err)
{
    struct rpc_params rpc = {
        .path = config->daemon.socket,
        .reload = reload,
        .userdata = d,
    };
    int rc = make_folders(config->daemon.database, err);

    if (!rc)
        rc = gw_new(&d->loop, config, gw_handler_types, &d->gw, err);
    if (rc) {
        gw_config_free(config);
        return rc;
    }
    rpc.gw = d->gw;
    rc = rpc_server_new(&d->loop, &rpc, &d->rpc, err);
    if (!rc && (watch_signal(d, &d->term, SIGTERM, on_stop) ||
                watch_signal(d, &d->interrupt, SIGINT, on_stop) ||
                watch_signal(d, &d->hup, SIGHUP, on_hup)))
        rc = mw_error_set(err, -EIO, "the signal handlers could not be set up");
    if (rc) {
        on_stopped(d);
        return rc;
    }
    d->watchdog = notify_watchdog(&d->loop);
    notify_ready();
    mw_log_info("started", MW_F_STR("version", MW_VERSION), MW_F_STR("socket", rpc.path),
                MW_F_INT("bots", gw_get_config(d->gw)->n_bots));
    return 0;
}

static int load_config(struct daemon *d, struct gw_config **ret)
{
    struct gw_problems problems = {0};
    int rc;

    d->config_path = gw_config_path(d->options.config);
    rc = d->config_path ? gw_config_load(d->config_path, ret, &problems) : -ENOMEM;
    if (rc == 1)
        print_problems(d->config_path, &problems);
    else if (rc)
        fprintf(stderr, "matterwired: out of memory\n");
    gw_problems_deinit(&problems);
    return rc;
}

static int print_help(void)
{
    unsigned width = mw_terminal_width(STDOUT_FILENO);
    MW_AUTOBUF text = {0};

    mw_buf_puts(&text, "usage: matterwired [options]\n\n");
    mw_buf_wrap(&text, daemon_summary, 0, 0, width);
    mw_buf_putc(&text, '\n');
    mw_options_write_help(&text, daemon_option_table, width);
    fputs(mw_buf_str(&text), stdout);
    return mw_buf_error(&text) ? 1 : 0;
}

static int daemon_main(struct daemon *d)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    struct gw_config *config = NULL;
    int rc = load_config(d, &config);

    if (rc)
        return rc == 1 ? 2 : 1;
    if (d->options.check) {
        printf("%s: no mistakes found\n", d->config_path);
        gw_config_free(config);
        return 0;
    }
    umask(077);
    mw_ignore_sigpipe();
    signal(SIGXFSZ, SIG_IGN); /* a limit for files is an error of the write, as a full disk is */
    raise_file_limit();
    setup_log(d, config);
    if (uv_loop_init(&d->loop)) {
        fprintf(stderr, "matterwired: the event loop could not be set up\n");
        gw_config_free(config);
        return 1;
    }
    rc = run(d, config, &err);
    if (rc)
        fprintf(stderr, "matterwired: %s\n", mw_error_text(&err));
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    return rc > 0 ? 2 : rc ? 1 : 0;
}

int main(int argc, char **argv)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    static struct daemon d;
    int n = 0, rc;

    rc = mw_options_parse(daemon_option_table, argc - 1, argv + 1, MW_OPTIONS_PERMUTE, &d.options,
                          &n, &err);
    if (!rc && n)
        rc = mw_error_set(&err, 1, "matterwired takes no arguments, only options: %s", argv[1]);
    if (rc) {
        fprintf(stderr, "matterwired: %s\n", mw_error_text(&err));
        return rc > 0 ? 2 : 1;
    }
    if (d.options.help)
        return print_help();
    if (d.options.version) {
        printf("matterwired %s\n", MW_VERSION);
        return 0;
    }
    rc = daemon_main(&d);
    free(d.config_path);
    return rc;
}
