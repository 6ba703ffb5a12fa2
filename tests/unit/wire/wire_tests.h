/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_WIRE_TESTS_H
#define TEST_WIRE_TESTS_H

#include <check.h>

Suite *frame_suite(void);
Suite *codec_suite(void);
Suite *jobs_suite(void);

#endif
