/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include "base/cleanup.h"
#include "store/lock.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>

/* A group has at most this many transactions, so that the first of them does not wait long for the last. */
#define GROUP_MAX 512
#define GROUP_MAX_BYTES (UINT64_C(8) << 20)

struct job_list {
    struct kl_job *first;
    struct kl_job *last;
};

struct kl_store {
    struct kl_store_info info;
    uv_async_t *async;
    uv_thread_t thread;
    uv_mutex_t mutex; /* guards waiting, finished, closing, stopped */
    uv_cond_t wake;
    struct job_list waiting;
    struct job_list finished;
    bool closing;
    bool stopped;
    struct kl_db db; /* the thread's */
    uint64_t max_result_bytes;

    /* The loop's alone. */
    int lock_fd;
    int64_t next_id;
    uint64_t max_queued_bytes;
    uint64_t queued_bytes;
    bool async_closing;
    struct kilter_error fault;
    void (*on_close)(void *data);
    void *on_close_data;
    void (*on_event)(void *data, int64_t last_event);
    void *on_event_data;
    char *path;
    char *installation;
    char *lineage;
    char *backup;
};

/* The transaction whose callback runs; freed when it returns. Not the store's, because a transaction that was kept
 * may be freed when the store is gone. */
static _Thread_local struct kl_txn *at_hand;

static void append(struct job_list *list, struct kl_job *job)
{
    job->next = NULL;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
}

static struct kl_job *take_first(struct job_list *list)
{
    struct kl_job *job = list->first;
    if (!job)
        return NULL;
    list->first = job->next;
    if (!list->first)
        list->last = NULL;
    job->next = NULL;
    return job;
}

/* --- the store's thread ---------------------------------------------------------------------- */

/* A query by itself, or the transactions up to the next query, in order. */
static struct job_list next_batch(struct job_list *waiting)
{
    struct job_list batch = { NULL, NULL };
    uint64_t bytes = 0;
    size_t count = 0;
    do {
        struct kl_job *job = take_first(waiting);
        if (!job->is_query)
            bytes += ((struct kl_txn *)job)->bytes;
        append(&batch, job);
        count++;
    } while (!batch.first->is_query && waiting->first && !waiting->first->is_query && count < GROUP_MAX &&
             bytes < GROUP_MAX_BYTES);
    return batch;
}

static void run_batch(struct kl_store *store, struct job_list *batch)
{
    if (!batch->first->is_query)
        kl_group_commit(&store->db, (struct kl_txn *)batch->first);
    else if (batch->first->err.code == KILTER_OK)
        kl_query_run(&store->db, (struct kl_query *)batch->first, store->max_result_bytes);
}

static void run(void *data)
{
    struct kl_store *store = data;
    uv_mutex_lock(&store->mutex);
    for (;;) {
        while (!store->waiting.first && !store->closing)
            uv_cond_wait(&store->wake, &store->mutex);
        if (!store->waiting.first)
            break;
        struct job_list batch = next_batch(&store->waiting);
        uv_mutex_unlock(&store->mutex);
        run_batch(store, &batch);
        uv_mutex_lock(&store->mutex);
        while (batch.first)
            append(&store->finished, take_first(&batch));
        uv_async_send(store->async);
    }
    uv_mutex_unlock(&store->mutex);
    /* A store that cannot be marked as closed is checked at the next opening, that is all. */
    kl_schema_close(&store->db, NULL);
    uv_mutex_lock(&store->mutex);
    store->stopped = true;
    uv_async_send(store->async);
    uv_mutex_unlock(&store->mutex);
}

