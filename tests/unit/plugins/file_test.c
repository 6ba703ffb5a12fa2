/* SPDX-License-Identifier: Apache-2.0 */
/* The file target's everyday: create, keep, put right, remove. */
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct world world;

static void begin(void)
{
    world_begin(&world);
}

static void end(void)
{
    syscalls_kernel(NULL);
    world_end(&world);
}

#define FILE_DOC(name, path, rest)                                                                                 \
    "apiVersion: file.kilter.dev/v1\nkind: File\nmetadata: {name: " name "}\nspec: {path: " path ", " rest         \
    "}\n---\n"
#define DIRECTORY_DOC(name, path, rest)                                                                            \
    "apiVersion: file.kilter.dev/v1\nkind: Directory\nmetadata: {name: " name "}\nspec: {path: " path rest         \
    "}\n---\n"
#define LINK_DOC(name, path, target)                                                                               \
    "apiVersion: file.kilter.dev/v1\nkind: Symlink\nmetadata: {name: " name "}\nspec: {path: " path                \
    ", target: " target "}\n---\n"

static const char three[] = FILE_DOC("motd", "/etc/motd", "content: hello, mode: \"0640\"")
    DIRECTORY_DOC("conf", "/etc/conf.d", ", mode: \"0750\"") LINK_DOC("link", "/etc/link", "motd");

START_TEST(what_is_wanted_is_created_with_its_mode_and_its_parents)
{
    world_sync(&world, three);
    ck_assert_uint_eq(world.change_count, 3);
    ck_assert_int_eq(world_change(&world, "motd")->verb, KILTER_VERB_CREATE);
    ck_assert_uint_eq(world_change(&world, "motd")->flags, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(world_result(&world, "motd")->result, KILTER_RESULT_DONE);
    ck_assert_str_eq(world_read(&world, "etc/motd"), "hello");
    ck_assert_uint_eq(world_mode(&world, "etc/motd"), 0640);
    ck_assert_uint_eq(world_mode(&world, "etc/conf.d"), 0750);
    ck_assert_uint_eq(world_mode(&world, "etc"), 0755);
    char target[16] = "";
    ck_assert_int_eq(readlink(world_path(&world, "etc/link"), target, sizeof target - 1), 4);
    ck_assert_str_eq(target, "motd");
    ck_assert_uint_eq(world_leftovers(&world), 0);
}
END_TEST

START_TEST(a_second_plan_finds_nothing_to_do)
{
    world_sync(&world, three);
    world_forget(&world);
    world_want(&world, three);
    ck_assert_uint_eq(world_plan(&world, false), 0);
    ck_assert_uint_eq(world.change_count, 3);
    ck_assert_uint_eq(world_plan(&world, true), 0);
}
END_TEST

START_TEST(applying_a_plan_twice_is_harmless)
{
    world_forget(&world);
    world_want(&world, three);
    world_plan(&world, false);
    world_apply(&world);
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "motd")->result, KILTER_RESULT_UNCHANGED);
    ck_assert_int_eq(world_result(&world, "conf")->result, KILTER_RESULT_UNCHANGED);
    ck_assert_int_eq(world_result(&world, "link")->result, KILTER_RESULT_UNCHANGED);
}
END_TEST

START_TEST(changed_content_is_drift_and_is_put_back)
{
    world_sync(&world, three);
    world_write(&world, "etc/motd", "hacked");
    world_forget(&world);
    world_want(&world, three);
    ck_assert_uint_eq(world_plan(&world, false), 1);
    const struct kilter_change *change = world_change(&world, "motd");
    ck_assert_int_eq(change->verb, KILTER_VERB_UPDATE);
    ck_assert_uint_eq(change->flags, KILTER_CHANGE_DRIFTED);
    ck_assert(kilter_str_eq_c(change->reason, "content differs from what was applied"));
    ck_assert(kilter_str_eq_c(kilter_get_text(change->before, "content"), "hacked"));
    ck_assert(kilter_str_eq_c(kilter_get_text(change->after, "content"), "hello"));
    world_apply(&world);
    ck_assert_str_eq(world_read(&world, "etc/motd"), "hello");
    ck_assert_uint_eq(world_mode(&world, "etc/motd"), 0640);
}
END_TEST

