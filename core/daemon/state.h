/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h: the words for what state an app is in: sync, health, phase, reason.
 *
 * Closed lists, the same in the API, the store and the tables of the command
 * line. Pure functions, constant tables.
 */
#ifndef KL_DAEMON_STATE_H
#define KL_DAEMON_STATE_H

#include <kilter/target.h>

enum kl_sync_state { KL_STATE_UNKNOWN, KL_STATE_SYNCED, KL_STATE_OUT_OF_SYNC };

enum kl_phase {
    KL_PHASE_IDLE,
    KL_PHASE_FETCHING,
    KL_PHASE_RENDERING,
    KL_PHASE_PLANNING,
    KL_PHASE_WAITING,
    KL_PHASE_APPLYING,
    KL_PHASE_CHECKING,
    KL_PHASE_FAILED,
};

enum kl_reason {
    KL_REASON_NONE,
    KL_REASON_DEPENDENCY_NOT_READY,
    KL_REASON_APPROVAL_REQUIRED,
    KL_REASON_DELETE_LIMIT,
    KL_REASON_DRIFT_CONFLICT,
    KL_REASON_OWNERSHIP_CONFLICT,
    KL_REASON_SUSPENDED,
    KL_REASON_PINNED,
    KL_REASON_SUPERSEDED,
    KL_REASON_PLUGIN_QUARANTINED,
    KL_REASON_RENDERER_CHANGED,
    KL_REASON_RENDER_FAILED,
    KL_REASON_PLAN_FAILED,
    KL_REASON_APPLY_FAILED,
    KL_REASON_HEALTH_FAILED,
    KL_REASON_SOURCE_UNAVAILABLE,
};

/* What made a pass begin, from the least to the most urgent. */
enum kl_trigger {
    KL_TRIGGER_NONE,
    KL_TRIGGER_DRIFT_CHECK,
    KL_TRIGGER_START,
    KL_TRIGGER_RETRY,
    KL_TRIGGER_DEPENDENCY,
    KL_TRIGGER_RENDERER,
    KL_TRIGGER_MANIFEST,
    KL_TRIGGER_COMMIT,
    KL_TRIGGER_PERSON,
};

const char *kl_sync_state_word(enum kl_sync_state sync); /* "Synced", "OutOfSync", "Unknown" */
const char *kl_phase_word(enum kl_phase phase);          /* "Idle", ... */
const char *kl_reason_word(enum kl_reason reason);       /* "ApprovalRequired", ...; "" for none */
const char *kl_trigger_word(enum kl_trigger trigger);    /* "commit", "drift check", ... */
const char *kl_health_state(enum kilter_health health);  /* "Healthy", ... as people read it */

/* The inverse, for what the store kept; the first of the list for an unknown word. */
enum kl_sync_state kl_sync_state_of(struct kilter_str word);
enum kilter_health kl_health_state_of(struct kilter_str word);
enum kl_reason kl_reason_of(struct kilter_str word);

/* The worse of two: missing, degraded, unknown, progressing, suspended, healthy. */
enum kilter_health kl_health_worst(enum kilter_health a, enum kilter_health b);

#endif
