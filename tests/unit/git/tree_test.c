/* SPDX-License-Identifier: Apache-2.0 */
/* The tree view, over a directory and over a commit: both must answer alike, also to those who try to get out. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "git/fetch.h"
#include "scratch.h"

static struct kilter_tree *trees[2]; /* the directory, and the commit of the same */
static struct kilter_arena *arena;
static char commit[41];

static void setup(void)
{
    struct kilter_error err = KILTER_ERROR_INIT;

    scratch_setup();
    arena = kilter_arena_new(0);
    run("git init -q -b main w && cd w && mkdir -p dir/deep/er other .hidden &&"
        "printf 'text\\n' >file && printf 'deep\\n' >dir/deep/er/f && printf x >dir/exec && chmod 755 dir/exec &&"
        "printf 'o\\n' >other/o && printf h >.hidden/h && printf '' >empty &&"
        "ln -s file to-file && ln -s to-file to-link && ln -s dir/deep to-dir && ln -s ../file dir/up &&"
        "ln -s ../../../file dir/deep/er/up && ln -s loop-b loop-a && ln -s loop-a loop-b && ln -s self/x self &&"
        "ln -s /etc/passwd absolute && ln -s ../outside out && ln -s dir/../../outside out-later &&"
        "ln -s to-dir/../exec back && ln -s to-dir/../../../outside out-through-link && ln -s nowhere dangling &&"
        "ln -s . here && ln -s dir/ slash && ln -s .git/config into-git && ln -s file/x through-file &&"
        "git add -A && git commit -qm one");
    capture(commit, sizeof(commit), "git -C w rev-parse HEAD");
    ck_assert_msg(kl_tree_open_dir(in_scratch("w"), &trees[0], &err) == 0, "%s", err.message);
    ck_assert_msg(kl_tree_open_git(in_scratch("w/.git"), commit, &trees[1], &err) == 0, "%s", err.message);
}

static void teardown(void)
{
    kl_tree_close(trees[0]);
    kl_tree_close(trees[1]);
    kilter_arena_free(arena);
    kl_git_shutdown();
    scratch_teardown();
}

static int read_text(struct kilter_tree *tree, const char *path, struct kilter_str *ret)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    int status = kilter_tree_read(tree, kilter_str_c(path), arena, 0, ret, &err);
    ck_assert_msg(status == 0 || (err.code == status && *err.message), "%s: no message", path);
    return status;
}

START_TEST(files_are_read_through_links_that_stay_inside)
{
    static const char *const paths[][2] = {
        { "file", "text\n" },
        { "to-file", "text\n" },
        { "to-link", "text\n" },
        { "dir/up", "text\n" },
        { "dir/deep/er/up", "text\n" },
        { "to-dir/er/f", "deep\n" },
        { "here/here/here/file", "text\n" },
        { "slash/deep/er/f", "deep\n" },
        { "back", "x" },
        { "./dir//exec", "x" },
        { "other/../file", "text\n" },
        { "empty", "" },
        { ".hidden/h", "h" },
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct kilter_str text;
        ck_assert_msg(read_text(trees[_i], paths[i][0], &text) == 0, "%s", paths[i][0]);
        ck_assert_msg(kilter_str_eq_c(text, paths[i][1]), "%s", paths[i][0]);
    }
}
END_TEST

START_TEST(what_leads_out_or_nowhere_is_refused)
{
    static const struct {
        const char *path;
        int status;
    } paths[] = {
        { "absolute", KILTER_E_PERMISSION },
        { "out", KILTER_E_PERMISSION },
        { "out-later", KILTER_E_PERMISSION },
        { "out-through-link", KILTER_E_PERMISSION },
        { "loop-a", KILTER_E_PERMISSION },
        { "loop-b/x", KILTER_E_PERMISSION },
        { "self", KILTER_E_PERMISSION },
        { "../outside", KILTER_E_PERMISSION },
        { "dir/../../outside", KILTER_E_PERMISSION },
        { "dangling", KILTER_E_NOT_FOUND },
        { "through-file", KILTER_E_NOT_FOUND },
        { "none", KILTER_E_NOT_FOUND },
        { "file/x", KILTER_E_NOT_FOUND },
        { ".git/config", KILTER_E_NOT_FOUND },
        { "into-git", KILTER_E_NOT_FOUND },
        { "dir", KILTER_E_CONFLICT },
        { "to-dir", KILTER_E_CONFLICT },
        { "", KILTER_E_CONFLICT },
    };

    run("printf secret >outside");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct kilter_str text;
        int status = read_text(trees[_i], paths[i].path, &text);
        ck_assert_msg(status == paths[i].status, "%s: %d", paths[i].path, status);
    }
}
END_TEST

