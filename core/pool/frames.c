/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker says and prints: taken apart, counted against its limits, handed on. */
#include "base/clock.h"
#include "base/log.h"
#include "pool/private.h"
#include "wire/codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EXIT_GRACE_MS 500 /* from a plugin's exit() to the end of the process */

/* --- lines ------------------------------------------------------------------------------------------ */
static void log_for(const struct kl_worker *worker, enum kilter_log_level level, struct kilter_str text)
{
    const struct kl_job *job = worker->job;
    if (job && job->handler.on_log) {
        job->handler.on_log(job->data, level, text);
        return;
    }
    char *subject = kl_outcome_subject(worker, job);
    kl_log(level, "%s: %.*s", subject ? subject : "worker", KILTER_STR_ARG(text));
    free(subject);
}

/* Counts output against the limit. Whether it is to be shown. */
static bool account_output(struct kl_worker *worker, uint64_t *used, bool *cut, size_t bytes, enum kl_end flood)
{
    uint64_t limit = worker->pool->options.output;
    *used += bytes;
    if (*used > limit * KL_POOL_FLOOD_FACTOR) {
        kl_worker_kill(worker, flood);
        return false;
    }
    if (*used <= limit)
        return true;
    if (!*cut) {
        char text[128], size[32];
        int len = snprintf(text, sizeof(text), "%s more than %s; what follows is dropped",
                           flood == KL_END_LOGGED ? "logged" : "printed", kl_outcome_size(limit, size));
        *cut = true;
        log_for(worker, KILTER_LOG_WARNING, kilter_str_n(text, (size_t)len));
    }
    return false;
}

/* The host masks what goes through it; what a plugin or its children print does not. */
static void mask_secret(struct kl_worker *worker, const char *secret)
{
    size_t len = strlen(secret);
    char *at = worker->line, *found;
    while ((found = memmem(at, worker->line_len - (size_t)(at - worker->line), secret, len)) != NULL) {
        size_t behind = worker->line_len - (size_t)(found - worker->line) - len;
        memcpy(found, "***", 3);
        memmove(found + 3, found + len, behind);
        worker->line_len -= len - 3;
        at = found + 3;
    }
}

void kl_worker_flush_line(struct kl_worker *worker)
{
    for (size_t i = 0; worker->job && i < worker->job->secret_count; i++)
        mask_secret(worker, worker->job->secrets[i]);
    struct kilter_str line = kilter_str_trim(kilter_str_n(worker->line, worker->line_len));
    if (line.len > 0)
        log_for(worker, KILTER_LOG_INFO, line);
    worker->line_len = 0;
}

void kl_worker_take_output(struct kl_worker *worker, const char *bytes, size_t len)
{
    struct kl_job *job = worker->job;
    if (!account_output(worker, job ? &job->printed : &worker->idle_printed,
                        job ? &job->print_cut : &worker->idle_cut, len, KL_END_PRINTED))
        return;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n' || worker->line_len == KL_LINE_MAX)
            kl_worker_flush_line(worker);
        if (bytes[i] != '\n')
            worker->line[worker->line_len++] = bytes[i];
    }
}

/* --- frames that it sends ----------------------------------------------------------------------------- */
void kl_worker_protocol_error(struct kl_worker *worker, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(worker->error.message, sizeof(worker->error.message), format, args);
    va_end(args);
    kl_worker_kill(worker, KL_END_PROTOCOL);
}

static void hello(struct kl_worker *worker, const struct kilter_value *map)
{
    int64_t wire = 0;
    if (worker->state != KL_WORKER_STARTING)
        return; /* killed meanwhile */
    kilter_get_int(map, "wire", &wire);
    if (wire != KL_WIRE_VERSION) {
        kl_worker_protocol_error(worker,
                                 "it speaks version %" PRId64
                                 " of the protocol, and this is version %u: the programs "
                                 "are of different installations",
                                 wire, KL_WIRE_VERSION);
        return;
    }
    struct kl_job *job = worker->job;
    worker->job = NULL;
    worker->state = KL_WORKER_IDLE;
    kl_worker_assign(worker, job);
}

static void copy_text(char *to, size_t size, struct kilter_str from)
{
    size_t len = from.len < size ? from.len : size - 1;
    if (len > 0)
        memcpy(to, from.ptr, len);
    to[len] = '\0';
}