/* Signals are the loop's business: the thread takes none. */
static int start_thread(struct kl_store *store)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = uv_thread_create(&store->thread, run, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* --- back on the loop --------------------------------------------------------------------------- */

static void note_fault(struct kl_store *store, const struct kl_txn *txn)
{
    if (txn->write_fault)
        store->fault = txn->job.err;
    else if (txn->job.err.code == KILTER_OK)
        store->fault.code = KILTER_OK;
}

static void finish_txn(struct kl_store *store, struct kl_txn *txn, int64_t *last_event)
{
    note_fault(store, txn);
    store->queued_bytes -= txn->bytes;
    if (txn->last_event > *last_event)
        *last_event = txn->last_event;
    struct kilter_error err = txn->job.err;
    at_hand = txn;
    if (txn->callback)
        txn->callback(txn->data, &err, txn);
    kl_txn_free(at_hand);
}

static void finish_query(struct kl_query *query)
{
    query->callback(query->data, &query->job.err, kl_steal(query->result));
    kl_query_free(query);
}

/* Calls the callbacks of what is finished, in order. More may finish meanwhile. */
static void deliver(struct kl_store *store)
{
    int64_t last_event = 0;
    for (;;) {
        uv_mutex_lock(&store->mutex);
        struct kl_job *job = take_first(&store->finished);
        uv_mutex_unlock(&store->mutex);
        if (!job)
            break;
        if (job->is_query)
            finish_query((struct kl_query *)job);
        else
            finish_txn(store, (struct kl_txn *)job, &last_event);
    }
    if (last_event && store->on_event)
        store->on_event(store->on_event_data, last_event);
}

static void free_store(struct kl_store *store)
{
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store->path);
    free(store->installation);
    free(store->lineage);
    free(store->backup);
    free(store);
}

static void on_async_closed(uv_handle_t *handle)
{
    struct kl_store *store = handle->data;
    /* What was submitted since the thread ended; it is answered as cancelled. */
    deliver(store);
    uv_mutex_destroy(&store->mutex);
    uv_cond_destroy(&store->wake);
    void (*callback)(void *) = store->on_close;
    void *data = store->on_close_data;
    free(store->async);
    free_store(store);
    if (callback)
        callback(data);
}

static void on_async(uv_async_t *async)
{
    struct kl_store *store = async->data;
    deliver(store);
    uv_mutex_lock(&store->mutex);
    bool over = store->stopped && !store->finished.first;
    uv_mutex_unlock(&store->mutex);
    if (!over || store->async_closing)
        return;
    store->async_closing = true;
    uv_thread_join(&store->thread);
    uv_close((uv_handle_t *)store->async, on_async_closed);
}

/* --- submitting ------------------------------------------------------------------------------------ */

void kl_store_submit(struct kl_store *store, struct kl_job *job)
{
    uv_mutex_lock(&store->mutex);
    if (store->closing)
        kilter_error_set(&job->err, KILTER_E_CANCELLED, "the store is being closed");
    if (job->err.code != KILTER_OK) {
        append(&store->finished, job);
        if (!store->async_closing)
            uv_async_send(store->async);
    } else {
        append(&store->waiting, job);
        uv_cond_signal(&store->wake);
    }
    uv_mutex_unlock(&store->mutex);
}

void kl_store_let_go(struct kl_txn *txn)
{
    if (at_hand == txn)
        at_hand = NULL;
}

uint64_t kl_store_max_txn_bytes(const struct kl_store *store)
{
    return store->max_queued_bytes;
}

void kl_store_commit(struct kl_store *store, struct kl_txn *txn, enum kl_durability durability,
                     kl_commit_fn callback, void *data)
{
    if (!txn && !(txn = calloc(1, sizeof(*txn)))) {
        struct kilter_error err = KILTER_ERROR_INIT;
        kilter_error_set(&err, KILTER_E_NOMEM, "out of memory");
        if (callback)
            callback(data, &err, NULL);
        return;
    }
    kl_store_let_go(txn);
    txn->job.err.code = KILTER_OK;
    txn->write_fault = false;
    txn->last_event = 0;
    txn->durability = durability;
    txn->callback = callback;
    txn->data = data;
    if (txn->failed || !txn->arena)
        kilter_error_set(&txn->job.err, KILTER_E_NOMEM, "out of memory while the transaction was made");
    else if (store->queued_bytes + txn->bytes > store->max_queued_bytes && store->queued_bytes > 0)
        kilter_error_set(&txn->job.err, KILTER_E_LIMIT, "%llu bytes wait for the store's disk already",
                         (unsigned long long)store->queued_bytes);
    store->queued_bytes += txn->bytes;
    kl_store_submit(store, &txn->job);
}

