/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <stdio.h>
#include <time.h>

/* What the plan as a whole asks of a person, collected while its changes are looked at. */
struct asks {
    size_t commit;   /* brought by a commit, under sync: manual */
    size_t conflict; /* a commit meets a manual change */
    size_t always;   /* of a sort that always asks */
    const struct kl_planned *first_conflict, *first_always, *first_blocked;
};

static bool drifted(const struct kilter_change *change)
{
    return change->flags & KILTER_CHANGE_DRIFTED;
}

/* Whether the change is there only because live moved: the repair of drift. */
static bool only_drift(const struct kilter_change *change)
{
    return drifted(change) && !(change->flags & (KILTER_CHANGE_WANTED | KILTER_CHANGE_UNOWNED)) &&
           change->verb != KILTER_VERB_DELETE;
}

static const char *drift_text(struct kl_plan *plan, const struct kl_planned *planned)
{
    char when[16] = "";
    if (planned->drift_since_ms) {
        time_t seconds = (time_t)(planned->drift_since_ms / 1000);
        struct tm tm;
        if (localtime_r(&seconds, &tm))
            strftime(when, sizeof when, " seen %H:%M", &tm);
    }
    struct kilter_str by = planned->change.drift_by;
    return by.len ? kilter_arena_printf(plan->arena, "undoes a manual change%s (%.*s)", when, KILTER_STR_ARG(by))
                  : kilter_arena_printf(plan->arena, "undoes a manual change%s", when);
}

/* Things that stand there already and are nobody's, or somebody else's. */
static enum kl_disposition dispose_unowned(struct kl_planned *planned, const struct kl_policy *policy)
{
    bool equal = planned->change.verb == KILTER_VERB_ADOPT;
    if (policy->adopt == KL_ADOPT_ALWAYS || (equal && policy->adopt == KL_ADOPT_IF_EQUAL))
        return KL_DISPOSE_APPLY;
    planned->why = equal ? "it is there already, and the policy says adopt: never"
                         : "it is there already and differs; adopt: always would overwrite it";
    return KL_DISPOSE_BLOCKED;
}

static enum kl_disposition dispose_delete(struct kl_plan *plan, struct kl_planned *planned,
                                          const struct kl_policy_facts *facts)
{
    const struct kl_policy *policy = facts->policy;
    if (planned->no_prune) {
        kl_plan_set_verb(plan, planned, KILTER_VERB_FORGET);
        planned->why = "kilter.dev/prune: disabled, so it is forgotten and stays";
        return KL_DISPOSE_APPLY;
    }
    if (facts->removal)
        return KL_DISPOSE_APPLY;
    if (plan->desired == 0 && !facts->allow_empty) {
        planned->why = "nothing was rendered, and the app does not say allowEmpty: true";
        return KL_DISPOSE_HOLD;
    }
    if (!policy->prune && !facts->person_prune) {
        planned->why = "not in Git any more; prune is off";
        return KL_DISPOSE_HOLD;
    }
    if (drifted(&planned->change) && policy->drift == KL_DRIFT_REPORT && !facts->person_correct) {
        planned->why = drift_text(plan, planned);
        return KL_DISPOSE_ASK;
    }
    return KL_DISPOSE_APPLY;
}

/* The disposition of one change by itself; what the plan as a whole must ask for comes after. */
static enum kl_disposition dispose(struct kl_plan *plan, struct kl_planned *planned,
                                   const struct kl_policy_facts *facts)
{
    struct kilter_change *change = &planned->change;
    const struct kl_policy *policy = facts->policy;
    if (planned->rival) {
        planned->why = kilter_arena_printf(plan->arena, "app '%s' owns it", planned->rival);
        return KL_DISPOSE_BLOCKED;
    }
    if (change->flags & KILTER_CHANGE_FOREIGN) {
        planned->why =
            kilter_arena_printf(plan->arena, "it carries the mark of %.*s", KILTER_STR_ARG(change->foreign_owner));
        return KL_DISPOSE_BLOCKED;
    }
    if (!kl_verb_acts(change->verb))
        return change->verb == KILTER_VERB_NONE ? KL_DISPOSE_NOTHING : KL_DISPOSE_BLOCKED;
    if (change->verb == KILTER_VERB_DELETE)
        return dispose_delete(plan, planned, facts);
    if (change->flags & KILTER_CHANGE_UNOWNED)
        return dispose_unowned(planned, policy);
    if (!drifted(change) || policy->drift == KL_DRIFT_CORRECT || facts->person_correct)
        return KL_DISPOSE_APPLY;
    if (only_drift(change)) {
        planned->why = policy->drift == KL_DRIFT_IGNORE ? "changed by hand; the policy ignores drift"
                                                        : "changed by hand; the policy only reports drift";
        return KL_DISPOSE_HOLD;
    }
    if (policy->drift == KL_DRIFT_IGNORE)
        return KL_DISPOSE_APPLY;
    planned->why = drift_text(plan, planned);
    return KL_DISPOSE_ASK;
}

