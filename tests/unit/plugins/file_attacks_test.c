/* SPDX-License-Identifier: Apache-2.0 */
/* One test for each class of hole that programs which write files as root have had. */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct world world;

static void begin(void)
{
    world_begin(&world);
    char outside[96];
    snprintf(outside, sizeof outside, "%s/outside", world.dir);
    ck_assert_int_eq(mkdir(outside, 0755), 0);
}

static void end(void)
{
    world_end(&world);
}

#define DOC(kind, name, spec)                                                                                      \
    "apiVersion: file.kilter.dev/v1\nkind: " kind "\nmetadata: {name: " name "}\nspec: {" spec "}\n---\n"

static const char in_d[] = DOC("File", "f", "path: /d/f, content: x, mode: \"0666\"");

static void plan(const char *yaml)
{
    world_forget(&world);
    world_want(&world, yaml);
    world_plan(&world, false);
}

static bool outside_has(const char *name)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/outside/%s", world.dir, name);
    return lstat(path, &st) == 0;
}

START_TEST(a_link_in_a_parent_is_not_followed_by_the_plan)
{
    ck_assert_int_eq(symlink("../outside", world_path(&world, "d")), 0);
    plan(in_d);
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_BLOCKED);
    struct kilter_str reason = world_change(&world, "f")->reason;
    ck_assert_ptr_nonnull(memmem(reason.ptr, reason.len, "/d is a symbolic link", 21));
}
END_TEST

START_TEST(a_parent_swapped_for_a_link_after_the_plan_is_not_followed)
{
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0755), 0);
    plan(in_d);
    ck_assert_int_eq(rmdir(world_path(&world, "d")), 0);
    ck_assert_int_eq(symlink("../outside", world_path(&world, "d")), 0);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_BLOCKED);
    ck_assert(!outside_has("f"));
}
END_TEST

START_TEST(an_absolute_link_in_a_parent_does_not_lead_out)
{
    char outside[96];
    snprintf(outside, sizeof outside, "%s/outside", world.dir);
    ck_assert_int_eq(symlink(outside, world_path(&world, "d")), 0);
    plan(in_d);
    world_apply(&world);
    ck_assert(!outside_has("f"));
}
END_TEST

START_TEST(mode_and_owner_are_never_changed_through_a_link_at_the_end)
{
    world_write(&world, "victim", "x");
    chmod(world_path(&world, "victim"), 0600);
    world_sync(&world, DOC("File", "f", "path: /f, content: x, mode: \"0666\""));
    unlink(world_path(&world, "f"));
    ck_assert_int_eq(symlink("victim", world_path(&world, "f")), 0);
    world_sync(&world, DOC("File", "f", "path: /f, content: x, mode: \"0666\""));
    ck_assert_uint_eq(world_mode(&world, "victim"), 0600);
    struct stat st;
    ck_assert_int_eq(lstat(world_path(&world, "f"), &st), 0);
    ck_assert(S_ISREG(st.st_mode));
}
END_TEST

START_TEST(a_hard_link_is_not_opened_up_to_others)
{
    world_write(&world, "victim", "x");
    chmod(world_path(&world, "victim"), 0600);
    ck_assert_int_eq(link(world_path(&world, "victim"), world_path(&world, "f")), 0);
    plan(DOC("File", "f", "path: /f, content: x, mode: \"0666\""));
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_BLOCKED);
    ck_assert_uint_eq(world_mode(&world, "victim"), 0600);
}
END_TEST

START_TEST(a_hard_link_made_after_the_plan_is_stale)
{
    world_sync(&world, DOC("File", "f", "path: /f, content: x, mode: \"0600\""));
    plan(DOC("File", "f", "path: /f, content: x, mode: \"0666\""));
    ck_assert_int_eq(link(world_path(&world, "f"), world_path(&world, "other")), 0);
    world_apply(&world);
    ck_assert_int_ne(world_result(&world, "f")->result, KILTER_RESULT_DONE);
    ck_assert_uint_eq(world_mode(&world, "other"), 0600);
}
END_TEST

START_TEST(a_forced_write_parts_hard_links_and_leaves_the_other_alone)
{
    world_write(&world, "victim", "x");
    ck_assert_int_eq(link(world_path(&world, "victim"), world_path(&world, "f")), 0);
    world_sync(&world, "apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: f, annotations: "
                       "{kilter.dev/force: enabled}}\nspec: {path: /f, content: y}\n");
    ck_assert_str_eq(world_read(&world, "f"), "y");
    ck_assert_str_eq(world_read(&world, "victim"), "x");
}
END_TEST

