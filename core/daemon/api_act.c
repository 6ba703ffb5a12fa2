/* SPDX-License-Identifier: Apache-2.0 */
/* What changes something: sync, approve, reject, rollback, suspend, resume, forget, delete, accept, state rm. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/api_private.h"

#define WAIT_MAX_NS (600 * KL_NS_PER_S)
#define COMMIT_DIGITS_MIN 4

/* --- answers ----------------------------------------------------------------------------------- */
static void answer(struct kl_request *request, const struct kl_app_state *app, const char *outcome,
                   const char *message, const char *hint)
{
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena), *result = kilter_map(arena);
    kl_put(arena, result, "outcome", outcome);
    kilter_set(arena, result, "message", kilter_string_c(arena, message));
    kl_put(arena, result, "hint", hint);
    kilter_set(arena, map, "result", result);
    kilter_set(arena, map, "app", kl_show_app(arena, app));
    kl_request_json(request, 200, map);
}

static const char *hint_for(const struct kl_app_state *app)
{
    if (app->phase == KL_PHASE_IDLE && app->reason == KL_REASON_NONE && app->decision.held)
        return app->decision.prunable ? "'kilter sync --prune' deletes it this once"
                                      : "'kilter sync --correct' undoes it this once";
    switch (app->reason) {
    case KL_REASON_APPROVAL_REQUIRED:
    case KL_REASON_DELETE_LIMIT:
    case KL_REASON_DRIFT_CONFLICT:
    case KL_REASON_RENDERER_CHANGED:
        return "look at it with 'kilter plan', then 'kilter approve' or 'kilter reject'";
    case KL_REASON_SUSPENDED:
    case KL_REASON_PINNED:
        return "'kilter resume' lets it go on";
    case KL_REASON_NONE:
    case KL_REASON_DEPENDENCY_NOT_READY:
    case KL_REASON_OWNERSHIP_CONFLICT:
    case KL_REASON_SUPERSEDED:
    case KL_REASON_PLUGIN_QUARANTINED:
    case KL_REASON_RENDER_FAILED:
    case KL_REASON_PLAN_FAILED:
    case KL_REASON_APPLY_FAILED:
    case KL_REASON_HEALTH_FAILED:
    case KL_REASON_SOURCE_UNAVAILABLE:
        break;
    }
    return NULL;
}

static void answer_end(struct kl_wait *wait, const struct kl_app_state *app)
{
    const char *outcome = "done";
    bool removal = wait->flag; /* after a forget or delete the app is suspended, as it should be */
    struct kl_request *request = kl_wait_take(wait);
    if (removal && app->suspension.on) {
        answer(request, app, outcome, app->message, NULL);
        return;
    }
    if (app->phase == KL_PHASE_FAILED || app->reason == KL_REASON_HEALTH_FAILED || app->decision.blocked)
        outcome = "failed";
    else if (app->phase == KL_PHASE_WAITING)
        outcome = "waiting";
    else if (app->decision.held)
        outcome = "held";
    answer(request, app, outcome, app->message, hint_for(app));
}

/* The pass that was asked for is over, and none that took its place runs. */
static bool pass_over(struct kl_wait *wait, bool late)
{
    struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
    if (!app) {
        char name[512];
        snprintf(name, sizeof name, "%s", wait->app);
        struct kl_request *request = kl_wait_take(wait);
        struct kilter_arena *arena = kl_request_arena(request);
        struct kilter_value *map = kilter_map(arena), *result = kilter_map(arena);
        kl_put(arena, result, "outcome", "done");
        kl_put(arena, result, "message", "the app is gone");
        kilter_set(arena, map, "result", result);
        struct kilter_value *gone = kilter_map(arena);
        kl_put(arena, gone, "name", name);
        kilter_set(arena, map, "app", gone);
        kl_request_json(request, 200, map);
        return true;
    }
    bool over = app->ended >= wait->pass && !app->pass && app->wish.trigger == KL_TRIGGER_NONE;
    bool held = !app->pass && app->begun < wait->pass && app->phase == KL_PHASE_FAILED;
    if (over || held)
        answer_end(wait, app);
    else if (late && wait->timeout_ns == 0)
        answer(kl_wait_take(wait), app, "accepted", "under way", NULL);
    else if (late)
        answer(kl_wait_take(wait), app, "timeout", "still under way", "'kilter wait' goes on waiting");
    else
        return false;
    return true;
}

