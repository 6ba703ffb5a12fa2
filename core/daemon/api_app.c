/* SPDX-License-Identifier: Apache-2.0 */
/* One app: its plan, its resources, its story and history, and what it owns. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "daemon/api_private.h"

#define WAIT_MAX_NS (600 * KL_NS_PER_S)

/* --- plan ------------------------------------------------------------------------------------- */
static unsigned status_of(enum kl_reason reason)
{
    return reason == KL_REASON_RENDER_FAILED ? 422 : 409;
}

static void on_plan(void *data, struct kl_plan *plan, const struct kl_decision *decision, enum kl_reason reason,
                    const char *message, const struct kilter_diags *diags)
{
    struct kl_wait *wait = data;
    if (!kl_wait_back(wait))
        return;
    struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
    bool destroy = wait->flag;
    struct kl_request *request = kl_wait_take(wait);
    struct kilter_arena *arena = kl_request_arena(request);
    if (plan && app)
        kl_request_json(request, 200, kl_show_plan(arena, app, plan, decision, kl_clock_wall_ms(), destroy));
    else
        kl_request_error(request, status_of(reason), "failed", NULL, diags, "%s: %s", kl_reason_word(reason),
                         message);
}

static bool plan_late(struct kl_wait *wait, bool late)
{
    if (!late)
        return false;
    kl_request_error(kl_wait_take(wait), 504, "timeout", "ask again, or with a longer timeout", NULL,
                     "the plan was not ready in time");
    return true;
}

static void begin_plan(struct kl_wait *wait, struct kl_app_state *app)
{
    struct kl_plan_ask ask = { .destroy = wait->flag, .thorough = true };
    if (wait->commit.id[0])
        ask.commit = &wait->commit;
    if (!wait->flag && (!app->source || (!wait->commit.id[0] && !kl_app_wanted(app)->id[0]))) {
        const char *why = !app->source            ? "the app is not in the manifest"
                          : app->source->error[0] ? app->source->error
                                                  : "nothing was fetched yet";
        kl_request_error(kl_wait_take(wait), 409, "failed", NULL, NULL, "SourceUnavailable: %s", why);
        return;
    }
    kl_wait_hold(wait);
    if (kl_pass_plan(app, &ask, on_plan, wait) < 0) {
        kl_wait_back(wait);
        kl_request_error(kl_wait_take(wait), 500, "internal", NULL, NULL, "out of memory");
        return;
    }
}

static void on_polled(void *data, struct kl_source_state *source)
{
    struct kl_wait *wait = data;
    (void)source;
    if (!kl_wait_back(wait))
        return;
    struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
    if (app)
        begin_plan(wait, app);
    else
        kl_request_error(kl_wait_take(wait), 404, "notFound", NULL, NULL, "the app is gone");
}

static void get_plan(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kl_app_state *app = kl_api_find_app(api, request);
    bool refresh, destroy;
    int64_t timeout;
    if (!app || kl_request_query_bool(request, "refresh", false, &refresh) < 0 ||
        kl_request_query_bool(request, "destroy", false, &destroy) < 0 ||
        kl_request_query_duration(request, "timeout", WAIT_MAX_NS, 300 * KL_NS_PER_S, &timeout) < 0)
        return;
    struct kilter_str commit = kl_request_query(request, "commit");
    struct kilter_arena *arena = kl_request_arena(request);
    if (!refresh && !destroy && !commit.len && app->plan) {
        kl_request_json(request, 200, kl_show_plan(arena, app, app->plan, &app->decision, app->plan_ms, false));
        return;
    }
    if (commit.len && commit.len != 40) {
        kl_request_error(request, 400, "badRequest", NULL, NULL, "commit: a full commit id of 40 digits is needed");
        return;
    }
    if (!app->def || (!app->source && !destroy)) {
        kl_request_error(request, 409, "failed", NULL, NULL, "the app is being removed: %s", app->message);
        return;
    }
    struct kl_wait *wait = kl_wait_new(api, request, app);
    if (!wait)
        return;
    wait->flag = destroy;
    snprintf(wait->commit.id, sizeof wait->commit.id, "%.*s", KILTER_STR_ARG(commit));
    wait->ready = plan_late;
    /* An answer may come before this returns: the deadline is set first. */
    if (kl_wait_until(wait, plan_late, timeout))
        return;
    if (refresh && !destroy && !commit.len && !app->pin.commit.id[0]) {
        kl_wait_hold(wait);
        kl_source_poll(app->source, true, on_polled, wait);
    } else {
        begin_plan(wait, app);
    }
}

