/* SPDX-License-Identifier: Apache-2.0 */
/* The test cases of core/base, a file each. */
#ifndef TESTS_BASE_TESTS_H
#define TESTS_BASE_TESTS_H

#include <check.h>

TCase *base_clock_case(void);
TCase *base_log_case(void);
TCase *base_map_case(void);
TCase *base_paths_case(void);
TCase *base_random_case(void);

#endif