static void wish_and_wait(struct kl_wait *wait, struct kl_app_state *app)
{
    wait->pass = app->begun + 1;
    kl_app_want(app, &wait->wish);
    kl_wait_until(wait, pass_over, wait->timeout_ns);
}

/* --- requests ------------------------------------------------------------------------------------ */
struct action {
    struct kl_app_state *app;
    struct kilter_value *body;
    struct kl_wait *wait;
};

/* Reads what every action has: the app, the body with these keys, who asks, and how long to wait. false: answered.
 */
static bool begin(struct kl_request *request, struct kl_api *api, const char *const *keys, struct action *ret)
{
    ret->app = kl_api_find_app(api, request);
    if (!ret->app || kl_request_body_json(request, keys, &ret->body) < 0)
        return false;
    int64_t wait_ns = 0;
    struct kilter_str wait = kilter_get_text(ret->body, "wait");
    if (wait.len && (kilter_parse_duration(wait, &wait_ns) < 0 || wait_ns < 0 || wait_ns > WAIT_MAX_NS)) {
        kl_request_error(request, 400, "badRequest", NULL, NULL, "wait: a duration up to 10m, not '%.*s'",
                         KILTER_STR_ARG(wait));
        return false;
    }
    ret->wait = kl_wait_new(api, request, ret->app);
    if (!ret->wait)
        return false;
    ret->wait->timeout_ns = wait_ns;
    ret->wait->wish.trigger = KL_TRIGGER_PERSON;
    kl_api_actor(request, ret->wait->wish.actor, sizeof ret->wait->wish.actor);
    return true;
}

static void refuse(struct action *action, unsigned status, const char *code, const char *hint, const char *message)
{
    kl_request_error(kl_wait_take(action->wait), status, code, hint, NULL, "app '%s': %s", action->app->name,
                     message);
}

/* Whether the app is held by a suspension or is leaving; answers then. */
static bool held(struct action *action, bool removal_counts)
{
    struct kl_app_state *app = action->app;
    if (app->suspension.on || (app->def && app->def->suspend))
        refuse(action, 409, "suspended",
               app->suspension.on ? "'kilter resume' ends the suspension" : "the manifest says suspend: true",
               app->suspension.reason[0] ? app->suspension.reason : "it is suspended");
    else if (app->lost)
        refuse(action, 409, "conflict", "put the directory back, or take the include out, and reload",
               "it is not in the manifest, of which an included directory is missing: it is left alone");
    else if (!app->def)
        refuse(action, 409, "conflict", NULL, app->message);
    else if (removal_counts && app->removal != KL_REMOVAL_NONE)
        refuse(action, 409, "conflict", NULL, "it is being removed");
    else
        return false;
    return true;
}

static void save(struct kl_app_state *app, const char *kind, enum kl_severity severity, const char *actor,
                 const struct kl_commit *commit, const char *message)
{
    struct kl_txn *txn = kl_txn_new(app->engine->store);
    kl_engine_event(txn, app, kind, severity, actor, commit, "%s", message);
    kl_app_save(app, txn);
    kl_engine_commit(app->engine, txn, KL_DURABLE);
}

