/* SPDX-License-Identifier: Apache-2.0 */
/* The worker as a process: how it ends, and what ends with it. */
#include "worker/harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waits for the end of the worker; its wait status, or -1 after five seconds. */
static int end_of(struct worker *worker)
{
    int status;
    for (int i = 0; i < 500; i++) {
        if (waitpid(worker->pid, &status, WNOHANG) == worker->pid) {
            worker->pid = 0;
            return status;
        }
        usleep(10000);
    }
    return -1;
}

static void hang(struct worker *worker, const char *dir)
{
    char arguments[8192];
    enum kl_frame_type type;
    struct kilter_value *value;
    snprintf(arguments, sizeof arguments,
             "{verb: render, plugin: {name: probe, file: %s}, directory: %s, path: '', options: {act: hang}}",
             build_path("tests/plugins/probe.so"), dir);
    worker_send(worker, arguments, NULL);
    do
        ck_assert(worker_frame(worker, &type, &value));
    while (type != KL_FRAME_LOG);
}

START_TEST(an_idle_worker_ends_with_its_socket)
{
    struct worker *worker = worker_start("render", NULL);
    shutdown(worker->socket, SHUT_RDWR);
    ck_assert_int_eq(end_of(worker), 0);
    worker_stop(worker);
}
END_TEST

START_TEST(a_worker_that_hangs_in_a_plugin_ends_with_its_socket_too)
{
    const char *dir = make_dir();
    const char *const more[] = { "--read", dir, NULL };
    struct worker *worker = worker_start("render", more);
    hang(worker, dir);
    close(worker->socket);
    worker->socket = -1;
    ck_assert_int_ne(end_of(worker), -1);
    worker_stop(worker);
    remove_dir(dir);
}
END_TEST

static bool is_gone(pid_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 500; i++) {
        FILE *file = fopen(path, "r"); /* an orphan that nobody reaps stays a zombie */
        bool gone = !file || !fgets(line, sizeof line, file) || strstr(line, ") Z");
        if (file)
            fclose(file);
        if (gone)
            return true;
        usleep(10000);
    }
    return false;
}

START_TEST(what_a_plugin_started_ends_with_the_worker_wherever_it_went)
{
    char arguments[8192];
    int first = 0, second = 0;
    struct worker *worker = worker_start("apply", NULL);
    snprintf(arguments, sizeof arguments,
             "{verb: identity, plugin: {name: needy, file: %s}, target: x, owner: o, options: {act: spawn}}",
             build_path("tests/plugins/needy.so"));
    struct answer answer = worker_run(worker, arguments, NULL);
    ck_assert_int_eq(answer_status(&answer), 0);
    ck_assert_int_eq(sscanf(text_at(answer.logs, "0.message"), "%d %d", &first, &second), 2);
    ck_assert_int_eq(kill(first, 0), 0);
    ck_assert_int_eq(kill(second, 0), 0);
    close(worker->socket);
    worker->socket = -1;
    ck_assert_int_ne(end_of(worker), -1);
    ck_assert(is_gone(first));
    ck_assert(is_gone(second));
    worker_stop(worker);
}
END_TEST

START_TEST(a_worker_ends_with_its_parent)
{
    const char *dir = make_dir();
    int pipes[2];
    pid_t worker_pid = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t daemon = fork();
    if (daemon == 0) {
        const char *const more[] = { "--read", dir, NULL };
        struct worker *worker = worker_start("render", more);
        hang(worker, dir);
        ck_assert_int_gt(write(pipes[1], &worker->pid, sizeof worker->pid), 0);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_gt(read(pipes[0], &worker_pid, sizeof worker_pid), 0);
    waitpid(daemon, NULL, 0);
    ck_assert(is_gone(worker_pid));
    close(pipes[0]);
    close(pipes[1]);
    remove_dir(dir);
}
END_TEST

START_TEST(a_peer_that_talks_nonsense_is_left)
{
    static const char nonsense[] = "GET / HTTP/1.1\r\n\r\n";
    struct worker *worker = worker_start("render", NULL);
    char text[256] = "";
    ck_assert_int_gt(send(worker->socket, nonsense, sizeof nonsense, MSG_NOSIGNAL), 0);
    int status = end_of(worker);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    ck_assert_int_gt(read(worker->output, text, sizeof text - 1), 0);
    ck_assert_ptr_nonnull(strstr(text, "kilter-worker: a frame of the unknown type"));
    worker_stop(worker);
}
END_TEST

START_TEST(it_does_not_start_without_a_socket_or_a_role)
{
    char command[4200];
    snprintf(command, sizeof command, "%s --role render 3</dev/null >/dev/null 2>&1",
             build_path("libexec/kilter/kilter-worker"));
    ck_assert_int_eq(WEXITSTATUS(system(command)), 2);
    snprintf(command, sizeof command, "%s --role cook >/dev/null 2>&1", build_path("libexec/kilter/kilter-worker"));
    ck_assert_int_ne(WEXITSTATUS(system(command)), 0);
}
END_TEST

START_TEST(the_limits_are_in_force)
{
    const char *const more[] = { "--files", "40", "--cpu", "30", "--memory", "268435456", NULL };
    struct worker *worker = worker_start("inspect", more);
    char path[64], line[256];
    int seen = 0;
    snprintf(path, sizeof path, "/proc/%d/limits", (int)worker->pid);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) {
        seen += strncmp(line, "Max open files            40 ", 29) == 0;
        seen += strncmp(line, "Max core file size        0 ", 28) == 0;
        seen += strncmp(line, "Max file size             0 ", 28) == 0;
#if !defined(__SANITIZE_ADDRESS__)
        seen += strncmp(line, "Max data size             268435456 ", 36) == 0;
#else
        seen += strncmp(line, "Max data size ", 14) == 0;
#endif
    }
    fclose(file);
    ck_assert_int_eq(seen, 4);
    worker_stop(worker);
}
END_TEST

Suite *process_suite(void)
{
    Suite *suite = suite_create("process");
    TCase *tests = tcase_create("process");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, an_idle_worker_ends_with_its_socket);
    tcase_add_test(tests, a_worker_that_hangs_in_a_plugin_ends_with_its_socket_too);
    tcase_add_test(tests, what_a_plugin_started_ends_with_the_worker_wherever_it_went);
    tcase_add_test(tests, a_worker_ends_with_its_parent);
    tcase_add_test(tests, a_peer_that_talks_nonsense_is_left);
    tcase_add_test(tests, it_does_not_start_without_a_socket_or_a_role);
    tcase_add_test(tests, the_limits_are_in_force);
    suite_add_tcase(suite, tests);
    return suite;
}
