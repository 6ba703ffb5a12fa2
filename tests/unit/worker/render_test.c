/* SPDX-License-Identifier: Apache-2.0 */
/* Renders in a real worker, by a plugin that does what it is told. */
#include "worker/harness.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir;

static void set_up(void)
{
    dir = make_dir();
    write_file(dir, "motd", "welcome\n");
}

static void tear_down(void)
{
    remove_dir(dir);
}

static struct worker *start(void)
{
    const char *const more[] = { "--read", dir, NULL };
    return worker_start("render", more);
}

static void send_act(struct worker *worker, const char *act, const char *more)
{
    char arguments[8192];
    snprintf(arguments, sizeof arguments,
             "{verb: render, plugin: {name: probe, file: %s}, directory: %s, path: '', options: {act: %s%s",
             build_path("tests/plugins/probe.so"), dir, act, more);
    worker_send(worker, arguments, NULL);
}

static struct answer run_act(const char *act, const char *more, struct worker **ret_worker)
{
    *ret_worker = start();
    send_act(*ret_worker, act, more);
    return worker_answer(*ret_worker);
}

START_TEST(resources_come_in_order_with_origin_and_digest)
{
    struct worker *worker;
    struct answer answer = run_act("many", ", count: 3}}", &worker);
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_uint_eq(answer_count(&answer, "resource"), 3);
    ck_assert_str_eq(text_at(answer_item(&answer, "resource", 1), "name"), "thing-1");
    ck_assert_str_eq(text_at(answer_item(&answer, "resource", 1), "file"), "things.yaml");
    ck_assert_str_eq(text_at(answer_item(&answer, "resource", 1), "line"), "2");
    ck_assert_str_eq(text_at(answer_item(&answer, "resource", 1), "document.spec.price"), "$$5");
    ck_assert_str_eq(text_at(answer.done, "count"), "3");
    ck_assert_str_eq(text_at(answer.done, "secret"), "false");
    ck_assert_str_eq(text_at(answer.done, "renderer"), "probe");
    ck_assert_str_eq(text_at(answer.done, "version"), "1.2.3");
    char first[65];
    snprintf(first, sizeof first, "%s", text_at(answer.done, "digest"));

    send_act(worker, "many", ", count: 3}}");
    struct answer again = worker_answer(worker);
    ck_assert_str_eq(text_at(again.done, "digest"), first);
    send_act(worker, "many", ", count: 4}}");
    struct answer other = worker_answer(worker);
    ck_assert_str_ne(text_at(other.done, "digest"), first);
    worker_stop(worker);
}
END_TEST

START_TEST(documents_are_substituted_only_when_asked_and_inputs_are_secret)
{
    struct worker *worker;
    struct answer answer =
        run_act("many", "}, substitute: true, variables: {GREETING: hey}, inputs: {WHO: hunter22}}", &worker);
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    struct kilter_value *spec = kilter_get(kilter_get(answer_item(&answer, "resource", 0), "document"), "spec");
    ck_assert_str_eq(text_at(spec, "greeting"), "hey, hunter22");
    ck_assert_str_eq(text_at(spec, "price"), "$5");
    ck_assert_uint_eq(kilter_marks_of(kilter_get(spec, "greeting")), KILTER_VALUE_SECRET);
    ck_assert_uint_eq(kilter_marks_of(kilter_get(spec, "price")), 0);
    ck_assert_str_eq(text_at(answer.done, "secret"), "true");
    worker_stop(worker);

    answer = run_act("many", ", count: 2}, substitute: true}", &worker);
    ck_assert_int_eq(answer_status(&answer), KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_list_size(answer.diags), 2);
    ck_assert_ptr_nonnull(strstr(text_at(answer.diags, "0.message"), "unknown variable \"WHO\""));
    worker_stop(worker);
}
END_TEST

START_TEST(what_was_asked_of_the_tree_is_reported)
{
    struct worker *worker;
    struct answer answer = run_act("read", "}}", &worker);
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_str_eq(text_at(answer_item(&answer, "resource", 0), "document.spec.text"), "welcome\n");
    ck_assert_uint_ge(answer_count(&answer, "asked"), 1);
    ck_assert_str_eq(text_at(answer_item(&answer, "asked", 0), "path"), "motd");
    worker_stop(worker);
}
END_TEST

