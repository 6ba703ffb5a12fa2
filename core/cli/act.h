/* SPDX-License-Identifier: Apache-2.0 */
/*
 * act.h: asking the daemon to do something to an app, waiting for what comes
 * of it, and saying so.
 */
#ifndef KL_CLI_ACT_H
#define KL_CLI_ACT_H

#include "cli/cli.h"

#define KL_ACT_TIMEOUT_NS (INT64_C(300) * 1000000000)

/* A request body; with `waits`, how long to wait as --timeout and --no-wait say. NULL when out of memory. */
struct kilter_value *kl_act_body(struct kl_cli *cli, bool waits);
/* Sets a text, when there is one. */
int kl_act_set(struct kl_cli *cli, struct kilter_value *body, const char *key, struct kilter_str text);
/* POSTs to /api/v1/apps/APP/ACTION, shows progress meanwhile, prints the result; returns the exit status. */
int kl_act(struct kl_cli *cli, struct kilter_str app, const char *action, const struct kilter_value *body);
/* Prints an ActionAnswer as text; returns the exit status that it means. */
int kl_act_print(struct kl_cli *cli, const struct kilter_value *answer);

#endif
