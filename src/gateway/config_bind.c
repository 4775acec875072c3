/* Binds a YAML document tree to structs by the schema table, and finds every mistake on the way. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "gateway/config_internal.h"

#define MERGE_DEPTH 8 /* of `<<: *anchor` */

void gw_problem_add(struct gw_binder *b, struct gw_mark at, const char *fmt, ...)
{
    struct gw_problems *p = b->problems;
    struct gw_problem *items;
    char *message = NULL;
    va_list ap;
    int r;

    if (p->n >= b->limit) {
        b->dropped++;
        return;
    }
    va_start(ap, fmt);
    r = vasprintf(&message, fmt, ap);
    va_end(ap);
    if (r < 0) {
        b->error = -ENOMEM;
        return;
    }
    items = reallocarray(p->items, p->n + 1, sizeof(*items));
    if (!items) {
        free(message);
        b->error = -ENOMEM;
        return;
    }
    p->items = items;
    p->items[p->n++] = (struct gw_problem){at.line, at.column, message};
}

/* ---- Nodes ---- */

/* The node that an alias stands for; NULL for an alias without an anchor. */
static struct fy_node *resolve(struct fy_node *node)
{
    for (int depth = 0; node && fy_node_is_alias(node); depth++) {
        if (depth == MERGE_DEPTH)
            return NULL;
        node = fy_node_resolve_alias(node);
    }
    return node;
}

static bool is_null(struct fy_node *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    const char *text;
    size_t len;

    if (!node || fy_node_is_null(node))
        return true;
    if (!fy_node_is_scalar(node) || fy_node_get_style(node) != FYNS_PLAIN)
        return false;
    text = fy_node_get_scalar(node, &len);
    for (size_t i = 0; i < MW_ARRAY_LEN(words); i++)
        if (!text || (strlen(words[i]) == len && memcmp(words[i], text, len) == 0))
            return true;
    return false;
}

struct gw_mark gw_node_mark(struct fy_node *node, struct gw_mark fallback)
{
    /* The depth is bounded by the YAML parser's own limit. */
    for (;;) {
        struct fy_node *inner = NULL;
        void *it = NULL;

        if (!node)
            return fallback;
        if (fy_node_is_scalar(node)) {
            struct fy_token *token = fy_node_get_scalar_token(node);
            const struct fy_mark *m = token ? fy_token_start_mark(token) : NULL;

            if (!m)
                return fallback;
            return (struct gw_mark){(unsigned)m->line + 1, (unsigned)m->column + 1};
        }
        if (fy_node_is_sequence(node)) {
            inner = fy_node_sequence_iterate(node, &it);
        } else {
            struct fy_node_pair *pair = fy_node_mapping_iterate(node, &it);

            inner = pair ? fy_node_pair_key(pair) : NULL;
        }
        node = inner;
    }
}

struct gw_mark gw_item_mark(const struct gw_slot *slot, size_t i)
{
    struct fy_node *node = slot->node;

    if (node && fy_node_is_sequence(node))
        node = fy_node_sequence_get_by_index(node, (int)i);
    return gw_node_mark(node, slot->key);
}

static const char *kind_of(struct fy_node *node)
{
    if (!node || is_null(node))
        return "empty";
    switch (fy_node_get_type(node)) {
    case FYNT_SEQUENCE:
        return "a list";
    case FYNT_MAPPING:
        return "a mapping";
    case FYNT_SCALAR:
        break;
    }
    return "text";
}

/* ---- Values ---- */

/* A scalar as text, as it stands or expanded; NULL: a problem or b->error is set. */
static char *plain_text(struct gw_binder *b, const char *key, struct fy_node *node,
                        struct gw_mark at, bool verbatim)
{
    const char *text;
    char *copy;
    size_t len;

    if (is_null(node)) {
        gw_problem_add(b, at, "`%s` has no value", key);
        return NULL;
    }
    if (!fy_node_is_scalar(node)) {
        gw_problem_add(b, at, "`%s` must be a single value, not %s", key, kind_of(node));
        return NULL;
    }
    text = fy_node_get_scalar(node, &len);
    if (!text) {
        b->error = -ENOMEM;
        return NULL;
    }
    if (memchr(text, 0, len)) {
        gw_problem_add(b, at, "`%s` has a NUL character in it", key);
        return NULL;
    }
    if (!verbatim)
        return gw_expand(b, at, text, len);
    copy = strndup(text, len);
    if (!copy)
        b->error = -ENOMEM;
    return copy;
}

