/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/loader.h"

#include "base/cleanup.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_OPTIONS 256u
#define NAME_MAX_LEN 63u

/* The least that a table of ABI 1.0 has. Members after these are optional, and a plugin built before they
 * were thought of does not have them. */
#define PLUGIN_LEAST offsetof(struct kilter_plugin, target)
#define RENDERER_LEAST sizeof(struct kilter_renderer)
#define TARGET_LEAST offsetof(struct kilter_target, watch)

/* The ABI of version 1: these may never move. */
#if __SIZEOF_POINTER__ == 8
_Static_assert(offsetof(struct kilter_plugin, abi_minor) == 8, "ABI");
_Static_assert(offsetof(struct kilter_plugin, name) == 16, "ABI");
_Static_assert(offsetof(struct kilter_plugin, needs) == 40, "ABI");
_Static_assert(offsetof(struct kilter_plugin, config) == 48, "ABI");
_Static_assert(offsetof(struct kilter_plugin, renderer) == 56, "ABI");
_Static_assert(offsetof(struct kilter_plugin, target) == 64, "ABI");
_Static_assert(offsetof(struct kilter_renderer, render) == 24, "ABI");
_Static_assert(offsetof(struct kilter_target, open) == 24, "ABI");
_Static_assert(offsetof(struct kilter_target, plan) == 56, "ABI");
_Static_assert(offsetof(struct kilter_target, apply) == 64, "ABI");
_Static_assert(offsetof(struct kilter_target, watch) == 88, "ABI");
_Static_assert(offsetof(struct kilter_target, upgrade_state) == 104, "ABI");
_Static_assert(offsetof(struct kilter_option, offset) == 48, "ABI");
_Static_assert(offsetof(struct kilter_change, before) == 184, "ABI");
_Static_assert(offsetof(struct kilter_result, message) == 24, "ABI");
_Static_assert(offsetof(struct kilter_record, attributes) == 96, "ABI");
_Static_assert(offsetof(struct kilter_call, error) == 32, "ABI");
#endif

static int refuse(struct kl_plugin *plugin, struct kilter_error *err, const char *what)
{
    return kilter_error_set(err, KILTER_E_INVALID, "%s is no usable plugin: %s", plugin->file, what);
}

/* Copies a table as far as both sides know it. `size` is what the plugin says. */
static void copy_table(void *ours, size_t our_size, const void *theirs, size_t size)
{
    memset(ours, 0, our_size);
    memcpy(ours, theirs, size < our_size ? size : our_size);
    memcpy(ours, &our_size, sizeof our_size); /* every table begins with its size */
}

/* --- schemas --------------------------------------------------------------------- */
/* Tables of options and their defaults are checked by the same code that will use them; NULL as the user's
 * options leaves only complaints about the table and about what is required. */
static int check_schema(struct kl_plugin *plugin, const struct kilter_config_schema *schema, const char *what,
                        struct kilter_error *err)
{
    KL_CLEANUP(kl_diags_freep) struct kilter_diags *diags = kilter_diags_new(0);
    if (!diags)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    kilter_config_check(schema, NULL, what, diags);
    for (size_t i = 0; i < kilter_diags_count(diags); i++) {
        const struct kilter_diag *diag = kilter_diags_at(diags, i);
        if (kilter_str_eq_c(diag->code, "plugin.schema"))
            return kilter_error_set(err, KILTER_E_INVALID, "%s is no usable plugin: %.*s", plugin->file,
                                    KILTER_STR_ARG(diag->message));
    }
    return 0;
}

static int copy_rows(struct kl_plugin *plugin, const struct kilter_config_schema *theirs,
                     struct kilter_config_schema *ret, struct kilter_error *err)
{
    struct kilter_option *rows = kilter_arena_calloc(plugin->arena, theirs->option_count, sizeof *rows);
    if (!rows)
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    size_t size = theirs->option_size < sizeof *rows ? theirs->option_size : sizeof *rows;
    for (size_t i = 0; i < theirs->option_count; i++)
        memcpy(&rows[i], (const char *)theirs->options + i * theirs->option_size, size);
    ret->size = sizeof *ret;
    ret->option_size = sizeof *rows;
    ret->struct_size = theirs->struct_size;
    ret->options = rows;
    ret->option_count = theirs->option_count;
    return 0;
}