START_TEST(stat_does_not_follow_and_absence_is_an_answer)
{
    static const struct {
        const char *path;
        enum kilter_entry_type type;
    } paths[] = {
        { "", KILTER_ENTRY_DIRECTORY },          { "file", KILTER_ENTRY_FILE },
        { "dir/exec", KILTER_ENTRY_EXECUTABLE }, { "dir", KILTER_ENTRY_DIRECTORY },
        { "to-dir", KILTER_ENTRY_LINK },         { "to-dir/er", KILTER_ENTRY_DIRECTORY },
        { "dangling", KILTER_ENTRY_LINK },       { "loop-a", KILTER_ENTRY_LINK },
        { "none", KILTER_ENTRY_ABSENT },         { "none/x/y", KILTER_ENTRY_ABSENT },
        { "file/x", KILTER_ENTRY_ABSENT },       { ".git", KILTER_ENTRY_ABSENT },
        { ".git/config", KILTER_ENTRY_ABSENT },
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        enum kilter_entry_type type;
        ck_assert_int_eq(kilter_tree_stat(trees[_i], kilter_str_c(paths[i].path), &type, NULL), 0);
        ck_assert_msg(type == paths[i].type, "%s: %s", paths[i].path, kl_entry_type_word(type));
    }
}
END_TEST

START_TEST(lists_are_sorted_and_the_same_in_both_forms)
{
    static const char *const paths[] = { "", "dir", "to-dir", "here/slash/deep" };

    run("mkfifo w/pipe"); /* neither file nor directory nor link: not there */
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        const struct kilter_entry *entries[2];
        size_t counts[2];
        for (int t = 0; t < 2; t++)
            ck_assert_int_eq(
                kilter_tree_list(trees[t], kilter_str_c(paths[i]), arena, &entries[t], &counts[t], NULL), 0);
        ck_assert_uint_eq(counts[0], counts[1]);
        ck_assert_uint_gt(counts[0], 0);
        for (size_t j = 0; j < counts[0]; j++) {
            ck_assert(kilter_str_eq(entries[0][j].name, entries[1][j].name));
            ck_assert_int_eq(entries[0][j].type, entries[1][j].type);
            ck_assert(j == 0 || kilter_str_cmp(entries[0][j - 1].name, entries[0][j].name) < 0);
        }
    }
    const struct kilter_entry *none;
    size_t count;
    ck_assert_int_eq(kilter_tree_list(trees[0], KILTER_STR("file"), arena, &none, &count, NULL), KILTER_E_CONFLICT);
    ck_assert_int_eq(kilter_tree_list(trees[1], KILTER_STR("none"), arena, &none, &count, NULL),
                     KILTER_E_NOT_FOUND);
}
END_TEST

START_TEST(links_are_read_and_resolved)
{
    struct kilter_str text;

    ck_assert_int_eq(kilter_tree_read_link(trees[_i], KILTER_STR("to-dir"), arena, &text, NULL), 0);
    ck_assert(kilter_str_eq_c(text, "dir/deep"));
    ck_assert_int_eq(kilter_tree_read_link(trees[_i], KILTER_STR("out"), arena, &text, NULL), 0);
    ck_assert(kilter_str_eq_c(text, "../outside"));
    ck_assert_int_eq(kilter_tree_read_link(trees[_i], KILTER_STR("file"), arena, &text, NULL), KILTER_E_CONFLICT);
    ck_assert_int_eq(kilter_tree_read_link(trees[_i], KILTER_STR("none"), arena, &text, NULL), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(kilter_tree_resolve(trees[_i], KILTER_STR("here/to-dir/er/up"), arena, &text, NULL), 0);
    ck_assert(kilter_str_eq_c(text, "file"));
    ck_assert_int_eq(kilter_tree_resolve(trees[_i], KILTER_STR("here"), arena, &text, NULL), 0);
    ck_assert(kilter_str_eq_c(text, ""));
    ck_assert_int_eq(kilter_tree_resolve(trees[_i], KILTER_STR("dangling"), arena, &text, NULL),
                     KILTER_E_NOT_FOUND);
}
END_TEST

/* --- the record ----------------------------------------------------------------------- */
/* "question path" of every record, in order, one a line; with `answers`, " answer" when it is no id. */
static void record_text(struct kilter_tree *tree, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < kl_tree_asked_count(tree); i++) {
        const struct kl_asked *asked = kl_tree_asked_at(tree, i);
        used += (size_t)snprintf(text + used, size - used, "%s %.*s%s\n", kl_question_word(asked->question),
                                 KILTER_STR_ARG(asked->path), kilter_str_eq_c(asked->answer, "absent") ? " -" : "");
        ck_assert_uint_lt(used, size);
    }
}

