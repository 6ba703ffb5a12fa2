/* SPDX-License-Identifier: Apache-2.0 */
/* An app's state: what is shown of it, what is kept of it, and when it is worked on next. */
#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/engine.h"
#include "daemon/pass.h"

static void set_text(char *to, size_t size, struct kilter_str text)
{
    size_t len = text.len < size - 1 ? text.len : size - 1;
    if (len)
        memcpy(to, text.ptr, len);
    to[len] = '\0';
}

#define SET(field, text) set_text((field), sizeof(field), (text))

/* --- commits -------------------------------------------------------------------- */
struct kilter_value *kl_commit_value(struct kilter_arena *arena, const struct kl_commit *commit)
{
    struct kilter_value *map = kilter_map(arena);
    kilter_set(arena, map, "id", kilter_string_c(arena, commit->id));
    kilter_set(arena, map, "author", kilter_string_c(arena, commit->author));
    kilter_set(arena, map, "email", kilter_string_c(arena, commit->email));
    kilter_set(arena, map, "subject", kilter_string_c(arena, commit->subject));
    kilter_set(arena, map, "time", kilter_int(arena, commit->time));
    return map;
}

void kl_commit_read(const struct kilter_value *map, struct kl_commit *ret)
{
    memset(ret, 0, sizeof *ret);
    SET(ret->id, kilter_get_text(map, "id"));
    SET(ret->author, kilter_get_text(map, "author"));
    SET(ret->email, kilter_get_text(map, "email"));
    SET(ret->subject, kilter_get_text(map, "subject"));
    kilter_get_int(map, "time", &ret->time);
}

/* --- making ---------------------------------------------------------------------- */
static void on_timer(uv_timer_t *timer)
{
    struct kl_app_state *app = timer->data;
    app->next_ms = 0;
    if (app->suspension.on && app->suspension.until_ms && kl_clock_wall_ms() >= app->suspension.until_ms) {
        app->suspension.on = false;
        kl_engine_log_event(app->engine, app, "resumed", KL_INFO, "timer", "the suspension is over");
    }
    kl_app_trigger(app, app->retries ? KL_TRIGGER_RETRY : KL_TRIGGER_DRIFT_CHECK, "timer", "");
}

struct kl_app_state *kl_app_new(struct kl_engine *engine, int64_t id, const struct kl_app *def, const char *name)
{
    struct kl_app_state *app = calloc(1, sizeof *app);
    if (!app)
        return NULL;
    app->engine = engine;
    app->id = id;
    app->name = strdup(name);
    app->health = KILTER_HEALTH_UNKNOWN;
    app->since_ms = kl_clock_wall_ms();
    if (!app->name || kl_map_put(&engine->apps, kilter_str_c(app->name), app, NULL) < 0) {
        free(app->name);
        free(app);
        return NULL;
    }
    uv_timer_init(engine->loop, &app->timer);
    app->timer.data = app;
    engine->open_handles++;
    kl_app_define(app, def);
    return app;
}

void kl_app_define(struct kl_app_state *app, const struct kl_app *def)
{
    app->def = def;
    app->source = def && def->source ? kl_engine_source(app->engine, def->source->name) : NULL;
    kl_engine_touch(app->engine, app);
}

static void free_note(void *note)
{
    free(note);
}

static void on_closed(uv_handle_t *handle)
{
    struct kl_app_state *app = handle->data;
    struct kl_engine *engine = app->engine;
    kl_map_release(&app->notes, free_note);
    kl_artifact_unref(app->artifact);
    kl_artifact_unref(app->good_artifact);
    kl_plan_free(app->plan);
    kilter_diags_free(app->diags);
    kl_manifest_unref(app->orphan);
    kilter_arena_free(app->orphan_arena);
    free(app->saved);
    free(app->name);
    free(app);
    kl_engine_handle_closed(engine);
}

void kl_app_close(struct kl_app_state *app)
{
    if (app->closing)
        return;
    app->closing = true;
    kl_map_remove(&app->engine->apps, kilter_str_c(app->name));
    kl_engine_touch(app->engine, app);
    uv_timer_stop(&app->timer);
    if (app->pass)
        kl_pass_cancel(app->pass); /* which closes the app when it is over */
    else
        kl_app_dispose(app);
}

