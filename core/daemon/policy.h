/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h: which of a plan's changes happen now, which wait for a person, and
 * which are only reported.
 *
 * The one place where the rules of policies stand. Deciding is a pure function
 * of the plan and of what is said here; it writes each change's disposition
 * and nothing else.
 */
#ifndef KL_DAEMON_POLICY_H
#define KL_DAEMON_POLICY_H

#include "daemon/plan.h"
#include "daemon/state.h"
#include "manifest/manifest.h"

/* What the rules need to know beside the plan. */
struct kl_policy_facts {
    const struct kl_policy *policy;
    enum kl_trigger trigger;
    bool person_sync;       /* a person asked for this pass: `sync: manual` is satisfied */
    bool person_prune;      /* ... and for deleting what Git no longer has, this once */
    bool person_correct;    /* ... and for overwriting manual changes, this once */
    const char *approved;   /* digest of the plan that a person approved; NULL: none */
    bool allow_empty;       /* an empty render may prune */
    bool removal;           /* the app goes: what it owns is deleted or forgotten */
    bool renderer_changed;  /* same commit, but another version of the renderer made it */
    bool dependency_ready;  /* false: nothing that a commit brings may be applied yet */
    const char *dependency; /* the one that is not ready */
    bool rebuilt_inventory; /* the first prune after the inventory was rebuilt waits for a person */
};

enum kl_verdict {
    KL_VERDICT_NOTHING = 1, /* no change is to be applied */
    KL_VERDICT_APPLY,       /* those disposed APPLY are applied, and then all is done that may be */
    KL_VERDICT_WAIT,        /* as above, and those disposed ASK wait for a person or for something else */
};

struct kl_decision {
    enum kl_verdict verdict;
    enum kl_reason reason; /* why it waits, or what stands against being in sync */
    char message[512];
    size_t apply, ask, held, blocked; /* changes by disposition */
    size_t deletes;                   /* of those to be applied or asked for */
    size_t drifted;                   /* resources whose live state moved */
    size_t prunable;                  /* owned, gone from Git, and prune is off */
    size_t in_line;                   /* nothing to do */
};

void kl_policy_decide(struct kl_plan *plan, const struct kl_policy_facts *facts, struct kl_decision *ret);

#endif
