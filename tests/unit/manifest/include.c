/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests of several files: a failed include is an error and never a removal. */
#include "manifest_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ETC "targets: {etc: {plugin: file, options: {root: /}}}\n"
#define APP(name) "apps: {" name ": {source: infra, path: a, target: etc}}\n"

static struct kilter_diags *diags;
static char *said;

/* Loads kilter.yaml of the directory; NULL when refused. `said` is what was said. */
static struct kl_manifest *load_directory(const struct kl_manifest *previous)
{
    struct kl_manifest_options options = fixture_options();
    struct kilter_buf text = KILTER_BUF_INIT(1 << 20);
    struct kl_manifest *m = NULL;
    char path[256];

    snprintf(path, sizeof path, "%s", directory_write("unused", ""));
    strcpy(strrchr(path, '/') + 1, "kilter.yaml");
    options.previous = previous;
    kilter_diags_free(diags);
    free(said);
    diags = kilter_diags_new(0);
    int rc = kl_manifest_load(path, &options, &m, diags);
    kilter_buf_c(&text, "");
    kilter_diags_format(&text, diags);
    said = text.ptr ? text.ptr : strdup("");
    ck_assert_int_eq(rc == 0, m != NULL);
    return m;
}

static void setup(void)
{
    directory_make();
    directory_write("kilter.yaml", HEAD SOURCES ETC "include: [apps.d/*.yaml]\n" APP("main"));
}

static void teardown(void)
{
    directory_remove();
    kilter_diags_free(diags);
    free(said);
    diags = NULL;
    said = NULL;
}

START_TEST(includes_bring_more_and_are_relative_to_the_file_that_names_them)
{
    directory_write("apps.d/a.yaml", "include: [deep/more.yaml]\n" APP("a"));
    directory_write("apps.d/deep/more.yaml", APP("b"));
    directory_write("apps.d/.hidden.yaml", APP("hidden"));
    directory_write("apps.d/readme.txt", "no: [yaml");
    struct kl_manifest *m = load_directory(NULL);

    ck_assert_msg(m != NULL, "%s", said);
    ck_assert_uint_eq(m->app_count, 3);
    ck_assert_uint_eq(m->file_count, 3);
    ck_assert(!m->include_missing);
    ck_assert(kilter_str_ends(app(m, "b")->origin.file, KILTER_STR("apps.d/deep/more.yaml")));
    kl_manifest_unref(m);
}
END_TEST

START_TEST(a_name_used_in_two_files_is_an_error_that_names_both_places)
{
    directory_write("apps.d/a.yaml", "\n" APP("main"));
    ck_assert_ptr_null(load_directory(NULL));
    ck_assert_ptr_nonnull(strstr(said, "apps.d/a.yaml:2:8: error: app \"main\" is there twice: also at "));
    ck_assert_ptr_nonnull(strstr(said, "kilter.yaml:9:8"));
}
END_TEST

