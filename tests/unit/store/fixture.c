/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct world world;

static int answers;

static char base[32];

void world_setup(void)
{
    snprintf(world.dir, sizeof(world.dir), "%s/XXXXXX", base);
    ck_assert_ptr_nonnull(mkdtemp(world.dir));
    snprintf(world.path, sizeof(world.path), "%s/state.db", world.dir);
    ck_assert_int_eq(uv_loop_init(&world.loop), 0);
    world.store = NULL;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void world_make_base(void)
{
    snprintf(base, sizeof(base), "/tmp/kilter-store-XXXXXX");
    if (!mkdtemp(base)) {
        perror(base);
        exit(EXIT_FAILURE);
    }
}

void world_remove_base(void)
{
    remove_tree(base);
}

void world_teardown(void)
{
    if (world.store)
        world_close();
    ck_assert_int_eq(uv_loop_close(&world.loop), 0);
    remove_tree(world.dir);
}

void world_open_with(const struct kl_store_options *options)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    int status = kl_store_open(&world.loop, world.path, options, &world.store, &err);
    ck_assert_msg(status == 0, "%s", err.message);
}

void world_open(void)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    options.installation = S("acme");
    world_open_with(&options);
}

struct kilter_error world_refusal(void)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_store *store = NULL;
    int status = kl_store_open(&world.loop, world.path, NULL, &store, &err);
    ck_assert_int_lt(status, 0);
    ck_assert_int_eq(status, err.code);
    ck_assert_ptr_null(store);
    return err;
}

static void on_closed(void *data)
{
    *(bool *)data = true;
}

void world_close(void)
{
    bool closed = false;
    kl_store_close(world.store, on_closed, &closed);
    while (!closed)
        uv_run(&world.loop, UV_RUN_ONCE);
    world.store = NULL;
}

void answer_commit(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    struct answer *answer = data;
    (void)txn;
    answer->there = true;
    answer->order = ++answers;
    answer->err = *err;
}

void answer_query(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct answer *answer = data;
    answer->there = true;
    answer->order = ++answers;
    answer->err = *err;
    answer->rows = rows;
}

void await(struct answer *answer)
{
    while (!answer->there)
        uv_run(&world.loop, UV_RUN_ONCE);
}

struct kilter_error commit(struct kl_txn *txn, enum kl_durability durability)
{
    struct answer answer = { 0 };
    kl_store_commit(world.store, txn, durability, answer_commit, &answer);
    ck_assert_msg(!answer.there, "the callback ran inside the call");
    await(&answer);
    return answer.err;
}

void commit_ok(struct kl_txn *txn)
{
    struct kilter_error err = commit(txn, KL_DURABLE);
    ck_assert_msg(err.code == 0, "%s", err.message);
}

int64_t add_app(const char *name)
{
    struct kl_app_row app = { .id = kl_store_new_id(world.store), .name = kilter_str_c(name), .target = S("host") };
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_put_app(txn, &app);
    commit_ok(txn);
    return app.id;
}

struct kl_record_row record_of(int64_t app, const char *name, const struct kilter_str *claims, size_t count)
{
    return (struct kl_record_row){
        .app = app,
        .id = { S("file.kilter.dev/v1"), S("File"), S(""), kilter_str_c(name) },
        .claims = claims,
        .claim_count = count,
        .status = KILTER_RECORD_OWNED,
        .schema_version = 3,
        .attributes = S("{\"mode\":\"0644\"}"),
        .directives = S("{}"),
        .dependencies = S("[]"),
        .last_good = S("abc123"),
        .last_bad = S(""),
    };
}

void add_event(const char *kind, int64_t app, int64_t time_ms)
{
    struct kl_event_row event = { .time_ms = time_ms,
                                  .app = app,
                                  .app_name = S("shop"),
                                  .kind = kilter_str_c(kind),
                                  .actor = S("uid:1000"),
                                  .severity = KL_INFO,
                                  .message = S("it happened"),
                                  .data = S("{}") };
    struct kl_txn *txn = kl_txn_new(world.store);
    kl_txn_add_event(txn, &event);
    struct kilter_error err = commit(txn, KL_RELAXED);
    ck_assert_msg(err.code == 0, "%s", err.message);
}

char *read_file(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    fseek(file, 0, SEEK_END);
    size_t len = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(len + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, len, file), len);
    bytes[len] = '\0';
    fclose(file);
    if (ret_len)
        *ret_len = len;
    return bytes;
}

void write_file(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

void run_sql(const char *path, const char *script)
{
    sqlite3 *db = NULL;
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    char *message = NULL;
    int code = sqlite3_exec(db, script, NULL, NULL, &message);
    ck_assert_msg(code == SQLITE_OK, "%s", message);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
}
