/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan_text.h: a plan as people read it. Writes to cli->out, asks nothing.
 */
#ifndef KL_CLI_PLAN_TEXT_H
#define KL_CLI_PLAN_TEXT_H

#include "cli/cli.h"

/* The changes with their reasons and differences, then a summary and what the policy makes of it. With `all`
 * also what is in line. */
void kl_plan_print(struct kl_cli *cli, const struct kilter_value *plan, bool all);
/* Only the differences, of one resource when `resource` is given. Returns how many resources differ. */
size_t kl_plan_print_diff(struct kl_cli *cli, const struct kilter_value *plan, struct kilter_str resource);
/* Whether the plan would do anything. */
bool kl_plan_has_changes(const struct kilter_value *plan);
/* Whether a person's name of a resource ("File/motd") is this one: equal, or the end of it after a slash. */
bool kl_plan_names(struct kilter_str id, struct kilter_str typed);

#endif
