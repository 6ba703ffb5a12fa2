/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixture.h: a directory, a loop and a store in it, and the asking in one line:
 * the loop runs until the answer is there.
 */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include "store/internal.h"

#include <check.h>

struct world {
    char dir[64];
    char path[128];
    uv_loop_t loop;
    struct kl_store *store;
};

extern struct world world;

/* The directory of all tests' directories; removing it takes what a failed test left. */
void world_make_base(void);
void world_remove_base(void);

/* For tcase_add_checked_fixture: the directory and the loop, no store yet; and all away again. */
void world_setup(void);
void world_teardown(void);

void world_open(void);
void world_open_with(const struct kl_store_options *options);
/* The error of an opening that has to fail. */
struct kilter_error world_refusal(void);
void world_close(void);

/* The answer to one question. */
struct answer {
    bool there;
    int order; /* the how-manieth answer since the program began */
    struct kilter_error err;
    struct kl_rows *rows;
    struct kl_txn *kept;
};

void answer_commit(void *data, const struct kilter_error *err, struct kl_txn *txn);
void answer_query(void *data, const struct kilter_error *err, struct kl_rows *rows);
void await(struct answer *answer);

/* Commits and tells how it ended. */
struct kilter_error commit(struct kl_txn *txn, enum kl_durability durability);
/* Commits what has to succeed. */
void commit_ok(struct kl_txn *txn);

/* kl_store_X(store, ARGUMENTS...) answered; the rows are the caller's. */
#define ASK(function, ...)                                                                                         \
    __extension__({                                                                                                \
        struct answer asked_ = { 0 };                                                                              \
        function(world.store, ##__VA_ARGS__, answer_query, &asked_);                                               \
        await(&asked_);                                                                                            \
        ck_assert_msg(asked_.err.code == 0, "%s: %s", #function, asked_.err.message);                              \
        asked_.rows;                                                                                               \
    })

#define S(literal) KILTER_STR(literal)
#define ck_assert_str(view, text)                                                                                  \
    ck_assert_msg(kilter_str_eq_c((view), (text)), "\"%.*s\" is not \"%s\"", KILTER_STR_ARG(view), (text))

int64_t add_app(const char *name);
struct kl_record_row record_of(int64_t app, const char *name, const struct kilter_str *claims, size_t count);
void add_event(const char *kind, int64_t app, int64_t time_ms);

/* A whole file, malloc'd and NUL-terminated. */
char *read_file(const char *path, size_t *ret_len);
void write_file(const char *path, const void *bytes, size_t len);
/* Runs SQL on a file that no store has open, by SQLite itself. */
void run_sql(const char *path, const char *script);

Suite *suite_open(void);
Suite *suite_commit(void);
Suite *suite_rows(void);
Suite *suite_migrate(void);
Suite *suite_crash(void);
Suite *suite_memory(void);

#endif