START_TEST(changed_mode_is_drift_and_the_same_file_gets_it_back)
{
    struct stat before, after;
    world_sync(&world, three);
    ck_assert_int_eq(stat(world_path(&world, "etc/motd"), &before), 0);
    chmod(world_path(&world, "etc/motd"), 0666);
    world_sync(&world, three);
    ck_assert_int_eq(world_change(&world, "motd")->verb, KILTER_VERB_UPDATE);
    ck_assert_uint_eq(world_change(&world, "motd")->flags, KILTER_CHANGE_DRIFTED);
    ck_assert_int_eq(stat(world_path(&world, "etc/motd"), &after), 0);
    ck_assert_uint_eq(after.st_mode & 07777, 0640);
    ck_assert_uint_eq(after.st_ino, before.st_ino);
}
END_TEST

START_TEST(changed_owner_is_drift)
{
    if (geteuid() != 0)
        return;
    struct stat st;
    world_sync(&world, three);
    ck_assert_int_eq(chown(world_path(&world, "etc/motd"), 12, 13), 0);
    world_sync(&world, three);
    ck_assert_uint_eq(world_change(&world, "motd")->flags, KILTER_CHANGE_DRIFTED);
    ck_assert_int_eq(stat(world_path(&world, "etc/motd"), &st), 0);
    ck_assert_uint_eq(st.st_uid, 0);
    ck_assert_uint_eq(st.st_gid, 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
}
END_TEST

START_TEST(a_removed_file_comes_back)
{
    world_sync(&world, three);
    unlink(world_path(&world, "etc/motd"));
    world_sync(&world, three);
    ck_assert_int_eq(world_change(&world, "motd")->verb, KILTER_VERB_CREATE);
    ck_assert_uint_eq(world_change(&world, "motd")->flags, KILTER_CHANGE_DRIFTED);
    ck_assert_str_eq(world_read(&world, "etc/motd"), "hello");
}
END_TEST

START_TEST(a_changed_link_is_drift)
{
    world_sync(&world, three);
    unlink(world_path(&world, "etc/link"));
    ck_assert_int_eq(symlink("/etc/shadow", world_path(&world, "etc/link")), 0);
    world_sync(&world, three);
    ck_assert_int_eq(world_change(&world, "link")->verb, KILTER_VERB_UPDATE);
    ck_assert_uint_eq(world_change(&world, "link")->flags, KILTER_CHANGE_DRIFTED);
    char target[16] = "";
    ck_assert_int_eq(readlink(world_path(&world, "etc/link"), target, sizeof target - 1), 4);
}
END_TEST

START_TEST(touching_a_file_is_no_drift)
{
    world_sync(&world, three);
    struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
    ck_assert_int_eq(utimensat(AT_FDCWD, world_path(&world, "etc/motd"), times, 0), 0);
    world_forget(&world);
    world_want(&world, three);
    ck_assert_uint_eq(world_plan(&world, false), 0);
}
END_TEST

START_TEST(content_of_the_same_size_with_the_old_mtime_is_found_by_its_ctime)
{
    struct stat st;
    world_sync(&world, three);
    ck_assert_int_eq(stat(world_path(&world, "etc/motd"), &st), 0);
    int fd = open(world_path(&world, "etc/motd"), O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "HELLO", 5, 0), 5);
    struct timespec times[2] = { st.st_atim, st.st_mtim };
    ck_assert_int_eq(futimens(fd, times), 0);
    close(fd);
    world_forget(&world);
    world_want(&world, three);
    ck_assert_uint_eq(world_plan(&world, false), 1);
}
END_TEST

START_TEST(on_a_kernel_with_coarse_stamps_a_fresh_file_is_read_again_and_then_known)
{
    syscalls_kernel("5.4.0-test");
    world_reopen(&world, NULL);
    world_sync(&world, three);
    ck_assert_ptr_nonnull(strstr(world_row_of(&world, "motd")->attributes, "\"settled\":true"));
    world_forget(&world);
    world_want(&world, three);
    ck_assert_uint_eq(world_plan(&world, false), 0);
}
END_TEST

