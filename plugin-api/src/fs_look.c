/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define READ_CHUNK 65536

const char *kilter_fs_type_name(enum kilter_fs_type type)
{
    static const char *const names[] = { "absent", "file", "directory", "symlink", "special" };
    return (size_t)type < sizeof names / sizeof *names ? names[type] : "unknown";
}

static enum kilter_fs_type type_of(uint16_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return KILTER_FS_FILE;
    case S_IFDIR:
        return KILTER_FS_DIRECTORY;
    case S_IFLNK:
        return KILTER_FS_SYMLINK;
    default:
        return KILTER_FS_SPECIAL;
    }
}

static int64_t stamp_ns(struct statx_timestamp stamp)
{
    return stamp.tv_sec * 1000000000 + stamp.tv_nsec;
}

/* Since Linux 6.13 these never give a stamp that was asked for to a later change. */
static bool fine_filesystem(const struct kilter_fs *fs, int dirfd)
{
    struct statfs info;
    if (fs->kernel < (6u << 8 | 13u) || fstatfs(dirfd, &info) < 0)
        return false;
    switch ((uint32_t)info.f_type) {
    case EXT4_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case 0x58465342u: /* XFS, which linux/magic.h does not name */
        return true;
    default:
        return false;
    }
}

/* Coarse stamps are taken from this very clock, so that once it has moved on no later change gets them. */
static bool is_settled(const struct kilter_fs *fs, int dirfd, int64_t ctime_ns)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
        return false;
    return ctime_ns < (int64_t)now.tv_sec * 1000000000 + now.tv_nsec || fine_filesystem(fs, dirfd);
}

int kl_fs_look_at(const struct kilter_fs *fs, int dirfd, const char *name, struct kilter_fs_entry *ret)
{
    struct statx stx;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
    if (statx(dirfd, name, flags, STATX_BASIC_STATS, &stx) < 0)
        return -errno;
    uint64_t attributes = stx.stx_attributes & stx.stx_attributes_mask;
    ret->type = type_of(stx.stx_mode);
    ret->flags = (attributes & STATX_ATTR_IMMUTABLE ? KILTER_FS_IMMUTABLE : 0) |
                 (attributes & STATX_ATTR_APPEND ? KILTER_FS_APPEND_ONLY : 0) |
                 (attributes & STATX_ATTR_MOUNT_ROOT ? KILTER_FS_MOUNTED : 0);
    ret->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    ret->ino = stx.stx_ino;
    ret->length = stx.stx_size;
    ret->mtime_ns = stamp_ns(stx.stx_mtime);
    ret->ctime_ns = stamp_ns(stx.stx_ctime);
    ret->mode = stx.stx_mode & 07777u;
    ret->uid = stx.stx_uid;
    ret->gid = stx.stx_gid;
    ret->nlink = stx.stx_nlink;
    ret->settled = is_settled(fs, dirfd, ret->ctime_ns);
    return 0;
}

/* Copies as much as the caller's struct holds. */
static void give_entry(const struct kilter_fs_entry *from, struct kilter_fs_entry *to)
{
    size_t size = to->size < sizeof *from ? to->size : sizeof *from;
    memcpy(to, from, size);
    to->size = size;
}

/* Opens the entry itself, O_PATH, and looks at it. -1 and KILTER_OK when nothing is there. */
static int open_entry(struct kilter_fs *fs, struct kilter_str path, struct kilter_fs_entry *ret, int *ret_fd,
                      struct kilter_error *err)
{
    struct kl_fs_path located;
    *ret_fd = -1;
    int code = kl_fs_locate(path, &located, err);
    if (code < 0)
        return code;
    int fd = kl_fs_open_beneath(fs, fs->fd, located.rel, O_PATH);
    if (fd == -ENOENT)
        return KILTER_OK;
    if (fd == -ENOTDIR || fd == -ELOOP) {
        located.rel[located.dir_len] = '\0';
        return kl_fs_parent_error(fs, located.rel, -fd, err);
    }
    if (fd < 0)
        return kilter_error_errno(err, -fd, "looking at %.*s", KILTER_STR_ARG(path));
    int looked = kl_fs_look_at(fs, fd, "", ret);
    if (looked < 0) {
        close(fd);
        return kilter_error_errno(err, -looked, "looking at %.*s", KILTER_STR_ARG(path));
    }
    *ret_fd = fd;
    return KILTER_OK;
}

