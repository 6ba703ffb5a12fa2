/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_TEST_CLI_TESTS_H
#define KL_TEST_CLI_TESTS_H

#include "cli/cli.h"

#include <check.h>

/* A cli that writes into memory, at 2026-03-01T14:10:00Z. */
struct capture {
    struct kl_cli cli;
    char *out, *err;
    size_t out_len, err_len;
};

void capture_begin(struct capture *capture);
/* Closes the streams: out and err are NUL-terminated then. */
void capture_end(struct capture *capture);
void capture_free(struct capture *capture);
/* Runs `kilter` with these words; returns the exit status. */
int capture_run(struct capture *capture, int count, const char *const *words);

Suite *suite_golden(void);
Suite *suite_text(void);
Suite *suite_verbs(void);

#endif
