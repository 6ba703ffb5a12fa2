/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning, the rendering and the end of a pass. */
#include "daemon/pass.h"

#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/plugins.h"
#include "wire/jobs.h"

#define RENDER_MAX_RESOURCES 200000
#define RENDER_MAX_BYTES (256u << 20)

/* --- small things ----------------------------------------------------------------- */
enum kl_priority kl_pass_priority(const struct kl_pass *pass)
{
    if (pass->plan_done || pass->wish.trigger == KL_TRIGGER_PERSON)
        return KL_PRIORITY_PERSON;
    return pass->wish.trigger == KL_TRIGGER_DRIFT_CHECK ? KL_PRIORITY_DRIFT : KL_PRIORITY_COMMIT;
}

void kl_pass_step(struct kl_pass *pass, enum kl_phase phase, const char *result, const char *format, ...)
{
    struct kl_story *story = &pass->app->story;
    int64_t now = kl_clock_monotonic_ns();
    if (!pass->plan_done) {
        /* The last places are for how it ended. */
        if (story->step_count == KL_STORY_STEPS)
            story->step_count--;
        struct kl_step *step = &story->steps[story->step_count++];
        step->at_ms = kl_clock_wall_ms();
        step->took_ms = (now - pass->step_ns) / KL_NS_PER_MS;
        step->phase = phase;
        step->result = result;
        va_list args;
        va_start(args, format);
        vsnprintf(step->message, sizeof step->message, format, args);
        va_end(args);
    }
    pass->step_ns = now;
}

void kl_pass_phase(struct kl_pass *pass, enum kl_phase phase, const char *format, ...)
{
    if (pass->plan_done)
        return;
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    kl_app_show(pass->app, phase, KL_REASON_NONE, "%s", message);
}

int kl_pass_plugin(struct kl_pass *pass, struct kilter_arena *arena, const struct kl_manifest_plugin *plugin,
                   struct kilter_value **ret, struct kilter_error *err)
{
    struct kl_plugin_state *state = kl_engine_plugin(pass->app->engine, plugin->name);
    if (!state || !state->descriptor)
        return kilter_error_set(err, KILTER_E_NOT_FOUND, "plugin '%s' cannot be used: %s", plugin->name.ptr,
                                state ? state->error : "it is not loaded");
    struct kilter_value *map = kilter_map(arena), *config = NULL;
    int rc = kl_secret_resolve_config(arena, state->schemas.config, plugin->config, &config, NULL, err);
    if (rc < 0)
        return rc;
    kilter_set(arena, map, "name", kilter_string_c(arena, state->name));
    kilter_set(arena, map, "file", kilter_string_c(arena, state->file));
    if (config)
        kilter_set(arena, map, "config", config);
    *ret = map;
    return 0;
}

/* --- ending ------------------------------------------------------------------------- */
static void free_owned(void *owned)
{
    (void)owned; /* lives in the arena */
}

static void destroy_pass(struct kl_pass *pass)
{
    kl_map_release(&pass->owned, free_owned);
    kl_map_release(&pass->takers, free_owned);
    kl_artifact_unref(pass->artifact);
    kl_artifact_unref(pass->rendering);
    if (!pass->plan_shown)
        kl_plan_free(pass->plan);
    kl_txn_free(pass->txn);
    free(pass->sent);
    free(pass->order);
    free(pass->answered);
    kilter_arena_free(pass->arena);
    free(pass);
}

static void on_pass_closed(uv_handle_t *handle)
{
    destroy_pass(handle->data);
}

/* The pass is off its app; what is open of it closes. */
static void dispose(struct kl_pass *pass)
{
    if (pass->health_timer_open)
        uv_close((uv_handle_t *)&pass->health_timer, on_pass_closed);
    else
        destroy_pass(pass);
}

static bool worth_recording(const struct kl_app_state *app, const struct kl_pass *pass, enum kl_result result)
{
    if (pass->changed_anything)
        return true;
    if (result == KL_RESULT_SUPERSEDED || result == KL_RESULT_NONE)
        return false;
    if (result == KL_RESULT_SUCCEEDED)
        return strcmp(app->story.commit.id, app->applied.id) != 0;
    /* The same failure or wait again and again is one entry. */
    return app->error.time_ms >= pass->started_ms && app->retries <= 1;
}

