/* SPDX-License-Identifier: Apache-2.0 */
#include "store/faulty_vfs.h"
#include "store/fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static struct kl_txn *txn_with_pair(const char *key, const char *value)
{
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_pair(txn, kilter_str_c(key), kilter_str_c(value));
    return txn;
}

static size_t count_pairs(const char *prefix)
{
    struct kl_rows *rows = ASK(kl_store_list_pairs, kilter_str_c(prefix));
    size_t count = rows->pair_count;
    kl_rows_free(rows);
    return count;
}

START_TEST(answers_come_in_the_order_of_asking)
{
    enum { COUNT = 60 };
    struct answer answers[COUNT] = { 0 };
    world_open();
    for (int i = 0; i < COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%02d", i);
        if (i % 3 == 2)
            kl_store_list_pairs(world.store, S("key-"), answer_query, &answers[i]);
        else
            kl_store_commit(world.store, txn_with_pair(key, "v"), i % 2 ? KL_DURABLE : KL_RELAXED, answer_commit,
                            &answers[i]);
    }
    await(&answers[COUNT - 1]);
    for (int i = 0; i < COUNT; i++) {
        ck_assert(answers[i].there);
        ck_assert_int_eq(answers[i].err.code, 0);
        if (i > 0)
            ck_assert_int_gt(answers[i].order, answers[i - 1].order);
        if (i % 3 == 2)
            ck_assert_uint_eq(answers[i].rows->pair_count, (size_t)(i - i / 3));
        kl_rows_free(answers[i].rows);
    }
}
END_TEST

START_TEST(durable_commits_are_flushed_and_relaxed_ones_are_not)
{
    faulty_vfs_install();
    world_open();
    commit_ok(txn_with_pair("warm", "up"));
    faulty_vfs_take_syncs();
    commit_ok(txn_with_pair("a", "1"));
    ck_assert_uint_eq(faulty_vfs_take_syncs(), 1);
    ck_assert_int_eq(commit(txn_with_pair("b", "1"), KL_RELAXED).code, 0);
    ck_assert_uint_eq(faulty_vfs_take_syncs(), 0);
}
END_TEST

/* Answers of commits that all waited while the disk was busy with the first, so that they make one group. */
static void commit_in_one_group(struct answer *answers, int count, int failure)
{
    struct answer first = { 0 };
    faulty_vfs_hold(true);
    kl_store_commit(world.store, txn_with_pair("first", "1"), KL_DURABLE, answer_commit, &first);
    while (faulty_vfs_take_syncs() == 0)
        usleep(1000);
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%d", i);
        kl_store_commit(world.store, txn_with_pair(key, "1"), i % 2 ? KL_DURABLE : KL_RELAXED, answer_commit,
                        &answers[i]);
    }
    faulty_vfs_fail_one_write(failure);
    faulty_vfs_hold(false);
    await(&answers[count - 1]);
    ck_assert_int_eq(first.err.code, 0);
}

START_TEST(commits_that_wait_share_one_flush)
{
    enum { COUNT = 100 };
    struct answer answers[COUNT] = { 0 };
    faulty_vfs_install();
    world_open();
    commit_ok(txn_with_pair("warm", "up"));
    faulty_vfs_take_syncs();
    commit_in_one_group(answers, COUNT, 0);
    ck_assert_uint_eq(faulty_vfs_take_syncs(), 1);
    ck_assert_uint_eq(count_pairs("key-"), COUNT);
}
END_TEST

START_TEST(a_group_that_cannot_be_committed_is_tried_one_by_one)
{
    enum { COUNT = 10 };
    struct answer answers[COUNT] = { 0 };
    faulty_vfs_install();
    world_open();
    commit_ok(txn_with_pair("warm", "up"));
    faulty_vfs_take_syncs();
    commit_in_one_group(answers, COUNT, SQLITE_FULL);
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(answers[i].err.code == 0, "%d: %s", i, answers[i].err.message);
    ck_assert_uint_eq(count_pairs("key-"), COUNT);
}
END_TEST

