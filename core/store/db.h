/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.h: the SQLite connection under the store, its prepared statements and its
 * errors in kilter's terms.
 *
 * Made by the thread that opens the store and handed to the store's thread,
 * which alone uses it from then on. Statement texts are string literals: they
 * are looked up by address.
 */
#ifndef KL_STORE_DB_H
#define KL_STORE_DB_H

#include <kilter/arena.h>
#include <sqlite3.h>

#define KL_DB_STATEMENTS 96

struct kl_db {
    sqlite3 *handle;
    struct {
        const char *text;
        sqlite3_stmt *statement;
    } cache[KL_DB_STATEMENTS];
    size_t cached;
    bool full_sync;        /* what PRAGMA synchronous is set to */
    bool sync_known;       /* whether full_sync says so */
    int64_t last_event;    /* id of the event added last */
    uint64_t events_added; /* since the log was trimmed */
    int64_t last_used_us;  /* the newest time of use given to an artifact */
    uint64_t max_artifact_bytes;
    uint64_t max_events;
    int64_t max_event_age_ms;
    uint32_t max_history;
};

/* Opens an existing file. */
int kl_db_open(struct kl_db *db, const char *path, struct kilter_error *err);
/* Finalises the statements and closes; of an unopened one too. */
int kl_db_close(struct kl_db *db, struct kilter_error *err);

/* Fills `err` from what SQLite said last, and says what it means for the user. */
int kl_db_error(struct kl_db *db, int code, struct kilter_error *err);

/* One or more statements without parameters and without interest in rows. */
int kl_db_script(struct kl_db *db, const char *script, struct kilter_error *err);

/* A cached statement with its parameters bound. `types` has a letter for each: i int64_t, t struct kilter_str
 * as text, b struct kilter_str as blob, n as t but NULL when absent, z int64_t but NULL when 0. The bytes must
 * live until the statement is done. */
int kl_db_query(struct kl_db *db, sqlite3_stmt **ret, struct kilter_error *err, const char *text, const char *types,
                ...);
/* 1: a row; 0: no more, the statement is done; negative: failed, likewise. */
int kl_db_next(struct kl_db *db, sqlite3_stmt *statement, struct kilter_error *err);
/* For leaving before the last row. Takes NULL. */
void kl_db_done(sqlite3_stmt *statement);
/* Runs a statement to its end. Rows are ignored. */
int kl_db_run(struct kl_db *db, struct kilter_error *err, const char *text, const char *types, ...);
/* The first column of the first row; `otherwise` when there is none or it is NULL. */
int kl_db_number(struct kl_db *db, int64_t *ret, int64_t otherwise, struct kilter_error *err, const char *text,
                 const char *types, ...);

/* Whether a durable commit follows (an fsync for each) or a relaxed one. */
int kl_db_set_sync(struct kl_db *db, bool full, struct kilter_error *err);

/* The time of a use of an artifact, in microseconds: later than that of every use before. */
int64_t kl_db_use_time(struct kl_db *db);

/* A column's bytes, copied into the arena; false when it is at its maximum. */
bool kl_db_text(struct kilter_arena *arena, sqlite3_stmt *statement, int column, struct kilter_str *ret);

#endif