/* --- sync ------------------------------------------------------------------------------------------ */
static void on_polled(void *data, struct kl_source_state *source)
{
    struct kl_wait *wait = data;
    struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
    if (wait->flag && app && !source->error[0])
        kl_app_want(app, &wait->wish);
    if (!kl_wait_back(wait))
        return;
    if (!app) {
        pass_over(wait, false);
    } else if (source->error[0]) {
        char message[600];
        snprintf(message, sizeof message, "source '%s': %s", source->name, source->error);
        answer(kl_wait_take(wait), app, "failed", message, NULL);
    } else {
        wish_and_wait(wait, app);
    }
}

static void post_sync(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "wait", "prune", "correct", NULL };
    struct action action;
    if (!begin(request, data, keys, &action) || held(&action, true))
        return;
    struct kl_wait *wait = action.wait;
    kilter_get_bool(action.body, "prune", &wait->wish.prune);
    kilter_get_bool(action.body, "correct", &wait->wish.correct);
    wait->wish.thorough = true;
    if (action.app->pin.commit.id[0]) {
        wish_and_wait(wait, action.app); /* at the pinned commit: needs no network */
        return;
    }
    kl_wait_hold(wait);
    if (wait->timeout_ns == 0) {
        /* Nobody waits: the wait lives on without its request until the source was polled. */
        wait->flag = true;
        answer(kl_wait_take(wait), action.app, "accepted", "polling the source", NULL);
    }
    kl_source_poll(action.app->source, true, on_polled, wait);
}

/* --- approve, reject ---------------------------------------------------------------------------------- */
static bool waits_for_person(const struct kl_app_state *app)
{
    return app->plan && app->decision.verdict == KL_VERDICT_WAIT && app->decision.ask > 0;
}

static void post_approve(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "digest", "commit", "wait", NULL };
    struct action action;
    if (!begin(request, data, keys, &action) || held(&action, false))
        return;
    struct kl_app_state *app = action.app;
    struct kilter_str digest = kilter_get_text(action.body, "digest"),
                      commit = kilter_get_text(action.body, "commit");
    bool saved = commit.len && digest.len &&
                 app->removal == KL_REMOVAL_NONE; /* a saved plan: it is made again, and must come out the same */
    if (!saved && !waits_for_person(app)) {
        refuse(&action, 409, "nothingWaiting", "'kilter status' shows what it does",
               "no plan of it waits for anybody");
        return;
    }
    if (saved ? !kilter_str_eq_c(commit, kl_app_wanted(app)->id)
              : digest.len && !kilter_str_eq_c(digest, app->plan->digest)) {
        refuse(&action, 409, "planMoved", "look at the new plan with 'kilter plan'",
               saved ? "Git is at another commit than the saved plan" : "another plan waits now");
        return;
    }
    struct kl_wait *wait = action.wait;
    if (!digest.len)
        digest = kilter_str_c(app->plan->digest);
    snprintf(wait->wish.approve, sizeof wait->wish.approve, "%.*s", KILTER_STR_ARG(digest));
    memcpy(app->approved, wait->wish.approve, sizeof app->approved);
    struct kl_txn *txn = kl_txn_new(app->engine->store);
    struct kl_approval_row row = { .app = app->id,
                                   .plan_digest = digest,
                                   .commit = kilter_str_c(kl_app_wanted(app)->id),
                                   .actor = kilter_str_c(wait->wish.actor) };
    kl_txn_put_approval(txn, &row);
    kl_engine_event(txn, app, "approved", KL_INFO, wait->wish.actor, kl_app_wanted(app), "plan %.12s approved",
                    wait->wish.approve);
    kl_engine_commit(app->engine, txn, KL_DURABLE);
    wish_and_wait(wait, app);
}