static void collect(struct asks *asks, const struct kl_planned *planned, const struct kl_policy_facts *facts)
{
    const struct kilter_change *change = &planned->change;
    if (planned->disposition == KL_DISPOSE_BLOCKED && !asks->first_blocked)
        asks->first_blocked = planned;
    if (planned->disposition == KL_DISPOSE_ASK) {
        asks->conflict++;
        if (!asks->first_conflict)
            asks->first_conflict = planned;
    }
    if (planned->disposition != KL_DISPOSE_APPLY)
        return;
    if ((change->flags & KILTER_CHANGE_ASK) && kl_verb_deletes(change->verb)) {
        asks->always++;
        if (!asks->first_always)
            asks->first_always = planned;
    }
    if (facts->policy->sync == KL_SYNC_MANUAL && !facts->person_sync && !only_drift(change) && !facts->removal)
        asks->commit++;
}

/* Turns what would be applied into what waits; the repair of drift goes on when `keep_repairs`. */
static void hold_back(struct kl_plan *plan, bool keep_repairs)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct kl_planned *planned = &plan->changes[i];
        if (planned->disposition == KL_DISPOSE_APPLY && !(keep_repairs && only_drift(&planned->change)))
            planned->disposition = KL_DISPOSE_ASK;
    }
}

/* What is pruned goes only with a commit that can be applied whole. */
static void hold_prunes(struct kl_plan *plan)
{
    bool blocked = false;
    for (size_t i = 0; i < plan->count && !blocked; i++)
        blocked = plan->changes[i].disposition == KL_DISPOSE_BLOCKED &&
                  plan->changes[i].change.verb != KILTER_VERB_DELETE;
    for (size_t i = 0; blocked && i < plan->count; i++) {
        struct kl_planned *planned = &plan->changes[i];
        if (planned->disposition != KL_DISPOSE_APPLY || planned->change.verb != KILTER_VERB_DELETE)
            continue;
        planned->disposition = KL_DISPOSE_HOLD;
        planned->why = "not in Git any more; it goes once nothing of the commit is blocked";
    }
}

static void release(struct kl_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].disposition == KL_DISPOSE_ASK)
            plan->changes[i].disposition = KL_DISPOSE_APPLY;
}

static void count(const struct kl_plan *plan, struct kl_decision *ret)
{
    ret->apply = ret->ask = ret->held = ret->blocked = ret->deletes = 0;
    ret->drifted = ret->prunable = ret->in_line = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct kl_planned *planned = &plan->changes[i];
        bool goes = planned->disposition == KL_DISPOSE_APPLY || planned->disposition == KL_DISPOSE_ASK;
        ret->apply += planned->disposition == KL_DISPOSE_APPLY;
        ret->ask += planned->disposition == KL_DISPOSE_ASK;
        ret->held += planned->disposition == KL_DISPOSE_HOLD;
        ret->blocked += planned->disposition == KL_DISPOSE_BLOCKED;
        ret->in_line += planned->disposition == KL_DISPOSE_NOTHING;
        ret->deletes += goes && kl_verb_deletes(planned->change.verb);
        ret->drifted += drifted(&planned->change);
        ret->prunable += planned->disposition == KL_DISPOSE_HOLD && planned->change.verb == KILTER_VERB_DELETE;
    }
}

static void name_of(const struct kl_planned *planned, char *text, size_t size)
{
    struct kilter_buf buf = KILTER_BUF_INIT(size);
    kilter_id_format(&buf, &planned->change.id);
    snprintf(text, size, "%.*s", (int)buf.len, buf.ptr ? buf.ptr : "");
    kilter_buf_release(&buf);
}

/* "File/a, File/b and 10 more": what a plan would delete. */
static void name_deletes(const struct kl_plan *plan, size_t total, char *text, size_t size)
{
    size_t used = 0, named = 0;
    text[0] = '\0';
    for (size_t i = 0; i < plan->count && named < 3; i++) {
        const struct kl_planned *planned = &plan->changes[i];
        bool goes = planned->disposition == KL_DISPOSE_APPLY || planned->disposition == KL_DISPOSE_ASK;
        if (!goes || !kl_verb_deletes(planned->change.verb))
            continue;
        char name[96];
        name_of(planned, name, sizeof name);
        int n = snprintf(text + used, size - used, "%s%s", named ? ", " : "", name);
        if (n < 0 || (size_t)n >= size - used)
            break;
        used += (size_t)n;
        named++;
    }
    if (named < total)
        snprintf(text + used, size - used, " and %zu more", total - named);
}