static char *scalar_text(struct gw_binder *b, const char *key, struct fy_node *node,
                         struct gw_mark at)
{
    return plain_text(b, key, node, at, false);
}

static int find_choice(const char *choices, const char *value, struct mw_nearest *nearest,
                       char *words, size_t size)
{
    char *save = NULL;
    int i = 0;

    snprintf(words, size, "%s", choices);
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save), i++) {
        if (strcmp(w, value) == 0)
            return i;
        mw_nearest_offer(nearest, w);
    }
    return -1;
}

static bool check_choice(struct gw_binder *b, const struct gw_key *key, struct gw_mark at,
                         const char *value, int *ret)
{
    char words[256];
    struct mw_nearest nearest = {.name = value};
    int i = find_choice(key->choices, value, &nearest, words, sizeof(words));

    if (i >= 0) {
        *ret = i;
        return true;
    }
    if (mw_nearest_get(&nearest))
        gw_problem_add(b, at, "`%s` cannot be \"%s\"; did you mean \"%s\"?", key->name, value,
                       mw_nearest_get(&nearest));
    else
        gw_problem_add(b, at, "`%s` cannot be \"%s\"; it is one of: %s", key->name, value,
                       key->choices);
    return false;
}

static void set_count(struct gw_binder *b, const struct gw_key *key, struct gw_mark at,
                      const char *value, unsigned *slot)
{
    char *end;
    long long n;

    errno = 0;
    n = strtoll(value, &end, 10);
    if (end == value || *end || errno)
        gw_problem_add(b, at, "`%s` must be a whole number, not \"%s\"", key->name, value);
    else if (n < key->min || n > key->max)
        gw_problem_add(b, at, "`%s` must be between %lld and %lld", key->name, (long long)key->min,
                       (long long)key->max);
    else
        *slot = (unsigned)n;
}

/* "90s", the way a duration would be written. */
static const char *duration_text(int64_t ms, char *buf, size_t size)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;

    while (i + 1 < MW_ARRAY_LEN(units) && ms % units[i].ms)
        i++;
    snprintf(buf, size, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
    return buf;
}

static void set_duration(struct gw_binder *b, const struct gw_key *key, struct gw_mark at,
                         const char *value, int64_t *slot)
{
    char min[32], max[32];
    int64_t ms;

    if (mw_duration_parse(value, &ms) < 0)
        gw_problem_add(b, at, "`%s` must be a duration such as 500ms, 30s, 5m or 2h, not \"%s\"",
                       key->name, value);
    else if (ms < key->min || ms > key->max)
        gw_problem_add(b, at, "`%s` must be between %s and %s", key->name,
                       duration_text(key->min, min, sizeof(min)),
                       duration_text(key->max, max, sizeof(max)));
    else
        *slot = ms;
}

/* "100 MiB", the way it would be written. */
static const char *bytes_text(int64_t n, char *buf, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;

    while (n && i + 1 < MW_ARRAY_LEN(units) && n % 1024 == 0) {
        n /= 1024;
        i++;
    }
    snprintf(buf, size, "%lld %s", (long long)n, units[i]);
    return buf;
}

static void set_bytes(struct gw_binder *b, const struct gw_key *key, struct gw_mark at,
                      const char *value, int64_t *slot)
{
    char min[32], max[32];
    int64_t n;

    if (mw_bytes_parse(value, &n) < 0)
        gw_problem_add(b, at,
                       "`%s` must be a number of bytes such as 500 KiB, 100 MiB or 2 GiB, "
                       "not \"%s\"",
                       key->name, value);
    else if (n < key->min || n > key->max)
        gw_problem_add(b, at, "`%s` must be between %s and %s", key->name,
                       bytes_text(key->min, min, sizeof(min)),
                       bytes_text(key->max, max, sizeof(max)));
    else
        *slot = n;
}

