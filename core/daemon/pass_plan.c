/* SPDX-License-Identifier: Apache-2.0 */
/* From the inventory to the decision: what is owned, what is there, whose it is, and what the policy says. */
#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "daemon/pass.h"
#include "daemon/plugins.h"
#include "wire/jobs.h"

/* --- jobs on the target --------------------------------------------------------------- */
static int target_arguments(struct kl_pass *pass, struct kilter_arena *arena, struct kilter_value **ret,
                            struct kilter_error *err)
{
    struct kl_app_state *app = pass->app;
    const struct kl_target *target = app->def->target;
    struct kilter_value *map = kilter_map(arena), *about = NULL, *options = NULL;
    int rc = kl_pass_plugin(pass, arena, target->plugin, &about, err);
    if (rc == 0)
        rc = kl_secret_resolve_config(arena, kl_engine_plugin(app->engine, target->plugin->name)->schemas.target,
                                      target->options, &options, NULL, err);
    if (rc < 0)
        return rc;
    kilter_set(arena, map, "plugin", about);
    kilter_set(arena, map, "target", kilter_string(arena, target->name));
    if (options)
        kilter_set(arena, map, "options", options);
    if (target->allow)
        kilter_set(arena, map, "allow", kilter_value_copy(arena, target->allow));
    if (app->source && pass->commit.id[0]) {
        kilter_set(arena, map, "mirror", kilter_string_c(arena, app->source->mirror));
        kilter_set(arena, map, "commit", kilter_string_c(arena, pass->commit.id));
    }
    char *owner =
        kilter_arena_printf(arena, "%.*s/%s", KILTER_STR_ARG(app->engine->manifest->installation), app->name);
    kilter_set(arena, map, "owner", kilter_string_c(arena, owner));
    kilter_set(arena, map, "mode", kilter_string_c(arena, pass->destroy ? "destroy" : "sync"));
    kilter_set(arena, map, "thorough", kilter_bool(arena, pass->wish.thorough));
    *ret = map;
    return 0;
}

static struct kilter_value *json_value(struct kilter_arena *arena, struct kilter_str json)
{
    struct kilter_value *value = NULL;
    if (!json.len || kilter_json_read(arena, json, NULL, &value, NULL) < 0)
        return NULL;
    return value;
}

static struct kilter_value *record_value(struct kilter_arena *arena, const struct kl_owned *owned)
{
    struct kilter_record record = {
        .size = sizeof record,
        .id = owned->id,
        .claims = owned->claims,
        .claim_count = owned->claim_count,
        .status = owned->status,
        .schema_version = owned->schema_version,
        .attributes = json_value(arena, owned->attributes),
    };
    struct kilter_value *map = kl_record_value(arena, &record), *directives = json_value(arena, owned->directives);
    if (map && directives)
        kilter_set(arena, map, "directives", directives);
    return map;
}

/* The inventory as payloads, behind `first`; remembers which record went at which place. */
static int job_payloads(struct kl_pass *pass, struct kilter_arena *arena, const struct kl_payload *first,
                        size_t first_count, struct kl_payload **ret, size_t *ret_count)
{
    size_t most = kl_map_count(&pass->owned) + first_count + 1, count = first_count;
    struct kl_payload *payloads = kilter_arena_calloc(arena, most, sizeof *payloads);
    struct kl_owned **sent = realloc(pass->sent, most * sizeof(struct kl_owned *));
    if (sent)
        pass->sent = sent;
    if (!payloads || !sent)
        return KILTER_E_NOMEM;
    if (first_count)
        memcpy(payloads, first, first_count * sizeof *payloads);
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&pass->owned, &at, &key, &value);) {
        struct kl_owned *owned = value;
        if (owned->gone)
            continue;
        sent[count - first_count] = owned;
        payloads[count].value = record_value(arena, owned);
        if (!payloads[count++].value)
            return KILTER_E_NOMEM;
    }
    *ret = payloads;
    *ret_count = count;
    pass->sent_count = count - first_count;
    return 0;
}

