/* SPDX-License-Identifier: Apache-2.0 */
/* The pool with a worker that misbehaves on the wire or dies at chosen moments. */
#include "harness.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "pool/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void setup(void)
{
    harness_init();
    harness_open();
}

/* The next job on the pool works, whatever the last one did. */
static void assert_next_job_works(void)
{
    struct seen next = job_run("ok");
    ck_assert_msg(next.status == KILTER_OK, "%s", next.message);
}

static void assert_ends(const char *verb, int status, bool fault, const char *message)
{
    struct seen seen = job_run(verb);
    ck_assert_str_eq(seen.message, message);
    ck_assert_int_eq(seen.status, status);
    ck_assert_int_eq(seen.fault, fault);
    ck_assert_int_ne(seen.class, KL_JOB_OK);
    assert_next_job_works();
}

/* --- well-behaved jobs --------------------------------------------------------------------------- */
START_TEST(a_job_gets_its_items_diagnostics_log_and_answer)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *resource = kilter_map(arena);
    kilter_set(arena, resource, "name", kilter_string_c(arena, "motd"));
    struct kl_payload payloads[3] = { { resource, KILTER_STR_NONE },
                                      { resource, KILTER_STR_NONE },
                                      { resource, KILTER_STR_NONE } };
    struct kl_job_spec spec = job_spec("echo");
    struct seen seen;
    spec.payloads = payloads;
    spec.payload_count = 3;
    job_submit(&seen, &spec);
    kilter_arena_free(arena);
    job_wait(&seen);
    ck_assert_int_eq(seen.status, KILTER_OK);
    ck_assert_int_eq(seen.class, KL_JOB_OK);
    ck_assert_str_eq(seen.message, "");
    ck_assert_uint_eq(seen.items, 3);
    ck_assert_str_eq(seen.item, "motd");
    ck_assert_str_eq(seen.last_diag, "2 test.wrong a.yaml:7 wrong");
    ck_assert_str_eq(seen.last_log, "echoed");
}
END_TEST

START_TEST(raw_items_are_handed_over_undecoded)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kl_payload payload = { kilter_map(arena), KILTER_STR_NONE };
    struct kl_job_spec spec = job_spec("echo");
    struct seen seen;
    spec.payloads = &payload;
    spec.payload_count = 1;
    spec.raw_items = true;
    job_submit(&seen, &spec);
    job_wait(&seen);
    ck_assert_uint_eq(seen.raw_items, 1);
    kilter_arena_free(arena);
}
END_TEST

START_TEST(a_worker_is_reused_for_its_key_and_for_no_other)
{
    struct kl_job_spec other = job_spec("ok");
    struct seen first = job_run("ok"), second = job_run("ok"), third;
    other.key = KILTER_STR("other");
    job_submit(&third, &other);
    job_wait(&third);
    ck_assert_int_eq(first.pid, second.pid);
    ck_assert_int_ne(first.pid, third.pid);
}
END_TEST

/* A job whose worker answers with this status. */
static struct seen run_status(int status)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *arguments = kilter_map(arena);
    struct kl_job_spec spec = job_spec("status");
    struct seen seen;
    kilter_set(arena, arguments, "status", kilter_int(arena, status));
    spec.arguments = arguments;
    job_submit(&seen, &spec);
    kilter_arena_free(arena);
    job_wait(&seen);
    return seen;
}

START_TEST(what_the_worker_answers_is_the_outcome)
{
    struct seen seen = run_status(KILTER_E_PERMISSION);
    ck_assert_int_eq(seen.status, KILTER_E_PERMISSION);
    ck_assert_int_eq(seen.class, KL_JOB_TERMINAL);
    ck_assert_str_eq(seen.message, "so it is");
    ck_assert(!seen.fault);
}
END_TEST

START_TEST(a_lack_of_memory_is_told_with_the_limit)
{
    struct seen seen = run_status(KILTER_E_NOMEM);
    ck_assert_int_eq(seen.class, KL_JOB_TRANSIENT);
    ck_assert_str_eq(seen.message,
                     "plugin 'fake' ran out of memory in status, of which it may use 512 MiB: so it is");
}
END_TEST

START_TEST(a_broken_contract_is_the_plugins_fault)
{
    struct seen seen = run_status(KILTER_E_INTERNAL);
    struct kl_plugin_faults faults;
    ck_assert(seen.fault);
    ck_assert(kl_pool_plugin_faults(harness.pool, KILTER_STR("fake"), &faults));
    ck_assert_str_eq(faults.last, "so it is");
}
END_TEST