static const char *result_word(enum kl_result result)
{
    static const char *const words[] = { "", "succeeded", "waiting", "failed", "superseded" };
    return words[result];
}

/* How many changes of each verb were made. */
static struct kilter_str counts_json(const struct kl_pass *pass)
{
    struct kilter_buf text = KILTER_BUF_INIT(4096);
    struct kilter_value *map = kilter_map(pass->arena);
    for (size_t verb = 1; verb < sizeof pass->done / sizeof pass->done[0]; verb++)
        if (pass->done[verb])
            kilter_set(pass->arena, map, kl_verb_word((enum kilter_verb)verb),
                       kilter_int(pass->arena, (int64_t)pass->done[verb]));
    kilter_json_write(&text, map, KILTER_SCHEMA_JSON, 0);
    struct kilter_str copy = kilter_arena_str(pass->arena, kilter_buf_view(&text));
    kilter_buf_release(&text);
    return copy;
}

static void record_history(struct kl_pass *pass, enum kl_result result, struct kl_txn *txn)
{
    struct kl_app_state *app = pass->app;
    struct kl_history_row row = {
        .id = kl_store_new_id(app->engine->store),
        .app = app->id,
        .started_ms = pass->started_ms,
        .finished_ms = kl_clock_wall_ms(),
        .commit = kilter_str_c(pass->commit.id),
        .previous_commit = kilter_str_c(app->applied.id),
        .author = kilter_str_c(pass->commit.author),
        .subject = kilter_str_c(pass->commit.subject),
        .trigger = kilter_str_c(kl_trigger_word(pass->wish.trigger)),
        .actor = kilter_str_c(pass->wish.actor),
        .result = kilter_str_c(result_word(result)),
        .reason = kilter_str_c(kl_reason_word(app->reason)),
        .counts = counts_json(pass),
        .plan_digest = kilter_str_c(pass->plan  ? pass->plan->digest
                                    : app->plan ? app->plan->digest
                                                : ""),
        .message = kilter_str_c(app->message),
        .summary = kilter_str_c("{}"),
    };
    app->story.pass = row.id;
    kl_txn_put_history(txn, &row);
    kl_engine_event(txn, app, result == KL_RESULT_SUCCEEDED ? "synced" : result_word(result),
                    result == KL_RESULT_FAILED ? KL_ERROR : KL_INFO, pass->wish.actor, &pass->commit, "%s",
                    app->message);
}

static void wake_dependents(struct kl_app_state *app)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&app->engine->apps, &at, &key, &value);) {
        struct kl_app_state *other = value;
        for (size_t i = 0; other->def && i < other->def->depends_count; i++)
            if (other->reason == KL_REASON_DEPENDENCY_NOT_READY &&
                kilter_str_eq_c(other->def->depends_on[i]->name, app->name))
                kl_app_trigger(other, KL_TRIGGER_DEPENDENCY, app->name, "");
    }
}

/* Takes the pass off its app, which goes on with what was asked for meanwhile. */
static void leave(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    app->pass = NULL;
    app->ended = pass->number;
    dispose(pass);
    kl_engine_touch(app->engine, app);
    if (app->closing)
        kl_app_dispose(app);
    else
        kl_pass_begin(app);
}

