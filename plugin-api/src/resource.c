// SPDX-License-Identifier: Apache-2.0
/* What every resource has in common: its id, and the annotations that work on every target. */
#include <kilter/resource.h>

#define OWN_GROUPS ".kilter.dev"
#define ANNOTATION_PREFIX "kilter.dev/"
#define WAVE_LIMIT 1000

bool kilter_id_equal(const struct kilter_id *a, const struct kilter_id *b)
{
    return kilter_str_eq(a->name, b->name) && kilter_str_eq(a->kind, b->kind) &&
           kilter_str_eq(a->name_space, b->name_space) &&
           kilter_str_eq(kilter_api_group(a->api_version), kilter_api_group(b->api_version));
}

struct kilter_str kilter_api_group(struct kilter_str api_version)
{
    ptrdiff_t slash = kilter_str_find(api_version, '/', 0);
    return slash < 0 ? KILTER_STR("") : kilter_str_sub(api_version, 0, (size_t)slash);
}

int kilter_id_format(struct kilter_buf *out, const struct kilter_id *id)
{
    struct kilter_str group = kilter_api_group(id->api_version);
    kilter_buf_str(out, id->kind);
    if (group.len && !kilter_str_ends(group, KILTER_STR(OWN_GROUPS))) {
        kilter_buf_char(out, '.');
        kilter_buf_str(out, group);
    }
    kilter_buf_char(out, '/');
    if (id->name_space.len) {
        kilter_buf_str(out, id->name_space);
        kilter_buf_char(out, '/');
    }
    return kilter_buf_str(out, id->name);
}

static bool is_string(const struct kilter_value *value)
{
    struct kilter_scalar scalar;
    return kilter_resolve(value, KILTER_SCHEMA_KUBERNETES, &scalar) == 0 && scalar.kind == KILTER_STRING;
}

/* Reads a name that must be a string with something in it; `where` has the origin when it is missing. */
static int read_required(const struct kilter_value *map, const char *key, const char *shown,
                         const struct kilter_value *where, struct kilter_str *ret, struct kilter_diags *diags)
{
    const struct kilter_value *value = kilter_get(map, key);
    if (kilter_is_null(value, KILTER_SCHEMA_KUBERNETES)) {
        kilter_diag_add(diags, KILTER_ERROR, "resource.missing", kilter_origin_of(value ? value : where), NULL,
                        "%s is missing", shown);
        return KILTER_E_INVALID;
    }
    if (!is_string(value)) {
        bool scalar = kilter_type_of(value) == KILTER_SCALAR;
        kilter_diag_add(diags, KILTER_ERROR, "resource.type", kilter_origin_of(value),
                        scalar ? "put it in quotes" : NULL, "%s must be a string", shown);
        return KILTER_E_INVALID;
    }
    if (!kilter_text(value).len) {
        kilter_diag_add(diags, KILTER_ERROR, "resource.missing", kilter_origin_of(value), NULL, "%s is empty",
                        shown);
        return KILTER_E_INVALID;
    }
    *ret = kilter_text(value);
    return 0;
}

static int read_namespace(const struct kilter_value *metadata, struct kilter_str *ret, struct kilter_diags *diags)
{
    const struct kilter_value *value = kilter_get(metadata, "namespace");
    *ret = KILTER_STR("");
    if (kilter_is_null(value, KILTER_SCHEMA_KUBERNETES))
        return 0;
    if (!is_string(value)) {
        kilter_diag_add(diags, KILTER_ERROR, "resource.type", kilter_origin_of(value), NULL,
                        "metadata.namespace must be a string");
        return KILTER_E_INVALID;
    }
    *ret = kilter_text(value);
    return 0;
}

int kilter_resource_init(struct kilter_resource *ret, struct kilter_value *document, struct kilter_diags *diags)
{
    struct kilter_resource resource = {
        .size = sizeof resource,
        .origin = kilter_origin_of(document),
        .document = document,
    };
    if (kilter_type_of(document) != KILTER_MAP) {
        kilter_diag_add(diags, KILTER_ERROR, "resource.type", resource.origin, NULL,
                        "a resource is a map with apiVersion, kind and metadata");
        return KILTER_E_INVALID;
    }
    const struct kilter_value *metadata = kilter_get(document, "metadata");
    int status = read_required(document, "apiVersion", "apiVersion", document, &resource.id.api_version, diags);
    if (read_required(document, "kind", "kind", document, &resource.id.kind, diags) < 0)
        status = KILTER_E_INVALID;
    if (metadata && kilter_type_of(metadata) != KILTER_MAP && !kilter_is_null(metadata, KILTER_SCHEMA_KUBERNETES)) {
        kilter_diag_add(diags, KILTER_ERROR, "resource.type", kilter_origin_of(metadata), NULL,
                        "metadata must be a map");
        return KILTER_E_INVALID;
    }
    if (read_required(metadata, "name", "metadata.name", metadata ? metadata : document, &resource.id.name, diags) <
        0)
        status = KILTER_E_INVALID;
    if (read_namespace(metadata, &resource.id.name_space, diags) < 0)
        status = KILTER_E_INVALID;
    if (status == 0)
        *ret = resource;
    return status;
}

