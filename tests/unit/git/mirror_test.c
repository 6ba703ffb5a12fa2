/* SPDX-License-Identifier: Apache-2.0 */
/* Mirrors: what differs between commits, contents by id, and readers while the mirror is packed anew. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "git/fetch.h"
#include "scratch.h"

#define MAX_CHANGES 4000

static struct kilter_arena *arena;
static struct kl_tree_change changes[MAX_CHANGES];
static size_t change_count;

static void setup(void)
{
    scratch_setup();
    arena = kilter_arena_new(0);
    change_count = 0;
    run("git init -q -b main w && cd w && git commit -q --allow-empty -m root");
}

static void teardown(void)
{
    kilter_arena_free(arena);
    kl_git_shutdown();
    scratch_teardown();
}

static void fetch_to(const char *mirror, struct kl_fetch_result *result)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_fetch_request request = {
        .url = kilter_str_c(in_scratch("w")), .kind = KL_FETCH_BRANCH, .ref = KILTER_STR("main"), .mirror = mirror
    };
    ck_assert_msg(kl_fetch(&request, result, NULL, &err) == 0, "%s", err.message);
}

static int take_change(void *data, const struct kl_tree_change *change)
{
    (void)data;
    ck_assert_uint_lt(change_count, MAX_CHANGES);
    changes[change_count] = *change;
    changes[change_count++].path = kilter_arena_str(arena, change->path);
    return 0;
}

/* --- differences against git itself -------------------------------------------------------- */
static unsigned seed;

static unsigned draw(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

/* A random step: files, links, directories and modes appear, change and vanish among few names, so that they often
 * take one another's place. */
static void random_step(void)
{
    char path[64], command[4096];
    size_t used = 0;

    for (unsigned i = 0, count = 1 + draw(6); i < count; i++) {
        size_t at = 0;
        for (unsigned depth = 1 + draw(3); depth > 0; depth--)
            at += (size_t)snprintf(path + at, sizeof(path) - at, "%s%c%s", at ? "/" : "", 'a' + (char)draw(3),
                                   draw(3) ? "" : ".d");
        static const char *const steps[] = {
            "rm -rf $p; mkdir -p $(dirname $p) && echo $n >$p; ",
            "rm -rf $p; mkdir -p $(dirname $p) && ln -s t$n $p; ",
            "rm -rf $p; ",
            "[ ! -f $p ] || chmod $m $p; ",
            "[ ! -d $p ] || echo $n >$p/z; ",
        };
        unsigned step = draw(5), number = draw(4);
        used += (size_t)snprintf(command + used, sizeof(command) - used, "p=%s n=%u m=%s; %s", path, number,
                                 draw(2) ? "755" : "644", steps[step]);
    }
    run("cd w && { %s } ; git add -A && git commit -q --allow-empty -m step", command);
}

static enum kilter_entry_type type_of_mode(const char *mode)
{
    static const struct {
        const char *mode;
        enum kilter_entry_type type;
    } modes[] = { { "000000", KILTER_ENTRY_ABSENT },
                  { "100644", KILTER_ENTRY_FILE },
                  { "100755", KILTER_ENTRY_EXECUTABLE },
                  { "120000", KILTER_ENTRY_LINK },
                  { "160000", KILTER_ENTRY_SUBMODULE } };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strncmp(modes[i].mode, mode, 6) == 0)
            return modes[i].type;
    ck_abort_msg("mode %.6s", mode);
}

static const struct kl_tree_change *find(struct kilter_str path, bool list)
{
    for (size_t i = 0; i < change_count; i++)
        if (changes[i].list == list && kilter_str_eq(changes[i].path, path))
            return &changes[i];
    return NULL;
}

/* git says each file, link and submodule that differs; where one took a directory's place it says two lines. */
static void compare_with_git(const char *from, const char *to)
{
    static char text[1 << 16];
    size_t files = 0, expected = 0;
    char *rest = text;

    capture(text, sizeof(text), "git -C w diff-tree -r --no-renames %s %s", from, to);
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        /* :100644 120000 <id> <id> T\tpath */
        const char *path = strchr(line, '\t') + 1;
        const struct kl_tree_change *change = find(kilter_str_c(path), false);
        enum kilter_entry_type before = type_of_mode(line + 1), after = type_of_mode(line + 8);
        ck_assert_msg(change, "git says %s, we do not", line);
        ck_assert_msg(change->before == before || (before == 0 && change->before == KILTER_ENTRY_DIRECTORY), "%s",
                      line);
        ck_assert_msg(change->after == after || (after == 0 && change->after == KILTER_ENTRY_DIRECTORY), "%s",
                      line);
        expected++;
    }
    for (size_t i = 0; i < change_count; i++) {
        enum kilter_entry_type before = changes[i].before, after = changes[i].after;
        files += (before != KILTER_ENTRY_ABSENT && before != KILTER_ENTRY_DIRECTORY) ||
                 (after != KILTER_ENTRY_ABSENT && after != KILTER_ENTRY_DIRECTORY);
    }
    ck_assert_uint_eq(files, expected);
}

