/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/descriptor.h"

#define OPTION_ROOM 64 /* bytes; more than any member takes */

static const char *text_of(struct kilter_arena *arena, struct kilter_str text)
{
    return text.ptr ? kilter_arena_str(arena, text).ptr : NULL;
}

static enum kilter_option_type type_of(struct kilter_str word)
{
    static const char *const words[] = {
        [KILTER_OPTION_STRING] = "string",     [KILTER_OPTION_BOOL] = "bool",   [KILTER_OPTION_INT] = "int",
        [KILTER_OPTION_DURATION] = "duration", [KILTER_OPTION_SIZE] = "size",   [KILTER_OPTION_ENUM] = "enum",
        [KILTER_OPTION_MODE] = "mode",         [KILTER_OPTION_LIST] = "list",   [KILTER_OPTION_MAP] = "map",
        [KILTER_OPTION_SECRET] = "secret",     [KILTER_OPTION_VALUE] = "value",
    };
    for (size_t i = 1; i < sizeof(words) / sizeof(words[0]); i++)
        if (kilter_str_eq_c(word, words[i]))
            return (enum kilter_option_type)i;
    return KILTER_OPTION_VALUE; /* of a newer worker: nothing is known about it, so nothing is refused */
}

static const char *const *choices_of(struct kilter_arena *arena, const struct kilter_value *list)
{
    size_t count = kilter_list_size(list);
    const char **choices = kilter_arena_calloc(arena, count + 1, sizeof(*choices));
    for (size_t i = 0; choices && i < count; i++)
        choices[i] = text_of(arena, kilter_text(kilter_list_at(list, i)));
    return choices;
}

static void read_option(struct kilter_arena *arena, const struct kilter_value *row, struct kilter_option *ret)
{
    int64_t flags = 0;
    kilter_get_int(row, "flags", &flags);
    kilter_get_int(row, "minimum", &ret->minimum);
    kilter_get_int(row, "maximum", &ret->maximum);
    ret->name = text_of(arena, kilter_get_text(row, "name"));
    ret->type = type_of(kilter_get_text(row, "type"));
    ret->flags = (uint32_t)flags;
    ret->default_text = text_of(arena, kilter_get_text(row, "default"));
    ret->summary = text_of(arena, kilter_get_text(row, "summary"));
    if (ret->type == KILTER_OPTION_ENUM)
        ret->choices = choices_of(arena, kilter_get(row, "choices"));
}

static const struct kilter_config_schema *schema_of(struct kilter_arena *arena, const struct kilter_value *list)
{
    size_t count = kilter_list_size(list);
    struct kilter_config_schema *schema = kilter_arena_alloc(arena, sizeof(*schema));
    struct kilter_option *options = kilter_arena_calloc(arena, count ? count : 1, sizeof(*options));
    if (count == 0 || !schema || !options)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        read_option(arena, kilter_list_at(list, i), &options[i]);
        options[i].offset = i * OPTION_ROOM; /* of a struct that nobody has: checking wants a consistent table */
    }
    *schema =
        (struct kilter_config_schema){ sizeof(*schema), sizeof(*options), count * OPTION_ROOM, options, count };
    return schema;
}

const struct kl_plugin_schemas *kl_plugin_schemas_of(struct kilter_arena *arena,
                                                     const struct kilter_value *descriptor)
{
    const struct kilter_value *renderer = kilter_get(descriptor, "renderer"),
                              *target = kilter_get(descriptor, "target");
    struct kl_plugin_schemas *schemas = kilter_arena_alloc(arena, sizeof(*schemas));
    if (!schemas)
        return NULL;
    schemas->is_renderer = renderer != NULL;
    schemas->is_target = target != NULL;
    kilter_get_bool(renderer, "detect", &schemas->detects);
    schemas->config = schema_of(arena, kilter_get(descriptor, "config"));
    schemas->renderer = schema_of(arena, kilter_get(renderer, "options"));
    schemas->target = schema_of(arena, kilter_get(target, "options"));
    schemas->allow = schema_of(arena, kilter_get(target, "allow"));
    schemas->summary = text_of(arena, kilter_get_text(descriptor, "summary"));
    return schemas;
}
