/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/pool.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "pool/private.h"

#include <sys/prctl.h>

#define MIB (UINT64_C(1) << 20)
#define MINUTE_MS INT64_C(60000)
#define ORPHAN_MS 5
#define ORPHAN_ROUNDS 1000 /* then it is the system that holds them */

static const char *const roles[KL_ROLE_COUNT] = {
    [KL_ROLE_FETCH] = "fetch",
    [KL_ROLE_RENDER] = "render",
    [KL_ROLE_APPLY] = "apply",
    [KL_ROLE_INSPECT] = "inspect",
};

const char *kl_role_name(enum kl_role role)
{
    return roles[role];
}

void kl_pool_options_init(struct kl_pool_options *options)
{
    *options = (struct kl_pool_options){
        .memory = 512 * MIB,
        .cpu_seconds = 300,
        .files = 256,
        .output = MIB,
        .max_items = 200000,
        .max_bytes = 512 * MIB,
        .max_workers = 8,
        .max_long_lived = 64,
        .idle_ms = MINUTE_MS,
        .jobs_of_worker = 500,
        .recycle_rss = 256 * MIB,
        .hello_ms = 10000,
        .cancel_grace_ms = 2000,
        .backoff_ms = 100,
        .backoff_max_ms = 30000,
        .quarantine_faults = 5,
        .quarantine_window_ms = 10 * MINUTE_MS,
        .quarantine_ms = 5 * MINUTE_MS,
        .quarantine_max_ms = 360 * MINUTE_MS,
    };
    options->max_of_key[KL_ROLE_FETCH] = 1;
    options->max_of_key[KL_ROLE_APPLY] = 1;
    options->max_of_key[KL_ROLE_INSPECT] = 1;
}

/* --- keys --------------------------------------------------------------------------------------------- */
/* The first replacement comes at once, the later ones after a time that doubles. */
static void key_back_off(struct kl_pool *pool, struct kl_key *key)
{
    const struct kl_pool_options *options = &pool->options;
    key->deaths++;
    if (key->deaths < 2)
        return;
    int64_t delay_ms = options->backoff_ms;
    for (unsigned i = 2; i < key->deaths && delay_ms < options->backoff_max_ms; i++)
        delay_ms *= 2;
    if (delay_ms > options->backoff_max_ms)
        delay_ms = options->backoff_max_ms;
    key->not_before_ns = kl_clock_monotonic_ns() + kl_random_jitter(delay_ms * KL_NS_PER_MS, 10);
}

/* --- jobs ----------------------------------------------------------------------------------------------- */
static void stand_in_line(struct kl_pool *pool, struct kl_job *job)
{
    struct kl_job *before = TAILQ_LAST(&pool->line, kl_job_list);
    while (before && before->rank_ns > job->rank_ns)
        before = TAILQ_PREV(before, kl_job_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&pool->line, before, job, link);
    else
        TAILQ_INSERT_HEAD(&pool->line, job, link);
    kl_pool_pump_later(pool, 0);
}

int kl_pool_submit(struct kl_pool *pool, const struct kl_job_spec *spec, struct kl_job **ret,
                   struct kilter_error *err)
{
    if (pool->closing)
        return kilter_error_set(err, KILTER_E_CANCELLED, "no job is taken any more: the workers are being ended");
    struct kl_job *job;
    int rc = kl_job_new(pool, spec, &job, err);
    if (rc < 0)
        return rc;
    stand_in_line(pool, job);
    if (ret)
        *ret = job;
    return KILTER_OK;
}

void kl_job_cancel(struct kl_job *job)
{
    if (job->cancelled)
        return;
    job->cancelled = true;
    if (job->worker)
        kl_worker_cancel(job->worker, KL_END_CANCELLED);
    else
        kl_pool_pump_later(job->pool, 0);
}

bool kl_job_running(const struct kl_job *job)
{
    return job->running;
}

/* Out of line and counted, before it goes to a worker. */
static void job_runs(struct kl_pool *pool, struct kl_job *job)
{
    struct kl_plugin_record *record = kl_faults_find(pool, kilter_str_c(job->plugin));
    TAILQ_REMOVE(&pool->line, job, link);
    job->running = true;
    job->started_ns = kl_clock_monotonic_ns();
    if (!job->long_lived) {
        pool->running_of_role[job->role]++;
        job->key->running++;
    }
    if (record && record->quarantined) {
        job->probe = true;
        record->probes++;
    }
}

static void job_stops(struct kl_pool *pool, struct kl_job *job)
{
    struct kl_plugin_record *record = kl_faults_find(pool, kilter_str_c(job->plugin));
    if (!job->long_lived) {
        pool->running_of_role[job->role]--;
        job->key->running--;
    }
    if (job->probe && record)
        record->probes--;
    job->running = false;
}