static void post_reject(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "digest", "reason", NULL };
    struct action action;
    if (!begin(request, data, keys, &action) || held(&action, false))
        return;
    struct kl_app_state *app = action.app;
    struct kilter_str digest = kilter_get_text(action.body, "digest"),
                      reason = kilter_get_text(action.body, "reason");
    if (!waits_for_person(app)) {
        refuse(&action, 409, "nothingWaiting", NULL, "no plan of it waits for anybody");
        return;
    }
    if (digest.len && !kilter_str_eq_c(digest, app->plan->digest)) {
        refuse(&action, 409, "planMoved", "look at the new plan with 'kilter plan'", "another plan waits now");
        return;
    }
    char message[400];
    app->approved[0] = '\0';
    snprintf(app->rejected, sizeof app->rejected, "%s", app->plan->digest);
    snprintf(message, sizeof message, "plan %.12s rejected%s%.*s", app->plan->digest, reason.len ? ": " : "",
             KILTER_STR_ARG(reason));
    kl_app_show(app, KL_PHASE_WAITING, KL_REASON_APPROVAL_REQUIRED,
                "%s; another one is made when Git, the manifest or the target moves", message);
    save(app, "rejected", KL_INFO, action.wait->wish.actor, kl_app_wanted(app), message);
    answer(kl_wait_take(action.wait), app, "done", message, NULL);
}

/* --- rollback ----------------------------------------------------------------------------------------------- */
static bool good(const struct kl_history_row *row)
{
    return kilter_str_eq_c(row->result, "succeeded") && row->commit.len == 40;
}

/* The commit of the history that is meant: the one that begins with the digits, or the last good one that is not
 * the present one. NULL and a message when there is none or more than one. */
static const struct kl_history_row *find_commit(const struct kl_rows *rows, const struct kl_app_state *app,
                                                struct kilter_str digits, char *message, size_t size)
{
    const struct kl_history_row *found = NULL;
    /* After a failed apply or health check something of the wanted commit is what is to be left. */
    bool failed = app->reason == KL_REASON_HEALTH_FAILED || app->reason == KL_REASON_APPLY_FAILED;
    const char *present = failed ? kl_app_wanted(app)->id : app->applied.id;
    for (size_t i = 0; i < rows->history_count; i++) {
        const struct kl_history_row *row = &rows->history[i];
        if (!good(row))
            continue;
        if (!digits.len) {
            if (!kilter_str_eq_c(row->commit, present))
                return row;
            continue;
        }
        if (!kilter_str_starts(row->commit, digits))
            continue;
        if (found && !kilter_str_eq(found->commit, row->commit)) {
            snprintf(message, size, "'%.*s' begins several commits of its history", KILTER_STR_ARG(digits));
            return NULL;
        }
        found = row;
    }
    if (!found && digits.len)
        snprintf(message, size, "no good commit of its history begins with '%.*s'", KILTER_STR_ARG(digits));
    else if (!found)
        snprintf(message, size, "its history has no other good commit");
    return found;
}

static void pin_app(struct kl_app_state *app, const struct kl_history_row *row, const char *actor,
                    const char *reason)
{
    app->pin = (struct kl_pin){ .since_ms = kl_clock_wall_ms() };
    snprintf(app->pin.commit.id, sizeof app->pin.commit.id, "%.*s", KILTER_STR_ARG(row->commit));
    snprintf(app->pin.commit.author, sizeof app->pin.commit.author, "%.*s", KILTER_STR_ARG(row->author));
    snprintf(app->pin.commit.subject, sizeof app->pin.commit.subject, "%.*s", KILTER_STR_ARG(row->subject));
    snprintf(app->pin.by, sizeof app->pin.by, "%s", actor);
    snprintf(app->pin.reason, sizeof app->pin.reason, "%s", reason);
}

