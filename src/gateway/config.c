#include "gateway/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/utf8.h"
#include "gateway/config_internal.h"

#define FILE_MAX     (1024 * 1024)
#define PROBLEMS_MAX 100

/* ---- Structs by their schema ---- */

static void strings_deinit(struct gw_strings *l, bool secret)
{
    for (size_t i = 0; i < l->n; i++)
        if (secret)
            mw_secret_free(l->items[i]);
        else
            free(l->items[i]);
    free(l->items);
    *l = (struct gw_strings){0};
}

void gw_section_deinit(const struct gw_section *s, void *target)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct gw_key *key = &s->keys[i];
        void *at = (char *)target + key->offset;

        switch (key->type) {
        case GW_KEY_TEXT:
        case GW_KEY_URL:
        case GW_KEY_PATH:
            mw_secret_free(*(char **)at);
            break;
        case GW_KEY_WORDS:
        case GW_KEY_LIST:
        case GW_KEY_ENV:
            strings_deinit(at, key->type == GW_KEY_ENV);
            break;
        case GW_KEY_SECTION:
            gw_section_deinit(key->section, at);
            break;
        case GW_KEY_ITEMS:
        case GW_KEY_NAMED: {
            size_t n = *(size_t *)((char *)target + key->count_offset);
            char *items = *(char **)at;

            for (size_t j = 0; j < n; j++) {
                char *item = items + j * key->section->size;

                if (key->type == GW_KEY_NAMED)
                    free(*(char **)item);
                gw_section_deinit(key->section, item);
            }
            free(items);
            break;
        }
        case GW_KEY_CHOICE:
        case GW_KEY_BOOL:
        case GW_KEY_COUNT:
        case GW_KEY_DURATION:
        case GW_KEY_BYTES:
            break;
        }
    }
}

static bool strings_equal(const struct gw_strings *a, const struct gw_strings *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool key_equal(const struct gw_key *key, const void *a, const void *b)
{
    switch (key->type) {
    case GW_KEY_TEXT:
    case GW_KEY_URL:
    case GW_KEY_PATH:
        return mw_streq(*(char *const *)a, *(char *const *)b);
    case GW_KEY_CHOICE:
        return *(const int *)a == *(const int *)b;
    case GW_KEY_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case GW_KEY_COUNT:
        return *(const unsigned *)a == *(const unsigned *)b;
    case GW_KEY_DURATION:
    case GW_KEY_BYTES:
        return *(const int64_t *)a == *(const int64_t *)b;
    case GW_KEY_WORDS:
    case GW_KEY_LIST:
    case GW_KEY_ENV:
        return strings_equal(a, b);
    case GW_KEY_SECTION:
        return gw_section_equal(key->section, a, b);
    case GW_KEY_ITEMS:
    case GW_KEY_NAMED:
        break;
    }
    return false;
}

/* Lists of structs; of named ones the name, which is no row, counts too. */
static bool items_equal(const struct gw_key *key, const char *a, const char *b)
{
    size_t n = *(const size_t *)(a + key->count_offset), size = key->section->size;
    const char *x = *(char *const *)(a + key->offset), *y = *(char *const *)(b + key->offset);

    if (n != *(const size_t *)(b + key->count_offset))
        return false;
    for (size_t i = 0; i < n; i++, x += size, y += size) {
        if ((key->type == GW_KEY_NAMED && !mw_streq(*(char *const *)x, *(char *const *)y)) ||
            !gw_section_equal(key->section, x, y))
            return false;
    }
    return true;
}

bool gw_section_equal(const struct gw_section *s, const void *a, const void *b)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct gw_key *key = &s->keys[i];
        bool items = key->type == GW_KEY_ITEMS || key->type == GW_KEY_NAMED;

        if (!(items ? items_equal(key, a, b)
                    : key_equal(key, (const char *)a + key->offset, (const char *)b + key->offset)))
            return false;
    }
    return true;
}

static const struct gw_section *section_of(const char *name)
{
    for (size_t i = 0; i < gw_config_schema.n; i++)
        if (strcmp(gw_config_schema.keys[i].name, name) == 0)
            return gw_config_schema.keys[i].section;
    return NULL;
}

bool gw_bot_config_equal(const struct gw_bot_config *a, const struct gw_bot_config *b)
{
    return gw_section_equal(section_of("bots"), a, b);
}

