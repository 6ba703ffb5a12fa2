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

#include "git/tree.h"

struct kl_asked_entry {
    struct kilter_str path;
    enum kl_question question;
};

struct kl_asked_set {
    struct kilter_arena *arena;
    struct kl_asked_entry *entries; /* sorted by path once sealed */
    size_t count, capacity;
};

struct kl_asked_set *kl_asked_set_new(void);        /* NULL when out of memory */
void kl_asked_set_free(struct kl_asked_set *asked); /* takes NULL */
/* Adds the content of one item {path, question}. KILTER_E_INVALID for an unknown question. */
int kl_asked_set_add(struct kl_asked_set *asked, const struct kilter_value *item);
void kl_asked_set_seal(struct kl_asked_set *asked);
/* The first change that moves an answer, or NULL. */
const struct kl_tree_change *kl_asked_set_moved(const struct kl_asked_set *asked,
                                                const struct kl_tree_change *changes, size_t count);

#endif