static void phase(struct kl_worker *worker, const struct kilter_value *map)
{
    copy_text(worker->phase_plugin, sizeof(worker->phase_plugin), kilter_get_text(map, "plugin"));
    copy_text(worker->phase_callback, sizeof(worker->phase_callback), kilter_get_text(map, "callback"));
}

static void log_record(struct kl_worker *worker, const struct kilter_value *map)
{
    int64_t level = KILTER_LOG_INFO;
    kilter_get_int(map, "level", &level);
    if (level < KILTER_LOG_ERROR || level > KILTER_LOG_DEBUG)
        level = KILTER_LOG_INFO;
    log_for(worker, (enum kilter_log_level)level, kilter_get_text(map, "message"));
}

static uint32_t get_u32(const struct kilter_value *map, const char *key)
{
    int64_t value = 0;
    kilter_get_int(map, key, &value);
    return value > 0 && value <= UINT32_MAX ? (uint32_t)value : 0;
}

/* A number, or the word that compilers use. */
static enum kilter_severity severity_of(const struct kilter_value *map)
{
    struct kilter_str word = kilter_get_text(map, "severity");
    if (kilter_str_eq_c(word, "warning") || kilter_str_eq_c(word, "2"))
        return KILTER_WARNING;
    if (kilter_str_eq_c(word, "note") || kilter_str_eq_c(word, "3"))
        return KILTER_NOTE;
    return KILTER_ERROR;
}

static void diagnostic(struct kl_job *job, const struct kilter_value *map)
{
    const struct kilter_diag diag = {
        .severity = severity_of(map),
        .code = kilter_get_text(map, "code"),
        .origin = { kilter_get_text(map, "file"), get_u32(map, "line"), get_u32(map, "column") },
        .message = kilter_get_text(map, "message"),
        .hint = kilter_get_text(map, "hint"),
    };
    kilter_diag_copy(job->diags, &diag);
    if (job->handler.on_diag)
        job->handler.on_diag(job->data, &diag);
}

/* Whether an answer comes from within a callback: the worker's last word on a plugin that called exit(). How
 * the process then ends tells more than it could. */
static bool is_last_word(const struct kl_worker *worker, const struct kilter_value *map)
{
    int64_t status = KILTER_OK;
    return worker->phase_callback[0] && kilter_get_int(map, "status", &status) == KILTER_OK &&
           status == KILTER_E_INTERNAL;
}

/* The worker is free again; the job has its answer. */
static void done(struct kl_worker *worker, const struct kilter_value *map)
{
    struct kl_job *job = worker->job;
    struct kl_pool *pool = worker->pool;
    const struct kl_pool_options *options = &pool->options;
    struct kl_job_outcome outcome = { 0 };
    if (is_last_word(worker, map)) {
        if (worker->end == KL_END_NONE && worker->state == KL_WORKER_BUSY) {
            worker->end = KL_END_EXIT;
            kl_worker_set_timer(worker, EXIT_GRACE_MS);
        }
        return;
    }
    kl_worker_read_output(worker); /* what it printed before it answered */
    kl_worker_flush_line(worker);
    char *message = kl_outcome_of_done(worker, job, map, &outcome);
    if (outcome.fault)
        kl_faults_add(pool, kilter_str_c(job->plugin), job->verb, outcome.message);
    worker->job = NULL;
    job->worker = NULL;
    worker->phase_plugin[0] = worker->phase_callback[0] = '\0';
    if (worker->state == KL_WORKER_BUSY) {
        worker->state = KL_WORKER_IDLE;
        worker->end = KL_END_NONE;
        worker->idle_printed = 0;
        worker->idle_cut = false;
        TAILQ_REMOVE(&pool->workers, worker, link);
        TAILQ_INSERT_TAIL(&pool->workers, worker, link);
        if (worker->role == KL_ROLE_INSPECT || worker->long_lived || worker->jobs >= options->jobs_of_worker ||
            pool->closing || kl_spawn_rss(worker->child.pid) > options->recycle_rss)
            kl_worker_retire(worker);
        else
            kl_worker_set_timer(worker, options->idle_ms);
    }
    kl_pool_finish_job(pool, job, &outcome);
    free(message);
}

