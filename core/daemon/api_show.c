/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's things as the API shows them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/api_private.h"
#include "wire/jobs.h"

/* --- members ---------------------------------------------------------------------------------- */
void kl_put(struct kilter_arena *arena, struct kilter_value *map, const char *key, const char *text)
{
    if (text && text[0])
        kilter_set(arena, map, key, kilter_string_c(arena, text));
}

void kl_put_str(struct kilter_arena *arena, struct kilter_value *map, const char *key, struct kilter_str text)
{
    if (text.len)
        kilter_set(arena, map, key, kilter_string(arena, text));
}

void kl_put_int(struct kilter_arena *arena, struct kilter_value *map, const char *key, int64_t number)
{
    kilter_set(arena, map, key, kilter_int(arena, number));
}

void kl_put_time(struct kilter_arena *arena, struct kilter_value *map, const char *key, int64_t wall_ms)
{
    char text[32];
    if (wall_ms)
        kl_put(arena, map, key, kl_clock_format(wall_ms, text));
}

struct kilter_str kl_show_id(struct kilter_arena *arena, const struct kilter_id *id)
{
    struct kilter_buf buf = KILTER_BUF_INIT(4096);
    kilter_id_format(&buf, id);
    struct kilter_str text = kilter_arena_str(arena, kilter_buf_view(&buf));
    kilter_buf_release(&buf);
    return text;
}

void kl_put_id(struct kilter_arena *arena, struct kilter_value *map, const struct kilter_id *id)
{
    kl_put_str(arena, map, "id", kl_show_id(arena, id));
    kl_put_str(arena, map, "apiVersion", id->api_version);
    kl_put_str(arena, map, "kind", id->kind);
    kl_put_str(arena, map, "namespace", id->name_space);
    kl_put_str(arena, map, "name", id->name);
}

static void put_duration(struct kilter_arena *arena, struct kilter_value *map, const char *key, int64_t ns)
{
    char text[32];
    kl_put(arena, map, key, kilter_format_duration(ns, text));
}

static struct kilter_value *strings(struct kilter_arena *arena, const struct kilter_str *items, size_t count)
{
    struct kilter_value *list = kilter_list(arena);
    for (size_t i = 0; i < count; i++)
        kilter_list_add(arena, list, kilter_string(arena, items[i]));
    return list;
}

/* --- commits, sources ---------------------------------------------------------------------------- */
struct kilter_value *kl_show_commit(struct kilter_arena *arena, const struct kl_commit *commit)
{
    struct kilter_value *map = kilter_map(arena);
    kl_put(arena, map, "id", commit->id);
    kl_put(arena, map, "author", commit->author);
    kl_put(arena, map, "email", commit->email);
    kl_put_time(arena, map, "time", commit->time * 1000);
    kl_put(arena, map, "subject", commit->subject);
    return map;
}

static void put_commit(struct kilter_arena *arena, struct kilter_value *map, const char *key,
                       const struct kl_commit *commit)
{
    if (commit->id[0])
        kilter_set(arena, map, key, kl_show_commit(arena, commit));
}

struct kilter_value *kl_show_source(struct kilter_arena *arena, const struct kl_source_state *source)
{
    struct kilter_value *map = kilter_map(arena);
    const char *state = source->job            ? "Fetching"
                        : source->error[0]     ? "Failed"
                        : source->commit.id[0] ? "Ready"
                                               : "Unknown";
    int64_t apps = 0;
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&source->engine->apps, &at, &key, &value);)
        apps += ((const struct kl_app_state *)value)->source == source;
    kl_put(arena, map, "name", source->name);
    kl_put_str(arena, map, "url", source->def->url);
    kl_put(arena, map, "ref",
           kilter_arena_printf(arena, "%s %.*s", kl_ref_kind_word(source->def->ref_kind),
                               KILTER_STR_ARG(source->def->ref)));
    kl_put(arena, map, "state", state);
    put_commit(arena, map, "commit", &source->commit);
    kl_put(arena, map, "refName", source->ref_name);
    kl_put_time(arena, map, "fetched", source->fetched_ms);
    kl_put_time(arena, map, "nextPoll", source->next_ms);
    kl_put(arena, map, "message", source->error);
    if (source->failures)
        kl_put_int(arena, map, "failures", source->failures);
    kl_put_int(arena, map, "apps", apps);
    return map;
}