START_TEST(a_status_that_does_not_exist_is_an_internal_failure)
{
    ck_assert_int_eq(run_status(7).status, KILTER_E_INTERNAL);
    ck_assert_int_eq(run_status(-4711).status, KILTER_E_INTERNAL);
}
END_TEST

START_TEST(what_a_worker_prints_is_logged_by_line)
{
    struct seen seen = job_run("print");
    ck_assert_int_eq(seen.status, KILTER_OK);
    ck_assert_uint_eq(seen.logs, 3);
}
END_TEST

START_TEST(the_daemons_environment_is_not_the_workers)
{
    setenv("KILTER_TEST_SECRET", "hunter2", 1);
    setenv("HOME", "/root", 1);
    struct kl_job_spec spec = job_spec("environment");
    struct seen render = job_run("environment"), fetch;
    spec.role = KL_ROLE_FETCH;
    job_submit(&fetch, &spec);
    job_wait(&fetch);
    ck_assert_str_eq(render.secret, "unseen");
    ck_assert_str_eq(render.home, "unseen");
    ck_assert_str_eq(fetch.secret, "unseen");
    ck_assert_str_eq(fetch.home, "seen");
}
END_TEST

START_TEST(secrets_of_the_arguments_are_masked_in_what_is_printed)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *arguments = kilter_map(arena), *credentials = kilter_map(arena);
    struct kl_job_spec spec = job_spec("tell-secret");
    struct seen seen;
    kilter_set(arena, credentials, "password", kilter_string_c(arena, "hunter2\n"));
    kilter_set(arena, arguments, "credentials", credentials);
    spec.arguments = arguments;
    job_submit(&seen, &spec);
    kilter_arena_free(arena);
    job_wait(&seen);
    ck_assert_str_eq(seen.last_log, "the password is ***, and again ******!");
}
END_TEST

/* --- deaths ------------------------------------------------------------------------------------------- */
START_TEST(a_crash_names_plugin_callback_and_signal)
{
    assert_ends("segv", KILTER_E_INTERNAL, true, "plugin 'fake' crashed in render: SIGSEGV");
    assert_ends("abort", KILTER_E_INTERNAL, true, "plugin 'fake' crashed in render: SIGABRT");
}
END_TEST

START_TEST(an_exit_is_told_with_its_status)
{
    assert_ends("exit", KILTER_E_INTERNAL, true, "plugin 'fake' called exit(3) in render");
}
END_TEST

START_TEST(a_crash_outside_of_callbacks_says_so)
{
    assert_ends("outside", KILTER_E_INTERNAL, true,
                "plugin 'fake' crashed outside of its callbacks, during outside: SIGSEGV");
}
END_TEST

START_TEST(a_kill_by_the_system_says_that_memory_may_be_the_reason)
{
    assert_ends(
        "oom-killer", KILTER_E_INTERNAL, true,
        "plugin 'fake' was killed from outside in render: SIGKILL (the system may have been out of memory)");
}
END_TEST

START_TEST(too_much_processor_time_is_told_with_the_limit)
{
    assert_ends("xcpu", KILTER_E_TIMEOUT, true,
                "plugin 'fake' used more than 300s of processor time in render and was killed");
}
END_TEST

START_TEST(a_hang_ends_at_its_deadline)
{
    struct kl_job_spec spec = job_spec("hang");
    struct seen seen;
    spec.deadline_ms = 300;
    job_submit(&seen, &spec);
    job_wait(&seen);
    ck_assert_str_eq(seen.message, "plugin 'fake' did not answer within 300ms in render and was killed");
    ck_assert_int_eq(seen.status, KILTER_E_TIMEOUT);
    ck_assert(seen.fault);
    assert_next_job_works();
}
END_TEST

START_TEST(what_was_sent_between_deadline_and_kill_still_counts)
{
    struct kl_job_spec spec = job_spec("item-and-hang");
    struct seen seen;
    spec.deadline_ms = 100;
    job_submit(&seen, &spec);
    job_wait(&seen);
    ck_assert_uint_eq(seen.items, 1);
    ck_assert_int_eq(seen.status, KILTER_E_TIMEOUT);
}
END_TEST

START_TEST(a_plugin_that_gives_up_at_its_deadline_is_late_but_not_at_fault)
{
    struct kl_job_spec spec = job_spec("obey-cancel");
    struct seen seen;
    spec.deadline_ms = 100;
    job_submit(&seen, &spec);
    job_wait(&seen);
    ck_assert_str_eq(seen.message, "plugin 'fake' did not finish within 100ms in obey-cancel");
    ck_assert_int_eq(seen.status, KILTER_E_TIMEOUT);
    ck_assert(!seen.fault);
}
END_TEST