static void on_history(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_wait *wait = data;
    char message[256] = "";
    bool here = kl_wait_back(wait);
    struct kl_app_state *app = here ? kl_engine_app(wait->api->engine, kilter_str_c(wait->app)) : NULL;
    if (here && err->code) {
        kl_api_store_failed(kl_wait_take(wait), err);
    } else if (here && !app) {
        pass_over(wait, false);
    } else if (here) {
        const struct kl_history_row *row =
            find_commit(rows, app, kilter_str_c(wait->commit.id), message, sizeof message);
        if (row) {
            pin_app(app, row, wait->wish.actor, wait->text);
            snprintf(message, sizeof message, "rolled back to %.12s and pinned there%s%s", app->pin.commit.id,
                     wait->text[0] ? ": " : "", wait->text);
            save(app, "rolledBack", KL_WARNING, wait->wish.actor, &app->pin.commit, message);
            wish_and_wait(wait, app);
        } else {
            kl_request_error(kl_wait_take(wait), 409, "conflict", "'kilter history' lists its commits", NULL,
                             "app '%s': %s", app->name, message);
        }
    }
    kl_rows_free(rows);
}

static void post_rollback(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "commit", "reason", "wait", NULL };
    struct action action;
    if (!begin(request, data, keys, &action) || held(&action, true))
        return;
    struct kilter_str commit = kilter_get_text(action.body, "commit");
    if (commit.len && (commit.len < COMMIT_DIGITS_MIN || commit.len > 40)) {
        refuse(&action, 400, "badRequest", NULL, "commit: 4 to 40 digits");
        return;
    }
    struct kl_wait *wait = action.wait;
    snprintf(wait->commit.id, sizeof wait->commit.id, "%.*s", KILTER_STR_ARG(commit));
    snprintf(wait->text, sizeof wait->text, "%.*s", KILTER_STR_ARG(kilter_get_text(action.body, "reason")));
    kl_wait_hold(wait);
    kl_store_list_history(action.app->engine->store, action.app->id, 0, 1000, on_history, wait);
}

/* --- suspend, resume ----------------------------------------------------------------------------------------- */
static void post_suspend(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "for", "reason", NULL };
    struct action action;
    if (!begin(request, data, keys, &action))
        return;
    struct kl_app_state *app = action.app;
    struct kilter_str duration = kilter_get_text(action.body, "for"),
                      reason = kilter_get_text(action.body, "reason");
    int64_t ns = 0;
    if (duration.len && (kilter_parse_duration(duration, &ns) < 0 || ns <= 0)) {
        refuse(&action, 400, "badRequest", NULL, "for: a duration such as 2h or 90m");
        return;
    }
    app->suspension = (struct kl_suspension){ .on = true, .since_ms = kl_clock_wall_ms() };
    if (ns)
        app->suspension.until_ms = app->suspension.since_ms + ns / KL_NS_PER_MS;
    snprintf(app->suspension.by, sizeof app->suspension.by, "%s", action.wait->wish.actor);
    snprintf(app->suspension.reason, sizeof app->suspension.reason, "%.*s", KILTER_STR_ARG(reason));
    char message[400];
    snprintf(message, sizeof message, "suspended%s%.*s%s%.*s", duration.len ? " for " : "",
             KILTER_STR_ARG(duration), reason.len ? ": " : "", KILTER_STR_ARG(reason));
    save(app, "suspended", KL_WARNING, action.wait->wish.actor, NULL, message);
    if (app->pass)
        app->pass->superseded = true; /* it stops at its next boundary */
    kl_app_trigger(app, KL_TRIGGER_DRIFT_CHECK, "suspend", "");
    answer(kl_wait_take(action.wait), app, "done", message, NULL);
}

static void post_resume(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "wait", NULL };
    struct action action;
    if (!begin(request, data, keys, &action))
        return;
    struct kl_app_state *app = action.app;
    if (!app->suspension.on && !app->pin.commit.id[0]) {
        refuse(&action, 409, "conflict", app->def && app->def->suspend ? "the manifest says suspend: true" : NULL,
               "it is neither suspended nor pinned");
        return;
    }
    app->suspension = (struct kl_suspension){ 0 };
    app->pin = (struct kl_pin){ 0 };
    save(app, "resumed", KL_INFO, action.wait->wish.actor, NULL, "resumed");
    /* Going on is not an approval of what waited meanwhile. */
    action.wait->wish.trigger = KL_TRIGGER_MANIFEST;
    wish_and_wait(action.wait, app);
}

