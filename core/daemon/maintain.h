/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maintain.h: keeping a mirror small without losing a commit that history
 * names, so that a rollback works offline.
 */
#ifndef KL_DAEMON_MAINTAIN_H
#define KL_DAEMON_MAINTAIN_H

#include "daemon/engine.h"

/* Repacks the mirror of a source in a worker, keeping the commits of sources, apps and their history. */
void kl_maintain_begin(struct kl_source_state *source);

#endif
