/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Up to here an fsync for each file costs less than flushing a filesystem that others write to as well. */
#define FLUSH_EACH_MAX 8
/* After the first one the others have little left to write, so that more of them are worth it. */
#define FLUSH_EACH_DIRECTORY_MAX 64
/* Larger files are not read again only to spare the next look from reading them. */
#define SETTLE_MAX_BYTES (1u << 20)

struct kilter_fs_batch *kilter_fs_batch_new(struct kilter_fs *fs, bool (*stop)(void *data), void *data)
{
    struct kilter_fs_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    batch->arena = kilter_arena_new(0);
    if (!batch->arena) {
        free(batch);
        return NULL;
    }
    batch->fs = fs;
    batch->dirs.fs = fs;
    batch->stop = stop;
    batch->stop_data = data;
    return batch;
}

void kilter_fs_batch_free(struct kilter_fs_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->count; i++)
        kl_fs_drop_temporary(batch, &batch->items[i]);
    kl_fs_dirs_release(&batch->dirs);
    kilter_arena_free(batch->arena);
    free(batch->items);
    free(batch);
}

int kilter_fs_batch_add(struct kilter_fs_batch *batch, const struct kilter_fs_op *op, size_t *ret_index)
{
    if (batch->count == batch->capacity) {
        size_t capacity = batch->capacity ? batch->capacity * 2 : 16;
        struct kl_fs_item *items = reallocarray(batch->items, capacity, sizeof *items);
        if (!items)
            return KILTER_E_NOMEM;
        batch->items = items;
        batch->capacity = capacity;
    }
    struct kl_fs_item *item = &batch->items[batch->count];
    memset(item, 0, sizeof *item);
    item->op.mode = item->op.uid = item->op.gid = KILTER_FS_KEEP;
    memcpy(&item->op, op, op->size < sizeof item->op ? op->size : sizeof item->op);
    item->seen.size = item->now.size = sizeof item->seen;
    *ret_index = batch->count++;
    return KILTER_OK;
}

/* --- refusing ---------------------------------------------------------------------- */
int kl_fs_refuse(struct kilter_fs_batch *batch, struct kl_fs_item *item, enum kilter_fs_obstacle obstacle,
                 int status, const char *format, ...)
{
    struct kilter_buf text = KILTER_BUF_INIT(8192);
    char line[2 * KL_FS_PATH_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    kilter_buf_printf(&text, "%.*s: %s", KILTER_STR_ARG(item->op.path), line);
    item->message = kilter_arena_str(batch->arena, kilter_buf_view(&text)).ptr;
    if (!item->message)
        item->message = "out of memory";
    kilter_buf_release(&text);
    item->obstacle = obstacle;
    item->status = status;
    item->step = KL_FS_REFUSED;
    return status;
}

static int refuse_denied(struct kilter_fs_batch *batch, struct kl_fs_item *item, int failed, const char *doing)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    int fd = item->dir ? kl_fs_dirs_fd(&batch->dirs, item->dir) : -1;
    uint32_t locked = KILTER_FS_IMMUTABLE | KILTER_FS_APPEND_ONLY;
    if (fd >= 0 && kl_fs_look_at(batch->fs, fd, "", &entry) == 0 && (entry.flags & locked))
        return kl_fs_refuse(batch, item, KILTER_FS_IS_IMMUTABLE, KILTER_E_PERMISSION,
                            "its directory /%s is immutable or append-only (chattr); kilter does not clear that",
                            item->dir->rel);
    return kl_fs_refuse(batch, item, KILTER_FS_DENIED, KILTER_E_PERMISSION, "%s as uid %u: %s", doing,
                        (unsigned int)geteuid(), strerror(-failed));
}

