/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A rename touches the ctime of what it moves; everything else must be as it was. */
static bool same_but_moved(const struct kilter_fs_entry *seen, const struct kilter_fs_entry *moved)
{
    struct kilter_fs_entry at_rest = *moved;
    at_rest.ctime_ns = seen->ctime_ns;
    return kilter_fs_same(seen, &at_rest);
}

static int refuse_moved(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    return kl_fs_refuse(batch, item, KILTER_FS_STALE, KILTER_E_CONFLICT, "was changed by somebody else right now");
}

/* Right before acting: still what was seen when it was staged? */
static int check_again(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    struct kilter_fs_entry now = KILTER_FS_ENTRY_INIT;
    int looked = kl_fs_look_at(batch->fs, dirfd, item->name, &now);
    if (looked < 0 && looked != -ENOENT)
        return kl_fs_refuse_errno(batch, item, looked, "looking at it");
    return kilter_fs_same(&item->seen, &now) ? KILTER_OK : refuse_moved(batch, item);
}

static int finish(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    int looked = kl_fs_look_at(batch->fs, dirfd, item->name, &item->now);
    if (looked < 0)
        return kl_fs_refuse_errno(batch, item, looked, "looking at it afterwards");
    item->step = KL_FS_DONE;
    return KILTER_OK;
}

/* --- replacing ------------------------------------------------------------------------- */
/* Removes what was swapped out. An entry that is not empty although it must be is swapped back. */
static int remove_old(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    int failed = 0;
    if (item->seen.type == KILTER_FS_DIRECTORY && (item->op.flags & KILTER_FS_REPLACE_TREE))
        failed = kl_fs_remove_tree(batch->fs, dirfd, item->temp);
    else if (unlinkat(dirfd, item->temp, item->seen.type == KILTER_FS_DIRECTORY ? AT_REMOVEDIR : 0) < 0)
        failed = -errno;
    return failed;
}

static int swap_back(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    if (renameat2(dirfd, item->temp, dirfd, item->name, RENAME_EXCHANGE) == 0)
        return KILTER_OK;
    int failed = -errno;
    char old[sizeof item->temp];
    memcpy(old, item->temp, sizeof old);
    item->temp[0] = '\0'; /* it is somebody's content: not ours to remove */
    return kl_fs_refuse(batch, item, KILTER_FS_FAILED, KILTER_E_IO,
                        "what was there before is kept as \"%s\" beside it: %s", old, strerror(-failed));
}

/* The new entry is in place and the old one under the temporary name: was it the one that was planned for? */
static int check_swapped(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    struct kilter_fs_entry old = KILTER_FS_ENTRY_INIT;
    bool same = kl_fs_look_at(batch->fs, dirfd, item->temp, &old) == 0 && same_but_moved(&item->seen, &old);
    int failed = same ? remove_old(batch, item, dirfd) : -ESTALE;
    if (failed == 0) {
        item->temp[0] = '\0';
        return KILTER_OK;
    }
    int code = swap_back(batch, item, dirfd);
    if (code < 0)
        return code;
    return failed == -ESTALE ? refuse_moved(batch, item)
                             : kl_fs_refuse_errno(batch, item, failed, "removing what was there");
}

/* For filesystems that cannot exchange. A directory has to go first; files are replaced in one step. */
static int replace_without_exchange(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    if (item->seen.type == KILTER_FS_DIRECTORY) {
        int failed = item->op.flags & KILTER_FS_REPLACE_TREE ? kl_fs_remove_tree(batch->fs, dirfd, item->name) : 0;
        if (failed == 0 && !(item->op.flags & KILTER_FS_REPLACE_TREE) &&
            unlinkat(dirfd, item->name, AT_REMOVEDIR) < 0)
            failed = -errno;
        if (failed < 0)
            return kl_fs_refuse_errno(batch, item, failed, "removing what was there");
    } else if (item->op.action == KILTER_FS_MAKE_DIRECTORY && unlinkat(dirfd, item->name, 0) < 0) {
        return kl_fs_refuse_errno(batch, item, -errno, "removing what was there");
    }
    if (renameat(dirfd, item->temp, dirfd, item->name) < 0)
        return kl_fs_refuse_errno(batch, item, -errno, "replacing it");
    item->temp[0] = '\0';
    return KILTER_OK;
}

static int replace(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    if (renameat2(dirfd, item->temp, dirfd, item->name, RENAME_EXCHANGE) == 0)
        return check_swapped(batch, item, dirfd);
    /* EXDEV: overlayfs does not move a directory of a lower layer, but can empty and remove it. */
    bool lower = errno == EXDEV && item->seen.type == KILTER_FS_DIRECTORY;
    if (errno == EINVAL || errno == ENOSYS || lower)
        return replace_without_exchange(batch, item, dirfd);
    return kl_fs_refuse_errno(batch, item, -errno, "replacing it");
}