/* --- resources, tree, why ------------------------------------------------------------------------ */
static void get_resources(struct kl_request *request, void *data)
{
    struct kl_app_state *app = kl_api_find_app(data, request);
    struct kilter_str after;
    int64_t limit;
    if (!app || kl_api_page(request, &after, &limit) < 0)
        return;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena), *items = kilter_list(arena);
    size_t count = app->plan ? app->plan->count : 0, i = after.len ? strtoul(after.ptr, NULL, 10) : 0;
    for (; i < count && kilter_list_size(items) < (size_t)limit; i++)
        kilter_list_add(arena, items, kl_show_resource(arena, app, &app->plan->changes[i]));
    kilter_set(arena, map, "items", items);
    if (i < count)
        kl_put(arena, map, "next", kilter_arena_printf(arena, "%zu", i));
    kl_request_json(request, 200, map);
}

static struct kilter_value *app_node(struct kilter_arena *arena, const struct kl_app_state *app)
{
    struct kilter_value *node = kilter_map(arena);
    kl_put(arena, node, "kind", "App");
    kl_put(arena, node, "name", app->name);
    kl_put(arena, node, "sync", kl_sync_state_word(app->sync));
    kl_put(arena, node, "health", kl_health_state(app->health));
    kl_put(arena, node, "message", app->message);
    return node;
}

static void get_tree(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kl_app_state *app = kl_api_find_app(api, request);
    if (!app)
        return;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *node = app_node(arena, app), *children = kilter_list(arena), *others = kilter_list(arena);
    for (size_t i = 0; app->plan && i < app->plan->count; i++) {
        struct kilter_value *resource = kl_show_resource(arena, app, &app->plan->changes[i]);
        kilter_list_add(arena, children, resource);
    }
    for (size_t i = 0; app->def && i < app->def->depends_count; i++) {
        const struct kl_app_state *other = kl_engine_app(api->engine, app->def->depends_on[i]->name);
        if (other)
            kilter_list_add(arena, others, app_node(arena, other));
    }
    kilter_set(arena, node, "children", children);
    if (kilter_list_size(others))
        kilter_set(arena, node, "dependsOn", others);
    kl_request_json(request, 200, node);
}

static bool has_resource(struct kilter_arena *arena, const struct kl_app_state *app, struct kilter_str resource)
{
    for (size_t i = 0; app->plan && i < app->plan->count; i++)
        if (kilter_str_eq(kl_show_id(arena, &app->plan->changes[i].change.id), resource))
            return true;
    return false;
}

static void get_why(struct kl_request *request, void *data)
{
    struct kl_app_state *app = kl_api_find_app(data, request);
    if (!app)
        return;
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_str resource = kl_request_query(request, "resource");
    if (resource.len && !has_resource(arena, app, resource)) {
        kl_request_error(request, 404, "notFound", "'kilter tree' lists what it has", NULL,
                         "app '%s' has no resource '%.*s'", app->name, KILTER_STR_ARG(resource));
        return;
    }
    kl_request_json(request, 200, kl_show_story(arena, app, resource));
}

/* --- history ------------------------------------------------------------------------------------------ */
static struct kilter_value *history_entry(struct kilter_arena *arena, const struct kl_history_row *row,
                                          bool current)
{
    struct kilter_value *map = kilter_map(arena), *commit = kilter_map(arena);
    kl_put_int(arena, map, "pass", row->id);
    kl_put_time(arena, map, "time", row->started_ms);
    if (row->finished_ms)
        kl_put_int(arena, map, "durationMs", row->finished_ms - row->started_ms);
    kl_put_str(arena, commit, "id", row->commit);
    kl_put_str(arena, commit, "author", row->author);
    kl_put_str(arena, commit, "subject", row->subject);
    if (row->commit.len)
        kilter_set(arena, map, "commit", commit);
    kl_put_str(arena, map, "trigger", row->trigger);
    kl_put_str(arena, map, "by", row->actor);
    kl_put_str(arena, map, "result", row->result);
    kl_put_str(arena, map, "reason", row->reason);
    kl_put_str(arena, map, "message", row->message);
    struct kilter_value *counts;
    if (row->counts.len && kilter_json_read(arena, row->counts, NULL, &counts, NULL) == 0)
        kilter_set(arena, map, "summary", counts);
    if (kilter_str_eq_c(row->result, "succeeded"))
        kilter_set(arena, map, "good", kilter_bool(arena, true));
    if (current)
        kilter_set(arena, map, "current", kilter_bool(arena, true));
    return map;
}

static void answer_history(struct kl_request *request, const struct kl_app_state *app, const struct kl_rows *rows,
                           bool first_page)
{
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena), *items = kilter_list(arena);
    bool seen = !first_page;
    for (size_t i = 0; i < rows->history_count; i++) {
        const struct kl_history_row *row = &rows->history[i];
        bool current = !seen && app && kilter_str_eq_c(row->result, "succeeded") &&
                       kilter_str_eq_c(row->commit, app->applied.id);
        seen |= current;
        kilter_list_add(arena, items, history_entry(arena, row, current));
    }
    kilter_set(arena, map, "items", items);
    if (rows->more && rows->history_count)
        kl_put(arena, map, "next",
               kilter_arena_printf(arena, "%lld", (long long)rows->history[rows->history_count - 1].id));
    kl_request_json(request, 200, map);
}

