/* SPDX-License-Identifier: Apache-2.0 */
/* What a reload changes. */
#include <stdlib.h>

#include "base/map.h"
#include "manifest/manifest.h"

/* What is compared of an app, source or target. */
struct item {
    struct kilter_str name;
    const char *digest;
    const void *thing;
};

typedef struct item (*item_at)(const struct kl_manifest *manifest, size_t index);

static struct item app_at(const struct kl_manifest *manifest, size_t index)
{
    const struct kl_app *app = &manifest->apps[index];
    return (struct item){ app->name, app->digest, app };
}

static struct item source_at(const struct kl_manifest *manifest, size_t index)
{
    const struct kl_source *source = &manifest->sources[index];
    return (struct item){ source->name, source->digest, source };
}

static struct item target_at(const struct kl_manifest *manifest, size_t index)
{
    const struct kl_target *target = &manifest->targets[index];
    return (struct item){ target->name, target->digest, target };
}

/* One of the three lists of two manifests. */
struct pair {
    const struct kl_manifest *before, *after;
    size_t before_count, after_count;
    item_at at;
};

/* Both in order of name, side by side. */
static size_t walk(const struct pair *p, struct kl_manifest_move *moves)
{
    size_t i = 0, j = 0, count = 0;

    while (i < p->before_count || j < p->after_count) {
        struct item old = { 0 }, new = { 0 };
        if (i < p->before_count)
            old = p->at(p->before, i);
        if (j < p->after_count)
            new = p->at(p->after, j);
        int order = !old.thing ? 1 : !new.thing ? -1 : kilter_str_cmp(old.name, new.name);
        if (order < 0)
            moves[count++] = (struct kl_manifest_move){ KL_MOVED_REMOVED, old.thing, NULL };
        else if (order > 0)
            moves[count++] = (struct kl_manifest_move){ KL_MOVED_ADDED, NULL, new.thing };
        else if (strcmp(old.digest, new.digest) == 0)
            moves[count++] = (struct kl_manifest_move){ KL_MOVED_NOT, old.thing, new.thing };
        else
            moves[count++] = (struct kl_manifest_move){ KL_MOVED_CHANGED, old.thing, new.thing };
        i += order <= 0;
        j += order >= 0;
    }
    return count;
}

/* Only apps have old names. What was removed goes into the added one that says to be it; how many are left. */
static size_t join_renamed(struct kl_manifest_move *moves, size_t count, int *ret_status)
{
    struct kl_map removed = KL_MAP_INIT;
    size_t kept = 0;

    *ret_status = 0;
    for (size_t i = 0; i < count && *ret_status == 0; i++)
        if (moves[i].moved == KL_MOVED_REMOVED)
            *ret_status = kl_map_put(&removed, ((const struct kl_app *)moves[i].before)->name, &moves[i], NULL);
    for (size_t i = 0; i < count; i++) {
        const struct kl_app *app = moves[i].after;
        struct kl_manifest_move *old =
            moves[i].moved == KL_MOVED_ADDED && app->moved_from.len ? kl_map_get(&removed, app->moved_from) : NULL;
        if (!old || !old->before)
            continue;
        moves[i] = (struct kl_manifest_move){ KL_MOVED_RENAMED, old->before, app };
        old->before = NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (moves[i].before || moves[i].after)
            moves[kept++] = moves[i];
    kl_map_release(&removed, NULL);
    return kept;
}

static int compare(const struct pair *p, struct kl_manifest_move **ret_moves, size_t *ret_count)
{
    struct kl_manifest_move *moves = calloc(p->before_count + p->after_count + 1, sizeof *moves);
    int rc = 0;

    if (!moves)
        return KILTER_E_NOMEM;
    *ret_count = walk(p, moves);
    if (p->at == app_at)
        *ret_count = join_renamed(moves, *ret_count, &rc);
    *ret_moves = moves;
    return rc;
}

static bool same_daemon(const struct kl_daemon_config *a, const struct kl_daemon_config *b)
{
    return kilter_str_eq(a->state_directory, b->state_directory) && kilter_str_eq(a->socket_path, b->socket_path) &&
           kilter_str_eq(a->socket_group, b->socket_group) && a->socket_mode == b->socket_mode &&
           a->log_level == b->log_level && a->workers == b->workers && a->concurrency == b->concurrency &&
           a->worker_memory == b->worker_memory;
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
        if (!kilter_str_eq(x->name, y->name) || !kilter_str_eq(x->file, y->file) || !same_config)
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

    const struct pair apps = { old, after, old->app_count, after->app_count, app_at };
    const struct pair sources = { old, after, old->source_count, after->source_count, source_at };
    const struct pair targets = { old, after, old->target_count, after->target_count, target_at };
    int rc = compare(&apps, &diff.apps, &diff.app_count);
    if (rc == 0)
        rc = compare(&sources, &diff.sources, &diff.source_count);
    if (rc == 0)
        rc = compare(&targets, &diff.targets, &diff.target_count);
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