START_TEST(names_that_climb_or_deceive_are_refused)
{
    static const char *const bad[] = { "/../x", "/a/../../x", "/a/./b", "/a//b",  "a",         "/",
                                       "/a/",   "",           "/a\nb",  "/a\x7f", "/\xff\xfe", "/.kilter-tmp.evil",
                                       "/..",   NULL };
    for (size_t i = 0; bad[i]; i++)
        ck_assert_msg(kilter_fs_check_path(kilter_str_c(bad[i]), NULL) == KILTER_E_INVALID, "%s", bad[i]);
    ck_assert_int_eq(kilter_fs_check_path(kilter_str_n("/a\0b", 4), NULL), KILTER_E_INVALID);
    ck_assert_int_eq(kilter_fs_check_path(KILTER_STR("/a/..b/.c"), NULL), KILTER_OK);
}
END_TEST

START_TEST(a_change_whose_document_was_tampered_with_does_not_climb)
{
    plan(in_d);
    struct kilter_value *data = kilter_value_copy(world.arena, world.changes[0].private_data);
    kilter_set(world.arena, data, "path", kilter_string_c(world.arena, "/../outside/f"));
    world.changes[0].private_data = data;
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_TERMINAL);
    ck_assert(!outside_has("f"));
}
END_TEST

START_TEST(a_pipe_in_place_of_a_file_blocks_and_nothing_hangs)
{
    ck_assert_int_eq(mkfifo(world_path(&world, "f"), 0644), 0);
    plan(DOC("File", "f", "path: /f, content: x"));
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_BLOCKED);
    ck_assert(world_there(&world, "f"));
}
END_TEST

START_TEST(a_directory_that_everybody_may_change_is_no_place_for_files)
{
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0777), 0);
    chmod(world_path(&world, "d"), 0777);
    plan(in_d);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_BLOCKED);
    chmod(world_path(&world, "d"), 01777);
    plan(in_d);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_DONE);
}
END_TEST

START_TEST(a_foreign_owner_on_the_way_is_trusted_with_his_own_files_only)
{
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0755), 0);
    ck_assert_int_eq(chown(world_path(&world, "d"), 1234, 1234), 0);
    plan(in_d);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_BLOCKED);
    plan(DOC("File", "f", "path: /d/f, content: x, owner: \"1234\""));
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_DONE);
}
END_TEST

START_TEST(a_file_that_its_old_owner_may_hold_open_becomes_a_new_one)
{
    if (geteuid() != 0)
        return;
    struct stat before, after;
    world_write(&world, "f", "x");
    ck_assert_int_eq(chown(world_path(&world, "f"), 1234, 1234), 0);
    ck_assert_int_eq(stat(world_path(&world, "f"), &before), 0);
    world_sync(&world, DOC("File", "f", "path: /f, content: x, owner: root, group: root"));
    ck_assert_int_eq(stat(world_path(&world, "f"), &after), 0);
    ck_assert_uint_eq(after.st_uid, 0);
    ck_assert_uint_ne(after.st_ino, before.st_ino);
}
END_TEST

static void write_attackers(void)
{
    world_write(&world, "f", "attacker's");
}

static void replace_with_attackers(void)
{
    ck_assert_int_eq(unlink(world_path(&world, "f")), 0);
    world_write(&world, "f", "attacker's");
}

START_TEST(a_file_changed_right_before_the_rename_is_put_back_as_it_is)
{
    static void (*const acts[])(void) = { write_attackers, replace_with_attackers };
    world_sync(&world, DOC("File", "f", "path: /f, content: x"));
    plan(DOC("File", "f", "path: /f, content: y"));
    syscalls_before("renameat2", acts[_i]);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_STALE);
    ck_assert_str_eq(world_read(&world, "f"), "attacker's");
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_file_changed_right_before_its_removal_is_kept)
{
    world_sync(&world, DOC("File", "f", "path: /f, content: x"));
    plan("");
    syscalls_before("renameat", replace_with_attackers);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_STALE);
    ck_assert_str_eq(world_read(&world, "f"), "attacker's");
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_file_that_appears_right_before_the_rename_stays)
{
    plan(DOC("File", "f", "path: /f, content: y"));
    syscalls_before("renameat2", write_attackers);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_STALE);
    ck_assert_str_eq(world_read(&world, "f"), "attacker's");
}
END_TEST

