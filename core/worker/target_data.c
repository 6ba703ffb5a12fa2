/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon sends with a job on a target: resources, records and changes. */
#include "wire/jobs.h"
#include "worker/target.h"

static void count_kinds(struct kl_target_job *t)
{
    for (size_t i = 0; i < t->job->data_count; i++) {
        struct kilter_str kind = kilter_get_text(t->job->data[i], "kind");
        t->resource_count += kilter_str_eq_c(kind, "resource");
        t->record_count += kilter_str_eq_c(kind, "record");
        t->change_count += kilter_str_eq_c(kind, "change");
    }
}

static int allocate(struct kl_target_job *t)
{
    struct kilter_arena *arena = t->job->arena;
    count_kinds(t);
    t->resources = kilter_arena_calloc(arena, t->resource_count, sizeof *t->resources);
    t->directives = kilter_arena_calloc(arena, t->resource_count, sizeof *t->directives);
    t->records = kilter_arena_calloc(arena, t->record_count, sizeof *t->records);
    t->record_no_prune = kilter_arena_calloc(arena, t->record_count, sizeof *t->record_no_prune);
    t->changes = kilter_arena_calloc(arena, t->change_count, sizeof *t->changes);
    t->change_index = kilter_arena_calloc(arena, t->change_count, sizeof *t->change_index);
    if (t->resources && t->directives && t->records && t->record_no_prune && t->changes && t->change_index)
        return 0;
    return kilter_error_set(&t->job->error, KILTER_E_NOMEM, "out of memory for the data of the job");
}

static int read_resource(struct kl_target_job *t, const struct kilter_value *map, size_t at)
{
    int rc = kl_resource_read(t->job->arena, map, &t->resources[at]);
    if (rc < 0)
        return rc;
    kl_job_hide_all(t->job, t->resources[at].document, false);
    t->directives[at].size = sizeof t->directives[at];
    return kilter_directives_read(t->resources[at].document, &t->directives[at], t->job->diags);
}

static int read_record(struct kl_target_job *t, const struct kilter_value *map, size_t at)
{
    kilter_get_bool(kilter_get(map, "directives"), "noPrune", &t->record_no_prune[at]);
    return kl_record_read(t->job->arena, map, &t->records[at]);
}

static int read_change(struct kl_target_job *t, const struct kilter_value *map, size_t at)
{
    if (kilter_get_int(map, "index", &t->change_index[at]) < 0)
        t->change_index[at] = -1;
    int rc = kl_change_read(t->job->arena, map, &t->changes[at]);
    if (rc < 0)
        return rc;
    kl_job_hide_all(t->job, t->changes[at].before, false);
    kl_job_hide_all(t->job, t->changes[at].after, false);
    kl_job_hide_all(t->job, t->changes[at].private_data, false);
    return 0;
}

static int read_all(struct kl_target_job *t)
{
    size_t resources = 0, records = 0, changes = 0;
    for (size_t i = 0; i < t->job->data_count; i++) {
        const struct kilter_value *map = t->job->data[i];
        struct kilter_str kind = kilter_get_text(map, "kind");
        int rc = kilter_str_eq_c(kind, "resource") ? read_resource(t, map, resources++)
                 : kilter_str_eq_c(kind, "record") ? read_record(t, map, records++)
                 : kilter_str_eq_c(kind, "change") ? read_change(t, map, changes++)
                                                   : KILTER_E_INVALID;
        if (rc < 0)
            return kilter_error_set(&t->job->error, rc, "item %zu of the job's data is no usable %.*s", i,
                                    KILTER_STR_ARG(kind));
    }
    return 0;
}

/* A change names those it comes after by their place in the plan; a target that applies a wave knows only the
 * wave. What is not in it was applied before. */
static void place_after_changes(struct kl_target_job *t, struct kilter_change *change)
{
    uint32_t *places = kilter_arena_calloc(t->job->arena, change->after_count, sizeof *places);
    size_t count = 0;
    for (size_t i = 0; places && i < change->after_count; i++)
        for (size_t k = 0; k < t->change_count; k++)
            if (t->change_index[k] == change->after_changes[i])
                places[count++] = (uint32_t)k;
    change->after_changes = places;
    change->after_count = count;
}

static int upgrade(struct kl_target_job *t, struct kilter_record *record)
{
    const struct kilter_value *attributes = NULL;
    uint32_t version = record->schema_version;
    if (!record->attributes)
        return 0;
    kl_call_begin(&t->call, "upgrade_state");
    int rc = kl_call_end(&t->call, t->table->upgrade_state(&t->call.call, record->schema_version,
                                                           record->attributes, &attributes, &version));
    if (rc < 0)
        return rc;
    if (!attributes || !kl_value_is_bounded(attributes) || kilter_type_of(attributes) != KILTER_MAP)
        return kl_call_defect(&t->call, "gave no attributes for %s", kl_target_id_text(t, &record->id));
    record->attributes = attributes;
    record->schema_version = version;
    return 0;
}

int kl_target_read(struct kl_target_job *t)
{
    int rc = allocate(t);
    if (rc == 0)
        rc = read_all(t);
    for (size_t i = 0; rc == 0 && i < t->change_count; i++)
        place_after_changes(t, &t->changes[i]);
    for (size_t i = 0; rc == 0 && t->table->upgrade_state && i < t->record_count; i++)
        rc = upgrade(t, &t->records[i]);
    return rc;
}
