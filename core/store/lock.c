/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lock.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>

/* The name of a process, for people; empty when it cannot be told. */
static void program_of(long pid, char *name, size_t size)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    name[0] = '\0';
    KL_CLEANUP(kl_fclosep) FILE *file = fopen(path, "re");
    if (file && fgets(name, (int)size, file))
        name[strcspn(name, "\n")] = '\0';
}

static int refuse(int fd, const char *store_path, struct kilter_error *err)
{
    char text[32] = "", name[64];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0)
        return kilter_error_set(err, KILTER_E_CONFLICT, "the store %s is in use by another process", store_path);
    program_of(pid, name, sizeof(name));
    return kilter_error_set(err, KILTER_E_CONFLICT,
                            "the store %s is in use by process %ld%s%s%s: talk to it, or stop it first", store_path,
                            pid, name[0] ? " (" : "", name, name[0] ? ")" : "");
}

static int sign(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    return ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len ? -1 : 0;
}

int kl_lock_take(const char *store_path, int *ret_fd, struct kilter_error *err)
{
    KL_CLEANUP(kl_freep) char *path = NULL;
    if (asprintf(&path, "%s.lock", store_path) < 0) {
        path = NULL;
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    KL_CLEANUP(kl_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return kilter_error_errno(err, errno, "opening %s", path);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return refuse(fd, store_path, err);
        return kilter_error_errno(err, errno, "locking %s", path);
    }
    /* A full disk is no reason to go without the lock: the pid is for the message only. */
    if (sign(fd) < 0 && errno != ENOSPC && errno != EDQUOT)
        return kilter_error_errno(err, errno, "writing %s", path);
    *ret_fd = kl_steal_fd(&fd);
    return 0;
}
