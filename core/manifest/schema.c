/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schema (2020-12) of the manifest, from the tables that load it. */
#include <stdio.h>

#include <kilter/yaml.h>

#include "base/cleanup.h"
#include "manifest/tables.h"

#define DURATION "^([0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h|d))+$|^0$|\\$\\{"
#define SIZE "^[0-9]+([KMGT]i?)?$|\\$\\{"
#define NAME "^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$"

/* Everything is built in one arena; a failed allocation anywhere fails the whole at the end. */
struct schema {
    struct kilter_arena *arena;
    bool failed;
};

static struct kilter_value *map(struct schema *s)
{
    struct kilter_value *value = kilter_map(s->arena);
    s->failed = s->failed || !value;
    return value;
}

static void set(struct schema *s, struct kilter_value *to, const char *key, struct kilter_value *value)
{
    if (!to || !value || kilter_set(s->arena, to, key, value) < 0)
        s->failed = true;
}

static void set_text(struct schema *s, struct kilter_value *to, const char *key, const char *text)
{
    set(s, to, key, kilter_string_c(s->arena, text));
}

static void set_int(struct schema *s, struct kilter_value *to, const char *key, int64_t number)
{
    set(s, to, key, kilter_int(s->arena, number));
}

/* A list of strings; NULL-terminated. */
static struct kilter_value *texts(struct schema *s, const char *const *items)
{
    struct kilter_value *list = kilter_list(s->arena);

    for (; list && *items; items++) {
        struct kilter_value *text = kilter_string_c(s->arena, *items);
        if (!text || kilter_list_add(s->arena, list, text) < 0)
            s->failed = true;
    }
    s->failed = s->failed || !list;
    return list;
}

static void add(struct schema *s, struct kilter_value *list, struct kilter_value *item)
{
    if (!list || !item || kilter_list_add(s->arena, list, item) < 0)
        s->failed = true;
}

static void set_types(struct schema *s, struct kilter_value *to, const char *first, const char *second)
{
    const char *const types[] = { first, second, NULL };
    if (second)
        set(s, to, "type", texts(s, types));
    else
        set_text(s, to, "type", first);
}

static struct kilter_value *typed(struct schema *s, const char *first, const char *second)
{
    struct kilter_value *value = map(s);
    set_types(s, value, first, second);
    return value;
}

static struct kilter_value *ref_to(struct schema *s, const char *name)
{
    struct kilter_value *value = map(s);
    char ref[96];

    snprintf(ref, sizeof ref, "#/$defs/%s", name);
    set_text(s, value, "$ref", ref);
    return value;
}

static struct kilter_value *any_of(struct schema *s, struct kilter_value *first, struct kilter_value *second)
{
    struct kilter_value *value = map(s), *list = kilter_list(s->arena);

    add(s, list, first);
    add(s, list, second);
    set(s, value, "anyOf", list);
    return value;
}

static struct kilter_value *map_of(struct schema *s, struct kilter_value *item, const char *names)
{
    struct kilter_value *value = typed(s, "object", "null"), *name;

    set(s, value, "additionalProperties", item);
    if (names) {
        name = map(s);
        set_text(s, name, "pattern", names);
        set(s, value, "propertyNames", name);
    }
    return value;
}

/* --- keys of ours ------------------------------------------------------------------- */
static struct kilter_value *variables(struct schema *s)
{
    static const char *const types[] = { "string", "number", "boolean", NULL };
    struct kilter_value *item = map(s);

    set(s, item, "type", texts(s, types));
    return map_of(s, item, NULL);
}

static struct kilter_value *number(struct schema *s, const struct kl_key *key)
{
    struct kilter_value *value = typed(s, "integer", NULL);

    set_int(s, value, "minimum", key->minimum);
    if (key->maximum)
        set_int(s, value, "maximum", key->maximum);
    return value;
}

static struct kilter_value *patterned(struct schema *s, const char *pattern, const char *other_type)
{
    struct kilter_value *value = typed(s, "string", other_type);
    set_text(s, value, "pattern", pattern);
    return value;
}

static struct kilter_value *strings(struct schema *s)
{
    struct kilter_value *list = typed(s, "array", "null");
    set(s, list, "items", typed(s, "string", NULL));
    return any_of(s, list, typed(s, "string", NULL));
}

static struct kilter_value *choices(struct schema *s, const char *const *words)
{
    struct kilter_value *value = map(s);
    set(s, value, "enum", texts(s, words));
    return value;
}

static struct kilter_value *list_of(struct schema *s, const char *def)
{
    struct kilter_value *value = typed(s, "array", NULL);
    set(s, value, "items", any_of(s, typed(s, "string", NULL), ref_to(s, def)));
    return value;
}

