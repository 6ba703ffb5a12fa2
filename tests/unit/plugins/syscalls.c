/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands between libkilter and the kernel for the calls that change files, so that a test can end the process
 * before the n-th of them, as a power cut would, or make one fail.
 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

static long count, kill_at, fail_at;
static int fail_error;
static const char *fail_name, *act_name;
static void (*act_before)(void);
static const char *kernel;

void syscalls_kill_at(long n)
{
    count = fail_at = 0;
    kill_at = n;
    fail_name = NULL;
}

void syscalls_fail_at(long n, int error)
{
    count = kill_at = 0;
    fail_at = n;
    fail_error = error;
    fail_name = NULL;
}

void syscalls_fail_all(const char *name, int error)
{
    count = kill_at = fail_at = 0;
    fail_name = name;
    fail_error = error;
}

void syscalls_kernel(const char *release)
{
    kernel = release;
}

KILTER_API int uname(struct utsname *name)
{
    int failed = (int)syscall(SYS_uname, name);
    if (failed == 0 && kernel)
        snprintf(name->release, sizeof name->release, "%s", kernel);
    return failed;
}

void syscalls_before(const char *name, void (*act)(void))
{
    syscalls_fail_all(NULL, 0);
    act_name = name;
    act_before = act;
}

long syscalls_count(void)
{
    return count;
}

/* True when the call must fail. */
static bool meet(const char *name)
{
    void (*act)(void) = act_before && strcmp(act_name, name) == 0 ? act_before : NULL;
    count++;
    if (act) {
        act_before = NULL;
        act();
    }
    if (kill_at && count == kill_at)
        raise(SIGKILL);
    if (fail_name ? strcmp(fail_name, name) == 0 : fail_at && count == fail_at) {
        errno = fail_error;
        return true;
    }
    return false;
}

KILTER_API int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
    return meet("renameat2") ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

KILTER_API int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return meet("renameat") ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

KILTER_API int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return meet("linkat") ? -1 : (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

KILTER_API int symlinkat(const char *target, int dir, const char *name)
{
    return meet("symlinkat") ? -1 : (int)syscall(SYS_symlinkat, target, dir, name);
}

KILTER_API int mkdirat(int dir, const char *name, mode_t mode)
{
    return meet("mkdirat") ? -1 : (int)syscall(SYS_mkdirat, dir, name, mode);
}

KILTER_API int unlinkat(int dir, const char *name, int flags)
{
    return meet("unlinkat") ? -1 : (int)syscall(SYS_unlinkat, dir, name, flags);
}

KILTER_API int fchown(int fd, uid_t uid, gid_t gid)
{
    return meet("fchown") ? -1 : (int)syscall(SYS_fchown, fd, uid, gid);
}

KILTER_API int fchmod(int fd, mode_t mode)
{
    return meet("fchmod") ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

KILTER_API int fsync(int fd)
{
    return meet("fsync") ? -1 : (int)syscall(SYS_fsync, fd);
}

KILTER_API int syncfs(int fd)
{
    return meet("syncfs") ? -1 : (int)syscall(SYS_syncfs, fd);
}

KILTER_API int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
    return meet("fsetxattr") ? -1 : (int)syscall(SYS_fsetxattr, fd, name, value, size, flags);
}

KILTER_API int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return meet("fallocate") ? -1 : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

/* Only what is written to a file counts; Check talks to its parent through pipes. */
KILTER_API ssize_t write(int fd, const void *bytes, size_t len)
{
    struct stat st;
    bool file = (kill_at || fail_at || fail_name) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    return file && meet("write") ? -1 : (ssize_t)syscall(SYS_write, fd, bytes, len);
}

KILTER_API int openat(int dir, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return flags & O_CREAT && meet("openat") ? -1 : (int)syscall(SYS_openat, dir, name, flags, mode);
}
