/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets by reference. */
#include "manifest_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct kilter_buf out;
static struct kilter_diags *diags;
static struct kilter_error err;

static void setup(void)
{
    directory_make();
    out = (struct kilter_buf)KILTER_BUF_INIT(KL_SECRET_MAX + 2);
    diags = kilter_diags_new(0);
    err = (struct kilter_error)KILTER_ERROR_INIT;
}

static void teardown(void)
{
    kl_secret_wipe(&out);
    kilter_diags_free(diags);
    directory_remove();
}

static int resolve(enum kl_secret_kind kind, const char *value)
{
    struct kl_secret_ref ref = { .kind = kind, .value = kilter_str_c(value) };
    return kl_secret_resolve(&ref, &out, diags, &err);
}

static const char *private_file(const char *name, const char *text)
{
    const char *path = directory_write(name, text);
    ck_assert_int_eq(chmod(path, 0600), 0);
    return path;
}

START_TEST(a_file_is_read_without_one_newline_at_its_end)
{
    ck_assert_int_eq(resolve(KL_SECRET_FILE, private_file("token", "s3cret\n\n")), 0);
    ck_assert_str_eq(out.ptr, "s3cret\n");
    ck_assert_uint_eq(out.len, 7);
    ck_assert_uint_eq(kilter_diags_count(diags), 0);
}
END_TEST

START_TEST(a_file_that_everybody_may_read_is_used_with_a_warning)
{
    const char *path = directory_write("token", "s3cret");

    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(resolve(KL_SECRET_FILE, path), 0);
    ck_assert_str_eq(out.ptr, "s3cret");
    ck_assert_uint_eq(kilter_diags_count(diags), 1);
    ck_assert_int_eq(kilter_diags_at(diags, 0)->severity, KILTER_WARNING);
    ck_assert_ptr_null(strstr(kilter_diags_at(diags, 0)->message.ptr, "s3cret"));
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named)
{
    ck_assert_int_eq(resolve(KL_SECRET_FILE, "/nonexistent/token"), KILTER_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "cannot open /nonexistent/token"));
}
END_TEST

START_TEST(an_empty_secret_is_an_error)
{
    ck_assert_int_eq(resolve(KL_SECRET_FILE, private_file("token", "\n")), KILTER_E_INVALID);
    ck_assert_int_eq(resolve(KL_SECRET_FILE, private_file("token", "")), KILTER_E_INVALID);
    ck_assert_uint_eq(out.len, 0);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused_and_hangs_nobody)
{
    char fifo[256];

    snprintf(fifo, sizeof fifo, "%s-fifo", directory_write("x", ""));
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(resolve(KL_SECRET_FILE, fifo), KILTER_E_INVALID);
    ck_assert_int_eq(resolve(KL_SECRET_FILE, "/tmp"), KILTER_E_INVALID);
}
END_TEST

START_TEST(a_secret_of_more_than_a_megabyte_is_refused)
{
    const char *path = private_file("big", "x");

    ck_assert_int_eq(truncate(path, KL_SECRET_MAX + 1), 0);
    ck_assert_int_eq(resolve(KL_SECRET_FILE, path), KILTER_E_LIMIT);
    ck_assert_int_eq(truncate(path, KL_SECRET_MAX), 0);
    ck_assert_int_eq(resolve(KL_SECRET_FILE, path), 0);
}
END_TEST

START_TEST(a_variable_of_the_environment_is_taken_as_it_is)
{
    ck_assert_int_eq(setenv("KILTER_TEST_SECRET", "a b\n", 1), 0);
    ck_assert_int_eq(resolve(KL_SECRET_ENV, "KILTER_TEST_SECRET"), 0);
    ck_assert_str_eq(out.ptr, "a b\n");
    ck_assert_int_eq(unsetenv("KILTER_TEST_SECRET"), 0);
    ck_assert_int_eq(resolve(KL_SECRET_ENV, "KILTER_TEST_SECRET"), KILTER_E_NOT_FOUND);
    ck_assert_str_eq(err.message, "variable KILTER_TEST_SECRET is not in the daemon's environment");
}
END_TEST

START_TEST(a_credential_is_a_file_in_systemds_directory)
{
    char directory[256];

    unsetenv("CREDENTIALS_DIRECTORY");
    ck_assert_int_eq(resolve(KL_SECRET_CREDENTIAL, "db"), KILTER_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "LoadCredential="));
    snprintf(directory, sizeof directory, "%s", private_file("credentials/db", "pw\n"));
    *strrchr(directory, '/') = '\0';
    ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
    ck_assert_int_eq(resolve(KL_SECRET_CREDENTIAL, "db"), 0);
    ck_assert_str_eq(out.ptr, "pw");
    unsetenv("CREDENTIALS_DIRECTORY");
}
END_TEST

START_TEST(the_path_of_a_reference_is_told_without_reading_it)
{
    struct kl_secret_ref ref = { .kind = KL_SECRET_FILE, .value = KILTER_STR("/nonexistent/key") };
    char path[4096];

    ck_assert_int_eq(kl_secret_path(&ref, path, sizeof path, &err), 0);
    ck_assert_str_eq(path, "/nonexistent/key");
    ref.kind = KL_SECRET_ENV;
    ck_assert_int_eq(kl_secret_path(&ref, path, sizeof path, &err), KILTER_E_UNSUPPORTED);
}
END_TEST

