#include "base/options.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/utf8.h"

void mw_option_list_deinit(struct mw_option_list *l)
{
    if (!l)
        return;
    free(l->items);
    *l = (struct mw_option_list){0};
}

static const struct mw_option *find_long(const struct mw_option *table, const char *name,
                                         size_t len)
{
    for (const struct mw_option *o = table; o->name; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct mw_option *find_letter(const struct mw_option *table, char letter)
{
    for (const struct mw_option *o = table; o->name; o++)
        if (o->letter && o->letter == letter)
            return o;
    return NULL;
}

static int unknown_long(const struct mw_option *table, const char *arg, size_t len,
                        struct mw_error *err)
{
    MW_AUTOFREE char *name = strndup(arg, len);
    struct mw_nearest nearest = {.name = name};
    const char *best;

    if (!name)
        return -ENOMEM;
    for (const struct mw_option *o = table; o->name; o++)
        mw_nearest_offer(&nearest, o->name);
    best = mw_nearest_get(&nearest);
    if (best)
        return mw_error_set(err, 1, "unknown option --%s; did you mean --%s?", name, best);
    return mw_error_set(err, 1, "unknown option --%s", name);
}

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);

    for (const char *p = choices; *p;) {
        size_t word = strcspn(p, " ");

        if (word == len && memcmp(p, value, len) == 0)
            return true;
        p += word;
        p += strspn(p, " ");
    }
    return false;
}

static int list_push(struct mw_option_list *l, const char *value)
{
    const char **items = reallocarray(l->items, l->n + 1, sizeof(*items));

    if (!items)
        return -ENOMEM;
    l->items = items;
    l->items[l->n++] = value;
    return 0;
}

static int set_int(const struct mw_option *o, const char *value, int64_t *ret, struct mw_error *err)
{
    char *end;
    long long n;

    errno = 0;
    n = strtoll(value, &end, 10);
    if (end == value || *end || errno)
        return mw_error_set(err, 1, "--%s wants a whole number, not \"%s\"", o->name, value);
    if (o->min != o->max && (n < o->min || n > o->max))
        return mw_error_set(err, 1, "--%s must be between %lld and %lld", o->name,
                            (long long)o->min, (long long)o->max);
    *ret = n;
    return 0;
}

static int set_value(const struct mw_option *o, const char *value, void *target,
                     struct mw_error *err)
{
    void *slot = (char *)target + o->offset;

    if (o->choices && !is_choice(o->choices, value))
        return mw_error_set(err, 1, "--%s cannot be \"%s\"; it is one of: %s", o->name, value,
                            o->choices);
    switch (o->type) {
    case MW_OPT_FLAG:
        *(bool *)slot = true;
        return 0;
    case MW_OPT_STRING:
        *(const char **)slot = value;
        return 0;
    case MW_OPT_LIST:
        return list_push(slot, value);
    case MW_OPT_INT:
        return set_int(o, value, slot, err);
    case MW_OPT_DURATION:
        if (mw_duration_parse(value, slot) < 0)
            return mw_error_set(err, 1, "--%s wants a duration such as 30s, 5m or 2h, not \"%s\"",
                                o->name, value);
        return 0;
    }
    return -EINVAL;
}

/* One "--name[=value]". *i is moved on when the value is the next word. */
static int parse_long(const struct mw_option *table, int argc, char **argv, int *i, void *target,
                      struct mw_error *err)
{
    const char *arg = argv[*i] + 2;
    size_t len = strcspn(arg, "=");
    const struct mw_option *o = find_long(table, arg, len);
    const char *value = arg[len] == '=' ? arg + len + 1 : NULL;

    if (!o)
        return unknown_long(table, arg, len, err);
    if (o->type == MW_OPT_FLAG) {
        if (value)
            return mw_error_set(err, 1, "--%s takes no value", o->name);
        return set_value(o, "", target, err);
    }
    if (!value) {
        if (*i + 1 >= argc)
            return mw_error_set(err, 1, "--%s needs a value: --%s %s", o->name, o->name, o->arg);
        value = argv[++*i];
    }
    return set_value(o, value, target, err);
}