START_TEST(an_answer_that_was_sent_before_the_death_counts)
{
    for (int i = 0; i < 20; i++) {
        struct seen seen = job_run("done-and-exit");
        ck_assert_msg(seen.status == KILTER_OK, "%s", seen.message);
        wait_until_gone(seen.pid);
    }
}
END_TEST

START_TEST(a_crash_between_two_jobs_harms_neither)
{
    struct seen seen = job_run("done-and-crash");
    struct kl_plugin_faults faults;
    ck_assert_int_eq(seen.status, KILTER_OK);
    wait_until_gone(seen.pid);
    ck_assert(kl_pool_plugin_faults(harness.pool, KILTER_STR("fake"), &faults));
    ck_assert_str_eq(faults.last, "plugin 'fake' crashed between two jobs: SIGSEGV");
    assert_next_job_works();
}
END_TEST

/* --- the wire ------------------------------------------------------------------------------------------- */
static void assert_breaks(const char *verb, const char *what)
{
    char message[256];
    struct seen seen = job_run(verb);
    snprintf(message, sizeof(message), "plugin 'fake' broke the protocol in render and was killed: %s", what);
    ck_assert_msg(strncmp(seen.message, message, strlen(message)) == 0, "%s", seen.message);
    ck_assert_int_eq(seen.status, KILTER_E_INTERNAL);
    ck_assert(seen.fault);
    assert_next_job_works();
}

START_TEST(a_broken_protocol_ends_the_worker_and_says_what_broke)
{
    assert_breaks("garbage", "a frame of the unknown type ");
    assert_breaks("undecodable", "frame ITEM cannot be read: ");
    assert_breaks("long-frame", "a ITEM frame of 16777217 bytes is longer than 16777216");
    assert_breaks("not-a-map", "frame ITEM holds no map");
    assert_breaks("daemons-frame", "it sent the frame START out of turn");
    assert_breaks("second-hello", "it sent the frame HELLO out of turn");
    assert_breaks("wrong-job", "it sent the frame DONE for job ");
}
END_TEST

START_TEST(half_a_frame_is_no_answer)
{
    assert_ends("half-frame", KILTER_E_INTERNAL, true, "plugin 'fake' called exit(0) in render");
}
END_TEST

START_TEST(a_closed_socket_ends_the_worker)
{
    assert_ends("close", KILTER_E_INTERNAL, true,
                "plugin 'fake' closed its connection to kilterd in render and was killed");
}
END_TEST

/* --- floods ----------------------------------------------------------------------------------------------- */
START_TEST(a_flood_is_cut_with_one_message_and_ends_the_job)
{
    struct seen log = job_run("flood-log"), print = job_run("flood-print");
    ck_assert_str_eq(log.message, "plugin 'fake' logged more than 1562 KiB in render and was killed");
    ck_assert_int_eq(log.status, KILTER_E_LIMIT);
    ck_assert_str_eq(log.last_log, "logged more than 97 KiB; what follows is dropped");
    ck_assert_uint_eq(log.logs, 2);
    ck_assert_str_eq(print.message, "plugin 'fake' printed more than 1562 KiB in render and was killed");
    ck_assert_uint_le(print.logs, 100000 / 2000 + 3);
    assert_next_job_works();
}
END_TEST

START_TEST(too_many_items_end_the_job)
{
    struct seen items = job_run("flood-items"), bytes = job_run("flood-bytes");
    ck_assert_str_eq(items.message, "plugin 'fake' sent more than 1000 items in render and was killed");
    ck_assert_int_eq(items.class, KL_JOB_TERMINAL);
    ck_assert_uint_eq(items.items, 1000);
    ck_assert_str_eq(bytes.message, "plugin 'fake' sent more than 4 MiB of results in render and was killed");
    assert_next_job_works();
}
END_TEST

static void setup_small_limits(void)
{
    harness_init();
    harness.options.max_items = 1000;
    harness.options.max_bytes = 4 << 20;
    harness_open();
}

/* --- starting ------------------------------------------------------------------------------------------------ */
static void open_with_mode(const char *mode)
{
    static const char *dirs[2];
    dirs[0] = mode;
    harness_init();
    harness.options.read_dirs = dirs;
    harness.options.hello_ms = 200;
    harness_open();
}

