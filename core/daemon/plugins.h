/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugins.h: what the plugins of the manifest say about themselves.
 *
 * A descriptor is learnt by a `describe` job in a worker and kept until the
 * plugin's file changes; the daemon never loads a plugin. The manifest's
 * options are checked against it. Loop thread only.
 */
#ifndef KL_DAEMON_PLUGINS_H
#define KL_DAEMON_PLUGINS_H

#include "daemon/engine.h"

struct kl_plugin_state {
    char *name;
    char *file; /* absolute */
    char version[64];
    char error[512]; /* why it could not be described; empty: it could */
    struct kilter_arena *arena;
    const struct kilter_value *descriptor; /* wire/jobs.h; NULL when it could not be had */
    struct kl_plugin_schemas schemas;
    int64_t mtime_ns;
    uint64_t inode, size;
};

/* Describes the plugins of a manifest, as far as they are not known or their files changed; then `done`. */
void kl_plugins_describe(struct kl_engine *engine, const struct kl_manifest *manifest, void (*done)(void *data),
                         void *data);
struct kl_plugin_state *kl_engine_plugin(const struct kl_engine *engine, struct kilter_str name);
/* For kl_manifest_options. `data` is the engine. */
const struct kl_plugin_schemas *kl_plugins_lookup(void *data, struct kilter_str name, struct kilter_str file);
void kl_plugins_release(struct kl_engine *engine);

#endif
