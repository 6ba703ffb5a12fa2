/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.h: looking at files and changing them below a managed root, safely.
 *
 * A kilter_fs is one open root directory. Every path is absolute as seen from
 * that root ("/etc/motd"), is walked beneath it without following any link
 * (openat2 where the kernel has it, else segment by segment), and never leaves
 * it. Looking changes nothing, not even access times where that can be helped.
 *
 * Changes go through a batch: every file is first written beside its place
 * under a temporary name with its final owner and mode, then all of it is
 * flushed, then each is put in place by one rename right after what was there
 * has been compared with what the caller expected, then the directories are
 * flushed. A crash at any instruction leaves each path as it was or as it was
 * meant to be. What a crash can leave is a temporary entry, whose name begins
 * with KILTER_FS_TEMPORARY and which kilter_fs_sweep removes.
 *
 * A kilter_fs and its batches belong to one thread at a time. They own file
 * descriptors until they are closed; no file of a batch is kept open.
 */
#ifndef KILTER_FS_H
#define KILTER_FS_H

#include <kilter/value.h>

KILTER_BEGIN_DECLS

/* --- the root ----------------------------------------------------------------- */
struct kilter_fs;

#define KILTER_FS_TEMPORARY ".kilter-tmp."

/* Walks segment by segment although the kernel has openat2. */
#define KILTER_FS_NO_OPENAT2 1u

/* Opens a directory as managed root; links in `path` itself are followed, once, now. KILTER_E_NOT_FOUND,
 * KILTER_E_INVALID when it is not absolute or no directory. */
KILTER_API int kilter_fs_open(struct kilter_str path, uint32_t flags, struct kilter_fs **ret,
                              struct kilter_error *err);
/* Takes NULL. */
KILTER_API void kilter_fs_close(struct kilter_fs *fs);
/* The root with all links resolved: "/" or "/srv/root". Lives as long as `fs`. */
KILTER_API struct kilter_str kilter_fs_root(const struct kilter_fs *fs);

/* Whether a text is a path that kilter manages: begins with '/', is not "/" alone, has no empty, "." or ".."
 * segment, no segment above 255 bytes or beginning with KILTER_FS_TEMPORARY, at most 4095 bytes, UTF-8
 * without control characters. KILTER_E_INVALID with what is wrong. Every function below checks it again. */
KILTER_API int kilter_fs_check_path(struct kilter_str path, struct kilter_error *err);

/* What identifies this machine: /etc/machine-id, else /var/lib/dbus/machine-id, else "name-<host name>".
 * The text is NUL-terminated. */
#define KILTER_MACHINE_ID_SIZE 72
KILTER_API int kilter_machine_id(char ret_id[KILTER_MACHINE_ID_SIZE], struct kilter_error *err);

/* --- looking ------------------------------------------------------------------- */
enum kilter_fs_type {
    KILTER_FS_ABSENT = 0,
    KILTER_FS_FILE = 1,
    KILTER_FS_DIRECTORY = 2,
    KILTER_FS_SYMLINK = 3,
    KILTER_FS_SPECIAL = 4, /* device, named pipe, socket */
};

#define KILTER_FS_IMMUTABLE 1u   /* chattr +i */
#define KILTER_FS_APPEND_ONLY 2u /* chattr +a */
#define KILTER_FS_MOUNTED 4u     /* something is mounted at this very path */

/* One entry as it is. The members from `dev` to `mode`, with `uid`, `gid` and `nlink`, are the stamp by which
 * an unchanged file is known again without reading it. */
struct kilter_fs_entry {
    size_t size; /* sizeof(struct kilter_fs_entry) */
    enum kilter_fs_type type;
    uint32_t flags; /* KILTER_FS_IMMUTABLE... */
    uint64_t dev, ino;
    uint64_t length; /* bytes */
    int64_t mtime_ns, ctime_ns;
    uint32_t mode; /* permission bits, 07777 */
    uint32_t uid, gid;
    uint64_t nlink;
    bool settled; /* seen so long after `ctime_ns` that a later change cannot carry the same one */
};

/* clang-format off */
#define KILTER_FS_ENTRY_INIT { sizeof(struct kilter_fs_entry), KILTER_FS_ABSENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false }
/* clang-format on */