static int submit_job(struct kl_pass *pass, struct kilter_arena *arena, const char *verb,
                      const struct kl_payload *first, size_t first_count, const struct kl_job_handler *handler,
                      struct kilter_error *err)
{
    const struct kl_target *target = pass->app->def->target;
    struct kilter_value *arguments;
    struct kl_payload *payloads;
    size_t count;
    int rc = target_arguments(pass, arena, &arguments, err);
    if (rc == 0 && (rc = job_payloads(pass, arena, first, first_count, &payloads, &count)) < 0)
        kilter_error_set(err, rc, "out of memory");
    if (rc < 0)
        return rc;
    struct kl_job_spec spec = {
        .role = KL_ROLE_APPLY,
        .key = target->name,
        .plugin = target->plugin->name,
        .verb = kilter_str_c(verb),
        .arguments = arguments,
        .payloads = payloads,
        .payload_count = count,
        .deadline_ms = pass->app->def->policy.timeout_ns / KL_NS_PER_MS,
        .priority = kl_pass_priority(pass),
        .max_parallel = target->concurrency,
        .handler = *handler,
        .data = pass,
    };
    return kl_pool_submit(pass->app->engine->pool, &spec, &pass->job, err);
}

int kl_pass_target_job(struct kl_pass *pass, const char *verb, const struct kl_payload *first, size_t first_count,
                       const struct kl_job_handler *handler, struct kilter_error *err)
{
    /* A pass may look at health many times: what a job is made of lives as long as its submission. */
    struct kilter_arena *arena = kilter_arena_new(0);
    if (!arena)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    int rc = submit_job(pass, arena, verb, first, first_count, handler, err);
    kilter_arena_free(arena);
    return rc;
}

/* --- deciding ----------------------------------------------------------------------------- */
/* Remembers when drift was first seen, and says so once. */
static void note_drift(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    struct kl_txn *txn = NULL;
    for (size_t i = 0; i < pass->plan->count; i++) {
        struct kl_planned *planned = &pass->plan->changes[i];
        bool drifted = planned->change.flags & KILTER_CHANGE_DRIFTED;
        struct kl_resource_note *note =
            drifted ? kl_app_note(app, planned->key) : kl_map_get(&app->notes, planned->key);
        if (!note)
            continue;
        bool news = drifted && !note->drift_since_ms && !pass->aside;
        note->drift_since_ms = !drifted ? 0 : note->drift_since_ms ? note->drift_since_ms : kl_clock_wall_ms();
        planned->drift_since_ms = note->drift_since_ms;
        if (!news)
            continue;
        struct kilter_buf id = KILTER_BUF_INIT(1024);
        kilter_id_format(&id, &planned->change.id);
        if (!txn)
            txn = kl_txn_new(app->engine->store);
        kl_engine_event(txn, app, "drifted", KL_WARNING, pass->wish.actor, NULL, "%s: %.*s", id.ptr ? id.ptr : "",
                        KILTER_STR_ARG(planned->change.reason));
        kilter_buf_release(&id);
    }
    if (txn)
        kl_engine_commit(app->engine, txn, KL_RELAXED);
}

/* Going back from a commit that did not become healthy: the policy said so beforehand. */
static bool rolls_back(const struct kl_pass *pass)
{
    const struct kl_app_state *app = pass->app;
    return app->last_bad.id[0] && strcmp(app->last_bad.id, kl_app_wanted(app)->id) == 0;
}

/* What this pass was asked to apply, or what a person approved earlier and is still the plan. */
static const char *approved_digest(const struct kl_pass *pass)
{
    const struct kl_app_state *app = pass->app;
    if (pass->wish.approve[0])
        return pass->wish.approve;
    return strcmp(app->approved, pass->plan->digest) == 0 ? app->approved : NULL;
}

static struct kl_policy_facts facts_of(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    char renderer[sizeof app->applied_renderer];
    bool person = pass->wish.trigger == KL_TRIGGER_PERSON;
    struct kl_policy_facts facts = {
        .policy = &app->def->policy,
        .trigger = pass->wish.trigger,
        .person_sync = (person && !pass->wish.approve[0]) || rolls_back(pass),
        .person_prune = pass->wish.prune,
        .person_correct = pass->wish.correct,
        .approved = approved_digest(pass),
        .allow_empty = app->def->allow_empty,
        .removal = pass->destroy,
        .dependency_ready = true,
        .rebuilt_inventory = app->rebuilt,
    };
    if (pass->artifact) {
        snprintf(renderer, sizeof renderer, "%s %s", pass->artifact->renderer, pass->artifact->version);
        pass->renderer_changed = app->applied_renderer[0] && strcmp(app->applied.id, pass->commit.id) == 0 &&
                                 strcmp(renderer, app->applied_renderer) != 0 &&
                                 strcmp(app->applied_digest, pass->artifact->digest) != 0;
        facts.renderer_changed = pass->renderer_changed;
    }
    if (!pass->destroy)
        facts.dependency_ready = kl_app_dependencies_ready(app, &facts.dependency);
    return facts;
}

