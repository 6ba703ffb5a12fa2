/* SPDX-License-Identifier: Apache-2.0 */
/* Who runs when: limits, priorities, cancelling, recycling, quarantine. */
#include "harness.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>

TCase *pool_limits_case(void);

static struct kl_pool_stats stats(void)
{
    struct kl_pool_stats now;
    kl_pool_stats(harness.pool, &now);
    return now;
}

static unsigned busy(void)
{
    struct kl_pool_stats now = stats();
    return now.busy[KL_ROLE_RENDER] + now.starting[KL_ROLE_RENDER];
}

START_TEST(no_more_jobs_run_than_may)
{
    harness.options.max_workers = 2;
    harness_open();
    struct seen seen[6];
    struct kl_job_spec spec = job_spec("obey-cancel");
    for (int i = 0; i < 6; i++)
        job_submit(&seen[i], &spec);
    loop_for(100);
    ck_assert_uint_eq(busy(), 2);
    ck_assert_uint_eq(stats().queued, 4);
    ck_assert(kl_job_running(seen[0].job) && kl_job_running(seen[1].job) && !kl_job_running(seen[2].job));
    for (int i = 0; i < 6; i++)
        kl_job_cancel(seen[i].job);
    for (int i = 0; i < 6; i++)
        job_wait(&seen[i]);
    ck_assert_uint_eq(stats().started, 2);
}
END_TEST

START_TEST(a_key_has_its_own_limit)
{
    harness_open();
    struct seen mine[3], other;
    struct kl_job_spec spec = job_spec("obey-cancel");
    spec.max_parallel = 1;
    for (int i = 0; i < 3; i++)
        job_submit(&mine[i], &spec);
    spec.key = KILTER_STR("other");
    job_submit(&other, &spec);
    loop_for(100);
    ck_assert(kl_job_running(mine[0].job) && !kl_job_running(mine[1].job) && kl_job_running(other.job));
    for (int i = 0; i < 3; i++) {
        kl_job_cancel(mine[i].job);
        job_wait(&mine[i]);
    }
    kl_job_cancel(other.job);
    job_wait(&other);
}
END_TEST

START_TEST(a_person_comes_before_a_commit_and_that_before_a_drift_check)
{
    harness.options.max_workers = 1;
    harness_open();
    struct seen running, drift, commit, person;
    struct kl_job_spec spec = job_spec("obey-cancel");
    job_submit(&running, &spec);
    loop_for(50);
    spec = job_spec("ok");
    spec.priority = KL_PRIORITY_DRIFT;
    job_submit(&drift, &spec);
    spec.priority = KL_PRIORITY_COMMIT;
    job_submit(&commit, &spec);
    spec.priority = KL_PRIORITY_PERSON;
    job_submit(&person, &spec);
    loop_for(50);
    kl_job_cancel(running.job);
    job_wait(&drift);
    ck_assert(running.order < person.order && person.order < commit.order && commit.order < drift.order);
}
END_TEST

START_TEST(an_idle_worker_of_another_key_makes_place)
{
    harness.options.max_workers = 1;
    harness_open();
    struct seen first = job_run("ok"), second;
    struct kl_job_spec spec = job_spec("ok");
    spec.key = KILTER_STR("other");
    job_submit(&second, &spec);
    job_wait(&second);
    ck_assert_int_eq(second.status, KILTER_OK);
    ck_assert_int_ne(first.pid, second.pid);
    ck_assert_uint_eq(stats().retired, 1);
}
END_TEST

START_TEST(a_long_lived_job_takes_no_place_of_others)
{
    harness.options.max_workers = 1;
    harness.options.max_of_key[KL_ROLE_RENDER] = 1;
    harness_open();
    struct seen watch, other;
    struct kl_job_spec spec = job_spec("obey-cancel");
    spec.long_lived = true;
    spec.deadline_ms = 0;
    job_submit(&watch, &spec);
    loop_for(20);
    spec = job_spec("ok");
    job_submit(&other, &spec);
    job_wait(&other);
    ck_assert_int_eq(other.status, KILTER_OK);
    ck_assert(!watch.done);
    kl_job_cancel(watch.job);
    job_wait(&watch);
    ck_assert_int_eq(watch.status, KILTER_E_CANCELLED);
}
END_TEST

START_TEST(a_cancelled_job_that_does_not_listen_is_killed)
{
    harness_open();
    struct seen seen;
    struct kl_job_spec spec = job_spec("hang");
    job_submit(&seen, &spec);
    loop_for(100);
    int64_t before_ns = kl_clock_monotonic_ns();
    kl_job_cancel(seen.job);
    kl_job_cancel(seen.job);
    ck_assert(!seen.done);
    job_wait(&seen);
    ck_assert_int_ge(kl_clock_monotonic_ns() - before_ns, 190 * KL_NS_PER_MS);
    ck_assert_int_eq(seen.status, KILTER_E_CANCELLED);
    ck_assert_str_eq(seen.message, "cancelled");
    ck_assert(!seen.fault);
    ck_assert_uint_eq(stats().killed, 1);
}
END_TEST

