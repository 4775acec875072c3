/*
 * Type `command`: one process for each event, without a shell.
 *
 *   standard input    the event as one JSON object (docs/events.md), then the end of file
 *   environment       PATH, what `env_inherit` and `env` name, and the MATTERWIRE_* variables below
 *   working folder    `workdir`
 *   standard output   the answer, Markdown
 *   exit status       0 = well; anything else is a failure, told with the last lines of standard
 *                     error
 */
#include "base/buf.h"
#include "base/str.h"
#include "base/utf8.h"
#include "handlers/handlers.h"
#include "io/process.h"

#define DEFAULT_TIMEOUT_MS (120 * 1000)
#define DEFAULT_PATH       "/usr/local/bin:/usr/bin:/bin"
#define MAX_ANSWER         (1024 * 1024)
/* One argument or variable may have 128 KiB on Linux; the whole event is on standard input. */
#define MAX_VARIABLE (64 * 1024)
#define ERROR_LINES  3
#define ERROR_TAIL   1000

struct gw_handler_run {
    struct mw_process *process;
    const struct gw_turn_ops *ops;
    void *turn;
    int64_t timeout_ms;
    bool json;
};

/* The variables of an event. Strings that are not there are left out. */
static const struct {
    const char *name;
    size_t offset;
} variables[] = {
    {"MATTERWIRE_BOT", offsetof(struct mw_event, bot)},
    {"MATTERWIRE_CHANNEL_ID", offsetof(struct mw_event, channel_id)},
    {"MATTERWIRE_CHANNEL_NAME", offsetof(struct mw_event, channel_name)},
    {"MATTERWIRE_CHANNEL_TYPE", offsetof(struct mw_event, channel_type)},
    {"MATTERWIRE_TEAM_ID", offsetof(struct mw_event, team_id)},
    {"MATTERWIRE_TEAM_NAME", offsetof(struct mw_event, team_name)},
    {"MATTERWIRE_USER_ID", offsetof(struct mw_event, user_id)},
    {"MATTERWIRE_USER_NAME", offsetof(struct mw_event, user_name)},
    {"MATTERWIRE_POST_ID", offsetof(struct mw_event, post_id)},
    {"MATTERWIRE_ROOT_ID", offsetof(struct mw_event, root_id)},
    {"MATTERWIRE_TEXT", offsetof(struct mw_event, text)},
    {"MATTERWIRE_FILES", offsetof(struct mw_event, files)},
};

const char *gw_command_variable(size_t i)
{
    static const char *const more[] = {
        "MATTERWIRE_EVENT_ID",
        "MATTERWIRE_KIND",
        "MATTERWIRE_DIRECT",
        "MATTERWIRE_MENTION",
    };

    if (i < MW_ARRAY_LEN(more))
        return more[i];
    i -= MW_ARRAY_LEN(more);
    return i < MW_ARRAY_LEN(variables) ? variables[i].name : NULL;
}

/* ---- The environment ---- */

struct env {
    char **items; /* NULL-terminated */
    size_t n, cap;
};

static void env_deinit(struct env *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->items[i]);
    free(e->items);
}

/* Takes over `item`; one with the same name is replaced. Returns 0 or -ENOMEM. */
static int env_put(struct env *e, char *item)
{
    size_t name;

    if (!item)
        return -ENOMEM;
    name = strcspn(item, "=") + 1;
    for (size_t i = 0; i < e->n; i++) {
        if (!strncmp(e->items[i], item, name)) {
            free(e->items[i]);
            e->items[i] = item;
            return 0;
        }
    }
    if (e->n + 2 > e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 32;
        char **items = realloc(e->items, cap * sizeof(*items));

        if (!items) {
            free(item);
            return -ENOMEM;
        }
        e->items = items;
        e->cap = cap;
    }
    e->items[e->n++] = item;
    e->items[e->n] = NULL;
    return 0;
}

static int env_inherit(struct env *e, const char *name, const char *fallback)
{
    const char *value = getenv(name);

    if (!value)
        value = fallback;
    return value ? env_put(e, mw_asprintf("%s=%s", name, value)) : 0;
}

