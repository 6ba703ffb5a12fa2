/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress.h: a line on the terminal that says how far an app is, while the
 * main thread waits for the daemon's answer.
 *
 * Owns one thread, which only asks the daemon and writes to standard error;
 * nothing at all happens when standard error is no terminal.
 */
#ifndef KL_CLI_PROGRESS_H
#define KL_CLI_PROGRESS_H

#include "cli/cli.h"

struct kl_progress;

/* NULL when there is nothing to show it on. */
struct kl_progress *kl_progress_start(struct kl_cli *cli, struct kilter_str app);
/* Ends the thread and wipes its line. Takes NULL. */
void kl_progress_stop(struct kl_progress *progress);

#endif
