/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/log.h"
#include "pool/private.h"

#include <stdio.h>
#include <stdlib.h>

static void record_free(void *value)
{
    struct kl_plugin_record *record = value;
    if (!record)
        return;
    free(record->name);
    free(record->last_message);
    free(record->last_verb);
    free(record);
}

struct kl_plugin_record *kl_faults_find(const struct kl_pool *pool, struct kilter_str plugin)
{
    return kl_map_get(&pool->plugins, plugin);
}

static struct kl_plugin_record *find_or_add(struct kl_pool *pool, struct kilter_str plugin)
{
    struct kl_plugin_record *record = kl_faults_find(pool, plugin);
    if (record)
        return record;
    record = calloc(1, sizeof(*record));
    if (record)
        record->name = strndup(plugin.ptr, plugin.len);
    if (!record || !record->name || kl_map_put(&pool->plugins, plugin, record, NULL) < 0) {
        record_free(record);
        return NULL;
    }
    return record;
}

enum kl_admission kl_faults_admit(const struct kl_pool *pool, const struct kl_job *job)
{
    const struct kl_plugin_record *record = kl_faults_find(pool, kilter_str_c(job->plugin));
    if (!record || !record->quarantined || job->priority == KL_PRIORITY_PERSON)
        return KL_ADMIT;
    if (kl_clock_monotonic_ns() < record->until_ns)
        return KL_ADMIT_REFUSE;
    return record->probes > 0 ? KL_ADMIT_LATER : KL_ADMIT;
}

static unsigned recent_faults(const struct kl_pool *pool, const struct kl_plugin_record *record)
{
    int64_t since_ns = kl_clock_monotonic_ns() - pool->options.quarantine_window_ms * KL_NS_PER_MS;
    unsigned recent = 0;
    for (size_t i = 0; i < record->kept; i++)
        recent += record->times_ns[i] >= since_ns;
    return recent;
}

static void quarantine(struct kl_pool *pool, struct kl_plugin_record *record)
{
    const struct kl_pool_options *options = &pool->options;
    int64_t length_ms = options->quarantine_ms;
    for (unsigned i = 0; i < record->level && length_ms < options->quarantine_max_ms; i++)
        length_ms *= 2;
    if (length_ms > options->quarantine_max_ms)
        length_ms = options->quarantine_max_ms;
    if (!record->quarantined)
        record->since_ms = kl_clock_wall_ms();
    record->quarantined = true;
    record->level++;
    record->until_ms = kl_clock_wall_ms() + length_ms;
    record->until_ns = kl_clock_monotonic_ns() + length_ms * KL_NS_PER_MS;
    char *message = kl_faults_message(record, pool);
    kl_log(KILTER_LOG_ERROR, "%s", message ? message : "a plugin is quarantined");
    free(message);
    kl_pool_pump_later(pool, length_ms);
}

void kl_faults_add(struct kl_pool *pool, struct kilter_str plugin, const char *verb, const char *message)
{
    struct kl_plugin_record *record = plugin.len ? find_or_add(pool, plugin) : NULL;
    if (!record)
        return;
    record->times_ns[record->next] = kl_clock_monotonic_ns();
    record->next = (record->next + 1) % KL_FAULTS_KEPT;
    record->kept += record->kept < KL_FAULTS_KEPT;
    record->ever++;
    record->last_ms = kl_clock_wall_ms();
    free(record->last_message);
    free(record->last_verb);
    record->last_message = strdup(message);
    record->last_verb = strdup(verb);
    /* One that is on probation goes back at once. */
    if (record->quarantined || recent_faults(pool, record) >= pool->options.quarantine_faults)
        quarantine(pool, record);
}

static void forget(struct kl_pool *pool, struct kl_plugin_record *record)
{
    record->kept = record->next = 0;
    record->level = 0;
    if (record->quarantined)
        kl_log(KILTER_LOG_INFO, "plugin '%s' is not quarantined any more", record->name);
    record->quarantined = false;
    kl_pool_pump_later(pool, 0);
}

void kl_faults_success(struct kl_pool *pool, struct kilter_str plugin, const char *verb)
{
    struct kl_plugin_record *record = plugin.len ? kl_faults_find(pool, plugin) : NULL;
    if (!record || (record->kept == 0 && !record->quarantined))
        return;
    /* That `identity` works says nothing about a crash in `plan`. */
    if (!record->last_verb || strcmp(record->last_verb, verb) == 0)
        forget(pool, record);
}

char *kl_faults_message(const struct kl_plugin_record *record, const struct kl_pool *pool)
{
    char since[32], until[32], window[32], *message;
    kilter_format_duration(pool->options.quarantine_window_ms * KL_NS_PER_MS, window);
    if (asprintf(&message,
                 "plugin '%s' is quarantined since %s until %s: it failed %u times within %s, the last time: %s "
                 "(`kilter sync` tries it again at once; the first success lifts the quarantine)",
                 record->name, kl_clock_format_seconds(record->since_ms, since),
                 kl_clock_format_seconds(record->until_ms, until), recent_faults(pool, record), window,
                 record->last_message ? record->last_message : "for an unknown reason") < 0)
        return NULL;
    return message;
}

void kl_faults_release(struct kl_pool *pool)
{
    kl_map_release(&pool->plugins, record_free);
}

static void describe(const struct kl_pool *pool, const struct kl_plugin_record *record,
                     struct kl_plugin_faults *ret)
{
    *ret = (struct kl_plugin_faults){
        .plugin = kilter_str_c(record->name),
        .recent = recent_faults(pool, record),
        .ever = record->ever,
        .last = record->last_message ? record->last_message : "",
        .last_ms = record->last_ms,
        .quarantined = record->quarantined,
        .since_ms = record->since_ms,
        .until_ms = record->until_ms,
    };
}

bool kl_pool_plugin_faults(const struct kl_pool *pool, struct kilter_str plugin, struct kl_plugin_faults *ret)
{
    const struct kl_plugin_record *record = kl_faults_find(pool, plugin);
    if (!record)
        return false;
    describe(pool, record, ret);
    return true;
}

bool kl_pool_plugin_next(const struct kl_pool *pool, size_t *at, struct kl_plugin_faults *ret)
{
    void *record;
    if (!kl_map_next(&pool->plugins, at, NULL, &record))
        return false;
    describe(pool, record, ret);
    return true;
}

int kl_pool_quarantine_lift(struct kl_pool *pool, struct kilter_str plugin)
{
    struct kl_plugin_record *record = kl_faults_find(pool, plugin);
    if (!record || !record->quarantined)
        return KILTER_E_NOT_FOUND;
    forget(pool, record);
    return KILTER_OK;
}