/* Whether the policy's limit lets this many deletions pass; says why not. */
static bool within_limits(const struct kl_plan *plan, const struct kl_policy_facts *facts, size_t deletes,
                          struct kl_decision *ret)
{
    char names[320];
    if (deletes == 0)
        return true;
    name_deletes(plan, deletes, names, sizeof names);
    if (facts->rebuilt_inventory) {
        snprintf(ret->message, sizeof ret->message,
                 "the inventory was rebuilt, so the first prune waits: %zu would be deleted: %s", deletes, names);
        return false;
    }
    if (kl_policy_allows_deletes(facts->policy, deletes, plan->recorded))
        return true;
    snprintf(ret->message, sizeof ret->message, "%zu would be deleted, maxDeletes is %u%s: %s", deletes,
             facts->policy->max_deletes.value, facts->policy->max_deletes.percent ? "%" : "", names);
    return false;
}

static void wait_for(struct kl_decision *ret, enum kl_reason reason)
{
    ret->verdict = KL_VERDICT_WAIT;
    ret->reason = reason;
}

/* Decides whether the plan as a whole must wait, in the order of what a person most needs to know. */
static void ask(struct kl_plan *plan, const struct kl_policy_facts *facts, const struct asks *asks,
                struct kl_decision *ret)
{
    char name[96];
    bool correct = facts->policy->drift == KL_DRIFT_CORRECT || facts->person_correct;
    if (!facts->dependency_ready) {
        wait_for(ret, KL_REASON_DEPENDENCY_NOT_READY);
        snprintf(ret->message, sizeof ret->message, "waits for %s", facts->dependency);
        hold_back(plan, correct);
    } else if (asks->conflict) {
        wait_for(ret, KL_REASON_DRIFT_CONFLICT);
        name_of(asks->first_conflict, name, sizeof name);
        snprintf(ret->message, sizeof ret->message, "%s: %s", name, asks->first_conflict->why);
        if (asks->conflict > 1)
            snprintf(ret->message + strlen(ret->message), sizeof ret->message - strlen(ret->message),
                     ", and %zu more", asks->conflict - 1);
        hold_back(plan, false);
    } else if (asks->always) {
        wait_for(ret, KL_REASON_DELETE_LIMIT);
        name_of(asks->first_always, name, sizeof name);
        snprintf(ret->message, sizeof ret->message, "deleting %s always asks", name);
        hold_back(plan, correct);
    } else if (!within_limits(plan, facts, ret->deletes, ret)) {
        wait_for(ret, KL_REASON_DELETE_LIMIT);
        hold_back(plan, correct);
    } else if (asks->commit) {
        wait_for(ret, facts->renderer_changed ? KL_REASON_RENDERER_CHANGED : KL_REASON_APPROVAL_REQUIRED);
        snprintf(ret->message, sizeof ret->message, "%zu change%s for approval%s", asks->commit,
                 asks->commit == 1 ? " waits" : "s wait",
                 facts->renderer_changed ? ": another version of the renderer made them" : "");
        hold_back(plan, correct);
    }
}

static void name_blocked(const struct kl_planned *planned, struct kl_decision *ret)
{
    char name[96];
    name_of(planned, name, sizeof name);
    bool owned = planned->rival || (planned->change.flags & (KILTER_CHANGE_FOREIGN | KILTER_CHANGE_UNOWNED));
    ret->reason = owned ? KL_REASON_OWNERSHIP_CONFLICT : KL_REASON_PLAN_FAILED;
    if (planned->why)
        snprintf(ret->message, sizeof ret->message, "%s: %s", name, planned->why);
    else
        snprintf(ret->message, sizeof ret->message, "%s: %.*s", name, KILTER_STR_ARG(planned->change.reason));
}

void kl_policy_decide(struct kl_plan *plan, const struct kl_policy_facts *facts, struct kl_decision *ret)
{
    struct asks asks = { 0 };
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < plan->count; i++) {
        struct kl_planned *planned = &plan->changes[i];
        planned->why = NULL;
        planned->disposition = dispose(plan, planned, facts);
    }
    if (!facts->removal)
        hold_prunes(plan);
    for (size_t i = 0; i < plan->count; i++)
        collect(&asks, &plan->changes[i], facts);
    count(plan, ret);
    bool brings = false; /* anything that a commit brings, as against repairs */
    for (size_t i = 0; i < plan->count; i++)
        brings |=
            (plan->changes[i].disposition == KL_DISPOSE_APPLY || plan->changes[i].disposition == KL_DISPOSE_ASK) &&
            !only_drift(&plan->changes[i].change);
    ret->verdict = KL_VERDICT_APPLY;
    bool approved = facts->approved && strcmp(facts->approved, plan->digest) == 0;
    if (approved && facts->dependency_ready)
        release(plan);
    else if (brings)
        ask(plan, facts, &asks, ret);
    count(plan, ret);
    if (ret->verdict == KL_VERDICT_APPLY && ret->apply == 0)
        ret->verdict = KL_VERDICT_NOTHING;
    if (ret->reason == KL_REASON_NONE && asks.first_blocked)
        name_blocked(asks.first_blocked, ret);
}