void kl_pool_finish_job(struct kl_pool *pool, struct kl_job *job, struct kl_job_outcome *outcome)
{
    int64_t now_ns = kl_clock_monotonic_ns();
    outcome->diags = job->diags;
    outcome->waited_ns = (job->running ? job->started_ns : now_ns) - job->queued_ns;
    outcome->ran_ns = job->running ? now_ns - job->started_ns : 0;
    if (job->running)
        job_stops(pool, job);
    if (outcome->done)
        job->key->deaths = 0;
    if (outcome->status == KILTER_OK)
        kl_faults_success(pool, kilter_str_c(job->plugin), job->verb);
    if (outcome->status == KILTER_OK)
        pool->jobs_done++;
    else
        pool->jobs_failed++;
    job->handler.on_done(job->data, outcome);
    kl_job_free(job);
    kl_pool_pump_later(pool, 0);
}

/* --- who runs ------------------------------------------------------------------------------------------------ */
/* Ends a job that stands in line. Takes the message. */
static void refuse(struct kl_pool *pool, struct kl_job *job, int status, bool quarantined, char *message)
{
    struct kl_job_outcome outcome = {
        .status = status,
        .class = KL_JOB_TRANSIENT,
        .quarantined = quarantined,
        .message = message ? message : kilter_status_text(status),
    };
    TAILQ_REMOVE(&pool->line, job, link);
    kl_pool_finish_job(pool, job, &outcome);
    free(message);
}

static struct kl_worker *find_idle(struct kl_pool *pool, const char *key)
{
    struct kl_worker *worker;
    TAILQ_FOREACH_REVERSE(worker, &pool->workers, kl_worker_list, link)
    if (worker->state == KL_WORKER_IDLE && worker->socket_open && worker->end == KL_END_NONE &&
        (!key || strcmp(worker->key, key) == 0))
        return worker;
    return NULL;
}

/* The one that is idle for the longest time. */
static struct kl_worker *find_oldest_idle(struct kl_pool *pool)
{
    struct kl_worker *worker;
    TAILQ_FOREACH(worker, &pool->workers, link)
    if (worker->state == KL_WORKER_IDLE && worker->socket_open)
        return worker;
    return NULL;
}

static bool within_limits(const struct kl_pool *pool, const struct kl_job *job)
{
    if (job->long_lived)
        return pool->live_long < pool->options.max_long_lived;
    return pool->running_of_role[job->role] < pool->options.max_of_role[job->role] &&
           job->key->running < job->max_parallel;
}

static void start_worker(struct kl_pool *pool, struct kl_job *job)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    int rc = kl_worker_start(pool, job, &err);
    if (rc < 0) {
        kl_log(KILTER_LOG_ERROR, "%s", err.message);
        key_back_off(pool, job->key);
        refuse(pool, job, rc, false, strdup(err.message));
        return;
    }
    pool->started++;
    if (job->long_lived)
        pool->live_long++;
    else
        pool->live++;
    job_runs(pool, job);
}

static unsigned count_ending(const struct kl_pool *pool)
{
    const struct kl_worker *worker;
    unsigned ending = 0;
    TAILQ_FOREACH(worker, &pool->workers, link)
    ending += worker->state == KL_WORKER_ENDING && !worker->long_lived;
    return ending;
}

/* What one look along the line knows. */
struct look {
    unsigned places; /* of workers that are ending, and not yet thought of for a job */
    int64_t wake_ns; /* when to look again */
};

static void try_job(struct kl_pool *pool, struct kl_job *job, struct look *look)
{
    int64_t now_ns = kl_clock_monotonic_ns();
    enum kl_admission admission = kl_faults_admit(pool, job);
    if (job->cancelled || pool->closing) {
        refuse(pool, job, KILTER_E_CANCELLED, false, strdup("cancelled"));
    } else if (admission == KL_ADMIT_REFUSE) {
        refuse(pool, job, KILTER_E_UNSUPPORTED, true,
               kl_faults_message(kl_faults_find(pool, kilter_str_c(job->plugin)), pool));
    } else if (admission == KL_ADMIT && within_limits(pool, job)) {
        struct kl_worker *idle = job->long_lived ? NULL : find_idle(pool, job->key->name);
        struct kl_worker *oldest;
        if (idle) {
            job_runs(pool, job);
            kl_worker_assign(idle, job);
        } else if (now_ns < job->key->not_before_ns) {
            look->wake_ns = job->key->not_before_ns < look->wake_ns ? job->key->not_before_ns : look->wake_ns;
        } else if (job->long_lived || pool->live < pool->options.max_workers) {
            start_worker(pool, job);
        } else if (look->places > 0) {
            look->places--;
        } else if ((oldest = find_oldest_idle(pool)) != NULL) {
            kl_worker_retire(oldest);
        }
    }
}

