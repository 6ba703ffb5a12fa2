/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h: the workers of kilterd, and the jobs they do.
 *
 * The pool owns every kilter-worker process of this process: it starts one
 * when a job needs it, keeps it for the next job of the same role and key,
 * gives each job a deadline and limits, and ends a worker (with its whole
 * process group) that breaks one. Whatever a plugin does, it ends one job with
 * a message that names the plugin and the callback. A plugin that keeps doing
 * it is quarantined: its jobs fail at once until the time is over, except for
 * those that a person asks for, which try it again; one success lifts it.
 *
 * Everything happens on the thread of the loop. No callback is ever called
 * from inside a function of this header. A process has one pool, which makes
 * the process the reaper of what its workers leave behind (PR_SET_CHILD_SUBREAPER);
 * other children of the process must stay in its session, or are taken for such.
 */
#ifndef KL_POOL_POOL_H
#define KL_POOL_POOL_H

#include <kilter/plugin.h>
#include <uv.h>

struct kl_pool;
struct kl_job;

enum kl_role { KL_ROLE_FETCH = 0, KL_ROLE_RENDER = 1, KL_ROLE_APPLY = 2, KL_ROLE_INSPECT = 3 };
#define KL_ROLE_COUNT 4

/* "fetch", "render", "apply", "inspect": the worker's --role. */
const char *kl_role_name(enum kl_role role);

/* --- options ----------------------------------------------------------------------------------- */
struct kl_pool_options {
    const char *worker;           /* path of kilter-worker; required */
    const char *state_id;         /* names this daemon's state directory in its workers' environment, for
                                   * kl_pool_sweep; required */
    const char *const *read_dirs; /* NULL-terminated; what render and apply workers may read (mirrors) */

    /* What one worker may use. */
    uint64_t memory;      /* bytes */
    unsigned cpu_seconds; /* of one job */
    unsigned files;       /* open descriptors */
    uint64_t output;      /* bytes that one job may log, and as much again that it may print; what is beyond is
                           * dropped with one message, and sixteen times as much ends the job */
    uint64_t max_items;   /* ITEM and DIAG frames of one job, or of a minute of a long-lived one */
    uint64_t max_bytes;   /* bytes of these */

    unsigned max_workers;                /* at a time; long-lived jobs come on top */
    unsigned max_of_role[KL_ROLE_COUNT]; /* jobs running at a time; 0: max_workers, and two thirds for fetch */
    unsigned max_of_key[KL_ROLE_COUNT];  /* jobs of one role and key running at a time; 0: max_workers */
    unsigned max_long_lived;

    int64_t idle_ms;         /* an idle worker is ended after this */
    unsigned jobs_of_worker; /* a worker is replaced after so many jobs */
    uint64_t recycle_rss;    /* or when it holds more than this, bytes */
    int64_t hello_ms;        /* a worker that is not there after this is killed */
    int64_t cancel_grace_ms; /* from CANCEL (or the deadline) to SIGKILL */

    int64_t backoff_ms, backoff_max_ms;       /* before the second replacement in a row; doubles */
    unsigned quarantine_faults;               /* so many faults of a plugin */
    int64_t quarantine_window_ms;             /* within this */
    int64_t quarantine_ms, quarantine_max_ms; /* quarantine it for this; doubles each time */
};

/* Sets every default; worker and state_id stay to be filled in. */
void kl_pool_options_init(struct kl_pool_options *options);

/* --- pool ---------------------------------------------------------------------------------------- */
/* The options' strings are copied. */
int kl_pool_new(uv_loop_t *loop, const struct kl_pool_options *options, struct kl_pool **ret,
                struct kilter_error *err);

/* Ends everything: queued jobs end as cancelled; running ones may go on for drain_ms, are then cancelled, and
 * killed after the grace time. All outcomes are delivered, then `closed` is called, when the pool is freed
 * and no process of it is left. Takes no jobs from now on. */
void kl_pool_close(struct kl_pool *pool, int64_t drain_ms, void (*closed)(void *data), void *data);

/* Before the first pool of a daemon: kills the workers (and their children) that an earlier daemon of the
 * same state_id left behind when it was killed. How many there were, or a negative status. */
int kl_pool_sweep(const char *state_id, struct kilter_error *err);

/* --- jobs ------------------------------------------------------------------------------------------ */
/* Earlier in line by how much: a person's job stands before all commits of the last 30 seconds and all drift
 * checks of the last 2 minutes; so nothing waits for ever. */
enum kl_priority { KL_PRIORITY_PERSON = 0, KL_PRIORITY_COMMIT = 1, KL_PRIORITY_DRIFT = 2 };

/* One DATA payload: a value, or if that is NULL, bytes that are an encoded value already. */
struct kl_payload {
    const struct kilter_value *value;
    struct kilter_str encoded;
};

/* Whether trying again without any change can help. */
enum kl_job_class { KL_JOB_OK = 0, KL_JOB_TRANSIENT = 1, KL_JOB_TERMINAL = 2 };

