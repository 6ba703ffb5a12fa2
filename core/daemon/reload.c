/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/reload.h"

#include <kilter/yaml.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/maintain.h"
#include "daemon/pass.h"
#include "daemon/plugins.h"

struct kl_reload {
    struct kl_engine *engine;
    kl_reload_fn done;
    void *data;
    char actor[80];
    struct kl_manifest *draft; /* loaded without the plugins' tables */
    bool again; /* another one was asked for meanwhile: the files may have moved since they were read */
};

/* --- apps that left the manifest ----------------------------------------------------------------- */
/* What is left of an app that only the store knows: enough to plan the end of what it owns. */
struct orphan_def {
    struct kl_app app;
    struct kl_target target;
};

static struct orphan_def *orphan_def(struct kl_engine *engine, struct kilter_arena *arena, const char *name,
                                     const struct kilter_value *removal)
{
    struct orphan_def *def = kilter_arena_alloc(arena, sizeof *def);
    if (!def)
        return NULL;
    const struct kl_manifest_plugin *plugin =
        kl_manifest_plugin(engine->manifest, kilter_get_text(removal, "plugin"));
    int64_t limit = 10;
    bool percent = false;
    kilter_get_int(removal, "maxDeletes", &limit);
    kilter_get_bool(removal, "maxDeletesPercent", &percent);
    def->target = (struct kl_target){
        .name = kilter_arena_str(arena, kilter_get_text(removal, "target")),
        .plugin = plugin,
        .options = kilter_value_copy(arena, kilter_get(removal, "options")),
        .allow = kilter_value_copy(arena, kilter_get(removal, "allow")),
        .concurrency = 1,
    };
    def->app = (struct kl_app){
        .name = kilter_arena_str(arena, kilter_str_c(name)),
        .target = &def->target,
        .policy = { .name = KILTER_STR("default"),
                    .max_deletes = { percent, (uint32_t)limit },
                    .on_remove = kilter_str_eq_c(kilter_get_text(removal, "onRemove"), "delete")
                                     ? KL_ON_REMOVE_DELETE
                                     : KL_ON_REMOVE_KEEP,
                    .prune = true,
                    .drift_interval_ns = 300 * KL_NS_PER_S,
                    .timeout_ns = 300 * KL_NS_PER_S,
                    .retry_first_ns = 5 * KL_NS_PER_S,
                    .retry_max_ns = 300 * KL_NS_PER_S },
    };
    return def;
}

/* What knows the definition of an app that is no longer in the manifest that runs. */
static void keep_orphan(struct kl_app_state *app, struct kl_manifest *manifest)
{
    kl_manifest_ref(manifest);
    kl_manifest_unref(app->orphan);
    app->orphan = manifest;
}

/* What works by the old definition stops at its next boundary; what it has begun to ask of the old target must not
 * go on at the new one. */
static void definition_moved(struct kl_app_state *app)
{
    kl_pass_drop_queue(app);
    if (app->pass)
        kl_pass_supersede(app->pass);
}

/* Nobody can say whether the app left the manifest. */
static void leave_alone(struct kl_app_state *app)
{
    app->lost = true;
    app->source = NULL;
    app->wish = (struct kl_wish){ 0 };
    kl_pass_drop_queue(app);
    if (app->pass)
        kl_pass_cancel(app->pass);
    kl_app_show(app, KL_PHASE_WAITING, KL_REASON_NONE,
                "it is not in the manifest, of which an included directory is missing: it is left alone");
    kl_log(KILTER_LOG_WARNING,
           "app '%s' is not in the manifest, of which an included directory is missing: it is left alone",
           app->name);
}

