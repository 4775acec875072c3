/*
 * The YAML parser says where keys and values are; the text between is cut and filled by lines.
 * (Writing a parsed document out again would lose blank lines and most comments.)
 */
#include "gateway/config_edit.h"

#include <libfyaml.h>
#include <stdio.h>

#include "base/str.h"
#include "base/utf8.h"

struct edit {
    const char *text;
    size_t len;
    struct fy_document *doc;
    struct fy_node *root;
};

/* Mistakes are not printed: `check` tells them. NULL = no YAML, or no memory. */
static struct fy_document *parse(const char *text, size_t len)
{
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_JSON_NONE};
    struct fy_diag_cfg diag_cfg;
    struct fy_document *doc;

    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    cfg.diag = fy_diag_create(&diag_cfg);
    if (!cfg.diag)
        return NULL;
    fy_diag_set_collect_errors(cfg.diag, true);
    doc = fy_document_build_from_string(&cfg, text, len);
    fy_diag_destroy(cfg.diag); /* the document has a reference */
    return doc;
}

static int edit_init(struct edit *e, const char *text, struct mw_error *err)
{
    *e = (struct edit){.text = text, .len = strlen(text)};
    /* The parser may go on for ever with bytes that are no UTF-8. */
    if (!mw_utf8_valid(text, e->len))
        return mw_error_set(err, 1, "the file is no UTF-8: `matterwire check` says where");
    e->doc = parse(text, e->len);
    if (!e->doc)
        return mw_error_set(err, 1, "the file is no YAML: `matterwire check` says where");
    e->root = fy_document_root(e->doc);
    if (e->root && !fy_node_is_mapping(e->root)) {
        fy_document_destroy(e->doc);
        return mw_error_set(err, 1, "the file is no mapping: `matterwire check` says where");
    }
    return 0;
}

static void edit_deinit(struct edit *e)
{
    fy_document_destroy(e->doc);
}

/* ---- Places in the text ---- */

static size_t line_start(const struct edit *e, size_t pos)
{
    while (pos > 0 && e->text[pos - 1] != '\n')
        pos--;
    return pos;
}

/* Behind the line's newline. */
static size_t next_line(const struct edit *e, size_t pos)
{
    while (pos < e->len && e->text[pos] != '\n')
        pos++;
    return pos < e->len ? pos + 1 : pos;
}

static size_t indent_at(const struct edit *e, size_t line)
{
    size_t n = 0;

    while (e->text[line + n] == ' ')
        n++;
    return n;
}

static bool is_dash(const char *p)
{
    return p[0] == '-' && (p[1] == ' ' || p[1] == '\n' || p[1] == '\r' || p[1] == 0);
}

/* The end of what is indented by `indent` or more behind the line of `pos`; with `dashes` also list
 * items one column less. Comments and blank lines behind the last line are not part of it. */
static size_t block_end(const struct edit *e, size_t pos, size_t indent, bool dashes)
{
    size_t end = next_line(e, pos);

    for (size_t line = end; line < e->len; line = next_line(e, line)) {
        size_t n = indent_at(e, line);
        const char *p = e->text + line + n;

        if (*p == '\n' || *p == '\r' || *p == '#' || *p == 0)
            continue;
        if (n < indent && !(dashes && n + 1 == indent && is_dash(p)))
            break;
        end = next_line(e, line);
    }
    return end;
}

static bool position(struct fy_node *node, size_t *ret_start, size_t *ret_end)
{
    struct fy_token *token = fy_node_is_scalar(node) ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *start = token ? fy_token_start_mark(token) : NULL;
    const struct fy_mark *end = token ? fy_token_end_mark(token) : NULL;

    if (!start || !end)
        return false;
    *ret_start = start->input_pos;
    *ret_end = end->input_pos;
    return true;
}

/* Only spaces and the dashes of lists stand in front of a key on its line. */
static bool is_block_key(const struct edit *e, size_t key)
{
    for (size_t p = line_start(e, key); p < key; p++)
        if (e->text[p] != ' ' && e->text[p] != '-')
            return false;
    return true;
}

static size_t column(const struct edit *e, size_t pos)
{
    return pos - line_start(e, pos);
}

static bool first_key(struct fy_node *mapping, size_t *ret_pos)
{
    void *it = NULL;
    struct fy_node_pair *pair = fy_node_mapping_iterate(mapping, &it);
    size_t end;

    return pair && position(fy_node_pair_key(pair), ret_pos, &end);
}

