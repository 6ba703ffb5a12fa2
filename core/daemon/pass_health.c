/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what is in place works, how long to wait for it, and what follows when it does not. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/pass.h"
#include "wire/jobs.h"

#define LOOK_FIRST_MS 250
#define LOOK_MAX_MS 5000
#define PROBE_MS 10000      /* how long the app's URL may take to answer */
#define PROBE_GRACE_MS 5000 /* for the worker to say that it took longer */

static void look(struct kl_pass *pass);

/* --- the end of it --------------------------------------------------------------------- */
static void remove_app(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    struct kl_engine *engine = app->engine;
    bool keep = app->keep_after_removal;
    kl_engine_log_event(engine, app, pass->forget ? "forgotten" : "deleted", KL_INFO, pass->wish.actor,
                        "%zu resources %s", pass->applied, pass->forget ? "are no longer owned" : "deleted");
    app->removal = KL_REMOVAL_NONE;
    app->keep_after_removal = false;
    if (keep) {
        /* Still in the manifest: it does nothing until it is resumed. */
        app->suspension =
            (struct kl_suspension){ .on = true, .after_removal = true, .since_ms = kl_clock_wall_ms() };
        snprintf(app->suspension.by, sizeof app->suspension.by, "%s", pass->wish.actor);
        snprintf(app->suspension.reason, sizeof app->suspension.reason, "%s; 'kilter resume' begins anew",
                 pass->forget ? "forgotten" : "deleted");
        app->applied = app->last_good = (struct kl_commit){ 0 };
        app->sync = KL_STATE_UNKNOWN;
        app->health = KILTER_HEALTH_SUSPENDED;
        kl_app_show(app, KL_PHASE_WAITING, KL_REASON_SUSPENDED, "%s", app->suspension.reason);
        kl_pass_end(pass, KL_RESULT_SUCCEEDED);
        return;
    }
    kl_log(KILTER_LOG_INFO, "app '%s' is gone: %s", app->name, pass->forget ? "forgotten" : "deleted");
    struct kl_txn *txn = kl_txn_new(engine->store);
    kl_txn_delete_app(txn, app->id);
    app->id = 0;
    kl_engine_commit(engine, txn, KL_DURABLE);
    kl_app_close(app);
    kl_pass_stops(pass);
}

/* "1 drifted and 2 to prune, left alone by the policy" */
static void show_held(struct kl_app_state *app, const struct kl_decision *decision)
{
    char drifted[32] = "", prunable[32] = "";
    if (decision->drifted)
        snprintf(drifted, sizeof drifted, "%zu drifted", decision->drifted);
    if (decision->prunable)
        snprintf(prunable, sizeof prunable, "%zu to prune", decision->prunable);
    kl_app_show(app, KL_PHASE_IDLE, KL_REASON_NONE, "%s%s%s, left alone by the policy", drifted,
                drifted[0] && prunable[0] ? " and " : "", prunable);
}

/* What is blocked is an error of its own, the same one as long as it says the same. */
static void note_blocked(struct kl_app_state *app, const struct kl_decision *decision)
{
    if (decision->blocked == 0) {
        app->error.message[0] = '\0';
        return;
    }
    if (app->error.reason == decision->reason && strcmp(app->error.message, decision->message) == 0)
        return;
    app->error.time_ms = kl_clock_wall_ms();
    app->error.reason = decision->reason;
    app->error.plugin[0] = '\0';
    snprintf(app->error.message, sizeof app->error.message, "%s", decision->message);
}

