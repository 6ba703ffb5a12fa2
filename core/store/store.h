/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h: what kilter remembers: apps, what they own, sources, history, the
 * audit log, approvals and cached renders.
 *
 * A store is one file, opened by one process at a time. It belongs to one
 * event loop: every function here is called on the loop's thread, and every
 * callback runs there, never from inside the call that asked for it (but when
 * there is not even the memory to remember the question). The store owns one
 * thread that does all reading and writing after the opening; the loop never
 * waits for the disk.
 *
 * Changes are collected in a transaction and happen all or not at all. What is
 * asked of the store is done in the order it was asked: a query sees every
 * transaction that was submitted before it. Documents (states, attributes,
 * summaries) are JSON texts that the store does not look into; secrets never
 * belong in them.
 *
 * The structs of what is kept end in _row: the live things of manifest and reconciler have the names without.
 *
 * Nothing here is particular to one database. Times are milliseconds since 1970
 * (`_ms`), texts are copied by whoever keeps them, an absent text reads back
 * as an empty one, and an id of 0 means none.
 */
#ifndef KL_STORE_STORE_H
#define KL_STORE_STORE_H

#include <kilter/target.h>
#include <uv.h>

struct kl_store;
struct kl_txn;

/* --- opening and closing -------------------------------------------------------- */
struct kl_store_options {
    struct kilter_str installation; /* written into a new store; an existing one keeps its own */
    uint64_t max_artifact_bytes;    /* of all cached artifacts together; 0: 256 MiB */
    uint64_t max_queued_bytes;      /* of transactions that wait for the disk; 0: 256 MiB */
    uint64_t max_result_bytes;      /* of one query's result; 0: 256 MiB */
    uint64_t max_events;            /* kept in the audit log; 0: 200,000 */
    int64_t max_event_age_ms;       /* older ones go; 0: 400 days */
    uint32_t max_history;           /* finished entries kept for each app; 0: 500 */
};

#define KL_STORE_OPTIONS_INIT                                                                                      \
    {                                                                                                              \
        { NULL, 0 }, 0, 0, 0, 0, 0, 0                                                                              \
    }

/* What is known about an open store; valid until it is closed. */
struct kl_store_info {
    const char *path;
    const char *installation; /* as it was given when the store was made */
    const char *lineage;      /* a UUID, made with the store and never changed: tells a copy's history apart */
    uint32_t schema;          /* the version of the tables */
    uint32_t migrated_from;   /* the version they had before this opening; equal to `schema` mostly */
    const char *backup;       /* the copy that was made before migrating, or NULL */
    bool created;             /* there was no store before */
    bool unclean;             /* the last process that had it open did not close it; it was checked */
};

/* Opens or creates the store at `path`, migrates it and starts its thread. Blocks; for the start of a program.
 * `options` may be NULL. The file and those beside it have mode 0600.
 * KILTER_E_CONFLICT: another process has it open (the message names its pid); KILTER_E_UNSUPPORTED: a newer
 * kilter wrote it; KILTER_E_IO with sys_errno EUCLEAN: it is damaged, or no store of kilter's; other KILTER_E_IO
 * and KILTER_E_PERMISSION as the system says. A store that cannot be opened is left as it is. */
int kl_store_open(uv_loop_t *loop, const char *path, const struct kl_store_options *options,
                  struct kl_store **ret_store, struct kilter_error *err) KILTER_NODISCARD;

/* Does what was asked so far, calls its callbacks, closes the file, then calls `callback` (may be NULL) and frees
 * the store. What is submitted after this call is answered with KILTER_E_CANCELLED. Takes NULL (no callback). */
void kl_store_close(struct kl_store *store, void (*callback)(void *data), void *data);

const struct kl_store_info *kl_store_info(const struct kl_store *store);

/* Whether the store can be written as far as is known: 0, or the code of the last write that failed for a reason
 * that is not its own (disk full, read-only, i/o), when none succeeded since. For health checks. */
int kl_store_fault(const struct kl_store *store, struct kilter_error *err);

/* `callback` runs after commits that added events, with the id of the newest; one callback, NULL for none. */
void kl_store_listen(struct kl_store *store, void (*callback)(void *data, int64_t last_event), void *data);

/* An id for a new app or history entry. Never given twice in the life of a store, but for ids that no committed
 * transaction used. */
int64_t kl_store_new_id(struct kl_store *store);

