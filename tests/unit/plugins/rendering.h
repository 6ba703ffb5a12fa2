/* SPDX-License-Identifier: Apache-2.0 */
/* rendering.h: a renderer run over a plain directory, its resources kept. One at a time. */
#ifndef TESTS_PLUGINS_RENDERING_H
#define TESTS_PLUGINS_RENDERING_H

#include "world.h"

struct rendering {
    struct world *world;
    struct kilter_resource resources[64];
    size_t count;
    int code;
};

/* The tree view of a plain directory needs openat2, which valgrind does not have: says "skipped" without it. */
bool rendering_possible(const char *what);
/* Renders `path` of the world's root with options written as YAML. */
void rendering_run(struct rendering *rendering, struct world *world, const char *plugin, const char *path,
                   const char *options);
const struct kilter_resource *rendering_find(const struct rendering *rendering, const char *kind, const char *name);
/* Whether a diagnostic with this code is about this file, and at this line (0: any). */
bool rendering_complains(const struct rendering *rendering, const char *code, const char *file, unsigned int line);

#endif
