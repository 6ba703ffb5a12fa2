/* SPDX-License-Identifier: Apache-2.0 */
#include "store/faulty_vfs.h"
#include "store/fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- kill -9 ---------------------------------------------------------------------------------- */

struct writer {
    int pipe;
    int64_t app;
    uint32_t next; /* number of the next transaction */
    uint32_t acknowledged;
};

static void on_written(void *data, const struct kilter_error *err, struct kl_txn *txn);

/* Transaction n: a record "n" with a claim, an event and a counter, all or nothing. */
static void write_next(struct writer *writer)
{
    char name[16], claim[24];
    snprintf(name, sizeof(name), "%u", writer->next);
    snprintf(claim, sizeof(claim), "claim-%u", writer->next);
    struct kilter_str claims[] = { kilter_str_c(claim) };
    struct kl_record_row record = record_of(writer->app, name, claims, 1);
    record.status = KILTER_RECORD_PENDING;
    struct kl_event_row event = { .app = writer->app, .kind = S("intent"), .message = kilter_str_c(name) };
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_record(txn, &record);
    kl_txn_put_pair(txn, S("last"), kilter_str_c(name));
    kl_txn_add_event(txn, &event);
    kl_store_commit(world.store, txn, writer->next % 3 ? KL_DURABLE : KL_RELAXED, on_written, writer);
    writer->next++;
}

static void on_written(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    struct writer *writer = data;
    (void)txn;
    if (err->code != 0)
        _exit(3);
    /* Answers come in order: this is the answer to the oldest. */
    uint32_t number = writer->acknowledged++;
    if (write(writer->pipe, &number, sizeof(number)) != (ssize_t)sizeof(number))
        _exit(4);
    write_next(writer);
}

static void write_until_killed(int pipe_end, int64_t app, uint32_t from)
{
    struct writer writer = { pipe_end, app, from, from };
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    if (kl_store_open(&world.loop, world.path, &options, &world.store, NULL) < 0)
        _exit(2);
    for (int i = 0; i < 8; i++)
        write_next(&writer);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    _exit(5);
}

/* Lets a child write for a moment, kills it, and returns how many transactions are acknowledged in all. */
static uint32_t write_and_kill(int64_t app, uint32_t from, long microseconds)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(ends[0]);
        write_until_killed(ends[1], app, from);
    }
    close(ends[1]);
    uint32_t number, acknowledged = from;
    bool first = true;
    while (read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number)) {
        ck_assert_uint_eq(number, acknowledged);
        acknowledged++;
        if (first) {
            struct timespec moment = { 0, microseconds * 1000 };
            nanosleep(&moment, NULL);
            kill(pid, SIGKILL);
        }
        first = false;
    }
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status), "the writer ended by itself with %d", WEXITSTATUS(status));
    return acknowledged;
}

/* Everything acknowledged is there, nothing is half there; returns how many transactions there are. */
static uint32_t check_consistent(int64_t app, uint32_t acknowledged)
{
    struct kl_rows *records = ASK(kl_store_list_records, app), *pairs = ASK(kl_store_list_pairs, S("last"));
    uint32_t count = (uint32_t)records->record_count;
    ck_assert_msg(count >= acknowledged, "%u acknowledged, %u there", acknowledged, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct kl_record_row *record = &records->records[i];
        char name[32], claim[48];
        snprintf(name, sizeof(name), "%.*s", KILTER_STR_ARG(record->id.name));
        snprintf(claim, sizeof(claim), "claim-%s", name);
        ck_assert_uint_lt(strtoul(name, NULL, 10), count);
        ck_assert_int_eq(record->status, KILTER_RECORD_PENDING);
        ck_assert_uint_eq(record->claim_count, 1);
        ck_assert_str(record->claims[0], claim);
    }
    if (count > 0) {
        char last[16];
        snprintf(last, sizeof(last), "%u", count - 1);
        ck_assert_uint_eq(pairs->pair_count, 1);
        ck_assert_str(pairs->pairs[0].value, last);
    }
    struct kl_event_filter newest = KL_EVENT_FILTER_INIT;
    newest.limit = 1;
    struct kl_rows *events = ASK(kl_store_list_events, &newest);
    ck_assert_int_eq(count > 0 ? events->events[0].id : 0, count);
    kl_rows_free(records);
    kl_rows_free(pairs);
    kl_rows_free(events);
    return count;
}

