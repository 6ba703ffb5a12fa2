/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maintain.h: keeping mirrors small without losing a commit that history
 * names, so that a rollback works offline; and removing those of sources that
 * are gone.
 */
#ifndef KL_DAEMON_MAINTAIN_H
#define KL_DAEMON_MAINTAIN_H

#include "daemon/engine.h"

/* Repacks the mirror of a source in a worker, keeping the commits of sources, apps and their history. */
void kl_maintain_begin(struct kl_source_state *source);

/* Removes the mirrors that no source of the manifest has, in a thread of libuv's pool. */
void kl_mirrors_sweep(struct kl_engine *engine);

#endif
