// SPDX-License-Identifier: Apache-2.0
#include "api_tests.h"

static const struct {
    const char *base, *path, *joined;
    int status;
} joins[] = {
    { "a/b", "../c", "a/c", 0 },
    { "", "", "", 0 },
    { "a", "", "a", 0 },
    { "", "a/b", "a/b", 0 },
    { "a", "./b//c/.", "a/b/c", 0 },
    { "a", "..", "", 0 },
    { "a/b/c", "../../../x", "x", 0 },
    { "a", "../..", NULL, KILTER_E_PERMISSION },
    { "..", "a", NULL, KILTER_E_PERMISSION },
    { "a", "/etc/passwd", NULL, KILTER_E_PERMISSION },
    { "a", "...", "a/...", 0 },
    { "a", ".b/..c", "a/.b/..c", 0 },
    { "a/", "b/", "a/b", 0 },
};

START_TEST(paths_are_joined_inside_the_root)
{
    struct kilter_str joined = KILTER_STR_NONE;
    struct kilter_error err = KILTER_ERROR_INIT;
    int status = kilter_path_join(arena, kilter_str_c(joins[_i].base), kilter_str_c(joins[_i].path), &joined, &err);
    ck_assert_int_eq(status, joins[_i].status);
    if (joins[_i].joined)
        ck_assert_view_eq(joined, joins[_i].joined);
    else
        ck_assert_uint_gt(strlen(err.message), 0);
}
END_TEST

START_TEST(nul_in_a_path_is_refused)
{
    struct kilter_str joined;
    ck_assert_int_eq(kilter_path_join(arena, KILTER_STR(""), kilter_str_n("a\0b", 3), &joined, NULL),
                     KILTER_E_INVALID);
}
END_TEST

/* A tree of one file, "dir/file", that remembers what it was asked. */
static char asked[100];
static struct kilter_content *file;

static int fake_stat(struct kilter_tree *tree, struct kilter_str path, enum kilter_entry_type *ret_type,
                     struct kilter_error *err)
{
    (void)tree, (void)err;
    memcpy(asked, path.ptr, path.len);
    asked[path.len] = 0;
    *ret_type = KILTER_ENTRY_ABSENT;
    return 0;
}

static int fake_open(struct kilter_tree *tree, struct kilter_str path, struct kilter_content **ret,
                     struct kilter_error *err)
{
    (void)tree;
    if (!kilter_str_eq_c(path, "dir/file"))
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "no %.*s", KILTER_STR_ARG(path));
    *ret = file;
    return 0;
}

static const struct kilter_tree_ops fake_ops = {
    .size = sizeof(struct kilter_tree_ops),
    .stat = fake_stat,
    .open = fake_open,
};

START_TEST(tree_is_asked_for_normal_paths_only)
{
    struct kilter_tree tree = { .ops = &fake_ops };
    enum kilter_entry_type type;
    ck_assert_int_eq(kilter_tree_stat(&tree, KILTER_STR("a/./b//../c/"), &type, NULL), 0);
    ck_assert_str_eq(asked, "a/c");
    ck_assert_int_eq(kilter_tree_stat(&tree, KILTER_STR("."), &type, NULL), 0);
    ck_assert_str_eq(asked, "");
    ck_assert_int_eq(kilter_tree_stat(&tree, KILTER_STR("a/../../x"), &type, NULL), KILTER_E_PERMISSION);
    ck_assert_int_eq(kilter_tree_stat(&tree, kilter_str_n("a\0", 2), &type, NULL), KILTER_E_INVALID);
}
END_TEST

START_TEST(operation_that_is_not_there_is_unsupported)
{
    struct kilter_tree tree = { .ops = &fake_ops };
    const struct kilter_entry *entries;
    struct kilter_str text;
    size_t count;
    ck_assert_int_eq(kilter_tree_list(&tree, KILTER_STR(""), arena, &entries, &count, NULL), KILTER_E_UNSUPPORTED);
    ck_assert_int_eq(kilter_tree_read_link(&tree, KILTER_STR(""), arena, &text, NULL), KILTER_E_UNSUPPORTED);
    ck_assert_int_eq(kilter_tree_resolve(&tree, KILTER_STR(""), arena, &text, NULL), KILTER_E_UNSUPPORTED);
    struct kilter_tree_ops old = fake_ops;
    old.size = offsetof(struct kilter_tree_ops, open); /* an older maker's table ends before it */
    tree.ops = &old;
    struct kilter_content *content;
    ck_assert_int_eq(kilter_tree_open(&tree, KILTER_STR("dir/file"), &content, NULL), KILTER_E_UNSUPPORTED);
}
END_TEST

START_TEST(file_is_read_whole_and_within_its_limit)
{
    struct kilter_tree tree = { .ops = &fake_ops };
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_str text;
    file = kilter_content_bytes(arena, KILTER_STR("hello"));
    ck_assert_int_eq(kilter_tree_read(&tree, KILTER_STR("dir/./file"), arena, 0, &text, &err), 0);
    ck_assert_view_eq(text, "hello");
    ck_assert_int_eq(text.ptr[5], 0);
    ck_assert_int_eq(kilter_tree_read(&tree, KILTER_STR("dir/file"), arena, 4, &text, &err), KILTER_E_LIMIT);
    ck_assert_int_eq(kilter_tree_read(&tree, KILTER_STR("other"), arena, 0, &text, &err), KILTER_E_NOT_FOUND);
    ck_assert_str_eq(err.message, "no other");
}
END_TEST

Suite *api_tree_suite(void)
{
    Suite *suite = suite_create("tree");
    TCase *tcase = api_case(suite, "tree");
    tcase_add_loop_test(tcase, paths_are_joined_inside_the_root, 0, sizeof joins / sizeof joins[0]);
    tcase_add_test(tcase, nul_in_a_path_is_refused);
    tcase_add_test(tcase, tree_is_asked_for_normal_paths_only);
    tcase_add_test(tcase, operation_that_is_not_there_is_unsupported);
    tcase_add_test(tcase, file_is_read_whole_and_within_its_limit);
    return suite;
}
