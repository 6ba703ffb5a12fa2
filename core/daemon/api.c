/* SPDX-License-Identifier: Apache-2.0 */
/* Routes, waiting, and what is asked of the whole daemon. */
#include "daemon/api.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/api_private.h"
#include "daemon/plugins.h"
#include "daemon/reload.h"

#define WAIT_MAX_NS (600 * KL_NS_PER_S)
#define PULSE_MS 15000

/* --- waiting --------------------------------------------------------------------------------- */
static void unlink_wait(struct kl_wait *wait)
{
    if (wait->previous)
        wait->previous->next = wait->next;
    else if (wait->api && wait->api->waits == wait)
        wait->api->waits = wait->next;
    if (wait->next)
        wait->next->previous = wait->previous;
    wait->previous = wait->next = NULL;
}

static void drop_wait(struct kl_wait *wait)
{
    wait->request = NULL;
    unlink_wait(wait);
    if (wait->callbacks)
        return;
    free(wait->app);
    free(wait);
}

static void on_gone(struct kl_request *request, void *data)
{
    (void)request;
    drop_wait(data);
}

struct kl_wait *kl_wait_new(struct kl_api *api, struct kl_request *request, const struct kl_app_state *app)
{
    struct kl_wait *wait = calloc(1, sizeof *wait);
    if (wait && app && !(wait->app = strdup(app->name))) {
        free(wait);
        wait = NULL;
    }
    if (!wait) {
        kl_request_error(request, 500, "internal", NULL, NULL, "out of memory");
        return NULL;
    }
    wait->api = api;
    wait->request = request;
    wait->next = api->waits;
    if (api->waits)
        api->waits->previous = wait;
    api->waits = wait;
    kl_request_on_gone(request, on_gone, wait);
    return wait;
}

void kl_wait_hold(struct kl_wait *wait)
{
    wait->callbacks++;
}

bool kl_wait_back(struct kl_wait *wait)
{
    wait->callbacks--;
    if (wait->request)
        return true;
    drop_wait(wait);
    return false;
}

struct kl_request *kl_wait_take(struct kl_wait *wait)
{
    struct kl_request *request = wait->request;
    drop_wait(wait);
    return request;
}

static void on_late(struct kl_request *request, void *data)
{
    struct kl_wait *wait = data;
    (void)request;
    wait->ready(wait, true);
}

bool kl_wait_until(struct kl_wait *wait, bool (*ready)(struct kl_wait *wait, bool late), int64_t timeout_ns)
{
    wait->ready = ready;
    if (ready(wait, timeout_ns <= 0))
        return true;
    kl_request_deadline(wait->request, (uint64_t)(timeout_ns / KL_NS_PER_MS), on_late, wait);
    return false;
}

static void on_moved(uv_async_t *async)
{
    struct kl_api *api = async->data;
    for (struct kl_wait *wait = api->waits, *next; wait; wait = next) {
        next = wait->next;
        if (wait->ready && !wait->stream)
            wait->ready(wait, false);
    }
}

/* Several changes of one turn of the loop are looked at once. */
static void engine_moved(void *data)
{
    struct kl_api *api = data;
    uv_async_send(api->moved);
}

/* --- small things ------------------------------------------------------------------------------- */
void kl_api_actor(struct kl_request *request, char *text, size_t size)
{
    struct kl_peer peer = kl_request_peer(request);
    struct passwd entry, *found = NULL;
    char buffer[4096];
    if (getpwuid_r(peer.uid, &entry, buffer, sizeof buffer, &found) == 0 && found)
        snprintf(text, size, "uid %u (%s)", (unsigned)peer.uid, found->pw_name);
    else
        snprintf(text, size, "uid %u", (unsigned)peer.uid);
}

struct kl_app_state *kl_api_find_app(struct kl_api *api, struct kl_request *request)
{
    struct kilter_str name = kl_request_param(request, "app");
    struct kl_app_state *app = kl_engine_app(api->engine, name);
    if (app)
        return app;
    struct kilter_str nearest = kl_manifest_nearest_app(api->engine->manifest, name);
    char hint[256];
    if (nearest.len)
        snprintf(hint, sizeof hint, "did you mean '%.*s'?", KILTER_STR_ARG(nearest));
    else
        snprintf(hint, sizeof hint, "'kilter status' lists the apps");
    kl_request_error(request, 404, "notFound", hint, NULL, "there is no app '%.*s'", KILTER_STR_ARG(name));
    return NULL;
}