static void begin_removal(struct kl_app_state *app, const char *actor)
{
    bool destroys = app->def->policy.on_remove == KL_ON_REMOVE_DELETE;
    app->lost = false;
    app->keep_after_removal = false;
    if (app->suspension.after_removal)
        app->suspension = (struct kl_suspension){ 0 };
    app->removal = destroys ? KL_REMOVAL_DELETE : KL_REMOVAL_FORGET;
    app->source = NULL;
    app->stuck = false;
    struct kl_txn *txn = kl_txn_new(app->engine->store);
    kl_txn_set_app_removed(txn, app->id, true);
    kl_engine_event(txn, app, "removed", KL_WARNING, actor, NULL,
                    "left the manifest; what it owns is %s (onRemove: %s)",
                    destroys ? "deleted" : "kept and forgotten", kl_on_remove_word(app->def->policy.on_remove));
    kl_engine_commit(app->engine, txn, KL_RELAXED);
    definition_moved(app);
    kl_app_trigger(app, KL_TRIGGER_MANIFEST, actor, "the app left the manifest");
}

/* Gives an app that only the store knows the definition that its state document keeps. */
static void define_removed(struct kl_app_state *app, bool may_remove)
{
    struct kl_engine *engine = app->engine;
    struct kilter_value *state = NULL;
    if (!app->orphan_arena)
        app->orphan_arena = kilter_arena_new(0);
    if (app->orphan_arena && app->saved)
        kilter_json_read(app->orphan_arena, kilter_str_c(app->saved), NULL, &state, NULL);
    struct orphan_def *def =
        state ? orphan_def(engine, app->orphan_arena, app->name, kilter_get(state, "removal")) : NULL;
    if (!def || !def->target.plugin) {
        app->removal = KL_REMOVAL_FORGET;
        kl_app_show(
            app, KL_PHASE_FAILED, KL_REASON_PLAN_FAILED,
            "it left the manifest, and so did the plugin of its target '%s'; put the plugin back so that what "
            "the app owns can be dealt with, or give up its records with 'kilter state rm'",
            def ? def->target.name.ptr : "");
        return;
    }
    keep_orphan(app, engine->manifest); /* which has the plugin of its target */
    kl_app_define(app, &def->app);
    if (may_remove)
        begin_removal(app, "manifest");
    else
        leave_alone(app);
}

/* An app that only the store knows, found at the start. */
static void adopt_removed(struct kl_engine *engine, const struct kl_app_row *row, bool may_remove)
{
    char name[512];
    snprintf(name, sizeof name, "%.*s", KILTER_STR_ARG(row->name));
    struct kl_app_state *app = kl_app_new(engine, row->id, NULL, name);
    if (!app)
        return;
    kl_app_restore(app, row->state);
    define_removed(app, may_remove);
}

/* The plugin of their target may be back. */
static void define_again(struct kl_engine *engine, bool may_remove)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->apps, &at, &key, &value);)
        if (!((struct kl_app_state *)value)->def)
            define_removed(value, may_remove);
}

/* --- one manifest into the next --------------------------------------------------------------------- */
static void add_app(struct kl_engine *engine, const struct kl_app *def, const char *actor)
{
    int64_t id = kl_store_new_id(engine->store);
    struct kl_app_state *app = kl_app_new(engine, id, def, def->name.ptr);
    if (!app)
        return;
    struct kl_txn *txn = kl_txn_new(engine->store);
    struct kl_app_row row = { .id = id, .name = def->name, .target = def->target->name, .state = KILTER_STR("{}") };
    kl_txn_put_app(txn, &row);
    kl_app_save(app, txn);
    kl_engine_commit(engine, txn, KL_DURABLE);
    if (engine->options.passive)
        return;
    kl_app_trigger(app, KL_TRIGGER_MANIFEST, actor, "the app is new");
    kl_source_poll(app->source, false, NULL, NULL); /* what it needs may be newer than the last look */
}

static void rename_app(struct kl_app_state *app, const struct kl_app *def, const char *actor)
{
    struct kl_engine *engine = app->engine;
    char *name = strdup(def->name.ptr), *old = app->name;
    if (!name || kl_map_put(&engine->apps, def->name, app, NULL) < 0) {
        free(name);
        return;
    }
    struct kl_txn *txn = kl_txn_new(engine->store);
    app->name = name;
    kl_txn_rename_app(txn, app->id, def->name);
    kl_engine_event(txn, app, "renamed", KL_INFO, actor, NULL, "renamed from %s", old);
    kl_engine_commit(engine, txn, KL_DURABLE);
    kl_map_remove(&engine->apps, kilter_str_c(old));
    free(old);
}