/* Gives the record the stamp of the file as it is now, as if both had happened within one tick. */
static void record_stamp(struct world_row *row, const char *path, bool settled)
{
    struct kilter_parse_options options = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_value *map, *stamp;
    struct kilter_buf json = KILTER_BUF_INIT(65536);
    struct stat st;
    ck_assert_int_eq(stat(world_path(&world, path), &st), 0);
    ck_assert_int_eq(kilter_json_read(world.arena, kilter_str_c(row->attributes), &options, &map, NULL), KILTER_OK);
    stamp = kilter_get(map, "stamp");
    kilter_set(world.arena, stamp, "ino", kilter_uint(world.arena, st.st_ino));
    int64_t mtime = st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    int64_t changed = st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    kilter_set(world.arena, stamp, "mtimeNs", kilter_int(world.arena, mtime));
    kilter_set(world.arena, stamp, "ctimeNs", kilter_int(world.arena, changed));
    kilter_set(world.arena, stamp, "settled", kilter_bool(world.arena, settled));
    ck_assert_int_eq(kilter_json_write(&json, map, KILTER_SCHEMA_JSON, 0), KILTER_OK);
    free(row->attributes);
    row->attributes = strdup(json.ptr);
    kilter_buf_release(&json);
}

START_TEST(a_stamp_that_a_later_change_may_share_is_not_trusted)
{
    world_sync(&world, three);
    world_write(&world, "etc/motd", "HELLO");
    record_stamp(world_row_of(&world, "motd"), "etc/motd", false);
    world_forget(&world);
    world_want(&world, three);
    ck_assert_uint_eq(world_plan(&world, false), 1);
}
END_TEST

START_TEST(a_thorough_plan_trusts_no_stamp)
{
    world_sync(&world, three);
    world_write(&world, "etc/motd", "HELLO");
    record_stamp(world_row_of(&world, "motd"), "etc/motd", true);
    world_forget(&world);
    world_want(&world, three);
    ck_assert_uint_eq(world_plan(&world, false), 0);
    ck_assert_uint_eq(world_plan(&world, true), 1);
}
END_TEST

START_TEST(a_commit_that_changes_a_drifted_file_says_both)
{
    world_sync(&world, three);
    world_write(&world, "etc/motd", "hotfix");
    world_forget(&world);
    world_want(&world, FILE_DOC("motd", "/etc/motd", "content: bye, mode: \"0640\""));
    world_plan(&world, false);
    ck_assert_int_eq(world_change(&world, "motd")->verb, KILTER_VERB_UPDATE);
    ck_assert_uint_eq(world_change(&world, "motd")->flags, KILTER_CHANGE_WANTED | KILTER_CHANGE_DRIFTED);
}
END_TEST

START_TEST(a_hotfix_that_git_caught_up_with_is_only_recorded)
{
    world_sync(&world, three);
    world_write(&world, "etc/motd", "hotfix");
    const char *caught_up = FILE_DOC("motd", "/etc/motd", "content: hotfix, mode: \"0640\"");
    world_sync(&world, caught_up);
    ck_assert_int_eq(world_change(&world, "motd")->verb, KILTER_VERB_ADOPT);
    ck_assert_uint_eq(world_change(&world, "motd")->flags, KILTER_CHANGE_WANTED);
    world_forget(&world);
    world_want(&world, caught_up);
    ck_assert_uint_eq(world_plan(&world, false), 0);
}
END_TEST

START_TEST(what_left_git_is_pruned_from_the_inside_out_with_made_parents)
{
    world_sync(&world, DIRECTORY_DOC("d", "/srv/d", "") FILE_DOC("f", "/srv/d/deep/er/f", "content: x"));
    world_sync(&world, "");
    ck_assert_int_eq(world_change(&world, "f")->verb, KILTER_VERB_DELETE);
    ck_assert_int_eq(world_result(&world, "d")->result, KILTER_RESULT_DONE);
    ck_assert(!world_there(&world, "srv"));
    ck_assert_uint_eq(world.row_count, 0);
}
END_TEST

