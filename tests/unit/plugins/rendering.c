/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include "git/tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

bool rendering_possible(const char *what)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC };
    long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    if (fd >= 0)
        close((int)fd);
    else
        printf("skipped: %s (no openat2)\n", what);
    return fd >= 0;
}

static int take_resource(struct kilter_render_sink *sink, const struct kilter_resource *resource)
{
    struct rendering *rendering = sink->host_data;
    ck_assert_uint_lt(rendering->count, sizeof rendering->resources / sizeof *rendering->resources);
    rendering->resources[rendering->count++] = *resource;
    return KILTER_OK;
}

static int need_nothing(struct kilter_render_sink *sink, struct kilter_str url, struct kilter_str ref,
                        struct kilter_tree **ret_tree)
{
    (void)sink;
    (void)url;
    (void)ref;
    (void)ret_tree;
    return KILTER_E_PERMISSION;
}

void rendering_run(struct rendering *rendering, struct world *world, const char *plugin, const char *path,
                   const char *options)
{
    static struct kilter_tree *tree; /* contents live as long as it does */
    const struct kilter_renderer *renderer = world_plugin(plugin)->renderer;
    struct kilter_parse_options parse = KILTER_PARSE_OPTIONS_INIT;
    struct kilter_render_sink sink = { sizeof sink, take_resource, need_nothing, rendering };
    struct kilter_value *documents;
    void *filled;
    kl_tree_close(tree);
    memset(rendering, 0, sizeof *rendering);
    rendering->world = world;
    kilter_diags_clear(world->diags);
    ck_assert_int_eq(kl_tree_open_dir(world->root, &tree, &world->error), KILTER_OK);
    ck_assert_int_eq(kilter_yaml_read(world->arena, kilter_str_c(options), &parse, &documents, world->diags), 0);
    int code = kilter_config_fill(renderer->options, kilter_list_at(documents, 0), "option", world->arena, &filled,
                                  world->diags);
    ck_assert_int_eq(code, KILTER_OK);
    rendering->code = renderer->render(&world->call, tree, kilter_str_c(path), filled, &sink);
}

const struct kilter_resource *rendering_find(const struct rendering *rendering, const char *kind, const char *name)
{
    for (size_t i = 0; i < rendering->count; i++)
        if (kilter_str_eq_c(rendering->resources[i].id.kind, kind) &&
            kilter_str_eq_c(rendering->resources[i].id.name, name))
            return &rendering->resources[i];
    return NULL;
}

bool rendering_complains(const struct rendering *rendering, const char *code, const char *file, unsigned int line)
{
    for (size_t i = 0; i < kilter_diags_count(rendering->world->diags); i++) {
        const struct kilter_diag *diag = kilter_diags_at(rendering->world->diags, i);
        if (kilter_str_eq_c(diag->code, code) && kilter_str_eq_c(diag->origin.file, file) &&
            (!line || diag->origin.line == line))
            return true;
    }
    return false;
}
