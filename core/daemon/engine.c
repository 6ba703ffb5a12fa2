/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's beginning and end, and what all its parts share. */
#include "daemon/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/paths.h"
#include "daemon/plugins.h"
#include "daemon/reload.h"

struct starting {
    struct kl_engine *engine;
    struct kl_manifest *draft;
    void (*ready)(void *data, const char *error);
    void *data;
};

struct kl_closing {
    struct kl_engine *engine;
    void (*closed)(void *data);
    void *data;
};

/* --- what all parts share ------------------------------------------------------------------------ */
struct kl_app_state *kl_engine_app(struct kl_engine *engine, struct kilter_str name)
{
    return kl_map_get(&engine->apps, name);
}

struct kl_source_state *kl_engine_source(struct kl_engine *engine, struct kilter_str name)
{
    return kl_map_get(&engine->sources, name);
}

void kl_engine_touch(struct kl_engine *engine, struct kl_app_state *app)
{
    engine->revision++;
    if (app)
        app->revision = engine->revision;
    if (engine->moved)
        engine->moved(engine->moved_data);
}

KILTER_PRINTF(7, 0)
static void put_event(struct kl_txn *txn, struct kl_app_state *app, const char *kind, enum kl_severity severity,
                      const char *actor, const struct kl_commit *commit, const char *format, va_list args)
{
    char message[1024];
    vsnprintf(message, sizeof message, format, args);
    struct kl_event_row row = {
        .app = app ? app->id : 0,
        .app_name = kilter_str_c(app ? app->name : ""),
        .kind = kilter_str_c(kind),
        .actor = kilter_str_c(actor),
        .commit = kilter_str_c(commit ? commit->id : ""),
        .author = kilter_str_c(commit ? commit->author : ""),
        .severity = severity,
        .message = kilter_str_c(message),
        .data = KILTER_STR("{}"),
    };
    kl_txn_add_event(txn, &row);
}

void kl_engine_event(struct kl_txn *txn, struct kl_app_state *app, const char *kind, enum kl_severity severity,
                     const char *actor, const struct kl_commit *commit, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_event(txn, app, kind, severity, actor, commit, format, args);
    va_end(args);
}

void kl_engine_log_event(struct kl_engine *engine, struct kl_app_state *app, const char *kind,
                         enum kl_severity severity, const char *actor, const char *format, ...)
{
    struct kl_txn *txn = kl_txn_new(engine->store);
    va_list args;
    va_start(args, format);
    put_event(txn, app, kind, severity, actor, NULL, format, args);
    va_end(args);
    kl_engine_commit(engine, txn, KL_RELAXED);
}

static void on_committed(void *data, const struct kilter_error *err, struct kl_txn *txn)
{
    (void)data;
    (void)txn;
    if (err->code)
        kl_log(KILTER_LOG_ERROR, "the store: %s", err->message);
}

void kl_engine_commit(struct kl_engine *engine, struct kl_txn *txn, enum kl_durability durability)
{
    if (kl_txn_empty(txn))
        kl_txn_free(txn);
    else
        kl_store_commit(engine->store, txn, durability, on_committed, engine);
}

/* --- starting ----------------------------------------------------------------------------------------- */
static int make_directory(const char *path, struct kilter_error *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return kilter_error_errno(err, errno, "creating %s", path);
}

/* The state directory with all its parents, and what is in it. */
static int make_state_directory(const char *path, struct kilter_error *err)
{
    char *copy = strdup(path), *mirrors = NULL;
    if (!copy || asprintf(&mirrors, "%s/mirrors", path) < 0) {
        free(copy);
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0755);
        *slash = '/';
    }
    int rc = make_directory(path, err);
    if (rc == 0)
        rc = make_directory(mirrors, err);
    free(mirrors);
    free(copy);
    return rc;
}

static int open_store(struct kl_engine *engine, const struct kl_manifest *manifest, struct kilter_error *err)
{
    struct kl_store_options options = KL_STORE_OPTIONS_INIT;
    char path[4096];
    options.installation = manifest->installation;
    snprintf(path, sizeof path, "%s/kilter.db", engine->state_directory);
    int rc = kl_store_open(engine->loop, path, &options, &engine->store, err);
    if (rc < 0)
        return rc;
    const struct kl_store_info *info = kl_store_info(engine->store);
    if (!kilter_str_eq_c(manifest->installation, info->installation))
        return kilter_error_set(err, KILTER_E_CONFLICT,
                                "%s belongs to installation '%s', the manifest is of '%.*s': marks on live systems "
                                "would not be recognised. Use another state directory, or the old metadata.name",
                                path, info->installation, KILTER_STR_ARG(manifest->installation));
    if (info->unclean)
        kl_log(KILTER_LOG_WARNING, "the store was not closed last time; it was checked and is sound");
    if (info->backup)
        kl_log(KILTER_LOG_INFO, "the store was migrated from version %u; the one before is %s", info->migrated_from,
               info->backup);
    return 0;
}

static int open_pool(struct kl_engine *engine, const struct kl_manifest *manifest, struct kilter_error *err)
{
    char mirrors[4096], *worker = NULL;
    snprintf(mirrors, sizeof mirrors, "%s/mirrors", engine->state_directory);
    int rc = kl_worker_find(&worker, err);
    if (rc < 0)
        return rc;
    const char *read_dirs[] = { mirrors, NULL };
    struct kl_pool_options options;
    kl_pool_options_init(&options);
    options.worker = worker;
    options.state_id = engine->state_directory;
    options.read_dirs = read_dirs;
    if (manifest->daemon.worker_memory)
        options.memory = (uint64_t)manifest->daemon.worker_memory;
    if (manifest->daemon.workers)
        options.max_workers = manifest->daemon.workers;
    options.max_of_role[KL_ROLE_RENDER] = options.max_of_role[KL_ROLE_APPLY] = manifest->daemon.concurrency;
    int swept = kl_pool_sweep(engine->state_directory, err);
    if (swept > 0)
        kl_log(KILTER_LOG_WARNING, "%d workers of a daemon that was killed were still there, and are not any more",
               swept);
    rc = kl_pool_new(engine->loop, &options, &engine->pool, err);
    free(worker);
    return rc;
}