START_TEST(a_directory_with_other_files_is_kept_and_said_so)
{
    world_sync(&world, DIRECTORY_DOC("d", "/d", "") FILE_DOC("f", "/d/f", "content: x"));
    world_write(&world, "d/mine", "precious");
    world_sync(&world, "");
    ck_assert(world_there(&world, "d/mine"));
    ck_assert(!world_there(&world, "d/f"));
    ck_assert_int_eq(world_result(&world, "d")->result, KILTER_RESULT_DONE);
    ck_assert(
        memmem(world_result(&world, "d")->message.ptr, world_result(&world, "d")->message.len, "not empty", 9));
}
END_TEST

START_TEST(pruning_a_modified_file_is_a_conflict)
{
    world_sync(&world, three);
    world_write(&world, "etc/motd", "edited");
    world_forget(&world);
    world_want(&world, "");
    world_plan(&world, false);
    ck_assert_int_eq(world_change(&world, "motd")->verb, KILTER_VERB_DELETE);
    ck_assert_uint_eq(world_change(&world, "motd")->flags, KILTER_CHANGE_WANTED | KILTER_CHANGE_DRIFTED);
}
END_TEST

START_TEST(what_is_gone_already_is_only_forgotten)
{
    world_sync(&world, three);
    unlink(world_path(&world, "etc/motd"));
    world_sync(&world, "");
    ck_assert_int_eq(world_change(&world, "motd")->verb, KILTER_VERB_FORGET);
    ck_assert_uint_eq(world.row_count, 0);
    ck_assert(!world_there(&world, "etc"));
}
END_TEST

START_TEST(destroy_takes_everything_recorded)
{
    world_sync(&world, three);
    world_forget(&world);
    ck_assert_uint_eq(world_destroy(&world), 3);
    world_apply(&world);
    ck_assert(!world_there(&world, "etc"));
}
END_TEST

START_TEST(contents_come_in_text_base64_and_by_handle)
{
    world_want(&world, FILE_DOC("b", "/b", "contentBase64: AAEC/w==") FILE_DOC("e", "/e", "content: \"\""));
    world_want_handle(&world, "h", "/h", "by handle\n");
    world_plan(&world, false);
    world_apply(&world);
    struct stat st;
    ck_assert_int_eq(stat(world_path(&world, "b"), &st), 0);
    ck_assert_int_eq(st.st_size, 4);
    ck_assert_int_eq(stat(world_path(&world, "e"), &st), 0);
    ck_assert_int_eq(st.st_size, 0);
    ck_assert_str_eq(world_read(&world, "h"), "by handle\n");
    ck_assert(kilter_str_eq_c(kilter_get_text(world_change(&world, "h")->after, "content"), "by handle\n"));
}
END_TEST

START_TEST(a_change_that_the_host_moved_away_from_is_stale)
{
    world_sync(&world, three);
    world_forget(&world);
    world_want(&world, FILE_DOC("motd", "/etc/motd", "content: bye"));
    world_plan(&world, false);
    world_write(&world, "etc/motd", "meanwhile");
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "motd")->result, KILTER_RESULT_STALE);
    ck_assert_str_eq(world_read(&world, "etc/motd"), "meanwhile");
}
END_TEST

START_TEST(a_file_that_appeared_meanwhile_is_not_overwritten)
{
    world_want(&world, three);
    world_plan(&world, false);
    ck_assert_int_eq(mkdir(world_path(&world, "etc"), 0755), 0);
    world_write(&world, "etc/motd", "somebody's");
    world_apply(&world);
    ck_assert_int_eq(world_result(&world, "motd")->result, KILTER_RESULT_STALE);
    ck_assert_str_eq(world_read(&world, "etc/motd"), "somebody's");
}
END_TEST

struct seen {
    enum kilter_health health[8];
    bool gone[8];
};

static int take_health(struct kilter_state_sink *sink, size_t index, enum kilter_health health,
                       enum kilter_result_class result, struct kilter_str message)
{
    (void)result;
    (void)message;
    ((struct seen *)sink->host_data)->health[index] = health;
    return KILTER_OK;
}

static int take_attributes(struct kilter_state_sink *sink, size_t index, const struct kilter_value *attributes,
                           uint32_t version)
{
    (void)version;
    ((struct seen *)sink->host_data)->gone[index] = attributes == NULL;
    return KILTER_OK;
}

