/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: one for each definition, so that environments that change one have their own. */
#include <stdio.h>

#include "git/semver.h"
#include "git/url.h"
#include "manifest/load.h"

/* A source's text while it is checked. */
struct draft {
    struct kl_load *load;
    const struct kilter_value *value;
    const struct kl_raw_source *raw;
    const char *what;
};

static void problem(const struct draft *d, const struct kilter_value *at, const char *code, const char *hint,
                    const char *message)
{
    kl_report_add(&d->load->report, KILTER_ERROR, code, kilter_origin_of(at ? at : d->value), hint, "%s: %s",
                  d->what, message);
}

/* --- ref ---------------------------------------------------------------------------- */
/* What git-check-ref-format(1) refuses, as far as it can hurt. */
static bool is_ref_name(struct kilter_str name)
{
    if (name.len == 0 || name.len > 200 || name.ptr[0] == '-' || name.ptr[0] == '/' ||
        name.ptr[name.len - 1] == '/' || name.ptr[name.len - 1] == '.' || kilter_str_eq_c(name, "@"))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i], next = i + 1 < name.len ? (unsigned char)name.ptr[i + 1] : 0;
        if (c <= 0x20 || c == 0x7f || strchr("~^:?*[\\", c) || (c == '.' && next == '.') ||
            (c == '/' && (next == '/' || next == '.')) || (c == '@' && next == '{'))
            return false;
    }
    return true;
}

static bool is_commit(struct kilter_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("0123456789abcdef", text.ptr[i]))
            return false;
    return text.len == 40;
}

static void check_semver(const struct draft *d, struct kilter_str text, const struct kilter_value *at)
{
    struct kl_semver_range range;
    const char *why = "it cannot be read";
    size_t where = 0;
    char message[300];

    int rc = kl_semver_range_parse(text, &range, &why, &where);
    if (rc == 0)
        return;
    snprintf(message, sizeof message, "\"semver\" is no range of versions: %s at character %zu",
             rc == KILTER_E_LIMIT ? "too many conditions" : why, where + 1);
    problem(d, at, "manifest.ref", "such as \">=1.4.0 <2.0.0\" or \"^1.4\"", message);
}

static void check_ref(const struct draft *d, enum kl_ref_kind kind, struct kilter_str ref)
{
    const struct kilter_value *at = kilter_get(kilter_get(d->value, "ref"), kl_ref_kind_word(kind));

    switch (kind) {
    case KL_REF_SEMVER:
        check_semver(d, ref, at);
        break;
    case KL_REF_COMMIT:
        if (!is_commit(ref))
            problem(d, at, "manifest.ref", "git rev-parse prints it",
                    "\"commit\" is no commit: expected 40 hexadecimal digits in lower case");
        break;
    case KL_REF_NAME:
        if (!is_ref_name(ref) || (!kilter_str_starts(ref, KILTER_STR("refs/")) && !kilter_str_eq_c(ref, "HEAD")))
            problem(d, at, "manifest.ref", "for a branch or a tag use \"branch\" or \"tag\"",
                    "\"name\" is no full ref: expected refs/... or HEAD");
        break;
    default:
        if (!is_ref_name(ref))
            problem(d, at, "manifest.ref", NULL, "Git has no branches and tags that are called so");
        else if (kilter_str_starts(ref, KILTER_STR("refs/")))
            problem(d, at, "manifest.ref", "use \"name\" for a full ref",
                    "the name of a branch or tag is a short one");
    }
}

static void take_ref(const struct draft *d, struct kl_source *source)
{
    const struct kl_raw_ref *raw = &d->raw->ref;
    const struct kilter_str texts[] = { raw->branch, raw->tag, raw->semver, raw->name, raw->commit };
    size_t named = 0;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!texts[i].ptr)
            continue;
        named++;
        source->ref_kind = (enum kl_ref_kind)(i + 1);
        source->ref = texts[i];
    }
    if (named == 1)
        check_ref(d, source->ref_kind, source->ref);
}

/* --- url and credentials ----------------------------------------------------------------- */
static bool is_set(const struct kl_secret_ref *ref)
{
    return ref->kind != KL_SECRET_NONE;
}

static void refuse_keys(const struct draft *d, const char *const *keys, const char *why)
{
    const struct kilter_value *credentials = kilter_get(d->value, "credentials");
    char message[200];

    for (; *keys; keys++) {
        const struct kilter_value *at = kilter_get(credentials, *keys);
        if (!at)
            continue;
        snprintf(message, sizeof message, "\"%s\" in \"credentials\" %s", *keys, why);
        problem(d, at, "manifest.credentials", NULL, message);
    }
}

