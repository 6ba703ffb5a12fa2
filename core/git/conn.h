/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h: one look at one remote: what kl_fetch and its transports share.
 *
 * Private to core/git. A connection lives for one kl_fetch. The first failure
 * of a transport is written to `error` and stays: what libgit2 then makes of it
 * is less clear. Bytes flow through one of two ways, https (http.c) or ssh
 * (ssh.c), each with the same four functions.
 */
#ifndef KL_GIT_CONN_H
#define KL_GIT_CONN_H

#include "git/fetch.h"
#include "git/internal.h"

struct kl_http;
struct kl_ssh;

struct kl_conn {
    const struct kl_fetch_request *request;
    const struct kl_fetch_events *events;
    struct kl_git_url url;
    char masked[320]; /* the URL for messages */
    int64_t deadline_ns;
    int64_t stall_ns;
    uint64_t max_bytes;
    struct kilter_error error;
    struct kl_http *http;
    struct kl_ssh *ssh;
    git_transport *transport; /* libgit2's, which owns it, while transfer.c runs */
};

/* KILTER_OK, KILTER_E_CANCELLED or KILTER_E_TIMEOUT (the whole took too long), written to conn->error. */
int kl_conn_check(struct kl_conn *conn);
/* The same for a wait for the other side that began, or got its last byte, at `since_ns`. */
int kl_conn_check_stall(struct kl_conn *conn, int64_t since_ns);
/* Writes to conn->error unless a failure is there already; returns the code that stands. */
int kl_conn_fail(struct kl_conn *conn, int code, const char *format, ...) KILTER_PRINTF(3, 4);

/* --- the two ways ------------------------------------------------------------------
 * start: asks for the advertisement of refs, in protocol version 2 when the server can and `v2` is set.
 * ask: sends a request; what is read next is its answer.
 * read: 0 and *ret_len 0 at the end of what was sent. */
int kl_http_start(struct kl_conn *conn, bool v2);
int kl_http_ask(struct kl_conn *conn, struct kilter_str request, bool v2);
int kl_http_read(struct kl_conn *conn, char *bytes, size_t len, size_t *ret_len);
void kl_http_free(struct kl_http *http);

int kl_ssh_start(struct kl_conn *conn, bool v2);
int kl_ssh_write(struct kl_conn *conn, struct kilter_str request);
int kl_ssh_read(struct kl_conn *conn, char *bytes, size_t len, size_t *ret_len);
/* Ends the program, at once when it does not by itself. */
void kl_ssh_stop(struct kl_conn *conn);

static inline int kl_conn_start(struct kl_conn *conn, bool v2)
{
    return conn->url.scheme == KL_GIT_SSH ? kl_ssh_start(conn, v2) : kl_http_start(conn, v2);
}

static inline int kl_conn_ask(struct kl_conn *conn, struct kilter_str request)
{
    return conn->url.scheme == KL_GIT_SSH ? kl_ssh_write(conn, request) : kl_http_ask(conn, request, true);
}

static inline int kl_conn_read(struct kl_conn *conn, char *bytes, size_t len, size_t *ret_len)
{
    return conn->url.scheme == KL_GIT_SSH ? kl_ssh_read(conn, bytes, len, ret_len)
                                          : kl_http_read(conn, bytes, len, ret_len);
}

/* --- refs of the other side (refs.c, local.c) ---------------------------------------- */
struct kl_remote_ref {
    const char *name;
    git_oid id;
    git_oid peeled; /* what an annotated tag stands for; else the id */
};

struct kl_remote_refs {
    struct kilter_arena *arena;
    struct kl_remote_ref *items;
    size_t count, capacity;
};

void kl_remote_refs_release(struct kl_remote_refs *refs);
int kl_remote_refs_add(struct kl_conn *conn, struct kl_remote_refs *refs, struct kilter_str name, const git_oid *id,
                       const git_oid *peeled);

/* The refs that begin with `prefix`; with `exact`, that one only. */
int kl_remote_list(struct kl_conn *conn, const char *prefix, bool exact, struct kl_remote_refs *ret);
int kl_local_list(struct kl_conn *conn, const char *prefix, bool exact, struct kl_remote_refs *ret);

/* What the request's ref stands for now. For a commit: the commit, with an empty name. */
int kl_remote_select(struct kl_conn *conn, char ret_name[256], git_oid *ret_commit);

/* --- transfers: everything that `commit` needs comes into the mirror ------------------- */
/* The ref may have moved since: *commit is what was really there (transfer.c). */
int kl_transfer(struct kl_conn *conn, struct kl_mirror *mirror, const char *name, git_oid *commit);
/* From a repository of this machine (local.c). */
int kl_local_transfer(struct kl_conn *conn, struct kl_mirror *mirror, const git_oid *commit);

#endif
