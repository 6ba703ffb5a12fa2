/* SPDX-License-Identifier: Apache-2.0 */
/* The tree view of a commit, straight from the object database. */
#include "git/internal.h"
#include "git/tree_base.h"

struct commit_tree {
    struct kl_tree_base base;
    struct kl_mirror *mirror;
    struct kl_map trees; /* directory -> git_tree */
};

static struct commit_tree *commit_of(struct kl_tree_base *base)
{
    return (struct commit_tree *)(void *)base;
}

static int no_memory(struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_NOMEM, "out of memory while reading the tree");
}

static int damaged(struct kilter_str path, struct kilter_error *err)
{
    return kl_git_fail(err, KILTER_E_IO,
                       "%.*s: the mirror is damaged (remove its directory and it is fetched again)",
                       KILTER_STR_ARG(path));
}

/* The tree object of a directory, kept until the view is closed. */
static int directory(struct commit_tree *commit, struct kilter_str path, git_tree **ret, struct kilter_error *err)
{
    KL_CLEANUP(kl_git_tree_freep) git_tree *tree = NULL;
    struct kl_node *node;
    git_oid id;

    *ret = kl_map_get(&commit->trees, path);
    if (*ret)
        return 0;
    int status = kl_tree_node(&commit->base, path, &node, err);
    if (status < 0)
        return status;
    if (git_oid_fromstrn(&id, node->id.ptr, node->id.len) < 0 ||
        git_tree_lookup(&tree, commit->mirror->repo, &id) < 0)
        return damaged(path, err);
    if (kl_map_put(&commit->trees, path, tree, NULL) < 0)
        return no_memory(err);
    *ret = kl_steal(tree);
    return 0;
}

static int commit_look(struct kl_tree_base *base, struct kilter_str path, struct kl_node *node,
                       struct kilter_error *err)
{
    ptrdiff_t slash = kilter_str_rfind(path, '/');
    struct kilter_str parent = kilter_str_sub(path, 0, slash < 0 ? 0 : (size_t)slash);
    struct kilter_str name = kilter_str_sub(path, (size_t)(slash + 1), path.len);
    char hex[KL_OID_HEX + 1];
    git_tree *tree;
    int status = directory(commit_of(base), parent, &tree, err);

    if (status < 0)
        return status;
    const char *text = kilter_arena_printf(base->arena, "%.*s", KILTER_STR_ARG(name));
    if (!text)
        return no_memory(err);
    const git_tree_entry *entry = git_tree_entry_byname(tree, text);
    node->type = entry ? kl_git_entry_type(entry) : KILTER_ENTRY_ABSENT;
    if (!entry)
        return 0;
    git_oid_tostr(hex, sizeof(hex), git_tree_entry_id(entry));
    node->id = kilter_arena_str(base->arena, kilter_str_c(hex));
    return node->id.ptr ? 0 : no_memory(err);
}

/* Names that no real Git makes, but that a crafted tree can hold. */
static bool name_is_sound(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strcasecmp(name, ".git") != 0;
}

static int commit_list(struct kl_tree_base *base, struct kilter_str path, const struct kl_node *node,
                       struct kilter_arena *arena, struct kilter_entry **ret_entries, size_t *ret_count,
                       struct kilter_error *err)
{
    git_tree *tree;
    int status = directory(commit_of(base), path, &tree, err);

    (void)node;
    if (status < 0)
        return status;
    size_t count = git_tree_entrycount(tree);
    struct kilter_entry *entries = kilter_arena_calloc(arena, count, sizeof(*entries));
    if (!entries)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        const char *name = git_tree_entry_name(entry);
        if (!name_is_sound(name))
            return kilter_error_set(
                err, KILTER_E_INVALID,
                "%.*s: holds an entry named \"%.80s\", which Git itself refuses; the commit was "
                "made to do harm",
                KILTER_STR_ARG(path), name);
        entries[i].name = kilter_arena_str(arena, kilter_str_c(name));
        entries[i].type = kl_git_entry_type(entry);
        if (!entries[i].name.ptr)
            return no_memory(err);
    }
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

static int commit_open(struct kl_tree_base *base, struct kilter_str path, const struct kl_node *node,
                       struct kilter_content **ret, struct kilter_error *err)
{
    git_oid id;

    if (git_oid_fromstrn(&id, node->id.ptr, node->id.len) < 0)
        return damaged(path, err);
    int status = kl_blobs_open(commit_of(base)->mirror->blobs, base->arena, &id, ret, err);
    if (status == KILTER_E_NOT_FOUND) /* the tree has the file, its bytes are gone: this is no absence */
        return damaged(path, err);
    if (status < 0)
        kilter_error_wrap(err, "%.*s", KILTER_STR_ARG(path));
    return status;
}

static int commit_read_link(struct kl_tree_base *base, struct kilter_str path, struct kl_node *node,
                            struct kilter_error *err)
{
    struct kilter_content *content;
    char target[KL_TREE_LINK_MAX];
    size_t len;
    int status = commit_open(base, path, node, &content, err);

    if (status < 0)
        return status;
    if (content->length > sizeof(target))
        return kilter_error_set(err, KILTER_E_LIMIT, "%.*s: the link is too long", KILTER_STR_ARG(path));
    status = kilter_content_read(content, 0, target, sizeof(target), &len, err);
    if (status < 0)
        return status;
    if (memchr(target, '\0', len))
        return kilter_error_set(err, KILTER_E_INVALID, "%.*s: the link's text holds a zero byte",
                                KILTER_STR_ARG(path));
    node->target = kilter_arena_str(base->arena, kilter_str_n(target, len));
    return node->target.ptr ? 0 : no_memory(err);
}

static void free_tree(void *tree)
{
    git_tree_free(tree);
}

static void commit_close(struct kl_tree_base *base)
{
    struct commit_tree *commit = commit_of(base);

    kl_map_release(&commit->trees, free_tree);
    kl_tree_base_release(base);
    kl_mirror_close(commit->mirror);
    free(commit);
}

static const struct kl_tree_form commit_form = {
    .look = commit_look,
    .list = commit_list,
    .read_link = commit_read_link,
    .open = commit_open,
    .close = commit_close,
};

static int open_root(struct commit_tree *commit, const char *id, struct kilter_error *err)
{
    char hex[KL_OID_HEX + 1];
    git_tree *tree;
    int status = kl_git_commit_tree(commit->mirror->repo, id, &tree, err);

    if (status < 0)
        return status;
    git_oid_tostr(hex, sizeof(hex), git_tree_id(tree));
    commit->base.root.id = kilter_arena_str(commit->base.arena, kilter_str_c(hex));
    if (!commit->base.root.id.ptr || kl_map_put(&commit->trees, KILTER_STR(""), tree, NULL) < 0) {
        git_tree_free(tree);
        return no_memory(err);
    }
    return 0;
}

int kl_tree_open_git(const char *mirror, const char *commit, struct kilter_tree **ret, struct kilter_error *err)
{
    struct commit_tree *made = calloc(1, sizeof(*made));
    int status;

    if (!made)
        return no_memory(err);
    status = kl_mirror_open(mirror, &made->mirror, err);
    if (status == 0)
        status = kl_tree_base_init(&made->base, &commit_form, err);
    if (status == 0)
        status = open_root(made, commit, err);
    if (status < 0) {
        commit_close(&made->base);
        return status;
    }
    *ret = &made->base.tree;
    return 0;
}
