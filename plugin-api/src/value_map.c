// SPDX-License-Identifier: Apache-2.0
/*
 * Maps: entries in source order. Small ones are searched from the front, large
 * ones by an open hash index of entry numbers behind the array of entries.
 */
#include "arena.h"
#include "value.h"

#include <stdlib.h>
#include <sys/auxv.h>

#define MAX_ENTRIES (UINT32_C(1) << 29)

/* Slots of the index of a map with this capacity: a power of two, at most half full. */
static uint32_t slot_count(uint32_t capacity)
{
    return capacity < KL_INDEX_MIN ? 0 : UINT32_C(2) << (32 - __builtin_clz(capacity - 1));
}

struct kl_entry *kl_entries_new(struct kilter_arena *arena, uint32_t capacity)
{
    if (capacity > MAX_ENTRIES)
        return NULL;
    size_t size = capacity * sizeof(struct kl_entry) + slot_count(capacity) * sizeof(uint32_t);
    return kl_arena_take(arena, size ? size : 1, _Alignof(struct kl_entry));
}

static uint32_t *slots_of(const struct kilter_value *map)
{
    return (uint32_t *)(map->as.entries + map->capacity);
}

/* Sixteen bytes that the kernel gives each process: keys from a hostile document cannot be chosen to
 * collide. */
static uint64_t hash_seed(void)
{
    static uint64_t seed;
    uint64_t known = __atomic_load_n(&seed, __ATOMIC_RELAXED);
    if (known)
        return known;
    unsigned long at = getauxval(AT_RANDOM);
    if (at)
        memcpy(&known, (const void *)at, sizeof known);
    known |= 1;
    __atomic_store_n(&seed, known, __ATOMIC_RELAXED);
    return known;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash(struct kilter_str key)
{
    uint64_t seed = hash_seed(), state = seed ^ key.len;
    size_t at = 0;
    for (; at + 8 <= key.len; at += 8) {
        uint64_t word;
        memcpy(&word, key.ptr + at, sizeof word);
        state = mix(state ^ word, seed ^ UINT64_C(0x9e3779b97f4a7c15));
    }
    uint64_t tail = 0;
    if (key.len > at)
        memcpy(&tail, key.ptr + at, key.len - at);
    state = mix(state ^ tail, seed ^ UINT64_C(0xd6e8feb86659fd93));
    return (uint32_t)(state ^ state >> 32);
}

void kl_map_index_clear(struct kilter_value *map)
{
    memset(slots_of(map), 0, slot_count(map->capacity) * sizeof(uint32_t));
}

/* The slot of a key: with its entry's number plus one, or empty (0). */
static uint32_t *find_slot(const struct kilter_value *map, struct kilter_str key)
{
    uint32_t *slots = slots_of(map), mask = slot_count(map->capacity) - 1;
    for (uint32_t at = hash(key) & mask;; at = (at + 1) & mask) {
        if (!slots[at] || kilter_str_eq(kl_text(map->as.entries[slots[at] - 1].key), key))
            return &slots[at];
    }
}

static ptrdiff_t scan(const struct kilter_value *map, struct kilter_str key, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct kilter_value *have = map->as.entries[i].key;
        if (have->count == key.len && memcmp(have->as.text, key.ptr, key.len) == 0)
            return i;
    }
    return -1;
}

ptrdiff_t kl_map_find_or_index(struct kilter_value *map, struct kilter_str key, uint32_t count)
{
    if (map->capacity < KL_INDEX_MIN)
        return scan(map, key, count);
    uint32_t *slot = find_slot(map, key);
    if (*slot)
        return *slot - 1;
    *slot = count + 1;
    return -1;
}

/* An index is a cache: building it changes nothing that anybody can see. */
static void build_index(const struct kilter_value *map)
{
    struct kilter_value *own = (struct kilter_value *)(uintptr_t)map;
    kl_map_index_clear(own);
    for (uint32_t i = 0; i < map->count; i++)
        kl_map_find_or_index(own, kl_text(map->as.entries[i].key), i);
    own->indexed = true;
}

size_t kilter_map_size(const struct kilter_value *map)
{
    return kl_is(map, KILTER_MAP) ? map->count : 0;
}

struct kilter_value *kilter_map_key_at(const struct kilter_value *map, size_t index)
{
    return index < kilter_map_size(map) ? map->as.entries[index].key : NULL;
}

struct kilter_value *kilter_map_at(const struct kilter_value *map, size_t index)
{
    return index < kilter_map_size(map) ? map->as.entries[index].item : NULL;
}