/* Puts the text of a single value, which is taken over, where its row says. */
static void set_text(struct gw_binder *b, const struct gw_key *key, struct gw_mark at, char *value,
                     void *target)
{
    MW_AUTOFREE char *text = value;
    void *slot = (char *)target + key->offset;
    int choice;

    switch (key->type) {
    case GW_KEY_TEXT:
        if (!*text) {
            gw_problem_add(b, at, "`%s` is empty", key->name);
            return;
        }
        if (key->choices && !check_choice(b, key, at, text, &choice))
            return;
        *(char **)slot = take_ptr(text);
        return;
    case GW_KEY_URL:
        gw_url_check(b, at, key->name, text);
        *(char **)slot = take_ptr(text);
        return;
    case GW_KEY_PATH:
        if (!*text) {
            gw_problem_add(b, at, "`%s` is empty", key->name);
            return;
        }
        *(char **)slot = gw_absolute_path(b, text);
        if (*(char **)slot && key->must_read)
            gw_file_check(b, at, *(char **)slot, key->private);
        return;
    case GW_KEY_CHOICE:
        if (check_choice(b, key, at, text, &choice))
            *(int *)slot = choice;
        return;
    case GW_KEY_BOOL:
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            *(bool *)slot = text[0] == 't';
        else
            gw_problem_add(b, at, "`%s` must be true or false, not \"%s\"", key->name, text);
        return;
    case GW_KEY_COUNT:
        set_count(b, key, at, text, slot);
        return;
    case GW_KEY_DURATION:
        set_duration(b, key, at, text, slot);
        return;
    case GW_KEY_BYTES:
        set_bytes(b, key, at, text, slot);
        return;
    default:
        return;
    }
}

/* Takes `value` over. */
static void strings_push(struct gw_binder *b, struct gw_strings *l, char *value)
{
    char **items;

    if (!value)
        return;
    items = reallocarray(l->items, l->n + 1, sizeof(*items));
    if (!items) {
        free(value);
        b->error = -ENOMEM;
        return;
    }
    l->items = items;
    l->items[l->n++] = value;
}

/* An item with a mistake leaves "" behind, so that the others keep their index. */
static void bind_word(struct gw_binder *b, const struct gw_key *key, struct fy_node *item,
                      struct gw_mark at, struct gw_strings *list)
{
    char *text = NULL;

    if (!item || !fy_node_is_scalar(item) || is_null(item)) {
        gw_problem_add(b, at, "an item of `%s` must be text, not %s", key->name, kind_of(item));
    } else {
        text = plain_text(b, key->name, item, at, key->verbatim);
        /* A program may well get an empty argument. */
        if (text && !*text && key->type == GW_KEY_WORDS)
            gw_problem_add(b, at, "an item of `%s` is empty", key->name);
    }
    if (!text && !(text = strdup("")))
        b->error = -ENOMEM;
    strings_push(b, list, text);
}

static void bind_list(struct gw_binder *b, const struct gw_key *key, const struct gw_slot *slot,
                      struct gw_strings *list)
{
    struct fy_node *item;
    void *it = NULL;

    if (is_null(slot->node)) {
        if (key->required)
            gw_problem_add(b, slot->key, "`%s` has no value", key->name);
        return;
    }
    if (key->type == GW_KEY_WORDS && fy_node_is_scalar(slot->node)) {
        bind_word(b, key, slot->node, slot->value, list);
        return;
    }
    if (!fy_node_is_sequence(slot->node)) {
        gw_problem_add(b, slot->value, "`%s` must be a list such as %s, not %s", key->name,
                       key->example, kind_of(slot->node));
        return;
    }
    while ((item = fy_node_sequence_iterate(slot->node, &it)))
        bind_word(b, key, resolve(item), gw_node_mark(item, slot->key), list);
    if (key->required && list->n == 0)
        gw_problem_add(b, slot->key, "`%s` is empty", key->name);
}

static bool variable_name_valid(const char *name, size_t len)
{
    return len && !memchr(name, '=', len) && !memchr(name, 0, len);
}

static void bind_env(struct gw_binder *b, const struct gw_key *key, const struct gw_slot *slot,
                     struct gw_strings *list)
{
    struct fy_node_pair *pair;
    void *it = NULL;