/* --- transactions ----------------------------------------------------------------
 *
 *     struct kl_txn *txn = kl_txn_new(store);
 *     kl_txn_put_record(txn, &record);
 *     kl_txn_add_event(txn, &event);
 *     kl_store_commit(store, txn, KL_DURABLE, on_committed, app);
 *
 * Whatever goes wrong while it is built (memory) is kept and comes out of the commit. What is put is
 * copied. */

enum kl_durability {
    KL_RELAXED = 1, /* survives the death of this process once the callback ran; a power failure may take it,
                     * never without all that came after it */
    KL_DURABLE = 2, /* survives a power failure, with all that was committed before it */
};

/* NULL when out of memory; every function that takes a transaction takes that NULL, and the commit reports it. */
struct kl_txn *kl_txn_new(struct kl_store *store);
/* For one that is not committed. Takes NULL. */
void kl_txn_free(struct kl_txn *txn);
/* Whether nothing was put into it (committing it is harmless). */
bool kl_txn_empty(const struct kl_txn *txn);

/* How a commit ended. err->code is KILTER_OK, or
 * KILTER_E_CONFLICT   a claim or a name has another owner; the message names it
 * KILTER_E_NOT_FOUND  an app or record it changes is not there
 * KILTER_E_LIMIT      too much waits for the disk already
 * KILTER_E_CANCELLED  the store is being closed
 * KILTER_E_IO         sys_errno says which: ENOSPC disk full, EROFS read-only, EIO, EUCLEAN damaged
 * KILTER_E_NOMEM
 * After a failure nothing of the transaction happened. `txn` is freed when the callback returns, unless it took
 * it with kl_txn_keep. */
typedef void (*kl_commit_fn)(void *data, const struct kilter_error *err, struct kl_txn *txn);

/* Takes over `txn`. `callback` may be NULL. */
void kl_store_commit(struct kl_store *store, struct kl_txn *txn, enum kl_durability durability,
                     kl_commit_fn callback, void *data);
/* In a commit's callback: the transaction is the caller's again, to be committed once more or freed. */
void kl_txn_keep(struct kl_txn *txn);

/* --- apps ------------------------------------------------------------------------- */
struct kl_app_row {
    int64_t id;             /* kl_store_new_id; stays when the app is renamed */
    struct kilter_str name; /* unique, "payment-service@prod" */
    struct kilter_str target;
    struct kilter_str identity; /* of the target when it was last seen; empty: never */
    struct kilter_str state;    /* JSON, the reconciler's */
    bool removed;               /* left the manifest; what it owns is still to be dealt with */
    int64_t created_ms;
};

/* Inserts, or replaces what is there under the id (all but created_ms). CONFLICT when another app has the name. */
void kl_txn_put_app(struct kl_txn *txn, const struct kl_app_row *app);
/* The inventory, claims, history and approvals stay with the id. */
void kl_txn_rename_app(struct kl_txn *txn, int64_t app, struct kilter_str name);
void kl_txn_set_app_removed(struct kl_txn *txn, int64_t app, bool removed);
void kl_txn_put_app_state(struct kl_txn *txn, int64_t app, struct kilter_str state);
void kl_txn_put_app_identity(struct kl_txn *txn, int64_t app, struct kilter_str identity);
/* With its inventory, claims, history, approvals and cached renders; its events stay. Nothing happens when it
 * is not there. */
void kl_txn_delete_app(struct kl_txn *txn, int64_t app);

/* --- inventory --------------------------------------------------------------------- */
struct kl_record_row {
    int64_t app;
    struct kilter_id id; /* api_version is kept as given; group, kind, namespace and name identify */
    const struct kilter_str *claims;
    size_t claim_count;
    enum kilter_record_status status;
    uint32_t schema_version;
    struct kilter_str attributes;   /* JSON */
    struct kilter_str directives;   /* JSON */
    struct kilter_str dependencies; /* JSON */
    struct kilter_str last_good;    /* commits */
    struct kilter_str last_bad;
    int64_t updated_ms; /* 0 when put: now */
};

/* "group/kind/namespace/name", the key of a resource: the same for the same resource whatever its version. The
 * name is as it is, the other parts have '/' and '%' escaped. 0 or the buffer's failure. */
int kl_record_key(struct kilter_buf *out, const struct kilter_id *id);