ptrdiff_t kilter_map_find(const struct kilter_value *map, struct kilter_str key)
{
    if (!kl_is(map, KILTER_MAP) || !key.ptr)
        return -1;
    if (map->count < KL_INDEX_MIN)
        return scan(map, key, map->count);
    if (!map->indexed)
        build_index(map);
    return (ptrdiff_t)*find_slot(map, key) - 1;
}

struct kilter_value *kilter_map_get(const struct kilter_value *map, struct kilter_str key)
{
    ptrdiff_t at = kilter_map_find(map, key);
    return at < 0 ? NULL : map->as.entries[at].item;
}

struct kilter_value *kilter_get(const struct kilter_value *map, const char *key)
{
    return kilter_map_get(map, kilter_str_c(key));
}

static int make_room(struct kilter_arena *arena, struct kilter_value *map)
{
    if (map->count < map->capacity)
        return 0;
    if (map->count >= MAX_ENTRIES / 2)
        return KILTER_E_NOMEM;
    uint32_t capacity = map->count ? map->count * 2 : 4;
    struct kl_entry *entries = kl_entries_new(arena, capacity);
    if (!entries)
        return KILTER_E_NOMEM;
    if (map->count)
        memcpy(entries, map->as.entries, map->count * sizeof *entries);
    map->as.entries = entries;
    map->capacity = capacity;
    map->indexed = false;
    return 0;
}

int kilter_map_add(struct kilter_arena *arena, struct kilter_value *map, struct kilter_value *key,
                   struct kilter_value *item)
{
    if (!key || !item) /* an allocation that failed, passed on without a check of its own */
        return KILTER_E_NOMEM;
    if (!kl_is(map, KILTER_MAP) || key->type != KILTER_SCALAR)
        return KILTER_E_INVALID;
    int status = make_room(arena, map);
    if (status < 0)
        return status;
    map->as.entries[map->count].key = key;
    map->as.entries[map->count].item = item;
    if (map->indexed)
        kl_map_find_or_index(map, kl_text(key), map->count);
    map->count++;
    return 0;
}

int kilter_map_set(struct kilter_arena *arena, struct kilter_value *map, struct kilter_str key,
                   struct kilter_value *item)
{
    if (!item)
        return KILTER_E_NOMEM;
    ptrdiff_t at = kilter_map_find(map, key);
    if (at >= 0) {
        map->as.entries[at].item = item;
        return 0;
    }
    if (!kl_is(map, KILTER_MAP))
        return KILTER_E_INVALID;
    return kilter_map_add(arena, map, kilter_string(arena, key), item);
}

int kilter_set(struct kilter_arena *arena, struct kilter_value *map, const char *key, struct kilter_value *item)
{
    return kilter_map_set(arena, map, kilter_str_c(key), item);
}

bool kilter_map_remove(struct kilter_value *map, struct kilter_str key)
{
    ptrdiff_t at = kilter_map_find(map, key);
    if (at < 0)
        return false;
    map->count--;
    memmove(map->as.entries + at, map->as.entries + at + 1, (map->count - (size_t)at) * sizeof *map->as.entries);
    map->indexed = false;
    return true;
}

static int compare_entries(const void *a, const void *b)
{
    const struct kl_entry *x = a, *y = b;
    return kilter_str_cmp(kl_text(x->key), kl_text(y->key));
}

/* glibc's qsort merges where memory allows, but does not promise to be stable. */
static void merge(struct kl_entry *entries, struct kl_entry *spare, size_t count)
{
    if (count < 2)
        return;
    size_t half = count / 2;
    merge(entries, spare, half);
    merge(entries + half, spare, count - half);
    memcpy(spare, entries, half * sizeof *spare);
    size_t left = 0, right = half, to = 0;
    while (left < half && right < count) {
        bool take_left = compare_entries(&spare[left], &entries[right]) <= 0;
        entries[to++] = take_left ? spare[left++] : entries[right++];
    }
    memcpy(entries + to, spare + left, (half - left) * sizeof *spare);
}

static void insertion_sort(struct kl_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct kl_entry moved = entries[i];
        size_t at = i;
        for (; at > 0 && compare_entries(&entries[at - 1], &moved) > 0; at--)
            entries[at] = entries[at - 1];
        entries[at] = moved;
    }
}

void kilter_map_sort(struct kilter_value *map)
{
    size_t count = kilter_map_size(map);
    if (count < 2)
        return;
    struct kl_entry *spare = count > KL_INDEX_MIN ? malloc(count / 2 * sizeof *spare) : NULL;
    if (spare)
        merge(map->as.entries, spare, count);
    else
        insertion_sort(map->as.entries, count);
    free(spare);
    map->indexed = false;
}
