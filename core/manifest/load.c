/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a manifest, from its file to the finished model. */
#include "manifest/load.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define ARENA_MAX ((size_t)1 << 30)

/* --- plugins ---------------------------------------------------------------------------- */
/* A file is relative to the manifest's directory. */
static struct kilter_str plugin_file(struct kl_load *load, struct kilter_str file)
{
    struct kilter_str manifest = load->manifest->path;
    ptrdiff_t slash = kilter_str_rfind(manifest, '/');
    struct kilter_str directory = slash < 0 ? KILTER_STR(".") : kilter_str_sub(manifest, 0, (size_t)slash + 1);
    char absolute[PATH_MAX];

    if (file.len == 0 || file.ptr[0] == '/')
        return file;
    char *path = kilter_arena_printf(load->arena, "%.*s", KILTER_STR_ARG(directory));
    const char *root = path && realpath(path, absolute) ? absolute : path;
    while (kilter_str_starts(file, KILTER_STR("./")))
        file = kilter_str_sub(file, 2, file.len);
    char *joined =
        root ? kilter_arena_printf(load->arena, "%s/%.*s", strcmp(root, "/") ? root : "", KILTER_STR_ARG(file))
             : NULL;
    if (!joined)
        kl_report_nomem(&load->report);
    return kilter_str_c(joined);
}

static struct kilter_str name_of_file(struct kilter_str file)
{
    struct kilter_str name = kilter_str_sub(file, (size_t)(kilter_str_rfind(file, '/') + 1), file.len);
    return kilter_str_ends(name, KILTER_STR(".so")) ? kilter_str_sub(name, 0, name.len - 3) : name;
}

static bool is_plugin_name(struct kilter_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i > 0)))
            return false;
    }
    return name.len > 0 && name.len <= 63;
}

static void check_plugin(struct kl_load *load, const struct kl_manifest_plugin *plugin,
                         const struct kilter_value *value)
{
    const struct kl_manifest_plugin *first = kl_map_get(&load->plugins, plugin->name);
    const struct kl_plugin_schemas *schemas;
    char what[200];

    snprintf(what, sizeof what, "key of \"config\" of plugin \"%.*s\"",
             KILTER_STR_ARG(kilter_str_sub(plugin->name, 0, 63)));
    if (!is_plugin_name(plugin->name))
        kl_report_add(&load->report, KILTER_ERROR, "manifest.name", plugin->origin,
                      "lower-case letters, digits and '-'; for a file write {file: PATH}",
                      "\"%.*s\" cannot be the name of a plugin",
                      KILTER_STR_ARG(kilter_str_sub(plugin->name, 0, 100)));
    else if (first)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.duplicate", plugin->origin, "take one of them out",
                      "plugin \"%.*s\" is listed twice: also at %s", KILTER_STR_ARG(plugin->name),
                      kl_report_place(&load->report, first->origin));
    else if ((schemas = kl_load_schemas(load, plugin)))
        kl_load_check_options(load, schemas->config, kilter_get(value, "config"), what);
}

static void load_plugin(struct kl_load *load, const struct kilter_value *value, struct kl_manifest_plugin *plugin)
{
    struct kl_raw_plugin raw = { 0 };

    if (kilter_type_of(value) == KILTER_MAP) {
        kl_table_fill(&load->report, &kl_table_plugin, value, "an entry of \"plugins\"", true, &raw);
    } else if (kl_value_is_text(value)) {
        raw.name = kilter_arena_str(load->arena, kilter_text(value));
    } else {
        kl_report_add(&load->report, KILTER_ERROR, "manifest.type", kilter_origin_of(value), NULL,
                      "an item of \"plugins\" is %s; expected a name or a map", kl_value_is(value));
        return;
    }
    *plugin = (struct kl_manifest_plugin){ .name = raw.name.len ? raw.name : name_of_file(raw.file),
                                           .file = plugin_file(load, raw.file),
                                           .config = raw.config,
                                           .origin = kilter_origin_of(value) };
    plugin->name = kilter_arena_str(load->arena, plugin->name);
    if (plugin->name.len == 0) {
        kl_report_add(&load->report, KILTER_ERROR, "manifest.required", plugin->origin, NULL,
                      "an entry of \"plugins\" has neither \"name\" nor \"file\"");
        return;
    }
    check_plugin(load, plugin, value);
    if (!kl_map_has(&load->plugins, plugin->name))
        kl_load_put(load, &load->plugins, plugin->name, plugin);
}