/* --- apps ------------------------------------------------------------------------------------------ */
static struct kilter_value *show_policy(struct kilter_arena *arena, const struct kl_policy *policy)
{
    struct kilter_value *map = kilter_map(arena);
    kl_put_str(arena, map, "name", policy->name);
    kl_put(arena, map, "sync", kl_sync_word(policy->sync));
    kl_put(arena, map, "drift", kl_drift_word(policy->drift));
    kilter_set(arena, map, "prune", kilter_bool(arena, policy->prune));
    kl_put(arena, map, "maxDeletes",
           kilter_arena_printf(arena, "%u%s", policy->max_deletes.value, policy->max_deletes.percent ? "%" : ""));
    kl_put(arena, map, "adopt", kl_adopt_word(policy->adopt));
    kl_put(arena, map, "onRemove", kl_on_remove_word(policy->on_remove));
    kl_put(arena, map, "onUnhealthy", kl_on_unhealthy_word(policy->on_unhealthy));
    put_duration(arena, map, "driftInterval", policy->drift_interval_ns);
    put_duration(arena, map, "timeout", policy->timeout_ns);
    return map;
}

static const char *resource_state(const struct kl_planned *planned)
{
    const struct kilter_change *change = &planned->change;
    if (planned->disposition == KL_DISPOSE_BLOCKED)
        return "Blocked";
    if (change->verb == KILTER_VERB_NONE)
        return "Synced";
    if (change->verb == KILTER_VERB_DELETE || change->verb == KILTER_VERB_FORGET)
        return "Prunable";
    if (change->verb == KILTER_VERB_CREATE)
        return "Missing";
    return change->flags & KILTER_CHANGE_DRIFTED ? "Drifted" : "OutOfSync";
}

/* After an apply, what was applied is in line though the plan is the one from before. */
static bool applied_since(const struct kl_app_state *app, const struct kl_planned *planned)
{
    if (planned->disposition != KL_DISPOSE_APPLY || (app->pass && !app->pass->plan_done))
        return false;
    const struct kl_resource_note *note = kl_map_get(&app->notes, planned->key);
    bool gone = planned->change.verb == KILTER_VERB_DELETE || planned->change.verb == KILTER_VERB_FORGET;
    return gone ? !note : note && (note->result == KILTER_RESULT_DONE || note->result == KILTER_RESULT_UNCHANGED);
}

static struct kilter_value *show_counts(struct kilter_arena *arena, const struct kl_app_state *app)
{
    struct kilter_value *map = kilter_map(arena);
    int64_t total = 0, synced = 0, drifted = 0, missing = 0, prunable = 0, failed = 0, healthy = 0;
    for (size_t i = 0; app->plan && i < app->plan->count; i++) {
        const struct kl_planned *planned = &app->plan->changes[i];
        const char *state = resource_state(planned);
        bool goes = strcmp(state, "Prunable") == 0;
        if (applied_since(app, planned)) {
            total += !goes;
            synced += !goes;
            continue;
        }
        total++;
        synced += strcmp(state, "Synced") == 0;
        drifted += (planned->change.flags & KILTER_CHANGE_DRIFTED) != 0;
        missing += strcmp(state, "Missing") == 0;
        prunable += goes;
        failed += strcmp(state, "Blocked") == 0;
    }
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&app->notes, &at, &key, &value);)
        healthy += ((const struct kl_resource_note *)value)->health == KILTER_HEALTHY;
    kl_put_int(arena, map, "total", total);
    kl_put_int(arena, map, "synced", synced);
    if (drifted)
        kl_put_int(arena, map, "drifted", drifted);
    if (missing)
        kl_put_int(arena, map, "missing", missing);
    if (prunable)
        kl_put_int(arena, map, "prunable", prunable);
    if (failed)
        kl_put_int(arena, map, "failed", failed);
    kl_put_int(arena, map, "healthy", healthy);
    return map;
}

