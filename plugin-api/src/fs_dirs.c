/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Workers may open few files; a batch of thousands of directories keeps this many of them open. */
#define MAX_OPEN 64
/* Groups below this are the system's own (Debian's staff may write /usr/local); above are people's. */
#define FIRST_PERSONAL_GID 1000

/* --- the table --------------------------------------------------------------------- */
static size_t hash_of(const char *rel, size_t len)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)rel[i]) * 1099511628211u;
    return (size_t)(hash ^ hash >> 32);
}

static struct kl_fs_dir **slot_of(const struct kl_fs_dirs *dirs, const char *rel, size_t len)
{
    for (size_t at = hash_of(rel, len);; at++) {
        struct kl_fs_dir **slot = &dirs->slots[at & (dirs->capacity - 1)];
        if (!*slot || (strncmp((*slot)->rel, rel, len) == 0 && (*slot)->rel[len] == '\0'))
            return slot;
    }
}

static bool make_room(struct kl_fs_dirs *dirs)
{
    if (dirs->count * 2 < dirs->capacity)
        return true;
    struct kl_fs_dirs larger = *dirs;
    larger.capacity = dirs->capacity ? dirs->capacity * 2 : 64;
    larger.slots = calloc(larger.capacity, sizeof(struct kl_fs_dir *));
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < dirs->capacity; i++)
        if (dirs->slots[i])
            *slot_of(&larger, dirs->slots[i]->rel, strlen(dirs->slots[i]->rel)) = dirs->slots[i];
    free(dirs->slots);
    *dirs = larger;
    return true;
}

static void free_dir(struct kl_fs_dir *dir)
{
    if (dir->fd >= 0)
        close(dir->fd);
    free(dir->rel);
    free(dir);
}

void kl_fs_dirs_release(struct kl_fs_dirs *dirs)
{
    for (size_t i = 0; i < dirs->capacity; i++)
        if (dirs->slots[i])
            free_dir(dirs->slots[i]);
    free(dirs->slots);
    dirs->slots = NULL;
    dirs->capacity = dirs->count = dirs->open = 0;
}

struct kl_fs_dir *kl_fs_dirs_known(const struct kl_fs_dirs *dirs, const char *rel, size_t len)
{
    return dirs->capacity ? *slot_of(dirs, rel, len) : NULL;
}

/* --- descriptors --------------------------------------------------------------------- */
static void close_oldest(struct kl_fs_dirs *dirs)
{
    struct kl_fs_dir *oldest = NULL;
    for (size_t i = 0; i < dirs->capacity; i++) {
        struct kl_fs_dir *dir = dirs->slots[i];
        if (dir && dir->fd >= 0 && (!oldest || dir->used < oldest->used))
            oldest = dir;
    }
    if (!oldest)
        return;
    close(oldest->fd);
    oldest->fd = -1;
    dirs->open--;
}

static void keep_fd(struct kl_fs_dirs *dirs, struct kl_fs_dir *dir, int fd)
{
    if (dirs->open >= MAX_OPEN)
        close_oldest(dirs);
    dir->fd = fd;
    dir->used = ++dirs->clock;
    dirs->open++;
}

int kl_fs_dirs_fd(struct kl_fs_dirs *dirs, struct kl_fs_dir *dir)
{
    dir->used = ++dirs->clock;
    if (dir->fd >= 0)
        return dir->fd;
    struct stat st;
    int fd = kl_fs_open_beneath(dirs->fs, dirs->fs->fd, dir->rel, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0 || st.st_dev != dir->dev || st.st_ino != dir->ino) {
        close(fd);
        return -ESTALE;
    }
    keep_fd(dirs, dir, fd);
    return fd;
}

/* --- attributes of what is new ---------------------------------------------------------- */
static int set_mark(int fd, const struct kl_fs_attributes *attributes, bool *ret_unmarked)
{
    if (!attributes->xattr_name)
        return 0;
    struct kilter_str value = attributes->xattr_value;
    int failed = value.ptr ? fsetxattr(fd, attributes->xattr_name, value.ptr, value.len, 0)
                           : fremovexattr(fd, attributes->xattr_name);
    if (failed == 0 || (!value.ptr && errno == ENODATA))
        return 0;
    /* No place for it is no reason to write nothing: the mark is a courtesy to other installations. */
    if (errno != ENOTSUP && errno != ENOSPC && errno != EDQUOT && errno != E2BIG)
        return -errno;
    *ret_unmarked = true;
    return 0;
}