static void assert_does_not_start(const char *mode, const char *message)
{
    open_with_mode(mode);
    struct seen seen = job_run("ok");
    ck_assert_msg(strstr(seen.message, message) != NULL, "%s", seen.message);
    ck_assert_int_eq(seen.status, KILTER_E_INTERNAL);
    ck_assert(!seen.fault);
    harness_stop();
}

START_TEST(a_worker_that_does_not_start_fails_its_job_and_not_its_plugin)
{
    assert_does_not_start("no-hello", "pool-fake-worker did not start within 200ms and was killed");
    assert_does_not_start("exit", "pool-fake-worker ended before it could take a job: exit status 42");
    assert_does_not_start("other-version",
                          "pool-fake-worker is no worker for this kilterd: it speaks version 2 of the "
                          "protocol, and this is version 1");
    assert_does_not_start("not-a-worker",
                          "pool-fake-worker is no worker for this kilterd: a frame of the unknown type");
}
END_TEST

START_TEST(a_program_that_is_not_there_fails_the_job)
{
    harness_init();
    harness.options.worker = "/nonexistent/kilter-worker";
    harness_open();
    struct seen seen = job_run("ok");
    /* Under valgrind the program is found missing only after it was started. */
    ck_assert_msg(strstr(seen.message, "/nonexistent/kilter-worker") != NULL, "%s", seen.message);
    ck_assert_int_ne(seen.status, KILTER_OK);
    harness_stop();
}
END_TEST

/* --- grandchildren ------------------------------------------------------------------------------------------- */
START_TEST(what_a_worker_leaves_behind_dies_with_it)
{
    struct seen in_group = job_run("child"), in_session = job_run("child-session"),
                crashed = job_run("child-and-crash");
    ck_assert(in_group.child > 0 && in_session.child > 0 && crashed.child > 0);
    wait_until_gone(crashed.child);
    wait_until_gone(in_group.child); /* of the same worker, which the crash ended */
    wait_until_gone(in_session.child);
}
END_TEST

START_TEST(closing_the_pool_ends_grandchildren_too)
{
    harness_init();
    harness_open();
    struct seen in_group = job_run("child"), in_session = job_run("child-session");
    ck_assert(process_exists(in_group.child) && process_exists(in_session.child));
    harness_stop();
    ck_assert(!process_exists(in_group.child) && !process_exists(in_session.child));
}
END_TEST

/* A program that was just started has no environment yet for a moment, and so no mark. */
static void wait_for_environment(pid_t pid)
{
    char path[64], byte;
    snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
    for (int i = 0; i < 5000; i++) {
        KL_CLEANUP(kl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, &byte, 1) == 1)
            return;
        usleep(1000);
    }
    ck_abort_msg("process %ld has no environment", (long)pid);
}

START_TEST(a_sweep_kills_those_of_its_mark_only)
{
    static char id[] = KL_SPAWN_MARK "=swept-XXXXXX";
    char *const argv[] = { (char[]){ "sleep" }, (char[]){ "1000" }, NULL };
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_child one = KL_CHILD_INIT, other = KL_CHILD_INIT;
    struct kl_child_end end;
    snprintf(id, sizeof(id), KL_SPAWN_MARK "=swept-%d", (int)getpid() % 100000);
    char *const mine[] = { (char[]){ "A=b" }, id, NULL }, *const others[] = { (char[]){ KL_SPAWN_MARK "=x" },
                                                                              NULL };
    ck_assert_int_eq(kl_spawn("/bin/sleep", argv, mine, &one, &err), KILTER_OK);
    ck_assert_int_eq(kl_spawn("/bin/sleep", argv, others, &other, &err), KILTER_OK);
    wait_for_environment(one.pid);
    wait_for_environment(other.pid);
    ck_assert_int_eq(kl_pool_sweep(strchr(id, '=') + 1, &err), 1);
    ck_assert(kl_spawn_reap(&one, &end));
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert(!kl_spawn_reap(&other, &end));
    kl_spawn_kill(&other);
    while (!kl_spawn_reap(&other, &end))
        usleep(1000);
    kl_spawn_release(&one);
    kl_spawn_release(&other);
}
END_TEST

/* A process that runs a pool until it is killed; says when both jobs are where they stay. */
static void be_a_daemon(int ready)
{
    struct seen hang, child;
    struct kl_job_spec spec = job_spec("child-session");
    harness_open();
    job_submit(&child, &spec);
    job_wait(&child);
    spec = job_spec("hang");
    spec.key = KILTER_STR("other");
    job_submit(&hang, &spec);
    loop_for(200);
    if (write(ready, &child.child, sizeof(child.child)) < 0)
        _exit(1);
    for (;;)
        pause();
}

