/*
 * A hash map from strings to pointers. Keys are copied; values are the caller's.
 * Not thread safe. Adding and removing while iterating is not allowed, but for removing the entry
 * at hand.
 */
#ifndef MW_BASE_MAP_H
#define MW_BASE_MAP_H

#include "base/macros.h"

struct mw_map_slot;

struct mw_map {
    struct mw_map_slot *slots;
    size_t cap;    /* a power of two, or 0 */
    size_t count;  /* live entries */
    size_t used;   /* live entries and tombstones */
    uint64_t seed; /* keeps hostile keys from piling up */
    /* Called for a value that is removed or replaced, once the map no longer has it, so it may use
     * the map; may be NULL. */
    void (*free_value)(void *value);
};

void mw_map_init(struct mw_map *m, void (*free_value)(void *value));
void mw_map_deinit(struct mw_map *m);

/* NULL when the key is not there. */
void *mw_map_get(const struct mw_map *m, const char *key);

/* Adds or replaces. Returns 0 or -ENOMEM (the map is as it was and the value stays the caller's).
 */
int mw_map_put(struct mw_map *m, const char *key, void *value) MW_MUST_CHECK;

/* Removes the key and frees its value; returns whether it was there. */
bool mw_map_remove(struct mw_map *m, const char *key);

/* Removes the key and returns its value without freeing it; NULL when it was not there. */
void *mw_map_steal(struct mw_map *m, const char *key);

void mw_map_clear(struct mw_map *m);

/* Iteration in no particular order: `size_t it = 0; while (mw_map_next(&m, &it, &key, &value))`.
 * key and value may be NULL pointers when they are not wanted. */
bool mw_map_next(const struct mw_map *m, size_t *it, const char **key, void **value);

#endif
