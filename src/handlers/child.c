#include "handlers/child.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/lines.h"
#include "base/str.h"
#include "io/handle.h"

/* A start that fails, or does not last for RESET_MS, makes the next wait longer. */
#define WAIT_MIN_MS 250
#define WAIT_MAX_MS 60000
#define RESET_MS    30000
/* How long it may take to end by itself once its input is closed, and how long with SIGTERM. */
#define CLOSE_MS 500
#define KILL_MS  500

struct gw_child {
    struct gw_child_params p;
    struct mw_process *process; /* NULL = it does not run */
    struct mw_timer *timer;     /* the next start; once freed: the next step to its end */
    struct mw_backoff backoff;
    int64_t not_before; /* monotonic: the next start */
    struct mw_lines lines;
    unsigned garbage_in_a_row;
    int64_t garbage, starts;
    char *why;     /* it is being ended by us for this reason */
    bool breaking; /* nothing of it is heard */
    bool freed;    /* only its end is awaited */
};

static void destroy(struct gw_child *c)
{
    mw_timer_free(c->timer);
    mw_lines_deinit(&c->lines);
    free(c->why);
    free(c);
}

/* ---- What it says ---- */

static void garbage(struct gw_child *c, const char *why)
{
    c->garbage++;
    if (++c->garbage_in_a_row >= GW_CHILD_GARBAGE)
        gw_child_break(c, "it prints what is no JSON");
    else
        c->p.ops->garbage(c->p.owner, why);
}

static void take_line(struct gw_child *c, const char *line, size_t len)
{
    MW_AUTOJSON *msg = NULL;
    MW_AUTOERROR err = MW_ERROR_INIT;
    int r;

    if (!len)
        return;
    r = mw_json_parse(line, len, &msg, &err);
    if (r == -ENOMEM)
        gw_child_break(c, "no memory for what it says");
    else if (r)
        garbage(c, mw_error_text(&err));
    else if (!cJSON_IsObject(msg))
        garbage(c, "JSON, but no object");
    else {
        c->garbage_in_a_row = 0;
        c->p.ops->message(c->p.owner, msg);
    }
}

static void on_output(struct mw_process *p, const char *data, size_t len, void *userdata)
{
    struct gw_child *c = userdata;
    const char *line = NULL;
    size_t n = 0;
    int r;

    if (c->breaking || c->freed)
        return;
    if (!len) {
        /* It cannot say anything more; when that is because it ends, its end tells more. */
        c->breaking = true;
        mw_timer_start(c->timer, CLOSE_MS);
        return;
    }
    if (mw_lines_feed(&c->lines, data, len)) {
        gw_child_break(c, "no memory for what it says");
        return;
    }
    while (!c->breaking && (r = mw_lines_next(&c->lines, &line, &n))) {
        if (r < 0) {
            char why[64];

            snprintf(why, sizeof(why), "it printed a line of more than %zu bytes", c->p.max_line);
            gw_child_break(c, why);
        } else {
            take_line(c, line, n);
        }
    }
}

/* ---- Its end ---- */

static void describe(const struct gw_child *c, const struct mw_process_result *r,
                     struct mw_buf *out)
{
    if (c->why)
        mw_buf_printf(out, "%s, so it was stopped: ", c->why);
    gw_describe_exit(r, out);
}

static void on_end(struct mw_process *p, const struct mw_process_result *r, void *userdata)
{
    struct gw_child *c = userdata;
    MW_AUTOBUF text = {.limit = 8192};
    int64_t now = mw_clock_mono();

    c->process = NULL;
    if (c->freed) {
        destroy(c);
        return;
    }
    mw_timer_stop(c->timer);
    describe(c, r, &text);
    c->not_before = now + mw_backoff_next(&c->backoff, now);
    c->breaking = false;
    free(take_ptr(c->why));
    mw_lines_clear(&c->lines);
    c->p.ops->gone(c->p.owner, mw_buf_str(&text));
}

