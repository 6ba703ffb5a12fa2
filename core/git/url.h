/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h: where a repository is, taken apart and distrusted.
 *
 * https://HOST[:PORT]/PATH, http:// likewise, ssh://[USER@]HOST[:PORT]/PATH,
 * [USER@]HOST:PATH (ssh), file:///PATH and /PATH. Parts are copies on the
 * caller's stack. Refused: other schemes, passwords in the URL, control
 * characters, and hosts, users or paths that a program could take for an
 * option. No state; any thread. Needs libkilter only (library kl-git-url).
 */
#ifndef KL_GIT_URL_H
#define KL_GIT_URL_H

#include <kilter/base.h>

enum kl_git_scheme { KL_GIT_HTTPS = 1, KL_GIT_HTTP = 2, KL_GIT_SSH = 3, KL_GIT_FILE = 4 };

struct kl_git_url {
    enum kl_git_scheme scheme;
    char user[128];  /* ssh only; empty: none */
    char host[256];  /* without brackets; empty for files */
    uint16_t port;   /* 0: the scheme's own */
    bool loopback;   /* localhost, 127.0.0.0/8 or ::1 */
    char path[2048]; /* ssh: as the server gets it; file: absolute, percent-decoded; https: as written, with '/' */
};

/* KILTER_E_INVALID with the reason and what to write instead; the message holds no password. */
int kl_git_url_parse(struct kilter_str url, struct kl_git_url *ret, struct kilter_error *err);

/* The URL with three stars for what could be a password, one line, for messages and logs; always NUL-terminated,
 * cut to `size`. Returns `text`. */
const char *kl_git_url_mask(struct kilter_str url, char *text, size_t size);

#endif
