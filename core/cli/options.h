/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h: keys of all options, and the one parser that fills struct kl_args.
 *
 * A verb lists the options that it takes (verbs.c) as rows of argp, whose keys
 * are these; what a key means is the same for every verb.
 */
#ifndef KL_CLI_OPTIONS_H
#define KL_CLI_OPTIONS_H

#include "cli/cli.h"

enum kl_option_key {
    KL_KEY_OUTPUT = 'o',
    KL_KEY_WATCH = 'w',
    KL_KEY_FOLLOW = 'f',
    KL_KEY_LIMIT = 'n',
    KL_KEY_YES = 'y',
    KL_KEY_REASON = 'r',
    KL_KEY_VERBOSE = 'v',
    KL_KEY_SOCKET = 's',
    KL_KEY_MANIFEST = 'm',
    KL_KEY_TIMEOUT = 't',
    KL_KEY_NO_WAIT = 0x100,
    KL_KEY_CACHED,
    KL_KEY_DESTROY,
    KL_KEY_PRUNE,
    KL_KEY_CORRECT,
    KL_KEY_ALL,
    KL_KEY_COMMIT,
    KL_KEY_DIGEST,
    KL_KEY_OUT,
    KL_KEY_FOR,
    KL_KEY_UNTIL,
    KL_KEY_KIND,
    KL_KEY_RENDERER,
    KL_KEY_OPTION,
};

/* For argp: fills ((struct kl_cli *)state->input)->args. */
error_t kl_option_parse(int key, char *arg, struct argp_state *state);

#endif