bool gw_groups_equal(const struct gw_config *a, const struct gw_config *b)
{
    if (a->n_groups != b->n_groups)
        return false;
    for (size_t i = 0; i < a->n_groups; i++)
        if (!mw_streq(a->groups[i].name, b->groups[i].name) ||
            !gw_section_equal(&gw_group_section, &a->groups[i], &b->groups[i]))
            return false;
    return true;
}

bool gw_handler_config_equal(const struct gw_handler_config *a, const struct gw_handler_config *b)
{
    return mw_streq(a->name, b->name) && gw_section_equal(section_of("handlers"), a, b);
}

struct gw_config *gw_config_ref(struct gw_config *c)
{
    c->refs++;
    return c;
}

void gw_config_free(struct gw_config *c)
{
    if (!c || --c->refs)
        return;
    gw_section_deinit(&gw_config_schema, c);
    free(c->path);
    free(c);
}

MW_DEFINE_CLEANUP(struct gw_config *, gw_config_free, config_free_p)

const struct gw_bot_config *gw_config_bot(const struct gw_config *c, const char *name)
{
    for (size_t i = 0; i < c->n_bots; i++)
        if (mw_streq(c->bots[i].name, name))
            return &c->bots[i];
    return NULL;
}

const struct gw_group_config *gw_config_group(const struct gw_config *c, const char *name)
{
    for (size_t i = 0; i < c->n_groups; i++)
        if (mw_streq(c->groups[i].name, name))
            return &c->groups[i];
    return NULL;
}

const struct gw_handler_config *gw_config_handler(const struct gw_config *c, const char *name)
{
    for (size_t i = 0; i < c->n_handlers; i++)
        if (mw_streq(c->handlers[i].name, name))
            return &c->handlers[i];
    return NULL;
}

void gw_problems_deinit(struct gw_problems *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        free(p->items[i].message);
    free(p->items);
    *p = (struct gw_problems){0};
}

/* ---- Where the file is ---- */

static const char *env_or_null(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

#define SYSTEM_PATH "/etc/matterwire/config.yaml"

char *gw_config_path(const char *explicit_path)
{
    const char *xdg = env_or_null("XDG_CONFIG_HOME"), *home = env_or_null("HOME");
    MW_AUTOFREE char *own = NULL;

    if (!explicit_path)
        explicit_path = env_or_null("MATTERWIRE_CONFIG");
    if (explicit_path)
        return strdup(explicit_path);
    if (xdg)
        own = mw_asprintf("%s/matterwire/config.yaml", xdg);
    else if (home)
        own = mw_asprintf("%s/.config/matterwire/config.yaml", home);
    else
        return strdup(SYSTEM_PATH);
    /* When there is neither, the error names the one that a person would write. */
    if (own && access(own, F_OK) < 0 && access(SYSTEM_PATH, F_OK) == 0)
        return strdup(SYSTEM_PATH);
    return take_ptr(own);
}

/* ---- YAML ---- */

struct document {
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_document *doc; /* NULL: nothing in it, or a problem was recorded */
};

/* What to do about the mistakes that people make; libfyaml names only the fact. */
static const struct {
    const char *fact, *hint;
} hints[] = {
    {"cannot start with '@'", "put it in quotes: \"@name\""},
    {"cannot start with", "put it in quotes"},
    {"invalid alias", "put a value that begins with * in quotes: \"*\""},
    {"tab character", "indent with spaces"},
    {"could not find expected ':'", "is there a space behind the colon?"},
    {"multiline plain key", "is this line indented as far as its neighbours?"},
    {"nested block mapping", "put a value with \": \" in it in quotes"},
    {"without closing quote", "close the quote"},
    {"end of block sequence", "is this line indented as far as its neighbours?"},
};

static void add_yaml_errors(struct gw_binder *b, struct fy_diag *diag)
{
    struct fy_diag_error *e;
    void *it = NULL;

    while ((e = fy_diag_errors_iterate(diag, &it))) {
        const char *msg = e->msg ? e->msg : "not valid YAML", *hint = NULL;
        struct gw_mark at = {e->line > 0 ? (unsigned)e->line : 0,
                             e->column > 0 ? (unsigned)e->column : 0};

        for (size_t i = 0; i < MW_ARRAY_LEN(hints) && !hint; i++)
            if (strstr(msg, hints[i].fact))
                hint = hints[i].hint;
        if (hint)
            gw_problem_add(b, at, "not valid YAML: %s (%s)", msg, hint);
        else
            gw_problem_add(b, at, "not valid YAML: %s", msg);
    }
    if (b->problems->n == 0)
        gw_problem_add(b, (struct gw_mark){0}, "not valid YAML");
}

static void document_deinit(struct document *d)
{
    if (d->doc)
        fy_parse_document_destroy(d->parser, d->doc);
    if (d->parser)
        fy_parser_destroy(d->parser);
    if (d->diag)
        fy_diag_destroy(d->diag);
}

/* Returns 0 or -ENOMEM; mistakes are recorded as problems. */
static int document_load(struct gw_binder *b, const char *text, size_t len, struct document *d)
{
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE |
                                        FYPCF_ALLOW_DUPLICATE_KEYS | FYPCF_DISABLE_MMAP_OPT};
    struct fy_diag_cfg diag_cfg;
    struct fy_document *second;

    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    cfg.diag = d->diag = fy_diag_create(&diag_cfg);
    if (!d->diag)
        return -ENOMEM;
    fy_diag_set_collect_errors(d->diag, true);
    d->parser = fy_parser_create(&cfg);
    if (!d->parser || fy_parser_set_string(d->parser, text, len) < 0)
        return -ENOMEM;
    d->doc = fy_parse_load_document(d->parser);
    if (d->doc) {
        second = fy_parse_load_document(d->parser);
        if (second) {
            gw_problem_add(b, gw_node_mark(fy_document_root(second), (struct gw_mark){0}),
                           "a second YAML document begins here: the file must be one");
            fy_parse_document_destroy(d->parser, second);
        }
    }
    if (fy_parser_get_stream_error(d->parser))
        add_yaml_errors(b, d->diag);
    return 0;
}

