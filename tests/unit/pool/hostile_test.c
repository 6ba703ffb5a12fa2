/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool, the real worker, and a plugin that misbehaves in every callback in
 * every way: each gives its message, harms no other job, and leaves nothing.
 */
#include "base/cleanup.h"
#include "base/paths.h"
#include "harness.h"
#include "wire/jobs.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Every callback that has options to go by, and the verb that calls it. */
static const struct trial {
    const char *callback, *verb;
} trials[] = {
    { "render", "render" }, { "open", "identity" }, { "identity", "identity" }, { "claims", "plan" },
    { "plan", "plan" },     { "apply", "apply" },   { "refresh", "refresh" },   { "health", "health" },
    { "watch", "watch" },   { "import", "import" },
};
#define TRIALS (sizeof(trials) / sizeof(trials[0]))

static char plugin_file[PATH_MAX], tree[] = "/tmp/kilter-hostile-XXXXXX";
static char *worker;
static struct kilter_arena *arena;

static void setup(void)
{
    KL_CLEANUP(kl_freep) char *dir = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    harness_init();
    /* For the workers, where there are sanitizers: a crash is to be a crash, and exit(3) that. */
    setenv("ASAN_OPTIONS", "handle_segv=0:handle_abort=0:detect_leaks=0", 1);
    ck_assert_int_eq(kl_program_dir(&dir, &err), KILTER_OK);
    snprintf(plugin_file, sizeof(plugin_file), "%s/fixtures/plugins/hostile.so", dir);
    ck_assert_msg(kl_worker_find(&worker, &err) == KILTER_OK, "%s", err.message);
    harness.options.worker = worker;
    harness.options.memory = 96 << 20;
    harness.options.max_workers = 2 * TRIALS;
    for (int i = 0; i < KL_ROLE_COUNT; i++)
        harness.options.max_of_role[i] = 2 * TRIALS;
    arena = kilter_arena_new(0);
    ck_assert_ptr_nonnull(mkdtemp(tree));
}

/* Nothing is left of what the workers started, wherever it went. */
static void teardown(void)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    harness_stop();
    ck_assert_int_eq(kl_pool_sweep(harness.options.state_id, &err), 0);
    kilter_arena_free(arena);
    free(worker);
    rmdir(tree);
}

static struct kilter_value *text(const char *value)
{
    return kilter_string_c(arena, value);
}

static struct kilter_value *make_document(void)
{
    struct kilter_value *document = kilter_map(arena), *metadata = kilter_map(arena);
    kilter_set(arena, metadata, "name", text("motd"));
    kilter_set(arena, document, "apiVersion", text("hostile.example/v1"));
    kilter_set(arena, document, "kind", text("Thing"));
    kilter_set(arena, document, "metadata", metadata);
    return document;
}

/* What a verb works on. */
static size_t make_payloads(const char *verb, struct kl_payload payloads[2])
{
    const struct kilter_id id = { KILTER_STR("hostile.example/v1"), KILTER_STR("Thing"), KILTER_STR(""),
                                  KILTER_STR("motd") };
    const struct kilter_resource resource = { .size = sizeof(resource), .id = id, .document = make_document() };
    const struct kilter_record record = { .size = sizeof(record), .id = id, .status = KILTER_RECORD_OWNED };
    const struct kilter_change change = { .size = sizeof(change),
                                          .verb = KILTER_VERB_CREATE,
                                          .id = id,
                                          .after = make_document(),
                                          .reason = KILTER_STR("it is not there") };
    struct kilter_value *thing =
        strcmp(verb, "apply") == 0 ? kl_change_value(arena, &change) : kl_resource_value(arena, &resource);
    memset(payloads, 0, 2 * sizeof(payloads[0]));
    if (strcmp(verb, "render") == 0 || strcmp(verb, "identity") == 0 || strcmp(verb, "describe") == 0)
        return 0;
    payloads[0].value = thing;
    payloads[1].value = kl_record_value(arena, &record);
    if (strcmp(verb, "plan") == 0 || strcmp(verb, "apply") == 0)
        return 2;
    if (strcmp(verb, "import") != 0)
        payloads[0].value = payloads[1].value;
    return 1;
}