static void check_http_credentials(const struct draft *d, const struct kl_credentials *c)
{
    static const char *const ssh_keys[] = { "identity", "knownHosts", NULL };
    const struct kilter_value *at = kilter_get(d->value, "credentials");

    refuse_keys(d, ssh_keys, "is for ssh, and the url is not");
    bool password = kilter_get(at, "password") != NULL;
    if (password && c->username.len == 0)
        problem(d, at, "manifest.credentials", "with an access token any name will do at most hosts",
                "\"password\" needs \"username\"");
    if (c->username.len && !password)
        problem(d, at, "manifest.credentials", NULL, "\"username\" needs \"password\"");
    if (is_set(&c->token) && password)
        problem(d, at, "manifest.credentials", NULL, "\"token\" and \"password\" exclude each other");
    if (is_set(&c->certificate) != is_set(&c->key))
        problem(d, at, "manifest.credentials", NULL, "\"certificate\" and \"key\" go together");
}

static void check_other_credentials(const struct draft *d, enum kl_git_scheme scheme)
{
    static const char *const http_keys[] = { "password", "token", "certificate", "key", NULL };
    static const char *const all_keys[] = { "username", "password", "token",      "certificate",
                                            "key",      "identity", "knownHosts", NULL };

    if (scheme == KL_GIT_SSH)
        refuse_keys(d, http_keys, "is for https, and the url is not");
    else
        refuse_keys(d, all_keys, "is not used for a file");
    if (d->raw->proxy.len)
        problem(d, kilter_get(d->value, "proxy"), "manifest.url", NULL,
                "\"proxy\" is for https, and the url is not");
    if (is_set(&d->raw->ca))
        problem(d, kilter_get(d->value, "ca"), "manifest.url", NULL, "\"ca\" is for https, and the url is not");
}

static void check_url(const struct draft *d)
{
    struct kilter_error err = KILTER_ERROR_INIT;
    struct kl_git_url url;
    const struct kilter_value *at = kilter_get(d->value, "url");

    if (d->raw->url.len == 0)
        return;
    if (kl_git_url_parse(d->raw->url, &url, &err) < 0) {
        problem(d, at, "manifest.url", NULL, err.message);
        return;
    }
    if (url.scheme == KL_GIT_HTTP && !url.loopback && !d->raw->allow_insecure)
        problem(d, at, "manifest.url", "use https://, or say allowInsecure: true",
                "the url is http://: anyone on the way can read and change what is fetched");
    if (url.scheme == KL_GIT_HTTPS || url.scheme == KL_GIT_HTTP)
        check_http_credentials(d, &d->raw->credentials);
    else
        check_other_credentials(d, url.scheme);
}

static void check_rest(const struct draft *d)
{
    struct kilter_str proxy = d->raw->proxy;

    if (proxy.len && kilter_str_find(proxy, '@', 0) >= 0)
        problem(d, kilter_get(d->value, "proxy"), "manifest.url",
                "set https_proxy in a file that the daemon's unit reads", "the proxy's URL holds credentials");
    else if (proxy.len && !kilter_str_starts(proxy, KILTER_STR("http://")) &&
             !kilter_str_starts(proxy, KILTER_STR("https://")) &&
             !kilter_str_starts(proxy, KILTER_STR("socks5h://")) &&
             !kilter_str_starts(proxy, KILTER_STR("socks5://")))
        problem(d, kilter_get(d->value, "proxy"), "manifest.url", NULL,
                "the proxy is no URL: expected http://HOST:PORT, https://HOST:PORT or socks5h://HOST:PORT");
    if (kilter_get(d->value, "verify"))
        problem(
            d, kilter_get(d->value, "verify"), "manifest.unsupported",
            "take it out, or keep this source out of the manifest until kilter can",
            "\"verify\" asks for signatures to be checked, and this kilter cannot: nothing is taken as verified "
            "that was not");
    if (is_set(&d->raw->ca) && d->raw->ca.kind == KL_SECRET_ENV)
        problem(d, kilter_get(d->value, "ca"), "manifest.secret", "use {file: PATH} or {credential: NAME}",
                "\"ca\" cannot be a variable of the environment");
}

/* --- instances ------------------------------------------------------------------------------ */
/* Sets a key, which goes along for its place. */
static int put_key(struct kilter_arena *arena, struct kilter_value *to, const struct kilter_value *from,
                   size_t index)
{
    const struct kilter_value *key = kilter_map_key_at(from, index);

    if (kilter_map_find(to, kilter_text(key)) >= 0)
        return kilter_map_set(arena, to, kilter_text(key), kilter_map_at(from, index));
    struct kilter_value *copy = kilter_value_copy(arena, key);
    return copy ? kilter_map_add(arena, to, copy, kilter_map_at(from, index)) : KILTER_E_NOMEM;
}