START_TEST(one_that_fails_in_a_group_fails_alone)
{
    struct answer answers[5] = { 0 };
    world_open();
    int64_t app = add_app("shop");
    for (int i = 0; i < 5; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%d", i);
        struct kl_txn *txn = txn_with_pair(key, "v");
        if (i == 2)
            kl_txn_rename_app(txn, app + 1000, S("nobody"));
        kl_store_commit(world.store, txn, KL_DURABLE, answer_commit, &answers[i]);
    }
    await(&answers[4]);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(answers[i].err.code, i == 2 ? KILTER_E_NOT_FOUND : 0);
    ck_assert_uint_eq(count_pairs("key-"), 4);
    ck_assert_int_eq(kl_store_fault(world.store, NULL), 0);
}
END_TEST

START_TEST(closing_does_what_was_asked_first)
{
    struct answer answers[50] = { 0 };
    world_open();
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%d", i);
        kl_store_commit(world.store, txn_with_pair(key, "v"), KL_DURABLE, answer_commit, &answers[i]);
    }
    world_close();
    for (int i = 0; i < 50; i++)
        ck_assert(answers[i].there && answers[i].err.code == 0);
    world_open();
    ck_assert(!kl_store_info(world.store)->unclean);
    ck_assert_uint_eq(count_pairs("key-"), 50);
}
END_TEST

static void on_closed(void *data)
{
    *(bool *)data = true;
}

START_TEST(what_comes_after_the_closing_is_cancelled)
{
    struct answer late = { 0 }, question = { 0 };
    bool closed = false;
    world_open();
    struct kl_txn *txn = txn_with_pair("late", "v");
    kl_store_close(world.store, on_closed, &closed);
    kl_store_commit(world.store, txn, KL_DURABLE, answer_commit, &late);
    kl_store_list_pairs(world.store, S(""), answer_query, &question);
    while (!closed)
        uv_run(&world.loop, UV_RUN_ONCE);
    world.store = NULL;
    ck_assert_int_eq(late.err.code, KILTER_E_CANCELLED);
    ck_assert_int_eq(question.err.code, KILTER_E_CANCELLED);
    ck_assert_ptr_null(question.rows);
}
END_TEST

/* --- what a broken disk does --------------------------------------------------------------- */

static void check_fault(int sqlite_code, int number)
{
    world_open();
    commit_ok(txn_with_pair("before", "v"));
    faulty_vfs_fail_writes(sqlite_code);
    struct kilter_error err = commit(txn_with_pair("during", "v"), KL_DURABLE), fault = KILTER_ERROR_INIT;
    ck_assert_int_eq(err.code, KILTER_E_IO);
    ck_assert_int_eq(err.sys_errno, number);
    ck_assert_int_eq(kl_store_fault(world.store, &fault), KILTER_E_IO);
    ck_assert_int_eq(fault.sys_errno, number);
    ck_assert_uint_eq(count_pairs("before"), 1);
    ck_assert_uint_eq(count_pairs("during"), 0);
    faulty_vfs_fail_writes(0);
    commit_ok(txn_with_pair("after", "v"));
    ck_assert_int_eq(kl_store_fault(world.store, NULL), 0);
    world_close();
    world_open();
    ck_assert_uint_eq(count_pairs("before"), 1);
    ck_assert_uint_eq(count_pairs("during"), 0);
    ck_assert_uint_eq(count_pairs("after"), 1);
}

START_TEST(failing_writes_come_back_as_errors_and_end)
{
    static const struct {
        int code, number;
    } faults[] = { { SQLITE_FULL, ENOSPC }, { SQLITE_READONLY, EROFS }, { SQLITE_IOERR_WRITE, EIO } };
    faulty_vfs_install();
    check_fault(faults[_i].code, faults[_i].number);
}
END_TEST

START_TEST(a_flush_that_fails_is_no_commit)
{
    faulty_vfs_install();
    world_open();
    commit_ok(txn_with_pair("before", "v"));
    faulty_vfs_fail_syncs(SQLITE_IOERR_FSYNC);
    ck_assert_int_eq(commit(txn_with_pair("during", "v"), KL_DURABLE).code, KILTER_E_IO);
    faulty_vfs_fail_syncs(0);
    ck_assert_uint_eq(count_pairs("during"), 0);
    commit_ok(txn_with_pair("after", "v"));
}
END_TEST

static void keep(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    struct answer *answer = data;
    answer->there = true;
    answer->err = *err;
    answer->kept = txn;
    kl_txn_keep(txn);
}