START_TEST(wiping_leaves_nothing)
{
    ck_assert_int_eq(resolve(KL_SECRET_FILE, private_file("token", "s3cret")), 0);
    kl_secret_wipe(&out);
    ck_assert_ptr_null(out.ptr);
    ck_assert_uint_eq(out.len, 0);
    kl_secret_wipe(NULL);
}
END_TEST

START_TEST(options_of_a_plugin_get_the_secret_in_the_references_place)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *config = kilter_map(arena), *ref = kilter_map(arena), *resolved = NULL;

    kilter_set(arena, ref, "file", kilter_string_c(arena, private_file("config", "hunter2\n")));
    kilter_set(arena, config, "kubeconfig", ref);
    kilter_set(arena, config, "context", kilter_string_c(arena, "prod"));
    ck_assert_int_eq(
        kl_secret_resolve_config(arena, fixture_plugins[3].schemas->target, config, &resolved, diags, &err), 0);
    struct kilter_value *secret = kilter_get(resolved, "kubeconfig");
    ck_assert(kilter_str_eq_c(kilter_text(secret), "hunter2"));
    ck_assert_uint_eq(kilter_marks_of(secret), KILTER_VALUE_SECRET);
    ck_assert_uint_eq(kilter_marks_of(kilter_get(resolved, "context")), 0);
    ck_assert_int_eq(kilter_type_of(kilter_get(config, "kubeconfig")), KILTER_MAP);
    void *filled;
    ck_assert_int_eq(
        kilter_config_fill(fixture_plugins[3].schemas->target, resolved, "options", arena, &filled, diags), 0);
    ck_assert_int_eq(kl_secret_resolve_config(arena, NULL, NULL, &resolved, diags, &err), 0);
    ck_assert_ptr_null(resolved);
    kilter_arena_free(arena);
}
END_TEST

START_TEST(the_credentials_of_a_source_are_resolved_for_a_job)
{
    struct kilter_buf text = KILTER_BUF_INIT(65536);
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *map = NULL;

    kilter_buf_printf(&text,
                      HEAD TARGETS
                      "sources:\n"
                      "  infra: {url: 'https://git.example.com/i.git', ref: {branch: main},\n"
                      "    credentials: {username: me, password: {file: %s}}}\n"
                      "  open: {url: 'https://git.example.com/o.git', ref: {branch: main}}\n"
                      "apps: {a: {source: infra, path: a, target: etc}, b: {source: open, path: b, target: etc}}\n",
                      private_file("token", "hunter2\n"));
    struct kl_manifest *m = load(text.ptr);
    ck_assert_int_eq(kl_credentials_resolve(arena, app(m, "a")->source, &map, diags, &err), 0);
    ck_assert(kilter_str_eq_c(kilter_get_text(map, "username"), "me"));
    ck_assert(kilter_str_eq_c(kilter_get_text(map, "password"), "hunter2"));
    ck_assert_uint_eq(kilter_marks_of(kilter_get(map, "password")), KILTER_VALUE_SECRET);
    ck_assert_int_eq(kl_credentials_resolve(arena, app(m, "b")->source, &map, diags, &err), 0);
    ck_assert_ptr_null(map);
    kl_manifest_unref(m);
    kilter_arena_free(arena);
    kilter_buf_release(&text);
}
END_TEST

START_TEST(a_credential_that_cannot_be_read_is_named_with_its_source)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *map = NULL;
    struct kl_manifest *m =
        load(HEAD TARGETS "sources: {infra: {url: 'https://git.example.com/i.git', ref: {branch: main},\n"
                          "  credentials: {token: {file: /nonexistent/token}}}}\n"
                          "apps: {a: {source: infra, path: a, target: etc}}\n");

    ck_assert_int_eq(kl_credentials_resolve(arena, app(m, "a")->source, &map, diags, &err), KILTER_E_NOT_FOUND);
    ck_assert_str_eq(err.message, "source infra: token: cannot open /nonexistent/token: No such file or directory");
    ck_assert_ptr_null(map);
    kl_manifest_unref(m);
    kilter_arena_free(arena);
}
END_TEST

void add_secret_tests(Suite *suite)
{
    TCase *tests = tcase_create("secret");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_file_is_read_without_one_newline_at_its_end);
    tcase_add_test(tests, a_file_that_everybody_may_read_is_used_with_a_warning);
    tcase_add_test(tests, a_file_that_is_not_there_is_named);
    tcase_add_test(tests, an_empty_secret_is_an_error);
    tcase_add_test(tests, what_is_no_regular_file_is_refused_and_hangs_nobody);
    tcase_add_test(tests, a_secret_of_more_than_a_megabyte_is_refused);
    tcase_add_test(tests, a_variable_of_the_environment_is_taken_as_it_is);
    tcase_add_test(tests, a_credential_is_a_file_in_systemds_directory);
    tcase_add_test(tests, the_path_of_a_reference_is_told_without_reading_it);
    tcase_add_test(tests, wiping_leaves_nothing);
    tcase_add_test(tests, options_of_a_plugin_get_the_secret_in_the_references_place);
    tcase_add_test(tests, the_credentials_of_a_source_are_resolved_for_a_job);
    tcase_add_test(tests, a_credential_that_cannot_be_read_is_named_with_its_source);
    suite_add_tcase(suite, tests);
}