/* Inserts or replaces the record and its claims. CONFLICT when a claim is held by another app, or by another record
 * of this one. Within a transaction claims are given up before any is taken: a claim may move between records and
 * apps, in whatever order they are put and deleted. */
void kl_txn_put_record(struct kl_txn *txn, const struct kl_record_row *record);
/* NOT_FOUND when there is no such record. */
void kl_txn_put_record_status(struct kl_txn *txn, int64_t app, const struct kilter_id *id,
                              enum kilter_record_status status);
/* With its claims. Nothing happens when it is not there. */
void kl_txn_delete_record(struct kl_txn *txn, int64_t app, const struct kilter_id *id);

/* Who holds a claim. */
struct kl_owner_row {
    struct kilter_str claim;
    int64_t app;
    struct kilter_str app_name;
    struct kilter_id id;
};

/* --- sources, renders --------------------------------------------------------------- */
struct kl_source_row {
    struct kilter_str name;
    struct kilter_str state; /* JSON */
};

void kl_txn_put_source(struct kl_txn *txn, struct kilter_str name, struct kilter_str state);
void kl_txn_delete_source(struct kl_txn *txn, struct kilter_str name);

/* What the last render of an app asked of its tree, in the reconciler's form. */
struct kl_asked_row {
    int64_t app;
    struct kilter_str commit;
    struct kilter_str artifact; /* key of the artifact that came of it, or empty */
    struct kilter_str blob;
};

void kl_txn_put_asked(struct kl_txn *txn, const struct kl_asked_row *asked);
void kl_txn_delete_asked(struct kl_txn *txn, int64_t app);

/* A cached render. The cache is bounded: the ones longest unused go first. */
struct kl_artifact_row {
    struct kilter_str key;
    int64_t app; /* 0: of no app in particular */
    struct kilter_str blob;
    int64_t created_ms; /* filled when read */
    int64_t used_ms;    /* filled when read */
};

/* `secret`: it holds secret values. It is not stored then, and what was stored under the key is removed. One
 * that is larger than the whole cache is not stored either. */
void kl_txn_put_artifact(struct kl_txn *txn, const struct kl_artifact_row *artifact, bool secret);
void kl_txn_delete_artifact(struct kl_txn *txn, struct kilter_str key);

/* --- history, events, approvals ------------------------------------------------------ */
/* One reconcile. */
struct kl_history_row {
    int64_t id; /* kl_store_new_id */
    int64_t app;
    int64_t started_ms;
    int64_t finished_ms; /* 0: not finished */
    struct kilter_str commit;
    struct kilter_str previous_commit;
    struct kilter_str author;
    struct kilter_str subject;
    struct kilter_str trigger; /* "commit", "drift", "sync", ... */
    struct kilter_str actor;
    struct kilter_str result;
    struct kilter_str reason;
    struct kilter_str counts; /* JSON */
    struct kilter_str plan_digest;
    struct kilter_str message;
    struct kilter_str summary; /* JSON; left out of lists */
};

/* Inserts, or replaces the entry of that id. NOT_FOUND when the app is not there. */
void kl_txn_put_history(struct kl_txn *txn, const struct kl_history_row *history);

enum kl_severity { KL_DEBUG = 1, KL_INFO = 2, KL_WARNING = 3, KL_ERROR = 4 };

/* One line of the audit log: never changed once written. */
struct kl_event_row {
    int64_t id;                 /* given by the store, in the order of commits; filled when read */
    int64_t time_ms;            /* 0 when added: now */
    int64_t app;                /* 0: none; need not exist any more */
    struct kilter_str app_name; /* as it was then */
    struct kilter_str kind;
    struct kilter_str actor; /* who or what: "uid:1000", "webhook", "timer" */
    struct kilter_str commit;
    struct kilter_str author;
    enum kl_severity severity;
    struct kilter_str message;
    struct kilter_str data; /* JSON */
};

void kl_txn_add_event(struct kl_txn *txn, const struct kl_event_row *event);

struct kl_approval_row {
    int64_t app;
    struct kilter_str plan_digest;
    struct kilter_str commit;
    struct kilter_str actor;
    int64_t time_ms; /* 0 when put: now */
    bool is_void;
};

