/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/plugins.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/paths.h"
#include "manifest/descriptor.h"

#define DESCRIBE_DEADLINE_MS 10000

struct describing {
    struct kl_engine *engine;
    void (*done)(void *data);
    void *data;
    unsigned left;
};

struct describe {
    struct describing *all;
    struct kl_plugin_state *plugin;
};

static void take_descriptor(struct kl_plugin_state *plugin, const struct kilter_value *descriptor)
{
    const struct kl_plugin_schemas *schemas;
    plugin->descriptor = kilter_value_copy(plugin->arena, descriptor);
    schemas = plugin->descriptor ? kl_plugin_schemas_of(plugin->arena, plugin->descriptor) : NULL;
    if (!schemas) {
        plugin->descriptor = NULL;
        snprintf(plugin->error, sizeof plugin->error, "out of memory");
        return;
    }
    plugin->schemas = *schemas;
    snprintf(plugin->version, sizeof plugin->version, "%.*s",
             KILTER_STR_ARG(kilter_get_text(descriptor, "version")));
}

/* --- describing ----------------------------------------------------------------------------------- */
static void one_less(struct describing *all)
{
    if (--all->left)
        return;
    all->done(all->data);
    free(all);
}

static void on_described(void *data, const struct kl_job_outcome *outcome)
{
    struct describe *describe = data;
    struct kl_plugin_state *plugin = describe->plugin;
    const struct kilter_value *descriptor = kilter_get(outcome->done, "plugin");
    if (outcome->status == KILTER_OK && descriptor)
        take_descriptor(plugin, descriptor);
    else
        snprintf(plugin->error, sizeof plugin->error, "%s", outcome->message);
    one_less(describe->all);
    free(describe);
}

static void submit(struct describing *all, struct kl_plugin_state *plugin)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct describe *describe = calloc(1, sizeof *describe);
    struct kilter_arena *arena = kilter_arena_new(0);
    struct kl_job *job;
    int rc = KILTER_E_NOMEM;
    if (describe && arena) {
        *describe = (struct describe){ all, plugin };
        struct kilter_value *arguments = kilter_map(arena), *about = kilter_map(arena);
        kilter_set(arena, about, "name", kilter_string_c(arena, plugin->name));
        kilter_set(arena, about, "file", kilter_string_c(arena, plugin->file));
        kilter_set(arena, arguments, "plugin", about);
        struct kl_job_spec spec = {
            .role = KL_ROLE_INSPECT,
            .key = kilter_str_c(plugin->file),
            .plugin = kilter_str_c(plugin->name),
            .verb = KILTER_STR("describe"),
            .arguments = arguments,
            .deadline_ms = DESCRIBE_DEADLINE_MS,
            .priority = KL_PRIORITY_PERSON,
            .handler = { .on_done = on_described },
            .data = describe,
        };
        rc = kl_pool_submit(all->engine->pool, &spec, &job, &err);
    }
    kilter_arena_free(arena);
    if (rc < 0) {
        snprintf(plugin->error, sizeof plugin->error, "%s", err.message[0] ? err.message : kilter_status_text(rc));
        free(describe);
        one_less(all);
    }
}

static void free_plugin(void *value)
{
    struct kl_plugin_state *plugin = value;
    kilter_arena_free(plugin->arena);
    free(plugin->name);
    free(plugin->file);
    free(plugin);
}

/* A new state for the plugin, or NULL when the one that is there still fits its file. */
static struct kl_plugin_state *renew(struct kl_engine *engine, const struct kl_manifest_plugin *wanted)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct stat st = { 0 };
    char *file = NULL;
    if (wanted->file.len)
        file = strdup(wanted->file.ptr);
    else
        kl_plugin_find(wanted->name, &file, &err);
    if (file && stat(file, &st) < 0)
        kilter_error_errno(&err, errno, "plugin '%s': %s", wanted->name.ptr, file);
    struct kl_plugin_state *old = kl_engine_plugin(engine, wanted->name);
    int64_t mtime_ns = st.st_mtim.tv_sec * KL_NS_PER_S + st.st_mtim.tv_nsec;
    if (old && file && old->descriptor && strcmp(old->file, file) == 0 && old->mtime_ns == mtime_ns &&
        old->inode == st.st_ino && old->size == (uint64_t)st.st_size) {
        free(file);
        return NULL;
    }
    struct kl_plugin_state *plugin = calloc(1, sizeof *plugin);
    if (!plugin)
        return NULL;
    plugin->name = strdup(wanted->name.ptr);
    plugin->file = file ? file : strdup("");
    plugin->arena = kilter_arena_new(0);
    plugin->mtime_ns = mtime_ns;
    plugin->inode = st.st_ino;
    plugin->size = (uint64_t)st.st_size;
    snprintf(plugin->error, sizeof plugin->error, "%s", err.message);
    void *replaced = NULL;
    if (!plugin->name || !plugin->file || !plugin->arena ||
        kl_map_put(&engine->plugins, wanted->name, plugin, &replaced) < 0) {
        free_plugin(plugin);
        return NULL;
    }
    if (replaced)
        free_plugin(replaced);
    return plugin;
}

void kl_plugins_describe(struct kl_engine *engine, const struct kl_manifest *manifest, void (*done)(void *data),
                         void *data)
{
    struct describing *all = calloc(1, sizeof *all);
    if (!all) {
        done(data);
        return;
    }
    *all = (struct describing){ engine, done, data, 1 };
    for (size_t i = 0; i < manifest->plugin_count; i++) {
        struct kl_plugin_state *plugin = renew(engine, &manifest->plugins[i]);
        if (!plugin || plugin->error[0])
            continue;
        all->left++;
        submit(all, plugin);
    }
    one_less(all);
}

struct kl_plugin_state *kl_engine_plugin(const struct kl_engine *engine, struct kilter_str name)
{
    return kl_map_get(&engine->plugins, name);
}

const struct kl_plugin_schemas *kl_plugins_lookup(void *data, struct kilter_str name, struct kilter_str file)
{
    const struct kl_plugin_state *plugin = kl_engine_plugin(data, name);
    (void)file;
    return plugin && plugin->descriptor ? &plugin->schemas : NULL;
}

void kl_plugins_release(struct kl_engine *engine)
{
    kl_map_release(&engine->plugins, free_plugin);
}
