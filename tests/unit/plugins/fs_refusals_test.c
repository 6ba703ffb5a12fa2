/* SPDX-License-Identifier: Apache-2.0 */
/* What the system refuses is told apart, for the file target's results. */
#include "world.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

static struct world world;

static void begin(void)
{
    world_begin(&world);
}

static void end(void)
{
    syscalls_fail_all(NULL, 0);
    world_end(&world);
}

static const char doc[] = "apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: f}\n"
                          "spec: {path: /f, content: x, mode: \"0640\"}\n";

static const struct refusal {
    const char *call;
    int error;
    enum kilter_result_class result;
    const char *says;
} refusals[] = {
    { "openat", EROFS, KILTER_RESULT_BLOCKED, "read-only" },
    { "openat", ENOSPC, KILTER_RESULT_TRANSIENT, "No space" },
    { "write", ENOSPC, KILTER_RESULT_TRANSIENT, "No space" },
    { "write", EDQUOT, KILTER_RESULT_TRANSIENT, "quota" },
    { "write", EIO, KILTER_RESULT_TRANSIENT, "Input/output" },
    { "fsync", EIO, KILTER_RESULT_TRANSIENT, "flushing" },
    { "fchmod", EPERM, KILTER_RESULT_TERMINAL, "Operation not permitted" },
    { "renameat2", EBUSY, KILTER_RESULT_BLOCKED, "mounted" },
    { "renameat2", EEXIST, KILTER_RESULT_STALE, "changed right now" },
    { "openat", EMFILE, KILTER_RESULT_TRANSIENT, "Too many open files" },
    { "openat", ENAMETOOLONG, KILTER_RESULT_TERMINAL, "long name" },
};

START_TEST(each_refusal_of_the_system_has_its_class_and_its_words)
{
    const struct refusal *refusal = &refusals[_i];
    world_want(&world, doc);
    world_plan(&world, false);
    syscalls_fail_all(refusal->call, refusal->error);
    world_apply(&world);
    syscalls_fail_all(NULL, 0);
    const struct kilter_result *result = world_result(&world, "f");
    ck_assert_int_eq(result->result, refusal->result);
    ck_assert_msg(memmem(result->message.ptr, result->message.len, refusal->says, strlen(refusal->says)) != NULL,
                  "%.*s", KILTER_STR_ARG(result->message));
    ck_assert(!world_there(&world, "f"));
    ck_assert_uint_eq(world_leftovers(&world), 0);
    world_sync(&world, doc);
    ck_assert_str_eq(world_read(&world, "f"), "x");
}
END_TEST

START_TEST(a_failed_mark_keeps_nobody_from_writing)
{
    syscalls_fail_all("fsetxattr", ENOTSUP);
    world_sync(&world, doc);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_DONE);
    ck_assert_uint_eq(world_mode(&world, "f"), 0640);
}
END_TEST

/* --- the real thing, in a mount namespace of its own ------------------------------------------- */
static bool mount_small(const char *at)
{
    ck_assert_int_eq(mkdir(world_path(&world, at), 0755), 0);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "", MS_REC | MS_PRIVATE, NULL) < 0)
        return false;
    bool mounted = mount("tmpfs", world_path(&world, at), "tmpfs", 0, "size=64k,mode=0755") == 0;
    world_reopen(&world, NULL); /* the root of before is one of the namespace of before */
    return mounted;
}

START_TEST(a_full_filesystem_is_transient_and_keeps_the_old_file)
{
    char yaml[100000];
    if (!mount_small("small"))
        return;
    world_sync(&world, "apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: f}\n"
                       "spec: {path: /small/f, content: old}\n");
    snprintf(yaml, sizeof yaml, "%s%090000d}\n",
             "apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: f}\nspec: {path: /small/f, content: a",
             0);
    world_sync(&world, yaml);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_TRANSIENT);
    ck_assert_str_eq(world_read(&world, "small/f"), "old");
    ck_assert_uint_eq(world_leftovers(&world), 0);
    umount(world_path(&world, "small"));
}
END_TEST

START_TEST(a_read_only_filesystem_is_named)
{
    if (!mount_small("small"))
        return;
    ck_assert_int_eq(mount("none", world_path(&world, "small"), "", MS_REMOUNT | MS_RDONLY, NULL), 0);
    world_sync(&world, "apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: f}\n"
                       "spec: {path: /small/f, content: x}\n");
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_BLOCKED);
    struct kilter_str text = world_result(&world, "f")->message;
    ck_assert_ptr_nonnull(memmem(text.ptr, text.len, "read-only", 9));
    umount(world_path(&world, "small"));
}
END_TEST

START_TEST(a_file_that_something_is_mounted_over_is_named)
{
    world_write(&world, "f", "below");
    world_write(&world, "other", "above");
    if (!mount_small("small") || mount(world_path(&world, "other"), world_path(&world, "f"), "", MS_BIND, NULL) < 0)
        return;
    world_want(&world, doc);
    world_plan(&world, false);
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_BLOCKED);
    umount(world_path(&world, "f"));
    umount(world_path(&world, "small"));
}
END_TEST

TCase *fs_refusals_case(void)
{
    TCase *tests = tcase_create("fs-refusals");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, each_refusal_of_the_system_has_its_class_and_its_words, 0,
                        (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tests, a_full_filesystem_is_transient_and_keeps_the_old_file);
    tcase_add_test(tests, a_read_only_filesystem_is_named);
    tcase_add_test(tests, a_file_that_something_is_mounted_over_is_named);
    tcase_add_test(tests, a_failed_mark_keeps_nobody_from_writing);
    return tests;
}
