/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_text.h: plugins as people read them, from descriptors (wire/jobs.h).
 * Writes to cli->out, asks nothing.
 */
#ifndef KL_CLI_PLUGIN_TEXT_H
#define KL_CLI_PLUGIN_TEXT_H

#include "cli/cli.h"

/* Items are descriptors, or {name, error}. */
void kl_plugin_print_list(struct kl_cli *cli, const struct kilter_value *items);
void kl_plugin_print(struct kl_cli *cli, const struct kilter_value *descriptor);

#endif