enum kl_sync_state kl_pass_sync_state(const struct kl_pass *pass, bool in_line)
{
    if (!in_line)
        return KL_STATE_OUT_OF_SYNC;
    /* In line with an older commit: of the wanted one, that cannot be had, nothing is known. */
    bool wanted = strcmp(pass->commit.id, kl_app_wanted(pass->app)->id) == 0;
    return pass->repair && !wanted ? KL_STATE_UNKNOWN : KL_STATE_SYNCED;
}

/* The plan is what is shown of the app from now on. */
static void show_plan(struct kl_pass *pass)
{
    const struct kl_decision *decision = &pass->decision;
    struct kl_app_state *app = pass->app;
    bool in_sync = decision->apply + decision->ask + decision->held + decision->blocked == 0;
    kl_plan_free(app->plan);
    app->plan = pass->plan;
    pass->plan_shown = true;
    app->decision = *decision;
    app->plan_ms = kl_clock_wall_ms();
    app->sync = kl_pass_sync_state(pass, in_sync);
    kl_engine_touch(app->engine, app);
}

/* Whether a person rejected exactly this plan. */
static bool rejected(const struct kl_pass *pass)
{
    return pass->app->rejected[0] && strcmp(pass->app->rejected, pass->plan->digest) == 0;
}

/* What was approved is not what would be done now: nothing is done, and the new plan waits. */
static void void_approval(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    for (size_t i = 0; i < pass->plan->count; i++)
        if (pass->plan->changes[i].disposition == KL_DISPOSE_APPLY)
            pass->plan->changes[i].disposition = KL_DISPOSE_ASK;
    pass->decision.ask += pass->decision.apply;
    pass->decision.apply = 0;
    pass->decision.verdict = KL_VERDICT_WAIT;
    pass->decision.reason = KL_REASON_APPROVAL_REQUIRED;
    snprintf(pass->decision.message, sizeof pass->decision.message,
             "the approved plan %.12s does not fit any more: the commit or the target moved", pass->wish.approve);
    if (app->keep_after_removal) {
        app->removal = KL_REMOVAL_NONE;
        app->keep_after_removal = false;
    }
    struct kl_txn *txn = kl_txn_new(app->engine->store);
    kl_txn_void_approval(txn, app->id, kilter_str_c(pass->wish.approve));
    app->approved[0] = '\0';
    kl_engine_event(txn, app, "approvalVoid", KL_WARNING, pass->wish.actor, &pass->commit, "%s",
                    pass->decision.message);
    kl_engine_commit(app->engine, txn, KL_RELAXED);
}

static void mark_left_alone(struct kl_pass *pass)
{
    for (size_t i = 0; i < pass->plan->count; i++) {
        const struct kl_planned *planned = &pass->plan->changes[i];
        struct kl_owned *owned = kl_map_get(&pass->owned, planned->key);
        if (owned)
            owned->left_alone =
                planned->disposition != KL_DISPOSE_APPLY && planned->disposition != KL_DISPOSE_NOTHING;
    }
}

static void decide(struct kl_pass *pass)
{
    note_drift(pass);
    struct kl_policy_facts facts = facts_of(pass);
    kl_policy_decide(pass->plan, &facts, &pass->decision);
    if (pass->plan_done) {
        if (!pass->aside)
            show_plan(pass);
        kl_pass_end(pass, KL_RESULT_SUCCEEDED);
        return;
    }
    if (facts.approved && strcmp(facts.approved, pass->plan->digest) != 0)
        void_approval(pass);
    show_plan(pass);
    mark_left_alone(pass);
    kl_pass_step(pass, KL_PHASE_PLANNING, pass->decision.verdict == KL_VERDICT_WAIT ? "waiting" : "ok",
                 "%zu to apply, %zu waiting, %zu held, %zu blocked, %zu in line%s%s", pass->decision.apply,
                 pass->decision.ask, pass->decision.held, pass->decision.blocked, pass->decision.in_line,
                 pass->decision.message[0] ? ": " : "", pass->decision.message);
    if (pass->decision.verdict == KL_VERDICT_WAIT && rejected(pass)) {
        pass->decision.reason = KL_REASON_APPROVAL_REQUIRED;
        snprintf(pass->decision.message, sizeof pass->decision.message,
                 "this plan was rejected; another one is made when Git, the manifest or the target moves");
    }
    if (pass->decision.apply)
        kl_pass_apply_begin(pass);
    else
        kl_pass_health_begin(pass);
}