void kl_app_dispose(struct kl_app_state *app)
{
    kl_pass_drop_queue(app);
    uv_close((uv_handle_t *)&app->timer, on_closed);
}

/* --- wishes ------------------------------------------------------------------------ */
void kl_app_want(struct kl_app_state *app, const struct kl_wish *wish)
{
    if (app->closing || app->engine->draining || (app->lost && app->removal == KL_REMOVAL_NONE))
        return;
    struct kl_wish *have = &app->wish;
    bool stronger = wish->trigger >= have->trigger;
    have->prune |= wish->prune;
    have->correct |= wish->correct;
    have->thorough |= wish->thorough;
    if (wish->approve[0])
        memcpy(have->approve, wish->approve, sizeof have->approve);
    if (stronger) {
        have->trigger = wish->trigger;
        memcpy(have->actor, wish->actor, sizeof have->actor);
        memcpy(have->note, wish->note, sizeof have->note);
    }
    /* New input ends what a terminal failure had stopped. */
    if (wish->trigger >= KL_TRIGGER_RENDERER)
        app->stuck = false;
    if (app->pass)
        kl_pass_meet(app->pass, wish);
    else
        kl_pass_begin(app);
}

void kl_app_trigger(struct kl_app_state *app, enum kl_trigger trigger, const char *actor, const char *note)
{
    struct kl_wish wish = { .trigger = trigger };
    SET(wish.actor, kilter_str_c(actor));
    SET(wish.note, kilter_str_c(note));
    kl_app_want(app, &wish);
}

void kl_app_show(struct kl_app_state *app, enum kl_phase phase, enum kl_reason reason, const char *format, ...)
{
    char message[sizeof app->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (app->phase == phase && app->reason == reason && strcmp(app->message, message) == 0)
        return;
    if (app->phase != phase || app->reason != reason)
        app->since_ms = kl_clock_wall_ms();
    app->phase = phase;
    app->reason = reason;
    memcpy(app->message, message, sizeof message);
    kl_engine_touch(app->engine, app);
}

void kl_app_schedule(struct kl_app_state *app, int64_t delay_ns)
{
    if (app->closing || app->engine->options.passive)
        return;
    uint64_t ms = (uint64_t)(delay_ns / KL_NS_PER_MS);
    app->next_ms = kl_clock_wall_ms() + (int64_t)ms;
    uv_timer_start(&app->timer, on_timer, ms, 0);
}

/* --- what it is to be, and whether it is -------------------------------------------- */
static const struct kl_commit no_commit;

const struct kl_commit *kl_app_wanted(const struct kl_app_state *app)
{
    if (app->pin.commit.id[0])
        return &app->pin.commit;
    return app->source ? &app->source->commit : &no_commit;
}

bool kl_app_ready(const struct kl_app_state *app)
{
    return app->sync == KL_STATE_SYNCED && app->health == KILTER_HEALTHY &&
           strcmp(app->applied.id, kl_app_wanted(app)->id) == 0;
}

/* From the same source: ready at the same commit; else the last known readiness. */
bool kl_app_dependencies_ready(const struct kl_app_state *app, const char **ret_blocker)
{
    for (size_t i = 0; app->def && i < app->def->depends_count; i++) {
        const struct kl_app *def = app->def->depends_on[i];
        const struct kl_app_state *other = kl_engine_app(app->engine, def->name);
        bool ready = other && other->sync == KL_STATE_SYNCED && other->health == KILTER_HEALTHY;
        if (ready && other->source == app->source && !app->pin.commit.id[0])
            ready = kl_app_ready(other) && !other->pass;
        if (!ready) {
            *ret_blocker = def->name.ptr;
            return false;
        }
    }
    return true;
}

struct kl_resource_note *kl_app_note(struct kl_app_state *app, struct kilter_str key)
{
    struct kl_resource_note *note = kl_map_get(&app->notes, key);
    if (note)
        return note;
    note = calloc(1, sizeof *note);
    if (note && kl_map_put(&app->notes, key, note, NULL) < 0) {
        free(note);
        return NULL;
    }
    if (note)
        note->health = KILTER_HEALTH_UNKNOWN;
    return note;
}

/* --- the state document --------------------------------------------------------------- */
static void put_text(struct kilter_arena *arena, struct kilter_value *map, const char *key, const char *text)
{
    if (text[0])
        kilter_set(arena, map, key, kilter_string_c(arena, text));
}

static void put_commit(struct kilter_arena *arena, struct kilter_value *map, const char *key,
                       const struct kl_commit *commit)
{
    if (commit->id[0])
        kilter_set(arena, map, key, kl_commit_value(arena, commit));
}

static struct kilter_value *drift_value(const struct kl_app_state *app, struct kilter_arena *arena)
{
    struct kilter_value *map = kilter_map(arena);
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&app->notes, &at, &key, &value);) {
        const struct kl_resource_note *note = value;
        if (note->drift_since_ms)
            kilter_map_set(arena, map, key, kilter_int(arena, note->drift_since_ms));
    }
    return map;
}

