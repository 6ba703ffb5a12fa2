/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of policies, a test for each sentence. */
#include "daemon/policy.h"

#include <check.h>
#include <stdlib.h>

#include "wire/codec.h"
#include "wire/jobs.h"

static struct kilter_arena *arena;
static struct kl_plan *plan;
static struct kl_policy policy;
static struct kl_policy_facts facts;
static struct kl_decision decision;

static void setup(void)
{
    arena = kilter_arena_new(0);
    plan = kl_plan_new(KILTER_STR("0123456789012345678901234567890123456789"));
    plan->desired = 1;
    policy = (struct kl_policy){ .max_deletes = { false, 10 } };
    facts = (struct kl_policy_facts){ .policy = &policy, .trigger = KL_TRIGGER_COMMIT, .dependency_ready = true };
}

static void teardown(void)
{
    kl_plan_free(plan);
    kilter_arena_free(arena);
}

static void take(struct kl_plan *to, const struct kilter_value *value)
{
    struct kilter_buf bytes = KILTER_BUF_INIT(1u << 20);
    ck_assert_int_eq(kl_value_encode(&bytes, value), 0);
    ck_assert_int_eq(kl_plan_add(to, kilter_buf_view(&bytes)), 0);
    kilter_buf_release(&bytes);
}

static struct kl_planned *add(enum kilter_verb verb, uint32_t flags)
{
    struct kilter_change change = {
        .size = sizeof change,
        .verb = verb,
        .flags = flags,
        .id = { KILTER_STR("file.kilter.dev/v1"), KILTER_STR("File"), KILTER_STR(""),
                kilter_str_c(kilter_arena_printf(arena, "f%zu", plan->count)) },
        .reason = KILTER_STR("because"),
    };
    take(plan, kl_change_value(arena, &change));
    plan->recorded = plan->count;
    return &plan->changes[plan->count - 1];
}

static enum kl_verdict decide(void)
{
    ck_assert_int_eq(kl_plan_seal(plan, KILTER_STR("key")), 0);
    kl_policy_decide(plan, &facts, &decision);
    return decision.verdict;
}

static enum kl_disposition disposition(size_t index)
{
    return plan->changes[index].disposition;
}

START_TEST(sync_auto_applies_what_a_commit_brings)
{
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED);
    add(KILTER_VERB_NONE, 0);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_uint_eq(decision.apply, 1);
    ck_assert_uint_eq(decision.in_line, 1);
}
END_TEST

START_TEST(sync_manual_makes_a_plan_that_waits)
{
    policy.sync = KL_SYNC_MANUAL;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_APPROVAL_REQUIRED);
    ck_assert_uint_eq(decision.apply, 0);
}
END_TEST

START_TEST(sync_manual_is_satisfied_by_a_persons_sync)
{
    policy.sync = KL_SYNC_MANUAL;
    facts.person_sync = true;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
}
END_TEST

START_TEST(an_approval_lets_exactly_the_plan_of_its_digest_go)
{
    policy.sync = KL_SYNC_MANUAL;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    char digest[65];
    memcpy(digest, plan->digest, sizeof digest);
    facts.approved = digest;
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
}
END_TEST

START_TEST(sync_manual_still_repairs_drift_under_correct)
{
    policy.sync = KL_SYNC_MANUAL;
    policy.drift = KL_DRIFT_CORRECT;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_WANTED);
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(disposition(0), KL_DISPOSE_ASK);
    ck_assert_int_eq(disposition(1), KL_DISPOSE_APPLY);
}
END_TEST

START_TEST(drift_report_leaves_alone_what_drifted_and_the_commit_does_not_touch)
{
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED);
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_int_eq(disposition(0), KL_DISPOSE_HOLD);
    ck_assert_int_eq(disposition(1), KL_DISPOSE_APPLY);
    ck_assert_uint_eq(decision.drifted, 1);
}
END_TEST

START_TEST(drift_report_waits_when_a_commit_changes_a_drifted_resource)
{
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED | KILTER_CHANGE_WANTED)->drift_since_ms = 1;
    plan->changes[0].change.drift_by = KILTER_STR("kubectl-edit");
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_DRIFT_CONFLICT);
    ck_assert_uint_eq(decision.apply, 0);
    ck_assert_ptr_nonnull(strstr(plan->changes[0].why, "undoes a manual change seen "));
    ck_assert_ptr_nonnull(strstr(plan->changes[0].why, "(kubectl-edit)"));
}
END_TEST

START_TEST(a_persons_sync_does_not_undo_a_hotfix_by_itself)
{
    facts.person_sync = true;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED | KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    facts.person_correct = true;
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
}
END_TEST

START_TEST(drift_correct_overwrites)
{
    policy.drift = KL_DRIFT_CORRECT;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED);
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED | KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_uint_eq(decision.apply, 2);
}
END_TEST