int kl_api_page(struct kl_request *request, struct kilter_str *ret_after, int64_t *ret_limit)
{
    *ret_after = kl_request_query(request, "after");
    return kl_request_query_int(request, "limit", 1, 1000, 100, ret_limit);
}

int kl_api_page_id(struct kl_request *request, int64_t *ret_after, int64_t *ret_limit)
{
    int rc = kl_request_query_int(request, "after", 0, INT64_MAX, 0, ret_after);
    return rc < 0 ? rc : kl_request_query_int(request, "limit", 1, 1000, 100, ret_limit);
}

void kl_api_store_failed(struct kl_request *request, const struct kilter_error *err)
{
    kl_request_error(request, 503, "unavailable", NULL, NULL, "the store: %s", err->message);
}

/* --- the daemon ------------------------------------------------------------------------------------ */
static void get_health(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kilter_error err = KILTER_ERROR_INIT;
    if (kl_store_fault(api->engine->store, &err) == 0) {
        kl_request_respond(request, 200, "text/plain", KILTER_STR("ok\n"));
        return;
    }
    kl_request_respond(request, 503, "text/plain", kilter_str_c(err.message));
}

static void get_version(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena);
    kl_put(arena, map, "version", KILTER_VERSION);
    kl_put_int(arena, map, "abiMajor", KILTER_ABI_MAJOR);
    kl_put_int(arena, map, "abiMinor", kilter_abi_minor());
    kl_put_int(arena, map, "pid", getpid());
    kl_put_time(arena, map, "started", api->engine->started_ms);
    kl_request_json(request, 200, map);
}

static struct kilter_value *count_apps(struct kilter_arena *arena, const struct kl_engine *engine)
{
    struct kilter_value *map = kilter_map(arena);
    int64_t synced = 0, out = 0, unknown = 0, waiting = 0, failed = 0, suspended = 0, pinned = 0;
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->apps, &at, &key, &value);) {
        const struct kl_app_state *app = value;
        synced += app->sync == KL_STATE_SYNCED;
        out += app->sync == KL_STATE_OUT_OF_SYNC;
        unknown += app->sync == KL_STATE_UNKNOWN;
        waiting += app->phase == KL_PHASE_WAITING;
        failed += app->phase == KL_PHASE_FAILED;
        suspended += app->suspension.on;
        pinned += app->pin.commit.id[0] != '\0';
    }
    kl_put_int(arena, map, "total", (int64_t)kl_map_count(&engine->apps));
    kl_put_int(arena, map, "synced", synced);
    kl_put_int(arena, map, "outOfSync", out);
    kl_put_int(arena, map, "unknown", unknown);
    kl_put_int(arena, map, "waiting", waiting);
    kl_put_int(arena, map, "failed", failed);
    kl_put_int(arena, map, "suspended", suspended);
    kl_put_int(arena, map, "pinned", pinned);
    return map;
}

static struct kilter_value *show_plugin(struct kilter_arena *arena, const struct kl_engine *engine,
                                        const struct kl_plugin_state *plugin)
{
    struct kilter_value *map = kilter_map(arena), *provides = kilter_list(arena);
    struct kl_plugin_faults faults;
    bool had_faults = kl_pool_plugin_faults(engine->pool, kilter_str_c(plugin->name), &faults);
    bool quarantined = had_faults && faults.quarantined;
    kl_put(arena, map, "name", plugin->name);
    kilter_set(arena, map, "version", kilter_string_c(arena, plugin->version));
    kl_put(arena, map, "summary", plugin->schemas.summary);
    kl_put(arena, map, "file", plugin->file);
    if (plugin->schemas.is_renderer)
        kilter_list_add(arena, provides, kilter_string_c(arena, "renderer"));
    if (plugin->schemas.is_target)
        kilter_list_add(arena, provides, kilter_string_c(arena, "target"));
    kilter_set(arena, map, "provides", provides);
    kl_put(arena, map, "state", quarantined ? "Quarantined" : plugin->descriptor ? "Ready" : "Failed");
    kl_put(arena, map, "message", had_faults && faults.last ? faults.last : plugin->error);
    if (quarantined)
        kl_put_time(arena, map, "since", faults.since_ms);
    if (had_faults)
        kl_put_int(arena, map, "crashes", (int64_t)faults.ever);
    return map;
}

static struct kilter_value *all_sources(struct kilter_arena *arena, const struct kl_engine *engine)
{
    struct kilter_value *list = kilter_list(arena);
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->sources, &at, &key, &value);)
        kilter_list_add(arena, list, kl_show_source(arena, value));
    return list;
}

