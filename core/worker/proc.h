/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proc.h: the worker as a process: its limits, and its end.
 *
 * A worker leads its own process group and adopts orphans of its children, so
 * that whatever it started ends with it: when the socket ends, when the daemon
 * dies, and when the worker ends by itself. Set up once, at the start.
 */
#ifndef KL_WORKER_PROC_H
#define KL_WORKER_PROC_H

#include <kilter/base.h>

struct kl_proc_limits {
    int64_t memory;      /* bytes of data; 0: no limit, here and below */
    int64_t cpu_seconds; /* of one job */
    int64_t files;       /* open at once */
    bool no_files;       /* may not write into any file */
};

/* `socket` is watched from now on: its end is the end of the process. */
int kl_proc_setup(const struct kl_proc_limits *limits, int socket, struct kilter_error *err);
/* A job begins: it gets the CPU time of the limits from now on. */
void kl_proc_begin_job(const struct kl_proc_limits *limits);
/* Kills all children and theirs, then ends the process with `status`. Safe in signal handlers. */
_Noreturn void kl_proc_end(int status);

#endif
