/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/render.h"

#include "base/map.h"
#include "worker/substitute.h"

#include <kilter/yaml.h>

/* One render: what the sink needs to check a resource and pass it on. */
struct render {
    struct kilter_render_sink sink; /* first: the plugin's pointer is ours */
    const struct kl_render_request *request;
    const struct kl_render_events *events;
    struct kl_call call;
    struct kl_map seen; /* id -> struct kilter_origin of its first resource */
    struct kilter_sha256 digest;
    struct kilter_buf json; /* the resource at hand */
    uint64_t bytes, max_resources, max_bytes;
    struct kl_render_result result;
    bool needs;
    int rc; /* the first failure in a sink function; the plugin may ignore it, we do not */
};

static int stop(struct render *r, int rc)
{
    if (r->rc == 0)
        r->rc = rc;
    return rc;
}

static int failed(struct render *r, int rc, const char *message)
{
    return stop(r, kilter_error_set(r->call.call.error, rc, "%s", message));
}

/* --- one resource -------------------------------------------------------------------- */
static int check_shape(struct render *r, const struct kilter_resource *resource)
{
    if (!resource || resource->size < sizeof *resource || !resource->document)
        return stop(r, kl_call_defect(&r->call, "emitted a resource without a document"));
    if (!kl_value_is_bounded(resource->document))
        return stop(r, kl_call_defect(&r->call, "emitted a document that is too deep or too large"));
    if (kilter_type_of(resource->document) != KILTER_MAP)
        return stop(r, kl_call_defect(&r->call, "emitted a document that is no map"));
    return 0;
}

static const char *id_text(const struct kilter_id *id, struct kilter_buf *buf)
{
    kilter_buf_clear(buf);
    kilter_id_format(buf, id);
    return buf->ptr ? buf->ptr : "?";
}

/* Ciphertext must never be applied as if it were text; nothing here can decrypt it. */
static int check_clear(struct render *r, const struct kilter_resource *resource)
{
    const struct kilter_value *sops = kilter_get(resource->document, "sops");
    if (!sops || kilter_type_of(sops) != KILTER_MAP)
        return 0;
    struct kilter_buf name = KILTER_BUF_INIT(4096);
    kilter_diag_add(r->call.call.diags, KILTER_ERROR, "resource.encrypted", resource->origin,
                    "leave it out, or use an input for the secret",
                    "%s is encrypted with SOPS, which this version cannot decrypt", id_text(&resource->id, &name));
    kilter_buf_release(&name);
    return KILTER_E_INVALID;
}

static int complain_twice(struct render *r, const struct kilter_resource *resource,
                          const struct kilter_origin *first)
{
    struct kilter_buf name = KILTER_BUF_INIT(4096);
    kilter_diag_add(r->call.call.diags, KILTER_ERROR, "resource.duplicate", resource->origin,
                    "rename one of them, or leave it out", "%s is there twice; first at %.*s:%u",
                    id_text(&resource->id, &name), KILTER_STR_ARG(first->file), first->line);
    kilter_buf_release(&name);
    return KILTER_E_INVALID;
}

/* Refuses a second resource of the same id. */
static int check_new(struct render *r, const struct kilter_resource *resource)
{
    struct kilter_buf key = KILTER_BUF_INIT(1 << 16);
    const struct kilter_id *id = &resource->id;
    const struct kilter_str parts[] = { kilter_api_group(id->api_version), id->kind, id->name_space, id->name };
    for (size_t i = 0; i < 4; i++) {
        kilter_buf_str(&key, parts[i]);
        kilter_buf_char(&key, '\0');
    }

    int rc = key.failed;
    const struct kilter_origin *first = rc ? NULL : kl_map_get(&r->seen, kilter_buf_view(&key));
    struct kilter_origin *origin = kilter_arena_alloc(r->call.call.arena, sizeof *origin);
    if (first) {
        rc = complain_twice(r, resource, first);
    } else if (rc == 0 && origin) {
        *origin = resource->origin;
        origin->file = kilter_arena_str(r->call.call.arena, resource->origin.file);
        rc = kl_map_put(&r->seen, kilter_buf_view(&key), origin, NULL);
    }
    kilter_buf_release(&key);
    return !origin || rc == KILTER_E_NOMEM ? failed(r, KILTER_E_NOMEM, "out of memory") : rc;
}

/* The document with variables in place, in *resource. */
static int substitute(struct render *r, struct kilter_resource *resource)
{
    const struct kl_render_request *request = r->request;
    if (!request->substitute)
        return 0;
    int rc = kl_substitute(r->call.call.arena, resource->document, request->variables, request->inputs,
                           &resource->document, r->call.call.diags);
    return rc == 0 || rc == KILTER_E_INVALID ? rc : failed(r, rc, kilter_status_text(rc));
}

