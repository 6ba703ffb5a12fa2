/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h: what the store's files share: jobs for its thread.
 *
 * A job is a transaction or a query. The loop's thread builds it and hands it
 * over; the store's thread runs it and hands it back; the loop's thread calls
 * its callback and frees it. Whoever has it has it alone, so that nothing in a
 * job needs a lock.
 */
#ifndef KL_STORE_INTERNAL_H
#define KL_STORE_INTERNAL_H

#include "store/db.h"
#include "store/schema.h"
#include "store/store.h"

struct kl_job {
    struct kl_job *next;
    bool is_query;
    struct kilter_error err;
};

/* One change of a transaction. `release` runs for all of them before the first `run`. */
struct kl_op {
    struct kl_op *next;
    int (*run)(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
    int (*release)(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
    int64_t app;
    int64_t number;
    struct kilter_str key;
    struct kilter_str value;
    const void *item; /* a copied struct of store.h */
};

struct kl_txn {
    struct kl_job job; /* first */
    struct kilter_arena *arena;
    struct kl_op *first;
    struct kl_op *last;
    uint64_t bytes; /* counted against max_queued_bytes */
    int failed;     /* what went wrong while it was built, or 0 */
    enum kl_durability durability;
    kl_commit_fn callback;
    void *data;
    bool write_fault;   /* it failed for a reason that is not its own */
    int64_t last_event; /* the newest event that came with its group, else 0 */
};

struct kl_query {
    struct kl_job job; /* first */
    int (*run)(struct kl_db *db, const struct kl_query *query, struct kl_rows *result, struct kilter_error *err);
    struct kilter_arena *arena; /* of the arguments */
    int64_t number;
    struct kilter_str text;
    const struct kilter_str *texts;
    size_t count;
    uint32_t limit;
    struct kl_event_filter filter;
    struct kl_rows *result;
    kl_query_fn callback;
    void *data;
};

/* --- ops.c: what the changes do; on the store's thread ---------------------------------------- */
int kl_ops_put_app(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_rename_app(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_set_app_removed(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_app_state(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_app_identity(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_delete_app(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_release_record(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_record(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_record_status(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_delete_record(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_source(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_delete_source(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_asked(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_delete_asked(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_artifact(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_delete_artifact(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_history(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_add_event(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_approval(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_void_approval(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);
int kl_ops_put_pair(struct kl_db *db, const struct kl_op *op, struct kilter_error *err);

/* --- group.c: commits and retention; on the store's thread -------------------------------------- */
/* Runs transactions that are linked by job.next as one commit, each failing alone, and leaves how it went in
 * them. */
void kl_group_commit(struct kl_db *db, struct kl_txn *first);
/* Drops events that are too old or too many. */
int kl_group_trim_events(struct kl_db *db, struct kilter_error *err);

/* --- query.c ------------------------------------------------------------------------------------- */
/* Runs it on the store's thread; leaves its result or error in it. */
void kl_query_run(struct kl_db *db, struct kl_query *query, uint64_t max_bytes);
void kl_query_free(struct kl_query *query);

/* --- store.c --------------------------------------------------------------------------------------- */
/* As kl_store_open, with another list of steps. */
int kl_store_open_schema(uv_loop_t *loop, const char *path, const struct kl_store_options *options,
                         const struct kl_schema *schema, struct kl_store **ret_store, struct kilter_error *err);
/* Takes over the job; its callback runs on the loop. */
void kl_store_submit(struct kl_store *store, struct kl_job *job);
/* In a commit's callback: the store does not free the transaction afterwards. */
void kl_store_let_go(struct kl_txn *txn);
/* One transaction may take as much memory as all that wait. */
uint64_t kl_store_max_txn_bytes(const struct kl_store *store);

#endif