int64_t kl_store_new_id(struct kl_store *store)
{
    return store->next_id++;
}

const struct kl_store_info *kl_store_info(const struct kl_store *store)
{
    return &store->info;
}

int kl_store_fault(const struct kl_store *store, struct kilter_error *err)
{
    if (err && store->fault.code != KILTER_OK)
        *err = store->fault;
    return store->fault.code;
}

void kl_store_listen(struct kl_store *store, void (*callback)(void *data, int64_t last_event), void *data)
{
    store->on_event = callback;
    store->on_event_data = data;
}

void kl_store_close(struct kl_store *store, void (*callback)(void *data), void *data)
{
    if (!store)
        return;
    store->on_close = callback;
    store->on_close_data = data;
    uv_mutex_lock(&store->mutex);
    store->closing = true;
    uv_cond_signal(&store->wake);
    uv_mutex_unlock(&store->mutex);
}

/* --- opening --------------------------------------------------------------------------------------- */

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    /* Sizes are compared as int64_t in SQL. */
    uint64_t chosen = value ? value : otherwise;
    return chosen < INT64_MAX / 4 ? chosen : INT64_MAX / 4;
}

static void set_limits(struct kl_store *store, const struct kl_store_options *options)
{
    const uint64_t mebibyte = UINT64_C(1) << 20;
    store->max_result_bytes = or_default(options->max_result_bytes, 256 * mebibyte);
    store->max_queued_bytes = or_default(options->max_queued_bytes, 256 * mebibyte);
    store->db.max_artifact_bytes = or_default(options->max_artifact_bytes, 256 * mebibyte);
    store->db.max_events = or_default(options->max_events, 200000);
    store->db.max_event_age_ms =
        options->max_event_age_ms > 0 ? options->max_event_age_ms : INT64_C(400) * 24 * 3600 * 1000;
    store->db.max_history = options->max_history ? options->max_history : 500;
}

/* The path with the links of its directory resolved, and its own when it is there: one store has one lock,
 * whatever way leads to it. */
static char *resolve(const char *path, struct kilter_error *err)
{
    char *whole = realpath(path, NULL);
    if (whole)
        return whole;
    if (errno != ENOENT) {
        kilter_error_errno(err, errno, "the store %s", path);
        return NULL;
    }
    KL_CLEANUP(kl_freep) char *for_directory = strdup(path);
    KL_CLEANUP(kl_freep) char *for_name = strdup(path);
    KL_CLEANUP(kl_freep) char *directory = for_directory ? realpath(dirname(for_directory), NULL) : NULL;
    if (!directory || !for_name) {
        kilter_error_errno(err, errno, "the directory of the store %s", path);
        return NULL;
    }
    if (asprintf(&whole, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, basename(for_name)) < 0) {
        kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
        return NULL;
    }
    return whole;
}

static int read_meta(struct kl_db *db, const char *key, char **ret, struct kilter_error *err)
{
    sqlite3_stmt *statement;
    int status = kl_db_query(db, &statement, err, "SELECT value FROM meta WHERE key = ?", "t", kilter_str_c(key));
    if (status == 0)
        status = kl_db_next(db, statement, err);
    if (status < 0)
        return status;
    if (status == 0)
        return kilter_error_set(err, KILTER_E_INTERNAL, "the store has no %s", key);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    *ret = text ? strdup(text) : NULL;
    kl_db_done(statement);
    return *ret ? 0 : kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
}