static void load_plugins(struct kl_load *load)
{
    size_t count = kilter_list_size(load->plugin_list);
    struct kl_manifest_plugin *plugins = kl_load_alloc(load, count * sizeof *plugins);

    for (size_t i = 0; plugins && i < count; i++)
        load_plugin(load, kilter_list_at(load->plugin_list, i), &plugins[i]);
    load->manifest->plugins = plugins;
    load->manifest->plugin_count = plugins ? count : 0;
}

/* --- daemon -------------------------------------------------------------------------------- */
static void check_daemon(struct kl_load *load)
{
    static const int levels[] = { KILTER_LOG_ERROR, KILTER_LOG_WARNING, KILTER_LOG_INFO, KILTER_LOG_DEBUG };
    struct kl_daemon_config *daemon = &load->manifest->daemon;

    daemon->log_level = levels[daemon->log_level];
    if (daemon->socket_path.len > 107) /* sun_path of unix(7) */
        kl_report_add(&load->report, KILTER_ERROR, "manifest.daemon",
                      kilter_origin_of(kilter_get(kilter_get(load->daemon_section, "socket"), "path")), NULL,
                      "\"socket\" of \"daemon\": \"path\" is longer than the 107 bytes that a socket's may have");
}

/* --- the whole ---------------------------------------------------------------------------------- */
static void release(struct kl_load *load)
{
    struct kl_map *maps[] = { &load->sources.entries,  &load->environments.entries,
                              &load->targets.entries,  &load->policies.entries,
                              &load->apps.entries,     &load->plugins,
                              &load->schemas,          &load->stages,
                              &load->policies_made,    &load->source_instances,
                              &load->target_instances, &load->drafts };

    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        kl_map_release(maps[i], NULL);
    kl_report_release(&load->report);
}

static void run(struct kl_load *load, const char *path, const struct kilter_str *text)
{
    kl_load_files(load, path, text);
    if (load->report.status || !load->manifest->file_count)
        return;
    check_daemon(load);
    load_plugins(load);
    kl_load_stages(load);
    kl_load_policies(load);
    kl_load_apps(load);
    kl_load_unused_sources(load);
    kl_load_unused_targets(load);
    if (load->report.status == 0)
        kl_load_graph(load);
}

static int start(struct kl_load *load, const struct kl_manifest_options *options)
{
    load->arena = kilter_arena_new(ARENA_MAX);
    load->manifest = load->arena ? kilter_arena_alloc(load->arena, sizeof *load->manifest) : NULL;
    if (!load->manifest || kl_report_init(&load->report, load->arena) < 0) {
        kilter_arena_free(load->arena);
        return KILTER_E_NOMEM;
    }
    load->manifest->references = 1;
    load->manifest->arena = load->arena;
    load->sources = (struct kl_section){ "source", "sources", KL_MAP_INIT };
    load->environments = (struct kl_section){ "environment", "environments", KL_MAP_INIT };
    load->targets = (struct kl_section){ "target", "targets", KL_MAP_INIT };
    load->policies = (struct kl_section){ "policy", "policies", KL_MAP_INIT };
    load->apps = (struct kl_section){ "app", "apps", KL_MAP_INIT };
    if (options)
        load->options = *options;
    if (options && options->host)
        load->host = *options->host;
    else
        kl_host_read(load->arena, &load->host);
    return 0;
}

static int load_any(const char *path, const struct kilter_str *text, const struct kl_manifest_options *options,
                    struct kl_manifest **ret, struct kilter_diags *diags)
{
    struct kl_load load = { 0 };

    int rc = start(&load, options);
    if (rc < 0)
        return rc;
    run(&load, path, text);
    kl_report_finish(&load.report, kilter_str_c(path), diags);
    rc = load.report.status ? load.report.status : load.report.errors ? KILTER_E_INVALID : 0;
    if (rc == KILTER_E_NOMEM)
        kilter_diag_add(diags, KILTER_ERROR, "manifest.memory", (struct kilter_origin){ kilter_str_c(path), 0, 0 },
                        NULL, "there is not enough memory to load the manifest");
    release(&load);
    if (rc < 0)
        kl_manifest_unref(load.manifest);
    else
        *ret = load.manifest;
    return rc;
}

int kl_manifest_load(const char *path, const struct kl_manifest_options *options, struct kl_manifest **ret,
                     struct kilter_diags *diags)
{
    return load_any(path, NULL, options, ret, diags);
}

int kl_manifest_load_text(struct kilter_str text, const char *path, const struct kl_manifest_options *options,
                          struct kl_manifest **ret, struct kilter_diags *diags)
{
    return load_any(path, &text, options, ret, diags);
}