static void maybe_closed(struct kl_pool *pool);

static void pump(uv_timer_t *timer)
{
    struct kl_pool *pool = timer->data;
    struct look look = { count_ending(pool), INT64_MAX };
    struct kl_job *next;
    /* Callbacks of refused jobs may put others in line, but never take one out. */
    for (struct kl_job *job = TAILQ_FIRST(&pool->line); job; job = next) {
        next = TAILQ_NEXT(job, link);
        try_job(pool, job, &look);
    }
    if (look.wake_ns != INT64_MAX)
        kl_pool_pump_later(pool, (look.wake_ns - kl_clock_monotonic_ns()) / KL_NS_PER_MS + 1);
    maybe_closed(pool);
}

void kl_pool_pump_later(struct kl_pool *pool, int64_t delay_ms)
{
    uint64_t delay = delay_ms > 0 ? (uint64_t)delay_ms : 0;
    uv_handle_t *handle = (uv_handle_t *)&pool->pump_timer;
    if (uv_is_closing(handle))
        return;
    uv_update_time(pool->loop);
    if (!uv_is_active(handle) || uv_timer_get_due_in(&pool->pump_timer) > delay)
        uv_timer_start(&pool->pump_timer, pump, delay, 0);
}

/* --- ends of workers --------------------------------------------------------------------------------------------
 */
void kl_pool_worker_gone(struct kl_pool *pool, struct kl_worker *worker, bool unasked)
{
    struct kl_key *key = kl_map_get(&pool->keys, kilter_str_c(worker->key));
    if (worker->long_lived)
        pool->live_long--;
    else
        pool->live--;
    if (worker->killed)
        pool->killed++;
    if (unasked && !worker->killed)
        pool->died++;
    if (!unasked && !worker->killed)
        pool->retired++;
    if (unasked && key)
        key_back_off(pool, key);
}

void kl_pool_worker_closed(struct kl_pool *pool)
{
    kl_pool_pump_later(pool, 0);
}

static void on_orphan_timer(uv_timer_t *timer)
{
    struct kl_pool *pool = timer->data;
    pool->orphans = kl_spawn_reap_orphans(pool->state_id, kl_worker_is_known, pool);
    if (pool->orphans > 0 && ++pool->orphan_rounds < ORPHAN_ROUNDS)
        return;
    if (pool->orphans > 0)
        kl_log(KILTER_LOG_ERROR, "%zu processes that workers left behind were killed and do not end",
               pool->orphans);
    pool->orphans = 0;
    uv_timer_stop(timer);
    kl_pool_pump_later(pool, 0);
}

void kl_pool_reap_orphans(struct kl_pool *pool)
{
    pool->orphans = kl_spawn_reap_orphans(pool->state_id, kl_worker_is_known, pool);
    pool->orphan_rounds = 0;
    if (pool->orphans > 0)
        uv_timer_start(&pool->orphan_timer, on_orphan_timer, ORPHAN_MS, ORPHAN_MS);
}

int kl_pool_sweep(const char *state_id, struct kilter_error *err)
{
    return kl_spawn_sweep(state_id, err);
}

/* --- the pool's own life
 * ------------------------------------------------------------------------------------------- */
static void pool_free(struct kl_pool *pool)
{
    if (!pool)
        return;
    kl_map_release(&pool->keys, kl_key_free);
    kl_faults_release(pool);
    for (size_t i = 0; pool->read_dirs && pool->read_dirs[i]; i++)
        free(pool->read_dirs[i]);
    free(pool->read_dirs);
    free(pool->worker_path);
    free(pool->state_id);
    free(pool);
}

static int copy_strings(struct kl_pool *pool, const struct kl_pool_options *options)
{
    size_t count = 0;
    while (options->read_dirs && options->read_dirs[count])
        count++;
    pool->worker_path = strdup(options->worker);
    pool->state_id = strdup(options->state_id);
    pool->read_dirs = calloc(count + 1, sizeof(*pool->read_dirs));
    if (!pool->worker_path || !pool->state_id || !pool->read_dirs)
        return KILTER_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (!(pool->read_dirs[i] = strdup(options->read_dirs[i])))
            return KILTER_E_NOMEM;
    return KILTER_OK;
}

