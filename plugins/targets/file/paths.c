/* SPDX-License-Identifier: Apache-2.0 */
/* paths.c: sets of paths, sorted when they are asked. */
#include "apply.h"

#include <stdlib.h>

void file_paths_add(struct apply *apply, struct paths *paths, struct kilter_str path)
{
    if (paths->count == paths->capacity) {
        size_t capacity = paths->capacity ? paths->capacity * 2 : 64;
        struct kilter_str *items = kilter_arena_calloc(apply->call->arena, capacity, sizeof *items);
        if (!items) {
            apply->broken = true;
            return;
        }
        if (paths->count)
            memcpy(items, paths->items, paths->count * sizeof *items);
        paths->items = items;
        paths->capacity = capacity;
    }
    paths->items[paths->count++] = path;
}

static int compare_paths(const void *a, const void *b)
{
    return kilter_str_cmp(*(const struct kilter_str *)a, *(const struct kilter_str *)b);
}

void file_paths_sort(struct paths *paths)
{
    size_t kept = 0;
    if (paths->count > 1)
        qsort(paths->items, paths->count, sizeof *paths->items, compare_paths);
    for (size_t i = 0; i < paths->count; i++)
        if (kept == 0 || !kilter_str_eq(paths->items[kept - 1], paths->items[i]))
            paths->items[kept++] = paths->items[i];
    paths->count = kept;
}

bool file_paths_have(const struct paths *paths, struct kilter_str path)
{
    return paths->count && bsearch(&path, paths->items, paths->count, sizeof path, compare_paths);
}

struct kilter_str file_parent_of(struct kilter_str path)
{
    ptrdiff_t slash = kilter_str_rfind(path, '/');
    return kilter_str_sub(path, 0, slash > 0 ? (size_t)slash : 0);
}
