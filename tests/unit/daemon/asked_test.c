/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/asked.h"

#include <check.h>
#include <stdlib.h>

Suite *asked_suite(void);
Suite *policy_suite(void);

static struct kilter_arena *arena;
static struct kl_asked_set *asked;

static void ask(const char *question, const char *path)
{
    struct kilter_value *item = kilter_map(arena);
    kilter_set(arena, item, "question", kilter_string_c(arena, question));
    kilter_set(arena, item, "path", kilter_string_c(arena, path));
    ck_assert_int_eq(kl_asked_set_add(asked, item), 0);
}

static void setup(void)
{
    arena = kilter_arena_new(0);
    asked = kl_asked_set_new();
    ask("list", "apps/a");
    ask("blob", "apps/a/x.yaml");
    ask("exists", "apps/a/kustomization.yaml");
    ask("link", "apps/a/current");
    kl_asked_set_seal(asked);
}

static void teardown(void)
{
    kl_asked_set_free(asked);
    kilter_arena_free(arena);
}

static bool moved(const char *path, const char *before, const char *after, bool list)
{
    struct kl_tree_change change = { kilter_str_c(path), kl_entry_type_of(kilter_str_c(before)),
                                     kl_entry_type_of(kilter_str_c(after)), list };
    return kl_asked_set_moved(asked, &change, 1) != NULL;
}

START_TEST(a_blob_that_was_read_moves_with_its_content)
{
    ck_assert(moved("apps/a/x.yaml", "file", "file", false));
    ck_assert(moved("apps/a/x.yaml", "file", "absent", false));
    ck_assert(!moved("apps/a/y.yaml", "file", "file", false));
}
END_TEST

START_TEST(the_trees_passed_through_do_not_count)
{
    ck_assert(!moved("apps", "directory", "directory", false));
    ck_assert(!moved("apps", "directory", "directory", true));
    ck_assert(!moved("apps/b/z.yaml", "absent", "file", false));
}
END_TEST

START_TEST(a_listing_moves_with_names_and_types_and_not_with_what_is_below)
{
    ck_assert(moved("apps/a", "directory", "directory", true));
    ck_assert(moved("apps/a", "directory", "absent", false));
    ck_assert(!moved("apps/a/sub/deep.yaml", "file", "file", false));
}
END_TEST

START_TEST(existence_moves_when_the_type_does)
{
    ck_assert(moved("apps/a/kustomization.yaml", "absent", "file", false));
    ck_assert(!moved("apps/a/kustomization.yaml", "file", "file", false));
}
END_TEST

START_TEST(a_link_moves_with_its_text)
{
    ck_assert(moved("apps/a/current", "link", "link", false));
}
END_TEST

Suite *asked_suite(void)
{
    Suite *suite = suite_create("asked");
    TCase *tcase = tcase_create("questions");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_blob_that_was_read_moves_with_its_content);
    tcase_add_test(tcase, the_trees_passed_through_do_not_count);
    tcase_add_test(tcase, a_listing_moves_with_names_and_types_and_not_with_what_is_below);
    tcase_add_test(tcase, existence_moves_when_the_type_does);
    tcase_add_test(tcase, a_link_moves_with_its_text);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(policy_suite());
    srunner_add_suite(runner, asked_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
