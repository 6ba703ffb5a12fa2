/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#define WRITE_CHUNK 65536
/* From here on the space is reserved before anything is written. */
#define RESERVE_BYTES (1u << 20)
#define XATTR_NAMES_MAX 4096
#define XATTR_VALUE_MAX 65536

static const struct kilter_fs_entry absent = KILTER_FS_ENTRY_INIT;

void kl_fs_drop_temporary(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    if (!item->temp[0] || item->step == KL_FS_DONE)
        return;
    int fd = kl_fs_dirs_fd(&batch->dirs, item->dir);
    if (fd >= 0)
        kl_fs_remove_tree(batch->fs, fd, item->temp);
    item->temp[0] = '\0';
}

/* --- checking --------------------------------------------------------------------------- */
static int locate_item(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_fs_path located;
    if (kl_fs_locate(item->op.path, &located, &err) < 0)
        return kl_fs_refuse(batch, item, KILTER_FS_BAD_PATH, err.code, "%s", err.message);
    item->rel = kilter_arena_str(batch->arena, kilter_str_c(located.rel)).ptr;
    if (!item->rel)
        return kl_fs_refuse(batch, item, KILTER_FS_FAILED, KILTER_E_NOMEM, "out of memory");
    item->name = item->rel + (located.name - located.rel);
    int code = kl_fs_dirs_get(&batch->dirs, item->rel, located.dir_len, item->op.flags & KILTER_FS_MAKE_PARENTS,
                              &item->dir, &err);
    if (code == KILTER_OK)
        return KILTER_OK;
    if (err.sys_errno == ENOSPC || err.sys_errno == EROFS || err.sys_errno == EDQUOT)
        return kl_fs_refuse_errno(batch, item, -err.sys_errno, "making its directory");
    return kl_fs_refuse(batch, item, KILTER_FS_BAD_PARENT, code, "%s", err.message);
}

static int check_owner(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_fs_attributes attributes = kl_fs_item_attributes(item);
    uint32_t uid = attributes.uid < 0 ? (uint32_t)geteuid() : (uint32_t)attributes.uid;
    if (item->op.action == KILTER_FS_REMOVE)
        uid = item->seen.uid;
    if (kl_fs_dirs_trust(item->dir, uid, &err) < 0)
        return kl_fs_refuse(batch, item, KILTER_FS_UNSAFE_PARENT, err.code, "%s", err.message);
    return KILTER_OK;
}

/* What cannot or must not be replaced, whoever asks. */
static int check_obstacles(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    const struct kilter_fs_entry *seen = &item->seen;
    bool in_place = item->op.action == KILTER_FS_SET_ATTRIBUTES;
    bool keeps_links = in_place || !(item->op.flags & KILTER_FS_BREAK_LINKS);
    if (seen->type == KILTER_FS_SPECIAL)
        return kl_fs_refuse(batch, item, KILTER_FS_IS_SPECIAL, KILTER_E_CONFLICT,
                            "is a device, a named pipe or a socket; kilter leaves those alone");
    if (seen->flags & (KILTER_FS_IMMUTABLE | KILTER_FS_APPEND_ONLY))
        return kl_fs_refuse(batch, item, KILTER_FS_IS_IMMUTABLE, KILTER_E_PERMISSION,
                            "is %s (chattr); kilter does not clear that",
                            seen->flags & KILTER_FS_IMMUTABLE ? "immutable" : "append-only");
    if ((seen->flags & KILTER_FS_MOUNTED) && !in_place)
        return kl_fs_refuse(batch, item, KILTER_FS_IS_BUSY, KILTER_E_CONFLICT, "is a mount point");
    if (seen->type == KILTER_FS_FILE && seen->nlink > 1 && keeps_links && item->op.action != KILTER_FS_REMOVE)
        return kl_fs_refuse(batch, item, KILTER_FS_HAS_LINKS, KILTER_E_CONFLICT,
                            "has %llu hard links; writing it would part it from the others",
                            (unsigned long long)seen->nlink);
    return KILTER_OK;
}

int kl_fs_check_item(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    const struct kilter_fs_entry *expect = item->op.expect ? item->op.expect : &absent;
    int code = locate_item(batch, item);
    if (code < 0)
        return code;
    int fd = kl_fs_dirs_fd(&batch->dirs, item->dir);
    int looked = fd < 0 ? fd : kl_fs_look_at(batch->fs, fd, item->name, &item->seen);
    if (looked < 0 && looked != -ENOENT)
        return kl_fs_refuse_errno(batch, item, looked, "looking at it");
    if (!kilter_fs_same(expect, &item->seen))
        return kl_fs_refuse(batch, item, KILTER_FS_STALE, KILTER_E_CONFLICT,
                            "is not what it was any more (%s then, %s now)", kilter_fs_type_name(expect->type),
                            expect->type == item->seen.type ? "changed" : kilter_fs_type_name(item->seen.type));
    code = check_obstacles(batch, item);
    return code < 0 ? code : check_owner(batch, item);
}