/* All that may be applied is. */
void kl_pass_finish(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    const struct kl_decision *decision = &pass->decision;
    bool whole = decision->blocked == 0; /* the commit is on the target with all that it brings */
    app->retries = 0;
    app->stuck = pass->repair;
    if (!pass->repair) { /* what keeps the wanted commit away is still so */
        note_blocked(app, decision);
        kilter_diags_free(app->diags);
        app->diags = NULL;
    }
    if (pass->destroy && decision->ask == 0 && decision->blocked == 0) {
        remove_app(pass);
        return;
    }
    kl_app_schedule(app, kl_random_jitter(app->def->policy.drift_interval_ns, 10));
    bool waits = decision->verdict == KL_VERDICT_WAIT;
    app->sync = kl_pass_sync_state(pass, decision->ask + decision->held + decision->blocked == 0);
    if (waits) {
        bool news = app->phase != KL_PHASE_WAITING || app->reason != decision->reason;
        if (news)
            kl_engine_log_event(app->engine, app, "waiting", KL_WARNING, pass->wish.actor, "%s: %s",
                                kl_reason_word(decision->reason), decision->message);
        kl_app_show(app, KL_PHASE_WAITING, decision->reason, "%s", decision->message);
        kl_pass_end(pass, KL_RESULT_WAITING);
        return;
    }
    app->approved[0] = '\0';
    if (pass->artifact && !pass->repair && whole) {
        kl_artifact_unref(app->good_artifact);
        app->good_artifact = kl_artifact_ref(pass->artifact);
        snprintf(app->applied_digest, sizeof app->applied_digest, "%s", pass->artifact->digest);
        snprintf(app->applied_renderer, sizeof app->applied_renderer, "%s %s", pass->artifact->renderer,
                 pass->artifact->version);
    }
    if (decision->deletes)
        app->rebuilt = false;
    if (pass->repair) {
        kl_app_show(app, KL_PHASE_FAILED, app->error.reason, "%s",
                    app->error.message[0] ? app->error.message : app->message);
    } else if (decision->reason) {
        kl_app_show(app, KL_PHASE_IDLE, decision->reason, "%s", decision->message);
    } else if (app->pin.commit.id[0]) {
        kl_app_show(app, KL_PHASE_IDLE, KL_REASON_PINNED, "Pinned at %.12s by %s", app->pin.commit.id, app->pin.by);
    } else if (app->last_bad.id[0] && strcmp(app->last_bad.id, kl_app_wanted(app)->id) == 0) {
        kl_app_show(app, KL_PHASE_IDLE, KL_REASON_HEALTH_FAILED,
                    "rolled back from %.12s, which did not become healthy", app->last_bad.id);
    } else if (pass->health == KILTER_DEGRADED || pass->health == KILTER_MISSING) {
        kl_app_show(app, KL_PHASE_IDLE, KL_REASON_HEALTH_FAILED, "%s", pass->health_message);
    } else if (decision->held) {
        show_held(app, decision);
    } else {
        char done[160];
        kl_app_show(app, KL_PHASE_IDLE, KL_REASON_NONE, "%s%zu resources in line with %.12s",
                    kl_pass_done_text(pass, done, sizeof done), pass->artifact ? pass->artifact->count : 0,
                    pass->commit.id);
    }
    if (app->health == KILTER_HEALTHY && !pass->repair && whole && strcmp(app->last_bad.id, pass->commit.id) != 0)
        app->last_good = pass->commit;
    kl_pass_end(pass, whole ? KL_RESULT_SUCCEEDED : KL_RESULT_FAILED);
}

/* Whether this pass, or one before it that did not end well, brought something that is to become healthy. A pass
 * that brought nothing only says how things are. */
static bool brought(const struct kl_pass *pass)
{
    if (pass->applied)
        return true;
    return pass->artifact && !pass->repair && pass->decision.verdict != KL_VERDICT_WAIT &&
           strcmp(pass->artifact->digest, pass->app->applied_digest) != 0;
}

static void unhealthy(struct kl_pass *pass, const char *what)
{
    struct kl_app_state *app = pass->app;
    bool rollback = app->def->policy.on_unhealthy == KL_ON_UNHEALTHY_ROLLBACK && app->last_good.id[0] &&
                    strcmp(app->last_good.id, pass->commit.id) != 0 && !app->pin.commit.id[0];
    if (rollback) {
        app->last_bad = pass->commit;
        app->artifact = (kl_artifact_unref(app->artifact), NULL);
        kl_engine_log_event(app->engine, app, "rolledBack", KL_ERROR, "policy",
                            "%.12s did not become healthy (%s); going back to %.12s", pass->commit.id, what,
                            app->last_good.id);
        struct kl_wish wish = { .trigger = KL_TRIGGER_COMMIT };
        snprintf(wish.actor, sizeof wish.actor, "policy onUnhealthy: rollback");
        app->wish = wish;
    }
    kl_pass_fail(pass, KL_REASON_HEALTH_FAILED, true, NULL, NULL, "%s", what);
}

/* --- looking ----------------------------------------------------------------------------- */
static void on_look_timer(uv_timer_t *timer)
{
    look(timer->data);
}

