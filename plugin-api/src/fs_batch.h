/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_batch.h: one operation on its way through a batch, shared by the staging
 * (fs_stage.c) and the putting in place (fs_place.c). Items belong to their
 * batch; texts of theirs are in its arena.
 */
#ifndef KILTER_FS_BATCH_H
#define KILTER_FS_BATCH_H

#include "fs_internal.h"

enum kl_fs_step {
    KL_FS_NEW = 0,
    KL_FS_STAGED = 1, /* a temporary entry may be there; checked */
    KL_FS_DONE = 2,
    KL_FS_REFUSED = 3,
};

struct kl_fs_item {
    struct kilter_fs_op op;
    enum kl_fs_step step;
    struct kl_fs_dir *dir;
    const char *rel;
    const char *name;            /* the last segment of rel */
    char temp[64];               /* "" when there is none */
    struct kilter_fs_entry seen; /* when it was staged */
    struct kilter_fs_entry now;  /* afterwards */
    uint8_t digest[KILTER_SHA256_SIZE];
    int status;
    enum kilter_fs_obstacle obstacle;
    const char *message;
    bool unmarked;
};

struct kilter_fs_batch {
    struct kilter_fs *fs;
    struct kilter_arena *arena;
    struct kl_fs_dirs dirs;
    struct kl_fs_item *items;
    size_t count, capacity;
    bool flush_each; /* few files: each is flushed by itself instead of the whole filesystem */
    bool (*stop)(void *data);
    void *stop_data;
};

/* Ends an item with what stood in its way; answers the status. */
int kl_fs_refuse(struct kilter_fs_batch *batch, struct kl_fs_item *item, enum kilter_fs_obstacle obstacle,
                 int status, const char *format, ...) KILTER_PRINTF(5, 6);
/* As above from a failed system call (a negative errno): `doing` is "replacing". */
int kl_fs_refuse_errno(struct kilter_fs_batch *batch, struct kl_fs_item *item, int failed, const char *doing);
/* Compares what is there with what the operation expects and looks for what is in the way. */
int kl_fs_check_item(struct kilter_fs_batch *batch, struct kl_fs_item *item);
/* Writes the temporary entry; directories are made at once. */
int kl_fs_stage_item(struct kilter_fs_batch *batch, struct kl_fs_item *item);
/* Puts the staged entry in place, or removes, or changes attributes. */
int kl_fs_place_item(struct kilter_fs_batch *batch, struct kl_fs_item *item);
/* What the new entry gets, with KILTER_FS_KEEP replaced by what the old one has. */
struct kl_fs_attributes kl_fs_item_attributes(const struct kl_fs_item *item);
void kl_fs_drop_temporary(struct kilter_fs_batch *batch, struct kl_fs_item *item);

#endif
