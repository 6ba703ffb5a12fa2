/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: one for each environment in use where ${env} is mentioned. */
#include <stdio.h>

#include "manifest/load.h"

static void check_plugin(struct kl_load *load, const struct kl_target *target, const struct kilter_value *value,
                         const char *what)
{
    const struct kl_plugin_schemas *schemas = kl_load_schemas(load, target->plugin);
    char where[300];

    if (!schemas)
        return;
    if (!schemas->is_target) {
        kl_report_add(&load->report, KILTER_ERROR, "manifest.plugin", kilter_origin_of(kilter_get(value, "plugin")),
                      NULL, "%s: plugin \"%.*s\" is no target", what, KILTER_STR_ARG(target->plugin->name));
        return;
    }
    snprintf(where, sizeof where, "option of %s", what);
    kl_load_check_options(load, schemas->target, target->options, where);
    if (target->allow && !schemas->allow) {
        kl_report_add(&load->report, KILTER_ERROR, "manifest.plugin", kilter_origin_of(kilter_get(value, "allow")),
                      NULL, "%s: plugin \"%.*s\" takes no \"allow\"", what, KILTER_STR_ARG(target->plugin->name));
        return;
    }
    snprintf(where, sizeof where, "key of \"allow\" of %s", what);
    if (target->allow)
        kl_load_check_options(load, schemas->allow, target->allow, where);
}

static struct kl_target *make(struct kl_load *load, const struct kl_entry *entry, const struct kl_stage *stage,
                              struct kilter_str full)
{
    const struct kilter_value *value = kl_load_substitute(load, stage, entry->value);
    struct kl_target *target = kl_load_alloc(load, sizeof *target);
    struct kl_raw_target raw = { 0 };
    size_t errors = load->report.errors;
    char what[200];

    if (!value || !target)
        return NULL;
    snprintf(what, sizeof what, "target \"%.*s\"", KILTER_STR_ARG(entry->name));
    kl_table_defaults(&load->report, &kl_table_target, &raw);
    kl_table_fill(&load->report, &kl_table_target, value, what, true, &raw);
    *target = (struct kl_target){ .name = full,
                                  .base = entry->name,
                                  .environment = kilter_str_eq(full, entry->name) ? KILTER_STR("") : stage->name,
                                  .plugin = kl_load_plugin(load, kilter_get(value, "plugin"), what),
                                  .options = raw.options,
                                  .allow = raw.allow,
                                  .concurrency = raw.concurrency,
                                  .origin = kilter_origin_of(entry->key) };
    check_plugin(load, target, value, what);
    if (load->report.errors > errors || !target->plugin)
        return NULL;
    kl_target_digest(load, target);
    return target;
}

static const struct kl_target *instance(struct kl_load *load, const struct kl_entry *entry,
                                        const struct kl_stage *stage)
{
    bool own = kl_mentions_environment(&stage->scope, entry->value);
    struct kilter_str full = kl_load_full_name(load, entry->name, own ? stage->name : KILTER_STR(""));

    if (kl_map_has(&load->target_instances, full))
        return kl_map_get(&load->target_instances, full);
    struct kl_target *target = make(load, entry, stage, full);
    kl_load_put(load, &load->target_instances, full, target);
    return target;
}

const struct kl_target *kl_load_target(struct kl_load *load, const struct kilter_value *name,
                                       const struct kl_stage *stage, const char *whose)
{
    struct kl_entry *entry = kl_load_named(load, &load->targets, name, whose);

    if (!entry)
        return NULL;
    entry->used = true;
    return instance(load, entry, stage);
}

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
                      "no app uses target \"%.*s\"", KILTER_STR_ARG(entry->name));
}

void kl_load_unused_targets(struct kl_load *load)
{
    size_t at = 0;
    struct kilter_str key;
    void *value;

    while (kl_map_next(&load->targets.entries, &at, &key, &value))
        if (!((struct kl_entry *)value)->used)
            check_unused(load, value);
}