void kl_pass_end(struct kl_pass *pass, enum kl_result result)
{
    struct kl_app_state *app = pass->app;
    if (pass->plan_done) {
        if (result == KL_RESULT_SUPERSEDED)
            pass->plan_done(pass->plan_data, NULL, NULL, KL_REASON_SUPERSEDED, "the daemon or the app is ending",
                            NULL);
        else
            pass->plan_done(pass->plan_data, pass->plan, &pass->decision, KL_REASON_NONE, "", NULL);
        leave(pass);
        return;
    }
    if (result == KL_RESULT_SUPERSEDED && !pass->cancelled && pass->wish.trigger == KL_TRIGGER_PERSON &&
        strcmp(kl_app_wanted(app)->id, pass->commit.id) == 0) {
        /* What a person asked for holds for the pass that takes its place at the same commit. */
        app->wish.prune |= pass->wish.prune;
        app->wish.correct |= pass->wish.correct;
        app->wish.thorough |= pass->wish.thorough;
        if (app->wish.trigger != KL_TRIGGER_NONE) {
            app->wish.trigger = KL_TRIGGER_PERSON;
            memcpy(app->wish.actor, pass->wish.actor, sizeof app->wish.actor);
        }
    }
    if (!app->id) { /* it was removed, with all that the store had of it */
        leave(pass);
        return;
    }
    struct kl_txn *txn = kl_txn_new(app->engine->store);
    app->story.result = result;
    app->last_pass_ms = kl_clock_wall_ms();
    if (worth_recording(app, pass, result))
        record_history(pass, result, txn);
    if (result == KL_RESULT_SUCCEEDED && !pass->repair)
        app->applied = pass->commit;
    kl_app_save(app, txn);
    kl_engine_commit(app->engine, txn, KL_RELAXED);
    if (result == KL_RESULT_SUCCEEDED && !app->closing)
        wake_dependents(app);
    leave(pass);
}

void kl_pass_drop_queue(struct kl_app_state *app)
{
    while (app->queue) {
        struct kl_pass *pass = app->queue;
        app->queue = pass->next;
        pass->plan_done(pass->plan_data, NULL, NULL, KL_REASON_PLAN_FAILED, "the app changed or went; ask again",
                        NULL);
        destroy_pass(pass);
    }
}

static int64_t retry_delay_ns(const struct kl_app_state *app, int64_t floor_ns)
{
    int64_t delay = app->def ? app->def->policy.retry_first_ns : 5 * KL_NS_PER_S;
    int64_t most = app->def ? app->def->policy.retry_max_ns : 300 * KL_NS_PER_S;
    for (unsigned i = 1; i < app->retries && delay < most; i++)
        delay *= 2;
    if (delay > most)
        delay = most;
    return kl_random_jitter(delay > floor_ns ? delay : floor_ns, 10);
}

