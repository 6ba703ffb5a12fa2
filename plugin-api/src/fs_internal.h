/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_internal.h: what the files of the fs module share. Nothing here leaves
 * libkilter. A located path lives on the caller's stack; descriptors that are
 * returned belong to the caller.
 */
#ifndef KILTER_FS_INTERNAL_H
#define KILTER_FS_INTERNAL_H

#include <kilter/fs.h>

#include <sys/stat.h>
#include <sys/types.h>

#define KL_FS_PATH_MAX 4096

struct kilter_fs {
    int fd; /* of the root, O_PATH */
    bool has_openat2;
    unsigned int kernel; /* major << 8 | minor; 0 unknown */
    char *root;
    char boot[9];   /* of this boot, for the names of temporary entries */
    uint64_t start; /* of this process, in clock ticks since boot; 0 unknown */
    uint32_t counter;
};

/* A checked path, cut at its last segment. */
struct kl_fs_path {
    char rel[KL_FS_PATH_MAX]; /* without the leading '/' */
    size_t dir_len;           /* of the parent within rel; 0: the root itself */
    const char *name;         /* the last segment, within rel */
};

int kl_fs_locate(struct kilter_str path, struct kl_fs_path *ret, struct kilter_error *err);
/* Opens `rel` beneath `dirfd` without following any link: a descriptor or a negative errno. `rel` may have
 * several segments; "" is the directory itself. */
int kl_fs_open_beneath(const struct kilter_fs *fs, int dirfd, const char *rel, int flags);
/* The error for a parent that cannot be walked; names the segment that is in the way. */
int kl_fs_parent_error(const struct kilter_fs *fs, const char *rel, int sys_errno, struct kilter_error *err);
/* What is behind a descriptor (name "") or at a name of it: 0 or a negative errno. */
int kl_fs_look_at(const struct kilter_fs *fs, int dirfd, const char *name, struct kilter_fs_entry *ret);
/* Opens the regular file or directory that `seen` describes, for reading: a descriptor or a negative errno;
 * -ESTALE when another one is there now. */
int kl_fs_open_seen(const struct kilter_fs *fs, int dirfd, const char *name, const struct kilter_fs_entry *seen);
/* Digest of an open file from its beginning; 0 or a negative errno. */
int kl_fs_digest_fd(int fd, uint8_t ret_digest[KILTER_SHA256_SIZE]);
/* Removes an entry, a directory with all that is in it but not what is mounted there. 0 or a negative errno. */
int kl_fs_remove_tree(const struct kilter_fs *fs, int dirfd, const char *name);
/* A fresh name for a temporary entry. */
void kl_fs_temporary_name(struct kilter_fs *fs, char ret_name[64]);
/* When a process was started, in clock ticks since boot: tells it from a later one of the same number.
 * 0 when nobody can tell. */
uint64_t kl_fs_process_start(long pid);
/* Whether it does nothing any more: it is just ending, or nobody has asked yet how it ended. */
bool kl_fs_process_is_over(long pid);

/* --- directories of a batch (fs_dirs.c) ------------------------------------------
 * Each directory that a batch works in is walked once and remembered by device and inode; its descriptor
 * may be closed and opened again, but a directory that took its place is never worked in. */
struct kl_fs_dir {
    char *rel; /* "": the root */
    struct kl_fs_dir *parent;
    int fd; /* -1 while closed */
    uint64_t dev, ino;
    uint32_t mode, uid, gid;
    bool made;  /* for this batch */
    bool dirty; /* to be flushed */
    uint64_t used;
};

struct kl_fs_dirs {
    struct kilter_fs *fs;
    struct kl_fs_dir **slots; /* open addressing; capacity is a power of two */
    size_t capacity, count, open;
    uint64_t clock;
};

void kl_fs_dirs_release(struct kl_fs_dirs *dirs);
/* The directory `rel` of `len` bytes, made with its parents when `make`. KILTER_E_NOT_FOUND when missing. */
int kl_fs_dirs_get(struct kl_fs_dirs *dirs, const char *rel, size_t len, bool make, struct kl_fs_dir **ret,
                   struct kilter_error *err);
/* The directory if the batch knows it already, else NULL. */
struct kl_fs_dir *kl_fs_dirs_known(const struct kl_fs_dirs *dirs, const char *rel, size_t len);
/* Its descriptor, opened again if need be; a negative errno, -ESTALE when another one is there now. Valid
 * until the next call for another directory. */
int kl_fs_dirs_fd(struct kl_fs_dirs *dirs, struct kl_fs_dir *dir);
/* KILTER_E_PERMISSION when somebody other than root, us and `uid` could swap what lies in the directory. */
int kl_fs_dirs_trust(const struct kl_fs_dir *dir, uint32_t uid, struct kilter_error *err);

/* What a new entry gets; KILTER_FS_KEEP where the filesystem's own choice stays. */
struct kl_fs_attributes {
    int64_t mode, uid, gid;
    const char *xattr_name;
    struct kilter_str xattr_value;
};

/* Owner, then mark, then mode of an open file or directory. 0 or a negative errno. */
int kl_fs_apply_attributes(int fd, const struct kl_fs_attributes *attributes, bool *ret_unmarked);
/* Makes a directory that appears complete or not at all; with mode KEEP 0755 and the parent's set-group-id. 0 or a
 * negative errno, -EEXIST when something is there. */
int kl_fs_make_directory(struct kilter_fs *fs, int dirfd, const char *name,
                         const struct kl_fs_attributes *attributes, bool *ret_unmarked);
/* rename that never replaces, by other means where the filesystem has none. 0 or a negative errno. */
int kl_fs_rename_new(int dirfd, const char *from, const char *to);

#endif