static void look_again(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    if (app->wish.trigger >= KL_TRIGGER_RENDERER && app->wish.trigger != KL_TRIGGER_COMMIT) {
        /* It came while this pass applied, and a pass of its own need not wait for this one's health. */
        pass->superseded = true;
        kl_pass_stops(pass);
        return;
    }
    if (!pass->health_timer_open) {
        uv_timer_init(app->engine->loop, &pass->health_timer);
        pass->health_timer.data = pass;
        pass->health_timer_open = true;
    }
    uint64_t ms = LOOK_FIRST_MS << (pass->health_looks < 5 ? pass->health_looks : 5);
    uv_timer_start(&pass->health_timer, on_look_timer, ms < LOOK_MAX_MS ? ms : LOOK_MAX_MS, 0);
    kl_app_show(app, KL_PHASE_CHECKING, KL_REASON_NONE, "%s",
                pass->health_message[0] ? pass->health_message : "watching that it stays healthy");
}

/* An event when an app that was healthy is no more, or is again, without anything being applied. */
static void tell_health(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    bool was = app->health == KILTER_HEALTHY, is = pass->health == KILTER_HEALTHY;
    bool wrong = pass->health == KILTER_DEGRADED || pass->health == KILTER_MISSING;
    if (brought(pass))
        return;
    if (was && wrong)
        kl_engine_log_event(app->engine, app, "unhealthy", KL_WARNING, pass->wish.actor, "%s",
                            pass->health_message);
    else if (is && (app->health == KILTER_DEGRADED || app->health == KILTER_MISSING))
        kl_engine_log_event(app->engine, app, "healthy", KL_INFO, pass->wish.actor, "healthy again");
}

static void judge(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    int64_t now = kl_clock_monotonic_ns();
    tell_health(pass);
    app->health = pass->health;
    if (pass->health != KILTER_HEALTHY)
        pass->healthy_since_ns = 0;
    else if (!pass->healthy_since_ns)
        pass->healthy_since_ns = now;
    bool settled = pass->health == KILTER_HEALTHY || pass->health == KILTER_HEALTH_UNKNOWN ||
                   pass->health == KILTER_HEALTH_SUSPENDED;
    bool watching = brought(pass) && pass->health == KILTER_HEALTHY && app->def->health.window_ns > 0 &&
                    now - pass->healthy_since_ns < app->def->health.window_ns;
    if ((settled && !watching) || !brought(pass)) {
        kl_pass_step(pass, KL_PHASE_CHECKING, "ok", "%s%s%s", kl_health_state(pass->health),
                     pass->health_message[0] ? ": " : "", pass->health_message);
        kl_pass_finish(pass);
    } else if (pass->health_terminal) {
        unhealthy(pass, pass->health_message);
    } else if (now >= pass->health_deadline_ns && !watching) {
        char what[450];
        snprintf(what, sizeof what, "not healthy in time: %s", pass->health_message);
        unhealthy(pass, what);
    } else {
        look_again(pass);
    }
}

static void on_health(void *data, const struct kilter_value *item, struct kilter_str encoded)
{
    struct kl_pass *pass = data;
    (void)encoded;
    int64_t index;
    if (!kilter_str_eq_c(kilter_get_text(item, "kind"), "health") || kilter_get_int(item, "record", &index) < 0)
        return;
    if (index < 0 || (size_t)index >= pass->sent_count)
        return;
    const struct kl_owned *owned = pass->sent[index];
    enum kilter_health health = kl_health_of(kilter_get_text(item, "health"));
    struct kilter_str message = kilter_get_text(item, "message");
    struct kl_resource_note *note = kl_app_note(pass->app, owned->key);
    if (note) {
        note->health = health;
        snprintf(note->health_message, sizeof note->health_message, "%.*s", KILTER_STR_ARG(message));
    }
    if (owned->left_alone)
        return; /* how it is, is the plan's to say, and nothing to wait for */
    if (health != KILTER_HEALTHY && kl_health_worst(pass->health, health) == health) {
        struct kilter_buf id = KILTER_BUF_INIT(1024);
        kilter_id_format(&id, &owned->id);
        snprintf(pass->health_message, sizeof pass->health_message, "%s: %s%s%.*s", id.ptr ? id.ptr : "",
                 kl_health_state(health), message.len ? ", " : "", KILTER_STR_ARG(message));
        kilter_buf_release(&id);
    }
    pass->health = kl_health_worst(pass->health, health);
    if (kl_result_of(kilter_get_text(item, "result")) == KILTER_RESULT_TERMINAL)
        pass->health_terminal = true;
}

