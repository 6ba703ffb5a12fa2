/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h: the jobs on a target, as their files share them.
 *
 * The open target outlives the job (worker.h); a kl_target_job is one job on
 * it. Whatever a target says goes through a sink here that checks it: what
 * breaks the contract ends the job as the plugin's defect, by its name and
 * callback, and the sink's `rc` keeps the first failure.
 */
#ifndef KL_WORKER_TARGET_H
#define KL_WORKER_TARGET_H

#include "worker/worker.h"

#define KL_TARGET_MAX_TEXT 16384u   /* bytes of a message or reason */
#define KL_TARGET_MAX_CLAIM 4096u   /* bytes of a claim */
#define KL_TARGET_MAX_CLAIMS 10000u /* of one change */

struct kl_target_job {
    struct kl_job *job;
    const struct kl_plugin *plugin;
    const struct kilter_target *table;
    void *handle;
    struct kl_services services;
    struct kl_call call;
    struct kilter_str owner;
    struct kilter_str target; /* its name in the manifest */

    /* The DATA, in its order. */
    struct kilter_resource *resources;
    struct kilter_directives *directives; /* of each resource */
    size_t resource_count;
    struct kilter_record *records;
    bool *record_no_prune; /* directives.noPrune of each record */
    size_t record_count;
    struct kilter_change *changes;
    int64_t *change_index; /* in the plan they come from; -1: none was given */
    size_t change_count;

    int rc; /* the first failure in a sink */
};

/* Opens the job's target, or takes the one that is open when the arguments are the same. target_session.c */
int kl_target_open(struct kl_job *job, struct kl_target_job *ret);
/* The plugin-wide options of the open target. */
const void *kl_target_config(const struct kl_worker *worker);
/* Reads the DATA, and brings the attributes of records to the newest schema. target_data.c */
int kl_target_read(struct kl_target_job *t);

/* Keeps the first failure of a sink; returns `rc`. */
int kl_target_fail(struct kl_target_job *t, int rc);
/* Around a callback that has a sink: what failed in the sink comes before what the callback says. */
void kl_target_begin(struct kl_target_job *t, const char *callback);
int kl_target_end(struct kl_target_job *t, int rc);
/* Sends an item; `now`: does not hold it back. */
int kl_target_send(struct kl_target_job *t, const struct kilter_value *item, bool now);
/* "Kind/name", in the job's arena. */
const char *kl_target_id_text(struct kl_target_job *t, const struct kilter_id *id);
/* A text for a map of resources: equal for equal ids. In the buffer, which is cleared first. */
struct kilter_str kl_target_id_key(struct kilter_buf *buf, const struct kilter_id *id);
/* Sets members of an answer; the map becomes NULL when one fails. */
void kl_target_put(struct kilter_arena *arena, struct kilter_value **map, const char *key,
                   struct kilter_value *value);

int kl_target_identity(struct kl_target_job *t, struct kilter_value *done);
int kl_target_plan(struct kl_target_job *t, struct kilter_value *done);  /* target_plan.c */
int kl_target_apply(struct kl_target_job *t, struct kilter_value *done); /* target_apply.c */

#endif
