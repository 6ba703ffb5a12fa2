/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include "base/clock.h"

static struct kl_txn *next_of(struct kl_txn *txn)
{
    return (struct kl_txn *)txn->job.next;
}

/* Whether an error comes from the store's circumstances and not from the transaction. */
static bool is_fault(int status)
{
    return status == KILTER_E_IO || status == KILTER_E_NOMEM || status == KILTER_E_INTERNAL;
}

static int run_in_order(struct kl_db *db, struct kl_txn *txn, struct kilter_error *err)
{
    for (const struct kl_op *op = txn->first; op; op = op->next) {
        int status = op->release ? op->release(db, op, err) : 0;
        if (status < 0)
            return status;
    }
    for (const struct kl_op *op = txn->first; op; op = op->next) {
        int status = op->run(db, op, err);
        if (status < 0)
            return status;
    }
    return 0;
}

static int run_ops(struct kl_db *db, struct kl_txn *txn, struct kilter_error *err)
{
    int64_t last_event = db->last_event;
    int status = run_in_order(db, txn, err);
    if (status < 0)
        db->last_event = last_event;
    return status;
}

/* SQLite itself gave up the whole transaction, as it does when the disk is full. */
static bool is_lost(struct kl_db *db)
{
    return sqlite3_get_autocommit(db->handle) != 0;
}

/* One transaction inside the group's. Its own failure stays in it; the return value is about the group. */
static int run_inside(struct kl_db *db, struct kl_txn *txn, struct kilter_error *err)
{
    int status = kl_db_run(db, err, "SAVEPOINT one", "");
    if (status < 0)
        return status;
    txn->job.err.code = KILTER_OK;
    status = run_ops(db, txn, &txn->job.err);
    if (status < 0 && is_lost(db)) {
        *err = txn->job.err;
        return status;
    }
    if (status < 0)
        status = kl_db_run(db, err, "ROLLBACK TO one", "");
    return status < 0 ? status : kl_db_run(db, err, "RELEASE one", "");
}

static int begin(struct kl_db *db, bool durable, struct kilter_error *err)
{
    int status = kl_db_set_sync(db, durable, err);
    return status < 0 ? status : kl_db_run(db, err, "BEGIN IMMEDIATE", "");
}

static int end(struct kl_db *db, int status, struct kilter_error *err)
{
    if (status == 0)
        status = kl_db_run(db, err, "COMMIT", "");
    if (status < 0 && !is_lost(db))
        kl_db_run(db, NULL, "ROLLBACK", "");
    return status;
}

static void fail(struct kl_txn *txn, const struct kilter_error *err)
{
    txn->job.err = *err;
    txn->write_fault = is_fault(err->code);
}

/* A transaction by itself, when its group could not be committed. */
static void commit_alone(struct kl_db *db, struct kl_txn *txn)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    int64_t last_event = db->last_event;
    int status = begin(db, txn->durability == KL_DURABLE, &err);
    if (status == 0)
        status = end(db, run_ops(db, txn, &err), &err);
    txn->job.err.code = KILTER_OK;
    if (status < 0) {
        db->last_event = last_event;
        fail(txn, &err);
    }
}

static int commit_together(struct kl_db *db, struct kl_txn *first, struct kilter_error *err)
{
    bool durable = false;
    for (struct kl_txn *txn = first; txn; txn = next_of(txn))
        durable = durable || txn->durability == KL_DURABLE;
    int status = begin(db, durable, err);
    for (struct kl_txn *txn = first; status == 0 && txn; txn = next_of(txn))
        status = run_inside(db, txn, err);
    return end(db, status, err);
}

/* The oldest events go by count and by age. Ids follow each other, so that the newest one tells which id is the
 * oldest to keep; times may not, when the clock was set: the log is cut at the first that is young enough. */
int kl_group_trim_events(struct kl_db *db, struct kilter_error *err)
{
    int64_t newest = 0, first_young = 0;
    int status = kl_db_number(db, &newest, 0, err, "SELECT max(id) FROM events", "");
    if (status == 0)
        status = kl_db_number(db, &first_young, newest + 1, err,
                              "SELECT id FROM events WHERE time >= ? ORDER BY id LIMIT 1", "i",
                              kl_clock_wall_ms() - db->max_event_age_ms);
    if (status < 0)
        return status;
    int64_t keep_from = newest - (int64_t)db->max_events + 1;
    if (keep_from < first_young)
        keep_from = first_young;
    db->events_added = 0;
    return kl_db_run(db, err, "DELETE FROM events WHERE id < ?", "i", keep_from);
}

/* Trims now and then, not with each event. */
static void trim_after(struct kl_db *db)
{
    uint64_t slack = db->max_events / 16;
    if (slack > 1000)
        slack = 1000;
    /* What fails here fails again with the next transaction, which reports it. */
    if (db->events_added > slack && begin(db, false, NULL) == 0)
        end(db, kl_group_trim_events(db, NULL), NULL);
}

void kl_group_commit(struct kl_db *db, struct kl_txn *first)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    int64_t last_event = db->last_event;
    if (commit_together(db, first, &err) < 0) {
        db->last_event = last_event;
        if (!next_of(first))
            fail(first, &err);
        else
            for (struct kl_txn *txn = first; txn; txn = next_of(txn))
                commit_alone(db, txn);
    }
    if (db->last_event != last_event) {
        for (struct kl_txn *txn = first; txn; txn = next_of(txn))
            txn->last_event = db->last_event;
        trim_after(db);
    }
}
