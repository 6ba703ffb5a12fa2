/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h: what a plugin cannot do, whatever it tries.
 *
 * Built from seccomp (no new sockets, no new programs, nothing that reshapes
 * the system) and landlock (files, TCP, signals, abstract sockets), as far as
 * the kernel has it: what is missing is said and the rest still holds. Entered
 * once for the process and never left; children inherit it. A call that is
 * refused fails with EPERM or EACCES, it does not kill.
 */
#ifndef KL_WORKER_SANDBOX_H
#define KL_WORKER_SANDBOX_H

#include <kilter/plugin.h>

struct kl_sandbox {
    uint32_t needs;          /* KILTER_NEED_...: what is allowed */
    const char *const *read; /* directories or files that may be read without KILTER_NEED_FILESYSTEM */
    size_t read_count;
};

/* Calls `warn` for each part that this kernel cannot do. An error only when a part that is there fails. */
int kl_sandbox_enter(const struct kl_sandbox *sandbox, void (*warn)(void *data, const char *what), void *data,
                     struct kilter_error *err);

#endif
