/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/pool_private.h"
#include "wire/codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_AT_ONCE 65536u
#define READS_A_TURN 16        /* then the loop serves others */
#define ARENA_MAX (256u << 20) /* bytes, of one decoded frame */
#define EOF_GRACE_MS 500       /* from the end of its socket to the end of the process */
#define RETIRE_GRACE_MS 2000   /* the same when we closed it */
#define STUBBORN_MS 10000      /* a killed process that is still there is logged after this */
#define EXIT_POLL_MS 10        /* where there is no pidfd */
#define READER_KEPT (1u << 20) /* bytes of buffer that an idle worker may keep */

static void on_exit_event(uv_poll_t *poll, int status, int events);
static void on_socket_event(uv_poll_t *poll, int status, int events);
static void on_output_event(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void set_timer(struct kl_worker *worker, int64_t ms)
{
    uv_update_time(worker->pool->loop); /* the loop's time is that of its turn's beginning */
    uv_timer_start(&worker->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

/* --- what it says and prints ------------------------------------------------------------------------ */
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

static void flush_line(struct kl_worker *worker)
{
    struct kilter_str line = kilter_str_trim(kilter_str_n(worker->line, worker->line_len));
    if (line.len > 0)
        log_for(worker, KILTER_LOG_INFO, line);
    worker->line_len = 0;
}

static void take_output(struct kl_worker *worker, const char *bytes, size_t len)
{
    struct kl_job *job = worker->job;
    if (!account_output(worker, job ? &job->printed : &worker->idle_printed,
                        job ? &job->print_cut : &worker->idle_cut, len, KL_END_PRINTED))
        return;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n' || worker->line_len == KL_LINE_MAX)
            flush_line(worker);
        if (bytes[i] != '\n')
            worker->line[worker->line_len++] = bytes[i];
    }
}

static void close_output(struct kl_worker *worker)
{
    if (!worker->output_open)
        return;
    worker->output_open = false;
    flush_line(worker);
    uv_poll_stop(&worker->output_poll);
}

/* Reads what is there, at most `reads` times. */
static void read_output(struct kl_worker *worker, unsigned reads)
{
    char bytes[READ_AT_ONCE];
    while (worker->output_open && reads-- > 0) {
        ssize_t n = read(worker->child.output, bytes, sizeof(bytes));
        if (n > 0)
            take_output(worker, bytes, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            close_output(worker);
        else if (errno == EAGAIN)
            return;
    }
}

static void on_output_event(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    read_output(poll->data, READS_A_TURN);
}

/* --- frames that it sends ----------------------------------------------------------------------------- */
static void protocol_error(struct kl_worker *worker, const char *format, ...) KILTER_PRINTF(2, 3);

static void protocol_error(struct kl_worker *worker, const char *format, ...)
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
        protocol_error(worker,
                       "it speaks version %" PRId64 " of the protocol, and this is version %u: the programs "
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
            set_timer(worker, EOF_GRACE_MS);
        }
        return;
    }
    read_output(worker, READS_A_TURN); /* what it printed before it answered */
    flush_line(worker);
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
        if (worker->long_lived || worker->jobs >= options->jobs_of_worker || pool->closing ||
            kl_spawn_rss(worker->child.pid) > options->recycle_rss)
            kl_worker_retire(worker);
        else
            set_timer(worker, options->idle_ms);
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
        protocol_error(worker, "it sent the frame %s out of turn", kl_frame_type_name(frame->type));
        return false;
    }
    if (is_hello || (worker->job && frame->job == worker->job->id))
        return true;
    if (frame->type != KL_FRAME_LOG && frame->type != KL_FRAME_PHASE && frame->type != KL_FRAME_DIAG)
        protocol_error(worker, "it sent the frame %s for job %u, which it does not have",
                       kl_frame_type_name(frame->type), frame->job);
    else
        account_output(worker, &worker->idle_printed, &worker->idle_cut, frame->payload.len + KL_FRAME_HEADER,
                       KL_END_LOGGED);
    return false;
}

