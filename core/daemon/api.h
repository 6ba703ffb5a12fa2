/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h: the daemon's HTTP API, as docs/reference/openapi.yaml describes it.
 *
 * Handlers read the engine and answer at once, or keep the request until the
 * store, a pass or a change of revision has the answer. Loop thread only.
 *
 *     api.c       routes, waiting, what is asked of the whole daemon
 *     api_app.c   one app: plan, why, history, tree, records
 *     api_act.c   what changes something: sync, approve, rollback, ...
 *     api_show.c  the engine's things as JSON
 */
#ifndef KL_DAEMON_API_H
#define KL_DAEMON_API_H

#include "daemon/engine.h"
#include "http/server.h"

struct kl_api;

int kl_api_new(struct kl_engine *engine, struct kl_http *http, struct kl_api **ret, struct kilter_error *err);
/* Forgets every request that waits; takes NULL. */
void kl_api_free(struct kl_api *api);

#endif
