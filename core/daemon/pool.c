/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/pool.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/pool_private.h"
#include "wire/codec.h"

#include <sys/prctl.h>

#define MIB (UINT64_C(1) << 20)
#define MINUTE_MS INT64_C(60000)
#define FRAMES_MAX (1u << 30) /* bytes of one job's input */
#define DIAGS_KEPT 1000
#define ORPHAN_MS 5
#define ORPHAN_ROUNDS 1000 /* then it is the system that holds them */

static const struct {
    const char *name;
    unsigned of_role, of_key;
} roles[KL_ROLE_COUNT] = {
    [KL_ROLE_FETCH] = { "fetch", 4, 1 },
    [KL_ROLE_RENDER] = { "render", 4, 4 },
    [KL_ROLE_APPLY] = { "apply", 8, 1 },
    [KL_ROLE_INSPECT] = { "inspect", 2, 1 },
};

static const int64_t handicap_ns[] = {
    [KL_PRIORITY_PERSON] = 0,
    [KL_PRIORITY_COMMIT] = 30 * KL_NS_PER_S,
    [KL_PRIORITY_DRIFT] = 120 * KL_NS_PER_S,
};

const char *kl_role_name(enum kl_role role)
{
    return roles[role].name;
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
        .max_workers = 12,
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
    for (int i = 0; i < KL_ROLE_COUNT; i++) {
        options->max_of_role[i] = roles[i].of_role;
        options->max_of_key[i] = roles[i].of_key;
    }
}

/* --- keys --------------------------------------------------------------------------------------------- */
static void key_free(void *value)
{
    struct kl_key *key = value;
    if (key)
        free(key->name);
    free(key);
}

/* The key's record, with one job more. NULL when out of memory. */
static struct kl_key *key_take(struct kl_pool *pool, enum kl_role role, struct kilter_str text)
{
    KL_CLEANUP(kl_freep) char *name = NULL;
    if (asprintf(&name, "%s:%.*s", kl_role_name(role), KILTER_STR_ARG(text)) < 0) {
        name = NULL;
        return NULL;
    }
    struct kl_key *key = kl_map_get(&pool->keys, kilter_str_c(name));
    if (!key) {
        key = calloc(1, sizeof(*key));
        if (!key || kl_map_put(&pool->keys, kilter_str_c(name), key, NULL) < 0) {
            key_free(key);
            return NULL;
        }
        key->name = kl_steal(name);
        key->role = role;
    }
    key->jobs++;
    return key;
}

/* Deaths are remembered beyond the last job: they delay the next worker. */
static void key_give_back(struct kl_pool *pool, struct kl_key *key)
{
    if (--key->jobs > 0 || key->deaths > 0)
        return;
    kl_map_remove(&pool->keys, kilter_str_c(key->name));
    key_free(key);
}

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
void kl_job_free(struct kl_job *job)
{
    if (!job)
        return;
    if (job->key)
        key_give_back(job->pool, job->key);
    kilter_buf_release(&job->frames);
    kilter_diags_free(job->diags);
    free(job->plugin);
    free(job->verb);
    free(job);
}

/* Encodes a value as a frame's payload; `scratch` is reused. */
static int add_frame(struct kl_job *job, enum kl_frame_type type, const struct kl_payload *payload,
                     struct kilter_buf *scratch)
{
    struct kilter_str bytes = payload->encoded;
    if (payload->value) {
        kilter_buf_clear(scratch);
        kl_value_encode(scratch, payload->value);
        if (scratch->failed)
            return scratch->failed;
        bytes = kilter_buf_view(scratch);
    }
    return kl_frame_write(&job->frames, type, job->id, bytes);
}

/* The arguments, and what each job has. */
static struct kilter_value *job_map(struct kilter_arena *arena, const struct kl_job_spec *spec)
{
    struct kilter_value *map = kilter_map(arena);
    int rc = map ? KILTER_OK : KILTER_E_NOMEM;
    for (size_t i = 0; i < kilter_map_size(spec->arguments) && rc == KILTER_OK; i++)
        rc = kilter_map_add(arena, map, kilter_map_key_at(spec->arguments, i), kilter_map_at(spec->arguments, i));
    if (rc == KILTER_OK)
        rc = kilter_set(arena, map, "verb", kilter_string(arena, spec->verb));
    if (rc == KILTER_OK && spec->deadline_ms > 0)
        rc = kilter_set(arena, map, "deadlineMs", kilter_int(arena, spec->deadline_ms));
    return rc == KILTER_OK ? map : NULL;
}

static int encode_frames(struct kl_job *job, const struct kl_job_spec *spec, struct kilter_arena *arena,
                         struct kilter_buf *scratch)
{
    struct kl_payload arguments = { job_map(arena, spec), KILTER_STR_NONE };
    struct kl_payload start = { kilter_map(arena), KILTER_STR_NONE };
    if (!arguments.value || !start.value)
        return KILTER_E_NOMEM;
    int rc = add_frame(job, KL_FRAME_JOB, &arguments, scratch);
    for (size_t i = 0; i < spec->payload_count && rc == KILTER_OK; i++)
        rc = add_frame(job, KL_FRAME_DATA, &spec->payloads[i], scratch);
    return rc == KILTER_OK ? add_frame(job, KL_FRAME_START, &start, scratch) : rc;
}

static int encode_job(struct kl_job *job, const struct kl_job_spec *spec, struct kilter_error *err)
{
    KL_CLEANUP(kl_arena_freep) struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_buf scratch = KILTER_BUF_INIT(KL_FRAME_MAX);
    job->frames = (struct kilter_buf)KILTER_BUF_INIT(FRAMES_MAX);
    int rc = arena ? encode_frames(job, spec, arena, &scratch) : KILTER_E_NOMEM;
    kilter_buf_release(&scratch);
    if (rc == KILTER_E_LIMIT)
        return kilter_error_set(err, rc,
                                "the job's input is too large: %u MiB may go in one document, %u MiB in all",
                                (unsigned)(KL_FRAME_MAX / MIB), (unsigned)(FRAMES_MAX / MIB));
    return rc < 0 ? kilter_error_set(err, rc, "preparing a job for a worker: %s", kilter_status_text(rc)) : rc;
}

static struct kl_job *job_new(struct kl_pool *pool, const struct kl_job_spec *spec)
{
    struct kl_job *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->pool = pool;
    job->id = ++pool->next_job ? pool->next_job : ++pool->next_job;
    job->role = spec->role;
    job->handler = spec->handler;
    job->data = spec->data;
    job->deadline_ms = spec->deadline_ms;
    job->priority = spec->priority;
    job->max_parallel = spec->max_parallel ? spec->max_parallel : pool->options.max_of_key[spec->role];
    job->long_lived = spec->long_lived;
    job->raw_items = spec->raw_items;
    job->queued_ns = kl_clock_monotonic_ns();
    job->rank_ns = job->queued_ns + handicap_ns[spec->priority];
    job->plugin = spec->plugin.len ? strndup(spec->plugin.ptr, spec->plugin.len) : strdup("");
    job->verb = strndup(spec->verb.ptr, spec->verb.len);
    job->diags = kilter_diags_new(DIAGS_KEPT);
    job->key = key_take(pool, spec->role, spec->key);
    if (job->plugin && job->verb && job->diags && job->key)
        return job;
    kl_job_free(job);
    return NULL;
}

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
    struct kl_job *job = job_new(pool, spec);
    if (!job)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    int rc = encode_job(job, spec, err);
    if (rc < 0) {
        kl_job_free(job);
        return rc;
    }
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
    kl_map_release(&pool->keys, key_free);
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