/* The definitions that the unchanged apps point to live in the new manifest now. */
static void redefine(struct kl_app_state *app, const struct kl_app *def, bool changed, const char *actor)
{
    kl_app_define(app, def);
    if (!changed)
        return;
    app->stuck = false;
    app->last_bad = (struct kl_commit){ 0 };
    definition_moved(app);
    if (app->engine->options.passive)
        return;
    kl_app_trigger(app, KL_TRIGGER_MANIFEST, actor, "its definition changed");
    kl_source_poll(app->source, false, NULL, NULL);
}

static void move_sources(struct kl_engine *engine, const struct kl_manifest_diff *diff)
{
    for (size_t i = 0; i < diff->source_count; i++) {
        const struct kl_manifest_move *move = &diff->sources[i];
        const struct kl_source *before = move->before, *after = move->after;
        struct kl_source_state *source = before ? kl_engine_source(engine, before->name) : NULL;
        if (after && source)
            kl_source_define(source, after);
        else if (after)
            kl_source_new(engine, after);
    }
}

static void close_gone_sources(struct kl_engine *engine, const struct kl_manifest_diff *diff)
{
    for (size_t i = 0; i < diff->source_count; i++) {
        const struct kl_source *before = diff->sources[i].before;
        if (diff->sources[i].moved != KL_MOVED_REMOVED)
            continue;
        struct kl_source_state *source = kl_engine_source(engine, before->name);
        if (!source)
            continue;
        struct kl_txn *txn = kl_txn_new(engine->store);
        kl_txn_delete_source(txn, before->name);
        kl_engine_commit(engine, txn, KL_RELAXED);
        kl_source_close(source);
    }
}

static void move_app(struct kl_engine *engine, const struct kl_manifest_move *move, struct kl_manifest *old,
                     bool may_remove, const char *actor)
{
    const struct kl_app *before = move->before, *after = move->after;
    struct kl_app_state *app = before ? kl_engine_app(engine, before->name) : NULL;
    if (move->moved == KL_MOVED_REMOVED) {
        if (!app)
            return;
        keep_orphan(app, old);
        if (may_remove)
            begin_removal(app, actor);
        else
            leave_alone(app);
        return;
    }
    if (!app) {
        app = kl_engine_app(engine, after->name);
        if (app) {
            /* It came back before its removal was over, or was only lost. */
            app->removal = KL_REMOVAL_NONE;
            app->lost = false;
            if (app->pass)
                kl_pass_cancel(app->pass);
            redefine(app, after, true, actor);
        } else {
            add_app(engine, after, actor);
        }
        return;
    }
    if (move->moved == KL_MOVED_RENAMED)
        rename_app(app, after, actor);
    redefine(app, after, move->moved == KL_MOVED_CHANGED || strcmp(before->digest, after->digest) != 0, actor);
}

/* The manifest is whole again: what was lost and is not in it has left. */
static void remove_lost(struct kl_engine *engine, const char *actor)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->apps, &at, &key, &value);) {
        struct kl_app_state *app = value;
        if (app->lost && !kl_manifest_app(engine->manifest, key))
            begin_removal(app, actor);
    }
}

static void put_in_force(struct kl_engine *engine, struct kl_manifest *manifest, const char *actor)
{
    struct kl_manifest_diff diff;
    struct kl_manifest *old = engine->manifest;
    if (kl_manifest_diff(old, manifest, &diff) < 0) {
        kl_log(KILTER_LOG_ERROR, "out of memory; the manifest that runs stays");
        kl_manifest_unref(manifest);
        return;
    }
    if (diff.daemon_changed && old)
        kl_log(KILTER_LOG_WARNING, "the manifest's daemon: section changed, which takes effect at the next start");
    engine->manifest = manifest;
    engine->loaded_ms = kl_clock_wall_ms();
    move_sources(engine, &diff);
    for (size_t i = 0; i < diff.app_count; i++)
        move_app(engine, &diff.apps[i], old, !manifest->include_missing, actor);
    if (!manifest->include_missing)
        remove_lost(engine, actor);
    define_again(engine, !manifest->include_missing);
    close_gone_sources(engine, &diff);
    if (!manifest->include_missing)
        kl_mirrors_sweep(engine);
    kl_manifest_diff_release(&diff);
    kl_manifest_unref(old);
    kl_engine_touch(engine, NULL);
}