START_TEST(what_a_killed_daemon_left_is_swept_grandchildren_too)
{
    int ready[2];
    int64_t grandchild = 0;
    struct kilter_error err = KILTER_ERROR_INIT;
    harness_init();
    ck_assert_int_eq(pipe(ready), 0);
    pid_t daemon = fork();
    if (daemon == 0)
        be_a_daemon(ready[1]);
    ck_assert_int_eq(read(ready[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
    ck_assert(process_exists(grandchild));
    kill(daemon, SIGKILL);
    ck_assert_int_eq(waitpid(daemon, NULL, 0), daemon);
    /* The worker that hangs does not read its socket, and so does not see its end. */
    ck_assert_int_ge(kl_pool_sweep(harness.options.state_id, &err), 2);
    ck_assert_int_eq(kl_pool_sweep(harness.options.state_id, &err), 0);
    close(ready[0]);
    close(ready[1]);
}
END_TEST

TCase *pool_limits_case(void);

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *jobs = tcase_create("jobs"), *limits = tcase_create("floods"), *starts = tcase_create("starts");
    tcase_add_checked_fixture(jobs, setup, harness_stop);
    tcase_set_timeout(jobs, 100);
    tcase_add_test(jobs, a_job_gets_its_items_diagnostics_log_and_answer);
    tcase_add_test(jobs, raw_items_are_handed_over_undecoded);
    tcase_add_test(jobs, a_worker_is_reused_for_its_key_and_for_no_other);
    tcase_add_test(jobs, what_the_worker_answers_is_the_outcome);
    tcase_add_test(jobs, a_lack_of_memory_is_told_with_the_limit);
    tcase_add_test(jobs, a_broken_contract_is_the_plugins_fault);
    tcase_add_test(jobs, a_status_that_does_not_exist_is_an_internal_failure);
    tcase_add_test(jobs, what_a_worker_prints_is_logged_by_line);
    tcase_add_test(jobs, the_daemons_environment_is_not_the_workers);
    tcase_add_test(jobs, secrets_of_the_arguments_are_masked_in_what_is_printed);
    tcase_add_test(jobs, a_crash_names_plugin_callback_and_signal);
    tcase_add_test(jobs, an_exit_is_told_with_its_status);
    tcase_add_test(jobs, a_crash_outside_of_callbacks_says_so);
    tcase_add_test(jobs, a_kill_by_the_system_says_that_memory_may_be_the_reason);
    tcase_add_test(jobs, too_much_processor_time_is_told_with_the_limit);
    tcase_add_test(jobs, a_hang_ends_at_its_deadline);
    tcase_add_test(jobs, what_was_sent_between_deadline_and_kill_still_counts);
    tcase_add_test(jobs, a_plugin_that_gives_up_at_its_deadline_is_late_but_not_at_fault);
    tcase_add_test(jobs, an_answer_that_was_sent_before_the_death_counts);
    tcase_add_test(jobs, a_crash_between_two_jobs_harms_neither);
    tcase_add_test(jobs, a_broken_protocol_ends_the_worker_and_says_what_broke);
    tcase_add_test(jobs, half_a_frame_is_no_answer);
    tcase_add_test(jobs, a_closed_socket_ends_the_worker);
    tcase_add_test(jobs, what_a_worker_leaves_behind_dies_with_it);
    suite_add_tcase(suite, jobs);
    tcase_add_checked_fixture(limits, setup_small_limits, harness_stop);
    tcase_set_timeout(limits, 100);
    tcase_add_test(limits, a_flood_is_cut_with_one_message_and_ends_the_job);
    tcase_add_test(limits, too_many_items_end_the_job);
    suite_add_tcase(suite, limits);
    tcase_set_timeout(starts, 100);
    tcase_add_test(starts, a_worker_that_does_not_start_fails_its_job_and_not_its_plugin);
    tcase_add_test(starts, a_program_that_is_not_there_fails_the_job);
    tcase_add_test(starts, closing_the_pool_ends_grandchildren_too);
    tcase_add_test(starts, a_sweep_kills_those_of_its_mark_only);
    tcase_add_test(starts, what_a_killed_daemon_left_is_swept_grandchildren_too);
    suite_add_tcase(suite, starts);
    suite_add_tcase(suite, pool_limits_case());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
