// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

static struct kilter_origin at(const char *file, uint32_t line, uint32_t column)
{
    struct kilter_origin origin = { kilter_str_c(file), line, column };
    return origin;
}

START_TEST(diagnostic_reads_like_a_compilers)
{
    kilter_diag_add(diags, KILTER_ERROR, "manifest.unknown-key", at("apps.yaml", 12, 5), "did you mean \"source\"?",
                    "unknown key \"%s\"", "sorce");
    kilter_diag_add(diags, KILTER_WARNING, "x.y", at("a", 3, 0), NULL, "w");
    kilter_diag_add(diags, KILTER_NOTE, "x.z", at(NULL, 0, 0), "one\ntwo", "n");
    ck_assert_str_eq(api_diags(), "apps.yaml:12:5: error: unknown key \"sorce\" [manifest.unknown-key]\n"
                                  "    did you mean \"source\"?\n"
                                  "a:3: warning: w [x.y]\n"
                                  "note: n [x.z]\n"
                                  "    one\n"
                                  "    two\n");
}
END_TEST

START_TEST(control_characters_are_shown_not_sent)
{
    kilter_diag_add(diags, KILTER_ERROR, "c", at("f\x1b[31m", 1, 1), NULL, "a\nb\tc\x7f\xff\xc2\x9b\xc3\xa9");
    ck_assert_str_eq(api_diags(), "f\\x1b[31m:1:1: error: a\\nb\\tc\\x7f\\xff\\x9b\xc3\xa9 [c]\n");
}
END_TEST

START_TEST(texts_are_copied)
{
    char file[] = "file", message[] = "message";
    kilter_diag_add(diags, KILTER_ERROR, "c", at(file, 1, 1), NULL, "%s", message);
    memset(file, 'X', 4);
    memset(message, 'X', 7);
    ck_assert_str_eq(api_diags(), "file:1:1: error: message [c]\n");
    char longer[3000];
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    kilter_diag_add(diags, KILTER_ERROR, "c", at(NULL, 0, 0), NULL, "%s", longer);
    ck_assert_uint_eq(kilter_diags_at(diags, 1)->message.len, sizeof longer - 1);
}
END_TEST

START_TEST(list_keeps_its_maximum_and_counts_the_rest)
{
    struct kilter_diags *few = kilter_diags_new(2);
    for (int i = 0; i < 5; i++)
        kilter_diag_add(few, i % 2 ? KILTER_ERROR : KILTER_WARNING, "c", at(NULL, 0, 0), NULL, "%d", i);
    ck_assert_uint_eq(kilter_diags_count(few), 2);
    ck_assert_uint_eq(kilter_diags_errors(few), 2);
    ck_assert_uint_eq(kilter_diags_dropped(few), 3);
    ck_assert_ptr_null(kilter_diags_at(few, 2));
    kilter_diag_copy(diags, kilter_diags_at(few, 1));
    kilter_diags_clear(few);
    ck_assert_uint_eq(kilter_diags_count(few) + kilter_diags_errors(few) + kilter_diags_dropped(few), 0);
    kilter_diags_free(few);
    ck_assert_str_eq(api_diags(), "error: 1 [c]\n");
}
END_TEST

START_TEST(no_list_is_a_list_that_drops)
{
    kilter_diag_add(NULL, KILTER_ERROR, "c", at(NULL, 0, 0), NULL, "x");
    kilter_diags_clear(NULL);
    kilter_diags_free(NULL);
    ck_assert_uint_eq(kilter_diags_count(NULL), 0);
}
END_TEST

Suite *api_diag_suite(void)
{
    Suite *suite = suite_create("diag");
    TCase *tcase = api_case(suite, "diag");
    tcase_add_test(tcase, diagnostic_reads_like_a_compilers);
    tcase_add_test(tcase, control_characters_are_shown_not_sent);
    tcase_add_test(tcase, texts_are_copied);
    tcase_add_test(tcase, list_keeps_its_maximum_and_counts_the_rest);
    tcase_add_test(tcase, no_list_is_a_list_that_drops);
    return suite;
}