static bool utf8_check(struct gw_binder *b, const char *text, size_t len)
{
    struct gw_mark at = {1, 1};

    for (size_t i = 0; i < len;) {
        size_t n = mw_utf8_char_len(text + i, len - i);

        if (n == 0 || text[i] == 0) {
            gw_problem_add(b, at, "the file is not UTF-8 text");
            return false;
        }
        if (text[i] == '\n')
            at = (struct gw_mark){at.line + 1, 1};
        else
            at.column++;
        i += n;
    }
    return true;
}

/* ---- Loading ---- */

static int by_place(const void *x, const void *y)
{
    const struct gw_problem *a = x, *b = y;

    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return strcmp(a->message, b->message);
}

static int binder_init(struct gw_binder *b, const char *path, struct gw_problems *problems)
{
    const char *slash = strrchr(path, '/');
    MW_AUTOFREE char *cwd = NULL;

    *b = (struct gw_binder){.path = path, .problems = problems, .limit = PROBLEMS_MAX};
    if (path[0] == '/') {
        b->dir = slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    } else {
        cwd = getcwd(NULL, 0);
        if (!cwd)
            return -errno;
        b->dir = slash ? mw_asprintf("%s/%.*s", cwd, (int)(slash - path), path) : strdup(cwd);
    }
    return b->dir ? 0 : -ENOMEM;
}

static void bind_root(struct gw_binder *b, struct fy_document *doc, struct gw_config *config)
{
    struct fy_node *root = doc ? fy_document_root(doc) : NULL;
    struct gw_mark start = gw_node_mark(root, (struct gw_mark){1, 1});

    if (!root || fy_node_is_null(root))
        gw_problem_add(b, (struct gw_mark){0},
                       "the file is empty: it needs `bots:` with at least one bot");
    else if (!fy_node_is_mapping(root))
        gw_problem_add(b, start, "the file must be a mapping that begins with `bots:`");
    else
        gw_bind_section(b, &gw_config_schema, root, start, config);
}

int gw_config_parse(const char *path, const char *text, size_t len, struct gw_config **ret,
                    struct gw_problems *problems)
{
    MW_CLEANUP(config_free_p) struct gw_config *config = calloc(1, sizeof(*config));
    MW_CLEANUP(document_deinit) struct document d = {0};
    const char *slash = strrchr(path, '/');
    struct gw_problems found = {0};
    struct gw_binder b;
    int r;

    if (!config)
        return -ENOMEM;
    config->refs = 1;
    r = binder_init(&b, path, &found);
    if (r == 0 && !(config->path = mw_asprintf("%s/%s", strcmp(b.dir, "/") == 0 ? "" : b.dir,
                                               slash ? slash + 1 : path)))
        r = -ENOMEM;
    if (r == 0 && len > FILE_MAX)
        gw_problem_add(&b, (struct gw_mark){0}, "the file is longer than %d bytes", FILE_MAX);
    else if (r == 0 && utf8_check(&b, text, len))
        r = document_load(&b, text, len, &d);
    if (r == 0 && found.n == 0)
        bind_root(&b, d.doc, config);
    free(b.dir);
    if (r == 0)
        r = b.error;
    if (r < 0) {
        gw_problems_deinit(&found);
        return r;
    }
    if (found.n) {
        qsort(found.items, found.n, sizeof(*found.items), by_place);
        b.limit++;
        if (b.dropped)
            gw_problem_add(&b, (struct gw_mark){0}, "there are %zu more problems", b.dropped);
        *problems = found;
        return 1;
    }
    *ret = take_ptr(config);
    return 0;
}