static void init_timer(struct kl_pool *pool, uv_timer_t *timer)
{
    uv_timer_init(pool->loop, timer);
    timer->data = pool;
    pool->handles++;
}

/* Slow remotes must not keep all places from those who have work to do. */
static void set_role_limits(struct kl_pool_options *options)
{
    if (options->max_workers == 0)
        options->max_workers = 1;
    for (int i = 0; i < KL_ROLE_COUNT; i++) {
        bool shares = i == KL_ROLE_FETCH || i == KL_ROLE_INSPECT;
        if (options->max_of_role[i] == 0)
            options->max_of_role[i] = options->max_workers - (shares ? options->max_workers / 3 : 0);
        if (options->max_of_key[i] == 0)
            options->max_of_key[i] = options->max_workers;
    }
}

int kl_pool_new(uv_loop_t *loop, const struct kl_pool_options *options, struct kl_pool **ret,
                struct kilter_error *err)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return kilter_error_errno(err, errno, "becoming the reaper of what workers leave behind");
    struct kl_pool *pool = calloc(1, sizeof(*pool));
    if (!pool || copy_strings(pool, options) < 0) {
        pool_free(pool);
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    pool->loop = loop;
    pool->options = *options;
    set_role_limits(&pool->options);
    if (pool->options.quarantine_faults > KL_FAULTS_KEPT)
        pool->options.quarantine_faults = KL_FAULTS_KEPT;
    TAILQ_INIT(&pool->line);
    TAILQ_INIT(&pool->workers);
    init_timer(pool, &pool->pump_timer);
    init_timer(pool, &pool->orphan_timer);
    init_timer(pool, &pool->drain_timer);
    *ret = pool;
    return KILTER_OK;
}

static void on_pool_closed(uv_handle_t *handle)
{
    struct kl_pool *pool = handle->data;
    if (--pool->handles > 0)
        return;
    void (*closed)(void *data) = pool->closed;
    void *data = pool->closed_data;
    pool_free(pool);
    if (closed)
        closed(data);
}

static void maybe_closed(struct kl_pool *pool)
{
    if (!pool->closing || !TAILQ_EMPTY(&pool->workers) || !TAILQ_EMPTY(&pool->line) || pool->orphans > 0 ||
        uv_is_closing((uv_handle_t *)&pool->pump_timer))
        return;
    uv_close((uv_handle_t *)&pool->pump_timer, on_pool_closed);
    uv_close((uv_handle_t *)&pool->orphan_timer, on_pool_closed);
    uv_close((uv_handle_t *)&pool->drain_timer, on_pool_closed);
}

/* Cancels what runs; only the long-lived jobs when they alone are meant. */
static void cancel_running(struct kl_pool *pool, bool long_lived_only)
{
    struct kl_worker *worker;
    TAILQ_FOREACH(worker, &pool->workers, link)
    if (worker->job && (worker->long_lived || !long_lived_only))
        kl_job_cancel(worker->job);
}

static void on_drain_timer(uv_timer_t *timer)
{
    cancel_running(timer->data, false);
}

void kl_pool_close(struct kl_pool *pool, int64_t drain_ms, void (*closed)(void *data), void *data)
{
    struct kl_worker *worker;
    pool->closing = true;
    pool->closed = closed;
    pool->closed_data = data;
    TAILQ_FOREACH(worker, &pool->workers, link)
    if (worker->state == KL_WORKER_IDLE)
        kl_worker_retire(worker);
    cancel_running(pool, true);
    uv_update_time(pool->loop);
    uv_timer_start(&pool->drain_timer, on_drain_timer, drain_ms > 0 ? (uint64_t)drain_ms : 0, 0);
    kl_pool_pump_later(pool, 0);
}

void kl_pool_stats(const struct kl_pool *pool, struct kl_pool_stats *ret)
{
    const struct kl_worker *worker;
    const struct kl_job *job;
    struct kl_plugin_faults faults;
    size_t at = 0;
    *ret = (struct kl_pool_stats){
        .started = pool->started,
        .died = pool->died,
        .killed = pool->killed,
        .retired = pool->retired,
        .jobs_done = pool->jobs_done,
        .jobs_failed = pool->jobs_failed,
    };
    TAILQ_FOREACH(worker, &pool->workers, link)
    {
        ret->starting[worker->role] += worker->state == KL_WORKER_STARTING;
        ret->busy[worker->role] += worker->state == KL_WORKER_BUSY;
        ret->idle[worker->role] += worker->state == KL_WORKER_IDLE;
    }
    TAILQ_FOREACH(job, &pool->line, link)
    ret->queued++;
    while (kl_pool_plugin_next(pool, &at, &faults))
        ret->quarantined += faults.quarantined;
}