static int put(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    int code = check_again(batch, item, dirfd);
    if (code < 0)
        return code;
    if (item->seen.type != KILTER_FS_ABSENT) {
        code = replace(batch, item, dirfd);
    } else {
        int failed = kl_fs_rename_new(dirfd, item->temp, item->name);
        if (failed < 0)
            return kl_fs_refuse_errno(batch, item, failed, "putting it in place");
        item->temp[0] = '\0';
    }
    item->dir->dirty = true;
    return code < 0 ? code : finish(batch, item, dirfd);
}

/* --- removing ---------------------------------------------------------------------------- */
static int remove_directory(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    if (unlinkat(dirfd, item->name, AT_REMOVEDIR) < 0)
        return kl_fs_refuse_errno(batch, item, errno == EEXIST ? -ENOTEMPTY : -errno, "removing the directory");
    return KILTER_OK;
}

/* Moved aside first, so that what is removed is what was looked at. */
static int remove_entry(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    struct kilter_fs_entry moved = KILTER_FS_ENTRY_INIT;
    kl_fs_temporary_name(batch->fs, item->temp);
    if (renameat(dirfd, item->name, dirfd, item->temp) < 0) {
        item->temp[0] = '\0';
        return kl_fs_refuse_errno(batch, item, -errno, "removing it");
    }
    if (kl_fs_look_at(batch->fs, dirfd, item->temp, &moved) == 0 && !same_but_moved(&item->seen, &moved)) {
        int failed = kl_fs_rename_new(dirfd, item->temp, item->name);
        char kept[sizeof item->temp];
        memcpy(kept, item->temp, sizeof kept);
        item->temp[0] = '\0';
        return failed == 0 ? refuse_moved(batch, item)
                           : kl_fs_refuse(batch, item, KILTER_FS_STALE, KILTER_E_CONFLICT,
                                          "was replaced twice right now; one of both is kept as \"%s\"", kept);
    }
    if (unlinkat(dirfd, item->temp, 0) < 0)
        return kl_fs_refuse_errno(batch, item, -errno, "removing it");
    item->temp[0] = '\0';
    return KILTER_OK;
}

static int remove_item(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    int code = KILTER_OK;
    if (item->seen.type != KILTER_FS_ABSENT) {
        code = check_again(batch, item, dirfd);
        if (code == KILTER_OK)
            code = item->seen.type == KILTER_FS_DIRECTORY ? remove_directory(batch, item, dirfd)
                                                          : remove_entry(batch, item, dirfd);
        item->dir->dirty = true;
    }
    if (code < 0)
        return code;
    item->now.type = KILTER_FS_ABSENT;
    item->step = KL_FS_DONE;
    return KILTER_OK;
}

/* --- attributes in place ------------------------------------------------------------------- */
/* A file that its owner may not read (0200) can still be changed through its descriptor's name. */
static int open_writable_attributes(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    int fd = kl_fs_open_seen(batch->fs, dirfd, item->name, &item->seen);
    if (fd != -EACCES)
        return fd;
    char link[40];
    int at = kl_fs_open_beneath(batch->fs, dirfd, item->name, O_PATH);
    if (at < 0)
        return at;
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    int failed = chmod(link, item->seen.mode | S_IRUSR) < 0 ? -errno : 0;
    close(at);
    return failed < 0 ? failed : kl_fs_open_seen(batch->fs, dirfd, item->name, &item->seen);
}

static int set_attributes(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    struct kl_fs_attributes attributes = kl_fs_item_attributes(item);
    struct kilter_fs_entry opened = KILTER_FS_ENTRY_INIT;
    if (item->seen.type != KILTER_FS_FILE && item->seen.type != KILTER_FS_DIRECTORY)
        return kl_fs_refuse(batch, item, KILTER_FS_STALE, KILTER_E_CONFLICT, "is neither file nor directory (%s)",
                            kilter_fs_type_name(item->seen.type));
    int code = check_again(batch, item, dirfd);
    if (code < 0)
        return code;
    int fd = open_writable_attributes(batch, item, dirfd);
    if (fd < 0)
        return kl_fs_refuse_errno(batch, item, fd, "opening it");
    int failed = kl_fs_look_at(batch->fs, fd, "", &opened);
    /* A hard link made right now could turn this into a change of somebody else's file. */
    if (failed == 0 && opened.type == KILTER_FS_FILE && opened.nlink != 1)
        failed = -ESTALE;
    if (failed == 0)
        failed = kl_fs_apply_attributes(fd, &attributes, &item->unmarked);
    if (failed == 0 && fsync(fd) < 0 && errno != EINVAL)
        failed = -errno;
    close(fd);
    return failed < 0 ? kl_fs_refuse_errno(batch, item, failed, "changing its owner or mode")
                      : finish(batch, item, dirfd);
}

int kl_fs_place_item(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    int dirfd = kl_fs_dirs_fd(&batch->dirs, item->dir);
    if (dirfd < 0)
        return kl_fs_refuse_errno(batch, item, dirfd, "opening its directory");
    switch (item->op.action) {
    case KILTER_FS_REMOVE:
        return remove_item(batch, item, dirfd);
    case KILTER_FS_SET_ATTRIBUTES:
        return set_attributes(batch, item, dirfd);
    default:
        return put(batch, item, dirfd);
    }
}