/* One "-abc" or "-nvalue" or "-n value". */
static int parse_letters(const struct mw_option *table, int argc, char **argv, int *i, void *target,
                         struct mw_error *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const struct mw_option *o = find_letter(table, *p);
        const char *value;
        int r;

        if (!o) {
            size_t len = strlen(argv[*i] + 1);
            const struct mw_option *longer = find_long(table, argv[*i] + 1, len);

            if (longer)
                return mw_error_set(err, 1, "unknown option %s; did you mean --%s?", argv[*i],
                                    longer->name);
            return mw_error_set(err, 1, "unknown option -%.*s",
                                (int)MW_MAX(mw_utf8_char_len(p, strlen(p)), 1u), p);
        }
        if (o->type == MW_OPT_FLAG) {
            r = set_value(o, "", target, err);
            if (r)
                return r;
            continue;
        }
        value = p + 1;
        if (!*value) {
            if (*i + 1 >= argc)
                return mw_error_set(err, 1, "-%c needs a value: -%c %s", *p, *p, o->arg);
            value = argv[++*i];
        }
        return set_value(o, value, target, err);
    }
    return 0;
}

int mw_options_parse(const struct mw_option *table, int argc, char **argv,
                     enum mw_options_mode mode, void *target, int *ret_n, struct mw_error *err)
{
    int n = 0, i, r;

    for (i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (mode == MW_OPTIONS_STOP)
                break;
            argv[n++] = argv[i];
            continue;
        }
        if (argv[i][1] == '-')
            r = parse_long(table, argc, argv, &i, target, err);
        else
            r = parse_letters(table, argc, argv, &i, target, err);
        if (r)
            return r;
    }
    while (i < argc)
        argv[n++] = argv[i++];
    *ret_n = n;
    return 0;
}

int mw_option_write_names(struct mw_buf *b, const struct mw_option *o)
{
    if (o->letter)
        mw_buf_printf(b, "-%c, ", o->letter);
    mw_buf_printf(b, "--%s", o->name);
    if (o->arg)
        mw_buf_printf(b, " %s", o->arg);
    return mw_buf_error(b);
}

#define HELP_COLUMN 28 /* where the sentences begin */

int mw_options_write_help(struct mw_buf *b, const struct mw_option *table, unsigned width)
{
    for (const struct mw_option *o = table; o->name; o++) {
        size_t start = b->len, used;

        mw_buf_puts(b, o->letter ? "  " : "      ");
        mw_option_write_names(b, o);
        used = b->len - start;
        if (used + 2 > HELP_COLUMN) {
            mw_buf_putc(b, '\n');
            used = 0;
        }
        mw_buf_printf(b, "%*s", (int)(HELP_COLUMN - used), "");
        mw_buf_wrap(b, o->help, HELP_COLUMN, HELP_COLUMN, width);
    }
    return mw_buf_error(b);
}

static size_t columns(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xC0) != 0x80;
    return n;
}

int mw_buf_wrap(struct mw_buf *b, const char *text, unsigned column, unsigned indent,
                unsigned width)
{
    size_t at = column;
    bool first = true;

    for (const char *p = text; *p;) {
        size_t len, cols;

        if (*p == '\n') {
            mw_buf_printf(b, "\n%*s", p[1] && p[1] != '\n' ? (int)indent : 0, "");
            at = indent;
            first = true;
            p++;
            continue;
        }
        if (*p == ' ') {
            p++;
            continue;
        }
        len = strcspn(p, " \n");
        cols = columns(p, len);
        if (!first && at + 1 + cols > width) {
            mw_buf_printf(b, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        if (!first) {
            mw_buf_putc(b, ' ');
            at++;
        }
        mw_buf_append(b, p, len);
        at += cols;
        first = false;
        p += len;
    }
    return mw_buf_putc(b, '\n');
}

unsigned mw_terminal_width(int fd)
{
    struct winsize ws;

    if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
        return 80;
    return MW_MAX(ws.ws_col, 40);
}