static struct kilter_value *all_plugins(struct kilter_arena *arena, const struct kl_engine *engine)
{
    struct kilter_value *list = kilter_list(arena);
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->plugins, &at, &key, &value);)
        kilter_list_add(arena, list, show_plugin(arena, engine, value));
    return list;
}

static struct kilter_value *show_status(struct kilter_arena *arena, const struct kl_engine *engine)
{
    struct kilter_value *map = kilter_map(arena), *manifest = kilter_map(arena);
    kl_put_str(arena, map, "installation", engine->manifest->installation);
    kl_put(arena, map, "version", KILTER_VERSION);
    kl_put_int(arena, map, "revision", engine->revision);
    kl_put_time(arena, map, "started", engine->started_ms);
    kl_put(arena, map, "store", kl_store_info(engine->store)->path);
    kl_put(arena, manifest, "path", engine->options.manifest_path);
    kl_put_time(arena, manifest, "loaded", engine->loaded_ms);
    if (engine->reload_error[0]) {
        struct kilter_value *reload = kilter_map(arena);
        kl_put(arena, reload, "message", engine->reload_error);
        if (engine->reload_diags)
            kilter_set(arena, reload, "diagnostics", kl_http_diags_value(arena, engine->reload_diags));
        kilter_set(arena, manifest, "reload", reload);
    }
    kilter_set(arena, map, "manifest", manifest);
    kilter_set(arena, map, "apps", count_apps(arena, engine));
    kilter_set(arena, map, "sources", all_sources(arena, engine));
    kilter_set(arena, map, "plugins", all_plugins(arena, engine));
    return map;
}

static void get_status(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    kl_request_json(request, 200, show_status(kl_request_arena(request), api->engine));
}

static void on_reloaded(void *data, const char *error, const struct kilter_diags *diags)
{
    struct kl_wait *wait = data;
    if (!kl_wait_back(wait))
        return;
    struct kl_api *api = wait->api;
    struct kl_request *request = kl_wait_take(wait);
    if (error)
        kl_request_error(request, diags ? 422 : 409, diags ? "invalidManifest" : "conflict",
                         diags ? "mend it and reload again; what runs goes on" : NULL, diags, "%s", error);
    else
        kl_request_json(request, 200, show_status(kl_request_arena(request), api->engine));
}

static void post_reload(struct kl_request *request, void *data)
{
    char actor[80];
    kl_api_actor(request, actor, sizeof actor);
    struct kl_wait *wait = kl_wait_new(data, request, NULL);
    if (!wait)
        return;
    kl_wait_hold(wait);
    kl_reload(wait->api->engine, actor, on_reloaded, wait);
}

/* A page of a list that is already in order: what comes after the item whose `name` is `after`. */
static void answer_page(struct kl_request *request, struct kilter_value *items)
{
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena), *page = kilter_list(arena);
    struct kilter_str after;
    int64_t limit;
    if (kl_api_page(request, &after, &limit) < 0)
        return;
    size_t i = 0, count = kilter_list_size(items);
    while (after.len && i < count && !kilter_str_eq(kilter_get_text(kilter_list_at(items, i++), "name"), after))
        ;
    for (; i < count && kilter_list_size(page) < (size_t)limit; i++)
        kilter_list_add(arena, page, kilter_list_at(items, i));
    kilter_set(arena, map, "items", page);
    if (i < count)
        kl_put_str(arena, map, "next", kilter_get_text(kilter_list_at(items, i - 1), "name"));
    kl_request_json(request, 200, map);
}

static void get_sources(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    answer_page(request, all_sources(kl_request_arena(request), api->engine));
}

static void get_plugins(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    answer_page(request, all_plugins(kl_request_arena(request), api->engine));
}

static void get_targets(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *items = kilter_list(arena);
    const struct kl_manifest *manifest = api->engine->manifest;
    for (size_t i = 0; i < manifest->target_count; i++) {
        struct kilter_value *map = kilter_map(arena);
        int64_t apps = 0;
        const char *identity = "", *accepted = "";
        struct kilter_str key;
        void *value;
        for (size_t at = 0; kl_map_next(&api->engine->apps, &at, &key, &value);) {
            const struct kl_app_state *app = value;
            if (!app->def || app->def->target != &manifest->targets[i])
                continue;
            apps++;
            identity = app->seen_identity[0] ? app->seen_identity : app->identity;
            if (app->seen_identity[0] && strcmp(app->seen_identity, app->identity) != 0)
                accepted = app->identity;
        }
        kl_put_str(arena, map, "name", manifest->targets[i].name);
        kl_put_str(arena, map, "plugin", manifest->targets[i].plugin->name);
        kl_put(arena, map, "identity", identity);
        kl_put(arena, map, "acceptedIdentity", accepted);
        kl_put_int(arena, map, "apps", apps);
        kilter_list_add(arena, items, map);
    }
    answer_page(request, items);
}