START_TEST(each_question_is_recorded_once_and_nothing_else)
{
    enum kilter_entry_type type;
    const struct kilter_entry *entries;
    struct kilter_str text;
    size_t count;
    char record[2048];

    for (int again = 0; again < 2; again++) {
        read_text(trees[_i], "to-link", &text);
        read_text(trees[_i], "dir/deep/er/f", &text);
        read_text(trees[_i], "none/at/all", &text);
        read_text(trees[_i], "missing", &text);
        read_text(trees[_i], "dir", &text);
        kilter_tree_stat(trees[_i], KILTER_STR("to-dir/er"), &type, NULL);
        kilter_tree_stat(trees[_i], KILTER_STR("to-dir"), &type, NULL);
        kilter_tree_list(trees[_i], KILTER_STR("other"), arena, &entries, &count, NULL);
        kilter_tree_read_link(trees[_i], KILTER_STR("out"), arena, &text, NULL);
        read_text(trees[_i], "absolute", &text);
        kilter_tree_resolve(trees[_i], KILTER_STR("dangling"), arena, &text, NULL);
    }
    record_text(trees[_i], record, sizeof(record));
    ck_assert_str_eq(record, "link to-link\nlink to-file\nblob file\n"
                             "blob dir/deep/er/f\n"
                             "link none -\nblob none/at/all -\n"
                             "blob missing -\n"
                             "exists dir\n"
                             "link to-dir\nexists dir/deep/er\n"
                             "exists to-dir\n"
                             "list other\n"
                             "link out\n"
                             "link absolute\n"
                             "link dangling\nexists nowhere -\n");
    for (size_t i = 0; i < kl_tree_asked_count(trees[_i]); i++) {
        const struct kl_asked *asked = kl_tree_asked_at(trees[_i], i);
        struct kilter_str answer;
        ck_assert_int_eq(kl_tree_answer(trees[_i], asked->path, asked->question, arena, &answer, NULL), 0);
        ck_assert_msg(kilter_str_eq(answer, asked->answer), "%.*s", KILTER_STR_ARG(asked->path));
    }
    kl_tree_asked_clear(trees[_i]);
    ck_assert_uint_eq(kl_tree_asked_count(trees[_i]), 0);
    read_text(trees[_i], "file", &text);
    ck_assert_uint_eq(kl_tree_asked_count(trees[_i]), 1);
}
END_TEST

START_TEST(a_lists_answer_does_not_depend_on_what_is_deeper)
{
    char second[41];
    struct kilter_str answers[2];
    struct kilter_tree *tree;

    run("cd w && printf 'changed\\n' >dir/deep/er/f && git commit -qam two");
    capture(second, sizeof(second), "git -C w rev-parse HEAD");
    ck_assert_int_eq(kl_tree_open_git(in_scratch("w/.git"), second, &tree, NULL), 0);
    ck_assert_int_eq(kl_tree_answer(trees[1], KILTER_STR("dir"), KL_ASK_LIST, arena, &answers[0], NULL), 0);
    ck_assert_int_eq(kl_tree_answer(tree, KILTER_STR("dir"), KL_ASK_LIST, arena, &answers[1], NULL), 0);
    ck_assert(kilter_str_eq(answers[0], answers[1]));
    kl_tree_close(tree);
}
END_TEST

/* --- contents ------------------------------------------------------------------------------ */
START_TEST(contents_are_read_in_pieces)
{
    struct kilter_content *content;
    struct kilter_tree *tree;
    char piece[1000], id[41];
    size_t len;

    run("cd w && head -c 3000000 /dev/zero | tr '\\0' 'a' >big && printf end >>big && git add big && git commit "
        "-qm big");
    capture(id, sizeof(id), "git -C w rev-parse HEAD");
    if (_i == 0)
        ck_assert_int_eq(kl_tree_open_dir(in_scratch("w"), &tree, NULL), 0);
    else
        ck_assert_int_eq(kl_tree_open_git(in_scratch("w/.git"), id, &tree, NULL), 0);
    ck_assert_int_eq(kilter_tree_open(tree, KILTER_STR("big"), &content, NULL), 0);
    ck_assert_uint_eq(content->length, 3000003);
    ck_assert_int_eq(kilter_content_read(content, 2999500, piece, sizeof(piece), &len, NULL), 0);
    ck_assert_uint_eq(len, 503);
    ck_assert(memcmp(piece + 500, "end", 3) == 0 && piece[0] == 'a');
    ck_assert_int_eq(kilter_content_read(content, 3000003, piece, sizeof(piece), &len, NULL), 0);
    ck_assert_uint_eq(len, 0);
    if (_i == 0) { /* a directory can change under its reader, who must not get half of each */
        run("printf longer >>w/big");
        ck_assert_int_eq(kilter_content_read(content, 0, piece, sizeof(piece), &len, NULL), KILTER_E_CONFLICT);
    }
    kl_tree_close(tree);
}
END_TEST

