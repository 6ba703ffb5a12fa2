/* SPDX-License-Identifier: Apache-2.0 */
/*
 * private.h: a daemon for one command, for `plan` and `sync` with --manifest.
 *
 * The same kilterd as everywhere, started with --once on a socket in a 0700
 * directory of its own, and ended (with the directory) by kl_private_stop. When
 * another daemon holds the store, the private one says so and ends; that one's
 * socket is used then.
 */
#ifndef KL_CLI_PRIVATE_H
#define KL_CLI_PRIVATE_H

#include "cli/cli.h"

/* Starts it and waits until it answers. *ret_socket lives as long as `ret`. On failure the user was told. */
int kl_private_start(struct kl_cli *cli, const char *manifest, struct kl_private **ret);
const char *kl_private_socket(const struct kl_private *daemon);
/* Ends it, waits for its end, removes its directory. Takes NULL. */
void kl_private_stop(struct kl_private *daemon);

#endif
