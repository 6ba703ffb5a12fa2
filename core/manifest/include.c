/* SPDX-License-Identifier: Apache-2.0 */
/* The files that an include names. Bounded: users may point a pattern at any directory. */
#include <dirent.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "manifest/load.h"

#define MAX_LOOKED_AT 100000u /* directory entries of one pattern */
#define MAX_SEGMENTS 64u

struct expansion {
    struct kilter_arena *arena;
    struct kilter_str segments[MAX_SEGMENTS];
    size_t segment_count;
    size_t looked_at, max, capacity;
    struct kl_include *ret;
    struct kilter_error *err;
};

static bool is_wild(struct kilter_str segment)
{
    return kilter_str_find(segment, '*', 0) >= 0 || kilter_str_find(segment, '?', 0) >= 0 ||
           kilter_str_find(segment, '[', 0) >= 0;
}

static int add_path(struct expansion *e, const char *path)
{
    if (e->ret->count == e->max)
        return kilter_error_set(e->err, KILTER_E_LIMIT, "more than %zu files", e->max);
    if (e->ret->count == e->capacity) {
        size_t capacity = e->capacity ? 2 * e->capacity : 16;
        struct kilter_str *grown = kilter_arena_calloc(e->arena, capacity, sizeof *grown);
        if (!grown)
            return kilter_error_set(e->err, KILTER_E_NOMEM, "out of memory");
        if (e->ret->count)
            memcpy(grown, e->ret->paths, e->ret->count * sizeof *grown);
        e->ret->paths = grown;
        e->capacity = capacity;
    }
    e->ret->paths[e->ret->count++] = kilter_str_c(path);
    return 0;
}

static const char *join(struct expansion *e, const char *directory, const char *name, size_t len)
{
    bool slash = directory[0] && directory[strlen(directory) - 1] != '/';
    return kilter_arena_printf(e->arena, "%s%s%.*s", directory, slash ? "/" : "", (int)len, name);
}

static int descend(struct expansion *e, const char *directory, size_t at);

/* One entry of a directory that is looked through; what is hidden is only found by its dot. */
static int consider(struct expansion *e, const char *directory, size_t at, const char *name)
{
    struct kilter_str pattern = e->segments[at];

    if (++e->looked_at > MAX_LOOKED_AT)
        return kilter_error_set(e->err, KILTER_E_LIMIT, "too many directory entries to look through");
    if ((name[0] == '.' && pattern.ptr[0] != '.') || !strcmp(name, ".") || !strcmp(name, "..") ||
        !kilter_glob_match(pattern, kilter_str_c(name)))
        return 0;
    const char *path = join(e, directory, name, strlen(name));
    if (!path)
        return kilter_error_set(e->err, KILTER_E_NOMEM, "out of memory");
    return at + 1 == e->segment_count ? add_path(e, path) : descend(e, path, at + 1);
}

static int look_through(struct expansion *e, const char *directory, size_t at, bool first)
{
    KL_CLEANUP(kl_closedirp) DIR *dir = opendir(directory[0] ? directory : ".");
    int rc = 0;

    if (!dir && (errno == ENOTDIR || errno == ENOENT)) {
        e->ret->directory_missing = e->ret->directory_missing || first;
        return 0;
    }
    if (!dir)
        return kilter_error_errno(e->err, errno, "cannot read directory %s", directory);
    while (rc == 0) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry && errno)
            return kilter_error_errno(e->err, errno, "cannot read directory %s", directory);
        if (!entry)
            break;
        rc = consider(e, directory, at, entry->d_name);
    }
    return rc;
}

static int descend(struct expansion *e, const char *directory, size_t at)
{
    bool first = true;

    for (size_t i = 0; i < at; i++)
        first = first && !is_wild(e->segments[i]);
    for (; at < e->segment_count; at++) {
        if (is_wild(e->segments[at]))
            return look_through(e, directory, at, first);
        directory = join(e, directory, e->segments[at].ptr, e->segments[at].len);
        if (!directory)
            return kilter_error_set(e->err, KILTER_E_NOMEM, "out of memory");
    }
    /* Behind a wildcard a plain name that is not there is no match. */
    return !e->ret->wild || access(directory, F_OK) == 0 ? add_path(e, directory) : 0;
}

static int split(struct expansion *e, struct kilter_str pattern)
{
    while (pattern.len > 0) {
        ptrdiff_t slash = kilter_str_find(pattern, '/', 0);
        struct kilter_str segment = kilter_str_sub(pattern, 0, slash < 0 ? pattern.len : (size_t)slash);
        pattern = kilter_str_sub(pattern, slash < 0 ? pattern.len : (size_t)slash + 1, pattern.len);
        if (segment.len == 0 || kilter_str_eq_c(segment, "."))
            continue;
        if (e->segment_count == MAX_SEGMENTS)
            return kilter_error_set(e->err, KILTER_E_LIMIT, "the pattern has too many parts");
        e->ret->wild = e->ret->wild || is_wild(segment);
        e->segments[e->segment_count++] = segment;
    }
    return e->segment_count ? 0 : kilter_error_set(e->err, KILTER_E_INVALID, "the pattern names nothing");
}

static int by_path(const void *a, const void *b)
{
    return kilter_str_cmp(*(const struct kilter_str *)a, *(const struct kilter_str *)b);
}

int kl_include_expand(struct kilter_arena *arena, const char *directory, struct kilter_str pattern, size_t max,
                      struct kl_include *ret, struct kilter_error *err)
{
    struct expansion e = { .arena = arena, .max = max, .ret = ret, .err = err };

    *ret = (struct kl_include){ 0 };
    int rc = split(&e, pattern);
    if (rc == 0)
        rc = descend(&e, pattern.len && pattern.ptr[0] == '/' ? "/" : directory, 0);
    if (rc == 0 && ret->count)
        qsort(ret->paths, ret->count, sizeof *ret->paths, by_path);
    return rc;
}