    if (is_null(slot->node))
        return;
    if (!fy_node_is_mapping(slot->node)) {
        gw_problem_add(b, slot->value, "`%s` must be a mapping such as %s, not %s", key->name,
                       key->example, kind_of(slot->node));
        return;
    }
    while ((pair = fy_node_mapping_iterate(slot->node, &it))) {
        struct fy_node *name = resolve(fy_node_pair_key(pair));
        struct fy_node *value = resolve(fy_node_pair_value(pair));
        struct gw_mark at = gw_node_mark(fy_node_pair_key(pair), slot->key);
        MW_AUTOFREE char *label = NULL, *text = NULL;
        const char *s = NULL;
        size_t len = 0;

        if (name && fy_node_is_scalar(name))
            s = fy_node_get_scalar(name, &len);
        if (!s || !variable_name_valid(s, len)) {
            gw_problem_add(b, at, "this cannot be the name of a variable in `%s`", key->name);
            continue;
        }
        label = mw_asprintf("%s.%.*s", key->name, (int)len, s);
        if (!label) {
            b->error = -ENOMEM;
            return;
        }
        text = scalar_text(b, label, value, gw_node_mark(value, at));
        if (!text)
            continue;
        strings_push(b, list, mw_asprintf("%.*s=%s", (int)len, s, text));
    }
}

/* ---- Sections ---- */

static void bind_key(struct gw_binder *b, const struct gw_key *key, const struct gw_slot *slot,
                     void *target);

static void *grow_items(struct gw_binder *b, const struct gw_key *key, void *target)
{
    void **items = (void **)((char *)target + key->offset);
    size_t *n = (size_t *)((char *)target + key->count_offset);
    size_t size = key->section->size;
    char *bigger = reallocarray(*items, *n + 1, size);

    if (!bigger) {
        b->error = -ENOMEM;
        return NULL;
    }
    *items = bigger;
    memset(bigger + *n * size, 0, size);
    return bigger + (*n)++ * size;
}

static void bind_items(struct gw_binder *b, const struct gw_key *key, const struct gw_slot *slot,
                       void *target)
{
    struct fy_node *item;
    void *it = NULL;

    if (is_null(slot->node)) {
        gw_problem_add(b, slot->key, "`%s` is empty: it needs at least one %s", key->name,
                       key->section->name);
        return;
    }
    if (!fy_node_is_sequence(slot->node)) {
        gw_problem_add(b, slot->value,
                       "`%s` must be a list: begin each %s with a hyphen (`- name: ...`)",
                       key->name, key->section->name);
        return;
    }
    while ((item = fy_node_sequence_iterate(slot->node, &it)) && !b->error) {
        struct gw_mark at = gw_node_mark(item, slot->key);
        void *entry = grow_items(b, key, target);

        item = resolve(item);
        if (!entry)
            return;
        if (item && fy_node_is_mapping(item))
            gw_bind_section(b, key->section, item, at, entry);
        else
            gw_problem_add(b, at, "a %s must be a mapping (`key: value` lines), not %s",
                           key->section->name, kind_of(item));
    }
}

/* `name: VALUE`, where a section has one key only: VALUE is that key's. Takes `name` over. */
static void bind_short(struct gw_binder *b, const struct gw_key *key, struct fy_node *value,
                       struct gw_mark at, void *target, char *name)
{
    const struct gw_section *s = key->section;
    void *entry = grow_items(b, key, target);
    const struct gw_slot slot = {
        .key = at, .value = gw_node_mark(value, at), .present = true, .node = value};

    if (!entry) {
        free(name);
        return;
    }
    *(char **)entry = name;
    bind_key(b, &s->keys[0], &slot, entry);
    b->section = at;
    if (s->check && !b->error)
        s->check(b, &slot, entry);
}

