/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_base.h: what the tree views share: resolving links and the record.
 *
 * Private to core/git. A form (directory, commit) embeds struct kl_tree_base
 * first, answers four simple questions about paths that have no link on the
 * way, and gets the whole view of tree.h for it.
 */
#ifndef KL_GIT_TREE_BASE_H
#define KL_GIT_TREE_BASE_H

#include "base/map.h"
#include "git/tree.h"

#define KL_TREE_LINK_MAX 4096u /* bytes of a link's text, as PATH_MAX has it */

/* What is at a path. In the tree's arena, looked up once: a tree does not change under its reader. */
struct kl_node {
    enum kilter_entry_type type;
    struct kilter_str id; /* object id; for a form that has none, absent until the object was read */
    struct kilter_str target;
};

struct kl_tree_base;

struct kl_tree_form {
    /* All segments of `path` but the last are known to be directories; `path` is not "". Fills type, and id when
     * it costs nothing. */
    int (*look)(struct kl_tree_base *base, struct kilter_str path, struct kl_node *node, struct kilter_error *err);
    /* Of a directory; in any order. */
    int (*list)(struct kl_tree_base *base, struct kilter_str path, const struct kl_node *node,
                struct kilter_arena *arena, struct kilter_entry **ret_entries, size_t *ret_count,
                struct kilter_error *err);
    /* Of a link: fills target and id. */
    int (*read_link)(struct kl_tree_base *base, struct kilter_str path, struct kl_node *node,
                     struct kilter_error *err);
    /* Of a file: a handle in the tree's arena; its id becomes the node's. */
    int (*open)(struct kl_tree_base *base, struct kilter_str path, const struct kl_node *node,
                struct kilter_content **ret, struct kilter_error *err);
    /* Frees the form's own and the memory of the whole. */
    void (*close)(struct kl_tree_base *base);
};

struct kl_tree_base {
    struct kilter_tree tree; /* what callers hold; first, so that one pointer is both */
    const struct kl_tree_form *form;
    struct kilter_arena *arena;
    struct kl_node root;
    struct kl_map nodes; /* path -> struct kl_node */
    struct kl_map known; /* question and path -> itself, for the record */
    struct kl_asked *asked;
    size_t asked_count, asked_capacity;
    struct kilter_arena *asked_arena;
};

int kl_tree_base_init(struct kl_tree_base *base, const struct kl_tree_form *form, struct kilter_error *err);
/* Copes with one that kl_tree_base_init failed on. */
void kl_tree_base_release(struct kl_tree_base *base);

/* The node at a path of which all segments but the last are known directories. */
int kl_tree_node(struct kl_tree_base *base, struct kilter_str path, struct kl_node **ret, struct kilter_error *err);

#endif
