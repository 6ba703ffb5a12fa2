/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Temporary entries: ".kilter-tmp.<boot>.<pid>.<start>.<number>". By boot, pid and start a later process
 * tells those that somebody still works on from those that a crash left.
 */
#include "fs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

/* Trees that kilter replaces were walked by people; deeper is a trap. */
#define MAX_DEPTH 256

void kl_fs_temporary_name(struct kilter_fs *fs, char ret_name[64])
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
        random = (uint32_t)(uintptr_t)fs;
    snprintf(ret_name, 64, KILTER_FS_TEMPORARY "%s.%ld.%" PRIu64 ".%x%08x", fs->boot, (long)getpid(), fs->start,
             fs->counter++ & 0xffffu, random);
}

static bool maker_is_alive(const struct kilter_fs *fs, const char *name)
{
    char boot[9] = "";
    long pid = 0;
    uint64_t start = 0;
    if (sscanf(name + sizeof KILTER_FS_TEMPORARY - 1, "%8[^.].%ld.%" SCNu64 ".", boot, &pid, &start) != 3)
        return false;
    if (strcmp(boot, fs->boot) != 0 || pid <= 0)
        return false;
    if ((kill((pid_t)pid, 0) < 0 && errno == ESRCH) || kl_fs_process_is_over(pid))
        return false;
    uint64_t now = kl_fs_process_start(pid);
    return now == 0 || start == 0 || now == start;
}

/* The descriptor is taken over. */
static int remove_entries(const struct kilter_fs *fs, int fd, uint64_t dev, int depth);

static int remove_at(const struct kilter_fs *fs, int dirfd, const char *name, uint64_t dev, int depth)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    int failed = kl_fs_look_at(fs, dirfd, name, &entry);
    if (failed < 0)
        return failed == -ENOENT ? 0 : failed;
    if (entry.type != KILTER_FS_DIRECTORY)
        return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
    if (entry.dev != dev || (entry.flags & KILTER_FS_MOUNTED))
        return -EBUSY;
    int fd = kl_fs_open_seen(fs, dirfd, name, &entry);
    if (fd < 0)
        return fd;
    failed = remove_entries(fs, fd, dev, depth + 1);
    if (failed < 0)
        return failed;
    return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_entries(const struct kilter_fs *fs, int fd, uint64_t dev, int depth)
{
    DIR *dir = depth > MAX_DEPTH ? NULL : fdopendir(fd);
    if (!dir) {
        close(fd);
        return depth > MAX_DEPTH ? -ELOOP : -ENOTDIR;
    }
    int failed = 0;
    for (struct dirent *entry; failed == 0 && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            failed = remove_at(fs, fd, entry->d_name, dev, depth);
    closedir(dir);
    return failed;
}

int kl_fs_remove_tree(const struct kilter_fs *fs, int dirfd, const char *name)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    int failed = kl_fs_look_at(fs, dirfd, name, &entry);
    return failed < 0 ? failed : remove_at(fs, dirfd, name, entry.dev, 0);
}

static int sweep_open(struct kilter_fs *fs, int fd, size_t *ret_removed, struct kilter_error *err)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return kilter_error_errno(err, errno, "listing a directory");
    }
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, KILTER_FS_TEMPORARY, sizeof KILTER_FS_TEMPORARY - 1) != 0 ||
            maker_is_alive(fs, entry->d_name))
            continue;
        int removed = kl_fs_remove_tree(fs, fd, entry->d_name);
        if (removed < 0)
            failed = removed;
        else
            (*ret_removed)++;
    }
    closedir(dir);
    return failed < 0 ? kilter_error_errno(err, -failed, "removing what a crash left") : KILTER_OK;
}

int kilter_fs_sweep(struct kilter_fs *fs, struct kilter_str directory, size_t *ret_removed,
                    struct kilter_error *err)
{
    struct kl_fs_path located;
    *ret_removed = 0;
    located.rel[0] = '\0';
    if (!kilter_str_eq_c(directory, "/")) {
        int code = kl_fs_locate(directory, &located, err);
        if (code < 0)
            return code;
    }
    int fd = kl_fs_open_beneath(fs, fs->fd, located.rel, O_RDONLY | O_DIRECTORY);
    if (fd == -ENOENT)
        return KILTER_OK;
    if (fd < 0)
        return kl_fs_parent_error(fs, located.rel, -fd, err);
    int code = sweep_open(fs, fd, ret_removed, err);
    return code < 0 ? kilter_error_wrap(err, "directory %.*s", KILTER_STR_ARG(directory)) : KILTER_OK;
}