static void bind_named(struct gw_binder *b, const struct gw_key *key, const struct gw_slot *slot,
                       void *target)
{
    const size_t *n = (const size_t *)((char *)target + key->count_offset);
    struct fy_node_pair *pair;
    void *it = NULL;

    if (is_null(slot->node))
        return;
    if (!fy_node_is_mapping(slot->node)) {
        gw_problem_add(b, slot->value, "`%s` must be a mapping from names to %ss, not %s",
                       key->name, key->section->name, kind_of(slot->node));
        return;
    }
    while ((pair = fy_node_mapping_iterate(slot->node, &it)) && !b->error) {
        struct fy_node *name_node = resolve(fy_node_pair_key(pair));
        struct fy_node *value = resolve(fy_node_pair_value(pair));
        struct gw_mark at = gw_node_mark(fy_node_pair_key(pair), slot->key);
        MW_AUTOFREE char *name = NULL;
        bool twice = false;
        void *entry;

        if (!name_node || !fy_node_is_scalar(name_node) || is_null(name_node)) {
            gw_problem_add(b, at, "a key of `%s` must be the name of a %s", key->name,
                           key->section->name);
            continue;
        }
        name = scalar_text(b, key->name, name_node, at);
        if (!name)
            continue;
        for (size_t i = 0; i < *n; i++)
            twice |= mw_streq(name, *(char **)(*(char **)((char *)target + key->offset) +
                                               i * key->section->size));
        if (twice)
            gw_problem_add(b, at, "the %s \"%s\" is given twice", key->section->name, name);
        if (value && !fy_node_is_mapping(value) && key->section->n == 1) {
            bind_short(b, key, value, at, target, take_ptr(name));
            continue;
        }
        if (!value || !fy_node_is_mapping(value)) {
            gw_problem_add(b, at, "the %s \"%s\" must be a mapping (`key: value` lines), not %s",
                           key->section->name, name, kind_of(value));
            value = NULL;
        }
        entry = grow_items(b, key, target);
        if (!entry)
            return;
        *(char **)entry = take_ptr(name);
        if (value)
            gw_bind_section(b, key->section, value, at, entry);
    }
}

static void bind_secret_file(struct gw_binder *b, const struct gw_key *key,
                             const struct gw_slot *slot, void *target)
{
    char name[64];
    MW_AUTOFREE char *text = NULL, *path = NULL;

    snprintf(name, sizeof(name), "%s_file", key->name);
    text = scalar_text(b, name, slot->node, slot->value);
    if (!text)
        return;
    path = gw_absolute_path(b, text);
    if (path)
        *(char **)((char *)target + key->offset) = gw_secret_read(b, slot->value, path);
}

static void bind_key(struct gw_binder *b, const struct gw_key *key, const struct gw_slot *slot,
                     void *target)
{
    void *at = (char *)target + key->offset;
    char *text;

    switch (key->type) {
    case GW_KEY_WORDS:
    case GW_KEY_LIST:
        bind_list(b, key, slot, at);
        return;
    case GW_KEY_ENV:
        bind_env(b, key, slot, at);
        return;
    case GW_KEY_ITEMS:
        bind_items(b, key, slot, target);
        return;
    case GW_KEY_NAMED:
        bind_named(b, key, slot, target);
        return;
    case GW_KEY_SECTION:
        if (is_null(slot->node) || fy_node_is_mapping(slot->node)) {
            gw_bind_section(b, key->section, is_null(slot->node) ? NULL : slot->node, slot->key,
                            at);
        } else {
            gw_problem_add(b, slot->value, "`%s` must be a mapping (`key: value` lines), not %s",
                           key->name, kind_of(slot->node));
        }
        return;
    default:
        if (slot->from_file) {
            bind_secret_file(b, key, slot, target);
            return;
        }
        text = scalar_text(b, key->name, slot->node, slot->value);
        if (text)
            set_text(b, key, slot->value, text, target);
        return;
    }
}

static void apply_default(struct gw_binder *b, const struct gw_key *key, void *target)
{
    char *text;

    if (key->type == GW_KEY_SECTION) {
        gw_bind_section(b, key->section, NULL, b->section, (char *)target + key->offset);
        return;
    }
    if (!key->fallback)
        return;
    text = strdup(key->fallback);
    if (text)
        set_text(b, key, b->section, text, target);
    else
        b->error = -ENOMEM;
}

static const struct gw_key *find_key(const struct gw_section *s, const char *name, size_t len,
                                     bool *ret_file)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t n = strlen(s->keys[i].name);

        if (len < n || memcmp(s->keys[i].name, name, n) != 0)
            continue;
        *ret_file = s->keys[i].secret && len == n + 5 && memcmp(name + n, "_file", 5) == 0;
        if (len == n || *ret_file)
            return &s->keys[i];
    }
    return NULL;
}

