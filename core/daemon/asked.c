/* SPDX-License-Identifier: Apache-2.0 */
#include "asked.h"

#include <stdlib.h>

struct kl_asked_set *kl_asked_set_new(void)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kl_asked_set *asked = arena ? kilter_arena_alloc(arena, sizeof *asked) : NULL;
    if (!asked) {
        kilter_arena_free(arena);
        return NULL;
    }
    asked->arena = arena;
    return asked;
}

void kl_asked_set_free(struct kl_asked_set *asked)
{
    if (!asked)
        return;
    free(asked->entries);
    kilter_arena_free(asked->arena);
}

int kl_asked_set_add(struct kl_asked_set *asked, const struct kilter_value *item)
{
    enum kl_question question = kl_question_of(kilter_get_text(item, "question"));
    if (!question)
        return KILTER_E_INVALID;
    if (asked->count == asked->capacity) {
        size_t capacity = asked->capacity ? asked->capacity * 2 : 16;
        struct kl_asked_entry *entries = realloc(asked->entries, capacity * sizeof *entries);
        if (!entries)
            return KILTER_E_NOMEM;
        asked->entries = entries;
        asked->capacity = capacity;
    }
    struct kilter_str path = kilter_arena_str(asked->arena, kilter_get_text(item, "path"));
    if (!path.ptr)
        return KILTER_E_NOMEM;
    asked->entries[asked->count++] = (struct kl_asked_entry){ path, question };
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct kl_asked_entry *x = a, *y = b;
    int order = kilter_str_cmp(x->path, y->path);
    return order ? order : (int)x->question - (int)y->question;
}

void kl_asked_set_seal(struct kl_asked_set *asked)
{
    if (asked->count)
        qsort(asked->entries, asked->count, sizeof *asked->entries, by_path);
}

/* Index of the first entry whose path is not before `path`. */
static size_t lower_bound(const struct kl_asked_set *asked, struct kilter_str path)
{
    size_t low = 0, high = asked->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kilter_str_cmp(asked->entries[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct kl_tree_change *kl_asked_set_moved(const struct kl_asked_set *asked,
                                                const struct kl_tree_change *changes, size_t count)
{
    for (size_t c = 0; c < count; c++)
        for (size_t i = lower_bound(asked, changes[c].path);
             i < asked->count && kilter_str_eq(asked->entries[i].path, changes[c].path); i++)
            if (kl_asked_moved(asked->entries[i].question, &changes[c]))
                return &changes[c];
    return NULL;
}