/* --- loading -------------------------------------------------------------------------------------------- */
static void finish(struct kl_reload *reload, const char *error, struct kilter_diags *diags)
{
    struct kl_engine *engine = reload->engine;
    engine->reload = NULL;
    snprintf(engine->reload_error, sizeof engine->reload_error, "%s", error ? error : "");
    kilter_diags_free(engine->reload_diags);
    engine->reload_diags = diags;
    kl_engine_touch(engine, NULL);
    if (reload->done)
        reload->done(reload->data, error, diags);
    bool again = reload->again && !engine->draining;
    kl_manifest_unref(reload->draft);
    free(reload);
    if (again)
        kl_reload(engine, "SIGHUP", NULL, NULL);
}

static void report(const struct kilter_diags *diags)
{
    for (size_t i = 0; i < kilter_diags_count(diags); i++) {
        const struct kilter_diag *diag = kilter_diags_at(diags, i);
        struct kilter_buf text = KILTER_BUF_INIT(8192);
        kilter_diag_format(&text, diag);
        /* One record is one line. */
        for (size_t c = 0; c + 1 < text.len; c++)
            if (text.ptr[c] == '\n')
                text.ptr[c] = ';';
        kl_log_str(diag->severity == KILTER_ERROR ? KILTER_LOG_ERROR : KILTER_LOG_WARNING,
                   kilter_str_trim(kilter_buf_view(&text)));
        kilter_buf_release(&text);
    }
}

static int load(struct kl_engine *engine, bool with_plugins, struct kl_manifest **ret, struct kilter_diags *diags)
{
    struct kl_manifest_options options = KL_MANIFEST_OPTIONS_INIT;
    options.previous = engine->manifest;
    if (with_plugins) {
        options.plugin_lookup = kl_plugins_lookup;
        options.plugin_data = engine;
    }
    return kl_manifest_load(engine->options.manifest_path, &options, ret, diags);
}

static void fail(struct kl_reload *reload, struct kilter_diags *diags)
{
    char error[512];
    size_t errors = kilter_diags_errors(diags);
    snprintf(error, sizeof error, "%s: %zu problem%s; %s", reload->engine->options.manifest_path, errors,
             errors == 1 ? "" : "s",
             reload->engine->manifest ? "the manifest that runs stays in force" : "nothing runs");
    report(diags);
    kl_log(KILTER_LOG_ERROR, "%s", error);
    if (reload->engine->manifest)
        kl_engine_log_event(reload->engine, NULL, "manifestRefused", KL_ERROR, reload->actor, "%s", error);
    finish(reload, error, diags);
}

/* A plugin that cannot be used fails the apps that use it, and nothing else. */
static void report_plugins(const struct kl_engine *engine, const struct kl_manifest *draft)
{
    for (size_t i = 0; i < draft->plugin_count; i++) {
        struct kl_plugin_state *plugin = kl_engine_plugin(engine, draft->plugins[i].name);
        if (plugin && plugin->error[0])
            kl_log(KILTER_LOG_ERROR, "plugin '%s' cannot be used: %s", plugin->name, plugin->error);
    }
}

static void log_loaded(struct kl_engine *engine, const char *actor)
{
    const struct kl_manifest *manifest = engine->manifest;
    kl_engine_log_event(engine, NULL, "manifestLoaded", KL_INFO, actor, "%s: %zu apps, %zu sources, %zu targets",
                        engine->options.manifest_path, manifest->app_count, manifest->source_count,
                        manifest->target_count);
}

int kl_reload_first(struct kl_engine *engine, const struct kl_manifest *draft, char *error, size_t size)
{
    struct kilter_diags *diags = kilter_diags_new(0);
    report_plugins(engine, draft);
    int rc = load(engine, true, &engine->manifest, diags);
    report(diags);
    if (rc < 0)
        snprintf(error, size, "%s: %zu problems", engine->options.manifest_path, kilter_diags_errors(diags));
    else
        log_loaded(engine, "start");
    engine->loaded_ms = kl_clock_wall_ms();
    kilter_diags_free(diags);
    return rc;
}