static void unknown_key(struct gw_binder *b, const struct gw_section *s, struct gw_mark at,
                        const char *name, size_t len, struct gw_slot *slots)
{
    bool from_file;
    const struct gw_key *key;
    char copy[64], twins[GW_SECTION_KEYS_MAX][48];
    struct mw_nearest nearest = {.name = copy};

    snprintf(copy, sizeof(copy), "%.*s", (int)len, name);
    for (size_t i = 0; i < s->n; i++) {
        mw_nearest_offer(&nearest, s->keys[i].name);
        if (s->keys[i].secret) {
            snprintf(twins[i], sizeof(twins[i]), "%s_file", s->keys[i].name);
            mw_nearest_offer(&nearest, twins[i]);
        }
    }
    if (!mw_nearest_get(&nearest)) {
        gw_problem_add(b, at, "a %s has no key `%s`", s->name, copy);
        return;
    }
    gw_problem_add(b, at, "unknown key `%s`; did you mean `%s`?", copy, mw_nearest_get(&nearest));
    key = find_key(s, nearest.best, strlen(nearest.best), &from_file);
    if (key)
        slots[key - s->keys].misspelt = true;
}

/* Finds which row each pair of a mapping belongs to. What is merged in by `<<` does not override.
 */
static void collect(struct gw_binder *b, const struct gw_section *s, struct fy_node *node,
                    struct gw_mark fallback, struct gw_slot *slots, int depth)
{
    struct fy_node *merged = NULL;
    struct fy_node_pair *pair;
    struct gw_mark merge_at = fallback;
    void *it = NULL;

    while ((pair = fy_node_mapping_iterate(node, &it))) {
        struct fy_node *name_node = resolve(fy_node_pair_key(pair));
        struct fy_node *given = fy_node_pair_value(pair);
        struct gw_mark at = gw_node_mark(fy_node_pair_key(pair), fallback);
        struct fy_node *value = resolve(given);
        const struct gw_key *key;
        struct gw_slot *slot;
        const char *name = NULL;
        size_t len = 0;
        bool from_file = false;

        if (given && !value) {
            gw_problem_add(b, gw_node_mark(given, at),
                           "there is no anchor for this alias (put a value that begins with * in "
                           "quotes)");
            continue;
        }
        if (name_node && fy_node_is_scalar(name_node))
            name = fy_node_get_scalar(name_node, &len);
        if (!name) {
            gw_problem_add(b, at, "a key must be a single word");
            continue;
        }
        if (len == 2 && memcmp(name, "<<", 2) == 0) {
            merged = value;
            merge_at = at;
            continue;
        }
        key = find_key(s, name, len, &from_file);
        if (!key) {
            unknown_key(b, s, at, name, len, slots);
            continue;
        }
        slot = &slots[key - s->keys];
        if (slot->present) {
            if (depth > 0)
                continue;
            if (from_file != slot->from_file)
                gw_problem_add(b, at,
                               "`%s` and `%s_file` are both given (the other one on line "
                               "%u)",
                               key->name, key->name, slot->key.line);
            else
                gw_problem_add(b, at, "`%.*s` is given twice (first on line %u)", (int)len, name,
                               slot->key.line);
            continue;
        }
        slot->present = true;
        slot->node = value;
        slot->key = at;
        slot->value = value && fy_node_is_scalar(value) ? gw_node_mark(given, at) : at;
        slot->from_file = from_file;
        if (!value || is_null(value))
            slot->value = at;
    }
    if (!merged)
        return;
    if (!fy_node_is_mapping(merged) || depth == MERGE_DEPTH)
        gw_problem_add(b, merge_at, "`<<` takes an alias of one mapping");
    else
        collect(b, s, merged, merge_at, slots, depth + 1);
}

void gw_bind_section(struct gw_binder *b, const struct gw_section *s, struct fy_node *node,
                     struct gw_mark at, void *target)
{
    struct gw_slot slots[GW_SECTION_KEYS_MAX] = {0};

    if (node)
        collect(b, s, node, at, slots, 0);
    for (size_t i = 0; i < s->n && !b->error; i++) {
        const struct gw_key *key = &s->keys[i];

        b->section = at;
        if (slots[i].present)
            bind_key(b, key, &slots[i], target);
        else if (key->required && slots[i].misspelt)
            continue;
        else if (key->required)
            gw_problem_add(b, at, "the %s has no `%s`", s->name, key->name);
        else
            apply_default(b, key, target);
    }
    b->section = at;
    if (s->check && !b->error)
        s->check(b, slots, target);
}
