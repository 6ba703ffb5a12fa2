/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_harness.h: a pool with a loop, and jobs whose outcome is kept.
 *
 * harness_start in a test's setup; harness_stop in its teardown closes the
 * pool and makes sure that no process and no descriptor is left.
 */
#ifndef TESTS_POOL_HARNESS_H
#define TESTS_POOL_HARNESS_H

#include "pool/pool.h"

#include <check.h>

/* A job and what came of it. */
struct seen {
    struct kl_job *job;
    bool done;
    int status;
    enum kl_job_class class;
    bool fault, quarantined;
    char message[1024];
    unsigned items, raw_items, diags, logs;
    int64_t pid, child; /* of the DONE map; of an ITEM */
    char last_log[512], last_diag[256], item[256];
    char home[16], secret[16];
    unsigned order; /* in which jobs ended */
};

struct harness {
    uv_loop_t loop;
    struct kl_pool *pool;
    struct kl_pool_options options;
    unsigned ended;
    unsigned descriptors;
    bool closed;
};

extern struct harness harness;
/* Limits and times that suit tests; changed by a test before harness_open. */
void harness_init(void);
void harness_open(void);
void harness_stop(void);

/* A spec of role render, key "k", plugin "fake". */
struct kl_job_spec job_spec(const char *verb);
void job_submit(struct seen *seen, const struct kl_job_spec *spec);
/* Runs the loop until the flag is set; the test fails after a minute. */
void loop_until(const bool *flag);
/* The same until the job is done. */
void job_wait(struct seen *seen);
/* Both, of the plain spec. */
struct seen job_run(const char *verb);
/* Runs the loop for a while. */
void loop_for(unsigned ms);
bool process_exists(int64_t pid);
void wait_until_gone(int64_t pid);

#endif
