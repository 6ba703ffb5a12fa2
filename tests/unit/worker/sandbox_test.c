/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin tries from inside, and what comes of it. */
#include "worker/harness.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1;
}

static struct kilter_value *try_everything(struct worker *worker, const char *allowed, const char *forbidden)
{
    char arguments[16384];
    snprintf(arguments, sizeof arguments,
             "{verb: render, plugin: {name: probe, file: %s}, directory: %s, path: '', "
             "options: {act: attempts, forbidden: %s/secret, mirror: %s/motd}}",
             build_path("tests/plugins/probe.so"), allowed, forbidden, allowed);
    struct answer answer = worker_run(worker, arguments, NULL);
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    return kilter_get(kilter_get(answer_item(&answer, "resource", 0), "document"), "spec");
}

START_TEST(a_renderer_reads_the_mirrors_and_does_nothing_else)
{
    const char *allowed = make_dir(), *forbidden = make_dir();
    write_file(allowed, "motd", "welcome\n");
    write_file(forbidden, "secret", "hush\n");
    const char *const more[] = { "--read", allowed, NULL };
    struct worker *worker = worker_start("render", more);
    struct kilter_value *spec = try_everything(worker, allowed, forbidden);
    ck_assert_str_eq(text_at(spec, "inet"), "refused");
    ck_assert_str_eq(text_at(spec, "unix"), "refused");
    ck_assert_str_eq(text_at(spec, "exec"), "refused");
    ck_assert_str_eq(text_at(spec, "execHere"), "refused");
    ck_assert_str_eq(text_at(spec, "readAllowed"), "allowed");
    if (has_landlock()) {
        ck_assert_str_eq(text_at(spec, "readForbidden"), "refused");
        ck_assert_str_eq(text_at(spec, "write"), "refused");
    }
    worker_stop(worker);
    remove_dir(allowed);
    remove_dir(forbidden);
    ck_assert_int_ne(access("/tmp/kilter-probe-was-here", F_OK), 0);
}
END_TEST

/* The same plugin as a target: its needs decide. It is told what to try by its renderer, which only runs in
 * render workers, so the target's own sandbox is looked at from outside. */
static char *status_of(pid_t pid, const char *key, char text[64])
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[0] = '\0';
    while (fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            snprintf(text, 64, "%s", line + strlen(key) + 1);
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

static void identify(struct worker *worker, const char *plugin, int status)
{
    char arguments[8192];
    snprintf(arguments, sizeof arguments, "{verb: identity, plugin: {name: %s, file: %s}, target: x, owner: o}",
             plugin, build_path("tests/plugins/%s.so", plugin));
    struct answer answer = worker_run(worker, arguments, NULL);
    ck_assert_msg(answer_status(&answer) == status, "%s", answer_message(&answer));
}

START_TEST(every_worker_has_no_new_privileges_and_a_filter)
{
    char text[64];
    struct worker *worker = worker_start("apply", NULL);
    ck_assert_str_eq(status_of(worker->pid, "NoNewPrivs:", text), "1");
    identify(worker, "needy", 0);
    ck_assert_str_eq(status_of(worker->pid, "Seccomp:", text), "2");
    worker_stop(worker);
}
END_TEST

START_TEST(a_worker_confined_for_one_plugin_refuses_another_that_needs_more)
{
    struct worker *worker = worker_start("apply", NULL);
    identify(worker, "probe", 0);
    identify(worker, "needy", KILTER_E_CONFLICT);
    worker_stop(worker);

    worker = worker_start("apply", NULL);
    identify(worker, "needy", 0);
    identify(worker, "probe", 0);
    worker_stop(worker);
}
END_TEST

START_TEST(a_fetching_worker_has_a_filter_too)
{
    char text[64];
    struct worker *worker = worker_start("fetch", NULL);
    worker_run(worker, "{verb: fetch, url: 'file:///nonexistent/repository'}", NULL);
    ck_assert_str_eq(status_of(worker->pid, "Seccomp:", text), "2");
    worker_stop(worker);
}
END_TEST

Suite *sandbox_suite(void)
{
    Suite *suite = suite_create("sandbox");
    TCase *tests = tcase_create("sandbox");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_renderer_reads_the_mirrors_and_does_nothing_else);
    tcase_add_test(tests, every_worker_has_no_new_privileges_and_a_filter);
    tcase_add_test(tests, a_worker_confined_for_one_plugin_refuses_another_that_needs_more);
    tcase_add_test(tests, a_fetching_worker_has_a_filter_too);
    suite_add_tcase(suite, tests);
    return suite;
}
