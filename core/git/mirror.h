/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mirror.h: one bare repository for each source, and libgit2 made ours.
 *
 * A mirror is a directory that nobody else writes. It holds the objects of the
 * commits that are wanted, each kept by a ref refs/kilter/keep/<object id>. It
 * appears whole, by a rename; a writer (fetch, maintain) holds <dir>.lock, a
 * reader needs no lock. Whatever a killed writer left behind is removed by the
 * next one. A handle belongs to one thread.
 *
 * libgit2 reads no configuration but the mirror's own: not the system's, not
 * $HOME's; and it does not ask who owns a repository, because nothing in one
 * can make libgit2 run a program.
 */
#ifndef KL_GIT_MIRROR_H
#define KL_GIT_MIRROR_H

#include <kilter/value.h>

#define KL_OID_HEX 40 /* characters of an object id */

struct kl_mirror;

/* Sets libgit2 up for this process; the other functions here do it by themselves. May be called again. */
int kl_git_init(struct kilter_error *err);
/* Undoes kl_git_init, for leak checkers. */
void kl_git_shutdown(void);

/* Opens an existing mirror. KILTER_E_NOT_FOUND when there is none. */
int kl_mirror_open(const char *dir, struct kl_mirror **ret, struct kilter_error *err);
/* Opens it, after creating it when it is not there. */
int kl_mirror_create(const char *dir, struct kl_mirror **ret, struct kilter_error *err);
/* Takes NULL. Contents made from it die with it. */
void kl_mirror_close(struct kl_mirror *mirror);

/* Whether the commit and its tree are there. `commit` in full hexadecimal. */
bool kl_mirror_has(struct kl_mirror *mirror, const char *commit);
/* Keeps a commit until a kl_mirror_maintain that does not pin it. KILTER_E_NOT_FOUND. */
int kl_mirror_keep(struct kl_mirror *mirror, const char *commit, struct kilter_error *err);

/* A handle on a blob by its id, for a process that got the id in a plan. Nothing is read until the handle is;
 * `length` is checked then. Lives as long as arena and mirror. NULL when out of memory or `id` is no id. */
struct kilter_content *kl_mirror_content(struct kl_mirror *mirror, struct kilter_arena *arena, struct kilter_str id,
                                         uint64_t length);
/* As above, but looks the blob up and takes the length from it. KILTER_E_NOT_FOUND. */
int kl_mirror_content_open(struct kl_mirror *mirror, struct kilter_arena *arena, struct kilter_str id,
                           struct kilter_content **ret, struct kilter_error *err);

struct kl_maintain_result {
    uint64_t before, after; /* bytes on disk */
    size_t dropped;         /* commits no longer kept */
};

/* Drops the kept commits that are not pinned, repacks, and removes what nothing needs. Commits kept within the
 * last hour stay, for a pin that is on its way. Readers may have the mirror open; a kill at any instant leaves
 * a whole mirror. Cheap when there is nothing to do. `cancelled` may be NULL. */
int kl_mirror_maintain(const char *dir, const char *const *pins, size_t pin_count, bool (*cancelled)(void *data),
                       void *data, struct kl_maintain_result *ret, struct kilter_error *err);

#endif
