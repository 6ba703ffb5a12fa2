/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h: normal forms of a tree's paths, for libkilter's own files.
 *
 * Pure functions on the caller's bytes.
 */
#ifndef KL_PATH_H
#define KL_PATH_H

#include <kilter/renderer.h>

/* Whether a path has nothing to resolve: no "." and "..", no empty segment, no NUL. */
bool kl_path_is_normal(struct kilter_str path);

/* Adds `path` to the normal path of *len bytes at `out`, which has room for one slash and all of it.
 * KILTER_E_PERMISSION when it leaves the root, KILTER_E_INVALID for a NUL byte. */
int kl_path_append(char *out, size_t *len, struct kilter_str path);

/* The error for what kl_path_append refused. */
int kl_path_error(struct kilter_error *err, int code, struct kilter_str path);

#endif
