/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_private.h: what the files of the pool share.
 *
 *     pool.c          the line of jobs, who may run, who gets which worker
 *     pool_job.c      a job before it runs
 *     pool_worker.c   one process: its channels, its timers, its end
 *     pool_launch.c   what it is started with
 *     pool_frames.c   what it says and prints
 *     pool_outcome.c  how an end is told
 *     pool_faults.c   who crashed how often, quarantine
 *
 * A job is in line, or on exactly one worker, until its outcome is delivered.
 * A worker lives until its process is reaped and its handles are closed.
 */
#ifndef KL_POOL_PRIVATE_H
#define KL_POOL_PRIVATE_H

#include "base/map.h"
#include "pool/pool.h"
#include "pool/spawn.h"
#include "wire/frame.h"

#include <sys/queue.h>

/* Beyond its limit a worker's output is dropped; beyond this many times the limit it is killed. */
#define KL_POOL_FLOOD_FACTOR 16u
/* Limits of a long-lived job count anew after this. */
#define KL_POOL_WINDOW_NS (INT64_C(60) * 1000000000)

/* --- faults of plugins ------------------------------------------------------------------------------ */
#define KL_FAULTS_KEPT 32 /* times of the last faults; quarantine_faults is at most this */

struct kl_plugin_record {
    char *name;
    int64_t times_ns[KL_FAULTS_KEPT]; /* monotonic, a ring */
    size_t next, kept;
    uint64_t ever;
    char *last_message, *last_verb;
    int64_t last_ms;            /* wall clock */
    unsigned level;             /* quarantines in a row */
    bool quarantined;           /* until the next success, even when its time is over */
    unsigned probes;            /* jobs that run although it is quarantined */
    int64_t until_ns;           /* monotonic */
    int64_t since_ms, until_ms; /* wall clock */
};

enum kl_admission { KL_ADMIT, KL_ADMIT_LATER, KL_ADMIT_REFUSE };

struct kl_plugin_record *kl_faults_find(const struct kl_pool *pool, struct kilter_str plugin);
/* Whether a job of the plugin may run now. LATER: another job is just trying whether it works again. */
enum kl_admission kl_faults_admit(const struct kl_pool *pool, const struct kl_job *job);
/* Notes a fault. `message` is what the user was told. */
void kl_faults_add(struct kl_pool *pool, struct kilter_str plugin, const char *verb, const char *message);
/* Notes a success: forgets the faults, unless they were in another verb. */
void kl_faults_success(struct kl_pool *pool, struct kilter_str plugin, const char *verb);
/* "plugin 'x' is quarantined since ... until ...", for a refused job; malloc'd. */
char *kl_faults_message(const struct kl_plugin_record *record, const struct kl_pool *pool);
void kl_faults_release(struct kl_pool *pool);

/* --- jobs -------------------------------------------------------------------------------------------- */
struct kl_job {
    TAILQ_ENTRY(kl_job) link; /* in line, while worker is NULL */
    struct kl_pool *pool;
    struct kl_worker *worker;
    struct kl_key *key;
    uint32_t id;
    enum kl_role role;
    char *plugin, *verb; /* plugin: "" when there is none */
    struct kl_job_handler handler;
    void *data;
    struct kilter_buf frames; /* JOB, DATA..., START, ready to be sent */
    int64_t deadline_ms;
    enum kl_priority priority;
    unsigned max_parallel;
    bool long_lived, raw_items, cancelled;
    bool running;    /* out of line */
    bool probe;      /* of a quarantined plugin */
    int64_t rank_ns; /* place in line: the moment it came, and a handicap by priority */
    int64_t queued_ns, started_ns;

    char **secrets; /* texts of the arguments that must not show in what is printed */
    size_t secret_count;
    struct kilter_diags *diags;
    int64_t window_ns; /* since when the following count */
    uint64_t items, bytes, logged, printed;
    bool log_cut, print_cut;
};

TAILQ_HEAD(kl_job_list, kl_job);

/* What is known of one role and key. */
struct kl_key {
    char *name; /* "render:/usr/lib/..." */
    enum kl_role role;
    unsigned jobs;         /* in line and running: the key lives as long as there are any, or deaths */
    unsigned running;      /* that count against its limit */
    unsigned deaths;       /* of workers, in a row */
    int64_t not_before_ns; /* the next worker */
};

void kl_key_free(void *key);
/* Encoded, not yet in line. (pool_job.c) */
int kl_job_new(struct kl_pool *pool, const struct kl_job_spec *spec, struct kl_job **ret, struct kilter_error *err);
void kl_job_free(struct kl_job *job);

/* --- workers ------------------------------------------------------------------------------------------ */
enum kl_worker_state {
    KL_WORKER_STARTING, /* until HELLO; its job waits for it */
    KL_WORKER_BUSY,
    KL_WORKER_IDLE,
    KL_WORKER_ENDING, /* told to end or killed; until the process is reaped */
    KL_WORKER_GONE,   /* until its handles are closed */
};

/* Why we end a worker, or a job. */
enum kl_end {
    KL_END_NONE,
    KL_END_RETIRED,
    KL_END_CANCELLED,
    KL_END_DEADLINE,
    KL_END_HELLO,
    KL_END_EOF,
    KL_END_EXIT, /* it called exit() in a callback, and has yet to end */
    KL_END_PROTOCOL,
    KL_END_LOGGED,
    KL_END_PRINTED,
    KL_END_ITEMS,
    KL_END_BYTES,
};

#define KL_PHASE_MAX 128
#define KL_LINE_MAX 2048 /* of what a worker prints; longer lines are broken */