/* "file", "directory", "symlink", "special", "absent"; never NULL. */
KILTER_API const char *kilter_fs_type_name(enum kilter_fs_type type);

/* What is at `path`; a link is not followed. Nothing there, or a parent missing, is KILTER_FS_ABSENT and no
 * error. KILTER_E_CONFLICT when a parent is a link or no directory; the message names it. */
KILTER_API int kilter_fs_observe(struct kilter_fs *fs, struct kilter_str path, struct kilter_fs_entry *ret,
                                 struct kilter_error *err);
/* Whether two looks saw the same thing unchanged. For directories: the same one, whatever is in it, with
 * the same mode and owner. */
KILTER_API bool kilter_fs_same(const struct kilter_fs_entry *a, const struct kilter_fs_entry *b);
/* The text of a link. */
KILTER_API int kilter_fs_read_link(struct kilter_fs *fs, struct kilter_str path, struct kilter_arena *arena,
                                   struct kilter_str *ret_target, struct kilter_error *err);
/* SHA-256 of a regular file; `ret_entry` (may be NULL) is what was read, which stood still meanwhile, or
 * KILTER_E_CONFLICT. Never opens a device or a pipe: KILTER_E_CONFLICT for what is no regular file. */
KILTER_API int kilter_fs_digest(struct kilter_fs *fs, struct kilter_str path,
                                uint8_t ret_digest[KILTER_SHA256_SIZE], struct kilter_fs_entry *ret_entry,
                                struct kilter_error *err);
/* Appends a regular file's bytes; KILTER_E_LIMIT beyond the buffer's maximum. */
KILTER_API int kilter_fs_read(struct kilter_fs *fs, struct kilter_str path, struct kilter_buf *out,
                              struct kilter_error *err);
/* Whether a directory has no entries. */
KILTER_API int kilter_fs_is_empty(struct kilter_fs *fs, struct kilter_str path, bool *ret_empty,
                                  struct kilter_error *err);
/* An extended attribute of a file or directory. KILTER_E_NOT_FOUND when it is not set,
 * KILTER_E_UNSUPPORTED when the filesystem (or a link, or a special file) cannot have it. */
KILTER_API int kilter_fs_get_xattr(struct kilter_fs *fs, struct kilter_str path, const char *name,
                                   struct kilter_arena *arena, struct kilter_str *ret_value,
                                   struct kilter_error *err);

/* --- changing ------------------------------------------------------------------- */
enum kilter_fs_action {
    KILTER_FS_WRITE_FILE = 1,
    KILTER_FS_MAKE_DIRECTORY = 2,
    KILTER_FS_MAKE_SYMLINK = 3,
    KILTER_FS_SET_ATTRIBUTES = 4, /* mode, owner and mark of a file or directory, in place */
    KILTER_FS_REMOVE = 5,         /* a file, a link, or an empty directory */
};

#define KILTER_FS_MAKE_PARENTS 1u /* missing parents are made, 0755 */
#define KILTER_FS_BREAK_LINKS 2u  /* a file with other hard links is replaced; they keep the old content */
#define KILTER_FS_REPLACE_TREE 4u /* a directory in the way is removed with everything in it */

/* For mode, uid and gid: what a replaced file had; for a new one 0644 (directory 0755), our own ids. */
#define KILTER_FS_KEEP (-1)

struct kilter_fs_op {
    size_t size; /* sizeof(struct kilter_fs_op) */
    enum kilter_fs_action action;
    uint32_t flags;
    struct kilter_str path;
    /* What must be there right before it is replaced (compared by kilter_fs_same); of type KILTER_FS_ABSENT:
     * nothing, which NULL means too. */
    const struct kilter_fs_entry *expect;
    struct kilter_str bytes;        /* WRITE_FILE: the content, or */
    struct kilter_content *content; /* this when set */
    const uint8_t *digest;          /* WRITE_FILE: SHA-256 that the content must have; may be NULL */
    struct kilter_str target;       /* MAKE_SYMLINK */
    int64_t mode, uid, gid;         /* or KILTER_FS_KEEP */
    /* An extended attribute "user.*" set with it where the filesystem has them; NULL: none. An absent value
     * removes it. */
    const char *xattr_name;
    struct kilter_str xattr_value;
};

