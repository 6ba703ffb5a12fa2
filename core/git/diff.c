/* SPDX-License-Identifier: Apache-2.0 */
/* What differs between two commits, by a walk that enters only trees that differ. */
#include "git/fetch.h"
#include "git/internal.h"

#define DEFAULT_MAX 200000u
#define MAX_DEPTH 1000u /* directories in one another */
#define MAX_PATH_BYTES 65536u

enum kilter_entry_type kl_git_entry_type(const git_tree_entry *entry)
{
    switch (git_tree_entry_filemode(entry)) {
    case GIT_FILEMODE_TREE:
        return KILTER_ENTRY_DIRECTORY;
    case GIT_FILEMODE_LINK:
        return KILTER_ENTRY_LINK;
    case GIT_FILEMODE_COMMIT:
        return KILTER_ENTRY_SUBMODULE;
    case GIT_FILEMODE_BLOB_EXECUTABLE:
        return KILTER_ENTRY_EXECUTABLE;
    default:
        return KILTER_ENTRY_FILE;
    }
}

int kl_git_commit_tree(git_repository *repo, const char *commit, git_tree **ret, struct kilter_error *err)
{
    KL_CLEANUP(kl_git_commit_freep) git_commit *found = NULL;
    git_oid id;
    int status;

    if (strlen(commit) != KL_OID_HEX || git_oid_fromstr(&id, commit) < 0)
        return kilter_error_set(err, KILTER_E_INVALID, "\"%.60s\" is no commit's id of %d hexadecimal digits",
                                commit, KL_OID_HEX);
    status = git_commit_lookup(&found, repo, &id);
    if (status == GIT_ENOTFOUND)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "commit %.12s is not in the mirror", commit);
    if (status < 0 || git_commit_tree(ret, found) < 0)
        return kl_git_fail(err, KILTER_E_IO, "reading commit %.12s of the mirror", commit);
    return 0;
}

struct diff {
    git_repository *repo;
    struct kilter_buf path;
    size_t max, count, depth;
    int (*change)(void *data, const struct kl_tree_change *change);
    void *data;
    struct kilter_error *err;
};

static int emit(struct diff *diff, enum kilter_entry_type before, enum kilter_entry_type after, bool list)
{
    struct kl_tree_change change = {
        .path = kilter_buf_view(&diff->path), .before = before, .after = after, .list = list
    };

    if (++diff->count > diff->max)
        return kilter_error_set(diff->err, KILTER_E_LIMIT, "more than %zu paths differ", diff->max);
    int status = diff->change(diff->data, &change);
    return status > 0 ? KILTER_E_CANCELLED : status;
}

static int diff_trees(struct diff *diff, const git_tree *before, const git_tree *after);

static enum kilter_entry_type type_of(const git_tree_entry *entry)
{
    return entry ? kl_git_entry_type(entry) : KILTER_ENTRY_ABSENT;
}

static int subtree(struct diff *diff, const git_tree_entry *entry, git_tree **ret)
{
    if (type_of(entry) != KILTER_ENTRY_DIRECTORY)
        return 0;
    if (git_tree_lookup(ret, diff->repo, git_tree_entry_id(entry)) < 0)
        return kl_git_fail(diff->err, KILTER_E_IO, "reading %.*s of the mirror",
                           KILTER_STR_ARG(kilter_buf_view(&diff->path)));
    return 0;
}

/* Two entries of one name, of which one may be NULL, that are not the same. The path stands on them. */
static int diff_entry(struct diff *diff, const git_tree_entry *before, const git_tree_entry *after)
{
    KL_CLEANUP(kl_git_tree_freep) git_tree *before_tree = NULL;
    KL_CLEANUP(kl_git_tree_freep) git_tree *after_tree = NULL;
    enum kilter_entry_type before_type = type_of(before), after_type = type_of(after);
    int status = 0;

    if (before_type != KILTER_ENTRY_DIRECTORY || after_type != KILTER_ENTRY_DIRECTORY)
        status = emit(diff, before_type, after_type, false);
    if (status == 0)
        status = subtree(diff, before, &before_tree);
    if (status == 0)
        status = subtree(diff, after, &after_tree);
    if (status == 0 && (before_tree || after_tree))
        status = diff_trees(diff, before_tree, after_tree);
    return status;
}