static void put_error(struct kilter_arena *arena, struct kilter_value *map, const struct kl_app_state *app)
{
    if (!app->error.message[0])
        return;
    struct kilter_value *error = kilter_map(arena);
    kl_put_time(arena, error, "time", app->error.time_ms);
    kl_put(arena, error, "reason", kl_reason_word(app->error.reason));
    kl_put(arena, error, "message", app->error.message);
    kl_put(arena, error, "plugin", app->error.plugin);
    if (app->diags && kilter_diags_count(app->diags))
        kilter_set(arena, error, "diagnostics", kl_http_diags_value(arena, app->diags));
    kilter_set(arena, map, "lastError", error);
}

static void put_holds(struct kilter_arena *arena, struct kilter_value *map, const struct kl_app_state *app)
{
    if (app->pin.commit.id[0]) {
        struct kilter_value *pinned = kilter_map(arena);
        kl_put(arena, pinned, "commit", app->pin.commit.id);
        kl_put(arena, pinned, "by", app->pin.by);
        kl_put(arena, pinned, "reason", app->pin.reason);
        kl_put_time(arena, pinned, "since", app->pin.since_ms);
        kilter_set(arena, map, "pinned", pinned);
    }
    if (app->suspension.on) {
        struct kilter_value *suspended = kilter_map(arena);
        kl_put_time(arena, suspended, "since", app->suspension.since_ms);
        kl_put_time(arena, suspended, "until", app->suspension.until_ms);
        kl_put(arena, suspended, "by", app->suspension.by);
        kl_put(arena, suspended, "reason", app->suspension.reason);
        kilter_set(arena, map, "suspended", suspended);
    }
}

static void put_definition(struct kilter_arena *arena, struct kilter_value *map, const struct kl_app_state *app)
{
    const struct kl_app *def = app->def;
    kl_put(arena, map, "source", def && def->source ? def->source->name.ptr : "");
    kilter_set(arena, map, "path", kilter_string(arena, def && def->path.ptr ? def->path : KILTER_STR("")));
    kl_put(arena, map, "target", def ? def->target->name.ptr : "");
    const char *renderer = app->artifact              ? app->artifact->renderer
                           : def && def->renderer.len ? def->renderer.ptr
                                                      : "";
    kilter_set(arena, map, "renderer", kilter_string_c(arena, renderer));
    if (def)
        kilter_set(arena, map, "policy", show_policy(arena, &def->policy));
    if (!def || !def->depends_count)
        return;
    struct kilter_value *list = kilter_list(arena);
    for (size_t i = 0; i < def->depends_count; i++)
        kilter_list_add(arena, list, kilter_string(arena, def->depends_on[i]->name));
    kilter_set(arena, map, "dependsOn", list);
}

struct kilter_value *kl_show_app(struct kilter_arena *arena, const struct kl_app_state *app)
{
    struct kilter_value *map = kilter_map(arena);
    kl_put(arena, map, "name", app->name);
    if (app->def)
        kl_put_str(arena, map, "environment", app->def->environment);
    kl_put_int(arena, map, "revision", app->revision);
    put_definition(arena, map, app);
    kl_put(arena, map, "sync", kl_sync_state_word(app->sync));
    kl_put(arena, map, "health", kl_health_state(app->health));
    kl_put(arena, map, "phase", kl_phase_word(app->phase));
    kl_put(arena, map, "reason", kl_reason_word(app->reason));
    kl_put(arena, map, "message", app->message);
    kl_put_time(arena, map, "since", app->since_ms);
    kl_put_time(arena, map, "nextAttempt", app->next_ms);
    kl_put_time(arena, map, "lastPass", app->last_pass_ms);
    put_commit(arena, map, "commit", &app->applied);
    const struct kl_commit *wanted = app->source ? &app->source->commit : &app->applied;
    if (strcmp(wanted->id, app->applied.id) != 0)
        put_commit(arena, map, "wantedCommit", wanted);
    put_commit(arena, map, "lastGood", &app->last_good);
    put_commit(arena, map, "lastBad", &app->last_bad);
    put_holds(arena, map, app);
    if (app->removal != KL_REMOVAL_NONE)
        kilter_set(arena, map, "removing", kilter_bool(arena, true));
    if (app->phase == KL_PHASE_APPLYING) {
        struct kilter_value *progress = kilter_map(arena);
        kl_put_int(arena, progress, "done", (int64_t)app->done);
        kl_put_int(arena, progress, "total", (int64_t)app->total);
        kilter_set(arena, map, "progress", progress);
    }
    kilter_set(arena, map, "resources", show_counts(arena, app));
    if (app->plan) {
        struct kilter_value *plan = kilter_map(arena);
        kl_put(arena, plan, "digest", app->plan->digest);
        kilter_set(arena, plan, "summary", kl_show_summary(arena, app->plan));
        kilter_set(arena, map, "plan", plan);
    }
    if (app->retries)
        kl_put_int(arena, map, "retries", app->retries);
    put_error(arena, map, app);
    return map;
}