static int env_event(struct env *e, const struct mw_event *ev)
{
    if (env_put(e, mw_asprintf("MATTERWIRE_EVENT_ID=%lld", (long long)ev->id)) ||
        env_put(e, mw_asprintf("MATTERWIRE_KIND=%s", mw_event_kind_name(ev->kind))) ||
        env_put(e, mw_asprintf("MATTERWIRE_DIRECT=%d", !!(ev->flags & MW_EVENT_DIRECT))) ||
        env_put(e, mw_asprintf("MATTERWIRE_MENTION=%d", !!(ev->flags & MW_EVENT_MENTION))))
        return -ENOMEM;
    for (size_t i = 0; i < MW_ARRAY_LEN(variables); i++) {
        const char *value;

        memcpy(&value, (const char *)ev + variables[i].offset, sizeof(value));
        if (!value || !value[0] || strlen(value) > MAX_VARIABLE)
            continue;
        if (env_put(e, mw_asprintf("%s=%s", variables[i].name, value)))
            return -ENOMEM;
    }
    return 0;
}

static int env_make(struct env *e, const struct gw_handler_config *c, const struct mw_event *ev)
{
    if (env_inherit(e, "PATH", DEFAULT_PATH))
        return -ENOMEM;
    for (size_t i = 0; i < c->env_inherit.n; i++) {
        if (env_inherit(e, c->env_inherit.items[i], NULL))
            return -ENOMEM;
    }
    for (size_t i = 0; i < c->env.n; i++) {
        if (env_put(e, strdup(c->env.items[i])))
            return -ENOMEM;
    }
    return env_event(e, ev);
}

/* ---- The end ---- */

/* The last lines of standard error, on one line: what a person needs to see. */
static void last_lines(const struct mw_buf *text, struct mw_buf *out)
{
    const char *s = mw_buf_str(text);
    size_t end = strlen(s), start, lines = 0;

    while (end && strchr(" \t\r\n", s[end - 1]))
        end--;
    for (start = end; start && end - start < ERROR_TAIL; start--) {
        if (s[start - 1] == '\n' && ++lines == ERROR_LINES)
            break;
    }
    while (start < end && ((unsigned char)s[start] & 0xc0) == 0x80)
        start++; /* not in the middle of a character */
    for (; start < end; start++) {
        unsigned char ch = (unsigned char)s[start];

        if (ch == '\n')
            mw_buf_puts(out, " / ");
        else if (ch >= ' ' && ch != 0x7f)
            mw_buf_putc(out, s[start]);
    }
}

static bool only_space(const char *s)
{
    return !s[strspn(s, " \t\r\n")];
}

static void judge(const struct gw_handler_run *run, const struct mw_process_result *r,
                  struct gw_handler_answer *a)
{
    MW_AUTOBUF tail = {.limit = 4096};

    last_lines(r->err, &tail);
    a->end = GW_HANDLER_FAILED;
    switch (r->end) {
    case MW_PROCESS_EXITED:
        if (r->exit_code == 0) {
            a->end = only_space(mw_buf_str(r->out)) ? GW_HANDLER_EMPTY : GW_HANDLER_ANSWERED;
            return;
        }
        mw_error_set(&a->err, -EIO, "exit status %d%s%s", r->exit_code, tail.len ? ": " : "",
                     mw_buf_str(&tail));
        return;
    case MW_PROCESS_SIGNALED:
        mw_error_set(&a->err, -EIO, "ended by signal %d (%s)%s%s", r->signal, strsignal(r->signal),
                     tail.len ? ": " : "", mw_buf_str(&tail));
        return;
    case MW_PROCESS_TIMEOUT:
        a->end = GW_HANDLER_TIMEOUT;
        mw_error_set(&a->err, -ETIMEDOUT, "not done after %lld s, so it was stopped%s%s",
                     (long long)(run->timeout_ms / 1000), tail.len ? ": " : "", mw_buf_str(&tail));
        return;
    case MW_PROCESS_FLOODED:
        mw_error_set(&a->err, -E2BIG, "more than %d bytes of output", MAX_ANSWER);
        return;
    case MW_PROCESS_CANCELED:
        a->end = GW_HANDLER_CANCELED;
        return;
    }
}