/* Checks and copies one schema, and lets `schema` point to the copy. Absent ones are fine. */
static int take_schema(struct kl_plugin *plugin, const struct kilter_config_schema **schema,
                       struct kilter_config_schema *copy, const char *what, struct kilter_error *err)
{
    if (!*schema)
        return 0;
    if ((*schema)->size < sizeof **schema || (*schema)->option_count > MAX_OPTIONS)
        return refuse(plugin, err, "a table of options has a wrong size");
    int rc = check_schema(plugin, *schema, what, err);
    if (rc == 0)
        rc = copy_rows(plugin, *schema, copy, err);
    if (rc == 0)
        *schema = copy;
    return rc;
}

/* --- tables ------------------------------------------------------------------------ */
static bool is_name(const char *name)
{
    size_t len = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") : 0;
    return len && len <= NAME_MAX_LEN && name[len] == '\0' && name[0] != '-';
}

static int check_descriptor(struct kl_plugin *plugin, const char *name, struct kilter_error *err)
{
    const struct kilter_plugin *table = &plugin->table;
    if (!is_name(table->name))
        return refuse(plugin, err, "its name is not made of lower-case letters, digits and '-'");
    if (name && strcmp(name, table->name) != 0)
        return kilter_error_set(err, KILTER_E_INVALID, "%s is the plugin \"%s\", not \"%s\"", plugin->file,
                                table->name, name);
    if (!table->version || !table->version[0])
        return refuse(plugin, err, "it has no version");
    if (!table->summary)
        return refuse(plugin, err, "it has no summary");
    if (!table->renderer && !table->target)
        return refuse(plugin, err, "it is neither a renderer nor a target");
    return 0;
}

static int take_renderer(struct kl_plugin *plugin, struct kilter_error *err)
{
    if (!plugin->table.renderer)
        return 0;
    if (plugin->table.renderer->size < RENDERER_LEAST)
        return refuse(plugin, err, "its renderer table is too small");
    copy_table(&plugin->renderer, sizeof plugin->renderer, plugin->table.renderer, plugin->table.renderer->size);
    plugin->table.renderer = &plugin->renderer;
    if (!plugin->renderer.render)
        return refuse(plugin, err, "its renderer has no render callback");
    return take_schema(plugin, &plugin->renderer.options, &plugin->renderer_options, "option of its renderer", err);
}

static int take_target(struct kl_plugin *plugin, struct kilter_error *err)
{
    if (!plugin->table.target)
        return 0;
    if (plugin->table.target->size < TARGET_LEAST)
        return refuse(plugin, err, "its target table is too small");
    copy_table(&plugin->target, sizeof plugin->target, plugin->table.target, plugin->table.target->size);
    plugin->table.target = &plugin->target;

    const struct kilter_target *target = &plugin->target;
    const char *missing = !target->open       ? "open"
                          : !target->close    ? "close"
                          : !target->identity ? "identity"
                          : !target->claims   ? "claims"
                          : !target->plan     ? "plan"
                          : !target->apply    ? "apply"
                          : !target->refresh  ? "refresh"
                          : !target->health   ? "health"
                                              : NULL;
    if (missing)
        return kilter_error_set(err, KILTER_E_INVALID, "%s is no usable plugin: its target has no %s callback",
                                plugin->file, missing);
    int rc = take_schema(plugin, &plugin->target.options, &plugin->target_options, "option of its target", err);
    if (rc == 0)
        rc = take_schema(plugin, &plugin->target.allow, &plugin->target_allow, "allow of its target", err);
    return rc;
}