/* The text with [from, to) replaced. */
static int splice(const struct edit *e, size_t from, size_t to, const char *middle, char **ret)
{
    MW_AUTOBUF b = {0};
    bool newline = from > 0 && from == e->len && e->text[from - 1] != '\n';

    mw_buf_append(&b, e->text, from);
    if (newline)
        mw_buf_putc(&b, '\n');
    mw_buf_puts(&b, middle);
    if (mw_buf_puts(&b, e->text + to) < 0)
        return -ENOMEM;
    *ret = mw_buf_take(&b);
    return *ret ? 0 : -ENOMEM;
}

/* ---- Names ---- */

static struct fy_node *member(struct fy_node *mapping, const char *key, struct fy_node **ret_key)
{
    void *it = NULL;
    struct fy_node_pair *pair;

    while (mapping && fy_node_is_mapping(mapping) &&
           (pair = fy_node_mapping_iterate(mapping, &it))) {
        size_t len = 0;
        const char *name = fy_node_get_scalar(fy_node_pair_key(pair), &len);

        if (name && len == strlen(key) && memcmp(name, key, len) == 0) {
            if (ret_key)
                *ret_key = fy_node_pair_key(pair);
            return fy_node_pair_value(pair);
        }
    }
    return NULL;
}

/* The bot whose name begins `rest`; bots' names may have dots. */
static struct fy_node *bot_item(const struct edit *e, const char *rest, size_t *ret_len)
{
    struct fy_node *bots = member(e->root, "bots", NULL), *item, *found = NULL;
    void *it = NULL;

    *ret_len = 0;
    while (bots && fy_node_is_sequence(bots) && (item = fy_node_sequence_iterate(bots, &it))) {
        struct fy_node *node = member(item, "name", NULL);
        size_t len = 0;
        const char *name = node ? fy_node_get_scalar(node, &len) : NULL;

        if (name && len >= *ret_len && strncmp(rest, name, len) == 0 &&
            (rest[len] == '.' || rest[len] == 0)) {
            found = item;
            *ret_len = len;
        }
    }
    return found;
}

static int unknown_bot(const struct edit *e, const char *name, struct mw_error *err)
{
    struct fy_node *bots = member(e->root, "bots", NULL), *item;
    MW_AUTOBUF names = {0};
    void *it = NULL;

    while (bots && fy_node_is_sequence(bots) && (item = fy_node_sequence_iterate(bots, &it))) {
        struct fy_node *node = member(item, "name", NULL);
        size_t len = 0;
        const char *text = node ? fy_node_get_scalar(node, &len) : NULL;

        if (text)
            mw_buf_printf(&names, "%s%.*s", names.len ? ", " : "", (int)len, text);
    }
    return mw_error_set(err, 1, "the file has no bot \"%s\"%s%s", name,
                        names.len ? "; it has " : "", mw_buf_str(&names));
}

/* ---- Values ---- */

/* YAML for a value of the command line. */
static int write_value(struct mw_buf *b, const char *value)
{
    MW_AUTOFREE char *probe = NULL;
    struct fy_document *doc;
    const char *text = NULL;
    size_t len = 0;
    bool plain, flow = *value == '[' || *value == '{' || *value == '"' || *value == '\'';

    probe = mw_asprintf("k: %s\n", value);
    if (!probe)
        return -ENOMEM;
    doc = strchr(value, '\n') || !*value ? NULL : parse(probe, strlen(probe));
    if (doc && fy_document_root(doc) && fy_node_is_mapping(fy_document_root(doc))) {
        struct fy_node *node = member(fy_document_root(doc), "k", NULL);

        text = node && fy_node_is_scalar(node) ? fy_node_get_scalar(node, &len) : NULL;
        flow = flow && node && fy_node_mapping_item_count(fy_document_root(doc)) == 1;
    } else {
        flow = false;
    }
    plain = text && len == strlen(value) && memcmp(text, value, len) == 0;
    fy_document_destroy(doc);
    return plain || flow ? mw_buf_puts(b, value) : mw_buf_put_json_string(b, value);
}

