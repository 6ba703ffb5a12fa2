/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.h: what differs between the two sides of a change, for people.
 *
 * The one place where a diff is made, so the one place where secrets are
 * masked and sizes limited. Needs libgit2, for texts of several lines.
 */
#ifndef KL_WORKER_DIFF_H
#define KL_WORKER_DIFF_H

#include <kilter/value.h>

#define KL_DIFF_MAX_FIELDS 200u
#define KL_DIFF_MAX_LINES 400u      /* of all texts of one change */
#define KL_DIFF_MAX_LINE 500u       /* bytes of a line, or of a field's value */
#define KL_DIFF_MAX_TEXT (1u << 20) /* bytes of a text; longer ones are only named */

struct kl_diff {
    /* List of {path, before?, after?}, NULL when nothing differs. A path is "spec.ports[0].name", keys with
     * other characters in quotes: metadata.labels["a.b/c"]. before or after is left out where there is none, and
     * both are where the text shows it. What is beyond the limit is one entry {path: "… 12 more fields"}. */
    struct kilter_value *fields;
    /* Unified diffs of all texts of several lines, one after the other with their paths; absent when none. */
    struct kilter_str text;
};

/* Either side may be NULL. All in the arena. KILTER_E_NOMEM. */
int kl_diff_make(struct kilter_arena *arena, const struct kilter_value *before, const struct kilter_value *after,
                 struct kl_diff *ret);

#endif
