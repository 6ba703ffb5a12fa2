/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h: the time, and its text form.
 *
 * Durations and deadlines are nanoseconds of CLOCK_MONOTONIC; what is stored
 * or shown is milliseconds since 1970 in UTC. No state; any thread.
 */
#ifndef KL_BASE_CLOCK_H
#define KL_BASE_CLOCK_H

#include <kilter/base.h>

#define KL_NS_PER_MS INT64_C(1000000)
#define KL_NS_PER_S INT64_C(1000000000)

int64_t kl_clock_monotonic_ns(void);
int64_t kl_clock_wall_ms(void);

/* RFC 3339 in UTC with milliseconds, "2026-03-01T14:02:09.120Z". Returns `text`. Times outside of the years
 * 0 to 9999 are clamped to them. */
const char *kl_clock_format(int64_t wall_ms, char text[32]);
/* As above without the milliseconds: "2026-03-01T14:02:09Z". */
const char *kl_clock_format_seconds(int64_t wall_ms, char text[32]);
/* Reads RFC 3339: any offset, 'T' or 't' or one blank between date and time, any number of decimals (cut
 * to milliseconds), a leap second as the second before. KILTER_E_INVALID on anything else. */
int kl_clock_parse(struct kilter_str text, int64_t *ret_wall_ms);

#endif