/* The end of a list or mapping in brackets that begins at pos; 0 = it does not end. */
static size_t flow_end(const struct edit *e, size_t pos)
{
    int depth = 0;
    char quote = 0;

    for (; pos < e->len; pos++) {
        char c = e->text[pos];

        if (quote) {
            if (c == '\\' && quote == '"')
                pos++;
            else if (c == quote)
                quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if ((c == ']' || c == '}') && --depth == 0) {
            return pos + 1;
        }
    }
    return 0;
}

/* ---- Lists in lines: what stays keeps its comments ---- */

#define ITEMS_MAX 1000

struct item {
    const char *text;
    size_t len;
    size_t from, to; /* its lines in the file, with the comments above it */
};

/* The scalars of a list. Returns how many, -1 when it is no list of these, or is too long. */
static int read_items(struct fy_node *list, struct item *items)
{
    struct fy_node *node;
    void *it = NULL;
    int n = 0;

    if (!list || !fy_node_is_sequence(list))
        return -1;
    while ((node = fy_node_sequence_iterate(list, &it))) {
        if (n == ITEMS_MAX || !fy_node_is_scalar(node))
            return -1;
        items[n] = (struct item){0};
        items[n].text = fy_node_get_scalar(node, &items[n].len);
        if (!items[n++].text)
            return -1;
    }
    return n;
}

/* Finds the lines of the items, each on one of its own. */
static bool place_items(const struct edit *e, struct fy_node *list, struct item *items,
                        size_t begin)
{
    struct fy_node *node;
    void *it = NULL;

    for (struct item *i = items; (node = fy_node_sequence_iterate(list, &it)); i++) {
        size_t from, to, line;

        if (!position(node, &from, &to))
            return false;
        line = line_start(e, from);
        if (line < begin || line_start(e, to) != line ||
            !is_dash(e->text + line + indent_at(e, line)))
            return false;
        i->from = begin;
        i->to = begin = next_line(e, line);
    }
    return true;
}

/* A # that begins a comment. In doubt it does. */
static bool has_comment(const struct edit *e, size_t from, size_t to)
{
    for (size_t p = from; p < to; p++)
        if (e->text[p] == '#' && (p == 0 || strchr(" \t\n", e->text[p - 1])))
            return true;
    return false;
}

static bool same_item(const struct item *a, const struct item *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* The old lines that stay, in their order, then what is new. Returns 0, 1 when a comment of
 * something that stays would be lost, or -ENOMEM. */
static int merge_items(const struct edit *e, const struct item *old, int n_old,
                       const struct item *wanted, int n_wanted, struct mw_buf *b)
{
    size_t indent = indent_at(e, line_start(e, old[n_old - 1].to - 1));
    int w = 0;

    for (int i = 0; i < n_old; i++) {
        if (w < n_wanted && same_item(&old[i], &wanted[w])) {
            mw_buf_append(b, e->text + old[i].from, old[i].to - old[i].from);
            w++;
            continue;
        }
        for (int k = 0; k < n_wanted; k++)
            if (same_item(&old[i], &wanted[k]) && has_comment(e, old[i].from, old[i].to))
                return 1;
    }
    if (b->len && b->data[b->len - 1] != '\n')
        mw_buf_putc(b, '\n');
    for (; w < n_wanted; w++) {
        MW_AUTOFREE char *text = strndup(wanted[w].text, wanted[w].len);

        if (!text)
            return -ENOMEM;
        mw_buf_printf(b, "%*s- ", (int)indent, "");
        write_value(b, text);
        mw_buf_putc(b, '\n');
    }
    return mw_buf_error(b) ? -ENOMEM : 0;
}

/* A value in place of a block that has comments. */
static int replace_commented(const struct edit *e, size_t begin, struct fy_node *node,
                             const char *value, char **ret, struct mw_error *err)
{
    MW_AUTOFREE struct item *items = calloc(2 * ITEMS_MAX, sizeof(*items));
    MW_AUTOFREE char *probe = mw_asprintf("k: %s\n", value);
    struct fy_document *doc = NULL;
    struct item *wanted = items ? items + ITEMS_MAX : NULL;
    MW_AUTOBUF b = {0};
    int n, n_wanted, r = 1;

    if (!items || !probe)
        return -ENOMEM;
    n = read_items(node, items);
    doc = strchr(value, '\n') ? NULL : parse(probe, strlen(probe));
    n_wanted = doc ? read_items(member(fy_document_root(doc), "k", NULL), wanted) : -1;
    if (n > 0 && n_wanted > 0 && place_items(e, node, items, begin))
        r = merge_items(e, items, n, wanted, n_wanted, &b);
    if (r == 0)
        r = splice(e, begin, items[n - 1].to, mw_buf_str(&b), ret);
    else if (r == 1)
        mw_error_set(err, 1, "there are comments that would be lost: change it with an editor");
    fy_document_destroy(doc);
    return r;
}

static int replace_value(const struct edit *e, struct fy_node *key, struct fy_node *node,
                         const char *value, char **ret, struct mw_error *err)
{
    MW_AUTOBUF b = {0};
    size_t key_at, colon, from, to, end;

    if (!position(key, &key_at, &colon))
        return mw_error_set(err, 1, "the place of the key was not found");
    while (colon < e->len && e->text[colon] != ':')
        colon++;
    from = colon + 1;
    while (from < e->len && e->text[from] == ' ')
        from++;
    end = next_line(e, from);
    if (e->text[from] == '[' || e->text[from] == '{') {
        to = flow_end(e, from);
    } else if (e->text[from] == '"' || e->text[from] == '\'') {
        char quote = e->text[from];

        for (to = from + 1; to < e->len && e->text[to] != quote; to++)
            to += quote == '"' && e->text[to] == '\\';
        to = to < e->len ? to + 1 : 0;
    } else if (from + 1 >= end || e->text[from] == '#' || e->text[from] == '|' ||
               e->text[from] == '>' || !node || !fy_node_is_scalar(node)) {
        /* A block below the key, or nothing. */
        bool block = node && !fy_node_is_scalar(node);

        from = colon + 1;
        to = block_end(e, key_at, column(e, key_at) + 1, true);
        if (block && has_comment(e, from, to))
            return replace_commented(e, end, node, value, ret, err);
        /* A key without a value: what is behind it on its line stays there. */
        if (!block && e->text[colon + 1 + strspn(e->text + colon + 1, " ")] == '#') {
            mw_buf_putc(&b, ' ');
            write_value(&b, value);
            return mw_buf_error(&b) ? -ENOMEM : splice(e, from, from, mw_buf_str(&b), ret);
        }
        mw_buf_putc(&b, ' ');
        write_value(&b, value);
        if (to > 0 && e->text[to - 1] == '\n')
            mw_buf_putc(&b, '\n');
        return mw_buf_error(&b) ? -ENOMEM : splice(e, from, to, mw_buf_str(&b), ret);
    } else if (!position(node, &from, &to)) {
        to = 0;
    }
    if (!to)
        return mw_error_set(err, 1, "the end of the value was not found");
    if (e->text[colon + 1] != ' ')
        mw_buf_putc(&b, ' ');
    write_value(&b, value);
    return mw_buf_error(&b) ? -ENOMEM : splice(e, from, to, mw_buf_str(&b), ret);
}

/* A line behind the last one of a mapping. */
static int add_key(const struct edit *e, struct fy_node *mapping, const char *key,
                   const char *value, char **ret, struct mw_error *err)
{
    MW_AUTOBUF b = {0};
    size_t at, indent, end;

    if (!first_key(mapping, &at) || !is_block_key(e, at))
        return mw_error_set(err, 1,
                            "the section is written in braces: add `%s` to it with an editor", key);
    indent = column(e, at);
    end = block_end(e, at, indent, false);
    mw_buf_printf(&b, "%*s%s: ", (int)indent, "", key);
    write_value(&b, value);
    return mw_buf_putc(&b, '\n') < 0 ? -ENOMEM : splice(e, end, end, mw_buf_str(&b), ret);
}

static int add_section(const struct edit *e, const char *section, const char *key,
                       const char *value, char **ret)
{
    MW_AUTOBUF b = {0};

    mw_buf_printf(&b, "\n%s:\n  %s: ", section, key);
    write_value(&b, value);
    return mw_buf_putc(&b, '\n') < 0 ? -ENOMEM : splice(e, e->len, e->len, mw_buf_str(&b), ret);
}

static int set_in(const struct edit *e, struct fy_node *mapping, const char *key, const char *value,
                  char **ret, struct mw_error *err)
{
    const char *dot = strchr(key, '.');
    MW_AUTOFREE char *first = dot ? strndup(key, (size_t)(dot - key)) : NULL;
    struct fy_node *key_node = NULL, *node;

    if (dot && !first)
        return -ENOMEM;
    node = member(mapping, first ? first : key, &key_node);
    if (first && node && fy_node_is_mapping(node))
        return set_in(e, node, dot + 1, value, ret, err);
    if (first)
        return mw_error_set(err, 1, "the section `%s` is not in the file: add it with an editor",
                            first);
    return key_node ? replace_value(e, key_node, node, value, ret, err)
                    : add_key(e, mapping, key, value, ret, err);
}

int gw_config_set(const char *text, const char *key, const char *value, char **ret,
                  struct mw_error *err)
{
    struct edit e;
    struct fy_node *daemon;
    size_t len = 0;
    int r = edit_init(&e, text, err);

    if (r)
        return r;
    if (mw_starts_with(key, "bots.")) {
        struct fy_node *bot = bot_item(&e, key + 5, &len);

        if (!bot)
            r = unknown_bot(&e, key + 5, err);
        else if (!key[5 + len])
            r = mw_error_set(err, 1, "name a key of the bot: %s.KEY", key);
        else
            r = set_in(&e, bot, key + 5 + len + 1, value, ret, err);
    } else if (mw_starts_with(key, "handlers.")) {
        r = set_in(&e, e.root, key, value, ret, err);
    } else if (mw_starts_with(key, "daemon.")) {
        daemon = member(e.root, "daemon", NULL);
        if (daemon && fy_node_is_mapping(daemon))
            r = set_in(&e, daemon, key + 7, value, ret, err);
        else if (strchr(key + 7, '.') || daemon)
            r = mw_error_set(err, 1, "there is no place for %s in the file", key);
        else
            r = add_section(&e, "daemon", key + 7, value, ret);
    } else {
        r = mw_error_set(
            err, 1, "\"%s\" is no key: write daemon.KEY, bots.NAME.KEY or handlers.NAME.KEY", key);
    }
    edit_deinit(&e);
    return r;
}

/* ---- Bots ---- */

static int write_bot(struct mw_buf *b, const struct gw_new_bot *bot, size_t indent)
{
    const char *const rows[][2] = {
        {"name", bot->name},
        {"endpoint", bot->endpoint},
        {"bot_token_file", bot->token_file},
        {"team", bot->team},
    };
    bool first = true;

    for (size_t i = 0; i < MW_ARRAY_LEN(rows); i++) {
        if (!rows[i][1])
            continue;
        mw_buf_printf(b, "%*s%s%s: ", (int)indent, "", first ? "- " : "  ", rows[i][0]);
        write_value(b, rows[i][1]);
        mw_buf_putc(b, '\n');
        first = false;
    }
    if (bot->token_env)
        mw_buf_printf(b, "%*s  bot_token: $%s\n", (int)indent, "", bot->token_env);
    return mw_buf_error(b);
}

int gw_config_add_bot(const char *text, const struct gw_new_bot *bot, char **ret,
                      struct mw_error *err)
{
    MW_AUTOBUF b = {0};
    struct fy_node *key = NULL, *bots, *first = NULL;
    struct edit e;
    void *it = NULL;
    size_t at, end, item, indent = 2;
    /* A file of comments only has no document. */
    bool blank = true;
    int r;

    for (const char *p = text; *p && blank; p += *p == '\n') {
        p += strspn(p, " \r");
        if (*p != '\n' && *p != '#' && *p)
            blank = false;
        p += strcspn(p, "\n");
    }
    r = edit_init(&e, blank ? "{}" : text, err);
    if (r)
        return r;
    if (blank) {
        e.text = text;
        e.len = strlen(text);
    }
    bots = member(e.root, "bots", &key);
    if (bots && fy_node_is_sequence(bots))
        first = fy_node_sequence_iterate(bots, &it);
    if (!key) {
        mw_buf_puts(&b, e.len ? "\nbots:\n" : "bots:\n");
        end = e.len;
    } else if (first && fy_node_is_mapping(first) && first_key(first, &item) &&
               is_block_key(&e, item) && position(key, &at, &end)) {
        indent = indent_at(&e, line_start(&e, item));
        end = block_end(&e, at, column(&e, at) + 1, true);
    } else {
        r = mw_error_set(err, 1, "`bots` is no list of lines: add the bot with an editor");
    }
    if (r == 0)
        r = write_bot(&b, bot, indent) < 0 ? -ENOMEM : splice(&e, end, end, mw_buf_str(&b), ret);
    edit_deinit(&e);
    return r;
}

int gw_config_remove_bot(const char *text, const char *name, char **ret, struct mw_error *err)
{
    struct edit e;
    struct fy_node *bot;
    size_t len = 0, key, start;
    int r = edit_init(&e, text, err);

    if (r)
        return r;
    bot = bot_item(&e, name, &len);
    if (!bot || name[len]) {
        r = unknown_bot(&e, name, err);
    } else if (!first_key(bot, &key) || !is_block_key(&e, key) ||
               !is_dash(e.text + line_start(&e, key) + indent_at(&e, line_start(&e, key)))) {
        r = mw_error_set(err, 1, "the bot is not written in lines: remove it with an editor");
    } else {
        start = line_start(&e, key);
        r = splice(&e, start, block_end(&e, key, indent_at(&e, start) + 1, false), "", ret);
    }
    edit_deinit(&e);
    return r;
}

/* ---- The list ---- */

static bool is_secret(const char *key, const char *value)
{
    const char *last = strrchr(key, '.');

    if (*value == '$')
        return false;
    last = last ? last + 1 : key;
    return strcmp(last, "bot_token") == 0 || strcmp(last, "password") == 0 ||
           strstr(key, ".env.") || (strcmp(last, "proxy") == 0 && strchr(value, '@'));
}

static int list_value(cJSON *out, const char *key, struct fy_node *node, int line)
{
    MW_AUTOJSON *o = cJSON_CreateObject();
    MW_AUTOFREE char *text =
        node ? fy_emit_node_to_string(node, FYECF_MODE_FLOW_ONELINE | FYECF_WIDTH_INF) : strdup("");
    MW_AUTOFREE char *plain = NULL;
    size_t len = 0;
    const char *scalar = node && fy_node_is_scalar(node) ? fy_node_get_scalar(node, &len) : NULL;

    if (scalar)
        plain = strndup(scalar, len);
    else if (text)
        plain = strndup(text, strcspn(text, "\n"));
    if (!o || !plain || mw_json_add_str(o, "key", key) ||
        mw_json_add_str(o, "value", is_secret(key, plain) ? NULL : plain) ||
        mw_json_add_i64(o, "line", line))
        return -ENOMEM;
    return mw_json_push(out, take_ptr(o));
}

static int list_node(cJSON *out, const char *prefix, struct fy_node *node)
{
    void *it = NULL;
    struct fy_node_pair *pair;
    struct fy_node *item;

    if (node && fy_node_is_sequence(node) && strcmp(prefix, "bots") == 0) {
        while ((item = fy_node_sequence_iterate(node, &it))) {
            struct fy_node *name = member(item, "name", NULL);
            size_t len = 0;
            const char *text = name ? fy_node_get_scalar(name, &len) : NULL;
            MW_AUTOFREE char *key = mw_asprintf("bots.%.*s", (int)len, text ? text : "");

            if (!key || list_node(out, key, item) < 0)
                return -ENOMEM;
        }
        return 0;
    }
    while ((pair = fy_node_mapping_iterate(node, &it))) {
        struct fy_node *value = fy_node_pair_value(pair);
        struct fy_token *token = fy_node_get_scalar_token(fy_node_pair_key(pair));
        const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
        size_t len = 0;
        const char *name = fy_node_get_scalar(fy_node_pair_key(pair), &len);
        MW_AUTOFREE char *key =
            mw_asprintf("%s%s%.*s", prefix, *prefix ? "." : "", (int)len, name ? name : "");
        bool deeper =
            key && value &&
            (fy_node_is_mapping(value) || (fy_node_is_sequence(value) && strcmp(key, "bots") == 0));

        if (!key || (deeper ? list_node(out, key, value)
                            : list_value(out, key, value, mark ? mark->line + 1 : 0)) < 0)
            return -ENOMEM;
    }
    return 0;
}

int gw_config_list(const char *text, cJSON **ret, struct mw_error *err)
{
    MW_AUTOJSON *out = cJSON_CreateArray();
    struct edit e;
    int r = edit_init(&e, text, err);

    if (r)
        return r;
    r = out ? 0 : -ENOMEM;
    if (r == 0 && e.root)
        r = list_node(out, "", e.root);
    edit_deinit(&e);
    if (r == 0)
        *ret = take_ptr(out);
    return r;
}