START_TEST(files_that_include_each_other_are_read_once)
{
    directory_write("apps.d/a.yaml", "include: [../kilter.yaml, a.yaml, ../apps.d/a.yaml, '*.yaml']\n" APP("a"));
    struct kl_manifest *m = load_directory(NULL);

    ck_assert_msg(m != NULL, "%s", said);
    ck_assert_uint_eq(m->app_count, 2);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(an_included_file_that_is_not_there_is_an_error)
{
    directory_write("apps.d/a.yaml", "include: [gone.yaml]\n");
    ck_assert_ptr_null(load_directory(NULL));
    ck_assert_ptr_nonnull(strstr(said, "apps.d/a.yaml:1:11: error: include: cannot open "));
}
END_TEST

START_TEST(an_included_file_that_is_broken_is_an_error_at_its_own_place)
{
    directory_write("apps.d/a.yaml", "apps:\n  a: {source: infra, path: a, target: etc, polcy: x}\n");
    ck_assert_ptr_null(load_directory(NULL));
    ck_assert_ptr_nonnull(strstr(said, "apps.d/a.yaml:2:44: error: unknown key \"polcy\" in app \"a\""));
}
END_TEST

START_TEST(an_included_file_may_not_say_what_only_the_manifest_says)
{
    directory_write("apps.d/a.yaml", "metadata: {name: other}\nplugins: [yaml]\ndaemon: {}\n");
    ck_assert_ptr_null(load_directory(NULL));
    ck_assert_uint_eq(kilter_diags_errors(diags), 3);
}
END_TEST

START_TEST(a_directory_is_no_file)
{
    directory_write("apps.d/a.yaml/b", "");
    ck_assert_ptr_null(load_directory(NULL));
    ck_assert_ptr_nonnull(strstr(said, "is no regular file"));
}
END_TEST

START_TEST(a_missing_directory_is_a_warning_that_holds_removals)
{
    struct kl_manifest *m = load_directory(NULL);

    ck_assert_msg(m != NULL, "%s", said);
    ck_assert(m->include_missing);
    ck_assert_ptr_nonnull(strstr(said, "warning: include \"apps.d/*.yaml\": there is no directory for it"));
    kl_manifest_unref(m);
}
END_TEST

START_TEST(an_empty_directory_is_fine)
{
    directory_write("apps.d/readme", "");
    struct kl_manifest *m = load_directory(NULL);

    ck_assert_msg(m != NULL, "%s", said);
    ck_assert(!m->include_missing);
    ck_assert_str_eq(said, "");
    kl_manifest_unref(m);
}
END_TEST

START_TEST(an_include_that_brought_files_before_and_none_now_is_refused_on_reload)
{
    directory_write("apps.d/a.yaml", APP("a"));
    struct kl_manifest *before = load_directory(NULL);
    char away[300], there[256];

    ck_assert_msg(before != NULL, "%s", said);
    snprintf(there, sizeof there, "%s", directory_write("apps.d/unused", ""));
    *strrchr(there, '/') = '\0';
    snprintf(away, sizeof away, "%s-away", there);
    ck_assert_int_eq(rename(there, away), 0);
    ck_assert_ptr_null(load_directory(before));
    ck_assert_ptr_nonnull(strstr(said, "matched files before and matches none now"));
    ck_assert_int_eq(rename(away, there), 0);

    struct kl_manifest *again = load_directory(before);
    ck_assert_msg(again != NULL, "%s", said);
    kl_manifest_unref(again);
    kl_manifest_unref(before);
}
END_TEST

START_TEST(a_manifest_that_is_not_there_is_one_clear_error)
{
    struct kl_manifest *m = NULL;
    struct kilter_diags *list = kilter_diags_new(0);

    ck_assert_int_eq(kl_manifest_load("/nonexistent/kilter.yaml", NULL, &m, list), KILTER_E_INVALID);
    ck_assert_uint_eq(kilter_diags_count(list), 1);
    ck_assert(kilter_str_starts(kilter_diags_at(list, 0)->message,
                                KILTER_STR("the manifest: cannot open /nonexistent/kilter.yaml: ")));
    kilter_diags_free(list);
}
END_TEST

START_TEST(a_manifest_of_more_than_four_megabytes_is_refused)
{
    char *text = malloc((4 << 20) + 2);

    ck_assert_ptr_nonnull(text);
    memset(text, '#', (4 << 20) + 1);
    text[(4 << 20) + 1] = '\0';
    directory_write("apps.d/a.yaml", text);
    free(text);
    ck_assert_ptr_null(load_directory(NULL));
    ck_assert_ptr_nonnull(strstr(said, "longer than a manifest may be"));
}
END_TEST

START_TEST(wildcards_may_stand_for_directories)
{
    directory_write("kilter.yaml", HEAD SOURCES TARGETS "include: ['teams/*/kilter.yaml']\n");
    directory_write("teams/red/kilter.yaml", APP("red"));
    directory_write("teams/blue/kilter.yaml", APP("blue"));
    directory_write("teams/none/other.yaml", APP("none"));
    directory_write("teams/file", "");
    struct kl_manifest *m = load_directory(NULL);

    ck_assert_msg(m != NULL, "%s", said);
    ck_assert_uint_eq(m->app_count, 2);
    kl_manifest_unref(m);
}
END_TEST

START_TEST(validate_says_what_is_in_it)
{
    struct kl_manifest_options options = fixture_options();
    struct kilter_buf summary = KILTER_BUF_INIT(4096);
    struct kilter_diags *list = kilter_diags_new(0);
    char path[256];

    directory_write("apps.d/a.yaml", APP("a"));
    snprintf(path, sizeof path, "%s", directory_write("unused", ""));
    strcpy(strrchr(path, '/') + 1, "kilter.yaml");
    ck_assert_int_eq(kl_manifest_validate(path, &options, &summary, list), 0);
    ck_assert_ptr_nonnull(strstr(summary.ptr, "/kilter.yaml: 2 apps, 1 source, 1 target, from 2 files\n"));
    kilter_buf_release(&summary);
    kilter_diags_free(list);
}
END_TEST

void add_include_tests(Suite *suite)
{
    TCase *tests = tcase_create("include");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, includes_bring_more_and_are_relative_to_the_file_that_names_them);
    tcase_add_test(tests, a_name_used_in_two_files_is_an_error_that_names_both_places);
    tcase_add_test(tests, files_that_include_each_other_are_read_once);
    tcase_add_test(tests, an_included_file_that_is_not_there_is_an_error);
    tcase_add_test(tests, an_included_file_that_is_broken_is_an_error_at_its_own_place);
    tcase_add_test(tests, an_included_file_may_not_say_what_only_the_manifest_says);
    tcase_add_test(tests, a_directory_is_no_file);
    tcase_add_test(tests, a_missing_directory_is_a_warning_that_holds_removals);
    tcase_add_test(tests, an_empty_directory_is_fine);
    tcase_add_test(tests, an_include_that_brought_files_before_and_none_now_is_refused_on_reload);
    tcase_add_test(tests, a_manifest_that_is_not_there_is_one_clear_error);
    tcase_add_test(tests, a_manifest_of_more_than_four_megabytes_is_refused);
    tcase_add_test(tests, wildcards_may_stand_for_directories);
    tcase_add_test(tests, validate_says_what_is_in_it);
    suite_add_tcase(suite, tests);
}