/* For every path that is in either commit, and some that are in none: a question's answer differs exactly when a
 * change moves it. */
static void compare_with_answers(const char *from, const char *to)
{
    static char text[1 << 16];
    struct kilter_tree *trees[2];
    char *rest = text;

    ck_assert_int_eq(kl_tree_open_git(in_scratch("w/.git"), from, &trees[0], NULL), 0);
    ck_assert_int_eq(kl_tree_open_git(in_scratch("w/.git"), to, &trees[1], NULL), 0);
    capture(text, sizeof(text),
            "{ cd w; git ls-tree -r -t --name-only %s; git ls-tree -r -t --name-only %s; echo none; echo a/none; } "
            "| sort -u",
            from, to);
    while (rest) {
        struct kilter_str path = kilter_str_c(strsep(&rest, "\n"));
        for (int question = KL_ASK_BLOB; question <= KL_ASK_LINK; question++) {
            struct kilter_str answers[2];
            bool moved = false;
            for (int t = 0; t < 2; t++)
                ck_assert_int_eq(
                    kl_tree_answer(trees[t], path, (enum kl_question)question, arena, &answers[t], NULL), 0);
            for (int list = 0; list < 2; list++) {
                const struct kl_tree_change *change = find(path, list);
                moved = moved || (change && kl_asked_moved((enum kl_question)question, change));
            }
            bool differs = !kilter_str_eq(answers[0], answers[1]);
            ck_assert_msg(moved || !differs, "%.*s: %s moved and no change says so", KILTER_STR_ARG(path),
                          kl_question_word((enum kl_question)question));
            if (question == KL_ASK_EXISTS || question == KL_ASK_LIST)
                ck_assert_msg(moved == differs, "%.*s: %s did not move", KILTER_STR_ARG(path),
                              kl_question_word((enum kl_question)question));
        }
    }
    kl_tree_close(trees[0]);
    kl_tree_close(trees[1]);
}

START_TEST(the_list_of_changes_is_what_git_says_and_moves_exactly_the_answers)
{
    struct kl_mirror *mirror;
    char from[41], to[41];

    seed = (unsigned)_i * 7919u + 1u;
    capture(to, sizeof(to), "git -C w rev-parse HEAD");
    for (int step = 0; step < 12; step++) {
        memcpy(from, to, sizeof(from));
        random_step();
        capture(to, sizeof(to), "git -C w rev-parse HEAD");
        change_count = 0;
        ck_assert_int_eq(kl_mirror_open(in_scratch("w/.git"), &mirror, NULL), 0);
        ck_assert_int_eq(kl_mirror_diff(mirror, from, to, 0, take_change, NULL, NULL), 0);
        kl_mirror_close(mirror);
        compare_with_git(from, to);
        compare_with_answers(from, to);
    }
}
END_TEST

START_TEST(a_list_of_changes_has_a_limit_and_can_be_stopped)
{
    struct kl_mirror *mirror;
    struct kl_fetch_result first, second;

    fetch_to(in_scratch("m"), &first);
    run("cd w && for i in 1 2 3 4 5; do echo $i >$i; done && git add -A && git commit -qm five");
    fetch_to(in_scratch("m"), &second);
    ck_assert_int_eq(kl_mirror_open(in_scratch("m"), &mirror, NULL), 0);
    ck_assert_int_eq(kl_mirror_diff(mirror, first.commit, second.commit, 5, take_change, NULL, NULL),
                     KILTER_E_LIMIT);
    change_count = 0;
    ck_assert_int_eq(kl_mirror_diff(mirror, first.commit, second.commit, 6, take_change, NULL, NULL), 0);
    ck_assert_uint_eq(change_count, 6);
    ck_assert_int_eq(kl_mirror_diff(mirror, first.commit, "0123456789012345678901234567890123456789", 0,
                                    take_change, NULL, NULL),
                     KILTER_E_NOT_FOUND);
    kl_mirror_close(mirror);
}
END_TEST

/* --- contents by id ---------------------------------------------------------------------------- */
START_TEST(a_content_is_opened_again_by_its_id)
{
    struct kl_fetch_result result;
    struct kilter_content *content;
    struct kl_mirror *mirror;
    char id[41], text[16];
    size_t len;

    run("cd w && printf hello >f && git add f && git commit -qm f");
    capture(id, sizeof(id), "git -C w rev-parse HEAD:f");
    fetch_to(in_scratch("m"), &result);
    ck_assert_int_eq(kl_mirror_open(in_scratch("m"), &mirror, NULL), 0);
    content = kl_mirror_content(mirror, arena, kilter_str_c(id), 5);
    ck_assert_int_eq(kilter_content_read(content, 1, text, sizeof(text), &len, NULL), 0);
    ck_assert(len == 4 && memcmp(text, "ello", 4) == 0);
    ck_assert(kilter_str_eq_c(content->id, id));
    ck_assert_int_eq(kl_mirror_content_open(mirror, arena, kilter_str_c(id), &content, NULL), 0);
    ck_assert_uint_eq(content->length, 5);
    content = kl_mirror_content(mirror, arena, kilter_str_c(id), 6);
    ck_assert_int_eq(kilter_content_read(content, 0, text, sizeof(text), &len, NULL), KILTER_E_CONFLICT);
    content = kl_mirror_content(mirror, arena, KILTER_STR("0123456789012345678901234567890123456789"), 6);
    ck_assert_int_eq(kilter_content_read(content, 0, text, sizeof(text), &len, NULL), KILTER_E_NOT_FOUND);
    ck_assert_ptr_null(kl_mirror_content(mirror, arena, KILTER_STR("sha256:00"), 6));
    ck_assert_int_eq(kl_mirror_content_open(mirror, arena, kilter_str_c(result.commit), &content, NULL),
                     KILTER_E_CONFLICT);
    kl_mirror_close(mirror);
}
END_TEST

