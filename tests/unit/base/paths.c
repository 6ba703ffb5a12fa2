/* SPDX-License-Identifier: Apache-2.0 */
#include "base/paths.h"

#include "base/cleanup.h"
#include "base_tests.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static char dir[] = "/tmp/kilter-paths-XXXXXX";
static char path[PATH_MAX];

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void make(const char *name, mode_t mode)
{
    int fd = open(in_dir(name), O_CREAT | O_WRONLY, mode);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void setup(void)
{
    unsetenv("KILTER_WORKER");
    unsetenv("KILTER_PLUGIN_PATH");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(mkdir(in_dir("a"), 0755), 0);
    ck_assert_int_eq(mkdir(in_dir("b"), 0755), 0);
    make("a/files.so", 0644);
    make("b/files.so", 0644);
    make("b/yaml.so", 0644);
    make("b/notes.txt", 0644);
}

static void teardown(void)
{
    static const char *const names[] = { "a/files.so", "b/files.so", "b/yaml.so", "b/notes.txt", "worker" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(in_dir(names[i]));
    rmdir(in_dir("a"));
    rmdir(in_dir("b"));
    rmdir(dir);
}

static void search_both(void)
{
    char list[PATH_MAX * 2];
    snprintf(list, sizeof(list), "%s/a:%s/b", dir, dir);
    setenv("KILTER_PLUGIN_PATH", list, 1);
}

START_TEST(the_first_directory_that_has_the_plugin_wins)
{
    KL_CLEANUP(kl_freep) char *files = NULL, *yaml = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    search_both();
    ck_assert_int_eq(kl_plugin_find(KILTER_STR("files"), &files, &err), KILTER_OK);
    ck_assert_str_eq(files, in_dir("a/files.so"));
    ck_assert_int_eq(kl_plugin_find(KILTER_STR("yaml"), &yaml, &err), KILTER_OK);
    ck_assert_str_eq(yaml, in_dir("b/yaml.so"));
}
END_TEST

START_TEST(a_plugin_that_is_missing_says_where_it_looked_and_what_is_near)
{
    char *found = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    search_both();
    ck_assert_int_eq(kl_plugin_find(KILTER_STR("filse"), &found, &err), KILTER_E_NOT_FOUND);
    ck_assert_ptr_null(found);
    char expected[PATH_MAX * 2];
    snprintf(expected, sizeof(expected), "no plugin 'filse' in %s/a, %s/b; did you mean 'files'?", dir, dir);
    ck_assert_str_eq(err.message, expected);
}
END_TEST

START_TEST(a_name_with_a_slash_is_a_path)
{
    KL_CLEANUP(kl_freep) char *found = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    ck_assert_int_eq(kl_plugin_find(kilter_str_c(in_dir("b/yaml.so")), &found, &err), KILTER_OK);
    ck_assert_str_eq(found, in_dir("b/yaml.so"));
    ck_assert_int_eq(kl_plugin_find(KILTER_STR("./no/such.so"), &found, &err), KILTER_E_NOT_FOUND);
    ck_assert_str_eq(err.message, "no plugin at ./no/such.so");
}
END_TEST

START_TEST(all_plugin_names_are_listed_once_and_sorted)
{
    char **names = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    search_both();
    ck_assert_int_eq(kl_plugin_names(&names, &err), KILTER_OK);
    ck_assert_str_eq(names[0], "files");
    ck_assert_str_eq(names[1], "yaml");
    ck_assert_ptr_null(names[2]);
    kl_paths_free(names);
}
END_TEST

START_TEST(without_a_setting_plugins_and_worker_are_beside_the_program)
{
    KL_CLEANUP(kl_freep) char *program = NULL;
    char **dirs = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    ck_assert_int_eq(kl_program_dir(&program, &err), KILTER_OK);
    ck_assert_int_eq(kl_plugin_dirs(&dirs, &err), KILTER_OK);
    ck_assert_ptr_null(dirs[1]);
    char *slash = strrchr(program, '/');
    ck_assert(strncmp(dirs[0], program, (size_t)(slash - program)) == 0);
    ck_assert_ptr_nonnull(strstr(dirs[0], "kilter/plugins"));
    kl_paths_free(dirs);
}
END_TEST

START_TEST(a_worker_that_cannot_be_run_is_named)
{
    KL_CLEANUP(kl_freep) char *worker = NULL;
    struct kilter_error err = KILTER_ERROR_INIT;
    setenv("KILTER_WORKER", in_dir("worker"), 1);
    ck_assert_int_eq(kl_worker_find(&worker, &err), KILTER_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "/worker (from KILTER_WORKER) cannot be run"));
    make("worker", 0755);
    ck_assert_int_eq(kl_worker_find(&worker, &err), KILTER_OK);
    ck_assert_str_eq(worker, in_dir("worker"));
}
END_TEST

TCase *base_paths_case(void)
{
    TCase *tc = tcase_create("paths");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_first_directory_that_has_the_plugin_wins);
    tcase_add_test(tc, a_plugin_that_is_missing_says_where_it_looked_and_what_is_near);
    tcase_add_test(tc, a_name_with_a_slash_is_a_path);
    tcase_add_test(tc, all_plugin_names_are_listed_once_and_sorted);
    tcase_add_test(tc, without_a_setting_plugins_and_worker_are_beside_the_program);
    tcase_add_test(tc, a_worker_that_cannot_be_run_is_named);
    return tc;
}
