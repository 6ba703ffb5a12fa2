/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of a source as jobs take them. */
#include "manifest/manifest.h"

static int no_memory(struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
}

/* `map[key]`: what the reference names, or nothing when there is none. */
static int add_resolved(struct kilter_arena *arena, struct kilter_value *map, const char *key,
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
            rc = no_memory(err);
    }
    kl_secret_wipe(&text);
    return rc;
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
        return no_memory(err);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        int rc = add_resolved(arena, map, secrets[i].key, secrets[i].ref, diags, err);
        if (rc < 0)
            return kilter_error_wrap(err, "source %.*s: %s", KILTER_STR_ARG(source->name), secrets[i].key);
    }
    *ret = kilter_map_size(map) ? map : NULL;
    return 0;
}