static struct kilter_value *state_value(const struct kl_app_state *app, struct kilter_arena *arena)
{
    struct kilter_value *map = kilter_map(arena);
    put_commit(arena, map, "applied", &app->applied);
    put_commit(arena, map, "lastGood", &app->last_good);
    put_commit(arena, map, "lastBad", &app->last_bad);
    put_text(arena, map, "appliedDigest", app->applied_digest);
    put_text(arena, map, "appliedRenderer", app->applied_renderer);
    put_text(arena, map, "approved", app->approved);
    put_text(arena, map, "rejected", app->rejected);
    put_text(arena, map, "identity", app->identity);
    if (app->rebuilt)
        kilter_set(arena, map, "rebuilt", kilter_bool(arena, true));
    put_text(arena, map, "sync", kl_sync_state_word(app->sync));
    put_text(arena, map, "health", kl_health_state(app->health));
    put_text(arena, map, "reason", kl_reason_word(app->reason));
    put_text(arena, map, "message", app->message);
    kilter_set(arena, map, "since", kilter_int(arena, app->since_ms));
    if (app->pin.commit.id[0]) {
        struct kilter_value *pin = kilter_map(arena);
        put_commit(arena, pin, "commit", &app->pin.commit);
        put_text(arena, pin, "by", app->pin.by);
        put_text(arena, pin, "reason", app->pin.reason);
        kilter_set(arena, pin, "since", kilter_int(arena, app->pin.since_ms));
        kilter_set(arena, map, "pin", pin);
    }
    if (app->suspension.on) {
        struct kilter_value *suspended = kilter_map(arena);
        kilter_set(arena, suspended, "since", kilter_int(arena, app->suspension.since_ms));
        kilter_set(arena, suspended, "until", kilter_int(arena, app->suspension.until_ms));
        if (app->suspension.after_removal)
            kilter_set(arena, suspended, "afterRemoval", kilter_bool(arena, true));
        put_text(arena, suspended, "by", app->suspension.by);
        put_text(arena, suspended, "reason", app->suspension.reason);
        kilter_set(arena, map, "suspended", suspended);
    }
    if (app->def) {
        /* What it takes to deal with the app once it has left the manifest. */
        struct kilter_value *removal = kilter_map(arena);
        put_text(arena, removal, "onRemove", kl_on_remove_word(app->def->policy.on_remove));
        const struct kl_target *target = app->def->target;
        put_text(arena, removal, "target", target->name.ptr);
        put_text(arena, removal, "plugin", target->plugin->name.ptr);
        if (target->options)
            kilter_set(arena, removal, "options", kilter_value_copy(arena, target->options));
        if (target->allow)
            kilter_set(arena, removal, "allow", kilter_value_copy(arena, target->allow));
        kilter_set(arena, removal, "maxDeletes", kilter_int(arena, app->def->policy.max_deletes.value));
        if (app->def->policy.max_deletes.percent)
            kilter_set(arena, removal, "maxDeletesPercent", kilter_bool(arena, true));
        kilter_set(arena, map, "removal", removal);
    }
    struct kilter_value *drift = drift_value(app, arena);
    if (drift && kilter_map_size(drift))
        kilter_set(arena, map, "drift", drift);
    return map;
}