START_TEST(a_killed_writer_loses_nothing_that_was_acknowledged)
{
    world_open();
    int64_t app = add_app("shop");
    world_close();
    uint32_t written = 0;
    srand((unsigned)getpid());
    for (int round = 0; round < 15; round++) {
        uint32_t acknowledged = write_and_kill(app, written, rand() % 20000);
        world_open();
        ck_assert(kl_store_info(world.store)->unclean);
        written = check_consistent(app, acknowledged);
        world_close();
    }
    ck_assert_uint_gt(written, 15);
}
END_TEST

START_TEST(a_store_that_was_killed_while_it_was_made_opens)
{
    for (int round = 0; round < 15; round++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            world_open();
            _exit(0);
        }
        struct timespec moment = { 0, rand() % 4000 * 1000 };
        nanosleep(&moment, NULL);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        world_open();
        add_app("shop");
        world_close();
        ck_assert_int_eq(unlink(world.path), 0);
    }
}
END_TEST

/* --- power failure ------------------------------------------------------------------------------ */

static void copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    char from[256], to[256];
    size_t len;
    snprintf(from, sizeof(from), "%s/%s", from_dir, name);
    snprintf(to, sizeof(to), "%s/%s", to_dir, name);
    if (access(from, F_OK) != 0)
        return;
    char *bytes = read_file(from, &len);
    write_file(to, bytes, len);
    free(bytes);
}

/* Opens what the platter holds, as after a power failure, and counts the pairs in it. */
static size_t count_after_power_failure(const char *platter)
{
    char dir[100];
    struct world running = world;
    snprintf(dir, sizeof(dir), "%s/after-XXXXXX", world.dir);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    faulty_vfs_set_platter(NULL);
    copy_file(platter, dir, "state.db");
    copy_file(platter, dir, "state.db-wal");
    ck_assert_int_lt(snprintf(world.path, sizeof(world.path), "%s/state.db", dir), (int)sizeof(world.path));
    world_open();
    struct kl_rows *rows = ASK(kl_store_list_pairs, S("key-"));
    size_t count = rows->pair_count;
    kl_rows_free(rows);
    world_close();
    memcpy(world.path, running.path, sizeof(world.path));
    world.store = running.store;
    faulty_vfs_set_platter(platter);
    return count;
}

START_TEST(a_power_failure_takes_no_durable_commit)
{
    char platter[80];
    snprintf(platter, sizeof(platter), "%s/platter", world.dir);
    ck_assert_int_eq(mkdir(platter, 0700), 0);
    faulty_vfs_install();
    world_open();
    world_close();
    copy_file(world.dir, platter, "state.db");
    faulty_vfs_set_platter(platter);
    world_open();
    size_t written = 0, durable = 0;
    static char large[6000];
    memset(large, 'x', sizeof(large) - 1);
    /* Enough to go through several checkpoints. */
    for (int i = 0; i < 1200; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%d", i);
        struct kl_txn *txn = kl_txn_new(world.store);
        kl_txn_put_pair(txn, kilter_str_c(key), kilter_str_c(large));
        bool full = i % 7 == 0;
        ck_assert_int_eq(commit(txn, full ? KL_DURABLE : KL_RELAXED).code, 0);
        written++;
        if (full)
            durable = written;
        if (i % 97 == 0 || i % 97 == 1) {
            size_t there = count_after_power_failure(platter);
            ck_assert_uint_ge(there, durable);
            ck_assert_uint_le(there, written);
        }
    }
    faulty_vfs_set_platter(NULL);
}
END_TEST

Suite *suite_crash(void)
{
    Suite *suite = suite_create("store: crashes");
    TCase *tc = tcase_create("crash");
    tcase_add_checked_fixture(tc, world_setup, world_teardown);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, a_killed_writer_loses_nothing_that_was_acknowledged);
    tcase_add_test(tc, a_store_that_was_killed_while_it_was_made_opens);
    tcase_add_test(tc, a_power_failure_takes_no_durable_commit);
    suite_add_tcase(suite, tc);
    return suite;
}
