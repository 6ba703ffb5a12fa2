/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h: one app's plan as the daemon holds it.
 *
 * A plan owns its arena; its changes are views into it. It is built from the
 * items of a plan job, decided on by policy.c, shown by the API and applied by
 * pass.c; it never changes after it was decided. Loop thread only.
 */
#ifndef KL_DAEMON_PLAN_H
#define KL_DAEMON_PLAN_H

#include <kilter/target.h>

/* What the policy makes of one change. */
enum kl_disposition {
    KL_DISPOSE_NOTHING = 1, /* in line already */
    KL_DISPOSE_APPLY,       /* to be applied */
    KL_DISPOSE_ASK,         /* to be applied once a person approved the plan */
    KL_DISPOSE_HOLD,        /* not applied under this policy: reported or counted only */
    KL_DISPOSE_BLOCKED,     /* cannot be applied: someone else's, or refused by the target */
};

struct kl_planned {
    struct kilter_change change;
    struct kilter_str key;      /* kl_resource_key of the change's id */
    struct kilter_value *value; /* the change as a map (wire/jobs.h), with diff and text */
    bool no_prune;
    int64_t drift_since_ms; /* when the drift was first seen; 0: never */
    const char *rival;      /* the app that owns one of its claims, in the plan's arena; NULL: none */
    enum kl_disposition disposition;
    const char *why; /* one line on the disposition, in the plan's arena; NULL when there is nothing to add */
};

struct kl_plan {
    struct kilter_arena *arena;
    struct kl_planned *changes;
    size_t count, capacity;
    struct kilter_str identity; /* of the target that was looked at */
    struct kilter_str commit;   /* hex */
    size_t desired;             /* resources that Git wants */
    size_t recorded;            /* records of the inventory when it was made */
    char digest[65];            /* of commit and changes: what an approval is bound to */
};

/* NULL when out of memory. */
struct kl_plan *kl_plan_new(struct kilter_str commit);
/* Takes NULL. */
void kl_plan_free(struct kl_plan *plan);
/* Adds a change from the bytes of its item: decoded anew, so that the handles of its contents live as long as the
 * plan. KILTER_E_INVALID when it is no change, KILTER_E_LIMIT beyond 1,000,000. */
int kl_plan_add(struct kl_plan *plan, struct kilter_str encoded);
/* Computes the digest once all changes are there. Secrets take part in clear: `key` is a secret of this
 * installation, so that nobody can try values until the digest fits. */
int kl_plan_seal(struct kl_plan *plan, struct kilter_str key);
/* Turns a change into one of another verb (a delete that only forgets), in the struct and in the map. */
int kl_plan_set_verb(struct kl_plan *plan, struct kl_planned *planned, enum kilter_verb verb);
/* Whether the verb takes the thing away: delete and replace. */
bool kl_verb_deletes(enum kilter_verb verb);
/* Whether applying the verb does anything at all, be it to the record only. */
bool kl_verb_acts(enum kilter_verb verb);
/* The canonical text of an id, the key of inventory and plan: "group/Kind/namespace/name". In the arena. */
struct kilter_str kl_resource_key(struct kilter_arena *arena, const struct kilter_id *id);

#endif