static int take_tables(struct kl_plugin *plugin, const char *name, const struct kilter_plugin *theirs,
                       struct kilter_error *err)
{
    if (theirs->size < offsetof(struct kilter_plugin, name))
        return refuse(plugin, err, "its descriptor is too small");
    if (theirs->abi_minor > kilter_abi_minor())
        return kilter_error_set(err, KILTER_E_UNSUPPORTED, "%s needs libkilter %d.%u, and this is %d.%u (%s)",
                                plugin->file, KILTER_ABI_MAJOR, theirs->abi_minor, KILTER_ABI_MAJOR,
                                kilter_abi_minor(), kilter_version());
    if (theirs->size < PLUGIN_LEAST)
        return refuse(plugin, err, "its descriptor is too small");
    copy_table(&plugin->table, sizeof plugin->table, theirs, theirs->size);

    int rc = check_descriptor(plugin, name, err);
    if (rc == 0)
        rc = take_schema(plugin, &plugin->table.config, &plugin->config, "option of the plugin", err);
    if (rc == 0)
        rc = take_renderer(plugin, err);
    if (rc == 0)
        rc = take_target(plugin, err);
    return rc;
}

/* --- files --------------------------------------------------------------------------- */
static int no_symbol(struct kl_plugin *plugin, struct kilter_error *err)
{
    for (unsigned major = 0; major < 32; major++) {
        char symbol[32];
        snprintf(symbol, sizeof symbol, "kilter_plugin_v%u", major);
        if (major != KILTER_ABI_MAJOR && dlsym(plugin->object, symbol))
            return kilter_error_set(err, KILTER_E_UNSUPPORTED,
                                    "%s was built for the plugin interface %u, and this kilter speaks %d",
                                    plugin->file, major, KILTER_ABI_MAJOR);
    }
    return refuse(plugin, err, "it does not export kilter_plugin_v1");
}

static int open_object(struct kl_plugin *plugin, struct kilter_error *err)
{
    if (access(plugin->file, F_OK) < 0)
        return kilter_error_errno(err, errno, "plugin %s", plugin->file);
    plugin->object = dlopen(plugin->file, RTLD_NOW | RTLD_LOCAL);
    if (plugin->object)
        return 0;
    const char *why = dlerror();
    const char *hint = why && strstr(why, "kilter_") ? "; it may need a newer libkilter than " : "";
    return kilter_error_set(err, KILTER_E_INVALID, "%s cannot be loaded: %s%s%s", plugin->file,
                            why ? why : "no reason is known", hint, hint[0] ? kilter_version() : "");
}

/* A name without a slash would be searched for along the library path. */
static char *file_path(const char *file)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s", strchr(file, '/') ? "" : "./", file) < 0)
        return NULL;
    return path;
}

static struct kl_plugin *new_plugin(const char *file, struct kilter_error *err)
{
    struct kl_plugin *plugin = calloc(1, sizeof *plugin);
    if (plugin) {
        plugin->file = file_path(file);
        plugin->arena = kilter_arena_new(0);
    }
    if (plugin && plugin->file && plugin->arena)
        return plugin;
    kl_plugin_close(plugin);
    kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    return NULL;
}

static void plugin_closep(struct kl_plugin **plugin)
{
    kl_plugin_close(*plugin);
}

int kl_plugin_load(const char *file, const char *name, struct kl_plugin **ret, struct kilter_error *err)
{
    KL_CLEANUP(plugin_closep) struct kl_plugin *plugin = new_plugin(file, err);
    if (!plugin)
        return KILTER_E_NOMEM;
    int rc = open_object(plugin, err);
    if (rc < 0)
        return rc;

    const struct kilter_plugin *(*entry)(void);
    void *symbol = dlsym(plugin->object, "kilter_plugin_v1");
    if (!symbol)
        return no_symbol(plugin, err);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C knows no cast from an object to a function */
    const struct kilter_plugin *table = entry();
    if (!table)
        return refuse(plugin, err, "kilter_plugin_v1 returns no descriptor");
    rc = take_tables(plugin, name, table, err);
    if (rc == 0)
        *ret = kl_steal(plugin);
    return rc;
}

void kl_plugin_close(struct kl_plugin *plugin)
{
    if (!plugin)
        return;
    if (plugin->object)
        dlclose(plugin->object);
    kilter_arena_free(plugin->arena);
    free(plugin->file);
    free(plugin);
}
