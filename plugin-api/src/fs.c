/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* A rename that races with a walk makes openat2 answer EAGAIN; it settles within a few tries. */
#define WALK_RETRIES 64

/* --- paths --------------------------------------------------------------------- */
static int bad_path(struct kilter_str path, const char *why, struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_INVALID, "path \"%.*s\" %s", KILTER_STR_ARG(path), why);
}

static const char *bad_segment(struct kilter_str segment)
{
    if (segment.len == 0)
        return "has an empty segment; write one '/' between names and none at the end";
    if (kilter_str_eq_c(segment, ".") || kilter_str_eq_c(segment, ".."))
        return "has a \".\" or \"..\" segment; write it out";
    if (segment.len > NAME_MAX)
        return "has a segment of more than 255 bytes";
    if (kilter_str_starts(segment, KILTER_STR(KILTER_FS_TEMPORARY)))
        return "has a segment that begins like kilter's temporary files";
    return NULL;
}

int kilter_fs_check_path(struct kilter_str path, struct kilter_error *err)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return bad_path(path, "is not absolute; it must begin with '/'", err);
    if (path.len >= KL_FS_PATH_MAX)
        return kilter_error_set(err, KILTER_E_INVALID, "a path of %zu bytes is too long; 4095 is the most",
                                path.len);
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c < 0x20 || c == 0x7f)
            return kilter_error_set(err, KILTER_E_INVALID, "a path holds the control character 0x%02x at byte %zu",
                                    c, i);
    }
    if (!kilter_str_is_utf8(path))
        return kilter_error_set(err, KILTER_E_INVALID, "a path is not UTF-8");
    if (path.len == 1)
        return bad_path(path, "is the root itself, which kilter does not manage", err);
    for (size_t from = 1; from <= path.len;) {
        ptrdiff_t slash = kilter_str_find(path, '/', from);
        size_t end = slash < 0 ? path.len : (size_t)slash;
        const char *why = bad_segment(kilter_str_sub(path, from, end - from));
        if (why)
            return bad_path(path, why, err);
        from = end + 1;
    }
    return KILTER_OK;
}

int kl_fs_locate(struct kilter_str path, struct kl_fs_path *ret, struct kilter_error *err)
{
    int code = kilter_fs_check_path(path, err);
    if (code < 0)
        return code;
    memcpy(ret->rel, path.ptr + 1, path.len - 1);
    ret->rel[path.len - 1] = '\0';
    char *slash = strrchr(ret->rel, '/');
    ret->dir_len = slash ? (size_t)(slash - ret->rel) : 0;
    ret->name = slash ? slash + 1 : ret->rel;
    return KILTER_OK;
}

/* --- walking ------------------------------------------------------------------- */
static int open_how(int dirfd, const char *rel, int flags)
{
    struct open_how how;
    memset(&how, 0, sizeof how);
    how.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC | O_NOFOLLOW);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    for (int tries = 0;; tries++) {
        long fd = syscall(SYS_openat2, dirfd, *rel ? rel : ".", &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if ((errno != EAGAIN && errno != EINTR) || tries == WALK_RETRIES)
            return -errno;
    }
}

static int open_segment(int dirfd, const char *name, int flags)
{
    int fd;
    do
        fd = openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* Without openat2: one segment after the other, each from the descriptor of the one before. */
static int open_by_segments(int dirfd, const char *rel, int flags)
{
    char segment[NAME_MAX + 1];
    int at = dirfd;
    for (const char *slash; (slash = strchr(rel, '/')); rel = slash + 1) {
        size_t len = (size_t)(slash - rel);
        if (len > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(segment, rel, len);
        segment[len] = '\0';
        int next = open_segment(at, segment, O_PATH | O_DIRECTORY);
        if (at != dirfd)
            close(at);
        if (next < 0)
            return next;
        at = next;
    }
    int fd = open_segment(at, *rel ? rel : ".", flags);
    if (at != dirfd)
        close(at);
    return fd;
}

int kl_fs_open_beneath(const struct kilter_fs *fs, int dirfd, const char *rel, int flags)
{
    return fs->has_openat2 ? open_how(dirfd, rel, flags) : open_by_segments(dirfd, rel, flags);
}

static int segment_error(const char *rel, size_t end, const struct stat *st, struct kilter_error *err)
{
    const char *what =
        S_ISLNK(st->st_mode) ? "is a symbolic link, which kilter does not follow" : "is no directory";
    return kilter_error_set(err, KILTER_E_CONFLICT, "/%.*s %s", (int)end, rel, what);
}

int kl_fs_parent_error(const struct kilter_fs *fs, const char *rel, int sys_errno, struct kilter_error *err)
{
    size_t len = strlen(rel);
    char part[KL_FS_PATH_MAX];
    for (size_t end = 1; end <= len; end++) {
        if (rel[end] != '/' && rel[end] != '\0')
            continue;
        memcpy(part, rel, end);
        part[end] = '\0';
        int fd = kl_fs_open_beneath(fs, fs->fd, part, O_PATH);
        if (fd < 0)
            break;
        struct stat st;
        int failed = fstat(fd, &st);
        close(fd);
        if (failed == 0 && !S_ISDIR(st.st_mode))
            return segment_error(rel, end, &st, err);
    }
    return kilter_error_errno(err, sys_errno, "opening directory /%s", rel);
}

/* --- the root -------------------------------------------------------------------- */
#define PF_EXITING 0x4u /* of the kernel's flags of a process */

/* A field of /proc/<pid>/stat from the third on; NULL when it cannot be read. */
static const char *read_stat(long pid, int wanted, char text[1024])
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t got = read(fd, text, 1023);
    close(fd);
    if (got <= 0)
        return NULL;
    text[got] = '\0';
    /* The second field is the program's name in parentheses and may hold anything. */
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < wanted; field++)
        at = strchr(at + 1, ' ');
    return at ? at + 1 : NULL;
}