/* --- the app's own URL ------------------------------------------------------------------------ */
static void on_probed(void *data, const struct kl_job_outcome *outcome)
{
    struct kl_pass *pass = data;
    bool healthy = false;
    pass->job = NULL;
    if (kl_pass_stops(pass))
        return;
    if (outcome->status < 0) {
        kl_pass_fail_job(pass, KL_REASON_HEALTH_FAILED, "", outcome);
        return;
    }
    kilter_get_bool(outcome->done, "healthy", &healthy);
    if (!healthy) {
        pass->health = kl_health_worst(pass->health, KILTER_DEGRADED);
        pass->health = kl_health_worst(pass->health, KILTER_DEGRADED);
        snprintf(pass->health_message, sizeof pass->health_message, "%.*s",
                 KILTER_STR_ARG(kilter_get_text(outcome->done, "message")));
    }
    judge(pass);
}

static int submit_probe(struct kl_pass *pass, struct kilter_error *err)
{
    const struct kl_app *def = pass->app->def;
    int64_t timeout_ms = def->policy.timeout_ns / KL_NS_PER_MS;
    if (timeout_ms > PROBE_MS)
        timeout_ms = PROBE_MS;
    struct kilter_value *map = kilter_map(pass->arena);
    kilter_set(pass->arena, map, "url", kilter_string(pass->arena, def->health.http));
    kilter_set(pass->arena, map, "timeoutMs", kilter_int(pass->arena, timeout_ms));
    struct kl_job_spec spec = {
        .role = KL_ROLE_FETCH,
        .key = KILTER_STR("probe"),
        .verb = KILTER_STR("probe"),
        .arguments = map,
        .deadline_ms = timeout_ms + PROBE_GRACE_MS,
        .priority = kl_pass_priority(pass),
        .handler = { .on_done = on_probed },
        .data = pass,
    };
    return kl_pool_submit(pass->app->engine->pool, &spec, &pass->job, err);
}

/* The target has said how its things are; while it finds nothing wrong, the app's URL is asked too. */
static void ask_url(struct kl_pass *pass)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    bool asks = pass->app->def->health.http.len &&
                (pass->health == KILTER_HEALTHY || pass->health == KILTER_HEALTH_UNKNOWN);
    if (!asks)
        judge(pass);
    else if (submit_probe(pass, &err) < 0)
        kl_pass_fail(pass, KL_REASON_HEALTH_FAILED, true, NULL, NULL, "%s", err.message);
}

/* --- what the target says --------------------------------------------------------------------- */
static void on_looked(void *data, const struct kl_job_outcome *outcome)
{
    struct kl_pass *pass = data;
    pass->job = NULL;
    if (kl_pass_stops(pass))
        return;
    if (outcome->status < 0)
        kl_pass_fail_job(pass, KL_REASON_HEALTH_FAILED, pass->app->def->target->plugin->name.ptr, outcome);
    else
        ask_url(pass);
}

static bool owns_nothing(const struct kl_pass *pass)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&pass->owned, &at, &key, &value);)
        if (!((const struct kl_owned *)value)->gone)
            return false;
    return true;
}

static void look(struct kl_pass *pass)
{
    static const struct kl_job_handler handler = { .on_item = on_health, .on_done = on_looked };
    struct kilter_error err = KILTER_ERROR_INIT;
    pass->health = KILTER_HEALTHY;
    pass->health_terminal = false;
    pass->health_message[0] = '\0';
    pass->health_looks++;
    if (owns_nothing(pass))
        ask_url(pass);
    else if (kl_pass_target_job(pass, "health", NULL, 0, &handler, &err) < 0)
        kl_pass_fail(pass, KL_REASON_HEALTH_FAILED, true, NULL, NULL, "%s", err.message);
}

void kl_pass_health_begin(struct kl_pass *pass)
{
    if (pass->destroy) {
        /* The app may have come back to the manifest while its last things went. */
        if (!kl_pass_stops(pass))
            kl_pass_finish(pass);
        return;
    }
    pass->health_deadline_ns = kl_clock_monotonic_ns() + pass->app->def->policy.timeout_ns;
    kl_pass_phase(pass, KL_PHASE_CHECKING, "checking health");
    look(pass);
}
