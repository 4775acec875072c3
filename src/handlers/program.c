#include "handlers/program.h"

#include "base/str.h"
#include "base/utf8.h"
#include "handlers/handlers.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"
/* One argument or variable may have 128 KiB on Linux; the whole event is on standard input. */
#define MAX_VARIABLE (64 * 1024)
#define ERROR_LINES  3
#define ERROR_TAIL   1000

/* ---- The environment ---- */

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
        "MATTERWIRE_EVENT_ID", "MATTERWIRE_KIND",        "MATTERWIRE_DIRECT",
        "MATTERWIRE_MENTION",  "MATTERWIRE_LOCAL_FILES",
    };

    if (i < MW_ARRAY_LEN(more))
        return more[i];
    i -= MW_ARRAY_LEN(more);
    return i < MW_ARRAY_LEN(variables) ? variables[i].name : NULL;
}

void gw_env_deinit(struct gw_env *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->items[i]);
    free(e->items);
}

/* Takes over `item`; one with the same name is replaced. Returns 0 or -ENOMEM. */
static int env_put(struct gw_env *e, char *item)
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

static int env_inherit(struct gw_env *e, const char *name, const char *fallback)
{
    const char *value = getenv(name);

    if (!value)
        value = fallback;
    return value ? env_put(e, mw_asprintf("%s=%s", name, value)) : 0;
}

static int env_event(struct gw_env *e, const struct mw_event *ev)
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

/* The paths of the files that are on this machine, one on each line. */
static int env_files(struct gw_env *e, const struct gw_turn *turn)
{
    MW_AUTOBUF b = {0};

    mw_buf_init(&b, MAX_VARIABLE);
    for (size_t i = 0; i < turn->n_files; i++) {
        if (turn->files[i].path)
            mw_buf_printf(&b, "%s%s", b.len ? "\n" : "", turn->files[i].path);
    }
    if (mw_buf_error(&b) == -E2BIG)
        return 0; /* left out, as all that is too long */
    if (mw_buf_error(&b))
        return -ENOMEM;
    return b.len ? env_put(e, mw_asprintf("MATTERWIRE_LOCAL_FILES=%s", mw_buf_str(&b))) : 0;
}

int gw_env_make(struct gw_env *e, const struct gw_handler_config *c, const struct gw_turn *turn)
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
    if (!turn)
        return 0;
    return env_event(e, turn->ev) ? -ENOMEM : env_files(e, turn);
}

const char **gw_argv(const struct gw_strings *command)
{
    const char **argv = calloc(command->n + 1, sizeof(*argv));

    for (size_t i = 0; argv && i < command->n; i++)
        argv[i] = command->items[i];
    return argv;
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

void gw_describe_exit(const struct mw_process_result *r, struct mw_buf *out)
{
    MW_AUTOBUF tail = {.limit = 4096};

    if (r->signal)
        mw_buf_printf(out, "ended by signal %d (%s)", r->signal, strsignal(r->signal));
    else
        mw_buf_printf(out, "exit status %d", r->exit_code);
    last_lines(r->err, &tail);
    if (tail.len)
        mw_buf_printf(out, ": %s", mw_buf_str(&tail));
}

static bool only_space(const char *s)
{
    return !s[strspn(s, " \t\r\n")];
}

enum gw_handler_end gw_program_end(const struct mw_process_result *r, int64_t timeout_ms,
                                   size_t max_output, struct mw_error *err)
{
    MW_AUTOBUF text = {.limit = 8192};

    switch (r->end) {
    case MW_PROCESS_EXITED:
        if (r->exit_code == 0)
            return only_space(mw_buf_str(r->out)) ? GW_HANDLER_EMPTY : GW_HANDLER_ANSWERED;
        /* fall through */
    case MW_PROCESS_SIGNALED:
        gw_describe_exit(r, &text);
        mw_error_set(err, -EIO, "%s", mw_buf_str(&text));
        return GW_HANDLER_FAILED;
    case MW_PROCESS_TIMEOUT:
        last_lines(r->err, &text);
        mw_error_set(err, -ETIMEDOUT, "not done after %lld s, so it was stopped%s%s",
                     (long long)(timeout_ms / 1000), text.len ? ": " : "", mw_buf_str(&text));
        return GW_HANDLER_TIMEOUT;
    case MW_PROCESS_FLOODED:
        mw_error_set(err, -E2BIG, "more than %zu bytes of output", max_output);
        return GW_HANDLER_FAILED;
    case MW_PROCESS_CANCELED:
        return GW_HANDLER_CANCELED;
    }
    return GW_HANDLER_FAILED;
}

int gw_clean_text(const char *data, size_t len, struct mw_buf *out)
{
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = mw_utf8_char_len(data + i, len - i);
        if (n && data[i])
            mw_buf_append(out, data + i, n);
        else
            mw_buf_puts(out, "\xef\xbf\xbd");
    }
    return mw_buf_error(out);
}
