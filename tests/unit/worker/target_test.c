/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs on a target in a real worker. */
#include "worker/harness.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESOURCE(name, annotations)                                                                                \
    "{kind: resource, apiVersion: test.kilter.dev/v1, resourceKind: Probe, name: " name ", file: " name            \
    ".yaml, line: 4, document: {apiVersion: test.kilter.dev/v1, kind: Probe, metadata: {name: " name               \
    ", annotations: {" annotations "}}}}\n---\n"
#define RECORD(name, more)                                                                                         \
    "{kind: record, apiVersion: test.kilter.dev/v1, resourceKind: Probe, name: " name ", claims: ['probe:" name    \
    "'], status: owned, schemaVersion: 1, attributes: {size: 3}" more "}\n---\n"
#define CHANGE(name, index, more)                                                                                  \
    "{kind: change, v: 1, index: " index ", verb: update, flags: 1, apiVersion: test.kilter.dev/v1, "              \
    "resourceKind: Probe, name: " name ", claims: [], wave: 0" more "}\n---\n"

static char arguments[8192];

static const char *target_job(const char *verb, const char *act, const char *more)
{
    snprintf(arguments, sizeof arguments,
             "{verb: %s, plugin: {name: probe, file: %s}, target: here, owner: us/app, options: {act: '%s'}%s}",
             verb, build_path("tests/plugins/probe.so"), act, more);
    return arguments;
}

static struct answer run(struct worker *worker, const char *verb, const char *act, const char *more,
                         const char *data)
{
    return worker_run(worker, target_job(verb, act, more), data);
}

START_TEST(a_plan_has_claims_changes_diffs_and_the_identity)
{
    struct worker *worker = worker_start("apply", NULL);
    struct answer answer = run(worker, "plan", "", ", mode: sync",
                               RESOURCE("one", "kilter.dev/wave: '7', kilter.dev/force: enabled")
                                   RECORD("gone", ", directives: {noPrune: true}"));
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_str_eq(text_at(answer.done, "identity"), "probe:1");
    ck_assert_str_eq(text_at(answer_item(&answer, "claim", 0), "claim"), "probe:one");
    ck_assert_uint_eq(answer_count(&answer, "change"), 2);

    struct kilter_value *change = answer_item(&answer, "change", 0);
    ck_assert_str_eq(text_at(change, "verb"), "update");
    ck_assert_str_eq(text_at(change, "wave"), "7");
    ck_assert_str_eq(text_at(change, "force"), "true");
    ck_assert_str_eq(text_at(change, "file"), "one.yaml");
    ck_assert_ptr_nonnull(strstr(text_at(change, "text"), "-two\n+2\n"));
    ck_assert_str_eq(text_at(change, "diff.1.path"), "password");
    ck_assert_str_eq(text_at(change, "diff.1.before"), KILTER_MASK);
    ck_assert_str_eq(text_at(change, "diff.1.after"), KILTER_MASK);
    ck_assert_uint_eq(kilter_marks_of(kilter_get(kilter_get(change, "after"), "password")), KILTER_VALUE_SECRET);

    change = answer_item(&answer, "change", 1);
    ck_assert_str_eq(text_at(change, "verb"), "delete");
    ck_assert_str_eq(text_at(change, "index"), "1");
    ck_assert_str_eq(text_at(change, "noPrune"), "true");
    worker_stop(worker);
}
END_TEST

START_TEST(a_resource_with_reconcile_disabled_is_left_alone_and_not_pruned)
{
    struct worker *worker = worker_start("apply", NULL);
    struct answer answer = run(worker, "plan", "", ", mode: sync",
                               RESOURCE("one", "kilter.dev/reconcile: disabled") RECORD("one", ""));
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_uint_eq(answer_count(&answer, "change"), 1);
    ck_assert_str_eq(text_at(answer_item(&answer, "change", 0), "verb"), "none");
    ck_assert_ptr_nonnull(strstr(text_at(answer_item(&answer, "change", 0), "reason"), "kilter.dev/reconcile"));
    worker_stop(worker);
}
END_TEST