static void on_described(void *data)
{
    struct kl_reload *reload = data;
    struct kl_engine *engine = reload->engine;
    struct kl_manifest *manifest;
    struct kilter_diags *diags = kilter_diags_new(0);
    if (engine->draining) {
        finish(reload, "the daemon is ending", diags);
        return;
    }
    report_plugins(engine, reload->draft);
    if (load(engine, true, &manifest, diags) < 0) {
        fail(reload, diags);
        return;
    }
    report(diags);
    put_in_force(engine, manifest, reload->actor);
    log_loaded(engine, reload->actor);
    finish(reload, NULL, diags);
}

void kl_reload(struct kl_engine *engine, const char *actor, kl_reload_fn done, void *data)
{
    struct kl_reload *reload = engine->reload || engine->draining ? NULL : calloc(1, sizeof *reload);
    if (!reload) {
        if (engine->reload)
            engine->reload->again = true;
        if (done)
            done(data, engine->draining ? "the daemon is ending" : "a reload is under way; another one follows it",
                 NULL);
        return;
    }
    struct kilter_diags *diags = kilter_diags_new(0);
    *reload = (struct kl_reload){ .engine = engine, .done = done, .data = data };
    snprintf(reload->actor, sizeof reload->actor, "%s", actor);
    engine->reload = reload;
    if (load(engine, false, &reload->draft, diags) < 0) {
        fail(reload, diags);
        return;
    }
    kilter_diags_free(diags);
    kl_plugins_describe(engine, reload->draft, on_described, reload);
}

/* --- the start ----------------------------------------------------------------------------------------------- */
static const struct kl_app *def_of_row(const struct kl_engine *engine, const struct kl_app_row *row)
{
    const struct kl_app *def = kl_manifest_app(engine->manifest, row->name);
    for (size_t i = 0; !def && i < engine->manifest->app_count; i++)
        if (kilter_str_eq(engine->manifest->apps[i].moved_from, row->name))
            def = &engine->manifest->apps[i];
    return def;
}

static void adopt_app(struct kl_engine *engine, const struct kl_app_row *row, const struct kl_app *def)
{
    char name[512];
    snprintf(name, sizeof name, "%.*s", KILTER_STR_ARG(row->name));
    struct kl_app_state *app = kl_app_new(engine, row->id, def, name);
    if (!app)
        return;
    kl_app_restore(app, row->state);
    if (row->removed) {
        struct kl_txn *txn = kl_txn_new(engine->store);
        kl_txn_set_app_removed(txn, app->id, false);
        kl_engine_commit(engine, txn, KL_RELAXED);
    }
    if (!kilter_str_eq(def->name, row->name))
        rename_app(app, def, "manifest");
}

void kl_reload_adopt(struct kl_engine *engine, const struct kl_rows *rows)
{
    const struct kl_manifest *manifest = engine->manifest;
    for (size_t i = 0; i < manifest->source_count; i++) {
        struct kl_source_state *source = kl_source_new(engine, &manifest->sources[i]);
        for (size_t r = 0; source && r < rows->source_count; r++)
            if (kilter_str_eq(rows->sources[r].name, manifest->sources[i].name))
                kl_source_restore(source, rows->sources[r].state);
    }
    for (size_t i = 0; i < rows->app_count; i++) {
        const struct kl_app *def = def_of_row(engine, &rows->apps[i]);
        if (def)
            adopt_app(engine, &rows->apps[i], def);
    }
    for (size_t i = 0; i < manifest->app_count; i++)
        if (!kl_engine_app(engine, manifest->apps[i].name))
            add_app(engine, &manifest->apps[i], "start");
    for (size_t i = 0; i < rows->app_count; i++) {
        if (def_of_row(engine, &rows->apps[i]))
            continue;
        adopt_removed(engine, &rows->apps[i], !manifest->include_missing);
    }
    if (!manifest->include_missing && !engine->options.passive)
        kl_mirrors_sweep(engine);
}