static struct kilter_value *shape(struct schema *s, const struct kl_key *key)
{
    switch (key->type) {
    case KL_KEY_STRING:
        return key->flags & KL_KEY_ABSOLUTE ? patterned(s, "^(/|\\$\\{)", NULL) : typed(s, "string", NULL);
    case KL_KEY_BOOL:
        return typed(s, "boolean", NULL);
    case KL_KEY_COUNT:
        return number(s, key);
    case KL_KEY_DURATION:
        return patterned(s, DURATION, NULL);
    case KL_KEY_SIZE:
        return patterned(s, SIZE, "integer");
    case KL_KEY_ENUM:
        return choices(s, key->choices);
    case KL_KEY_MODE:
        return patterned(s, "^(0o?)?[0-7]{3}$", "integer");
    case KL_KEY_SECRET:
        return ref_to(s, "reference");
    case KL_KEY_LIMIT:
        return patterned(s, "^[0-9]+%?$", "integer");
    case KL_KEY_STRINGS:
        return strings(s);
    case KL_KEY_VARIABLES:
        return variables(s);
    case KL_KEY_MAP_OF:
        return map_of(s, ref_to(s, key->table->name), key->table == &kl_table_input ? NULL : NAME);
    case KL_KEY_LIST_OF:
        return list_of(s, key->table->name);
    case KL_KEY_STRING_OR_TABLE:
        return any_of(s, typed(s, "string", NULL), ref_to(s, key->table->name));
    case KL_KEY_BOOL_OR_VARIABLES:
        return any_of(s, typed(s, "boolean", NULL), variables(s));
    case KL_KEY_STRING_OR_VARIABLES:
        return any_of(s, typed(s, "string", NULL), variables(s));
    case KL_KEY_TABLE:
        return ref_to(s, key->table->name);
    case KL_KEY_MAP:
        break;
    }
    return typed(s, "object", "null");
}

static void set_default(struct schema *s, struct kilter_value *to, const struct kl_key *key)
{
    bool plain = key->type == KL_KEY_BOOL || key->type == KL_KEY_COUNT || key->type == KL_KEY_LIMIT;

    if (key->default_text)
        set(s, to, "default",
            plain ? kilter_plain(s->arena, kilter_str_c(key->default_text))
                  : kilter_string_c(s->arena, key->default_text));
}

static struct kilter_value *key_schema(struct schema *s, const struct kl_key *key)
{
    struct kilter_value *value = shape(s, key);

    set_text(s, value, "description", key->summary);
    set_default(s, value, key);
    return value;
}

static struct kilter_value *table_schema(struct schema *s, const struct kl_table *table)
{
    struct kilter_value *value = typed(s, "object", NULL), *properties = map(s), *required = kilter_list(s->arena);

    set_text(s, value, "description", table->summary);
    for (size_t i = 0; i < table->count; i++) {
        set(s, properties, table->keys[i].name, key_schema(s, &table->keys[i]));
        if (table->keys[i].flags & KL_KEY_REQUIRED)
            add(s, required, kilter_string_c(s->arena, table->keys[i].name));
    }
    set(s, value, "properties", properties);
    if (kilter_list_size(required))
        set(s, value, "required", required);
    if (!(table->flags & KL_TABLE_OPEN))
        set(s, value, "additionalProperties", kilter_bool(s->arena, false));
    if (table->flags & KL_TABLE_EXACTLY_ONE) {
        set_int(s, value, "minProperties", 1);
        set_int(s, value, "maxProperties", 1);
    }
    return value;
}

/* {file: ..}, {credential: ..} or {env: ..} */
static struct kilter_value *reference_schema(struct schema *s)
{
    static const char *const kinds[] = { "file", "credential", "env" };
    static const char *const summaries[] = { "An absolute path.", "A systemd credential of the daemon's unit.",
                                             "A variable of the daemon's environment." };
    struct kilter_value *value = typed(s, "object", NULL), *properties = map(s);

    set_text(s, value, "description", "Where a secret is. Secrets are never written in a manifest.");
    for (size_t i = 0; i < 3; i++) {
        struct kilter_value *kind = typed(s, "string", NULL);
        set_text(s, kind, "description", summaries[i]);
        set(s, properties, kinds[i], kind);
    }
    set(s, value, "properties", properties);
    set(s, value, "additionalProperties", kilter_bool(s->arena, false));
    set_int(s, value, "minProperties", 1);
    set_int(s, value, "maxProperties", 1);
    return value;
}

/* --- options of plugins ------------------------------------------------------------------ */
static struct kilter_value *option_shape(struct schema *s, const struct kilter_option *option)
{
    switch (option->type) {
    case KILTER_OPTION_STRING:
        return typed(s, "string", NULL);
    case KILTER_OPTION_BOOL:
        return typed(s, "boolean", NULL);
    case KILTER_OPTION_INT:
        return typed(s, "integer", NULL);
    case KILTER_OPTION_DURATION:
        return patterned(s, DURATION, NULL);
    case KILTER_OPTION_SIZE:
        return patterned(s, SIZE, "integer");
    case KILTER_OPTION_ENUM:
        return choices(s, option->choices);
    case KILTER_OPTION_MODE:
        return typed(s, "string", "integer");
    case KILTER_OPTION_LIST:
        return strings(s);
    case KILTER_OPTION_MAP:
        return variables(s);
    case KILTER_OPTION_SECRET:
        return ref_to(s, "reference");
    case KILTER_OPTION_VALUE:
        break;
    }
    return map(s);
}