uint64_t kl_fs_process_start(long pid)
{
    char text[1024];
    const char *start = read_stat(pid, 22, text);
    return start ? strtoull(start, NULL, 10) : 0;
}

bool kl_fs_process_is_over(long pid)
{
    char text[1024];
    const char *state = read_stat(pid, 3, text);
    if (state && (*state == 'Z' || *state == 'X'))
        return true;
    const char *flags = read_stat(pid, 9, text);
    return flags && (strtoul(flags, NULL, 10) & PF_EXITING);
}

static void read_boot_id(char ret_boot[9])
{
    memset(ret_boot, '0', 8);
    ret_boot[8] = '\0';
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    char text[8];
    if (read(fd, text, sizeof text) == (ssize_t)sizeof text)
        memcpy(ret_boot, text, sizeof text);
    close(fd);
}

static unsigned int kernel_version(void)
{
    struct utsname name;
    unsigned int major = 0, minor = 0;
    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2 || minor > 255)
        return 0;
    return major << 8 | minor;
}

static bool probe_openat2(int fd)
{
    int probe = open_how(fd, ".", O_PATH | O_DIRECTORY);
    if (probe < 0)
        return false;
    close(probe);
    return true;
}

static int open_root(struct kilter_str path, struct kilter_fs *fs, struct kilter_error *err)
{
    char text[KL_FS_PATH_MAX];
    if (path.len == 0 || path.ptr[0] != '/' || path.len >= sizeof text || memchr(path.ptr, 0, path.len))
        return kilter_error_set(err, KILTER_E_INVALID, "root \"%.*s\" is not an absolute path",
                                KILTER_STR_ARG(path));
    memcpy(text, path.ptr, path.len);
    text[path.len] = '\0';
    fs->root = realpath(text, NULL);
    if (!fs->root)
        return kilter_error_errno(err, errno, "root %s", text);
    fs->fd = open(fs->root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fs->fd < 0 && errno == ENOTDIR)
        return kilter_error_set(err, KILTER_E_INVALID, "root %s is no directory", text);
    if (fs->fd < 0)
        return kilter_error_errno(err, errno, "opening root %s", text);
    return KILTER_OK;
}

int kilter_fs_open(struct kilter_str path, uint32_t flags, struct kilter_fs **ret, struct kilter_error *err)
{
    struct kilter_fs *fs = calloc(1, sizeof *fs);
    if (!fs)
        return kilter_error_set(err, KILTER_E_NOMEM, "opening a root: out of memory");
    fs->fd = -1;
    int code = open_root(path, fs, err);
    if (code < 0) {
        kilter_fs_close(fs);
        return code;
    }
    fs->has_openat2 = !(flags & KILTER_FS_NO_OPENAT2) && probe_openat2(fs->fd);
    fs->kernel = kernel_version();
    read_boot_id(fs->boot);
    fs->start = kl_fs_process_start((long)getpid());
    *ret = fs;
    return KILTER_OK;
}

void kilter_fs_close(struct kilter_fs *fs)
{
    if (!fs)
        return;
    if (fs->fd >= 0)
        close(fs->fd);
    free(fs->root);
    free(fs);
}

struct kilter_str kilter_fs_root(const struct kilter_fs *fs)
{
    return kilter_str_c(fs->root);
}

/* --- the machine ------------------------------------------------------------------- */
static bool read_machine_id(const char *file, char ret_id[KILTER_MACHINE_ID_SIZE])
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char text[33];
    ssize_t got = read(fd, text, sizeof text);
    close(fd);
    if (got < 32 || (got == 33 && text[32] != '\n'))
        return false;
    for (int i = 0; i < 32; i++)
        if (!strchr("0123456789abcdef", text[i]) || !text[i])
            return false;
    memcpy(ret_id, text, 32);
    ret_id[32] = '\0';
    return true;
}

int kilter_machine_id(char ret_id[KILTER_MACHINE_ID_SIZE], struct kilter_error *err)
{
    if (read_machine_id("/etc/machine-id", ret_id) || read_machine_id("/var/lib/dbus/machine-id", ret_id))
        return KILTER_OK;
    struct utsname name;
    if (uname(&name) < 0)
        return kilter_error_errno(err, errno, "finding out which machine this is");
    if (!name.nodename[0])
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "this machine has neither /etc/machine-id nor a name");
    snprintf(ret_id, KILTER_MACHINE_ID_SIZE, "name-%.64s", name.nodename);
    return KILTER_OK;
}