/* --- upkeep with readers ------------------------------------------------------------------------- */
START_TEST(a_reader_goes_on_while_the_mirror_is_packed_anew)
{
    struct kl_fetch_result result, last;
    struct kl_maintain_result upkeep;
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_tree *tree;
    struct kilter_str text;
    const char *pins[1];
    char garbage[41];

    run("cd w && mkdir d && printf hello >d/f && git add -A && git commit -qm f");
    fetch_to(in_scratch("m"), &result);
    ck_assert_int_eq(kl_tree_open_git(in_scratch("m"), result.commit, &tree, NULL), 0);
    run("cd w && head -c 100000 /dev/urandom >g && git add g && git commit -qm garbage");
    fetch_to(in_scratch("m"), &last);
    snprintf(garbage, sizeof(garbage), "%s", last.commit);
    run("cd w && git reset -q --hard HEAD~1 && git commit -q --allow-empty -m other");
    fetch_to(in_scratch("m"), &last);
    run("find m/refs -type f -exec touch -d '2 hours ago' {} +");
    pins[0] = last.commit; /* the reader's commit is in its history */
    ck_assert_msg(kl_mirror_maintain(in_scratch("m"), pins, 1, NULL, NULL, &upkeep, &err) == 0, "%s", err.message);
    ck_assert_uint_eq(upkeep.dropped, 2);
    ck_assert_uint_lt(upkeep.after + 90000, upkeep.before);
    ck_assert_msg(kilter_tree_read(tree, KILTER_STR("d/f"), arena, 0, &text, &err) == 0, "%s", err.message);
    ck_assert(kilter_str_eq_c(text, "hello"));
    kl_tree_close(tree);
    ck_assert_int_eq(kl_tree_open_git(in_scratch("m"), garbage, &tree, NULL), KILTER_E_NOT_FOUND);
}
END_TEST

static bool always(void *data)
{
    (void)data;
    return true;
}

START_TEST(a_cancelled_upkeep_leaves_a_whole_mirror_and_is_made_up_for)
{
    struct kl_fetch_result result;
    struct kl_maintain_result upkeep;
    const char *pins[1] = { result.commit };

    run("cd w && for i in $(seq 40); do head -c 2000 /dev/urandom >$i; done && git add -A && git commit -qm f");
    fetch_to(in_scratch("m"), &result);
    run("cd w && git checkout -q --orphan other && git reset -q --hard && git commit -q --allow-empty -m o && git "
        "branch -M main");
    fetch_to(in_scratch("m"), &result);
    run("find m/refs -type f -exec touch -d '2 hours ago' {} +");
    kl_mirror_maintain(in_scratch("m"), pins, 1, always, NULL, &upkeep, NULL);
    run("git -C m fsck --full");
    ck_assert_int_eq(kl_mirror_maintain(in_scratch("m"), pins, 1, NULL, NULL, &upkeep, NULL), 0);
    ck_assert_uint_lt(upkeep.after, 20000);
    run("git -C m fsck --full");
}
END_TEST

START_TEST(facts_of_a_commit_are_one_clean_line)
{
    struct kl_fetch_result result;

    run("cd w && GIT_AUTHOR_NAME=\"$(printf 'An\\342\\202\\254 \\033[1m')\" GIT_COMMITTER_DATE='1700000000 +0200' "
        "git -c i18n.commitEncoding=latin1 commit -q --allow-empty -m \"$(printf 'sub\\033ject "
        "\\344\\n\\nbody')\"");
    fetch_to(in_scratch("m"), &result);
    ck_assert_str_eq(result.author, "An\342\202\254 ?[1m");
    ck_assert_str_eq(result.email, "ana@example.com");
    ck_assert_str_eq(result.subject, "sub?ject ?");
    ck_assert_int_eq(result.time, 1700000000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("git-mirror");
    TCase *tests = tcase_create("mirror");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, the_list_of_changes_is_what_git_says_and_moves_exactly_the_answers, 0, 5);
    tcase_add_test(tests, a_list_of_changes_has_a_limit_and_can_be_stopped);
    tcase_add_test(tests, a_content_is_opened_again_by_its_id);
    tcase_add_test(tests, a_reader_goes_on_while_the_mirror_is_packed_anew);
    tcase_add_test(tests, a_cancelled_upkeep_leaves_a_whole_mirror_and_is_made_up_for);
    tcase_add_test(tests, facts_of_a_commit_are_one_clean_line);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
