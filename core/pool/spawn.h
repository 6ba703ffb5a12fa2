/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h: worker processes as the system sees them: started, killed with all
 * that they started, reaped.
 *
 * A child leads a session and process group of its own, has a socket on
 * descriptor 3, a pipe on 1 and 2, /dev/null on 0, and nothing else of ours.
 * It is watched by a pidfd where the system gives one (the profiles of some
 * containers do not, nor does valgrind). What it leaves behind is adopted (PR_SET_CHILD_SUBREAPER of the
 * caller), recognised by a variable in its environment, and killed too.
 */
#ifndef KL_POOL_SPAWN_H
#define KL_POOL_SPAWN_H

#include <kilter/base.h>
#include <sys/types.h>

#define KL_SPAWN_MARK "KILTER_WORKER_OF" /* the environment variable that every worker carries */

/* A running child; the descriptors are ours, close-on-exec, non-blocking. */
struct kl_child {
    pid_t pid;
    int pidfd;              /* readable when it has ended; -1: ask kl_spawn_reap from time to time */
    int socket;             /* the other end of its descriptor 3 */
    int output;             /* what it prints on 1 and 2 */
    uint64_t inherited_rss; /* bytes; until its exec our memory counts as its own */
};

#define KL_CHILD_INIT                                                                                              \
    {                                                                                                              \
        -1, -1, -1, -1, 0                                                                                          \
    }

/* How it ended. */
struct kl_child_end {
    int signal;       /* that killed it; 0: it exited */
    int exit_status;  /* when it exited */
    uint64_t max_rss; /* bytes, at its largest; 0: not more than we had ourselves, so nobody knows */
};

/* Starts a program; argv and envp as for execve, envp with the mark. Only set on success. */
int kl_spawn(const char *path, char *const argv[], char *const envp[], struct kl_child *ret,
             struct kilter_error *err);
/* SIGKILL to the child and its whole process group. */
void kl_spawn_kill(const struct kl_child *child);
/* When the child has ended: kills what is left of its group, reaps it, and is true. The pidfd stays open. */
bool kl_spawn_reap(const struct kl_child *child, struct kl_child_end *ret);
/* Closes the descriptors; the child must be reaped. */
void kl_spawn_release(struct kl_child *child);

/* Kills and reaps what children left to us: children of ours by adoption that carry the mark of this id or,
 * once dead, are of another session. `is_known` tells the children that are still somebody's. Returns how
 * many are not gone yet: call it again soon. */
size_t kl_spawn_reap_orphans(const char *id, bool (*is_known)(void *data, pid_t pid), void *data);
/* Kills every process of the system that carries the mark of this id; waits for their end. How many. */
int kl_spawn_sweep(const char *id, struct kilter_error *err);
/* Bytes of memory that a process holds now; 0 when it cannot be told. */
uint64_t kl_spawn_rss(pid_t pid);

#endif
