/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded manifest: references, finding by name, words. */
#include "manifest/manifest.h"

#include <stdlib.h>

struct kl_manifest *kl_manifest_ref(struct kl_manifest *manifest)
{
    manifest->references++;
    return manifest;
}

void kl_manifest_unref(struct kl_manifest *manifest)
{
    if (manifest && --manifest->references == 0)
        kilter_arena_free(manifest->arena);
}

/* --- by name ------------------------------------------------------------------------ */
/* All three begin with their name. */
static int name_order(const void *key, const void *item)
{
    return kilter_str_cmp(*(const struct kilter_str *)key, *(const struct kilter_str *)item);
}

_Static_assert(offsetof(struct kl_app, name) == 0, "name_order");
_Static_assert(offsetof(struct kl_source, name) == 0, "name_order");
_Static_assert(offsetof(struct kl_target, name) == 0, "name_order");

static const void *find(const void *items, size_t count, size_t size, struct kilter_str name)
{
    return count ? bsearch(&name, items, count, size, name_order) : NULL;
}

const struct kl_app *kl_manifest_app(const struct kl_manifest *manifest, struct kilter_str name)
{
    return find(manifest->apps, manifest->app_count, sizeof *manifest->apps, name);
}

const struct kl_source *kl_manifest_source(const struct kl_manifest *manifest, struct kilter_str name)
{
    return find(manifest->sources, manifest->source_count, sizeof *manifest->sources, name);
}

const struct kl_target *kl_manifest_target(const struct kl_manifest *manifest, struct kilter_str name)
{
    return find(manifest->targets, manifest->target_count, sizeof *manifest->targets, name);
}

const struct kl_manifest_plugin *kl_manifest_plugin(const struct kl_manifest *manifest, struct kilter_str name)
{
    for (size_t i = 0; i < manifest->plugin_count; i++)
        if (kilter_str_eq(manifest->plugins[i].name, name))
            return &manifest->plugins[i];
    return NULL;
}

struct kilter_str kl_manifest_nearest_app(const struct kl_manifest *manifest, struct kilter_str name)
{
    struct kilter_str *names = calloc(manifest->app_count + 1, sizeof *names);
    struct kilter_str near = KILTER_STR_NONE;

    for (size_t i = 0; names && i < manifest->app_count; i++)
        names[i] = manifest->apps[i].name;
    if (names)
        near = kilter_nearest(name, names, manifest->app_count);
    free(names);
    return near;
}

/* --- words ---------------------------------------------------------------------------- */
const char *kl_ref_kind_word(enum kl_ref_kind kind)
{
    static const char *const words[] = { "", "branch", "tag", "semver", "name", "commit" };
    return words[kind <= KL_REF_COMMIT ? kind : 0];
}

const char *kl_sync_word(enum kl_sync sync)
{
    return sync == KL_SYNC_MANUAL ? "manual" : "auto";
}

const char *kl_drift_word(enum kl_drift drift)
{
    return drift == KL_DRIFT_CORRECT ? "correct" : drift == KL_DRIFT_IGNORE ? "ignore" : "report";
}

const char *kl_adopt_word(enum kl_adopt adopt)
{
    return adopt == KL_ADOPT_ALWAYS ? "always" : adopt == KL_ADOPT_NEVER ? "never" : "if-equal";
}

const char *kl_on_remove_word(enum kl_on_remove on_remove)
{
    return on_remove == KL_ON_REMOVE_DELETE ? "delete" : "keep";
}

const char *kl_on_unhealthy_word(enum kl_on_unhealthy on_unhealthy)
{
    return on_unhealthy == KL_ON_UNHEALTHY_ROLLBACK ? "rollback" : "keep";
}