START_TEST(a_job_that_finished_all_the_same_says_so_after_a_cancel)
{
    harness_open();
    struct seen seen;
    struct kl_job_spec spec = job_spec("done-late");
    job_submit(&seen, &spec);
    loop_for(100);
    kl_job_cancel(seen.job);
    job_wait(&seen);
    ck_assert_int_eq(seen.status, KILTER_OK);
}
END_TEST

START_TEST(a_job_cancelled_in_line_or_at_its_workers_start_ends_as_cancelled)
{
    harness_open();
    struct seen at_once, starting;
    struct kl_job_spec spec = job_spec("ok");
    job_submit(&at_once, &spec);
    kl_job_cancel(at_once.job);
    ck_assert(!at_once.done);
    job_wait(&at_once);
    spec.verb = KILTER_STR("obey-cancel");
    job_submit(&starting, &spec);
    while (!kl_job_running(starting.job))
        uv_run(&harness.loop, UV_RUN_NOWAIT);
    kl_job_cancel(starting.job);
    job_wait(&starting);
    ck_assert_int_eq(at_once.status, KILTER_E_CANCELLED);
    ck_assert_int_eq(starting.status, KILTER_E_CANCELLED);
    ck_assert_int_eq(job_run("ok").status, KILTER_OK);
}
END_TEST

START_TEST(a_worker_is_replaced_after_its_jobs_and_when_it_grew)
{
    harness.options.jobs_of_worker = 2;
    harness_open();
    struct seen a = job_run("ok"), b = job_run("ok"), c = job_run("ok");
    ck_assert_int_eq(a.pid, b.pid);
    ck_assert_int_ne(b.pid, c.pid);
}
END_TEST

START_TEST(a_worker_that_holds_too_much_memory_is_replaced)
{
    harness.options.recycle_rss = 1;
    harness_open();
    struct seen a = job_run("ok"), b = job_run("ok");
    ck_assert_int_ne(a.pid, b.pid);
}
END_TEST

START_TEST(an_idle_worker_ends_after_a_while)
{
    harness.options.idle_ms = 50;
    harness_open();
    struct seen seen = job_run("ok");
    wait_until_gone(seen.pid);
    ck_assert_uint_eq(stats().retired, 1);
    ck_assert_uint_eq(stats().died, 0);
}
END_TEST

START_TEST(replacements_come_ever_later)
{
    harness.options.backoff_ms = 100;
    harness.options.backoff_max_ms = 10000;
    harness_open();
    int64_t took_ms[4];
    for (int i = 0; i < 4; i++) {
        int64_t before_ns = kl_clock_monotonic_ns();
        job_run("segv");
        took_ms[i] = (kl_clock_monotonic_ns() - before_ns) / KL_NS_PER_MS;
    }
    ck_assert_int_ge(took_ms[2], 85);
    ck_assert_int_ge(took_ms[3], 175);
    job_run("ok");
    int64_t before_ns = kl_clock_monotonic_ns();
    job_run("segv");
    job_run("ok");
    ck_assert_int_lt((kl_clock_monotonic_ns() - before_ns) / KL_NS_PER_MS, 350);
}
END_TEST

/* --- quarantine ------------------------------------------------------------------------------------- */
static void open_with_quarantine(int64_t length_ms)
{
    harness.options.quarantine_faults = 3;
    harness.options.quarantine_ms = length_ms;
    harness.options.quarantine_max_ms = length_ms * 4;
    harness_open();
    for (int i = 0; i < 3; i++)
        ck_assert(job_run("segv").fault);
}

START_TEST(a_plugin_that_keeps_crashing_is_quarantined_and_says_everything_about_it)
{
    open_with_quarantine(60000);
    struct seen seen = job_run("ok");
    struct kl_plugin_faults faults;
    ck_assert(seen.quarantined && !seen.fault);
    ck_assert_int_eq(seen.class, KL_JOB_TRANSIENT);
    ck_assert_ptr_nonnull(strstr(seen.message, "plugin 'fake' is quarantined since 2"));
    ck_assert_ptr_nonnull(strstr(seen.message, "Z until 2"));
    ck_assert_ptr_nonnull(strstr(seen.message,
                                 "it failed 3 times within 10m, the last time: plugin 'fake' crashed in "
                                 "render: SIGSEGV"));
    ck_assert_ptr_nonnull(strstr(seen.message, "`kilter sync` tries it again at once"));
    ck_assert(kl_pool_plugin_faults(harness.pool, KILTER_STR("fake"), &faults));
    ck_assert(faults.quarantined);
    ck_assert_uint_eq(faults.recent, 3);
    ck_assert_int_eq(faults.until_ms - faults.since_ms, 60000);
    ck_assert_uint_eq(stats().quarantined, 1);
}
END_TEST