static void started(struct starting *starting, const char *error)
{
    void (*ready)(void *, const char *) = starting->ready;
    void *data = starting->data;
    kl_manifest_unref(starting->draft);
    free(starting);
    ready(data, error);
}

/* The daemon is told to end before it has started. */
static bool given_up(struct starting *starting)
{
    if (!starting->engine->draining)
        return false;
    started(starting, "the daemon is ending");
    return true;
}

static void on_restored(void *data)
{
    struct starting *starting = data;
    if (given_up(starting))
        return;
    struct kl_engine *engine = starting->engine;
    struct kilter_str key;
    void *value;
    for (size_t at = 0; !engine->options.passive && kl_map_next(&engine->apps, &at, &key, &value);) {
        struct kl_app_state *app = value;
        if (app->removal == KL_REMOVAL_NONE && app->begun == 0)
            kl_app_trigger(app, KL_TRIGGER_START, "start", "the daemon started");
    }
    started(starting, NULL);
}

static void on_stored(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct starting *starting = data;
    if (given_up(starting)) {
        kl_rows_free(rows);
        return;
    }
    if (err->code) {
        started(starting, err->message);
        return;
    }
    kl_reload_adopt(starting->engine, rows);
    kl_rows_free(rows);
    kl_artifacts_restore(starting->engine, on_restored, starting);
}

static void on_described(void *data)
{
    struct starting *starting = data;
    if (given_up(starting))
        return;
    struct kl_engine *engine = starting->engine;
    char error[512];
    if (kl_reload_first(engine, starting->draft, error, sizeof error) < 0) {
        started(starting, error);
        return;
    }
    kl_store_load(engine->store, on_stored, starting);
}

int kl_engine_start(uv_loop_t *loop, const struct kl_engine_options *options, struct kl_manifest *draft,
                    void (*ready)(void *data, const char *error), void *data, struct kl_engine **ret,
                    struct kilter_error *err)
{
    struct kl_engine *engine = calloc(1, sizeof *engine);
    struct starting *starting = calloc(1, sizeof *starting);
    if (!engine || !starting) {
        free(engine);
        free(starting);
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    engine->loop = loop;
    engine->options = *options;
    engine->started_ms = kl_clock_wall_ms();
    /* The revision never goes back, not even over a restart. */
    engine->revision = engine->started_ms * 1000;
    const char *directory = options->state_directory ? options->state_directory : draft->daemon.state_directory.ptr;
    engine->state_directory = strdup(directory);
    *ret = engine;
    int rc = engine->state_directory ? make_state_directory(engine->state_directory, err)
                                     : kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    if (rc == 0)
        rc = open_store(engine, draft, err);
    if (rc == 0)
        rc = open_pool(engine, draft, err);
    if (rc < 0) {
        kl_manifest_unref(draft);
        free(starting);
        return rc;
    }
    *starting = (struct starting){ engine, draft, ready, data };
    kl_plugins_describe(engine, draft, on_described, starting);
    return 0;
}

/* --- ending ------------------------------------------------------------------------------------------------ */
static void close_apps(struct kl_engine *engine)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->apps, &at, &key, &value);)
        kl_app_close(value);
    for (size_t at = 0; kl_map_next(&engine->sources, &at, &key, &value);)
        kl_source_close(value);
}

static void free_engine(struct kl_closing *closing)
{
    struct kl_engine *engine = closing->engine;
    void (*closed)(void *) = closing->closed;
    void *closed_data = closing->data;
    kl_plugins_release(engine);
    kl_map_release(&engine->apps, NULL);
    kl_map_release(&engine->sources, NULL);
    kl_manifest_unref(engine->manifest);
    kilter_diags_free(engine->reload_diags);
    free(engine->state_directory);
    free(engine);
    free(closing);
    closed(closed_data);
}

static void on_store_closed(void *data)
{
    struct kl_closing *closing = data;
    closing->engine->store = NULL;
    if (closing->engine->open_handles == 0)
        free_engine(closing);
    else
        closing->engine->closing = closing;
}

void kl_engine_handle_closed(struct kl_engine *engine)
{
    if (--engine->open_handles == 0 && engine->closing)
        free_engine(engine->closing);
}

static void on_pool_closed(void *data)
{
    struct kl_closing *closing = data;
    closing->engine->pool = NULL;
    if (closing->engine->store)
        kl_store_close(closing->engine->store, on_store_closed, closing);
    else
        on_store_closed(closing);
}

void kl_engine_close(struct kl_engine *engine, int64_t drain_ms, void (*closed)(void *data), void *data)
{
    struct kl_closing *closing = calloc(1, sizeof *closing);
    if (!closing)
        abort();
    *closing = (struct kl_closing){ engine, closed, data };
    engine->draining = true;
    engine->moved = NULL;
    if (engine->store)
        kl_artifacts_save(engine);
    close_apps(engine);
    if (engine->pool)
        kl_pool_close(engine->pool, drain_ms, on_pool_closed, closing);
    else
        on_pool_closed(closing);
}