static void retry_quarantined(struct kl_engine *engine, const char *actor)
{
    struct kilter_str key;
    void *value;
    for (size_t at = 0; kl_map_next(&engine->apps, &at, &key, &value);) {
        struct kl_app_state *app = value;
        if (app->reason == KL_REASON_PLUGIN_QUARANTINED)
            kl_app_trigger(app, KL_TRIGGER_RETRY, actor, "the quarantine was lifted");
    }
}

static void release_plugin(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kilter_str name = kl_request_param(request, "plugin");
    struct kl_plugin_state *plugin = kl_engine_plugin(api->engine, name);
    char actor[80];
    if (!plugin) {
        kl_request_error(request, 404, "notFound", "'kilter plugin list' names them", NULL,
                         "the manifest loads no plugin '%.*s'", KILTER_STR_ARG(name));
    } else if (kl_pool_quarantine_lift(api->engine->pool, name) < 0) {
        kl_request_error(request, 409, "conflict", NULL, NULL, "plugin '%s' is not in quarantine", plugin->name);
    } else {
        kl_api_actor(request, actor, sizeof actor);
        retry_quarantined(api->engine, actor);
        kl_engine_log_event(api->engine, NULL, "pluginReleased", KL_INFO, actor, "plugin '%s'", plugin->name);
        kl_request_json(request, 200, show_plugin(kl_request_arena(request), api->engine, plugin));
    }
}

/* --- apps ------------------------------------------------------------------------------------------------ */
static int by_name(const void *a, const void *b)
{
    const struct kl_app_state *x = *(struct kl_app_state *const *)a, *y = *(struct kl_app_state *const *)b;
    return strcmp(x->name, y->name);
}

static void answer_apps(struct kl_api *api, struct kl_request *request)
{
    struct kl_engine *engine = api->engine;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena), *items = kilter_list(arena);
    struct kilter_str after, key;
    int64_t limit;
    size_t count = 0, i = 0;
    void *value;
    if (kl_api_page(request, &after, &limit) < 0)
        return;
    struct kl_app_state **apps =
        kilter_arena_calloc(arena, kl_map_count(&engine->apps) + 1, sizeof(struct kl_app_state *));
    for (size_t at = 0; apps && kl_map_next(&engine->apps, &at, &key, &value);)
        apps[count++] = value;
    if (count)
        qsort(apps, count, sizeof(struct kl_app_state *), by_name);
    while (after.len && i < count && kilter_str_cmp(kilter_str_c(apps[i]->name), after) <= 0)
        i++;
    for (; i < count && kilter_list_size(items) < (size_t)limit; i++)
        kilter_list_add(arena, items, kl_show_app(arena, apps[i]));
    kl_put_int(arena, map, "revision", engine->revision);
    kilter_set(arena, map, "items", items);
    if (i < count)
        kl_put(arena, map, "next", apps[i - 1]->name);
    kl_request_json(request, 200, map);
}

static bool apps_ready(struct kl_wait *wait, bool late)
{
    struct kl_api *api = wait->api;
    if (!late && api->engine->revision <= wait->revision)
        return false;
    answer_apps(api, kl_wait_take(wait));
    return true;
}

/* waitAfter and timeout. 1: wait, 0: answer at once, negative: answered. */
static int waiting(struct kl_request *request, int64_t *ret_revision, int64_t *ret_timeout)
{
    if (kl_request_query_int(request, "waitAfter", 0, INT64_MAX, -1, ret_revision) < 0 ||
        kl_request_query_duration(request, "timeout", WAIT_MAX_NS, 30 * KL_NS_PER_S, ret_timeout) < 0)
        return -1;
    return *ret_revision >= 0;
}

static void get_apps(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    int64_t revision, timeout;
    int waits = waiting(request, &revision, &timeout);
    if (waits == 0)
        answer_apps(api, request);
    struct kl_wait *wait = waits > 0 ? kl_wait_new(api, request, NULL) : NULL;
    if (!wait)
        return;
    wait->revision = revision;
    kl_wait_until(wait, apps_ready, timeout);
}

