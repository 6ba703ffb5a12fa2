/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.h: one job of a worker (wire/jobs.h): what was asked, and the ways to answer.
 *
 * A job is made by the worker's loop and lives until its DONE is sent; all it
 * points to is in its arena. A verb's function sends what it finds with the
 * functions here and returns a status; the loop sends DONE with it unless the
 * function did. Everything is on the worker's main thread. Sending blocks
 * until the daemon has taken it; when the daemon is gone the process ends,
 * with all its children, and the functions do not return.
 */
#ifndef KL_WORKER_JOB_H
#define KL_WORKER_JOB_H

#include "wire/frame.h"

#include <kilter/plugin.h>

struct kl_channel;
struct kl_mirror;
struct kl_worker;

struct kl_job {
    uint32_t id;
    struct kilter_str verb;           /* "fetch" */
    const struct kilter_value *args;  /* the JOB map */
    const struct kilter_value **data; /* the DATA maps, in order */
    size_t data_count;
    struct kilter_arena *arena;
    struct kilter_diags *diags; /* for the user's input; what is in it is sent before DONE */
    struct kilter_error error;  /* why the job failed; sent with DONE */
    int64_t deadline_ns;        /* CLOCK_MONOTONIC; 0: none */

    /* The channel's and the loop's own. */
    struct kl_worker *worker;
    struct kl_channel *channel;
    struct kl_mirror *mirror; /* opened when a content is first needed */
    const char *plugin;       /* whose code runs now, or NULL */
    const char *callback;
    size_t log_count, log_bytes, log_dropped;
    struct kilter_str *secrets; /* texts that must not leave in a message */
    size_t secret_count, secret_capacity;
    uint64_t output, max_output; /* bytes of items so far, and at most; 0: no limit */
    int64_t look_ns;             /* when to look at the socket again */
    bool cancelled;
    bool done;
};

/* --- arguments ------------------------------------------------------------------ */
/* A member of the arguments, NUL-terminated in the job's arena; NULL when absent, null, empty or no string. */
const char *kl_job_text(struct kl_job *job, const char *key);
/* The same for any map. */
const char *kl_job_text_of(struct kl_job *job, const struct kilter_value *map, const char *key);
/* A number of the arguments, `otherwise` when absent or no number. */
int64_t kl_job_int(struct kl_job *job, const char *key, int64_t otherwise);
/* An argument that must be there: fills job->error and returns NULL when it is not. */
const char *kl_job_require(struct kl_job *job, const char *key);
/* Keeps a text out of every message and log line of this job. Texts under 4 bytes are not looked for. */
void kl_job_hide(struct kl_job *job, struct kilter_str secret);
/* Hides all strings of a value that are marked secret; `all`: marked or not. */
void kl_job_hide_all(struct kl_job *job, const struct kilter_value *value, bool all);

/* --- whether to stop -------------------------------------------------------------- */
/* KILTER_OK to go on; KILTER_E_CANCELLED; KILTER_E_TIMEOUT past the deadline. Cheap: ask it in loops. */
int kl_job_check(struct kl_job *job);
/* The same as a callback: `data` is the job. */
bool kl_job_stopped(void *data);

/* --- answers ------------------------------------------------------------------------ */
/* Plugin code runs from now on; NULL and NULL: it does not any more. Texts must live until the next call. */
void kl_job_phase(struct kl_job *job, const char *plugin, const char *callback);
/* A line of the log. Flooding is cut off and said so. */
void kl_job_log(struct kl_job *job, enum kilter_log_level level, struct kilter_str message);
/* One item, a map with `kind`. Items may be held back until the next flush or DONE. Fails with KILTER_E_LIMIT (and
 * job->error) when the item or the whole output of the job is too large, KILTER_E_NOMEM when `item` is NULL. */
int kl_job_item(struct kl_job *job, const struct kilter_value *item);
/* Sends what is held back. */
void kl_job_flush(struct kl_job *job);
/* Diagnostics, DONE, and nothing more after it. `more` is a map whose members go into DONE beside status and
 * message, or NULL. status 0: done. The message is job->error's, or the status in words. */
void kl_job_done(struct kl_job *job, int status, struct kilter_value *more);

/* --- verbs ---------------------------------------------------------------------------- */
/* Each returns 0 or a status, with job->error filled unless diagnostics tell. Those that have members for DONE
 * call kl_job_done themselves on success. */
int kl_job_fetch(struct kl_job *job);    /* job_fetch.c */
int kl_job_maintain(struct kl_job *job); /* job_fetch.c */
int kl_job_probe(struct kl_job *job);    /* job_probe.c */
int kl_job_describe(struct kl_job *job);
int kl_job_render(struct kl_job *job);
int kl_job_detect(struct kl_job *job);
/* identity, plan, apply, health, refresh, import, watch; the verb is job->verb. */
int kl_job_target(struct kl_job *job);

#endif
