/* SPDX-License-Identifier: Apache-2.0 */
/* scratch.h: a temporary directory with real Git repositories in it, gone after the test. */
#ifndef KL_TEST_GIT_SCRATCH_H
#define KL_TEST_GIT_SCRATCH_H

#include <stddef.h>

extern char scratch[128]; /* the directory */

void scratch_setup(void);
void scratch_teardown(void);
/* Runs a shell command in the directory; fails the test when it fails. */
void run(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
/* Its output without the newline at the end; up to `size` bytes. */
void capture(char *text, size_t size, const char *format, ...) __attribute__((__format__(__printf__, 3, 4)));
/* "<scratch>/<name>"; static memory of a few recent calls. */
const char *in_scratch(const char *name);

#endif
