/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin's descriptor as a value, for `kilter plugin`, the reference and the checks of a manifest. */
#include "worker/loader.h"

static const char *type_word(enum kilter_option_type type)
{
    static const char *const words[] = {
        [KILTER_OPTION_STRING] = "string",     [KILTER_OPTION_BOOL] = "bool",   [KILTER_OPTION_INT] = "int",
        [KILTER_OPTION_DURATION] = "duration", [KILTER_OPTION_SIZE] = "size",   [KILTER_OPTION_ENUM] = "enum",
        [KILTER_OPTION_MODE] = "mode",         [KILTER_OPTION_LIST] = "list",   [KILTER_OPTION_MAP] = "map",
        [KILTER_OPTION_SECRET] = "secret",     [KILTER_OPTION_VALUE] = "value",
    };
    return words[type];
}

/* Members are added until one fails; then the map is NULL and stays so. */
static void put(struct kilter_arena *arena, struct kilter_value **map, const char *key, struct kilter_value *value)
{
    if (*map && (!value || kilter_set(arena, *map, key, value) < 0))
        *map = NULL;
}

static void put_c(struct kilter_arena *arena, struct kilter_value **map, const char *key, const char *text)
{
    if (text)
        put(arena, map, key, kilter_string_c(arena, text));
}

static struct kilter_value *texts(struct kilter_arena *arena, const char *const *items)
{
    struct kilter_value *list = kilter_list(arena);
    for (; list && *items; items++) {
        struct kilter_value *item = kilter_string_c(arena, *items);
        if (!item || kilter_list_add(arena, list, item) < 0)
            return NULL;
    }
    return list;
}

static struct kilter_value *describe_option(struct kilter_arena *arena, const struct kilter_option *option)
{
    struct kilter_value *map = kilter_map(arena);
    put_c(arena, &map, "name", option->name);
    put_c(arena, &map, "type", type_word(option->type));
    put(arena, &map, "flags", kilter_int(arena, option->flags));
    put_c(arena, &map, "default", option->default_text);
    put(arena, &map, "minimum", kilter_int(arena, option->minimum));
    put(arena, &map, "maximum", kilter_int(arena, option->maximum));
    if (option->type == KILTER_OPTION_ENUM)
        put(arena, &map, "choices", texts(arena, option->choices));
    put_c(arena, &map, "summary", option->summary ? option->summary : "");
    return map;
}

static struct kilter_value *describe_schema(struct kilter_arena *arena, const struct kilter_config_schema *schema)
{
    struct kilter_value *list = kilter_list(arena);
    for (size_t i = 0; list && schema && i < schema->option_count; i++) {
        struct kilter_value *item = describe_option(arena, &schema->options[i]);
        if (!item || kilter_list_add(arena, list, item) < 0)
            return NULL;
    }
    return list;
}

static struct kilter_value *describe_needs(struct kilter_arena *arena, uint32_t needs)
{
    const char *words[4];
    size_t count = 0;
    if (needs & KILTER_NEED_NETWORK)
        words[count++] = "network";
    if (needs & KILTER_NEED_EXEC)
        words[count++] = "exec";
    if (needs & KILTER_NEED_FILESYSTEM)
        words[count++] = "filesystem";
    words[count] = NULL;
    return texts(arena, words);
}

static struct kilter_value *describe_renderer(struct kilter_arena *arena, const struct kilter_renderer *renderer)
{
    struct kilter_value *map = kilter_map(arena);
    put(arena, &map, "options", describe_schema(arena, renderer->options));
    put(arena, &map, "detect", kilter_bool(arena, renderer->detect != NULL));
    return map;
}

static struct kilter_value *describe_target(struct kilter_arena *arena, const struct kilter_target *target)
{
    struct kilter_value *map = kilter_map(arena);
    put(arena, &map, "options", describe_schema(arena, target->options));
    put(arena, &map, "allow", describe_schema(arena, target->allow));
    put(arena, &map, "watch", kilter_bool(arena, target->watch != NULL));
    put(arena, &map, "import", kilter_bool(arena, target->import != NULL));
    return map;
}

struct kilter_value *kl_plugin_describe(const struct kl_plugin *plugin, struct kilter_arena *arena)
{
    const struct kilter_plugin *table = &plugin->table;
    struct kilter_value *map = kilter_map(arena);
    put_c(arena, &map, "name", table->name);
    put_c(arena, &map, "version", table->version);
    put_c(arena, &map, "summary", table->summary);
    put_c(arena, &map, "file", plugin->file);
    put(arena, &map, "abiMinor", kilter_int(arena, table->abi_minor));
    put(arena, &map, "needs", describe_needs(arena, table->needs));
    put(arena, &map, "config", describe_schema(arena, table->config));
    if (table->renderer)
        put(arena, &map, "renderer", describe_renderer(arena, table->renderer));
    if (table->target)
        put(arena, &map, "target", describe_target(arena, table->target));
    return map;
}