/* --- claims --------------------------------------------------------------------------------- */
static bool takes(const struct kl_planned *planned)
{
    return kl_verb_acts(planned->change.verb) && planned->change.verb != KILTER_VERB_DELETE &&
           planned->change.verb != KILTER_VERB_FORGET;
}

static struct kl_planned *planned_with_claim(struct kl_plan *plan, struct kilter_str claim)
{
    for (size_t i = 0; i < plan->count; i++)
        for (size_t c = 0; takes(&plan->changes[i]) && c < plan->changes[i].change.claim_count; c++)
            if (kilter_str_eq(plan->changes[i].change.claims[c], claim))
                return &plan->changes[i];
    return NULL;
}

/* Two resources of one plan that want the same thing: the second is refused. */
static void find_twins(struct kl_pass *pass)
{
    struct kl_map seen = KL_MAP_INIT;
    for (size_t i = 0; i < pass->plan->count; i++) {
        struct kl_planned *planned = &pass->plan->changes[i];
        bool wanted = takes(planned) || planned->change.verb == KILTER_VERB_NONE;
        for (size_t c = 0; wanted && c < planned->change.claim_count; c++) {
            const struct kl_planned *first = kl_map_get(&seen, planned->change.claims[c]);
            if (!first) {
                kl_map_put(&seen, planned->change.claims[c], planned, NULL);
            } else if (first != planned) {
                struct kilter_buf id = KILTER_BUF_INIT(1024);
                kilter_id_format(&id, &first->change.id);
                planned->rival =
                    kilter_arena_printf(pass->plan->arena, "%s' as '%s", pass->app->name, id.ptr ? id.ptr : "");
                kilter_buf_release(&id);
            }
        }
    }
    kl_map_release(&seen, NULL);
}

static void on_owners(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_pass *pass = data;
    if (kl_pass_stops(pass)) {
        kl_rows_free(rows);
        return;
    }
    if (err->code) {
        kl_pass_fail(pass, KL_REASON_PLAN_FAILED, true, NULL, NULL, "looking up who owns what: %s", err->message);
        return;
    }
    for (size_t i = 0; i < rows->owner_count; i++) {
        const struct kl_owner_row *owner = &rows->owners[i];
        if (owner->app == pass->app->id)
            continue;
        struct kl_planned *planned = planned_with_claim(pass->plan, owner->claim);
        if (planned)
            planned->rival = kilter_arena_printf(pass->plan->arena, "%.*s", KILTER_STR_ARG(owner->app_name));
    }
    kl_rows_free(rows);
    find_twins(pass);
    decide(pass);
}

static void find_owners(struct kl_pass *pass)
{
    size_t count = 0;
    for (size_t i = 0; i < pass->plan->count; i++)
        if (takes(&pass->plan->changes[i]))
            count += pass->plan->changes[i].change.claim_count;
    struct kilter_str *claims = kilter_arena_calloc(pass->arena, count ? count : 1, sizeof *claims);
    if (!claims) {
        kl_pass_fail(pass, KL_REASON_PLAN_FAILED, true, NULL, NULL, "out of memory");
        return;
    }
    if (count == 0) {
        find_twins(pass);
        decide(pass);
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < pass->plan->count; i++)
        for (size_t c = 0; takes(&pass->plan->changes[i]) && c < pass->plan->changes[i].change.claim_count; c++)
            claims[n++] = pass->plan->changes[i].change.claims[c];
    kl_store_find_owners(pass->app->engine->store, claims, count, on_owners, pass);
}

/* --- planning ---------------------------------------------------------------------------------- */
static void on_plan_item(void *data, const struct kilter_value *item, struct kilter_str encoded)
{
    struct kl_pass *pass = data;
    if (kilter_str_eq_c(kilter_get_text(item, "kind"), "change") && kl_plan_add(pass->plan, encoded) < 0)
        kl_job_cancel(pass->job);
}

/* What is owned is forgotten instead of deleted, when the app goes and its things stay. */
static void turn_into_forgetting(struct kl_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].change.verb != KILTER_VERB_FORGET)
            kl_plan_set_verb(plan, &plan->changes[i], KILTER_VERB_FORGET);
}