static int count_bytes(struct render *r, const struct kilter_resource *resource)
{
    kilter_buf_clear(&r->json);
    int rc = kilter_json_write(&r->json, resource->document, KILTER_SCHEMA_KUBERNETES,
                               KILTER_WRITE_REVEAL | KILTER_WRITE_SORTED | KILTER_WRITE_CONTENT);
    r->bytes += r->json.len;
    if (rc == KILTER_E_LIMIT || r->bytes > r->max_bytes)
        return stop(r, kilter_error_set(r->call.call.error, KILTER_E_LIMIT,
                                        "the render gives more than %llu bytes of resources",
                                        (unsigned long long)r->max_bytes));
    if (rc < 0)
        return failed(r, rc, kilter_status_text(rc));
    kilter_sha256_update(&r->digest, r->json.ptr, r->json.len);
    kilter_sha256_update(&r->digest, "\n", 1);
    return 0;
}

/* What is wrong with the user's documents becomes diagnostics and 0, so that the renderer goes on and all
 * problems show at once. */
static int take_resource(struct render *r, const struct kilter_resource *given)
{
    struct kilter_resource resource = { .size = sizeof resource, .document = given->document };
    struct kilter_directives directives = { .size = sizeof directives };
    struct kilter_diags *diags = r->call.call.diags;
    size_t errors = kilter_diags_errors(diags);
    bool given_origin = given->origin.file.len || given->origin.line;

    int rc = substitute(r, &resource);
    if (rc == 0)
        rc = kilter_resource_init(&resource, resource.document, diags);
    if (rc == 0) {
        if (given_origin)
            resource.origin = given->origin;
        rc = check_clear(r, &resource);
        kilter_directives_read(resource.document, &directives, diags);
    }
    if (rc == 0)
        rc = check_new(r, &resource);
    if (rc == 0)
        rc = count_bytes(r, &resource);
    if (rc < 0)
        return r->rc;

    r->result.count++;
    r->result.secret |= kilter_has_mark(resource.document, KILTER_VALUE_SECRET);
    if (kilter_diags_errors(diags) == errors && r->events->resource &&
        (rc = r->events->resource(r->events->data, &resource)) < 0)
        return stop(r, rc);
    return 0;
}

static int sink_emit(struct kilter_render_sink *sink, const struct kilter_resource *resource)
{
    struct render *r = (struct render *)sink;
    if (r->rc < 0)
        return r->rc;
    if (r->call.call.host->cancelled(&r->call.call))
        return failed(r, KILTER_E_CANCELLED, "the render was cancelled");
    int rc = check_shape(r, resource);
    if (rc < 0)
        return rc;
    if (r->result.count >= r->max_resources)
        return stop(r, kilter_error_set(r->call.call.error, KILTER_E_LIMIT,
                                        "the render gives more than %llu resources",
                                        (unsigned long long)r->max_resources));
    return take_resource(r, resource);
}

static int sink_need(struct kilter_render_sink *sink, struct kilter_str url, struct kilter_str ref,
                     struct kilter_tree **ret_tree)
{
    struct render *r = (struct render *)sink;
    if (!url.len || url.len > 4096 || ref.len > 1024)
        return stop(r, kl_call_defect(&r->call, "asked for a repository without a usable URL or ref"));
    if (!r->events->need)
        return kilter_error_set(r->call.call.error, KILTER_E_UNSUPPORTED,
                                "another repository is needed, %.*s, which cannot be fetched here",
                                KILTER_STR_ARG(url));
    int rc = r->events->need(r->events->data, url, ref, ret_tree, r->call.call.error);
    r->needs |= rc == KILTER_E_NEED;
    return rc;
}

/* --- the render ------------------------------------------------------------------------- */
static int fill(const struct kilter_config_schema *schema, const struct kilter_value *options, const char *what,
                struct kilter_arena *arena, const void **ret, struct kilter_diags *diags, struct kilter_error *err)
{
    void *filled = NULL;
    *ret = NULL;
    if (!schema && kilter_map_size(options)) {
        kilter_diag_add(diags, KILTER_ERROR, "config.unknown-key", kilter_origin_of(options), NULL,
                        "%s: this plugin takes no options", what);
        return kilter_error_set(err, KILTER_E_INVALID, "%s: this plugin takes no options", what);
    }
    if (!schema)
        return 0;
    int rc = kilter_config_fill(schema, options, what, arena, &filled, diags);
    *ret = filled;
    return rc < 0 ? kilter_error_set(err, rc, "%s: the options are wrong", what) : 0;
}

