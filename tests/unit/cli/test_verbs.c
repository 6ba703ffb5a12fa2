/* SPDX-License-Identifier: Apache-2.0 */
#include "tests.h"

#include <stdlib.h>

#define RUN(capture, ...)                                                                                          \
    __extension__({                                                                                                \
        const char *const words[] = { "kilter", __VA_ARGS__ };                                                     \
        capture_begin(capture);                                                                                    \
        capture_run(capture, (int)(sizeof(words) / sizeof(words[0])), words);                                      \
    })

#define assert_said(capture, text) ck_assert_msg(strstr((capture)->err, text) != NULL, "%s", (capture)->err)

START_TEST(without_a_daemon_the_message_says_what_to_do)
{
    struct capture capture;
    ck_assert_int_eq(RUN(&capture, "--socket", "/tmp/kilter-none.sock", "status"), 2);
    assert_said(&capture, "no daemon listens at /tmp/kilter-none.sock");
    assert_said(&capture, "systemctl start kilterd");
    assert_said(&capture, "KILTER_SOCKET");
    ck_assert_str_eq(capture.out, "");
    capture_free(&capture);
}
END_TEST

START_TEST(the_environment_names_the_socket_and_the_option_wins)
{
    struct capture capture;
    setenv("KILTER_SOCKET", "/tmp/kilter-env.sock", 1);
    RUN(&capture, "show", "x");
    assert_said(&capture, "/tmp/kilter-env.sock");
    capture_free(&capture);
    RUN(&capture, "show", "x", "-s", "/tmp/kilter-opt.sock");
    assert_said(&capture, "/tmp/kilter-opt.sock");
    capture_free(&capture);
}
END_TEST

START_TEST(plan_errors_are_1_because_2_means_changes)
{
    struct capture capture;
    ck_assert_int_eq(RUN(&capture, "plan", "x", "-s", "/tmp/kilter-none.sock"), 1);
    capture_free(&capture);
    ck_assert_int_eq(RUN(&capture, "plan"), 1);
    capture_free(&capture);
    ck_assert_int_eq(RUN(&capture, "diff", "x", "-s", "/tmp/kilter-none.sock"), 2);
    capture_free(&capture);
}
END_TEST

START_TEST(a_wrong_verb_names_the_nearest)
{
    struct capture capture;
    ck_assert_int_eq(RUN(&capture, "staus"), 2);
    assert_said(&capture, "did you mean \"status\"?");
    capture_free(&capture);
    ck_assert_int_eq(RUN(&capture, "plugin", "lits"), 2);
    assert_said(&capture, "did you mean \"list\"?");
    capture_free(&capture);
}
END_TEST

START_TEST(too_few_and_too_many_words_are_refused)
{
    struct capture capture;
    ck_assert_int_eq(RUN(&capture, "show"), 2);
    assert_said(&capture, "kilter show APP");
    capture_free(&capture);
    ck_assert_int_eq(RUN(&capture, "show", "a", "b"), 2);
    assert_said(&capture, "\"b\" is too much");
    capture_free(&capture);
    ck_assert_int_eq(RUN(&capture, "sync"), 2);
    capture_free(&capture);
    ck_assert_int_eq(RUN(&capture, "sync", "a", "--all"), 2);
    capture_free(&capture);
}
END_TEST

START_TEST(help_lists_every_verb_with_its_alias)
{
    struct capture capture;
    ck_assert_int_eq(RUN(&capture, "--help"), 0);
    for (const struct kl_verb *verb = kl_verbs; verb->name; verb++) {
        ck_assert_msg(strstr(capture.out, verb->name) != NULL, "%s", verb->name);
        ck_assert_msg(!verb->alias || strstr(capture.out, verb->alias) != NULL, "%s", verb->name);
        ck_assert_msg(verb->children || verb->run, "%s does nothing", verb->name);
    }
    capture_free(&capture);
}
END_TEST

/* The verbs that the design promises to users. */
START_TEST(all_promised_verbs_are_there)
{
    static const char *const promised[] = { "status",    "get",      "why",     "plan",     "diff",   "sync",
                                            "reconcile", "approve",  "reject",  "apply",    "show",   "wait",
                                            "history",   "rollback", "suspend", "resume",   "forget", "delete",
                                            "events",    "tree",     "render",  "validate", "state",  "plugin",
                                            "schema",    "version" };
    for (size_t i = 0; i < sizeof(promised) / sizeof(promised[0]); i++)
        ck_assert_msg(kl_verb_find(kl_verbs, promised[i]) != NULL, "%s", promised[i]);
}
END_TEST

START_TEST(a_file_that_is_no_saved_plan_is_refused)
{
    struct capture capture;
    char path[] = "/tmp/kilter-plan-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    fputs("{\"apiVersion\": \"v1\"}\n", file);
    fclose(file);
    ck_assert_int_eq(RUN(&capture, "apply", path), 2);
    assert_said(&capture, "is no plan that `kilter plan --out FILE` saved");
    remove(path);
    capture_free(&capture);
}
END_TEST

START_TEST(an_inventory_verb_needs_a_resource)
{
    struct capture capture;
    ck_assert_int_eq(RUN(&capture, "state", "show", "edge"), 2);
    assert_said(&capture, "edge/KIND/NAME");
    capture_free(&capture);
}
END_TEST

Suite *suite_verbs(void)
{
    Suite *suite = suite_create("cli verbs");
    TCase *tcase = tcase_create("verbs");
    tcase_add_test(tcase, without_a_daemon_the_message_says_what_to_do);
    tcase_add_test(tcase, the_environment_names_the_socket_and_the_option_wins);
    tcase_add_test(tcase, plan_errors_are_1_because_2_means_changes);
    tcase_add_test(tcase, a_wrong_verb_names_the_nearest);
    tcase_add_test(tcase, too_few_and_too_many_words_are_refused);
    tcase_add_test(tcase, help_lists_every_verb_with_its_alias);
    tcase_add_test(tcase, all_promised_verbs_are_there);
    tcase_add_test(tcase, a_file_that_is_no_saved_plan_is_refused);
    tcase_add_test(tcase, an_inventory_verb_needs_a_resource);
    suite_add_tcase(suite, tcase);
    return suite;
}
