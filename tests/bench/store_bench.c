/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commits cost: durable ones that wait for each other, many at once that share their flush, relaxed ones; and
 * the start of a daemon with many apps. Argument: the directory to measure in (default: the current one).
 */
#include "base/clock.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uv_loop_t loop;
static struct kl_store *store;
static int64_t app;
static unsigned answered;

static void on_commit(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    (void)data;
    (void)txn;
    if (err->code != 0) {
        fprintf(stderr, "commit: %s\n", err->message);
        exit(1);
    }
    answered++;
}

static void on_rows(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    (void)data;
    if (err->code != 0) {
        fprintf(stderr, "query: %s\n", err->message);
        exit(1);
    }
    kl_rows_free(rows);
    answered++;
}

static void await(unsigned count)
{
    while (answered < count)
        uv_run(&loop, UV_RUN_ONCE);
}

/* What an intent is: a record with a claim, and an event. */
static void submit(unsigned number, enum kl_durability durability)
{
    char name[32], claim[64];
    snprintf(name, sizeof(name), "%u", number);
    snprintf(claim, sizeof(claim), "file:machine:/etc/thing-%u", number);
    struct kilter_str claims[] = { kilter_str_c(claim) };
    struct kl_record_row record = {
        .app = app,
        .id = { KILTER_STR("file.kilter.dev/v1"), KILTER_STR("File"), KILTER_STR(""), kilter_str_c(name) },
        .claims = claims,
        .claim_count = 1,
        .status = KILTER_RECORD_PENDING,
        .attributes = KILTER_STR("{\"mode\":\"0644\",\"owner\":\"root\",\"sha256\":\"0123456789abcdef\"}"),
    };
    struct kl_event_row event = { .app = app, .kind = KILTER_STR("intent"), .severity = KL_INFO };
    struct kl_txn *txn = kl_txn_new(store);
    kl_txn_put_record(txn, &record);
    kl_txn_add_event(txn, &event);
    kl_store_commit(store, txn, durability, on_commit, NULL);
}

/* `at_once` commits wait at any time. */
static void measure(const char *what, unsigned count, unsigned at_once, enum kl_durability durability)
{
    int64_t begin = kl_clock_monotonic_ns();
    answered = 0;
    for (unsigned i = 0; i < count; i++) {
        submit(i, durability);
        if (i + 1 >= at_once)
            await(i + 2 - at_once);
    }
    await(count);
    double seconds = (double)(kl_clock_monotonic_ns() - begin) / 1e9;
    printf("%-32s %8.0f commits/s\n", what, count / seconds);
}

static void measure_start(unsigned apps)
{
    struct kl_txn *txn = kl_txn_new(store);
    for (unsigned i = 0; i < apps; i++) {
        char name[32];
        snprintf(name, sizeof(name), "app-%u", i);
        struct kl_app_row row = { .id = kl_store_new_id(store),
                                  .name = kilter_str_c(name),
                                  .state = KILTER_STR("{}") };
        kl_txn_put_app(txn, &row);
    }
    answered = 0;
    kl_store_commit(store, txn, KL_DURABLE, on_commit, NULL);
    await(1);
    int64_t begin = kl_clock_monotonic_ns();
    kl_store_load(store, on_rows, NULL);
    await(2);
    printf("%-32s %8.1f ms\n", "load of 10,000 apps", (double)(kl_clock_monotonic_ns() - begin) / 1e6);
    begin = kl_clock_monotonic_ns();
    kl_store_list_records(store, app, on_rows, NULL);
    await(3);
    printf("%-32s %8.1f ms\n", "20,000 records of one app", (double)(kl_clock_monotonic_ns() - begin) / 1e6);
}

int main(int argc, char **argv)
{
    char dir[4096], path[4200];
    struct kilter_error err = KILTER_ERROR_INIT;
    snprintf(dir, sizeof(dir), "%s/store-bench-XXXXXX", argc > 1 ? argv[1] : ".");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    snprintf(path, sizeof(path), "%s/state.db", dir);
    uv_loop_init(&loop);
    if (kl_store_open(&loop, path, NULL, &store, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    struct kl_txn *txn = kl_txn_new(store);
    app = kl_store_new_id(store);
    struct kl_app_row row = { .id = app, .name = KILTER_STR("bench") };
    kl_txn_put_app(txn, &row);
    kl_store_commit(store, txn, KL_DURABLE, on_commit, NULL);
    await(1);
    measure("durable, one after the other", 1000, 1, KL_DURABLE);
    measure("durable, 16 at once", 5000, 16, KL_DURABLE);
    measure("durable, 256 at once", 20000, 256, KL_DURABLE);
    measure("relaxed, one after the other", 5000, 1, KL_RELAXED);
    measure("relaxed, 256 at once", 20000, 256, KL_RELAXED);
    measure_start(10000);
    kl_store_close(store, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    static const char *const left[] = { "", ".lock" };
    for (size_t i = 0; i < 2; i++) {
        char file[4300];
        snprintf(file, sizeof(file), "%s%s", path, left[i]);
        unlink(file);
    }
    return rmdir(dir) == 0 ? 0 : 1;
}