static int fill_both(const struct kl_render_request *request, struct kilter_arena *arena, const void **ret_config,
                     const void **ret_options, struct kilter_diags *diags, struct kilter_error *err)
{
    const struct kl_plugin *plugin = request->plugin;
    const char *of_plugin = kilter_arena_printf(arena, "option of plugin %s", plugin->table.name);
    const char *of_renderer = kilter_arena_printf(arena, "option of renderer %s", plugin->table.name);
    if (!of_plugin || !of_renderer)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    /* Both, so that the user sees the problems of both. */
    int rc = fill(plugin->table.config, request->config, of_plugin, arena, ret_config, diags, err);
    int rc2 = fill(plugin->renderer.options, request->options, of_renderer, arena, ret_options, diags, err);
    return rc < 0 ? rc : rc2;
}

static int conclude(struct render *r, int rc)
{
    struct kilter_error *err = r->call.call.error;
    size_t errors = kilter_diags_errors(r->call.call.diags);
    if (rc == 0 && errors)
        return kilter_error_set(err, KILTER_E_INVALID, "%zu error%s in what was rendered", errors,
                                errors == 1 ? "" : "s");
    if (rc == KILTER_E_NEED && !r->needs)
        return kl_call_defect(&r->call, "wants another repository but named none");
    if (rc == 0 && r->needs)
        return kilter_error_set(err, KILTER_E_NEED, "another repository is needed first");
    return rc;
}

static int run(struct render *r, const void *options)
{
    const struct kl_render_request *request = r->request;
    kl_call_begin(&r->call, "render");
    int rc = request->plugin->renderer.render(&r->call.call, request->tree, request->path, options, &r->sink);
    if (r->rc < 0) { /* ours came first; a plugin that goes on after it changes nothing */
        struct kilter_error kept = *r->call.call.error;
        if (r->call.services->phase)
            r->call.services->phase(r->call.services->data, NULL, NULL);
        *r->call.call.error = kept;
        return kept.code == r->rc ? r->rc
                                  : kilter_error_set(r->call.call.error, r->rc, "%s", kilter_status_text(r->rc));
    }
    return conclude(r, kl_call_end(&r->call, rc));
}

int kl_render(const struct kl_render_request *request, const struct kl_services *services,
              const struct kl_render_events *events, struct kilter_arena *arena, struct kl_render_result *ret,
              struct kilter_diags *diags, struct kilter_error *err)
{
    const void *config, *options;
    struct kilter_error own = KILTER_ERROR_INIT;
    err = err ? err : &own;
    if (!request->plugin->table.renderer)
        return kilter_error_set(err, KILTER_E_INVALID, "plugin %s is no renderer", request->plugin->table.name);
    int rc = fill_both(request, arena, &config, &options, diags, err);
    if (rc < 0)
        return rc;

    struct render r = { .sink = { .size = sizeof r.sink, .emit = sink_emit, .need = sink_need },
                        .request = request,
                        .events = events,
                        .max_resources = request->max_resources ? request->max_resources : KL_RENDER_MAX_RESOURCES,
                        .max_bytes = request->max_bytes ? request->max_bytes : KL_RENDER_MAX_BYTES };
    r.json = (struct kilter_buf)KILTER_BUF_INIT((size_t)r.max_bytes);
    kl_call_init(&r.call, request->plugin, config, services, arena, diags, request->deadline_ns, err);
    kilter_sha256_init(&r.digest);

    rc = run(&r, options);
    if (rc == 0) {
        uint8_t digest[KILTER_SHA256_SIZE];
        kilter_sha256_final(&r.digest, digest);
        kilter_hex(digest, sizeof digest, r.result.digest);
        *ret = r.result;
    }
    kilter_buf_release(&r.json);
    kl_map_release(&r.seen, NULL);
    return rc;
}

int kl_render_detect(const struct kl_plugin *plugin, const struct kilter_value *config,
                     const struct kl_services *services, struct kilter_tree *tree, struct kilter_str path,
                     struct kilter_arena *arena, struct kilter_diags *diags, struct kilter_error *err)
{
    const void *filled;
    struct kilter_error own = KILTER_ERROR_INIT;
    err = err ? err : &own;
    if (!plugin->table.renderer || !plugin->renderer.detect)
        return 0;
    int rc = fill(plugin->table.config, config, "option of plugin", arena, &filled, diags, err);
    if (rc < 0)
        return rc;
    struct kl_call call;
    kl_call_init(&call, plugin, filled, services, arena, diags, 0, err);
    kl_call_begin(&call, "detect");
    int score = plugin->renderer.detect(&call.call, tree, path);
    rc = kl_call_end(&call, score > 0 ? 0 : score);
    return rc < 0 ? rc : score > 0 ? score : 0;
}