struct kl_job_outcome {
    int status;                       /* enum kilter_status: what the worker said, or what befell it */
    enum kl_job_class class;          /* KL_JOB_OK when status is KILTER_OK */
    bool fault;                       /* the plugin crashed, hung, flooded, broke the protocol: not the input's */
    bool quarantined;                 /* it was not even tried */
    const char *message;              /* one line, whole; "" when status is KILTER_OK */
    const struct kilter_value *done;  /* the DONE map; NULL when there was none */
    const struct kilter_diags *diags; /* all that came by DIAG */
    int64_t waited_ns, ran_ns;        /* in the queue; on a worker */
};

struct kl_job_handler {
    /* An ITEM. `item` is NULL for a spec with raw_items. Both live until the callback returns. */
    void (*on_item)(void *data, const struct kilter_value *item, struct kilter_str encoded);
    void (*on_diag)(void *data, const struct kilter_diag *diag);
    /* A plugin's LOG record. NULL: the pool logs it with the plugin's name. */
    void (*on_log)(void *data, enum kilter_log_level level, struct kilter_str message);
    /* Exactly once, last of all. No process works on the job any more. The outcome and what it points to
     * live until the callback returns, and so does the job's handle. */
    void (*on_done)(void *data, const struct kl_job_outcome *outcome);
};

struct kl_job_spec {
    enum kl_role role;
    struct kilter_str key;    /* workers are reused for the same role and key: the plugin's file, the target */
    struct kilter_str plugin; /* the plugin's name, for messages and quarantine; empty when there is none */
    struct kilter_str verb;   /* wire/jobs.h */
    const struct kilter_value *arguments; /* map; `verb` and `deadlineMs` are added; NULL: none */
    const struct kl_payload *payloads;
    size_t payload_count;
    int64_t deadline_ms; /* from its start on a worker; 0: none, for long-lived jobs */
    enum kl_priority priority;
    unsigned max_parallel; /* jobs of this role and key at a time; 0: the pool's max_of_key */
    bool long_lived;       /* runs until it is cancelled (watch): counts against no limit but max_long_lived,
                            * and its end by KILTER_E_CANCELLED after kl_job_cancel is no failure */
    bool raw_items;        /* do not decode items */
    struct kl_job_handler handler;
    void *data; /* of the handler */
};

/* Encodes the job and puts it in line; the spec may go afterwards. KILTER_E_LIMIT when a payload is longer
 * than a frame, KILTER_E_CANCELLED when the pool is closing; then no callback is called. */
int kl_pool_submit(struct kl_pool *pool, const struct kl_job_spec *spec, struct kl_job **ret,
                   struct kilter_error *err);
/* Asks for its end; on_done still comes: with KILTER_E_CANCELLED, or with what the worker answered if it had
 * finished. A worker that does not end within cancel_grace_ms is killed. Again is harmless. */
void kl_job_cancel(struct kl_job *job);
/* Whether it is on a worker (and not in line). */
bool kl_job_running(const struct kl_job *job);

/* --- what is going on ---------------------------------------------------------------------------------- */
struct kl_pool_stats {
    unsigned starting[KL_ROLE_COUNT], busy[KL_ROLE_COUNT], idle[KL_ROLE_COUNT]; /* workers now */
    unsigned queued;                                                            /* jobs in line now */
    unsigned quarantined;                                                       /* plugins now */
    uint64_t started;                                                           /* workers, ever */
    uint64_t died;                                                              /* workers that ended unasked */
    uint64_t killed;                                                            /* workers that had to be killed */
    uint64_t retired;     /* workers that ended as asked: idle, old, grown */
    uint64_t jobs_done;   /* jobs that ended with KILTER_OK */
    uint64_t jobs_failed; /* all others, cancelled ones included */
};
void kl_pool_stats(const struct kl_pool *pool, struct kl_pool_stats *ret);

/* What the pool remembers of a plugin that had a fault. */
struct kl_plugin_faults {
    struct kilter_str plugin;
    unsigned recent; /* faults within the window */
    uint64_t ever;
    const char *last; /* message of the last one */
    int64_t last_ms;  /* wall clock */
    bool quarantined;
    int64_t since_ms, until_ms; /* wall clock; of the present quarantine */
};
/* false: the plugin had no fault since the pool was made. Texts live until the loop goes on. */
bool kl_pool_plugin_faults(const struct kl_pool *pool, struct kilter_str plugin, struct kl_plugin_faults *ret);
/* Walks all of them: *at begins with 0. */
bool kl_pool_plugin_next(const struct kl_pool *pool, size_t *at, struct kl_plugin_faults *ret);
/* Lifts a quarantine and forgets the recent faults. KILTER_E_NOT_FOUND when there is none. */
int kl_pool_quarantine_lift(struct kl_pool *pool, struct kilter_str plugin);

#endif