/* --- forget, delete, accept --------------------------------------------------------------------------------- */
static void remove_owned(struct action *action, enum kl_removal removal, const char *digest)
{
    struct kl_app_state *app = action->app;
    app->removal = removal;
    app->keep_after_removal = true;
    action->wait->flag = true;
    snprintf(action->wait->wish.approve, sizeof action->wait->wish.approve, "%s", digest);
    save(app, removal == KL_REMOVAL_FORGET ? "forgetting" : "deleting", KL_WARNING, action->wait->wish.actor, NULL,
         removal == KL_REMOVAL_FORGET ? "what it owns is being forgotten" : "what it owns is being deleted");
    wish_and_wait(action->wait, app);
}

static void post_forget(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "wait", NULL };
    struct action action;
    if (!begin(request, data, keys, &action))
        return;
    struct kl_app_state *app = action.app;
    if (!app->def) {
        refuse(&action, 409, "conflict", NULL, app->message);
        return;
    }
    if (app->removal != KL_REMOVAL_NONE) {
        app->removal = KL_REMOVAL_FORGET; /* rather keep than delete what is left */
        app->stuck = false;
        wish_and_wait(action.wait, app);
        return;
    }
    app->suspension = (struct kl_suspension){ 0 };
    remove_owned(&action, KL_REMOVAL_FORGET, "");
}

static void post_delete(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "digest", "wait", NULL };
    struct action action;
    if (!begin(request, data, keys, &action) || held(&action, true))
        return;
    struct kilter_str digest = kilter_get_text(action.body, "digest");
    if (digest.len != 64) {
        refuse(&action, 400, "badRequest", "'kilter plan --destroy' shows what would go, and its digest",
               "digest: the digest of the plan with destroy is needed");
        return;
    }
    char text[65];
    snprintf(text, sizeof text, "%.*s", KILTER_STR_ARG(digest));
    remove_owned(&action, KL_REMOVAL_DELETE, text);
}

/* The inventory was of the other system: nothing of it says anything about this one. */
static void accept_target(struct kl_wait *wait, struct kl_app_state *app, const struct kl_rows *rows)
{
    struct kl_txn *txn = kl_txn_new(app->engine->store);
    for (size_t i = 0; i < rows->record_count; i++)
        kl_txn_delete_record(txn, app->id, &rows->records[i].id);
    kl_engine_event(txn, app, "targetAccepted", KL_WARNING, wait->wish.actor, NULL,
                    "the target is %s now and was %s; the %zu records of the old one are forgotten",
                    app->seen_identity, app->identity, rows->record_count);
    snprintf(app->identity, sizeof app->identity, "%s", app->seen_identity);
    kl_txn_put_app_identity(txn, app->id, kilter_str_c(app->identity));
    app->rebuilt = true;
    kl_app_save(app, txn);
    kl_engine_commit(app->engine, txn, KL_DURABLE);
    wait->wish.trigger = KL_TRIGGER_MANIFEST;
    wish_and_wait(wait, app);
}

static void on_accepted_records(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_wait *wait = data;
    bool here = kl_wait_back(wait);
    struct kl_app_state *app = here ? kl_engine_app(wait->api->engine, kilter_str_c(wait->app)) : NULL;
    if (here && err->code)
        kl_api_store_failed(kl_wait_take(wait), err);
    else if (here && !app)
        pass_over(wait, false);
    else if (here)
        accept_target(wait, app, rows);
    kl_rows_free(rows);
}

