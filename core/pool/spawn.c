/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/spawn.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FIRST_FD 10 /* ours are kept out of the way of the child's 0 to 3 */
#define ENVIRON_MAX (1u << 20)
#define SWEEP_MS 5000

/* --- starting ------------------------------------------------------------------------------------ */
static int move_up(int *fd)
{
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_FD);
    if (moved < 0)
        return -1;
    close(*fd);
    *fd = moved;
    return 0;
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* The two ends each of the socket and of the output pipe; [0] stays here, [1] becomes the child's. */
static int make_channels(int sockets[2], int pipes[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0 || pipe2(pipes, O_CLOEXEC) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        if (move_up(&sockets[i]) < 0 || move_up(&pipes[i]) < 0)
            return -1;
    return set_nonblocking(sockets[0]) < 0 || set_nonblocking(pipes[0]) < 0 ? -1 : 0;
}

/* What the child begins with: descriptors, a session of its own, no signal blocked or ignored. */
static int describe_child(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int socket,
                          int output)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, output, 1);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, output, 2);
    rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, socket, 3);
    rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(actions, 4);
    rc = rc ? rc : posix_spawnattr_setsigmask(attributes, &none);
    rc = rc ? rc : posix_spawnattr_setsigdefault(attributes, &all);
    return rc ? rc
              : posix_spawnattr_setflags(attributes,
                                         POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(const char *path, char *const argv[], char *const envp[], int socket, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = describe_child(&actions, &attributes, socket, output);
        rc = rc ? rc : posix_spawn(ret_pid, path, &actions, &attributes, argv, envp);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static uint64_t own_peak_rss(void)
{
    struct rusage usage = { 0 };
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

int kl_spawn(const char *path, char *const argv[], char *const envp[], struct kl_child *ret,
             struct kilter_error *err)
{
    int sockets[2] = { -1, -1 }, pipes[2] = { -1, -1 };
    int rc = KILTER_OK;
    struct kl_child child = KL_CHILD_INIT;
    if (make_channels(sockets, pipes) < 0) {
        rc = kilter_error_errno(err, errno, "making the channels of a worker");
    } else {
        int failure = spawn(path, argv, envp, sockets[1], pipes[1], &child.pid);
        if (failure)
            rc = kilter_error_errno(err, failure, "starting %s", path);
    }
    if (rc == KILTER_OK && (child.pidfd = pidfd_open(child.pid, 0)) < 0 && errno != ENOSYS && errno != EPERM) {
        rc = kilter_error_errno(err, errno, "watching the worker %ld", (long)child.pid);
        kl_spawn_kill(&child);
        waitpid(child.pid, NULL, 0);
    }
    kl_closep(&sockets[1]);
    kl_closep(&pipes[1]);
    if (rc < 0) {
        kl_closep(&sockets[0]);
        kl_closep(&pipes[0]);
        return rc;
    }
    child.inherited_rss = own_peak_rss();
    child.socket = sockets[0];
    child.output = pipes[0];
    *ret = child;
    return KILTER_OK;
}

/* --- ending ------------------------------------------------------------------------------------------ */
void kl_spawn_kill(const struct kl_child *child)
{
    /* The child is not reaped yet, so that its number, which is the group's too, is nobody else's. */
    if (child->pid > 0 && kill(-child->pid, SIGKILL) < 0)
        kill(child->pid, SIGKILL);
}

bool kl_spawn_reap(const struct kl_child *child, struct kl_child_end *ret)
{
    siginfo_t info = { 0 };
    struct rusage usage = { 0 };
    /* Nobody else reaps it, so that its number means it until we do. */
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
        return false;
    kl_spawn_kill(child);
    /* The system call, unlike the library's function, tells what the process used. */
    while (syscall(SYS_waitid, P_PID, child->pid, &info, WEXITED, &usage) < 0 && errno == EINTR)
        ;
    ret->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    ret->exit_status = info.si_code == CLD_EXITED ? info.si_status : 0;
    uint64_t max_rss = (uint64_t)usage.ru_maxrss * 1024;
    ret->max_rss = max_rss > child->inherited_rss ? max_rss : 0;
    return true;
}

void kl_spawn_release(struct kl_child *child)
{
    kl_closep(&child->pidfd);
    kl_closep(&child->socket);
    kl_closep(&child->output);
}

/* --- leftovers ------------------------------------------------------------------------------------------ */
enum mark { MARK_NONE, MARK_OURS, MARK_EMPTY };

/* What a process's environment says of it: it carries the mark of this id; it has none at all, as those have
 * that are just ending; or it is somebody else's, or not to be read. */
static enum mark read_mark(pid_t pid, const char *id)
{
    char path[64], mark[PATH_MAX + sizeof(KL_SPAWN_MARK) + 1]; /* ids may be paths */
    int mark_len = snprintf(mark, sizeof(mark), KL_SPAWN_MARK "=%s", id);
    snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
    KL_CLEANUP(kl_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ESRCH)
        return MARK_EMPTY; /* so Linux since 6.16, where others open an empty file */
    if (fd < 0 || mark_len < 0 || (size_t)mark_len >= sizeof(mark))
        return MARK_NONE;
    struct kilter_buf text = KILTER_BUF_INIT(ENVIRON_MAX);
    ssize_t n = 0;
    char *room;
    while ((room = kilter_buf_reserve(&text, 4096)) != NULL && (n = read(fd, room, 4096)) > 0)
        text.len += (size_t)n;
    bool found = false;
    struct kilter_str rest = kilter_str_n(text.ptr, text.len);
    while (rest.len > 0 && !found) {
        ptrdiff_t end = kilter_str_find(rest, '\0', 0);
        size_t len = end < 0 ? rest.len : (size_t)end;
        found = kilter_str_eq_c(kilter_str_sub(rest, 0, len), mark);
        rest = kilter_str_sub(rest, len + 1, rest.len);
    }
    bool empty = text.len == 0 && n == 0;
    kilter_buf_release(&text);
    return found ? MARK_OURS : empty ? MARK_EMPTY : MARK_NONE;
}

/* Kills a live orphan with our mark; reaps a dead one. Whether it still is there. */
static bool end_orphan(pid_t pid, const char *id)
{
    siginfo_t info = { 0 };
    /* What this process started by other means than ours is in its own session. */
    bool foreign_session = getsid(pid) != getsid(0);
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return false; /* no child of ours any more */
    if (info.si_pid == 0) {
        enum mark mark = read_mark(pid, id);
        if (mark == MARK_NONE || (mark == MARK_EMPTY && !foreign_session))
            return false;
        kill(pid, SIGKILL);
        return true;
    }
    if (foreign_session)
        waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
    return false;
}

static size_t reap_children_of_thread(const char *thread, const char *id, bool (*is_known)(void *data, pid_t pid),
                                      void *data)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", thread);
    KL_CLEANUP(kl_fclosep) FILE *file = fopen(path, "re");
    size_t left = 0;
    long pid;
    while (file && fscanf(file, "%ld", &pid) == 1)
        if (!is_known(data, (pid_t)pid))
            left += end_orphan((pid_t)pid, id);
    return left;
}

size_t kl_spawn_reap_orphans(const char *id, bool (*is_known)(void *data, pid_t pid), void *data)
{
    KL_CLEANUP(kl_closedirp) DIR *threads = opendir("/proc/self/task");
    size_t left = 0;
    for (struct dirent *entry = threads ? readdir(threads) : NULL; entry; entry = readdir(threads))
        if (entry->d_name[0] != '.')
            left += reap_children_of_thread(entry->d_name, id, is_known, data);
    return left;
}

/* Kills the process when it really is one of ours, and waits for its end until the deadline. The pidfd holds
 * on to the process, so that looking again makes sure who is killed. */
static bool sweep_one(pid_t pid, const char *id, int64_t deadline_ns)
{
    KL_CLEANUP(kl_closep) int pidfd = pidfd_open(pid, 0);
    bool cannot_hold = pidfd < 0 && (errno == ENOSYS || errno == EPERM);
    if ((pidfd < 0 && !cannot_hold) || read_mark(pid, id) != MARK_OURS)
        return false;
    if (getpgid(pid) == pid)
        kill(-pid, SIGKILL);
    if (cannot_hold) {
        kill(pid, SIGKILL);
        return true;
    }
    pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    struct pollfd end = { .fd = pidfd, .events = POLLIN, .revents = 0 };
    int64_t left_ms = (deadline_ns - kl_clock_monotonic_ns()) / KL_NS_PER_MS;
    poll(&end, 1, left_ms > 0 ? (int)left_ms : 0);
    return true;
}

int kl_spawn_sweep(const char *id, struct kilter_error *err)
{
    int64_t deadline_ns = kl_clock_monotonic_ns() + SWEEP_MS * KL_NS_PER_MS;
    int total = 0, found;
    /* Again until nobody is left: one that was about to fork may have had a child meanwhile. */
    do {
        KL_CLEANUP(kl_closedirp) DIR *proc = opendir("/proc");
        if (!proc)
            return kilter_error_errno(err, errno, "looking for workers in /proc");
        found = 0;
        for (struct dirent *entry = readdir(proc); entry; entry = readdir(proc)) {
            long pid = strtol(entry->d_name, NULL, 10);
            if (pid > 1 && pid != getpid() && read_mark((pid_t)pid, id) == MARK_OURS)
                found += sweep_one((pid_t)pid, id, deadline_ns);
        }
        total += found;
        if (found > 0)
            usleep(1000);
    } while (found > 0 && kl_clock_monotonic_ns() < deadline_ns);
    return total;
}

uint64_t kl_spawn_rss(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    KL_CLEANUP(kl_fclosep) FILE *file = fopen(path, "re");
    unsigned long long pages = 0;
    if (!file || fscanf(file, "%*u %llu", &pages) != 1)
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