struct kl_worker {
    TAILQ_ENTRY(kl_worker) link; /* those that are idle for long first */
    struct kl_pool *pool;
    struct kl_job *job;
    enum kl_role role;
    char *key; /* as kl_key.name */
    bool long_lived;
    enum kl_worker_state state;
    enum kl_end end;
    bool killed;
    bool mute; /* what it sends is not read any more */
    struct kl_child child;
    uv_poll_t socket_poll, output_poll, exit_poll;
    uv_timer_t exit_timer; /* in place of exit_poll, where there is no pidfd */
    uv_timer_t timer;
    unsigned handles; /* not closed yet */
    bool socket_open, output_open;
    struct kl_frame_reader reader;
    struct kilter_buf out;
    size_t sent;
    struct kilter_arena *arena; /* of one frame */
    struct kilter_error error;  /* KL_END_PROTOCOL: what was wrong */
    char phase_plugin[KL_PHASE_MAX], phase_callback[KL_PHASE_MAX];
    char plugin[KL_PHASE_MAX]; /* of its last job, for what it prints between jobs */
    char line[KL_LINE_MAX];
    size_t line_len;
    uint64_t idle_printed; /* and logged, bytes, since its last job */
    bool idle_cut;
    unsigned jobs;
};

TAILQ_HEAD(kl_worker_list, kl_worker);

/* Starts a process for a job, which waits on it from now on. */
int kl_worker_start(struct kl_pool *pool, struct kl_job *job, struct kilter_error *err);
/* Gives an idle worker its next job. */
void kl_worker_assign(struct kl_worker *worker, struct kl_job *job);
/* Closes an idle worker's socket, upon which it ends. */
void kl_worker_retire(struct kl_worker *worker);
/* Sends CANCEL for the running job and starts the grace time. */
void kl_worker_cancel(struct kl_worker *worker, enum kl_end why);
void kl_worker_kill(struct kl_worker *worker, enum kl_end why);
bool kl_worker_is_known(void *pool, pid_t pid);

/* Starts the process of a worker whose pool and role are set. (pool_launch.c) */
int kl_worker_spawn(struct kl_worker *worker, struct kilter_error *err);
/* One frame of it, in the order of their coming. (pool_frames.c) */
void kl_worker_take_frame(struct kl_worker *worker, const struct kl_frame *frame);
/* Bytes that it printed; lines are logged as they end. (pool_frames.c) */
void kl_worker_take_output(struct kl_worker *worker, const char *bytes, size_t len);
void kl_worker_flush_line(struct kl_worker *worker);
/* It sent what no worker may: ends it. (pool_frames.c) */
void kl_worker_protocol_error(struct kl_worker *worker, const char *format, ...) KILTER_PRINTF(2, 3);
/* Reads what it has printed up to now, bounded. (pool_worker.c) */
void kl_worker_read_output(struct kl_worker *worker);
/* What happens when the time is over depends on its state then. (pool_worker.c) */
void kl_worker_set_timer(struct kl_worker *worker, int64_t ms);

/* --- pool ------------------------------------------------------------------------------------------------ */
struct kl_pool {
    uv_loop_t *loop;
    struct kl_pool_options options;
    char *worker_path, *state_id;
    char **read_dirs;
    uv_timer_t pump_timer, orphan_timer, drain_timer;
    unsigned handles; /* of the pool itself, not closed yet */
    struct kl_job_list line;
    struct kl_worker_list workers;
    struct kl_map keys;    /* of struct kl_key */
    struct kl_map plugins; /* of struct kl_plugin_record */
    unsigned live;         /* workers for ordinary jobs, ending ones included */
    unsigned live_long;    /* for long-lived ones */
    unsigned running_of_role[KL_ROLE_COUNT];
    uint32_t next_job;
    uint64_t started, died, killed, retired, jobs_done, jobs_failed;
    size_t orphans;
    unsigned orphan_rounds;
    bool closing;
    void (*closed)(void *data);
    void *closed_data;
};

/* Looks again at who can run, on the loop's next turn (or after delay_ms, when nothing is sooner). */
void kl_pool_pump_later(struct kl_pool *pool, int64_t delay_ms);
/* Delivers the outcome and frees the job, which is off its worker and out of line. */
void kl_pool_finish_job(struct kl_pool *pool, struct kl_job *job, struct kl_job_outcome *outcome);
/* A worker's process is gone. `unasked`: nobody told it to end. */
void kl_pool_worker_gone(struct kl_pool *pool, struct kl_worker *worker, bool unasked);
/* A worker's handles are closed; it is freed right after. */
void kl_pool_worker_closed(struct kl_pool *pool);
/* Kills and reaps what workers left behind, until it is gone. */
void kl_pool_reap_orphans(struct kl_pool *pool);

/* --- outcomes ----------------------------------------------------------------------------------------------- */
/* Fills status, class, fault and message (malloc'd, also as the outcome's) for a job whose worker did not
 * answer: `end` is how the process ended. */
char *kl_outcome_of_end(const struct kl_worker *worker, const struct kl_job *job, const struct kl_child_end *end,
                        struct kl_job_outcome *ret);
/* The same for a DONE map. */
char *kl_outcome_of_done(const struct kl_worker *worker, const struct kl_job *job, const struct kilter_value *done,
                         struct kl_job_outcome *ret);
enum kl_job_class kl_outcome_class(int status);
/* "512 MiB", "3 bytes". */
const char *kl_outcome_size(uint64_t bytes, char text[32]);
/* The plugin whose code ran last, else the job's, else "". */
const char *kl_outcome_blamed(const struct kl_worker *worker, const struct kl_job *job);
/* "plugin 'files'", or "the render worker" when there is none; malloc'd. */
char *kl_outcome_subject(const struct kl_worker *worker, const struct kl_job *job);

#endif