struct kilter_str kilter_annotation(const struct kilter_value *document, const char *name)
{
    return kilter_get_text(kilter_get(kilter_get(document, "metadata"), "annotations"), name);
}

/* --- directives --------------------------------------------------------------- */

/* An annotation that knows one word; sets *ret when it is there. */
static int read_word(const struct kilter_value *value, const char *name, const char *word, bool *ret,
                     struct kilter_diags *diags)
{
    if (kilter_str_eq_c(kilter_text(value), word)) {
        *ret = true;
        return 0;
    }
    kilter_diag_add(diags, KILTER_ERROR, "resource.annotation", kilter_origin_of(value), NULL,
                    "annotation %s must be \"%s\" or left out", name, word);
    return KILTER_E_INVALID;
}

static int read_wave(const struct kilter_value *value, int32_t *ret, struct kilter_diags *diags)
{
    struct kilter_str text = kilter_text(value);
    bool negative = text.len && text.ptr[0] == '-';
    int32_t wave = 0;
    for (size_t i = negative; i < text.len && wave >= 0; i++) {
        char c = text.ptr[i];
        wave = c >= '0' && c <= '9' && wave <= WAVE_LIMIT ? wave * 10 + (c - '0') : -1;
    }
    if (text.len == (size_t)negative || wave < 0 || wave > WAVE_LIMIT) {
        kilter_diag_add(diags, KILTER_ERROR, "resource.annotation", kilter_origin_of(value), NULL,
                        "annotation %s must be an integer from %d to %d", KILTER_ANNOTATION_WAVE, -WAVE_LIMIT,
                        WAVE_LIMIT);
        return KILTER_E_INVALID;
    }
    *ret = negative ? -wave : wave;
    return 0;
}

/* A misspelt annotation would be without effect and without a word. */
static void warn_unknown(const struct kilter_value *key, struct kilter_diags *diags)
{
    static const struct kilter_str known[] = {
        KILTER_STR_INIT(KILTER_ANNOTATION_PRUNE),
        KILTER_STR_INIT(KILTER_ANNOTATION_RECONCILE),
        KILTER_STR_INIT(KILTER_ANNOTATION_WAVE),
        KILTER_STR_INIT(KILTER_ANNOTATION_FORCE),
    };
    struct kilter_str name = kilter_text(key);
    struct kilter_str nearest = kilter_nearest(name, known, sizeof known / sizeof known[0]);
    if (!nearest.len)
        return;
    struct kilter_buf text = KILTER_BUF_INIT(96);
    kilter_buf_printf(&text, "did you mean \"%.*s\"?", KILTER_STR_ARG(nearest));
    kilter_diag_add(diags, KILTER_WARNING, "resource.annotation", kilter_origin_of(key), text.ptr,
                    "unknown annotation \"%.*s\"", KILTER_STR_ARG(name));
    kilter_buf_release(&text);
}

static int read_directive(const struct kilter_value *key, const struct kilter_value *value,
                          struct kilter_directives *ret, struct kilter_diags *diags)
{
    struct kilter_str name = kilter_text(key);
    if (!kilter_str_starts(name, KILTER_STR(ANNOTATION_PREFIX)))
        return 0;
    if (kilter_str_eq_c(name, KILTER_ANNOTATION_PRUNE))
        return read_word(value, KILTER_ANNOTATION_PRUNE, "disabled", &ret->no_prune, diags);
    if (kilter_str_eq_c(name, KILTER_ANNOTATION_RECONCILE))
        return read_word(value, KILTER_ANNOTATION_RECONCILE, "disabled", &ret->no_reconcile, diags);
    if (kilter_str_eq_c(name, KILTER_ANNOTATION_FORCE))
        return read_word(value, KILTER_ANNOTATION_FORCE, "enabled", &ret->force, diags);
    if (kilter_str_eq_c(name, KILTER_ANNOTATION_WAVE))
        return read_wave(value, &ret->wave, diags);
    warn_unknown(key, diags);
    return 0;
}

int kilter_directives_read(const struct kilter_value *document, struct kilter_directives *ret,
                           struct kilter_diags *diags)
{
    const struct kilter_value *annotations = kilter_get(kilter_get(document, "metadata"), "annotations");
    int status = 0;
    memset(ret, 0, sizeof *ret);
    ret->size = sizeof *ret;
    for (size_t i = 0; i < kilter_map_size(annotations); i++) {
        if (read_directive(kilter_map_key_at(annotations, i), kilter_map_at(annotations, i), ret, diags) < 0)
            status = KILTER_E_INVALID;
    }
    return status;
}
