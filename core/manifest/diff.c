/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload changes. */
#include <stdlib.h>

#include "base/map.h"
#include "manifest/manifest.h"

/* What is compared of an app, source or target. */
struct item {
    struct kilter_str name, moved_from;
    const char *digest;
    const void *thing;
};

typedef struct item (*item_at)(const struct kl_manifest *manifest, size_t index);

static struct item app_at(const struct kl_manifest *manifest, size_t index)
{
    const struct kl_app *app = &manifest->apps[index];
    return (struct item){ app->name, app->moved_from, app->digest, app };
}

static struct item source_at(const struct kl_manifest *manifest, size_t index)
{
    const struct kl_source *source = &manifest->sources[index];
    return (struct item){ source->name, { NULL, 0 }, source->digest, source };
}

static struct item target_at(const struct kl_manifest *manifest, size_t index)
{
    const struct kl_target *target = &manifest->targets[index];
    return (struct item){ target->name, { NULL, 0 }, target->digest, target };
}

struct side {
    const struct kl_manifest *manifest;
    size_t count;
};

/* Walks both in order of name; then what was renamed takes the place of what it was. */
static int compare(struct side before, struct side after, item_at at, struct kl_manifest_move **ret_moves,
                   size_t *ret_count)
{
    struct kl_manifest_move *moves = calloc(before.count + after.count + 1, sizeof *moves);
    struct kl_map removed = KL_MAP_INIT;
    size_t i = 0, j = 0, count = 0, kept = 0;
    int rc = 0;

    if (!moves)
        return KILTER_E_NOMEM;
    while (rc == 0 && (i < before.count || j < after.count)) {
        struct item old = { 0 }, new = { 0 };
        if (i < before.count)
            old = at(before.manifest, i);
        if (j < after.count)
            new = at(after.manifest, j);
        int order = !old.thing ? 1 : !new.thing ? -1 : kilter_str_cmp(old.name, new.name);
        struct kl_manifest_move *move = &moves[count++];
        if (order < 0) {
            *move = (struct kl_manifest_move){ KL_MOVED_REMOVED, old.thing, NULL };
            rc = kl_map_put(&removed, old.name, move, NULL);
        } else if (order > 0) {
            *move = (struct kl_manifest_move){ KL_MOVED_ADDED, NULL, new.thing };
        } else {
            bool same = strcmp(old.digest, new.digest) == 0;
            *move = (struct kl_manifest_move){ same ? KL_MOVED_NOT : KL_MOVED_CHANGED, old.thing, new.thing };
        }
        i += order <= 0;
        j += order >= 0;
    }
    for (size_t k = 0; k < after.count; k++) {
        struct item new = at(after.manifest, k);
        struct kl_manifest_move *gone = new.moved_from.len ? kl_map_get(&removed, new.moved_from) : NULL;
        for (size_t m = 0; gone && m < count; m++) {
            if (moves[m].moved != KL_MOVED_ADDED || moves[m].after != new.thing)
                continue;
            moves[m] = (struct kl_manifest_move){ KL_MOVED_RENAMED, gone->before, new.thing };
            gone->moved = 0;
            gone->before = NULL;
        }
    }
    for (size_t m = 0; m < count; m++)
        if (moves[m].before || moves[m].after)
            moves[kept++] = moves[m];
    kl_map_release(&removed, NULL);
    *ret_moves = moves;
    *ret_count = kept;
    return rc;
}

static bool same_daemon(const struct kl_daemon_config *a, const struct kl_daemon_config *b)
{
    return kilter_str_eq(a->state_directory, b->state_directory) && kilter_str_eq(a->socket_path, b->socket_path) &&
           kilter_str_eq(a->socket_group, b->socket_group) && a->socket_mode == b->socket_mode &&
           kilter_str_eq(a->http_listen, b->http_listen) && a->log_level == b->log_level &&
           a->workers == b->workers && a->concurrency == b->concurrency && a->worker_memory == b->worker_memory;
}

static bool same_plugins(const struct kl_manifest *a, const struct kl_manifest *b)
{
    if (a->plugin_count != b->plugin_count)
        return false;
    for (size_t i = 0; i < a->plugin_count; i++) {
        const struct kl_manifest_plugin *x = &a->plugins[i], *y = &b->plugins[i];
        bool same_config =
            (!x->config && !y->config) ||
            (x->config && y->config && kilter_value_equal(x->config, y->config, KILTER_SCHEMA_KUBERNETES));
        if (!kilter_str_eq(x->name, y->name) || !kilter_str_eq(x->file, y->file) || x->memory != y->memory ||
            !same_config)
            return false;
    }
    return true;
}

int kl_manifest_diff(const struct kl_manifest *before, const struct kl_manifest *after,
                     struct kl_manifest_diff *ret)
{
    static const struct kl_manifest none = { 0 };
    const struct kl_manifest *old = before ? before : &none;
    struct kl_manifest_diff diff = { 0 };

    int rc = compare((struct side){ old, old->app_count }, (struct side){ after, after->app_count }, app_at,
                     &diff.apps, &diff.app_count);
    if (rc == 0)
        rc = compare((struct side){ old, old->source_count }, (struct side){ after, after->source_count },
                     source_at, &diff.sources, &diff.source_count);
    if (rc == 0)
        rc = compare((struct side){ old, old->target_count }, (struct side){ after, after->target_count },
                     target_at, &diff.targets, &diff.target_count);
    if (rc < 0) {
        kl_manifest_diff_release(&diff);
        return rc;
    }
    diff.daemon_changed = before && !same_daemon(&before->daemon, &after->daemon);
    diff.plugins_changed = before && !same_plugins(before, after);
    *ret = diff;
    return 0;
}

void kl_manifest_diff_release(struct kl_manifest_diff *diff)
{
    free(diff->apps);
    free(diff->sources);
    free(diff->targets);
    *diff = (struct kl_manifest_diff){ 0 };
}