START_TEST(a_failed_transaction_can_be_kept_and_committed_later)
{
    struct answer answer = { 0 };
    faulty_vfs_install();
    world_open();
    faulty_vfs_fail_writes(SQLITE_FULL);
    kl_store_commit(world.store, txn_with_pair("key", "v"), KL_DURABLE, keep, &answer);
    await(&answer);
    ck_assert_int_eq(answer.err.sys_errno, ENOSPC);
    faulty_vfs_fail_writes(0);
    commit_ok(answer.kept);
    ck_assert_uint_eq(count_pairs("key"), 1);
}
END_TEST

static void commit_again(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    if (err->code == 0) {
        answer_commit(data, err, txn);
        return;
    }
    faulty_vfs_fail_writes(0);
    kl_store_commit(world.store, txn, KL_DURABLE, commit_again, data);
}

START_TEST(a_failed_transaction_can_be_committed_again_from_its_callback)
{
    struct answer answer = { 0 };
    faulty_vfs_install();
    world_open();
    faulty_vfs_fail_writes(SQLITE_IOERR_WRITE);
    kl_store_commit(world.store, txn_with_pair("key", "v"), KL_DURABLE, commit_again, &answer);
    await(&answer);
    ck_assert_uint_eq(count_pairs("key"), 1);
}
END_TEST

START_TEST(a_kept_transaction_may_outlive_the_store)
{
    struct answer answer = { 0 };
    faulty_vfs_install();
    world_open();
    faulty_vfs_fail_writes(SQLITE_FULL);
    kl_store_commit(world.store, txn_with_pair("key", "v"), KL_DURABLE, keep, &answer);
    await(&answer);
    faulty_vfs_fail_writes(0);
    world_close();
    kl_txn_free(answer.kept);
}
END_TEST

START_TEST(too_much_that_waits_is_refused)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    options.max_queued_bytes = 1 << 20;
    static char large[300 << 10];
    memset(large, 'x', sizeof(large) - 1);
    struct answer answers[40] = { 0 };
    int refused = 0;
    world_open_with(&options);
    for (int i = 0; i < 40; i++)
        kl_store_commit(world.store, txn_with_pair("key", large), KL_DURABLE, answer_commit, &answers[i]);
    for (int i = 0; i < 40; i++) {
        await(&answers[i]);
        ck_assert(answers[i].err.code == 0 || answers[i].err.code == KILTER_E_LIMIT);
        refused += answers[i].err.code == KILTER_E_LIMIT;
    }
    ck_assert_int_gt(refused, 0);
    ck_assert_int_lt(refused, 40);
    commit_ok(txn_with_pair("key", large));
}
END_TEST

/* A file system of its own with little room, seen by this process alone. */
static bool mount_small(const char *dir)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700") == 0;
}

START_TEST(a_full_disk_loses_nothing)
{
    char dir[80];
    snprintf(dir, sizeof(dir), "%s/small", world.dir);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    if (!mount_small(dir)) {
        fprintf(stderr, "skipped: a_full_disk_loses_nothing: mounting needs root\n");
        return;
    }
    snprintf(world.path, sizeof(world.path), "%s/state.db", dir);
    world_open();
    static char large[20000];
    memset(large, 'x', sizeof(large) - 1);
    size_t stored = 0;
    struct kilter_error err = KILTER_ERROR_INIT;
    while (err.code == 0) {
        char key[32];
        snprintf(key, sizeof(key), "key-%zu", stored);
        err = commit(txn_with_pair(key, large), KL_DURABLE);
        stored += err.code == 0;
        ck_assert_uint_lt(stored, 1000);
    }
    ck_assert_int_eq(err.code, KILTER_E_IO);
    ck_assert_msg(err.sys_errno == ENOSPC, "%s", err.message);
    ck_assert_uint_gt(stored, 0);
    ck_assert_uint_eq(count_pairs("key-"), stored);
    world_close();
    ck_assert_int_eq(mount("none", dir, "none", MS_REMOUNT, "size=4m"), 0);
    world_open();
    ck_assert_uint_eq(count_pairs("key-"), stored);
    commit_ok(txn_with_pair("another", "v"));
    world_close();
    umount(dir);
}
END_TEST

