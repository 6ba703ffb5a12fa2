/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/inspect.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/paths.h"
#include "wire/codec.h"
#include "wire/frame.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ANSWER_NS (INT64_C(10) * KL_NS_PER_S)
#define WORKER_FD 3

extern char **environ;

struct inspection {
    const char *file;
    pid_t pid;
    int fd;
    int64_t end_ns;
    struct kl_frame_reader reader;
    struct kilter_arena *arena;
};

/* --- the worker -------------------------------------------------------------------- */

static int spawn_worker(struct inspection *inspection, struct kilter_error *err)
{
    KL_CLEANUP(kl_freep) char *program = NULL;
    int r = kl_worker_find(&program, err), ends[2];
    if (r < 0)
        return r;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return kilter_error_errno(err, errno, "making a socket pair");
    char name[] = "kilter-worker", role[] = "--role", inspect[] = "inspect";
    char *argv[] = { name, role, inspect, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], WORKER_FD);
    r = posix_spawn(&inspection->pid, program, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    inspection->fd = ends[0];
    if (r != 0) {
        inspection->pid = 0;
        return kilter_error_errno(err, r, "running %s", program);
    }
    return 0;
}

static int reap(struct inspection *inspection)
{
    int status = 0;
    if (inspection->fd >= 0)
        close(inspection->fd);
    inspection->fd = -1;
    if (inspection->pid == 0)
        return 0;
    /* Its group too: a plugin may have started something. */
    kill(-inspection->pid, SIGKILL);
    while (waitpid(inspection->pid, &status, 0) < 0 && errno == EINTR)
        ;
    inspection->pid = 0;
    return status;
}

