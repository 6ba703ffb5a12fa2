/* SPDX-License-Identifier: Apache-2.0 */
/* Sources on this machine: refs are looked up and objects packed from repository to repository. */
#include "base/clock.h"
#include "git/conn.h"

static int open_source(struct kl_conn *conn, git_repository **ret)
{
    int status = git_repository_open_ext(ret, conn->url.path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);

    if (status == GIT_ENOTFOUND)
        return kl_conn_fail(conn, KILTER_E_NOT_FOUND, "%s is no Git repository, or cannot be read by this user",
                            conn->masked);
    if (status < 0) {
        kl_git_fail(&conn->error, KILTER_E_IO, "opening %s", conn->masked);
        return conn->error.code;
    }
    return 0;
}

/* Adds one ref, symbolic ones and annotated tags followed. Dangling ones are no refs. */
static int add_ref(struct kl_conn *conn, git_reference *ref, const char *name, struct kl_remote_refs *refs)
{
    KL_CLEANUP(kl_git_reference_freep) git_reference *direct = NULL;
    KL_CLEANUP(kl_git_object_freep) git_object *commit = NULL;

    if (git_reference_resolve(&direct, ref) < 0)
        return 0;
    const git_oid *id = git_reference_target(direct);
    const git_oid *peeled =
        git_reference_peel(&commit, direct, GIT_OBJECT_COMMIT) == 0 ? git_object_id(commit) : id;
    return kl_remote_refs_add(conn, refs, kilter_str_c(name), id, peeled);
}

int kl_local_list(struct kl_conn *conn, const char *prefix, bool exact, struct kl_remote_refs *ret)
{
    KL_CLEANUP(kl_git_repository_freep) git_repository *source = NULL;
    KL_CLEANUP(kl_git_reference_iterator_freep) git_reference_iterator *all = NULL;
    git_reference *next;
    char glob[300];
    int status = open_source(conn, &source);

    if (status < 0)
        return status;
    if (exact) {
        KL_CLEANUP(kl_git_reference_freep) git_reference *ref = NULL;
        return git_reference_lookup(&ref, source, prefix) < 0 ? 0 : add_ref(conn, ref, prefix, ret);
    }
    snprintf(glob, sizeof(glob), "%s*", prefix);
    if (git_reference_iterator_glob_new(&all, source, glob) < 0) {
        kl_git_fail(&conn->error, KILTER_E_IO, "reading the refs of %s", conn->masked);
        return conn->error.code;
    }
    while (status == 0 && git_reference_next(&next, all) == 0) {
        KL_CLEANUP(kl_git_reference_freep) git_reference *ref = next;
        status = add_ref(conn, ref, git_reference_name(ref), ret);
    }
    return status;
}

static int hide_kept(void *data, const git_oid *id)
{
    git_revwalk *walk = data;

    git_revwalk_hide(walk, id); /* fails when the source does not know it, which is as good */
    return 0;
}

static int on_progress(int stage, uint32_t current, uint32_t total, void *data)
{
    (void)stage;
    (void)current;
    (void)total;
    return kl_conn_check(data) < 0 ? -1 : 0;
}

int kl_local_transfer(struct kl_conn *conn, struct kl_mirror *mirror, const git_oid *commit)
{
    KL_CLEANUP(kl_git_repository_freep) git_repository *source = NULL;
    KL_CLEANUP(kl_git_revwalk_freep) git_revwalk *walk = NULL;
    KL_CLEANUP(kl_git_packbuilder_freep) git_packbuilder *pack = NULL;
    KL_CLEANUP(kl_git_commit_freep) git_commit *found = NULL;
    char path[KL_PATH_SIZE];
    int status = open_source(conn, &source);

    if (status < 0)
        return status;
    if (git_commit_lookup(&found, source, commit) < 0)
        return conn->request->kind == KL_FETCH_COMMIT
                   ? kl_conn_fail(conn, KILTER_E_NOT_FOUND, "%s has no commit %s", conn->masked,
                                  git_oid_tostr_s(commit))
                   : kl_conn_fail(conn, KILTER_E_INVALID, "%.*s of %s names no commit",
                                  KILTER_STR_ARG(conn->request->ref), conn->masked);
    if (!kl_mirror_path(mirror->dir, "objects/pack", path))
        return kl_conn_fail(conn, KILTER_E_LIMIT, "the mirror's path is too long");
    if (git_revwalk_new(&walk, source) == 0 && git_revwalk_push(walk, commit) == 0 &&
        kl_mirror_each_kept(mirror, hide_kept, walk) == 0 && git_packbuilder_new(&pack, source) == 0 &&
        git_packbuilder_set_callbacks(pack, on_progress, conn) == 0 &&
        git_packbuilder_insert_walk(pack, walk) == 0 && git_packbuilder_write(pack, path, 0, NULL, NULL) == 0)
        return 0;
    if (conn->error.code == 0)
        kl_git_fail(&conn->error, KILTER_E_IO, "copying commit %.12s of %s into the mirror",
                    git_oid_tostr_s(commit), conn->masked);
    return conn->error.code;
}
