/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h: a hash map from strings to pointers, in the order of insertion.
 *
 *     struct kl_map apps = KL_MAP_INIT;
 *     if (kl_map_put(&apps, name, app, NULL) < 0) ...
 *     struct app *app = kl_map_get(&apps, name);
 *
 *     size_t at = 0;
 *     struct kilter_str key;
 *     void *value;
 *     while (kl_map_next(&apps, &at, &key, &value))
 *         ...
 *
 *     kl_map_release(&apps, free_app);
 *
 * Keys are copied, values are the caller's. Zeroed memory is an empty map.
 * While walking with kl_map_next, entries may be removed (also the one at
 * hand), but nothing may be put. Not thread-safe.
 */
#ifndef KL_BASE_MAP_H
#define KL_BASE_MAP_H

#include <kilter/base.h>

struct kl_map_entry;

struct kl_map {
    struct kl_map_entry *entries; /* in order of insertion, with holes where one was removed */
    uint32_t *slots;              /* index into entries plus 1; 0 is free */
    size_t used;                  /* entries, holes included */
    size_t capacity;              /* of entries; there are twice as many slots */
    size_t count;
    uint64_t seed;
};

#define KL_MAP_INIT                                                                                                \
    {                                                                                                              \
        NULL, NULL, 0, 0, 0, 0                                                                                     \
    }

/* Sets the value of a key; `ret_old` (may be NULL) is what it was, or NULL. KILTER_E_NOMEM changes nothing. */
int kl_map_put(struct kl_map *map, struct kilter_str key, void *value, void **ret_old);
/* NULL when the key is absent. */
void *kl_map_get(const struct kl_map *map, struct kilter_str key);
bool kl_map_has(const struct kl_map *map, struct kilter_str key);
/* The value that was there, or NULL. */
void *kl_map_remove(struct kl_map *map, struct kilter_str key);
size_t kl_map_count(const struct kl_map *map);
/* The entry at or after *at, and moves *at behind it. The key lives as long as the entry. */
bool kl_map_next(const struct kl_map *map, size_t *at, struct kilter_str *ret_key, void **ret_value);
/* Empties the map and gives its memory back; each value goes to `free_value` unless that is NULL. */
void kl_map_release(struct kl_map *map, void (*free_value)(void *value));

#endif