START_TEST(the_target_stays_open_while_its_options_are_the_same)
{
    struct worker *worker = worker_start("apply", NULL);
    struct answer answer = run(worker, "identity", "", "", NULL);
    ck_assert_str_eq(text_at(answer.done, "identity"), "probe:1");
    answer = run(worker, "identity", "", "", NULL);
    ck_assert_str_eq(text_at(answer.done, "identity"), "probe:1");
    answer = run(worker, "identity", "other", "", NULL);
    ck_assert_str_eq(text_at(answer.done, "identity"), "probe:2");
    worker_stop(worker);
}
END_TEST

static const struct {
    const char *act, *verb, *says;
} defects[] = {
    { "bad-verb", "plan", "its plan callback gave a change for Probe/one with an unknown verb" },
    { "no-id", "plan", "its plan callback gave a change without a usable id" },
    { "stranger", "plan", "with no resource and no record behind it" },
    { "delete-wanted", "plan", "with the verb delete, though it is wanted" },
    { "after-unknown", "plan", "comes after the change 99 of" },
    { "huge", "plan", "a text that is too long" },
    { "plan-nothing", "plan", "its plan callback gave no change for Probe/one" },
    { "claim-unknown", "plan", "its claims callback named the resource 2 of 2" },
    { "exit", "plan", "its plan callback ended the process by exit()" },
    { "result-unknown", "apply", "its apply callback gave a result for the change 2 of 2" },
    { "result-class", "apply", "of an unknown class" },
    { "negative-retry", "apply", "with a negative retry time" },
    { "two-results", "apply", "gave two results for Probe/one" },
    { "no-result", "apply", "gave no result for Probe/two" },
    { "wrong-sink", "health", "its health callback called the sink's moved" },
};

START_TEST(nonsense_is_the_plugins_defect_by_name_and_callback)
{
    struct worker *worker = worker_start("apply", NULL);
    const char *data = strcmp(defects[_i].verb, "plan") == 0    ? RESOURCE("one", "") RESOURCE("two", "")
                       : strcmp(defects[_i].verb, "apply") == 0 ? CHANGE("one", "0", "") CHANGE("two", "1", "")
                                                                      RECORD("one", "")
                                                                : RECORD("one", "");
    struct answer answer = run(worker, defects[_i].verb, defects[_i].act, ", mode: sync", data);
    ck_assert_msg(answer_status(&answer) == KILTER_E_INTERNAL, "%s: %d %s", defects[_i].act, answer_status(&answer),
                  answer_message(&answer));
    ck_assert_ptr_nonnull(strstr(answer_message(&answer), "defect of the plugin probe"));
    ck_assert_msg(strstr(answer_message(&answer), defects[_i].says) != NULL, "%s", answer_message(&answer));
    worker_stop(worker);
}
END_TEST

START_TEST(results_come_one_by_one_and_know_their_wave)
{
    struct worker *worker = worker_start("apply", NULL);
    struct answer answer =
        run(worker, "apply", "", "",
            CHANGE("one", "5", ", afterChanges: [0]") CHANGE("two", "8", ", afterChanges: [5, 0]"));
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_str_eq(text_at(answer_item(&answer, "result", 0), "result"), "done");
    ck_assert_str_eq(text_at(answer_item(&answer, "result", 0), "message"), "after 0");
    ck_assert_str_eq(text_at(answer_item(&answer, "result", 1), "message"), "after 1");
    worker_stop(worker);
}
END_TEST

START_TEST(results_before_a_crash_are_not_lost)
{
    struct worker *worker = worker_start("apply", NULL);
    struct answer answer =
        run(worker, "apply", "crash-after-first", "", CHANGE("one", "0", "") CHANGE("two", "1", ""));
    ck_assert_ptr_null(answer.done);
    ck_assert_int_eq(WTERMSIG(answer.exit_status), SIGABRT);
    ck_assert_uint_eq(answer_count(&answer, "result"), 1);
    worker_stop(worker);
}
END_TEST

