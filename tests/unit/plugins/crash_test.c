/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash matrix: an apply is killed before its first, second, third, ... system call that changes anything.
 * Whatever the instant, each path is as it was or as it was meant to be, and the next pass converges and leaves
 * nothing behind.
 */
#include "world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DOC(kind, name, spec)                                                                                      \
    "apiVersion: file.kilter.dev/v1\nkind: " kind "\nmetadata: {name: " name "}\nspec: {" spec "}\n---\n"
#define MANY "0123456789012345678901234567890123456789"

static const char before[] = DOC("File", "same", "path: /same, content: s")
    DOC("File", "content", "path: /content, content: old-" MANY ", mode: \"0640\"")
        DOC("File", "mode", "path: /mode, content: m, mode: \"0600\"")
            DOC("Symlink", "link", "path: /link, target: old") DOC("File", "typed", "path: /typed, content: t")
                DOC("File", "gone", "path: /made/gone, content: g")
                    DOC("File", "relocated", "path: /from, content: r");

static const char after[] = DOC("File", "same", "path: /same, content: s")
    DOC("File", "content", "path: /content, content: new-" MANY MANY ", mode: \"0640\"")
        DOC("File", "mode", "path: /mode, content: m, mode: \"0644\"")
            DOC("Symlink", "link", "path: /link, target: new")
                DOC("Directory", "typed", "path: /typed, mode: \"0750\"")
                    DOC("File", "in", "path: /typed/in, content: i")
                        DOC("File", "fresh", "path: /x/y/fresh, content: f, mode: \"0600\"")
                            DOC("File", "relocated", "path: /to, content: r");

static struct world world;

static void begin(void)
{
    world_begin(&world);
}

static void end(void)
{
    world_end(&world);
}

static void assert_one_of(const char *path, const char *old, const char *new)
{
    const char *now = world_read(&world, path);
    if (!now)
        ck_assert_msg(old == NULL || new == NULL, "%s is missing", path);
    else
        ck_assert_msg((old && strcmp(now, old) == 0) || (new &&strcmp(now, new) == 0), "%s holds \"%s\"", path,
                      now);
}

static void assert_nothing_half_done(void)
{
    char target[16] = "";
    assert_one_of("same", "s", "s");
    assert_one_of("content", "old-" MANY, "new-" MANY MANY);
    ck_assert_uint_eq(world_mode(&world, "content"), 0640);
    assert_one_of("mode", "m", "m");
    ck_assert(world_mode(&world, "mode") == 0600 || world_mode(&world, "mode") == 0644);
    ck_assert_int_eq(readlink(world_path(&world, "link"), target, sizeof target - 1), 3);
    ck_assert(strcmp(target, "old") == 0 || strcmp(target, "new") == 0);
    struct stat st;
    ck_assert_int_eq(lstat(world_path(&world, "typed"), &st), 0);
    ck_assert(S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0750));
    assert_one_of("typed/in", NULL, "i");
    assert_one_of("x/y/fresh", NULL, "f");
    ck_assert(!world_there(&world, "x/y/fresh") || world_mode(&world, "x/y/fresh") == 0600);
    ck_assert(world_there(&world, "from") || world_there(&world, "to"));
    assert_one_of("made/gone", "g", NULL);
}

static void assert_converged(void)
{
    ck_assert_str_eq(world_read(&world, "content"), "new-" MANY MANY);
    ck_assert_uint_eq(world_mode(&world, "mode"), 0644);
    ck_assert_str_eq(world_read(&world, "typed/in"), "i");
    ck_assert_str_eq(world_read(&world, "x/y/fresh"), "f");
    ck_assert_str_eq(world_read(&world, "to"), "r");
    ck_assert(!world_there(&world, "from"));
    ck_assert(!world_there(&world, "made/gone"));
    ck_assert_uint_eq(world_leftovers(&world), 0);
    world_forget(&world);
    world_want(&world, after);
    ck_assert_uint_eq(world_plan(&world, true), 0);
}

/* Answers whether the apply came to its end before the n-th call. */
static bool apply_and_die(long n)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        syscalls_kill_at(n);
        world_apply(&world);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) || WTERMSIG(status) == SIGKILL);
    return WIFEXITED(status);
}

/* What the store keeps of a record whose apply was begun: the attributes of before, or none. */
static void lose_attributes(void)
{
    for (size_t i = 0; i < world.row_count; i++)
        if (world.rows[i].status != KILTER_RECORD_OWNED) {
            free(world.rows[i].attributes);
            world.rows[i].attributes = NULL;
        }
}

static bool crash_at(long n, bool without_attributes)
{
    world_sync(&world, before);
    world_forget(&world);
    world_want(&world, after);
    world_plan(&world, false);
    world_mark_pending(&world);
    bool ended = apply_and_die(n);
    assert_nothing_half_done();
    if (without_attributes)
        lose_attributes();
    /* Where the place of a moved file was is in its attributes alone. */
    world_sync(&world, after);
    if (without_attributes)
        unlink(world_path(&world, "from"));
    assert_converged();
    return ended;
}

static void run_matrix(bool without_attributes)
{
    bool ended = false;
    for (long n = 1; !ended; n++) {
        ck_assert_int_lt(n, 1000);
        if (n > 1) {
            end();
            begin();
        }
        ended = crash_at(n, without_attributes);
        ck_assert(!ended || n > 20);
    }
}

START_TEST(killed_before_any_call_nothing_is_half_done_and_the_next_pass_converges)
{
    run_matrix(false);
}
END_TEST

START_TEST(the_same_when_the_records_of_before_are_lost)
{
    run_matrix(true);
}
END_TEST

START_TEST(an_error_at_any_call_is_a_result_and_the_next_pass_converges)
{
    for (long n = 1; n < 1000; n++) {
        end();
        begin();
        world_sync(&world, before);
        world_forget(&world);
        world_want(&world, after);
        world_plan(&world, false);
        syscalls_fail_at(n, 5 /* EIO */);
        world_apply(&world);
        long count = syscalls_count();
        syscalls_fail_all(NULL, 0);
        assert_nothing_half_done();
        world_sync(&world, after);
        assert_converged();
        if (count < n)
            return;
    }
    ck_abort_msg("no end of calls");
}
END_TEST

TCase *crash_case(void)
{
    TCase *tests = tcase_create("crash");
    tcase_set_timeout(tests, 100);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, killed_before_any_call_nothing_is_half_done_and_the_next_pass_converges);
    tcase_add_test(tests, the_same_when_the_records_of_before_are_lost);
    tcase_add_test(tests, an_error_at_any_call_is_a_result_and_the_next_pass_converges);
    return tests;
}
