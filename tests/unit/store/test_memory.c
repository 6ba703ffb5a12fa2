/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static sqlite3_mem_methods real;
/* Allocations until one fails; negative: none does. */
static atomic_long until_failure = -1;
static atomic_bool failed;

static bool fails_now(void)
{
    if (atomic_load(&until_failure) < 0 || atomic_fetch_sub(&until_failure, 1) != 0)
        return false;
    atomic_store(&failed, true);
    return true;
}

static void *scarce_malloc(int size)
{
    return fails_now() ? NULL : real.xMalloc(size);
}

static void *scarce_realloc(void *memory, int size)
{
    return fails_now() ? NULL : real.xRealloc(memory, size);
}

static void make_memory_scarce(void)
{
    sqlite3_mem_methods scarce;
    sqlite3_shutdown();
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
    scarce = real;
    scarce.xMalloc = scarce_malloc;
    scarce.xRealloc = scarce_realloc;
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &scarce), SQLITE_OK);
    /* Without its look-aside memory SQLite asks for every piece. */
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
    ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
}

static void fail_after(long allocations)
{
    atomic_store(&failed, false);
    atomic_store(&until_failure, allocations);
}

/* Each allocation is tried at first, later ones with growing steps. */
static long step(long n)
{
    return n + 1 + n / 8;
}

START_TEST(an_opening_without_memory_fails_and_the_next_one_works)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    make_memory_scarce();
    long n = 0;
    int refusals = 0;
    do {
        fail_after(n);
        int status = kl_store_open(&world.loop, world.path, NULL, &world.store, &err);
        bool was_made = access(world.path, F_OK) == 0;
        fail_after(-1);
        refusals += status < 0;
        if (status == 0)
            world_close();
        else
            ck_assert_msg(err.code == KILTER_E_NOMEM, "after %ld: %s", n, err.message);
        world_open();
        ck_assert_msg(kl_store_info(world.store)->created == !was_made, "after %ld", n);
        world_close();
        if (n % 2)
            ck_assert_int_eq(unlink(world.path), 0);
        n = step(n);
    } while (n < 20000);
    ck_assert_int_gt(refusals, 20);
}
END_TEST

static void ask_everything(struct answer *answers, int64_t app, int64_t other, long n)
{
    struct kilter_str claims[] = { S("one"), S("two") };
    char key[24];
    snprintf(key, sizeof(key), "key-%ld", n);
    struct kl_record_row record = record_of(app, "motd", claims, 2);
    struct kl_artifact_row artifact = { .key = S("k"), .app = app, .blob = S("content") };
    struct kl_event_row event = { .app = app, .kind = S("k") };
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    kl_txn_put_artifact(txn, &artifact, false);
    kl_txn_add_event(txn, &event);
    kl_txn_put_pair(txn, kilter_str_c(key), S("v"));
    kl_store_commit(world.store, txn, KL_DURABLE, answer_commit, &answers[0]);
    record.app = other;
    txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    kl_store_commit(world.store, txn, KL_DURABLE, answer_commit, &answers[1]);
    kl_store_load(world.store, answer_query, &answers[2]);
    kl_store_list_records(world.store, app, answer_query, &answers[3]);
    kl_store_find_owners(world.store, claims, 2, answer_query, &answers[4]);
    kl_store_get_artifact(world.store, S("k"), answer_query, &answers[5]);
    kl_store_list_events(world.store, &filter, answer_query, &answers[6]);
    kl_store_list_pairs(world.store, kilter_str_c(key), answer_query, &answers[7]);
}

START_TEST(a_job_without_memory_fails_alone_and_the_next_one_works)
{
    enum { COUNT = 8 };
    make_memory_scarce();
    world_open();
    int64_t app = add_app("shop"), other = add_app("other");
    struct kilter_str claims[] = { S("one"), S("two") };
    struct kl_record_row record = record_of(app, "motd", claims, 2);
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    commit_ok(txn);
    long n = 0;
    int failures = 0;
    bool any;
    do {
        struct answer answers[COUNT] = { 0 };
        /* From the file again, so that everything is prepared and read anew. */
        world_close();
        world_open();
        fail_after(n);
        ask_everything(answers, app, other, n);
        await(&answers[COUNT - 1]);
        any = atomic_load(&failed);
        fail_after(-1);
        for (int i = 0; i < COUNT; i++)
            failures += answers[i].err.code == KILTER_E_NOMEM;
        for (int i = 0; i < COUNT; i++) {
            ck_assert(answers[i].there);
            int code = answers[i].err.code;
            ck_assert(i != 1 || code != 0);
            ck_assert_msg(code == 0 || code == KILTER_E_NOMEM || (i == 1 && code == KILTER_E_CONFLICT),
                          "after %ld, answer %d: %s", n, i, answers[i].err.message);
            ck_assert(i < 2 || (answers[i].rows != NULL) == (code == 0));
        }
        if (answers[7].rows)
            ck_assert_uint_eq(answers[7].rows->pair_count, answers[0].err.code == 0);
        for (int i = 0; i < COUNT; i++)
            kl_rows_free(answers[i].rows);
        n = step(n);
    } while (any);
    ck_assert_int_gt(failures, 20);
    struct kl_rows *rows = ASK(kl_store_list_records, app);
    ck_assert_uint_eq(rows->record_count, 1);
    kl_rows_free(rows);
}
END_TEST

Suite *suite_memory(void)
{
    Suite *suite = suite_create("store: memory");
    TCase *tc = tcase_create("memory");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, an_opening_without_memory_fails_and_the_next_one_works);
    tcase_add_test(tc, a_job_without_memory_fails_alone_and_the_next_one_works);
    suite_add_tcase(suite, tc);
    return suite;
}
