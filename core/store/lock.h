/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h: one process at a time.
 *
 * The lock is an open-file-description lock on a file beside the store, so that
 * opening and closing the store's own file elsewhere in the process cannot drop
 * it. The file holds the pid of who has it and is never removed: a lock on
 * a removed file guards nothing.
 */
#ifndef KL_STORE_LOCK_H
#define KL_STORE_LOCK_H

#include <kilter/base.h>

/* The descriptor that holds the lock; closing it gives it up. KILTER_E_CONFLICT names the process that has it. */
int kl_lock_take(const char *store_path, int *ret_fd, struct kilter_error *err);

#endif
