/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h: how a value lies in memory, for libkilter's own files.
 *
 * One cache line for each value, whatever its type. Lists and maps point at
 * arrays in the same arena; the array of a large map is followed by room for its
 * hash index, so that the first lookup can build it without an arena.
 */
#ifndef KL_VALUE_H
#define KL_VALUE_H

#include <kilter/value.h>

/* Lists and maps in one another that reading accepts, and that walking a value goes down. */
#define KL_MAX_DEPTH 1000

/* The capacity from which a map has an index. */
#define KL_INDEX_MIN 16

struct kl_entry {
    struct kilter_value *key, *item;
};

struct kilter_value {
    uint8_t type;  /* enum kilter_type */
    uint8_t style; /* enum kilter_style */
    uint8_t marks;
    bool indexed; /* a map whose index is up to date */
    uint32_t line, column;
    uint32_t file_len;
    const char *file;
    const char *setter;
    uint32_t setter_len;
    uint32_t count; /* bytes of text, items or entries */
    union {
        const char *text;
        struct kilter_value **items;
        struct kl_entry *entries;
        struct kilter_content *content;
    } as;
    const struct kilter_str *tag; /* NULL without one */
    uint32_t capacity;            /* of items or entries */
    uint32_t unused;
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct kilter_value) == 64, "a value is one cache line");

/* An empty value of a type. */
struct kilter_value *kl_value_new(struct kilter_arena *arena, enum kilter_type type);

/* A scalar whose text is already in the arena, or is constant. */
struct kilter_value *kl_scalar_of(struct kilter_arena *arena, const char *text, size_t len,
                                  enum kilter_style style);

/* An array for `capacity` entries, with room for the index where it is large enough. */
struct kl_entry *kl_entries_new(struct kilter_arena *arena, uint32_t capacity);

/* Among the map's first `count` entries the one with this key, or -1; if there is none, entry `count`
 * (which has this key) becomes part of the index. For building a map while looking for duplicates; call
 * kl_map_index_clear first. */
ptrdiff_t kl_map_find_or_index(struct kilter_value *map, struct kilter_str key, uint32_t count);
void kl_map_index_clear(struct kilter_value *map);

static inline struct kilter_str kl_text(const struct kilter_value *scalar)
{
    return kilter_str_n(scalar->as.text, scalar->count);
}

static inline bool kl_is(const struct kilter_value *value, enum kilter_type type)
{
    return value && value->type == type;
}

#endif