static void take_frame(struct kl_worker *worker, const struct kl_frame *frame)
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
        protocol_error(worker, "frame %s cannot be read: %s", kl_frame_type_name(frame->type), err.message);
    else if (kilter_type_of(value) != KILTER_MAP)
        protocol_error(worker, "frame %s holds no map", kl_frame_type_name(frame->type));
    else
        take_decoded(worker, frame, value);
}

/* --- the socket ------------------------------------------------------------------------------------------ */
/* Closes our end: the worker reads its end from it. */
static void close_socket(struct kl_worker *worker)
{
    if (!worker->socket_open)
        return;
    worker->socket_open = false;
    uv_poll_stop(&worker->socket_poll);
    shutdown(worker->child.socket, SHUT_RDWR);
}

static void watch_socket(struct kl_worker *worker)
{
    int events = UV_READABLE | (worker->sent < worker->out.len ? UV_WRITABLE : 0);
    if (worker->socket_open)
        uv_poll_start(&worker->socket_poll, events, on_socket_event);
}

static void write_socket(struct kl_worker *worker)
{
    while (worker->sent < worker->out.len) {
        ssize_t n = send(worker->child.socket, worker->out.ptr + worker->sent, worker->out.len - worker->sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            worker->sent = worker->out.len; /* it is dying; the end of the socket or process will tell */
        if (n < 0)
            break;
        worker->sent += (size_t)n;
    }
    if (worker->sent == worker->out.len) {
        kilter_buf_release(&worker->out);
        worker->sent = 0;
    }
    watch_socket(worker);
}

static void end_of_socket(struct kl_worker *worker)
{
    close_socket(worker);
    if (worker->state == KL_WORKER_ENDING || worker->state == KL_WORKER_GONE)
        return;
    /* It is about to die, and how will be known in a moment; or it lives on and is killed. */
    if (worker->end == KL_END_NONE)
        worker->end = KL_END_EOF;
    set_timer(worker, EOF_GRACE_MS);
}

/* Also a worker that was killed for its lateness is heard to the end: what it applied has to be recorded. */
static bool talks(const struct kl_worker *worker)
{
    return worker->socket_open && !worker->mute;
}

static void take_bytes(struct kl_worker *worker, const char *bytes, size_t len)
{
    struct kl_frame frame;
    struct kilter_error err = KILTER_ERROR_INIT;
    if (kl_frame_feed(&worker->reader, bytes, len) < 0) {
        protocol_error(worker, "its frames do not fit into memory");
        return;
    }
    int rc = 0;
    while (!worker->mute && (rc = kl_frame_next(&worker->reader, &frame, &err)) > 0)
        take_frame(worker, &frame);
    if (rc < 0)
        protocol_error(worker, "%s", err.message);
    if (worker->reader.buf.cap > READER_KEPT && worker->reader.taken == worker->reader.buf.len)
        kl_frame_reader_release(&worker->reader);
}

static void read_socket(struct kl_worker *worker, unsigned reads)
{
    char bytes[READ_AT_ONCE];
    while (talks(worker) && reads-- > 0) {
        ssize_t n = recv(worker->child.socket, bytes, sizeof(bytes), 0);
        if (n > 0)
            take_bytes(worker, bytes, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            end_of_socket(worker);
        else if (errno == EAGAIN)
            return;
    }
}

static void on_socket_event(uv_poll_t *poll, int status, int events)
{
    struct kl_worker *worker = poll->data;
    if (status < 0) {
        end_of_socket(worker);
        return;
    }
    if (events & UV_WRITABLE)
        write_socket(worker);
    if (events & UV_READABLE)
        read_socket(worker, READS_A_TURN);
}

/* --- jobs -------------------------------------------------------------------------------------------------- */
void kl_worker_assign(struct kl_worker *worker, struct kl_job *job)
{
    worker->job = job;
    job->worker = worker;
    worker->state = KL_WORKER_BUSY;
    worker->jobs++;
    worker->end = KL_END_NONE;
    copy_text(worker->plugin, sizeof(worker->plugin), kilter_str_c(job->plugin));
    job->started_ns = job->window_ns = kl_clock_monotonic_ns();
    worker->out = job->frames;
    worker->sent = 0;
    job->frames = (struct kilter_buf)KILTER_BUF_INIT(0);
    uv_timer_stop(&worker->timer);
    if (job->deadline_ms > 0)
        set_timer(worker, job->deadline_ms);
    if (job->cancelled)
        kl_worker_cancel(worker, KL_END_CANCELLED);
    write_socket(worker);
}

void kl_worker_cancel(struct kl_worker *worker, enum kl_end why)
{
    static const char empty[] = "";
    if (worker->state == KL_WORKER_STARTING) {
        kl_worker_kill(worker, why);
        return;
    }
    if (worker->state != KL_WORKER_BUSY || worker->end != KL_END_NONE)
        return;
    worker->end = why;
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_buf map = KILTER_BUF_INIT(KL_FRAME_MAX);
    if (arena)
        kl_value_encode(&map, kilter_map(arena));
    kl_frame_write(&worker->out, KL_FRAME_CANCEL, worker->job->id,
                   map.ptr ? kilter_buf_view(&map) : kilter_str_n(empty, 0));
    kilter_buf_release(&map);
    kilter_arena_free(arena);
    set_timer(worker, worker->pool->options.cancel_grace_ms);
    write_socket(worker);
}

void kl_worker_retire(struct kl_worker *worker)
{
    worker->state = KL_WORKER_ENDING;
    worker->end = KL_END_RETIRED;
    close_socket(worker);
    set_timer(worker, RETIRE_GRACE_MS);
}

void kl_worker_kill(struct kl_worker *worker, enum kl_end why)
{
    worker->mute |= why == KL_END_PROTOCOL || why == KL_END_ITEMS || why == KL_END_BYTES;
    if (worker->killed || worker->state == KL_WORKER_GONE)
        return;
    if (worker->end == KL_END_NONE)
        worker->end = why;
    worker->killed = true;
    worker->state = KL_WORKER_ENDING;
    kl_spawn_kill(&worker->child);
    set_timer(worker, STUBBORN_MS);
}

static void on_timer(uv_timer_t *timer)
{
    struct kl_worker *worker = timer->data;
    switch (worker->state) {
    case KL_WORKER_STARTING:
        kl_worker_kill(worker, KL_END_HELLO);
        break;
    case KL_WORKER_BUSY:
        if (worker->end == KL_END_NONE)
            kl_worker_cancel(worker, KL_END_DEADLINE);
        else
            kl_worker_kill(worker, worker->end);
        break;
    case KL_WORKER_IDLE:
        if (worker->end == KL_END_NONE)
            kl_worker_retire(worker);
        else
            kl_worker_kill(worker, worker->end);
        break;
    case KL_WORKER_ENDING:
        if (worker->killed)
            kl_log(KILTER_LOG_ERROR, "worker %ld was killed and does not end: the system holds it",
                   (long)worker->child.pid);
        else
            kl_worker_kill(worker, KL_END_RETIRED);
        break;
    case KL_WORKER_GONE:
        break;
    }
}

/* --- life ---------------------------------------------------------------------------------------------------- */
bool kl_worker_is_known(void *pool, pid_t pid)
{
    const struct kl_worker *worker;
    TAILQ_FOREACH(worker, &((struct kl_pool *)pool)->workers, link)
    if (worker->child.pid == pid && worker->state != KL_WORKER_GONE)
        return true;
    return false;
}

static void worker_free(struct kl_worker *worker)
{
    kl_frame_reader_release(&worker->reader);
    kilter_buf_release(&worker->out);
    kilter_arena_free(worker->arena);
    kl_spawn_release(&worker->child);
    free(worker->key);
    free(worker);
}

static void on_closed(uv_handle_t *handle)
{
    struct kl_worker *worker = handle->data;
    if (--worker->handles > 0)
        return;
    struct kl_pool *pool = worker->pool;
    TAILQ_REMOVE(&pool->workers, worker, link);
    worker_free(worker);
    kl_pool_worker_closed(pool);
}

static void close_handles(struct kl_worker *worker)
{
    uv_close((uv_handle_t *)&worker->socket_poll, on_closed);
    uv_close((uv_handle_t *)&worker->output_poll, on_closed);
    if (worker->child.pidfd >= 0)
        uv_close((uv_handle_t *)&worker->exit_poll, on_closed);
    else
        uv_close((uv_handle_t *)&worker->exit_timer, on_closed);
    uv_close((uv_handle_t *)&worker->timer, on_closed);
}

/* Ends the job of a process that is gone without an answer. */
static void fail_job(struct kl_worker *worker, const struct kl_child_end *end)
{
    struct kl_job *job = worker->job;
    struct kl_job_outcome outcome = { 0 };
    char *message = kl_outcome_of_end(worker, job, end, &outcome);
    if (outcome.fault)
        kl_faults_add(worker->pool, kilter_str_c(kl_outcome_blamed(worker, job)), job->verb, outcome.message);
    worker->job = NULL;
    job->worker = NULL;
    kl_pool_finish_job(worker->pool, job, &outcome);
    free(message);
}

/* A process without a job is gone, and nobody told it to. */
static void report_idle_death(struct kl_worker *worker, const struct kl_child_end *end)
{
    struct kl_job_outcome outcome = { 0 };
    char *message = kl_outcome_of_end(worker, NULL, end, &outcome);
    kl_log(KILTER_LOG_WARNING, "%s", outcome.message);
    kl_faults_add(worker->pool, kilter_str_c(worker->plugin), "", outcome.message);
    free(message);
}

static void check_exit(struct kl_worker *worker)
{
    struct kl_child_end end = { 0 };
    if (worker->state == KL_WORKER_GONE || !kl_spawn_reap(&worker->child, &end))
        return;
    bool unasked = worker->end != KL_END_RETIRED && worker->end != KL_END_CANCELLED;
    /* What it still said is in the buffers; a whole answer among it counts. What a child of it might write
     * now is bounded by the buffers' size. */
    read_output(worker, READS_A_TURN);
    read_socket(worker, READS_A_TURN);
    close_output(worker);
    close_socket(worker);
    uv_timer_stop(&worker->timer);
    worker->state = KL_WORKER_GONE;
    kl_pool_worker_gone(worker->pool, worker, unasked);
    if (worker->job)
        fail_job(worker, &end);
    else if (unasked)
        report_idle_death(worker, &end);
    close_handles(worker);
    kl_pool_reap_orphans(worker->pool);
}

static void on_exit_event(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    check_exit(poll->data);
}

static void on_exit_timer(uv_timer_t *timer)
{
    check_exit(timer->data);
}

/* The variables that workers may know. The daemon's own environment may hold the secrets of inputs. */
static const char *const for_all[] = { "PATH",         "LANG",         "LC_ALL",         "LC_CTYPE",
                                       "TZ",           "TMPDIR",       "ASAN_OPTIONS",   "UBSAN_OPTIONS",
                                       "LSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH" };
static const char *const for_network[] = {
    "HOME",        "USER",          "LOGNAME",      "SSH_AUTH_SOCK",   "http_proxy",
    "https_proxy", "all_proxy",     "no_proxy",     "HTTPS_PROXY",     "ALL_PROXY",
    "NO_PROXY",    "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ENVIRONMENT_MAX (COUNT(for_all) + COUNT(for_network) + 2)
#define ARGUMENTS_MAX 80

/* A NULL-terminated array of strings in an arena. */
struct strings {
    struct kilter_arena *arena;
    char **items;
    size_t count, max;
    bool failed;
};

static void add_string(struct strings *list, char *text)
{
    if (!text || !list->items || list->count + 1 >= list->max)
        list->failed = true;
    else
        list->items[list->count++] = text;
}

static void add_option(struct strings *argv, const char *name, char *value)
{
    add_string(argv, kilter_arena_printf(argv->arena, "%s", name));
    add_string(argv, value);
}

static void add_variables(struct strings *env, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *value = getenv(names[i]);
        if (value)
            add_string(env, kilter_arena_printf(env->arena, "%s=%s", names[i], value));
    }
}

static struct strings make_environment(const struct kl_pool *pool, enum kl_role role, struct kilter_arena *arena)
{
    struct strings env = { arena, kilter_arena_calloc(arena, ENVIRONMENT_MAX, sizeof(char *)), 0, ENVIRONMENT_MAX,
                           false };
    add_string(&env, kilter_arena_printf(arena, KL_SPAWN_MARK "=%s", pool->state_id));
    add_variables(&env, for_all, COUNT(for_all));
    if (role == KL_ROLE_FETCH || role == KL_ROLE_APPLY)
        add_variables(&env, for_network, COUNT(for_network));
    return env;
}

static struct strings make_arguments(const struct kl_pool *pool, enum kl_role role, struct kilter_arena *arena)
{
    const struct kl_pool_options *options = &pool->options;
    struct strings argv = { arena, kilter_arena_calloc(arena, ARGUMENTS_MAX, sizeof(char *)), 0, ARGUMENTS_MAX,
                            false };
    add_string(&argv, kilter_arena_printf(arena, "kilter-worker"));
    add_option(&argv, "--role", kilter_arena_printf(arena, "%s", kl_role_name(role)));
    add_option(&argv, "--memory", kilter_arena_printf(arena, "%" PRIu64, options->memory));
    add_option(&argv, "--cpu", kilter_arena_printf(arena, "%u", options->cpu_seconds));
    add_option(&argv, "--files", kilter_arena_printf(arena, "%u", options->files));
    add_option(&argv, "--output", kilter_arena_printf(arena, "%" PRIu64, options->max_bytes));
    for (size_t i = 0; pool->read_dirs && pool->read_dirs[i]; i++)
        add_option(&argv, "--read", kilter_arena_printf(arena, "%s", pool->read_dirs[i]));
    return argv;
}

static int spawn_process(struct kl_worker *worker, struct kilter_error *err)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    if (!arena)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    struct strings argv = make_arguments(worker->pool, worker->role, arena);
    struct strings envp = make_environment(worker->pool, worker->role, arena);
    int rc = argv.failed || envp.failed
                 ? kilter_error_set(err, KILTER_E_LIMIT, "the arguments of a worker do not fit")
                 : kl_spawn(worker->pool->worker_path, argv.items, envp.items, &worker->child, err);
    kilter_arena_free(arena);
    return rc;
}

static void init_poll(struct kl_worker *worker, uv_poll_t *poll, int fd, uv_poll_cb callback)
{
    /* Fails for descriptors that cannot be polled only, which these can. */
    if (uv_poll_init(worker->pool->loop, poll, fd) < 0)
        abort();
    poll->data = worker;
    worker->handles++;
    uv_poll_start(poll, UV_READABLE, callback);
}

static void init_timer(struct kl_worker *worker, uv_timer_t *timer)
{
    uv_timer_init(worker->pool->loop, timer);
    timer->data = worker;
    worker->handles++;
}

int kl_worker_start(struct kl_pool *pool, struct kl_job *job, struct kilter_error *err)
{
    struct kl_worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    worker->pool = pool;
    worker->role = job->role;
    worker->long_lived = job->long_lived;
    worker->child = (struct kl_child)KL_CHILD_INIT;
    worker->reader = (struct kl_frame_reader)KL_FRAME_READER_INIT;
    worker->arena = kilter_arena_new(ARENA_MAX);
    worker->key = strdup(job->key->name);
    int rc = worker->arena && worker->key ? spawn_process(worker, err)
                                          : kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    if (rc < 0) {
        worker_free(worker);
        return rc;
    }
    init_poll(worker, &worker->socket_poll, worker->child.socket, on_socket_event);
    init_poll(worker, &worker->output_poll, worker->child.output, on_output_event);
    init_timer(worker, &worker->timer);
    if (worker->child.pidfd >= 0) {
        init_poll(worker, &worker->exit_poll, worker->child.pidfd, on_exit_event);
    } else {
        init_timer(worker, &worker->exit_timer);
        uv_timer_start(&worker->exit_timer, on_exit_timer, EXIT_POLL_MS, EXIT_POLL_MS);
    }
    worker->socket_open = worker->output_open = true;
    worker->state = KL_WORKER_STARTING;
    worker->job = job;
    job->worker = worker;
    copy_text(worker->plugin, sizeof(worker->plugin), kilter_str_c(job->plugin));
    set_timer(worker, pool->options.hello_ms);
    TAILQ_INSERT_TAIL(&pool->workers, worker, link);
    return KILTER_OK;
}