/* --- plans -------------------------------------------------------------------------------------------- */
struct kilter_value *kl_show_summary(struct kilter_arena *arena, const struct kl_plan *plan)
{
    size_t counts[KILTER_VERB_NONE + 11] = { 0 };
    struct kilter_value *map = kilter_map(arena);
    for (size_t i = 0; i < plan->count; i++)
        if (plan->changes[i].change.verb < sizeof counts / sizeof counts[0])
            counts[plan->changes[i].change.verb]++;
    for (size_t verb = 1; verb < sizeof counts / sizeof counts[0]; verb++)
        if (counts[verb])
            kl_put_int(arena, map, kl_verb_word((enum kilter_verb)verb), (int64_t)counts[verb]);
    return map;
}

static struct kilter_value *show_flags(struct kilter_arena *arena, uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = { { KILTER_CHANGE_WANTED, "wanted" },   { KILTER_CHANGE_DRIFTED, "drifted" },
                  { KILTER_CHANGE_UNOWNED, "unowned" }, { KILTER_CHANGE_FOREIGN, "foreign" },
                  { KILTER_CHANGE_ASK, "ask" },         { KILTER_CHANGE_UNHEALTHY, "unhealthy" } };
    struct kilter_value *list = kilter_list(arena);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (flags & words[i].flag)
            kilter_list_add(arena, list, kilter_string_c(arena, words[i].word));
    return list;
}

static struct kilter_value *show_effects(struct kilter_arena *arena, const struct kilter_change *change)
{
    static const char *const verbs[] = { "", "restart", "reload", "run" };
    struct kilter_value *list = kilter_list(arena);
    for (size_t i = 0; i < change->effect_count; i++) {
        struct kilter_value *effect = kilter_map(arena);
        kl_put(arena, effect, "verb", change->effects[i].verb <= 3 ? verbs[change->effects[i].verb] : "");
        kl_put_str(arena, effect, "subject", change->effects[i].subject);
        kl_put_str(arena, effect, "cause", change->effects[i].cause);
        kilter_list_add(arena, list, effect);
    }
    return list;
}

static void put_origin(struct kilter_arena *arena, struct kilter_value *map, struct kilter_origin origin)
{
    kl_put_str(arena, map, "file", origin.file);
    if (origin.line)
        kl_put_int(arena, map, "line", origin.line);
}

static void put_drift(struct kilter_arena *arena, struct kilter_value *map, const struct kl_planned *planned)
{
    kl_put_str(arena, map, "driftBy", planned->change.drift_by);
    kl_put_time(arena, map, "driftSince", planned->drift_since_ms);
}

static void put_held(struct kilter_arena *arena, struct kilter_value *map, const struct kl_planned *planned)
{
    if (planned->disposition == KL_DISPOSE_HOLD || planned->disposition == KL_DISPOSE_BLOCKED)
        kilter_set(arena, map, "held", kilter_bool(arena, true));
    kl_put(arena, map, "heldReason", planned->why);
}

static struct kilter_value *show_change(struct kilter_arena *arena, const struct kl_planned *planned)
{
    const struct kilter_change *change = &planned->change;
    struct kilter_value *map = kilter_map(arena);
    kl_put(arena, map, "verb", kl_verb_word(change->verb));
    kl_put_id(arena, map, &change->id);
    if (change->verb == KILTER_VERB_MOVE)
        kl_put_str(arena, map, "movedFrom", kl_show_id(arena, &change->moved_from));
    kl_put_str(arena, map, "reason", change->reason);
    if (change->flags)
        kilter_set(arena, map, "flags", show_flags(arena, change->flags));
    put_held(arena, map, planned);
    put_drift(arena, map, planned);
    kl_put_str(arena, map, "foreignOwner", change->foreign_owner);
    put_origin(arena, map, change->origin);
    if (change->wave)
        kl_put_int(arena, map, "wave", change->wave);
    kilter_set(arena, map, "claims", strings(arena, change->claims, change->claim_count));
    if (change->effect_count)
        kilter_set(arena, map, "effects", show_effects(arena, change));
    const struct kilter_value *diff = kilter_get(planned->value, "diff"),
                              *text = kilter_get(planned->value, "text");
    if (diff)
        kilter_set(arena, map, "diff", kilter_value_copy(arena, diff));
    if (text)
        kilter_set(arena, map, "text", kilter_value_copy(arena, text));
    return map;
}