static struct kilter_value *make_arguments(const char *verb, const char *file, const char *callback,
                                           const char *how)
{
    struct kilter_value *arguments = kilter_map(arena), *plugin = kilter_map(arena), *options = kilter_map(arena);
    kilter_set(arena, plugin, "name", text("hostile"));
    kilter_set(arena, plugin, "file", text(file));
    kilter_set(arena, arguments, "plugin", plugin);
    kilter_set(arena, options, "callback", text(callback));
    kilter_set(arena, options, "how", text(how));
    kilter_set(arena, arguments, "options", options);
    if (strcmp(verb, "render") == 0) {
        kilter_set(arena, arguments, "directory", text(tree));
        kilter_set(arena, arguments, "path", text(""));
        kilter_set(arena, arguments, "installation", text("test"));
        kilter_set(arena, arguments, "app", text("app"));
    } else {
        kilter_set(arena, arguments, "target", text("here"));
        kilter_set(arena, arguments, "owner", text("test/app"));
        kilter_set(arena, arguments, "mode", text("sync"));
    }
    return arguments;
}

static void submit(struct seen *seen, const struct trial *trial, const char *file, const char *how,
                   int64_t deadline_ms)
{
    struct kl_payload payloads[2];
    struct kl_job_spec spec = job_spec(trial->verb);
    spec.role = strcmp(trial->verb, "render") == 0     ? KL_ROLE_RENDER
                : strcmp(trial->verb, "describe") == 0 ? KL_ROLE_INSPECT
                                                       : KL_ROLE_APPLY;
    spec.key = kilter_str_c(trial->callback);
    spec.plugin = KILTER_STR("hostile");
    spec.arguments = make_arguments(trial->verb, file, trial->callback, how);
    spec.payload_count = make_payloads(trial->verb, payloads);
    spec.payloads = payloads;
    spec.deadline_ms = deadline_ms;
    job_submit(seen, &spec);
}

/* All callbacks at once, each on its own worker. */
static void run_all(const char *how, int64_t deadline_ms, struct seen seen[TRIALS])
{
    for (size_t i = 0; i < TRIALS; i++)
        submit(&seen[i], &trials[i], plugin_file, how, deadline_ms);
    for (size_t i = 0; i < TRIALS; i++)
        job_wait(&seen[i]);
}

static void assert_all_work(void)
{
    struct seen seen[TRIALS];
    for (size_t i = 0; i < TRIALS; i++)
        submit(&seen[i], &trials[i], plugin_file, "not", strcmp(trials[i].verb, "watch") == 0 ? 300 : 20000);
    for (size_t i = 0; i < TRIALS; i++) {
        job_wait(&seen[i]);
        int expected = strcmp(trials[i].verb, "watch") == 0 ? KILTER_E_TIMEOUT : KILTER_OK;
        ck_assert_msg(seen[i].status == expected, "%s: %d %s", trials[i].verb, seen[i].status, seen[i].message);
    }
}

/* Each callback's message begins with "<before><callback><after>". */
static void assert_all_end(const char *how, int64_t deadline_ms, const char *before, const char *after)
{
    struct seen seen[TRIALS];
    char message[256];
    harness_open();
    run_all(how, deadline_ms, seen);
    for (size_t i = 0; i < TRIALS; i++) {
        snprintf(message, sizeof(message), "%s%s%s", before, trials[i].callback, after);
        ck_assert_msg(strncmp(seen[i].message, message, strlen(message)) == 0, "%s in %s: %s", how,
                      trials[i].callback, seen[i].message);
        ck_assert_msg(seen[i].fault, "%s in %s", how, trials[i].callback);
    }
    assert_all_work();
}

START_TEST(a_plugin_that_behaves_works)
{
    harness_open();
    assert_all_work();
}
END_TEST

START_TEST(a_crash_in_any_callback_names_it)
{
    assert_all_end("crash", 20000, "plugin 'hostile' crashed in ", ": SIGSEGV");
}
END_TEST

START_TEST(an_abort_in_any_callback_names_it)
{
    assert_all_end("abort", 20000, "plugin 'hostile' crashed in ", ": SIGABRT");
}
END_TEST

START_TEST(an_endless_loop_in_any_callback_ends_at_the_deadline)
{
    assert_all_end("loop", 2000, "plugin 'hostile' did not answer within 2s in ", " and was killed");
}
END_TEST

START_TEST(a_sleep_in_any_callback_ends_at_the_deadline)
{
    assert_all_end("sleep", 1000, "plugin 'hostile' did not answer within 1s in ", " and was killed");
}
END_TEST

START_TEST(exit_in_any_callback_is_told_with_its_status)
{
    assert_all_end("exit", 20000, "plugin 'hostile' called exit(3) in ", "");
}
END_TEST

START_TEST(exit_without_handlers_in_any_callback_is_told_with_its_status)
{
    assert_all_end("exitNow", 20000, "plugin 'hostile' called exit(3) in ", "");
}
END_TEST

