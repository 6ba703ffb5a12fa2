/* SPDX-License-Identifier: Apache-2.0 */
/*
 * story.h: what happened: the last pass, the history, the log, the tree of an
 * app, its inventory. Printers of the API's answers to cli->out; they ask
 * nothing.
 */
#ifndef KL_CLI_STORY_H
#define KL_CLI_STORY_H

#include "cli/cli.h"

void kl_story_why(struct kl_cli *cli, const struct kilter_value *story);
void kl_story_history(struct kl_cli *cli, const struct kilter_value *entries);
void kl_story_event(struct kl_cli *cli, const struct kilter_value *event);
void kl_story_tree(struct kl_cli *cli, const struct kilter_value *node);
void kl_story_records(struct kl_cli *cli, const struct kilter_value *records);

#endif