START_TEST(drift_ignore_counts_it)
{
    policy.drift = KL_DRIFT_IGNORE;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED);
    ck_assert_int_eq(decide(), KL_VERDICT_NOTHING);
    ck_assert_uint_eq(decision.drifted, 1);
}
END_TEST

START_TEST(prune_off_counts_what_would_go)
{
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_NOTHING);
    ck_assert_uint_eq(decision.prunable, 1);
    ck_assert_uint_eq(decision.deletes, 0);
}
END_TEST

START_TEST(prune_deletes_up_to_the_limit)
{
    policy.prune = true;
    for (int i = 0; i < 10; i++)
        add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_uint_eq(decision.deletes, 10);
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_DELETE_LIMIT);
    ck_assert_str_eq(decision.message,
                     "11 would be deleted, maxDeletes is 10: File/f0, File/f1, File/f2 and 8 more");
}
END_TEST

START_TEST(replacements_count_as_deletions)
{
    policy.max_deletes.value = 0;
    add(KILTER_VERB_REPLACE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_DELETE_LIMIT);
}
END_TEST

START_TEST(a_percentage_counts_above_five_deletions)
{
    policy.prune = true;
    policy.max_deletes.percent = true;
    policy.max_deletes.value = 5;
    for (int i = 0; i < 5; i++)
        add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    plan->recorded = 200;
    kl_policy_decide(plan, &facts, &decision);
    ck_assert_int_eq(decision.verdict, KL_VERDICT_APPLY);
}
END_TEST

START_TEST(whole_directories_always_ask)
{
    policy.prune = true;
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED | KILTER_CHANGE_ASK);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_DELETE_LIMIT);
}
END_TEST

START_TEST(an_empty_render_never_prunes_unless_the_app_says_so)
{
    policy.prune = true;
    plan->desired = 0;
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_NOTHING);
    facts.allow_empty = true;
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
}
END_TEST

START_TEST(what_says_prune_disabled_is_forgotten_instead)
{
    policy.prune = true;
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED)->no_prune = true;
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_int_eq(plan->changes[0].change.verb, KILTER_VERB_FORGET);
    ck_assert_uint_eq(decision.deletes, 0);
}
END_TEST

START_TEST(nothing_is_pruned_while_something_of_the_commit_is_blocked)
{
    policy.prune = true;
    add(KILTER_VERB_BLOCKED, KILTER_CHANGE_WANTED);
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_int_eq(disposition(1), KL_DISPOSE_HOLD);
    ck_assert_int_eq(disposition(2), KL_DISPOSE_APPLY);
}
END_TEST

START_TEST(an_apps_removal_counts_as_deletion)
{
    facts.removal = true;
    plan->desired = 0;
    for (int i = 0; i < 11; i++)
        add(KILTER_VERB_DELETE, 0);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_DELETE_LIMIT);
}
END_TEST

START_TEST(the_first_prune_after_a_rebuilt_inventory_waits)
{
    policy.prune = true;
    facts.rebuilt_inventory = true;
    add(KILTER_VERB_DELETE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_ptr_nonnull(strstr(decision.message, "the inventory was rebuilt"));
}
END_TEST

START_TEST(adopt_if_equal_takes_what_is_equal_and_refuses_what_differs)
{
    add(KILTER_VERB_ADOPT, KILTER_CHANGE_UNOWNED | KILTER_CHANGE_WANTED);
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_UNOWNED | KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_int_eq(disposition(0), KL_DISPOSE_APPLY);
    ck_assert_int_eq(disposition(1), KL_DISPOSE_BLOCKED);
    ck_assert_int_eq(decision.reason, KL_REASON_OWNERSHIP_CONFLICT);
}
END_TEST

START_TEST(adopt_always_overwrites)
{
    policy.adopt = KL_ADOPT_ALWAYS;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_UNOWNED | KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
}
END_TEST

START_TEST(adopt_never_takes_nothing)
{
    policy.adopt = KL_ADOPT_NEVER;
    add(KILTER_VERB_ADOPT, KILTER_CHANGE_UNOWNED | KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_NOTHING);
    ck_assert_int_eq(disposition(0), KL_DISPOSE_BLOCKED);
}
END_TEST

START_TEST(another_owners_mark_is_respected_whatever_adopt_says)
{
    policy.adopt = KL_ADOPT_ALWAYS;
    struct kl_planned *planned = add(KILTER_VERB_UPDATE, KILTER_CHANGE_FOREIGN | KILTER_CHANGE_UNOWNED);
    planned->change.foreign_owner = KILTER_STR("other/app");
    decide();
    ck_assert_int_eq(disposition(0), KL_DISPOSE_BLOCKED);
    ck_assert_ptr_nonnull(strstr(decision.message, "other/app"));
}
END_TEST

START_TEST(a_claim_of_another_app_is_refused_and_both_are_named)
{
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED)->rival = "edge-base";
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_APPLY);
    ck_assert_int_eq(disposition(0), KL_DISPOSE_BLOCKED);
    ck_assert_int_eq(disposition(1), KL_DISPOSE_APPLY);
    ck_assert_str_eq(decision.message, "File/f0: app 'edge-base' owns it");
}
END_TEST

