/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.h: from one manifest to the next.
 *
 * A manifest is loaded twice: once to learn its plugins, which are then asked
 * about their options in workers, and once more to check everything. Only a
 * whole and good manifest takes effect; what it does not change goes on
 * undisturbed. One reload at a time.
 */
#ifndef KL_DAEMON_RELOAD_H
#define KL_DAEMON_RELOAD_H

#include "daemon/engine.h"

/* `error` is NULL when the manifest is in force; else it says why it is not, `diags` what is wrong with it. */
typedef void (*kl_reload_fn)(void *data, const char *error, const struct kilter_diags *diags);

/* Loads engine->options.manifest_path and puts it in force. `done` may be NULL. */
void kl_reload(struct kl_engine *engine, const char *actor, kl_reload_fn done, void *data);
/* The first load, once the draft's plugins are described. KILTER_E_INVALID with one line in `error`. */
int kl_reload_first(struct kl_engine *engine, const struct kl_manifest *draft, char *error, size_t size);
/* What the store knows of apps and sources, taken up after the first load. */
void kl_reload_adopt(struct kl_engine *engine, const struct kl_rows *rows);

#endif