START_TEST(a_read_only_file_system_is_named_as_such)
{
    char dir[80];
    snprintf(dir, sizeof(dir), "%s/small", world.dir);
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    if (!mount_small(dir)) {
        fprintf(stderr, "skipped: a_read_only_file_system_is_named_as_such: mounting needs root\n");
        return;
    }
    snprintf(world.path, sizeof(world.path), "%s/state.db", dir);
    world_open();
    commit_ok(txn_with_pair("before", "v"));
    world_close();
    ck_assert_int_eq(mount("none", dir, "none", MS_REMOUNT | MS_RDONLY, "size=1m"), 0);
    struct kilter_error err = world_refusal();
    ck_assert_int_eq(err.sys_errno, EROFS);
    ck_assert_msg(strstr(err.message, world.path) != NULL, "%s", err.message);
    ck_assert_int_eq(mount("none", dir, "none", MS_REMOUNT, "size=1m"), 0);
    world_open();
    ck_assert_uint_eq(count_pairs("before"), 1);
    world_close();
    umount(dir);
}
END_TEST

static void note_event(void *data, int64_t last_event)
{
    *(int64_t *)data = last_event;
}

START_TEST(a_listener_hears_of_events_and_of_nothing_else)
{
    int64_t heard = 0;
    world_open();
    kl_store_listen(world.store, note_event, &heard);
    commit_ok(txn_with_pair("key", "v"));
    ck_assert_int_eq(heard, 0);
    add_event("synced", 0, 0);
    kl_rows_free(ASK(kl_store_load));
    ck_assert_int_gt(heard, 0);
}
END_TEST

START_TEST(a_listener_does_not_hear_of_events_that_were_rolled_back)
{
    struct kl_event_row event = { .kind = S("k") };
    struct answer answers[2] = { 0 };
    int64_t heard = 0;
    world_open();
    kl_store_listen(world.store, note_event, &heard);
    for (int i = 0; i < 2; i++) {
        struct kl_txn *txn = kl_txn_new(world.store);
        kl_txn_add_event(txn, &event);
        if (i == 1)
            kl_txn_rename_app(txn, 77, S("nobody"));
        kl_store_commit(world.store, txn, KL_RELAXED, answer_commit, &answers[i]);
    }
    await(&answers[1]);
    kl_rows_free(ASK(kl_store_load));
    ck_assert_int_eq(answers[1].err.code, KILTER_E_NOT_FOUND);
    ck_assert_int_eq(heard, 1);
}
END_TEST

START_TEST(an_empty_transaction_is_committed)
{
    world_open();
    struct kl_txn *txn = kl_txn_new(world.store);
    ck_assert(kl_txn_empty(txn));
    commit_ok(txn);
    kl_txn_free(kl_txn_new(world.store));
    kl_txn_free(NULL);
}
END_TEST

Suite *suite_commit(void)
{
    Suite *suite = suite_create("store: commits");
    TCase *tc = tcase_create("commit");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, answers_come_in_the_order_of_asking);
    tcase_add_test(tc, durable_commits_are_flushed_and_relaxed_ones_are_not);
    tcase_add_test(tc, commits_that_wait_share_one_flush);
    tcase_add_test(tc, a_group_that_cannot_be_committed_is_tried_one_by_one);
    tcase_add_test(tc, one_that_fails_in_a_group_fails_alone);
    tcase_add_test(tc, closing_does_what_was_asked_first);
    tcase_add_test(tc, what_comes_after_the_closing_is_cancelled);
    tcase_add_loop_test(tc, failing_writes_come_back_as_errors_and_end, 0, 3);
    tcase_add_test(tc, a_flush_that_fails_is_no_commit);
    tcase_add_test(tc, a_failed_transaction_can_be_kept_and_committed_later);
    tcase_add_test(tc, a_failed_transaction_can_be_committed_again_from_its_callback);
    tcase_add_test(tc, a_kept_transaction_may_outlive_the_store);
    tcase_add_test(tc, too_much_that_waits_is_refused);
    tcase_add_test(tc, a_full_disk_loses_nothing);
    tcase_add_test(tc, a_read_only_file_system_is_named_as_such);
    tcase_add_test(tc, a_listener_hears_of_events_and_of_nothing_else);
    tcase_add_test(tc, a_listener_does_not_hear_of_events_that_were_rolled_back);
    tcase_add_test(tc, an_empty_transaction_is_committed);
    suite_add_tcase(suite, tc);
    return suite;
}