int kilter_fs_observe(struct kilter_fs *fs, struct kilter_str path, struct kilter_fs_entry *ret,
                      struct kilter_error *err)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    int fd;
    int code = open_entry(fs, path, &entry, &fd, err);
    if (code < 0)
        return code;
    if (fd >= 0)
        close(fd);
    give_entry(&entry, ret);
    return KILTER_OK;
}

bool kilter_fs_same(const struct kilter_fs_entry *a, const struct kilter_fs_entry *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == KILTER_FS_ABSENT)
        return true;
    if (a->dev != b->dev || a->ino != b->ino || a->mode != b->mode || a->uid != b->uid || a->gid != b->gid)
        return false;
    return a->type == KILTER_FS_DIRECTORY || (a->length == b->length && a->mtime_ns == b->mtime_ns &&
                                              a->ctime_ns == b->ctime_ns && a->nlink == b->nlink);
}

int kl_fs_open_seen(const struct kilter_fs *fs, int dirfd, const char *name, const struct kilter_fs_entry *seen)
{
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | (seen->type == KILTER_FS_DIRECTORY ? O_DIRECTORY : 0);
    int fd = kl_fs_open_beneath(fs, dirfd, name, flags | O_NOATIME);
    if (fd == -EPERM) /* access times of another's file cannot be spared */
        fd = kl_fs_open_beneath(fs, dirfd, name, flags);
    if (fd < 0)
        return fd;
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != seen->dev || st.st_ino != seen->ino) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

int kl_fs_digest_fd(int fd, uint8_t ret_digest[KILTER_SHA256_SIZE])
{
    struct kilter_sha256 ctx;
    char chunk[READ_CHUNK];
    kilter_sha256_init(&ctx);
    for (off_t at = 0;;) {
        ssize_t got = pread(fd, chunk, sizeof chunk, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        kilter_sha256_update(&ctx, chunk, (size_t)got);
        at += got;
    }
    kilter_sha256_final(&ctx, ret_digest);
    return 0;
}

/* Opens a regular file for reading, with the look taken before. */
static int open_file(struct kilter_fs *fs, struct kilter_str path, struct kilter_fs_entry *ret, int *ret_fd,
                     struct kilter_error *err)
{
    int at;
    int code = open_entry(fs, path, ret, &at, err);
    if (code < 0)
        return code;
    if (at < 0)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "%.*s is not there", KILTER_STR_ARG(path));
    close(at);
    if (ret->type != KILTER_FS_FILE)
        return kilter_error_set(err, KILTER_E_CONFLICT, "%.*s is no regular file (%s)", KILTER_STR_ARG(path),
                                kilter_fs_type_name(ret->type));
    struct kl_fs_path located;
    kl_fs_locate(path, &located, NULL);
    int fd = kl_fs_open_seen(fs, fs->fd, located.rel, ret);
    if (fd == -ESTALE)
        return kilter_error_set(err, KILTER_E_CONFLICT, "%.*s changes right now", KILTER_STR_ARG(path));
    if (fd < 0)
        return kilter_error_errno(err, -fd, "reading %.*s", KILTER_STR_ARG(path));
    *ret_fd = fd;
    return KILTER_OK;
}

int kilter_fs_digest(struct kilter_fs *fs, struct kilter_str path, uint8_t ret_digest[KILTER_SHA256_SIZE],
                     struct kilter_fs_entry *ret_entry, struct kilter_error *err)
{
    struct kilter_fs_entry before = KILTER_FS_ENTRY_INIT, after = KILTER_FS_ENTRY_INIT;
    int fd;
    int code = open_file(fs, path, &before, &fd, err);
    if (code < 0)
        return code;
    int failed = kl_fs_digest_fd(fd, ret_digest);
    int looked = kl_fs_look_at(fs, fd, "", &after);
    close(fd);
    if (failed < 0)
        return kilter_error_errno(err, -failed, "reading %.*s", KILTER_STR_ARG(path));
    if (looked < 0 || !kilter_fs_same(&before, &after))
        return kilter_error_set(err, KILTER_E_CONFLICT, "%.*s changed while it was read", KILTER_STR_ARG(path));
    if (ret_entry)
        give_entry(&before, ret_entry);
    return KILTER_OK;
}

static int read_into(int fd, struct kilter_buf *out)
{
    char chunk[READ_CHUNK];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0 || kilter_buf_append(out, chunk, (size_t)got) < 0)
            return 0;
    }
}