/* The source's map with an environment's keys in the place of its own. */
static const struct kilter_value *merge(struct kl_load *load, const struct kilter_value *base,
                                        const struct kilter_value *over)
{
    struct kilter_value *merged = kilter_map(load->arena);
    int rc = merged ? 0 : KILTER_E_NOMEM;

    if (merged)
        kilter_set_origin(merged, kilter_origin_of(base));
    for (size_t i = 0; rc == 0 && i < kilter_map_size(base); i++)
        rc = put_key(load->arena, merged, base, i);
    for (size_t i = 0; rc == 0 && i < kilter_map_size(over); i++)
        rc = put_key(load->arena, merged, over, i);
    if (rc < 0)
        kl_report_nomem(&load->report);
    return rc < 0 ? NULL : merged;
}

static struct kl_source *make(struct kl_load *load, const struct kl_entry *entry, const struct kl_stage *stage,
                              const struct kilter_value *value, struct kilter_str full)
{
    struct kl_raw_source raw = { 0 };
    char what[200];
    struct draft d = { load, kl_load_substitute(load, stage, value), &raw, what };
    size_t errors = load->report.errors;
    struct kl_source *source = kl_load_alloc(load, sizeof *source);

    snprintf(what, sizeof what, "source \"%.*s\"", KILTER_STR_ARG(entry->name));
    kl_table_defaults(&load->report, &kl_table_source, &raw);
    if (!source || !d.value)
        return NULL;
    kl_table_fill(&load->report, &kl_table_source, d.value, what, true, &raw);
    *source = (struct kl_source){ .name = full,
                                  .base = entry->name,
                                  .environment = kilter_str_eq(full, entry->name) ? KILTER_STR("") : stage->name,
                                  .url = raw.url,
                                  .interval_ns = raw.interval_ns,
                                  .timeout_ns = raw.timeout_ns,
                                  .stall_timeout_ns = raw.stall_timeout_ns,
                                  .credentials = raw.credentials,
                                  .proxy = raw.proxy,
                                  .ca = raw.ca,
                                  .allow_insecure = raw.allow_insecure,
                                  .origin = kilter_origin_of(entry->key) };
    take_ref(&d, source);
    check_url(&d);
    check_rest(&d);
    if (load->report.errors > errors)
        return NULL;
    kl_source_digest(load, source);
    return source;
}

static const struct kl_source *instance(struct kl_load *load, const struct kl_entry *entry,
                                        const struct kl_stage *stage)
{
    const struct kilter_value *over = kilter_map_get(stage->raw.sources, entry->name);
    const struct kilter_value *value = entry->value;

    if (stage->sources_wrong || (over && kilter_type_of(over) != KILTER_MAP) || kilter_type_of(value) != KILTER_MAP)
        over = NULL; /* which has been reported */
    if (over)
        value = merge(load, value, over);
    if (!value)
        return NULL;
    bool own = over || kl_mentions_environment(&stage->scope, value);
    struct kilter_str full = kl_load_full_name(load, entry->name, own ? stage->name : KILTER_STR(""));
    if (kl_map_has(&load->source_instances, full))
        return kl_map_get(&load->source_instances, full);
    struct kl_source *source = make(load, entry, stage, value, full);
    kl_load_put(load, &load->source_instances, full, source);
    return source;
}

const struct kl_source *kl_load_source(struct kl_load *load, const struct kilter_value *name,
                                       const struct kl_stage *stage, const char *whose)
{
    struct kl_entry *entry = kl_load_named(load, &load->sources, name, whose);

    if (!entry)
        return NULL;
    entry->used = true;
    return instance(load, entry, stage);
}

/* In any environment when it mentions one, or else outside of all. */
static void check_unused(struct kl_load *load, struct kl_entry *entry)
{
    const struct kl_stage *none = kl_load_stage(load, KILTER_STR(""));
    bool differs = none && kl_mentions_environment(&none->scope, entry->value);
    size_t at = 0;
    struct kilter_str key;
    void *stage;

    while (kl_map_next(&load->stages, &at, &key, &stage))
        if (differs == (key.len > 0) || kl_map_count(&load->stages) == 1)
            instance(load, entry, stage);
    if (load->report.errors == 0) /* or else it may be what is wrong that should use it */
        kl_report_add(&load->report, KILTER_WARNING, "manifest.unused", kilter_origin_of(entry->key), NULL,
                      "no app uses source \"%.*s\"", KILTER_STR_ARG(entry->name));
}

void kl_load_unused_sources(struct kl_load *load)
{
    size_t at = 0;
    struct kilter_str key;
    void *value;

    while (kl_map_next(&load->sources.entries, &at, &key, &value))
        if (!((struct kl_entry *)value)->used)
            check_unused(load, value);
}
