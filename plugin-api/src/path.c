// SPDX-License-Identifier: Apache-2.0
/* Paths of a tree, on their text alone. */
#include "path.h"

#include "arena.h"

bool kl_path_is_normal(struct kilter_str path)
{
    size_t start = 0;
    if (!path.len)
        return true;
    for (size_t at = 0; at <= path.len; at++) {
        if (at < path.len && path.ptr[at] == 0)
            return false;
        if (at < path.len && path.ptr[at] != '/')
            continue;
        size_t len = at - start;
        bool dots = len && len <= 2 && path.ptr[start] == '.' && path.ptr[at - 1] == '.';
        if (!len || dots)
            return false;
        start = at + 1;
    }
    return true;
}

int kl_path_append(char *out, size_t *len, struct kilter_str path)
{
    for (size_t at = 0; at <= path.len;) {
        ptrdiff_t slash = kilter_str_find(path, '/', at);
        size_t end = slash < 0 ? path.len : (size_t)slash;
        struct kilter_str segment = kilter_str_sub(path, at, end - at);
        at = end + 1;
        if (kilter_str_find(segment, 0, 0) >= 0)
            return KILTER_E_INVALID;
        if (!segment.len || kilter_str_eq_c(segment, "."))
            continue;
        if (kilter_str_eq_c(segment, "..")) {
            if (!*len)
                return KILTER_E_PERMISSION;
            ptrdiff_t last = kilter_str_rfind(kilter_str_n(out, *len), '/');
            *len = last < 0 ? 0 : (size_t)last;
            continue;
        }
        if (*len)
            out[(*len)++] = '/';
        memcpy(out + *len, segment.ptr, segment.len);
        *len += segment.len;
    }
    return 0;
}

int kl_path_error(struct kilter_error *err, int code, struct kilter_str path)
{
    if (code == KILTER_E_PERMISSION)
        return kilter_error_set(err, code, "path \"%.*s\" leaves the tree", KILTER_STR_ARG(path));
    return kilter_error_set(err, code, "path has a NUL byte in it");
}

int kilter_path_join(struct kilter_arena *arena, struct kilter_str base, struct kilter_str path,
                     struct kilter_str *ret, struct kilter_error *err)
{
    if (path.len && path.ptr[0] == '/')
        return kilter_error_set(err, KILTER_E_PERMISSION,
                                "path \"%.*s\" is absolute; paths in a tree are relative to its root",
                                KILTER_STR_ARG(path));
    if (base.len > SIZE_MAX / 4 || path.len > SIZE_MAX / 4)
        return kilter_error_set(err, KILTER_E_NOMEM, "joining paths");
    char *out = kl_arena_take(arena, base.len + path.len + 2, 1);
    if (!out)
        return kilter_error_set(err, KILTER_E_NOMEM, "joining paths: out of memory");
    size_t len = 0;
    int status = kl_path_append(out, &len, base);
    if (status == 0)
        status = kl_path_append(out, &len, path);
    if (status < 0)
        return kl_path_error(err, status, path);
    out[len] = 0;
    *ret = kilter_str_n(out, len);
    return 0;
}
