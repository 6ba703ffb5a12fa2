/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h: what libkilter's own files need of an arena beyond <kilter/arena.h>.
 */
#ifndef KL_ARENA_H
#define KL_ARENA_H

#include <kilter/arena.h>

/* Memory as it comes, not zeroed. `align` is a power of two up to 16. NULL beyond the maximum. */
void *kl_arena_take(struct kilter_arena *arena, size_t size, size_t align);

/* A NUL-terminated copy; NULL only when out of memory (an absent string gives ""). */
const char *kl_arena_copy(struct kilter_arena *arena, const char *text, size_t len);

#endif