/* Adds the options to `properties`, and the required ones to `required`. */
static void add_options(struct schema *s, const struct kilter_config_schema *schema,
                        struct kilter_value *properties, struct kilter_value *required)
{
    for (size_t i = 0; schema && i < schema->option_count; i++) {
        struct kilter_option option = { 0 };
        size_t size = schema->option_size < sizeof option ? schema->option_size : sizeof option;
        memcpy(&option, (const char *)schema->options + i * schema->option_size, size);
        struct kilter_value *value = option_shape(s, &option);
        if (option.summary)
            set_text(s, value, "description", option.summary);
        if (option.default_text)
            set_text(s, value, "default", option.default_text);
        set(s, properties, option.name, value);
        if (option.flags & KILTER_OPTION_REQUIRED)
            add(s, required, kilter_string_c(s->arena, option.name));
    }
}

static struct kilter_value *options_schema(struct schema *s, const struct kilter_config_schema *schema, bool named)
{
    struct kilter_value *value = typed(s, "object", NULL), *properties = map(s), *required = kilter_list(s->arena);

    if (named)
        set(s, properties, "name", typed(s, "string", NULL));
    add_options(s, schema, properties, required);
    set(s, value, "properties", properties);
    if (kilter_list_size(required))
        set(s, value, "required", required);
    set(s, value, "additionalProperties", kilter_bool(s->arena, false));
    return value;
}

/* {if: {properties: {KEY: {const: NAME}}, required: [KEY]}, then: THEN} */
static struct kilter_value *when(struct schema *s, const char *key, const char *name, struct kilter_value *then)
{
    const char *const required[] = { key, NULL };
    struct kilter_value *value = map(s), *test = map(s), *properties = map(s), *constant = map(s);

    set_text(s, constant, "const", name);
    set(s, properties, key, constant);
    set(s, test, "properties", properties);
    set(s, test, "required", texts(s, required));
    set(s, value, "if", test);
    set(s, value, "then", then);
    return value;
}

static struct kilter_value *with_properties(struct schema *s, const char *first, struct kilter_value *first_value,
                                            const char *second, struct kilter_value *second_value)
{
    struct kilter_value *value = map(s), *properties = map(s);

    set(s, properties, first, first_value);
    if (second)
        set(s, properties, second, second_value);
    set(s, value, "properties", properties);
    return value;
}

/* What a plugin takes where it is named: as a target, as a renderer, in the list of plugins. */
static void add_plugins(struct schema *s, struct kilter_value *defs, const struct kl_named_schemas *plugins,
                        size_t count)
{
    struct kilter_value *targets = kilter_list(s->arena), *renderers = kilter_list(s->arena),
                        *entries = kilter_list(s->arena);

    for (size_t i = 0; i < count; i++) {
        const struct kl_plugin_schemas *p = plugins[i].schemas;
        const char *name = plugins[i].name;
        struct kilter_value *config = with_properties(s, "config", options_schema(s, p->config, false), NULL, NULL);
        add(s, entries, when(s, "name", name, config));
        if (p->is_renderer)
            add(s, renderers, when(s, "name", name, options_schema(s, p->renderer, true)));
        if (p->is_target)
            add(s, targets,
                when(s, "plugin", name,
                     with_properties(s, "options", options_schema(s, p->target, false), "allow",
                                     options_schema(s, p->allow, false))));
    }
    if (kilter_list_size(entries))
        set(s, kilter_get(defs, kl_table_plugin.name), "allOf", entries);
    if (kilter_list_size(renderers))
        set(s, kilter_get(defs, kl_table_renderer.name), "allOf", renderers);
    if (kilter_list_size(targets))
        set(s, kilter_get(defs, kl_table_target.name), "allOf", targets);
}

int kl_manifest_schema_write(struct kilter_buf *out, const struct kl_named_schemas *plugins, size_t count)
{
    KL_CLEANUP(kl_arena_freep) struct kilter_arena *arena = kilter_arena_new(0);
    struct schema s = { .arena = arena };

    if (!arena)
        return KILTER_E_NOMEM;
    struct kilter_value *root = map(&s), *defs = map(&s);
    set_text(&s, root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    set_text(&s, root, "$id", "https://kilter.dev/schemas/manifest-v1.json");
    set_text(&s, root, "title", "kilter manifest");
    set_text(&s, root, "$ref", "#/$defs/manifest");
    for (size_t i = 0; kl_tables[i]; i++)
        set(&s, defs, kl_tables[i]->name, table_schema(&s, kl_tables[i]));
    set(&s, defs, kl_table_source_override.name, table_schema(&s, &kl_table_source_override));
    set(&s, defs, "reference", reference_schema(&s));
    if (!s.failed)
        add_plugins(&s, defs, plugins, count);
    set(&s, root, "$defs", defs);
    if (s.failed)
        return KILTER_E_NOMEM;
    int rc = kilter_json_write(out, root, KILTER_SCHEMA_KUBERNETES, KILTER_WRITE_PRETTY);
    return rc < 0 ? rc : kilter_buf_char(out, '\n');
}
