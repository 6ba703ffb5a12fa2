// SPDX-License-Identifier: Apache-2.0
/*
 * The checked way to a tree's operations: paths are normal before they reach an
 * implementation, and an operation that is not there is an error, not a crash.
 */
#include <kilter/renderer.h>

#include <stdlib.h>

#include "path.h"

#define DEFAULT_MAX ((size_t)64 << 20)

/* A path in its normal form. Nearly all paths are normal as they come: those are not copied. */
struct normal {
    struct kilter_str path;
    char *owned;
};

static void normal_release(struct normal *normal)
{
    free(normal->owned);
}

#define CLEANUP_NORMAL __attribute__((cleanup(normal_release)))

static int normalise(struct normal *normal, struct kilter_str path, struct kilter_error *err)
{
    normal->path = path.ptr ? path : KILTER_STR("");
    if (kl_path_is_normal(path))
        return 0;
    normal->owned = malloc(path.len + 1);
    if (!normal->owned)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    size_t len = 0;
    int status = kl_path_append(normal->owned, &len, path);
    if (status < 0)
        return kl_path_error(err, status, path);
    normal->path = kilter_str_n(normal->owned, len);
    return 0;
}

static int no_operation(struct kilter_error *err, const char *name)
{
    return kilter_error_set(err, KILTER_E_UNSUPPORTED, "this tree cannot %s", name);
}

/* Whether the maker of the tree knew of an operation, and gave it. */
#define HAS(tree, member)                                                                                          \
    ((tree)->ops->size >= offsetof(struct kilter_tree_ops, member) + sizeof((tree)->ops->member) &&                \
     (tree)->ops->member)

int kilter_tree_stat(struct kilter_tree *tree, struct kilter_str path, enum kilter_entry_type *ret_type,
                     struct kilter_error *err)
{
    CLEANUP_NORMAL struct normal normal = { .owned = NULL };
    if (!HAS(tree, stat))
        return no_operation(err, "tell what is at a path");
    int status = normalise(&normal, path, err);
    return status < 0 ? status : tree->ops->stat(tree, normal.path, ret_type, err);
}

int kilter_tree_open(struct kilter_tree *tree, struct kilter_str path, struct kilter_content **ret,
                     struct kilter_error *err)
{
    CLEANUP_NORMAL struct normal normal = { .owned = NULL };
    if (!HAS(tree, open))
        return no_operation(err, "open files");
    int status = normalise(&normal, path, err);
    return status < 0 ? status : tree->ops->open(tree, normal.path, ret, err);
}

int kilter_tree_list(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                     const struct kilter_entry **ret_entries, size_t *ret_count, struct kilter_error *err)
{
    CLEANUP_NORMAL struct normal normal = { .owned = NULL };
    if (!HAS(tree, list))
        return no_operation(err, "list directories");
    int status = normalise(&normal, path, err);
    return status < 0 ? status : tree->ops->list(tree, normal.path, arena, ret_entries, ret_count, err);
}

int kilter_tree_read_link(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                          struct kilter_str *ret_target, struct kilter_error *err)
{
    CLEANUP_NORMAL struct normal normal = { .owned = NULL };
    if (!HAS(tree, read_link))
        return no_operation(err, "read links");
    int status = normalise(&normal, path, err);
    return status < 0 ? status : tree->ops->read_link(tree, normal.path, arena, ret_target, err);
}

int kilter_tree_resolve(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena,
                        struct kilter_str *ret_path, struct kilter_error *err)
{
    CLEANUP_NORMAL struct normal normal = { .owned = NULL };
    if (!HAS(tree, resolve))
        return no_operation(err, "resolve links");
    int status = normalise(&normal, path, err);
    return status < 0 ? status : tree->ops->resolve(tree, normal.path, arena, ret_path, err);
}

static int read_text(struct kilter_content *content, struct kilter_arena *arena, struct kilter_str *ret,
                     struct kilter_error *err)
{
    char *text = kilter_arena_alloc(arena, (size_t)content->length + 1);
    if (!text)
        return kilter_error_set(err, KILTER_E_NOMEM, "no memory for %llu bytes",
                                (unsigned long long)content->length);
    size_t at = 0;
    while (at < content->length) {
        size_t got = 0;
        int status = kilter_content_read(content, at, text + at, (size_t)content->length - at, &got, err);
        if (status < 0)
            return status;
        if (!got)
            return kilter_error_set(err, KILTER_E_IO, "ends after %zu of %llu bytes", at,
                                    (unsigned long long)content->length);
        at += got;
    }
    *ret = kilter_str_n(text, at);
    return 0;
}

int kilter_tree_read(struct kilter_tree *tree, struct kilter_str path, struct kilter_arena *arena, size_t max,
                     struct kilter_str *ret_text, struct kilter_error *err)
{
    struct kilter_content *content = NULL;
    int status = kilter_tree_open(tree, path, &content, err);
    if (status < 0)
        return status;
    if (content->length > (max ? max : DEFAULT_MAX))
        return kilter_error_set(err, KILTER_E_LIMIT, "%.*s: %llu bytes are more than the %zu that are allowed",
                                KILTER_STR_ARG(path), (unsigned long long)content->length, max ? max : DEFAULT_MAX);
    status = read_text(content, arena, ret_text, err);
    if (status < 0)
        return kilter_error_wrap(err, "%.*s", KILTER_STR_ARG(path)), status;
    return 0;
}
