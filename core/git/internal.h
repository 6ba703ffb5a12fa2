/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h: what the files of kl-git share. Private to core/git.
 */
#ifndef KL_GIT_INTERNAL_H
#define KL_GIT_INTERNAL_H

#include <git2.h>

#include "base/cleanup.h"
#include "git/mirror.h"
#include "git/tree.h"

#define KL_KEEP_PREFIX "refs/kilter/keep/"

/* A text on the caller's stack, enough for any path of a mirror. */
#define KL_PATH_SIZE 4096

struct kl_blobs;

struct kl_mirror {
    char *dir;
    git_repository *repo;
    git_odb *odb;
    struct kl_blobs *blobs;
};

/* --- mirror.c ------------------------------------------------------------------- */
/* Fills `err` with the text, and behind it what libgit2 said last. */
int kl_git_fail(struct kilter_error *err, int code, const char *format, ...) KILTER_PRINTF(3, 4);

/* Holds the writer's lock of a mirror until the descriptor is closed. Tries until `deadline_ns`;
 * KILTER_E_CONFLICT when another process has it. */
int kl_mirror_lock(const char *dir, int64_t deadline_ns, bool (*cancelled)(void *data), void *data, int *ret_fd,
                   struct kilter_error *err);
/* With the lock held: opens or creates. */
int kl_mirror_create_locked(const char *dir, struct kl_mirror **ret, struct kilter_error *err);
/* With the lock held: removes what killed writers left. */
void kl_mirror_sweep(const char *dir);
/* With the lock held: removes kept refs whose commit is not whole, and counts them. */
size_t kl_mirror_drop_broken(struct kl_mirror *mirror);
/* "<dir>/<rest>" into `text`; false when it does not fit. */
bool kl_mirror_path(const char *dir, const char *rest, char text[KL_PATH_SIZE]);
/* Calls `each` with every kept object id. Not 0 stops and is returned. */
int kl_mirror_each_kept(struct kl_mirror *mirror, int (*each)(void *data, const git_oid *id), void *data);
/* Asks for a full repack by the next maintain, for objects that nothing keeps. */
int kl_mirror_mark_garbage(const char *dir, struct kilter_error *err);
#define KL_GARBAGE_MARK "kilter-garbage"

/* --- blob.c --------------------------------------------------------------------- */
/* The last blob that was read, so that reading in pieces unpacks once. */
int kl_blobs_new(git_odb *odb, struct kl_blobs **ret, struct kilter_error *err);
void kl_blobs_free(struct kl_blobs *blobs);
struct kilter_content *kl_blobs_content(struct kl_blobs *blobs, struct kilter_arena *arena, const git_oid *id,
                                        uint64_t length);
/* With the length looked up. */
int kl_blobs_open(struct kl_blobs *blobs, struct kilter_arena *arena, const git_oid *id,
                  struct kilter_content **ret, struct kilter_error *err);

/* --- diff.c --------------------------------------------------------------------- */
enum kilter_entry_type kl_git_entry_type(const git_tree_entry *entry);
/* The tree of a commit given in hexadecimal. */
int kl_git_commit_tree(git_repository *repo, const char *commit, git_tree **ret, struct kilter_error *err);

/* --- cleanup --------------------------------------------------------------------- */
#define KL_GIT_CLEANUP(type)                                                                                       \
    static inline void kl_##type##_freep(type **object)                                                            \
    {                                                                                                              \
        if (*object)                                                                                               \
            type##_free(*object);                                                                                  \
    }
KL_GIT_CLEANUP(git_repository)
KL_GIT_CLEANUP(git_odb)
KL_GIT_CLEANUP(git_commit)
KL_GIT_CLEANUP(git_object)
KL_GIT_CLEANUP(git_tree)
KL_GIT_CLEANUP(git_reference)
KL_GIT_CLEANUP(git_reference_iterator)
KL_GIT_CLEANUP(git_revwalk)
KL_GIT_CLEANUP(git_packbuilder)
KL_GIT_CLEANUP(git_remote)
#undef KL_GIT_CLEANUP

static inline void kl_mirror_closep(struct kl_mirror **mirror)
{
    kl_mirror_close(*mirror);
}

#endif
