/* SPDX-License-Identifier: Apache-2.0 */
/* Sections: what is called how, and what is meant by a name. */
#include <stdio.h>

#include "manifest/load.h"

#define NAME_LENGTH 63u
#define NAMES_SHOWN 10000u

void *kl_load_alloc(struct kl_load *load, size_t size)
{
    void *memory = kilter_arena_alloc(load->arena, size);
    if (!memory)
        kl_report_nomem(&load->report);
    return memory;
}

struct kilter_str kl_load_full_name(struct kl_load *load, struct kilter_str base, struct kilter_str environment)
{
    if (environment.len == 0)
        return base;
    char *name = kilter_arena_printf(load->arena, "%.*s@%.*s", KILTER_STR_ARG(base), KILTER_STR_ARG(environment));
    if (!name)
        kl_report_nomem(&load->report);
    return name ? kilter_str_c(name) : base;
}

void kl_load_put(struct kl_load *load, struct kl_map *map, struct kilter_str key, void *value)
{
    if (kl_map_put(map, key, value, NULL) < 0)
        kl_report_nomem(&load->report);
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_name(struct kilter_str name)
{
    if (name.len == 0 || name.len > NAME_LENGTH || !is_lower_or_digit(name.ptr[0]) ||
        !is_lower_or_digit(name.ptr[name.len - 1]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_lower_or_digit(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_' && name.ptr[i] != '.')
            return false;
    return true;
}

bool kl_load_check_name(struct kl_load *load, struct kilter_str name, struct kilter_origin origin, const char *what)
{
    if (is_name(name))
        return true;
    kl_report_add(&load->report, KILTER_ERROR, "manifest.name", origin,
                  "up to 63 lower-case letters, digits, '-', '_' and '.', a letter or digit at both ends",
                  "\"%.*s\" cannot be the name of %s", KILTER_STR_ARG(kilter_str_sub(name, 0, 100)), what);
    return false;
}

static void enter(struct kl_load *load, struct kl_section *section, const struct kilter_value *key,
                  const struct kilter_value *value)
{
    struct kilter_origin at = kilter_origin_of(key);
    const struct kl_entry *first = kl_map_get(&section->entries, kilter_text(key));
    char what[64];

    if (first) {
        kl_report_add(&load->report, KILTER_ERROR, "manifest.duplicate", at, "give one of them another name",
                      "%s \"%.*s\" is there twice: also at %s", section->word,
                      KILTER_STR_ARG(kilter_str_sub(first->name, 0, 100)),
                      kl_report_place(&load->report, kilter_origin_of(first->key)));
        return;
    }
    snprintf(what, sizeof what, "%s %s", strchr("aeiou", section->word[0]) ? "an" : "a", section->word);
    kl_load_check_name(load, kilter_text(key), at, what);
    struct kl_entry *entry = kl_load_alloc(load, sizeof *entry);
    if (!entry)
        return;
    *entry = (struct kl_entry){ kilter_arena_str(load->arena, kilter_text(key)), key, value, false };
    kl_load_put(load, &section->entries, entry->name, entry);
}

void kl_load_enter(struct kl_load *load, struct kl_section *section, const struct kilter_value *map)
{
    for (size_t i = 0; i < kilter_map_size(map); i++)
        enter(load, section, kilter_map_key_at(map, i), kilter_map_at(map, i));
}

/* The nearest key of a map, as a hint. */
static const char *nearest(struct kl_load *load, const struct kl_map *map, struct kilter_str name,
                           const char *plural)
{
    size_t count = 0, at = 0, max = kl_map_count(map) < NAMES_SHOWN ? kl_map_count(map) : NAMES_SHOWN;
    struct kilter_str *names = kilter_arena_calloc(load->arena, max + 1, sizeof *names);
    void *value;

    while (names && count < max && kl_map_next(map, &at, &names[count], &value))
        count++;
    return names ? kl_report_nearest(&load->report, name, names, count, plural) : NULL;
}

struct kl_entry *kl_load_named(struct kl_load *load, struct kl_section *section, const struct kilter_value *name,
                               const char *whose)
{
    struct kilter_str text = kilter_text(name);

    if (!kl_value_is_text(name))
        return NULL; /* reported when its type was checked */
    struct kl_entry *entry = kl_map_get(&section->entries, text);
    if (!entry)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.unknown-name", kilter_origin_of(name),
                      nearest(load, &section->entries, text, section->plural), "%s: there is no %s \"%.*s\"", whose,
                      section->word, KILTER_STR_ARG(kilter_str_sub(text, 0, 100)));
    return entry;
}

const struct kl_manifest_plugin *kl_load_plugin(struct kl_load *load, const struct kilter_value *name,
                                                const char *whose)
{
    struct kilter_str text = kilter_text(name);

    if (!kl_value_is_text(name))
        return NULL;
    const struct kl_manifest_plugin *plugin = kl_map_get(&load->plugins, text);
    if (!plugin)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.unknown-name", kilter_origin_of(name),
                      nearest(load, &load->plugins, text, "plugins listed"),
                      "%s: plugin \"%.*s\" is not listed under \"plugins\"", whose,
                      KILTER_STR_ARG(kilter_str_sub(text, 0, 100)));
    return plugin;
}

const struct kl_plugin_schemas *kl_load_schemas(struct kl_load *load, const struct kl_manifest_plugin *plugin)
{
    struct known {
        const struct kl_plugin_schemas *schemas;
    } * known;

    if (!plugin || !load->options.plugin_lookup)
        return NULL;
    known = kl_map_get(&load->schemas, plugin->name);
    if (known)
        return known->schemas;
    known = kl_load_alloc(load, sizeof *known);
    if (!known)
        return NULL;
    known->schemas = load->options.plugin_lookup(load->options.plugin_data, plugin->name, plugin->file);
    kl_load_put(load, &load->schemas, plugin->name, known);
    return known->schemas;
}

void kl_load_check_options(struct kl_load *load, const struct kilter_config_schema *schema,
                           const struct kilter_value *options, const char *what)
{
    static const struct kilter_config_schema none = { .size = sizeof none,
                                                      .option_size = sizeof(struct kilter_option) };

    kilter_config_check(schema ? schema : &none, options, what, load->report.scratch);
    kl_report_flush(&load->report);
}