START_TEST(states_are_refreshed_upgraded_and_judged)
{
    struct worker *worker = worker_start("apply", NULL);
    struct answer answer = run(worker, "refresh", "", "", RECORD("one", "") RECORD("two", ""));
    ck_assert_msg(answer_status(&answer) == 0, "%s", answer_message(&answer));
    ck_assert_str_eq(text_at(answer_item(&answer, "attributes", 0), "attributes.upgraded"), "yes");
    ck_assert_str_eq(text_at(answer_item(&answer, "attributes", 0), "schemaVersion"), "2");
    ck_assert_ptr_null(kilter_get(answer_item(&answer, "attributes", 1), "attributes"));

    answer = run(worker, "health", "", "", RECORD("one", ""));
    ck_assert_str_eq(text_at(answer_item(&answer, "health", 0), "health"), "progressing");
    answer = run(worker, "import", "", "", RESOURCE("one", ""));
    ck_assert_int_eq(answer_status(&answer), KILTER_E_UNSUPPORTED);
    worker_stop(worker);
}
END_TEST

START_TEST(watching_streams_until_it_is_cancelled)
{
    struct worker *worker = worker_start("apply", NULL);
    enum kl_frame_type type;
    struct kilter_value *value;
    worker_send(worker, target_job("watch", "", ""), NULL);
    do
        ck_assert(worker_frame(worker, &type, &value));
    while (type != KL_FRAME_ITEM);
    ck_assert_str_eq(text_at(value, "kind"), "moved");
    ck_assert_str_eq(text_at(value, "record"), "-1");
    worker_cancel(worker);
    struct answer answer = worker_answer(worker);
    ck_assert_int_eq(answer_status(&answer), KILTER_E_CANCELLED);
    worker_stop(worker);
}
END_TEST

START_TEST(a_secret_option_does_not_get_into_messages)
{
    struct worker *worker = worker_start("apply", NULL);
    struct kilter_value *args = kilter_list_at(worker_yaml(worker, target_job("apply", "tell", "")), 0);
    struct kilter_value *password = kilter_string_c(worker->arena, "hunter22");
    kilter_set_marks(password, KILTER_VALUE_SECRET);
    kilter_set(worker->arena, kilter_get(args, "options"), "password", password);
    worker_send_values(worker, args, worker_yaml(worker, CHANGE("one", "0", "")));
    struct answer answer = worker_answer(worker);
    ck_assert_int_eq(answer_status(&answer), KILTER_E_IO);
    ck_assert_str_eq(answer_message(&answer), "cannot log in with (sensitive value)");
    worker_stop(worker);
}
END_TEST

START_TEST(wrong_options_are_diagnostics)
{
    struct worker *worker = worker_start("apply", NULL);
    struct kilter_value *args = kilter_list_at(worker_yaml(worker, target_job("identity", "", "")), 0);
    kilter_set(worker->arena, kilter_get(args, "options"), "pasword", kilter_string_c(worker->arena, "x"));
    worker_send_values(worker, args, NULL);
    struct answer answer = worker_answer(worker);
    ck_assert_int_eq(answer_status(&answer), KILTER_E_INVALID);
    ck_assert_str_eq(text_at(answer.diags, "0.message"), "unknown option of target here: \"pasword\"");
    ck_assert_str_eq(text_at(answer.diags, "0.hint"), "did you mean \"password\"?");
    worker_stop(worker);
}
END_TEST

Suite *target_suite(void)
{
    Suite *suite = suite_create("target");
    TCase *tests = tcase_create("target");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_plan_has_claims_changes_diffs_and_the_identity);
    tcase_add_test(tests, a_resource_with_reconcile_disabled_is_left_alone_and_not_pruned);
    tcase_add_test(tests, the_target_stays_open_while_its_options_are_the_same);
    tcase_add_loop_test(tests, nonsense_is_the_plugins_defect_by_name_and_callback, 0,
                        sizeof defects / sizeof defects[0]);
    tcase_add_test(tests, results_come_one_by_one_and_know_their_wave);
    tcase_add_test(tests, results_before_a_crash_are_not_lost);
    tcase_add_test(tests, states_are_refreshed_upgraded_and_judged);
    tcase_add_test(tests, watching_streams_until_it_is_cancelled);
    tcase_add_test(tests, a_secret_option_does_not_get_into_messages);
    tcase_add_test(tests, wrong_options_are_diagnostics);
    suite_add_tcase(suite, tests);
    return suite;
}
