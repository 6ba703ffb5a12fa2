/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.h: from a URL and a ref to a commit in the mirror.
 *
 * One call is one look at the remote: a poll that asks for the wanted refs
 * only, and when the commit is not in the mirror yet, its fetch. Everything
 * blocks; deadlines are part of the request. One call at a time in a process.
 * Secrets of the request appear in no message and in no argument of a program.
 *
 * URLs: https://, ssh://, user@host:path, file:// and absolute paths. http:// is
 * for loopback unless the request allows it. Credentials in a URL are refused (url.h).
 */
#ifndef KL_GIT_FETCH_H
#define KL_GIT_FETCH_H

#include "git/mirror.h"
#include "git/tree.h"
#include "git/url.h"

enum kl_fetch_ref {
    KL_FETCH_BRANCH = 1,
    KL_FETCH_TAG = 2,
    KL_FETCH_SEMVER = 3, /* the highest tag in the range (semver.h) */
    KL_FETCH_NAME = 4,   /* "HEAD" or "refs/..." */
    KL_FETCH_COMMIT = 5, /* in full hexadecimal */
};

/* Of "branch", "tag", "semver", "name", "commit"; 0 for an unknown word. */
enum kl_fetch_ref kl_fetch_ref_of(struct kilter_str word);

/* Texts, not file names. Absent: not given. */
struct kl_git_credentials {
    struct kilter_str username;    /* https, basic; ssh: login name when the URL has none */
    struct kilter_str password;    /* https, basic */
    struct kilter_str token;       /* https, "Authorization: Bearer" */
    struct kilter_str certificate; /* https, client certificate, PEM */
    struct kilter_str key;         /* https, its key, PEM */
    struct kilter_str identity;    /* ssh, private key; without it ssh's own configuration and agent */
    struct kilter_str known_hosts; /* ssh, known_hosts lines; without them the system's and the user's */
};

struct kl_fetch_request {
    struct kilter_str url;
    enum kl_fetch_ref kind;
    struct kilter_str ref;
    const char *mirror; /* directory, created when absent; its parent must exist */
    struct kl_git_credentials credentials;
    int64_t timeout_ms;      /* of the whole, 0: 5 minutes */
    int64_t stall_ms;        /* without a byte from the other side, 0: 30 s */
    struct kilter_str proxy; /* https: a proxy's URL; absent: as the environment says */
    struct kilter_str ca;    /* https: PEM, instead of the system's authorities */
    bool allow_http;         /* http:// to other machines too; nothing is then protected on the way */
    uint64_t max_bytes;      /* of one transfer, 0: 4 GiB */
    const char *known;       /* the commit that the caller has, or NULL */
    const char *const *pins; /* further commits to keep, when they are there */
    size_t pin_count;
};

struct kl_fetch_result {
    char commit[KL_OID_HEX + 1];
    char ref_name[256]; /* what the ref turned out to be: "refs/tags/v1.4.2"; empty for a commit */
    bool moved;         /* the commit is not `known` */
    bool forced;        /* and history was rewritten: `known` is no ancestor of it (branches, tags, names) */
    bool all;           /* no list of changes could be made */
    bool fetched;       /* objects were transferred */
    char author[128];
    char email[128];
    int64_t time; /* of the commit, seconds since 1970 */
    char subject[256];
};

struct kl_fetch_events {
    /* One path that differs between `known` and the new commit; the path is valid during the call. Not 0 stops.
     * May be NULL. */
    int (*change)(void *data, const struct kl_tree_change *change);
    /* Asked often; true stops with KILTER_E_CANCELLED. May be NULL. */
    bool (*cancelled)(void *data);
    void *data;
};

/* 0; KILTER_E_INVALID the URL or the ref cannot be; KILTER_E_NOT_FOUND no such ref, repository or host;
 * KILTER_E_PERMISSION credentials, certificates or host keys; KILTER_E_TIMEOUT; KILTER_E_LIMIT; KILTER_E_IO the
 * network or the disk; KILTER_E_CONFLICT another process fetches into this mirror. `err` says what to do. */
int kl_fetch(const struct kl_fetch_request *request, struct kl_fetch_result *ret,
             const struct kl_fetch_events *events, struct kilter_error *err);

/* Calls `change` for what differs between two commits of a mirror, at most `max` times (0: 200,000).
 * KILTER_E_LIMIT when there is more, KILTER_E_NOT_FOUND when a commit is not there. */
int kl_mirror_diff(struct kl_mirror *mirror, const char *from, const char *to, size_t max,
                   int (*change)(void *data, const struct kl_tree_change *change), void *data,
                   struct kilter_error *err);

#endif