int kl_fs_refuse_errno(struct kilter_fs_batch *batch, struct kl_fs_item *item, int failed, const char *doing)
{
    const char *text = strerror(-failed);
    switch (-failed) {
    case EPERM:
    case EACCES:
        return refuse_denied(batch, item, failed, doing);
    case EROFS:
        return kl_fs_refuse(batch, item, KILTER_FS_IS_READ_ONLY, KILTER_E_PERMISSION,
                            "the filesystem is mounted read-only");
    case EBUSY:
    case EXDEV:
        return kl_fs_refuse(batch, item, KILTER_FS_IS_BUSY, KILTER_E_CONFLICT,
                            "%s: something is mounted there, or the system holds it", doing);
    case ENOSPC:
    case EDQUOT:
        return kl_fs_refuse(batch, item, KILTER_FS_NO_SPACE, KILTER_E_IO, "%s: %s", doing, text);
    case ENOTEMPTY:
        return kl_fs_refuse(batch, item, KILTER_FS_NOT_EMPTY, KILTER_E_CONFLICT, "the directory is not empty");
    case ENAMETOOLONG:
        return kl_fs_refuse(batch, item, KILTER_FS_BAD_PATH, KILTER_E_INVALID,
                            "the filesystem takes no such long name");
    case EEXIST:
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ESTALE:
        return kl_fs_refuse(batch, item, KILTER_FS_STALE, KILTER_E_CONFLICT, "%s: it changed right now (%s)", doing,
                            text);
    default:
        return kl_fs_refuse(batch, item, KILTER_FS_FAILED, KILTER_E_IO, "%s: %s", doing, text);
    }
}

/* --- flushing ----------------------------------------------------------------------- */
static bool stopped(struct kilter_fs_batch *batch)
{
    return batch->stop && batch->stop(batch->stop_data);
}

/* Before Linux 5.8 syncfs does not tell that writing failed. */
static bool syncfs_tells_errors(const struct kilter_fs_batch *batch)
{
    return batch->fs->kernel >= (5u << 8 | 8u);
}

struct flushed { /* filesystems that were flushed, the latest ones of them */
    uint64_t devs[16];
    int failed[16];
    size_t count;
};

static int flush_once(struct kilter_fs_batch *batch, struct flushed *flushed, struct kl_fs_dir *dir)
{
    size_t room = sizeof flushed->devs / sizeof *flushed->devs;
    for (size_t i = 0; i < flushed->count && i < room; i++)
        if (flushed->devs[i] == dir->dev)
            return flushed->failed[i];
    int fd = kl_fs_dirs_fd(&batch->dirs, dir);
    if (fd < 0)
        return fd; /* of this directory, not of the filesystem */
    size_t at = flushed->count++ % room;
    flushed->devs[at] = dir->dev;
    flushed->failed[at] = syncfs(fd) < 0 ? -errno : 0;
    return flushed->failed[at];
}

/* One flush for each filesystem with staged files, before anything is put in place. */
static void flush_staged(struct kilter_fs_batch *batch)
{
    struct flushed flushed = { .count = 0 };
    for (size_t i = 0; i < batch->count; i++) {
        struct kl_fs_item *item = &batch->items[i];
        if (item->step != KL_FS_STAGED || item->op.action != KILTER_FS_WRITE_FILE)
            continue;
        int failed = flush_once(batch, &flushed, item->dir);
        if (failed < 0)
            kl_fs_refuse_errno(batch, item, failed, "flushing it to disk");
    }
}

