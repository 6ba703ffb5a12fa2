/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loader.h: plugins, from file to tables that can be trusted to be whole.
 *
 * A loaded plugin owns its shared object and copies of its tables in this
 * program's own sizes: what an older plugin does not know is zero, what a newer
 * one has beyond that is left out. All checks of the tables are here, once.
 * Loading runs the plugin's constructors, so it happens in a worker, or in a
 * program that its user started on that plugin. One thread.
 */
#ifndef KL_WORKER_LOADER_H
#define KL_WORKER_LOADER_H

#include <kilter/renderer.h>
#include <kilter/target.h>

struct kl_plugin {
    char *file;                 /* the shared object's path */
    void *object;               /* dlopen's; NULL for a plugin that is part of this program */
    struct kilter_plugin table; /* its config, renderer and target point into this struct, or are NULL */
    struct kilter_renderer renderer;
    struct kilter_target target;
    /* The schemas, with rows of this program's size. */
    struct kilter_config_schema config, renderer_options, target_options, target_allow;
    struct kilter_arena *arena; /* of the rows */
};

/* Opens a shared object. `name`: what the manifest calls it, NULL for any. KILTER_E_NOT_FOUND when there is no
 * such file; KILTER_E_UNSUPPORTED for another ABI version, with both versions and the file; KILTER_E_INVALID when
 * it is no plugin or a broken one. */
int kl_plugin_load(const char *file, const char *name, struct kl_plugin **ret, struct kilter_error *err);
/* Takes NULL. The shared object is closed: nothing of the plugin may be used any more. */
void kl_plugin_close(struct kl_plugin *plugin);
/* The descriptor of wire/jobs.h, in the arena; NULL when out of memory. */
struct kilter_value *kl_plugin_describe(const struct kl_plugin *plugin, struct kilter_arena *arena);

#endif
