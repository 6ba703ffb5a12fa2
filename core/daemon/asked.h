/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asked.h: what a render asked of the tree, and which commits move an answer.
 *
 * A set owns its entries. It is filled from the `asked` items of a render,
 * sealed, and then only compared with the changes between two commits. The
 * trees passed through on the way were never asked about, so a change
 * elsewhere in the repository costs nothing. Loop thread only.
 */
#ifndef KL_DAEMON_ASKED_H
#define KL_DAEMON_ASKED_H

#include <kilter/value.h>

enum kl_question { KL_ASKED_BLOB = 1, KL_ASKED_EXISTS, KL_ASKED_LIST, KL_ASKED_LINK };

struct kl_asked_entry {
    struct kilter_str path;
    enum kl_question question;
};

struct kl_asked {
    struct kilter_arena *arena;
    struct kl_asked_entry *entries; /* sorted by path once sealed */
    size_t count, capacity;
};

/* What differs between two commits at one path. */
struct kl_tree_change {
    struct kilter_str path;
    struct kilter_str before, after; /* "absent", "file", "executable", "link", "directory", "submodule" */
    bool list;                       /* the names or types of this directory's entries changed */
};

struct kl_asked *kl_asked_new(void);        /* NULL when out of memory */
void kl_asked_free(struct kl_asked *asked); /* takes NULL */
/* Adds the content of one item {path, question}. KILTER_E_INVALID for an unknown question. */
int kl_asked_add(struct kl_asked *asked, const struct kilter_value *item);
void kl_asked_seal(struct kl_asked *asked);
/* The first change that moves an answer, or NULL. */
const struct kl_tree_change *kl_asked_moved(const struct kl_asked *asked, const struct kl_tree_change *changes,
                                            size_t count);

#endif