/* clang-format off */
#define KILTER_FS_OP_INIT \
    { sizeof(struct kilter_fs_op), KILTER_FS_WRITE_FILE, 0, { NULL, 0 }, NULL, { NULL, 0 }, NULL, NULL, \
      { NULL, 0 }, KILTER_FS_KEEP, KILTER_FS_KEEP, KILTER_FS_KEEP, NULL, { NULL, 0 } }
/* clang-format on */

/* What stood in the way, for programs; the message says it in words. */
enum kilter_fs_obstacle {
    KILTER_FS_CLEAR = 0,
    KILTER_FS_STALE = 1,         /* not what `expect` says */
    KILTER_FS_IS_IMMUTABLE = 2,  /* immutable or append-only */
    KILTER_FS_IS_READ_ONLY = 3,  /* the filesystem is mounted read-only */
    KILTER_FS_IS_BUSY = 4,       /* a mount point */
    KILTER_FS_HAS_LINKS = 5,     /* other hard links to the same file */
    KILTER_FS_IS_SPECIAL = 6,    /* a device, a pipe, a socket */
    KILTER_FS_UNSAFE_PARENT = 7, /* a directory on the way can be changed by somebody who must not */
    KILTER_FS_BAD_PARENT = 8,    /* a directory on the way is missing, a link, or no directory */
    KILTER_FS_NOT_EMPTY = 9,     /* the directory has entries */
    KILTER_FS_NO_SPACE = 10,     /* disk, quota or inodes are used up */
    KILTER_FS_DENIED = 11,       /* the system does not let us */
    KILTER_FS_BAD_PATH = 12,     /* refused by kilter_fs_check_path, or too long for the filesystem */
    KILTER_FS_STOPPED = 13,      /* `stop` said so before it was put in place */
    KILTER_FS_FAILED = 14,       /* anything else */
};

struct kilter_fs_result {
    size_t size; /* sizeof(struct kilter_fs_result), set by the caller */
    int status;  /* KILTER_OK, or why not */
    enum kilter_fs_obstacle obstacle;
    const char *message;                 /* NULL when it went well; lives as long as the batch */
    const struct kilter_fs_entry *entry; /* what is there now; lives as long as the batch; NULL on failure */
    uint8_t digest[KILTER_SHA256_SIZE];  /* WRITE_FILE: of what was written */
    size_t made_parents; /* of the path's parents, how many of the deepest were made for this batch */
    bool unmarked;       /* the filesystem has no place for `xattr_name` */
};

struct kilter_fs_batch;

/* `stop` (may be NULL) is asked between steps; once it answers true, what is not in place yet stays as it
 * is. NULL when out of memory. */
KILTER_API struct kilter_fs_batch *kilter_fs_batch_new(struct kilter_fs *fs, bool (*stop)(void *data), void *data);
/* Removes the temporary entries of what was not run, too. Takes NULL. */
KILTER_API void kilter_fs_batch_free(struct kilter_fs_batch *batch);
/* Adds one operation. What it points to must live until the batch has run. Operations are done in this
 * order where order matters: a directory before what is in it, removals from the inside out. */
KILTER_API int kilter_fs_batch_add(struct kilter_fs_batch *batch, const struct kilter_fs_op *op, size_t *ret_index);
/* Does all of them; each has its own result, one that fails stops no other. An error return means that
 * the last flush failed: what the results call done is in place but may not survive a power cut. */
KILTER_API int kilter_fs_batch_run(struct kilter_fs_batch *batch, struct kilter_error *err);
KILTER_API void kilter_fs_batch_result(const struct kilter_fs_batch *batch, size_t index,
                                       struct kilter_fs_result *ret);

/* Removes the temporary entries that a dead process left in one directory. Those of living processes of
 * this boot stay. A missing directory is fine. */
KILTER_API int kilter_fs_sweep(struct kilter_fs *fs, struct kilter_str directory, size_t *ret_removed,
                               struct kilter_error *err);

KILTER_END_DECLS

#endif
