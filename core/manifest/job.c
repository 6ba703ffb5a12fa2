/* SPDX-License-Identifier: Apache-2.0 */
/* Sources and inputs as jobs take them, with their secrets. */
#include <stdio.h>

#include "manifest/manifest.h"

#define NS_PER_MS 1000000

static int no_memory(struct kilter_error *err)
{
    return kilter_error_set(err, KILTER_E_NOMEM, "out of memory");
}

/* `map[key]`: what the reference names, or nothing when there is none. */
static int add_resolved(struct kilter_arena *arena, struct kilter_value *map, const char *key,
                        const struct kl_secret_ref *ref, uint32_t marks, struct kilter_diags *diags,
                        struct kilter_error *err)
{
    struct kilter_buf text = KILTER_BUF_INIT(KL_SECRET_MAX + 2);

    if (ref->kind == KL_SECRET_NONE)
        return 0;
    int rc = kl_secret_resolve(ref, &text, diags, err);
    if (rc == 0) {
        struct kilter_value *value = kilter_string(arena, kilter_buf_view(&text));
        if (value)
            kilter_set_marks(value, marks);
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
        int rc = add_resolved(arena, map, secrets[i].key, secrets[i].ref, KILTER_VALUE_SECRET, diags, err);
        if (rc < 0)
            return kilter_error_wrap(err, "source %.*s: %s", KILTER_STR_ARG(source->name), secrets[i].key);
    }
    *ret = kilter_map_size(map) ? map : NULL;
    return 0;
}

/* Sets a member; `rc` is what went before. */
static int put(int rc, struct kilter_arena *arena, struct kilter_value *map, const char *key,
               struct kilter_value *value)
{
    if (rc < 0)
        return rc;
    return map && value ? kilter_set(arena, map, key, value) : KILTER_E_NOMEM;
}

int kl_source_arguments(struct kilter_arena *arena, const struct kl_source *source, struct kilter_value **ret,
                        struct kilter_diags *diags, struct kilter_error *err)
{
    struct kilter_value *map = kilter_map(arena), *ref = kilter_map(arena), *credentials = NULL;
    int rc = put(0, arena, ref, "kind", kilter_string_c(arena, kl_ref_kind_word(source->ref_kind)));

    rc = put(rc, arena, ref, "value", kilter_string(arena, source->ref));
    rc = put(rc, arena, map, "url", kilter_string(arena, source->url));
    rc = put(rc, arena, map, "ref", ref);
    rc = put(rc, arena, map, "timeoutMs", kilter_int(arena, source->timeout_ns / NS_PER_MS));
    rc = put(rc, arena, map, "stallMs", kilter_int(arena, source->stall_timeout_ns / NS_PER_MS));
    rc = put(rc, arena, map, "allowInsecure", kilter_bool(arena, source->allow_insecure));
    if (source->proxy.len)
        rc = put(rc, arena, map, "proxy", kilter_string(arena, source->proxy));
    if (rc < 0)
        return no_memory(err);
    rc = add_resolved(arena, map, "ca", &source->ca, 0, diags, err);
    if (rc < 0)
        return kilter_error_wrap(err, "source %.*s: ca", KILTER_STR_ARG(source->name));
    rc = kl_credentials_resolve(arena, source, &credentials, diags, err);
    if (rc == 0 && credentials && put(0, arena, map, "credentials", credentials) < 0)
        rc = no_memory(err);
    if (rc == 0)
        *ret = map;
    return rc;
}

int kl_inputs_resolve(struct kilter_arena *arena, const struct kl_app *app, struct kilter_value **ret,
                      struct kilter_diags *diags, struct kilter_error *err)
{
    struct kilter_value *map = kilter_map(arena);

    if (!map)
        return no_memory(err);
    for (size_t i = 0; i < app->input_count; i++) {
        const struct kl_input *input = &app->inputs[i];
        int rc = add_resolved(arena, map, input->name.ptr, &input->ref, input->secret ? KILTER_VALUE_SECRET : 0,
                              diags, err);
        if (rc < 0)
            return kilter_error_wrap(err, "app %.*s: input %s", KILTER_STR_ARG(app->name), input->name.ptr);
    }
    *ret = kilter_map_size(map) ? map : NULL;
    return 0;
}