int kl_fs_apply_attributes(int fd, const struct kl_fs_attributes *attributes, bool *ret_unmarked)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    uid_t uid = attributes->uid < 0 ? st.st_uid : (uid_t)attributes->uid;
    gid_t gid = attributes->gid < 0 ? st.st_gid : (gid_t)attributes->gid;
    mode_t mode = attributes->mode < 0 ? st.st_mode & 07777 : (mode_t)attributes->mode;
    bool chowned = uid != st.st_uid || gid != st.st_gid;
    /* Between chown and chmod nobody may have more than he had before and will have after. */
    if (chowned && (st.st_mode & 07777 & ~mode) && fchmod(fd, st.st_mode & mode & 0777) < 0)
        return -errno;
    if (chowned && fchown(fd, uid, gid) < 0)
        return -errno;
    int failed = set_mark(fd, attributes, ret_unmarked);
    if (failed < 0)
        return failed;
    /* chown took set-user-id bits away, so that the mode is always last. */
    if ((chowned || mode != (st.st_mode & 07777)) && fchmod(fd, mode) < 0)
        return -errno;
    return 0;
}

int kl_fs_rename_new(int dirfd, const char *from, const char *to)
{
    if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* A link fails when the name is taken, as atomically; directories can only be looked for first. */
    if (linkat(dirfd, from, dirfd, to, 0) == 0)
        return unlinkat(dirfd, from, 0) < 0 ? -errno : 0;
    if (errno == EEXIST)
        return -errno;
    if (faccessat(dirfd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(dirfd, from, dirfd, to) < 0 ? -errno : 0;
}

static int fill_directory(int fd, const struct kl_fs_attributes *attributes, bool *ret_unmarked)
{
    struct kl_fs_attributes filled = *attributes;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (filled.mode < 0)
        filled.mode = 0755 | (st.st_mode & S_ISGID);
    return kl_fs_apply_attributes(fd, &filled, ret_unmarked);
}

int kl_fs_make_directory(struct kilter_fs *fs, int dirfd, const char *name,
                         const struct kl_fs_attributes *attributes, bool *ret_unmarked)
{
    char temp[64];
    kl_fs_temporary_name(fs, temp);
    if (mkdirat(dirfd, temp, 0700) < 0)
        return -errno;
    int fd = kl_fs_open_beneath(fs, dirfd, temp, O_RDONLY | O_DIRECTORY);
    int failed = fd < 0 ? fd : fill_directory(fd, attributes, ret_unmarked);
    if (fd >= 0)
        close(fd);
    if (failed == 0)
        failed = kl_fs_rename_new(dirfd, temp, name);
    if (failed < 0)
        unlinkat(dirfd, temp, AT_REMOVEDIR);
    return failed;
}

/* --- walking, making, trusting ------------------------------------------------------------ */
static int open_child(struct kl_fs_dirs *dirs, struct kl_fs_dir *parent, const char *name, bool make,
                      bool *ret_made)
{
    const struct kl_fs_attributes plain = { KILTER_FS_KEEP, KILTER_FS_KEEP, KILTER_FS_KEEP, NULL, { NULL, 0 } };
    int at = kl_fs_dirs_fd(dirs, parent);
    if (at < 0)
        return at;
    int fd = kl_fs_open_beneath(dirs->fs, at, name, O_RDONLY | O_DIRECTORY);
    if (fd != -ENOENT || !make)
        return fd;
    bool unmarked = false;
    int failed = kl_fs_make_directory(dirs->fs, at, name, &plain, &unmarked);
    if (failed < 0 && failed != -EEXIST)
        return failed;
    *ret_made = failed == 0;
    parent->dirty |= *ret_made;
    return kl_fs_open_beneath(dirs->fs, at, name, O_RDONLY | O_DIRECTORY);
}

static int remember(struct kl_fs_dirs *dirs, const char *rel, size_t len, int fd, struct kl_fs_dir **ret)
{
    struct stat st;
    struct kl_fs_dir *dir = calloc(1, sizeof *dir);
    if (dir)
        dir->rel = strndup(rel, len);
    if (!dir || !dir->rel || !make_room(dirs) || fstat(fd, &st) < 0) {
        if (dir)
            free(dir->rel);
        free(dir);
        close(fd);
        return -ENOMEM;
    }
    dir->dev = st.st_dev;
    dir->ino = st.st_ino;
    dir->mode = st.st_mode & 07777;
    dir->uid = st.st_uid;
    dir->gid = st.st_gid;
    dir->fd = -1;
    *slot_of(dirs, rel, len) = dir;
    dirs->count++;
    keep_fd(dirs, dir, fd);
    *ret = dir;
    return 0;
}

static int get_error(const struct kl_fs_dirs *dirs, const char *rel, size_t len, int failed,
                     struct kilter_error *err)
{
    char text[KL_FS_PATH_MAX];
    snprintf(text, sizeof text, "%.*s", (int)len, rel);
    if (failed == -ENOTDIR || failed == -ELOOP)
        return kl_fs_parent_error(dirs->fs, text, -failed, err);
    if (failed == -ESTALE)
        return kilter_error_set(err, KILTER_E_CONFLICT, "a directory on the way to /%s was replaced meanwhile",
                                text);
    return kilter_error_errno(err, -failed, "directory /%s", text);
}

int kl_fs_dirs_get(struct kl_fs_dirs *dirs, const char *rel, size_t len, bool make, struct kl_fs_dir **ret,
                   struct kilter_error *err)
{
    struct kl_fs_dir *parent = NULL;
    bool made = false;
    int fd;
    *ret = kl_fs_dirs_known(dirs, rel, len);
    if (*ret)
        return KILTER_OK;
    if (len == 0) {
        fd = kl_fs_open_beneath(dirs->fs, dirs->fs->fd, "", O_RDONLY | O_DIRECTORY);
    } else {
        ptrdiff_t slash = kilter_str_rfind(kilter_str_n(rel, len), '/');
        int code = kl_fs_dirs_get(dirs, rel, slash < 0 ? 0 : (size_t)slash, make, &parent, err);
        if (code < 0)
            return code;
        char *name = strndup(rel + slash + 1, len - (size_t)(slash + 1));
        fd = name ? open_child(dirs, parent, name, make, &made) : -ENOMEM;
        free(name);
    }
    int failed = fd < 0 ? fd : remember(dirs, rel, len, fd, ret);
    if (failed < 0)
        return get_error(dirs, rel, len, failed, err);
    (*ret)->parent = parent;
    (*ret)->made = made;
    (*ret)->dirty |= made;
    return KILTER_OK;
}

/* Who else could move entries of the directory about: anybody, a group of people, or a foreign owner.
 * The sticky bit leaves entries to their owners. */
static const char *distrusted(const struct kl_fs_dir *dir, uint32_t uid)
{
    if (dir->uid != 0 && dir->uid != (uint32_t)geteuid() && dir->uid != uid)
        return "belongs to somebody else";
    if (dir->mode & S_ISVTX)
        return NULL;
    if (dir->mode & S_IWOTH)
        return "can be changed by everybody";
    bool private_group = dir->gid == dir->uid || dir->gid == (uint32_t)getegid();
    if ((dir->mode & S_IWGRP) && dir->gid >= FIRST_PERSONAL_GID && !private_group)
        return "can be changed by a group of users";
    return NULL;
}

int kl_fs_dirs_trust(const struct kl_fs_dir *dir, uint32_t uid, struct kilter_error *err)
{
    for (; dir; dir = dir->parent) {
        const char *why = distrusted(dir, uid);
        if (why)
            return kilter_error_set(err, KILTER_E_PERMISSION,
                                    "directory /%s %s (uid %u, gid %u, mode %04o), who could swap what is written "
                                    "in it for uid %u; change the directory's owner or mode, or the file's owner",
                                    dir->rel, why, dir->uid, dir->gid, dir->mode, uid);
    }
    return KILTER_OK;
}