static void on_planned(void *data, const struct kl_job_outcome *outcome)
{
    struct kl_pass *pass = data;
    struct kl_app_state *app = pass->app;
    pass->job = NULL;
    if (kl_pass_stops(pass))
        return;
    if (outcome->status < 0) {
        kl_pass_fail_job(pass, KL_REASON_PLAN_FAILED, app->def->target->plugin->name.ptr, outcome);
        return;
    }
    struct kilter_str identity = kilter_get_text(outcome->done, "identity");
    snprintf(app->seen_identity, sizeof app->seen_identity, "%.*s", KILTER_STR_ARG(identity));
    if (app->identity[0] && !kilter_str_eq_c(identity, app->identity)) {
        kl_pass_fail(pass, KL_REASON_PLAN_FAILED, false, NULL, NULL,
                     "target '%s' is another system now: it was %s and is %.*s. Nothing is planned before you say "
                     "'kilter accept %s'",
                     app->def->target->name.ptr, app->identity, KILTER_STR_ARG(identity), app->name);
        return;
    }
    pass->plan->identity = kilter_arena_str(pass->plan->arena, identity);
    pass->plan->desired = pass->artifact ? pass->artifact->count : 0;
    pass->plan->recorded = kl_map_count(&pass->owned);
    if (pass->forget)
        turn_into_forgetting(pass->plan);
    if (kl_plan_seal(pass->plan, kilter_str_c(kl_store_info(app->engine->store)->lineage)) < 0) {
        kl_pass_fail(pass, KL_REASON_PLAN_FAILED, true, NULL, NULL, "the plan is too large");
        return;
    }
    find_owners(pass);
}

static int submit_plan(struct kl_pass *pass, struct kilter_error *err)
{
    static const struct kl_job_handler handler = { .on_item = on_plan_item, .on_done = on_planned };
    size_t count = pass->artifact ? pass->artifact->count : 0;
    struct kl_payload *resources = kilter_arena_calloc(pass->arena, count + 1, sizeof *resources);
    if (!resources)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        resources[i].encoded = pass->artifact->resources[i];
    return kl_pass_target_job(pass, "plan", resources, count, &handler, err);
}

static int take_record(struct kl_pass *pass, const struct kl_record_row *row)
{
    struct kilter_arena *arena = pass->arena;
    struct kl_owned *owned = kilter_arena_alloc(arena, sizeof *owned);
    struct kilter_str *claims = kilter_arena_calloc(arena, row->claim_count ? row->claim_count : 1, sizeof *claims);
    if (!owned || !claims)
        return KILTER_E_NOMEM;
    for (size_t i = 0; i < row->claim_count; i++)
        claims[i] = kilter_arena_str(arena, row->claims[i]);
    owned->id.api_version = kilter_arena_str(arena, row->id.api_version);
    owned->id.kind = kilter_arena_str(arena, row->id.kind);
    owned->id.name_space = kilter_arena_str(arena, row->id.name_space);
    owned->id.name = kilter_arena_str(arena, row->id.name);
    owned->key = kl_resource_key(arena, &owned->id);
    owned->claims = claims;
    owned->claim_count = row->claim_count;
    owned->status = owned->before = row->status;
    owned->claims_before = claims;
    owned->claim_count_before = row->claim_count;
    owned->schema_version = row->schema_version;
    owned->attributes = kilter_arena_str(arena, row->attributes);
    owned->directives = owned->directives_before = kilter_arena_str(arena, row->directives);
    owned->stored = true;
    return kl_map_put(&pass->owned, owned->key, owned, NULL);
}

static void on_records(void *data, const struct kilter_error *store_error, struct kl_rows *rows)
{
    struct kl_pass *pass = data;
    struct kilter_error err = KILTER_ERROR_INIT;
    if (kl_pass_stops(pass)) {
        kl_rows_free(rows);
        return;
    }
    if (store_error->code) {
        kl_pass_fail(pass, KL_REASON_PLAN_FAILED, true, NULL, NULL, "reading the inventory: %s",
                     store_error->message);
        return;
    }
    int rc = 0;
    for (size_t i = 0; i < rows->record_count && rc == 0; i++)
        rc = take_record(pass, &rows->records[i]);
    kl_rows_free(rows);
    pass->plan = rc == 0 ? kl_plan_new(kilter_str_c(pass->commit.id)) : NULL;
    if (!pass->plan)
        rc = kilter_error_set(&err, KILTER_E_NOMEM, "out of memory");
    else
        rc = submit_plan(pass, &err);
    if (rc < 0)
        kl_pass_fail(pass, KL_REASON_PLAN_FAILED, true, pass->app->def->target->plugin->name.ptr, NULL, "%s",
                     err.message);
}

void kl_pass_plan_begin(struct kl_pass *pass)
{
    kl_pass_phase(pass, KL_PHASE_PLANNING, "comparing %s with Git", pass->app->def->target->name.ptr);
    kl_store_list_records(pass->app->engine->store, pass->app->id, on_records, pass);
}