/* Inserts or replaces the approval of that app and plan. NOT_FOUND when the app is not there. */
void kl_txn_put_approval(struct kl_txn *txn, const struct kl_approval_row *approval);
/* Voids one plan's approval, or with an absent digest all of the app's. */
void kl_txn_void_approval(struct kl_txn *txn, int64_t app, struct kilter_str plan_digest);

/* --- anything else -------------------------------------------------------------------- */
struct kl_pair_row {
    struct kilter_str key;
    struct kilter_str value;
};

/* An absent value removes the key. */
void kl_txn_put_pair(struct kl_txn *txn, struct kilter_str key, struct kilter_str value);

/* --- queries ---------------------------------------------------------------------------
 * Each fills the lists it names and leaves the others empty; what is not there is an empty list, not an
 * error. The result belongs to the callback, which frees it or hands it on. */
struct kl_rows {
    struct kilter_arena *arena; /* holds the result itself and every text */
    const struct kl_app_row *apps;
    size_t app_count;
    const struct kl_source_row *sources;
    size_t source_count;
    const struct kl_record_row *records;
    size_t record_count;
    const struct kl_owner_row *owners;
    size_t owner_count;
    const struct kl_asked_row *asked;
    size_t asked_count;
    const struct kl_artifact_row *artifacts;
    size_t artifact_count;
    const struct kl_history_row *history;
    size_t history_count;
    const struct kl_event_row *events;
    size_t event_count;
    const struct kl_approval_row *approvals;
    size_t approval_count;
    const struct kl_pair_row *pairs;
    size_t pair_count;
    bool more; /* history, events: there is another page, from the last id on */
};

/* Takes NULL. */
void kl_rows_free(struct kl_rows *result);

/* `result` is NULL when err->code is not KILTER_OK: KILTER_E_LIMIT for a result that is too large,
 * KILTER_E_CANCELLED, KILTER_E_IO or KILTER_E_NOMEM as for commits. */
typedef void (*kl_query_fn)(void *data, const struct kilter_error *err, struct kl_rows *result);

/* What a start needs: all apps by name, all sources, and the history entries that were never finished. */
void kl_store_load(struct kl_store *store, kl_query_fn callback, void *data);
/* records: of one app, by key. */
void kl_store_list_records(struct kl_store *store, int64_t app, kl_query_fn callback, void *data);
/* owners: of those claims that have one. */
void kl_store_find_owners(struct kl_store *store, const struct kilter_str *claims, size_t count,
                          kl_query_fn callback, void *data);
/* asked: of one app; 0: of all. */
void kl_store_get_asked(struct kl_store *store, int64_t app, kl_query_fn callback, void *data);
/* artifacts: the one of that key; counts as a use of it. */
void kl_store_get_artifact(struct kl_store *store, struct kilter_str key, kl_query_fn callback, void *data);
/* history: newest first, without summaries. `before`: only entries older than that one (0: from the newest).
 * `limit` 0 means 100; at most 1000. */
void kl_store_list_history(struct kl_store *store, int64_t app, int64_t before, uint32_t limit,
                           kl_query_fn callback, void *data);
/* history: one entry, with its summary. */
void kl_store_get_history(struct kl_store *store, int64_t id, kl_query_fn callback, void *data);

struct kl_event_filter {
    int64_t app;                /* 0: any */
    struct kilter_str app_name; /* absent: any; finds apps that are gone */
    struct kilter_str kind;     /* absent: any */
    enum kl_severity severity;  /* at least; 0: any */
    int64_t after;              /* only newer than this id; with it the oldest come first, for following the log */
    bool follow;                /* oldest first even when `after` is 0 */
    int64_t before;             /* only older than this id; 0: any */
    uint32_t limit;             /* 0 means 100; at most 1000 */
};

#define KL_EVENT_FILTER_INIT                                                                                       \
    {                                                                                                              \
        0, { NULL, 0 }, { NULL, 0 }, (enum kl_severity)0, 0, false, 0, 0                                           \
    }

/* events: newest first, but for a filter that follows. */
void kl_store_list_events(struct kl_store *store, const struct kl_event_filter *filter, kl_query_fn callback,
                          void *data);
/* approvals: of one app, newest first, void ones included. */
void kl_store_list_approvals(struct kl_store *store, int64_t app, kl_query_fn callback, void *data);
/* pairs: those whose key begins with `prefix`, by key. */
void kl_store_list_pairs(struct kl_store *store, struct kilter_str prefix, kl_query_fn callback, void *data);

#endif
