#include "base/map.h"

#include <string.h>
#include <sys/random.h>

struct mw_map_slot {
    char *key; /* NULL = never used; TOMBSTONE = removed */
    void *value;
    uint64_t hash;
};

static char tombstone_mark;
#define TOMBSTONE (&tombstone_mark)

static bool slot_live(const struct mw_map_slot *s)
{
    return s->key && s->key != TOMBSTONE;
}

static uint64_t hash_key(const struct mw_map *m, const char *key)
{
    uint64_t h = m->seed ^ 0xcbf29ce484222325ULL;

    for (; *key; key++) {
        h ^= (unsigned char)*key;
        h *= 0x100000001b3ULL;
        h ^= h >> 29;
    }
    return h;
}

void mw_map_init(struct mw_map *m, void (*free_value)(void *value))
{
    *m = (struct mw_map){.free_value = free_value};
    if (getrandom(&m->seed, sizeof(m->seed), GRND_NONBLOCK) < 0)
        m->seed = (uint64_t)(uintptr_t)m;
}

/* Comes when the map no longer knows the value, because the destructor may look into the map. */
static void free_value(struct mw_map *m, void *value)
{
    if (m->free_value && value)
        m->free_value(value);
}

void mw_map_clear(struct mw_map *m)
{
    struct mw_map_slot *slots = take_ptr(m->slots);
    size_t cap = m->cap;

    m->cap = m->count = m->used = 0;
    for (size_t i = 0; i < cap; i++)
        if (slot_live(&slots[i])) {
            free(slots[i].key);
            free_value(m, slots[i].value);
        }
    free(slots);
}

void mw_map_deinit(struct mw_map *m)
{
    if (m)
        mw_map_clear(m);
}

static struct mw_map_slot *find(const struct mw_map *m, const char *key, uint64_t hash)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct mw_map_slot *s = &m->slots[i];

        if (!s->key)
            return NULL;
        if (slot_live(s) && s->hash == hash && strcmp(s->key, key) == 0)
            return s;
    }
}

void *mw_map_get(const struct mw_map *m, const char *key)
{
    struct mw_map_slot *s = find(m, key, hash_key(m, key));

    return s ? s->value : NULL;
}

static void place(struct mw_map_slot *slots, size_t cap, struct mw_map_slot s)
{
    size_t i = s.hash & (cap - 1);

    while (slots[i].key)
        i = (i + 1) & (cap - 1);
    slots[i] = s;
}

static int rehash(struct mw_map *m)
{
    size_t cap = 16;
    struct mw_map_slot *slots;

    while (cap * 2 < (m->count + 1) * 4)
        cap *= 2;
    slots = calloc(cap, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (slot_live(&m->slots[i]))
            place(slots, cap, m->slots[i]);
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->used = m->count;
    return 0;
}

int mw_map_put(struct mw_map *m, const char *key, void *value)
{
    uint64_t hash = hash_key(m, key);
    struct mw_map_slot *s = find(m, key, hash);
    char *copy;
    int r;

    if (s) {
        void *old = s->value;

        s->value = value;
        if (old != value)
            free_value(m, old);
        return 0;
    }
    if ((m->used + 1) * 4 > m->cap * 3) {
        r = rehash(m);
        if (r < 0)
            return r;
    }
    copy = strdup(key);
    if (!copy)
        return -ENOMEM;
    place(m->slots, m->cap, (struct mw_map_slot){.key = copy, .value = value, .hash = hash});
    m->count++;
    m->used++;
    /* cppcheck-suppress memleak ; the slot owns the copy now */
    return 0;
}

static void *take_slot(struct mw_map *m, struct mw_map_slot *s)
{
    free(s->key);
    s->key = TOMBSTONE;
    m->count--;
    return take_ptr(s->value);
}

void *mw_map_steal(struct mw_map *m, const char *key)
{
    struct mw_map_slot *s = find(m, key, hash_key(m, key));

    return s ? take_slot(m, s) : NULL;
}

bool mw_map_remove(struct mw_map *m, const char *key)
{
    struct mw_map_slot *s = find(m, key, hash_key(m, key));

    if (!s)
        return false;
    free_value(m, take_slot(m, s));
    return true;
}

bool mw_map_next(const struct mw_map *m, size_t *it, const char **key, void **value)
{
    for (; *it < m->cap; (*it)++) {
        const struct mw_map_slot *s = &m->slots[*it];

        if (!slot_live(s))
            continue;
        if (key)
            *key = s->key;
        if (value)
            *value = s->value;
        (*it)++;
        return true;
    }
    return false;
}