static int diff_named(struct diff *diff, const char *name, const git_tree_entry *before,
                      const git_tree_entry *after)
{
    size_t len = diff->path.len;

    if (before && after && git_oid_equal(git_tree_entry_id(before), git_tree_entry_id(after)) &&
        type_of(before) == type_of(after))
        return 0;
    if (len > 0)
        kilter_buf_char(&diff->path, '/');
    kilter_buf_c(&diff->path, name);
    int status = diff->path.failed ? kilter_error_set(diff->err, KILTER_E_LIMIT, "a path is too long")
                                   : diff_entry(diff, before, after);
    diff->path.len = len;
    if (diff->path.ptr)
        diff->path.ptr[len] = '\0';
    return status;
}

/* Whether both list the same names with the same types. */
static bool same_list(const git_tree *before, const git_tree *after)
{
    size_t count = git_tree_entrycount(before);

    if (count != git_tree_entrycount(after))
        return false;
    for (size_t i = 0; i < count; i++) {
        const git_tree_entry *left = git_tree_entry_byindex(before, i);
        const git_tree_entry *right = git_tree_entry_byindex(after, i);
        if (type_of(left) != type_of(right) || strcmp(git_tree_entry_name(left), git_tree_entry_name(right)) != 0)
            return false;
    }
    return true;
}

/* Either may be NULL: everything in the other one came or went. */
static int diff_trees(struct diff *diff, const git_tree *before, const git_tree *after)
{
    size_t before_count = before ? git_tree_entrycount(before) : 0;
    size_t after_count = after ? git_tree_entrycount(after) : 0;
    int status = 0;

    if (++diff->depth > MAX_DEPTH)
        return kilter_error_set(diff->err, KILTER_E_LIMIT, "more than %u directories in one another", MAX_DEPTH);
    if (before && after && !same_list(before, after))
        status = emit(diff, KILTER_ENTRY_DIRECTORY, KILTER_ENTRY_DIRECTORY, true);
    for (size_t i = 0; i < before_count && status == 0; i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(before, i);
        const char *name = git_tree_entry_name(entry);
        status = diff_named(diff, name, entry, after ? git_tree_entry_byname(after, name) : NULL);
    }
    for (size_t i = 0; i < after_count && status == 0; i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(after, i);
        const char *name = git_tree_entry_name(entry);
        if (!before || !git_tree_entry_byname(before, name))
            status = diff_named(diff, name, NULL, entry);
    }
    diff->depth--;
    return status;
}

int kl_mirror_diff(struct kl_mirror *mirror, const char *from, const char *to, size_t max,
                   int (*change)(void *data, const struct kl_tree_change *change), void *data,
                   struct kilter_error *err)
{
    KL_CLEANUP(kl_git_tree_freep) git_tree *before = NULL;
    KL_CLEANUP(kl_git_tree_freep) git_tree *after = NULL;
    struct diff diff = { .repo = mirror->repo,
                         .path = KILTER_BUF_INIT(MAX_PATH_BYTES),
                         .max = max ? max : DEFAULT_MAX,
                         .change = change,
                         .data = data,
                         .err = err };
    int status = kl_git_commit_tree(mirror->repo, from, &before, err);

    if (status == 0)
        status = kl_git_commit_tree(mirror->repo, to, &after, err);
    if (status == 0 && !git_oid_equal(git_tree_id(before), git_tree_id(after)))
        status = diff_trees(&diff, before, after);
    kilter_buf_release(&diff.path);
    return status;
}