static void swap_directory(void)
{
    ck_assert_int_eq(rename(world_path(&world, "d"), world_path(&world, "moved")), 0);
    ck_assert_int_eq(symlink("../outside", world_path(&world, "d")), 0);
}

START_TEST(a_parent_swapped_while_files_are_written_leads_nowhere_else)
{
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0755), 0);
    plan(in_d);
    syscalls_before("fchmod", swap_directory);
    world_apply(&world);
    ck_assert(!outside_has("f"));
    ck_assert_str_eq(world_read(&world, "moved/f"), "x");
}
END_TEST

static void look_at_the_temporary(void)
{
    struct stat st;
    char *found = NULL;
    char command[160];
    snprintf(command, sizeof command, "ls -d %s/.kilter-tmp.*", world.root);
    FILE *list = popen(command, "r");
    char line[256] = "";
    found = fgets(line, sizeof line, list);
    pclose(list);
    ck_assert_ptr_nonnull(found);
    line[strcspn(line, "\n")] = '\0';
    ck_assert_int_eq(stat(line, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
}

START_TEST(no_one_else_can_read_what_is_being_written)
{
    plan(DOC("File", "f", "path: /f, content: x, mode: \"0644\""));
    umask(0);
    syscalls_before("fchmod", look_at_the_temporary);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_DONE);
}
END_TEST

static bool set_immutable(const char *path, bool on)
{
    int flags = 0, fd = open(world_path(&world, path), O_RDONLY);
    bool done = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
    flags = on ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
    done = done && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
    close(fd);
    return done;
}

START_TEST(an_immutable_file_is_named_as_such_and_stays_so)
{
    world_write(&world, "f", "x");
    if (!set_immutable("f", true))
        return;
    plan(DOC("File", "f", "path: /f, content: y"));
    set_immutable("f", false);
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_BLOCKED);
    ck_assert_ptr_nonnull(memmem(world.changes[0].reason.ptr, world.changes[0].reason.len, "immutable", 9));
}
END_TEST

START_TEST(an_immutable_directory_is_named_by_the_apply)
{
    ck_assert_int_eq(mkdir(world_path(&world, "d"), 0755), 0);
    plan(in_d);
    if (!set_immutable("d", true))
        return;
    world_apply(&world);
    set_immutable("d", false);
    ck_assert_int_eq(world_result(&world, "f")->result, KILTER_RESULT_BLOCKED);
    struct kilter_str text = world_result(&world, "f")->message;
    ck_assert_ptr_nonnull(memmem(text.ptr, text.len, "immutable", 9));
}
END_TEST

TCase *file_attacks_case(void)
{
    TCase *tests = tcase_create("file-attacks");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_link_in_a_parent_is_not_followed_by_the_plan);
    tcase_add_test(tests, a_parent_swapped_for_a_link_after_the_plan_is_not_followed);
    tcase_add_test(tests, an_absolute_link_in_a_parent_does_not_lead_out);
    tcase_add_test(tests, mode_and_owner_are_never_changed_through_a_link_at_the_end);
    tcase_add_test(tests, a_hard_link_is_not_opened_up_to_others);
    tcase_add_test(tests, a_hard_link_made_after_the_plan_is_stale);
    tcase_add_test(tests, a_forced_write_parts_hard_links_and_leaves_the_other_alone);
    tcase_add_test(tests, names_that_climb_or_deceive_are_refused);
    tcase_add_test(tests, a_change_whose_document_was_tampered_with_does_not_climb);
    tcase_add_test(tests, a_pipe_in_place_of_a_file_blocks_and_nothing_hangs);
    tcase_add_test(tests, a_directory_that_everybody_may_change_is_no_place_for_files);
    tcase_add_test(tests, a_foreign_owner_on_the_way_is_trusted_with_his_own_files_only);
    tcase_add_test(tests, a_file_that_its_old_owner_may_hold_open_becomes_a_new_one);
    tcase_add_loop_test(tests, a_file_changed_right_before_the_rename_is_put_back_as_it_is, 0, 2);
    tcase_add_test(tests, a_file_changed_right_before_its_removal_is_kept);
    tcase_add_test(tests, a_file_that_appears_right_before_the_rename_stays);
    tcase_add_test(tests, a_parent_swapped_while_files_are_written_leads_nowhere_else);
    tcase_add_test(tests, no_one_else_can_read_what_is_being_written);
    tcase_add_test(tests, an_immutable_file_is_named_as_such_and_stays_so);
    tcase_add_test(tests, an_immutable_directory_is_named_by_the_apply);
    return tests;
}
