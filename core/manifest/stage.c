/* SPDX-License-Identifier: Apache-2.0 */
/* Environments, and what ${...} stands for in each. */
#include <stdio.h>

#include "manifest/load.h"

#define BUILT_IN 7u
#define MAX_VARIABLES 1000u

static bool is_variable_name(struct kilter_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0 && !kilter_str_eq_c(name, "env");
}

static void check_variables(struct kl_load *load, const struct kl_stage *stage)
{
    for (size_t i = 0; i < kilter_map_size(stage->raw.variables); i++) {
        const struct kilter_value *key = kilter_map_key_at(stage->raw.variables, i);
        if (is_variable_name(kilter_text(key)))
            continue;
        kl_report_add(&load->report, KILTER_ERROR, "manifest.name", kilter_origin_of(key),
                      "letters, digits and '_', no digit first; \"env\" is taken",
                      "\"%.*s\" cannot be the name of a variable",
                      KILTER_STR_ARG(kilter_str_sub(kilter_text(key), 0, 100)));
    }
}

static void check_sources(struct kl_load *load, struct kl_stage *stage, const char *what)
{
    for (size_t i = 0; i < kilter_map_size(stage->raw.sources); i++) {
        const struct kilter_value *key = kilter_map_key_at(stage->raw.sources, i);
        struct kl_raw_source raw = { 0 };
        char where[300];
        snprintf(where, sizeof where, "\"%.*s\" in \"sources\" of %s",
                 KILTER_STR_ARG(kilter_str_sub(kilter_text(key), 0, 63)), what);
        if (kl_load_named(load, &load->sources, key, what) &&
            !kl_table_fill(&load->report, &kl_table_source_override, kilter_map_at(stage->raw.sources, i), where,
                           false, &raw))
            stage->sources_wrong = true;
    }
}

static struct kl_stage *make_stage(struct kl_load *load, struct kilter_str name, const struct kl_entry *entry)
{
    struct kl_stage *stage = kl_load_alloc(load, sizeof *stage);

    if (!stage)
        return NULL;
    *stage = (struct kl_stage){ .name = name, .entry = entry };
    kl_load_put(load, &load->stages, name, stage);
    return stage;
}

static void fill_stage(struct kl_load *load, const struct kl_entry *entry)
{
    struct kl_stage *stage = make_stage(load, entry->name, entry);
    char what[200];

    if (!stage)
        return;
    snprintf(what, sizeof what, "environment \"%.*s\"", KILTER_STR_ARG(entry->name));
    kl_table_fill(&load->report, &kl_table_environment, entry->value, what, true, &stage->raw);
    check_variables(load, stage);
    check_sources(load, stage, what);
    kl_load_named(load, &load->policies, kilter_get(entry->value, "policy"), what);
}

static void add_built_in(const struct kl_load *load, const struct kl_stage *stage, struct kl_variable *to)
{
    const char *missing = "this host does not tell";
    const struct kl_host_facts *host = &load->host;

    to[0] = (struct kl_variable){ .name = "env",
                                  .value = stage->entry ? stage->name : KILTER_STR_NONE,
                                  .missing = "only apps that list \"environments\" have one",
                                  .by_environment = true };
    to[1] = (struct kl_variable){ .name = "host.name", .value = host->name, .missing = missing };
    to[2] = (struct kl_variable){ .name = "host.machineId", .value = host->machine_id, .missing = missing };
    to[3] = (struct kl_variable){ .name = "host.arch", .value = host->arch, .missing = missing };
    to[4] = (struct kl_variable){ .name = "host.os", .value = host->os_id, .missing = missing };
    to[5] = (struct kl_variable){ .name = "host.osVersion", .value = host->os_version, .missing = missing };
    to[6] = (struct kl_variable){ .name = "host.osCodename", .value = host->os_codename, .missing = missing };
    for (size_t i = 1; i < BUILT_IN; i++)
        if (to[i].value.len == 0)
            to[i].value = KILTER_STR_NONE;
}

/* The names of the variables of all environments: what one sets, the others lack by name. */
static void collect_names(struct kl_load *load, struct kl_map *names)
{
    size_t at = 0;
    struct kilter_str key;
    void *value;

    while (kl_map_next(&load->stages, &at, &key, &value)) {
        const struct kilter_value *variables = ((const struct kl_stage *)value)->raw.variables;
        for (size_t i = 0; i < kilter_map_size(variables); i++)
            if (is_variable_name(kilter_text(kilter_map_key_at(variables, i))))
                kl_load_put(load, names, kilter_text(kilter_map_key_at(variables, i)), load);
    }
}

static void make_scope(struct kl_load *load, struct kl_stage *stage, const struct kl_map *names)
{
    struct kl_variable *variables = kl_load_alloc(load, (BUILT_IN + kl_map_count(names)) * sizeof *variables);
    size_t count = BUILT_IN, at = 0;
    struct kilter_str key;
    void *value;

    if (!variables)
        return;
    add_built_in(load, stage, variables);
    while (kl_map_next(names, &at, &key, &value)) {
        const struct kilter_value *set = kilter_map_get(stage->raw.variables, key);
        variables[count++] = (struct kl_variable){ .key = kilter_arena_str(load->arena, key),
                                                   .value = kilter_text(set),
                                                   .missing = "only other environments set it",
                                                   .by_environment = true };
    }
    stage->scope = (struct kl_scope){ variables, count };
}

static void too_many(struct kl_load *load, const char *what, unsigned limit)
{
    kl_report_add(&load->report, KILTER_ERROR, "manifest.limit",
                  (struct kilter_origin){ load->manifest->path, 0, 0 }, NULL, "there are more than %u %s", limit,
                  what);
}

static void make_scopes(struct kl_load *load)
{
    struct kl_map names = KL_MAP_INIT;
    size_t at = 0;
    struct kilter_str key;
    void *value;

    collect_names(load, &names);
    if (kl_map_count(&names) > MAX_VARIABLES) {
        too_many(load, "variables", MAX_VARIABLES);
        kl_map_release(&names, NULL);
    }
    while (kl_map_next(&load->stages, &at, &key, &value))
        make_scope(load, value, &names);
    kl_map_release(&names, NULL);
}

void kl_load_stages(struct kl_load *load)
{
    size_t at = 0;
    struct kilter_str key;
    void *value;

    make_stage(load, KILTER_STR(""), NULL);
    if (kl_map_count(&load->environments.entries) > KL_MANIFEST_MAX_ENVIRONMENTS)
        too_many(load, "environments", KL_MANIFEST_MAX_ENVIRONMENTS);
    else
        while (kl_map_next(&load->environments.entries, &at, &key, &value))
            fill_stage(load, value);
    make_scopes(load);
}

const struct kl_stage *kl_load_stage(struct kl_load *load, struct kilter_str name)
{
    return kl_map_get(&load->stages, name);
}

const struct kilter_value *kl_load_substitute(struct kl_load *load, const struct kl_stage *stage,
                                              const struct kilter_value *value)
{
    return kl_substitute(&load->report, &stage->scope, value);
}