/* --- writing a file ------------------------------------------------------------------------ */
static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -ENOSPC;
        bytes += put;
        len -= (size_t)put;
    }
    return 0;
}

static int write_handle(int fd, struct kilter_content *content, struct kilter_sha256 *ctx, struct kilter_error *err)
{
    char chunk[WRITE_CHUNK];
    size_t got = 1;
    for (uint64_t at = 0; got > 0; at += got) {
        if (kilter_content_read(content, at, chunk, sizeof chunk, &got, err) < 0)
            return -EIO;
        kilter_sha256_update(ctx, chunk, got);
        int failed = write_all(fd, chunk, got);
        if (failed < 0)
            return failed;
    }
    return 0;
}

static int write_content(struct kl_fs_item *item, int fd, struct kilter_error *err)
{
    struct kilter_sha256 ctx;
    uint64_t length = item->op.content ? item->op.content->length : item->op.bytes.len;
    if (length >= RESERVE_BYTES && fallocate(fd, 0, 0, (off_t)length) < 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        return -errno;
    kilter_sha256_init(&ctx);
    int failed;
    if (item->op.content) {
        failed = write_handle(fd, item->op.content, &ctx, err);
    } else {
        kilter_sha256_update(&ctx, item->op.bytes.ptr, item->op.bytes.len);
        failed = write_all(fd, item->op.bytes.ptr, item->op.bytes.len);
    }
    kilter_sha256_final(&ctx, item->digest);
    return failed;
}

/* Access rights of the POSIX ACL are taken over without what they give to others than the owner; the chmod
 * that follows gives the mask its value. The layout is the kernel's: a version, then {tag, rights, id}. */
static void narrow_acl(char *value, size_t len)
{
    const uint16_t mask = 0x10, other = 0x20;
    for (size_t at = 4; at + 8 <= len; at += 8) {
        uint16_t tag;
        memcpy(&tag, value + at, sizeof tag);
        if (tag == mask || tag == other)
            memset(value + at + 2, 0, 2);
    }
}

static bool is_kept_xattr(const char *name, const char *mark)
{
    if (mark && strcmp(name, mark) == 0)
        return false;
    return strncmp(name, "user.", 5) == 0 || strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "security.selinux") == 0;
}

static void copy_xattr(int from, int to, const char *name, char *value)
{
    ssize_t len = fgetxattr(from, name, value, XATTR_VALUE_MAX);
    if (len < 0)
        return;
    if (strcmp(name, "system.posix_acl_access") == 0)
        narrow_acl(value, (size_t)len);
    if (fsetxattr(to, name, value, (size_t)len, 0) < 0)
        return; /* the new file is right without it; what must not be lost is the content */
}

/* The replaced file's own extended attributes, ACL and label live on. Capabilities do not: they were given
 * to the old content. */
static void keep_xattrs(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd, int to)
{
    char names[XATTR_NAMES_MAX];
    if (item->seen.type != KILTER_FS_FILE)
        return;
    int from = kl_fs_open_seen(batch->fs, dirfd, item->name, &item->seen);
    if (from < 0)
        return;
    ssize_t len = flistxattr(from, names, sizeof names);
    char *value = len > 0 ? malloc(XATTR_VALUE_MAX) : NULL;
    for (ssize_t at = 0; value && at < len; at += (ssize_t)strlen(names + at) + 1)
        if (is_kept_xattr(names + at, item->op.xattr_name))
            copy_xattr(from, to, names + at, value);
    free(value);
    close(from);
}

struct kl_fs_attributes kl_fs_item_attributes(const struct kl_fs_item *item)
{
    const struct kilter_fs_op *op = &item->op;
    struct kl_fs_attributes attributes = { op->mode, op->uid, op->gid, op->xattr_name, op->xattr_value };
    enum kilter_fs_type type = op->action == KILTER_FS_MAKE_DIRECTORY ? KILTER_FS_DIRECTORY
                               : op->action == KILTER_FS_MAKE_SYMLINK ? KILTER_FS_SYMLINK
                               : op->action == KILTER_FS_WRITE_FILE   ? KILTER_FS_FILE
                                                                      : item->seen.type;
    bool kept = item->seen.type == type;
    if (attributes.mode < 0)
        attributes.mode = kept ? (int64_t)item->seen.mode : type == KILTER_FS_FILE ? 0644 : KILTER_FS_KEEP;
    if (attributes.uid < 0 && kept)
        attributes.uid = item->seen.uid;
    if (attributes.gid < 0 && kept)
        attributes.gid = item->seen.gid;
    return attributes;
}