START_TEST(garbage_on_the_socket_in_any_callback_is_a_broken_protocol)
{
    assert_all_end("garbage", 20000, "plugin 'hostile' broke the protocol in ", " and was killed: a frame of the");
}
END_TEST

START_TEST(a_flood_of_output_in_any_callback_ends_the_job)
{
    assert_all_end("floodOut", 20000, "plugin 'hostile' printed more than 1562 KiB in ", " and was killed");
}
END_TEST

START_TEST(a_flood_of_log_in_any_callback_is_cut)
{
    struct seen seen[TRIALS];
    harness_open();
    run_all("floodLog", 1500, seen);
    for (size_t i = 0; i < TRIALS; i++) {
        ck_assert_msg(seen[i].status == KILTER_E_TIMEOUT || seen[i].status == KILTER_E_LIMIT, "%s: %s",
                      trials[i].callback, seen[i].message);
        ck_assert_uint_gt(seen[i].logs, 10);
        ck_assert_uint_le(seen[i].logs, 2000);
    }
    assert_all_work();
}
END_TEST

START_TEST(memory_without_end_in_any_callback_is_told_with_the_limit)
{
    assert_all_end("allocate", 20000, "plugin 'hostile' used more than 96 MiB of memory in ",
                   " and crashed: SIGSEGV");
}
END_TEST

START_TEST(nonsense_from_any_callback_names_plugin_and_callback)
{
    struct seen seen[TRIALS];
    harness_open();
    run_all("nonsense", 20000, seen);
    for (size_t i = 0; i < TRIALS; i++) {
        ck_assert_int_eq(seen[i].status, KILTER_E_INTERNAL);
        ck_assert_msg(strstr(seen[i].message, "hostile") && strstr(seen[i].message, trials[i].callback) &&
                          strstr(seen[i].message, "4711"),
                      "%s: %s", trials[i].callback, seen[i].message);
        ck_assert(seen[i].fault);
    }
    assert_all_work();
}
END_TEST

START_TEST(wild_pointers_and_indices_fail_the_job_and_name_the_plugin)
{
    static const char *const emitting[] = { "render", "identity", "claims", "plan", "apply", "refresh", "import" };
    struct seen seen[TRIALS];
    harness_open();
    run_all("wild", 1000, seen);
    for (size_t i = 0; i < TRIALS; i++)
        for (size_t k = 0; k < sizeof(emitting) / sizeof(emitting[0]); k++)
            if (strcmp(emitting[k], trials[i].callback) == 0)
                ck_assert_msg(seen[i].status == KILTER_E_INTERNAL && strstr(seen[i].message, "hostile"),
                              "%s: %d %s", trials[i].callback, seen[i].status, seen[i].message);
    assert_all_work();
}
END_TEST

START_TEST(grandchildren_of_any_callback_die_with_the_worker)
{
    struct seen seen[TRIALS];
    harness_open();
    run_all("grandchild", 1000, seen);
    for (size_t i = 0; i < TRIALS; i++)
        ck_assert_msg(seen[i].status == KILTER_OK || strcmp(trials[i].verb, "watch") == 0, "%s: %s",
                      trials[i].callback, seen[i].message);
    /* teardown looks for them */
}
END_TEST

START_TEST(a_worker_that_leaks_is_replaced_before_it_hurts)
{
    struct kl_pool_stats stats;
    struct seen seen;
    harness.options.recycle_rss = 40 << 20;
    harness_open();
    for (int i = 0; i < 6; i++) {
        submit(&seen, &trials[0], plugin_file, "leak", 20000);
        job_wait(&seen);
        ck_assert_msg(seen.status == KILTER_OK, "%s", seen.message);
    }
    kl_pool_stats(harness.pool, &stats);
    ck_assert_uint_ge(stats.retired, 2);
    ck_assert_uint_eq(stats.died, 0);
}
END_TEST

/* --- before there are options ------------------------------------------------------------------------ */
static void describe(const char *place, const char *how, struct seen *seen)
{
    char file[PATH_MAX];
    snprintf(file, sizeof(file), "%s/hostile@%s@%s.so", tree, place, how);
    const struct trial trial = { file, "describe" }; /* a file, a worker: it is confined to it */
    ck_assert_int_eq(symlink(plugin_file, file), 0);
    submit(seen, &trial, file, "not", 1000);
    job_wait(seen);
    unlink(file);
}

