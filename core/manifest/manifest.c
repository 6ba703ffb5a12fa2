/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded manifest: references, finding by name, words, credentials for jobs. */
#include "manifest/manifest.h"

#include <stdio.h>
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

/* --- credentials ------------------------------------------------------------------------ */
static int add_secret(struct kilter_arena *arena, struct kilter_value *map, const char *key,
                      const struct kl_secret_ref *ref, struct kilter_diags *diags, struct kilter_error *err)
{
    struct kilter_buf text = KILTER_BUF_INIT(KL_SECRET_MAX + 2);

    if (ref->kind == KL_SECRET_NONE)
        return 0;
    int rc = kl_secret_resolve(ref, &text, diags, err);
    if (rc == 0) {
        struct kilter_value *value = kilter_string(arena, kilter_buf_view(&text));
        if (value)
            kilter_set_marks(value, KILTER_VALUE_SECRET);
        if (!value || kilter_set(arena, map, key, value) < 0)
            rc = kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    }
    kl_secret_wipe(&text);
    return rc < 0 ? kilter_error_wrap(err, "credentials, %s", key) : 0;
}

int kl_credentials_resolve(struct kilter_arena *arena, const struct kl_source *source, struct kilter_value **ret,
                           struct kilter_diags *diags, struct kilter_error *err)
{
    const struct kl_credentials *c = &source->credentials;
    const struct {
        const char *key;
        const struct kl_secret_ref *ref;
    } secrets[] = {
        { "password", &c->password }, { "token", &c->token },       { "certificate", &c->certificate },
        { "key", &c->key },           { "identity", &c->identity }, { "knownHosts", &c->known_hosts },
    };
    struct kilter_value *map = kilter_map(arena);

    if (!map || (c->username.len && kilter_set(arena, map, "username", kilter_string(arena, c->username)) < 0))
        return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        int rc = add_secret(arena, map, secrets[i].key, secrets[i].ref, diags, err);
        if (rc < 0)
            return rc;
    }
    *ret = kilter_map_size(map) ? map : NULL;
    return 0;
}
