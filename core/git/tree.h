/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h: the tree view of renderer.h over a directory or a commit, and the
 * record of what was asked of it.
 *
 * A tree owns everything it hands out (content handles, recorded paths) until
 * kl_tree_close. One thread at a time. kl_tree_open_dir and the record are in
 * the library kl-tree, which needs libkilter only; kl_tree_open_git is in
 * kl-git.
 *
 * Links are resolved as POSIX does, segment by segment, but inside the tree
 * only: an absolute target, a ".." above the root and more than 40 links are
 * KILTER_E_PERMISSION. Over a directory nothing named ".git" is there, and what
 * is neither file, directory nor link is absent.
 *
 * The record. Each call adds the questions that its answer depends on, each
 * once:
 *     blob    content of the file at a path       answer: its object id
 *     exists  what is at a path                   answer: the type's word
 *     list    names and types in a directory      answer: a hash of them; what is deeper does not count
 *     link    a link on the way, or asked for     answer: the id of its text
 * and "absent" where there is no such thing. Paths in the record have all
 * links resolved, but in the last segment. The directories passed through do
 * not count. When a path ends early because a segment of it is no directory,
 * that segment's link question is recorded too (answer "absent"): it would
 * lead elsewhere once it became a link.
 */
#ifndef KL_GIT_TREE_H
#define KL_GIT_TREE_H

#include <kilter/renderer.h>

enum kl_question { KL_ASK_BLOB = 1, KL_ASK_EXISTS = 2, KL_ASK_LIST = 3, KL_ASK_LINK = 4 };

struct kl_asked {
    struct kilter_str path;
    enum kl_question question;
    struct kilter_str answer; /* an id, a word, or "absent" */
};

/* A plain directory. Reads nothing until it is asked. KILTER_E_NOT_FOUND, KILTER_E_CONFLICT when it is no
 * directory. */
int kl_tree_open_dir(const char *path, struct kilter_tree **ret, struct kilter_error *err);
/* A commit of a mirror (mirror.h); `commit` in full hexadecimal. KILTER_E_NOT_FOUND when the mirror or the
 * commit is not there. (kl-git) */
int kl_tree_open_git(const char *mirror, const char *commit, struct kilter_tree **ret, struct kilter_error *err);
/* Takes NULL. */
void kl_tree_close(struct kilter_tree *tree);

/* --- the record ---------------------------------------------------------------- */
size_t kl_tree_asked_count(const struct kilter_tree *tree);
const struct kl_asked *kl_tree_asked_at(const struct kilter_tree *tree, size_t index);
/* Forgets the record, so that the next render starts its own. Views of it die. */
void kl_tree_asked_clear(struct kilter_tree *tree);
/* The answer that a question has in this tree, not recorded; in the arena. For checking an old record against
 * a new commit. */
int kl_tree_answer(struct kilter_tree *tree, struct kilter_str path, enum kl_question question,
                   struct kilter_arena *arena, struct kilter_str *ret_answer, struct kilter_error *err);
/* "blob", "exists", "list", "link", and back; 0 for an unknown word. */
const char *kl_question_word(enum kl_question question);
enum kl_question kl_question_of(struct kilter_str word);

/* --- what differs between two commits ------------------------------------------- */
/* One path of a diff (fetch.h). */
struct kl_tree_change {
    struct kilter_str path;
    enum kilter_entry_type before, after;
    bool list; /* a directory in both, whose set of (name, type) changed; before and after are DIRECTORY */
};

/* "absent", "file", "executable", "directory", "link", "submodule"; and back, ABSENT for an unknown word. */
const char *kl_entry_type_word(enum kilter_entry_type type);
enum kilter_entry_type kl_entry_type_of(struct kilter_str word);
/* Whether a change of the question's own path moves its answer. The caller looks up changes by the asked
 * path; changes of other paths never matter. */
bool kl_asked_moved(enum kl_question question, const struct kl_tree_change *change);

#endif