START_TEST(the_quarantine_of_one_plugin_is_not_that_of_another)
{
    open_with_quarantine(60000);
    struct kl_job_spec spec = job_spec("ok");
    struct seen seen;
    spec.plugin = KILTER_STR("other");
    spec.key = KILTER_STR("other");
    job_submit(&seen, &spec);
    job_wait(&seen);
    ck_assert_int_eq(seen.status, KILTER_OK);
}
END_TEST

START_TEST(a_person_may_try_a_quarantined_plugin_and_a_success_lifts_it)
{
    open_with_quarantine(60000);
    struct kl_job_spec spec = job_spec("segv");
    struct seen seen;
    struct kl_plugin_faults faults;
    spec.priority = KL_PRIORITY_PERSON;
    job_submit(&seen, &spec);
    job_wait(&seen);
    ck_assert(!seen.quarantined && seen.fault);
    kl_pool_plugin_faults(harness.pool, KILTER_STR("fake"), &faults);
    ck_assert_int_ge(faults.until_ms - faults.since_ms, 120000);
    /* The verb that crashed has to work for it to count. */
    spec.verb = KILTER_STR("ok");
    job_submit(&seen, &spec);
    job_wait(&seen);
    ck_assert_int_eq(seen.status, KILTER_OK);
    ck_assert(job_run("ok").quarantined);
    ck_assert_int_eq(kl_pool_quarantine_lift(harness.pool, KILTER_STR("fake")), KILTER_OK);
    ck_assert_int_eq(kl_pool_quarantine_lift(harness.pool, KILTER_STR("fake")), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(job_run("ok").status, KILTER_OK);
}
END_TEST

START_TEST(after_its_time_one_job_tries_and_the_next_fault_brings_a_longer_quarantine)
{
    open_with_quarantine(300);
    loop_for(350);
    struct kl_job_spec spec = job_spec("segv");
    struct seen probe, waiting;
    job_submit(&probe, &spec);
    spec = job_spec("ok");
    job_submit(&waiting, &spec);
    job_wait(&probe);
    job_wait(&waiting);
    ck_assert(probe.fault && !probe.quarantined);
    ck_assert_msg(waiting.quarantined, "%s", waiting.message);
    struct kl_plugin_faults faults;
    kl_pool_plugin_faults(harness.pool, KILTER_STR("fake"), &faults);
    ck_assert_int_gt(faults.until_ms, faults.last_ms + 550);
}
END_TEST

/* --- everything at once ------------------------------------------------------------------------------- */
#define STORM_JOBS 200

/* One of the processes that are there now. */
static void kill_some_worker(unsigned which)
{
    FILE *file = fopen("/proc/thread-self/children", "re");
    long pids[64];
    unsigned count = 0;
    while (file && count < 64 && fscanf(file, "%ld", &pids[count]) == 1)
        count++;
    if (file)
        fclose(file);
    if (count > 0)
        kill((pid_t)pids[which % count], which % 2 ? SIGKILL : SIGSEGV);
}

START_TEST(workers_killed_at_any_moment_lose_no_job)
{
    static const char *const keys[] = { "a", "b", "c" }, *const verbs[] = { "ok", "echo", "obey-cancel", "child" };
    static struct seen seen[STORM_JOBS];
    harness.options.max_workers = 3;
    harness.options.quarantine_faults = 32;
    harness_open();
    for (unsigned i = 0; i < STORM_JOBS; i++) {
        struct kl_job_spec spec = job_spec(verbs[i % 4]);
        spec.key = kilter_str_c(keys[i % 3]);
        spec.priority = KL_PRIORITY_PERSON; /* a quarantine stops none of these */
        job_submit(&seen[i], &spec);
    }
    for (unsigned i = 0; harness.ended < STORM_JOBS && i < 20000; i++) {
        kill_some_worker(i * 7919);
        if (seen[(i * 31) % STORM_JOBS].job)
            kl_job_cancel(seen[(i * 31) % STORM_JOBS].job);
        loop_for(i % 4);
    }
    ck_assert_uint_eq(harness.ended, STORM_JOBS);
    for (unsigned i = 0; i < STORM_JOBS; i++)
        ck_assert_msg(seen[i].status == KILTER_OK || seen[i].status == KILTER_E_CANCELLED ||
                          seen[i].status == KILTER_E_INTERNAL,
                      "%d %s", seen[i].status, seen[i].message);
    ck_assert_uint_eq(stats().jobs_done + stats().jobs_failed, STORM_JOBS);
    ck_assert_uint_gt(stats().died, 5);
}
END_TEST

static void on_never(void *data, const struct kl_job_outcome *outcome)
{
    (void)data;
    (void)outcome;
    ck_abort_msg("a refused job has no outcome");
}

static void nothing(void *data)
{
    *(bool *)data = true;
}

START_TEST(a_closing_pool_ends_what_runs_and_what_waits_and_takes_no_more)
{
    harness.options.max_workers = 1;
    harness_open();
    struct seen running, waiting;
    struct kl_job_spec spec = job_spec("obey-cancel");
    struct kilter_error err = KILTER_ERROR_INIT;
    bool closed = false;
    job_submit(&running, &spec);
    job_submit(&waiting, &spec);
    loop_for(50);
    kl_pool_close(harness.pool, 0, nothing, &closed);
    spec.handler.on_done = on_never;
    ck_assert_int_eq(kl_pool_submit(harness.pool, &spec, NULL, &err), KILTER_E_CANCELLED);
    loop_until(&closed);
    ck_assert(closed && running.done && waiting.done);
    ck_assert_int_eq(running.status, KILTER_E_CANCELLED);
    ck_assert_int_eq(waiting.status, KILTER_E_CANCELLED);
    uv_loop_close(&harness.loop);
    harness_open();
}
END_TEST

START_TEST(a_draining_pool_lets_the_running_job_finish)
{
    harness_open();
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *arguments = kilter_map(arena);
    struct kl_job_spec spec = job_spec("slow");
    struct seen seen;
    bool closed = false;
    kilter_set(arena, arguments, "ms", kilter_int(arena, 300));
    spec.arguments = arguments;
    job_submit(&seen, &spec);
    loop_for(50);
    kl_pool_close(harness.pool, 20000, nothing, &closed);
    loop_until(&closed);
    ck_assert(closed);
    ck_assert_int_eq(seen.status, KILTER_OK);
    kilter_arena_free(arena);
    uv_loop_close(&harness.loop);
    harness_open();
}
END_TEST

START_TEST(an_input_that_does_not_fit_into_a_frame_is_refused)
{
    harness_open();
    struct kilter_arena *arena = kilter_arena_new(0);
    char *text = kilter_arena_alloc(arena, 17 << 20);
    memset(text, 'x', 17 << 20);
    struct kl_payload payload = { kilter_string(arena, kilter_str_n(text, 17 << 20)), KILTER_STR_NONE };
    struct kl_job_spec spec = job_spec("echo");
    struct kilter_error err = KILTER_ERROR_INIT;
    spec.handler.on_done = on_never;
    spec.payloads = &payload;
    spec.payload_count = 1;
    ck_assert_int_eq(kl_pool_submit(harness.pool, &spec, NULL, &err), KILTER_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.message, "16 MiB may go in one document"));
    kilter_arena_free(arena);
}
END_TEST

