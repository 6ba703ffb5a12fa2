/* SPDX-License-Identifier: Apache-2.0 */
/*
 * random.h: random bytes from the kernel, and jitter for intervals.
 *
 * No state; any thread.
 */
#ifndef KL_BASE_RANDOM_H
#define KL_BASE_RANDOM_H

#include <kilter/base.h>

/* Fit for secrets and identifiers. Ends the program when the kernel has none to give, which no system that
 * kilter supports does. */
void kl_random_bytes(void *bytes, size_t len);
uint64_t kl_random_u64(void);
/* `value` moved by up to `percent` of it, either way, evenly. Never below 0 for a value of 0 or more. */
int64_t kl_random_jitter(int64_t value, unsigned percent);
/* `bytes` random bytes (at most 32) as lower-case hexadecimal, with a NUL. Returns `text`. */
const char *kl_random_hex(size_t bytes, char text[65]);

#endif
