// SPDX-License-Identifier: Apache-2.0
/*
 * Output of the real Kustomize, read and written again, must be the same bytes.
 * The cases are not part of this tree: KILTER_CONFORMANCE names their folder, else it
 * stands beside the checkout; without it there is nothing to compare.
 */
#include "api_tests.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Cases whose bytes are known to differ, with the reason. None. */
static const char *const differences[] = { NULL };

static const char *folder(void)
{
    static char path[4096];
    struct stat info;
    const char *named = getenv("KILTER_CONFORMANCE"), *source = getenv("KILTER_SOURCE_DIR");
    if (named)
        snprintf(path, sizeof path, "%s/kustomize", named);
    else
        snprintf(path, sizeof path, "%s/../shared/conformance/kustomize", source ? source : ".");
    return stat(path, &info) == 0 ? path : NULL;
}

static bool is_known(const char *name)
{
    for (const char *const *known = differences; *known; known++) {
        if (strcmp(*known, name) == 0)
            return true;
    }
    return false;
}

static bool read_file(const char *path, struct kilter_buf *out)
{
    FILE *stream = fopen(path, "r");
    if (!stream)
        return false;
    char piece[8192];
    size_t len;
    while ((len = fread(piece, 1, sizeof piece, stream)) > 0)
        kilter_buf_append(out, piece, len);
    fclose(stream);
    return true;
}

static void write_again(struct kilter_str text, struct kilter_buf *out)
{
    struct kilter_value *documents = NULL;
    int status = kilter_yaml_read(arena, text, NULL, &documents, diags);
    ck_assert_msg(status == 0, "%s", api_diags());
    for (size_t i = 0; i < kilter_list_size(documents); i++) {
        if (i)
            kilter_buf_c(out, "---\n");
        kilter_yaml_write(out, kilter_list_at(documents, i), KILTER_YAML_KUSTOMIZE, 0);
    }
}

static size_t check_file(const char *dir, const char *name, const char *file)
{
    char path[4096];
    struct kilter_buf expected = KILTER_BUF_INIT(64 << 20), written = KILTER_BUF_INIT(64 << 20);
    snprintf(path, sizeof path, "%s/%s/%s", dir, name, file);
    bool there = read_file(path, &expected);
    if (there) {
        write_again(kilter_buf_view(&expected), &written);
        bool same = kilter_str_eq(kilter_buf_view(&expected), kilter_buf_view(&written));
        ck_assert_msg(same != is_known(name), "%s: %s", path, same ? "no difference any more" : "other bytes");
    }
    kilter_buf_release(&expected);
    kilter_buf_release(&written);
    kilter_arena_reset(arena);
    return there;
}

START_TEST(output_of_kustomize_is_written_byte_for_byte)
{
    const char *path = folder();
    DIR *dir = path ? opendir(path) : NULL;
    size_t count = 0;
    if (!dir) {
        printf("skipped: no conformance cases here (KILTER_CONFORMANCE names their folder)\n");
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        count += check_file(path, entry->d_name, "expected.yaml");
        count += check_file(path, entry->d_name, "expected-fifo.yaml");
    }
    closedir(dir);
    printf("%zu files of Kustomize's output are the same bytes\n", count);
    ck_assert_uint_gt(count, 100);
}
END_TEST

Suite *api_conformance_suite(void)
{
    Suite *suite = suite_create("conformance");
    TCase *tcase = api_case(suite, "conformance");
    tcase_add_test(tcase, output_of_kustomize_is_written_byte_for_byte);
    return suite;
}
