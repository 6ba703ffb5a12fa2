/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "pool/private.h"
#include "wire/codec.h"

#include <errno.h>
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

void kl_worker_set_timer(struct kl_worker *worker, int64_t ms)
{
    uv_update_time(worker->pool->loop); /* the loop's time is that of its turn's beginning */
    uv_timer_start(&worker->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

/* --- what it prints --------------------------------------------------------------------------------- */
static void close_output(struct kl_worker *worker)
{
    if (!worker->output_open)
        return;
    worker->output_open = false;
    kl_worker_flush_line(worker);
    uv_poll_stop(&worker->output_poll);
}

void kl_worker_read_output(struct kl_worker *worker)
{
    unsigned reads = READS_A_TURN;
    char bytes[READ_AT_ONCE];
    while (worker->output_open && reads-- > 0) {
        ssize_t n = read(worker->child.output, bytes, sizeof(bytes));
        if (n > 0)
            kl_worker_take_output(worker, bytes, (size_t)n);
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
    kl_worker_read_output(poll->data);
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
    kl_worker_set_timer(worker, EOF_GRACE_MS);
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
        kl_worker_protocol_error(worker, "its frames do not fit into memory");
        return;
    }
    int rc = 0;
    while (!worker->mute && (rc = kl_frame_next(&worker->reader, &frame, &err)) > 0)
        kl_worker_take_frame(worker, &frame);
    if (rc < 0)
        kl_worker_protocol_error(worker, "%s", err.message);
    if (worker->reader.buf.cap > READER_KEPT && worker->reader.taken == worker->reader.buf.len)
        kl_frame_reader_release(&worker->reader);
}

static void read_socket(struct kl_worker *worker)
{
    unsigned reads = READS_A_TURN;
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
        read_socket(worker);
}

/* --- jobs -------------------------------------------------------------------------------------------------- */
void kl_worker_assign(struct kl_worker *worker, struct kl_job *job)
{
    worker->job = job;
    job->worker = worker;
    worker->state = KL_WORKER_BUSY;
    worker->jobs++;
    worker->end = KL_END_NONE;
    snprintf(worker->plugin, sizeof(worker->plugin), "%s", job->plugin);
    job->started_ns = job->window_ns = kl_clock_monotonic_ns();
    worker->out = job->frames;
    worker->sent = 0;
    job->frames = (struct kilter_buf)KILTER_BUF_INIT(0);
    uv_timer_stop(&worker->timer);
    if (job->deadline_ms > 0)
        kl_worker_set_timer(worker, job->deadline_ms);
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
    kl_worker_set_timer(worker, worker->pool->options.cancel_grace_ms);
    write_socket(worker);
}

void kl_worker_retire(struct kl_worker *worker)
{
    worker->state = KL_WORKER_ENDING;
    worker->end = KL_END_RETIRED;
    close_socket(worker);
    kl_worker_set_timer(worker, RETIRE_GRACE_MS);
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
    kl_worker_set_timer(worker, STUBBORN_MS);
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

/* A process without a job is gone, and not as it should. */
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
    kl_worker_read_output(worker);
    read_socket(worker);
    close_output(worker);
    close_socket(worker);
    uv_timer_stop(&worker->timer);
    worker->state = KL_WORKER_GONE;
    kl_pool_worker_gone(worker->pool, worker, unasked);
    if (worker->job)
        fail_job(worker, &end);
    else if (unasked || (end.signal != 0 && !worker->killed))
        report_idle_death(worker, &end); /* one that was to end may crash over it all the same */
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
    int rc = worker->arena && worker->key ? kl_worker_spawn(worker, err)
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
    snprintf(worker->plugin, sizeof(worker->plugin), "%s", job->plugin);
    kl_worker_set_timer(worker, pool->options.hello_ms);
    TAILQ_INSERT_TAIL(&pool->workers, worker, link);
    return KILTER_OK;
}
