/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/random.h"

#include <stdlib.h>

struct kl_map_entry {
    char *key; /* NULL: a hole */
    size_t len;
    uint64_t hash;
    void *value;
};

#define NOT_THERE SIZE_MAX
#define REMOVED UINT32_MAX /* a slot whose entry is gone; a search goes on behind it */

/* FNV-1a with a seed of the map's own, so that no input can be made to collide on purpose from outside. */
static uint64_t hash_key(const struct kl_map *map, struct kilter_str key)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ map->seed;
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.ptr[i]) * UINT64_C(1099511628211);
    hash ^= hash >> 32;
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t slot_of(const struct kl_map *map, uint64_t hash)
{
    return (size_t)(hash >> 32) & (map->capacity * 2 - 1);
}

/* The slot that names the key's entry, or NOT_THERE. */
static size_t find_slot(const struct kl_map *map, struct kilter_str key, uint64_t hash)
{
    if (map->count == 0)
        return NOT_THERE;
    for (size_t slot = slot_of(map, hash); map->slots[slot] != 0; slot = (slot + 1) & (map->capacity * 2 - 1)) {
        if (map->slots[slot] == REMOVED)
            continue;
        const struct kl_map_entry *entry = &map->entries[map->slots[slot] - 1];
        if (entry->hash == hash && kilter_str_eq(kilter_str_n(entry->key, entry->len), key))
            return slot;
    }
    return NOT_THERE;
}

static void link_entry(struct kl_map *map, size_t index)
{
    size_t slot = slot_of(map, map->entries[index].hash);
    while (map->slots[slot] != 0)
        slot = (slot + 1) & (map->capacity * 2 - 1);
    map->slots[slot] = (uint32_t)(index + 1);
}

/* Makes room for one more entry: closes the holes, and doubles when more than half is really used. */
static int make_room(struct kl_map *map)
{
    if (map->used < map->capacity)
        return KILTER_OK;
    size_t capacity = map->capacity == 0 ? 8 : map->count > map->capacity / 2 ? map->capacity * 2 : map->capacity;
    if (capacity > UINT32_MAX / 4)
        return KILTER_E_NOMEM;
    struct kl_map_entry *entries = calloc(capacity, sizeof(*entries));
    uint32_t *slots = calloc(capacity * 2, sizeof(*slots));
    if (!entries || !slots) {
        free(entries);
        free(slots);
        return KILTER_E_NOMEM;
    }
    size_t used = 0;
    for (size_t i = 0; i < map->used; i++)
        if (map->entries[i].key)
            entries[used++] = map->entries[i];
    free(map->entries);
    free(map->slots);
    map->entries = entries;
    map->slots = slots;
    map->capacity = capacity;
    map->used = used;
    for (size_t i = 0; i < used; i++)
        link_entry(map, i);
    return KILTER_OK;
}

int kl_map_put(struct kl_map *map, struct kilter_str key, void *value, void **ret_old)
{
    if (ret_old)
        *ret_old = NULL;
    if (map->capacity == 0)
        map->seed = kl_random_u64();
    uint64_t hash = hash_key(map, key);
    size_t slot = find_slot(map, key, hash);
    if (slot != NOT_THERE) {
        struct kl_map_entry *entry = &map->entries[map->slots[slot] - 1];
        if (ret_old)
            *ret_old = entry->value;
        entry->value = value;
        return KILTER_OK;
    }
    char *copy = malloc(key.len + 1);
    if (!copy || make_room(map) < 0) {
        free(copy);
        return KILTER_E_NOMEM;
    }
    if (key.len)
        memcpy(copy, key.ptr, key.len);
    copy[key.len] = '\0';
    map->entries[map->used] = (struct kl_map_entry){ copy, key.len, hash, value };
    link_entry(map, map->used++);
    map->count++;
    return KILTER_OK;
}

void *kl_map_get(const struct kl_map *map, struct kilter_str key)
{
    size_t slot = find_slot(map, key, hash_key(map, key));
    return slot == NOT_THERE ? NULL : map->entries[map->slots[slot] - 1].value;
}

bool kl_map_has(const struct kl_map *map, struct kilter_str key)
{
    return find_slot(map, key, hash_key(map, key)) != NOT_THERE;
}

void *kl_map_remove(struct kl_map *map, struct kilter_str key)
{
    size_t slot = find_slot(map, key, hash_key(map, key));
    if (slot == NOT_THERE)
        return NULL;
    struct kl_map_entry *entry = &map->entries[map->slots[slot] - 1];
    void *value = entry->value;
    free(entry->key);
    *entry = (struct kl_map_entry){ NULL, 0, 0, NULL };
    map->slots[slot] = REMOVED;
    map->count--;
    return value;
}

size_t kl_map_count(const struct kl_map *map)
{
    return map->count;
}

bool kl_map_next(const struct kl_map *map, size_t *at, struct kilter_str *ret_key, void **ret_value)
{
    while (*at < map->used) {
        const struct kl_map_entry *entry = &map->entries[(*at)++];
        if (!entry->key)
            continue;
        if (ret_key)
            *ret_key = kilter_str_n(entry->key, entry->len);
        if (ret_value)
            *ret_value = entry->value;
        return true;
    }
    return false;
}

void kl_map_release(struct kl_map *map, void (*free_value)(void *value))
{
    for (size_t i = 0; i < map->used; i++) {
        if (!map->entries[i].key)
            continue;
        free(map->entries[i].key);
        if (free_value)
            free_value(map->entries[i].value);
    }
    free(map->entries);
    free(map->slots);
    *map = (struct kl_map)KL_MAP_INIT;
}
