/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/proc.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOW_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOW_MEMORY 1
#endif
#endif

/* For the signal handlers; written before they are in place. */
static int watched_socket = -1;
static int children_fd = -1; /* /proc/self/task/<main thread>/children, opened before any sandbox */

/* --- the end ----------------------------------------------------------------------- */
/* Kills the children listed in `text`; the count of them. */
static int kill_listed(const char *text, ssize_t len)
{
    int count = 0;
    long pid = 0;
    for (ssize_t i = 0; i < len; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            pid = pid * 10 + (text[i] - '0');
        } else {
            if (pid > 1) {
                kill((pid_t)pid, SIGKILL);
                count++;
            }
            pid = 0;
        }
    }
    return count;
}

/* What a killed child leaves behind becomes our child, being its subreaper, so this ends when all are gone. */
static void kill_children(void)
{
    char text[4096];
    for (int round = 0; children_fd >= 0 && round < 1000; round++) {
        ssize_t len = pread(children_fd, text, sizeof text, 0);
        if (len <= 0 || kill_listed(text, len) == 0)
            return;
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        struct timespec pause = { 0, 1000000 };
        nanosleep(&pause, NULL);
    }
}

_Noreturn void kl_proc_end(int status)
{
    kill_children();
    /* Children of other threads are not in our list, but in our process group. */
    signal(SIGTERM, SIG_IGN);
    if (getpgrp() == getpid())
        kill(0, SIGTERM);
    _exit(status);
}

static void on_signal(int number)
{
    int saved = errno;
    struct pollfd socket = { .fd = watched_socket, .events = POLLRDHUP };
    if (number == SIGTERM ||
        (poll(&socket, 1, 0) > 0 && socket.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL)))
        kl_proc_end(0);
    errno = saved;
}

/* --- the start ----------------------------------------------------------------------- */
static int watch_socket(int socket, struct kilter_error *err)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigfillset(&action.sa_mask);
    watched_socket = socket;
    if (sigaction(SIGTERM, &action, NULL) < 0 || sigaction(SIGIO, &action, NULL) < 0)
        return kilter_error_errno(err, errno, "setting up signals");
    int flags = fcntl(socket, F_GETFL);
    if (flags < 0 || fcntl(socket, F_SETFD, FD_CLOEXEC) < 0 || fcntl(socket, F_SETOWN, getpid()) < 0 ||
        fcntl(socket, F_SETFL, flags | O_ASYNC) < 0)
        return kilter_error_errno(err, errno, "watching the socket");
    return 0;
}

static void open_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", syscall(SYS_gettid));
    children_fd = open(path, O_RDONLY | O_CLOEXEC); /* without it the process group has to do */
}

/* A worker is the first to go when memory is short, not the daemon. */
static void prefer_for_oom(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "500", 3) < 0)
        errno = 0; /* not allowed in this container: nothing depends on it */
    close(fd);
}

static int limit(int what, rlim_t value, const char *name, struct kilter_error *err)
{
    struct rlimit now;
    if (getrlimit(what, &now) == 0) {
        if (now.rlim_max != RLIM_INFINITY && value > now.rlim_max)
            value = now.rlim_max; /* it is tighter already */
        now.rlim_cur = now.rlim_max = value;
        if (setrlimit(what, &now) == 0)
            return 0;
    }
    return kilter_error_errno(err, errno, "limiting %s", name);
}

static int set_limits(const struct kl_proc_limits *limits, struct kilter_error *err)
{
    int rc = limit(RLIMIT_CORE, 0, "core dumps", err);
#ifndef SHADOW_MEMORY
    if (rc == 0 && limits->memory)
        rc = limit(RLIMIT_DATA, (rlim_t)limits->memory, "memory", err);
#endif
    if (rc == 0 && limits->files)
        rc = limit(RLIMIT_NOFILE, (rlim_t)limits->files, "open files", err);
    if (rc == 0 && limits->no_files) {
        signal(SIGXFSZ, SIG_IGN); /* EFBIG is answer enough */
        rc = limit(RLIMIT_FSIZE, 0, "file sizes", err);
    }
    return rc;
}

int kl_proc_setup(const struct kl_proc_limits *limits, int socket, struct kilter_error *err)
{
    setsid(); /* fails when whoever spawned us did it already */
    open_children();
    syscall(SYS_close_range, socket + 1, children_fd > socket ? (unsigned)children_fd - 1 : ~0U, 0);
    if (children_fd > socket)
        syscall(SYS_close_range, children_fd + 1, ~0U, 0);
    prefer_for_oom();

    int rc = watch_socket(socket, err);
    if (rc < 0)
        return rc;
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return kilter_error_errno(err, errno, "giving up privileges");
    return set_limits(limits, err);
}

void kl_proc_begin_job(const struct kl_proc_limits *limits)
{
    struct rusage used;
    struct rlimit cpu;
    if (!limits->cpu_seconds || getrusage(RUSAGE_SELF, &used) < 0 || getrlimit(RLIMIT_CPU, &cpu) < 0)
        return;
    /* The limit counts from the start of the process, which has done other jobs before. */
    cpu.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + 1 + limits->cpu_seconds);
    if (cpu.rlim_cur > cpu.rlim_max)
        cpu.rlim_cur = cpu.rlim_max;
    setrlimit(RLIMIT_CPU, &cpu);
}
