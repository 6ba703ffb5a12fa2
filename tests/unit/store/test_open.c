/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void check_mode(const char *suffix)
{
    char path[160];
    struct stat st;
    snprintf(path, sizeof(path), "%s%s", world.path, suffix);
    ck_assert_msg(stat(path, &st) == 0, "%s is not there", path);
    ck_assert_msg((st.st_mode & 0777) == 0600, "%s has mode %o", path, st.st_mode & 0777);
}

START_TEST(a_new_store_is_made_for_its_owner_alone)
{
    umask(0);
    world_open();
    const struct kl_store_info *info = kl_store_info(world.store);
    ck_assert(info->created);
    ck_assert(!info->unclean);
    ck_assert_str_eq(info->installation, "acme");
    ck_assert_uint_eq(strlen(info->lineage), 36);
    ck_assert_ptr_null(info->backup);
    add_app("shop");
    check_mode("");
    check_mode("-wal");
    check_mode("-shm");
    check_mode(".lock");
}
END_TEST

START_TEST(a_store_keeps_lineage_and_installation)
{
    world_open();
    char *lineage = strdup(kl_store_info(world.store)->lineage);
    world_close();
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    options.installation = S("another");
    world_open_with(&options);
    const struct kl_store_info *info = kl_store_info(world.store);
    ck_assert(!info->created);
    ck_assert(!info->unclean);
    ck_assert_str_eq(info->lineage, lineage);
    ck_assert_str_eq(info->installation, "acme");
    free(lineage);
}
END_TEST

START_TEST(access_for_others_is_taken_away)
{
    world_open();
    world_close();
    ck_assert_int_eq(chmod(world.path, 0644), 0);
    world_open();
    check_mode("");
}
END_TEST

START_TEST(a_second_opener_is_refused_with_the_pid)
{
    world_open();
    struct kilter_error err = world_refusal();
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld ", (long)getpid());
    ck_assert_int_eq(err.code, KILTER_E_CONFLICT);
    ck_assert_msg(strstr(err.message, pid) != NULL, "%s", err.message);
    ck_assert_ptr_nonnull(strstr(err.message, world.path));
    add_app("still works");
}
END_TEST

START_TEST(a_link_to_the_store_leads_to_the_same_lock)
{
    char path[sizeof(world.path)];
    memcpy(path, world.path, sizeof(path));
    world_open();
    snprintf(world.path, sizeof(world.path), "%s/link.db", world.dir);
    ck_assert_int_eq(symlink(path, world.path), 0);
    ck_assert_int_eq(world_refusal().code, KILTER_E_CONFLICT);
}
END_TEST

START_TEST(a_store_that_was_closed_can_be_opened_by_another_process)
{
    world_open();
    add_app("shop");
    world_close();
    pid_t pid = fork();
    if (pid == 0) {
        world_open();
        struct kl_rows *rows = ASK(kl_store_load);
        _exit(rows->app_count == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    world_open();
    ck_assert(kl_store_info(world.store)->unclean);
}
END_TEST

/* A damaged store is refused as such, and not a byte of it changes. */
static void check_damaged(const char *word)
{
    size_t before_len, after_len;
    char *before = read_file(world.path, &before_len);
    struct kilter_error err = world_refusal();
    ck_assert_int_eq(err.code, KILTER_E_IO);
    ck_assert_int_eq(err.sys_errno, EUCLEAN);
    ck_assert_msg(strstr(err.message, "is damaged") != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.message, word) != NULL, "%s", err.message);
    char *after = read_file(world.path, &after_len);
    ck_assert_uint_eq(after_len, before_len);
    ck_assert_int_eq(memcmp(after, before, before_len), 0);
    free(before);
    free(after);
}

START_TEST(an_empty_file_is_no_new_store)
{
    write_file(world.path, "", 0);
    check_damaged("empty");
}
END_TEST

START_TEST(a_file_of_something_else_is_refused)
{
    char text[4096];
    memset(text, 'x', sizeof(text));
    write_file(world.path, text, sizeof(text));
    check_damaged("header");
}
END_TEST

START_TEST(another_programs_database_is_refused)
{
    run_sql(world.path, "CREATE TABLE recipes (name TEXT)");
    check_damaged("header");
}
END_TEST

START_TEST(a_store_that_was_cut_short_is_refused)
{
    world_open();
    add_app("shop");
    world_close();
    struct stat st;
    ck_assert_int_eq(stat(world.path, &st), 0);
    ck_assert_int_eq(truncate(world.path, st.st_size / 2 / 4096 * 4096), 0);
    check_damaged("cut short");
}
END_TEST

START_TEST(a_store_with_overwritten_pages_is_refused)
{
    world_open();
    for (int i = 0; i < 20; i++)
        add_event("filler", 0, 0);
    world_close();
    size_t len;
    char *bytes = read_file(world.path, &len);
    memset(bytes + len / 3, 0x5a, len / 3);
    write_file(world.path, bytes, len);
    free(bytes);
    check_damaged("");
}
END_TEST

START_TEST(a_log_without_its_store_is_refused)
{
    char wal[160];
    snprintf(wal, sizeof(wal), "%s-wal", world.path);
    write_file(wal, "log", 3);
    struct kilter_error err = world_refusal();
    ck_assert_int_eq(err.sys_errno, EUCLEAN);
    ck_assert_int_ne(access(world.path, F_OK), 0);
}
END_TEST

START_TEST(a_directory_that_is_not_there_is_named)
{
    snprintf(world.path, sizeof(world.path), "%s/no/such/state.db", world.dir);
    struct kilter_error err = world_refusal();
    ck_assert_int_eq(err.code, KILTER_E_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(err.message, "no/such"));
}
END_TEST

START_TEST(what_a_half_made_store_left_does_not_matter)
{
    char path[160];
    snprintf(path, sizeof(path), "%s.new", world.path);
    write_file(path, "half", 4);
    world_open();
    ck_assert(kl_store_info(world.store)->created);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(ids_are_not_given_again_after_a_restart)
{
    world_open();
    int64_t first = add_app("one");
    int64_t second = add_app("two");
    ck_assert_int_gt(second, first);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_delete_app(txn, second);
    commit_ok(txn);
    world_close();
    world_open();
    ck_assert_int_gt(kl_store_new_id(world.store), second);
}
END_TEST

Suite *suite_open(void)
{
    Suite *suite = suite_create("store: opening");
    TCase *tc = tcase_create("open");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, a_new_store_is_made_for_its_owner_alone);
    tcase_add_test(tc, a_store_keeps_lineage_and_installation);
    tcase_add_test(tc, access_for_others_is_taken_away);
    tcase_add_test(tc, a_second_opener_is_refused_with_the_pid);
    tcase_add_test(tc, a_link_to_the_store_leads_to_the_same_lock);
    tcase_add_test(tc, a_store_that_was_closed_can_be_opened_by_another_process);
    tcase_add_test(tc, an_empty_file_is_no_new_store);
    tcase_add_test(tc, a_file_of_something_else_is_refused);
    tcase_add_test(tc, another_programs_database_is_refused);
    tcase_add_test(tc, a_store_that_was_cut_short_is_refused);
    tcase_add_test(tc, a_store_with_overwritten_pages_is_refused);
    tcase_add_test(tc, a_log_without_its_store_is_refused);
    tcase_add_test(tc, a_directory_that_is_not_there_is_named);
    tcase_add_test(tc, what_a_half_made_store_left_does_not_matter);
    tcase_add_test(tc, ids_are_not_given_again_after_a_restart);
    suite_add_tcase(suite, tc);
    return suite;
}