/* What the loop needs to know of the tables before the thread has them. */
static int read_start(struct kl_store *store, struct kilter_error *err)
{
    struct kl_db *db = &store->db;
    int status = read_meta(db, "installation", &store->installation, err);
    if (status == 0)
        status = read_meta(db, "lineage", &store->lineage, err);
    if (status == 0)
        status = kl_db_number(db, &store->next_id, 0, err,
                              "SELECT max(seq) FROM sqlite_sequence WHERE name IN ('apps', 'history')", "");
    if (status == 0)
        status = kl_db_number(db, &db->last_used_us, 0, err, "SELECT max(used) FROM artifacts", "");
    store->next_id++;
    if (status == 0)
        status = kl_db_script(db, "BEGIN IMMEDIATE", err);
    if (status == 0)
        status = kl_group_trim_events(db, err);
    if (status == 0)
        status = kl_db_script(db, "COMMIT", err);
    return status;
}

static int open_file(struct kl_store *store, const char *path, const struct kl_store_options *options,
                     const struct kl_schema *schema, struct kilter_error *err)
{
    struct kl_schema_report report;
    store->path = resolve(path, err);
    if (!store->path)
        return err ? err->code : KILTER_E_IO;
    int status = kl_lock_take(store->path, &store->lock_fd, err);
    if (status == 0)
        status = kl_schema_open(&store->db, store->path, schema, options->installation, &report, err);
    if (status < 0)
        return status;
    store->backup = report.backup;
    status = read_start(store, err);
    if (status < 0)
        return kilter_error_wrap(err, "the store %s", store->path);
    store->info = (struct kl_store_info){
        .path = store->path,
        .installation = store->installation,
        .lineage = store->lineage,
        .schema = schema->version,
        .migrated_from = report.migrated_from,
        .backup = store->backup,
        .created = report.created,
        .unclean = report.unclean,
    };
    return 0;
}

static int make_locks(struct kl_store *store)
{
    int status = uv_mutex_init(&store->mutex);
    if (status < 0)
        return status;
    status = uv_cond_init(&store->wake);
    if (status < 0)
        uv_mutex_destroy(&store->mutex);
    return status;
}

static void on_failed_start(uv_handle_t *handle)
{
    free(handle);
}

/* The handle is allocated by itself: when the thread cannot be started, the loop keeps it a moment longer than the
 * store lives. */
static int start(struct kl_store *store, uv_loop_t *loop, struct kilter_error *err)
{
    store->async = malloc(sizeof(*store->async));
    if (!store->async)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    int status = make_locks(store);
    if (status == 0) {
        status = uv_async_init(loop, store->async, on_async);
        if (status == 0) {
            store->async->data = store;
            status = start_thread(store);
            if (status == 0)
                return 0;
            uv_close((uv_handle_t *)store->async, on_failed_start);
            store->async = NULL;
        }
        uv_cond_destroy(&store->wake);
        uv_mutex_destroy(&store->mutex);
    }
    free(store->async);
    return kilter_error_errno(err, -status, "starting the store's thread");
}

int kl_store_open_schema(uv_loop_t *loop, const char *path, const struct kl_store_options *options,
                         const struct kl_schema *schema, struct kl_store **ret_store, struct kilter_error *err)
{
    static const struct kl_store_options defaults = KL_STORE_OPTIONS_INIT;
    struct kl_store *store = calloc(1, sizeof(*store));
    if (!store)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    store->lock_fd = -1;
    set_limits(store, options ? options : &defaults);
    int status = open_file(store, path, options ? options : &defaults, schema, err);
    if (status == 0)
        status = start(store, loop, err);
    if (status < 0) {
        if (store->db.handle)
            kl_schema_close(&store->db, NULL);
        free_store(store);
        return status;
    }
    *ret_store = store;
    return 0;
}

int kl_store_open(uv_loop_t *loop, const char *path, const struct kl_store_options *options,
                  struct kl_store **ret_store, struct kilter_error *err)
{
    return kl_store_open_schema(loop, path, options, &kl_schema_current, ret_store, err);
}