START_TEST(a_failed_render_reports_what_it_asked_too)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/motd", dir);
    unlink(path);
    struct worker *worker;
    struct answer answer = run_act("read", "}}", &worker);
    ck_assert_int_eq(answer_status(&answer), KILTER_E_NOT_FOUND);
    ck_assert_uint_ge(answer_count(&answer, "asked"), 1);
    ck_assert_str_eq(text_at(answer_item(&answer, "asked", 0), "answer"), "absent");
    worker_stop(worker);
}
END_TEST

static const struct {
    const char *act, *more;
    int status;
    const char *message; /* of DONE */
    const char *diag;    /* of the first diagnostic */
} failures[] = {
    { "twice", "}}", KILTER_E_INVALID, "1 error", "Probe/one is there twice; first at a.yaml:3" },
    { "sops", "}}", KILTER_E_INVALID, "1 error", "encrypted with SOPS" },
    { "knot", "}}", KILTER_E_INTERNAL, "defect of the plugin probe: its render callback emitted", NULL },
    { "number", "}}", KILTER_E_INTERNAL, "its render callback returned 17, which is no status", NULL },
    { "fail", "}}", KILTER_E_IO, "", NULL },
    { "need", "}}", KILTER_E_NEED, "https://example.org/base.git is needed first", NULL },
    { "exit", "}}", KILTER_E_INTERNAL, "plugin probe: its render callback ended the process by exit()", NULL },
    { "many", ", count: 5}, maxResources: 4}", KILTER_E_LIMIT, "more than 4 resources", NULL },
    { "many", ", count: 5}, maxBytes: 400}", KILTER_E_LIMIT, "more than 400 bytes", NULL },
    { "many", ", cuont: 5}}", KILTER_E_INVALID, "", "unknown option of renderer probe: \"cuont\"" },
    { "tell", "}, inputs: {P: hunter22}}", KILTER_E_IO, "the password is (sensitive value), said", NULL },
    { "wait", "}, deadlineMs: 50}", KILTER_E_CANCELLED, "as asked", NULL },
};

START_TEST(a_failure_says_what_and_who)
{
    struct worker *worker;
    struct answer answer = run_act(failures[_i].act, failures[_i].more, &worker);
    ck_assert_msg(answer_status(&answer) == failures[_i].status, "%s: %d %s", failures[_i].act,
                  answer_status(&answer), answer_message(&answer));
    ck_assert_msg(strstr(answer_message(&answer), failures[_i].message) != NULL, "%s", answer_message(&answer));
    if (failures[_i].diag)
        ck_assert_msg(strstr(text_at(answer.diags, "0.message"), failures[_i].diag) != NULL, "%s",
                      text_at(answer.diags, "0.message"));
    worker_stop(worker);
}
END_TEST

START_TEST(a_need_names_the_repository)
{
    struct worker *worker;
    struct answer answer = run_act("need", "}}", &worker);
    ck_assert_str_eq(text_at(answer_item(&answer, "need", 0), "url"), "https://example.org/base.git");
    ck_assert_str_eq(text_at(answer_item(&answer, "need", 0), "ref"), "main");
    worker_stop(worker);
}
END_TEST

START_TEST(a_crash_is_announced_by_the_phase_before_it)
{
    struct worker *worker;
    struct answer answer = run_act("crash", "}}", &worker);
    ck_assert_ptr_null(answer.done);
    ck_assert(WIFSIGNALED(answer.exit_status) && WTERMSIG(answer.exit_status) == SIGABRT);
    struct kilter_value *last = kilter_list_at(answer.phases, kilter_list_size(answer.phases) - 1);
    ck_assert_str_eq(text_at(last, "plugin"), "probe");
    ck_assert_str_eq(text_at(last, "callback"), "render");
    worker_stop(worker);
}
END_TEST