static int flush_directory(struct kilter_fs_batch *batch, struct flushed *flushed, struct kl_fs_dir *dir)
{
    if (flushed)
        return flush_once(batch, flushed, dir);
    int fd = kl_fs_dirs_fd(&batch->dirs, dir);
    if (fd < 0)
        return fd;
    return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

/* The renames themselves. Many directories are flushed together, too. */
static int flush_directories(struct kilter_fs_batch *batch, struct kilter_error *err)
{
    struct flushed flushed = { .count = 0 };
    size_t dirty = 0;
    int code = KILTER_OK;
    for (size_t i = 0; i < batch->dirs.capacity; i++)
        dirty += batch->dirs.slots[i] && batch->dirs.slots[i]->dirty;
    bool together = dirty > FLUSH_EACH_DIRECTORY_MAX && syncfs_tells_errors(batch);
    for (size_t i = 0; i < batch->dirs.capacity; i++) {
        struct kl_fs_dir *dir = batch->dirs.slots[i];
        if (!dir || !dir->dirty)
            continue;
        int failed = flush_directory(batch, together ? &flushed : NULL, dir);
        dir->dirty = false;
        /* One that was removed or replaced meanwhile took its entries with it. */
        if (failed < 0 && failed != -ENOENT && failed != -ESTALE && failed != -ENOTDIR)
            code = kilter_error_errno(err, -failed, "flushing directory /%s to disk", dir->rel);
    }
    return code;
}

/* --- settling ----------------------------------------------------------------------- */
/* Until the clock that coarse stamps are taken from is past this one; it may stand still for some ticks. */
static void wait_until_past(int64_t ctime_ns)
{
    struct timespec now, pause = { 0, 1000000 };
    for (int tries = 0; tries < 50; tries++) {
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        int64_t ahead = ctime_ns - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
        if (ahead < 0 || ahead > 100000000) /* far ahead: the clock was set back */
            return;
        nanosleep(&pause, NULL);
    }
}

/* Where stamps are coarse, a change within the same tick would carry the stamp that is recorded now. So the
 * tick is waited out, and the content compared once more. */
static void settle(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    struct kilter_fs_entry entry = KILTER_FS_ENTRY_INIT;
    uint8_t digest[KILTER_SHA256_SIZE];
    if (item->now.length > SETTLE_MAX_BYTES || kilter_fs_digest(batch->fs, item->op.path, digest, &entry, NULL) < 0)
        return;
    const uint8_t *meant = item->op.action == KILTER_FS_WRITE_FILE ? item->digest : item->op.digest;
    if (entry.settled && meant && kilter_fs_same(&entry, &item->now) && memcmp(digest, meant, sizeof digest) == 0)
        item->now.settled = true;
}

static void settle_all(struct kilter_fs_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct kl_fs_item *item = &batch->items[i];
        if (item->step != KL_FS_DONE || item->now.type != KILTER_FS_FILE || item->now.settled)
            continue;
        wait_until_past(item->now.ctime_ns);
        settle(batch, item);
    }
}

/* --- running ------------------------------------------------------------------------ */
static void refuse_stopped(struct kilter_fs_batch *batch, struct kl_fs_item *item)
{
    kl_fs_refuse(batch, item, KILTER_FS_STOPPED, KILTER_E_CANCELLED, "stopped before it was changed");
}

static void stage_all(struct kilter_fs_batch *batch)
{
    size_t files = 0;
    for (size_t i = 0; i < batch->count; i++)
        files += batch->items[i].op.action == KILTER_FS_WRITE_FILE;
    batch->flush_each = files <= FLUSH_EACH_MAX || !syncfs_tells_errors(batch);
    for (size_t i = 0; i < batch->count; i++) {
        struct kl_fs_item *item = &batch->items[i];
        if (item->step != KL_FS_NEW)
            continue;
        if (stopped(batch))
            refuse_stopped(batch, item);
        else if (kl_fs_check_item(batch, item) == KILTER_OK && item->step == KL_FS_NEW)
            kl_fs_stage_item(batch, item);
    }
    if (!batch->flush_each)
        flush_staged(batch);
}

static void place_all(struct kilter_fs_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct kl_fs_item *item = &batch->items[i];
        if (item->step == KL_FS_STAGED && stopped(batch))
            refuse_stopped(batch, item);
        else if (item->step == KL_FS_STAGED)
            kl_fs_place_item(batch, item);
        if (item->step == KL_FS_REFUSED)
            kl_fs_drop_temporary(batch, item);
    }
}

int kilter_fs_batch_run(struct kilter_fs_batch *batch, struct kilter_error *err)
{
    stage_all(batch);
    place_all(batch);
    int code = flush_directories(batch, err);
    settle_all(batch);
    return code;
}

static size_t made_parents(const struct kl_fs_item *item)
{
    size_t made = 0;
    for (const struct kl_fs_dir *dir = item->dir; dir && dir->made; dir = dir->parent)
        made++;
    return made;
}

void kilter_fs_batch_result(const struct kilter_fs_batch *batch, size_t index, struct kilter_fs_result *ret)
{
    const struct kl_fs_item *item = &batch->items[index];
    struct kilter_fs_result result;
    memset(&result, 0, sizeof result);
    result.size = ret->size < sizeof result ? ret->size : sizeof result;
    result.status = item->status;
    result.obstacle = item->obstacle;
    result.message = item->message;
    result.entry = item->step == KL_FS_DONE ? &item->now : NULL;
    memcpy(result.digest, item->digest, sizeof result.digest);
    result.made_parents = made_parents(item);
    result.unmarked = item->unmarked;
    memcpy(ret, &result, result.size);
}