TCase *pool_limits_case(void)
{
    TCase *tc = tcase_create("limits");
    tcase_add_checked_fixture(tc, harness_init, harness_stop);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, no_more_jobs_run_than_may);
    tcase_add_test(tc, a_key_has_its_own_limit);
    tcase_add_test(tc, a_person_comes_before_a_commit_and_that_before_a_drift_check);
    tcase_add_test(tc, an_idle_worker_of_another_key_makes_place);
    tcase_add_test(tc, a_long_lived_job_takes_no_place_of_others);
    tcase_add_test(tc, a_cancelled_job_that_does_not_listen_is_killed);
    tcase_add_test(tc, a_job_that_finished_all_the_same_says_so_after_a_cancel);
    tcase_add_test(tc, a_job_cancelled_in_line_or_at_its_workers_start_ends_as_cancelled);
    tcase_add_test(tc, a_worker_is_replaced_after_its_jobs_and_when_it_grew);
    tcase_add_test(tc, a_worker_that_holds_too_much_memory_is_replaced);
    tcase_add_test(tc, an_idle_worker_ends_after_a_while);
    tcase_add_test(tc, replacements_come_ever_later);
    tcase_add_test(tc, a_plugin_that_keeps_crashing_is_quarantined_and_says_everything_about_it);
    tcase_add_test(tc, the_quarantine_of_one_plugin_is_not_that_of_another);
    tcase_add_test(tc, a_person_may_try_a_quarantined_plugin_and_a_success_lifts_it);
    tcase_add_test(tc, after_its_time_one_job_tries_and_the_next_fault_brings_a_longer_quarantine);
    tcase_add_test(tc, a_closing_pool_ends_what_runs_and_what_waits_and_takes_no_more);
    tcase_add_test(tc, a_draining_pool_lets_the_running_job_finish);
    tcase_add_test(tc, workers_killed_at_any_moment_lose_no_job);
    tcase_add_test(tc, an_input_that_does_not_fit_into_a_frame_is_refused);
    return tc;
}