struct kilter_value *kl_show_plan(struct kilter_arena *arena, const struct kl_app_state *app,
                                  const struct kl_plan *plan, const struct kl_decision *decision, int64_t made_ms,
                                  bool destroy)
{
    static const char *const verdicts[] = { "nothing", "nothing", "apply", "wait" };
    struct kilter_value *map = kilter_map(arena), *changes = kilter_list(arena);
    struct kl_commit commit = { 0 };
    if (app->source && kilter_str_eq_c(plan->commit, app->source->commit.id))
        commit = app->source->commit;
    snprintf(commit.id, sizeof commit.id, "%.*s", KILTER_STR_ARG(plan->commit));
    kl_put(arena, map, "app", app->name);
    kl_put_time(arena, map, "made", made_ms);
    put_commit(arena, map, "commit", &commit);
    kl_put(arena, map, "digest", plan->digest);
    kl_put(arena, map, "mode", destroy ? "destroy" : "sync");
    kl_put(arena, map, "decision", verdicts[decision->verdict]);
    kl_put(arena, map, "reason", kl_reason_word(decision->reason));
    kl_put(arena, map, "message", decision->message);
    for (size_t i = 0; i < plan->count; i++)
        kilter_list_add(arena, changes, show_change(arena, &plan->changes[i]));
    kilter_set(arena, map, "changes", changes);
    kilter_set(arena, map, "summary", kl_show_summary(arena, plan));
    return map;
}

struct kilter_value *kl_show_resource(struct kilter_arena *arena, const struct kl_app_state *app,
                                      const struct kl_planned *planned)
{
    const struct kilter_change *change = &planned->change;
    struct kilter_value *map = kilter_map(arena);
    const struct kl_resource_note *note = kl_map_get(&app->notes, planned->key);
    bool applied = applied_since(app, planned);
    kl_put_id(arena, map, &change->id);
    kilter_set(arena, map, "claims", strings(arena, change->claims, change->claim_count));
    kl_put(arena, map, "sync", applied ? "Synced" : resource_state(planned));
    kl_put(arena, map, "health", kl_health_state(note ? note->health : KILTER_HEALTH_UNKNOWN));
    if (note && note->result > KILTER_RESULT_UNCHANGED)
        kl_put(arena, map, "message", note->result_message);
    else if (note && note->health != KILTER_HEALTHY && note->health_message[0])
        kl_put(arena, map, "message", note->health_message);
    else if (!applied && planned->why)
        kl_put(arena, map, "message", planned->why);
    else if (!applied)
        kl_put_str(arena, map, "message", change->verb == KILTER_VERB_NONE ? KILTER_STR_NONE : change->reason);
    kl_put(arena, map, "verb", kl_verb_word(change->verb));
    put_drift(arena, map, planned);
    put_origin(arena, map, change->origin);
    return map;
}

/* --- stories, events -------------------------------------------------------------------------------- */
static struct kilter_value *show_steps(struct kilter_arena *arena, const struct kl_story *story)
{
    struct kilter_value *steps = kilter_list(arena);
    for (size_t i = 0; i < story->step_count; i++) {
        struct kilter_value *step = kilter_map(arena);
        kl_put_time(arena, step, "time", story->steps[i].at_ms);
        kl_put(arena, step, "phase", kl_phase_word(story->steps[i].phase));
        kl_put_int(arena, step, "durationMs", story->steps[i].took_ms);
        kl_put(arena, step, "result", story->steps[i].result);
        kl_put(arena, step, "message", story->steps[i].message);
        kilter_list_add(arena, steps, step);
    }
    return steps;
}