START_TEST(a_plugin_that_misbehaves_while_it_is_loaded_says_so)
{
    static const char *const places[] = { "constructor", "describe" };
    struct seen seen;
    harness_open();
    for (int i = 0; i < 2; i++) {
        describe(places[i], "not", &seen);
        ck_assert_msg(seen.status == KILTER_OK, "%s", seen.message);
        describe(places[i], "crash", &seen);
        ck_assert_str_eq(seen.message, "plugin 'hostile' crashed in load: SIGSEGV");
        describe(places[i], "sleep", &seen);
        ck_assert_str_eq(seen.message, "plugin 'hostile' did not answer within 1s in load and was killed");
        describe(places[i], "exit", &seen);
        ck_assert_str_eq(seen.message, "plugin 'hostile' called exit(3) in load");
        describe(places[i], "floodOut", &seen);
        ck_assert_str_eq(seen.message, "plugin 'hostile' printed more than 1562 KiB in load and was killed");
    }
}
END_TEST

/* --- close: when the worker leaves one target for another ------------------------------------------------ */
static const struct trial closing = { "close", "identity" }, opening = { "nothing", "identity" };

START_TEST(a_crash_in_close_is_blamed_on_it_and_passes)
{
    struct kl_plugin_faults faults;
    struct seen first, second, third;
    struct trial after = opening;
    harness_open();
    after.callback = closing.callback; /* the same key, so the same worker */
    submit(&first, &closing, plugin_file, "crash", 20000);
    job_wait(&first);
    submit(&second, &after, plugin_file, "not", 20000);
    job_wait(&second);
    submit(&third, &after, plugin_file, "not", 20000);
    job_wait(&third);
    ck_assert_int_eq(third.status, KILTER_OK);
    ck_assert(kl_pool_plugin_faults(harness.pool, KILTER_STR("hostile"), &faults));
    ck_assert_msg(strncmp(faults.last, "plugin 'hostile' crashed in close: SIGSEGV", 42) == 0, "%s", faults.last);
}
END_TEST

/* --- quarantine --------------------------------------------------------------------------------------------- */
START_TEST(a_plugin_that_keeps_crashing_is_not_run_any_more)
{
    struct seen seen;
    harness.options.quarantine_faults = 3;
    harness_open();
    for (int i = 0; i < 3; i++) {
        submit(&seen, &trials[0], plugin_file, "crash", 20000);
        job_wait(&seen);
        ck_assert(!seen.quarantined);
    }
    submit(&seen, &trials[0], plugin_file, "not", 20000);
    job_wait(&seen);
    ck_assert(seen.quarantined);
    ck_assert_ptr_nonnull(strstr(seen.message, "plugin 'hostile' is quarantined since "));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile plugins");
    TCase *tc = tcase_create("hostile");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, a_plugin_that_behaves_works);
    tcase_add_test(tc, a_crash_in_any_callback_names_it);
    tcase_add_test(tc, an_abort_in_any_callback_names_it);
    tcase_add_test(tc, an_endless_loop_in_any_callback_ends_at_the_deadline);
    tcase_add_test(tc, a_sleep_in_any_callback_ends_at_the_deadline);
    tcase_add_test(tc, exit_in_any_callback_is_told_with_its_status);
    tcase_add_test(tc, exit_without_handlers_in_any_callback_is_told_with_its_status);
    tcase_add_test(tc, garbage_on_the_socket_in_any_callback_is_a_broken_protocol);
    tcase_add_test(tc, a_flood_of_output_in_any_callback_ends_the_job);
    tcase_add_test(tc, a_flood_of_log_in_any_callback_is_cut);
    tcase_add_test(tc, nonsense_from_any_callback_names_plugin_and_callback);
    tcase_add_test(tc, wild_pointers_and_indices_fail_the_job_and_name_the_plugin);
    tcase_add_test(tc, grandchildren_of_any_callback_die_with_the_worker);
    tcase_add_test(tc, a_plugin_that_misbehaves_while_it_is_loaded_says_so);
    tcase_add_test(tc, a_crash_in_close_is_blamed_on_it_and_passes);
    tcase_add_test(tc, a_plugin_that_keeps_crashing_is_not_run_any_more);
#if defined(__SANITIZE_ADDRESS__)
    /* Sanitizers take memory without end themselves, so that workers have no limit then. */
    (void)memory_without_end_in_any_callback_is_told_with_the_limit;
    (void)a_worker_that_leaks_is_replaced_before_it_hurts;
#else
    tcase_add_test(tc, memory_without_end_in_any_callback_is_told_with_the_limit);
    tcase_add_test(tc, a_worker_that_leaks_is_replaced_before_it_hurts);
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