START_TEST(a_flood_of_log_lines_is_cut_off_and_said_so)
{
    struct worker *worker;
    struct answer answer = run_act("flood", "}}", &worker);
    ck_assert_int_eq(answer_status(&answer), 0);
    ck_assert_uint_le(kilter_list_size(answer.logs), 1002);
    struct kilter_value *last = kilter_list_at(answer.logs, kilter_list_size(answer.logs) - 1);
    ck_assert_ptr_nonnull(strstr(text_at(last, "message"), "more lines of log were dropped"));
    worker_stop(worker);
}
END_TEST

START_TEST(what_a_plugin_prints_goes_to_its_output_and_not_to_the_protocol)
{
    struct worker *worker;
    struct answer answer = run_act("print", "}}", &worker);
    char text[256] = "";
    ck_assert_int_eq(answer_status(&answer), 0);
    ck_assert_int_gt(read(worker->output, text, sizeof text - 1), 0);
    ck_assert_str_eq(text, "printed by a plugin\n");
    worker_stop(worker);
}
END_TEST

START_TEST(a_worker_does_the_work_of_its_role_only)
{
    struct worker *worker = start();
    char arguments[8192];
    snprintf(arguments, sizeof arguments, "{verb: identity, plugin: {name: probe, file: %s}}",
             build_path("tests/plugins/probe.so"));
    struct answer answer = worker_run(worker, arguments, NULL);
    ck_assert_int_eq(answer_status(&answer), KILTER_E_INVALID);
    worker_stop(worker);
}
END_TEST

START_TEST(a_cancelled_job_is_answered)
{
    struct worker *worker = start();
    send_act(worker, "wait", "}}");
    enum kl_frame_type type;
    struct kilter_value *value;
    do
        ck_assert(worker_frame(worker, &type, &value));
    while (type != KL_FRAME_LOG);
    worker_cancel(worker);
    struct answer answer = worker_answer(worker);
    ck_assert_int_eq(answer_status(&answer), KILTER_E_CANCELLED);
    send_act(worker, "many", "}}"); /* and the worker is fit for the next */
    answer = worker_answer(worker);
    ck_assert_int_eq(answer_status(&answer), 0);
    worker_stop(worker);
}
END_TEST

START_TEST(detection_chooses_the_surest_renderer)
{
    struct worker *worker = start();
    char arguments[8192];
    snprintf(arguments, sizeof arguments,
             "{verb: detect, plugins: [{file: %s}, {file: %s}], directory: %s, path: ''}",
             build_path("tests/plugins/abi-older-renderer.so"), build_path("tests/plugins/probe.so"), dir);
    struct answer answer = worker_run(worker, arguments, NULL);
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_str_eq(text_at(answer.done, "plugin"), "probe");
    ck_assert_uint_eq(answer_count(&answer, "asked"), 1);
    worker_stop(worker);
}
END_TEST

Suite *render_suite(void)
{
    Suite *suite = suite_create("render");
    TCase *tests = tcase_create("render");
    tcase_set_timeout(tests, 30);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, resources_come_in_order_with_origin_and_digest);
    tcase_add_test(tests, documents_are_substituted_only_when_asked_and_inputs_are_secret);
    tcase_add_test(tests, what_was_asked_of_the_tree_is_reported);
    tcase_add_test(tests, a_failed_render_reports_what_it_asked_too);
    tcase_add_loop_test(tests, a_failure_says_what_and_who, 0, sizeof failures / sizeof failures[0]);
    tcase_add_test(tests, a_need_names_the_repository);
    tcase_add_test(tests, a_crash_is_announced_by_the_phase_before_it);
    tcase_add_test(tests, a_flood_of_log_lines_is_cut_off_and_said_so);
    tcase_add_test(tests, what_a_plugin_prints_goes_to_its_output_and_not_to_the_protocol);
    tcase_add_test(tests, a_worker_does_the_work_of_its_role_only);
    tcase_add_test(tests, a_cancelled_job_is_answered);
    tcase_add_test(tests, detection_chooses_the_surest_renderer);
    suite_add_tcase(suite, tests);
    return suite;
}