static int finish_file(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd, int fd)
{
    struct kl_fs_attributes attributes = kl_fs_item_attributes(item);
    if (item->op.digest && memcmp(item->op.digest, item->digest, KILTER_SHA256_SIZE) != 0)
        return kl_fs_refuse(batch, item, KILTER_FS_FAILED, KILTER_E_CONFLICT,
                            "the content is not the one that was planned");
    keep_xattrs(batch, item, dirfd, fd);
    int failed = kl_fs_apply_attributes(fd, &attributes, &item->unmarked);
    if (failed < 0)
        return kl_fs_refuse_errno(batch, item, failed, "giving it its owner and mode");
    if (batch->flush_each && fsync(fd) < 0)
        return kl_fs_refuse_errno(batch, item, -errno, "flushing it to disk");
    return KILTER_OK;
}

static int stage_file(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    kl_fs_temporary_name(batch->fs, item->temp);
    int fd = openat(dirfd, item->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        item->temp[0] = '\0';
        return kl_fs_refuse_errno(batch, item, -errno, "writing beside it");
    }
    int failed = write_content(item, fd, &err);
    int code = KILTER_OK;
    if (failed < 0 && err.code)
        code = kl_fs_refuse(batch, item, KILTER_FS_FAILED, err.code, "its content: %s", err.message);
    else if (failed < 0)
        code = kl_fs_refuse_errno(batch, item, failed, "writing its content");
    else
        code = finish_file(batch, item, dirfd, fd);
    if (close(fd) < 0 && code == KILTER_OK)
        code = kl_fs_refuse_errno(batch, item, -errno, "writing its content");
    return code;
}

/* --- the other kinds --------------------------------------------------------------------------- */
static int stage_symlink(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    struct kilter_str text = kilter_arena_str(batch->arena, item->op.target);
    if (!text.ptr || text.len == 0 || strlen(text.ptr) != text.len)
        return kl_fs_refuse(batch, item, KILTER_FS_BAD_PATH, KILTER_E_INVALID, "a link needs a target without NUL");
    kl_fs_temporary_name(batch->fs, item->temp);
    if (symlinkat(text.ptr, dirfd, item->temp) < 0) {
        item->temp[0] = '\0';
        return kl_fs_refuse_errno(batch, item, -errno, "making the link");
    }
    if ((item->op.uid >= 0 || item->op.gid >= 0) &&
        fchownat(dirfd, item->temp, (uid_t)item->op.uid, (gid_t)item->op.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return kl_fs_refuse_errno(batch, item, -errno, "giving the link its owner");
    return KILTER_OK;
}

/* A new directory must be there before what goes into it can be written; one that takes the place of
 * something else is put there at once, too. */
static int stage_directory(struct kilter_fs_batch *batch, struct kl_fs_item *item, int dirfd)
{
    struct kl_fs_attributes attributes = kl_fs_item_attributes(item);
    kl_fs_temporary_name(batch->fs, item->temp);
    int failed = kl_fs_make_directory(batch->fs, dirfd, item->temp, &attributes, &item->unmarked);
    if (failed < 0) {
        item->temp[0] = '\0';
        return kl_fs_refuse_errno(batch, item, failed, "making the directory");
    }
    item->step = KL_FS_STAGED;
    return kl_fs_place_item(batch, item);
}

int kl_fs_stage_item(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    int code = KILTER_OK;
    int dirfd = kl_fs_dirs_fd(&batch->dirs, item->dir);
    if (dirfd < 0)
        return kl_fs_refuse_errno(batch, item, dirfd, "opening its directory");
    switch (item->op.action) {
    case KILTER_FS_WRITE_FILE:
        code = stage_file(batch, item, dirfd);
        break;
    case KILTER_FS_MAKE_SYMLINK:
        code = stage_symlink(batch, item, dirfd);
        break;
    case KILTER_FS_MAKE_DIRECTORY:
        return stage_directory(batch, item, dirfd);
    case KILTER_FS_SET_ATTRIBUTES:
    case KILTER_FS_REMOVE:
        break;
    }
    if (code == KILTER_OK)
        item->step = KL_FS_STAGED;
    return code;
}