void kl_app_save(struct kl_app_state *app, struct kl_txn *txn)
{
    if (!app->def)
        return; /* what the store has says more: how to deal with what the app owns */
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_buf text = KILTER_BUF_INIT(16u << 20);
    struct kilter_value *value = arena ? state_value(app, arena) : NULL;
    if (value && kilter_json_write(&text, value, KILTER_SCHEMA_JSON, 0) == 0 &&
        (!app->saved || strcmp(app->saved, text.ptr) != 0)) {
        kl_txn_put_app_state(txn, app->id, kilter_buf_view(&text));
        free(app->saved);
        app->saved = text.ptr; /* handed over */
        text = (struct kilter_buf)KILTER_BUF_INIT(1);
    }
    kilter_buf_release(&text);
    kilter_arena_free(arena);
}

static void restore_drift(struct kl_app_state *app, const struct kilter_value *drift)
{
    for (size_t i = 0; drift && i < kilter_map_size(drift); i++) {
        struct kilter_scalar since;
        struct kl_resource_note *note = kl_app_note(app, kilter_text(kilter_map_key_at(drift, i)));
        if (note && kilter_resolve(kilter_map_at(drift, i), KILTER_SCHEMA_JSON, &since) == 0 &&
            since.kind == KILTER_INT)
            note->drift_since_ms = since.as.integer;
    }
}

void kl_app_restore(struct kl_app_state *app, struct kilter_str json)
{
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kilter_value *map;
    if (!arena || kilter_json_read(arena, json, NULL, &map, NULL) < 0) {
        kl_log(KILTER_LOG_ERROR, "app '%s': the stored state is unreadable; it is looked at anew", app->name);
        kilter_arena_free(arena);
        return;
    }
    kl_commit_read(kilter_get(map, "applied"), &app->applied);
    kl_commit_read(kilter_get(map, "lastGood"), &app->last_good);
    kl_commit_read(kilter_get(map, "lastBad"), &app->last_bad);
    SET(app->applied_digest, kilter_get_text(map, "appliedDigest"));
    SET(app->applied_renderer, kilter_get_text(map, "appliedRenderer"));
    SET(app->approved, kilter_get_text(map, "approved"));
    SET(app->rejected, kilter_get_text(map, "rejected"));
    SET(app->identity, kilter_get_text(map, "identity"));
    kilter_get_bool(map, "rebuilt", &app->rebuilt);
    app->sync = kl_sync_state_of(kilter_get_text(map, "sync"));
    app->health = kl_health_state_of(kilter_get_text(map, "health"));
    app->reason = kl_reason_of(kilter_get_text(map, "reason"));
    SET(app->message, kilter_get_text(map, "message"));
    kilter_get_int(map, "since", &app->since_ms);
    const struct kilter_value *pin = kilter_get(map, "pin");
    kl_commit_read(kilter_get(pin, "commit"), &app->pin.commit);
    SET(app->pin.by, kilter_get_text(pin, "by"));
    SET(app->pin.reason, kilter_get_text(pin, "reason"));
    kilter_get_int(pin, "since", &app->pin.since_ms);
    const struct kilter_value *suspended = kilter_get(map, "suspended");
    app->suspension.on = suspended != NULL;
    kilter_get_bool(suspended, "afterRemoval", &app->suspension.after_removal);
    kilter_get_int(suspended, "since", &app->suspension.since_ms);
    kilter_get_int(suspended, "until", &app->suspension.until_ms);
    SET(app->suspension.by, kilter_get_text(suspended, "by"));
    SET(app->suspension.reason, kilter_get_text(suspended, "reason"));
    restore_drift(app, kilter_get(map, "drift"));
    free(app->saved);
    app->saved = strndup(json.ptr, json.len);
    kilter_arena_free(arena);
}