int kilter_fs_read(struct kilter_fs *fs, struct kilter_str path, struct kilter_buf *out, struct kilter_error *err)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    int fd;
    int code = open_file(fs, path, &entry, &fd, err);
    if (code < 0)
        return code;
    int failed = read_into(fd, out);
    close(fd);
    if (failed < 0)
        return kilter_error_errno(err, -failed, "reading %.*s", KILTER_STR_ARG(path));
    if (out->failed)
        return kilter_error_set(err, out->failed, "%.*s does not fit: %s", KILTER_STR_ARG(path),
                                kilter_status_text(out->failed));
    return KILTER_OK;
}

int kilter_fs_read_link(struct kilter_fs *fs, struct kilter_str path, struct kilter_arena *arena,
                        struct kilter_str *ret_target, struct kilter_error *err)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    char target[KL_FS_PATH_MAX + 1];
    int fd;
    int code = open_entry(fs, path, &entry, &fd, err);
    if (code < 0)
        return code;
    if (fd < 0)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "%.*s is not there", KILTER_STR_ARG(path));
    ssize_t got = entry.type == KILTER_FS_SYMLINK ? readlinkat(fd, "", target, sizeof target) : 0;
    int failed = errno;
    close(fd);
    if (entry.type != KILTER_FS_SYMLINK)
        return kilter_error_set(err, KILTER_E_CONFLICT, "%.*s is no symbolic link", KILTER_STR_ARG(path));
    if (got < 0)
        return kilter_error_errno(err, failed, "reading link %.*s", KILTER_STR_ARG(path));
    *ret_target = kilter_arena_str(arena, kilter_str_n(target, (size_t)got));
    if (!ret_target->ptr)
        return kilter_error_set(err, KILTER_E_NOMEM, "reading link %.*s: out of memory", KILTER_STR_ARG(path));
    return KILTER_OK;
}

/* Opens a file or directory to ask for what only an open one tells. */
static int open_for_attributes(struct kilter_fs *fs, struct kilter_str path, int *ret_fd, struct kilter_error *err)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    struct kl_fs_path located;
    int at;
    int code = open_entry(fs, path, &entry, &at, err);
    if (code < 0)
        return code;
    if (at < 0)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "%.*s is not there", KILTER_STR_ARG(path));
    close(at);
    if (entry.type != KILTER_FS_FILE && entry.type != KILTER_FS_DIRECTORY)
        return kilter_error_set(err, KILTER_E_UNSUPPORTED, "%.*s is neither file nor directory",
                                KILTER_STR_ARG(path));
    kl_fs_locate(path, &located, NULL);
    int fd = kl_fs_open_seen(fs, fs->fd, located.rel, &entry);
    if (fd < 0)
        return kilter_error_errno(err, -fd, "opening %.*s", KILTER_STR_ARG(path));
    *ret_fd = fd;
    return KILTER_OK;
}

int kilter_fs_is_empty(struct kilter_fs *fs, struct kilter_str path, bool *ret_empty, struct kilter_error *err)
{
    int fd;
    int code = open_for_attributes(fs, path, &fd, err);
    if (code < 0)
        return code;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return kilter_error_errno(err, ENOTDIR, "listing %.*s", KILTER_STR_ARG(path));
    }
    bool empty = true;
    for (struct dirent *entry; empty && (entry = readdir(dir));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    *ret_empty = empty;
    return KILTER_OK;
}

int kilter_fs_get_xattr(struct kilter_fs *fs, struct kilter_str path, const char *name, struct kilter_arena *arena,
                        struct kilter_str *ret_value, struct kilter_error *err)
{
    char value[1024];
    int fd;
    int code = open_for_attributes(fs, path, &fd, err);
    if (code < 0)
        return code;
    ssize_t got = fgetxattr(fd, name, value, sizeof value);
    int failed = errno;
    close(fd);
    if (got < 0 && failed == ENODATA)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "%.*s has no %s", KILTER_STR_ARG(path), name);
    if (got < 0 && failed == ENOTSUP)
        return kilter_error_set(err, KILTER_E_UNSUPPORTED, "the filesystem of %.*s has no extended attributes",
                                KILTER_STR_ARG(path));
    if (got < 0)
        return kilter_error_errno(err, failed, "reading %s of %.*s", name, KILTER_STR_ARG(path));
    *ret_value = kilter_arena_str(arena, kilter_str_n(value, (size_t)got));
    return ret_value->ptr ? KILTER_OK : kilter_error_set(err, KILTER_E_NOMEM, "reading %s: out of memory", name);
}