static void on_history(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_wait *wait = data;
    if (kl_wait_back(wait)) {
        const struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
        bool first_page = wait->flag;
        struct kl_request *request = kl_wait_take(wait);
        if (err->code)
            kl_api_store_failed(request, err);
        else
            answer_history(request, app, rows, first_page);
    }
    kl_rows_free(rows);
}

static void get_history(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kl_app_state *app = kl_api_find_app(api, request);
    int64_t after, limit;
    if (!app || kl_api_page_id(request, &after, &limit) < 0)
        return;
    struct kl_wait *wait = kl_wait_new(api, request, app);
    if (!wait)
        return;
    wait->flag = after == 0;
    kl_wait_hold(wait);
    kl_store_list_history(api->engine->store, app->id, after, (uint32_t)limit, on_history, wait);
}

/* --- records ---------------------------------------------------------------------------------------------- */
static struct kilter_value *show_record(struct kilter_arena *arena, const struct kl_app_state *app,
                                        const struct kl_record_row *row)
{
    static const char *const statuses[] = { "", "pending", "owned", "deleting", "tainted", "deposed" };
    struct kilter_value *map = kilter_map(arena), *claims = kilter_list(arena), *attributes;
    kl_put_id(arena, map, &row->id);
    for (size_t i = 0; i < row->claim_count; i++)
        kilter_list_add(arena, claims, kilter_string(arena, row->claims[i]));
    kilter_set(arena, map, "claims", claims);
    kl_put(arena, map, "status", row->status <= 5 ? statuses[row->status] : "");
    kl_put(arena, map, "target", app->identity);
    kl_put_int(arena, map, "schemaVersion", row->schema_version);
    if (row->attributes.len && kilter_json_read(arena, row->attributes, NULL, &attributes, NULL) == 0)
        kilter_set(arena, map, "attributes", attributes);
    kl_put_str(arena, map, "commit", row->last_good);
    kl_put_time(arena, map, "changed", row->updated_ms);
    return map;
}

static void answer_records(struct kl_request *request, const struct kl_app_state *app, const struct kl_rows *rows)
{
    struct kilter_arena *arena = kl_request_arena(request);
    struct kilter_value *map = kilter_map(arena), *items = kilter_list(arena);
    struct kilter_str resource = kl_request_query(request, "resource"), after;
    int64_t limit;
    if (kl_api_page(request, &after, &limit) < 0)
        return;
    size_t i = after.len ? strtoul(after.ptr, NULL, 10) : 0;
    for (; i < rows->record_count && kilter_list_size(items) < (size_t)limit; i++)
        if (!resource.len || kilter_str_eq(kl_show_id(arena, &rows->records[i].id), resource))
            kilter_list_add(arena, items, show_record(arena, app, &rows->records[i]));
    kilter_set(arena, map, "items", items);
    if (i < rows->record_count)
        kl_put(arena, map, "next", kilter_arena_printf(arena, "%zu", i));
    if (resource.len && !kilter_list_size(items))
        kl_request_error(request, 404, "notFound", "'kilter state list' names what it owns", NULL,
                         "app '%s' owns no '%.*s'", app->name, KILTER_STR_ARG(resource));
    else
        kl_request_json(request, 200, map);
}

static void on_records(void *data, const struct kilter_error *err, struct kl_rows *rows)
{
    struct kl_wait *wait = data;
    if (kl_wait_back(wait)) {
        const struct kl_app_state *app = kl_engine_app(wait->api->engine, kilter_str_c(wait->app));
        struct kl_request *request = kl_wait_take(wait);
        if (err->code)
            kl_api_store_failed(request, err);
        else if (!app)
            kl_request_error(request, 404, "notFound", NULL, NULL, "the app is gone");
        else
            answer_records(request, app, rows);
    }
    kl_rows_free(rows);
}

static void get_records(struct kl_request *request, void *data)
{
    struct kl_api *api = data;
    struct kl_app_state *app = kl_api_find_app(api, request);
    struct kl_wait *wait = app ? kl_wait_new(api, request, app) : NULL;
    if (!wait)
        return;
    kl_wait_hold(wait);
    kl_store_list_records(api->engine->store, app->id, on_records, wait);
}

int kl_api_app_routes(struct kl_api *api, struct kl_http *http)
{
    static const struct {
        const char *pattern;
        kl_http_handler handler;
    } routes[] = {
        { "/api/v1/apps/{app}/plan", get_plan },       { "/api/v1/apps/{app}/resources", get_resources },
        { "/api/v1/apps/{app}/tree", get_tree },       { "/api/v1/apps/{app}/why", get_why },
        { "/api/v1/apps/{app}/history", get_history }, { "/api/v1/apps/{app}/records", get_records },
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0] && rc == 0; i++)
        rc = kl_http_route(http, "GET", routes[i].pattern, routes[i].handler, api);
    return rc;
}