START_TEST(health_tells_healthy_degraded_and_missing)
{
    struct seen seen;
    struct kilter_state_sink sink = { sizeof sink, take_health, take_attributes, NULL, &seen };
    struct kilter_state_request request = { .size = sizeof request, .owner = KILTER_STR("test/app") };
    world_sync(&world, three);
    world_write(&world, "etc/motd", "other");
    unlink(world_path(&world, "etc/link"));
    request.records = world_records(&world, &request.record_count);
    ck_assert_int_eq(world.plugin->target->health(&world.call, world.handle, &request, &sink), KILTER_OK);
    ck_assert_int_eq(world.plugin->target->refresh(&world.call, world.handle, &request, &sink), KILTER_OK);
    for (size_t i = 0; i < request.record_count; i++) {
        bool motd = kilter_str_eq_c(request.records[i].id.name, "motd");
        bool link = kilter_str_eq_c(request.records[i].id.name, "link");
        ck_assert_int_eq(seen.health[i], motd ? KILTER_DEGRADED : link ? KILTER_MISSING : KILTER_HEALTHY);
        ck_assert(seen.gone[i] == link);
    }
}
END_TEST

START_TEST(import_answers_the_attributes_of_what_is_there)
{
    const struct kilter_value *attributes;
    uint32_t version;
    world_write(&world, "there", "x");
    world_want(&world, FILE_DOC("there", "/there", "content: x") FILE_DOC("not", "/not", "content: x"));
    const struct kilter_target *target = world.plugin->target;
    ck_assert_int_eq(target->import(&world.call, world.handle, &world.resources[0], &attributes, &version),
                     KILTER_OK);
    ck_assert(kilter_str_eq_c(kilter_get_text(attributes, "path"), "/there"));
    ck_assert_uint_eq(version, 1);
    ck_assert_int_eq(target->import(&world.call, world.handle, &world.resources[1], &attributes, &version),
                     KILTER_E_NOT_FOUND);
}
END_TEST

TCase *file_case(void)
{
    TCase *tests = tcase_create("file");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, what_is_wanted_is_created_with_its_mode_and_its_parents);
    tcase_add_test(tests, a_second_plan_finds_nothing_to_do);
    tcase_add_test(tests, applying_a_plan_twice_is_harmless);
    tcase_add_test(tests, changed_content_is_drift_and_is_put_back);
    tcase_add_test(tests, changed_mode_is_drift_and_the_same_file_gets_it_back);
    tcase_add_test(tests, changed_owner_is_drift);
    tcase_add_test(tests, a_removed_file_comes_back);
    tcase_add_test(tests, a_changed_link_is_drift);
    tcase_add_test(tests, touching_a_file_is_no_drift);
    tcase_add_test(tests, content_of_the_same_size_with_the_old_mtime_is_found_by_its_ctime);
    tcase_add_test(tests, on_a_kernel_with_coarse_stamps_a_fresh_file_is_read_again_and_then_known);
    tcase_add_test(tests, a_stamp_that_a_later_change_may_share_is_not_trusted);
    tcase_add_test(tests, a_thorough_plan_trusts_no_stamp);
    tcase_add_test(tests, a_commit_that_changes_a_drifted_file_says_both);
    tcase_add_test(tests, a_hotfix_that_git_caught_up_with_is_only_recorded);
    tcase_add_test(tests, what_left_git_is_pruned_from_the_inside_out_with_made_parents);
    tcase_add_test(tests, a_directory_with_other_files_is_kept_and_said_so);
    tcase_add_test(tests, pruning_a_modified_file_is_a_conflict);
    tcase_add_test(tests, what_is_gone_already_is_only_forgotten);
    tcase_add_test(tests, destroy_takes_everything_recorded);
    tcase_add_test(tests, contents_come_in_text_base64_and_by_handle);
    tcase_add_test(tests, a_change_that_the_host_moved_away_from_is_stale);
    tcase_add_test(tests, a_file_that_appeared_meanwhile_is_not_overwritten);
    tcase_add_test(tests, health_tells_healthy_degraded_and_missing);
    tcase_add_test(tests, import_answers_the_attributes_of_what_is_there);
    return tests;
}
