/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass.h: one reconcile of one app: render, plan, decide, apply, check, record.
 *
 * A pass belongs to its app and frees itself when it is over. It is a chain of
 * jobs of the pool and transactions of the store, and never blocks: each step
 * submits one and goes on in its callback. A newer commit supersedes it: it
 * stops at once while it renders, plans, waits or checks health, and at the
 * next boundary between two waves while it applies.
 *
 *     pass.c         beginning, rendering, ending
 *     pass_plan.c    inventory, plan, claims, decision
 *     pass_apply.c   intents, waves, results
 *     pass_health.c  health, rollback
 */
#ifndef KL_DAEMON_PASS_H
#define KL_DAEMON_PASS_H

#include "daemon/engine.h"

/* One row of the inventory while a pass works with it. Texts live in the pass's arena. */
struct kl_owned {
    struct kilter_id id;
    struct kilter_str key;
    const struct kilter_str *claims;
    size_t claim_count;
    enum kilter_record_status status;
    uint32_t schema_version;
    struct kilter_str attributes; /* JSON, or empty */
    struct kilter_str directives; /* JSON, or empty */
    bool stored;                  /* it was in the store before this pass */
    bool gone;                    /* deleted or forgotten */
    bool left_alone;              /* the plan has a change for it that is not applied */
    /* As it was before this pass set an intent. */
    enum kilter_record_status before;
    const struct kilter_str *claims_before;
    size_t claim_count_before;
    struct kilter_str directives_before;
    struct kl_owned *moved_from; /* the record that an intended move takes the place of */
};

/* What came of a plan that was asked for by kl_pass_plan. `plan` is NULL when it failed: then reason and message
 * say why. It lives until the callback returns. */
typedef void (*kl_plan_fn)(void *data, struct kl_plan *plan, const struct kl_decision *decision,
                           enum kl_reason reason, const char *message, const struct kilter_diags *diags);

struct kl_pass {
    struct kl_app_state *app;
    struct kl_pass *next; /* in the app's queue */
    struct kl_wish wish;
    uint64_t number;
    struct kilter_arena *arena;
    struct kl_commit commit;
    bool destroy; /* the plan deletes everything owned */
    bool forget;  /* ... or rather forgets it */
    bool repair;  /* at the commit that is applied, because the wanted one cannot be had */
    bool superseded, cancelled;

    /* A plan only, for somebody who asked. */
    kl_plan_fn plan_done;
    void *plan_data;

    struct kl_job *job;
    struct kl_artifact *artifact;
    bool renderer_changed;
    struct kl_artifact *rendering; /* being filled */
    char renderer[64];

    struct kl_map owned;    /* resource key -> struct kl_owned */
    struct kl_owned **sent; /* those that went with the job, in its order */
    size_t sent_count;
    struct kl_plan *plan;
    bool plan_shown; /* the app has the plan now and frees it */
    bool aside; /* at another commit than the wanted one, or with other rules: of no meaning for the app's state */
    struct kl_decision decision;

    struct kl_map takers;      /* claim -> struct kl_owned of the change that takes it */
    struct kl_planned **order; /* the changes to apply, waves in order, deletions last */
    size_t order_count, wave_begin, wave_end;
    bool *answered;     /* of the wave */
    struct kl_txn *txn; /* results on their way to the store */
    size_t txn_results;
    size_t applied, failed, stale, blocked_results;
    size_t done[KILTER_VERB_BLOCKED + 1]; /* changes that went as planned, by verb */
    enum kilter_result_class worst;
    char worst_message[512];
    int64_t retry_after_ns;
    bool changed_anything;

    uv_timer_t health_timer;
    bool health_timer_open;
    int64_t health_deadline_ns, healthy_since_ns;
    unsigned health_looks;
    enum kilter_health health; /* the worst of what is owned and not left alone by the plan */
    bool health_terminal;
    char health_message[400];

    int64_t started_ms, step_ns;
};

/* Begins what is queued or wished for, if the app has no pass and may have one. */
void kl_pass_begin(struct kl_app_state *app);
/* A wish came while the pass runs: newer input supersedes it. */
void kl_pass_meet(struct kl_pass *pass, const struct kl_wish *wish);
/* Ends it as soon as possible, maybe at once; for an app that closes or is removed. */
void kl_pass_cancel(struct kl_pass *pass);
/* Newer input: it ends at once, or while it applies at the next boundary of a wave. */
void kl_pass_supersede(struct kl_pass *pass);

/* Answers the plans that wait, for an app that closes. */
void kl_pass_drop_queue(struct kl_app_state *app);

struct kl_plan_ask {
    const struct kl_commit *commit; /* NULL: the wanted one */
    bool destroy;
    bool thorough;
    bool person_sync, correct, prune; /* decide as for a person's sync */
};

/* Makes a plan and changes nothing. KILTER_E_NOMEM or 0; the callback comes later, always. */
int kl_pass_plan(struct kl_app_state *app, const struct kl_plan_ask *ask, kl_plan_fn done, void *data);

/* --- between the files of the pass ------------------------------------------------- */
void kl_pass_step(struct kl_pass *pass, enum kl_phase phase, const char *result, const char *format, ...)
    KILTER_PRINTF(4, 5);
/* Shows a phase while the pass works, unless it only plans. */
void kl_pass_phase(struct kl_pass *pass, enum kl_phase phase, const char *format, ...) KILTER_PRINTF(3, 4);
/* Ends it: `transient` failures are tried again. */
void kl_pass_fail(struct kl_pass *pass, enum kl_reason reason, bool transient, const char *plugin,
                  const struct kilter_diags *diags, const char *format, ...) KILTER_PRINTF(6, 7);
/* As above after a job. */
void kl_pass_fail_job(struct kl_pass *pass, enum kl_reason reason, const char *plugin,
                      const struct kl_job_outcome *outcome);
void kl_pass_end(struct kl_pass *pass, enum kl_result result);
/* Whether the pass is to stop here; ends it then. Asked at every boundary. */
bool kl_pass_stops(struct kl_pass *pass);
enum kl_priority kl_pass_priority(const struct kl_pass *pass);
/* "plugin": {name, file, config} of a job. KILTER_E_NOT_FOUND when the file is not there. */
int kl_pass_plugin(struct kl_pass *pass, struct kilter_arena *arena, const struct kl_manifest_plugin *plugin,
                   struct kilter_value **ret, struct kilter_error *err);

void kl_pass_plan_begin(struct kl_pass *pass); /* pass_plan.c: from the inventory to the decision */
/* What a pass that leaves everything in line, or not, says of the app. */
enum kl_sync_state kl_pass_sync_state(const struct kl_pass *pass, bool in_line);
/* Submits a job on the pass's target: on what is given first, and on the inventory that is not gone, whose order is
 * in `sent`. */
int kl_pass_target_job(struct kl_pass *pass, const char *verb, const struct kl_payload *first, size_t first_count,
                       const struct kl_job_handler *handler, struct kilter_error *err);
void kl_pass_apply_begin(struct kl_pass *pass); /* pass_apply.c */
/* "2 created, 1 updated; " of what was applied, or an empty text. Returns `text`. */
const char *kl_pass_done_text(const struct kl_pass *pass, char *text, size_t size);
void kl_pass_health_begin(struct kl_pass *pass); /* pass_health.c */
void kl_pass_finish(struct kl_pass *pass);       /* pass_health.c: all went well; says what state that leaves */

#endif