/* Returns 0; or a negative errno of opening or reading; -E2BIG beyond the limit. */
static int read_file(const char *path, struct mw_buf *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = 0;

    if (fd < 0)
        return -errno;
    for (;;) {
        char *to = mw_buf_reserve(b, 65536);
        ssize_t n;

        if (!to) {
            r = mw_buf_error(b);
            break;
        }
        n = read(fd, to, 65536);
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        mw_buf_commit(b, (size_t)n);
        if (b->len > FILE_MAX)
            break;
    }
    close(fd);
    return r;
}

static int whole_file_problem(struct gw_problems *problems, char *message)
{
    struct gw_problem *p = message ? malloc(sizeof(*p)) : NULL;

    if (!p) {
        free(message);
        return -ENOMEM;
    }
    *p = (struct gw_problem){.message = message};
    *problems = (struct gw_problems){p, 1};
    return 1;
}

int gw_config_load(const char *path, struct gw_config **ret, struct gw_problems *problems)
{
    MW_AUTOBUF text = {0};
    int r;

    mw_buf_init(&text, 0);
    r = read_file(path, &text);
    if (r == -ENOMEM)
        return r;
    if (r == -ENOENT)
        return whole_file_problem(problems,
                                  strdup("there is no such file: write it (`man 5 "
                                         "matterwire.yaml` shows how) or name another one with "
                                         "--config"));
    if (r < 0)
        return whole_file_problem(problems, mw_asprintf("cannot read it: %s", strerror(-r)));
    return gw_config_parse(path, mw_buf_str(&text), text.len, ret, problems);
}

/* Where `socket: VALUE` stands in a file that is no valid YAML any more, so that the daemon can
 * still be asked to reload it. Returns the length of the value, 0 = none. */
static size_t find_socket(const char *text, const char **ret)
{
    for (const char *p = text; (p = strstr(p, "socket")); p++) {
        const char *value = p + strlen("socket");
        size_t quote;

        if (p > text && !strchr(" \t\n{,\"'", p[-1]))
            continue;
        value += *value == '"' || *value == '\'';
        if (*value != ':')
            continue;
        value++;
        value += strspn(value, " \t");
        quote = *value == '"' || *value == '\'';
        *ret = value + quote;
        return strcspn(*ret, quote ? "\"'\n" : " \t,}\n");
    }
    return 0;
}

char *gw_config_socket(const char *path)
{
    MW_CLEANUP(document_deinit) struct document d = {0};
    struct gw_problems ignored = {0};
    struct gw_binder b;
    struct fy_node *root, *section = NULL, *node = NULL;
    char *text = NULL, *result = NULL;
    MW_AUTOBUF file = {0};

    mw_buf_init(&file, 0);
    if (read_file(path, &file) < 0 || binder_init(&b, path, &ignored) < 0)
        return gw_default_socket();
    if (utf8_check(&b, mw_buf_str(&file), file.len) &&
        document_load(&b, mw_buf_str(&file), file.len, &d) == 0 && d.doc) {
        root = fy_document_root(d.doc);
        if (root && fy_node_is_mapping(root))
            section = fy_node_mapping_lookup_by_string(root, "daemon", FY_NT);
        if (section && fy_node_is_mapping(section))
            node = fy_node_mapping_lookup_by_string(section, "socket", FY_NT);
        if (node && fy_node_is_scalar(node) && fy_node_get_scalar0(node))
            text = gw_expand(&b, (struct gw_mark){0}, fy_node_get_scalar0(node),
                             strlen(fy_node_get_scalar0(node)));
    }
    if (!d.doc) {
        const char *value = NULL;
        size_t len = find_socket(mw_buf_str(&file), &value);

        text = len ? gw_expand(&b, (struct gw_mark){0}, value, len) : NULL;
    }
    if (text)
        result = gw_absolute_path(&b, text);
    free(text);
    free(b.dir);
    gw_problems_deinit(&ignored);
    return result ? result : gw_default_socket();
}
