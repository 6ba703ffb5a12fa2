/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every manifest in golden/ is loaded, and what is said of it compared with the
 * file beside it. The names are the sentences that are tested. With
 * KILTER_UPDATE_GOLDEN=1 the files are written anew, to be read before a commit.
 */
#include "manifest_tests.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static char **names;
static int name_count;

static const char *golden_path(const char *name, const char *suffix)
{
    static char path[4096];
    const char *root = getenv("KILTER_SOURCE_DIR");

    snprintf(path, sizeof path, "%s/tests/unit/manifest/golden/%s%s", root ? root : ".", name, suffix);
    return path;
}

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 1 << 16);

    ck_assert_msg(file != NULL, "cannot open %s", path);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_lt(fread(text, 1, (1 << 16) - 1, file), (1 << 16) - 1);
    fclose(file);
    return text;
}

static void update(const char *name, struct kilter_str said)
{
    FILE *file = fopen(golden_path(name, ".expected"), "we");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(said.ptr, 1, said.len, file), said.len);
    ck_assert_int_eq(fclose(file), 0);
}

/* What other modules say in their own words is theirs to test: of it only the place and the code. */
static void write_said(struct kilter_buf *out, const struct kilter_diags *diags)
{
    for (size_t i = 0; i < kilter_diags_count(diags); i++) {
        const struct kilter_diag *diag = kilter_diags_at(diags, i);
        ck_assert_ptr_null(strstr(diag->message.ptr, "hunter2")); /* what stands for a secret, everywhere */
        if (kilter_str_starts(diag->code, KILTER_STR("manifest.")))
            ck_assert_int_eq(kilter_diag_format(out, diag), 0);
        else
            kilter_buf_printf(out, "%.*s:%u:%u: [%.*s]\n", KILTER_STR_ARG(diag->origin.file), diag->origin.line,
                              diag->origin.column, KILTER_STR_ARG(diag->code));
    }
}

START_TEST(what_is_said_of_a_manifest)
{
    const char *name = names[_i];
    struct kl_manifest_options options = fixture_options();
    struct kilter_diags *diags = kilter_diags_new(0);
    struct kilter_buf said = KILTER_BUF_INIT(1 << 20);
    struct kl_manifest *manifest = NULL;
    char *text = slurp(golden_path(name, ".yaml"));

    int rc = kl_manifest_load_text(kilter_str_c(text), "kilter.yaml", &options, &manifest, diags);
    write_said(&said, diags);
    kilter_buf_c(&said, rc == 0 ? "accepted\n" : rc == KILTER_E_INVALID ? "refused\n" : "failed\n");
    ck_assert_int_eq(rc == 0, kilter_diags_errors(diags) == 0);
    if (getenv("KILTER_UPDATE_GOLDEN"))
        update(name, kilter_buf_view(&said));
    char *expected = slurp(golden_path(name, ".expected"));
    ck_assert_msg(!strcmp(said.ptr, expected), "%s\n--- expected\n%s--- said\n%s", name, expected, said.ptr);
    kl_manifest_unref(manifest);
    kilter_diags_free(diags);
    kilter_buf_release(&said);
    free(expected);
    free(text);
}
END_TEST

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_names(void)
{
    DIR *dir = opendir(golden_path("", ""));

    names = calloc(1000, sizeof *names);
    for (struct dirent *entry; dir && names && (entry = readdir(dir)) && name_count < 1000;) {
        char *dot = strrchr(entry->d_name, '.');
        if (dot && !strcmp(dot, ".yaml"))
            names[name_count++] = strndup(entry->d_name, (size_t)(dot - entry->d_name));
    }
    if (dir)
        closedir(dir);
    qsort(names, (size_t)name_count, sizeof *names, by_name);
}

START_TEST(the_golden_manifests_are_there)
{
    ck_assert_int_gt(name_count, 30);
}
END_TEST

void add_golden_tests(Suite *suite)
{
    TCase *tests = tcase_create("golden");

    find_names();
    tcase_add_test(tests, the_golden_manifests_are_there);
    tcase_add_loop_test(tests, what_is_said_of_a_manifest, 0, name_count);
    suite_add_tcase(suite, tests);
}
