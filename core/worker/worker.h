/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h: the worker's loop, and what it keeps from one job to the next:
 * loaded plugins, the sandbox it is in, and one open target.
 *
 * One worker is one process and one thread. It serves one role for its life.
 */
#ifndef KL_WORKER_WORKER_H
#define KL_WORKER_WORKER_H

#include "worker/channel.h"
#include "worker/host.h"
#include "worker/job.h"
#include "worker/proc.h"

enum kl_worker_role { KL_WORKER_FETCH = 1, KL_WORKER_RENDER = 2, KL_WORKER_APPLY = 3, KL_WORKER_INSPECT = 4 };

struct kl_target_session;

#define KL_WORKER_MAX_PLUGINS 64u /* loaded at a time */
#define KL_WORKER_MAX_READ 64u    /* directories */

struct kl_worker {
    enum kl_worker_role role;
    struct kl_proc_limits limits;
    uint64_t max_output;                  /* bytes of one job's items; 0: no limit */
    const char *read[KL_WORKER_MAX_READ]; /* what the sandbox lets everyone read */
    size_t read_count;

    struct kl_channel channel;
    struct kl_loaded *plugins[KL_WORKER_MAX_PLUGINS];
    size_t plugin_count;
    bool confined;
    uint32_t needs;                    /* what the sandbox allows, once confined */
    struct kl_target_session *session; /* target_session.c */
    struct kl_job *job;                /* that runs, or NULL */
};

/* Sends HELLO, then does jobs until the daemon goes away. */
_Noreturn void kl_worker_run(struct kl_worker *worker, int socket);
/* To be called at exit: when a plugin ended the process, says which and from where. */
void kl_worker_explain_exit(struct kl_worker *worker);

/* The plugin of an argument {name, file, config?}, loaded once for the worker's life (again when its file
 * changed). Fills job->error. */
int kl_worker_plugin(struct kl_job *job, const struct kilter_value *argument, struct kl_plugin **ret);
/* Enters the sandbox that allows `needs`, before the first callback of a plugin. KILTER_E_CONFLICT when the worker
 * is in a tighter one already. */
int kl_worker_confine(struct kl_job *job, uint32_t needs);
/* Services of a call that runs for a job. */
struct kl_services kl_worker_services(struct kl_job *job);
/* The mirror that the job's arguments name, opened once for the job. */
int kl_worker_mirror(struct kl_job *job, struct kl_mirror **ret, struct kilter_error *err);
/* The plugin's options from a map, filled in the arena; NULL without a schema. Problems are the job's diagnostics.
 */
int kl_worker_fill(struct kl_job *job, const struct kilter_config_schema *schema,
                   const struct kilter_value *options, const char *what, struct kilter_arena *arena,
                   const void **ret);

/* Closes the open target, if any. */
void kl_target_session_close(struct kl_worker *worker);

#endif
