/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h: what a plugin says about itself, asked in a worker.
 *
 * Each plugin is described by a process of its own (`kilter-worker --role
 * inspect`), so that one that crashes or hangs harms nobody: it is an error
 * with the plugin's name. Blocking; nothing stays behind after a call.
 */
#ifndef KL_CLI_INSPECT_H
#define KL_CLI_INSPECT_H

#include "cli/cli.h"
#include "manifest/manifest.h"

/* The descriptor (wire/jobs.h) of the plugin in `file`, in the arena. `name`: what it must call itself, or
 * absent. */
int kl_inspect(const char *file, struct kilter_str name, struct kilter_arena *arena, struct kilter_value **ret,
               struct kilter_error *err);

#endif