void kl_pass_fail(struct kl_pass *pass, enum kl_reason reason, bool transient, const char *plugin,
                  const struct kilter_diags *diags, const char *format, ...)
{
    struct kl_app_state *app = pass->app;
    char message[sizeof app->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (app->engine->draining && !pass->plan_done) {
        kl_pass_end(pass, KL_RESULT_SUPERSEDED); /* it fails because the daemon ends */
        return;
    }
    if (pass->plan_done) {
        pass->plan_done(pass->plan_data, NULL, NULL, reason, message, diags);
        leave(pass);
        return;
    }
    bool same = app->error.reason == reason && strcmp(app->error.message, message) == 0 && app->retries;
    app->retries = same || transient ? app->retries + 1 : 1;
    app->stuck = !transient;
    app->error.reason = reason;
    app->error.time_ms = kl_clock_wall_ms();
    snprintf(app->error.message, sizeof app->error.message, "%s", message);
    snprintf(app->error.plugin, sizeof app->error.plugin, "%s", plugin ? plugin : "");
    kilter_diags_free(app->diags);
    app->diags = NULL;
    if (diags && kilter_diags_count(diags) && (app->diags = kilter_diags_new(0)))
        for (size_t i = 0; i < kilter_diags_count(diags); i++)
            kilter_diag_copy(app->diags, kilter_diags_at(diags, i));
    kl_pass_step(pass, app->phase, "failed", "%s", message);
    if (reason == KL_REASON_PLAN_FAILED || reason == KL_REASON_RENDER_FAILED)
        app->sync = KL_STATE_UNKNOWN;
    kl_app_show(app, KL_PHASE_FAILED, reason, "%s", message);
    if (!same)
        kl_log(KILTER_LOG_WARNING, "app '%s': %s: %s", app->name, kl_reason_word(reason), message);
    int64_t drift = app->def ? app->def->policy.drift_interval_ns : 300 * KL_NS_PER_S;
    kl_app_schedule(app, transient ? retry_delay_ns(app, pass->retry_after_ns) : kl_random_jitter(drift, 10));
    kl_pass_end(pass, KL_RESULT_FAILED);
}

void kl_pass_fail_job(struct kl_pass *pass, enum kl_reason reason, const char *plugin,
                      const struct kl_job_outcome *outcome)
{
    struct kl_plugin_faults faults;
    if (outcome->quarantined) {
        reason = KL_REASON_PLUGIN_QUARANTINED;
        /* Trying before it is over would only be refused again. */
        if (kl_pool_plugin_faults(pass->app->engine->pool, kilter_str_c(plugin), &faults) && faults.quarantined)
            pass->retry_after_ns = (faults.until_ms - kl_clock_wall_ms()) * KL_NS_PER_MS;
    }
    char message[512];
    snprintf(message, sizeof message, "%s", outcome->message);
    /* The first diagnostic says more than "the input is invalid". */
    for (size_t i = 0; outcome->status == KILTER_E_INVALID && i < kilter_diags_count(outcome->diags); i++) {
        const struct kilter_diag *diag = kilter_diags_at(outcome->diags, i);
        if (diag->severity != KILTER_ERROR)
            continue;
        size_t errors = kilter_diags_errors(outcome->diags);
        if (diag->origin.file.len)
            snprintf(message, sizeof message, "%.*s:%u:%u: %.*s", KILTER_STR_ARG(diag->origin.file),
                     diag->origin.line, diag->origin.column, KILTER_STR_ARG(diag->message));
        else
            snprintf(message, sizeof message, "%.*s", KILTER_STR_ARG(diag->message));
        if (errors > 1)
            snprintf(message + strlen(message), sizeof message - strlen(message), " (and %zu more)", errors - 1);
        break;
    }
    kl_pass_fail(pass, reason, outcome->class == KL_JOB_TRANSIENT, plugin, outcome->diags, "%s", message);
}

bool kl_pass_stops(struct kl_pass *pass)
{
    if (!pass->cancelled && !pass->superseded && !pass->app->engine->draining)
        return false;
    if (pass->superseded && !pass->cancelled)
        kl_pass_step(pass, pass->app->phase, "skipped", "superseded by newer input");
    kl_pass_end(pass, KL_RESULT_SUPERSEDED);
    return true;
}

/* Between two looks: no job runs. */
static bool waits_for_health(const struct kl_pass *pass)
{
    return pass->health_timer_open && uv_is_active((const uv_handle_t *)&pass->health_timer);
}

void kl_pass_cancel(struct kl_pass *pass)
{
    pass->cancelled = true;
    if (waits_for_health(pass)) {
        uv_timer_stop(&pass->health_timer);
        kl_pass_stops(pass);
    } else if (pass->job &&
               !(pass->app->engine->draining && !pass->plan_done && pass->app->phase == KL_PHASE_APPLYING)) {
        kl_job_cancel(pass->job); /* but an apply has the pool's drain time to end by itself */
    }
}

void kl_pass_supersede(struct kl_pass *pass)
{
    if (pass->plan_done) {
        kl_pass_cancel(pass);
        return;
    }
    pass->superseded = true;
    if (waits_for_health(pass)) {
        uv_timer_stop(&pass->health_timer);
        kl_pass_stops(pass);
    } else if (pass->job && pass->app->phase != KL_PHASE_APPLYING) {
        kl_job_cancel(pass->job);
    }
}

void kl_pass_meet(struct kl_pass *pass, const struct kl_wish *wish)
{
    if (pass->plan_done || wish->trigger < KL_TRIGGER_RENDERER)
        return;
    bool newer = strcmp(kl_app_wanted(pass->app)->id, pass->commit.id) != 0;
    if (!newer && wish->trigger == KL_TRIGGER_COMMIT)
        return;
    if (!newer && pass->app->phase == KL_PHASE_APPLYING)
        return; /* it is doing what the wish would do; the next pass looks again */
    kl_pass_supersede(pass);
}

/* --- rendering -------------------------------------------------------------------------- */
static void on_rendered(void *data, const struct kl_job_outcome *outcome);

static bool artifact_fits(const struct kl_pass *pass, const struct kl_artifact *artifact)
{
    const struct kl_app *def = pass->app->def;
    if (!artifact || strcmp(artifact->commit, pass->commit.id) != 0 ||
        strcmp(artifact->render_digest, def->render_digest) != 0 || def->input_count)
        return false;
    struct kl_plugin_state *plugin = kl_engine_plugin(pass->app->engine, kilter_str_c(artifact->renderer));
    return plugin && strcmp(plugin->version, artifact->version) == 0;
}

static void on_render_item(void *data, const struct kilter_value *item, struct kilter_str encoded)
{
    struct kl_pass *pass = data;
    struct kl_artifact *artifact = pass->rendering;
    struct kilter_str kind = kilter_get_text(item, "kind");
    if (kilter_str_eq_c(kind, "asked")) {
        kl_asked_set_add(artifact->asked, item);
        return;
    }
    if (!kilter_str_eq_c(kind, "resource"))
        return;
    if (kl_artifact_add(artifact, encoded) < 0)
        kl_job_cancel(pass->job);
}

/* Inputs that are no secrets are variables like others. */
static int put_inputs(struct kl_pass *pass, struct kilter_value *arguments, struct kilter_error *err)
{
    const struct kl_app *def = pass->app->def;
    struct kilter_value *inputs = kilter_map(pass->arena);
    struct kilter_value *variables =
        def->variables ? kilter_value_copy(pass->arena, def->variables) : kilter_map(pass->arena);
    for (size_t i = 0; i < def->input_count; i++) {
        struct kilter_buf text = KILTER_BUF_INIT(KL_SECRET_MAX);
        int rc = kl_secret_resolve(&def->inputs[i].ref, &text, NULL, err);
        if (rc < 0) {
            kl_secret_wipe(&text);
            return kilter_error_wrap(err, "input %s", def->inputs[i].name.ptr);
        }
        struct kilter_value *value = kilter_string(pass->arena, kilter_buf_view(&text));
        kl_secret_wipe(&text);
        if (!value)
            return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
        if (def->inputs[i].secret)
            kilter_set_marks(value, KILTER_VALUE_SECRET);
        kilter_map_set(pass->arena, def->inputs[i].secret ? inputs : variables, def->inputs[i].name, value);
    }
    if (kilter_map_size(inputs))
        kilter_set(pass->arena, arguments, "inputs", inputs);
    kilter_set(pass->arena, arguments, "variables", variables);
    return 0;
}

/* What render and detect have in common. */
static struct kilter_value *tree_arguments(struct kl_pass *pass)
{
    const struct kl_app_state *app = pass->app;
    struct kilter_value *map = kilter_map(pass->arena);
    kilter_set(pass->arena, map, "mirror", kilter_string_c(pass->arena, app->source->mirror));
    kilter_set(pass->arena, map, "commit", kilter_string_c(pass->arena, pass->commit.id));
    kilter_set(pass->arena, map, "path", kilter_string(pass->arena, app->def->path));
    return map;
}

static int64_t phase_deadline_ms(const struct kl_pass *pass)
{
    return pass->app->def->policy.timeout_ns / KL_NS_PER_MS;
}

static int submit_render(struct kl_pass *pass, const struct kl_manifest_plugin *plugin, struct kilter_error *err)
{
    const struct kl_app *def = pass->app->def;
    struct kilter_arena *arena = pass->arena;
    struct kilter_value *arguments = tree_arguments(pass), *about = NULL;
    int rc = kl_pass_plugin(pass, pass->arena, plugin, &about, err);
    if (rc == 0)
        rc = put_inputs(pass, arguments, err);
    if (rc < 0)
        return rc;
    kilter_set(arena, arguments, "plugin", about);
    if (def->renderer_options)
        kilter_set(arena, arguments, "options", kilter_value_copy(arena, def->renderer_options));
    kilter_set(arena, arguments, "installation", kilter_string(arena, pass->app->engine->manifest->installation));
    kilter_set(arena, arguments, "app", kilter_string_c(arena, pass->app->name));
    kilter_set(arena, arguments, "substitute", kilter_bool(arena, def->substitute));
    kilter_set(arena, arguments, "maxResources", kilter_int(arena, RENDER_MAX_RESOURCES));
    kilter_set(arena, arguments, "maxBytes", kilter_int(arena, RENDER_MAX_BYTES));
    struct kl_job_spec spec = {
        .role = KL_ROLE_RENDER,
        .key = kilter_get_text(about, "file"),
        .plugin = plugin->name,
        .verb = KILTER_STR("render"),
        .arguments = arguments,
        .deadline_ms = phase_deadline_ms(pass),
        .priority = kl_pass_priority(pass),
        .handler = { .on_item = on_render_item, .on_done = on_rendered },
        .data = pass,
    };
    snprintf(pass->renderer, sizeof pass->renderer, "%s", plugin->name.ptr);
    memcpy(pass->rendering->render_digest, def->render_digest, sizeof pass->rendering->render_digest);
    return kl_pool_submit(pass->app->engine->pool, &spec, &pass->job, err);
}

static void on_detected(void *data, const struct kl_job_outcome *outcome)
{
    struct kl_pass *pass = data;
    struct kilter_error err = KILTER_ERROR_INIT;
    pass->job = NULL;
    if (kl_pass_stops(pass))
        return;
    if (outcome->status < 0) {
        kl_pass_fail_job(pass, KL_REASON_RENDER_FAILED, "", outcome);
        return;
    }
    struct kilter_str name = kilter_get_text(outcome->done, "plugin");
    const struct kl_manifest_plugin *plugin = kl_manifest_plugin(pass->app->engine->manifest, name);
    if (!plugin)
        kl_pass_fail(pass, KL_REASON_RENDER_FAILED, false, NULL, NULL,
                     "no renderer of the manifest takes '%s'; name one with renderer:", pass->app->def->path.ptr);
    else if (submit_render(pass, plugin, &err) < 0)
        kl_pass_fail(pass, KL_REASON_RENDER_FAILED, true, plugin->name.ptr, NULL, "%s", err.message);
}

static int submit_detect(struct kl_pass *pass, struct kilter_error *err)
{
    struct kl_engine *engine = pass->app->engine;
    struct kilter_value *arguments = tree_arguments(pass), *plugins = kilter_list(pass->arena);
    for (size_t i = 0; i < engine->manifest->plugin_count; i++) {
        const struct kl_manifest_plugin *plugin = &engine->manifest->plugins[i];
        struct kl_plugin_state *state = kl_engine_plugin(engine, plugin->name);
        struct kilter_value *about;
        if (state && state->schemas.detects && kl_pass_plugin(pass, pass->arena, plugin, &about, err) == 0)
            kilter_list_add(pass->arena, plugins, about);
    }
    kilter_set(pass->arena, arguments, "plugins", plugins);
    struct kl_job_spec spec = {
        .role = KL_ROLE_RENDER,
        .key = KILTER_STR("detect"),
        .verb = KILTER_STR("detect"),
        .arguments = arguments,
        .deadline_ms = phase_deadline_ms(pass),
        .priority = kl_pass_priority(pass),
        .handler = { .on_item = on_render_item, .on_done = on_detected },
        .data = pass,
    };
    return kl_pool_submit(engine->pool, &spec, &pass->job, err);
}

static void render(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    struct kilter_error err = KILTER_ERROR_INIT;
    if (!app->source) {
        kl_pass_fail(pass, KL_REASON_SOURCE_UNAVAILABLE, true, NULL, NULL,
                     "the app is not in the manifest any more");
        return;
    }
    if (artifact_fits(pass, app->artifact)) {
        pass->artifact = kl_artifact_ref(app->artifact);
        kl_pass_step(pass, KL_PHASE_RENDERING, "skipped", "nothing that %s asks of the tree has moved", app->name);
        kl_pass_plan_begin(pass);
        return;
    }
    kl_pass_phase(pass, KL_PHASE_RENDERING, "rendering %.12s", pass->commit.id);
    pass->rendering = kl_artifact_new();
    int rc;
    if (!pass->rendering)
        rc = kilter_error_set(&err, KILTER_E_NOMEM, "out of memory");
    else if (app->def->renderer_plugin)
        rc = submit_render(pass, app->def->renderer_plugin, &err);
    else
        rc = submit_detect(pass, &err);
    if (rc < 0)
        kl_pass_fail(pass, KL_REASON_RENDER_FAILED, true, pass->renderer, NULL, "%s", err.message);
}

static void copy_text(char *to, size_t size, struct kilter_str text)
{
    snprintf(to, size, "%.*s", KILTER_STR_ARG(text));
}

static void on_rendered(void *data, const struct kl_job_outcome *outcome)
{
    struct kl_pass *pass = data;
    struct kl_app_state *app = pass->app;
    pass->job = NULL;
    if (kl_pass_stops(pass))
        return;
    if (outcome->status < 0) {
        kl_pass_fail_job(pass, KL_REASON_RENDER_FAILED, pass->renderer, outcome);
        return;
    }
    struct kl_artifact *artifact = pass->rendering;
    kl_asked_set_seal(artifact->asked);
    copy_text(artifact->commit, sizeof artifact->commit, kilter_str_c(pass->commit.id));
    copy_text(artifact->renderer, sizeof artifact->renderer, kilter_get_text(outcome->done, "renderer"));
    copy_text(artifact->version, sizeof artifact->version, kilter_get_text(outcome->done, "version"));
    copy_text(artifact->digest, sizeof artifact->digest, kilter_get_text(outcome->done, "digest"));
    kilter_get_bool(outcome->done, "secret", &artifact->secret);
    pass->artifact = artifact;
    pass->rendering = NULL;
    kl_pass_step(pass, KL_PHASE_RENDERING, "ok", "%zu resources by %s %s", artifact->count, artifact->renderer,
                 artifact->version);
    bool wanted = strcmp(pass->commit.id, kl_app_wanted(app)->id) == 0;
    if (wanted && !pass->destroy) {
        kl_artifact_unref(app->artifact);
        app->artifact = kl_artifact_ref(artifact);
        struct kl_txn *txn = kl_txn_new(app->engine->store);
        kl_artifact_keep(artifact, app->id, txn);
        kl_engine_commit(app->engine, txn, KL_RELAXED);
    }
    kl_pass_plan_begin(pass);
}

/* --- beginning ----------------------------------------------------------------------------- */
static struct kl_pass *new_pass(struct kl_app_state *app)
{
    struct kl_pass *pass = calloc(1, sizeof *pass);
    if (!pass)
        return NULL;
    pass->app = app;
    pass->arena = kilter_arena_new(0);
    pass->health = KILTER_HEALTH_UNKNOWN;
    if (!pass->arena) {
        free(pass);
        return NULL;
    }
    return pass;
}

static void start(struct kl_pass *pass)
{
    struct kl_app_state *app = pass->app;
    app->pass = pass;
    pass->number = ++app->begun;
    pass->started_ms = kl_clock_wall_ms();
    pass->step_ns = kl_clock_monotonic_ns();
    if (!pass->plan_done) {
        uv_timer_stop(&app->timer);
        app->next_ms = 0;
        struct kl_story story = { .wish = pass->wish, .at_ms = pass->started_ms, .commit = pass->commit };
        app->story = story;
    }
    if (pass->destroy || pass->repair) {
        pass->artifact = pass->destroy ? NULL : kl_artifact_ref(app->good_artifact);
        kl_pass_plan_begin(pass);
    } else {
        render(pass);
    }
}

/* Why the app may not work now, or KL_REASON_NONE. */
static enum kl_reason held_by(const struct kl_app_state *app)
{
    if (app->suspension.on || (app->def && app->def->suspend))
        return KL_REASON_SUSPENDED;
    if (app->removal == KL_REMOVAL_NONE && !kl_app_wanted(app)->id[0])
        return KL_REASON_SOURCE_UNAVAILABLE;
    return KL_REASON_NONE;
}

static void show_held(struct kl_app_state *app, enum kl_reason reason)
{
    if (reason == KL_REASON_SUSPENDED) {
        app->wish = (struct kl_wish){ 0 };
        app->health = app->health == KILTER_HEALTH_UNKNOWN ? KILTER_HEALTH_SUSPENDED : app->health;
        const char *why = app->suspension.reason[0] ? app->suspension.reason : "no reason was given";
        kl_app_show(app, KL_PHASE_WAITING, reason, "%s",
                    app->suspension.on ? why : "the manifest says suspend: true");
        if (app->suspension.on && app->suspension.until_ms) {
            int64_t left = app->suspension.until_ms - kl_clock_wall_ms();
            kl_app_schedule(app, (left > 0 ? left : 0) * KL_NS_PER_MS);
        }
    } else if (app->source && app->source->error[0]) {
        kl_app_show(app, KL_PHASE_FAILED, reason, "source '%s': %s", app->source->name, app->source->error);
    } else {
        kl_app_show(app, KL_PHASE_FETCHING, KL_REASON_NONE, "waits for the first fetch of source '%s'",
                    app->def->source->name.ptr);
    }
}

void kl_pass_begin(struct kl_app_state *app)
{
    if (app->pass || app->closing || app->engine->draining)
        return;
    if (app->queue) {
        struct kl_pass *pass = app->queue;
        app->queue = pass->next;
        start(pass);
        return;
    }
    if (app->wish.trigger == KL_TRIGGER_NONE)
        return;
    if (!app->def) { /* what it owns waits for its target's plugin to come back */
        app->wish = (struct kl_wish){ 0 };
        return;
    }
    enum kl_reason reason = held_by(app);
    if (reason) {
        show_held(app, reason);
        return;
    }
    bool removing = app->removal != KL_REMOVAL_NONE;
    bool repair = !removing && app->stuck && app->good_artifact && app->wish.trigger < KL_TRIGGER_RENDERER;
    if (!removing && app->stuck && !repair) {
        app->wish = (struct kl_wish){ 0 };
        return;
    }
    struct kl_pass *pass = new_pass(app);
    if (!pass) {
        kl_app_show(app, KL_PHASE_FAILED, KL_REASON_PLAN_FAILED, "out of memory");
        kl_app_schedule(app, 30 * KL_NS_PER_S);
        return;
    }
    pass->wish = app->wish;
    app->wish = (struct kl_wish){ 0 };
    pass->commit = *kl_app_wanted(app);
    if (!removing && app->last_bad.id[0] && strcmp(app->last_bad.id, pass->commit.id) == 0 && app->last_good.id[0])
        pass->commit = app->last_good;
    pass->destroy = removing;
    pass->forget = app->removal == KL_REMOVAL_FORGET;
    pass->repair = repair;
    if (repair)
        snprintf(pass->commit.id, sizeof pass->commit.id, "%s", app->good_artifact->commit);
    start(pass);
}

int kl_pass_plan(struct kl_app_state *app, const struct kl_plan_ask *ask, kl_plan_fn done, void *data)
{
    struct kl_pass *pass = new_pass(app);
    if (!pass)
        return KILTER_E_NOMEM;
    pass->plan_done = done;
    pass->plan_data = data;
    pass->wish.trigger = ask->person_sync ? KL_TRIGGER_PERSON : KL_TRIGGER_DRIFT_CHECK;
    pass->wish.correct = ask->correct;
    pass->wish.prune = ask->prune;
    pass->wish.thorough = ask->thorough;
    pass->commit = ask->commit ? *ask->commit : *kl_app_wanted(app);
    pass->aside = ask->commit || ask->destroy || app->pin.commit.id[0] || app->last_bad.id[0];
    pass->destroy = ask->destroy;
    struct kl_pass **last = &app->queue;
    while (*last)
        last = &(*last)->next;
    *last = pass;
    kl_pass_begin(app);
    return 0;
}