static bool app_ready(struct kl_wait *wait, bool late)
{
    struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
    if (app && !late && app->revision <= wait->revision)
        return false;
    struct kl_request *request = kl_wait_take(wait);
    if (app)
        kl_request_json(request, 200, kl_show_app(kl_request_arena(request), app));
    else
        kl_request_error(request, 404, "notFound", NULL, NULL, "the app is gone");
    return true;
}

static void get_app(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kl_app_state *app = kl_api_find_app(api, request);
    int64_t revision, timeout;
    int waits = app ? waiting(request, &revision, &timeout) : -1;
    if (waits == 0)
        kl_request_json(request, 200, kl_show_app(kl_request_arena(request), app));
    struct kl_wait *wait = waits > 0 ? kl_wait_new(api, request, app) : NULL;
    if (!wait)
        return;
    wait->revision = revision;
    kl_wait_until(wait, app_ready, timeout);
}

/* --- events -------------------------------------------------------------------------------------------------- */
static bool kind_wanted(const struct kl_wait *wait, struct kilter_str kind)
{
    struct kilter_str kinds = kilter_str_c(wait->kinds);
    if (!kinds.len)
        return true;
    for (size_t from = 0; from <= kinds.len;) {
        ptrdiff_t comma = kilter_str_find(kinds, ',', from);
        size_t end = comma < 0 ? kinds.len : (size_t)comma;
        if (kilter_str_eq(kilter_str_trim(kilter_str_sub(kinds, from, end - from)), kind))
            return true;
        from = end + 1;
    }
    return false;
}

static void answer_events(struct kl_wait *wait, const struct kl_rows *rows)
{
    bool newest_first = wait->flag;
    struct kl_request *request = wait->request;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena), *items = kilter_list(arena);
    for (size_t i = 0; i < rows->event_count; i++) {
        const struct kl_event_row *row = &rows->events[newest_first ? rows->event_count - 1 - i : i];
        if (kind_wanted(wait, row->kind))
            kilter_list_add(arena, items, kl_show_event(arena, row));
    }
    kilter_set(arena, map, "items", items);
    if (rows->more && !newest_first && rows->event_count)
        kl_put(arena, map, "next",
               kilter_arena_printf(arena, "%lld", (long long)rows->events[rows->event_count - 1].id));
    kl_request_json(kl_wait_take(wait), 200, map);
}

static void on_events(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_wait *wait = data;
    if (kl_wait_back(wait)) {
        if (err->code)
            kl_api_store_failed(kl_wait_take(wait), err);
        else
            answer_events(wait, rows);
    }
    kl_rows_free(rows);
}

static void stream_more(struct kl_wait *wait);

static void on_stream_events(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_wait *wait = data;
    if (!kl_wait_back(wait)) {
        kl_rows_free(rows);
        return;
    }
    int rc = err->code;
    struct kilter_arena *arena = kilter_arena_new(0);
    bool reversed = wait->flag;
    wait->flag = false;
    for (size_t i = 0; rows && arena && rc == 0 && i < rows->event_count; i++) {
        const struct kl_event_row *row = &rows->events[reversed ? rows->event_count - 1 - i : i];
        if (row->id > wait->last_event)
            wait->last_event = row->id;
        if (kind_wanted(wait, row->kind))
            rc = kl_request_stream_json(wait->request, kl_show_event(arena, row));
        kilter_arena_reset(arena);
    }
    bool more = rows && rows->more && !reversed;
    kilter_arena_free(arena);
    kl_rows_free(rows);
    if (rc < 0)
        kl_request_stream_end(kl_wait_take(wait));
    else if (more)
        stream_more(wait);
}

static void stream_more(struct kl_wait *wait)
{
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    filter.app_name = kilter_str_c(wait->app);
    filter.after = wait->last_event;
    filter.follow = true;
    kl_wait_hold(wait);
    kl_store_list_events(wait->api->engine->store, &filter, on_stream_events, wait);
}

/* New events are in the store: those who follow the log read on from where they are. */
static void on_stored_events(void *data, int64_t last_event)
{
    struct kl_api *api = data;
    for (struct kl_wait *wait = api->waits, *next; wait; wait = next) {
        next = wait->next;
        if (wait->stream && !wait->callbacks && wait->last_event < last_event)
            stream_more(wait);
    }
}