static void post_accept(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "identity", "wait", NULL };
    struct action action;
    if (!begin(request, data, keys, &action) || held(&action, true))
        return;
    struct kl_app_state *app = action.app;
    struct kilter_str identity = kilter_get_text(action.body, "identity");
    if (!app->seen_identity[0] || strcmp(app->seen_identity, app->identity) == 0) {
        refuse(&action, 409, "conflict", NULL, "its target is the system that it was");
        return;
    }
    if (identity.len && !kilter_str_eq_c(identity, app->seen_identity)) {
        refuse(&action, 409, "conflict", "'kilter status' names it", "its target is yet another system by now");
        return;
    }
    kl_wait_hold(action.wait);
    kl_store_list_records(app->engine->store, app->id, on_accepted_records, action.wait);
}

/* --- state rm ----------------------------------------------------------------------------------------------- */
static void on_removed(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    struct kl_wait *wait = data;
    (void)txn;
    if (!kl_wait_back(wait))
        return;
    struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
    if (err->code)
        kl_api_store_failed(kl_wait_take(wait), err);
    else if (app)
        answer(kl_wait_take(wait), app, "done", "no longer owned; what is live stays as it is", NULL);
    else
        pass_over(wait, false);
}

static void on_records(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_wait *wait = data;
    if (!kl_wait_back(wait)) {
        kl_rows_free(rows);
        return;
    }
    struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
    const struct kl_record_row *found = NULL;
    struct kilter_arena *arena = kl_request_arena(wait->request);
    for (size_t i = 0; rows && i < rows->record_count && !found; i++)
        if (kilter_str_eq_c(kl_show_id(arena, &rows->records[i].id), wait->text))
            found = &rows->records[i];
    if (err->code) {
        kl_api_store_failed(kl_wait_take(wait), err);
    } else if (!app || !found) {
        kl_request_error(kl_wait_take(wait), 404, "notFound", "'kilter state list' names what it owns", NULL,
                         "app '%s' owns no '%s'", wait->app, wait->text);
    } else {
        struct kl_txn *txn = kl_txn_new(app->engine->store);
        kl_txn_delete_record(txn, app->id, &found->id);
        kl_engine_event(txn, app, "recordRemoved", KL_WARNING, wait->wish.actor, NULL, "%s is no longer owned",
                        wait->text);
        kl_wait_hold(wait);
        kl_store_commit(app->engine->store, txn, KL_DURABLE, on_removed, wait);
    }
    kl_rows_free(rows);
}

static void post_remove_record(struct kl_request *request, void *data)
{
    static const char *const keys[] = { "resource", NULL };
    struct action action;
    if (!begin(request, data, keys, &action))
        return;
    struct kilter_str resource = kilter_get_text(action.body, "resource");
    if (!resource.len || resource.len >= sizeof action.wait->text) {
        refuse(&action, 400, "badRequest", NULL,
               "resource: as 'kilter state list' writes it, for example File/motd");
        return;
    }
    if (action.app->pass) {
        refuse(&action, 409, "conflict", "try again in a moment", "it is being worked on");
        return;
    }
    snprintf(action.wait->text, sizeof action.wait->text, "%.*s", KILTER_STR_ARG(resource));
    kl_wait_hold(action.wait);
    kl_store_list_records(action.app->engine->store, action.app->id, on_records, action.wait);
}

int kl_api_act_routes(struct kl_api *api, struct kl_http *http)
{
    static const struct {
        const char *pattern;
        kl_http_handler handler;
    } routes[] = {
        { "/api/v1/apps/{app}/sync", post_sync },       { "/api/v1/apps/{app}/approve", post_approve },
        { "/api/v1/apps/{app}/reject", post_reject },   { "/api/v1/apps/{app}/rollback", post_rollback },
        { "/api/v1/apps/{app}/suspend", post_suspend }, { "/api/v1/apps/{app}/resume", post_resume },
        { "/api/v1/apps/{app}/forget", post_forget },   { "/api/v1/apps/{app}/delete", post_delete },
        { "/api/v1/apps/{app}/accept", post_accept },   { "/api/v1/apps/{app}/records/remove", post_remove_record },
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && rc == 0; i++)
        rc = kl_http_route(http, "POST", routes[i].pattern, routes[i].handler, api);
    return rc;
}