/* Limits of a long-lived job count anew each minute. */
static void renew_window(struct kl_job *job)
{
    int64_t now = kl_clock_monotonic_ns();
    if (!job->long_lived || now - job->window_ns < KL_POOL_WINDOW_NS)
        return;
    job->window_ns = now;
    job->items = job->bytes = job->logged = job->printed = 0;
    job->log_cut = job->print_cut = false;
}

/* Counts a frame against the job's limits. Whether it is to be looked at. */
static bool account_frame(struct kl_worker *worker, const struct kl_frame *frame)
{
    const struct kl_pool_options *options = &worker->pool->options;
    struct kl_job *job = worker->job;
    size_t size = frame->payload.len + KL_FRAME_HEADER;
    renew_window(job);
    if (frame->type == KL_FRAME_LOG)
        return account_output(worker, &job->logged, &job->log_cut, size, KL_END_LOGGED);
    if (frame->type != KL_FRAME_ITEM && frame->type != KL_FRAME_DIAG)
        return true;
    job->items++;
    job->bytes += size;
    if (job->items <= options->max_items && job->bytes <= options->max_bytes)
        return true;
    kl_worker_kill(worker, job->items > options->max_items ? KL_END_ITEMS : KL_END_BYTES);
    return false;
}

static void take_decoded(struct kl_worker *worker, const struct kl_frame *frame, const struct kilter_value *value)
{
    struct kl_job *job = worker->job;
    switch (frame->type) {
    case KL_FRAME_HELLO:
        hello(worker, value);
        break;
    case KL_FRAME_PHASE:
        phase(worker, value);
        break;
    case KL_FRAME_LOG:
        log_record(worker, value);
        break;
    case KL_FRAME_DIAG:
        diagnostic(job, value);
        break;
    case KL_FRAME_ITEM:
        if (job->handler.on_item)
            job->handler.on_item(job->data, value, frame->payload);
        break;
    case KL_FRAME_DONE:
        done(worker, value);
        break;
    case KL_FRAME_JOB:
    case KL_FRAME_DATA:
    case KL_FRAME_START:
    case KL_FRAME_CANCEL:
        break; /* refused before */
    }
}

/* Whether a frame may come at all now. What is left over from an earlier job is passed over in silence. */
static bool is_expected(struct kl_worker *worker, const struct kl_frame *frame)
{
    bool is_hello = frame->type == KL_FRAME_HELLO;
    bool from_worker = is_hello || (frame->type >= KL_FRAME_PHASE && frame->type <= KL_FRAME_DONE);
    if (!from_worker || is_hello != (worker->jobs == 0)) {
        kl_worker_protocol_error(worker, "it sent the frame %s out of turn", kl_frame_type_name(frame->type));
        return false;
    }
    if (is_hello || (worker->job && frame->job == worker->job->id))
        return true;
    if (frame->type != KL_FRAME_LOG && frame->type != KL_FRAME_PHASE && frame->type != KL_FRAME_DIAG)
        kl_worker_protocol_error(worker, "it sent the frame %s for job %u, which it does not have",
                                 kl_frame_type_name(frame->type), frame->job);
    else
        account_output(worker, &worker->idle_printed, &worker->idle_cut, frame->payload.len + KL_FRAME_HEADER,
                       KL_END_LOGGED);
    return false;
}

void kl_worker_take_frame(struct kl_worker *worker, const struct kl_frame *frame)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kilter_value *value = NULL;
    if (!is_expected(worker, frame) || (worker->job && worker->jobs > 0 && !account_frame(worker, frame)))
        return;
    struct kl_job *job = worker->job;
    if (frame->type == KL_FRAME_ITEM && job->raw_items) {
        if (job->handler.on_item)
            job->handler.on_item(job->data, NULL, frame->payload);
        return;
    }
    kilter_arena_reset(worker->arena);
    if (kl_value_decode(worker->arena, frame->payload, NULL, NULL, &value, &err) < 0)
        kl_worker_protocol_error(worker, "frame %s cannot be read: %s", kl_frame_type_name(frame->type),
                                 err.message);
    else if (kilter_type_of(value) != KILTER_MAP)
        kl_worker_protocol_error(worker, "frame %s holds no map", kl_frame_type_name(frame->type));
    else
        take_decoded(worker, frame, value);
}