static void on_pulse(uv_timer_t *timer)
{
    struct kl_api *api = timer->data;
    for (struct kl_wait *wait = api->waits, *next; wait; wait = next) {
        next = wait->next;
        if (wait->stream && kl_request_stream_write(wait->request, KILTER_STR("\n")) < 0)
            kl_request_stream_end(kl_wait_take(wait));
    }
}

static void get_events(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kl_event_filter filter = KL_EVENT_FILTER_INIT;
    struct kilter_error err = KILTER_ERROR_INIT;
    int64_t after, limit, tail;
    bool follow;
    if (kl_api_page_id(request, &after, &limit) < 0 ||
        kl_request_query_bool(request, "follow", false, &follow) < 0 ||
        kl_request_query_int(request, "tail", 0, 1000, -1, &tail) < 0)
        return;
    struct kl_wait *wait = kl_wait_new(api, request, NULL);
    if (!wait)
        return;
    struct kilter_str app = kl_request_query(request, "app");
    if (app.len)
        wait->app = strndup(app.ptr, app.len);
    snprintf(wait->kinds, sizeof wait->kinds, "%.*s", KILTER_STR_ARG(kl_request_query(request, "kind")));
    if (follow && kl_request_stream_begin(request, 200, "application/jsonl", &err) < 0) {
        kl_request_error(kl_wait_take(wait), 500, "internal", NULL, NULL, "%s", err.message);
        return;
    }
    wait->stream = follow;
    wait->last_event = after;                     /* also when there is nothing after it yet */
    wait->flag = tail >= 0 || (follow && !after); /* newest first, to be turned round */
    filter.app_name = app;
    filter.after = after;
    filter.follow = !wait->flag;
    filter.limit = (uint32_t)(tail > 0 ? tail : wait->flag ? 1 : limit);
    if (follow && tail <= 0 && !after)
        filter.limit = 1; /* only to learn where the log ends */
    kl_wait_hold(wait);
    kl_store_list_events(api->engine->store, &filter, follow ? on_stream_events : on_events, wait);
}

/* --- making ------------------------------------------------------------------------------------------------- */
static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void kl_api_free(struct kl_api *api)
{
    if (!api)
        return;
    api->engine->moved = NULL;
    kl_store_listen(api->engine->store, NULL, NULL);
    for (struct kl_wait *wait = api->waits; wait; wait = wait->next)
        wait->ready = NULL;
    uv_close((uv_handle_t *)api->moved, free_handle);
    uv_close((uv_handle_t *)api->pulse, free_handle);
    api->moved = NULL;
}

int kl_api_new(struct kl_engine *engine, struct kl_http *http, struct kl_api **ret, struct kilter_error *err)
{
    static struct kl_api only; /* a process has one; it must outlive every wait that a callback still holds */
    struct kl_api *api = &only;
    *api = (struct kl_api){ .engine = engine,
                            .moved = calloc(1, sizeof(uv_async_t)),
                            .pulse = calloc(1, sizeof(uv_timer_t)) };
    if (!api->moved || !api->pulse) {
        free(api->moved);
        free(api->pulse);
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    uv_async_init(engine->loop, api->moved, on_moved);
    api->moved->data = api;
    uv_timer_init(engine->loop, api->pulse);
    api->pulse->data = api;
    uv_timer_start(api->pulse, on_pulse, PULSE_MS, PULSE_MS);
    static const struct {
        const char *method, *pattern;
        kl_http_handler handler;
    } routes[] = {
        { "GET", "/healthz", get_health },         { "GET", "/api/v1/version", get_version },
        { "GET", "/api/v1/status", get_status },   { "POST", "/api/v1/reload", post_reload },
        { "GET", "/api/v1/sources", get_sources }, { "GET", "/api/v1/targets", get_targets },
        { "GET", "/api/v1/plugins", get_plugins }, { "POST", "/api/v1/plugins/{plugin}/release", release_plugin },
        { "GET", "/api/v1/events", get_events },   { "GET", "/api/v1/apps", get_apps },
        { "GET", "/api/v1/apps/{app}", get_app },
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && rc == 0; i++)
        rc = kl_http_route(http, routes[i].method, routes[i].pattern, routes[i].handler, api);
    if (rc == 0)
        rc = kl_api_app_routes(api, http);
    if (rc == 0)
        rc = kl_api_act_routes(api, http);
    *ret = api;
    if (rc < 0)
        return kilter_error_set(err, rc, "out of memory");
    engine->moved = engine_moved;
    engine->moved_data = api;
    kl_store_listen(engine->store, on_stored_events, api);
    return 0;
}