static struct kilter_value *show_change_result(struct kilter_arena *arena, const struct kl_app_state *app,
                                               const struct kl_planned *planned)
{
    struct kilter_value *map = kilter_map(arena);
    const struct kl_resource_note *note = kl_map_get(&app->notes, planned->key);
    kl_put(arena, map, "verb", kl_verb_word(planned->change.verb));
    kl_put_str(arena, map, "id", kl_show_id(arena, &planned->change.id));
    kl_put_str(arena, map, "reason", planned->change.reason);
    put_held(arena, map, planned);
    kl_put_str(arena, map, "driftBy", planned->change.drift_by);
    if (planned->disposition == KL_DISPOSE_APPLY && applied_since(app, planned))
        kl_put(arena, map, "result", "done");
    else if (planned->disposition == KL_DISPOSE_APPLY && note && note->result) {
        kl_put(arena, map, "result", kl_result_word(note->result));
        kl_put(arena, map, "message", note->result_message);
    }
    return map;
}

static const char *story_trigger(enum kl_trigger trigger)
{
    static const char *const words[] = { "start",    "drift",    "start",  "retry", "dependency",
                                         "renderer", "manifest", "commit", "person" };
    return words[trigger];
}

struct kilter_value *kl_show_story(struct kilter_arena *arena, const struct kl_app_state *app,
                                   struct kilter_str resource)
{
    static const char *const results[] = { "under way", "succeeded", "waiting", "failed", "superseded" };
    static const char *const verdicts[] = { "nothing", "nothing", "apply", "wait" };
    const struct kl_story *story = &app->story;
    struct kilter_value *map = kilter_map(arena), *changes = kilter_list(arena);
    kl_put(arena, map, "app", app->name);
    kl_put_str(arena, map, "resource", resource);
    if (story->pass)
        kl_put_int(arena, map, "pass", story->pass);
    if (story->at_ms) {
        struct kilter_value *trigger = kilter_map(arena);
        kl_put(arena, trigger, "kind", story_trigger(story->wish.trigger));
        kl_put(arena, trigger, "by", story->wish.actor);
        kl_put_time(arena, trigger, "time", story->at_ms);
        kl_put(arena, trigger, "message", story->wish.note);
        kilter_set(arena, map, "trigger", trigger);
    }
    put_commit(arena, map, "commit", &story->commit);
    kilter_set(arena, map, "steps", show_steps(arena, story));
    if (app->plan) {
        struct kilter_value *decision = kilter_map(arena);
        kl_put(arena, decision, "decision", verdicts[app->decision.verdict]);
        kl_put(arena, decision, "reason", kl_reason_word(app->decision.reason));
        kl_put(arena, decision, "message", app->decision.message);
        kilter_set(arena, map, "decision", decision);
    }
    for (size_t i = 0; app->plan && i < app->plan->count; i++) {
        const struct kl_planned *planned = &app->plan->changes[i];
        bool named = resource.len && kilter_str_eq(kl_show_id(arena, &planned->change.id), resource);
        if (named || (!resource.len && planned->change.verb != KILTER_VERB_NONE))
            kilter_list_add(arena, changes, show_change_result(arena, app, planned));
    }
    kilter_set(arena, map, "changes", changes);
    if (story->at_ms)
        kl_put(arena, map, "result", results[story->result]);
    kl_put_time(arena, map, "nextAttempt", app->next_ms);
    return map;
}

struct kilter_value *kl_show_event(struct kilter_arena *arena, const struct kl_event_row *row)
{
    struct kilter_value *map = kilter_map(arena);
    kl_put(arena, map, "id", kilter_arena_printf(arena, "%lld", (long long)row->id));
    kl_put_time(arena, map, "time", row->time_ms);
    kl_put_str(arena, map, "kind", row->kind);
    kl_put(arena, map, "severity",
           row->severity >= KL_ERROR     ? "error"
           : row->severity == KL_WARNING ? "warning"
                                         : "info");
    kl_put_str(arena, map, "app", row->app_name);
    kl_put_str(arena, map, "actor", row->actor);
    kl_put_str(arena, map, "commit", row->commit);
    kl_put_str(arena, map, "message", row->message);
    return map;
}
