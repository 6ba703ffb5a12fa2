/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *const sync_words[] = { "Unknown", "Synced", "OutOfSync" };

static const char *const phase_words[] = {
    "Idle", "Fetching", "Rendering", "Planning", "Waiting", "Applying", "Checking", "Failed",
};

static const char *const reason_words[] = {
    "",
    "DependencyNotReady",
    "ApprovalRequired",
    "DeleteLimit",
    "DriftConflict",
    "OwnershipConflict",
    "Suspended",
    "Pinned",
    "Superseded",
    "PluginQuarantined",
    "RendererChanged",
    "RenderFailed",
    "PlanFailed",
    "ApplyFailed",
    "HealthFailed",
    "SourceUnavailable",
};

static const char *const trigger_words[] = {
    "none", "drift check", "start", "retry", "dependency", "renderer", "manifest", "commit", "person",
};

/* Indexed by enum kilter_health, which counts from 1. */
static const char *const health_words[] = {
    "Unknown", "Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown",
};

static const char *word(const char *const *table, size_t count, size_t index)
{
    return index < count ? table[index] : table[0];
}

static size_t index_of(const char *const *table, size_t count, struct kilter_str text)
{
    for (size_t i = 0; i < count; i++)
        if (kilter_str_eq_c(text, table[i]))
            return i;
    return 0;
}

const char *kl_sync_state_word(enum kl_sync_state sync)
{
    return word(sync_words, COUNT(sync_words), sync);
}

const char *kl_phase_word(enum kl_phase phase)
{
    return word(phase_words, COUNT(phase_words), phase);
}

const char *kl_reason_word(enum kl_reason reason)
{
    return word(reason_words, COUNT(reason_words), reason);
}

const char *kl_trigger_word(enum kl_trigger trigger)
{
    return word(trigger_words, COUNT(trigger_words), trigger);
}

const char *kl_health_state(enum kilter_health health)
{
    return word(health_words, COUNT(health_words), health);
}

enum kl_sync_state kl_sync_state_of(struct kilter_str text)
{
    return (enum kl_sync_state)index_of(sync_words, COUNT(sync_words), text);
}

enum kl_reason kl_reason_of(struct kilter_str text)
{
    return (enum kl_reason)index_of(reason_words, COUNT(reason_words), text);
}

enum kilter_health kl_health_state_of(struct kilter_str text)
{
    size_t index = index_of(health_words, COUNT(health_words), text);
    return index ? (enum kilter_health)index : KILTER_HEALTH_UNKNOWN;
}

static int badness(enum kilter_health health)
{
    switch (health) {
    case KILTER_MISSING:
        return 5;
    case KILTER_DEGRADED:
        return 4;
    case KILTER_HEALTH_UNKNOWN:
        return 3;
    case KILTER_PROGRESSING:
        return 2;
    case KILTER_HEALTH_SUSPENDED:
        return 1;
    case KILTER_HEALTHY:
        return 0;
    }
    return 3;
}

enum kilter_health kl_health_worst(enum kilter_health a, enum kilter_health b)
{
    return badness(a) >= badness(b) ? a : b;
}