void gw_child_break(struct gw_child *c, const char *why)
{
    if (!c->process || c->why)
        return;
    c->why = strdup(why); /* without memory the exit status has to do */
    c->breaking = true;
    mw_process_cancel(c->process);
}

/* ---- Its start ---- */

static int spawn(struct gw_child *c, struct mw_error *err)
{
    const struct gw_handler_config *config = c->p.config;
    MW_AUTOFREE const char **argv = gw_argv(&config->command);
    struct gw_env env = {0};
    int64_t now = mw_clock_mono();
    int r = gw_env_make(&env, config, NULL);

    if (r || !argv) {
        gw_env_deinit(&env);
        return mw_error_set(err, -ENOMEM, "out of memory");
    }
    const struct mw_process_params p = {
        .argv = argv,
        .env = (const char *const *)env.items,
        .workdir = config->workdir,
        .keep_input = true,
        .max_input = c->p.max_input,
        .on_output = on_output,
        .kill_after_ms = KILL_MS,
    };
    r = mw_process_start(c->p.loop, &p, on_end, c, &c->process, err);
    gw_env_deinit(&env);
    if (r) {
        c->not_before = now + mw_backoff_next(&c->backoff, now);
        return r;
    }
    c->starts++;
    c->garbage_in_a_row = 0;
    mw_backoff_healthy(&c->backoff, now);
    return 0;
}

static void on_timer(void *userdata)
{
    struct gw_child *c = userdata;
    MW_AUTOERROR err = MW_ERROR_INIT;

    if (c->freed)
        mw_process_cancel(c->process);
    else if (c->process)
        gw_child_break(c, "it closed its standard output");
    else if (spawn(c, &err))
        c->p.ops->gone(c->p.owner, mw_error_text(&err));
    else
        c->p.ops->started(c->p.owner);
}

int gw_child_start(struct gw_child *c, struct mw_error *err)
{
    int64_t wait = c->not_before - mw_clock_mono();

    if (c->process && !c->breaking)
        return 0;
    if (c->process || mw_timer_active(c->timer))
        return 1;
    if (wait <= 0)
        return spawn(c, err);
    mw_timer_start(c->timer, wait);
    return 1;
}

/* ---- Interface ---- */

int gw_child_new(const struct gw_child_params *params, struct gw_child **ret)
{
    struct gw_child *c = calloc(1, sizeof(*c));

    if (!c || mw_timer_new(params->loop, on_timer, c, &c->timer)) {
        free(c);
        return -ENOMEM;
    }
    c->p = *params;
    mw_backoff_init(&c->backoff, WAIT_MIN_MS, WAIT_MAX_MS, RESET_MS);
    mw_lines_init(&c->lines, params->max_line);
    *ret = c;
    return 0;
}

void gw_child_free(struct gw_child *c)
{
    if (!c)
        return;
    if (!c->process) {
        destroy(c);
        return;
    }
    c->freed = true;
    mw_process_close_input(c->process);
    mw_timer_start(c->timer, CLOSE_MS);
}

int gw_child_send(struct gw_child *c, const char *line, size_t len)
{
    MW_AUTOBUF text = {0};
    int r;

    if (!c->process || c->breaking)
        return -EPIPE;
    if (mw_buf_append(&text, line, len) || mw_buf_putc(&text, '\n'))
        return -ENOMEM;
    r = mw_process_write(c->process, text.data, text.len);
    if (r == -EPIPE)
        gw_child_break(c, "it closed its standard input");
    return r;
}

bool gw_child_runs(const struct gw_child *c)
{
    return c->process && !c->breaking;
}

int gw_child_status(const struct gw_child *c, cJSON *object)
{
    if ((c->process && mw_json_add_i64(object, "pid", mw_process_pid(c->process))) ||
        mw_json_add_i64(object, "restarts", c->starts ? c->starts - 1 : 0) ||
        mw_json_add_i64(object, "garbage", c->garbage))
        return -ENOMEM;
    return 0;
}