START_TEST(a_dependency_that_is_not_ready_holds_back_commits_and_never_repairs)
{
    policy.drift = KL_DRIFT_CORRECT;
    facts.dependency_ready = false;
    facts.dependency = "namespaces@prod";
    add(KILTER_VERB_CREATE, KILTER_CHANGE_WANTED);
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_DRIFTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_DEPENDENCY_NOT_READY);
    ck_assert_int_eq(disposition(0), KL_DISPOSE_ASK);
    ck_assert_int_eq(disposition(1), KL_DISPOSE_APPLY);
}
END_TEST

START_TEST(a_changed_renderer_goes_through_policy_like_a_commit)
{
    policy.sync = KL_SYNC_MANUAL;
    facts.renderer_changed = true;
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_WANTED);
    ck_assert_int_eq(decide(), KL_VERDICT_WAIT);
    ck_assert_int_eq(decision.reason, KL_REASON_RENDERER_CHANGED);
}
END_TEST

START_TEST(the_digest_moves_with_commit_and_changes_and_with_nothing_else)
{
    add(KILTER_VERB_UPDATE, KILTER_CHANGE_WANTED);
    kl_plan_seal(plan, KILTER_STR("key"));
    struct kl_plan *other = kl_plan_new(plan->commit);
    take(other, plan->changes[0].value);
    other->changes[0].drift_since_ms = 42;
    kl_plan_seal(other, KILTER_STR("key"));
    ck_assert_str_eq(plan->digest, other->digest);
    kl_plan_set_verb(other, &other->changes[0], KILTER_VERB_REPLACE);
    kl_plan_seal(other, KILTER_STR("key"));
    ck_assert_str_ne(plan->digest, other->digest);
    kl_plan_free(other);
    other = kl_plan_new(KILTER_STR("9999999999999999999999999999999999999999"));
    take(other, plan->changes[0].value);
    kl_plan_seal(other, KILTER_STR("key"));
    ck_assert_str_ne(plan->digest, other->digest);
    kl_plan_free(other);
}
END_TEST

Suite *policy_suite(void);

Suite *policy_suite(void)
{
    Suite *suite = suite_create("policy");
    TCase *tcase = tcase_create("rules");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, sync_auto_applies_what_a_commit_brings);
    tcase_add_test(tcase, sync_manual_makes_a_plan_that_waits);
    tcase_add_test(tcase, sync_manual_is_satisfied_by_a_persons_sync);
    tcase_add_test(tcase, an_approval_lets_exactly_the_plan_of_its_digest_go);
    tcase_add_test(tcase, sync_manual_still_repairs_drift_under_correct);
    tcase_add_test(tcase, drift_report_leaves_alone_what_drifted_and_the_commit_does_not_touch);
    tcase_add_test(tcase, drift_report_waits_when_a_commit_changes_a_drifted_resource);
    tcase_add_test(tcase, a_persons_sync_does_not_undo_a_hotfix_by_itself);
    tcase_add_test(tcase, drift_correct_overwrites);
    tcase_add_test(tcase, drift_ignore_counts_it);
    tcase_add_test(tcase, prune_off_counts_what_would_go);
    tcase_add_test(tcase, prune_deletes_up_to_the_limit);
    tcase_add_test(tcase, replacements_count_as_deletions);
    tcase_add_test(tcase, a_percentage_counts_above_five_deletions);
    tcase_add_test(tcase, whole_directories_always_ask);
    tcase_add_test(tcase, an_empty_render_never_prunes_unless_the_app_says_so);
    tcase_add_test(tcase, what_says_prune_disabled_is_forgotten_instead);
    tcase_add_test(tcase, nothing_is_pruned_while_something_of_the_commit_is_blocked);
    tcase_add_test(tcase, an_apps_removal_counts_as_deletion);
    tcase_add_test(tcase, the_first_prune_after_a_rebuilt_inventory_waits);
    tcase_add_test(tcase, adopt_if_equal_takes_what_is_equal_and_refuses_what_differs);
    tcase_add_test(tcase, adopt_always_overwrites);
    tcase_add_test(tcase, adopt_never_takes_nothing);
    tcase_add_test(tcase, another_owners_mark_is_respected_whatever_adopt_says);
    tcase_add_test(tcase, a_claim_of_another_app_is_refused_and_both_are_named);
    tcase_add_test(tcase, a_dependency_that_is_not_ready_holds_back_commits_and_never_repairs);
    tcase_add_test(tcase, a_changed_renderer_goes_through_policy_like_a_commit);
    tcase_add_test(tcase, the_digest_moves_with_commit_and_changes_and_with_nothing_else);
    suite_add_tcase(suite, tcase);
    return suite;
}
