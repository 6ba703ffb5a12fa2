/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.h: runs a renderer and checks all it gives, in a worker and in
 * `kilter render` alike.
 *
 * Library kl-render: needs libkilter and dlopen only. A render keeps nothing;
 * what it hands out is valid during the event. One thread.
 */
#ifndef KL_WORKER_RENDER_H
#define KL_WORKER_RENDER_H

#include "worker/host.h"

#define KL_RENDER_MAX_RESOURCES 100000u          /* when the request says 0 */
#define KL_RENDER_MAX_BYTES (256u * 1024 * 1024) /* of the resources as JSON, when the request says 0 */

struct kl_render_request {
    const struct kl_plugin *plugin;     /* with a renderer */
    const struct kilter_value *config;  /* options of the `plugins:` entry, or NULL */
    const struct kilter_value *options; /* options of the app's `renderer:` entry, or NULL */
    struct kilter_tree *tree;
    struct kilter_str path;
    bool substitute;                      /* ${name} in documents */
    const struct kilter_value *variables; /* map of strings for it, or NULL */
    const struct kilter_value *inputs;    /* likewise, secret; they win over variables */
    uint64_t max_resources, max_bytes;    /* 0: the defaults above */
    int64_t deadline_ns;                  /* CLOCK_MONOTONIC; 0: none */
};

struct kl_render_events {
    /* A resource that passed every check, in the renderer's order. A negative status stops the render. */
    int (*resource)(void *data, const struct kilter_resource *resource);
    /* Another repository is needed: its tree in *ret, or KILTER_E_NEED, or why not. NULL: other repositories are
     * KILTER_E_UNSUPPORTED here. */
    int (*need)(void *data, struct kilter_str url, struct kilter_str ref, struct kilter_tree **ret,
                struct kilter_error *err);
    void *data;
};

struct kl_render_result {
    size_t count;    /* of resources */
    char digest[65]; /* SHA-256 of the resources in clear, maps sorted, in hexadecimal */
    bool secret;     /* a value in them is marked secret */
};

/* KILTER_E_INVALID: the diagnostics say why, and `err` in short. KILTER_E_NEED: after the events' `need` said so.
 * Resources may have been handed out before a failure; they mean nothing then. */
int kl_render(const struct kl_render_request *request, const struct kl_services *services,
              const struct kl_render_events *events, struct kilter_arena *arena, struct kl_render_result *ret,
              struct kilter_diags *diags, struct kilter_error *err);

/* How sure the plugin's renderer is of the path; 0: it is not, or has no `detect`. Negative: it failed. */
int kl_render_detect(const struct kl_plugin *plugin, const struct kilter_value *config,
                     const struct kl_services *services, struct kilter_tree *tree, struct kilter_str path,
                     struct kilter_arena *arena, struct kilter_diags *diags, struct kilter_error *err);

#endif
