/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h: apps and resources as tables and in full.
 *
 * The printers take answers of the API as they came and write to cli->out; they
 * ask nothing, so that tests can hold them against golden output.
 */
#ifndef KL_CLI_STATUS_H
#define KL_CLI_STATUS_H

#include "cli/cli.h"

void kl_status_head(struct kl_cli *cli, const struct kilter_value *status);
void kl_status_apps(struct kl_cli *cli, const struct kilter_value *apps);
void kl_status_app(struct kl_cli *cli, const struct kilter_value *app);
void kl_status_resources(struct kl_cli *cli, const struct kilter_value *resources);
/* Whether it is synced and healthy, and its last pass did not fail. */
bool kl_app_is_ready(const struct kilter_value *app);

#endif