START_TEST(submodules_are_seen_but_have_no_content)
{
    enum kilter_entry_type type;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_content *content;
    struct kilter_tree *tree;
    char id[41];

    run("cd w && git update-index --add --cacheinfo 160000,%s,sub && git commit -qm sub", commit);
    capture(id, sizeof(id), "git -C w rev-parse HEAD");
    ck_assert_int_eq(kl_tree_open_git(in_scratch("w/.git"), id, &tree, NULL), 0);
    ck_assert_int_eq(kilter_tree_stat(tree, KILTER_STR("sub"), &type, NULL), 0);
    ck_assert_int_eq(type, KILTER_ENTRY_SUBMODULE);
    ck_assert_int_eq(kilter_tree_open(tree, KILTER_STR("sub/x"), &content, &err), KILTER_E_NOT_FOUND);
    ck_assert_msg(strstr(err.message, "submodule"), "%s", err.message);
    kl_tree_close(tree);
}
END_TEST

START_TEST(a_crafted_entry_name_is_refused)
{
    static const char *const names[] = { "..", ".", ".git", ".GIT", "a/b" };
    char id[41];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct kilter_error err = KILTER_ERROR_INIT;
        const struct kilter_entry *entries;
        struct kilter_tree *tree;
        size_t count;
        capture(id, sizeof(id),
                "cd w && plain=$(printf '100644 blob %%s\\tzz\\n' $(git rev-parse HEAD:file) | git mktree) && "
                "tree=$(git cat-file tree $plain | LC_ALL=C sed 's#zz#%s#' | git hash-object -t tree -w --stdin "
                "--literally) && git commit-tree -m x $tree",
                names[i]);
        ck_assert_msg(kl_tree_open_git(in_scratch("w/.git"), id, &tree, &err) == 0, "%s", err.message);
        ck_assert_int_eq(kilter_tree_list(tree, KILTER_STR(""), arena, &entries, &count, &err), KILTER_E_INVALID);
        kl_tree_close(tree);
    }
}
END_TEST

START_TEST(what_is_not_there_cannot_be_opened)
{
    struct kilter_tree *tree;

    ck_assert_int_eq(kl_tree_open_dir(in_scratch("none"), &tree, NULL), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(kl_tree_open_dir(in_scratch("w/file"), &tree, NULL), KILTER_E_CONFLICT);
    ck_assert_int_eq(kl_tree_open_git(in_scratch("none"), commit, &tree, NULL), KILTER_E_NOT_FOUND);
    ck_assert_int_eq(
        kl_tree_open_git(in_scratch("w/.git"), "1234567890123456789012345678901234567890", &tree, NULL),
        KILTER_E_NOT_FOUND);
    ck_assert_int_eq(kl_tree_open_git(in_scratch("w/.git"), "main", &tree, NULL), KILTER_E_INVALID);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("git-tree");
    TCase *tests = tcase_create("tree");

    int first = 0; /* 0: the directory, 1: the commit */
    if (getenv("KILTER_UNDER_VALGRIND")) {
        puts("valgrind knows no openat2: the directory form is left out");
        first = 1;
    }
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, files_are_read_through_links_that_stay_inside, first, 2);
    tcase_add_loop_test(tests, what_leads_out_or_nowhere_is_refused, first, 2);
    tcase_add_loop_test(tests, stat_does_not_follow_and_absence_is_an_answer, first, 2);
    if (first == 0)
        tcase_add_test(tests, lists_are_sorted_and_the_same_in_both_forms);
    tcase_add_loop_test(tests, links_are_read_and_resolved, first, 2);
    tcase_add_loop_test(tests, each_question_is_recorded_once_and_nothing_else, first, 2);
    tcase_add_test(tests, a_lists_answer_does_not_depend_on_what_is_deeper);
    tcase_add_loop_test(tests, contents_are_read_in_pieces, first, 2);
    tcase_add_test(tests, submodules_are_seen_but_have_no_content);
    tcase_add_test(tests, a_crafted_entry_name_is_refused);
    tcase_add_test(tests, what_is_not_there_cannot_be_opened);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