/* The worker is gone without an answer: why, as far as its end tells. */
static int complain_death(struct inspection *inspection, struct kilter_error *err)
{
    /* Its end closed the socket; it is waited for before the kill, which would hide how it ended. */
    siginfo_t info = { 0 };
    for (int i = 0; i < 200 && waitid(P_PID, (id_t)inspection->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                    info.si_pid == 0;
         i++)
        poll(NULL, 0, 5);
    int status = reap(inspection);
    if (WIFSIGNALED(status))
        return kilter_error_set(err, KILTER_E_INTERNAL, "plugin %s crashed while it was looked at: %s",
                                inspection->file, strsignal(WTERMSIG(status)));
    return kilter_error_set(err, KILTER_E_INTERNAL,
                            "plugin %s ended its process while it was looked at (exit status %d)", inspection->file,
                            WEXITSTATUS(status));
}

/* --- talking -------------------------------------------------------------------------- */

static int send_frame(struct inspection *inspection, enum kl_frame_type type, const struct kilter_value *value,
                      struct kilter_error *err)
{
    struct kilter_buf payload = KILTER_BUF_INIT(1u << 20), frame = KILTER_BUF_INIT(2u << 20);
    int r = kl_value_encode(&payload, value);
    size_t sent = 0;
    if (r == 0)
        r = kl_frame_write(&frame, type, 1, kilter_buf_view(&payload));
    if (r < 0)
        kilter_error_set(err, r, "out of memory");
    while (r == 0 && sent < frame.len) {
        ssize_t n = send(inspection->fd, frame.ptr + sent, frame.len - sent, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (n < 0 && errno == EPIPE)
            break; /* what it said before it ended is read below */
        else if (n < 0 && errno != EINTR)
            r = kilter_error_errno(err, errno, "sending to kilter-worker");
    }
    kilter_buf_release(&payload);
    kilter_buf_release(&frame);
    return r;
}

/* Waits for bytes and feeds them; KILTER_E_NOT_FOUND at the end of the socket. */
static int receive(struct inspection *inspection, struct kilter_error *err)
{
    char bytes[65536];
    struct pollfd fd = { .fd = inspection->fd, .events = POLLIN };
    int64_t left = (inspection->end_ns - kl_clock_monotonic_ns()) / KL_NS_PER_MS;
    int n = poll(&fd, 1, left > 0 ? (int)left : 0);
    if (n == 0)
        return kilter_error_set(err, KILTER_E_TIMEOUT, "plugin %s hung while it was looked at; it was ended",
                                inspection->file);
    if (n < 0)
        return errno == EINTR ? 0 : kilter_error_errno(err, errno, "waiting for kilter-worker");
    ssize_t got = recv(inspection->fd, bytes, sizeof(bytes), 0);
    if (got < 0 && errno == EINTR)
        return 0;
    if (got <= 0)
        return complain_death(inspection, err);
    return kl_frame_feed(&inspection->reader, bytes, (size_t)got) < 0
               ? kilter_error_set(err, KILTER_E_LIMIT, "kilter-worker says too much")
               : 0;
}

/* The value of the next frame of this type; other types are passed over. */
static int await_frame(struct inspection *inspection, enum kl_frame_type type, struct kilter_value **ret,
                       struct kilter_error *err)
{
    for (;;) {
        struct kl_frame frame;
        int r = kl_frame_next(&inspection->reader, &frame, err);
        if (r == 1 && frame.type == type)
            return kl_value_decode(inspection->arena, frame.payload, NULL, NULL, ret, err);
        if (r == 0)
            r = receive(inspection, err);
        if (r < 0)
            return r;
    }
}

static struct kilter_value *make_job(struct kilter_arena *arena, const char *file, struct kilter_str name)
{
    struct kilter_value *job = kilter_map(arena), *plugin = kilter_map(arena);
    if (!job || !plugin || kilter_set(arena, job, "verb", kilter_string_c(arena, "describe")) < 0 ||
        kilter_set(arena, job, "plugin", plugin) < 0 ||
        kilter_set(arena, job, "deadlineMs", kilter_int(arena, ANSWER_NS / KL_NS_PER_MS)) < 0 ||
        kilter_set(arena, plugin, "file", kilter_string_c(arena, file)) < 0 ||
        (name.len && kilter_set(arena, plugin, "name", kilter_string(arena, name)) < 0))
        return NULL;
    return job;
}

static int check_hello(const struct kilter_value *hello, struct kilter_error *err)
{
    int64_t wire = 0;
    kilter_get_int(hello, "wire", &wire);
    if (wire == KL_WIRE_VERSION)
        return 0;
    return kilter_error_set(
        err, KILTER_E_UNSUPPORTED,
        "kilter-worker speaks version %lld of the workers' protocol and this kilter version %u; "
        "they are of different releases",
        (long long)wire, KL_WIRE_VERSION);
}

static int ask(struct inspection *inspection, struct kilter_str name, struct kilter_value **ret,
               struct kilter_error *err)
{
    struct kilter_value *hello = NULL, *done = NULL, *job = make_job(inspection->arena, inspection->file, name);
    struct kilter_value *empty = kilter_map(inspection->arena);
    int64_t status = 0;
    if (!job || !empty)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    int r = await_frame(inspection, KL_FRAME_HELLO, &hello, err);
    if (r == 0)
        r = check_hello(hello, err);
    if (r == 0)
        r = send_frame(inspection, KL_FRAME_JOB, job, err);
    if (r == 0)
        r = send_frame(inspection, KL_FRAME_START, empty, err);
    if (r == 0)
        r = await_frame(inspection, KL_FRAME_DONE, &done, err);
    if (r < 0)
        return r;
    struct kilter_str message = kilter_get_text(done, "message");
    if (kilter_get_int(done, "status", &status) < 0 || status != 0)
        return kilter_error_set(err, status < 0 ? (int)status : KILTER_E_INTERNAL, "%.*s", KILTER_STR_ARG(message));
    *ret = kilter_get(done, "plugin");
    return *ret ? 0 : kilter_error_set(err, KILTER_E_INTERNAL, "kilter-worker described nothing");
}

int kl_inspect(const char *file, struct kilter_str name, struct kilter_arena *arena, struct kilter_value **ret,
               struct kilter_error *err)
{
    struct inspection inspection = { .file = file, .fd = -1, .reader = KL_FRAME_READER_INIT, .arena = arena };
    inspection.end_ns = kl_clock_monotonic_ns() + ANSWER_NS;
    int r = spawn_worker(&inspection, err);
    if (r == 0)
        r = ask(&inspection, name, ret, err);
    reap(&inspection);
    kl_frame_reader_release(&inspection.reader);
    return r;
}
