/* SPDX-License-Identifier: Apache-2.0 */
/* Policies: default, those that start from it, and what an app changes. */
#include <stdio.h>

#include "manifest/load.h"

bool kl_policy_allows_deletes(const struct kl_policy *policy, size_t deletes, size_t owned)
{
    const size_t always = 5; /* below it a percentage would stop the ordinary */

    if (!policy->max_deletes.percent)
        return deletes <= policy->max_deletes.value;
    return deletes <= always || deletes * 100.0 <= (double)owned * policy->max_deletes.value;
}

static struct kl_raw_policy to_raw(const struct kl_policy *policy)
{
    return (struct kl_raw_policy){ .sync = (int)policy->sync,
                                   .drift = (int)policy->drift,
                                   .adopt = (int)policy->adopt,
                                   .on_remove = (int)policy->on_remove,
                                   .on_unhealthy = (int)policy->on_unhealthy,
                                   .prune = policy->prune,
                                   .max_deletes = policy->max_deletes,
                                   .drift_interval_ns = policy->drift_interval_ns,
                                   .timeout_ns = policy->timeout_ns,
                                   .retry = { policy->retry_first_ns, policy->retry_max_ns } };
}

static struct kl_policy from_raw(const struct kl_raw_policy *raw, struct kilter_str name)
{
    return (struct kl_policy){ .name = name,
                               .sync = (enum kl_sync)raw->sync,
                               .drift = (enum kl_drift)raw->drift,
                               .prune = raw->prune,
                               .max_deletes = raw->max_deletes,
                               .adopt = (enum kl_adopt)raw->adopt,
                               .on_remove = (enum kl_on_remove)raw->on_remove,
                               .on_unhealthy = (enum kl_on_unhealthy)raw->on_unhealthy,
                               .drift_interval_ns = raw->drift_interval_ns,
                               .timeout_ns = raw->timeout_ns,
                               .retry_first_ns = raw->retry.first_ns,
                               .retry_max_ns = raw->retry.max_ns };
}

/* `raw` with what the map says otherwise. */
static void apply(struct kl_load *load, const struct kilter_value *map, const char *what, struct kl_raw_policy *raw)
{
    kl_table_fill(&load->report, &kl_table_policy, map, what, true, raw);
    if (kilter_get(map, "retry") && raw->retry.first_ns > raw->retry.max_ns)
        kl_report_add(&load->report, KILTER_ERROR, "manifest.range", kilter_origin_of(kilter_get(map, "retry")),
                      NULL, "%s: the first wait of \"retry\" is longer than its longest", what);
}

static void make(struct kl_load *load, struct kilter_str name, const struct kilter_value *map,
                 struct kl_raw_policy raw)
{
    struct kl_policy *policy = kl_load_alloc(load, sizeof *policy);
    const struct kl_stage *stage = kl_load_stage(load, KILTER_STR(""));
    char what[200];

    if (!policy || !stage)
        return;
    snprintf(what, sizeof what, "policy \"%.*s\"", KILTER_STR_ARG(name));
    if (map)
        apply(load, kl_load_substitute(load, stage, map), what, &raw);
    *policy = from_raw(&raw, name);
    kl_load_put(load, &load->policies_made, name, policy);
}

void kl_load_policies(struct kl_load *load)
{
    const struct kl_entry *first = kl_map_get(&load->policies.entries, KILTER_STR("default"));
    struct kl_raw_policy built_in = { 0 };
    size_t at = 0;
    struct kilter_str key;
    void *value;

    kl_table_defaults(&load->report, &kl_table_policy, &built_in);
    make(load, KILTER_STR("default"), first ? first->value : NULL, built_in);
    const struct kl_policy *made = kl_map_get(&load->policies_made, KILTER_STR("default"));
    if (!made)
        return;
    struct kl_raw_policy start = to_raw(made);
    while (kl_map_next(&load->policies.entries, &at, &key, &value)) {
        const struct kl_entry *entry = value;
        if (entry != first)
            make(load, entry->name, entry->value, start);
    }
}

/* "default" is there without being written. */
static const struct kl_policy *find(struct kl_load *load, const struct kilter_value *name, const char *whose)
{
    if (kl_value_is_text(name) && kilter_str_eq_c(kilter_text(name), "default"))
        return kl_map_get(&load->policies_made, kilter_text(name));
    const struct kl_entry *entry = kl_load_named(load, &load->policies, name, whose);
    return entry ? kl_map_get(&load->policies_made, entry->name) : NULL;
}

/* What holds where the app itself says nothing. */
static const struct kl_policy *inherited(struct kl_load *load, const struct kl_stage *stage)
{
    const struct kl_policy *policy = NULL;

    if (stage->raw.policy.len)
        policy = kl_map_get(&load->policies_made, stage->raw.policy);
    return policy ? policy : kl_map_get(&load->policies_made, KILTER_STR("default"));
}

bool kl_load_policy(struct kl_load *load, const struct kilter_value *value, const struct kl_stage *stage,
                    const char *whose, struct kl_policy *ret)
{
    const struct kl_policy *base = inherited(load, stage);
    char what[300];

    if (kl_value_is_text(value))
        base = find(load, value, whose);
    if (!base)
        return false;
    *ret = *base;
    if (!value || kilter_type_of(value) != KILTER_MAP)
        return true;
    struct kl_raw_policy raw = to_raw(base);
    snprintf(what, sizeof what, "\"policy\" of %s", whose);
    apply(load, value, what, &raw);
    char *name = kilter_arena_printf(load->arena, "%.*s+", KILTER_STR_ARG(base->name));
    if (!name)
        kl_report_nomem(&load->report);
    *ret = from_raw(&raw, name ? kilter_str_c(name) : base->name);
    return true;
}
