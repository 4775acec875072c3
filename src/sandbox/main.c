/* Starting and stopping the sandbox. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "io/http.h"
#include "sandbox/domain.h"
#include "sandbox/seed.h"
#include "sandbox/upload.h"

struct stopper {
    uv_signal_t interrupt, terminate;
    uv_prepare_t commit;
    struct sb_server *sv;
};

static void on_signal(uv_signal_t *handle, int signum)
{
    struct sb_server *sv = handle->data;

    uv_stop(&sv->loop);
}

/* Before the loop sleeps: what this turn changed goes to the file. */
static void on_prepare(uv_prepare_t *handle)
{
    struct sb_server *sv = handle->data;
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (sb_state_commit(&sv->state, &err) < 0) {
        mw_log_error("cannot keep the state", MW_F_STR("why", mw_error_text(&err)));
        sv->exit_status = 1;
        uv_stop(&sv->loop);
    }
}

/* "host:port", ":port" or "port". Returns 0 or -EINVAL. */
static int parse_address(const char *text, char *host, size_t size, uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    const char *port = colon ? colon + 1 : text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    char *end;
    long n = strtol(port, &end, 10);

    if (!*port || *end || n < 0 || n > 65535 || len >= size)
        return -EINVAL;
    if (len > 1 && *text == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    snprintf(host, size, "%.*s", (int)len, text);
    if (!len)
        snprintf(host, size, "127.0.0.1");
    *ret_port = (uint16_t)n;
    return 0;
}

static int listen_at(struct sb_server *sv, const char *address, size_t max_body,
                     void (*on_request)(struct mw_httpd_request *req, void *userdata),
                     struct mw_httpd **ret, char *url, size_t size, struct mw_error *err)
{
    char host[64];
    struct mw_httpd_params params = {
        .address = host, .max_body = max_body, .on_request = on_request, .userdata = sv};
    int r = parse_address(address, host, sizeof(host), &params.port);

    if (r < 0)
        return mw_error_set(err, r, "'%s' is not an address like 127.0.0.1:8065", address);
    r = mw_httpd_new(&sv->loop, &params, ret, err);
    if (r == 0)
        snprintf(url, size, strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host,
                 mw_httpd_port(*ret));
    return r;
}

static int fill_world(struct sb_server *sv, const struct sb_options *o, struct mw_error *err)
{
    bool empty = sv->state.users.count == 0;
    int r = 0;

    if (empty && !mw_streq(o->seed, "none")) {
        r = sb_seed(sv, err);
        if (r == 0)
            r = sb_seed_bot(sv, "helper", err);
    }
    for (const char *const *bot = o->bots; bot && *bot && r == 0; bot++)
        r = sb_seed_bot(sv, *bot, err);
    return r;
}

static int check_options(const struct sb_options *o, struct mw_error *err)
{
    if (o->seed && !mw_streq(o->seed, "demo") && !mw_streq(o->seed, "none"))
        return mw_error_set(err, -EINVAL, "--seed is 'demo' or 'none', not '%s'", o->seed);
    if (o->version && !mw_streq(o->version, "11.6") && !mw_streq(o->version, "5.37"))
        return mw_error_set(err, -EINVAL, "--server-version is '11.6' or '5.37', not '%s'",
                            o->version);
    return 0;
}

static int start(struct sb_server *sv, const struct sb_options *o, char *control_url, size_t size,
                 struct mw_error *err)
{
    int r = check_options(o, err);

    if (r == 0 && o->database)
        r = sb_state_open(&sv->state, o->database, err);
    if (r == 0)
        r = fill_world(sv, o, err);
    if (r == 0 && o->control)
        r = listen_at(sv, o->control, 1024 * 1024, sb_control_request, &sv->control.httpd,
                      control_url, size, err);
    if (r == 0)
        r = listen_at(sv, o->listen ? o->listen : SB_DEFAULT_LISTEN, SB_MAX_FILE_SIZE + 1024 * 1024,
                      sb_rest_request, &sv->httpd, sv->url, sizeof(sv->url), err);
    return r;
}

static int say_ready(const struct sb_server *sv, const struct sb_options *o,
                     const char *control_url)
{
    MW_AUTOBUF b = {0};
    int fd = o->ready_fd >= 0 ? o->ready_fd : STDOUT_FILENO;

    if (*control_url)
        mw_buf_printf(&b, "sandbox control %s\n", control_url);
    mw_buf_printf(&b, "sandbox ready %s\n", sv->url);
    return mw_buf_error(&b) || write(fd, mw_buf_str(&b), b.len) != (ssize_t)b.len ? -EIO : 0;
}

static void watch(struct stopper *s, struct sb_server *sv)
{
    uv_signal_init(&sv->loop, &s->interrupt);
    uv_signal_init(&sv->loop, &s->terminate);
    uv_prepare_init(&sv->loop, &s->commit);
    s->interrupt.data = s->terminate.data = s->commit.data = sv;
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
    uv_signal_start(&s->terminate, on_signal, SIGTERM);
    uv_prepare_start(&s->commit, on_prepare);
}

static void close_watch(struct stopper *s)
{
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    uv_close((uv_handle_t *)&s->terminate, NULL);
    uv_close((uv_handle_t *)&s->commit, NULL);
}

static int run(struct sb_server *sv, const struct sb_options *o)
{
    MW_AUTOERROR err = MW_ERROR_INIT;
    char control_url[96] = "";
    struct stopper stopper;
    int r;

    watch(&stopper, sv);
    r = start(sv, o, control_url, sizeof(control_url), &err);
    if (r == 0) {
        r = say_ready(sv, o, control_url);
        if (r == 0 && !o->quiet)
            mw_log_info("sandbox listens", MW_F_STR("url", sv->url),
                        MW_F_STR("version", sb_version(sv)));
        if (r == 0)
            uv_run(&sv->loop, UV_RUN_DEFAULT);
    } else {
        mw_log_error("the sandbox did not start", MW_F_STR("why", mw_error_text(&err)));
    }
    if (r == 0 && sb_state_commit(&sv->state, &err) < 0)
        r = -EIO;
    mw_http_free(take_ptr(sv->http)); /* its calls end before the requests that wait for them */
    mw_httpd_free(take_ptr(sv->httpd));
    sb_control_deinit(&sv->control);
    sb_hub_deinit(&sv->hub);
    close_watch(&stopper);
    uv_run(&sv->loop, UV_RUN_DEFAULT);
    return r == -EINVAL ? 2 : r < 0 ? 1 : sv->exit_status;
}

int sb_main(const struct sb_options *options)
{
    struct sb_server *sv = calloc(1, sizeof(*sv));
    int status = 1;

    if (!sv || uv_loop_init(&sv->loop) < 0) {
        free(sv);
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    sv->old = mw_streq(options->version, "5.37");
    sv->quiet = options->quiet;
    sb_state_init(&sv->state);
    mw_map_init(&sv->pending, free);
    mw_map_init(&sv->uploads, sb_upload_free);
    sb_control_init(&sv->control, sv);
    if (sb_hub_init(&sv->hub, sv) == 0)
        status = run(sv, options);
    mw_map_deinit(&sv->pending);
    mw_map_deinit(&sv->uploads);
    sb_state_deinit(&sv->state);
    if (uv_loop_close(&sv->loop) < 0)
        mw_log_error("the loop still had handles");
    free(sv);
    return status;
}