/* Programs print what they like; a post is text. Returns 0 or -ENOMEM. */
static int clean(const struct mw_buf *in, struct mw_buf *out)
{
    for (size_t i = 0, n; i < in->len; i += n ? n : 1) {
        n = mw_utf8_char_len(in->data + i, in->len - i);
        if (n && in->data[i])
            mw_buf_append(out, in->data + i, n);
        else
            mw_buf_puts(out, "\xef\xbf\xbd");
    }
    return mw_buf_error(out);
}

static void on_end(struct mw_process *p, const struct mw_process_result *r, void *userdata)
{
    struct gw_handler_run *run = userdata;
    struct gw_handler_answer a = {.text = ""};
    MW_AUTOBUF text = {0};
    MW_AUTOJSON *json = NULL;

    judge(run, r, &a);
    if (a.end == GW_HANDLER_ANSWERED && clean(r->out, &text)) {
        a.end = GW_HANDLER_FAILED;
        mw_error_set(&a.err, -ENOMEM, "out of memory");
    } else if (a.end == GW_HANDLER_ANSWERED) {
        a.text = mw_buf_str(&text);
    }
    if (a.end == GW_HANDLER_ANSWERED && run->json &&
        mw_json_parse(a.text, strlen(a.text), &json, &a.err)) {
        a.end = GW_HANDLER_FAILED;
        mw_error_prefix(&a.err, "the output is no JSON (output: json)");
    }
    a.json = json;
    run->ops->end(run->turn, &a);
    mw_error_reset(&a.err);
    free(run);
}

/* ---- The start ---- */

static int open_command(const struct gw_handler_host *host, struct gw_handler_instance **ret,
                        struct mw_error *err)
{
    /* Nothing is kept between runs. */
    *ret = (struct gw_handler_instance *)host;
    return 0;
}

static int start(struct gw_handler_instance *in, const struct gw_turn *turn,
                 const struct gw_turn_ops *ops, void *userdata, struct gw_handler_run **ret,
                 struct mw_error *err)
{
    const struct gw_handler_host *host = (const struct gw_handler_host *)in;
    const struct gw_handler_config *config = host->config;
    struct gw_handler_run *run = calloc(1, sizeof(*run));
    const char **argv = calloc(config->command.n + 1, sizeof(*argv));
    struct env env = {0};
    MW_AUTOBUF input = {0};
    int rc = -ENOMEM;

    if (!run || !argv || env_make(&env, config, turn->ev) ||
        mw_event_write_json(&input, turn->ev, true) || mw_buf_putc(&input, '\n')) {
        mw_error_set(err, rc, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < config->command.n; i++)
        argv[i] = config->command.items[i];
    run->ops = ops;
    run->turn = userdata;
    run->timeout_ms = turn->timeout_ms ? turn->timeout_ms : DEFAULT_TIMEOUT_MS;
    run->json = config->output == GW_OUTPUT_JSON;
    const struct mw_process_params p = {
        .argv = argv,
        .env = (const char *const *)env.items,
        .workdir = config->workdir,
        .input = input.data,
        .input_len = input.len,
        .timeout_ms = run->timeout_ms,
        .max_stdout = MAX_ANSWER,
    };
    rc = mw_process_start(host->loop, &p, on_end, run, &run->process, err);
    if (!rc)
        *ret = take_ptr(run);
out:
    env_deinit(&env);
    free(argv);
    free(run);
    return rc;
}

static void cancel(struct gw_handler_run *run)
{
    mw_process_cancel(run->process);
}

const struct gw_handler_type gw_command_handler = {
    .name = "command",
    .open = open_command,
    .start = start,
    .cancel = cancel,
};
